//! To whom a referral goes: the organisation that is to perform it, and the provider that stands for that organisation.
//!
//! There is no default: when none or several match, the referral is refused and an operator is told.

use silta_engine::fhir::document::{Document, Node};

use crate::provider::Identifier;
use crate::provider::registry::{Recipient, Registry};

/// Why a referral has no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Nobody.
    #[error("no provider stands for the organisation that the referral is addressed to")]
    Nobody,
    /// More than one.
    #[error("{0} providers stand for what the referral is addressed to, where one is needed")]
    Several(usize),
}

/// The identifiers of the organisation behind a reference, nearest first: the reference's own, through
/// PractitionerRole.organization, Organization and its parents, as far as they are in the document.
#[must_use]
pub fn organisations(bundle: &Document, reference: Node<'_>) -> Vec<Identifier> {
    let mut found = Vec::new();
    let mut next = Some(reference);
    // A role, its organisation, and that organisation's parents at most.
    for _ in 0..4 {
        let Some(reference) = next.take() else { break };
        found.extend(reference.first("identifier").and_then(identifier));
        let Some(text) = reference.text_at("reference") else { break };
        let index = bundle.bundle();
        let Some(target) = index.by_url(text).or_else(|| index.by_id(text)).map(|id| bundle.node(id)) else { break };
        if target.type_name() == "Organization" {
            found.extend(target.named("identifier").filter_map(identifier));
        }
        next = match target.type_name() {
            "PractitionerRole" => target.first("organization"),
            "Organization" => target.first("partOf"),
            _ => None,
        };
    }
    found
}

fn identifier(node: Node<'_>) -> Option<Identifier> {
    Some(Identifier::organisation(node.text_at("system").unwrap_or(""), node.text_at("value")?))
}

/// The provider that stands for the first of these organisations that anybody stands for.
///
/// # Errors
/// [`NoRoute`].
pub fn by_organisation<'r>(registry: &'r Registry, wanted: &[Identifier]) -> Result<&'r str, NoRoute> {
    for one in wanted {
        match registry.of_organisation(std::slice::from_ref(one)) {
            Recipient::None => {}
            Recipient::One(connection) => return Ok(&connection.name),
            Recipient::Several(several) => return Err(NoRoute::Several(several.len())),
        }
    }
    Err(NoRoute::Nobody)
}

/// The provider that takes orders of a service for a municipality.
///
/// # Errors
/// [`NoRoute`].
pub fn by_rules<'r>(registry: &'r Registry, municipality: Option<&str>, services: &[&str]) -> Result<&'r str, NoRoute> {
    match registry.of_rules(municipality, services) {
        Recipient::None => Err(NoRoute::Nobody),
        Recipient::One(connection) => Ok(&connection.name),
        Recipient::Several(several) => Err(NoRoute::Several(several.len())),
    }
}

/// What is ordered, as `system|code`: the codes of `code`, `category` and `orderDetail`.
#[must_use]
pub fn services(order: Node<'_>) -> Vec<String> {
    ["code", "category", "orderDetail"]
        .into_iter()
        .flat_map(|name| order.children().filter(move |child| child.element_name() == name).collect::<Vec<_>>())
        .flat_map(|concept| concept.named("coding").collect::<Vec<_>>())
        .filter_map(|coding| {
            let code = coding.text_at("code")?;
            Some(coding.text_at("system").map_or_else(|| code.to_owned(), |system| format!("{system}|{code}")))
        })
        .collect()
}

/// The municipality of a patient by the Finnish extension, else by its address's city code.
#[must_use]
pub fn municipality(patient: Node<'_>) -> Option<String> {
    patient
        .extensions()
        .find(|extension| extension.text_at("url").is_some_and(|url| url.ends_with("municipality-code")))
        .and_then(|extension| extension.at("value.code").or_else(|| extension.first("value")))
        .and_then(Node::text)
        .map(str::to_owned)
}
