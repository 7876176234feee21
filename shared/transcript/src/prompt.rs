//! What prompts look like, and which ones this session has.
//!
//! A prompt is taken for one because it was there before (*known*), because it has the shape of a known one (another
//! directory, another time), because shells are delivered with it (a *form*), or because a `$`, `#`, `%` or `>` ends
//! its first words (a *guess*). Only the first two count in the middle of a session: anything can be printed.
//!
//! Known limits, each with a test in `reader`: output that repeats a known prompt is taken for one where the shell
//! does not mark its prompts; a prompt without any of the usual signs is learned only from marks.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::piece::ShellKind;
use crate::syntax::is_known_command;

/// Prompts kept at once.
const KNOWN_LIMIT: usize = 32;
/// Characters that a prompt can have.
const LENGTH_LIMIT: usize = 1024;
/// How often a prompt without a sign is seen before no others are looked for.
const SURE: u32 = 3;
/// Rows kept to find out what they begin with.
const SAMPLES: usize = 8;
/// A prompt that is searched for within a line is at least this long, so that it is not found by chance.
const ANCHOR_LENGTH: usize = 6;
const SIGNS: [char; 13] = ['$', '#', '%', '>', '❯', '➜', '»', 'λ', '✗', '→', '▶', '⟩', '❱'];

/// A row divided into a prompt and what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Where what was typed begins.
    pub(crate) end: usize,
    pub(crate) kind: ShellKind,
    pub(crate) trust: Trust,
}

/// Why a text was taken for a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    Guess,
    Form,
    Shape,
    Known,
}

/// Which unknown prompts are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Openness {
    /// None: only what is known.
    Closed,
    /// What shells are delivered with.
    Forms,
    /// Whatever ends in a usual sign.
    Guesses,
}

/// Whether output may end within a row, so that the prompt stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unended {
    /// Not that of the last command.
    Never,
    /// Sometimes.
    Sometimes,
    /// Sometimes, and this is its first row.
    Here,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    text: String,
    shape: String,
    kind: ShellKind,
    /// How often it was seen without a mark.
    unmarked: u32,
    /// When it was last seen, counted in prompts.
    seen: u64,
}

/// The prompts of a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Prompts {
    known: Vec<Known>,
    samples: Vec<String>,
    count: u64,
    version: u64,
}

impl Prompts {
    /// Divides a row at its prompt.
    pub(crate) fn split(&self, row: &str, open: Openness) -> Option<Split> {
        let known = self.known.iter().filter(|known| begins(row, &known.text));
        if let Some(known) = known.max_by_key(|known| known.text.len()) {
            let end = known.text.len().min(row.len());
            return Some(Split { end, kind: known.kind, trust: Trust::Known });
        }
        let form = form(row);
        let guess = || guess(row);
        let shaped = |found: &Form| self.known.iter().find(|known| known.shape == found.shape);
        if let Some(found) = &form {
            if let Some(known) = shaped(found) {
                return Some(Split { end: found.end, kind: known.kind, trust: Trust::Shape });
            }
            if open >= Openness::Forms {
                return Some(Split { end: found.end, kind: found.kind, trust: Trust::Form });
            }
        }
        let found = guess().or_else(|| colon(row).filter(|found| shaped(found).is_some()))?;
        if let Some(known) = shaped(&found) {
            return Some(Split { end: found.end, kind: known.kind, trust: Trust::Shape });
        }
        let split = Split { end: found.end, kind: found.kind, trust: Trust::Guess };
        (open == Openness::Guesses).then_some(split)
    }

