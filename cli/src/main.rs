//! `ssm-guard`: try policies and rules, and ask what they would have done, without an AWS account.
//!
//! What was asked for goes to standard output, everything else to standard error. The exit codes are in
//! [`Found`] and in `--help`.

mod archive;
mod check;
mod help;
mod judge;
mod print;
mod replay;
mod rules;
mod scan;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Try Session Manager policies and rules, and ask what they would have done, without an AWS account.
#[derive(Parser)]
#[command(name = "ssm-guard", version, after_help = help::EXIT_CODES, after_long_help = help::PROGRAM)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate policies and their parameters, or the Sigma rules of a folder.
    ///
    /// Every policy is validated strictly against the schema, as the Lambda does when it starts. Every error
    /// is printed with its file, line and column, and what to do about it. Of a folder of rules it is told which ones are
    /// supported, and why the others are not.
    #[command(after_long_help = help::CHECK)]
    Check {
        #[command(flatten)]
        policies: Policies,
        #[command(flatten)]
        output: Output,
    },
    /// Run the ALLOW and DENY cases beside the policies, or the evidence beside the rules.
    ///
    /// A case is a CloudTrail record and what the look-ups would have found. In DENY the policy of that
    /// folder must be violated, in ALLOW it must not. A policy that forbids needs both. Of a rule, every line of
    /// match/*.txt must be flagged, and no line of no-match/*.txt.
    #[command(after_long_help = help::TEST)]
    Test {
        #[command(flatten)]
        policies: Policies,
        #[command(flatten)]
        output: Output,
    },
    /// Judge recorded CloudTrail events: what would have been ended and alerted, and why.
    ///
    /// Reads the files that CloudTrail delivers to S3, the output of `aws cloudtrail lookup-events`, events as
    /// EventBridge delivers them, and bare records; one document or one to a line; packed with gzip or not.
    /// Of a folder, everything below it is read; `-` is standard input. What cannot be read is named, and the
    /// rest goes on.
    ///
    /// The verdicts are those of the Lambda in enforce mode: the same code judges. It makes no look-ups, so
    /// facts that were not given with --targets and --principals are unknown, and policies that need them are
    /// counted as not judged.
    #[command(after_long_help = help::REPLAY)]
    Replay(replay::Options),
    /// Compile rules into the one file that the function on logs reads when it starts.
    ///
    /// Nothing is written if a rule does not load: each one is named with its reason. Only the same version of the
    /// function reads the file.
    #[command(after_long_help = help::COMPILE)]
    Compile {
        /// The folders of rules.
        #[arg(value_name = "FOLDER", default_value = "rules")]
        folders: Vec<PathBuf>,
        /// The file to write.
        #[arg(long, value_name = "FILE", default_value = "rules.index")]
        to: PathBuf,
    },
    /// Read logs of sessions: the commands that were run, and what of them is dangerous.
    ///
    /// Reads logs as Session Manager uploads them to S3, packed with gzip or not. Of a folder, every `.log` below it is
    /// read; `-` is standard input. The code that reads and judges is that of the Lambda.
    #[command(after_long_help = help::SCAN)]
    Scan(scan::Options),
    /// Print the commands that were run in a session, one after the other.
    #[command(after_long_help = help::COMMANDS)]
    Commands(scan::CommandsOptions),
    /// Print the completions of a shell.
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages, one for each command, into a folder.
    #[command(after_long_help = help::MAN)]
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

#[derive(clap::Args)]
struct Policies {
    /// The folder of policies, or of rules.
    #[arg(value_name = "FOLDER", default_value = "policies")]
    folder: PathBuf,
}

#[derive(clap::Args)]
struct Output {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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

/// What a command found: its exit code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing = 0,
    Something = 1,
    /// Some of the work could not be done, whatever the rest found.
    Incomplete = 2,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check { policies, output } if rules::are_in(&policies.folder) => {
            rules::check(&policies.folder, output.format)
        }
        Command::Check { policies, output } => check::run(&policies.folder, output.format),
        Command::Test { policies, output } if rules::are_in(&policies.folder) => {
            rules::test(&policies.folder, output.format)
        }
        Command::Test { policies, output } => test::run(&policies.folder, output.format),
        Command::Replay(options) => replay::run(&options),
        Command::Compile { folders, to } => rules::compile(&folders, &to),
        Command::Scan(options) => scan::run(&options),
        Command::Commands(options) => scan::commands(&options),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "ssm-guard", &mut std::io::stdout());
            Ok(Found::Nothing)
        }
        Command::Man { folder } => help::write_pages(Arguments::command(), &folder),
    };
    match result {
        Ok(found) => ExitCode::from(found as u8),
        Err(error) => {
            eprintln!("ssm-guard: {error}");
            ExitCode::from(Found::Incomplete as u8)
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
