//! The condition of a detection: `and`, `or`, `not`, parentheses, `1 of name*`, `all of them`.
//!
//! `not` binds more tightly than `and`, and `and` more than `or`. Operators are written in lower case, as pySigma reads
//! them.

use std::collections::HashMap;

use crate::detection::{Expression, all, any};
use crate::error::Problem;

/// The longest condition that is read.
const MAX_BYTES: usize = 8 << 10;
/// How deep parentheses and `not` may be nested.
const MAX_DEPTH: usize = 64;

/// Reads a condition over the searches of these names.
pub(crate) fn parse(
    text: &str,
    names: &[&str],
    positions: &HashMap<&str, usize>,
) -> Result<Expression, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::too_large(format!("it is longer than {MAX_BYTES} bytes")));
    }
    let tokens = tokens(text)?;
    let mut parser = Condition { tokens: &tokens, names, positions, depth: 0 };
    let expression = parser.any()?;
    match parser.tokens.first() {
        None => Ok(expression),
        Some(token) => Err(unexpected(token)),
    }
}

fn tokens(text: &str) -> Result<Vec<&str>, Problem> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '*');
        let length = match first {
            '(' | ')' => 1,
            '|' => {
                let problem = Problem::unsupported("an aggregation (`|`)");
                return Err(problem.hint("each command is judged alone; leave out what follows the `|`"));
            }
            first if is_word(first) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            other => return Err(Problem::invalid(format!("`{other}` is not part of a condition"))),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

struct Condition<'c> {
    tokens: &'c [&'c str],
    names: &'c [&'c str],
    positions: &'c HashMap<&'c str, usize>,
    depth: usize,
}

impl<'c> Condition<'c> {
    fn next(&mut self) -> Option<&'c str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn next_is(&mut self, expected: &str) -> bool {
        let is = self.tokens.first() == Some(&expected);
        if is {
            self.next();
        }
        is
    }

    fn any(&mut self) -> Result<Expression, Problem> {
        let mut parts = vec![self.all()?];
        while self.next_is("or") {
            parts.push(self.all()?);
        }
        Ok(any(parts))
    }

    fn all(&mut self) -> Result<Expression, Problem> {
        let mut parts = vec![self.term()?];
        while self.next_is("and") {
            parts.push(self.term()?);
        }
        Ok(all(parts))
    }

    fn term(&mut self) -> Result<Expression, Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::too_large(format!(
                "more than {MAX_DEPTH} parentheses and `not` inside each other"
            )));
        }
        let term = self.deeper();
        self.depth -= 1;
        term
    }

    fn deeper(&mut self) -> Result<Expression, Problem> {
        let Some(token) = self.next() else {
            return Err(Problem::invalid("it ends where the name of a search is expected"));
        };
        match token {
            "not" => Ok(Expression::Not(Box::new(self.term()?))),
            "(" => {
                let inside = self.any()?;
                match self.next() {
                    Some(")") => Ok(inside),
                    Some(other) => Err(unexpected(other)),
                    None => Err(Problem::invalid("a parenthesis is not closed")),
                }
            }
            "1" | "any" | "all" if self.next_is("of") => self.selector(token),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) && self.next_is("of") => {
                let problem =
                    Problem::invalid(format!("`{number} of`: there is only `1 of`, `any of` and `all of`"));
                Err(problem)
            }
            ")" | "and" | "or" => Err(unexpected(token)),
            name => match self.positions.get(name) {
                Some(position) => Ok(Expression::Search(*position)),
                None => Err(self.unknown(name)),
            },
        }
    }

    fn selector(&mut self, quantifier: &str) -> Result<Expression, Problem> {
        let Some(pattern) = self.next() else {
            return Err(Problem::invalid(format!("it ends after `{quantifier} of`")));
        };
        let is_pattern = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '*');
        if !pattern.chars().all(is_pattern) {
            return Err(unexpected(pattern));
        }
        // A name that starts with `_` is only meant by a pattern that does so too.
        let is_meant = |name: &str| {
            (pattern.starts_with('_') || !name.starts_with('_'))
                && (pattern == "them" || matches(pattern, name))
        };
        let searches: Vec<Expression> = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| is_meant(name))
            .map(|(position, _)| Expression::Search(position))
            .collect();
        if searches.is_empty() {
            return Err(Problem::invalid(format!("`{quantifier} of {pattern}` means no search")));
        }
        Ok(if quantifier == "all" { all(searches) } else { any(searches) })
    }

    fn unknown(&self, name: &str) -> Problem {
        let problem = Problem::invalid(format!("there is no search `{name}`"));
        let lower = name.to_ascii_lowercase();
        if ["and", "or", "not", "of"].contains(&lower.as_str()) {
            return problem.hint(format!("operators are written in lower case: `{lower}`"));
        }
        match self.names.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) => problem.hint(format!("the rule names it `{known}`")),
            None if self.names.is_empty() => problem.hint("the rule has no search at all"),
            None => problem.hint(format!("the rule has {}", self.names.join(", "))),
        }
    }
}

fn unexpected(token: &str) -> Problem {
    Problem::invalid(format!("`{token}` is not expected here"))
}

/// Whether a name matches a pattern with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    let Some((middle, end)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    let Some(name) = name.strip_suffix(end) else { return false };
    let mut name = name;
    middle.split('*').all(|part| match name.split_once(part) {
        Some((_, after)) => {
            name = after;
            true
        }
        None => part.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_as_pysigma_reads_it() {
        let names = ["selection", "selection_b", "filter", "_hidden", "a-b"];
        let show = |text: &str| {
            let positions = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
            match parse(text, &names, &positions) {
                Ok(expression) => format!("{expression:?}").replace("Search", ""),
                Err(problem) => problem.reason,
            }
        };
        for (text, expected) in [
            ("selection", "(0)"),
            ("selection and filter or a-b", "Or([And([(0), (2)]), (4)])"),
            ("not selection and not (filter or a-b)", "And([Not((0)), Not(Or([(2), (4)]))])"),
            ("1 of selection*", "Or([(0), (1)])"),
            ("any of *_b", "(1)"),
            ("all of them", "And([(0), (1), (2), (4)])"),
            ("1 of _*", "(3)"),
            ("all of nothing*", "`all of nothing*` means no search"),
            ("2 of them", "`2 of`: there is only `1 of`, `any of` and `all of`"),
            ("selection | count() > 3", "an aggregation (`|`)"),
            ("selection AND filter", "`AND` is not expected here"),
            ("(selection", "a parenthesis is not closed"),
            ("selection filter", "`filter` is not expected here"),
            ("selection and", "it ends where the name of a search is expected"),
            ("", "it ends where the name of a search is expected"),
            ("nothing", "there is no search `nothing`"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn stars_of_a_name_match_anything() {
        for (pattern, name, expected) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("*b*", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("ab*bc", "abc", false),
            ("*", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_condition_beyond_a_bound_is_an_error() {
        let names = ["a"];
        let positions = [("a", 0)].into_iter().collect();
        let deep = format!("{}a{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
        for text in ["a or ".repeat(MAX_BYTES / 4), deep, format!("{}a", "not ".repeat(MAX_DEPTH))] {
            assert!(parse(&text, &names, &positions).is_err());
        }
    }
}
