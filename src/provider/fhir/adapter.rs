//! The adapter: FHIR's own interactions over HTTP.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use reqwest::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, Url};

use super::bundle::{Bundle, Head};
use super::doubt::{Doubts, says_the_same};
use super::{Config, Dialect, MEDIA_TYPE, PatientBy, Type};
use crate::clock::{Clock, Instant};
use crate::provider::web::{Reply, Request, Site, Web, encode};
use crate::provider::{
    Action, Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Effect, Identifier, Interactions,
    Liveness, NativeDocument, Outcome, Payload, Read, Receipt, Search, SetupError,
};

const PATIENT: &str = "Patient";
const FORM: &str = "application/x-www-form-urlencoded";
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A provider's FHIR server.
pub struct Fhir {
    config: Config,
    capabilities: Capabilities,
    web: Web,
    doubts: Doubts,
    /// How it is spoken with, where that is not R4.
    dialect: Option<Dialect>,
}

impl Fhir {
    /// The adapter of one server. Nothing is connected before the first request.
    ///
    /// # Errors
    /// When the address, a file or a secret is not usable.
    pub fn new(config: Config, folder: &Path, clock: Clock) -> Result<Self, SetupError> {
        if let Some(name) = config.types.keys().find(|name| !is_type(name)) {
            return Err(SetupError::new(format!("types.{name}"), "not the name of a resource type"));
        }
        if config.count == 0 || config.pages == 0 {
            let key = if config.count == 0 { "count" } else { "pages" };
            return Err(SetupError::new(key, "must be at least 1"));
        }
        let Config { base, tls, plaintext, credentials, answer_limit, .. } = &config;
        let site = Site { base, tls, plaintext: *plaintext, credentials, answer_limit: *answer_limit };
        let web = Web::new(&site, folder, clock)?;
        let interactions =
            |of: &Type| Interactions { read: of.read, search: of.search, create: of.create, update: of.update };
        let types: std::collections::BTreeMap<_, _> =
            config.types.iter().map(|(name, of)| (name.clone(), interactions(of))).collect();
        let live = types.values().any(|of| of.read || of.search);
        let liveness = if live { Liveness::Live } else { Liveness::PushOnly };
        let (capabilities, doubts) = (Capabilities { liveness, types }, Doubts::default());
        Ok(Self { dialect: Dialect::of(&config), capabilities, config, web, doubts })
    }

    /// What the server calls a type.
    fn native<'n>(&'n self, kind: &'n str) -> &'n str {
        self.dialect.as_ref().map_or(kind, |dialect| dialect.native(kind))
    }

    /// What the server says, in R4.
    fn inward(&self, reply: &Reply, bytes: Payload) -> Result<Payload, AdapterError> {
        let Some(dialect) = &self.dialect else { return Ok(bytes) };
        let read = dialect.inward(&bytes.0, false).map(Payload);
        read.ok_or_else(|| reply.unusable("expected a resource of the server's version of FHIR", false))
    }

    async fn get(&self, read: &Read) -> Result<NativeDocument, AdapterError> {
        let url = self.web.under(&format!("{}/{}", self.native(&read.resource_type), read.native_id))?;
        let mut request = Request::new(Method::GET, url, MEDIA_TYPE);
        if let Some(version) = &read.if_none_match {
            request = request.header(IF_NONE_MATCH, &format!("W/\"{version}\""))?;
        }
        let reply = json(self.web.send(request).await?.success()?)?;
        let bytes = self.inward(&reply, reply.body.clone().into())?;
        let text = std::str::from_utf8(&bytes.0).unwrap_or_default();
        let head = Head::of(text).ok_or_else(|| reply.unusable("expected a FHIR resource as JSON", false))?;
        if head.resource_type != read.resource_type.as_str() || head.id.as_deref() != Some(read.native_id.as_str()) {
            return Err(reply.unusable("the answer is not the resource that was asked for", false));
        }
        Ok(self.resource(&reply, bytes.clone(), &head, None))
    }

