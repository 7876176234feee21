//! Each action of the functions' roles is needed: on a stack that enforces IAM a function does its work with its role, and
//! without one action it does not.
//!
//! Every test has a guard of its own. What the work is says why the action is there. `docs/architecture.md` has what the stack
//! only imitates.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::guard::{Guard, Kind, TAGGED, UNTAGGED, new_enforced_account, record};

/// The role of a function: the one that the alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    SessionEvent,
    LogObject,
}

impl Role {
    /// Its name and that of its policy in `infra/guard.yaml`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::SessionEvent => ("SessionEventRole", "session-event"),
            Self::LogObject => ("LogObjectRole", "log-object"),
        }
    }
}

/// What a guard does with its whole role, one test for each work; and that it does not without one of the actions, one test for
/// each action.
macro_rules! needed {
    ($($whole:ident: $role:ident of $guard:ident $work:ident { $($test:ident: $action:literal,)* })*) => {
        $(
            /// Every action of a function's role is needed, and with all of them it does its work.
            #[test]
            fn $whole() {
                let guard = $guard();
                assert!($work(&guard), "{}", guard.log());
            }

            $(
                /// Every action of a function's role is needed.
                #[test]
                fn $test() {
                    is_needed(Role::$role, $action, $guard(), $work);
                }
            )*
        )*
        const NEEDED: &[(Role, &str)] = &[$($((Role::$role, $action),)*)*];
    };
}

needed! {
    a_session_is_ended_and_told: SessionEvent of guard ends_a_session {
        sessions_are_described: "ssm:DescribeSessions",
        sessions_are_ended: "ssm:TerminateSession",
        tags_of_targets_are_read: "tag:GetResources",
        claims_are_read: "dynamodb:GetItem",
        claims_are_made: "dynamodb:PutItem",
        verdicts_are_written: "dynamodb:UpdateItem",
        verdicts_are_told: "sns:Publish",
        ledger_and_topic_are_decrypted: "kms:Decrypt",
        alerts_are_encrypted: "kms:GenerateDataKey",
    }
    a_node_is_named: SessionEvent of guard names_the_node {
        nodes_are_described: "ssm:DescribeInstanceInformation",
    }
    a_team_is_let_in: SessionEvent of guard lets_the_team_in {
        tags_of_users_are_read: "iam:ListUserTags",
    }
    a_group_is_let_in: SessionEvent of guard lets_the_group_in {
        groups_of_users_are_read: "iam:ListGroupsForUser",
    }
    a_role_of_a_team_is_let_in: SessionEvent of guard lets_the_team_of_a_role_in {
        tags_of_roles_are_read: "iam:ListRoleTags",
    }
    a_start_is_silent: SessionEvent of guard starts_in_silence {
        the_topic_is_greeted: "sns:GetTopicAttributes",
    }
    an_unreadable_event_is_kept: SessionEvent of guard keeps_what_it_cannot_read {
        failed_events_are_kept: "sqs:SendMessage",
    }
    the_log_has_lines: SessionEvent of guard writes_its_log {
        its_log_is_opened: "logs:CreateLogStream",
        its_log_is_written: "logs:PutLogEvents",
    }
    a_run_is_traced: SessionEvent of guard traces_its_calls {
        its_segments_are_sent: "xray:PutTraceSegments",
        its_telemetry_is_sent: "xray:PutTelemetryRecords",
    }
    a_log_is_told: LogObject of guard tells_of_a_log {
        versions_of_logs_are_read: "s3:GetObjectVersion",
        sessions_of_logs_are_read: "dynamodb:GetItem",
        claims_on_logs_are_made: "dynamodb:PutItem",
        transcripts_are_written: "dynamodb:UpdateItem",
        findings_are_told: "sns:Publish",
        logs_are_decrypted: "kms:Decrypt",
        alerts_on_logs_are_encrypted: "kms:GenerateDataKey",
        the_queue_is_read: "sqs:ReceiveMessage",
        messages_that_are_done_are_deleted: "sqs:DeleteMessage",
        the_queue_is_looked_at: "sqs:GetQueueAttributes",
    }
    a_log_without_versions_is_told: LogObject of guard_of_a_bucket_without_versions tells_of_a_log {
        logs_are_read: "s3:GetObject",
    }
    a_start_for_logs_is_silent: LogObject of guard starts_in_silence_for_logs {
        the_topic_is_greeted_for_logs: "sns:GetTopicAttributes",
    }
    the_log_of_logs_has_lines: LogObject of guard writes_the_log_of_logs {
        the_log_of_logs_is_opened: "logs:CreateLogStream",
        the_log_of_logs_is_written: "logs:PutLogEvents",
    }
    a_run_on_logs_is_traced: LogObject of guard traces_its_calls_about_a_log {
        segments_of_logs_are_sent: "xray:PutTraceSegments",
        telemetry_of_logs_is_sent: "xray:PutTelemetryRecords",
    }
}

