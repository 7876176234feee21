//! What a shell does to a word before it runs it: parameters, braces, globs, escapes.

use super::posix::Word;
use super::{Known, TEXT_LIMIT, Work, base_name};

/// How many variables are remembered.
const VARIABLE_LIMIT: usize = 64;

/// How long the value of a variable may be that is remembered for later command lines.
const VALUE_KEPT: usize = 256;

/// How long a file's content may be that is remembered for later command lines.
const CONTENT_KEPT: usize = 2 * 1024;

/// How many words one word with braces may become.
const BRACE_LIMIT: usize = 64;

/// How long a word may be whose braces are expanded: each alternative repeats it.
const BRACED_BYTES: usize = 4 * 1024;

/// How many files are remembered.
const FILE_LIMIT: usize = 16;

/// Paths that a glob is resolved to: what commands with hidden names reach for.
const KNOWN_PATHS: [&str; 44] = [
    "/bin/sh",
    "/bin/bash",
    "/bin/dash",
    "/bin/cat",
    "/bin/nc",
    "/bin/netcat",
    "/bin/ls",
    "/bin/cp",
    "/bin/chmod",
    "/bin/su",
    "/bin/ncat",
    "/bin/head",
    "/bin/tail",
    "/bin/tac",
    "/bin/base64",
    "/bin/xxd",
    "/bin/less",
    "/bin/more",
    "/bin/id",
    "/usr/bin/cat",
    "/usr/bin/curl",
    "/usr/bin/wget",
    "/usr/bin/nc",
    "/usr/bin/python3",
    "/usr/bin/perl",
    "/usr/bin/sudo",
    "/usr/bin/base64",
    "/usr/bin/bash",
    "/usr/bin/sh",
    "/usr/bin/nc.traditional",
    "/usr/bin/nc.openbsd",
    "/usr/bin/id",
    "/usr/bin/whoami",
    "/usr/bin/head",
    "/usr/bin/tail",
    "/bin/whoami",
    "/etc/shadow",
    "/etc/passwd",
    "/etc/sudoers",
    "/etc/gshadow",
    "/root/.ssh/id_rsa",
    "/root/.bash_history",
    "/etc/crontab",
    "/etc/ld.so.preload",
];

/// A file below a folder that commands reach for and that a name with wildcards can mean.
pub(super) fn known_glob(folder: &str, name: &str) -> Option<&'static str> {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).count();
    let folder = folder.trim_end_matches('/');
    let is_meant = |path: &&str| {
        let below = path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        below && !path.contains("bin/") && glob_matches(name.as_bytes(), base_name(path).as_bytes())
    };
    KNOWN_PATHS.into_iter().find(is_meant).filter(|_| letters >= 4)
}

/// What an expansion yields.
pub(super) enum Value {
    /// Text that stays in the word.
    Text(Vec<u8>),
    /// Text from quotes: the word is no keyword.
    Quoted(Vec<u8>),
    /// Text that is split at blanks where the expansion is not quoted.
    Fields(Vec<u8>),
    /// The expansion as typed: its value is not known.
    Unknown(Vec<u8>),
}

/// Ends expansion: braces, then globs.
pub(super) fn finish(words: Vec<Word>) -> Vec<String> {
    let mut finished = Vec::with_capacity(words.len());
    for word in words {
        if (3..=BRACE_LIMIT).contains(&word.braces.len()) && word.text.len() <= BRACED_BYTES {
            for word in braces(word) {
                finished.push(resolved(word, finished.is_empty()));
            }
        } else {
            finished.push(resolved(word, finished.is_empty()));
        }
    }
    finished
}

/// Whether an assignment's value is only data: names in small letters are the script's own.
pub(super) fn is_plain_variable(assignment: &str) -> bool {
    assignment.split('=').next().is_some_and(|name| name.bytes().any(|byte| byte.is_ascii_lowercase()))
}

