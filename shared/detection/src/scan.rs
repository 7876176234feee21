//! A session's commands and output, judged one after the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sigma::{Event, Level};
use transcript::{Command, Confidence, Coverage, Output};

use crate::discovery::{BURST, Discovery};
use crate::event::{self, Log};
use crate::output::{self, LINE_LIMIT};
use crate::rules::{Asking, RuleId, Rules};
use crate::shell::{self, Dialect, Known};

/// How many bytes of a command are kept as evidence.
pub const TEXT_KEPT: usize = 300;

/// How many findings are kept: enough for every rule of a large set that means something.
pub const FINDING_LIMIT: usize = 256;

/// What a text may cost for each of its bytes, and beside them, without anybody wondering.
const FAIR_COST: (usize, usize) = (8, 256);

/// How much the texts of a session may cost beyond that, in bytes: about a second. Whoever makes more work than that with
/// aliases of aliases, or variables of variables, is given no more time than anybody else from then on.
const EXCESS_LIMIT: u64 = 8 << 20;

/// The version of a checkpoint's text.
const VERSION: u32 = 1;

/// What is judged beyond the commands themselves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether output is looked through for commands that the transcript's reader has missed.
    pub output: bool,
    /// Whether bursts of discovery are reported.
    pub discovery: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { output: true, discovery: true }
    }
}

/// The findings of one session, in the making.
#[derive(Debug)]
pub struct Scan<'r> {
    rules: &'r Rules,
    options: Options,
    asking: Asking,
    state: State,
}

/// What was found in a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// By rule, the worst first.
    pub findings: Vec<Finding>,
    /// What was looked at, and what was not.
    pub counts: Counts,
}

/// What was looked at, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Command lines judged.
    pub commands: u64,
    /// Simple commands taken out of them.
    pub simple_commands: u64,
    /// Command lines of which a part was too long or too deeply nested to be judged.
    pub cut: u64,
    /// Lines of output that were read as commands.
    pub output_lines: u64,
    /// Lines of output that would have been, had there been fewer.
    pub output_lines_left: u64,
    /// Findings that were not kept because there were too many.
    pub findings_left: u64,
}

/// One rule, and where it matched.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that matched.
    pub rule: Matched,
    /// The level of this finding: the rule's, or less if it was only seen in output.
    pub level: Level,
    /// In how many command lines, or lines of output.
    pub count: u64,
    /// Whether it is a command that was run or text that was shown.
    pub seen: Seen,
    /// The first of them.
    pub first: Evidence,
}

/// What a finding says about its rule. SigmaHQ's rules are under the Detection Rule License: their author is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The rule's UUID, if it has one.
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// What it detects.
    pub description: String,
    /// Who wrote it.
    pub author: String,
    /// Such as `attack.t1059.004`.
    pub tags: Vec<String>,
    /// What else can match.
    pub falsepositives: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What to do about it.
    pub runbook: Option<String>,
    /// The file it was read from.
    pub path: String,
}

/// How a command was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Seen {
    /// Typed at a prompt and run.
    Run,
    /// Seen in output: it looks like a command at a prompt that was not recognised.
    Shown,
}

/// The first place where a rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The command line as it was typed, cut to [`TEXT_KEPT`].
    pub command: String,
    /// The simple command or script that matched, cut to [`TEXT_KEPT`].
    pub matched: String,
    /// What that was unwrapped from, outermost first.
    pub unwrapped_from: Vec<String>,
    /// The line of the transcript.
    pub line: u64,
    /// The byte of the transcript at which that line begins.
    pub offset: u64,
    /// The prompt before it.
    pub prompt: String,
    /// How sure it is that this text was run.
    pub confidence: Confidence,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("the checkpoint of the findings cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("the checkpoint of the findings has version {0}, this scan knows version {VERSION}")]
    Version(u32),
    /// The rules have changed since.
    #[error("the checkpoint of the findings names rule `{0}`, which is not loaded")]
    Rule(String),
}

