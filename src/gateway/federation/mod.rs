//! One answer from many providers: who is asked, by when, and what comes of it.
//!
//! What a provider pushed is in the store; a provider that can be asked is asked, all of them at one time and each within
//! one deadline, through its guarded adapter and the [cache]. What comes back are `Part`s that say
//! where they come from and how old they are, and a `Report` a provider, so that a silent one is named.

mod ask;
mod message;
pub(crate) mod part;
mod patient;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use prometheus::{IntCounter, IntCounterVec};
use serde::Deserialize;

use self::ask::{Traces, Whereabouts};
pub(crate) use self::message::of_members;
use self::part::{How, Part, Report, State, merged};
pub(crate) use self::patient::Patient;
pub use self::source::{Source, Sources, Translated, Translation};
use super::cache::{self, Cache, Failure, Fresh};
use crate::access::caller::Mode;
use crate::clock::{Clock, Instant};
use crate::provider;
use crate::store::{Member, PersonId, ResourceKey, Stamp, Store, StoreError};
use crate::telemetry::metrics::{MetricError, Metrics};

/// `[federation]`: who is asked for what is not kept here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which providers are asked about a patient: `all` that can be, or only those `known` to have the patient.
    pub ask: Ask,
    /// How long a provider may take. What is late is named in the answer.
    #[serde(deserialize_with = "crate::clock::duration::deserialize")]
    pub deadline: Duration,
}

/// Which providers are asked about a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// Every provider that can be asked for the types wanted.
    #[default]
    All,
    /// Those of them that have sent something about the patient before.
    Known,
}

impl Default for Config {
    fn default() -> Self {
        Self { ask: Ask::All, deadline: Duration::from_secs(8) }
    }
}

/// Who is asked, how, and by what the answers are translated: one configuration, with which a question ends that began
/// with it.
pub(crate) struct Asked {
    sources: Sources,
    translation: Arc<dyn Translation>,
    config: Config,
}

impl std::ops::Deref for Asked {
    type Target = Sources;

    fn deref(&self) -> &Sources {
        &self.sources
    }
}

/// The providers, the store and the cache as one.
pub struct Federation {
    asked: ArcSwap<Asked>,
    pub(crate) store: Store,
    cache: Cache,
    whereabouts: Whereabouts,
    counter: Option<IntCounterVec>,
    pub(crate) clock: Clock,
}

/// What is known of a patient, and who said so.
pub(crate) struct Gathered {
    pub(crate) parts: BTreeMap<ResourceKey, Part>,
    pub(crate) reports: Vec<Report>,
}

/// A resource that was found, and by what it can be known to be the same still.
pub(crate) struct Found {
    pub(crate) part: Part,
    /// None where it must be looked for each time.
    pub(crate) basis: Option<Basis>,
}

/// What a part that was found rests on: while it holds, looking for it again would give the same.
pub(crate) struct Basis {
    stamp: Stamp,
    sources: Arc<Asked>,
    live: Option<Asking>,
}

/// What a provider's answer rests on.
struct Asking {
    provider: Arc<str>,
    person: PersonId,
    generation: u64,
    /// When the provider was asked.
    instant: Instant,
    counter: Option<IntCounter>,
}

impl Federation {
    /// A federation of these providers.
    #[must_use]
    pub fn new(
        sources: Sources,
        store: Store,
        translation: Arc<dyn Translation>,
        config: Config,
        cache: &cache::Config,
        clock: Clock,
    ) -> Self {
        Self {
            asked: ArcSwap::from_pointee(Asked { sources, translation, config }),
            store,
            cache: Cache::new(cache, clock.clone()),
            whereabouts: Whereabouts::new(),
            counter: None,
            clock,
        }
    }

    /// Counts answers by provider and by how they were come by.
    ///
    /// # Errors
    /// When a metric of the name is there already.
    pub fn measured(mut self, metrics: &Metrics) -> Result<Self, MetricError> {
        let help = "Answers of providers by how they were come by: live, cached, stale, failed";
        self.counter = Some(metrics.counters("silta_provider_answers_total", help, &["provider", "how"])?);
        Ok(self)
    }

    /// Asks these providers from now on, and has their answers translated so. What was answered before is not given again
    /// when the version of the sources is another one.
    pub fn replace(&self, sources: Sources, translation: Arc<dyn Translation>, config: Config) {
        self.asked.store(Arc::new(Asked { sources, translation, config }));
    }

