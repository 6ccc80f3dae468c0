//! The queue of commands of one worker, and its bound.
//!
//! Who broadcasts in JavaScript says in a microsecond what takes a worker milliseconds. Without a bound, the queue would
//! grow for as long as an application goes on like that, and everybody's messages would wait behind it. So JavaScript is
//! made to wait once the worker has fallen behind, as it would wait if it did the work itself. A worker never waits for
//! JavaScript, which is why that ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::command::Command;
use super::sync::{Condvar, Mutex, Notify};

/// Bytes of commands that may wait.
pub const MAX_SIZE: usize = 16 << 20;

/// How long the oldest command may have waited, or the newest will have to at the pace at which they are taken ...
const MAX_AGE: Duration = Duration::from_millis(50);

/// ... if more than so many wait. Fewer are what one tick of an application says, however much work that is.
const FEW_COMMANDS: usize = 64;

/// A queue that has taken so much memory is worth telling of.
const MUCH: usize = 4 << 20;

/// A list with room for more commands than this is given back once it is empty.
const SMALL_CAPACITY: usize = 1024;

/// The queue of one worker.
#[derive(Default)]
pub struct CommandQueue {
    waiting: Mutex<Waiting>,
    /// Wakes the worker.
    notify: Notify,
    /// Wakes JavaScript, which waits for the worker.
    caught_up: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The commands, and since when they have waited.
    commands: VecDeque<(Command, Instant)>,
    size: usize,
    /// The most that `size` has been since the queue was empty.
    most: usize,
    /// Whether the worker has fallen behind, and how many commands it may have left when it has caught up.
    behind: Option<usize>,
    /// Whether the worker's thread is there to take anything.
    is_served: bool,
    /// When a command was taken last, if more waited.
    taken: Option<Instant>,
    /// The time from one command to the next, on average of late.
    pace: Duration,
}

impl CommandQueue {
    /// Adds a command and wakes the worker.
    pub fn push(&self, command: Command, now: Instant) {
        let is_first = {
            let waiting = &mut *self.waiting.lock();
            waiting.size += command.size();
            waiting.most = waiting.most.max(waiting.size);
            waiting.commands.push_back((command, now));
            if waiting.behind.is_none() && waiting.is_too_much(now) {
                waiting.behind = Some(waiting.commands.len() / 2);
            }
            waiting.commands.len() == 1
        };
        if is_first {
            self.notify.notify_one();
        }
    }

    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().commands.len()
    }

    /// Whether the worker has fallen behind, and has not caught up yet.
    #[cfg(test)]
    pub fn is_behind(&self) -> bool {
        self.waiting.lock().behind.is_some()
    }

    /// Takes the oldest command, and says whether the worker had fallen behind until then.
    pub fn pop(&self) -> Option<(Command, bool)> {
        let waiting = &mut *self.waiting.lock();
        let is_behind = waiting.behind.is_some();
        let (command, _) = waiting.commands.pop_front()?;
        waiting.size -= command.size();
        if waiting.behind.is_some_and(|few| waiting.commands.len() <= few && waiting.size <= MAX_SIZE / 2) {
            waiting.behind = None;
            self.caught_up.notify_all();
        }
        waiting.note_pace(Instant::now());
        if waiting.commands.is_empty() && waiting.commands.capacity() > SMALL_CAPACITY {
            waiting.commands = VecDeque::new();
        }
        Some((command, is_behind))
    }

    /// Whether the queue has taken much memory since this was asked last, which has been freed by now.
    pub fn has_ebbed(&self) -> bool {
        let waiting = &mut *self.waiting.lock();
        waiting.size < MUCH && std::mem::take(&mut waiting.most) >= MUCH
    }

    /// Waits, on JavaScript's thread, until a worker that has fallen behind has caught up, but not beyond the deadline:
    /// no defect of a worker shall stop JavaScript for good.
    pub fn wait_until_caught_up(&self, deadline: Instant) {
        let waiting = &mut self.waiting.lock();
        while waiting.behind.is_some() && waiting.is_served {
            if self.caught_up.wait_until(waiting, deadline).timed_out() {
                return;
            }
        }
    }

    /// Says that the worker's thread is there, until what is returned is dropped.
    pub fn serve(&self) -> Serving<'_> {
        self.waiting.lock().is_served = true;
        Serving(self)
    }

    /// Waits until there may be a command.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }
}

impl Waiting {
    /// A command has been taken.
    fn note_pace(&mut self, now: Instant) {
        if let Some(before) = self.taken {
            let latest = now.saturating_duration_since(before);
            self.pace = if self.pace.is_zero() { latest } else { (self.pace * 7 + latest) / 8 };
        }
        self.taken = (!self.commands.is_empty()).then_some(now);
    }

    fn is_too_much(&self, now: Instant) -> bool {
        let is_old = |(_, since): &(Command, Instant)| now.saturating_duration_since(*since) > MAX_AGE;
        let is_many = self.commands.len() > FEW_COMMANDS;
        self.size > MAX_SIZE || is_many && (self.takes_long() || self.commands.front().is_some_and(is_old))
    }

    fn takes_long(&self) -> bool {
        let commands = u32::try_from(self.commands.len()).unwrap_or(u32::MAX);
        self.pace.checked_mul(commands).is_none_or(|time| time > MAX_AGE)
    }
}

