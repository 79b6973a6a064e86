//! What the store knows of a document that came in: which resources it speaks of, whose they are, and how they stand.

use std::collections::{BTreeSet, HashMap};

use silta_engine::fhir::document::Node;

use crate::store::{
    AssignedId, Evidence, Expect, FacetValue, IdentifierQuery, Member, NativeId, PersonId, ResourceKey, StoreError,
    View,
};

use super::compose::{OWNER, REQUESTER};
use super::localise::{self, Bases, Named};
use super::partner::alias_system;
use super::plain::TASKS;
use super::translated::{Entry, Translated};

/// Types whose resources are about nobody in particular.
pub(crate) const IMPERSONAL: [&str; 7] = [
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Location",
    "HealthcareService",
    "PlanDefinition",
    "ActivityDefinition",
];

/// What the gateway coordinates for a person. Decided in turn, on all of it as it stands.
pub(crate) const COORDINATED: [&str; 2] = ["CareTeam", "Task"];

/// What is configured and holds for every document.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    /// Identifier systems by which persons are known.
    pub(crate) person_systems: Vec<String>,
    /// The providers' names, which the gateway's ids begin with.
    pub(crate) providers: Vec<String>,
}

impl Ground {
    /// Whether an id begins as those do that the gateway makes of a provider's.
    fn begins_id(&self, id: &str) -> bool {
        id.split_once('.').is_some_and(|(name, _)| self.providers.iter().any(|one| one == name))
    }
}

/// One moment of the store, as far as a document needs it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The gateway's key of each entry, in order.
    pub(crate) keys: Vec<ResourceKey>,
    /// Ids among them that are hashes and must be linked.
    pub(crate) links: Vec<NativeId>,
    /// What every reference of the document names.
    pub(crate) resolved: HashMap<Named, ResourceKey>,
    /// The current versions of what the document speaks of.
    pub(crate) members: HashMap<ResourceKey, Member>,
    /// The person, by what the document says or by what it speaks of.
    pub(crate) person: Option<PersonId>,
    /// That person and others whom the document says to be the same.
    pub(crate) persons: Vec<PersonId>,
    /// What of the evidence stood for nobody.
    pub(crate) unlinked: Vec<Evidence>,
    /// What the document says about who the person is.
    pub(crate) evidence: Vec<Evidence>,
    /// The person's Tasks and care teams: all of them.
    pub(crate) tasks: Vec<Member>,
    pub(crate) teams: Vec<Member>,
}

/// Looks up everything a translated document speaks of.
pub(crate) fn gather(
    view: &View<'_>,
    provider: &str,
    translated: &Translated,
    bases: &Bases,
    ground: &Ground,
) -> Result<Known, StoreError> {
    let mut known = Known::default();
    for entry in &translated.entries {
        let (key, link) = key_of(view, provider, translated, entry, ground)?;
        known.resolved.insert(Named::Entry(entry.url.clone()), key.clone());
        known.resolved.insert(Named::Native(entry.resource_type.clone(), entry.native.clone()), key.clone());
        known.keys.push(key);
        known.links.extend(link);
    }
    for named in localise::references(&translated.bundle, bases) {
        if known.resolved.contains_key(&named) {
            continue;
        }
        let key = match &named {
            Named::Entry(_) => None,
            Named::Native(kind, native) => match alias(view, provider, kind, native)? {
                Some(key) => Some(key),
                None => Some(referred(view, provider, kind, native, ground)?),
            },
            Named::Here(kind, id) => Some(ResourceKey::new(kind.as_str(), id.as_str())),
            Named::Identified(kind, system, value) => identified(view, kind, Some(system), value)?,
        };
        if let Some(key) = key {
            known.resolved.insert(named, key);
        }
    }
    let keys: BTreeSet<ResourceKey> = known.resolved.values().cloned().collect();
    for key in keys {
        if let Some(member) = view.member(&key)? {
            known.members.insert(key, member);
        }
    }
    person(view, provider, translated, &ground.person_systems, &mut known)?;
    for person in known.persons.clone() {
        for member in view.members(Some(person), &COORDINATED)? {
            if member.resource.key.resource_type == "Task" {
                known.tasks.push(member)
            } else {
                known.teams.push(member)
            }
        }
    }
    Ok(known)
}

/// A reference to what is not in the document: a gateway id as such, else the id that the provider's own would get.
fn referred(
    view: &View<'_>,
    provider: &str,
    kind: &str,
    native: &str,
    ground: &Ground,
) -> Result<ResourceKey, StoreError> {
    let as_written = ResourceKey::new(kind, native);
    if ground.begins_id(native) || (may_be_made(native) && view.exists(&as_written)?) {
        return Ok(as_written);
    }
    let assigned = view.assign(provider, native, crate::store::NativeKey::Plain);
    Ok(ResourceKey::new(kind, assigned.id))
}

