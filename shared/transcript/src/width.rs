//! The width of the terminal, which a transcript does not tell.
//!
//! zsh and fish fill a row before each prompt and so give it away. For other shells a prompt region in which the
//! cursor moves up is replayed at every likely width. At the right one the cursor never leaves the text, what was
//! typed is drawn from the prompt's end, little of it is lost, and what is recalled from history was run before. Most
//! regions fit more than one width, so what speaks against each is carried on to the next region, up to a bound: the
//! terminal may be resized.
//!
//! Replays cost time, so they are paid from a credit that grows with the bytes read.
//!
//! Known limit, with a test: where a region fits several widths and nothing else tells, the usual one is taken
//! (`of_widths_that_fit_alike_the_usual_one_is_taken`).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::prompt::{Openness, Prompts};
use crate::region::is_displaced;
use crate::screen::{Screen, columns_of};

/// Widths that are tried.
const WIDTHS: std::ops::Range<u16> = 20..320;
/// Hardly anyone has less.
const NARROW: u16 = 60;
/// What people have most.
const USUAL: [u16; 4] = [80, 120, 100, 132];
/// What speaks against a width is counted up to this: another width must be able to take over after a resize.
const MOST_DOUBT: u32 = 12;
/// What speaks against a change of the width.
const RESIZED: u32 = 4;
/// What a fault in one region speaks against a width.
const FAULT: u32 = 3;
/// Faults beyond those of the best width that count.
const MOST_FAULTS: u32 = 3;
/// What text that no shell was given speaks against a width.
const UNLIKELY: u32 = 8;
/// Times that what was typed was drawn from its start which count.
const MOST_STARTS: u32 = 2;
/// What each of them that is missing at a width speaks against it.
const STARTED: u32 = 4;
/// Bytes of what was typed that are lost at a width for each doubt.
const LOST: usize = 4;
/// Doubts for what was added to a command of before, at most.
const MOST_ADDED: usize = 4;
/// Cells that may be moved for each byte read.
const WORK_PER_BYTE: u64 = 64;
/// Cells that may be moved at once.
const MOST_WORK: u64 = 1 << 24;

/// What is known about the width.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Widths {
    /// The width that the last prompt showed, or the likeliest; 0 is unknown.
    width: u16,
    /// Whether a prompt showed it.
    shown: bool,
    /// What speaks against each width, most of all for those that are missing.
    #[serde(default)]
    doubts: BTreeMap<u16, u32>,
    #[serde(default)]
    recent: Recent,
    credit: u64,
}

impl Widths {
    pub(crate) fn new() -> Self {
        Self { width: 0, shown: false, doubts: BTreeMap::new(), recent: Recent::default(), credit: MOST_WORK }
    }

    /// Adds to the credit for bytes that were read.
    pub(crate) fn earn(&mut self, bytes: usize) {
        self.credit = (self.credit + bytes as u64 * WORK_PER_BYTE).min(MOST_WORK);
    }

    /// Keeps a command: what is recalled from history was run before.
    pub(crate) fn remember(&mut self, command: &str) {
        self.recent.keep(command);
    }

    /// The width that is likeliest; 0 is unknown.
    pub(crate) fn likeliest(&self) -> usize {
        self.width as usize
    }

    /// Takes the width that a shell shows by filling a row: a mark, then spaces to the right edge, then a return.
    fn learn_from_filled_row(&mut self, bytes: &[u8]) -> bool {
        let find = |end: &[u8]| memchr::memmem::find(bytes, end);
        let Some(end) = find(b" \r \r").or_else(|| find(" \r\u{23ce} \r".as_bytes())) else { return false };
        let before = bytes.get(..=end).unwrap_or_default();
        let spaces = before.iter().rev().take_while(|byte| **byte == b' ').count();
        if spaces < WIDTHS.start as usize - 1 || spaces >= WIDTHS.end as usize {
            return false;
        }
        self.width = spaces as u16 + 1;
        self.shown = true;
        true
    }

