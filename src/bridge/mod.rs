//! Everything that N-API sees.

pub mod engine;
