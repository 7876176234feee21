//! The ledger's items: their shape in the table, and nothing else.
//!
//! Times are RFC 3339 texts, so that an auditor can read an item as it is; only what a condition compares is a
//! number.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use session::document::{Document, SessionKind};
use session::ledger::{Claimed, Ended, Progress, SessionRecord, Started, Verdict};
use session::policy::Severity;
use session::principal::Mfa;
use session::response::Mode;
use session::target::TargetId;
use session::transcript::Transcript;

use super::{Item, LedgerError, Owner, Read};

#[derive(Deserialize)]
struct EventItem {
    owner: String,
    until: i64,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    recorded: bool,
    intended: Option<Timestamp>,
    told: Option<String>,
    checkpoint: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SessionItem {
    account: String,
    region: String,
    session: String,
    #[serde(skip_serializing, default)]
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<StartedItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndedItem>,
    resumed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_resumed: Option<Timestamp>,
    verdicts: BTreeMap<String, VerdictItem>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    transcripts: BTreeMap<String, TranscriptItem>,
}

#[derive(Serialize, Deserialize)]
struct StartedItem {
    time: Timestamp,
    principal: String,
    principal_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_arn: Option<String>,
    mfa: String,
    source: String,
    target: String,
    document: DocumentItem,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct DocumentItem {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct EndedItem {
    time: Timestamp,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct VerdictItem {
    time: Timestamp,
    operation: String,
    mode: String,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    violations: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undecided: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    permitted_by: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct TranscriptItem {
    time: Timestamp,
    bucket: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    bytes: u64,
    lines: u64,
    commands: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    findings: BTreeMap<String, u64>,
}

/// Reads what the item of an event says of work on it.
pub(super) fn claimed(event: &str, item: Item) -> Result<Claimed, LedgerError> {
    let item: EventItem = serde_dynamo::from_item(item).map_err(unreadable(event))?;
    Ok(Claimed {
        owner: item.owner,
        // A time that cannot be is a lease that is over.
        until: Timestamp::from_millisecond(item.until).unwrap_or(Timestamp::MIN),
        done: item.done,
        progress: Progress {
            intended: item.intended,
            recorded: item.recorded,
            told: item.told,
            checkpoint: item.checkpoint,
        },
    })
}

/// Reads the item of a session.
pub(super) fn record(key: &str, item: Item) -> Result<Read, LedgerError> {
    let item: SessionItem = serde_dynamo::from_item(item).map_err(unreadable(key))?;
    let record = SessionRecord {
        started: item.started.map(StartedItem::read),
        ended: item.ended.map(|ended| Ended { time: ended.time, by: ended.by }),
        resumed: item.resumed,
        last_resumed: item.last_resumed,
        verdicts: item.verdicts.into_iter().map(|(event, verdict)| (event, verdict.read())).collect(),
        transcripts: item.transcripts.into_iter().map(|(id, transcript)| (id, transcript.read())).collect(),
    };
    Ok(Read { record, version: item.version })
}

/// Writes the item of a session.
pub(super) fn session(
    key: &str,
    owner: Owner<'_>,
    record: &SessionRecord,
) -> Result<HashMap<String, AttributeValue>, LedgerError> {
    let item = SessionItem {
        account: owner.account.to_owned(),
        region: owner.region.to_owned(),
        session: owner.session.to_string(),
        version: 0,
        started: record.started.as_ref().map(StartedItem::write),
        ended: record.ended.as_ref().map(|ended| EndedItem { time: ended.time, by: ended.by.clone() }),
        resumed: record.resumed,
        last_resumed: record.last_resumed,
        verdicts: record
            .verdicts
            .iter()
            .map(|(event, verdict)| (event.clone(), VerdictItem::write(verdict)))
            .collect(),
        transcripts: record
            .transcripts
            .iter()
            .map(|(id, transcript)| (id.clone(), TranscriptItem::write(transcript)))
            .collect(),
    };
    serde_dynamo::to_item(item).map_err(unreadable(key))
}

/// Writes a verdict.
pub(super) fn verdict(event: &str, verdict: &Verdict) -> Result<AttributeValue, LedgerError> {
    serde_dynamo::to_attribute_value(VerdictItem::write(verdict)).map_err(unreadable(event))
}

fn unreadable(key: &str) -> impl FnOnce(serde_dynamo::Error) -> LedgerError {
    let key = key.to_owned();
    move |source| LedgerError::Item { key, source }
}

impl StartedItem {
    fn write(started: &Started) -> Self {
        let document = &started.document;
        Self {
            time: started.time,
            principal: started.principal.clone(),
            principal_name: started.principal_name.clone(),
            principal_arn: started.principal_arn.clone(),
            mfa: started.mfa.as_str().to_owned(),
            source: started.source.clone(),
            target: started.target.to_string(),
            document: DocumentItem {
                name: document.name.clone(),
                account: document.account.clone(),
                kind: document.kind.as_str().to_owned(),
                remote_host: document.remote_host.clone(),
                port: document.port,
                command: document.command.clone(),
            },
            reason: started.reason.clone(),
        }
    }

    fn read(self) -> Started {
        let document = self.document;
        Started {
            time: self.time,
            principal: self.principal,
            principal_name: self.principal_name,
            principal_arn: self.principal_arn,
            mfa: known([Mfa::Present, Mfa::Absent], Mfa::as_str, &self.mfa).unwrap_or(Mfa::NotReported),
            source: self.source,
            target: TargetId::parse(&self.target),
            document: Document {
                name: document.name,
                account: document.account,
                kind: known(KINDS, SessionKind::as_str, &document.kind).unwrap_or(SessionKind::Unknown),
                remote_host: document.remote_host,
                port: document.port,
                command: document.command,
            },
            reason: self.reason,
        }
    }
}

impl VerdictItem {
    fn write(verdict: &Verdict) -> Self {
        Self {
            time: verdict.time,
            operation: verdict.operation.clone(),
            mode: verdict.mode.as_str().to_owned(),
            outcome: verdict.outcome.clone(),
            severity: verdict.severity.map(|severity| severity.as_str().to_owned()),
            violations: verdict.violations.clone(),
            undecided: verdict.undecided.clone(),
            permitted_by: verdict.permitted_by.clone(),
        }
    }

    fn read(self) -> Verdict {
        Verdict {
            time: self.time,
            operation: self.operation,
            mode: Mode::parse(&self.mode).unwrap_or(Mode::Observe),
            outcome: self.outcome,
            severity: self.severity.as_deref().and_then(Severity::parse),
            violations: self.violations,
            undecided: self.undecided,
            permitted_by: self.permitted_by,
        }
    }
}

impl TranscriptItem {
    fn write(transcript: &Transcript) -> Self {
        Self {
            time: transcript.time,
            bucket: transcript.bucket.clone(),
            key: transcript.key.clone(),
            version: transcript.version.clone(),
            bytes: transcript.bytes,
            lines: transcript.lines,
            commands: transcript.commands,
            limits: transcript.limits.clone(),
            severity: transcript.severity.map(|severity| severity.as_str().to_owned()),
            findings: transcript.findings.clone(),
        }
    }

    fn read(self) -> Transcript {
        Transcript {
            time: self.time,
            bucket: self.bucket,
            key: self.key,
            version: self.version,
            bytes: self.bytes,
            lines: self.lines,
            commands: self.commands,
            limits: self.limits,
            severity: self.severity.as_deref().and_then(Severity::parse),
            findings: self.findings,
        }
    }
}

const KINDS: [SessionKind; 4] = [
    SessionKind::StandardStream,
    SessionKind::InteractiveCommands,
    SessionKind::NonInteractiveCommands,
    SessionKind::Port,
];

/// The value whose word is `word`.
fn known<T: Copy, const N: usize>(values: [T; N], word_of: fn(T) -> &'static str, word: &str) -> Option<T> {
    values.into_iter().find(|value| word_of(*value) == word)
}
