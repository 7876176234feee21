//! How much of what is dangerous is found, how often ordinary work is flagged, and at what speed.
//!
//! `cargo bench-detection --corpus FOLDER --rules FOLDER [--sigma FOLDER] [--missed] [--false]`
//! and, to leave parts out, `--no-transcripts`, `--no-wraps`, `--no-speed`.
//!
//! The corpus is labelled data that is not part of this repository: `malicious.dev.ndjson`, `benign.dev.ndjson` and
//! recorded sessions in `transcripts/`. Records are scored one by one: found is what has a finding at level medium or
//! above on any line that belongs to the attack. Every figure is printed for all records and for two halves, split by a
//! hash of the record's group: rules fitted to single lines show as a gap between them.

mod corpus;
mod score;
mod speed;
mod wrap;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use detection::Rules;

/// What to do.
#[derive(Default)]
struct Arguments {
    corpus: Option<PathBuf>,
    rules: Vec<PathBuf>,
    sigma: Vec<PathBuf>,
    missed: bool,
    false_alerts: bool,
    no_speed: bool,
    no_wraps: bool,
    no_transcripts: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => return fail(&problem),
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(2)
}

fn arguments(given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut given = given;
    while let Some(argument) = given.next() {
        let mut folder =
            || given.next().map(PathBuf::from).ok_or_else(|| format!("`{argument}` needs a folder"));
        match argument.as_str() {
            "--corpus" => arguments.corpus = Some(folder()?),
            "--rules" => arguments.rules.push(folder()?),
            "--sigma" => arguments.sigma.push(folder()?),
            "--missed" => arguments.missed = true,
            "--false" => arguments.false_alerts = true,
            "--no-speed" => arguments.no_speed = true,
            "--no-wraps" => arguments.no_wraps = true,
            "--no-transcripts" => arguments.no_transcripts = true,
            _ => return Err(format!("`{argument}` is not an option")),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut files = Vec::new();
    for folder in arguments.rules.iter().chain(&arguments.sigma) {
        rule_files(folder, &mut files)?;
    }
    files.sort();
    let loaded = Rules::load(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    println!(
        "rules     {} loaded from {} files, {} refused, {} for logs that a transcript is not",
        loaded.rules.len(),
        files.len(),
        loaded.refused.len(),
        loaded.unread.len()
    );
    for refused in &loaded.refused {
        println!("  refused  {refused}");
    }
    if let Some(folder) = &arguments.corpus {
        let malicious = corpus::records(&folder.join("malicious.dev.ndjson"))?;
        let benign = corpus::records(&folder.join("benign.dev.ndjson"))?;
        score::recall(&loaded.rules, &malicious, arguments.missed);
        score::false_alerts(&loaded.rules, &benign, arguments.false_alerts);
        if !arguments.no_transcripts {
            let sessions = corpus::sessions(&folder.join("transcripts"))?;
            score::sessions(&loaded.rules, &sessions, arguments.missed, arguments.false_alerts);
        }
        if !arguments.no_wraps {
            score::wrapped(&loaded.rules, &malicious, arguments.missed);
        }
        if !arguments.no_speed {
            speed::measure(&loaded.rules, &files, &malicious, &benign)?;
        }
    }
    Ok(())
}

/// The YAML files of a folder and its folders.
fn rule_files(folder: &Path, files: &mut Vec<(String, String)>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rule_files(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
            files.push((path.display().to_string(), text));
        }
    }
    Ok(())
}
