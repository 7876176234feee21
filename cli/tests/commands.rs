//! The exact words and exit codes of every command.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn ssm_guard(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssm-guard"));
    command.current_dir(folder).args(arguments);
    command
}

/// The exit code and what was printed, as a reader sees them.
fn run_in(folder: &Path, arguments: &[&str]) -> String {
    told(&ssm_guard(folder, arguments).output().unwrap())
}

fn run(arguments: &[&str]) -> String {
    run_in(&root(), arguments)
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let stderr = stderr.lines().map(|line| format!("stderr: {line}\n")).collect::<String>();
    format!("{stdout}{stderr}exit code {}", output.status.code().unwrap())
}

/// A folder with these files. `copy of` names a file of the repository.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("copy of ") {
            Some(shipped) => fs::copy(root().join(shipped), path).map(|_| ()).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
    folder
}

const PARAMETERS: (&str, &str) = ("policies/parameters.json", "copy of policies/parameters.json");
const ROOT_USER: (&str, &str) =
    ("policies/root-user/policy.cedar", "copy of policies/root-user/policy.cedar");
const PERMIT: (&str, &str) =
    ("policies/baseline-permit/policy.cedar", "copy of policies/baseline-permit/policy.cedar");

mod compile {
    use super::*;

    const RULE: &str = "
title: A shell is opened
logsource: {product: linux, category: process_creation}
detection: {shell: {Image|endswith: /sh}, condition: shell}
";

