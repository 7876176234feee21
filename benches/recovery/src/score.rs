//! Recovered commands against those that were run.

use std::collections::BTreeMap;

use transcript::{Command, Piece, Reader, ShellKind};

use crate::session::Session;

/// Bytes pushed at once: small, so that pieces of lines are read too.
const PUSH: usize = 777;

#[derive(Clone, Copy, Default)]
struct Counts {
    right: usize,
    wrong: usize,
    missed: usize,
    cancelled: usize,
    /// Entered, but nothing was run: neither right nor wrong.
    idle: usize,
}

/// Prints precision and recall by category.
pub(crate) fn report(sessions: &[Session], verbose: bool) {
    let mut categories: BTreeMap<String, Counts> = BTreeMap::new();
    for session in sessions {
        let (commands, is_marked) = recover(&session.log);
        let (counts, wrong, missed) = compare(&commands, session);
        let marks = if is_marked { "with marks" } else { "without marks" };
        for category in [session.category.as_str(), marks, "all"] {
            let sum = categories.entry(category.to_owned()).or_default();
            sum.right += counts.right;
            sum.wrong += counts.wrong;
            sum.missed += counts.missed;
            sum.cancelled += counts.cancelled;
            sum.idle += counts.idle;
        }
        if verbose && !(wrong.is_empty() && missed.is_empty()) {
            println!("{} ({})", session.name, session.category);
            wrong.iter().for_each(|(line, text)| println!("  not run  {line:>5}  {text:?}"));
            missed.iter().for_each(|text| println!("  missed          {text:?}"));
        }
    }
    println!(
        "{:16} {:>9} {:>9} {:>6} {:>6} {:>6} {:>9} {:>6}",
        "", "precision", "recall", "right", "wrong", "missed", "cancelled", "idle"
    );
    for (category, counts) in &categories {
        let ratio = |others: usize| counts.right as f64 / (counts.right + others).max(1) as f64;
        println!(
            "{category:16} {:>9.4} {:>9.4} {:>6} {:>6} {:>6} {:>9} {:>6}",
            ratio(counts.wrong),
            ratio(counts.missed),
            counts.right,
            counts.wrong,
            counts.missed,
            counts.cancelled,
            counts.idle
        );
    }
}

fn recover(log: &[u8]) -> (Vec<Command>, bool) {
    let mut commands = Vec::new();
    let mut see = |piece: Piece<'_>| {
        if let Piece::Command(command) = piece {
            commands.push(command);
        }
    };
    let mut reader = Reader::new();
    log.chunks(PUSH).for_each(|bytes| reader.push(bytes, &mut see));
    let summary = reader.finish(&mut see);
    (commands, summary.coverage.marked > summary.coverage.unmarked)
}

/// Counts as multisets: a command typed during another is echoed out of order.
fn compare(commands: &[Command], session: &Session) -> (Counts, Vec<(u64, String)>, Vec<String>) {
    let mut left = multiset(&session.ran);
    let mut entered = multiset(&session.entered);
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    for command in commands {
        if !command.ran {
            counts.cancelled += 1;
            continue;
        }
        let text = joined(&command.text);
        match left.get_mut(&text).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                counts.right += 1;
            }
            // A shell's record does not hold what was typed into the programs it started.
            None if command.shell == ShellKind::Repl => {}
            None => match entered.get_mut(&text).filter(|count| **count > 0) {
                Some(count) => {
                    *count -= 1;
                    counts.idle += 1;
                }
                None => wrong.push((command.line, command.text.clone())),
            },
        }
    }
    let mut missed = Vec::new();
    for (text, count) in left {
        for _ in 0..count {
            if take_lines(&text, &mut wrong) {
                counts.right += 1;
            } else {
                missed.push(plain(&text));
            }
        }
    }
    counts.wrong = wrong.len();
    counts.missed = missed.len();
    (counts, wrong, missed)
}

fn multiset(texts: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts.iter().map(|text| joined(text)).filter(|text| !text.is_empty()) {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

/// A shell records a paste as one entry or as one for each line. If it is one, and each line was recovered as a command
/// of its own, that is the same.
fn take_lines(text: &str, recovered: &mut Vec<(u64, String)>) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    if lines.len() < 2 {
        return false;
    }
    let mut taken: Vec<usize> = Vec::new();
    for line in lines {
        let at = recovered
            .iter()
            .enumerate()
            .position(|(at, (_, other))| joined(other) == line && !taken.contains(&at));
        match at {
            Some(at) => taken.push(at),
            None => return false,
        }
    }
    taken.sort_unstable();
    taken.into_iter().rev().for_each(|at| drop(recovered.remove(at)));
    true
}

/// The text with every run of white space within a line as one space, and without empty lines.
fn joined(text: &str) -> String {
    let text = text.replace("\\\n", "");
    let lines = text.split('\n').map(plain).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
