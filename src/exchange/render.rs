//! What a provider is told of a Task, in its own format: a new document, a change written onto the one it sent or was
//! sent, or the answer to its message.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits, Node};
use silta_engine::fhir::edit::Edit;
use silta_engine::mapping::{Context, Disposition, Loss, Map, Refusals, Written};
use silta_engine::native::{Format, Tree};

use crate::provider::{Action, Identifier};
use crate::store::{Original, ResourceKey, StoreError, View};

use super::Exchange;
use super::change::ORDER_NUMBERS;
use super::compose;
use super::error::ExchangeError;
use super::known;
use super::localise::{self, Bases, Named, is_test};
use super::outbox::TaskNews;
use super::partner::Partner;
use super::translate::{parse, refused};

/// Resources of one message at most: a referral with what it refers to.
const RESOURCES: usize = 64;
/// What an answer speaks of: the order, how it stands, and between whom.
const ANSWERED: [&str; 6] = ["Task", "ServiceRequest", "Patient", "Organization", "Practitioner", "PractitionerRole"];
const BETWEEN: [&str; 3] = ["subject", "requester", "performer"];
/// What the gateway writes into every Task by itself: when, and from its order between whom.
const NOTED: [&str; 4] = ["authoredOn", "lastModified", "owner", "requester"];
/// References followed from the Task.
const DEPTH: usize = 4;

/// A message ready to be sent.
#[derive(Clone)]
pub(crate) struct Rendered {
    pub(crate) bytes: Bytes,
    pub(crate) media: &'static str,
    pub(crate) resource_type: String,
    /// The kind of native document that the adapter is handed.
    pub(crate) kind: Option<String>,
    pub(crate) action: Action,
    pub(crate) is_test: bool,
    pub(crate) identifier: Option<Identifier>,
    /// The order that it is about.
    pub(crate) order: Option<ResourceKey>,
    /// Whether what was sent is what the next change is written onto (an answer is not).
    pub(crate) is_original: bool,
    /// Where the provider's format lacks what the resources say: places, never values.
    pub(crate) left_out: Vec<String>,
}

/// What the store holds for one message.
pub(super) struct Gathered {
    /// The Task first, then what it refers to.
    pub(super) resources: Vec<(ResourceKey, Bytes)>,
    pub(super) order: Option<ResourceKey>,
    original: Option<Original>,
    /// What the provider calls the order.
    native: Option<String>,
}

/// How a provider's document names resources, each by `Type/id` of the gateway.
#[derive(Default)]
struct Names {
    /// Those that are in it: the fullUrls that they have when it is translated.
    urls: HashMap<String, String>,
    /// Those that it refers to: `Type/id` as the provider says it.
    native: HashMap<String, String>,
    /// What its Task says.
    of_task: Vec<String>,
    /// Why its Task stands as it does, as its own document has it.
    reason: Option<Value>,
}

