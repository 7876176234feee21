//! A local AWS stack for as long as its value lives; `tests/stack/README.md` says what it can do.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::account::Account;
use crate::children::{self, AtWork};
use crate::package::Packages;
use crate::{root, target, tools};

/// The region of its accounts.
pub const REGION: &str = "eu-west-1";
/// The name of the CloudFormation stack, as in `docs/operations.md`.
pub const STACK: &str = "guard";

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    process: Mutex<Child>,
    /// The stack ends when this closes, also when this process is killed.
    alive: Mutex<Option<ChildStdin>>,
    python: PathBuf,
    endpoint: String,
    state: PathBuf,
}

impl Stack {
    /// Starts a stack on a port of 127.0.0.1; 0 takes a free one.
    pub fn start(port: u16) -> Result<Self, String> {
        Self::start_with(port, &[])
    }

    /// The same, with options of `localaws.py`.
    pub fn start_with(port: u16, options: &[&str]) -> Result<Self, String> {
        let python = tools::python("tests/stack/requirements.txt")?;
        let state = target().join("stack").join(std::process::id().to_string());
        let mut command = Command::new(&python);
        command.arg(root().join("tests/stack/localaws.py")).arg("--state").arg(&state);
        command.args(["--port", &port.to_string()]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = AtWork::start(&mut command);
        // Once it serves it is no longer ended with the other children, which may still be talking to it.
        let (_starting, mut process) =
            started.map_err(|error| format!("the local stack cannot be started: {error}"))?;
        let mut endpoint = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut endpoint).map_err(|error| error.to_string())?;
        }
        let endpoint = endpoint.trim().to_owned();
        if endpoint.is_empty() {
            let mut error = String::new();
            if let Some(mut output) = process.stderr.take() {
                // The process is over; what it said is all there is to know.
                let _ = output.read_to_string(&mut error);
            }
            let _ = process.wait();
            return Err(error.trim().trim_start_matches("localaws: ").to_owned());
        }
        let alive = Mutex::new(process.stdin.take());
        Ok(Self { alive, process: Mutex::new(process), python, endpoint, state })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its folder: `localaws.log`, and the files of shells.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// An account of the stack; accounts do not see each other.
    pub fn account(&self, id: &str) -> Account {
        Account::new(&self.endpoint, id, REGION)
    }

    /// Deploys the guard with the functions' packages, and returns the outputs of the CloudFormation stack.
    pub fn deploy(
        &self,
        account: &str,
        packages: &Packages,
        parameters: &[(&str, &str)],
    ) -> Result<Value, String> {
        let archives = packages.archives();
        let packages: Vec<_> =
            archives.map(|(function, archive)| format!("{function}={}", archive.display())).collect();
        let place = self.account(account);
        self.deploy_template(&place, STACK, "infra/guard.yaml", &packages, parameters)
    }

    /// Deploys another template of `infra/`, one without functions, as the stack `ssm-` and its name.
    pub fn deploy_part(
        &self,
        account: &str,
        template: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Value, String> {
        let (stack, file) = (format!("ssm-{template}"), format!("infra/{template}.yaml"));
        self.deploy_template(&self.account(account), &stack, &file, &[], parameters)
    }

    /// Deploys a template of the repository into an account and its region, with packages `FUNCTION=ARCHIVE`, and returns the
    /// outputs of the CloudFormation stack.
    pub fn deploy_template(
        &self,
        place: &Account,
        stack: &str,
        template: &str,
        packages: &[String],
        parameters: &[(&str, &str)],
    ) -> Result<Value, String> {
        let mut command = Command::new(&self.python);
        command.arg(root().join("tests/stack/deploy.py"));
        command.args(["--endpoint", &self.endpoint, "--account", &place.id, "--region", &place.region]);
        command.args(["--stack", stack, "--template"]).arg(root().join(template));
        for package in packages {
            command.args(["--package", package]);
        }
        for (name, value) in parameters {
            command.args(["--parameter", &format!("{name}={value}")]);
        }
        outputs(&mut command)
    }

    /// Ends the stack, and waits until it has ended.
    pub fn stop(&self) {
        self.let_go();
        if let Ok(mut process) = self.process.lock() {
            let _ = process.wait();
        }
    }

    fn let_go(&self) {
        if let Ok(mut alive) = self.alive.lock() {
            *alive = None;
        }
    }
}

/// What `deploy.py` prints: the outputs of the CloudFormation stack.
fn outputs(deployment: &mut Command) -> Result<Value, String> {
    let output =
        children::output(deployment).map_err(|error| format!("deploy.py cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("deploy.py: {error}"))
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.let_go();
    }
}