    /// All pages of one type's search. Where a later page fails, what those before it gave stands.
    async fn pages(
        &self,
        resource_type: &str,
        of: &Type,
        patient: &str,
        search: &Search,
        deadline: Instant,
    ) -> Result<Answer, AdapterError> {
        let mut form = vec![(parameter(resource_type, of, self.config.patient_by), patient.to_owned())];
        form.extend(search.since.map(|since| ("_lastUpdated", format!("ge{since}"))));
        form.push(("_count", self.config.count.to_string()));
        form.extend(of.include.iter().map(|include| ("_include", include.clone())));
        form.extend(of.revinclude.iter().map(|include| ("_revinclude", include.clone())));
        self.asked(resource_type, form, deadline).await
    }

    /// All pages of a search by these parameters.
    async fn asked(
        &self,
        resource_type: &str,
        form: Vec<(&str, String)>,
        deadline: Instant,
    ) -> Result<Answer, AdapterError> {
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        // A server that passes over a parameter it does not know would answer with everyone's resources.
        let request =
            Request::new(Method::POST, self.web.under(&format!("{}/_search", self.native(resource_type)))?, MEDIA_TYPE)
                .body(body.join("&").into(), FORM)
                .header(PREFER, "handling=strict")?;
        let mut found = Answer::nothing();
        let mut link = self.page(request, &mut found).await?;
        let mut seen = BTreeSet::new();
        let mut pages = 1;
        while let Some((url, reply)) = link.take() {
            if pages == self.config.pages {
                found.complete = false;
                break;
            }
            pages += 1;
            let next = match seen.insert(url.clone()) {
                true => self.next_page(url, &mut found, deadline).await,
                false => Err(reply.unusable("the links of the pages run in a circle", false)),
            };
            match next {
                Ok(next) => link = next,
                Err(error) if found.documents.is_empty() => return Err(error),
                Err(error) => {
                    found.unusable.push(error);
                    found.complete = false;
                }
            }
        }
        Ok(found)
    }

    /// A page after the first: tried a second time, and given up early enough for the pages before it to be handed on.
    async fn next_page(
        &self,
        url: Url,
        found: &mut Answer,
        deadline: Instant,
    ) -> Result<Option<(Url, Reply)>, AdapterError> {
        let deadline = self.web.before(deadline);
        let request = || Request::new(Method::GET, url.clone(), MEDIA_TYPE);
        match self.web.by(deadline, self.page(request(), found)).await {
            Err(error) if error.passing() => self.web.by(deadline, self.page(request(), found)).await,
            done => done,
        }
    }

