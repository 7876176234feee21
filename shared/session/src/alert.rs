//! What happened, for whoever has to act on it.
//!
//! One alert is one SNS publish with a body per protocol: a mail for people, a short text for a
//! telephone, a card for chat (Amazon Q Developer's custom notification), and an OCSF Detection Finding
//! (class 2004) for machines. An alert tells the outcome, not the wish: whether the session is over, how
//! that is known, and how long it took.
//!
//! Everything a caller wrote (reason, command, session name, client) is shown through [`redact::shown`].

mod chat;
mod mail;
mod ocsf;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cloudtrail::RecordError;
use crate::event::{EventKind, Session};
use crate::ledger::SessionRecord;
use crate::object::LogObject;
use crate::policy::{About, Decision, Severity};
use crate::principal::Mfa;
use crate::redact;
use crate::response::{Mode, Outcome};
use crate::target::{Tags, Target};
use crate::transcript::{self, Evidence, Finding, Joined, Reading};

/// SNS takes 256 KiB for a publish, attributes included.
pub const SIZE_LIMIT: usize = 256 * 1024;
/// SNS takes 100 ASCII characters for a subject.
const SUBJECT_LIMIT: usize = 100;
/// An alert shows the worst findings of a log; the ledger counts them all.
const FINDINGS_TOLD: usize = 20;
/// One SMS holds 160 characters of the GSM alphabet; what is sent is a subset of ASCII.
const SMS_LIMIT: usize = 160;

/// Which sort of thing happened; subscribers filter by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// A session violated a policy.
    Violation,
    /// A call that AWS refused violated a policy.
    Attempt,
    /// Nothing is known to be violated, but some policy could not be judged.
    Undecided,
    /// An event could not be read; it is kept in the quarantine.
    Unreadable,
    /// Something dangerous was run in a session, or its log is not what it should be.
    Transcript,
}

impl AlertKind {
    /// The word in message attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Attempt => "attempt",
            Self::Undecided => "undecided",
            Self::Unreadable => "unreadable",
            Self::Transcript => "transcript",
        }
    }
}

/// An alert, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Alert {
    kind: AlertKind,
    severity: Severity,
    /// One line: what is wrong, and what came of it.
    headline: String,
    /// CloudTrail's event id, or the envelope's for an event that could not be read.
    event: String,
    account: String,
    region: String,
    /// When it happened.
    time: Timestamp,
    /// When this was written.
    told: Timestamp,
    session: Option<String>,
    policies: Vec<About>,
    undecided: Vec<String>,
    outcome: Option<Outcome>,
    mode: Mode,
    /// What happened, by label.
    facts: Vec<(&'static str, String)>,
    /// What the reader should do or know.
    next_steps: Vec<String>,
    /// What was found in a session's log, worst first.
    findings: Vec<Finding>,
    /// The finding's actor, resource and source, for machines.
    evidence: Value,
    resource: Option<Value>,
}

/// The log of a session with everything that was found out about it.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The object.
    pub object: &'a LogObject,
    /// What was read of it.
    pub reading: &'a Reading,
    /// Everything that was found, worst first.
    pub findings: &'a [Finding],
    /// What is known of the session.
    pub record: &'a SessionRecord,
    /// How far the join with the session's start came.
    pub joined: Joined,
}

/// One SNS publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The mail's subject.
    pub subject: String,
    /// The JSON of `MessageStructure=json`: a body per protocol.
    pub body: String,
    /// Message attributes, for filter policies.
    pub attributes: BTreeMap<&'static str, String>,
}

