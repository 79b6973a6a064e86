//! The life of a request, phase by phase.
//!
//! What is true for everyone (asking providers, translating, caching) happens inside [`Life::handle`]; what depends on
//! this caller happens before and after it, and is to be read here.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use arc_swap::ArcSwap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use silta_engine::fault::Fault;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::framing::Framing;
use super::interaction;
use super::metrics::GatewayMetrics;
use super::outcome::Refusal;
use super::parse::identity_code::holds_finnish_code;
use super::parse::{self, BodyKind, Head};
use super::request::{Format, Interaction, Payload, Request, RequestId};
use super::respond::{self, Asked, Http, Response};
use super::service::{Interactions, Policy};
use super::settings::Settings;
use super::strangers::Strangers;
use super::webhook::{self, Hooks, Post};
use super::{metadata, permission, preconditions};
use crate::access::audit::{Audit, Entry};
use crate::access::caller::Caller;
use crate::access::callers::Denied;
use crate::access::certificate::PeerCertificate;
use crate::access::interaction::{Action, ResourceType};
use crate::clock::{Clock, Instant};

/// What every request lives by.
pub(super) struct Life {
    pub(super) settings: Arc<ArcSwap<Settings>>,
    pub(super) interactions: Arc<dyn Interactions>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    pub(super) audit: Arc<dyn Audit>,
    pub(super) metrics: Arc<GatewayMetrics>,
    pub(super) clock: Clock,
    pub(super) ids: RequestIds,
    pub(super) memory: Arc<Semaphore>,
    pub(super) running: InFlight,
    pub(super) strangers: Strangers,
}

/// What is known of the connection that a request came on.
pub(super) struct Peer {
    address: SocketAddr,
    framing: Arc<Framing>,
    certificate: Option<PeerCertificate>,
    /// The generation of settings by which the certificate was last verified, doubled, plus one if it was good.
    verified: AtomicU64,
}

/// How many times the limit on bodies is taken of a body that is not wanted, so that its sender sees why.
const UNWANTED: usize = 4;

/// A request as it arrived, and by which settings it is served.
struct Arrival<'a> {
    settings: &'a Settings,
    peer: &'a Peer,
    parts: &'a Parts,
    id: RequestId,
    started: Instant,
}

/// What is told of a request in its log line, its audit entry and its metrics, as far as it came.
#[derive(Default)]
struct Told {
    caller: Option<Arc<Caller>>,
    interaction: Option<Interaction>,
    request: Option<Arc<Request>>,
}

impl Life {
    /// From HTTP to HTTP: whatever happens in between, there is an answer, an audit entry, a log line and a measurement.
    pub(super) async fn live(self: Arc<Self>, peer: Arc<Peer>, incoming: hyper::Request<Incoming>) -> Http {
        let settings = self.settings.load_full();
        let (parts, mut body) = incoming.into_parts();
        let started = self.clock.instant();
        let id = self.ids.of(&parts);
        let span = tracing::info_span!("request", %id, peer = %peer.address);
        let arrival = Arrival { settings: &settings, peer: &peer, parts: &parts, id, started };
        let mut presence = Presence::new(&self.metrics);
        let answering = async {
            let mut told = Told::default();
            let answer = contained(self.phases(&arrival, &mut body, &mut told)).await.unwrap_or_else(|Panicked| {
                self.metrics.panics.inc();
                Err(internal())
            });
            let answer = self.audited(answer, &told, &arrival).await;
            let http = write(&answer, &told, &arrival);
            self.tell(&answer, &http, &told, &arrival);
            http
        };
        let http = answering.instrument(span).await;
        presence.answered = true;
        // Who waits to be told to go on sends nothing after a refusal.
        if !body.is_end_stream() && !parts.headers.contains_key(EXPECT) {
            let (limits, clock) = (&settings.config, self.clock.clone());
            let limit = limits.body_bytes.saturating_mul(UNWANTED);
            tokio::spawn(parse::body::drain(body, limit, clock, started.after(limits.request_time)));
        }
        http
    }

