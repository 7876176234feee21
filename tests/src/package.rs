//! The packages of the functions: a release binary beside its policies or the index of its rules, as users deploy it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use detection::Rules;

use crate::{children, root, target, tools};

/// Every function, and what is beside its binary in its package.
pub const FUNCTIONS: [(&str, &str); 2] = [("session-event", "policies"), ("log-object", INDEX)];

/// What `ssm-guard compile` makes of `rules/`.
pub const INDEX: &str = "rules.index";

/// The packages of all functions.
#[derive(Clone, Debug)]
pub struct Packages {
    archives: Vec<(&'static str, PathBuf)>,
}

impl Packages {
    /// Each function with its zip; the folder beside it has the same in it.
    pub fn archives(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.archives.iter().map(|(function, archive)| (*function, archive.as_path()))
    }

    /// The folder of one function's package.
    pub fn folder(&self, function: &str) -> PathBuf {
        target().join("package").join(function)
    }
}

impl Packages {
    /// The package of a function with one more file, put together in an empty folder: what a team that adds a policy deploys.
    pub fn with_file(
        &self,
        function: &str,
        folder: &Path,
        name: &str,
        content: &str,
    ) -> Result<PathBuf, String> {
        let file = folder.join(name);
        let add = || {
            copy(&self.folder(function), folder)?;
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&file, content)
        };
        add().map_err(|error| format!("{}: {error}", file.display()))?;
        let files = FUNCTIONS.iter().find(|(known, _)| *known == function).map_or("", |(_, files)| files);
        zip(folder, files)
    }
}

/// Builds the functions and puts their packages together: the folders that the template's `CodeUri`s name, and their zips.
pub fn build() -> Result<Packages, String> {
    let status = cargo().status().map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err("the functions do not build".to_owned());
    }
    put_together()
}

/// The same, silently: `on_progress` sees how many of how many crates are built.
pub fn build_with(on_progress: &dyn Fn(u32, u32)) -> Result<Packages, String> {
    let mut cargo = cargo();
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
        return Err(format!("the functions do not build:\n{text}"));
    }
    put_together()
}

fn cargo() -> Command {
    let mut cargo = tools::cargo();
    cargo.args(["build", "--release", "--locked"]);
    cargo.args(FUNCTIONS.iter().flat_map(|(function, _)| ["--package", function]));
    cargo
}

/// What a progress bar of cargo says: `Building [====>   ] 12/345: serde`.
fn crates_built(line: &str) -> Option<(u32, u32)> {
    let (_, after) = line.split_once("] ")?;
    let (built, rest) = after.split_once('/')?;
    let all = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    Some((built.parse().ok()?, all.parse().ok()?))
}

fn put_together() -> Result<Packages, String> {
    // The demo and the tests may do this at the same time; the lock goes with the file.
    let lock = lock().map_err(|error| format!("{}: {error}", target().join("package").display()))?;
    let archives = FUNCTIONS.iter().map(|(function, files)| {
        let folder = target().join("package").join(function);
        assemble(function, files, &folder)?;
        Ok((*function, zip(&folder, files)?))
    });
    let archives = archives.collect::<Result<_, String>>();
    drop(lock);
    Ok(Packages { archives: archives? })
}

fn lock() -> io::Result<File> {
    let packages = target().join("package");
    fs::create_dir_all(&packages)?;
    let file = File::create(packages.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn assemble(function: &str, files: &str, folder: &Path) -> Result<(), String> {
    let index = if files == INDEX { Some(compile(&root().join("rules"))?) } else { None };
    let fill = || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::copy(target().join("release").join(function), folder.join("bootstrap"))?;
        match index {
            Some(index) => fs::write(folder.join(files), index),
            None => copy(&root().join(files), &folder.join(files)),
        }
    };
    fill().map_err(|error| format!("{}: {error}", folder.display()))
}

/// The index of a folder of rules, as `ssm-guard compile` writes it.
pub fn compile(rules: &Path) -> Result<Vec<u8>, String> {
    let files = rule_folder::rules(rules).map_err(|error| error.to_string())?;
    let loaded = Rules::load(files.iter().map(|file| (file.path.as_str(), file.text.as_str())));
    match loaded.refused.first() {
        Some(refused) => Err(refused.to_string()),
        None => loaded.rules.to_index().map_err(|error| error.to_string()),
    }
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
fn zip(folder: &Path, files: &str) -> Result<PathBuf, String> {
    let archive = folder.with_extension("zip");
    let python = tools::python("tests/stack/requirements.txt")?;
    let mut command = Command::new(python);
    // Whoever reads the archive at this moment reads the old one or the new one.
    let new = folder.with_extension("zip.new");
    command.args(["-m", "zipfile", "-c"]).arg(&new).args(["bootstrap", files]).current_dir(folder);
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
