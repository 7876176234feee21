//! The words of a command, and what can be told of one by its looks.

/// How many of the first bytes are so.
pub(super) fn length_of(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_part(**byte)).count()
}

/// The length of a value: to the end of its quotes, or to the next blank. Quotes that never close hold all that follows.
pub(super) fn length_of_value(value: &[u8]) -> usize {
    match value {
        [b'\\', quote @ (b'"' | b'\''), inner @ ..] => {
            let closing = inner.windows(2).position(|pair| pair == [b'\\', *quote]);
            closing.map_or_else(|| length_of_word(value), |length| length + 4)
        }
        [b'$', b'"' | b'\'', ..] => 1 + value.get(1..).map_or(0, length_of_quotes),
        [b'"' | b'\'' | b'`', ..] => length_of_quotes(value),
        _ => length_of_word(value),
    }
}

/// Quotes, and what is joined to them: `'it'"'"'s'`, `"begin"end`.
fn length_of_quotes(value: &[u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = value.get(length..)
        && let Some(byte) = rest.first()
    {
        if matches!(byte, b'"' | b'\'' | b'`') {
            match length_to_closing(rest) {
                Some(closed) => length += closed,
                None if length == 0 => return value.len(),
                None => break,
            }
        } else if rest.starts_with(b"\\'") {
            length += 2;
        } else {
            // What begins in quotes behind a word is another value.
            return length + length_of(rest, |byte| !b" ,;&|)]}>:\"'`".contains(&byte));
        }
    }
    length
}

/// The length of quotes with what they hold.
fn length_to_closing(quoted: &[u8]) -> Option<usize> {
    let (quote, inner) = quoted.split_first()?;
    let mut is_escaped = false;
    let closing = inner.iter().position(|byte| {
        let is_closing = byte == quote && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped && *quote == b'"';
        is_closing
    });
    closing.map(|closing| closing + 2)
}

/// To the next blank that is not escaped, and without the quotes that close what the word stands in.
fn length_of_word(value: &[u8]) -> usize {
    let mut is_escaped = false;
    let mut length = value.len();
    for (at, byte) in value.iter().enumerate() {
        if *byte == b' ' && !is_escaped {
            length = at;
            break;
        }
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    let closing = value.get(..length).unwrap_or_default().iter().rev();
    length - closing.take_while(|byte| matches!(byte, b'"' | b'\'' | b'`')).count()
}

/// Whether a variable or a command stands in the place of a value: its name tells nothing, and what it runs is evidence.
pub(super) fn is_reference(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"\\").unwrap_or(value);
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let Some(inner) = value.strip_prefix(b"$") else { return value.starts_with(b"`") };
    if inner.starts_with(b"(") {
        return true;
    }
    let inner = inner.strip_prefix(b"{").unwrap_or(inner);
    let length = length_of(inner, |byte| byte.is_ascii_uppercase() || byte == b'_');
    length > 0
        && matches!(inner.get(length), None | Some(b' ' | b'"' | b'}' | b'\\' | b')' | b';' | b'&' | b','))
}

/// Whether a word holds a run that looks random: with a digit among its letters, or longer than words are, even joined ones.
pub(super) fn is_random(word: &[u8]) -> bool {
    word.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        let any = |is: fn(&u8) -> bool| run.iter().any(is);
        let is_joined = any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase);
        (run.len() >= 8 && any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic))
            || run.len() >= if is_joined { 36 } else { 20 }
    })
}

/// Whether there is a run of so many letters and digits that is no word: both together, or longer than words are.
pub(super) fn has_run(bytes: &[u8], least: usize) -> bool {
    bytes.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        let any = |is: fn(&u8) -> bool| run.iter().any(is);
        run.len() >= least && (run.len() >= 30 || (any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic)))
    })
}

/// Whether there are small letters, capitals and digits.
pub(super) fn is_mixed(bytes: &[u8]) -> bool {
    let any = |is: fn(&u8) -> bool| bytes.iter().any(is);
    any(u8::is_ascii_lowercase) && any(u8::is_ascii_uppercase) && any(u8::is_ascii_digit)
}
