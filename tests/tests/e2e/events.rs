//! Calls of Session Manager, as CloudTrail tells of them. Records are put on the event bus as CloudTrail would put them, at
//! a time at which people work.

use serde_json::json;

use crate::guard::{self, Guard, Kind, TAGGED, UNTAGGED, record, refused};

/// `enforce`: a session on a target without tags is ended, proved ended, recorded and told.
#[test]
fn a_session_on_an_untagged_target_is_ended() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaaa", UNTAGGED);
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);

    assert_eq!(guard.status(&session), "Terminated");
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let finding = &alerts[0];
    assert_eq!(finding["unmapped"]["outcome"], "terminated");
    assert_eq!(finding["unmapped"]["policies"][0]["id"], "target-without-tags");
    assert_eq!(finding["evidences"][0]["actor"]["user"]["name"], "alice");
    assert!(finding["unmapped"]["ended_after_ms"].as_i64().unwrap() > 0);

    let ledger = guard.ledger();
    assert_eq!(ledger.verdict("event-1")["outcome"], "terminated");
    let item = ledger.session(&session);
    assert_eq!(item["started"]["target"], UNTAGGED);
    assert_eq!(item["ended"]["by"], "ssm-guard");
    assert_eq!(item["verdicts"]["event-1"]["violations"], json!(["target-without-tags"]));
    // The guard's own TerminateSession came back as an event: it is joined, and tells and ends nothing.
    assert_eq!(guard.calls("TerminateSession"), 1);
    assert_eq!(item["verdicts"].as_object().unwrap().len(), 2);
}

/// Decide, record the intent, act, confirm, tell: in that order.
#[test]
fn the_intent_is_recorded_before_the_act_and_the_alert_comes_last() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaab", UNTAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let calls: Vec<_> = guard
        .all_calls()
        .into_iter()
        .filter(|call| {
            ["UpdateItem", "TerminateSession", "DescribeSessions", "TransactWriteItems", "Publish"]
                .contains(&call.as_str())
        })
        .collect();
    let first =
        |name: &str| calls.iter().position(|call| call == name).unwrap_or_else(|| panic!("no {name}"));
    // The first UpdateItem is the claim, the second the intent.
    assert_eq!(calls[..3], ["UpdateItem", "UpdateItem", "TerminateSession"], "{calls:?}");
    assert!(first("TerminateSession") < first("DescribeSessions"), "{calls:?}");
    assert!(first("DescribeSessions") < first("TransactWriteItems"), "{calls:?}");
    assert!(first("TransactWriteItems") < first("Publish"), "{calls:?}");
}

/// `observe` mode never terminates anything. It is the default on a first deployment.
#[test]
fn observe_leaves_the_session_alone_and_tells() {
    let guard = Guard::deploy_with(&[]);
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaac", UNTAGGED);
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    assert_eq!(guard.status(&session), "Connected");
    assert_eq!(alerts[0]["unmapped"]["outcome"], "observed");
    assert_eq!(guard.ledger().verdict("event-1")["outcome"], "observed");
    assert_eq!(guard.calls("TerminateSession"), 0);
}

/// A session that no policy forbids is left alone, recorded, and not told.
#[test]
fn a_session_on_a_tagged_and_owned_target_is_left_alone() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaad", TAGGED);
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    assert_eq!(guard.status(&session), "Connected");
    assert!(alerts.is_empty(), "{alerts:#?}");
    let ledger = guard.ledger();
    assert_eq!(ledger.verdict("event-1")["outcome"], "not_needed");
    assert_eq!(ledger.verdict("event-1")["permitted_by"], json!(["baseline-permit"]));
    assert_eq!(ledger.session(&session)["started"]["principal"], "IAM user alice");
}

/// Alerts are at least once; a redelivered event does not alert twice while its ledger record lives.
#[test]
fn a_duplicate_event_alerts_once() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaae", UNTAGGED);
    let start = record(Kind::Start, 1, &session, UNTAGGED);
    let first = guard.deliver(&[start.clone(), start.clone(), start.clone()]);
    let again = guard.deliver(&[start]);
    assert_eq!((first.len(), again.len()), (1, 0));
    // The duplicates that came while the first was at work were not lost either.
    assert!(guard.failures().is_empty());
}

/// Every session event that is delivered ends in exactly one ledger verdict, whatever order: an end may come
/// before its start, both in the same second.
#[test]
fn an_end_before_its_start_is_joined() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaaf", UNTAGGED);
    guard.end(&session);
    assert!(guard.deliver(&[record(Kind::End, 1, &session, UNTAGGED)]).is_empty());
    let alerts = guard.deliver(&[record(Kind::Start, 2, &session, UNTAGGED)]);
    assert_eq!(alerts[0]["unmapped"]["outcome"], "already_ended");
    let ledger = guard.ledger();
    let item = ledger.session(&session);
    assert_eq!(item["ended"]["by"], "IAM user alice");
    assert_eq!(item["started"]["target"], UNTAGGED);
    // Those two, and the guard's own TerminateSession: ending a session again is how its end is proved.
    assert_eq!(item["verdicts"].as_object().unwrap().len(), 3);
}

