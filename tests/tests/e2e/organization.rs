//! One guard for the accounts and Regions of an organisation: `infra/guard.yaml` in one account, `infra/member.yaml` in the
//! others, on a stack that enforces IAM.

use e2e::account::Account;
use serde_json::{Value, json};

use crate::guard::{Guard, Kind, UNTAGGED, deploy_template, new_enforced_account, record, status};

const ORGANIZATION: &str = "o-0123456789";
const EXTERNAL_ID: &str = "Zk3mQ9-external-id";

/// A guard in an account of the organisation.
fn guard() -> Guard {
    let account = new_enforced_account();
    account.admin_post("organization", &json!({"Id": ORGANIZATION})).unwrap();
    let parameters =
        [("Mode", "enforce"), ("OrganizationId", ORGANIZATION), ("MemberExternalId", EXTERNAL_ID)];
    Guard::deploy_enforced(account, &parameters)
}

/// Another account and Region that sends its sessions' events to the guard. Its role is made in eu-west-1.
fn member(guard: &Guard, place: &Account, parameters: &[(&str, &str)]) -> Value {
    let fixed = [
        ("OrganizationId", ORGANIZATION),
        ("GuardAccount", guard.account.id.as_str()),
        ("GuardBusArn", guard.output("MemberBusArn")),
        ("GuardRoleArns", guard.output("FunctionRoleArn")),
        ("ExternalId", EXTERNAL_ID),
        ("RoleRegion", "eu-west-1"),
    ];
    let is_given = |name: &str| parameters.iter().any(|(given, _)| *given == name);
    let fixed = fixed.iter().filter(|(name, _)| !is_given(name));
    let outputs =
        deploy_template(place, "infra/member.yaml", &fixed.chain(parameters).copied().collect::<Vec<_>>());
    // The records of tests are of this user.
    let _ = place.query("iam", "CreateUser", &[("UserName", "alice")]);
    outputs
}

fn in_organization() -> Account {
    let account = new_enforced_account();
    account.admin_post("organization", &json!({"Id": ORGANIZATION})).unwrap();
    account
}

/// Opens a session on a node without tags, and has CloudTrail tell of it in that account and Region.
fn start(place: &Account, number: usize, session: &str) {
    place.admin_post("nodes", &json!({"InstanceId": UNTAGGED, "ComputerName": "web-1"})).unwrap();
    place.admin_post("sessions", &json!({"SessionId": session, "Target": UNTAGGED})).unwrap();
    place.put_events(&[event(place, number, session)]).unwrap();
}

fn event(place: &Account, number: usize, session: &str) -> Value {
    let text = record(Kind::Start, number, session, UNTAGGED).to_string();
    let text = text.replace("111122223333", &place.id).replace("eu-west-1", &place.region);
    serde_json::from_str(&text).unwrap()
}

/// One guard judges and ends the sessions of every account and Region of its organisation, with the role that each account gave
/// it, and takes that role once.
#[test]
fn sessions_of_other_accounts_and_regions_are_ended() {
    let guard = guard();
    let account = in_organization();
    let places = [account.clone(), account.in_region("us-east-1"), guard.account.in_region("us-east-1")];
    for place in &places {
        member(&guard, place, &[("Mode", "enforce")]);
    }
    let sessions = [
        "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "alice-bbbbbbbbbbbbbbbbbbbbbbbbbb",
        "alice-cccccccccccccccccccccccccc",
    ];
    for (number, (place, session)) in places.iter().zip(sessions).enumerate() {
        start(place, number, session);
        let alerts = guard.settle();
        assert_eq!(status(place, session), "Terminated", "{}", guard.log());
        // The guard's own TerminateSession comes back from that account, and tells nothing.
        assert_eq!(alerts.len(), 1, "{alerts:#?}");
        assert_eq!(alerts[0]["unmapped"]["outcome"], "terminated");
        assert_eq!(alerts[0]["cloud"]["account"]["uid"], place.id);
        assert_eq!(alerts[0]["cloud"]["region"], place.region);
        let ledger = guard.ledger();
        let item = ledger.session_in(&place.id, &place.region, session);
        assert_eq!(item["ended"]["by"], "ssm-guard", "{item:#}");
    }
    assert_eq!(guard.calls("AssumeRole"), 1, "{:?}", guard.all_calls());
    assert!(guard.failures().is_empty());
}

