//! What is told of a regular expression while it is read: texts without which it cannot match, and how large it is.
//!
//! Parts are put together as they are read, so that no tree of the expression is ever made: a rule set has hundreds of
//! expressions, and each is read at every start.

/// How many texts a part may stand for before they are only required and no longer extended.
const MAX_TEXTS: usize = 48;
/// No text is made longer than this.
const MAX_TEXT_BYTES: usize = 32;
/// A list of more texts is no help.
const MAX_LIST: usize = 256;
/// A list whose texts are found more often is no help.
const MAX_CHANCE: f32 = 0.5;
/// How many lists an expression is asked by, the best of them.
const MAX_LISTS: usize = 2;
/// All of them but the first are looked for only if they are found less often than this.
const MAX_CHANCE_OF_OTHERS: f32 = 1.0 / 64.0;

/// What a part of an expression matches, all texts in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// It ends with one of these texts.
    texts: Vec<String>,
    /// Whether there is nothing before that text.
    is_whole: bool,
    /// Of each list, at least one text is in it.
    lists: Vec<Vec<String>>,
    /// How many steps it is, repetitions counted as copies.
    size: u64,
}

impl Part {
    /// Matches nothing but the empty text: also what looks at a place, such as `^` or `\b`.
    pub(crate) fn empty() -> Self {
        Self { texts: vec![String::new()], is_whole: true, lists: Vec::new(), size: 0 }
    }

    /// One of several characters; nothing is known of them but what they take.
    pub(crate) fn unknown(size: u64) -> Self {
        Self { is_whole: false, size, ..Self::empty() }
    }

    /// One of a few characters.
    pub(crate) fn characters(characters: &[char], size: u64) -> Self {
        let mut texts: Vec<String> = Vec::with_capacity(characters.len());
        for character in characters {
            let text = character.to_lowercase().collect();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        Self { texts, is_whole: true, lists: Vec::new(), size }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A character follows.
    pub(crate) fn push(&mut self, character: char) {
        if self.texts.first().is_some_and(|text| text.len() >= MAX_TEXT_BYTES) {
            self.end_texts();
        }
        for text in &mut self.texts {
            text.extend(character.to_lowercase());
        }
        self.size = self.size.saturating_add(character.len_utf8() as u64);
    }

    /// Another part follows.
    pub(crate) fn then(&mut self, mut next: Self) {
        self.size = self.size.saturating_add(next.size);
        let is_short = |text: &String| text.len() < MAX_TEXT_BYTES;
        let fits = self.texts.len() * next.texts.len() <= MAX_TEXTS && self.texts.iter().all(is_short);
        if next.is_whole && fits {
            if let [only] = next.texts.as_slice() {
                self.texts.iter_mut().for_each(|text| text.push_str(only));
                return;
            }
            let longer = |text: &String| next.texts.iter().map(|end| format!("{text}{end}")).collect();
            self.texts = self.texts.iter().flat_map::<Vec<_>, _>(longer).collect();
            return;
        }
        self.end_texts();
        self.lists.append(&mut next.lists);
        self.texts = next.texts;
    }

    /// Any of several parts.
    pub(crate) fn any(mut parts: Vec<Self>) -> Self {
        if parts.len() < 2 {
            return parts.pop().unwrap_or_else(Self::empty);
        }
        let size = parts.iter().fold(1, |size: u64, part| size.saturating_add(part.size));
        let count: usize = parts.iter().map(|part| part.texts.len()).sum();
        if count <= MAX_TEXTS && parts.iter().all(|part| part.is_whole) {
            let mut texts: Vec<String> = Vec::with_capacity(count);
            for text in parts.into_iter().flat_map(|part| part.texts) {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
            return Self { texts, is_whole: true, lists: Vec::new(), size };
        }
        let mut all: Vec<String> = Vec::new();
        for part in parts {
            match part.best() {
                Some(list) if all.len() + list.len() <= MAX_LIST => {
                    all.extend(list.into_iter().filter(|text| !all.contains(text)).collect::<Vec<_>>());
                }
                // One of them may match anything.
                _ => return Self::unknown(size),
            }
        }
        let mut any = Self::unknown(size);
        any.lists.push(without_longer(all));
        any
    }

    /// So many times, `None`: without an end.
    pub(crate) fn repeated(mut self, least: u32, most: Option<u32>) -> Self {
        let copies = most.unwrap_or(least.saturating_add(1)).max(1);
        let size = self.size.max(1).saturating_mul(u64::from(copies)).saturating_add(1);
        match (least, most) {
            (1, Some(1)) => Self { size, ..self },
            (0, Some(1)) if self.is_whole && self.texts.len() < MAX_TEXTS => {
                if !self.texts.contains(&String::new()) {
                    self.texts.push(String::new());
                }
                Self { size, ..self }
            }
            (0, _) => Self::unknown(size),
            _ => {
                self.end_texts();
                Self { size, ..self }
            }
        }
    }

    /// The list that tells most of the whole expression, and another one if it tells much.
    pub(crate) fn required(mut self) -> Vec<Vec<String>> {
        self.end_texts();
        self.lists.retain(|list| chance(list) <= MAX_CHANCE);
        self.lists.sort_by(|one, other| chance(one).total_cmp(&chance(other)));
        self.lists.dedup();
        self.lists.truncate(MAX_LISTS);
        let mut position = 0..;
        self.lists.retain(|list| position.next() == Some(0) || chance(list) <= MAX_CHANCE_OF_OTHERS);
        self.lists
    }

    fn best(mut self) -> Option<Vec<String>> {
        self.end_texts();
        self.lists.into_iter().min_by(|one, other| chance(one).total_cmp(&chance(other)))
    }

    /// What stands at the end is required, and anything may follow.
    fn end_texts(&mut self) {
        let texts = std::mem::replace(&mut self.texts, vec![String::new()]);
        self.is_whole = false;
        if texts.iter().all(|text| !text.is_empty()) {
            self.lists.push(without_longer(texts));
        }
    }
}

/// A text that holds another one of the list says nothing more.
fn without_longer(texts: Vec<String>) -> Vec<String> {
    let is_needed =
        |text: &String| texts.iter().all(|other| other.len() >= text.len() || !text.contains(other.as_str()));
    texts.iter().filter(|text| is_needed(text)).cloned().collect()
}

/// How often one of the texts is in a value, roughly: short ones are frequent, and punctuation is not.
pub(crate) fn chance(texts: &[String]) -> f32 {
    let weight = |byte: u8| match byte {
        b'a'..=b'z' | b' ' | b'/' | b'-' | b'.' => 2.0,
        b'0'..=b'9' => 3.0,
        _ => 4.0_f32,
    };
    // Of many bytes, the first of a text is one.
    let of = |text: &String| (1.5 - text.bytes().map(weight).sum::<f32>().min(60.0)).exp2();
    texts.iter().map(of).sum()
}
