//! A transcript read piece by piece.
//!
//! Bytes are held back only as long as they are part of something unfinished: a line, or a prompt that was not
//! entered yet. What is held is not part of the state, so a checkpoint is the state and the place where the held bytes
//! begin.

mod drawn;
mod lookup;

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::coverage::Coverage;
use crate::flatten::{before_visible, first_visible, flatten, without_unterminated};
use crate::header::{FOOTER, Footer, HEADER, Header};
use crate::piece::{Output, Piece, ShellKind};
use crate::powershell;
use crate::prompt::{Openness, Split, Trust, continuation, ends_in_colon};
use crate::region::{self, Recovered};
use crate::state::{Alternate, Format, Place, State};
use crate::syntax::is_known_command;

use drawn::{
    PROMPT_BYTES, draws, extent, first_row, has_editor, is_left_by_interrupt, lost_row, paints,
    without_line_end,
};
use lookup::{Lookup, Waiting};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// A line longer than this is cut.
const LINE_LIMIT: usize = 64 * 1024;
/// A prompt region longer than this is given up.
const REGION_LIMIT: usize = 128 * 1024;
/// Bytes of the next line that tell whether the line editor goes on there.
const LOOK_AHEAD: usize = FOOTER.len() + 1;

/// A prompt within a full-screen program is at least this long: it is not there by chance.
const HIDDEN_PROMPT: usize = 4;

const MODE: &[u8] = b"\x1b[?";
const BEGIN: &[u8] = b"\x1b[?2004h";
const END: &[u8] = b"\x1b[?2004l";
const ENTER_ALTERNATE: [&[u8]; 3] = [b"\x1b[?1049h", b"\x1b[?1047h", b"\x1b[?47h"];
const LEAVE_ALTERNATE: [&[u8]; 3] = [b"\x1b[?1049l", b"\x1b[?1047l", b"\x1b[?47l"];

/// Reads a transcript in constant memory.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// Bytes from `state.offset` on that are not done with.
    held: Vec<u8>,
    lookup: Lookup,
}

/// What is known once the whole transcript was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The first line, if the agent's `script` wrote it.
    pub header: Option<Header>,
    /// The last line; absent in a log that was cut off.
    pub footer: Option<Footer>,
    /// Bytes read.
    pub bytes: u64,
    /// Lines read.
    pub lines: u64,
    /// Commands recovered, the cancelled ones too.
    pub commands: u64,
    /// What could not be recovered.
    pub coverage: Coverage,
}

/// What a step did.
enum Step {
    /// So many bytes are done with; at least one.
    Used(usize),
    /// More bytes are needed to go on.
    Wait,
}

type See<'a> = dyn FnMut(Piece<'_>) + 'a;

impl Reader {
    /// A reader at the first byte of a transcript.
    pub fn new() -> Self {
        Self::at(State::new())
    }

    /// A reader that goes on at [`Checkpoint::offset`].
    pub fn resume(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        Ok(Self::at(checkpoint.state()?))
    }

    /// Reads the next bytes and gives `see` what they complete.
    pub fn push(&mut self, bytes: &[u8], see: &mut dyn FnMut(Piece<'_>)) {
        for chunk in bytes.chunks(CHUNK) {
            self.held.extend_from_slice(chunk);
            self.read(false, see);
        }
    }

    /// Ends the transcript: gives `see` what was waiting for more.
    pub fn finish(mut self, see: &mut dyn FnMut(Piece<'_>)) -> Summary {
        self.read(true, see);
        let mut state = self.state;
        state.release(see);
        Summary {
            header: state.header,
            footer: state.footer,
            bytes: state.offset,
            lines: state.line - u64::from(state.is_line_start),
            commands: state.commands,
            coverage: state.coverage,
        }
    }

    /// Where another reader can go on.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint::new(self.state.clone()))
    }

    fn at(state: State) -> Self {
        Self { state, held: Vec::new(), lookup: Lookup::default() }
    }

    /// Uses as many of the held bytes as can be.
    fn read(&mut self, is_end: bool, see: &mut See<'_>) {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while !rest.is_empty() {
            let Step::Used(used) = self.step(rest, is_end, see) else { break };
            let (done, left) = rest.split_at(used.clamp(1, rest.len()));
            self.pass(done);
            rest = left;
        }
        let used = held.len() - rest.len();
        held.drain(..used);
        self.held = held;
    }

