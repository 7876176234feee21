//! What is searched for in the held bytes, so that no byte is searched twice and no step is tried in vain.

use memchr::{memchr2, memmem};

use super::{BEGIN, END, LINE_LIMIT, MODE, REGION_LIMIT};
use crate::ahead::Ahead;
use crate::flatten::first_visible;
use crate::prompt::{Openness, may_hold_sign};
use crate::state::State;

/// Searches that are kept from one step to the next, so that no byte is searched twice. They follow from the state and
/// the bytes: they change the time, never the result.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Of an escape or a backspace: a line without them is text as it is.
    pub(super) controls: Ahead,
    /// Of the start of a private mode: marks and changes of the screen are such.
    pub(super) modes: Ahead,
    /// Of the mark before a prompt.
    pub(super) begins: Ahead,
    anchors: Vec<Anchor>,
    /// Prompts too short to be searched for, unless the last command leaves rows unended.
    short: Vec<Anchor>,
    beginnings: Vec<Vec<u8>>,
    first_bytes: Vec<u8>,
    /// For which prompts the three above were made.
    version: Option<u64>,
    /// Up to where the end of the line was searched for.
    pub(super) line_end: u64,
    /// What the bytes at this offset wait for.
    pub(super) waiting: Option<(u64, Waiting)>,
    /// Output made plain, reused.
    pub(super) flat: Vec<u8>,
}

/// What must come before it is worth the time to look at the held bytes again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    /// So many bytes.
    Length(usize),
    /// A line feed from this byte on.
    Line(usize),
    /// The end of a region from this byte on.
    Mark(usize),
}

#[derive(Debug)]
struct Anchor {
    finder: memmem::Finder<'static>,
    ahead: Ahead,
}

impl Lookup {
    /// Takes over what was learned since.
    pub(super) fn learn(&mut self, state: &State) {
        let version = state.prompts.version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        self.beginnings = state.prompts.beginnings();
        self.first_bytes =
            self.beginnings.iter().filter_map(|beginning| beginning.first().copied()).collect();
        self.first_bytes.dedup();
        let make = |text: &String| Anchor {
            finder: memmem::Finder::new(text).into_owned(),
            ahead: Ahead::default(),
        };
        self.anchors = state.prompts.anchors().iter().map(make).collect();
        self.short = state.prompts.short().iter().map(make).collect();
    }

    /// Where the mark before a prompt is in the next bytes.
    pub(super) fn begin(&mut self, data: &[u8], offset: u64, length: usize) -> Option<usize> {
        let next = self.begins.next(data, offset, BEGIN.len(), |bytes| memmem::find(bytes, BEGIN));
        next.filter(|at| at + BEGIN.len() <= length)
    }

    /// Whether there is a private mode in the next bytes.
    pub(super) fn has_modes(&mut self, data: &[u8], offset: u64, length: usize) -> bool {
        let next = self.modes.next(data, offset, MODE.len(), |bytes| memmem::find(bytes, MODE));
        next.is_some_and(|at| at < length)
    }

    /// Whether what the bytes wait for has not come.
    pub(super) fn must_wait(&mut self, data: &[u8], at: u64) -> bool {
        let Some((offset, waiting)) = self.waiting else { return false };
        let search =
            |from: usize, what: &[u8]| memmem::find(data.get(from..).unwrap_or_default(), what).is_some();
        let is_over = offset != at
            || match waiting {
                Waiting::Length(length) => data.len() >= length,
                Waiting::Line(from) => data.len() >= LINE_LIMIT || search(from, b"\n"),
                Waiting::Mark(from) => data.len() >= REGION_LIMIT || search(from, END),
            };
        self.waiting = match waiting {
            _ if is_over => None,
            Waiting::Length(length) => Some((offset, Waiting::Length(length))),
            Waiting::Line(_) => Some((offset, Waiting::Line(data.len()))),
            Waiting::Mark(_) => Some((offset, Waiting::Mark((data.len() + 1).saturating_sub(END.len())))),
        };
        !is_over
    }

    /// Whether there is an escape or a backspace in the next bytes.
    pub(super) fn has_controls(&mut self, data: &[u8], offset: u64, length: usize) -> bool {
        let next = self.controls.next(data, offset, 1, |bytes| memchr2(0x1b, 0x08, bytes));
        next.is_some_and(|at| at < length)
    }

    pub(super) fn may_be_prompt(&mut self, state: &State, data: &[u8], line: &[u8]) -> bool {
        self.may_be_prompt_at(state, data, state.offset, line)
    }

    /// Whether a line may begin with a known prompt.
    pub(super) fn begins_as_prompt(&self, line: &[u8]) -> bool {
        first_visible(line).is_some_and(|first| self.first_bytes.contains(&first))
    }

    /// Whether it is worth the time to look for a prompt in a line.
    pub(super) fn may_be_prompt_at(&mut self, state: &State, data: &[u8], offset: u64, line: &[u8]) -> bool {
        if state.may_go_on() || (state.openness() != Openness::Closed && may_hold_sign(line)) {
            return true;
        }
        let first = match line.first() {
            Some(0..=0x08 | 0x0b..0x20) => first_visible(line),
            first => first.copied(),
        };
        if let Some(first) = first.filter(|first| self.first_bytes.contains(first)) {
            let is_plain = line.first() == Some(&first);
            if !is_plain || self.beginnings.iter().any(|beginning| line.starts_with(beginning)) {
                return true;
            }
        }
        let is_within = |anchor: &mut Anchor| anchor.next(data, offset).is_some_and(|at| at < line.len());
        self.anchors.iter_mut().any(is_within) || (state.leaves_rows && self.short.iter_mut().any(is_within))
    }
}

impl Anchor {
    fn next(&mut self, data: &[u8], offset: u64) -> Option<usize> {
        let length = self.finder.needle().len();
        self.ahead.next(data, offset, length, |bytes| self.finder.find(bytes))
    }
}
