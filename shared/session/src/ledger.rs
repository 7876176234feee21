//! What the ledger keeps: who works on an event, and one record per session that joins what is known.
//!
//! CloudTrail delivers late, twice and out of order: the end of a session may come before its start,
//! both with the same second in `eventTime`. So nothing here is "the last event": facts are joined, and
//! the join gives the same record for every order.
//!
//! That each event is joined once is the claim's work: a run claims the event, writes down how far it came
//! ([`Progress`]), and a later delivery takes over what a killed run left. What a run does about one event, step
//! by step, is in `docs/architecture.md`; `tests/ledger.rs` runs it in every order with crashes at every step.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::document::Document;
use crate::event::{EventKind, Session, SessionId};
use crate::object::LogObject;
use crate::policy::{Decision, Severity};
use crate::principal::Mfa;
use crate::response::{Mode, Outcome};
use crate::target::TargetId;
use crate::transcript::Transcript;

/// How many verdicts a record keeps: the worst ones. A client may resume a session any number of times,
/// and a record must not outgrow the table's item size.
pub const VERDICTS_KEPT: usize = 100;

/// How many logs a record keeps. One is right; whoever may write to the bucket may write more.
pub const TRANSCRIPTS_KEPT: usize = 10;

/// Who ended a session, when the guard did.
const GUARD: &str = "ssm-guard";

/// How long a run may hold an event of CloudTrail before another delivery may take over: longer than the function's
/// timeout, shorter than the time until Lambda's second retry.
pub const LEASE: SignedDuration = SignedDuration::from_secs(75);

/// How long a run may hold a log before another delivery may take over: longer than the timeout of the function that reads logs.
pub const LOG_LEASE: SignedDuration = SignedDuration::from_secs(330);

/// What a delivery may do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has worked on it.
    New,
    /// A run that is over left it unfinished, with this much done.
    Resume(Progress),
    /// Another run is at work on it.
    Busy,
    /// It has its verdict, and whoever had to be told was told.
    Done,
}

/// How far a run came with an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When it was decided to end the session: recorded before the session is ended.
    pub intended: Option<Timestamp>,
    /// Whether the session's record has the event and its verdict.
    pub recorded: bool,
    /// What was told last, in the words of [`crate::alert::Alert::told`].
    pub told: Option<String>,
    /// How far a log was read, in the words of whoever reads it.
    pub checkpoint: Option<String>,
}

/// What the ledger knows of work on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The delivery that holds it: Lambda's request id, which stays the same when Lambda retries.
    pub owner: String,
    /// Until when it may be at work.
    pub until: Timestamp,
    /// Whether nothing is left to do.
    pub done: bool,
    /// How far it came.
    pub progress: Progress,
}

impl Claimed {
    /// What `owner` may do with an event of which the ledger knows this. A retry of the same delivery need
    /// not wait for the lease: Lambda retries a delivery only when its former run is over.
    pub fn claim(known: Option<Self>, owner: &str, now: Timestamp) -> Claim {
        match known {
            None => Claim::New,
            Some(claimed) if claimed.done => Claim::Done,
            Some(claimed) if claimed.owner != owner && now < claimed.until => Claim::Busy,
            Some(claimed) => Claim::Resume(claimed.progress),
        }
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// When AWS took the call.
    pub time: Timestamp,
    /// The API call.
    pub operation: String,
    /// The mode at that time.
    pub mode: Mode,
    /// What happened, in the word of [`Outcome::as_str`].
    pub outcome: String,
    /// The worst severity found.
    pub severity: Option<Severity>,
    /// The violated policies.
    pub violations: Vec<String>,
    /// Policies that could not be judged.
    pub undecided: Vec<String>,
    /// The policies that permitted it.
    pub permitted_by: Vec<String>,
}

impl Verdict {
    /// The verdict on a session.
    pub fn new(session: &Session, decision: &Decision, outcome: &Outcome, mode: Mode) -> Self {
        Self {
            time: session.event.time,
            operation: session.event.operation().to_owned(),
            mode,
            outcome: outcome.as_str().to_owned(),
            severity: decision.severity(),
            violations: decision.violations.iter().map(|policy| policy.id.clone()).collect(),
            undecided: decision.undecided.iter().map(|undecided| undecided.policy.id.clone()).collect(),
            permitted_by: decision.permitted_by.clone(),
        }
    }
}

/// What StartSession said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// When.
    pub time: Timestamp,
    /// By whom, in words.
    pub principal: String,
    /// The principal's name.
    pub principal_name: String,
    /// The principal's ARN.
    pub principal_arn: Option<String>,
    /// The second factor.
    pub mfa: Mfa,
    /// Where from.
    pub source: String,
    /// On what.
    pub target: TargetId,
    /// With which document and parameters.
    pub document: Document,
    /// Why.
    pub reason: Option<String>,
}

