//! CloudTrail records of Session Manager calls.
//!
//! Own, tolerant reading: records differ by caller, client and year, and the published Lambda types
//! reject real ones (`sessionIssuer: {}`, `attributes` that is an object, a missing `type`). Only
//! what the guard needs is read; a field of another type is as good as absent, and only a field that
//! nothing can be done without is an error.
//!
//! `Ok(None)`: not a Session Manager call. `Err`: one that could not be read, which is itself an alert.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::document::Document;
use crate::event::{EventKind, SessionEvent, SessionId, Source};
use crate::principal::{Identity, Principal};
use crate::target::TargetId;

/// Athena has a StartSession and a TerminateSession too.
const EVENT_SOURCE: &str = "ssm.amazonaws.com";

/// Why a record of a Session Manager call cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A field that nothing can be done without is missing or of another type.
    #[error("record `{record}`: `{field}` is missing")]
    Missing {
        /// The record's `eventID`, or `?`.
        record: String,
        /// The field's path.
        field: &'static str,
    },
    /// A field holds what it cannot hold.
    #[error("record `{record}`: `{field}` cannot be `{value}`")]
    Invalid {
        /// The record's `eventID`, or `?`.
        record: String,
        /// The field's path.
        field: &'static str,
        /// What it holds, cut to 64 characters.
        value: String,
    },
}

/// Reads one record.
pub fn session_event(record: &Value) -> Result<Option<SessionEvent>, RecordError> {
    let record = Record(record);
    if record.text("/eventSource") != Some(EVENT_SOURCE) {
        return Ok(None);
    }
    let Some(operation @ ("StartSession" | "ResumeSession" | "TerminateSession")) = record.text("/eventName")
    else {
        return Ok(None);
    };
    // The format is compatible within a major version; what another one means is unknown.
    if let Some(version) = record.text("/eventVersion").filter(|version| !version.starts_with("1.")) {
        return Err(record.invalid("eventVersion", version));
    }
    let time = record.require("/eventTime", "eventTime")?;
    let account = record
        .text("/recipientAccountId")
        .or_else(|| record.text("/userIdentity/accountId"))
        .ok_or_else(|| record.missing("recipientAccountId"))?;
    Ok(Some(SessionEvent {
        id: record.require("/eventID", "eventID")?.to_owned(),
        time: time.parse::<Timestamp>().map_err(|_| record.invalid("eventTime", time))?,
        account: account.to_owned(),
        region: record.require("/awsRegion", "awsRegion")?.to_owned(),
        principal: Principal::new(&record.identity()),
        source: record.source(),
        user_agent: record.text("/userAgent").map(str::to_owned),
        kind: record.kind(operation)?,
    }))
}

/// A record as JSON, read by path.
struct Record<'a>(&'a Value);

