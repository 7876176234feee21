//! The examples and exit codes in `--help` and in the manual pages.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::Found;

macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0  nothing was found
  1  errors, failed cases, violations or findings were found
  2  the work, or some of it, could not be done"
    };
}

pub(crate) const EXIT_CODES: &str = exit_codes!();

pub(crate) const PROGRAM: &str = concat!(
    "\
Examples:
  ssm-guard check                        validate ./policies
  ssm-guard test                         run the cases beside them
  ssm-guard replay cloudtrail.json.gz    ask what they would have done
  ssm-guard scan session-logs            find what is dangerous in logs of sessions

",
    exit_codes!()
);

pub(crate) const CHECK: &str = concat!(
    "\
Examples:
  ssm-guard check
  ssm-guard check path/to/policies --format json | jq '.errors'
  ssm-guard check rules

",
    exit_codes!()
);

pub(crate) const TEST: &str = concat!(
    "\
Examples:
  ssm-guard test
  ssm-guard test path/to/policies --format json | jq '.failed'
  ssm-guard test rules

",
    exit_codes!()
);

pub(crate) const REPLAY: &str = concat!(
    "\
Examples:
  What was copied from the trail's bucket:
    aws s3 sync s3://my-trail/AWSLogs/111122223333/CloudTrail events
    ssm-guard replay events --targets targets.json

  The last 90 days, without a trail's bucket:
    aws cloudtrail lookup-events --lookup-attributes \\
      AttributeKey=EventName,AttributeValue=StartSession |
      ssm-guard replay -

  The tags of today, for --targets:
    aws resourcegroupstaggingapi get-resources \\
      --resource-type-filters ec2:instance ssm:managed-instance |
      jq '[.ResourceTagMappingList[]
           | {key: (.ResourceARN | split(\"/\")[-1]),
              value: (.Tags | from_entries)}] | from_entries' > targets.json

  One month, for a script:
    ssm-guard replay events --since 2026-11-01 --until 2026-12-01 \\
      --format json | jq '.policies'

",
    exit_codes!()
);

pub(crate) const COMPILE: &str = concat!(
    "\
Examples:
  ssm-guard compile rules --to rules.index

  With SigmaHQ's rules beside those that ship:
    ssm-guard compile rules sigma/rules/linux --to rules.index

",
    exit_codes!()
);

pub(crate) const SCAN: &str = concat!(
    "\
Examples:
  ssm-guard scan alice-0e34861185201706f.log
  aws s3 cp s3://session-logs/alice-0e34861185201706f.log - | ssm-guard scan -

  With SigmaHQ's rules beside those that ship:
    ssm-guard scan logs --rules rules --rules sigma/rules/linux

  Everything, for a script:
    ssm-guard scan logs --from low --format json | jq '.logs[].findings[]'

",
    exit_codes!()
);

pub(crate) const COMMANDS: &str = "\
Examples:
  ssm-guard commands alice-0e34861185201706f.log
  ssm-guard commands - --format json < alice-0e34861185201706f.log | jq '.[].confidence'";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  ssm-guard completions bash > /etc/bash_completion.d/ssm-guard
  ssm-guard completions zsh > \"${fpath[1]}/_ssm-guard\"
  ssm-guard completions fish > ~/.config/fish/completions/ssm-guard.fish";

pub(crate) const MAN: &str = "\
Examples:
  ssm-guard man /usr/local/share/man/man1
  ssm-guard man man && man man/ssm-guard-replay.1";

/// Writes a manual page for the program and for each of its commands.
pub(crate) fn write_pages(command: clap::Command, folder: &Path) -> Result<Found, Box<dyn Error>> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Found::Nothing)
}
