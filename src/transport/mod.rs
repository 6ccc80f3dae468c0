//! The two transports of Engine.IO: WebSocket and HTTP long-polling.

pub mod deflate;
pub mod frame;
pub mod polling;
#[cfg(unix)]
pub mod upgrade_request;
pub mod websocket;
