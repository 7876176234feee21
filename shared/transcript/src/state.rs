//! What is known at a place in a transcript. All of it goes into a checkpoint.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::flatten::flatten;
use crate::header::{Footer, Header};
use crate::piece::{Command, Confidence, Output, Piece, ShellKind};
use crate::prompt::{Openness, Prompts, Trust, Unended, ends_in_colon, shape};
use crate::region::Recovered;
use crate::syntax::{
    Prompting, Starts, Syntax, is_known_command, leaves_rows, prompting, starts, turns_echo_off,
};
use crate::width::Widths;

/// Lines of output given with a command.
const OUTPUT_LINES: usize = 5;
/// Characters of such a line.
const OUTPUT_WIDTH: usize = 300;
/// Lines typed ahead that are kept.
const AHEAD_LIMIT: usize = 16;
/// A command longer than this is not joined further.
const COMMAND_LIMIT: usize = 64 * 1024;
/// Lines of output after which a listing of completions is no longer expected to end.
const LISTING_LIMIT: u64 = 400;
/// Prompts that look like a marked one but are not marked, before they are believed: marks were turned off.
const STRAY_LIMIT: u32 = 3;
/// Marked lines without such a prompt that make up for one with it.
const FORGED: u32 = 8;
/// Commands within which a prompt must come a second time that the first line may have begun with: until then output
/// may have been taken for prompts.
const FIRST_WITHIN: u64 = 8;
/// Lines after the start of a shell in which its prompt may still come.
const PROMPT_WITHIN: u64 = 400;

/// What kind of text a transcript is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    /// Nothing was read yet.
    Unknown,
    /// What a terminal was sent.
    Terminal,
    /// The output of one command, without a terminal.
    NonInteractive,
    /// What PowerShell's `Start-Transcript` writes.
    PowerShell,
}

/// The other screen that full-screen programs paint on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Alternate {
    /// It is not shown.
    Off,
    /// It is shown, and nothing is painted on it as such a program does: it may be there to hide commands.
    Idle,
    /// A full-screen program paints on it.
    Driven,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The first byte that is not done with.
    pub(crate) offset: u64,
    /// The line of that byte, counted from 1.
    pub(crate) line: u64,
    pub(crate) format: Format,
    pub(crate) header: Option<Header>,
    pub(crate) footer: Option<Footer>,
    pub(crate) prompts: Prompts,
    pub(crate) widths: Widths,
    pub(crate) alternate: Alternate,
    pub(crate) coverage: Coverage,
    pub(crate) commands: u64,
    /// Whether the line at `offset` is the rest of one that was cut.
    pub(crate) is_rest: bool,
    /// Whether that one is a command line.
    #[serde(default)]
    pub(crate) is_command_rest: bool,
    /// Whether `offset` is behind a line feed.
    pub(crate) is_line_start: bool,
    /// Whether the last prompt was told to be hidden, and none came since.
    #[serde(default)]
    pub(crate) is_promptless: bool,
    /// Whether the lines at `offset` are a block of facts that PowerShell wrote.
    pub(crate) in_facts: bool,
    /// Whether the shell marks its prompts.
    marks: bool,
    /// Known prompts seen without a mark since the last mark.
    stray: u32,
    /// How often lately there was one between two marks.
    #[serde(default)]
    forged: u32,
    /// What the last command may have started.
    started: Starts,
    /// Whether lines were edited by a line editor, which shows what was typed ahead again.
    pub(crate) has_editor: bool,
    /// Whether the last command is one whose output often does not end its last row.
    pub(crate) leaves_rows: bool,
    /// Lines of output since the last prompt.
    since: u64,
    /// Whether nothing stood behind the last prompt.
    was_silent: bool,
    /// The last command, which waits for its output or for its other lines.
    pending: Option<Pending>,
    /// The first line, which may begin with a prompt without a sign.
    #[serde(default)]
    first: First,
    /// What the row above the last prompt looks like: it may belong to the prompt.
    #[serde(default)]
    upper_row: String,
}

