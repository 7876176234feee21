//! What a session was opened on: its identity, tags and facts.

use std::collections::BTreeMap;
use std::fmt;

/// The target of a session, as `StartSession` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetId {
    /// An EC2 instance, `i-…`.
    Instance(String),
    /// A hybrid-activated managed node, `mi-…`.
    ManagedNode(String),
    /// An ECS task, `ecs:<cluster>_<task>_<runtime id>`.
    EcsTask {
        /// The cluster's name.
        cluster: String,
        /// The task's id.
        task: String,
        /// The container's runtime id.
        runtime: String,
    },
    /// A form this version does not know.
    Other(String),
}

impl TargetId {
    /// The target of a session whose request CloudTrail left out.
    pub(crate) fn not_reported() -> Self {
        Self::Other("not reported".to_owned())
    }

    /// Reads the `target` of a `StartSession` request. What is not of a known form stays whole: a refused
    /// call holds whatever its caller wrote, and an id that reaches an ARN must not change what it names.
    pub fn parse(text: &str) -> Self {
        if text.strip_prefix("mi-").is_some_and(is_alphanumeric) {
            return Self::ManagedNode(text.to_owned());
        }
        if text.strip_prefix("i-").is_some_and(is_alphanumeric) {
            return Self::Instance(text.to_owned());
        }
        text.strip_prefix("ecs:").and_then(ecs_task).unwrap_or_else(|| Self::Other(text.to_owned()))
    }

    /// Reads the target out of a resource ARN, when the ARN is one of a target. One of a task does not tell
    /// the container, so it is kept as it is.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(2);
        let (service, resource) = (parts.next()?, parts.nth(2)?);
        let (kind, id) = resource.split_once('/')?;
        match (service, kind, Self::parse(id)) {
            ("ec2", "instance", target @ Self::Instance(_))
            | ("ssm", "managed-instance", target @ Self::ManagedNode(_)) => Some(target),
            ("ecs", "task", _) if !id.contains(['*', '?']) => Some(Self::Other(arn.to_owned())),
            _ => None,
        }
    }

    /// The ARN that the tagging API knows the target by.
    pub fn arn(&self, region: &str, account: &str) -> Option<String> {
        let partition = partition(region);
        match self {
            Self::Instance(id) => Some(format!("arn:{partition}:ec2:{region}:{account}:instance/{id}")),
            Self::ManagedNode(id) => {
                Some(format!("arn:{partition}:ssm:{region}:{account}:managed-instance/{id}"))
            }
            Self::EcsTask { cluster, task, .. } => {
                Some(format!("arn:{partition}:ecs:{region}:{account}:task/{cluster}/{task}"))
            }
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) | Self::ManagedNode(id) | Self::Other(id) => formatter.write_str(id),
            Self::EcsTask { cluster, task, runtime } => write!(formatter, "ecs:{cluster}_{task}_{runtime}"),
        }
    }
}

/// The tags of a resource. A look-up that failed is not a resource without tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// What AWS answered; empty means that the resource has none.
    Known(BTreeMap<String, String>),
    /// The look-up failed, or could not be made, and why.
    Unknown(String),
}

impl Tags {
    /// The value of one tag, when the tags are known and hold it.
    pub fn get(&self, key: &str) -> Option<&str> {
        match self {
            Self::Known(tags) => tags.get(key).map(String::as_str),
            Self::Unknown(_) => None,
        }
    }
}

/// Facts of a node that DescribeInstanceInformation reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its computer name.
    pub name: Option<String>,
    /// Its platform's name and version, such as `Amazon Linux 2023`.
    pub platform: Option<String>,
    /// Its private address.
    pub ip: Option<String>,
    /// The version of its SSM agent.
    pub agent_version: Option<String>,
}

/// What a session was opened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target itself.
    pub id: TargetId,
    /// Its tags.
    pub tags: Tags,
    /// Its facts; `None` when the look-up failed or the node is not known to Systems Manager.
    pub facts: Option<NodeFacts>,
    /// Whether the tags were looked up a second time, as they are before a session is ended for them.
    pub looked_twice: bool,
}

impl Target {
    /// A target as one look-up found it.
    pub fn new(id: TargetId, tags: Tags, facts: Option<NodeFacts>) -> Self {
        Self { id, tags, facts, looked_twice: false }
    }

