//! The function on logs: what its rules cost at start, and what a large log takes of time and memory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::aws::Aws;
use crate::event::log_delivery;
use crate::function::{self, Function, Functions, Process, Trust};
use crate::report::{Report, milliseconds, print_table, ratio};
use crate::statistics::{median, percentile};

/// How many times each function is started; the first time is not counted.
const ROUNDS: usize = 31;
/// How many lines of output follow each command of a log.
const OUTPUT_LINES: usize = 60;
/// How large the large log is.
const LARGE: u64 = 400_000_000;
/// The largest log that is promised to be read in the memory of any other.
const HUGE: u64 = 8 << 30;
/// What the function may hold at most.
const MEMORY_LIMIT_KIB: u64 = 64 << 10;

pub(crate) async fn measure(functions: &Functions, report: &mut Report) -> Result<(), String> {
    let all = &functions.logs;
    let rules = e2e::root().join("rules");
    let one = with_one_rule(all, &rules)?;
    let aws = Aws::start().await?;
    let roots = function::roots(&aws)?;
    let trust = Trust::File(&roots);

    let mut starts = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (function, starts) in [all, &one].into_iter().zip(&mut starts) {
            let mut process = Process::start(function, &aws, trust).await?;
            let next = process.next().await?;
            if round > 0 {
                starts.push(next.asked.saturating_duration_since(process.spawned));
            }
        }
    }
    print_starts(rule_folder::rules(&rules).map_err(|error| error.to_string())?.len(), &starts, report);

    let small = serve_log(&aws)?;
    // Each log has a process of its own, so that its peak is of that log alone.
    let small = read(all, &aws, trust, small).await?;
    let large = read(all, &aws, trust, LARGE).await?;
    print_logs(&[small, large], report);
    Ok(())
}

/// One log of 8 GiB, which takes more than a minute, and no more memory than another.
pub(crate) async fn measure_huge(functions: &Functions, report: &mut Report) -> Result<(), String> {
    let aws = Aws::start().await?;
    let roots = function::roots(&aws)?;
    serve_log(&aws)?;
    let huge = read(&functions.logs, &aws, Trust::File(&roots), HUGE).await?;
    print_logs(&[huge], report);
    Ok(())
}

/// Has S3 serve a log, over and over again, and tells how long it is once.
fn serve_log(aws: &Aws) -> Result<u64, String> {
    let evidence = rule_folder::evidence(&e2e::root().join("rules")).map_err(|error| error.to_string())?;
    let log = log(&evidence);
    let length = log.len() as u64;
    aws.serve_log(log);
    Ok(length)
}

/// The same function with the first of the rules: it does not start without any.
fn with_one_rule(function: &Function, rules: &Path) -> Result<Function, String> {
    let failed = |error| format!("{}: {error}", rules.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(rules).map_err(failed)? {
        folders.push(entry.map_err(failed)?.path());
    }
    let first = folders.iter().min().ok_or_else(|| format!("{} is empty", rules.display()))?;
    let index = e2e::target().join("bench").join("one-rule.index");
    fs::write(&index, e2e::package::compile(first)?).map_err(failed)?;
    let mut function = function.clone();
    function.variables.push(("RULES_INDEX", index.display().to_string()));
    Ok(function)
}

/// A part of a log: the commands that the rules must flag, each with output, so that every rule is asked.
fn log(evidence: &[rule_folder::Evidence]) -> Vec<u8> {
    let mut log = String::new();
    let commands =
        evidence.iter().filter(|evidence| evidence.must_match).flat_map(|evidence| evidence.text.lines());
    for (number, command) in commands.enumerate() {
        // Writing to a text does not fail.
        let _ = write!(log, "\u{1b}[?2004hsh-5.2$ {command}\r\r\n\u{1b}[?2004l\r");
        for line in 0..OUTPUT_LINES {
            let _ = write!(
                log,
                "-rw-r--r--  1 app  app  {number:>8} Nov 23 12:{line:02} report-{number}-{line}.json\r\r\n"
            );
        }
    }
    log.into_bytes()
}

/// A log that was read.
#[derive(Clone, Copy, Debug)]
struct LogRead {
    bytes: u64,
    took: Duration,
    /// The most memory that the process held before the log and after it, in KiB.
    idle: u64,
    peak: u64,
}

async fn read(function: &Function, aws: &Aws, trust: Trust<'_>, bytes: u64) -> Result<LogRead, String> {
    let mut process = Process::start(function, aws, trust).await?;
    let next = process.next().await?;
    let idle = process.peak_memory()?;
    aws.take_calls();
    let (delivered, done) = process.invoke(next, &log_delivery(bytes)).await?;
    // What could not be read is not told either: it would have been done as well, and too quickly.
    if !aws.take_calls().iter().any(|call| call.operation == "Publish") {
        return Err(process.failed("did not tell what it found in a log"));
    }
    let took = done.saturating_duration_since(delivered);
    Ok(LogRead { bytes, took, idle, peak: process.peak_memory()? })
}

fn print_starts(rules: usize, starts: &[Vec<Duration>; 2], report: &mut Report) {
    let [all, one] = starts;
    let of = |starts: &[Duration]| median(starts.iter().copied());
    let row = |name: String, starts: &[Duration]| {
        let p90 = percentile(starts.iter().copied(), 90);
        vec![name, milliseconds(of(starts)), milliseconds(p90)]
    };
    let rows = [
        ["ms", "median", "p90"].map(str::to_owned).to_vec(),
        row(format!("with {rules} rules"), all),
        row("with one rule".to_owned(), one),
    ];
    print_table(
        &format!("log-object, spawn to first GET /next, {} starts of each, in turn", all.len()),
        &rows,
    );
    report.at_most("log-object, spawn to first GET /next, times with one rule", ratio(of(all), of(one)), 1.5);
}

fn print_logs(logs: &[LogRead], report: &mut Report) {
    let megabytes = |kibibytes: u64| format!("{:.1}", kibibytes as f64 * 1024.0 / 1e6);
    let mut rows =
        vec![["MB", "ms", "MB/s", "most MB of memory before it", "and after it"].map(str::to_owned).to_vec()];
    for LogRead { bytes, took, idle, peak } in logs {
        let size = *bytes as f64 / 1e6;
        rows.push(vec![
            format!("{size:.1}"),
            milliseconds(*took),
            format!("{:.0}", size / took.as_secs_f64()),
            megabytes(*idle),
            megabytes(*peak),
        ]);
    }
    print_table("log-object, one log, from the delivery to the end of the invocation", &rows);
    let peak = logs.iter().map(|log| log.peak).max().unwrap_or_default();
    report.note(
        peak < MEMORY_LIMIT_KIB,
        format!(
            "log-object, most memory: {} MB, target under {} MB",
            megabytes(peak),
            megabytes(MEMORY_LIMIT_KIB)
        ),
    );
}
