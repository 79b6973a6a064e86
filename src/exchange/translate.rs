//! From native bytes to resources with the gateway's ids: what is fetched live, and the first half of the way in.

use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits, Node, Part};
use silta_engine::fhir::edit::Edit;
use silta_engine::mapping::syntax::NativeType;
use silta_engine::mapping::{Map, Refusals, Translation, Verb};
use silta_engine::native::{self, Format, Syntax, Tree};

use crate::provider::registry::Validation;
use crate::provider::{BoxFuture, NativeDocument};
use crate::store::{Member, NativeKey, ResourceKey};

use super::Exchange;
use super::compose;
use super::directory;
use super::error::{ExchangeError, Problem};
use super::judge;
use super::known::Known;
use super::localise::{self, Bases, Placed, Provenance};
use super::partner::Partner;
use super::translated::{Entry, Translated};
use super::v2;

/// Resources made of what a provider answered.
#[derive(Debug, Clone, Default)]
pub struct LiveDocuments {
    /// Each a resource of its own with id, meta.source and the gateway's references.
    pub resources: Vec<Arc<Document>>,
    /// Rules that they break, where the provider's policy is to let that pass.
    pub warnings: Vec<Problem>,
}

impl Exchange {
    /// Translates documents that a provider gave when it was asked. Nothing is stored.
    ///
    /// # Errors
    /// A document that cannot be read or translated, or breaks a rule where the policy is to reject.
    pub fn translate<'a>(
        &'a self,
        provider: &'a str,
        documents: &'a [NativeDocument],
    ) -> BoxFuture<'a, Result<LiveDocuments, ExchangeError>> {
        Box::pin(async move {
            let Some(partner) = self.partner(provider) else {
                return Err(ExchangeError::Configuration(format!("no provider is named {provider}")));
            };
            let mut all = Vec::with_capacity(documents.len());
            for document in documents {
                let (translated, base) = self.translate_bytes(&partner, document)?;
                all.push((Arc::new(translated), self.bases(base)));
            }
            // One look at the store for all of them: who asks waits for each.
            let known = self.gather_all(&partner, all.clone()).await?;
            let mut live = LiveDocuments::default();
            for ((document, (translated, bases)), known) in documents.iter().zip(&all).zip(&known) {
                self.translate_one(&partner, document, translated, bases, known, &mut live)?;
            }
            Ok(live)
        })
    }

    fn translate_bytes(
        &self,
        partner: &Arc<Partner>,
        native: &NativeDocument,
    ) -> Result<(Translated, Option<String>), ExchangeError> {
        // FHIR of another version is a provider's whose settings name a map for it.
        let is_other =
            |name: &String| self.maps().named(name).is_ok_and(|map| matches!(map.native(), NativeType::Fhir { .. }));
        let is_fhir = native.media_type.contains("fhir");
        if is_fhir && !partner.settings.maps.iter().any(is_other) {
            return fhir_document(native);
        }
        let syntax = self.syntax_of(partner, &native.media_type);
        let tree = parse(&syntax, &native.bytes.0)?;
        let base = native.url.as_deref().filter(|_| is_fhir).and_then(|url| {
            let mut steps = url.split("/_history/").next()?.rsplitn(3, '/');
            (steps.next(), steps.next(), steps.next()).2.map(str::to_owned)
        });
        Ok((self.translate_tree(partner, &tree)?, base))
    }

    fn translate_one(
        &self,
        partner: &Arc<Partner>,
        native: &NativeDocument,
        translated: &Translated,
        bases: &Bases,
        known: &Known,
        live: &mut LiveDocuments,
    ) -> Result<(), ExchangeError> {
        let updated = native.last_modified.unwrap_or(native.fetched_at);
        let mine: Vec<bool> = translated
            .entries
            .iter()
            .zip(&known.keys)
            .map(|(entry, key)| !entry.deleted && entry.resource_type != "Task" && is_own(known, key, partner.name()))
            .collect();
        let bundle = place(translated, known, bases, partner, updated)?;
        let resources: Vec<Node<'_>> = compose::resources(&bundle).collect();
        for (resource, mine) in resources.into_iter().zip(mine) {
            if !mine {
                continue;
            }
            let profiles = partner.profiles_on(resource.type_name());
            let problems = judge::problems(self.validator(), &bundle, resource.id(), &profiles);
            if !problems.is_empty() && partner.connection.validation == Validation::Reject {
                return Err(ExchangeError::Refused(
                    problems.into_iter().map(|one| Problem { fault: Fault::ProviderAnswerUnusable, ..one }).collect(),
                ));
            }
            live.warnings.extend(problems);
            let whole = Part::new(&bundle, resource.id())
                .detach()
                .map_err(|_| ExchangeError::Internal("a translated resource cannot be read"))?;
            live.resources.push(with_team(whole, known)?);
        }
        Ok(())
    }

    pub(crate) async fn gather_with(
        &self,
        partner: &Arc<Partner>,
        translated: &Arc<Translated>,
        bases: &Bases,
    ) -> Result<Known, ExchangeError> {
        let one = vec![(Arc::clone(translated), bases.clone())];
        let known = self.gather_all(partner, one).await?.into_iter().next();
        known.ok_or(ExchangeError::Internal("a look at the store gave nothing"))
    }

    /// What is known of each of several documents, in one moment.
    async fn gather_all(
        &self,
        partner: &Arc<Partner>,
        documents: Vec<(Arc<Translated>, Bases)>,
    ) -> Result<Vec<Known>, ExchangeError> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let (provider, ground) = (partner.name().to_owned(), Arc::clone(&self.settings().ground));
        let known = self.store().read(move |view| {
            let each = documents.iter();
            each.map(|(translated, bases)| super::known::gather(view, &provider, translated, bases, &ground)).collect()
        });
        Ok(known.await?)
    }

    /// How a provider's documents of a media type are read.
    pub(crate) fn syntax_of(&self, partner: &Partner, media: &str) -> Syntax {
        let context = partner.context(self.clock().now());
        let plain = media.split(';').next().unwrap_or(media).trim();
        if plain.ends_with("json") {
            Syntax::Json
        } else if plain.ends_with("xml") {
            Syntax::Xml
        } else if plain.contains("hl7-v2") {
            Syntax::Hl7V2(native::hl7v2::Options { charset: context.charset })
        } else {
            Syntax::Delimited(partner.dialect())
        }
    }

    /// The map that reads a document of a provider: the one that the document's own type finds, else one that the
    /// provider's settings name.
    pub(crate) fn map_for(&self, partner: &Partner, tree: &Tree) -> Result<Arc<Map>, ExchangeError> {
        let named = partner.settings.maps.iter().filter_map(|name| self.maps().named(name).ok());
        if let Some(map) = named.into_iter().find(|map| map.accepts(tree)) {
            return Ok(Arc::clone(map));
        }
        match self.maps().find(tree) {
            Ok(map) => Ok(Arc::clone(map)),
            Err(error) if error.fault() == Fault::UnknownType && tree.format() == Format::Hl7V2 => {
                Err(v2::no_map(tree))
            }
            Err(error) => Err(ExchangeError::refused(error.fault(), error.to_string())),
        }
    }

    /// A native document as a Bundle.
    pub(crate) fn translate_tree(&self, partner: &Partner, tree: &Tree) -> Result<Translated, ExchangeError> {
        let map = self.map_for(partner, tree)?;
        let context = partner.context(self.clock().now());
        let translation = map.get(tree, &context).map_err(|refusals| refused(&refusals))?;
        let translated = of_translation(translation);
        is_about_someone(&map, &translated)?;
        Ok(translated)
    }
}

