//! Many texts, looked for in a value at once.
//!
//! Of each text a few bytes in a row, its *gram*, stand in a table by their hash; of a value all of them are looked up, and
//! where one is in the table the text is compared. That is made in the time in which the texts are read once, which an
//! automaton is not, and no look-up waits for the one before.

use serde::{Deserialize, Serialize};

/// How long grams are; a text has the longest that it holds.
const GRAMS: [usize; 3] = [1, 2, 4];

/// Texts, ready to be looked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Texts {
    /// All of them, one after the other.
    bytes: Vec<u8>,
    /// By the length of their gram, in the order of [`GRAMS`].
    tables: [Table; 3],
}

/// The texts by the hash of their gram.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "Places")]
struct Table {
    /// In the order of their hashes.
    places: Vec<Place>,
    /// How far a hash is shifted to be below the number of bits.
    #[serde(skip_serializing)]
    shift: u32,
    /// A bit for each hash; none: there is no text.
    #[serde(skip_serializing)]
    is_taken: Vec<u64>,
    /// By hash: where its texts begin. The next one's beginning is their end.
    #[serde(skip_serializing)]
    starts: Vec<u32>,
}

/// What the rest of a table is made of.
#[derive(Deserialize)]
struct Places {
    places: Vec<Place>,
}

/// A gram in a text.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    gram: u32,
    /// Where in the text it is.
    at: u32,
    /// The number of the text, where it begins among all of them, and where it ends.
    text: u32,
    start: u32,
    end: u32,
}

impl Texts {
    /// None of the texts is empty.
    pub(crate) fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let texts: Vec<&[u8]> = texts.map(str::as_bytes).collect();
        let [one, two, four] = GRAMS;
        let with = |least: usize, most: usize| {
            let numbered = texts.iter().zip(0..).map(|(text, number)| (*text, number));
            numbered.filter(|(text, _)| (least..most).contains(&text.len())).collect::<Vec<(&[u8], u32)>>()
        };
        let mut bytes = Vec::new();
        let tables = [
            Table::new::<1>(&with(one, two), &mut bytes),
            Table::new::<2>(&with(two, four), &mut bytes),
            Table::new::<4>(&with(four, usize::MAX), &mut bytes),
        ];
        Self { bytes, tables }
    }

    /// Calls `found` with the number of a text, and where it begins and ends, for each place it stands at.
    pub(crate) fn scan(&self, value: &[u8], found: &mut impl FnMut(u32, usize, usize)) {
        let [one, two, four] = &self.tables;
        one.scan::<1>(&self.bytes, value, found);
        two.scan::<2>(&self.bytes, value, found);
        four.scan::<4>(&self.bytes, value, found);
    }
}

impl Table {
    /// Of texts and their numbers; their bytes are kept in `kept`.
    fn new<const LENGTH: usize>(texts: &[(&[u8], u32)], kept: &mut Vec<u8>) -> Self {
        if texts.is_empty() {
            return Self::default();
        }
        let (size, shift) = size(texts.len());
        // How many grams of all texts have each hash: what is rare in the rules is rare in values too.
        let mut counts = vec![0_u32; size];
        for (text, _) in texts {
            for gram in text.array_windows::<LENGTH>() {
                if let Some(count) = counts.get_mut(hash(number(gram), shift)) {
                    *count += 1;
                }
            }
        }
        let mut places = Vec::with_capacity(texts.len());
        for (text, place) in texts {
            let grams = text.array_windows::<LENGTH>().map(number).zip(0..);
            let Some((gram, at)) = grams.min_by_key(|(gram, _)| counts.get(hash(*gram, shift)).copied())
            else {
                continue;
            };
            let start = index(kept.len());
            kept.extend_from_slice(text);
            places.push(Place { gram, at, text: *place, start, end: index(kept.len()) });
        }
        places.sort_by_key(|place| (hash(place.gram, shift), place.gram));
        Self::from(Places { places })
    }

    fn scan<const LENGTH: usize>(
        &self,
        bytes: &[u8],
        value: &[u8],
        found: &mut impl FnMut(u32, usize, usize),
    ) {
        if self.places.is_empty() {
            return;
        }
        for (at, gram) in value.array_windows::<LENGTH>().map(number).enumerate() {
            let hash = hash(gram, self.shift);
            if self.is_taken.get(hash / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1) {
                self.compare::<LENGTH>(bytes, hash, gram, value, at, found);
            }
        }
    }

    fn compare<const LENGTH: usize>(
        &self,
        bytes: &[u8],
        hash: usize,
        gram: u32,
        value: &[u8],
        at: usize,
        found: &mut impl FnMut(u32, usize, usize),
    ) {
        let Some([first, end]) = self.starts.get(hash..hash + 2) else { return };
        let places = self.places.get(*first as usize..*end as usize).unwrap_or_default();
        for place in places.iter().filter(|place| place.gram == gram) {
            let text = bytes.get(place.start as usize..place.end as usize).unwrap_or_default();
            let Some(start) = at.checked_sub(place.at as usize) else { continue };
            // Many a text is its gram.
            if text.len() == LENGTH || value.get(start..).is_some_and(|rest| rest.starts_with(text)) {
                found(place.text, start, start + text.len());
            }
        }
    }
}

impl From<Places> for Table {
    fn from(Places { places }: Places) -> Self {
        if places.is_empty() {
            return Self::default();
        }
        let (size, shift) = size(places.len());
        let mut table =
            Self { places, shift, is_taken: vec![0; size / 64], starts: Vec::with_capacity(size + 1) };
        for (position, place) in table.places.iter().enumerate() {
            let hash = hash(place.gram, shift);
            // The first one of its hash; those before it that have none begin, and end, here too.
            if table.starts.len() <= hash {
                table.starts.resize(hash + 1, index(position));
            }
            if let Some(word) = table.is_taken.get_mut(hash / 64) {
                *word |= 1 << (hash % 64);
            }
        }
        table.starts.resize(size + 1, index(table.places.len()));
        table
    }
}

fn number<const LENGTH: usize>(gram: &[u8; LENGTH]) -> u32 {
    let mut bytes = [0; 4];
    for (byte, from) in bytes.iter_mut().zip(gram) {
        *byte = *from;
    }
    u32::from_le_bytes(bytes)
}

/// How many hashes a table of so many texts has, and how far a hash is shifted to be one of them.
fn size(texts: usize) -> (usize, u32) {
    let size = (texts * 8).next_power_of_two().max(64);
    (size, u32::BITS - size.trailing_zeros())
}

fn hash(gram: u32, shift: u32) -> usize {
    // Multiplied by the golden ratio, the upper bits depend on all of them.
    (gram.wrapping_mul(0x9e37_79b9) >> shift) as usize
}

fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_stands(
            texts in prop::collection::btree_set("[abc/é-]{1,6}", 0..40),
            value in "[abc/é-]{0,40}",
        ) {
            let mut found = Vec::new();
            let search = Texts::new(texts.iter().map(String::as_str));
            search.scan(value.as_bytes(), &mut |text, start, end| found.push((text as usize, start, end)));
            found.sort_unstable();
            let mut slowly = Vec::new();
            for (number, text) in texts.iter().enumerate() {
                for start in (0..value.len()).filter(|start| value.as_bytes()[*start..].starts_with(text.as_bytes())) {
                    slowly.push((number, start, start + text.len()));
                }
            }
            prop_assert_eq!(found, slowly);
        }
    }

    #[test]
    fn without_texts_nothing_is_found() {
        Texts::new([].into_iter()).scan(b"abc", &mut |_, _, _| panic!("there is no text"));
    }
}
