//! From a decision to what follows from it, and what came of that.

use jiff::Timestamp;

use crate::event::{Session, SessionId};
use crate::policy::{Decision, Respond};

/// Whether the guard ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It only tells. The default of a first deployment.
    Observe,
    /// It ends what a policy says to end.
    Enforce,
}

impl Mode {
    /// The word in configuration, alerts and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }

    /// Reads the word of the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Observe, Self::Enforce].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// What is to be done: nothing is left to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The session to end.
    pub terminate: Option<SessionId>,
    /// What came of it, when there is nothing to end.
    pub otherwise: Outcome,
    /// Whether somebody is told.
    pub alert: bool,
}

/// What happened to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No policy asks to end it.
    NotNeeded,
    /// A policy asks to end it; in `observe` mode nobody does.
    Observed,
    /// It was over before the guard acted.
    AlreadyEnded,
    /// The guard ended it, and DescribeSessions says so.
    Terminated {
        /// When DescribeSessions was seen to say so.
        confirmed: Timestamp,
    },
    /// It should have been ended and was not, or nobody can prove it. For people: why.
    Failed {
        /// Which call failed, and how.
        reason: String,
    },
}

impl Outcome {
    /// The word in records, metrics and message attributes.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Observed => "observed",
            Self::AlreadyEnded => "already_ended",
            Self::Terminated { .. } => "terminated",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What follows from a decision.
///
/// A session that the ledger heard the end of is ended all the same: TerminateSession was called for it, but only
/// DescribeSessions proves that it ended, and ending it again is harmless.
pub fn respond(decision: &Decision, session: &Session, mode: Mode) -> Response {
    let ends = decision.respond() == Some(Respond::Terminate) && session.is_opened();
    let otherwise = match (ends, session.ended) {
        (false, _) => Outcome::NotNeeded,
        (true, Some(_)) => Outcome::AlreadyEnded,
        (true, None) => Outcome::Observed,
    };
    Response {
        terminate: session.id().filter(|_| ends && mode == Mode::Enforce).cloned(),
        otherwise,
        // A forbidden session that has already ended is still told.
        alert: !decision.is_clean(),
    }
}
