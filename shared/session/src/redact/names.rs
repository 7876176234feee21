//! Secrets that a name tells of: `DB_PASSWORD=…`, `"token": "…"`, `--api-key …`, `the password is …`.
//!
//! The value goes and the name stays, so that a reader sees what was there. A name and a blank alone are weak: what is an option, a
//! redirection or a path's end is spared there, and so are a variable and a command in the place of the value, which hold no secret.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::words::{is_random, is_reference, length_of, length_of_value};

/// A name, what it ends with, and, instead, a name that is too short to be one without a sign of assignment behind it.
const NAME: &str = r"(?i-u)[a-z0-9_\-]*(?:passw(?:or)?d|passwort|kennwort|passphrase|passin|passout|pwd|secret|token|credentials?|(?:api|access|account|private|signing|auth|storage|encryption|master)[_\-]?key|(?:access|api) key|key-data|bundle_[a-z0-9_]*__com)([a-z0-9_\-]*)|([a-z0-9_\-]*(?:pass|pw)|_?auth)\b";

/// Ends of a name that make it the name of something else: `--password-file`, `secretName`.
const ABOUT: [&str; 25] = [
    "id",
    "ids",
    "name",
    "names",
    "file",
    "files",
    "path",
    "dir",
    "arn",
    "url",
    "uri",
    "type",
    "policy",
    "length",
    "age",
    "expiry",
    "ttl",
    "field",
    "column",
    "tool",
    "command",
    "seconds",
    "location",
    "required",
    "notrequired",
];
/// What follows `secret`, `token` or `password` where it is a noun of a sentence or of a command.
const NO_VALUES: [&str; 40] = [
    "a", "add", "and", "approve", "are", "as", "at", "by", "create", "delete", "describe", "expired",
    "expires", "fill", "for", "from", "get", "has", "in", "inspect", "list", "ls", "must", "no", "of", "on",
    "or", "reject", "reset", "rm", "rotation", "set", "store", "tell", "the", "then", "update", "with",
    "yes", "your",
];

/// Where the path of a file begins: `grep password /etc/app.conf`.
const ROOTS: [&str; 12] =
    ["/etc", "/var/", "/home/", "/opt/", "/usr/", "/srv", "/root", "/tmp", "/proc/", "/run/", "/mnt/", "~/"];
/// How much of a word is looked at to tell what it is.
const LONGEST: usize = 512;

#[expect(clippy::expect_used, reason = "the pattern is a constant and is compiled by a test")]
static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(NAME).expect("a pattern of this file"));

pub(super) fn prepare() {
    LazyLock::force(&NAMES);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// `=`, `:` and their like.
    Assigned,
    /// A blank, or `is`.
    Spoken,
    /// An element of XML.
    Element,
}

/// Where the secrets of a text are, in order, none in another.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(name) = NAMES.captures_at(bytes, at) {
        let Some(whole) = name.get(0) else { break };
        at = whole.end();
        let Some((mut value, mut link)) = linked(bytes, &name) else { continue };
        let start = value;
        // Several names before one value: `secret token …`, `password: token=…`.
        while let Some(next) = NAMES.captures_at(bytes, value)
            && next.get(0).is_some_and(|next| next.start() == value)
            && let Some(further) = linked(bytes, &next)
        {
            (value, link) = further;
        }
        let end = end_of_value(bytes, value, link);
        // Names that lead to nothing are not gone through again.
        at = value.max(at);
        if end > value && !is_noun(bytes, value..end, link) {
            found.push(start..end);
            at = end;
        }
    }
    found
}

/// Whether what follows a name is such a name itself, and nothing follows that: `aws secretsmanager get-secret-value`.
fn is_noun(bytes: &[u8], value: Range<usize>, link: Link) -> bool {
    let word = bytes.get(value.clone()).unwrap_or_default();
    link == Link::Spoken
        && word.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
        && NAMES.find_at(bytes, value.start).is_some_and(|name| name.range() == value)
}

/// Where the value of a name begins, if it has one that may be a secret.
fn linked(bytes: &[u8], name: &regex::bytes::Captures<'_>) -> Option<(usize, Link)> {
    let whole = name.get(0)?;
    let (value, link) = link_after(bytes, whole.end(), whole.start())?;
    let rest = bytes.get(value..)?;
    let is_too_short = name.get(2).is_some()
        && (link != Link::Assigned || !is_name(whole.as_bytes(), bytes.get(whole.end())));
    if is_too_short || whole.as_bytes().eq_ignore_ascii_case(b"nopasswd") || is_reference(rest) {
        return None;
    }
    let start = rest.get(..LONGEST).unwrap_or(rest);
    let word = start.get(..length_of(start, |byte| byte != b' '))?;
    let tail = name.get(1).map_or(&b""[..], |tail| tail.as_bytes()).to_ascii_lowercase();
    let mut parts = tail.split(|byte| matches!(byte, b'_' | b'-'));
    if parts.any(|part| ABOUT.iter().any(|about| part == about.as_bytes())) && !is_random(word) {
        return None;
    }
    let is_spared = link == Link::Spoken
        && (is_spared(word)
            || tail == b"authentication"
            || is_listed(bytes, whole.range())
            || matches!(
                whole.start().checked_sub(1).and_then(|before| bytes.get(before)),
                Some(b'/' | b'\\')
            ));
    (!is_spared).then_some((value, link))
}

