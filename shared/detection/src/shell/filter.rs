//! What a command prints, where that follows from its arguments and input alone.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::expand::{known_file, known_glob, unescape};
use super::{TEXT_LIMIT, Work, base_name};

/// Accepts text with and without padding: what `base64 -d` prints before it complains is run all the same.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What the command prints given its input, or nothing where that cannot be told.
pub(super) fn printed(work: &Work, argv: &[String], input: Option<&[u8]>) -> Option<Vec<u8>> {
    let (name, arguments) = argv.split_first()?;
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let text = match base_name(name) {
        "echo" => echo(arguments),
        "printf" => printf(arguments),
        // Where a program is: the first of its usual places.
        "which" => format!("/usr/bin/{}\n", arguments.iter().find(|argument| !argument.starts_with('-'))?)
            .into_bytes(),
        "command" if has("-v") => format!("/usr/bin/{}\n", arguments.get(1)?).into_bytes(),
        "mktemp" => format!("{}\n", temporary(arguments)).into_bytes(),
        "ls" => listed(arguments)?,
        "find" => format!("{}\n", found(arguments)?).into_bytes(),
        "cat" | "tee" => input_or_file(work, arguments, input)?,
        "base64" | "gbase64" | "openssl" => {
            let decodes = arguments.iter().any(|argument| {
                matches!(argument.as_str(), "-D" | "--decode" | "-id") || argument.starts_with("-d")
            });
            if !decodes {
                return None;
            }
            base64_text(&input_or_file(work, arguments, input)?)?
        }
        "base32" if has("-d") || has("--decode") => base32_text(&input_or_file(work, arguments, input)?),
        "xxd" if arguments.iter().any(|argument| argument.starts_with("-r") || argument == "-revert") => {
            hex_text(&input_or_file(work, arguments, input)?)
        }
        "rev" => {
            let input = input_or_file(work, arguments, input)?;
            let text = String::from_utf8_lossy(&input);
            let lines = text.lines().map(|line| line.chars().rev().collect::<String>());
            lines.collect::<Vec<_>>().join("\n").into_bytes()
        }
        "tac" => {
            let input = input_or_file(work, arguments, input)?;
            let text = String::from_utf8_lossy(&input);
            text.lines().rev().collect::<Vec<_>>().join("\n").into_bytes()
        }
        "tr" => translated(arguments, input?)?,
        "sed" => substituted(arguments, input?)?,
        _ => return None,
    };
    (text.len() <= TEXT_LIMIT).then_some(text)
}

/// Decodes base64 as the tool does, blanks left out; `None` if nothing can be decoded.
pub(super) fn base64_text(text: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if let Some(end) =
        clean.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')))
    {
        clean.truncate(end);
    }
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    LENIENT.decode(&clean).ok().filter(|decoded| !decoded.is_empty())
}

fn input_or_file(work: &Work, arguments: &[String], input: Option<&[u8]>) -> Option<Vec<u8>> {
    let file = arguments.iter().find_map(|argument| work.content(argument));
    file.cloned().or_else(|| input.map(<[u8]>::to_vec))
}

/// A name as `mktemp` makes one: which letters stand in it does not matter, where it is does.
fn temporary(arguments: &[String]) -> String {
    let mut folder = "/tmp";
    let mut template = "tmp.XXXXXXXXXX";
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-p" => folder = rest.next().map_or(folder, String::as_str),
            flag if flag.starts_with("--tmpdir=") => folder = flag.get(9..).unwrap_or(folder),
            flag if flag.starts_with('-') => {}
            word => template = word,
        }
    }
    if template.starts_with(['/', '.', '~', '$']) {
        return template.to_owned();
    }
    format!("{}/{template}", folder.trim_end_matches('/'))
}

/// What `ls` prints of files that are known to be files; what a folder holds is not known.
fn listed(arguments: &[String]) -> Option<Vec<u8>> {
    let mut files = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    files.peek()?;
    let mut printed = String::new();
    for file in files {
        known_file(base_name(file)).filter(|known| known == file)?;
        printed.push_str(file);
        printed.push('\n');
    }
    Some(printed.into_bytes())
}

