//! The accounts and Regions that sessions are in, and the clients that ask there.
//!
//! In its own account the guard acts as its own role, in any Region. In every other account of its organisation it takes
//! the role that `infra/member.yaml` makes there, with the external id that both sides were given. Credentials are kept
//! for as long as they hold, one set for an account and all its Regions, and the SDK renews them before they end.
//!
//! A guard that was given no external id has no role anywhere else. What it asks there fails, and so is unknown: it
//! is never asked in the guard's own account instead, where a node of the same name may be another node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::config::IdentityCache;
use aws_types::SdkConfig;
use aws_types::region::Region;
use session::event::is_account;
use session::target::partition;

use crate::clients::{Variable, client, endpoint};
use crate::error::AwsError;

/// The name of the role in `infra/member.yaml`, the same in every account.
const MEMBER_ROLE: &str = "ssm-guard-member";

/// What CloudTrail shows as the name of the guard's sessions in other accounts.
const SESSION_NAME: &str = "ssm-guard";

/// So many accounts are kept. An organisation may have thousands, and the memory of a function does not grow.
const KEPT: usize = 128;

/// The clients of what is asked about a session, for one account and Region.
#[derive(Clone, Debug)]
pub struct AccountClients {
    /// IAM, for facts of principals.
    pub iam: aws_sdk_iam::Client,
    /// Systems Manager, for sessions and nodes.
    pub ssm: aws_sdk_ssm::Client,
    /// The Resource Groups Tagging API, for tags.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
}

/// Every account that the guard watches.
#[derive(Debug)]
pub struct Accounts {
    account: String,
    region: String,
    own: AccountClients,
    shared: SdkConfig,
    endpoints: Endpoints,
    sts: aws_sdk_sts::Client,
    external_id: Option<String>,
    others: Mutex<HashMap<String, InAccount>>,
}

/// Where services are, when not where AWS has them.
#[derive(Debug)]
struct Endpoints {
    iam: Option<String>,
    ssm: Option<String>,
    tagging: Option<String>,
}

#[derive(Debug)]
struct InAccount {
    config: SdkConfig,
    regions: HashMap<String, AccountClients>,
}

impl Accounts {
    /// The accounts of a function that runs as `role` (`GUARD_ROLE_ARN`), and shares `shared` among its clients.
    pub(crate) fn new(shared: SdkConfig, variable: Variable<'_>) -> Self {
        let endpoints = Endpoints {
            iam: endpoint(variable, "IAM"),
            ssm: endpoint(variable, "SSM"),
            tagging: endpoint(variable, "RESOURCE_GROUPS_TAGGING_API"),
        };
        let role = variable("GUARD_ROLE_ARN").unwrap_or_default();
        Self {
            account: account_of(&role).unwrap_or_default().to_owned(),
            region: shared.region().map(ToString::to_string).unwrap_or_default(),
            own: endpoints.clients(&shared),
            sts: client!(aws_sdk_sts, endpoint(variable, "STS"), &shared),
            external_id: variable("MEMBER_EXTERNAL_ID").filter(|id| !id.is_empty()),
            others: Mutex::default(),
            endpoints,
            shared,
        }
    }

    /// The clients for the guard's own account and Region.
    pub fn own(&self) -> &AccountClients {
        &self.own
    }

    /// The clients for an account and Region. Credentials are asked for when the first of them calls.
    pub fn clients(&self, account: &str, region: &str) -> AccountClients {
        if account == self.account && region == self.region {
            return self.own.clone();
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= KEPT && !others.contains_key(account) {
            others.clear();
        }
        let there = others
            .entry(account.to_owned())
            .or_insert_with(|| InAccount { config: self.config(account), regions: HashMap::new() });
        let InAccount { config, regions } = there;
        let clients = regions.entry(region.to_owned()).or_insert_with(|| {
            self.endpoints.clients(&config.to_builder().region(Region::new(region.to_owned())).build())
        });
        clients.clone()
    }

    /// The role that the guard acts as in another account: its calls there come back as events.
    pub fn role_in(&self, account: &str) -> Option<String> {
        self.external_id.as_ref().filter(|_| account != self.account)?;
        Some(format!("arn:{}:iam::{account}:role/{MEMBER_ROLE}", partition(&self.region)))
    }

    fn config(&self, account: &str) -> SdkConfig {
        if account == self.account {
            return self.shared.clone();
        }
        let role = Role {
            sts: self.sts.clone(),
            account: account.to_owned(),
            arn: self.role_in(account),
            external_id: self.external_id.clone(),
        };
        let shared = self.shared.to_builder();
        shared
            .credentials_provider(SharedCredentialsProvider::new(role))
            // One for all clients of the account: each would otherwise take the role for itself.
            .identity_cache(IdentityCache::lazy().build())
            .build()
    }
}

/// The account of an ARN.
pub fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

impl Endpoints {
    fn clients(&self, shared: &SdkConfig) -> AccountClients {
        AccountClients {
            iam: client!(aws_sdk_iam, self.iam.clone(), shared),
            ssm: client!(aws_sdk_ssm, self.ssm.clone(), shared),
            tagging: client!(aws_sdk_resourcegroupstagging, self.tagging.clone(), shared),
        }
    }
}

/// The guard's role in an account.
#[derive(Debug)]
struct Role {
    sts: aws_sdk_sts::Client,
    account: String,
    arn: Option<String>,
    external_id: Option<String>,
}

impl Role {
    async fn take(&self) -> Result<Credentials, CredentialsError> {
        let Some(arn) = &self.arn else {
            let problem =
                format!("MEMBER_EXTERNAL_ID is missing: the guard has no role in account {}", self.account);
            return Err(CredentialsError::not_loaded(problem));
        };
        let request = self.sts.assume_role().role_arn(arn).role_session_name(SESSION_NAME);
        let answer = request.set_external_id(self.external_id.clone()).send().await;
        let failed = |error| CredentialsError::provider_error(AwsError::new("sts:AssumeRole", arn, error));
        let credentials = answer.map_err(failed)?.credentials;
        let taken = credentials
            .ok_or_else(|| CredentialsError::unhandled("sts:AssumeRole answered without credentials"))?;
        Ok(Credentials::new(
            taken.access_key_id,
            taken.secret_access_key,
            Some(taken.session_token),
            taken.expiration.try_into().ok(),
            "AssumeRole",
        ))
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.take())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
    use aws_smithy_mocks::{mock, mock_client};
    use aws_smithy_types::DateTime;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;
    use crate::clients::Clients;

