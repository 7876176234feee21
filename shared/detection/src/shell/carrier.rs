//! Commands that carry other commands, and text that flows into shells.

use super::posix::Stage;
use super::{DEPTH_LIMIT, Dialect, Origin, SimpleCommand, Work, code, data, expand, filter, windows};

/// How a carrier's own arguments are told from the command that it carries.
struct Prefix {
    name: &'static str,
    /// Short options that take a value.
    short: &'static str,
    /// Long options that take their value as the next word.
    long: &'static [&'static str],
    /// Arguments before the command that are not options.
    skip: usize,
    /// What stands after them.
    carries: Carries,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// A command with its arguments.
    Command,
    /// Words that a shell reads as one script.
    Script,
}

const fn prefix(name: &'static str, short: &'static str, long: &'static [&'static str]) -> Prefix {
    Prefix { name, short, long, skip: 0, carries: Carries::Command }
}

const fn after(skip: usize, prefix: Prefix) -> Prefix {
    Prefix { skip, ..prefix }
}

const fn script(prefix: Prefix) -> Prefix {
    Prefix { carries: Carries::Script, ..prefix }
}

/// Sorted by name, which a test checks.
const PREFIXES: [Prefix; 58] = [
    prefix("aa-exec", "pn", &[]),
    prefix("builtin", "", &[]),
    prefix("busybox", "", &[]),
    prefix("catchsegv", "", &[]),
    prefix("cgexec", "g", &[]),
    prefix("chpst", "ubenopmfc", &[]),
    after(1, prefix("chroot", "", &["--userspec", "--groups"])),
    after(1, prefix("chrt", "TPD", &[])),
    prefix("command", "", &[]),
    prefix("dbus-run-session", "", &["--config-file"]),
    prefix("doas", "uCa", &[]),
    prefix("env", "uCP", &["--unset", "--chdir"]),
    prefix("exec", "a", &[]),
    prefix("fakeroot", "lsib", &["--lib", "--faked"]),
    after(1, prefix("faketime", "f", &[])),
    prefix("firejail", "", &[]),
    after(1, prefix("flock", "wE", &["--timeout", "--wait", "--conflict-exit-code"])),
    prefix("gosu", "", &[]),
    prefix("ionice", "cnpPu", &["--class", "--classdata"]),
    prefix("linux32", "", &[]),
    prefix("linux64", "", &[]),
    prefix("ltrace", "aeplnosuxAFL", &[]),
    prefix("nice", "n", &["--adjustment"]),
    prefix("nohup", "", &[]),
    prefix("nsenter", "tSGr", &["--target", "--setuid", "--setgid"]),
    prefix("numactl", "CmNpi", &["--cpunodebind", "--membind"]),
    prefix("parallel", "jIaSNnLdP", &["--jobs", "--colsep", "--delay"]),
    prefix("perf", "eopt", &[]),
    prefix("pkexec", "", &["--user"]),
    prefix("prlimit", "p", &[]),
    prefix("proot", "rbqkw", &[]),
    prefix("proxychains", "f", &[]),
    prefix("proxychains4", "f", &[]),
    prefix("rlwrap", "abcCDfgHlMpPqSsw", &[]),
    after(1, script(prefix("rsh", "lp", &[]))),
    after(1, prefix("runcon", "trul", &["--type", "--role", "--user", "--range"])),
    prefix("screen", "ScepsTth", &[]),
    after(1, prefix("setarch", "", &[])),
    prefix(
        "setpriv",
        "",
        &["--reuid", "--regid", "--groups", "--inh-caps", "--ambient-caps", "--bounding-set"],
    ),
    prefix("setsid", "", &[]),
    prefix("softlimit", "abcdflmoprst", &[]),
    after(1, script(prefix("ssh", "bcDEeFIiJLlmOopPQRSWwB", &[]))),
    prefix("sshpass", "pfdP", &[]),
    prefix("stdbuf", "ioe", &["--input", "--output", "--error"]),
    prefix("strace", "abeEoOpPsSuUXI", &[]),
    prefix(
        "sudo",
        "ugpCchrtTRDU",
        &["--user", "--group", "--prompt", "--host", "--chdir", "--chroot", "--role", "--type"],
    ),
    prefix(
        "systemd-run",
        "tpuMHE",
        &[
            "--unit",
            "--property",
            "--description",
            "--slice",
            "--uid",
            "--gid",
            "--on-active",
            "--on-calendar",
            "--on-boot",
            "--setenv",
            "--working-directory",
        ],
    ),
    after(1, prefix("taskset", "", &[])),
    prefix("time", "fo", &["--format", "--output"]),
    after(1, prefix("timeout", "ks", &["--kill-after", "--signal"])),
    prefix("torify", "", &[]),
    prefix("torsocks", "", &[]),
    prefix("toybox", "", &[]),
    prefix("unbuffer", "", &[]),
    prefix("unshare", "", &["--map-user", "--map-group", "--root", "--wd"]),
    prefix("valgrind", "", &[]),
    script(prefix("watch", "nq", &["--interval", "--equexit"])),
    prefix(
        "xargs",
        "aEdLnPs",
        &["--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-lines", "--replace"],
    ),
];

