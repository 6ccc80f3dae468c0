//! What threads share is made of: locks, atomic numbers, and what wakes a task.
//!
//! In the models of `models.rs` these are loom's, which tries every order in which threads may come to them. Everywhere else
//! they are the types themselves.

#[cfg(not(all(test, feature = "models")))]
pub use {
    parking_lot::{Condvar, Mutex},
    std::sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    tokio::sync::Notify,
};

#[cfg(all(test, feature = "models"))]
pub use modelled::*;

/// The same, as far as it is used, made of loom's types.
#[cfg(all(test, feature = "models"))]
mod modelled {
    use std::future::poll_fn;
    use std::ops::{Deref, DerefMut};
    use std::task::{Poll, Waker};
    use std::time::Instant;

    pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// As parking_lot's.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().ok())
        }
    }

    /// Always holds a guard, but while a condition is waited for.
    pub struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("is locked")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("is locked")
        }
    }

    /// As parking_lot's, but no deadline comes: who waits for nobody shows as a deadlock.
    #[derive(Default)]
    pub struct Condvar(loom::sync::Condvar);

    /// Whether the deadline has come.
    pub struct TimedOut;

    impl TimedOut {
        pub fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub fn notify_all(&self) {
            self.0.notify_all();
        }

        pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> TimedOut {
            guard.0 = guard.0.take().map(|guard| self.0.wait(guard).expect("nobody panics with the lock"));
            TimedOut
        }
    }

    /// As tokio's, for one that waits: a notification is kept until then, but no second one.
    #[derive(Default)]
    pub struct Notify(Mutex<(bool, Option<Waker>)>);

    impl Notify {
        pub fn notify_one(&self) {
            let (is_notified, waker) = &mut *self.0.lock();
            *is_notified = true;
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }

        pub async fn notified(&self) {
            poll_fn(|context| {
                let (is_notified, waker) = &mut *self.0.lock();
                if std::mem::take(is_notified) {
                    return Poll::Ready(());
                }
                *waker = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }
}
