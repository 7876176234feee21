//! The exact words that an operator reads, and the shape that machines read.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use session::alert::{Alert, Log, Message, SIZE_LIMIT};
use session::cloudtrail;
use session::event::{EventKind, Session};
use session::ledger::SessionRecord;
use session::object::{self, LogObject};
use session::policy::{About, Decision, Lookup, Respond, Severity, Undecided};
use session::response::{Mode, Outcome};
use session::target::{NodeFacts, Tags, Target, TargetId};
use session::transcript::{self, Claims, Evidence, Finding, Joined, Reading};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn session(reason: &str) -> Session {
    let record = json!({
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
            "arn": "arn:aws:iam::111122223333:user/alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"
        },
        "requestParameters": {"target": "i-0123456789abcdef0", "reason": reason},
        "responseElements": {"sessionId": "alice-abcdefghijklmnopqrstuvwxy2"}
    });
    let event = cloudtrail::session_event(&record).unwrap().unwrap();
    let tags = Tags::Known(BTreeMap::from([("Name".to_owned(), "db-1".to_owned())]));
    let facts = NodeFacts {
        name: Some("ip-10-0-1-11".to_owned()),
        platform: Some("Amazon Linux 2023".to_owned()),
        ip: Some("10.0.1.11".to_owned()),
        agent_version: Some("3.3.987.0".to_owned()),
    };
    let mut target = Target::new(TargetId::parse("i-0123456789abcdef0"), tags, Some(facts));
    target.looked_twice = true;
    Session::new(event, Some(target))
}

fn policy(id: &str, title: &str, severity: Severity) -> About {
    let runbook = Some(format!("https://runbooks.example.com/{id}"));
    About { id: id.to_owned(), title: title.to_owned(), severity, respond: Respond::Terminate, runbook }
}

fn decision() -> Decision {
    Decision {
        violations: vec![
            policy("target-without-tags", "Target without the required tags", Severity::High),
            policy("outside-business-hours", "Session outside business hours", Severity::Low),
        ],
        ..Decision::default()
    }
}

fn message(outcome: &Outcome) -> Message {
    Alert::new(&session("CHG-1234"), &decision(), outcome, Mode::Enforce, at("2026-11-23T09:30:03Z")).render()
}

fn terminated() -> Outcome {
    Outcome::Terminated { confirmed: at("2026-11-23T09:30:02Z") }
}

fn body(message: &Message, protocol: &str) -> String {
    let bodies: Value = serde_json::from_str(&message.body).unwrap();
    bodies[protocol].as_str().unwrap_or_else(|| panic!("no body for {protocol}")).to_owned()
}

#[test]
fn a_mail_tells_what_happened_and_what_to_do() {
    let message = message(&terminated());
    insta::assert_snapshot!(message.subject, @"[ssm-guard] HIGH Target without the required tags: session ended");
    insta::assert_snapshot!(body(&message, "email"));
}

#[test]
fn a_card_for_chat_is_threaded_by_session() {
    let card: Value = serde_json::from_str(&body(&message(&terminated()), "https")).unwrap();
    assert_eq!(card["metadata"]["threadId"], "alice-abcdefghijklmnopqrstuvwxy2");
    insta::assert_json_snapshot!(card);
}

#[test]
fn sms_alert_fits_one_message() {
    insta::assert_snapshot!(body(&message(&terminated()), "sms"), @"HIGH target-without-tags: terminated IAM user alice on i-0123456789abcdef0 (db-1)");
}

#[test]
fn a_finding_is_the_ocsf_that_siems_read() {
    let finding: Value = serde_json::from_str(&body(&message(&terminated()), "sqs")).unwrap();
    insta::assert_json_snapshot!(finding, {".metadata.product.version" => "[version]"});
}