    /// The version of the configuration by which providers are asked.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.asked.load().version
    }

    /// Bytes of memory for answers.
    pub(crate) const fn cache_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// When providers are given up for a request with this deadline: early enough to say so.
    pub(crate) fn deadline(&self, request: Instant) -> Instant {
        let now = self.clock.instant();
        let allowed = request.since(now).saturating_mul(9) / 10;
        now.after(allowed.min(self.asked.load().config.deadline))
    }

    /// The Provenances of what is kept of persons.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn traces(&self, members: Vec<Member>, mode: Mode) -> Result<Vec<Part>, StoreError> {
        let sources = self.asked.load_full();
        let parts = self.store.read(move |view| of_members(view, &sources, &members)).await?;
        Ok(self.visible(parts, mode))
    }

    /// Says of everyone who could be asked for a type that they were not, and why.
    pub(crate) fn not_asked(&self, resource_type: &str, why: &'static str) -> Vec<Report> {
        let sources = self.asked.load();
        let able = sources.live().filter(|source| source.adapter.capabilities().of(resource_type).search);
        able.map(|source| Report { provider: Arc::clone(&source.name), state: State::NotAsked(why) }).collect()
    }

    /// Whether a version that is kept here is of the caller's mode.
    pub(crate) fn is_of_mode(&self, provider: Option<&str>, content: &[u8], mode: Mode) -> bool {
        let sources = self.asked.load();
        let source = provider.and_then(|name| sources.find(name));
        let labelled = || memchr::memmem::find(content, b"\"HTEST\"").is_some();
        source.is_none_or(|source| same_mode(source.mode, mode)) && (mode == Mode::Test || !labelled())
    }

    /// Those of these parts that are of the caller's mode.
    pub(crate) fn visible(&self, mut parts: Vec<Part>, mode: Mode) -> Vec<Part> {
        let sources = self.asked.load();
        parts.retain(|part| may_see(&sources, part, mode));
        parts
    }

    /// Everything of these types about a patient, from the store and from whoever can be asked. `kept`: the types to be
    /// taken from the store; none: all.
    ///
    /// # Errors
    /// When the store cannot be read. A provider that fails is in the reports.
    pub(crate) async fn gather(
        &self,
        patient: &Patient,
        kept: &[&'static str],
        types: &[&'static str],
        mode: Mode,
        deadline: Instant,
    ) -> Result<Gathered, StoreError> {
        let sources = self.asked.load_full();
        let (mut asked, mut reports) = (Vec::new(), Vec::new());
        for source in sources.live() {
            let wanted: Vec<String> = types
                .iter()
                .filter(|name| source.adapter.capabilities().of(name).search)
                .map(|name| (*name).to_owned())
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let name = &source.name;
            let reason = if !same_mode(source.mode, mode) {
                Some("it is of another mode (test or production) than the caller")
            } else if patient.identifiers.is_empty() {
                Some("no identifier of the patient is known that it could be asked by")
            } else if sources.config.ask == Ask::Known && !patient.holders.contains(name.as_ref()) {
                Some("it is not known to have the patient")
            } else {
                None
            };
            match reason {
                Some(reason) => reports.push(Report { provider: Arc::clone(name), state: State::NotAsked(reason) }),
                None => asked.push(self.ask_about(&sources, source, patient, wanted, deadline)),
            }
        }
        let traced = types.contains(&PROVENANCE).then(|| Arc::clone(&sources));
        let (person, kept) = (patient.person, kept.to_vec());
        let stored = self.store.read(move |view| match (person, traced) {
            (Some(person), None) => Ok(view.members(Some(person), &kept)?.into_iter().map(Part::stored).collect()),
            // Where anything of the person comes from.
            (Some(person), Some(sources)) => {
                let mut members = view.members(Some(person), &[])?;
                let traces = of_members(view, &sources, &members)?;
                members.retain(|member| kept.is_empty() || kept.contains(&member.resource.key.resource_type.as_str()));
                Ok(members.into_iter().map(Part::stored).chain(traces).collect())
            }
            (None, _) => Ok(Vec::new()),
        });
        let (stored, answers) = futures_util::future::join(stored, join_all(asked)).await;
        let mut parts: Vec<Part> = stored?;
        for (answered, report) in answers {
            parts.extend(answered);
            reports.push(report);
        }
        parts.retain(|part| may_see(&sources, part, mode));
        reports.sort_by(|one, other| one.provider.cmp(&other.provider));
        Ok(Gathered { parts: merged(parts), reports })
    }

    /// One resource: as it is kept here, else as its owner gives it. None where nobody has it.
    ///
    /// # Errors
    /// Where its owner fails, or the store.
    pub(crate) async fn find(&self, key: &ResourceKey, mode: Mode, deadline: Instant) -> Result<Option<Part>, Failure> {
        Ok(self.find_with_basis(key, mode, deadline).await?.map(|found| found.part))
    }

    /// As [`Federation::find`], with what the finding rests on.
    ///
    /// # Errors
    /// Where its owner fails, or the store.
    pub(crate) async fn find_with_basis(
        &self,
        key: &ResourceKey,
        mode: Mode,
        deadline: Instant,
    ) -> Result<Option<Found>, Failure> {
        let (sources, stamp) = (self.asked.load_full(), self.store.stamp(key));
        let (wanted, remembered) = (key.clone(), self.whereabouts.place(key).await);
        let known = Arc::clone(&sources);
        let kept = self.store.read(move |view| {
            if let Some(member) = view.member(&wanted)? {
                return Ok(Ok((Part::stored(member), Some(None))));
            }
            // What is made when it is read rests on many rows.
            match message::part(view, &known, &wanted)? {
                Some(part) => Ok(Ok((part, None))),
                None => Traces::of(view, &wanted, remembered.as_deref()).map(Err),
            }
        });
        let found = match kept.await.map_err(store_failed)? {
            Ok(found) => Some(found),
            Err(traces) => {
                let asked = self.ask_for(&sources, key, traces, mode, deadline).await?;
                asked.map(|(part, asking)| (part, asking.map(Some)))
            }
        };
        Ok(found
            .filter(|(part, _)| may_see(&sources, part, mode))
            .map(|(part, live)| Found { part, basis: live.map(|live| Basis { stamp, sources, live }) }))
    }

    /// Whether what was found on this basis would be found again now. Counts it as an answer that was kept if so.
    pub(crate) fn holds(&self, basis: &Basis) -> bool {
        let holds = self.store.holds(&basis.stamp)
            && Arc::ptr_eq(&self.asked.load(), &basis.sources)
            && basis.live.as_ref().is_none_or(|asking| {
                basis.sources.translation.generation(&asking.provider, asking.person) == asking.generation
                    && self.cache.is_young(asking.instant)
            });
        if holds && let Some(counter) = basis.live.as_ref().and_then(|asking| asking.counter.as_ref()) {
            counter.inc();
        }
        holds
    }

    /// What an answer about a person rests on, with the generation as it stood before the question was asked.
    fn asking(
        &self,
        provider: &Arc<str>,
        before: Option<(PersonId, u64)>,
        fetched: &cache::Fetched,
        fresh: &Fresh,
    ) -> Option<Asking> {
        let (person, generation) = before?;
        if matches!(fresh, Fresh::Stale(_)) {
            return None;
        }
        let counter = self.counter.as_ref().map(|counter| counter.with_label_values(&[provider, How::Kept.code()]));
        Some(Asking { provider: Arc::clone(provider), person, generation, instant: fetched.instant, counter })
    }
}

/// The type that says where resources come from; made when it is asked for.
pub(crate) const PROVENANCE: &str = "Provenance";

/// Test data never goes to a system with real persons, nor the reverse.
fn same_mode(source: provider::Mode, caller: Mode) -> bool {
    match source {
        provider::Mode::Test => caller == Mode::Test,
        provider::Mode::Production => caller == Mode::Production,
    }
}

/// Whether a part is of the caller's mode: by its provider's, and a made-up person's by its label.
fn may_see(sources: &Sources, part: &Part, mode: Mode) -> bool {
    let source = part.origin.provider.as_deref().and_then(|name| sources.find(name));
    if source.is_some_and(|source| !same_mode(source.mode, mode)) {
        return false;
    }
    let labelled = part.facets.iter().any(|facet| {
        facet.name == "_security"
            && matches!(&facet.value, silta_engine::search::FacetValue::Token { system: Some(system), code }
                if code == "HTEST" && system == "http://terminology.hl7.org/CodeSystem/v3-ActReason")
    });
    mode == Mode::Test || !labelled
}

pub(crate) fn store_failed(error: StoreError) -> Failure {
    tracing::warn!(%error, "the store cannot be read");
    Failure { fault: error.fault(), text: "what is kept here cannot be read now".to_owned(), retry_after: None }
}
