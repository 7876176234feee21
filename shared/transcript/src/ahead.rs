//! A search that is kept, so that reading step by step does not search the same bytes again.

/// Where the next occurrence of something is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    /// The place of the next occurrence, once found.
    at: Option<u64>,
    /// Up to where nothing else is.
    until: u64,
}

impl Ahead {
    /// The next occurrence in `data`, which begins at `offset`; `length` is that of what is searched for.
    pub(crate) fn next(
        &mut self,
        data: &[u8],
        offset: u64,
        length: usize,
        search: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<usize> {
        match self.at {
            Some(at) if at >= offset => return Some((at - offset) as usize),
            Some(_) => self.at = None,
            None => {}
        }
        // An occurrence may have been cut off at the end of what was searched.
        let overlap = (length as u64).saturating_sub(1);
        let from = self.until.saturating_sub(overlap).max(offset);
        let skipped = ((from - offset) as usize).min(data.len());
        let found = search(data.get(skipped..).unwrap_or_default());
        self.until = offset + data.len() as u64;
        if let Some(found) = found {
            let at = skipped + found;
            self.at = Some(offset + at as u64);
            self.until = offset + (at + length) as u64;
            return Some(at);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    #[test]
    fn it_finds_what_a_plain_search_finds() {
        let text = b"..ab....ab.abab..";
        for step in 1..5 {
            let mut ahead = Ahead::default();
            let mut offset = 0;
            let mut read = 0;
            while offset < text.len() {
                read = text.len().min(read + 2).max(offset);
                let data = &text[offset..read];
                let search = |bytes: &[u8]| memchr::memmem::find(bytes, b"ab");
                assert_eq!(ahead.next(data, offset as u64, 2, search), search(data), "{offset}..{read}");
                offset += step;
            }
        }
    }
}
