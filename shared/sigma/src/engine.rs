//! Rules as one graph of questions, most of which are answered in one pass.
//!
//! Every question about a field (a *leaf*) is kept once, however many rules ask it. Leaves that are texts without
//! wildcards inside are answered together, in one pass over the field's value; where in the value the text may stand is
//! read off the place at which it was found. Text with wildcards, and a regular expression, becomes "the texts that it
//! cannot match without, and itself", so that it is asked when these were found. For each rule, leaves are chosen of which
//! at least one must hold (its *witnesses*): a rule none of whose witnesses holds is not looked at.

mod leaf;
mod witnesses;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

pub(crate) use leaf::Leaf;
use leaf::{LazyRegex, LeafKey};
use serde::{Deserialize, Serialize};
use witnesses::Witnesses;

use crate::detection::{self, Detection};
use crate::dialect::Expression;
use crate::error::Problem;
use crate::literals;
use crate::pattern::{self, Glob, Part, Pattern};
use crate::texts::Texts;
use crate::value::{Item, Regex, Value};

/// The field that stands for every field: keywords look there.
pub(crate) const ANY_FIELD: u32 = 0;
/// How large a regular expression may be, in steps.
const MAX_REGEX_SIZE: u64 = 20_000;
/// How likely a value is to have characters outside of ASCII.
const CHANCE_BEYOND_ASCII: f32 = 1e-4;

/// Where in a value a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Anywhere,
    Start,
    End,
    Whole,
}

/// A node of the graph; children are a range of [`Engine::children`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Node {
    Leaf(u32),
    /// A leaf that holds only if all the children do, and is asked only then.
    Guarded {
        first: u32,
        end: u32,
        leaf: u32,
    },
    Not(u32),
    And {
        first: u32,
        end: u32,
    },
    Or {
        first: u32,
        end: u32,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Engine {
    pub(crate) fields: BTreeMap<Box<str>, u32>,
    /// By field: what is looked for in its value.
    pub(crate) searches: Vec<Search>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) children: Vec<u32>,
    /// The node that decides each rule.
    pub(crate) roots: Vec<u32>,
    /// What follows from each leaf: first the leaves that hold because it does, then, from the number of leaves on, the rules
    /// that it is a witness of.
    pub(crate) follows: Lists,
    /// The rules without witnesses.
    pub(crate) always: Vec<u32>,
}

/// Lists in one piece of memory.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lists {
    /// Where each begins. The next one's beginning is its end.
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn new(lists: &[Vec<u32>]) -> Self {
        let mut all = Self { starts: Vec::with_capacity(lists.len() + 1), items: Vec::new() };
        for list in lists {
            all.starts.push(index(all.items.len()));
            all.items.extend_from_slice(list);
        }
        all.starts.push(index(all.items.len()));
        all
    }

    pub(crate) fn get(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let Some([start, end]) = self.starts.get(at..at + 2) else { return &[] };
        self.items.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

/// What is looked for in a field.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Search {
    texts: Texts,
    /// By text: what holds where it was found.
    leaves: Vec<Placed>,
    /// What holds for a value that is not all of ASCII.
    pub(crate) beyond_ascii: u32,
}

/// The leaves that hold when a text was found, [`NO_LEAF`] where nothing asks that.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Placed {
    anywhere: u32,
    start: u32,
    end: u32,
    whole: u32,
}

/// The number of no leaf.
const NO_LEAF: u32 = u32::MAX;

impl Placed {
    const NOTHING: Self = Self { anywhere: NO_LEAF, start: NO_LEAF, end: NO_LEAF, whole: NO_LEAF };

    fn at(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Anywhere => &mut self.anywhere,
            Place::Start => &mut self.start,
            Place::End => &mut self.end,
            Place::Whole => &mut self.whole,
        }
    }
}

