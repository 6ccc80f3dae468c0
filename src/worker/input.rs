//! What clients send: bytes of WebSockets, bodies of POSTs, and the GETs that wait.

use std::borrow::Cow;
use std::mem;
use std::time::Duration;

use super::connection::{watch, Connection, NO_STATUS};
use super::event::Kind;
#[cfg(unix)]
use super::event::Mark;
use super::websocket::Phase;
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::engine_io::packet::{self, Type};
use crate::protocol::engine_io::payload::{self, Part};
use crate::protocol::engine_io::{v3, Protocol};
use crate::protocol::error::{Ending, Violation};
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::polling::Waiter;
use crate::protocol::session::{ProbeStep, State, Turn, Verdict};
use crate::protocol::websocket::frame::{self, Flow, FrameReader, Incoming, Kept};

#[cfg(unix)]
use {
    super::recovery::{take_turn, Subject},
    super::stream::Stream,
    super::websocket::WebSocket,
    super::wire::{Got, Wire},
    super::Shared,
    crate::os::memory,
    std::future::poll_fn,
    std::io::ErrorKind,
    std::rc::Rc,
    std::task::{ready, Context, Poll},
    std::time::Instant,
};

/// Reads that one WebSocket may make in a turn.
#[cfg(unix)]
const READS_PER_TURN: usize = 4;

/// Bytes that one of them puts into a large message.
#[cfg(unix)]
const PLACED_PER_READ: usize = 256 << 10;

/// Bytes that are kept, besides a message, of a client that sends too much, until JavaScript does not read it any more.
const KEPT: usize = 4 << 20;

/// What our pings of clients that speak no Engine.IO have in them: pongs to others are the application's.
pub(super) const HEARTBEAT: &[u8] = b"sockeye";

/// What one WebSocket may add to the queue of events, in about bytes, before it has to wait until JavaScript has taken what it
/// has added: what others send is not to stand behind all that one has sent. It is a batch, or one message if that is larger,
/// so that there is something to work on while the next is read.
#[cfg(unix)]
const SHARE: usize = 256 << 10;

/// How a turn of reading ended.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// There is nothing more to read.
    Drained,
    /// There may be more.
    More,
    /// The WebSocket is gone.
    Gone,
}

/// The task that reads from a WebSocket for as long as it lives. It is a part of what an idle client costs in memory, so
/// it keeps little across its awaits.
#[cfg(unix)]
pub(super) async fn read(shared: Shared, id: StreamId, fd: Rc<Wire>) {
    let mut share = Share::Taken(0);
    loop {
        match poll_fn(|context| read_when_ready(&shared, id, &fd, &mut share, context)).await {
            Pause::Moment => tokio::task::yield_now().await,
            Pause::UntilResumed => {
                let resume = shared.borrow().signals.resume.clone();
                resume.notified().await;
            }
            Pause::Forever => return,
        }
    }
}

/// Why a task stops reading, for how long.
#[cfg(unix)]
enum Pause {
    Moment,
    UntilResumed,
    Forever,
}

/// How much of the queue of events is one WebSocket's.
#[cfg(unix)]
enum Share {
    /// So much since it was last looked at, less than is due to it.
    Taken(usize),
    /// All that is due to it, up to there.
    UsedUp(Mark),
}

/// Reads whatever a WebSocket has, until it has no more.
#[cfg(unix)]
fn read_when_ready(
    shared: &Shared,
    id: StreamId,
    fd: &Wire,
    share: &mut Share,
    context: &mut Context<'_>,
) -> Poll<Pause> {
    loop {
        // whoever had the connection before may have read ahead
        let ready = if fd.has_unread() {
            None
        } else {
            let Ok(ready) = ready!(fd.poll_readable(context)) else { return Poll::Ready(Pause::Forever) };
            Some(ready)
        };
        let is_held_up = |worker: &Worker| worker.events.is_full() || worker.is_held_up(id);
        if is_held_up(&shared.borrow()) {
            return Poll::Ready(Pause::UntilResumed);
        }
        let taken = match *share {
            Share::UsedUp(mark) if !shared.borrow().events.is_passed(mark) => {
                return Poll::Ready(Pause::UntilResumed);
            }
            Share::UsedUp(_) => 0,
            Share::Taken(taken) => taken,
        };
        let read = take_turn(shared, |worker| {
            let before = worker.events.written();
            let read = worker.read_turn(id);
            let taken = taken + worker.events.written().wrapping_sub(before);
            *share = if taken < SHARE {
                Share::Taken(taken)
            } else {
                Share::UsedUp(worker.events.publish_and_mark())
            };
            read
        });
        match read {
            Some(Read::Drained) => {
                if let Some(mut ready) = ready {
                    ready.clear_ready();
                }
            }
            Some(Read::More) => return Poll::Ready(Pause::Moment),
            Some(Read::Gone) | None => return Poll::Ready(Pause::Forever),
        }
    }
}

