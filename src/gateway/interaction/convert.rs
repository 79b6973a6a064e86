//! Convert: `POST [base]/$silta-convert`, a document through its map, either way. Nothing is kept.
//!
//! The body is a native document in its own media type, a Bundle to be written natively, or Parameters with `input`,
//! `original`, `map`, `provider` and `to`; the last three may stand in the URL. The answer is Parameters with `output`,
//! `report` and `totals`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Node, Part};
use silta_engine::mapping::syntax::NativeType;
use silta_engine::mapping::{Context, Disposition, Map, Maps, NoMap, Refusals, Report, Unrecognised};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{Charset, Format as Native, Limits, Syntax, Tree};

use super::document;
use crate::clock::Clock;
use crate::exchange::{Current, Exchange};
use crate::gateway::bridge::RULES;
use crate::gateway::outcome::{Issue, Refusal};
use crate::gateway::request::{Format, Interaction, Payload, Request};
use crate::gateway::respond::Response;

/// The name of the operation, without its `$`.
pub(super) const NAME: &str = "silta-convert";
/// The canonical of its definition.
pub(super) const DEFINITION: &str = "https://silta.example/fhir/OperationDefinition/silta-convert";

const HL7V2: &str = "x-application/hl7-v2+er7";

const FHIR_JSON: &str = "application/fhir+json";
const FHIR_XML: &str = "application/fhir+xml";

/// Media types of native documents, without parameters. FHIR is one where it is of another version.
const NATIVE: [&str; 11] = [
    FHIR_JSON,
    FHIR_XML,
    HL7V2,
    "application/hl7-v2",
    "application/hl7-v2+er7",
    "application/cda+xml",
    "application/xml",
    "text/xml",
    "application/json",
    "text/csv",
    "text/plain",
];

/// What converts: the maps, and the settings of providers.
#[derive(Debug, Clone)]
pub struct Converter {
    maps: Arc<Maps>,
    clock: Clock,
    secret: Vec<u8>,
    current: Option<Current>,
    exchange: Option<Exchange>,
}

impl Converter {
    /// Over these maps. `secret` is the key under which personal identifiers appear in names.
    #[must_use]
    pub const fn new(maps: Arc<Maps>, clock: Clock, secret: Vec<u8>) -> Self {
        Self { maps, clock, secret, current: None, exchange: None }
    }

    /// With the maps of an exchange as it is configured when a document comes, and with the settings of its providers for
    /// documents that are said to be of one.
    pub fn by(exchange: impl Into<Current>) -> Self {
        let current = exchange.into();
        let now = current.now();
        let parts = now.parts();
        let converter = Self::new(Arc::clone(&parts.maps), parts.clock.clone(), parts.secret.clone());
        Self { current: Some(current), ..converter }
    }

    /// As it is at this moment.
    fn now(&self) -> Self {
        let Some(exchange) = self.current.as_ref().map(Current::now) else { return self.clone() };
        Self { maps: Arc::clone(&exchange.parts().maps), exchange: Some(exchange), ..self.clone() }
    }

    /// Answers a request for `$silta-convert`.
    ///
    /// # Errors
    /// What is not understood, of an unknown type (415), or refused by a map (422), each place named.
    pub async fn convert(&self, request: &Request) -> Result<Response, Refusal> {
        let asked = asked(request)?;
        let converter = self.now();
        let work = tokio::task::spawn_blocking(move || converted(&converter, asked));
        let json = work.await.map_err(|_| Refusal::new(Fault::Internal, "the conversion did not end"))??;
        Ok(Response::new(StatusCode::OK, json))
    }

    fn context(&self, provider: Option<&str>) -> Result<Context, Refusal> {
        let now = self.clock.now();
        let Some(name) = provider else { return Ok(Context::new("convert", now, &self.secret)) };
        let partner = self.exchange.as_ref().and_then(|exchange| exchange.partner(name));
        partner
            .map(|partner| partner.context(now))
            .ok_or_else(|| Refusal::new(Fault::BadValue, "no provider of this name is configured"))
    }
}

