//! PowerShell and cmd text: statements split apart, escapes removed, carriers opened.

use base64::Engine;

use super::carrier::Inner;
use super::{Dialect, Joint, Origin, SimpleCommand, Work, data, filter};

/// Reads a script.
pub(super) fn read(work: &mut Work, text: &str, script: usize, dialect: Dialect, origin: &Origin) {
    let depth = origin.via.len();
    for (joint, statement) in statements(text, dialect) {
        let raw = statement.trim();
        if raw.is_empty() {
            continue;
        }
        let argv = words(raw, dialect);
        let command = SimpleCommand {
            argv,
            via: origin.via.clone(),
            parent: origin.parent,
            script,
            joint: Some(joint),
            dialect,
            raw: Some(raw.to_owned()),
            ..SimpleCommand::default()
        };
        let Some(index) = work.keep(command) else { return };
        mark_data(work, index);
        work.open(index, depth);
    }
}

/// What `powershell` was given to run.
pub(super) fn powershell(arguments: &[String], name: &str) -> Vec<Inner> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(option) = argument.strip_prefix(['-', '/', '–']).map(str::to_ascii_lowercase) else {
            // Without an option the words are a command.
            let text = std::iter::once(argument).chain(rest).cloned().collect::<Vec<_>>().join(" ");
            return script(text, Dialect::PowerShell, name);
        };
        let is_short_for = |full: &str| !option.is_empty() && full.starts_with(&option);
        if option == "ec" || is_short_for("encodedcommand") {
            let decoded = rest.next().and_then(|text| utf16_text(text));
            return decoded
                .map(|text| script(text, Dialect::PowerShell, "-EncodedCommand"))
                .unwrap_or_default();
        }
        if is_short_for("command") {
            let text = rest.cloned().collect::<Vec<_>>().join(" ");
            return script(text, Dialect::PowerShell, &format!("{name} -Command"));
        }
        let takes_value = [
            "executionpolicy",
            "windowstyle",
            "version",
            "psconsolefile",
            "inputformat",
            "outputformat",
            "configurationname",
            "file",
            "workingdirectory",
        ]
        .into_iter()
        .any(is_short_for)
            || matches!(option.as_str(), "ep" | "ex" | "exec" | "w" | "win" | "wi");
        if takes_value {
            rest.next();
        }
    }
    Vec::new()
}

/// What `cmd /c` was given to run.
pub(super) fn cmd(arguments: &[String]) -> Vec<Inner> {
    let at = arguments.iter().position(|word| {
        let word = word.to_ascii_lowercase();
        word == "/c" || word == "/k" || word == "/r"
    });
    let rest = at.and_then(|at| arguments.get(at.saturating_add(1)..)).unwrap_or_default();
    script(rest.join(" "), Dialect::Cmd, "cmd /c")
}

fn script(text: String, dialect: Dialect, via: &str) -> Vec<Inner> {
    if text.trim().is_empty() {
        Vec::new()
    } else {
        vec![Inner::Script { text, dialect, via: via.to_owned() }]
    }
}

/// Decodes the base64 of UTF-16LE that `-EncodedCommand` takes.
fn utf16_text(text: &str) -> Option<String> {
    let decoded = filter::base64_text(text.as_bytes())
        .or_else(|| base64::engine::general_purpose::STANDARD.decode(text).ok())?;
    let units: Vec<u16> = decoded
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_le_bytes))
        .collect();
    Some(String::from_utf16_lossy(&units))
}

