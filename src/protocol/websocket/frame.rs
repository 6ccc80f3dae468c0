//! WebSocket messages from and to bytes (RFC 6455 section 5), without input or output.
//!
//! tungstenite's header codec is used on both ways; the message layer is ours, because it reads from a buffer that
//! all connections of a worker share and keeps nothing for a connection whose last frame was complete.

use std::borrow::Cow;
use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::deflate::Deflate;
use crate::protocol::error::Violation;

/// The most fragments that one message may consist of, as in ws.
pub const MAX_FRAGMENTS: u32 = 16_384;

/// The bit of a frame's first byte that says that it is the last of its message.
pub const FINAL: u8 = 0x80;

/// The opcodes of text messages and control frames (RFC 6455 section 5.2).
pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The longest frame header without its mask.
const MAX_HEADER: usize = 10;

/// The largest integer that JavaScript represents exactly, 2^53 - 1.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A data frame of at least this many bytes is assembled as it arrives, not once it is complete.
const LARGE_FRAME: usize = 4096;

/// Room that is made for a frame because its header announces it. There is more only for what has arrived: announcing
/// must not cost us memory.
const ROOM_AT_FIRST: usize = 128 << 10;

/// A leftover of at most this many bytes does not keep a larger buffer alive.
const LEFTOVER_SLACK: usize = 4096;

/// What a client sent: a whole message or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A text message that is not, where such ones are let pass.
    Octets(Cow<'a, [u8]>),
    /// A binary message; owned if it had to be assembled.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered with the same data.
    Ping(&'a [u8]),
    /// A pong: the answer to a ping of ours, or one that nobody asked for.
    Pong(&'a [u8]),
    /// The payload of the client's Close frame: empty, or a valid status and reason.
    Close(&'a [u8]),
}

impl Incoming<'_> {
    /// Bytes of the client in it.
    pub fn len(&self) -> usize {
        match self {
            Incoming::Text(text) => text.len(),
            Incoming::Binary(data) | Incoming::Octets(data) => data.len(),
            Incoming::Ping(data) | Incoming::Pong(data) | Incoming::Close(data) => data.len(),
        }
    }
}

/// What one message of a client may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that it, or the sum of its fragments, may have.
    pub payload: usize,
    /// Fragments that it may consist of.
    pub fragments: u32,
    /// Whether text that is not UTF-8 is let pass.
    pub is_lax: bool,
}

impl From<usize> for Limits {
    /// So many bytes, and as many fragments as usual.
    fn from(payload: usize) -> Limits {
        Limits { payload, fragments: MAX_FRAGMENTS, is_lax: false }
    }
}

/// Whether the receiver of a message wants the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// What follows is for another turn, see [`FrameReader::is_paused`].
    Pause,
    /// The connection is over; what follows is dropped.
    Stop,
}

/// Whether bytes are kept for another turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are.
    Yes,
    /// They are to be fed: they belong to a frame that is arriving.
    No,
    /// They are not: there would be too many.
    TooMuch,
}

/// Assembles messages from the bytes of one client.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The beginning of a small frame, or of a frame's header, whose end has not arrived.
    partial: Vec<u8>,
    /// The beginning of a message that did not arrive as a whole.
    assembly: Option<Box<Assembly>>,
    /// Whether the receiver wants no more in this turn.
    is_held: bool,
    /// The state of permessage-deflate, if it has been agreed on.
    pub deflate: Option<Box<Deflate>>,
}

/// A message under assembly: fragments, and what there is of a large frame.
#[derive(Debug)]
struct Assembly {
    opcode: Data,
    compressed: bool,
    payload: Vec<u8>,
    count: u32,
    /// Bytes of a text that are known to be whole characters.
    checked: usize,
    arriving: Option<Arriving>,
}

/// A frame that has not arrived as a whole: a large one, or one of a text. While there is one, what the client sends
/// belongs to it.
#[derive(Debug)]
struct Arriving {
    is_final: bool,
    is_large: bool,
    /// The mask of the bytes that come next.
    mask: [u8; 4],
    /// Bytes that have not arrived; never 0.
    missing: usize,
}

impl Assembly {
    /// Takes what `input` has of the frame that is arriving, and returns the rest and whether this ends the message.
    fn arrive<'i>(&mut self, input: &'i mut [u8]) -> (&'i mut [u8], bool) {
        let Some(frame) = self.arriving.as_ref() else { return (input, false) };
        let (bytes, rest) = input.split_at_mut(frame.missing.min(input.len()));
        self.make_room(bytes.len());
        self.payload.extend_from_slice(bytes);
        (rest, self.arrived(bytes.len()))
    }

    /// Makes room for bytes of the frame that is arriving, and for some that have not arrived, but not for more than there
    /// are.
    fn make_room(&mut self, length: usize) {
        let Some(frame) = self.arriving.as_ref() else { return };
        if self.payload.capacity() - self.payload.len() >= length {
            return;
        }
        let room = frame.missing.min(self.payload.len().max(ROOM_AT_FIRST)).max(length);
        if frame.is_final {
            self.payload.reserve_exact(room);
        } else {
            // exact room for each of many fragments would mean to copy what there is that often
            self.payload.reserve(room);
        }
    }

    /// The last so many bytes are of the frame that is arriving. Returns whether they end the message.
    fn arrived(&mut self, length: usize) -> bool {
        let Some(frame) = self.arriving.as_mut() else { return false };
        let start = self.payload.len() - length;
        unmask(&mut self.payload[start..], frame.mask);
        frame.mask.rotate_left(length % 4);
        frame.missing -= length;
        let is_complete = frame.missing == 0;
        let is_final = is_complete && frame.is_final;
        if is_complete {
            self.arriving = None;
        }
        is_final
    }
}

