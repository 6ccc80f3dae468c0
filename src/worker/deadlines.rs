//! When whoever lives on a worker wants to be looked at.

use std::time::Instant;

use crate::protocol::ids::{slot_of, ConnectionId, Id, StreamId};

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A session's: for the next of its heartbeat, its upgrade, or its end.
    Connection(ConnectionId),
    /// A stream's: of a connection that was accepted and says nothing, or of a WebSocket whose client does not hang up.
    Stream(StreamId),
}

impl Holder {
    fn kind_and_slot(self) -> (usize, u32) {
        match self {
            Holder::Connection(id) => (0, slot_of(id.word())),
            Holder::Stream(id) => (1, slot_of(id.word())),
        }
    }
}

/// The deadlines of one worker: a heap, with one entry for each who has any.
///
/// Who has several deadlines keeps them to itself, and is named here by a time that is not after the first of them. So a
/// deadline that is put off, as most are, changes nothing here: its holder is looked at in vain, and says when next.
/// Most deadlines are the latest of all when they are armed, which costs the same however many there are.
#[derive(Debug)]
pub struct Deadlines {
    /// No entry is due before the one at half its index.
    heap: Vec<Entry>,
    /// Where a holder's entry stands in the heap, by kind and by slot.
    places: [Vec<u32>; 2],
    lanes: u32,
    /// When the main task will look.
    planned: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Instant,
    holder: Holder,
}

const NOWHERE: u32 = u32::MAX;

impl Deadlines {
    /// For the numbers of one of `lanes` workers.
    pub fn new(lanes: u32) -> Deadlines {
        Deadlines { heap: Vec::new(), places: [Vec::new(), Vec::new()], lanes, planned: None }
    }

    /// Sees to it that `holder` is looked at no later than `at`.
    pub fn arm(&mut self, holder: Holder, at: Instant) {
        let place = *self.place(holder);
        match self.heap.get_mut(place as usize) {
            None => {
                self.heap.push(Entry { at, holder });
                self.rise(self.heap.len() - 1);
            }
            Some(entry) if at < entry.at => {
                entry.at = at;
                self.rise(place as usize);
            }
            Some(_) => {}
        }
    }

    /// Forgets a holder, who is no more.
    pub fn cancel(&mut self, holder: Holder) {
        let place = *self.place(holder);
        if place != NOWHERE {
            self.remove(place as usize);
        }
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        *self = Deadlines::new(self.lanes);
    }

