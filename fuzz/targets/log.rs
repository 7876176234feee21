//! A log from its bytes to its alert, by the shipped rules: whole, or in two readings with a checkpoint between them.
//!
//! The first two bytes tell where the reading stops.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use detection::Rules;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use reading::{CHECKPOINT_LIMIT, LogReader};
use serde_json::{Value, json};
use session::alert::{Alert, Log, SIZE_LIMIT};
use session::ledger::SessionRecord;
use session::object::{LogObject, log_object};
use session::redact::plain;
use session::response::Mode;
use session::transcript::{self, Joined};

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let files = rule_folder::rules(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../rules"))).unwrap();
    let loaded = Rules::load(files.iter().map(|file| (file.path.as_str(), file.text.as_str())));
    assert!(loaded.refused.is_empty());
    loaded.rules
});

static OBJECT: LazyLock<LogObject> = LazyLock::new(|| {
    let envelope = json!({
        "source": "aws.s3", "detail-type": "Object Created", "account": "111122223333", "region": "eu-west-1",
        "time": "2026-11-23T09:30:00Z",
        "detail": {"bucket": {"name": "logs"}, "object": {"key": "alice-0e34861185201706f.log", "version-id": "v1"}},
    });
    log_object(&envelope).unwrap().unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let [high, low, bytes @ ..] = bytes else { return };
    let mut whole = LogReader::new(&RULES);
    let mut commands = 0;
    whole.push(bytes, &mut |command| commands += u64::from(command.ran));
    let whole = whole.finish(&mut |command| commands += u64::from(command.ran));
    assert_eq!((whole.bytes, whole.commands), (bytes.len() as u64, commands));

    let stop = bytes.len() * usize::from(u16::from_be_bytes([*high, *low])) / (1 << 16);
    let mut first = LogReader::new(&RULES);
    first.push(&bytes[..stop], &mut |_| {});
    if let Some(checkpoint) = first.checkpoint().unwrap() {
        assert!(checkpoint.len() <= CHECKPOINT_LIMIT);
        let (mut second, offset) = LogReader::resume(&RULES, &checkpoint).unwrap();
        second.push(&bytes[usize::try_from(offset).unwrap()..], &mut |_| {});
        assert_eq!(second.finish(&mut |_| {}), whole);
    }

    let record = SessionRecord::default();
    let findings = transcript::findings(&record, &OBJECT, &whole, Joined::Unknown);
    let log = Log {
        object: &OBJECT,
        reading: &whole,
        findings: &findings,
        record: &record,
        joined: Joined::Unknown,
    };
    let message = Alert::transcript(&log, Mode::Observe, Timestamp::UNIX_EPOCH).render();
    assert!(message.body.len() <= SIZE_LIMIT && message.subject.len() <= 100);
    let bodies: Value = serde_json::from_str(&message.body).unwrap();
    assert!(bodies["email"].as_str().unwrap().lines().all(|line| plain(line) == line));
});
