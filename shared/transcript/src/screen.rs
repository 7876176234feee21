//! A terminal screen, as far as line editors use one.
//!
//! It holds the rows that an edited command line and its prompt take up. Its width may be unknown (0): then a row has
//! no end, which is right as long as the cursor never moves up. It has no height: line editors only move within what
//! they wrote. A replay at a wrong width does things that no editor does; they are counted in [`Screen::penalty`].
//!
//! Known limit, with a test: the width of a character is that of its block, so an unusual emoji may count as one
//! column instead of two (`wide_characters_take_two_columns`).

use vte::{Params, Parser, Perform};

/// Rows of a screen beyond this are not kept.
const ROW_LIMIT: usize = 1024;
/// Columns beyond this are reached by writing alone: to go there costs an attacker nothing.
const COLUMN_LIMIT: usize = 16 * 1024;
/// Blanks before the right edge that were not typed.
const CLEARED: usize = 8;
/// Stands in the second column of a wide character.
const FILLER: char = '\0';

/// One row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    cells: Vec<char>,
    /// Whether the row goes on the one above, because that one was full.
    wrapped: bool,
}

/// The rows that were written.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    rows: Vec<Row>,
    row: usize,
    column: usize,
    width: usize,
    /// How often something happened that a line editor does not do on a screen of this width.
    pub(crate) penalty: u32,
    /// Whether the cursor moved up, or a row was filled and gone on: the width matters.
    pub(crate) width_matters: bool,
    /// The column to which the cursor first went from the left edge: where fish's prompt ends.
    pub(crate) first_return: Option<usize>,
    /// Where a shell said that its prompt ends (OSC 133;B).
    pub(crate) input_at: Option<(usize, usize)>,
    /// The column at which the prompt ends, if that is known: to draw the prompt again is no wrap.
    pub(crate) prompt_columns: usize,
    /// How often what was typed was drawn from its start: at a wrong width the cursor is there only by chance.
    pub(crate) starts: u32,
    /// The first row before it was gone on below, or the prompt drawn again.
    pub(crate) may_be_wrapped: Option<String>,
    /// The rightmost column that was reached: a wider screen shows the same.
    pub(crate) widest: usize,
    /// Whether all was cleared, so that the first row is another one.
    pub(crate) is_cleared: bool,
    /// Whether the cursor was sent further than a row is long.
    pub(crate) is_exceeded: bool,
    /// Whether something that was written found no place.
    pub(crate) is_cut: bool,
    /// The text before the cursor first moved up. Until then all widths show the same, or a mistake is seen.
    pub(crate) before_up: Option<String>,
    /// The row of the prompt's last line: an editor never goes above it.
    floor: usize,
    /// What stood in the row that may be drawn again, or may have been wrapped.
    doubted: Option<Vec<char>>,
    /// Whether something was edited.
    edited: bool,
    saved: (usize, usize),
    last: Last,
    work: u64,
    budget: u64,
}

/// What the cursor did last, as far as it tells about the width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    /// A character was written; whether that filled a row and went on below.
    Wrote { character: char, wrapped: bool },
    /// A carriage return came after such a character.
    Returned { character: char, wrapped: bool },
    /// A carriage return of another kind.
    PlainReturn,
    /// A line feed.
    Fed,
}

impl Screen {
    /// An empty screen; `budget` bounds the cells that may be moved.
    pub(crate) fn new(width: usize, budget: u64) -> Self {
        Self { rows: vec![Row::default()], width, budget, ..Self::default() }
    }