impl Worker {
    #[cfg(unix)]
    pub(super) fn read_turn(&mut self, id: StreamId) -> Read {
        panic_point!("reading");
        self.now = Instant::now();
        self.work.begin();
        let outcome = self.contained(Subject::Stream(id), |worker| worker.read_stream(id));
        self.finish_read_turn();
        outcome.unwrap_or(Read::Gone)
    }

    /// Reads what a WebSocket has, within the bounds of a turn; once, whatever is left of it.
    #[cfg(unix)]
    pub(super) fn read_stream(&mut self, id: StreamId) -> Read {
        panic_point!("read");
        let mut buffer = mem::take(&mut self.read_buffer);
        let mut outcome = Read::More;
        for reads in 0..READS_PER_TURN {
            if reads > 0 && self.work.is_spent() {
                break;
            }
            let Some(WebSocket { stream: Stream::Fd(fd), reader, .. }) = self.websocket(id) else {
                outcome = Read::Gone;
                break;
            };
            if reader.is_paused() {
                if self.feed(id, &mut []) {
                    break;
                }
                continue;
            }
            let (read, is_placed) = match reader.gap(buffer.len()) {
                Some((message, missing)) => {
                    memory::expect_much(message);
                    (fd.read_onto(message, missing.min(PLACED_PER_READ)), true)
                }
                None => (fd.read(&mut buffer), false),
            };
            match read {
                Ok(Got { length: 0, .. }) => {
                    self.on_hang_up(id);
                    outcome = Read::Gone;
                    break;
                }
                Ok(Got { length, is_all }) => {
                    self.count_received(self.owner_of(id), length);
                    let is_paused = if is_placed {
                        self.on_placed(id, length)
                    } else {
                        self.feed(id, &mut buffer[..length])
                    };
                    // others have their turn before it goes on; what it has is not to be taken for all that there is
                    if is_paused || self.is_held_up(id) {
                        break;
                    }
                    // the kernel's buffer was empty, and new bytes raise a new edge
                    if is_all {
                        outcome = Read::Drained;
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    outcome = Read::Drained;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.on_end_of_stream(id);
                    outcome = Read::Gone;
                    break;
                }
            }
        }
        self.read_buffer = buffer;
        outcome
    }

    /// Whether nothing is to be read of the client of a WebSocket for now.
    fn is_held_up(&self, id: StreamId) -> bool {
        let is_halted = self.websockets.get(id).is_some_and(|websocket| websocket.is_halted);
        is_halted || self.owner_of(id).is_some_and(|owner| self.is_paused(owner))
    }

    /// Bytes of a WebSocket that nobody can be asked to keep for another turn.
    pub(super) fn on_bytes(&mut self, id: StreamId, bytes: &mut [u8]) {
        // JavaScript stops reading when it hears of it
        if self.is_held_up(id) {
            let most = self.options.max_payload.saturating_add(KEPT);
            match self.websocket(id).map(|websocket| websocket.reader.keep(bytes, most)) {
                Some(Kept::Yes) | None => return,
                Some(Kept::TooMuch) => return self.sever(id, Ending::TooMuchSent),
                Some(Kept::No) => {}
            }
        }
        let mut is_paused = self.feed(id, bytes);
        while is_paused && !self.is_held_up(id) {
            is_paused = self.feed(id, &mut []);
        }
    }

    /// What a reader has kept for another turn, of which there is none: whether or not the client may be read.
    pub(super) fn on_rest(&mut self, id: StreamId) {
        if self.websocket(id).is_some_and(|websocket| websocket.reader.is_paused() || websocket.is_halted) {
            self.feed(id, &mut []);
        }
    }

    /// Bytes of a WebSocket. Returns whether its reader has left some for another turn.
    fn feed(&mut self, id: StreamId, bytes: &mut [u8]) -> bool {
        panic_point!("bytes");
        let limits = self.options.message_limits();
        let Some(websocket) = self.websocket(id) else { return false };
        if let Phase::Lingering { .. } | Phase::Concluding { .. } | Phase::HungUp = websocket.phase {
            websocket.reader.reset();
            return false;
        }
        let mut reader = mem::take(&mut websocket.reader);
        let result = reader.feed(bytes, limits, |incoming| self.on_incoming(id, incoming));
        self.after_bytes(id, reader, result)
    }

    /// Bytes of a WebSocket that are where its reader wanted them. Returns whether that has left some for another turn.
    #[cfg(unix)]
    fn on_placed(&mut self, id: StreamId, length: usize) -> bool {
        panic_point!("bytes");
        let limits = self.options.message_limits();
        let Some(websocket) = self.websocket(id) else { return false };
        let mut reader = mem::take(&mut websocket.reader);
        let result = reader.filled(length, limits, |incoming| self.on_incoming(id, incoming));
        self.after_bytes(id, reader, result)
    }

    fn after_bytes(&mut self, id: StreamId, reader: FrameReader, result: Result<(), Violation>) -> bool {
        let is_paused = reader.is_paused();
        if let Some(websocket) = self.websocket(id) {
            websocket.reader = reader;
        }
        if let Err(violation) = result {
            self.on_violation(id, violation);
            return false;
        }
        is_paused
    }

    fn on_violation(&mut self, id: StreamId, violation: Violation) {
        let owner = self.owner_of(id);
        if let Some(owner) = owner.filter(|_| self.is_raw(id)) {
            self.events.violation(owner, violation);
            return self.conclude(id, owner);
        }
        self.detach(id, Some((violation.close_code(), "")));
        if let Some(owner) = owner {
            self.on_websocket_lost(id, owner, Ending::WebSocketViolation(violation));
        }
    }

    fn on_incoming(&mut self, id: StreamId, incoming: Incoming<'_>) -> Flow {
        panic_point!("message");
        self.work.receive(incoming.len());
        let answers_pings = self.options.answers_pings;
        let Some((websocket, pool)) = self.websocket_and_pool(id) else { return Flow::Stop };
        let owner = websocket.owner.filter(|_| websocket.hears_messages());
        match (incoming, owner) {
            (Incoming::Text(text), Some(owner)) if websocket.protocol == Protocol::Raw => {
                self.on_raw_text(owner, text)
            }
            (Incoming::Text(text), Some(owner)) => self.on_text_frame(id, owner, text),
            (Incoming::Binary(data), Some(owner)) => self.on_binary_frame(id, owner, data),
            (Incoming::Octets(data), Some(owner)) => self.on_raw_frame(owner, frame::TEXT, &data),
            (Incoming::Ping(data), Some(owner)) => {
                let is_raw = websocket.protocol == Protocol::Raw;
                if websocket.phase == Phase::Open && (!is_raw || answers_pings) {
                    websocket.pong(data, pool);
                    self.mark_dirty(id);
                }
                if is_raw {
                    self.on_raw_frame(owner, frame::PING, data)
                } else {
                    Flow::Continue
                }
            }
            (Incoming::Pong(data), Some(owner)) if websocket.protocol == Protocol::Raw => {
                self.on_raw_pong(owner, data)
            }
            (Incoming::Close(payload), Some(owner)) if websocket.protocol == Protocol::Raw => {
                self.note_close(id, owner, status_in(payload));
                self.events.frame(owner, frame::CLOSE, payload.to_vec());
                self.conclude(id, owner);
                Flow::Stop
            }
            (Incoming::Close(payload), _) => {
                websocket.answer_close(payload, pool);
                self.detach(id, None);
                if let Some(owner) = owner {
                    self.note_close(id, owner, status_in(payload));
                    self.on_websocket_lost(id, owner, Ending::TransportClose);
                }
                Flow::Stop
            }
            (Incoming::Pong(_), _) | (_, None) => Flow::Continue,
        }
    }

    /// The Close frame of a client says that its session is over, if this is its WebSocket, and why.
    fn note_close(&mut self, id: StreamId, owner: ConnectionId, status: Option<u16>) {
        let Some(connection) = self.connection(owner) else { return };
        if connection.session.stream() == Some(id) {
            connection.close_code = status.unwrap_or(NO_STATUS);
        }
    }

    fn on_text_frame(&mut self, id: StreamId, owner: ConnectionId, text: &str) -> Flow {
        self.metrics.packets_received.add(1);
        if self.is_probing(owner, id) {
            self.on_probe(id, owner, text);
            return Flow::Continue;
        }
        self.on_packet(owner, text)
    }

    /// Whether a WebSocket's client speaks no Engine.IO.
    pub(super) fn is_raw(&self, id: StreamId) -> bool {
        self.websockets.get(id).is_some_and(|websocket| websocket.protocol == Protocol::Raw)
    }

    /// A client that speaks no Engine.IO has come to its end, of which the application has been told. If it has not closed the
    /// WebSocket before, it does so when it has handled what came before, see `send_frame`.
    fn conclude(&mut self, id: StreamId, owner: ConnectionId) {
        let Some(websocket) = self.websocket(id) else { return };
        if websocket.phase == Phase::Open {
            websocket.phase = Phase::Concluding { has_hung_up: false };
            websocket.reader.reset();
        } else {
            websocket.linger();
            self.orphan(id);
            self.drop_connection(owner, Ending::TransportClose);
        }
    }

    /// A pong of a client that speaks no Engine.IO. Those to our own pings are nobody else's.
    fn on_raw_pong(&mut self, id: ConnectionId, data: &[u8]) -> Flow {
        let judge = |connection: &mut Connection, turn: Turn<'_>| {
            let trip = connection.session.round_trip(turn);
            connection.session.on_packet(Type::Pong, turn);
            trip
        };
        if let Some(trip) = self.with_session(id, judge) {
            if self.options.pings_raw {
                self.on_heartbeat(id, trip);
            }
        }
        if self.options.pings_raw && data == HEARTBEAT {
            return Flow::Continue;
        }
        self.on_raw_frame(id, frame::PONG, data)
    }

