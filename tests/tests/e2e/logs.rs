//! Logs of sessions, from the bucket to the alert.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::guard::{Guard, Kind, TAGGED, UNTAGGED, between, record};

/// A log in the agent's bytes: `script`'s lines around a shell without marks, every line ended by `\r\r\n`.
fn log(session: &str, node: &str, commands: &[&str]) -> Vec<u8> {
    let mut body = String::new();
    for command in commands {
        body.push_str(&format!("sh-4.2$ {command}\r\r\n"));
    }
    enclosed(session, node, &format!("{body}sh-4.2$ exit\r\r\nexit\r\r\n")).into_bytes()
}

fn enclosed(session: &str, node: &str, body: &str) -> String {
    format!(
        "Script started on 2026-11-23 10:02:40+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/{node}/session/orchestration/\
         {session}/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n{body}\n\
         Script done on 2026-11-23 10:02:40+00:00 [COMMAND_EXIT_CODE=\"0\"]\n"
    )
}

fn transcripts(guard: &Guard, session: &str) -> Vec<Value> {
    let ledger = guard.ledger();
    let item = ledger.session(session)["transcripts"].clone();
    item.as_object().map(|logs| logs.values().cloned().collect()).unwrap_or_default()
}

fn rules(alert: &Value) -> Vec<&str> {
    alert["unmapped"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

/// What is dangerous in the log of a session is told once, with whose session it was, and the ledger keeps what was read.
#[test]
fn what_was_run_in_a_session_is_told_with_whose_it_was() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaaa", TAGGED);
    assert!(guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]).is_empty());
    guard.put_log(&session, &log(&session, TAGGED, &["id", "sudo cat /etc/shadow", "ls"]));
    let alert = guard.next_alert();
    assert_eq!(alert["unmapped"]["kind"], "transcript");
    assert_eq!(alert["evidences"][0]["actor"]["user"]["name"], "alice");
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "sudo cat /etc/shadow");
    let attacks = alert["finding_info"]["attacks"].to_string();
    assert!(attacks.contains("T1003"), "{attacks}");
    assert!(guard.settle().is_empty());
    let read = transcripts(&guard, &session);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0]["commands"], 4);
    assert_eq!(read[0]["key"], format!("{session}.log"));
    assert!(read[0]["version"].is_string(), "{read:#?}");
}

/// What is dangerous in the log of a session is told once, with whose session it was: where nothing is, nothing is told, and what
/// was read is recorded.
#[test]
fn a_log_without_findings_is_recorded_and_not_told() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaab", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, &log(&session, TAGGED, &["df -h", "uptime"]));
    guard.wait_for_calls("GetObject", 1);
    assert!(guard.settle().is_empty());
    assert_eq!(transcripts(&guard, &session)[0]["commands"], 3);
}

/// What is dangerous in the log of a session is told once, with whose session it was, however often S3 tells of the log.
#[test]
fn a_log_that_is_told_of_twice_alerts_once() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaac", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
    guard.next_alert();
    guard.settle();
    let version = transcripts(&guard, &session)[0]["version"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        guard.tell_of_log(&session, &version);
    }
    assert!(guard.settle().is_empty());
    assert_eq!(guard.calls("GetObject"), 1);
}

/// A log that overwrites an earlier version is itself a finding, and both versions are kept.
#[test]
fn a_log_that_is_written_over_is_told() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaad", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
    assert!(!rules(&guard.next_alert()).contains(&"log-overwritten"));
    guard.settle();
    guard.put_log(&session, &log(&session, TAGGED, &["uptime"]));
    assert_eq!(rules(&guard.next_alert()), ["log-overwritten"]);
    guard.settle();
    assert_eq!(transcripts(&guard, &session).len(), 2);
}

/// A log whose target does not match its session's is itself a finding: a node's role can write any name.
#[test]
fn a_log_of_another_node_is_told() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaae", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, &log(&session, UNTAGGED, &["uptime"]));
    assert_eq!(rules(&guard.next_alert()), ["log-of-another-node"]);
}

/// A log may come before CloudTrail tells of its session: it is told at once, and again with the name once that is known.
#[test]
fn a_log_before_its_start_is_joined_when_the_start_comes() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaaf", TAGGED);
    guard.look_again_soon();
    guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
    let first = guard.next_alert();
    assert!(first["evidences"][0]["actor"].get("user").is_none(), "{first:#}");
    guard.settle();
    guard.put(&[record(Kind::Start, 1, &session, TAGGED)]);
    let second = guard.next_alert();
    assert_eq!(second["evidences"][0]["actor"]["user"]["name"], "alice");
    assert_eq!(rules(&first), rules(&second));
    assert!(guard.settle().is_empty());
}

