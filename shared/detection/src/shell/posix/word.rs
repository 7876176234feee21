//! Words: quotes, escapes and expansions, and the commands within them.

use super::{Close, Reader};
use crate::shell::DEPTH_LIMIT;
use crate::shell::expand::{self, Value};

/// A word after expansion, with what is needed to finish it.
#[derive(Debug, Clone, Default)]
pub(in crate::shell) struct Word {
    pub(in crate::shell) text: Vec<u8>,
    /// Positions of unquoted `{`, `,` and `}`.
    pub(in crate::shell) braces: Vec<usize>,
    /// Whether an unquoted `*`, `?` or `[` is in it.
    pub(in crate::shell) glob: bool,
    /// Whether any of it was quoted or escaped: then it is no keyword.
    pub(in crate::shell) quoted: bool,
}

impl Reader<'_, '_> {
    /// Reads one word; an expansion may split it into several, or leave none.
    pub(super) fn word(&mut self, words: &mut Vec<Word>) {
        let mut word = Word::default();
        let mut started = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' => break,
                b'<' | b'>' => {
                    if self.ahead(1) != Some(b'(') || started {
                        break;
                    }
                    self.process_substitution(&mut word);
                    started = true;
                }
                b'\\' => {
                    match self.ahead(1) {
                        Some(b'\n') => {}
                        Some(next) => word.text.push(next),
                        None => word.text.push(b'\\'),
                    }
                    self.step(2);
                    word.quoted = true;
                    started = true;
                }
                b'\'' => {
                    self.step(1);
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    let end = memchr::memchr(b'\'', rest).unwrap_or(rest.len());
                    word.text.extend_from_slice(rest.get(..end).unwrap_or_default());
                    self.step(end.saturating_add(1));
                    word.quoted = true;
                    started = true;
                }
                b'"' => {
                    self.step(1);
                    self.double(&mut word, Some(b'"'));
                    word.quoted = true;
                    started = true;
                }
                b'$' | b'`' => {
                    let value = self.dollar();
                    match value {
                        Value::Text(text) => {
                            started = started || !text.is_empty();
                            word.text.extend_from_slice(&text);
                        }
                        Value::Quoted(text) => {
                            word.text.extend_from_slice(&text);
                            word.quoted = true;
                            started = true;
                        }
                        Value::Fields(text) => {
                            // The shell splits what an unquoted expansion yields.
                            let mut parts = text.split(u8::is_ascii_whitespace);
                            word.text.extend_from_slice(parts.next().unwrap_or_default());
                            for part in parts {
                                if !word.text.is_empty() {
                                    words.push(std::mem::take(&mut word));
                                }
                                word.text.extend_from_slice(part);
                            }
                            started = started || !word.text.is_empty();
                        }
                        Value::Unknown(text) => {
                            // `c${x}at`: a variable between letters that nobody set is nothing.
                            let glued = word.text.last().is_some_and(u8::is_ascii_alphabetic)
                                && self.peek().is_some_and(|next| next.is_ascii_alphabetic());
                            if !glued {
                                word.text.extend_from_slice(&text);
                            }
                            started = true;
                        }
                    }
                }
                b'{' | b',' | b'}' => {
                    word.braces.push(word.text.len());
                    word.text.push(byte);
                    self.step(1);
                    started = true;
                }
                b'*' | b'?' | b'[' => {
                    word.glob = true;
                    word.text.push(byte);
                    self.step(1);
                    started = true;
                }
                _ => {
                    word.text.push(byte);
                    self.step(1);
                    started = true;
                }
            }
        }
        if started {
            words.push(word);
        }
    }

    /// Reads up to the closing quote, or to the end where there is none.
    pub(super) fn double(&mut self, word: &mut Word, close: Option<u8>) {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' if close == Some(b'"') => {
                    self.step(1);
                    return;
                }
                b'\\' => {
                    match self.ahead(1) {
                        Some(b'\n') => {}
                        Some(next @ (b'$' | b'`' | b'"' | b'\\')) => word.text.push(next),
                        Some(next) => word.text.extend_from_slice(&[b'\\', next]),
                        None => word.text.push(b'\\'),
                    }
                    self.step(2);
                }
                b'$' | b'`' => match self.dollar() {
                    Value::Fields(text) if text == b" " => word.text.push(b' '),
                    Value::Text(text) | Value::Quoted(text) | Value::Fields(text) | Value::Unknown(text) => {
                        word.text.extend_from_slice(&text);
                    }
                },
                _ => {
                    word.text.push(byte);
                    self.step(1);
                }
            }
        }
    }

    /// Reads an expansion that starts with `$` or a backtick.
    pub(super) fn dollar(&mut self) -> Value {
        let start = self.at;
        if self.peek() == Some(b'`') {
            return self.backtick();
        }
        self.step(1);
        match self.peek() {
            Some(b'\'') => {
                self.step(1);
                Value::Quoted(self.ansi_c())
            }
            Some(b'"') => {
                self.step(1);
                let mut word = Word::default();
                self.double(&mut word, Some(b'"'));
                Value::Quoted(word.text)
            }
            Some(b'(') if self.ahead(1) == Some(b'(') => {
                self.arithmetic();
                Value::Unknown(self.slice(start, self.at).to_vec())
            }
            Some(b'(') => {
                self.step(1);
                self.substitution(start)
            }
            Some(b'{') => self.parameter(start),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name_start = self.at;
                while self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || next == b'_') {
                    self.step(1);
                }
                let name = String::from_utf8_lossy(self.slice(name_start, self.at)).into_owned();
                match self.work.value(&name) {
                    Some(value) => Value::Fields(value.into_bytes()),
                    None => Value::Unknown(self.slice(start, self.at).to_vec()),
                }
            }
            // No positional parameter is set at a prompt, unless by `set --`.
            Some(b'@' | b'*') => {
                self.step(1);
                let all = self.work.value("@");
                all.map_or(Value::Text(Vec::new()), |all| Value::Fields(all.into_bytes()))
            }
            Some(b'0'..=b'9') => {
                self.step(1);
                let name = String::from_utf8_lossy(self.slice(start.saturating_add(1), self.at)).into_owned();
                let value = self.work.value(&name);
                value.map_or(Value::Text(Vec::new()), |value| Value::Fields(value.into_bytes()))
            }
            Some(b'#' | b'?' | b'-' | b'$' | b'!') => {
                self.step(1);
                Value::Text(self.slice(start, self.at).to_vec())
            }
            _ => Value::Text(vec![b'$']),
        }
    }

    /// Reads the commands of `$( … )` after its bracket; its value is what they are known to print.
    fn substitution(&mut self, start: usize) -> Value {
        if self.depth >= DEPTH_LIMIT {
            self.work.reading.cut = true;
            return Value::Unknown(self.slice(start, self.at).to_vec());
        }
        self.depth = self.depth.saturating_add(1);
        let via = self.origin.via.len();
        self.origin.via.push("substitution".to_owned());
        let printed = self.list(Close::Paren).all();
        self.origin.via.truncate(via);
        self.depth = self.depth.saturating_sub(1);
        self.substituted(printed, start)
    }

    fn substituted(&mut self, printed: Option<Vec<u8>>, start: usize) -> Value {
        match printed {
            Some(mut text) if !text.is_empty() => {
                while text.last() == Some(&b'\n') {
                    text.pop();
                }
                Value::Fields(text)
            }
            _ => Value::Unknown(self.slice(start, self.at).to_vec()),
        }
    }

    fn backtick(&mut self) -> Value {
        let start = self.at;
        self.step(1);
        let mut inner = Vec::new();
        while let Some(byte) = self.peek() {
            self.step(1);
            match byte {
                b'`' => break,
                b'\\' => {
                    match self.peek() {
                        Some(next @ (b'`' | b'\\' | b'$')) => inner.push(next),
                        Some(next) => inner.extend_from_slice(&[b'\\', next]),
                        None => inner.push(b'\\'),
                    }
                    self.step(1);
                }
                _ => inner.push(byte),
            }
        }
        if self.depth >= DEPTH_LIMIT || !self.work.charge(inner.len()) {
            return Value::Unknown(self.slice(start, self.at).to_vec());
        }
        let mut origin = self.origin.clone();
        origin.via.push("substitution".to_owned());
        let mut reader = Reader {
            text: &inner,
            at: 0,
            depth: self.depth.saturating_add(1),
            script: self.script,
            origin,
            heredocs: Vec::new(),
            heredocs_left: 0,
            loop_head: None,
            work: &mut *self.work,
        };
        let printed = reader.list(Close::End).all();
        self.substituted(printed, start)
    }

    /// Reads `<( … )`: a file whose content is known when its commands' output is.
    pub(super) fn process_substitution(&mut self, word: &mut Word) {
        let start = self.at;
        self.step(2);
        let value = self.substitution(start);
        let raw = self.slice(start, self.at).to_vec();
        if let Value::Fields(content) = value {
            self.work.remember(&String::from_utf8_lossy(&raw), content, false);
        }
        word.text.extend_from_slice(&raw);
    }

    /// Reads `${ … }`.
    fn parameter(&mut self, start: usize) -> Value {
        self.step(1);
        let inner_start = self.at;
        let mut open = 1_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' => open = open.saturating_add(1),
                b'}' => open = open.saturating_sub(1),
                b'\\' => self.step(1),
                _ => {}
            }
            if open == 0 {
                break;
            }
            self.step(1);
        }
        let inner = self.slice(inner_start, self.at).to_vec();
        self.step(1);
        let raw = self.slice(start, self.at).to_vec();
        // A default such as `${x:-$(cmd)}` runs its commands.
        let inner =
            if inner.contains(&b'$') || inner.contains(&b'`') { self.expanded(&inner) } else { inner };
        match self.work.parameter(&String::from_utf8_lossy(&inner)) {
            Some(value) => Value::Fields(value.into_bytes()),
            None => Value::Unknown(raw),
        }
    }

    /// Reads the inside of `$'…'`.
    fn ansi_c(&mut self) -> Vec<u8> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' => break,
                b'\\' => self.step(2),
                _ => self.step(1),
            }
        }
        let text = expand::unescape(self.slice(start, self.at));
        self.step(1);
        text
    }
}

pub(super) fn is_word(word: Option<&Word>, text: &[u8]) -> bool {
    word.is_some_and(|word| !word.quoted && word.text == text)
}

/// Whether a word is `NAME=…` or `NAME+=…`.
pub(super) fn is_assignment(text: &[u8]) -> bool {
    let name_length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let starts_well = text.first().is_some_and(|byte| !byte.is_ascii_digit());
    let rest = text.get(name_length..).unwrap_or_default();
    starts_well && name_length > 0 && (rest.starts_with(b"=") || rest.starts_with(b"+="))
}
