//! Cases that show what a policy does: `policies/<id>/ALLOW/*.json` and `policies/<id>/DENY/*.json`.
//!
//! A case is a CloudTrail record, with only the fields that matter, and what the look-ups would have
//! found. In `DENY` the policy of that folder must be violated, in `ALLOW` it must not: what other policies
//! say of the same session is their cases' business.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloudtrail;
use crate::event::Session;
use crate::policy::Policies;
use crate::principal::Groups;
use crate::target::{Tags, Target, TargetId};

/// What a case expects of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The policy is not violated.
    Allow,
    /// The policy is violated.
    Deny,
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It is not a case.
    #[error("not a case: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Its record cannot be read.
    #[error(transparent)]
    Record(#[from] cloudtrail::RecordError),
    /// Its record is not of a Session Manager call.
    #[error("`record.eventName` is not StartSession, ResumeSession or TerminateSession")]
    NotOurs,
    /// Its networks cannot be read.
    #[error(transparent)]
    Networks(#[from] crate::parameters::ParametersError),
    /// The policy said something else.
    #[error(
        "expected {expected:?}; violated are {violated:?}, not judged are {undecided:?}, failed are {failed:?}"
    )]
    Unexpected {
        /// What the case expects.
        expected: Expected,
        /// Every violated policy.
        violated: Vec<String>,
        /// Every policy that could not be judged.
        undecided: Vec<String>,
        /// Every policy that failed.
        failed: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    record: Value,
    #[serde(default)]
    target: Found,
    #[serde(default)]
    principal: Found,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    networks: Vec<String>,
}

/// What a look-up of tags found: `tags`, or why it found nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    unknown: Option<String>,
}

impl Found {
    fn tags(self) -> Tags {
        match self.unknown {
            Some(why) => Tags::Unknown(why),
            None => Tags::Known(self.tags),
        }
    }
}

/// Runs one case of one policy.
pub fn run(policies: &Policies, policy: &str, expected: Expected, text: &str) -> Result<(), CaseError> {
    let file: File = serde_json::from_str(text)?;
    let mut event = cloudtrail::session_event(&completed(file.record))?.ok_or(CaseError::NotOurs)?;
    event.principal.tags = file.principal.tags();
    event.principal.groups = Groups::Known(file.groups);
    let id = event.target().cloned().unwrap_or_else(|| TargetId::Instance("i-0123456789abcdef0".to_owned()));
    let target = Target { id, tags: file.target.tags(), facts: None };
    let session = Session::new(event, Some(target));
    let decision = if file.networks.is_empty() {
        policies.decide(&session)
    } else {
        let mut parameters = policies.parameters().clone();
        parameters.override_networks(&file.networks.join(","))?;
        policies.decide_with(&session, &parameters)
    };
    let violated: Vec<_> = decision.violations.iter().map(|policy| policy.id.clone()).collect();
    let is_denied = violated.iter().any(|id| id == policy);
    if is_denied == (expected == Expected::Deny) && decision.errors.is_empty() {
        return Ok(());
    }
    Err(CaseError::Unexpected {
        expected,
        violated,
        undecided: decision.undecided.into_iter().map(|undecided| undecided.policy.id).collect(),
        failed: decision.errors.into_iter().map(|error| error.policy).collect(),
    })
}

/// Adds what every record has, so that a case need only say what it is about.
fn completed(record: Value) -> Value {
    let mut whole = json!({
        "eventVersion": "1.11",
        "eventID": "00000000-0000-4000-8000-000000000000",
        "eventSource": "ssm.amazonaws.com",
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
