//! permessage-deflate (RFC 7692): the compression of whole messages.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::protocol::error::Violation;

/// What ends every flushed block and is left out on the wire (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Bytes that one step of compression or decompression makes room for.
const STEP: usize = 16 << 10;

/// The least that a step of decompression makes room for.
const LEAST_ROOM: usize = 256;

/// What a step of decompression takes beyond its bytes, as bytes.
const STEP_COST: usize = 64;

/// Bytes that one turn decompresses to. What takes more is gone on with in another one, so that others' messages get their turn
/// in between: few bytes may become a very large message, or many.
const INFLATED_PER_TURN: usize = 128 << 10;

/// What has been agreed with a client (RFC 7692 section 7.1), and the server's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// We begin every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client begins every message with an empty window.
    pub client_no_context_takeover: bool,
    /// The logarithm of the size of our window, 9 to 15.
    pub server_max_window_bits: u8,
    /// The logarithm of the size of the client's window, 9 to 15.
    pub client_max_window_bits: u8,
    /// The level of compression, 0 to 9.
    pub level: u8,
    /// Without context takeover, shorter messages are sent as they are. In bytes.
    pub threshold: u32,
}

/// The logarithm of the size of the largest window.
const LARGEST_WINDOW: u8 = 15;

/// Windows that belong to no connection: without context takeover, one serves all connections of a worker in turn. To make
/// one for a message takes longer than to compress a short message.
#[derive(Debug, Default)]
pub struct Spares {
    compressor: Option<(Parameters, Box<Compress>)>,
    decompressor: Option<Box<Decompress>>,
}

/// The state of the extension for one connection. The windows are made when they are first needed.
#[derive(Debug)]
pub struct Deflate {
    pub parameters: Parameters,
    compressor: Option<Box<Compress>>,
    decompressor: Option<Box<Decompress>>,
    /// What has been left for another turn.
    unfinished: Option<Box<Inflation>>,
    /// Bytes that this turn may still decompress to.
    left: usize,
    spares: Rc<RefCell<Spares>>,
}

/// A message of the client that is being decompressed.
#[derive(Debug)]
struct Inflation {
    decompressor: Box<Decompress>,
    is_text: bool,
    message: Vec<u8>,
    /// What has been consumed of the message and of the tail.
    at: usize,
    out: Vec<u8>,
}

impl Deflate {
    /// The state for a connection with these parameters.
    pub fn new(parameters: Parameters, spares: Rc<RefCell<Spares>>) -> Deflate {
        Deflate {
            parameters,
            compressor: None,
            decompressor: None,
            unfinished: None,
            left: INFLATED_PER_TURN,
            spares,
        }
    }

    /// A state of its own with the same parameters.
    pub fn apart(&self) -> Deflate {
        Deflate::new(self.parameters, self.spares.clone())
    }

    /// Whether a message of this length is sent compressed.
    pub fn applies_to(&self, length: usize) -> bool {
        length > 0
            && (!self.parameters.server_no_context_takeover || length >= self.parameters.threshold as usize)
    }

    /// Compresses a message, given in pieces.
    pub fn compress(&mut self, pieces: [&[u8]; 2]) -> Vec<u8> {
        let mut compressor = self.compressor.take().unwrap_or_else(|| self.spare_compressor());
        let compressed = compress(&mut compressor, pieces);
        if self.parameters.server_no_context_takeover {
            self.spares.borrow_mut().compressor = Some((self.parameters, compressor));
        } else {
            self.compressor = Some(compressor);
        }
        compressed
    }

    /// A compressor with an empty window.
    fn spare_compressor(&self) -> Box<Compress> {
        let Parameters { level, server_max_window_bits, .. } = self.parameters;
        let spares = &mut *self.spares.borrow_mut();
        let fits = |(of, _): &mut (Parameters, _)| {
            (of.level, of.server_max_window_bits) == (level, server_max_window_bits)
        };
        if let Some((_, mut compressor)) = spares.compressor.take_if(fits) {
            compressor.reset();
            return compressor;
        }
        let level = Compression::new(u32::from(level));
        Box::new(Compress::new_with_window_bits(level, false, server_max_window_bits))
    }

    /// Another turn of decompressing begins.
    pub fn begin_turn(&mut self) {
        self.left = INFLATED_PER_TURN;
    }

