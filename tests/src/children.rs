//! Processes that do a part of the work: run to their end, or ended with this one.

use std::collections::BTreeSet;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

/// Whether somebody calls [`end_all`] when this process is asked to end.
static MANAGED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// From now on each child leads a process group of its own: a signal of the terminal does not reach it, and
/// [`end_all`] does.
pub fn manage() {
    MANAGED.store(true, Ordering::Relaxed);
}

/// Whether [`manage`] was called.
pub(crate) fn are_managed() -> bool {
    MANAGED.load(Ordering::Relaxed)
}

/// Ends every child that [`run`] waits for, with what it started in turn.
pub fn end_all() {
    let running = RUNNING.lock().map(|running| running.clone()).unwrap_or_default();
    for group in running.into_iter().filter_map(Pid::from_raw) {
        // One that is over already needs no end.
        let _ = kill_process_group(group, Signal::TERM);
    }
}

/// Runs a command to its end. `on_line` sees each line that it prints while it runs; a line that ends in a carriage
/// return is a progress bar, and is left out of the text that is returned.
pub fn run(command: &mut Command, on_line: &dyn Fn(&str)) -> io::Result<(ExitStatus, String)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    if are_managed() {
        command.process_group(0);
    }
    let child = command.spawn();
    // The command holds the pipe's other end, and as long as it does the pipe does not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child?;
    let group = i32::try_from(child.id()).ok().filter(|_| are_managed());
    let note = |change: &dyn Fn(&mut BTreeSet<i32>, i32)| {
        if let (Some(group), Ok(mut running)) = (group, RUNNING.lock()) {
            change(&mut running, group);
        }
    };
    note(&|running, group| {
        running.insert(group);
    });
    let text = read(reader, on_line);
    let status = child.wait();
    note(&|running, group| {
        running.remove(&group);
    });
    Ok((status?, text?))
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
