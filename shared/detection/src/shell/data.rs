//! Which arguments are only data: text that a command prints, searches for or looks up, but does not act on.

use super::{SimpleCommand, Work, base_name};

/// Filters that only pass text on to the next stage or the screen.
const QUIET: [&str; 40] = [
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "zgrep",
    "ag",
    "ack",
    "less",
    "more",
    "most",
    "wc",
    "sort",
    "head",
    "tail",
    "cat",
    "cut",
    "tr",
    "sed",
    "awk",
    "gawk",
    "rev",
    "base64",
    "base32",
    "jq",
    "yq",
    "column",
    "fold",
    "nl",
    "tac",
    "uniq",
    "xxd",
    "od",
    "hexdump",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "fmt",
    "pr",
    "bc",
    "expand",
];

/// Shells: what flows into them is read as a script of its own.
pub(super) const SHELLS: [&str; 12] =
    ["sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash", "ksh93", "fish", "csh", "tcsh"];

/// Endings of files that people write notes to, not programs or configuration.
const NOTES: [&str; 8] = [".md", ".txt", ".log", ".rst", ".adoc", ".html", ".csv", ".out"];

/// Parts of terminal codes that hide what follows: the other screen, letters that are not shown.
const SCREENS: [&str; 4] = ["[?1049h", "[?1047h", "[?47h", "[8m"];

/// What a search for secrets looks for: then the pattern is the point, not data.
const SECRETS: [&str; 12] = [
    "pass",
    "secret",
    "token",
    "key",
    "credential",
    "akia",
    "private",
    "pwd",
    "suid",
    "nopasswd",
    "wallet",
    "login",
];

impl Work {
    /// Marks the arguments of a stage that are only data. `later` are the stages that read its output.
    pub(super) fn mark_data(&mut self, index: usize, later: &[usize]) {
        let Some(command) = self.command(index) else { return };
        let name = command.name();
        let marked = match name {
            "echo" | "printf" | "print" if self.is_only_shown(command, later) => {
                (1..command.argv.len()).collect()
            }
            _ => data_arguments(name, &command.argv),
        };
        if marked.is_empty() {
            return;
        }
        self.hide(index, &marked);
    }

    /// Shows what a group prints after all, if its output is written or acted on.
    pub(super) fn show_data(&mut self, group: std::ops::Range<usize>, later: &[usize]) {
        if later.is_empty() || self.is_passed_on(later) {
            return;
        }
        for command in self.reading.commands.get_mut(group).unwrap_or_default() {
            if matches!(command.name(), "echo" | "printf" | "print") {
                command.shown.clear();
            }
        }
    }

    /// Hides arguments of a command, and of the carriers that hold the same words.
    fn hide(&mut self, index: usize, marked: &[usize]) {
        let mut at = Some((index, marked.to_vec()));
        while let Some((index, marked)) = at.take() {
            let Some(command) = self.reading.commands.get_mut(index) else { return };
            let length = command.argv.len();
            for position in &marked {
                command.show(*position, None);
            }
            let (parent, is_carried, script) = (command.parent, command.joint.is_none(), command.script);
            if let Some(script) = self.reading.scripts.get_mut(script) {
                script.has_data = true;
            }
            let Some(parent) = parent.filter(|_| is_carried) else { return };
            // A carrier's arguments hold the command that it carries.
            let argv = self.command(index).map(|command| command.argv.clone()).unwrap_or_default();
            if let Some(outer) = self.command(parent)
                && let Some(offset) = outer.argv.windows(length.max(1)).rposition(|words| words == argv)
            {
                at = Some((parent, marked.iter().map(|position| position.saturating_add(offset)).collect()));
            }
        }
    }

    /// Whether what a command prints ends on the screen or in notes. What a shell reads is a script, and not only data.
    fn is_only_shown(&self, command: &SimpleCommand, later: &[usize]) -> bool {
        let moves_screen = command.argv.iter().any(|text| SCREENS.iter().any(|code| text.contains(code)));
        !writes(command) && !moves_screen && self.is_passed_on(later)
    }

