//! A folder of policies: `parameters.json`, and one folder per policy with its `policy.cedar` and cases.
//!
//! The function, the command line and the tests read the same folder in the same way; `session` itself
//! reads no files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use session::cases::Expected;
use session::parameters::{Parameters, ParametersError};
use session::policy::{LoadError, Policies, PolicySource};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to judge by.
    #[error("{}: no policy found\n  hint: a policy is a folder with a `policy.cedar`", .0.display())]
    Empty(PathBuf),
    /// The parameters cannot be used.
    #[error("{}: {source}", path.display())]
    Parameters {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: ParametersError,
    },
    /// Policies do not load; each error has its place and what to do.
    #[error("{}", lines(.0))]
    Policies(Vec<LoadError>),
}

fn lines(errors: &[LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A case beside a policy.
#[derive(Clone, Debug)]
pub struct Case {
    /// The policy, by its folder's name.
    pub policy: String,
    /// What is expected of it.
    pub expected: Expected,
    /// The file.
    pub path: PathBuf,
}

/// Reads `parameters.json` of a folder.
pub fn parameters(folder: &Path) -> Result<Parameters, FolderError> {
    let text = read(&folder.join("parameters.json"))?;
    Parameters::from_json(&text).map_err(|source| FolderError::Parameters { path: folder.to_owned(), source })
}

/// Reads and validates the policies of a folder.
pub fn policies(folder: &Path, parameters: Parameters) -> Result<Policies, FolderError> {
    let mut sources = Vec::new();
    for path in children(folder)? {
        let file = path.join("policy.cedar");
        if !file.is_file() {
            continue;
        }
        let text = read(&file)?;
        sources.push(PolicySource { path: file.display().to_string(), folder: name(&path), text });
    }
    if sources.is_empty() {
        return Err(FolderError::Empty(folder.to_owned()));
    }
    Policies::load(&sources, parameters).map_err(FolderError::Policies)
}

/// The cases of a folder, in order of their paths.
pub fn cases(folder: &Path) -> Result<Vec<Case>, FolderError> {
    let mut cases = Vec::new();
    for policy in children(folder)?.into_iter().filter(|path| path.join("policy.cedar").is_file()) {
        for (kind, expected) in [("ALLOW", Expected::Allow), ("DENY", Expected::Deny)] {
            let folder = policy.join(kind);
            if !folder.is_dir() {
                continue;
            }
            let files = children(&folder)?;
            let files = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
            cases.extend(files.map(|path| Case { policy: name(&policy), expected, path }));
        }
    }
    Ok(cases)
}

/// Reads a file of the folder.
pub fn read(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |source| FolderError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