impl Started {
    /// What a session's own StartSession says; `None` for other events.
    fn of(session: &Session) -> Option<Self> {
        let event = &session.event;
        let EventKind::Started { target, document, reason, .. } = &event.kind else { return None };
        Some(Self {
            time: event.time,
            principal: event.principal.describe(),
            principal_name: event.principal.name.clone(),
            principal_arn: event.principal.arn.clone(),
            mfa: event.principal.mfa,
            source: event.source.to_string(),
            target: target.clone(),
            document: document.clone(),
            reason: reason.clone(),
        })
    }
}

/// When and by whom a session was ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    /// When.
    pub time: Timestamp,
    /// By whom, in words.
    pub by: String,
}

/// What is known of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its start.
    pub started: Option<Started>,
    /// Its first known end.
    pub ended: Option<Ended>,
    /// How often it was taken up again.
    pub resumed: u64,
    /// When it was last taken up again.
    pub last_resumed: Option<Timestamp>,
    /// One verdict per event, by event id; the worst [`VERDICTS_KEPT`].
    pub verdicts: BTreeMap<String, Verdict>,
    /// Its logs, by [`crate::object::LogObject::id`]; the first and the latest, [`TRANSCRIPTS_KEPT`] at most.
    pub transcripts: BTreeMap<String, Transcript>,
}

impl SessionRecord {
    /// The record of a session of which only the start is known.
    pub fn of_start(session: &Session) -> Self {
        Self { started: Started::of(session), ..Self::default() }
    }

    /// Joins one event and its verdict. Call once per event, since a resumption counts; a later run on the
    /// same event [revises](Self::revise) its verdict.
    pub fn join(&mut self, session: &Session, verdict: Verdict, outcome: &Outcome) {
        let event = &session.event;
        match &event.kind {
            EventKind::Started { .. } => self.started = Started::of(session),
            EventKind::Resumed { .. } => {
                self.resumed += 1;
                self.last_resumed = self.last_resumed.max(Some(event.time));
            }
            EventKind::Terminated { .. } => {
                let by = if session.is_own { GUARD.to_owned() } else { event.principal.describe() };
                self.end(Ended { time: event.time, by });
            }
            EventKind::Attempted { .. } => {}
        }
        self.revise(&event.id, verdict, outcome);
    }

    /// Replaces the verdict on an event that was joined before.
    pub fn revise(&mut self, event: &str, verdict: Verdict, outcome: &Outcome) {
        if let Outcome::Terminated { confirmed } = outcome {
            self.end(Ended { time: *confirmed, by: GUARD.to_owned() });
        }
        self.verdicts.insert(event.to_owned(), verdict);
        self.forget_mildest();
    }

    /// Joins a log of the session. Of many logs the first stays: the ones after it may have been written to hide it.
    pub fn join_transcript(&mut self, object: &LogObject, transcript: Transcript) {
        self.transcripts.insert(object.id(), transcript);
        while self.transcripts.len() > TRANSCRIPTS_KEPT {
            let mut by_time: Vec<_> =
                self.transcripts.iter().map(|(id, transcript)| (transcript.time, id.clone())).collect();
            by_time.sort();
            let Some((_, second)) = by_time.into_iter().nth(1) else { return };
            self.transcripts.remove(&second);
        }
    }

    /// The first end is the end: later calls found nothing to end.
    fn end(&mut self, ended: Ended) {
        self.ended = match self.ended.take() {
            Some(known) => Some(known.min(ended)),
            None => Some(ended),
        };
    }

    fn forget_mildest(&mut self) {
        while self.verdicts.len() > VERDICTS_KEPT {
            let mildest = self
                .verdicts
                .iter()
                .min_by_key(|(id, verdict)| (verdict.severity, verdict.time, (*id).clone()))
                .map(|(id, _)| id.clone());
            let Some(id) = mildest else { return };
            self.verdicts.remove(&id);
        }
    }

    /// Adds what the record knows to a session whose own event does not say it.
    pub fn complete(&self, session: &mut Session) {
        if session.document.is_none() {
            session.document = self.started.as_ref().map(|started| started.document.clone());
        }
        if session.reason.is_none() {
            session.reason = self.started.as_ref().and_then(|started| started.reason.clone());
        }
        if session.ended.is_none() {
            session.ended = self.ended.as_ref().map(|ended| ended.time);
        }
    }
}

/// The key of a session's record: ids are unique within an account and region only.
pub fn session_key(account: &str, region: &str, session: &SessionId) -> String {
    format!("session#{account}#{region}#{session}")
}
