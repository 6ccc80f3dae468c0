//! What tests that are crates of their own drive: a worker from outside, as the bridge does, without JavaScript.
//!
//! Only with the feature `internals`. Nothing here is an interface: it changes with what it shows.

pub use crate::protocol::engine_io::Protocol;
pub use crate::protocol::ids::{ConnectionId, Id, StreamId};
pub use crate::protocol::options::Options;
pub use crate::protocol::websocket::deflate::Parameters;
pub use crate::protocol::websocket::switching_protocols;
pub use crate::worker::command::{
    Command, OpBatch, Open, Takeover, ALIVE, COMPRESS, HAS_BUFFERS, NO_TEXT, SEND,
};
pub use crate::worker::event::{EventBatch, Inbox, Kind};
pub use crate::worker::road::Road;
pub use crate::worker::{WorkerHandle, LONGEST_WAIT};