    /// Renders a prompt region at the width that fits best. `None`: it is too tangled.
    pub(crate) fn render(&mut self, prefix: &[u8], region: &[u8], prompts: &Prompts) -> Option<Rendered> {
        let filled = self.learn_from_filled_row(prefix);
        let width = if self.shown { self.width } else { 0 };
        let mut rendered = self.replay(width as usize, 0, prefix, region)?;
        if filled {
            // The row above was filled on purpose; the prompt does not go on from there.
            rendered.left = std::mem::take(&mut rendered.own_left);
            for row in &mut rendered.above {
                // The mark that a row above had no line feed.
                let text = row.trim_end();
                *row = text.strip_suffix(['%', '#', '⏎']).unwrap_or(text).to_owned();
            }
        }
        rendered.filled = filled;
        if is_displaced(prompts, &rendered) {
            let alone = self.replay(width as usize, 0, &[], region)?;
            let alone = self.fit(alone, &[], region, prompts)?;
            return Some(Rendered { above: rendered.above, left: rendered.left, ..alone });
        }
        self.fit(rendered, prefix, region, prompts)
    }

    /// Replays a region at the width that fits best, unless it is the same at all widths.
    fn fit(
        &mut self,
        unbounded: Rendered,
        prefix: &[u8],
        region: &[u8],
        prompts: &Prompts,
    ) -> Option<Rendered> {
        if self.shown {
            return self.resized(unbounded, prefix, region);
        }
        if !(unbounded.screen.width_matters || unbounded.screen.may_be_wrapped.is_some()) {
            return Some(unbounded);
        }
        let first = match &unbounded.screen.may_be_wrapped {
            Some(row) => row.clone(),
            None => unbounded.screen.prompt_row(),
        };
        let prompt = first.get(..end_of_prompt(prompts, &first)).unwrap_or_default();
        let columns = prompt.chars().map(columns_of).sum();
        let unbounded = self.replay(0, columns, prefix, region)?;
        if !unbounded.screen.width_matters {
            return Some(unbounded);
        }
        // Replays at all widths cost much; the last one does as long as nothing speaks against it.
        if self.width > 0 {
            let rendered = self.replay(self.width as usize, columns, prefix, region)?;
            let is_likely = self.credit < MOST_WORK / 4 || self.recent.doubt(&rendered, prompts, false) == 0;
            if rendered.faults() == 0 && is_likely {
                return Some(rendered);
            }
        }
        self.infer(columns, prefix, region, prompts).or(Some(unbounded))
    }

    /// A shell that shows its width draws its prompt again when the terminal is resized, and shows the new one only
    /// before the next prompt.
    fn resized(&mut self, shown: Rendered, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        if !shown.screen.is_exceeded || self.credit < MOST_WORK / 4 {
            return Some(shown);
        }
        let mut best = (shown.screen.penalty, self.width);
        for width in WIDTHS {
            let penalty = self.replay(width as usize, 0, prefix, region)?.screen.penalty;
            if penalty < best.0 {
                best = (penalty, width);
            }
        }
        if best.1 == self.width {
            return Some(shown);
        }
        let other = self.replay(best.1 as usize, 0, prefix, region)?;
        // What stood before the mark stood there before the resize.
        let Rendered { above, left, own_left, right, filled, .. } = shown;
        Some(Rendered { above, left, own_left, right, filled, ..other })
    }