    /// Where a known prompt stands within a line, behind output that did not end its row. A short prompt is found only
    /// if the last command is one that leaves rows unended.
    pub(crate) fn find_within(&self, line: &[u8], unended: Unended) -> Option<usize> {
        let starts = self.known.iter().filter_map(|known| {
            let anchor = anchor(&known.text);
            if anchor.len() >= ANCHOR_LENGTH {
                return memmem::find(line, anchor.as_bytes()).filter(|at| *at > 0);
            }
            if unended == Unended::Never {
                return None;
            }
            let at = memmem::find(line, known.text.as_bytes())?;
            let before = line.get(at.checked_sub(1)?)?;
            let typed = line.get(at + known.text.len()..)?;
            let is_behind_end = matches!(before, b'}' | b']' | b')' | b'>' | b'"' | b'\'' | b'=');
            let is_behind_text = unended == Unended::Here
                && before.is_ascii_alphanumeric()
                && is_command(typed)
                && !is_form(line.get(..at + known.text.len())?);
            (is_behind_end || is_behind_text).then_some(at)
        });
        starts.min()
    }

    /// Whether this very prompt is known.
    pub(crate) fn knows(&self, prompt: &str) -> bool {
        self.known.iter().any(|known| known.text == prompt)
    }

    /// Whether this prompt was seen without a mark.
    pub(crate) fn knows_unmarked(&self, prompt: &str) -> bool {
        self.known.iter().any(|known| known.text == prompt && known.unmarked > 0)
    }

    /// Whether any prompt was seen yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether the only prompts known have no sign and were seen too seldom to rule out all others.
    pub(crate) fn is_unsure(&self) -> bool {
        let is_seldom = |known: &Known| (1..SURE).contains(&known.unmarked);
        self.known.iter().all(|known| known.text.trim_end().ends_with(':') && is_seldom(known))
    }

    /// Keeps a prompt; whether it is unlike all those known.
    pub(crate) fn learn(&mut self, prompt: &str, kind: ShellKind, marked: bool) -> bool {
        if prompt.trim().is_empty() || prompt.len() > 4 * LENGTH_LIMIT {
            return false;
        }
        self.count += 1;
        let seen = self.count;
        if let Some(known) = self.known.iter_mut().find(|known| known.text == prompt) {
            known.seen = seen;
            known.unmarked += u32::from(!marked);
            return false;
        }
        let shape = form(prompt)
            .or_else(|| guess(prompt))
            .or_else(|| colon(prompt))
            .map_or_else(|| shape(prompt), |form| form.shape);
        let is_new = !self.known.is_empty() && self.known.iter().all(|known| known.shape != shape);
        if self.known.len() >= KNOWN_LIMIT {
            // One of which another has the shape is still known by that.
            let is_only =
                |known: &Known| self.known.iter().filter(|other| other.shape == known.shape).count() == 1;
            let oldest = self.known.iter().enumerate().min_by_key(|(_, known)| (is_only(known), known.seen));
            if let Some(oldest) = oldest.map(|(index, _)| index) {
                self.known.swap_remove(oldest);
            }
        }
        let unmarked = u32::from(!marked);
        self.version += 1;
        self.known.push(Known { text: prompt.to_owned(), shape, kind, unmarked, seen });
        is_new
    }

    /// What a row shares with earlier rows that no prompt was found in: a prompt without a sign.
    pub(crate) fn common_start(&mut self, row: &str) -> Option<usize> {
        let mut longest = 0;
        for sample in &self.samples {
            let shared = row.char_indices().zip(sample.chars()).take_while(|((_, a), b)| a == b).last();
            let shared = shared.map_or(0, |((at, character), _)| at + character.len_utf8());
            let text = row.get(..shared).unwrap_or_default();
            let end = text.rfind(|character: char| !character.is_alphanumeric()).map_or(0, |at| {
                at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
            });
            longest = longest.max(end);
        }
        if self.samples.len() >= SAMPLES {
            self.samples.remove(0);
        }
        let kept: String = row.chars().take(LENGTH_LIMIT).collect();
        if !self.samples.contains(&kept) {
            self.samples.push(kept);
        }
        (longest > 1).then_some(longest)
    }

