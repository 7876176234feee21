//! Bytes to commands and output: nothing panics, and neither the pieces in which bytes come nor a checkpoint between
//! them changes what is recovered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transcript::{Checkpoint, Command, Piece, Reader, Summary};

fn read(reader: Reader, bytes: &[u8], push: usize, commands: &mut Vec<Command>) -> Summary {
    let mut see = |piece: Piece<'_>| {
        if let Piece::Command(command) = piece {
            commands.push(command);
        }
    };
    let mut reader = reader;
    bytes.chunks(push).for_each(|bytes| reader.push(bytes, &mut see));
    reader.finish(&mut see)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let mut whole = Vec::new();
    let summary = read(Reader::new(), bytes, usize::MAX, &mut whole);
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert_eq!(summary.commands, whole.len() as u64);

    let mut pieces = Vec::new();
    assert_eq!(read(Reader::new(), bytes, 1 + usize::from(*first), &mut pieces), summary);
    assert_eq!(pieces, whole);

    let mut resumed = Vec::new();
    let mut reader = Reader::new();
    let half = bytes.len() * usize::from(*first) / 256;
    reader.push(&bytes[..half], &mut |piece| {
        if let Piece::Command(command) = piece {
            resumed.push(command);
        }
    });
    let checkpoint = Checkpoint::from_json(&reader.checkpoint().unwrap().to_json().unwrap()).unwrap();
    let rest = &bytes[checkpoint.offset() as usize..];
    assert_eq!(read(Reader::resume(&checkpoint).unwrap(), rest, usize::MAX, &mut resumed), summary);
    assert_eq!(resumed, whole);
});
