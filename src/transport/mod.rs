//! The two transports of Engine.IO: WebSocket and HTTP long-polling.

pub mod deflate;
pub mod frame;
pub mod polling;
pub mod websocket;
