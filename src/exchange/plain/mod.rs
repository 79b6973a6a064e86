//! Providers whose documents are FHIR resources: a Task is brought to them with what it refers to, each resource by FHIR's
//! own interactions, and what they do to it is taken back.
//!
//! What is brought is the state as it is now, not a message: what is there already is found, by the provider's name for it or
//! by a business identifier, and only what differs is written. So nothing is made twice, however often it is tried.

mod merge;
mod take;
mod watch;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use silta_engine::fhir::document::Document;

use crate::provider::{
    Action, Adapter, AdapterError, Delivery, Identifier, Interactions, Mode, NativeDocument, Payload, Read, Receipt,
    SetupError,
};
use crate::store::{
    Commit, Direction, Disposition, Message, NewJournal, NewOriginal, PersonId, ResourceKey, StoreError, View, Write,
};

use self::merge::merged;
use super::Exchange;
use super::error::ExchangeError;
use super::known;
use super::localise::is_test;
use super::outbox::TaskNews;
use super::partner::Partner;
use super::receive::{ATTEMPTS, is_overtaken};
use super::render;

/// The system of the gateway's own ids of Tasks, under which other systems hold them.
pub(crate) const TASKS: &str = "urn:silta:task";
/// The same of other resources that have no identifier of their own.
const RESOURCES: &str = "urn:silta:resource";
const MEDIA: &str = "application/fhir+json";
/// The media type of a [`Record`].
const RECORD: &str = "application/vnd.silta.held+json";
/// How often a provider's own change in between is taken and ours made anew, in one delivery.
const ROUNDS: usize = 4;

/// What is brought along with a Task, where the provider lets it be made. Plans and teams are coordinated otherwise.
fn is_carried(kind: &str) -> bool {
    matches!(kind, "Patient" | "ServiceRequest" | "Task") || write::INSIDE.contains(&kind)
}

/// What a provider was given, and how it has it: what the next change is made on.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// What the provider calls it.
    native: String,
    /// What it was given last.
    sent: Box<RawValue>,
    /// How it had it when it was last seen.
    held: Box<RawValue>,
}

/// Why a Task was not brought.
pub(super) struct Undelivered {
    pub(super) reason: String,
    /// Whether trying later may help.
    pub(super) again: bool,
}

/// Everything that is known of a Task and of how a provider has it.
struct Standing {
    task: ResourceKey,
    order: Option<ResourceKey>,
    /// The Task, its order, and what they refer to.
    resources: Vec<(ResourceKey, Arc<Document>)>,
    /// What the provider calls them: `Type/id` here → id there.
    names: HashMap<String, String>,
    records: HashMap<String, Record>,
    /// What was made a moment ago, and is as it is to be.
    made: Vec<ResourceKey>,
    /// Whether any of it is about a made-up person.
    is_test: bool,
}

/// What came of comparing.
enum Brought {
    Done,
    /// The provider had changed it itself: everything is looked at anew.
    Moved,
}

impl Undelivered {
    fn for_good(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), again: false }
    }
}

impl From<AdapterError> for Undelivered {
    fn from(error: AdapterError) -> Self {
        Self { reason: error.to_string(), again: error.retryable() }
    }
}

impl From<ExchangeError> for Undelivered {
    fn from(error: ExchangeError) -> Self {
        Self { again: matches!(error, ExchangeError::Store(_)), reason: error.to_string() }
    }
}

impl From<StoreError> for Undelivered {
    fn from(error: StoreError) -> Self {
        Self { reason: error.to_string(), again: true }
    }
}

/// Whether a provider is brought its Tasks as FHIR resources.
pub(super) fn is_brought(partner: &Partner) -> bool {
    let capabilities = partner.connection.adapter.capabilities();
    let may = |kind| {
        let Interactions { create, update, .. } = capabilities.of(kind);
        create && update
    };
    partner.settings.task.is_none() && partner.connection.speaks_fhir() && may("Task")
}