/// A document that a request's body is, as the Binary that Parameters would have it in; none when the body is Parameters or
/// a Binary, or of a type that is not taken.
pub(in crate::gateway) fn taken(interaction: &Interaction, headers: &HeaderMap, body: &Bytes) -> Option<Payload> {
    let is_it = matches!(interaction, Interaction::Operation(None, None, name) if name == NAME);
    if !is_it || body.is_empty() || headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let media = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    if !is_native(media) || matches!(resource_type(media, body).as_deref(), Some("Parameters" | "Binary")) {
        return None;
    }
    let binary = json!({"resourceType": "Binary", "contentType": media, "data": STANDARD.encode(body)});
    Some(Payload { format: Format::Json, bytes: binary.to_string().into() })
}

fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Which of the native formats a media type is of.
fn form(media: &str) -> &'static str {
    match essence(media).as_str() {
        essence if essence.contains("hl7-v2") => "er7",
        essence if essence.ends_with("xml") => "xml",
        essence if essence.ends_with("json") => "json",
        _ => "table",
    }
}

/// A parameter of a media type.
fn parameter<'m>(media: &'m str, wanted: &str) -> Option<&'m str> {
    let named = media.split(';').skip(1).filter_map(|one| one.trim().split_once('='));
    let mut found = named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.next().map(|(_, value)| value.trim_matches('"'))
}

fn is_native(media: &str) -> bool {
    NATIVE.contains(&essence(media).as_str())
}

/// The type that a body says it is a FHIR resource of.
fn resource_type(media: &str, body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "resourceType")]
        resource_type: Option<String>,
    }
    let essence = essence(media);
    if essence.ends_with("json") {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        return serde_json::from_slice::<Head>(text).ok()?.resource_type;
    }
    if !essence.ends_with("xml") || essence == "application/cda+xml" {
        return None;
    }
    let tree = Syntax::Xml.parse(body.to_vec(), &Limits::default()).ok()?;
    let top = tree.document_element().filter(|top| tree.namespace(*top) == Some("http://hl7.org/fhir"))?;
    Some(tree.name(top)?.into_owned())
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Fhir,
    Native,
}

/// A native document as sent.
struct Sent {
    charset: Option<Charset>,
    bytes: Vec<u8>,
    /// The resource that it says it is.
    resource: Option<String>,
    /// The version of FHIR that its media type says.
    version: Option<String>,
    /// Whether its media type says that it is HL7 v2.
    is_v2: bool,
}

enum Input {
    Native(Sent),
    Resource(Arc<Document>),
}

/// What is to be converted, and how.
#[derive(Default)]
struct Asked {
    input: Option<Input>,
    original: Option<Sent>,
    map: Option<String>,
    provider: Option<String>,
    to: Option<To>,
    /// The media type that a native document is wanted in.
    media: Option<String>,
    /// The trigger event and the version of a new message.
    event: Option<String>,
    version: Option<String>,
}

fn asked(request: &Request) -> Result<Asked, Refusal> {
    let mut asked = Asked::default();
    for (name, value) in &request.parameters {
        asked.option(name, value)?;
    }
    let document = document::read(request)?;
    let root = document.root();
    if root.type_name() == "Parameters" {
        for parameter in root.named("parameter") {
            let place = parameter.path().to_string();
            let resource = parameter.first("resource");
            match (parameter.text_at("name").unwrap_or_default(), resource) {
                ("input", Some(resource)) => asked.input = Some(input(resource, &document)?),
                ("original", Some(resource)) => asked.original = Some(binary(resource)?),
                (name, None) => {
                    let value = parameter.first("value").and_then(Node::text).unwrap_or_default();
                    asked.option(name, value)?;
                }
                _ => {
                    let text = "$silta-convert takes input, original, map, provider, to, event and version";
                    return Err(Refusal::of(Issue::new(Fault::BadValue, text).at(place)));
                }
            }
        }
    } else {
        asked.input = Some(input(root, &document)?);
    }
    Ok(asked)
}

impl Asked {
    fn option(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match (name, value) {
            ("map", name) => self.map = Some(name.to_owned()),
            ("provider", name) => self.provider = Some(name.to_owned()),
            ("event", event) => self.event = Some(event.to_owned()),
            ("version", version) => self.version = Some(version.to_owned()),
            ("to", "fhir") => self.to = Some(To::Fhir),
            ("to", "native") => self.to = Some(To::Native),
            ("to", media) if is_native(media) => {
                self.to = Some(To::Native);
                self.media = Some(essence(media));
            }
            ("to", _) => {
                let text = "to is fhir, native, or the media type of a native document";
                return Err(Refusal::new(Fault::BadValue, text));
            }
            _ => {
                let text = format!(
                    "$silta-convert does not take {name}: it takes input, original, map, provider, to, event and version"
                );
                return Err(Refusal::new(Fault::BadValue, text));
            }
        }
        Ok(())
    }
}

