//! The protocols: Engine.IO's sessions and packets, WebSocket's frames, Socket.IO's headers.
//!
//! Bytes and the time go in, bytes and verdicts come out: nothing here waits, reads a clock, or knows of threads,
//! descriptors or JavaScript.
#![forbid(unsafe_code)]

pub mod engine_io;
pub mod error;
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no descriptors to answer on"))]
pub mod http;
pub mod ids;
pub mod options;
pub mod polling;
pub mod session;
pub mod socket_io;
#[cfg(unix)]
pub mod tls;
pub mod websocket;