/// Refuses a provider at which a repeated create would make a second one.
///
/// # Errors
/// The key below `providers.NAME`.
pub(super) fn check(partner: &Partner) -> Result<(), SetupError> {
    if !is_brought(partner) || partner.connection.creates_conditionally() {
        return Ok(());
    }
    let capabilities = partner.connection.adapter.capabilities();
    let blind = capabilities.types.iter().find(|(kind, of)| is_carried(kind) && of.create && !of.search);
    match blind {
        Some((kind, _)) => Err(SetupError::new(
            format!("fhir.types.{kind}"),
            "what is made there must be found again: needs search = true, or conditional_create for the server",
        )),
        None => Ok(()),
    }
}

impl Exchange {
    /// Brings a Task, as it is now, to a provider that speaks FHIR.
    pub(super) async fn bring(&self, partner: &Arc<Partner>, message: &Message, task: &str) -> Result<(), Undelivered> {
        for _ in 0..ROUNDS {
            let Some(mut standing) = self.standing_at(partner, task).await? else {
                return Err(Undelivered::for_good("the Task of this message is not there"));
            };
            // Before anything is asked: a question names the patient too.
            if standing.is_test != partner.is_test() {
                return Err(AdapterError::WrongMode.into());
            }
            self.make_what_is_missing(partner, message, &mut standing).await?;
            let mut moved = false;
            for key in standing.order.iter().chain([&standing.task]) {
                let brought = self.bring_up_to_date(partner, message, key, &standing).await?;
                moved |= matches!(brought, Brought::Moved);
            }
            if !moved {
                return Ok(());
            }
        }
        Err(Undelivered { reason: "the provider kept changing it in between".to_owned(), again: true })
    }

    async fn standing_at(&self, partner: &Arc<Partner>, task: &str) -> Result<Option<Standing>, ExchangeError> {
        let (provider, task) = (partner.name().to_owned(), ResourceKey::new("Task", task));
        let found = self.store().read(move |view| standing(view, &provider, task)).await?;
        let Some((task, order, raw, names, records)) = found else { return Ok(None) };
        let resources = raw
            .into_iter()
            .map(|(key, content)| Ok((key, self.stored(&content)?)))
            .collect::<Result<Vec<_>, ExchangeError>>()?;
        let is_test = resources.iter().any(|(_, document)| is_test(document.root()));
        Ok(Some(Standing { task, order, resources, names, records, made: Vec::new(), is_test }))
    }

    /// Makes at the provider what the Task needs and it does not have, what is referred to first.
    async fn make_what_is_missing(
        &self,
        partner: &Arc<Partner>,
        message: &Message,
        standing: &mut Standing,
    ) -> Result<(), Undelivered> {
        let capabilities = partner.connection.adapter.capabilities();
        let is_test = standing.is_test;
        let can_make = |key: &ResourceKey| {
            let kind = key.resource_type.as_str();
            let is_ours = match kind {
                "Task" => *key == standing.task,
                "ServiceRequest" => Some(key) == standing.order.as_ref(),
                _ => is_carried(kind),
            };
            is_ours && capabilities.of(kind).create
        };
        let missing: Vec<usize> =
            write::in_order(&standing.resources, |key| can_make(key) && !standing.names.contains_key(&key.to_string()));
        for place in missing {
            let Some((key, document)) = standing.resources.get(place).cloned() else { continue };
            let Some(identifier) = write::identifier(&document, &key, self.person_systems()) else { continue };
            let text = self.written(&key, standing)?;
            // A server that looks itself is not asked twice.
            let found = match partner.connection.creates_conditionally() {
                true => None,
                false => self.found(partner, &key, &identifier).await?,
            };
            let held = match found {
                Some(held) => held,
                None => {
                    let new = Some(&identifier);
                    let sent = self.submit(partner, message, (&key, &text), Action::Create, new, is_test).await?;
                    let status = sent.created;
                    let held = self.created(partner, &key, &identifier, &text, sent).await?;
                    // What was there already is compared below.
                    if status {
                        self.keep_sent(partner, message, &key, &text, &held).await?;
                        standing.made.push(key.clone());
                    }
                    held
                }
            };
            let Some(native) = held.native_id.clone() else {
                return Err(Undelivered {
                    reason: "the provider does not say what it calls it".to_owned(),
                    again: true,
                });
            };
            if key.resource_type != "Task" {
                self.keep_name(&key, partner.name(), &native).await?;
            }
            standing.names.insert(key.to_string(), native);
        }
        Ok(())
    }

