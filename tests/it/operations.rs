//! Operations of the interface: `$validate`, as a caller has it.

use serde_json::{Value, json};
use silta::gateway::request::{Format, Id, Interaction, Payload};
use silta_engine::fault::Fault;

use crate::support::world::{AINO, Plan, World, body, kind, payload, refused};

/// Severity, code, expression and diagnostics of each issue.
fn issues(outcome: &Value) -> Vec<String> {
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    outcome["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let place = text(&one["expression"][0]);
            format!("{} {} {place} {}", text(&one["severity"]), text(&one["code"]), text(&one["diagnostics"]))
        })
        .collect()
}

/// Asks `POST /Type[/id]/$validate?…` with a body.
async fn validate(
    world: &World,
    of: &str,
    parameters: &[(&str, &str)],
    body: Option<Payload>,
) -> Result<silta::gateway::respond::Response, silta::gateway::outcome::Refusal> {
    let (name, id) = of.split_once('/').map_or((of, None), |(name, id)| (name, Id::new(id)));
    let mut request = world.request(Interaction::Operation(Some(kind(name)), id, "validate".to_owned()));
    request.parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    request.body = body;
    world.handle(&request).await
}

async fn told(world: &World, of: &str, parameters: &[(&str, &str)], sent: &Value) -> Vec<String> {
    issues(&body(&validate(world, of, parameters, payload(sent)).await.unwrap()))
}

const WELL: &str = "information informational - -";
const REFERRAL: &str = "https://silta.example/fhir/fi/StructureDefinition/service-referral";

#[tokio::test]
async fn a_bare_resource_is_judged_by_the_core_and_the_profiles_named() {
    let world = Plan::new().make();
    let order = json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/1"}});
    assert_eq!(told(&world, "ServiceRequest", &[], &order).await, [WELL]);
    let by_profile = told(&world, "ServiceRequest", &[("profile", REFERRAL)], &order).await;
    assert!(by_profile.len() >= 2, "code and requester are missing, and more: {by_profile:?}");
    assert!(by_profile.contains(&"error required ServiceRequest 1:1".to_owned()), "{by_profile:?}");
    assert!(by_profile.iter().all(|line| line.starts_with("error ")), "{by_profile:?}");
    let mut wrong = order.clone();
    wrong["intent"] = "maybe".into();
    let found = told(&world, "ServiceRequest", &[], &wrong).await;
    assert_eq!(found.len(), 2, "no system has the code, and the value set does not");
    assert!(found[0].starts_with("error code-invalid ServiceRequest.intent 1:"), "{found:?}");
    let unknown = told(&world, "ServiceRequest", &[("profile", "https://example.org/none")], &order).await;
    assert_eq!(unknown, ["warning not-found ServiceRequest 1:1"]);
}

#[tokio::test]
async fn a_resource_in_parameters_is_judged_as_itself_at_its_place_in_the_text() {
    let world = Plan::new().make();
    let text = "{\"resourceType\":\"Parameters\",\"parameter\":[\n {\"name\":\"mode\",\"valueCode\":\"profile\"},\n \
                {\"name\":\"profile\",\"valueUri\":\"https://silta.example/fhir/fi/StructureDefinition/care-goal\"},\n \
                {\"name\":\"resource\",\"resource\":{\"resourceType\":\"Goal\",\"lifecycleStatus\":\"active\",\n  \
                \"description\":{\"text\":\"walks\"},\"startDate\":\"2026-03-03\",\n  \"subject\":{\"reference\":\"Organization/1\"}}}]}";
    let sent = |text: &str| Some(Payload { format: Format::Json, bytes: text.to_owned().into() });
    let answer = validate(&world, "Goal", &[], sent(text)).await.unwrap();
    let found = issues(&body(&answer));
    assert!(found.contains(&"error value Goal.subject 6:13".to_owned()), "{found:?}");
    assert!(found.iter().all(|line| !line.contains("Parameters")), "{found:?}");
    let good = text.replace("Organization/1", "Patient/1");
    assert_eq!(issues(&body(&validate(&world, "Goal", &[], sent(&good)).await.unwrap())), [WELL]);
    let xml = "<Parameters xmlns=\"http://hl7.org/fhir\"><parameter><name value=\"resource\"/><resource>\n\
               <Goal><lifecycleStatus value=\"begun\"/></Goal></resource></parameter></Parameters>";
    let xml = Some(Payload { format: Format::Xml, bytes: xml.into() });
    let found = issues(&body(&validate(&world, "Goal", &[], xml).await.unwrap()));
    assert_eq!(
        found,
        [
            "error required Goal 1:76",
            "error required Goal 1:76",
            "error code-invalid Goal.lifecycleStatus 2:7",
            "error code-invalid Goal.lifecycleStatus 2:7",
        ]
    );
}

