//! Changes of which nobody knows whether the server made them: the answer did not come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Remembered at most; what is forgotten is still found out when the server says that the version is stale.
const MOST: usize = 4096;

/// The messages in doubt, by their stable ids.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<VecDeque<String>>);

impl Doubts {
    fn open(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds(&self, message: &str) -> bool {
        self.open().iter().any(|held| held == message)
    }

    pub(super) fn begin(&self, message: &str) {
        let mut open = self.open();
        if open.iter().any(|held| held == message) {
            return;
        }
        if open.len() >= MOST {
            open.pop_front();
        }
        open.push_back(message.to_owned());
    }

    pub(super) fn settle(&self, message: &str) {
        self.open().retain(|held| held != message);
    }
}

/// Whether what a server holds is what it was sent, apart from what servers add: `meta`, and a narrative where none was
/// sent.
pub(super) fn says_the_same(sent: &[u8], held: &[u8]) -> bool {
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Map<String, Value>>(bytes).ok();
    let (Some(mut sent), Some(mut held)) = (read(sent), read(held)) else { return false };
    sent.remove("meta");
    held.remove("meta");
    if !sent.contains_key("text") {
        held.remove("text");
    }
    // The address says which resource it is.
    if !sent.contains_key("id") {
        held.remove("id");
    }
    sent == held
}