/// A session that was opened before the guard came is judged when it is resumed.
#[test]
fn a_resumed_session_is_judged_by_what_session_manager_knows() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaag", UNTAGGED);
    let alerts = guard.deliver(&[record(Kind::Resume, 1, &session, UNTAGGED)]);
    assert_eq!(alerts[0]["unmapped"]["outcome"], "terminated");
    assert_eq!(guard.status(&session), "Terminated");
}

/// A refused call is an attempt: it is told, and there is nothing to end.
#[test]
fn a_refused_attempt_is_told() {
    let guard = Guard::deploy("enforce");
    let alerts = guard.deliver(&[refused(1)]);
    assert_eq!(alerts[0]["unmapped"]["kind"], "attempt");
    assert_eq!(alerts[0]["unmapped"]["policies"][0]["id"], "refused-attempt");
    assert_eq!(guard.ledger().verdict("event-1")["outcome"], "not_needed");
    assert_eq!(guard.calls("TerminateSession"), 0);
}

/// The alert tells the outcome, not the wish: a session that could not be ended is told as such, at once and at the
/// highest severity, and again when a retry ends it.
#[test]
fn a_termination_that_fails_is_told_and_tried_again() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaah", UNTAGGED);
    guard
        .fault(&json!({"service": "ssm", "operation": "TerminateSession", "error": "AccessDeniedException"}));
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let told: Vec<_> = alerts.iter().map(|alert| alert["unmapped"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(told, ["failed", "terminated"]);
    assert_eq!(alerts[0]["severity"], "Critical");
    assert_eq!(alerts[0]["status_detail"], "ssm:TerminateSession: AccessDeniedException");
    assert_eq!(guard.status(&session), "Terminated");
    assert_eq!(guard.ledger().verdict("event-1")["outcome"], "terminated");
}

/// A session counts as ended only once DescribeSessions says so.
#[test]
fn a_session_that_does_not_end_is_escalated() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaai", UNTAGGED);
    guard.admin("session-behaviour", &json!({"SessionId": session, "ignoreTerminate": true}));
    guard.put(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let alert = guard.next_alert();
    assert_eq!(alert["unmapped"]["outcome"], "failed");
    assert_eq!(alert["severity"], "Critical");
    assert_eq!(alert["status_detail"], "still open 15 s after ssm:TerminateSession");
    assert_eq!(guard.status(&session), "Connected");
    guard.admin("session-behaviour", &json!({"SessionId": session, "ignoreTerminate": false}));
    let alerts = guard.settle();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["unmapped"]["outcome"], "terminated");
}

/// SNS failing is survived: the session is ended and recorded all the same, and told when SNS answers again.
#[test]
fn an_alert_that_fails_is_told_when_sns_recovers() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaaj", UNTAGGED);
    // More than the SDK's own attempts, so that the invocation fails and Lambda's retry tells.
    guard.fault(&json!({"service": "sns", "operation": "Publish", "error": "InternalError", "status": 500, "times": 5}));
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["unmapped"]["outcome"], "terminated");
    assert!(guard.failures().is_empty());
}

/// An event that no retry could finish waits in the failures queue, and can be replayed from there.
#[test]
fn an_alert_that_cannot_be_told_waits_in_the_failures_queue_and_is_replayed() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaak", UNTAGGED);
    guard.fault(&json!({"service": "sns", "operation": "Publish", "error": "AuthorizationError", "status": 403, "times": -1}));
    assert!(guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]).is_empty());
    assert_eq!(guard.status(&session), "Terminated", "a topic that is down saves nobody");
    assert_eq!(guard.ledger().open_verdict("event-1")["outcome"], "terminated");
    let failures = guard.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["responsePayload"]["errorType"], "Publish");

    guard.clear_faults();
    let alerts = guard.deliver(&[failures[0]["requestPayload"]["detail"].clone()]);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["unmapped"]["outcome"], "terminated");
}

/// A ledger that is throttled delays a verdict and loses none.
#[test]
fn a_throttled_table_loses_nothing() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaal", UNTAGGED);
    for operation in ["UpdateItem", "TransactWriteItems"] {
        guard.fault(&json!({
            "service": "dynamodb", "operation": operation, "times": 5,
            "error": "ProvisionedThroughputExceededException",
        }));
    }
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let ledger = guard.ledger();
    assert_eq!(ledger.verdict("event-1")["outcome"], "terminated");
    assert_eq!(ledger.session(&session)["verdicts"].as_object().unwrap().len(), 2);
    assert!(guard.failures().is_empty());
}

