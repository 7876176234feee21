//! YAML as rule files use it, read into a tree.
//!
//! The tree has the values that PyYAML gives pySigma: plain scalars are typed by the rules of YAML 1.1 (`yes` is a
//! boolean, `0x1f` and `017` are integers, `2024-01-31` is a date), quoted ones are text. What pySigma refuses is refused
//! here too: a key written twice, a merge key, a tag that is not of the core schema.
//!
//! A file is not trusted: its size, its depth, its nodes and what its aliases expand to are bounded, and a file beyond a
//! bound is an error.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

/// The longest file that is read.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// How deep lists and mappings may be nested.
pub(crate) const MAX_DEPTH: usize = 32;
/// How many scalars, lists and mappings a file may hold after its aliases are replaced by what they stand for.
pub(crate) const MAX_NODES: usize = 100_000;

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// An integer or a float, with its text as Python prints it.
    Number(f64, String),
    /// A date or a time, with its text.
    Date(String),
    /// Everything else that is one value.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Self::Map(entries) = self else { return None };
        entries
            .iter()
            .find(|(name, _)| matches!(name, Self::Text(text) if text == key))
            .map(|(_, value)| value)
    }

    /// What a reader of an error calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(..) => "a number",
            Self::Date(_) => "a date",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Why a file is not read, and at which line (counted from 1).
#[derive(Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

/// The documents of a file; one without content is not among them.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError { line: 1, reason: format!("the file is longer than {MAX_BYTES} bytes") });
    }
    // A final line without a line feed, and anything else the two disagree about, is read as PyYAML reads it.
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event
            .map_err(|error| YamlError { line: error.marker().line(), reason: error.info().to_owned() })?;
        builder.take(event).map_err(|reason| YamlError { line: span.start.line(), reason })?;
    }
    Ok(builder.documents)
}

/// A list or a mapping whose end has not been read.
struct Open {
    node: Node,
    /// The key whose value comes next.
    key: Option<Node>,
    anchor: usize,
    /// The nodes that were read before it, to know how many it holds.
    before: usize,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    /// What an alias stands for, and how many nodes that is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                let node = scalar(text, style, tag.as_deref())?;
                self.remember(anchor, &node, 1)?;
                self.place(node)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(Node::List(Vec::new()), anchor, tag.as_deref(), "seq")
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(Node::Map(Vec::new()), anchor, tag.as_deref(), "map")
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let size = self.nodes - open.before;
                self.remember(open.anchor, &open.node, size)?;
                self.place(open.node)
            }
            Event::Alias(anchor) => {
                // An anchor is known once its node has ended: an alias inside it would be a cycle.
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias stands inside of what it stands for".to_owned());
                };
                self.count(size)?;
                self.place(node)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, node: Node, anchor: usize, tag: Option<&Tag>, kind: &str) -> Result<(), String> {
        if tag.is_some_and(|tag| tag.core_suffix() != Some(kind)) {
            return Err("a tag that is not of YAML's core schema".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} lists and mappings inside each other"));
        }
        let before = self.nodes;
        self.count(1)?;
        self.open.push(Open { node, key: None, anchor, before });
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node, size: usize) -> Result<(), String> {
        // 0: there is no anchor.
        if anchor != 0 {
            self.count(size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values, aliases counted as what they stand for"));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, node: Node) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            if node != Node::Null {
                self.documents.push(node);
            }
            return Ok(());
        };
        match (&mut open.node, open.key.take()) {
            (Node::Map(entries), Some(key)) => entries.push((key, node)),
            (Node::Map(entries), None) => {
                match &node {
                    Node::Text(text) if text == "<<" => return Err("a merge key (`<<`)".to_owned()),
                    Node::List(_) | Node::Map(_) => return Err(format!("{} as a key", node.kind())),
                    Node::Text(text) if entries.iter().any(|(key, _)| *key == node) => {
                        return Err(format!("the key `{text}` is written twice"));
                    }
                    _ => {}
                }
                open.key = Some(node);
            }
            (Node::List(items), _) => items.push(node),
            _ => {}
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, String> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => plain(text),
            _ => Node::Text(text.into_owned()),
        });
    };
    // `!` alone says: not a plain scalar.
    if tag.suffix().is_empty() || tag.core_suffix() == Some("str") {
        return Ok(Node::Text(text.into_owned()));
    }
    let node = plain(text);
    match (tag.core_suffix(), &node) {
        (Some("null"), Node::Null)
        | (Some("bool"), Node::Bool(_))
        | (Some("int" | "float"), Node::Number(..)) => Ok(node),
        (Some(name), _) => Err(format!("a value that is not of its tag `!!{name}`")),
        (None, _) => Err("a tag that is not of YAML's core schema".to_owned()),
    }
}

/// The value of a scalar without quotes.
fn plain(text: Cow<'_, str>) -> Node {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Node::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Node::Bool(false),
        _ => {}
    }
    // Most scalars are words: only what starts like a number is looked at.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Node::Text(text.into_owned());
    }
    if is_date(&text) {
        return Node::Date(text.into_owned());
    }
    match number(&text) {
        Some((value, text)) => Node::Number(value, text),
        None => Node::Text(text.into_owned()),
    }
}

/// Four digits, a hyphen, one or two digits, a hyphen, one or two digits; a time may follow.
fn is_date(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ', '\t']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut parts = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let short = |part: &str| (1..=2).contains(&part.len()) && digits(part);
    if year.len() != 4 || !digits(year) || !short(month) || !short(day) {
        return false;
    }
    if time.is_empty() {
        return month.len() == 2 && day.len() == 2;
    }
    let time = time.trim_start_matches(['T', 't', ' ', '\t']);
    let mut clock = time.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (clock.next(), clock.next(), clock.next()) else {
        return false;
    };
    let second = rest.get(..2).unwrap_or_default();
    short(hour) && minute.len() == 2 && digits(minute) && second.len() == 2 && digits(second)
}

