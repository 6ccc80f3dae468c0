//! Which connections of this worker are in which room: the mirror of the adapters' rooms that broadcasts go by.
//!
//! JavaScript owns the truth and mirrors only rooms that have been broadcast to. That a connection ends is known here
//! first, and takes it out of all its rooms.

use std::collections::HashMap;

use super::table::Table;
use crate::protocol::ids::{ConnectionId, IdHash, RoomId};

/// Maps of fewer entries than this are not worth shrinking.
const SMALL: usize = 1024;

/// The rooms of one worker, and who is in them.
///
/// A room lists its members, in no order. For each member of each room there is a seat, which knows its place in that
/// list, and the seats of one connection are linked. So joining and leaving cost the same however large the room is and
/// however many rooms the connection is in, and a connection that is in none costs nothing.
#[derive(Debug)]
pub struct Rooms {
    members: Table<RoomId, Vec<ConnectionId>>,
    seats: HashMap<(ConnectionId, RoomId), Seat, IdHash>,
    /// The room that a connection has joined last; the others follow from seat to seat.
    last: HashMap<ConnectionId, RoomId, IdHash>,
}

#[derive(Debug)]
struct Seat {
    /// Where the connection stands among the room's members.
    place: u32,
    /// The room that the connection joined before this one.
    before: Option<RoomId>,
    /// The room that it joined after this one.
    after: Option<RoomId>,
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms { members: Table::new(0, 1), seats: HashMap::default(), last: HashMap::default() }
    }
}

impl Rooms {
    /// Makes a room, or makes it anew.
    pub fn create(&mut self, room: RoomId, members: impl Iterator<Item = ConnectionId>) {
        if let Some(earlier) = self.members.holder(room) {
            self.remove(earlier);
        }
        self.members.insert(room, Vec::new());
        members.for_each(|connection| self.join(room, connection));
        if let Some(members) = self.members.get_mut(room) {
            members.shrink_to_fit();
        }
    }

    /// Forgets a room.
    pub fn remove(&mut self, room: RoomId) {
        for connection in self.members.remove(room).unwrap_or_default() {
            if let Some(seat) = self.seats.remove(&(connection, room)) {
                self.unlink(connection, &seat);
            }
        }
        self.give_back();
    }

    /// Adds a connection. A room that is not known, because this worker has started afresh since it was made, has no
    /// other members here.
    pub fn join(&mut self, room: RoomId, connection: ConnectionId) {
        if self.seats.contains_key(&(connection, room)) {
            return;
        }
        if !self.members.contains(room) {
            self.create(room, std::iter::empty());
        }
        let Some(members) = self.members.get_mut(room) else { return };
        let place = members.len() as u32;
        members.push(connection);
        let before = self.last.insert(connection, room);
        if let Some(before) = before {
            if let Some(seat) = self.seats.get_mut(&(connection, before)) {
                seat.after = Some(room);
            }
        }
        self.seats.insert((connection, room), Seat { place, before, after: None });
    }

    /// Removes a connection.
    pub fn leave(&mut self, room: RoomId, connection: ConnectionId) {
        if let Some(seat) = self.seats.remove(&(connection, room)) {
            self.unlink(connection, &seat);
            self.vacate(room, seat.place);
        }
    }

    /// Removes a connection from all rooms.
    pub fn leave_all(&mut self, connection: ConnectionId) {
        if self.last.is_empty() {
            return;
        }
        let mut next = self.last.remove(&connection);
        while let Some(room) = next {
            let Some(seat) = self.seats.remove(&(connection, room)) else { break };
            self.vacate(room, seat.place);
            next = seat.before;
        }
        self.give_back();
    }

    /// Takes a seat that is gone out of the list of its connection's.
    fn unlink(&mut self, connection: ConnectionId, seat: &Seat) {
        if let Some(before) = seat.before {
            if let Some(before) = self.seats.get_mut(&(connection, before)) {
                before.after = seat.after;
            }
        }
        match (seat.after, seat.before) {
            (Some(after), before) => {
                if let Some(after) = self.seats.get_mut(&(connection, after)) {
                    after.before = before;
                }
            }
            (None, Some(before)) => {
                self.last.insert(connection, before);
            }
            (None, None) => {
                self.last.remove(&connection);
            }
        }
    }

    /// Has the last member of a room take a place that has become free.
    fn vacate(&mut self, room: RoomId, place: u32) {
        let Some(members) = self.members.get_mut(room) else { return };
        members.swap_remove(place as usize);
        if let Some(&moved) = members.get(place as usize) {
            if let Some(seat) = self.seats.get_mut(&(moved, room)) {
                seat.place = place;
            }
        }
        if members.capacity() > SMALL && members.len() < members.capacity() / 8 {
            members.shrink_to(members.len() * 2);
        }
    }

    /// Gives memory back when there are far fewer members than there were.
    fn give_back(&mut self) {
        if self.seats.capacity() > SMALL && self.seats.len() < self.seats.capacity() / 8 {
            self.seats.shrink_to(self.seats.len() * 2);
            self.last.shrink_to(self.last.len() * 2);
        }
    }

    /// How many connections are in a room.
    pub fn len(&self, room: RoomId) -> usize {
        self.members.get(room).map_or(0, Vec::len)
    }

