//! Speed and memory, each beside what `grep` takes for the same bytes in the same run.
//!
//! Times are processor time, of this process and of grep, so that a busy machine does not change the ratio.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use detection::{Options, Rules, Scan, TELLING};
use transcript::{Coverage, Piece, Reader, ShellKind};

use crate::corpus::Record;
use crate::score;

/// Clock ticks a second in `/proc`: the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// How long each measurement runs at least.
const LEAST: Duration = Duration::from_secs(2);

/// How much grep reads at least: less would be too quick to measure.
const GREP_BYTES: usize = 32 << 20;

/// How much of a log one measurement reads.
const LOG_BYTES: usize = 256 << 20;

/// Measures: commands a second through the rules, and bytes a second from a log to its findings.
pub(crate) fn measure(
    rules: &Rules,
    files: &[(String, String)],
    malicious: &[Record],
    benign: &[Record],
) -> Result<(), String> {
    println!("\nspeed, one core");
    let resident = memory("VmRSS:");
    let started = processor_time();
    let loaded = Rules::load(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    println!(
        "  loading {} rules from YAML: {:.1} ms, {:.1} MiB",
        loaded.rules.len(),
        1000.0 * (processor_time() - started),
        memory("VmRSS:") - resident
    );
    drop(loaded);
    commands(rules, files, malicious, benign)?;
    log("output-heavy log", rules, &output_heavy(benign))?;
    log("log of commands and short output", rules, &interactive(benign))?;
    Ok(())
}

fn commands(
    rules: &Rules,
    files: &[(String, String)],
    malicious: &[Record],
    benign: &[Record],
) -> Result<(), String> {
    for (name, records) in [("benign", benign), ("malicious", malicious)] {
        let lines: Vec<&String> =
            records.iter().filter(|record| !record.windows).flat_map(|record| &record.lines).collect();
        let commands: Vec<transcript::Command> =
            lines.iter().map(|line| score::command(ShellKind::Posix, line, 1)).collect();
        let started = processor_time();
        let mut judged = 0_u64;
        let mut simple = 0_u64;
        while processor_time() - started < LEAST.as_secs_f64() {
            let mut scan = Scan::new(rules, Options::default());
            for command in &commands {
                scan.command(command);
            }
            let findings = scan.finish(&Coverage::default());
            judged += findings.counts.commands;
            simple += findings.counts.simple_commands;
        }
        let seconds = processor_time() - started;
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        let rounds = judged as f64 / commands.len().max(1) as f64;
        let each = seconds / rounds;
        let literals = literals(files);
        let text: Vec<u8> = lines.iter().flat_map(|line| line.bytes().chain([b'\n'])).collect();
        let grep = grep(&literals, &text, GREP_BYTES)?;
        println!(
            "  {name} commands: {:.0} command lines/s, {:.0} simple commands/s, {:.2} MB/s; grep -i -F with {} literals of the rules: {:.3} times our time",
            judged as f64 / seconds,
            simple as f64 / seconds,
            bytes as f64 * rounds / seconds / 1e6,
            literals.len(),
            grep / each,
        );
    }
    Ok(())
}

/// A log that is mostly output, from bytes to findings.
fn log(name: &str, rules: &Rules, part: &[u8]) -> Result<(), String> {
    let resident = begin_peak();
    let started = processor_time();
    let mut scan = Scan::new(rules, Options::default());
    let mut see = |piece: Piece<'_>| match piece {
        Piece::Command(command) => scan.command(&command),
        Piece::Output(output) => scan.output(&output),
    };
    let mut reader = Reader::new();
    let mut bytes = 0_usize;
    while bytes < LOG_BYTES && (bytes == 0 || processor_time() - started < 5.0 * LEAST.as_secs_f64()) {
        for block in part.chunks(64 << 10) {
            reader.push(block, &mut see);
            bytes += block.len();
        }
    }
    let summary = reader.finish(&mut see);
    let findings = scan.finish(&summary.coverage);
    let seconds = processor_time() - started;
    let peak = memory("VmHWM:");
    let literals: Vec<String> = TELLING.map(str::to_owned).to_vec();
    let grep = grep(&literals, part, bytes)? * bytes as f64 / part.len().max(1) as f64;
    println!(
        "  {name}: {:.0} MB/s over {} MB with {} commands, {} findings, at most {peak:.1} MiB, of them {resident:.1} before (corpus, rules and the log itself); grep -i -F with {} literals: {:.1} times our time",
        bytes as f64 / seconds / 1e6,
        bytes / 1_000_000,
        findings.counts.commands,
        findings.findings.len(),
        literals.len(),
        grep / seconds,
    );
    Ok(())
}

