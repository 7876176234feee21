//! The values of a detection, and what modifiers make of them.
//!
//! The modifiers are applied one after the other, as pySigma applies them: each says which kinds of values it takes, and
//! a value of another kind is an error (`EventID|contains: 4624` is one: `'4624'` is meant).

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::dialect::{self, Expression};
use crate::error::Problem;
use crate::pattern::{Part, Pattern};
use crate::yaml::Node;

/// How many values one value with `windash` or `expand` may become.
const MAX_EXPANSION: usize = 200;

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Pattern),
    Number {
        value: f64,
        text: String,
    },
    Bool(bool),
    /// The field is not there.
    Null,
    /// The field is there, or is not.
    Exists(bool),
    Regex(Regex),
    Network(IpNet),
    Compare {
        operator: Operator,
        value: f64,
    },
    /// Another field of the event.
    Field {
        name: String,
        starts: bool,
        ends: bool,
    },
    /// Any of them.
    Expansion(Vec<Value>),
}

/// A regular expression as the rule writes it, in the syntax of RE2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Regex {
    pub(crate) parts: Vec<Part>,
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A field with its modifiers and values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// The field with its modifiers, as it is written.
    pub(crate) key: String,
    /// `None`: any field.
    pub(crate) field: Option<String>,
    pub(crate) values: Vec<Value>,
    /// Whether all of the values must match, not just one.
    pub(crate) all: bool,
    /// Whether the item matches when its values do not.
    pub(crate) negated: bool,
}

/// What `%name%` stands for.
pub(crate) type Placeholders = BTreeMap<String, Vec<String>>;

impl Item {
    /// Reads an entry of a detection: `Field|modifier|modifier: value`.
    pub(crate) fn read(key: &str, node: &Node, placeholders: &Placeholders) -> Result<Self, Problem> {
        Self::read_key(key, node, placeholders).map_err(|problem| problem.within(key))
    }

    fn read_key(key: &str, node: &Node, placeholders: &Placeholders) -> Result<Self, Problem> {
        let mut names = key.split('|');
        let field = names.next().filter(|field| !field.is_empty()).map(str::to_owned);
        let modifiers: Vec<&str> = names.collect();
        let nodes = match node {
            Node::List(nodes) => nodes.as_slice(),
            node => std::slice::from_ref(node),
        };
        let is_regex = modifiers.contains(&"re");
        let values = nodes.iter().map(|node| read_value(node, is_regex)).collect::<Result<_, _>>()?;
        let mut item = Self { key: key.to_owned(), field, values, all: false, negated: false };
        for (position, modifier) in modifiers.iter().enumerate() {
            let applied = modifiers.get(..position).unwrap_or_default();
            item.apply(modifier, applied, placeholders)?;
        }
        for value in &item.values {
            check(value, item.field.is_none())?;
        }
        // An empty list is what the field is not there for.
        if item.values.is_empty() {
            if item.field.is_none() {
                return Err(Problem::invalid("an empty list of keywords"));
            }
            item.values.push(Value::Null);
        }
        Ok(item)
    }

    fn apply(
        &mut self,
        modifier: &str,
        applied: &[&str],
        placeholders: &Placeholders,
    ) -> Result<(), Problem> {
        match modifier {
            "all" => self.all = true,
            "neq" => self.negated = true,
            "exists" if self.field.is_none() => {
                return Err(Problem::invalid("`exists` needs a field"));
            }
            _ => {
                let modify = Modify { modifier, applied, placeholders };
                for value in &mut self.values {
                    modify.apply(value)?;
                }
            }
        }
        Ok(())
    }
}

/// The value of a scalar; for a regular expression it is text in any case.
fn read_value(node: &Node, is_regex: bool) -> Result<Value, Problem> {
    match node {
        Node::Text(text) if is_regex => {
            // Wildcards are none here; `re` takes the text back.
            Ok(Value::Text(Pattern::literal(text)))
        }
        node if is_regex => {
            let reason = format!("{} where a regular expression is expected", node.kind());
            Err(Problem::invalid(reason).hint("put it in quotes"))
        }
        Node::Text(text) => Ok(Value::Text(Pattern::parse(text))),
        Node::Number(value, _) if !value.is_finite() => Err(Problem::invalid("a number that is not finite")),
        Node::Number(value, text) => Ok(Value::Number { value: *value, text: text.clone() }),
        Node::Bool(value) => Ok(Value::Bool(*value)),
        Node::Null => Ok(Value::Null),
        Node::Date(_) => Err(Problem::invalid("a date as a value").hint("put it in quotes")),
        Node::List(_) | Node::Map(_) => Err(Problem::invalid(format!("{} as a value", node.kind()))),
    }
}

