//! What is recovered from whole transcripts, kind by kind, and what is not: each stated limit is a test.

use transcript::{Checkpoint, Command, Confidence, Coverage, Piece, Reader, ShellKind, Summary};

const HEADER: &str = "Script started on 2026-11-23 12:40:40+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/i-0abc/session/\
                      orchestration/alice-0def/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n";
const FOOTER: &str = "\nScript done on 2026-11-23 12:40:41+00:00 [COMMAND_EXIT_CODE=\"0\"]\n";

struct Session {
    commands: Vec<Command>,
    output: String,
    summary: Summary,
}

fn read(bytes: &[u8]) -> Session {
    let mut commands = Vec::new();
    let mut output = Vec::new();
    let mut see = |piece: Piece<'_>| match piece {
        Piece::Command(command) => commands.push(command),
        Piece::Output(text) => output.extend_from_slice(text.text),
    };
    let mut reader = Reader::new();
    reader.push(bytes, &mut see);
    let summary = reader.finish(&mut see);
    Session { commands, output: String::from_utf8_lossy(&output).into_owned(), summary }
}

/// A session as the agent logs it: `\n` in `body` stands for the end of a line on the terminal.
fn session(body: &str) -> Session {
    read(format!("{HEADER}{}{FOOTER}", body.replace('\n', "\r\r\n")).as_bytes())
}

fn ran(session: &Session) -> Vec<&str> {
    session.commands.iter().filter(|command| command.ran).map(|command| command.text.as_str()).collect()
}

fn coverage(body: &str) -> Coverage {
    session(body).summary.coverage
}

#[test]
fn the_first_and_the_last_line_tell_the_session() {
    let session = session(
        "sh-4.2$ cat log\nScript done on 2020-01-01 00:00:00+0000\nScript started on 2020\nsh-4.2$ exit\n",
    );
    let header = session.summary.header.unwrap();
    assert_eq!(header.ended, "2026-11-23 12:40:40+00:00");
    assert_eq!(
        (header.instance_id.unwrap(), header.session_id.unwrap()),
        ("i-0abc".to_owned(), "alice-0def".to_owned())
    );
    assert_eq!(session.summary.footer.unwrap().exit_code, Some(0));
    // What the session printed is output.
    assert!(
        session.output.contains("Script done on 2020") && session.output.contains("Script started on 2020")
    );
}

#[test]
fn the_last_line_may_be_forged_when_the_real_footer_is_missing() {
    let session =
        read(format!("{HEADER}sh-4.2$ cat x\r\r\nScript done on 2001-01-01 00:00:00+0000\n").as_bytes());
    assert_eq!(session.summary.footer.unwrap().ended, "2001-01-01 00:00:00+0000");
}

#[test]
fn commands_are_recovered_from_every_kind_of_shell() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("bash 4.2 as sh", "sh-4.2$ whoami\nroot\nsh-4.2$ id\n", &["whoami", "id"]),
        ("dash", "$ ls\na\n$ rm xx\x08 \x08\n$ \n", &["ls", "rm x"]),
        (
            "prompts with marks",
            "\x1b[?2004hbash-5.2# ls\n\x1b[?2004l\ra\n\x1b[?2004hbash-5.2# id\n\x1b[?2004l\r",
            &["ls", "id"],
        ),
        (
            "a title and colours before the prompt",
            "\x1b[?2004h\x1b]0;u@h: ~\x07\x1b[01;32mu@h\x1b[00m:\x1b[01;34m~\x1b[00m$ ls\n\x1b[?2004l\r",
            &["ls"],
        ),
        (
            "zsh, whose mark comes behind the prompt",
            "\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m                                       \r \r\r\x1b[0m\x1b[27m\x1b[24m\x1b[Jweb% \x1b[K\x1b[?1h\x1b=\x1b[?2004hl\x08ls\x1b[?1l\x1b>\x1b[?2004l\r\n",
            &["ls"],
        ),
        (
            "fish, which draws again at the end of its prompt",
            "\x1b[?2004h\r\x1b[92mroot\x1b(B\x1b[m@vm ~# \x1b[K\r\x1b[11Cls\r\x1b[13C\x1b[38;5;240m -la\r\x1b[13C\x1b[K\r\x1b[13C\n\x1b[?2004l",
            &["ls"],
        ),
        (
            "PowerShell on a terminal",
            "PS C:\\> dir\nx\nPS C:\\> cd a\nPS C:\\a> dir\n",
            &["dir", "cd a", "dir"],
        ),
    ];
    for (name, body, expected) in cases {
        assert_eq!(ran(&session(body)), *expected, "{name}");
    }
}

#[test]
fn edits_leave_what_was_entered() {
    for (typed, expected) in [
        ("lss\x08 \x08 -l", "ls -l"),
        ("cat b\x08\x1b[2@a/", "cat a/b"),
        ("rm -rf /\r$ \x1b[Kls", "ls"),
        ("\r(reverse-i-search)`': \x08\x08\x08i': id\x08\x08\r$ id\x1b[K", "id"),
        ("keep drop\x08\x08\x08\x08\x1b[K", "keep"),
        ("cat a\x07lpha.txt ", "cat alpha.txt"),
    ] {
        assert_eq!(ran(&session(&format!("$ {typed}\nout\n"))), [expected], "{typed:?}");
    }
}