impl Assembly {
    /// Whether what arrives can be looked at as text before all of it is there.
    fn is_plain_text(&self) -> bool {
        self.opcode == Data::Text && !self.compressed
    }

    /// Refuses a text as soon as it cannot become one any more. A large frame is looked at when it is complete: the message is
    /// looked at as a whole in the end, and to do that twice with much of it would cost more than the client's error is worth.
    fn check(&mut self, limits: Limits) -> Result<(), Violation> {
        if limits.is_lax
            || !self.is_plain_text()
            || self.arriving.as_ref().is_some_and(|frame| frame.is_large)
        {
            return Ok(());
        }
        match std::str::from_utf8(&self.payload[self.checked..]) {
            Ok(_) => self.checked = self.payload.len(),
            // the rest of a character may come
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::Utf8),
        }
        Ok(())
    }
}

impl FrameReader {
    /// Where the client's next bytes belong, and how many of them, if these are at least `least`: those of a large frame. They
    /// can be put there right away, in place of being fed; `filled` has to be called then.
    #[cfg(any(unix, test))]
    pub fn gap(&mut self, least: usize) -> Option<(&mut Vec<u8>, usize)> {
        let assembly = self.assembly.as_mut()?;
        let missing = assembly.arriving.as_ref()?.missing;
        if missing < least {
            return None;
        }
        assembly.make_room(least);
        let most = missing.min(assembly.payload.capacity() - assembly.payload.len());
        Some((&mut assembly.payload, most))
    }

    /// So many bytes have been put into the gap.
    ///
    /// # Errors
    /// As for `feed`.
    #[cfg(any(unix, test))]
    pub fn filled(
        &mut self,
        length: usize,
        limits: impl Into<Limits>,
        mut deliver: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(), Violation> {
        let limits = limits.into();
        let Some(assembly) = self.assembly.as_mut() else { return Ok(()) };
        if !assembly.arrived(length) {
            return assembly.check(limits);
        }
        self.finish(limits, &mut deliver).map(|_| ())
    }
}

impl FrameReader {
    /// Takes the next bytes of the client, unmasks them in place and hands every complete message to `deliver`. If there was more
    /// to decompress than one turn is to, the rest is left for the next call, see `is_paused`.
    ///
    /// # Errors
    /// The first [`Violation`]; the reader must not be used after it.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        limits: impl Into<Limits>,
        mut deliver: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(), Violation> {
        let limits = limits.into();
        let mut input = input;
        self.is_held = false;
        match self.resume(limits, &mut deliver)? {
            Flow::Stop => return Ok(()),
            flow => self.is_held = flow == Flow::Pause,
        }
        if let Some(assembly) = self.assembly.as_mut() {
            let (rest, is_final) = assembly.arrive(input);
            input = rest;
            if !is_final {
                assembly.check(limits)?;
            } else {
                match self.finish(limits, &mut deliver)? {
                    Flow::Stop => return Ok(()),
                    flow => self.is_held = flow == Flow::Pause,
                }
            }
        }
        if self.partial.is_empty() {
            let consumed = self.consume(input, limits, &mut deliver)?;
            self.partial.extend_from_slice(&input[consumed..]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(input);
        let consumed = self.consume(&mut bytes, limits, &mut deliver)?;
        let leftover = bytes.len() - consumed;
        if leftover > 0 && (leftover > LEFTOVER_SLACK || bytes.capacity() <= LEFTOVER_SLACK) {
            bytes.drain(..consumed);
            self.partial = bytes;
        } else {
            self.partial = bytes[consumed..].to_vec();
        }
        Ok(())
    }

    /// Handles every complete frame of `bytes`, and a large one that is not, and returns how many bytes that were.
    fn consume(
        &mut self,
        bytes: &mut [u8],
        limits: Limits,
        deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<usize, Violation> {
        let mut at = 0;
        while !self.is_spent() && !self.is_held {
            let Some((header, length, header_length)) = self.header(&bytes[at..], limits)? else { break };
            let payload_at = at + header_length + 4;
            let end = payload_at + length;
            let mask =
                [bytes[payload_at - 4], bytes[payload_at - 3], bytes[payload_at - 2], bytes[payload_at - 1]];
            if bytes.len() < end {
                match header.opcode {
                    OpCode::Data(opcode) if length >= LARGE_FRAME || self.is_plain_text(&header) => {
                        let assembly = self.assembly(opcode, header.rsv1, limits)?;
                        assembly.arriving = Some(Arriving {
                            is_final: header.is_final,
                            is_large: length >= LARGE_FRAME,
                            mask,
                            missing: length,
                        });
                        assembly.arrive(&mut bytes[payload_at..]);
                        assembly.check(limits)?;
                        return Ok(bytes.len());
                    }
                    _ => break,
                }
            }
            let payload = &mut bytes[payload_at..end];
            unmask(payload, mask);
            let flow = self.frame(&header, payload, limits, deliver)?;
            if flow == Flow::Stop {
                return Ok(bytes.len());
            }
            self.is_held = flow == Flow::Pause;
            at = end;
        }
        Ok(at)
    }

    /// Reads a frame's header: the header, the payload's length and the header's own length without the mask.
    /// What can be refused is refused on the first two bytes, and a length on the header alone.
    fn header(&self, bytes: &[u8], limits: Limits) -> Result<Option<(FrameHeader, usize, usize)>, Violation> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        self.check_first_bytes(first, second)?;
        // tungstenite reports a length only together with the mask, so the mask bit is hidden from it
        let mut head = [0; MAX_HEADER];
        let available = bytes.len().min(MAX_HEADER);
        head[..available].copy_from_slice(&bytes[..available]);
        head[1] &= 0x7f;
        let mut cursor = Cursor::new(&head[..available]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Opcode(first & 0x0f))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        if length > MAX_SAFE_INTEGER {
            return Err(Violation::LengthOverflow);
        }
        if let OpCode::Data(_) = header.opcode {
            let gathered = self.assembly.as_ref().map_or(0, |message| message.payload.len()) as u64;
            if gathered + length > limits.payload as u64 {
                return Err(Violation::TooLarge);
            }
        }
        let header_length = cursor.position() as usize;
        if bytes.len() < header_length + 4 {
            return Ok(None);
        }
        Ok(Some((header, length as usize, header_length)))
    }

    fn check_first_bytes(&self, first: u8, second: u8) -> Result<(), Violation> {
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBits23);
        }
        let opcode = first & 0x0f;
        // RFC 7692 section 6: the bit stands on the first frame of a compressed message
        let may_be_compressed = self.deflate.is_some() && matches!(opcode, 1 | 2);
        if first & 0x40 != 0 && !may_be_compressed {
            return Err(Violation::ReservedBit1);
        }
        match OpCode::from(opcode) {
            OpCode::Data(Data::Continue) if self.assembly.is_none() => return Err(Violation::Opcode(0)),
            OpCode::Data(Data::Text | Data::Binary) if self.assembly.is_some() => {
                return Err(Violation::Opcode(opcode));
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err(Violation::Opcode(opcode));
            }
            OpCode::Control(control) => {
                let length = second & 0x7f;
                if first & 0x80 == 0 {
                    return Err(Violation::FragmentedControl);
                }
                if length > 125 || (control == Control::Close && length == 1) {
                    return Err(Violation::ControlLength(length));
                }
            }
            OpCode::Data(_) => {}
        }
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        Ok(())
    }

