//! From texts to a validated policy set.

use std::collections::BTreeSet;
use std::fmt;

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use serde_json::Value;

use super::{About, Lookup, Policies, Respond, Rule, Severity};
use crate::parameters::Parameters;
use crate::policy::request::Names;

/// The schema that every policy is validated against.
pub const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");

/// The same in Cedar's JSON, which is read in a tenth of the time. A test writes it and holds it to [`SCHEMA`].
const SCHEMA_JSON: &str = include_str!("schema.json");

/// One policy file.
#[derive(Clone, Debug)]
pub struct PolicySource {
    /// Where it is, for messages.
    pub path: String,
    /// The name of its folder, which its `@id` must be.
    pub folder: String,
    /// What it says.
    pub text: String,
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file.
    pub path: String,
    /// Line and column, from 1, when the error has a place.
    pub position: Option<(usize, usize)>,
    /// The policy, or the folder's name when the policy could not be read.
    pub policy: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path)?;
        if let Some((line, column)) = self.position {
            write!(formatter, ":{line}:{column}")?;
        }
        write!(formatter, ": policy `{}`: {}", self.policy, self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LoadError {}

/// The actions that a policy's scope names.
#[derive(Debug)]
pub(super) enum Actions {
    Any,
    Only(Vec<String>),
}

impl Actions {
    pub(super) fn include(&self, action: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(actions) => actions.iter().any(|named| named == action),
        }
    }
}

pub(super) fn load(sources: &[PolicySource], parameters: Parameters) -> Result<Policies, Vec<LoadError>> {
    let mut errors = Vec::new();
    let (schema, attributes) = schema().map_err(|message| vec![schema_error(message)])?;
    let mut parsed = Vec::new();
    for source in sources {
        match parse(source) {
            Ok(policy) => parsed.push((source, policy)),
            Err(error) => errors.push(error),
        }
    }
    let validator = Validator::new(schema);
    let (mut forbids, mut permits, mut rules) = (PolicySet::new(), PolicySet::new(), Vec::new());
    for (source, (policy, about)) in parsed {
        let mut alone = PolicySet::new();
        let set = if policy.effect() == Effect::Forbid { &mut forbids } else { &mut permits };
        for set in [&mut alone, set] {
            if let Err(error) = set.add(policy.clone()) {
                errors.push(source.error(
                    None,
                    error.to_string(),
                    Some("each policy needs an @id of its own"),
                ));
            }
        }
        let result = validator.validate(&alone, ValidationMode::Strict);
        for error in result.validation_errors() {
            errors.push(source.diagnostic(error));
        }
        // A policy that can never hold is a rule that silently never fires.
        for warning in result.validation_warnings() {
            errors.push(source.diagnostic(warning));
        }
        let json = policy.to_json().ok();
        errors.extend(unknown_attributes(json.as_ref(), &attributes).into_iter().map(|(name, hint)| {
            let place = source.text.find(&format!("has {name}"));
            source.error(place, format!("nothing has an attribute `{name}`"), hint.as_deref())
        }));
        rules.push(rule(policy, about, json.as_ref()));
    }
    // The validator reports a place once for every kind of principal and target that may reach it.
    errors.sort_by(|a, b| (&a.path, a.position, &a.message).cmp(&(&b.path, b.position, &b.message)));
    errors.dedup_by(|a, b| a.path == b.path && a.position == b.position && a.position.is_some());
    if !errors.is_empty() {
        return Err(errors);
    }
    rules.sort_by(|a, b| a.about.id.cmp(&b.about.id));
    let names = Names::new().map_err(|message| vec![schema_error(message)])?;
    Ok(Policies { schema: validator.schema().clone(), forbids, permits, rules, parameters, names })
}

fn parse(source: &PolicySource) -> Result<(Policy, About), LoadError> {
    let id = PolicyId::new(&source.folder);
    let policy = Policy::parse(Some(id), &source.text).map_err(|error| source.diagnostic(&error))?;
    let required = |name: &str, hint: &str| {
        policy
            .annotation(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| source.error(None, format!("the annotation `@{name}` is missing"), Some(hint)))
    };
    let id = required("id", "write @id(\"…\") with the name of the policy's folder")?;
    if id != source.folder {
        let message = format!("`@id` is `{id}`, but its folder is `{}`", source.folder);
        return Err(source.error(None, message, Some("rename one of them")));
    }
    let severities = "write @severity(\"…\") with informational, low, medium, high or critical";
    // A permit says what is allowed: it is never violated, so it needs no more than its name.
    if policy.effect() == Effect::Permit {
        let title = policy.annotation("title").unwrap_or(&id).to_owned();
        let (severity, respond, runbook) = (Severity::Informational, Respond::Alert, None);
        return Ok((policy, About { id, title, severity, respond, runbook }));
    }
    let severity = required("severity", severities)?;
    let respond = required("respond", "write @respond(\"terminate\") or @respond(\"alert\")")?;
    let about = About {
        title: required("title", "write @title(\"…\"): what is wrong, for people")?,
        severity: Severity::parse(&severity).ok_or_else(|| {
            source.error(None, format!("`@severity` cannot be `{severity}`"), Some(severities))
        })?,
        respond: match respond.as_str() {
            "terminate" => Respond::Terminate,
            "alert" => Respond::Alert,
            other => {
                let message = format!("`@respond` cannot be `{other}`");
                return Err(source.error(None, message, Some("write terminate or alert")));
            }
        },
        runbook: policy.annotation("runbook").map(str::to_owned),
        id,
    };
    Ok((policy, about))
}