/// `auth` alone is a secret's name only in quotes, as in Docker's configuration; `--auth=basic` is none.
fn is_name(name: &[u8], next: Option<&u8>) -> bool {
    !name.eq_ignore_ascii_case(b"auth") || next == Some(&b'"')
}

/// Whether a secret is only asked for by its name, as in `kubectl get secret NAME`.
fn is_listed(bytes: &[u8], name: Range<usize>) -> bool {
    let before =
        bytes.get(name.start.saturating_sub(LONGEST)..name.start).unwrap_or_default().trim_ascii_end();
    let verb = before.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    bytes.get(name).is_some_and(|name| matches!(name, b"secret" | b"secrets"))
        && [&b"get"[..], b"describe", b"delete", b"edit", b"create"].contains(&verb)
}

/// Whether what follows a name and a blank is no value: an operator of the shell, an option, a word of a sentence.
fn is_spared(word: &[u8]) -> bool {
    let word = word.get(
        ..word.len()
            - word.iter().rev().take_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b')')).count(),
    );
    let word = word.unwrap_or_default();
    let is_option = word.strip_prefix(b"-").is_some_and(|option| {
        option.len() == 1
            || option.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'=' | b'_'))
    });
    let is_switch = word
        .strip_prefix(b"/")
        .is_some_and(|switch| switch.len() <= 3 && switch.iter().all(u8::is_ascii_alphabetic));
    let is_path = ROOTS.iter().any(|root| word.starts_with(root.as_bytes()));
    is_option
        || is_switch
        || is_path
        || matches!(word.first(), Some(b'|' | b'>' | b'<' | b'&' | b';' | b')' | b'}') | None)
        || word.starts_with(b"2>")
        || NO_VALUES.iter().any(|no| word.eq_ignore_ascii_case(no.as_bytes()))
}

/// What stands between a name that ends at `at` and its value: where the value begins.
fn link_after(bytes: &[u8], at: usize, start: usize) -> Option<(usize, Link)> {
    let rest = |at: usize| bytes.get(at..).unwrap_or_default();
    let blanks = |at: usize| at + length_of(rest(at), |byte| byte == b' ');
    if rest(at).starts_with(b">") && start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'<')
    {
        return Some((at + 1, Link::Element));
    }
    let quotes = length_of(rest(at), |byte| matches!(byte, b'\\' | b'"' | b'\'' | b'`')).min(2);
    // `[password]=…`, and not `[Security.Credential]::…`
    let sign = rest(blanks(at + quotes + 1)).first();
    let is_index =
        rest(at + quotes).starts_with(b"]") && (sign == Some(&b'=') || (quotes > 0 && sign == Some(&b':')));
    let closed = at + quotes + usize::from(is_index);
    let mut next = blanks(closed);
    // What `aws configure` shows of the former value.
    if closed == at && next > at && rest(next).starts_with(b"[") {
        next = blanks(next + length_of(rest(next), |byte| byte != b']') + 1);
    }
    let mut value = next;
    while let Some(sign) = ["<<<", ":=", "=>", "->", "==", "::", "?=", "||", ":", "="]
        .iter()
        .find(|sign| rest(value).starts_with(sign.as_bytes()))
    {
        // A command that follows on a failure, and not the other name of what is wanted.
        let is_closed = closed > at || matches!(rest(blanks(value + 2)).first(), Some(b'"' | b'\''));
        if *sign == "||" && !is_closed {
            break;
        }
        value = blanks(value + sign.len());
    }
    if value > next {
        return Some((value, Link::Assigned));
    }
    if matches!(rest(at), [b'>', b'"' | b'\'', ..]) {
        return Some((at + 1, Link::Assigned));
    }
    // password("…"), ("password", "…"), key="password" value="…"
    let is_call = rest(at).starts_with(b"(");
    let is_argument =
        closed > at && rest(next).starts_with(b",") && start >= 2 && rest(start - 2).starts_with(b"(");
    let is_attribute = closed > at && rest(next).starts_with(b"value");
    if is_call || is_argument || is_attribute {
        let sign = if is_attribute { blanks(next + "value".len()) } else { next };
        let value = blanks(sign + 1);
        return matches!(rest(value).first(), Some(b'"' | b'\'')).then_some((value, Link::Assigned));
    }
    if closed > at {
        return None;
    }
    if next == at {
        return None;
    }
    let verbs = ["is ", "was ", "to "];
    let verb = verbs.iter().find(|verb| {
        rest(next).get(..verb.len()).is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()))
    });
    Some((verb.map_or(next, |verb| blanks(next + verb.len())), Link::Spoken))
}

/// The end of a value that begins at `at`: of its quotes, or of the word.
fn end_of_value(bytes: &[u8], at: usize, link: Link) -> usize {
    let value = bytes.get(at..).unwrap_or_default();
    if link == Link::Element {
        return at + length_of(value, |byte| byte != b'<');
    }
    at + length_of_value(value)
}
