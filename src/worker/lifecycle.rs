//! How connections begin, change their transport, and end.

use std::time::{Duration, Instant};

use super::command::{Open, Takeover};
use super::connection::{watch, Connection, CUT};
use super::deadlines::Holder;
use super::event::Kind;
use super::input::HEARTBEAT;
use super::limits::Limits;
use super::recovery::Subject;
use super::stream::{Pipe, Stream};
use super::websocket::{Phase, WebSocket};
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::engine_io::packet::Type;
use crate::protocol::engine_io::Protocol;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::polling::{self, Payload, Polling, Waiter};
use crate::protocol::session::{CloseStep, Due, Session, State, Turn};
use crate::protocol::websocket::deflate::Deflate;
use crate::protocol::websocket::frame;

#[cfg(unix)]
use {
    super::wire::Wire,
    super::{input, writes},
    std::rc::Rc,
};

impl Worker {
    /// A session begins, with a GET or with a WebSocket.
    pub(super) fn open(&mut self, open: Open) {
        let id = open.connection;
        let turn = Turn { options: &self.options, now: self.now };
        // its data: the type goes in front again
        let handshake = open.handshake.as_bytes().get(1..);
        match open.takeover {
            None => {
                let session = Session::polling(open.protocol, turn);
                if let Some(traveller) = &open.traveller {
                    self.road.enter(&traveller.sid, id);
                }
                let mut polling = Polling::default();
                polling.traveller = open.traveller;
                self.enter(id, Connection::new(session, Some(Box::new(polling))));
                self.send_packet(id, Type::Open, handshake.unwrap_or_default());
                self.greet(id, open.initial);
                // both answer the GET that brought the session, and nothing else does
                self.on_poll(id);
            }
            Some(takeover) => {
                let stream = takeover.stream;
                let session = Session::websocket(open.protocol, stream, turn);
                self.enter(id, Connection::new(session, None));
                let head = self.adopt(id, takeover);
                if let Some(handshake) = handshake {
                    self.send_packet(id, Type::Open, handshake);
                }
                self.greet(id, open.initial);
                self.on_head(stream, head);
            }
        }
    }

    /// A session begins with a WebSocket whose request never was Node's.
    #[cfg(unix)]
    pub(super) fn open_admitted(
        &mut self,
        id: ConnectionId,
        protocol: Protocol,
        stream: StreamId,
        fd: Rc<Wire>,
        response: &str,
        handshake: &str,
    ) {
        let turn = Turn { options: &self.options, now: self.now };
        let session = Session::websocket(protocol, stream, turn);
        self.enter(id, Connection::new(session, None));
        self.begin_websocket(stream, WebSocket::new(id, protocol, Stream::Fd(fd)), response);
        if let Some(handshake) = handshake.as_bytes().get(1..) {
            self.send_packet(id, Type::Open, handshake);
        }
    }

    /// A session begins with a GET that never was Node's. It is answered with what this has queued.
    #[cfg(unix)]
    pub(super) fn open_travelling(&mut self, id: ConnectionId, polling: Polling) {
        let turn = Turn { options: &self.options, now: self.now };
        let session = Session::polling(Protocol::V4 { base64: false }, turn);
        self.enter(id, Connection::new(session, Some(Box::new(polling))));
    }

    /// A WebSocket wants to take over from polling whose request never was Node's.
    #[cfg(unix)]
    pub(super) fn upgrade_admitted(
        &mut self,
        id: ConnectionId,
        protocol: Protocol,
        stream: StreamId,
        fd: Rc<Wire>,
        response: &str,
    ) {
        let allowed =
            self.with_session(id, |connection, turn| connection.session.begin_upgrade(stream, turn));
        self.begin_websocket(stream, WebSocket::new(id, protocol, Stream::Fd(fd)), response);
        if allowed != Some(true) {
            self.detach(stream, None);
        }
    }

    fn enter(&mut self, id: ConnectionId, connection: Connection) {
        self.events.figures().begin(id);
        if let Some(limits) = Limits::of_all(id, &self.options, self.now) {
            self.limits.insert(id, limits);
        }
        self.connections.insert(id, connection);
        self.watch_session(id);
    }