    /// A resource as it is written for the provider.
    fn written(&self, key: &ResourceKey, standing: &Standing) -> Result<String, ExchangeError> {
        let gateway = self.bases(None).gateway.first().cloned();
        write::written(key, &standing.resources, &standing.names, gateway.as_deref())
            .ok_or(ExchangeError::Internal("a resource cannot be written"))
    }

    /// What the provider has under an identifier.
    async fn found(
        &self,
        partner: &Arc<Partner>,
        key: &ResourceKey,
        identifier: &Identifier,
    ) -> Result<Option<NativeDocument>, Undelivered> {
        let adapter = &partner.connection.adapter;
        if !adapter.capabilities().of(&key.resource_type).search {
            return Ok(None);
        }
        let mut found = adapter.identified(&key.resource_type, identifier, self.patience()).await?;
        // A server that passes over what it is asked by answers with others'.
        found.retain(|one| merge::bears(&one.bytes, identifier));
        match (found.pop(), found.is_empty()) {
            (found, true) => Ok(found),
            _ => {
                Err(Undelivered::for_good(format!("the provider has several {} of one identifier", key.resource_type)))
            }
        }
    }

    /// What the provider made, by its own word or by looking.
    async fn created(
        &self,
        partner: &Arc<Partner>,
        key: &ResourceKey,
        identifier: &Identifier,
        text: &str,
        receipt: Receipt,
    ) -> Result<NativeDocument, Undelivered> {
        let now = self.clock().now();
        if let Some(returned) = receipt.returned.filter(|returned| returned.native_id.is_some()) {
            let is_it = receipt.created || merge::bears(&returned.bytes, identifier);
            let what = format!("the provider gave a {} of another identifier", key.resource_type);
            return if is_it { Ok(returned) } else { Err(Undelivered::for_good(what)) };
        }
        if let Some(native) = receipt.native_id {
            return Ok(NativeDocument {
                bytes: Payload(Bytes::copy_from_slice(text.as_bytes())),
                media_type: MEDIA.to_owned(),
                kind: Some(key.resource_type.clone()),
                native_id: Some(native),
                url: None,
                version: receipt.version,
                last_modified: None,
                fetched_at: now,
            });
        }
        let found = self.found(partner, key, identifier).await?;
        found.ok_or_else(|| Undelivered {
            reason: format!("the provider took the {} and does not have it", key.resource_type),
            again: true,
        })
    }

