//! Asking one provider: through the cache, within the deadline, and with its answer checked before it is believed.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::Document;
use silta_engine::search::{Facet, FacetValue, facets};

use super::part::{How, Part, Report, parts};
use super::patient::Patient;
use super::same_mode;
use super::source::{Source, Translated};
use super::store_failed;
use super::{Asked, Asking, Federation};
use crate::access::caller::Mode;
use crate::clock::Instant;
use crate::gateway::cache::{Failure, Fetched, Found, Fresh, Key, Question};
use crate::gateway::outcome::Issue;
use crate::provider::{AdapterError, Answer, Identifier, NativeDocument, Read, Search};
use crate::store::{
    Commit, Direction, Disposition, Evidence, NewJournal, PersonId, ResourceKey, StoreError, View, Write,
};

const PATIENT: &str = "Patient";

/// By which question a resource was found that cannot be read by its id: a part of another document of its provider.
/// Bounded; what is forgotten is found again by searching.
pub(super) struct Whereabouts(moka::future::Cache<ResourceKey, Arc<Place>>);

#[derive(Clone)]
pub(super) struct Place {
    provider: Arc<str>,
    patient: Patient,
    types: Vec<String>,
}

impl Place {
    /// Whether both are the same question.
    fn is(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.types == other.types
            && match (self.patient.person, other.patient.person) {
                (None, None) => self.patient.identifiers == other.patient.identifiers,
                (one, two) => one == two,
            }
    }

    fn stored(&self, key: &ResourceKey) -> crate::store::Place {
        let identifiers = match self.patient.person {
            Some(_) => Vec::new(),
            None => self.patient.identifiers.iter().map(|one| (one.system.clone(), one.value.clone())).collect(),
        };
        crate::store::Place {
            key: key.clone(),
            provider: self.provider.to_string(),
            types: self.types.clone(),
            person: self.patient.person,
            identifiers,
        }
    }
}

/// What the store knows of where a resource can be had that is not kept.
pub(super) struct Traces {
    /// Its provider and its id there, where its own id is a hash.
    native: Option<(String, String)>,
    place: Option<Place>,
}

impl Traces {
    /// `remembered`: where it was found since the start.
    pub(super) fn of(view: &View<'_>, key: &ResourceKey, remembered: Option<&Place>) -> Result<Self, StoreError> {
        let native = view.native(key)?;
        if let Some(place) = remembered {
            // Two persons may have become one since.
            let person = place.patient.person.map(|person| view.survivor(person)).transpose()?;
            let place = Place { patient: Patient { person, ..place.patient.clone() }, ..place.clone() };
            return Ok(Self { native, place: Some(place) });
        }
        let Some(place) = view.place(key)? else { return Ok(Self { native, place: None }) };
        let patient = match place.person {
            Some(person) => Patient::of(view, person)?,
            None => Patient {
                person: None,
                identifiers: place
                    .identifiers
                    .into_iter()
                    .map(|(system, value)| Identifier { system, value })
                    .collect(),
                holders: BTreeSet::new(),
            },
        };
        let place = Place { provider: place.provider.into(), patient, types: place.types };
        Ok(Self { native, place: Some(place) })
    }
}

impl Whereabouts {
    pub(super) async fn place(&self, key: &ResourceKey) -> Option<Arc<Place>> {
        self.0.get(key).await
    }

    pub(super) fn new() -> Self {
        Self(moka::future::Cache::builder().max_capacity(200_000).build())
    }
}

impl Federation {
    /// Asks a provider for a patient's resources of these types.
    pub(super) async fn ask_about(
        &self,
        sources: &Asked,
        source: &Source,
        patient: &Patient,
        types: Vec<String>,
        deadline: Instant,
    ) -> (Vec<Part>, Report) {
        let answer = self.answer_about(sources, source, patient, types.clone(), deadline).await;
        let report = Report::of(&source.name, &answer);
        self.count(&source.name, &answer);
        let Ok((fetched, fresh)) = answer else { return (Vec::new(), report) };
        if matches!(fresh, Fresh::Live) {
            let place = Arc::new(Place { provider: Arc::clone(&source.name), patient: patient.clone(), types });
            self.remember(source, &place, &fetched).await;
        }
        (parts(&source.name, &fetched, how(&fresh), patient.person).collect(), report)
    }