    /// When the first one wants to be looked at.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.at)
    }

    /// Takes one who is to be looked at by now.
    pub fn pop_due(&mut self, now: Instant) -> Option<Holder> {
        self.heap.first().filter(|entry| entry.at <= now)?;
        Some(self.remove(0).holder)
    }

    /// When the main task has to look next. It will, unless it is told otherwise.
    pub fn plan(&mut self) -> Option<Instant> {
        self.planned = self.next();
        self.planned
    }

    /// Whether somebody wants to be looked at before the main task will.
    pub fn is_ahead_of_plan(&self) -> bool {
        self.next().is_some_and(|next| self.planned.is_none_or(|planned| next < planned))
    }

    /// How many have deadlines.
    #[cfg(any(test, feature = "internals"))]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// When a holder is to be looked at.
    #[cfg(any(test, feature = "internals"))]
    pub fn get(&self, holder: Holder) -> Option<Instant> {
        self.heap.iter().find(|entry| entry.holder == holder).map(|entry| entry.at)
    }

    fn place(&mut self, holder: Holder) -> &mut u32 {
        let (kind, slot) = holder.kind_and_slot();
        let index = (slot / self.lanes) as usize;
        let places = &mut self.places[kind];
        if places.len() <= index {
            places.resize(index + 1, NOWHERE);
        }
        &mut places[index]
    }

    /// Writes an entry down where it is to stand.
    fn put(&mut self, index: usize, entry: Entry) {
        self.heap[index] = entry;
        *self.place(entry.holder) = index as u32;
    }

    fn remove(&mut self, index: usize) -> Entry {
        let removed = self.heap.swap_remove(index);
        *self.place(removed.holder) = NOWHERE;
        if index < self.heap.len() {
            // it came from the end: one of the two does nothing
            let index = self.sink(index);
            self.rise(index);
        }
        if self.heap.capacity() > 1024 && self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(self.heap.len() * 2);
        }
        removed
    }

    /// Moves an entry to the front until the one before it is due no later.
    fn rise(&mut self, mut index: usize) {
        let entry = self.heap[index];
        while index > 0 {
            let parent = (index - 1) / 2;
            if self.heap[parent].at <= entry.at {
                break;
            }
            self.put(index, self.heap[parent]);
            index = parent;
        }
        self.put(index, entry);
    }

    /// Moves an entry to the back until none behind it is due sooner. Returns where it stands.
    fn sink(&mut self, mut index: usize) -> usize {
        let entry = self.heap[index];
        loop {
            let (left, right) = (index * 2 + 1, index * 2 + 2);
            let Some(mut first) = self.heap.get(left).map(|_| left) else { break };
            if self.heap.get(right).is_some_and(|right| right.at < self.heap[left].at) {
                first = right;
            }
            if entry.at <= self.heap[first].at {
                break;
            }
            self.put(index, self.heap[first]);
            index = first;
        }
        self.put(index, entry);
        index
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ids::SLOT_BITS;

    fn connection(number: u32) -> Holder {
        Holder::Connection(ConnectionId::from_word(number))
    }

    fn stream(number: u32) -> Holder {
        Holder::Stream(StreamId::from_word(number))
    }

    #[test]
    fn each_comes_once_when_it_is_due() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut deadlines = Deadlines::new(1);
        assert_eq!(deadlines.next(), None);
        deadlines.arm(connection(1), after(20));
        deadlines.arm(connection(2), after(30));
        deadlines.arm(stream(1), after(10));
        assert_eq!(deadlines.next(), Some(after(10)));
        assert_eq!(deadlines.pop_due(after(9)), None);
        assert_eq!(deadlines.pop_due(after(25)), Some(stream(1)));
        assert_eq!(deadlines.pop_due(after(25)), Some(connection(1)));
        assert_eq!(deadlines.pop_due(after(25)), None);
        assert_eq!(deadlines.next(), Some(after(30)));
    }

    #[test]
    fn the_first_of_several_deadlines_counts() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut deadlines = Deadlines::new(2);
        for milliseconds in [20, 10, 30, 15] {
            deadlines.arm(connection(2), after(milliseconds));
        }
        assert_eq!((deadlines.len(), deadlines.next()), (1, Some(after(10))));
        deadlines.cancel(connection(2));
        deadlines.cancel(connection(2));
        assert_eq!((deadlines.len(), deadlines.next()), (0, None));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Arm {
            slot: u32,
            milliseconds: u64,
        },
        /// The holder of a slot ends, and another has it from then on.
        Replace {
            slot: u32,
        },
        Pass {
            milliseconds: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20u32, 0..100u64).prop_map(|(slot, milliseconds)| Step::Arm { slot, milliseconds }),
            1 => (0..20u32).prop_map(|slot| Step::Replace { slot }),
            1 => (0..50u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
        ]
    }

    proptest! {
        #![proptest_config(crate::properties::config(200))]

        #[test]
        fn deadlines_come_as_from_a_plain_list(steps in proptest::collection::vec(step(), 1..200)) {
            let mut now = Instant::now();
            let mut deadlines = Deadlines::new(1);
            let mut plain: HashMap<u32, Instant> = HashMap::new();
            let mut generations = [0u32; 20];
            let holder = |slot: u32, generation: u32| match slot % 2 {
                0 => connection(slot | generation << SLOT_BITS),
                _ => stream(slot | generation << SLOT_BITS),
            };
            for step in steps {
                match step {
                    Step::Arm { slot, milliseconds } => {
                        let at = now + Duration::from_millis(milliseconds);
                        deadlines.arm(holder(slot, generations[slot as usize]), at);
                        plain.entry(slot).and_modify(|first| *first = at.min(*first)).or_insert(at);
                    }
                    Step::Replace { slot } => {
                        deadlines.cancel(holder(slot, generations[slot as usize]));
                        plain.remove(&slot);
                        generations[slot as usize] += 1;
                    }
                    Step::Pass { milliseconds } => {
                        now += Duration::from_millis(milliseconds);
                        let mut last = None;
                        while let Some(due) = deadlines.pop_due(now) {
                            let (_, slot) = due.kind_and_slot();
                            prop_assert_eq!(due, holder(slot, generations[slot as usize]));
                            let at = plain.remove(&slot);
                            prop_assert!(at.is_some() && at >= last && at <= Some(now));
                            last = at;
                        }
                        prop_assert!(plain.values().all(|&at| at > now));
                    }
                }
                prop_assert_eq!(deadlines.len(), plain.len());
                prop_assert_eq!(deadlines.next(), plain.values().min().copied());
            }
        }
    }

    #[test]
    fn the_main_task_is_told_of_what_comes_before_it_looks() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(1);
        assert!(!deadlines.is_ahead_of_plan());
        deadlines.arm(connection(1), start);
        assert!(deadlines.is_ahead_of_plan());
        assert_eq!(deadlines.plan(), Some(start));
        deadlines.arm(connection(2), start + Duration::from_millis(1));
        assert!(!deadlines.is_ahead_of_plan());
    }
}