    /// Changes whenever a prompt is learned.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What known prompts begin with, up to what changes in them: without that, a line need not be looked at.
    pub(crate) fn beginnings(&self) -> Vec<Vec<u8>> {
        let mut beginnings = vec![b"(".to_vec(), b">".to_vec()];
        for known in &self.known {
            let fixed = |c: char| !(c.is_ascii_digit() || matches!(c, ':' | '~' | '/' | ' '));
            let end = known.text.find(|c| !fixed(c)).unwrap_or(known.text.len());
            match known.text.get(..end).map(str::as_bytes) {
                Some(text) if !text.is_empty() => beginnings.push(text.to_vec()),
                _ => beginnings.extend(b"0123456789/~ :".iter().map(|byte| vec![*byte])),
            }
        }
        beginnings.sort_unstable();
        beginnings.dedup();
        beginnings
    }

    /// Known prompts too short to be searched for in every line.
    pub(crate) fn short(&self) -> Vec<String> {
        let short = self.known.iter().filter(|known| anchor(&known.text).len() < ANCHOR_LENGTH);
        short.map(|known| known.text.clone()).collect()
    }

    /// The starts of known prompts that are searched for within lines.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        let mut recent: Vec<&Known> = self.known.iter().collect();
        recent.sort_by_key(|known| std::cmp::Reverse(known.seen));
        for known in recent {
            let anchor = anchor(&known.text);
            if anchor.len() >= ANCHOR_LENGTH
                && !anchors.iter().any(|other| other == anchor)
                && anchors.len() < 4
            {
                anchors.push(anchor.to_owned());
            }
        }
        anchors
    }
}

/// Whether a text is a prompt that a shell is delivered with: output can show one.
fn is_form(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    form(&text).is_some_and(|form| form.end == text.len())
}

/// Whether what stands behind a prompt begins with the name of a usual program or of a file to run.
fn is_command(typed: &[u8]) -> bool {
    let end = typed.iter().position(|byte| *byte <= b' ').unwrap_or(typed.len());
    let name = std::str::from_utf8(typed.get(..end).unwrap_or_default()).unwrap_or_default();
    name.starts_with("./") || is_known_command(name)
}

/// The start of a prompt up to what changes in it.
fn anchor(prompt: &str) -> &str {
    let variable = prompt.find([':', '~', '/', ' ']).unwrap_or(prompt.len());
    prompt.get(..variable).unwrap_or_default()
}

/// The length of a prompt that asks for more of a command: bash, zsh, Python, SQL.
pub(crate) fn continuation(row: &str) -> Option<usize> {
    for prompt in ["> ", "... ", ">> ", "    -> ", "    '> ", "    \"> ", "    `> ", "   ...> ", "   ...: "] {
        if begins(row, prompt) {
            return Some(prompt.len().min(row.len()));
        }
    }
    let words =
        row.split_once("> ").map(|(words, _)| words).or_else(|| row.strip_suffix('>')).unwrap_or_default();
    let zsh = [
        "quote",
        "dquote",
        "bquote",
        "heredoc",
        "heredocd",
        "for",
        "while",
        "until",
        "repeat",
        "select",
        "if",
        "then",
        "else",
        "elif",
        "case",
        "function",
        "cursh",
        "subsh",
        "pipe",
        "cmdand",
        "cmdor",
        "braceparam",
        "cmdsubst",
        "mathsubst",
        "array",
        "errpipe",
        "foreach",
        "always",
        "math",
        "cond",
        "elif-then",
    ];
    if !words.is_empty() && words.split(' ').all(|word| zsh.contains(&word)) {
        return Some((words.len() + 2).min(row.len()));
    }
    // psql: the sign of the prompt becomes `-`, `(` or the open quote.
    let end = row.find(['#', '>'])?;
    let name = row.get(..end)?;
    let sign = name.chars().last()?;
    let is_continuation =
        matches!(sign, '-' | '(' | '\'' | '"' | '$' | '*') && is_name(name.get(..name.len() - 1)?);
    (is_continuation && begins(row.get(end + 1..)?, " ")).then(|| (end + 2).min(row.len()))
}

/// A prompt and what stays the same of it.
struct Form {
    end: usize,
    kind: ShellKind,
    shape: String,
}

/// A prompt that a shell, a language or a database is delivered with.
fn form(row: &str) -> Option<Form> {
    let environment = environment(row);
    let rest = row.get(environment..)?;
    let found = windows(rest)
        .or_else(|| repl(rest))
        .or_else(|| bracketed(rest))
        .or_else(|| at_host(rest))
        .or_else(|| versioned(rest))
        .or_else(|| short(rest))?;
    Some(Form { end: environment + found.end, ..found })
}