impl<'a> Record<'a> {
    /// The text at a path; an empty text is as good as none.
    fn text(&self, path: &str) -> Option<&'a str> {
        self.0.pointer(path)?.as_str().filter(|text| !text.is_empty())
    }

    fn require(&self, path: &str, field: &'static str) -> Result<&'a str, RecordError> {
        self.text(path).ok_or_else(|| self.missing(field))
    }

    fn id(&self) -> String {
        cut(self.text("/eventID").unwrap_or("?"))
    }

    fn missing(&self, field: &'static str) -> RecordError {
        RecordError::Missing { record: self.id(), field }
    }

    fn invalid(&self, field: &'static str, value: &str) -> RecordError {
        RecordError::Invalid { record: self.id(), field, value: cut(value) }
    }

    fn kind(&self, operation: &str) -> Result<EventKind, RecordError> {
        if let Some(error_code) = self.text("/errorCode") {
            return Ok(self.attempt(operation, error_code));
        }
        match operation {
            "StartSession" => Ok(EventKind::Started {
                session: self.session("/responseElements/sessionId", "responseElements.sessionId")?,
                target: TargetId::parse(
                    self.require("/requestParameters/target", "requestParameters.target")?,
                ),
                document: Document::new(self.text("/requestParameters/documentName"), &self.parameters()),
                reason: self.text("/requestParameters/reason").map(str::to_owned),
            }),
            "ResumeSession" => Ok(EventKind::Resumed { session: self.requested_session()? }),
            _ => Ok(EventKind::Terminated { session: self.requested_session()? }),
        }
    }

    /// A refused call keeps nothing of its request: the resource is only in the message.
    fn attempt(&self, operation: &str, error_code: &str) -> EventKind {
        let in_message = self.text("/errorMessage").and_then(refused_resource);
        let session = self
            .text("/requestParameters/sessionId")
            .or_else(|| in_message.and_then(|arn| arn.split_once(":session/")).map(|(_, session)| session));
        EventKind::Attempted {
            operation: operation.to_owned(),
            error_code: error_code.to_owned(),
            denied: is_denial(error_code),
            target: self
                .text("/requestParameters/target")
                .map(TargetId::parse)
                .or_else(|| in_message.and_then(TargetId::from_arn)),
            session: session.and_then(SessionId::new),
        }
    }

    fn requested_session(&self) -> Result<SessionId, RecordError> {
        self.session("/requestParameters/sessionId", "requestParameters.sessionId")
    }

    fn session(&self, path: &str, field: &'static str) -> Result<SessionId, RecordError> {
        let text = self.require(path, field)?;
        SessionId::new(text).ok_or_else(|| self.invalid(field, text))
    }

    /// `parameters` maps a name to a list of texts; anything else says nothing.
    fn parameters(&self) -> BTreeMap<String, Vec<String>> {
        let Some(map) = self.0.pointer("/requestParameters/parameters").and_then(Value::as_object) else {
            return BTreeMap::new();
        };
        map.iter()
            .map(|(name, values)| {
                let texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
                (name.clone(), texts.map(str::to_owned).collect())
            })
            .collect()
    }

    fn source(&self) -> Source {
        match self.text("/sourceIPAddress") {
            None => Source::NotReported,
            Some(text) => match text.parse() {
                Ok(ip) => Source::Ip(ip),
                Err(_) => Source::Service(text.to_owned()),
            },
        }
    }

    fn identity(&self) -> Identity<'a> {
        Identity {
            kind: self.text("/userIdentity/type"),
            arn: self.text("/userIdentity/arn"),
            account: self.text("/userIdentity/accountId"),
            access_key_id: self.text("/userIdentity/accessKeyId"),
            user_name: self.text("/userIdentity/userName"),
            invoked_by: self.text("/userIdentity/invokedBy"),
            has_session_context: self.0.pointer("/userIdentity/sessionContext").is_some_and(Value::is_object),
            mfa_authenticated: self.text("/userIdentity/sessionContext/attributes/mfaAuthenticated"),
            issuer_arn: self.text("/userIdentity/sessionContext/sessionIssuer/arn"),
            issuer_name: self.text("/userIdentity/sessionContext/sessionIssuer/userName"),
            source_identity: self.text("/userIdentity/sessionContext/sourceIdentity"),
            web_identity_provider: self
                .text("/userIdentity/sessionContext/webIdFederationData/federatedProvider"),
            on_behalf_of: self.text("/userIdentity/onBehalfOf/userId"),
        }
    }
}

fn is_denial(error_code: &str) -> bool {
    ["AccessDenied", "UnauthorizedOperation", "UnauthorizedAccess"]
        .iter()
        .any(|denial| error_code.contains(denial))
}

