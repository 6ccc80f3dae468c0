//! What tests that are crates of their own drive: `fuzz/`, and the echo server for the Autobahn testsuite.
//!
//! Only with the feature `internals`, which nothing that is published has. Nothing here is an interface: it changes with
//! what it shows.

pub use crate::protocol::engine_io::Protocol;
pub use crate::protocol::ids::{ConnectionId, Id, StreamId};
pub use crate::protocol::options::Options;
pub use crate::protocol::websocket::deflate::Parameters;
pub use crate::protocol::websocket::switching_protocols;
pub use crate::protocol::{engine_io, error, http, ids, polling, session, socket_io, websocket};
pub use crate::worker::command::{
    Command, OpBatch, Open, Takeover, ALIVE, COMPRESS, HAS_BUFFERS, NO_TEXT, SEND,
};
pub use crate::worker::event::{EventBatch, Inbox, Kind};
pub use crate::worker::road::Road;
pub use crate::worker::{command, event, scene};
pub use crate::worker::{WorkerHandle, LONGEST_WAIT};
