//! One Session Manager call, as CloudTrail told it, and the session it belongs to.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::document::Document;
use crate::principal::Principal;
use crate::target::{Target, TargetId};

/// A session's id: opaque, up to 96 characters. Its prefix is chosen by the caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// Takes what AWS calls a session id; `None` for what cannot be one.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=96).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is the id of an account.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text can be the name of a Region.
pub fn is_region(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 64 && text.bytes().all(fits)
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a call came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An address.
    Ip(IpAddr),
    /// A service's name, `AWS Internal`, or whatever else AWS put there.
    Service(String),
    /// CloudTrail does not say.
    NotReported,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(formatter),
            Self::Service(name) => formatter.write_str(name),
            Self::NotReported => formatter.write_str("not reported"),
        }
    }
}

/// What was called and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `StartSession` opened a session.
    Started {
        /// The new session.
        session: SessionId,
        /// What it was opened on.
        target: TargetId,
        /// The document it runs.
        document: Document,
        /// What the caller gave as the reason.
        reason: Option<String>,
    },
    /// `ResumeSession` took a session up again.
    Resumed {
        /// The session.
        session: SessionId,
    },
    /// `TerminateSession` ended a session.
    Terminated {
        /// The session.
        session: SessionId,
    },
    /// AWS refused the call or could not carry it out: no session was opened, taken up or ended.
    Attempted {
        /// The API call.
        operation: String,
        /// CloudTrail's `errorCode`.
        error_code: String,
        /// Whether IAM refused it, rather than the call failing for another reason.
        denied: bool,
        /// The target, when the record names one. Often it names only the document.
        target: Option<TargetId>,
        /// The session, for attempts on an existing one.
        session: Option<SessionId>,
    },
}

/// One Session Manager call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// CloudTrail's `eventID`: the same on every redelivery.
    pub id: String,
    /// When AWS took the call; a resolution of one second.
    pub time: Timestamp,
    /// The account that the session is in.
    pub account: String,
    /// The region that the session is in.
    pub region: String,
    /// Who called.
    pub principal: Principal,
    /// Where from.
    pub source: Source,
    /// With which client.
    pub user_agent: Option<String>,
    /// What was called.
    pub kind: EventKind,
}

impl SessionEvent {
    /// The session that the event belongs to; attempts often belong to none.
    pub fn session(&self) -> Option<&SessionId> {
        match &self.kind {
            EventKind::Started { session, .. }
            | EventKind::Resumed { session }
            | EventKind::Terminated { session } => Some(session),
            EventKind::Attempted { session, .. } => session.as_ref(),
        }
    }

    /// The target that the event itself names.
    pub fn target(&self) -> Option<&TargetId> {
        match &self.kind {
            EventKind::Started { target, .. } => Some(target),
            EventKind::Attempted { target, .. } => target.as_ref(),
            EventKind::Resumed { .. } | EventKind::Terminated { .. } => None,
        }
    }

    /// The API call.
    pub fn operation(&self) -> &str {
        match &self.kind {
            EventKind::Started { .. } => "StartSession",
            EventKind::Resumed { .. } => "ResumeSession",
            EventKind::Terminated { .. } => "TerminateSession",
            EventKind::Attempted { operation, .. } => operation,
        }
    }
}

/// An event with everything that was found out about its session: what policies judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The call.
    pub event: SessionEvent,
    /// What the session is on; `None` when neither the event nor the ledger nor AWS could tell.
    pub target: Option<Target>,
    /// The document, from the event or from the session's start.
    pub document: Option<Document>,
    /// The reason that was given when the session was started.
    pub reason: Option<String>,
    /// When the session was ended, as far as the ledger heard; only DescribeSessions proves it.
    pub ended: Option<Timestamp>,
    /// Whether the call is the guard's own: such calls come back as events like any other.
    pub is_own: bool,
}

impl Session {
    /// A session as its own event tells it, with what the look-up found of its target.
    pub fn new(event: SessionEvent, target: Option<Target>) -> Self {
        let (document, reason) = match &event.kind {
            EventKind::Started { document, reason, .. } => (Some(document.clone()), reason.clone()),
            _ => (None, None),
        };
        Self { event, target, document, reason, ended: None, is_own: false }
    }

    /// The session's id.
    pub fn id(&self) -> Option<&SessionId> {
        self.event.session()
    }

    /// Whether the call opened a session or took one up again.
    pub fn is_opened(&self) -> bool {
        matches!(self.event.kind, EventKind::Started { .. } | EventKind::Resumed { .. })
    }
}
