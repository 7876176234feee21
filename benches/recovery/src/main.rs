//! How many of the commands that were run are recovered from transcripts, and how fast.
//!
//! `cargo bench-recovery [--corpus FOLDER] [--recorded FOLDER] [--verbose] [--only TEXT] [--speed]`
//!
//! Sessions are folders' `NAME.s3.log` with `NAME.truth.json` beside it: what the shell says it ran. `record.py` makes
//! such a folder. A command counts as recovered when its whole text is the same, apart from runs of white space, which
//! a screen does not show. What was recovered and not run is an error, and so is what was run and not recovered. What was
//! recovered, and entered without anything being run, as a comment is, counts neither way (`idle`).

mod score;
mod session;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;

/// What to measure.
#[derive(Default)]
struct Arguments {
    folders: Vec<PathBuf>,
    only: Option<String>,
    verbose: bool,
    speed: bool,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-recovery: {error}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--corpus" => {
                let folder = PathBuf::from(value()?);
                let transcripts = folder.join("transcripts");
                parsed.folders.push(if transcripts.is_dir() { transcripts } else { folder });
            }
            "--recorded" => parsed.folders.push(PathBuf::from(value()?)),
            "--only" => parsed.only = Some(value()?),
            "--verbose" => parsed.verbose = true,
            "--speed" => parsed.speed = true,
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    if parsed.folders.is_empty() && !parsed.speed {
        return Err("name a folder with `--corpus` or `--recorded`, or ask for `--speed`".to_owned());
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    for folder in &arguments.folders {
        let sessions = session::load(folder, arguments.only.as_deref())?;
        println!("{}: {} sessions", folder.display(), sessions.len());
        score::report(&sessions, arguments.verbose);
    }
    if arguments.speed {
        speed::report()?;
    }
    Ok(())
}
