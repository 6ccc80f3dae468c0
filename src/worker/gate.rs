//! Who may come: how many sessions each address has, and how many handshakes there are, for all workers of an engine and for
//! JavaScript.
//!
//! A session takes a place when it begins, and gives it back when it ends. A worker keeps one for a client before JavaScript
//! hears of it, by the number of its connection: JavaScript claims that when it opens the session, and otherwise it is free
//! again when the connection is another one's. Whoever comes first has it, so nobody has to know of the other.
//!
//! ```text
//!   free ── keep ──▶ kept ── claim ──▶ taken ── leave ──▶ free
//!    │                 └── drop of `Place` ──▶ free          ▲
//!    └── enter ──────────────────────▶ taken ── undo, leave ─┘
//! ```

#![cfg_attr(not(unix), allow(dead_code, reason = "there are no descriptors to refuse clients on"))]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::bucket::Bucket;
use super::road::Road;
use super::sync::{AtomicUsize, Mutex, Ordering};
use crate::protocol::http::forwarded::{plain, Proxies};
use crate::protocol::ids::{Id, StreamId};

/// Addresses of which handshakes are counted at a time, before those are looked at that need not be remembered.
const MANY_ADDRESSES: usize = 10_000;

/// What there may be. Infinite: any number.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Sessions of an address.
    pub connections_each: f64,
    /// Handshakes in a second, on average.
    pub handshakes: f64,
    /// Those of an address.
    pub handshakes_each: f64,
    /// For how many seconds handshakes may have been saved up.
    pub burst: f64,
}

/// What is against another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Quota {
    Connections = 1,
    Handshakes = 2,
    HandshakesEach = 3,
}

/// Their numbers, by the names that they have in the option `limits`.
pub const QUOTAS: &[(&str, u32)] = &[
    ("connectionsPerAddress", Quota::Connections as u32),
    ("handshakesPerSecond", Quota::Handshakes as u32),
    ("handshakesPerSecondPerAddress", Quota::HandshakesEach as u32),
];

/// What is counted. The time is passed in, and does not go back: who has the lock looks at the clock.
#[derive(Debug)]
struct Book {
    quotas: Quotas,
    /// How many places are taken or kept, by address.
    places: HashMap<Box<str>, u32>,
    handshakes: Bucket,
    /// The handshakes of each address.
    each: HashMap<Box<str>, Bucket>,
    /// With how many of these, those are forgotten that say nothing.
    sweep_at: usize,
    /// For whom places are kept, by the numbers of streams.
    kept: HashMap<u32, Box<str>>,
}

impl Book {
    fn new(quotas: Quotas, now: Instant) -> Book {
        Book {
            quotas,
            places: HashMap::new(),
            handshakes: Bucket::new(quotas.handshakes, quotas.burst, now),
            each: HashMap::new(),
            sweep_at: MANY_ADDRESSES,
            kept: HashMap::new(),
        }
    }

    /// What is against another session of an address.
    fn obstacle(&mut self, address: &str, now: Instant) -> Option<Quota> {
        let Quotas { connections_each, handshakes, handshakes_each, burst } = self.quotas;
        if self.places.get(address).is_some_and(|&count| f64::from(count) >= connections_each) {
            return Some(Quota::Connections);
        }
        self.handshakes.fill(handshakes, burst, now);
        if self.handshakes.tokens < 1.0 {
            return Some(Quota::Handshakes);
        }
        let bucket = self.each.get_mut(address)?;
        bucket.fill(handshakes_each, burst, now);
        (bucket.tokens < 1.0).then_some(Quota::HandshakesEach)
    }

    /// Takes a place for a session of an address, unless something is against that.
    fn enter(&mut self, address: &str, now: Instant) -> Result<(), Quota> {
        if let Some(quota) = self.obstacle(address, now) {
            return Err(quota);
        }
        count(&mut self.places, address);
        self.handshakes.tokens -= 1.0;
        let Quotas { handshakes_each: rate, burst, .. } = self.quotas;
        if rate.is_finite() {
            if self.each.len() >= self.sweep_at && !self.each.contains_key(address) {
                self.forget_full(now);
            }
            let bucket = self.each.entry(address.into()).or_insert_with(|| Bucket::new(rate, burst, now));
            bucket.tokens -= 1.0;
        }
        Ok(())
    }