impl Search {
    /// Calls `hold` with the leaves that hold of a value, with some more than once.
    pub(crate) fn scan(&self, value: &[u8], hold: &mut impl FnMut(u32)) {
        self.texts.scan(value, &mut |text, start, end| {
            let Some(leaves) = self.leaves.get(text as usize) else { return };
            hold(leaves.anywhere);
            if start == 0 {
                hold(leaves.start);
            }
            if end == value.len() {
                hold(leaves.end);
            }
            if start == 0 && end == value.len() {
                hold(leaves.whole);
            }
        });
    }
}

/// Takes rules, one after the other.
pub(crate) struct Builder {
    fields: BTreeMap<Box<str>, u32>,
    keys: HashMap<LeafKey, u32>,
    leaves: Vec<Leaf>,
    /// By field: texts, and the leaves that each is for.
    texts: Vec<HashMap<String, Placed>>,
    /// By leaf: how likely it is to hold, where that is told before it is asked.
    chances: Vec<Option<f32>>,
    /// By leaf: the node that asks it.
    leaf_nodes: Vec<u32>,
    /// By leaf: those that hold because it does.
    implied: Vec<Vec<u32>>,
    nodes: Vec<Node>,
    /// By node: how much it costs to ask.
    costs: Vec<u8>,
    children: Vec<u32>,
    roots: Vec<u32>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            fields: BTreeMap::new(),
            keys: HashMap::with_capacity(512),
            leaves: Vec::new(),
            texts: vec![HashMap::new()],
            chances: Vec::new(),
            leaf_nodes: Vec::new(),
            implied: Vec::new(),
            nodes: Vec::new(),
            costs: Vec::new(),
            children: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Adds a rule; after an error, nothing of it matters.
    pub(crate) fn add(&mut self, detection: &Detection) -> Result<(), Problem> {
        let mut searches = Vec::with_capacity(detection.searches.len());
        for (name, search) in &detection.searches {
            let node = self
                .expression(search, &searches)
                .map_err(|problem| problem.within(name).within("detection"))?;
            searches.push(node);
        }
        let root = self.expression(&detection.condition, &searches)?;
        self.roots.push(root);
        Ok(())
    }

    pub(crate) fn finish(self) -> Engine {
        let (mut follows, leaves) = (self.implied, index(self.leaves.len()));
        let mut always = Vec::new();
        let mut witnesses = Witnesses::new(&self.nodes, &self.children, &self.chances);
        for (rule, root) in (0..).zip(&self.roots) {
            let Some(witnesses) = witnesses.of_rule(*root) else {
                always.push(rule);
                continue;
            };
            for leaf in witnesses {
                if let Some(follows) = follows.get_mut(leaf as usize) {
                    follows.push(leaves + rule);
                }
            }
        }
        let leaf_of = |key| match self.keys.get(&key).and_then(|node| self.nodes.get(*node as usize)) {
            Some(Node::Leaf(leaf)) => *leaf,
            _ => NO_LEAF,
        };
        let search = |(field, texts): (u32, &HashMap<String, Placed>)| {
            // In order, so that the same rules make the same index.
            let mut texts: Vec<(&str, Placed)> =
                texts.iter().map(|(text, placed)| (text.as_str(), *placed)).collect();
            texts.sort_unstable_by_key(|(text, _)| *text);
            Search {
                texts: Texts::new(texts.iter().map(|(text, _)| *text)),
                leaves: texts.iter().map(|(_, placed)| *placed).collect(),
                beyond_ascii: leaf_of(LeafKey::BeyondAscii { field }),
            }
        };
        Engine {
            searches: (0..).zip(&self.texts).map(search).collect(),
            fields: self.fields,
            leaves: self.leaves,
            nodes: self.nodes,
            children: self.children,
            roots: self.roots,
            follows: Lists::new(&follows),
            always,
        }
    }

