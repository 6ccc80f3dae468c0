//! Messages that are held back from a client that does not read as fast as it is sent to: not yet in the form of its
//! transport, so that some can be dropped. What its transport has is not touched any more.
//!
//! Only events are ever dropped, and none whose sender waits for an acknowledgement. What is left keeps its order. Without
//! Engine.IO, every message is an event, all of one name, but for those of which JavaScript wants to know when they have left.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use bytes::Bytes;

use super::command::{Flags, Parcel};
use super::figures::Figure;
use super::output::{Encoded, GATHERED};
use super::stream::Stream;
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::options::{Policy, SlowConsumer};
use crate::protocol::polling;
use crate::protocol::session::State;
use crate::protocol::socket_io;

/// Bytes that a message takes beyond what it carries, about.
const OVERHEAD: usize = size_of::<Message>();

/// The status of the Close frame for a client that is given up: "Try Again Later", of the registry of RFC 6455 section 11.7.
const TRY_AGAIN_LATER: u16 = 1013;

/// What that frame says.
const SLOW_CONSUMER: &str = "slow consumer";

/// A message that waits.
#[derive(Debug)]
struct Message {
    parts: Box<[polling::Packet]>,
    compress: bool,
    since: Instant,
    /// By when it has to have left, or the client is given up.
    until: Option<Instant>,
    /// Tells what may be dropped from what may not.
    event: Option<Event>,
    bytes: usize,
}

/// What may be dropped: an event, under a rule, with a number that those of its name have in common.
#[derive(Debug, Clone, Copy)]
struct Event {
    rule: usize,
    name: u64,
}

/// What was decided about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Waits,
    /// More waits than may, and nothing can be dropped.
    TooMuch,
}

/// What is held back from one client.
#[derive(Debug, Default)]
pub struct Held {
    /// What holds for the events of some namespaces, in place of what holds for all.
    rules: Vec<(Box<str>, SlowConsumer)>,
    messages: VecDeque<Message>,
    bytes: usize,
    packets: usize,
    /// How many messages at the front may not be dropped, at least.
    fixed: usize,
    /// How many were dropped since nothing waited.
    dropped: usize,
}

/// The number of the rule for all, behind those of namespaces.
const FOR_ALL: usize = usize::MAX;

impl Held {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that wait: a message is one, and one for each attachment.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// When to look whether the client is to be given up.
    pub fn next(&self) -> Option<Instant> {
        self.messages.iter().find_map(|message| message.until)
    }

    /// Sets what holds for the events of a namespace, or that nothing of its own does.
    pub fn rule(&mut self, namespace: &str, rule: Option<SlowConsumer>) {
        let place = self.rules.iter().position(|(name, _)| **name == *namespace);
        match (place, rule) {
            (Some(place), Some(rule)) => self.rules[place].1 = rule,
            (None, Some(rule)) => self.rules.push((namespace.into(), rule)),
            (Some(place), None) => {
                self.rules.remove(place);
                // what waits under it is for the rule for all from now on
                for event in self.messages.iter_mut().filter_map(|message| message.event.as_mut()) {
                    if event.rule == place {
                        event.rule = FOR_ALL;
                    } else if event.rule != FOR_ALL && event.rule > place {
                        event.rule -= 1;
                    }
                }
            }
            (None, None) => {}
        }
    }