/// Whether an id could be one that the gateway makes out of nothing that can be read: in base32 throughout. It is asked of
/// every id of every document, and the store only of these.
fn may_be_made(id: &str) -> bool {
    id.len() >= 24 && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

fn key_of(
    view: &View<'_>,
    provider: &str,
    translated: &Translated,
    entry: &Entry,
    ground: &Ground,
) -> Result<(ResourceKey, Option<NativeId>), StoreError> {
    if let Some(key) = alias(view, provider, &entry.resource_type, &entry.native)? {
        return Ok((key, None));
    }
    // What the gateway sent may come back under the gateway's own id.
    if ground.begins_id(&entry.native) || may_be_made(&entry.native) {
        let as_written = ResourceKey::new(entry.resource_type.clone(), entry.native.clone());
        if view.exists(&as_written)? {
            return Ok((as_written, None));
        }
    }
    // A Task that the gateway gave out bears its id there; only the two sides speak of it.
    if entry.resource_type == "Task" {
        let ours = translated.node(entry).named("identifier").find(|one| one.text_at("system") == Some(TASKS));
        if let Some(key) = ours.and_then(|one| one.text_at("value")).map(|id| ResourceKey::new("Task", id))
            && let Some(member) = view.member(&key)?
            && [OWNER, REQUESTER].iter().any(|side| facet_texts(&member, side).any(|name| name == provider))
        {
            return Ok((key, None));
        }
    }
    // A referral is known by its business identifiers, whoever speaks of it.
    if entry.resource_type == "ServiceRequest" {
        for identifier in translated.node(entry).named("identifier") {
            let system = identifier.text_at("system");
            let (Some(value), Some(_)) = (identifier.text_at("value"), system) else { continue };
            if let Some(key) = identified(view, "ServiceRequest", system, value)? {
                return Ok((key, None));
            }
        }
    }
    let AssignedId { id, hashed } = view.assign(provider, &entry.native, entry.kind);
    let key = ResourceKey::new(entry.resource_type.clone(), id);
    let link =
        hashed.then(|| NativeId { key: key.clone(), provider: provider.to_owned(), native: entry.native.clone() });
    Ok((key, link))
}

/// The resource that a provider calls by an id of its own although it is another's.
pub(crate) fn alias(
    view: &View<'_>,
    provider: &str,
    kind: &str,
    native: &str,
) -> Result<Option<ResourceKey>, StoreError> {
    identified(view, kind, Some(&alias_system(provider)), native)
}

fn identified(
    view: &View<'_>,
    kind: &str,
    system: Option<&str>,
    value: &str,
) -> Result<Option<ResourceKey>, StoreError> {
    let query = IdentifierQuery { system: system.map(|system| Some(system.to_owned())), value: value.to_owned() };
    let found = view.identified(kind, &query)?;
    Ok(match found.as_slice() {
        [one] => Some(ResourceKey::new(kind, one.clone())),
        _ => None,
    })
}

fn person(
    view: &View<'_>,
    provider: &str,
    translated: &Translated,
    person_systems: &[String],
    known: &mut Known,
) -> Result<(), StoreError> {
    for entry in translated.of_type("Patient") {
        known.evidence.extend(evidence_of(translated.node(entry), person_systems));
        known.evidence.push(Evidence::Patient { provider: provider.to_owned(), native: entry.native.clone() });
    }
    for evidence in &known.evidence {
        match view.person(evidence)? {
            Some(person) if !known.persons.contains(&person) => known.persons.push(person),
            Some(_) => {}
            None => known.unlinked.push(evidence.clone()),
        }
    }
    if known.evidence.is_empty() {
        known.persons.extend(known.members.values().find_map(|member| member.resource.person));
    }
    known.person = known.persons.first().copied();
    Ok(())
}

/// What must still hold when a commit that was composed from this is made.
pub(crate) fn expectations(known: &Known) -> Vec<Expect> {
    let unlinked = known.unlinked.iter().map(|evidence| Expect::Person { evidence: evidence.clone(), person: None });
    unlinked.chain(known.persons.iter().map(|person| as_read(*person, &COORDINATED, &known.coordinated()))).collect()
}

/// A person's resources of these types are these, as they were read.
pub(crate) fn as_read(person: PersonId, types: &[&str], read: &[&Member]) -> Expect {
    let of_person = read.iter().filter(|member| member.resource.person == Some(person));
    Expect::Members {
        person,
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        versions: of_person.map(|member| (member.resource.key.clone(), member.resource.version)).collect(),
    }
}

impl Known {
    fn coordinated(&self) -> Vec<&Member> {
        self.tasks.iter().chain(&self.teams).collect()
    }
}

/// The official identifiers of a Patient in the systems by which persons are known.
pub(crate) fn evidence_of(patient: Node<'_>, person_systems: &[String]) -> Vec<Evidence> {
    patient
        .named("identifier")
        .filter(|identifier| !matches!(identifier.text_at("use"), Some("temp" | "secondary" | "old")))
        .filter_map(|identifier| {
            let system = identifier.text_at("system")?;
            let value = identifier.text_at("value")?;
            person_systems
                .iter()
                .any(|known| known == system)
                .then(|| Evidence::Identifier { system: system.to_owned(), value: value.to_owned() })
        })
        .collect()
}

/// The texts of a member's facets of one name.
pub(crate) fn facet_texts<'m>(member: &'m Member, name: &'m str) -> impl Iterator<Item = &'m str> {
    member.facets.iter().filter(move |facet| facet.name == name).filter_map(|facet| match &facet.value {
        FacetValue::Text(text) | FacetValue::Reference(text) => Some(text.as_str()),
        FacetValue::Token { code, .. } => Some(code.as_str()),
        FacetValue::Interval { .. } => None,
    })
}

/// The provider's own ids of a member that is another's or the gateway's.
pub(crate) fn aliases<'m>(member: &'m Member, provider: &str) -> impl Iterator<Item = &'m str> {
    let wanted = alias_system(provider);
    member.facets.iter().filter_map(move |facet| match &facet.value {
        FacetValue::Token { system: Some(system), code } if facet.name == "identifier" && *system == wanted => {
            Some(code.as_str())
        }
        _ => None,
    })
}
