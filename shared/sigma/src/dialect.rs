//! Regular expressions of RE2, in the syntax of the `regex` crate.
//!
//! pySigma reads a rule's expressions with RE2, so that is their language. The two engines are of one family and mean the
//! same nearly everywhere; the rest is rewritten here: `\d`, `\w`, `\s` and `\b` know only ASCII, a lone `{` is a
//! character, and so are `[`, `&&`, `--` and `~~` in a class, `\Q...\E` quotes, `\012` is octal.
//!
//! What neither engine can do is refused by name: look-around, back-references, atomic groups, possessive quantifiers,
//! conditions.

use crate::error::Problem;
use crate::literals::Part;

/// RE2 repeats no more often.
const MAX_REPETITION: u32 = 1000;
/// How deep parentheses may be nested.
const MAX_DEPTH: usize = 100;
/// How many characters of a class are told apart.
const MAX_CHARACTERS: usize = 4;
/// How many steps a character beyond ASCII takes: it is several bytes, and may stand for others.
const BEYOND_ASCII: u64 = 8;
/// What any character but a few takes.
const ANY: u64 = 9;

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Expression {
    /// It in the syntax of the `regex` crate.
    pub(crate) pattern: String,
    /// What is told of it.
    pub(crate) part: Part,
    /// Whether a character outside of ASCII may stand for one in a text although lowering does not make it that (`ſ` for
    /// `s`): a value with such characters may match without the texts.
    pub(crate) folds: bool,
}

/// Reads an expression, `ignore_case` from its beginning or from where it says so.
///
/// What is read compiles: there is nothing left that the `regex` crate could refuse.
pub(crate) fn read(pattern: &str, ignore_case: bool) -> Result<Expression, Problem> {
    let mut reader = Reader {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        ignore_case,
        folds: false,
        depth: 0,
        names: Vec::new(),
    };
    let part = reader.alternatives()?;
    if !reader.rest.is_empty() {
        return Err(Problem::invalid("a `)` without its `(` in a regular expression"));
    }
    Ok(Expression { pattern: reader.out, part, folds: reader.folds })
}

struct Reader<'p> {
    rest: &'p str,
    out: String,
    /// Whether the letters that follow stand for both cases.
    ignore_case: bool,
    folds: bool,
    depth: usize,
    names: Vec<&'p str>,
}

/// What may be repeated.
enum Atom {
    Character(char),
    Part(Part),
    /// `(?i)`: it changes what follows, and cannot be repeated.
    Flags,
}

