//! Validate: `POST [base]/Type/$validate` and `[base]/Type/id/$validate`
//! (<http://hl7.org/fhir/R4/resource-operation-validate.html>).
//!
//! What is wrong with a resource is the answer, not a refusal: a request that could be understood is answered by 200 and an
//! OperationOutcome.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{self as fhir, Document, Limits, Node};
use silta_engine::fhir::slips::without_slips;
use silta_engine::validation::{RULE_SYSTEM, Validator, outcome, slip_issues};

use super::{Exchanged, document};
use crate::access::interaction::ResourceType;
use crate::gateway::federation::part::Part;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Format, Id, Request};
use crate::gateway::respond::Response;
use crate::store::ResourceKey;

/// The name of the operation, without its `$`.
pub(super) const NAME: &str = "validate";
/// The canonical of its definition.
pub(super) const DEFINITION: &str = "http://hl7.org/fhir/OperationDefinition/Resource-validate";

/// What the validation is for (<http://hl7.org/fhir/R4/valueset-resource-validation-mode.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

/// What is to be judged, and by what.
struct Asked {
    mode: Option<Mode>,
    profiles: Vec<String>,
    /// The document sent, and the path of the resource in it where that is not its root.
    sent: Option<(Arc<Document>, Option<String>)>,
    /// The slips of the text sent, as issues; the document is what it is without them.
    slips: Vec<Value>,
}

pub(super) async fn validate(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    id: Option<&Id>,
) -> Result<Response, Refusal> {
    let asked = asked(request, kind)?;
    let mut kept = None;
    let (judged, within) = match asked.sent {
        Some(sent) => sent,
        None => {
            let Some(id) = id else {
                return Err(Refusal::new(Fault::RequiredMissing, "the resource to validate is missing"));
            };
            let part = held(exchanged, request, kind, id).await?;
            let text = part.content.text().as_bytes().to_vec();
            let document = Document::from_json(Model::r4(), text, &Limits::default());
            let document = document.map_err(|error| Refusal::new(Fault::Internal, error.fault.to_string()))?;
            kept = Some(part);
            (document, None)
        }
    };
    let mut issues = asked.slips;
    if let Some(prefix) = &within {
        from_resource(&mut issues, prefix, kind.name());
    }
    issues.extend(purpose(asked.mode, kind, id, &judged, within.as_deref(), exchanged));
    if asked.mode != Some(Mode::Delete) {
        let (validator, profiles) = (Arc::clone(&exchanged.validator), asked.profiles);
        // A large resource takes longer than other requests may be kept waiting.
        let judging = tokio::task::spawn_blocking(move || found(&validator, &judged, within.as_deref(), &profiles));
        let found = judging.await.map_err(|_| Refusal::new(Fault::Internal, "the validation did not end"))?;
        if issues.is_empty() || found.iter().any(is_told) {
            issues.extend(found);
        }
    }
    let mut response =
        Response::new(StatusCode::OK, json!({"resourceType": "OperationOutcome", "issue": issues}).to_string());
    if let Some(part) = kept {
        response.persons = part.person.into_iter().collect();
        response.providers = part.origin.provider.iter().map(ToString::to_string).collect();
    }
    Ok(response)
}

/// Whether an issue says more than that nothing was found.
fn is_told(issue: &Value) -> bool {
    issue.get("code").and_then(Value::as_str) != Some("informational")
}

fn asked(request: &Request, kind: ResourceType) -> Result<Asked, Refusal> {
    let (mut mode, mut profiles, mut sent, mut slips) = (None, Vec::new(), None, Vec::new());
    for (name, value) in &request.parameters {
        match name.as_str() {
            "mode" => mode = Some(mode_of(value)?),
            "profile" => profiles.push(value.clone()),
            _ => {
                let text = format!("$validate does not take the parameter {name}: it takes resource, mode and profile");
                return Err(Refusal::new(Fault::BadValue, text));
            }
        }
    }
    if request.body.is_some() {
        let document = match document::read(request) {
            Ok(document) => document,
            Err(refusal) => {
                let Some((document, found)) = without(request) else { return Err(refusal) };
                slips = found;
                document
            }
        };
        let root = document.root();
        let is_call = root.type_name() == "Parameters" && (kind.name() != "Parameters" || has_resource(root));
        if is_call {
            for parameter in root.named("parameter") {
                let value = || parameter.first("value").and_then(Node::text);
                match parameter.text_at("name") {
                    Some("mode") => mode = Some(mode_of(value().unwrap_or(""))?),
                    Some("profile") => profiles.extend(value().map(str::to_owned)),
                    Some("resource") => {
                        let Some(resource) = parameter.first("resource") else { continue };
                        is_of(resource, kind)?;
                        sent = Some((Arc::clone(&document), Some(resource.path().to_string())));
                    }
                    _ => {
                        let text = "$validate takes the parameters resource, mode and profile";
                        return Err(Refusal::new(Fault::BadValue, text).at(parameter.path().to_string()));
                    }
                }
            }
        } else {
            is_of(root, kind)?;
            sent = Some((Arc::clone(&document), None));
        }
    }
    if mode == Some(Mode::Profile) && profiles.is_empty() {
        return Err(Refusal::new(Fault::RequiredMissing, "mode profile needs the parameter profile"));
    }
    Ok(Asked { mode, profiles, sent, slips })
}