/// What is said of nobody in particular could be filed under nobody: it is refused, naming where the identifier belongs.
fn is_about_someone(map: &Map, translated: &Translated) -> Result<(), ExchangeError> {
    let Some(place) = map.key_place("Patient") else { return Ok(()) };
    if translated.of_type("Patient").any(|entry| entry.is_named) {
        return Ok(());
    }
    let problem = Problem::new(Fault::RequiredMissing, "an identifier of the patient is needed").at(place);
    Err(ExchangeError::Refused(vec![problem]))
}

/// A map's refusals as what the sender is told.
pub(crate) fn refused(refusals: &Refusals) -> ExchangeError {
    ExchangeError::Refused(
        refusals
            .items
            .iter()
            .map(|item| {
                let problem = Problem::new(item.fault, format!("expected {}", item.expected)).at(item.path.clone());
                match &item.rule {
                    Some(rule) => problem.rule(rule.clone()),
                    None => problem,
                }
            })
            .collect(),
    )
}

pub(crate) fn parse(syntax: &Syntax, bytes: &[u8]) -> Result<Tree, ExchangeError> {
    syntax.parse(bytes.to_vec(), &native::Limits::default()).map_err(|error| {
        let place = format!("line {}, column {}", error.position.line, error.position.column);
        ExchangeError::Refused(vec![Problem::new(error.fault(), error.to_string()).at(place)])
    })
}