    /// A session of an address has ended.
    fn leave(&mut self, address: &str) {
        match self.places.get_mut(address) {
            Some(1) => {
                self.places.remove(address);
                if self.places.capacity() > MANY_ADDRESSES && self.places.len() < self.places.capacity() / 8 {
                    self.places.shrink_to_fit();
                }
            }
            Some(count) => *count -= 1,
            None => {}
        }
    }

    /// A session of an address has not come about: neither has its handshake.
    fn undo(&mut self, address: &str, now: Instant) {
        self.leave(address);
        self.handshakes.tokens += 1.0;
        self.handshakes.fill(self.quotas.handshakes, self.quotas.burst, now);
        if let Some(bucket) = self.each.get_mut(address) {
            bucket.tokens += 1.0;
            bucket.fill(self.quotas.handshakes_each, self.quotas.burst, now);
        }
    }

    fn forget_full(&mut self, now: Instant) {
        let Quotas { handshakes_each, burst, .. } = self.quotas;
        self.each.retain(|_, bucket| !bucket.fill(handshakes_each, burst, now));
        self.each.shrink_to(2 * self.each.len());
        self.sweep_at = MANY_ADDRESSES.max(2 * self.each.len());
    }
}

/// Counts one more of a name.
fn count(counts: &mut HashMap<Box<str>, u32>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.into(), 1)),
    }
}

/// What holds while workers refuse clients by themselves.
#[derive(Debug)]
pub struct Terms {
    /// What the targets of requests begin with.
    pub path: String,
    /// The answer to an upgrade request.
    pub websocket: String,
    /// That to a client that polls; `None`: it is Node's business.
    pub polling: Option<Polling>,
}

/// The answer to a client that polls, but for what Node adds.
#[derive(Debug)]
pub struct Polling {
    /// The status line, and headers, with their ends.
    pub head: String,
    pub body: String,
}

/// The gate of an engine.
#[derive(Debug)]
pub struct Gate {
    book: Mutex<Book>,
    proxies: Option<Proxies>,
    terms: parking_lot::RwLock<Option<Arc<Terms>>>,
    /// How many clients workers have refused, by quota.
    refused: [AtomicUsize; QUOTAS.len()],
    /// How many of them over TLS.
    secure: AtomicUsize,
}

impl Gate {
    /// A gate that nobody has come through.
    pub fn new(quotas: Quotas, proxies: Option<Proxies>) -> Gate {
        Gate {
            book: Mutex::new(Book::new(quotas, Instant::now())),
            proxies,
            terms: Default::default(),
            refused: Default::default(),
            secure: Default::default(),
        }
    }

    /// Whom a request comes from: see [`Proxies::address_behind`].
    pub fn address_behind(&self, peer: &str, lines: &str) -> String {
        match &self.proxies {
            Some(proxies) => proxies.address_behind(peer, lines),
            None => plain(peer).to_owned(),
        }
    }

    /// Has workers refuse clients by themselves, or not.
    pub fn set(&self, terms: Option<Terms>) {
        *self.terms.write() = terms.map(Arc::new);
    }

    /// On what terms they do at present.
    pub fn terms(&self) -> Option<Arc<Terms>> {
        self.terms.read().clone()
    }

    /// What is against another session of an address.
    pub fn obstacle(&self, address: &str) -> Option<Quota> {
        let mut book = self.book.lock();
        book.obstacle(address, Instant::now())
    }

    /// Takes a place for a session of an address.
    ///
    /// # Errors
    /// What is against that.
    pub fn enter(&self, address: &str) -> Result<(), Quota> {
        let mut book = self.book.lock();
        book.enter(address, Instant::now())
    }

    /// A session of an address has ended.
    pub fn leave(&self, address: &str) {
        self.book.lock().leave(address);
    }

    /// A session of an address has not come about.
    pub fn undo(&self, address: &str) {
        let mut book = self.book.lock();
        book.undo(address, Instant::now());
    }

    /// Keeps a place for who comes by a stream.
    ///
    /// # Errors
    /// What is against that.
    fn keep(&self, stream: StreamId, address: &str) -> Result<(), Quota> {
        let mut book = self.book.lock();
        book.enter(address, Instant::now())?;
        book.kept.insert(stream.word(), address.into());
        Ok(())
    }

    /// Takes the place that is kept for a stream, if there is one. Returns its address.
    pub fn claim(&self, stream: StreamId) -> Option<Box<str>> {
        self.book.lock().kept.remove(&stream.word())
    }

