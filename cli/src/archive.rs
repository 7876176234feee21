//! Recorded events: where they are, how they are packed, and how they are wrapped.
//!
//! An archive may be far larger than memory, so a file is read line by line, and of a document over many
//! lines one record is held at a time. A record of another service's call is only skimmed.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The service whose calls are judged; each of its records is passed on whole.
const OURS: &str = "ssm.amazonaws.com";

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How deep wrappings may be in each other: a message that holds an envelope that holds a record is three.
const DEEPEST: u8 = 8;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is found in a file, in its order.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// A record of a Systems Manager call, and the line that it is on.
    Record { record: Value, line: usize },
    /// A record of another service's call.
    Other,
    /// What could not be read.
    Unreadable(Unreadable),
}

/// What could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unreadable {
    pub(crate) path: String,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl Unreadable {
    pub(crate) fn new(path: &Path, line: Option<usize>, message: impl fmt::Display) -> Self {
        Self { path: path.display().to_string(), line, message: message.to_string() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.message),
            None => write!(formatter, "{}: {}", self.path, self.message),
        }
    }
}

/// CloudTrail's files below the inputs; as [`files_with`].
pub(crate) fn files(inputs: &[PathBuf]) -> (Vec<PathBuf>, Vec<Unreadable>) {
    files_with(inputs, is_archive)
}

/// The files below the inputs with a name that is wanted, in order, and the folders that could not be read. A file that was
/// named is taken whatever it is called.
pub(crate) fn files_with(
    inputs: &[PathBuf],
    is_wanted: impl Fn(&str) -> bool,
) -> (Vec<PathBuf>, Vec<Unreadable>) {
    let is_wanted = |path: &Path| is_wanted(&path.file_name().unwrap_or_default().to_string_lossy());
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for input in inputs {
        if !input.is_dir() {
            found.push(input.clone());
            continue;
        }
        let mut below = Vec::new();
        let mut folders = vec![input.clone()];
        while let Some(folder) = folders.pop() {
            match children(&folder) {
                Ok(children) => {
                    let (inner, files): (Vec<_>, Vec<_>) =
                        children.into_iter().partition(|path| path.is_dir());
                    folders.extend(inner);
                    below.extend(files.into_iter().filter(|path| is_wanted(path)));
                }
                Err(error) => unreadable.push(Unreadable::new(&folder, None, error)),
            }
        }
        below.sort();
        found.extend(below);
    }
    (found, unreadable)
}

/// What is in a folder. In the folder of an account, CloudTrail's digests and other services' logs are beside
/// CloudTrail's events, and are not looked at.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let events = folder.join("CloudTrail");
    if events.is_dir() {
        return Ok(vec![events]);
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn is_archive(name: &str) -> bool {
    [".json", ".ndjson", ".jsonl", ".gz"].iter().any(|end| name.ends_with(end))
}

/// Reads a file, or standard input for `-`, and passes on all that is in it.
pub(crate) fn read(path: &Path, pass_on: &mut dyn FnMut(Item)) {
    let mut sink = Sink { path, pass_on };
    if let Err(error) = open(path).and_then(|reader| lines(reader, &mut sink)) {
        sink.unreadable(None, error);
    }
}

/// The file, unpacked when its first bytes say that it is packed.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut packed: Box<dyn BufRead> = match path.to_str() {
        Some("-") => Box::new(BufReader::new(io::stdin())),
        _ => Box::new(BufReader::new(File::open(path)?)),
    };
    let mut start = Vec::new();
    packed.by_ref().take(2).read_to_end(&mut start)?;
    let is_packed = start == GZIP;
    let whole = Cursor::new(start).chain(packed);
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

/// Reads one document to a line, or one that goes over many.
fn lines(mut reader: Box<dyn BufRead>, sink: &mut Sink<'_>) -> io::Result<()> {
    let (mut line, mut number, mut is_first) = (Vec::new(), 0, true);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = line.trim_ascii();
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if text.is_empty() {
            continue;
        }
        if is_first && goes_on(text) {
            let whole = Cursor::new([text, b"\n"].concat()).chain(reader);
            documents(serde_json::Deserializer::from_reader(whole), Place { line: number, depth: 0 }, sink);
            return Ok(());
        }
        is_first = false;
        match std::str::from_utf8(text) {
            Ok(text) => document(text, Place { line: number, depth: 0 }, sink),
            Err(error) => sink.unreadable(Some(number), error),
        }
    }
}