    /// The phases in their order.
    async fn phases(&self, arrival: &Arrival<'_>, body: &mut Incoming, told: &mut Told) -> Result<Response, Refusal> {
        if arrival.peer.framing.is_ambiguous() {
            let text = "a request must not have both Transfer-Encoding and Content-Length";
            return Err(Refusal::new(Fault::CannotParse, text));
        }
        let caller = self.authenticate(arrival);
        told.caller = caller.as_ref().ok().cloned();
        if let (Some(hooks), Some(provider)) = (&self.hooks, webhook::provider(arrival.parts)) {
            let caller = caller.map_err(|denied| Refusal::new(denied.fault(), denied.to_string()))?;
            return self.hook(hooks.as_ref(), &caller, provider, arrival, body).await;
        }
        let head = understand(arrival, told);
        if let (Ok(head), Ok(_) | Err(Denied::NoCredentials)) = (&head, &caller)
            && head.interaction == Interaction::Capabilities
        {
            return self.capabilities(arrival, head);
        }
        let caller = caller.map_err(|denied| Refusal::new(denied.fault(), denied.to_string()))?;
        let head = head?;
        permission::permitted(&caller, &head.interaction)?;
        permission::offered(self.interactions.offers(), &head.interaction, &arrival.parts.headers)?;
        let (request, _memory) = self.request(arrival, head, caller, body).await?;
        told.request = Some(Arc::clone(&request));
        self.policy.admit(&request).await?;
        let response = match self.interactions.ready(&request) {
            Some(response) => response,
            None => self.handle(&request).await?,
        };
        let response = self.policy.redact(&request, response).await?;
        preconditions::check(&request, &response)?;
        Ok(response)
    }

    /// A provider's own document.
    async fn hook(
        &self,
        hooks: &dyn Hooks,
        caller: &Caller,
        provider: &str,
        arrival: &Arrival<'_>,
        body: &mut Incoming,
    ) -> Result<Response, Refusal> {
        let (parts, limits) = (arrival.parts, &arrival.settings.config);
        webhook::check(hooks, parts, caller, provider)?;
        let message_id = webhook::message_id(parts)?;
        let deadline = arrival.started.after(limits.request_time);
        let read =
            parse::body::read(body, &parts.headers, limits.body_bytes, &self.memory, &self.clock, deadline).await?;
        let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let names = webhook::named(parts);
        let post = Post { provider, names, media_type, body: read.bytes.clone(), message_id, request: &arrival.id };
        Ok(webhook::response(&hooks.take(post).await?))
    }

    /// Who calls.
    fn authenticate(&self, arrival: &Arrival<'_>) -> Result<Arc<Caller>, Denied> {
        let certificate = arrival.peer.certificate(arrival.settings, &self.clock);
        let bearer = bearer(&arrival.parts.headers)?;
        arrival.settings.callers.identify(certificate, bearer, self.clock.now())
    }

    /// The whole request, its body read.
    async fn request(
        &self,
        arrival: &Arrival<'_>,
        head: Head,
        caller: Arc<Caller>,
        body: &mut Incoming,
    ) -> Result<(Arc<Request>, parse::body::ReadBody), Refusal> {
        let (limits, headers) = (&arrival.settings.config, &arrival.parts.headers);
        let deadline = arrival.started.after(limits.request_time);
        let Head { interaction, mut parameters, format } = head;
        let is_form = arrival.parts.method == Method::POST && matches!(interaction, Interaction::Search(_));
        let mut format = match format {
            // A Binary may be read in its own media type, and a form may name the format.
            Err(_) if is_form || reads_binary(&interaction) => Format::Json,
            format => format?,
        };
        let read = parse::body::read(body, headers, limits.body_bytes, &self.memory, &self.clock, deadline).await?;
        self.metrics.request_bytes.observe(read.bytes.len() as f64);
        let mut payload = interaction::taken(&interaction, headers, &read.bytes);
        let sent = if read.bytes.is_empty() || payload.is_some() { None } else { Some(parse::body_kind(headers)?) };
        match sent {
            Some(BodyKind::Form) if is_form => {
                let form = std::str::from_utf8(&read.bytes)
                    .map_err(|_| Refusal::new(Fault::CannotParse, "the form is not UTF-8"))?;
                parameters.extend(parse::pairs(form, limits.parameters.saturating_sub(parameters.len()))?);
            }
            Some(BodyKind::Resource(format)) if takes_resource(&interaction) => {
                payload = Some(Payload { format, bytes: read.bytes.clone() });
            }
            Some(_) => {
                return Err(Refusal::new(Fault::MediaTypeNotSupported, "this interaction does not take such a body"));
            }
            None if needs_resource(&interaction) => {
                return Err(Refusal::new(Fault::RequiredMissing, "the body with the resource is missing"));
            }
            None => {}
        }
        if is_form {
            let asked = parse::take(&mut parameters, "_format").or_else(|| parse::asked_format(arrival.parts));
            format = parse::accepted(headers, asked.as_deref())?;
            parse::take(&mut parameters, "_pretty");
        }
        let request = Request {
            id: arrival.id.clone(),
            interaction,
            caller,
            parameters,
            conditions: parse::conditions(headers, limits.parameters)?,
            prefer: parse::prefer(headers),
            body: payload,
            answer: format,
            accept: parse::accept(headers),
            base: arrival.settings.base.of(arrival.parts)?,
            received: self.clock.now(),
            deadline,
        };
        Ok((Arc::new(request), read))
    }

