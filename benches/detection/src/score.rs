//! Recall and false alerts.

use std::collections::BTreeMap;

use detection::{Findings, Level, Options, Rules, Scan};
use transcript::{Command, Confidence, Coverage, Piece, Reader, ShellKind};

use crate::corpus::{Record, Session};
use crate::wrap;

/// A count of records, and of those that were found.
#[derive(Default, Clone, Copy)]
struct Share {
    found: [u64; 2],
    all: [u64; 2],
}

impl Share {
    fn add(&mut self, second_half: bool, found: bool) {
        let half = usize::from(second_half);
        if let (Some(all), Some(count)) = (self.all.get_mut(half), self.found.get_mut(half)) {
            *all += 1;
            *count += u64::from(found);
        }
    }

    fn total(self) -> (u64, u64) {
        (self.found.iter().sum(), self.all.iter().sum())
    }

    /// All records, then the halves.
    fn text(self, scale: f64) -> String {
        let (found, all) = self.total();
        let share = |found: u64, all: u64| if all == 0 { 0.0 } else { scale * found as f64 / all as f64 };
        let [first, second] = [0, 1].map(|half: usize| {
            let of = |counts: [u64; 2]| counts.get(half).copied().unwrap_or(0);
            share(of(self.found), of(self.all))
        });
        format!("{:>7.3}  ({found:>4} of {all:>4})   halves {first:.3} {second:.3}", share(found, all))
    }
}

/// Runs commands through a scan of their own.
pub(crate) fn scan(rules: &Rules, shell: ShellKind, lines: &[String]) -> Findings {
    let mut scan = Scan::new(rules, Options::default());
    for (line, text) in (1_u64..).zip(lines) {
        scan.command(&command(shell, text, line));
    }
    scan.finish(&Coverage::default())
}

/// A command as a transcript's reader gives it.
pub(crate) fn command(shell: ShellKind, text: &str, line: u64) -> Command {
    Command {
        text: text.to_owned(),
        line,
        offset: 0,
        prompt: "$ ".to_owned(),
        output: Vec::new(),
        confidence: Confidence::High,
        shell,
        ran: true,
    }
}

fn is_found(findings: &Findings) -> bool {
    findings.findings.iter().any(|finding| finding.level >= Level::Medium)
}

/// Whether a rule that found the first also found the second: not the wrapping, but what is in it.
fn is_found_alike(plain: &Findings, wrapped: &Findings) -> bool {
    let worth = |findings: &'_ Findings| -> Vec<String> {
        let worth = findings.findings.iter().filter(|finding| finding.level >= Level::Medium);
        worth.map(|finding| finding.rule.title.clone()).collect()
    };
    let plain = worth(plain);
    worth(wrapped).iter().any(|title| plain.contains(title))
}

/// Recall by source and signal, and by technique.
pub(crate) fn recall(rules: &Rules, records: &[Record], list: bool) {
    let mut by_source: BTreeMap<(bool, String, String), Share> = BTreeMap::new();
    let mut by_technique: BTreeMap<String, Share> = BTreeMap::new();
    let mut headline = Share::default();
    let mut missed = Vec::new();
    for record in records {
        let found = is_found(&scan(rules, record.shell, &record.lines));
        let key = (record.windows, record.source.clone(), record.kind.clone());
        by_source.entry(key).or_default().add(record.second_half, found);
        if record.windows {
            continue;
        }
        if record.kind != "low" {
            by_technique.entry(record.technique.clone()).or_default().add(record.second_half, found);
            if !found {
                missed.push(record);
            }
        }
        if record.kind == "high"
            && matches!(record.source.as_str(), "atomic-red-team" | "payloadsallthethings")
        {
            headline.add(record.second_half, found);
        }
    }
    println!("\nrecall at level medium or above (low is pure discovery: not to be flagged)");
    println!("  {:<46} {}", "linux, headline: atomic + payloads, high", headline.text(1.0));
    for ((windows, source, kind), share) in &by_source {
        let platform = if *windows { "windows" } else { "linux" };
        println!("  {:<46} {}", format!("{platform}, {source}, {kind}"), share.text(1.0));
    }
    println!("\nrecall by technique, linux, signal high and medium");
    for (technique, share) in &by_technique {
        let (found, all) = share.total();
        println!("  {technique:<12} {found:>4} of {all:>4}");
    }
    if list {
        println!("\nmissed");
        for record in missed {
            println!("  {} {} {} {}", record.id, record.source, record.kind, record.technique);
            for line in &record.lines {
                println!("      {}", line.replace('\n', "\n      | "));
            }
        }
    }
}