    /// A frame of such a client that the application is told of as it is. It counts as a message.
    fn on_raw_frame(&mut self, id: ConnectionId, opcode: u8, payload: &[u8]) -> Flow {
        let onwards = match self.charge(id, Type::Message, payload.len(), None).flow() {
            Ok(flow) => flow,
            Err(flow) => return flow,
        };
        self.events.frame(id, opcode, payload.to_vec());
        onwards
    }

    /// A text message of a client that speaks no Engine.IO.
    fn on_raw_text(&mut self, id: ConnectionId, text: &str) -> Flow {
        self.metrics.packets_received.add(1);
        let onwards = match self.charge(id, Type::Message, text.len(), None).flow() {
            Ok(flow) => flow,
            Err(flow) => return flow,
        };
        let verdict =
            self.with_session(id, |connection, turn| connection.session.on_packet(Type::Message, turn));
        let Some(verdict) = verdict else { return Flow::Stop };
        if verdict == Verdict::Message {
            self.note_message(id);
            self.events.text(id, text, false);
        }
        onwards
    }

    fn on_binary_frame(&mut self, id: StreamId, owner: ConnectionId, data: Cow<'_, [u8]>) -> Flow {
        self.metrics.packets_received.add(1);
        if self.is_probing(owner, id) {
            self.abort_upgrade(owner, id);
            return Flow::Stop;
        }
        if !self.protocol(owner).is_legacy() {
            let mut data = data.into_owned();
            // JavaScript may keep it for long
            data.shrink_to_fit();
            return self.on_binary(owner, data);
        }
        match v3::decode_binary(&data) {
            Some((Type::Message, data)) => self.on_binary(owner, data.to_vec()),
            Some(_) => Flow::Continue,
            None => {
                self.end_session(owner, Ending::ParseError);
                Flow::Stop
            }
        }
    }

