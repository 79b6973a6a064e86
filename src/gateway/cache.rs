//! What providers answered a short time ago, so that they need not be asked again.
//!
//! An entry is found by everything that its content depends on and by nothing else: provider, question, patient, the
//! version of configuration and maps, and the generation of (provider, patient) as it stood before the question was asked.
//! An event counts the generation up, and what was fetched before is not found again. Who asks is no part of it: what
//! depends on that comes after. Questions that are alike and come at one time are asked once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::Document;
use silta_engine::search::Facet;

use super::outcome::Issue;
use crate::clock::{Clock, Instant};
use crate::provider::Identifier;
use crate::store::{PersonId, ResourceKey};

/// `[cache]`: how long and how much of what providers answered is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How old an answer may be that is given again without asking; an event of the provider ends it sooner.
    #[serde(deserialize_with = "crate::clock::duration::deserialize")]
    pub max_age: Duration,
    /// Bytes of memory for answers.
    pub bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(30), bytes: 128 << 20 }
    }
}

/// What was asked of a provider.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// The resources of a patient.
    Search {
        /// By these identifiers, in order.
        patient: Vec<Identifier>,
        /// Of these types, in order.
        types: Vec<String>,
    },
    /// One resource.
    Read {
        /// Its type.
        resource_type: String,
        /// Its id at the provider.
        native: String,
    },
}

/// What an answer is found by. It has no `Debug`: it holds identifiers of a patient.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Who was asked.
    pub(crate) provider: Arc<str>,
    /// What.
    pub(crate) question: Question,
    /// About whom, where that is known.
    pub(crate) person: Option<PersonId>,
    /// The version of configuration, maps, profiles and terminology.
    pub(crate) version: u64,
    /// The generation of (provider, person), read before the question is asked.
    pub(crate) generation: u64,
}

/// An answer, translated.
pub(crate) struct Fetched {
    /// The resources.
    pub(crate) resources: Vec<Found>,
    /// What is to be said of it.
    pub(crate) warnings: Vec<Issue>,
    /// Types that the provider could not be asked for.
    pub(crate) not_searched: Vec<String>,
    /// False where the provider has more than it gave.
    pub(crate) complete: bool,
    /// Something is missing that asking again may give: it is given to who asked and not again.
    pub(crate) passing: bool,
    /// When it was there.
    pub(crate) as_of: Timestamp,
    /// The same, on the monotonic scale.
    pub(crate) instant: Instant,
}

/// One resource of an answer.
pub(crate) struct Found {
    pub(crate) key: ResourceKey,
    pub(crate) document: Arc<Document>,
    pub(crate) facets: Arc<[Facet]>,
    pub(crate) updated: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Which answer it becomes.
    pub(crate) fault: Fault,
    /// What is told of it.
    pub(crate) text: String,
    /// When trying again may help.
    pub(crate) retry_after: Option<Duration>,
}

/// How an answer was come by.
#[derive(Debug, Clone)]
pub(crate) enum Fresh {
    /// It was asked for now.
    Live,
    /// It was kept.
    Kept,
    /// It was kept and is past its time; the provider failed.
    Stale(Failure),
}

#[derive(Clone)]
enum Slot {
    Good(Arc<Fetched>),
    Failed(Failure),
}

/// The answers.
pub(crate) struct Cache {
    slots: moka::future::Cache<Key, Slot>,
    last: moka::future::Cache<Key, Arc<Fetched>>,
    max_age: Duration,
    bytes: u64,
    clock: Clock,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(config: &Config, clock: Clock) -> Self {
        let size = |fetched: &Fetched| fetched.weight();
        let slots = moka::future::Cache::builder()
            .max_capacity(config.bytes)
            .weigher(move |_: &Key, slot: &Slot| match slot {
                Slot::Good(fetched) => size(fetched),
                Slot::Failed(_) => 1,
            })
            .build();
        // The same answers, by what they are found by while their provider fails.
        let last = moka::future::Cache::builder()
            .max_capacity(config.bytes)
            .weigher(|_: &Key, fetched: &Arc<Fetched>| fetched.weight())
            .build();
        Self { slots, last, max_age: config.max_age, bytes: config.bytes, clock }
    }

    /// Bytes of memory for answers.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether an answer of this moment is young enough to be given again.
    pub(crate) fn is_young(&self, answered: Instant) -> bool {
        self.clock.instant().since(answered) <= self.max_age
    }

    /// The answer that is kept and young enough, else what `fetch` gives; while one fetches, others with the same key wait
    /// for what it gets. Where that fails, an answer no older than `stale` is given in its place. `reuse`: without it only
    /// what is being fetched is shared.
    pub(crate) async fn answer(
        &self,
        key: Key,
        reuse: bool,
        stale: Option<Duration>,
        fetch: impl Future<Output = Result<Fetched, Failure>>,
    ) -> Result<(Arc<Fetched>, Fresh), Failure> {
        let begun = self.clock.instant();
        let ungenerated = Key { generation: 0, ..key.clone() };
        let slot = self
            .slots
            .entry(key)
            .or_insert_with_if(
                async {
                    match fetch.await {
                        Ok(fetched) => {
                            let fetched = Arc::new(fetched);
                            if stale.is_some() && !fetched.passing {
                                self.last.insert(ungenerated.clone(), Arc::clone(&fetched)).await;
                            }
                            Slot::Good(fetched)
                        }
                        Err(failure) => Slot::Failed(failure),
                    }
                },
                |slot| match slot {
                    Slot::Good(fetched) => !reuse || fetched.passing || begun.since(fetched.instant) > self.max_age,
                    Slot::Failed(_) => true,
                },
            )
            .await
            .into_value();
        match slot {
            Slot::Good(fetched) if fetched.instant >= begun => Ok((fetched, Fresh::Live)),
            Slot::Good(fetched) => Ok((fetched, Fresh::Kept)),
            Slot::Failed(failure) => match (stale, self.last.get(&ungenerated).await) {
                (Some(limit), Some(fetched)) if begun.since(fetched.instant) <= limit && failure.may_be_bridged() => {
                    Ok((fetched, Fresh::Stale(failure)))
                }
                _ => Err(failure),
            },
        }
    }
}

impl Failure {
    /// Whether an old answer says more than the failure: not where the provider itself says that there is none.
    fn may_be_bridged(&self) -> bool {
        matches!(self.fault, Fault::ProviderDown | Fault::ProviderSlow | Fault::ProviderAnswerUnusable)
    }
}

impl Fetched {
    /// About how many bytes of memory it takes.
    fn weight(&self) -> u32 {
        const EACH: usize = 512;
        const SLOT: usize = 24;
        let bytes = self.resources.iter().fold(EACH, |sum, found| {
            let facets = found.facets.len().saturating_mul(128);
            let document = found.document.json().len().saturating_add(found.document.size().saturating_mul(SLOT));
            sum.saturating_add(document).saturating_add(facets).saturating_add(EACH)
        });
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}