fn input(resource: Node<'_>, document: &Arc<Document>) -> Result<Input, Refusal> {
    if resource.type_name() == "Binary" {
        return binary(resource).map(Input::Native);
    }
    if resource.id() == document.root().id() {
        return Ok(Input::Resource(Arc::clone(document)));
    }
    let part = Part::new(document, resource.id()).detach();
    part.map(Input::Resource).map_err(|_| Refusal::new(Fault::BadValue, "input is a Bundle or a Binary"))
}

fn binary(resource: Node<'_>) -> Result<Sent, Refusal> {
    let wrong = |fault, text: &str| Refusal::of(Issue::new(fault, text).at(resource.path().to_string()));
    if resource.type_name() != "Binary" {
        return Err(wrong(Fault::BadValue, "a native document is sent as a Binary"));
    }
    let media = resource.text_at("contentType").unwrap_or_default();
    if !is_native(media) {
        let text = format!("a native document is of one of the types {}", NATIVE.join(", "));
        return Err(wrong(Fault::MediaTypeNotSupported, &text));
    }
    let data: String = resource.text_at("data").unwrap_or_default().split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(data).map_err(|_| wrong(Fault::BadValue, "data is base64"))?;
    let charset = match parameter(media, "charset") {
        Some(name) => Some(
            Charset::named(name)
                .ok_or_else(|| wrong(Fault::MediaTypeNotSupported, "this character set is not known"))?,
        ),
        None => None,
    };
    let version = parameter(media, "fhirVersion").map(str::to_owned);
    let is_v2 = essence(media).contains("hl7-v2");
    Ok(Sent { charset, resource: resource_type(media, &bytes), version, is_v2, bytes })
}

fn converted(converter: &Converter, asked: Asked) -> Result<String, Refusal> {
    let mut context = converter.context(asked.provider.as_deref())?;
    let named = match &asked.map {
        Some(name) => {
            Some(converter.maps.named(name).map_err(|error| Refusal::new(Fault::BadValue, error.to_string()))?)
        }
        None => None,
    };
    context.xml = asked.media.as_deref().is_some_and(|media| media.ends_with("xml"));
    if let Some(event) = &asked.event {
        context.envelope.event.clone_from(event);
    }
    if let Some(version) = &asked.version {
        context.envelope.version.clone_from(version);
    }
    let input = match asked.input {
        Some(Input::Native(sent)) => Some(understood(&converter.maps, named, asked.to, sent)?),
        other => other,
    };
    match input {
        None => Err(Refusal::new(Fault::RequiredMissing, "the document to convert is missing")),
        Some(Input::Native(sent)) if asked.to != Some(To::Native) => {
            let (map, tree) = read(&converter.maps, named, sent, &mut context)?;
            let got = map.text(&tree, &context).map_err(|refusals| refused(&refusals))?;
            Ok(answer(got.json(), &got.report(&tree)))
        }
        Some(Input::Native(_)) => Err(Refusal::new(Fault::BadValue, "what is written natively is sent as a Bundle")),
        Some(Input::Resource(_)) if asked.to == Some(To::Fhir) => {
            Err(Refusal::new(Fault::BadValue, "what becomes FHIR is sent in its own media type, or as a Binary"))
        }
        Some(Input::Resource(wanted)) => {
            if wanted.root().type_name() != "Bundle" {
                return Err(Refusal::new(Fault::BadValue, "what is written natively is sent as a Bundle"));
            }
            let (map, written) = match asked.original {
                Some(original) => {
                    let (map, tree) = read(&converter.maps, named, original, &mut context)?;
                    let written = map.put(&wanted, &tree, &context);
                    (map, written)
                }
                None => {
                    let text = "a new document needs map, a change of one original";
                    let map = named.ok_or_else(|| Refusal::new(Fault::RequiredMissing, text))?;
                    (Arc::clone(map), map.create(&wanted, &context))
                }
            };
            let written = written.map_err(|refusals| refused(&refusals))?;
            let media = media_of(&map, &written.bytes, context.charset);
            if asked.media.as_deref().is_some_and(|wanted| form(wanted) != form(&media)) {
                let text = format!("to: what {} writes is {}", map.name(), essence(&media));
                return Err(Refusal::new(Fault::BadValue, text));
            }
            let binary =
                json!({"resourceType": "Binary", "contentType": media, "data": STANDARD.encode(&written.bytes)});
            Ok(answer(&binary.to_string(), &written.report))
        }
    }
}

