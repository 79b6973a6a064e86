//! The adapter: templates filled, answers taken apart, schemas checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::join_all;
use reqwest::header::HeaderName;
use reqwest::{Method, Url};

use super::config::{Create, Get, List, SchemaRef, Update};
use super::extract::{Pointer, items};
use super::schema::{Schema, Violation};
use super::template::{Body, Placeholder, Template, Values};
use super::{Config, MEDIA_TYPE};
use crate::clock::{Clock, Instant};
use crate::provider::web::{Reply, Request, Site, Web, encode};
use crate::provider::{
    Action, Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Effect, Interactions, Liveness,
    NativeDocument, Read, Receipt, Search, SetupError,
};

/// A provider's JSON REST service.
pub struct Http {
    capabilities: Capabilities,
    web: Web,
    headers: Headers,
    patient_identifiers: Vec<String>,
    pages: usize,
    kinds: Vec<Kind>,
}

type Headers = Vec<(HeaderName, Template)>;

/// One kind of document, compiled.
struct Kind {
    name: String,
    types: Vec<String>,
    schema: Option<Schema>,
    id: Option<Pointer>,
    version: Option<Pointer>,
    list: Option<Listing>,
    get: Option<Getting>,
    create: Option<Handing>,
    update: Option<Handing>,
}

struct Listing {
    method: Method,
    path: Template,
    query: Vec<(String, Template)>,
    body: Option<Body>,
    items: Pointer,
    next: Option<Pointer>,
    empty: Vec<u16>,
}

struct Getting {
    method: Method,
    path: Template,
    document: Pointer,
}

/// A create or an update.
struct Handing {
    method: Method,
    path: Template,
    headers: Headers,
    id: Option<Pointer>,
    document: Option<Pointer>,
}

impl Http {
    /// The adapter of one service. `named` gives the schemas that come with the maps. Nothing is connected before the
    /// first request.
    ///
    /// # Errors
    /// When the address, a template, a pointer, a file, a schema or a secret is not usable.
    pub fn new(
        config: Config,
        folder: &Path,
        named: &dyn Fn(&str) -> Option<Vec<u8>>,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let Config { base, tls, plaintext, credentials, answer_limit, .. } = &config;
        let site = Site { base, tls, plaintext: *plaintext, credentials, answer_limit: *answer_limit };
        let web = Web::new(&site, folder, clock)?;
        let headers = headers(&config.headers)?;
        if config.pages == 0 {
            return Err(SetupError::new("pages", "must be at least 1"));
        }
        let compile = |(name, document): (&String, &super::Document)| {
            Kind::compile(name, document, folder, named).map_err(|error| error.under(&format!("documents.{name}")))
        };
        let kinds = config.documents.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let mut types: BTreeMap<String, Interactions> = BTreeMap::new();
        for kind in &kinds {
            for name in &kind.types {
                let of = types.entry(name.clone()).or_default();
                of.read |= kind.get.is_some();
                of.search |= kind.list.is_some();
                of.create |= kind.create.is_some();
                of.update |= kind.update.is_some();
            }
        }
        let live = types.values().any(|of| of.read || of.search);
        let liveness = if live { Liveness::Live } else { Liveness::PushOnly };
        Ok(Self {
            capabilities: Capabilities { liveness, types },
            web,
            headers,
            patient_identifiers: config.patient_identifiers,
            pages: config.pages,
            kinds,
        })
    }

    fn request(&self, method: &Method, path: &Template, values: &Values<'_>) -> Result<Request, AdapterError> {
        let path = path.path(values).ok_or(AdapterError::NotFound)?;
        let request = Request::new(method.clone(), self.web.under(&path)?, MEDIA_TYPE);
        with_headers(request, &self.headers, values)
    }

    async fn get(&self, kind: &Kind, get: &Getting, read: &Read) -> Result<NativeDocument, AdapterError> {
        let values = Values { id: Some(&read.native_id), ..Values::default() };
        let mut request = self.request(&get.method, &get.path, &values)?;
        if let Some(version) = &read.if_none_match {
            request = request.header(reqwest::header::IF_NONE_MATCH, &format!("\"{version}\""))?;
        }
        let reply = self.web.send(request).await?.success()?;
        let found = part(&reply, &get.document)?;
        let document = kind.document(&reply, found, &get.document.path(), Single::Yes)?;
        let other = document.native_id.as_ref().is_some_and(|id| *id != read.native_id);
        if other {
            Err(reply.unusable("the answer is not the document that was asked for", false))
        } else {
            Ok(document)
        }
    }

