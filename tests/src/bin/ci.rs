//! `cargo ci`: every check that a change must pass, in the order in which they fail fastest.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use e2e::{package, root, target, tools};

const CFN_GUARD: &str = "3.2.1";
const GUARD: &str = "infra/guard.yaml";
/// The environment that is guarded.
const ENVIRONMENT: [&str; 7] = [
    "infra/network.yaml",
    "infra/instances.yaml",
    "infra/access.yaml",
    "infra/logging.yaml",
    "infra/trail.yaml",
    "infra/member.yaml",
    "infra/environment.yaml",
];

type Check = fn() -> Result<(), String>;

fn main() -> ExitCode {
    let checks: [(&str, Check); 10] = [
        ("format", || cargo(&["fmt", "--all", "--check"])),
        ("lint", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
        }),
        ("fuzz targets", || {
            let fuzz = ["clippy", "--manifest-path", "fuzz/Cargo.toml", "--locked", "--target-dir", "target"];
            cargo(&[&fuzz[..], &["--", "--deny", "warnings"]].concat())
        }),
        ("documentation", || cargo(&["doc", "--workspace", "--no-deps", "--locked"])),
        ("templates", templates),
        ("the local stack", stack),
        ("access", access),
        ("functions", || package::build().map(|_| ())),
        ("tests", || cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])),
        ("policies and rules", cases),
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
    let checkov = tools::python("infra/requirements-checkov.txt")?.with_file_name("checkov");
    let all: Vec<&str> = std::iter::once(GUARD).chain(ENVIRONMENT).collect();
    for template in &all {
        checked(&sam.with_file_name("sam"), &["validate", "--lint", "--template", template])?;
    }
    checked(&sam.with_file_name("cfn-lint"), &[&["--include-checks", "I", "--"], &all[..]].concat())?;
    let files: Vec<&str> = all.iter().flat_map(|template| ["--file", *template]).collect();
    let framework = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download"];
    checked(&checkov, &[&files[..], &framework[..]].concat())?;
    held_to(&[GUARD], "infra/rules.guard", "infra/rules_tests.yaml")?;
    held_to(&ENVIRONMENT, "infra/environment.guard", "infra/environment_tests.yaml")
}

/// Templates that pass rules, and rules that can fail.
fn held_to(templates: &[&str], rules: &str, tests: &str) -> Result<(), String> {
    let guard = tools::cargo_program("cfn-guard", CFN_GUARD, &[])?;
    let end = ["--rules", rules, "--show-summary", "fail"];
    checked(&guard, &[&["validate", "--data"], templates, &end].concat())?;
    checked(&guard, &["test", "--rules-file", rules, "--test-data", tests])
}

/// What the policies of the environment allow and refuse: evaluated offline, and on the local stack.
fn access() -> Result<(), String> {
    let folder = root().join("tests/access");
    let node = tools::python("tests/access/requirements.txt")?;
    let bin = node.parent().unwrap_or(&node);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path)));
    let path = path.map_err(|error| format!("PATH: {error}"))?;
    let in_folder = |program: &Path, arguments: &[&str]| {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&folder).env("PATH", &path);
        tools::run(&mut command, &format!("{name} {}", arguments.join(" ")))
    };
    in_folder(&node.with_file_name("npm"), &["ci"])?;
    in_folder(&node.with_file_name("node"), &["--test"])?;
    let python = tools::python("tests/stack/requirements.txt")?;
    in_folder(&python, &["-m", "unittest", "--quiet", "test_deployed"])
}

/// With the command line that the tests have just built.
fn cases() -> Result<(), String> {
    let guard = target().join("debug/ssm-guard");
    for folder in ["policies", "rules"] {
        checked(&guard, &["check", folder])?;
        checked(&guard, &["test", folder])?;
    }
    Ok(())
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