impl Exchange {
    /// Renders the news of a Task for a provider; nothing when its format has nothing new to say.
    pub(crate) async fn render_task(
        &self,
        partner: &Arc<Partner>,
        news: &TaskNews,
        message: &str,
    ) -> Result<Option<Rendered>, ExchangeError> {
        let (provider, wanted) = (partner.name().to_owned(), news.clone());
        let gathered = self.store().read(move |view| gather(view, &provider, &wanted)).await?;
        let Some(mut gathered) = gathered else {
            return Err(ExchangeError::refused(Fault::NotFound, "the Task of this message is not there"));
        };
        let now = self.clock().now();
        let mut context = partner.context(now);
        message.clone_into(&mut context.envelope.control_id);
        let tree = match &gathered.original {
            Some(original) => Some(parse(&self.syntax_of(partner, &original.media), &original.body)?),
            None => None,
        };
        let map = match &tree {
            Some(tree) => self.map_for(partner, tree)?,
            None => {
                let name = partner.settings.task.as_deref().unwrap_or_default();
                Arc::clone(self.maps().named(name).map_err(|error| ExchangeError::Configuration(error.to_string()))?)
            }
        };
        let names = match &tree {
            Some(tree) => self.names_of(partner, tree).await?,
            None => Names::default(),
        };
        let answers = partner.settings.answers && !news.as_owner;
        let is_answer = answers && tree.as_ref().is_some_and(|tree| tree.format() == Format::Hl7V2);
        let types: Vec<&str> = map.entry_types().map(|(_, kind)| kind).collect();
        let types: Vec<&str> =
            if is_answer { types.into_iter().filter(|kind| ANSWERED.contains(kind)).collect() } else { types };
        if is_answer {
            gathered.resources.retain(|(key, _)| ANSWERED.contains(&key.resource_type.as_str()));
        }
        let bundle = bundle_of(&gathered.resources, &names, &types, partner.name())?;
        let is_test = compose::resources(&bundle).any(is_test);
        let sent = strip(&bundle, tree.is_some().then_some(&names), is_answer)?;
        let (written, is_original) = match &tree {
            Some(tree) if is_answer => (answer(&map, &sent, tree, &context), false),
            Some(tree) => (map.put(&sent, tree, &context), true),
            None => (map.create(&sent, &context), true),
        };
        let written = written.map_err(|error| refused(&error))?;
        let not_carried = written.report.lost.iter().filter(|lost| lost.disposition == Disposition::Error);
        let places = not_carried.map(|lost| place_in(&sent, &lost.path));
        let left_out = places.filter(|path| !is_answer || is_of_order(path)).collect();
        let bytes = written.bytes;
        if is_original && gathered.original.as_ref().is_some_and(|original| original.body == bytes) {
            return Ok(None);
        }
        let kind = if news.as_owner { &partner.settings.kind } else { &partner.settings.requester_kind };
        Ok(Some(Rendered {
            bytes: Bytes::from(bytes),
            media: media_of(&map),
            resource_type: "ServiceRequest".to_owned(),
            kind: kind.clone(),
            action: match &gathered.native {
                Some(native) if gathered.original.is_some() => {
                    Action::Update { native_id: native.clone(), version: None }
                }
                _ => Action::Create,
            },
            is_test,
            identifier: compose::resources(&bundle).find(|one| one.type_name() == "ServiceRequest").and_then(number),
            order: gathered.order,
            is_original,
            left_out,
        }))
    }

    /// How the provider's own document names what it speaks of: what aligns a changed Bundle with it.
    async fn names_of(&self, partner: &Arc<Partner>, tree: &Tree) -> Result<Names, ExchangeError> {
        let translated = Arc::new(self.translate_tree(partner, tree)?);
        let known = self.gather_with(partner, &translated, &self.bases(None)).await?;
        let mut names = Names::default();
        for (entry, key) in translated.entries.iter().zip(&known.keys) {
            let mut key = key.clone();
            if entry.resource_type == "Task" {
                names.of_task.extend(translated.node(entry).children().map(|child| child.name().to_owned()));
                names.reason = translated.node(entry).first("statusReason").and_then(content);
                let focus = translated
                    .node(entry)
                    .text_at("focus.reference")
                    .and_then(|text| localise::named(text, &Bases::default()))
                    .and_then(|named: Named| known.resolved.get(&named));
                if let Some(task) = focus.and_then(|focus| compose::task_of(&known, &focus.to_string())) {
                    key = task.resource.key.clone();
                }
            }
            names.urls.entry(key.to_string()).or_insert_with(|| entry.url.clone());
        }
        for (named, key) in &known.resolved {
            let key = key.to_string();
            if let Named::Native(kind, native) = named
                && !names.urls.contains_key(&key)
            {
                names.native.insert(key, format!("{kind}/{native}"));
            }
        }
        Ok(names)
    }
}

/// A place in a Bundle as one in its resource: `ServiceRequest.encounter` rather than `Bundle.entry[1].resource.encounter`.
fn place_in(bundle: &Document, path: &str) -> String {
    let found = compose::resources(bundle).find_map(|resource| {
        let rest = path.strip_prefix(&resource.path().to_string())?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{}{rest}", resource.type_name()))
    });
    found.unwrap_or_else(|| path.to_owned())
}

