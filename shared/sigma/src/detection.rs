//! The detection of a rule as an expression over its named searches.

use std::collections::HashMap;

use crate::condition;
use crate::error::Problem;
use crate::value::{Item, Placeholders};
use crate::yaml::Node;

/// How many values the searches of a rule may hold.
const MAX_VALUES: usize = 20_000;

/// A search, or a condition over searches.
#[derive(Debug, PartialEq)]
pub(crate) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    /// A field and its values.
    Item(Item),
    /// A named search, by its position.
    Search(usize),
}

/// A detection, read.
#[derive(Debug)]
pub(crate) struct Detection {
    /// Names and what they stand for.
    pub(crate) searches: Vec<(String, Expression)>,
    pub(crate) condition: Expression,
}

impl Detection {
    pub(crate) fn read(document: &Node, placeholders: &Placeholders) -> Result<Self, Problem> {
        read(document, placeholders).map_err(|problem| problem.within("detection"))
    }
}

fn read(document: &Node, placeholders: &Placeholders) -> Result<Detection, Problem> {
    let entries = match document.get("detection") {
        None => return Err(Problem::invalid("it is missing")),
        Some(Node::Map(entries)) => entries,
        Some(other) => return Err(Problem::invalid(format!("{} where a mapping is expected", other.kind()))),
    };
    let mut searches: Vec<(String, Expression)> = Vec::new();
    let mut conditions = None;
    let mut values = 0;
    for (key, node) in entries {
        let name = match key {
            Node::Text(name) | Node::Number(_, name) => name,
            other => return Err(Problem::invalid(format!("{} as the name of a search", other.kind()))),
        };
        match name.as_str() {
            "condition" => conditions = Some(node),
            "timeframe" => {
                let problem =
                    Problem::unsupported("a time frame counts events, and here each is judged alone");
                return Err(problem.within(name));
            }
            _ => {
                let search =
                    search(node, placeholders, &mut values).map_err(|problem| problem.within(name))?;
                searches.push((name.clone(), search));
            }
        }
    }
    let names: Vec<&str> = searches.iter().map(|(name, _)| name.as_str()).collect();
    let positions: HashMap<&str, usize> =
        names.iter().enumerate().map(|(position, name)| (*name, position)).collect();
    let condition = match conditions {
        None => Err(Problem::invalid("it is missing")),
        Some(Node::Text(text)) => condition::parse(text, &names, &positions),
        Some(Node::List(texts)) if !texts.is_empty() => texts
            .iter()
            .map(|text| match text {
                Node::Text(text) => condition::parse(text, &names, &positions),
                other => Err(Problem::invalid(format!("{} where text is expected", other.kind()))),
            })
            .collect::<Result<_, _>>()
            // A rule with several conditions is one rule for each of them.
            .map(any),
        Some(other) => Err(Problem::invalid(format!("{} where text is expected", other.kind()))),
    };
    let condition = condition.map_err(|problem| problem.within("condition"))?;
    Ok(Detection { searches, condition })
}

/// A mapping (all of its items), a list (any of its elements) or one keyword.
fn search(node: &Node, placeholders: &Placeholders, values: &mut usize) -> Result<Expression, Problem> {
    match node {
        Node::Map(entries) if entries.is_empty() => Err(Problem::invalid("it is empty")),
        Node::Map(entries) => entries
            .iter()
            .map(|(key, node)| match key {
                Node::Text(key) => item(key, node, placeholders, values),
                other => Err(Problem::invalid(format!("{} as the name of a field", other.kind()))),
            })
            .collect::<Result<_, _>>()
            .map(all),
        Node::List(nodes) if nodes.iter().any(|node| matches!(node, Node::List(_) | Node::Map(_))) => {
            nodes.iter().map(|node| search(node, placeholders, values)).collect::<Result<_, _>>().map(any)
        }
        keywords => item("", keywords, placeholders, values),
    }
}

fn item(
    key: &str,
    node: &Node,
    placeholders: &Placeholders,
    values: &mut usize,
) -> Result<Expression, Problem> {
    let item = Item::read(key, node, placeholders)?;
    *values += item.values.len();
    if *values > MAX_VALUES {
        return Err(Problem::too_large(format!("more than {MAX_VALUES} values")));
    }
    Ok(Expression::Item(item))
}

pub(crate) fn all(mut expressions: Vec<Expression>) -> Expression {
    match expressions.pop() {
        Some(only) if expressions.is_empty() => only,
        last => {
            expressions.extend(last);
            Expression::And(expressions)
        }
    }
}

pub(crate) fn any(mut expressions: Vec<Expression>) -> Expression {
    match expressions.pop() {
        Some(only) if expressions.is_empty() => only,
        last => {
            expressions.extend(last);
            Expression::Or(expressions)
        }
    }
}