/// The document of a JSON text that has slips of the hand only, and those as issues.
fn without(request: &Request) -> Option<(Arc<Document>, Vec<Value>)> {
    let payload = request.body.as_ref().filter(|payload| payload.format == Format::Json)?;
    let (text, slips) = without_slips(&payload.bytes)?;
    let document = Document::from_json(Model::r4(), text, &Limits::default()).ok()?;
    let issues = slip_issues(&document, &slips);
    Some((document, issues))
}

fn has_resource(root: Node<'_>) -> bool {
    root.named("parameter").any(|one| one.text_at("name") == Some("resource") && one.first("resource").is_some())
}

fn is_of(resource: Node<'_>, kind: ResourceType) -> Result<(), Refusal> {
    if resource.type_name() == kind.name() {
        return Ok(());
    }
    Err(Refusal::new(Fault::BadValue, format!("the resource sent is not a {kind}, as the URL says")))
}

fn mode_of(text: &str) -> Result<Mode, Refusal> {
    Ok(match text {
        "create" => Mode::Create,
        "update" => Mode::Update,
        "delete" => Mode::Delete,
        "profile" => Mode::Profile,
        _ => return Err(Refusal::new(Fault::BadValue, "mode is one of create, update, delete, profile")),
    })
}

/// The resource as a read would give it.
async fn held(exchanged: &Exchanged, request: &Request, kind: ResourceType, id: &Id) -> Result<Part, Refusal> {
    let federation = &exchanged.federation;
    let key = ResourceKey::new(kind.name(), id.as_str());
    let deadline = federation.deadline(request.deadline);
    federation.find(&key, request.caller.mode, deadline).await?.ok_or_else(|| Refusal::not_found(kind))
}

/// What the mode asks for beyond the content.
fn purpose(
    mode: Option<Mode>,
    kind: ResourceType,
    id: Option<&Id>,
    document: &Document,
    within: Option<&str>,
    exchanged: &Exchanged,
) -> Vec<Value> {
    use crate::access::interaction::Action;
    let said = |severity: &str, code: &str, rule: &str, text: String| {
        json!({
            "severity": severity,
            "code": code,
            "details": {"coding": [{"system": RULE_SYSTEM, "code": rule}], "text": text},
            "expression": [kind.name()],
        })
    };
    let mut issues = Vec::new();
    let action = match mode {
        Some(Mode::Create) => Action::Create,
        Some(Mode::Update) => Action::Update,
        Some(Mode::Delete) => Action::Delete,
        Some(Mode::Profile) | None => Action::Operation,
    };
    let is_offered = exchanged.offers.on(kind).is_some_and(|offer| offer.actions.contains(&action));
    if action != Action::Operation && !is_offered {
        issues.push(said("error", "not-supported", "mode", format!("{action} of {kind} is not offered here")));
    }
    let resource = resource(document, within);
    let own = resource.and_then(|resource| resource.text_at("id"));
    if own.is_none() && mode == Some(Mode::Update) {
        issues.push(said("error", "required", "id", "an update needs a resource with its id".to_owned()));
    } else if own.is_some() && id.is_some_and(|id| own != Some(id.as_str())) {
        issues.push(said("error", "value", "id", "the id of the resource is not the one in the URL".to_owned()));
    }
    issues
}

fn resource<'d>(document: &'d Document, within: Option<&str>) -> Option<Node<'d>> {
    let Some(within) = within else { return Some(document.root()) };
    let all = document.root();
    all.named("parameter").filter_map(|one| one.first("resource")).find(|one| one.path().to_string() == within)
}

/// The issues of a validation; paths begin at the resource, positions are those of the text sent.
fn found(validator: &Validator, document: &Arc<Document>, within: Option<&str>, profiles: &[String]) -> Vec<Value> {
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let Some(node) = resource(document, within) else { return Vec::new() };
    let findings = match within {
        None => validator.validate(document, &profiles),
        Some(_) => validator.validate_part(&fhir::Part::new(document, node.id()), &profiles),
    };
    let mut outcome = outcome(document, &findings);
    let Some(issues) = outcome.get_mut("issue").and_then(Value::as_array_mut) else { return Vec::new() };
    if let Some(prefix) = within {
        from_resource(issues, prefix, node.type_name());
    }
    std::mem::take(issues)
}

/// Lets the paths of issues begin at the resource, whose place in what was sent is `prefix`.
fn from_resource(issues: &mut [Value], prefix: &str, name: &str) {
    for place in issues.iter_mut().filter_map(|issue| issue.pointer_mut("/expression/0")) {
        let below = place.as_str().and_then(|path| path.strip_prefix(prefix));
        if let Some(below) = below {
            *place = format!("{name}{below}").into();
        }
    }
}
