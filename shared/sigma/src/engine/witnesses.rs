//! For each rule a few leaves of which one must hold, so that a rule is not looked at when none does.

use std::collections::HashMap;

use super::Node;

/// A rule with more witnesses is looked at for every event.
const MAX_WITNESSES: usize = 10_000;

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
            Node::Guarded { .. } if negated => None,
            Node::Guarded { first, end, .. } => self.rarest(first, end, false),
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
