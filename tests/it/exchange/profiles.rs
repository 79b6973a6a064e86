//! What comes in holds to the profiles of its realm: refused in the sender's terms with path and rule, or taken and an
//! operator told, as the provider is configured.

use serde_json::{Value, json};

use super::bad_input::{ask, hospital, referral};
use crate::support::station::Station;
use crate::support::web::{self, Answer, Seen, Server};

/// A county by whose maps it is Finnish, in a gateway that says nothing of realms.
fn county(validation: &str) -> String {
    format!(
        r#"
[providers.county]
mode = "test"
organisations = ["urn:test|county"]
validation = "{validation}"
[providers.county.map]
maps = ["fi-palvelupyynto", "fi-asiakassuunnitelma"]
"#
    )
}

fn plan() -> Value {
    json!({
        "asiakirja": "asiakassuunnitelma", "tunnus": "AS-1", "versio": 1, "tila": "voimassa", "nimi": "Kotiin",
        "laadittu": "2026-03-03", "voimassa": {"alkaa": "2026-03-03"},
        "asiakas": {"hetu": "140347-9120", "sukunimi": "Koivisto", "etunimet": "Aino"},
        "laatija": {"tunnus": "1.2.246.10.99999002.10.0", "nimi": "Asiakasohjaus"}, "palvelut": []
    })
}

/// The issues of an outcome as (path, rule).
fn issues(answer: &crate::support::gateway::Answer) -> Vec<(String, String)> {
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let issues = outcome["issue"].as_array().unwrap().clone();
    issues
        .iter()
        .map(|issue| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&issue["expression"][0]), text(&issue["details"]["coding"][0]["code"]))
        })
        .collect()
}

