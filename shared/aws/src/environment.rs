//! What the variables of a function's environment say. All that is wrong is named at once: a deployment that is mended
//! one variable at a time fails as many times.

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::clients::Variable;

/// Variables that are read, and what was wrong with them.
pub struct Environment<'a> {
    variable: Variable<'a>,
    wrong: Vec<String>,
}

impl<'a> Environment<'a> {
    /// Nothing is read yet.
    pub fn new(variable: Variable<'a>) -> Self {
        Self { variable, wrong: Vec::new() }
    }

    /// A variable that may be missing or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A variable that has to be there.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.wrong.push(format!("`{name}` is missing"));
            String::new()
        })
    }

    /// A variable that has to be there and to be `what`.
    pub fn parsed<T>(&mut self, name: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.optional(name);
        let parsed = value.as_deref().and_then(parse);
        match (value, &parsed) {
            (None, _) => self.wrong.push(format!("`{name}` is missing")),
            (Some(value), None) => self.wrong.push(format!("`{name}` is `{value}`, not {what}")),
            (Some(_), Some(_)) => {}
        }
        parsed
    }

    /// A number of days, at least one.
    pub fn days(&mut self, name: &str) -> Option<SignedDuration> {
        self.parsed(name, "a number of days", |days| {
            let days = days.parse::<u16>().ok().filter(|days| *days > 0)?;
            Some(SignedDuration::from_hours(i64::from(days) * 24))
        })
    }

    /// A number of minutes.
    pub fn minutes(&mut self, name: &str) -> Option<SignedDuration> {
        self.parsed(name, "a number of minutes", |minutes| {
            minutes.parse::<u16>().ok().map(|minutes| SignedDuration::from_mins(i64::from(minutes)))
        })
    }

    /// A file or a folder that is in the function's package under this name, unless the variable says otherwise.
    pub fn packaged(&self, variable: &str, name: &str) -> PathBuf {
        let root = self.optional("LAMBDA_TASK_ROOT").unwrap_or_else(|| ".".to_owned());
        self.optional(variable).map_or_else(|| PathBuf::from(root).join(name), PathBuf::from)
    }

    /// The clients, which name the variables that they miss.
    pub fn clients<C>(&mut self, build: impl Fn(Variable<'_>) -> Result<C, Vec<&'static str>>) -> Option<C> {
        build(self.variable)
            .map_err(|missing| self.wrong.extend(missing.iter().map(|name| format!("`{name}` is missing"))))
            .ok()
    }

    /// What was read, when nothing was wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<String>> {
        read.filter(|_| self.wrong.is_empty()).ok_or(self.wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let variable = |name: &str| match name {
            "EMPTY" => Some(String::new()),
            "DAYS" => Some("0".to_owned()),
            "MINUTES" => Some("15".to_owned()),
            _ => None,
        };
        let mut environment = Environment::new(&variable);
        assert_eq!(environment.required("EMPTY"), "");
        assert_eq!(environment.days("DAYS"), None);
        assert_eq!(environment.minutes("MINUTES"), Some(SignedDuration::from_mins(15)));
        assert_eq!(environment.clients(|_| Err::<(), _>(vec!["AWS_REGION"])), None);
        assert_eq!(
            environment.finish(Some(())).unwrap_err(),
            ["`EMPTY` is missing", "`DAYS` is `0`, not a number of days", "`AWS_REGION` is missing"]
        );
    }
}
