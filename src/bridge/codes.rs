//! The numbers that both sides have to agree on, as JavaScript reads them: they are written down in Rust only.

use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use super::engine::{DRAIN_HEAD, FOREIGN, POLL, UNKNOWN, WEBSOCKET};
use crate::protocol::ids::{GENERATION_BITS, SLOT_BITS};
use crate::protocol::options::{ACTIONS, POLICIES};
use crate::worker::command::{
    COMPRESS, DISCARD, HAS_BUFFERS, IF_IDLE, NEVER, NOTIFY, NO_POLICY, NO_TEXT, OPERATIONS,
    TARGET_CONNECTION, VOLATILE,
};
use crate::worker::connection::watch;
use crate::worker::event::{KINDS, MAX_WORDS, NO_ID};
use crate::worker::figures::{self, FIGURES, FIRST_CHUNK_BITS};
use crate::worker::gate::QUOTAS;
use crate::worker::limits::LIMITS;

/// Flags of operations: see `worker/command.rs`, and for those of `WATCH` `worker/connection.rs`.
const FLAGS: &[(&str, u32)] = &[
    ("VOLATILE", VOLATILE as u32),
    ("COMPRESS", COMPRESS as u32),
    ("NOTIFY", NOTIFY as u32),
    ("DISCARD", DISCARD as u32),
    ("IF_IDLE", IF_IDLE as u32),
    ("NO_POLICY", NO_POLICY as u32),
    ("WATCH_RECEIVED", watch::RECEIVED as u32),
    ("WATCH_SENT", watch::SENT as u32),
];

/// What else the words of operations and events are made of.
const WORDS: &[(&str, u32)] = &[
    ("NO_TEXT", NO_TEXT),
    ("HAS_BUFFERS", HAS_BUFFERS),
    ("NO_ID", NO_ID),
    ("NEVER", NEVER),
    ("TARGET_CONNECTION", TARGET_CONNECTION),
    ("SLOT_BITS", SLOT_BITS),
    ("GENERATION_BITS", GENERATION_BITS),
    ("DRAIN_HEAD", DRAIN_HEAD as u32),
    ("DRAIN_CAPACITY", (DRAIN_HEAD + MAX_WORDS) as u32),
    ("FIGURES", FIGURES as u32),
    ("FIRST_CHUNK_BITS", FIRST_CHUNK_BITS),
];

/// Of an upgrade request, what is looked at.
#[cfg(unix)]
const REQUESTS: &[(&str, u32)] = {
    use crate::protocol::http::request::{LONGEST, MAX_HEADERS};
    &[("LONGEST_REQUEST", LONGEST as u32), ("MOST_HEADERS", MAX_HEADERS as u32)]
};
#[cfg(not(unix))]
const REQUESTS: &[(&str, u32)] = &[];

/// What an accepted connection begins with.
const BEGINNINGS: &[(&str, i32)] =
    &[("FOREIGN", FOREIGN), ("UNKNOWN", UNKNOWN), ("WEBSOCKET", WEBSOCKET), ("POLL", POLL)];

/// Objects of numbers: `operations` and `events` by kind, `flags`, `words` for what else a batch is made of, `requests`,
/// `figures`, `limits`, `quotas`, `policies`, `actions`, `beginnings`.
///
/// # Errors
/// When V8 cannot make them.
#[napi(
    catch_unwind,
    ts_return_type = "Record<'operations' | 'events' | 'flags' | 'words' | 'requests' | 'figures' | 'limits' | 'quotas' | 'policies' | 'actions' | 'beginnings', Record<string, number>>"
)]
pub fn codes(env: &Env) -> Result<Object<'_>> {
    let mut codes = Object::new(env)?;
    let tables = [
        ("operations", OPERATIONS),
        ("events", KINDS),
        ("flags", FLAGS),
        ("words", WORDS),
        ("requests", REQUESTS),
        ("figures", figures::NAMES),
        ("limits", LIMITS),
        ("quotas", QUOTAS),
        ("policies", POLICIES),
        ("actions", ACTIONS),
    ];
    for (name, table) in tables {
        let mut object = Object::new(env)?;
        for &(name, code) in table {
            object.set(name, code)?;
        }
        codes.set(name, object)?;
    }
    let mut beginnings = Object::new(env)?;
    for &(name, code) in BEGINNINGS {
        beginnings.set(name, code)?;
    }
    codes.set("beginnings", beginnings)?;
    Ok(codes)
}