    /// Handles one unmasked frame.
    fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        limits: Limits,
        deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<Flow, Violation> {
        match header.opcode {
            OpCode::Data(opcode) if header.is_final && self.assembly.is_none() => {
                self.message(opcode, header.rsv1, Cow::Borrowed(payload), limits, deliver)
            }
            OpCode::Data(opcode) => {
                let assembly = self.assembly(opcode, header.rsv1, limits)?;
                assembly.payload.extend_from_slice(payload);
                if header.is_final {
                    self.finish(limits, deliver)
                } else {
                    assembly.check(limits).map(|()| Flow::Continue)
                }
            }
            OpCode::Control(Control::Ping) => Ok(deliver(Incoming::Ping(payload))),
            OpCode::Control(Control::Pong) => Ok(deliver(Incoming::Pong(payload))),
            OpCode::Control(_) => {
                check_close(payload, limits)?;
                Ok(deliver(Incoming::Close(payload)))
            }
        }
    }
}

impl FrameReader {
    /// Whether something of what it has been fed is left for another turn. It is to be fed with nothing then, before there is
    /// more for it.
    pub fn is_paused(&self) -> bool {
        let is_unfinished = |deflate: &Deflate| deflate.is_unfinished();
        (self.is_spent() || self.is_held) && !self.partial.is_empty()
            || self.deflate.as_deref().is_some_and(is_unfinished)
    }

    /// Keeps the client's next bytes for another turn, if they are no more than `most` with those that are kept already.
    pub fn keep(&mut self, bytes: &[u8], most: usize) -> Kept {
        if self.assembly.as_ref().is_some_and(|assembly| assembly.arriving.is_some()) {
            return Kept::No;
        }
        if self.partial.len() + bytes.len() > most {
            return Kept::TooMuch;
        }
        self.partial.extend_from_slice(bytes);
        Kept::Yes
    }

    /// Whether no more is to be decompressed in this turn.
    fn is_spent(&self) -> bool {
        self.deflate.as_deref().is_some_and(Deflate::is_spent)
    }

