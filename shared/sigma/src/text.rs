//! A fast look through plain text for what rules look for.

use std::collections::BTreeSet;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::{Anchored, MatchKind, StartKind, dfa};

use crate::engine::Witnesses;
use crate::set::{RuleIndex, RuleSet, Selection};

/// How many parts of a block are looked through at the same time: the steps of one wait for memory while those of the
/// others are taken.
const LANES: usize = 4;
/// A shorter block is looked through in one part.
const MIN_LANE_BYTES: usize = 1 << 10;

/// Finds the places of a text at which a rule may match, so that only those are asked of the rules.
///
/// A place is found when one of the texts without which a rule cannot match ends there. The case of ASCII letters does
/// not matter; that of other letters does, so that a rule that looks for `É` does not find `é` here.
#[derive(Debug)]
pub struct TextFilter {
    automaton: Option<Box<dfa::DFA>>,
    longest: usize,
    uncovered: Vec<RuleIndex>,
}

impl TextFilter {
    /// For the rules of a selection, where the text stands for the values of these fields (and for keywords).
    ///
    /// Texts shorter than `shortest` bytes are not looked for: they are everywhere.
    pub fn new(rules: &RuleSet, selection: &Selection, fields: &[&str], shortest: usize) -> Self {
        let engine = rules.engine();
        let fields: Vec<u32> = fields.iter().filter_map(|field| engine.fields.get(*field).copied()).collect();
        let is_usable = |(field, texts): &(u32, Vec<Box<str>>)| {
            (*field == crate::engine::ANY_FIELD || fields.contains(field))
                && texts.iter().all(|text| text.len() >= shortest.max(1))
        };
        let chances: Vec<Option<f32>> = engine
            .leaf_texts
            .iter()
            .zip(&engine.chances)
            .map(|(leaf, chance)| chance.filter(|_| is_usable(leaf)))
            .collect();
        let mut witnesses = Witnesses::new(&engine.nodes, &engine.children, &chances);
        let mut texts = BTreeSet::new();
        let mut uncovered = Vec::new();
        for (rule, _) in rules.iter().filter(|(rule, _)| selection.has(*rule)) {
            let root = engine.roots.get(rule.as_usize()).copied();
            match root.and_then(|root| witnesses.of_rule(root)) {
                Some(leaves) => texts.extend(
                    leaves
                        .iter()
                        .filter_map(|leaf| engine.leaf_texts.get(*leaf as usize))
                        .flat_map(|(_, texts)| texts),
                ),
                None => uncovered.push(rule),
            }
        }
        let mut builder = dfa::DFA::builder();
        builder
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Unanchored);
        let automaton = if texts.is_empty() {
            None
        } else {
            builder.build(texts.iter().map(|text| text.as_bytes())).ok()
        };
        if automaton.is_none() {
            uncovered = rules.iter().map(|(rule, _)| rule).filter(|rule| selection.has(*rule)).collect();
        }
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or_default();
        Self { automaton: automaton.map(Box::new), longest, uncovered }
    }

    /// The rules of the selection that this does not look for: they ask for no text that is long enough, or for one in
    /// another field.
    pub fn uncovered(&self) -> &[RuleIndex] {
        &self.uncovered
    }

    /// Puts the ends of the texts that are found into `ends`, in order and each once.
    pub fn find(&self, block: &[u8], ends: &mut Vec<usize>) {
        ends.clear();
        let Some(automaton) = &self.automaton else { return };
        let lane = block.len() / LANES;
        if lane < self.longest.max(MIN_LANE_BYTES) {
            look(automaton, &[block], |_, end| ends.push(end));
        } else {
            // A lane starts early, to see what begins before it and ends in it; what ends before it, the lane before sees.
            let early = self.longest - 1;
            let starts: [usize; LANES] = std::array::from_fn(|number| (number * lane).saturating_sub(early));
            let lanes: [&[u8]; LANES] = std::array::from_fn(|number| {
                let start = starts.get(number).copied().unwrap_or_default();
                let end = if number + 1 == LANES { block.len() } else { (number + 1) * lane };
                block.get(start..end).unwrap_or_default()
            });
            look(automaton, &lanes, |number, end| {
                let end = end + starts.get(number).copied().unwrap_or_default();
                if end > number * lane || number == 0 {
                    ends.push(end);
                }
            });
        }
        ends.sort_unstable();
        ends.dedup();
    }
}

/// Looks through texts at the same time; `found` is called with the number of the text and the end of what was found.
fn look<const N: usize>(automaton: &dfa::DFA, texts: &[&[u8]; N], mut found: impl FnMut(usize, usize)) {
    let Ok(start) = automaton.start_state(Anchored::No) else { return };
    let mut states = [start; N];
    let together = texts.iter().map(|text| text.len()).min().unwrap_or_default();
    let heads: [&[u8]; N] = std::array::from_fn(|number| {
        texts.get(number).and_then(|text| text.get(..together)).unwrap_or_default()
    });
    for at in 0..together {
        let mut is_special = false;
        for (state, head) in states.iter_mut().zip(&heads) {
            let Some(byte) = head.get(at) else { return };
            *state = automaton.next_state(Anchored::No, *state, *byte);
            is_special |= automaton.is_special(*state);
        }
        if is_special {
            let matched = states.iter().enumerate().filter(|(_, state)| automaton.is_match(**state));
            matched.for_each(|(number, _)| found(number, at + 1));
        }
    }
    for (number, (state, text)) in states.iter_mut().zip(texts).enumerate() {
        for (at, byte) in text.iter().enumerate().skip(together) {
            *state = automaton.next_state(Anchored::No, *state, *byte);
            if automaton.is_match(*state) {
                found(number, at + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::rules;

    #[test]
    fn the_ends_of_all_texts_are_found_in_any_lane() {
        let rules = rules(&["CommandLine|contains: ['curl ', 'abcab', 'b']", "Image|endswith: '/nc'"]);
        let filter = TextFilter::new(&rules, &rules.select(|_| true), &["CommandLine"], 1);
        assert_eq!(filter.uncovered().len(), 1);
        let mut ends = Vec::new();
        for length in [10, 5_000, 20_011] {
            let mut text = vec![b'.'; length];
            let mut expected = Vec::new();
            for at in (0..length - 6).step_by(7) {
                text[at..at + 5].copy_from_slice(b"CURL ");
                expected.push(at + 5);
            }
            filter.find(&text, &mut ends);
            assert_eq!(ends, expected, "{length}");
        }
        filter.find(b"xabcab", &mut ends);
        assert_eq!(ends, [3, 6]);
    }

    #[test]
    fn a_text_that_is_too_short_leaves_its_rule_uncovered() {
        let rules =
            rules(&["CommandLine|contains: 'id'", "CommandLine|contains: 'whoami'", "CommandLine|re: '.'"]);
        let filter = TextFilter::new(&rules, &rules.select(|_| true), &["CommandLine"], 4);
        let uncovered: Vec<usize> = filter.uncovered().iter().map(|rule| rule.as_usize()).collect();
        assert_eq!(uncovered, [0, 2]);
    }

    #[test]
    fn the_case_of_letters_outside_of_ascii_matters() {
        let rules = rules(&["CommandLine|contains: 'été'"]);
        let filter = TextFilter::new(&rules, &rules.select(|_| true), &["CommandLine"], 1);
        let mut ends = Vec::new();
        filter.find("été".as_bytes(), &mut ends);
        assert_eq!(ends.len(), 1);
        filter.find("ÉTÉ".as_bytes(), &mut ends);
        assert_eq!(ends.len(), 0);
    }
}
