//! Redaction against two kept sets of rules about secrets, and against commands that hold none.
//!
//! `tests/redaction/README.md` says how the cases are made.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use session::redact::{plain, shown};

/// More than any case is long.
const WHOLE: usize = 1 << 20;
/// How much of a secret in a row is as good as all of it.
const PIECE: usize = 12;
/// Rules whose secrets are not known in every place, how many of their cases may be shown, and why.
const KNOWN: [(&str, usize, &str); 4] = [
    ("detect-secrets:Private Key", 30, "it takes the words of a key's first line for the key"),
    ("detect-secrets:Artifactory Credentials", 15, "AP and nine letters are words too, where no name tells"),
    ("kingfisher:betterleaks.sidekiq-secret", 2, "eight characters, a colon, eight characters"),
    ("kingfisher:betterleaks.pagerduty-authorization-token.1", 2, "a value without digits, behind `||`"),
];

/// No secret reaches an alert: what a kept set of rules takes for a secret is not shown, whoever issued it and whatever stands around it.
#[test]
fn what_kept_rules_find_is_not_shown() {
    let cases = cases();
    let mut left = BTreeMap::<String, Vec<String>>::new();
    let mut total = 0;
    let mut summary = None;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("each line is JSON");
        let Some(rule) = case.get("rule").and_then(Value::as_str) else {
            summary = Some(case);
            continue;
        };
        total += 1;
        let text = case.get("text").and_then(Value::as_str).expect("a case has a text");
        let after = shown(text, WHOLE);
        let secrets = case.get("secrets").and_then(Value::as_array).expect("a case has secrets");
        if secrets.iter().filter_map(Value::as_str).any(|secret| is_left(secret, text, &after)) {
            left.entry(rule.to_owned()).or_default().push(format!("{text:?} was shown as {after:?}"));
        }
    }
    let summary = summary.expect("the cases end before their last line");
    let count = |name: &str| summary.get(name).and_then(Value::as_u64).expect("a count");
    eprintln!(
        "{} rules, {total} cases, shown: {}",
        count("rules"),
        left.values().map(Vec::len).sum::<usize>()
    );
    assert_eq!(count("cases"), total, "cases");
    // Fewer would mean that cases were not made. A token that no key signed is none to detect-secrets; Kingfisher's are made.
    assert!(count("rules") >= 450 && total >= 15_000, "{summary}");
    assert_eq!(summary.get("without"), Some(&serde_json::json!(["detect-secrets:JSON Web Token"])));
    left.retain(|rule, shown| !KNOWN.iter().any(|(known, most, _)| known == rule && shown.len() <= *most));
    assert!(left.is_empty(), "{left:#?}");
}

/// The other way: of the commands that are evidence of the shipped rules, at most one in fifty is touched, and every one that is
/// has a secret's place in it.
#[test]
fn commands_without_a_secret_are_shown_as_they_are() {
    let mut commands = BTreeSet::new();
    for rule in fs::read_dir(e2e::root().join("rules")).expect("rules") {
        let rule = rule.expect("a rule").path();
        for kind in ["match", "no-match"] {
            read_commands(&rule.join(kind), &mut commands);
        }
    }
    let changed: Vec<String> = commands
        .iter()
        .map(|command| plain(command).trim().to_owned())
        .filter(|command| shown(command, WHOLE) != *command)
        .map(|command| format!("{command}\n  {}", shown(&command, WHOLE)))
        .collect();
    assert!(commands.len() >= 1_300, "{}", commands.len());
    assert!(
        changed.len() * 50 <= commands.len(),
        "{} of {}:\n{}",
        changed.len(),
        commands.len(),
        changed.join("\n")
    );
}

/// Whether a secret, or so much of it that the rest can be guessed, is still there.
fn is_left(secret: &str, text: &str, after: &str) -> bool {
    let (secret, text) = (plain(secret), plain(text));
    if after.contains(&secret) {
        return true;
    }
    // A connection string or an object around a secret; its names and hosts may stay.
    if secret.contains([';', '"']) {
        return false;
    }
    let elsewhere = text.replace(&secret, "");
    secret
        .as_bytes()
        .windows(PIECE)
        .filter_map(|piece| std::str::from_utf8(piece).ok())
        .any(|piece| !piece.contains(' ') && after.contains(piece) && !elsewhere.contains(piece))
}

fn read_commands(folder: &Path, commands: &mut BTreeSet<String>) {
    let Ok(files) = fs::read_dir(folder) else { return };
    for file in files {
        let text = fs::read_to_string(file.expect("a file").path()).expect("evidence");
        commands.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    }
}

fn cases() -> String {
    let python = e2e::tools::python("tests/redaction/requirements.txt").expect("Python");
    let cache = e2e::target().join("tools/redaction-rules");
    let output = Command::new(python)
        .arg(e2e::root().join("tests/redaction/cases.py"))
        .arg(cache)
        .output()
        .expect("cases.py can be started");
    if !output.status.success() {
        panic!("cases.py: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).expect("cases are UTF-8")
}
