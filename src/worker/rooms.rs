//! Which connections of this worker are in which room: the mirror of the adapters' rooms that broadcasts go by.
//!
//! JavaScript owns the truth and mirrors only rooms that have been broadcast to.

use std::collections::HashMap;

use crate::protocol::ids::ConnectionId;

/// The rooms of one worker, by the number that JavaScript gave them.
#[derive(Debug, Default)]
pub struct Rooms {
    members: HashMap<u32, Vec<ConnectionId>>,
}

impl Rooms {
    /// Makes a room, or makes it anew.
    pub fn create(&mut self, room: u32, members: Vec<ConnectionId>) {
        self.members.insert(room, members);
    }

    /// Forgets a room.
    pub fn remove(&mut self, room: u32) {
        self.members.remove(&room);
    }

    /// Adds a connection, which must not be in the room.
    pub fn join(&mut self, room: u32, connection: ConnectionId) {
        self.members.entry(room).or_default().push(connection);
    }

    /// Removes a connection.
    pub fn leave(&mut self, room: u32, connection: ConnectionId) {
        if let Some(members) = self.members.get_mut(&room) {
            if let Some(at) = members.iter().position(|&member| member == connection) {
                members.swap_remove(at);
            }
        }
    }

    /// The connections in a room.
    pub fn members(&self, room: u32) -> &[ConnectionId] {
        self.members.get(&room).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go() {
        let mut rooms = Rooms::default();
        assert!(rooms.members(1).is_empty());
        rooms.create(1, vec![10, 20]);
        rooms.join(1, 30);
        rooms.join(2, 10);
        rooms.leave(1, 10);
        rooms.leave(1, 99);
        rooms.leave(9, 10);
        let mut members = rooms.members(1).to_vec();
        members.sort_unstable();
        assert_eq!(members, [20, 30]);
        assert_eq!(rooms.members(2), [10]);
        rooms.remove(1);
        assert!(rooms.members(1).is_empty());
    }
}