    /// Whether this turn has decompressed enough.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Whether a message has not been decompressed to its end.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Decompresses a message of the client, unless that takes more than is left of this turn: `None`, and `resume` goes on with
    /// it in the next. `max_payload`: bytes that it may have.
    ///
    /// # Errors
    /// [`Violation::TooLarge`] as soon as there is more than that, [`Violation::Compression`] for bytes that do not
    /// inflate.
    pub fn decompress(
        &mut self,
        message: Cow<'_, [u8]>,
        is_text: bool,
        max_payload: usize,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let decompressor = self.decompressor.take().unwrap_or_else(|| self.spare_decompressor());
        let mut inflation = Inflation { decompressor, is_text, message: Vec::new(), at: 0, out: Vec::new() };
        if inflation.go_on(&message, max_payload, &mut self.left)? {
            return Ok(Some(self.finish(inflation)));
        }
        inflation.message = message.into_owned();
        self.unfinished = Some(Box::new(inflation));
        Ok(None)
    }

    /// Goes on with the message that has been left unfinished. Returns whether it is a text, and what it has become, if that is
    /// all of it.
    ///
    /// # Errors
    /// As for `decompress`.
    pub fn resume(&mut self, max_payload: usize) -> Result<Option<(bool, Vec<u8>)>, Violation> {
        let Some(mut inflation) = self.unfinished.take() else { return Ok(None) };
        let message = std::mem::take(&mut inflation.message);
        if inflation.go_on(&message, max_payload, &mut self.left)? {
            return Ok(Some((inflation.is_text, self.finish(*inflation))));
        }
        inflation.message = message;
        self.unfinished = Some(inflation);
        Ok(None)
    }

    /// Decompresses a message of the server's, as a client does.
    ///
    /// # Errors
    /// As for `decompress`.
    #[cfg(any(test, feature = "internals"))]
    pub fn decompress_all(&mut self, message: &[u8], max_payload: usize) -> Result<Vec<u8>, Violation> {
        let mut whole = self.decompress(Cow::Borrowed(message), false, max_payload)?;
        loop {
            self.begin_turn();
            match whole {
                Some(whole) => return Ok(whole),
                None => whole = self.resume(max_payload)?.map(|(_, whole)| whole),
            }
        }
    }

    /// Drops the message that has been left unfinished, and its window.
    pub fn forget(&mut self) {
        self.unfinished = None;
    }

    /// Keeps the window of a message that is done.
    fn finish(&mut self, Inflation { decompressor, out, .. }: Inflation) -> Vec<u8> {
        if !self.parameters.client_no_context_takeover {
            self.decompressor = Some(decompressor);
        } else if self.parameters.client_max_window_bits == LARGEST_WINDOW {
            self.spares.borrow_mut().decompressor = Some(decompressor);
        }
        out
    }

    /// A decompressor with an empty window. Only those with the largest can be used again: resetting makes it that.
    fn spare_decompressor(&self) -> Box<Decompress> {
        let bits = self.parameters.client_max_window_bits;
        let spare = &mut self.spares.borrow_mut().decompressor;
        if let Some(mut decompressor) = spare.take_if(|_| bits == LARGEST_WINDOW) {
            decompressor.reset(false);
            return decompressor;
        }
        Box::new(Decompress::new_with_window_bits(false, bits))
    }
}

fn compress(compressor: &mut Compress, pieces: [&[u8]; 2]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pieces[1].len() / 2 + 64);
    deflate(compressor, pieces[0], FlushCompress::None, &mut out);
    deflate(compressor, pieces[1], FlushCompress::Sync, &mut out);
    out.truncate(out.len().saturating_sub(TAIL.len()));
    out
}

/// Feeds all of `input` to the compressor.
fn deflate(compressor: &mut Compress, input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let start = compressor.total_in();
    loop {
        let consumed = (compressor.total_in() - start) as usize;
        out.reserve(64.max((input.len() - consumed).min(STEP)));
        // compression fails only for parameters that the library would have refused at once
        let _ = compressor.compress_vec(&input[consumed..], out, flush);
        let consumed = (compressor.total_in() - start) as usize;
        if consumed == input.len() && out.len() < out.capacity() {
            return;
        }
    }
}

