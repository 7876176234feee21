//! A folder of policies: `parameters.json`, and one folder per policy with its `policy.cedar` and cases.
//!
//! The function, the command line and the tests read the same folder in the same way; `session` itself
//! reads no files. What looks like a policy or a case and would not be read is an error: a policy that is not
//! loaded forbids nothing, and nobody would notice.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use session::cases::Expected;
use session::parameters::{Parameters, ParametersError};
use session::policy::{LoadError, Policies, PolicySource};

const PARAMETERS: &str = "parameters.json";
const POLICY: &str = "policy.cedar";

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
    /// A file or folder is where nobody would read it.
    #[error("{}: {message}\n  hint: {hint}", path.display())]
    Misplaced {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The parameters cannot be used.
    #[error(transparent)]
    Parameters(#[from] ParametersFileError),
    /// Policies do not load; each error has its place and what to do.
    #[error("{}", lines(.0))]
    Policies(Vec<LoadError>),
}

fn lines(errors: &[LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What is wrong with `parameters.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParametersFileError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1, when the error has a place.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParametersFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some((line, column)) = self.position {
            write!(formatter, ":{line}:{column}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for ParametersFileError {}

/// A case beside a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    let path = folder.join(PARAMETERS);
    let text = read(&path)?;
    Parameters::from_json(&text).map_err(|error| located(path, &text, &error).into())
}

/// Reads and validates the policies of a folder.
pub fn policies(folder: &Path, parameters: Parameters) -> Result<Policies, FolderError> {
    let mut sources = Vec::new();
    for path in policy_folders(folder)? {
        let file = path.join(POLICY);
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
    for policy in policy_folders(folder)? {
        for below in children(&policy)?.into_iter().filter(|path| path.is_dir()) {
            let expected = [Expected::Allow, Expected::Deny]
                .into_iter()
                .find(|expected| expected.as_str() == name(&below))
                .ok_or_else(|| FolderError::Misplaced {
                    path: below.clone(),
                    message: "not a folder of cases",
                    hint: "cases are in `ALLOW` and `DENY`",
                })?;
            for path in children(&below)? {
                cases.push(Case { policy: name(&policy), expected, path: case_file(path)? });
            }
        }
    }
    Ok(cases)
}

/// Reads a file of the folder.
pub fn read(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })
}

/// The folders of policies, in order; each has its `policy.cedar`.
fn policy_folders(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let mut folders = Vec::new();
    for path in children(folder)? {
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|end| end == "cedar") {
            let (message, hint) = ("this policy would not be read", "give it a folder: <id>/policy.cedar");
            return Err(FolderError::Misplaced { path, message, hint });
        }
    }
    for folder in &folders {
        if !folder.join(POLICY).is_file() {
            let hint = "a policy is a folder with a `policy.cedar`";
            return Err(FolderError::Misplaced { path: folder.clone(), message: "no policy in it", hint });
        }
    }
    Ok(folders)
}

fn case_file(path: PathBuf) -> Result<PathBuf, FolderError> {
    if path.extension().is_some_and(|end| end == "json") {
        return Ok(path);
    }
    let (message, hint) = ("this case would not be run", "a case is a file that ends with `.json`");
    Err(FolderError::Misplaced { path, message, hint })
}

/// What is in a folder, in order; hidden files are other programs' business.
fn children(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |source| FolderError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Finds the place of an error. The value that cannot be used stands in the file as it is in the message.
fn located(path: PathBuf, text: &str, error: &ParametersError) -> ParametersFileError {
    let (position, message) = match error {
        ParametersError::Syntax(error) => {
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
            (Some((error.line(), error.column())), message)
        }
        ParametersError::Value { field, value, expected } => {
            let offset = text.find(&format!("\"{value}\""));
            (offset.map(|offset| position(text, offset)), format!("`{field}`: `{value}` is not {expected}"))
        }
    };
    ParametersFileError { path, position, message }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const PERMIT: &str = "@id(\"a\") permit (principal, action, resource);";

    /// A folder with these files beside good parameters.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        let shipped = include_str!("../../../policies/parameters.json");
        for (path, text) in [("parameters.json", shipped)].iter().chain(files) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn error<T: fmt::Debug>(folder: &TempDir, result: Result<T, FolderError>) -> String {
        result.unwrap_err().to_string().replace(&folder.path().display().to_string(), "policies")
    }

    fn load(folder: &TempDir) -> Result<Policies, FolderError> {
        policies(folder.path(), parameters(folder.path())?)
    }

    #[test]
    fn policies_and_cases_are_found_by_their_folders() {
        let files = [
            ("a/policy.cedar", PERMIT),
            ("a/README.md", ""),
            ("a/ALLOW/one.json", "{}"),
            ("a/DENY/two.json", "{}"),
            ("a/DENY/.two.json.swp", ""),
            ("README.md", ""),
            ("schema.cedarschema", ""),
            (".git/config", ""),
        ];
        let folder = folder(&files);
        assert_eq!(load(&folder).unwrap().abouts().map(|about| about.id.as_str()).collect::<Vec<_>>(), ["a"]);
        let cases = cases(folder.path()).unwrap();
        let found: Vec<_> =
            cases.iter().map(|case| (case.policy.as_str(), case.expected, name(&case.path))).collect();
        assert_eq!(
            found,
            [("a", Expected::Allow, "one.json".to_owned()), ("a", Expected::Deny, "two.json".to_owned())]
        );
    }

    #[test]
    fn what_would_not_be_read_is_an_error() {
        for (files, expected) in [
            (vec![], "policies: no policy found\n  hint: a policy is a folder with a `policy.cedar`"),
            (
                vec![("a/policy.ceder", PERMIT)],
                "policies/a: no policy in it\n  hint: a policy is a folder with a `policy.cedar`",
            ),
            (
                vec![("a/policy.cedar", PERMIT), ("b.cedar", PERMIT)],
                "policies/b.cedar: this policy would not be read\n  hint: give it a folder: <id>/policy.cedar",
            ),
        ] {
            let folder = folder(&files);
            assert_eq!(error(&folder, load(&folder)), expected);
        }
        for (file, expected) in [
            (
                "a/Deny/one.json",
                "policies/a/Deny: not a folder of cases\n  hint: cases are in `ALLOW` and `DENY`",
            ),
            (
                "a/DENY/one.jsn",
                "policies/a/DENY/one.jsn: this case would not be run\n  hint: a case is a file that ends with `.json`",
            ),
        ] {
            let folder = folder(&[("a/policy.cedar", PERMIT), (file, "{}")]);
            assert_eq!(error(&folder, cases(folder.path())), expected);
        }
    }

    #[test]
    fn parameters_that_cannot_be_used_have_a_place() {
        let shipped = include_str!("../../../policies/parameters.json");
        for (from, to, expected) in [
            (
                "\"networks\": {}",
                "\"networks\": {\"office\": [\"203.0.113.0\"]}",
                "policies/parameters.json:21:27: `networks`: `203.0.113.0` is not a CIDR such as `203.0.113.0/24`",
            ),
            (
                "\"UTC\"",
                "\"Mars/Base\"",
                "policies/parameters.json:23:17: `businessHours.timeZone`: `Mars/Base` is not an IANA time zone such as `Europe/Berlin`",
            ),
            (
                "\"accessTag\"",
                "\"accesTag\"",
                "policies/parameters.json:6:12: unknown field `accesTag`, expected one of `requiredTags`, `accessTag`, \
                 `principalTag`, `environmentTag`, `productionValues`, `allowedDocuments`, `networks`, `businessHours`",
            ),
            ("\"networks\": {}", "\"networks\": {", "policies/parameters.json:21:16: key must be a string"),
        ] {
            let text = shipped.replace(from, to);
            let folder = folder(&[("parameters.json", &text)]);
            assert_eq!(error(&folder, parameters(folder.path())), expected);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = TempDir::new().unwrap();
        let expected = "policies/parameters.json: No such file or directory (os error 2)";
        assert_eq!(error(&folder, parameters(folder.path())), expected);
    }
}
