//! What tests that are a crate of their own drive: `fuzz/`.
//!
//! Only with the feature `internals`, which nothing that is published has. Nothing here is an interface: it changes with
//! what it shows.

pub use crate::protocol::{engine_io, error, http, ids, options, polling, session, socket_io, websocket};
pub use crate::worker::{command, event, scene};
