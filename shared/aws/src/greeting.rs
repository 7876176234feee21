//! One harmless call to each service while the function starts.
//!
//! Lambda gives a starting function a full CPU and counts it to nobody's session: a connection that is opened then
//! does not delay the first session that has to be ended. The calls also show, before anything depends on it, whether
//! the table and the topic are there and may be used.

use crate::accounts::AccountClients;
use crate::clients::LogClients;
use crate::error::AwsError;
use crate::ledger::Ledger;
use crate::principal;

/// Calls every service of the guard's own account at once and tells which calls failed. The ledger is called twice: an event's claim and its
/// session's record are asked for at the same time, which takes two connections. IAM is asked about `role`, the
/// function's own.
pub async fn greet(
    own: &AccountClients,
    sns: &aws_sdk_sns::Client,
    ledger: &Ledger,
    topic: &str,
    role: &str,
) -> Vec<AwsError> {
    let (claims, records, topic, tagging, ssm, iam) = tokio::join!(
        ledger.greet(),
        ledger.greet(),
        topic_is_there(sns, topic),
        lists_tags(own),
        lists_nodes(own),
        has_tags(own, role)
    );
    [claims.and(records), topic, tagging, ssm, iam].into_iter().filter_map(Result::err).collect()
}

/// Calls the services that a log needs first. S3 is not called: only a log tells which bucket may be read.
pub async fn greet_for_logs(clients: &LogClients, ledger: &Ledger, topic: &str) -> Vec<AwsError> {
    let (ledger, topic) = tokio::join!(ledger.greet(), topic_is_there(&clients.sns, topic));
    [ledger, topic].into_iter().filter_map(Result::err).collect()
}

async fn has_tags(own: &AccountClients, role: &str) -> Result<(), AwsError> {
    let name = role.rsplit('/').next().unwrap_or(role);
    principal::role_tags(&own.iam, name).await.map(|_| ())
}

async fn topic_is_there(sns: &aws_sdk_sns::Client, topic: &str) -> Result<(), AwsError> {
    let request = sns.get_topic_attributes().topic_arn(topic);
    request.send().await.map_err(|error| AwsError::new("sns:GetTopicAttributes", topic, error))?;
    Ok(())
}

async fn lists_tags(own: &AccountClients) -> Result<(), AwsError> {
    let request = own.tagging.get_resources().resources_per_page(1);
    request.send().await.map_err(|error| AwsError::new("tag:GetResources", "any resource", error))?;
    Ok(())
}

async fn lists_nodes(own: &AccountClients) -> Result<(), AwsError> {
    let request = own.ssm.describe_instance_information().max_results(5);
    let failed = |error| AwsError::new("ssm:DescribeInstanceInformation", "any node", error);
    request.send().await.map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
    use aws_sdk_iam::operation::list_role_tags::ListRoleTagsOutput;
    use aws_sdk_resourcegroupstagging::operation::get_resources::GetResourcesOutput;
    use aws_sdk_sns::operation::get_topic_attributes::GetTopicAttributesError;
    use aws_sdk_ssm::operation::describe_instance_information::DescribeInstanceInformationOutput;
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn every_service_is_greeted_and_what_is_not_there_is_named() {
        let table =
            mock!(aws_sdk_dynamodb::Client::get_item).then_output(|| GetItemOutput::builder().build());
        let topic = mock!(aws_sdk_sns::Client::get_topic_attributes).then_error(|| {
            GetTopicAttributesError::generic(ErrorMetadata::builder().code("NotFound").build())
        });
        let tags = mock!(aws_sdk_resourcegroupstagging::Client::get_resources)
            .then_output(|| GetResourcesOutput::builder().build());
        let nodes = mock!(aws_sdk_ssm::Client::describe_instance_information)
            .then_output(|| DescribeInstanceInformationOutput::builder().build());
        let iam = mock!(aws_sdk_iam::Client::list_role_tags)
            .match_requests(|request| request.role_name() == Some("guard"))
            .then_output(|| ListRoleTagsOutput::builder().set_tags(Some(Vec::new())).build().unwrap());
        let sns = mock_client!(aws_sdk_sns, [&topic]);
        let own = AccountClients {
            iam: mock_client!(aws_sdk_iam, [&iam]),
            ssm: mock_client!(aws_sdk_ssm, [&nodes]),
            tagging: mock_client!(aws_sdk_resourcegroupstagging, [&tags]),
        };
        let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&table]);
        let ledger = Ledger { client, table: "ledger".into(), keep: SignedDuration::from_hours(24) };
        let (topic_arn, role) =
            ("arn:aws:sns:eu-west-1:111122223333:gone", "arn:aws:iam::111122223333:role/ops/guard");
        let failures = greet(&own, &sns, &ledger, topic_arn, role).await;
        let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(
            failures,
            ["sns:GetTopicAttributes of `arn:aws:sns:eu-west-1:111122223333:gone`: NotFound"]
        );
        assert_eq!((table.num_calls(), tags.num_calls(), nodes.num_calls(), iam.num_calls()), (2, 1, 1, 1));
    }
}
