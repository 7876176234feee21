//! Secrets that are one word: tokens that begin with their issuer's mark, and what looks random behind a name that tells.

use std::ops::Range;
use std::sync::LazyLock;

use super::issuers::{MARKS, NAMES, Part, SHAPES};
use super::words::{has_run, is_mixed, is_random, length_of};

/// How many characters a token has behind its mark.
const SHORTEST: usize = 8;
/// How long a word is, at the least, that is a secret without a mark.
const SHORTEST_WORD: usize = 10;
/// How many nothing but a token has.
const LONG_TAIL: usize = 60;
/// How long a value is that looks random, and one that nobody would type.
const SHORTEST_VALUE: usize = 14;
const LONG_VALUE: usize = 100;
/// How far before a value its name may begin, and how much may stand between the two.
const NAME_REACH: usize = 64;
const NAME_GAP: usize = 24;
/// How much of a word is looked at to tell what it is, so that one endless word costs no more than many.
const LONGEST: usize = 512;
/// What a secret that looks random is called, at the end of a name; by [`super::names`], passwords and tokens are one whatever they look like.
const WORDS: [&str; 12] = [
    "key",
    "secret",
    "token",
    "pat",
    "auth",
    "authorization",
    "private",
    "access",
    "sid",
    "dsn",
    "jwt",
    "cookie",
];

struct Mark {
    text: &'static str,
    run: usize,
}

/// The marks, those with the same first letter together.
static INDEX: LazyLock<Vec<Mark>> = LazyLock::new(|| {
    let mut marks: Vec<Mark> =
        MARKS.iter().flat_map(|(_, run, texts)| texts.iter().map(|text| Mark { text, run: *run })).collect();
    marks.sort_unstable_by_key(Mark::first);
    marks
});

impl Mark {
    fn first(&self) -> Option<u8> {
        self.text.bytes().next().map(|byte| byte.to_ascii_lowercase())
    }