/// Types whose native keys are the provider's own numbers. A key of any other type (a diagnosis by its code) tells it
/// from others of the same patient only.
const NUMBERED: [&str; 12] = [
    "Patient",
    "ServiceRequest",
    "Task",
    "CarePlan",
    "CareTeam",
    "Goal",
    "Encounter",
    "EpisodeOfCare",
    "Appointment",
    "Organization",
    "Practitioner",
    "PractitionerRole",
];

fn of_translation(translation: Translation) -> Translated {
    let nodes: Vec<_> = compose::resources(translation.document()).map(|node| node.id()).collect();
    let patient = translation
        .entries()
        .iter()
        .find(|info| &*info.resource == "Patient")
        .map(|info| info.native_id.clone())
        .unwrap_or_default();
    let resources: Vec<Node<'_>> = nodes.iter().map(|node| translation.document().node(*node)).collect();
    let names = directory::names(translation.entries(), &resources);
    let entries = translation
        .entries()
        .iter()
        .zip(nodes)
        .zip(names)
        .map(|((info, node), said)| Entry {
            url: info.full_url.clone(),
            node,
            resource_type: info.resource.to_string(),
            kind: if said.is_some() || info.personal || !NUMBERED.contains(&&*info.resource) {
                NativeKey::Personal
            } else {
                NativeKey::Plain
            },
            native: if let Some(said) = said {
                said
            } else if info.native_id.is_empty() || !info.has_key {
                info.full_url.trim_start_matches("urn:uuid:").to_owned()
            } else if NUMBERED.contains(&&*info.resource) {
                info.native_id.clone()
            } else {
                format!("{patient}-{}-{}", info.name, info.native_id)
            },
            is_named: !info.has_key || info.key_found,
            deleted: info.verb == Verb::Delete,
        })
        .collect();
    Translated { bundle: Arc::clone(translation.document()), entries, translation: Some(Arc::new(translation)) }
}

