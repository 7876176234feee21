//! What a rule says about itself.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::yaml::Node;

/// How much a match of a rule matters. The levels are ordered: `Informational` is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Not an alert; enriches others.
    Informational,
    /// Rarely looked at alone.
    Low,
    /// Worth a look. A rule that states no level has this one.
    Medium,
    /// Worth an alert.
    High,
    /// Worth waking someone.
    Critical,
}

impl Level {
    /// The name that a rule writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(name))
    }
}

/// How well tried a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Cannot be used everywhere.
    Unsupported,
    /// Replaced by another rule.
    Deprecated,
    /// New; expect false positives.
    Experimental,
    /// Tried, and may need tuning.
    Test,
    /// Ready for production.
    Stable,
}

impl Status {
    /// The name that a rule writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Deprecated => "deprecated",
            Self::Experimental => "experimental",
            Self::Test => "test",
            Self::Stable => "stable",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Unsupported, Self::Deprecated, Self::Experimental, Self::Test, Self::Stable]
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(name))
    }
}

/// Which log a rule reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogSource {
    /// Such as `linux` or `windows`.
    pub product: Option<String>,
    /// Such as `process_creation`.
    pub category: Option<String>,
    /// Such as `auditd`.
    pub service: Option<String>,
}

/// A rule that was loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    path: String,
    title: String,
    id: Option<String>,
    level: Level,
    status: Option<Status>,
    description: String,
    author: String,
    tags: Vec<String>,
    falsepositives: Vec<String>,
    references: Vec<String>,
    logsource: LogSource,
    custom: Vec<(String, String)>,
}

impl Rule {
    /// The file, as it was named to [`RuleSet::load`](crate::RuleSet::load).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The UUID, as it is written; the specification allows a rule without one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The level; [`Level::Medium`] when the rule states none.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The status.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// The description, or nothing.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The author, or nothing. The Detection Rule License asks to name them in an alert.
    pub fn author(&self) -> &str {
        &self.author
    }

    /// The tags, such as `attack.t1059.004`.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// What else can match.
    pub fn falsepositives(&self) -> &[String] {
        &self.falsepositives
    }

    /// Where to read more.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// Which log the rule reads.
    pub fn logsource(&self) -> &LogSource {
        &self.logsource
    }

