//! Everything that N-API sees.

pub mod codes;
mod copies;
pub mod engine;
#[cfg(unix)]
pub mod tls;