#[derive(Debug, Default)]
struct State {
    /// By rule and by how it was seen; the burst of discovery has no rule.
    found: BTreeMap<(Option<RuleId>, Seen), Found>,
    discovery: Discovery,
    /// What the command lines so far tell about later ones.
    known: Known,
    counts: Counts,
    /// What the texts so far have cost beyond [`FAIR_COST`].
    excess: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Found {
    count: u64,
    first: Evidence,
}

/// What stands in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    found: Vec<KeptFinding>,
    discovery: Vec<Vec<u8>>,
    known: Known,
    counts: Counts,
    #[serde(default)]
    excess: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptFinding {
    /// `None` for the burst of discovery.
    rule: Option<String>,
    seen: Seen,
    #[serde(flatten)]
    found: Found,
}

/// Where a text comes from.
struct Origin<'a> {
    text: &'a str,
    line: u64,
    offset: u64,
    prompt: &'a str,
    confidence: Confidence,
    seen: Seen,
}

impl<'r> Scan<'r> {
    /// A scan that has seen nothing.
    pub fn new(rules: &'r Rules, options: Options) -> Self {
        Self { rules, options, asking: Asking::default(), state: State::default() }
    }

    /// A scan that goes on from [`Scan::checkpoint`], with the same rules.
    pub fn resume(rules: &'r Rules, options: Options, checkpoint: &str) -> Result<Self, CheckpointError> {
        let kept: Kept = serde_json::from_str(checkpoint)?;
        if kept.version != VERSION {
            return Err(CheckpointError::Version(kept.version));
        }
        let mut found = BTreeMap::new();
        for entry in kept.found {
            let rule = match entry.rule {
                None => None,
                Some(name) => match rules.named().find(|(_, rule)| rule_name(rule) == name) {
                    Some((id, _)) => Some(id),
                    None => return Err(CheckpointError::Rule(name)),
                },
            };
            found.insert((rule, entry.seen), entry.found);
        }
        let state = State {
            found,
            discovery: Discovery::from_lines(kept.discovery),
            known: kept.known,
            counts: kept.counts,
            excess: kept.excess,
        };
        Ok(Self { state, ..Self::new(rules, options) })
    }

    /// What was found so far, as text to be kept.
    pub fn checkpoint(&self) -> Result<String, CheckpointError> {
        let state = &self.state;
        let found = state.found.iter().map(|((rule, seen), found)| KeptFinding {
            rule: rule.and_then(|rule| self.rules.get(rule)).map(rule_name),
            seen: *seen,
            found: found.clone(),
        });
        let kept = Kept {
            version: VERSION,
            found: found.collect(),
            discovery: state.discovery.lines(),
            known: state.known.clone(),
            counts: state.counts,
            excess: state.excess,
        };
        Ok(serde_json::to_string(&kept)?)
    }

    /// Judges a command line. What was typed and cancelled was not run, and is not judged.
    pub fn command(&mut self, command: &Command) {
        if !command.ran {
            return;
        }
        self.state.counts.commands = self.state.counts.commands.saturating_add(1);
        let origin = Origin {
            text: &command.text,
            line: command.line,
            offset: command.offset,
            prompt: &command.prompt,
            confidence: command.confidence,
            seen: Seen::Run,
        };
        self.judge(&origin, Dialect::of(command.shell));
    }

    /// Looks through output for commands that the transcript's reader has missed.
    pub fn output(&mut self, output: &Output<'_>) {
        if !self.options.output {
            return;
        }
        let mut picked = Vec::new();
        let mut left = 0_u64;
        let room = LINE_LIMIT.saturating_sub(self.state.counts.output_lines);
        self.rules.picker.pick(output.text, &mut |line, number| {
            if u64::try_from(picked.len()).is_ok_and(|length| length < room) {
                picked.extend(output::command_of(line).map(|text| (text, number)));
            } else {
                left = left.saturating_add(1);
            }
        });
        self.state.counts.output_lines_left = self.state.counts.output_lines_left.saturating_add(left);
        for (text, number) in picked {
            self.state.counts.output_lines = self.state.counts.output_lines.saturating_add(1);
            let origin = Origin {
                text: &text,
                line: output.line.saturating_add(number),
                offset: output.offset,
                prompt: "",
                confidence: Confidence::Low,
                seen: Seen::Shown,
            };
            self.judge(&origin, Dialect::Posix);
        }
    }

