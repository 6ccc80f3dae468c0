//! What is known of each connection, by its slot, where JavaScript reads it without asking anybody: see
//! `lib/native/figures.js`.
//!
//! The slots lie in chunks, each of which is twice as large as the one before: what was lent to JavaScript stays where it is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::protocol::ids::{slot_of, ConnectionId, Id, SLOT_BITS};

/// Slots of the first chunk, as a power of two.
pub const FIRST_CHUNK_BITS: u32 = 8;

/// Chunks that all slots there can be fill.
const CHUNKS: usize = (SLOT_BITS - FIRST_CHUNK_BITS + 1) as usize;

/// What is known of a connection. The numbers are the places of a slot's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Figure {
    /// Bytes that wait for it because its client has not read what was sent before, as of the last write.
    Waiting = 0,
    /// Bytes that its client has sent, as they are counted in [`super::metrics::Metrics`].
    Received = 1,
    /// Bytes that its client has been sent.
    Sent = 2,
    /// Milliseconds from the last ping to its pong; 0 before the first.
    RoundTrip = 3,
    /// When it began, in milliseconds since 1970.
    Since = 4,
    /// The number of the connection that all this is about.
    Holder = 5,
    /// When the client last showed by a heartbeat that it is there, in milliseconds since 1970; 0 before the first.
    Heartbeat = 6,
    /// Packets that wait behind others that its WebSocket has had no room for, as of the last write.
    Behind = 7,
}

/// Cells of a slot.
pub const FIGURES: usize = 8;

/// The names of the figures, for JavaScript.
pub const NAMES: &[(&str, u32)] = &[
    ("WAITING", Figure::Waiting as u32),
    ("RECEIVED", Figure::Received as u32),
    ("SENT", Figure::Sent as u32),
    ("ROUND_TRIP", Figure::RoundTrip as u32),
    ("SINCE", Figure::Since as u32),
    ("HOLDER", Figure::Holder as u32),
    ("HEARTBEAT", Figure::Heartbeat as u32),
    ("BEHIND", Figure::Behind as u32),
];

type Chunk = Arc<[AtomicU64]>;

/// The figures of all connections of an engine. Only the worker that has a connection writes to its.
#[derive(Debug, Default)]
pub struct Figures {
    chunks: [OnceLock<Chunk>; CHUNKS],
    /// Bytes that wait for all clients together, if they are counted.
    total: AtomicUsize,
    /// Whether anybody has looked at them.
    is_read: AtomicBool,
}

impl Figures {
    /// Cells of a chunk: each has the bits of a number. `None`: there are not so many chunks.
    pub fn chunk(&self, index: usize) -> Option<&Chunk> {
        let slots = || 1 << (index + FIRST_CHUNK_BITS as usize);
        // no connection has this number
        let make = || (0..slots() * FIGURES).map(|_| AtomicU64::new((-1f64).to_bits())).collect();
        self.chunks.get(index).map(|chunk| chunk.get_or_init(make))
    }

    /// Somebody looks at them from now on. Returns whether that is the first time.
    pub fn read(&self) -> bool {
        !self.is_read.swap(true, Ordering::Relaxed)
    }

    /// Whether what is written has to be among them at once.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    /// A connection begins: nothing of the one that had its slot before is left.
    pub fn begin(&self, id: ConnectionId) {
        for (place, cell) in self.slot(id).into_iter().flatten().enumerate() {
            if place != Figure::Holder as usize {
                cell.store(0f64.to_bits(), Ordering::Relaxed);
            }
        }
        self.set(id, Figure::Since, since_1970());
        // whoever looks for this number from now on finds nothing of another's
        self.set(id, Figure::Holder, f64::from(id.word()));
    }

    /// One of the figures of a connection; 0 while it is not there.
    pub fn get(&self, id: ConnectionId, figure: usize) -> f64 {
        let slot = self.slot(id).filter(|slot| read(&slot[Figure::Holder as usize]) == f64::from(id.word()));
        slot.and_then(|slot| slot.get(figure)).map_or(0.0, read)
    }

