//! Output without control sequences, for those who only look for words in it.
//!
//! Nothing that was printed is lost: a carriage return or a movement to another row becomes a line feed, so that what
//! was painted over is still there. Only a backspace takes away, as it does in manual pages.

use memchr::memchr3;

/// A control string longer than this is shown: nothing hides that much.
const STRING_LIMIT: usize = 4096;

/// Appends `line` to `out` as text; how many control strings in it had no end.
pub(crate) fn flatten(line: &[u8], out: &mut Vec<u8>) -> u64 {
    let mut unterminated = 0;
    let start = out.len();
    let mut rest = line;
    loop {
        let Some(at) = memchr3(0x1b, 0x08, b'\r', rest) else {
            out.extend_from_slice(rest);
            return unterminated;
        };
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = match from.first() {
            Some(0x1b) => {
                let (length, effect) = escape(from);
                match effect {
                    Effect::Nothing => {}
                    Effect::Space => out.push(b' '),
                    Effect::Row => feed(out, start),
                    Effect::Unterminated => unterminated += 1,
                }
                from.get(length..).unwrap_or_default()
            }
            Some(0x08) => {
                if out.len() > start && out.last() != Some(&b'\n') {
                    out.pop();
                }
                from.get(1..).unwrap_or_default()
            }
            _ => {
                let returns = from.iter().take_while(|byte| **byte == b'\r').count();
                let after = from.get(returns..).unwrap_or_default();
                if after.first().is_some_and(|byte| *byte != b'\n') {
                    feed(out, start);
                }
                after
            }
        };
    }
}

/// The first byte of a line that is seen.
pub(crate) fn first_visible(line: &[u8]) -> Option<u8> {
    line.get(before_visible(line)).copied()
}

/// How many bytes of a line come before the first that is seen.
pub(crate) fn before_visible(line: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = line.get(at..) {
        at += match rest.first() {
            Some(0x1b) => escape(rest).0,
            Some(b'\n' | b'\t' | 0x08) => break,
            Some(0..0x20) => 1,
            _ => break,
        };
    }
    at.min(line.len())
}

/// Removes the starts of control strings that have no end, so that a terminal shows what they would hide.
pub(crate) fn without_unterminated(bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut kept: Option<(Vec<u8>, u64)> = None;
    let mut rest = bytes;
    let mut copied = 0;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        let from = rest.get(at..).unwrap_or_default();
        let position = bytes.len() - from.len();
        let (length, effect) = escape(from);
        if effect == Effect::Unterminated {
            let (text, count) = kept.get_or_insert_with(|| (Vec::with_capacity(bytes.len()), 0));
            text.extend_from_slice(bytes.get(copied..position).unwrap_or_default());
            copied = position + length;
            *count += 1;
        }
        rest = from.get(length.max(1)..).unwrap_or_default();
    }
    if let Some((text, _)) = &mut kept {
        text.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    }
    kept
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    Space,
    Row,
    Unterminated,
}

/// The length of an escape sequence and what it does to the text.
fn escape(bytes: &[u8]) -> (usize, Effect) {
    match bytes.get(1) {
        None => (1, Effect::Nothing),
        Some(b'[') => {
            let body = bytes.get(2..).unwrap_or_default();
            let length = body.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            match body.get(length) {
                Some(b'A' | b'B' | b'E' | b'F' | b'H' | b'f' | b'd' | b'J' | b'G' | b'`') => {
                    (length + 3, Effect::Row)
                }
                Some(b'C' | b'a') => (length + 3, Effect::Space),
                Some(0x40..=0x7e) => (length + 3, Effect::Nothing),
                // Cut off, or broken by another control: the text goes on.
                _ => (length + 2, Effect::Nothing),
            }
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let body = bytes.get(2..bytes.len().min(STRING_LIMIT)).unwrap_or_default();
            match memchr3(0x07, 0x1b, b'\n', body) {
                Some(end) if body.get(end) == Some(&0x07) => (end + 3, Effect::Nothing),
                Some(end) if body.get(end) == Some(&0x1b) => {
                    let is_end = body.get(end + 1) == Some(&b'\\');
                    (end + 2 + if is_end { 2 } else { 0 }, Effect::Nothing)
                }
                _ => (2, Effect::Unterminated),
            }
        }
        Some(0x20..=0x2f) => {
            let body = bytes.get(1..).unwrap_or_default();
            let length = body.iter().take_while(|byte| (0x20..0x30).contains(*byte)).count();
            (length + 2, Effect::Nothing)
        }
        Some(b'M' | b'D' | b'E' | b'c') => (2, Effect::Row),
        Some(0x30..=0x7e) => (2, Effect::Nothing),
        Some(_) => (1, Effect::Nothing),
    }
}

fn feed(out: &mut Vec<u8>, start: usize) {
    if out.len() > start && out.last() != Some(&b'\n') {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{first_visible, flatten, without_unterminated};

    #[test]
    fn words_stay_together_and_nothing_printed_is_lost() {
        for (line, expected, unterminated) in [
            ("plain\r\r\n", "plain\n", 0),
            ("\x1b[01;31mred\x1b[0mdy\r\r\n", "reddy\n", 0),
            ("10%\r20%\r\n", "10%\n20%\n", 0),
            ("a\x1b[5Cb\n", "a b\n", 0),
            ("N\x08NA\x08A\n", "NA\n", 0),
            ("\x1b]0;title\x07text\n", "text\n", 0),
            ("\x1b]0;title\x1b\\text\n", "text\n", 0),
            ("\x1b]0;rm -rf /\r\n", "0;rm -rf /\n", 1),
            ("\x1bPq\n", "q\n", 1),
            ("a\x1b[3;1Hb\x1b(Bc\n", "a\nbc\n", 0),
            ("a\x1b", "a", 0),
            ("a\x1b[", "a", 0),
        ] {
            let mut out = Vec::new();
            assert_eq!(flatten(line.as_bytes(), &mut out), unterminated, "{line:?}");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{line:?}");
        }
    }

    #[test]
    fn the_first_visible_byte_stands_behind_colours() {
        assert_eq!(first_visible(b"\x1b]0;t\x07\x1b[32m\r$ "), Some(b'$'));
        assert_eq!(first_visible(b"\x1b[0m"), None);
    }

    #[test]
    fn a_string_without_an_end_hides_nothing() {
        let (text, count) = without_unterminated(b"a\x1b]0;b\nc\x1b]0;d\x07e").unwrap();
        assert_eq!((text.as_slice(), count), (&b"a0;b\nc\x1b]0;d\x07e"[..], 1));
        assert_eq!(without_unterminated(b"\x1b]0;d\x07e"), None);
    }
}
