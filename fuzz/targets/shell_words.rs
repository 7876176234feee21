//! A command line: taken apart and judged without a panic, within the limits, and the same each time.
//!
//! The first byte chooses the shell.
#![no_main]

use std::sync::LazyLock;

use detection::shell::{self, COMMAND_LIMIT, Dialect};
use detection::{Options, Rules, Scan};
use libfuzzer_sys::fuzz_target;
use transcript::{Command, Confidence, Coverage, Output, ShellKind};

const RULE: &str = "
title: Shadow File Read
logsource: {product: linux, category: process_creation}
detection:
    selection: {CommandLine|contains: /etc/shadow}
    condition: selection
level: high
";

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::load([("rule.yml", RULE)]).rules);

fuzz_target!(|input: &str| {
    let shells = [ShellKind::Posix, ShellKind::PowerShell, ShellKind::Cmd, ShellKind::Repl];
    let shell = shells[usize::from(input.as_bytes().first().copied().unwrap_or(0) & 3)];
    let text = input.get(1..).unwrap_or_default();
    let reading = shell::read(text, Dialect::of(shell));
    assert!(reading.commands.len() <= COMMAND_LIMIT);
    for (number, command) in reading.commands.iter().enumerate() {
        assert!(command.parent.is_none_or(|parent| parent < number));
        assert!(command.script < reading.scripts.len());
    }
    let command = Command {
        text: text.to_owned(),
        line: 1,
        offset: 0,
        prompt: String::new(),
        output: Vec::new(),
        confidence: Confidence::High,
        shell,
        ran: true,
    };
    let mut scan = Scan::new(&RULES, Options::default());
    scan.command(&command);
    scan.output(&Output { text: text.as_bytes(), line: 1, offset: 0 });
    let checkpoint = scan.checkpoint().unwrap();
    let resumed = Scan::resume(&RULES, Options::default(), &checkpoint).unwrap();
    assert_eq!(resumed.checkpoint().unwrap(), checkpoint);
    assert_eq!(resumed.finish(&Coverage::default()), scan.finish(&Coverage::default()));
});
