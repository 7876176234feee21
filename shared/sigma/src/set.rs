//! Loading rules.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::detection::Detection;
use crate::engine::{Builder, Engine};
use crate::error::{Problem, RuleError, RuleErrorKind};
use crate::rule::{self, Rule};
use crate::value::Placeholders;
use crate::yaml::{self, Node, YamlError};

/// Rules, ready to match. As they are serialized they are read again in a fraction of the time, by the same version of this crate.
#[derive(Debug, Serialize, Deserialize)]
pub struct RuleSet {
    rules: Vec<Rule>,
    engine: Engine,
}

/// Which rule of a [`RuleSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub(crate) u32);

impl RuleIndex {
    /// Its position among the rules.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// What became of rule files.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that were read.
    pub rules: RuleSet,
    /// Those that were not, and why. None is left out in silence.
    pub refused: Vec<RuleError>,
}

/// Some of the rules of a set, prepared once to ask for them alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Selection {
    words: Vec<u64>,
}

impl Selection {
    /// Whether the rule is one of them.
    pub fn has(&self, rule: RuleIndex) -> bool {
        self.words.get(rule.as_usize() / 64).is_some_and(|word| word >> (rule.0 % 64) & 1 == 1)
    }
}

impl RuleSet {
    /// Reads rule files, each with the path that errors name and its YAML text.
    ///
    /// A file may hold several documents. Each rule stands alone: one that is refused does not keep the others from being
    /// loaded.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Loaded {
        Self::load_with(files, &Placeholders::new())
    }

    /// The same, with values for the placeholders that the modifier `expand` reads.
    pub fn load_with<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        placeholders: &Placeholders,
    ) -> Loaded {
        let mut loader = Loader::default();
        for (path, text) in files {
            match yaml::documents(text) {
                Ok(documents) if documents.is_empty() => {
                    let problem = Problem::invalid("there is no rule in it");
                    loader.refused.push(problem.into_error(path, None));
                }
                Ok(documents) => {
                    documents.iter().for_each(|document| loader.add(path, document, placeholders))
                }
                Err(YamlError { line, reason }) => {
                    let problem = Problem::new(RuleErrorKind::Yaml, reason);
                    let error = problem.into_error(path, None);
                    loader.refused.push(RuleError { line: Some(line), ..error });
                }
            }
        }
        loader.finish()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a rule says about itself.
    pub fn get(&self, rule: RuleIndex) -> Option<&Rule> {
        self.rules.get(rule.as_usize())
    }

    /// All rules, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = (RuleIndex, &Rule)> {
        (0..).map(RuleIndex).zip(&self.rules)
    }

    /// The rules for which `is_meant` says so, for [`RuleSet::matches_of`].
    pub fn select(&self, is_meant: impl Fn(&Rule) -> bool) -> Selection {
        let mut words = vec![0_u64; self.rules.len().div_ceil(64)];
        for (index, rule) in self.iter() {
            if let Some(word) = words.get_mut(index.as_usize() / 64).filter(|_| is_meant(rule)) {
                *word |= 1 << (index.0 % 64);
            }
        }
        Selection { words }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

struct Loader {
    builder: Builder,
    rules: Vec<Rule>,
    refused: Vec<RuleError>,
    /// By id: the file of the first rule that has it.
    ids: HashMap<String, String>,
}

impl Default for Loader {
    fn default() -> Self {
        Self { builder: Builder::new(), rules: Vec::new(), refused: Vec::new(), ids: HashMap::new() }
    }
}

impl Loader {
    fn add(&mut self, path: &str, document: &Node, placeholders: &Placeholders) {
        match self.read(path, document, placeholders) {
            Ok(rule) => self.rules.push(rule),
            Err(problem) => self.refused.push(problem.into_error(path, rule::name(document))),
        }
    }

    fn read(&mut self, path: &str, document: &Node, placeholders: &Placeholders) -> Result<Rule, Problem> {
        for (key, name, hint) in [
            (
                "correlation",
                "a correlation rule",
                "each command is judged alone; load the rules that it counts",
            ),
            ("filter", "a filter document", "write what it leaves out into the rules that it is for"),
            ("action", "a rule collection (`action`)", "write each rule in full"),
        ] {
            if document.get(key).is_some() {
                return Err(Problem::unsupported(name).hint(hint));
            }
        }
        let rule = Rule::read(document, path)?;
        let id = rule.id().map(str::to_ascii_lowercase);
        if let Some(first) = id.as_ref().and_then(|id| self.ids.get(id)) {
            let problem = Problem::new(RuleErrorKind::Duplicate, format!("`{first}` has the same id"));
            return Err(problem.hint("remove one of them, or give it an id of its own").within("id"));
        }
        self.builder.add(&Detection::read(document, placeholders)?)?;
        if let Some(id) = id {
            self.ids.insert(id, path.to_owned());
        }
        Ok(rule)
    }

    fn finish(self) -> Loaded {
        Loaded { rules: RuleSet { rules: self.rules, engine: self.builder.finish() }, refused: self.refused }
    }
}
