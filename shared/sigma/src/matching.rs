//! Events, and the rules that match them.

use std::net::IpAddr;

use crate::engine::{ANY_FIELD, Engine, Leaf, Node};
use crate::pattern;
use crate::set::{RuleIndex, RuleSet, Selection};
use crate::value::Operator;

/// What happened: fields and their values. The names are those of the rules (`CommandLine`, `Image`), and case matters.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Name and value; of two with one name, the first counts. Keywords look at every value.
    pub fields: &'a [(&'a str, &'a str)],
}

/// Memory that matching needs and keeps from one event to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The number of the event: a mark that holds another number is of an event before.
    event: u32,
    /// The values in lower case, one after the other.
    lowered: String,
    /// Where each value ends in `lowered`.
    ends: Vec<usize>,
    /// By field: the event, and which of its values it is.
    places: Vec<(u32, u32)>,
    /// By leaf: the event in which it was told to hold.
    held: Vec<u32>,
    /// By leaf: the event for which it was asked, and the answer.
    answers: Vec<(u32, bool)>,
    /// By rule: the event for which it became a candidate.
    seen: Vec<u32>,
    candidates: Vec<u32>,
}

impl RuleSet {
    /// Calls `hit` with each rule that matches, in the order of the rules.
    ///
    /// Which log a rule reads is not asked here: see [`RuleSet::select`] and [`RuleSet::matches_of`].
    pub fn matches(&self, event: &Event<'_>, scratch: &mut Scratch, hit: &mut dyn FnMut(RuleIndex)) {
        run(self, None, event, scratch, hit);
    }

    /// Calls `hit` with each rule of the selection that matches, in the order of the rules.
    pub fn matches_of(
        &self,
        selection: &Selection,
        event: &Event<'_>,
        scratch: &mut Scratch,
        hit: &mut dyn FnMut(RuleIndex),
    ) {
        run(self, Some(selection), event, scratch, hit);
    }
}

fn run(
    rules: &RuleSet,
    selection: Option<&Selection>,
    event: &Event<'_>,
    scratch: &mut Scratch,
    hit: &mut dyn FnMut(RuleIndex),
) {
    let engine = rules.engine();
    scratch.begin(engine);
    scratch.read(engine, event);
    let mut candidates = std::mem::take(&mut scratch.candidates);
    candidates.sort_unstable();
    for rule in &candidates {
        let is_meant = selection.is_none_or(|selection| selection.has(RuleIndex(*rule)));
        let Some(root) = engine.roots.get(*rule as usize).filter(|_| is_meant) else { continue };
        if holds(engine, *root, event, scratch) {
            hit(RuleIndex(*rule));
        }
    }
    scratch.candidates = candidates;
}

impl Scratch {
    fn begin(&mut self, engine: &Engine) {
        if self.event == u32::MAX {
            *self = Self::default();
        }
        self.event += 1;
        self.lowered.clear();
        self.ends.clear();
        self.candidates.clear();
        // Another set of rules may have left it smaller; what it left marked is of an event before.
        let fit = |marks: &mut Vec<u32>, length| {
            if marks.len() < length {
                marks.resize(length, 0);
            }
        };
        fit(&mut self.held, engine.leaves.len());
        fit(&mut self.seen, engine.roots.len());
        if self.answers.len() < engine.leaves.len() {
            self.answers.resize(engine.leaves.len(), (0, false));
        }
        if self.places.len() < engine.searches.len() {
            self.places.resize(engine.searches.len(), (0, 0));
        }
    }

    /// Lowers the values, looks for the texts in them, and collects the rules that may match.
    fn read(&mut self, engine: &Engine, event: &Event<'_>) {
        for rule in &engine.always {
            self.consider(*rule);
        }
        for (position, (name, value)) in event.fields.iter().enumerate() {
            let start = self.lowered.len();
            pattern::lower_into(value, &mut self.lowered);
            self.ends.push(self.lowered.len());
            self.read_value(engine, ANY_FIELD, start, value.is_ascii());
            let Some(field) = engine.fields.get(*name).copied() else { continue };
            let Some(place) = self.places.get_mut(field as usize).filter(|(event, _)| *event != self.event)
            else {
                continue;
            };
            *place = (self.event, u32::try_from(position).unwrap_or(u32::MAX));
            self.read_value(engine, field, start, value.is_ascii());
        }
    }

    /// Looks for the texts of a field in the value that starts here and is the last so far.
    fn read_value(&mut self, engine: &Engine, field: u32, start: usize, is_ascii: bool) {
        let Some(search) = engine.searches.get(field as usize) else { return };
        if !is_ascii {
            self.hold(engine, search.beyond_ascii);
        }
        let lowered = std::mem::take(&mut self.lowered);
        let value = lowered.as_bytes().get(start..).unwrap_or_default();
        search.scan(value, &mut |leaf| self.hold(engine, leaf));
        self.lowered = lowered;
    }

