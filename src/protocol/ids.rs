//! The numbers by which the two sides of the engine name things.

/// Names a connection within an engine. JavaScript chooses the number; `id % workers` is the worker that the
/// connection lives on.
pub type ConnectionId = u32;

/// Names a byte stream that the engine has taken over.
pub type StreamId = u32;