/// Every session event that is delivered ends in exactly one ledger verdict, whatever crash: a function killed at any
/// call leaves a trace from which the retry goes on.
#[test]
fn a_function_killed_at_any_step_finishes_when_retried() {
    let guard = Guard::deploy("enforce");
    let steps = [
        ("dynamodb", "UpdateItem", 0, "before"),
        ("dynamodb", "UpdateItem", 0, "after"),
        ("tagging", "GetResources", 0, "after"),
        ("dynamodb", "UpdateItem", 1, "before"),
        ("dynamodb", "UpdateItem", 1, "after"),
        ("ssm", "TerminateSession", 0, "before"),
        ("ssm", "TerminateSession", 0, "after"),
        ("ssm", "DescribeSessions", 0, "after"),
        ("dynamodb", "TransactWriteItems", 0, "before"),
        ("dynamodb", "TransactWriteItems", 0, "after"),
        ("sns", "Publish", 0, "before"),
        ("sns", "Publish", 0, "after"),
        ("dynamodb", "UpdateItem", 2, "before"),
        ("dynamodb", "UpdateItem", 2, "after"),
    ];
    for (number, (service, operation, skip, when)) in steps.into_iter().enumerate() {
        let step = format!("killed {when} {operation} {skip}");
        let session = guard.open(&format!("alice-{number:026}"), UNTAGGED);
        guard.warm();
        guard.fault(&json!({"service": service, "operation": operation, "kill": when, "skip": skip}));
        let alerts = guard.deliver(&[record(Kind::Start, number, &session, UNTAGGED)]);
        guard.clear_faults();
        let failures = guard.failures();
        assert!(failures.is_empty(), "{step}: {failures:#?}");
        assert_eq!(guard.status(&session), "Terminated", "{step}: {}", guard.log());
        // What was told and not written down is told again. The guard's own TerminateSession is an event too, and from
        // there on its run may be the one that meets the fault, while the first is anywhere.
        let most = if number <= 5 { 1 } else { 2 };
        assert!((1..=most).contains(&alerts.len()), "{step}: {alerts:#?}");
        assert!(
            alerts.iter().all(|alert| alert["unmapped"]["outcome"] == "terminated"),
            "{step}: {alerts:#?}"
        );
        let ledger = guard.ledger();
        assert_eq!(ledger.verdict(&format!("event-{number}"))["outcome"], "terminated", "{step}");
        assert_eq!(
            ledger.session(&session)["verdicts"][format!("event-{number}")]["outcome"],
            "terminated",
            "{step}"
        );
    }
}

/// An event that cannot be read is kept and alerted. Nothing is dropped silently; nothing panics.
#[test]
fn an_unreadable_event_is_told_once_and_kept() {
    let guard = Guard::deploy("enforce");
    let mut broken = record(Kind::Start, 1, "alice-aaaaaaaaaaaaaaaaaaaaaaaaam", UNTAGGED);
    broken["responseElements"] = json!({"sessionId": 7});
    let alerts = guard.deliver(&[broken.clone()]);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["unmapped"]["kind"], "unreadable");
    let failures = guard.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["responsePayload"]["errorType"], "Unreadable");
    assert_eq!(failures[0]["requestPayload"]["detail"], broken);
}

/// Unknown is never absent: a tag look-up that failed is not an untagged target.
#[test]
fn a_failed_look_up_ends_nothing_and_is_judged_again() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaan", UNTAGGED);
    guard.warm();
    guard
        .fault(&json!({"service": "tagging", "operation": "GetResources", "error": "AccessDeniedException"}));
    let alerts = guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let told: Vec<_> = alerts.iter().map(|alert| alert["unmapped"]["kind"].as_str().unwrap()).collect();
    assert_eq!(told, ["undecided", "violation"]);
    let not_judged = alerts[0]["unmapped"]["not_judged"].to_string();
    assert!(not_judged.contains("target-without-tags needs the target's tags"), "{not_judged}");
    assert_eq!(guard.status(&session), "Terminated");
}

/// Before a session is ended for a missing tag, the tags are looked up again: a node that was just created may not
/// be listed yet.
#[test]
fn tags_that_appear_before_the_second_look_save_the_session() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaao", UNTAGGED);
    guard.warm();
    let before = guard.calls("GetResources");
    // The second look waits long enough for the node to be tagged, however slow this machine is.
    guard.fault(&json!({
        "service": "tagging", "operation": "GetResources", "skip": 1, "times": 1, "delayMilliseconds": 2000,
    }));
    guard.put(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    guard.wait_for_calls("GetResources", before + 1);
    guard.tag(UNTAGGED, json!({"Owner": "team-a", "Environment": "development"}));
    assert!(guard.settle().is_empty());
    assert_eq!(guard.status(&session), "Connected");
    assert_eq!(guard.calls("GetResources"), before + 2);
}

