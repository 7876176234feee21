//! Recorded sessions and what was run in them.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A recorded session.
pub(crate) struct Session {
    pub(crate) name: String,
    /// What kind of shell it was.
    pub(crate) category: String,
    pub(crate) log: Vec<u8>,
    /// The commands that the shell ran, in order.
    pub(crate) ran: Vec<String>,
    /// What was entered besides, and ran nothing: comments, and what the shell did not understand.
    pub(crate) entered: Vec<String>,
}

/// Reads all sessions of a folder whose name contains `only`.
pub(crate) fn load(folder: &Path, only: Option<&str>) -> Result<Vec<Session>, String> {
    let failed = |path: &Path, error: String| format!("{}: {error}", path.display());
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, error.to_string()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".truth.json")?.to_owned()))
        .filter(|name| only.is_none_or(|only| name.contains(only)))
        .collect();
    names.sort();
    let mut sessions = Vec::new();
    for name in names {
        let path = folder.join(format!("{name}.truth.json"));
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, error.to_string()))?;
        let truth: Value = serde_json::from_str(&text).map_err(|error| failed(&path, error.to_string()))?;
        let events = truth.get("events").and_then(Value::as_array);
        let events = events.ok_or_else(|| failed(&path, "`events` is missing".to_owned()))?;
        let with = |flag: &str| {
            let events = events.iter().filter(|event| event.get(flag).and_then(Value::as_bool) == Some(true));
            events.filter_map(|event| Some(event.get("final")?.as_str()?.to_owned())).collect()
        };
        let (ran, entered) = (with("executed"), with("entered"));
        let path = folder.join(format!("{name}.s3.log"));
        let log = fs::read(&path).map_err(|error| failed(&path, error.to_string()))?;
        let category = truth.get("shell").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        sessions.push(Session { name, category, log, ran, entered });
    }
    Ok(sessions)
}
