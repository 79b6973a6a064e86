//! Where resources come from: for each message that made some a Provenance, and the message as it came as a Binary.
//!
//! Neither is stored: both are made of the journal and of the rows that came of its entry when they are read, so that they
//! can neither contradict what is kept nor dangle. Their ids cannot be guessed.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits, Node};
use silta_engine::search::facets;

use super::Sources;
use super::part::{Content, How, Origin, Part};
use crate::provider::Identifier;
use crate::store::{
    Direction, Disposition, Journal, JournalSeq, Member, NativeKey, PersonId, ResourceKey, StoreError, View,
};

/// Messages of which one search tells, the newest.
const MOST: usize = 500;

/// A message of the journal, and what came of it.
struct Message {
    id: String,
    entry: Journal,
    /// Versions that it made, in order; never empty.
    made: Vec<(ResourceKey, u64)>,
    person: Option<PersonId>,
    /// What it made is labelled as being about a made-up person.
    test: bool,
}

/// The Provenance, or the Binary, of this key; none where there is none.
pub(super) fn part(view: &View<'_>, sources: &Sources, key: &ResourceKey) -> Result<Option<Part>, StoreError> {
    let write: fn(&Message, &Sources) -> Value = match key.resource_type.as_str() {
        "Provenance" => provenance,
        "Binary" => binary,
        _ => return Ok(None),
    };
    let number = key.id.strip_prefix("message-").and_then(|rest| rest.split_once('-')).map(|(number, _)| number);
    let Some(number) = number.and_then(|number| number.parse().ok()) else { return Ok(None) };
    let message = message(view, JournalSeq::from_number(number))?.filter(|message| message.id == key.id);
    Ok(message.and_then(|message| as_part(key.clone(), &message, &write(&message, sources))))
}

/// The Provenances of these resources in all their versions.
pub(crate) fn of_members(view: &View<'_>, sources: &Sources, members: &[Member]) -> Result<Vec<Part>, StoreError> {
    let mut journals = BTreeSet::new();
    for member in members {
        journals.extend(view.journals_of(&member.resource.key)?);
    }
    let mut parts = Vec::new();
    for seq in journals.into_iter().rev().take(MOST) {
        if let Some(message) = message(view, seq)? {
            let key = ResourceKey::new("Provenance", message.id.clone());
            parts.extend(as_part(key, &message, &provenance(&message, sources)));
        }
    }
    Ok(parts)
}

fn message(view: &View<'_>, seq: JournalSeq) -> Result<Option<Message>, StoreError> {
    let mut made = Vec::new();
    let (mut person, mut test) = (None, false);
    for (document, body) in view.documents_of(seq)? {
        test |= memchr::memmem::find(&body, b"\"HTEST\"").is_some();
        for (key, version) in versions_in(&body) {
            let Some((holder, whose)) = view.holder(&key, version)? else { continue };
            if holder == document {
                person = person.or(whose);
                made.push((key, version));
            }
        }
    }
    if made.is_empty() {
        return Ok(None);
    }
    let entry = view
        .journal(seq)?
        .filter(|entry| entry.direction == Direction::Inbound && matches!(entry.disposition, Disposition::Accepted));
    Ok(entry.map(|entry| Message { id: id_of(view, seq), entry, made, person, test }))
}

fn id_of(view: &View<'_>, seq: JournalSeq) -> String {
    let number = seq.number();
    let check = view.assign("silta", &format!("message {number}"), NativeKey::Personal).id;
    format!("message-{number}-{check}")
}

/// The versions of resources that a stored text names.
fn versions_in(body: &[u8]) -> Vec<(ResourceKey, u64)> {
    let Ok(document) = Document::from_json(Model::r4(), body.to_vec(), &Limits::default()) else { return Vec::new() };
    let root = document.root();
    let of = |resource: Node<'_>| {
        let version = resource.text_at("meta.versionId")?.parse().ok()?;
        Some((ResourceKey::new(resource.type_name(), resource.text_at("id")?), version))
    };
    if root.type_name() == "Bundle" {
        root.named("entry").filter_map(|entry| entry.first("resource")).filter_map(of).collect()
    } else {
        of(root).into_iter().collect()
    }
}

fn as_part(key: ResourceKey, message: &Message, content: &Value) -> Option<Part> {
    let document = Document::from_json(Model::r4(), content.to_string().into_bytes(), &Limits::default()).ok()?;
    Some(Part {
        key,
        facets: facets(&document).into(),
        content: Content::Document(document),
        updated: Some(message.entry.received),
        version: None,
        person: message.person,
        origin: Origin {
            provider: Some(message.entry.provider.as_str().into()),
            how: How::Stored,
            as_of: message.entry.received,
        },
    })
}

fn meta(message: &Message) -> Value {
    let source = crate::exchange::source_of(&message.entry.provider);
    let updated = message.entry.received.to_string();
    if message.test {
        let label = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"});
        json!({"lastUpdated": updated, "source": source, "security": [label]})
    } else {
        json!({"lastUpdated": updated, "source": source})
    }
}

/// Who sent the message: the provider's organisation.
fn sender(message: &Message, sources: &Sources) -> Value {
    let name = &message.entry.provider;
    match sources.find(name).and_then(|source| source.organisation.as_ref()) {
        Some(Identifier { system, value }) => {
            json!({"type": "Organization", "identifier": {"system": system, "value": value}, "display": name})
        }
        None => json!({"display": name}),
    }
}

fn provenance(message: &Message, sources: &Sources) -> Value {
    let target: Vec<Value> =
        message.made.iter().map(|(key, version)| json!({"reference": format!("{key}/_history/{version}")})).collect();
    let is_new = message.made.iter().all(|(_, version)| *version == 1);
    let activity = if is_new { ("CREATE", "create") } else { ("UPDATE", "revise") };
    json!({
        "resourceType": "Provenance",
        "id": message.id,
        "meta": meta(message),
        "target": target,
        "recorded": message.entry.received.to_string(),
        "activity": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation",
            "code": activity.0,
            "display": activity.1,
        }]},
        "agent": [{
            "type": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                "code": "author",
                "display": "Author",
            }]},
            "who": sender(message, sources),
        }],
        "entity": [{"role": "source", "what": {"reference": format!("Binary/{}", message.id)}}],
    })
}

/// Who may see the message is who may see what came of it; a message always made something.
fn binary(message: &Message, _: &Sources) -> Value {
    let about = message.made.first().map(|(key, _)| json!({"reference": key.to_string()}));
    json!({
        "resourceType": "Binary",
        "id": message.id,
        "meta": meta(message),
        "contentType": message.entry.media,
        "securityContext": about,
        "data": STANDARD.encode(&message.entry.body),
    })
}
