//! The SDK's clients, built by hand.
//!
//! `aws_config::load` reads profile files and asks metadata services that a Lambda function does not have. Here
//! everything comes from the variables that Lambda sets, and all clients share one HTTP client (why `ring`, and what
//! each choice saves: `docs/architecture.md`). `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>` are honoured,
//! so that the same binary runs on a local stack.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedHttpClient;
use session::target::partition;

use crate::accounts::Accounts;

/// The certificate authorities that sign AWS's endpoints, from Amazon Trust Services.
const AMAZON_ROOTS: &str = include_str!("../amazon-roots.pem");

/// A call to a service of the same region answers in milliseconds or is in trouble.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 4;

/// Reads one variable of the environment.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The clients of every service that is called about a session's events.
#[derive(Debug)]
pub struct Clients {
    /// DynamoDB, for the ledger.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SNS, for alerts.
    pub sns: aws_sdk_sns::Client,
    /// The accounts and Regions that sessions are in.
    pub accounts: Accounts,
}

/// The clients of every service that is called about a session's log.
#[derive(Clone, Debug)]
pub struct LogClients {
    /// DynamoDB, for the ledger.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// S3, for the log.
    pub s3: aws_sdk_s3::Client,
    /// SNS, for alerts.
    pub sns: aws_sdk_sns::Client,
}

/// The configuration of one client, from what all clients share.
macro_rules! config {
    ($sdk:ident, $endpoint:expr, $shared:expr) => {{
        let mut config = $sdk::config::Builder::from($shared);
        config.set_endpoint_url($endpoint);
        config.interceptor($crate::trace::Calls)
    }};
}

/// A client, from what all clients share.
macro_rules! client {
    ($sdk:ident, $endpoint:expr, $shared:expr) => {
        $sdk::Client::from_conf($crate::clients::config!($sdk, $endpoint, $shared).build())
    };
}

pub(crate) use {client, config};

impl Clients {
    /// Builds the clients from the variables that Lambda sets; the names of those that are missing otherwise.
    pub fn from_environment(variable: Variable<'_>) -> Result<Self, Vec<&'static str>> {
        let shared = shared(variable)?;
        Ok(Self {
            dynamodb: client!(aws_sdk_dynamodb, endpoint(variable, "DYNAMODB"), &shared),
            sns: client!(aws_sdk_sns, endpoint(variable, "SNS"), &shared),
            accounts: Accounts::new(shared, variable),
        })
    }
}

impl LogClients {
    /// Builds the clients from the variables that Lambda sets; the names of those that are missing otherwise.
    pub fn from_environment(variable: Variable<'_>) -> Result<Self, Vec<&'static str>> {
        let shared = shared(variable)?;
        // A bucket is part of an endpoint's name only where somebody serves such names.
        let s3 = config!(aws_sdk_s3, endpoint(variable, "S3"), &shared)
            .force_path_style(endpoint(variable, "S3").is_some())
            // TLS carries what was sent; a checksum would be reckoned over gigabytes for that.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Ok(Self {
            dynamodb: client!(aws_sdk_dynamodb, endpoint(variable, "DYNAMODB"), &shared),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sns: client!(aws_sdk_sns, endpoint(variable, "SNS"), &shared),
        })
    }
}

fn shared(variable: Variable<'_>) -> Result<SdkConfig, Vec<&'static str>> {
    let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let values = names.map(|name| variable(name).filter(|value| !value.is_empty()));
    let [Some(region), Some(key), Some(secret)] = values else {
        let missing = names.iter().zip(values).filter(|(_, value)| value.is_none());
        return Err(missing.map(|(name, _)| *name).collect());
    };
    let token = variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty());
    let credentials = Credentials::new(key, secret, token, None, "environment");
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT);
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(variable, &region))
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts.build())
        .build())
}

fn http_client(variable: Variable<'_>, region: &str) -> SharedHttpClient {
    // The fewest authorities that can do. A private authority needs the system's bundle, and so does a partition whose
    // endpoints other authorities sign.
    let is_private = variable("SSL_CERT_FILE").is_some() || partition(region) == "aws-cn";
    let trust = match is_private {
        true => TrustStore::empty().with_native_roots(true),
        false => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
    };
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    match TlsContext::builder().with_trust_store(trust).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(_) => builder.build_https(),
    }
}

pub(crate) fn endpoint(variable: Variable<'_>, service: &str) -> Option<String> {
    let own = variable(&format!("AWS_ENDPOINT_URL_{service}"));
    own.or_else(|| variable("AWS_ENDPOINT_URL")).filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let set = |name: &str| (name == "AWS_REGION").then(|| "eu-west-1".to_owned());
        assert_eq!(
            Clients::from_environment(&set).unwrap_err(),
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        );
    }

    #[test]
    fn an_endpoint_of_the_service_wins() {
        let set = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
            "AWS_ENDPOINT_URL_SSM" => Some("http://127.0.0.1:2".to_owned()),
            _ => None,
        };
        assert_eq!(endpoint(&set, "SSM").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(endpoint(&set, "SNS").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(endpoint(&|_| None, "SNS"), None);
    }
}