impl Inflation {
    /// Feeds the message, and then the tail, to the decompressor, for as long as something is left of the turn. Returns whether it
    /// is done.
    fn go_on(&mut self, message: &[u8], max_payload: usize, left: &mut usize) -> Result<bool, Violation> {
        while *left > 0 {
            let rest = match message.get(self.at..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => &TAIL[self.at - message.len()..],
            };
            let length = self.out.len();
            let is_drained = self.step(rest, max_payload)?;
            *left = left.saturating_sub(self.out.len() - length + STEP_COST);
            if is_drained && self.at == message.len() + TAIL.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decompresses some. Returns whether what has been consumed is decompressed.
    fn step(&mut self, rest: &[u8], max_payload: usize) -> Result<bool, Violation> {
        let length = self.out.len();
        let room = rest.len().saturating_mul(8).clamp(LEAST_ROOM, STEP).min(max_payload + 1 - length);
        self.out.resize(length + room, 0);
        let (taken, written) = (self.decompressor.total_in(), self.decompressor.total_out());
        let status = self
            .decompressor
            .decompress(rest, &mut self.out[length..], FlushDecompress::Sync)
            .map_err(|_| Violation::Compression)?;
        let consumed = (self.decompressor.total_in() - taken) as usize;
        let produced = (self.decompressor.total_out() - written) as usize;
        self.at += consumed;
        self.out.truncate(length + produced);
        if self.out.len() > max_payload {
            return Err(Violation::TooLarge);
        }
        let is_drained = produced < room;
        if status == Status::StreamEnd {
            // a final block: what follows begins anew
            self.decompressor.reset(false);
        } else if is_drained && consumed < rest.len() && produced == 0 {
            return Err(Violation::Compression);
        }
        Ok(is_drained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100_000;

    fn parameters(no_context: bool) -> Parameters {
        Parameters {
            server_no_context_takeover: no_context,
            client_no_context_takeover: no_context,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            level: 6,
            threshold: 1024,
        }
    }

    fn new(parameters: Parameters) -> Deflate {
        Deflate::new(parameters, Rc::default())
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_window_that_served_others_is_as_good_as_a_new_one() {
        let spares = Rc::<RefCell<Spares>>::default();
        let texts: Vec<Vec<u8>> = [1, 30, 2000, 70_000, 5, 40_000]
            .iter()
            .map(|&length| (0..length).map(|index| (index * 31 % 97 + length) as u8).collect())
            .collect();
        for round in 0..3 {
            for (index, text) in texts.iter().enumerate() {
                let bits = if (index + round) % 3 == 0 { 11 } else { 15 };
                let level = if index == 4 { 9 } else { 6 };
                let parameters = Parameters {
                    server_max_window_bits: bits,
                    client_max_window_bits: bits,
                    level,
                    ..parameters(true)
                };
                let mut deflate = Deflate::new(parameters, spares.clone());
                let compressed = deflate.compress([b"4", text]);
                assert_eq!(compressed, new(parameters).compress([b"4", text]));
                let expected = [b"4".as_slice(), text].concat();
                assert_eq!(deflate.decompress_all(&compressed, MAX).unwrap(), expected);
                assert!(deflate.compressor.is_none() && deflate.decompressor.is_none());
                // what is left of a message that is refused is in nobody's window
                assert!(deflate.decompress_all(&compressed, text.len()).is_err());
                assert!(deflate.decompress_all(&[0xff; 20], MAX).is_err());
            }
        }
        assert!(spares.borrow().compressor.is_some());
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        // RFC 7692 section 7.2.3: "Hello", then again with the window of the first
        let mut deflate = new(parameters(false));
        let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(deflate.decompress_all(&first, MAX).unwrap(), b"Hello");
        assert_eq!(deflate.decompress_all(&[0xf2, 0x00, 0x11, 0x00, 0x00], MAX).unwrap(), b"Hello");
    }

    #[test]
    fn reads_a_final_block() {
        // RFC 7692 section 7.2.3.4
        let mut deflate = new(parameters(false));
        let message = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(deflate.decompress_all(&message, MAX).unwrap(), b"Hello");
        assert_eq!(deflate.decompress_all(&message, MAX).unwrap(), b"Hello");
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn messages_round_trip_with_and_without_context() {
        for no_context in [false, true] {
            let mut server = new(parameters(no_context));
            let mut client = new(parameters(no_context));
            for length in [1, 10, 1000, 70_000, 5] {
                let text: Vec<u8> = (0..length).map(|index| (index * 31 % 97) as u8).collect();
                let compressed = server.compress([b"4", &text]);
                let expected = [b"4".as_slice(), &text].concat();
                assert_eq!(
                    client.decompress_all(&compressed, MAX).unwrap(),
                    expected,
                    "{length} {no_context}"
                );
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_bomb_is_refused_before_it_unfolds() {
        let bomb = new(parameters(true)).compress([&[], &vec![0; 50_000_000]]);
        let mut deflate = new(parameters(true));
        assert_eq!(deflate.decompress_all(&bomb, MAX), Err(Violation::TooLarge));
        let exact = new(parameters(true)).compress([&[], &vec![0; MAX]]);
        assert_eq!(new(parameters(true)).decompress_all(&exact, MAX).unwrap().len(), MAX);
    }

    #[test]
    fn garbage_is_refused() {
        let mut deflate = new(parameters(true));
        assert_eq!(deflate.decompress_all(&[0xff; 20], MAX), Err(Violation::Compression));
    }

    #[test]
    fn short_messages_are_left_alone_without_context() {
        assert!(!new(parameters(true)).applies_to(1023));
        assert!(new(parameters(true)).applies_to(1024));
        assert!(new(parameters(false)).applies_to(1));
    }
}
