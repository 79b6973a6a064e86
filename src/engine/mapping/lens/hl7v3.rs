//! Identifiers, code systems and templates of HL7 v3: OIDs and UUIDs, and their URIs.

use super::{Fidelity, Got, Out, Put, Texts, Uncarried};
use crate::mapping::context::Context;

/// OIDs of code systems with the URIs that HL7 publishes for them. Of several OIDs for a URI the first is written.
const CODE_SYSTEMS: [(&str, &str); 34] = [
    ("2.16.840.1.113883.6.1", "http://loinc.org"),
    ("2.16.840.1.113883.6.96", "http://snomed.info/sct"),
    ("2.16.840.1.113883.6.88", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("2.16.840.1.113883.6.90", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("2.16.840.1.113883.6.3", "http://hl7.org/fhir/sid/icd-10"),
    ("2.16.840.1.113883.6.4", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("2.16.840.1.113883.6.103", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("2.16.840.1.113883.6.12", "http://www.ama-assn.org/go/cpt"),
    ("2.16.840.1.113883.6.13", "http://www.ada.org/cdt"),
    ("2.16.840.1.113883.12.292", "http://hl7.org/fhir/sid/cvx"),
    ("2.16.840.1.113883.12.227", "http://hl7.org/fhir/sid/mvx"),
    ("2.16.840.1.113883.6.69", "http://hl7.org/fhir/sid/ndc"),
    ("2.16.840.1.113883.6.8", "http://unitsofmeasure.org"),
    ("2.16.840.1.113883.6.101", "http://nucc.org/provider-taxonomy"),
    ("2.16.840.1.113883.6.73", "http://www.whocc.no/atc"),
    ("2.16.840.1.113883.6.121", "urn:ietf:bcp:47"),
    ("2.16.840.1.113883.3.26.1.1", "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"),
    ("2.16.840.1.113883.4.9", "http://fdasis.nlm.nih.gov"),
    ("2.16.840.1.113883.6.254", "http://hl7.org/fhir/sid/icf"),
    ("2.16.840.1.113883.5.1", "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender"),
    ("2.16.840.1.113883.5.2", "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"),
    ("2.16.840.1.113883.5.4", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    ("2.16.840.1.113883.5.6", "http://terminology.hl7.org/CodeSystem/v3-ActClass"),
    ("2.16.840.1.113883.5.7", "http://terminology.hl7.org/CodeSystem/v3-ActPriority"),
    ("2.16.840.1.113883.5.8", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("2.16.840.1.113883.5.14", "http://terminology.hl7.org/CodeSystem/v3-ActStatus"),
    ("2.16.840.1.113883.5.25", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"),
    ("2.16.840.1.113883.5.83", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"),
    ("2.16.840.1.113883.5.88", "http://terminology.hl7.org/CodeSystem/v3-ParticipationFunction"),
    ("2.16.840.1.113883.5.89", "http://terminology.hl7.org/CodeSystem/v3-ParticipationSignature"),
    ("2.16.840.1.113883.5.111", "http://terminology.hl7.org/CodeSystem/v3-RoleCode"),
    ("2.16.840.1.113883.5.112", "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration"),
    ("2.16.840.1.113883.5.1008", "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"),
    ("2.16.840.1.113883.5.1076", "http://terminology.hl7.org/CodeSystem/v3-ReligiousAffiliation"),
];

/// OIDs of identifier systems that have a URI of their own.
const IDENTIFIER_SYSTEMS: [(&str, &str); 2] = [
    ("2.16.840.1.113883.4.1", "http://hl7.org/fhir/sid/us-ssn"),
    ("2.16.840.1.113883.4.6", "http://hl7.org/fhir/sid/us-npi"),
];

/// HL7 v2 tables as code systems: `2.16.840.1.113883.12.N`.
const TABLES: &str = "2.16.840.1.113883.12.";
const V2: &str = "http://terminology.hl7.org/CodeSystem/v2-";

fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    matches!(arcs.next(), Some("0" | "1" | "2"))
        && text.contains('.')
        && arcs.all(|arc| {
            !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
        })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

/// The URI of a root: `urn:oid:…`, `urn:uuid:…`.
fn urn(root: &str) -> Option<String> {
    if is_oid(root) {
        Some(format!("urn:oid:{root}"))
    } else if is_uuid(root) {
        // A UUID is the same in small letters (RFC 9562, 4).
        Some(format!("urn:uuid:{}", root.to_ascii_lowercase()))
    } else {
        None
    }
}

fn root(urn: &str) -> Option<&str> {
    urn.strip_prefix("urn:oid:").filter(|r| is_oid(r)).or_else(|| urn.strip_prefix("urn:uuid:").filter(|r| is_uuid(r)))
}

/// A root as the URI of what it names: an identifier system by its own URI where it has one, else a URN.
pub(super) fn uid<'t>(text: &'t str, cx: &'t Context) -> Result<Got<'t>, Uncarried> {
    if let Some(uri) = Context::uri(&cx.authorities, text) {
        return Ok(Got::exact(uri));
    }
    if let Some((_, uri)) = IDENTIFIER_SYSTEMS.iter().find(|(oid, _)| *oid == text) {
        return Ok(Got::exact(*uri));
    }
    urn(text).map(Got::exact).ok_or_else(|| Uncarried::new("an OID or a UUID"))
}

pub(super) fn put_uid(value: &str, old: &Texts<'_>, cx: &Context) -> Result<Put, Uncarried> {
    if let Some(name) = Context::name(&cx.authorities, value).filter(|name| is_oid(name)) {
        return Ok(Put::exact(name));
    }
    if let Some((oid, _)) = IDENTIFIER_SYSTEMS.iter().find(|(_, uri)| *uri == value) {
        return Ok(Put::exact(*oid));
    }
    let root =
        root(value).ok_or_else(|| Uncarried::new("a system that is a urn:oid or urn:uuid, or known by its OID"))?;
    // The letters of a UUID stay as they are.
    let same = old.first().and_then(Option::as_deref).is_some_and(|old| old.eq_ignore_ascii_case(root));
    Ok(if same { Put { outs: vec![Out::Keep], fidelity: Fidelity::Exact } } else { Put::exact(root) })
}

/// The OID of a code system as its URI.
pub(super) fn code_system<'t>(text: &'t str, cx: &'t Context) -> Result<Got<'t>, Uncarried> {
    if let Some(uri) = Context::uri(&cx.code_systems, text) {
        return Ok(Got::exact(uri));
    }
    if let Some((_, uri)) = CODE_SYSTEMS.iter().find(|(oid, _)| *oid == text) {
        return Ok(Got::exact(*uri));
    }
    if let Some(table) = text.strip_prefix(TABLES).and_then(|n| n.parse::<u16>().ok()).filter(|n| *n < 1000) {
        return Ok(Got::exact(format!("{V2}{table:04}")));
    }
    urn(text).map(Got::exact).ok_or_else(|| Uncarried::new("the OID of a code system"))
}

pub(super) fn put_code_system(value: &str, cx: &Context) -> Result<Put, Uncarried> {
    if let Some(name) = Context::name(&cx.code_systems, value).filter(|name| is_oid(name)) {
        return Ok(Put::exact(name));
    }
    if let Some((oid, _)) = CODE_SYSTEMS.iter().find(|(_, uri)| *uri == value) {
        return Ok(Put::exact(*oid));
    }
    let table = value.strip_prefix(V2).filter(|t| t.len() == 4).and_then(|t| t.parse::<u16>().ok());
    if let Some(table) = table.filter(|n| *n < 1000 && !matches!(n, 227 | 292)) {
        return Ok(Put::exact(format!("{TABLES}{table}")));
    }
    root(value).map(Put::exact).ok_or_else(|| Uncarried::new("a code system that has an OID, as urn:oid:…"))
}

/// Inputs: the root and the extension of a template or of another instance identifier. `urn:oid:…`, or with an extension
/// `urn:hl7ii:root:extension`.
pub(super) fn instance(from: &Texts<'_>) -> Result<Option<Got<'static>>, Uncarried> {
    let part = |n: usize| from.get(n).and_then(Option::as_deref);
    let Some(root) = part(0) else { return Ok(None) };
    let Some(urn) = urn(root) else { return Err(Uncarried::new("an OID or a UUID")) };
    match part(1) {
        None => Ok(Some(Got::exact(urn))),
        Some(extension) if !extension.contains(char::is_whitespace) => {
            Ok(Some(Got::exact(format!("urn:hl7ii:{root}:{extension}"))))
        }
        Some(_) => Err(Uncarried::new("an extension without white space")),
    }
}

pub(super) fn put_instance(value: &str) -> Result<Put, Uncarried> {
    let outs = |root: &str, extension: Option<&str>| Put {
        outs: vec![Out::Set(root.to_owned()), extension.map_or(Out::Clear, |e| Out::Set(e.to_owned()))],
        fidelity: Fidelity::Exact,
    };
    if let Some((root, extension)) = value.strip_prefix("urn:hl7ii:").and_then(|rest| rest.split_once(':'))
        && (is_oid(root) || is_uuid(root))
        && !extension.is_empty()
    {
        return Ok(outs(root, Some(extension)));
    }
    root(value).map(|root| outs(root, None)).ok_or_else(|| Uncarried::new("urn:oid:…, urn:uuid:… or urn:hl7ii:…:…"))
}

/// What stands behind a prefix, letter case of the prefix aside.
pub(super) fn scheme<'t>(scheme: &str, text: &'t str) -> Result<Got<'t>, Uncarried> {
    let rest = text.get(..scheme.len()).filter(|begins| begins.eq_ignore_ascii_case(scheme));
    match rest.and_then(|_| text.get(scheme.len()..)).filter(|rest| !rest.trim().is_empty()) {
        Some(rest) => Ok(Got::exact(rest)),
        None => Err(Uncarried::new(format!("a value that begins with {scheme}"))),
    }
}

pub(super) fn put_scheme(scheme: &str, value: &str, old: &Texts<'_>) -> Put {
    let old = old.first().and_then(Option::as_deref).and_then(|old| old.get(..scheme.len()));
    let own = old.filter(|begins| begins.eq_ignore_ascii_case(scheme)).unwrap_or(scheme);
    Put::exact(format!("{own}{value}"))
}
