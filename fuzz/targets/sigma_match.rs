//! A rule made of the input, and an event: the engine finds what a reference says that does nothing but compare.
//!
//! The reference looks at every value of every search; it knows no candidates, no literals and no shared answers. Regular
//! expressions are asked one by one. What modifiers make of a value is not in it (`windash`, `base64`, `cidr`, numbers): the cases
//! of pySigma are for those.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use regex::Regex;
use sigma::{Event, RuleSet, Scratch};

const FIELDS: [&str; 2] = ["A", "B"];
const SEARCHES: [&str; 3] = ["x", "y", "z"];
/// Letters whose cases are several, or longer than they are; wildcards; what ends a line.
const LETTERS: [&str; 16] =
    ["a", "b", "A", "k", "s", "K", "\u{212a}", "\u{17f}", "é", "É", "İ", " ", "-", "*", "?", "\\"];
const ATOMS: [&str; 12] =
    ["a", "b", "k", "s", ".", "é", "[ab]", "[^a]", "(?:ab|ks)", "(?i:s)", "(?:a|bk?)", r"\-"];
const QUANTIFIERS: [&str; 6] = ["", "", "?", "*", "+", "{1,2}"];

enum Value {
    Text { text: String, opens: [bool; 2], cased: bool },
    Regex(Regex),
    Null,
    Exists(bool),
    Field(&'static str),
}

struct Item {
    /// `None`: a keyword.
    field: Option<&'static str>,
    values: Vec<Value>,
    all: bool,
    negated: bool,
}

/// Any of the lists, of which all items hold.
struct Search(Vec<Vec<Item>>);

enum Condition {
    Search(usize),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

fn word(input: &mut Unstructured<'_>, longest: usize) -> Result<String> {
    (0..input.int_in_range(0..=longest)?).map(|_| input.choose(&LETTERS).copied()).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn item(input: &mut Unstructured<'_>, is_keyword: bool, yaml: &mut String) -> Result<Item> {
    let field = if is_keyword { None } else { Some(*input.choose(&FIELDS)?) };
    let kind = input.int_in_range(0..=if is_keyword { 1 } else { 4 })?;
    let (all, negated) = (input.ratio(1, 5)?, !is_keyword && input.ratio(1, 5)?);
    let mut modifiers = String::new();
    let (mut values, mut texts) = (Vec::new(), Vec::new());
    match kind {
        0 => {
            let opening = *input.choose(&["", "|contains", "|startswith", "|endswith"])?;
            let mut opens = [
                matches!(opening, "|contains" | "|endswith"),
                matches!(opening, "|contains" | "|startswith"),
            ];
            if is_keyword {
                opens = [true, true];
            }
            let cased = input.ratio(1, 4)?;
            modifiers.push_str(opening);
            modifiers.push_str(if cased { "|cased" } else { "" });
            for _ in 0..input.int_in_range(1..=3)? {
                let text = word(input, 5)?;
                texts.push(quoted(&text));
                values.push(Value::Text { text, opens, cased });
            }
        }
        1 => {
            let ignores_case = input.ratio(1, 3)?;
            modifiers.push_str(if ignores_case { "|re|i" } else { "|re" });
            for _ in 0..input.int_in_range(1..=2)? {
                let mut regex = String::from(*input.choose(&["", "", "^"])?);
                for _ in 0..input.int_in_range(1..=4)? {
                    regex.push_str(input.choose(&ATOMS)?);
                    regex.push_str(input.choose(&QUANTIFIERS)?);
                }
                regex.push_str(input.choose(&["", "", "$", "|ab"])?);
                texts.push(quoted(&regex));
                let flags = if ignores_case { "(?i)" } else { "" };
                values.push(Value::Regex(Regex::new(&format!("{flags}(?:{regex})")).unwrap()));
            }
        }
        2 => {
            texts.push("null".to_owned());
            values.push(Value::Null);
        }
        3 => {
            let exists = input.arbitrary()?;
            modifiers.push_str("|exists");
            texts.push(format!("{exists}"));
            values.push(Value::Exists(exists));
        }
        _ => {
            let other = *input.choose(&FIELDS)?;
            modifiers.push_str("|fieldref");
            texts.push(other.to_owned());
            values.push(Value::Field(other));
        }
    }
    modifiers.push_str(if all { "|all" } else { "" });
    modifiers.push_str(if negated { "|neq" } else { "" });
    let key = format!("{}{modifiers}", field.unwrap_or_default());
    let _ = write!(yaml, "{}: [{}]", quoted(&key), texts.join(", "));
    Ok(Item { field, values, all, negated })
}

fn search(input: &mut Unstructured<'_>, yaml: &mut String) -> Result<Search> {
    let mut maps = Vec::new();
    yaml.push('[');
    for map in 0..input.int_in_range(1..=2)? {
        yaml.push_str(if map == 0 { "{" } else { ", {" });
        let is_keyword = input.ratio(1, 4)?;
        let mut items: Vec<Item> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..if is_keyword { 1 } else { input.int_in_range(1..=2)? } {
            let mut text = String::new();
            let next = item(input, is_keyword, &mut text)?;
            let key = text.split(": ").next().unwrap_or_default().to_owned();
            // A mapping has each key once.
            if !keys.contains(&key) {
                yaml.push_str(if keys.is_empty() { "" } else { ", " });
                yaml.push_str(&text);
                keys.push(key);
                items.push(next);
            }
        }
        yaml.push('}');
        maps.push(items);
    }
    yaml.push(']');
    Ok(Search(maps))
}

fn condition(input: &mut Unstructured<'_>, depth: u32, text: &mut String) -> Result<Condition> {
    let kind = if depth == 0 { 0 } else { input.int_in_range(0..=3)? };
    if kind == 0 {
        let search = input.int_in_range(0..=SEARCHES.len() - 1)?;
        text.push_str(SEARCHES[search]);
        return Ok(Condition::Search(search));
    }
    if kind == 1 {
        text.push_str("not (");
        let inner = condition(input, depth - 1, text)?;
        text.push(')');
        return Ok(Condition::Not(Box::new(inner)));
    }
    let mut parts = Vec::new();
    text.push('(');
    for part in 0..input.int_in_range(2..=3)? {
        text.push_str(match (part, kind) {
            (0, _) => "",
            (_, 2) => " and ",
            _ => " or ",
        });
        parts.push(condition(input, depth - 1, text)?);
    }
    text.push(')');
    Ok(if kind == 2 { Condition::And(parts) } else { Condition::Or(parts) })
}

/// A text with wildcards over a whole value, one character after the other.
fn is_like(pattern: &[(char, bool)], value: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some((('*', true), rest)) => (0..=value.len()).any(|at| is_like(rest, &value[at..])),
        Some(((letter, is_wildcard), rest)) => value
            .split_first()
            .is_some_and(|(first, others)| (*is_wildcard || first == letter) && is_like(rest, others)),
    }
}

fn letters(text: &str, cased: bool) -> Vec<char> {
    match cased {
        true => text.chars().collect(),
        false => text.chars().flat_map(char::to_lowercase).collect(),
    }
}

fn text_matches(text: &str, opens: [bool; 2], cased: bool, value: &str) -> bool {
    let mut pattern = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => pattern.push((rest.next_if(|next| "*?\\".contains(*next)).unwrap_or('\\'), false)),
            '*' | '?' => pattern.push((letter, true)),
            _ => {
                pattern.extend(letters(&letter.to_string(), cased).into_iter().map(|letter| (letter, false)))
            }
        }
    }
    if opens[0] {
        pattern.insert(0, ('*', true));
    }
    if opens[1] {
        pattern.push(('*', true));
    }
    is_like(&pattern, &letters(value, cased))
}

