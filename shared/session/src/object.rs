//! Objects of the log bucket, as S3 tells of them through EventBridge.
//!
//! A session's log is named after the session: `<prefix>/<session id>.log`, with nothing of the date, the account or the node.
//! Whoever may write to the bucket may write any name, so the name says which session the log claims to be of, and
//! [`crate::transcript`] holds that against what is known of the session.
//!
//! Which account wrote the log is not claimed: S3 says it. In the bucket of an organisation it writes below its own id and
//! the Region of its sessions, `<account>/<region>/`.
//!
//! Own tolerant types: S3 leaves out what it does not know, and adds fields without a new version.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::event::{SessionId, is_account, is_region};

/// An object that was written to the log bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogObject {
    /// The bucket.
    pub bucket: String,
    /// The key, as the event has it.
    pub key: String,
    /// The version; `None` in a bucket without versions.
    pub version: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The account that wrote it, whose session it is.
    pub account: String,
    /// The region of the session.
    pub region: String,
    /// When it was written.
    pub time: Timestamp,
    /// The session that its name claims.
    pub session: SessionId,
}

/// Why an event on an object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object event `{event}`: {problem}")]
pub struct ObjectError {
    /// EventBridge's id of the event, or `?`.
    pub event: String,
    /// What is wrong.
    pub problem: String,
}

#[derive(Deserialize)]
struct Envelope {
    account: String,
    region: String,
    time: Timestamp,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
    requester: Option<String>,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    size: u64,
    #[serde(rename = "version-id")]
    version: Option<String>,
}

/// Reads EventBridge's `Object Created`; `None` for what is not the log of a session.
pub fn log_object(envelope: &Value) -> Result<Option<LogObject>, ObjectError> {
    let is = |field: &str, word: &str| envelope.get(field).and_then(Value::as_str) == Some(word);
    if !is("source", "aws.s3") || !is("detail-type", "Object Created") {
        return Ok(None);
    }
    let broken = |problem: String| {
        let event = envelope.get("id").and_then(Value::as_str).unwrap_or("?").to_owned();
        ObjectError { event, problem }
    };
    let Envelope { account, region, time, detail } =
        Envelope::deserialize(envelope).map_err(|error| broken(error.to_string()))?;
    // They are told and are part of the ledger's keys.
    if !is_account(&account) || !is_region(&region) {
        return Err(broken("`account` is no account's id, or `region` no Region's name".to_owned()));
    }
    let Object { key, size, version } = detail.object;
    let Some(session) = session_of(&key) else { return Ok(None) };
    // A service that copies objects is named, and wrote for the account of the bucket.
    let account = detail.requester.filter(|requester| is_account(requester)).unwrap_or(account);
    let region = region_of(&key, &account).map_or(region, str::to_owned);
    Ok(Some(LogObject { bucket: detail.bucket.name, key, version, size, account, region, time, session }))
}

/// The session that a key names: the last part without `.log`.
fn session_of(key: &str) -> Option<SessionId> {
    let name = key.rsplit('/').next()?.strip_suffix(".log")?;
    // What AWS makes ends in a suffix after the last `-`.
    let (_, suffix) = name.rsplit_once('-')?;
    let fits = suffix.len() >= 17 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| SessionId::new(name)).flatten()
}

/// The region that a key names after its account.
fn region_of<'a>(key: &'a str, account: &str) -> Option<&'a str> {
    let (region, _) = key.strip_prefix(account)?.strip_prefix('/')?.split_once('/')?;
    (!region.is_empty() && is_region(region)).then_some(region)
}

/// A key as classic S3 notifications write it, read back: `+` is a blank, `%2B` a plus. `None` when that changes nothing.
/// EventBridge's documentation does not say whether keys are encoded, so this is for a key that is not found as it is.
pub fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                match (digit(ahead.next()), digit(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        rest = ahead;
                    }
                    _ => bytes.push(byte),
                }
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok().filter(|decoded| decoded != key)
}

impl LogObject {
    /// What is the same on every delivery of the event, and different for every version of the object.
    pub fn id(&self) -> String {
        format!("{}@{}", self.url(), self.version.as_deref().unwrap_or("null"))
    }