/// The length of `(venv) ` before a prompt.
fn environment(row: &str) -> usize {
    let Some(inner) = row.strip_prefix('(') else { return 0 };
    let Some(end) = inner.find(')') else { return 0 };
    let name = inner.get(..end).unwrap_or_default();
    let plain =
        !name.is_empty() && end < 40 && name.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c));
    if plain
        && inner.get(end + 1..).is_some_and(|rest| rest.starts_with(' '))
        && !matches!(name, "gdb" | "Pdb")
    {
        end + 3
    } else {
        0
    }
}

fn windows(row: &str) -> Option<Form> {
    let drive = |path: &str| {
        let mut characters = path.chars();
        characters.next().is_some_and(|letter| letter.is_ascii_alphabetic()) && characters.next() == Some(':')
    };
    let bound = limit(row);
    if let Some(path) = row.strip_prefix("PS ") {
        let end = path.get(..bound.min(path.len()))?.find('>')?;
        let path = path.get(..end)?;
        // PowerShell on Linux shows a path, and providers have names like `HKLM:`.
        let fits = drive(path) || path.starts_with('/') || path.contains(":\\") || path.contains("::");
        return fits.then(|| Form {
            end: (end + 5).min(row.len()),
            kind: ShellKind::PowerShell,
            shape: "PS >".to_owned(),
        });
    }
    let end = row.get(..bound)?.find('>')?;
    let path = row.get(..end)?;
    let fits = drive(path) && path.get(2..)?.starts_with('\\') && !path.contains(['"', '<', '|']);
    fits.then(|| Form { end: end + 1, kind: ShellKind::Cmd, shape: "C:\\>".to_owned() })
}

fn repl(row: &str) -> Option<Form> {
    let form = |end: usize, shape: &str| {
        Some(Form { end: end.min(row.len()), kind: ShellKind::Repl, shape: shape.to_owned() })
    };
    const FIXED: [&str; 18] = [
        ">>> ",
        "mysql> ",
        "sqlite> ",
        "sftp> ",
        "ftp> ",
        "php > ",
        "scala> ",
        "jshell> ",
        "cqlsh> ",
        "SQL> ",
        "(gdb) ",
        "(Pdb) ",
        "ghci> ",
        "smb: \\> ",
        "julia> ",
        "iex> ",
        "mongosh> ",
        "pry> ",
    ];
    if let Some(prompt) = FIXED.iter().find(|prompt| begins(row, prompt)) {
        return form(prompt.len(), prompt);
    }
    let end = row.get(..limit(row))?.find("> ").or_else(|| row.strip_suffix('>').map(str::len));
    if let Some(end) = end {
        let name = row.get(..end)?;
        let address = name.split_once(':').is_some_and(|(host, port)| {
            let port = port.split('[').next().unwrap_or(port);
            is_name(host) && !port.is_empty() && port.chars().all(|digit| digit.is_ascii_digit())
        });
        if name.starts_with("MariaDB [") || name.starts_with("MySQL [") || name.starts_with("irb(") || address
        {
            return form(end + 2, &shape(name));
        }
    }
    if let Some(number) = row.strip_prefix("In [") {
        let end = number.find("]: ")?;
        return form(end + 7, "In []:");
    }
    // psql: `name=# `, `name=> `
    let end = row.find(['#', '>'])?;
    let name = row.get(..end)?.strip_suffix('=')?;
    (is_name(name) && begins(row.get(end + 1..)?, " ")).then_some(())?;
    form(end + 2, &format!("{name}=#"))
}