/// The answer to a provider's document. That its format lacks something of the order or of how it stands refuses it; what
/// is known of people and organisations besides is not what was asked.
fn answer(map: &Map, sent: &Arc<Document>, request: &Tree, context: &Context) -> Result<Written, Refusals> {
    let refused = match map.answer(sent, request, context) {
        Err(refused) if context.loss == Loss::Refuse => refused,
        other => return other,
    };
    let written = map.answer(sent, request, &Context { loss: Loss::Warn, ..context.clone() })?;
    let mut lost = written.report.lost.iter().filter(|lost| lost.disposition == Disposition::Error);
    if lost.any(|lost| is_of_order(&place_in(sent, &lost.path))) { Err(refused) } else { Ok(written) }
}

fn is_of_order(path: &str) -> bool {
    path.starts_with("Task.") || path.starts_with("ServiceRequest.")
}

/// The Task at its version, and what it refers to as it is now.
pub(super) fn gather(view: &View<'_>, provider: &str, news: &TaskNews) -> Result<Option<Gathered>, StoreError> {
    let key = ResourceKey::new("Task", news.task.clone());
    let Some(task) = view.resource(&key, Some(news.version))? else { return Ok(None) };
    if task.deleted {
        return Ok(None);
    }
    let mut gathered =
        Gathered { resources: vec![(key, task.content.clone())], order: None, original: None, native: None };
    let mut open: Vec<(Bytes, usize)> = vec![(task.content, 0)];
    while let Some((content, depth)) = open.pop() {
        for target in references(&content) {
            let Some((kind, id)) = target.split_once('/') else { continue };
            let key = ResourceKey::new(kind, id);
            let is_there = gathered.resources.iter().any(|(held, _)| *held == key);
            if is_there || gathered.resources.len() >= RESOURCES || (kind == "Task" && depth > 0) {
                continue;
            }
            let Some(resource) = view.resource(&key, None)?.filter(|resource| !resource.deleted) else { continue };
            if depth < DEPTH {
                open.push((resource.content.clone(), depth + 1));
            }
            gathered.resources.push((key, resource.content));
        }
    }
    let focus = gathered.resources.first().and_then(|(_, content)| focus_of(content));
    if let Some(focus) = focus {
        gathered.original = view.original(provider, &focus.to_string())?;
        gathered.native = match view.native(&focus)? {
            Some((owner, native)) if owner == provider => Some(native),
            _ => match focus.id.strip_prefix(provider).and_then(|rest| rest.strip_prefix('.')) {
                Some(own) => Some(own.to_owned()),
                None => {
                    view.member(&focus)?.and_then(|member| known::aliases(&member, provider).next().map(str::to_owned))
                }
            },
        };
        // The order comes first of what is referred to.
        if let Some(place) = gathered.resources.iter().position(|(key, _)| *key == focus)
            && place > 1
        {
            let order = gathered.resources.remove(place);
            gathered.resources.insert(1, order);
        }
        gathered.order = Some(focus);
    }
    Ok(Some(gathered))
}

fn content(node: Node<'_>) -> Option<Value> {
    serde_json::from_str(node.raw()).ok()
}

fn document(content: &Bytes) -> Option<Arc<Document>> {
    Document::from_json(Model::r4(), content.to_vec(), &Limits::default()).ok()
}

pub(super) fn references(content: &Bytes) -> Vec<String> {
    let Some(document) = document(content) else { return Vec::new() };
    localise::references(&document, &Bases::default())
        .into_iter()
        .filter_map(|named| match named {
            Named::Native(kind, id) => Some(format!("{kind}/{id}")),
            Named::Entry(_) | Named::Here(..) | Named::Identified(..) => None,
        })
        .collect()
}

fn focus_of(task: &Bytes) -> Option<ResourceKey> {
    let document = document(task)?;
    let (kind, id) = document.root().text_at("focus.reference")?.split_once('/')?;
    Some(ResourceKey::new(kind, id))
}