    /// Remembers by which question resources were found; on the disk where they could not be found again without it.
    async fn remember(&self, source: &Source, place: &Arc<Place>, fetched: &Fetched) {
        let mut commit = Commit::new();
        for found in &fetched.resources {
            let known = self.whereabouts.0.get(&found.key).await;
            if known.is_some_and(|known| known.is(place)) {
                continue;
            }
            if !source.can_read(&found.key) {
                commit.write(Write::Place(place.stored(&found.key)));
            }
            self.whereabouts.0.insert(found.key.clone(), Arc::clone(place)).await;
        }
        if commit.write.is_empty() {
            return;
        }
        if let Err(error) = self.store.commit(commit).await {
            // The answer needs the audit, which needs the store, so that nothing is given that cannot be found again.
            tracing::warn!(provider = %source.name, %error, "where resources are found is not kept");
            for found in &fetched.resources {
                self.whereabouts.0.invalidate(&found.key).await;
            }
        }
    }

    async fn answer_about(
        &self,
        sources: &Asked,
        source: &Source,
        patient: &Patient,
        types: Vec<String>,
        deadline: Instant,
    ) -> Result<(Arc<Fetched>, Fresh), Failure> {
        let question = Question::Search { patient: patient.identifiers.clone(), types: types.clone() };
        let key = self.key(sources, source, question, patient.person);
        let search = Search { patient: patient.identifiers.clone(), types, since: None };
        let fetch = async {
            let asking = source.adapter.search(&search, deadline);
            let answer = match self.within(source, deadline, asking).await {
                // A provider that does not know the patient has answered.
                Err(failure) if failure.fault == Fault::NotFound => {
                    Answer { documents: Vec::new(), unusable: Vec::new(), not_searched: Vec::new(), complete: true }
                }
                answer => answer?,
            };
            let Answer { documents, unusable, not_searched, complete } = answer;
            let mut fetched = self.translated(sources, source, &documents).await?;
            self.only_about(sources, source, patient, &mut fetched, deadline).await?;
            fetched.not_searched = not_searched;
            fetched.complete &= complete && unusable.is_empty();
            for error in unusable {
                if let Some(answer) = error.answer() {
                    self.keep_as_evidence(source, std::slice::from_ref(answer)).await;
                }
                fetched.warnings.push(Issue::new(fault_of(&error), said(&error)).severity("warning"));
                fetched.passing |= error.passing() || matches!(error, AdapterError::TimedOut { .. });
            }
            Ok(fetched)
        };
        self.cache.answer(key, true, source.stale_if_error, fetch.boxed()).await
    }

    /// Asks the owner of a resource for it; none where it has none, or nobody is its owner.
    pub(super) async fn ask_for(
        &self,
        sources: &Asked,
        wanted: &ResourceKey,
        traces: Traces,
        mode: Mode,
        deadline: Instant,
    ) -> Result<Option<(Part, Option<Asking>)>, Failure> {
        let Traces { native, place: by_search } = traces;
        let person = by_search.as_ref().and_then(|place| place.patient.person);
        let native = native
            .or_else(|| wanted.id.split_once('.').map(|(provider, native)| (provider.to_owned(), native.to_owned())));
        let source = |name: &str| sources.find(name).filter(|source| same_mode(source.mode, mode));
        if let Some((provider, native)) = native
            && let Some(source) = source(&provider)
            && source.adapter.capabilities().of(&wanted.resource_type).read
        {
            let before = Self::generation(sources, source, person);
            let answer = self.answer_for(sources, source, wanted, native, person, deadline).await;
            self.count(&source.name, &answer);
            match answer {
                Ok((fetched, fresh)) => {
                    let found = parts(&source.name, &fetched, how(&fresh), person).find(|part| part.key == *wanted);
                    if let Some(mut part) = found {
                        self.attribute(&mut part).await?;
                        return Ok(Some((part, self.asking(&source.name, before, &fetched, &fresh))));
                    }
                }
                Err(failure) if matches!(failure.fault, Fault::NotFound | Fault::Deleted) => {}
                Err(failure) => return Err(failure),
            }
        }
        // A part of another document has no address of its own at its provider, and its id may say nothing.
        let Some(place) = by_search else { return Ok(None) };
        let Some(source) = source(&place.provider) else { return Ok(None) };
        let before = Self::generation(sources, source, person);
        let (fetched, fresh) =
            self.answer_about(sources, source, &place.patient, place.types.clone(), deadline).await?;
        let found = parts(&source.name, &fetched, how(&fresh), person).find(|part| part.key == *wanted);
        Ok(found.map(|part| (part, self.asking(&source.name, before, &fetched, &fresh))))
    }

