//! `ssm-guard replay`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use session::cloudtrail;
use session::event::{EventKind, Session, SessionId};
use session::ledger::SessionRecord;
use session::policy::{Decision, Policies, Respond};
use session::principal::Groups;
use session::redact;
use session::target::{Tags, Target};

use crate::{Format, Found, report};

/// What replay does not hold: it never looks anything up.
const NOT_LOOKED_UP: &str = "replay makes no look-ups";
const NOT_LISTED: &str = "not in --targets";

type TagsByTarget = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    records: usize,
    sessions: usize,
    would_end: usize,
    would_alert: usize,
    verdicts: Vec<Verdict>,
    unreadable: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    event: String,
    time: String,
    operation: String,
    session: Option<String>,
    principal: String,
    target: Option<String>,
    would: &'static str,
    violations: Vec<Violated>,
    not_judged: Vec<String>,
}

#[derive(Serialize)]
struct Violated {
    policy: String,
    severity: &'static str,
    title: String,
}

pub(crate) fn run(
    inputs: &[PathBuf],
    folder: &Path,
    targets: Option<&Path>,
    format: Format,
) -> Result<Found, Box<dyn Error>> {
    let policies = policy_folder::policies(folder, policy_folder::parameters(folder)?)?;
    let tags: TagsByTarget = match targets {
        Some(path) => serde_json::from_str(&policy_folder::read(path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?,
        None => TagsByTarget::new(),
    };
    let mut events = Vec::new();
    let mut outcome = Report::default();
    let progress = progress();
    for file in files(inputs)? {
        progress.set_message(format!("{} records, reading {}", outcome.records, file.display()));
        let text = text(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let records = records(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        for record in records {
            outcome.records += 1;
            match cloudtrail::session_event(&record) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => {}
                Err(error) => outcome.unreadable.push(format!("{}: {error}", file.display())),
            }
        }
    }
    progress.finish_and_clear();

    // CloudTrail's files are not in order, and a resumed session needs its start.
    events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    events.dedup_by(|a, b| a.id == b.id);
    let starts: BTreeMap<SessionId, Session> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Started { .. }))
        .filter_map(|event| Some((event.session()?.clone(), Session::new(event.clone(), None))))
        .collect();
    for mut event in events {
        if matches!(event.kind, EventKind::Started { .. }) {
            outcome.sessions += 1;
        }
        event.principal.tags = Tags::Unknown(NOT_LOOKED_UP.to_owned());
        event.principal.groups = Groups::Unknown(NOT_LOOKED_UP.to_owned());
        let start = event.session().and_then(|id| starts.get(id));
        let id = event.target().or_else(|| start.and_then(|start| start.event.target())).cloned();
        let target = id.map(|id| {
            let tags = match tags.get(&id.to_string()) {
                Some(tags) => Tags::Known(tags.clone()),
                None => Tags::Unknown(NOT_LISTED.to_owned()),
            };
            Target { id, tags, facts: None }
        });
        let mut session = Session::new(event, target);
        if let Some(start) = start {
            SessionRecord::of_start(start).complete(&mut session);
        }
        judge(&policies, &session, &mut outcome);
    }
    print(&outcome, format)?;
    let nothing = outcome.would_alert == 0 && outcome.unreadable.is_empty();
    Ok(if nothing { Found::Nothing } else { Found::Something })
}

fn judge(policies: &Policies, session: &Session, outcome: &mut Report) {
    let decision = policies.decide(session);
    if decision.is_clean() {
        return;
    }
    let ends = decision.respond() == Some(Respond::Terminate) && session.is_open();
    outcome.would_alert += 1;
    outcome.would_end += usize::from(ends);
    let event = &session.event;
    outcome.verdicts.push(Verdict {
        event: event.id.clone(),
        time: event.time.to_string(),
        operation: event.operation().to_owned(),
        session: session.id().map(|id| redact::shown(id.as_str(), 96)),
        principal: redact::shown(&event.principal.describe(), 200),
        target: session.target.as_ref().map(|target| redact::shown(&target.describe(), 200)),
        would: if ends { "end and alert" } else { "alert" },
        not_judged: not_judged(&decision),
        violations: decision
            .violations
            .into_iter()
            .map(|policy| Violated {
                policy: policy.id,
                severity: policy.severity.as_str(),
                title: policy.title,
            })
            .collect(),
    });
}

fn not_judged(decision: &Decision) -> Vec<String> {
    let undecided = decision.undecided.iter().map(|undecided| {
        format!("{} needs {}: {}", undecided.policy.id, undecided.needs.as_str(), undecided.why)
    });
    let failed = decision.errors.iter().map(|error| format!("{} failed: {}", error.policy, error.message));
    undecided.chain(failed).collect()
}

fn print(outcome: &Report, format: Format) -> Result<(), Box<dyn Error>> {
    if format == Format::Json {
        return report::json(outcome);
    }
    for verdict in &outcome.verdicts {
        report::text(&format!(
            "{} {} by {} on {}: would {}",
            verdict.time,
            verdict.operation,
            verdict.principal,
            verdict.target.as_deref().unwrap_or("an unknown target"),
            verdict.would
        ))?;
        for violated in &verdict.violations {
            report::text(&format!("  {:<8} {}: {}", violated.severity, violated.policy, violated.title))?;
        }
        for policy in &verdict.not_judged {
            report::text(&format!("  not judged: {policy}"))?;
        }
    }
    for error in &outcome.unreadable {
        report::text(&format!("unreadable: {error}"))?;
    }
    report::text(&format!(
        "{} records, {} sessions: {} would be ended, {} alerted, {} unreadable.",
        outcome.records,
        outcome.sessions,
        outcome.would_end,
        outcome.would_alert,
        outcome.unreadable.len()
    ))
}

fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

/// The files below the inputs, in order; a file that was named is taken whatever its name.
fn files(inputs: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            found.push(input.clone());
            continue;
        }
        let mut folders = vec![input.clone()];
        let first = found.len();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if [".json", ".ndjson", ".jsonl", ".gz"].iter().any(|end| name.ends_with(end)) {
                    found.push(path);
                }
            }
        }
        if let Some(below) = found.get_mut(first..) {
            below.sort();
        }
    }
    Ok(found)
}

