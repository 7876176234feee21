//! What can be told of a regular expression before it is compiled: the texts one of which must be found before it can
//! match, and how large it is.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::pattern;

/// More texts than this are no help.
const MAX_TEXTS: usize = 32;

/// Texts in lower case, at least one of which is in every text that matches, once that is lowered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Required {
    pub(crate) texts: Vec<String>,
    /// Whether a character outside of ASCII may stand for one in a text although lowering does not make it that (`ſ` for
    /// `s`): a value with such characters has to be looked at in any case.
    pub(crate) folds: bool,
}

impl Required {
    /// The shortest of its texts says how much it helps.
    fn weight(&self) -> usize {
        self.texts.iter().map(String::len).min().unwrap_or_default()
    }
}

/// What an expression requires, or nothing where that cannot be told.
pub(crate) fn required(hir: &Hir) -> Option<Required> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(Required { texts: vec![pattern::lower(text)], folds: false })
        }
        HirKind::Class(class) => {
            let (char, folds) = one_letter(class)?;
            Some(Required { texts: vec![char.to_string()], folds })
        }
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => {
            let mut all = Required::default();
            for part in parts {
                let part = required(part)?;
                all.folds |= part.folds;
                all.texts.extend(part.texts);
            }
            (all.texts.len() <= MAX_TEXTS).then_some(all)
        }
        _ => None,
    }
}

/// How many steps an expression is, repetitions counted as copies.
pub(crate) fn size(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(size).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        // A range beyond ASCII is several sequences of bytes.
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| if range.end().is_ascii() { 1 } else { 8 }).sum()
        }
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            size(&repetition.sub).saturating_mul(u64::from(copies)).saturating_add(1)
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

/// The best of the parts, where neighbours that are single characters or texts make one text.
fn concat(parts: &[Hir]) -> Option<Required> {
    let mut best: Option<Required> = None;
    let mut keep = |candidate: Required| {
        if best.as_ref().is_none_or(|best| candidate.weight() > best.weight()) {
            best = Some(candidate);
        }
    };
    let mut run = Required { texts: vec![String::new()], folds: false };
    for part in parts {
        let exact = match part.kind() {
            HirKind::Literal(_) | HirKind::Class(_) => required(part),
            _ => None,
        };
        match (exact, run.texts.first_mut()) {
            (Some(exact), Some(text)) => {
                text.extend(exact.texts);
                run.folds |= exact.folds;
            }
            _ => {
                keep(std::mem::replace(&mut run, Required { texts: vec![String::new()], folds: false }));
                if let Some(inner) = required(part) {
                    keep(inner);
                }
            }
        }
    }
    keep(run);
    best.filter(|best| best.weight() > 0)
}

/// The letter that all characters of a class are when they are lowered.
fn one_letter(class: &Class) -> Option<(char, bool)> {
    let Class::Unicode(class) = class else { return None };
    let mut letter = None;
    let mut folds = false;
    for range in class.ranges() {
        if range.len() > 4 {
            return None;
        }
        for char in range.start()..=range.end() {
            let mut lowered = char.to_lowercase();
            let lowered = lowered.next().filter(|_| lowered.len() == 0);
            match (letter, lowered) {
                (None, Some(_)) => letter = lowered,
                (Some(letter), Some(lowered)) if letter == lowered => {}
                // Ranges are in order, so that the ASCII letter has been seen.
                (Some(letter), _) if letter.is_ascii() && !char.is_ascii() => folds = true,
                _ => return None,
            }
        }
    }
    letter.map(|letter| (letter, folds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_counts_repetitions_as_copies() {
        for (pattern, expected) in
            [("abc", 3), ("(?:ab){10}", 21), ("[a-z0-9]", 2), ("[^a]", 9), ("(?:(?:a{9}){9}){9}", 829)]
        {
            let hir = regex_syntax::parse(pattern).unwrap();
            assert!(size(&hir).abs_diff(expected) <= 12, "{pattern}: {}", size(&hir));
        }
    }

    #[test]
    fn a_text_is_required_only_when_every_match_has_it() {
        for (pattern, texts, folds) in [
            ("abc", vec!["abc"], false),
            ("(?i)Curl", vec!["curl"], false),
            ("(?i)sudo", vec!["sudo"], true),
            (r"\s+wget\s+[^|]+\|\s*bash", vec!["wget"], false),
            ("(?:nc|ncat) .*-e", vec!["nc", "ncat"], false),
            ("x?", vec![], false),
            ("a|b*", vec![], false),
            ("[ab]cd", vec!["cd"], false),
            ("(?:ab)+", vec!["ab"], false),
            ("É", vec!["é"], false),
        ] {
            let found = required(&regex_syntax::parse(pattern).unwrap());
            let found = found.unwrap_or_default();
            assert_eq!(
                (found.texts, found.folds),
                (texts.into_iter().map(str::to_owned).collect(), folds),
                "{pattern}"
            );
        }
    }
}