#[tokio::test]
async fn slips_of_the_hand_in_json_are_told_with_all_else_that_is_wrong() {
    let world = Plan::new().make();
    let sent = |text: &str| Some(Payload { format: Format::Json, bytes: text.to_owned().into() });
    let text = "{\"resourceType\":\"Goal\", // a goal\n \"lifecycleStatus\":\"begun\",\n \"description\":{\"text\":\"walks\",},\n \
                \"subject\":{\"reference\":\"Patient/1\"}}";
    let found = issues(&body(&validate(&world, "Goal", &[], sent(text)).await.unwrap()));
    assert_eq!(
        found,
        [
            "error structure Goal 1:25",
            "error structure Goal.description 3:31",
            "error code-invalid Goal.lifecycleStatus 2:21",
            "error code-invalid Goal.lifecycleStatus 2:21",
        ]
    );
    let within = "{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"resource\",\"resource\":\n\
                  {\"resourceType\":\"Goal\",\"lifecycleStatus\":\"active\",\"description\":{\"text\":\"walks\",},\
                  \"subject\":{\"reference\":\"Patient/1\"}}}]}";
    let found = issues(&body(&validate(&world, "Goal", &[], sent(within)).await.unwrap()));
    assert_eq!(found, ["error structure Goal.description 2:80"]);
}

#[tokio::test]
async fn types_that_are_not_served_are_validated_too_and_the_statement_says_so() {
    let world = Plan::new().make();
    let medication = json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "medicationReference": {"reference": "Patient/1"}, "subject": {"reference": "Patient/1"}});
    let found = told(&world, "MedicationRequest", &[], &medication).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("error value MedicationRequest.medication.ofType(Reference) 1:"), "{found:?}");
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [{
        "fullUrl": "urn:uuid:0b1f7c2e-6f0a-4c59-9f0f-5d2c2f6f1f11", "resource": {"resourceType": "Patient", "gender": "F"}}]});
    let found = told(&world, "Bundle", &[], &bundle).await;
    let gender = "error code-invalid Bundle.entry[0].resource.gender 1:";
    assert!(found.iter().any(|line| line.starts_with(gender)), "{found:?}");
}

#[tokio::test]
async fn a_resource_that_is_kept_can_be_validated_by_its_id() {
    let world = Plan::new().make();
    let kept = json!({"resourceType": "Task", "id": "T1", "status": "requested", "intent": "order",
        "for": {"reference": "Patient/hospital.7"}});
    world.keep(None, AINO, std::slice::from_ref(&kept)).await;
    let answer = validate(&world, "Task/T1", &[], None).await.unwrap();
    assert_eq!(issues(&body(&answer)), [WELL]);
    assert_eq!(answer.persons.len(), 1, "whose resource was looked at is known to the audit");
    let by = [("profile", "https://silta.example/fhir/fi/StructureDefinition/coordination-task")];
    let answer = validate(&world, "Task/T1", &by, None).await.unwrap();
    assert!(issues(&body(&answer)).contains(&"error required Task 1:1".to_owned()));
    assert_eq!(refused(validate(&world, "Task/T2", &[], None).await).0, Fault::NotFound);
    assert_eq!(refused(validate(&world, "Task", &[], None).await).0, Fault::RequiredMissing);
    let update = [("mode", "update")];
    assert_eq!(told(&world, "Task/T1", &update, &kept).await, [WELL]);
    assert_eq!(told(&world, "Task/T9", &update, &kept).await, ["error value Task -"]);
    let mut nameless = kept.clone();
    nameless.as_object_mut().unwrap().remove("id");
    assert_eq!(told(&world, "Task/T1", &update, &nameless).await, ["error required Task -"]);
    assert_eq!(told(&world, "Task/T1", &[("mode", "delete")], &kept).await, ["error not-supported Task -"]);
    assert_eq!(told(&world, "Task", &[("mode", "create")], &kept).await, ["error not-supported Task -"]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let world = Plan::new().make();
    let goal = json!({"resourceType": "Goal"});
    let refusal = async |of, parameters: &[(&str, &str)], sent| refused(validate(&world, of, parameters, sent).await).0;
    assert_eq!(refusal("Task", &[], payload(&goal)).await, Fault::BadValue);
    assert_eq!(refusal("Goal", &[("mode", "maybe")], payload(&goal)).await, Fault::BadValue);
    assert_eq!(refusal("Goal", &[("mode", "profile")], payload(&goal)).await, Fault::RequiredMissing);
    assert_eq!(refusal("Goal", &[("verbose", "yes")], payload(&goal)).await, Fault::BadValue);
    let cut = Some(Payload { format: Format::Json, bytes: "{\"resourceType\":".into() });
    assert_eq!(refusal("Goal", &[], cut).await, Fault::CannotParse);
    let without = json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "create"}]});
    assert_eq!(refusal("Goal", &[], payload(&without)).await, Fault::RequiredMissing);
}
