//! Text with wildcards, as a rule writes it, and how it matches.
//!
//! `*` stands for any characters, also none; `?` for one. A backslash before `*`, `?` or a backslash takes the meaning
//! from it; before anything else it is a backslash.

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// A part of a text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `%name%`, after the modifier `expand`.
    Placeholder(String),
}

/// Text with wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub(crate) parts: Vec<Part>,
    /// Whether `A` and `a` are different.
    pub(crate) cased: bool,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut run = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let wildcard = match char {
                '\\' => {
                    let next = chars.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    run.push(next.unwrap_or('\\'));
                    continue;
                }
                '*' => Part::Any,
                '?' => Part::One,
                _ => {
                    run.push(char);
                    continue;
                }
            };
            pattern.push_text(&std::mem::take(&mut run));
            pattern.parts.push(wildcard);
        }
        pattern.push_text(&run);
        pattern
    }

    pub(crate) fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push_text(text);
        pattern
    }

    /// Adds text, as one part with the text before it.
    pub(crate) fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Lets anything stand before it.
    pub(crate) fn open_start(&mut self) {
        if self.parts.first() != Some(&Part::Any) {
            self.parts.insert(0, Part::Any);
        }
    }

    /// Lets anything stand after it.
    pub(crate) fn open_end(&mut self) {
        if self.parts.last() != Some(&Part::Any) {
            self.parts.push(Part::Any);
        }
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Any | Part::One))
    }

    /// The text, wildcards as the characters that stand for them.
    pub(crate) fn plain(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Any => "*",
                Part::One => "?",
                Part::Placeholder(_) => "",
            })
            .collect()
    }
}

/// A character of a text that is compared without regard to case.
///
/// Both sides are lowered character by character, as `str.lower` of Python does it for one character.
pub(crate) fn lower_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        if let Some(added) = out.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        return;
    }
    out.extend(text.chars().flat_map(char::to_lowercase));
}

pub(crate) fn lower(text: &str) -> String {
    let mut lowered = String::with_capacity(text.len());
    lower_into(text, &mut lowered);
    lowered
}

/// A pattern with wildcards inside, ready to match.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Glob {
    /// What stands between the `*`; the order is kept.
    segments: Vec<Segment>,
    /// Whether the first segment may stand anywhere.
    open_start: bool,
    /// Whether anything may follow the last one.
    open_end: bool,
}

/// Text and `?`.
type Segment = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Piece {
    Text(String),
    One,
}

impl Glob {
    /// Placeholders have been replaced before.
    pub(crate) fn new(parts: &[Part]) -> Self {
        let mut segments: Vec<Segment> = Vec::new();
        let mut is_new = true;
        for part in parts {
            let piece = match part {
                Part::Text(text) => Piece::Text(text.clone()),
                Part::One => Piece::One,
                Part::Any | Part::Placeholder(_) => {
                    is_new = true;
                    continue;
                }
            };
            match segments.last_mut() {
                Some(last) if !is_new => last.push(piece),
                _ => segments.push(vec![piece]),
            }
            is_new = false;
        }
        let open_start = parts.first() == Some(&Part::Any);
        let open_end = parts.last() == Some(&Part::Any);
        Self { segments, open_start, open_end }
    }

    /// The longest text that must be found for it to match.
    pub(crate) fn longest_text(&self) -> Option<&str> {
        let texts = self.segments.iter().flatten().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::One => None,
        });
        texts.max_by_key(|text| text.len())
    }

    /// Whether the whole text matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let Some((last, others)) = self.segments.split_last() else {
            return text.is_empty() || self.open_start || self.open_end;
        };
        let mut rest = text;
        let mut is_fixed = !self.open_start;
        // The leftmost place of each segment leaves the most to the others.
        for segment in others {
            let after = if is_fixed { match_start(segment, rest) } else { find(segment, rest) };
            let Some(after) = after else { return false };
            rest = after;
            is_fixed = false;
        }
        match (is_fixed, self.open_end) {
            (true, true) => match_start(last, rest).is_some(),
            (true, false) => match_start(last, rest).is_some_and(str::is_empty),
            (false, true) => find(last, rest).is_some(),
            (false, false) => matches_end(last, rest),
        }
    }
}

/// What follows the segment that the text starts with.
fn match_start<'t>(segment: &[Piece], text: &'t str) -> Option<&'t str> {
    segment.iter().try_fold(text, |rest, piece| match piece {
        Piece::Text(text) => rest.strip_prefix(text.as_str()),
        Piece::One => skip_one(rest),
    })
}

fn matches_end(segment: &[Piece], text: &str) -> bool {
    segment
        .iter()
        .rev()
        .try_fold(text, |rest, piece| match piece {
            Piece::Text(text) => rest.strip_suffix(text.as_str()),
            Piece::One => {
                let mut chars = rest.chars();
                chars.next_back().map(|_| chars.as_str())
            }
        })
        .is_some()
}

/// What follows the first place of the segment.
fn find<'t>(segment: &[Piece], text: &'t str) -> Option<&'t str> {
    let mut rest = text;
    loop {
        let here = match segment.first() {
            Some(Piece::Text(first)) => rest.get(memmem::find(rest.as_bytes(), first.as_bytes())?..)?,
            _ => rest,
        };
        if let Some(after) = match_start(segment, here) {
            return Some(after);
        }
        rest = skip_one(here)?;
    }
}

fn skip_one(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_takes_the_meaning_only_from_a_wildcard_or_a_backslash() {
        let text = |text: &str| Part::Text(text.to_owned());
        for (source, expected) in [
            ("a*b?c", vec![text("a"), Part::Any, text("b"), Part::One, text("c")]),
            (r"\*\?", vec![text("*?")]),
            (r"C:\Temp\\*", vec![text(r"C:\Temp\"), Part::Any]),
            (r"C:\Temp\\\*", vec![text(r"C:\Temp\*")]),
            (r"\\\\host", vec![text(r"\\host")]),
            (r"end\", vec![text(r"end\")]),
            ("**", vec![Part::Any, Part::Any]),
            ("", vec![]),
        ] {
            assert_eq!(Pattern::parse(source).parts, expected, "{source}");
        }
    }

    #[test]
    fn wildcards_match_as_a_slow_matcher_says() {
        fn slow(pattern: &[Part], text: &[char]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((Part::Any, rest)) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
                Some((Part::One, rest)) => !text.is_empty() && slow(rest, &text[1..]),
                Some((Part::Text(start), rest)) => {
                    let start: Vec<char> = start.chars().collect();
                    text.starts_with(&start) && slow(rest, &text[start.len()..])
                }
                Some((Part::Placeholder(_), _)) => false,
            }
        }
        let letters = ["a", "b", "?", "*", "é"];
        let words = |length: u32| {
            (0..letters.len().pow(length)).map(move |mut number| {
                let mut word = String::new();
                for _ in 0..length {
                    word.push_str(letters[number % letters.len()]);
                    number /= letters.len();
                }
                word
            })
        };
        for pattern in (0..=4).flat_map(words) {
            let parts = Pattern::parse(&pattern).parts;
            let glob = Glob::new(&parts);
            for text in (0..=3).flat_map(words).chain(["aaaab".to_owned(), "abab".to_owned()]) {
                let chars: Vec<char> = text.chars().collect();
                assert_eq!(glob.is_match(&text), slow(&parts, &chars), "`{pattern}` over `{text}`");
            }
        }
    }
}
