//! What the bytes of a line draw, before it is known what the line is: its first row, how far a line editor's drawing goes
//! on below it, and what only a line editor or a full-screen program does.

use memchr::{memchr, memmem};

use super::lookup::Waiting;
use super::{LINE_LIMIT, LOOK_AHEAD};
use crate::flatten::{before_visible, flatten, without_unterminated};
use crate::region::Recovered;
use crate::screen::Screen;
use crate::syntax::Syntax;

/// Bytes of a line in which a prompt is looked for.
pub(super) const PROMPT_BYTES: usize = 4096;
/// Cells that may be moved to look for a prompt.
const PROMPT_BUDGET: u64 = 1 << 16;

/// The row that the first bytes of a line show, before any width is known: up to where the cursor first returned.
pub(super) fn first_row(line: &[u8]) -> String {
    let mut visible = 0;
    while let Some(rest) = line.get(visible..) {
        let unseen = before_visible(rest);
        let blanks = rest.iter().skip(unseen).take_while(|byte| byte.is_ascii_whitespace()).count();
        visible += unseen + blanks;
        if blanks == 0 {
            break;
        }
    }
    let line = line.get(..visible + PROMPT_BYTES).unwrap_or(line);
    let end = memchr(b'\r', line.get(visible..).unwrap_or_default()).map_or(line.len(), |at| visible + at);
    let line = line.get(..end).unwrap_or(line);
    let mut screen = Screen::new(0, PROMPT_BUDGET);
    match without_unterminated(line) {
        Some((line, _)) => screen.write(&line),
        None => screen.write(line),
    }
    screen.lines_from((0, 0)).into_iter().next().unwrap_or_default()
}

/// How far the region of a prompt goes that is not marked. A line editor moves down with a line feed, and then to the
/// right or up, or clears the row: output does not begin so.
///
/// `layout` is the length of the prompt and the likeliest width. A known prompt with another
/// text right at the start of a line ends the region, even behind movements of the cursor: a program can print those to
/// hide a command.
pub(super) fn extent(
    data: &[u8],
    start: usize,
    first: usize,
    layout: (usize, usize),
    is_end: bool,
    is_entered: &dyn Fn(&str) -> bool,
) -> Result<usize, Waiting> {
    let mut end = first;
    while end < LINE_LIMIT {
        let next = data.get(end..).unwrap_or_default();
        if next.is_empty() && is_end {
            break;
        }
        if next.len() < LOOK_AHEAD && !is_end {
            return Err(Waiting::Length(end + LOOK_AHEAD));
        }
        let is_row =
            next.starts_with(b"\r") && next.get(1).is_some_and(|byte| !matches!(byte, b'\r' | b'\n'));
        let drawn = data.get(start..end).unwrap_or_default();
        if end == first && is_edit(next) && !has_rows_below(drawn, layout) {
            break;
        }
        let goes_on = is_edit(next) || (is_row && is_open(drawn, layout)) || is_above_end(drawn, layout.1);
        if !goes_on {
            break;
        }
        let bound = data.get(end..data.len().min(LINE_LIMIT)).unwrap_or_default();
        let length = memchr(b'\n', bound).map(|at| at + 1);
        if let Some(line) = length.and_then(|length| bound.get(..length))
            && is_entered(&first_row(line))
            && !is_drawn_again(line, drawn, layout.1)
        {
            break;
        }
        match length {
            Some(length) => end += length,
            None if is_end && data.len() < LINE_LIMIT => end = data.len(),
            None if data.len() >= LINE_LIMIT => break,
            None => return Err(Waiting::Line(data.len())),
        }
    }
    Ok(end)
}

/// The row of a prompt before a line feed, if what was typed there is no longer part of the command in the end.
pub(super) fn lost_row(first: &[u8], below: &[u8], recovered: &Recovered) -> Option<String> {
    if below.is_empty() {
        return None;
    }
    let mut screen = Screen::new(0, PROMPT_BUDGET);
    screen.write(first);
    let row = screen.lines_from((0, 0)).into_iter().next()?;
    let typed = row.get(recovered.prompt.len()..).unwrap_or_default().trim();
    (!recovered.text.contains(typed)).then_some(row)
}

/// Whether a line draws what stood in the row of the prompt before, before it is edited.
fn is_drawn_again(line: &[u8], drawn: &[u8], width: usize) -> bool {
    let screen = screen_of(drawn, width);
    let rows = screen.lines_from((0, 0));
    rows.first().is_some_and(|row| draws(line, row.trim()))
}

