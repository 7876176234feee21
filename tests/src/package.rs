//! The packages of the functions: a release binary beside the policies, as users deploy it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{children, root, target, tools};

/// Builds a function and puts its package together: the folder that the template's `CodeUri` names, and its zip.
pub fn build(function: &str) -> Result<PathBuf, String> {
    let status = cargo(function).status().map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("the function {function} does not build"));
    }
    put_together(function)
}

/// The same, silently: `on_progress` sees how many of how many crates are built.
pub fn build_with(function: &str, on_progress: &dyn Fn(u32, u32)) -> Result<PathBuf, String> {
    let mut cargo = cargo(function);
    // Cargo draws its progress bar for terminals only, unless it is told to, and how wide.
    cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "80")]);
    cargo.env("CARGO_TERM_COLOR", "never");
    let on_line = |line: &str| {
        if let Some((built, all)) = crates_built(line) {
            on_progress(built, all);
        }
    };
    let (status, text) =
        children::run(&mut cargo, &on_line).map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("the function {function} does not build:\n{text}"));
    }
    put_together(function)
}

fn cargo(function: &str) -> Command {
    let mut cargo = tools::cargo();
    cargo.args(["build", "--release", "--locked", "--package", function]);
    cargo
}

/// What a progress bar of cargo says: `Building [====>   ] 12/345: serde`.
fn crates_built(line: &str) -> Option<(u32, u32)> {
    let (_, after) = line.split_once("] ")?;
    let (built, rest) = after.split_once('/')?;
    let all = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    Some((built.parse().ok()?, all.parse().ok()?))
}

fn put_together(function: &str) -> Result<PathBuf, String> {
    let folder = target().join("package").join(function);
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    // The demo and the tests may do this at the same time; the lock goes with the file.
    let lock = lock().map_err(failed)?;
    assemble(function, &folder).map_err(failed)?;
    let archive = zip(&folder);
    drop(lock);
    archive
}

fn lock() -> io::Result<File> {
    let packages = target().join("package");
    fs::create_dir_all(&packages)?;
    let file = File::create(packages.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn assemble(function: &str, folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::copy(target().join("release").join(function), folder.join("bootstrap"))?;
    copy(&root().join("policies"), &folder.join("policies"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let copied = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &copied)?;
        } else {
            fs::copy(&path, &copied)?;
        }
    }
    Ok(())
}

/// Python is there anyway, and its zip keeps a file's mode.
fn zip(folder: &Path) -> Result<PathBuf, String> {
    let archive = folder.with_extension("zip");
    let python = tools::python("tests/stack/requirements.txt")?;
    let mut command = Command::new(python);
    // Whoever reads the archive at this moment reads the old one or the new one.
    let new = folder.with_extension("zip.new");
    command.args(["-m", "zipfile", "-c"]).arg(&new).args(["bootstrap", "policies"]).current_dir(folder);
    tools::run(&mut command, "python -m zipfile")?;
    fs::rename(&new, &archive).map_err(|error| format!("{}: {error}", archive.display()))?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_off_cargos_bar() {
        for (line, expected) in [
            ("    Building [=====>       ] 12/345: serde, syn", Some((12, 345))),
            ("    Building [============>] 344/345", Some((344, 345))),
            ("   Compiling serde v1.0.229", None),
            ("error[E0432]: unresolved import", None),
        ] {
            assert_eq!(crates_built(line), expected, "{line}");
        }
    }
}