/// Every action of a function's role is needed: each one has its test here.
#[test]
fn every_action_of_a_role_has_its_test() {
    let guard = guard();
    for role in [Role::SessionEvent, Role::LogObject] {
        let listed: BTreeSet<_> =
            NEEDED.iter().filter(|(of, _)| *of == role).map(|(_, action)| (*action).to_owned()).collect();
        let (name, policy) = role.names();
        assert_eq!(listed, actions(&guard.role_policy(name, policy)), "{role:?}");
    }
}

fn guard() -> Guard {
    Guard::deploy_enforced(new_enforced_account(), &[("Mode", "enforce")])
}

/// S3 asks for one action about an object and for another about a version of it.
fn guard_of_a_bucket_without_versions() -> Guard {
    let account = new_enforced_account();
    let bucket = format!("logs-{}", account.id);
    account.create_bucket(&bucket).unwrap();
    Guard::deploy_enforced(account, &[("Mode", "enforce"), ("LogBucketName", &bucket)])
}

fn is_needed(role: Role, action: &str, guard: Guard, works: fn(&Guard) -> bool) {
    let (role, name) = role.names();
    let mut policy = guard.role_policy(role, name);
    let mut taken = 0;
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let actions = statement["Action"].as_array_mut().unwrap();
        let before = actions.len();
        actions.retain(|allowed| allowed != action);
        taken += before - actions.len();
    }
    policy["Statement"]
        .as_array_mut()
        .unwrap()
        .retain(|statement| !statement["Action"].as_array().unwrap().is_empty());
    assert_eq!(taken, 1, "{action} in {policy:#}");
    guard.set_role_policy(role, name, &policy);
    assert!(!works(&guard), "without {action}:\n{}", guard.log());
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

const SESSION: &str = "alice-aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A session on a target without tags is ended, and told as ended.
fn ends_a_session(guard: &Guard) -> bool {
    guard.open(SESSION, UNTAGGED);
    let alerts = guard.deliver(&[record(Kind::Start, 1, SESSION, UNTAGGED)]);
    guard.status(SESSION) == "Terminated"
        && alerts.iter().any(|alert| alert["unmapped"]["outcome"] == "terminated")
}

/// The alert has the name of the node, which only Systems Manager knows.
fn names_the_node(guard: &Guard) -> bool {
    guard.open(SESSION, UNTAGGED);
    let alerts = guard.deliver(&[record(Kind::Start, 1, SESSION, UNTAGGED)]);
    alerts.iter().any(|alert| alert.to_string().contains("web-1"))
}

/// A person of the team that the target names is let in.
fn lets_the_team_in(guard: &Guard) -> bool {
    let team = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "blue")];
    let user = [&[("UserName", "alice")], &team[..]].concat();
    guard.account.query("iam", "TagUser", &user).unwrap();
    is_let_in(guard, &record(Kind::Start, 1, SESSION, TAGGED))
}