    /// Begins a turn with what an earlier one has left of a compressed message.
    fn resume(
        &mut self,
        limits: Limits,
        deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<Flow, Violation> {
        let Some(deflate) = self.deflate.as_mut() else { return Ok(Flow::Continue) };
        deflate.begin_turn();
        match deflate.resume(limits.payload)? {
            Some((is_text, payload)) => {
                let opcode = if is_text { Data::Text } else { Data::Binary };
                deliver_message(opcode, Cow::Owned(payload), limits, deliver)
            }
            None => Ok(Flow::Continue),
        }
    }

    /// Forgets what has come; what has been agreed on with the client stays.
    pub fn reset(&mut self) {
        let mut deflate = self.deflate.take();
        if let Some(deflate) = deflate.as_mut() {
            deflate.forget();
        }
        *self = FrameReader { deflate, ..FrameReader::default() };
    }

    /// Whether a data frame is of a message that can be looked at as text before all of it is there.
    fn is_plain_text(&self, header: &FrameHeader) -> bool {
        match header.opcode {
            OpCode::Data(Data::Text) => !header.rsv1,
            _ => self.assembly.as_ref().is_some_and(|assembly| assembly.is_plain_text()),
        }
    }

    /// The message that a data frame begins or goes on with.
    fn assembly(
        &mut self,
        opcode: Data,
        compressed: bool,
        limits: Limits,
    ) -> Result<&mut Assembly, Violation> {
        let message = self.assembly.get_or_insert_with(|| {
            Box::new(Assembly {
                opcode,
                compressed,
                payload: Vec::new(),
                count: 0,
                checked: 0,
                arriving: None,
            })
        });
        message.count += 1;
        if message.count > limits.fragments {
            return Err(Violation::TooManyFragments);
        }
        Ok(message)
    }

    /// Handles the message under assembly, which is complete.
    fn finish(
        &mut self,
        limits: Limits,
        deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<Flow, Violation> {
        let Some(message) = self.assembly.take() else { return Ok(Flow::Continue) };
        self.message(message.opcode, message.compressed, Cow::Owned(message.payload), limits, deliver)
    }

    /// Handles a whole message.
    fn message(
        &mut self,
        opcode: Data,
        compressed: bool,
        payload: Cow<'_, [u8]>,
        limits: Limits,
        deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<Flow, Violation> {
        match self.deflate.as_mut() {
            Some(deflate) if compressed => {
                match deflate.decompress(payload, opcode == Data::Text, limits.payload)? {
                    Some(payload) => deliver_message(opcode, Cow::Owned(payload), limits, deliver),
                    None => Ok(Flow::Continue),
                }
            }
            _ => deliver_message(opcode, payload, limits, deliver),
        }
    }
}

fn deliver_message(
    opcode: Data,
    payload: Cow<'_, [u8]>,
    limits: Limits,
    deliver: &mut impl FnMut(Incoming<'_>) -> Flow,
) -> Result<Flow, Violation> {
    if opcode != Data::Text {
        return Ok(deliver(Incoming::Binary(payload)));
    }
    match std::str::from_utf8(&payload) {
        Ok(text) => Ok(deliver(Incoming::Text(text))),
        Err(_) if limits.is_lax => Ok(deliver(Incoming::Octets(payload))),
        Err(_) => Err(Violation::Utf8),
    }
}

/// Checks the payload of a Close frame (RFC 6455 sections 5.5.1 and 7.4).
fn check_close(payload: &[u8], limits: Limits) -> Result<(), Violation> {
    let [high, low, reason @ ..] = payload else { return Ok(()) };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::CloseCode(code));
    }
    if limits.is_lax {
        return Ok(());
    }
    std::str::from_utf8(reason).map(|_| ()).map_err(|_| Violation::Utf8)
}

/// Removes the client's mask (RFC 6455 section 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a final text frame whose payload is `prefix` and then `text`.
pub fn write_text(prefix: &[u8], text: &[u8], out: &mut Vec<u8>) {
    write_frame(OpCode::Data(Data::Text), prefix, text, out);
}

/// Appends a final binary frame whose payload is `prefix` and then `data`.
pub fn write_binary(prefix: &[u8], data: &[u8], out: &mut Vec<u8>) {
    write_frame(OpCode::Data(Data::Binary), prefix, data, out);
}

/// Appends the beginning of a final binary frame whose payload is `prefix` and then `length` bytes, which follow.
pub fn write_binary_head(prefix: &[u8], length: usize, out: &mut Vec<u8>) {
    write_head(OpCode::Data(Data::Binary), prefix, length, out);
}

/// Appends a final frame of a message that was compressed (RFC 7692 section 6.1).
pub fn write_compressed(is_text: bool, payload: &[u8], out: &mut Vec<u8>) {
    let opcode = OpCode::Data(if is_text { Data::Text } else { Data::Binary });
    let header = FrameHeader { opcode, rsv1: true, ..FrameHeader::default() };
    out.reserve(payload.len() + MAX_HEADER);
    // writing to a Vec does not fail
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// Appends a frame as the application wants it. `first`: its first byte (RFC 6455 section 5.2), without reserved bits.
pub fn write_any(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::from(first & 0x0f),
        is_final: first & FINAL != 0,
        ..Default::default()
    };
    out.reserve(payload.len() + MAX_HEADER);
    // writing to a Vec does not fail
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// Appends a pong frame.
pub fn write_pong(data: &[u8], out: &mut Vec<u8>) {
    write_frame(OpCode::Control(Control::Pong), &[], data, out);
}

/// Appends a Close frame; the payload is empty, or a status and a reason.
pub fn write_close(payload: &[u8], out: &mut Vec<u8>) {
    write_frame(OpCode::Control(Control::Close), &[], payload, out);
}

fn write_frame(opcode: OpCode, prefix: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(MAX_HEADER + prefix.len() + payload.len());
    write_head(opcode, prefix, payload.len(), out);
    out.extend_from_slice(payload);
}

fn write_head(opcode: OpCode, prefix: &[u8], length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // writing to a Vec does not fail
    let _ = header.format((prefix.len() + length) as u64, out);
    out.extend_from_slice(prefix);
}

#[cfg(test)]
mod tests {
    use super::super::deflate::Parameters;
    use super::*;

    const MAX: usize = 1000;

    /// A masked client frame.
    fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// Feeds chunk by chunk; what was delivered, as text, and how it ended.
    fn read(chunks: &[&[u8]]) -> (Vec<String>, Result<(), Violation>) {
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            let result = reader.feed(&mut chunk.to_vec(), MAX, |incoming| {
                seen.push(format!("{incoming:?}"));
                Flow::Continue
            });
            if result.is_err() {
                return (seen, result);
            }
        }
        (seen, Ok(()))
    }

    fn violation(bytes: &[u8]) -> Violation {
        read(&[bytes]).1.unwrap_err()
    }

    #[test]
    fn reads_the_example_of_the_rfc() {
        // RFC 6455 section 5.7: a masked text message "Hello"
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&[&bytes]).0, [r#"Text("Hello")"#]);
    }

    #[test]
    fn a_split_at_every_byte_changes_nothing() {
        let mut bytes = client_frame(0x81, b"first");
        bytes.extend(client_frame(0x82, &[7; 200]));
        bytes.extend(client_frame(0x01, "é".as_bytes()));
        bytes.extend(client_frame(0x89, b"ping"));
        bytes.extend(client_frame(0x80, b"!"));
        bytes.extend(client_frame(0x88, &1001u16.to_be_bytes()));
        let whole = read(&[&bytes]);
        assert_eq!(whole.0.len(), 5);
        assert_eq!(whole.0[3], r#"Text("é!")"#);
        assert_eq!(whole.0[4], "Close([3, 233])");
        // Miri takes its time
        for at in (0..bytes.len()).step_by(if cfg!(miri) { 23 } else { 1 }) {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), whole);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), whole);
    }

