//! A whole worker (`src/worker/scene.rs`, which has the model and the invariants): programs of bytes, operations and passing time.
//!
//! * Every end of a session or a stream is told once, and nothing else is told of who does not live.
//! * A client gets what is for him, once, in order, in frames that are well formed; nobody else gets it.
//! * Nothing is looked at too late, and when all is over nothing is left.

use arbitrary::{Result, Unstructured};
use sockeye::internals::scene::{Content, Scene, Step, ROOMS};

use crate::frames::client_frame;

/// Steps of a program at the most.
const MOST: usize = 600;

/// Takes an input: how much may wait for a client, and whether it is held back, then steps.
pub fn check(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let max_outbound = if choices.arbitrary().unwrap_or(false) { 2_000 } else { 60_000 };
    let is_bounded = choices.arbitrary().unwrap_or(false);
    let mut scene = Scene::new(max_outbound, is_bounded);
    scene.gather();
    for _ in 0..MOST {
        if choices.is_empty() {
            break;
        }
        let Ok(step) = step(&mut choices) else { break };
        scene.play(&step);
    }
    scene.end();
}

fn step(choices: &mut Unstructured<'_>) -> Result<Step> {
    let kind: u8 = choices.arbitrary()?;
    let pick = |choices: &mut Unstructured<'_>| choices.arbitrary::<u8>();
    let flag = |choices: &mut Unstructured<'_>| choices.arbitrary::<bool>();
    let room = |choices: &mut Unstructured<'_>| choices.arbitrary::<u8>().map(|room| u32::from(room) % ROOMS);
    // what goes on all the time has more numbers than what is rare
    Ok(match kind {
        0..=15 => {
            let bits: u8 = choices.arbitrary()?;
            Step::Open { websocket: bits & 1 != 0, legacy: bits & 2 != 0, deflate: bits & 4 != 0 }
        }
        16..=23 => Step::Upgrade(pick(choices)?),
        24..=71 => Step::Bytes(pick(choices)?, bytes(choices)?),
        72..=83 => Step::Post(pick(choices)?, text(choices)?),
        84..=87 => {
            let length = choices.arbitrary::<u8>()? % 64;
            let body = choices.bytes(usize::from(length).min(choices.len()))?.to_vec();
            Step::PostBody(pick(choices)?, body, flag(choices)?)
        }
        88..=99 => Step::Poll(pick(choices)?),
        100..=115 => Step::Send(pick(choices)?, choices.arbitrary::<u8>()? & 7, content(choices)?),
        116..=131 => Step::Broadcast(room(choices)?, choices.arbitrary::<u8>()? & 3, content(choices)?),
        132..=137 => {
            let picks = choices.bytes(usize::from(kind - 132).min(choices.len()))?.to_vec();
            Step::Multicast(picks, choices.arbitrary::<u8>()? & 3, content(choices)?)
        }
        138..=143 => {
            let picks = choices.bytes(usize::from(kind - 138).min(choices.len()))?.to_vec();
            Step::Room(room(choices)?, picks)
        }
        144 => Step::DropRoom(room(choices)?),
        145..=156 => Step::Join(room(choices)?, pick(choices)?),
        157..=160 => Step::Leave(room(choices)?, pick(choices)?),
        161..=163 => Step::Close(pick(choices)?, flag(choices)?),
        164 => Step::Drop(pick(choices)?),
        165..=167 => Step::Alive(pick(choices)?),
        168..=169 => Step::Watch(pick(choices)?, choices.arbitrary()?),
        170..=171 => Step::TellSent(pick(choices)?),
        172..=195 => Step::Written(pick(choices)?),
        196..=197 => Step::End(pick(choices)?),
        198 => Step::FailConnection(pick(choices)?),
        199 => Step::FailStream(pick(choices)?),
        200 => Step::FailEverything,
        201..=209 => Step::Pass(u64::from(choices.arbitrary::<u16>()? % 1_500)),
        210..=243 => Step::Turn,
        _ => Step::ReadEvents,
    })
}

/// What a client sends over a WebSocket: a frame, or anything.
fn bytes(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let first: u8 = choices.arbitrary()?;
    let length: u8 = choices.arbitrary()?;
    if first & 0x30 != 0 {
        return Ok(choices.bytes(usize::from(length).min(choices.len()))?.to_vec());
    }
    // a mask that changes nothing, as often as one that does
    let mask = if length & 1 == 0 { [0; 4] } else { [first, length, 0x55, 0xaa] };
    let payload = match length {
        0..=125 => choices.bytes(usize::from(length / 2).min(choices.len()))?.to_vec(),
        _ => vec![b'4'; usize::from(choices.arbitrary::<u16>()?)],
    };
    let mut frame = client_frame(first, mask, &payload);
    if length == 255 {
        // what comes later is the rest of it, or is taken for that
        frame.truncate(frame.len() / 2);
    }
    Ok(frame)
}

fn text(choices: &mut Unstructured<'_>) -> Result<String> {
    let length = choices.arbitrary::<u8>()? % 64;
    let bytes = choices.bytes(usize::from(length).min(choices.len()))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn content(choices: &mut Unstructured<'_>) -> Result<Content> {
    Ok(match choices.arbitrary::<u8>()? {
        0..=199 => Content::default(),
        200..=227 => Content {
            padding: u16::from(choices.arbitrary::<u8>()?),
            buffers: choices.arbitrary::<u8>()? % 3,
        },
        _ => Content { padding: choices.arbitrary::<u16>()? % 12_000, buffers: 0 },
    })
}