#[test]
fn a_wrapped_line_is_one_line_at_any_width() {
    for width in [40_usize, 77, 132] {
        let prompt = "sh-4.2$ ";
        let text: String = ('a'..='z').cycle().take(width + 20).collect();
        let (first, second) = text.split_at(width - prompt.len());
        // Typed to the right edge and beyond. What is put in at the start moves the last character to the next row.
        let (_, last) = first.split_at(first.len() - 1);
        let (next, _) = second.split_at(1);
        let right = "\x1b[C".repeat(prompt.len());
        let body = format!("{prompt}{first} \r{second}\x1b[A\r{right}X{first}\x1b[1@{next}\n");
        assert!(body.contains(&format!("{last}\x1b[1@")));
        assert_eq!(ran(&session(&body)), [format!("X{text}")], "{width}");
    }
}

/// A line editor's region with marks: what `drawn` leaves is run.
fn region(drawn: &str) -> String {
    format!("\x1b[?2004h{drawn}\n\x1b[?2004l\r")
}

#[test]
fn what_a_line_editor_does_tells_the_width() {
    let right = |count: usize| "\x1b[C".repeat(count);
    let long = format!("echo {}", "x".repeat(170));
    let words: String = (0..22).map(|number| format!(" word{number:02}")).collect();
    let words = format!("echo{words}");
    // On 132 columns: typed at once, so that no mark of a full row is written. History gives a shorter line.
    let recalled =
        format!("bash-5.2# {long}\x1b[A\r{}printf x\x1b[K\n\r\x1b[K\x1b[A{} #x", right(10), right(18));
    // On 80 columns: a line of two rows, then what was run before that, over three.
    let over_rows = format!(
        "bash-5.2# echo \"first\n\rsecond\"\x1b[A{}{}\x1b[A\x1b[A{}cd\x1b[K\n\r\x1b[K\n\r\x1b[K\x1b[A\x1b[A{}",
        right(8),
        words.trim_start_matches("echo "),
        right(2),
        right(12),
    );
    // On 157 columns: `time` is put before the line, whose last characters move.
    let put_in = format!(
        "bash-5.2# {long}\x1b[A\r{}time echo {}{}xxxxx\x1b[A\r{}",
        right(10),
        "x".repeat(138),
        right(27),
        right(15),
    );
    let before = ["printf x", "cd", words.as_str()].map(|text| region(&format!("bash-5.2# {text}"))).concat();
    for (name, drawn, expected) in [
        ("a shorter line recalled", recalled, "printf x #x".to_owned()),
        ("lines of two and three rows recalled", over_rows, "cd".to_owned()),
        ("put in at the start", put_in, format!("time {long}")),
    ] {
        let session = session(&format!("{before}{}", region(&drawn)));
        assert_eq!(ran(&session).last(), Some(&expected.as_str()), "{name}");
    }
}

#[test]
fn a_full_row_is_told_from_a_prompt_that_is_drawn_again() {
    let row = format!("work ~: {}", "a".repeat(72));
    for (drawn, expected) in [
        (format!("{row} \rword"), format!("{}word", "a".repeat(72))),
        // The prompt and what follows it, over the old.
        ("work ~: rm \rwork ~: ls\x1b[K".to_owned(), "ls".to_owned()),
    ] {
        let session = session(&format!("{}{}", region("work ~: id"), region(&drawn)));
        assert_eq!(ran(&session), ["id", expected.as_str()], "{drawn:?}");
    }
}

#[test]
fn rows_that_were_wrapped_before_are_no_longer() {
    let long = "x".repeat(130);
    let up = "\x1b[A";
    for (drawn, expected) in [
        // Cleared, and a command of two rows drawn in their place.
        (
            format!("$ {long}{up}\r\x1b[C\x1b[Cid\x1b[K\n\r\x1b[K{up}\r\x1b[C\x1b[Cecho 'a\n\rb'"),
            "echo 'a\nb'",
        ),
        // Cleared with blanks up to the right edge.
        (format!("$ {long}{up}\r\x1b[C\x1b[Ccat <<E{}a\x1b[K\n\rE", " ".repeat(71)), "cat <<E\na\nE"),
    ] {
        let full = format!("$ {} \rx", "x".repeat(38));
        let session = session(&format!("{}{}{}", region("$ ls"), region(&full), region(&drawn)));
        assert_eq!(ran(&session).last(), Some(&expected), "{drawn:?}");
    }
}

#[test]
fn a_search_that_readline_leaves_standing_is_taken_away() {
    for search in ["(reverse-i-search)`ec': ", "(failed reverse-i-search)`ecx': ", "(i-search)`ec': "] {
        let drawn = format!("sh-5.2$           {search}echo 'a\n\rb'");
        let session = session(&format!("{}{}", region("sh-5.2$ ls"), region(&drawn)));
        assert_eq!(ran(&session), ["ls", "echo 'a\nb'"], "{search}");
    }
}

