//! The rehabilitation association: a plain FHIR R4 server with a few resources, and a bearer secret for those who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyper::header::{ETAG, HeaderName, LAST_MODIFIED};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::events::{Log, lock};
use super::web::{Asked, Reply, Site};
use crate::clock::Clock;
use crate::provider::BoxFuture;

pub(super) const OID: &str = "1.2.246.10.99999004.10.0";
pub(super) const NAME: &str = "Kuntoutusyhdistys Näyte ry";
const FHIR: &str = "application/fhir+json; charset=utf-8";
const HETU: &str = "urn:oid:1.2.246.21";

/// The association's server.
pub(super) struct Association {
    clock: Clock,
    secret: String,
    resources: Mutex<BTreeMap<(String, String), Value>>,
    /// Requests that it answered: method, path, status.
    pub(super) asked: Log<(Method, String, StatusCode)>,
}

impl Association {
    pub(super) fn new(clock: Clock, secret: String) -> Arc<Self> {
        let association = Arc::new(Self { clock, secret, resources: Mutex::default(), asked: Log::default() });
        association.keep(json!({
            "resourceType": "Organization", "id": "yhdistys", "active": true, "name": NAME,
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": format!("urn:oid:{OID}")}],
        }));
        association
    }

    /// Keeps a resource, as a new version.
    pub(super) fn keep(&self, mut resource: Value) {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("resourceType"), text("id"));
        let mut resources = lock(&self.resources);
        let before = resources.get(&key).and_then(|one| one.pointer("/meta/versionId")?.as_str()?.parse::<u64>().ok());
        let version = before.unwrap_or(0) + 1;
        let meta = json!({"versionId": version.to_string(), "lastUpdated": self.clock.now().to_string()});
        if let Some(members) = resource.as_object_mut() {
            members.insert("meta".to_owned(), meta);
        }
        resources.insert(key, resource);
    }

    fn respond(&self, asked: &Asked) -> Reply {
        let steps: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let ["r4", rest @ ..] = steps.as_slice() else { return outcome(StatusCode::NOT_FOUND, "not-found") };
        if asked.method == Method::GET && rest == ["metadata"] {
            return resource(StatusCode::OK, &capabilities());
        }
        if asked.header("authorization") != Some(format!("Bearer {}", self.secret).as_str()) {
            return outcome(StatusCode::UNAUTHORIZED, "login");
        }
        match (&asked.method, rest) {
            (&Method::GET, [kind, id]) => self.read(kind, id),
            (&Method::POST, [kind, "_search"]) => self.search(kind, &asked.body),
            _ => outcome(StatusCode::METHOD_NOT_ALLOWED, "not-supported"),
        }
    }

    fn read(&self, kind: &str, id: &str) -> Reply {
        match lock(&self.resources).get(&(kind.to_owned(), id.to_owned())) {
            Some(found) => resource(StatusCode::OK, found),
            None => outcome(StatusCode::NOT_FOUND, "not-found"),
        }
    }

    /// By `identifier` (Patient) or `patient.identifier`; other parameters but those for pages are refused.
    fn search(&self, kind: &str, form: &[u8]) -> Reply {
        let mut identifier = None;
        let Ok(form) = std::str::from_utf8(form) else { return outcome(StatusCode::BAD_REQUEST, "structure") };
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (kind, decoded(name).as_str()) {
                ("Patient", "identifier") | (_, "patient.identifier") => identifier = Some(decoded(value)),
                (_, "_count" | "_format" | "_include" | "_revinclude") => {}
                _ => return outcome(StatusCode::BAD_REQUEST, "not-supported"),
            }
        }
        let Some(identifier) = identifier else { return outcome(StatusCode::BAD_REQUEST, "required") };
        let wanted: Vec<&str> = identifier.split(',').collect();
        let resources = lock(&self.resources);
        let is_patient = |patient: &Value| {
            let identifiers = patient.get("identifier").and_then(Value::as_array).into_iter().flatten();
            identifiers.into_iter().any(|one| {
                let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
                wanted.contains(&format!("{}|{}", text("system"), text("value")).as_str())
            })
        };
        let patients: Vec<String> = resources
            .iter()
            .filter(|((kind, _), patient)| kind == "Patient" && is_patient(patient))
            .map(|((_, id), _)| format!("Patient/{id}"))
            .collect();
        let of_patient = |one: &Value| {
            let reference = one.pointer("/subject/reference").and_then(Value::as_str);
            reference.is_some_and(|reference| patients.iter().any(|patient| patient == reference))
        };
        let entries: Vec<Value> = resources
            .iter()
            .filter(|((found, id), one)| {
                found == kind && if kind == "Patient" { patients.contains(&format!("Patient/{id}")) } else { of_patient(one) }
            })
            .map(|((kind, id), one)| json!({"fullUrl": format!("https://localhost/r4/{kind}/{id}"), "resource": one, "search": {"mode": "match"}}))
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries});
        resource(StatusCode::OK, &bundle)
    }

    /// Its own plan for a person from a day on, part of another's.
    pub(super) fn write_plan(
        &self,
        run: &str,
        hetu: &str,
        name: (&str, &str),
        from: jiff::civil::Date,
        part_of: &Value,
    ) {
        let patient = format!("henkilo-{run}");
        self.keep(json!({
            "resourceType": "Patient", "id": patient, "active": true,
            "identifier": [{"use": "official", "system": HETU, "value": hetu,
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NNFIN"}]}}],
            "name": [{"use": "official", "family": name.0, "given": [name.1]}],
        }));
        self.keep(json!({
            "resourceType": "Appointment", "id": format!("tuolijumppa-{run}"), "status": "booked",
            "description": "Tuolijumppa",
            "start": format!("{from}T10:00:00Z"), "end": format!("{from}T11:00:00Z"),
            "participant": [{"actor": {"reference": format!("Patient/{patient}")}, "status": "accepted"}],
        }));
        self.keep(json!({
            "resourceType": "CarePlan", "id": format!("vertaistuki-{run}"), "status": "active", "intent": "plan",
            "category": [{"text": "Vertaistuki"}],
            "title": "Liikuntaryhmä ja vertaistuki",
            "description": "Tuolijumppa maanantaisin, vertaisryhmä joka toinen keskiviikko.",
            "subject": {"reference": format!("Patient/{patient}")},
            "author": {"reference": "Organization/yhdistys"},
            "partOf": [part_of],
            "period": {"start": from.to_string()},
            "activity": [{"reference": {"reference": format!("Appointment/tuolijumppa-{run}")}}],
        }));
    }
}

impl Site for Association {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply> {
        let reply = self.respond(&asked);
        self.asked.add((asked.method, asked.path, reply.status));
        Box::pin(std::future::ready(reply))
    }
}

fn capabilities() -> Value {
    let kind = |name: &str, parameter: &str| {
        json!({"type": name, "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": parameter, "type": "token"}]})
    };
    json!({
        "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
        "fhirVersion": "4.0.1", "format": ["json"],
        "rest": [{"mode": "server", "resource": [
            kind("Patient", "identifier"), kind("CarePlan", "patient.identifier"), kind("Organization", "_id"),
        ]}],
    })
}

fn resource(status: StatusCode, resource: &Value) -> Reply {
    let text = |path: &str| resource.pointer(path).and_then(Value::as_str);
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    if let Some(version) = text("/meta/versionId") {
        headers.push((ETAG, format!("W/\"{version}\"")));
    }
    let updated = text("/meta/lastUpdated").and_then(|updated| updated.parse::<jiff::Timestamp>().ok());
    if let Some(updated) = updated {
        headers.push((LAST_MODIFIED, updated.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    }
    Reply { status, media: FHIR, headers, body: resource.to_string().into_bytes() }
}

fn outcome(status: StatusCode, code: &str) -> Reply {
    resource(status, &json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}))
}

/// A part of a form, decoded (`application/x-www-form-urlencoded`).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
