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
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    open: bool,
}

impl<T> Inner<T> {
    fn pop(&mut self) -> Option<(T, usize)> {
        let (item, weight) = self.waiting.pop_front()?;
        self.weight = self.weight.saturating_sub(weight);
        Some((item, weight))
    }

    fn pop_some(&mut self, most: usize, heaviest: usize, taken: &mut Vec<T>) {
        let (mut count, mut weight) = (0_usize, 0_usize);
        while let Some((_, next)) = self.waiting.front() {
            (count, weight) = (count.saturating_add(1), weight.saturating_add(*next));
            if count > most || weight > heaviest {
                break;
            }
            taken.extend(self.pop().map(|(item, _)| item));
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize, heaviest: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), weight: 0, open: true };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), most, heaviest }
    }

    /// Puts one in. What is heavier than the whole queue may wait alone.
    pub(super) fn put(&self, item: T, weight: usize) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if !inner.open {
            return Err(StoreError::Closed);
        }
        let total = inner.weight.saturating_add(weight);
        if inner.waiting.len() >= self.most || (total > self.heaviest && !inner.waiting.is_empty()) {
            return Err(StoreError::Busy);
        }
        inner.weight = total;
        inner.waiting.push_back((item, weight));
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until something is there, then takes what is there, at most so many and so heavy but at least one.
    /// An empty answer after `patience` with nothing there; `None` once the queue is closed and empty.
    pub(super) fn take(&self, most: usize, heaviest: usize, patience: Option<Duration>) -> Option<Vec<T>> {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if !inner.open {
                return None;
            }
            let Some(patience) = patience else {
                inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (later, timeout) = self.filled.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner);
            inner = later;
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