    /// All pages of one kind's list. Where a later page fails, what those before it gave stands.
    async fn list(
        &self,
        kind: &Kind,
        list: &Listing,
        values: Values<'_>,
        deadline: Instant,
    ) -> Result<Answer, AdapterError> {
        let mut answer = Answer::nothing();
        let mut next = self.page(kind, list, self.first_page(list, &values)?, &mut answer).await?;
        let mut seen = BTreeSet::new();
        let mut pages = 1;
        while let Some((url, reply)) = next.take() {
            if pages == self.pages {
                answer.complete = false;
                break;
            }
            pages += 1;
            let page = match seen.insert(url.clone()) {
                true => self.next_page(kind, list, (url, values), &mut answer, deadline).await,
                false => Err(reply.unusable("the links of the pages run in a circle", false)),
            };
            match page {
                Ok(link) => next = link,
                Err(error) if answer.documents.is_empty() => return Err(error),
                Err(error) => {
                    answer.unusable.push(error);
                    answer.complete = false;
                }
            }
        }
        Ok(answer)
    }

    /// A page after the first: tried a second time, and given up early enough for the pages before it to be handed on.
    async fn next_page(
        &self,
        kind: &Kind,
        list: &Listing,
        (url, values): (Url, Values<'_>),
        answer: &mut Answer,
        deadline: Instant,
    ) -> Result<Option<(Url, Reply)>, AdapterError> {
        let deadline = self.web.before(deadline);
        let request = || with_headers(Request::new(Method::GET, url.clone(), MEDIA_TYPE), &self.headers, &values);
        match self.web.by(deadline, self.page(kind, list, request()?, answer)).await {
            Err(error) if error.passing() => self.web.by(deadline, self.page(kind, list, request()?, answer)).await,
            done => done,
        }
    }

    /// One page, with the address of the next.
    async fn page(
        &self,
        kind: &Kind,
        list: &Listing,
        request: Request,
        answer: &mut Answer,
    ) -> Result<Option<(Url, Reply)>, AdapterError> {
        let reply = self.web.send(request).await?;
        if list.empty.contains(&reply.status.as_u16()) {
            return Ok(None);
        }
        let reply = reply.success()?;
        let array = part(&reply, &list.items)?;
        let at = list.items.path();
        let documents = items(array).map_err(|_| reply.unusable(format!("expected an array at {at}"), false))?;
        for (index, document) in documents.iter().enumerate() {
            match kind.document(&reply, document.get(), &format!("{at}[{index}]"), Single::No) {
                Ok(document) => answer.documents.push(document),
                Err(error) => answer.unusable.push(error),
            }
        }
        let link = list.next.as_ref().and_then(|next| next.scalar(std::str::from_utf8(&reply.body).ok()?));
        match link.map(|link| self.web.link(&link)).transpose() {
            Ok(url) => Ok(url.map(|url| (url, reply))),
            // What this page gave stands.
            Err(what) if !answer.documents.is_empty() => {
                answer.unusable.push(reply.unusable(what, false));
                answer.complete = false;
                Ok(None)
            }
            Err(what) => Err(reply.unusable(what, false)),
        }
    }

    fn first_page(&self, list: &Listing, values: &Values<'_>) -> Result<Request, AdapterError> {
        let mut request = self.request(&list.method, &list.path, values)?;
        let query: Vec<String> = list
            .query
            .iter()
            .filter_map(|(name, value)| Some(format!("{}={}", encode(name), value.query(values)?)))
            .collect();
        if !query.is_empty() {
            request.url.set_query(Some(&query.join("&")));
        }
        Ok(match list.body.as_ref().and_then(|body| body.fill(values)) {
            Some(body) => request.body(body.to_string().into(), MEDIA_TYPE),
            None => request,
        })
    }

    async fn find(&self, search: &Search, deadline: Instant) -> Result<Answer, AdapterError> {
        let (asked, not_searched): (Vec<&String>, Vec<&String>) =
            search.types.iter().partition(|name| self.capabilities.of(name).search);
        if asked.is_empty() {
            return Err(AdapterError::NotSupported { what: "search of any of the types".to_owned() });
        }
        let known = |system: &String| search.patient.iter().find(|one| one.system == *system);
        let Some(patient) = self.patient_identifiers.iter().find_map(known) else {
            let not_searched = search.types.clone();
            return Ok(Answer { not_searched, ..Answer::nothing() });
        };
        let since = search.since.map(|since| since.to_string());
        let values = Values { identifier: Some(&patient.value), since: since.as_deref(), ..Values::default() };
        let lists = self.kinds.iter().filter(|kind| kind.types.iter().any(|name| asked.contains(&name)));
        let lists: Vec<_> = lists.filter_map(|kind| Some((kind, kind.list.as_ref()?))).collect();
        // One that is late must not take the others with it.
        let early = (lists.len() > 1).then(|| self.web.before(deadline));
        let lists = lists.into_iter().map(|(kind, list)| {
            let listing = self.list(kind, list, values, early.unwrap_or(deadline));
            Box::pin(async move {
                match early {
                    Some(early) => self.web.by(early, listing).await,
                    None => listing.await,
                }
            })
        });
        let answer = Answer::joined(join_all(lists).await)?;
        Ok(Answer { not_searched: not_searched.into_iter().cloned().collect(), ..answer })
    }

    async fn read_any(&self, read: &Read) -> Result<NativeDocument, AdapterError> {
        let offered = |what: &str| AdapterError::NotSupported { what: format!("{what} of {}", read.resource_type) };
        let mut last = offered("read");
        for kind in self.kinds.iter().filter(|kind| kind.types.contains(&read.resource_type)) {
            let Some(get) = &kind.get else { continue };
            match self.get(kind, get, read).await {
                Err(error @ (AdapterError::NotFound | AdapterError::Deleted)) => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    /// The kind and the template for a delivery.
    fn handing(&self, delivery: &Delivery) -> Option<(&Kind, &Handing)> {
        let fits = |kind: &&Kind| match &delivery.kind {
            Some(name) => kind.name == *name,
            None => kind.types.contains(&delivery.resource_type),
        };
        self.kinds.iter().filter(fits).find_map(|kind| {
            let handing = match delivery.action {
                Action::Create => &kind.create,
                Action::Update { .. } => &kind.update,
            };
            Some((kind, handing.as_ref()?))
        })
    }

    async fn hand_over(&self, delivery: &Delivery) -> Result<Receipt, AdapterError> {
        let Some((kind, handing)) = self.handing(delivery) else {
            return Err(AdapterError::NotSupported { what: format!("this action on {}", delivery.resource_type) });
        };
        let (id, version) = match &delivery.action {
            Action::Create => (None, None),
            Action::Update { native_id, version } => (Some(native_id.as_str()), version.as_deref()),
        };
        kind.check_outbound(&delivery.bytes)?;
        let values = Values { id, version, message_id: Some(&delivery.message_id), ..Values::default() };
        let request = self.request(&handing.method, &handing.path, &values)?;
        let request = with_headers(request, &handing.headers, &values)?.body(delivery.bytes.0.clone(), MEDIA_TYPE);
        let reply = self.web.send(request).await?.success()?;
        Ok(kind.receipt(handing, id, &reply))
    }
}

/// Whether a document is the whole answer, so that the answer's entity tag is its version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Single {
    Yes,
    No,
}

impl Kind {
    fn compile(
        name: &str,
        document: &super::Document,
        folder: &Path,
        named: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, SetupError> {
        if document.types.is_empty() {
            return Err(SetupError::new("types", "name at least one FHIR resource type"));
        }
        let pointer = |key: &str, text: &Option<String>| {
            text.as_ref().map(|text| Pointer::parse(text).map_err(|what| SetupError::new(key, what))).transpose()
        };
        let at = |key: &'static str| move |error: SetupError| error.under(key);
        Ok(Self {
            name: name.to_owned(),
            types: document.types.clone(),
            schema: document.schema.as_ref().map(|schema| load(schema, folder, named)).transpose()?,
            id: pointer("id", &document.id)?,
            version: pointer("version", &document.version)?,
            list: document.list.as_ref().map(Listing::compile).transpose().map_err(at("list"))?,
            get: document.get.as_ref().map(Getting::compile).transpose().map_err(at("get"))?,
            create: document.create.as_ref().map(Handing::creating).transpose().map_err(at("create"))?,
            update: document.update.as_ref().map(Handing::updating).transpose().map_err(at("update"))?,
        })
    }

    fn document(&self, reply: &Reply, json: &str, at: &str, single: Single) -> Result<NativeDocument, AdapterError> {
        if let Some(schema) = &self.schema {
            schema.check(json, at).map_err(|Violation { path, expected }| AdapterError::InboundSchema {
                path,
                expected,
                answer: Box::new(reply.document()),
            })?;
        }
        let own = self.version.as_ref().and_then(|version| version.scalar(json));
        let single = single == Single::Yes;
        Ok(NativeDocument {
            bytes: reply.slice(json),
            media_type: MEDIA_TYPE.to_owned(),
            kind: Some(self.name.clone()),
            native_id: self.id.as_ref().and_then(|id| id.scalar(json)),
            url: None,
            version: own.or_else(|| if single { reply.version() } else { None }),
            last_modified: if single { reply.last_modified() } else { None },
            fetched_at: reply.fetched_at,
        })
    }

    fn check_outbound(&self, bytes: &[u8]) -> Result<(), AdapterError> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let not_text = || Violation { path: "$".to_owned(), expected: "UTF-8".to_owned() };
        std::str::from_utf8(bytes)
            .map_err(|_| not_text())
            .and_then(|json| schema.check(json, "$"))
            .map_err(|Violation { path, expected }| AdapterError::OutboundSchema { path, expected })
    }

    /// The service has acted: whatever its answer lacks is left out, never an error.
    fn receipt(&self, handing: &Handing, id: Option<&str>, reply: &Reply) -> Receipt {
        let text = std::str::from_utf8(&reply.body).unwrap_or_default();
        let returned = handing.document.as_ref().and_then(|pointer| {
            let json = pointer.of(text).ok()??;
            match self.document(reply, json, &pointer.path(), Single::Yes) {
                Ok(document) => Some(document),
                Err(error) => {
                    tracing::warn!(kind = self.name, %error, "the document that the provider returned is not used");
                    None
                }
            }
        });
        let pointed = handing.id.as_ref().and_then(|pointer| pointer.scalar(text));
        let own = returned.as_ref().and_then(|document| document.native_id.clone());
        let located = || {
            let last = reply.location()?.split(['?', '#']).next()?.rsplit('/').find(|step| !step.is_empty())?;
            (!last.contains('%')).then(|| last.to_owned())
        };
        let version = returned.as_ref().and_then(|document| document.version.clone()).or_else(|| reply.version());
        Receipt {
            effect: if reply.status.as_u16() == 202 { Effect::Committed } else { Effect::Applied },
            created: true,
            native_id: id.map(str::to_owned).or(pointed).or(own).or_else(located),
            version,
            answer: (returned.is_none() && !reply.body.is_empty()).then(|| reply.document()),
            returned,
        }
    }
}

impl Listing {
    fn compile(list: &List) -> Result<Self, SetupError> {
        Ok(Self {
            method: method(&list.method)?,
            path: template("path", &list.path, &[Placeholder::Identifier, Placeholder::Since])?,
            query: list
                .query
                .iter()
                .map(|(name, text)| {
                    let key = format!("query.{name}");
                    Ok((name.clone(), template(&key, text, &[Placeholder::Identifier, Placeholder::Since])?))
                })
                .collect::<Result<_, SetupError>>()?,
            body: list.body.as_ref().map(Body::parse).transpose().map_err(|what| SetupError::new("body", what))?,
            items: Pointer::parse(&list.items).map_err(|what| SetupError::new("items", what))?,
            next: list.next.as_deref().map(Pointer::parse).transpose().map_err(|what| SetupError::new("next", what))?,
            empty: list.empty.clone(),
        })
    }
}

impl Getting {
    fn compile(get: &Get) -> Result<Self, SetupError> {
        Ok(Self {
            method: method(&get.method)?,
            path: with_id(&get.path)?,
            document: Pointer::parse(&get.document).map_err(|what| SetupError::new("document", what))?,
        })
    }
}

impl Handing {
    fn creating(create: &Create) -> Result<Self, SetupError> {
        let pointer = |key: &str, text: &Option<String>| {
            text.as_deref().map(Pointer::parse).transpose().map_err(|what| SetupError::new(key, what))
        };
        Ok(Self {
            method: method(&create.method)?,
            path: template("path", &create.path, &[Placeholder::MessageId])?,
            headers: headers(&create.headers)?,
            id: pointer("id", &create.id)?,
            document: pointer("document", &create.document)?,
        })
    }

    fn updating(update: &Update) -> Result<Self, SetupError> {
        let document = update.document.as_deref().map(Pointer::parse).transpose();
        Ok(Self {
            method: method(&update.method)?,
            path: with_id(&update.path)?,
            headers: headers(&update.headers)?,
            id: None,
            document: document.map_err(|what| SetupError::new("document", what))?,
        })
    }

    fn names(&self, placeholder: Placeholder) -> bool {
        self.path.has(placeholder) || self.headers.iter().any(|(_, value)| value.has(placeholder))
    }
}

fn method(text: &str) -> Result<Method, SetupError> {
    match text {
        "GET" | "POST" | "PUT" | "PATCH" => {
            Method::from_bytes(text.as_bytes()).map_err(|error| SetupError::new("method", error.to_string()))
        }
        _ => Err(SetupError::new("method", "expected GET, POST, PUT or PATCH")),
    }
}

fn template(key: &str, text: &str, allowed: &[Placeholder]) -> Result<Template, SetupError> {
    let parsed = Template::parse(text).map_err(|what| SetupError::new(key, what))?;
    let all =
        [Placeholder::Identifier, Placeholder::Id, Placeholder::Since, Placeholder::MessageId, Placeholder::Version];
    if all.into_iter().any(|one| parsed.has(one) && !allowed.contains(&one)) {
        return Err(SetupError::new(key, "has a placeholder that has no value here"));
    }
    Ok(parsed)
}

fn with_id(text: &str) -> Result<Template, SetupError> {
    let parsed = template("path", text, &[Placeholder::Id, Placeholder::MessageId])?;
    if parsed.has(Placeholder::Id) { Ok(parsed) } else { Err(SetupError::new("path", "expected {id} in the path")) }
}

fn headers(config: &BTreeMap<String, String>) -> Result<Headers, SetupError> {
    let compile = |(name, text): (&String, &String)| {
        let key = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SetupError::new(&key, "not a header name"))?;
        let template = Template::parse(text).map_err(|what| SetupError::new(&key, what))?;
        Ok((header, template))
    };
    config.iter().map(compile).collect()
}

/// Adds the headers whose values are all there.
fn with_headers(mut request: Request, headers: &Headers, values: &Values<'_>) -> Result<Request, AdapterError> {
    for (name, template) in headers {
        if let Some(value) = template.text(values) {
            request = request.header(name.clone(), &value)?;
        }
    }
    Ok(request)
}

fn load(schema: &SchemaRef, folder: &Path, named: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Schema, SetupError> {
    let (bytes, key) = match schema {
        SchemaRef::File(path) => {
            let bytes = std::fs::read(folder.join(path))
                .map_err(|error| SetupError::new("schema.file", format!("cannot read {}: {error}", path.display())))?;
            (bytes, "schema.file")
        }
        SchemaRef::Name(name) => {
            let bytes =
                named(name).ok_or_else(|| SetupError::new("schema.name", format!("no schema is called {name}")))?;
            (bytes, "schema.name")
        }
    };
    Schema::compile(&bytes).map_err(|what| SetupError::new(key, what))
}

/// The part of an answer that a pointer names.
fn part<'a>(reply: &'a Reply, pointer: &Pointer) -> Result<&'a str, AdapterError> {
    if !reply.is_json() {
        return Err(reply.unusable("expected JSON", false));
    }
    let text = reply.text()?;
    let found = pointer.of(text).map_err(|error| {
        reply.unusable(format!("expected JSON (line {}, column {})", error.line(), error.column()), false)
    })?;
    found.ok_or_else(|| reply.unusable(format!("expected something at {}", pointer.path()), false))
}

impl Adapter for Http {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        Box::pin(self.web.by(deadline, self.read_any(read)))
    }

    fn search<'a>(&'a self, search: &'a Search, deadline: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        Box::pin(self.web.by(deadline, self.find(search, deadline)))
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        Box::pin(self.web.by(deadline, self.hand_over(delivery)))
    }

    /// Where the service is told the message's id; an update also where it is a PUT that no version can refuse.
    fn repeatable(&self, delivery: &Delivery) -> bool {
        let Some((_, handing)) = self.handing(delivery) else { return false };
        let known_again =
            handing.names(Placeholder::MessageId) || self.headers.iter().any(|(_, h)| h.has(Placeholder::MessageId));
        let replaces = handing.method == Method::PUT && !handing.names(Placeholder::Version);
        known_again || (matches!(delivery.action, Action::Update { .. }) && replaces)
    }
}