    #[test]
    fn rules_become_one_file() {
        let rules = folder(&[("rules/a/rule.yml", RULE), ("more/b.yml", RULE)]);
        assert_snapshot!(run_in(rules.path(), &["compile"]), @"
        1 rule is compiled into rules.index.
        exit code 0
        ");
        let first = fs::read(rules.path().join("rules.index")).unwrap();
        assert_snapshot!(run_in(rules.path(), &["compile", "rules", "more", "--to", "all.index"]), @"
        2 rules are compiled into all.index.
        exit code 0
        ");
        assert!(fs::metadata(rules.path().join("all.index")).unwrap().len() > first.len() as u64);
    }

    #[test]
    fn a_rule_that_does_not_load_keeps_the_file_from_being_written() {
        let rules = folder(&[("rules/a.yml", RULE), ("rules/b.yml", "title: no detection\n")]);
        assert_snapshot!(run_in(rules.path(), &["compile"]), @"
        stderr: ssm-guard: rules/b.yml: rule `no detection`: `logsource`: it is missing
        stderr: ssm-guard: rules.index is not written
        exit code 1
        ");
        assert!(!rules.path().join("rules.index").exists());
        assert_snapshot!(run_in(rules.path(), &["compile", "rules/nowhere"]), @"
        stderr: ssm-guard: rules/nowhere: No such file or directory (os error 2)
        exit code 2
        ");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let rules = folder(&[("rules/a.yml", RULE)]);
        assert_snapshot!(run_in(rules.path(), &["compile", "--to", "nowhere/rules.index"]), @"
        stderr: ssm-guard: nowhere/rules.index: No such file or directory (os error 2)
        exit code 2
        ");
    }
}

mod check {
    use super::*;

    #[test]
    fn the_shipped_policies_are_valid() {
        assert_snapshot!(run(&["check"]), @"
        12 policies are valid.
        exit code 0
        ");
    }

    #[test]
    fn an_error_has_its_place_and_what_to_do() {
        assert_snapshot!(run(&["check", "cli/tests/fixtures/misspelt"]), @r#"
        cli/tests/fixtures/misspelt/prod-requires-mfa/policy.cedar:11:10: policy `prod-requires-mfa`: attribute `mfaa` in context for AWS::SSM::Action::"ResumeSession" not found
          hint: did you mean `mfa`?
        exit code 1
        "#);
    }

    #[test]
    fn every_error_of_every_policy_is_reported_at_once() {
        let policy =
            |head: &str, body: &str| format!("{head}\nforbid (principal, action, resource)\n{body};\n");
        let whole = "@id(\"a\") @title(\"a\") @severity(\"low\") @respond(\"alert\")";
        let files = [
            (
                "policies/a/policy.cedar",
                policy(whole, "when { context.mfa == \"absent\" && context.mfa > 1 }"),
            ),
            (
                "policies/b/policy.cedar",
                policy(&whole.replace("\"a\"", "\"b\""), "when { context.mfa == \"absent\" "),
            ),
            ("policies/c/policy.cedar", policy(whole, "")),
            (
                "policies/d/policy.cedar",
                policy("@id(\"d\") @title(\"d\") @severity(\"severe\") @respond(\"alert\")", ""),
            ),
            ("policies/e/policy.cedar", policy("@id(\"e\") @title(\"e\") @severity(\"low\")", "")),
        ];
        let files: Vec<_> =
            files.iter().map(|(path, text)| (*path, text.as_str())).chain([PARAMETERS]).collect();
        assert_snapshot!(run_in(folder(&files).path(), &["check"]));
    }

    #[test]
    fn the_json_form_has_the_same_errors_in_fields() {
        assert_snapshot!(run(&["check", "cli/tests/fixtures/misspelt", "--format", "json"]), @r#"
        {
          "valid": [],
          "errors": [
            {
              "path": "cli/tests/fixtures/misspelt/prod-requires-mfa/policy.cedar",
              "line": 11,
              "column": 10,
              "policy": "prod-requires-mfa",
              "message": "attribute `mfaa` in context for AWS::SSM::Action::\"ResumeSession\" not found",
              "hint": "did you mean `mfa`?"
            }
          ]
        }
        exit code 1
        "#);
    }

    #[test]
    fn parameters_that_cannot_be_used_are_an_error_with_a_place() {
        let parameters = fs::read_to_string(root().join("policies/parameters.json")).unwrap();
        let parameters =
            parameters.replace("\"networks\": {}", "\"networks\": {\"office\": [\"203.0.113.0/33\"]}");
        let folder = folder(&[("policies/parameters.json", &parameters), ROOT_USER]);
        assert_snapshot!(run_in(folder.path(), &["check"]), @"
        policies/parameters.json:21:27: `networks`: `203.0.113.0/33` is not a CIDR such as `203.0.113.0/24`
        exit code 1
        ");
        assert_snapshot!(run_in(folder.path(), &["check", "--format", "json"]), @r#"
        {
          "valid": [],
          "errors": [
            {
              "path": "policies/parameters.json",
              "line": 21,
              "column": 27,
              "policy": null,
              "message": "`networks`: `203.0.113.0/33` is not a CIDR such as `203.0.113.0/24`",
              "hint": null
            }
          ]
        }
        exit code 1
        "#);
    }

    #[test]
    fn a_policy_that_would_not_be_read_is_an_error() {
        let folder = folder(&[PARAMETERS, ROOT_USER, ("policies/mine/policy.ceder", "")]);
        assert_snapshot!(run_in(folder.path(), &["check"]), @"
        policies/mine: no policy in it
          hint: a policy is a folder with a `policy.cedar`
        exit code 1
        ");
    }

    #[test]
    fn what_is_not_there_cannot_be_checked() {
        assert_snapshot!(run(&["check", "nowhere"]), @"
        stderr: ssm-guard: nowhere/parameters.json: No such file or directory (os error 2)
        exit code 2
        ");
    }
}

mod test {
    use super::*;

    #[test]
    fn the_shipped_policies_pass_their_cases() {
        assert_snapshot!(run(&["test"]), @"
        90 cases passed, 0 failed.
        exit code 0
        ");
    }

    #[test]
    fn what_failed_and_what_has_no_case_is_named() {
        let case = r#"{"record": {"eventName": "StartSession", "requestParameters": {"target": "i-0123456789abcdef0"}}}"#;
        let folder = folder(&[
            PARAMETERS,
            ROOT_USER,
            PERMIT,
            ("policies/root-user/ALLOW/one.json", case),
            ("policies/root-user/DENY/two.json", case),
            ("policies/root-user/DENY/three.json", "{"),
            ("policies/refused-attempt/policy.cedar", "copy of policies/refused-attempt/policy.cedar"),
            ("policies/refused-attempt/ALLOW/one.json", case),
        ]);
        assert_snapshot!(run_in(folder.path(), &["test"]), @"
        FAILED policies/root-user/DENY/three.json
          not a case: EOF while parsing an object at line 1 column 1
        FAILED policies/root-user/DENY/two.json
          expected DENY; violated: none
        UNTESTED refused-attempt
          hint: it needs a case in ALLOW and one in DENY
        2 cases passed, 2 failed.
        exit code 1
        ");
        assert_snapshot!(run_in(folder.path(), &["test", "--format", "json"]), @r#"
        {
          "passed": 2,
          "failed": [
            {
              "path": "policies/root-user/DENY/three.json",
              "policy": "root-user",
              "expected": "DENY",
              "error": "not a case: EOF while parsing an object at line 1 column 1"
            },
            {
              "path": "policies/root-user/DENY/two.json",
              "policy": "root-user",
              "expected": "DENY",
              "error": "expected DENY; violated: none"
            }
          ],
          "untested": [
            "refused-attempt"
          ]
        }
        exit code 1
        "#);
    }

    #[test]
    fn policies_that_are_not_valid_cannot_be_tested() {
        assert_snapshot!(run(&["test", "cli/tests/fixtures/misspelt"]), @r#"
        stderr: ssm-guard: cli/tests/fixtures/misspelt/prod-requires-mfa/policy.cedar:11:10: policy `prod-requires-mfa`: attribute `mfaa` in context for AWS::SSM::Action::"ResumeSession" not found
        stderr:   hint: did you mean `mfa`?
        exit code 2
        "#);
    }
}

mod replay {
    use super::*;

    const FACTS: [&str; 4] = [
        "--targets",
        "cli/tests/fixtures/targets.json",
        "--principals",
        "cli/tests/fixtures/principals.json",
    ];

    fn replay(arguments: &[&str]) -> String {
        run(&[&["replay"], arguments].concat())
    }

    fn replay_in(folder: &Path, arguments: &[&str]) -> String {
        let policies = root().join("policies");
        run_in(folder, &[&["replay", "--policies", policies.to_str().unwrap()], arguments].concat())
    }

    /// A session that violates nothing but what its fields say.
    fn record(id: u32, fields: Value) -> Value {
        let mut record = json!({
            "eventVersion": "1.11", "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
            "eventID": format!("7ad1600d-0000-4000-8000-{id:012}"), "eventTime": "2026-11-23T10:00:00Z",
            "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
            "userIdentity": {"type": "AWSService", "invokedBy": "ecs.amazonaws.com"},
            "requestParameters": {"target": "i-0123456789abcdef0"},
            "responseElements": {"sessionId": format!("alice-{id:017x}")}
        });
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        record
    }

    fn by_root(id: u32) -> Value {
        record(id, json!({"userIdentity": {"type": "Root"}}))
    }

    fn gzip(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        file.write_all(text.as_bytes()).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn the_report_tells_who_what_where_and_why() {
        assert_snapshot!(replay(&[&["cli/tests/fixtures/trail"], FACTS.as_slice()].concat()));
    }

    #[test]
    fn the_json_report_has_the_same_in_fields() {
        let arguments = [&["cli/tests/fixtures/trail", "--format", "json"], FACTS.as_slice()].concat();
        assert_snapshot!(replay(&arguments));
    }

    #[test]
    fn what_was_not_given_is_unknown_and_no_verdict() {
        let day = ["--since", "2026-11-23T09:00:00Z", "--until", "2026-11-23T09:45:00Z"];
        assert_snapshot!(replay(&[&["cli/tests/fixtures/trail"], day.as_slice()].concat()), @"
        Sessions by policy            ended   alerted  not judged  failed
        production-without-reason         0         0           2       0
        target-names-who-may-enter        0         0           2       0
        target-without-tags               0         0           2       0
        unlogged-production               0         0           2       0

        1 file, 7 records, 2 sessions, 0 failed or refused calls: 0 would have been ended, 0 calls alerted; 0 not readable.
        exit code 0
        ");
    }

    #[test]
    fn a_bucket_is_read_whole_and_its_digests_are_not() {
        let folder = TempDir::new().unwrap();
        let account = folder.path().join("bucket/AWSLogs/111122223333");
        for (id, region) in [(1, "eu-west-1"), (2, "us-east-1")] {
            let file = account
                .join(format!("CloudTrail/{region}/2026/11/23/111122223333_CloudTrail_{region}_x.json.gz"));
            gzip(&file, &json!({"Records": [by_root(id)]}).to_string());
        }
        gzip(
            &account.join("CloudTrail-Digest/eu-west-1/2026/11/23/digest.json.gz"),
            "{\"digestS3Bucket\": \"x\"}",
        );
        gzip(&account.join("vpcflowlogs/eu-west-1/2026/11/23/flow.log.gz"), "version account-id\n");
        fs::write(folder.path().join("bucket/README"), "not an archive").unwrap();
        let report = replay_in(folder.path(), &["bucket"]);
        assert_eq!(
            report.lines().rev().take(2).collect::<Vec<_>>(),
            [
                "exit code 1",
                "2 files, 2 records, 2 sessions, 0 failed or refused calls: 2 would have been ended, 2 calls alerted; 0 not readable."
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
        let folder = folder(&[
            ("in/bad-line.ndjson", &format!("{}\n{{\"Records\": [{{\n\n{}\n", by_root(1), by_root(2))),
            ("in/bad-record.json", &record(3, json!({"eventTime": "yesterday"})).to_string()),
            ("in/cut-short.json", &format!("{{\"Records\": [\n{},\n{{\"eventSource\": \"ss", by_root(4))),
            ("in/empty.json", ""),
            ("in/no-record.json", "{\"Reservations\": []}"),
            ("in/not-json.json", "<html>"),
            ("in/not-packed.json.gz", "\u{1f}\u{8b}"),
            ("in/not-text.json", "\u{1f}"),
        ]);
        fs::write(folder.path().join("in/not-packed.json.gz"), [0x1f, 0x8b, 0, 0]).unwrap();
        fs::write(folder.path().join("in/not-text.json"), [b'"', 0xff, b'"', b'\n']).unwrap();
        assert_snapshot!(replay_in(folder.path(), &["in", "nowhere"]));
    }

    #[test]
    fn a_call_that_is_told_twice_counts_once_and_a_correction_replaces_what_it_corrects() {
        let corrected = record(1, json!({}));
        let mut correction = by_root(2);
        correction["responseElements"] = corrected["responseElements"].clone();
        correction["addendum"] = json!({"reason": "UPDATED_DATA", "originalEventID": corrected["eventID"]});
        let lines: Vec<_> = [&corrected, &corrected, &correction, &correction].map(Value::to_string).into();
        let folder = folder(&[("in.ndjson", &lines.join("\n"))]);
        assert_snapshot!(replay_in(folder.path(), &["in.ndjson"]).lines().rev().nth(1).unwrap(), @"1 file, 4 records, 1 session, 0 failed or refused calls: 1 would have been ended, 1 call alerted; 0 not readable.");
    }

    #[test]
    fn nothing_that_a_caller_chose_steers_the_terminal_or_shows_a_secret() {
        let identity = json!({
            "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/x/AKIAIOSFODNN7EXAMPLE\u{1b}[2J",
        });
        let request = json!({"target": "i-0\u{1b}[31m", "documentName": "Team-Shell"});
        let record = record(1, json!({"userIdentity": identity, "requestParameters": request}));
        let folder = folder(&[("in.json", &record.to_string())]);
        assert_snapshot!(replay_in(folder.path(), &["in.json"]).lines().next().unwrap(), @r#"2026-11-23T10:00:00Z StartSession by role x (session "[redacted] [2J") on i-0 [31m: would end it and alert"#);
    }

    #[test]
    fn standard_input_is_read_packed_or_not() {
        let policies = root().join("policies");
        let text = by_root(1).to_string();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        for input in [text.into_bytes(), packed.finish().unwrap()] {
            let mut command = ssm_guard(&policies, &["replay", "-", "--policies", "."]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(&input).unwrap();
            let told = told(&child.wait_with_output().unwrap());
            assert!(told.contains("1 would have been ended"), "{told}");
        }
    }

    /// `ssm-guard replay … | head -1`
    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let mut command = ssm_guard(&root(), &["replay", "cli/tests/fixtures/trail"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
    }

    #[test]
    fn the_guards_own_calls_are_not_judged() {
        let folder = TempDir::new().unwrap();
        let role = |name: &str| {
            json!({
                "type": "AssumedRole", "principalId": format!("AROAEXAMPLE:{name}"),
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{name}/{name}"),
                "sessionContext": {"sessionIssuer": {
                    "type": "Role", "arn": format!("arn:aws:iam::111122223333:role/{name}"), "userName": name
                }}
            })
        };
        let refused = |id, name| {
            record(
                id,
                json!({
                    "eventName": "TerminateSession", "errorCode": "AccessDenied", "userIdentity": role(name),
                    "requestParameters": null, "responseElements": null
                }),
            )
        };
        let records = json!({"Records": [refused(1, "guard"), refused(2, "guard-2")]});
        fs::write(folder.path().join("in.json"), records.to_string()).unwrap();
        for (roles, attempts) in [
            (&[][..], "2 failed or refused calls"),
            (&["guard"], "1 failed or refused call"),
            (&["guard", "guard-2"], "0 failed or refused calls"),
        ] {
            let roles: Vec<_> = roles
                .iter()
                .map(|name| format!("--guard-role=arn:aws:iam::111122223333:role/{name}"))
                .collect();
            let arguments = [vec!["in.json"], roles.iter().map(String::as_str).collect()].concat();
            let report = replay_in(folder.path(), &arguments);
            assert!(report.contains(attempts), "{report}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        assert_snapshot!(replay(&["x.json", "--guard-role", "guard"]), @"
        stderr: error: invalid value 'guard' for '--guard-role <ARN>': not the ARN of a role (arn:aws:iam::111122223333:role/NAME)
        stderr: 
        stderr: For more information, try '--help'.
        exit code 2
        ");
        assert_snapshot!(replay(&["x.json", "--since", "yesterday"]), @"
        stderr: error: invalid value 'yesterday' for '--since <TIME>': neither a day (2026-11-01) nor a time (2026-11-01T08:00:00Z)
        stderr: 
        stderr: For more information, try '--help'.
        exit code 2
        ");
        assert_snapshot!(replay(&["x.json", "--targets", "cli/tests/fixtures/principals.json"]), @"
        stderr: ssm-guard: cli/tests/fixtures/principals.json: invalid type: map, expected a string at line 1 column 50
        exit code 2
        ");
    }
}

mod help {
    use super::*;

    #[test]
    fn the_program_and_its_hardest_command_explain_themselves() {
        assert_snapshot!("program", run(&["--help"]));
        assert_snapshot!("replay", run(&["replay", "--help"]));
    }

    #[test]
    fn there_is_a_manual_page_for_every_command() {
        let folder = TempDir::new().unwrap();
        assert_snapshot!(run_in(folder.path(), &["man", "man1"]), @"exit code 0");
        let mut pages: Vec<_> = fs::read_dir(folder.path().join("man1"))
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        assert_snapshot!(pages.join(" "), @"ssm-guard-check.1 ssm-guard-commands.1 ssm-guard-compile.1 ssm-guard-completions.1 ssm-guard-man.1 ssm-guard-replay.1 ssm-guard-scan.1 ssm-guard-test.1 ssm-guard.1");
    }

    #[test]
    fn every_shell_has_completions() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = run(&["completions", shell]);
            assert!(script.contains("--targets") || script.contains("targets"), "{shell}: {script}");
        }
    }
}

mod scan {
    use super::*;

    const SHADOW: (&str, &str) = (
        "rules/shadow-file-read/rule.yml",
        "title: Password Hashes Are Read\nid: 5a1b7a3c-3c55-4a34-8f5a-0b8f3d1f5c11\nstatus: experimental\n\
         description: Detects reading of the file with password hashes\nauthor: ssm-guard\n\
         tags: [attack.credential-access, attack.t1003.008]\nlogsource: {product: linux, category: process_creation}\n\
         detection:\n  selection: {CommandLine|contains: /etc/shadow}\n  condition: selection\nlevel: high\n",
    );

    const LOG: &str = "Script started on 2026-11-23 12:40:40+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/i-0123456789abcdef0/\
        session/orchestration/alice-0e34861185201706f/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n\
        sh-5.2$ id\r\r\nuid=1001(ssm-user)\r\r\nsh-5.2$ sudo cat /etc/shadow\r\r\nroot:*:19000\r\r\n\
        sh-5.2$ sh -c 'head -1 /etc/shadow'\r\r\nsh-5.2$ exit\r\r\nexit\r\r\n\
        \nScript done on 2026-11-23 12:40:40+00:00 [COMMAND_EXIT_CODE=\"0\"]\n";

    fn logs() -> TempDir {
        folder(&[SHADOW, ("logs/alice-0e34861185201706f.log", LOG), ("logs/notes.txt", "cat /etc/shadow")])
    }

    #[test]
    fn the_report_has_the_commands_and_what_of_them_is_dangerous() {
        assert_snapshot!(run_in(logs().path(), &["scan", "logs"]), @r"
        logs/alice-0e34861185201706f.log: 4 commands, session alice-0e34861185201706f on i-0123456789abcdef0
              2  id
              4  sudo cat /etc/shadow
              6  sh -c 'head -1 /etc/shadow'
              7  exit
          HIGH Password Hashes Are Read [T1003.008], 2 times
              4  sudo cat /etc/shadow
                 run, behind a known prompt; rule shadow-file-read

        1 log, 4 commands, 1 finding.
        exit code 1
        ");
    }

    #[test]
    fn the_json_report_has_the_same_in_fields() {
        assert_snapshot!(run_in(logs().path(), &["scan", "logs", "--format", "json"]));
    }

    #[test]
    fn a_log_without_findings_is_no_failure() {
        let folder = folder(&[SHADOW, ("a.log", "sh-5.2$ id\r\r\nuid=0\r\r\nsh-5.2$ exit\r\r\nexit\r\r\n")]);
        assert_snapshot!(run_in(folder.path(), &["scan", "a.log", "--findings-only"]), @r"
        a.log: 2 commands

        1 log, 2 commands, 0 findings.
        exit code 0
        ");
        assert_snapshot!(run_in(folder.path(), &["scan", "a.log", "nothing.log"]), @r"
        a.log: 2 commands
              1  id
              3  exit

        UNREADABLE nothing.log: No such file or directory (os error 2)
        1 log, 2 commands, 0 findings.
        exit code 2
        ");
    }

    #[test]
    fn the_commands_alone_are_one_after_the_other() {
        assert_snapshot!(run_in(logs().path(), &["commands", "logs/alice-0e34861185201706f.log"]), @r"
        id
        sudo cat /etc/shadow
        sh -c 'head -1 /etc/shadow'
        exit
        exit code 0
        ");
    }

    #[test]
    fn a_log_is_read_from_standard_input_too() {
        let folder = logs();
        let mut command = ssm_guard(folder.path(), &["commands", "-"]);
        command.stdin(File::open(folder.path().join("logs/alice-0e34861185201706f.log")).unwrap());
        let told = told(&command.output().unwrap());
        assert!(told.starts_with("id\nsudo cat /etc/shadow\n"), "{told}");
    }

    #[test]
    fn a_folder_of_rules_is_checked() {
        let broken = (
            "rules/broken/rule.yml",
            "title: Broken\nlogsource: {product: linux}\ndetection:\n  condition: nothing\n",
        );
        let other = (
            "rules/dns.yml",
            "title: Odd Name\nlogsource: {product: linux, category: dns_query}\n\
             detection:\n  selection: {QueryName: x}\n  condition: selection\n",
        );
        assert_snapshot!(run_in(folder(&[SHADOW]).path(), &["check", "rules"]), @r"
        1 rule is supported.
        exit code 0
        ");
        assert_snapshot!(run_in(folder(&[SHADOW, broken, other]).path(), &["check", "rules"]), @r"
        rules/broken/rule.yml: rule `Broken`: `detection.condition`: there is no search `nothing`
          hint: the rule has no search at all
        1 rule is supported.
        1 rule is not, each with its reason above.
        1 rule is about what no log of a session tells:
          linux/dns_query/-: 1
        exit code 1
        ");
    }

    #[test]
    fn evidence_is_run_line_by_line() {
        let good = [
            SHADOW,
            ("rules/shadow-file-read/match/a.txt", "cat /etc/shadow\nenv sudo head /etc/shadow\n"),
            ("rules/shadow-file-read/no-match/a.txt", "cat /etc/passwd\necho /etc/shadow\n"),
        ];
        assert_snapshot!(run_in(folder(&good).path(), &["test", "rules"]), @r"
        4 commands passed, 0 failed.
        exit code 0
        ");
        let wrong = [SHADOW, ("rules/shadow-file-read/match/a.txt", "cat /etc/passwd\n")];
        assert_snapshot!(run_in(folder(&wrong).path(), &["test", "rules"]), @r"
        FAILED rules/shadow-file-read/match/a.txt:1: a match of rules/shadow-file-read/rule.yml was expected
          cat /etc/passwd
        UNTESTED rules/shadow-file-read/rule.yml
          hint: it needs evidence in match and in no-match
        0 commands passed, 1 failed.
        exit code 1
        ");
    }
}