/// Whether a document that begins on this line goes on in the next. One that was cut short hardly ends so.
fn goes_on(line: &[u8]) -> bool {
    matches!(line.last(), Some(b'{' | b'[' | b',' | b':'))
}

/// Where a text is: the line it begins on, and how many wrappings it is in.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    depth: u8,
}

/// Reads what is on one line, or in one text inside a document.
fn document(text: &str, place: Place, sink: &mut Sink<'_>) {
    match serde_json::from_str::<Outline<'_>>(text) {
        Ok(Outline { event_source: Some(source) }) if source == OURS => match serde_json::from_str(text) {
            Ok(record) => (sink.pass_on)(Item::Record { record, line: place.line }),
            Err(error) => sink.unreadable(Some(place.line), message(&error)),
        },
        Ok(Outline { event_source: Some(_) }) => (sink.pass_on)(Item::Other),
        _ if place.depth > DEEPEST => sink.unreadable(Some(place.line), "wrapped too often"),
        // A wrapping, or no JSON at all.
        _ => documents(serde_json::Deserializer::from_str(text), place, sink),
    }
}

/// Reads documents until there are no more of them, or one cannot be read.
fn documents<'de, R: serde_json::de::Read<'de>>(
    mut json: serde_json::Deserializer<R>,
    place: Place,
    sink: &mut Sink<'_>,
) {
    loop {
        if let Err(error) = (Wrapping { place, sink }).deserialize(&mut json) {
            return sink.unreadable(Some(place.line + error.line().saturating_sub(1)), message(&error));
        }
        if json.end().is_ok() {
            return;
        }
    }
}

/// What a record has that tells whose call it is of.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, rename = "eventSource")]
    event_source: Option<Cow<'a, str>>,
}

/// Where what is found goes.
struct Sink<'a> {
    path: &'a Path,
    pass_on: &'a mut dyn FnMut(Item),
}

impl Sink<'_> {
    fn unreadable(&mut self, line: Option<usize>, message: impl fmt::Display) {
        (self.pass_on)(Item::Unreadable(Unreadable::new(self.path, line, message)));
    }
}

/// A document that wraps records: CloudTrail's file (`Records`), LookupEvents' answer (`Events` with a
/// `CloudTrailEvent`), EventBridge's envelope (`detail`), what Lambda sends to an on-failure destination
/// (`requestPayload`), SQS' answer (`Messages` with a `Body`), a list; or a record over many lines.
struct Wrapping<'a, 'b> {
    place: Place,
    sink: &'a mut Sink<'b>,
}

impl Wrapping<'_, '_> {
    fn inside(&mut self, text: &str) {
        document(text, Place { depth: self.place.depth + 1, ..self.place }, self.sink);
    }
}

impl<'de> DeserializeSeed<'de> for Wrapping<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Wrapping<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CloudTrail records")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<Box<RawValue>>()? {
            self.inside(element.get());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (mut rest, mut is_wrapping) = (Map::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "Records" | "Events" | "Messages" => {
                    map.next_value_seed(Wrapping { place: self.place, sink: self.sink })?;
                }
                "detail" | "requestPayload" => self.inside(map.next_value::<Box<RawValue>>()?.get()),
                "CloudTrailEvent" | "Body" => self.inside(&map.next_value::<String>()?),
                _ => {
                    rest.insert(key, map.next_value()?);
                    continue;
                }
            }
            is_wrapping = true;
        }
        match rest.get("eventSource") {
            _ if is_wrapping => {}
            Some(source) if source == OURS => {
                (self.sink.pass_on)(Item::Record { record: Value::Object(rest), line: self.place.line });
            }
            Some(_) => (self.sink.pass_on)(Item::Other),
            None => self.sink.unreadable(Some(self.place.line), "not a CloudTrail record"),
        }
        Ok(())
    }
}

