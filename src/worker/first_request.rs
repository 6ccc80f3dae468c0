//! Connections that have said all of their first request when Node accepts them: the accepting thread reads it by itself,
//! and JavaScript hears of it, if it has to, before a worker has the connection. That saves the way to the worker and back.

use std::net::SocketAddr;
use std::sync::Arc;

use super::arrivals::{Get, Stage};
use super::event::{Announcement, EventSink, Inbox};
use super::road::Road;
use crate::protocol::http::request::{self, PollRequest, Reading, UpgradeRequest, LONGEST};
use crate::protocol::ids::StreamId;

/// A request of which JavaScript is told.
pub struct FirstRequest {
    lines: String,
    announcement: Announcement,
    stage: Stage,
}

impl FirstRequest {
    /// Reads what a connection has said so far. `None`: that is no ordinary request, or not one that JavaScript is to see,
    /// or neither all of it nor nothing else, and it is for a worker to look at.
    pub fn read(bytes: &[u8], road: &Road) -> Option<FirstRequest> {
        match request::read(bytes) {
            Reading::Upgrade(request) => FirstRequest::upgrade(request, road),
            Reading::Poll(poll) if bytes.len() < LONGEST => FirstRequest::poll(&poll, bytes.len(), road),
            _ => None,
        }
    }

    fn upgrade(request: UpgradeRequest, road: &Road) -> Option<FirstRequest> {
        if let Some(sid) = &request.sid {
            road.find(sid)?;
        }
        let announcement = Announcement { offers_extensions: request.offers_extensions, is_post: false };
        let stage = Stage::Upgrade { length: request.length, response: request.response };
        Some(FirstRequest { lines: request.lines, announcement, stage })
    }

    fn poll(poll: &PollRequest<'_>, length: usize, road: &Road) -> Option<FirstRequest> {
        let terms = road.terms().filter(|terms| terms.path == poll.path)?;
        let get = Get::from(poll);
        if get.length != length || poll.body.is_some_and(|body| body > terms.max_body) {
            return None;
        }
        let stage = match poll.sid {
            None if poll.body.is_none() && get.can_open(&terms) => Stage::Opening(get),
            Some(sid) if terms.shows => {
                Stage::Shown { owner: road.find(sid)?, get, head: poll.body.map(|_| poll.head) }
            }
            _ => return None,
        };
        let announcement = Announcement { is_post: poll.body.is_some(), offers_extensions: false };
        Some(FirstRequest { lines: poll.lines(), announcement, stage })
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
    use crate::protocol::ids::ConnectionId;
    use crate::worker::road::Terms;

    const POLL: &str = "GET /socket.io/?EIO=4&transport=polling&t=a HTTP/1.1\r\nHost: here\r\n\r\n";
    const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// `shows`: whether the application sees requests. There is one session, "S".
    fn open_road(shows: bool) -> Road {
        let road = Road::default();
        road.enter("S", ConnectionId::from_word(7));
        road.set(Some(Terms {
            path: "/socket.io/".into(),
            keep_alive: Duration::from_secs(5),
            announced: 5,
            compress_from: 1024,
            level: Some(6),
            max_body: 1_000_000,
            has_cors: false,
            shows,
        }));
        road
    }

    const POST: &str = "POST /socket.io/?EIO=4&transport=polling&sid=S HTTP/1.1\r\nHost: here\r\n\
        Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n40";

    fn is_read(text: &str, road: &Road) -> bool {
        FirstRequest::read(text.as_bytes(), road).is_some()
    }

    #[test]
    fn a_request_for_a_new_session_or_a_websocket_is_read() {
        let more = format!("{UPGRADE}more");
        for text in [POLL, UPGRADE, &more, &UPGRADE.replace("EIO=4", "EIO=4&sid=S")] {
            assert!(is_read(text, &open_road(false)) && is_read(text, &open_road(true)), "{text:?}");
        }
        assert!(is_read(UPGRADE, &Road::default()) && !is_read(POLL, &Road::default()), "the road is closed");
    }

    #[test]
    fn a_request_of_a_session_is_read_if_the_application_sees_requests() {
        for (text, head) in [(POLL.replace("&t=a", "&sid=S"), None), (POST.into(), Some(POST.len() - 2))] {
            assert!(!is_read(&text, &open_road(false)), "{text:?}");
            let first = FirstRequest::read(text.as_bytes(), &open_road(true)).unwrap();
            assert_eq!(first.announcement.is_post, head.is_some());
            assert!(
                matches!(first.stage, Stage::Shown { owner, head: it, .. } if it == head && owner == ConnectionId::from_word(7))
            );
        }
    }

    #[test]
    fn anything_else_is_for_a_worker_to_look_at() {
        for text in [
            &POLL[..POLL.len() - 1],
            &UPGRADE[..UPGRADE.len() - 1],
            &POST[..POST.len() - 1],
            &format!("{POLL}GET"),
            &format!("{POST}0"),
            &POLL.replace("&t=a", "&sid=T"),
            &UPGRADE.replace("EIO=4", "EIO=4&sid=T"),
            &POST.replace("&sid=S", ""),
            &POST.replace("Length: 2", "Length: 1000001"),
            &POLL.replace("/socket.io/", "/other/"),
            &POLL.replace("Host", "Hosts"),
        ] {
            assert!(!is_read(text, &open_road(true)), "{text:?}");
        }
    }

    #[test]
    fn javascript_is_to_drain_the_queue_unless_it_has_been_woken() {
        let inbox = Arc::new(Inbox::new(1 << 20, Box::new(|| panic!("it is here already"))));
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        for drains in [true, false] {
            let first = FirstRequest::read(POLL.as_bytes(), &open_road(false)).unwrap();
            let (stage, told) = first.announce(StreamId::from_word(0), (address, address), &inbox);
            assert!(told == drains && matches!(stage, Stage::Opening(_)));
        }
        let (batch, _) = inbox.take().unwrap();
        assert_eq!(batch.text.matches("127.0.0.1127.0.0.1Host\nhere\n/socket.io/").count(), 2);
    }
}