#[test]
fn lines_that_belong_together_are_joined() {
    for (body, expected) in [
        ("sh-4.2$ cat <<EOF\n> one\n> EOF\none\n", vec!["cat <<EOF\none\nEOF"]),
        ("sh-4.2$ echo 'a\n> b'\na\nb\n", vec!["echo 'a\nb'"]),
        ("sh-4.2$ echo a \\\n> b\na b\n", vec!["echo a b"]),
        ("sh-4.2$ for i in 1; do\n> id\n> done\n", vec!["for i in 1; do\nid\ndone"]),
        ("sh-4.2$ echo 'a\n> ^C\nsh-4.2$ id\n", vec!["id"]),
        // Output that looks like a second prompt belongs to nothing.
        ("sh-4.2$ cat mail\n> quoted\nsh-4.2$ id\n", vec!["cat mail", "id"]),
    ] {
        assert_eq!(ran(&session(body)), expected, "{body:?}");
    }
}

#[test]
fn every_command_of_a_paste_is_a_command() {
    let marked =
        "\x1b[?2004hsh-5.2$ \x1b[7mid\n\rwhoami\n\rfor i in 1; do\n\rls\n\rdone\x1b[27m\n\x1b[?2004l\r";
    assert_eq!(ran(&session(marked)), ["id", "whoami", "for i in 1; do\nls\ndone"]);
    // Without a line editor the terminal shows all of it at once, and the prompts after that nothing.
    let burst = "$ date\necho a\necho b\nMon\n$ a\n$ b\n$ exit\n";
    assert_eq!(ran(&session(burst)), ["date", "echo a", "echo b", "exit"]);
}

#[test]
fn nested_shells_and_programs_have_prompts_of_their_own() {
    let body = "sh-4.2$ sudo su\n[root@web ssm-user]# id\nuid=0\n[root@web ssm-user]# exit\nexit\nsh-4.2$ python3\n\
                Python 3.9\n>>> 1+1\n2\n>>> exit()\nsh-4.2$ docker exec -it app sh\n/ # ls\nbin\n/ # exit\n\
                sh-4.2$ mysql\nWelcome\nmysql> select\n    -> 1;\n1\nmysql> exit\nBye\nsh-4.2$ exit\n";
    let session = session(body);
    let shells: Vec<(&str, ShellKind)> =
        session.commands.iter().map(|command| (command.text.as_str(), command.shell)).collect();
    assert_eq!(
        shells,
        [
            ("sudo su", ShellKind::Posix),
            ("id", ShellKind::Posix),
            ("exit", ShellKind::Posix),
            ("python3", ShellKind::Posix),
            ("1+1", ShellKind::Repl),
            ("exit()", ShellKind::Repl),
            ("docker exec -it app sh", ShellKind::Posix),
            ("ls", ShellKind::Posix),
            ("exit", ShellKind::Posix),
            ("mysql", ShellKind::Posix),
            ("select\n1;", ShellKind::Repl),
            ("exit", ShellKind::Repl),
            ("exit", ShellKind::Posix),
        ]
    );
}

#[test]
fn a_database_that_marks_its_prompts_is_read() {
    // sqlite3 asks for more until a semicolon, with a mark each time.
    let body = [
        region("sh-5.2$ sqlite3 :memory:"),
        "SQLite version 3.40.1\n".to_owned(),
        region("sqlite> insertt\x08\x1b[K into t"),
        region("   ...> values (1);"),
        region("sqlite> .quit"),
        region("sh-5.2$ id"),
    ];
    let session = session(&body.concat());
    let found: Vec<_> =
        session.commands.iter().map(|command| (command.text.as_str(), command.shell)).collect();
    assert_eq!(
        found,
        [
            ("sqlite3 :memory:", ShellKind::Posix),
            ("insert into t\nvalues (1);", ShellKind::Repl),
            (".quit", ShellKind::Repl),
            ("id", ShellKind::Posix)
        ]
    );
}

#[test]
fn a_command_comes_with_its_place_and_its_output() {
    let session = session("sh-4.2$ ls\none\ntwo\nsh-4.2$ echo x^C\nsh-4.2$ left");
    let summary: Vec<_> =
        session.commands.iter().map(|command| (command.line, command.ran, command.output.len())).collect();
    assert_eq!(summary, [(2, true, 2), (5, false, 0), (6, false, 0)]);
    let first = session.commands.first().unwrap();
    assert_eq!(
        (first.prompt.as_str(), first.confidence, first.offset),
        ("sh-4.2$ ", Confidence::Medium, HEADER.len() as u64)
    );
    assert_eq!((session.summary.commands, session.summary.lines), (3, 7));
}

#[test]
fn a_full_screen_program_is_output() {
    let body = "sh-4.2$ vi x\n\x1b[?1049h\x1b[?1h\x1b=\x1b[5;1Hsh-4.2$ rm -rf /\x1b[?1049l\nsh-4.2$ id\n";
    let session = session(body);
    assert_eq!(ran(&session), ["vi x", "id"]);
    assert!(session.output.contains("rm -rf /"));
    assert_eq!(session.summary.coverage.alternate_screens, 1);
}

#[test]
fn a_windows_transcript_is_read() {
    let text = "**********************\r\nWindows PowerShell transcript start\r\nUsername: WEB\\SYSTEM\r\n\
                **********************\r\nTranscript started, output file is C:\\a.log\r\n\
                PS C:\\> Get-Item `\r\n>> a\r\nout\r\nPS C:\\> cmd\r\nMicrosoft Windows\r\nC:\\>dir\r\nC:\\>exit\r\n\
                **********************\r\nWindows PowerShell transcript end\r\n**********************\r\n";
    for text in [text.to_owned(), format!("\u{feff}{text}")] {
        let session = read(text.as_bytes());
        let found: Vec<_> =
            session.commands.iter().map(|command| (command.text.as_str(), command.shell)).collect();
        assert_eq!(
            found,
            [
                ("Get-Item `\na", ShellKind::PowerShell),
                ("cmd", ShellKind::PowerShell),
                ("dir", ShellKind::Cmd),
                ("exit", ShellKind::Cmd)
            ]
        );
        assert!(session.output.contains("out") && session.output.contains("Username"));
    }
}

