//! What a provider's FHIR server does to what it was given, or makes itself, taken here: as its posts tell it, or as it is
//! found when it is asked.

use std::sync::Arc;

use bytes::Bytes;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits, Node};

use crate::exchange::Exchange;
use crate::exchange::compose::quoted;
use crate::exchange::error::{ExchangeError, Problem};
use crate::exchange::partner::Partner;
use crate::exchange::receive::{Arrival, Received};
use crate::exchange::translated::{Entry, Translated};
use crate::store::{Commit, DedupKey, NativeKey, NewOriginal, Occurred, ResourceKey, Write};

use super::{MEDIA, RECORD, Record, read_record, record};

/// What stands in a posted Bundle beside what it is about.
const BESIDE: [&str; 5] = ["Parameters", "OperationOutcome", "Subscription", "Bundle", "MessageHeader"];

impl Exchange {
    /// Takes a resource, or a Bundle of them, that a provider's server gave. `names`: the one that it says it is; `posted`:
    /// what arrived, in R4.
    pub(in crate::exchange) async fn take_fhir(
        &self,
        arrival: &mut Arrival,
        names: Option<&str>,
        posted: Bytes,
    ) -> Result<Received, ExchangeError> {
        let is_xml = arrival.media.contains("xml") && posted == arrival.body;
        let read = if is_xml { Document::from_xml } else { Document::from_json };
        let document = read(Model::r4(), posted.to_vec(), &Limits::default()).map_err(|error| {
            let place = format!("{}:{}", error.line, error.column);
            ExchangeError::Refused(vec![Problem::new(error.fault(), error.fault.to_string()).at(place)])
        })?;
        let root = document.root();
        if let Some(names) = names {
            let kind = arrival.partner.connection.native_type(root.type_name());
            let own = format!("{kind}/{}", root.text_at("id").unwrap_or_default());
            if own != names {
                let problem = Problem::new(Fault::BadValue, "the resource is not the one that the address names");
                return Err(ExchangeError::Refused(vec![problem.expression(format!("{}.id", root.type_name()))]));
            }
        }
        arrival.base = arrival.partner.connection.base().map(|base| base.trim_end_matches('/').to_owned());
        arrival.event = event_of(root);
        let resources: Vec<(Option<String>, Node<'_>)> = match root.type_name() {
            "Bundle" => root
                .named("entry")
                .filter_map(|entry| Some((entry.text_at("fullUrl").map(str::to_owned), entry.first("resource")?)))
                .filter(|(_, resource)| !BESIDE.contains(&resource.type_name()))
                .collect(),
            _ => vec![(None, root)],
        };
        let translated = bundled(&resources)?;
        let tasks: Vec<(String, String)> = resources
            .iter()
            .filter(|(_, resource)| resource.type_name() == "Task")
            .filter_map(|(_, task)| Some((task.text_at("id")?.to_owned(), task.raw().to_owned())))
            .collect();
        let received = self.apply(arrival, translated).await?;
        if let Received::Applied { .. } = &received {
            for (native, text) in tasks {
                self.note_held(&arrival.partner, None, &native, &text).await?;
            }
        }
        Ok(received)
    }

    /// Takes what a provider did to a Task that it was given. What is not its to do is kept as refused, and an operator told.
    pub(super) async fn take_change(
        &self,
        partner: &Arc<Partner>,
        task: &ResourceKey,
        native: &str,
        held: &str,
    ) -> Result<(), ExchangeError> {
        let version = super::merge::version(held).unwrap_or_default();
        let mut arrival = Arrival {
            partner: Arc::clone(partner),
            received: self.clock().now(),
            media: MEDIA,
            body: Bytes::copy_from_slice(held.as_bytes()),
            control: format!("Task/{native}/_history/{version}"),
            dedup: (!version.is_empty()).then(|| DedupKey::of([partner.name(), "seen", native, &version])),
            event: None,
            acknowledgement: None,
            afterwards: None,
            envelope_recipient: None,
            base: None,
            request: format!("seen at {}", partner.name()),
        };
        let posted = arrival.body.clone();
        match self.take_fhir(&mut arrival, None, posted).await {
            Ok(_) => {}
            Err(error) if error.fault() == Fault::StoreUnavailable => return Err(error),
            Err(error) => self.keep_refused(&arrival, &error).await?,
        }
        self.note_held(partner, Some(task), native, held).await
    }

    /// Notes how a provider has a Task that it was given.
    async fn note_held(
        &self,
        partner: &Arc<Partner>,
        task: Option<&ResourceKey>,
        native: &str,
        held: &str,
    ) -> Result<(), ExchangeError> {
        let (provider, wanted, named) = (partner.name().to_owned(), task.cloned(), native.to_owned());
        let found = self.store().read(move |view| {
            let key = match wanted {
                Some(key) => Some(key),
                None => crate::exchange::known::alias(view, &provider, "Task", &named)?,
            };
            let Some(key) = key else { return Ok(None) };
            Ok(read_record(view, &provider, &key)?.map(|record| (key, record)))
        });
        let Some((key, Record { sent, .. })) = found.await? else { return Ok(()) };
        let Some(body) = record(native, sent.get(), held) else { return Ok(()) };
        let mut commit = Commit::new();
        commit.write(Write::Original(NewOriginal {
            provider: partner.name().to_owned(),
            key: key.to_string(),
            media: RECORD.to_owned(),
            body,
            journal: None,
        }));
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// When a resource changed, so that an older state never goes over a newer one.
fn event_of(resource: Node<'_>) -> Option<(String, Occurred)> {
    let (id, meta) = (resource.text_at("id")?, resource.first("meta")?);
    let time = meta.text_at("lastUpdated")?.parse().ok()?;
    let sequence = meta.text_at("versionId").and_then(|version| version.parse().ok()).unwrap_or(0);
    (resource.type_name() != "Bundle").then(|| (format!("{}/{id}", resource.type_name()), Occurred { time, sequence }))
}

/// Resources as a Bundle whose entries are known by the provider's ids.
fn bundled(resources: &[(Option<String>, Node<'_>)]) -> Result<Translated, ExchangeError> {
    let mut entries = Vec::new();
    let mut facts = Vec::new();
    for (url, resource) in resources {
        let kind = resource.type_name();
        let Some(id) = resource.text_at("id") else {
            let problem = Problem::new(Fault::RequiredMissing, "a resource has no id").expression(format!("{kind}.id"));
            return Err(ExchangeError::Refused(vec![problem]));
        };
        let url = url.clone().unwrap_or_else(|| format!("urn:silta:{kind}:{id}"));
        entries.push(format!("{{\"fullUrl\":{},\"resource\":{}}}", quoted(&url), resource.raw()));
        facts.push((url, kind.to_owned(), id.to_owned()));
    }
    if facts.is_empty() {
        return Err(ExchangeError::refused(Fault::RequiredMissing, "there is no resource in it"));
    }
    let text = format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{}]}}", entries.join(","));
    let bundle = Document::from_json(Model::r4(), text.into_bytes(), &Limits::default())
        .map_err(|_| ExchangeError::refused(Fault::CannotParse, "the resources cannot be read together"))?;
    let entries = crate::exchange::compose::resources(&bundle)
        .zip(facts)
        .map(|(node, (url, resource_type, native))| Entry {
            url,
            node: node.id(),
            resource_type,
            native,
            kind: NativeKey::Plain,
            is_named: true,
            deleted: false,
        })
        .collect();
    Ok(Translated { bundle, entries, translation: None })
}
