//! The architecture's invariants, which no compiler checks.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use e2e::root;

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap()
}

/// Every file below a folder of the repository whose name ends so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found
}

/// The packages of `shared` that are values and functions from values to values.
const PURE: [&str; 4] = ["session", "transcript", "sigma", "detection"];

/// The pure packages have no dependency, direct or not, that does I/O.
#[test]
fn the_pure_half_stays_pure() {
    let metadata = metadata();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let graph = metadata.resolve.as_ref().unwrap();
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = graph
        .nodes
        .iter()
        .map(|node| {
            let normal = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            (&node.id, normal.map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    let mut open: Vec<_> = names.iter().filter(|(_, name)| PURE.contains(name)).map(|(id, _)| *id).collect();
    assert_eq!(open.len(), PURE.len());
    let mut reached = BTreeSet::new();
    while let Some(package) = open.pop() {
        if reached.insert(package) {
            open.extend(&edges[package]);
        }
    }
    let forbidden = ["tokio", "hyper", "ureq", "reqwest"];
    for name in reached.iter().map(|package| names[package]) {
        let impure = forbidden.contains(&name) || name.starts_with("aws-") || name.starts_with("lambda_");
        assert!(!impure, "a pure package depends on {name}");
    }
}

#[test]
fn the_pure_half_reads_no_clock_environment_file_or_socket() {
    for path in PURE.iter().flat_map(|package| files(&format!("shared/{package}/src"), ".rs")) {
        let text = fs::read_to_string(&path).unwrap();
        // What is only a test may write to the source that it keeps.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for word in [
            "Timestamp::now",
            "SystemTime",
            "Instant::now",
            "env::var",
            "std::fs",
            "std::net::Tcp",
            "println!",
        ] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// Only functions know the Lambda runtime; only `shared/aws` knows the SDK; nothing depends on a function.
#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(&metadata.workspace_root).unwrap();
        let is_function = folder.starts_with("functions") || folder.starts_with("benches");
        for dependency in package.dependencies.iter().map(|dependency| dependency.name.as_str()) {
            let knows_runtime = dependency.starts_with("lambda_") || dependency == "aws_lambda_events";
            assert!(is_function || !knows_runtime, "{} depends on {dependency}", package.name);
            let knows_sdk = dependency.starts_with("aws-");
            assert!(folder == "shared/aws" || !knows_sdk, "{} depends on {dependency}", package.name);
            let is_function = ["session-event", "log-object"].contains(&dependency);
            assert!(!is_function, "{} depends on a function", package.name);
        }
    }
}

#[test]
fn every_package_has_the_workspace_lints() {
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", package.name);
    }
}

/// Each role may do exactly what its function calls, and what is argued here.
#[test]
fn a_role_allows_what_is_called_and_nothing_else() {
    let argued = [
        // A transaction is authorised as what it does.
        ("dynamodb:PutItem", "TransactWriteItems puts the session's record"),
        ("kms:Decrypt", "SNS, S3 and DynamoDB use the customer key for the caller"),
        ("kms:GenerateDataKey", "SNS uses the customer key for the caller"),
        ("logs:CreateLogStream", "Lambda writes the log with the function's role"),
        ("logs:PutLogEvents", "Lambda writes the log with the function's role"),
        ("xray:PutTelemetryRecords", "Lambda sends traces with the function's role"),
        ("xray:PutTraceSegments", "Lambda sends traces with the function's role"),
    ];
    let of_events = [("sqs:SendMessage", "Lambda sends what failed with the function's role")];
    let of_logs = [
        ("s3:GetObjectVersion", "GetObject with a version"),
        ("sns:GetTopicAttributes", "the greeting"),
        ("sqs:DeleteMessage", "Lambda reads the queue with the function's role"),
        ("sqs:GetQueueAttributes", "Lambda reads the queue with the function's role"),
        ("sqs:ReceiveMessage", "Lambda reads the queue with the function's role"),
    ];
    let events = ["alert", "greeting", "ledger", "principal", "ssm", "target"];
    for (role, modules, more) in [
        ("SessionEventRole", &events[..], &of_events[..]),
        ("LogObjectRole", &["alert", "ledger", "log"], &of_logs),
    ] {
        let mut expected: BTreeSet<String> = modules.iter().flat_map(|module| operations(module)).collect();
        assert!(expected.remove("dynamodb:TransactWriteItems"), "the ledger is written in transactions");
        expected.extend(argued.iter().chain(more).map(|(action, _)| (*action).to_owned()));
        assert_eq!(actions(role), expected, "{role}");
    }
    // In other accounts the guard has another role, and in other Regions it ends sessions as itself.
    let elsewhere = BTreeSet::from(["sts:AssumeRole".to_owned(), "ssm:TerminateSession".to_owned()]);
    assert!(elsewhere.is_superset(&operations("accounts")));
    assert_eq!(actions("MemberAccess"), elsewhere);
    let known = ["accounts", "alert", "greeting", "ledger", "log", "principal", "ssm", "target"];
    for path in files("shared/aws/src", ".rs") {
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let calls = !operations_in(&path).is_empty();
        assert!(!calls || known.contains(&module.as_str()), "{module} calls AWS for no role");
    }
}

/// The operations that a module of `shared/aws` calls.
fn operations(module: &str) -> BTreeSet<String> {
    operations_in(&root().join(format!("shared/aws/src/{module}.rs")))
}

fn operations_in(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    let calls = text.split("AwsError::new(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The actions that a role of the template allows.
fn actions(role: &str) -> BTreeSet<String> {
    let template = fs::read_to_string(root().join("infra/guard.yaml")).unwrap();
    let role = template.split(&format!("\n  {role}:\n")).nth(1).unwrap().split("\n  # ----").next().unwrap();
    role.lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| {
            word.split_once(':').is_some_and(|(service, action)| {
                service.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
                    && action.starts_with(char::is_uppercase)
            })
        })
        .map(str::to_owned)
        .collect()
}

/// Every promise in `docs/behaviour.md` is in the doc comment of each test that it names.
#[test]
fn every_promise_has_its_test() {
    let mut comments: BTreeMap<String, String> = BTreeMap::new();
    for path in ["shared", "functions", "cli", "tests"].iter().flat_map(|folder| files(folder, ".rs")) {
        let mut comment = String::new();
        for line in fs::read_to_string(path).unwrap().lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("/// ") {
                comment = format!("{comment} {text}");
            } else if let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) {
                let name = rest.split(['(', '<']).next().unwrap();
                comments.entry(name.to_owned()).or_default().push_str(&comment);
                comment.clear();
            } else if !line.starts_with("#[") {
                comment.clear();
            }
        }
    }
    let text = fs::read_to_string(root().join("docs/behaviour.md")).unwrap();
    let promises: Vec<_> = text.split("\n- **").skip(1).collect();
    assert!(promises.len() >= 10, "{}", promises.len());
    for promise in promises {
        let (sentence, rest) = promise.split_once("**").unwrap();
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        let tests: Vec<_> = rest.split_once("Tests: ").unwrap().1.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{sentence}");
        for test in tests {
            let comment = comments.get(test).unwrap_or_else(|| panic!("there is no test `{test}`"));
            assert!(comment.contains(&sentence), "the comment of `{test}` does not say: {sentence}");
        }
    }
}

