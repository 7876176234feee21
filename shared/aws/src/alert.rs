//! Alerts to SNS.

use aws_sdk_sns::types::MessageAttributeValue;
use session::alert::Message;

use crate::error::AwsError;

/// Publishes a message: one body per protocol, and attributes that subscribers filter by.
pub async fn publish(sns: &aws_sdk_sns::Client, topic: &str, message: &Message) -> Result<(), AwsError> {
    let mut request = sns
        .publish()
        .topic_arn(topic)
        .subject(&message.subject)
        .message_structure("json")
        .message(&message.body);
    for (name, value) in &message.attributes {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
        // The builder fails for a missing type only, and it is given.
        let Ok(value) = value else { continue };
        request = request.message_attributes(*name, value);
    }
    request.send().await.map_err(|error| AwsError::new("sns:Publish", topic, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_sdk_sns::operation::publish::PublishOutput;
    use aws_smithy_mocks::{mock, mock_client};

    use super::*;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:alerts";

    #[tokio::test]
    async fn a_message_goes_out_with_its_bodies_and_attributes() {
        let rule = mock!(aws_sdk_sns::Client::publish)
            .match_requests(|request| {
                let severity = request.message_attributes().and_then(|attributes| attributes.get("severity"));
                request.topic_arn() == Some(TOPIC)
                    && request.message_structure() == Some("json")
                    && request.message() == Some(r#"{"default":"x"}"#)
                    && request.subject() == Some("[ssm-guard] HIGH x")
                    && severity.and_then(MessageAttributeValue::string_value) == Some("high")
            })
            .then_output(|| PublishOutput::builder().message_id("1").build());
        let sns = mock_client!(aws_sdk_sns, [&rule]);
        let message = Message {
            subject: "[ssm-guard] HIGH x".to_owned(),
            body: r#"{"default":"x"}"#.to_owned(),
            attributes: BTreeMap::from([("severity", "high".to_owned())]),
        };
        publish(&sns, TOPIC, &message).await.unwrap();
        assert_eq!(rule.num_calls(), 1);
    }
}