/// `[user@host directory]$ `
fn bracketed(row: &str) -> Option<Form> {
    let inner = row.strip_prefix('[')?;
    let end = inner.get(..limit(inner))?.find(']')?;
    let inside = inner.get(..end)?;
    let who = inside.split_once(' ').map_or(inside, |(who, _)| who);
    who.contains('@').then_some(())?;
    let mut rest = inner.get(end + 1..)?;
    let mut at = end + 2;
    if let Some(after) = rest.strip_prefix(' ') {
        rest = after;
        at += 1;
    }
    let sign = sign_and_space(rest)?;
    let kind = ShellKind::Posix;
    Some(Form { end: at + sign, kind, shape: format!("[{who} ]{}", rest.chars().next()?) })
}

/// `user@host:directory$ `, `user@host directory % `, `user@host ~> `
fn at_host(row: &str) -> Option<Form> {
    let bound = row.get(..limit(row))?;
    let user = bound.split_once('@').map(|(user, _)| user).filter(|user| is_name(user))?;
    let after = bound.get(user.len() + 1..)?;
    let host_end = after.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)))?;
    (host_end > 0).then_some(())?;
    let who_end = user.len() + 1 + host_end;
    let rest = bound.get(who_end..)?;
    let separator = rest.chars().next()?;
    matches!(separator, ':' | ' ' | '$' | '#' | '%' | '>').then_some(())?;
    for (at, sign) in rest.char_indices() {
        // fish shows the status of the last command in brackets before the sign.
        if at > 0 && matches!(sign, '\'' | '"' | ';' | '|' | '=') {
            return None;
        }
        if matches!(sign, '$' | '#' | '%' | '>') {
            let length = sign_and_space(rest.get(at..)?)?;
            let words = rest.get(..at)?.split_whitespace().count();
            (words <= 3).then_some(())?;
            let who = bound.get(..who_end)?;
            return Some(Form {
                end: who_end + at + length,
                kind: ShellKind::Posix,
                shape: format!("{who}{separator} {sign}"),
            });
        }
    }
    None
}

/// `sh-4.2$ `
fn versioned(row: &str) -> Option<Form> {
    let bound = row.get(..limit(row))?;
    let name = ["sh-", "bash-", "ksh-", "zsh-", "dash-", "ash-", "-sh-", "-bash-"]
        .iter()
        .find(|name| bound.starts_with(**name))?;
    let rest = bound.get(name.len()..)?;
    let version = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    (version > 0).then_some(())?;
    let sign = rest.get(version..)?;
    let length = sign_and_space(sign)?;
    let end = name.len() + version + length;
    Some(Form { end, kind: ShellKind::Posix, shape: shape(bound.get(..end)?.trim_end()) })
}

/// `$ `, `# `, `% `, `/path # `, `~ $ `, `host# `, `➜  directory `
fn short(row: &str) -> Option<Form> {
    let form = |end: usize, shape: String| Some(Form { end, kind: ShellKind::Posix, shape });
    if let Some(rest) = row.strip_prefix("➜ ") {
        let name = rest.trim_start();
        let skipped = row.len() - name.len();
        let mut end = skipped + name.find(' ').map_or(name.len(), |at| at + 1);
        let after = row.get(end..).unwrap_or_default();
        if let Some(branch) = after.strip_prefix("git:(") {
            end += branch.find(") ").map_or(0, |at| at + 7);
            let dirty = row.get(end..).unwrap_or_default();
            end += ["✗ ", "✔ "].iter().find(|sign| dirty.starts_with(**sign)).map_or(0, |sign| sign.len());
        }
        return form(end, "➜".to_owned());
    }
    let first = row.chars().next()?;
    if SIGNS.contains(&first) && first != '>' {
        return form(sign_and_space(row)?, first.to_string());
    }
    if matches!(first, '/' | '~') {
        let end = row.get(..limit(row))?.find(' ')?;
        let sign = row.get(end + 1..)?;
        matches!(sign.chars().next()?, '#' | '$' | '%' | '>' | '❯').then_some(())?;
        return form(end + 1 + sign_and_space(sign)?, format!("/ {}", sign.chars().next()?));
    }
    let end = row.get(..limit(row))?.find(['$', '#', '%'])?;
    let name = row.get(..end)?;
    let is_number = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    (name.len() <= 24 && is_name(name) && !is_number).then_some(())?;
    form(end + sign_and_space(row.get(end..)?)?, shape(row.get(..=end)?))
}