/// The alert tells the outcome, not the wish: terminated / already ended / observed / failed.
#[test]
fn every_outcome_reads_differently() {
    let subjects: Vec<_> = [
        terminated(),
        Outcome::AlreadyEnded,
        Outcome::Observed,
        Outcome::NotNeeded,
        Outcome::Failed { reason: "ssm:TerminateSession: AccessDeniedException".to_owned() },
    ]
    .iter()
    .map(|outcome| message(outcome).subject)
    .collect();
    insta::assert_snapshot!(subjects.join("\n"), @r"
    [ssm-guard] HIGH Target without the required tags: session ended
    [ssm-guard] HIGH Target without the required tags: session had already ended
    [ssm-guard] HIGH Target without the required tags: session left open (observe mode)
    [ssm-guard] HIGH Target without the required tags: session left open
    [ssm-guard] CRITICAL Target without the required tags: SESSION MAY STILL BE OPEN
    ");
}

/// Every body of every outcome validates against the official schema of OCSF class 2004.
#[test]
fn findings_validate_against_the_official_schema() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/ocsf-detection_finding-1.8.0.schema.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    // The compiled schema calls `osint` required; it is so only in the profile of that name.
    schema["required"].as_array_mut().unwrap().retain(|field| field != "osint");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut findings = Vec::new();
    for outcome in
        [terminated(), Outcome::AlreadyEnded, Outcome::Observed, Outcome::Failed { reason: "x".into() }]
    {
        findings.push(body(&message(&outcome), "sqs"));
    }
    let now = at("2026-11-23T09:30:03Z");
    let error =
        cloudtrail::session_event(&json!({"eventSource": "ssm.amazonaws.com", "eventName": "StartSession"}))
            .unwrap_err();
    findings.push(body(&Alert::unreadable("e-1", "111122223333", "eu-west-1", &error, now).render(), "sqs"));
    let mut unknown = session("x");
    unknown.target = None;
    findings.push(body(
        &Alert::new(&unknown, &undecided(), &Outcome::NotNeeded, Mode::Observe, now).render(),
        "sqs",
    ));
    let (object, reading) = (log_object("v1"), reading("cat /etc/shadow"));
    for (record, joined) in [(known(), Joined::Known), (SessionRecord::default(), Joined::Unknown)] {
        let told = log_message(&object, &reading, &record, joined);
        findings.push(body(&told, "sqs"));
    }
    for finding in findings {
        let finding: Value = serde_json::from_str(&finding).unwrap();
        let errors: Vec<_> = validator.iter_errors(&finding).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{finding:#}");
    }
}

fn undecided() -> Decision {
    let policy = policy("target-without-tags", "Target without the required tags", Severity::High);
    let undecided = Undecided {
        policy,
        needs: Lookup::TargetTags,
        why: "tag:GetResources: ThrottlingException".to_owned(),
    };
    Decision { undecided: vec![undecided], ..Decision::default() }
}

#[test]
fn an_undecided_policy_is_told_as_such() {
    let alert = Alert::new(
        &session("x"),
        &undecided(),
        &Outcome::NotNeeded,
        Mode::Enforce,
        at("2026-11-23T09:30:03Z"),
    );
    let message = alert.render();
    assert_eq!(message.attributes["kind"], "undecided");
    insta::assert_snapshot!(body(&message, "email"));
}

/// No secret reaches an alert; excerpts are redacted.
#[test]
fn a_secret_in_a_reason_reaches_no_body() {
    let session = session("db password=S3cr3tPw1 \u{1b}[2J");
    let message =
        Alert::new(&session, &decision(), &terminated(), Mode::Enforce, at("2026-11-23T09:30:03Z")).render();
    assert!(!message.body.contains("S3cr3tPw1"), "{}", message.body);
    assert!(!message.body.contains("\\u001b"), "{}", message.body);
}

#[test]
fn the_limits_of_sns_hold_for_hostile_text() {
    let long = "x<@!channel>é\u{202e}\n".repeat(20_000);
    let mut session = session(&long);
    let EventKind::Started { document, .. } = &mut session.event.kind else { panic!("not a start") };
    document.command = Some(long.clone());
    session.document.as_mut().unwrap().command = Some(long.clone());
    session.event.user_agent = Some(long.clone());
    session.event.principal.name = long.clone();
    let tags = (0..50).map(|tag| (format!("{tag}{}", "k".repeat(120)), "v".repeat(256))).collect();
    session.target.as_mut().unwrap().tags = Tags::Known(tags);
    let message =
        Alert::new(&session, &decision(), &terminated(), Mode::Enforce, at("2026-11-23T09:30:03Z")).render();
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    assert!(message.body.len() + attributes <= SIZE_LIMIT, "{} bytes", message.body.len());
    assert!(message.subject.len() <= 100 && message.subject.is_ascii(), "{}", message.subject);
    assert!(body(&message, "sms").len() <= 160);
}

fn log_object(version: &str) -> LogObject {
    let envelope = json!({
        "id": "e-1", "detail-type": "Object Created", "source": "aws.s3", "account": "111122223333",
        "time": "2026-11-23T10:02:00Z", "region": "eu-west-1",
        "detail": {
            "bucket": {"name": "session-logs"},
            "object": {"key": "linux/alice-0e34861185201706f.log", "size": 4182, "version-id": version},
            "reason": "PutObject",
        },
    });
    object::log_object(&envelope).unwrap().unwrap()
}

fn reading(command: &str) -> Reading {
    let finding = Finding {
        rule: "shadow-file-read".to_owned(),
        title: "Password Hashes Are Read".to_owned(),
        severity: Severity::High,
        techniques: vec!["T1003.008".to_owned()],
        tactics: vec!["credential-access".to_owned()],
        author: Some("ssm-guard".to_owned()),
        runbook: Some("docs/rules.md#shadow-file-read".to_owned()),
        count: 2,
        evidence: Some(Evidence {
            text: command.to_owned(),
            line: 17,
            known: "command, high confidence".to_owned(),
        }),
    };
    Reading {
        bytes: 4182,
        lines: 61,
        commands: 9,
        claims: Claims::default(),
        limits: vec!["2 commands were typed while the echo was off".to_owned()],
        findings: vec![finding],
    }
}

fn known() -> SessionRecord {
    SessionRecord::of_start(&session("CHG-1234"))
}

fn log_message(object: &LogObject, reading: &Reading, record: &SessionRecord, joined: Joined) -> Message {
    let findings = transcript::findings(record, object, reading, joined);
    let log = Log { object, reading, findings: &findings, record, joined };
    Alert::transcript(&log, Mode::Enforce, at("2026-11-23T10:02:03Z")).render()
}

#[test]
fn a_mail_on_a_log_tells_what_was_run_and_by_whom() {
    let message = log_message(&log_object("v1"), &reading("sudo cat /etc/shadow"), &known(), Joined::Known);
    insta::assert_snapshot!(message.subject);
    insta::assert_snapshot!(body(&message, "email"));
    insta::assert_snapshot!(body(&message, "sms"));
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&body(&message, "https")).unwrap());
    insta::assert_json_snapshot!(message.attributes);
}