#[test]
fn a_changed_prompt_is_not_known() {
    let text = "**********************\r\n**********************\r\nme> Get-Item a\r\n";
    let session = read(text.as_bytes());
    assert_eq!(ran(&session), Vec::<&str>::new());
    assert!(session.output.contains("Get-Item a"));
}

#[test]
fn macos_and_old_headers_are_read() {
    for header in
        ["Script started on Mon Nov 23 12:40:40 2026\r\n", "Script started on 2020-05-27 23:00:48+0000\n"]
    {
        let session = read(format!("{header}bash-3.2$ id\r\r\nuid=0\r\r\nbash-3.2$ exit\r\r\n").as_bytes());
        assert_eq!(ran(&session), ["id", "exit"]);
        assert!(session.summary.header.is_some());
    }
}

#[test]
fn an_old_agent_starts_a_shell_of_its_own() {
    let body = "sh-4.2$ /usr/bin/ssm-session-logger /var/lib/x.log\nInitializing new seelog logger\n\
                New Seelog Logger Creation Complete\nsh-4.2$ sh-4.2$ id\nuid=0\n";
    assert_eq!(ran(&session(body)), ["id"]);
}

#[test]
fn a_session_without_a_terminal_is_output() {
    let header = HEADER.replace("Standard_Stream", "NonInteractiveCommands");
    let session = read(format!("{header}STDOUT: sh-4.2$ id\n$ ls\nEXIT_CODE: 0\n{FOOTER}").as_bytes());
    assert_eq!(ran(&session), Vec::<&str>::new());
    assert!(session.output.contains("$ ls"));
}

#[test]
fn completions_that_were_listed_are_no_command() {
    let rows = ["cat be\nbeta_a  beta_b\n", "cat beta_a\none\n", "id\nuid=0\n"];
    let typed = |prompt: &str| rows.map(|row| format!("{prompt}{row}")).concat();
    let first = region("work ~: cat be\nbeta_a  beta_b  \nwork ~: cat beta_a");
    for (name, body, expected) in [
        ("the first prompt, without a sign", first, vec!["cat beta_a"]),
        ("no marks", typed("sh-4.2$ "), vec!["cat beta_a", "id"]),
        (
            "a prompt of two rows, no marks",
            format!("\n10:00:01 ~\n$ id\nuid=0\n{}", typed("\n10:00:02 ~\n$ ")),
            vec!["id", "cat beta_a", "id"],
        ),
    ] {
        assert_eq!(ran(&session(&body)), expected, "{name}");
    }
}