/// Splits text at the separators that stand outside quotes.
fn statements(text: &str, dialect: Dialect) -> Vec<(Joint, String)> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut joint = Joint::Sequence;
    let mut quote: Option<char> = None;
    let mut letters = text.chars().peekable();
    let escape = if dialect == Dialect::Cmd { '^' } else { '`' };
    while let Some(letter) = letters.next() {
        if let Some(open) = quote {
            current.push(letter);
            if letter == open {
                quote = None;
            }
            continue;
        }
        let next = match letter {
            '"' => {
                quote = Some('"');
                None
            }
            '\'' if dialect == Dialect::PowerShell => {
                quote = Some('\'');
                None
            }
            letter if letter == escape => {
                current.push(letter);
                current.extend(letters.next());
                continue;
            }
            '#' if dialect == Dialect::PowerShell && current.trim().is_empty() => {
                while letters.peek().is_some_and(|next| *next != '\n') {
                    letters.next();
                }
                continue;
            }
            '|' if letters.peek() == Some(&'|') => Some(Joint::Or),
            '|' => Some(Joint::Pipe),
            '&' if letters.peek() == Some(&'&') => Some(Joint::And),
            '&' if dialect == Dialect::Cmd => Some(Joint::Sequence),
            ';' if dialect == Dialect::PowerShell => Some(Joint::Sequence),
            '\n' | '\r' => Some(Joint::Sequence),
            _ => None,
        };
        let Some(next) = next else {
            current.push(letter);
            continue;
        };
        if matches!(next, Joint::Or | Joint::And) {
            letters.next();
        }
        found.push((joint, std::mem::take(&mut current)));
        joint = next;
    }
    found.push((joint, current));
    found
}

/// A statement's words, quotes and escapes removed.
fn words(statement: &str, dialect: Dialect) -> Vec<String> {
    let escape = if dialect == Dialect::Cmd { '^' } else { '`' };
    let statement = statement.trim_start_matches(['&', '.', ' ', '(', '@', '{']);
    let mut found = Vec::new();
    let mut current = String::new();
    let mut started = false;
    let mut quote: Option<char> = None;
    let mut letters = statement.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => current.push(letter),
            (None, '"') => {
                quote = Some('"');
                started = true;
            }
            (None, '\'') if dialect == Dialect::PowerShell => {
                quote = Some('\'');
                started = true;
            }
            (None, letter) if letter == escape => current.extend(letters.next()),
            (None, letter) if letter.is_whitespace() => {
                if started || !current.is_empty() {
                    found.push(std::mem::take(&mut current));
                }
                started = false;
            }
            (None, letter) => current.push(letter),
        }
    }
    if started || !current.is_empty() {
        found.push(current);
    }
    found
}

/// What a search looks for, unless it looks for secrets: then that is the point.
fn patterns(argv: &[String]) -> Vec<usize> {
    let mut marked = Vec::new();
    let mut plain = None;
    let mut is_next = false;
    for (position, argument) in argv.iter().enumerate().skip(1) {
        let lower = argument.to_ascii_lowercase();
        if std::mem::take(&mut is_next) || lower.starts_with("/c:") {
            marked.push(position);
        } else if lower == "-pattern" {
            is_next = true;
        } else if !argument.starts_with(['/', '-']) {
            plain = plain.or(Some(position));
        }
    }
    if marked.is_empty() {
        marked.extend(plain);
    }
    marked.retain(|position| argv.get(*position).is_some_and(|pattern| !data::is_secret_search(pattern)));
    marked
}

/// Text that is only printed or looked up.
fn mark_data(work: &mut Work, index: usize) {
    let Some(command) = work.command(index) else { return };
    let name = command.name().to_ascii_lowercase();
    let is_data = matches!(
        name.as_str(),
        "echo" | "rem" | "write-host" | "write-output" | "get-help" | "help" | "get-command" | "man"
    ) && !command.raw.as_deref().is_some_and(|raw| raw.contains('>'));
    let arguments: Vec<usize> = match name.as_str() {
        _ if is_data => (1..command.argv.len()).collect(),
        "findstr" | "findstr.exe" | "select-string" | "sls" => patterns(&command.argv),
        _ => return,
    };
    if arguments.is_empty() {
        return;
    }
    if let Some(command) = work.reading.commands.get_mut(index) {
        arguments.into_iter().for_each(|position| command.show(position, None));
        command.raw = None;
        let script = command.script;
        if let Some(script) = work.reading.scripts.get_mut(script) {
            script.has_data = true;
        }
    }
}
