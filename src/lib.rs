//! The native engine of sockeye.io: Engine.IO sessions, WebSocket framing, polling payloads, heartbeats and
//! broadcasts, on threads of their own, behind one class for JavaScript (`NativeEngine` in `bridge/engine.rs`).
//!
//! A worker (`worker/mod.rs`) is a thread with a single-threaded runtime. A connection lives on one worker for life,
//! so nothing here is shared but two queues: commands from JavaScript to each worker (`worker/command.rs`), and
//! batches of events from all workers to JavaScript (`worker/event.rs`). All work of a worker is done in turns: a
//! batch of commands, the bytes of one socket, or the timers that are due. A turn ends by writing what it produced.
//!
//! # An event in
//!
//! `read` (`worker/input.rs`) waits for a descriptor (`FdStream`, `stream/fd.rs`) and takes a turn: `read_turn`,
//! `read_socket`, `on_bytes` → `FrameReader::feed` (`transport/frame.rs`) unmasks and assembles → `on_incoming`,
//! `on_text_frame`, `on_packet` → `packet::decode` (`engine_io/packet.rs`) → `Session::on_packet` (`session/mod.rs`)
//! judges → `EventSink::text` (`worker/event.rs`), with `header::parse` (`socket_io/header.rs`), appends to the batch
//! → `finish_turn` (`worker/output.rs`) → `EventSink::publish`, `Inbox::publish` wake JavaScript, which calls
//! `NativeEngine::drain`.
//!
//! # A broadcast out
//!
//! `NativeEngine::submit` makes an `OpBatch` of what JavaScript has gathered and pushes it to the `CommandQueue` of
//! each worker that it concerns → `serve`, `command_turn`, `execute_op` (`worker/mod.rs`) → `Worker::broadcast`
//! (`worker/output.rs`) visits the members of the rooms (`worker/rooms.rs`) → `deliver` appends the frames, made once
//! by `Encoded`, to each `Outbox` (`session/outbox.rs`) → `finish_turn`, `flush`, `write_socket`: one write each.
//!
//! The half of both journeys that is in JavaScript is described in `ARCHITECTURE.md`, with the reasons for all of it.
#![warn(missing_docs)]
pub mod bridge;
mod connection;
mod engine_io;
mod error;
mod options;
mod panics;
mod session;
mod socket_io;
mod stream;
mod transport;
mod worker;
