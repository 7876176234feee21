//! Folders of Sigma rules: every `.yml` below, and the evidence beside each rule.
//!
//! A rule that ships is a folder with `rule.yml`, `match/*.txt` that it must flag, and `no-match/*.txt` that it must
//! not. Rules from elsewhere (a checkout of SigmaHQ) need no evidence and any layout will do. The function, the command line and
//! the tests read the same folder in the same way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MATCH: &str = "match";
const NO_MATCH: &str = "no-match";

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
    /// There is nothing to find by.
    #[error("{}: no rule found\n  hint: a rule is a file that ends in `.yml`", .0.display())]
    Empty(PathBuf),
    /// Evidence that nobody would read.
    #[error("{}: evidence without a rule\n  hint: `match` and `no-match` belong beside a `rule.yml`", .0.display())]
    Stray(PathBuf),
}

/// A file with a rule, or with several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Where it is, below the folder that was asked for, with that folder.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Commands that a rule must flag, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The rule's file.
    pub rule: String,
    /// The evidence's file.
    pub path: String,
    /// The commands, one to a line, as they would be typed.
    pub text: String,
    /// Whether the rule must flag it.
    pub must_match: bool,
}

/// Every rule file below a folder, in the order of their paths. Folders whose name begins with a dot, and links, are passed
/// over.
pub fn rules(folder: &Path) -> Result<Vec<RuleFile>, FolderError> {
    let is_rule = |path: &Path| path.extension().is_some_and(|end| end == "yml" || end == "yaml");
    let mut found = Vec::new();
    for path in files(folder)?.into_iter().filter(|path| is_rule(path)) {
        let text = read(&path)?;
        found.push(RuleFile { path: path.display().to_string(), text });
    }
    if found.is_empty() { Err(FolderError::Empty(folder.to_owned())) } else { Ok(found) }
}

/// The evidence of every rule below a folder.
pub fn evidence(folder: &Path) -> Result<Vec<Evidence>, FolderError> {
    let mut found = Vec::new();
    for path in files(folder)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "txt")) {
        let kind = path.parent();
        let must_match = match kind.and_then(Path::file_name).and_then(|name| name.to_str()) {
            Some(MATCH) => true,
            Some(NO_MATCH) => false,
            _ => continue,
        };
        let rule = kind.and_then(Path::parent).map(|folder| folder.join("rule.yml"));
        let Some(rule) = rule.filter(|rule| rule.is_file()) else { return Err(FolderError::Stray(path)) };
        let text = read(&path)?;
        found.push(Evidence {
            rule: rule.display().to_string(),
            path: path.display().to_string(),
            text,
            must_match,
        });
    }
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        let failed = |source| FolderError::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && !is_hidden {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, FolderError> {
    let bytes = fs::read(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|_| FolderError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn rules_are_found_in_any_layout() {
        let folder = folder(&[
            ("b/rule.yml", "b"),
            ("a.yaml", "a"),
            ("deep/er/c.yml", "c"),
            (".git/d.yml", "d"),
            ("notes.md", ""),
        ]);
        let found: Vec<_> = rules(folder.path()).unwrap().into_iter().map(|file| file.text).collect();
        assert_eq!(found, ["a", "b", "c"]);
    }

    #[test]
    fn evidence_belongs_to_the_rule_beside_it() {
        let kept = folder(&[("a/rule.yml", ""), ("a/match/1.txt", "id"), ("a/no-match/1.txt", "ls")]);
        let found = evidence(kept.path()).unwrap();
        let found: Vec<_> =
            found.iter().map(|evidence| (evidence.text.as_str(), evidence.must_match)).collect();
        assert_eq!(found, [("id", true), ("ls", false)]);
        let stray = folder(&[("a/match/1.txt", "id")]);
        assert!(evidence(stray.path()).unwrap_err().to_string().contains("evidence without a rule"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let empty = folder(&[("a.txt", "")]);
        assert!(rules(empty.path()).unwrap_err().to_string().contains("no rule found"));
        let binary = folder(&[]);
        fs::write(binary.path().join("a.yml"), [0xff]).unwrap();
        assert!(rules(binary.path()).unwrap_err().to_string().ends_with("a.yml: is not UTF-8"));
        assert!(rules(Path::new("no such folder")).is_err());
    }
}