/// What no event can be asked.
fn check(value: &Value, is_keyword: bool) -> Result<(), Problem> {
    match value {
        Value::Expansion(values) => values.iter().try_for_each(|value| check(value, is_keyword)),
        Value::Text(Pattern { parts, .. }) | Value::Regex(Regex { parts, .. }) => {
            let placeholder = parts.iter().find_map(|part| match part {
                Part::Placeholder(name) => Some(name),
                _ => None,
            });
            match placeholder {
                Some(name) => {
                    let problem = Problem::unsupported(format!("the placeholder `%{name}%` has no value"));
                    Err(problem.hint("replace it by your own values, without the modifier `expand`"))
                }
                None => Ok(()),
            }
        }
        Value::Number { .. } => Ok(()),
        _ if is_keyword => Err(Problem::invalid("a keyword is text, a number or a regular expression")),
        _ => Ok(()),
    }
}

struct Modify<'m> {
    modifier: &'m str,
    applied: &'m [&'m str],
    placeholders: &'m Placeholders,
}

impl Modify<'_> {
    fn apply(&self, value: &mut Value) -> Result<(), Problem> {
        match (self.modifier, &mut *value) {
            (_, Value::Expansion(values)) => {
                return values.iter_mut().try_for_each(|value| self.apply(value));
            }
            ("contains", Value::Text(pattern)) => {
                pattern.open_start();
                pattern.open_end();
            }
            ("startswith", Value::Text(pattern)) => pattern.open_end(),
            ("endswith", Value::Text(pattern)) => pattern.open_start(),
            // A regular expression is searched for: anything may stand before and after it already.
            ("contains" | "startswith" | "endswith", Value::Regex(_)) => {}
            ("contains", Value::Field { starts, ends, .. }) => (*starts, *ends) = (true, true),
            ("startswith", Value::Field { starts, .. }) => *starts = true,
            ("endswith", Value::Field { ends, .. }) => *ends = true,
            ("cased", Value::Text(pattern)) => pattern.cased = true,
            ("re", Value::Text(pattern)) => {
                self.alone()?;
                let regex = Regex { parts: std::mem::take(&mut pattern.parts), ..Regex::default() };
                *value = Value::Regex(regex);
            }
            ("i" | "ignorecase", Value::Regex(regex)) => regex.ignore_case = true,
            ("m" | "multiline", Value::Regex(regex)) => regex.multi_line = true,
            ("s" | "dotall", Value::Regex(regex)) => regex.dot_all = true,
            ("cidr", Value::Text(pattern)) => {
                self.alone()?;
                *value = Value::Network(network(&pattern.plain())?);
            }
            ("exists", Value::Bool(exists)) => {
                self.alone()?;
                *value = Value::Exists(*exists);
            }
            ("lt" | "lte" | "gt" | "gte", Value::Number { value: number, .. }) => {
                let operator = match self.modifier {
                    "lt" => Operator::Less,
                    "lte" => Operator::LessOrEqual,
                    "gt" => Operator::Greater,
                    _ => Operator::GreaterOrEqual,
                };
                *value = Value::Compare { operator, value: *number };
            }
            ("fieldref", Value::Text(pattern)) => {
                if pattern.has_wildcard() {
                    return Err(Problem::invalid("a field's name with a wildcard"));
                }
                *value = Value::Field { name: pattern.plain(), starts: false, ends: false };
            }
            ("wide" | "utf16le", Value::Text(pattern)) => recode(pattern, "", u16::to_le_bytes)?,
            ("utf16be", Value::Text(pattern)) => recode(pattern, "", u16::to_be_bytes)?,
            ("utf16", Value::Text(pattern)) => recode(pattern, "\u{feff}", u16::to_le_bytes)?,
            ("base64", Value::Text(pattern)) => {
                *value = Value::Text(Pattern::literal(&STANDARD.encode(self.bytes(pattern)?)));
            }
            ("base64offset", Value::Text(pattern)) => {
                let bytes = self.bytes(pattern)?;
                *value = Value::Expansion((0..3).map(|offset| at_offset(&bytes, offset)).collect());
            }
            ("windash", Value::Text(pattern)) => *value = windash(pattern)?,
            ("expand", Value::Text(Pattern { parts, .. })) => {
                insert_placeholders(parts);
                let patterns = self.replace_placeholders(parts)?;
                let Value::Text(Pattern { cased, .. }) = value else { return Ok(()) };
                let cased = *cased;
                *value = one_or_any(patterns.into_iter().map(|parts| Value::Text(Pattern { parts, cased })));
            }
            ("expand", Value::Regex(regex)) => {
                insert_placeholders(&mut regex.parts);
                let patterns = self.replace_placeholders(&regex.parts)?;
                let regex = regex.clone();
                *value = one_or_any(
                    patterns.into_iter().map(|parts| Value::Regex(Regex { parts, ..regex.clone() })),
                );
            }
            ("minute" | "hour" | "day" | "week" | "month" | "year", Value::Number { .. }) => {
                let reason = format!("the modifier `{}` reads a time out of a field", self.modifier);
                return Err(Problem::unsupported(reason).hint("compare a field that holds the number itself"));
            }
            _ => return Err(self.unfit(value)),
        }
        Ok(())
    }

    /// Some modifiers take a value only as it is written.
    fn alone(&self) -> Result<(), Problem> {
        if self.applied.is_empty() {
            return Ok(());
        }
        Err(Problem::invalid(format!("`{}` must be the first modifier", self.modifier)))
    }

    fn unfit(&self, value: &Value) -> Problem {
        const KNOWN: [&str; 32] = [
            "contains",
            "startswith",
            "endswith",
            "cased",
            "re",
            "i",
            "ignorecase",
            "m",
            "multiline",
            "s",
            "dotall",
            "cidr",
            "exists",
            "lt",
            "lte",
            "gt",
            "gte",
            "fieldref",
            "wide",
            "utf16le",
            "utf16",
            "utf16be",
            "base64",
            "base64offset",
            "windash",
            "expand",
            "minute",
            "hour",
            "day",
            "week",
            "month",
            "year",
        ];
        let modifier = self.modifier;
        if !KNOWN.contains(&modifier) {
            return Problem::invalid(format!("there is no modifier `{modifier}`"));
        }
        let (kind, hint) = match value {
            Value::Text(_) => ("text", None),
            Value::Number { .. } => ("a number", Some("put the number in quotes")),
            Value::Bool(_) => ("a boolean", Some("put it in quotes")),
            Value::Null => ("nothing", None),
            Value::Regex(_) => ("a regular expression", None),
            _ => ("what the modifiers before it made", None),
        };
        let problem = Problem::invalid(format!("the modifier `{modifier}` does not apply to {kind}"));
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    /// What `base64` and `base64offset` encode.
    fn bytes(&self, pattern: &Pattern) -> Result<Vec<u8>, Problem> {
        if pattern.has_wildcard() {
            return Err(Problem::invalid(format!("`{}` over a wildcard", self.modifier)));
        }
        let text = pattern.plain();
        // The byte order mark is a character here; in UTF-16 it is two bytes, which are no character.
        match text.strip_prefix('\u{feff}').filter(|_| self.applied.contains(&"utf16")) {
            Some(rest) => Ok([b"\xff\xfe", rest.as_bytes()].concat()),
            None => Ok(text.into_bytes()),
        }
    }

    /// All the texts that come of putting values where placeholders are; one without values stays.
    fn replace_placeholders(&self, parts: &[Part]) -> Result<Vec<Vec<Part>>, Problem> {
        let mut patterns = vec![Pattern::default()];
        for part in parts {
            let values = match part {
                Part::Placeholder(name) => self.placeholders.get(name).map(Vec::as_slice),
                _ => None,
            };
            let Some(values) = values else {
                for pattern in &mut patterns {
                    match part {
                        Part::Text(text) => pattern.push_text(text),
                        other => pattern.parts.push(other.clone()),
                    }
                }
                continue;
            };
            patterns = product(&patterns, values.iter().map(|value| Pattern::parse(value).parts))?;
        }
        Ok(patterns.into_iter().map(|pattern| pattern.parts).collect())
    }
}

