//! The reader of POSIX shell and bash text: one pass over the bytes, recursion only into substitutions.

mod word;

use super::{COMMAND_LIMIT, DEPTH_LIMIT, Joint, Origin, Redirect, SimpleCommand, Work, expand, filter};

pub(super) use word::Word;
use word::{is_assignment, is_word};

/// How deep subshells and groups may nest before their brackets only separate.
const GROUP_LIMIT: usize = 64;

/// How many words of a loop are looked at.
const LOOP_WORDS: usize = 16;

/// How many here-documents of one text are looked for: each looks through the rest of the text.
const HEREDOC_LIMIT: usize = 16;

/// Reads a script; what it is known to print is its value in a substitution.
pub(super) fn read(work: &mut Work, text: &str, script: usize, origin: &Origin) -> Option<Vec<u8>> {
    let depth = origin.via.len();
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        depth,
        script,
        origin: origin.clone(),
        heredocs: Vec::new(),
        heredocs_left: HEREDOC_LIMIT,
        loop_head: None,
        work,
    };
    let printed = reader.list(Close::End).all();
    if origin.parent.is_none() {
        let directory = reader.origin.directory.take();
        work.known.directory = directory;
    }
    printed
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    End,
    Paren,
}

struct Heredoc {
    delimiter: Vec<u8>,
    quoted: bool,
    strip_tabs: bool,
    command: Option<usize>,
    redirect: usize,
}

/// A command being put together.
#[derive(Default)]
struct Building {
    words: Vec<Word>,
    assignments: Vec<String>,
    redirects: Vec<Redirect>,
    heredocs: Vec<Heredoc>,
}

impl Building {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.assignments.is_empty() && self.redirects.is_empty()
    }
}

/// One stage of a pipeline: a command, or a group that has been read already.
pub(super) enum Stage {
    /// A command that was kept.
    Command(usize),
    /// One that was not, because there were too many.
    Lost,
    /// A group: the commands that were kept since its start, and what they are known to print.
    Group { commands: std::ops::Range<usize>, output: Vec<u8> },
}

/// What a list is known to print.
#[derive(Default)]
struct Printed {
    text: Vec<u8>,
    /// Whether some commands print more than is known.
    partly: bool,
}

impl Printed {
    /// The text, if it is all that is printed.
    fn all(self) -> Option<Vec<u8>> {
        (!self.partly).then_some(self.text)
    }
}

/// A subshell or group whose end has not been seen.
struct Frame {
    stages: Vec<Stage>,
    output: Printed,
    /// How many commands there were at its start.
    first: usize,
}

