//! Rules as one graph of questions, and the automata that answer most of them in one pass.
//!
//! Every question about a field (a *leaf*) is kept once, however many rules ask it. A leaf that is a text without
//! wildcards inside is answered by an Aho-Corasick automaton over the field's value; where in the value the text may
//! stand is read off the place of the match. A leaf with wildcards, and a regular expression, is asked only after a text
//! that it cannot match without was found. For each rule, leaves are chosen of which at least one must hold (its
//! *witnesses*): a rule none of whose witnesses holds is not looked at.

use std::collections::HashMap;
use std::sync::OnceLock;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::{Anchored, MatchKind, nfa};
use ipnet::IpNet;

use crate::detection::{Detection, Expression};
use crate::error::Problem;
use crate::literals::{self, Required};
use crate::pattern::{self, Glob, Part, Pattern};
use crate::value::{Item, Operator, Regex, Value};

/// The field that stands for every field: keywords look there.
pub(crate) const ANY_FIELD: u32 = 0;
/// How large a regular expression may be, by [`literals::size`].
const MAX_REGEX_SIZE: u64 = 20_000;
/// What one may use when it is compiled, far above what one of that size needs, and for memory while it matches.
const MAX_REGEX_BYTES: usize = 64 << 20;
const MAX_REGEX_CACHE: usize = 256 << 10;
/// A rule with more witnesses is looked at for every event.
const MAX_WITNESSES: usize = 10_000;

/// A question about an event.
#[derive(Debug)]
pub(crate) enum Leaf {
    /// A text stands at a certain place; only the automaton tells.
    Literal,
    Glob {
        field: u32,
        glob: Glob,
        cased: bool,
        has_text: bool,
    },
    Regex {
        field: u32,
        regex: LazyRegex,
        has_text: bool,
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
#[derive(Debug)]
pub(crate) struct LazyRegex {
    pattern: String,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    compiled: OnceLock<Option<regex::Regex>>,
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
                .build()
                .ok()
        });
        // INVARIANT: what was read and is within the bound compiles. Were it not so, a match is the safe answer.
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// What makes two leaves the same.
#[derive(PartialEq, Eq, Hash)]
enum LeafKey {
    Literal { field: u32, text: String, place: Place },
    Glob { field: u32, glob: Glob, cased: bool },
    Regex { field: u32, pattern: String, ignore_case: bool, multi_line: bool, dot_all: bool },
    Empty { field: u32 },
    Present { field: u32 },
    Absent { field: u32 },
    Number { field: u32, bits: u64 },
    Compare { field: u32, operator: Operator, bits: u64 },
    Bool { field: u32, value: bool },
    Network { field: u32, network: IpNet },
    Field { field: u32, other: u32, starts: bool, ends: bool },
}

/// Where in a value a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Anywhere,
    Start,
    End,
    Whole,
}

/// A node of the graph; children are a range of [`Engine::children`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    Leaf(u32),
    Not(u32),
    And { first: u32, end: u32 },
    Or { first: u32, end: u32 },
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) fields: HashMap<Box<str>, u32>,
    pub(crate) automata: Vec<Option<Automaton>>,
    /// Leaves that a value outside of ASCII may match without their text, by field.
    pub(crate) folding: Vec<Vec<u32>>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) children: Vec<u32>,
    /// The node that decides each rule.
    pub(crate) roots: Vec<u32>,
    /// The rules that each leaf is a witness of.
    pub(crate) witnessed: Lists,
    /// The rules without witnesses.
    pub(crate) always: Vec<u32>,
    pub(crate) texts: u32,
}