fn product(
    patterns: &[Pattern],
    ends: impl Iterator<Item = Vec<Part>> + Clone,
) -> Result<Vec<Pattern>, Problem> {
    let mut longer = Vec::new();
    for pattern in patterns {
        for end in ends.clone() {
            if longer.len() >= MAX_EXPANSION {
                return Err(Problem::too_large(format!("one value becomes more than {MAX_EXPANSION}")));
            }
            let mut pattern = pattern.clone();
            for part in end {
                match part {
                    Part::Text(text) => pattern.push_text(&text),
                    other => pattern.parts.push(other),
                }
            }
            longer.push(pattern);
        }
    }
    Ok(longer)
}

fn one_or_any(values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<Value> = values.collect();
    match values.pop() {
        Some(only) if values.is_empty() => only,
        last => {
            values.extend(last);
            Value::Expansion(values)
        }
    }
}

/// The text as its UTF-16 units, each byte of them as a character.
fn recode(pattern: &mut Pattern, start: &str, bytes: fn(u16) -> [u8; 2]) -> Result<(), Problem> {
    let mut wide = Pattern::literal(start);
    for part in &pattern.parts {
        match part {
            Part::Text(text) => {
                let encoded = text.encode_utf16().flat_map(bytes).collect();
                let encoded = String::from_utf8(encoded).map_err(|_| {
                    Problem::invalid(format!("`{text}` has a character that has no UTF-16 form as text"))
                })?;
                wide.push_text(&encoded);
            }
            other => wide.parts.push(other.clone()),
        }
    }
    // As in pySigma, the new text has lost `cased`.
    *pattern = wide;
    Ok(())
}