    fn greet(&mut self, id: ConnectionId, initial: Option<polling::Packet>) {
        if let Some(packet) = initial {
            self.send_outgoing(id, packet);
        }
    }

    /// A WebSocket wants to take over from polling.
    pub(super) fn upgrade(&mut self, id: ConnectionId, takeover: Takeover) {
        let stream = takeover.stream;
        let allowed =
            self.with_session(id, |connection, turn| connection.session.begin_upgrade(stream, turn));
        let head = self.adopt(id, takeover);
        if allowed == Some(true) {
            self.on_head(stream, head);
        } else {
            self.detach(stream, None);
        }
    }

    /// Makes a WebSocket of a connection that was taken over, and queues the answer to its request. Returns the bytes
    /// that came behind the request.
    fn adopt(&mut self, owner: ConnectionId, takeover: Takeover) -> Vec<u8> {
        let id = takeover.stream;
        #[cfg(unix)]
        let (stream, registered) = match takeover.fd.map(|fd| Wire::register(fd, takeover.layer)) {
            None => (Stream::Pipe(Pipe::default()), true),
            Some(Ok(fd)) => (Stream::Fd(Rc::new(fd)), true),
            Some(Err(_)) => (Stream::Pipe(Pipe::default()), false),
        };
        #[cfg(not(unix))]
        let (stream, registered) = (Stream::Pipe(Pipe::default()), true);
        let mut websocket = WebSocket::new(owner, takeover.protocol, stream);
        let deflate = |parameters| Box::new(Deflate::new(parameters, self.spares.clone()));
        websocket.reader.deflate = takeover.deflate.map(deflate);
        if !registered {
            self.websockets.insert(id, websocket);
            self.on_end_of_stream(id);
            return Vec::new();
        }
        self.begin_websocket(id, websocket, &takeover.response);
        takeover.head
    }

    /// Begins to read from a WebSocket, and queues the answer to its request.
    fn begin_websocket(&mut self, id: StreamId, websocket: WebSocket, response: &str) {
        self.websockets.insert(id, websocket);
        #[cfg(unix)]
        self.start_reading(id);
        self.append(id, |out| out.extend_from_slice(response.as_bytes()));
    }

    #[cfg(unix)]
    fn start_reading(&mut self, id: StreamId) {
        let Some(this) = self.this.upgrade() else { return };
        if let Some(websocket) = self.websocket(id) {
            if let Stream::Fd(fd) = &websocket.stream {
                let task = tokio::task::spawn_local(input::read(this, id, fd.clone()));
                websocket.read_task = Some(task.abort_handle());
            }
        }
    }

    fn on_head(&mut self, stream: StreamId, mut head: Vec<u8>) {
        if !head.is_empty() {
            self.on_bytes(stream, &mut head);
        }
    }

    /// The probing WebSocket takes over: what waited for a GET leaves through it.
    pub(super) fn complete_upgrade(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        let Some(mut polling) = connection.polling.take() else { return };
        self.leave_road(id, &polling);
        self.answer_post_of(&mut polling);
        self.answer_with(id, &mut polling, &[Type::Close]);
        let Some(connection) = self.connection(id) else { return };
        let state = connection.session.state();
        if let State::WebSocket { stream } = state {
            let protocol = self.websocket(stream).map(|websocket| websocket.protocol);
            if let (Some(protocol), Some(connection)) = (protocol, self.connection(id)) {
                connection.session.set_protocol(protocol);
            }
        }
        self.set_waiting(id, 0, 0);
        self.events.simple(Kind::Upgraded, id);
        let packets = polling.take_packets();
        let is_done = packets.is_empty() && self.held_bytes(id) == 0;
        for packet in packets {
            self.send_outgoing(id, packet);
        }
        self.release_all(id);
        if is_done {
            self.note_if_sent(id);
        }
    }

    /// The probing WebSocket will not take over.
    pub(super) fn abort_upgrade(&mut self, id: ConnectionId, stream: StreamId) {
        if let Some(connection) = self.connection(id) {
            connection.session.abort_upgrade();
            self.events.simple(Kind::UpgradeFailed, id);
        }
        self.detach(stream, None);
    }