    /// Ends the scan. The coverage of the transcript decides how much what was seen in output counts.
    pub fn finish(self, coverage: &Coverage) -> Findings {
        let blinded = coverage.is_doubtful();
        let mut findings: Vec<Finding> = self
            .state
            .found
            .into_iter()
            .filter_map(|((rule, seen), found)| {
                let rule = match rule {
                    Some(index) => matched(self.rules.get(index)?),
                    None => burst(),
                };
                let level = match seen {
                    Seen::Run => rule.level,
                    Seen::Shown if blinded => one_less(rule.level),
                    Seen::Shown => rule.level.min(Level::Low),
                };
                Some(Finding { rule, level, count: found.count, seen, first: found.first })
            })
            .collect();
        findings.sort_by(|left, right| {
            let by_level = right.level.cmp(&left.level);
            by_level.then(left.seen.cmp(&right.seen)).then(left.first.line.cmp(&right.first.line))
        });
        Findings { findings, counts: self.state.counts }
    }

    /// Takes a text apart and asks the rules about its events.
    fn judge(&mut self, origin: &Origin<'_>, dialect: Dialect) {
        let known = match origin.seen {
            Seen::Run => std::mem::take(&mut self.state.known),
            Seen::Shown => Known::default(),
        };
        let (each, beside) = FAIR_COST;
        let fair = origin.text.len().saturating_mul(each).saturating_add(beside);
        let allowance = if self.state.excess < EXCESS_LIMIT { shell::COST_LIMIT } else { fair };
        let reading = shell::read_after(origin.text, dialect, known, allowance);
        let excess = u64::try_from(reading.cost.saturating_sub(fair)).unwrap_or(0);
        self.state.excess = self.state.excess.saturating_add(excess);
        if origin.seen == Seen::Run {
            self.state.counts.simple_commands = self
                .state
                .counts
                .simple_commands
                .saturating_add(u64::try_from(reading.commands.len()).unwrap_or(0));
            self.state.counts.cut = self.state.counts.cut.saturating_add(u64::from(reading.cut));
        }
        let rules = self.rules;
        let mut hits: Vec<RuleId> = Vec::new();
        let state = &mut self.state;
        let asking = &mut self.asking;
        event::each(&reading, &mut |log: Log, fields, matched, via| {
            rules.ask(log, &Event { fields }, asking, &mut |rule| {
                // A command line counts once for a rule, however many of its parts match.
                if !hits.contains(&rule) {
                    hits.push(rule);
                    state.record(Some(rule), origin, matched, via);
                }
            });
        });
        if origin.seen == Seen::Run {
            if self.options.discovery && self.state.discovery.line(&reading.commands) {
                self.state.record(None, origin, origin.text, &[]);
            }
            self.state.known = reading.known;
        }
    }
}

impl State {
    fn record(&mut self, rule: Option<RuleId>, origin: &Origin<'_>, matched: &str, via: &[String]) {
        let key = (rule, origin.seen);
        if let Some(found) = self.found.get_mut(&key) {
            found.count = found.count.saturating_add(1);
            return;
        }
        if self.found.len() >= FINDING_LIMIT {
            self.counts.findings_left = self.counts.findings_left.saturating_add(1);
            return;
        }
        let first = Evidence {
            command: cut(origin.text),
            matched: cut(matched),
            unwrapped_from: via.to_vec(),
            line: origin.line,
            offset: origin.offset,
            prompt: cut(origin.prompt),
            confidence: origin.confidence,
        };
        self.found.insert(key, Found { count: 1, first });
    }
}

/// What identifies a rule from one run to the next.
fn rule_name(rule: &sigma::Rule) -> String {
    rule.id().map_or_else(|| format!("{}: {}", rule.path(), rule.title()), str::to_owned)
}

