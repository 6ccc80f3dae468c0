//! Headers of Socket.IO packets (`src/protocol/socket_io.rs`) against the decoders of this package (`lib/api/packet.js`) and of
//! stock (`socket.io-parser`), which a process of Node's is asked for.
//!
//! * A packet whose header is recognised is to the road for such packets (`Client._onText`) what it is to the decoders, and is
//!   refused by it where they refuse it.
//! * The decoder of this package is of stock's opinion about any text. It differs in this:
//!   - Stock accepts lists of more than 16,384 arguments: inputs are shorter.
//! * The words that a batch has of it (`src/worker/event.rs`) say in UTF-16 units what was found in bytes.

use std::sync::Arc;

use sockeye::internals::event::{EventSink, Inbox, Kind, NO_ID};
use sockeye::internals::ids::ConnectionId;
use sockeye::internals::socket_io::parse_header;

use crate::oracle::ask;

/// Takes an input: the text of a packet. What is not UTF-8 in it is replaced, as nobody gets here with that.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let text = &text[..text.len().min(30_000)];
    let header = parse_header(text);
    let words = words_of(text);
    let mut question = Vec::new();
    match &header {
        Some(header) => {
            assert!(header.kind <= 4 && header.body <= text.len());
            let units = |text: &str| text.encode_utf16().count() as u32;
            let (namespace, body) = (units(&text[header.namespace.clone()]), units(&text[..header.body]));
            if header.namespace.len() <= 0xffff {
                let first = Kind::Packet as u32 | u32::from(header.kind) << 8 | namespace << 16;
                assert_eq!(words, [first, 7, header.id.unwrap_or(NO_ID), units(text), body], "{text:?}");
            }
            question.push(header.kind + 1);
            question.extend(header.id.map_or(-1, |id| id as i32).to_le_bytes());
            question.extend(body.to_le_bytes());
            question.extend(namespace.to_le_bytes());
        }
        None => {
            assert_eq!(words, [Kind::Text as u32, 7, text.encode_utf16().count() as u32], "{text:?}");
            question.extend([0; 13]);
        }
    }
    question.extend(text.as_bytes());
    let node = ask(b'S', &question);
    assert_eq!(node["ours"], node["stock"], "the decoders of this package and of stock, of {text:?}");
    if header.is_some() {
        assert_eq!(node["fast"], node["ours"], "the short way, and the decoder, of {text:?}");
    }
}

/// The words of the event that the text becomes.
fn words_of(text: &str) -> Vec<u32> {
    let inbox = Arc::new(Inbox::new(usize::MAX, Box::new(|| {})));
    let mut sink = EventSink::new(inbox.clone());
    sink.text(ConnectionId::from_word(7), text, true);
    sink.publish();
    let (batch, _) = inbox.take().expect("an event");
    assert_eq!(batch.text, text);
    batch.words
}