    /// The application closes a session.
    pub(super) fn close(&mut self, id: ConnectionId, discard: bool) {
        self.release_all(id);
        #[cfg(unix)]
        if let Some(Waiter::Stream(stream)) = self.polling(id).and_then(|polling| polling.post) {
            self.cut_post(stream);
        }
        let step = self.with_session(id, |connection, turn| {
            let get_waits = connection.polling.as_ref().is_some_and(|polling| polling.is_writable());
            let probe = connection.session.probe();
            (probe, connection.session.close(get_waits, discard, turn))
        });
        let Some((probe, step)) = step else { return };
        if let (Some(stream), CloseStep::AnswerPoll | CloseStep::Forget) = (probe, step) {
            self.detach(stream, None);
        }
        match step {
            CloseStep::CloseWebSocket(stream) if discard && self.is_raw(stream) => {
                // what the kernel takes has been sent, as far as the application can tell
                self.flush(stream);
                self.drop_stream(stream);
                self.drop_connection(id, Ending::ForcedClose);
            }
            CloseStep::CloseWebSocket(stream) => {
                if let Some((websocket, pool)) = self.websocket_and_pool(stream) {
                    websocket.close(pool);
                }
                self.orphan(stream);
                self.drop_connection(id, Ending::ForcedClose);
            }
            CloseStep::AnswerPoll => {
                self.send_packet(id, Type::Close, &[]);
                self.drop_connection(id, Ending::ForcedClose);
            }
            CloseStep::Forget => {
                self.drop_connection(id, Ending::ForcedClose);
            }
            CloseStep::Wait | CloseStep::Nothing => {}
        }
    }

    /// A frame of the application's, for a client that speaks no Engine.IO. `first`: its first byte. A Close frame begins the
    /// closing handshake, or ends the one that the client has begun.
    pub(super) fn send_frame(&mut self, id: ConnectionId, first: u8, payload: &[u8]) {
        let Some(State::WebSocket { stream }) = self.connection(id).map(|it| it.session.state()) else {
            return;
        };
        if !matches!(first & 0x0f, frame::PING | frame::PONG) {
            // what was sent before comes first
            self.release_all(id);
        }
        let at = self.now + self.options.close_timeout;
        let Some((websocket, pool)) = self.websocket_and_pool(stream) else { return };
        if websocket.protocol != Protocol::Raw || !websocket.takes_messages() {
            return;
        }
        if first & 0x0f != frame::CLOSE {
            websocket.note_packets(1);
            websocket.outbox.append(pool, |out| frame::write_any(first, payload, out));
            self.work.queue(payload.len());
            self.mark_dirty(stream);
            return self.check_waiting(id, stream);
        }
        let concluding = match websocket.phase {
            Phase::Concluding { has_hung_up } => Some(has_hung_up),
            _ => None,
        };
        websocket.send_close(payload, pool);
        self.deadlines.arm(Holder::Stream(stream), at);
        self.mark_dirty(stream);
        if let Some(has_hung_up) = concluding {
            if let Some(websocket) = self.websocket(stream) {
                websocket.linger();
            }
            self.orphan(stream);
            self.drop_connection(id, Ending::TransportClose);
            if has_hung_up {
                self.on_end_of_stream(stream);
            }
        }
    }

    /// The application stops reading a client that speaks no Engine.IO, or goes on.
    pub(super) fn halt(&mut self, id: ConnectionId, is_halted: bool) {
        let Some(stream) = self.connection(id).and_then(|connection| connection.session.stream()) else {
            return;
        };
        if let Some(websocket) = self.websocket(stream) {
            websocket.is_halted = is_halted;
            let is_pumped = matches!(websocket.stream, Stream::Pipe(_));
            self.signals.resume.notify_waiters();
            if is_pumped && !is_halted {
                // what was kept of it
                self.on_bytes(stream, &mut []);
            }
        }
    }

