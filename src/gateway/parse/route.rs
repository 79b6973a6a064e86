//! Method and path to interaction (<http://hl7.org/fhir/R4/http.html#summary>).

use hyper::Method;
use silta_engine::fault::Fault;

use super::query::decode;
use crate::access::interaction::ResourceType;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Id, Interaction};

/// The path below the base, decoded, in its parts.
pub(super) fn segments(path: &str, prefix: &str) -> Result<Vec<String>, Refusal> {
    let below = path
        .strip_prefix(prefix)
        .filter(|below| below.is_empty() || below.starts_with('/'))
        .ok_or_else(|| Refusal::new(Fault::UnknownType, "the address is not below the base URL of this interface"))?;
    let below = below.trim_start_matches('/').trim_end_matches('/');
    if below.is_empty() {
        return Ok(Vec::new());
    }
    below.split('/').map(|segment| decode(segment, false)).collect()
}

/// What is asked by this method at this path.
pub(super) fn interaction(method: &Method, segments: &[String]) -> Result<Interaction, Refusal> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let verb = Verb::of(method)?;
    match parts.as_slice() {
        [] => verb.choose(&[(Verb::Get, &|| Ok(Interaction::Search(None))), (Verb::Post, &|| Ok(Interaction::Batch))]),
        ["metadata"] => verb.choose(&[(Verb::Get, &|| Ok(Interaction::Capabilities))]),
        ["_search"] => verb.choose(&[(Verb::Post, &|| Ok(Interaction::Search(None)))]),
        ["_history"] => verb.choose(&[(Verb::Get, &|| Ok(Interaction::History(None, None)))]),
        [name] if name.starts_with('$') => operation(verb, None, None, name),
        [kind, rest @ ..] => on_type(verb, resource_type(kind)?, rest),
    }
}

fn on_type(verb: Verb, kind: ResourceType, rest: &[&str]) -> Result<Interaction, Refusal> {
    match rest {
        [] => verb.choose(&[
            (Verb::Get, &|| Ok(Interaction::Search(Some(kind)))),
            (Verb::Post, &|| Ok(Interaction::Create(kind))),
            (Verb::Put, &|| Ok(Interaction::Update(kind, None))),
            (Verb::Patch, &|| Ok(Interaction::Patch(kind, None))),
            (Verb::Delete, &|| Ok(Interaction::Delete(kind, None))),
        ]),
        ["_search"] => verb.choose(&[(Verb::Post, &|| Ok(Interaction::Search(Some(kind))))]),
        ["_history"] => verb.choose(&[(Verb::Get, &|| Ok(Interaction::History(Some(kind), None)))]),
        [name] if name.starts_with('$') => operation(verb, Some(kind), None, name),
        [id] => verb.choose(&[
            (Verb::Get, &|| Ok(Interaction::Read(kind, existing(kind, id)?))),
            (Verb::Put, &|| Ok(Interaction::Update(kind, Some(wellformed(id)?)))),
            (Verb::Patch, &|| Ok(Interaction::Patch(kind, Some(existing(kind, id)?)))),
            (Verb::Delete, &|| Ok(Interaction::Delete(kind, Some(existing(kind, id)?)))),
        ]),
        [id, "_history"] => {
            verb.choose(&[(Verb::Get, &|| Ok(Interaction::History(Some(kind), Some(existing(kind, id)?))))])
        }
        [id, "_history", version] => verb.choose(&[(Verb::Get, &|| {
            Ok(Interaction::VersionRead(kind, existing(kind, id)?, existing(kind, version)?))
        })]),
        [id, name] if name.starts_with('$') => operation(verb, Some(kind), Some(existing(kind, id)?), name),
        [_, other] if *other == "*" || ResourceType::named(other).is_some() => Err(Refusal::new(
            Fault::UnknownType,
            "compartments are not offered: search the type itself, with its reference parameter",
        )),
        _ => Err(Refusal::new(Fault::UnknownType, "no interaction of FHIR's REST interface has this path")),
    }
}

fn operation(verb: Verb, kind: Option<ResourceType>, id: Option<Id>, name: &str) -> Result<Interaction, Refusal> {
    let name = name.trim_start_matches('$').to_owned();
    let made = || Ok(Interaction::Operation(kind, id.clone(), name.clone()));
    verb.choose(&[(Verb::Get, &made), (Verb::Post, &made)])
}

fn resource_type(name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::named(name).ok_or_else(|| {
        Refusal::new(
            Fault::UnknownType,
            "the path does not begin with a resource type of FHIR R4, in its exact spelling",
        )
    })
}

/// An id of something that should be there; nothing is there by an id that is not of the form.
fn existing(kind: ResourceType, id: &str) -> Result<Id, Refusal> {
    Id::new(id).ok_or_else(|| Refusal::not_found(kind))
}

/// An id that the caller gives.
fn wellformed(id: &str) -> Result<Id, Refusal> {
    Id::new(id).ok_or_else(|| {
        Refusal::new(Fault::BadValue, "an id has 1 to 64 letters, digits, `-` and `.` (FHIR R4, datatype id)")
    })
}

/// The methods that FHIR uses. HEAD is a GET whose answer is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// Makes the interaction that a method stands for at some path.
type Make<'a> = &'a dyn Fn() -> Result<Interaction, Refusal>;

impl Verb {
    const ALL: [(&'static str, Self); 6] = [
        ("GET", Self::Get),
        ("HEAD", Self::Get),
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("PATCH", Self::Patch),
        ("DELETE", Self::Delete),
    ];

    fn of(method: &Method) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|(name, _)| method.as_str() == *name).map(|(_, verb)| verb).ok_or_else(|| {
            let mut refusal = Refusal::new(Fault::MethodNotSupported, "FHIR's REST interface does not use this method");
            refusal.allow = Self::ALL.iter().map(|(name, _)| *name).collect();
            refusal
        })
    }

    fn choose(self, choices: &[(Self, Make<'_>)]) -> Result<Interaction, Refusal> {
        if let Some((_, make)) = choices.iter().find(|(verb, _)| *verb == self) {
            return make();
        }
        let mut refusal = Refusal::new(Fault::MethodNotSupported, "this address does not take this method");
        refusal.allow = Self::ALL
            .iter()
            .filter(|(_, verb)| choices.iter().any(|(choice, _)| choice == verb))
            .map(|(name, _)| *name)
            .collect();
        Err(refusal)
    }
}
