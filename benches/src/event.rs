//! The events that are delivered: StartSession as CloudTrail records it and the log that S3 has got, in EventBridge's envelope.

use serde_json::{Value, json};

/// The account that everything is in.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The region that everything is in.
pub(crate) const REGION: &str = "eu-west-1";

/// An instance that has the required tags.
const TAGGED: &str = "i-0123456789abcdef0";
/// An instance that has none.
pub(crate) const UNTAGGED: &str = "i-0fedcba9876543210";

/// What is wrong with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Its user gave no second factor: known from the record, so that one look is enough.
    NoSecondFactor,
    /// Its target has no tags: looked at twice before the session is ended.
    NoTags,
}

/// A delivery; no two have an event or a session in common.
pub(crate) fn delivery(number: usize, wrong: Wrong) -> Value {
    json!({
        "version": "0", "id": format!("{number:08x}-0000-4000-8000-00000000000e"),
        "detail-type": "AWS API Call via CloudTrail", "source": "aws.ssm", "account": ACCOUNT,
        "time": "2026-11-23T09:30:00Z", "region": REGION, "resources": [], "detail": record(number, wrong),
    })
}

/// A delivery of a log of so many bytes, as the queue delivers it.
pub(crate) fn log_delivery(bytes: u64) -> Value {
    let object = json!({
        "version": "0", "id": "00000000-0000-4000-8000-00000000000f", "detail-type": "Object Created",
        "source": "aws.s3", "account": ACCOUNT, "time": "2026-11-23T09:30:00Z", "region": REGION, "resources": [],
        "detail": {
            "version": "0", "bucket": {"name": "logs"},
            "object": {"key": format!("alice-{bytes:017}.log"), "size": bytes, "version-id": "v1"},
        },
    });
    let id = "00000000-0000-4000-8000-000000000010";
    json!({"id": id, "Records": [{
        "messageId": id, "receiptHandle": "none", "body": object.to_string(), "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:logs"), "awsRegion": REGION,
        "attributes": {}, "messageAttributes": {},
    }]})
}

/// The record of one StartSession.
pub(crate) fn record(number: usize, wrong: Wrong) -> Value {
    let (target, factor) = match wrong {
        Wrong::NoSecondFactor => (TAGGED, "false"),
        Wrong::NoTags => (UNTAGGED, "true"),
    };
    let session = format!("alice-{number:017x}");
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAEXAMPLEALICE", "arn": format!("arn:aws:iam::{ACCOUNT}:user/alice"),
            "accountId": ACCOUNT, "accessKeyId": "ASIAEXAMPLEALICE", "userName": "alice",
            "sessionContext": {"attributes": {"creationDate": "2026-11-23T09:00:00Z", "mfaAuthenticated": factor}},
        },
        "eventTime": "2026-11-23T09:30:00Z", "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
        "awsRegion": REGION, "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31.0 md/awscrt#0.27.6 os/linux lang/python#3.13.7 command#ssm.start-session",
        "requestParameters": {"target": target, "reason": "CHG-1234"},
        "responseElements": {
            "sessionId": session, "tokenValue": "Value hidden due to security reasons.",
            "streamUrl": format!("wss://ssmmessages.{REGION}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe"),
        },
        "requestID": format!("{number:08x}-0000-4000-8000-00000000000a"),
        "eventID": format!("{number:08x}-0000-4000-8000-00000000000b"),
        "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("ssm.{REGION}.amazonaws.com"),
        },
    })
}