/// An integer or a float of YAML 1.1, and its text as Python prints it.
fn number(text: &str) -> Option<(f64, String)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits {
        ".inf" | ".Inf" | ".INF" => return Some((sign * f64::INFINITY, text.to_owned())),
        ".nan" | ".NaN" | ".NAN" if digits.len() == text.len() => return Some((f64::NAN, text.to_owned())),
        _ => unsigned(digits)?,
    };
    Some((sign * value, print(sign * value)))
}

fn unsigned(text: &str) -> Option<f64> {
    let is =
        |part: &str, digit: fn(&u8) -> bool| !part.is_empty() && part.bytes().all(|b| b == b'_' || digit(&b));
    let bare = |part: &str| part.replace('_', "");
    let radix = |part: &str, radix: u32| {
        let part = bare(part);
        // Beyond 128 bits no rule has a number; as text it is refused where a number is needed.
        u128::from_str_radix(&part, radix).ok().map(|value| value as f64)
    };
    if let Some(rest) = text.strip_prefix("0b") {
        return is(rest, |digit| matches!(digit, b'0' | b'1')).then(|| radix(rest, 2)).flatten();
    }
    if let Some(rest) = text.strip_prefix("0x") {
        return is(rest, u8::is_ascii_hexdigit).then(|| radix(rest, 16)).flatten();
    }
    if text == "0" {
        return Some(0.0);
    }
    if let Some(rest) = text.strip_prefix('0')
        && is(rest, |digit| matches!(digit, b'0'..=b'7'))
    {
        return radix(rest, 8);
    }
    if is(text, u8::is_ascii_digit) {
        // `08` is text; `0` alone was handled, and a `_` cannot start it.
        return text
            .starts_with(|first: char| ('1'..='9').contains(&first))
            .then(|| bare(text).parse().ok())
            .flatten();
    }
    if text.contains(':') {
        return sexagesimal(text);
    }
    decimal(text)
}

/// Digits with a point, and an exponent with a sign.
fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    let starts_with_digit = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let exponent_is_one = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let is_number = digits(whole)
        && digits(fraction)
        && exponent_is_one
        && if whole.is_empty() { starts_with_digit(fraction) } else { starts_with_digit(whole) };
    is_number.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// `1:30` is 90, as in a time or an angle.
fn sexagesimal(text: &str) -> Option<f64> {
    let mut value = 0.0;
    for (position, part) in text.split(':').enumerate() {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
        let is_short = position == 0 || (1..=2).contains(&whole.len());
        let is_digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
        if !is_short || !is_digits || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let part: f64 = part.parse().ok()?;
        if position > 0 && part >= 60.0 {
            return None;
        }
        value = value * 60.0 + part;
    }
    Some(value)
}

fn print(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Node, YamlError> {
        documents(text).map(|mut documents| documents.pop().unwrap_or(Node::Null))
    }

    #[test]
    fn plain_scalars_are_typed_as_yaml_1_1_types_them() {
        let number = |value: f64, text: &str| Node::Number(value, text.to_owned());
        let text = |text: &str| Node::Text(text.to_owned());
        for (source, expected) in [
            ("yes", Node::Bool(true)),
            ("Off", Node::Bool(false)),
            ("y", text("y")),
            ("~", Node::Null),
            ("12", number(12.0, "12")),
            ("-12", number(-12.0, "-12")),
            ("1_000", number(1000.0, "1000")),
            ("0x1F", number(31.0, "31")),
            ("017", number(15.0, "15")),
            ("018", text("018")),
            ("0b101", number(5.0, "5")),
            ("1.50", number(1.5, "1.5")),
            ("1.0e+3", number(1000.0, "1000")),
            ("1e3", text("1e3")),
            ("1:30", number(90.0, "90")),
            ("1.2.3", text("1.2.3")),
            ("10.0.0.1", text("10.0.0.1")),
            ("-x", text("-x")),
            ("2024-01-31", Node::Date("2024-01-31".to_owned())),
            ("2024-1-3", text("2024-1-3")),
            ("2024-01-31 10:00:00", Node::Date("2024-01-31 10:00:00".to_owned())),
            ("'12'", text("12")),
            ("\"yes\"", text("yes")),
            ("!!str 12", text("12")),
        ] {
            assert_eq!(one(&format!("[ {source} ]")), Ok(Node::List(vec![expected])), "{source}");
        }
    }

    #[test]
    fn what_pysigma_refuses_is_refused() {
        for (source, line, reason) in [
            ("a: 1\nb: 2\na: 3", 3, "the key `a` is written twice"),
            ("a: &x {b: 1}\nc:\n  <<: *x", 3, "a merge key (`<<`)"),
            ("a: !python/name x", 1, "a tag that is not of YAML's core schema"),
            ("a: !!int x", 1, "a value that is not of its tag `!!int`"),
            ("{[a]: b}", 1, "a list as a key"),
            ("a: &x [*x]", 1, "an alias stands inside of what it stands for"),
        ] {
            assert_eq!(one(source), Err(YamlError { line, reason: reason.to_owned() }), "{source}");
        }
    }

    #[test]
    fn a_file_beyond_a_bound_is_an_error() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        for (name, text) in [
            ("aliases", bomb),
            ("values", format!("[{}]", "x, ".repeat(MAX_NODES))),
            ("bytes", " ".repeat(MAX_BYTES + 1)),
            ("depth", "[".repeat(MAX_DEPTH + 1)),
            ("depth of a block", (0..=MAX_DEPTH).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
        ] {
            assert!(documents(&text).is_err(), "{name}");
        }
    }
}
