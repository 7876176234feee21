//! As much shell syntax as is needed to know that a command goes on below, and what it may start.

use serde::{Deserialize, Serialize};

/// What is open at the end of the lines read so far: whether a shell would ask for another line.
///
/// Quotes, `\` at the end, heredocs, open brackets, `|`, `&&` and `||` at the end, and loops, conditions and groups
/// without their end.
///
/// Known limit, with a test: a `case` pattern inside `$( )` is taken for its end
/// (`a_case_inside_a_substitution_is_not_understood`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Syntax {
    /// What is open, innermost last.
    open: Vec<Open>,
    /// Heredocs that were announced and have not ended.
    heredocs: Vec<Heredoc>,
    /// Whether the last line ended so that the next belongs to it.
    goes_on: bool,
}

/// Things open beyond this are not counted: no one types that.
const OPEN_LIMIT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Open {
    Single,
    Double,
    Backtick,
    Parenthesis,
    Brace,
    If,
    Loop,
    Case,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heredoc {
    end: String,
    tabs: bool,
}

/// What a command line may put in front of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Starts {
    /// Nothing that reads commands.
    Nothing,
    /// Another prompt of this shell: a directory, an environment or the prompt itself changed.
    Prompt,
    /// A shell, here or elsewhere.
    Shell,
    /// A language or a database that reads lines.
    Repl,
    /// The end of this shell: the one that started it goes on.
    End,
}

/// What a command line may start, by its last simple command.
pub(crate) fn starts(text: &str) -> Starts {
    let mut found = Starts::Nothing;
    for part in text.split(['\n', ';', '|', '(', ')']).flat_map(|part| part.split("&&")) {
        let part = starts_simple(part);
        if part != Starts::Nothing {
            found = part;
        }
    }
    found
}

/// Whether a command line turns the echo of what is typed off.
pub(crate) fn turns_echo_off(text: &str) -> bool {
    text.split(['\n', ';', '|', '&']).any(|part| {
        let mut words = part.split_whitespace();
        match words.next() {
            Some("stty") => words.any(|word| word == "-echo" || word == "raw"),
            _ => false,
        }
    })
}

/// What a command line does to the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prompting {
    /// Nothing that hides it.
    Kept,
    /// It is this text from now on.
    Is(String),
    /// Nothing tells it any more: it is empty, has no usual sign, or goes elsewhere.
    Hidden,
}

/// What a command line does to the prompt, by its last part that does something.
pub(crate) fn prompting(text: &str) -> Prompting {
    let assigned = text.rfind("PS1=").filter(|at| {
        text.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\n', ';', '&', '|']))
    });
    if let Some(value) = assigned.and_then(|at| text.get(at + 4..)) {
        return of_value(&first_word(value));
    }
    let parts: Vec<&str> = text.split(['\n', ';', '|', '&']).map(str::trim).collect();
    let sent = text.split(['\n', ';', '|']).any(|part| {
        let Some((command, target)) = part.split_once("2>") else { return false };
        let mut words = command.split_whitespace();
        let is_shell = starts_simple(command) == Starts::Shell && !command.contains("ssh");
        let is_own = words.next() == Some("exec") && words.next().is_none();
        (is_shell || is_own) && !target.starts_with("&1")
    });
    // `cat | sh` hands on what is typed.
    let fed = matches!(parts.as_slice(), [first, .., last]
        if text.contains('|') && matches!(*first, "cat" | "tee") && starts_simple(last) == Starts::Shell);
    if sent || fed { Prompting::Hidden } else { Prompting::Kept }
}

/// The value of an assignment, without its quotes.
fn first_word(text: &str) -> String {
    let mut quote = None;
    let mut word = String::new();
    for character in text.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ' ' | ';' | '&' | '|' | '\n') => break,
            _ => word.push(character),
        }
    }
    word
}