    fn field(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return ANY_FIELD };
        if let Some(field) = self.fields.get(name) {
            return *field;
        }
        let field = index(self.texts.len());
        self.fields.insert(name.into(), field);
        self.texts.push(HashMap::new());
        field
    }

    fn expression(&mut self, expression: &detection::Expression, searches: &[u32]) -> Result<u32, Problem> {
        match expression {
            detection::Expression::Item(item) => self.item(item),
            detection::Expression::Search(search) => {
                searches.get(*search).copied().ok_or_else(|| Problem::invalid("a search that is not there"))
            }
            detection::Expression::Not(inner) => {
                let inner = self.expression(inner, searches)?;
                Ok(self.node(Node::Not(inner)))
            }
            detection::Expression::And(parts) => {
                let parts = self.expressions(parts, searches)?;
                Ok(self.and(parts))
            }
            detection::Expression::Or(parts) => {
                let parts = self.expressions(parts, searches)?;
                Ok(self.or(parts))
            }
        }
    }

    fn expressions(
        &mut self,
        parts: &[detection::Expression],
        searches: &[u32],
    ) -> Result<Vec<u32>, Problem> {
        parts.iter().map(|part| self.expression(part, searches)).collect()
    }

    fn item(&mut self, item: &Item) -> Result<u32, Problem> {
        let field = self.field(item.field.as_deref());
        let values = self.values(field, &item.values).map_err(|problem| problem.within(&item.key))?;
        let node = if item.all { self.and(values) } else { self.or(values) };
        Ok(if item.negated { self.node(Node::Not(node)) } else { node })
    }

    fn values(&mut self, field: u32, values: &[Value]) -> Result<Vec<u32>, Problem> {
        values.iter().map(|value| self.value(field, value)).collect()
    }

    fn value(&mut self, field: u32, value: &Value) -> Result<u32, Problem> {
        Ok(match value {
            Value::Expansion(values) => {
                let values = self.values(field, values)?;
                self.or(values)
            }
            Value::Text(pattern) => self.pattern(field, pattern),
            Value::Number { text, .. } if field == ANY_FIELD => self.pattern(field, &Pattern::literal(text)),
            Value::Number { value, .. } => self.leaf(
                LeafKey::Number { field, bits: value.to_bits() },
                Leaf::Number { field, value: *value },
            ),
            Value::Bool(value) => {
                self.leaf(LeafKey::Bool { field, value: *value }, Leaf::Bool { field, value: *value })
            }
            Value::Null | Value::Exists(false) => {
                self.leaf(LeafKey::Absent { field }, Leaf::Absent { field })
            }
            Value::Exists(true) => self.leaf(LeafKey::Present { field }, Leaf::Present { field }),
            Value::Regex(regex) => self.regex(field, regex)?,
            Value::Network(network) => self.leaf(
                LeafKey::Network { field, network: *network },
                Leaf::Network { field, network: *network },
            ),
            Value::Compare { operator, value } => self.leaf(
                LeafKey::Compare { field, operator: *operator, bits: value.to_bits() },
                Leaf::Compare { field, operator: *operator, value: *value },
            ),
            Value::Field { name, starts, ends } => {
                let (starts, ends) = (*starts, *ends);
                let other = self.field(Some(name));
                self.leaf(
                    LeafKey::Field { field, other, starts, ends },
                    Leaf::Field { field, other, starts, ends },
                )
            }
        })
    }

    fn pattern(&mut self, field: u32, pattern: &Pattern) -> u32 {
        let cased = pattern.cased;
        let mut parts: Vec<Part> = pattern.parts.clone();
        if field == ANY_FIELD {
            // A keyword stands anywhere.
            parts.insert(0, Part::Any);
            parts.push(Part::Any);
        }
        if !cased {
            for part in &mut parts {
                if let Part::Text(text) = part {
                    *text = pattern::lower(text);
                }
            }
        }
        let is_open = |part: Option<&Part>| part == Some(&Part::Any);
        let (open_start, open_end) = (is_open(parts.first()), is_open(parts.last()));
        let inner: Vec<&Part> = {
            let start = parts.iter().take_while(|part| **part == Part::Any).count();
            let end = parts.iter().rev().take_while(|part| **part == Part::Any).count();
            parts.get(start..parts.len().saturating_sub(end)).unwrap_or_default().iter().collect()
        };
        match inner.as_slice() {
            [] if open_start => self.leaf(LeafKey::Present { field }, Leaf::Present { field }),
            [] => self.leaf(LeafKey::Empty { field }, Leaf::Empty { field }),
            [Part::Text(text)] if !cased => {
                let place = match (open_start, open_end) {
                    (true, true) => Place::Anywhere,
                    (false, true) => Place::Start,
                    (true, false) => Place::End,
                    (false, false) => Place::Whole,
                };
                let text = (*text).clone();
                self.literal(field, text, place)
            }
            _ => self.glob(field, Glob::new(&parts), cased),
        }
    }

    fn literal(&mut self, field: u32, text: String, place: Place) -> u32 {
        // A text that must stand at the start or the end of a value is rare.
        let weight = if place == Place::Anywhere { 1.0 } else { 1.5 };
        let chance = literals::chance(std::slice::from_ref(&text)).powf(weight);
        let new = index(self.leaves.len());
        let Some(texts) = self.texts.get_mut(field as usize) else { return NO_LEAF };
        let leaf = texts.entry(text).or_insert(Placed::NOTHING).at(place);
        if *leaf != NO_LEAF {
            return self.leaf_nodes.get(*leaf as usize).copied().unwrap_or(NO_LEAF);
        }
        *leaf = new;
        self.new_leaf(Leaf::Told, Some(chance))
    }

    fn glob(&mut self, field: u32, glob: Glob, cased: bool) -> u32 {
        let key = LeafKey::Glob { field, glob: glob.clone(), cased };
        if let Some(node) = self.keys.get(&key) {
            return *node;
        }
        let text = glob.longest_text().map(pattern::lower);
        let guards: Vec<u32> =
            text.into_iter().map(|text| self.literal(field, text, Place::Anywhere)).collect();
        self.guarded(key, Leaf::Glob { field, glob, cased }, &guards)
    }

    fn regex(&mut self, field: u32, source: &Regex) -> Result<u32, Problem> {
        let Expression { pattern, part, folds } = source.read()?;
        if part.size() > MAX_REGEX_SIZE {
            let problem = Problem::too_large("a regular expression that is too large");
            return Err(problem.hint("repeat less: `{1,1000}` is a thousand copies"));
        }
        let Regex { ignore_case, multi_line, dot_all, .. } = *source;
        let key = LeafKey::Regex { field, pattern: pattern.clone(), ignore_case, multi_line, dot_all };
        if let Some(node) = self.keys.get(&key) {
            return Ok(*node);
        }
        let mut guards = Vec::new();
        for list in part.required() {
            let mut texts: Vec<u32> =
                list.into_iter().map(|text| self.literal(field, text, Place::Anywhere)).collect();
            if folds {
                let key = LeafKey::BeyondAscii { field };
                let known = self.keys.get(&key).copied();
                texts.push(known.unwrap_or_else(|| {
                    let node = self.new_leaf(Leaf::Told, Some(CHANCE_BEYOND_ASCII));
                    self.keys.insert(key, node);
                    node
                }));
            }
            guards.push(self.or(texts));
        }
        let regex = LazyRegex { pattern, ignore_case, multi_line, dot_all, compiled: OnceLock::new() };
        Ok(self.guarded(key, Leaf::Regex { field, regex }, &guards))
    }

    /// A leaf that nothing tells of before it is asked.
    fn leaf(&mut self, key: LeafKey, leaf: Leaf) -> u32 {
        if let Some(node) = self.keys.get(&key) {
            return *node;
        }
        let node = self.new_leaf(leaf, None);
        self.keys.insert(key, node);
        node
    }

    fn guarded(&mut self, key: LeafKey, leaf: Leaf, guards: &[u32]) -> u32 {
        let mut node = self.new_leaf(leaf, None);
        if !guards.is_empty() {
            let leaf = index(self.leaves.len() - 1);
            let (first, end) = self.adopt(guards);
            node = self.node(Node::Guarded { first, end, leaf });
        }
        self.keys.insert(key, node);
        node
    }

    fn new_leaf(&mut self, leaf: Leaf, chance: Option<f32>) -> u32 {
        self.leaves.push(leaf);
        self.chances.push(chance);
        self.implied.push(Vec::new());
        let node = self.node(Node::Leaf(index(self.leaves.len() - 1)));
        self.leaf_nodes.push(node);
        node
    }

    fn and(&mut self, mut parts: Vec<u32>) -> u32 {
        if let [only] = parts.as_slice() {
            return *only;
        }
        // The cheapest questions first.
        parts.sort_by_key(|part| self.cost(*part));
        let (first, end) = self.adopt(&parts);
        self.node(Node::And { first, end })
    }

    fn or(&mut self, mut parts: Vec<u32>) -> u32 {
        if let Some(told) = self.any_told(&mut parts) {
            parts.push(told);
        }
        if let [only] = parts.as_slice() {
            return *only;
        }
        parts.sort_by_key(|part| self.cost(*part));
        let (first, end) = self.adopt(&parts);
        self.node(Node::Or { first, end })
    }

    /// Those of the parts that are told, as one: however many there are, it is one question.
    fn any_told(&mut self, parts: &mut Vec<u32>) -> Option<u32> {
        let told = |node: &u32| match self.nodes.get(*node as usize) {
            Some(Node::Leaf(leaf)) => match self.leaves.get(*leaf as usize) {
                Some(Leaf::Told) => Some(*leaf),
                _ => None,
            },
            _ => None,
        };
        let mut leaves: Vec<u32> = parts.iter().filter_map(told).collect();
        if leaves.len() < 2 {
            return None;
        }
        parts.retain(|part| told(part).is_none());
        leaves.sort_unstable();
        leaves.dedup();
        let chance =
            leaves.iter().filter_map(|leaf| self.chances.get(*leaf as usize).copied().flatten()).sum();
        let key = LeafKey::Any(leaves.clone());
        if let Some(node) = self.keys.get(&key) {
            return Some(*node);
        }
        let any = index(self.leaves.len());
        for leaf in leaves {
            if let Some(implied) = self.implied.get_mut(leaf as usize) {
                implied.push(any);
            }
        }
        let node = self.new_leaf(Leaf::Told, Some(chance));
        self.keys.insert(key, node);
        Some(node)
    }

    fn adopt(&mut self, parts: &[u32]) -> (u32, u32) {
        let first = index(self.children.len());
        self.children.extend_from_slice(parts);
        (first, index(self.children.len()))
    }

    fn cost(&self, node: u32) -> u8 {
        self.costs.get(node as usize).copied().unwrap_or_default()
    }

    fn node(&mut self, node: Node) -> u32 {
        let of_leaf = |leaf: u32| match self.leaves.get(leaf as usize) {
            Some(Leaf::Regex { .. }) => 3,
            Some(Leaf::Glob { .. } | Leaf::Field { .. } | Leaf::Network { .. }) => 2,
            _ => 0,
        };
        let cost = match node {
            Node::Leaf(leaf) | Node::Guarded { leaf, .. } => of_leaf(leaf),
            Node::Not(inner) => self.cost(inner),
            Node::And { first, end } | Node::Or { first, end } => {
                let children = self.children.get(first as usize..end as usize).unwrap_or_default();
                children.iter().map(|child| self.cost(*child)).max().unwrap_or_default().max(1)
            }
        };
        self.nodes.push(node);
        self.costs.push(cost);
        index(self.nodes.len() - 1)
    }
}

/// A position as it is kept. Files, values and rules are bounded far below what fits.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