/// The ARN in `… is not authorized to perform: ssm:StartSession on resource: <arn> because …`.
fn refused_resource(message: &str) -> Option<&str> {
    message.split_once("on resource: ")?.1.split_whitespace().next()
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn started() -> Value {
        json!({
            "eventVersion": "1.11",
            "eventSource": "ssm.amazonaws.com",
            "eventName": "StartSession",
            "eventID": "7ad1600d-0000-4000-8000-000000000001",
            "eventTime": "2026-11-23T09:30:00Z",
            "awsRegion": "eu-west-1",
            "recipientAccountId": "111122223333",
            "sourceIPAddress": "203.0.113.7",
            "userAgent": "aws-cli/2.31",
            "userIdentity": {
                "type": "IAMUser", "accountId": "111122223333", "userName": "alice",
                "arn": "arn:aws:iam::111122223333:user/ops/alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"
            },
            "requestParameters": { "target": "i-0123456789abcdef0" },
            "responseElements": {
                "sessionId": "alice-abcdefghijklmnopqrstuvwxy2",
                "tokenValue": "Value hidden due to security reasons."
            }
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut record = started();
        let (parent, key) = path.rsplit_once('/').unwrap();
        record.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        record
    }

    fn read(record: &Value) -> SessionEvent {
        session_event(record).unwrap().unwrap()
    }

    #[test]
    fn a_bare_start_uses_the_default_document() {
        let event = read(&started());
        assert_eq!(event.principal.name, "alice");
        let EventKind::Started { session, target, document, reason } = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(session.as_str(), "alice-abcdefghijklmnopqrstuvwxy2");
        assert_eq!(target, TargetId::Instance("i-0123456789abcdef0".into()));
        assert_eq!((document.name.as_str(), reason), ("SSM-SessionManagerRunShell", None));
    }

    #[test]
    fn session_ids_of_any_age_and_spelling_are_kept_whole() {
        for id in [
            "alice-0e34861185201706f",
            "jane+ops@example.com-abcdefghijklmnopqrstuvwxy9",
            "a=b,c.d_e-f-0e34861185201706f",
        ] {
            let event = read(&with("/responseElements/sessionId", json!(id)));
            assert_eq!(event.session().unwrap().as_str(), id);
        }
    }

    #[test]
    fn other_services_and_calls_are_not_ours() {
        for record in [
            with("/eventSource", json!("athena.amazonaws.com")),
            with("/eventName", json!("SendCommand")),
            json!({}),
            json!(null),
            json!([1, 2]),
        ] {
            assert_eq!(session_event(&record), Ok(None), "{record}");
        }
    }

    #[test]
    fn a_refused_call_is_an_attempt_and_its_resource_is_read_from_the_message() {
        for (resource, target) in [
            ("arn:aws:ssm:eu-west-1:111122223333:document/SSM-SessionManagerRunShell", None),
            ("arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0", Some("i-0123456789abcdef0")),
        ] {
            let mut record = with("/errorCode", json!("AccessDenied"));
            record["requestParameters"] = Value::Null;
            record["responseElements"] = Value::Null;
            record["errorMessage"] = json!(format!(
                "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ssm:StartSession on \
                 resource: {resource} because no identity-based policy allows the ssm:StartSession action"
            ));
            let EventKind::Attempted { denied, target: read_target, session, .. } = read(&record).kind else {
                panic!("not an attempt")
            };
            assert!(denied);
            assert_eq!(session, None);
            assert_eq!(read_target.map(|target| target.to_string()).as_deref(), target);
        }
    }

    #[test]
    fn a_failed_call_is_not_a_denied_one() {
        let mut record = with("/errorCode", json!("TargetNotConnected"));
        record["responseElements"] = Value::Null;
        let EventKind::Attempted { denied, target, .. } = read(&record).kind else {
            panic!("not an attempt")
        };
        assert!(!denied);
        assert_eq!(target, Some(TargetId::Instance("i-0123456789abcdef0".into())));
    }

    #[test]
    fn what_nothing_can_be_done_without_is_named() {
        for (path, expected) in [
            ("/eventID", "record `?`: `eventID` is missing"),
            ("/eventTime", "record `7ad1600d-0000-4000-8000-000000000001`: `eventTime` is missing"),
            (
                "/responseElements/sessionId",
                "record `7ad1600d-0000-4000-8000-000000000001`: `responseElements.sessionId` is missing",
            ),
            (
                "/requestParameters/target",
                "record `7ad1600d-0000-4000-8000-000000000001`: `requestParameters.target` is missing",
            ),
        ] {
            for nothing in [Value::Null, json!(""), json!({}), json!(7)] {
                assert_eq!(session_event(&with(path, nothing)).unwrap_err().to_string(), expected);
            }
        }
        let error = session_event(&with("/eventTime", json!("yesterday"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record `7ad1600d-0000-4000-8000-000000000001`: `eventTime` cannot be `yesterday`"
        );
        let error = session_event(&with("/eventVersion", json!("2.0"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record `7ad1600d-0000-4000-8000-000000000001`: `eventVersion` cannot be `2.0`"
        );
    }

    #[test]
    fn a_source_that_is_no_address_is_a_service() {
        for (text, expected) in [
            ("203.0.113.7", Source::Ip("203.0.113.7".parse().unwrap())),
            ("2001:db8::1", Source::Ip("2001:db8::1".parse().unwrap())),
            ("AWS Internal", Source::Service("AWS Internal".into())),
            ("servicecatalog.amazonaws.com", Source::Service("servicecatalog.amazonaws.com".into())),
            ("", Source::NotReported),
        ] {
            assert_eq!(read(&with("/sourceIPAddress", json!(text))).source, expected, "{text}");
        }
    }

    #[test]
    fn parameters_of_another_shape_say_nothing() {
        for parameters in [json!("HIDDEN_DUE_TO_SECURITY_REASONS"), json!({"portNumber": "22"}), json!([1])] {
            let mut record = with("/requestParameters/parameters", parameters);
            record["requestParameters"]["documentName"] = json!("AWS-StartSSHSession");
            let EventKind::Started { document, .. } = read(&record).kind else { panic!("not a start") };
            assert_eq!(document.port, None);
        }
    }
}
