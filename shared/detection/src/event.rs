//! Sigma events out of simple commands.
//!
//! | logsource of a rule | what it is given |
//! | --- | --- |
//! | linux, `process_creation` | each simple command: `Image`, `CommandLine`, and where known `ParentImage`, `ParentCommandLine`, `CurrentDirectory` |
//! | linux, `file_event` | each file a command writes: `TargetFilename`, `Image`, `CommandLine` |
//! | linux, no category and no service, or service `shell` | each script: `Line` (quotes, comments and data removed), and `Message` (as typed) unless some of it is only data |
//! | windows, `process_creation` | each statement: `Image`, `OriginalFileName`, `CommandLine` (as typed, and with escapes removed) |
//! | windows, `ps_script` | each PowerShell script: `ScriptBlockText` |
//!
//! A rule without a product is given both. Rules of other categories and services read logs that a transcript does not
//! stand for (auditd, sshd, network); they are loaded, named by [`crate::Loaded::unread`], and never match.
//!
//! `Image` is `argv[0]` if that is a path, otherwise `/usr/bin/NAME` or `C:\Windows\System32\NAME.exe`: which program a
//! name stands for on the machine is not in a transcript. Shell builtins (`history`, `unset`, `export`) get an event
//! too, although no process is created for them. `NAME=value command` gives two events, with and without the
//! assignment. Paths with `//`, `/./` or `/../` give one more with the plain path, of a command and of a script; so do a
//! command's relative paths after `cd`.

use std::borrow::Cow;

use crate::shell::{Dialect, Joint, Reading, Script, SimpleCommand, base_name};

/// Which rules an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    LinuxProcess,
    LinuxFile,
    LinuxShell,
    WindowsProcess,
    WindowsScript,
}

/// Takes an event: its log, its fields, the text that it stands for, and what that was unwrapped from.
pub(crate) type See<'s> = dyn FnMut(Log, &[(&str, &str)], &str, &[String]) + 's;

/// Commands whose arguments name the file that they write, last or all.
const LAST_IS_WRITTEN: [&str; 5] = ["cp", "mv", "ln", "install", "rsync"];
const ALL_ARE_WRITTEN: [&str; 9] = ["tee", "touch", "vi", "vim", "nano", "ed", "emacs", "visudo", "truncate"];

/// Calls `see` with every event of a text, and the command or script that it stands for.
pub(crate) fn each(reading: &Reading, see: &mut See<'_>) {
    for command in &reading.commands {
        if command.dialect.is_windows() {
            windows(reading, command, see);
        } else {
            linux(reading, command, see);
        }
    }
    for (number, script) in reading.scripts.iter().enumerate() {
        match script.dialect {
            Dialect::PowerShell if !script.has_data => {
                see(Log::WindowsScript, &[("ScriptBlockText", &script.text)], &script.text, &script.via);
                let line = format!("powershell.exe {}", script.text);
                let image = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
                let fields = [
                    ("Image", image),
                    ("OriginalFileName", "PowerShell.EXE"),
                    ("CommandLine", line.as_str()),
                ];
                see(Log::WindowsProcess, &fields, &script.text, &script.via);
            }
            Dialect::PowerShell | Dialect::Cmd => {}
            Dialect::Posix | Dialect::Code => shell(reading, number, script, see),
        }
    }
}

fn shell(reading: &Reading, number: usize, script: &Script, see: &mut See<'_>) {
    let line = line(reading, number, script);
    if script.has_data {
        see(Log::LinuxShell, &[("Line", &line)], &line, &script.via);
    } else if line == script.text {
        see(Log::LinuxShell, &[("Line", &line)], &script.text, &script.via);
    } else {
        see(Log::LinuxShell, &[("Line", &line), ("Message", &script.text)], &script.text, &script.via);
    }
    if let Some(plain) = plain_paths(&line) {
        see(Log::LinuxShell, &[("Line", &plain)], &plain, &script.via);
    }
}

/// A script written out again, without quotes, comments and data.
fn line(reading: &Reading, number: usize, script: &Script) -> String {
    if script.dialect == Dialect::Code {
        return script.text.clone();
    }
    let mut line = String::with_capacity(script.text.len());
    let own = reading.commands.iter().filter(|command| command.script == number);
    for (joint, command) in own.filter_map(|command| Some((command.joint?, command))) {
        if command.via.len() > script.via.len() {
            continue;
        }
        if !line.is_empty() {
            line.push_str(match joint {
                Joint::Sequence => "; ",
                Joint::Pipe => " | ",
                Joint::And => " && ",
                Joint::Or => " || ",
                Joint::Background => " & ",
            });
        }
        if let Some(head) = &command.loop_head {
            line.push_str(head);
            line.push_str("; ");
        }
        line.push_str(&command.line_with_assignments().unwrap_or_else(|| command.command_line()));
    }
    line
}

