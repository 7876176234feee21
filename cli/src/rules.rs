//! Rules for the commands that need them, and what `check` and `test` say of a folder of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use detection::{Loaded, Options, Rules, Scan};
use rule_folder::{Evidence, RuleFile};
use serde::Serialize;
use transcript::{Command, Confidence, Coverage, ShellKind};

use crate::print::counted;
use crate::{Format, Found, print};

/// What was found in a folder of rules, as the JSON form has it.
#[derive(Serialize)]
struct Report {
    /// How many rules can be asked about a session.
    supported: usize,
    /// Rules that do not load, and why.
    refused: Vec<String>,
    /// Rules that load and are about something that no session's log tells, by what they are about.
    unread: BTreeMap<String, usize>,
}

/// What the evidence showed, as the JSON form has it.
#[derive(Serialize)]
struct Tested {
    passed: usize,
    failed: Vec<Failure>,
    /// Rules that lack evidence of what they flag or of what they do not.
    untested: Vec<String>,
}

#[derive(Serialize)]
struct Failure {
    path: String,
    line: usize,
    rule: String,
    expected: &'static str,
    command: String,
}

/// Whether a folder is one of rules and not of policies.
pub(crate) fn are_in(folder: &Path) -> bool {
    !folder.join("parameters.json").exists() && rule_folder::rules(folder).is_ok()
}

/// Loads folders of rules. What does not load is told, and the others are used.
pub(crate) fn load(folders: &[PathBuf]) -> Result<Rules, Box<dyn Error>> {
    let loaded = read_all(folders)?;
    tell_refused(&loaded);
    Ok(loaded.rules)
}

/// Writes the index that the function reads, of rules all of which load.
pub(crate) fn compile(folders: &[PathBuf], to: &Path) -> Result<Found, Box<dyn Error>> {
    let loaded = read_all(folders)?;
    tell_refused(&loaded);
    if !loaded.refused.is_empty() {
        eprintln!("ssm-guard: {} is not written", to.display());
        return Ok(Found::Something);
    }
    let index = loaded.rules.to_index()?;
    fs::write(to, &index).map_err(|error| format!("{}: {error}", to.display()))?;
    print::text(&format!(
        "{} compiled into {}.",
        counted(loaded.rules.len(), "rule is", "rules are"),
        to.display()
    ))?;
    Ok(Found::Nothing)
}

fn read_all(folders: &[PathBuf]) -> Result<Loaded, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in folders {
        files.extend(rule_folder::rules(folder)?);
    }
    Ok(read(&files))
}

fn tell_refused(loaded: &Loaded) {
    for refused in &loaded.refused {
        eprintln!("ssm-guard: {refused}");
    }
}

fn read(files: &[RuleFile]) -> Loaded {
    Rules::load(files.iter().map(|file| (file.path.as_str(), file.text.as_str())))
}

pub(crate) fn check(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let loaded = read(&rule_folder::rules(folder)?);
    let mut unread = BTreeMap::new();
    for rule in &loaded.unread {
        *unread.entry(rule.logsource.clone()).or_default() += 1;
    }
    let report = Report {
        supported: loaded.rules.len() - loaded.unread.len(),
        refused: loaded.refused.iter().map(ToString::to_string).collect(),
        unread,
    };
    match format {
        Format::Text => print::text(&text(&report))?,
        Format::Json => print::json(&report)?,
    }
    Ok(if report.refused.is_empty() { Found::Nothing } else { Found::Something })
}

fn text(report: &Report) -> String {
    let mut lines = report.refused.clone();
    let unread: usize = report.unread.values().sum();
    lines.push(format!("{} supported.", counted(report.supported, "rule is", "rules are")));
    if !report.refused.is_empty() {
        lines.push(format!(
            "{} not, each with its reason above.",
            counted(report.refused.len(), "rule is", "rules are")
        ));
    }
    if unread > 0 {
        lines.push(format!(
            "{} about what no log of a session tells:",
            counted(unread, "rule is", "rules are")
        ));
        lines.extend(report.unread.iter().map(|(logsource, count)| format!("  {logsource}: {count}")));
    }
    lines.join("\n")
}

pub(crate) fn test(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let files = rule_folder::rules(folder)?;
    let loaded = read(&files);
    if let Some(refused) = loaded.refused.first() {
        return Err(refused.to_string().into());
    }
    let evidence = rule_folder::evidence(folder)?;
    let (mut passed, mut failed) = (0, Vec::new());
    for evidence in &evidence {
        for (index, command) in evidence.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
        {
            if flags(&loaded.rules, &evidence.rule, command) == evidence.must_match {
                passed += 1;
            } else {
                failed.push(Failure {
                    path: evidence.path.clone(),
                    line: index + 1,
                    rule: evidence.rule.clone(),
                    expected: if evidence.must_match { "a match" } else { "no match" },
                    command: command.to_owned(),
                });
            }
        }
    }
    let tested = Tested { passed, failed, untested: untested(&files, &evidence) };
    match format {
        Format::Text => print::text(&tested_text(&tested))?,
        Format::Json => print::json(&tested)?,
    }
    let is_fine = tested.failed.is_empty() && tested.untested.is_empty();
    Ok(if is_fine { Found::Nothing } else { Found::Something })
}

/// Whether a rule flags a command, typed at any of the prompts that it may have been typed at.
fn flags(rules: &Rules, rule: &str, command: &str) -> bool {
    [ShellKind::Posix, ShellKind::PowerShell, ShellKind::Cmd].into_iter().any(|shell| {
        let mut scan = Scan::new(rules, Options { output: false, discovery: false });
        scan.command(&Command {
            text: command.to_owned(),
            line: 1,
            offset: 0,
            prompt: String::new(),
            output: Vec::new(),
            confidence: Confidence::High,
            shell,
            ran: true,
        });
        scan.finish(&Coverage::default()).findings.iter().any(|finding| finding.rule.path == rule)
    })
}

/// A rule that nothing matches could be one that never finds, one that everything matches could always.
fn untested(files: &[RuleFile], evidence: &[Evidence]) -> Vec<String> {
    let has = |rule: &RuleFile, must_match: bool| {
        evidence.iter().any(|evidence| evidence.rule == rule.path && evidence.must_match == must_match)
    };
    files.iter().filter(|rule| !has(rule, true) || !has(rule, false)).map(|rule| rule.path.clone()).collect()
}

fn tested_text(tested: &Tested) -> String {
    let mut lines = Vec::new();
    for Failure { path, line, rule, expected, command } in &tested.failed {
        lines.push(format!("FAILED {path}:{line}: {expected} of {rule} was expected\n  {command}"));
    }
    for rule in &tested.untested {
        lines.push(format!("UNTESTED {rule}\n  hint: it needs evidence in match and in no-match"));
    }
    let passed = counted(tested.passed, "command", "commands");
    lines.push(format!("{passed} passed, {} failed.", tested.failed.len()));
    lines.join("\n")
}
