//! The exchange as it is configured now. What has begun with one configuration ends with it; whoever begins something takes
//! the one of the moment.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Exchange;

/// Which exchange whatever begins is done by. Clones share it.
#[derive(Clone)]
pub struct Current(Arc<ArcSwap<Exchange>>);

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Current").field(&self.0.load()).finish()
    }
}

impl Current {
    /// The exchange of this moment.
    #[must_use]
    pub fn now(&self) -> Exchange {
        Exchange::clone(&self.0.load())
    }

    /// Has whatever begins from now on done by another one.
    pub fn replace(&self, exchange: Exchange) {
        self.0.store(Arc::new(exchange));
    }
}

impl From<Exchange> for Current {
    fn from(exchange: Exchange) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(exchange)))
    }
}