fn linux(reading: &Reading, command: &SimpleCommand, see: &mut See<'_>) {
    let line = command.command_line();
    let image = linux_image(command);
    let parent = command.parent.and_then(|parent| reading.commands.get(parent));
    let parent_image = parent.map(linux_image);
    let parent_line = parent.map(SimpleCommand::command_line);
    let mut process = |line: &str| {
        let mut fields = Vec::with_capacity(5);
        if !image.is_empty() {
            fields.push(("Image", image.as_str()));
        }
        fields.push(("CommandLine", line));
        if let (Some(image), Some(line)) = (&parent_image, &parent_line) {
            fields.extend([("ParentImage", image.as_str()), ("ParentCommandLine", line.as_str())]);
        }
        if let Some(directory) = &command.directory {
            fields.push(("CurrentDirectory", directory));
        }
        see(Log::LinuxProcess, &fields, line, &command.via);
    };
    if !line.is_empty() {
        process(&line);
    }
    if let Some(assigned) = command.line_with_assignments() {
        process(&assigned);
    }
    if let Some(plain) = plain_paths(&line) {
        process(&plain);
    }
    if let Some(resolved) = resolved(command) {
        process(&resolved);
    }
    for target in written(command) {
        let target = absolute(command, target);
        let fields = [("TargetFilename", target.as_ref()), ("Image", &image), ("CommandLine", &line)];
        see(Log::LinuxFile, &fields, &line, &command.via);
    }
}

fn windows(reading: &Reading, command: &SimpleCommand, see: &mut See<'_>) {
    let line = command.command_line();
    let (image, original) = windows_image(command);
    let parent = command.parent.and_then(|parent| reading.commands.get(parent));
    let parent_image = parent.map(|parent| windows_image(parent).0);
    let parent_line = parent.map(SimpleCommand::command_line);
    let typed = command.raw.as_deref().filter(|raw| *raw != line);
    for line in [Some(line.as_str()), typed].into_iter().flatten() {
        let mut fields =
            vec![("Image", image.as_str()), ("OriginalFileName", &original), ("CommandLine", line)];
        if let (Some(image), Some(line)) = (&parent_image, &parent_line) {
            fields.extend([("ParentImage", image.as_str()), ("ParentCommandLine", line.as_str())]);
        }
        see(Log::WindowsProcess, &fields, line, &command.via);
    }
}

fn linux_image(command: &SimpleCommand) -> String {
    match command.argv.first() {
        None => String::new(),
        Some(path) if path.contains('/') => plain_paths(path).unwrap_or_else(|| path.clone()),
        Some(name) => format!("/usr/bin/{name}"),
    }
}

/// The program, and the name that its version resource holds: for most programs of Windows that is its file name.
fn windows_image(command: &SimpleCommand) -> (String, String) {
    let Some(path) = command.argv.first() else { return (String::new(), String::new()) };
    let base = base_name(path);
    let file = if base.contains('.') { base.to_owned() } else { format!("{base}.exe") };
    let original = match file.to_ascii_lowercase().as_str() {
        "powershell.exe" => "PowerShell.EXE".to_owned(),
        "cmd.exe" => "Cmd.Exe".to_owned(),
        _ => file.clone(),
    };
    if path.contains('\\') || path.contains('/') {
        let folder = path.strip_suffix(base).unwrap_or_default();
        return (format!("{folder}{file}"), original);
    }
    let folder = match file.to_ascii_lowercase().as_str() {
        "powershell.exe" => r"C:\Windows\System32\WindowsPowerShell\v1.0\",
        "wmic.exe" => r"C:\Windows\System32\wbem\",
        _ => r"C:\Windows\System32\",
    };
    (format!("{folder}{file}"), original)
}

/// The same text with the paths that say nothing taken out: `//`, `/./`, `/x/../`.
fn plain_paths(text: &str) -> Option<String> {
    if !has_detour(text) {
        return None;
    }
    let words: Vec<Cow<'_, str>> = text.split(' ').map(plain_path).collect();
    let plain = words.join(" ");
    (plain != text).then_some(plain)
}

/// Whether `//`, `/./` or `/../` stands in a text: asked of every command, and nearly always denied.
fn has_detour(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'/', bytes).any(|at| {
        let after = bytes.get(at.saturating_add(1)..).unwrap_or_default();
        matches!(after, [b'/', ..] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..])
    })
}

