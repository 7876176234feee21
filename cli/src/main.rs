//! `ssm-guard`: try policies, and ask what they would have done, without an AWS account.
//!
//! Exit codes: 0, nothing was found; 1, violations or failed cases; 2, the work could not be done.
//! What was asked for goes to standard output, everything else to standard error.

mod check;
mod replay;
mod report;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Try Session Manager policies, and ask what they would have done, without an AWS account.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes:\n  0  nothing was found\n  1  violations were found, or cases failed\n  2  the work could not be done"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate policies against the schema.
    ///
    /// Every error is printed with its file, line and column, and what to do about it.
    Check {
        /// The folder of policies.
        #[arg(default_value = "policies")]
        policies: PathBuf,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Run the ALLOW and DENY cases beside the policies.
    Test {
        /// The folder of policies.
        #[arg(default_value = "policies")]
        policies: PathBuf,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Judge recorded CloudTrail events: what would have been ended and alerted, and why.
    ///
    /// Reads what CloudTrail delivers to S3 ({"Records": […]}), records or EventBridge events one to a
    /// line, a JSON list, or a single record; .gz too; folders with everything below them; `-` is standard
    /// input. The verdicts are those of the Lambda: it runs the same code.
    Replay {
        /// Files, folders, or `-`.
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
        /// The folder of policies.
        #[arg(long, default_value = "policies")]
        policies: PathBuf,
        /// Tags by target: {"i-0123…": {"Owner": "team-a"}}. The tags of other targets are unknown.
        #[arg(long)]
        targets: Option<PathBuf>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print completions for a shell, such as: ssm-guard completions bash > /etc/bash_completion.d/ssm-guard
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON document.
    Json,
}

/// What a command found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Something,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check { policies, format } => check::run(&policies, format),
        Command::Test { policies, format } => test::run(&policies, format),
        Command::Replay { inputs, policies, targets, format } => {
            replay::run(&inputs, &policies, targets.as_deref(), format)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "ssm-guard", &mut std::io::stdout());
            Ok(Found::Nothing)
        }
    };
    match result {
        Ok(Found::Nothing) => ExitCode::SUCCESS,
        Ok(Found::Something) => ExitCode::from(1),
        Err(error) => {
            eprintln!("ssm-guard: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
