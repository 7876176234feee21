//! Why an invocation fails. Lambda tries again twice and then keeps the event in the failures queue; the type is out
//! of a closed list, so that filters and people have a word to hold (`docs/operations.md`).

use aws::error::AwsError;
use aws::ledger::LedgerError;
use lambda_runtime::Diagnostic;
use session::cloudtrail::RecordError;

/// Why an invocation fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The event cannot be read: it was told, and the failures queue keeps it.
    #[error("the event cannot be read: {0}")]
    Unreadable(#[from] RecordError),
    /// Another delivery of the event is at work on it; it may yet be killed.
    #[error("event `{event}` is being worked on")]
    Busy {
        /// The event.
        event: String,
    },
    /// The ledger could not be read or written.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The alert could not be published.
    #[error("alert: {0}")]
    Publish(AwsError),
    /// The session could not be ended, or nobody can prove that it ended.
    #[error("session `{session}` was not ended: {reason}")]
    NotEnded {
        /// The session.
        session: String,
        /// The outcome's reason.
        reason: String,
    },
    /// A policy could not be judged, because a look-up failed.
    #[error("not judged for a failed look-up: {}", policies.join(", "))]
    LookUp {
        /// The policies.
        policies: Vec<String>,
    },
}

impl Failure {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "Unreadable",
            Self::Busy { .. } => "Busy",
            Self::Ledger(_) => "Ledger",
            Self::Publish(_) => "Publish",
            Self::NotEnded { .. } => "NotEnded",
            Self::LookUp { .. } => "LookUp",
        }
    }

    /// The whole chain of causes, for the log.
    pub(crate) fn causes(&self) -> Option<String> {
        match self {
            Self::Publish(error) | Self::Ledger(LedgerError::Aws(error)) => Some(error.causes()),
            _ => None,
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind().to_owned(), error_message: failure.to_string() }
    }
}
