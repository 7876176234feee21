//! `cargo ci`: every check that a change must pass, in the order in which they fail fastest.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use e2e::{package, root, target, tools};

const CFN_GUARD: &str = "3.2.1";
const TEMPLATE: &str = "infra/guard.yaml";

type Check = fn() -> Result<(), String>;

fn main() -> ExitCode {
    let checks: [(&str, Check); 8] = [
        ("format", || cargo(&["fmt", "--all", "--check"])),
        ("lint", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
        }),
        ("documentation", || cargo(&["doc", "--workspace", "--no-deps", "--locked"])),
        ("templates", templates),
        ("the local stack", stack),
        ("functions", || package::build().map(|_| ())),
        ("tests", || cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])),
        ("policies", policies),
    ];
    let began = Instant::now();
    for (name, check) in checks {
        let started = Instant::now();
        eprintln!("== {name}");
        if let Err(error) = check() {
            eprintln!("{error}\n== {name}: failed");
            return ExitCode::FAILURE;
        }
        eprintln!("== {name}: ok in {:.0} s", started.elapsed().as_secs_f32());
    }
    eprintln!("== all of it: ok in {:.0} s", began.elapsed().as_secs_f32());
    ExitCode::SUCCESS
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    let mut command = tools::cargo();
    command.args(arguments).env("RUSTDOCFLAGS", "--deny warnings");
    let status = command.status().map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {}: {status}", arguments.join(" "))) }
}

fn templates() -> Result<(), String> {
    let sam = tools::python("infra/requirements-sam.txt")?;
    checked(&sam.with_file_name("sam"), &["validate", "--lint", "--template", TEMPLATE])?;
    checked(&sam.with_file_name("cfn-lint"), &["--include-checks", "I", "--", TEMPLATE])?;
    let checkov = tools::python("infra/requirements-checkov.txt")?;
    let framework = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download"];
    checked(&checkov.with_file_name("checkov"), &[&["--file", TEMPLATE], &framework[..]].concat())?;
    let guard = tools::cargo_program("cfn-guard", CFN_GUARD, &[])?;
    checked(
        &guard,
        &["validate", "--data", TEMPLATE, "--rules", "infra/rules.guard", "--show-summary", "fail"],
    )?;
    checked(&guard, &["test", "--rules-file", "infra/rules.guard", "--test-data", "infra/rules_tests.yaml"])
}

/// With the command line that the tests have just built.
fn policies() -> Result<(), String> {
    let guard = target().join("debug/ssm-guard");
    checked(&guard, &["check", "policies"])?;
    checked(&guard, &["test", "policies"])
}

fn stack() -> Result<(), String> {
    let python = tools::python("tests/stack/requirements.txt")?;
    let mut command = Command::new(python);
    command.args(["-m", "unittest", "--quiet"]).current_dir(root().join("tests/stack"));
    tools::run(&mut command, "python -m unittest")
}

fn checked(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_DEFAULT_REGION", "eu-west-1");
    tools::run(&mut command, &format!("{name} {}", arguments.join(" ")))
}
