//! Parts of an answer: resources with where they come from and how old that is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use silta_engine::fhir::document::Document;
use silta_engine::search::Facet;

use crate::gateway::cache::{Failure, Fetched, Fresh};
use crate::gateway::outcome::Issue;
use crate::store::{Member, PersonId, ResourceKey};

/// A resource that may be given.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) key: ResourceKey,
    pub(crate) content: Content,
    pub(crate) facets: Arc<[Facet]>,
    /// `meta.lastUpdated`.
    pub(crate) updated: Option<Timestamp>,
    /// The version that is kept here; none for what is asked live.
    pub(crate) version: Option<u64>,
    pub(crate) person: Option<PersonId>,
    pub(crate) origin: Origin,
}

/// Its JSON text.
#[derive(Clone)]
pub(crate) enum Content {
    Stored(Bytes),
    Document(Arc<Document>),
}

/// Where a part comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The provider; none for the gateway's own.
    pub(crate) provider: Option<Arc<str>>,
    pub(crate) how: How,
    /// When it was received or fetched.
    pub(crate) as_of: Timestamp,
}

/// How a part was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Kept here: what a provider sent, or the gateway's own.
    Stored,
    /// The provider was asked for it now.
    Live,
    /// The provider was asked for it a short time ago.
    Kept,
    /// The provider was asked for it some time ago and now fails.
    Stale,
}

impl How {
    /// The code in answers.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Live => "live",
            Self::Kept => "cached",
            Self::Stale => "stale",
        }
    }
}

impl Content {
    /// The text; empty where what is stored is not UTF-8, which the store never takes.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Stored(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            Self::Document(document) => document.json(),
        }
    }
}

/// What became of asking a provider.
pub(crate) struct Report {
    pub(crate) provider: Arc<str>,
    pub(crate) state: State,
}

pub(crate) enum State {
    /// It answered.
    Answered {
        how: How,
        as_of: Timestamp,
        resources: usize,
        complete: bool,
        not_searched: Vec<String>,
        warnings: Vec<Issue>,
    },
    /// It failed, and an older answer is given.
    Stale { failure: Failure, as_of: Timestamp, resources: usize },
    /// It failed.
    Silent(Failure),
    /// It was not asked, and why.
    NotAsked(&'static str),
}

impl Part {
    pub(crate) fn stored(member: Member) -> Self {
        let Member { resource, facets } = member;
        Self {
            content: Content::Stored(resource.content),
            facets: facets.into_iter().map(Facet::from).collect(),
            updated: Some(resource.updated),
            version: Some(resource.version),
            person: resource.person,
            origin: Origin { provider: resource.provider.map(Arc::from), how: How::Stored, as_of: resource.updated },
            key: resource.key,
        }
    }

    /// The provider whose the resource is, as its id says.
    fn owner(&self) -> Option<&str> {
        self.key.id.split_once('.').map(|(owner, _)| owner)
    }

    /// Which of several copies of one resource is given: the gateway's own; then the owner's of now; then what is kept;
    /// then what another says of it.
    fn standing(&self) -> u8 {
        let is_owners = match (&self.origin.provider, self.owner()) {
            (Some(provider), Some(owner)) => provider.as_ref() == owner,
            (Some(_), None) => true,
            (None, _) => false,
        };
        match (&self.origin.provider, self.origin.how) {
            (None, _) => 4,
            (Some(_), How::Live | How::Kept) if is_owners => 3,
            (Some(_), How::Stored) => 2,
            (Some(_), How::Stale) if is_owners => 1,
            (Some(_), _) => 0,
        }
    }
}

/// The parts of a provider's answer.
pub(crate) fn parts(
    provider: &Arc<str>,
    fetched: &Fetched,
    how: How,
    person: Option<PersonId>,
) -> impl Iterator<Item = Part> {
    fetched.resources.iter().map(move |found| Part {
        key: found.key.clone(),
        content: Content::Document(Arc::clone(&found.document)),
        facets: Arc::clone(&found.facets),
        updated: found.updated,
        version: None,
        person,
        origin: Origin { provider: Some(Arc::clone(provider)), how, as_of: fetched.as_of },
    })
}

/// One copy of each resource, by type and id.
pub(crate) fn merged(parts: impl IntoIterator<Item = Part>) -> BTreeMap<ResourceKey, Part> {
    let mut merged: BTreeMap<ResourceKey, Part> = BTreeMap::new();
    for part in parts {
        let rank = |part: &Part| (part.standing(), Reverse(part.origin.how), part.updated);
        match merged.get(&part.key) {
            Some(held) if rank(held) >= rank(&part) => {}
            _ => {
                merged.insert(part.key.clone(), part);
            }
        }
    }
    merged
}

impl Report {
    /// What is reported of an answer.
    pub(crate) fn of(provider: &Arc<str>, answer: &Result<(Arc<Fetched>, Fresh), Failure>) -> Self {
        let state = match answer {
            Ok((fetched, Fresh::Stale(failure))) => {
                State::Stale { failure: failure.clone(), as_of: fetched.as_of, resources: fetched.resources.len() }
            }
            Ok((fetched, fresh)) => State::Answered {
                how: if matches!(fresh, Fresh::Live) { How::Live } else { How::Kept },
                as_of: fetched.as_of,
                resources: fetched.resources.len(),
                complete: fetched.complete,
                not_searched: fetched.not_searched.clone(),
                warnings: fetched.warnings.clone(),
            },
            Err(failure) => State::Silent(failure.clone()),
        };
        Self { provider: Arc::clone(provider), state }
    }

    /// Whether something may be missing from the answer because of it.
    pub(crate) fn is_gap(&self) -> bool {
        match &self.state {
            State::Answered { complete, .. } => !complete,
            State::Stale { .. } | State::Silent(_) => true,
            State::NotAsked(_) => false,
        }
    }

    /// Whether the provider was asked.
    pub(crate) const fn was_asked(&self) -> bool {
        !matches!(self.state, State::NotAsked(_))
    }
}
