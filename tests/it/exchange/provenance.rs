//! Where resources come from: the message that made them, over the FHIR interface.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::{Severity, Validator};

use super::bad_input::{admission, ask, hospital, referral};
use crate::support::station::Station;

/// The entries of this type in a searchset.
fn of_type<'b>(bundle: &'b Value, kind: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["resource"]).filter(|resource| resource["resourceType"] == kind).collect()
}

#[tokio::test]
async fn what_a_message_made_leads_to_the_message_itself_and_back() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    let (first, second) = (admission("A1"), referral("R1", "ASIAKASOHJAUS"));
    for message in [&first, &second] {
        assert_eq!(ask(&mut line, message).await[1][1], "AA");
    }
    let person = "urn:oid:1.2.246.21|140347-9120";
    let found =
        station.search("ServiceRequest", &[("patient.identifier", person), ("_revinclude", "Provenance:target")]).await;
    let orders = of_type(&found, "ServiceRequest");
    let order = format!("ServiceRequest/{}", orders[0]["id"].as_str().unwrap());
    let provenances = of_type(&found, "Provenance");
    assert_eq!(provenances.len(), 1, "{found}");
    let provenance = provenances[0];
    let targets: Vec<&str> =
        provenance["target"].as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap()).collect();
    assert!(targets.contains(&format!("{order}/_history/1").as_str()), "{provenance}");
    assert!(targets.iter().any(|target| target.starts_with("Task/")), "{provenance}");
    assert_eq!(
        (&provenance["agent"][0]["who"]["identifier"], &provenance["entity"][0]["role"]),
        (&json!({"system": "urn:test", "value": "hospital"}), &json!("source"))
    );
    assert!(provenance["recorded"].is_string());
    // Nothing dangles: every version, and the message.
    for target in &targets {
        assert_eq!(station.get(&format!("/{target}")).await.status, 200, "{target}");
    }
    let what = provenance["entity"][0]["what"]["reference"].as_str().unwrap();
    let binary = station.get(&format!("/{what}")).await;
    assert_eq!(binary.status, 200, "{}", binary.text);
    let binary = binary.json();
    assert_eq!(binary["contentType"], "x-application/hl7-v2+er7");
    assert_eq!(STANDARD.decode(binary["data"].as_str().unwrap()).unwrap(), second.as_bytes());
    assert!(station.get(&format!("/{}", binary["securityContext"]["reference"].as_str().unwrap())).await.status == 200);
    let raw = station.caller.get(station.url(&format!("/{what}"))).bearer_auth(&station.secret);
    let raw = crate::support::gateway::Answer::to(raw.header("accept", "x-application/hl7-v2+er7")).await;
    assert_eq!(raw.text.as_bytes(), second.as_bytes());
    // Read by its id, and both are good FHIR.
    let read = station.get(&format!("/Provenance/{}", provenance["id"].as_str().unwrap())).await;
    assert_eq!(read.json(), *provenance);
    assert!(!read.header("etag").is_empty());
    for resource in [provenance, &binary] {
        let document = Document::from_json(Model::r4(), resource.to_string().into_bytes(), &Limits::default()).unwrap();
        let errors: Vec<String> = Validator::built_in()
            .validate(&document, &[])
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| format!("{} {}", finding.path(&document), finding.text(&document)))
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    // Of a person everything that was sent; of one resource what made its versions.
    let all = station.search("Provenance", &[("patient", &patient(&station, person).await)]).await;
    assert_eq!(of_type(&all, "Provenance").len(), 2, "{all}");
    let one = station.search("Provenance", &[("target", &order)]).await;
    assert_eq!(of_type(&one, "Provenance").len(), 1, "{one}");
}

async fn patient(station: &Station, person: &str) -> String {
    let found = station.search("Patient", &[("identifier", person)]).await;
    format!("Patient/{}", found["entry"][0]["resource"]["id"].as_str().unwrap())
}

#[tokio::test]
async fn ids_of_messages_cannot_be_guessed_and_a_message_that_made_nothing_has_none() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    assert_eq!(ask(&mut line, &admission("A1")).await[1][1], "AA");
    // The second was refused, and is in the journal all the same.
    assert_eq!(ask(&mut line, &referral("R1", "MUUALLA")).await[1][1], "AE");
    let person = patient(&station, "urn:oid:1.2.246.21|140347-9120").await;
    let all = station.search("Provenance", &[("patient", &person)]).await;
    let provenances = of_type(&all, "Provenance");
    assert_eq!(provenances.len(), 1);
    let id = provenances[0]["id"].as_str().unwrap();
    let (number, check) = id.strip_prefix("message-").unwrap().split_once('-').unwrap();
    assert_eq!(station.get(&format!("/Binary/{id}")).await.status, 200);
    let next: u64 = number.parse::<u64>().unwrap() + 1;
    for guess in [format!("message-{number}"), format!("message-{number}-a"), format!("message-{next}-{check}")] {
        assert_eq!(station.get(&format!("/Binary/{guess}")).await.status, 404, "{guess}");
        assert_eq!(station.get(&format!("/Provenance/{guess}")).await.status, 404, "{guess}");
    }
}