/// What a carrier yields.
pub(super) enum Inner {
    Command { argv: Vec<String>, via: String },
    Script { text: String, dialect: Dialect, via: String },
}

impl Work {
    /// Works out a pipeline: marks data, opens carriers, and returns what it is known to print.
    pub(super) fn flow(&mut self, stages: Vec<Stage>, depth: usize) -> Option<Vec<u8>> {
        let commands: Vec<usize> = stages
            .iter()
            .filter_map(|stage| match stage {
                Stage::Command(index) => Some(*index),
                Stage::Lost | Stage::Group { .. } => None,
            })
            .collect();
        let mut later = commands.as_slice();
        let mut flowing: Option<Vec<u8>> = None;
        for stage in stages {
            let index = match stage {
                Stage::Command(index) => index,
                Stage::Lost => {
                    flowing = None;
                    continue;
                }
                Stage::Group { commands, output } => {
                    self.show_data(commands, later);
                    flowing = Some(output);
                    continue;
                }
            };
            later = later.get(1..).unwrap_or_default();
            self.mark_data(index, later);
            let input = self.redirected_input(index).or(flowing.take());
            let printed = self.run(index, input.as_deref(), depth, later);
            let target = self.command(index).and_then(SimpleCommand::written_first);
            flowing = match (printed, target) {
                (Some(text), Some((target, appended))) => {
                    self.remember(&target, text, appended);
                    None
                }
                (printed, None) => printed,
                (None, Some(_)) => None,
            };
        }
        flowing
    }

    /// What a here-string, a here-document or a known file feeds into a command.
    fn redirected_input(&self, index: usize) -> Option<Vec<u8>> {
        let command = self.command(index)?;
        let redirect = command.redirects.iter().rfind(|redirect| redirect.operator.contains('<'))?;
        match redirect.operator.trim_start_matches(|letter: char| letter.is_ascii_digit()) {
            "<<<" | "<<" | "<<-" if !redirect.target.is_empty() => Some(redirect.target.clone().into_bytes()),
            "<" => self.content(&redirect.target).cloned(),
            _ => None,
        }
    }

