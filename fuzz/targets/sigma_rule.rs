//! A rule file and an event: the file loads or every error says why not, and matching depends on nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma::{Event, RuleSet, Scratch};

const OTHER: &str = "
title: Another rule
logsource: {product: linux}
detection:
    selection: {CommandLine|contains: a, Image|re: 'b.?c'}
    keywords: ['d*e', 'é']
    condition: 1 of them
";

fuzz_target!(|input: &str| {
    let mut parts = input.split('\0');
    let text = parts.next().unwrap_or_default();
    let fields: Vec<(&str, &str)> = ["CommandLine", "Image", "User"].into_iter().zip(parts).collect();
    let alone = RuleSet::load([("x.yml", text)]);
    // To YAML a carriage return alone ends a line too.
    let lines = text.matches(['\n', '\r']).count() + 1;
    for error in &alone.refused {
        assert!(!error.reason.is_empty() && error.path == "x.yml");
        assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
    }
    let beside = RuleSet::load([("other.yml", OTHER), ("x.yml", text)]);
    assert_eq!(beside.rules.len(), alone.rules.len() + 1);
    let mut scratch = Scratch::default();
    let first = matching(&alone.rules, &fields, &mut scratch);
    // What another set and another event left in the scratch is of no account.
    let mut others = matching(&beside.rules, &fields, &mut scratch);
    matching(&beside.rules, &[("CommandLine", "a d-e"), ("Image", "bc")], &mut scratch);
    assert_eq!(first, matching(&alone.rules, &fields, &mut scratch));
    // The other rule is the first of its set.
    others.retain(|rule| *rule != 0);
    assert_eq!(first, others.iter().map(|rule| rule - 1).collect::<Vec<_>>());
});

fn matching(rules: &RuleSet, fields: &[(&str, &str)], scratch: &mut Scratch) -> Vec<usize> {
    let mut found = Vec::new();
    rules.matches(&Event { fields }, scratch, &mut |rule| found.push(rule.as_usize()));
    found
}
