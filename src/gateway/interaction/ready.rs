//! Answers to reads that are ready to be given again, without a look at the store, a question to a provider or a word of JSON.
//!
//! An answer is kept with what it rests on ([`Basis`]) and given only while that holds: no commit has changed the resource,
//! no event has come of its person, the provider's answer is young enough, the providers are configured as they were. What
//! depends on the caller is no part of it but the caller's mode, which is part of the key.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::access::caller::Mode;
use crate::access::interaction::ResourceType;
use crate::gateway::federation::Basis;
use crate::gateway::request::Id;
use crate::gateway::respond::{Body, Response};

/// The answers that are ready.
pub(super) struct Ready(moka::sync::Cache<Key, Arc<Prepared>>);

type Key = (ResourceType, Id, Mode);

/// One of them.
pub(super) struct Prepared {
    /// Without an age.
    response: Response,
    /// When its provider gave it; none for what is kept here, which has no age.
    as_of: Option<Timestamp>,
    basis: Basis,
}

impl Prepared {
    pub(super) fn new(response: Response, as_of: Option<Timestamp>, basis: Basis) -> Self {
        // What is stored is a part of a larger text, which is not to be held in memory for it.
        let body = match response.body {
            Body::Json(bytes) => Body::Json(Bytes::copy_from_slice(&bytes)),
            other => other,
        };
        Self { response: Response { age: None, body, ..response }, as_of, basis }
    }

    /// What must hold for it to be given.
    pub(super) const fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The answer as it is given now.
    pub(super) fn response(&self, now: Timestamp) -> Response {
        let age = self.as_of.and_then(|as_of| now.duration_since(as_of).try_into().ok());
        Response { age, ..self.response.clone() }
    }

    /// About how many bytes of memory it takes.
    fn weight(&self) -> u32 {
        const EACH: usize = 1024;
        let bytes = match &self.response.body {
            Body::Json(bytes) | Body::Raw { bytes, .. } => bytes.len(),
            Body::Empty => 0,
        };
        u32::try_from(bytes.saturating_add(EACH)).unwrap_or(u32::MAX)
    }
}

impl Ready {
    /// None yet, and never more than so many bytes of them.
    pub(super) fn new(bytes: u64) -> Self {
        let weigher = |_: &Key, prepared: &Arc<Prepared>| prepared.weight();
        Self(moka::sync::Cache::builder().max_capacity(bytes).weigher(weigher).build())
    }

    pub(super) fn find(&self, kind: ResourceType, id: &Id, mode: Mode) -> Option<Arc<Prepared>> {
        self.0.get(&(kind, id.clone(), mode))
    }

    pub(super) fn keep(&self, kind: ResourceType, id: &Id, mode: Mode, prepared: Prepared) {
        self.0.insert((kind, id.clone(), mode), Arc::new(prepared));
    }

    pub(super) fn forget(&self, kind: ResourceType, id: &Id, mode: Mode) {
        self.0.invalidate(&(kind, id.clone(), mode));
    }
}
