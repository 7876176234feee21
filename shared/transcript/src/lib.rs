//! Command lines recovered from a Session Manager transcript.
//!
//! A transcript is what a terminal was sent: prompts, echoes and control codes, not commands. [`Reader`] finds the
//! places where a shell read a line, renders them as a terminal does, and yields what stood there when Enter was
//! pressed. All other text is yielded too, as [`Output`], so that hiding a command from the reader does not hide it
//! from those who search.
//!
//! Where a shell marks its prompts (bracketed paste, `ESC[?2004h` to `ESC[?2004l`: bash from 5.1, zsh, fish), the
//! marks say where a line begins and ends. Elsewhere a prompt must look like one that was there before.
//!
//! It is evidence, not a boundary. What cannot be known is counted in [`Coverage`]; the limits are in the header of
//! each module and in `docs/transcripts.md`, each with a test.

mod ahead;
mod checkpoint;
mod coverage;
mod flatten;
mod header;
mod piece;
mod powershell;
mod prompt;
mod reader;
mod region;
mod screen;
mod state;
mod syntax;
mod width;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use coverage::Coverage;
pub use header::{Footer, Header};
pub use piece::{Command, Confidence, Output, Piece, ShellKind};
pub use reader::{Reader, Summary};