/// Every alarm is explained in the runbook, links to its heading there, and is on the dashboard; every error type and log line is
/// explained too.
#[test]
fn the_runbook_is_complete() {
    let runbook = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let template = fs::read_to_string(root().join("infra/guard.yaml")).unwrap();
    let resources: Vec<_> = template.split("\n\n  ").collect();
    let alarms =
        resources.iter().filter_map(|resource| resource.split_once(":\n    Type: AWS::CloudWatch::Alarm\n"));
    let mut count = 0;
    for (resource, properties) in alarms {
        // A comment may stand before the name.
        let resource = resource.rsplit("  ").next().unwrap();
        let alarm =
            properties.split_once("AlarmName: !Sub ${AWS::StackName}-").unwrap().1.lines().next().unwrap();
        assert!(runbook.contains(&format!("### {alarm}\n")), "docs/operations.md has no heading {alarm}");
        assert!(
            properties.contains(&format!("${{RunbookUrl}}#{alarm}\n")),
            "{alarm} links to another heading"
        );
        assert!(template.contains(&format!("\"${{{resource}.Arn}}\"")), "{alarm} is not on the dashboard");
        count += 1;
    }
    assert_eq!(count, template.matches("Type: AWS::CloudWatch::Alarm\n").count());
    for function in ["session-event", "log-object"] {
        let path = root().join(format!("functions/{function}/src/failure.rs"));
        let failures = fs::read_to_string(path).unwrap();
        let kinds = failures.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
        for kind in kinds {
            assert!(runbook.contains(&format!("`{kind}`")), "docs/operations.md does not explain {kind}");
        }
    }
}