    /// Nobody needs the place any more that is kept for a stream, if there still is one.
    pub fn give_back(&self, stream: StreamId) {
        let mut book = self.book.lock();
        if let Some(address) = book.kept.remove(&stream.word()) {
            book.undo(&address, Instant::now());
        }
    }

    /// A worker refuses a client for this.
    pub fn count_refused(&self, quota: Quota, is_secure: bool) {
        self.refused[quota as usize - 1].fetch_add(1, Ordering::Relaxed);
        self.secure.fetch_add(usize::from(is_secure), Ordering::Relaxed);
    }

    /// How many clients workers have refused, in the order of [`QUOTAS`]; and how many of them over TLS.
    pub fn refused(&self) -> (Vec<f64>, f64) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed) as f64;
        (self.refused.iter().map(read).collect(), read(&self.secure))
    }
}

/// A place that is kept at the gate of a road, until this is dropped.
pub struct Place {
    road: Arc<Road>,
    stream: StreamId,
}

impl Place {
    /// Keeps one for who comes by a stream.
    ///
    /// # Errors
    /// What is against that.
    pub fn keep(road: &Arc<Road>, stream: StreamId, address: &str) -> Result<Place, Quota> {
        if let Some(gate) = road.gate() {
            gate.keep(stream, address)?;
        }
        Ok(Place { road: road.clone(), stream })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = self.road.gate() {
            gate.give_back(self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const OPEN: Quotas = Quotas {
        connections_each: f64::INFINITY,
        handshakes: f64::INFINITY,
        handshakes_each: f64::INFINITY,
        burst: 1.0,
    };

    #[test]
    fn an_address_has_so_many_places() {
        let now = Instant::now();
        let mut book = Book::new(Quotas { connections_each: 2.0, ..OPEN }, now);
        assert_eq!([book.enter("a", now), book.enter("a", now)], [Ok(()); 2]);
        assert_eq!((book.enter("a", now), book.enter("b", now)), (Err(Quota::Connections), Ok(())));
        book.leave("a");
        assert_eq!((book.enter("a", now), book.obstacle("a", now)), (Ok(()), Some(Quota::Connections)));
        ["a", "a", "b", "c"].iter().for_each(|address| book.leave(address));
        assert!(book.places.is_empty());
    }

    #[test]
    fn handshakes_come_back_with_time() {
        let now = Instant::now();
        let mut book = Book::new(Quotas { handshakes: 10.0, handshakes_each: 2.0, ..OPEN }, now);
        let entered = |book: &mut Book, address: &str, now| {
            (0..20).map(|_| book.enter(address, now)).collect::<Vec<_>>()
        };
        assert_eq!(entered(&mut book, "a", now)[1..3], [Ok(()), Err(Quota::HandshakesEach)]);
        for address in ["b", "c", "d", "e"] {
            entered(&mut book, address, now);
        }
        assert_eq!(book.enter("f", now), Err(Quota::Handshakes));
        let later = now + Duration::from_millis(500);
        assert_eq!(entered(&mut book, "a", later)[..2], [Ok(()), Err(Quota::HandshakesEach)]);
        book.undo("a", later);
        assert_eq!(entered(&mut book, "a", later)[..2], [Ok(()), Err(Quota::HandshakesEach)]);
    }

    #[test]
    fn addresses_are_forgotten_when_their_buckets_are_full() {
        let mut now = Instant::now();
        let mut book = Book::new(Quotas { handshakes_each: 10.0, ..OPEN }, now);
        for n in 0..100_000 {
            now += Duration::from_micros(100);
            let address = n.to_string();
            assert_eq!(book.enter(&address, now), Ok(()));
            book.leave(&address);
        }
        assert!(book.each.len() <= MANY_ADDRESSES && book.places.is_empty());
    }

    #[test]
    fn a_place_that_is_kept_is_had_by_one() {
        let road = Arc::new(Road::with_gate(Some(Gate::new(Quotas { connections_each: 1.0, ..OPEN }, None))));
        let gate = road.gate().unwrap();
        let [first, second] = [1, 2].map(StreamId::from_word);
        let place = Place::keep(&road, first, "a").unwrap();
        assert_eq!(Place::keep(&road, second, "a").err(), Some(Quota::Connections));
        drop(place);
        let place = Place::keep(&road, second, "a").unwrap();
        assert_eq!((gate.claim(first), gate.claim(second).as_deref()), (None, Some("a")));
        drop(place);
        assert_eq!(gate.enter("a"), Err(Quota::Connections), "JavaScript has it");
        gate.leave("a");
        assert_eq!(gate.enter("a"), Ok(()));
        gate.count_refused(Quota::Handshakes, true);
        gate.count_refused(Quota::HandshakesEach, false);
        assert_eq!(gate.refused(), (vec![0.0, 1.0, 1.0], 1.0));
    }

    #[test]
    fn of_many_who_race_only_so_many_get_in() {
        let road = Arc::new(Road::with_gate(Some(Gate::new(Quotas { connections_each: 3.0, ..OPEN }, None))));
        let racers = (0..4).map(|lane| {
            let road = road.clone();
            std::thread::spawn(move || {
                let ids = (0..100).map(move |n| StreamId::from_word(n * 4 + lane));
                ids.filter_map(|id| Place::keep(&road, id, "a").ok()).collect::<Vec<_>>()
            })
        });
        let racers: Vec<_> = racers.collect();
        let places: Vec<_> = racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect();
        assert_eq!(places.len(), 3);
    }

    /// The same in the plainest way: a list of sessions, and buckets that all fill whenever time passes.
    struct Model {
        quotas: Quotas,
        places: Vec<u8>,
        /// The tokens of all, then those of each address, as of `since`.
        tokens: Vec<f64>,
        since: Instant,
    }

    impl Model {
        fn capacity(rate: f64, burst: f64) -> f64 {
            (rate * burst).max(1.0)
        }

        fn go_on(&mut self, now: Instant) {
            let passed = (now - self.since).as_secs_f64();
            self.since = now;
            for (place, tokens) in self.tokens.iter_mut().enumerate() {
                let rate = if place == 0 { self.quotas.handshakes } else { self.quotas.handshakes_each };
                *tokens = (*tokens + passed * rate).min(Self::capacity(rate, self.quotas.burst));
            }
        }

        fn enter(&mut self, address: u8) -> Result<(), Quota> {
            let sessions = self.places.iter().filter(|&&it| it == address).count();
            if sessions as f64 >= self.quotas.connections_each {
                Err(Quota::Connections)
            } else if self.tokens[0] < 1.0 {
                Err(Quota::Handshakes)
            } else if self.tokens[1 + usize::from(address)] < 1.0 {
                Err(Quota::HandshakesEach)
            } else {
                self.places.push(address);
                self.tokens[0] -= 1.0;
                self.tokens[1 + usize::from(address)] -= 1.0;
                Ok(())
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Enter(u8),
        Leave(u8),
        /// Eighths of a second pass: what comes of them is exact.
        Wait(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u8).prop_map(Step::Enter),
            2 => (0..3u8).prop_map(Step::Leave),
            1 => (0..9u8).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn it_is_as_a_naive_one(
            steps in prop::collection::vec(step(), 0..200),
            (each, all, single) in (1..5u8, 1..9u8, 1..5u8),
            sweeps in any::<bool>(),
        ) {
            let quotas = Quotas {
                connections_each: f64::from(each),
                handshakes: f64::from(all),
                handshakes_each: f64::from(single),
                burst: 2.0,
            };
            let mut now = Instant::now();
            let mut book = Book::new(quotas, now);
            let mut tokens = vec![Model::capacity(quotas.handshakes_each, 2.0); 4];
            tokens[0] = Model::capacity(quotas.handshakes, 2.0);
            let mut model = Model { quotas, places: Vec::new(), tokens, since: now };
            for step in steps {
                if sweeps {
                    book.sweep_at = 1;
                }
                match step {
                    Step::Enter(address) => {
                        let text = address.to_string();
                        let expected = model.enter(address);
                        prop_assert_eq!(book.obstacle(&text, now), expected.err());
                        prop_assert_eq!(book.enter(&text, now), expected);
                    }
                    Step::Leave(address) => {
                        if let Some(place) = model.places.iter().position(|&it| it == address) {
                            model.places.swap_remove(place);
                            book.leave(&address.to_string());
                        }
                    }
                    Step::Wait(eighths) => {
                        now += Duration::from_millis(125) * u32::from(eighths);
                        model.go_on(now);
                    }
                }
                for address in 0..3 {
                    let count = model.places.iter().filter(|&&it| it == address).count() as u32;
                    prop_assert_eq!(book.places.get(address.to_string().as_str()).copied().unwrap_or(0), count);
                }
            }
        }
    }
}