impl Alert {
    /// The alert on a session that was judged.
    pub fn new(
        session: &Session,
        decision: &Decision,
        outcome: &Outcome,
        mode: Mode,
        told: Timestamp,
    ) -> Self {
        let event = &session.event;
        let kind = match event.kind {
            _ if decision.violations.is_empty() => AlertKind::Undecided,
            EventKind::Attempted { .. } => AlertKind::Attempt,
            _ => AlertKind::Violation,
        };
        let worst = decision.severity().unwrap_or(Severity::Informational);
        // A session that should be over and is not, or may not be, is the worst there is.
        let severity = if matches!(outcome, Outcome::Failed { .. }) { Severity::Critical } else { worst };
        let undecided = undecided(decision);
        let title = match decision.violations.first() {
            Some(policy) => policy.title.clone(),
            None => "Some policies could not be judged".to_owned(),
        };
        Self {
            kind,
            severity,
            headline: format!("{title}: {}", result(session, outcome)),
            event: event.id.clone(),
            account: event.account.clone(),
            region: event.region.clone(),
            time: event.time,
            told,
            session: session.id().map(ToString::to_string),
            policies: decision.violations.clone(),
            undecided,
            outcome: Some(outcome.clone()),
            mode,
            facts: facts(session, decision, outcome, told),
            next_steps: next_steps(session, decision, outcome),
            findings: Vec::new(),
            evidence: ocsf::evidence(session),
            resource: ocsf::resource(session),
        }
    }

    /// The alert on an event that could not be read and is kept in the quarantine.
    pub fn unreadable(event: &str, account: &str, region: &str, error: &RecordError, now: Timestamp) -> Self {
        Self {
            kind: AlertKind::Unreadable,
            severity: Severity::High,
            headline: "A Session Manager event could not be read: nobody judged it".to_owned(),
            event: event.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            time: now,
            told: now,
            session: None,
            policies: Vec::new(),
            undecided: Vec::new(),
            outcome: None,
            mode: Mode::Observe,
            facts: vec![
                ("Event", event.to_owned()),
                ("Where", format!("{account} {region}")),
                ("Error", redact::shown(&error.to_string(), 300)),
            ],
            next_steps: vec![
                format!("Read the event in the ledger: its key is quarantine#{event}."),
                "Look the session up in CloudTrail and judge it by hand.".to_owned(),
            ],
            findings: Vec::new(),
            evidence: json!({"api": {"operation": "unknown", "service": {"name": "ssm.amazonaws.com"}}}),
            resource: None,
        }
    }

    /// The alert on the log of a session in which something was found.
    pub fn transcript(log: &Log<'_>, mode: Mode, told: Timestamp) -> Self {
        let Log { object, reading, findings, record, joined } = log;
        let started = record.started.as_ref();
        let who = started.map_or("somebody not known yet", |started| started.principal.as_str());
        let shown: Vec<_> = findings.iter().take(FINDINGS_TOLD).map(shown_finding).collect();
        let found = shown.first().map_or("Nothing was found", |first| first.title.as_str());
        let more = match findings.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let headline = format!("{found}{more}: in a session of {}", redact::shown(who, 80));
        Self {
            kind: AlertKind::Transcript,
            severity: transcript::worst(findings).unwrap_or(Severity::Informational),
            headline,
            // Whoever may write to the bucket chooses the name, line feeds included.
            event: redact::plain(&object.id()),
            account: object.account.clone(),
            region: object.region.clone(),
            time: object.time,
            told,
            session: Some(object.session.to_string()),
            policies: Vec::new(),
            undecided: Vec::new(),
            outcome: None,
            mode,
            facts: log_facts(object, reading, record, *joined),
            next_steps: log_steps(findings),
            findings: shown,
            evidence: ocsf::log_evidence(object, started),
            resource: started.map(|started| ocsf::log_resource(object, &started.target)),
        }
    }

    /// What this alert tells, in a few words that stay the same when the same is told again.
    pub fn told(&self) -> String {
        if self.kind == AlertKind::Transcript {
            let known = if self.resource.is_some() { "known" } else { "not known" };
            let rules: Vec<_> = self.findings.iter().map(|finding| finding.rule.as_str()).collect();
            return format!("{} {} {known} {}", self.kind.as_str(), self.severity.as_str(), rules.join(","));
        }
        let outcome = self.outcome.as_ref().map_or("unreadable", |outcome| outcome.as_str());
        format!("{} {outcome}", self.kind.as_str())
    }

