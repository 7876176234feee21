//! How fast transcripts are read, and in how much memory.

use std::fs;
use std::time::Instant;

use transcript::{Piece, Reader};

/// Bytes of each log.
const SIZE: usize = 128 << 20;
const RUNS: usize = 3;

/// Prints megabytes a second for kinds of logs, and the peak of this process's memory.
pub(crate) fn report() -> Result<(), String> {
    let header = "Script started on 2026-11-23 12:40:40+00:00\n";
    let marked = "\x1b[?2004h[ec2-user@ip-10-0-0-1 ~]$ cat app.log\r\r\n\x1b[?2004l\r";
    let plain = "2026-11-23T12:40:40Z INFO request handled path=/api/v1/items status=200 bytes=5120\r\r\n"
        .repeat(2000);
    let colour = "\x1b[0m\x1b[01;34mreleases\x1b[0m  \x1b[01;32mdeploy.sh\x1b[0m  notes.txt  app.log\r\r\n"
        .repeat(2000);
    let typed = "\x1b[?2004h[ec2-user@ip-10-0-0-1 ~]$ sudo syst\x08\x1b[K\x08\x1b[Kystemctl status app\r\r\n\x1b[?2004l\rapp is running\r\r\n";
    for (name, text) in [
        ("output, marked prompts", format!("{marked}{plain}")),
        ("output, no marks", format!("sh-4.2$ cat app.log\r\r\n{plain}")),
        ("coloured output", format!("{marked}{colour}")),
        ("typing, marked prompts", typed.repeat(500)),
        (
            "typing, no marks",
            "sh-4.2$ sudo syst\x08 \x08\x08 \x08ystemctl status app\r\r\napp is running\r\r\n".repeat(500),
        ),
    ] {
        let mut best = f64::MAX;
        let mut commands = 0;
        let mut shown = 0;
        let mut size = 0;
        for _ in 0..RUNS {
            (commands, shown, size) = (0, 0, 0);
            let mut see = |piece: Piece<'_>| match piece {
                Piece::Command(_) => commands += 1,
                Piece::Output(output) => shown += output.text.len(),
            };
            let begin = Instant::now();
            let mut reader = Reader::new();
            reader.push(header.as_bytes(), &mut see);
            while size < SIZE {
                reader.push(text.as_bytes(), &mut see);
                size += text.len();
            }
            reader.finish(&mut see);
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!(
            "{name:24} {:>6.0} MB/s  {commands} commands, {} MB of output",
            size as f64 / best / 1e6,
            shown / 1_000_000
        );
    }
    let status =
        fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("peak memory {}, the texts of the logs included", peak.unwrap_or(" unknown").trim());
    Ok(())
}