    pub(super) fn protocol(&mut self, id: ConnectionId) -> Protocol {
        self.connection(id).map_or(Protocol::V4 { base64: false }, |connection| connection.session.protocol())
    }

    fn is_probing(&mut self, owner: ConnectionId, id: StreamId) -> bool {
        self.connection(owner).is_some_and(|connection| connection.session.probe() == Some(id))
    }

    fn on_probe(&mut self, id: StreamId, owner: ConnectionId, text: &str) {
        let step =
            self.with_session(owner, |connection, turn| connection.session.on_probe_packet(text, turn));
        match step {
            None => {}
            Some(ProbeStep::Confirm) => {
                self.append(id, |out| frame::write_text(b"3", b"probe", out));
                self.events.simple(Kind::Upgrading, owner);
            }
            Some(ProbeStep::Complete) => self.complete_upgrade(owner),
            Some(ProbeStep::CompleteToClose) => {
                self.complete_upgrade(owner);
                self.close(owner, false);
            }
            Some(ProbeStep::Abort) => self.abort_upgrade(owner, id),
        }
    }

    /// A heartbeat has been read. `trip`: how long the ping that it answers took, if it answers one.
    fn on_heartbeat(&mut self, id: ConnectionId, trip: Option<Duration>) {
        self.note_heartbeat(id);
        self.events.figures().note_heartbeat(id, trip);
        if let Some(trip) = trip {
            self.metrics.round_trips.record(trip);
        }
    }