    /// The target with the name that people know it by: the `Name` tag, else the computer's name.
    pub fn describe(&self) -> String {
        let name = self.tags.get("Name").or_else(|| self.facts.as_ref()?.name.as_deref());
        match name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// `<cluster>_<task>_<runtime id>`: a cluster's name may hold underscores, the ids may not.
fn ecs_task(text: &str) -> Option<TargetId> {
    let (rest, runtime) = text.rsplit_once('_')?;
    let (cluster, task) = rest.rsplit_once('_')?;
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(is_word);
    [cluster, task, runtime].into_iter().all(is_id).then(|| TargetId::EcsTask {
        cluster: cluster.to_owned(),
        task: task.to_owned(),
        runtime: runtime.to_owned(),
    })
}

fn is_alphanumeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The partition that a region's ARNs name.
pub fn partition(region: &str) -> &'static str {
    let mut words = region.split('-');
    match (words.next(), words.next()) {
        (Some("cn"), _) => "aws-cn",
        (Some("eusc"), _) => "aws-eusc",
        (_, Some("gov")) => "aws-us-gov",
        (_, Some("iso")) => "aws-iso",
        (_, Some("isob")) => "aws-iso-b",
        (_, Some("isoe")) => "aws-iso-e",
        (_, Some("isof")) => "aws-iso-f",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart() {
        for (text, arn) in [
            ("i-0123456789abcdef0", Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0")),
            (
                "mi-0123456789abcdef0",
                Some("arn:aws:ssm:eu-west-1:111122223333:managed-instance/mi-0123456789abcdef0"),
            ),
            (
                "ecs:my_cluster_0123456789abcdef0123456789abcdef_0123456789abcdef0123456789abcdef-0265927825",
                Some("arn:aws:ecs:eu-west-1:111122223333:task/my_cluster/0123456789abcdef0123456789abcdef"),
            ),
            ("something-else", None),
            // A length that AWS does not use today is no reason to lose a target.
            ("i-01234567", Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-01234567")),
            // What could name something else in an ARN is no id.
            ("i-", None),
            ("i-*", None),
            ("i-0123/../i-4567", None),
            ("mi-0123:instance/i-0", None),
            ("I-0123456789abcdef0", None),
            ("i-0123 456", None),
            ("ecs:_0123_4567", None),
            ("ecs:cluster_0123", None),
            ("ecs:a/b_0123_4567", None),
            ("ecs:", None),
            ("", None),
        ] {
            let target = TargetId::parse(text);
            assert_eq!(target.to_string(), text);
            assert_eq!(target.arn("eu-west-1", "111122223333").as_deref(), arn, "{text}");
        }
    }

    #[test]
    fn only_an_arn_of_one_node_names_a_target() {
        for (arn, expected) in [
            ("arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0", Some("i-0123456789abcdef0")),
            (
                "arn:aws:ssm:us-east-1:111122223333:managed-instance/mi-0123456789abcdef0",
                Some("mi-0123456789abcdef0"),
            ),
            ("arn:aws:ssm:us-east-1:111122223333:document/SSM-SessionManagerRunShell", None),
            (
                "arn:aws:ecs:us-east-1:111122223333:task/web/0123456789abcdef",
                Some("arn:aws:ecs:us-east-1:111122223333:task/web/0123456789abcdef"),
            ),
            ("arn:aws:ecs:us-east-1:111122223333:task/web/*", None),
            ("arn:aws:ec2:us-east-1:111122223333:instance/*", None),
            ("arn:aws:rds:us-east-1:111122223333:instance/i-0123456789abcdef0", None),
            ("arn:aws:ec2:us-east-1:111122223333:instance/mi-0123456789abcdef0", None),
            ("arn:aws:ec2", None),
            ("", None),
        ] {
            assert_eq!(
                TargetId::from_arn(arn).map(|target| target.to_string()).as_deref(),
                expected,
                "{arn}"
            );
        }
    }

    #[test]
    fn arns_name_the_partition_of_their_region() {
        for (region, expected) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("", "aws"),
        ] {
            assert_eq!(partition(region), expected);
        }
    }
}