    fn hold(&mut self, engine: &Engine, leaf: u32) {
        let Some(held) = self.held.get_mut(leaf as usize) else { return };
        if *held != self.event {
            *held = self.event;
            for next in engine.follows.get(leaf) {
                match next.checked_sub(engine.leaves.len() as u32) {
                    Some(rule) => self.consider(rule),
                    // As deep as the condition of a rule is nested, which is bounded.
                    None => self.hold(engine, *next),
                }
            }
        }
    }

    fn consider(&mut self, rule: u32) {
        let Some(seen) = self.seen.get_mut(rule as usize) else { return };
        if *seen != self.event {
            *seen = self.event;
            self.candidates.push(rule);
        }
    }

    fn position(&self, field: u32) -> Option<usize> {
        let (event, position) = *self.places.get(field as usize)?;
        (event == self.event).then_some(position as usize)
    }

    fn lowered(&self, position: usize) -> &str {
        let start =
            position.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(position).copied().unwrap_or_default();
        self.lowered.get(start..end).unwrap_or_default()
    }
}

/// Whether a node holds. As deep as the condition of a rule is nested, which is bounded.
fn holds(engine: &Engine, node: u32, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    let children =
        |first: u32, end: u32| engine.children.get(first as usize..end as usize).unwrap_or_default();
    match engine.nodes.get(node as usize) {
        None => false,
        Some(Node::Leaf(leaf)) => leaf_holds(engine, *leaf, event, scratch),
        Some(Node::Guarded { first, end, leaf }) => {
            children(*first, *end).iter().all(|guard| holds(engine, *guard, event, scratch))
                && leaf_holds(engine, *leaf, event, scratch)
        }
        Some(Node::Not(inner)) => !holds(engine, *inner, event, scratch),
        Some(Node::And { first, end }) => {
            children(*first, *end).iter().all(|child| holds(engine, *child, event, scratch))
        }
        Some(Node::Or { first, end }) => {
            children(*first, *end).iter().any(|child| holds(engine, *child, event, scratch))
        }
    }
}

fn leaf_holds(engine: &Engine, number: u32, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    let Some(leaf) = engine.leaves.get(number as usize) else { return false };
    if let Leaf::Told = leaf {
        return scratch.held.get(number as usize) == Some(&scratch.event);
    }
    if let Some((asked, answer)) = scratch.answers.get(number as usize)
        && *asked == scratch.event
    {
        return *answer;
    }
    let answer = ask(leaf, event, scratch);
    if let Some(slot) = scratch.answers.get_mut(number as usize) {
        *slot = (scratch.event, answer);
    }
    answer
}

fn ask(leaf: &Leaf, event: &Event<'_>, scratch: &Scratch) -> bool {
    let value =
        |field: u32| scratch.position(field).and_then(|at| event.fields.get(at)).map(|(_, value)| *value);
    match leaf {
        Leaf::Told => false,
        Leaf::Glob { field, glob, cased: true } => any_value(*field, event, scratch, |at| {
            event.fields.get(at).is_some_and(|(_, value)| glob.is_match(value))
        }),
        Leaf::Glob { field, glob, cased: false } => {
            any_value(*field, event, scratch, |at| glob.is_match(scratch.lowered(at)))
        }
        Leaf::Regex { field, regex } => any_value(*field, event, scratch, |at| {
            event.fields.get(at).is_some_and(|(_, value)| regex.is_match(value))
        }),
        Leaf::Empty { field } => any_value(*field, event, scratch, |at| scratch.lowered(at).is_empty()),
        Leaf::Present { field } => any_value(*field, event, scratch, |_| true),
        Leaf::Absent { field } => value(*field).is_none(),
        Leaf::Number { field, value: number } => value(*field).and_then(number_of) == Some(*number),
        Leaf::Compare { field, operator, value: number } => {
            value(*field).and_then(number_of).is_some_and(|value| match operator {
                Operator::Less => value < *number,
                Operator::LessOrEqual => value <= *number,
                Operator::Greater => value > *number,
                Operator::GreaterOrEqual => value >= *number,
            })
        }
        Leaf::Bool { field, value: expected } => {
            let expected = if *expected { "true" } else { "false" };
            value(*field).is_some_and(|value| value.eq_ignore_ascii_case(expected))
        }
        Leaf::Network { field, network } => {
            value(*field).and_then(address).is_some_and(|address| network.contains(&address))
        }
        Leaf::Field { field, other, starts, ends } => {
            let (Some(value), Some(other)) = (scratch.position(*field), scratch.position(*other)) else {
                return false;
            };
            let (value, other) = (scratch.lowered(value), scratch.lowered(other));
            match (starts, ends) {
                (true, true) => memchr::memmem::find(value.as_bytes(), other.as_bytes()).is_some(),
                (true, false) => value.starts_with(other),
                (false, true) => value.ends_with(other),
                (false, false) => value == other,
            }
        }
    }
}