/// An error without its place, which is told apart from it.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn items(bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        let mut pass_on = |item| items.push(item);
        let mut sink = Sink { path: Path::new("x"), pass_on: &mut pass_on };
        lines(Box::new(Cursor::new(bytes.to_vec())), &mut sink).unwrap();
        items
    }

    fn ours() -> Value {
        json!({"eventSource": "ssm.amazonaws.com", "eventName": "StartSession"})
    }

    fn unreadable(line: usize, message: &str) -> Item {
        Item::Unreadable(Unreadable::new(Path::new("x"), Some(line), message))
    }

    #[test]
    fn a_record_is_found_in_every_wrapping() {
        let (record, text) = (ours(), ours().to_string());
        let envelope =
            json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "detail": record});
        let failed = json!({"version": "1.0", "requestContext": {}, "requestPayload": envelope});
        for wrapped in [
            record.clone(),
            json!([record]),
            json!({"Records": [record]}),
            json!({"Events": [{"EventName": "StartSession", "CloudTrailEvent": text}], "NextToken": "x"}),
            envelope.clone(),
            failed.clone(),
            json!({"Messages": [{"MessageId": "x", "Body": failed.to_string()}]}),
        ] {
            for (text, line) in [
                (wrapped.to_string(), 1),
                (format!("\n\n{wrapped}\n\n"), 3),
                (serde_json::to_string_pretty(&wrapped).unwrap(), 1),
                (format!("\u{feff}{wrapped}"), 1),
            ] {
                let expected = [Item::Record { record: record.clone(), line }];
                assert_eq!(items(text.as_bytes()), expected, "{text}");
            }
        }
    }

    #[test]
    fn records_of_other_services_are_counted_and_not_kept() {
        for record in [
            json!({"eventSource": "athena.amazonaws.com", "eventName": "StartSession"}),
            json!({"eventSource": 7}),
        ] {
            for text in [record.to_string(), serde_json::to_string_pretty(&json!([record])).unwrap()] {
                assert_eq!(items(text.as_bytes()), [Item::Other], "{text}");
            }
        }
    }

    #[test]
    fn documents_may_follow_each_other_on_a_line_and_over_lines() {
        let (one, pretty) = (ours().to_string(), serde_json::to_string_pretty(&ours()).unwrap());
        for text in [format!("{one}{one}\n{one}"), format!("{pretty}\n{pretty}{pretty}")] {
            assert_eq!(items(text.as_bytes()).len(), 3, "{text}");
        }
    }

    /// As the Lambda reads it, which parses all of an event.
    #[test]
    fn of_an_event_source_that_comes_twice_the_last_one_counts() {
        let text = ours().to_string().replacen('{', r#"{"eventSource":"athena.amazonaws.com","#, 1);
        assert_eq!(items(text.as_bytes()), [Item::Record { record: ours(), line: 1 }]);
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_one_is_read() {
        let text = format!("{}\n{{\"eventSource\":\n{}\n7\n", ours(), ours());
        assert_eq!(
            items(text.as_bytes()),
            [
                Item::Record { record: ours(), line: 1 },
                unreadable(2, "EOF while parsing a value"),
                Item::Record { record: ours(), line: 3 },
                unreadable(4, "invalid type: integer `7`, expected CloudTrail records"),
            ]
        );
    }

    /// A stack that overflows cannot be caught.
    #[test]
    fn wrappings_in_wrappings_come_to_an_end() {
        for (open, close) in [("{\"detail\":", "}"), ("[", "]"), ("{\"Records\":", "}")] {
            let text = format!("{}{}{}", open.repeat(100_000), ours(), close.repeat(100_000));
            let items = items(text.as_bytes());
            assert!(matches!(items.as_slice(), [Item::Unreadable(_)]), "{open}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in any::<Vec<u8>>()) {
            items(&bytes);
        }

        #[test]
        fn any_text_that_looks_like_json_is_read_to_its_end(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"", "\n", "7", "null", "\"Records\"", "\"detail\"",
                    "\"CloudTrailEvent\"", "\"eventSource\"", "\"ssm.amazonaws.com\"", "{\"Records\":[",
                ]),
                0..40,
            )
        ) {
            items(parts.concat().as_bytes());
        }

        /// Whatever is between them, records are neither lost nor invented.
        #[test]
        fn every_good_line_is_found(lines in prop::collection::vec(prop::option::of("[a-z{}\\[\\]:, ]{1,20}"), 0..20)) {
            // A first line that is no document of its own may begin one over many lines.
            let text: Vec<_> = [None].iter().chain(&lines).map(|line| line.clone().unwrap_or_else(|| ours().to_string())).collect();
            let found = items(text.join("\n").as_bytes());
            let records = found.iter().filter(|item| matches!(item, Item::Record { .. })).count();
            prop_assert_eq!(records, 1 + lines.iter().filter(|line| line.is_none()).count());
        }
    }
}
