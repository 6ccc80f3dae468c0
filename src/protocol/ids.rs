//! The numbers by which the two sides of the engine name connections, streams and rooms.
//!
//! JavaScript hands them out (`lib/native/slots.js`). The lowest bits are a slot; `slot % workers` is the worker that a
//! connection or a stream lives on for life. The bits above tell the holders of a slot from each other: a command, an
//! event or a timer that comes late names a holder that is no more, and misses. The highest bit stays free: it tells
//! connections from rooms among the targets of a broadcast.

use std::hash::{BuildHasherDefault, Hasher};

/// Bits of a number that are its slot.
pub const SLOT_BITS: u32 = 21;

/// Bits of a number that count the holders of its slot.
pub const GENERATION_BITS: u32 = 10;

const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// The slot of a number.
pub fn slot_of(word: u32) -> u32 {
    word & SLOT_MASK
}

/// A number of one of the kinds below.
pub trait Id: Copy + Eq {
    /// The number as it crosses to JavaScript.
    fn word(self) -> u32;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The number as it came from JavaScript.
            pub const fn from_word(word: u32) -> $name {
                $name(word)
            }
        }

        impl From<u32> for $name {
            fn from(word: u32) -> $name {
                $name(word)
            }
        }

        impl Id for $name {
            fn word(self) -> u32 {
                self.0
            }
        }
    };
}

id! {
    /// Names a connection within an engine.
    ConnectionId
}
id! {
    /// Names a byte stream that the engine has taken over.
    StreamId
}
id! {
    /// Names a room that the workers know of.
    RoomId
}

/// For maps by these numbers, which nobody outside chooses: quick, and no protection against chosen keys.
pub type IdHash = BuildHasherDefault<IdHasher>;

/// See [`IdHash`].
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(u32::from(byte)));
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // a product is best mixed in its highest bits, and maps look at the lowest ones first
        self.0.rotate_left(26)
    }
}