    /// Lets the interactions do it, as a task of its own. When the time is up or the caller has gone, what changes nothing
    /// is cancelled; what changes something is let finish.
    async fn handle(&self, request: &Arc<Request>) -> Result<Response, Refusal> {
        let (interactions, shared) = (Arc::clone(&self.interactions), Arc::clone(request));
        let running = self.running.start();
        let work = async move {
            let _running = running;
            interactions.handle(&shared).await
        };
        let mut handler = Handler { task: tokio::spawn(work.in_current_span()), cancel: request.interaction.is_safe() };
        match self.clock.deadline(request.deadline, &mut handler.task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                self.metrics.panics.inc();
                Err(internal())
            }
            Err(_) => Err(Refusal::new(Fault::ProviderSlow, "the time allowed for the request has passed")),
        }
    }

    /// The CapabilityStatement, which everyone may read.
    fn capabilities(&self, arrival: &Arrival<'_>, head: &Head) -> Result<Response, Refusal> {
        head.format.clone()?;
        let base = arrival.settings.base.of(arrival.parts)?;
        let offers = self.interactions.offers();
        let json = metadata::statement(offers, &base, arrival.settings.since).map_err(|_| internal())?;
        let mut response = Response::new(StatusCode::OK, json);
        response.audited = true;
        Ok(response)
    }

    /// Nothing is disclosed that is not written down. Strangers cannot make us write without end.
    async fn audited(
        &self,
        answer: Result<Response, Refusal>,
        told: &Told,
        arrival: &Arrival<'_>,
    ) -> Result<Response, Refusal> {
        if answer.as_ref().is_ok_and(|response| response.audited) {
            return answer;
        }
        let a_second = arrival.settings.config.strangers_per_second;
        if told.caller.is_none() && !self.strangers.take(self.clock.instant(), a_second) {
            return Err(Refusal::new(Fault::Throttled, "too many requests without known credentials"));
        }
        let interaction = told.interaction.as_ref();
        let (persons, providers) =
            answer.as_ref().map(|response| (response.persons.clone(), response.providers.clone())).unwrap_or_default();
        let entry = Entry {
            time: self.clock.now(),
            caller: told.caller.as_ref().map(|caller| caller.name.clone()),
            request: arrival.id.to_string(),
            action: interaction.map(Interaction::action),
            resource_type: interaction.and_then(Interaction::resource_type),
            id: interaction.and_then(Interaction::id).map(ToString::to_string),
            parameters: told.request.as_ref().map(|request| request.parameters.clone()).unwrap_or_default(),
            persons,
            providers,
            outcome: answer.as_ref().map_or_else(|refusal| refusal.fault().issue_code(), |_| "success"),
        };
        match self.audit.record(entry).await {
            Ok(()) => answer,
            Err(error) => {
                self.metrics.audit_failed.inc();
                tracing::error!(%error, "not audited");
                // A refusal discloses nothing, and the caller is better served by its reason.
                let text = "the audit cannot be written, so nothing is given out";
                answer.and(Err(Refusal::new(Fault::StoreUnavailable, text)))
            }
        }
    }

    fn tell(&self, answer: &Result<Response, Refusal>, http: &Http, told: &Told, arrival: &Arrival<'_>) {
        let took = self.clock.instant().since(arrival.started);
        let action = told.interaction.as_ref().map(Interaction::action);
        self.metrics.answered(action, http.status(), took);
        if let Err(refusal) = answer {
            self.metrics.refused(refusal.fault());
        }
        self.metrics.response_bytes.observe(http.body().size_hint().lower() as f64);
        let kind = told.interaction.as_ref().and_then(Interaction::resource_type);
        tracing::info!(
            caller = told.caller.as_ref().map_or("-", |caller| caller.name.as_str()),
            interaction = action.map_or("-", Action::word),
            resource_type = kind.map_or("-", ResourceType::name),
            status = http.status().as_u16(),
            fault = answer.as_ref().err().map(|refusal| tracing::field::debug(refusal.fault())),
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
}

/// What is asked, as far as the head says it.
fn understand(arrival: &Arrival<'_>, told: &mut Told) -> Result<Head, Refusal> {
    let (settings, parts) = (arrival.settings, arrival.parts);
    let config = &settings.config;
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let size = parts.headers.iter().fold(target, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(4)
    });
    if size > config.head_bytes || parts.headers.len() > config.headers {
        return Err(Refusal::new(
            Fault::HeadTooLarge,
            format!("URL and header fields are more than {} bytes or {} fields", config.head_bytes, config.headers),
        ));
    }
    let interaction = parse::interaction(parts, settings.base.path())?;
    told.interaction = Some(interaction.clone());
    parse::head(parts, interaction, config.parameters, &settings.identity_codes)
}

