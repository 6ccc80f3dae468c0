//! The reader of WebSocket frames (`src/protocol/websocket/frame.rs`) against itself and against tungstenite's.
//!
//! * However the bytes are split, fed, or put in their place, the messages are the same, and so is the violation.
//! * What a reader keeps is bounded by what it has been fed, not by what a header announces.
//! * Without permessage-deflate, tungstenite delivers the same messages, and refuses what is refused here. It differs in this:
//!   - It reads a frame to its end before it judges it, its text included; so it is given enough bytes for that.
//!   - A Close frame with a status that may not be sent, it delivers as one of status 1002. To it, 1014 is such a status.
//!   - It takes a control frame whose length is short, but stands in the field for a long one.
//!   - It has no limit on the number of fragments.

use std::io::{self, Cursor, Read, Write};

use sockeye::internals::error::Violation;
use sockeye::internals::websocket::deflate::{Deflate, Parameters};
use sockeye::internals::websocket::frame::{Flow, FrameReader, Incoming, Limits, MAX_FRAGMENTS};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::Message as Theirs;

use crate::choices::{pieces, Choices};
use crate::MEMORY;

/// What a reader has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Vec<u8>),
}

/// Messages, and how it ended.
type Outcome = (Vec<Message>, Result<(), Violation>);

/// Room that a reader makes because a frame has been announced, and that of its tables.
const ROOM: usize = (128 << 10) + (32 << 10);

/// Takes an input: three bytes of settings, then frames.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let settings = choices.byte();
    let seed = u64::from(choices.word());
    // control frames do not count to our limit, but to tungstenite's
    let max_payload = [125, 1000, 5000, 20_000][usize::from(settings & 3)];
    let fragments = if settings & 64 != 0 { 3 } else { MAX_FRAGMENTS };
    let limits = Limits { payload: max_payload, fragments };
    let deflate = (settings & 4 != 0).then_some(Parameters {
        server_no_context_takeover: true,
        client_no_context_takeover: settings & 8 != 0,
        server_max_window_bits: 15,
        client_max_window_bits: if settings & 16 != 0 { 15 } else { 9 },
        level: 1,
        threshold: 0,
    });
    let bytes = if settings & 32 != 0 { choices.rest().to_vec() } else { frames(&mut choices) };

    let whole = read(&[&bytes], limits, deflate);
    let random = pieces(&bytes, seed);
    let same = |outcome: Outcome, how: &str| assert_eq!(outcome, whole, "{how}, of {bytes:x?}");
    same(read(&random, limits, deflate), "in random pieces");
    same(read_placed(&random, limits, deflate), "put in its place");
    if bytes.len() < 300 {
        same(read(&bytes.chunks(1).collect::<Vec<_>>(), limits, deflate), "byte by byte");
    }
    if deflate.is_none() {
        compare(&bytes, max_payload, &whole);
    }
}

/// Frames from their descriptions: the first byte, the length, and the payload or how to make it. Long ones come from few bytes.
fn frames(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !choices.is_empty() && bytes.len() < 100_000 {
        let (first, length) = (choices.byte(), choices.byte());
        let payload = match length {
            0..=125 => choices.bytes(usize::from(length)).to_vec(),
            // around the length from which a frame is assembled as it arrives, or any
            126..=180 => vec![b'a' + length % 3; 4040 + usize::from(length)],
            _ => {
                let (fill, length) = (choices.byte(), usize::from(choices.word()) % 20_000);
                (0..length).map(|index| fill & 0x7f ^ (index % 7) as u8).collect()
            }
        };
        let mask = if first & 1 != 0 { [0; 4] } else { [length, 0x5a, first, 0xff] };
        bytes.extend(client_frame(first, mask, &payload));
    }
    bytes
}

/// A frame of a client, with the length in the least bytes; no more than 65,535 bytes of payload.
pub fn client_frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Takes over what is delivered; nothing is wanted after a Close frame.
fn keep(seen: &mut Vec<Message>, incoming: Incoming<'_>) -> Flow {
    let length = incoming.len();
    let message = match incoming {
        Incoming::Text(text) => Message::Text(text.to_owned()),
        Incoming::Binary(data) => Message::Binary(data.into_owned()),
        Incoming::Octets(_) => unreachable!("text that is not UTF-8 is refused"),
        Incoming::Ping(data) => Message::Ping(data.to_vec()),
        Incoming::Pong(_) => Message::Pong,
        Incoming::Close(data) => Message::Close(data.to_vec()),
    };
    if let Message::Text(text) = &message {
        assert_eq!(text.len(), length);
    }
    let flow = if matches!(message, Message::Close(_)) { Flow::Stop } else { Flow::Continue };
    seen.push(message);
    flow
}

fn reader(deflate: Option<Parameters>) -> FrameReader {
    let deflate = deflate.map(|parameters| Box::new(Deflate::new(parameters, Default::default())));
    let mut reader = FrameReader::default();
    reader.deflate = deflate;
    reader
}

