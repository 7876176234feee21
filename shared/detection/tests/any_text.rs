//! Any text is read to its end: no panic, no hang, and never more than the limits say.

use detection::shell::{self, COMMAND_LIMIT, Dialect, TEXT_LIMIT};
use proptest::prelude::*;

const DIALECTS: [Dialect; 4] = [Dialect::Posix, Dialect::PowerShell, Dialect::Cmd, Dialect::Code];

/// Reads a text in every dialect and checks what must hold of any reading.
fn check(text: &str) {
    for dialect in DIALECTS {
        let reading = shell::read(text, dialect);
        assert!(reading.commands.len() <= COMMAND_LIMIT);
        assert!(reading.scripts.len() <= COMMAND_LIMIT);
        let kept: usize = reading.commands.iter().flat_map(|command| &command.argv).map(String::len).sum();
        assert!(kept <= 2 * TEXT_LIMIT + 64, "{kept} bytes of arguments out of {} bytes", text.len());
        for (number, command) in reading.commands.iter().enumerate() {
            assert!(command.parent.is_none_or(|parent| parent < number), "a carrier comes first");
            assert!(command.script < reading.scripts.len());
            command.command_line();
        }
    }
}

/// Words and signs that mean something to the reader, in any order.
fn shell_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "cat",
        "echo",
        "sh",
        "bash -c",
        "sudo",
        "xargs",
        "eval",
        "find",
        "-exec",
        "base64",
        "-d",
        "rev",
        "xxd -r -p",
        "tr a-z n-za-m",
        "printf",
        "python3 -c",
        "ssh",
        "docker exec",
        "env",
        "if",
        "then",
        "fi",
        "for",
        "in",
        "do",
        "done",
        "while",
        "case",
        "esac",
        "function",
        "{",
        "}",
        "(",
        ")",
        "((",
        "))",
        "[[",
        "]]",
        ";",
        ";;",
        "&",
        "&&",
        "|",
        "||",
        "\n",
        " ",
        "\t",
        "'",
        "\"",
        "\\",
        "`",
        "$",
        "$(",
        "${",
        "$'",
        "<<",
        "<<-",
        "<<<",
        "<(",
        ">(",
        ">",
        ">>",
        "2>&1",
        "#",
        "*",
        "?",
        "[",
        "]",
        ",",
        "=",
        "a=",
        "$a",
        "${a:1:2}",
        "${IFS}",
        "E",
        "/etc/shadow",
        "\\x63",
        "Y2F0",
        "\u{e9}",
        "\0",
        "!",
        "~",
        "^",
        "%",
        "-",
        "@",
        ":",
        "\u{1f600}",
        "powershell -enc",
        "cmd /c",
    ]);
    prop::collection::vec(pieces, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_shell_like_text_is_read(text in shell_text()) {
        check(&text);
    }

    #[test]
    fn any_text_is_read(text in ".{0,300}") {
        check(&text);
    }

    #[test]
    fn wrapping_in_a_shell_hides_nothing(name in "[a-z]{1,8}", argument in "/[a-z/]{1,20}") {
        let line = format!("{name} {argument}");
        let expected = shell::read(&line, Dialect::Posix).commands.first().map(shell::SimpleCommand::command_line);
        for wrapped in [format!("sh -c '{line}'"), format!("sudo bash -c \"{line}\""), format!("({line})"), format!("x=$({line})")] {
            let reading = shell::read(&wrapped, Dialect::Posix);
            let found = reading.commands.iter().any(|command| Some(command.command_line()) == expected);
            prop_assert!(found, "{}: {:?}", wrapped, reading);
        }
    }
}

#[test]
fn repetition_is_read_in_time_that_grows_with_the_text() {
    for unit in [
        "$(",
        "`",
        "<<a ",
        "<<a\n",
        "{a,",
        "{a,b}",
        "a=$a$a;",
        "((",
        "\"$(",
        "'",
        "${a",
        "${",
        "case x in ",
        "sudo ",
        "xargs ",
        "eval ",
        "echo x|sh;",
        "echo x|",
        "cat <<E\n",
        "<(",
        "env a=b ",
        "find -exec ",
        "sh -c \"",
        "a|",
        "[[ ",
        "{ ",
        "if ",
        "$'\\",
        "*",
        "/?",
        "\\",
        "$((",
        "&&",
        "for a in b;do ",
        "echo Y2F0|base64 -d|sh;",
        "python -c 'system(\"a\")';",
        "parallel a ::: ",
        "x() {",
        "trap 'a' 1;",
        "&'",
        "^",
        "bash<<<'bash<<<x';",
        "sh -c 'sh -c \"sh -c a\"';",
        "echo 'a' >f;sh f;",
        "s=${s}aa;echo $s|sh;",
        "{,}",
    ] {
        check(&unit.repeat(TEXT_LIMIT / unit.len() + 10));
    }
}
