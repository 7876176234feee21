//! `cargo ci`: every check that a change must pass, in the order in which they fail fastest.

use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let steps: [(&str, &[&str]); 4] = [
        ("format", &["fmt", "--all", "--check"]),
        ("lint", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]),
        ("documentation", &["doc", "--workspace", "--no-deps", "--locked"]),
        ("tests", &["test", "--workspace", "--locked"]),
    ];
    for (name, arguments) in steps {
        let started = Instant::now();
        eprintln!("== {name}: cargo {}", arguments.join(" "));
        let status = Command::new("cargo").args(arguments).env("RUSTDOCFLAGS", "--deny warnings").status();
        match status {
            Ok(status) if status.success() => {
                eprintln!("== {name}: ok in {:.0} s", started.elapsed().as_secs_f32());
            }
            Ok(_) => {
                eprintln!("== {name}: failed");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("== {name}: cargo cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
