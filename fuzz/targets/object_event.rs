//! A delivery of the queue of logs: it is read, left or refused, and what is told of it is short and steers nothing.
#![no_main]

use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use session::alert::{Alert, Log, SIZE_LIMIT};
use session::ledger::SessionRecord;
use session::object;
use session::redact::plain;
use session::response::Mode;
use session::transcript::{self, Joined, Reading};

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = serde_json::from_slice(bytes) else { return };
    let object = match object::log_object(&envelope) {
        Ok(Some(object)) => object,
        Ok(None) => return,
        Err(error) => {
            assert!(!error.problem.is_empty());
            return;
        }
    };
    assert!(object.key.ends_with(&format!("{}.log", object.session.as_str())));
    if let Some(decoded) = object::decoded(&object.key) {
        assert!(decoded != object.key && decoded.len() <= object.key.len());
    }
    let record = SessionRecord::default();
    let now = object.time.saturating_add(SignedDuration::from_mins(10)).unwrap_or(Timestamp::MAX);
    let joined = Joined::of(&record, &object, SignedDuration::ZERO, now);
    let reading = Reading::default();
    let findings = transcript::findings(&record, &object, &reading, joined);
    let log = Log { object: &object, reading: &reading, findings: &findings, record: &record, joined };
    let message = Alert::transcript(&log, Mode::Observe, now).render();
    assert!(message.body.len() <= SIZE_LIMIT && message.subject.len() <= 100);
    let bodies: Value = serde_json::from_str(&message.body).unwrap();
    let mail = bodies["email"].as_str().unwrap();
    assert!(mail.lines().all(|line| plain(line) == line), "{mail:?}");
    // A name with line feeds in it adds no lines.
    assert!(mail.lines().count() < 30, "{mail:?}");
});
