//! `ssm-guard test`

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use serde_json::json;
use session::cases::{self, Expected};

use crate::{Format, Found, report};

pub(crate) fn run(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let policies = policy_folder::policies(folder, policy_folder::parameters(folder)?)?;
    let all = policy_folder::cases(folder)?;
    let mut failures = Vec::new();
    let mut covered = BTreeSet::new();
    for case in &all {
        covered.insert((case.policy.as_str(), case.expected == Expected::Deny));
        let text = policy_folder::read(&case.path)?;
        if let Err(error) = cases::run(&policies, &case.policy, case.expected, &text) {
            failures.push((case.path.display().to_string(), error.to_string()));
        }
    }
    // A policy that no case denies could be one that never fires.
    let untested: Vec<_> = policies
        .abouts()
        .filter(|about| policies.is_forbid(&about.id))
        .filter(|about| {
            !covered.contains(&(about.id.as_str(), true)) || !covered.contains(&(about.id.as_str(), false))
        })
        .map(|about| about.id.clone())
        .collect();
    let passed = all.len() - failures.len();
    match format {
        Format::Text => {
            for (path, error) in &failures {
                report::text(&format!("FAILED {path}\n  {error}"))?;
            }
            for policy in &untested {
                report::text(&format!("UNTESTED {policy}\n  it needs a case in ALLOW and one in DENY"))?;
            }
            report::text(&format!("{passed} cases passed, {} failed.", failures.len()))?;
        }
        Format::Json => {
            let failed: Vec<_> =
                failures.iter().map(|(path, error)| json!({"path": path, "error": error})).collect();
            report::json(&json!({"passed": passed, "failed": failed, "untested": untested}))?;
        }
    }
    Ok(if failures.is_empty() && untested.is_empty() { Found::Nothing } else { Found::Something })
}
