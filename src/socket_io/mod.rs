//! The Socket.IO protocol, revision 5, as far as the engine reads it: the header of a packet. The JSON behind it
//! stays text until V8 parses it.

pub mod header;
