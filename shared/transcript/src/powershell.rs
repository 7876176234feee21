//! What PowerShell's `Start-Transcript` writes: text that is rendered already, between two blocks of facts.
//!
//! Known limit, with a test: a prompt that the user changed (`function prompt`) is not known, and its commands are
//! output (`a_changed_prompt_is_not_known`).

use crate::piece::ShellKind;
use crate::prompt::{Openness, Prompts, Trust, continuation};
use crate::region::Recovered;

const RULE: &[u8] = b"**********************";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a line opens or closes a block of facts; a transcript of PowerShell begins with one.
pub(crate) fn is_rule(line: &[u8]) -> bool {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii() == RULE
}

/// The command in a line.
pub(crate) fn command(prompts: &Prompts, line: &str, goes_on: bool) -> Option<Recovered> {
    let line = line.trim_end();
    let split = prompts.split(line, Openness::Forms).filter(|split| {
        split.trust == Trust::Known || matches!(split.kind, ShellKind::PowerShell | ShellKind::Cmd)
    });
    let (end, kind, continues) = match split {
        Some(split) => (split.end, split.kind, false),
        None if goes_on => (continuation(line)?, ShellKind::PowerShell, true),
        None => return None,
    };
    let (prompt, text) = line.split_at_checked(end)?;
    Some(Recovered {
        prompt: prompt.to_owned(),
        text: text.trim_end().to_owned(),
        kind,
        trust: Trust::Form,
        continues,
        before: Vec::new(),
        others: Vec::new(),
    })
}
