//! One log of a session, from its bytes to what was found in it: `transcript` recovers the commands, `detection` judges
//! them, and what is told of both is put into the words of [`session::transcript`].
//!
//! The function that reads logs and the command line read with this same code, so that `ssm-guard scan` on a file says what an
//! alert would have said. A reading that has to stop goes on later from a [checkpoint](LogReader::checkpoint).

use detection::{Findings, Options, Rules, Scan, Seen};
use serde::{Deserialize, Serialize};
use session::policy::Severity;
use session::transcript::{Claims, Evidence, Finding, Reading};
use transcript::{Checkpoint, Command, Confidence, Coverage, Piece, Reader, Summary};

/// The longest text of a checkpoint, in bytes: with what else is kept of a log it must fit into one item of a DynamoDB table,
/// which takes 400 KB.
pub const CHECKPOINT_LIMIT: usize = 300_000;

/// A log that is being read.
#[derive(Debug)]
pub struct LogReader<'r> {
    reader: Reader,
    scan: Scan<'r>,
}

/// Why a reading cannot go on from where another one came to.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not one of a checkpoint.
    #[error("the checkpoint cannot be read: {0}")]
    Text(#[from] serde_json::Error),
    /// The recovered commands.
    #[error(transparent)]
    Reader(#[from] transcript::CheckpointError),
    /// What was found.
    #[error(transparent)]
    Scan(#[from] detection::CheckpointError),
}

#[derive(Serialize, Deserialize)]
struct Kept {
    reader: String,
    scan: String,
}

impl<'r> LogReader<'r> {
    /// A reader at the first byte of a log.
    pub fn new(rules: &'r Rules) -> Self {
        Self { reader: Reader::new(), scan: Scan::new(rules, Options::default()) }
    }

    /// A reader that goes on where another one came to, and the byte at which it does.
    pub fn resume(rules: &'r Rules, checkpoint: &str) -> Result<(Self, u64), CheckpointError> {
        let kept: Kept = serde_json::from_str(checkpoint)?;
        let checkpoint = Checkpoint::from_json(&kept.reader)?;
        let reader = Reader::resume(&checkpoint)?;
        let scan = Scan::resume(rules, Options::default(), &kept.scan)?;
        Ok((Self { reader, scan }, checkpoint.offset()))
    }

    /// Reads the next bytes; `see` is shown each command.
    pub fn push(&mut self, bytes: &[u8], see: &mut dyn FnMut(&Command)) {
        let scan = &mut self.scan;
        self.reader.push(bytes, &mut |piece| judge(scan, piece, see));
    }

    /// Where another reader can go on; `None` where nothing can be kept, or too much would have to be. Who runs the session
    /// can bring that about, so nothing may depend on a checkpoint but the time that the next reading takes.
    pub fn checkpoint(&self) -> Result<Option<String>, CheckpointError> {
        let Some(reader) = self.reader.checkpoint() else { return Ok(None) };
        let kept = Kept { reader: reader.to_json()?, scan: self.scan.checkpoint()? };
        Ok(Some(serde_json::to_string(&kept)?).filter(|text| text.len() <= CHECKPOINT_LIMIT))
    }

    /// Ends the log and tells what was found.
    pub fn finish(self, see: &mut dyn FnMut(&Command)) -> Reading {
        let Self { reader, mut scan } = self;
        let summary = reader.finish(&mut |piece| judge(&mut scan, piece, see));
        let findings = scan.finish(&summary.coverage);
        reading(&summary, findings)
    }
}

fn judge(scan: &mut Scan<'_>, piece: Piece<'_>, see: &mut dyn FnMut(&Command)) {
    match piece {
        Piece::Command(command) => {
            see(&command);
            scan.command(&command);
        }
        Piece::Output(output) => scan.output(&output),
    }
}

fn reading(summary: &Summary, findings: Findings) -> Reading {
    let header = summary.header.as_ref();
    let unseen = hidden(summary.coverage.hidden_by_alternate_screen)
        .into_iter()
        .chain(not_taken_apart(findings.counts.cut))
        .chain(no_session(header.is_none() && findings.counts.commands == 0))
        .collect::<Vec<_>>();
    Reading {
        bytes: summary.bytes,
        lines: summary.lines,
        commands: findings.counts.commands,
        claims: Claims {
            node: header.and_then(|header| header.instance_id.clone()),
            session: header.and_then(|header| header.session_id.clone()),
        },
        limits: limits(&summary.coverage, &findings),
        findings: findings.findings.into_iter().map(finding).chain(unseen).collect(),
    }
}

/// What is run within a full-screen program (tmux, an alternate screen that was entered by hand) leaves no command lines. It is
/// told, so that blinding the reader does not blind the guard.
fn hidden(count: u64) -> Option<Finding> {
    let rule = "commands-in-full-screen-program";
    unseen(count, rule, "Commands Were Run Where the Log Does Not Show Them", "T1564")
}

/// Two thousand empty commands before another one keep it from being judged. Nobody types that, so it is told.
fn not_taken_apart(count: u64) -> Option<Finding> {
    unseen(
        count,
        "command-not-taken-apart",
        "A Command Was Too Long or Too Nested to Be Judged Whole",
        "T1027",
    )
}

/// Packed, in another encoding or empty: what stands under a session's name is not what the agent writes.
fn no_session(is_none: bool) -> Option<Finding> {
    let rule = "log-without-session";
    unseen(u64::from(is_none), rule, "A Log Without a Session's First Line and Without a Command", "T1027")
}

fn unseen(count: u64, rule: &str, title: &str, technique: &str) -> Option<Finding> {
    (count > 0).then(|| Finding {
        rule: rule.to_owned(),
        title: title.to_owned(),
        severity: Severity::Medium,
        techniques: vec![technique.to_owned()],
        tactics: vec!["stealth".to_owned()],
        author: Some("ssm-guard".to_owned()),
        runbook: Some(format!("docs/rules.md#{rule}")),
        count,
        evidence: None,
    })
}

fn finding(finding: detection::Finding) -> Finding {
    let detection::Finding { rule, level, count, seen, first } = finding;
    let (techniques, tactics) = attack(&rule.tags);
    let how = match (seen, first.confidence) {
        (Seen::Shown, _) => "seen in output: perhaps run where no prompt was recognised".to_owned(),
        (Seen::Run, Confidence::High) => "run, marked by the shell".to_owned(),
        (Seen::Run, Confidence::Medium) => "run, behind a known prompt".to_owned(),
        (Seen::Run, Confidence::Low) => "probably run".to_owned(),
    };
    let known = match first.unwrapped_from.as_slice() {
        [] => how,
        carriers => format!("{how}; within {}: {}", carriers.join(", "), first.matched),
    };
    Finding {
        rule: rule_name(&rule.path, rule.id.as_deref(), &rule.title),
        title: rule.title,
        severity: severity(level),
        techniques,
        tactics,
        author: Some(rule.author).filter(|author| !author.is_empty()),
        runbook: rule.runbook,
        count,
        evidence: Some(Evidence { text: first.command, line: first.line, known }),
    }
}

/// A shipped rule is known by its folder, what is no file by its name, any other by its id.
fn rule_name(path: &str, id: Option<&str>, title: &str) -> String {
    let mut parts = path.rsplit('/');
    let (file, folder) = (parts.next(), parts.next());
    match (file, folder, id) {
        (Some("rule.yml"), Some(folder), _) => folder.to_owned(),
        (Some(name), None, None) if !name.contains('.') => name.to_owned(),
        (_, _, Some(id)) => id.to_owned(),
        _ => title.to_owned(),
    }
}

/// Sigma's tags of ATT&CK, as techniques (`T1552.001`) and tactics (`credential-access`).
fn attack(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let words = tags.iter().filter_map(|tag| tag.strip_prefix("attack."));
    let is_technique = |word: &str| {
        word.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (techniques, tactics): (Vec<&str>, Vec<&str>) = words.partition(|word| is_technique(word));
    (
        techniques.into_iter().map(str::to_uppercase).collect(),
        tactics.into_iter().map(|tactic| tactic.replace('_', "-")).collect(),
    )
}

fn severity(level: detection::Level) -> Severity {
    match level {
        detection::Level::Informational => Severity::Informational,
        detection::Level::Low => Severity::Low,
        detection::Level::Medium => Severity::Medium,
        detection::Level::High => Severity::High,
        detection::Level::Critical => Severity::Critical,
    }
}

/// What the reader must not take for seen, in words.
fn limits(coverage: &Coverage, findings: &Findings) -> Vec<String> {
    [
        (coverage.silent, "prompts after which something was done that was not shown"),
        (coverage.echo_off, "commands that turn the echo off"),
        (coverage.hidden_by_alternate_screen, "commands within a full-screen program that hides them"),
        (coverage.unterminated, "control sequences without an end"),
        (coverage.abandoned, "commands too tangled to recover"),
        (coverage.cut_lines, "lines too long to be kept whole"),
        (coverage.outside_marks, "prompts outside the marks of a shell that marks them"),
        (coverage.overdrawn, "commands that something was drawn over"),
        (coverage.promptless, "commands that leave the shell without a prompt"),
        (findings.counts.cut, "commands too long or too deeply nested to be taken apart"),
        (findings.counts.output_lines_left, "lines of output that were too many to be looked at"),
        (findings.counts.findings_left, "findings that were too many to be kept"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: &str = "
title: Password Hashes Are Read
id: 5a1b7a3c-3c55-4a34-8f5a-0b8f3d1f5c11
status: experimental
description: Detects reading of the file with password hashes
author: ssm-guard
tags: [attack.credential-access, attack.t1003.008]
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine|contains: /etc/shadow}
  condition: selection
level: high
";

    const LOG: &str = "Script started on 2026-11-23 12:40:40+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/i-0123456789abcdef0/session/orchestration/alice-0e34861185201706f/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n\
        sh-5.2$ id\r\r\nuid=1001(ssm-user)\r\r\nsh-5.2$ sudo cat /etc/shadow\r\r\nroot:*:19000\r\r\nsh-5.2$ exit\r\r\nexit\r\r\n\
        \nScript done on 2026-11-23 12:40:40+00:00 [COMMAND_EXIT_CODE=\"0\"]\n";

    fn rules() -> Rules {
        let loaded = Rules::load([("rules/shadow-file-read/rule.yml", RULE)]);
        assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
        loaded.rules
    }

    #[test]
    fn a_log_is_read_into_what_is_told() {
        let rules = rules();
        let mut log = LogReader::new(&rules);
        let mut commands = Vec::new();
        log.push(LOG.as_bytes(), &mut |command| commands.push(command.text.clone()));
        let reading = log.finish(&mut |command| commands.push(command.text.clone()));
        assert_eq!(commands, ["id", "sudo cat /etc/shadow", "exit"]);
        assert_eq!(reading.claims.node.as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(reading.claims.session.as_deref(), Some("alice-0e34861185201706f"));
        let [finding] = reading.findings.as_slice() else { panic!("{:?}", reading.findings) };
        assert_eq!((finding.rule.as_str(), finding.severity), ("shadow-file-read", Severity::High));
        assert_eq!(
            (finding.techniques.as_slice(), finding.tactics.as_slice()),
            (&["T1003.008".to_owned()][..], &["credential-access".to_owned()][..])
        );
        assert_eq!(finding.evidence.as_ref().unwrap().text, "sudo cat /etc/shadow");
    }

    /// A log cannot make its own checkpoint so long that the ledger refuses it.
    #[test]
    fn a_checkpoint_that_is_too_long_is_not_kept() {
        let rules: Vec<_> = (0..200)
            .map(|number| {
                let id = format!("5a1b7a3c-3c55-4a34-8f5a-0b8f3d1f{number:04}");
                let rule = RULE.replace("5a1b7a3c-3c55-4a34-8f5a-0b8f3d1f5c11", &id);
                (format!("rules/{number}/rule.yml"), rule)
            })
            .collect();
        let rules = Rules::load(rules.iter().map(|(path, text)| (path.as_str(), text.as_str()))).rules;
        assert_eq!(rules.len(), 200);
        let checkpoint = |command: &str| {
            let mut log = LogReader::new(&rules);
            let text = format!("sh-5.2$ {command}\r\r\nsh-5.2$ id\r\r\nuid=0\r\r\nsh-5.2$ id\r\r\n");
            log.push(text.as_bytes(), &mut |_| {});
            log.checkpoint().unwrap()
        };
        assert!(checkpoint("cat /etc/shadow").is_some());
        // Every rule keeps the command, and a quote is written with a backslash each time it is wrapped.
        assert_eq!(checkpoint(&format!("cat /etc/shadow '{}'", "\"".repeat(400))), None);
    }

    #[test]
    fn what_a_full_screen_program_hides_is_told() {
        assert_eq!(hidden(0), None);
        let told = hidden(3).unwrap();
        assert_eq!((told.severity, told.count), (Severity::Medium, 3));
    }

    /// What is put behind more commands than are judged is not lost in silence.
    #[test]
    fn a_command_that_is_not_taken_apart_is_told() {
        let rules = rules();
        for (before, expected) in [(10, "shadow-file-read"), (2_001, "command-not-taken-apart")] {
            let mut log = LogReader::new(&rules);
            let text = format!("sh-5.2$ {}cat /etc/sha''dow\r\r\nsh-5.2$ exit\r\r\n", ":;".repeat(before));
            log.push(text.as_bytes(), &mut |_| {});
            let found: Vec<_> =
                log.finish(&mut |_| {}).findings.into_iter().map(|finding| finding.rule).collect();
            assert_eq!(found, [expected], "{before}");
        }
    }

    /// What stands under a session's name and is no log of one hides what was run as well as a log that is missing.
    #[test]
    fn what_is_no_log_of_a_session_is_told() {
        let rules = rules();
        let utf16: Vec<u8> = LOG.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, expected) in [
            (&b""[..], vec!["log-without-session"]),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xbd\x07\x60", vec!["log-without-session"]),
            (&utf16, vec!["log-without-session"]),
            (b"sh-5.2$ id\r\r\nuid=0\r\r\nsh-5.2$ exit\r\r\n", vec![]),
        ] {
            let mut log = LogReader::new(&rules);
            log.push(bytes, &mut |_| {});
            let found: Vec<_> =
                log.finish(&mut |_| {}).findings.into_iter().map(|finding| finding.rule).collect();
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn rules_are_known_by_their_folder_or_id() {
        for (path, id, expected) in [
            ("rules/history-cleared/rule.yml", Some("5a1b"), "history-cleared"),
            ("sigma/linux/lnx_shell.yml", Some("5a1b"), "5a1b"),
            ("mine.yml", None, "Title"),
            ("discovery-burst", None, "discovery-burst"),
        ] {
            assert_eq!(rule_name(path, id, "Title"), expected);
        }
    }

    proptest! {
        /// A log of any size is read to its end: wherever a reading stops, another one goes on to the same end.
        #[test]
        fn a_reading_that_stops_goes_on_to_the_same_end(stop in 0..LOG.len()) {
            let rules = rules();
            let mut whole = LogReader::new(&rules);
            whole.push(LOG.as_bytes(), &mut |_| {});
            let whole = whole.finish(&mut |_| {});
            let mut first = LogReader::new(&rules);
            first.push(&LOG.as_bytes()[..stop], &mut |_| {});
            if let Some(checkpoint) = first.checkpoint().unwrap() {
                let (mut second, offset) = LogReader::resume(&rules, &checkpoint).unwrap();
                let offset = usize::try_from(offset).unwrap();
                prop_assert!(offset <= stop);
                second.push(&LOG.as_bytes()[offset..], &mut |_| {});
                prop_assert_eq!(second.finish(&mut |_| {}), whole);
            }
        }
    }
}