    /// The generation of (provider, person), where it is known who is asked about.
    fn generation(sources: &Asked, source: &Source, person: Option<PersonId>) -> Option<(PersonId, u64)> {
        person.map(|person| (person, sources.translation.generation(&source.name, person)))
    }

    async fn answer_for(
        &self,
        sources: &Asked,
        source: &Source,
        wanted: &ResourceKey,
        native: String,
        person: Option<PersonId>,
        deadline: Instant,
    ) -> Result<(Arc<Fetched>, Fresh), Failure> {
        let resource_type = wanted.resource_type.clone();
        let question = Question::Read { resource_type: resource_type.clone(), native: native.clone() };
        let key = self.key(sources, source, question, person);
        let read = Read { resource_type, native_id: native, if_none_match: None };
        let fetch = async {
            let document = self.within(source, deadline, source.adapter.read(&read, deadline)).await?;
            self.translated(sources, source, std::slice::from_ref(&document)).await
        };
        // Whose it is is not known before it is there, so that no event could end what is kept of it.
        self.cache.answer(key, person.is_some(), source.stale_if_error, fetch.boxed()).await
    }

    fn count(&self, provider: &str, answer: &Result<(Arc<Fetched>, Fresh), Failure>) {
        let Some(counter) = &self.counter else { return };
        let code = answer.as_ref().map_or("failed", |(_, fresh)| how(fresh).code());
        counter.with_label_values(&[provider, code]).inc();
    }

    fn key(&self, sources: &Asked, source: &Source, question: Question, person: Option<PersonId>) -> Key {
        let generation = Self::generation(sources, source, person).map_or(0, |(_, generation)| generation);
        Key { provider: Arc::clone(&source.name), question, person, version: sources.version, generation }
    }