/// The Base64 of the bytes when `offset` other bytes stand before them, without the characters that depend on those.
fn at_offset(bytes: &[u8], offset: usize) -> Value {
    let mut shifted = vec![b' '; offset];
    shifted.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&shifted);
    let start = [0, 2, 3].get(offset).copied().unwrap_or_default();
    let cut = [0, 3, 2].get(shifted.len() % 3).copied().unwrap_or_default();
    let inner = encoded.get(start..encoded.len().saturating_sub(cut)).unwrap_or_default();
    Value::Text(Pattern::literal(inner))
}

/// Any dash or slash that starts a word may be any other of them.
fn windash(pattern: &Pattern) -> Result<Value, Problem> {
    const DASHES: [&str; 5] = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut patterns = vec![Pattern::default()];
    let mut dashes = 0;
    for part in &pattern.parts {
        let Part::Text(text) = part else {
            patterns.iter_mut().for_each(|pattern| pattern.parts.push(part.clone()));
            continue;
        };
        let mut before = None;
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let starts_word = !before.is_some_and(is_word) && chars.peek().copied().is_some_and(is_word);
            if matches!(char, '-' | '/') && starts_word {
                dashes += 1;
                if dashes > 3 {
                    let problem = Problem::invalid("`windash` over more than three dashes");
                    return Err(problem.hint("write several values with one dash each"));
                }
                let ends = DASHES.iter().map(|dash| vec![Part::Text((*dash).to_owned())]);
                patterns = product(&patterns, ends)?;
            } else {
                let text = char.encode_utf8(&mut [0; 4]).to_owned();
                patterns.iter_mut().for_each(|pattern| pattern.push_text(&text));
            }
            before = Some(char);
        }
    }
    // As in pySigma, a text in which a dash was replaced has lost `cased`.
    let cased = pattern.cased && dashes == 0;
    patterns.iter_mut().for_each(|pattern| pattern.cased = cased);
    Ok(Value::Expansion(patterns.into_iter().map(Value::Text).collect()))
}

/// Finds `%name%` in texts.
fn insert_placeholders(parts: &mut Vec<Part>) {
    let mut found = Pattern::default();
    for part in parts.drain(..) {
        let Part::Text(text) = part else {
            found.parts.push(part);
            continue;
        };
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            found.push_text(before);
            match after.split_once('%').filter(|(name, _)| !name.is_empty() && !name.contains('\\')) {
                Some((name, after)) => {
                    found.parts.push(Part::Placeholder(name.to_owned()));
                    rest = after;
                }
                None => {
                    found.push_text("%");
                    rest = after;
                }
            }
        }
        found.push_text(rest);
    }
    *parts = found.parts;
}

/// An address or a network; a mask may be written as a number of bits or as an IPv4 address.
fn network(text: &str) -> Result<IpNet, Problem> {
    let invalid = || {
        let problem = Problem::invalid(format!("`{text}` is not a network"));
        problem.hint("write it as `10.0.0.0/8`, with no bit set behind the mask")
    };
    let network = match text.split_once('/') {
        None => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| invalid())?,
        Some((address, mask)) => match mask.parse() {
            Ok(mask) => IpNet::with_netmask(address.parse().map_err(|_| invalid())?, mask),
            Err(_) => {
                IpNet::new(address.parse().map_err(|_| invalid())?, mask.parse().map_err(|_| invalid())?)
            }
        }
        .map_err(|_| invalid())?,
    };
    if network.trunc() != network {
        return Err(invalid());
    }
    Ok(network)
}

impl Regex {
    /// Reads it in the syntax of RE2.
    pub(crate) fn read(&self) -> Result<Expression, Problem> {
        let pattern = Pattern { parts: self.parts.clone(), cased: true };
        dialect::read(&pattern.plain(), self.ignore_case)
    }
}
