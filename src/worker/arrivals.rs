//! Connections that Node has accepted, and from which it has not read.
//!
//! One that begins with an ordinary request for a new session is shown to JavaScript, which admits it: Node's HTTP parser,
//! and all the objects that come with it, have no part in it. The further requests of a session that began like this are
//! answered here as well. Any other is released, and Node goes on with the connection as if nothing had happened before:
//! a request is taken from the connection's bytes when it is answered, or its session has it; until then, they are only
//! looked at.
//!
//! ```text
//!              an upgrade, or a GET for a new session
//!   Looking ─────────────────────────────────────────▶ Announced ── ADMIT: a WebSocket ──▶ (websockets)
//!    ▲ │ └── a GET of a session ──▶ Waiting ◀── ADMIT: a session that polls ──┘ └── DECLINE ──▶ (Node's)
//!    │ └── anything else ──▶ (Node's)  │ └── the client says more, or hangs up ──▶ (Node's)
//!    └───── written ◀── Writing ◀──────┘ the answer
//!
//!   Looking ── an upgrade, or a GET for a new session, for which there is no room ──▶ Writing ──▶ (closed)
//!
//!   Looking ── a POST of a session ──▶ Receiving ── all of it ──▶ Posting ── POSTED ──▶ Writing
//! ```
//!
//! Where the application sees the requests of sessions, they are announced too:
//!
//! ```text
//!   Looking ── a GET of a session, or all of a POST ──▶ Shown ── PASS ──▶ Waiting, or Posting
//!                                                         └── DECLINE, or the client says more ──▶ (JavaScript's)
//! ```
//!
//! What the application has seen goes on in JavaScript, with the objects that it was shown, if it is not answered here.
//!
//! Connections of servers that speak TLS have two stages more before that: see `hello.rs`.
//!
//! A connection of which Node has answered requests may come back, to wait for its next one here: Node keeps its socket and
//! its parser for what is to be Node's after all, and leaves the descriptor alone until then.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::AbortHandle;

use super::answer::{Answer, Progress};
use super::deadlines::Holder;
use super::event::{Announcement, Method, Past, Refusal};
use super::gate::{self, Place, Quota};
use super::hello::Security;
use super::recovery::{take_turn, Subject};
use super::road::{Form, Terms};
use super::wire::{Layer, Wire};
use super::{Shared, Worker};
use crate::panics::panic_point;
use crate::protocol::engine_io::packet::Handshake;
use crate::protocol::engine_io::Protocol;
use crate::protocol::error::Ending;
use crate::protocol::http::coding::{Accepted, Encoder};
use crate::protocol::http::request::{self, PollRequest, Reading, UpgradeRequest};
use crate::protocol::http::response::{answer, bare_answer, refusal, Body, Then};
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::polling::{Polling, Traveller, Waiter};

/// How long a connection may say nothing, or not enough, before Node's own time limits begin to count.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a handshake may have for us to know how it is answered before there is one.
const LONGEST_HANDSHAKE: usize = 512;

/// How far a connection has come when it is handed over.
pub enum Beginning {
    /// Nothing has been read from it.
    Fresh,
    /// Node has answered requests of it, and has a socket and a parser for it.
    Kept,
    /// Nothing has been read from it, and a TLS handshake is to come.
    Secure(Arc<Security>),
    /// There is a TLS session over it.
    Secured(Box<Layer>),
}

/// A connection that has been accepted.
pub(super) struct Arrival {
    pub(super) fd: Rc<Wire>,
    /// The task that waits for its bytes, or for room for ours.
    task: Option<AbortHandle>,
    /// The task that writes our part of a handshake, if there was no room for it.
    pub(super) flight: Option<AbortHandle>,
    pub(super) stage: Stage,
    /// When its client has been silent for too long.
    due: Option<Instant>,
    /// How many requests of it have been answered.
    served: u8,
    /// Whether Node has answered requests of it, and has a socket and a parser for it.
    is_kept: bool,
    /// Whether it has failed: its client has reset it.
    is_cut: bool,
    /// Whether JavaScript has been told of the request that is next in its bytes.
    is_announced: bool,
    /// Kept for the session that it asks for, until JavaScript has claimed it.
    place: Option<Place>,
}

pub(super) enum Stage {
    /// What the client offers for a TLS session is waited for.
    Hello(Arc<Security>),
    /// The handshake of one is under way.
    Shaking,
    /// The next request is waited for.
    Looking,
    /// JavaScript has been told of an upgrade request, which takes so many bytes; and the answer to it, but for its end.
    Upgrade { length: usize, response: String },
    /// JavaScript has been told of a GET for a new session.
    Opening(Get),
    /// JavaScript has been told of the question of a browser, whether it may send a request.
    Preflight(Get),
    /// JavaScript shows the application a GET of this session, or a POST with a head of so many bytes.
    Shown { owner: ConnectionId, get: Get, head: Option<usize> },
    /// A GET waits for an answer.
    Waiting { owner: ConnectionId, get: Get, headers: Headers },
    /// A POST of this session has begun to arrive; none of it has been taken.
    Receiving { owner: ConnectionId },
    /// The packets of a POST are being read by JavaScript.
    Posting { owner: ConnectionId, reply: Reply },
    /// The rest of an answer waits for room, or for its turn.
    Writing { rest: Answer, then: Then },
}