    /// Says what it is.
    pub fn set(&self, id: ConnectionId, figure: Figure, value: f64) {
        if let Some(slot) = self.slot(id) {
            slot[figure as usize].store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Adds to it.
    pub fn add(&self, id: ConnectionId, figure: Figure, count: usize) {
        if let Some(slot) = self.slot(id) {
            let cell = &slot[figure as usize];
            // no exchange: nobody else writes
            cell.store((read(cell) + count as f64).to_bits(), Ordering::Relaxed);
        }
    }

    /// Counts what waits for one client among what waits for all. Returns the latter.
    pub fn change_total(&self, before: usize, now: usize) -> usize {
        let change = now.wrapping_sub(before);
        self.total.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
    }

    /// Bytes that wait for all clients together, if they are counted.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Notes that a heartbeat has come, and, of one that answers a ping, how long that took.
    pub fn note_heartbeat(&self, id: ConnectionId, trip: Option<Duration>) {
        self.set(id, Figure::Heartbeat, since_1970());
        if let Some(trip) = trip {
            self.set(id, Figure::RoundTrip, trip.as_micros() as f64 / 1000.0);
        }
    }

    /// Calls back with the bytes that wait for each connection that some wait for.
    pub fn for_each_waiting(&self, mut visit: impl FnMut(f64)) {
        for chunk in self.chunks.iter().filter_map(OnceLock::get) {
            for slot in chunk.chunks_exact(FIGURES) {
                let bytes = read(&slot[Figure::Waiting as usize]);
                if bytes > 0.0 {
                    visit(bytes);
                }
            }
        }
    }

    /// The cells of whoever has the slot of this number.
    fn slot(&self, id: ConnectionId) -> Option<&[AtomicU64]> {
        let (chunk, place) = place_of(slot_of(id.word()));
        self.chunk(chunk)?.chunks_exact(FIGURES).nth(place)
    }
}

/// Now, in milliseconds.
fn since_1970() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (now.as_millis() as u64) as f64
}

fn read(cell: &AtomicU64) -> f64 {
    f64::from_bits(cell.load(Ordering::Relaxed))
}

/// The chunk that a slot is in, and where there.
fn place_of(slot: u32) -> (usize, usize) {
    let number = slot + (1 << FIRST_CHUNK_BITS);
    let bits = number.ilog2();
    ((bits - FIRST_CHUNK_BITS) as usize, (number - (1 << bits)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        let mut next = (0, 0);
        for slot in 0..5000 {
            assert_eq!(place_of(slot), next);
            let is_last = next.1 + 1 == 1 << (next.0 + FIRST_CHUNK_BITS as usize);
            next = if is_last { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
        }
        assert!(place_of((1 << SLOT_BITS) - 1).0 < CHUNKS);
    }

    #[test]
    fn figures_are_of_one_connection_and_begin_anew() {
        let figures = Figures::default();
        let [one, other] = [7, 300].map(ConnectionId::from_word);
        figures.add(one, Figure::Received, 5);
        assert_eq!(figures.get(one, Figure::Received as usize), 0.0, "it has not begun");
        [one, other].iter().for_each(|&id| figures.begin(id));
        figures.add(one, Figure::Received, 2);
        figures.add(one, Figure::Received, 40);
        figures.set(other, Figure::Waiting, 5.0);
        figures.note_heartbeat(one, None);
        figures.note_heartbeat(other, Some(Duration::from_micros(1500)));
        assert_eq!(figures.get(one, Figure::Received as usize), 42.0);
        assert_eq!(figures.get(one, Figure::Waiting as usize), 0.0);
        assert_eq!(figures.get(one, Figure::RoundTrip as usize), 0.0);
        assert_eq!(figures.get(other, Figure::RoundTrip as usize), 1.5);
        for id in [one, other] {
            assert!(figures.get(id, Figure::Heartbeat as usize) >= figures.get(id, Figure::Since as usize));
        }
        let mut waiting = Vec::new();
        figures.for_each_waiting(|bytes| waiting.push(bytes));
        assert_eq!(waiting, [5.0]);
        figures.begin(one);
        assert_eq!(figures.get(one, Figure::Received as usize), 0.0);
        assert_eq!(figures.get(one, Figure::Heartbeat as usize), 0.0);
        assert!(figures.get(one, Figure::Since as usize) > 1.6e12);
        assert_eq!(figures.get(other, Figure::Waiting as usize), 5.0);
        let next = ConnectionId::from_word(7 + (1 << SLOT_BITS));
        assert_eq!(figures.get(next, Figure::Since as usize), 0.0, "another has the slot");
    }
}