/// The one path that `find FOLDER -name NAME` looks for: where a pattern stands, a file that commands reach for.
pub(super) fn found(arguments: &[String]) -> Option<String> {
    let folder = arguments.first().filter(|folder| folder.starts_with(['/', '~']))?;
    let at = arguments.iter().position(|argument| argument == "-name")?;
    let name = arguments.get(at.saturating_add(1))?;
    if name.contains(['*', '?', '[']) {
        return known_glob(folder, name).map(str::to_owned);
    }
    if folder == "/" {
        return known_file(name).map(str::to_owned);
    }
    Some(format!("{}/{name}", folder.trim_end_matches('/')))
}

fn echo(arguments: &[String]) -> Vec<u8> {
    let mut arguments = arguments;
    let mut escapes = false;
    let mut newline = true;
    while let Some((first, rest)) = arguments.split_first() {
        let Some(flags) = first.strip_prefix('-').filter(|flags| !flags.is_empty()) else { break };
        if !flags.bytes().all(|flag| matches!(flag, b'n' | b'e' | b'E')) {
            break;
        }
        escapes = escapes || flags.contains('e');
        newline = newline && !flags.contains('n');
        arguments = rest;
    }
    let text = arguments.join(" ");
    // dash's `echo` resolves escapes without `-e`, and a command that needs them was written for it.
    let mut printed = if escapes || text.contains("\\x") || text.contains("\\0") {
        unescape(text.as_bytes())
    } else {
        text.into_bytes()
    };
    if newline {
        printed.push(b'\n');
    }
    printed
}

/// What `printf` makes of its format and values.
pub(super) fn printf(arguments: &[String]) -> Vec<u8> {
    let Some((format, values)) = arguments.split_first() else { return Vec::new() };
    let (format, values) = match (format.as_str(), values.split_first()) {
        ("--", Some((format, values))) => (format, values),
        _ => (format, values),
    };
    let format = unescape(format.as_bytes());
    let mut values = values.iter();
    let mut printed = Vec::new();
    loop {
        let mut used = false;
        let mut rest = format.as_slice();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'%' {
                printed.push(byte);
                continue;
            }
            match rest.split_first() {
                Some((b'%', after)) => {
                    printed.push(b'%');
                    rest = after;
                }
                Some((b's' | b'd' | b'q' | b'c', after)) => {
                    printed.extend_from_slice(values.next().map_or(&[], |value| value.as_bytes()));
                    used = true;
                    rest = after;
                }
                Some((b'b', after)) => {
                    printed.extend_from_slice(
                        &values.next().map_or(Vec::new(), |value| unescape(value.as_bytes())),
                    );
                    used = true;
                    rest = after;
                }
                _ => printed.push(b'%'),
            }
        }
        // The format is used again until the arguments are spent.
        if !used || values.len() == 0 || printed.len() > TEXT_LIMIT {
            return printed;
        }
    }
}

fn hex_text(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u32> = None;
    for digit in text.iter().filter_map(|byte| char::from(*byte).to_digit(16)) {
        match high.take() {
            Some(first) => decoded.push(u8::try_from((first << 4) | digit).unwrap_or(0)),
            None => high = Some(digit),
        }
    }
    decoded
}

fn base32_text(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut bits = 0_u32;
    let mut value = 0_u32;
    for byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'2'..=b'7' => byte.wrapping_sub(b'2').wrapping_add(26),
            _ => continue,
        };
        value = ((value << 5) | u32::from(digit)) & 0xffff;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            decoded.push(u8::try_from((value >> bits) & 0xff).unwrap_or(0));
        }
    }
    decoded
}

