//! `ssm-guard replay`

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session::cloudtrail;
use session::event::{EventKind, SessionEvent};

use crate::archive::{self, Item, Unreadable};
use crate::judge::{self, Facts, Judged, NotJudged, Verdict, Would};
use crate::print::{count, counted};
use crate::{Format, Found, Output, print};

/// How many records go by before the progress is drawn anew.
const RECORDS_A_DRAW: usize = 4096;

#[derive(Args)]
pub(crate) struct Options {
    /// Files, folders, or `-`.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// The folder of policies.
    #[arg(long, value_name = "FOLDER", default_value = "policies")]
    policies: PathBuf,
    /// Tags by target: {"i-0123…": {"Owner": "team-a"}}. A target without tags is {"i-0123…": {}}.
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// IAM tags and groups by the ARN of a user or role: {"arn:…": {"tags": {"Team": "a"}, "groups": ["ops"]}}.
    #[arg(long, value_name = "FILE")]
    principals: Option<PathBuf>,
    /// A role that the guard acts as, by its ARN, once for each: its own calls are not judged.
    #[arg(long = "guard-role", value_name = "ARN", value_parser = role)]
    guard_roles: Vec<String>,
    /// Judge only calls at or after this time: 2026-11-01 (UTC) or 2026-11-01T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Judge only calls before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    #[command(flatten)]
    output: Output,
}

/// The whole report, as the JSON form has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    files: usize,
    records: usize,
    #[serde(flatten)]
    judged: Judged,
    unreadable: Vec<Unreadable>,
}

/// What the inputs hold.
#[derive(Default)]
struct Archive {
    files: usize,
    records: usize,
    events: Vec<SessionEvent>,
    /// The ids of records that a later record corrects.
    corrected: BTreeSet<String>,
    unreadable: Vec<Unreadable>,
}

pub(crate) fn run(options: &Options) -> Result<Found, Box<dyn Error>> {
    let policies = policy_folder::policies(&options.policies, policy_folder::parameters(&options.policies)?)?;
    let facts = Facts {
        targets: facts(options.targets.as_deref())?,
        principals: facts(options.principals.as_deref())?,
    };
    let mut archive = Archive::read(&options.inputs);
    let is_own =
        |event: &SessionEvent| options.guard_roles.iter().any(|role| event.principal.is_session_of(role));
    archive.events.retain(|event| !archive.corrected.contains(&event.id) && !is_own(event));
    let is_wanted = |event: &SessionEvent| {
        options.since.is_none_or(|since| event.time >= since)
            && options.until.is_none_or(|until| event.time < until)
    };
    let report = Report {
        files: archive.files,
        records: archive.records,
        judged: judge::judge(&policies, &facts, archive.events, is_wanted),
        unreadable: archive.unreadable,
    };
    match options.output.format {
        Format::Text => print::text(&text(&report))?,
        Format::Json => print::json(&report)?,
    }
    Ok(match (report.unreadable.is_empty(), report.judged.would_alert) {
        (false, _) => Found::Incomplete,
        (true, 0) => Found::Nothing,
        (true, _) => Found::Something,
    })
}