impl<'p> Reader<'p> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn next_is(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn alternatives(&mut self) -> Result<Part, Problem> {
        let mut parts = vec![self.sequence()?];
        while self.next_is("|") {
            self.out.push('|');
            parts.push(self.sequence()?);
        }
        Ok(Part::any(parts))
    }

    /// Until a `|`, a `)` or the end.
    fn sequence(&mut self) -> Result<Part, Problem> {
        let mut sequence = Part::empty();
        loop {
            let atom = if self.next_is(r"\Q") {
                self.quoted(&mut sequence).map(Atom::Character)
            } else {
                let Some(char) = self.rest.chars().next().filter(|char| !matches!(char, '|' | ')')) else {
                    return Ok(sequence);
                };
                self.next();
                self.atom(char)?
            };
            let Some(atom) = atom else { continue };
            // `\E` without a `\Q` is nothing.
            while self.next_is(r"\E") {}
            match (self.quantifier()?, atom) {
                (None, Atom::Flags) => {}
                (Some(_), Atom::Flags) => return Err(nothing_to_repeat()),
                (None, Atom::Character(char)) => self.push(char, &mut sequence),
                (None, Atom::Part(part)) => sequence.then(part),
                (Some((least, most)), Atom::Part(part)) => sequence.then(part.repeated(least, most)),
                (Some((least, most)), Atom::Character(char)) => {
                    let mut part = Part::empty();
                    self.push(char, &mut part);
                    sequence.then(part.repeated(least, most));
                }
            }
        }
    }

    /// The rest of `\Q...\E`. Its last character is left to be repeated.
    fn quoted(&mut self, sequence: &mut Part) -> Option<char> {
        let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        let mut last = None;
        for char in quoted.chars() {
            if let Some(before) = last.replace(char) {
                self.push(before, sequence);
            }
            self.literal(char);
        }
        last
    }

    /// What is told of a character that was written.
    fn push(&mut self, char: char, sequence: &mut Part) {
        match self.fold(char) {
            true => sequence.push(char),
            false => sequence.then(Part::unknown(BEYOND_ASCII)),
        }
    }

    /// Whether lowering a value leaves this character for all that stand for it, or the value is known by `folds`.
    fn fold(&mut self, char: char) -> bool {
        self.folds |= self.ignore_case && matches!(char, 's' | 'S');
        char.is_ascii() || !self.ignore_case
    }

    fn atom(&mut self, char: char) -> Result<Option<Atom>, Problem> {
        Ok(Some(match char {
            '\\' => return self.escape(),
            '[' => Atom::Part(self.class()?),
            '(' => self.group()?,
            '*' | '+' | '?' => return Err(nothing_to_repeat()),
            '{' if self.repetition()?.is_some() => return Err(nothing_to_repeat()),
            '.' => {
                self.out.push('.');
                Atom::Part(Part::unknown(ANY))
            }
            '^' | '$' => {
                self.out.push(char);
                Atom::Part(Part::empty())
            }
            '{' | '}' | ']' => {
                self.literal(char);
                Atom::Character(char)
            }
            char => {
                self.out.push(char);
                Atom::Character(char)
            }
        }))
    }

    /// How often what was read is repeated, if that follows; without the second number, as often as it can.
    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, Problem> {
        let Some(found) = self.one_quantifier()? else { return Ok(None) };
        // As few as possible: that changes what is found, not whether.
        if self.next_is("?") {
            self.out.push('?');
        }
        if self.rest.starts_with('+') {
            return Err(unsupported("a possessive quantifier"));
        }
        match self.one_quantifier()? {
            None => Ok(Some(found)),
            Some(_) => Err(Problem::invalid("two quantifiers, one after the other, in a regular expression")),
        }
    }

    fn one_quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, Problem> {
        let (sign, found) = match self.rest.chars().next() {
            Some('*') => ('*', (0, None)),
            Some('+') => ('+', (1, None)),
            Some('?') => ('?', (0, Some(1))),
            Some('{') => {
                let before = self.rest;
                self.next();
                let found = self.repetition()?;
                if found.is_none() {
                    self.rest = before;
                }
                return Ok(found);
            }
            _ => return Ok(None),
        };
        self.next();
        self.out.push(sign);
        Ok(Some(found))
    }

    /// The rest of `{2}`, `{2,}` or `{2,3}`; anything else after a `{` makes that a character.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, Problem> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
        let length = self.rest.bytes().take_while(is_part).count();
        let (body, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        let (first, second) = body.split_once(',').unwrap_or((body, body));
        let Some(rest) = rest.strip_prefix('}').filter(|_| !first.is_empty() && !second.contains(',')) else {
            return Ok(None);
        };
        let number = |text: &str| text.parse().ok().filter(|times| *times <= MAX_REPETITION);
        let most = if second.is_empty() { None } else { Some(number(second)) };
        let (Some(least), None | Some(Some(_))) = (number(first), most) else {
            let reason =
                format!("`{{{body}}}` in a regular expression repeats more than {MAX_REPETITION} times");
            return Err(Problem::invalid(reason));
        };
        if most.flatten().is_some_and(|most| most < least) {
            let reason = format!("`{{{body}}}` in a regular expression ends before it begins");
            return Err(Problem::invalid(reason));
        }
        self.out.push('{');
        self.out.push_str(body);
        self.out.push('}');
        self.rest = rest;
        Ok(Some((least, most.flatten())))
    }

    /// The rest of `(...)`. Nobody asks what a group has found, so that none is kept.
    fn group(&mut self) -> Result<Atom, Problem> {
        for (start, name) in [
            ("?=", "look-ahead"),
            ("?!", "look-ahead"),
            ("?<=", "look-behind"),
            ("?<!", "look-behind"),
            ("?P=", "a back-reference"),
            ("?>", "an atomic group"),
            ("?(", "a condition"),
            ("?#", "a comment"),
        ] {
            if self.rest.starts_with(start) {
                return Err(unsupported(name));
            }
        }
        let before = self.ignore_case;
        self.out.push('(');
        if self.next_is("?P<") || self.next_is("?<") {
            self.name()?;
            self.out.push_str("?:");
        } else if self.next_is("?") {
            self.out.push('?');
            if self.flags()? {
                return Ok(Atom::Flags);
            }
        } else {
            self.out.push_str("?:");
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason =
                format!("more than {MAX_DEPTH} parentheses inside each other in a regular expression");
            return Err(Problem::too_large(reason));
        }
        let part = self.alternatives()?;
        self.depth -= 1;
        if !self.next_is(")") {
            return Err(Problem::invalid("a `(` without its `)` in a regular expression"));
        }
        self.out.push(')');
        self.ignore_case = before;
        Ok(Atom::Part(part))
    }

    /// The rest of `(?P<name>`. It means nothing, but two groups must not have the same.
    fn name(&mut self) -> Result<(), Problem> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = self.rest.bytes().take_while(is_part).count();
        let (name, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        let Some(rest) = rest.strip_prefix('>').filter(|_| !name.is_empty()) else {
            return Err(Problem::invalid("a group with a name that is none in a regular expression"));
        };
        if self.names.contains(&name) {
            return Err(Problem::invalid(format!(
                "two groups with the name `{name}` in a regular expression"
            )));
        }
        self.names.push(name);
        self.rest = rest;
        Ok(())
    }

    /// The rest of `(?i)`, `true`, or of `(?i:`, each flag as it is at the end.
    fn flags(&mut self) -> Result<bool, Problem> {
        let end = self.rest.find([':', ')']).unwrap_or(self.rest.len());
        let (flags, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let is_known = |flags: &str| flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U'));
        let is_nothing = flags.ends_with('-') || (flags.is_empty() && !rest.starts_with(':'));
        let mut rest = rest.chars();
        let (Some(end), false, true) = (rest.next(), is_nothing, is_known(on) && is_known(off)) else {
            let reason = format!("`(?{flags}` is no group of RE2's regular expressions");
            return Err(Problem::invalid(reason));
        };
        self.out
            .extend(['i', 'm', 's', 'U'].iter().filter(|flag| on.contains(**flag) && !off.contains(**flag)));
        if !off.is_empty() {
            self.out.push('-');
            self.out.extend(['i', 'm', 's', 'U'].iter().filter(|flag| off.contains(**flag)));
        }
        self.out.push(end);
        self.ignore_case = (self.ignore_case || on.contains('i')) && !off.contains('i');
        self.rest = rest.as_str();
        Ok(end == ')')
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<Option<Atom>, Problem> {
        let assertion = match self.rest.chars().next() {
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('E') => "",
            Some('C') => return Err(unsupported(r"`\C`")),
            _ => {
                return Ok(Some(match self.escaped()? {
                    Escaped::Char(char) => {
                        self.literal(char);
                        Atom::Character(char)
                    }
                    Escaped::Class(class) => {
                        self.out.push_str(class);
                        Atom::Part(Part::unknown(ANY))
                    }
                }));
            }
        };
        self.next();
        self.out.push_str(assertion);
        Ok((!assertion.is_empty()).then(|| Atom::Part(Part::empty())))
    }

    /// What follows a backslash, in a class or outside of it.
    fn escaped(&mut self) -> Result<Escaped, Problem> {
        let Some(char) = self.next() else {
            return Err(Problem::invalid("a backslash at the end of a regular expression"));
        };
        Ok(match char {
            'd' => Escaped::Class("[0-9]"),
            'D' => Escaped::Class("[^0-9]"),
            'w' => Escaped::Class("[0-9A-Za-z_]"),
            'W' => Escaped::Class("[^0-9A-Za-z_]"),
            's' => Escaped::Class(r"[\t\n\f\r ]"),
            'S' => Escaped::Class(r"[^\t\n\f\r ]"),
            'p' | 'P' => return Err(unsupported("a Unicode property")),
            'a' => Escaped::Char('\x07'),
            'f' => Escaped::Char('\x0c'),
            'n' => Escaped::Char('\n'),
            'r' => Escaped::Char('\r'),
            't' => Escaped::Char('\t'),
            'v' => Escaped::Char('\x0b'),
            'x' => Escaped::Char(self.hexadecimal()?),
            '0'..='7' => Escaped::Char(self.octal(char)?),
            '8' | '9' => return Err(unsupported("a back-reference")),
            char if char.is_ascii_punctuation() || char == ' ' => Escaped::Char(char),
            char => {
                return Err(Problem::invalid(format!(
                    "`\\{char}` is no escape of RE2's regular expressions"
                )));
            }
        })
    }

    /// The rest of `\x41` or `\x{41}`.
    fn hexadecimal(&mut self) -> Result<char, Problem> {
        let digits = match self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((digits, rest)) => {
                self.rest = rest;
                digits
            }
            None => {
                let (digits, rest) = self.rest.split_at_checked(2).unwrap_or_default();
                self.rest = rest;
                digits
            }
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        let char = value.and_then(char::from_u32);
        char.ok_or_else(|| Problem::invalid(format!("`\\x{digits}` in a regular expression is no character")))
    }

    /// `\0`, `\012` and `\123` are characters; `\1` is a back-reference.
    fn octal(&mut self, first: char) -> Result<char, Problem> {
        let more = self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        if first != '0' && more == 0 {
            return Err(unsupported("a back-reference"));
        }
        let (digits, rest) = self.rest.split_at_checked(more).unwrap_or_default();
        self.rest = rest;
        let value = u32::from_str_radix(&format!("{first}{digits}"), 8).ok();
        let char = value.and_then(char::from_u32);
        char.ok_or_else(|| {
            Problem::invalid(format!("`\\{first}{digits}` in a regular expression is no character"))
        })
    }

    /// The rest of `[...]`.
    fn class(&mut self) -> Result<Part, Problem> {
        self.out.push('[');
        let is_negated = self.next_is("^");
        if is_negated {
            self.out.push('^');
        }
        let mut characters = Vec::new();
        // Whether the characters are all there is.
        let mut is_told = !is_negated;
        let mut size = if is_negated { ANY } else { 0 };
        let mut is_first = true;
        while is_first || !self.next_is("]") {
            is_first = false;
            if self.named_class()? {
                (is_told, size) = (false, size.saturating_add(ANY));
                continue;
            }
            let first = match self.class_item()? {
                Escaped::Class(class) => {
                    self.out.push_str(class);
                    (is_told, size) = (false, size.saturating_add(ANY));
                    continue;
                }
                Escaped::Char(char) => char,
            };
            self.literal(first);
            // A `-` before the end is a character.
            if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
                is_told &= self.fold(first) && characters.len() < MAX_CHARACTERS;
                if is_told {
                    characters.push(first);
                }
                size = size.saturating_add(if first.is_ascii() { 1 } else { BEYOND_ASCII });
                continue;
            }
            self.next();
            match self.class_item()? {
                Escaped::Char(last) if first <= last => {
                    self.out.push('-');
                    self.literal(last);
                    is_told = false;
                    size = size.saturating_add(if last.is_ascii() { 1 } else { BEYOND_ASCII });
                }
                _ => {
                    return Err(Problem::invalid(format!("a range that starts at `{first}` and has no end")));
                }
            }
        }
        self.out.push(']');
        Ok(if is_told { Part::characters(&characters, size) } else { Part::unknown(size) })
    }

    /// `[:alpha:]` in a class, if that is what follows.
    fn named_class(&mut self) -> Result<bool, Problem> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let Some(inside) = self.rest.strip_prefix("[:") else { return Ok(false) };
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'^';
        let length = inside.bytes().take_while(is_part).count();
        let (name, rest) = inside.split_at_checked(length).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(":]") else { return Ok(false) };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(Problem::invalid(format!("`[:{name}:]` in a regular expression is no class")));
        }
        self.out.extend(["[:", name, ":]"]);
        self.rest = rest;
        Ok(true)
    }

    fn class_item(&mut self) -> Result<Escaped, Problem> {
        match self.next() {
            None => Err(Problem::invalid("a class without its `]` in a regular expression")),
            Some('\\') => self.escaped(),
            Some(char) => Ok(Escaped::Char(char)),
        }
    }

    fn literal(&mut self, char: char) {
        if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(char);
    }
}

