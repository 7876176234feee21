//! What is recovered from whole transcripts, kind by kind, and what is not: each stated limit is a test.

use transcript::{Command, Confidence, Coverage, Piece, Reader, ShellKind, Summary};

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
        // Typed to the right edge and beyond, then changed at the start of the line.
        let body = format!("{prompt}{first} \r{second}\x1b[A\r\x1b[{}C\x1b[1@X\x1b[1B\n", prompt.len());
        let session = session(&body.replace("\x1b[1B", "\n"));
        let found = ran(&session);
        assert_eq!(found.len(), 1, "{width}");
        assert!(
            found.iter().all(|found| found.starts_with("Xabc") && found.len() >= text.len()),
            "{width}: {found:?}"
        );
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

// What cannot be recovered.

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