/// What the application has to add to an answer, lines with their ends; `None`: it does not see the request, and the
/// answer has what all those of its session have.
pub(super) type Headers = Option<Box<str>>;

/// How a POST is answered.
pub(super) struct Reply {
    headers: Headers,
    then: Then,
}

/// A GET, or a POST that is shown, whose bytes have not been taken.
#[derive(Clone, Copy)]
pub(super) struct Get {
    length: usize,
    accepted: Accepted,
    keeps_alive: bool,
}

impl From<&PollRequest<'_>> for Get {
    fn from(poll: &PollRequest<'_>) -> Get {
        Get {
            length: poll.head + poll.body.unwrap_or(0),
            accepted: poll.accepted,
            keeps_alive: poll.keeps_alive,
        }
    }
}

impl Get {
    /// Whether the answer to it, if it opens a session, is none that takes Node.
    fn can_open(self, terms: &Terms) -> bool {
        terms.form(self.accepted, LONGEST_HANDSHAKE) != Form::Nodes
    }
}

/// A POST whose session has ended.
pub(super) struct Orphan {
    owner: ConnectionId,
    stream: StreamId,
    cors: Box<str>,
}

impl Arrival {
    /// Whether a request of it has been answered: Node has nothing to say of its end.
    fn is_served(&self) -> bool {
        self.served > 0
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        for task in [self.task.take(), self.flight.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

/// The task that waits for the bytes of a connection.
async fn wait(shared: Shared, id: StreamId, fd: Rc<Wire>) {
    // whoever had the connection before may have read ahead
    while fd.has_unread() {
        let end = End { is_over: false, is_cut: false };
        match take_turn(&shared, |worker| worker.look_turn(id, &fd, end)) {
            Some(Look::Repeat) => {}
            Some(Look::Again) => break,
            Some(Look::Later) => wait_for_javascript(&shared).await,
            Some(Look::Done) | None => return,
        }
    }
    loop {
        let Ok(mut ready) = fd.readable().await else { return };
        let end = End {
            is_over: ready.ready().is_read_closed() || fd.is_ended(),
            is_cut: ready.ready().is_error(),
        };
        match take_turn(&shared, |worker| worker.look_turn(id, &fd, end)) {
            Some(Look::Repeat) => {}
            Some(Look::Again) => ready.clear_ready(),
            Some(Look::Later) => wait_for_javascript(&shared).await,
            Some(Look::Done) | None => return,
        }
    }
}

/// Waits until JavaScript has caught up.
async fn wait_for_javascript(shared: &Shared) {
    let resume = shared.borrow().signals.resume.clone();
    resume.notified().await;
}

/// The task that writes what there was no room for, or no time.
async fn write(shared: Shared, id: StreamId, fd: Rc<Wire>) {
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        match take_turn(&shared, |worker| worker.write_on_turn(id, &fd)) {
            Some(Progress::NoRoom) => ready.clear_ready(),
            Some(Progress::Spent) => tokio::task::yield_now().await,
            Some(Progress::Done) | None => return,
        }
    }
}

/// What is known of the end of a connection.
#[derive(Clone, Copy)]
struct End {
    /// Nothing more will come.
    is_over: bool,
    /// It has failed.
    is_cut: bool,
}

/// Whether the bytes of a connection are to be looked at again.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// At once.
    Repeat,
    /// When there are more.
    Again,
    /// When JavaScript has caught up.
    Later,
    /// Not by this task.
    Done,
}

impl Worker {
    /// Node has accepted a connection.
    pub(super) fn receive(&mut self, id: StreamId, fd: OwnedFd, beginning: Beginning) {
        let is_kept = matches!(beginning, Beginning::Kept);
        let is_spoilt = matches!(beginning, Beginning::Secured(_));
        let (stage, layer) = match beginning {
            Beginning::Fresh | Beginning::Kept => (Stage::Looking, None),
            Beginning::Secure(security) => (Stage::Hello(security), None),
            Beginning::Secured(layer) => (Stage::Looking, Some(layer)),
        };
        let Ok(fd) = Wire::register(fd, layer) else { return self.refuse_arrival(id, is_spoilt) };
        let arrival = Arrival {
            fd: Rc::new(fd),
            task: None,
            flight: None,
            stage,
            due: None,
            served: 0,
            is_kept,
            is_cut: false,
            is_announced: false,
            place: None,
        };
        self.arrivals.insert(id, arrival);
        let kept_for = self.road.terms().filter(|_| is_kept).map(|terms| terms.keep_alive);
        self.await_request(id, kept_for.unwrap_or(PATIENCE));
        self.watch_arrival(id);
    }

    /// A session is established over it: requests may come.
    pub(super) fn begin_looking(&mut self, id: StreamId) {
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.stage = Stage::Looking;
            self.await_request(id, PATIENCE);
        }
    }

