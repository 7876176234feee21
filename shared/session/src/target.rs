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
    /// Reads the `target` of a `StartSession` request.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("mi-") {
            return Self::ManagedNode(text.to_owned());
        }
        if text.starts_with("i-") {
            return Self::Instance(text.to_owned());
        }
        // A cluster's name may hold underscores; the task's and the runtime's ids may not.
        let parts = text.strip_prefix("ecs:").and_then(|rest| {
            let (rest, runtime) = rest.rsplit_once('_')?;
            let (cluster, task) = rest.rsplit_once('_')?;
            Some((cluster, task, runtime))
        });
        match parts {
            Some((cluster, task, runtime)) => Self::EcsTask {
                cluster: cluster.to_owned(),
                task: task.to_owned(),
                runtime: runtime.to_owned(),
            },
            None => Self::Other(text.to_owned()),
        }
    }

    /// Reads the target out of a resource ARN, when the ARN is one of a target.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let resource = arn.splitn(6, ':').nth(5)?;
        let (kind, id) = resource.split_once('/')?;
        let is_whole = !id.contains(['*', '?', '/']);
        match kind {
            "instance" | "managed-instance" if is_whole => Some(Self::parse(id)),
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
}

impl Target {
    /// The target with the name that people know it by: the `Name` tag, else the computer's name.
    pub fn describe(&self) -> String {
        let name = self.tags.get("Name").or_else(|| self.facts.as_ref()?.name.as_deref());
        match name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// The partition that a region's ARNs name.
pub fn partition(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>().as_slice() {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
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
            ("arn:aws:ec2:us-east-1:111122223333:instance/*", None),
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
        for (region, expected) in
            [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
        {
            assert_eq!(partition(region), expected);
        }
    }
}