fn of_value(value: &str) -> Prompting {
    let is_variable = value.contains(['\\', '$', '`', '%']);
    if !is_variable && value.chars().count() > 1 && !value.trim().is_empty() {
        return Prompting::Is(value.to_owned());
    }
    let ends = |sign: char| {
        value.char_indices().filter(|(_, found)| *found == sign).any(|(at, _)| {
            let next = value.get(at + sign.len_utf8()..).and_then(|rest| rest.chars().next());
            next.is_none_or(|next| matches!(next, ' ' | '\\' | '%'))
        })
    };
    // One that refers to another, such as `(env) $PS1`, has the sign of that.
    let has_sign =
        value.contains("PS1") || ['$', '#', '%', '>', '❯', '➜', 'λ', '»', ':'].into_iter().any(ends);
    if has_sign { Prompting::Kept } else { Prompting::Hidden }
}

/// Whether a command line runs something that prints what it is given, with or without an end of the row.
pub(crate) fn leaves_rows(text: &str) -> bool {
    const PROGRAMS: [&str; 14] = [
        "printf", "echo", "curl", "wget", "cat", "tr", "base64", "head", "tail", "jq", "openssl", "xxd",
        "cut", "aws",
    ];
    text.split([' ', '\n', ';', '|', '&', '(', ')', '`']).any(|word| PROGRAMS.contains(&base_name(word)))
}

/// Whether a line begins with the name of a program that is run in sessions every day, followed by nothing or by what
/// it takes.
pub(crate) fn is_known_command(line: &str) -> bool {
    const PROGRAMS: [&str; 98] = [
        "alias",
        "apt",
        "apt-get",
        "awk",
        "aws",
        "base64",
        "bash",
        "cat",
        "cd",
        "chmod",
        "chown",
        "clear",
        "cp",
        "crontab",
        "curl",
        "cut",
        "dash",
        "date",
        "df",
        "dig",
        "dmesg",
        "dnf",
        "docker",
        "du",
        "echo",
        "env",
        "exit",
        "export",
        "find",
        "free",
        "git",
        "grep",
        "groups",
        "gzip",
        "head",
        "history",
        "hostname",
        "id",
        "ifconfig",
        "ip",
        "iptables",
        "journalctl",
        "kill",
        "kubectl",
        "less",
        "ln",
        "ls",
        "lsblk",
        "lsof",
        "man",
        "mkdir",
        "mount",
        "mv",
        "mysql",
        "nano",
        "nc",
        "netstat",
        "nohup",
        "openssl",
        "passwd",
        "ping",
        "pip",
        "printf",
        "ps",
        "psql",
        "pwd",
        "python",
        "python3",
        "rm",
        "rpm",
        "rsync",
        "scp",
        "sed",
        "sh",
        "sleep",
        "sort",
        "source",
        "ss",
        "ssh",
        "stat",
        "su",
        "sudo",
        "systemctl",
        "tail",
        "tar",
        "tee",
        "top",
        "touch",
        "tr",
        "uname",
        "unset",
        "uptime",
        "vi",
        "vim",
        "wget",
        "whoami",
        "yum",
        "zsh",
    ];
    let Some(first) = line.split_whitespace().next() else { return false };
    let is_bare = line.trim_end().len() == first.len();
    // A program's messages begin with its name and a colon.
    !first.contains(':') && PROGRAMS.contains(&base_name(first)) && (is_bare || !line.contains(": "))
}

