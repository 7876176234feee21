//! Why a rule was refused.

use std::fmt;

/// What kind of trouble a rule is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleErrorKind {
    /// The file is not YAML that can be read.
    Yaml,
    /// The rule breaks the Sigma specification; pySigma refuses it too.
    Invalid,
    /// The rule may be correct, and needs something that this engine does not have.
    Unsupported,
    /// The rule is beyond a bound that keeps loading and matching cheap.
    TooLarge,
    /// Another rule has the same id.
    Duplicate,
}

/// A rule that does not load: where it is, what is wrong, and what to do about it.
///
/// Its text is one line, and a second one that starts with `hint:` where there is a next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// The file, as it was named to [`RuleSet::load`](crate::RuleSet::load).
    pub path: String,
    /// The line of the file, counted from 1, where that is known.
    pub line: Option<usize>,
    /// The title of the rule, or its id, where it has one.
    pub rule: Option<String>,
    /// The part of the rule, such as `detection.selection.CommandLine|re`.
    pub field: Option<String>,
    /// What kind of trouble it is.
    pub kind: RuleErrorKind,
    /// What is wrong.
    pub reason: String,
    /// The next step.
    pub hint: Option<String>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.path)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        if let Some(rule) = &self.rule {
            write!(out, ": rule `{rule}`")?;
        }
        if let Some(field) = &self.field {
            write!(out, ": `{field}`")?;
        }
        write!(out, ": {}", self.reason)?;
        match &self.hint {
            Some(hint) => write!(out, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// An error without its place; each caller on the way out adds what it knows of that.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: RuleErrorKind,
    /// The parts of the place, innermost first.
    pub(crate) place: Vec<String>,
    pub(crate) reason: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::new(RuleErrorKind::Invalid, reason)
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::new(RuleErrorKind::Unsupported, reason)
    }

    pub(crate) fn too_large(reason: impl Into<String>) -> Self {
        Self::new(RuleErrorKind::TooLarge, reason)
    }

    pub(crate) fn new(kind: RuleErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, place: Vec::new(), reason: reason.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn within(mut self, part: impl Into<String>) -> Self {
        self.place.push(part.into());
        self
    }

    pub(crate) fn into_error(self, path: &str, rule: Option<String>) -> RuleError {
        let Self { kind, place, reason, hint } = self;
        let field = place
            .iter()
            .rev()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".");
        let field = (!field.is_empty()).then_some(field);
        RuleError { path: path.to_owned(), line: None, rule, field, kind, reason, hint }
    }
}
