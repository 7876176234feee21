//! Commands that a program's text hands to a shell: `system("…")` in Python, Perl, awk and their like.
//!
//! No language is parsed. A known call is looked for, and the string literals after it are its command.

use super::filter;

/// How many calls of one text are read.
const CALL_LIMIT: usize = 32;

/// Names after which a command stands as a string, or as a list of strings.
const CALLS: [&str; 22] = [
    "system",
    "popen",
    "popen2",
    "popen3",
    "exec",
    "execl",
    "execlp",
    "execle",
    "execv",
    "execve",
    "execvp",
    "spawn",
    "spawnl",
    "spawnv",
    "spawnSync",
    "execSync",
    "call",
    "check_call",
    "check_output",
    "run",
    "shell_exec",
    "passthru",
];

/// Also calls, with names that are not worth a search of their own.
const MORE_CALLS: [&str; 6] = ["Popen", "getoutput", "getstatusoutput", "execute", "PROGRAM", "program"];

/// What stands before a command at the start of a line: at the prompts of database clients, debuggers and notebooks.
const ESCAPES: [&str; 6] = ["\\!", ".shell ", ".system ", "system ", ":!", "!"];

/// What a call runs.
pub(super) enum Call {
    /// Text for a shell.
    Script(String),
    /// A command with its arguments.
    Argv(Vec<String>),
    /// Program text that was hidden in base64.
    Decoded(String),
}

/// Whether a program's text may hold a call.
pub(super) fn is_worth_reading(text: &str) -> bool {
    text.contains(['(', '"', '\'', '`'])
}

/// Whether a text holds a command for a shell that no call passes on.
pub(super) fn has_escape(text: &str) -> bool {
    text.lines().take(CALL_LIMIT).any(|line| escape(line).is_some()) || text.contains("PROGRAM")
}

/// The command after the sign that passes it to a shell.
fn escape(line: &str) -> Option<&str> {
    let line = line.trim();
    let command = ESCAPES.into_iter().find_map(|sign| line.strip_prefix(sign))?.trim();
    let is_command =
        command.starts_with(|first: char| first.is_ascii_alphanumeric() || "/.~$".contains(first));
    is_command.then_some(command)
}

/// The calls in a program's text.
pub(super) fn calls(text: &str) -> Vec<Call> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0_usize;
    while let Some(byte) = bytes.get(at) {
        if found.len() >= CALL_LIMIT {
            break;
        }
        if byte.is_ascii_alphabetic() || *byte == b'_' {
            let rest = bytes.get(at..).unwrap_or_default();
            let length =
                rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            let name = text.get(at..at.saturating_add(length)).unwrap_or_default();
            at = at.saturating_add(length);
            if CALLS.contains(&name) || MORE_CALLS.contains(&name) {
                found.extend(call(bytes, at));
            }
            continue;
        }
        if *byte == b'`' {
            let rest = bytes.get(at.saturating_add(1)..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'`', rest) {
                found.push(Call::Script(
                    String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned(),
                ));
                at = at.saturating_add(end).saturating_add(2);
                continue;
            }
        }
        at = at.saturating_add(1);
    }
    if found.is_empty() {
        let lines = text.lines().take(CALL_LIMIT).filter_map(escape);
        found.extend(lines.map(|command| Call::Script(command.to_owned())));
    }
    if text.contains("b64") || text.contains("base64") || text.contains("Base64") {
        found.extend(hidden(bytes));
    }
    found
}

/// Reads the literals after a call's name.
fn call(bytes: &[u8], start: usize) -> Option<Call> {
    let mut at = start;
    let mut list = false;
    let mut literals: Vec<String> = Vec::new();
    // Between the name and its first literal, and between literals, only punctuation stands.
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                let (text, end) = literal(bytes, at);
                literals.push(text);
                at = end;
                if literals.len() >= 64 {
                    break;
                }
            }
            b'[' => {
                list = true;
                at = at.saturating_add(1);
            }
            b'(' | b' ' | b',' | b'{' => at = at.saturating_add(1),
            _ => break,
        }
    }
    let several = literals.len() > 1;
    match (literals.first(), list || several) {
        (None, _) => None,
        (Some(_), true) => {
            // execl("/bin/sh", "sh", "-c", …) names the program twice.
            if literals.len() > 2 && !list && literals.first().is_some_and(|path| path.starts_with('/')) {
                literals.remove(1);
            }
            Some(Call::Argv(literals))
        }
        (Some(text), false) => Some(Call::Script(text.clone())),
    }
}

/// Reads a string literal; where it ends.
fn literal(bytes: &[u8], start: usize) -> (String, usize) {
    let quote = bytes.get(start).copied().unwrap_or(b'"');
    let mut at = start.saturating_add(1);
    let mut text = Vec::new();
    while let Some(byte) = bytes.get(at) {
        at = at.saturating_add(1);
        if *byte == quote {
            break;
        }
        if *byte == b'\\' {
            match bytes.get(at) {
                Some(next @ (b'"' | b'\'' | b'\\')) => text.push(*next),
                Some(b'n') => text.push(b'\n'),
                Some(next) => text.extend_from_slice(&[b'\\', *next]),
                None => {}
            }
            at = at.saturating_add(1);
        } else {
            text.push(*byte);
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), at)
}

/// Base64 literals that decode to text.
fn hidden(bytes: &[u8]) -> Vec<Call> {
    let mut found = Vec::new();
    let mut at = 0_usize;
    while let Some(offset) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\'', rest)) {
        let (text, end) = literal(bytes, at.saturating_add(offset));
        at = end.max(at.saturating_add(1));
        if text.len() < 16 || found.len() >= 4 {
            continue;
        }
        let decoded =
            filter::base64_text(text.as_bytes()).and_then(|decoded| String::from_utf8(decoded).ok());
        found.extend(decoded.filter(|text| !text.contains('\0')).map(Call::Decoded));
    }
    found
}
