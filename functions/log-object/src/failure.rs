//! Why a log is not done. SQS delivers it again, and after the last delivery keeps it in the dead-letter queue; the
//! kind is out of a closed list, so that people have a word to look for (`docs/operations.md`).

use aws::error::AwsError;
use aws::ledger::LedgerError;
use aws::log::LogError;
use session::object::ObjectError;

/// Why a log is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The event on the object cannot be read.
    #[error("{0}")]
    Unreadable(#[from] ObjectError),
    /// Another delivery is at work on the log.
    #[error("another delivery is at work on it")]
    Busy,
    /// There was not enough time; what was read is kept.
    #[error("the time is up at byte {offset} of {size}")]
    Unfinished {
        /// How far it came.
        offset: u64,
        /// The log's size.
        size: u64,
    },
    /// CloudTrail has not told of the session's start yet.
    #[error("CloudTrail has not told of the session's start yet")]
    Waiting,
    /// The log could not be read from S3.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// The ledger could not be read or written.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The alert could not be published.
    #[error("alert: {0}")]
    Publish(AwsError),
}

impl Failure {
    /// The word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "Unreadable",
            Self::Busy => "Busy",
            Self::Unfinished { .. } => "Unfinished",
            Self::Waiting => "Waiting",
            Self::Log(_) => "Log",
            Self::Ledger(_) => "Ledger",
            Self::Publish(_) => "Publish",
        }
    }

    /// Whether this is how things go, and nobody has to look.
    pub(crate) fn is_expected(&self) -> bool {
        matches!(self, Self::Busy | Self::Unfinished { .. } | Self::Waiting)
    }

    /// The whole chain of causes, for the log.
    pub(crate) fn causes(&self) -> Option<String> {
        match self {
            Self::Publish(error)
            | Self::Ledger(LedgerError::Aws(error))
            | Self::Log(LogError::Aws(error)) => Some(error.causes()),
            _ => None,
        }
    }
}
