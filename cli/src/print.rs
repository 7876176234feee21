//! Printing to standard output, where a closed pipe is not an error.

use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};
use serde::Serialize;

/// Prints a document as JSON.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Box<dyn Error>> {
    text(&serde_json::to_string_pretty(document)?)
}

/// Prints a text and ends its last line.
pub(crate) fn text(text: &str) -> Result<(), Box<dyn Error>> {
    match writeln!(io::stdout().lock(), "{text}") {
        // The reader has seen enough (`ssm-guard … | head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// A number with its thousands apart.
pub(crate) fn count(number: usize) -> HumanCount {
    HumanCount(number as u64)
}

/// A number and what it is of: `1 file`, `1,204 files`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Drawn on standard error, and only when somebody is there to see it.
pub(crate) fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}