/// The start of what was drawn, on a screen of this width.
fn screen_of(drawn: &[u8], width: usize) -> Screen {
    let mut screen = Screen::new(width, PROMPT_BUDGET);
    screen.write(drawn.get(..PROMPT_BYTES).unwrap_or(drawn));
    screen
}

/// Whether a line begins with a text, before it is edited.
pub(super) fn draws(line: &[u8], text: &str) -> bool {
    let typed = line.get(..memchr(0x08, line).unwrap_or(line.len())).unwrap_or_default();
    let mut drawn = Vec::new();
    flatten(typed, &mut drawn);
    String::from_utf8_lossy(&drawn).trim_start().starts_with(text)
}

/// Whether a line editor may have gone on below the first line: it came back up from there, or the command is open.
/// A program that moves the cursor like an editor does so below a command that was entered.
fn has_rows_below(drawn: &[u8], layout: (usize, usize)) -> bool {
    memmem::find(drawn, b"\x1b[A").is_some() || is_open(drawn, layout)
}

/// Whether what was drawn so far is a command that goes on below: history holds the rows of a command together.
fn is_open(drawn: &[u8], (prompt, width): (usize, usize)) -> bool {
    [0, width].iter().any(|width| {
        let text = screen_of(drawn, *width).lines_from((0, 0)).join("\n");
        Syntax::of(text.get(prompt..).unwrap_or_default().trim_end()).is_open()
    })
}

/// Whether the cursor went up and is not back below all that was drawn: a line editor goes there before a command is run.
fn is_above_end(drawn: &[u8], width: usize) -> bool {
    if memmem::find(drawn, b"\x1b[A").is_none() {
        return false;
    }
    let screen = screen_of(drawn, width);
    screen.penalty == 0 && !screen.is_below_end()
}

/// Whether a line was edited by more than the terminal driver, which can only rub out.
pub(super) fn has_editor(bytes: &[u8]) -> bool {
    let moves = memmem::find_iter(bytes, b"\x1b[").any(|at| {
        let rest = bytes.get(at + 2..).unwrap_or_default();
        rest.iter().find(|byte| **byte >= b'@').is_some_and(|byte| b"ACDGKP@".contains(byte))
    });
    let rubbed_out = memmem::find_iter(bytes, b"\x08 \x08").count() * 2;
    moves || memchr::memchr_iter(0x08, bytes).count() > rubbed_out
}

/// zsh turns the keypad on for its line editor, and off again unless Ctrl-C ended it.
pub(super) fn is_left_by_interrupt(prefix: &[u8], body: &[u8]) -> bool {
    prefix.ends_with(b"\x1b[?1h\x1b=") && memmem::find(body, b"\x1b[?1l").is_none()
}

/// Only the last line end is that of Enter: a line editor goes down with others.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    line.get(..end).unwrap_or(line)
}

/// Whether a line begins as a line editor goes on after it moved down.
fn is_edit(line: &[u8]) -> bool {
    let returns = line.iter().take_while(|byte| **byte == b'\r').count();
    let Some(sequence) = line.get(returns..).and_then(|rest| rest.strip_prefix(b"\x1b[")) else {
        return false;
    };
    let digits = sequence.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(sequence.get(digits), Some(b'A' | b'C')) || (returns > 0 && sequence.get(digits) == Some(&b'K'))
}

/// Whether a line does what full-screen programs do: hides the cursor, goes to a row, sets a scrolling region.
pub(super) fn paints(line: &[u8]) -> bool {
    let line = line.get(..PROMPT_BYTES).unwrap_or(line);
    const SIGNS: [&[u8]; 3] = [b"\x1b[?1h", b"\x1b=", b"\x1b[?25l"];
    if SIGNS.iter().any(|sign| memmem::find(line, sign).is_some()) {
        return true;
    }
    memmem::find_iter(line, b"\x1b[").any(|at| {
        let body = line.get(at + 2..).unwrap_or_default();
        let length = body.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        let row = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_first = matches!(body.get(..row), Some(b"" | b"1"));
        match body.get(length) {
            Some(b'H' | b'f' | b'd') => !is_first,
            Some(b'r') => length > 0,
            _ => false,
        }
    })
}