    /// Whether it is as if there were nothing.
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.messages.is_empty()
    }

    /// The rule for a message, and what it is if it may be dropped.
    fn judge(
        &self,
        text: Option<&str>,
        for_all: Option<SlowConsumer>,
    ) -> (Option<SlowConsumer>, Option<Event>) {
        let Some(event) = text.and_then(socket_io::parse_event) else { return (for_all, None) };
        let place = self.rules.iter().position(|(name, _)| **name == *event.namespace);
        let rule = place.map(|place| self.rules[place].1).or(for_all);
        let may_drop = rule.is_some_and(|rule| rule.policy != Policy::Close) && !event.wants_ack;
        let named = may_drop.then(|| {
            let mut hasher = DefaultHasher::new();
            (event.namespace, event.name).hash(&mut hasher);
            Event { rule: place.unwrap_or(FOR_ALL), name: hasher.finish() }
        });
        (rule, named)
    }

    /// The same of a message for a client that speaks no Engine.IO.
    fn judge_raw(rule: Option<SlowConsumer>, flags: Flags) -> (Option<SlowConsumer>, Option<Event>) {
        let may_drop = rule.is_some_and(|rule| rule.policy != Policy::Close) && !flags.notify();
        (rule, may_drop.then_some(Event { rule: FOR_ALL, name: 0 }))
    }

    /// Takes a message in, or drops it or others, as the rule for it says.
    fn take_in(&mut self, message: Message, rule: SlowConsumer, for_all: Option<SlowConsumer>) -> Verdict {
        self.drop_stale(message.since, for_all);
        if let (Policy::Latest, Some(event)) = (rule.policy, message.event) {
            let same = |other: &Message| {
                other.event.is_some_and(|other| other.name == event.name && other.rule == event.rule)
            };
            // more than one may wait from when another rule held
            while let Some(place) = self.messages.iter().rposition(same) {
                self.remove(place);
            }
        }
        while self.bytes + message.bytes > rule.max_bytes {
            let Some(event) = message.event else { break };
            // what is alone too large is dropped itself
            let is_this = rule.policy == Policy::DropNewest || message.bytes > rule.max_bytes;
            match self.oldest_of(event.rule).filter(|_| !is_this) {
                Some(place) => self.remove(place),
                None => {
                    self.dropped += 1;
                    return Verdict::Waits;
                }
            }
        }
        self.push(message);
        if self.bytes <= rule.max_bytes {
            return Verdict::Waits;
        }
        // what may not be dropped takes the place of what may
        while self.bytes > rule.max_bytes {
            let Some(place) = self.messages.iter().position(|other| other.event.is_some()) else {
                return Verdict::TooMuch;
            };
            self.remove(place);
        }
        Verdict::Waits
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.bytes;
        self.packets += message.parts.len();
        self.messages.push_back(message);
    }

    fn remove(&mut self, place: usize) {
        if let Some(message) = self.messages.remove(place) {
            self.bytes -= message.bytes;
            self.packets -= message.parts.len();
            self.dropped += 1;
        }
    }

    /// Where the oldest event is that may be dropped under a rule.
    fn oldest_of(&mut self, rule: usize) -> Option<usize> {
        let is_fixed = |message: &&Message| message.event.is_none();
        self.fixed += self.messages.range(self.fixed.min(self.messages.len())..).take_while(is_fixed).count();
        let start = self.fixed.min(self.messages.len());
        let of_rule = |message: &Message| message.event.is_some_and(|event| event.rule == rule);
        self.messages.range(start..).position(of_rule).map(|place| start + place)
    }

    /// Drops events at the front that have waited longer than the rule of each allows.
    fn drop_stale(&mut self, now: Instant, for_all: Option<SlowConsumer>) {
        while self.messages.front().is_some_and(|front| self.is_stale(front, now, for_all)) {
            self.remove(0);
        }
    }

    fn is_stale(&self, message: &Message, now: Instant, for_all: Option<SlowConsumer>) -> bool {
        let Some(event) = message.event else { return false };
        let rule =
            if event.rule == FOR_ALL { for_all } else { self.rules.get(event.rule).map(|rule| rule.1) };
        let age = rule.filter(|rule| rule.policy != Policy::Close).and_then(|rule| rule.max_age);
        age.is_some_and(|age| now.saturating_duration_since(message.since) > age)
    }

    /// Takes the message that waits longest.
    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes;
        self.packets -= message.parts.len();
        self.fixed = self.fixed.saturating_sub(1);
        Some(message)
    }
}

impl Worker {
    /// Whether messages may have to be held back from anybody.
    pub(super) fn may_hold(&self) -> bool {
        self.options.slow_consumer.is_some() || !self.held.is_empty()
    }

    /// Bytes that are held back from a client.
    pub(super) fn held_bytes(&self, id: ConnectionId) -> usize {
        self.held.get(&id).map_or(0, Held::bytes)
    }

    /// Sets what holds for the events of a namespace that are for a client that does not read, or that nothing of its own does.
    pub(super) fn set_rule(&mut self, id: ConnectionId, namespace: &str, rule: Option<SlowConsumer>) {
        if !self.connections.contains(id) {
            return;
        }
        let held = self.held.entry(id).or_default();
        held.rule(namespace, rule);
        if held.is_idle() {
            self.held.remove(&id);
        }
    }