/// Lists in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn new(lists: &[Vec<u32>]) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.items.extend_from_slice(list);
            all.ends.push(index(all.items.len()));
        }
        all
    }

    pub(crate) fn get(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(at).copied().unwrap_or_default();
        self.items.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// The texts that are looked for in a field.
#[derive(Debug)]
pub(crate) struct Automaton {
    automaton: nfa::contiguous::NFA,
    /// The number of the first text among all texts of all fields.
    pub(crate) first_text: u32,
    /// By text: the leaves that hold wherever it stands.
    pub(crate) anywhere: Lists,
    /// By text: places and the leaves that hold when it stands there.
    placed: Vec<Vec<(Place, u32)>>,
    lengths: Vec<u32>,
}

impl Automaton {
    /// Calls `found` with each text (by its number in this automaton) and the end of each place it stands at.
    pub(crate) fn scan(&self, value: &[u8], found: &mut impl FnMut(u32, usize)) {
        let automaton = &self.automaton;
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for (at, byte) in value.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            if automaton.is_special(state) && automaton.is_match(state) {
                for number in 0..automaton.match_len(state) {
                    found(automaton.match_pattern(state, number).as_u32(), at + 1);
                }
            }
        }
    }

    /// The leaves that hold because a text ends here.
    pub(crate) fn placed(&self, text: u32, end: usize, length: usize) -> impl Iterator<Item = u32> {
        let text_length = self.lengths.get(text as usize).map_or(0, |length| *length as usize);
        let is_start = end == text_length;
        let is_end = end == length;
        let places = self.placed.get(text as usize).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(move |(place, leaf)| {
            let holds = match place {
                Place::Anywhere => true,
                Place::Start => is_start,
                Place::End => is_end,
                Place::Whole => is_start && is_end,
            };
            holds.then_some(*leaf)
        })
    }
}

/// Takes rules, one after the other.
#[derive(Default)]
pub(crate) struct Builder {
    fields: HashMap<Box<str>, u32>,
    keys: HashMap<LeafKey, u32>,
    leaves: Vec<Leaf>,
    /// By field: texts, and the leaves that each is for.
    texts: Vec<HashMap<String, Vec<(Place, u32)>>>,
    /// By leaf: how likely its text is to be found; `None`: it has none.
    chances: Vec<Option<f32>>,
    folding: Vec<Vec<u32>>,
    nodes: Vec<Node>,
    children: Vec<u32>,
    roots: Vec<u32>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut builder = Self::default();
        builder.texts.push(HashMap::new());
        builder.folding.push(Vec::new());
        builder
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

    pub(crate) fn finish(self) -> Result<Engine, Problem> {
        let mut witnessed = vec![Vec::new(); self.leaves.len()];
        let mut always = Vec::new();
        let mut witnesses = Witnesses::new(&self.nodes, &self.children, &self.chances);
        for (rule, root) in self.roots.iter().enumerate() {
            let Some(leaves) = witnesses.of_rule(*root) else {
                always.push(index(rule));
                continue;
            };
            for leaf in leaves {
                if let Some(rules) = witnessed.get_mut(leaf as usize) {
                    rules.push(index(rule));
                }
            }
        }
        let mut first_text = 0;
        let mut automata = Vec::with_capacity(self.texts.len());
        for texts in self.texts {
            let count = index(texts.len());
            automata.push(automaton(texts, first_text)?);
            first_text += count;
        }
        Ok(Engine {
            fields: self.fields,
            automata,
            folding: self.folding,
            leaves: self.leaves,
            nodes: self.nodes,
            children: self.children,
            roots: self.roots,
            witnessed: Lists::new(&witnessed),
            always,
            texts: first_text,
        })
    }