/// A worker's thread, while it lives.
pub struct Serving<'a>(&'a CommandQueue);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let waiting = &mut *self.0.waiting.lock();
        waiting.is_served = false;
        self.0.caught_up.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ids::StreamId;

    fn large(size: usize) -> Command {
        Command::PipeData { stream: StreamId::from_word(0), data: vec![0; size] }
    }

    fn moments(count: u32) -> Duration {
        MAX_AGE * count
    }

    #[test]
    fn few_commands_may_wait_for_long_and_many_for_a_while() {
        let (queue, start) = (CommandQueue::default(), Instant::now());
        for _ in 0..FEW_COMMANDS {
            queue.push(Command::Resume, start);
        }
        let served = queue.pop();
        queue.push(Command::Resume, start + moments(100));
        assert!(served.is_some() && !queue.is_behind());
        queue.push(Command::Resume, start + moments(100));
        assert!(queue.is_behind());
        for _ in 0..FEW_COMMANDS / 2 {
            assert!(queue.is_behind());
            queue.pop();
        }
        queue.pop();
        assert!(!queue.is_behind(), "half of them are left");

        let queue = CommandQueue::default();
        for _ in 0..10_000 {
            queue.push(Command::Resume, start);
        }
        assert!(!queue.is_behind());
        queue.push(Command::Resume, start + moments(2));
        assert!(queue.is_behind());
    }

    #[test]
    fn no_more_may_wait_than_is_taken_in_a_while() {
        let (queue, start) = (CommandQueue::default(), Instant::now());
        let push = |count| (0..count).for_each(|_| queue.push(Command::Resume, start));
        push(FEW_COMMANDS * 2);
        queue.waiting.lock().pace = MAX_AGE / 1000;
        push(1000 - FEW_COMMANDS * 2);
        assert!(!queue.is_behind());
        push(1);
        assert!(queue.is_behind());
        // the pace is that of late
        let waiting = &mut *queue.waiting.lock();
        waiting.taken = Some(start);
        (1..100).for_each(|count| waiting.note_pace(start + MAX_AGE / 100 * count));
        assert!(waiting.pace > MAX_AGE / 120 && waiting.pace < MAX_AGE / 90, "{:?}", waiting.pace);
    }

    #[test]
    fn memory_is_bounded_however_young_it_is() {
        let (queue, now) = (CommandQueue::default(), Instant::now());
        for _ in 0..16 {
            assert!(!queue.is_behind());
            queue.push(large(1 << 20), now);
        }
        assert!(queue.is_behind());
        for _ in 0..9 {
            assert!(queue.is_behind() && !queue.has_ebbed());
            queue.pop();
        }
        assert!(!queue.is_behind());
        while queue.pop().is_some() {}
        assert!(queue.has_ebbed());
        queue.push(large(1 << 20), now);
        queue.pop();
        assert!(!queue.has_ebbed());
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_long_list_is_given_back() {
        let (queue, now) = (CommandQueue::default(), Instant::now());
        for _ in 0..100_000 {
            queue.push(Command::Resume, now);
        }
        while queue.pop().is_some() {}
        assert!(queue.waiting.lock().commands.capacity() <= SMALL_CAPACITY);
    }

    fn behind() -> Arc<CommandQueue> {
        let queue = Arc::new(CommandQueue::default());
        queue.push(large(MAX_SIZE), Instant::now());
        assert!(queue.is_behind());
        queue
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn who_waits_goes_on_when_the_worker_has_caught_up_or_has_ended() {
        for has_caught_up in [true, false] {
            let queue = behind();
            let served = queue.serve();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| queue.wait_until_caught_up(far()));
                if has_caught_up {
                    queue.pop();
                } else {
                    drop(served);
                }
                waits.join().unwrap();
            });
            assert_eq!(queue.is_behind(), !has_caught_up);
        }
    }

    #[test]
    fn nobody_waits_for_a_worker_that_is_not_there_or_does_nothing() {
        let queue = behind();
        queue.wait_until_caught_up(far());
        let _served = queue.serve();
        queue.wait_until_caught_up(Instant::now() + Duration::from_millis(1));
        assert!(queue.is_behind());
    }

    /// What may happen to a queue.
    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Pop(usize),
        Pass(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..2_000usize).prop_map(Step::Push),
            1 => ((1 << 20)..(5usize << 20)).prop_map(Step::Push),
            3 => (1..40usize).prop_map(Step::Pop),
            1 => (1..80u32).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #![proptest_config(crate::properties::config(64))]

        #[test]
        fn is_a_queue_that_knows_its_size_and_whom_to_hold_back(
            steps in prop::collection::vec(step(), 1..200)
        ) {
            let queue = CommandQueue::default();
            let mut now = Instant::now();
            let mut model = VecDeque::new();
            let overhead = large(0).size();
            for step in steps {
                match step {
                    Step::Push(length) => {
                        queue.push(large(length), now);
                        model.push_back((length, now));
                        let oldest = model.front().map_or(now, |&(_, since)| since);
                        let is_late = model.len() > FEW_COMMANDS && now - oldest > MAX_AGE;
                        prop_assert!(queue.is_behind() || !is_late, "{} wait", model.len());
                    }
                    Step::Pop(count) => {
                        for _ in 0..count {
                            let popped = queue.pop().map(|(command, _)| match command {
                                Command::PipeData { data, .. } => data.len(),
                                _ => usize::MAX,
                            });
                            prop_assert_eq!(popped, model.pop_front().map(|(length, _)| length));
                        }
                    }
                    Step::Pass(milliseconds) => now += Duration::from_millis(milliseconds.into()),
                }
                let size: usize = model.iter().map(|&(length, _)| overhead + length).sum();
                prop_assert_eq!(queue.waiting.lock().size, size);
                prop_assert!(queue.is_behind() || size <= MAX_SIZE, "{} bytes wait", size);
                prop_assert!(!queue.is_behind() || !model.is_empty(), "JavaScript would wait for nothing");
            }
        }
    }
}
