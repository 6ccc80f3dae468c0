//! What the operating system is asked for: the only room with `unsafe` written by hand.
#![allow(unsafe_code, reason = "descriptors are borrowed from Node, and some calls have no safe form")]

#[cfg(feature = "faults")]
pub mod faults;
#[cfg(unix)]
pub mod fd;
pub mod lent;
pub mod memory;