/// False alerts per 1,000 benign commands.
pub(crate) fn false_alerts(rules: &Rules, records: &[Record], list: bool) {
    let mut by_tier: BTreeMap<(bool, String), Share> = BTreeMap::new();
    let mut by_rule: BTreeMap<String, u64> = BTreeMap::new();
    let mut flagged = Vec::new();
    for record in records {
        let findings = scan(rules, record.shell, &record.lines);
        let found = is_found(&findings);
        by_tier.entry((record.windows, record.kind.clone())).or_default().add(record.second_half, found);
        if found {
            for finding in findings.findings.iter().filter(|finding| finding.level >= Level::Medium) {
                *by_rule.entry(finding.rule.title.clone()).or_default() += 1;
            }
            flagged.push((record, findings));
        }
    }
    println!("\nfalse alerts at level medium or above, per 1,000 commands");
    for ((windows, tier), share) in &by_tier {
        let platform = if *windows { "windows" } else { "linux" };
        println!("  {:<46} {}", format!("{platform}, {tier}"), share.text(1000.0));
    }
    if list {
        println!("\nfalse alerts by rule");
        for (rule, count) in &by_rule {
            println!("  {count:>4} {rule}");
        }
        for (record, findings) in flagged {
            println!("  {} {} {}", record.id, record.source, record.kind);
            print_findings(findings);
        }
    }
}

fn print_findings(findings: Findings) {
    for finding in findings.findings.iter().filter(|finding| finding.level >= Level::Medium) {
        println!(
            "      [{} {}] {} <- {:?} {:?}",
            finding.level.as_str(),
            finding.rule.title,
            finding.first.command.replace('\n', "\\n"),
            finding.first.unwrapped_from,
            finding.first.matched,
        );
    }
}

/// Whole sessions: bytes to findings.
pub(crate) fn sessions(rules: &Rules, sessions: &[Session], missed: bool, list: bool) {
    let mut benign = (0_u64, 0_u64);
    let mut planted = (0_u64, 0_u64);
    println!("\nsessions, bytes to findings");
    for session in sessions {
        let mut scan = Scan::new(rules, Options::default());
        let mut see = |piece: Piece<'_>| match piece {
            Piece::Command(command) => scan.command(&command),
            Piece::Output(output) => scan.output(&output),
        };
        let mut reader = Reader::new();
        reader.push(&session.log, &mut see);
        let summary = reader.finish(&mut see);
        let findings = scan.finish(&summary.coverage);
        let found = is_found(&findings);
        let count = if session.malicious { &mut planted } else { &mut benign };
        count.0 += u64::from(found);
        count.1 += 1;
        if list && !session.malicious && found {
            println!(
                "  {} is benign, {} commands, {:?}",
                session.id, findings.counts.commands, summary.coverage
            );
            print_findings(findings);
        } else if missed && session.malicious && !found {
            println!("  {} was not flagged, {} commands:", session.id, findings.counts.commands);
            for command in &session.planted {
                println!("      {}", command.replace('\n', "\\n"));
            }
        }
    }
    let share = |(found, all): (u64, u64)| if all == 0 { 0.0 } else { 100.0 * found as f64 / all as f64 };
    println!(
        "  benign sessions flagged                        {:>6.1}%  ({} of {})",
        share(benign),
        benign.0,
        benign.1
    );
    println!(
        "  sessions with a planted attack flagged         {:>6.1}%  ({} of {})",
        share(planted),
        planted.0,
        planted.1
    );
}

/// Recall at signal high, each attack wrapped in each way.
pub(crate) fn wrapped(rules: &Rules, records: &[Record], list: bool) {
    let mut total = (Share::default(), Share::default());
    println!(
        "\nrecall, linux, signal high, each attack wrapped (where a wrapping cannot hold it, it is not counted)"
    );
    println!("  the second line of a way: of what is found unwrapped, found by one of the same rules");
    for family in wrap::FAMILIES {
        let mut share = (Share::default(), Share::default());
        let mut missed = Vec::new();
        for record in records.iter().filter(|record| !record.windows && record.kind == "high") {
            let lines: Option<Vec<String>> = record.lines.iter().map(|line| (family.wrap)(line)).collect();
            let Some(lines) = lines else { continue };
            let plain = scan(rules, record.shell, &record.lines);
            let wrapped = scan(rules, record.shell, &lines);
            for count in [&mut share, &mut total] {
                count.0.add(record.second_half, is_found(&wrapped));
                if is_found(&plain) {
                    count.1.add(record.second_half, is_found_alike(&plain, &wrapped));
                }
            }
            if is_found(&plain) && !is_found_alike(&plain, &wrapped) {
                missed.push((record, lines));
            }
        }
        println!("  {:<46} {}", family.name, share.0.text(1.0));
        println!("  {:<46} {}", "", share.1.text(1.0));
        if list {
            for (record, lines) in missed.iter().take(12) {
                println!(
                    "      {} found plain, not wrapped: {}",
                    record.id,
                    lines.join(" ⏎ ").replace('\n', "\\n")
                );
            }
        }
    }
    println!("  {:<46} {}", "all", total.0.text(1.0));
    println!("  {:<46} {}", "", total.1.text(1.0));
}