/// The name under which an alias is remembered: one that no variable can have.
pub(super) fn alias(name: &str) -> String {
    format!("alias {name}")
}

/// The folder after `cd target`, where that can be told.
pub(super) fn joined_path(folder: Option<&str>, target: &str) -> Option<String> {
    if target.starts_with(['/', '~', '$']) {
        return Some(target.to_owned());
    }
    folder.map(|folder| format!("{}/{target}", folder.trim_end_matches('/')))
}

/// Resolves backslash escapes as `$'…'`, `echo -e` and `printf` do.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else {
            plain.push(b'\\');
            break;
        };
        rest = after;
        match escape {
            b'a' => plain.push(7),
            b'b' => plain.push(8),
            b'e' | b'E' => plain.push(27),
            b'f' => plain.push(12),
            b'n' => plain.push(b'\n'),
            b'r' => plain.push(b'\r'),
            b't' => plain.push(b'\t'),
            b'v' => plain.push(11),
            b'\\' | b'\'' | b'"' | b'?' => plain.push(escape),
            b'x' => {
                let (value, used) = number(rest, 16, 2);
                if used == 0 {
                    plain.extend_from_slice(b"\\x");
                }
                plain.extend(u8::try_from(value).ok().filter(|_| used > 0));
                rest = rest.get(used..).unwrap_or_default();
            }
            b'u' | b'U' => {
                let (value, used) = number(rest, 16, if escape == b'u' { 4 } else { 8 });
                if let Some(letter) = char::from_u32(value).filter(|_| used > 0) {
                    plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                rest = rest.get(used..).unwrap_or_default();
            }
            b'0'..=b'7' => {
                // `echo -e` writes `\0nnn`, the others `\nnn`.
                let digits = if escape == b'0' { 3 } else { 2 };
                let (value, used) = number(rest, 8, digits);
                let first = u32::from(escape.wrapping_sub(b'0'));
                let shift = u32::try_from(used).unwrap_or(0).saturating_mul(3);
                let value = (first << shift.min(16)) | value;
                plain.push(u8::try_from(value & 0xff).unwrap_or(0));
                rest = rest.get(used..).unwrap_or_default();
            }
            _ => plain.extend_from_slice(&[b'\\', escape]),
        }
    }
    plain
}

