//! What judging one event costs: reading its record, and deciding by twenty policies.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use session::cloudtrail;
use session::event::Session;
use session::parameters::Parameters;
use session::policy::{Policies, PolicySource};
use session::principal::Groups;
use session::target::{NodeFacts, Tags, Target};

use crate::event::{Wrong, record};
use crate::report::{Report, milliseconds, print_table};
use crate::statistics::{median, percentile};

const POLICIES: usize = 20;
const DECISIONS: usize = 20_000;
const LOADS: usize = 50;

/// Decisions under callgrind: what the second run has more than the first is of decisions and nothing else.
const INSTRUMENTED: [usize; 2] = [100, 600];

pub(crate) fn measure(report: &mut Report) -> Result<(), String> {
    let shipped = sources()?;
    let parameters = policy_folder::parameters(&folder()).map_err(|error| error.to_string())?;
    let (count, loads) = (shipped.len(), times(LOADS, || load(&shipped, &parameters)));
    let sources = twenty(shipped);
    let policies = load(&sources, &parameters)?;
    let record = record(0, Wrong::NoSecondFactor);
    let session = session(&record)?;
    let reads = times(DECISIONS, || cloudtrail::session_event(&record));
    let decisions = times(DECISIONS, || policies.decide(&session));

    let row = |name: &str, times: &[Duration]| {
        let [half, most] = [median(times.to_vec()), percentile(times.to_vec(), 99)];
        vec![name.to_owned(), milliseconds(half), milliseconds(most), times.len().to_string()]
    };
    let rows = [
        ["ms", "p50", "p99", "runs"].map(str::to_owned).to_vec(),
        row("reading the record", &reads),
        row(&format!("deciding by {POLICIES} policies"), &decisions),
        row(&format!("loading and validating the {count} policies that ship (once, at start)"), &loads),
    ];
    print_table("Decision", &rows);
    match instructions() {
        Ok(count) => println!("  instructions of a decision, by callgrind: {count}"),
        Err(why) => println!("  instructions of a decision: not counted ({why})"),
    }
    report.under(&format!("decision by {POLICIES} policies"), median(decisions), Duration::from_micros(100));
    Ok(())
}

/// Decides so many times and does nothing else: what callgrind counts.
pub(crate) fn decide(count: &str) -> Result<(), String> {
    let count: usize = count.parse().map_err(|error| format!("`{count}`: {error}"))?;
    let parameters = policy_folder::parameters(&folder()).map_err(|error| error.to_string())?;
    let policies = load(&twenty(sources()?), &parameters)?;
    let session = session(&record(0, Wrong::NoSecondFactor))?;
    for _ in 0..count {
        black_box(policies.decide(black_box(&session)));
    }
    Ok(())
}

fn times<T>(count: usize, work: impl Fn() -> T) -> Vec<Duration> {
    let time = |_| {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..count).map(time).collect()
}

fn folder() -> PathBuf {
    e2e::root().join("policies")
}

/// The policies that ship.
fn sources() -> Result<Vec<PolicySource>, String> {
    let folder = folder();
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path().join("policy.cedar")).collect();
    files.retain(|file| file.exists());
    files.sort();
    let source = |file: PathBuf| {
        let text = policy_folder::read(&file).map_err(|error| error.to_string())?;
        let name = file.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        Ok(PolicySource {
            path: file.display().to_string(),
            folder: name.to_string_lossy().into_owned(),
            text,
        })
    };
    files.into_iter().map(source).collect()
}

/// Twenty policies: those that ship, and as many of their forbids a second time, under other ids, as it takes.
fn twenty(mut sources: Vec<PolicySource>) -> Vec<PolicySource> {
    let forbids: Vec<_> = sources.iter().filter(|source| source.text.contains("forbid (")).cloned().collect();
    let again = |source: &PolicySource| {
        let id = format!("{}-again", source.folder);
        let text = source.text.replace(&format!("@id(\"{}\")", source.folder), &format!("@id(\"{id}\")"));
        PolicySource { path: source.path.clone(), folder: id, text }
    };
    let missing = POLICIES.saturating_sub(sources.len());
    sources.extend(forbids.iter().take(missing).map(again));
    sources
}

fn load(sources: &[PolicySource], parameters: &Parameters) -> Result<Policies, String> {
    let loaded = Policies::load(sources, parameters.clone());
    loaded.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The session of a record, with everything known that is looked up.
fn session(record: &Value) -> Result<Session, String> {
    let event = cloudtrail::session_event(record).map_err(|error| error.to_string())?;
    let mut event = event.ok_or("the record is not of a session")?;
    let tags = |tags: &[(&str, &str)]| {
        Tags::Known(
            tags.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        )
    };
    event.principal.tags = tags(&[("Team", "payments")]);
    event.principal.groups = Groups::Known(vec!["operators".to_owned()]);
    let known = tags(&[
        ("Owner", "payments"),
        ("Environment", "production"),
        ("Name", "web-1"),
        ("CostCenter", "42"),
    ]);
    let facts = NodeFacts { name: Some("web-1.internal".to_owned()), ..NodeFacts::default() };
    let target = event.target().cloned().map(|id| Target::new(id, known, Some(facts)));
    let session = Session::new(event, target);
    Ok(session)
}

/// The instructions of one decision.
fn instructions() -> Result<usize, String> {
    let [few, many] = INSTRUMENTED.map(collected);
    let [few_runs, many_runs] = INSTRUMENTED;
    Ok((many? - few?) / (many_runs - few_runs))
}

fn collected(decisions: usize) -> Result<usize, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args(["decide", &decisions.to_string()]).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.ok_or_else(|| "valgrind said nothing of it".to_owned())
}