struct Reader<'t, 'w> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    script: usize,
    origin: Origin,
    heredocs: Vec<Heredoc>,
    heredocs_left: usize,
    /// The loop whose first command is still to come.
    loop_head: Option<String>,
    work: &'w mut Work,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn ahead(&self, distance: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(distance)).copied()
    }

    fn step(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.text.len());
    }

    fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Reads commands up to the closing bracket or the end, and returns what they are known to print.
    fn list(&mut self, close: Close) -> Printed {
        let mut frames: Vec<Frame> = Vec::new();
        let mut stages: Vec<Stage> = Vec::new();
        let mut output = Printed::default();
        let mut building = Building::default();
        let mut joint = Joint::Sequence;
        let mut cases = 0_usize;
        let mut pattern = false;
        while let Some(byte) = self.peek() {
            if self.work.reading.commands.len() >= COMMAND_LIMIT {
                self.work.reading.cut = true;
                self.at = self.text.len();
                break;
            }
            match byte {
                b' ' | b'\t' | b'\r' => self.step(1),
                b'\\' if self.ahead(1) == Some(b'\n') => self.step(2),
                b'#' => self.comment(),
                b'\n' => {
                    self.finish(&mut building, joint, &mut stages);
                    self.step(1);
                    self.bodies(&stages);
                    self.pipeline(&mut stages, &mut output);
                    joint = Joint::Sequence;
                }
                b';' => {
                    self.finish(&mut building, joint, &mut stages);
                    self.pipeline(&mut stages, &mut output);
                    self.step(1);
                    joint = Joint::Sequence;
                    if matches!(self.peek(), Some(b';' | b'&')) {
                        while matches!(self.peek(), Some(b';' | b'&')) {
                            self.step(1);
                        }
                        pattern = cases > 0;
                    }
                }
                b'&' if self.ahead(1) == Some(b'>') => self.redirect(&mut building),
                b'&' => {
                    self.finish(&mut building, joint, &mut stages);
                    self.pipeline(&mut stages, &mut output);
                    joint = if self.ahead(1) == Some(b'&') { Joint::And } else { Joint::Background };
                    self.step(if joint == Joint::And { 2 } else { 1 });
                }
                b'|' => {
                    self.finish(&mut building, joint, &mut stages);
                    if self.ahead(1) == Some(b'|') {
                        self.pipeline(&mut stages, &mut output);
                        joint = Joint::Or;
                        self.step(2);
                    } else {
                        joint = Joint::Pipe;
                        self.step(if self.ahead(1) == Some(b'&') { 2 } else { 1 });
                    }
                }
                b'(' => {
                    if building.words.len() == 1 && building.assignments.is_empty() {
                        // `name() …` defines a function: its body is read where it stands.
                        building = Building::default();
                        self.step(1);
                        while matches!(self.peek(), Some(b' ' | b'\t' | b')')) {
                            self.step(1);
                        }
                    } else if building.is_empty() && self.ahead(1) == Some(b'(') {
                        self.arithmetic();
                    } else {
                        self.finish(&mut building, joint, &mut stages);
                        self.step(1);
                        self.open(&mut frames, &mut stages, &mut output);
                    }
                }
                b')' => {
                    self.finish(&mut building, joint, &mut stages);
                    self.step(1);
                    if frames.is_empty() && close == Close::Paren {
                        self.pipeline(&mut stages, &mut output);
                        return output;
                    }
                    self.close(&mut frames, &mut stages, &mut output);
                }
                b'<' | b'>' if self.ahead(1) != Some(b'(') => self.redirect(&mut building),
                _ => {
                    if pattern {
                        pattern = self.case_pattern(&mut cases);
                        continue;
                    }
                    let start = self.at;
                    let descriptor_end = self.descriptor();
                    if let Some(end) = descriptor_end {
                        self.at = end;
                        let digits = String::from_utf8_lossy(self.slice(start, end)).into_owned();
                        self.redirect_from(&mut building, &digits);
                        continue;
                    }
                    let before = building.words.len();
                    self.word(&mut building.words);
                    if self.at == start {
                        self.step(1);
                    }
                    if before != 0 {
                        if is_word(building.words.first(), b"[[") {
                            self.test(&mut building);
                        }
                        continue;
                    }
                    match self.keyword(&mut building) {
                        Keyword::None => {}
                        Keyword::Skip => {}
                        Keyword::Open => {
                            if self.depth < DEPTH_LIMIT {
                                self.open(&mut frames, &mut stages, &mut output);
                            }
                        }
                        Keyword::Close => {
                            self.finish(&mut building, joint, &mut stages);
                            self.close(&mut frames, &mut stages, &mut output);
                        }
                        Keyword::Case => {
                            cases = cases.saturating_add(1);
                            pattern = true;
                        }
                        Keyword::EndCase => cases = cases.saturating_sub(1),
                    }
                }
            }
        }
        self.finish(&mut building, joint, &mut stages);
        self.pipeline(&mut stages, &mut output);
        while !frames.is_empty() {
            self.close(&mut frames, &mut stages, &mut output);
            self.pipeline(&mut stages, &mut output);
        }
        output
    }

    /// Starts a group; beyond the limit its brackets only separate.
    fn open(&self, frames: &mut Vec<Frame>, stages: &mut Vec<Stage>, output: &mut Printed) {
        if frames.len() < GROUP_LIMIT {
            let first = self.work.reading.commands.len();
            frames.push(Frame { stages: std::mem::take(stages), output: std::mem::take(output), first });
        }
    }

    /// Ends a group: it becomes a stage of the pipeline around it.
    fn close(&mut self, frames: &mut Vec<Frame>, stages: &mut Vec<Stage>, output: &mut Printed) {
        self.pipeline(stages, output);
        if let Some(frame) = frames.pop() {
            let inner = std::mem::replace(output, frame.output);
            *stages = frame.stages;
            let commands = frame.first..self.work.reading.commands.len();
            stages.push(Stage::Group { commands, output: inner.text });
        }
    }

    fn comment(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at = memchr::memchr(b'\n', rest).map_or(self.text.len(), |end| self.at.saturating_add(end));
        self.mark_data();
    }

    fn mark_data(&mut self) {
        if let Some(script) = self.work.reading.scripts.get_mut(self.script) {
            script.has_data = true;
        }
    }

    /// Skips `(( … ))`.
    fn arithmetic(&mut self) {
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            self.step(1);
            match byte {
                b'(' => open = open.saturating_add(1),
                b')' => open = open.saturating_sub(1),
                b'\n' => return,
                _ => {}
            }
            if open == 0 {
                return;
            }
        }
    }

    /// Reads `[[ … ]]` as words: its operators are not the shell's.
    fn test(&mut self, building: &mut Building) {
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t')) {
                self.step(1);
            }
            match self.peek() {
                None | Some(b'\n' | b';') => return,
                Some(b'<' | b'>' | b'&' | b'|' | b'(' | b')') => self.step(1),
                Some(_) => {
                    let start = self.at;
                    self.word(&mut building.words);
                    if self.at == start {
                        self.step(1);
                    }
                }
            }
            if is_word(building.words.last(), b"]]") {
                return;
            }
        }
    }

    /// Reads one pattern of a `case`; `true` while a pattern is still to come.
    fn case_pattern(&mut self, cases: &mut usize) -> bool {
        let mut words = Vec::new();
        let start = self.at;
        self.word(&mut words);
        if self.at == start {
            self.step(1);
        }
        if is_word(words.first(), b"esac") {
            *cases = cases.saturating_sub(1);
            return false;
        }
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.step(1);
                    return false;
                }
                b'\n' | b';' => return false,
                _ => {
                    let start = self.at;
                    self.word(&mut Vec::new());
                    if self.at == start {
                        self.step(1);
                    }
                }
            }
        }
        false
    }

    /// Deals with a reserved word at the start of a command.
    fn keyword(&mut self, building: &mut Building) -> Keyword {
        let Some(word) = building.words.first() else { return Keyword::None };
        if word.quoted || building.words.len() != 1 || !building.assignments.is_empty() {
            return self.assignment(building);
        }
        let keyword = match word.text.as_slice() {
            b"if" | b"then" | b"else" | b"elif" | b"fi" | b"do" | b"!" | b"time" | b"coproc" => Keyword::Skip,
            b"while" | b"until" => {
                self.loop_head = Some("while".to_owned());
                Keyword::Skip
            }
            b"done" => Keyword::Skip,
            b"{" => Keyword::Open,
            b"}" => Keyword::Close,
            b"esac" => Keyword::EndCase,
            b"function" => {
                self.word_after_blanks();
                Keyword::Skip
            }
            b"for" | b"select" => {
                self.loop_words();
                Keyword::Skip
            }
            b"case" => {
                loop {
                    let words = self.word_after_blanks();
                    if words.is_empty() || is_word(words.first(), b"in") {
                        break;
                    }
                }
                Keyword::Case
            }
            b"[[" => {
                self.test(building);
                return Keyword::None;
            }
            _ => return self.assignment(building),
        };
        building.words.clear();
        keyword
    }

    /// Takes `NAME=value` before the name out of the words.
    fn assignment(&mut self, building: &mut Building) -> Keyword {
        let Some(word) = building.words.first() else { return Keyword::None };
        if !is_assignment(&word.text) {
            return Keyword::None;
        }
        for word in building.words.drain(..) {
            building.assignments.push(String::from_utf8_lossy(&word.text).into_owned());
        }
        Keyword::None
    }

    fn word_after_blanks(&mut self) -> Vec<Word> {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.step(1);
        }
        let mut words = Vec::new();
        self.word(&mut words);
        words
    }

    /// Reads `NAME in words` of a loop: the variable gets its first word, the best single guess, and all of them where
    /// they are paths: `cat $f` then reads as `cat` with every file that the loop goes through.
    fn loop_words(&mut self) {
        let start = self.at;
        let name = self.word_after_blanks();
        let Some(name) = name.first().map(|word| String::from_utf8_lossy(&word.text).into_owned()) else {
            return;
        };
        if !is_word(self.word_after_blanks().first(), b"in") {
            return;
        }
        let mut words = self.word_after_blanks();
        while let Some(byte) = self.peek() {
            if matches!(byte, b'\n' | b';') {
                break;
            }
            let more = self.word_after_blanks();
            if more.is_empty() && !matches!(self.peek(), Some(b'\n' | b';')) {
                self.step(1);
            }
            if words.len() < LOOP_WORDS {
                words.extend(more);
            }
        }
        let typed = String::from_utf8_lossy(self.slice(start, self.at)).into_owned();
        self.loop_head = Some(format!("for {}", typed.trim()));
        let values = expand::finish(words);
        let are_paths = values.iter().all(|value| value.starts_with(['/', '~']) && !value.contains(' '));
        if are_paths && !values.is_empty() {
            self.work.set(&name, &values.join(" "));
        } else if let Some(value) = values.first() {
            self.work.set(&name, value);
        }
    }

    /// Remembers the variables that a builtin sets: `set -- words`, `printf -v name`, `read name <<< text`.
    fn builtin(&mut self, argv: &[String], redirects: &[Redirect]) {
        let mut words = argv.iter().map(String::as_str);
        match (words.next(), words.next()) {
            (Some("set"), Some("--")) => {
                let all: Vec<&str> = words.take(9).collect();
                for (name, value) in ["1", "2", "3", "4", "5", "6", "7", "8", "9"].into_iter().zip(&all) {
                    self.work.set(name, value);
                }
                self.work.set("@", &all.join(" "));
            }
            (Some("printf"), Some("-v")) => {
                if let (Some(name), Some(values)) = (words.next(), argv.get(3..)) {
                    let text = filter::printf(values);
                    self.work.set(name, &String::from_utf8_lossy(&text));
                }
            }
            (Some("read"), Some(first)) => {
                let Some(text) = redirects.iter().find(|redirect| redirect.operator == "<<<") else { return };
                let names = std::iter::once(first).chain(words).filter(|name| !name.starts_with('-'));
                let names: Vec<&str> = names.take(9).collect();
                let values = text.target.splitn(names.len().max(1), ' ');
                for (name, value) in names.into_iter().zip(values) {
                    self.work.set(name, value);
                }
            }
            _ => {}
        }
    }

    /// Where the digits before a redirection end, if that is what stands here.
    fn descriptor(&self) -> Option<usize> {
        let mut end = self.at;
        while self.text.get(end).is_some_and(u8::is_ascii_digit) && end.saturating_sub(self.at) < 4 {
            end = end.saturating_add(1);
        }
        let is_redirect = end > self.at && matches!(self.text.get(end), Some(b'<' | b'>'));
        is_redirect.then_some(end)
    }

    fn redirect(&mut self, building: &mut Building) {
        self.redirect_from(building, "");
    }

    fn redirect_from(&mut self, building: &mut Building, descriptor: &str) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let symbol = ["&>>", "<<<", "<<-", "&>", "<<", ">>", ">&", "<&", "<>", ">|", "<", ">"]
            .into_iter()
            .find(|symbol| rest.starts_with(symbol.as_bytes()))
            .unwrap_or(">");
        self.step(symbol.len());
        let here = matches!(symbol, "<<" | "<<-");
        let words = self.word_after_blanks();
        let quoted = words.first().is_some_and(|word| word.quoted);
        let target = words.into_iter().map(|word| word.text).collect::<Vec<_>>().join(&b' ');
        if here && self.heredocs_left > 0 {
            self.heredocs_left = self.heredocs_left.saturating_sub(1);
            building.heredocs.push(Heredoc {
                delimiter: target.clone(),
                quoted,
                strip_tabs: symbol == "<<-",
                command: None,
                redirect: building.redirects.len(),
            });
        }
        let target = if here { String::new() } else { String::from_utf8_lossy(&target).into_owned() };
        building.redirects.push(Redirect { operator: format!("{descriptor}{symbol}"), target });
    }

    /// Reads the bodies of the here-documents of the line that has just ended.
    fn bodies(&mut self, stages: &[Stage]) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let start = self.at;
            let mut line = start;
            let mut body = Vec::new();
            let mut found = false;
            while line < self.text.len() {
                let rest = self.text.get(line..).unwrap_or_default();
                let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let mut content = rest.get(..length).unwrap_or_default();
                content = content.strip_suffix(b"\r").unwrap_or(content);
                if heredoc.strip_tabs {
                    while let Some(stripped) = content.strip_prefix(b"\t") {
                        content = stripped;
                    }
                }
                line = line.saturating_add(length).saturating_add(1);
                if content == heredoc.delimiter {
                    found = true;
                    break;
                }
                body.extend_from_slice(content);
                body.push(b'\n');
            }
            // A here-document that never ends hides nothing: what follows is read as commands as well.
            if found {
                self.at = line.min(self.text.len());
            }
            if !heredoc.quoted {
                body = self.expanded(&body);
            }
            let Some(index) = heredoc.command else { continue };
            if let Some(redirect) = self
                .work
                .reading
                .commands
                .get_mut(index)
                .and_then(|command| command.redirects.get_mut(heredoc.redirect))
            {
                redirect.target = String::from_utf8_lossy(&body).into_owned();
            }
            self.mark_data();
            // In `sh <<E && …` the pipeline has ended before its input was known.
            if !stages.iter().any(|stage| matches!(stage, Stage::Command(waiting) if *waiting == index)) {
                self.work.flow(vec![Stage::Command(index)], self.depth);
            }
        }
    }

    /// Expands text as between double quotes; commands substituted in it are read.
    fn expanded(&mut self, text: &[u8]) -> Vec<u8> {
        if !text.contains(&b'$') && !text.contains(&b'`') {
            return text.to_vec();
        }
        if self.depth >= DEPTH_LIMIT || !self.work.charge(text.len()) {
            return text.to_vec();
        }
        let mut inner = Reader {
            text,
            at: 0,
            depth: self.depth.saturating_add(1),
            script: self.script,
            origin: self.origin.clone(),
            heredocs: Vec::new(),
            heredocs_left: 0,
            loop_head: None,
            work: &mut *self.work,
        };
        let mut word = Word::default();
        inner.double(&mut word, None);
        word.text
    }

    /// Ends the command that is being put together.
    fn finish(&mut self, building: &mut Building, joint: Joint, stages: &mut Vec<Stage>) {
        let building = std::mem::take(building);
        if building.is_empty() {
            return;
        }
        let argv = expand::finish(building.words);
        for assignment in &building.assignments {
            if let Some((name, value)) = assignment.split_once('=').filter(|_| argv.is_empty()) {
                self.work.set(name.trim_end_matches('+'), value);
            }
        }
        let name = argv.first().map_or("", String::as_str);
        if matches!(name, "export" | "declare" | "local" | "readonly" | "typeset") {
            for (name, value) in argv.iter().skip(1).filter_map(|word| word.split_once('=')) {
                self.work.set(name, value);
            }
        }
        if name == "alias" {
            for (alias, text) in argv.iter().skip(1).filter_map(|word| word.split_once('=')) {
                self.work.set(&expand::alias(alias), text);
            }
        }
        if matches!(name, "set" | "printf" | "read") {
            self.builtin(&argv, &building.redirects);
        }
        let directory = self.origin.directory.clone();
        if name == "cd"
            && let Some(target) = argv.iter().skip(1).find(|word| !word.starts_with('-'))
        {
            self.origin.directory = expand::joined_path(self.origin.directory.as_deref(), target);
        }
        let is_quiet =
            argv.is_empty() && building.assignments.iter().all(|set| expand::is_plain_variable(set));
        let is_quiet = is_quiet && !building.assignments.is_empty();
        if is_quiet {
            self.mark_data();
        }
        let command = SimpleCommand {
            argv,
            quiet_assignments: is_quiet,
            assignments: building.assignments,
            redirects: building.redirects,
            via: self.origin.via.clone(),
            parent: self.origin.parent,
            script: self.script,
            loop_head: self.loop_head.take(),
            joint: Some(joint),
            directory,
            ..SimpleCommand::default()
        };
        let index = self.work.keep(command);
        for mut heredoc in building.heredocs {
            heredoc.command = index;
            self.heredocs.push(heredoc);
        }
        stages.push(index.map_or(Stage::Lost, Stage::Command));
    }

    /// Ends a pipeline: what flows through it is worked out and carriers are opened.
    fn pipeline(&mut self, stages: &mut Vec<Stage>, output: &mut Printed) {
        if stages.is_empty() {
            return;
        }
        let is_alternative = match stages.first() {
            Some(Stage::Command(index)) => {
                self.work.command(*index).is_some_and(|command| command.joint == Some(Joint::Or))
            }
            _ => false,
        };
        let has_printed = !output.text.is_empty();
        match self.work.flow(std::mem::take(stages), self.depth) {
            // `which python3 || which python`: the first that prints anything is the one.
            _ if is_alternative && has_printed => {}
            Some(more) if output.text.len().saturating_add(more.len()) <= super::TEXT_LIMIT => {
                output.text.extend_from_slice(&more);
            }
            _ => output.partly = true,
        }
    }
}

enum Keyword {
    None,
    Skip,
    Open,
    Close,
    Case,
    EndCase,
}