    fn infer(&mut self, columns: usize, prefix: &[u8], region: &[u8], prompts: &Prompts) -> Option<Rendered> {
        let searched = memchr::memmem::find(region, b"-i-search)`").is_some();
        let mut trials: Vec<Trial> = Vec::with_capacity(WIDTHS.len());
        for width in WIDTHS {
            // A row that is never full is the same at every width.
            let trial = match trials.last() {
                Some(last) if last.widest < last.width as usize => Trial { width, ..*last },
                _ => {
                    let rendered = self.replay(width as usize, columns, prefix, region)?;
                    let doubt = self.recent.doubt(&rendered, prompts, searched);
                    self.credit = self.credit.saturating_sub(region.len() as u64);
                    let screen = &rendered.screen;
                    let faults = rendered.faults();
                    Trial { width, faults, doubt, starts: screen.starts, widest: screen.widest }
                }
            };
            trials.push(trial);
        }
        let fewest = trials.iter().map(|trial| trial.faults).min()?;
        let fitting = trials.iter().filter(|trial| trial.faults == fewest);
        let starts = fitting.map(|trial| trial.starts).max()?;
        // A search draws from elsewhere.
        for trial in trials.iter_mut().filter(|_| !searched) {
            trial.doubt += starts.saturating_sub(trial.starts).min(MOST_STARTS) * STARTED;
        }
        let least = trials.iter().filter(|trial| trial.faults == fewest).map(|trial| trial.doubt).min()?;
        let doubts = std::mem::take(&mut self.doubts);
        let before = |width: u16| {
            let unusual = match width {
                _ if USUAL.contains(&width) => 0,
                ..NARROW => 3,
                _ => 1,
            };
            doubts.get(&width).copied().unwrap_or(MOST_DOUBT).min(RESIZED + unusual)
        };
        let after = |trial: &Trial| {
            let faults = (trial.faults - fewest).min(MOST_FAULTS) * FAULT;
            before(trial.width) + faults + trial.doubt.saturating_sub(least)
        };
        let lowest = trials.iter().map(after).min()?;
        let rank = |trial: &&Trial| {
            let usual = USUAL.iter().position(|usual| *usual == trial.width).unwrap_or(USUAL.len());
            (after(trial), trial.width != self.width, usual, std::cmp::Reverse(trial.width))
        };
        let best = trials.iter().filter(|trial| trial.faults == fewest).min_by_key(rank)?.width;
        self.doubts = trials
            .iter()
            .map(|trial| (trial.width, after(trial) - lowest))
            .filter(|(_, doubt)| *doubt < MOST_DOUBT)
            .collect();
        self.width = best;
        self.replay(best as usize, columns, prefix, region)
    }

    fn replay(&mut self, width: usize, columns: usize, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        let mut screen = Screen::new(width, self.credit);
        screen.prompt_columns = columns;
        screen.write(prefix);
        let mut start = screen.cursor();
        let right = screen.right_of_cursor();
        let above = screen.above(start.0);
        let left = screen.left_of(start);
        let own_left = screen.left_in_row(start);
        screen.is_cleared = false;
        screen.write(region);
        if screen.is_cleared {
            start.0 = 0;
        }
        self.credit = self.credit.saturating_sub(screen.work());
        if screen.is_exhausted() {
            return None;
        }
        Some(Rendered { screen, start, above, left, own_left, right, filled: false })
    }
}

/// A region at one width.
#[derive(Clone, Copy, Debug)]
struct Trial {
    width: u16,
    faults: u32,
    /// What the text speaks against the width.
    doubt: u32,
    /// How often what was typed was drawn from its start.
    starts: u32,
    widest: usize,
}

/// The commands that were run last, as lengths and hashes: what a checkpoint holds stays small.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Recent {
    commands: VecDeque<(u32, u64)>,
}

/// Commands that are kept.
const RECENT: usize = 128;
/// Bytes of a command that is kept, at least and at most.
const RECENT_LENGTH: std::ops::RangeInclusive<usize> = 2..=4096;
const BASE: u64 = 0x0100_0000_01b3;

impl Recent {
    fn keep(&mut self, command: &str) {
        if !RECENT_LENGTH.contains(&command.len()) {
            return;
        }
        let hash = command.bytes().fold(0, append);
        let kept = (command.len() as u32, hash);
        self.commands.retain(|other| *other != kept);
        if self.commands.len() >= RECENT {
            self.commands.pop_front();
        }
        self.commands.push_back(kept);
    }