/// Prompts and commands with much output between them, as the agent uploads it.
fn output_heavy(benign: &[Record]) -> Vec<u8> {
    transcript_of(benign, 400, 600)
}

fn interactive(benign: &[Record]) -> Vec<u8> {
    transcript_of(benign, 4_000, 4)
}

fn transcript_of(benign: &[Record], commands: usize, lines: usize) -> Vec<u8> {
    let mut log = Vec::new();
    let plain = benign.iter().filter(|record| !record.windows && record.kind == "plain");
    let texts = plain.flat_map(|record| &record.lines).filter(|line| line.len() < 60 && !line.contains('\n'));
    for (number, text) in texts.take(commands).enumerate() {
        log.extend_from_slice(format!("\u{1b}[?2004hsh-5.2$ {text}\r\r\n\u{1b}[?2004l\r").as_bytes());
        for line in 0..lines {
            let size = (number * 7919 + line * 104_729) % 999_983;
            log.extend_from_slice(
                format!(
                    "-rw-r--r--  1 app  app  {size:>8} Nov 23 12:{:02} report-{number}-{line}.json\r\r\n",
                    line % 60
                )
                .as_bytes(),
            );
        }
    }
    log
}

/// The texts that stand in the rules' detections: what grep is asked to look for.
fn literals(files: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, text) in files {
        let mut in_detection = false;
        for line in text.lines() {
            if !line.starts_with([' ', '-']) {
                in_detection = line.starts_with("detection:");
            }
            let value = line.trim().trim_start_matches("- ");
            let value = value.split_once(": ").map_or(value, |(_, value)| value).trim();
            let is_quoted = value.len() > 4 && value.starts_with(['\'', '"']) && value.ends_with(['\'', '"']);
            if in_detection && is_quoted {
                found.push(value.trim_matches(['\'', '"', '*']).to_owned());
            }
        }
    }
    found.retain(|text| text.len() > 2);
    found.sort();
    found.dedup();
    found
}

/// How long grep takes for a text, the mean of as many times as make up enough bytes. The literals are given in a file, the text on its input.
fn grep(literals: &[String], text: &[u8], least: usize) -> Result<f64, String> {
    let problem = |error: std::io::Error| format!("grep: {error}");
    let folder = std::env::temp_dir().join(format!("bench-detection-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(problem)?;
    let patterns = folder.join("literals");
    std::fs::write(&patterns, literals.join("\n")).map_err(problem)?;
    let before = children_time();
    let rounds = least.div_ceil(text.len().max(1));
    run_grep(&patterns, text, rounds).map_err(problem)?;
    let seconds = (children_time() - before) / rounds as f64;
    std::fs::remove_dir_all(&folder).map_err(problem)?;
    Ok(seconds)
}

fn run_grep(patterns: &Path, text: &[u8], rounds: usize) -> std::io::Result<()> {
    let mut grep = Command::new("grep")
        .args(["-a", "-c", "-i", "-F", "-f"])
        .arg(patterns)
        .stdin(Stdio::piped())
        // Into a file that is nothing grep would stop at the first match.
        .stdout(Stdio::piped())
        .env("LC_ALL", "C")
        .spawn()?;
    if let Some(mut input) = grep.stdin.take() {
        for _ in 0..rounds {
            input.write_all(text)?;
        }
    }
    grep.wait_with_output()?;
    Ok(())
}

/// Seconds that this process has had a processor.
fn processor_time() -> f64 {
    let statistics = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Seconds of processor time of the children that have ended.
fn children_time() -> f64 {
    let statistics = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold blanks; user and system time of children are the 14th and 15th field after it.
    let after_name = statistics.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| {
        after_name.split_whitespace().nth(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (ticks(13) + ticks(14)) / TICKS
}

/// A figure of this process's memory, in MiB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// Makes the peak of memory begin anew, and tells what is in use.
fn begin_peak() -> f64 {
    // Where that is not allowed, the peak is that of the whole process, which is no less.
    std::fs::write("/proc/self/clear_refs", "5").ok();
    memory("VmRSS:")
}