fn value_matches(value: &Value, field: Option<&str>, event: &[(&str, &str)]) -> bool {
    let of = |name: &str| event.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
    let any = |is: &dyn Fn(&str) -> bool| match field {
        Some(field) => of(field).is_some_and(is),
        None => event.iter().any(|(_, value)| is(value)),
    };
    match value {
        Value::Text { text, opens, cased } => any(&|value| text_matches(text, *opens, *cased, value)),
        Value::Regex(regex) => any(&|value| regex.is_match(value)),
        Value::Null => field.and_then(of).is_none(),
        Value::Exists(exists) => field.and_then(of).is_some() == *exists,
        Value::Field(other) => {
            let (Some(value), Some(other)) = (field.and_then(of), of(other)) else { return false };
            letters(value, false) == letters(other, false)
        }
    }
}

fn holds(condition: &Condition, searches: &[Search], event: &[(&str, &str)]) -> bool {
    let item_holds = |item: &Item| {
        let mut values = item.values.iter().map(|value| value_matches(value, item.field, event));
        (if item.all { values.all(|is| is) } else { values.any(|is| is) }) != item.negated
    };
    match condition {
        Condition::Search(search) => searches[*search].0.iter().any(|items| items.iter().all(item_holds)),
        Condition::Not(inner) => !holds(inner, searches, event),
        Condition::And(parts) => parts.iter().all(|part| holds(part, searches, event)),
        Condition::Or(parts) => parts.iter().any(|part| holds(part, searches, event)),
    }
}

fn check(input: &mut Unstructured<'_>) -> Result<()> {
    let (mut texts, mut rules) = (Vec::new(), Vec::new());
    for _ in 0..input.int_in_range(1..=2)? {
        let mut yaml = String::from("title: t\nlogsource: {product: linux}\ndetection:\n");
        let mut searches = Vec::new();
        for name in SEARCHES {
            let _ = write!(yaml, "  {name}: ");
            searches.push(search(input, &mut yaml)?);
            yaml.push('\n');
        }
        yaml.push_str("  condition: ");
        let condition = condition(input, 3, &mut yaml)?;
        texts.push(yaml);
        rules.push((searches, condition));
    }
    let loaded = RuleSet::load(texts.iter().map(|text| ("x.yml", text.as_str())));
    assert!(loaded.refused.is_empty(), "{:?}\n{}", loaded.refused, texts.join("\n"));
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        let mut values = Vec::new();
        for field in FIELDS {
            if input.ratio(4, 5)? {
                values.push((field, word(input, 8)?));
            }
        }
        let event: Vec<(&str, &str)> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let mut found = Vec::new();
        loaded
            .rules
            .matches(&Event { fields: &event }, &mut scratch, &mut |rule| found.push(rule.as_usize()));
        let is_expected = |(_, (searches, condition)): &(usize, &(Vec<Search>, Condition))| {
            holds(condition, searches, &event)
        };
        let expected: Vec<usize> =
            rules.iter().enumerate().filter(is_expected).map(|(rule, _)| rule).collect();
        assert_eq!(found, expected, "{event:?}\n{}", texts.join("\n"));
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    // An input that ends too soon is no rule.
    let _ = check(&mut Unstructured::new(bytes));
});
