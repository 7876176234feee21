//! CloudTrail records of Session Manager calls.
//!
//! Own, tolerant reading: records differ by caller, client and year, and the published Lambda types
//! reject real ones (`sessionIssuer: {}`, `attributes` that is an object, a missing `type`). Only
//! what the guard needs is read, and a field of another type is as good as absent, except where absent
//! means something: a `documentName` that cannot be read is not the default document. Fields that nothing
//! can be done without, or that end up in keys and ARNs, are checked here and relied on everywhere else.
//!
//! `Ok(None)`: not a Session Manager call. `Err`: one that could not be read, which is itself an alert.
//!
//! A record that corrects another one (`addendum.reason` is `UPDATED_DATA`) has an `eventID` of its own and is
//! judged like any other: what was added to it may be what a policy forbids.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::document::Document;
use crate::event::{EventKind, SessionEvent, SessionId, Source, is_account, is_region};
use crate::principal::{Identity, Principal};
use crate::redact;
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
        /// What it holds, fit to be shown.
        value: String,
    },
    /// The record is of another account than the one that EventBridge took it from.
    #[error("record `{record}` is of account {account}, and came from account `{sender}`")]
    Foreign {
        /// The record's `eventID`.
        record: String,
        /// The account that the record names.
        account: String,
        /// The account in EventBridge's envelope, fit to be shown.
        sender: String,
    },
}

