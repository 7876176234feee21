//! Rules as they are deployed: loaded once, and kept in a form that is read in a fraction of that time.
//!
//! An index begins with a line that names the version of ssm-guard that wrote it; only the same version reads it, since the
//! form is that of the engine's own tables. Whoever writes the index decides what the function finds, as whoever builds the
//! function does: it is not input from outside.

use crate::rules::Rules;

/// What every index begins with; a version and a line feed follow.
const MAGIC: &[u8] = b"ssm-guard rules ";
/// The version, and the number of the form. It is raised with every change of what is written; a test tells when.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");

/// Why an index cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is something else.
    #[error("it is not an index of rules: `ssm-guard compile` writes one")]
    Foreign,
    /// Another version of ssm-guard wrote it.
    #[error(
        "ssm-guard {0} wrote it, and this is {VERSION}: write it again with this version's `ssm-guard compile`"
    )]
    Version(String),
    /// It is not whole.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The rules have no such form.
    #[error("it cannot be written: {0}")]
    Unwritable(String),
}

impl Rules {
    /// The rules as an index: the same files in the same order give the same bytes.
    pub fn to_index(&self) -> Result<Vec<u8>, IndexError> {
        let start = [MAGIC, VERSION.as_bytes(), b"\n"].concat();
        postcard::to_extend(self, start).map_err(|error| IndexError::Unwritable(error.to_string()))
    }

    /// Reads an index.
    pub fn from_index(index: &[u8]) -> Result<Self, IndexError> {
        let rest = index.strip_prefix(MAGIC).ok_or(IndexError::Foreign)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(IndexError::Foreign)?;
        let (version, rest) = rest.split_at(end);
        if version != VERSION.as_bytes() {
            return Err(IndexError::Version(String::from_utf8_lossy(version).into_owned()));
        }
        match postcard::take_from_bytes(rest.get(1..).unwrap_or_default()) {
            Ok((rules, [])) => Ok(rules),
            Ok((_, more)) => Err(IndexError::Damaged(format!("{} bytes follow it", more.len()))),
            Err(error) => Err(IndexError::Damaged(error.to_string())),
        }
    }
}