/// So is somebody who acts as a role of that team.
fn lets_the_team_of_a_role_in(guard: &Guard) -> bool {
    let role = [
        ("RoleName", "operators"),
        ("AssumeRolePolicyDocument", r#"{"Version": "2012-10-17", "Statement": []}"#),
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "blue"),
    ];
    guard.account.query("iam", "CreateRole", &role).unwrap();
    let mut start = record(Kind::Start, 1, SESSION, TAGGED);
    start["userIdentity"] = json!({
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLEEXAMPLE123:alice",
        "arn": "arn:aws:sts::111122223333:assumed-role/operators/alice",
        "accountId": "111122223333",
        "accessKeyId": "ASIAEXAMPLEEXAMPLE12",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "principalId": "AROAEXAMPLEEXAMPLE123", "accountId": "111122223333",
                "arn": "arn:aws:iam::111122223333:role/operators", "userName": "operators",
            },
            "attributes": {"creationDate": "2026-11-23T09:00:00Z", "mfaAuthenticated": "true"},
        },
    });
    is_let_in(guard, &start)
}

fn is_let_in(guard: &Guard, start: &Value) -> bool {
    guard.tag(TAGGED, json!({"Owner": "team-a", "Environment": "development", "SessionAccess": "blue"}));
    guard.open(SESSION, TAGGED);
    guard.deliver(std::slice::from_ref(start));
    guard.status(SESSION) == "Connected" && guard.failures().is_empty()
}

/// A policy of a team's own lets in whoever is in a group; no shipped one reads groups.
fn lets_the_group_in(guard: &Guard) -> bool {
    guard.add_policy(
        "outside-the-group",
        r#"@id("outside-the-group")
@title("Not of the group that may open sessions")
@severity("high")
@respond("terminate")
@runbook("Ask for the group.")
forbid (principal, action == AWS::SSM::Action::"StartSession", resource)
unless { principal in AWS::IAM::Group::"sessions" };
"#,
    );
    for (action, parameters) in [
        ("CreateGroup", &[("GroupName", "sessions")][..]),
        ("AddUserToGroup", &[("GroupName", "sessions"), ("UserName", "alice")]),
    ] {
        guard.account.query("iam", action, parameters).unwrap();
    }
    guard.open(SESSION, TAGGED);
    guard.deliver(&[record(Kind::Start, 1, SESSION, TAGGED)]);
    guard.status(SESSION) == "Connected" && guard.failures().is_empty()
}

/// A start says nothing of services that do not answer.
fn starts_in_silence(guard: &Guard) -> bool {
    guard.warm();
    !guard.log().contains("does not answer at start")
}

fn starts_in_silence_for_logs(guard: &Guard) -> bool {
    tells_of_a_log(guard);
    !guard.log_of_logs().contains("does not answer at start")
}

/// An event that cannot be read is in the failures queue.
fn keeps_what_it_cannot_read(guard: &Guard) -> bool {
    let mut unreadable = record(Kind::Start, 1, SESSION, UNTAGGED);
    unreadable["eventTime"] = json!("yesterday");
    guard.deliver(&[unreadable]);
    !guard.failures().is_empty()
}

fn writes_its_log(guard: &Guard) -> bool {
    guard.warm();
    !guard.log().is_empty()
}

fn writes_the_log_of_logs(guard: &Guard) -> bool {
    tells_of_a_log(guard);
    !guard.log_of_logs().is_empty()
}

fn traces_its_calls(guard: &Guard) -> bool {
    guard.warm();
    has_traces_of(guard, "SessionEventFunction")
}

fn traces_its_calls_about_a_log(guard: &Guard) -> bool {
    tells_of_a_log(guard);
    has_traces_of(guard, "LogObjectFunction")
}

fn has_traces_of(guard: &Guard, function: &str) -> bool {
    guard.traces().iter().any(|trace| {
        trace["function"].as_str().unwrap().contains(function)
            && !trace["documents"].as_array().unwrap().is_empty()
    })
}

/// What was run in a session is told and recorded.
fn tells_of_a_log(guard: &Guard) -> bool {
    guard.open(SESSION, TAGGED);
    guard.deliver(&[record(Kind::Start, 1, SESSION, TAGGED)]);
    guard.put_log(SESSION, b"sh-4.2$ cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n");
    guard.settle().iter().any(|alert| alert["unmapped"]["kind"] == "transcript")
        && guard.ledger().session(SESSION)["transcripts"].is_object()
}
