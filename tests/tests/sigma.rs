//! The Sigma engine against pySigma: what each rule says to events that are made from the rules themselves.
//!
//! `tests/sigma/README.md` says how the cases are made. `SIGMA_RULES` names more folders of rules, such as a clone of
//! SigmaHQ's, separated as `PATH` is.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;
use sigma::{Event, RuleErrorKind, RuleIndex, RuleSet, Scratch};

/// The rules of a folder as both sides see them.
#[derive(Debug, Default)]
struct Comparison {
    files: usize,
    cases: usize,
    positive: usize,
    /// Rules that this engine refuses by name although pySigma reads them.
    unsupported: Vec<String>,
    /// Where the two disagree.
    wrong: Vec<String>,
}

#[test]
fn every_rule_says_what_pysigma_says() {
    let own = compare(&[e2e::root().join("tests/sigma/rules")]);
    assert_eq!(own.wrong, Vec::<String>::new());
    // Fewer would mean that cases were not made, and nothing was compared.
    assert!(own.files >= 60 && own.cases >= 3_000 && own.positive >= 1_000, "{own:?}");
    assert_eq!(own.unsupported, ["a-time-of-day.yml", "look-around.yml", "placeholder.yml"]);
}

#[test]
fn the_rules_that_are_shipped_say_what_pysigma_says() {
    let shipped = compare(&[e2e::root().join("rules")]);
    assert_eq!((shipped.wrong, shipped.unsupported), (vec![], vec![]));
    assert!(shipped.cases > shipped.files, "no cases were made");
}

#[test]
fn the_rules_of_other_folders_say_what_pysigma_says() {
    let Some(folders) = env::var_os("SIGMA_RULES") else {
        eprintln!("SIGMA_RULES names no folder: there are no other rules to compare.");
        return;
    };
    let folders: Vec<PathBuf> = env::split_paths(&folders).collect();
    let other = compare(&folders);
    eprintln!("{} files, {} cases, {} of them positive", other.files, other.cases, other.positive);
    other.unsupported.iter().for_each(|name| eprintln!("not supported: {name}"));
    assert_eq!(other.wrong, Vec::<String>::new());
    assert!(other.cases > other.files, "no cases were made");
}

fn compare(folders: &[PathBuf]) -> Comparison {
    let cases = cases(folders);
    let mut comparison = Comparison::default();
    let mut texts = BTreeMap::new();
    for folder in folders {
        read_rules(folder, &mut texts);
    }
    comparison.files = texts.len();
    let loaded = RuleSet::load(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let mut refused = HashMap::new();
    for error in loaded.refused {
        refused.insert(error.path.clone(), error);
    }
    let mut rules: HashMap<&str, Vec<RuleIndex>> = HashMap::new();
    for (index, rule) in loaded.rules.iter() {
        rules.entry(rule.path()).or_default().push(index);
    }
    let mut scratch = Scratch::default();
    let mut judged = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("each line is JSON");
        let Some(file) = case.get("file").and_then(Value::as_str) else {
            // The last line counts: so many files, so many cases.
            assert_eq!(case.get("files").and_then(Value::as_u64), Some(comparison.files as u64), "files");
            assert_eq!(case.get("cases").and_then(Value::as_u64), Some(comparison.cases as u64), "cases");
            judged = comparison.cases;
            continue;
        };
        let refusal = refused.get(file);
        if let Some(accepted) = case.get("accepted").and_then(Value::as_bool) {
            match refusal {
                Some(error) if accepted && error.kind == RuleErrorKind::Unsupported => {
                    let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
                    comparison.unsupported.push(name.into_owned());
                }
                Some(error) if accepted => comparison.wrong.push(format!("refused: {error}")),
                None if !accepted => comparison.wrong.push(format!("loaded, and pySigma refuses: {case}")),
                _ => {}
            }
            continue;
        }
        comparison.cases += 1;
        let expected = case.get("expected").and_then(Value::as_bool).expect("a case has an answer");
        comparison.positive += usize::from(expected);
        if refusal.is_some() {
            continue;
        }
        let position = case.get("rule").and_then(Value::as_u64).expect("a case names its rule");
        let rule = rules.get(file).and_then(|rules| rules.get(usize::try_from(position).ok()?));
        let fields = case.get("fields").and_then(Value::as_object).expect("a case has fields");
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().expect("values are text")))
            .collect();
        let mut matched = false;
        loaded
            .rules
            .matches(&Event { fields: &fields }, &mut scratch, &mut |hit| matched |= Some(&hit) == rule);
        if matched != expected {
            let kind = if expected { "missed" } else { "matched falsely" };
            comparison.wrong.push(format!("{kind}: {line}"));
        }
    }
    assert_eq!(judged, comparison.cases, "the cases end before their last line");
    comparison
}

/// What `cases.py` prints for the folders.
fn cases(folders: &[PathBuf]) -> String {
    let python = e2e::tools::python("tests/sigma/requirements.txt").unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(python);
    command.arg(e2e::root().join("tests/sigma/cases.py")).args(folders);
    let output = command.output().expect("python starts");
    assert!(output.status.success(), "cases.py failed:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cases.py prints UTF-8")
}

fn read_rules(folder: &Path, texts: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder is read to its end").path();
        if path.is_dir() {
            read_rules(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            texts.insert(path.to_string_lossy().into_owned(), text);
        }
    }
}