    fn accounts(external_id: &'static str) -> Accounts {
        let variable = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            "GUARD_ROLE_ARN" => Some("arn:aws:iam::111122223333:role/guard".to_owned()),
            "MEMBER_EXTERNAL_ID" => Some(external_id.to_owned()),
            // Nobody listens there.
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9".to_owned()),
            _ => None,
        };
        Clients::from_environment(&variable).unwrap().accounts
    }

    fn role(sts: aws_sdk_sts::Client) -> Role {
        Role {
            sts,
            account: "444455556666".to_owned(),
            arn: Some("arn:aws:iam::444455556666:role/ssm-guard-member".to_owned()),
            external_id: Some("0123456789abcdef".to_owned()),
        }
    }

    #[test]
    fn the_role_of_another_account_is_known_by_its_name() {
        let accounts = accounts("0123456789abcdef");
        assert_eq!(
            accounts.role_in("444455556666").as_deref(),
            Some("arn:aws:iam::444455556666:role/ssm-guard-member")
        );
        assert_eq!(accounts.role_in("111122223333"), None);
        assert_eq!(self::accounts("").role_in("444455556666"), None);
    }

    #[test]
    fn an_arn_without_an_account_has_none() {
        assert_eq!(account_of("arn:aws:iam::111122223333:role/guard"), Some("111122223333"));
        for arn in ["", "guard", "arn:aws:s3:::bucket", "arn:aws:iam::1111:role/guard"] {
            assert_eq!(account_of(arn), None, "{arn}");
        }
    }

    #[test]
    fn the_accounts_that_are_kept_are_bounded() {
        let accounts = accounts("0123456789abcdef");
        for number in 0..3 * KEPT {
            accounts.clients(&format!("{number:012}"), "us-east-1");
            accounts.clients(&format!("{number:012}"), "eu-west-1");
        }
        let others = accounts.others.lock().unwrap();
        assert!(others.len() <= KEPT, "{}", others.len());
        assert!(others.values().all(|account| account.regions.len() == 2));
    }

    #[tokio::test]
    async fn the_role_is_taken_with_the_external_id() {
        let taken = mock!(aws_sdk_sts::Client::assume_role)
            .match_requests(|request| {
                request.role_arn() == Some("arn:aws:iam::444455556666:role/ssm-guard-member")
                    && request.external_id() == Some("0123456789abcdef")
                    && request.role_session_name() == Some("ssm-guard")
            })
            .then_output(|| {
                let credentials = aws_sdk_sts::types::Credentials::builder()
                    .access_key_id("ASIAEXAMPLE")
                    .secret_access_key("secret")
                    .session_token("token")
                    .expiration(DateTime::from_secs(1_800_000_000));
                AssumeRoleOutput::builder().credentials(credentials.build().unwrap()).build()
            });
        let credentials = role(mock_client!(aws_sdk_sts, [&taken])).take().await.unwrap();
        assert_eq!(
            (credentials.access_key_id(), credentials.session_token()),
            ("ASIAEXAMPLE", Some("token"))
        );
        assert!(credentials.expiry().is_some(), "the SDK renews what it knows the end of");
    }

    /// What cannot be asked in another account is not asked in the guard's own.
    #[tokio::test]
    async fn without_an_external_id_another_account_cannot_be_asked() {
        let ssm = accounts("").clients("444455556666", "eu-west-1").ssm;
        let error = ssm.terminate_session().session_id("alice-0abc").send().await.unwrap_err();
        let error = AwsError::new("ssm:TerminateSession", "alice-0abc", error);
        assert_eq!(error.reason(), "ssm:TerminateSession: no credentials for the account");
        assert!(error.causes().contains("MEMBER_EXTERNAL_ID is missing"), "{}", error.causes());
    }

    #[tokio::test]
    async fn a_role_that_is_refused_is_what_failed() {
        let refused = mock!(aws_sdk_sts::Client::assume_role)
            .then_error(|| AssumeRoleError::generic(ErrorMetadata::builder().code("AccessDenied").build()));
        let shared = accounts("0123456789abcdef").shared.to_builder();
        let provider = SharedCredentialsProvider::new(role(mock_client!(aws_sdk_sts, [&refused])));
        let ssm = aws_sdk_ssm::Client::new(&shared.credentials_provider(provider).build());
        let error = ssm.terminate_session().session_id("alice-0abc").send().await.unwrap_err();
        let error = AwsError::new("ssm:TerminateSession", "alice-0abc", error);
        assert_eq!(error.reason(), "sts:AssumeRole: AccessDenied");
    }
}