    /// A key that the specification does not know, such as `runbook`, when its value is text.
    pub fn custom(&self, key: &str) -> Option<&str> {
        self.custom.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Reads everything but the detection.
    pub(crate) fn read(document: &Node, path: &str) -> Result<Self, Problem> {
        let Node::Map(entries) = document else {
            let reason = format!("a rule is a mapping, and this is {}", document.kind());
            return Err(Problem::invalid(reason));
        };
        let title =
            text(document, "title")?.ok_or_else(|| Problem::invalid("it is missing").within("title"))?;
        if title.chars().count() > 256 {
            return Err(Problem::invalid("it is longer than 256 characters").within("title"));
        }
        let id = text(document, "id")?;
        if id.as_deref().is_some_and(|id| !is_uuid(id)) {
            let problem = Problem::invalid("it is not a UUID").hint("write one, such as `uuidgen` prints");
            return Err(problem.within("id"));
        }
        let level =
            choice(document, "level", Level::from_name, "informational, low, medium, high, critical")?;
        let status = choice(
            document,
            "status",
            Status::from_name,
            "stable, test, experimental, deprecated, unsupported",
        )?;
        let tags = texts(document, "tags")?;
        if let Some(tag) = tags.iter().find(|tag| !tag.contains('.')) {
            let problem = Problem::invalid(format!("the tag `{tag}` has no namespace"));
            return Err(problem.hint(format!("write it as `attack.{tag}`")).within("tags"));
        }
        let custom = entries.iter().filter_map(|(key, value)| match (key, value) {
            (Node::Text(key), Node::Text(value)) if !is_known(key) => Some((key.clone(), value.clone())),
            _ => None,
        });
        Ok(Self {
            path: path.to_owned(),
            title,
            id,
            level: level.unwrap_or(Level::Medium),
            status,
            description: text(document, "description")?.unwrap_or_default(),
            author: text(document, "author")?.unwrap_or_default(),
            tags,
            falsepositives: texts(document, "falsepositives")?,
            references: texts(document, "references")?,
            logsource: logsource(document)?,
            custom: custom.collect(),
        })
    }
}

/// The title of a document, or its id, to name it in an error.
pub(crate) fn name(document: &Node) -> Option<String> {
    [document.get("title"), document.get("id")].into_iter().flatten().find_map(|value| match value {
        Node::Text(text) => Some(text.clone()),
        _ => None,
    })
}

fn is_known(key: &str) -> bool {
    const KNOWN: [&str; 19] = [
        "title",
        "id",
        "name",
        "taxonomy",
        "related",
        "status",
        "description",
        "license",
        "references",
        "author",
        "date",
        "modified",
        "tags",
        "level",
        "fields",
        "falsepositives",
        "scope",
        "logsource",
        "detection",
    ];
    KNOWN.contains(&key)
}

fn logsource(document: &Node) -> Result<LogSource, Problem> {
    let Some(node) = document.get("logsource") else {
        return Err(Problem::invalid("it is missing").within("logsource"));
    };
    if !matches!(node, Node::Map(_)) {
        return Err(wrong(node, "a mapping").within("logsource"));
    }
    let part = |key| text(node, key).map_err(|problem| problem.within("logsource"));
    let source =
        LogSource { product: part("product")?, category: part("category")?, service: part("service")? };
    if source == LogSource::default() {
        let problem = Problem::invalid("it names no product, no category and no service");
        return Err(problem.within("logsource"));
    }
    Ok(source)
}

fn text(node: &Node, key: &str) -> Result<Option<String>, Problem> {
    match node.get(key) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Text(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(other, "text").within(key)),
    }
}

fn texts(node: &Node, key: &str) -> Result<Vec<String>, Problem> {
    let items = match node.get(key) {
        None | Some(Node::Null) => return Ok(Vec::new()),
        Some(Node::List(items)) => items,
        Some(other) => return Err(wrong(other, "a list").within(key)),
    };
    let text = |item: &Node| match item {
        Node::Text(text) => Ok(text.clone()),
        // As a person writes them: `- 2024-01-31`, `- 4624`.
        Node::Number(_, text) | Node::Date(text) if key != "tags" => Ok(text.clone()),
        other => Err(wrong(other, "text").within(key)),
    };
    items.iter().map(text).collect()
}

fn choice<T>(
    node: &Node,
    key: &str,
    from_name: fn(&str) -> Option<T>,
    names: &str,
) -> Result<Option<T>, Problem> {
    let Some(name) = text(node, key)? else { return Ok(None) };
    let value = from_name(&name).ok_or_else(|| {
        Problem::invalid(format!("`{name}` is none of its values"))
            .hint(format!("write one of {names}"))
            .within(key)
    })?;
    Ok(Some(value))
}

fn wrong(node: &Node, expected: &str) -> Problem {
    let problem = Problem::invalid(format!("{} where {expected} is expected", node.kind()));
    match node {
        Node::Number(..) | Node::Bool(_) | Node::Date(_) if expected == "text" => {
            problem.hint("put it in quotes")
        }
        _ => problem,
    }
}

/// Thirty-two hexadecimal digits; hyphens, braces and `urn:uuid:` are allowed.
fn is_uuid(id: &str) -> bool {
    let id = id.strip_prefix("urn:").unwrap_or(id);
    let id = id.strip_prefix("uuid:").unwrap_or(id);
    let digits = id.trim_matches(['{', '}']).bytes().filter(|byte| *byte != b'-');
    digits.clone().count() == 32 && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}
