//! What waits for a thread: bounded by count and by weight, refused at once when full.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::StoreError;

/// A queue from many to the threads that take from it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    most: usize,
    heaviest: usize,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<Waiting<T>>,
    weight: usize,
    /// Of those that wait: who cannot wait for others.
    urgent: usize,
    open: bool,
    /// Threads that sleep until something is there: only they need to be woken, which is a call of the system.
    asleep: usize,
    /// As many are waited for; fewer wake nobody, unless one cannot wait.
    wanted: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    weight: usize,
    patient: bool,
}

impl<T> Inner<T> {
    fn pop(&mut self) -> Option<(T, usize)> {
        let Waiting { item, weight, patient } = self.waiting.pop_front()?;
        self.weight = self.weight.saturating_sub(weight);
        self.urgent = self.urgent.saturating_sub(usize::from(!patient));
        Some((item, weight))
    }

    /// Whether what is there is what is waited for.
    fn is_filled(&self) -> bool {
        self.urgent > 0 || self.waiting.len() >= self.wanted
    }

    fn pop_some(&mut self, most: usize, heaviest: usize, taken: &mut Vec<T>) {
        let (mut count, mut weight) = (0_usize, 0_usize);
        while let Some(next) = self.waiting.front() {
            (count, weight) = (count.saturating_add(1), weight.saturating_add(next.weight));
            if count > most || weight > heaviest {
                break;
            }
            taken.extend(self.pop().map(|(item, _)| item));
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize, heaviest: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), weight: 0, urgent: 0, open: true, asleep: 0, wanted: 1 };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), most, heaviest }
    }

    /// Puts one in. What is heavier than the whole queue may wait alone.
    pub(super) fn put(&self, item: T, weight: usize) -> Result<(), StoreError> {
        self.put_in(item, weight, false)
    }

    /// Puts one in that may wait for others to go with it.
    pub(super) fn put_patient(&self, item: T, weight: usize) -> Result<(), StoreError> {
        self.put_in(item, weight, true)
    }

    fn put_in(&self, item: T, weight: usize, patient: bool) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if !inner.open {
            return Err(StoreError::Closed);
        }
        let total = inner.weight.saturating_add(weight);
        if inner.waiting.len() >= self.most || (total > self.heaviest && !inner.waiting.is_empty()) {
            return Err(StoreError::Busy);
        }
        inner.weight = total;
        inner.waiting.push_back(Waiting { item, weight, patient });
        inner.urgent += usize::from(!patient);
        let wakes = inner.asleep > 0 && inner.is_filled();
        drop(inner);
        if wakes {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits, but not longer than `patience`, until so many are there, or one that cannot wait, or the queue is closed; says
    /// whether one of these came.
    pub(super) fn gather(&self, wanted: usize, patience: Duration) -> bool {
        let mut inner = self.lock();
        inner.wanted = wanted;
        inner.asleep += 1;
        let short = |inner: &mut Inner<T>| inner.open && !inner.is_filled();
        let waited = self.filled.wait_timeout_while(inner, patience, short);
        let (mut inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.asleep -= 1;
        inner.wanted = 1;
        !timeout.timed_out()
    }

    /// Waits until something is there, then takes what is there, at most so many and so heavy but at least one.
    /// An empty answer after `patience` with nothing there; `None` once the queue is closed and empty.
    pub(super) fn take(&self, most: usize, heaviest: usize, patience: Option<Duration>) -> Option<Vec<T>> {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if !inner.open {
                return None;
            }
            inner.asleep += 1;
            let Some(patience) = patience else {
                inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
                inner.asleep -= 1;
                continue;
            };
            let (later, timeout) = self.filled.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner);
            inner = later;
            inner.asleep -= 1;
            if timeout.timed_out() {
                break;
            }
        }
        let mut taken = Vec::new();
        if let Some(first) = inner.pop() {
            let (item, weight) = first;
            taken.push(item);
            inner.pop_some(most.saturating_sub(1), heaviest.saturating_sub(weight), &mut taken);
        }
        Some(taken)
    }

    /// Adds what is there, without waiting: at most so many and so heavy.
    pub(super) fn take_more(&self, most: usize, heaviest: usize, taken: &mut Vec<T>) {
        self.lock().pop_some(most, heaviest, taken);
    }

    /// Takes nothing more in; what waits is still taken out.
    pub(super) fn close(&self) {
        self.lock().open = false;
        self.filled.notify_all();
    }

    /// How many wait, and how heavy they are.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.weight)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Queue;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    /// Gathers three in a thread of its own while `then` is done; says whether they came.
    fn gathering(then: impl FnOnce(&Queue<u8>)) -> (bool, Arc<Queue<u8>>) {
        let queue = Arc::new(Queue::new(10, 10));
        let shared = Arc::clone(&queue);
        let thread = std::thread::spawn(move || shared.gather(3, LONG));
        then(&queue);
        (thread.join().is_ok_and(|came| came), queue)
    }

    #[test]
    fn as_many_as_are_wanted_are_waited_for() {
        let (came, queue) = gathering(|queue| {
            for item in 0..3 {
                assert!(queue.put_patient(item, 1).is_ok());
            }
        });
        assert!(came);
        assert_eq!(queue.take(10, 10, None), Some(vec![0, 1, 2]));
    }

    #[test]
    fn what_cannot_wait_and_the_end_are_waited_for_no_longer() {
        let (came, queue) = gathering(|queue| assert!(queue.put(7, 1).is_ok()));
        assert!(came);
        assert_eq!(queue.take(10, 10, None), Some(vec![7]));
        let (came, _) = gathering(Queue::close);
        assert!(came);
    }

    #[test]
    fn those_who_do_not_come_are_not_waited_for_long() {
        let queue = Queue::new(10, 10);
        assert!(queue.put_patient(1, 1).is_ok());
        assert!(!queue.gather(2, Duration::from_micros(50)));
        assert!(queue.gather(1, LONG));
        assert_eq!(queue.take(10, 10, None), Some(vec![1]));
    }
}