    fn field(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return ANY_FIELD };
        if let Some(field) = self.fields.get(name) {
            return *field;
        }
        let field = index(self.texts.len());
        self.fields.insert(name.into(), field);
        self.texts.push(HashMap::new());
        self.folding.push(Vec::new());
        field
    }

    fn expression(&mut self, expression: &Expression, searches: &[u32]) -> Result<u32, Problem> {
        match expression {
            Expression::Item(item) => self.item(item),
            Expression::Search(search) => {
                searches.get(*search).copied().ok_or_else(|| Problem::invalid("a search that is not there"))
            }
            Expression::Not(inner) => {
                let inner = self.expression(inner, searches)?;
                Ok(self.node(Node::Not(inner)))
            }
            Expression::And(parts) => {
                let parts = self.expressions(parts, searches)?;
                Ok(self.and(parts))
            }
            Expression::Or(parts) => {
                let parts = self.expressions(parts, searches)?;
                Ok(self.or(parts))
            }
        }
    }

    fn expressions(&mut self, parts: &[Expression], searches: &[u32]) -> Result<Vec<u32>, Problem> {
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
        let leaf = match value {
            Value::Expansion(values) => {
                let values = self.values(field, values)?;
                return Ok(self.or(values));
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
        };
        Ok(self.node(Node::Leaf(leaf)))
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
        let key = LeafKey::Literal { field, text: text.clone(), place };
        if let Some(leaf) = self.keys.get(&key) {
            return *leaf;
        }
        let leaf = self.leaf(key, Leaf::Literal);
        self.look_for(leaf, field, text, place);
        leaf
    }

    fn glob(&mut self, field: u32, glob: Glob, cased: bool) -> u32 {
        let key = LeafKey::Glob { field, glob: glob.clone(), cased };
        if let Some(leaf) = self.keys.get(&key) {
            return *leaf;
        }
        let text = glob.longest_text().map(pattern::lower);
        let leaf = self.leaf(key, Leaf::Glob { field, glob, cased, has_text: text.is_some() });
        if let Some(text) = text {
            self.look_for(leaf, field, text, Place::Anywhere);
        }
        leaf
    }

    fn regex(&mut self, field: u32, source: &Regex) -> Result<u32, Problem> {
        let pattern = source.translate()?;
        let Regex { ignore_case, multi_line, dot_all, .. } = *source;
        let key = LeafKey::Regex { field, pattern: pattern.clone(), ignore_case, multi_line, dot_all };
        if let Some(leaf) = self.keys.get(&key) {
            return Ok(*leaf);
        }
        let hir = regex_syntax::ParserBuilder::new()
            .case_insensitive(ignore_case)
            .multi_line(multi_line)
            .dot_matches_new_line(dot_all)
            .build()
            .parse(&pattern)
            .map_err(|error| {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Problem::invalid(format!("a regular expression that cannot be read: {last}"))
            })?;
        if literals::size(&hir) > MAX_REGEX_SIZE {
            let problem = Problem::too_large("a regular expression that is too large");
            return Err(problem.hint("repeat less: `{1,1000}` is a thousand copies"));
        }
        let Required { texts, folds } = literals::required(&hir).unwrap_or_default();
        let regex = LazyRegex { pattern, ignore_case, multi_line, dot_all, compiled: OnceLock::new() };
        let leaf = self.leaf(key, Leaf::Regex { field, regex, has_text: !texts.is_empty() });
        for text in texts {
            self.look_for(leaf, field, text, Place::Anywhere);
        }
        if folds && let Some(folding) = self.folding.get_mut(field as usize) {
            folding.push(leaf);
        }
        Ok(leaf)
    }

    fn leaf(&mut self, key: LeafKey, leaf: Leaf) -> u32 {
        *self.keys.entry(key).or_insert_with(|| {
            self.leaves.push(leaf);
            self.chances.push(None);
            index(self.leaves.len() - 1)
        })
    }

    fn look_for(&mut self, leaf: u32, field: u32, text: String, place: Place) {
        // A long text is rare, and one that must stand at the end of a value is rarer.
        let letters = text.chars().count().min(40) as f32 * if place == Place::Anywhere { 1.0 } else { 1.5 };
        if let Some(chance) = self.chances.get_mut(leaf as usize) {
            *chance = Some(chance.unwrap_or_default() + (-letters).exp2());
        }
        if let Some(texts) = self.texts.get_mut(field as usize) {
            texts.entry(text).or_default().push((place, leaf));
        }
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
        if let [only] = parts.as_slice() {
            return *only;
        }
        parts.sort_by_key(|part| self.cost(*part));
        let (first, end) = self.adopt(&parts);
        self.node(Node::Or { first, end })
    }

    fn adopt(&mut self, parts: &[u32]) -> (u32, u32) {
        let first = index(self.children.len());
        self.children.extend_from_slice(parts);
        (first, index(self.children.len()))
    }

    fn cost(&self, node: u32) -> u8 {
        match self.nodes.get(node as usize) {
            Some(Node::Leaf(leaf)) => match self.leaves.get(*leaf as usize) {
                Some(Leaf::Regex { .. }) => 3,
                Some(Leaf::Glob { .. } | Leaf::Field { .. } | Leaf::Network { .. }) => 2,
                _ => 0,
            },
            _ => 1,
        }
    }

    fn node(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        index(self.nodes.len() - 1)
    }
}