    /// Opens a command if it carries another, and returns what it is known to print. `later` are the stages that read
    /// its output.
    fn run(&mut self, index: usize, input: Option<&[u8]>, depth: usize, later: &[usize]) -> Option<Vec<u8>> {
        let command = self.command(index)?;
        let inner = carried(self, command, input);
        if inner.is_empty() {
            let command = self.command(index)?;
            return filter::printed(self, &command.argv, input);
        }
        if depth >= DEPTH_LIMIT {
            self.reading.cut = true;
            return None;
        }
        let mut printed = None;
        for inner in inner {
            let Some(outer) = self.command(index) else { break };
            let mut via = outer.via.clone();
            let directory = outer.directory.clone();
            let (script, redirects) = (outer.script, outer.redirects.clone());
            printed = match inner {
                Inner::Command { argv, via: name } => {
                    via.push(name);
                    let command = SimpleCommand {
                        argv,
                        redirects,
                        via,
                        parent: Some(index),
                        script,
                        directory,
                        dialect: outer.dialect,
                        ..SimpleCommand::default()
                    };
                    let kept = self.keep(command)?;
                    self.mark_data(kept, later);
                    self.run(kept, input, depth.saturating_add(1), later)
                }
                Inner::Script { text, dialect, via: name } => {
                    via.push(name);
                    let script = self.reading.scripts.len();
                    let first = self.reading.commands.len();
                    let origin = Origin { via, parent: Some(index), directory };
                    let printed = self.script(&text, dialect, origin);
                    self.hide_script(index, &text, script, first);
                    printed
                }
            };
        }
        printed
    }

    /// Shows a carrier's script without the data in it.
    fn hide_script(&mut self, carrier: usize, text: &str, script: usize, first: usize) {
        if !self.reading.scripts.get(script).is_some_and(|script| script.has_data) {
            return;
        }
        let inner = self.reading.commands.get(first..).unwrap_or_default();
        let lines: Vec<String> = inner
            .iter()
            .filter(|command| command.script == script && command.joint.is_some())
            .map(SimpleCommand::command_line)
            .collect();
        let lines = lines.join("; ");
        let mut at = Some(carrier);
        while let Some(index) = at.take() {
            let Some(command) = self.reading.commands.get_mut(index) else { return };
            let position = command.argv.iter().position(|argument| argument == text);
            let Some(position) = position else { return };
            command.show(position, Some(lines.clone()));
            let outer_script = command.script;
            at = command.parent.filter(|_| command.joint.is_none());
            if let Some(script) = self.reading.scripts.get_mut(outer_script) {
                script.has_data = true;
            }
        }
    }

    /// Opens the commands that a program's text passes to a shell.
    pub(super) fn code(&mut self, text: &str, origin: &Origin) {
        let script = self.reading.scripts.len().saturating_sub(1);
        for call in code::calls(text) {
            match call {
                code::Call::Script(text) => {
                    self.script(
                        &text,
                        Dialect::Posix,
                        Origin { via: with(&origin.via, "system"), ..origin.clone() },
                    );
                }
                code::Call::Argv(argv) => {
                    let command = SimpleCommand {
                        argv,
                        via: with(&origin.via, "exec"),
                        parent: origin.parent,
                        script,
                        directory: origin.directory.clone(),
                        ..SimpleCommand::default()
                    };
                    if let Some(kept) = self.keep(command) {
                        self.mark_data(kept, &[]);
                        self.run(kept, None, origin.via.len().saturating_add(1), &[]);
                    }
                }
                code::Call::Decoded(text) => {
                    self.script(
                        &text,
                        Dialect::Code,
                        Origin { via: with(&origin.via, "base64"), ..origin.clone() },
                    );
                }
            }
        }
    }
}

fn with(via: &[String], name: &str) -> Vec<String> {
    let mut via = via.to_vec();
    via.push(name.to_owned());
    via
}

