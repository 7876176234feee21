//! Commands in what is only shown on the screen.
//!
//! A transcript's reader can be blinded: an unknown prompt, an alternate screen, a forged escape. So output is looked
//! through as well, for lines that look like a command at a prompt (`user@host:~$ cat /etc/shadow`) or in a shell's
//! trace (`+ cat /etc/shadow`). Text that only mentions a command is not one: a line without a prompt before the
//! command is never judged.
//!
//! How it is fast: a search for [`TELLING`] strings, at the speed of memory, picks the lines; only those are read as
//! commands. How it stays quiet: what is found here counts at [`Level::Low`](sigma::Level::Low) at most, unless the
//! transcript's coverage says that the reader may have been blinded; then one level below the rule's own.
//!
//! Known limits, each with a test:
//! - a command without one of the strings is not seen in output;
//! - after [`LINE_LIMIT`] picked lines the rest is counted, not read;
//! - of a line, the first [`LINE_BYTES`] bytes are read, and what stands around each of the strings further on.

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, MatchKind};

/// How many picked lines of one session are read as commands.
pub const LINE_LIMIT: u64 = 20_000;

/// How much of a picked line is read.
pub const LINE_BYTES: usize = 4 * 1024;

/// How much is read before and behind what was found further on in a line.
const PART_BYTES: usize = 1024;

/// No string of [`TELLING`] is longer.
const LONGEST: usize = 32;

/// How far into a line its prompt may reach.
const PROMPT_BYTES: usize = 1024;

/// Strings of which one stands in most dangerous command lines, and in few others.
pub const TELLING: [&str; 48] = [
    "/etc/shadow",
    "/etc/sudoers",
    "/etc/passwd",
    "/dev/tcp/",
    "/dev/udp/",
    ".ssh/",
    "authorized_keys",
    "169.254.169.254",
    ".aws/credentials",
    "ld.so.preload",
    "base64 -d",
    "base64 --d",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "bash -i",
    "sh -i",
    "nc -",
    "ncat ",
    "socat ",
    "mkfifo ",
    "HISTFILE",
    "HISTSIZE",
    "history -c",
    "chmod u+s",
    "chmod +s",
    "chmod 4",
    "setenforce 0",
    "iptables -F",
    "auditctl",
    "amazon-ssm-agent",
    "crontab",
    "insmod ",
    "NOPASSWD",
    "xmrig",
    "stratum+",
    "rm -rf /",
    "dd if=",
    "mkfs",
    "shred ",
    "wipefs",
    "xxd -r",
    "python -c",
    "python3 -c",
    "perl -e",
    "useradd ",
    "EncodedCommand",
];

/// A line that may hold a dangerous command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picked<'t> {
    line: &'t [u8],
    /// Of a long line, what stands around the string that was found far from its start.
    part: Option<&'t [u8]>,
}

/// Picks lines out of output.
#[derive(Debug)]
pub(crate) struct Picker {
    search: Search,
}

#[derive(Debug)]
enum Search {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
    /// Nothing can be searched: every line is picked.
    All,
}

impl Default for Picker {
    fn default() -> Self {
        let packed = packed::Config::new().builder().extend(TELLING).build();
        let search = match packed {
            Some(searcher) => Search::Packed(searcher),
            // Without vector instructions.
            None => match AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(TELLING) {
                Ok(automaton) => Search::Automaton(automaton),
                Err(_) => Search::All,
            },
        };
        Self { search }
    }
}

