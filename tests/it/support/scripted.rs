//! Providers that answer from a list, a translation that changes little, and a workflow that only notes what it is asked.

use super::world::HETU;
use serde_json::{Value, json};
use silta::clock::{Clock, Instant};
use silta::gateway::federation::{Translated, Translation};
use silta::gateway::interaction::{Change, Changed, NewResource, Workflow};
use silta::gateway::outcome::{Issue, Refusal};
use silta::provider::{
    Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, NativeDocument, Read, Receipt, Search,
};
use silta::store::{self, PersonId};
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How a scripted provider behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It answers at once.
    Answers,
    /// It never answers.
    Silent,
    /// It answers when it is let go on.
    Waits,
    /// It fails.
    Fails,
    /// It says that it does not know the patient or document.
    KnowsNothing,
    /// It answers something that cannot be used.
    Babbles,
}

/// A provider that answers from a list.
pub(crate) struct Scripted {
    pub(super) capabilities: Capabilities,
    pub(super) documents: Mutex<Vec<(String, Value)>>,
    pub(super) behaviour: Mutex<Behaviour>,
    pub(crate) searches: Mutex<Vec<Search>>,
    pub(crate) reads: AtomicUsize,
    pub(super) go_on: Notify,
    pub(super) clock: Clock,
}

/// Plain FHIR with the provider's ids made the gateway's.
pub(crate) struct Plain {
    pub(super) generations: Mutex<BTreeMap<(String, PersonId), u64>>,
}

/// Changes that were asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) created: Mutex<Vec<(String, Option<store::IdentifierQuery>)>>,
    pub(crate) updated: Mutex<Vec<(String, u64)>>,
}

impl Scripted {
    async fn behave(&self) -> Result<(), AdapterError> {
        loop {
            let going_on = self.go_on.notified();
            let behaviour = *self.behaviour.lock().unwrap();
            match behaviour {
                Behaviour::Answers => return Ok(()),
                Behaviour::Silent => std::future::pending().await,
                Behaviour::Waits => going_on.await,
                Behaviour::Fails => return Err(AdapterError::Failed { status: "500".to_owned(), answer: None }),
                Behaviour::KnowsNothing => return Err(AdapterError::NotFound),
                Behaviour::Babbles => {
                    let answer = Some(Box::new(self.native(&json!("<html>010150-900A</html>"))));
                    return Err(AdapterError::AnswerUnusable { what: "x".to_owned(), acted: false, answer });
                }
            }
        }
    }

    fn native(&self, resource: &Value) -> NativeDocument {
        NativeDocument {
            bytes: resource.to_string().into(),
            media_type: "application/fhir+json".to_owned(),
            kind: None,
            native_id: None,
            url: None,
            version: None,
            last_modified: None,
            fetched_at: self.clock.now(),
        }
    }
}

impl Adapter for Scripted {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, read: &'a Read, _: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.behave().await?;
            let documents = self.documents.lock().unwrap();
            let found = documents.iter().map(|(_, resource)| resource).find(|resource| {
                resource["resourceType"] == read.resource_type.as_str() && resource["id"] == read.native_id.as_str()
            });
            found.map(|resource| self.native(resource)).ok_or(AdapterError::NotFound)
        })
    }

    fn search<'a>(&'a self, search: &'a Search, _: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        Box::pin(async move {
            self.searches.lock().unwrap().push(search.clone());
            self.behave().await?;
            let is_asked = |hetu: &str| search.patient.iter().any(|known| known.system == HETU && known.value == hetu);
            let documents = self.documents.lock().unwrap();
            let found = documents.iter().filter(|(hetu, _)| is_asked(hetu)).map(|(_, resource)| resource);
            let wanted =
                found.filter(|resource| search.types.iter().any(|name| resource["resourceType"] == name.as_str()));
            Ok(Answer {
                documents: wanted.map(|resource| self.native(resource)).collect(),
                unusable: Vec::new(),
                not_searched: Vec::new(),
                complete: true,
            })
        })
    }

    fn submit<'a>(&'a self, _: &'a Delivery, _: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what: "submit".to_owned() })))
    }

    fn repeatable(&self, _: &Delivery) -> bool {
        false
    }
}

impl Translation for Plain {
    fn translate<'a>(
        &'a self,
        provider: &'a str,
        documents: &'a [NativeDocument],
    ) -> BoxFuture<'a, Result<Translated, Issue>> {
        Box::pin(async move {
            let mut translated = Translated::default();
            for native in documents {
                let mut resource: Value = serde_json::from_slice(&native.bytes.0).unwrap();
                if resource["resourceType"] == "Basic" {
                    return Err(Issue::new(Fault::RequiredMissing, "the document lacks what its map needs"));
                }
                let id = resource["id"].as_str().unwrap();
                // An id that is made of a hash says nothing of its provider.
                if !id.contains('.') && !id.starts_with("hashed") {
                    resource["id"] = json!(format!("{provider}.{id}"));
                }
                resource["meta"]["source"] = json!(format!("urn:source:{provider}"));
                localise(provider, &mut resource);
                let text = resource.to_string().into_bytes();
                translated.resources.push(Document::from_json(Model::r4(), text, &Limits::default()).unwrap());
            }
            Ok(translated)
        })
    }

    fn generation(&self, provider: &str, person: PersonId) -> u64 {
        let generations = self.generations.lock().unwrap();
        generations.get(&(provider.to_owned(), person)).copied().unwrap_or_default()
    }
}

fn localise(provider: &str, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().and_then(|text| text.split_once('/')) {
                    Some((kind, id)) if name == "reference" && !id.contains('.') => {
                        *value = json!(format!("{kind}/{provider}.{id}"));
                    }
                    _ => localise(provider, value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| localise(provider, item)),
        _ => {}
    }
}

impl Workflow for Asked {
    fn create<'a>(&'a self, new: NewResource<'a>) -> BoxFuture<'a, Result<Changed, Refusal>> {
        self.created.lock().unwrap().push((new.document.root().type_name().to_owned(), new.none_exist));
        let id = json!({"resourceType": "ServiceRequest", "id": "made.1"}).to_string().into_bytes();
        let document = Document::from_json(Model::r4(), id, &Limits::default()).unwrap();
        let last_modified = "2026-02-03T08:00:00Z".parse().unwrap();
        Box::pin(std::future::ready(Ok(Changed {
            document,
            version: 1,
            last_modified,
            persons: Vec::new(),
            existed: false,
        })))
    }

    fn update_task<'a>(&'a self, change: Change<'a>) -> BoxFuture<'a, Result<Changed, Refusal>> {
        self.updated.lock().unwrap().push((change.id.to_owned(), change.if_match));
        let last_modified = "2026-02-03T08:00:00Z".parse().unwrap();
        let version = change.if_match + 1;
        let answer = match change.if_match {
            7 => Ok(Changed { document: change.document, version, last_modified, persons: Vec::new(), existed: false }),
            _ => Err(Refusal::new(Fault::VersionStale, "the Task has changed since")),
        };
        Box::pin(std::future::ready(answer))
    }
}