fn plain_path(word: &str) -> Cow<'_, str> {
    if !has_detour(word) || word.contains("://") {
        return Cow::Borrowed(word);
    }
    let mut parts: Vec<&str> = Vec::new();
    for (position, part) in word.split('/').enumerate() {
        match part {
            "" if position > 0 => {}
            "." if position > 0 => {}
            // What stands before a leading `..` is not known.
            ".." if parts.len() > 1 && parts.last() != Some(&"..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut plain = parts.join("/");
    if word.ends_with('/') {
        plain.push('/');
    }
    Cow::Owned(plain)
}

/// The command line with relative paths made absolute after a `cd` in the same text or session.
fn resolved(command: &SimpleCommand) -> Option<String> {
    let directory = command.directory.as_deref()?;
    if command.has_data() || command.argv.len() < 2 || command.name() == "cd" {
        return None;
    }
    let mut line = command.argv.first()?.clone();
    for argument in command.argv.iter().skip(1) {
        line.push(' ');
        // Not an option, a number, a mode such as `u+x`, an address or a sentence.
        let is_name = argument.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.')
            && argument.contains(|letter: char| letter.is_ascii_alphabetic())
            && !argument.contains([':', '=', ' ', '+', '(']);
        if is_name {
            line.push_str(directory.trim_end_matches('/'));
            line.push('/');
        }
        line.push_str(argument);
    }
    Some(plain_paths(&line).unwrap_or(line))
}

fn absolute<'a>(command: &SimpleCommand, target: &'a str) -> Cow<'a, str> {
    match &command.directory {
        Some(directory) if !target.starts_with(['/', '~', '$']) => {
            Cow::Owned(format!("{}/{target}", directory.trim_end_matches('/')))
        }
        _ => plain_path(target),
    }
}