impl Picker {
    /// Calls `see` with each line that may hold a dangerous command, and its number within the text. A long line comes
    /// once for each part of it that may.
    pub(crate) fn pick<'t>(&self, text: &'t [u8], see: &mut dyn FnMut(Picked<'t>, u64)) {
        let mut at = 0_usize;
        let mut counted = 0_usize;
        let mut line_number = 0_u64;
        while let Some(found) = self.next(text, at) {
            let before = text.get(..found).unwrap_or_default();
            let start = memchr::memrchr(b'\n', before).map_or(0, |end| end.saturating_add(1));
            let rest = text.get(found..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map_or(text.len(), |end| found.saturating_add(end));
            let skipped = text.get(counted..start).unwrap_or_default();
            line_number = line_number.saturating_add(
                u64::try_from(memchr::memchr_iter(b'\n', skipped).count()).unwrap_or(u64::MAX),
            );
            counted = start;
            let line = text.get(start..end).unwrap_or_default();
            let near = start.saturating_add(LINE_BYTES);
            let is_near = found < near.saturating_sub(LONGEST);
            let part_end = if is_near { near } else { found.saturating_add(PART_BYTES) }.min(end);
            let part = (!is_near).then(|| {
                let before = text.get(found.saturating_sub(PART_BYTES).max(start)..found).unwrap_or_default();
                let separator =
                    before.iter().rposition(|byte| matches!(byte, b';' | b'|' | b'&' | b'`' | b'('));
                let length =
                    separator.map_or(before.len(), |at| before.len().saturating_sub(at.saturating_add(1)));
                text.get(found.saturating_sub(length)..part_end).unwrap_or_default()
            });
            see(Picked { line, part }, line_number);
            // What is cut at the end of a part is found again.
            let is_whole = part_end == end;
            at = if is_whole {
                end.saturating_add(1)
            } else {
                part_end.saturating_sub(LONGEST).max(found.saturating_add(1))
            };
            if at >= text.len() {
                return;
            }
        }
    }

    fn next(&self, text: &[u8], at: usize) -> Option<usize> {
        match &self.search {
            Search::Packed(searcher) => {
                let span = aho_corasick::Span { start: at, end: text.len() };
                searcher.find_in(text, span).map(|found| found.start())
            }
            Search::Automaton(automaton) => {
                let rest = text.get(at..)?;
                automaton.find(rest).map(|found| at.saturating_add(found.start()))
            }
            Search::All => (at < text.len()).then_some(at),
        }
    }
}

/// The command in a line that looks like a prompt with a command after it, or like a shell's trace; of a long line the
/// part of it that was picked.
pub(crate) fn command_of(picked: Picked<'_>) -> Option<String> {
    let command = command_in(picked.line)?;
    Some(picked.part.map_or(command, |part| String::from_utf8_lossy(part).trim().to_owned()))
}

fn command_in(line: &[u8]) -> Option<String> {
    let line = line.get(..line.len().min(LINE_BYTES)).unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let traced = text.trim_start_matches('+');
    if let Some(command) = traced.strip_prefix(' ').filter(|_| traced.len() < text.len()) {
        return Some(command.trim_start().to_owned());
    }
    let mut end = text.len().min(PROMPT_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let head = text.get(..end).unwrap_or_default();
    let place = ["$ ", "# ", "% ", "> "].into_iter().filter_map(|mark| head.find(mark)).min()?;
    let (prompt, rest) = text.split_at_checked(place)?;
    // A prompt is short and is no sentence: `run this as root: # cat …` is documentation.
    let is_prompt = prompt.split_whitespace().count() <= 3
        && !prompt.ends_with(char::is_whitespace)
        && !prompt.contains(['\'', '`']);
    let rest = rest.get(2..)?.trim_start();
    (is_prompt && !rest.is_empty()).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_at_a_prompt_or_in_a_trace_is_taken() {
        for (line, expected) in [
            ("alice@web:~$ cat /etc/shadow", Some("cat /etc/shadow")),
            ("[root@db ~]# cat /etc/shadow", Some("cat /etc/shadow")),
            ("sh-4.2$ cat /etc/shadow\r", Some("cat /etc/shadow")),
            ("$ cat /etc/shadow", Some("cat /etc/shadow")),
            ("host% cat /etc/shadow", Some("cat /etc/shadow")),
            ("PS C:\\> type secrets", Some("type secrets")),
            ("+ cat /etc/shadow", Some("cat /etc/shadow")),
            ("++ cat /etc/shadow", Some("cat /etc/shadow")),
            ("cat /etc/shadow", None),
            ("never run cat /etc/shadow as it is", None),
            ("then, as the administrator, type: $ cat /etc/shadow", None),
            ("$", None),
            ("", None),
        ] {
            assert_eq!(command_in(line.as_bytes()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn lines_are_picked_with_their_numbers() {
        let text = b"one\n$ cat /etc/shadow\nthree\n\n# history -c; cat /etc/shadow\nlast /dev/tcp/";
        let mut picked = Vec::new();
        Picker::default().pick(text, &mut |line, number| {
            picked.push((String::from_utf8_lossy(line.line).into_owned(), number));
        });
        let expected =
            [("$ cat /etc/shadow", 1), ("# history -c; cat /etc/shadow", 4), ("last /dev/tcp/", 5)];
        assert_eq!(picked, expected.map(|(line, number)| (line.to_owned(), number)));
    }

    #[test]
    fn of_a_long_line_what_stands_around_each_string_is_read() {
        let far = "a".repeat(3 * LINE_BYTES);
        for (line, expected) in [
            (
                format!("$ cat {} /etc/shadow", "a".repeat(100)),
                vec![format!("cat {} /etc/shadow", "a".repeat(100))],
            ),
            (format!("$ : {far};cat /etc/shadow"), vec!["cat /etc/shadow".to_owned()]),
            // What is found at the start does not hide what comes later.
            (
                format!("$ : /etc/shadow;{far};history -c;{far};cat /etc/sudoers"),
                vec![
                    format!(": /etc/shadow;{}", "a".repeat(LINE_BYTES - 16)),
                    format!("history -c;{}", "a".repeat(PART_BYTES - 11)),
                    "cat /etc/sudoers".to_owned(),
                ],
            ),
            (format!("{far};cat /etc/shadow"), Vec::new()),
        ] {
            let mut found = Vec::new();
            Picker::default().pick(line.as_bytes(), &mut |picked, _| found.extend(command_of(picked)));
            assert_eq!(found, expected, "{}", line.len());
        }
    }

    #[test]
    fn no_string_is_longer_than_is_read_again() {
        assert!(TELLING.iter().all(|text| text.len() < LONGEST));
    }
}