/// The first line of a session that is not blank.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum First {
    /// It did not come yet.
    #[default]
    Unread,
    /// It may be a prompt and a command: another line that begins so will tell.
    Doubted { prompt: String, text: String, line: u64, offset: u64 },
    /// It is settled.
    Known,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    command: Command,
    syntax: Syntax,
    /// Whether all output so far could be a listing of completions of the last word.
    listing: bool,
    /// Words of that listing.
    listed: usize,
    /// Whether the first row of the next prompt came behind it.
    #[serde(default)]
    upper_row: bool,
    /// Lines right below the command that are commands themselves: typed while it ran.
    ahead: VecDeque<String>,
    /// Whether all output so far is such lines.
    is_ahead: bool,
}

/// Where something stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) offset: u64,
}

type See<'a> = dyn FnMut(Piece<'_>) + 'a;

impl State {
    pub(crate) fn new() -> Self {
        Self {
            offset: 0,
            line: 1,
            format: Format::Unknown,
            header: None,
            footer: None,
            prompts: Prompts::default(),
            widths: Widths::new(),
            alternate: Alternate::Off,
            coverage: Coverage::default(),
            commands: 0,
            is_rest: false,
            is_command_rest: false,
            is_line_start: true,
            is_promptless: false,
            in_facts: false,
            marks: false,
            stray: 0,
            forged: 0,
            started: Starts::Nothing,
            has_editor: false,
            leaves_rows: false,
            since: 0,
            was_silent: false,
            pending: None,
            first: First::Unread,
            upper_row: String::new(),
        }
    }

    /// Looks at a row that may settle what the first one was. A session begins at a prompt: if a colon ends that,
    /// another row that begins so tells. Then the first row was a command. A line editor in the row tells at once.
    pub(crate) fn doubt_first(&mut self, row: &str, edited: bool, see: &mut See<'_>) {
        let Place { line, offset } = self.place();
        match std::mem::replace(&mut self.first, First::Known) {
            // The first row itself: it is looked at again when more has been read.
            doubted @ First::Doubted { offset: first, .. } if first == offset => self.first = doubted,
            First::Unread if row.trim().is_empty() => self.first = First::Unread,
            First::Unread => {
                if let Some((prompt, text)) = ends_in_colon(row).and_then(|end| row.split_at_checked(end)) {
                    if edited {
                        self.prompts.learn(prompt, ShellKind::Unknown, false);
                    } else {
                        let (prompt, text) = (prompt.to_owned(), text.trim().to_owned());
                        self.first = First::Doubted { prompt, text, line, offset };
                    }
                }
            }
            First::Doubted { prompt, text, line, offset } if row.starts_with(&prompt) => {
                self.prompts.learn(&prompt, ShellKind::Unknown, false);
                let recovered = Recovered { prompt, ..Recovered::bare(text) };
                self.take(recovered, Place { line, offset }, false, true, see);
            }
            doubted @ First::Doubted { .. } => self.first = doubted,
            First::Known => {}
        }
    }

    /// Whether a prompt may stand behind output at this place.
    pub(crate) fn unended(&self) -> Unended {
        match (self.leaves_rows, self.since) {
            (false, _) => Unended::Never,
            (true, 0) => Unended::Here,
            (true, _) => Unended::Sometimes,
        }
    }