    /// Whether the stages only pass text on, to the screen or to notes.
    fn is_passed_on(&self, later: &[usize]) -> bool {
        later.iter().filter_map(|index| self.command(*index)).all(|reader| {
            let name = reader.name();
            QUIET.contains(&name) && !writes(reader)
        })
    }
}

fn writes(command: &SimpleCommand) -> bool {
    command.written().any(|target| !is_note(target))
}

/// Arguments that are data whatever becomes of the output.
fn data_arguments(name: &str, argv: &[String]) -> Vec<usize> {
    match name {
        // A pager or browser that `man` is told to use is run.
        "man" => {
            let words = argv.iter().enumerate().skip(1);
            words.filter(|(_, word)| !word.starts_with('-')).map(|(position, _)| position).collect()
        }
        // Its pictures are Perl programs.
        "cowsay" if argv.iter().any(|word| word == "-f") => Vec::new(),
        // `wall FILE` shows a file to everyone.
        "wall" if argv.iter().any(|word| word.starts_with('/')) => Vec::new(),
        "apropos" | "whatis" | "tldr" | "info" | "help" | "which" | "whereis" | "type" | "figlet"
        | "cowsay" | "banner" | "wall" | "notify-send" | ":" | "true" | "false" | "alias" | "hash"
        | "print" | "expr" | "logger" | "howdoi" | "cheat" | "test" | "[" | "[[" => (1..argv.len()).collect(),
        "grep" | "egrep" | "fgrep" | "rg" | "zgrep" | "ag" | "ack" | "zegrep" | "pgrep" | "ngrep" => {
            pattern_arguments(argv)
        }
        "git" => message_arguments(argv),
        "command" if argv.get(1).is_some_and(|flag| matches!(flag.as_str(), "-v" | "-V")) => {
            (2..argv.len()).collect()
        }
        // Only the question is data: `while read name` is half of a loop.
        "read" => {
            let asks = |flags: &String| flags.starts_with('-') && flags.ends_with('p');
            let questions = argv.iter().enumerate().filter(|(_, word)| asks(word));
            questions
                .map(|(position, _)| position.saturating_add(1))
                .filter(|position| *position < argv.len())
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The patterns among grep's arguments, unless the search is for secrets.
fn pattern_arguments(argv: &[String]) -> Vec<usize> {
    let mut marked = Vec::new();
    let mut explicit = false;
    let mut plain = None;
    let mut skip = false;
    for (position, argument) in argv.iter().enumerate().skip(1) {
        if std::mem::take(&mut skip) {
            continue;
        }
        match argument.as_str() {
            "-e" | "--regexp" => {
                explicit = true;
                marked.push(position.saturating_add(1));
                skip = true;
            }
            "-f" | "--file" => {
                explicit = true;
                skip = true;
            }
            "-A" | "-B" | "-C" | "-m" | "-d" | "-D" | "--include" | "--exclude" | "--exclude-dir" => {
                skip = true
            }
            flag if flag.starts_with('-') && flag.len() > 1 => {}
            _ if plain.is_none() => plain = Some(position),
            _ => {}
        }
    }
    if !explicit {
        marked.extend(plain);
    }
    marked.retain(|position| argv.get(*position).is_some_and(|pattern| !is_secret_search(pattern)));
    marked
}

pub(super) fn is_secret_search(pattern: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    !pattern.contains('/') && SECRETS.iter().any(|word| pattern.contains(word))
}

/// The messages among git's arguments.
fn message_arguments(argv: &[String]) -> Vec<usize> {
    let after_flag = argv.iter().enumerate().filter(|(_, argument)| {
        matches!(argument.as_str(), "-m" | "-am" | "--message" | "--grep" | "-S" | "-G")
    });
    let mut marked: Vec<usize> = after_flag.map(|(position, _)| position.saturating_add(1)).collect();
    marked.retain(|position| *position < argv.len());
    marked
}

/// Whether a file is one that people write notes to.
fn is_note(target: &str) -> bool {
    let name = base_name(target).to_ascii_lowercase();
    target.starts_with("/dev/std")
        || target.starts_with("/dev/tty")
        || (NOTES.iter().any(|ending| name.ends_with(ending)) && !target.starts_with("/etc/"))
}