/// Whether a document is a native one, or a resource of R4 that is to be written natively: FHIR says it by the version of
/// its media type, by the map that is asked for, by where it is to go, or by what only another version has.
fn understood(maps: &Maps, named: Option<&Arc<Map>>, to: Option<To>, sent: Sent) -> Result<Input, Refusal> {
    if sent.resource.is_none() {
        return Ok(Input::Native(sent));
    }
    let is_of_fhir = |map: &Arc<Map>| matches!(map.native(), NativeType::Fhir { .. });
    let is_foreign = match (sent.version.as_deref(), to) {
        (Some(version), _) => !version.starts_with("4."),
        (None, Some(To::Fhir)) => true,
        (None, Some(To::Native)) => false,
        (None, None) if named.is_some_and(|map| !is_of_fhir(map)) => false,
        (None, None) => {
            let is_bundle = sent.resource.as_deref() == Some("Bundle");
            !is_bundle
                || maps
                    .recognise(sent.bytes.clone(), Charset::Utf8, &Limits::default())
                    .is_ok_and(|(map, _)| is_of_fhir(&map))
        }
    };
    if is_foreign {
        return Ok(Input::Native(sent));
    }
    let is_xml = sent.bytes.trim_ascii_start().strip_prefix(b"\xef\xbb\xbf").unwrap_or(&sent.bytes).starts_with(b"<");
    document::parsed(sent.bytes, if is_xml { Format::Xml } else { Format::Json }).map(Input::Resource)
}

/// The map that the media type of a document of FHIR says, by its version.
fn by_version(maps: &Maps, sent: &Sent) -> Result<Option<Arc<Map>>, Refusal> {
    let (Some(version), Some(kind)) = (&sent.version, &sent.resource) else { return Ok(None) };
    let is_it = |map: &&Arc<Map>| match map.native() {
        NativeType::Fhir { version: of, resource } => resource == kind && version.starts_with(of.text()),
        _ => false,
    };
    match maps.iter().find(is_it) {
        Some(map) => Ok(Some(Arc::clone(map))),
        None => {
            let text = format!("no map reads {kind} of FHIR {version}");
            Err(Refusal::new(Fault::MediaTypeNotSupported, text))
        }
    }
}

fn read(maps: &Maps, named: Option<&Arc<Map>>, sent: Sent, context: &mut Context) -> Result<(Arc<Map>, Tree), Refusal> {
    let by_version = if named.is_none() { by_version(maps, &sent)? } else { None };
    let named = named.or(by_version.as_ref());
    if let Some(charset) = sent.charset {
        context.charset = charset;
    }
    let limits = Limits::default();
    let found = match named {
        Some(map) => match map.syntax_of(&sent.bytes, context.charset).parse(sent.bytes, &limits) {
            Ok(tree) => Ok((Arc::clone(map), tree)),
            Err(error) => Err(Unrecognised::Syntax(error)),
        },
        None if sent.is_v2 => {
            let syntax = Syntax::Hl7V2(Options { charset: context.charset });
            let tree = syntax.parse(sent.bytes, &limits).map_err(Unrecognised::from);
            tree.and_then(|tree| Ok((Arc::clone(maps.find(&tree)?), tree)))
        }
        None => maps.recognise(sent.bytes, context.charset, &limits),
    };
    let (map, tree) = found.map_err(|error| match &error {
        Unrecognised::NoMap(NoMap::Unknown { .. }) => Refusal::new(Fault::MediaTypeNotSupported, error.to_string()),
        _ => {
            let issue = Issue::new(error.fault(), error.to_string());
            Refusal::of(match error.location() {
                Some(place) => issue.located(place),
                None => issue,
            })
        }
    })?;
    let faults = tree.row_faults().iter().map(|fault| Issue::new(Fault::BusinessRule, fault.to_string()));
    match Refusal::all(faults) {
        Some(refusal) => Err(refusal),
        None => Ok((map, tree)),
    }
}