/// The first words up to a sign.
fn guess(row: &str) -> Option<Form> {
    let bound = row.get(..limit(row))?;
    for (at, sign) in bound.char_indices() {
        if matches!(sign, '"' | '\'' | '=' | ';' | '<') {
            return None;
        }
        if !SIGNS.contains(&sign) {
            continue;
        }
        let Some(length) = sign_and_space(row.get(at..)?) else { continue };
        let before = row.get(..at)?;
        let is_arrow = before.ends_with(['-', '=', '<', '|', '&', ' ']) && sign == '>' && at > 0;
        let is_percentage = sign == '%' && before.ends_with(|c: char| c.is_alphanumeric());
        let is_open = before.matches('(').count() != before.matches(')').count();
        if is_arrow || is_percentage || is_open {
            return None;
        }
        let mut end = at + length;
        // A second sign belongs to the prompt: `prod $ > `.
        while let Some(next) = row.get(end..).filter(|next| next.starts_with(['>', '❯', '»', '$', 'λ'])) {
            match sign_and_space(next) {
                Some(more) if next.len() > more => end += more,
                _ => break,
            }
        }
        let text = row.get(..end)?;
        let words = text.split_whitespace().count();
        return (words <= 6).then(|| Form { end, kind: ShellKind::Unknown, shape: shape(text) });
    }
    None
}

/// Whether the first bytes of a line hold one of the usual signs, so that it is worth the time to look closer.
pub(crate) fn may_hold_sign(line: &[u8]) -> bool {
    let bound = line.get(..2 * LENGTH_LIMIT).unwrap_or(line);
    bound.iter().enumerate().any(|(at, byte)| match byte {
        b'$' | b'#' | b'%' | b'>' | b')' | b':' => {
            matches!(bound.get(at + 1), None | Some(b' ' | 0x1b | b'\r' | b'\n')) || *byte == b'>'
        }
        // The first bytes of the other signs.
        0xc2 | 0xce | 0xe2 => true,
        _ => false,
    })
}

/// The length of a prompt that ends in a colon, which is too common to be taken without a mark.
pub(crate) fn ends_in_colon(row: &str) -> Option<usize> {
    let end = row.get(..limit(row))?.find(": ").or_else(|| row.strip_suffix(':').map(str::len))?;
    let text = row.get(..end)?;
    let is_prompt =
        text.split_whitespace().count() <= 3 && !text.contains(['"', '\'', '=', ';', '|', '<', '(']);
    is_prompt.then(|| (end + 2).min(row.len()))
}

fn colon(row: &str) -> Option<Form> {
    let end = ends_in_colon(row)?;
    // The words behind the first are a directory or a time.
    let first = row.split_whitespace().next()?;
    Some(Form { end, kind: ShellKind::Unknown, shape: format!("{}:", first.trim_end_matches(':')) })
}

/// The length of a sign and the space after it; the space may be missing at the end of the row.
fn sign_and_space(text: &str) -> Option<usize> {
    let sign = text.chars().next().filter(|sign| SIGNS.contains(sign))?;
    let after = text.get(sign.len_utf8()..)?;
    match after.chars().next() {
        None => Some(sign.len_utf8()),
        Some(' ' | '\u{a0}') => Some(sign.len_utf8() + after.chars().next().map_or(0, char::len_utf8)),
        Some(_) => None,
    }
}

/// Whether a row begins with a prompt, whose last space may be missing at the end of the row.
fn begins(row: &str, prompt: &str) -> bool {
    row.starts_with(prompt) || (row.len() < prompt.len() && !row.is_empty() && row == prompt.trim_end())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
}

