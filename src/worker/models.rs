//! For tests: small programs of threads that share the two queues, each run in every order in which that may happen.
//! `cargo test --features models models`; a thread that nobody wakes shows as a deadlock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::command::Command;
use super::event::{EventSink, Inbox};
use super::queue::{CommandQueue, MAX_SIZE};
use crate::protocol::ids::{ConnectionId, StreamId};

/// Runs a program in every order, with as many preemptions as a defect needs by experience.
fn explore(program: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(program);
}

/// The thread of JavaScript, asleep in its event loop: what its thread-safe function does.
#[derive(Default)]
struct EventLoop {
    calls: Mutex<u32>,
    called: Condvar,
}

impl EventLoop {
    fn call(&self) {
        *self.calls.lock().unwrap() += 1;
        self.called.notify_one();
    }

    /// Waits for a call, and returns how many there have been by then.
    fn sleep(&self) -> u32 {
        let mut calls = self.calls.lock().unwrap();
        while *calls == 0 {
            calls = self.called.wait(calls).unwrap();
        }
        std::mem::take(&mut *calls)
    }
}

/// An inbox and the event loop that it wakes.
fn inbox(limit: usize) -> (Arc<Inbox>, Arc<EventLoop>) {
    let event_loop = Arc::<EventLoop>::default();
    let woken = event_loop.clone();
    (Arc::new(Inbox::new(limit, Box::new(move || woken.call()))), event_loop)
}

fn publish(inbox: &Arc<Inbox>, texts: &[&str]) {
    let mut sink = EventSink::new(inbox.clone());
    for text in texts {
        sink.text(ConnectionId::from_word(0), text, false);
        sink.publish();
    }
}

/// The order of those letters of a text that a thread has published.
fn only(text: &str, letters: &str) -> String {
    text.chars().filter(|&letter| letters.contains(letter)).collect()
}

#[test]
fn no_event_waits_for_a_javascript_that_sleeps() {
    explore(|| {
        let (inbox, event_loop) = inbox(1 << 20);
        let (one, other) = (inbox.clone(), inbox.clone());
        let workers = [
            thread::spawn(move || publish(&one, &["a", "b"])),
            thread::spawn(move || publish(&other, &["x"])),
        ];
        let (mut text, mut calls, mut naps) = (String::new(), 0, 0);
        while text.len() < 3 {
            calls += event_loop.sleep();
            naps += 1;
            assert!(calls <= naps, "{calls} calls for {naps} times asleep");
            while let Some((batch, _)) = inbox.take() {
                text.push_str(&batch.text);
            }
        }
        assert_eq!((only(&text, "ab"), only(&text, "x")), ("ab".into(), "x".into()));
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(inbox.take().is_none());
    });
}

fn large(size: usize) -> Command {
    Command::PipeData { stream: StreamId::from_word(0), data: vec![0; size] }
}

/// What a worker does with its queue until it is told to end. Returns the sizes of what it was given.
fn work(queue: &CommandQueue) -> Vec<usize> {
    let _serving = queue.serve();
    let mut sizes = Vec::new();
    loop {
        while let Some((command, _)) = queue.pop() {
            match command {
                Command::PipeData { data, .. } => sizes.push(data.len()),
                Command::Shutdown => return sizes,
                _ => {}
            }
        }
        block_on(queue.wait());
    }
}

#[test]
fn no_command_waits_for_a_worker_that_sleeps() {
    explore(|| {
        let queue = Arc::<CommandQueue>::default();
        let served = queue.clone();
        let worker = thread::spawn(move || work(&served));
        for size in [1, 2, 3] {
            queue.push(large(size), Instant::now());
        }
        queue.push(Command::Shutdown, Instant::now());
        assert_eq!(worker.join().unwrap(), [1, 2, 3]);
        assert_eq!(queue.len(), 0);
    });
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn javascript_waits_for_a_worker_that_is_behind_no_longer_than_that() {
    explore(|| {
        let queue = Arc::<CommandQueue>::default();
        let served = queue.clone();
        let worker = thread::spawn(move || work(&served));
        for _ in 0..2 {
            queue.push(large(MAX_SIZE), Instant::now());
            queue.wait_until_caught_up(far());
        }
        queue.push(Command::Shutdown, Instant::now());
        assert_eq!(worker.join().unwrap().len(), 2);
        assert!(!queue.is_behind());
    });
}

#[test]
fn javascript_does_not_wait_for_a_worker_that_ends() {
    explore(|| {
        let queue = Arc::<CommandQueue>::default();
        let served = queue.clone();
        // as one does that panics outside of any turn
        let worker = thread::spawn(move || drop(served.serve()));
        queue.push(large(MAX_SIZE), Instant::now());
        queue.wait_until_caught_up(far());
        worker.join().unwrap();
        assert!(queue.is_behind());
    });
}

/// A worker that reads while JavaScript keeps up, and else waits to be told to go on, as `read_when_ready` does.
fn read(inbox: &Arc<Inbox>, queue: &CommandQueue, texts: &[&str]) {
    for text in texts {
        while inbox.is_full() {
            wait_until_resumed(queue);
        }
        publish(inbox, &[text]);
    }
}

/// Tasks that have been told to wait are woken by this command alone.
fn wait_until_resumed(queue: &CommandQueue) {
    loop {
        match queue.pop() {
            Some((Command::Resume, _)) => return,
            Some(_) => {}
            None => block_on(queue.wait()),
        }
    }
}

/// A worker whose only WebSocket uses up its share with each message.
fn read_share_by_share(inbox: &Arc<Inbox>, queue: &CommandQueue, texts: &[&str]) {
    let mut sink = EventSink::new(inbox.clone());
    for text in texts {
        sink.text(ConnectionId::from_word(0), text, false);
        let mark = sink.publish_and_mark();
        while !sink.is_passed(mark) {
            wait_until_resumed(queue);
        }
    }
}

#[test]
fn a_worker_that_javascript_has_held_back_reads_on() {
    // one event is too much already
    hold_back(1, read);
}

#[test]
fn a_websocket_that_has_used_up_its_share_is_read_on() {
    hold_back(1 << 20, read_share_by_share);
}

/// Two workers with `limit` for what waits, which `read` with pauses.
fn hold_back(limit: usize, read: fn(&Arc<Inbox>, &CommandQueue, &[&str])) {
    explore(move || {
        let (inbox, event_loop) = inbox(limit);
        let queues: [Arc<CommandQueue>; 2] = Default::default();
        let workers: Vec<_> = queues
            .iter()
            .zip([&["a", "b"][..], &["x"]])
            .map(|(queue, texts)| {
                let (inbox, queue) = (inbox.clone(), queue.clone());
                thread::spawn(move || read(&inbox, &queue, texts))
            })
            .collect();
        let mut text = String::new();
        while text.len() < 3 {
            event_loop.sleep();
            while let Some((batch, resumes)) = inbox.take() {
                text.push_str(&batch.text);
                if resumes {
                    queues.iter().for_each(|queue| queue.push(Command::Resume, Instant::now()));
                }
            }
        }
        assert_eq!((only(&text, "ab"), only(&text, "x")), ("ab".into(), "x".into()));
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