fn rule(policy: Policy, about: About, json: Option<&Value>) -> Rule {
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => Actions::Any,
        ActionConstraint::Eq(action) => Actions::Only(vec![action.id().unescaped().to_owned()]),
        ActionConstraint::In(actions) => {
            Actions::Only(actions.iter().map(|action| action.id().unescaped().to_owned()).collect())
        }
    };
    let mut reads = Vec::new();
    // A policy that cannot be written as JSON is taken to read everything: that errs towards telling.
    match json {
        Some(json) => lookups(json, &mut reads),
        None => reads.extend([Lookup::TargetTags, Lookup::PrincipalTags, Lookup::PrincipalGroups]),
    }
    Rule { id: policy.id().clone(), is_forbid: policy.effect() == Effect::Forbid, about, reads, actions }
}

/// The schema, and every attribute that it names.
fn schema() -> Result<(Schema, BTreeSet<String>), String> {
    fn collect(json: &Value, found: &mut BTreeSet<String>) {
        if let Some(Value::Object(attributes)) = json.get("attributes") {
            found.extend(attributes.keys().cloned());
        }
        match json {
            Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let json: Value = serde_json::from_str(SCHEMA_JSON).map_err(|error| error.to_string())?;
    let mut attributes = BTreeSet::new();
    collect(&json, &mut attributes);
    let schema = Schema::from_json_value(json).map_err(|error| error.to_string())?;
    Ok((schema, attributes))
}

fn schema_error(message: String) -> LoadError {
    LoadError {
        path: "schema.cedarschema".to_owned(),
        position: None,
        policy: "schema".to_owned(),
        message,
        hint: None,
    }
}

/// The names after `has` that nothing in the schema has, each with the nearest that something has. To the
/// validator such a test is merely false, and what depends on it never holds.
fn unknown_attributes(policy: Option<&Value>, known: &BTreeSet<String>) -> Vec<(String, Option<String>)> {
    fn collect(json: &Value, found: &mut BTreeSet<String>) {
        if let Some(name) = json.pointer("/has/attr").and_then(Value::as_str) {
            found.insert(name.to_owned());
        }
        match json {
            Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut named = BTreeSet::new();
    if let Some(json) = policy {
        collect(json, &mut named);
    }
    let nearest = |name: &str| {
        let (distance, nearest) = known.iter().map(|other| (distance(name, other), other)).min()?;
        (distance <= 3).then(|| format!("did you mean `{nearest}`?"))
    };
    named
        .into_iter()
        .filter(|name| !known.contains(name))
        .map(|name| (name.clone(), nearest(&name)))
        .collect()
}

/// How many characters have to be inserted, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, a) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (above, b) in row.iter_mut().skip(1).zip(b.chars()) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, left);
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Finds the look-ups that a policy reads in Cedar's JSON form of it.
fn lookups(json: &Value, found: &mut Vec<Lookup>) {
    let mut note = |lookup| {
        if !found.contains(&lookup) {
            found.push(lookup);
        }
    };
    match json {
        Value::Object(fields) => {
            for (operator, operands) in fields {
                let reads_tags = match operator.as_str() {
                    "hasTag" | "getTag" => true,
                    "." | "has" => operands.get("attr").and_then(Value::as_str) == Some("tagKeys"),
                    _ => false,
                };
                if reads_tags {
                    match operands.pointer("/left/Var").and_then(Value::as_str) {
                        Some("resource") => note(Lookup::TargetTags),
                        Some("principal") => note(Lookup::PrincipalTags),
                        // An expression that may be either.
                        _ => {
                            note(Lookup::TargetTags);
                            note(Lookup::PrincipalTags);
                        }
                    }
                }
            }
            if fields.get("type").and_then(Value::as_str) == Some("AWS::IAM::Group") {
                note(Lookup::PrincipalGroups);
            }
            fields.values().for_each(|value| lookups(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| lookups(value, found)),
        _ => {}
    }
}

impl PolicySource {
    fn error(&self, offset: Option<usize>, message: String, hint: Option<&str>) -> LoadError {
        LoadError {
            path: self.path.clone(),
            position: offset.map(|offset| position(&self.text, offset)),
            policy: self.folder.clone(),
            message,
            hint: hint.map(str::to_owned),
        }
    }

    fn diagnostic(&self, error: &dyn Diagnostic) -> LoadError {
        let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let prefix = format!("for policy `{}`, ", self.folder);
        let message = error.to_string();
        let message = message.strip_prefix(&prefix).unwrap_or(&message).to_owned();
        let hint = error.help().map(|help| help.to_string());
        self.error(offset, message, hint.as_deref())
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use cedar_policy::SchemaFragment;

    use super::*;

    #[test]
    fn the_schema_as_json_is_the_schema_that_people_read() {
        let (fragment, _warnings) = SchemaFragment::from_cedarschema_str(SCHEMA).unwrap();
        let read = fragment.to_json_value().unwrap();
        let kept: Value = serde_json::from_str(SCHEMA_JSON).unwrap_or_default();
        if read != kept {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/schema.json");
            std::fs::write(path, serde_json::to_string_pretty(&read).unwrap() + "\n").unwrap();
            panic!(
                "schema.json was not what schema.cedarschema says; it is written anew: look at it and commit it"
            );
        }
    }
}
