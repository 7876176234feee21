//! What policies say, what they cannot say, and what follows.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;

use serde_json::json;
use session::cloudtrail;
use session::event::Session;
use session::parameters::Parameters;
use session::policy::{Decision, Lookup, Policies, PolicySource, Severity};
use session::principal::Groups;
use session::response::{Mode, Outcome, respond};
use session::target::{Tags, Target, TargetId};

const PERMIT: &str = r#"@id("baseline-permit") permit (principal, action, resource);"#;

fn forbid(id: &str, severity: &str, respond: &str, condition: &str) -> String {
    format!(
        "@id(\"{id}\") @title(\"Title of {id}\") @severity(\"{severity}\") @respond(\"{respond}\")\n\
         forbid (principal, action in [AWS::SSM::Action::\"StartSession\", AWS::SSM::Action::\"ResumeSession\"], resource)\n\
         when {{ {condition} }};"
    )
}

fn parameters() -> Parameters {
    let file = json!({
        "requiredTags": ["Owner"], "accessTag": "SessionAccess", "principalTag": "Team",
        "environmentTag": "Environment", "productionValues": ["production"],
        "allowedDocuments": ["SSM-SessionManagerRunShell"], "networks": {},
        "businessHours": {"timeZone": "UTC", "days": ["Mon"], "from": "07:00", "to": "19:00"},
    });
    Parameters::from_json(&file.to_string()).unwrap()
}

