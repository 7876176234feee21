//! What has to be asked about an event before it can be judged.
//!
//! A look-up that failed leaves its fact unknown, never absent, and is counted: a policy that needed the fact is then
//! judged again when Lambda retries.

use std::collections::BTreeMap;

use aws::accounts::AccountClients;
use aws::error::AwsError;
use aws::{principal, ssm, target};
use lambda_runtime::tracing::warn;
use session::event::{EventKind, SessionEvent};
use session::ledger::SessionRecord;
use session::policy::{Lookup, Policies};
use session::principal::{Groups, PrincipalKind};
use session::target::{Tags, Target, TargetId};

/// What look-ups found, and how many of them failed.
#[derive(Debug)]
pub(crate) struct Found<T> {
    /// What was found.
    pub(crate) value: T,
    /// How many look-ups failed.
    pub(crate) failed: usize,
}

/// The tags and facts of a target, asked for side by side.
pub(crate) async fn target(there: &AccountClients, event: &SessionEvent, id: TargetId) -> Found<Target> {
    let node = match &id {
        TargetId::Instance(node) | TargetId::ManagedNode(node) => Some(node.clone()),
        TargetId::EcsTask { .. } | TargetId::Other(_) => None,
    };
    let facts = async {
        match &node {
            Some(node) => target::facts(&there.ssm, node).await,
            None => Ok(None),
        }
    };
    let (tags, facts) = tokio::join!(tags(there, event, &id), facts);
    // No policy reads these facts: an alert without a computer's name is still an alert.
    let facts = facts.unwrap_or_else(|error| {
        note(&error);
        None
    });
    Found { value: Target::new(id, tags.value, facts), failed: tags.failed }
}

/// The tags of a target.
pub(crate) async fn tags(there: &AccountClients, event: &SessionEvent, id: &TargetId) -> Found<Tags> {
    let Some(arn) = id.arn(&event.region, &event.account) else {
        return Found { value: Tags::Unknown("the target is of an unknown form".to_owned()), failed: 0 };
    };
    found(target::tags(&there.tagging, &arn).await, Tags::Known, Tags::Unknown)
}

/// The target of a session whose own event does not name it: the ledger knows it from the start, AWS while the
/// session is open.
pub(crate) async fn target_of_session(
    there: &AccountClients,
    event: &SessionEvent,
    record: &SessionRecord,
) -> Found<Option<TargetId>> {
    if let Some(started) = &record.started {
        return Found { value: Some(started.target.clone()), failed: 0 };
    }
    let (EventKind::Resumed { session }, None) = (&event.kind, event.target()) else {
        return Found { value: None, failed: 0 };
    };
    match ssm::find(&there.ssm, session).await {
        Ok(found) => {
            let target = found.and_then(|found| found.target);
            Found { value: target.as_deref().map(TargetId::parse), failed: 0 }
        }
        Err(error) => {
            note(&error);
            Found { value: None, failed: 1 }
        }
    }
}

/// What IAM knows of the principal, as far as any policy reads it.
pub(crate) async fn principal(
    there: &AccountClients,
    policies: &Policies,
    event: &SessionEvent,
) -> Found<(Tags, Groups)> {
    let (tags, groups) = tokio::join!(principal_tags(there, policies, event), groups(there, policies, event));
    Found { value: (tags.value, groups.value), failed: tags.failed + groups.failed }
}

async fn principal_tags(there: &AccountClients, policies: &Policies, event: &SessionEvent) -> Found<Tags> {
    let principal = &event.principal;
    let unknown = |why: &str| Found { value: Tags::Unknown(why.to_owned()), failed: 0 };
    if !policies.needs(Lookup::PrincipalTags) {
        return unknown("no policy reads them");
    }
    let iam = &there.iam;
    let answer = match principal.kind {
        PrincipalKind::IamUser
        | PrincipalKind::AssumedRole
        | PrincipalKind::WebIdentity { .. }
        | PrincipalKind::IdentityCenter { .. }
            if !is_local(event) =>
        {
            return unknown("the principal is of another account");
        }
        PrincipalKind::IamUser => principal::user_tags(iam, &principal.name).await,
        PrincipalKind::AssumedRole
        | PrincipalKind::WebIdentity { .. }
        | PrincipalKind::IdentityCenter { .. } => {
            match principal.issuer_arn.as_deref().and_then(|arn| arn.rsplit('/').next()) {
                Some(role) => principal::role_tags(iam, role).await,
                None => return unknown("the event does not name the role"),
            }
        }
        // Nobody else has IAM tags.
        _ => Ok(BTreeMap::new()),
    };
    found(answer, Tags::Known, Tags::Unknown)
}

async fn groups(there: &AccountClients, policies: &Policies, event: &SessionEvent) -> Found<Groups> {
    let principal = &event.principal;
    let unknown = |why: &str| Found { value: Groups::Unknown(why.to_owned()), failed: 0 };
    if !policies.needs(Lookup::PrincipalGroups) {
        return unknown("no policy reads them");
    }
    let answer = match principal.kind {
        PrincipalKind::IamUser if !is_local(event) => return unknown("the principal is of another account"),
        PrincipalKind::IamUser => principal::groups(&there.iam, &principal.name).await,
        // Only users are in groups.
        _ => Ok(Vec::new()),
    };
    found(answer, Groups::Known, Groups::Unknown)
}

/// What an answer says; a look-up that failed leaves the fact unknown.
fn found<A, T>(answer: Result<A, AwsError>, known: fn(A) -> T, unknown: fn(String) -> T) -> Found<T> {
    match answer {
        Ok(answer) => Found { value: known(answer), failed: 0 },
        Err(error) => {
            note(&error);
            Found { value: unknown(error.reason()), failed: worth_another_try(&error) }
        }
    }
}

/// A user or role that was deleted meanwhile stays unknown.
fn worth_another_try(error: &AwsError) -> usize {
    usize::from(error.code != "NoSuchEntity")
}

/// IAM tells about its own account only.
fn is_local(event: &SessionEvent) -> bool {
    event.principal.account.as_deref().is_none_or(|account| account == event.account)
}

fn note(error: &AwsError) {
    warn!(
        operation = error.operation,
        subject = error.subject,
        causes = error.causes(),
        "A look-up failed: the fact is unknown."
    );
}
