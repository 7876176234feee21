//! The questions of the graph, each about one field of an event.

use std::sync::OnceLock;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::pattern::Glob;
use crate::value::Operator;

/// What an expression may use when it is compiled, far above what one of that size needs, and for memory while it matches.
const MAX_REGEX_BYTES: usize = 64 << 20;
const MAX_REGEX_CACHE: usize = 256 << 10;
/// How deep one may be nested once it is compiled: groups are bounded, and each is a few levels.
const MAX_REGEX_NESTING: u32 = 1_000;

/// A question about an event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Leaf {
    /// A text stands at a certain place, or a character is outside of ASCII, or any of several such: known before any rule is
    /// looked at.
    Told,
    Glob {
        field: u32,
        glob: Glob,
        cased: bool,
    },
    Regex {
        field: u32,
        regex: LazyRegex,
    },
    Empty {
        field: u32,
    },
    Present {
        field: u32,
    },
    Absent {
        field: u32,
    },
    Number {
        field: u32,
        value: f64,
    },
    Compare {
        field: u32,
        operator: Operator,
        value: f64,
    },
    Bool {
        field: u32,
        value: bool,
    },
    Network {
        field: u32,
        network: IpNet,
    },
    Field {
        field: u32,
        other: u32,
        starts: bool,
        ends: bool,
    },
}

/// A regular expression that was read, and is compiled when it is first asked: most never are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LazyRegex {
    pub(super) pattern: String,
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    #[serde(skip)]
    pub(super) compiled: OnceLock<Option<regex::Regex>>,
}

impl LazyRegex {
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| {
            regex::RegexBuilder::new(&self.pattern)
                .case_insensitive(self.ignore_case)
                .multi_line(self.multi_line)
                .dot_matches_new_line(self.dot_all)
                .size_limit(MAX_REGEX_BYTES)
                .dfa_size_limit(MAX_REGEX_CACHE)
                .nest_limit(MAX_REGEX_NESTING)
                .build()
                .ok()
        });
        // INVARIANT: what was read and is within the bounds compiles; a test of `dialect` holds it. Were it not so, a match is the
        // safe answer.
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// What makes two leaves the same.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum LeafKey {
    BeyondAscii {
        field: u32,
    },
    /// Any of these leaves.
    Any(Vec<u32>),
    Glob {
        field: u32,
        glob: Glob,
        cased: bool,
    },
    Regex {
        field: u32,
        pattern: String,
        ignore_case: bool,
        multi_line: bool,
        dot_all: bool,
    },
    Empty {
        field: u32,
    },
    Present {
        field: u32,
    },
    Absent {
        field: u32,
    },
    Number {
        field: u32,
        bits: u64,
    },
    Compare {
        field: u32,
        operator: Operator,
        bits: u64,
    },
    Bool {
        field: u32,
        value: bool,
    },
    Network {
        field: u32,
        network: IpNet,
    },
    Field {
        field: u32,
        other: u32,
        starts: bool,
        ends: bool,
    },
}
