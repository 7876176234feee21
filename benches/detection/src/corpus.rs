//! Labelled commands and recorded sessions.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

use serde_json::Value;
use transcript::ShellKind;

/// One labelled record.
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) windows: bool,
    /// high, medium or low; for benign records plain or dual.
    pub(crate) kind: String,
    pub(crate) technique: String,
    pub(crate) shell: ShellKind,
    /// The lines that are scored.
    pub(crate) lines: Vec<String>,
    /// Which half of the data it is in.
    pub(crate) second_half: bool,
}

/// One recorded session.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) malicious: bool,
    pub(crate) log: Vec<u8>,
    /// What was really run that is an attack at signal high or medium, with its record's id.
    pub(crate) planted: Vec<String>,
}

/// Reads records that are to be scored.
pub(crate) fn records(path: &Path) -> Result<Vec<Record>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let mut records = Vec::new();
    for line in text.lines() {
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("`{}`: {error}", path.display()))?;
        if value.get("eval").and_then(Value::as_bool) == Some(false) {
            continue;
        }
        records.extend(record(&value));
    }
    Ok(records)
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn record(value: &Value) -> Option<Record> {
    let commands = value.get("commands")?.as_array()?;
    let setup: Vec<bool> = value
        .get("setup")
        .and_then(Value::as_array)
        .map(|marks| marks.iter().map(|mark| mark.as_bool() == Some(true)).collect())
        .unwrap_or_default();
    let lines: Vec<String> = commands
        .iter()
        .enumerate()
        .filter(|(position, _)| setup.get(*position) != Some(&true))
        .filter_map(|(_, command)| command.as_str().map(str::to_owned))
        .collect();
    let windows = text_of(value, "platform") == "windows";
    let (signal, tier) = (text_of(value, "signal"), text_of(value, "tier"));
    let group = text_of(value, "group");
    let id = text_of(value, "id");
    let mut hasher = DefaultHasher::new();
    if group.is_empty() { &id } else { &group }.hash(&mut hasher);
    Some(Record {
        shell: shell(windows, &text_of(value, "executor"), &lines),
        source: text_of(value, "source"),
        kind: if signal.is_empty() { tier } else { signal },
        technique: text_of(value, "technique"),
        second_half: hasher.finish() % 2 == 1,
        id,
        windows,
        lines,
    })
}

fn shell(windows: bool, executor: &str, lines: &[String]) -> ShellKind {
    let looks_like_powershell = |line: &String| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.starts_with('$')
            || first.split_once('-').is_some_and(|(verb, noun)| {
                verb.len() > 2
                    && noun.len() > 2
                    && verb.bytes().all(|byte| byte.is_ascii_alphabetic())
                    && !noun.contains('.')
            })
    };
    match (windows, executor) {
        (false, _) => ShellKind::Posix,
        (true, "powershell") => ShellKind::PowerShell,
        (true, "command_prompt") => ShellKind::Cmd,
        (true, _) if lines.iter().any(looks_like_powershell) => ShellKind::PowerShell,
        (true, _) => ShellKind::Cmd,
    }
}

/// Reads the recorded sessions of a folder.
pub(crate) fn sessions(folder: &Path) -> Result<Vec<Session>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    let mut sessions = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".truth.json"))
        else {
            continue;
        };
        let read = |ending: &str| {
            let path = folder.join(format!("{name}{ending}"));
            std::fs::read(&path).map_err(|error| format!("`{}`: {error}", path.display()))
        };
        let truth: Value =
            serde_json::from_slice(&read(".truth.json")?).map_err(|error| format!("`{name}`: {error}"))?;
        let events = truth.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
        let planted = events
            .iter()
            .filter(|event| text_of(event, "label") == "malicious")
            .filter(|event| event.get("executed").and_then(Value::as_bool) == Some(true))
            .map(|event| text_of(event, "final"))
            .collect();
        sessions.push(Session {
            id: name.to_owned(),
            malicious: truth.get("malicious").and_then(Value::as_bool) == Some(true),
            log: read(".s3.log")?,
            planted,
        });
    }
    sessions.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(sessions)
}
