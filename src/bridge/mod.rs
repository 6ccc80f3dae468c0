//! Everything that N-API sees.

pub mod codes;
pub mod engine;