    /// One page, with the address of the next.
    async fn page(&self, request: Request, found: &mut Answer) -> Result<Option<(Url, Reply)>, AdapterError> {
        let reply = json(self.web.send(request).await?.success()?)?;
        let bundle: Bundle<'_> = serde_json::from_str(reply.text()?)
            .map_err(|error| reply.unusable(format!("expected a Bundle as JSON ({})", place(&error)), false))?;
        if bundle.resource_type != "Bundle" {
            return Err(reply.unusable("expected a Bundle", false));
        }
        self.entries(&reply, &bundle, found)?;
        let url = match bundle.next() {
            Some(link) => self.web.link(link).map(Some).map_err(|what| reply.unusable(what, false)),
            None => Ok(None),
        };
        match url {
            Ok(url) => Ok(url.map(|url| (url, reply))),
            // What this page gave stands.
            Err(error) if !found.documents.is_empty() => {
                found.unusable.push(error);
                found.complete = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn entries(&self, reply: &Reply, bundle: &Bundle<'_>, found: &mut Answer) -> Result<(), AdapterError> {
        for entry in &bundle.entry {
            let Some(resource) = entry.resource else { continue };
            let head = Head::of(resource.get())
                .ok_or_else(|| reply.unusable("an entry of the Bundle is not a FHIR resource", false))?;
            if entry.is_outcome() || head.resource_type == "OperationOutcome" {
                if head.complains() {
                    found.unusable.push(reply.unusable("the server reports an error beside its answer", false));
                }
                continue;
            }
            let bytes = match self.inward(reply, reply.slice(resource.get())) {
                Ok(bytes) => bytes,
                Err(error) => {
                    found.unusable.push(error);
                    continue;
                }
            };
            let url = entry.full_url.as_deref().map(|url| match &self.dialect {
                Some(dialect) => dialect.address(url),
                None => url.to_owned(),
            });
            let read = std::str::from_utf8(&bytes.0).ok().filter(|_| self.dialect.is_some()).and_then(Head::of);
            found.documents.push(self.resource(reply, bytes.clone(), read.as_ref().unwrap_or(&head), url.as_deref()));
        }
        Ok(())
    }

    fn resource(&self, reply: &Reply, bytes: Payload, head: &Head<'_>, url: Option<&str>) -> NativeDocument {
        let meta = head.meta.as_ref();
        let version = meta.and_then(|meta| meta.version_id.as_deref()).map(str::to_owned);
        let changed = meta.and_then(|meta| meta.last_updated.as_deref()).and_then(|text| text.parse().ok());
        let own_address = || {
            let id = head.id.as_deref()?;
            self.web.under(&format!("{}/{id}", head.resource_type)).ok().map(String::from)
        };
        NativeDocument {
            bytes,
            media_type: MEDIA_TYPE.to_owned(),
            kind: Some(head.resource_type.clone().into_owned()),
            native_id: head.id.as_deref().map(str::to_owned),
            url: url.map(str::to_owned).or_else(own_address),
            version: version.or_else(|| if url.is_none() { reply.version() } else { None }),
            last_modified: changed.or_else(|| if url.is_none() { reply.last_modified() } else { None }),
            fetched_at: reply.fetched_at,
        }
    }

    async fn put(&self, delivery: &Delivery) -> Result<Receipt, AdapterError> {
        match &delivery.action {
            Action::Update { native_id, version: Some(_) } => self.change(delivery, native_id).await,
            _ => self.send(delivery).await,
        }
    }

    /// A change of a named version. Whether an attempt before this one took effect is read, not tried: sent again it would
    /// find its own work in the way, or do it twice where a server does not look at versions.
    async fn change(&self, delivery: &Delivery, native_id: &str) -> Result<Receipt, AdapterError> {
        let message = &delivery.message_id;
        if self.doubts.holds(message)
            && let Some(receipt) = self.done_before(delivery, native_id).await?
        {
            self.doubts.settle(message);
            return Ok(receipt);
        }
        // Until an answer says what became of it, also when nobody waits for the answer any more.
        self.doubts.begin(message);
        let mut sent = self.send(delivery).await;
        if matches!(sent, Err(AdapterError::VersionStale))
            && let Some(receipt) = self.done_before(delivery, native_id).await?
        {
            sent = Ok(receipt);
        }
        if !matches!(&sent, Err(error) if error.outcome() == Outcome::Unknown) {
            self.doubts.settle(message);
        }
        sent
    }

    /// The receipt of a change that the server already has; none where it has something else, or does not say.
    async fn done_before(&self, delivery: &Delivery, native_id: &str) -> Result<Option<Receipt>, AdapterError> {
        let resource_type = delivery.resource_type.clone();
        let read = Read { resource_type, native_id: native_id.to_owned(), if_none_match: None };
        match self.get(&read).await {
            Ok(held) if says_the_same(&delivery.bytes, &held.bytes) => Ok(Some(Receipt {
                effect: Effect::Applied,
                created: false,
                native_id: held.native_id.clone(),
                version: held.version.clone(),
                returned: Some(held),
                answer: None,
            })),
            // A server that cannot be read now may be later; one that does not offer it never says.
            Err(error) if error.passing() || matches!(error, AdapterError::TimedOut { .. }) => Err(error),
            _ => Ok(None),
        }
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, AdapterError> {
        let kind = self.native(&delivery.resource_type);
        let bytes = match &self.dialect {
            None => delivery.bytes.0.clone(),
            Some(dialect) => dialect.outward(&delivery.bytes.0).ok_or_else(|| AdapterError::NotSupported {
                what: format!("{} in the server's version of FHIR", delivery.resource_type),
            })?,
        };
        let request = match &delivery.action {
            Action::Create => {
                let request = Request::new(Method::POST, self.web.under(kind)?, MEDIA_TYPE).body(bytes, MEDIA_TYPE);
                match &delivery.identifier {
                    Some(identifier) if self.config.conditional_create => {
                        request.header(IF_NONE_EXIST, &format!("identifier={}", encode(&token(identifier))))?
                    }
                    _ => request,
                }
            }
            Action::Update { native_id, version } => {
                let native_id = id(native_id).ok_or(AdapterError::NotFound)?;
                let url = self.web.under(&format!("{kind}/{native_id}"))?;
                let request = Request::new(Method::PUT, url, MEDIA_TYPE).body(bytes, MEDIA_TYPE);
                match version {
                    Some(version) => request.header(IF_MATCH, &format!("W/\"{version}\""))?,
                    None => request,
                }
            }
        };
        let conditional = request.headers.contains_key(IF_NONE_EXIST);
        let reply =
            self.web.send(request.header(PREFER, "return=representation")?).await?.success().map_err(|error| {
                if conditional && matches!(error, AdapterError::VersionStale) {
                    AdapterError::MultipleMatches
                } else {
                    error
                }
            })?;
        Ok(self.receipt(delivery, &reply))
    }

    /// The server has acted: whatever its answer lacks is left out, never an error.
    fn receipt(&self, delivery: &Delivery, reply: &Reply) -> Receipt {
        let bytes = self.inward(reply, reply.body.clone().into()).ok();
        let head = bytes.as_ref().and_then(|bytes| Head::of(std::str::from_utf8(&bytes.0).ok()?));
        let returned = head
            .as_ref()
            .filter(|head| head.resource_type == delivery.resource_type.as_str())
            .and_then(|head| Some(self.resource(reply, bytes.clone()?, head, None)));
        let native = self.native(&delivery.resource_type);
        let located = reply.location().and_then(|location| located(location, native));
        let known = match &delivery.action {
            Action::Update { native_id, .. } => Some(native_id.clone()),
            Action::Create => None,
        };
        let answered = returned.as_ref().and_then(|document| document.native_id.clone());
        let version = returned.as_ref().and_then(|document| document.version.clone()).or_else(|| reply.version());
        Receipt {
            effect: if reply.status.as_u16() == 202 { Effect::Committed } else { Effect::Applied },
            // 200 to a conditional create: it was there (http.html#ccreate).
            created: reply.status.as_u16() != 200,
            native_id: known.or(answered).or(located),
            version,
            answer: (returned.is_none() && !reply.body.is_empty()).then(|| reply.document()),
            returned,
        }
    }

    /// The Patients that the server has for the identifiers, whenever they changed.
    async fn patients(&self, identifiers: &str, search: &Search, deadline: Instant) -> Result<Answer, AdapterError> {
        let plain = Type::default();
        let of = self.config.types.get(PATIENT).unwrap_or(&plain);
        self.pages(PATIENT, of, identifiers, &Search { since: None, ..search.clone() }, deadline).await
    }

    async fn find(&self, search: &Search, deadline: Instant) -> Result<Answer, AdapterError> {
        let (asked, not_searched): (Vec<&String>, Vec<&String>) =
            search.types.iter().partition(|name| self.capabilities.of(name).search);
        if asked.is_empty() {
            return Err(AdapterError::NotSupported { what: "search of any of the types".to_owned() });
        }
        let not_searched = not_searched.into_iter().cloned().collect();
        let wanted = &self.config.patient_identifiers;
        let known = search.patient.iter().filter(|one| wanted.is_empty() || wanted.contains(&one.system));
        let patient: Vec<String> = known.map(token).collect();
        if patient.is_empty() {
            return Ok(Answer { not_searched: search.types.clone(), ..Answer::nothing() });
        }
        let identifiers = patient.join(",");
        let by_id = self.config.patient_by == PatientBy::Id;
        let patients = if by_id { Some(self.patients(&identifiers, search, deadline).await?) } else { None };
        let ids: Option<Vec<String>> =
            patients.as_ref().map(|found| found.documents.iter().filter_map(reference).collect());
        let patient = ids.map_or(identifiers, |ids| ids.join(","));
        // Without a Patient there is nothing about the patient; Patients that were looked up are not searched again.
        let left: Vec<&&String> =
            asked.iter().filter(|name| !patient.is_empty() && (!by_id || **name != PATIENT)).collect();
        // One that is late must not take the others with it.
        let early = (left.len() > 1).then(|| self.web.before(deadline));
        let patient = patient.as_str();
        let searches = left.into_iter().filter_map(|name| {
            let of = self.config.types.get(*name)?;
            let searching = self.pages(name, of, patient, search, early.unwrap_or(deadline));
            Some(Box::pin(async move {
                match early {
                    Some(early) => self.web.by(early, searching).await,
                    None => searching.await,
                }
            }))
        });
        let asked_too = patients.filter(|_| asked.iter().any(|name| *name == PATIENT));
        let mut answer = Answer::joined(join_all(searches).await.into_iter().chain(asked_too.map(Ok)))?;
        let mut seen = BTreeSet::new();
        // What two searches include is the same resource.
        answer.documents.retain(|document| {
            document.native_id.is_none() || seen.insert((document.kind.clone(), document.native_id.clone()))
        });
        Ok(Answer { not_searched, ..answer })
    }
}

fn json(reply: Reply) -> Result<Reply, AdapterError> {
    if reply.is_json() { Ok(reply) } else { Err(reply.unusable("expected FHIR JSON", false)) }
}

fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// The relative reference to a Patient.
fn reference(document: &NativeDocument) -> Option<String> {
    let id = document.native_id.as_ref().filter(|_| document.kind.as_deref() == Some(PATIENT))?;
    Some(format!("{PATIENT}/{id}"))
}

fn parameter<'a>(resource_type: &str, of: &'a Type, by: PatientBy) -> &'a str {
    let usual = match by {
        _ if resource_type == PATIENT => "identifier",
        PatientBy::Identifier => "patient.identifier",
        PatientBy::Id => "patient",
    };
    of.patient.as_deref().unwrap_or(usual)
}

/// `system|value` with FHIR's own escapes (<http://hl7.org/fhir/R4/search.html#escaping>).
fn token(identifier: &Identifier) -> String {
    let escape = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '\\' | ',' | '$' | '|') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    format!("{}|{}", escape(&identifier.system), escape(&identifier.value))
}

fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The id where it is one (`[A-Za-z0-9\-.]{1,64}`) and does not change the path.
fn id(text: &str) -> Option<&str> {
    let fits =
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    (fits && text != "." && text != "..").then_some(text)
}

/// The id in `[base]/[type]/[id]` or `[base]/[type]/[id]/_history/[vid]`.
fn located(location: &str, resource_type: &str) -> Option<String> {
    let path = location.split(['?', '#']).next()?;
    let mut steps = path.split('/').rev().skip_while(|step| step.is_empty());
    let last = steps.next()?;
    let mut before = steps.next()?;
    let mut found = last;
    if before == "_history" {
        found = steps.next()?;
        before = steps.next()?;
    }
    (before == resource_type).then(|| id(found)).flatten().map(str::to_owned)
}

impl Adapter for Fhir {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        Box::pin(async move {
            if !self.capabilities.of(&read.resource_type).read {
                return Err(AdapterError::NotSupported { what: format!("read of {}", read.resource_type) });
            }
            if id(&read.native_id).is_none() {
                return Err(AdapterError::NotFound);
            }
            self.web.by(deadline, self.get(read)).await
        })
    }