/// Whether the value of a field, or any value of the event, is as asked.
fn any_value(field: u32, event: &Event<'_>, scratch: &Scratch, is: impl Fn(usize) -> bool) -> bool {
    if field == ANY_FIELD {
        return (0..event.fields.len()).any(is);
    }
    scratch.position(field).is_some_and(is)
}

/// A number in decimal digits; a sign, a point and an exponent are allowed.
fn number_of(text: &str) -> Option<f64> {
    let is_number =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_number { text.parse().ok() } else { None }
}

fn address(text: &str) -> Option<IpAddr> {
    // `fe80::1%eth0`: the zone is not part of the address.
    let text = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() && address.contains(':') => address,
        _ => text,
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a rule says when nothing is left out because a text was not found.
    fn holds_slowly(engine: &Engine, node: u32, event: &Event<'_>, scratch: &Scratch) -> bool {
        match engine.nodes[node as usize] {
            Node::Not(inner) => !holds_slowly(engine, inner, event, scratch),
            Node::And { first, end } => engine.children[first as usize..end as usize]
                .iter()
                .all(|child| holds_slowly(engine, *child, event, scratch)),
            Node::Or { first, end } => engine.children[first as usize..end as usize]
                .iter()
                .any(|child| holds_slowly(engine, *child, event, scratch)),
            Node::Leaf(leaf) | Node::Guarded { leaf, .. } => match &engine.leaves[leaf as usize] {
                Leaf::Told => scratch.held[leaf as usize] == scratch.event,
                other => ask(other, event, scratch),
            },
        }
    }

    fn value() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "'*ab*c*'",
            "'a?c'",
            "'abc'",
            "'*'",
            "''",
            "'é*'",
            "'*\u{17f}k'",
            "'k?s*'",
            "abcab",
            "null",
            "5",
        ])
        .prop_map(str::to_owned)
    }

    fn entry() -> impl Strategy<Value = String> {
        let regexes =
            vec!["'a.c'", "'(?i)sk'", "'(ab|k)s'", "'[ab]{2}c?'", "'^é'", "'x*'", "'a+b'", "'(?i:s)a'"];
        prop_oneof![
            (prop::sample::select(vec!["A", "B", "A|neq", "B|neq"]), value())
                .prop_map(|(key, value)| format!("{key}: {value}")),
            (
                prop::sample::select(vec!["A|re", "B|re|i", "'|re'", "A|re|neq"]),
                prop::sample::select(regexes)
            )
                .prop_map(|(key, value)| format!("{key}: {value}")),
            prop::sample::select(vec![
                "A|contains: ab",
                "B|endswith: c",
                "A|cased: 'a*B*'",
                "'|contains': sk",
                "A|fieldref: B"
            ])
            .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_rule_that_is_not_looked_at_could_not_match(
            rules in prop::collection::vec((entry(), entry(), entry(), 0_usize..8), 1..6),
            values in prop::collection::vec("[abcABk\u{212a}sS\u{17f}éÉ ]{0,7}", 0..4),
        ) {
            let conditions = [
                "a and b and c", "a or b or c", "a and not b", "not a and c", "not (a and b) and c", "not (not a or b)",
                "1 of them", "not (a or b or c)",
            ];
            let text = |(a, b, c, condition): &(String, String, String, usize)| {
                let condition = conditions[*condition];
                format!(
                    "title: t\nlogsource: {{product: linux}}\ndetection:\n  a: {{{a}}}\n  b: {{{b}}}\n  c: {{{c}}}\n  condition: {condition}\n"
                )
            };
            let texts: Vec<String> = rules.iter().map(text).collect();
            let loaded = RuleSet::load(texts.iter().map(|text| ("x.yml", text.as_str())));
            prop_assert_eq!(&loaded.refused, &[]);
            let fields: Vec<(&str, &str)> =
                ["A", "B", "A"].into_iter().zip(values.iter().map(String::as_str)).collect();
            let event = Event { fields: &fields };
            let mut scratch = Scratch::default();
            let mut found = Vec::new();
            loaded.rules.matches(&event, &mut scratch, &mut |rule| found.push(rule.as_usize()));
            let engine = loaded.rules.engine();
            let slowly: Vec<usize> = (0..loaded.rules.len())
                .filter(|rule| holds_slowly(engine, engine.roots[*rule], &event, &scratch))
                .collect();
            prop_assert_eq!(found, slowly);
        }
    }
}