/// A log whose session CloudTrail does not know in the time that it takes is itself a finding.
#[test]
fn a_log_of_a_session_that_nobody_started_is_told() {
    let guard = Guard::deploy_with(&[("Mode", "enforce"), ("PatienceMinutes", "0")]);
    let session = "mallory-baaaaaaaaaaaaaaaaaaaaaaaaa";
    guard.put_log(session, &log(session, TAGGED, &["uptime"]));
    assert_eq!(rules(&guard.next_alert()), ["log-of-unknown-session"]);
    assert!(guard.settle().is_empty());
}

/// A log that cannot be told waits in its queue, and is told when SNS takes alerts again.
#[test]
fn a_log_that_cannot_be_told_is_told_later() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaag", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.look_again_soon();
    guard.fault(&json!({"service": "sns", "operation": "Publish", "error": "AuthorizationError", "status": 403, "times": -1}));
    guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
    guard.wait_for_calls("Publish", 1);
    guard.clear_faults();
    assert!(!rules(&guard.next_alert()).is_empty());
    assert!(guard.settle().is_empty());
}

/// The queue that `docs/operations.md` names for an option of its command, by the output that has its URL.
fn in_the_runbook(option: &str) -> String {
    let page = fs::read_to_string(e2e::root().join("docs/operations.md")).unwrap();
    let command = between(&page, "aws sqs start-message-move-task ", "\n");
    between(command, &format!("{option} \"$(arn "), ")\"").to_owned()
}

/// A log that could not be read is told once when the dead-letter queue gives it back, by the command of `docs/operations.md`:
/// whether its queue gave it up, or never got it from EventBridge.
#[test]
fn a_log_that_is_given_back_by_the_dead_letter_queue_is_told_once() {
    let guard = Guard::deploy("enforce");
    guard.look_again_soon();
    guard.give_logs_up_soon();
    let sessions = ["o", "p"].map(|end| guard.open(&format!("alice-baaaaaaaaaaaaaaaaaaaaaaa{end}"), TAGGED));
    for (number, session) in sessions.iter().enumerate() {
        guard.deliver(&[record(Kind::Start, number, session, TAGGED)]);
    }
    guard.fault(&json!({"service": "s3", "operation": "GetObject", "error": "AccessDenied", "status": 403, "times": -1}));
    let put = |session| guard.put_log(session, &log(session, TAGGED, &["sudo cat /etc/shadow"]));
    put(&sessions[0]);
    guard.wait_for_unread_logs(1);
    // EventBridge puts what it could not hand over there in the same way; to SQS it came from no queue.
    for event in guard.unread_logs() {
        guard.send_to_unread_logs(&event.to_string());
    }
    put(&sessions[1]);
    guard.wait_for_unread_logs(2);
    assert!(guard.settle().is_empty());
    guard.clear_faults();

    let queue = |option| guard.queue_attribute(&in_the_runbook(option), "QueueArn");
    let (source, destination) = (queue("--source-arn"), queue("--destination-arn"));
    let task = json!({"SourceArn": source, "DestinationArn": destination});
    guard.ask("sqs", "AmazonSQS.StartMessageMoveTask", &task);
    let alerts = guard.settle();
    let told: BTreeSet<_> = alerts
        .iter()
        .map(|alert| alert["evidences"][0]["actor"]["session"]["uid"].as_str().unwrap())
        .collect();
    assert_eq!((alerts.len(), told), (2, sessions.iter().map(String::as_str).collect()));
    assert!(guard.unread_logs().is_empty());
    assert_eq!(sessions.map(|session| transcripts(&guard, &session).len()), [1, 1]);
    let tasks = guard.ask("sqs", "AmazonSQS.ListMessageMoveTasks", &json!({"SourceArn": source}));
    assert_eq!(tasks["Results"][0]["Status"], "COMPLETED");
}

/// A function that is killed before or after it told of a log leaves a log that is told by the next delivery.
#[test]
fn a_function_killed_while_it_tells_of_a_log_finishes_when_retried() {
    for (number, fault) in [
        json!({"service": "dynamodb", "operation": "TransactWriteItems", "kill": "after", "times": 1}),
        json!({"service": "sns", "operation": "Publish", "kill": "before", "times": 1}),
    ]
    .iter()
    .enumerate()
    {
        let guard = Guard::deploy("enforce");
        let session = guard.open(&format!("alice-baaaaaaaaaaaaaaaaaaaaaaa{number}z"), TAGGED);
        guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
        guard.look_again_soon();
        guard.fault(fault);
        guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
        assert!(!rules(&guard.next_alert()).is_empty());
        assert!(guard.settle().is_empty());
        assert_eq!(transcripts(&guard, &session).len(), 1);
    }
}

/// A delivery that cannot be read goes back to the queue alone, and keeps no log from being read.
#[test]
fn a_delivery_that_cannot_be_read_keeps_no_log_from_being_read() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaak", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.send_to_logs("not JSON");
    guard.put_log(&session, &log(&session, TAGGED, &["sudo cat /etc/shadow"]));
    assert!(!rules(&guard.next_alert()).is_empty());
    assert!(guard.settle().is_empty());
    assert_eq!(guard.waiting_logs(), 1);
}