impl Work {
    /// Remembers a variable.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if value.len() > TEXT_LIMIT / 4 || !self.charge(value.len()) {
            return;
        }
        if let Some((_, old)) = self.known.variables.iter_mut().find(|(known, _)| known == name) {
            value.clone_into(old);
        } else {
            if self.known.variables.len() >= VARIABLE_LIMIT {
                self.known.variables.remove(0);
            }
            self.known.variables.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The value of a variable, if this text has set it; `IFS` is a blank.
    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        let value =
            self.known.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        match value {
            Some(value) => self.charge(value.len()).then_some(value),
            None if name == "IFS" => Some(" ".to_owned()),
            None => None,
        }
    }

    /// What an alias stands for, under its remembered name.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        self.known.variables.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The value of what stands between `${` and `}`.
    pub(super) fn parameter(&mut self, inner: &str) -> Option<String> {
        let name_length =
            inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let (name, operation) = inner.split_at_checked(name_length)?;
        if name.is_empty() {
            // `${@}`, `${*}`: nothing is set at a prompt, unless by `set --`. `${!x}` and `${#x}` stay as they are.
            return matches!(inner, "@" | "*").then(|| self.value("@").unwrap_or_default());
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(self.value(name).unwrap_or_default());
        }
        if name == "IFS" {
            return Some(" ".to_owned());
        }
        // Only the first character of these is the same everywhere.
        let set = self.value(name).or_else(|| match name {
            "HOME" | "PATH" | "PWD" | "SHELL" | "OLDPWD" if operation.starts_with(":0:1") => {
                Some("/".to_owned())
            }
            _ => None,
        });
        if operation.is_empty() {
            return set;
        }
        if let Some(default) = operation.strip_prefix(":-").or_else(|| operation.strip_prefix('-')) {
            return Some(set.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()));
        }
        if let Some(range) =
            operation.strip_prefix(':').filter(|range| range.starts_with(|c: char| c.is_ascii_digit()))
        {
            let mut parts = range.splitn(2, ':').map(|part| part.trim().parse::<usize>());
            let start = parts.next()?.ok()?;
            let length = match parts.next() {
                Some(length) => length.ok()?,
                None => usize::MAX,
            };
            return Some(set?.chars().skip(start).take(length).collect());
        }
        if let Some(pattern) = operation.strip_prefix('/') {
            let value = set?;
            let (all, pattern) = match pattern.strip_prefix('/') {
                Some(pattern) => (true, pattern),
                None => (false, pattern),
            };
            let (from, to) = pattern.split_once('/').unwrap_or((pattern, ""));
            if from.is_empty() || from.contains(['*', '?', '[']) || to.len() > 64 {
                return Some(value);
            }
            return Some(if all { value.replace(from, to) } else { value.replacen(from, to, 1) });
        }
        set
    }

    /// Remembers what a file holds.
    pub(super) fn remember(&mut self, path: &str, content: Vec<u8>, appended: bool) {
        if !self.charge(content.len()) {
            return;
        }
        if let Some((_, old)) = self.known.files.iter_mut().find(|(known, _)| known == path) {
            if !appended {
                old.clear();
            }
            if old.len().saturating_add(content.len()) <= TEXT_LIMIT {
                old.extend_from_slice(&content);
            }
            return;
        }
        if self.known.files.len() >= FILE_LIMIT {
            self.known.files.remove(0);
        }
        self.known.files.push((path.to_owned(), content));
    }

    /// What a file is known to hold.
    pub(super) fn content(&self, path: &str) -> Option<&Vec<u8>> {
        let path = path.trim_start_matches("./");
        let is_path = |known: &str| known.trim_start_matches("./") == path;
        self.known.files.iter().find(|(known, _)| is_path(known)).map(|(_, content)| content)
    }
}

/// A file with this name that commands reach for.
pub(super) fn known_file(name: &str) -> Option<&'static str> {
    KNOWN_PATHS.into_iter().find(|path| !path.contains("bin/") && base_name(path) == name)
}

impl Known {
    /// Drops what is too long to be kept from one command line to the next.
    pub(super) fn shorten(&mut self) {
        self.variables.retain(|(_, value)| value.len() <= VALUE_KEPT);
        self.files.retain(|(_, content)| content.len() <= CONTENT_KEPT);
        self.directory = self.directory.take().filter(|directory| directory.len() <= VALUE_KEPT);
    }
}

/// Reads up to `most` digits; the value and how many there were.
fn number(text: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0_u32;
    let mut used = 0_usize;
    for digit in text.iter().take(most).map_while(|byte| char::from(*byte).to_digit(radix)) {
        value = value.wrapping_mul(radix).wrapping_add(digit);
        used = used.saturating_add(1);
    }
    (value, used)
}

/// Expands `{a,b}` as often as it occurs, up to a limit.
fn braces(word: Word) -> Vec<Word> {
    let mut waiting = vec![word];
    let mut finished = Vec::new();
    while let Some(word) = waiting.pop() {
        if finished.len().saturating_add(waiting.len()) >= BRACE_LIMIT {
            finished.push(word);
            finished.extend(waiting.drain(..).rev());
            break;
        }
        match alternatives(&word) {
            Some(words) => waiting.extend(words.into_iter().rev()),
            None => finished.push(word),
        }
    }
    finished
}

