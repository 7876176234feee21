//! The Sigma engine against pySigma: what each rule says to events that are made from the rules themselves. The rules are
//! asked as they are loaded, and once more as a function has them, read from what was written of them.
//!
//! `tests/sigma/README.md` says how the cases are made. `SIGMA_RULES` names more folders of rules, such as a clone of
//! SigmaHQ's, separated as `PATH` is.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;
use sigma::{Event, RuleError, RuleErrorKind, RuleIndex, RuleSet, Scratch};

/// The rules of folders as both sides see them.
#[derive(Debug, Default)]
struct Comparison {
    files: u64,
    cases: u64,
    positive: u64,
    answers: u64,
    /// Files that both sides refuse.
    refused: Vec<String>,
    /// Rules that this engine refuses by name although pySigma reads them.
    unsupported: Vec<String>,
    /// Where the two disagree.
    wrong: Vec<String>,
}

#[test]
fn every_form_of_rule_says_what_pysigma_says() {
    let own = compare(&[e2e::root().join("tests/sigma/rules")], 1);
    assert_eq!(own.wrong, Vec::<String>::new());
    let is_meant = |file: &String| file.contains("/refused/");
    assert!(own.refused.len() >= 39 && own.refused.iter().all(is_meant), "{:?}", own.refused);
    assert_eq!(own.unsupported, ["timeframe.yml", "unicode-property.yml"]);
    // Fewer would mean that cases were not made, and nothing was compared.
    assert!(
        own.files >= 110 && own.cases >= 1_800 && own.positive >= 800 && own.answers >= 100_000,
        "{own:?}"
    );
}

#[test]
fn the_shipped_rules_say_what_pysigma_says() {
    let shipped = compare(&[e2e::root().join("rules")], 50);
    assert_eq!((shipped.wrong, shipped.refused, shipped.unsupported), (vec![], vec![], vec![]));
    assert!(shipped.cases > 10 * shipped.files && shipped.positive > shipped.files, "no cases were made");
}

#[test]
fn the_rules_of_other_folders_say_what_pysigma_says() {
    let Some(folders) = env::var_os("SIGMA_RULES") else {
        eprintln!("SIGMA_RULES names no folder: there are no other rules to compare.");
        return;
    };
    let folders: Vec<PathBuf> = env::split_paths(&folders).collect();
    let other = compare(&folders, 1_000);
    let Comparison { files, cases, positive, answers, refused, unsupported, wrong } = &other;
    eprintln!("{files} files, {cases} cases, {positive} of them positive, {answers} answers compared");
    eprintln!("{} files are refused by both", refused.len());
    unsupported.iter().for_each(|name| eprintln!("not supported: {name}"));
    assert_eq!(*wrong, Vec::<String>::new());
    assert!(*cases > 10 * files && positive > files, "no cases were made");
}

