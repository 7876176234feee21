//! What was found in the log of a session, and whether the log can be what its name claims.
//!
//! The node writes the log, with a role that may write any name in the bucket, and the person who is watched may own the node. So a
//! log is evidence only together with what CloudTrail said of the session: what contradicts it is a finding
//! like one in the log itself. CloudTrail may come after the log, so that a session is called unknown only when the caller says
//! that it waited long enough.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ledger::SessionRecord;
use crate::object::LogObject;
use crate::policy::Severity;

/// Where runbooks of the findings of this module are.
const RUNBOOK: &str = "docs/rules.md";

/// What one rule found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name: its folder for a shipped rule, else its id.
    pub rule: String,
    /// What it means, for people.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// ATT&CK techniques, such as `T1552.001`.
    pub techniques: Vec<String>,
    /// ATT&CK tactics, such as `credential-access`.
    pub tactics: Vec<String>,
    /// Who wrote the rule.
    pub author: Option<String>,
    /// What to do.
    pub runbook: Option<String>,
    /// How often it was found.
    pub count: u64,
    /// Where it was found first; `None` for what is wrong with the log as a whole.
    pub evidence: Option<Evidence>,
}

/// The first thing that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The command, or the line of output.
    pub text: String,
    /// The line of the log, from 1.
    pub line: u64,
    /// How it is known, such as `command, high confidence`.
    pub known: String,
}

/// What a log says of itself in its first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The node.
    pub node: Option<String>,
    /// The session.
    pub session: Option<String>,
}

/// What was read of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its length.
    pub bytes: u64,
    /// Its lines.
    pub lines: u64,
    /// Commands that were run.
    pub commands: u64,
    /// What its first line says.
    pub claims: Claims,
    /// What could not be recovered, in words.
    pub limits: Vec<String>,
    /// What the rules found, worst first.
    pub findings: Vec<Finding>,
}

/// What the ledger keeps of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// When the log was written.
    pub time: Timestamp,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// Its lines.
    pub lines: u64,
    /// Commands that were run.
    pub commands: u64,
    /// What could not be recovered.
    pub limits: Vec<String>,
    /// The worst finding.
    pub severity: Option<Severity>,
    /// How often each rule found something.
    pub findings: BTreeMap<String, u64>,
}

impl Transcript {
    /// What the ledger keeps of a reading.
    pub fn new(object: &LogObject, reading: &Reading, findings: &[Finding]) -> Self {
        Self {
            time: object.time,
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            version: object.version.clone(),
            bytes: reading.bytes,
            lines: reading.lines,
            commands: reading.commands,
            limits: reading.limits.clone(),
            severity: worst(findings),
            findings: findings.iter().map(|finding| (finding.rule.clone(), finding.count)).collect(),
        }
    }
}

/// How far the join of a log with its session's start came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The ledger has the session's StartSession.
    Known,
    /// Not yet, and it may still come.
    Waiting,
    /// It did not come in the time that CloudTrail takes.
    Unknown,
}

impl Joined {
    /// How the log of a session is joined at this moment, when CloudTrail is given until `patience` after the log was written.
    pub fn of(
        record: &SessionRecord,
        object: &LogObject,
        patience: jiff::SignedDuration,
        now: Timestamp,
    ) -> Self {
        match record.started {
            Some(_) => Self::Known,
            None if now < object.time.saturating_add(patience).unwrap_or(Timestamp::MAX) => Self::Waiting,
            None => Self::Unknown,
        }
    }
}

/// Everything that was found, worst first: what the rules found, and what contradicts the log.
pub fn findings(
    record: &SessionRecord,
    object: &LogObject,
    reading: &Reading,
    joined: Joined,
) -> Vec<Finding> {
    let mut findings = contradictions(record, object, reading, joined);
    findings.extend(reading.findings.iter().cloned());
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.rule.cmp(&b.rule)));
    findings
}

/// The worst severity of some findings.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