/// What a command carries.
fn carried(work: &Work, command: &SimpleCommand, input: Option<&[u8]>) -> Vec<Inner> {
    let argv = &command.argv;
    if argv.is_empty() {
        return command
            .assignments
            .iter()
            .filter_map(|assignment| assignment.strip_prefix("PROMPT_COMMAND="))
            .map(|text| posix_script(text.to_owned(), "PROMPT_COMMAND"))
            .collect();
    }
    // A name is an alias once: `alias ls='ls -l'` does not go round.
    if let Some(text) = work.alias(&argv.first().map(|name| expand::alias(name)).unwrap_or_default())
        && !command.via.iter().any(|via| *via == format!("alias {}", command.name()))
    {
        let words = std::iter::once(text).chain(argv.iter().skip(1).map(String::as_str));
        return one_script(words.collect::<Vec<_>>().join(" "), &format!("alias {}", command.name()));
    }
    let lower = command.name().to_ascii_lowercase();
    let name = lower.strip_suffix(".exe").unwrap_or(&lower);
    let arguments = argv.get(1..).unwrap_or_default();
    if data::SHELLS.contains(&name) {
        return shell(work, name, arguments, input);
    }
    if let Some(content) = argv.first().filter(|path| path.contains('/')).and_then(|path| work.content(path))
    {
        return written_program(content);
    }
    let mut inner = match name {
        "eval" => one_script(arguments.join(" "), "eval"),
        "su" | "runuser" => option_script(arguments, &["-c", "--command", "--session-command"], name)
            .or_else(|| input_script(input, "su"))
            .into_iter()
            .collect(),
        "script" | "flock" | "capsh" | "unshare"
            if option_value(arguments, &["-c", "--command"]).is_some() =>
        {
            option_script(arguments, &["-c", "--command"], name).into_iter().collect()
        }
        "man" => option_script(arguments, &["-P", "--pager", "-H", "--html"], name)
            .or_else(|| {
                let attached = arguments.iter().find_map(|word| word.strip_prefix("-H"))?;
                (!attached.is_empty()).then(|| posix_script(attached.to_owned(), name))
            })
            .into_iter()
            .collect(),
        "trap" => arguments.first().map(|text| posix_script(text.clone(), "trap")).into_iter().collect(),
        "source" | "." => {
            let content = arguments.first().and_then(|file| work.content(file));
            input_script(content.map(Vec::as_slice), "source").into_iter().collect()
        }
        "at" | "batch" => input_script(input, name).into_iter().collect(),
        "crontab" => crontab(work, arguments, input),
        "find" => find(arguments),
        "ftp" | "sftp" | "lftp" | "tftp" | "ncftp" => transfer(work, name, arguments, input),
        "sqlite3" | "sqlite" | "psql" | "mysql" | "mariadb" => database(name, arguments, input),
        "env" if option_value(arguments, &["-S", "--split-string"]).is_some() => {
            option_script(arguments, &["-S", "--split-string"], name).into_iter().collect()
        }
        "docker" | "podman" | "nerdctl" | "lxc" | "incus" | "crictl" => container(name, arguments),
        "kubectl" | "oc" | "k3s" | "microk8s" => kubernetes(name, arguments),
        "tmux" => tmux(arguments),
        "vagrant" | "gcloud" => option_script(arguments, &["-c", "--command"], name).into_iter().collect(),
        "aws" => option_script(arguments, &["--command"], "ecs execute-command").into_iter().collect(),
        "powershell" | "pwsh" => windows::powershell(arguments, name),
        "cmd" => windows::cmd(arguments),
        "awk" | "gawk" | "mawk" | "nawk" => {
            program(arguments.iter().find(|text| text.contains(['{', '('])), name)
        }
        _ => Vec::new(),
    };
    let language = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if inner.is_empty()
        && matches!(
            language,
            "python"
                | "perl"
                | "ruby"
                | "php"
                | "node"
                | "nodejs"
                | "lua"
                | "irb"
                | "pypy"
                | "gdb"
                | "tclsh"
                | "expect"
                | "R"
                | "rscript"
                | "r"
                | "julia"
                | "octave"
                | "guile"
                | "groovy"
                | "jshell"
                | "jrunscript"
        )
    {
        inner = interpreter(work, arguments, input, language);
    }
    if inner.is_empty() && (name.starts_with("ld-linux") || name.ends_with(".so.2")) {
        inner = one_command(arguments.to_vec(), "ld.so");
    }
    if inner.is_empty()
        && let Ok(found) = PREFIXES.binary_search_by(|prefix| prefix.name.cmp(name))
        && let Some(prefix) = PREFIXES.get(found)
    {
        inner = prefixed(prefix, arguments, input);
    }
    inner
}