fn facts<T: Default + DeserializeOwned>(path: Option<&Path>) -> Result<T, Box<dyn Error>> {
    let Some(path) = path else { return Ok(T::default()) };
    let text = policy_folder::read(path)?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// CloudTrail names the role of a session so; what is written otherwise would match nothing and say nothing.
fn role(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") && text.contains(":role/") {
        Ok(text.to_owned())
    } else {
        Err("not the ARN of a role (arn:aws:iam::111122223333:role/NAME)".to_owned())
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let day = |date: Date| date.to_zoned_datetime(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
    let time = text.parse().ok().or_else(|| text.parse().ok().and_then(day));
    time.ok_or_else(|| "neither a day (2026-11-01) nor a time (2026-11-01T08:00:00Z)".to_owned())
}

impl Archive {
    /// Reads the inputs. Only what can be judged is kept.
    fn read(inputs: &[PathBuf]) -> Self {
        let (files, unreadable) = archive::files(inputs);
        let mut archive = Self { unreadable, ..Self::default() };
        let progress = print::progress();
        for file in &files {
            archive.files += 1;
            archive::read(file, &mut |item| {
                archive.take(file, item);
                if archive.records % RECORDS_A_DRAW == 1 {
                    progress.set_message(format!(
                        "{} of {} files, {} records",
                        count(archive.files),
                        count(files.len()),
                        count(archive.records)
                    ));
                }
            });
        }
        progress.finish_and_clear();
        archive
    }

    fn take(&mut self, file: &Path, item: Item) {
        match item {
            Item::Other => self.records += 1,
            Item::Unreadable(unreadable) => self.unreadable.push(unreadable),
            Item::Record { record, line } => {
                self.records += 1;
                match cloudtrail::session_event(&record) {
                    Ok(Some(event)) => self.keep(&record, event),
                    Ok(None) => {}
                    Err(error) => self.unreadable.push(Unreadable::new(file, Some(line), error)),
                }
            }
        }
    }

    fn keep(&mut self, record: &Value, event: SessionEvent) {
        // The Lambda judges a correction too, but it is not another session.
        let corrected = record.pointer("/addendum/originalEventID").and_then(Value::as_str);
        self.corrected.extend(corrected.filter(|id| *id != event.id).map(str::to_owned));
        if !matches!(event.kind, EventKind::Terminated { .. }) {
            self.events.push(event);
        }
    }
}

fn text(report: &Report) -> String {
    let judged = &report.judged;
    let mut lines: Vec<_> = judged.verdicts.iter().flat_map(verdict_lines).collect();
    lines.extend(report.unreadable.iter().map(|unreadable| format!("unreadable: {unreadable}")));
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(policy_lines(judged));
    lines.push(format!(
        "{}, {}, {}, {}: {} would have been ended, {} alerted; {} not readable.",
        counted(report.files, "file", "files"),
        counted(report.records, "record", "records"),
        counted(judged.sessions, "session", "sessions"),
        counted(judged.attempts, "failed or refused call", "failed or refused calls"),
        count(judged.would_end),
        counted(judged.would_alert, "call", "calls"),
        count(report.unreadable.len()),
    ));
    lines.join("\n")
}

fn verdict_lines(verdict: &Verdict) -> Vec<String> {
    let would = match verdict.would {
        Would::End => "end it and alert",
        Would::Alert => "alert",
    };
    let (time, operation, principal) = (&verdict.time, &verdict.operation, &verdict.principal);
    let target = verdict.target.as_deref().unwrap_or("an unknown target");
    let mut lines = vec![format!("{time} {operation} by {principal} on {target}: would {would}")];
    lines.extend(verdict.session.iter().map(|session| format!("  {:<9}{session}", "session")));
    for violated in &verdict.violations {
        lines.push(format!("  {:<9}{}: {}", violated.severity, violated.policy, violated.title));
    }
    let mut unknown: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for NotJudged { policy, needs, why } in &verdict.not_judged {
        unknown.entry((needs, why)).or_default().push(policy.as_str());
    }
    for ((needs, why), policies) in unknown {
        lines.push(format!("  {:<9}{needs} ({why}), for {}", "unknown", policies.join(", ")));
    }
    for failed in &verdict.failed {
        lines.push(format!("  {:<9}{}: {}", "failed", failed.policy, failed.message));
    }
    lines
}

/// What a team needs to know before it turns `enforce` on: how many sessions each policy is about.
fn policy_lines(judged: &Judged) -> Vec<String> {
    if judged.policies.is_empty() {
        return Vec::new();
    }
    let title = "Sessions by policy";
    let ids = judged.policies.iter().map(|policy| policy.policy.len());
    let width = ids.chain([title.len()]).max().unwrap_or_default();
    let row = |policy: &str, cells: [&str; 4]| {
        let [ended, alerted, not_judged, failed] = cells;
        format!("{policy:<width$}{ended:>9}{alerted:>10}{not_judged:>12}{failed:>8}")
    };
    let mut lines = vec![row(title, ["ended", "alerted", "not judged", "failed"])];
    for policy in &judged.policies {
        let counts = [policy.would_end, policy.would_alert, policy.not_judged, policy.failed];
        let cells = counts.map(|number| count(number).to_string());
        lines.push(row(&policy.policy, cells.each_ref().map(String::as_str)));
    }
    lines.push(String::new());
    lines
}