/// Each place that does not hold; what the document says is understood, and is not to be done: 422.
fn refused(refusals: &Refusals) -> Refusal {
    let issues = refusals.items.iter().map(|item| {
        let fault = match item.fault {
            Fault::CodeNotInValueSet | Fault::VersionNotSupported | Fault::Internal => item.fault,
            _ => Fault::BusinessRule,
        };
        let issue = Issue::new(fault, format!("expected {}", item.expected));
        let issue = if item.path.starts_with("Bundle") { issue.at(&item.path) } else { issue.located(&item.path) };
        match &item.rule {
            Some(rule) => issue.rule(RULES, rule),
            None => issue,
        }
    });
    Refusal::all(issues).unwrap_or_else(|| Refusal::new(Fault::BusinessRule, refusals.to_string()))
}

fn media_of(map: &Map, bytes: &[u8], charset: Charset) -> String {
    let format = map.syntax_of(bytes, charset).format();
    if let NativeType::Fhir { version, .. } = map.native() {
        let media = if format == Native::Xml { FHIR_XML } else { FHIR_JSON };
        return format!("{media}; fhirVersion={}", version.text());
    }
    match format {
        Native::Hl7V2 => HL7V2.to_owned(),
        Native::Json => "application/json".to_owned(),
        Native::Xml if map.makes_editions() => "application/cda+xml".to_owned(),
        Native::Xml => "application/xml".to_owned(),
        Native::Delimited => format!("text/csv; charset={}", charset.name()),
    }
}

/// The answer; the resource stays as it is written.
fn answer(output: &str, report: &Report) -> String {
    let count = |name: &str, value: u32| json!({"name": name, "valueUnsignedInt": value});
    let share = |name: &str, value: f64| json!({"name": name, "valueDecimal": value});
    let totals = json!({"name": "totals", "part": [
        {"name": "map", "valueString": report.map},
        count("leaves", report.leaves), count("mapped", report.mapped), count("approximated", report.approximated),
        count("residue", report.residue), count("dropped", report.dropped), count("errors", report.errors),
        share("conveyed", report.conveyed), share("kept", report.kept),
    ]});
    let outcome = json!({"name": "report", "resource": {"resourceType": "OperationOutcome", "issue": issues(report)}});
    format!(
        "{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"output\",\"resource\":{output}}},{outcome},{totals}]}}"
    )
}

/// An issue for each leaf that is not carried as it is, and for what of the Bundle was not written.
fn issues(report: &Report) -> Vec<Value> {
    let mut issues = Vec::new();
    for item in &report.items {
        let (severity, code, text) = match item.disposition {
            Disposition::Mapped => continue,
            Disposition::Approximated => ("information", "informational", "carried as a stand-in, or coarser"),
            Disposition::Residue => ("information", "informational", "kept in the original only"),
            Disposition::Dropped => ("information", "informational", "left out"),
            Disposition::Error => ("warning", "not-supported", "not carried"),
        };
        let text = match &item.reason {
            Some(reason) => format!("{text}: {reason}"),
            None => text.to_owned(),
        };
        let mut issue =
            json!({"severity": severity, "code": code, "details": {"text": text}, "diagnostics": item.path});
        if let (Some(rule), Some(details)) = (&item.rule, issue.get_mut("details").and_then(Value::as_object_mut)) {
            details.insert("coding".to_owned(), json!([{"system": RULES, "code": rule}]));
        }
        issues.push(issue);
    }
    for lost in &report.lost {
        let (severity, code) = match lost.disposition {
            Disposition::Error => ("warning", "not-supported"),
            _ => ("information", "informational"),
        };
        let place = if lost.path.starts_with("Bundle") { "expression" } else { "diagnostics" };
        let path = if place == "expression" { json!([lost.path]) } else { json!(lost.path) };
        let mut issue = json!({"severity": severity, "code": code, "details": {"text": lost.reason}});
        if let Some(issue) = issue.as_object_mut() {
            issue.insert(place.to_owned(), path);
        }
        issues.push(issue);
    }
    if issues.is_empty() {
        let text = "everything was carried as it is";
        issues.push(json!({"severity": "information", "code": "informational", "details": {"text": text}}));
    }
    issues
}