    /// The object's `s3://` address.
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl fmt::Display for LogObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(formatter, "{} (version {version})", self.url()),
            None => formatter.write_str(&self.url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn envelope(key: &str) -> Value {
        json!({
            "version": "0", "id": "f5f1e65c", "detail-type": "Object Created", "source": "aws.s3",
            "account": "111122223333", "time": "2026-11-23T09:30:00Z", "region": "eu-west-1",
            "resources": ["arn:aws:s3:::logs"],
            "detail": {
                "version": "0",
                "bucket": {"name": "logs"},
                "object": {"key": key, "size": 184, "etag": "4e68", "version-id": "v1", "sequencer": "00"},
                "request-id": "57H0", "requester": "111122223333", "reason": "PutObject",
            },
        })
    }

    #[test]
    fn a_key_names_its_session() {
        for (key, session) in [
            ("linux/alice-0e34861185201706f.log", Some("alice-0e34861185201706f")),
            ("alice-wzleysigzmbd6fmkefjqvt5w4u.log", Some("alice-wzleysigzmbd6fmkefjqvt5w4u")),
            (
                "a/b/jane+ops@example.com-0e34861185201706f.log",
                Some("jane+ops@example.com-0e34861185201706f"),
            ),
            ("ecs-execute-command-0e34861185201706f.log", Some("ecs-execute-command-0e34861185201706f")),
            ("alice-0e34861185201706f.log.gz", None),
            ("AWSLogs/111122223333/elb.log", None),
            ("notes-today.log", None),
            ("", None),
        ] {
            let object = log_object(&envelope(key)).unwrap();
            assert_eq!(object.map(|object| object.session.to_string()).as_deref(), session, "{key}");
        }
    }

    #[test]
    fn an_object_is_known_by_its_version() {
        let object = log_object(&envelope("alice-0e34861185201706f.log")).unwrap().unwrap();
        assert_eq!(object.id(), "s3://logs/alice-0e34861185201706f.log@v1");
        assert_eq!((object.size, object.account.as_str()), (184, "111122223333"));
    }

    /// The log of a session is that of the account that wrote it.
    #[test]
    fn a_log_is_of_the_account_that_wrote_it() {
        for (requester, key, expected) in [
            ("111122223333", "", ("111122223333", "eu-west-1")),
            ("444455556666", "", ("444455556666", "eu-west-1")),
            ("444455556666", "444455556666/us-east-1/", ("444455556666", "us-east-1")),
            ("444455556666", "444455556666/us-east-1/linux/", ("444455556666", "us-east-1")),
            // Another account's folder is a name that anybody may choose.
            ("111122223333", "444455556666/us-east-1/", ("111122223333", "eu-west-1")),
            ("444455556666", "444455556666/", ("444455556666", "eu-west-1")),
            ("444455556666", "444455556666//", ("444455556666", "eu-west-1")),
            ("444455556666", "444455556666/US EAST/", ("444455556666", "eu-west-1")),
            ("s3.amazonaws.com", "", ("111122223333", "eu-west-1")),
        ] {
            let mut event = envelope(&format!("{key}alice-0e34861185201706f.log"));
            event["detail"]["requester"] = json!(requester);
            let object = log_object(&event).unwrap().unwrap();
            assert_eq!((object.account.as_str(), object.region.as_str()), expected, "{requester} {key}");
        }
    }

    #[test]
    fn an_event_that_lacks_what_is_needed_is_named() {
        let mut broken = envelope("alice-0e34861185201706f.log");
        broken["detail"]["object"] = json!({});
        let error = log_object(&broken).unwrap_err();
        assert_eq!(error.to_string(), "object event `f5f1e65c`: missing field `key`");
        broken["detail-type"] = json!("Object Deleted");
        assert_eq!(log_object(&broken), Ok(None));
        for (field, value) in [("account", "1111\u{1b}[2J"), ("region", "eu west 1")] {
            let mut broken = envelope("alice-0e34861185201706f.log");
            broken[field] = json!(value);
            assert!(log_object(&broken).is_err(), "{field}");
        }
    }

    #[test]
    fn a_key_is_decoded_as_forms_are() {
        for (key, expected) in [
            ("a%2Bb%40c.log", Some("a+b@c.log")),
            ("a+b.log", Some("a b.log")),
            ("plain.log", None),
            ("100%.log", None),
            ("%zz%4", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(key).as_deref(), expected, "{key}");
        }
    }

    proptest! {
        #[test]
        fn no_event_makes_it_panic(key in any::<String>(), size in any::<i64>()) {
            let mut event = envelope(&key);
            event["detail"]["object"]["size"] = json!(size);
            let _ = log_object(&event);
            let _ = decoded(&key);
        }
    }
}