/// A resource of a plain FHIR server, as a Bundle of one, with the server's base where its address tells it.
fn fhir_document(native: &NativeDocument) -> Result<(Translated, Option<String>), ExchangeError> {
    let limits = Limits::default();
    let read = if native.media_type.contains("xml") { Document::from_xml } else { Document::from_json };
    let document = read(Model::r4(), native.bytes.0.to_vec(), &limits).map_err(|error| {
        let place = format!("{}:{}", error.line, error.column);
        ExchangeError::Refused(vec![Problem::new(Fault::ProviderAnswerUnusable, error.fault.to_string()).at(place)])
    })?;
    let root = document.root();
    let Some(id) = root.text_at("id").map(str::to_owned) else {
        return Err(ExchangeError::refused(Fault::ProviderAnswerUnusable, "a resource without an id"));
    };
    let kind = root.type_name().to_owned();
    let suffix = format!("/{kind}/{id}");
    let base = native.url.as_deref().and_then(|url| url.split("/_history/").next()?.strip_suffix(&suffix));
    let url = native.url.clone().unwrap_or_else(|| format!("urn:silta:{kind}:{id}"));
    let text = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{{\"fullUrl\":{},\"resource\":{}}}]}}",
        compose::quoted(&url),
        document.json()
    );
    let bundle = Document::from_json(Model::r4(), text.into_bytes(), &limits)
        .map_err(|_| ExchangeError::Internal("a Bundle cannot be made"))?;
    let entries = compose::resources(&bundle)
        .map(|node| Entry {
            url: url.clone(),
            node: node.id(),
            resource_type: kind.clone(),
            native: id.clone(),
            kind: NativeKey::Plain,
            is_named: true,
            deleted: false,
        })
        .collect();
    Ok((Translated { bundle, entries, translation: None }, base.map(str::to_owned)))
}

fn is_own(known: &Known, key: &ResourceKey, provider: &str) -> bool {
    known
        .members
        .get(key)
        .is_none_or(|member: &Member| member.resource.deleted || member.resource.provider.as_deref() == Some(provider))
}

/// The Bundle with the gateway's ids and references.
fn place(
    translated: &Translated,
    known: &Known,
    bases: &Bases,
    partner: &Partner,
    updated: Timestamp,
) -> Result<Arc<Document>, ExchangeError> {
    let placed: Vec<Placed> = translated
        .entries
        .iter()
        .zip(&known.keys)
        .map(|(entry, key)| Placed {
            node: entry.node,
            key: key.clone(),
            version: None,
            updated: Some(updated.to_string()),
        })
        .collect();
    let provenance = Provenance { source: partner.source(), test: partner.is_test() };
    localise::localise(&translated.bundle, &placed, &known.resolved, bases, &provenance)
        .map_err(|_| ExchangeError::Internal("a rewritten Bundle cannot be read"))
}

/// A plan refers to the care team that the gateway keeps for it.
fn with_team(resource: Arc<Document>, known: &Known) -> Result<Arc<Document>, ExchangeError> {
    let root = resource.root();
    let (Some(id), "CarePlan") = (root.text_at("id"), root.type_name()) else { return Ok(resource) };
    let key = ResourceKey::new("CareTeam", id);
    let reference = key.to_string();
    let is_known = known.teams.iter().any(|team| team.resource.key == key);
    if !is_known || root.named("careTeam").any(|team| team.text_at("reference") == Some(&reference)) {
        return Ok(resource);
    }
    let mut edit = Edit::new(&resource);
    edit.insert(root, "careTeam", &format!("{{\"reference\":{}}}", compose::quoted(&reference)));
    edit.finish().map_err(|_| ExchangeError::Internal("a plan cannot be joined with its team"))
}

/// The Bundle as it is with what is known of the provider's own resources folded in: what the document leaves empty stays.
pub(crate) fn folded(translated: &Translated, known: &Known, provider: &str) -> Result<Translated, ExchangeError> {
    let Some(translation) = &translated.translation else { return Ok(translated.clone()) };
    let mut edit = Edit::new(&translated.bundle);
    for (place, (entry, key)) in translated.entries.iter().zip(&known.keys).enumerate() {
        let Some(member) = known.members.get(key) else { continue };
        let is_own = member.resource.provider.as_deref() == Some(provider) && !member.resource.deleted;
        if !is_own || entry.deleted || entry.resource_type == "Task" {
            continue;
        }
        let before = compose::parse(&member.resource.content, &translated.bundle)?;
        let after = translation.fold(place, &before).map_err(|refusals| refused(&refusals))?;
        edit.replace(translated.node(entry), after.json());
    }
    if edit.is_empty() {
        return Ok(translated.clone());
    }
    let bundle = edit.finish().map_err(|_| ExchangeError::Internal("a folded Bundle cannot be read"))?;
    let nodes: Vec<_> = compose::resources(&bundle).map(|node| node.id()).collect();
    let entries = translated.entries.iter().zip(nodes).map(|(entry, node)| Entry { node, ..entry.clone() }).collect();
    Ok(Translated { bundle, entries, translation: Some(Arc::clone(translation)) })
}