enum Escaped {
    Char(char),
    Class(&'static str),
}

fn nothing_to_repeat() -> Problem {
    Problem::invalid("a quantifier without anything to repeat in a regular expression")
}

fn unsupported(name: &str) -> Problem {
    Problem::unsupported(format!("{name} in a regular expression"))
        .hint("write the rule with `contains`, `startswith` and `not`, or as several expressions")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern;

    fn compiled(pattern: &str, ignore_case: bool) -> regex::Regex {
        regex::RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .nest_limit(1_000)
            .size_limit(64 << 20)
            .build()
            .unwrap()
    }

    #[test]
    fn what_is_written_differently_is_rewritten() {
        for (source, expected) in [
            (r"a{2,3}b{,4}c{2}?d{1,}", r"a{2,3}b\{,4\}c{2}?d{1,}"),
            ("a{b}{", r"a\{b\}\{"),
            ("[[a]", r"[\[a]"),
            ("[]a]", r"[\]a]"),
            ("[^]a-z&&]", r"[^\]a-z\&\&]"),
            (r"[\w-]\z", r"[[0-9A-Za-z_]\-]\z"),
            (r"[\d-z+--]", r"[[0-9]\-z\+-\-]"),
            ("[[:alpha:]x]", "[[:alpha:]x]"),
            (r"\0\012\101[\x41-\x{5A}]\/\<\_", "\0\nA[A-Z]\\/<\\_"),
            (r"\Qa.b\E.", r"a\.b."),
            (r"\Qab\E\E+c", r"ab+c"),
            ("(?i)a(?P<x>b)(?:c)(d)", "(?i)a(?:b)(?:c)(?:d)"),
            ("(?si-i:a)(?-s)", "(?s-i:a)(?-s)"),
            (r"\ba\s", r"(?-u:\b)a[\t\n\f\r ]"),
            ("a.*?b+?", "a.*?b+?"),
        ] {
            let read = read(source, false).map(|read| read.pattern).map_err(|problem| problem.reason);
            assert_eq!(read.as_deref(), Ok(expected), "{source}");
            compiled(expected, false);
        }
    }

    #[test]
    fn what_an_automaton_cannot_do_is_refused_by_name() {
        for (source, name) in [
            ("a(?=b)", "look-ahead"),
            ("(?<!a)b", "look-behind"),
            (r"(a)\1", "a back-reference"),
            ("(?P<x>a)(?P=x)", "a back-reference"),
            ("(?>a)", "an atomic group"),
            ("a++", "a possessive quantifier"),
            ("a{2}+", "a possessive quantifier"),
            (r"\pL", "a Unicode property"),
            ("a**", "two quantifiers, one after the other,"),
            ("a+??", "two quantifiers, one after the other,"),
            ("a{2}{3}", "two quantifiers, one after the other,"),
        ] {
            let problem = read(source, false).map(|read| read.pattern).map_err(|problem| problem.reason);
            assert_eq!(problem, Err(format!("{name} in a regular expression")), "{source}");
        }
    }

    #[test]
    fn what_re2_does_not_read_is_refused() {
        for source in [
            "(?x)a",
            r"\Z",
            r"\u0041",
            r"\é",
            "[a--b]",
            "[z-a]",
            "[a",
            "[[:letter:]]",
            "a{1001}",
            "a{3,2}",
            r"\x{110000}",
            "a\\",
            r"\xg1",
            "a)",
            "(a",
            "(?i",
            "(?)",
            "(?i-)a",
            "(?P<>a)",
            "(?P<x>a)(?P<x>b)",
            "*a",
            "a|*",
            "(+)",
            "{2}",
            "(?i)*",
            &format!("{}a{}", "(".repeat(101), ")".repeat(101)),
        ] {
            assert!(read(source, false).is_err(), "{source}");
        }
        let deep = read(&format!("{}a|b{}", "(".repeat(100), "+)".repeat(100)), false).unwrap();
        compiled(&deep.pattern, false);
    }

    #[test]
    fn the_size_counts_repetitions_as_copies() {
        for (source, expected) in
            [("abc", 3), ("(?:ab){10}", 21), ("[a-z0-9]", 2), ("[^a]", 9), ("(?:(?:a{9}){9}){9}", 829)]
        {
            let size = read(source, false).unwrap().part.size();
            assert!(size.abs_diff(expected) <= 12, "{source}: {size}");
        }
        let huge = format!("{}a{}", "(".repeat(8), "{1000})".repeat(8));
        assert_eq!(read(&huge, false).unwrap().part.size(), u64::MAX);
    }

    #[test]
    fn a_text_is_required_only_when_every_match_has_it() {
        for (source, expected, folds) in [
            ("abc", "abc", false),
            ("(?i)Curl", "curl", false),
            ("(?i)sudo", "sudo", true),
            (r"\s+wget\s+[^|]+\|\s*bash", "wget & bash", false),
            ("(?:nc|ncat) .*-e", "nc |ncat ", false),
            ("(a|b)c.", "ac|bc", false),
            ("(?:ncat|socat) .*(-exec|EXEC:)", "ncat |socat  & -exec|exec:", false),
            ("(ba|da|z)?sh -i", "sh -i", false),
            ("x?", "", false),
            ("a|b*", "", false),
            ("[12]cd", "1cd|2cd", false),
            ("[a-z]cd", "cd", false),
            ("[^c]cd", "cd", false),
            ("(?:abc)+", "abc", false),
            ("(?:abc){0,2}", "", false),
            ("É..", "é", false),
            ("(?i)É..", "", false),
            ("(?i:abc|x.*def)g", "abc|def", false),
            (r"(x.*|\|\s*)at\s+-f|(y.*)?at\s*<|a.*at\s|b.*at!", "at", false),
            ("(abc(?i)s)S", "abcss", true),
            (r"\Q$(x\E", "$(x", false),
        ] {
            let read = read(source, false).unwrap();
            let lists: Vec<String> = read.part.required().iter().map(|list| list.join("|")).collect();
            assert_eq!((lists.join(" & ").as_str(), read.folds), (expected, folds), "{source}");
        }
    }

    /// Pieces of expressions: put together at random, many of them are expressions.
    fn expression() -> impl Strategy<Value = String> {
        let pieces = [
            "a",
            "b",
            "ab",
            "s",
            "K",
            "É",
            "ſ",
            ".",
            "^",
            "$",
            "|",
            "(",
            ")",
            "(?:",
            "(?i)",
            "(?i:",
            "(?-i)",
            "(?s-i:",
            "(?P<n>",
            "[ab]",
            "[^a]",
            "[a-s]",
            "[sS]",
            "[é]",
            "[[:alpha:]]",
            "[",
            "]",
            "*",
            "+",
            "?",
            "{2}",
            "{0,2}",
            "{1,}",
            "{",
            "}",
            r"\b",
            r"\B",
            r"\w",
            r"\S",
            r"\d",
            r"\Q",
            r"\E",
            r"\.",
            r"\x73",
            "-",
            "=",
        ];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_is_read_compiles_and_matches_nothing_without_its_texts(
            source in expression(),
            ignore_case in any::<bool>(),
            values in prop::collection::vec("[abskSKéÉſ\u{212a}=.-]{0,8}", 1..8),
        ) {
            let Ok(read) = read(&source, ignore_case) else { return Ok(()) };
            let regex = compiled(&read.pattern, ignore_case);
            let lists = read.part.required();
            for value in values {
                let lowered = pattern::lower(&value);
                let has_all = lists.iter().all(|list| list.iter().any(|text| lowered.contains(text.as_str())));
                let may = has_all || (read.folds && !value.is_ascii());
                prop_assert!(may || !regex.is_match(&value), "{} {} {:?}", source, value, lists);
            }
        }
    }
}