    /// The message that SNS is given.
    pub fn render(&self) -> Message {
        let finding = ocsf::finding(self).to_string();
        let body = json!({
            "default": finding,
            "sqs": finding,
            "lambda": finding,
            "email": mail::body(self),
            "sms": self.sms(),
            "https": chat::notification(self).to_string(),
        });
        Message { subject: self.subject(), body: body.to_string(), attributes: self.attributes() }
    }

    fn subject(&self) -> String {
        let severity = self.severity.as_str().to_uppercase();
        plain(&format!("[ssm-guard] {severity} {}", self.headline), SUBJECT_LIMIT)
    }

    fn sms(&self) -> String {
        let policy = self.policies.first().map_or(self.kind.as_str(), |policy| policy.id.as_str());
        let outcome = self.outcome.as_ref().map_or("unreadable", |outcome| outcome.as_str());
        let fact = |label: &str| {
            self.facts.iter().find(|(name, _)| *name == label).map_or("?", |(_, value)| value.as_str())
        };
        let severity = self.severity.as_str().to_uppercase();
        match self.kind {
            AlertKind::Unreadable | AlertKind::Transcript => {
                plain(&format!("{severity} ssm-guard: {}", self.headline), SMS_LIMIT)
            }
            _ => plain(
                &format!("{severity} {policy}: {outcome} {} on {}", fact("Who"), fact("Target")),
                SMS_LIMIT,
            ),
        }
    }

    fn attributes(&self) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::from([
            ("severity", self.severity.as_str().to_owned()),
            ("kind", self.kind.as_str().to_owned()),
            ("account", self.account.clone()),
            ("region", self.region.clone()),
            ("mode", self.mode.as_str().to_owned()),
        ]);
        if let Some(outcome) = &self.outcome {
            attributes.insert("outcome", outcome.as_str().to_owned());
        }
        if let Some(policy) = self.policies.first() {
            attributes.insert("policy", policy.id.clone());
        }
        if let Some(finding) = self.findings.first() {
            attributes.insert("rule", finding.rule.clone());
        }
        attributes
    }
}

/// A finding as it may be shown: what a rule's author or the person who is watched wrote is cut and redacted.
fn shown_finding(finding: &Finding) -> Finding {
    let evidence = finding.evidence.as_ref().map(|evidence| Evidence {
        text: redact::shown(&evidence.text, 300),
        line: evidence.line,
        // The part of a command that was found is in it.
        known: redact::shown(&evidence.known, 500),
    });
    Finding {
        rule: redact::fit(&finding.rule, 100),
        title: redact::fit(&finding.title, 200),
        techniques: finding.techniques.iter().take(10).cloned().collect(),
        tactics: finding.tactics.iter().take(10).cloned().collect(),
        author: finding.author.as_ref().map(|author| redact::fit(author, 100)),
        runbook: finding.runbook.as_ref().map(|runbook| redact::shown(runbook, 200)),
        evidence,
        ..*finding
    }
}

fn log_facts(
    object: &LogObject,
    reading: &Reading,
    record: &SessionRecord,
    joined: Joined,
) -> Vec<(&'static str, String)> {
    let shown = |text: &str| redact::shown(text, 300);
    let mut facts = Vec::new();
    match &record.started {
        Some(started) => {
            facts.push(("Who", shown(&started.principal)));
            facts.extend(started.principal_arn.as_ref().map(|arn| ("ARN", shown(arn))));
            facts.push(("Second factor", second_factor(started.mfa).to_owned()));
            facts.push(("From", shown(&started.source)));
            facts.push(("Target", shown(&started.target.to_string())));
            facts.push(("Started", started.time.to_string()));
            facts.extend(started.reason.as_ref().map(|reason| ("Reason", shown(reason))));
        }
        None => {
            let why = match joined {
                Joined::Unknown => "CloudTrail has no start of this session",
                Joined::Waiting | Joined::Known => "CloudTrail has not told of this session's start yet",
            };
            facts.push(("Who", format!("not known: {why}")));
            facts.extend(
                reading
                    .claims
                    .node
                    .as_ref()
                    .map(|node| ("Target", format!("{} (says the log)", shown(node)))),
            );
        }
    }
    facts.push(("Session", shown(object.session.as_str())));
    facts.push(("Where", format!("{} {}", object.account, object.region)));
    facts.push(("Log", shown(&object.to_string())));
    facts.push(("Written", object.time.to_string()));
    let count = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let read =
        [count(reading.commands, "command"), count(reading.lines, "line"), count(reading.bytes, "byte")];
    facts.push(("Read", read.join(", ")));
    facts.extend(reading.limits.iter().take(10).map(|limit| ("Not seen", shown(limit))));
    facts
}