/// The files that a command writes.
fn written(command: &SimpleCommand) -> Vec<&str> {
    let mut targets: Vec<&str> = command.written().collect();
    let name = command.name();
    let arguments = command.argv.get(1..).unwrap_or_default();
    let mut plain = arguments.iter().filter(|argument| !argument.starts_with('-')).map(String::as_str);
    if ALL_ARE_WRITTEN.contains(&name) {
        targets.extend(plain);
    } else if LAST_IS_WRITTEN.contains(&name) {
        targets.extend(plain.next_back());
    } else if matches!(name, "curl" | "wget" | "dd" | "sed" | "gcc" | "cc" | "openssl") {
        let mut previous = "";
        for argument in arguments {
            if matches!(previous, "-o" | "-O" | "--output" | "--output-document" | "-out") && name != "sed" {
                targets.push(argument);
            } else if let Some(target) = argument.strip_prefix("of=").filter(|_| name == "dd") {
                targets.push(target);
            }
            previous = argument;
        }
        if name == "sed" && arguments.iter().any(|argument| argument.starts_with("-i")) {
            targets.extend(plain.next_back());
        }
    }
    targets.truncate(8);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    /// Every event of a text: its log, and its fields as `name=value`.
    fn events(text: &str, dialect: Dialect) -> Vec<(Log, Vec<String>)> {
        let mut found = Vec::new();
        each(&shell::read(text, dialect), &mut |log, fields, _, _| {
            found.push((log, fields.iter().map(|(name, value)| format!("{name}={value}")).collect()));
        });
        found
    }

    fn check(text: &str, dialect: Dialect, log: Log, expected: &[&str]) {
        let found = events(text, dialect);
        let is_expected = |(of, fields): &(Log, Vec<String>)| {
            *of == log && expected.iter().all(|field| fields.iter().any(|found| found == field))
        };
        assert!(found.iter().any(is_expected), "{text}: {expected:?} is not in {found:#?}");
    }

    #[test]
    fn each_simple_command_is_a_process() {
        for (text, expected) in [
            ("cat /etc/hosts", vec!["Image=/usr/bin/cat", "CommandLine=cat /etc/hosts"]),
            ("/opt/x/run a", vec!["Image=/opt/x/run", "CommandLine=/opt/x/run a"]),
            ("/usr//bin/./id", vec!["Image=/usr/bin/id"]),
            (
                "sudo id",
                vec![
                    "Image=/usr/bin/id",
                    "CommandLine=id",
                    "ParentImage=/usr/bin/sudo",
                    "ParentCommandLine=sudo id",
                ],
            ),
            (
                "bash -c 'id -u'",
                vec!["CommandLine=id -u", "ParentImage=/usr/bin/bash", "ParentCommandLine=bash -c id -u"],
            ),
            ("unset HISTFILE", vec!["Image=/usr/bin/unset", "CommandLine=unset HISTFILE"]),
            ("HISTFILE=/dev/null", vec!["CommandLine=HISTFILE=/dev/null"]),
            ("LD_PRELOAD=./x.so ls", vec!["Image=/usr/bin/ls", "CommandLine=LD_PRELOAD=./x.so ls"]),
            ("LD_PRELOAD=./x.so ls", vec!["Image=/usr/bin/ls", "CommandLine=ls"]),
            ("cat /etc/../etc//./shadow", vec!["CommandLine=cat /etc/shadow"]),
            ("curl http://a//b", vec!["CommandLine=curl http://a//b"]),
            ("cd /etc; cat shadow", vec!["CommandLine=cat /etc/shadow", "CurrentDirectory=/etc"]),
            ("cd /etc; cat ../root/x", vec!["CommandLine=cat /root/x"]),
            ("cd /etc && chmod u+x 755 a", vec!["CommandLine=chmod u+x 755 /etc/a"]),
            ("cat a > b 2>&1", vec!["CommandLine=cat a > b 2>&1"]),
        ] {
            check(text, Dialect::Posix, Log::LinuxProcess, &expected);
        }
    }

    #[test]
    fn each_file_that_is_written_is_an_event() {
        for (text, file) in [
            ("echo x >> ~/.ssh/authorized_keys", "~/.ssh/authorized_keys"),
            ("echo x | sudo tee -a /etc/sudoers", "/etc/sudoers"),
            ("cp a /etc/cron.d/b", "/etc/cron.d/b"),
            ("curl -s http://a -o /etc/cron.d/b", "/etc/cron.d/b"),
            ("dd if=a of=/dev/sda", "/dev/sda"),
            ("sed -i s/a/b/ /etc/passwd", "/etc/passwd"),
            ("cat > /etc/systemd/system/a.service <<E\n[Unit]\nE", "/etc/systemd/system/a.service"),
            ("cd /etc; echo a > cron.d/b", "/etc/cron.d/b"),
            ("{ echo a; } > /etc/cron.d/b", "/etc/cron.d/b"),
        ] {
            check(text, Dialect::Posix, Log::LinuxFile, &[&format!("TargetFilename={file}")]);
        }
        for text in ["ls > /dev/null", "ls 2>&1", "cat < a", "sed s/a/b/ c"] {
            assert!(events(text, Dialect::Posix).iter().all(|(log, _)| *log != Log::LinuxFile), "{text}");
        }
    }

    #[test]
    fn each_script_is_a_line() {
        for (text, expected) in [
            ("a 'b'|c && d", vec!["Line=a b | c && d", "Message=a 'b'|c && d"]),
            ("sh -c 'a;b' &", vec!["Line=a; b", "Message=a;b"]),
            ("echo 'cat /etc/shadow'; ls", vec!["Line=echo; ls"]),
            ("for i in 1 2; do ping $i && echo 'up'; done", vec!["Line=for i in 1 2; ping 1 && echo"]),
            ("while read -rp 'a b' x; do id $x; done", vec!["Line=while; read -rp x; id $x"]),
            ("echo a >> /etc/./x//../passwd", vec!["Line=echo a >> /etc/passwd"]),
            ("curl http://a//b | sh", vec!["Line=curl http://a//b | sh"]),
        ] {
            check(text, Dialect::Posix, Log::LinuxShell, &expected);
        }
        let spoken = events("ls # cat /etc/shadow", Dialect::Posix);
        assert!(
            spoken.iter().all(|(_, fields)| fields.iter().all(|field| !field.contains("shadow"))),
            "{spoken:?}"
        );
    }

    #[test]
    fn windows_programs_are_as_typed_and_plain() {
        for (text, dialect, log, expected) in [
            (
                "who^ami \"/all\"",
                Dialect::Cmd,
                Log::WindowsProcess,
                vec![
                    r"Image=C:\Windows\System32\whoami.exe",
                    "OriginalFileName=whoami.exe",
                    "CommandLine=whoami /all",
                ],
            ),
            ("who^ami \"/all\"", Dialect::Cmd, Log::WindowsProcess, vec!["CommandLine=who^ami \"/all\""]),
            (r"C:\x\y.exe -a", Dialect::PowerShell, Log::WindowsProcess, vec![r"Image=C:\x\y.exe"]),
            ("IEX $x", Dialect::PowerShell, Log::WindowsScript, vec!["ScriptBlockText=IEX $x"]),
            (
                "cmd /c dir",
                Dialect::Cmd,
                Log::WindowsProcess,
                vec!["CommandLine=dir", r"ParentImage=C:\Windows\System32\cmd.exe"],
            ),
        ] {
            check(text, dialect, log, &expected);
        }
    }
}
