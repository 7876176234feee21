//! Cases that show what a policy does: `policies/<id>/ALLOW/*.json` and `policies/<id>/DENY/*.json`.
//!
//! A case is a CloudTrail record, with only the fields that matter, and what the look-ups would have
//! found. In `DENY` the policy of that folder must be violated, in `ALLOW` it must not; a policy that permits
//! must do so in `ALLOW` and not in `DENY`. What other policies say of the same session is their cases'
//! business. A case may give parameters of its own, so that it goes on to hold when a team changes
//! `parameters.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cloudtrail::{self, RecordError};
use crate::event::{EventKind, Session, SessionEvent};
use crate::ledger::SessionRecord;
use crate::parameters::{Parameters, ParametersError};
use crate::policy::{Decision, Policies};
use crate::principal::Groups;
use crate::target::{NodeFacts, Tags, Target, TargetId};

/// The fields that parameters have; a case's own replace the values.
const PARAMETERS: &str = include_str!("../../../policies/parameters.json");

/// The target of a session that a case takes up without saying where it was started.
const SOME_INSTANCE: &str = "i-0123456789abcdef0";

/// What a case expects of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// The policy is not violated.
    Allow,
    /// The policy is violated.
    Deny,
}

impl Expected {
    /// The name of the folder that such cases are in.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        }
    }
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It is not a case.
    #[error("not a case: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Its record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its record is not of a call that policies judge.
    #[error("`{0}` is not of a StartSession or ResumeSession, refused or not: no policy judges it")]
    NotJudged(&'static str),
    /// Its parameters have a field that there is not.
    #[error("`parameters` has no field `{0}`\n  hint: a case names what it changes of parameters.json")]
    UnknownParameter(String),
    /// Its parameters cannot be used.
    #[error("`parameters` cannot be used: {0}")]
    Parameters(#[from] ParametersError),
    /// The policy said something else.
    #[error("{0}")]
    Unexpected(Unexpected),
}

/// What was said where a case expected something else.
#[derive(Debug)]
pub struct Unexpected {
    expected: Expected,
    decision: Decision,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = &self.decision;
        let list = |ids: Vec<&str>| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let violated = list(decision.violations.iter().map(|policy| policy.id.as_str()).collect());
        write!(formatter, "expected {}; violated: {violated}", self.expected.as_str())?;
        for undecided in &decision.undecided {
            let (policy, needs) = (&undecided.policy.id, undecided.needs.as_str());
            write!(formatter, "; not judged: {policy}, which needs {needs} ({})", undecided.why)?;
        }
        for error in &decision.errors {
            write!(formatter, "; failed: {}: {}", error.policy, error.message)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    record: Value,
    started: Option<Value>,
    #[serde(default)]
    target: FoundTarget,
    #[serde(default)]
    principal: FoundPrincipal,
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// What the look-ups found of the target: its tags, or why they are not known; and its facts.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundTarget {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    unknown: Option<String>,
    name: Option<String>,
    platform: Option<String>,
}

/// What the look-ups found of the principal.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundPrincipal {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    groups: Vec<String>,
    unknown: Option<String>,
}

/// Runs one case of one policy.
pub fn run(policies: &Policies, policy: &str, expected: Expected, text: &str) -> Result<(), CaseError> {
    let file: File = serde_json::from_str(text)?;
    let parameters = changed(policies.parameters(), &file.parameters)?;
    let decision = policies.decide_with(&session(file)?, &parameters);
    let is_denied = if policies.is_forbid(policy) {
        decision.violations.iter().any(|violated| violated.id == policy)
    } else {
        !decision.permitted_by.iter().any(|permit| permit == policy)
    };
    if is_denied == (expected == Expected::Deny) && decision.errors.is_empty() {
        return Ok(());
    }
    Err(CaseError::Unexpected(Unexpected { expected, decision }))
}

/// The session that a case tells of.
fn session(file: File) -> Result<Session, CaseError> {
    let mut event = event("record", file.record)?;
    event.principal.tags =
        file.principal.unknown.clone().map_or(Tags::Known(file.principal.tags), Tags::Unknown);
    event.principal.groups =
        file.principal.unknown.map_or(Groups::Known(file.principal.groups), Groups::Unknown);
    let started = match file.started {
        Some(record) => Some(Session::new(self::event("started", record)?, None)),
        None => None,
    };
    let named =
        event.target().or_else(|| started.as_ref().and_then(|started| started.event.target())).cloned();
    let id = match event.kind {
        // Often nobody knows what a refused call was about.
        EventKind::Attempted { .. } => named,
        _ => Some(named.unwrap_or_else(|| TargetId::parse(SOME_INSTANCE))),
    };
    let mut session = Session::new(event, id.map(|id| file.target.found(id)));
    if let Some(started) = started {
        SessionRecord::of_start(&started).complete(&mut session);
    }
    Ok(session)
}

fn event(field: &'static str, record: Value) -> Result<SessionEvent, CaseError> {
    cloudtrail::session_event(&completed(record))?
        .filter(|event| !matches!(event.kind, EventKind::Terminated { .. }))
        .ok_or(CaseError::NotJudged(field))
}

impl FoundTarget {
    fn found(self, id: TargetId) -> Target {
        let tags = self.unknown.map_or(Tags::Known(self.tags), Tags::Unknown);
        let facts = NodeFacts { name: self.name, platform: self.platform, ..NodeFacts::default() };
        Target::new(id, tags, Some(facts))
    }
}

/// Adds what every record has, so that a case need only say what it is about. The time is a Monday morning.
fn completed(record: Value) -> Value {
    let mut whole = json!({
        "eventVersion": "1.11",
        "eventID": "00000000-0000-4000-8000-000000000000",
        "eventSource": "ssm.amazonaws.com",
        "eventTime": "2026-11-23T10:00:00Z",
        "awsRegion": "eu-west-1",
        "recipientAccountId": "111122223333",
        "responseElements": {"sessionId": "case-abcdefghijklmnopqrstuvwxyz"},
    });
    match (whole.as_object_mut(), record) {
        (Some(whole), Value::Object(given)) => whole.extend(given),
        (_, other) => return other,
    }
    whole
}

/// Parameters with what a case gives in their place.
fn changed(parameters: &Parameters, changes: &Map<String, Value>) -> Result<Parameters, CaseError> {
    let mut changed = parameters.clone();
    let mut document: Map<String, Value> = serde_json::from_str(PARAMETERS)?;
    for (field, value) in changes {
        let place = document.get_mut(field).ok_or_else(|| CaseError::UnknownParameter(field.clone()))?;
        *place = value.clone();
    }
    let given = Parameters::from_json(&Value::Object(document).to_string())?;
    for field in changes.keys() {
        match field.as_str() {
            "requiredTags" => changed.required_tags.clone_from(&given.required_tags),
            "accessTag" => changed.access_tag.clone_from(&given.access_tag),
            "principalTag" => changed.principal_tag.clone_from(&given.principal_tag),
            "environmentTag" => changed.environment_tag.clone_from(&given.environment_tag),
            "productionValues" => changed.production_values.clone_from(&given.production_values),
            "allowedDocuments" => changed.allowed_documents.clone_from(&given.allowed_documents),
            "networks" => changed.networks.clone_from(&given.networks),
            "businessHours" => changed.business_hours = given.business_hours.clone(),
            other => return Err(CaseError::UnknownParameter(other.to_owned())),
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySource;

    const POLICY: &str = r#"
        @id("x") @title("x") @severity("low") @respond("alert")
        forbid (principal, action, resource)
        when { resource has name && resource.name == "web-1" || principal in AWS::IAM::Group::"g" }
        unless { resource.tagKeys.containsAll(context.parameters.requiredTags) };"#;

    fn policies(text: &str) -> Policies {
        let source = |folder: &str, text: &str| PolicySource {
            path: folder.to_owned(),
            folder: folder.to_owned(),
            text: text.to_owned(),
        };
        let sources = [source("x", text), source("y", "@id(\"y\") permit (principal, action, resource);")];
        Policies::load(&sources, Parameters::from_json(PARAMETERS).unwrap()).unwrap()
    }

    fn run(expected: Expected, case: &Value) -> Result<(), String> {
        super::run(&policies(POLICY), "x", expected, &case.to_string()).map_err(|error| error.to_string())
    }

    fn case(fields: Value) -> Value {
        let mut case = json!({"record": {
            "eventName": "StartSession",
            "userIdentity": {"type": "IAMUser", "userName": "alice"},
            "requestParameters": {"target": "i-0123456789abcdef0"}
        }});
        case.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        case
    }

    #[test]
    fn a_case_gives_what_look_ups_would_find() {
        for (fields, expected) in [
            (json!({}), Expected::Allow),
            (json!({"target": {"name": "web-1"}}), Expected::Deny),
            (
                json!({"target": {"name": "web-1", "tags": {"Owner": "a", "Environment": "b"}}}),
                Expected::Allow,
            ),
            (json!({"target": {"name": "web-1", "unknown": "AccessDenied"}}), Expected::Allow),
            (json!({"principal": {"groups": ["g"]}}), Expected::Deny),
            (json!({"principal": {"groups": ["h"]}}), Expected::Allow),
            (json!({"principal": {"unknown": "AccessDenied"}, "target": {"name": "web-1"}}), Expected::Allow),
            (
                json!({"target": {"name": "web-1", "tags": {"Team": "a"}}, "parameters": {"requiredTags": ["Team"]}}),
                Expected::Allow,
            ),
        ] {
            assert_eq!(run(expected, &case(fields.clone())), Ok(()), "{fields}");
        }
    }

    #[test]
    fn every_parameter_can_be_given_by_a_case() {
        let shipped = Parameters::from_json(PARAMETERS).unwrap();
        let changes = json!({
            "requiredTags": ["a"], "accessTag": "b", "principalTag": "c", "environmentTag": "d",
            "productionValues": ["e"], "allowedDocuments": ["f"], "networks": {"g": ["10.0.0.0/8"]},
            "businessHours": {"timeZone": "Asia/Tokyo", "days": ["Sun"], "from": "01:00", "to": "02:00"}
        });
        let fields: Map<String, Value> = serde_json::from_str(PARAMETERS).unwrap();
        assert!(fields.keys().eq(changes.as_object().unwrap().keys()));
        let changed = changed(&shipped, changes.as_object().unwrap()).unwrap();
        assert_eq!(
            format!("{changed:?}"),
            format!("{:?}", Parameters::from_json(&changes.to_string()).unwrap()),
        );
    }

    #[test]
    fn a_permit_has_cases_both_ways_too() {
        let policies = policies(
            r#"@id("x") permit (principal, action, resource) when { resource has name && resource.name == "web-1" };"#,
        );
        let run = |expected, name: &str| {
            super::run(&policies, "x", expected, &case(json!({"target": {"name": name}})).to_string()).is_ok()
        };
        assert!(run(Expected::Allow, "web-1") && !run(Expected::Deny, "web-1"));
        assert!(run(Expected::Deny, "web-2") && !run(Expected::Allow, "web-2"));
    }

    #[test]
    fn a_resumed_session_knows_its_start() {
        let policies = policies(
            r#"@id("x") @title("x") @severity("low") @respond("alert") forbid (principal, action, resource)
            when { context has remoteHost };"#,
        );
        let case = json!({
            "record": {
                "eventName": "ResumeSession",
                "requestParameters": {"sessionId": "case-abcdefghijklmnopqrstuvwxyz"}
            },
            "started": {
                "eventName": "StartSession", "eventTime": "2026-11-23T09:00:00Z",
                "requestParameters": {
                    "target": "mi-0123456789abcdef0",
                    "documentName": "AWS-StartPortForwardingSessionToRemoteHost",
                    "parameters": {"host": ["db.internal"]}
                }
            }
        });
        super::run(&policies, "x", Expected::Deny, &case.to_string()).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_case_is_said() {
        let record =
            |name: &str, target: Value| json!({"record": {"eventName": name, "requestParameters": target}});
        for (expected, case, message) in [
            (Expected::Deny, case(json!({})), "expected DENY; violated: none"),
            (Expected::Allow, case(json!({"target": {"name": "web-1"}})), "expected ALLOW; violated: x"),
            (
                Expected::Deny,
                case(json!({"target": {"unknown": "AccessDenied"}})),
                "expected DENY; violated: none; not judged: x, which needs the target's tags (AccessDenied)",
            ),
            (
                Expected::Allow,
                record("TerminateSession", json!({"sessionId": "case-abcdefghijklmnopqrstuvwxyz"})),
                "`record` is not of a StartSession or ResumeSession, refused or not: no policy judges it",
            ),
            (
                Expected::Allow,
                record("StartSession", json!({})),
                "record `00000000-0000-4000-8000-000000000000`: `requestParameters.target` is missing",
            ),
            (Expected::Allow, json!({}), "not a case: missing field `record` at line 1 column 2"),
            (
                Expected::Allow,
                case(json!({"parameters": {"requiredTag": ["Team"]}})),
                "`parameters` has no field `requiredTag`\n  hint: a case names what it changes of parameters.json",
            ),
            (
                Expected::Allow,
                case(json!({"parameters": {"networks": {"office": ["10.0.0.0/99"]}}})),
                "`parameters` cannot be used: parameters.json: `networks`: `10.0.0.0/99` is not a CIDR such as `203.0.113.0/24`",
            ),
        ] {
            assert_eq!(run(expected, &case).unwrap_err(), message);
        }
    }
}
