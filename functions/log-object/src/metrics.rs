//! What became of logs, as metrics.

use aws::metrics::line;
use jiff::Timestamp;
use serde_json::json;
use session::object::LogObject;
use session::transcript::{Finding, Reading};

/// What was read of one log, and what was found.
pub(crate) fn read(
    object: &LogObject,
    reading: &Reading,
    findings: &[Finding],
    now: Timestamp,
) -> Vec<String> {
    let since = now.as_millisecond() - object.time.as_millisecond();
    let values = [
        ("Transcripts", json!(1)),
        ("TranscriptBytes", json!(reading.bytes)),
        ("Commands", json!(reading.commands)),
        ("LogToVerdictMilliseconds", json!(since)),
    ];
    let mut lines = vec![line(&[], &values, now)];
    for finding in findings {
        let dimensions = [("severity", finding.severity.as_str())];
        lines.push(line(&dimensions, &[("Findings", json!(finding.count))], now));
    }
    lines
}

/// An object that is no log.
pub(crate) fn ignored(now: Timestamp) -> String {
    line(&[], &[("ObjectsIgnored", json!(1))], now)
}

/// An event that could not be read.
pub(crate) fn unreadable(now: Timestamp) -> String {
    line(&[], &[("Unreadable", json!(1))], now)
}