/// An account decides whether its sessions are ended: with `Mode=observe` the guard sees them and cannot end one, and says so.
#[test]
fn an_account_in_observe_keeps_its_sessions() {
    let guard = guard();
    let account = in_organization();
    member(&guard, &account, &[("Mode", "observe")]);
    let session = "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    start(&account, 1, session);
    let alerts = guard.settle();
    assert_eq!(status(&account, session), "Connected");
    assert_eq!(alerts[0]["unmapped"]["outcome"], "failed", "{alerts:#?}");
    assert!(alerts[0].to_string().contains("ssm:TerminateSession: AccessDeniedException"), "{alerts:#?}");
    assert_eq!(guard.failures().len(), 1, "the event is kept");
}

/// What cannot be asked in another account is not asked in the guard's own: a node of the same name there is another node.
#[test]
fn an_account_that_gives_the_guard_no_role_is_unknown() {
    let guard = guard();
    // In the guard's account the node has every tag, and the session is there to be ended by mistake.
    let tags = json!({"Owner": "team-a", "Environment": "development", "SessionAccess": "alice"});
    guard.tag(UNTAGGED, tags);
    let session = "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    guard.open(session, UNTAGGED);
    let account = in_organization();
    member(&guard, &account, &[("Mode", "enforce"), ("ExternalId", "another-external-id")]);
    start(&account, 1, session);
    let alerts = guard.settle();
    assert_eq!(status(&account, session), "Connected");
    assert_eq!(guard.status(session), "Connected");
    assert!(alerts[0].to_string().contains("sts:AssumeRole: AccessDenied"), "{alerts:#?}");
    assert_eq!(guard.failures().len(), 1, "the event is kept");
}

/// An account tells of its own sessions only. Accounts outside the organisation reach nothing: what the bus does not take is kept
/// where it came from.
#[test]
fn an_account_outside_the_organisation_does_not_reach_the_guard() {
    let guard = guard();
    let stranger = new_enforced_account();
    let outputs = member(&guard, &stranger, &[("Mode", "enforce")]);
    start(&stranger, 1, "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert!(guard.settle().is_empty());
    assert!(guard.ledger().is_empty());
    let url = outputs["UndeliveredQueueUrl"].as_str().unwrap();
    let answer = stranger.json("sqs", "AmazonSQS.ReceiveMessage", &json!({"QueueUrl": url})).unwrap();
    assert!(answer["Messages"][0]["Body"].to_string().contains("StartSession"), "{answer}");
}

/// An account tells of its own sessions only: a record of another account's is unreadable, kept and told.
#[test]
fn an_account_cannot_tell_of_the_sessions_of_another() {
    let guard = guard();
    let account = in_organization();
    member(&guard, &account, &[("Mode", "enforce")]);
    let session = "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    guard.open(session, UNTAGGED);
    account.put_events(&[event(&guard.account, 1, session)]).unwrap();
    let alerts = guard.settle();
    assert_eq!(guard.status(session), "Connected");
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["unmapped"]["kind"], "unreadable", "{alerts:#?}");
    assert_eq!(guard.failures().len(), 1, "the event is kept");
}

/// The log of a session is that of the account that wrote it, in the bucket of the organisation too: an account writes below
/// its own id and nowhere else.
#[test]
fn a_log_of_another_account_is_joined_to_its_session() {
    let guard = guard();
    let place = in_organization().in_region("us-east-1");
    member(&guard, &place, &[("Mode", "enforce"), ("RoleRegion", "us-east-1")]);
    let session = "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    start(&place, 1, session);
    guard.settle();

    let bucket = guard.output("LogBucketName");
    let log = "sh-4.2$ cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n";
    let key = format!("{}/us-east-1/{session}.log", place.id);
    // S3 is called in the bucket's Region, as the agent does.
    let node = place.in_region("eu-west-1");
    node.put_object(bucket, &key, log.as_bytes()).unwrap();
    let alert = guard.next_alert();
    assert_eq!(alert["unmapped"]["kind"], "transcript", "{alert:#}");
    assert_eq!(alert["evidences"][0]["actor"]["user"]["name"], "alice");
    assert_eq!(alert["cloud"]["account"]["uid"], place.id);
    let ledger = guard.ledger();
    let item = ledger.session_in(&place.id, "us-east-1", session);
    assert_eq!(item["transcripts"].as_object().unwrap().len(), 1, "{item:#}");

    let elsewhere = format!("{}/us-east-1/{session}.log", guard.account.id);
    let refused = node.put_object(bucket, &elsewhere, log.as_bytes()).unwrap_err();
    assert!(refused.contains("AccessDenied"), "{refused}");
}