    /// Writes bytes as a terminal does.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        Parser::new().advance(self, bytes);
    }

    /// Whether more was asked of the screen than it does.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.work > self.budget
    }

    /// Cells moved so far.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// Row and column of the cursor.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }

    /// Whether the cursor is on the last row that holds something.
    pub(crate) fn is_at_end(&self) -> bool {
        self.row >= self.end()
    }

    /// Whether the cursor is below that row.
    pub(crate) fn is_below_end(&self) -> bool {
        self.row > self.end()
    }

    fn end(&self) -> usize {
        self.rows.iter().rposition(|row| row.cells.iter().any(|cell| *cell != ' ')).unwrap_or(0)
    }

    /// The text of the cells at and right of the cursor.
    pub(crate) fn right_of_cursor(&self) -> String {
        self.rows.get(self.row).map_or_else(String::new, |row| text(row.cells.iter().skip(self.column)))
    }

    /// The text of a row left of a column, from the start of the row it goes on.
    pub(crate) fn left_of(&self, (row, column): (usize, usize)) -> String {
        let first = self.first_of(row);
        let mut left: String =
            self.rows.iter().take(row).skip(first).map(|row| text(row.cells.iter())).collect();
        left.extend(self.rows.get(row).map(|row| text(row.cells.iter().take(column))));
        left
    }

    /// All text, rows that were wrapped joined.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines_from((0, 0));
        lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
    }

    /// The row on which the prompt ends.
    pub(crate) fn prompt_row(&self) -> String {
        self.rows.get(self.floor).map_or_else(String::new, |row| text(row.cells.iter()))
    }

    /// The text of the rows above a row that are not blank.
    pub(crate) fn above(&self, row: usize) -> Vec<String> {
        let above = self.rows.iter().take(row).map(|row| text(row.cells.iter()));
        above.filter(|text| !text.trim().is_empty()).collect()
    }

    /// The text of the row itself left of a column.
    pub(crate) fn left_in_row(&self, (row, column): (usize, usize)) -> String {
        self.rows.get(row).map_or_else(String::new, |row| text(row.cells.iter().take(column)))
    }

    /// The text from a place to the end, rows that were wrapped joined.
    pub(crate) fn lines_from(&self, (row, column): (usize, usize)) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (index, line) in self.rows.iter().enumerate().skip(row) {
            let skipped = if index == row { column } else { 0 };
            let part = text(line.cells.iter().skip(skipped));
            match lines.last_mut() {
                Some(last) if self.is_wrapped(index) => last.push_str(&part),
                _ => lines.push(part),
            }
        }
        while lines.len() > 1 && lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        lines
    }

    fn first_of(&self, row: usize) -> usize {
        let mut first = row;
        while first > 0 && self.is_wrapped(first) {
            first -= 1;
        }
        first
    }

    /// Whether a row goes on the one above. A row that was full may have been cut off since, or filled with blanks to
    /// clear it.
    fn is_wrapped(&self, row: usize) -> bool {
        let Some(row_below) = self.rows.get(row).filter(|row| row.wrapped) else { return false };
        let Some(above) = row.checked_sub(1).and_then(|above| self.rows.get(above)) else { return false };
        let blanks = above.cells.iter().rev().take_while(|cell| **cell == ' ').count();
        // A wide character may have found no place.
        let missing = usize::from(row_below.cells.get(1) == Some(&FILLER));
        above.cells.len() + missing >= self.width && blanks < CLEARED
    }

    /// Changes the row of the cursor, which is made if need be.
    fn edit(&mut self, change: impl FnOnce(&mut Row, usize)) {
        self.row = self.row.min(ROW_LIMIT - 1);
        if self.rows.len() <= self.row {
            self.rows.resize_with(self.row + 1, Row::default);
        }
        let column = self.column;
        if let Some(row) = self.rows.get_mut(self.row) {
            self.work += 1;
            change(row, column);
        }
    }

    fn put(&mut self, character: char) {
        let columns = columns_of(character);
        if columns == 0 {
            return;
        }
        let is_far = self.column >= COLUMN_LIMIT;
        let is_out = is_far && self.rows.get(self.row).is_none_or(|row| row.cells.len() < self.column);
        if is_out || self.is_exhausted() {
            self.is_cut = true;
            return;
        }
        self.judge_return(character);
        self.settle_doubt(character);
        if self.last == Last::Fed && !self.edited {
            self.floor = self.row;
        }
        let is_start = (self.row, self.column) == (self.floor, self.prompt_columns);
        if is_start && self.edited && !matches!(self.last, Last::Wrote { .. }) {
            self.starts += 1;
        }
        let wraps = self.width > 0 && self.column + columns > self.width;
        self.last = Last::Wrote { character, wrapped: wraps };
        if wraps {
            self.column = 0;
            self.row += 1;
            self.edit(|row, _| row.wrapped = true);
        }
        self.edit(|row, column| {
            if row.cells.len() < column {
                row.cells.resize(column, ' ');
            }
            for (place, cell) in [character, FILLER].into_iter().take(columns).enumerate() {
                match row.cells.get_mut(column + place) {
                    Some(old) => *old = cell,
                    None => row.cells.push(cell),
                }
            }
        });
        self.column += columns;
        self.widest = self.widest.max(self.column);
    }

    /// To move on to the next row, a line editor writes the character that comes there, or a space, returns, and writes
    /// it again. Returning to draw the prompt or a search again looks different.
    fn judge_return(&mut self, character: char) {
        let Last::Returned { character: before, wrapped } = self.last else { return };
        // Only the first row is drawn again from its start: the prompt stands there.
        let first = self.rows.get(self.row).filter(|row| !row.wrapped);
        let stands = first.and_then(|row| row.cells.first()).copied();
        let goes_on = (before == ' ' && character != '(') || before == character;
        if !goes_on || self.column != 0 {
            return;
        }
        if stands != Some(character) {
            self.wrap(wrapped);
        } else if !wrapped {
            let cells = first.map(|row| row.cells.as_slice()).unwrap_or_default();
            let prompt = cells.iter().take(self.prompt_columns).copied().collect();
            if self.may_be_wrapped.is_none() {
                self.may_be_wrapped = Some(text(cells.iter()));
            }
            self.doubted = Some(prompt);
        }
    }

    /// A line editor went on in the next row.
    fn wrap(&mut self, wrapped: bool) {
        self.width_matters = true;
        if !wrapped {
            self.penalty += 1;
        }
    }

    /// The prompt is drawn again as it stood; another character shows that the row was wrapped.
    fn settle_doubt(&mut self, character: char) {
        let Some(doubted) = &self.doubted else { return };
        match doubted.get(self.column) {
            Some(stood) if *stood == character => {}
            Some(_) => {
                self.doubted = None;
                self.wrap(false);
            }
            None => self.doubted = None,
        }
    }

    /// A cursor that waits behind the right edge stands on the last column for every movement. A line editor leaves no
    /// doubt about where it is: it goes on in the next row first.
    fn leave_edge(&mut self) {
        if self.column > self.last_column() {
            self.penalty += 1;
            self.column = self.last_column();
        }
    }

    fn last_column(&self) -> usize {
        if self.width > 0 { self.width - 1 } else { usize::MAX }
    }

    fn clear(&mut self) {
        self.is_cleared = true;
        self.rows = vec![Row::default()];
        self.row = 0;
        self.floor = 0;
    }

    fn up(&mut self, count: usize) {
        self.width_matters = true;
        if self.before_up.is_none() {
            let text = self.text();
            self.work += text.len() as u64;
            self.before_up = Some(text);
        }
        self.leave_edge();
        if self.row < self.floor + count {
            self.penalty += 1;
        }
        self.row = self.row.saturating_sub(count);
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        if self.row >= self.rows.len() {
            self.penalty += 1;
            self.row = self.rows.len().saturating_sub(1);
        }
    }

    fn right(&mut self, count: usize) {
        self.leave_edge();
        // One column too far can be the edge itself.
        self.is_exceeded |= self.width > 0 && self.column + count > self.width;
        if matches!(self.last, Last::PlainReturn | Last::Returned { .. }) && self.row == 0 {
            self.first_return.get_or_insert(count);
        }
        self.column += count;
        self.widest = self.widest.max(self.column + 1);
        if self.width > 0 && self.column >= self.width {
            self.penalty += 1;
            self.column = self.width - 1;
        }
        if self.rows.get(self.row).is_none_or(|row| row.cells.len() < self.column) {
            self.penalty += 1;
        }
    }

    fn left(&mut self, count: usize) {
        self.leave_edge();
        if count > self.column && self.width > 0 {
            self.penalty += 1;
        }
        self.column = self.column.saturating_sub(count);
    }

    fn erase_line(&mut self, how: usize) {
        self.edit(|row, column| match how {
            0 => row.cells.truncate(column),
            1 => row.cells.iter_mut().take(column + 1).for_each(|cell| *cell = ' '),
            _ => row.cells.clear(),
        });
    }

    fn erase_screen(&mut self, how: usize) {
        if how != 0 {
            return self.clear();
        }
        self.edit(|row, column| row.cells.truncate(column));
        self.rows.truncate(self.row + 1);
    }

    fn insert(&mut self, count: usize) {
        let width = if self.width > 0 { self.width } else { COLUMN_LIMIT };
        let count = count.min(width);
        let (mut moved, mut cut) = (0, false);
        self.edit(|row, column| {
            if row.cells.len() < column {
                row.cells.resize(column, ' ');
            }
            moved = row.cells.len() - column + count;
            row.cells.splice(column..column, std::iter::repeat_n(' ', count));
            cut = row.cells.iter().skip(width).any(|cell| *cell != ' ');
            row.cells.truncate(width);
        });
        self.is_cut |= cut && self.width == 0;
        self.work += moved as u64;
    }

    fn delete(&mut self, count: usize) {
        let mut moved = 0;
        self.edit(|row, column| {
            let end = (column + count).min(row.cells.len());
            if column < end {
                moved = row.cells.len() - column;
                row.cells.drain(column..end);
            }
        });
        self.work += moved as u64;
    }

    fn blank(&mut self, count: usize) {
        self.edit(|row, column| row.cells.iter_mut().skip(column).take(count).for_each(|cell| *cell = ' '));
        self.work += count as u64;
    }
}