/// The words that the first braces with a comma in them stand for.
fn alternatives(word: &Word) -> Option<Vec<Word>> {
    let byte_at = |position: &usize| word.text.get(*position).copied();
    let open_index = word.braces.iter().position(|position| byte_at(position) == Some(b'{'))?;
    let mut depth = 0_usize;
    let mut commas = Vec::new();
    let mut close = None;
    for position in word.braces.iter().skip(open_index) {
        match byte_at(position) {
            Some(b'{') => depth = depth.saturating_add(1),
            Some(b'}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    close = Some(*position);
                    break;
                }
            }
            Some(b',') if depth == 1 => commas.push(*position),
            _ => {}
        }
    }
    let (open, close) = (*word.braces.get(open_index)?, close?);
    let without_first = |word: &Word| {
        let mut rest = word.clone();
        rest.braces.remove(open_index);
        vec![rest]
    };
    if commas.is_empty() || commas.len() > BRACE_LIMIT {
        return Some(without_first(word));
    }
    let mut start = open.saturating_add(1);
    let mut words = Vec::new();
    for end in commas.into_iter().chain([close]) {
        let mut alternative = Word { glob: word.glob, ..Word::default() };
        for (from, to) in [(0, open), (start, end), (close.saturating_add(1), word.text.len())] {
            let offset = alternative.text.len();
            alternative.text.extend_from_slice(word.text.get(from..to).unwrap_or_default());
            let inside = word.braces.iter().filter(|position| (from..to).contains(*position));
            alternative
                .braces
                .extend(inside.map(|position| position.saturating_sub(from).saturating_add(offset)));
        }
        words.push(alternative);
        start = end.saturating_add(1);
    }
    Some(words)
}

/// A word as text; a glob that can only mean a well-known path becomes that path.
fn resolved(word: Word, is_name: bool) -> String {
    let text = match String::from_utf8(word.text) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if !word.glob || !text.starts_with('/') || text.len() > 64 {
        return text;
    }
    let last = text.rsplit('/').next().unwrap_or_default();
    let plain = last.bytes().filter(u8::is_ascii_alphanumeric).count();
    let enough = if is_name { plain >= 1 } else { plain >= 2 };
    let found = KNOWN_PATHS
        .into_iter()
        .filter(|path| is_name != path.starts_with("/etc") || !is_name)
        .find(|path| enough && glob_matches(text.as_bytes(), path.as_bytes()));
    found.map_or(text, str::to_owned)
}

/// Whether a glob of `*`, `?` and `[…]` matches; neither is long, so trying back is cheap.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut glob_at, mut text_at) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(text_at) {
        let rest = glob.get(glob_at..).unwrap_or_default();
        let step = match rest.first() {
            Some(b'*') => {
                star = Some((glob_at, text_at));
                glob_at = glob_at.saturating_add(1);
                continue;
            }
            Some(b'?') if *byte != b'/' => 1,
            Some(b'[') => match rest.iter().position(|byte| *byte == b']') {
                Some(end) if class_holds(rest.get(1..end).unwrap_or_default(), *byte) => {
                    end.saturating_add(1)
                }
                _ => 0,
            },
            Some(plain) if plain == byte => 1,
            _ => 0,
        };
        if step > 0 {
            glob_at = glob_at.saturating_add(step);
            text_at = text_at.saturating_add(1);
            continue;
        }
        match star {
            Some((star_glob, star_text)) if text.get(star_text) != Some(&b'/') => {
                star = Some((star_glob, star_text.saturating_add(1)));
                glob_at = star_glob.saturating_add(1);
                text_at = star_text.saturating_add(1);
            }
            _ => return false,
        }
    }
    glob.get(glob_at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

fn class_holds(class: &[u8], byte: u8) -> bool {
    let (class, negated) = match class.first() {
        Some(b'!' | b'^') => (class.get(1..).unwrap_or_default(), true),
        _ => (class, false),
    };
    let mut found = class.contains(&byte);
    for range in class.windows(3) {
        if let [from, b'-', to] = range {
            found = found || (*from..=*to).contains(&byte);
        }
    }
    found != negated
}