    /// Holds a message back if its client does not read, or has not been sent what was held back before. Returns whether that
    /// was so.
    pub(super) fn hold(
        &mut self,
        id: ConnectionId,
        parcel: &Parcel<'_>,
        encoded: &mut Encoded,
        flags: Flags,
    ) -> bool {
        let waits = self.held.get(&id).is_some_and(|held| !held.is_empty());
        if !waits && !self.is_stuck(id) {
            return false;
        }
        panic_point!("hold");
        let for_all = self.options.slow_consumer;
        let held = self.held.entry(id).or_default();
        let (rule, event) = if self.options.is_raw {
            Held::judge_raw(for_all, flags)
        } else {
            held.judge(parcel.text.filter(|_| self.options.parse_packets), for_all)
        };
        if rule.is_none() && !waits {
            if held.is_idle() {
                self.held.remove(&id);
            }
            return false;
        }
        let bytes = OVERHEAD + parcel.len();
        let until = rule
            .filter(|rule| rule.policy == Policy::Close)
            .and_then(|rule| self.now.checked_add(rule.max_age?));
        let message = Message {
            parts: encoded.packets(parcel).into(),
            compress: flags.compress(),
            since: self.now,
            until,
            event,
            bytes,
        };
        let before = held.dropped;
        if rule.is_some_and(|rule| rule.policy == Policy::Latest) {
            // looks for those of the same name
            self.work.look(held.messages.len());
        }
        let most =
            SlowConsumer { policy: Policy::Close, max_bytes: self.options.max_outbound, max_age: None };
        let verdict = held.take_in(message, rule.unwrap_or(most), for_all);
        let (dropped, bytes) = (held.dropped, held.bytes);
        self.work.queue(parcel.len());
        self.metrics.events_dropped.add(dropped - before);
        if before == 0 && dropped > 0 {
            self.events.dropping(id, bytes);
        }
        if verdict == Verdict::TooMuch {
            self.give_up(id);
            return true;
        }
        if until.is_some() {
            self.watch_session(id);
        }
        self.note_all_waiting(id);
        true
    }

    /// Whether a client has not taken what it was sent before.
    fn is_stuck(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        match (connection.session.state(), connection.polling.as_ref()) {
            (State::WebSocket { stream }, _) => self.is_full(stream),
            (_, Some(polling)) => !polling.is_writable(),
            _ => false,
        }
    }

    /// Whether a WebSocket has no room, or still has much to write.
    fn is_full(&mut self, stream: StreamId) -> bool {
        if self.waiting_for(stream) > GATHERED {
            // it may not have been tried yet
            self.flush(stream);
        }
        let Some(websocket) = self.websocket(stream).filter(|websocket| websocket.takes_messages()) else {
            return false;
        };
        let has_no_room = match &websocket.stream {
            // it is written to one piece at a time, however fast its client reads
            Stream::Pipe(_) => false,
            #[cfg(unix)]
            Stream::Fd(_) => websocket.write_task.is_some(),
        };
        has_no_room || websocket.outbox.len() > GATHERED
    }

    /// Lets JavaScript see what waits, wherever.
    fn note_all_waiting(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        match connection.session.state() {
            State::WebSocket { stream } => self.note_waiting(stream),
            _ => {
                self.note_polling(id);
            }
        }
    }

    /// A client does not read, and more waits for it than may.
    #[cold]
    pub(super) fn give_up(&mut self, id: ConnectionId) {
        let waiting = self.events.figures().get(id, Figure::Waiting as usize) as usize;
        self.events.slow_consumer(id, waiting.max(self.held_bytes(id)));
        self.end_with(id, TRY_AGAIN_LATER, SLOW_CONSUMER, Ending::SlowConsumer);
    }

    /// The time of what waits may be over. Returns whether the client was given up.
    pub(super) fn check_age(&mut self, id: ConnectionId) -> bool {
        let is_over = self.held.get(&id).and_then(Held::next).is_some_and(|until| until <= self.now);
        if is_over {
            self.give_up(id);
        }
        is_over
    }

