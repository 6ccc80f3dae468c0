//! The Engine.IO protocol, revision 4: packets and polling payloads.

pub mod packet;
pub mod payload;