    /// What an adapter gives in time. An answer that cannot be used is kept as evidence.
    async fn within<T>(
        &self,
        source: &Source,
        deadline: Instant,
        asking: impl Future<Output = Result<T, AdapterError>>,
    ) -> Result<T, Failure> {
        let error = match self.clock.deadline(deadline, asking).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => AdapterError::TimedOut { sent: true },
        };
        if let Some(answer) = error.answer() {
            self.keep_as_evidence(source, std::slice::from_ref(answer)).await;
        }
        Err(Failure { fault: fault_of(&error), text: said(&error), retry_after: error.retry_after() })
    }

    async fn translated(
        &self,
        sources: &Asked,
        source: &Source,
        documents: &[NativeDocument],
    ) -> Result<Fetched, Failure> {
        let now = self.clock.now();
        let (mut translated, mut complete) = (Translated::default(), true);
        match sources.translation.translate(&source.name, documents).await {
            Ok(all) => translated = all,
            // One document that cannot be used does not take the others with it.
            Err(_) if documents.len() > 1 => {
                for document in documents {
                    let one = std::slice::from_ref(document);
                    match sources.translation.translate(&source.name, one).await {
                        Ok(good) => {
                            translated.resources.extend(good.resources);
                            translated.warnings.extend(good.warnings);
                        }
                        Err(issue) => {
                            complete = false;
                            self.refuse(source, one, &issue).await?;
                            let text = format!("a document that it gave cannot be used: {}", issue.text);
                            translated.warnings.push(Issue { text, severity: Some("warning"), ..issue });
                        }
                    }
                }
            }
            Err(issue) => {
                self.refuse(source, documents, &issue).await?;
                return Err(Failure { fault: Fault::ProviderAnswerUnusable, text: issue.text, retry_after: None });
            }
        }
        Ok(Fetched {
            resources: translated.resources.into_iter().filter_map(found).collect(),
            warnings: translated.warnings,
            not_searched: Vec::new(),
            complete,
            passing: false,
            as_of: documents.iter().map(|document| document.fetched_at).min().unwrap_or(now),
            instant: self.clock.instant(),
        })
    }

    /// Keeps documents that cannot be used as evidence.
    ///
    /// # Errors
    /// Where not the documents are at fault.
    async fn refuse(&self, source: &Source, documents: &[NativeDocument], issue: &Issue) -> Result<(), Failure> {
        if matches!(issue.fault, Fault::StoreUnavailable | Fault::Internal) {
            return Err(Failure { fault: issue.fault, text: issue.text.clone(), retry_after: None });
        }
        self.keep_as_evidence(source, documents).await;
        Ok(())
    }

    /// Takes out what the provider says of somebody else than it was asked about, and says so. Whose a resource is, is known
    /// by the Patients of the same answer, by what is kept here, else by the Patient that the provider is asked for.
    async fn only_about(
        &self,
        sources: &Asked,
        source: &Source,
        patient: &Patient,
        fetched: &mut Fetched,
        deadline: Instant,
    ) -> Result<(), Failure> {
        // Most providers have nothing of most patients, which is nobody's.
        if fetched.resources.is_empty() {
            return Ok(());
        }
        let of_patients = fetched.resources.iter().filter(|found| found.key.resource_type == PATIENT);
        let (strangers, given): (Vec<&Found>, Vec<&Found>) =
            of_patients.partition(|found| contradicts("identifier", &found.facets, &patient.identifiers));
        let (strangers, given) = (keys(&strangers), keys(&given));
        let says_whom = !given.is_empty();
        let about: BTreeSet<ResourceKey> =
            fetched.resources.iter().flat_map(|found| subjects(&found.key, &found.facets)).collect();
        let asked = patient.person;
        let known = self.store.read(move |view| {
            let (mut others, mut unknown) = (strangers, Vec::new());
            for key in about {
                let person = match view.member(&key)?.and_then(|member| member.resource.person) {
                    Some(person) => Some(person),
                    None => match key.id.split_once('.') {
                        Some((provider, native)) => view
                            .person(&Evidence::Patient { provider: provider.to_owned(), native: native.to_owned() })?,
                        None => None,
                    },
                };
                let person = person.map(|person| view.survivor(person)).transpose()?;
                if asked.is_some() && person.is_some() && person != asked {
                    others.push(key);
                } else if (asked.is_none() || person != asked) && !given.contains(&key) && !others.contains(&key) {
                    unknown.push(key);
                }
            }
            Ok((others, unknown))
        });
        let (mut others, unknown) = known.await.map_err(store_failed)?;
        if source.adapter.capabilities().of(PATIENT).read {
            let asking = unknown.into_iter().map(async |key| {
                let is_theirs = self.is_theirs(sources, source, patient, &key, deadline).await;
                (key, is_theirs)
            });
            let answers = futures_util::future::join_all(asking).await;
            others.extend(answers.into_iter().filter(|(_, is_theirs)| !is_theirs).map(|(key, _)| key));
        } else if says_whom {
            // It gave the Patients that bear what it was asked by, and these are not among them.
            others.extend(unknown);
        }
        let is_others = |found: &Found| {
            let mut about = subjects(&found.key, &found.facets).peekable();
            match about.peek() {
                Some(_) => about.all(|key| others.contains(&key)),
                None => ["patient", "subject"]
                    .into_iter()
                    .any(|parameter| contradicts(parameter, &found.facets, &patient.identifiers)),
            }
        };
        let before = fetched.resources.len();
        fetched.resources.retain(|found| !is_others(found));
        let dropped = before.saturating_sub(fetched.resources.len());
        if dropped > 0 {
            tracing::warn!(provider = %source.name, dropped, "a provider answered with resources of another patient");
            let text = format!(
                "{dropped} resources that it gave are not shown to be of the patient it was asked about, but of another patient or of nobody it knows"
            );
            fetched.warnings.push(Issue::new(Fault::ProviderAnswerUnusable, text).severity("warning"));
        }
        Ok(())
    }

    /// Whether a Patient that a provider refers to is the one that it was asked about, as far as that Patient says who it
    /// is. One that the provider does not give is nobody's.
    async fn is_theirs(
        &self,
        sources: &Asked,
        source: &Source,
        patient: &Patient,
        key: &ResourceKey,
        deadline: Instant,
    ) -> bool {
        let Some(native) = key.id.strip_prefix(source.name.as_ref()).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        // Boxed, since an answer is checked while another is being made.
        let answer = Box::pin(self.answer_for(sources, source, key, native.to_owned(), patient.person, deadline)).await;
        answer.is_ok_and(|(fetched, _)| {
            let mut found = fetched.resources.iter().filter(|found| found.key == *key);
            found.next().is_some_and(|found| !contradicts("identifier", &found.facets, &patient.identifiers))
        })
    }

    /// Says whose a part is, for the audit.
    async fn attribute(&self, part: &mut Part) -> Result<(), Failure> {
        if part.person.is_some() {
            return Ok(());
        }
        let Some(key) = subjects(&part.key, &part.facets).next() else { return Ok(()) };
        part.person = self
            .store
            .read(move |view| {
                if let Some(member) = view.member(&key)? {
                    return Ok(member.resource.person);
                }
                let Some((provider, native)) = key.id.split_once('.') else { return Ok(None) };
                view.person(&Evidence::Patient { provider: provider.to_owned(), native: native.to_owned() })
            })
            .await
            .map_err(store_failed)?;
        Ok(())
    }

    /// Journals answers that cannot be used. That they cannot be journalled is logged: the caller is told of the failure
    /// that led here either way.
    async fn keep_as_evidence(&self, source: &Source, documents: &[NativeDocument]) {
        let mut commit = Commit::new();
        for document in documents {
            commit.journal(NewJournal {
                received: document.fetched_at,
                provider: source.name.to_string(),
                direction: Direction::Inbound,
                media: document.media_type.clone(),
                control: String::new(),
                dedup: None,
                body: document.bytes.0.clone(),
                disposition: Disposition::Refused,
                acknowledgement: None,
            });
        }
        if let Err(error) = self.store.commit(commit).await {
            tracing::error!(provider = %source.name, %error, "an answer that cannot be used is not journalled");
        }
    }
}