    /// A WebSocket has room: it gets some of what was held back from its client. Returns whether there was any.
    pub(super) fn release_held(&mut self, id: ConnectionId, stream: StreamId) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let released = self.move_held(id, stream, GATHERED);
        if released {
            self.leave_to_backlog(stream);
        }
        released
    }

    /// Puts what is held back from a client where its transport takes it from, all of it: the session is about to end, or
    /// its client has asked.
    pub(super) fn release_all(&mut self, id: ConnectionId) {
        if self.held.is_empty() {
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        if let State::WebSocket { stream } = connection.session.state() {
            self.move_held(id, stream, usize::MAX);
            self.mark_dirty(stream);
            return;
        }
        while let Some(message) = self.pop_held(id) {
            self.metrics.packets_sent.add(message.parts.len());
            let Some(polling) = self.polling(id) else { return };
            for packet in message.parts {
                polling.push(packet, message.compress);
            }
        }
    }

    /// Moves what is held back into an outbox, until about so many bytes wait there.
    fn move_held(&mut self, id: ConnectionId, stream: StreamId, until: usize) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        // one that is to take over has nothing of the session's yet
        if connection.session.state() != (State::WebSocket { stream }) {
            return false;
        }
        let protocol = connection.session.protocol();
        let mut moved = false;
        while self.waiting_for(stream) < until {
            let is_open = self.websocket(stream).is_some_and(|websocket| websocket.takes_messages());
            let Some(message) = is_open.then(|| self.pop_held(id)).flatten() else { break };
            let texts = message.parts.iter().filter(|it| matches!(it, polling::Packet::Text(..))).count();
            let text = message.parts.first().and_then(|part| match part {
                polling::Packet::Text(_, data) => std::str::from_utf8(data).ok(),
                polling::Packet::Binary(_) => None,
            });
            let buffers: Vec<Bytes> = message.parts[texts..].iter().map(polling::Packet::data).collect();
            let parcel = Parcel { text, buffers: &buffers };
            moved |= self.put(stream, protocol, &parcel, message.compress);
        }
        moved
    }

    fn pop_held(&mut self, id: ConnectionId) -> Option<Message> {
        let now = self.now;
        let for_all = self.options.slow_consumer;
        let held = self.held.get_mut(&id)?;
        let before = held.dropped;
        held.drop_stale(now, for_all);
        let message = held.pop();
        self.metrics.events_dropped.add(held.dropped - before);
        if held.is_empty() {
            held.dropped = 0;
            held.fixed = 0;
            if held.rules.is_empty() {
                self.held.remove(&id);
            }
        }
        message
    }

    /// Packets that are held back from a client, as it would be sent them over polling.
    pub(super) fn held_packets(&self, id: ConnectionId) -> impl Iterator<Item = polling::Packet> + use<'_> {
        let messages = self.held.get(&id).into_iter().flat_map(|held| &held.messages);
        messages.flat_map(|message| message.parts.iter().cloned())
    }

    /// Lets JavaScript see how many bytes wait for a client.
    pub(super) fn set_waiting(&mut self, id: ConnectionId, bytes: usize, packets: usize) {
        let figures = self.events.figures();
        let before = figures.get(id, Figure::Waiting as usize) as usize;
        figures.set(id, Figure::Waiting, bytes as f64);
        figures.set(id, Figure::Behind, packets as f64);
        if self.options.max_outbound_total != usize::MAX {
            self.is_crowded |= figures.change_total(before, bytes) > self.options.max_outbound_total;
        }
    }

    /// While more waits for all clients together than may, those for which most waits here are given up.
    #[cold]
    pub(super) fn relieve(&mut self) {
        while self.events.figures().total() > self.options.max_outbound_total {
            let figures = self.events.figures();
            let waiting = |id: &ConnectionId| figures.get(*id, Figure::Waiting as usize) as usize;
            let most = self.connections.iter().map(|(id, _)| id).max_by_key(waiting);
            let Some((id, bytes)) = most.map(|id| (id, waiting(&id))).filter(|&(_, bytes)| bytes > 0) else {
                return;
            };
            self.events.slow_consumer(id, bytes);
            if let Some(State::WebSocket { stream }) = self.connection(id).map(|it| it.session.state()) {
                self.sever(stream, Ending::SlowConsumer);
            }
            self.end_session(id, Ending::SlowConsumer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::engine_io::packet::Type;

    const RULE: SlowConsumer =
        SlowConsumer { policy: Policy::DropOldest, max_bytes: 1000 + 4 * OVERHEAD, max_age: None };

    /// Takes in a message of 250 bytes or so; `None` for one that has no rule of its own.
    fn take(held: &mut Held, text: &str, rule: SlowConsumer, since: Instant) -> Verdict {
        let text = format!("{text}{}", "x".repeat(250 - text.len()));
        let (judged, event) = held.judge(Some(&text), Some(rule));
        let rule = judged.unwrap();
        let until = rule.max_age.filter(|_| rule.policy == Policy::Close).map(|age| since + age);
        let bytes = OVERHEAD + text.len();
        let parts = [polling::Packet::Text(Type::Message, Bytes::from(text))].into();
        held.take_in(Message { parts, compress: false, since, until, event, bytes }, rule, Some(rule))
    }

    fn texts(held: &mut Held) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(message) = held.pop() {
            let text = String::from_utf8(message.parts[0].data().to_vec()).unwrap();
            texts.push(text.trim_end_matches('x').to_owned());
        }
        assert_eq!((held.bytes(), held.packets(), held.is_empty()), (0, 0, true));
        texts
    }

    fn play(rule: SlowConsumer, messages: &[&str]) -> (Vec<String>, usize, Verdict) {
        let mut held = Held::default();
        let now = Instant::now();
        let last = messages.iter().map(|text| take(&mut held, text, rule, now)).last().unwrap();
        let dropped = held.dropped;
        (texts(&mut held), dropped, last)
    }

    const FIVE: [&str; 5] = [r#"2["a",1]"#, r#"2["b",2]"#, r#"2["a",3]"#, r#"2["b",4]"#, r#"2["a",5]"#];

    #[test]
    fn the_oldest_are_dropped_or_the_newest() {
        assert_eq!(
            play(RULE, &FIVE),
            (FIVE[1..].iter().map(|it| it.to_string()).collect(), 1, Verdict::Waits)
        );
        let newest = SlowConsumer { policy: Policy::DropNewest, ..RULE };
        assert_eq!(
            play(newest, &FIVE),
            (FIVE[..4].iter().map(|it| it.to_string()).collect(), 1, Verdict::Waits)
        );
    }

    #[test]
    fn the_last_of_each_name_waits_in_order() {
        let latest = SlowConsumer { policy: Policy::Latest, ..RULE };
        assert_eq!(play(latest, &FIVE).0, [FIVE[3], FIVE[4]]);
        // a name in another namespace is another
        assert_eq!(play(latest, &[FIVE[0], r#"2/n,["a",2]"#, FIVE[2]]).0, [r#"2/n,["a",2]"#, FIVE[2]]);
        // of names that are too many, the oldest go
        let many = [r#"2["a"]"#, r#"2["b"]"#, r#"2["c"]"#, r#"2["d"]"#, r#"2["e"]"#];
        assert_eq!(play(latest, &many).0, many[1..]);
    }

    #[test]
    fn what_may_not_be_dropped_stays_in_its_place() {
        let fixed = [r#"2["a",0]"#, r#"27["a",1]"#, r#"31[2]"#, r#"2["a",3]"#, r#"2["a",4]"#, "1"];
        for policy in [Policy::DropOldest, Policy::Latest] {
            let (left, _, verdict) = play(SlowConsumer { policy, ..RULE }, &fixed);
            assert_eq!(verdict, Verdict::Waits);
            assert_eq!(left, [fixed[1], fixed[2], fixed[4], fixed[5]]);
        }
        let all_fixed = ["1"; 5];
        assert_eq!(play(RULE, &all_fixed).2, Verdict::TooMuch);
        let close = SlowConsumer { policy: Policy::Close, ..RULE };
        assert_eq!(play(close, &FIVE).2, Verdict::TooMuch);
        assert_eq!(play(close, &FIVE[..4]).2, Verdict::Waits);
    }

    #[test]
    fn what_is_alone_too_large_is_dropped_itself() {
        let small = SlowConsumer { max_bytes: 100, ..RULE };
        assert_eq!(play(small, &FIVE[..1]), (vec![], 1, Verdict::Waits));
        assert_eq!(play(small, &["1"]).2, Verdict::TooMuch);
    }

    #[test]
    fn what_waits_too_long_is_dropped_or_the_end() {
        let (now, age) = (Instant::now(), Duration::from_secs(1));
        let rule = SlowConsumer { max_age: Some(age), ..RULE };
        let mut held = Held::default();
        take(&mut held, FIVE[0], rule, now);
        take(&mut held, FIVE[1], rule, now + age / 2);
        take(&mut held, FIVE[2], rule, now + age + age / 4);
        assert_eq!((held.next(), texts(&mut held)), (None, vec![FIVE[1].to_owned(), FIVE[2].to_owned()]));
        let close = SlowConsumer { policy: Policy::Close, ..rule };
        take(&mut held, "1", close, now + age);
        assert_eq!(held.next(), Some(now + age + age));
    }

    #[test]
    fn namespaces_have_rules_of_their_own() {
        let mut held = Held::default();
        let now = Instant::now();
        held.rule("/n", Some(SlowConsumer { policy: Policy::Latest, ..RULE }));
        let namespaced = [r#"2/n,["a",1]"#, r#"2/n,["a",2]"#];
        for text in [FIVE[0], namespaced[0], FIVE[2], namespaced[1]] {
            take(&mut held, text, RULE, now);
        }
        assert!(!held.is_idle());
        // what waits for a namespace without a rule is for that for all
        held.rule("/n", None);
        take(&mut held, namespaced[0], SlowConsumer { policy: Policy::Latest, ..RULE }, now);
        assert_eq!(texts(&mut held), [FIVE[0], FIVE[2], namespaced[0]]);
        assert!(held.is_idle());
    }
}