impl Perform for Screen {
    fn print(&mut self, character: char) {
        self.put(character);
    }

    fn execute(&mut self, byte: u8) {
        let last = std::mem::take(&mut self.last);
        self.doubted = None;
        match byte {
            b'\r' => {
                self.last = match last {
                    Last::Wrote { character, wrapped } => Last::Returned { character, wrapped },
                    _ => Last::PlainReturn,
                };
                self.column = 0;
            }
            b'\n' | 0x0b | 0x0c => {
                self.row += 1;
                self.last = Last::Fed;
                self.column = self.column.min(self.last_column());
                self.edit(|_, _| ());
            }
            0x08 => {
                self.edited = true;
                self.leave_edge();
                if self.column == 0 && self.width > 0 {
                    self.penalty += 1;
                }
                self.column = self.column.saturating_sub(1);
            }
            b'\t' => {
                let stop = (self.column / 8 + 1) * 8;
                while self.column < stop && self.column < COLUMN_LIMIT {
                    let before = self.column;
                    self.put(' ');
                    if self.column <= before {
                        break;
                    }
                }
                self.last = Last::Other;
            }
            // A bell changes nothing on the screen.
            _ => self.last = last,
        }
    }

    fn csi_dispatch(&mut self, parameters: &Params, intermediates: &[u8], _ignored: bool, action: char) {
        if !intermediates.is_empty() || self.is_exhausted() {
            return;
        }
        let mut numbers = parameters.iter().map(|group| group.first().copied().unwrap_or(0) as usize);
        let first = numbers.next().unwrap_or(0);
        let second = numbers.next().unwrap_or(0);
        let count = first.clamp(1, COLUMN_LIMIT);
        self.edited |= !matches!(action, 'm' | 'K' | 'J' | 'H');
        match action {
            'A' => self.up(count),
            'B' | 'e' => self.down(count.min(ROW_LIMIT)),
            'C' | 'a' => self.right(count),
            'D' => self.left(count),
            'E' => {
                self.down(count.min(ROW_LIMIT));
                self.column = 0;
            }
            'F' => {
                self.up(count);
                self.column = 0;
            }
            'G' | '`' => self.column = count - 1,
            // Editors go to an absolute place only to clear the screen and start anew.
            'H' | 'f' => {
                self.clear();
                self.column = second.clamp(1, COLUMN_LIMIT) - 1;
            }
            'J' => self.erase_screen(first),
            'K' => self.erase_line(first),
            'P' => self.delete(count),
            '@' => self.insert(count),
            'X' => self.blank(count),
            // Colours move nothing, and prompts have them.
            'm' => return,
            _ => {}
        }
        self.last = Last::Other;
        self.doubted = None;
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignored: bool, byte: u8) {
        match (intermediates, byte) {
            ([], b'M') => self.up(1),
            ([], b'7') => self.saved = (self.row, self.column),
            ([], b'8') => (self.row, self.column) = self.saved,
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, parameters: &[&[u8]], _bell_terminated: bool) {
        if let [b"133" | b"633", b"B", ..] = parameters {
            self.input_at = Some((self.row, self.column));
        }
    }
}

/// The columns that a character takes.
pub(crate) fn columns_of(character: char) -> usize {
    match u32::from(character) {
        0..0x300 => 1,
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

fn text<'a>(cells: impl Iterator<Item = &'a char>) -> String {
    cells.filter(|cell| **cell != FILLER).collect()
}

#[cfg(test)]
mod tests {
    use super::Screen;

    fn lines(width: usize, bytes: &str) -> Vec<String> {
        let mut screen = Screen::new(width, 1 << 20);
        screen.write(bytes.as_bytes());
        screen.lines_from((0, 0))
    }

    #[test]
    fn edits_are_drawn() {
        for (bytes, expected) in [
            ("$ lss\x08 \x08 -l", "$ ls -l"),
            ("$ cat b\x08\x1b[2@a/", "$ cat a/b"),
            ("$ cat abc\x08\x08\x08\x1b[K", "$ cat "),
            ("$ abcd\x08\x08\x08\x1b[2P", "$ ad"),
            ("(reverse-i-search)`': l\r$ \x1b[K", "$ "),
            ("$ a\x1b[31mb\x1b[0m\x07c", "$ abc"),
            ("\x1b]0;title\x07$ id", "$ id"),
        ] {
            assert_eq!(lines(0, bytes), [expected], "{bytes:?}");
        }
    }

    #[test]
    fn a_full_row_goes_on_below() {
        assert_eq!(lines(4, "abcdef"), ["abcdef"]);
        assert_eq!(lines(4, "abcdef\x1b[A\rX"), ["Xbcdef"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(lines(0, "\u{65e5}\x08\x08ab"), ["ab"]);
        // U+1FAE0 is wide on most terminals; its block is not in the table.
        assert_eq!(lines(0, "\u{1fae0}\x08\x08ab"), ["ab"]);
    }

    #[test]
    fn a_replay_at_a_wrong_width_is_penalised() {
        let wrapped = "$ 0123456 \r789\x1b[A\r";
        let penalty = |width| {
            let mut screen = Screen::new(width, 1 << 20);
            screen.write(wrapped.as_bytes());
            screen.penalty
        };
        assert_eq!(penalty(9), 0);
        assert!(penalty(8) > 0 && penalty(20) > 0);
    }
}