#[test]
fn a_prompt_that_ends_in_a_colon_is_known_once_it_comes_again() {
    for (name, body, expected) in [
        ("the first row is told by the second", "work ~: id\nuid=0\nwork ~: ls\n", vec!["id", "ls"]),
        ("another directory", "work ~: cd /etc\nwork ~: id\nwork etc: ls\n", vec!["cd /etc", "id", "ls"]),
        ("a line editor tells at once", "work ~: idd\x08\x1b[K\nuid=0\n", vec!["id"]),
        // Output that looks like a prompt comes first.
        ("output", "work ~: cat x\n$ fake\nwork ~: id\nwork ~: ls\n", vec!["cat x", "fake", "id", "ls"]),
        // A message at the start, and the prompts of a shell.
        ("a message", "Note: a\nsh-4.2$ id\nuid=0\nsh-4.2$ ls\n", vec!["id", "ls"]),
    ] {
        let mut found = session(body).commands;
        found.sort_by_key(|command| command.offset);
        let found: Vec<&str> = found.iter().map(|command| command.text.as_str()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_short_prompt_behind_output_is_known_by_the_program_that_follows() {
    for (body, expected) in [
        ("$ printf x\nno newline$ ls -l\n$ id\n", vec!["printf x", "ls -l", "id"]),
        ("$ printf x\nno newline$ ./run.sh\n$ id\n", vec!["printf x", "./run.sh", "id"]),
        ("$ printf x\nno newline$ mine\n$ id\n", vec!["printf x", "id"]),
        // What a program showed is not the session's prompt.
        ("$ cat notes\nsh-4.1$ rm x\n$ id\n", vec!["cat notes", "id"]),
        ("$ cat notes\nline\nno newline$ ls\n$ id\n", vec!["cat notes", "id"]),
    ] {
        assert_eq!(ran(&session(body)), expected, "{body:?}");
    }
}

#[test]
fn rows_below_the_end_of_a_command_are_commands() {
    // History gave many rows at a second prompt, and the first closes what was open.
    let body = [region("$ echo 'a"), region("> b'\n\rid\n\rfor i in 1; do\n\rls\n\rdone"), region("$ ls")];
    assert_eq!(ran(&session(&body.concat())), ["echo 'a\nb'", "id", "for i in 1; do\nls\ndone", "ls"]);
}

#[test]
fn enter_goes_below_the_last_row_first() {
    // A search left the cursor on the first of three rows. It went down, and up again to draw the prompt.
    let search =
        "\r(reverse-i-search)`w': echo 'a\n\rb\n\rc'\x1b[A\x1b[A\n\n\r\x1b[A\x1b[A\r\x1b[15Psh-4.2$ \n\n\n";
    let body = format!("sh-4.2$ id\nuid=0\nsh-4.2$ {search}a\nb\nc\nsh-4.2$ ls\n");
    assert_eq!(ran(&session(&body)), ["id", "echo 'a\nb\nc'", "ls"]);
}

#[test]
fn a_right_prompt_is_taken_away_wherever_it_is_drawn() {
    let fill = |width: usize| format!("\x1b[7m%\x1b[27m{}\r \r\r\x1b[J", " ".repeat(width - 1));
    let prompt = |width: usize| format!("web% \x1b[K\x1b[{}C10:00\x1b[{}D", width - 11, width - 6);
    let begin = format!("{}{}\x1b[?1h\x1b=\x1b[?2004h", fill(60), prompt(60));
    let end = "\x1b[?1l\x1b>\x1b[?2004l\r\n";
    for (name, drawn) in [
        ("where it was", "ls".to_owned()),
        ("below what a job said", format!("\r\n[1]  + done       sleep 1\n\x1b[J{}l\x08ls", prompt(60))),
        ("after a resize", format!("\r\r\x1b[J{}l\x08ls", prompt(100))),
    ] {
        assert_eq!(ran(&session(&format!("{begin}{drawn}{end}"))), ["ls"], "{name}");
    }
}

#[test]
fn a_screen_that_is_cleared_while_typing_is_drawn_from_its_top() {
    // zsh, below output that did not end its row.
    let fill = format!("\x1b[7m%\x1b[27m{}\r \r\r\x1b[J", " ".repeat(59));
    let drawn = "web% \x1b[K\x1b[?1h\x1b=\x1b[?2004hls\x1b[H\x1b[2J\x1b[Jweb% ls\x1b[K -l\x1b[?1l\x1b>\x1b[?2004l\r\n";
    assert_eq!(ran(&session(&format!("no newline{fill}{drawn}"))), ["ls -l"]);
}

#[test]
fn an_older_checkpoint_is_read() {
    let log = format!("{HEADER}sh-4.2$ id\r\r\nuid=0(root) gid=0(root)\r\r\nsh-4.2$ ls\r\r\n");
    let mut reader = Reader::new();
    reader.push(log.as_bytes(), &mut |_| ());
    let text = reader.checkpoint().unwrap().to_json().unwrap();
    let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    let state = kept["state"].as_object_mut().unwrap();
    // What was added since.
    state.remove("first").unwrap();
    state.remove("upper_row").unwrap();
    state.remove("forged").unwrap();
    state.remove("is_command_rest").unwrap();
    state.remove("is_promptless").unwrap();
    let coverage = state["coverage"].as_object_mut().unwrap();
    for count in ["outside_marks", "overdrawn", "promptless"] {
        coverage.remove(count).unwrap();
    }
    state["pending"].as_object_mut().unwrap().remove("upper_row").unwrap();
    let widths = state["widths"].as_object_mut().unwrap();
    widths.remove("doubts").unwrap();
    widths.remove("recent").unwrap();
    let checkpoint = Checkpoint::from_json(&kept.to_string()).unwrap();
    let mut commands = Vec::new();
    let mut see = |piece: Piece<'_>| match piece {
        Piece::Command(command) => commands.push(command.text),
        Piece::Output(_) => {}
    };
    let mut reader = Reader::resume(&checkpoint).unwrap();
    reader.push(log.as_bytes().split_at(checkpoint.offset() as usize).1, &mut see);
    reader.finish(&mut see);
    assert_eq!(commands, ["id", "ls"]);
}

// What cannot be recovered.

#[test]
fn of_widths_that_fit_alike_the_usual_one_is_taken() {
    // On 157 columns: what history gives begins as the line before it does, and was not run in this session.
    let long = format!("echo {}", "x".repeat(170));
    let drawn = format!(
        "bash-5.2# {long}\x1b[A{}cat\x1b[K\n\r\x1b[K\x1b[A{}",
        "\x08".repeat(13),
        "\x1b[C".repeat(18)
    );
    assert_eq!(ran(&session(&region(&drawn))), [format!("echo {}cat", "x".repeat(37))]);
    // A row that was filled before tells.
    let full = region(&format!("bash-5.2# {} \rc", "a".repeat(147)));
    assert_eq!(ran(&session(&format!("{full}{}", region(&drawn)))).last(), Some(&"echo cat"));
}

#[test]
fn what_is_typed_in_tmux_is_output() {
    // It takes the marks of the shell inside for itself and paints what the shell shows.
    let painted = "\x1b[?1049h\x1b[?1h\x1b=\x1b[H\x1b[2J\x1b[?2004l\x1b[1;30r\x1b[1;1H# \x1b[?2004hid\n\x1b[2;1Huid=0\x1b[?2004l\x1b[?1049l";
    let session = session(&format!("{}{painted}{}", region("sh-5.2$ tmux"), region("sh-5.2$ ls")));
    assert_eq!(ran(&session), ["tmux", "ls"]);
    assert!(session.output.contains("id") && session.output.contains("uid=0"));
}

#[test]
fn a_comment_is_taken_for_a_command() {
    // zsh runs `#` as a command unless told otherwise, and with it what follows a `;`.
    assert_eq!(ran(&session("$ # note; id\n$ ls\n")), ["# note; id", "ls"]);
}

#[test]
fn a_suggestion_that_fish_leaves_standing_is_taken_for_typed() {
    let prompt = "\r\x1b[92mroot\x1b(B\x1b[m@vm ~# \x1b[K\r\x1b[11C";
    let typed = "df /\r\x1b[15C\x1b[38;5;240mbin\r\x1b[15C\x1b[m";
    for (end, expected) in [("\x1b[K", "df /"), ("", "df /bin")] {
        assert_eq!(ran(&session(&region(&format!("{prompt}{typed}{end}")))), [expected]);
    }
}

#[test]
fn of_a_command_with_more_rows_than_the_screen_only_what_is_drawn_is_known() {
    // zsh draws `>....` in place of the rows above.
    let body = [region("% ls"), region("% echo 'one\ntwo\nthree'\x1b[A\x1b[A\r>....\x1b[K\n\n")];
    let session = session(&body.concat());
    assert_eq!(ran(&session), ["ls", ">....", "two", "three'"]);
}

#[test]
fn what_is_typed_while_echo_is_off_never_appears() {
    let body = "sh-4.2$ stty -echo\nsh-4.2$ \nsecret output\nsh-4.2$ \n";
    let session = session(body);
    assert_eq!(ran(&session), ["stty -echo"]);
    assert_eq!((session.summary.coverage.echo_off, session.summary.coverage.silent), (1, 1));
    assert!(session.summary.coverage.is_doubtful());
}

#[test]
fn output_that_repeats_a_known_prompt_is_taken_for_a_command_without_marks() {
    assert_eq!(
        ran(&session("sh-4.2$ cat notes\nsh-4.2$ rm -rf /\nsh-4.2$ exit\n")),
        ["cat notes", "rm -rf /", "exit"]
    );
    // Marks tell them apart.
    let marked =
        "\x1b[?2004hsh-5.2$ cat notes\n\x1b[?2004l\rsh-5.2$ rm -rf /\n\x1b[?2004hsh-5.2$ exit\n\x1b[?2004l\r";
    assert_eq!(ran(&session(marked)), ["cat notes", "exit"]);
}

#[test]
fn marks_that_are_turned_off_are_missed_only_at_first() {
    let mut body = "\x1b[?2004hsh-5.2$ ./off\n\x1b[?2004l\r".to_owned();
    (0..5).for_each(|number| body.push_str(&format!("sh-5.2$ run{number}\n")));
    let session = session(&body);
    assert_eq!(ran(&session), ["./off", "run2", "run3", "run4"]);
    assert!(session.output.contains("run0") && session.output.contains("run1"));
}

#[test]
fn marks_that_a_program_writes_hide_no_command_for_long() {
    // Before each prompt, by `PROMPT_COMMAND`.
    for (name, forged, before, hidden) in [
        ("at the start of the row", 1, "", 2),
        ("behind output", 1, "text", 2),
        ("many of them", 3, "", 3),
        ("too many of them", 9, "", 5),
    ] {
        let forged = "\x1b[?2004hx\n\x1b[?2004l\r".repeat(forged);
        let body: String =
            (0..5).map(|number| format!("{forged}{before}sh-4.2$ run{number}\nout\n")).collect();
        let session = session(&format!("sh-4.2$ id\n{body}"));
        let found: Vec<&str> = ran(&session).into_iter().filter(|text| text.starts_with("run")).collect();
        assert_eq!(found, ["run0", "run1", "run2", "run3", "run4"].split_at(hidden).1, "{name}");
        assert!(session.output.contains("sh-4.2$ run0") && session.output.contains("sh-4.2$ run1"), "{name}");
        assert!(
            session.summary.coverage.outside_marks >= 2 && session.summary.coverage.is_doubtful(),
            "{name}"
        );
    }
}

#[test]
fn a_mark_without_an_end_hides_no_command() {
    for (name, body) in [
        ("on a line of its own", "sh-4.2$ printf x\n\x1b[?2004h\nsh-4.2$ id\nuid=0\nsh-4.2$ ls\n"),
        ("before the prompt", "sh-4.2$ printf x\n\x1b[?2004hsh-4.2$ id\nuid=0\nsh-4.2$ ls\n"),
        ("ended later", "sh-4.2$ printf x\n\x1b[?2004hsh-4.2$ id\nuid=0\nsh-4.2$ ls\n\x1b[?2004l\n"),
    ] {
        let session = session(body);
        assert_eq!(ran(&session), ["printf x", "id", "ls"], "{name}");
        assert_eq!(session.summary.coverage.outside_marks, 1, "{name}");
    }
    // Another mark comes first: what stands between them is output.
    let session = session(&format!(
        "sh-4.2$ printf x\n\x1b[?2004hsh-4.2$ id\nuid=0\nsh-4.2$ ls\n{}",
        region("sh-4.2$ exit")
    ));
    assert_eq!(ran(&session), ["printf x", "exit"]);
    assert!(session.output.contains("sh-4.2$ id") && session.summary.coverage.is_doubtful());
    // What completes a word is listed below it, and the line is drawn again.
    let listed = region("sh-4.2$ cat be\nbeta1  beta2\nsh-4.2$ cat beta\x08\x08\x08\x08a");
    assert_eq!(coverage(&format!("{}{listed}", region("sh-4.2$ id"))).outside_marks, 0);
}

#[test]
fn what_draws_over_a_command_does_not_hide_it() {
    let hide = "sh-4.2$ sudo id; printf hide\n";
    for (name, drawn, expected) in [
        ("a prompt in its place", "\x1b[A\r\x1b[2Ksh-4.2$ ls\n", vec!["sudo id; printf hide", "ls"]),
        ("a text in its place", "\x1b[A\r\x1b[2Khello\nsh-4.2$ ls\n", vec!["sudo id; printf hide", "ls"]),
        ("an empty prompt", "\x1b[A\r\x1b[2Ksh-4.2$ \n", vec!["sudo id; printf hide"]),
        ("a command in its place", "\x1b[A\r\x1b[8Cls\x1b[K\n", vec!["sudo id; printf hide"]),
    ] {
        assert_eq!(ran(&session(&format!("{hide}{drawn}"))), expected, "{name}");
    }
}

#[test]
fn of_a_command_of_more_rows_what_was_drawn_over_is_output() {
    // The cursor came up before: history may have put another command in the place of this one.
    let long = format!("sh-4.2$ : {}\x1b[A\x1b[B;sudo id\n\x1b[A\r\x1b[8Cls\x1b[K\n", "x".repeat(80));
    let session = session(&format!("sh-4.2$ date\n{long}"));
    assert_eq!(ran(&session).first(), Some(&"date"));
    assert!(session.output.contains(";sudo id"), "{}", session.output);
}

#[test]
fn a_prompt_of_up_to_a_thousand_characters_is_known() {
    for (length, expected) in [(170, vec!["id", "sudo ls"]), (1000, vec!["id", "sudo ls"]), (1100, vec![])] {
        let prompt = format!("{}$ ", "w".repeat(length));
        assert_eq!(ran(&session(&format!("{prompt}id\n{prompt}sudo ls\n"))), expected, "{length}");
    }
}

#[test]
fn a_long_command_is_whole_up_to_what_a_line_holds() {
    let long = |length: usize| {
        session(&format!("sh-4.2$ id\nsh-4.2$ : {};sudo id\nsh-4.2$ ls\n", "a".repeat(length)))
    };
    let whole = long(60_000);
    assert!(ran(&whole).get(1).is_some_and(|text| text.ends_with(";sudo id")));
    assert_eq!(whole.summary.coverage.cut_lines, 0);
    // The rest is a command that is not sure.
    let cut = long(150_000);
    assert_eq!(cut.commands.len(), 5);
    let rest = cut.commands.get(3).unwrap();
    assert!(rest.text.ends_with(";sudo id") && rest.confidence == Confidence::Low);
    assert!(cut.summary.coverage.cut_lines > 0 && cut.summary.coverage.is_doubtful());
}

#[test]
fn a_screen_that_drops_text_is_counted_and_the_text_is_output() {
    let session = session(&region(&format!("sh-4.2$ : \x1b[16384C\x1b[16384C{};id", "a".repeat(40))));
    assert_eq!(session.summary.coverage.abandoned, 1);
    assert!(session.output.contains(";id"));
}

#[test]
fn what_stands_before_a_prompt_on_its_row_hides_nothing() {
    for (name, before) in [
        ("colours", "\x1b[0m".repeat(1000)),
        ("NULs", "\0".repeat(1000)),
        ("a line that is cut", "0".repeat(70_000)),
        ("movements", "\x1b[K\r\x1b[A\r".repeat(50)),
    ] {
        let body = format!("sh-4.2$ id\n{before}sh-4.2$ sudo id\nsh-4.2$ ls\n");
        assert_eq!(ran(&session(&body)), ["id", "sudo id", "ls"], "{name}");
    }
}

#[test]
fn a_prompt_that_is_hidden_is_counted_and_what_is_typed_is_known_by_its_name() {
    for (command, prompt, expected) in [
        ("PS1=", "", 1),
        ("export PS1='\\u '", "root ", 1),
        ("sh 2>/dev/null", "", 1),
        ("exec 2>/dev/null", "", 1),
        ("cat | sh", "", 1),
        // It is told.
        ("PS1='web '", "web ", 0),
        ("sh 2>&1", "sh-4.2$ ", 0),
        ("PS1='\\w\\$ '", "sh-4.2$ ", 0),
    ] {
        let session = session(&format!("sh-4.2$ {command}\n{prompt}sudo id\nuid=0\n"));
        assert_eq!(session.summary.coverage.promptless, expected, "{command}");
        // Behind a prompt that nothing tells, the name does not begin the line.
        let is_found = ran(&session).contains(&"sudo id");
        assert_eq!(is_found, prompt != "root ", "{command}");
    }
}

#[test]
fn many_prompts_of_one_shape_do_not_make_another_forgotten() {
    let many: String = (0..200).map(|number| format!("sh-4.2$ cd d{number}\n/d{number} $ id\n")).collect();
    let session = session(&format!("web-4$ ls\nweb-4$ PS1='$PWD $ '\n{many}web-4$ sudo id\n"));
    assert_eq!(ran(&session).last(), Some(&"sudo id"));
}

#[test]
fn a_mark_within_the_prompt_blinds_nobody() {
    let body = "\x1b[?2004hsh-5.2$ PS1=x\n\x1b[?2004l\r\x1b[?2004h\x1b[?2004lsh-5.2$ id\n\x1b[?2004h\x1b[?2004lsh-5.2$ ls\n";
    assert_eq!(ran(&session(body)), ["PS1=x", "id", "ls"]);
}

#[test]
fn the_alternate_screen_hides_no_prompt() {
    let body = "sh-4.2$ printf blind\n\x1b[?1049hsh-4.2$ id\nuid=0\nsh-4.2$ ls\n";
    let session = session(body);
    assert_eq!(ran(&session), ["printf blind", "id", "ls"]);
    assert_eq!(session.summary.coverage.hidden_by_alternate_screen, 2);
    // Even if it looks like a full-screen program, a known prompt is found in it.
    let driven = "sh-4.2$ printf blind\n\x1b[?1049h\x1b[?1h\nsh-4.2$ id\nuid=0\n";
    assert_eq!(coverage(driven).hidden_by_alternate_screen, 1);
}

#[test]
fn a_control_string_without_an_end_hides_nothing() {
    let session = session("sh-4.2$ printf x\n\x1b]0;sh-4.2$ id\nuid=0\nsh-4.2$ ls\n");
    // A terminal would have shown nothing until the next title.
    assert_eq!(ran(&session), ["printf x", "id", "ls"]);
    assert_eq!(session.summary.coverage.unterminated, 1);
}

#[test]
fn a_prompt_without_a_sign_is_unknown_until_lines_were_edited() {
    let edit = "\x08\x1b[K";
    let body = format!("work one\nwork twoo{edit}\nwork threee{edit}\nwork four\n");
    assert_eq!(ran(&session(&body)), ["three", "four"]);
}

#[test]
fn a_prompt_unlike_all_others_is_told_from_the_command_from_its_second_line_on() {
    let mark = |row: &str| format!("\x1b[?2004h{row}\n\x1b[?2004l\r");
    let session = session(&[mark("=prod= => ls"), mark("=prod= => id")].concat());
    assert_eq!(ran(&session), ["=prod= => ls", "id"]);
    let confidence: Vec<Confidence> = session.commands.iter().map(|command| command.confidence).collect();
    assert_eq!(confidence, [Confidence::Low, Confidence::Low]);
}

#[test]
fn what_is_typed_ahead_without_a_line_editor_is_known_by_its_name_only() {
    // `echo a` is a command of every day; `mine` is not, so its output stands in its place.
    assert_eq!(ran(&session("$ sleep 1\n./mine\n$ out\n$ exit\n")), ["sleep 1", "out", "exit"]);
}

#[test]
fn output_of_a_job_is_joined_to_what_is_being_typed() {
    let body = "\x1b[?2004hsh-5.2$ ls\n\x1b[?2004l\r\x1b[?2004hsh-5.2$ echo done\nhello\n\x1b[?2004l\r";
    assert_eq!(ran(&session(body)), ["ls", "echo done", "hello"]);
}

// Whatever the bytes are.

#[test]
fn hostile_bytes_are_read_in_bounded_time_and_memory() {
    let long = 1 << 17;
    let mut endless = b"\x1b[?2004h$ ".to_vec();
    endless.resize(long, b'a');
    for (name, bytes) in [
        ("NULs", vec![0; long]),
        ("not UTF-8", vec![0xff; long]),
        ("one endless line", vec![b'x'; long]),
        ("a region without an end", endless),
        ("escapes", b"\x1b".repeat(long)),
        ("insertions", b"\x1b[?2004h$ ".iter().copied().chain(b"\x1b[9999@x".repeat(long / 8)).collect()),
        (
            "movements",
            b"\x1b[?2004h$ x\x1b[A".iter().copied().chain(b"\x1b[999C\x1b[999Bx".repeat(long / 14)).collect(),
        ),
        ("marks", b"\x1b[?2004h".repeat(long / 8)),
        ("regions", b"\x1b[?2004h\x1b[?2004l".repeat(long / 16)),
        ("screens", b"\x1b[?1049h\x1b[?1049l".repeat(long / 16)),
        ("prompts", b"$ \r\r\n".repeat(long / 5)),
        (
            "open quotes",
            b"$ echo '\r\r\n> a\r\r\n".iter().copied().chain(b"> a\r\r\n".repeat(long / 6)).collect(),
        ),
        ("an end above what was drawn", b"sh-4.2$ echo 'a\r\r\n\rb'\x1b[A".to_vec()),
        ("strings without an end", b"\x1b]0;\r\n".repeat(long / 6)),
        (
            "rows below a prompt",
            b"$ ls\r\r\n".iter().copied().chain(b"\r\x1b[C\r\r\n".repeat(long / 7)).collect(),
        ),
    ] {
        let session = read(&bytes);
        assert_eq!(session.summary.bytes, bytes.len() as u64, "{name}");
    }
}

#[test]
fn what_cannot_be_rendered_is_counted_and_shown() {
    let body = format!("\x1b[?2004hsh-5.2$ {}", "a".repeat(200 * 1024));
    let session = session(&body);
    assert_eq!(session.summary.coverage.abandoned, 1);
    assert!(session.summary.coverage.cut_lines > 0);
    assert!(session.output.len() >= 200 * 1024);
}
