//! A rendered prompt region divided into the prompt, what was typed, and what else stood there.

use crate::piece::ShellKind;
use crate::prompt::{Openness, Prompts, Split, Trust, continuation, ends_in_colon};
use crate::width::Rendered;

/// What a prompt region held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) prompt: String,
    /// What was typed, without the spaces at the ends of its lines.
    pub(crate) text: String,
    pub(crate) kind: ShellKind,
    pub(crate) trust: Trust,
    /// Whether the prompt asked for more of the command before.
    pub(crate) continues: bool,
    /// Output that stood before the prompt and did not end its line.
    pub(crate) before: Vec<String>,
    /// Rows within the region that are neither: listings of completions, output of jobs.
    pub(crate) others: Vec<String>,
}

impl Recovered {
    /// A line that has no prompt.
    pub(crate) fn bare(text: String) -> Self {
        Self {
            prompt: String::new(),
            text,
            kind: ShellKind::Unknown,
            trust: Trust::Guess,
            continues: false,
            before: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Whether the line was given up with Ctrl-C.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.text.ends_with("^C")
    }
}

/// Divides a region that a shell marked.
pub(crate) fn marked(prompts: &mut Prompts, rendered: &Rendered) -> Recovered {
    let mut lines = rendered.screen.lines_from(rendered.start);
    let mut before = rendered.above.clone();
    if let Some(at) = rendered.screen.input_at.filter(|at| *at >= rendered.start) {
        let split = Split { end: 0, kind: ShellKind::Posix, trust: Trust::Known };
        let recovered = divide(rendered.screen.lines_from(at), 0, &split, rendered);
        return Recovered { prompt: rendered.screen.left_of(at), before, ..recovered };
    }
    if let Some(prompt) = prompt_before(prompts, rendered, &lines) {
        cut_right_prompt(&mut lines, &rendered.right);
        // What a job says comes in between, and the prompt is drawn again below.
        if let Some(at) = lines.iter().rposition(|line| line.starts_with(&prompt)).filter(|at| *at > 0) {
            let split = Split { end: prompt.len(), kind: ShellKind::Posix, trust: Trust::Known };
            return Recovered { before, ..divide(lines, at, &split, rendered) };
        }
        let kind = prompts.split(&prompt, Openness::Forms).map_or(ShellKind::Posix, |split| split.kind);
        let recovered = divide(lines, 0, &Split { end: 0, kind, trust: Trust::Known }, rendered);
        return Recovered { continues: is_continuation(&prompt), prompt, before, ..recovered };
    }
    if !rendered.left.trim().is_empty() {
        before.push(rendered.left.trim_end().to_owned());
    }
    let (at, split) = find_prompt(prompts, &lines, rendered);
    Recovered { before, ..divide(lines, at, &split, rendered) }
}

/// Whether output or text typed ahead stands before the prompt, in its row: the line editor does not know of it.
pub(crate) fn is_displaced(prompts: &Prompts, rendered: &Rendered) -> bool {
    let lines = rendered.screen.lines_from(rendered.start);
    !rendered.left.trim().is_empty() && prompt_before(prompts, rendered, &lines).is_none()
}

/// Divides a region that was found by its prompt.
pub(crate) fn unmarked(prompts: &Prompts, rendered: &Rendered, open: Openness) -> Option<Recovered> {
    let lines = rendered.screen.lines_from((0, 0));
    let first = lines.first()?;
    let split = prompts.split(first, open)?;
    let mut recovered = divide(lines, 0, &split, rendered);
    // Old agents start a shell in the shell, and both ask before the first is read.
    while recovered.prompt.len() > 3
        && let Some(rest) = recovered.text.strip_prefix(recovered.prompt.as_str())
    {
        recovered.text = rest.to_owned();
    }
    Some(recovered)
}

/// Divides a region whose prompt asks for more of a command.
pub(crate) fn continued(rendered: &Rendered, length: usize) -> Recovered {
    let lines = rendered.screen.lines_from((0, 0));
    let split = Split { end: length, kind: ShellKind::Unknown, trust: Trust::Form };
    Recovered { continues: true, ..divide(lines, 0, &split, rendered) }
}

/// The line on which the prompt stands, and where it ends.
fn find_prompt(learning: &mut Prompts, lines: &[String], rendered: &Rendered) -> (usize, Split) {
    let prompts: &Prompts = learning;
    let splits = |openness| lines.iter().map(move |line| prompts.split(line, openness)).enumerate();
    // The line editor draws the prompt again below a listing: the last one counts.
    if let Some((at, Some(split))) = splits(Openness::Closed).rev().find(|(_, split)| split.is_some()) {
        return (at, split);
    }
    let last = |prompt: &str, first| lines.iter().rposition(|line| line.starts_with(prompt)).unwrap_or(first);
    if let Some(split) = lines.first().and_then(|line| after_return(line, rendered)) {
        let prompt = lines.first().and_then(|line| line.get(..split.end)).unwrap_or_default();
        return (last(prompt, 0), split);
    }
    for openness in [Openness::Forms, Openness::Guesses] {
        if let Some((at, Some(split))) = splits(openness).find(|(_, split)| split.is_some()) {
            let prompt = lines.get(at).and_then(|line| line.get(..split.end)).unwrap_or_default();
            return (last(prompt, at), split);
        }
    }
    if let Some(end) = lines.first().and_then(|line| continuation(line)) {
        return (0, Split { end, kind: ShellKind::Unknown, trust: Trust::Form });
    }
    let at = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let shared = lines.get(at).and_then(|line| learning.common_start(line));
    let colon = lines.get(at).and_then(|line| ends_in_colon(line));
    let end = shared.max(colon).unwrap_or(0);
    // It is drawn again below a listing of what would complete it.
    let first = lines.get(at).map(|line| line.trim_end()).filter(|line| !line.is_empty());
    let at = first.map_or(at, |first| last(first, at));
    (at, Split { end, kind: ShellKind::Unknown, trust: Trust::Guess })
}

/// The prompt, if the shell writes its mark behind it, as zsh does.
fn prompt_before(prompts: &Prompts, rendered: &Rendered, lines: &[String]) -> Option<String> {
    let left = rendered.left.as_str();
    if left.trim().is_empty() {
        return None;
    }
    if prompts.knows(left) {
        return Some(left.to_owned());
    }
    // A bash prompt follows its mark; then what stands before is output or text typed ahead.
    let first = lines.first().map(String::as_str).unwrap_or_default();
    if prompts.split(first, Openness::Forms).is_some_and(|split| split.trust >= Trust::Form) {
        return None;
    }
    let is_prompt = continuation(left) == Some(left.len())
        || prompts.split(left, Openness::Guesses).is_some_and(|split| split.end >= left.trim_end().len());
    (is_prompt || rendered.filled).then(|| left.to_owned())
}

/// Takes zsh's right prompt away, which stands on the first row until the line reaches it, and is drawn again with it.
fn cut_right_prompt(lines: &mut [String], right: &str) {
    let right = right.trim();
    if right.is_empty() {
        return;
    }
    for (at, line) in lines.iter_mut().enumerate() {
        let rest = line.trim_end().strip_suffix(right);
        // Below the first row it was drawn again after something else, and a word that was typed may be the same.
        if let Some(rest) = rest.filter(|rest| at == 0 || rest.ends_with(' ')) {
            *line = rest.trim_end().to_owned();
        }
    }
}

/// What a search of the history found. When it ends, readline draws the prompt in place of the search's own, but leaves
/// that standing if the command has more than one row.
fn found_by_search(row: &str) -> Option<&str> {
    let search = row.trim_start().strip_prefix('(')?;
    let search = search.strip_prefix("failed ").unwrap_or(search);
    let search = search.strip_prefix("reverse-").unwrap_or(search);
    let (_, found) = search.strip_prefix("i-search)`")?.split_once("': ")?;
    Some(found)
}

/// fish goes to where its prompt ends whenever it draws what was typed.
fn after_return(line: &str, rendered: &Rendered) -> Option<Split> {
    let columns = rendered.screen.first_return?;
    let end = line.char_indices().nth(columns).map_or(line.len(), |(at, _)| at);
    let prompt = line.get(..end)?;
    let sign = prompt.trim_end().chars().last()?;
    let is_prompt = prompt.ends_with(' ') && !sign.is_alphanumeric();
    is_prompt.then_some(Split { end, kind: ShellKind::Posix, trust: Trust::Form })
}

fn divide(lines: Vec<String>, at: usize, split: &Split, rendered: &Rendered) -> Recovered {
    let mut lines = lines.into_iter();
    let others = lines.by_ref().take(at).filter(|line| !line.trim().is_empty()).collect();
    let first = lines.next().unwrap_or_default();
    let prompt = first.get(..split.end).unwrap_or_default().to_owned();
    let row = first.get(split.end..).unwrap_or_default();
    let mut typed = vec![found_by_search(row).unwrap_or(row).to_owned()];
    typed.extend(lines);
    if rendered.screen.first_return.is_some() {
        cut_indent(&mut typed, prompt.chars().count());
    }
    let typed: Vec<&str> = typed.iter().map(|line| line.trim_end()).collect();
    let mut text = typed.join("\n").trim_end().to_owned();
    // dash goes on in the same row after Ctrl-C.
    if let Some(at) = text.trim_end_matches("^C").rfind("^C") {
        text.drain(..at + 2);
    }
    Recovered {
        continues: is_continuation(&prompt),
        prompt,
        text,
        kind: split.kind,
        trust: split.trust,
        before: Vec::new(),
        others,
    }
}

fn is_continuation(prompt: &str) -> bool {
    continuation(prompt).is_some_and(|length| length >= prompt.trim_end().len())
}

/// fish indents the lines below the first by the length of its prompt.
fn cut_indent(lines: &mut [String], columns: usize) {
    let indent = " ".repeat(columns);
    let mut below = lines.iter().skip(1).filter(|line| !line.trim().is_empty());
    if columns > 0 && below.all(|line| line.starts_with(&indent)) {
        for line in lines.iter_mut().skip(1) {
            *line = line.get(columns..).unwrap_or_default().to_owned();
        }
    }
}