    fn begins(&self, text: &[u8]) -> bool {
        let mark = self.text.as_bytes();
        let has_capitals = mark.iter().any(u8::is_ascii_uppercase);
        text.starts_with(mark)
            || (!has_capitals && text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
    }
}

pub(super) fn prepare() {
    LazyLock::force(&INDEX);
}

/// Where the secrets of a text are, in order, none in another.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_first(bytes, at)
            && let Some(end) = marked(bytes, at).or_else(|| {
                let word = head(bytes.get(at..)?, is_of_token);
                (word.len() >= SHORTEST_WORD)
                    .then(|| shaped(bytes, at).or_else(|| named(bytes, at)).or_else(|| unknown(bytes, at)))?
            })
        {
            found.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Whether a word may begin here.
fn is_first(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
    match bytes.get(at) {
        Some(b'-') => matches!(before, Some(b'"' | b'\'' | b'`' | b'=' | b':' | b'>')),
        Some(b'_' | b'$' | b'.' | b'~' | b'/' | b'+') => {
            before.is_none_or(|byte| !byte.is_ascii_alphanumeric())
        }
        Some(byte) => byte.is_ascii_alphanumeric() && before.is_none_or(|byte| !byte.is_ascii_alphanumeric()),
        None => false,
    }
}

/// The end of a token whose issuer's mark is here.
fn marked(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let first = rest.first().map(u8::to_ascii_lowercase);
    let from = INDEX.partition_point(|mark| mark.first() < first);
    let marks = INDEX.get(from..)?.iter().take_while(|mark| mark.first() == first);
    for mark in marks {
        let length = mark.text.len();
        if mark.begins(rest) {
            let tail = rest.get(length..)?;
            let start = head(tail, is_of_token);
            if start.len() >= SHORTEST
                && (mark.run == 0
                    || has_run(start, mark.run)
                    || (start.len() >= mark.run && is_mixed(start))
                    || start.len() >= LONG_TAIL)
            {
                return Some(at + length + length_of(tail, is_of_token));
            }
        }
    }
    None
}

/// The end of a token that is built as the tokens of an issuer are.
fn shaped(bytes: &[u8], at: usize) -> Option<usize> {
    SHAPES.iter().find_map(|(_, parts)| {
        let end = parts.iter().try_fold(at, |at, part| {
            let rest = bytes.get(at..)?;
            let run = |is_part: &dyn Fn(u8) -> bool, least: usize, most: usize| {
                let length = length_of(rest.get(..most).unwrap_or(rest), is_part);
                (length >= least).then_some(at + length)
            };
            match part {
                Part::Text(text) => rest.starts_with(text.as_bytes()).then_some(at + text.len()),
                Part::Digits(least, most) => run(&|byte| byte.is_ascii_digit(), *least, *most),
                Part::Run(others, least, most) => {
                    let is_part =
                        |byte: u8| byte.is_ascii_alphanumeric() || others.as_bytes().contains(&byte);
                    run(&is_part, *least, *most)
                }
            }
        })?;
        bytes.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric()).then_some(end)
    })
}

/// The end of a value that looks random and is called a key, or is called by an issuer's name.
fn named(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes.get(at.saturating_sub(NAME_REACH)..at)?;
    let gap = before.iter().rev().take_while(|byte| is_of_gap(**byte)).count();
    let (name, gap) = before.split_at(before.len() - gap);
    let is_assigned = gap.iter().any(|byte| matches!(byte, b'=' | b':' | b'>' | b',' | b'|' | b'"' | b'\''));
    let rest = bytes.get(at..)?;
    let is_joined = |byte: u8| is_of_value(byte) || byte == b'=';
    let is_whole = is_assigned || head(rest, is_joined).len() >= LONG_VALUE;
    let is_part = |byte: u8| is_of_value(byte) || (is_whole && byte == b'=');
    let value = head(rest, is_part);
    let is_path = value.starts_with(b"/") && (value.len() < 40 || value.contains(&b'.'));
    if value.len() < SHORTEST_VALUE || is_path || !(is_random(value) || is_mixed(value) || has_digits(value))
    {
        return None;
    }
    let start = name.iter().rposition(|byte| !is_of_name(*byte)).map_or(0, |at| at + 1);
    let name = name.get(start..)?.to_ascii_lowercase();
    let word = name.rsplit(|byte| *byte == b' ').next()?;
    let is_called = is_random(value) && WORDS.iter().any(|ending| word.ends_with(ending.as_bytes()));
    let is_issued = (is_assigned || word.starts_with(b"-") || value.len() >= LONG_VALUE)
        && NAMES.iter().any(|issuer| {
            let near = name.get(name.len().saturating_sub(NAME_GAP + issuer.len())..).unwrap_or(&name);
            contains_word(near, issuer.as_bytes())
        });
    let is_digest = word.starts_with(b"sha") && gap == b":";
    if is_digest || !(is_called || is_issued) {
        return None;
    }
    let mut end = at + length_of(rest, is_part);
    end += length_of(bytes.get(end..)?, |byte| byte == b'=');
    // An identity and its secret in one.
    if let Some(second) = bytes.get(end..)?.strip_prefix(b":")
        && is_random(head(second, is_of_value))
    {
        end += 1 + length_of(second, is_of_value);
    }
    Some(end)
}

/// The end of a token of an issuer that is in no table: a short word, a dash below or between, and a run that nobody would type.
fn unknown(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let word = head(rest, is_part);
    let mut parts = word.split(|byte| !byte.is_ascii_alphanumeric());
    let first = parts.next()?;
    let is_token = first.len() <= 12 && parts.any(|part| part.len() >= 20 && is_mixed(part));
    is_token.then(|| at + length_of(rest, is_part))
}

/// The first bytes that are so, as many as are looked at.
fn head(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> &[u8] {
    let head = bytes.get(..LONGEST).unwrap_or(bytes);
    head.get(..length_of(head, is_part)).unwrap_or_default()
}

/// Whether a word of the text begins so.
fn contains_word(text: &[u8], start: &[u8]) -> bool {
    let mut before = b' ';
    text.windows(start.len()).any(|part| {
        let is_word = !before.is_ascii_alphanumeric() && part == start;
        before = part.first().copied().unwrap_or(b' ');
        is_word
    })
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'~' | b'%' | b':' | b',' | b'\\')
}

fn is_of_value(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'~' | b'%')
}

/// What may stand between a name and its value.
fn is_of_gap(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'"' | b'\'' | b'`' | b'\\' | b'=' | b':' | b'>' | b',' | b'|' | b'?' | b'[' | b']' | b'('
    )
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Whether there is a number that is too long to count anything.
fn has_digits(bytes: &[u8]) -> bool {
    bytes.split(|byte| !byte.is_ascii_digit()).any(|run| run.len() >= SHORTEST_VALUE)
}