fn log_steps(findings: &[Finding]) -> Vec<String> {
    let mut runbooks: Vec<_> =
        findings.iter().take(FINDINGS_TOLD).filter_map(|finding| finding.runbook.as_ref()).collect();
    runbooks.dedup();
    runbooks.into_iter().take(5).map(|runbook| format!("Runbook: {}", redact::shown(runbook, 200))).collect()
}

/// What came of it, in a few words.
fn result(session: &Session, outcome: &Outcome) -> &'static str {
    match (outcome, &session.event.kind) {
        (_, EventKind::Attempted { .. }) => "AWS refused the call",
        (Outcome::Terminated { .. }, _) => "session ended",
        (Outcome::AlreadyEnded, _) => "session had already ended",
        (Outcome::Observed, _) => "session left open (observe mode)",
        (Outcome::NotNeeded, _) => "session left open",
        (Outcome::Failed { .. }, _) => "SESSION MAY STILL BE OPEN",
    }
}

fn undecided(decision: &Decision) -> Vec<String> {
    let unknown = decision.undecided.iter().map(|undecided| {
        let (policy, needs) = (&undecided.policy.id, undecided.needs.as_str());
        format!("{policy} needs {needs}: {}", redact::shown(&undecided.why, 200))
    });
    let failed = decision
        .errors
        .iter()
        .map(|error| format!("{} failed: {}", error.policy, redact::shown(&error.message, 200)));
    unknown.chain(failed).collect()
}

fn facts(
    session: &Session,
    decision: &Decision,
    outcome: &Outcome,
    told: Timestamp,
) -> Vec<(&'static str, String)> {
    let event = &session.event;
    let shown = |text: &str| redact::shown(text, 300);
    let mut facts = vec![("Who", shown(&event.principal.describe()))];
    if let Some(arn) = &event.principal.arn {
        facts.push(("ARN", shown(arn)));
    }
    facts.push(("Second factor", second_factor(event.principal.mfa).to_owned()));
    facts.push((
        "From",
        format!("{} {}", event.source, shown(event.user_agent.as_deref().unwrap_or_default()))
            .trim()
            .to_owned(),
    ));
    let target = session.target.as_ref().map_or_else(|| "not known".to_owned(), |target| target.describe());
    facts.push(("Target", shown(&target)));
    if let Some(target) = &session.target {
        facts.push(("Tags", shown(&tags(target))));
    }
    if let Some(node) = session.target.as_ref().and_then(|target| target.facts.as_ref()) {
        let agent = node.agent_version.as_ref().map(|version| format!("agent {version}"));
        let parts: Vec<_> = [&node.platform, &node.ip, &agent].into_iter().flatten().cloned().collect();
        if !parts.is_empty() {
            facts.push(("Node", shown(&parts.join(", "))));
        }
    }
    if let Some(document) = &session.document {
        facts.push(("What", shown(&format!("{} ({})", document.describe(), document.name))));
        if let Some(command) = &document.command {
            facts.push(("Command", shown(command)));
        }
    }
    if let EventKind::Attempted { operation, error_code, .. } = &event.kind {
        facts.push(("Call", shown(&format!("{operation}: {error_code}"))));
    }
    if let Some(reason) = &session.reason {
        facts.push(("Reason", shown(reason)));
    }
    if let Some(id) = session.id() {
        facts.push(("Session", shown(id.as_str())));
    }
    facts.push(("Where", format!("{} {}", event.account, event.region)));
    facts.push(("When", event.time.to_string()));
    for policy in &decision.violations {
        facts.push(("Policy", format!("{} ({}): {}", policy.id, policy.severity.as_str(), policy.title)));
    }
    facts.push(("Outcome", outcome_text(outcome, event.time, told)));
    facts
}

