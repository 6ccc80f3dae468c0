//! The inputs that are kept: `seeds/TARGET.txt`, one to a line, in base64.

use std::path::{Path, PathBuf};

use base64::prelude::{Engine, BASE64_STANDARD};

use crate::choices::Sequence;

/// Where the inputs of a target are.
pub fn path(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(format!("{target}.txt"))
}

/// The inputs of a target.
///
/// # Panics
/// If there is no such file, or it is not what it should be.
pub fn read(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path(target)).expect("a file of seeds");
    text.lines().map(|line| BASE64_STANDARD.decode(line).expect("base64")).collect()
}

/// Another input that is made of one: bytes changed, left out, repeated, or taken from another. The same for the same numbers.
pub fn mutate(input: &[u8], other: &[u8], sequence: &mut Sequence) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=sequence.below(3) {
        let at = sequence.below(bytes.len() + 1);
        let end = (at + sequence.below(9)).min(bytes.len());
        match sequence.below(6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << sequence.below(8),
            2 if at < bytes.len() => {
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, sequence.below(256) as u8][sequence.below(6)]
            }
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            _ => {
                let from = sequence.below(other.len() + 1);
                let until = (from + sequence.below(17)).min(other.len());
                bytes.splice(at..at, other[from..until].iter().copied());
            }
        }
    }
    bytes
}