fn keys(found: &[&Found]) -> Vec<ResourceKey> {
    found.iter().map(|found| found.key.clone()).collect()
}

fn how(fresh: &Fresh) -> How {
    match fresh {
        Fresh::Live => How::Live,
        Fresh::Kept => How::Kept,
        Fresh::Stale(_) => How::Stale,
    }
}

/// What one provider's adapter cannot do for lack of rights or by a fault is for the caller that it failed.
fn fault_of(error: &AdapterError) -> Fault {
    match error.fault() {
        fault @ (Fault::NotFound
        | Fault::Deleted
        | Fault::ProviderDown
        | Fault::ProviderSlow
        | Fault::ProviderAnswerUnusable) => fault,
        _ => Fault::ProviderAnswerUnusable,
    }
}

/// What is told of an adapter's failure: nothing of addresses or of what a library says.
fn said(error: &AdapterError) -> String {
    let text = match error {
        AdapterError::Unreachable { .. } => "it cannot be reached",
        AdapterError::Interrupted { .. } => "the connection broke before the answer was whole",
        AdapterError::TimedOut { .. } => "it did not answer in time",
        AdapterError::Busy => "too many requests to it are waiting",
        AdapterError::CircuitOpen { .. } => "it failed repeatedly a short time ago and is left alone for a while",
        AdapterError::Overloaded { .. } => "it says that it cannot take requests now",
        AdapterError::Failed { .. } => "it failed",
        AdapterError::CredentialsRefused { .. } => "it does not accept the gateway's credentials",
        AdapterError::NotFound => "it has no such resource",
        AdapterError::Deleted => "it has deleted the resource",
        AdapterError::InboundSchema { .. } => "its answer breaks its own schema",
        AdapterError::AnswerTooLarge { .. } => "its answer is larger than allowed",
        _ => "its answer cannot be used",
    };
    text.to_owned()
}

fn found(document: Arc<Document>) -> Option<Found> {
    let root = document.root();
    let key = ResourceKey::new(root.type_name(), root.text_at("id")?);
    let updated = root.text_at("meta.lastUpdated").and_then(|text| text.parse().ok());
    Some(Found { key, facets: facets(&document).into(), updated, document })
}

/// The Patients that a resource is about, or the one that it is.
fn subjects(key: &ResourceKey, facets: &[Facet]) -> impl Iterator<Item = ResourceKey> {
    let own = (key.resource_type == PATIENT).then(|| key.clone());
    let is_patient = own.is_some();
    let about = facets.iter().filter(|facet| facet.name == "patient" || facet.name == "subject");
    let about = about.filter_map(|facet| {
        let FacetValue::Reference(reference) = &facet.value else { return None };
        let id = reference.strip_prefix("Patient/")?;
        Some(ResourceKey::new(PATIENT, id.split('/').next().unwrap_or(id)))
    });
    own.into_iter().chain(about.filter(move |_| !is_patient))
}

/// Whether somebody is named by another identifier than one asked by, in its system, and not by that one: a Patient by its
/// own, what is about a Patient by the identifier in its reference.
fn contradicts(parameter: &str, facets: &[Facet], asked: &[Identifier]) -> bool {
    let own: Vec<(&str, &str)> = facets
        .iter()
        .filter(|facet| facet.name == parameter)
        .filter_map(|facet| match &facet.value {
            FacetValue::Token { system: Some(system), code } => Some((system.as_str(), code.as_str())),
            _ => None,
        })
        .collect();
    let shared = |one: &Identifier| own.iter().any(|(system, _)| *system == one.system);
    let same = |one: &Identifier| own.contains(&(one.system.as_str(), one.value.as_str()));
    asked.iter().any(shared) && !asked.iter().any(same)
}
