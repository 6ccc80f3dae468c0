//! permessage-deflate (`src/protocol/websocket/deflate.rs`) against miniz_oxide's inflate, which is another implementation than
//! the one behind flate2, and against itself.
//!
//! * A hostile message inflates to what the other makes of it, and is refused where that one refuses it: for what it is, or for
//!   its length. It differs in this:
//!   - With a window that is less than the largest, what refers too far back may be refused here only.
//!   - Codes that cannot be right it refuses as soon as it has seen enough, zlib when it has read the lengths of all of them: so
//!     a message that ends in between is accepted here, and whatever came next would be refused.
//! * However long it would become, memory is taken for as much as is allowed, and some.
//! * What is compressed here is what it was when it is decompressed, with either.

use std::cell::RefCell;
use std::rc::Rc;

use flate2::{Decompress, FlushDecompress};
use miniz_oxide::inflate::core::{decompress, inflate_flags, DecompressorOxide};
use miniz_oxide::inflate::TINFLStatus;
use sockeye::internals::error::Violation;
use sockeye::internals::websocket::deflate::{Deflate, Parameters, Spares};

use crate::choices::Choices;
use crate::MEMORY;

/// What every message is followed by when it is inflated (RFC 7692 section 7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What a decompressor takes, and the least that is made room for.
const ROOM: usize = 128 << 10;

/// Messages that share a window.
const MOST_MESSAGES: usize = 12;

/// Takes an input: settings, then messages, each with its length in front.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let settings = choices.byte();
    let parameters = Parameters {
        server_no_context_takeover: settings & 1 != 0,
        client_no_context_takeover: settings & 2 != 0,
        // 8 is not for raw streams, and not negotiated
        server_max_window_bits: 9 + choices.byte() % 7,
        client_max_window_bits: if settings & 4 != 0 { 15 } else { 9 + choices.byte() % 7 },
        level: settings >> 5,
        threshold: 0,
    };
    let max_payload = [0, 10, 1000, 100_000][usize::from(settings >> 3 & 3)];
    let spares = Rc::<RefCell<Spares>>::default();
    let mut hostile = Deflate::new(parameters, spares.clone());
    let (mut server, mut client) = pair(parameters, &spares);
    let (mut other, mut other_of_pair) = (Other::default(), Other::default());
    let mut is_over = false;
    for _ in 0..MOST_MESSAGES {
        if choices.is_empty() {
            return;
        }
        let length = match choices.byte() {
            long @ 250.. => usize::from(long - 249) * 256,
            short => usize::from(short),
        };
        let message = choices.bytes(length);
        if !is_over {
            is_over = compare(&mut hostile, &mut other, message, max_payload).is_err();
            if parameters.client_no_context_takeover {
                (other, is_over) = (Other::default(), false);
            }
        }
        round_trip(&mut server, &mut client, &mut other_of_pair, message);
        if parameters.server_no_context_takeover {
            other_of_pair = Other::default();
        }
    }
}

/// A server and a client of it, whose decompressor has the parameters of the server's compressor.
fn pair(parameters: Parameters, spares: &Rc<RefCell<Spares>>) -> (Deflate, Deflate) {
    let client = Parameters {
        client_no_context_takeover: parameters.server_no_context_takeover,
        client_max_window_bits: parameters.server_max_window_bits,
        ..parameters
    };
    (Deflate::new(parameters, spares.clone()), Deflate::new(client, spares.clone()))
}

/// Decompresses with both. An error: the connection would be over.
fn compare(
    ours: &mut Deflate,
    other: &mut Other,
    message: &[u8],
    max_payload: usize,
) -> Result<(), Violation> {
    let expected = other.decompress(message, max_payload);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = ours.decompress_all(message, max_payload);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    // a vector that grows is there twice
    assert!(taken <= 3 * (max_payload + 1) + ROOM, "{taken} bytes to inflate {max_payload}");
    let has_small_window = ours.parameters.client_max_window_bits < 15;
    match (&result, &expected) {
        (Ok(ours), Ok(other)) => {
            assert_eq!(ours, other, "inflated here, and by the other, from {message:x?}")
        }
        (Err(Violation::Compression), Ok(_)) => {
            assert!(has_small_window, "{message:x?} is refused here only")
        }
        (Err(Violation::Compression), Err(Violation::Compression)) => {}
        // what is wrong behind the limit may be seen first
        (Err(_), Err(Violation::TooLarge)) => {}
        (Ok(_), Err(Violation::Compression)) => {
            assert!(other.is_hopeless(), "{result:?} here, refused by the other, from {message:x?}");
            return Err(Violation::Compression);
        }
        _ => panic!("{result:?} here, by the other {expected:?}, from {message:x?}"),
    }
    result.map(|_| ())
}

fn round_trip(server: &mut Deflate, client: &mut Deflate, other: &mut Other, message: &[u8]) {
    let (first, rest) = message.split_at(message.len().min(1));
    let compressed = server.compress([first, rest]);
    // RFC 1951 section 3.2.4: a stored block has 5 bytes more, for up to 65,535; a flush has some
    assert!(
        compressed.len() <= message.len() + message.len() / 1000 + 16,
        "{} of {}",
        compressed.len(),
        message.len()
    );
    assert_eq!(client.decompress_all(&compressed, message.len()).as_deref(), Ok(message));
    assert_eq!(other.decompress(&compressed, message.len()).as_deref(), Ok(message));
}

/// Inflates with miniz_oxide.
#[derive(Default)]
struct Other {
    state: Box<DecompressorOxide>,
    /// All that the stream has become, since its last final block.
    out: Vec<u8>,
    /// What it has become that of.
    input: Vec<u8>,
}

impl Other {
    fn decompress(&mut self, message: &[u8], max_payload: usize) -> Result<Vec<u8>, Violation> {
        let input = [message, &TAIL].concat();
        self.input.extend_from_slice(&input);
        let (mut rest, mut begin, mut done) = (&input[..], self.out.len(), Vec::new());
        loop {
            let at = self.out.len();
            let room = max_payload + 1 - done.len() - (at - begin);
            self.out.resize(at + room, 0);
            let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
                | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
            let (status, taken, written) = decompress(&mut self.state, rest, &mut self.out, at, flags);
            self.out.truncate(at + written);
            rest = &rest[taken..];
            if done.len() + self.out.len() - begin > max_payload {
                return Err(Violation::TooLarge);
            }
            match status {
                TINFLStatus::Done => {
                    // a final block: what follows begins anew
                    done.extend_from_slice(&self.out[begin..]);
                    *self = Other { input: rest.to_vec(), ..Other::default() };
                    begin = 0;
                    if rest.is_empty() {
                        return Ok(done);
                    }
                }
                TINFLStatus::NeedsMoreInput if rest.is_empty() => {
                    done.extend_from_slice(&self.out[begin..]);
                    return Ok(done);
                }
                _ => return Err(Violation::Compression),
            }
        }
    }

    /// Whether flate2 refuses what has been given, whatever comes next, within the length that codes may have.
    fn is_hopeless(&self) -> bool {
        [0, 0xff, 0x5a].into_iter().all(|next| {
            let input = [&self.input[..], &[next; 600]].concat();
            let mut out = Vec::with_capacity(self.out.len() + (1 << 20));
            Decompress::new(false).decompress_vec(&input, &mut out, FlushDecompress::Sync).is_err()
        })
    }
}
