//! What holds for any bytes: no panic, the same pieces however they come, and the same commands after a checkpoint.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use proptest::prelude::*;
use transcript::{Checkpoint, Command, Piece, Reader, Summary};

/// All that a transcript gives.
#[derive(Debug, Default, PartialEq)]
struct Given {
    commands: Vec<Command>,
    output: String,
    summary: Summary,
}

impl Given {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Command(command) => self.commands.push(command),
            Piece::Output(output) => self.output.push_str(&output.text.escape_ascii().to_string()),
        }
    }
}

fn read(bytes: &[u8], pushes: impl Iterator<Item = usize>) -> Given {
    let mut given = Given::default();
    let mut reader = Reader::new();
    let mut rest = bytes;
    for length in pushes {
        let (now, later) = rest.split_at(length.min(rest.len()));
        reader.push(now, &mut |piece| given.take(piece));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    reader.push(rest, &mut |piece| given.take(piece));
    let summary = reader.finish(&mut |piece| given.take(piece));
    given.summary = summary;
    given
}

/// Reads up to a byte, goes on from the checkpoint there with another reader, and puts the halves together.
fn read_resumed(bytes: &[u8], at: usize) -> Given {
    let mut given = Given::default();
    let mut reader = Reader::new();
    reader.push(&bytes[..at], &mut |piece| given.take(piece));
    let text = reader.checkpoint().unwrap().to_json().unwrap();
    let checkpoint = Checkpoint::from_json(&text).unwrap();
    let mut reader = Reader::resume(&checkpoint).unwrap();
    reader.push(&bytes[checkpoint.offset() as usize..], &mut |piece| given.take(piece));
    let summary = reader.finish(&mut |piece| given.take(piece));
    given.summary = summary;
    given
}

/// Pieces of which sessions are made, and things that should not be in them.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |text: &'static str| Just(text.as_bytes().to_vec());
    prop_oneof![
        fixed("\r\r\n"),
        fixed("\r\r\n"),
        fixed("\n"),
        fixed("\r"),
        fixed("sh-4.2$ "),
        fixed("[root@web ~]# "),
        fixed("$ "),
        fixed("> "),
        fixed("web: "),
        fixed("\x1b[A"),
        fixed("\r\x1b[2K"),
        fixed("PS1="),
        fixed("sh 2>/dev/null"),
        fixed("stty -echo"),
        fixed("cat <<EOF"),
        fixed("EOF"),
        fixed("echo 'one"),
        fixed("ls -la /etc"),
        fixed("sudo su -"),
        fixed("python3"),
        fixed(">>> "),
        fixed("^C"),
        fixed("\x1b[?2004h"),
        fixed("\x1b[?2004h"),
        fixed("\x1b[?2004l\r"),
        fixed("\x1b[?2004l\r"),
        fixed("\x1b[?1049h"),
        fixed("\x1b[?1049l"),
        fixed("\x1b[?1h\x1b="),
        fixed("\x1b[A"),
        fixed("\x1b[C\x1b[C"),
        fixed("\x1b[K"),
        fixed("\x1b[3P"),
        fixed("\x1b[2@"),
        fixed("\x1b[5;1H"),
        fixed("\x1b]0;title\x07"),
        fixed("\x1b]0;no end"),
        fixed("\x1b[9999@\x1b[9999C\x1b[999A"),
        fixed("\x08 \x08"),
        fixed("\x08\x08"),
        fixed(" \r"),
        fixed("\t"),
        fixed("\u{65e5}\u{672c}"),
        fixed("\nScript done on 2026-11-23 12:40:40+00:00\n"),
        fixed("PS C:\\> dir"),
        fixed("**********************\n"),
        "[a-z ]{1,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 1..20),
        (1_usize..500).prop_map(|length| vec![b'x'; length]),
    ]
}

fn session() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just(b"Script started on 2026-11-23 12:40:40+00:00\n".to_vec()),
        Just(b"**********************\n".to_vec()),
        Just(Vec::new()),
    ];
    (header, prop::collection::vec(fragment(), 0..60)).prop_map(|(mut bytes, fragments)| {
        fragments.iter().for_each(|fragment| bytes.extend_from_slice(fragment));
        bytes
    })
}

/// The first row is looked at again when what follows it has come.
#[test]
fn a_colon_at_the_start_is_one_prompt_however_the_bytes_come() {
    for log in ["Script started on \n: \\>\nls; read", "Script started on \nweb: id\n0\nweb: ls\na\nweb: "] {
        let whole = read(log.as_bytes(), std::iter::empty());
        for length in 1..log.len() {
            assert_eq!(read(log.as_bytes(), std::iter::repeat(length)), whole, "{log:?} in {length}s");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_bytes_gives_the_same(bytes in session(), pushes in prop::collection::vec(1_usize..300, 1..60)) {
        let whole = read(&bytes, std::iter::empty());
        prop_assert_eq!(&read(&bytes, pushes.into_iter()), &whole);
        prop_assert_eq!(&read(&bytes, std::iter::repeat(1)), &whole);
        prop_assert_eq!(whole.summary.bytes, bytes.len() as u64);
        prop_assert_eq!(whole.summary.commands, whole.commands.len() as u64);
    }

    #[test]
    fn a_checkpoint_at_any_byte_gives_the_same(bytes in session(), at in any::<prop::sample::Index>()) {
        let at = at.index(bytes.len() + 1);
        prop_assert_eq!(read_resumed(&bytes, at), read(&bytes, std::iter::empty()));
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        prop_assert_eq!(read(&bytes, std::iter::empty()).summary.bytes, bytes.len() as u64);
    }
}
