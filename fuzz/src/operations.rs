//! Operations (`src/worker/command.rs`): what JavaScript may say, and what it would not say; and events (`src/worker/event.rs`).
//!
//! * Whatever the words are, they are read to an end, no text or buffer is given to two, and from every place on the rest is the
//!   same. A worker with some clients executes them, and nothing of it fails.
//! * What `lib/native/commands.js` writes, in a process of Node's, is read as what was said.
//! * Events say in UTF-16 units where their texts are, and JavaScript would find these.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sockeye::internals::command::{
    Flags, Op, OpBatch, Parcel, Place, Target, HAS_BUFFERS, TARGET_CONNECTION,
};
use sockeye::internals::event::{EventSink, Inbox, Kind, MAX_WORDS};
use sockeye::internals::ids::{ConnectionId, Id};
use sockeye::internals::scene::Scene;

use crate::choices::Choices;
use crate::oracle::ask;

/// Takes an input: a byte that says which of the parts is meant, then bytes for that.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() {
        0..=159 => check_any(&mut choices),
        160..=223 => check_said(choices.rest()),
        _ => check_events(&mut choices),
    }
}

/// Text of some length, with characters of all widths.
fn text(choices: &mut Choices<'_>) -> String {
    let length = usize::from(choices.byte()) % 40;
    let characters = choices.bytes(length).iter();
    characters
        .map(
            |&byte| {
                if byte < 200 {
                    char::from(byte)
                } else {
                    ['語', '😀', '\u{ffff}'][usize::from(byte % 3)]
                }
            },
        )
        .collect()
}

/// Words that are as in operations, or anything.
fn words(choices: &mut Choices<'_>) -> Vec<u32> {
    let mut words = Vec::new();
    while !choices.is_empty() && words.len() < 2000 {
        let byte = choices.byte();
        words.push(match byte {
            0..=99 => u32::from(byte % 32) | u32::from(choices.byte() & 0x0f) << 8,
            100..=129 => u32::from(byte % 32) | HAS_BUFFERS,
            130..=219 => u32::from(byte - 130) % 20,
            220..=229 => TARGET_CONNECTION | u32::from(byte - 220),
            230..=239 => u32::MAX - u32::from(byte - 230),
            _ => u32::from(choices.word()) << 16 | u32::from(choices.word()),
        });
    }
    words
}

fn check_any(choices: &mut Choices<'_>) {
    let text = text(choices);
    let distinct = [Bytes::from_static(b"one"), Bytes::from(vec![2; 9000])];
    let count = usize::from(choices.byte()) % 12;
    // some of which are nowhere
    let places: Vec<u32> = choices.bytes(count).iter().map(|&place| u32::from(place) % 3).collect();
    let words = words(choices);
    let batch = OpBatch::new(&words, text.clone(), &distinct, &places);

    let (mut ops, mut all, mut seen) = (batch.iter_from(Place::default()), Vec::new(), (0, 0));
    while let Some(op) = ops.next() {
        if let Some(parcel) = parcel_of(&op) {
            seen.0 += parcel.text.map_or(0, str::len);
            seen.1 += parcel.buffers.len();
        }
        let _ = ops.subject();
        all.push((ops.last_place(), describe(&op)));
    }
    assert!(all.len() <= words.len() / 2, "an operation has two words at least");
    assert!(seen.0 <= text.len() && seen.1 <= places.len(), "{seen:?}");
    for (index, &(place, _)) in all.iter().enumerate().take(20) {
        let rest: Vec<String> = batch.iter_from(place).map(|op| describe(&op)).collect();
        assert!(rest.iter().eq(all[index..].iter().map(|(_, op)| op)), "from the operation {index} on");
    }

    let mut scene = Scene::new(20_000, true);
    scene.gather();
    scene.say_anything(&words, text, &distinct, &places);
}

fn parcel_of<'a>(op: &Op<'a>) -> Option<Parcel<'a>> {
    match op {
        Op::Send { parcel, .. }
        | Op::Frame { parcel, .. }
        | Op::Multicast { parcel, .. }
        | Op::Broadcast { parcel, .. } => Some(*parcel),
        Op::Post { body: text, .. } | Op::Pass { headers: text, .. } | Op::Answer { head: text, .. } => {
            Some(Parcel { text: Some(text), buffers: &[] })
        }
        Op::SlowConsumer { namespace: text, .. } => Some(Parcel { text: Some(text), buffers: &[] }),
        Op::AdmitPolling { text, .. } => Some(Parcel { text: Some(text), buffers: &[] }),
        _ => None,
    }
}

