//! Everything that N-API sees.

mod engine;
