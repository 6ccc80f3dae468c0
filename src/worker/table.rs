//! What lives on a worker, by its number.

use crate::protocol::ids::{slot_of, Id};

/// Things of one worker by the numbers that JavaScript has given them.
///
/// A number finds what was put in under that very number only: not what had its slot before or has it now, and nothing
/// of another worker.
#[derive(Debug)]
pub struct Table<I, T> {
    slots: Vec<Option<Box<Entry<I, T>>>>,
    lane: u32,
    lanes: u32,
    len: usize,
}

#[derive(Debug)]
struct Entry<I, T> {
    id: I,
    value: T,
}

impl<I: Id, T> Table<I, T> {
    /// For the numbers whose slots leave `lane` when they are divided by `lanes`.
    pub fn new(lane: u32, lanes: u32) -> Table<I, T> {
        Table { slots: Vec::new(), lane, lanes, len: 0 }
    }

    /// Whether a number belongs here, whether or not anything has it.
    #[cfg(unix)]
    pub fn is_ours(&self, id: I) -> bool {
        slot_of(id.word()) % self.lanes == self.lane
    }

    fn index(&self, id: I) -> Option<usize> {
        let slot = slot_of(id.word());
        if self.lanes == 1 {
            // a division takes longer than all the rest, and most applications have one worker
            return Some(slot as usize);
        }
        (slot % self.lanes == self.lane).then_some((slot / self.lanes) as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What has this number.
    pub fn get(&self, id: I) -> Option<&T> {
        let entry = self.slots.get(self.index(id)?)?.as_deref()?;
        (entry.id == id).then_some(&entry.value)
    }

    /// What has this number.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        let index = self.index(id)?;
        let entry = self.slots.get_mut(index)?.as_deref_mut()?;
        (entry.id == id).then_some(&mut entry.value)
    }

    /// Whether anything has this number.
    pub fn contains(&self, id: I) -> bool {
        self.get(id).is_some()
    }

    /// Who has the slot of this number: an earlier holder, perhaps.
    pub fn holder(&self, id: I) -> Option<I> {
        let entry = self.slots.get(self.index(id)?)?.as_deref()?;
        Some(entry.id)
    }

    /// Puts something in. Its slot is free: JavaScript gives it to somebody else only when it has heard of the end.
    pub fn insert(&mut self, id: I, value: T) {
        let Some(index) = self.index(id) else { return };
        debug_assert!(self.holder(id).is_none(), "the slot is taken");
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        if self.slots[index].replace(Box::new(Entry { id, value })).is_none() {
            self.len += 1;
        }
    }

    /// Takes out what has this number.
    pub fn remove(&mut self, id: I) -> Option<T> {
        let index = self.index(id)?;
        let slot = self.slots.get_mut(index)?;
        let entry = slot.take_if(|entry| entry.id == id)?;
        self.len -= 1;
        Some(entry.value)
    }

    /// Everything that is here.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.slots.iter().flatten().map(|entry| (entry.id, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::{ConnectionId, SLOT_BITS};

    fn id(slot: u32, generation: u32) -> ConnectionId {
        ConnectionId::from_word(slot | generation << SLOT_BITS)
    }

    #[test]
    fn a_number_finds_its_own_holder_only() {
        let mut table = Table::new(1, 3);
        table.insert(id(4, 0), "first");
        assert_eq!(table.get(id(4, 0)), Some(&"first"));
        assert_eq!(table.get(id(4, 1)), None);
        assert_eq!(table.get(id(5, 0)), None);
        assert_eq!(table.get(id(1, 0)), None);
        assert_eq!(table.remove(id(4, 1)), None);
        assert_eq!(table.remove(id(4, 0)), Some("first"));
        assert_eq!(table.remove(id(4, 0)), None);
        table.insert(id(4, 1), "second");
        assert_eq!(table.get_mut(id(4, 0)), None);
        assert_eq!(table.get_mut(id(4, 1)), Some(&mut "second"));
        assert_eq!(table.len(), 1);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(id(4, 1), &"second")]);
    }

    #[test]
    fn numbers_of_other_workers_are_not_kept() {
        let mut table = Table::new(1, 3);
        table.insert(id(2, 0), ());
        assert!(!table.is_ours(id(2, 0)) && table.is_ours(id(1, 5)));
        assert_eq!(table.len(), 0);
    }
}