/// A burst loses nothing: 1,000 events, one in ten a violation and one in twenty delivered twice, each with exactly one
/// verdict.
#[test]
fn a_burst_of_a_thousand_events_is_judged_to_the_last() {
    let guard = Guard::deploy("enforce");
    let mut records = Vec::new();
    let mut violations = 0;
    for number in 0..1000 {
        let target = if number % 10 == 0 { UNTAGGED } else { TAGGED };
        violations += usize::from(target == UNTAGGED);
        let session = format!("alice-{number:026}");
        if target == UNTAGGED {
            guard.open(&session, target);
        }
        records.push(record(Kind::Start, number, &session, target));
        if number % 20 == 0 {
            records.push(record(Kind::Start, number, &session, target));
        }
    }
    let alerts = guard.deliver(&records);
    assert_eq!(alerts.len(), violations);
    let ledger = guard.ledger();
    for number in 0..1000 {
        let outcome = if number % 10 == 0 { "terminated" } else { "not_needed" };
        assert_eq!(ledger.verdict(&format!("event-{number}"))["outcome"], outcome);
        let item = ledger.session(&format!("alice-{number:026}"));
        assert_eq!(item["verdicts"][format!("event-{number}")]["outcome"], outcome);
    }
    assert!(guard.failures().is_empty());
}

/// The whole way, from the API call: Session Manager opens the session, CloudTrail tells of it, the guard ends it.
#[test]
fn a_session_that_a_person_opens_is_ended() {
    let guard = Guard::deploy("enforce");
    let alice = guard.user_with_mfa("alice");
    let opened = alice
        .json("ssm", "AmazonSSM.StartSession", &json!({"Target": UNTAGGED, "Reason": "CHG-1234"}))
        .unwrap();
    let session = opened["SessionId"].as_str().unwrap();
    let alerts = guard.settle();
    assert_eq!(guard.status(session), "Terminated");
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["evidences"][0]["actor"]["user"]["has_mfa"], true);
    assert_eq!(alerts[0]["evidences"][0]["data"]["reason"], "CHG-1234");
    // The guard's own TerminateSession is an event too: two verdicts, one alert.
    assert_eq!(guard.ledger().session(session)["verdicts"].as_object().unwrap().len(), 2);
}

/// No secret and no raw text of a caller reaches a log line.
#[test]
fn what_a_caller_wrote_reaches_no_log_line() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-aaaaaaaaaaaaaaaaaaaaaaaaap", UNTAGGED);
    let mut start = record(Kind::Start, 1, &session, UNTAGGED);
    start["requestParameters"]["reason"] = json!("password=S3cr3tPw");
    start["requestParameters"]["documentName"] = json!("AWS-StartInteractiveCommand");
    start["requestParameters"]["parameters"] = json!({"command": ["mysql -pS3cr3tPw"]});
    let alerts = guard.deliver(&[start]);
    assert!(!alerts[0].to_string().contains("S3cr3tPw"));
    let log = guard.log();
    assert!(log.contains("The event is judged."), "{log}");
    assert!(!log.contains("S3cr3tPw"), "{log}");
}

/// Policies that do not validate against the schema stop the function at init, with the policy's id and the position.
#[test]
fn a_policy_that_does_not_validate_stops_the_function() {
    let package = guard::package("session-event");
    let folder = tempfile::tempdir().unwrap();
    let policy = std::fs::read_to_string(package.join("policies/root-user/policy.cedar")).unwrap();
    let broken =
        format!("{} when {{ context.mfaa == \"present\" }};", policy.trim_end().trim_end_matches(';'));
    std::fs::create_dir(folder.path().join("root-user")).unwrap();
    std::fs::write(folder.path().join("root-user/policy.cedar"), broken).unwrap();
    std::fs::copy(package.join("policies/parameters.json"), folder.path().join("parameters.json")).unwrap();
    let output = std::process::Command::new(package.join("bootstrap"))
        .env_clear()
        .env("POLICIES_FOLDER", folder.path())
        .envs([("LEDGER_TABLE", "ledger"), ("MODE", "observe"), ("LEDGER_DAYS", "400")])
        .envs([("ALERT_TOPIC_ARN", "arn:aws:sns:eu-west-1:111122223333:alerts")])
        .envs([("GUARD_ROLE_ARN", "arn:aws:iam::111122223333:role/guard"), ("AWS_REGION", "eu-west-1")])
        .envs([("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE12"), ("AWS_SECRET_ACCESS_KEY", "secret")])
        // Nobody listens there: neither AWS nor the Lambda runtime is asked for an event.
        .envs([("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("root-user/policy.cedar:"), "{said}");
    assert!(said.contains("policy `root-user`: "), "{said}");
    assert!(said.contains("mfaa"), "{said}");
}