/// The line of `oracle-commands.js` that says the same.
fn describe(op: &Op<'_>) -> String {
    let json = |text: &str| serde_json::to_string(text).expect("text");
    let parcel = |parcel: &Parcel<'_>| {
        let text = parcel.text.map_or("-".to_owned(), json);
        // large ones are all alike
        let hex = |bytes: &Bytes| match bytes.len() {
            0..100 => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            length => format!("{length} times {:02x}", bytes[0]),
        };
        format!("{text} [{}]", parcel.buffers.iter().map(hex).collect::<Vec<_>>().join(","))
    };
    let list = |ids: Vec<u32>| format!("[{}]", ids.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    let target = |target: Target| match target {
        Target::Room(room) => room.word(),
        Target::Connection(id) => id.word() | TARGET_CONNECTION,
    };
    let flag = |flags: &Flags| u32::from(flags.mask());
    match op {
        Op::Send { connection, parcel: it, flags } => {
            format!("send {} {} {}", connection.word(), parcel(it), flag(flags))
        }
        Op::Frame { connection, first, parcel: it } => {
            format!("frame {} {} {first}", connection.word(), parcel(it))
        }
        Op::Halt { connection, flags } => format!("halt {} {}", connection.word(), flag(flags)),
        Op::Post { connection, body } => format!("post {} {}", connection.word(), json(body)),
        Op::Multicast { connections, parcel: it, flags } => {
            format!(
                "multicast {} {} {}",
                list(connections.iter().map(Id::word).collect()),
                parcel(it),
                flag(flags)
            )
        }
        Op::Broadcast { targets, except, parcel: it, flags } => {
            let (targets, except) =
                (targets.iter().map(target).collect(), except.iter().map(target).collect());
            format!("broadcast {} {} {} {}", list(targets), list(except), parcel(it), flag(flags))
        }
        Op::Room { room, connections } => {
            format!("room {} {}", room.word(), list(connections.iter().map(Id::word).collect()))
        }
        Op::DropRoom { room } => format!("dropRoom {}", room.word()),
        Op::Join { room, connection } => format!("join {} {}", room.word(), connection.word()),
        Op::Leave { room, connection } => format!("leave {} {}", room.word(), connection.word()),
        Op::Close { connection, flags } => format!("close {} {}", connection.word(), flag(flags)),
        Op::Poll { connection } => format!("poll {}", connection.word()),
        Op::Drop { connection } => format!("drop {}", connection.word()),
        Op::Alive { connection } => format!("alive {}", connection.word()),
        Op::Watch { connection, flags } => format!("watch {} {}", connection.word(), flags.mask()),
        Op::PipeWritten { stream } => format!("pipeWritten {}", stream.word()),
        Op::PipeEnd { stream } => format!("pipeEnd {}", stream.word()),
        Op::TellSent { connection } => format!("tellSent {}", connection.word()),
        Op::Expire { connection, after } => {
            let after = after.map_or("never".to_owned(), |after| after.as_millis().to_string());
            format!("expire {} {after}", connection.word())
        }
        Op::Exempt { connection } => format!("exempt {}", connection.word()),
        Op::SlowConsumer { connection, namespace, rule } => {
            let said = rule.map_or("none".to_owned(), |rule| {
                let bytes = if rule.max_bytes == usize::MAX { 0 } else { rule.max_bytes };
                let age = rule.max_age.map_or(0, |age| age.as_millis());
                format!("{} {bytes} {age}", rule.policy as u8)
            });
            format!("slowConsumer {} {} {said}", connection.word(), json(namespace))
        }
        Op::Admit { connection, stream, protocol, sid, headers } => {
            let revision = [4, 12, 3, 11, 0][protocol.form()];
            format!(
                "admit {} {} {revision} {} {}",
                connection.word(),
                stream.word(),
                json(sid),
                json(headers)
            )
        }
        Op::AdmitPolling { connection, stream, text } => {
            format!("admitPolling {} {} {}", connection.word(), stream.word(), json(text))
        }
        Op::Pass { stream, headers } => format!("pass {} {}", stream.word(), json(headers)),
        Op::Answer { stream, head } => format!("answer {} {}", stream.word(), json(head)),
        Op::WatchShown { stream } => format!("watchShown {}", stream.word()),
        Op::Decline { stream } => format!("decline {}", stream.word()),
        Op::HangUp { stream, flags } => format!("hangUp {} {}", stream.word(), flag(flags)),
        Op::Posted { connection } => format!("posted {}", connection.word()),
        Op::Hold { connection } => format!("hold {}", connection.word()),
    }
}

