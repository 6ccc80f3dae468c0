//! The native engine of sockeye.io: Engine.IO sessions, WebSocket framing, polling payloads, heartbeats and
//! broadcasts, on threads of their own, behind one class for JavaScript (`NativeEngine` in `bridge/engine.rs`).
//!
//! There are four rooms. `protocol` knows what Engine.IO, WebSocket and Socket.IO ask for; it neither waits nor reads a
//! clock. `worker` has the threads, what lives on them, and tokio. `os` asks the operating system, and is the only one
//! with `unsafe` written by hand. `bridge` is what N-API sees. Imports run one way: bridge → worker → protocol, os.
//!
//! Three words mean one thing each. A *connection* is our side of one client (`worker/connection.rs`): a session, and
//! what its transport needs. A *stream* is a source and sink of bytes (`worker/stream.rs`), a *WebSocket* what speaks
//! RFC 6455 over one (`worker/websocket.rs`). A socket, outside `os`, is Socket.IO's, and only JavaScript knows it.
//!
//! A worker (`worker/mod.rs`) is a thread with a single-threaded runtime. A connection lives on one worker for life,
//! so nothing here is shared but two queues: commands from JavaScript to each worker (`worker/command.rs`), and
//! batches of events from all workers to JavaScript (`worker/event.rs`). All work of a worker is done in turns: a
//! batch of commands, the bytes of one WebSocket, or the timers that are due. A turn ends by writing what it produced.
//!
//! # An event in
//!
//! `read` (`worker/input.rs`) waits for a descriptor (`FdStream`, `os/fd.rs`) and takes a turn: `read_turn`,
//! `read_stream`, `on_bytes` → `FrameReader::feed` (`protocol/websocket/frame.rs`) unmasks and assembles →
//! `on_incoming`, `on_text_frame`, `on_packet` → `packet::decode` (`protocol/engine_io/packet.rs`) →
//! `Session::on_packet` (`protocol/session/mod.rs`) judges → `EventSink::text` (`worker/event.rs`), with
//! `socket_io::parse_header` (`protocol/socket_io.rs`), appends to the batch → `finish_turn` (`worker/writes.rs`) →
//! `EventSink::publish`, `Inbox::publish` wake JavaScript, which calls `NativeEngine::drain`.
//!
//! # A broadcast out
//!
//! `NativeEngine::submit` makes an `OpBatch` of what JavaScript has gathered and pushes it to the `CommandQueue` of
//! each worker that it concerns (`worker/queue.rs`) → `serve`, `command_turn`, `execute_op` (`worker/mod.rs`) →
//! `Worker::broadcast` (`worker/broadcast.rs`) visits the members of the rooms (`worker/rooms.rs`) → `deliver`
//! (`worker/output.rs`) appends the frames, made once by `Encoded`, to each `Outbox` (`worker/outbox.rs`) →
//! `finish_turn`, `flush`, `write_stream` (`worker/writes.rs`): one write each.
//!
//! The half of both journeys that is in JavaScript is described in `ARCHITECTURE.md`, with the reasons for all of it.
#![cfg_attr(not(feature = "internals"), warn(missing_docs))]
// what it opens is no interface
#![cfg_attr(feature = "internals", allow(clippy::len_without_is_empty))]
pub mod bridge;
#[cfg(feature = "internals")]
pub mod internals;
mod os;
mod panics;
#[cfg(test)]
mod properties;
mod protocol;
mod worker;
