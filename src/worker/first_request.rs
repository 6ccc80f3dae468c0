//! Connections that have said all of their first request when Node accepts them: the accepting thread reads it by itself,
//! and JavaScript hears of it before a worker has the connection. That saves a client that begins a session the way to a
//! worker and back.

use std::net::SocketAddr;
use std::sync::Arc;

use super::arrivals::{Get, Stage};
use super::event::{Announcement, EventSink, Inbox};
use super::road::Road;
use crate::protocol::http::request::{self, Reading, LONGEST};
use crate::protocol::ids::StreamId;

/// A request for a new session.
pub struct FirstRequest {
    lines: String,
    announcement: Announcement,
    stage: Stage,
}

impl FirstRequest {
    /// Reads what a connection has said so far. `None`: that is not, or not only, an ordinary request for a new session,
    /// and is for a worker to look at.
    pub fn read(bytes: &[u8], road: &Road) -> Option<FirstRequest> {
        match request::read(bytes) {
            Reading::Upgrade(request) if request.sid.is_none() => Some(FirstRequest {
                announcement: Announcement {
                    offers_extensions: request.offers_extensions,
                    ..Announcement::default()
                },
                stage: Stage::Upgrade { length: request.length, response: request.response },
                lines: request.lines,
            }),
            Reading::Poll(poll)
                if poll.sid.is_none()
                    && poll.body.is_none()
                    && poll.head == bytes.len()
                    && bytes.len() < LONGEST
                    && road.terms().is_some_and(|terms| terms.path == poll.path) =>
            {
                Some(FirstRequest {
                    announcement: Announcement::default(),
                    stage: Stage::Opening(Get::from(&poll)),
                    lines: poll.lines(),
                })
            }
            _ => None,
        }
    }

    /// Tells JavaScript of it, on its own thread. `addresses`: that of the peer, and ours. Returns what the worker goes on
    /// from, and whether JavaScript is to drain the queue: otherwise it has been woken already.
    pub fn announce(
        self,
        stream: StreamId,
        (peer, local): (SocketAddr, SocketAddr),
        inbox: &Arc<Inbox>,
    ) -> (Stage, bool) {
        let mut events = EventSink::new(inbox.clone());
        events.arrived(stream, peer, local, &self.lines, self.announcement);
        (self.stage, events.publish_on_the_spot())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::worker::road::Terms;

    const POLL: &str = "GET /socket.io/?EIO=4&transport=polling&t=a HTTP/1.1\r\nHost: here\r\n\r\n";
    const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn open_road() -> Road {
        let road = Road::default();
        road.set(Some(Terms {
            path: "/socket.io/".into(),
            keep_alive: Duration::from_secs(5),
            announced: 5,
            compress_from: 1024,
            max_body: 1_000_000,
            has_cors: false,
            shows: false,
        }));
        road
    }

    fn is_read(text: &str, road: &Road) -> bool {
        FirstRequest::read(text.as_bytes(), road).is_some()
    }

    #[test]
    fn a_whole_request_for_a_new_session_is_read() {
        assert!(is_read(POLL, &open_road()) && is_read(UPGRADE, &open_road()));
        assert!(is_read(UPGRADE, &Road::default()) && is_read(&format!("{UPGRADE}more"), &open_road()));
    }

    #[test]
    fn anything_else_is_for_a_worker_to_look_at() {
        for text in [
            &POLL[..POLL.len() - 1],
            &UPGRADE[..UPGRADE.len() - 1],
            &format!("{POLL}GET"),
            &POLL.replace("&t=a", "&sid=a"),
            &UPGRADE.replace("EIO=4", "EIO=4&sid=a"),
            &POLL.replace("/socket.io/", "/other/"),
            &POLL.replace("Host", "Hosts"),
        ] {
            assert!(!is_read(text, &open_road()), "{text:?}");
        }
        assert!(!is_read(POLL, &Road::default()), "the road is closed");
    }

    #[test]
    fn javascript_is_to_drain_the_queue_unless_it_has_been_woken() {
        let inbox = Arc::new(Inbox::new(1 << 20, Box::new(|| panic!("it is here already"))));
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        for drains in [true, false] {
            let first = FirstRequest::read(POLL.as_bytes(), &open_road()).unwrap();
            let (stage, told) = first.announce(StreamId::from_word(0), (address, address), &inbox);
            assert!(told == drains && matches!(stage, Stage::Opening(_)));
        }
        let (batch, _) = inbox.take().unwrap();
        assert_eq!(batch.text.matches("127.0.0.1127.0.0.1Host\nhere\n/socket.io/").count(), 2);
    }
}