/// An object that is not the log of a session is left alone.
#[test]
fn an_object_that_is_no_log_is_left_alone() {
    let guard = Guard::deploy("enforce");
    guard.put_log("notes-today", b"sudo cat /etc/shadow");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaah", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, &log(&session, TAGGED, &["uptime"]));
    guard.wait_for_calls("GetObject", 1);
    assert!(guard.settle().is_empty());
    assert_eq!(guard.calls("GetObject"), 1);
    assert!(guard.unread_logs().is_empty());
}

/// A log of any size is read to its end: one GiB here, with what is dangerous in its last line.
#[test]
fn a_log_of_a_gibibyte_is_read_to_its_end() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaai", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    let line = "2026-11-23 10:02:40 host app[4242]: request 0123456789abcdef served in 17 ms, 200 OK\r\r\n";
    let output = line.repeat((1 << 30) / line.len());
    let body = format!(
        "sh-4.2$ journalctl\r\r\n{output}sh-4.2$ sudo cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n"
    );
    guard.put_log(&session, enclosed(&session, TAGGED, &body).as_bytes());
    let alert = guard.next_alert();
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "sudo cat /etc/shadow");
    guard.settle();
    let read = transcripts(&guard, &session);
    assert!(read[0]["bytes"].as_u64().unwrap() > 1 << 29, "{read:#?}");
    assert_eq!(read[0]["commands"], 3);
}

/// A log of any size is read to its end: one that outlasts an invocation is read on by the next from where the last one came
/// to, and told once.
#[test]
fn a_log_that_outlasts_an_invocation_is_read_on() {
    let guard = Guard::deploy("enforce");
    guard.look_again_soon();
    guard.read_in_pieces();
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaal", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    let output = "request served in 17 ms, 200 OK\r\r\n".repeat(600);
    let body = format!(
        "sh-4.2$ journalctl\r\r\n{output}sh-4.2$ sudo cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n"
    );
    let log = enclosed(&session, TAGGED, &body);
    guard.put_log(&session, log.as_bytes());
    let alert = guard.next_alert();
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "sudo cat /etc/shadow");
    assert!(guard.settle().is_empty());
    assert!(guard.calls("GetObject") > 1, "{:?}", guard.all_calls());
    assert!(guard.log_of_logs().contains("The log comes again"), "{}", guard.log_of_logs());
    let read = transcripts(&guard, &session);
    assert_eq!(read[0]["commands"], 3);
    assert_eq!(read[0]["bytes"].as_u64().unwrap(), log.len() as u64);
}

/// What is found in a log is told when an invocation's time is up, and not only at the log's end: a log that is long to read
/// delays nothing. What was told is not told again at the end.
#[test]
fn what_was_found_is_told_before_the_end_of_a_long_log() {
    let guard = Guard::deploy("enforce");
    guard.look_again_soon();
    guard.read_in_pieces();
    let session = guard.open("alice-baaaaaaaaaaaaaaaaaaaaaaaam", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    let output = "request served in 17 ms, 200 OK\r\r\n".repeat(600);
    let body = format!(
        "sh-4.2$ sudo cat /etc/shadow\r\r\nsh-4.2$ journalctl\r\r\n{output}sh-4.2$ exit\r\r\nexit\r\r\n"
    );
    guard.put_log(&session, enclosed(&session, TAGGED, &body).as_bytes());
    let alert = guard.next_alert();
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "sudo cat /etc/shadow");
    assert!(transcripts(&guard, &session).is_empty(), "the log was read to its end");
    let deadline = Instant::now() + Duration::from_secs(120);
    while transcripts(&guard, &session).is_empty() {
        assert!(Instant::now() < deadline, "{}", guard.log_of_logs());
    }
    assert!(guard.settle().is_empty());
    assert_eq!(transcripts(&guard, &session)[0]["commands"], 3);
}

/// What is dangerous in the log of a session is told once, with whose session it was: the whole way, from the keys in a real
/// shell to the alert.
#[test]
fn what_a_person_types_into_a_real_shell_is_told() {
    let guard = Guard::deploy("enforce");
    guard.log_sessions();
    let alice = guard.user_with_mfa("alice");
    let opened = alice
        .json("ssm", "AmazonSSM.StartSession", &json!({"Target": TAGGED, "Reason": "CHG-1234"}))
        .unwrap();
    let session = opened["SessionId"].as_str().unwrap();
    // What policies say of it depends on the time of the day at which this test runs.
    guard.settle();
    guard.type_into(session, "unset HISTFILE\n");
    guard.type_into(session, "exit\n");
    guard.wait_for(session, &json!({"status": "Terminated", "timeout": 30}));
    let alert = guard.next_alert();
    assert_eq!(alert["unmapped"]["kind"], "transcript", "{alert:#}");
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "unset HISTFILE");
    assert_eq!(alert["evidences"][0]["actor"]["session"]["uid"], session);
}