fn starts_simple(command: &str) -> Starts {
    let mut words = command.split_whitespace().peekable();
    let mut raised = false;
    // Leading words that only change how the rest is run.
    while let Some(word) = words.peek().copied() {
        let name = base_name(word);
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
        });
        if is_assignment && (word.starts_with("PS1=") || word.starts_with("PROMPT")) {
            return Starts::Prompt;
        }
        match name {
            "sudo" | "doas" => raised = true,
            "exec" | "time" | "nohup" | "env" | "command" | "builtin" | "nice" | "ionice" | "setsid"
            | "stdbuf" | "export" | "do" | "then" | "else" | "!" | "{" | "script" | "timeout" => {
                if name == "script" && words.clone().count() <= 3 {
                    return Starts::Shell;
                }
            }
            _ if is_assignment => {}
            // Options and their values after `sudo` and the like.
            "-i" | "-s" if raised && words.clone().nth(1).is_none() => return Starts::Shell,
            _ if word.starts_with('-') => {
                words.next();
                if matches!(word, "-u" | "-g" | "-C" | "-n" | "-h")
                    && words.clone().nth(1).is_some()
                    && raised
                    && word != "-n"
                {
                    words.next();
                }
                continue;
            }
            _ => break,
        }
        words.next();
    }
    let Some(first) = words.next() else { return Starts::Nothing };
    // What is sent elsewhere asks nobody here.
    if command.contains("/dev/tcp") || command.contains("/dev/udp") {
        return Starts::Nothing;
    }
    let rest: Vec<&str> = words.collect();
    let operands =
        || rest.iter().filter(|word| !word.starts_with('-') && !word.contains('>') && !word.contains('<'));
    let has = |option: &str| rest.contains(&option);
    match base_name(first) {
        "cd" | "pushd" | "popd" | "source" | "." | "conda" | "workon" | "deactivate" | "bind" | "set"
        | "setopt" | "unsetopt" | "prompt" | "nvm" | "aws-vault" | "kubectx" | "PS1" | "shopt" | "stty"
        | "reset" | "eval" | "hostname" | "hostnamectl" | "unset" => Starts::Prompt,
        "exit" | "logout" | "quit" => Starts::End,
        "bash" | "sh" | "zsh" | "dash" | "ash" | "ksh" | "mksh" | "fish" | "rbash" | "tcsh" | "csh" => {
            let given = has("-c") || operands().next().is_some();
            if given && !has("-i") { Starts::Nothing } else { Starts::Shell }
        }
        "su" => {
            if has("-c") {
                Starts::Nothing
            } else {
                Starts::Shell
            }
        }
        "newgrp" | "sg" | "chroot" | "nsenter" | "unshare" | "machinectl" | "toolbox" | "distrobox"
        | "telnet" | "nc" | "ncat" | "socat" | "screen" | "tmux" | "byobu" | "login" | "runuser"
        | "setpriv" | "firejail" | "pwsh" | "powershell" | "powershell.exe" | "cmd" | "cmd.exe" | "wsl"
        | "evil-winrm" | "vagrant" | "pkexec" | "proot" | "schroot" | "systemd-nspawn" | "lxc"
        | "lxc-attach" | "incus" | "virsh" | "gcloud" | "mosh" => Starts::Shell,
        "ssh" | "slogin" | "autossh" => {
            if operands().count() > 2 {
                Starts::Nothing
            } else {
                Starts::Shell
            }
        }
        "docker" | "podman" | "kubectl" | "oc" | "nerdctl" | "docker-compose" | "k" | "crictl" => {
            let inside = has("exec") || has("run") || has("attach") || has("debug") || has("rsh");
            if inside { Starts::Shell } else { Starts::Nothing }
        }
        "aws" => {
            if has("start-session") || has("execute-command") || has("ssh") {
                Starts::Shell
            } else {
                Starts::Nothing
            }
        }
        "ecs-cli" | "copilot" => Starts::Shell,
        "systemd-run" | "perl" | "find" | "vim" | "vi" | "awk" | "less" | "man" | "more" | "nmap" | "gdb"
        | "expect" | "ftp" | "sftp" | "lftp" | "smbclient" | "rlwrap" | "busybox" | "env" | "taskset"
        | "strace" | "xargs" => Starts::Repl,
        "mysql" | "mariadb" | "psql" | "sqlite3" | "redis-cli" | "valkey-cli" | "mongo" | "mongosh"
        | "cqlsh" | "sqlplus" | "sqlcmd" | "node" | "nodejs" | "irb" | "ipython" | "ipython3" | "php"
        | "lua" | "ghci" | "scala" | "jshell" | "R" | "julia" | "bc" | "dc" | "ruby" | "pry" | "iex"
        | "erl" | "spark-shell" | "pyspark" | "hive" | "beeline" | "trino" | "presto" | "influx"
        | "etcdctl" | "zkCli.sh" | "fdisk" | "parted" | "gdisk" | "nslookup" => {
            if has("-e") || has("-c") || has("-h") && rest.len() == 1 {
                Starts::Nothing
            } else {
                Starts::Repl
            }
        }
        name if name.starts_with("python") => {
            let given = has("-c") || has("-m") || operands().next().is_some();
            if given && !has("-i") {
                // `python3 -c 'import pty; pty.spawn("/bin/bash")'`
                if command.contains("pty") || command.contains("system") || command.contains("exec") {
                    Starts::Shell
                } else {
                    Starts::Nothing
                }
            } else {
                Starts::Repl
            }
        }
        _ => Starts::Nothing,
    }
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