    pub(super) fn await_request(&mut self, id: StreamId, patience: Duration) {
        let due = self.now + patience;
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.due = Some(due);
            self.deadlines.arm(Holder::Stream(id), due);
        }
    }

    /// Starts the task that looks at what a connection says.
    fn watch_arrival(&mut self, id: StreamId) {
        let Some(this) = self.this.upgrade() else { return };
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            let task = tokio::task::spawn_local(wait(this, id, arrival.fd.clone()));
            if let Some(before) = arrival.task.replace(task.abort_handle()) {
                before.abort();
            }
        }
    }

    /// There is something to look at.
    fn look_turn(&mut self, id: StreamId, fd: &Wire, end: End) -> Look {
        panic_point!("looking");
        self.now = Instant::now();
        let look = self.contained(Subject::Stream(id), |worker| worker.look_at(id, fd, end));
        self.finish_read_turn();
        look.unwrap_or(Look::Done)
    }

    fn look_at(&mut self, id: StreamId, fd: &Wire, End { is_over, is_cut }: End) -> Look {
        panic_point!("look");
        let Some(arrival) = self.arrivals.get_mut(&id) else { return Look::Done };
        arrival.is_cut = is_cut;
        match arrival.stage {
            Stage::Looking | Stage::Receiving { .. } => {}
            Stage::Hello(_) if is_over => return self.look_elsewhere(id),
            Stage::Hello(ref security) => {
                let security = security.clone();
                return self.look_at_hello(id, fd, &security);
            }
            Stage::Shaking => return self.shake_hands(id, fd),
            // it waits, or somebody makes up their mind about it, who is to know when the client hangs up; the bytes of
            // the request are still there, so this may be about nothing new
            Stage::Waiting { get: Get { length, .. }, .. }
            | Stage::Upgrade { length, .. }
            | Stage::Opening(Get { length, .. })
            | Stage::Preflight(Get { length, .. })
            | Stage::Shown { get: Get { length, .. }, .. } => {
                if is_over || !has_only(fd, length, &mut self.read_buffer) {
                    self.release(id);
                    return Look::Done;
                }
                return Look::Again;
            }
            // what comes meanwhile is looked at when that is done
            Stage::Posting { .. } => {
                arrival.task = None;
                return Look::Done;
            }
            // the task of this stage is another one
            Stage::Writing { .. } => return Look::Done,
        }
        if is_over {
            if arrival.is_served()
                && !is_cut
                && !arrival.is_kept
                && !matches!(fd.peek(&mut self.read_buffer[..1]), Ok(1))
            {
                self.hang_up(id);
            } else {
                // what to say of it is Node's business, and looking would take away the error that it is to find
                self.release(id);
            }
            return Look::Done;
        }
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let look = match fd.peek(&mut buffer) {
            Ok(0) => self.look_elsewhere(id),
            Ok(length) => self.look_at_request(id, fd, &mut buffer, length),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Look::Again
            }
            Err(_) => self.look_elsewhere(id),
        };
        self.read_buffer = buffer;
        look
    }

    pub(super) fn look_elsewhere(&mut self, id: StreamId) -> Look {
        self.release(id);
        Look::Done
    }

    /// Waits for the rest of a request, but not for long: a client that is slow is Node's.
    pub(super) fn look_again(&mut self, id: StreamId) -> Look {
        let latest = self.now + PATIENCE;
        if self.arrivals.get(&id).is_some_and(|it| it.due.is_none_or(|due| due > latest)) {
            self.await_request(id, PATIENCE);
        }
        Look::Again
    }

    fn look_at_request(&mut self, id: StreamId, fd: &Wire, buffer: &mut [u8], length: usize) -> Look {
        let read = if self.options.is_raw { request::read_raw } else { request::read };
        let poll = match read(&buffer[..length]) {
            Reading::Incomplete => return self.look_again(id),
            Reading::Other => return self.look_elsewhere(id),
            Reading::Upgrade(request) => return self.on_upgrade_request(id, fd, request),
            Reading::Preflight(poll) => return self.on_preflight(id, fd, &poll, length),
            Reading::Poll(poll) => poll,
        };
        let Some(terms) = self.road.terms().filter(|terms| terms.path == poll.path) else {
            return self.look_elsewhere(id);
        };
        let whole = poll.head + poll.body.unwrap_or(0);
        if length > whole || whole >= buffer.len() || poll.body.is_some_and(|body| body > terms.max_body) {
            return self.look_elsewhere(id);
        }
        let get = Get::from(&poll);
        let Some(sid) = poll.sid else {
            return if poll.body.is_none() {
                self.on_opening(id, fd, &poll, get, &terms)
            } else {
                self.look_elsewhere(id)
            };
        };
        let Some(owner) = self.road.find(sid) else { return self.look_elsewhere(id) };
        if !self.connections.is_ours(owner) {
            self.move_arrival(id, owner);
            return Look::Done;
        }
        let is_alike = |polling: &mut Polling| match &polling.traveller {
            Some(traveller) => terms.shows || !terms.has_cors || traveller.origin.as_deref() == poll.origin,
            None => false,
        };
        if !self.polling(owner).is_some_and(is_alike) {
            return self.look_elsewhere(id);
        }
        if terms.shows {
            return if length < whole {
                self.look_again(id)
            } else if self.events.is_full() {
                Look::Later
            } else {
                let stage = Stage::Shown { owner, get, head: poll.body.map(|_| poll.head) };
                let method = if poll.body.is_some() { Method::Post } else { Method::Get };
                self.announce(
                    id,
                    fd,
                    &poll.lines(),
                    Announcement { method, ..Announcement::default() },
                    stage,
                )
            };
        }
        match poll.body {
            None => self.on_get(id, owner, get, None),
            Some(_) => {
                let (head, is_whole) = (poll.head, length == whole);
                if !self.begin_post(id, owner) {
                    return Look::Done;
                }
                if !is_whole {
                    return self.look_again(id);
                }
                if self.events.is_full() {
                    return Look::Later;
                }
                let reply = Reply { headers: None, then: poll_then(&terms, get) };
                self.on_whole_post(id, fd, owner, &mut buffer[..whole], head, reply)
            }
        }
    }

    /// Shows JavaScript an upgrade request.
    fn on_upgrade_request(&mut self, id: StreamId, fd: &Wire, request: UpgradeRequest) -> Look {
        if self.arrivals.get(&id).is_some_and(|arrival| arrival.is_kept) {
            // Node has a parser to take off its socket
            return self.look_elsewhere(id);
        }
        if let Some(sid) = &request.sid {
            match self.road.find(sid) {
                Some(owner) if self.connections.is_ours(owner) => {}
                Some(owner) => {
                    self.move_arrival(id, owner);
                    return Look::Done;
                }
                None => return self.look_elsewhere(id),
            }
        } else if !request.is_odd {
            let answer = |terms: &gate::Terms| Some(terms.websocket.clone().into_bytes());
            if !self.let_in(id, fd, &request.lines, request.length, answer) {
                return Look::Done;
            }
        }
        let stage = Stage::Upgrade { length: request.length, response: request.response };
        let announcement =
            Announcement { offers_extensions: request.offers_extensions, ..Announcement::default() };
        self.announce(id, fd, &request.lines, announcement, stage)
    }

    /// Shows JavaScript a GET for a new session.
    fn on_opening(
        &mut self,
        id: StreamId,
        fd: &Wire,
        poll: &PollRequest<'_>,
        get: Get,
        terms: &Terms,
    ) -> Look {
        let lines = poll.lines();
        let answer =
            |terms: &gate::Terms| terms.polling.as_ref().map(|it| refusal(&it.head, &it.body, unix_now()));
        if !self.let_in(id, fd, &lines, get.length, answer) {
            return Look::Done;
        }
        if !get.can_open(terms) {
            return self.look_elsewhere(id);
        }
        self.announce(id, fd, &lines, Announcement::default(), Stage::Opening(get))
    }

    /// Keeps a place for who asks for a new session, or refuses it if there is none. Both only where the application could not
    /// tell the difference; otherwise it is JavaScript that lets it in. `lines`: what the request consists of; `length`: the
    /// bytes that it takes; `answer`: the one that refuses it. `false`: it is refused.
    fn let_in(
        &mut self,
        id: StreamId,
        fd: &Wire,
        lines: &str,
        length: usize,
        answer: impl FnOnce(&gate::Terms) -> Option<Vec<u8>>,
    ) -> bool {
        let Some(gate) = self.road.gate() else { return true };
        let (Some(terms), Some((peer, _))) = (gate.terms(), fd.addresses()) else { return true };
        let target = lines.rsplit('\n').next().unwrap_or_default();
        let (true, Some(answer)) = (target.starts_with(&terms.path), answer(&terms)) else { return true };
        let address = gate.address_behind(&peer.ip().to_string(), lines);
        let Some(arrival) = self.arrivals.get_mut(&id) else { return true };
        // one that it was kept before is nobody's by now
        arrival.place = None;
        match Place::keep(&self.road, id, &address) {
            Ok(place) => {
                arrival.place = Some(place);
                true
            }
            Err(quota) => {
                self.refuse_session(id, fd, length, quota, answer);
                false
            }
        }
    }

    /// Answers a request of so many bytes with what refuses it.
    fn refuse_session(&mut self, id: StreamId, fd: &Wire, length: usize, quota: Quota, answer: Vec<u8>) {
        panic_point!("refuse session");
        if fd.skip(length, &mut [0; 1024]).is_err() {
            return self.hang_up(id);
        }
        if let Some(gate) = self.road.gate() {
            gate.count_refused(quota, fd.facts().is_some());
        }
        // with bytes that nobody has read, its client would be told of a failure
        let _ = fd.read(&mut [0; 1024]);
        self.write_answer(id, Answer::whole(answer), Then::Close);
    }

    /// A browser asks whether it may send a request. What the option `cors` says to that is the answer, whatever the request
    /// is about.
    fn on_preflight(&mut self, id: StreamId, fd: &Wire, poll: &PollRequest<'_>, length: usize) -> Look {
        let terms = self.road.terms();
        let is_ours = terms.is_some_and(|it| it.path == poll.path && it.has_cors && !it.shows);
        if !is_ours || length > poll.head {
            return self.look_elsewhere(id);
        }
        let announcement = Announcement { method: Method::Options, ..Announcement::default() };
        self.announce(id, fd, &poll.lines(), announcement, Stage::Preflight(Get::from(poll)))
    }

    fn announce(
        &mut self,
        id: StreamId,
        fd: &Wire,
        lines: &str,
        announcement: Announcement,
        stage: Stage,
    ) -> Look {
        let (Some(arrival), Some((peer, local))) = (self.arrivals.get_mut(&id), fd.addresses()) else {
            return self.look_elsewhere(id);
        };
        arrival.stage = stage;
        arrival.due = None;
        arrival.task = None;
        arrival.is_announced = true;
        let announcement = Announcement { facts: fd.facts(), ..announcement };
        self.events.arrived(id, peer, local, lines, announcement);
        Look::Done
    }

    /// The session that a request names is another worker's: JavaScript has the connection go there.
    fn move_arrival(&mut self, id: StreamId, owner: ConnectionId) {
        if let Some(arrival) = self.take_arrival(id) {
            self.events.elsewhere(id, owner, arrival.fd.take_layer());
        }
    }

    /// Takes an arrival, with its deadline.
    pub(super) fn take_arrival(&mut self, id: StreamId) -> Option<Arrival> {
        self.deadlines.cancel(Holder::Stream(id));
        self.arrivals.remove(&id)
    }

    /// A GET of a session.
    fn on_get(&mut self, id: StreamId, owner: ConnectionId, get: Get, headers: Headers) -> Look {
        let Some(polling) = self.polling(owner).filter(|polling| polling.waiter.is_none()) else {
            // what is wrong is said by JavaScript
            return self.look_elsewhere(id);
        };
        polling.waiter = Some(Waiter::Stream(id));
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.stage = Stage::Waiting { owner, get, headers };
            arrival.due = None;
        }
        self.serve_poll(owner);
        // it has been answered, or waits; or it is gone
        Look::Again
    }

    /// A POST of a session. `false`: there is another one, and it is Node's.
    fn begin_post(&mut self, id: StreamId, owner: ConnectionId) -> bool {
        let this = Waiter::Stream(id);
        match self.polling(owner).map(|polling| *polling.post.get_or_insert(this)) {
            Some(post) if post == this => {
                if let Some(arrival) = self.arrivals.get_mut(&id) {
                    arrival.stage = Stage::Receiving { owner };
                }
                return true;
            }
            // what is wrong is said by JavaScript, which has to see the other one first
            Some(Waiter::Stream(other)) if self.is_receiving(other) => self.release(other),
            _ => {}
        }
        self.release(id);
        false
    }

    /// Whether a POST has begun to arrive.
    pub(super) fn is_receiving(&self, id: StreamId) -> bool {
        matches!(self.arrivals.get(&id), Some(Arrival { stage: Stage::Receiving { .. }, .. }))
    }

    /// The session of a POST has ended. It is answered when JavaScript has heard of that: the next request of the client must
    /// not find the session alive.
    pub(super) fn leave_post(&mut self, owner: ConnectionId, polling: Polling) {
        if let Some(Waiter::Stream(stream)) = polling.post {
            self.cut_post(stream);
            if self.arrivals.contains_key(&stream) {
                let cors = polling.traveller.map(|traveller| traveller.cors).unwrap_or_default();
                self.orphans.push(Orphan { owner, stream, cors });
            }
        }
    }

    /// JavaScript has heard of the end of a session.
    pub(super) fn answer_orphan(&mut self, owner: ConnectionId) {
        if let Some(place) = self.orphans.iter().position(|orphan| orphan.owner == owner) {
            let Orphan { stream, cors, .. } = self.orphans.swap_remove(place);
            self.confirm_post(stream, &cors);
        }
    }

    /// A POST that has not arrived as a whole is of no use any more.
    pub(super) fn cut_post(&mut self, id: StreamId) {
        if self.is_receiving(id) {
            self.hang_up(id);
        }
    }

    /// A POST of a session, all of which is there.
    fn on_whole_post(
        &mut self,
        id: StreamId,
        fd: &Wire,
        owner: ConnectionId,
        buffer: &mut [u8],
        head: usize,
        reply: Reply,
    ) -> Look {
        if std::str::from_utf8(&buffer[head..]).is_err() {
            return self.look_elsewhere(id);
        }
        // the same bytes again
        if !matches!(fd.read(buffer), Ok(got) if got.length == buffer.len()) {
            self.hang_up(id);
            return Look::Done;
        }
        let Ok(body) = std::str::from_utf8(&buffer[head..]) else { return Look::Done };
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.stage = Stage::Posting { owner, reply };
            arrival.due = None;
            arrival.is_announced = false;
        }
        self.on_post(owner, body);
        Look::Again
    }

    /// The packets of a POST have been handled, or its session polls no more.
    pub(super) fn confirm_post(&mut self, id: StreamId, cors: &str) {
        self.cut_post(id);
        let stage = self.arrivals.get_mut(&id).map(|arrival| &mut arrival.stage);
        if let Some(Stage::Posting { reply: Reply { headers, then }, .. }) = stage {
            let (headers, then) = (headers.take(), *then);
            let first = headers.as_deref().unwrap_or(cors);
            self.write_answer(id, Answer::whole(answer(first, Body::Ok, "", unix_now(), then)), then);
        }
    }

    /// Whether a payload can be the answer to the GET that waits on a stream, which is to be Node's otherwise.
    pub(super) fn can_answer(&self, id: StreamId, length: usize, compress: bool) -> bool {
        let Some(Stage::Waiting { get, .. }) = self.arrivals.get(&id).map(|arrival| &arrival.stage) else {
            return false;
        };
        let Some(terms) = self.road.terms() else { return false };
        !compress || terms.form(get.accepted, length) != Form::Nodes
    }

    /// Answers the GET that waits on a stream. `cors`, `last`: headers, lines with their ends. `compress`: whether the
    /// application allows that.
    pub(super) fn answer_on_road(
        &mut self,
        id: StreamId,
        cors: &str,
        last: &str,
        payload: String,
        compress: bool,
    ) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Waiting { get, headers, .. } = &mut arrival.stage else { return };
        let (get, headers) = (*get, headers.take());
        arrival.stage = Stage::Looking;
        arrival.is_announced = false;
        let fd = arrival.fd.clone();
        let (then, form) = match self.road.terms() {
            Some(terms) if compress => (poll_then(&terms, get), terms.form(get.accepted, payload.len())),
            Some(terms) => (poll_then(&terms, get), Form::Plain),
            None => (Then::Close, Form::Plain),
        };
        if fd.skip(get.length, &mut [0; 1024]).is_err() {
            return self.hang_up(id);
        }
        let first = headers.as_deref().unwrap_or(cors);
        let head = |body| answer(first, body, last, unix_now(), then);
        let answer = match form {
            Form::Encoded(coding, level) => {
                let body = Encoder::new(coding, level, payload);
                Answer::encoded(head(Body::Encoded(coding)), body, &mut self.work)
            }
            Form::Plain | Form::Nodes => Answer::whole(head(Body::Payload(&payload))),
        };
        self.write_answer(id, answer, then);
    }

    fn write_answer(&mut self, id: StreamId, mut answer: Answer, then: Then) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let fd = arrival.fd.clone();
        match answer.write(&fd, &mut self.work) {
            Ok(Progress::Done) => self.on_answered(id, then),
            Ok(Progress::NoRoom | Progress::Spent) => {
                arrival.stage = Stage::Writing { rest: answer, then };
                arrival.due = None;
                let Some(this) = self.this.upgrade() else { return };
                let task = tokio::task::spawn_local(write(this, id, fd));
                if let Some(before) = arrival.task.replace(task.abort_handle()) {
                    before.abort();
                }
            }
            Err(_) => self.hang_up(id),
        }
    }

    /// There is room again, or time.
    fn write_on_turn(&mut self, id: StreamId, fd: &Wire) -> Progress {
        self.now = Instant::now();
        self.work.begin();
        let progress = self.contained(Subject::Stream(id), |worker| worker.write_on(id, fd));
        self.finish_turn();
        progress.unwrap_or(Progress::Done)
    }

    fn write_on(&mut self, id: StreamId, fd: &Wire) -> Progress {
        let Some(Arrival { stage: Stage::Writing { rest, then }, .. }) = self.arrivals.get_mut(&id) else {
            return Progress::Done;
        };
        let then = *then;
        match rest.write(fd, &mut self.work) {
            Ok(Progress::Done) => {
                self.on_answered(id, then);
                self.watch_arrival(id);
                Progress::Done
            }
            Ok(progress) => progress,
            Err(_) => {
                self.hang_up(id);
                Progress::Done
            }
        }
    }

    /// An answer has been written.
    fn on_answered(&mut self, id: StreamId, then: Then) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        arrival.served = arrival.served.saturating_add(1);
        arrival.stage = Stage::Looking;
        let is_watched = arrival.task.is_some();
        match (then, self.road.terms()) {
            (Then::KeepAlive(_), Some(terms)) => {
                self.await_request(id, terms.keep_alive);
                if !is_watched {
                    self.watch_arrival(id);
                }
            }
            (Then::KeepAlive(_), None) => self.release(id),
            (Then::Close, _) => self.hang_up(id),
        }
    }

    /// It is over; JavaScript closes Node's descriptor as well.
    fn hang_up(&mut self, id: StreamId) {
        if let Some(arrival) = self.take_arrival(id) {
            arrival.fd.finish();
            self.forget_waiter(id, &arrival);
            self.events.hung_up(id, None);
        }
    }

    /// What waits on a stream waits no more.
    fn forget_waiter(&mut self, id: StreamId, arrival: &Arrival) {
        let (Stage::Waiting { owner, .. } | Stage::Receiving { owner } | Stage::Posting { owner, .. }) =
            arrival.stage
        else {
            return;
        };
        self.orphans.retain(|orphan| orphan.stream != id);
        if let Some(polling) = self.polling(owner) {
            for request in [&mut polling.waiter, &mut polling.post] {
                request.take_if(|waiter| *waiter == Waiter::Stream(id));
            }
        }
    }

    /// Takes an arrival off the books.
    pub(super) fn drop_arrival(&mut self, id: StreamId) -> Option<Past> {
        let arrival = self.arrivals.remove(&id)?;
        self.forget_waiter(id, &arrival);
        let layer = arrival.fd.take_layer();
        Some(Past {
            is_unanswered: arrival.is_announced,
            served: arrival.served,
            is_cut: arrival.is_cut,
            // nobody can go on in the middle of a handshake
            is_spoilt: layer.is_some() && matches!(arrival.stage, Stage::Shaking),
            layer,
        })
    }

    /// It is to be Node's.
    pub(super) fn release(&mut self, id: StreamId) {
        if self.arrivals.contains_key(&id) {
            self.drop_stream(id);
        }
    }

    /// JavaScript closes it. `if_idle`: only if nothing is under way.
    pub(super) fn close_arrival(&mut self, id: StreamId, if_idle: bool) {
        let Some(arrival) = self.arrivals.get(&id) else { return };
        match arrival.stage {
            Stage::Looking if if_idle => {
                if arrival.is_served() || arrival.is_kept {
                    self.hang_up(id);
                }
            }
            _ if if_idle => {}
            Stage::Waiting { owner, .. } => {
                self.discard_input(id);
                self.release(id);
                self.end_session(owner, Ending::PollCut);
            }
            Stage::Receiving { owner } => {
                self.discard_input(id);
                self.release(id);
                self.end_session(owner, Ending::PostCut);
            }
            Stage::Upgrade { .. } | Stage::Opening(_) | Stage::Preflight(_) | Stage::Shown { .. } => {
                self.discard_input(id);
                self.release(id);
            }
            _ => self.release(id),
        }
    }

    /// A connection is about to be closed: with bytes that nobody has read, its client would be told of a failure.
    fn discard_input(&mut self, id: StreamId) {
        if let Some(arrival) = self.arrivals.get(&id) {
            let _ = arrival.fd.clone().read(&mut self.read_buffer);
        }
    }

    /// The application takes its time over a request that it was shown: the end of the connection is to be told.
    pub(super) fn watch_shown(&mut self, id: StreamId) {
        let stage = self.arrivals.get(&id).map(|arrival| &arrival.stage);
        if let Some(Stage::Upgrade { .. } | Stage::Opening(_) | Stage::Shown { .. }) = stage {
            self.watch_arrival(id);
        }
    }

    /// The application has seen a request of a session, and lets it pass. `headers`: what it adds to the answer, lines with
    /// their ends.
    pub(super) fn pass(&mut self, id: StreamId, headers: &str) {
        let Some(Arrival { stage: Stage::Shown { owner, get, head }, fd, .. }) = self.arrivals.get(&id)
        else {
            return;
        };
        let (owner, get, head, fd) = (*owner, *get, *head, fd.clone());
        let Some(terms) = self.road.terms() else { return self.release(id) };
        let headers = Some(headers.into());
        match head {
            None => {
                self.on_get(id, owner, get, headers);
            }
            Some(head) => {
                let mut buffer = std::mem::take(&mut self.read_buffer);
                match fd.peek(&mut buffer[..get.length]) {
                    Ok(length) if length == get.length => {
                        if self.begin_post(id, owner) {
                            let reply = Reply { headers, then: poll_then(&terms, get) };
                            self.on_whole_post(id, &fd, owner, &mut buffer[..get.length], head, reply);
                        }
                    }
                    _ => self.release(id),
                }
                self.read_buffer = buffer;
            }
        }
        if self.arrivals.get(&id).is_some_and(|arrival| arrival.task.is_none()) {
            self.watch_arrival(id);
        }
    }

    /// What the option `cors` says to a preflight. `head`: the status line and headers, with their ends.
    pub(super) fn answer_preflight(&mut self, id: StreamId, head: &str) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Preflight(get) = arrival.stage else { return };
        let fd = arrival.fd.clone();
        let Some(terms) = self.road.terms() else { return self.release(id) };
        arrival.stage = Stage::Looking;
        arrival.is_announced = false;
        if fd.skip(get.length, &mut [0; 1024]).is_err() {
            return self.hang_up(id);
        }
        let then = poll_then(&terms, get);
        self.write_answer(id, Answer::whole(bare_answer(head, unix_now(), then)), then);
    }

    /// It has been silent for too long, perhaps.
    pub(super) fn on_arrival_due(&mut self, id: StreamId) {
        let Some(arrival) = self.arrivals.get(&id) else { return };
        let Some(due) = arrival.due else { return };
        if due > self.now {
            self.deadlines.arm(Holder::Stream(id), due);
            return;
        }
        if matches!(arrival.stage, Stage::Shaking) {
            return self.refuse_hello(id, Refusal::TooSlow(arrival.fd.is_1_3()));
        }
        let has_begun = matches!(arrival.fd.clone().peek(&mut self.read_buffer[..1]), Ok(1));
        if (arrival.is_served() || arrival.is_kept) && !has_begun {
            self.hang_up(id);
        } else {
            self.release(id);
        }
    }

    /// JavaScript has made a session of it, or made it the WebSocket of one that polls.
    pub(super) fn admit(
        &mut self,
        id: StreamId,
        connection: ConnectionId,
        protocol: Protocol,
        sid: &str,
        headers: &str,
    ) {
        let is_new = protocol == Protocol::Raw || !sid.is_empty();
        let arrival = self.arrivals.remove(&id);
        self.deadlines.cancel(Holder::Stream(id));
        let request = arrival.map(|mut it| (it.fd.clone(), std::mem::replace(&mut it.stage, Stage::Looking)));
        let Some((fd, Stage::Upgrade { length, response })) = request else {
            // this worker has failed, and started afresh, since it was announced
            if is_new {
                self.refuse_connection(connection);
            } else {
                self.abort_upgrade(connection, id);
            }
            return;
        };
        fd.send_without_delay();
        let is_whole = fd.skip(length, &mut self.read_buffer).is_ok();
        let response = [&response, headers, "\r\n\r\n"].concat();
        if !is_new {
            self.upgrade_admitted(connection, protocol, id, fd, &response);
        } else if protocol == Protocol::Raw {
            self.open_admitted(connection, protocol, id, fd, &response, "");
        } else {
            let handshake = Handshake { sid, upgrades: &[], limits: &self.options.limits }.encode();
            self.open_admitted(connection, protocol, id, fd, &response, &handshake);
        }
        if !is_whole {
            self.on_end_of_stream(id);
        }
    }

    /// JavaScript has made a session that polls of a GET.
    pub(super) fn admit_polling(&mut self, id: StreamId, connection: ConnectionId, text: &str) {
        let Some(Arrival { stage: stage @ Stage::Opening(_), fd, place, .. }) = self.arrivals.get_mut(&id)
        else {
            return self.refuse_connection(connection);
        };
        let Stage::Opening(get) = *stage else { return };
        *stage = Stage::Waiting { owner: connection, get, headers: None };
        *place = None;
        fd.send_without_delay();
        let Opening { sid, origin, upgrades, cookie, first, cors } = Opening::parse(text);
        let traveller = Traveller { sid: sid.into(), origin: origin.map(Into::into), cors: cors.into() };
        self.road.enter(sid, connection);
        let upgrades: Vec<String> =
            upgrades.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let handshake = Handshake { sid, upgrades: &upgrades, limits: &self.options.limits }.encode();
        let mut polling = Polling::default();
        polling.traveller = Some(Box::new(traveller));
        self.open_travelling(connection, polling);
        self.answer_on_road(id, first, cookie, handshake, true);
    }
}