    /// A text packet over the session's own transport.
    fn on_packet(&mut self, id: ConnectionId, text: &str) -> Flow {
        let Some((kind, data)) = packet::decode(text) else {
            return self.on_odd_packet(id, text);
        };
        let onwards = match self.charge(id, kind, text.len(), Some(data)).flow() {
            Ok(flow) => flow,
            Err(flow) => return flow,
        };
        let judge = |connection: &mut Connection, turn: Turn<'_>| {
            let trip = if kind == Type::Pong { connection.session.round_trip(turn) } else { None };
            (connection.session.on_packet(kind, turn), trip)
        };
        let Some((verdict, trip)) = self.with_session(id, judge) else { return Flow::Stop };
        match verdict {
            Verdict::Message => {
                self.note_message(id);
                let parse = self.options.parse_packets;
                self.events.text(id, data, parse);
            }
            Verdict::Heartbeat => {
                self.on_heartbeat(id, trip);
                self.note_control(id, kind, data, watch::RECEIVED);
            }
            Verdict::Pong => {
                self.on_heartbeat(id, None);
                self.note_control(id, kind, data, watch::RECEIVED);
                self.send_packet(id, Type::Pong, &[]);
                self.note_control(id, Type::Pong, "", watch::SENT);
            }
            Verdict::Ignore => self.note_control(id, kind, data, watch::RECEIVED),
            Verdict::End(ending) => {
                self.note_control(id, kind, data, watch::RECEIVED);
                self.end_session(id, ending);
                return Flow::Stop;
            }
        }
        onwards
    }

    /// A text packet without a type: it may be a binary message in base64.
    fn on_odd_packet(&mut self, id: ConnectionId, text: &str) -> Flow {
        if let Some(base64) = text.strip_prefix(payload::BINARY as char) {
            if !self.protocol(id).is_legacy() {
                return self.on_binary(id, payload::decode_base64(base64.as_bytes()));
            }
            if let Some((Type::Message, data)) = v3::decode_base64(base64) {
                return self.on_binary(id, data);
            }
        }
        self.end_session(id, Ending::ParseError);
        Flow::Stop
    }

    fn on_binary(&mut self, id: ConnectionId, data: Vec<u8>) -> Flow {
        let onwards = match self.charge(id, Type::Message, data.len(), None).flow() {
            Ok(flow) => flow,
            Err(flow) => return flow,
        };
        let verdict =
            self.with_session(id, |connection, turn| connection.session.on_packet(Type::Message, turn));
        let Some(verdict) = verdict else { return Flow::Stop };
        if verdict == Verdict::Message {
            self.note_message(id);
            self.events.binary(id, data);
        }
        onwards
    }

    /// The body of a POST.
    pub(super) fn on_post(&mut self, id: ConnectionId, body: &str) {
        self.work.receive(body.len());
        self.count_received(Some(id), body.len());
        if self.protocol(id).is_legacy() {
            self.on_posted(id, v3::decode_payload(body).into_iter());
        } else {
            self.on_posted(id, payload::decode(body));
        }
    }

    /// The body of a POST of a client of revision 3, with binary data.
    pub(super) fn on_binary_post(&mut self, id: ConnectionId, body: &[u8]) {
        self.count_received(Some(id), body.len());
        self.on_posted(id, v3::decode_binary_payload(body).into_iter());
    }

    fn on_posted<'a>(&mut self, id: ConnectionId, mut parts: impl Iterator<Item = Part<'a>>) {
        // the answer to the POST comes before the news that its packets have ended the session
        let ending = loop {
            let flow = match parts.next() {
                None => break None,
                Some(Part::Malformed) => break Some(Ending::ParseError),
                Some(Part::Binary(data)) => self.on_binary(id, data),
                Some(Part::Text(text)) => match self.judge_posted(id, text) {
                    Ok(flow) => flow,
                    Err(ending) => break Some(ending),
                },
            };
            self.metrics.packets_received.add(1);
            if flow == Flow::Stop {
                break None;
            }
        };
        if ending.is_some() || !self.owes_answer(id) {
            self.tell_posted(id);
        }
        if let Some(ending) = ending {
            self.end_session(id, ending);
        }
    }

    /// The packets of a POST have been read, and it may be answered.
    pub(super) fn tell_posted(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if let Some(polling) = connection.polling.as_mut() {
            polling.post.take_if(|post| *post == Waiter::JavaScript);
        }
        self.events.simple(Kind::PostDone, id);
    }

    /// A text packet of a POST, without ending the session.
    fn judge_posted(&mut self, id: ConnectionId, text: &str) -> Result<Flow, Ending> {
        let (kind, _) = packet::decode(text).ok_or(Ending::ParseError)?;
        match kind {
            Type::Ping if self.is_open(id) && !self.protocol(id).is_legacy() => {
                Err(Ending::HeartbeatDirection)
            }
            Type::Pong if self.is_open(id) && self.protocol(id).is_legacy() => {
                Err(Ending::HeartbeatDirection)
            }
            // also from a client that need not be waited for any more
            Type::Close => Err(Ending::TransportClose),
            _ => Ok(self.on_packet(id, text)),
        }
    }

    fn is_open(&mut self, id: ConnectionId) -> bool {
        self.connection(id).is_some_and(|connection| connection.session.is_open())
    }

    /// A GET of the client waits for an answer.
    pub(super) fn on_poll(&mut self, id: ConnectionId) {
        let Some(polling) = self.polling(id) else { return };
        match polling.waiter.replace(Waiter::JavaScript) {
            None | Some(Waiter::JavaScript) => self.serve_poll(id),
            #[cfg(unix)]
            before => {
                polling.waiter = before;
                self.events.simple(Kind::Overlap, id);
            }
        }
    }

    /// Answers the GET that has come, if there is something to answer it with.
    pub(super) fn serve_poll(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if let State::Closing { .. } = connection.session.state() {
            self.close_over_poll(id);
        } else {
            self.answer_poll(id);
            self.catch_up_check(id);
        }
    }

    /// Answers the GET that has come if there was none when one was to be answered.
    fn catch_up_check(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        let waits = connection.polling.as_ref().is_some_and(|polling| polling.is_writable());
        if waits && connection.session.take_missed_check() {
            self.send_packet(id, Type::Noop, &[]);
        }
    }
}

/// The status in the payload of a Close frame, which may have none (RFC 6455 section 5.5.1).
fn status_in(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|status| u16::from_be_bytes(*status))
}