    /// Whether a line may settle what the first one was.
    pub(crate) fn doubts_first(&self, line: &[u8]) -> bool {
        match &self.first {
            First::Unread => self.prompts.is_empty(),
            First::Doubted { prompt, .. } => {
                let is_soon = self.coverage.marked == 0 && self.coverage.unmarked < FIRST_WITHIN;
                is_soon && line.starts_with(prompt.as_bytes())
            }
            First::Known => false,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place { line: self.line, offset: self.offset }
    }

    /// Which prompts without a mark are taken at this place.
    pub(crate) fn openness(&self) -> Openness {
        let just_started = self.since < PROMPT_WITHIN;
        match self.started {
            _ if self.prompts.is_unsure() => Openness::Guesses,
            Starts::Shell | Starts::Repl if just_started => Openness::Guesses,
            Starts::Prompt if self.since == 0 => Openness::Guesses,
            _ => Openness::Closed,
        }
    }

    /// Whether the last command waits for its output.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a line may belong to the last command although it has no known prompt.
    pub(crate) fn may_go_on(&self) -> bool {
        self.since == 0 && self.pending.as_ref().is_some_and(Pending::is_open)
    }

    /// Whether a prompt that was not marked counts.
    pub(crate) fn believes(&mut self, recovered: &Recovered) -> bool {
        if !self.marks {
            return true;
        }
        match self.started {
            Starts::Shell | Starts::Repl => true,
            // The shell that started this one may mark nothing.
            Starts::End if self.prompts.knows_unmarked(&recovered.prompt) => true,
            _ if recovered.trust < Trust::Known => false,
            Starts::Prompt if self.since == 0 => true,
            _ => {
                self.stray += 1;
                self.coverage.outside_marks += u64::from(!recovered.text.is_empty());
                self.stray >= STRAY_LIMIT || self.forged >= (STRAY_LIMIT - 1) * FORGED
            }
        }
    }

    /// Takes a mark that held nothing, while something follows on its line: the mark is not to be trusted.
    pub(crate) fn doubt_marks(&mut self) {
        self.marks = false;
        self.started = Starts::Prompt;
    }

    /// Takes what was typed at a prompt.
    pub(crate) fn take(
        &mut self,
        mut recovered: Recovered,
        place: Place,
        marked: bool,
        ran: bool,
        see: &mut See<'_>,
    ) {
        let ran = ran && !recovered.is_cancelled();
        if marked {
            // Output that repeats a prompt does so now and then; a mark that is forged does so each time.
            self.forged = match std::mem::take(&mut self.stray) {
                0 => self.forged.saturating_sub(1),
                _ => (self.forged + FORGED).min(STRAY_LIMIT * FORGED),
            };
            self.coverage.marked += 1;
        } else {
            self.coverage.unmarked += 1;
        }
        if let Some(rest) = self.goes_on(&recovered, marked, ran) {
            self.marks = marked;
            if !rest.is_empty() {
                // What was open is closed above: the rows below it are commands of their own.
                recovered.text = rest;
                self.begin(&recovered, place, marked, ran, VecDeque::new(), see);
            }
            return;
        }
        let mut ahead = VecDeque::new();
        if !marked && !self.has_editor {
            ahead = self.take_ahead(&mut recovered, see);
        }
        if std::mem::take(&mut self.was_silent) && self.since > 0 {
            self.coverage.silent += 1;
        }
        let last_row = self.pending.as_ref().and_then(|pending| pending.command.output.last());
        let upper_row = last_row.filter(|_| !marked).map_or_else(String::new, |row| shape(row));
        if self.is_redrawn(&recovered, marked) {
            self.pending = None;
        }
        self.release(see);
        if !recovered.continues && self.prompts.learn(&recovered.prompt, recovered.kind, marked) {
            self.coverage.prompt_changes += 1;
        }
        if self.alternate != Alternate::Off {
            self.coverage.hidden_by_alternate_screen += 1;
        }
        self.marks = marked;
        self.is_promptless &= recovered.prompt.is_empty();
        self.since = 0;
        self.upper_row = upper_row;
        let text = recovered.text.strip_suffix("^C").unwrap_or(&recovered.text).trim().to_owned();
        if text.is_empty() {
            self.was_silent = ran;
            // A shell that is left with Ctrl-D shows nothing.
            if !recovered.is_cancelled() {
                self.started = Starts::End;
            }
            return;
        }
        // Old agents start the logger by typing it into a first shell.
        if self.commands == 0 && is_logger(&text) {
            self.started = Starts::Shell;
            return;
        }
        recovered.text = text;
        self.begin(&recovered, place, marked, ran, ahead, see);
    }

    /// Takes commands that wait for their output.
    fn begin(
        &mut self,
        recovered: &Recovered,
        place: Place,
        marked: bool,
        ran: bool,
        mut ahead: VecDeque<String>,
        see: &mut See<'_>,
    ) {
        let text = recovered.text.as_str();
        if ran {
            self.started = starts(text);
            self.leaves_rows = leaves_rows(text);
            self.coverage.echo_off += u64::from(turns_echo_off(text));
            match prompting(text) {
                Prompting::Kept => {}
                Prompting::Is(prompt) => {
                    self.prompts.learn(&prompt, ShellKind::Posix, marked);
                }
                Prompting::Hidden => {
                    self.coverage.promptless += 1;
                    self.is_promptless = true;
                }
            }
        }
        let confidence = match recovered.trust {
            Trust::Guess => Confidence::Low,
            _ if marked && !recovered.prompt.is_empty() => Confidence::High,
            _ => Confidence::Medium,
        };
        for text in commands_of(text) {
            self.release(see);
            let syntax = Syntax::of(&text);
            if ran {
                self.widths.remember(&text);
            }
            let ahead = std::mem::take(&mut ahead);
            let command = Command {
                text,
                line: place.line,
                offset: place.offset,
                prompt: recovered.prompt.clone(),
                output: Vec::new(),
                confidence,
                shell: recovered.kind,
                ran,
            };
            self.pending = Some(Pending {
                command,
                syntax,
                listing: !marked,
                listed: 0,
                upper_row: false,
                is_ahead: !marked,
                ahead,
            });
        }
    }

    /// Takes a line of output that is not blank.
    pub(crate) fn note(&mut self, line: &[u8], see: &mut See<'_>) {
        self.since += 1;
        let Some(pending) = &mut self.pending else { return };
        let mut text = Vec::new();
        flatten(line, &mut text);
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_end();
        let command = &mut pending.command;
        if command.output.is_empty() && command.ran && is_expansion(&command.text, text) {
            command.text = text.to_owned();
        }
        pending.is_ahead = pending.is_ahead && pending.ahead.len() < AHEAD_LIMIT && is_known_command(text);
        if pending.is_ahead {
            pending.ahead.push_back(text.to_owned());
        }
        if command.output.len() < OUTPUT_LINES {
            command.output.push(text.chars().take(OUTPUT_WIDTH).collect());
        }
        let is_upper_row = pending.listed > 0 && !pending.upper_row && shape(text) == self.upper_row;
        if pending.listing && is_upper_row {
            pending.upper_row = true;
        } else if pending.listing {
            let is_soon = self.since < LISTING_LIMIT && !pending.upper_row;
            pending.listing = is_soon && could_complete(&command.text, text);
            pending.listed += text.split_whitespace().count();
        }
        if command.output.len() >= OUTPUT_LINES && !pending.listing {
            self.release(see);
        }
    }

    /// Gives the last command, which waits for nothing more.
    pub(crate) fn release(&mut self, see: &mut See<'_>) {
        if let Some(pending) = self.pending.take() {
            self.commands += 1;
            see(Piece::Command(pending.command));
        }
    }

    /// Joins what was typed to the last command, if its shell asked for more. Gives the rows that do not belong to it.
    fn goes_on(&mut self, recovered: &Recovered, marked: bool, ran: bool) -> Option<String> {
        let is_ps1 = self.prompts.knows(&recovered.prompt);
        let pending = self.pending.as_mut()?;
        let asked = pending.is_open() || (marked && !is_ps1);
        if self.since > 0 || !recovered.continues || !asked {
            return None;
        }
        let text = recovered.text.strip_suffix("^C").unwrap_or(&recovered.text);
        if pending.command.text.len() + text.len() > COMMAND_LIMIT {
            return None;
        }
        let mut rows = text.split('\n');
        let mut is_first = true;
        while is_first || pending.is_open() {
            let Some(row) = rows.next() else { break };
            is_first = false;
            pending.join(row);
        }
        pending.command.ran &= ran;
        pending.listing = false;
        if !pending.is_open() {
            self.widths.remember(&pending.command.text);
        }
        Some(rows.collect::<Vec<_>>().join("\n"))
    }

    /// Without a line editor, what was typed while a command ran is shown then, and not again at the prompt that reads
    /// it: there its output stands. Puts the command in its place; the rest of what was typed ahead is returned.
    fn take_ahead(&mut self, recovered: &mut Recovered, see: &mut See<'_>) -> VecDeque<String> {
        let Some(pending) = &mut self.pending else { return VecDeque::new() };
        let mut ahead = std::mem::take(&mut pending.ahead);
        let is_command =
            is_known_command(&recovered.text) || recovered.text.starts_with(['.', '/', '~', '$']);
        if ahead.is_empty() || recovered.text.is_empty() || is_command {
            return VecDeque::new();
        }
        let Some(text) = ahead.pop_front() else { return ahead };
        let shown = std::mem::replace(&mut recovered.text, text);
        recovered.trust = Trust::Guess;
        see(Piece::Output(Output { text: shown.as_bytes(), line: self.line, offset: self.offset }));
        see(Piece::Output(Output { text: b"\n", line: self.line, offset: self.offset }));
        ahead
    }

    /// Whether the last command was not entered: its completions were listed, and it was drawn again.
    fn is_redrawn(&self, recovered: &Recovered, marked: bool) -> bool {
        let Some(pending) = &self.pending else { return false };
        !marked
            && pending.listing
            && pending.listed > 1
            && self.since > 0
            && pending.command.prompt == recovered.prompt
            // The same command again is another run of it.
            && recovered.text.len() > pending.command.text.len()
            && recovered.text.starts_with(&pending.command.text)
    }
}

impl Pending {
    fn join(&mut self, row: &str) {
        let text = &mut self.command.text;
        // The shell takes a backslash and the line feed after it away.
        let slashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if slashes % 2 == 1 {
            text.pop();
        } else {
            text.push('\n');
        }
        text.push_str(row);
        self.syntax.read(row);
    }

