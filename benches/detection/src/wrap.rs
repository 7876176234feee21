//! Ways in which a command is hidden.

use detection::shell::{self, Dialect};

/// One way.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// The line wrapped, or nothing where this way cannot hold it.
    pub(crate) wrap: fn(&str) -> Option<String>,
}

/// All ways.
pub(crate) const FAMILIES: [Family; 27] = [
    Family { name: "as it is", wrap: |line| Some(line.to_owned()) },
    Family { name: "sh -c", wrap: |line| Some(format!("sh -c {}", quoted(line))) },
    Family {
        name: "bash -c, twice",
        wrap: |line| Some(format!("bash -c {}", quoted(&format!("sh -c {}", quoted(line))))),
    },
    Family { name: "eval", wrap: |line| Some(format!("eval {}", quoted(line))) },
    Family { name: "sudo", wrap: |line| simple(line).map(|_| format!("sudo -n {line}")) },
    Family { name: "sudo sh -c", wrap: |line| Some(format!("sudo -u root sh -c {}", quoted(line))) },
    Family { name: "su -c", wrap: |line| Some(format!("su - root -c {}", quoted(line))) },
    Family { name: "env", wrap: |line| simple(line).map(|_| format!("env -i LANG=C {line}")) },
    Family {
        name: "nohup, timeout, nice",
        wrap: |line| simple(line).map(|_| format!("nohup timeout 60 nice -n 5 {line} &")),
    },
    Family { name: "xargs", wrap: |line| simple(line).and_then(|words| xargs(&words)) },
    Family {
        name: "find -exec",
        wrap: |line| simple(line).map(|_| format!("find . -maxdepth 0 -exec {line} \\;")),
    },
    Family {
        name: "ssh",
        wrap: |line| Some(format!("ssh -o BatchMode=yes root@192.0.2.7 {}", quoted(line))),
    },
    Family { name: "docker exec", wrap: |line| Some(format!("docker exec -it web sh -c {}", quoted(line))) },
    Family {
        name: "base64 piped to sh",
        wrap: |line| Some(format!("echo {} | base64 -d | sh", base64(line))),
    },
    Family {
        name: "base64 here-string to bash",
        wrap: |line| Some(format!("base64 --decode <<< {} | bash", base64(line))),
    },
    Family {
        name: "base64 in a substitution",
        wrap: |line| Some(format!("bash -c \"$(echo {} | base64 -d)\"", base64(line))),
    },
    Family { name: "hex by xxd", wrap: |line| Some(format!("echo {} | xxd -r -p | bash", hex(line, ""))) },
    Family { name: "hex by printf", wrap: |line| Some(format!("printf '{}' | sh", hex(line, "\\x"))) },
    Family { name: "hex by echo -e", wrap: |line| Some(format!("echo -e '{}' | bash", hex(line, "\\x"))) },
    Family {
        name: "reversed",
        wrap: |line| {
            (!line.contains('\n'))
                .then(|| format!("echo {} | rev | sh", quoted(&line.chars().rev().collect::<String>())))
        },
    },
    Family { name: "here-string to bash", wrap: |line| Some(format!("bash <<< {}", quoted(line))) },
    Family { name: "here-document to sh", wrap: |line| Some(format!("sh <<'END'\n{line}\nEND")) },
    Family { name: "$IFS", wrap: |line| simple(line).map(|words| words.join("${IFS}")) },
    Family {
        name: "quotes in words",
        wrap: |line| simple(line).map(|words| each(&words, |word| split(word, "''"))),
    },
    Family {
        name: "backslashes in words",
        wrap: |line| simple(line).map(|words| each(&words, |word| split(word, "\\"))),
    },
    Family { name: "variables", wrap: |line| simple(line).and_then(|words| variables(&words)) },
    Family {
        name: "python os.system",
        wrap: |line| {
            Some(format!("python3 -c {}", quoted(&format!("import os; os.system({})", python(line)))))
        },
    },
];

/// The words of a line that is one plain command, with nothing in it that a shell would treat.
fn simple(line: &str) -> Option<Vec<String>> {
    let is_plain = line.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'/' | b'.' | b'-' | b'_' | b':' | b'=' | b'@' | b'+' | b',' | b'%')
    });
    let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let is_builtin = words
        .first()
        .is_none_or(|name| name.contains('=') || matches!(name.as_str(), "cd" | "export" | "unset"));
    let is_one = shell::read(line, Dialect::Posix).scripts.len() == 1;
    (is_plain && !is_builtin && is_one).then_some(words)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn python(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn hex(text: &str, before: &str) -> String {
    text.bytes().map(|byte| format!("{before}{byte:02x}")).collect()
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let value = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (position, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = ALPHABET.get((value >> shift & 63) as usize).copied().unwrap_or(b'A');
            encoded.push(if position > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    encoded
}

fn each(words: &[String], change: impl Fn(&str) -> String) -> String {
    words.iter().map(|word| change(word)).collect::<Vec<_>>().join(" ")
}

/// A word with something between its letters that a shell takes out again.
fn split(word: &str, between: &str) -> String {
    let mut letters = word.chars();
    let first: String = letters.by_ref().take(1).collect();
    if letters.as_str().is_empty() {
        return first;
    }
    format!("{first}{between}{}", letters.as_str())
}

fn xargs(words: &[String]) -> Option<String> {
    let (name, arguments) = words.split_first()?;
    (!arguments.is_empty()).then(|| format!("printf '%s ' {} | xargs {name}", arguments.join(" ")))
}

fn variables(words: &[String]) -> Option<String> {
    let (name, arguments) = words.split_first()?;
    let (head, tail) = name.split_at_checked(name.len() / 2)?;
    Some(format!("a={head}; b={tail}; $a$b {}", arguments.join(" ")))
}