/// The secret shown, if one is.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Err(Denied::Unknown) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| Denied::Unknown)?;
    let (scheme, secret) = text.split_once(' ').ok_or(Denied::Unknown)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(secret.trim())) } else { Err(Denied::Unknown) }
}

fn write(answer: &Result<Response, Refusal>, told: &Told, arrival: &Arrival<'_>) -> Http {
    let (parts, request) = (arrival.parts, told.request.as_ref());
    let is_get = matches!(parts.method, Method::GET | Method::HEAD);
    respond::write(
        answer,
        &Asked {
            id: &arrival.id,
            format: request.map_or_else(|| parse::format_for_refusals(parts), |request| request.answer),
            base: request.map_or("", |request| &request.base),
            copies: request.filter(|_| is_get).map(|request| &request.conditions),
            head: parts.method == Method::HEAD,
        },
    )
}

fn internal() -> Refusal {
    Refusal::new(Fault::Internal, "a fault of this program; the request's id says where to look in its log")
}

fn reads_binary(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Read(kind, _) | Interaction::VersionRead(kind, _, _) if kind.name() == "Binary")
}

fn takes_resource(interaction: &Interaction) -> bool {
    needs_resource(interaction) || matches!(interaction, Interaction::Operation(..))
}

fn needs_resource(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Create(_) | Interaction::Update(..) | Interaction::Batch)
}

impl Peer {
    /// A connection with the certificate that the handshake verified by these settings, if the caller showed one.
    pub(super) fn new(
        address: SocketAddr,
        certificate: Option<PeerCertificate>,
        framing: Arc<Framing>,
        settings: &Settings,
    ) -> Self {
        Self { address, framing, certificate, verified: AtomicU64::new(settings.generation << 1 | 1) }
    }

    /// The certificate, as long as the settings of now trust it: they may have come after the connection. The result is
    /// kept until they change again.
    fn certificate(&self, settings: &Settings, clock: &Clock) -> Option<&PeerCertificate> {
        let certificate = self.certificate.as_ref()?;
        let verified = self.verified.load(Ordering::Relaxed);
        let good = if verified >> 1 == settings.generation {
            verified & 1 == 1
        } else {
            let good = settings.tls.still_trusts(&certificate.chain, clock);
            self.verified.store(settings.generation << 1 | u64::from(good), Ordering::Relaxed);
            good
        };
        good.then_some(certificate)
    }
}

/// Makes ids for requests that come without one.
pub(super) struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids that begin with these random bytes, so that those of two runs differ.
    pub(super) fn new(random: [u8; 6]) -> Self {
        let prefix = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { prefix, next: AtomicU64::new(1) }
    }

    /// The id that the caller gave (<http://hl7.org/fhir/R4/http.html#custom>), or one of ours. It stands in logs, so a
    /// personal identity code is none.
    fn of(&self, parts: &Parts) -> RequestId {
        let given = parts.headers.get(respond::X_REQUEST_ID).and_then(|value| RequestId::new(value.to_str().ok()?));
        given.filter(|id| !holds_finnish_code(id.as_str())).unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            RequestId::made(format!("{}-{number}", self.prefix))
        })
    }
}

/// A request that is being worked on, counted until it is answered or its caller has gone.
struct Presence<'a> {
    metrics: &'a GatewayMetrics,
    answered: bool,
}

impl<'a> Presence<'a> {
    fn new(metrics: &'a GatewayMetrics) -> Self {
        metrics.in_flight.inc();
        Self { metrics, answered: false }
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if !self.answered {
            self.metrics.abandoned.inc();
        }
    }
}

/// How many handlers run. They may outlive the connection that their request came on.
pub(super) struct InFlight(watch::Sender<usize>);

impl InFlight {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    fn start(&self) -> Running {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Running(self.0.clone())
    }

    /// Waits until none runs.
    pub(super) async fn ended(&self) {
        let mut count = self.0.subscribe();
        // The sender lives in self, so this ends only when the count is zero.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

/// One handler that runs, until it is dropped.
struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// A handler's task, cancelled when its caller has gone if it changes nothing.
struct Handler {
    task: JoinHandle<Result<Response, Refusal>>,
    cancel: bool,
}

impl Drop for Handler {
    fn drop(&mut self) {
        if self.cancel {
            self.task.abort();
        }
    }
}

/// The work panicked.
struct Panicked;

/// Runs the work and stops a panic of it here.
async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = Box::pin(work);
    std::future::poll_fn(move |cx| match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}