    fn is_open(&self) -> bool {
        self.syntax.is_open() || self.command.shell == ShellKind::Repl
    }
}

/// The commands of a text that was entered at once: a paste can hold many.
fn commands_of(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut syntax = Syntax::default();
    for line in text.split('\n') {
        let goes_on = syntax.is_open();
        syntax.read(line);
        match commands.last_mut().filter(|_| goes_on) {
            Some(command) => {
                command.push('\n');
                command.push_str(line);
            }
            None if line.trim().is_empty() => {}
            None => commands.push(line.to_owned()),
        }
    }
    commands
}

/// Whether a command is the agent's own logger and nothing else.
fn is_logger(text: &str) -> bool {
    let first = text.trim_start_matches(['&', '\'']).split([' ', '\'']).next().unwrap_or_default();
    let name = first.rsplit(['/', '\\']).next().unwrap_or_default();
    matches!(name, "ssm-session-logger" | "ssm-session-logger.exe")
        && !text.contains([';', '|', '$', '`', '\n'])
}

/// Whether every word of a line begins as the last word of a command does: a listing of its completions.
fn could_complete(command: &str, line: &str) -> bool {
    let word = command.rsplit([' ', '/', '=', ':']).next().unwrap_or_default();
    let is_question = line.starts_with("Display all ") || line.starts_with("--More--");
    is_question || (!word.is_empty() && line.split_whitespace().all(|other| other.starts_with(word)))
}

/// Whether a line is what the shell made of a reference to its history (`!!`, `!$`, `^a^b`), which it shows.
fn is_expansion(command: &str, line: &str) -> bool {
    if command.starts_with('^') && command.matches('^').count() >= 2 {
        return !line.contains("substitution failed");
    }
    let reference = |text: &str| {
        text.match_indices('!').map(|(at, _)| at).find(|at| {
            let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
            next.is_some_and(|next| !next.is_whitespace() && !matches!(next, '=' | '(' | '"' | '\''))
        })
    };
    let Some(first) = reference(command) else { return false };
    let rest = command.get(first + 1..).unwrap_or_default();
    let last = rest.rfind('!').map_or(rest, |at| rest.get(at + 1..).unwrap_or_default());
    let designator = match last.chars().next() {
        None => 0,
        Some('!' | '$' | '^' | '*') => 1,
        Some(_) => last.find([' ', ';', '|', '&', ':', '"']).unwrap_or(last.len()),
    };
    let before = command.get(..first).unwrap_or_default();
    let after = last.get(designator..).unwrap_or_default();
    let after = if after.starts_with(':') { "" } else { after };
    line != command
        && line.len() >= before.len() + after.len()
        && line.starts_with(before)
        && line.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::{could_complete, is_expansion};

    #[test]
    fn the_shell_shows_what_a_reference_to_its_history_became() {
        for (command, line, expected) in [
            ("sudo !!", "sudo systemctl restart app", true),
            ("cat !$ | wc", "cat /etc/hosts | wc", true),
            ("!ssh", "ssh web01", true),
            ("^stat^restart", "systemctl restart app", true),
            ("sudo !!", "permission denied", false),
            ("echo hello", "hello", false),
            ("test a != b", "test a x b", false),
        ] {
            assert_eq!(is_expansion(command, line), expected, "{command} -> {line}");
        }
    }

    #[test]
    fn a_listing_holds_only_what_completes_the_last_word() {
        assert!(could_complete("cat be", "beta.csv  beta.txt"));
        assert!(!could_complete("cat be", "alpha  beta"));
        assert!(!could_complete("cat ", "alpha"));
    }
}