#[tokio::test]
async fn the_map_of_a_realm_brings_the_realms_profiles_and_what_breaks_them_is_refused_with_path_and_rule() {
    let station = Station::start(&county("reject")).await;
    let mut wrong = plan();
    wrong.as_object_mut().unwrap().remove("voimassa");
    wrong.as_object_mut().unwrap().remove("nimi");
    let answer = station.post("/hooks/county", "application/json", wrong.to_string()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    let told = issues(&answer);
    for element in ["period", "title"] {
        let found = told.iter().any(|(path, rule)| {
            path == "CarePlan" && rule.contains("client-plan") && rule.ends_with(&format!("#CarePlan.{element}"))
        });
        assert!(found, "{element}: {told:?}");
    }
    assert!(!answer.text.contains("140347"), "{}", answer.text);
    let answer = station.post("/hooks/county", "application/json", plan().to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let kept = station.stop().await;
    assert_eq!(kept.kinds().await, ["refused"]);
    assert!(kept.journalled(wrong.to_string().as_bytes()).await);
}

#[tokio::test]
async fn where_the_policy_is_to_warn_it_is_taken_and_an_operator_is_told() {
    let station = Station::start(&county("warn")).await;
    let mut wrong = plan();
    wrong.as_object_mut().unwrap().remove("voimassa");
    let answer = station.post("/hooks/county", "application/json", wrong.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let kept = station.stop().await;
    let notices = kept.notices().await;
    assert_eq!(notices.iter().map(|notice| notice.kind.as_str()).collect::<Vec<_>>(), ["profile"]);
    assert!(notices[0].text.contains("CarePlan"), "{}", notices[0].text);
}

#[tokio::test]
async fn a_realm_holds_for_messages_of_other_formats_and_for_what_callers_send() {
    let configured = format!("[exchange]\nrealm = \"fi\"\n{}", hospital(1));
    let station = Station::start(&configured).await;
    let mut line = station.line().await;
    // An identity code that is none: the message is refused in its own terms, with path and rule.
    let wrong = referral("R1", "ASIAKASOHJAUS").replace("140347-9120", "149947-9120");
    let refused = ask(&mut line, &wrong).await;
    assert_eq!(refused[1][1], "AE", "{refused:?}");
    let told = refused[2].last().unwrap();
    assert!(told.contains("Patient") && told.contains("fi-hetu-form"), "{told}");
    assert!(!told.contains("149947"), "{told}");
    // A referral that asks for nothing in particular.
    let vague = referral("R2", "ASIAKASOHJAUS").replace("RF1|P|A|Hom|", "RF1|P|A||");
    let refused = ask(&mut line, &vague).await;
    assert!(refused[2].last().is_some_and(|text| text.contains("silta-what")), "{refused:?}");
    assert_eq!(ask(&mut line, &referral("R3", "ASIAKASOHJAUS")).await[1][1], "AA");
    let found = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    let patient = format!("Patient/{}", found["entry"][0]["resource"]["id"].as_str().unwrap());
    let order = json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": patient},
        "requester": {"identifier": {"system": "urn:test", "value": "hospital"}},
        "performer": [{"identifier": {"system": "urn:test", "value": "county"}}]
    });
    let answer = station.post("/ServiceRequest", "application/fhir+json", order.to_string()).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(issues(&answer).iter().any(|(path, rule)| path == "ServiceRequest" && rule.contains("silta-what")));
    let mut good = order;
    good["code"] = json!({"text": "Kotikuntoutus"});
    let answer = station.post("/ServiceRequest", "application/fhir+json", good.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    // An order that came without a number has got one, by which all sides know it.
    let order = answer.header("location").rsplit_once("/_history").unwrap().0.rsplit('/').next().unwrap().to_owned();
    let read = station.get(&format!("/ServiceRequest/{order}")).await.json();
    assert_eq!(read["identifier"][0], json!({"system": "urn:silta:order", "value": order}));
}

/// A FHIR server with one plan, which breaks a rule of the realm, or not.
fn association(good: bool, own: &'static str) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    move |seen| {
        let patient = json!({
            "resourceType": "Patient", "id": "p1",
            "identifier": [{"use": "official", "system": "urn:oid:1.2.246.21", "value": "140347-9120"}]
        });
        let mut plan = json!({
            "resourceType": "CarePlan", "id": "c1", "status": "active", "intent": "plan", "title": "Vertaistuki",
            "subject": {"reference": "Patient/p1"}, "author": {"display": "Yhdistys"},
            "period": {"start": "2026-03-03"}, "partOf": [{"reference": own}],
            "basedOn": [{"reference": "https://elsewhere.example/CarePlan/x"}]
        });
        if !good {
            plan.as_object_mut().unwrap().remove("period");
        }
        let found = if seen.target.starts_with("/CarePlan/_search") { vec![plan] } else { vec![patient] };
        let entries: Vec<Value> = found.iter().map(|one| json!({"resource": one})).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
        if seen.target.contains("_search") {
            return web::respond(200, "application/fhir+json", bundle.to_string());
        }
        web::respond(200, "application/fhir+json", found[0].to_string())
    }
}

fn fhir(port: u16, more: &str) -> String {
    format!(
        r#"
[exchange]
realm = "fi"
[providers.association]
mode = "test"
organisations = ["urn:test|association"]
{more}
[providers.association.fhir]
base = "http://127.0.0.1:{port}/"
plaintext = true
patient_identifiers = ["urn:oid:1.2.246.21"]
types = {{ CarePlan = {{ read = true, search = true }}, Patient = {{ read = true, search = true }} }}
"#
    )
}

const PERSON: (&str, &str) = ("patient.identifier", "urn:oid:1.2.246.21|140347-9120");

#[tokio::test]
async fn what_a_live_provider_gives_is_held_to_the_realm_too() {
    let server = Server::plain(association(false, "CarePlan/other")).await;
    let station = Station::start(&fhir(server.port(), "")).await;
    let found = station.search("CarePlan", &[PERSON]).await;
    let entries = found["entry"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["search"]["mode"]), (1, &json!("outcome")), "{found}");
    assert!(entries[0].to_string().contains("association: a document that it gave cannot be used"), "{found}");
    let lenient = Station::start(&fhir(server.port(), "validation = \"warn\"")).await;
    let found = lenient.search("CarePlan", &[PERSON]).await;
    assert_eq!(found["total"], 1, "{found}");
}

#[tokio::test]
async fn a_realm_or_a_profile_that_is_unknown_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silta.toml");
    std::fs::write(&file, "[access]\nopen = true\n[exchange]\nrealm = \"xx\"\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_silta"))
        .args(["serve", "--config", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("realm") && errors.contains("fi") && errors.contains(":4"), "{errors}");
}

#[tokio::test]
async fn an_address_of_this_gateway_in_a_providers_resource_is_made_relative_and_others_stay() {
    for own in
        ["https://gateway.example/r4/CarePlan/county.P1", "https://gateway.example/r4/CarePlan/county.P1/_history/2"]
    {
        let server = Server::plain(association(true, own)).await;
        let configured = fhir(server.port(), "");
        let station = Station::start_with("base_url = \"https://gateway.example/r4\"\n", &configured).await;
        let found = station.search_under("/r4", "CarePlan", &[PERSON]).await;
        let plan = &found["entry"][0]["resource"];
        assert_eq!(plan["partOf"][0]["reference"], "CarePlan/county.P1", "{found}");
        assert_eq!(plan["basedOn"][0]["reference"], "https://elsewhere.example/CarePlan/x");
    }
    // Without a configured address the machine's own are known, with the port.
    let server = Server::plain(association(true, "https://localhost:1/CarePlan/county.P1")).await;
    let station = Station::start(&fhir(server.port(), "")).await;
    let found = station.search("CarePlan", &[PERSON]).await;
    let elsewhere = &found["entry"][0]["resource"]["partOf"][0]["reference"];
    assert_eq!(elsewhere, "https://localhost:1/CarePlan/county.P1", "another port is another server");
}