/// What speaks against the log being the true record of its session.
fn contradictions(
    record: &SessionRecord,
    object: &LogObject,
    reading: &Reading,
    joined: Joined,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule: &str, title: &str, said: Option<String>| {
        found.push(Finding {
            rule: rule.to_owned(),
            title: title.to_owned(),
            severity: Severity::High,
            techniques: vec!["T1565.001".to_owned()],
            tactics: vec!["impact".to_owned()],
            author: Some("ssm-guard".to_owned()),
            runbook: Some(format!("{RUNBOOK}#{rule}")),
            count: 1,
            evidence: said.map(|text| Evidence { text, line: 1, known: "the log's first line".to_owned() }),
        });
    };
    if joined == Joined::Unknown {
        add("log-of-unknown-session", "A Log of a Session That CloudTrail Does Not Know", None);
    }
    let target = record.started.as_ref().map(|started| started.target.to_string());
    if let (Some(target), Some(node)) = (target, &reading.claims.node)
        && target != *node
    {
        let said = format!("the log says {node}, the session was opened on {target}");
        add("log-of-another-node", "A Log From Another Node Than Its Session's", Some(said));
    }
    if let Some(session) = &reading.claims.session
        && session != object.session.as_str()
    {
        let said = format!("the log says {session}, its name says {}", object.session);
        add("log-of-another-session", "A Log of Another Session Than Its Name Says", Some(said));
    }
    let id = object.id();
    if record.transcripts.keys().any(|known| *known != id) {
        add("log-overwritten", "The Log of a Session Was Written More Than Once", None);
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::document::{Document, SessionKind};
    use crate::event::SessionId;
    use crate::ledger::Started;
    use crate::principal::Mfa;
    use crate::target::TargetId;

    const SESSION: &str = "alice-0e34861185201706f";
    const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn object() -> LogObject {
        LogObject {
            bucket: "logs".to_owned(),
            key: format!("linux/{SESSION}.log"),
            version: Some("v1".to_owned()),
            size: 100,
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            time: at("2026-11-23T09:30:00Z"),
            session: SessionId::new(SESSION).unwrap(),
        }
    }

    fn known() -> SessionRecord {
        let started = Started {
            time: at("2026-11-23T09:00:00Z"),
            principal: "IAM user alice".to_owned(),
            principal_name: "alice".to_owned(),
            principal_arn: None,
            mfa: Mfa::Present,
            source: "198.51.100.7".to_owned(),
            target: TargetId::parse("i-0123456789abcdef0"),
            document: Document {
                name: "SSM-SessionManagerRunShell".to_owned(),
                account: None,
                kind: SessionKind::StandardStream,
                remote_host: None,
                port: None,
                command: None,
            },
            reason: None,
        };
        SessionRecord { started: Some(started), ..SessionRecord::default() }
    }

    fn claims(node: &str, session: &str) -> Reading {
        let claims = Claims { node: Some(node.to_owned()), session: Some(session.to_owned()) };
        Reading { claims, ..Reading::default() }
    }

    /// A log whose target does not match its session's is itself a finding, and so are its other contradictions.
    #[test]
    fn a_log_is_held_against_what_is_known_of_its_session() {
        let other = "s3://logs/linux/alice-0e34861185201706f.log@v0".to_owned();
        let mut written_before = known();
        let earlier = Transcript::new(&object(), &Reading::default(), &[]);
        written_before.transcripts.insert(other, earlier.clone());
        let mut delivered_twice = known();
        delivered_twice.transcripts.insert(object().id(), earlier);
        let honest = claims("i-0123456789abcdef0", SESSION);
        for (record, reading, joined, expected) in [
            (known(), honest.clone(), Joined::Known, vec![]),
            (known(), Reading::default(), Joined::Known, vec![]),
            (known(), claims("i-0fedcba9876543210", SESSION), Joined::Known, vec!["log-of-another-node"]),
            (known(), claims("i-0123456789abcdef0", "bob-1"), Joined::Known, vec!["log-of-another-session"]),
            (written_before, honest.clone(), Joined::Known, vec!["log-overwritten"]),
            (delivered_twice, honest.clone(), Joined::Known, vec![]),
            (SessionRecord::default(), honest.clone(), Joined::Waiting, vec![]),
            (SessionRecord::default(), honest, Joined::Unknown, vec!["log-of-unknown-session"]),
        ] {
            let found = findings(&record, &object(), &reading, joined);
            let rules: Vec<_> = found.iter().map(|finding| finding.rule.as_str()).collect();
            assert_eq!(rules, expected);
        }
    }

    /// A log whose session CloudTrail does not know in the time that it takes is itself a finding; before that it waits.
    #[test]
    fn a_session_is_unknown_only_after_the_time_that_cloudtrail_takes() {
        for (record, now, expected) in [
            (known(), "2026-11-23T09:30:00Z", Joined::Known),
            (SessionRecord::default(), "2026-11-23T09:44:59Z", Joined::Waiting),
            (SessionRecord::default(), "2026-11-23T09:45:00Z", Joined::Unknown),
        ] {
            assert_eq!(Joined::of(&record, &object(), PATIENCE, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn the_worst_finding_is_told_first() {
        let mut reading = claims("i-0fedcba9876543210", SESSION);
        let finding = |rule: &str, severity| Finding {
            rule: rule.to_owned(),
            title: String::new(),
            severity,
            techniques: Vec::new(),
            tactics: Vec::new(),
            author: None,
            runbook: None,
            count: 1,
            evidence: None,
        };
        reading.findings = vec![finding("mild", Severity::Low), finding("bad", Severity::Critical)];
        let found = findings(&known(), &object(), &reading, Joined::Known);
        let rules: Vec<_> = found.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules, ["bad", "log-of-another-node", "mild"]);
        assert_eq!(worst(&found), Some(Severity::Critical));
    }
}
