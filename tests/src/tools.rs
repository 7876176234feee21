//! Tools that are not on a fresh machine: pinned, and installed below `target/` when they are first needed.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{children, root, target};

/// The Python of an environment with the packages of a requirements file; installed when it is not there yet.
pub fn python(requirements: &str) -> Result<PathBuf, String> {
    python_with(requirements, &|| eprintln!("Installing {requirements} (once, below target/tools) ..."))
}

/// The same, with `on_install` called before an installation.
pub fn python_with(requirements: &str, on_install: &dyn Fn()) -> Result<PathBuf, String> {
    let file = root().join(requirements);
    let text = fs::read_to_string(&file).map_err(|error| format!("{requirements}: {error}"))?;
    let folder = home(requirements, &text);
    let python = folder.join("bin/python");
    if folder.join("complete").exists() {
        return Ok(python);
    }
    let _lock = lock(&folder)?;
    if folder.join("complete").exists() {
        return Ok(python);
    }
    on_install();
    let system =
        ["python3.13", "python3.12", "python3.11", "python3"].into_iter().find(|name| is_new_enough(name));
    let system =
        system.ok_or("Python 3.11 or newer is needed, and there is no `python3` of that age in PATH")?;
    // What an interrupted installation left is of no use.
    let _ = fs::remove_dir_all(&folder);
    run(
        Command::new(system).args(["-m", "venv"]).arg(&folder),
        "python3 -m venv (on Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&file);
    run(&mut pip, &format!("pip install --requirement {requirements}"))?;
    finish(&folder)?;
    Ok(python)
}

/// Cargo, in the repository, as a person would call it.
///
/// A cargo that runs this program has set variables about *its* package, and build scripts are run again when those change:
/// without this, `cargo build` by hand and by a test would each rebuild what the other built.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if is_of_package {
            cargo.env_remove(&*name);
        }
    }
    cargo.current_dir(root());
    cargo
}

/// A program of crates.io; built when it is not there yet.
pub fn cargo_program(package: &str, version: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let folder = home(package, version);
    let program = folder.join("bin").join(package);
    if folder.join("complete").exists() {
        return Ok(program);
    }
    let _lock = lock(&folder)?;
    if folder.join("complete").exists() {
        return Ok(program);
    }
    eprintln!("Building {package} {version} (once, below target/tools) ...");
    let mut install = cargo();
    install.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(&folder);
    install.args(arguments).arg(package).env("CARGO_TARGET_DIR", target().join("tools/build"));
    run(&mut install, &format!("cargo install {package}"))?;
    finish(&folder)?;
    Ok(program)
}

/// Runs a command to its end; what it printed is shown only when it fails.
pub fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let (status, text) =
        children::run(command, &|_| {}).map_err(|error| format!("{name} cannot be started: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{name} failed ({status}):\n{}", text.trim_end()))
}

fn is_new_enough(python: &str) -> bool {
    let check = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
    let mut command = Command::new(python);
    command.args(["-c", check]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A folder of its own for each version of what is installed, so that an update does not meet the old one.
fn home(name: &str, version: &str) -> PathBuf {
    let mut hash = DefaultHasher::new();
    version.hash(&mut hash);
    let name = name.replace(['/', '.'], "-");
    target().join("tools").join(format!("{name}-{:016x}", hash.finish()))
}

/// Several tests may need a tool at once, and one of them installs it; the lock goes with the file.
fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.with_extension("lock");
    let locked = fs::create_dir_all(target().join("tools")).and_then(|()| {
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|error| format!("{}: {error}", path.display()))
}

fn finish(folder: &Path) -> Result<(), String> {
    fs::write(folder.join("complete"), "").map_err(|error| format!("{}: {error}", folder.display()))
}
