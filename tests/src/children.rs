//! Processes that do a part of the work: run to their end, or ended with this one.

use std::collections::BTreeSet;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Whether somebody calls [`end_all`] when this process is asked to end.
static MANAGED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static ENDED: Condvar = Condvar::new();
/// How long a child has to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// From now on each child leads a process group of its own: a signal of the terminal does not reach it, and
/// [`end_all`] does.
pub fn manage() {
    MANAGED.store(true, Ordering::Relaxed);
}

/// Ends every child that is at work, with what it started in turn, and waits until they are gone.
pub fn end_all() {
    let Ok(mut running) = RUNNING.lock() else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        for group in running.iter().copied().filter_map(Pid::from_raw) {
            // One that is over already needs no end.
            let _ = kill_process_group(group, signal);
        }
        let ended = ENDED.wait_timeout_while(running, PATIENCE, |running| !running.is_empty());
        match ended {
            Ok((rest, _)) if !rest.is_empty() => running = rest,
            _ => return,
        }
    }
}

/// A child that is at work, as far as [`end_all`] is concerned.
#[derive(Debug)]
pub(crate) struct AtWork {
    group: Option<i32>,
}

impl AtWork {
    /// Starts a child, and has it ended by [`end_all`] until the value is dropped, which is when it has ended.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Self, Child)> {
        if !MANAGED.load(Ordering::Relaxed) {
            return Ok((Self { group: None }, command.spawn()?));
        }
        let child = command.process_group(0).spawn()?;
        let group = i32::try_from(child.id()).ok();
        if let (Some(group), Ok(mut running)) = (group, RUNNING.lock()) {
            running.insert(group);
        }
        Ok((Self { group }, child))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let (Some(group), Ok(mut running)) = (self.group, RUNNING.lock()) {
            running.remove(&group);
            ENDED.notify_all();
        }
    }
}

/// Runs a command to its end, and returns what it printed.
pub fn output(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (_at_work, child) = AtWork::start(command)?;
    child.wait_with_output()
}

/// Runs a command to its end, and returns what it printed to both its outputs. `on_line` sees each line while the command
/// runs; a line that ends in a carriage return is a progress bar, and is left out of what is returned.
pub fn run(command: &mut Command, on_line: &dyn Fn(&str)) -> io::Result<(ExitStatus, String)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let started = AtWork::start(command);
    // The command holds the pipe's other end, and as long as it does the pipe does not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (_at_work, mut child) = started?;
    let text = read(reader, on_line);
    Ok((child.wait()?, text?))
}

fn read(mut reader: PipeReader, on_line: &dyn Fn(&str)) -> io::Result<String> {
    let (mut text, mut line) = (String::new(), Vec::new());
    let mut buffer = [0; 4096];
    loop {
        let length = reader.read(&mut buffer)?;
        for byte in buffer.iter().take(length) {
            match byte {
                b'\n' | b'\r' => {
                    let read = String::from_utf8_lossy(&line);
                    on_line(&read);
                    if *byte == b'\n' {
                        text.push_str(&read);
                        text.push('\n');
                    }
                    line.clear();
                }
                _ => line.push(*byte),
            }
        }
        if length == 0 {
            text.push_str(&String::from_utf8_lossy(&line));
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_is_seen_and_not_kept() {
        let seen = Mutex::new(Vec::new());
        let mut command = Command::new("sh");
        command.args(["-c", r"printf '1/2\r2/2\rdone\n'; echo failed >&2; exit 3"]);
        let (status, text) = run(&mut command, &|line| seen.lock().unwrap().push(line.to_owned())).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(text, "done\nfailed\n");
        assert_eq!(*seen.lock().unwrap(), ["1/2", "2/2", "done", "failed"]);
    }
}
