//! Where to go on reading, and what was known there.

use serde::{Deserialize, Serialize};

use crate::state::State;

/// The version of what a checkpoint holds; another version is refused.
const VERSION: u32 = 1;

/// A place in a transcript at which another [`crate::Reader`] can go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    pub(crate) state: State,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("the checkpoint cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Another version of the reader wrote it.
    #[error("the checkpoint has version {0}, this reader knows version {VERSION}")]
    Version(u32),
}

impl Checkpoint {
    pub(crate) fn new(state: State) -> Self {
        Self { version: VERSION, state }
    }

    pub(crate) fn state(&self) -> Result<State, CheckpointError> {
        if self.version != VERSION {
            return Err(CheckpointError::Version(self.version));
        }
        Ok(self.state.clone())
    }

    /// The byte of the transcript from which to read on.
    pub fn offset(&self) -> u64 {
        self.state.offset
    }

    /// The checkpoint as text, to be kept.
    pub fn to_json(&self) -> Result<String, CheckpointError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a checkpoint that was kept.
    pub fn from_json(text: &str) -> Result<Self, CheckpointError> {
        let checkpoint: Self = serde_json::from_str(text)?;
        checkpoint.state()?;
        Ok(checkpoint)
    }
}
