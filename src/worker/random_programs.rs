//! For tests: random programs for a whole worker.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::command::{EXPIRE, NEVER, TARGET_CONNECTION};
use super::scene::{Content, Pick, Scene, Step, ROOMS};

/// What clients send over a WebSocket.
const FRAMES: [(u8, &[u8]); 16] = [
    (0x81, b"4hello"),
    (0x81, b"4hello"),
    (0x81, b"4hello"),
    (0x81, b"5"),
    (0x81, b"2probe"),
    (0x81, b"2probe"),
    (0x81, b"5"),
    (0x81, b"3"),
    (0x81, b"2"),
    (0x81, b"1"),
    (0x81, b"nonsense"),
    (0x82, b"binary"),
    (0x89, b"ping"),
    (0x88, b"\x03\xe8"),
    (0x83, b"an opcode that does not exist"),
    (0x01, b"a fragment"),
];

/// What they POST.
const BODIES: [&str; 8] = ["4hello", "3", "2", "1", "", "4a\u{1e}3\u{1e}bAQID", "1:2", "1:21:26:4hello"];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        16 => (0..FRAMES.len()).prop_map(|index| frame_of(FRAMES[index])),
        // compressed by who may, or not
        1 => Just(frame_of((0xc1, &[0xb2, 0xc9, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]))),
        1 => vec(any::<u8>(), 0..40),
        1 => (5_000..70_000usize).prop_map(long_frame),
    ]
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![4 => (0..BODIES.len()).prop_map(|index| BODIES[index].to_owned()), 1 => "\\PC{0,20}"]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        6 => Just(Content::default()),
        1 => (0..400u16, 0..3u8).prop_map(|(padding, buffers)| Content { padding, buffers }),
        1 => (0..12_000u16).prop_map(|padding| Content { padding, buffers: 0 }),
    ]
}

/// Part of an operation, or anything.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0..30u32, 0..8u32, 0..2u32).prop_map(|(code, flags, has_buffers)| code | flags << 8 | has_buffers << 16),
        4 => 0..20u32,
        1 => (0..20u32).prop_map(|id| id | TARGET_CONNECTION),
        1 => any::<u32>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<Pick>;
    prop_oneof![
        12 => any::<(bool, bool, bool)>()
            .prop_map(|(websocket, legacy, deflate)| Step::Open { websocket, legacy, deflate }),
        8 => pick().prop_map(Step::Upgrade),
        20 => (pick(), bytes()).prop_map(|(stream, bytes)| Step::Bytes(stream, bytes)),
        8 => (pick(), body()).prop_map(|(connection, body)| Step::Post(connection, body)),
        2 => (pick(), vec(any::<u8>(), 0..20), any::<bool>())
            .prop_map(|(connection, body, is_binary)| Step::PostBody(connection, body, is_binary)),
        12 => pick().prop_map(Step::Poll),
        20 => (pick(), 0..8u8, content())
            .prop_map(|(connection, flags, content)| Step::Send(connection, flags, content)),
        20 => (0..ROOMS, 0..4u8, content())
            .prop_map(|(room, flags, content)| Step::Broadcast(room, flags, content)),
        4 => (vec(pick(), 0..6), 0..4u8, content())
            .prop_map(|(picks, flags, content)| Step::Multicast(picks, flags, content)),
        4 => (0..ROOMS, vec(pick(), 0..12)).prop_map(|(room, members)| Step::Room(room, members)),
        1 => (0..ROOMS).prop_map(Step::DropRoom),
        20 => (0..ROOMS, pick()).prop_map(|(room, connection)| Step::Join(room, connection)),
        4 => (0..ROOMS, pick()).prop_map(|(room, connection)| Step::Leave(room, connection)),
        2 => (pick(), any::<bool>()).prop_map(|(connection, discard)| Step::Close(connection, discard)),
        1 => pick().prop_map(Step::Drop),
        4 => pick().prop_map(Step::Alive),
        2 => (pick(), 0..4u8).prop_map(|(connection, mask)| Step::Watch(connection, mask)),
        2 => pick().prop_map(Step::TellSent),
        40 => pick().prop_map(Step::Written),
        2 => pick().prop_map(Step::End),
        1 => pick().prop_map(Step::FailConnection),
        1 => pick().prop_map(Step::FailStream),
        1 => Just(Step::FailEverything),
        8 => (0..1_500u64).prop_map(Step::Pass),
        120 => Just(Step::Turn),
        20 => Just(Step::ReadEvents),
    ]
}

/// A frame as clients send it, with a mask that changes nothing.
fn frame_of((first, payload): (u8, &[u8])) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// A message that is assembled while it arrives.
fn long_frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 0xff];
    frame.extend((length as u64).to_be_bytes());
    frame.resize(frame.len() + 4 + length, 0);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn every_end_is_told_once_and_nobody_gets_what_is_meant_for_another(steps in vec(step(), 1..500)) {
        for (max_outbound, is_bounded) in [(2_000, false), (60_000, false), (2_000, true), (60_000, true)] {
            let mut scene = Scene::new(max_outbound, is_bounded);
            scene.gather();
            steps.iter().for_each(|step| scene.play(step));
            scene.end();
        }
    }

    #[test]
    fn words_that_javascript_would_not_say_do_no_harm(
        programs in vec(vec(word(), 0..60), 1..8),
        text in "\\PC{0,30}",
        places in vec(0..5u32, 0..6),
    ) {
        let mut scene = Scene::new(2_000, true);
        scene.gather();
        for words in &programs {
            scene.say_anything(words, text.clone(), &[Bytes::from_static(b"buffer")], &places);
        }
    }
}

#[test]
fn a_time_that_has_come_when_it_is_set_is_told_at_once() {
    let mut scene = Scene::new(2_000, false);
    scene.gather();
    for id in 0..8 {
        scene.say_anything(&[EXPIRE, id, 0, EXPIRE, id, NEVER, EXPIRE, id, 1], String::new(), &[], &[]);
    }
    scene.say_anything(&[EXPIRE, 6, 0, 1536, 67338], String::new(), &[], &[]);
}