fn posix_script(text: String, via: &str) -> Inner {
    Inner::Script { text, dialect: Dialect::Posix, via: via.to_owned() }
}

fn one_script(text: String, via: &str) -> Vec<Inner> {
    if text.trim().is_empty() { Vec::new() } else { vec![posix_script(text, via)] }
}

fn one_command(argv: Vec<String>, via: &str) -> Vec<Inner> {
    if argv.is_empty() { Vec::new() } else { vec![Inner::Command { argv, via: via.to_owned() }] }
}

fn input_script(input: Option<&[u8]>, via: &str) -> Option<Inner> {
    let text = String::from_utf8_lossy(input?).into_owned();
    (!text.trim().is_empty()).then(|| posix_script(text, via))
}

/// A file that was written before and is now run: by the interpreter that its first line names, or by a shell.
fn written_program(content: &[u8]) -> Vec<Inner> {
    let text = String::from_utf8_lossy(content).into_owned();
    let first = text.lines().next().filter(|line| line.starts_with("#!")).unwrap_or_default();
    let is_code = ["python", "perl", "ruby", "php", "node", "lua", "awk", "expect", "tclsh"];
    if is_code.into_iter().any(|language| first.contains(language)) {
        return program(Some(&text), "file");
    }
    one_script(text, "file")
}

/// The value of the first of some options, given as the next word or after `=`.
fn option_value<'a>(arguments: &'a [String], options: &[&str]) -> Option<&'a String> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let is_bundle = |option: &&str| {
            // `-qc` holds `-c`.
            let (Some(letter), false) = (option.strip_prefix('-'), option.starts_with("--")) else {
                return false;
            };
            argument.len() <= 6
                && argument.starts_with('-')
                && !argument.starts_with("--")
                && argument.ends_with(letter)
                && argument.bytes().skip(1).all(|byte| byte.is_ascii_alphabetic())
        };
        if options.contains(&argument.as_str()) || options.iter().any(is_bundle) {
            return arguments.next();
        }
    }
    None
}

fn option_script(arguments: &[String], options: &[&str], via: &str) -> Option<Inner> {
    let value = option_value(arguments, options).cloned().or_else(|| {
        arguments.iter().find_map(|argument| {
            let (option, value) = argument.split_once('=')?;
            (option.starts_with("--") && options.contains(&option)).then(|| value.to_owned())
        })
    })?;
    (!value.trim().is_empty()).then(|| posix_script(value, via))
}

/// `sh -c script`, `sh file` with a known file, `sh` reading its input.
fn shell(work: &Work, name: &str, arguments: &[String], input: Option<&[u8]>) -> Vec<Inner> {
    let mut reads_input = true;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument.starts_with("--") && argument.len() > 2 {
            if matches!(argument.as_str(), "--rcfile" | "--init-file") {
                rest.next();
            }
            continue;
        }
        let Some(flags) = argument.strip_prefix(['-', '+']) else {
            if let Some(content) = work.content(argument) {
                return input_script(Some(content), &format!("{name} file")).into_iter().collect();
            }
            reads_input = matches!(argument.as_str(), "-" | "/dev/stdin" | "/dev/fd/0");
            break;
        };
        if flags.contains('c') {
            let text = rest.find(|argument| !argument.starts_with('-'));
            return text.map(|text| one_script(text.clone(), &format!("{name} -c"))).unwrap_or_default();
        }
        if matches!(flags, "o" | "O") {
            rest.next();
        }
        if flags.contains('s') {
            break;
        }
    }
    if reads_input { input_script(input, &format!("| {name}")).into_iter().collect() } else { Vec::new() }
}

