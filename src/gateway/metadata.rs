//! The CapabilityStatement: what is really offered (<http://hl7.org/fhir/R4/capabilitystatement.html>).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::service::{Offer, Offers};
use crate::access::interaction::Action;

/// The statement for these offers at this base URL, of this day, as JSON text.
///
/// # Errors
/// Never, as nothing in it can fail to be written.
pub(super) fn statement(offers: &Offers, base: &str, now: Timestamp) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Statement {
        resource_type: "CapabilityStatement",
        name: "Silta",
        status: "active",
        date: now.to_zoned(TimeZone::UTC).date().to_string(),
        publisher: "Silta",
        kind: "instance",
        software: Software { name: "Silta", version: env!("CARGO_PKG_VERSION") },
        implementation: Implementation { description: "Silta, a FHIR R4 / HL7 interoperability gateway", url: base },
        fhir_version: "4.0.1",
        format: ["json", "xml"],
        rest: [Rest {
            mode: "server",
            security: Security {
                description: "TLS 1.2 or 1.3. A caller is known by a registered client certificate or a bearer secret, and \
                              may use the interactions that are registered for it.",
            },
            resource: offers
                .types
                .iter()
                .map(|(kind, offer)| resource(kind.name(), offer, &offers.everywhere))
                .collect(),
            interaction: if offers.batch {
                vec![Code { code: "transaction" }, Code { code: "batch" }]
            } else {
                Vec::new()
            },
            operation: operations(&offers.operations),
        }],
    })
}

fn resource<'a>(kind: &'a str, offer: &'a Offer, everywhere: &'a [(String, String)]) -> Resource<'a> {
    let has = |action| offer.actions.contains(&action);
    Resource {
        kind,
        supported_profile: &offer.profiles,
        interaction: offer.actions.iter().filter_map(|action| action.declared()).map(|code| Code { code }).collect(),
        versioning: if offer.version_aware { "versioned-update" } else { "versioned" },
        read_history: has(Action::VersionRead),
        update_create: has(Action::Update).then_some(false),
        conditional_create: has(Action::Create).then_some(offer.conditional_create),
        conditional_read: has(Action::Read).then_some("full-support"),
        search_include: &offer.includes,
        search_rev_include: &offer.reverse_includes,
        search_param: offer
            .parameters
            .iter()
            .map(|parameter| Parameter { name: parameter.name, definition: parameter.definition, kind: parameter.kind })
            .collect(),
        operation: operations(offer.operations.iter().chain(everywhere)),
    }
}

fn operations<'a>(operations: impl IntoIterator<Item = &'a (String, String)>) -> Vec<Operation<'a>> {
    operations.into_iter().map(|(name, definition)| Operation { name, definition }).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    resource_type: &'static str,
    name: &'static str,
    status: &'static str,
    date: String,
    publisher: &'static str,
    kind: &'static str,
    software: Software,
    implementation: Implementation<'a>,
    fhir_version: &'static str,
    format: [&'static str; 2],
    rest: [Rest<'a>; 1],
}

#[derive(Serialize)]
struct Software {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Implementation<'a> {
    description: &'static str,
    url: &'a str,
}

/// An empty array is no FHIR, so none is written.
#[derive(Serialize)]
struct Rest<'a> {
    mode: &'static str,
    security: Security,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interaction: Vec<Code>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operation: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Security {
    description: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    supported_profile: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interaction: Vec<Code>,
    versioning: &'static str,
    read_history: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_create: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditional_create: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditional_read: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    search_include: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    search_rev_include: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    search_param: Vec<Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operation: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Code {
    code: &'static str,
}

#[derive(Serialize)]
struct Parameter {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Operation<'a> {
    name: &'a str,
    definition: &'a str,
}