fn matched(rule: &sigma::Rule) -> Matched {
    Matched {
        id: rule.id().map(str::to_owned),
        title: rule.title().to_owned(),
        level: rule.level(),
        description: rule.description().to_owned(),
        author: rule.author().to_owned(),
        tags: rule.tags().to_vec(),
        falsepositives: rule.falsepositives().to_vec(),
        references: rule.references().to_vec(),
        runbook: rule.custom("runbook").map(str::to_owned),
        path: rule.path().to_owned(),
    }
}

/// The burst of discovery, described as a rule.
fn burst() -> Matched {
    Matched {
        id: None,
        title: "Burst of Discovery Commands".to_owned(),
        level: Level::Medium,
        description: format!(
            "Detects {BURST} or more different discovery commands close together in one session, as someone enters who has just arrived on the machine."
        ),
        author: "ssm-guard".to_owned(),
        tags: [
            "attack.discovery",
            "attack.t1033",
            "attack.t1082",
            "attack.t1016",
            "attack.t1049",
            "attack.t1057",
        ]
        .map(str::to_owned)
        .to_vec(),
        falsepositives: vec!["Troubleshooting of a machine that nobody knows".to_owned()],
        references: vec!["https://attack.mitre.org/tactics/TA0007/".to_owned()],
        runbook: Some("docs/rules.md#discovery-burst".to_owned()),
        path: "discovery-burst".to_owned(),
    }
}

fn one_less(level: Level) -> Level {
    match level {
        Level::Critical => Level::High,
        Level::High => Level::Medium,
        Level::Medium => Level::Low,
        Level::Low | Level::Informational => Level::Informational,
    }
}

/// At most [`TEXT_KEPT`] bytes of a text, with a mark where it was cut.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_KEPT {
        return text.to_owned();
    }
    let mut end = TEXT_KEPT;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use transcript::ShellKind;

    use super::*;

    const SHADOW: &str = "
title: Shadow File Read
id: 1f0f9d6e-5a46-4a6c-8f27-1a3f0f2b7c11
logsource: {product: linux, category: process_creation}
detection:
    selection: {Image|endswith: /cat, CommandLine|contains: /etc/shadow}
    condition: selection
level: high
author: A. Analyst
tags: [attack.t1003.008]
runbook: Ask the user.
";
    const HISTORY: &str = "
title: History Cleared
logsource:
    product: linux
detection:
    keywords: ['history -c']
    condition: keywords