/// Skips a carrier's options and own arguments.
fn prefixed(prefix: &Prefix, arguments: &[String], input: Option<&[u8]>) -> Vec<Inner> {
    let mut skip = prefix.skip;
    let mut at = 0_usize;
    let mut replace: Option<String> = None;
    let mut user_shell = false;
    while let Some(argument) = arguments.get(at) {
        let takes_next = if argument == "--" {
            at = at.saturating_add(1);
            if skip == 0 {
                break;
            }
            continue;
        } else if let Some(long) = argument.strip_prefix("--") {
            !long.contains('=') && prefix.long.contains(&argument.as_str())
        } else if argument.starts_with('-') && argument.len() > 1 {
            let flags = argument.get(1..).unwrap_or_default();
            if matches!(prefix.name, "command") && flags.eq_ignore_ascii_case("v") {
                return Vec::new();
            }
            if prefix.name == "xargs" && flags.starts_with(['I', 'i']) {
                let token = flags.get(1..).filter(|token| !token.is_empty()).map(str::to_owned);
                let next = arguments.get(at.saturating_add(1)).filter(|_| flags == "I").cloned();
                let takes_next = next.is_some() && token.is_none();
                replace = token.or(next).or_else(|| Some("{}".to_owned()));
                at = at.saturating_add(if takes_next { 2 } else { 1 });
                continue;
            }
            if prefix.name == "sudo" && (flags.contains('i') || flags.contains('s')) {
                user_shell = true;
            }
            // The last letter of a bundle may take a value; a letter before it takes the rest.
            let value_at = flags.char_indices().find(|(_, flag)| prefix.short.contains(*flag));
            value_at.is_some_and(|(position, flag)| position.saturating_add(flag.len_utf8()) == flags.len())
        } else {
            let is_assignment = matches!(prefix.name, "sudo" | "env" | "doas")
                && argument.split_once('=').is_some_and(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                });
            if !is_assignment {
                if skip == 0 {
                    break;
                }
                skip = skip.saturating_sub(1);
            }
            false
        };
        at = at.saturating_add(if takes_next { 2 } else { 1 });
    }
    let mut rest = arguments.get(at..).unwrap_or_default().to_vec();
    if prefix.carries == Carries::Script || (prefix.name == "parallel" && rest.len() == 1) {
        return match (rest.is_empty(), prefix.name) {
            (true, "ssh") => input_script(input, "ssh").into_iter().collect(),
            (true, _) => Vec::new(),
            _ => one_script(rest.join(" "), prefix.name),
        };
    }
    if rest.is_empty() {
        // `echo … | sudo -s`: a shell that reads its input.
        return if user_shell { input_script(input, "sudo -s").into_iter().collect() } else { Vec::new() };
    }
    if matches!(prefix.name, "xargs" | "parallel") {
        let separator = rest.iter().position(|word| word == ":::");
        let words: Vec<String> = match separator {
            Some(position) => rest.split_off(position).into_iter().skip(1).collect(),
            None => {
                let text = String::from_utf8_lossy(input.unwrap_or_default()).into_owned();
                match replace {
                    Some(_) => text.lines().take(8).map(str::to_owned).collect(),
                    None => text.split_whitespace().take(256).map(str::to_owned).collect(),
                }
            }
        };
        match (replace, words.first()) {
            (Some(token), Some(value)) if !token.is_empty() => {
                for word in &mut rest {
                    *word = word.replace(&token, value);
                }
            }
            (None, Some(_)) => rest.extend(words),
            _ => {}
        }
    }
    one_command(rest, prefix.name)
}