/// Asks both sides the same; every `cross`th event is asked of all rules.
fn compare(folders: &[PathBuf], cross: u32) -> Comparison {
    let lines = cases(folders, cross);
    let mut texts = BTreeMap::new();
    for folder in folders {
        read_rules(folder, &mut texts);
    }
    let loaded = RuleSet::load(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let refused: HashMap<&str, &RuleError> =
        loaded.refused.iter().map(|error| (error.path.as_str(), error)).collect();
    let names = names(&loaded.rules);
    let mut comparison = Comparison::default();
    let mut is_complete = false;
    let deployed = read_again(&loaded.rules);
    let mut scratch = Scratch::default();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("each line is JSON");
        if let Some(count) = line.get("answers") {
            assert_eq!(line.get("files").and_then(Value::as_u64), Some(texts.len() as u64), "files");
            assert_eq!(line.get("cases").and_then(Value::as_u64), Some(comparison.cases), "cases");
            comparison.answers = count.as_u64().expect("a count");
            comparison.positive = line.get("positive").and_then(Value::as_u64).expect("a count");
            is_complete = true;
        } else if let Some(file) = line.get("file").and_then(Value::as_str) {
            comparison.files += 1;
            let is_accepted = line.get("accepted") == Some(&Value::Bool(true));
            compare_file(file, is_accepted, refused.get(file).copied(), &mut comparison);
        } else {
            comparison.cases += 1;
            let event: Vec<(&str, &str)> = line
                .get("fields")
                .and_then(Value::as_object)
                .expect("a case has fields")
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().expect("a value is text")))
                .collect();
            let mut matching_of = |rules: &RuleSet| {
                let mut matching = BTreeSet::new();
                rules.matches(&Event { fields: &event }, &mut scratch, &mut |rule| {
                    matching.extend(names.get(&rule));
                });
                matching
            };
            let matching = matching_of(&loaded.rules);
            let again = matching_of(&deployed);
            if again != matching {
                comparison.wrong.push(format!("written and read: {again:?}, before: {matching:?}: {line}"));
            }
            compare_case(&line, matching, &refused, &mut comparison);
        }
    }
    assert!(is_complete, "the cases end before their last line");
    comparison
}

fn compare_file(file: &str, is_accepted: bool, refusal: Option<&RuleError>, comparison: &mut Comparison) {
    match refusal {
        Some(error) if is_accepted && error.kind == RuleErrorKind::Unsupported => {
            let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
            comparison.unsupported.push(name.into_owned());
        }
        Some(error) if is_accepted => comparison.wrong.push(format!("refused: {error}")),
        Some(_) => comparison.refused.push(file.to_owned()),
        None if !is_accepted => comparison.wrong.push(format!("loaded, and pySigma refuses it: {file}")),
        None => {}
    }
}

fn compare_case<'c>(
    case: &'c Value,
    mut matching: BTreeSet<&'c String>,
    refused: &HashMap<&str, &RuleError>,
    comparison: &mut Comparison,
) {
    let is_loaded = |rule: &str| rule.rsplit_once('#').is_none_or(|(file, _)| !refused.contains_key(file));
    let expected = case.get("matching").and_then(Value::as_array).expect("a case has answers");
    let expected = expected.iter().filter_map(Value::as_str).filter(|rule| is_loaded(rule));
    let expected: BTreeSet<&str> = expected.collect();
    // `null` asks all rules.
    if let Some(asked) = case.get("asked").and_then(Value::as_str) {
        matching.retain(|rule| *rule == asked);
    }
    let matching: BTreeSet<&str> = matching.into_iter().map(String::as_str).collect();
    if matching != expected {
        let missed: Vec<_> = expected.difference(&matching).collect();
        let false_matches: Vec<_> = matching.difference(&expected).collect();
        let fields = case.get("fields").map(Value::to_string).unwrap_or_default();
        comparison.wrong.push(format!("missed {missed:?}, matched falsely {false_matches:?}: {fields}"));
    }
}

/// The rules as an index keeps them.
fn read_again(rules: &RuleSet) -> RuleSet {
    let written = postcard::to_allocvec(rules).expect("rules are written");
    postcard::from_bytes(&written).expect("what was written is read")
}

/// What `cases.py` calls each rule: its file, `#`, and its position there.
fn names(rules: &RuleSet) -> HashMap<RuleIndex, String> {
    let mut positions: HashMap<&str, usize> = HashMap::new();
    let mut names = HashMap::new();
    for (index, rule) in rules.iter() {
        let position = positions.entry(rule.path()).or_default();
        names.insert(index, format!("{}#{position}", rule.path()));
        *position += 1;
    }
    names
}

/// What `cases.py` prints for the folders.
fn cases(folders: &[PathBuf], cross: u32) -> String {
    let python = e2e::tools::python("tests/sigma/requirements.txt").unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(python);
    command.arg(e2e::root().join("tests/sigma/cases.py")).args(["--cross", &cross.to_string()]).args(folders);
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