/// Reads the record that an event of EventBridge carries. The envelope names the account that sent it, which no sender
/// can choose: what it sends of another account's sessions is not believed.
pub fn delivered(sender: Option<&str>, record: &Value) -> Result<Option<SessionEvent>, RecordError> {
    let event = session_event(record)?;
    match (event, sender) {
        (Some(event), Some(sender)) if event.account != sender => Err(RecordError::Foreign {
            record: redact::shown(&event.id, 64),
            account: event.account,
            sender: redact::shown(sender, 64),
        }),
        (event, _) => Ok(event),
    }
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
    if let Some(version) = record.text("/eventVersion").filter(|version| major(version) != "1") {
        return Err(record.invalid("eventVersion", version));
    }
    let time = record.require("/eventTime", "eventTime")?;
    let account = record.account()?;
    Ok(Some(SessionEvent {
        id: record.checked("/eventID", "eventID", is_event_id)?.to_owned(),
        time: point_in_time(time).ok_or_else(|| record.invalid("eventTime", time))?,
        kind: record.kind(operation, account)?,
        account: account.to_owned(),
        region: record.checked("/awsRegion", "awsRegion", is_region)?.to_owned(),
        principal: Principal::new(&record.identity()),
        source: record.source(),
        user_agent: record.text("/userAgent").map(str::to_owned),
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

    fn checked(
        &self,
        path: &str,
        field: &'static str,
        fits: fn(&str) -> bool,
    ) -> Result<&'a str, RecordError> {
        let text = self.require(path, field)?;
        if fits(text) { Ok(text) } else { Err(self.invalid(field, text)) }
    }

    fn id(&self) -> String {
        redact::shown(self.text("/eventID").unwrap_or("?"), 64)
    }

    fn missing(&self, field: &'static str) -> RecordError {
        RecordError::Missing { record: self.id(), field }
    }

    fn invalid(&self, field: &'static str, value: &str) -> RecordError {
        RecordError::Invalid { record: self.id(), field, value: redact::shown(value, 64) }
    }

    fn account(&self) -> Result<&'a str, RecordError> {
        match self.text("/recipientAccountId") {
            Some(_) => self.checked("/recipientAccountId", "recipientAccountId", is_account),
            // Old records have no recipient; the caller's account is then the only one there is.
            None => self
                .text("/userIdentity/accountId")
                .filter(|account| is_account(account))
                .ok_or_else(|| self.missing("recipientAccountId")),
        }
    }

    fn kind(&self, operation: &str, account: &str) -> Result<EventKind, RecordError> {
        if let Some(error_code) = self.text("/errorCode") {
            return Ok(self.attempt(operation, error_code));
        }
        match operation {
            "StartSession" => self.started(account),
            "ResumeSession" => Ok(EventKind::Resumed { session: self.named_session()? }),
            _ => Ok(EventKind::Terminated { session: self.named_session()? }),
        }
    }

    fn started(&self, account: &str) -> Result<EventKind, RecordError> {
        let session = self.session("/responseElements/sessionId", "responseElements.sessionId")?;
        if self.request_is_left_out() {
            let (target, document) = (TargetId::not_reported(), Document::not_reported());
            return Ok(EventKind::Started { session, target, document, reason: None });
        }
        Ok(EventKind::Started {
            session,
            target: TargetId::parse(self.require("/requestParameters/target", "requestParameters.target")?),
            document: Document::new(self.document_name()?, &self.parameters(), account),
            // A blank says no more than nothing.
            reason: self
                .text("/requestParameters/reason")
                .filter(|reason| !reason.trim().is_empty())
                .map(str::to_owned),
        })
    }

    /// CloudTrail leaves out a request of more than 100 KB. The session is open all the same, on a target
    /// and with a document that the record does not tell.
    fn request_is_left_out(&self) -> bool {
        match self.0.pointer("/requestParameters") {
            Some(Value::Object(request)) => request.get("omitted") == Some(&Value::Bool(true)),
            _ => true,
        }
    }

    /// Absent means the default document, so only what is truly absent may count as absent.
    fn document_name(&self) -> Result<Option<&'a str>, RecordError> {
        match self.0.pointer("/requestParameters/documentName") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) if !name.is_empty() => Ok(Some(name)),
            Some(other) => Err(self.invalid("requestParameters.documentName", &other.to_string())),
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

    /// The session that ResumeSession or TerminateSession was asked for; the answer repeats it.
    fn named_session(&self) -> Result<SessionId, RecordError> {
        match self.text("/requestParameters/sessionId") {
            None => self.session("/responseElements/sessionId", "requestParameters.sessionId"),
            Some(_) => self.session("/requestParameters/sessionId", "requestParameters.sessionId"),
        }
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
            Some(text) => match text.parse::<IpAddr>() {
                Ok(ip) => Source::Ip(ip.to_canonical()),
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

/// Policies cannot compare years before 0, and AWS took no call before the epoch.
fn point_in_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time| *time >= Timestamp::UNIX_EPOCH)
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

fn is_event_id(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_denial(error_code: &str) -> bool {
    ["AccessDenied", "UnauthorizedOperation", "UnauthorizedAccess"]
        .iter()
        .any(|denial| error_code.contains(denial))
}

/// The ARN in `User: <arn> is not authorized to perform: <action> on resource: <arn> because …`. Others may
/// follow, of the policy that refused, or in a target that the caller made up: the first is the resource.
fn refused_resource(message: &str) -> Option<&str> {
    let arn = message.split_once("on resource: ")?.1.split_whitespace().next()?;
    Some(arn.trim_end_matches(['.', ',', ';']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::principal::Mfa;

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
    fn an_account_tells_of_its_own_sessions_only() {
        assert_eq!(delivered(Some("111122223333"), &started()).unwrap(), Some(read(&started())));
        assert_eq!(delivered(None, &started()).unwrap(), Some(read(&started())));
        let error = delivered(Some("444455556666"), &started()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record `7ad1600d-0000-4000-8000-000000000001` is of account 111122223333, and came from account `444455556666`"
        );
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
    fn a_blank_reason_is_no_reason() {
        for (given, expected) in [(json!("CHG-1 "), Some("CHG-1 ")), (json!("  \t"), None), (json!(7), None)]
        {
            let EventKind::Started { reason, .. } = read(&with("/requestParameters/reason", given)).kind
            else {
                panic!("not a start")
            };
            assert_eq!(reason.as_deref(), expected);
        }
    }

    #[test]
    fn session_ids_of_any_age_and_spelling_are_kept_whole() {
        for id in [
            "alice-0e34861185201706f",
            "root-0e34861185201706f",
            "jane+ops@example.com-abcdefghijklmnopqrstuvwxy9",
            "a=b,c.d_e-f-0e34861185201706f",
            "..-0e34861185201706f",
            "ecs-execute-command-abcdefghijklmnopqrstuvwxyz",
        ] {
            let event = read(&with("/responseElements/sessionId", json!(id)));
            assert_eq!(event.session().unwrap().as_str(), id);
        }
    }

    #[test]
    fn other_services_and_calls_are_not_ours() {
        for record in [
            with("/eventSource", json!("athena.amazonaws.com")),
            with("/eventSource", json!("ssm.amazonaws.com.example.com")),
            with("/eventSource", json!(["ssm.amazonaws.com"])),
            with("/eventName", json!("SendCommand")),
            with("/eventName", json!("startsession")),
            json!({}),
            json!(null),
            json!([1, 2]),
        ] {
            assert_eq!(session_event(&record), Ok(None), "{record}");
        }
    }

    #[test]
    fn a_session_is_named_by_the_request_that_takes_it_up_or_ends_it_or_else_by_the_answer() {
        for operation in ["ResumeSession", "TerminateSession"] {
            for (request, response) in [
                (json!("alice-0e34861185201706f"), Value::Null),
                (Value::Null, json!("alice-0e34861185201706f")),
            ] {
                let mut record = with("/eventName", json!(operation));
                record["requestParameters"] = json!({"sessionId": request});
                record["responseElements"] = json!({"sessionId": response});
                let event = read(&record);
                assert_eq!(event.session().unwrap().as_str(), "alice-0e34861185201706f");
                assert_eq!((event.operation(), event.target()), (operation, None));
            }
        }
    }

    #[test]
    fn targets_of_every_form_are_read() {
        for (text, expected) in [
            ("i-0123456789abcdef0", TargetId::Instance("i-0123456789abcdef0".into())),
            ("mi-0123456789abcdef0", TargetId::ManagedNode("mi-0123456789abcdef0".into())),
            (
                "ecs:web_0123456789abcdef_4567",
                TargetId::EcsTask {
                    cluster: "web".into(),
                    task: "0123456789abcdef".into(),
                    runtime: "4567".into(),
                },
            ),
            ("i-0123/instance/i-4567", TargetId::Other("i-0123/instance/i-4567".into())),
        ] {
            assert_eq!(read(&with("/requestParameters/target", json!(text))).target(), Some(&expected));
        }
    }

    fn refused(message: &str) -> EventKind {
        let mut record = with("/errorCode", json!("AccessDenied"));
        record["requestParameters"] = Value::Null;
        record["responseElements"] = Value::Null;
        record["errorMessage"] = json!(message);
        read(&record).kind
    }

    const USER: &str = "User: arn:aws:sts::111122223333:assumed-role/Operations/arn:aws:ec2:eu-west-1:111122223333:instance/i-00000000000000000";

    #[test]
    fn a_refused_call_is_an_attempt_and_its_resource_is_read_from_the_message() {
        let because = "because no identity-based policy allows the ssm:StartSession action";
        let by_policy = "with an explicit deny in a service control policy: \
                         arn:aws:organizations::444455556666:policy/o-abc/service_control_policy/p-def";
        for (resource, reason, target, session) in [
            (
                "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
                because,
                Some("i-0123456789abcdef0"),
                None,
            ),
            (
                "arn:aws:ssm:eu-west-1:111122223333:managed-instance/mi-0123456789abcdef0",
                by_policy,
                Some("mi-0123456789abcdef0"),
                None,
            ),
            (
                "arn:aws:ecs:eu-west-1:111122223333:task/web/0123456789abcdef",
                because,
                Some("arn:aws:ecs:eu-west-1:111122223333:task/web/0123456789abcdef"),
                None,
            ),
            ("arn:aws:ssm:eu-west-1:111122223333:document/SSM-SessionManagerRunShell", because, None, None),
            (
                "arn:aws:ssm:eu-west-1:111122223333:session/jane@example.com-0e34861185201706f",
                because,
                None,
                Some("jane@example.com-0e34861185201706f"),
            ),
            // A caller may name a target that holds another resource: the first one is what AWS refused.
            (
                "arn:aws:ec2:eu-west-1:111122223333:instance/x on resource: \
                 arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
                because,
                None,
                None,
            ),
            (
                "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0.",
                "",
                Some("i-0123456789abcdef0"),
                None,
            ),
            ("", "", None, None),
        ] {
            let message = format!(
                "{USER} is not authorized to perform: ssm:StartSession on resource: {resource} {reason}"
            );
            let EventKind::Attempted { denied, target: read_target, session: read_session, .. } =
                refused(&message)
            else {
                panic!("not an attempt: {message}")
            };
            assert!(denied);
            assert_eq!(read_session.as_ref().map(SessionId::as_str), session, "{message}");
            assert_eq!(read_target.map(|target| target.to_string()).as_deref(), target, "{message}");
        }
    }

    #[test]
    fn a_refused_call_without_a_message_names_nothing() {
        for message in ["", "Access denied.", "on resource:", "on resource: "] {
            let EventKind::Attempted { target, session, .. } = refused(message) else {
                panic!("not an attempt")
            };
            assert_eq!((target, session), (None, None), "{message:?}");
        }
    }

    #[test]
    fn a_failed_call_is_not_a_denied_one() {
        for (code, expected) in [
            ("TargetNotConnected", false),
            ("InvalidDocument", false),
            ("ThrottlingException", false),
            ("AccessDenied", true),
            ("AccessDeniedException", true),
            ("Client.UnauthorizedOperation", true),
        ] {
            let mut record = with("/errorCode", json!(code));
            record["responseElements"] = Value::Null;
            let EventKind::Attempted { denied, target, error_code, .. } = read(&record).kind else {
                panic!("not an attempt")
            };
            assert_eq!((error_code.as_str(), denied), (code, expected));
            assert_eq!(target, Some(TargetId::Instance("i-0123456789abcdef0".into())));
        }
    }

    #[test]
    fn what_nothing_can_be_done_without_is_named() {
        let id = "7ad1600d-0000-4000-8000-000000000001";
        for (path, record, field) in [
            ("/eventID", "?", "eventID"),
            ("/eventTime", id, "eventTime"),
            ("/awsRegion", id, "awsRegion"),
            ("/responseElements/sessionId", id, "responseElements.sessionId"),
            ("/requestParameters/target", id, "requestParameters.target"),
        ] {
            for nothing in [Value::Null, json!(""), json!({}), json!(7)] {
                let error = session_event(&with(path, nothing)).unwrap_err();
                assert_eq!(error.to_string(), format!("record `{record}`: `{field}` is missing"));
            }
        }
        let mut unowned = with("/recipientAccountId", Value::Null);
        assert_eq!(read(&unowned).account, "111122223333");
        unowned["userIdentity"] = Value::Null;
        let error = session_event(&unowned).unwrap_err();
        assert_eq!(error.to_string(), format!("record `{id}`: `recipientAccountId` is missing"));
    }

    #[test]
    fn what_cannot_be_is_named_and_cut() {
        for (path, value, expected) in [
            ("/eventTime", json!("yesterday"), "`eventTime` cannot be `yesterday`"),
            (
                "/eventTime",
                json!("-009999-01-02T02:00:00Z"),
                "`eventTime` cannot be `-009999-01-02T02:00:00Z`",
            ),
            ("/eventVersion", json!("2.0"), "`eventVersion` cannot be `2.0`"),
            ("/eventVersion", json!("11"), "`eventVersion` cannot be `11`"),
            ("/recipientAccountId", json!("1111#2222"), "`recipientAccountId` cannot be `1111#2222`"),
            ("/awsRegion", json!("eu-west-1:x"), "`awsRegion` cannot be `eu-west-1:x`"),
            ("/responseElements/sessionId", json!("a b"), "`responseElements.sessionId` cannot be `a b`"),
            (
                "/responseElements/sessionId",
                json!("a".repeat(97)),
                "`responseElements.sessionId` cannot be `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…`",
            ),
            ("/requestParameters/documentName", json!(7), "`requestParameters.documentName` cannot be `7`"),
            (
                "/requestParameters/documentName",
                json!(""),
                "`requestParameters.documentName` cannot be `\"\"`",
            ),
        ] {
            let error = session_event(&with(path, value)).unwrap_err().to_string();
            assert_eq!(error, format!("record `7ad1600d-0000-4000-8000-000000000001`: {expected}"));
        }
    }

    #[test]
    fn every_minor_version_is_read_and_so_is_a_record_without_one() {
        for version in [json!("1.05"), json!("1.08"), json!("1.11"), json!("1.200"), json!("1"), Value::Null]
        {
            assert_eq!(
                read(&with("/eventVersion", version.clone())).operation(),
                "StartSession",
                "{version}"
            );
        }
    }

    /// A caller can make the request so long that CloudTrail leaves it out. That hides neither the session
    /// nor that its document is not known to be allowed.
    #[test]
    fn a_request_that_was_left_out_still_opened_a_session() {
        for left_out in [
            Value::Null,
            json!("omitted"),
            json!({"omitted": true, "originalSize": 131_072, "reason": "too long"}),
        ] {
            let mut record = started();
            record["requestParameters"] = left_out;
            let EventKind::Started { session, target, document, reason } = read(&record).kind else {
                panic!("not a start: {record}")
            };
            assert_eq!(session.as_str(), "alice-abcdefghijklmnopqrstuvwxy2");
            assert_eq!(
                (target.to_string().as_str(), document.name.as_str()),
                ("not reported", "not reported")
            );
            assert_eq!((document.kind.as_str(), reason), ("Unknown", None));
        }
    }

    #[test]
    fn parameters_of_another_shape_say_nothing() {
        for parameters in [
            json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
            json!({"portNumber": "22", "host": "db"}),
            json!({"portNumber": [22], "host": [""]}),
            json!({"portNumber": [], "host": {}}),
            json!([1]),
        ] {
            let mut record = with("/requestParameters/parameters", parameters);
            record["requestParameters"]["documentName"] = json!("AWS-StartSSHSession");
            let EventKind::Started { document, .. } = read(&record).kind else { panic!("not a start") };
            assert_eq!((document.port, document.remote_host), (None, None));
        }
    }

    /// A key that comes twice is read as JSON readers on AWS read it: the last one counts.
    #[test]
    fn of_a_key_that_comes_twice_the_last_one_counts() {
        let text = started().to_string().replacen('{', r#"{"eventSource":"athena.amazonaws.com","#, 1);
        assert_eq!(read(&serde_json::from_str(&text).unwrap()).operation(), "StartSession");
    }

    #[test]
    fn a_correction_is_an_event_of_its_own() {
        let mut record = with(
            "/addendum",
            json!({
                "reason": "UPDATED_DATA", "updatedFields": "userIdentity",
                "originalEventID": "7ad1600d-0000-4000-8000-000000000001"
            }),
        );
        record["eventID"] = json!("7ad1600d-0000-4000-8000-000000000002");
        assert_eq!(read(&record).id, "7ad1600d-0000-4000-8000-000000000002");
    }

    #[test]
    fn a_source_is_an_address_only_when_it_is_one() {
        let mapped = Source::Ip("203.0.113.7".parse().unwrap());
        for (text, expected) in [
            (json!("203.0.113.7"), mapped.clone()),
            (json!("::ffff:203.0.113.7"), mapped),
            (json!("2001:db8::1"), Source::Ip("2001:db8::1".parse().unwrap())),
            (json!("servicecatalog.amazonaws.com"), Source::Service("servicecatalog.amazonaws.com".into())),
            (json!("AWS Internal"), Source::Service("AWS Internal".into())),
            (json!("203.0.113.7:443"), Source::Service("203.0.113.7:443".into())),
            (json!(""), Source::NotReported),
            (Value::Null, Source::NotReported),
        ] {
            assert_eq!(read(&with("/sourceIPAddress", text.clone())).source, expected, "{text}");
        }
    }

    #[test]
    fn identities_of_every_shape_are_told_apart() {
        let role = |issuer: &str, attributes: Value, federation: Value| {
            json!({
                "type": "AssumedRole", "accountId": "111122223333", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                "principalId": "AROAIOSFODNN7EXAMPLE:alice",
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{}/alice", issuer.rsplit('/').next().unwrap()),
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role", "accountId": "111122223333", "principalId": "AROAIOSFODNN7EXAMPLE",
                        "arn": format!("arn:aws:iam::111122223333:role/{issuer}"),
                        "userName": issuer.rsplit('/').next().unwrap()
                    },
                    "webIdFederationData": federation, "attributes": attributes
                }
            })
        };
        let no_mfa = || json!({"mfaAuthenticated": "false", "creationDate": "2026-11-23T09:00:00Z"});
        for (identity, who, mfa) in [
            (
                json!({
                    "type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                    "arn": "arn:aws:iam::111122223333:user/ops/alice"
                }),
                "IAM user alice",
                Mfa::Absent,
            ),
            (
                json!({
                    "type": "IAMUser", "userName": "alice", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                    "sessionContext": {"sessionIssuer": {}, "webIdFederationData": {}, "attributes": {"mfaAuthenticated": "true"}}
                }),
                "IAM user alice",
                Mfa::Present,
            ),
            (
                json!({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ops/alice", "accessKeyId": "",
                    "sessionContext": {"sessionIssuer": {}, "attributes": no_mfa()}}),
                "IAM user alice",
                Mfa::Absent,
            ),
            // An unknown kind of credential proves nothing, and neither does a context that says nothing.
            (json!({"type": "IAMUser", "userName": "alice"}), "IAM user alice", Mfa::NotReported),
            (
                json!({"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "sessionContext": {}}),
                "IAM user alice",
                Mfa::Absent,
            ),
            (
                role("ops/Operations", json!({"mfaAuthenticated": "true"}), json!({})),
                "role Operations (session \"alice\")",
                Mfa::Present,
            ),
            (role("Operations", no_mfa(), json!({})), "role Operations (session \"alice\")", Mfa::Absent),
            (
                role(
                    "aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef",
                    no_mfa(),
                    json!({}),
                ),
                "alice (Identity Center, Admin)",
                Mfa::NotReported,
            ),
            (
                role(
                    "Deploy",
                    no_mfa(),
                    json!({
                        "federatedProvider": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com",
                        "attributes": {"sub": ["repo:example/app"]}
                    }),
                ),
                "role Deploy (web identity of token.actions.githubusercontent.com, session \"alice\")",
                Mfa::NotReported,
            ),
            (
                json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Operations/alice"}),
                "role Operations (session \"alice\")",
                Mfa::NotReported,
            ),
            (
                json!({
                    "type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/bob",
                    "sessionContext": {
                        "sessionIssuer": {"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::111122223333:user/alice"},
                        "attributes": no_mfa()
                    }
                }),
                "federated user \"bob\" of alice",
                Mfa::NotReported,
            ),
            (
                json!({
                    "type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/bob",
                    "sessionContext": {"sessionIssuer": {"type": "Root", "arn": "arn:aws:iam::111122223333:root"}}
                }),
                "federated user \"bob\" of root",
                Mfa::NotReported,
            ),
            (
                json!({"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
                "root user",
                Mfa::Absent,
            ),
            (
                json!({"type": "Root", "arn": "arn:aws:iam::111122223333:root", "userName": "our-alias",
                    "sessionContext": {"attributes": {"mfaAuthenticated": "true"}}}),
                "root user",
                Mfa::Present,
            ),
            (
                json!({
                    "type": "IdentityCenterUser", "accountId": "111122223333", "credentialId": "1",
                    "onBehalfOf": {"userId": "544894e8-80c1-707f-60e3-3ba6510dfac1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"}
                }),
                "544894e8-80c1-707f-60e3-3ba6510dfac1",
                Mfa::NotReported,
            ),
            (
                json!({"type": "AWSService", "invokedBy": "ecs.amazonaws.com"}),
                "AWS service ecs.amazonaws.com",
                Mfa::NotReported,
            ),
            (json!({"type": "AWSAccount", "accountId": "444455556666"}), "444455556666", Mfa::NotReported),
            // What the caller chose is not in the name, whatever AWS calls the identity.
            (
                json!({"type": "Role", "arn": "arn:aws:sts::111122223333:assumed-role/Operations/alice"}),
                "Operations",
                Mfa::NotReported,
            ),
            (json!({"type": "Unknown"}), "unknown", Mfa::NotReported),
            // Without a type, the ARN tells what it can.
            (
                json!({"accountId": "111122223333", "invokedBy": "ec2.amazonaws.com"}),
                "AWS service ec2.amazonaws.com",
                Mfa::NotReported,
            ),
            (
                json!({"arn": "arn:aws:iam::111122223333:root", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
                "root user",
                Mfa::Absent,
            ),
            (json!({"arn": "arn:aws:iam::111122223333:user/root"}), "IAM user root", Mfa::NotReported),
            (
                json!({"arn": "arn:aws:sts::111122223333:assumed-role/Operations/alice"}),
                "role Operations (session \"alice\")",
                Mfa::NotReported,
            ),
            (json!({}), "unknown", Mfa::NotReported),
            (Value::Null, "unknown", Mfa::NotReported),
            (json!("alice"), "unknown", Mfa::NotReported),
        ] {
            let principal = read(&with("/userIdentity", identity.clone())).principal;
            assert_eq!((principal.describe().as_str(), principal.mfa), (who, mfa), "{identity}");
        }
    }
}