/// Leaves at least one of which holds when a node does.
#[derive(Clone, Default)]
struct Witness {
    leaves: Vec<u32>,
    /// How often one of them holds, roughly.
    chance: f32,
}

/// Looks for witnesses among the leaves that have a chance.
pub(crate) struct Witnesses<'b> {
    nodes: &'b [Node],
    children: &'b [u32],
    chances: &'b [Option<f32>],
    known: HashMap<(u32, bool), Option<Witness>>,
}

impl<'b> Witnesses<'b> {
    pub(crate) fn new(nodes: &'b [Node], children: &'b [u32], chances: &'b [Option<f32>]) -> Self {
        Self { nodes, children, chances, known: HashMap::new() }
    }

    /// Of a rule, by its root.
    pub(crate) fn of_rule(&mut self, root: u32) -> Option<Vec<u32>> {
        let mut leaves = self.of(root, false)?.leaves;
        leaves.sort_unstable();
        leaves.dedup();
        (leaves.len() <= MAX_WITNESSES).then_some(leaves)
    }

    /// Of a node, or of its opposite.
    fn of(&mut self, node: u32, negated: bool) -> Option<Witness> {
        if let Some(known) = self.known.get(&(node, negated)) {
            return known.clone();
        }
        let witness = match *self.nodes.get(node as usize)? {
            Node::Leaf(_) if negated => None,
            Node::Leaf(leaf) => {
                let chance = self.chances.get(leaf as usize).copied().flatten();
                chance.map(|chance| Witness { leaves: vec![leaf], chance })
            }
            Node::Not(inner) => self.of(inner, !negated),
            // By De Morgan: the opposite of "all" is "any of the opposites".
            Node::And { first, end } if !negated => self.rarest(first, end, negated),
            Node::Or { first, end } if negated => self.rarest(first, end, negated),
            Node::And { first, end } | Node::Or { first, end } => self.every(first, end, negated),
        };
        self.known.insert((node, negated), witness.clone());
        witness
    }

    fn rarest(&mut self, first: u32, end: u32, negated: bool) -> Option<Witness> {
        let parts = self.children.get(first as usize..end as usize)?;
        parts
            .iter()
            .filter_map(|part| self.of(*part, negated))
            .min_by(|one, other| one.chance.total_cmp(&other.chance))
    }

    fn every(&mut self, first: u32, end: u32, negated: bool) -> Option<Witness> {
        let parts = self.children.get(first as usize..end as usize)?;
        let mut all = Witness::default();
        for part in parts {
            let part = self.of(*part, negated)?;
            all.leaves.extend(part.leaves);
            all.chance += part.chance;
            if all.leaves.len() > MAX_WITNESSES {
                return None;
            }
        }
        Some(all)
    }
}

fn automaton(
    texts: HashMap<String, Vec<(Place, u32)>>,
    first_text: u32,
) -> Result<Option<Automaton>, Problem> {
    if texts.is_empty() {
        return Ok(None);
    }
    let (texts, leaves): (Vec<String>, Vec<Vec<(Place, u32)>>) = texts.into_iter().unzip();
    let too_large = |_| Problem::too_large("the rules look for too many texts");
    let mut builder = nfa::noncontiguous::NFA::builder();
    builder.match_kind(MatchKind::Standard).prefilter(false);
    let automaton = builder.build(&texts).map_err(too_large)?;
    let mut builder = nfa::contiguous::NFA::builder();
    builder.prefilter(false);
    let automaton = builder.build_from_noncontiguous(&automaton).map_err(too_large)?;
    let is_anywhere = |(place, leaf): &(Place, u32)| (*place == Place::Anywhere).then_some(*leaf);
    let anywhere: Vec<Vec<u32>> =
        leaves.iter().map(|leaves| leaves.iter().filter_map(is_anywhere).collect()).collect();
    let mut placed = leaves;
    placed.iter_mut().for_each(|leaves| leaves.retain(|(place, _)| *place != Place::Anywhere));
    Ok(Some(Automaton {
        automaton,
        first_text,
        anywhere: Lists::new(&anywhere),
        placed,
        lengths: texts.iter().map(|text| index(text.len())).collect(),
    }))
}

/// A position as it is kept. Files, values and rules are bounded far below what fits.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
