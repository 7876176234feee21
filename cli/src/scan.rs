//! `ssm-guard scan` and `ssm-guard commands`

use std::error::Error;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use clap::Args;
use detection::Rules;
use indicatif::HumanBytes;
use reading::LogReader;
use serde::Serialize;
use session::policy::Severity;
use session::redact;
use session::transcript::{Finding, Reading};
use transcript::{Command, Confidence, Piece, Reader, ShellKind};

use crate::archive::{self, Unreadable};
use crate::print::counted;
use crate::{Format, Found, Output, print, rules};

/// How many characters of a command are shown to people.
const WIDTH: usize = 300;

#[derive(Args)]
pub(crate) struct Options {
    /// Logs of sessions: files, folders (every `.log` below), or `-`.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// A folder of rules; give it again for more.
    #[arg(long, value_name = "FOLDER", default_value = "rules")]
    rules: Vec<PathBuf>,
    /// Show and count findings from this severity on.
    #[arg(long, value_name = "SEVERITY", default_value = "medium", value_parser = severity)]
    from: Severity,
    /// Leave the commands out, and print the findings alone.
    #[arg(long)]
    findings_only: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(crate) struct CommandsOptions {
    /// The log of a session, or `-`.
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// The whole report, as the JSON form has it.
#[derive(Serialize)]
struct Report {
    logs: Vec<Log>,
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct Log {
    path: String,
    session: Option<String>,
    node: Option<String>,
    bytes: u64,
    lines: u64,
    commands: Vec<Recovered>,
    findings: Vec<Hit>,
    limits: Vec<String>,
}

/// One command, as the JSON form has it.
#[derive(Serialize)]
struct Recovered {
    line: u64,
    prompt: String,
    text: String,
    confidence: &'static str,
    shell: &'static str,
    ran: bool,
    output: Vec<String>,
}

/// One finding, as the JSON form has it.
#[derive(Serialize)]
struct Hit {
    rule: String,
    title: String,
    severity: &'static str,
    techniques: Vec<String>,
    tactics: Vec<String>,
    author: Option<String>,
    runbook: Option<String>,
    count: u64,
    line: Option<u64>,
    text: Option<String>,
    known: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<Found, Box<dyn Error>> {
    let rules = rules::load(&options.rules)?;
    let (files, mut unreadable) = archive::files_with(&options.inputs, |name| name.ends_with(".log"));
    let (mut logs, progress, mut read) = (Vec::new(), print::progress(), 0_u64);
    for (number, file) in files.iter().enumerate() {
        let on_bytes = |bytes: u64| {
            progress.set_message(format!("{} of {} logs, {}", number, files.len(), HumanBytes(read + bytes)));
            progress.tick();
        };
        match scan(file, &rules, options.from, &on_bytes) {
            Ok(log) => {
                read += log.bytes;
                logs.push(log);
            }
            Err(error) => unreadable.push(Unreadable::new(file, None, error)),
        }
    }
    progress.finish_and_clear();
    let report = Report { logs, unreadable };
    match options.output.format {
        Format::Text => print::text(&text(&report, options.findings_only))?,
        Format::Json => print::json(&report)?,
    }
    let found = report.logs.iter().any(|log| !log.findings.is_empty());
    Ok(match (report.unreadable.is_empty(), found) {
        (false, _) => Found::Incomplete,
        (true, false) => Found::Nothing,
        (true, true) => Found::Something,
    })
}

pub(crate) fn commands(options: &CommandsOptions) -> Result<Found, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut see = |piece: Piece<'_>| {
        if let Piece::Command(command) = piece {
            found.push(command);
        }
    };
    let mut reader = Reader::new();
    each_piece(&options.input, &mut |bytes| reader.push(bytes, &mut see))?;
    reader.finish(&mut see);
    match options.output.format {
        Format::Text => {
            for command in found.iter().filter(|command| command.ran) {
                print::text(&redact::plain(&command.text))?;
            }
        }
        Format::Json => print::json(&found.iter().map(Recovered::of).collect::<Vec<_>>())?,
    }
    Ok(Found::Nothing)
}

fn severity(word: &str) -> Result<Severity, String> {
    Severity::parse(word).ok_or_else(|| "informational, low, medium, high or critical".to_owned())
}

fn scan(path: &Path, rules: &Rules, from: Severity, on_bytes: &dyn Fn(u64)) -> io::Result<Log> {
    let mut commands = Vec::new();
    let mut see = |command: &Command| commands.push(Recovered::of(command));
    let (mut log, mut read) = (LogReader::new(rules), 0_u64);
    each_piece(path, &mut |bytes| {
        log.push(bytes, &mut see);
        read += bytes.len() as u64;
        on_bytes(read);
    })?;
    let Reading { bytes, lines, claims, limits, findings, .. } = log.finish(&mut see);
    let findings = findings.into_iter().filter(|finding| finding.severity >= from).map(Hit::of).collect();
    let path = path.display().to_string();
    Ok(Log { path, session: claims.session, node: claims.node, bytes, lines, commands, findings, limits })
}

fn each_piece(path: &Path, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut file = archive::open(path)?;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        see(bytes);
        let length = bytes.len();
        file.consume(length);
    }
}

fn text(report: &Report, findings_only: bool) -> String {
    let mut lines = Vec::new();
    for log in &report.logs {
        let ran = log.commands.iter().filter(|command| command.ran).count();
        let of = match (&log.session, &log.node) {
            (Some(session), Some(node)) => format!(", session {session} on {node}"),
            (Some(session), None) => format!(", session {session}"),
            _ => String::new(),
        };
        lines.push(redact::plain(&format!("{}: {}{of}", log.path, counted(ran, "command", "commands"))));
        if !findings_only {
            lines.extend(log.commands.iter().filter(|command| command.ran).map(Recovered::line));
        }
        lines.extend(log.limits.iter().map(|limit| format!("  not seen: {limit}")));
        lines.extend(log.findings.iter().flat_map(Hit::lines));
        lines.push(String::new());
    }
    lines.extend(report.unreadable.iter().map(|unreadable| format!("UNREADABLE {unreadable}")));
    let findings: usize = report.logs.iter().map(|log| log.findings.len()).sum();
    let commands = report.logs.iter().flat_map(|log| &log.commands).filter(|command| command.ran).count();
    lines.push(format!(
        "{}, {}, {}.",
        counted(report.logs.len(), "log", "logs"),
        counted(commands, "command", "commands"),
        counted(findings, "finding", "findings")
    ));
    lines.join("\n")
}

impl Recovered {
    fn of(command: &Command) -> Self {
        Self {
            line: command.line,
            prompt: command.prompt.clone(),
            text: command.text.clone(),
            confidence: match command.confidence {
                Confidence::Low => "low",
                Confidence::Medium => "medium",
                Confidence::High => "high",
            },
            shell: match command.shell {
                ShellKind::Posix => "posix",
                ShellKind::PowerShell => "powershell",
                ShellKind::Cmd => "cmd",
                ShellKind::Repl => "repl",
                ShellKind::Unknown => "unknown",
            },
            ran: command.ran,
            output: command.output.clone(),
        }
    }

