//! What of a session's commands is dangerous.
//!
//! A command line is taken apart into simple commands, however they are wrapped ([`shell`]); each becomes the event that
//! a process monitor would have logged; Sigma rules judge the events ([`Rules`]); [`Scan`] groups what they find.
//!
//! Nothing here reads a file or a clock, and nothing fails on what a session typed.

mod discovery;
mod event;
mod index;
mod output;
mod rules;
mod scan;
pub mod shell;

pub use discovery::{BURST, SUBJECTS, WINDOW};
pub use index::IndexError;
pub use output::{LINE_BYTES, LINE_LIMIT, TELLING};
pub use rules::{Loaded, Rules, Unread};
pub use scan::{
    CheckpointError, Counts, Evidence, FINDING_LIMIT, Finding, Findings, Matched, Options, Scan, Seen,
    TEXT_KEPT,
};
pub use sigma::{Level, RuleError};
