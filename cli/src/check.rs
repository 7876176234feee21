//! `ssm-guard check`

use std::error::Error;
use std::path::Path;

use policy_folder::FolderError;
use serde_json::json;

use crate::{Format, Found, report};

pub(crate) fn run(folder: &Path, format: Format) -> Result<Found, Box<dyn Error>> {
    let parameters = policy_folder::parameters(folder)?;
    let errors = match policy_folder::policies(folder, parameters) {
        Ok(policies) => {
            let ids: Vec<_> = policies.abouts().map(|about| about.id.as_str()).collect();
            match format {
                Format::Text => report::text(&format!("{} policies are valid.", ids.len()))?,
                Format::Json => report::json(&json!({"valid": ids, "errors": []}))?,
            }
            return Ok(Found::Nothing);
        }
        Err(FolderError::Policies(errors)) => errors,
        Err(other) => return Err(other.into()),
    };
    match format {
        Format::Text => {
            for error in &errors {
                report::text(&error.to_string())?;
            }
        }
        Format::Json => {
            let errors: Vec<_> = errors
                .iter()
                .map(|error| {
                    json!({
                        "path": error.path,
                        "line": error.position.map(|(line, _)| line),
                        "column": error.position.map(|(_, column)| column),
                        "policy": error.policy,
                        "message": error.message,
                        "hint": error.hint,
                    })
                })
                .collect();
            report::json(&json!({"valid": [], "errors": errors}))?;
        }
    }
    Ok(Found::Something)
}