/// The tags, and how sure they are: a target that was just created can look untagged for a moment.
fn tags(target: &Target) -> String {
    let tags = match &target.tags {
        Tags::Unknown(why) => return format!("not known ({why})"),
        Tags::Known(tags) if tags.is_empty() => "none".to_owned(),
        Tags::Known(tags) => {
            tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
        }
    };
    if target.looked_twice { format!("{tags} (looked up twice)") } else { tags }
}

fn second_factor(mfa: Mfa) -> &'static str {
    match mfa {
        Mfa::Present => "yes",
        Mfa::Absent => "no",
        Mfa::NotReported => "not reported by AWS",
    }
}

fn outcome_text(outcome: &Outcome, began: Timestamp, told: Timestamp) -> String {
    match outcome {
        Outcome::Terminated { confirmed } => {
            format!("ended, confirmed by DescribeSessions {} after the call", seconds(began, *confirmed))
        }
        Outcome::AlreadyEnded => "it had already ended".to_owned(),
        Outcome::Observed => "left open: the guard is in observe mode".to_owned(),
        Outcome::NotNeeded => format!("nothing to end; told {} after the call", seconds(began, told)),
        Outcome::Failed { reason } => format!("not ended: {}", redact::shown(reason, 200)),
    }
}

/// CloudTrail's times have a resolution of one second, so no more is promised.
fn seconds(from: Timestamp, to: Timestamp) -> String {
    format!("{} s", to.as_second().saturating_sub(from.as_second()).max(0))
}

/// `word` as a shell takes it. AWS's session ids need no quotes; one that does must not become a command of whoever
/// copies the line.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn next_steps(session: &Session, decision: &Decision, outcome: &Outcome) -> Vec<String> {
    let mut steps = Vec::new();
    match outcome {
        Outcome::Terminated { .. } => steps.push(
            "Ending a session kills its shell only: processes that it left in the background (nohup, tmux) still run on the node. Look for them."
                .to_owned(),
        ),
        Outcome::Failed { .. } => {
            if let Some(id) = session.id() {
                steps.push(format!("End it by hand: aws ssm terminate-session --session-id {} --region {}", quoted(id.as_str()), session.event.region));
            }
        }
        Outcome::Observed => steps.push("Set Mode to enforce to have such sessions ended.".to_owned()),
        Outcome::AlreadyEnded | Outcome::NotNeeded => {}
    }
    let runbooks = decision.violations.iter().filter_map(|policy| policy.runbook.as_ref());
    steps.extend(runbooks.map(|runbook| format!("Runbook: {runbook}")));
    steps
}

/// Printable ASCII, cut: what a subject and an SMS may hold.
fn plain(text: &str, longest: usize) -> String {
    let ascii: String = text
        .chars()
        .map(|character| if character == ' ' || character.is_ascii_graphic() { character } else { '?' })
        .collect();
    match ascii.char_indices().nth(longest) {
        None => ascii,
        Some(_) => format!("{}...", ascii.chars().take(longest.saturating_sub(3)).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_copy_holds_no_other_command() {
        for (word, expected) in [
            ("jane+ops@example.com-0e34861185201706f", "jane+ops@example.com-0e34861185201706f"),
            ("a;reboot", "'a;reboot'"),
            ("a'$(reboot)'", r"'a'\''$(reboot)'\'''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