fn find(arguments: &[String]) -> Vec<Inner> {
    let mut inner = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if matches!(argument.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir") && inner.len() < 8 {
            let argv: Vec<String> =
                rest.by_ref().take_while(|word| !matches!(word.as_str(), ";" | "+")).cloned().collect();
            inner.extend(one_command(argv, "find -exec"));
        }
    }
    if let Some(path) = filter::found(arguments).filter(|_| !inner.is_empty()) {
        for inner in &mut inner {
            if let Inner::Command { argv, .. } = inner {
                argv.iter_mut().filter(|word| *word == "{}").for_each(|word| path.clone_into(word));
            }
        }
    }
    inner
}

/// The commands of a file-transfer client: what it reads, what it was given, and what a batch file is known to hold.
/// They are read as a shell's, whose words they look like: `put FILE`, `!command`.
fn transfer(work: &Work, name: &str, arguments: &[String], input: Option<&[u8]>) -> Vec<Inner> {
    if name == "lftp"
        && let Some(text) = option_value(arguments, &["-c", "-e"])
    {
        return one_script(text.trim_start_matches('!').to_owned(), name);
    }
    let batch = option_value(arguments, &["-b"]).and_then(|file| work.content(file)).map(Vec::as_slice);
    input_script(batch.or(input), name).into_iter().collect()
}

/// The commands that a database client passes to a shell.
fn database(name: &str, arguments: &[String], input: Option<&[u8]>) -> Vec<Inner> {
    let given = match name {
        "psql" => option_value(arguments, &["-c", "--command"]),
        "mysql" | "mariadb" => option_value(arguments, &["-e", "--execute"]),
        _ => arguments.iter().find(|argument| code::has_escape(argument)),
    };
    let text = given.cloned().or_else(|| input.map(|text| String::from_utf8_lossy(text).into_owned()));
    program(text.filter(|text| code::has_escape(text)).as_ref(), name)
}

/// `docker exec CONTAINER command`, `docker run IMAGE command` and their like.
fn container(name: &str, arguments: &[String]) -> Vec<Inner> {
    const LONG: [&str; 30] = [
        "--add-host",
        "--cap-add",
        "--cap-drop",
        "--cgroupns",
        "--cpus",
        "--detach-keys",
        "--device",
        "--entrypoint",
        "--env",
        "--env-file",
        "--gpus",
        "--hostname",
        "--ipc",
        "--label",
        "--link",
        "--memory",
        "--mount",
        "--name",
        "--net",
        "--network",
        "--pid",
        "--platform",
        "--publish",
        "--restart",
        "--runtime",
        "--security-opt",
        "--user",
        "--userns",
        "--volume",
        "--workdir",
    ];
    let verb_at = arguments.iter().position(|word| matches!(word.as_str(), "exec" | "run" | "create"));
    let Some(verb_at) = verb_at else { return Vec::new() };
    let verb = arguments.get(verb_at).map_or("", String::as_str);
    let mut at = verb_at.saturating_add(1);
    while let Some(argument) = arguments.get(at).filter(|word| word.starts_with('-')) {
        let takes_next = LONG.contains(&argument.as_str())
            || (!argument.starts_with("--")
                && argument.ends_with(['v', 'e', 'p', 'w', 'u', 'h', 'l', 'm', 'a', 'c'])
                && argument.len() <= 4
                && argument.bytes().skip(1).rev().skip(1).all(|flag| matches!(flag, b'i' | b't' | b'd')));
        at = at.saturating_add(if takes_next { 2 } else { 1 });
    }
    let rest = arguments.get(at.saturating_add(1)..).unwrap_or_default();
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    one_command(rest.to_vec(), &format!("{name} {verb}"))
}

fn kubernetes(name: &str, arguments: &[String]) -> Vec<Inner> {
    let verb = arguments.iter().find(|word| matches!(word.as_str(), "exec" | "run" | "debug" | "ctr"));
    let (Some(verb), Some(at)) = (verb, arguments.iter().position(|word| word == "--")) else {
        return Vec::new();
    };
    let rest = arguments.get(at.saturating_add(1)..).unwrap_or_default();
    one_command(rest.to_vec(), &format!("{name} {verb}"))
}