/// `tr SET1 SET2` and `tr -d SET`, the sets with ranges.
fn translated(arguments: &[String], input: &[u8]) -> Option<Vec<u8>> {
    let deletes = arguments.iter().any(|argument| argument == "-d");
    let mut sets = arguments.iter().filter(|argument| !argument.starts_with('-')).map(|set| set_bytes(set));
    let from = sets.next()?;
    if deletes {
        return Some(input.iter().copied().filter(|byte| !from.contains(byte)).collect());
    }
    let to = sets.next()?;
    let last = *to.last()?;
    let mut table = [0_u8; 256];
    for (byte, slot) in (0_u8..=255).zip(table.iter_mut()) {
        *slot = match from.iter().position(|candidate| *candidate == byte) {
            Some(position) => to.get(position).copied().unwrap_or(last),
            None => byte,
        };
    }
    Some(input.iter().map(|byte| table.get(usize::from(*byte)).copied().unwrap_or(*byte)).collect())
}

fn set_bytes(set: &str) -> Vec<u8> {
    let set = unescape(set.trim_start_matches('[').trim_end_matches(']').as_bytes());
    let mut bytes = Vec::new();
    let mut at = 0_usize;
    while let Some(&byte) = set.get(at) {
        match (set.get(at.saturating_add(1)), set.get(at.saturating_add(2))) {
            (Some(b'-'), Some(&end)) if end >= byte => {
                bytes.extend(byte..=end);
                at = at.saturating_add(3);
            }
            _ => {
                bytes.push(byte);
                at = at.saturating_add(1);
            }
        }
        if bytes.len() > 512 {
            break;
        }
    }
    bytes
}

/// One `s/from/to/` without metacharacters, the way junk letters are taken out of a hidden command.
fn substituted(arguments: &[String], input: &[u8]) -> Option<Vec<u8>> {
    let script = arguments.iter().find(|argument| !argument.starts_with('-'))?;
    let mut letters = script.strip_prefix('s')?.chars();
    let separator = letters.next().filter(|letter| !letter.is_alphanumeric())?;
    let mut parts = letters.as_str().split(separator);
    let (from, to) = (parts.next()?, parts.next()?);
    let is_plain = |text: &str| !text.contains(['.', '*', '[', '\\', '^', '$', '+', '?', '(', '|', '&', '{']);
    if from.is_empty() || !is_plain(from) || !is_plain(to) || to.len() > 64 {
        return None;
    }
    let text = String::from_utf8_lossy(input);
    Some(
        if parts.next()?.contains('g') { text.replace(from, to) } else { text.replacen(from, to, 1) }
            .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_prints_is_worked_out() {
        for (command, input, expected) in [
            ("echo a b", "", Some("a b\n")),
            ("echo -n -e a\\tb", "", Some("a\tb")),
            ("printf %s-%s\\n a b c d", "", Some("a-b\nc-d\n")),
            ("printf \\141\\x62%%", "", Some("ab%")),
            ("cat", "x", Some("x")),
            ("base64 -d", "aGk=", Some("hi")),
            ("base64 -d", "aG\nk", Some("hi")),
            ("base64", "hi", None),
            ("openssl base64 -d -A", "aGk=", Some("hi")),
            ("openssl enc -base64", "hi", None),
            ("base32 -d", "NBUQ====", Some("hi")),
            ("xxd -r -p", "68 69", Some("hi")),
            ("xxd -p", "hi", None),
            ("rev", "ih\nba", Some("hi\nab")),
            ("tac", "b\na", Some("a\nb")),
            ("tr a-z b-za", "gh", Some("hi")),
            ("tr -d x", "hxxi", Some("hi")),
            ("sed s/X//g", "hXiX", Some("hi")),
            ("sed s/.//g", "hi", None),
            ("which id", "", Some("/usr/bin/id\n")),
            ("grep x", "x", None),
        ] {
            let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let printed = printed(&Work::default(), &argv, Some(input.as_bytes()));
            assert_eq!(printed.as_deref(), expected.map(str::as_bytes), "{command} < {input}");
        }
    }
}