    /// Compares what the provider has with what it is to have, and writes what differs onto the version that was compared.
    async fn bring_up_to_date(
        &self,
        partner: &Arc<Partner>,
        message: &Message,
        key: &ResourceKey,
        standing: &Standing,
    ) -> Result<Brought, Undelivered> {
        let capabilities = partner.connection.adapter.capabilities().of(&key.resource_type);
        let is_its_own = key.id.strip_prefix(partner.name()).is_some_and(|rest| rest.starts_with('.'));
        let Some(native) = standing.names.get(&key.to_string()) else {
            let what = format!("the provider has no {} and none can be made there", key.resource_type);
            return if key.resource_type == "Task" { Err(Undelivered::for_good(what)) } else { Ok(Brought::Done) };
        };
        if !capabilities.update || (is_its_own && key.resource_type != "Task") {
            return Ok(Brought::Done);
        }
        if standing.made.contains(key) {
            return Ok(Brought::Done);
        }
        let record = standing.records.get(&key.to_string());
        let (held, version) = match (capabilities.read, record) {
            (true, _) => {
                let read =
                    Read { resource_type: key.resource_type.clone(), native_id: native.clone(), if_none_match: None };
                let held = partner.connection.adapter.read(&read, self.patience()).await?;
                (String::from_utf8_lossy(&held.bytes).into_owned(), held.version)
            }
            (false, Some(record)) => {
                let held = record.held.get().to_owned();
                let version = merge::version(&held);
                (held, version)
            }
            (false, None) => (format!("{{\"resourceType\":\"{}\",\"id\":\"{native}\"}}", key.resource_type), None),
        };
        if key.resource_type == "Task"
            && let Some(record) = record
            && merge::status(&held) != merge::status(record.held.get())
        {
            self.take_change(partner, key, native, &held).await?;
            return Ok(Brought::Moved);
        }
        let text = self.written(key, standing)?;
        let Some(next) = merged(&held, record.map(|record| record.sent.get()), &text, native) else {
            return Err(Undelivered::for_good("what the provider has is no resource"));
        };
        let Some(next) = next else {
            if record.is_none() {
                self.keep_record(partner, None, key, (native, &text, &held)).await?;
            }
            return Ok(Brought::Done);
        };
        let action = Action::Update { native_id: native.clone(), version };
        match self.submit(partner, message, (key, &next), action, None, standing.is_test).await {
            Ok(receipt) => {
                let held = receipt
                    .returned
                    .map_or_else(|| next.clone(), |held| String::from_utf8_lossy(&held.bytes).into_owned());
                self.keep_record(partner, Some((message, &next)), key, (native, &text, &held)).await?;
                Ok(Brought::Done)
            }
            Err(AdapterError::VersionStale) => Ok(Brought::Moved),
            Err(error) => Err(error.into()),
        }
    }

    async fn submit(
        &self,
        partner: &Arc<Partner>,
        message: &Message,
        (key, text): (&ResourceKey, &str),
        action: Action,
        identifier: Option<&Identifier>,
        is_test: bool,
    ) -> Result<Receipt, AdapterError> {
        let delivery = Delivery {
            message_id: format!("{}-{}", message.message, key),
            resource_type: key.resource_type.clone(),
            kind: None,
            identifier: identifier.cloned(),
            action,
            bytes: Payload(Bytes::copy_from_slice(text.as_bytes())),
            media_type: MEDIA.to_owned(),
            mode: if is_test { Mode::Test } else { Mode::Production },
        };
        partner.connection.adapter.submit(&delivery, self.patience()).await
    }

    fn patience(&self) -> crate::clock::Instant {
        self.clock().instant().after(Duration::from_secs(self.settings().outbox.deadline_seconds))
    }

    /// Keeps what was sent, and what the provider made of it.
    async fn keep_sent(
        &self,
        partner: &Arc<Partner>,
        message: &Message,
        key: &ResourceKey,
        text: &str,
        held: &NativeDocument,
    ) -> Result<(), Undelivered> {
        let held_text = String::from_utf8_lossy(&held.bytes).into_owned();
        let native = held.native_id.clone().unwrap_or_default();
        self.keep_record(partner, Some((message, text)), key, (&native, text, &held_text)).await
    }

    /// `delivered`: what went over the wire.
    async fn keep_record(
        &self,
        partner: &Arc<Partner>,
        delivered: Option<(&Message, &str)>,
        key: &ResourceKey,
        (native, sent, held): (&str, &str, &str),
    ) -> Result<(), Undelivered> {
        let mut commit = Commit::new();
        let journal = delivered.map(|(message, body)| {
            commit.journal(NewJournal {
                received: self.clock().now(),
                provider: partner.name().to_owned(),
                direction: Direction::Outbound,
                media: MEDIA.to_owned(),
                control: message.message.clone(),
                dedup: None,
                body: Bytes::copy_from_slice(body.as_bytes()),
                disposition: Disposition::Accepted,
                acknowledgement: None,
            })
        });
        let Some(body) = record(native, sent, held) else {
            return Err(Undelivered::for_good("what the provider returned is no resource"));
        };
        commit.write(Write::Original(NewOriginal {
            provider: partner.name().to_owned(),
            key: key.to_string(),
            media: RECORD.to_owned(),
            body,
            journal,
        }));
        self.store().commit(commit).await?;
        Ok(())
    }

