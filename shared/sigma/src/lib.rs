//! Sigma rules, loaded and matched as pySigma understands them.
//!
//! ```
//! let file = "
//! title: A file is fetched and run
//! logsource: {product: linux, category: process_creation}
//! detection:
//!     fetch: {CommandLine|contains: ['curl ', 'wget ']}
//!     run: {CommandLine|re: '\\|\\s*(ba|da|z)?sh\\b'}
//!     condition: fetch and run
//! ";
//! let loaded = sigma::RuleSet::load([("fetch-and-run.yml", file)]);
//! assert!(loaded.refused.is_empty());
//! let event = sigma::Event { fields: &[("CommandLine", "curl https://example.org/x | sh")] };
//! let mut titles = Vec::new();
//! loaded.rules.matches(&event, &mut sigma::Scratch::default(), &mut |rule| {
//!     titles.extend(loaded.rules.get(rule).map(|rule| rule.title()));
//! });
//! assert_eq!(titles, ["A file is fetched and run"]);
//! ```
//!
//! # Events
//!
//! An [`Event`] is a list of fields, each a name and one text. Names are compared as they are written. A field that is not
//! in the list is missing: `field: null` and `field|exists: false` match it, and nothing else does. An empty text is not
//! missing. Numbers in rules are compared with texts that are decimal numbers (`16`, `16.0`, `1.6e1`). Keywords, which name
//! no field, are looked for inside each value.
//!
//! Texts are compared without regard to case unless `cased` is given: both sides are lowered, letter by letter. Regular
//! expressions are those of RE2, as in pySigma: they are searched for anywhere in the value, case matters unless `i` is
//! given, and `\d`, `\w`, `\s` and `\b` know only ASCII.
//!
//! # What is supported
//!
//! - Searches: mappings, lists of mappings, keywords; lists of values; text with `*`, `?` and backslashes, numbers,
//!   booleans, `null`, empty text, empty lists.
//! - Modifiers: `contains`, `startswith`, `endswith`, `all`, `cased`, `neq`, `exists`, `re` with `i`, `m`, `s` (and
//!   `ignorecase`, `multiline`, `dotall`), `cidr`, `lt`, `lte`, `gt`, `gte`, `fieldref`, `windash`, `base64`,
//!   `base64offset`, `wide` (and `utf16le`), `utf16`, `utf16be`; `expand` with the values that are given to
//!   [`RuleSet::load_with`].
//! - Conditions: `and`, `or`, `not`, parentheses, `1 of`, `any of` and `all of` a name, a pattern or `them`; a list of
//!   conditions.
//! - Files of several documents; YAML 1.1 as PyYAML reads it; aliases.
//!
//! # What is refused
//!
//! A rule is loaded whole or not at all, and a [`RuleError`] says why it is not. Beside what pySigma refuses, this is:
//!
//! - correlation rules, filters, rule collections (`action`), `timeframe` and aggregations: each event is judged alone;
//! - `expand` without a value, and the parts of a time (`minute`, `hour`, `day`, `week`, `month`, `year`);
//! - in regular expressions: Unicode properties and `\C`, beside what RE2 does not know (look-around, back-references,
//!   atomic groups, possessive quantifiers);
//! - a second rule with the id of another;
//! - what is beyond a bound: files of more than a megabyte, nesting, aliases that expand to many values, conditions of more
//!   than eight kilobytes, regular expressions of more than some twenty thousand steps or a hundred parentheses inside each
//!   other.
//!
//! # Limits
//!
//! - A field has one value: of two with the same name, only keywords see the second.

mod condition;
mod detection;
mod dialect;
mod engine;
mod error;
mod literals;
mod matching;
mod pattern;
mod rule;
mod set;
mod texts;
mod value;
mod yaml;

pub use error::{RuleError, RuleErrorKind};
pub use matching::{Event, Scratch};
pub use rule::{Level, LogSource, Rule, Status};
pub use set::{Loaded, RuleIndex, RuleSet, Selection};

#[cfg(test)]
mod tests;
