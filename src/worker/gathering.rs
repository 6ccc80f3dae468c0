//! When JavaScript is woken while events come fast.
//!
//! Waking it, and falling asleep again, costs both threads more than a small event does. So after JavaScript has been
//! woken, the next wake-up waits a little, as network cards hold their interrupts back, for as long as that pays: where
//! nothing comes meanwhile, since all clients wait for an answer or there are few, it is left alone for ever longer.

use std::time::{Duration, Instant};

/// How far wake-ups are apart that are held back.
const REST: Duration = Duration::from_micros(100);

/// Words of events that have to come meanwhile for it to have paid: half a dozen small ones, more than few clients that wait for answers can send.
const ENOUGH: usize = 30;

/// Wake-ups that are not held back after it has often not paid.
const MOST_SKIPPED: u32 = 63;

/// Whether wake-ups are held back, and for how long.
#[derive(Debug, Default)]
pub struct Gathering {
    /// When JavaScript was woken last.
    last: Option<Instant>,
    /// Wake-ups that are not held back before the next that is.
    skips: u32,
    /// As many were skipped before the last that was held back.
    skipped: u32,
}

impl Gathering {
    /// There are events. Returns how long to wait for others.
    pub fn begin(&mut self, now: Instant) -> Option<Duration> {
        let rest = REST.checked_sub(now.duration_since(self.last?))?;
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        (!rest.is_zero()).then_some(rest)
    }

    /// So many words of events have come while we waited.
    pub fn learn(&mut self, words: usize) {
        self.skipped = if words >= ENOUGH { 0 } else { (self.skipped * 2 + 1).min(MOST_SKIPPED) };
        self.skips = self.skipped;
    }

    /// JavaScript is woken.
    pub fn end(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_after_a_while_is_told_at_once() {
        let mut gathering = Gathering::default();
        let now = Instant::now();
        assert_eq!(gathering.begin(now), None);
        gathering.end(now);
        assert_eq!(gathering.begin(now + REST), None);
        assert_eq!(gathering.begin(now + REST * 1000), None);
    }

    #[test]
    fn wake_ups_keep_their_distance_while_that_pays() {
        let mut gathering = Gathering::default();
        let mut now = Instant::now();
        gathering.end(now);
        for _ in 0..100 {
            now += REST / 4;
            assert_eq!(gathering.begin(now), Some(REST - REST / 4));
            gathering.learn(ENOUGH);
            now += REST;
            gathering.end(now);
        }
    }

    #[test]
    fn what_does_not_pay_is_tried_ever_more_rarely_and_what_does_again_at_once() {
        let mut gathering = Gathering::default();
        let now = Instant::now();
        gathering.end(now);
        let mut tried = Vec::new();
        for at in 0..400 {
            if gathering.begin(now).is_some() {
                tried.push(at);
                gathering.learn(ENOUGH - 1);
            }
        }
        assert_eq!(tried, [0, 2, 6, 14, 30, 62, 126, 190, 254, 318, 382]);
        while gathering.begin(now).is_none() {}
        gathering.learn(ENOUGH);
        assert!(gathering.begin(now).is_some());
    }
}