fn tmux(arguments: &[String]) -> Vec<Inner> {
    let starts = arguments.iter().position(|word| {
        matches!(
            word.as_str(),
            "new"
                | "new-session"
                | "neww"
                | "new-window"
                | "split-window"
                | "send-keys"
                | "send"
                | "run-shell"
                | "run"
        )
    });
    let Some(at) = starts else { return Vec::new() };
    let sends = arguments.get(at).is_some_and(|verb| verb.starts_with("send"));
    let rest = arguments.get(at.saturating_add(1)..).unwrap_or_default();
    let mut skip = false;
    let words = rest.iter().filter(|word| {
        if std::mem::take(&mut skip) {
            return false;
        }
        skip = matches!(word.as_str(), "-s" | "-n" | "-t" | "-c" | "-x" | "-y" | "-F" | "-e");
        let is_key = sends && matches!(word.as_str(), "Enter" | "C-m" | "ENTER");
        !word.starts_with('-') && !is_key
    });
    one_script(words.cloned().collect::<Vec<_>>().join(" "), "tmux")
}

/// The commands of a crontab that is read from the input: its lines without their times.
fn crontab(work: &Work, arguments: &[String], input: Option<&[u8]>) -> Vec<Inner> {
    let content = match arguments.iter().find(|word| !word.starts_with('-') || word.as_str() == "-") {
        Some(file) if file == "-" => input,
        Some(file) => work.content(file).map(Vec::as_slice),
        None => input,
    };
    let text = String::from_utf8_lossy(content.unwrap_or_default()).into_owned();
    let commands = text.lines().take(64).filter_map(|line| {
        let line = line.trim();
        let times = if line.starts_with('@') { 1 } else { 5 };
        let is_entry = line.starts_with(|first: char| first == '@' || first == '*' || first.is_ascii_digit());
        let mut rest = line;
        for _ in 0..times {
            rest = rest.split_once(char::is_whitespace)?.1.trim_start();
        }
        is_entry.then(|| rest.to_owned())
    });
    commands.flat_map(|command| one_script(command, "crontab")).collect()
}

/// `python -c code` and its like.
fn interpreter(work: &Work, arguments: &[String], input: Option<&[u8]>, via: &str) -> Vec<Inner> {
    let option = [
        "-c",
        "-e",
        "-E",
        "-r",
        "-ne",
        "-pe",
        "-le",
        "-lne",
        "-ex",
        "--eval",
        "--execute",
        "-Ic",
        "-BEc",
        "-Mre",
    ];
    let given = arguments.iter().position(|word| {
        option.contains(&word.as_str()) || (via == "perl" && word.starts_with('-') && word.ends_with('e'))
    });
    if let Some(position) = given {
        return program(arguments.get(position.saturating_add(1)), via);
    }
    let file = arguments.iter().find(|word| !word.starts_with('-') || word.as_str() == "-");
    let text = match file.map(String::as_str) {
        None | Some("-") => input,
        Some(file) => work.content(file).map(Vec::as_slice),
    };
    text.map(|text| program(Some(&String::from_utf8_lossy(text).into_owned()), via)).unwrap_or_default()
}

fn program(text: Option<&String>, via: &str) -> Vec<Inner> {
    let text = text.filter(|text| code::is_worth_reading(text) || code::has_escape(text));
    text.map(|text| Inner::Script { text: text.clone(), dialect: Dialect::Code, via: via.to_owned() })
        .into_iter()
        .collect()
}

impl Work {
    /// Opens a Windows command once its words are known.
    pub(super) fn open(&mut self, index: usize, depth: usize) {
        self.run(index, None, depth, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_sorted_for_the_search() {
        assert!(PREFIXES.is_sorted_by_key(|prefix| prefix.name));
    }
}