    /// The client of a closing session has sent a GET: packets that wait leave with it, and the close packet with the
    /// next. A client would otherwise see the end of the session before it has looked at them.
    pub(super) fn close_over_poll(&mut self, id: ConnectionId) {
        self.release_all(id);
        if self.polling(id).is_some_and(|polling| polling.has_packets()) {
            if let Some(connection) = self.connection(id) {
                connection.session.tell_last();
            }
            self.answer_poll(id);
            return;
        }
        self.answer_last(id, &[Type::Noop, Type::Close]);
        self.end_session(id, Ending::ForcedClose);
    }

    /// The session is over for a reason that arose here: the client is told as far as the transport allows.
    pub(super) fn end_session(&mut self, id: ConnectionId, ending: Ending) {
        let now = self.now;
        let Some(connection) = self.connection(id) else { return };
        let websocket = connection.session.stream();
        let ending = connection.session.ending_at(now, ending);
        if !connection.session.end() {
            return;
        }
        if let Some(stream) = websocket {
            self.detach(stream, None);
        }
        let last = if ending == Ending::TransportClose { Type::Noop } else { Type::Close };
        self.answer_last(id, &[last]);
        self.drop_connection(id, ending);
    }

    /// The same, with a Close frame that says why, where the client has a WebSocket.
    pub(super) fn end_with(&mut self, id: ConnectionId, code: u16, reason: &str, ending: Ending) {
        let Some(connection) = self.connection(id) else { return };
        if let State::WebSocket { stream } = connection.session.state() {
            self.detach(stream, Some((code, reason)));
        }
        self.end_session(id, ending);
    }

    /// Answers the GET that waits, if one does, with packets without data, whatever else waits.
    fn answer_last(&mut self, id: ConnectionId, kinds: &[Type]) {
        if let Some(mut polling) = self.connection(id).and_then(|connection| connection.polling.take()) {
            self.answer_with(id, &mut polling, kinds);
            if let Some(connection) = self.connection(id) {
                connection.polling = Some(polling);
            }
        }
    }

    fn answer_with(&mut self, id: ConnectionId, polling: &mut Polling, kinds: &[Type]) {
        let Some(waiter) = polling.waiter.take() else { return };
        let Some(connection) = self.connection(id) else { return };
        let mut answer = Polling::default();
        for &kind in kinds {
            answer.push(polling::Packet::Text(kind, Default::default()), false);
        }
        let (Payload::Text(payload), _) = answer.take_payload(connection.session.protocol()) else { return };
        match waiter {
            Waiter::JavaScript => self.events.poll_answer(id, &payload, false),
            #[cfg(unix)]
            Waiter::Stream(stream) => {
                let cors = polling.traveller.as_ref().map_or("", |traveller| &traveller.cors);
                self.answer_on_road(stream, cors, "", payload, false);
            }
        }
    }

    /// A session polls no more.
    pub(super) fn leave_road(&mut self, id: ConnectionId, polling: &Polling) {
        if let Some(traveller) = &polling.traveller {
            self.road.leave(&traveller.sid, id);
        }
    }

    /// JavaScript has a POST. `known`: which one is known here.
    pub(super) fn check_post(&mut self, id: ConnectionId, known: Option<Waiter>) {
        #[cfg(unix)]
        if matches!(known, Some(Waiter::Stream(stream)) if self.is_receiving(stream)) {
            self.events.simple(Kind::PostOverlap, id);
        }
        #[cfg(not(unix))]
        let _ = (id, known);
    }

    /// Answers the POST that the worker has, if there is one.
    pub(super) fn answer_post(&mut self, id: ConnectionId) {
        if let Some(mut polling) = self.connection(id).and_then(|connection| connection.polling.take()) {
            self.answer_post_of(&mut polling);
            if let Some(connection) = self.connection(id) {
                connection.polling = Some(polling);
            }
        }
        #[cfg(unix)]
        self.answer_orphan(id);
    }

    fn answer_post_of(&mut self, polling: &mut Polling) {
        #[cfg(unix)]
        if let Some(Waiter::Stream(stream)) = polling.post {
            polling.post = None;
            let cors = polling.traveller.as_ref().map_or("", |traveller| &traveller.cors);
            self.confirm_post(stream, cors);
        }
        #[cfg(not(unix))]
        let _ = polling;
    }