    /// Goes past bytes.
    fn pass(&mut self, bytes: &[u8]) {
        self.state.offset += bytes.len() as u64;
        self.state.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.state.is_line_start = bytes.last() == Some(&b'\n');
        self.state.widths.earn(bytes.len());
    }

    fn step(&mut self, data: &[u8], is_end: bool, see: &mut See<'_>) -> Step {
        if !is_end && self.lookup.must_wait(data, self.state.offset) {
            return Step::Wait;
        }
        let Some(line) = self.whole_line(data, is_end) else { return Step::Wait };
        if self.state.format == Format::Unknown
            && let Some(step) = self.first_line(line)
        {
            return step;
        }
        let is_last = line.len() == data.len();
        if line.starts_with(FOOTER) && is_last {
            if !is_end {
                return Step::Wait;
            }
            self.state.footer = Footer::parse(line);
            return Step::Used(line.len());
        }
        self.lookup.learn(&self.state);
        match self.state.format {
            Format::PowerShell => self.powershell(line, see),
            Format::NonInteractive => self.output(data, line.len(), see),
            Format::Unknown | Format::Terminal => self.terminal(data, line, is_end, see),
        }
    }

    /// The first line of the data, if it is whole, longer than may be held, or the last.
    fn whole_line<'a>(&mut self, data: &'a [u8], is_end: bool) -> Option<&'a [u8]> {
        let bound = data.get(..LINE_LIMIT).unwrap_or(data);
        let searched = self.lookup.line_end.saturating_sub(self.state.offset) as usize;
        let searched = searched.min(bound.len());
        if let Some(at) = memchr(b'\n', bound.get(searched..).unwrap_or_default()) {
            return data.get(..searched + at + 1);
        }
        if is_end || data.len() >= LINE_LIMIT {
            return Some(bound);
        }
        self.lookup.line_end = self.state.offset + data.len() as u64;
        None
    }

    /// Tells from the first line what kind of transcript this is.
    fn first_line(&mut self, line: &[u8]) -> Option<Step> {
        if powershell::is_rule(line) {
            self.state.format = Format::PowerShell;
            return None;
        }
        self.state.format = Format::Terminal;
        if !line.starts_with(HEADER) {
            return None;
        }
        let header = Header::parse(line)?;
        if header.is_non_interactive() {
            self.state.format = Format::NonInteractive;
        }
        self.state.header = Some(header);
        Some(Step::Used(line.len()))
    }

    fn powershell(&mut self, line: &[u8], see: &mut See<'_>) -> Step {
        let place = self.state.place();
        let text = String::from_utf8_lossy(line);
        if powershell::is_rule(line) {
            self.state.in_facts = !self.state.in_facts;
        } else if !self.state.in_facts
            && let Some(recovered) = powershell::command(&self.state.prompts, &text, self.state.may_go_on())
        {
            self.state.take(recovered, place, false, true, see);
            return Step::Used(line.len());
        }
        self.show(line, place, see);
        Step::Used(line.len())
    }

    /// A line that a terminal was sent, and the lines that belong to it.
    fn terminal(&mut self, data: &[u8], line: &[u8], is_end: bool, see: &mut See<'_>) -> Step {
        if self.state.is_rest && self.state.is_command_rest {
            return self.command_rest(line, see);
        }
        if self.state.is_rest {
            let is_prompt = self.lookup.may_be_prompt(&self.state, data, line);
            let step = if is_prompt { self.prompt(data, line, is_end, see) } else { None };
            return match step {
                Some(step) => step,
                None => self.output(data, line.len(), see),
            };
        }
        let has_controls = self.lookup.has_controls(data, self.state.offset, line.len());
        let has_modes = self.lookup.has_modes(data, self.state.offset, line.len());
        if has_modes && let Some(begin) = self.lookup.begin(data, self.state.offset, line.len()) {
            if self.switches_before(line, begin) {
                return self.output(data, line.len(), see);
            }
            if self.state.alternate == Alternate::Idle && paints(line.get(..begin).unwrap_or_default()) {
                self.state.alternate = Alternate::Driven;
            }
            // Full-screen programs turn bracketed paste on too.
            let is_prompt = self.state.alternate != Alternate::Driven || self.shows_known_prompt(line, begin);
            if is_prompt {
                return self.region(data, line, begin, is_end, see);
            }
        }
        // The output ends with the change; what follows it is read as a line of its own.
        if has_modes && self.switches_before(line, line.len()) {
            return self.output(data, line.len(), see);
        }
        if has_controls && self.state.alternate == Alternate::Idle && paints(line) {
            self.state.alternate = Alternate::Driven;
        }
        if self.state.alternate == Alternate::Off && self.state.doubts_first(line) {
            self.state.doubt_first(&first_row(line), has_editor(line), see);
            self.lookup.learn(&self.state);
        }
        if has_controls && self.state.prompts.is_empty() && self.state.alternate == Alternate::Off {
            self.learn_from_edits(line);
            self.lookup.learn(&self.state);
        }
        if self.lookup.may_be_prompt(&self.state, data, line)
            && let Some(step) = self.prompt(data, line, is_end, see)
        {
            return step;
        }
        if self.state.is_promptless
            && let Some(step) = self.promptless(line, see)
        {
            return step;
        }
        self.output(data, line.len(), see)
    }

    /// A line without a prompt that may be a command, by its name alone.
    fn promptless(&mut self, line: &[u8], see: &mut See<'_>) -> Option<Step> {
        let row = first_row(line);
        is_known_command(row.trim()).then_some(())?;
        let place = self.state.place();
        self.state.take(Recovered::bare(row.trim().to_owned()), place, false, true, see);
        Some(Step::Used(line.len()))
    }

    /// What goes on of a command line that was cut.
    fn command_rest(&mut self, line: &[u8], see: &mut See<'_>) -> Step {
        let place = self.state.place();
        self.state.is_rest = !line.ends_with(b"\n");
        self.state.is_command_rest = self.state.is_rest;
        let mut flat = Vec::new();
        flatten(line, &mut flat);
        let text = String::from_utf8_lossy(&flat).trim().to_owned();
        self.state.take(Recovered::bare(text), place, false, true, see);
        Step::Used(line.len())
    }

    /// Whether the screen changes before the mark.
    fn switches_before(&self, line: &[u8], begin: usize) -> bool {
        self.switch_end(line.get(..begin).unwrap_or_default()).is_some()
    }

    /// The end of the first change of the screen in a line.
    fn switch_end(&self, line: &[u8]) -> Option<usize> {
        memmem::find_iter(line, MODE).find_map(|at| {
            let rest = line.get(at..)?;
            let sequence = self.switches().iter().find(|sequence| rest.starts_with(sequence))?;
            Some(at + sequence.len())
        })
    }

    /// What changes the screen now.
    fn switches(&self) -> &'static [&'static [u8]; 3] {
        if self.state.alternate == Alternate::Off { &ENTER_ALTERNATE } else { &LEAVE_ALTERNATE }
    }

    /// Whether a known prompt follows the mark.
    fn shows_known_prompt(&self, line: &[u8], begin: usize) -> bool {
        let rest = line.get(begin + BEGIN.len()..).unwrap_or_default();
        let row = first_row(rest.get(..PROMPT_BYTES).unwrap_or(rest));
        self.state.prompts.split(&row, Openness::Closed).is_some_and(|split| split.trust == Trust::Known)
    }

    /// What stands between two marks.
    fn region(&mut self, data: &[u8], line: &[u8], begin: usize, is_end: bool, see: &mut See<'_>) -> Step {
        let bound = data.get(..REGION_LIMIT).unwrap_or(data);
        let searched = begin + BEGIN.len();
        let end = memmem::find(bound.get(searched..).unwrap_or_default(), END).map(|at| searched + at);
        let (end, ran) = match end {
            Some(end) => (end, true),
            None if bound.len() >= REGION_LIMIT => {
                self.state.coverage.abandoned += 1;
                let is_command = self.shows_known_prompt(line, begin);
                let step = self.output(data, line.len(), see);
                self.state.is_command_rest = self.state.is_rest && is_command;
                return step;
            }
            None if is_end => (memmem::rfind(data, b"\nScript done on ").unwrap_or(data.len()), false),
            None => {
                let from = (data.len() + 1).saturating_sub(END.len());
                self.lookup.waiting = Some((self.state.offset, Waiting::Mark(from)));
                return Step::Wait;
            }
        };
        // A second mark before the end: what began at the first never came to a line.
        let last = bound.get(..end).and_then(|bytes| memmem::rfind(bytes, BEGIN)).unwrap_or(begin);
        let start = bound.get(..last).and_then(|bytes| memchr::memrchr(b'\n', bytes)).map_or(0, |at| at + 1);
        if start > 0 && last > begin {
            let place = self.state.place();
            let above = bound.get(begin + BEGIN.len()..start).unwrap_or_default();
            self.state.coverage.outside_marks += u64::from(self.is_forged(above, false));
            self.show(bound.get(..start).unwrap_or_default(), place, see);
            return Step::Used(start);
        }
        // A mark that ends before the prompt, on its line, was put into the prompt.
        if ran && bound.get(last + BEGIN.len()..end).is_some_and(|body| first_visible(body).is_none()) {
            let used = end + END.len();
            let rest = bound.get(used..).unwrap_or_default();
            let Some(length) = memchr(b'\n', rest) else {
                if !is_end && bound.len() < REGION_LIMIT {
                    self.lookup.waiting = Some((self.state.offset, Waiting::Length(data.len() + 1)));
                    return Step::Wait;
                }
                return Step::Used(used);
            };
            // Many such marks can stand on one line: of each, so much is looked at.
            let follows = rest.get(..length.min(PROMPT_BYTES)).unwrap_or_default();
            if first_row(follows).trim().is_empty() {
                return Step::Used(used);
            }
            if rest.get(..length).is_none_or(|rest| memmem::find(rest, BEGIN).is_none()) {
                self.state.doubt_marks();
                return Step::Used(used);
            }
        }
        let prefix = bound.get(..last).unwrap_or_default();
        let body = bound.get(last + BEGIN.len()..end).unwrap_or_default();
        if self.is_forged(body, ran) {
            let place = self.state.place();
            self.show(prefix, place, see);
            self.state.coverage.outside_marks += 1;
            self.state.doubt_marks();
            return Step::Used(last + BEGIN.len());
        }
        let used = if ran { end + END.len() } else { end };
        self.marked(prefix, body, ran, see);
        Step::Used(used)
    }

    /// Whether more than one line was entered between two marks, each at a known prompt: a program wrote the marks. A
    /// line editor draws the prompt again too, with what was typed so far.
    fn is_forged(&self, body: &[u8], ran: bool) -> bool {
        let mut entered: Option<String> = None;
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let unseen = line.get(..before_visible(line)).unwrap_or_default();
            let is_drawn_again = memmem::find(unseen, b"\x1b[A").is_some();
            let row = if self.lookup.begins_as_prompt(line) && !is_drawn_again {
                first_row(line)
            } else {
                String::new()
            };
            let split = self.state.prompts.split(&row, Openness::Closed);
            if split.is_some_and(|split| split.trust == Trust::Known) {
                if entered.as_ref().is_some_and(|entered| !draws(line, entered)) {
                    return true;
                }
                entered = Some(row.trim().to_owned());
            } else if !ran
                && entered.is_some()
                && !line.starts_with(b"\r")
                && before_visible(line) < line.len()
            {
                return true;
            }
        }
        false
    }

    fn marked(&mut self, prefix: &[u8], body: &[u8], ran: bool, see: &mut See<'_>) {
        let place = self.state.place();
        let prefix = self.without_unterminated(prefix);
        let body = self.without_unterminated(body);
        let Some(rendered) = self.state.widths.render(&prefix, &body, &self.state.prompts) else {
            self.state.coverage.abandoned += 1;
            self.show(&prefix, place, see);
            self.show(&body, place, see);
            return;
        };
        let recovered = region::marked(&mut self.state.prompts, &rendered);
        let ran = ran && !is_left_by_interrupt(&prefix, &body);
        for row in &recovered.before {
            self.state.note(row.as_bytes(), see);
        }
        for row in recovered.before.iter().chain(&recovered.others) {
            see(Piece::Output(Output { text: row.as_bytes(), line: place.line, offset: place.offset }));
            see(Piece::Output(Output { text: b"\n", line: place.line, offset: place.offset }));
        }
        if rendered.screen.is_cut {
            self.show_lost(&body, place, true, see);
        }
        self.state.take(recovered, place, true, ran, see);
    }

    /// A prompt that is known by its look.
    fn prompt(&mut self, data: &[u8], line: &[u8], is_end: bool, see: &mut See<'_>) -> Option<Step> {
        let goes_on = self.state.may_go_on();
        let open = self.state.openness();
        let mut row = first_row(line);
        let length = continuation(&row).filter(|_| goes_on);
        let mut split = self.state.prompts.split(&row, open);
        let mut start = 0;
        if split.is_none() && length.is_none() {
            start = self.state.prompts.find_within(line, self.state.unended())?;
            row = first_row(line.get(start..).unwrap_or_default());
            split = self.state.prompts.split(&row, Openness::Closed);
            split.as_ref()?;
        }
        let is_sure = |split: &Split| split.trust == Trust::Known && split.end >= HIDDEN_PROMPT;
        if self.state.alternate == Alternate::Driven && !split.as_ref().is_some_and(is_sure) {
            return None;
        }
        let skipped = split.as_ref().map_or(0, |split| split.end);
        let width = self.state.widths.likeliest();
        let prompts = &self.state.prompts;
        let is_entered = |row: &str| {
            let split = prompts.split(row, Openness::Closed);
            split.is_some_and(|split| {
                is_sure(&split) && !row.get(split.end..).unwrap_or_default().trim().is_empty()
            })
        };
        let end = match extent(data, start, line.len(), (skipped, width), is_end, &is_entered) {
            Ok(end) => end,
            Err(waiting) => {
                self.lookup.waiting = Some((self.state.offset, waiting));
                return Some(Step::Wait);
            }
        };
        let place = self.state.place();
        let bytes = data.get(start..end).unwrap_or(data);
        // The wrapper ends an unfinished last line with a bare line feed.
        let is_cut = end >= LINE_LIMIT && !bytes.ends_with(b"\n");
        let entered = is_cut
            || bytes.ends_with(b"\r\n")
            || (bytes.ends_with(b"\n") && !data.get(end..)?.starts_with(FOOTER));
        let bytes = self.without_unterminated(without_line_end(bytes));
        let Some(rendered) = self.state.widths.render(&[], &bytes, &self.state.prompts) else {
            self.state.coverage.abandoned += 1;
            return None;
        };
        let has_editor = has_editor(&bytes);
        let recovered = match length {
            Some(length) if split.as_ref().is_none_or(|split| split.trust < Trust::Known) => {
                region::continued(&rendered, length)
            }
            _ => match region::unmarked(&self.state.prompts, &rendered, open) {
                Some(recovered) => recovered,
                None => {
                    self.state.coverage.overdrawn += u64::from(end > line.len());
                    return None;
                }
            },
        };
        if !recovered.continues && !self.state.believes(&recovered) {
            return None;
        }
        if start > 0 {
            self.show(data.get(..start).unwrap_or_default(), place, see);
            see(Piece::Output(Output { text: b"\n", line: place.line, offset: place.offset }));
        }
        let first = line.len().saturating_sub(start);
        self.show_overdrawn(&bytes, first, &recovered, rendered.screen.is_cut, place, see);
        self.state.has_editor |= has_editor;
        self.state.take(recovered, place, false, entered, see);
        if is_cut {
            self.state.is_rest = true;
            self.state.is_command_rest = true;
            self.state.coverage.cut_lines += 1;
        }
        Some(Step::Used(end))
    }

    /// Output: the first line, which has this length, and those after it that are plain, or not plain, as it is.
    fn output(&mut self, data: &[u8], first: usize, see: &mut See<'_>) -> Step {
        let place = self.state.place();
        if self.lookup.has_modes(data, self.state.offset, first) {
            let mut line = data.get(..first).unwrap_or(data);
            self.switch_screen(&mut line);
            self.state.is_rest = line.len() == first && !line.ends_with(b"\n");
            self.state.coverage.cut_lines += u64::from(self.state.is_rest && first >= LINE_LIMIT);
            self.show(line, place, see);
            return Step::Used(line.len());
        }
        let has_controls = self.lookup.has_controls(data, self.state.offset, first);
        let mut end = first;
        while let Some(length) = self.next_output(data, end, has_controls) {
            end += length;
        }
        let text = data.get(..end).unwrap_or(data);
        self.state.is_rest = !text.ends_with(b"\n");
        self.state.coverage.cut_lines += u64::from(self.state.is_rest && first >= LINE_LIMIT);
        if has_controls {
            self.show(text, place, see);
        } else {
            text.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.note(line, see));
            see(Piece::Output(Output { text, line: place.line, offset: place.offset }));
        }
        Step::Used(end)
    }

    /// The length of the line at a place, if it is output of the same kind without a doubt.
    fn next_output(&mut self, data: &[u8], at: usize, has_controls: bool) -> Option<usize> {
        let bound = data.get(at..data.len().min(CHUNK))?;
        let length = memchr(b'\n', bound)? + 1;
        let line = bound.get(..length)?;
        let rest = data.get(at..)?;
        let offset = self.state.offset + at as u64;
        let is_same = self.lookup.has_controls(rest, offset, length) == has_controls
            && !self.lookup.has_modes(rest, offset, length)
            && !line.starts_with(FOOTER)
            && self.state.alternate != Alternate::Idle
            && !self.state.is_promptless;
        if self.state.format != Format::Terminal {
            return is_same.then_some(length);
        }
        // What the last command becomes depends on the lines after it.
        let may_learn = (has_controls && self.state.prompts.is_empty()) || self.state.doubts_first(line);
        let is_settled = self.state.alternate == Alternate::Off && !self.state.is_waiting() && !may_learn;
        let is_output =
            is_same && is_settled && !self.lookup.may_be_prompt_at(&self.state, rest, offset, line);
        is_output.then_some(length)
    }

    /// Only a line editor erases: what such lines begin with is a prompt, whatever it looks like.
    fn learn_from_edits(&mut self, line: &[u8]) {
        let erases =
            [&b"\x08\x1b["[..], b"\x08 \x08", b"\x08\x08", b"\r\x1b[C\x1b[C", b"\r(reverse-i-search)"];
        if !erases.iter().any(|erase| memmem::find(line, erase).is_some()) {
            return;
        }
        let row = first_row(line);
        if self.state.prompts.split(&row, Openness::Guesses).is_some() {
            return;
        }
        let length = self.state.prompts.common_start(&row).max(ends_in_colon(&row));
        if let Some(prompt) = length.and_then(|length| row.get(..length)) {
            self.state.prompts.learn(prompt, ShellKind::Unknown, false);
        }
    }

    /// Cuts a line behind the first change of the screen in it, and makes that change.
    fn switch_screen(&mut self, line: &mut &[u8]) {
        let is_on = self.state.alternate != Alternate::Off;
        let Some(end) = self.switch_end(line) else { return };
        *line = line.get(..end).unwrap_or(line);
        if is_on {
            self.state.alternate = Alternate::Off;
        } else {
            self.state.alternate = Alternate::Idle;
            self.state.coverage.alternate_screens += 1;
        }
    }

    /// Gives text as output, without its control sequences.
    fn show(&mut self, bytes: &[u8], place: Place, see: &mut See<'_>) {
        let mut flat = std::mem::take(&mut self.lookup.flat);
        flat.clear();
        self.state.coverage.unterminated += flatten(bytes, &mut flat);
        for line in flat.split(|byte| *byte == b'\n') {
            self.note(line, see);
        }
        if !flat.is_empty() {
            see(Piece::Output(Output { text: &flat, line: place.line, offset: place.offset }));
        }
        self.lookup.flat = flat;
    }

    /// Gives what was drawn over as output: the first row, if another command took its place, and all of it if a prompt was
    /// drawn below, or the screen did not hold it.
    fn show_overdrawn(
        &mut self,
        bytes: &[u8],
        first: usize,
        recovered: &Recovered,
        is_cut: bool,
        place: Place,
        see: &mut See<'_>,
    ) {
        let (first, below) = bytes.split_at(first.min(bytes.len()));
        let prompt = recovered.prompt.trim();
        let is_overdrawn = !prompt.is_empty() && memmem::find(below, prompt.as_bytes()).is_some();
        self.state.coverage.overdrawn += u64::from(is_overdrawn);
        // History puts one command in the place of another, too: that alone is no reason for doubt.
        if let Some(row) = lost_row(first, below, recovered) {
            self.show_lost(row.as_bytes(), place, false, see);
        }
        if is_overdrawn || is_cut {
            self.show_lost(bytes, place, is_cut, see);
        }
    }

    /// Gives the text of a region as output too: a part of it is not in the command.
    fn show_lost(&mut self, bytes: &[u8], place: Place, is_cut: bool, see: &mut See<'_>) {
        self.state.coverage.abandoned += u64::from(is_cut);
        let mut flat = Vec::new();
        flatten(bytes, &mut flat);
        flat.push(b'\n');
        see(Piece::Output(Output { text: &flat, line: place.line, offset: place.offset }));
    }

    fn note(&mut self, line: &[u8], see: &mut See<'_>) {
        if !line.trim_ascii().is_empty() {
            self.state.note(line, see);
        }
    }

    fn without_unterminated<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match without_unterminated(bytes) {
            Some((bytes, count)) => {
                self.state.coverage.unterminated += count;
                Cow::Owned(bytes)
            }
            None => Cow::Borrowed(bytes),
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}
