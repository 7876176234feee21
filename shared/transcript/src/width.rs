//! The width of the terminal, which a transcript does not tell.
//!
//! zsh and fish fill a row before each prompt and so give it away. For other shells a prompt region in which the
//! cursor moves up is replayed at every likely width: at the right one the cursor never leaves the text. Regions vote,
//! since most fit more than one width.
//!
//! Replays cost time, so they are paid from a credit that grows with the bytes read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::screen::Screen;

/// Widths that are tried.
const WIDTHS: std::ops::Range<u16> = 20..320;
/// What people have most.
const USUAL: [u16; 4] = [80, 120, 100, 132];
/// Votes that a width needs before it is tried alone.
const SETTLED: u32 = 6;
/// Votes that a width can collect: another width must be able to take over after a resize.
const MOST_VOTES: u32 = 24;
/// Cells that may be moved for each byte read.
const WORK_PER_BYTE: u64 = 64;
/// Cells that may be moved at once.
const MOST_WORK: u64 = 1 << 24;

/// What is known about the width.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Widths {
    /// The width that the last prompt showed, or that the votes agree on; 0 is unknown.
    width: u16,
    /// Whether a prompt showed it.
    shown: bool,
    votes: BTreeMap<u16, u32>,
    credit: u64,
}

impl Widths {
    pub(crate) fn new() -> Self {
        Self { width: 0, shown: false, votes: BTreeMap::new(), credit: MOST_WORK }
    }

    /// Adds to the credit for bytes that were read.
    pub(crate) fn earn(&mut self, bytes: usize) {
        self.credit = (self.credit + bytes as u64 * WORK_PER_BYTE).min(MOST_WORK);
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
    pub(crate) fn render(&mut self, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        let filled = self.learn_from_filled_row(prefix);
        let mut rendered = self.fit(prefix, region)?;
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
        Some(rendered)
    }

    fn fit(&mut self, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        let unbounded = self.replay(0, prefix, region)?;
        if !unbounded.screen.width_matters && !self.shown {
            return Some(unbounded);
        }
        if self.width > 0
            && (self.shown || self.votes.get(&self.width).is_some_and(|votes| *votes >= SETTLED))
        {
            let rendered = self.replay(self.width as usize, prefix, region)?;
            if rendered.faults() == 0 || self.shown {
                return Some(rendered);
            }
        }
        // Nothing says that a row was full.
        if unbounded.faults() == 0 {
            return Some(unbounded);
        }
        self.infer(prefix, region).or(Some(unbounded))
    }

    fn infer(&mut self, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        let mut faults: Vec<(u16, u32)> = Vec::with_capacity(WIDTHS.len());
        for width in WIDTHS {
            let rendered = self.replay(width as usize, prefix, region)?;
            faults.push((width, rendered.faults()));
        }
        let fewest = faults.iter().map(|(_, faults)| *faults).min()?;
        for (width, faults) in &faults {
            let votes = self.votes.entry(*width).or_default();
            if *faults == fewest {
                *votes = (*votes + if USUAL.contains(width) { 3 } else { 2 }).min(MOST_VOTES);
            } else {
                *votes = votes.saturating_sub(3);
            }
        }
        self.votes.retain(|_, votes| *votes > 0);
        let fits = |width: u16| faults.iter().any(|(other, faults)| *other == width && *faults == fewest);
        if !fits(self.width) {
            let rank = |width: &u16| {
                let usual = USUAL.iter().rev().position(|usual| usual == width).map_or(0, |place| place + 1);
                (self.votes.get(width).copied().unwrap_or(0), usual)
            };
            self.width = WIDTHS.filter(|width| fits(*width)).max_by_key(rank)?;
        }
        self.replay(self.width as usize, prefix, region)
    }

    fn replay(&mut self, width: usize, prefix: &[u8], region: &[u8]) -> Option<Rendered> {
        let mut screen = Screen::new(width, self.credit);
        screen.write(prefix);
        let start = screen.cursor();
        let right = screen.right_of_cursor();
        let above = screen.above(start.0);
        let left = screen.left_of(start);
        let own_left = screen.left_in_row(start);
        screen.write(region);
        self.credit = self.credit.saturating_sub(screen.work());
        if screen.is_exhausted() {
            return None;
        }
        Some(Rendered { screen, start, above, left, own_left, right, filled: false })
    }
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
    fn faults(&self) -> u32 {
        self.screen.penalty + u32::from(!self.screen.is_at_end())
    }
}
