//! Bursts of discovery: many different ways of looking around, close together.
//!
//! One `id` or `netstat` is everyday work and says nothing. Someone who has just arrived on a machine that they do not
//! know asks about its users, its system, its network and its processes one after the other; that is what counts here:
//! the different questions among the last [`WINDOW`] command lines.

use std::collections::VecDeque;

use crate::shell::SimpleCommand;

/// How many command lines back questions still count.
pub const WINDOW: usize = 25;

/// How many different questions make a burst.
pub const BURST: usize = 10;

/// About how many of the subjects they must be.
pub const SUBJECTS: usize = 4;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Users,
    System,
    Network,
    Processes,
    Software,
}

/// The questions of the last command lines.
#[derive(Debug, Default, Clone)]
pub(crate) struct Discovery {
    /// For each of the last lines, the questions it asked.
    lines: VecDeque<Vec<u8>>,
}

/// Names, the first argument that must be there if any, and the subject.
const QUESTIONS: [(&str, &str, Subject); 60] = [
    ("whoami", "", Subject::Users),
    ("id", "", Subject::Users),
    ("who", "", Subject::Users),
    ("w", "", Subject::Users),
    ("users", "", Subject::Users),
    ("last", "", Subject::Users),
    ("lastlog", "", Subject::Users),
    ("groups", "", Subject::Users),
    ("getent", "passwd", Subject::Users),
    ("getent", "group", Subject::Users),
    ("cat", "/etc/passwd", Subject::Users),
    ("cat", "/etc/group", Subject::Users),
    ("cat", "/etc/sudoers", Subject::Users),
    ("sudo", "-l", Subject::Users),
    ("quser", "", Subject::Users),
    ("net", "user", Subject::Users),
    ("net", "localgroup", Subject::Users),
    ("uname", "", Subject::System),
    ("hostname", "", Subject::System),
    ("hostnamectl", "", Subject::System),
    ("lsb_release", "", Subject::System),
    ("cat", "/etc/os-release", Subject::System),
    ("cat", "/etc/issue", Subject::System),
    ("cat", "/proc/version", Subject::System),
    ("cat", "/proc/cpuinfo", Subject::System),
    ("lscpu", "", Subject::System),
    ("dmidecode", "", Subject::System),
    ("env", "", Subject::System),
    ("printenv", "", Subject::System),
    ("lsblk", "", Subject::System),
    ("mount", "", Subject::System),
    ("df", "", Subject::System),
    ("lsmod", "", Subject::System),
    ("systeminfo", "", Subject::System),
    ("ifconfig", "", Subject::Network),
    ("ip", "a", Subject::Network),
    ("ip", "r", Subject::Network),
    ("ip", "n", Subject::Network),
    ("netstat", "", Subject::Network),
    ("ss", "", Subject::Network),
    ("arp", "", Subject::Network),
    ("route", "", Subject::Network),
    ("cat", "/etc/hosts", Subject::Network),
    ("cat", "/etc/resolv.conf", Subject::Network),
    ("iptables", "-L", Subject::Network),
    ("ipconfig", "", Subject::Network),
    ("nltest", "", Subject::Network),
    ("net", "view", Subject::Network),
    ("ps", "", Subject::Processes),
    ("pstree", "", Subject::Processes),
    ("top", "", Subject::Processes),
    ("systemctl", "list-units", Subject::Processes),
    ("crontab", "-l", Subject::Processes),
    ("cat", "/etc/crontab", Subject::Processes),
    ("tasklist", "", Subject::Processes),
    ("schtasks", "/query", Subject::Processes),
    ("dpkg", "-l", Subject::Software),
    ("rpm", "-qa", Subject::Software),
    ("find", "-perm", Subject::Software),
    ("getcap", "", Subject::Software),
];

impl Discovery {
    /// Takes the commands of one line; `true` when they complete a burst.
    pub(crate) fn line(&mut self, commands: &[SimpleCommand]) -> bool {
        let mut asked: Vec<u8> = commands.iter().filter_map(question).collect();
        asked.sort_unstable();
        asked.dedup();
        let is_new = !asked.is_empty();
        self.lines.push_back(asked);
        if self.lines.len() > WINDOW {
            self.lines.pop_front();
        }
        is_new && self.is_burst()
    }

    fn is_burst(&self) -> bool {
        let mut all: Vec<u8> = self.lines.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let mut subjects: Vec<Subject> = Vec::new();
        for (_, _, subject) in all.iter().filter_map(|number| QUESTIONS.get(usize::from(*number))) {
            if !subjects.contains(subject) {
                subjects.push(*subject);
            }
        }
        all.len() >= BURST && subjects.len() >= SUBJECTS
    }

    /// What is kept in a checkpoint.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        self.lines.iter().cloned().collect()
    }

    /// Goes on from a checkpoint.
    pub(crate) fn from_lines(lines: Vec<Vec<u8>>) -> Self {
        Self { lines: lines.into_iter().take(WINDOW).collect() }
    }
}

/// Which question a command asks.
fn question(command: &SimpleCommand) -> Option<u8> {
    let name = command.name().to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let arguments = command.argv.get(1..).unwrap_or_default();
    let found = QUESTIONS.iter().position(|(known, argument, _)| {
        *known == name
            && (argument.is_empty()
                || arguments.iter().any(|given| {
                    given.eq_ignore_ascii_case(argument) || (name == "ip" && given.starts_with(argument))
                }))
    })?;
    // `env` with arguments runs something, `mount` with arguments mounts, `hostname` with arguments names.
    if matches!(name, "env" | "mount" | "hostname")
        && arguments.iter().any(|argument| !argument.starts_with('-'))
    {
        return None;
    }
    u8::try_from(found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{self, Dialect};

    fn bursts(lines: &[&str]) -> bool {
        let mut discovery = Discovery::default();
        lines.iter().any(|line| discovery.line(&shell::read(line, Dialect::Posix).commands))
    }

    #[test]
    fn many_different_questions_close_together_are_a_burst() {
        let tour = [
            "whoami",
            "id",
            "uname -a",
            "cat /etc/passwd",
            "hostname",
            "ip addr",
            "ss -tlnp",
            "ps aux",
            "sudo -l",
            "cat /etc/hosts",
        ];
        assert!(bursts(&tour));
        assert!(bursts(&[&tour.join("; ")]), "on one line");
        let mut spread = Vec::new();
        for line in tour {
            spread.push(line);
            spread.extend(["vim app.conf", "systemctl restart app", "make"]);
        }
        assert!(!bursts(&spread), "far apart");
        assert!(!bursts(&["ps aux"; 30]), "the same question");
        assert!(
            !bursts(&[
                "df -h",
                "lsblk",
                "mount",
                "uname -r",
                "lscpu",
                "env",
                "hostname",
                "lsmod",
                "dmidecode",
                "printenv"
            ]),
            "one subject"
        );
    }
}