level: medium
";

    fn rules() -> Rules {
        let loaded = Rules::load([("shadow.yml", SHADOW), ("history.yml", HISTORY)]);
        assert!(loaded.refused.is_empty() && loaded.unread.is_empty(), "{loaded:?}");
        assert_eq!(loaded.rules.len(), 2);
        loaded.rules
    }

    fn command(line: u64, text: &str) -> Command {
        Command {
            text: text.to_owned(),
            line,
            offset: 10 * line,
            prompt: "$ ".to_owned(),
            output: Vec::new(),
            confidence: Confidence::High,
            shell: ShellKind::Posix,
            ran: true,
        }
    }

    fn blinded() -> Coverage {
        Coverage { unterminated: 1, ..Coverage::default() }
    }

    fn scanned(commands: &[Command], output: &str, coverage: &Coverage) -> Findings {
        let rules = rules();
        let mut scan = Scan::new(&rules, Options::default());
        commands.iter().for_each(|command| scan.command(command));
        scan.output(&Output { text: output.as_bytes(), line: 100, offset: 0 });
        scan.finish(coverage)
    }

    /// Title, level, count and line of each finding.
    fn told(findings: &Findings) -> Vec<String> {
        let told = findings.findings.iter().map(|finding| {
            let Finding { rule, level, count, seen, first } = finding;
            format!("{} {} {count}x {seen:?} line {}", level.as_str(), rule.title, first.line)
        });
        told.collect()
    }

    #[test]
    fn findings_are_grouped_by_rule_and_the_worst_is_first() {
        let commands = [
            command(3, "history -c"),
            command(5, "sudo cat /etc/shadow"),
            command(9, "sh -c 'cat /etc/shadow; cat /etc/shadow'"),
        ];
        let findings = scanned(&commands, "", &Coverage::default());
        assert_eq!(
            told(&findings),
            ["high Shadow File Read 2x Run line 5", "medium History Cleared 1x Run line 3"]
        );
        assert_eq!((findings.counts.commands, findings.counts.simple_commands), (3, 6));
        let first = &findings.findings[0];
        assert_eq!(
            (first.rule.author.as_str(), first.rule.runbook.as_deref()),
            ("A. Analyst", Some("Ask the user."))
        );
        assert_eq!(
            first.first,
            Evidence {
                command: "sudo cat /etc/shadow".to_owned(),
                matched: "cat /etc/shadow".to_owned(),
                unwrapped_from: vec!["sudo".to_owned()],
                line: 5,
                offset: 50,
                prompt: "$ ".to_owned(),
                confidence: Confidence::High,
            }
        );
    }

    #[test]
    fn what_was_typed_and_cancelled_is_not_judged() {
        let cancelled = Command { ran: false, ..command(1, "cat /etc/shadow") };
        assert_eq!(scanned(&[cancelled], "", &Coverage::default()), Findings::default());
    }

    #[test]
    fn printed_text_raises_nothing_above_low_unless_the_reader_was_blinded() {
        let shown = "help\nroot@web:~# cat /etc/shadow\n";
        let told_with = |output: &str, coverage: &Coverage| told(&scanned(&[], output, coverage));
        assert_eq!(told_with(shown, &Coverage::default()), ["low Shadow File Read 1x Shown line 101"]);
        assert_eq!(told_with(shown, &blinded()), ["medium Shadow File Read 1x Shown line 101"]);
        for only_text in [
            "cat /etc/shadow\n",
            "To see it, run: cat /etc/shadow\n",
            "# cat: /etc/shadow: Permission denied\n",
        ] {
            assert_eq!(told_with(only_text, &blinded()), [""; 0], "{only_text}");
        }
        // `ifconfig` is in no telling string: what is not picked is not seen.
        assert_eq!(told_with("$ ifconfig; history  -c\n", &blinded()), [""; 0]);
    }

    #[test]
    fn after_the_limit_lines_of_output_are_counted_only() {
        let output = "$ cat /etc/shadow\n".repeat(usize::try_from(LINE_LIMIT + 5).unwrap());
        let findings = scanned(&[], &output, &Coverage::default());
        assert_eq!((findings.counts.output_lines, findings.counts.output_lines_left), (LINE_LIMIT, 5));
    }

    #[test]
    fn what_one_line_sets_the_next_knows() {
        for lines in [
            ["a=cat", "$a /etc/shadow"],
            ["cd /etc", "cat shadow"],
            ["echo 'cat /etc/shadow' > x.sh", "bash x.sh"],
            ["export f=/etc/shadow", "cat $f"],
        ] {
            let findings = scanned(&[command(1, lines[0]), command(2, lines[1])], "", &Coverage::default());
            assert_eq!(told(&findings), ["high Shadow File Read 1x Run line 2"], "{lines:?}");
        }
    }

    #[test]
    fn a_scan_goes_on_where_its_checkpoint_was_taken() {
        let rules = rules();
        let lines: Vec<Command> = [
            "cat /etc/shadow",
            "a=cat",
            "whoami; id; uname; hostname; cat /etc/passwd",
            "$a /etc/shadow",
            "ip a; ss; ps; sudo -l; cat /etc/hosts",
            "history -c",
        ]
        .into_iter()
        .zip(1..)
        .map(|(text, line)| command(line, text))
        .collect();
        let mut whole = Scan::new(&rules, Options::default());
        lines.iter().for_each(|line| whole.command(line));
        let whole = whole.finish(&Coverage::default());
        assert_eq!(whole.findings.len(), 3, "{whole:#?}");
        for split in 0..=lines.len() {
            let (before, after) = lines.split_at(split);
            let mut scan = Scan::new(&rules, Options::default());
            before.iter().for_each(|line| scan.command(line));
            let checkpoint = scan.checkpoint().unwrap();
            let mut resumed = Scan::resume(&rules, Options::default(), &checkpoint).unwrap();
            after.iter().for_each(|line| resumed.command(line));
            assert_eq!(resumed.finish(&Coverage::default()), whole, "after {split} lines");
        }
    }

    #[test]
    fn a_checkpoint_of_other_rules_or_another_version_is_refused() {
        let rules = rules();
        let mut scan = Scan::new(&rules, Options::default());
        scan.command(&command(1, "history -c"));
        let checkpoint = scan.checkpoint().unwrap();
        let others = Rules::load([("shadow.yml", SHADOW)]).rules;
        let refused = |rules: &Rules, text: &str| {
            Scan::resume(rules, Options::default(), text).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&others, &checkpoint),
            "the checkpoint of the findings names rule `history.yml: History Cleared`, which is not loaded"
        );
        let newer = checkpoint.replace("\"version\":1", "\"version\":2");
        assert_eq!(
            refused(&rules, &newer),
            "the checkpoint of the findings has version 2, this scan knows version 1"
        );
        assert_eq!(refused(&rules, "{}"), "the checkpoint of the findings cannot be read");
    }

    #[test]
    fn a_session_that_makes_work_is_given_a_second_of_it() {
        let rules = rules();
        let mut line = "alias a1='a0;a0'".to_owned();
        for number in 2..11 {
            let before = number - 1;
            line.push_str(&format!("; alias a{number}='a{before};a{before}'"));
        }
        line.push_str("; a10");
        let costly = command(1, &line);
        let mut scan = Scan::new(&rules, Options::default());
        let simple_commands = |scan: &mut Scan<'_>, command: &Command| {
            let before = scan.state.counts.simple_commands;
            scan.command(command);
            scan.state.counts.simple_commands - before
        };
        assert!(simple_commands(&mut scan, &costly) > 1_000);
        while scan.state.excess < EXCESS_LIMIT {
            scan.command(&costly);
        }
        let kept = scan.checkpoint().unwrap();
        let cut = scan.state.counts.cut;
        for mut scan in [scan, Scan::resume(&rules, Options::default(), &kept).unwrap()] {
            assert!(simple_commands(&mut scan, &costly) < 100);
            assert_eq!(scan.state.counts.cut, cut + 1);
            // What is not wrapped like that is read as ever.
            let excess = scan.state.excess;
            for text in
                ["sudo bash -c 'cat /etc/shadow | head -1'", "a=/etc; for i in 1 2; do cat $a/shadow; done"]
            {
                scan.command(&command(2, text));
            }
            assert_eq!((scan.state.counts.cut, scan.state.excess), (cut + 1, excess));
            assert_eq!(told(&scan.finish(&Coverage::default())), ["high Shadow File Read 2x Run line 2"]);
        }
    }

    #[test]
    fn what_is_kept_of_a_command_is_bounded() {
        let long = format!("cat /etc/shadow {}", "é".repeat(TEXT_KEPT));
        let findings = scanned(&[command(1, &long)], "", &Coverage::default());
        let kept = &findings.findings[0].first.command;
        assert!(kept.len() <= TEXT_KEPT + '…'.len_utf8() && kept.ends_with('…'), "{kept}");
    }

    #[test]
    fn a_checkpoint_is_small_whatever_was_typed() {
        let rules = rules();
        let mut scan = Scan::new(&rules, Options::default());
        for number in 0..500 {
            let value = "x".repeat(200);
            scan.command(&command(
                number,
                &format!("v{number}={value}; echo '{value}{value}' > f{number}; cat /etc/shadow"),
            ));
        }
        let size = scan.checkpoint().unwrap().len();
        assert!(size < 128 * 1024, "{size}");
    }
}
