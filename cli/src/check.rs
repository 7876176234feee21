//! `ssm-guard check`

use std::error::Error;
use std::path::Path;

use policy_folder::FolderError;
use serde::Serialize;
use session::policy::LoadError;

use crate::print::counted;
use crate::{Format, Found, print};

/// What was found, as the JSON form has it.
#[derive(Serialize)]
struct Report {
    /// The ids of the policies, when there is no error.
    valid: Vec<String>,
    errors: Vec<Problem>,
}

/// One error.
#[derive(Serialize)]
struct Problem {
    path: String,
    line: Option<usize>,
    column: Option<usize>,
    policy: Option<String>,
    message: String,
    hint: Option<String>,
}

pub(crate) fn run(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let loaded =
        policy_folder::parameters(folder).and_then(|parameters| policy_folder::policies(folder, parameters));
    let (valid, error) = match loaded {
        Ok(policies) => (policies.abouts().map(|about| about.id.clone()).collect::<Vec<_>>(), None),
        // Nothing can be said of what cannot be read.
        Err(error @ FolderError::Read { .. }) => return Err(error.into()),
        Err(error) => (Vec::new(), Some(error)),
    };
    match (format, &error) {
        (Format::Text, None) => {
            print::text(&format!("{} valid.", counted(valid.len(), "policy is", "policies are")))?;
        }
        (Format::Text, Some(error)) => print::text(&error.to_string())?,
        (Format::Json, _) => {
            print::json(&Report { valid, errors: error.as_ref().map(problems).unwrap_or_default() })?;
        }
    }
    Ok(if error.is_none() { Found::Nothing } else { Found::Something })
}

fn problems(error: &FolderError) -> Vec<Problem> {
    let problem = |path: &Path, message: &str, hint: Option<&str>| Problem {
        path: path.display().to_string(),
        line: None,
        column: None,
        policy: None,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    };
    match error {
        FolderError::Policies(errors) => errors.iter().map(Problem::of_policy).collect(),
        FolderError::Misplaced { path, message, hint } => vec![problem(path, message, Some(hint))],
        FolderError::Parameters(error) => vec![Problem {
            line: error.position.map(|(line, _)| line),
            column: error.position.map(|(_, column)| column),
            ..problem(&error.path, &error.message, None)
        }],
        FolderError::Empty(path) => vec![problem(path, "no policy found", None)],
        FolderError::Read { path, source } => vec![problem(path, &source.to_string(), None)],
    }
}

impl Problem {
    fn of_policy(error: &LoadError) -> Self {
        Self {
            path: error.path.clone(),
            line: error.position.map(|(line, _)| line),
            column: error.position.map(|(_, column)| column),
            policy: Some(error.policy.clone()),
            message: error.message.clone(),
            hint: error.hint.clone(),
        }
    }
}
