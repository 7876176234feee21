//! What a session was opened on: tags and facts.
//!
//! Tags come from the Resource Groups Tagging API, which reads instances, managed nodes and tasks alike. It is
//! eventually consistent and lists only what is or was tagged, so an absent resource means that it has no tags *or
//! is very new*: whoever ends a session for a missing tag asks [`tags`] twice.

use std::collections::BTreeMap;

use aws_sdk_ssm::types::InstanceInformationStringFilter;
use session::target::NodeFacts;

use crate::error::AwsError;

/// The tags of a resource; none when the API does not list it.
pub async fn tags(
    tagging: &aws_sdk_resourcegroupstagging::Client,
    arn: &str,
) -> Result<BTreeMap<String, String>, AwsError> {
    let answer = tagging
        .get_resources()
        .resource_arn_list(arn)
        .send()
        .await
        .map_err(|error| AwsError::new("tag:GetResources", arn, error))?;
    let resource =
        answer.resource_tag_mapping_list().iter().find(|resource| resource.resource_arn() == Some(arn));
    let tags = resource.map(|resource| resource.tags()).unwrap_or_default();
    Ok(tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
}

/// What Systems Manager knows of a node; `None` when it does not know it.
pub async fn facts(ssm: &aws_sdk_ssm::Client, node: &str) -> Result<Option<NodeFacts>, AwsError> {
    let failed = |error| AwsError::new("ssm:DescribeInstanceInformation", node, error);
    let filter = InstanceInformationStringFilter::builder().key("InstanceIds").values(node).build();
    let Ok(filter) = filter else { return Ok(None) };
    let answer = ssm.describe_instance_information().filters(filter).send().await.map_err(failed)?;
    let node = answer.instance_information_list().iter().find(|known| known.instance_id() == Some(node));
    Ok(node.map(|node| NodeFacts {
        name: node.computer_name().map(str::to_owned),
        platform: platform(node.platform_name(), node.platform_version()),
        ip: node.ip_address().map(str::to_owned),
        agent_version: node.agent_version().map(str::to_owned),
    }))
}

fn platform(name: Option<&str>, version: Option<&str>) -> Option<String> {
    match (name, version) {
        (Some(name), Some(version)) => Some(format!("{name} {version}")),
        (name, _) => name.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_resourcegroupstagging::operation::get_resources::GetResourcesOutput;
    use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, Tag};
    use aws_sdk_ssm::operation::describe_instance_information::{
        DescribeInstanceInformationError, DescribeInstanceInformationOutput,
    };
    use aws_sdk_ssm::types::InstanceInformation;
    use aws_smithy_mocks::{mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    const ARN: &str = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0";

    #[tokio::test]
    async fn a_resource_that_is_not_listed_has_no_tags() {
        let tag = Tag::builder().key("Owner").value("team-a").build().unwrap();
        let listed = ResourceTagMapping::builder().resource_arn(ARN).tags(tag).build();
        let other = ResourceTagMapping::builder()
            .resource_arn("arn:aws:ec2:eu-west-1:111122223333:instance/i-1")
            .build();
        for (resources, expected) in [(vec![other.clone(), listed], 1), (vec![other], 0), (vec![], 0)] {
            let rule = mock!(aws_sdk_resourcegroupstagging::Client::get_resources)
                .match_requests(|request| request.resource_arn_list() == [ARN])
                .then_output(move || {
                    GetResourcesOutput::builder()
                        .set_resource_tag_mapping_list(Some(resources.clone()))
                        .build()
                });
            let tagging = mock_client!(aws_sdk_resourcegroupstagging, [&rule]);
            assert_eq!(tags(&tagging, ARN).await.unwrap().len(), expected);
        }
    }

    #[tokio::test]
    async fn a_node_is_asked_for_by_its_id_and_its_facts_are_read() {
        let rule = mock!(aws_sdk_ssm::Client::describe_instance_information)
            .match_requests(|request| {
                request
                    .filters()
                    .iter()
                    .any(|filter| filter.key() == "InstanceIds" && filter.values() == ["mi-1"])
            })
            .then_output(|| {
                let node = InstanceInformation::builder()
                    .instance_id("mi-1")
                    .computer_name("db-1")
                    .platform_name("Ubuntu")
                    .platform_version("24.04")
                    .agent_version("3.3.987.0")
                    .build();
                DescribeInstanceInformationOutput::builder().instance_information_list(node).build()
            });
        let ssm = mock_client!(aws_sdk_ssm, [&rule]);
        let facts = facts(&ssm, "mi-1").await.unwrap().unwrap();
        assert_eq!((facts.name.as_deref(), facts.platform.as_deref()), (Some("db-1"), Some("Ubuntu 24.04")));
        assert_eq!((facts.ip, facts.agent_version.as_deref()), (None, Some("3.3.987.0")));
    }

    #[tokio::test]
    async fn a_look_up_that_failed_is_an_error_and_not_an_absence() {
        let rule = mock!(aws_sdk_ssm::Client::describe_instance_information).then_error(|| {
            let error = ErrorMetadata::builder().code("AccessDeniedException").build();
            DescribeInstanceInformationError::generic(error)
        });
        let ssm = mock_client!(aws_sdk_ssm, [&rule]);
        let error = facts(&ssm, "mi-1").await.unwrap_err();
        assert_eq!(error.to_string(), "ssm:DescribeInstanceInformation of `mi-1`: AccessDeniedException");
    }
}
