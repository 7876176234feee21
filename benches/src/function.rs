//! The functions that are measured, and a process of one as Lambda starts it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::timeout;

use crate::aws::Aws;
use crate::event::{ACCOUNT, REGION};
use crate::runtime_api::{Next, RuntimeApi, Said};

/// What takes longer is not slow but broken: the longest that a function of the template may run.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program to start.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// What is started.
    pub(crate) program: PathBuf,
    arguments: Vec<PathBuf>,
    /// Variables that it has beside those that all have.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Where its package is unpacked.
    pub(crate) folder: PathBuf,
}

/// What is measured, and what it is measured against.
#[derive(Debug)]
pub(crate) struct Functions {
    /// The guard's function, beside its policies, as users deploy it.
    pub(crate) guard: Function,
    /// A Rust function that does nothing.
    pub(crate) hello: Function,
    /// The guard's calls in Python.
    pub(crate) python: Function,
    /// The function on logs, beside its rules, as users deploy it.
    pub(crate) logs: Function,
}

impl Functions {
    /// Builds all of them.
    pub(crate) fn build() -> Result<Self, String> {
        let packages = e2e::package::build()?;
        let (package, logs) = (packages.folder("session-event"), packages.folder("log-object"));
        e2e::tools::run(
            Command::new("cargo")
                .args(["build", "--release", "--locked", "--package", "hello"])
                .current_dir(e2e::root()),
            "cargo build --package hello",
        )?;
        let function = |name, program, arguments, folder| {
            let variables = vec![("ALERT_FROM", "low".to_owned()), ("PATIENCE_MINUTES", "60".to_owned())];
            Function { name, program, arguments, variables, folder }
        };
        let hello = e2e::target().join("release/hello");
        let peer = e2e::root().join("benches/peer");
        let python = e2e::tools::python("tests/stack/requirements.txt")?;
        Ok(Self {
            guard: function("ssm-guard", package.join("bootstrap"), vec![], package),
            hello: function("hello world", hello, vec![], e2e::target()),
            python: function("Python", python, vec![peer.join("handler.py")], peer),
            logs: function("log-object", logs.join("bootstrap"), vec![], logs),
        })
    }
}

/// Whom the function trusts to sign certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// The authorities of a file.
    File(&'a Path),
    /// What is compiled in.
    BuiltIn,
}

/// A running function.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    api: RuntimeApi,
    log: PathBuf,
    /// When it was started.
    pub(crate) spawned: Instant,
}

impl Process {
    /// Starts a function.
    pub(crate) async fn start(function: &Function, aws: &Aws, trust: Trust<'_>) -> Result<Self, String> {
        let api = RuntimeApi::start().await?;
        let log = folder()?.join(format!("{}.log", function.name.replace(' ', "-")));
        let output = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(&function.program);
        command.args(&function.arguments).current_dir(&function.folder).env_clear();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        command
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("LAMBDA_TASK_ROOT", &function.folder);
        command.envs(aws.endpoints().iter().map(|(name, url)| (name, url)));
        command.envs([
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEBENCH"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("AWS_SESSION_TOKEN", "none"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("LEDGER_TABLE", "ledger"),
            ("LEDGER_DAYS", "400"),
            ("MODE", "enforce"),
        ]);
        command.env("ALERT_TOPIC_ARN", format!("arn:aws:sns:{REGION}:{ACCOUNT}:alerts"));
        command.env("GUARD_ROLE_ARN", format!("arn:aws:iam::{ACCOUNT}:role/guard"));
        command.envs(function.variables.iter().map(|(name, value)| (name, value)));
        if let Trust::File(file) = trust {
            command.env("SSL_CERT_FILE", file).env("AWS_CA_BUNDLE", file);
        }
        let spawned = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", function.program.display()))?;
        Ok(Self { name: function.name, child, api, log, spawned })
    }

    /// Waits until the function asks for an invocation.
    pub(crate) async fn next(&mut self) -> Result<Next, String> {
        match self.hear().await? {
            Said::Next(next) => Ok(next),
            Said::Done(_) => Err(self.failed("was done with an invocation that it never had")),
            Said::Failed(error) => Err(self.failed(&format!("did not start: {error}"))),
        }
    }

    /// Waits until the function is done with its invocation.
    pub(crate) async fn done(&mut self) -> Result<Instant, String> {
        match self.hear().await? {
            Said::Done(at) => Ok(at),
            Said::Next(_) => Err(self.failed("asked for an invocation before it was done with one")),
            Said::Failed(error) => Err(self.failed(&format!("failed: {error}"))),
        }
    }

    /// Delivers an event and waits for the end of the invocation: when it was delivered, and when done.
    pub(crate) async fn invoke(&mut self, next: Next, event: &Value) -> Result<(Instant, Instant), String> {
        let request_id = event.pointer("/id").and_then(Value::as_str).unwrap_or_default();
        let delivered = next.deliver(request_id, event)?;
        Ok((delivered, self.done().await?))
    }

    async fn hear(&mut self) -> Result<Said, String> {
        match timeout(PATIENCE, self.api.hear()).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) | Err(_) => Err(self.failed(&format!("was not heard of for {} s", PATIENCE.as_secs()))),
        }
    }

    /// What went wrong with it, and where to read more.
    pub(crate) fn failed(&self, what: &str) -> String {
        format!("{} {what}; its output is in {}", self.name, self.log.display())
    }

    /// The most memory that it ever held, in KiB.
    pub(crate) fn peak_memory(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.and_then(|peak| peak.parse().ok()).ok_or_else(|| format!("{path} has no VmHWM"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file with Amazon's authorities, as the release binary has them built in, and the one of the local services: a
/// binary that reads a file then has as much to read.
pub(crate) fn roots(aws: &Aws) -> Result<PathBuf, String> {
    let amazon = e2e::root().join("shared/aws/amazon-roots.pem");
    let amazon = fs::read_to_string(&amazon).map_err(|error| format!("{}: {error}", amazon.display()))?;
    let path = folder()?.join("roots.pem");
    fs::write(&path, amazon + aws.authority()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Where the benchmark's own files go.
fn folder() -> Result<PathBuf, String> {
    let folder = e2e::target().join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}