/// What JavaScript has to say of a new session that polls: lines, see `parse`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Opening<'a> {
    sid: &'a str,
    /// Where the page that polls comes from; an empty line if the client has not said so.
    origin: Option<&'a str>,
    /// The transports that the client may upgrade to, with commas in between.
    upgrades: &'a str,
    /// Headers at the end of the first answer, lines with their ends.
    cookie: &'a str,
    /// Headers at its beginning, alike.
    first: &'a str,
    /// Headers at the beginning of all further answers of which the application does not see the requests, alike.
    cors: &'a str,
}

impl Opening<'_> {
    /// The id, the origin, the transports, how many bytes the cookie and the first headers take, on lines of theirs; then
    /// the three kinds of headers.
    fn parse(text: &str) -> Opening<'_> {
        let mut lines = text.splitn(6, '\n');
        let mut next = || lines.next().unwrap_or_default();
        let (sid, origin, upgrades) = (next(), next(), next());
        let (cookie, first) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0));
        let (cookie, rest) = next().split_at_checked(cookie).unwrap_or_default();
        let (first, cors) = rest.split_at_checked(first).unwrap_or_default();
        Opening { sid, origin: Some(origin).filter(|it| !it.is_empty()), upgrades, cookie, first, cors }
    }
}

fn poll_then(terms: &Terms, get: Get) -> Then {
    if get.keeps_alive {
        Then::KeepAlive(terms.announced)
    } else {
        Then::Close
    }
}

/// Whether a request of so many bytes is all that a client has said.
fn has_only(fd: &Wire, length: usize, buffer: &mut [u8]) -> bool {
    matches!(fd.peek(&mut buffer[..=length]), Ok(there) if there == length)
}

/// Seconds since the beginning of 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_new_session_is_taken_apart() {
        let text = "sid\nhttp://here\nwebsocket,webtransport\n15\n8\nCookie: é=1\r\nA: 1\r\nB: 2\r\n";
        let (cookie, first) = ("Cookie: é=1\r\n".len(), "A: 1\r\n".len());
        let text = text.replacen("15\n8", &format!("{cookie}\n{first}"), 1);
        let expected = Opening {
            sid: "sid",
            origin: Some("http://here"),
            upgrades: "websocket,webtransport",
            cookie: "Cookie: é=1\r\n",
            first: "A: 1\r\n",
            cors: "B: 2\r\n",
        };
        assert_eq!(Opening::parse(&text), expected);
        assert_eq!(Opening::parse("sid\n\n\n0\n0\n"), Opening { sid: "sid", ..Opening::default() });
        assert_eq!(Opening::parse("sid\n\n\n9\n9\nshort"), Opening { sid: "sid", ..Opening::default() });
    }
}
