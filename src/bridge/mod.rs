//! Everything that N-API sees.

pub mod codes;
mod copies;
pub mod engine;
#[cfg(not(unix))]
mod no_tls;
#[cfg(unix)]
pub mod tls;