    fn line(&self) -> String {
        format!("{:>7}  {}", self.line, redact::cut(&redact::plain(&self.text), WIDTH))
    }
}

impl Hit {
    fn of(finding: Finding) -> Self {
        let evidence = finding.evidence;
        Self {
            rule: finding.rule,
            title: finding.title,
            severity: finding.severity.as_str(),
            techniques: finding.techniques,
            tactics: finding.tactics,
            author: finding.author,
            runbook: finding.runbook,
            count: finding.count,
            line: evidence.as_ref().map(|evidence| evidence.line),
            known: evidence.as_ref().map(|evidence| evidence.known.clone()),
            text: evidence.map(|evidence| evidence.text),
        }
    }

    fn lines(&self) -> Vec<String> {
        let techniques = match self.techniques.as_slice() {
            [] => String::new(),
            techniques => format!(" [{}]", techniques.join(", ")),
        };
        let times = if self.count == 1 { String::new() } else { format!(", {} times", self.count) };
        let mut lines = vec![format!("  {} {}{techniques}{times}", self.severity.to_uppercase(), self.title)];
        if let (Some(line), Some(text), Some(known)) = (self.line, &self.text, &self.known) {
            lines.push(format!("{line:>7}  {}", redact::cut(&redact::plain(text), WIDTH)));
            lines.push(format!("         {}; rule {}", redact::plain(known), self.rule));
        }
        lines
    }
}
