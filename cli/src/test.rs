//! `ssm-guard test`

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use policy_folder::Case;
use serde::Serialize;
use session::cases::{self, Expected};
use session::policy::Policies;

use crate::print::counted;
use crate::{Format, Found, print};

/// What the cases showed, as the JSON form has it.
#[derive(Serialize)]
struct Report {
    passed: usize,
    failed: Vec<Failure>,
    /// Policies that forbid and lack a case in ALLOW or in DENY.
    untested: Vec<String>,
}

#[derive(Serialize)]
struct Failure {
    path: String,
    policy: String,
    expected: &'static str,
    error: String,
}

pub(crate) fn run(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let policies = policy_folder::policies(folder, policy_folder::parameters(folder)?)?;
    let cases = policy_folder::cases(folder)?;
    let mut failed = Vec::new();
    for case in &cases {
        let text = policy_folder::read(&case.path)?;
        if let Err(error) = cases::run(&policies, &case.policy, case.expected, &text) {
            failed.push(Failure {
                path: case.path.display().to_string(),
                policy: case.policy.clone(),
                expected: case.expected.as_str(),
                error: error.to_string(),
            });
        }
    }
    let report = Report { passed: cases.len() - failed.len(), failed, untested: untested(&policies, &cases) };
    match format {
        Format::Text => print::text(&text(&report))?,
        Format::Json => print::json(&report)?,
    }
    let is_fine = report.failed.is_empty() && report.untested.is_empty();
    Ok(if is_fine { Found::Nothing } else { Found::Something })
}

/// A policy that no case denies could be one that never fires, one that no case allows could always.
fn untested(policies: &Policies, cases: &[Case]) -> Vec<String> {
    let covered: BTreeSet<_> = cases.iter().map(|case| (case.policy.as_str(), case.expected)).collect();
    let is_covered = |id: &str| {
        [Expected::Allow, Expected::Deny].into_iter().all(|expected| covered.contains(&(id, expected)))
    };
    let forbids = policies.abouts().map(|about| &about.id).filter(|id| policies.is_forbid(id));
    forbids.filter(|id| !is_covered(id)).cloned().collect()
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for failure in &report.failed {
        lines.push(format!("FAILED {}\n  {}", failure.path, failure.error));
    }
    for policy in &report.untested {
        lines.push(format!("UNTESTED {policy}\n  hint: it needs a case in ALLOW and one in DENY"));
    }
    lines.push(format!(
        "{} passed, {} failed.",
        counted(report.passed, "case", "cases"),
        report.failed.len()
    ));
    lines.join("\n")
}