/// The text of a file, unpacked when its first bytes say that it is packed.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        BufReader::new(File::open(path)?).read_to_end(&mut bytes)?;
    }
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        return Ok(text);
    }
    bytes.as_slice().read_to_string(&mut text)?;
    Ok(text)
}

/// The records in a text: one JSON document or one to a line, in CloudTrail's or EventBridge's wrapping.
fn records(text: &str) -> Result<Vec<Value>, serde_json::Error> {
    let mut records = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        unwrap(document?, &mut records);
    }
    Ok(records)
}

fn unwrap(document: Value, records: &mut Vec<Value>) {
    match document {
        Value::Array(documents) => documents.into_iter().for_each(|document| unwrap(document, records)),
        Value::Object(mut fields) => {
            // CloudTrail's file, EventBridge's envelope, LookupEvents' answer, or the record itself.
            if let Some(list @ Value::Array(_)) = fields.remove("Records") {
                unwrap(list, records);
            } else if let Some(detail @ Value::Object(_)) = fields.remove("detail") {
                records.push(detail);
            } else {
                records.push(Value::Object(fields));
            }
        }
        other => records.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_every_wrapping() {
        let record = r#"{"eventName": "StartSession"}"#;
        for text in [
            record.to_owned(),
            format!("[{record}]"),
            format!("{{\"Records\": [{record}]}}"),
            format!("{{\"detail-type\": \"AWS API Call via CloudTrail\", \"detail\": {record}}}"),
            format!("\n{record}\n"),
        ] {
            assert_eq!(records(&text).unwrap(), [serde_json::from_str::<Value>(record).unwrap()], "{text}");
        }
        assert_eq!(records(&format!("{record}\n{record}")).unwrap().len(), 2);
        assert!(records("not JSON").is_err());
    }
}