/// Feeds a piece, in as many turns as it takes to decompress what is in it.
fn feed(
    reader: &mut FrameReader,
    piece: &mut [u8],
    limits: Limits,
    seen: &mut Vec<Message>,
) -> Result<(), Violation> {
    reader.feed(piece, limits, |incoming| keep(seen, incoming))?;
    while reader.is_paused() && !matches!(seen.last(), Some(Message::Close(_))) {
        reader.feed(&mut [], limits, |incoming| keep(seen, incoming))?;
    }
    Ok(())
}

/// Feeds piece by piece.
fn read(pieces: &[&[u8]], limits: Limits, deflate: Option<Parameters>) -> Outcome {
    let before = MEMORY.current_usage();
    let (mut reader, mut seen, mut fed) = (reader(deflate), Vec::new(), 0);
    for piece in pieces {
        fed += piece.len();
        let result = feed(&mut reader, &mut piece.to_vec(), limits, &mut seen);
        // pings may come by the thousand, each of which is a message here
        let apart = before + seen.capacity() * size_of::<Message>();
        let kept = MEMORY.current_usage().saturating_sub(apart);
        assert!(deflate.is_some() || kept <= 4 * fed + ROOM, "{kept} bytes for {fed}");
        if result.is_err() || matches!(seen.last(), Some(Message::Close(_))) {
            return (seen, result);
        }
    }
    (seen, Ok(()))
}

/// The same, but what belongs to a large frame goes where it belongs, as `worker/input.rs` does it.
fn read_placed(pieces: &[&[u8]], limits: Limits, deflate: Option<Parameters>) -> Outcome {
    let (mut reader, mut seen) = (reader(deflate), Vec::new());
    for (index, piece) in pieces.iter().enumerate() {
        let mut piece = *piece;
        while !piece.is_empty() {
            let least = [1, 7, 4096][index % 3];
            let (result, taken) = match reader.gap(least) {
                Some((message, missing)) => {
                    let length = missing.min(piece.len());
                    let capacity = message.capacity();
                    message.extend_from_slice(&piece[..length]);
                    assert_eq!(message.capacity(), capacity, "there is room for what is missing");
                    let result = reader.filled(length, limits, |incoming| keep(&mut seen, incoming));
                    (result.and_then(|()| feed(&mut reader, &mut [], limits, &mut seen)), length)
                }
                None => (feed(&mut reader, &mut piece.to_vec(), limits, &mut seen), piece.len()),
            };
            if result.is_err() || matches!(seen.last(), Some(Message::Close(_))) {
                return (seen, result);
            }
            piece = &piece[taken..];
        }
    }
    (seen, Ok(()))
}

/// Bytes to read, and nowhere to write to.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the bytes: messages, and its error, unless it has only come to their end.
fn read_theirs(bytes: Vec<u8>, max_payload: usize) -> (Vec<Message>, Option<Error>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(max_payload))
        .max_frame_size(Some(max_payload));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        let message = match socket.read() {
            Ok(message) => message,
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        };
        seen.push(match message {
            Theirs::Text(text) => Message::Text(text.to_string()),
            Theirs::Binary(data) => Message::Binary(data.to_vec()),
            Theirs::Ping(data) => Message::Ping(data.to_vec()),
            Theirs::Pong(_) => Message::Pong,
            Theirs::Close(frame) => {
                seen.push(Message::Close(close_payload(frame)));
                return (seen, None);
            }
            Theirs::Frame(frame) => unreachable!("a raw frame, {frame:?}"),
        });
    }
}

fn close_payload(frame: Option<CloseFrame>) -> Vec<u8> {
    let Some(CloseFrame { code, reason }) = frame else { return Vec::new() };
    [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat()
}

/// Holds the outcome against tungstenite's.
fn compare(bytes: &[u8], max_payload: usize, (ours, end): &Outcome) {
    if *end == Err(Violation::TooManyFragments) {
        return;
    }
    let mut all = bytes.to_vec();
    // so that any frame whose header is acceptable to tungstenite has an end; what has a longer one is refused there too
    if end.is_err() {
        all.resize(all.len() + max_payload + 14, 0xff);
    }
    let (theirs, error) = read_theirs(all, max_payload);
    if matches!(end, Err(Violation::ControlLength(126..))) {
        assert!(theirs.starts_with(ours), "{theirs:?} does not begin with {ours:?}");
        return;
    }
    let replaced = || {
        let reason = "Protocol violation".into();
        Message::Close(close_payload(Some(CloseFrame { code: CloseCode::Protocol, reason })))
    };
    let mut expected = ours.clone();
    let is_1014 = |message: &Message| matches!(message, Message::Close(payload) if payload.starts_with(&1014_u16.to_be_bytes()));
    if let Some(last) = expected.last_mut().filter(|last| is_1014(last)) {
        *last = replaced();
    }
    let mut is_refused = error.is_some();
    if matches!(end, Err(Violation::CloseCode(_))) && !is_refused {
        expected.push(replaced());
        is_refused = true;
    }
    assert_eq!(theirs, expected, "tungstenite's, and ours, which ended with {end:?}, of {bytes:x?}");
    assert_eq!(is_refused, end.is_err(), "{error:?}, but here {end:?}, of {bytes:x?}");
}