    fn search<'a>(&'a self, search: &'a Search, deadline: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        Box::pin(self.web.by(deadline, self.find(search, deadline)))
    }

    fn identified<'a>(
        &'a self,
        resource_type: &'a str,
        identifier: &'a Identifier,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<NativeDocument>, AdapterError>> {
        Box::pin(async move {
            if !self.capabilities.of(resource_type).search {
                return Err(AdapterError::NotSupported { what: format!("search of {resource_type}") });
            }
            let form = vec![("identifier", token(identifier)), ("_count", self.config.count.to_string())];
            let answer = self.web.by(deadline, self.asked(resource_type, form, deadline)).await?;
            // Half an answer would let something be made that is there.
            match answer.unusable.into_iter().next() {
                Some(error) => Err(error),
                None => {
                    let is_it = |one: &NativeDocument| one.kind.as_deref() == Some(resource_type);
                    Ok(answer.documents.into_iter().filter(is_it).collect())
                }
            }
        })
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        Box::pin(async move {
            let Interactions { create, update, .. } = self.capabilities.of(&delivery.resource_type);
            let (offered, what) = match delivery.action {
                Action::Create => (create, "create"),
                Action::Update { .. } => (update, "update"),
            };
            if !offered {
                return Err(AdapterError::NotSupported { what: format!("{what} of {}", delivery.resource_type) });
            }
            self.web.by(deadline, self.put(delivery)).await
        })
    }

    /// An update without a version replaces the whole, one with a version is looked for before it is sent again, and a
    /// conditional create finds what it made.
    fn repeatable(&self, delivery: &Delivery) -> bool {
        match &delivery.action {
            Action::Create => self.config.conditional_create && delivery.identifier.is_some(),
            Action::Update { .. } => true,
        }
    }
}