    /// What speaks against the text that a width gives: it holds little of what was typed before, unless that was a
    /// search, or the remains of one. A command of before, with a little more, is as good as any.
    fn doubt(&self, rendered: &Rendered, prompts: &Prompts, searched: bool) -> u32 {
        let text = rendered.text();
        let end = end_of_prompt(prompts, text.split('\n').next().unwrap_or_default());
        let typed = text.get(end..).unwrap_or_default();
        let start = text.get(..end).unwrap_or_default().trim();
        let remains = (searched && typed.contains("': ")) || (start.len() > 3 && typed.contains(start));
        if remains {
            return 2 * UNLIKELY;
        }
        let added = self.recalled(typed).map(|length| (typed.len() - length).div_ceil(LOST).min(MOST_ADDED));
        let most = added.map_or(UNLIKELY, |added| added as u32);
        if searched {
            return most;
        }
        let Some(before) = &rendered.screen.before_up else { return 0 };
        let all = rendered.screen.text();
        let first = before.bytes().zip(all.bytes()).take_while(|(a, b)| a == b).count();
        let last = before.bytes().rev().zip(all.bytes().rev()).take_while(|(a, b)| a == b).count();
        let lost = before.len() - (first + last).min(before.len());
        (lost.div_ceil(LOST) as u32).min(most)
    }

    /// The length of the longest command of before that a text begins or ends with, if that is most of it.
    fn recalled(&self, text: &str) -> Option<usize> {
        if text.len() > 2 * RECENT_LENGTH.end() {
            return None;
        }
        let mut hashes = Vec::with_capacity(text.len() + 1);
        let mut powers = Vec::with_capacity(text.len() + 1);
        let (mut hash, mut power) = (0, 1_u64);
        hashes.push(hash);
        powers.push(power);
        for byte in text.bytes() {
            hash = append(hash, byte);
            power = power.wrapping_mul(BASE);
            hashes.push(hash);
            powers.push(power);
        }
        let of = |from: usize, to: usize| {
            let (before, after) = (hashes.get(from)?, hashes.get(to)?);
            Some(after.wrapping_sub(before.wrapping_mul(*powers.get(to - from)?)))
        };
        let lengths = self.commands.iter().map(|(length, hash)| (*length as usize, *hash));
        let is_in = |(length, hash): &(usize, u64)| {
            let is_most = *length <= text.len() && 2 * length >= text.len();
            is_most && (of(0, *length) == Some(*hash) || of(text.len() - length, text.len()) == Some(*hash))
        };
        lengths.filter(is_in).map(|(length, _)| length).max()
    }
}

/// Where a prompt ends, as far as it is known or can be guessed.
fn end_of_prompt(prompts: &Prompts, row: &str) -> usize {
    prompts.split(row, Openness::Guesses).map_or(0, |split| split.end)
}

fn append(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1)
}

/// A prompt region on a screen.
pub(crate) struct Rendered {
    pub(crate) screen: Screen,
    /// Where the shell's mark stood.
    pub(crate) start: (usize, usize),
    /// The rows above it.
    pub(crate) above: Vec<String>,
    /// What stood left of the mark.
    pub(crate) left: String,
    /// The same, from the start of the screen's row.
    own_left: String,
    /// What stood right of the mark: zsh's right prompt.
    pub(crate) right: String,
    /// Whether the shell filled a row before its prompt, as zsh and fish do.
    pub(crate) filled: bool,
}

impl Rendered {
    /// The text from the mark on.
    fn text(&self) -> String {
        let lines = self.screen.lines_from(self.start);
        lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    fn faults(&self) -> u32 {
        self.screen.penalty + u32::from(!self.screen.is_at_end())
    }
}