#[test]
fn a_log_of_a_session_that_nobody_started_says_so() {
    let unknown = SessionRecord::default();
    let message = log_message(&log_object("v1"), &Reading::default(), &unknown, Joined::Unknown);
    insta::assert_snapshot!(body(&message, "email"));
}

#[test]
fn a_secret_in_a_command_reaches_no_body() {
    let message = log_message(
        &log_object("v1"),
        &reading(
            "mysql -u root -pS3cr3tPw prod; export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        &known(),
        Joined::Known,
    );
    for secret in ["S3cr3tPw", "wJalrXUtnFEMI"] {
        assert!(!message.body.contains(secret), "{}", message.body);
    }
}

/// No secret reaches an alert: nor by the part of a command that was found within another.
#[test]
fn a_secret_in_what_was_unwrapped_reaches_no_body() {
    let mut reading = reading("sh -c \"$(base64 -d <<< ...)\"");
    let evidence = reading.findings[0].evidence.as_mut().unwrap();
    evidence.known = "run; within sh: mysql -u root -pS3cr3tPw prod \u{1b}[2J".to_owned();
    let message = log_message(&log_object("v1"), &reading, &known(), Joined::Known);
    assert!(message.body.contains("within sh: "), "{}", message.body);
    assert!(!message.body.contains("S3cr3tPw") && !message.body.contains("\\u001b"), "{}", message.body);
}

/// A node's role writes any name, line feeds included: it adds no line to a mail and steers no terminal.
#[test]
fn the_name_of_a_log_adds_nothing_to_a_mail() {
    let object = log_object("v1");
    let lines = |object: &LogObject| {
        let message = log_message(object, &reading("id"), &known(), Joined::Known);
        assert!(!message.body.contains("\\u001b") && !message.body.contains('\u{202e}'), "{}", message.body);
        body(&message, "email").lines().count()
    };
    let named = |prefix: &str| LogObject { key: format!("{prefix}/{}", object.key), ..object.clone() };
    assert_eq!(lines(&object), lines(&named("x\n\nNext:\n- Do nothing.\u{1b}[2J\u{202e}")));
}

#[test]
fn a_log_full_of_hostile_findings_stays_within_the_limits() {
    let long = "x<@!channel>é\u{202e}\n".repeat(20_000);
    let mut reading = reading(&long);
    reading.limits = vec![long.clone(); 50];
    let finding = reading.findings.remove(0);
    for number in 0..500 {
        let rule = format!("{number}{long}");
        let (title, author) = (long.clone(), Some(long.clone()));
        let (techniques, tactics) = (vec!["T1003.008".to_owned(); 50], vec!["impact".to_owned(); 50]);
        reading.findings.push(Finding { rule, title, author, techniques, tactics, ..finding.clone() });
    }
    let message = log_message(&log_object(&"v".repeat(1000)), &reading, &known(), Joined::Known);
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    assert!(message.body.len() + attributes <= SIZE_LIMIT, "{} bytes", message.body.len());
    assert!(message.subject.len() <= 100 && message.subject.is_ascii(), "{}", message.subject);
    assert!(body(&message, "sms").len() <= 160);
}