    /// Keeps what a provider calls a resource, so that it is known when the provider refers to it.
    async fn keep_name(&self, key: &ResourceKey, provider: &str, native: &str) -> Result<(), Undelivered> {
        for _ in 0..ATTEMPTS {
            let mut commit = Commit::new();
            self.call(&mut commit, key, provider, native, self.clock().now()).await?;
            if commit.write.is_empty() {
                return Ok(());
            }
            match self.store().commit(commit).await {
                Ok(_) => return Ok(()),
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(super::receive::overtaken().into())
    }

    /// What is kept at a provider of a person is not what it was.
    pub(super) fn changed_at(&self, provider: &str, person: Option<PersonId>) {
        if let Some(person) = person {
            self.generations().bump(provider, person);
        }
    }
}

fn record(native: &str, sent: &str, held: &str) -> Option<Bytes> {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let record = Record { native: native.to_owned(), sent: raw(sent)?, held: raw(held)? };
    serde_json::to_vec(&record).ok().map(Bytes::from)
}

type Looked =
    (ResourceKey, Option<ResourceKey>, Vec<(ResourceKey, Bytes)>, HashMap<String, String>, HashMap<String, Record>);

/// The Task as it is now, with what it refers to, and what a provider calls all of it.
fn standing(view: &View<'_>, provider: &str, task: ResourceKey) -> Result<Option<Looked>, StoreError> {
    let Some(current) = view.resource(&task, None)?.filter(|current| !current.deleted) else { return Ok(None) };
    let news = TaskNews { task: task.id.clone(), version: current.version, as_owner: true };
    let Some(gathered) = render::gather(view, provider, &news)? else { return Ok(None) };
    let (mut names, mut records) = (HashMap::new(), HashMap::new());
    for (key, _) in &gathered.resources {
        let record = read_record(view, provider, key)?;
        let name = match &record {
            Some(record) => Some(record.native.clone()),
            None => name_at(view, provider, key)?,
        };
        names.extend(name.map(|name| (key.to_string(), name)));
        records.extend(record.map(|record| (key.to_string(), record)));
    }
    // Its own that are not kept here, since it is asked for them.
    for (_, content) in &gathered.resources {
        for target in render::references(content) {
            let Some((_, id)) = target.split_once('/') else { continue };
            let own = id.strip_prefix(provider).and_then(|rest| rest.strip_prefix('.'));
            if let (Some(own), false) = (own, names.contains_key(&target)) {
                names.insert(target.clone(), own.to_owned());
            }
        }
    }
    Ok(Some((task, gathered.order, gathered.resources, names, records)))
}

fn read_record(view: &View<'_>, provider: &str, key: &ResourceKey) -> Result<Option<Record>, StoreError> {
    let original = view.original(provider, &key.to_string())?.filter(|original| original.media == RECORD);
    Ok(original.and_then(|original| serde_json::from_slice(&original.body).ok()))
}

/// What a provider calls a resource: its own, or one that it was given.
fn name_at(view: &View<'_>, provider: &str, key: &ResourceKey) -> Result<Option<String>, StoreError> {
    if let Some((owner, native)) = view.native(key)?
        && owner == provider
    {
        return Ok(Some(native));
    }
    let Some(member) = view.member(key)? else { return Ok(None) };
    if let Some(native) = known::aliases(&member, provider).next() {
        return Ok(Some(native.to_owned()));
    }
    let is_its_own = member.resource.provider.as_deref() == Some(provider);
    let own = key.id.strip_prefix(provider).and_then(|rest| rest.strip_prefix('.'));
    Ok(own.filter(|_| is_its_own).map(str::to_owned))
}