    /// JavaScript has ended the session by itself.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        let websocket = connection.session.stream();
        connection.session.end();
        if let Some(stream) = websocket {
            self.detach(stream, None);
        }
        // JavaScript has answered the GET itself, if that was with it
        #[cfg(unix)]
        if self.polling(id).is_some_and(|polling| matches!(polling.waiter, Some(Waiter::Stream(_)))) {
            self.answer_last(id, &[Type::Close]);
        }
        self.answer_post(id);
        self.drop_connection(id, Ending::ForcedClose);
    }

    /// Closes a WebSocket that carries no session any more, and waits for the client to hang up.
    pub(super) fn detach(&mut self, stream: StreamId, why: Option<(u16, &str)>) {
        if let Some((websocket, pool)) = self.websocket_and_pool(stream) {
            match why {
                None => websocket.close(pool),
                Some((code, reason)) => websocket.fail(code, reason, pool),
            }
        }
        self.orphan(stream);
    }

    /// The WebSocket goes on without its session until the client hangs up.
    pub(super) fn orphan(&mut self, stream: StreamId) {
        let at = self.now + self.options.close_timeout;
        if let Some(websocket) = self.websockets.get_mut(stream) {
            websocket.report(self.events.figures());
            websocket.owner = None;
            self.deadlines.arm(Holder::Stream(stream), at);
            self.mark_dirty(stream);
        }
    }

    /// The client has finished sending. Without Engine.IO, what the application has to say to what came before goes first.
    pub(super) fn on_hang_up(&mut self, stream: StreamId) {
        let is_raw = self.is_raw(stream);
        if is_raw {
            // what is left of what has come
            self.on_rest(stream);
        }
        let owner = self.owner_of(stream);
        let (Some(websocket), Some(owner)) = (self.websocket(stream).filter(|_| is_raw), owner) else {
            return self.on_end_of_stream(stream);
        };
        match &mut websocket.phase {
            Phase::Open => {
                websocket.phase = Phase::HungUp;
                websocket.reader.reset();
                self.events.check_alive(owner, true);
            }
            // the application has been told of its end, and answers with a Close frame
            Phase::Concluding { has_hung_up } => *has_hung_up = true,
            _ => self.on_end_of_stream(stream),
        }
    }

    /// The client has finished sending, or its connection is broken.
    pub(super) fn on_end_of_stream(&mut self, stream: StreamId) {
        // what waits may still reach a client that only finished sending
        self.flush(stream);
        self.sever(stream, Ending::TransportClose);
    }

    /// Drops a WebSocket, and what waits for it, at once.
    pub(super) fn sever(&mut self, stream: StreamId, ending: Ending) {
        if let Some(Some(owner)) = self.drop_stream(stream) {
            self.on_websocket_lost(stream, owner, ending);
        }
    }

    /// The WebSocket that carries, or was to carry, a session is of no use any more.
    pub(super) fn on_websocket_lost(&mut self, stream: StreamId, owner: ConnectionId, ending: Ending) {
        let Some(connection) = self.connection(owner) else { return };
        if connection.session.probe() == Some(stream) {
            self.abort_upgrade(owner, stream);
        } else if connection.session.stream() == Some(stream) {
            if ending == Ending::TransportClose && connection.close_code == 0 {
                connection.close_code = CUT;
            }
            self.end_session(owner, ending);
        }
    }

    /// Looks at whose deadlines have come.
    pub(super) fn timer_turn(&mut self) {
        panic_point!("timer turn");
        self.now = Instant::now();
        self.serve_deadlines();
        self.finish_turn();
    }

    /// Looks at those whose time has come, as far as the budget goes.
    pub(super) fn serve_deadlines(&mut self) {
        self.work.begin();
        while !self.work.is_spent() {
            let Some(holder) = self.deadlines.pop_due(self.now) else { break };
            self.work.receive(0);
            match holder {
                Holder::Connection(id) => {
                    self.contained(Subject::Connection(id), |worker| worker.on_session_due(id));
                    self.watch_session(id);
                }
                Holder::Stream(id) => {
                    self.contained(Subject::Stream(id), |worker| worker.on_stream_due(id));
                }
            }
        }
    }

    /// The application sets how many milliseconds from now on it wants to hear of a session, if it does.
    pub(super) fn expire(&mut self, id: ConnectionId, after: Option<Duration>) {
        let at = after.and_then(|after| self.now.checked_add(after));
        if self.connections.contains(id) {
            self.limits.entry(id).or_default().expire(at);
            self.watch_session(id);
        }
    }

    fn on_session_due(&mut self, id: ConnectionId) {
        if self.check_age(id) || self.end_pause(id) {
            return;
        }
        let limits = self.limits.get_mut(&id);
        if let Some(limit) = limits.and_then(|limits| limits.take_due(&self.options, self.now)) {
            // whoever calls looks at what else is due
            return self.events.limit(id, limit, Duration::ZERO, false);
        }
        let Some(Some(due)) = self.with_session(id, |connection, turn| connection.session.take_due(turn))
        else {
            return;
        };
        panic_point!("timer {due:?}");
        match due {
            Due::Ping => {
                let is_followed = self.is_written_by_javascript(id);
                if self.protocol(id) == Protocol::Raw {
                    self.send_frame(id, frame::FINAL | frame::PING, HEARTBEAT);
                } else {
                    self.send_packet(id, Type::Ping, &[]);
                }
                self.metrics.pings.add(1);
                self.note_control(id, Type::Ping, "", watch::SENT);
                if is_followed {
                    self.follow_ping(id);
                }
            }
            Due::Pong | Due::Expect => self.on_heartbeat_due(id),
            Due::Upgrade(stream) => self.abort_upgrade(id, stream),
            Due::Check => self.on_check_due(id),
            Due::Close => self.end_session(id, Ending::ForcedClose),
        }
    }

    fn on_stream_due(&mut self, id: StreamId) {
        #[cfg(unix)]
        if self.arrivals.contains_key(&id) {
            panic_point!("timer Arrival");
            return self.on_arrival_due(id);
        }
        panic_point!("timer Linger");
        let is_over = |websocket: &mut WebSocket| match websocket.phase {
            Phase::Closing => true,
            Phase::Open | Phase::Concluding { .. } | Phase::HungUp => false,
            Phase::Lingering { .. } => websocket.owner.is_none(),
        };
        if self.websocket(id).is_some_and(is_over) {
            self.on_end_of_stream(id);
        }
    }

    /// Whether there is a timer to look at, as of the last turn.
    pub(super) fn is_timer_due(&self) -> bool {
        self.deadlines.next().is_some_and(|next| next <= self.now)
    }

    /// The pong, or the ping of revision 3, is overdue, but it may wait to be read: in the buffer of the descriptor, in a
    /// queue of ours that is full, or in JavaScript, which may be busy.
    fn on_heartbeat_due(&mut self, id: ConnectionId) {
        // what is owed may be in what is not read
        let is_behind = self.may_be_behind(id);
        if self.events.is_full() || is_behind {
            self.with_session(id, |connection, turn| connection.session.postpone_heartbeat(turn));
            // a client that is not read counts on being asked all the same
            if is_behind && matches!(self.protocol(id), Protocol::V4 { .. }) {
                self.send_packet(id, Type::Ping, &[]);
            }
            return;
        }
        if self.is_paused(id) {
            return self.end_if_overdue(id);
        }
        if self.is_left_unread(id) {
            self.with_session(id, |connection, turn| connection.session.postpone_heartbeat(turn));
            return;
        }
        #[cfg(unix)]
        if let Some(stream) = self.descriptor_of(id) {
            match self.read_stream(stream) {
                input::Read::More => self.give_time(id),
                input::Read::Drained | input::Read::Gone => self.end_if_overdue(id),
            }
            return;
        }
        self.events.check_alive(id, false);
    }

    /// Whether JavaScript reads a client, and the application wants nothing to be read of it.
    fn is_left_unread(&mut self, id: ConnectionId) -> bool {
        let stream = self.connection(id).and_then(|connection| connection.session.stream());
        let websocket = stream.and_then(|stream| self.websocket(stream));
        websocket.is_some_and(|it| it.is_halted && matches!(it.stream, Stream::Pipe(_)))
    }

    /// A client that is not read may have hung up meanwhile. Returns whether that was so.
    pub(super) fn end_if_hung_up(&mut self, id: ConnectionId) -> bool {
        #[cfg(unix)]
        if let Some(stream) = self.descriptor_of(id) {
            let is_hung_up = |websocket: &mut WebSocket| match &websocket.stream {
                Stream::Fd(fd) => fd.is_hung_up(),
                Stream::Pipe(_) => false,
            };
            if self.websocket(stream).is_some_and(is_hung_up) {
                self.sever(stream, Ending::TransportClose);
                return true;
            }
        }
        #[cfg(not(unix))]
        let _ = id;
        false
    }

    /// The WebSocket of a session, if its bytes do not go through JavaScript.
    #[cfg(unix)]
    fn descriptor_of(&mut self, id: ConnectionId) -> Option<StreamId> {
        let State::WebSocket { stream } = self.connection(id)?.session.state() else { return None };
        matches!(self.websocket(stream)?.stream, Stream::Fd(_)).then_some(stream)
    }

    /// Whether JavaScript writes what is sent to a client.
    fn is_written_by_javascript(&mut self, id: ConnectionId) -> bool {
        #[cfg(unix)]
        match self.polling(id).map(|polling| (polling.waiter, polling.traveller.is_some())) {
            Some((Some(Waiter::Stream(_)), _) | (None, true)) => return false,
            Some(_) => {}
            None if self.descriptor_of(id).is_some() => return false,
            None => {}
        }
        self.connection(id).is_some()
    }

    /// A ping that JavaScript has to write leaves when it comes to that, and the client cannot answer it before.
    fn follow_ping(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connection(id) {
            connection.session.follow_ping();
            self.events.check_alive(id, true);
        }
    }

    /// What the client owes may be behind what has been read so far.
    #[cfg(unix)]
    fn give_time(&mut self, id: ConnectionId) {
        self.with_session(id, |connection, turn| {
            if connection.session.is_heartbeat_overdue() {
                connection.session.postpone_heartbeat(turn);
            }
        });
    }

    /// JavaScript has written what it was given for a client; or, when a pong was overdue, handed over all that had come; or has
    /// handled all that came before a client hung up.
    pub(super) fn on_alive(&mut self, id: ConnectionId) {
        let stream = self.connection(id).and_then(|connection| connection.session.stream());
        if let Some(stream) = stream {
            if self.websocket(stream).is_some_and(|websocket| websocket.phase == Phase::HungUp) {
                return self.on_end_of_stream(stream);
            }
        }
        if self.with_session(id, |connection, turn| connection.session.on_ping_left(turn)) != Some(true) {
            self.end_if_overdue(id);
        }
    }

    /// Everything that had come of a client whose pong was overdue has been handed over.
    fn end_if_overdue(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if !connection.session.is_heartbeat_overdue() {
            return;
        }
        match connection.session.state() {
            // there is nobody to close a WebSocket with
            State::WebSocket { stream } if self.is_raw(stream) => self.sever(stream, Ending::PingTimeout),
            _ => self.end_session(id, Ending::PingTimeout),
        }
    }

    /// Answers the GET that waits while the client wants to switch, so that it can.
    fn on_check_due(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if connection.polling.as_ref().is_some_and(|polling| polling.is_writable()) {
            self.send_packet(id, Type::Noop, &[]);
        } else {
            connection.session.note_missed_check();
        }
    }

    /// Tells JavaScript, if it listens, of a packet other than a message that was received (`watch::RECEIVED`) or sent
    /// (`watch::SENT`).
    pub(super) fn note_control(&mut self, id: ConnectionId, kind: Type, data: &str, bit: u8) {
        if self.connection(id).is_some_and(|connection| connection.watch & bit != 0) {
            self.events.control(id, kind, data, bit == watch::SENT);
        }
    }

    /// Starts the task that waits for room to write.
    #[cfg(unix)]
    pub(super) fn start_writing(&mut self, id: StreamId, fd: Rc<Wire>) {
        let Some(this) = self.this.upgrade() else { return };
        if let Some(websocket) = self.websocket(id) {
            let task = tokio::task::spawn_local(writes::write(this, id, fd));
            websocket.write_task = Some(task.abort_handle());
        }
    }
}