/// A collection of those of these resources that the map writes or the provider's document has, whose references are
/// fullUrls of one another. What else they refer to is named as the provider names it, where it has a name for it.
fn bundle_of(
    resources: &[(ResourceKey, Bytes)],
    names: &Names,
    types: &[&str],
    provider: &str,
) -> Result<Arc<Document>, ExchangeError> {
    let is_in = |key: &ResourceKey| {
        let text = key.to_string();
        names.urls.contains_key(&text)
            || (types.contains(&key.resource_type.as_str()) && !names.native.contains_key(&text))
    };
    let held: Vec<&(ResourceKey, Bytes)> = resources.iter().filter(|(key, _)| is_in(key)).collect();
    let url_of =
        |key: &str| names.urls.get(key).cloned().unwrap_or_else(|| format!("urn:silta:{}", key.replace('/', ":")));
    let mut text = String::from("{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[");
    for (place, (key, content)) in held.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str("{\"fullUrl\":");
        text.push_str(&compose::quoted(&url_of(&key.to_string())));
        text.push_str(",\"resource\":");
        text.push_str(&String::from_utf8_lossy(content));
        text.push('}');
    }
    text.push_str("]}");
    let bundle = Document::from_json(Model::r4(), text.into_bytes(), &Limits::default())
        .map_err(|_| ExchangeError::Internal("stored resources cannot be read"))?;
    let own = format!("/{provider}.");
    let mut edit = Edit::new(&bundle);
    localise::each_reference(bundle.root(), &mut |node| {
        let Some(target) = node.text() else { return };
        if held.iter().any(|(key, _)| key.to_string() == target) {
            edit.set(node, &url_of(target));
        } else if let Some(native) = names.native.get(target) {
            edit.set(node, native);
        } else if target.contains(&own) {
            edit.set(node, &target.replacen(&own, "/", 1));
        }
    });
    edit.finish().map_err(|_| ExchangeError::Internal("a Bundle cannot be made"))
}

/// The Bundle as a map would make it: without the gateway's ids and meta, and without what the gateway noted itself of a Task
/// that the provider's own document says nothing of. An order without a number is known by its id.
/// An answer leaves out what the requester said itself of its order: letters, diagnoses, the stay, why it sent it.
fn strip(bundle: &Arc<Document>, known: Option<&Names>, is_answer: bool) -> Result<Arc<Document>, ExchangeError> {
    let mut edit = Edit::new(bundle);
    for resource in compose::resources(bundle) {
        if let (Some(names), "Task") = (known, resource.type_name()) {
            for name in NOTED.iter().filter(|name| !names.of_task.iter().any(|said| said == *name)) {
                edit.drop_member(resource, name);
            }
        }
        // The reason that the requester gave is none of the decision.
        let reason = resource.first("statusReason").filter(|_| is_answer && resource.type_name() == "Task");
        let own = known.and_then(|names| names.reason.as_ref());
        if own.is_some() && reason.and_then(content).as_ref() == own {
            edit.drop_member(resource, "statusReason");
        }
        if resource.type_name() == "ServiceRequest"
            && resource.first("identifier").is_none()
            && let Some(id) = resource.text_at("id")
        {
            let number = compose::quoted(id);
            let identifier = format!("{{\"system\":\"{ORDER_NUMBERS}\",\"value\":{number}}}");
            edit.insert(resource, "identifier", &identifier);
        }
        if is_answer && resource.type_name() == "ServiceRequest" {
            let mut names: Vec<&str> = resource
                .children()
                .filter(|child| child.type_name() == "Reference" && !BETWEEN.contains(&child.name()))
                .map(|child| child.name())
                .collect();
            names.dedup();
            for name in names {
                edit.drop_member(resource, name);
            }
        }
        for name in ["id", "meta"] {
            edit.drop_member(resource, name);
        }
    }
    edit.finish().map_err(|_| ExchangeError::Internal("a Bundle cannot be made"))
}

fn number(order: Node<'_>) -> Option<Identifier> {
    let identifier = order.first("identifier")?;
    Some(Identifier {
        system: identifier.text_at("system").unwrap_or("").to_owned(),
        value: identifier.text_at("value")?.to_owned(),
    })
}

fn media_of(map: &Map) -> &'static str {
    use silta_engine::mapping::syntax::NativeType;
    match map.native() {
        NativeType::Hl7v2 { .. } => "x-application/hl7-v2+er7",
        NativeType::Json { .. } => "application/json",
        NativeType::Fhir { .. } => "application/fhir+json",
        NativeType::Delimited { .. } => "text/csv",
        NativeType::Xml { .. } => "application/xml",
    }
}
