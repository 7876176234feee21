//! What the function needs before its first event. All that is wrong is named at once, and then it does not start:
//! a guard that judges by half of its policies is worse than one that an alarm says is down.

use std::path::PathBuf;

use aws::accounts::account_of;
use aws::clients::{Clients, Variable};
use aws::environment::Environment;
use aws::greeting::greet;
use aws::ledger::Ledger;
use jiff::SignedDuration;
use lambda_runtime::tracing::{error, info};
use policy_folder::FolderError;
use session::parameters::ParametersError;
use session::policy::Policies;
use session::redact;
use session::response::Mode;

/// Everything that a running function holds.
pub(crate) struct App {
    /// The AWS clients.
    pub(crate) clients: Clients,
    /// The ledger.
    pub(crate) ledger: Ledger,
    /// The topic that alerts go to.
    pub(crate) topic: String,
    /// The validated policies.
    pub(crate) policies: Policies,
    /// Whether sessions are ended.
    pub(crate) mode: Mode,
    /// The function's own role: its own calls come back as events.
    pub(crate) role: String,
}

/// Why the function does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Variables of the environment.
    #[error("configuration: {}", .0.join("; "))]
    Variables(Vec<String>),
    /// The policies or their parameters.
    #[error("policies: {0}")]
    Policies(#[from] FolderError),
    /// The networks that the deployment gives instead of those in the parameters.
    #[error("configuration: `ALLOWED_NETWORKS`: {0}")]
    Networks(ParametersError),
    /// The thread that loads the policies.
    #[error("policies: loading was aborted: {0}")]
    Aborted(#[from] tokio::task::JoinError),
}

/// What the environment says, and nothing that had to be looked up.
#[derive(Debug)]
struct Config {
    table: String,
    topic: String,
    role: String,
    mode: Mode,
    keep: SignedDuration,
    policies: PathBuf,
    required_tags: String,
    networks: String,
}

impl App {
    /// Reads the environment and the policies, and opens the connections, side by side.
    pub(crate) async fn load(variable: Variable<'_>) -> Result<Self, StartError> {
        let mut environment = Environment::new(variable);
        let (config, clients) =
            (Config::read(&mut environment), environment.clients(Clients::from_environment));
        let (config, clients) = environment.finish(config.zip(clients)).map_err(StartError::Variables)?;
        let client = clients.dynamodb.clone();
        let ledger = Ledger { client, table: config.table.clone(), keep: config.keep };
        let (folder, tags, networks) = (config.policies, config.required_tags, config.networks);
        let policies = tokio::task::spawn_blocking(move || {
            redact::prepare();
            load_policies(folder, &tags, &networks)
        });
        for failure in greet(clients.accounts.own(), &clients.sns, &ledger, &config.topic, &config.role).await
        {
            // Whatever this is, the first event that needs the service fails, is retried and is kept.
            error!(
                operation = failure.operation,
                causes = failure.causes(),
                "A service does not answer at start."
            );
        }
        let policies = policies.await??;
        info!(mode = config.mode.as_str(), policies = policies.abouts().count(), "The guard is ready.");
        Ok(Self { clients, ledger, topic: config.topic, policies, mode: config.mode, role: config.role })
    }
}

fn load_policies(folder: PathBuf, tags: &str, networks: &str) -> Result<Policies, StartError> {
    let mut parameters = policy_folder::parameters(&folder)?;
    parameters.override_required_tags(tags);
    let overridden = parameters.override_networks(networks);
    overridden.map_err(StartError::Networks)?;
    Ok(policy_folder::policies(&folder, parameters)?)
}

impl Config {
    fn read(environment: &mut Environment<'_>) -> Option<Self> {
        let (table, topic) = (environment.required("LEDGER_TABLE"), environment.required("ALERT_TOPIC_ARN"));
        let role = environment
            .parsed("GUARD_ROLE_ARN", "the ARN of a role", |arn| account_of(arn).map(|_| arn.to_owned()));
        let mode = environment.parsed("MODE", "`observe` or `enforce`", Mode::parse);
        let keep = environment.days("LEDGER_DAYS");
        Some(Self {
            table,
            topic,
            role: role?,
            mode: mode?,
            keep: keep?,
            policies: environment.packaged("POLICIES_FOLDER", "policies"),
            required_tags: environment.optional("REQUIRED_TAGS").unwrap_or_default(),
            networks: environment.optional("ALLOWED_NETWORKS").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(name: &str) -> Option<String> {
        let value = match name {
            "LEDGER_TABLE" => "ledger",
            "ALERT_TOPIC_ARN" => "arn:aws:sns:eu-west-1:111122223333:alerts",
            "GUARD_ROLE_ARN" => "arn:aws:iam::111122223333:role/guard",
            "MODE" => "enforce",
            "LEDGER_DAYS" => "400",
            "LAMBDA_TASK_ROOT" => "/var/task",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_policies_are_in_the_package_unless_told_otherwise() {
        let config = Config::read(&mut Environment::new(&complete)).unwrap();
        assert_eq!(config.policies, PathBuf::from("/var/task/policies"));
        assert_eq!((config.mode, config.keep), (Mode::Enforce, SignedDuration::from_hours(9600)));
        let elsewhere = |name: &str| match name {
            "POLICIES_FOLDER" => Some("/opt/policies".to_owned()),
            _ => complete(name),
        };
        assert_eq!(
            Config::read(&mut Environment::new(&elsewhere)).unwrap().policies,
            PathBuf::from("/opt/policies")
        );
    }

    #[tokio::test]
    async fn everything_that_is_wrong_is_named_at_once() {
        let broken = |name: &str| match name {
            "MODE" => Some("block".to_owned()),
            "LEDGER_DAYS" => Some("forever".to_owned()),
            "LEDGER_TABLE" => Some(String::new()),
            _ => complete(name),
        };
        let Err(error) = App::load(&broken).await else { panic!("it starts") };
        assert_eq!(
            error.to_string(),
            "configuration: `LEDGER_TABLE` is missing; `MODE` is `block`, not `observe` or `enforce`; \
             `LEDGER_DAYS` is `forever`, not a number of days; `AWS_REGION` is missing; \
             `AWS_ACCESS_KEY_ID` is missing; `AWS_SECRET_ACCESS_KEY` is missing"
        );
    }
}