    /// The connection at a place of a room. Who goes through the places from the last to the first meets every member
    /// that stays, also if some leave meanwhile: only members that stand further behind change their places.
    pub fn member(&self, room: RoomId, place: usize) -> Option<ConnectionId> {
        self.members.get(room)?.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ids::SLOT_BITS;

    fn room(number: u32) -> RoomId {
        RoomId::from_word(number)
    }

    fn connection(number: u32) -> ConnectionId {
        ConnectionId::from_word(number)
    }

    fn members(rooms: &Rooms, room: RoomId) -> Vec<ConnectionId> {
        let mut members: Vec<_> =
            (0..rooms.len(room)).filter_map(|place| rooms.member(room, place)).collect();
        members.sort_unstable();
        members
    }

    fn create(rooms: &mut Rooms, number: u32, members: &[u32]) {
        rooms.create(room(number), members.iter().copied().map(connection));
    }

    #[test]
    fn members_come_and_go() {
        let mut rooms = Rooms::default();
        assert!(members(&rooms, room(1)).is_empty());
        create(&mut rooms, 1, &[10, 20]);
        rooms.join(room(1), connection(30));
        rooms.join(room(2), connection(10));
        rooms.leave(room(1), connection(10));
        rooms.leave(room(1), connection(99));
        rooms.leave(room(9), connection(10));
        assert_eq!(members(&rooms, room(1)), [20, 30].map(connection));
        assert_eq!(members(&rooms, room(2)), [connection(10)]);
        rooms.remove(room(1));
        assert!(members(&rooms, room(1)).is_empty());
    }

    #[test]
    fn who_ends_is_in_no_room() {
        let mut rooms = Rooms::default();
        (0..5).for_each(|number| create(&mut rooms, number, &[1, 2, 3]));
        rooms.leave(room(2), connection(2));
        rooms.leave_all(connection(2));
        for number in 0..5 {
            assert_eq!(members(&rooms, room(number)), [1, 3].map(connection));
        }
        (0..5).for_each(|number| rooms.remove(room(number)));
        assert!(rooms.seats.is_empty() && rooms.last.is_empty());
    }

    #[test]
    fn a_new_room_has_nothing_of_an_earlier_one_with_its_slot() {
        let mut rooms = Rooms::default();
        create(&mut rooms, 1, &[1, 2]);
        let later = room(1 | 1 << SLOT_BITS);
        rooms.create(later, [connection(3)].into_iter());
        assert!(members(&rooms, room(1)).is_empty());
        assert_eq!(members(&rooms, later), [connection(3)]);
        rooms.leave_all(connection(1));
        rooms.leave(room(1), connection(3));
        assert_eq!(members(&rooms, later), [connection(3)]);
    }

    #[test]
    fn everybody_is_met_although_some_leave_meanwhile() {
        let mut rooms = Rooms::default();
        create(&mut rooms, 1, &[1, 2, 3, 4, 5, 6]);
        let mut met = Vec::new();
        for place in (0..rooms.len(room(1))).rev() {
            let Some(id) = rooms.member(room(1), place) else { continue };
            met.push(id);
            if [2, 3, 6].map(connection).contains(&id) {
                rooms.leave_all(id);
            }
            if id == connection(5) {
                rooms.leave_all(connection(1));
            }
        }
        met.sort_unstable();
        met.dedup();
        assert_eq!(met, [2, 3, 4, 5, 6].map(connection));
        assert_eq!(members(&rooms, room(1)), [4, 5].map(connection));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Create { room: u32, members: Vec<u32> },
        Remove { room: u32 },
        Join { room: u32, connection: u32 },
        Leave { room: u32, connection: u32 },
        End { connection: u32 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (room, connection) = (0..6u32, 0..12u32);
        prop_oneof![
            1 => (room.clone(), vec(connection.clone(), 0..12))
                .prop_map(|(room, members)| Step::Create { room, members }),
            1 => room.clone().prop_map(|room| Step::Remove { room }),
            8 => (room.clone(), connection.clone())
                .prop_map(|(room, connection)| Step::Join { room, connection }),
            4 => (room, connection.clone()).prop_map(|(room, connection)| Step::Leave { room, connection }),
            2 => connection.prop_map(|connection| Step::End { connection }),
        ]
    }

    proptest! {
        #![proptest_config(crate::properties::config(200))]

        #[test]
        fn rooms_are_sets(steps in vec(step(), 1..100)) {
            let mut rooms = Rooms::default();
            let mut sets: BTreeMap<u32, BTreeSet<ConnectionId>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Create { room: number, members } => {
                        create(&mut rooms, number, &members);
                        sets.insert(number, members.into_iter().map(connection).collect());
                    }
                    Step::Remove { room: number } => {
                        rooms.remove(room(number));
                        sets.remove(&number);
                    }
                    Step::Join { room: number, connection: who } => {
                        rooms.join(room(number), connection(who));
                        sets.entry(number).or_default().insert(connection(who));
                    }
                    Step::Leave { room: number, connection: who } => {
                        rooms.leave(room(number), connection(who));
                        sets.entry(number).or_default().remove(&connection(who));
                    }
                    Step::End { connection: who } => {
                        rooms.leave_all(connection(who));
                        sets.values_mut().for_each(|set| { set.remove(&connection(who)); });
                    }
                }
                for number in 0..6 {
                    let expected: Vec<_> = sets.get(&number).into_iter().flatten().copied().collect();
                    prop_assert_eq!(members(&rooms, room(number)), expected);
                }
                prop_assert_eq!(rooms.seats.len(), sets.values().map(BTreeSet::len).sum::<usize>());
                let somewhere: BTreeSet<_> = sets.values().flatten().collect();
                prop_assert_eq!(rooms.last.len(), somewhere.len());
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn memory_comes_back_when_a_crowd_has_gone() {
        let mut rooms = Rooms::default();
        create(&mut rooms, 1, &(0..20_000).collect::<Vec<_>>());
        (0..20_000).for_each(|number| rooms.leave_all(connection(number)));
        assert!(rooms.seats.capacity() <= 2 * SMALL, "{}", rooms.seats.capacity());
    }
}
