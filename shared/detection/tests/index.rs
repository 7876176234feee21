//! An index that does not fit is named, and the form that is written is that of its number.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use detection::{IndexError, Rules};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// A question of every kind that an index keeps.
const RULE: &str = r"
title: Questions
id: 7d0d0f5a-2f3a-4b7a-9a4e-0f3f8c1f2a01
status: test
level: high
description: All that a rule says of itself
author: A team
references: ['https://example.org/']
tags: [attack.t1059.004]
falsepositives: [Ordinary work]
runbook: https://example.org/texts
logsource: {product: linux, category: process_creation}
detection:
    texts: {CommandLine|contains|all: [a, bc, defgh, é]}
    places: {Image|startswith: /x/, ParentImage|endswith: /y, User: z}
    glob: {CommandLine: 'curl *ex?mple*'}
    expression: {CommandLine|re|i: 'base(32|64) +-d'}
    kept: {CommandLine: '', User: null, Image|exists: true, CommandLine|fieldref: Image}
    numbers: {ProcessId|gte: 5, ParentProcessId: 4, DestinationIp|cidr: 10.0.0.0/8, Elevated: true}
    condition: texts and places or glob or (expression and not kept) or numbers
";

fn index() -> Vec<u8> {
    let loaded = Rules::load([("rule.yml", RULE)]);
    assert_eq!(loaded.refused, []);
    loaded.rules.to_index().unwrap()
}

#[test]
fn a_change_of_what_is_written_has_a_new_number() {
    // If this fails, an index of the version before would be misread: raise the number in `index.rs`, and put the new
    // digest here.
    let digest: String = Sha256::digest(index()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "ecd8831f8956e74d");
}

#[test]
fn what_is_no_index_of_this_version_is_named() {
    let index = index();
    let line = index.iter().position(|byte| *byte == b'\n').unwrap();
    let other = [b"ssm-guard rules 0.0.9-7", &index[line..]].concat();
    let longer = [&index[..], b"!"].concat();
    for (bytes, expected) in [
        (&b""[..], "it is not an index of rules: `ssm-guard compile` writes one"),
        (RULE.as_bytes(), "it is not an index of rules: `ssm-guard compile` writes one"),
        (
            &other,
            "ssm-guard 0.0.9-7 wrote it, and this is 0.1.0-1: write it again with this version's `ssm-guard compile`",
        ),
        (&index[..line], "it is not an index of rules: `ssm-guard compile` writes one"),
        (&longer, "it is damaged: 1 bytes follow it"),
    ] {
        assert_eq!(Rules::from_index(bytes).unwrap_err().to_string(), expected);
    }
    for end in line + 1..index.len() {
        assert!(matches!(Rules::from_index(&index[..end]), Err(IndexError::Damaged(_))), "cut off at {end}");
    }
}

proptest! {
    #[test]
    fn a_damaged_index_is_refused_or_read(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut index = index();
        let at = at.index(index.len());
        index[at] = byte;
        // Neither panics; what a changed letter of a rule means is nobody's to know.
        drop(Rules::from_index(&index));
    }
}
