//! What the function needs before its first log. All that is wrong is named at once, and then it does not start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws::clients::{LogClients, Variable};
use aws::environment::Environment;
use aws::greeting::greet_for_logs;
use aws::ledger::Ledger;
use detection::{IndexError, Rules};
use jiff::SignedDuration;
use lambda_runtime::tracing::{error, info};
use session::policy::Severity;
use session::redact;
use session::response::Mode;

/// Everything that a running function holds.
pub(crate) struct App {
    /// The AWS clients.
    pub(crate) clients: LogClients,
    /// The ledger.
    pub(crate) ledger: Ledger,
    /// The topic that alerts go to.
    pub(crate) topic: String,
    /// The rules.
    pub(crate) rules: Rules,
    /// What the guard does about sessions, for the alerts to say.
    pub(crate) mode: Mode,
    /// From which severity on a log is told.
    pub(crate) alert_from: Severity,
    /// How long CloudTrail is given to tell of a session whose log is there.
    pub(crate) patience: SignedDuration,
}

/// Why the function does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Variables of the environment.
    #[error("configuration: {}", .0.join("; "))]
    Variables(Vec<String>),
    /// The index of the rules cannot be read.
    #[error("rules: {}: {source}; `ssm-guard compile` writes it", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index of the rules cannot be used.
    #[error("rules: {}: {source}", path.display())]
    Index {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: IndexError,
    },
    /// The thread that reads the rules.
    #[error("rules: reading was aborted: {0}")]
    Aborted(#[from] tokio::task::JoinError),
}

struct Config {
    table: String,
    topic: String,
    mode: Mode,
    alert_from: Severity,
    keep: SignedDuration,
    patience: SignedDuration,
    rules: PathBuf,
}

impl App {
    /// Reads the environment and the rules, and opens the connections, side by side.
    pub(crate) async fn load(variable: Variable<'_>) -> Result<Self, StartError> {
        let mut environment = Environment::new(variable);
        let (config, clients) =
            (Config::read(&mut environment), environment.clients(LogClients::from_environment));
        let (config, clients) = environment.finish(config.zip(clients)).map_err(StartError::Variables)?;
        let Config { table, topic, mode, alert_from, keep, patience, rules } = config;
        let ledger = Ledger { client: clients.dynamodb.clone(), table, keep };
        let rules = tokio::task::spawn_blocking(move || {
            redact::prepare();
            read_rules(&rules)
        });
        for failure in greet_for_logs(&clients, &ledger, &topic).await {
            // Whatever this is, the first log that needs the service fails and is delivered again.
            error!(
                operation = failure.operation,
                causes = failure.causes(),
                "A service does not answer at start."
            );
        }
        let rules = rules.await??;
        info!(rules = rules.len(), alert_from = alert_from.as_str(), "The function is ready.");
        Ok(Self { clients, ledger, topic, rules, mode, alert_from, patience })
    }
}

fn read_rules(path: &Path) -> Result<Rules, StartError> {
    let index = fs::read(path).map_err(|source| StartError::Missing { path: path.to_owned(), source })?;
    Rules::from_index(&index).map_err(|source| StartError::Index { path: path.to_owned(), source })
}

impl Config {
    fn read(environment: &mut Environment<'_>) -> Option<Self> {
        let (table, topic) = (environment.required("LEDGER_TABLE"), environment.required("ALERT_TOPIC_ARN"));
        let mode = environment.parsed("MODE", "`observe` or `enforce`", Mode::parse);
        let alert_from = environment.parsed("ALERT_FROM", "a severity", Severity::parse);
        let (keep, patience) = (environment.days("LEDGER_DAYS"), environment.minutes("PATIENCE_MINUTES"));
        Some(Self {
            table,
            topic,
            mode: mode?,
            alert_from: alert_from?,
            keep: keep?,
            patience: patience?,
            rules: environment.packaged("RULES_INDEX", "rules.index"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_that_is_wrong_is_named_at_once() {
        let broken = |name: &str| match name {
            "LEDGER_TABLE" => Some("ledger".to_owned()),
            "ALERT_FROM" => Some("loud".to_owned()),
            "MODE" => Some("observe".to_owned()),
            "LEDGER_DAYS" => Some("400".to_owned()),
            _ => None,
        };
        let Err(error) = App::load(&broken).await else { panic!("it starts") };
        assert_eq!(
            error.to_string(),
            "configuration: `ALERT_TOPIC_ARN` is missing; `ALERT_FROM` is `loud`, not a severity; \
             `PATIENCE_MINUTES` is missing; `AWS_REGION` is missing; `AWS_ACCESS_KEY_ID` is missing; \
             `AWS_SECRET_ACCESS_KEY` is missing"
        );
    }

    #[test]
    fn rules_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("rules.index");
        let told =
            || read_rules(&index).unwrap_err().to_string().replace(index.to_str().unwrap(), "rules.index");
        assert_eq!(
            told(),
            "rules: rules.index: No such file or directory (os error 2); `ssm-guard compile` writes it"
        );
        fs::write(&index, "title: not compiled").unwrap();
        assert_eq!(told(), "rules: rules.index: it is not an index of rules: `ssm-guard compile` writes one");
    }
}
