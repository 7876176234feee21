//! `cargo bench-guard`: what the guard costs, as ratios to a function that does nothing and to one in Python.
//!
//! The release binaries run as Lambda runs them: this process is their Runtime API and their AWS, on 127.0.0.1, over
//! TLS. It prints medians and whether the targets are met, and fails only when it could not measure: a shared machine
//! is no judge of milliseconds.
//!
//! `cargo bench-guard cold warm decision log size` picks what is measured; without a name all of it is, but `huge`: a log of
//! 8 GiB takes more than a minute.

mod aws;
mod cold;
mod decision;
mod event;
mod function;
mod log;
mod machine;
mod report;
mod runtime_api;
mod size;
mod statistics;
mod warm;

use std::process::ExitCode;

use tokio::task::LocalSet;

use crate::function::Functions;
use crate::report::Report;

const MEASURES: [&str; 6] = ["cold", "decision", "warm", "log", "huge", "size"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // What callgrind runs.
        ["decide", count] => decision::decide(count),
        names => match names.iter().find(|name| !MEASURES.contains(name)) {
            Some(name) => Err(format!("`{name}` is none of {}", MEASURES.join(", "))),
            None => LocalSet::new().run_until(measure(names)).await,
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(names: &[&str]) -> Result<(), String> {
    let is_asked = |name| names.is_empty() || names.contains(&name);
    let functions = Functions::build()?;
    let mut report = Report::default();
    println!("{}", machine::describe()?);
    if is_asked("cold") {
        cold::measure(&functions, &mut report).await?;
    }
    if is_asked("decision") {
        decision::measure(&mut report)?;
    }
    if is_asked("warm") {
        warm::measure(&functions, &mut report).await?;
    }
    if is_asked("log") {
        log::measure(&functions, &mut report).await?;
    }
    if names.contains(&"huge") {
        log::measure_huge(&functions, &mut report).await?;
    }
    if is_asked("size") {
        size::measure(&functions)?;
    }
    report.print_targets();
    println!("{}", machine::load()?);
    Ok(())
}