impl Syntax {
    /// What is open after a text of some lines.
    pub(crate) fn of(text: &str) -> Self {
        let mut syntax = Self::default();
        text.split('\n').for_each(|line| syntax.read(line));
        syntax
    }

    /// Whether a shell would ask for another line.
    pub(crate) fn is_open(&self) -> bool {
        self.goes_on || !self.open.is_empty() || !self.heredocs.is_empty()
    }

    /// Reads the next line.
    pub(crate) fn read(&mut self, line: &str) {
        match self.heredocs.first() {
            Some(heredoc) => {
                let text = line.trim_end();
                let text = if heredoc.tabs { text.trim_start() } else { text };
                if text == heredoc.end {
                    self.heredocs.remove(0);
                }
            }
            None => self.command_line(line),
        }
        self.open.truncate(OPEN_LIMIT);
        self.heredocs.truncate(OPEN_LIMIT);
    }

    fn command_line(&mut self, line: &str) {
        self.goes_on = false;
        let mut word = String::new();
        // Whether the next word can be a command, and so a keyword.
        let mut at_command = true;
        let mut operator = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match (self.open.last().copied(), character) {
                (Some(Open::Single), '\'') | (Some(Open::Double), '"') => {
                    self.open.pop();
                    word.push('q');
                }
                (Some(Open::Single), _) => {}
                (_, '\\') => {
                    if characters.next().is_none() {
                        self.goes_on = true;
                    }
                    word.push('q');
                }
                (Some(Open::Double), '`') | (None | Some(_), '`') => {
                    self.toggle_backtick();
                    at_command = true;
                    word.clear();
                }
                (Some(Open::Double), '$') if characters.peek() == Some(&'(') => {
                    characters.next();
                    self.open.push(Open::Parenthesis);
                    at_command = true;
                }
                (Some(Open::Double), _) => {}
                (_, '\'') => self.open.push(Open::Single),
                (_, '"') => self.open.push(Open::Double),
                (_, '#') if word.is_empty() => {
                    // A comment hides the rest of the line.
                    break;
                }
                (_, '$') if characters.peek() == Some(&'{') => {
                    characters.next();
                    self.open.push(Open::Brace);
                    word.push('q');
                }
                (_, '<') if characters.peek() == Some(&'<') => {
                    characters.next();
                    if characters.peek() == Some(&'<') {
                        characters.next();
                    } else if self.open.last() != Some(&Open::Brace) {
                        self.announce(&mut characters);
                    }
                    word.clear();
                }
                (_, ' ' | '\t' | ';' | '|' | '&' | '(' | ')') => {
                    self.end_word(&word, &mut at_command);
                    word.clear();
                    match character {
                        '(' => {
                            self.open.push(Open::Parenthesis);
                            at_command = true;
                        }
                        ')' => {
                            if self.open.last() == Some(&Open::Parenthesis) {
                                self.open.pop();
                            }
                            at_command = true;
                        }
                        ';' | '|' | '&' => at_command = true,
                        _ => {}
                    }
                    match character {
                        ' ' | '\t' => {}
                        '|' => operator = true,
                        '&' => operator |= line.contains("&&"),
                        _ => operator = false,
                    }
                    continue;
                }
                (Some(Open::Brace), '}') if !word.is_empty() || !at_command => {
                    self.open.pop();
                    word.push('q');
                }
                (_, other) => word.push(other),
            }
            operator = false;
        }
        self.end_word(&word, &mut at_command);
        let trimmed = line.trim_end();
        if operator && (trimmed.ends_with('|') || trimmed.ends_with("&&")) {
            self.goes_on = true;
        }
    }

    fn toggle_backtick(&mut self) {
        match self.open.iter().rposition(|open| *open == Open::Backtick) {
            Some(at) => self.open.truncate(at),
            None => self.open.push(Open::Backtick),
        }
    }

    /// A word is over: opens and closes what keywords open and close.
    fn end_word(&mut self, word: &str, at_command: &mut bool) {
        if word.is_empty() {
            return;
        }
        let mut still_command = false;
        if *at_command {
            still_command = true;
            match word {
                "if" => self.open.push(Open::If),
                "for" | "while" | "until" | "select" => {
                    self.open.push(Open::Loop);
                    still_command = word == "while" || word == "until";
                }
                "case" => {
                    self.open.push(Open::Case);
                    still_command = false;
                }
                "{" => self.open.push(Open::Brace),
                "fi" => self.close(Open::If),
                "done" => self.close(Open::Loop),
                "esac" => self.close(Open::Case),
                "}" => self.close(Open::Brace),
                "then" | "do" | "else" | "elif" | "!" | "time" => {}
                _ => still_command = false,
            }
        }
        *at_command = still_command;
    }

    fn close(&mut self, what: Open) {
        if self.open.last() == Some(&what) {
            self.open.pop();
        }
    }

    /// Reads the word after `<<`.
    fn announce(&mut self, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        let tabs = characters.next_if_eq(&'-').is_some();
        while characters.next_if(|character| *character == ' ').is_some() {}
        let mut end = String::new();
        while let Some(character) = characters.next_if(|character| !" \t;|&<>()".contains(*character)) {
            if !matches!(character, '\'' | '"' | '\\') {
                end.push(character);
            }
        }
        if !end.is_empty() {
            self.heredocs.push(Heredoc { end, tabs });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Starts, Syntax, starts, turns_echo_off};

    #[test]
    fn a_shell_asks_for_more_when_something_is_open() {
        for (text, expected) in [
            ("echo one", false),
            ("echo 'one", true),
            ("echo \"one", true),
            ("echo 'one\ntwo'", false),
            ("echo \"$(date", true),
            ("echo \"$(date)\"", false),
            ("echo one \\", true),
            ("cat <<EOF", true),
            ("cat <<EOF\nhello", true),
            ("cat <<EOF\nhello\nEOF", false),
            ("cat <<-'E' | sh\n\tid\n\tE", false),
            ("cat <<< word", false),
            ("for i in 1 2; do", true),
            ("for i in 1 2; do\necho $i\ndone", false),
            ("while read f; do echo $f; done < list", false),
            ("if true", true),
            ("if true; then id; fi", false),
            ("case $x in", true),
            ("case $x in\na) id;;\nesac", false),
            ("f() {", true),
            ("f() {\nid\n}", false),
            ("find . -exec ls {} \\;", false),
            ("find . -exec ls {} +", false),
            ("echo done", false),
            ("echo if", false),
            ("ls |", true),
            ("true &&", true),
            ("sleep 5 &", false),
            ("echo ${HOME}", false),
            ("awk '{print $1}' file", false),
            ("# it's a comment", false),
            ("echo it\\'s", false),
            ("(cd /", true),
            ("echo `date`", false),
            ("mkdir {a,b}", false),
        ] {
            assert_eq!(Syntax::of(text).is_open(), expected, "{text}");
        }
    }

    #[test]
    fn a_case_inside_a_substitution_is_not_understood() {
        // bash knows that this is complete.
        assert!(!Syntax::of("echo $(case x in\nx) echo y;; esac)").is_open());
    }

    #[test]
    fn what_a_command_may_start() {
        for (text, expected) in [
            ("ls", Starts::Nothing),
            ("bash", Starts::Shell),
            ("bash script.sh", Starts::Nothing),
            ("sudo su -", Starts::Shell),
            ("sudo -i", Starts::Shell),
            ("sudo -u postgres psql", Starts::Repl),
            ("sudo -n true", Starts::Nothing),
            ("ssh host", Starts::Shell),
            ("ssh -i key host uptime", Starts::Nothing),
            ("docker exec -it web sh", Starts::Shell),
            ("docker ps", Starts::Nothing),
            ("python3", Starts::Repl),
            ("python3 -c 'print(1)'", Starts::Nothing),
            ("cd /tmp", Starts::Prompt),
            ("export PS1='> '", Starts::Prompt),
            ("exit", Starts::End),
        ] {
            assert_eq!(starts(text), expected, "{text}");
        }
    }

    #[test]
    fn turning_the_echo_off_is_seen() {
        for (text, expected) in [
            ("stty -echo", true),
            ("stty echo", false),
            ("id; stty -echo; id", true),
            ("echo stty -echo", false),
        ] {
            assert_eq!(turns_echo_off(text), expected, "{text}");
        }
    }
}