fn load(policies: &[(&str, &str)]) -> Result<Policies, String> {
    let sources: Vec<_> = policies
        .iter()
        .map(|(folder, text)| PolicySource {
            path: format!("policies/{folder}/policy.cedar"),
            folder: (*folder).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Policies::load(&sources, parameters())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn session(name: &str, tags: Tags) -> Session {
    let record = json!({
        "eventVersion": "1.11", "eventSource": "ssm.amazonaws.com", "eventName": name,
        "eventID": "event-1", "eventTime": "2026-11-23T09:30:00Z",
        "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
        "userIdentity": {"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::111122223333:user/alice"},
        "requestParameters": {
            "target": "i-0123456789abcdef0", "sessionId": "alice-0e34861185201706f",
            "documentName": "AWS-StartPortForwardingSession", "parameters": {"portNumber": ["22"]},
        },
        "responseElements": {"sessionId": "alice-0e34861185201706f"},
    });
    let mut event = cloudtrail::session_event(&record).unwrap().unwrap();
    event.principal.tags = Tags::Known(BTreeMap::new());
    event.principal.groups = Groups::Known(Vec::new());
    let target = Target::new(TargetId::parse("i-0123456789abcdef0"), tags, None);
    Session::new(event, Some(target))
}

fn untagged() -> Session {
    session("StartSession", Tags::Known(BTreeMap::new()))
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.violations.iter().map(|policy| policy.id.as_str()).collect()
}

#[test]
fn every_violated_policy_is_listed_worst_first() {
    let (low, critical) =
        (forbid("low", "low", "alert", "true"), forbid("worst", "critical", "terminate", "true"));
    let (also, not) = (
        forbid("also", "low", "terminate", "true"),
        forbid("not", "high", "terminate", "context.mfa == \"present\""),
    );
    let policies = load(&[
        ("baseline-permit", PERMIT),
        ("low", &low),
        ("worst", &critical),
        ("also", &also),
        ("not", &not),
    ]);
    let decision = policies.unwrap().decide(&untagged());
    assert_eq!(ids(&decision), ["worst", "also", "low"]);
    assert_eq!(decision.severity(), Some(Severity::Critical));
}

/// Unknown is never absent: a policy that needs tags that nobody could look up is reported, not believed.
#[test]
fn a_policy_that_needs_unknown_tags_is_undecided() {
    let tags = forbid("tags", "high", "terminate", "!resource.hasTag(\"Owner\")");
    let keys = forbid("keys", "high", "terminate", "resource.tagKeys.isEmpty()");
    let other = forbid("other", "low", "alert", "context.mfa == \"notReported\"");
    let policies =
        load(&[("baseline-permit", PERMIT), ("tags", &tags), ("keys", &keys), ("other", &other)]).unwrap();
    let unknown = session("StartSession", Tags::Unknown("tag:GetResources: ThrottlingException".to_owned()));
    let decision = policies.decide(&unknown);
    assert_eq!(ids(&decision), ["other"], "what needs no tags is judged all the same");
    let undecided: Vec<_> = decision.undecided.iter().map(|undecided| undecided.policy.id.as_str()).collect();
    assert_eq!(undecided, ["keys", "tags"]);
    assert!(!decision.is_clean());
    assert_eq!(respond(&decision, &unknown, Mode::Enforce).terminate, None);
}

/// A policy that errors at run time is itself alerted at high severity: Cedar skips it, so it may hide a forbid.
#[test]
fn a_policy_that_fails_is_told_and_never_ignored() {
    // Valid, and an overflow for any port but 0.
    let failing = forbid(
        "failing",
        "low",
        "terminate",
        "context has port && context.port * 9223372036854775807 > context.port * 9223372036854775806",
    );
    let policies = load(&[("baseline-permit", PERMIT), ("failing", &failing)]).unwrap();
    let session = untagged();
    let decision = policies.decide(&session);
    assert!(decision.violations.is_empty());
    assert_eq!(decision.errors.len(), 1);
    assert!(decision.errors.iter().all(|error| error.policy == "failing"), "{decision:?}");
    assert_eq!(decision.severity(), Some(Severity::High));
    assert!(respond(&decision, &session, Mode::Enforce).alert);
}

#[test]
fn what_no_permit_covers_is_a_violation() {
    let permit = r#"@id("only-payments") permit (principal, action, resource)
        when { resource.hasTag("Team") && resource.getTag("Team") == "payments" };"#;
    let policies = load(&[("only-payments", permit)]).unwrap();
    assert_eq!(ids(&policies.decide(&untagged())), ["not-permitted"]);
    let payments = Tags::Known(BTreeMap::from([("Team".to_owned(), "payments".to_owned())]));
    let decision = policies.decide(&session("StartSession", payments));
    assert!(decision.is_clean());
    assert_eq!(decision.permitted_by, ["only-payments"]);
    let unknown = policies.decide(&session("StartSession", Tags::Unknown("no answer".to_owned())));
    assert!(unknown.violations.is_empty() && unknown.undecided.len() == 1, "{unknown:?}");
}

#[test]
fn the_guards_own_calls_and_ends_are_not_judged() {
    let policies = load(&[("always", &forbid("always", "high", "terminate", "true"))]).unwrap();
    let mut own = untagged();
    own.is_own = true;
    for session in [own, session("TerminateSession", Tags::Known(BTreeMap::new()))] {
        assert!(!policies.judge(&session));
        assert!(policies.decide(&session).is_clean());
    }
    assert!(policies.judge(&untagged()));
}

#[test]
fn an_end_rests_on_tags_when_no_other_policy_asks_for_it() {
    let tags = forbid("tags", "high", "terminate", "!resource.hasTag(\"Owner\")");
    let port = forbid("port", "high", "terminate", "context.sessionKind == \"Port\"");
    let told = forbid("told", "high", "alert", "context.sessionKind == \"Port\"");
    for (policies, expected) in [
        (vec![("tags", &tags)], true),
        (vec![("tags", &tags), ("told", &told)], true),
        (vec![("tags", &tags), ("port", &port)], false),
    ] {
        let mut all = vec![("baseline-permit", PERMIT)];
        all.extend(policies.iter().map(|(id, text)| (*id, text.as_str())));
        let policies = load(&all).unwrap();
        let decision = policies.decide(&untagged());
        assert_eq!(policies.end_rests_on(&decision, Lookup::TargetTags), expected, "{all:?}");
    }
}

/// Policies that do not validate against the schema are refused, with the policy's id and the position.
#[test]
fn a_policy_that_does_not_validate_is_refused_by_name_and_place() {
    for (condition, expected) in [
        ("context.mfaa == \"present\"", "policies/broken/policy.cedar:3:"),
        ("resource.getTag(\"Owner\") == \"me\"", "policies/broken/policy.cedar:3:"),
        ("context.mfa == ", "policies/broken/policy.cedar:3:"),
    ] {
        let error = load(&[("broken", &forbid("broken", "high", "alert", condition))]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("policy `broken`: "), "{error}");
    }
}

/// `observe` mode never terminates anything.
#[test]
fn what_follows_depends_on_the_decision_the_mode_and_the_call() {
    let policies = load(&[
        ("baseline-permit", PERMIT),
        ("ends", &forbid("ends", "high", "terminate", "!resource.hasTag(\"Owner\")")),
        ("tells", &forbid("tells", "low", "alert", "!resource.hasTag(\"Name\")")),
    ])
    .unwrap();
    let owned = Tags::Known(BTreeMap::from([("Owner".to_owned(), "team-a".to_owned())]));
    let mut ended = untagged();
    ended.ended = Some("2026-11-23T09:30:00Z".parse().unwrap());
    for (session, mode, terminates, otherwise, alerts) in [
        (untagged(), Mode::Enforce, true, Outcome::Observed, true),
        (untagged(), Mode::Observe, false, Outcome::Observed, true),
        // Only DescribeSessions proves an end: a session that was said to have ended is ended again.
        (ended.clone(), Mode::Enforce, true, Outcome::AlreadyEnded, true),
        (ended, Mode::Observe, false, Outcome::AlreadyEnded, true),
        (session("StartSession", owned.clone()), Mode::Enforce, false, Outcome::NotNeeded, true),
        (session("TerminateSession", owned), Mode::Enforce, false, Outcome::NotNeeded, false),
    ] {
        let response = respond(&policies.decide(&session), &session, mode);
        let what = format!("{:?} in {mode:?}", session.event.kind);
        assert_eq!(response.terminate.is_some(), terminates, "{what}");
        assert_eq!((&response.otherwise, response.alert), (&otherwise, alerts), "{what}");
    }
}

/// To the validator, a test for an attribute that nothing has is merely false.
#[test]
fn a_policy_that_can_never_hold_does_not_load() {
    for (condition, expected) in [
        (
            "context has remoteHots",
            "nothing has an attribute `remoteHots`\n  hint: did you mean `remoteHost`?",
        ),
        (
            "context.mfa == \"absent\" && !(context has reasn)",
            "nothing has an attribute `reasn`\n  hint: did you mean `reason`?",
        ),
        ("false", "policy is impossible: the policy expression evaluates to false for all valid requests"),
    ] {
        let error = load(&[("x", &forbid("x", "low", "alert", condition))]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// Tags that are not known are not tags that are absent, for permits too.
#[test]
fn a_permit_that_reads_unknown_tags_is_not_believed() {
    let permit =
        r#"@id("unlocked") permit (principal, action, resource) unless { resource.hasTag("Locked") };"#;
    let policies = load(&[("unlocked", permit)]).unwrap();
    let decision = policies.decide(&session("StartSession", Tags::Unknown("AccessDenied".to_owned())));
    assert_eq!((decision.violations, decision.permitted_by), (vec![], vec![]));
    let undecided: Vec<_> = decision.undecided.iter().map(|undecided| undecided.policy.id.as_str()).collect();
    assert_eq!(undecided, ["not-permitted"]);
}
