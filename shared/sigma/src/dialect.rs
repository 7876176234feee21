//! Regular expressions of RE2, in the syntax of the `regex` crate.
//!
//! pySigma reads a rule's expressions with RE2, so that is their language. The two engines are of one family and mean the
//! same nearly everywhere; the rest is rewritten here: `\d`, `\w`, `\s` and `\b` know only ASCII, a lone `{` is a
//! character, and so are `[`, `&&`, `--` and `~~` in a class, `\Q...\E` quotes, `\012` is octal.
//!
//! What neither engine can do is refused by name: look-around, back-references, atomic groups, possessive quantifiers,
//! conditions.

use crate::error::Problem;

/// RE2 repeats no more often.
const MAX_REPETITION: u32 = 1000;

/// The expression in the other syntax.
pub(crate) fn translate(pattern: &str) -> Result<String, Problem> {
    let mut translation = Translation { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    translation.run()?;
    Ok(translation.out)
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
}

impl Translation<'_> {
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

    fn run(&mut self) -> Result<(), Problem> {
        let mut after_quantifier = false;
        while let Some(char) = self.next() {
            let mut is_quantifier = false;
            match char {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => {
                    self.out.push(char);
                    is_quantifier = true;
                }
                '{' => {
                    is_quantifier = self.repetition()?;
                    if !is_quantifier {
                        self.literal('{');
                    }
                }
                '}' | ']' => self.literal(char),
                char => self.out.push(char),
            }
            if is_quantifier && after_quantifier {
                return Err(match char {
                    '+' => unsupported("a possessive quantifier"),
                    _ => Problem::invalid("two quantifiers, one after the other, in a regular expression"),
                });
            }
            if is_quantifier && self.next_is("?") {
                self.out.push('?');
            }
            after_quantifier = is_quantifier;
        }
        Ok(())
    }

    /// The rest of `{2}`, `{2,}` or `{2,3}`; anything else after a `{` makes that a character.
    fn repetition(&mut self) -> Result<bool, Problem> {
        let Some((body, rest)) = self.rest.split_once('}') else { return Ok(false) };
        let (least, most) = body.split_once(',').unwrap_or((body, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if least.is_empty() || !is_number(least) || !is_number(most) {
            return Ok(false);
        }
        let is_large =
            |text: &str| !text.is_empty() && text.parse().map_or(true, |times: u32| times > MAX_REPETITION);
        if is_large(least) || is_large(most) {
            let reason =
                format!("`{{{body}}}` in a regular expression repeats more than {MAX_REPETITION} times");
            return Err(Problem::invalid(reason));
        }
        self.out.push_str(&format!("{{{body}}}"));
        self.rest = rest;
        Ok(true)
    }

    fn group(&mut self) -> Result<(), Problem> {
        self.out.push('(');
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
        // The rest of `(?P<name>`, `(?<name>`, `(?i)` and `(?i:` means the same.
        if self.next_is("?") {
            self.out.push('?');
            let flags = self.rest.split([':', ')', '<']).next().unwrap_or_default();
            if flags != "P" && flags.chars().any(|flag| !matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) {
                return Err(Problem::invalid(format!(
                    "`(?{flags}` is no group of RE2's regular expressions"
                )));
            }
        }
        Ok(())
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), Problem> {
        if self.next_is("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            quoted.chars().for_each(|char| self.literal(char));
            self.rest = rest;
            return Ok(());
        }
        let assertion = match self.rest.chars().next() {
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('E') => "",
            Some('C') => return Err(unsupported(r"`\C`")),
            _ => {
                return match self.escaped()? {
                    Escaped::Char(char) => {
                        self.literal(char);
                        Ok(())
                    }
                    Escaped::Class(class) => {
                        self.out.push_str(class);
                        Ok(())
                    }
                };
            }
        };
        self.next();
        self.out.push_str(assertion);
        Ok(())
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
    fn class(&mut self) -> Result<(), Problem> {
        self.out.push('[');
        if self.next_is("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.next_is("]") {
            is_first = false;
            if self.rest.starts_with("[:")
                && let Some((name, rest)) = self.rest.split_once(":]")
            {
                self.out.push_str(name);
                self.out.push_str(":]");
                self.rest = rest;
                continue;
            }
            let first = match self.class_item()? {
                Escaped::Class(class) => {
                    self.out.push_str(class);
                    continue;
                }
                Escaped::Char(char) => char,
            };
            self.literal(first);
            // A `-` before the end is a character.
            if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
                continue;
            }
            self.next();
            match self.class_item()? {
                Escaped::Char(last) if first <= last => {
                    self.out.push('-');
                    self.literal(last);
                }
                _ => {
                    return Err(Problem::invalid(format!("a range that starts at `{first}` and has no end")));
                }
            }
        }
        self.out.push(']');
        Ok(())
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

fn unsupported(name: &str) -> Problem {
    Problem::unsupported(format!("{name} in a regular expression"))
        .hint("write the rule with `contains`, `startswith` and `not`, or as several expressions")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("(?i)a(?P<x>b)(?:c)", "(?i)a(?P<x>b)(?:c)"),
            (r"\ba\s", r"(?-u:\b)a[\t\n\f\r ]"),
            ("a.*?b+?", "a.*?b+?"),
        ] {
            let translated = translate(source).map_err(|problem| problem.reason);
            assert_eq!(translated.as_deref(), Ok(expected), "{source}");
            assert!(regex::Regex::new(expected).is_ok(), "{expected}");
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
        ] {
            let problem = translate(source).map_err(|problem| problem.reason);
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
            "a{1001}",
            r"\x{110000}",
            "a\\",
            r"\xg1",
        ] {
            assert!(translate(source).is_err(), "{source}");
        }
    }
}
