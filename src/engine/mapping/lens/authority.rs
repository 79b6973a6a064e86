//! Names of code systems and assigning authorities, and their URIs.

use std::borrow::Cow;

use super::hl7v3;
use super::{Fidelity, Got, Out, Put, Space, Texts, Uncarried};
use crate::fhir::query;
use crate::mapping::context::Context;

/// Coding system names of table 0396 with the URIs that HL7 publishes for them.
const SYSTEMS: [(&str, &str); 28] = [
    ("LN", "http://loinc.org"),
    ("SCT", "http://snomed.info/sct"),
    ("I10", "http://hl7.org/fhir/sid/icd-10"),
    ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("I9C", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I9", "http://hl7.org/fhir/sid/icd-9"),
    ("I9CDX", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I9CP", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I10P", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("SNM3", "urn:oid:2.16.840.1.113883.6.51"),
    ("HCPCS", "urn:oid:2.16.840.1.113883.6.285"),
    ("NPI", "http://hl7.org/fhir/sid/us-npi"),
    ("C4", "http://www.ama-assn.org/go/cpt"),
    ("UCUM", "http://unitsofmeasure.org"),
    ("C5", "http://www.ama-assn.org/go/cpt"),
    ("CPT", "http://www.ama-assn.org/go/cpt"),
    ("CVX", "http://hl7.org/fhir/sid/cvx"),
    ("MVX", "http://terminology.hl7.org/CodeSystem/MVX"),
    ("NDC", "http://hl7.org/fhir/sid/ndc"),
    ("RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ICF", "http://hl7.org/fhir/sid/icf-nl"),
    ("ICPC2", "http://hl7.org/fhir/sid/icpc-2"),
    ("ATC", "http://www.whocc.no/atc"),
    ("WC", "http://www.whocc.no/atc"),
    ("ISO3166_1", "urn:iso:std:iso:3166"),
    ("ISO639", "urn:ietf:bcp:47"),
    ("HL7", "http://terminology.hl7.org/CodeSystem/v2-tables"),
    ("CDCREC", "urn:oid:2.16.840.1.113883.6.238"),
];

/// What senders call code systems that have a name in table 0396, other than it, letter case and `-`, `_` and space aside.
const EVERYDAY: [(&str, &str); 16] = [
    ("LOINC", "http://loinc.org"),
    ("SNOMED", "http://snomed.info/sct"),
    ("SNOMEDCT", "http://snomed.info/sct"),
    ("SCTID", "http://snomed.info/sct"),
    ("ICD10", "http://hl7.org/fhir/sid/icd-10"),
    ("ICD10CM", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("I10CM", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("ICD10PCS", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("I10PCS", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("ICD9", "http://hl7.org/fhir/sid/icd-9"),
    ("ICD9CM", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I9CM", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("CPT4", "http://www.ama-assn.org/go/cpt"),
    ("USNPI", "http://hl7.org/fhir/sid/us-npi"),
    ("RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ICPC2", "http://hl7.org/fhir/sid/icpc-2"),
];

/// The URI of a code system that is named as people name it.
fn everyday(name: &str) -> Option<&'static str> {
    let mut letters = name.bytes().filter(|b| !matches!(b, b'-' | b'_' | b' ')).map(|b| b.to_ascii_uppercase());
    let mut found = EVERYDAY.iter().filter(|(known, _)| known.len() <= name.len());
    let spelled: Vec<u8> = letters.by_ref().collect();
    found.find(|(known, _)| known.as_bytes() == spelled).map(|(_, uri)| *uri)
}

const V2_TABLE: &str = "http://terminology.hl7.org/CodeSystem/v2-";

pub(super) fn system<'t>(name: &'t str, cx: &'t Context) -> Result<Got<'t>, Uncarried> {
    if let Some(uri) = Context::uri(&cx.code_systems, name) {
        return Ok(Got::exact(uri));
    }
    if let Some(table) = name.strip_prefix("HL7").filter(|t| t.len() == 4 && t.chars().all(|c| c.is_ascii_digit())) {
        return Ok(Got::exact(format!("{V2_TABLE}{table}")));
    }
    if let Some((_, uri)) = SYSTEMS.iter().find(|(known, _)| *known == name) {
        return Ok(Got::exact(*uri));
    }
    if let Some(uri) = everyday(name) {
        return Ok(Got::exact(uri));
    }
    if oid(name) {
        // A code system that has a URI of its own is that.
        return match hl7v3::code_system(name, cx) {
            Ok(known) => Ok(known),
            Err(_) => Ok(Got::exact(oid_urn(name))),
        };
    }
    if uri(name) {
        return Ok(Got::exact(name));
    }
    // A name of the provider's own stands for the provider's own system.
    own(name, cx).map(Got::exact).ok_or_else(|| Uncarried::new("the name of a code system, its OID or its URI"))
}

/// Where the code systems stand that a provider has a name for and this gateway has not.
fn own_systems(cx: &Context) -> String {
    format!("urn:silta:codes:{}:", cx.provider)
}

/// A name as a part of a URN, other characters than letters, digits and `-_.` by their bytes (RFC 3986, 2.1).
fn own(name: &str, cx: &Context) -> Option<String> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return None;
    }
    let mut uri = own_systems(cx);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(uri)
}

/// The name that [`own`] made a URN of.
fn own_name(urn: &str, cx: &Context) -> Option<String> {
    let rest = urn.strip_prefix(&own_systems(cx))?;
    let mut bytes = Vec::new();
    let mut left = rest.bytes();
    while let Some(byte) = left.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit(left.next())?, digit(left.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

pub(super) fn put_system(value: &str, cx: &Context) -> Result<Put, Uncarried> {
    if let Some(name) = Context::name(&cx.code_systems, value) {
        return Ok(Put::exact(name));
    }
    if let Some(table) = value.strip_prefix(V2_TABLE).filter(|t| t.len() == 4 && t.chars().all(|c| c.is_ascii_digit()))
    {
        return Ok(Put::exact(format!("HL7{table}")));
    }
    if let Some((name, _)) = SYSTEMS.iter().find(|(_, uri)| *uri == value) {
        return Ok(Put::exact(*name));
    }
    if let Some(name) = own_name(value, cx) {
        return Ok(Put::exact(name));
    }
    if let Some(plain) = value.strip_prefix("urn:oid:").filter(|o| oid(o)) {
        return Ok(Put::exact(plain));
    }
    if uri(value) {
        return Ok(Put::exact(value));
    }
    Err(Uncarried::new("the URI of a code system"))
}

/// Inputs: the system of an identifier where it is told, and the value. What comes of them is a conditional reference (R4
/// HTTP, 3.1.0.5.2): `ServiceRequest?identifier=urn:oid:1.2.3|A-1`.
pub(super) fn identified(kind: &str, space: &Space, from: &Texts<'_>) -> Result<Option<Got<'static>>, Uncarried> {
    let part = |n: usize| from.get(n).and_then(Option::as_deref).filter(|t| !t.is_empty());
    let (system, value) = match space {
        Space::Of(system) => (Some(Cow::Borrowed(system.as_str())), part(0)),
        Space::Uri => (part(0).map(Cow::Borrowed), part(1)),
        Space::Oid => {
            if part(0).is_some_and(|id| !oid(id)) {
                return Err(Uncarried::new("the OID of a system"));
            }
            (part(0).map(oid_urn), part(1))
        }
    };
    let (Some(system), Some(value)) = (system, value) else { return Ok(None) };
    if !uri(&system) {
        return Err(Uncarried::new("the URI of a system"));
    }
    if value.chars().any(char::is_control) {
        return Err(Uncarried::new("an identifier without control characters"));
    }
    Ok(Some(Got::exact(format!("{kind}?identifier={}|{}", query::encode(&system), query::encode(value)))))
}

pub(super) fn put_identified(kind: &str, space: &Space, value: &str) -> Result<Put, Uncarried> {
    let told = value.strip_prefix(kind).and_then(|rest| rest.strip_prefix("?identifier="));
    let parts = told.and_then(|told| told.split_once('|'));
    let parts = parts.and_then(|(system, value)| Some((query::decode(system)?, query::decode(value)?)));
    let written = parts.filter(|(_, value)| !value.is_empty()).and_then(|(system, value)| {
        let value = Out::Set(value.into_owned());
        Some(match space {
            Space::Oid => vec![Out::Set(system.strip_prefix("urn:oid:").filter(|id| oid(id))?.to_owned()), value],
            Space::Uri => vec![Out::Set(Some(system).filter(|system| uri(system))?.into_owned()), value],
            Space::Of(known) => Some(vec![value]).filter(|_| *known == system)?,
        })
    });
    match written {
        Some(outs) => Ok(Put { outs, fidelity: Fidelity::Exact }),
        None => {
            let system = match space {
                Space::Oid => "urn:oid:…",
                Space::Uri => "system",
                Space::Of(known) => known,
            };
            Err(Uncarried::new(format!("a reference as {kind}?identifier={system}|value")))
        }
    }
}

/// Inputs: namespace, universal id, universal id type, and the identifier's type code, which may name the system.
pub(super) fn get<'t>(from: &'t Texts<'_>, cx: &'t Context) -> Option<Got<'t>> {
    let part = |n: usize| from.get(n).and_then(Option::as_deref).filter(|t| !t.is_empty());
    if let Some(id) = part(1) {
        let typed: &[usize] = &[1, 2];
        let uri_of = match part(2) {
            Some("ISO") if oid(id) => Some((oid_urn(id), typed)),
            Some("UUID" | "GUID") if uuid(id) => {
                Some((Cow::Owned(format!("urn:uuid:{}", id.to_ascii_lowercase())), typed))
            }
            Some("URI" | "URL") if uri(id) => Some((Cow::Borrowed(id), typed)),
            None if oid(id) => Some((oid_urn(id), &[1][..])),
            None if uri(id) => Some((Cow::Borrowed(id), &[1][..])),
            _ => None,
        };
        if let Some((text, used)) = uri_of {
            return Some(Got::exact(text).only(used));
        }
    }
    if let Some(uri) = part(0).and_then(|name| Context::uri(&cx.authorities, name)) {
        return Some(Got::exact(uri).only(&[0]));
    }
    // A type that names its own system says nothing of an authority that stands there without being known.
    if part(0).is_some() || part(1).is_some() {
        return None;
    }
    part(3).and_then(|kind| Context::uri(&cx.identifier_types, kind)).map(|uri| Got::exact(uri).only(&[3]))
}

pub(super) fn put(value: &str, old: &Texts<'_>, cx: &Context) -> Result<Put, Uncarried> {
    let had = |n: usize| old.get(n).and_then(Option::as_deref).filter(|t| !t.is_empty());
    // A document that names authorities by its own names only goes on doing so.
    if had(0).is_some()
        && had(1).is_none()
        && let Some(name) = Context::name(&cx.authorities, value)
    {
        return Ok(outs([Out::Set(name), Out::Keep, Out::Keep], old));
    }
    let (id, kind) = if let Some(id) = value.strip_prefix("urn:oid:").filter(|o| oid(o)) {
        (id, "ISO")
    } else if let Some(id) = value.strip_prefix("urn:uuid:") {
        (id, "UUID")
    } else if uri(value) {
        (value, "URI")
    } else {
        return Err(Uncarried::new("a URI"));
    };
    let name = match Context::name(&cx.authorities, value) {
        Some(name) => Out::Set(name),
        None => Out::Keep,
    };
    Ok(outs([name, Out::Set(id.to_owned()), Out::Set(kind.to_owned())], old))
}

fn outs(first: [Out; 3], old: &Texts<'_>) -> Put {
    let mut outs = first.to_vec();
    outs.resize(old.len().max(3), Out::Keep);
    Put { outs, fidelity: Fidelity::Exact }
}

fn oid_urn(id: &str) -> Cow<'static, str> {
    Cow::Owned(["urn:oid:", id].concat())
}

/// Digits in arcs, at least three of them: `1.2.246`.
fn oid(text: &str) -> bool {
    let arcs = text.split('.');
    arcs.clone().count() >= 3
        && matches!(text.bytes().next(), Some(b'0'..=b'2'))
        && arcs
            .clone()
            .all(|a| !a.is_empty() && a.bytes().all(|b| b.is_ascii_digit()) && (a == "0" || !a.starts_with('0')))
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// An absolute URI by its form.
fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