/// What JavaScript has said is what is read.
fn check_said(input: &[u8]) {
    let node = ask(b'C', &input[..input.len().min(4000)]);
    let numbers = |value: &Value| -> Vec<u32> {
        value.as_array().expect("a list").iter().map(|it| it.as_u64().expect("a word") as u32).collect()
    };
    let mut read = Vec::new();
    for batch in node["batches"].as_array().expect("batches") {
        let buffers = batch["buffers"]
            .as_array()
            .expect("buffers")
            .iter()
            .map(|hex| bytes_of(hex.as_str().expect("hex")));
        let text = batch["text"].as_str().expect("text").to_owned();
        let batch = OpBatch::new(
            &numbers(&batch["words"]),
            text,
            &buffers.collect::<Vec<_>>(),
            &numbers(&batch["places"]),
        );
        read.extend(batch.iter_from(Place::default()).map(|op| normal(&describe(&op))));
    }
    let said: Vec<String> = node["expected"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|it| normal(it.as_str().expect("a line")))
        .collect();
    assert_eq!(read, said, "of {input:x?}");
}

/// JSON of two writers in one form: what one of them escapes and the other does not is the same.
fn normal(line: &str) -> String {
    line.replace("\\u007f", "\u{7f}")
}

fn bytes_of(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}

/// Events of texts and buffers, found again as `lib/native/events.js` would.
fn check_events(choices: &mut Choices<'_>) {
    let inbox = Arc::new(Inbox::new(usize::MAX, Box::new(|| {})));
    let (mut sink, mut said) = (EventSink::new(inbox.clone()), Vec::new());
    while !choices.is_empty() {
        let (kind, id) = (choices.byte(), ConnectionId::from_word(u32::from(choices.byte())));
        let mut text = text(choices);
        match kind % 5 {
            0 => sink.text(id, &text, false),
            1 => sink.text(id, &text, true),
            2 => sink.poll_answer(id, &text, kind & 64 != 0),
            3 => {
                sink.binary(id, text.clone().into_bytes());
                said.push((id.word(), text));
                continue;
            }
            _ => {
                text = text.repeat(1 + usize::from(choices.word()) / 8);
                sink.text(id, &text, kind & 64 != 0);
            }
        }
        said.push((id.word(), text));
        if kind & 128 != 0 {
            sink.publish();
        }
    }
    sink.publish();
    let mut read = Vec::new();
    while let Some((batch, _)) = inbox.take() {
        assert!(batch.words.len() <= MAX_WORDS);
        let units: Vec<u16> = batch.text.encode_utf16().collect();
        let (mut at, mut from, mut buffers) = (0, 0, batch.buffers.into_iter());
        while at < batch.words.len() {
            let kind = batch.words[at] & 0xff;
            let (length_at, size) = match kind {
                kind if kind == Kind::Packet as u32 => (Some(3), 5),
                kind if kind == Kind::Binary as u32 => (None, 2),
                _ => (Some(2), 3),
            };
            let text = match length_at {
                Some(length_at) => {
                    let length = batch.words[at + length_at] as usize;
                    from += length;
                    String::from_utf16(&units[from - length..from]).expect("whole characters")
                }
                None => String::from_utf8(buffers.next().expect("a buffer")).expect("text"),
            };
            if kind == Kind::Packet as u32 {
                assert!(batch.words[at + 4] <= batch.words[at + 3], "the JSON begins within the text");
            }
            read.push((batch.words[at + 1], text));
            at += size;
        }
        assert_eq!(from, units.len());
    }
    assert_eq!(read, said);
}
