//! The two transports of Engine.IO: WebSocket and HTTP long-polling.

pub mod frame;
pub mod polling;
pub mod websocket;