    /// Feeds in pieces of `step` bytes; every binary message that was delivered, and whether it was owned.
    fn read_binary(bytes: &[u8], step: usize) -> (Vec<(Vec<u8>, bool)>, FrameReader) {
        let (mut reader, mut seen) = (FrameReader::default(), Vec::new());
        for piece in bytes.chunks(step) {
            let result = reader.feed(&mut piece.to_vec(), usize::MAX >> 1, |incoming| {
                if let Incoming::Binary(data) = incoming {
                    let is_owned = matches!(data, Cow::Owned(_));
                    seen.push((data.into_owned(), is_owned));
                }
                Flow::Continue
            });
            result.unwrap();
        }
        (seen, reader)
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 31 % 251) as u8).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn large_frames_are_the_same_however_they_arrive() {
        let messages = [LARGE_FRAME - 1, LARGE_FRAME, 3, 70_000, 300_001, 0].map(noise);
        let mut bytes: Vec<u8> = messages.iter().flat_map(|data| client_frame(0x82, data)).collect();
        // in fragments, between which a ping comes
        let fragments = noise(20_000);
        bytes.extend(client_frame(0x02, &fragments[..5000]));
        bytes.extend(client_frame(0x00, &fragments[5000..5001]));
        bytes.extend(client_frame(0x89, b"ping"));
        bytes.extend(client_frame(0x80, &fragments[5001..]));
        for step in [1, 7, 13, 1000, 4097, 65_536, 131_072, bytes.len()] {
            let (seen, reader) = read_binary(&bytes, step);
            let seen: Vec<&[u8]> = seen.iter().map(|(data, _)| data.as_slice()).collect();
            let expected = messages.iter().chain([&fragments]);
            assert!(expected.eq(seen), "{step}");
            assert!(reader.partial.is_empty() && reader.assembly.is_none());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_message_that_was_assembled_is_handed_over() {
        let bytes = client_frame(0x82, &noise(65_536));
        let (seen, _) = read_binary(&bytes, bytes.len());
        assert!(!seen[0].1);
        for step in [1000, 65_536] {
            let (seen, _) = read_binary(&bytes, step);
            assert!(seen[0].1);
            assert_eq!(seen[0].0.capacity(), 65_536);
        }
    }

    /// The same, but for what can be put where it belongs right away.
    fn read_binary_placed(mut bytes: &[u8], step: usize) -> (Vec<(Vec<u8>, bool)>, FrameReader) {
        let (mut reader, mut seen, mut placed) = (FrameReader::default(), Vec::new(), 0);
        while !bytes.is_empty() {
            let mut deliver = |incoming: Incoming<'_>| {
                if let Incoming::Binary(data) = incoming {
                    let is_owned = matches!(data, Cow::Owned(_));
                    seen.push((data.into_owned(), is_owned));
                }
                Flow::Continue
            };
            let length = step.min(bytes.len());
            if let Some((message, missing)) = reader.gap(LARGE_FRAME) {
                let length = length.min(missing);
                let capacity = message.capacity();
                message.extend_from_slice(&bytes[..length]);
                assert_eq!(message.capacity(), capacity, "there is room for all of the gap");
                reader.filled(length, usize::MAX >> 1, &mut deliver).unwrap();
                bytes = &bytes[length..];
                placed += length;
            } else {
                reader.feed(&mut bytes[..length].to_vec(), usize::MAX >> 1, &mut deliver).unwrap();
                bytes = &bytes[length..];
            }
        }
        assert!(placed > 0);
        (seen, reader)
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn what_is_put_where_it_belongs_is_the_same_as_what_is_fed() {
        let payload: Vec<u8> = (0..500_001u32).map(|index| (index % 251) as u8).collect();
        let mut bytes = client_frame(0x82, &payload);
        bytes.extend(client_frame(0x82, b"small"));
        bytes.extend(client_frame(0x02, &payload[..300_000]));
        bytes.extend(client_frame(0x89, b"ping"));
        bytes.extend(client_frame(0x80, &payload[300_000..]));
        bytes.extend(client_frame(0x82, b"last"));
        for step in [7001, 65_536, 100_003, 300_000] {
            let (seen, reader) = read_binary_placed(&bytes, step);
            let expected = [&payload[..], b"small", &payload, b"last"];
            assert!(seen.iter().map(|(data, _)| &data[..]).eq(expected), "in steps of {step}");
            assert!(reader.assembly.is_none() && reader.partial.is_empty());
            // a message that is owned need not be copied
            assert!(seen[0].1 && seen[2].1);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_gap_is_as_large_as_what_has_arrived() {
        let frame = client_frame(0x82, &[1; 10_000_000]);
        let mut reader = FrameReader::default();
        assert!(reader.gap(1).is_none());
        reader.feed(&mut frame[..5000].to_vec(), usize::MAX >> 1, |_| Flow::Continue).unwrap();
        let (message, missing) = reader.gap(LARGE_FRAME).unwrap();
        assert!(message.capacity() <= ROOM_AT_FIRST + 5000 && missing <= ROOM_AT_FIRST);
        assert!(reader.gap(10_000_000).is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn an_announced_length_takes_no_memory() {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend((1u64 << 40).to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        let capacity = |reader: &FrameReader| reader.assembly.as_ref().unwrap().payload.capacity();
        assert_eq!(capacity(&read_binary(&bytes, 100).1), 0);
        bytes.extend(noise(10));
        assert_eq!(capacity(&read_binary(&bytes, 100).1), ROOM_AT_FIRST);
        bytes.extend(noise(1_000_000));
        assert!(capacity(&read_binary(&bytes, 65_536).1) <= 2_000_020);
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn large_fragments_do_not_make_room_for_each_other_anew() {
        let mut reader = FrameReader::default();
        let mut capacities = std::collections::BTreeSet::new();
        for index in 0..500 {
            let first = if index == 0 { 0x02 } else { 0x00 };
            for piece in client_frame(first, &[7; LARGE_FRAME]).chunks(3000) {
                reader.feed(&mut piece.to_vec(), usize::MAX >> 1, |_| Flow::Continue).unwrap();
                capacities.insert(reader.assembly.as_ref().unwrap().payload.capacity());
            }
        }
        assert_eq!(reader.assembly.unwrap().payload.len(), 500 * LARGE_FRAME);
        assert!(capacities.len() < 20, "{capacities:?}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_large_message_is_judged_as_a_whole() {
        let text = "é".repeat(LARGE_FRAME);
        let frame = client_frame(0x81, text.as_bytes());
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        // the piece ends within a character
        for piece in frame.chunks(1001) {
            let flow = |incoming: Incoming<'_>| {
                seen.push(format!("{incoming:?}"));
                Flow::Continue
            };
            reader.feed(&mut piece.to_vec(), text.len(), flow).unwrap();
        }
        assert_eq!(seen, [format!("Text({text:?})")]);
        let mut broken = client_frame(0x81, &[0xff; LARGE_FRAME]);
        let (first, rest) = broken.split_at_mut(100);
        let mut reader = FrameReader::default();
        assert_eq!(reader.feed(first, LARGE_FRAME, |_| Flow::Continue), Ok(()));
        assert_eq!(reader.feed(rest, LARGE_FRAME, |_| Flow::Continue), Err(Violation::Utf8));
    }

    #[test]
    fn what_follows_a_large_message_is_dropped_when_its_receiver_stops() {
        let mut bytes = client_frame(0x82, &noise(LARGE_FRAME));
        bytes.extend(client_frame(0x81, b"b"));
        let (first, rest) = bytes.split_at_mut(LARGE_FRAME);
        let (mut reader, mut seen) = (FrameReader::default(), 0);
        for piece in [first, rest] {
            let result = reader.feed(piece, LARGE_FRAME, |_| {
                seen += 1;
                Flow::Stop
            });
            assert_eq!(result, Ok(()));
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn refuses_what_the_rfc_forbids() {
        assert_eq!(violation(&[0xa1, 0x80]), Violation::ReservedBits23);
        assert_eq!(violation(&[0x91, 0x80]), Violation::ReservedBits23);
        assert_eq!(violation(&[0xc1, 0x80]), Violation::ReservedBit1);
        assert_eq!(violation(&[0x83, 0x80]), Violation::Opcode(3));
        assert_eq!(violation(&[0x8b, 0x80]), Violation::Opcode(11));
        assert_eq!(violation(&[0x80, 0x80]), Violation::Opcode(0));
        assert_eq!(violation(&[0x81, 0x00]), Violation::Unmasked);
        assert_eq!(violation(&[0x09, 0x80]), Violation::FragmentedControl);
        assert_eq!(violation(&[0x89, 0xfe]), Violation::ControlLength(126));
        assert_eq!(violation(&[0x88, 0x81]), Violation::ControlLength(1));
        assert_eq!(violation(&client_frame(0x88, &1005u16.to_be_bytes())), Violation::CloseCode(1005));
        assert_eq!(violation(&client_frame(0x88, &[0x03, 0xe8, 0xff])), Violation::Utf8);
        assert_eq!(violation(&client_frame(0x81, &[0xc3, 0x28])), Violation::Utf8);
    }

    #[test]
    fn a_new_message_may_not_begin_inside_a_fragmented_one() {
        let mut bytes = client_frame(0x01, b"a");
        bytes.extend(client_frame(0x81, b"b"));
        assert_eq!(violation(&bytes), Violation::Opcode(1));
    }

    #[test]
    fn a_length_is_refused_on_the_header_alone() {
        assert_eq!(violation(&[0x82, 0xfe, 0x03, 0xe9]), Violation::TooLarge);
        let declared = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes()].concat();
        assert_eq!(violation(&declared(1 << 52)), Violation::TooLarge);
        assert_eq!(violation(&declared(1 << 53)), Violation::LengthOverflow);
        assert_eq!(violation(&declared(1 << 63)), Violation::LengthOverflow);
        assert_eq!(read(&[&client_frame(0x82, &[1; MAX])]).0.len(), 1);
    }

    #[test]
    fn the_sum_of_fragments_is_limited() {
        let mut bytes = client_frame(0x02, &[1; MAX]);
        bytes.extend(client_frame(0x80, &[1]));
        assert_eq!(violation(&bytes), Violation::TooLarge);
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn the_number_of_fragments_is_limited() {
        let mut bytes = client_frame(0x01, b"");
        for _ in 1..MAX_FRAGMENTS {
            bytes.extend(client_frame(0x00, b""));
        }
        assert_eq!(read(&[&bytes]).1, Ok(()));
        bytes.extend(client_frame(0x00, b""));
        assert_eq!(violation(&bytes), Violation::TooManyFragments);
    }

    #[test]
    fn a_stopped_receiver_gets_nothing_more() {
        let mut bytes = client_frame(0x81, b"a");
        bytes.extend(client_frame(0x81, b"b"));
        let mut seen = 0;
        let result = FrameReader::default().feed(&mut bytes, MAX, |_| {
            seen += 1;
            Flow::Stop
        });
        assert_eq!((seen, result), (1, Ok(())));
    }

    #[test]
    fn a_receiver_that_pauses_gets_one_message_at_a_time_however_they_arrive() {
        let large = "x".repeat(LARGE_FRAME + 5);
        let texts = ["first", "", &large, "in fragments", "last"];
        let mut bytes: Vec<u8> =
            texts[..3].iter().flat_map(|text| client_frame(0x81, text.as_bytes())).collect();
        bytes.extend([client_frame(0x01, b"in "), client_frame(0x80, b"fragments")].concat());
        bytes.extend(client_frame(0x81, b"last"));
        for step in [1, 7, 1000, bytes.len()] {
            let mut reader = FrameReader::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(step) {
                let mut input = chunk.to_vec();
                loop {
                    let before = got.len();
                    let result = reader.feed(&mut input, 1 << 20, |incoming| {
                        if let Incoming::Text(text) = incoming {
                            got.push(text.to_owned());
                        }
                        Flow::Pause
                    });
                    assert!(result.is_ok() && got.len() <= before + 1);
                    if !reader.is_paused() {
                        break;
                    }
                    input.clear();
                }
            }
            assert_eq!(got, texts, "in steps of {step}");
        }
    }

    #[test]
    fn bytes_are_kept_for_another_turn_unless_a_frame_is_arriving() {
        let mut reader = FrameReader::default();
        let frames = [client_frame(0x81, b"one"), client_frame(0x81, b"two")];
        let mut got = Vec::new();
        let mut take = |reader: &mut FrameReader, input: &mut [u8]| {
            let deliver = |incoming: Incoming<'_>| {
                got.push(format!("{incoming:?}"));
                Flow::Continue
            };
            reader.feed(input, MAX, deliver).unwrap();
            got.len()
        };
        let most = frames[0].len() + frames[1].len();
        assert_eq!(reader.keep(&frames[0], most), Kept::Yes);
        assert_eq!(reader.keep(&[&frames[1][..], b"x"].concat(), most), Kept::TooMuch);
        assert_eq!(reader.keep(&frames[1], most), Kept::Yes);
        assert_eq!(take(&mut reader, &mut []), 2);
        assert_eq!(take(&mut reader, &mut frames[0][..7].to_vec()), 2);
        assert_eq!(reader.keep(&frames[0][7..], most), Kept::No);
        assert_eq!(take(&mut reader, &mut frames[0][7..].to_vec()), 3);
    }

    #[test]
    fn a_text_is_refused_when_it_cannot_become_one_any_more() {
        let broken: [&[u8]; 4] = [b"a\xff", b"\xed\xa0\x80", b"\xc3\x28", b"\xf4\x90\x80\x80"];
        for bytes in broken {
            let padding = [b'x'; 100];
            for first in [0x01, 0x81] {
                let whole = client_frame(first, &[bytes, &padding].concat());
                let header = whole.len() - bytes.len() - padding.len();
                // byte by byte, and no further than to what is wrong
                let mut reader = FrameReader::default();
                let mut feed = |byte: u8| reader.feed(&mut [byte], MAX, |_| Flow::Stop);
                let refused = whole.iter().position(|&byte| feed(byte).is_err()).unwrap();
                let valid = std::str::from_utf8(bytes).unwrap_err().valid_up_to();
                assert!(refused <= header + valid + 3, "{refused} {header} {bytes:?}");
            }
            // a fragment that is complete
            assert_eq!(violation(&client_frame(0x01, bytes)), Violation::Utf8);
            let mut fragments = client_frame(0x01, b"a");
            fragments.extend(client_frame(0x00, bytes));
            assert_eq!(violation(&fragments), Violation::Utf8);
            // another kind of message
            assert_eq!(read(&[&client_frame(0x02, bytes)]).1, Ok(()));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_large_frame_of_a_text_is_looked_at_once_it_is_complete() {
        let mut text = vec![b'x'; 2 * LARGE_FRAME];
        text[0] = 0xff;
        for first in [0x01, 0x81] {
            let mut bytes = client_frame(first, &text);
            let (mut reader, last) = (FrameReader::default(), bytes.len() - 1);
            assert_eq!(reader.feed(&mut bytes[..last], text.len(), |_| Flow::Stop), Ok(()));
            let result = reader.feed(&mut bytes[last..], text.len(), |_| Flow::Stop);
            assert_eq!(result, Err(Violation::Utf8));
        }
    }

    #[test]
    fn characters_may_be_cut_anywhere() {
        // Miri takes its time
        let text = "aé日😀z".repeat(if cfg!(miri) { 1 } else { 5 });
        let expected = format!("{:?}", Incoming::Text(&text));
        for cut in 0..=text.len() {
            for again in cut..=text.len() {
                let (first, second, third) =
                    (&text.as_bytes()[..cut], &text.as_bytes()[cut..again], &text.as_bytes()[again..]);
                let frames =
                    [client_frame(0x01, first), client_frame(0x00, second), client_frame(0x80, third)]
                        .concat();
                assert_eq!(read(&[&frames]), (vec![expected.clone()], Ok(())));
                let whole = client_frame(0x81, text.as_bytes());
                let (one, two) = whole.split_at(whole.len() - text.len() + cut);
                let (two, three) = two.split_at(again - cut);
                assert_eq!(read(&[one, two, three]), (vec![expected.clone()], Ok(())));
            }
        }
    }

    #[test]
    fn a_small_leftover_does_not_keep_a_large_buffer() {
        let mut reader = FrameReader::default();
        let mut bytes = client_frame(0x82, &[1; 900]);
        bytes.extend(client_frame(0x82, &[1; 900]).repeat(70));
        bytes.extend([0x82]);
        let (first, rest) = bytes.split_at_mut(10);
        reader.feed(first, MAX, |_| Flow::Continue).unwrap();
        reader.feed(rest, MAX, |_| Flow::Continue).unwrap();
        assert_eq!(reader.partial.len(), 1);
        assert!(reader.partial.capacity() <= LEFTOVER_SLACK);
    }

    #[test]
    fn written_frames_are_those_of_the_rfc() {
        let mut out = Vec::new();
        write_text(b"4", b"hi", &mut out);
        assert_eq!(out, [0x81, 3, b'4', b'h', b'i']);
        out.clear();
        write_binary(&[], &[0; 126], &mut out);
        assert_eq!(out[..4], [0x82, 126, 0, 126]);
        out.clear();
        write_binary(&[0; 536], &vec![0; 65_000], &mut out);
        assert_eq!(out[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        out.clear();
        write_close(&[], &mut out);
        write_close(&1002u16.to_be_bytes(), &mut out);
        write_pong(b"x", &mut out);
        assert_eq!(out, [0x88, 0, 0x88, 2, 0x03, 0xea, 0x8a, 1, b'x']);
    }

    /// A reader that has agreed on permessage-deflate, and the frame of a compressed message for it.
    fn deflated(payload: &[u8], first: u8) -> (FrameReader, Vec<u8>) {
        let parameters = Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            level: 6,
            threshold: 0,
        };
        let mut deflate = Box::new(Deflate::new(parameters, Default::default()));
        let frame = client_frame(first | 0x40, &deflate.compress([payload, &[]]));
        (FrameReader { deflate: Some(deflate), ..FrameReader::default() }, frame)
    }

    /// Feeds once, and then with nothing until nothing is left. Returns how many turns that has taken, and the lengths of what was
    /// delivered in each.
    fn turns(
        reader: &mut FrameReader,
        bytes: &[u8],
        max_payload: usize,
    ) -> Result<Vec<Vec<usize>>, Violation> {
        let (mut turns, mut bytes) = (Vec::new(), bytes.to_vec());
        loop {
            let mut seen = Vec::new();
            reader.feed(&mut bytes, max_payload, |incoming| {
                seen.push(incoming.len());
                if matches!(incoming, Incoming::Close(_)) {
                    Flow::Stop
                } else {
                    Flow::Continue
                }
            })?;
            turns.push(seen);
            bytes.clear();
            if !reader.is_paused() {
                return Ok(turns);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn what_takes_long_to_decompress_takes_several_turns() {
        const LARGE: usize = 1_000_000;
        for first in [0x81, 0x82] {
            let (mut reader, mut bytes) = deflated(&vec![b'x'; LARGE], first);
            assert!(bytes.len() < 2000);
            bytes.extend(client_frame(0x81, b"after"));
            bytes.extend(client_frame(0x01, b"the beginning of a"));
            let mut seen = turns(&mut reader, &bytes, LARGE).unwrap();
            assert_eq!(seen.pop().unwrap(), [LARGE, 5]);
            assert!(seen.len() >= 7 && seen.iter().all(Vec::is_empty), "{seen:?}");
            // the next one has its turn again
            assert_eq!(turns(&mut reader, &client_frame(0x80, b"nother"), LARGE).unwrap(), [[24]]);
        }
        // many that are not large are as much
        let (mut reader, frame) = deflated(&[b'x'; 50_000], 0x81);
        let seen = turns(&mut reader, &frame.repeat(100), LARGE).unwrap();
        assert!(seen.len() > 30 && seen.iter().all(|turn| turn.len() <= 3), "{seen:?}");
        assert_eq!(seen.concat(), [50_000; 100]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_message_that_is_too_large_is_refused_in_a_later_turn() {
        let (mut reader, frame) = deflated(&[b'x'; 1_000_000], 0x81);
        assert_eq!(reader.feed(&mut frame.clone(), 999_999, |_| Flow::Continue), Ok(()));
        assert!(reader.is_paused());
        assert_eq!(turns(&mut reader, &[], 999_999), Err(Violation::TooLarge));
        // and so is what comes where its end should be, after what was whole
        let (mut reader, mut frame) = deflated(&[b'x'; 1_000_000], 0x81);
        frame.extend([0xff, 0xff]);
        assert_eq!(turns(&mut reader, &frame, 1_000_000), Err(Violation::ReservedBits23));
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn what_was_left_for_another_turn_can_be_forgotten() {
        let (mut reader, frame) = deflated(&[b'x'; 1_000_000], 0x81);
        let (_, next) = deflated(b"next", 0x81);
        reader.feed(&mut [frame, vec![0x81]].concat(), 1_000_000, |_| panic!("too early")).unwrap();
        assert!(reader.is_paused());
        reader.reset();
        assert!(!reader.is_paused());
        assert_eq!(turns(&mut reader, &next, 1_000_000).unwrap(), [[4]]);
    }
}