/// How many bytes of a row are looked at, cut between characters.
fn limit(row: &str) -> usize {
    let mut end = row.len().min(LENGTH_LIMIT);
    while !row.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// A text without what changes from prompt to prompt: numbers and paths.
pub(crate) fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut in_path = false;
    for character in text.trim_end().chars() {
        match character {
            '0'..='9' if !in_path => {
                if !shape.ends_with('0') {
                    shape.push('0');
                }
            }
            '/' | '~' => {
                if !in_path {
                    shape.push('/');
                }
                in_path = true;
            }
            _ if in_path && (character.is_alphanumeric() || "._-+@".contains(character)) => {}
            _ => {
                in_path = false;
                shape.push(character);
            }
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::{Openness, Prompts, continuation};
    use crate::piece::ShellKind;

    #[test]
    fn prompts_that_shells_are_delivered_with() {
        for (row, prompt, kind) in [
            ("sh-4.2$ id", "sh-4.2$ ", ShellKind::Posix),
            ("[ec2-user@ip-10-0-0-1 ~]$ id", "[ec2-user@ip-10-0-0-1 ~]$ ", ShellKind::Posix),
            ("ubuntu@ip-10-0-0-1:~/a b$ id", "ubuntu@ip-10-0-0-1:~/a b$ ", ShellKind::Posix),
            ("(venv) ubuntu@web:~$ id", "(venv) ubuntu@web:~$ ", ShellKind::Posix),
            ("admin@mac ~ % id", "admin@mac ~ % ", ShellKind::Posix),
            ("root@web /etc [127]# id", "root@web /etc [127]# ", ShellKind::Posix),
            ("alice@web ~> id", "alice@web ~> ", ShellKind::Posix),
            ("$ id", "$ ", ShellKind::Posix),
            ("/ # id", "/ # ", ShellKind::Posix),
            ("bash-5.1# id", "bash-5.1# ", ShellKind::Posix),
            ("➜  app git:(main) ✗ id", "➜  app git:(main) ✗ ", ShellKind::Posix),
            ("PS C:\\Users\\a b> dir", "PS C:\\Users\\a b> ", ShellKind::PowerShell),
            ("C:\\Windows\\system32>dir", "C:\\Windows\\system32>", ShellKind::Cmd),
            (">>> 1", ">>> ", ShellKind::Repl),
            ("MariaDB [(none)]> select 1;", "MariaDB [(none)]> ", ShellKind::Repl),
            ("app=# select 1;", "app=# ", ShellKind::Repl),
            ("127.0.0.1:6379> keys *", "127.0.0.1:6379> ", ShellKind::Repl),
        ] {
            let split = Prompts::default().split(row, Openness::Forms);
            let found = split.map(|split| (&row[..split.end], split.kind));
            assert_eq!(found, Some((prompt, kind)), "{row}");
        }
    }

    #[test]
    fn output_is_no_prompt() {
        for row in [
            "total 12",
            "drwxr-xr-x 2 root root",
            "/usr/bin/env",
            "user@host.example wrote:",
            "50% done",
            "a -> b",
        ] {
            assert_eq!(Prompts::default().split(row, Openness::Forms), None, "{row}");
        }
    }

    #[test]
    fn only_known_prompts_count_in_the_middle_of_a_session() {
        let mut prompts = Prompts::default();
        prompts.learn("ubuntu@web:~$ ", ShellKind::Posix, false);
        for (row, expected) in [
            ("ubuntu@web:~$ id", true),
            ("ubuntu@web:/etc/ssh$ id", true),
            ("root@other:~# id", false),
            ("$ id", false),
        ] {
            assert_eq!(prompts.split(row, Openness::Closed).is_some(), expected, "{row}");
        }
    }

    #[test]
    fn a_prompt_without_a_sign_is_learned_from_what_rows_share() {
        let mut prompts = Prompts::default();
        assert_eq!(prompts.common_start("work: ls -l"), None);
        assert_eq!(prompts.common_start("work: id"), Some(6));
    }

    #[test]
    fn prompts_that_ask_for_more() {
        for (row, expected) in [
            ("> id", Some(2)),
            (">", Some(1)),
            ("quote> id", Some(7)),
            ("for then> id", Some(10)),
            ("... x", Some(4)),
            ("    -> x", Some(7)),
            ("app-# x", Some(6)),
            ("app(# x", Some(6)),
            ("word> id", None),
            ("total", None),
        ] {
            assert_eq!(continuation(row), expected, "{row}");
        }
    }
}
