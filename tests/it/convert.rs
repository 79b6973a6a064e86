//! `$silta-convert`, as a caller has it over HTTP.

mod formats;

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use silta::clock::Clock;
use silta::gateway::interaction::Converter;
use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;

use crate::support::gateway::{Answer, Plan, Site, reader_secret};

const HL7V2: &str = "x-application/hl7-v2+er7";
const REFERRAL: &str = "MSH|^~\\&|HIS|HOSP|SILTA|SILTA|20251113100000+0200||REF^I12^REF_I12|M1|T|2.5.1\r\
    RF1|P|A^ASAP^HL70280||||R-77^HOSP|||20251113\r\
    PID|1||010190-900R^^^^NNFIN||Virtanen^Aino||19900101|F\r\
    ZXX|kept\r";

async fn site() -> Site {
    let maps = Arc::new(Maps::embedded(Model::r4()));
    let converter = Converter::new(maps, Clock::system(), b"convert".to_vec());
    let mut plan = Plan::new(move |request| {
        let converter = converter.clone();
        async move { converter.convert(&request).await }
    });
    plan.offers.operations.push(("silta-convert".to_owned(), "https://example.org/convert".to_owned()));
    plan.start().await
}

async fn post(site: &Site, query: &str, media: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = site.county().post(site.url(&format!("/$silta-convert{query}")));
    Answer::to(request.header("content-type", media).body(body.into())).await
}

fn part<'v>(answer: &'v Value, name: &str) -> &'v Value {
    answer["parameter"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

fn total(answer: &Value, name: &str) -> u64 {
    let parts = part(answer, "totals")["part"].as_array().unwrap();
    parts.iter().find(|one| one["name"] == name).unwrap()["valueUnsignedInt"].as_u64().unwrap()
}

#[tokio::test]
async fn a_message_comes_back_as_resources_with_what_became_of_each_leaf() {
    let site = site().await;
    let answer = json_of(&post(&site, "", HL7V2, REFERRAL).await);
    let bundle = &part(&answer, "output")["resource"];
    assert_eq!(bundle["resourceType"], "Bundle");
    assert!(bundle["entry"].as_array().unwrap().iter().any(|e| e["resource"]["priority"] == "asap"));
    let issues = part(&answer, "report")["resource"]["issue"].as_array().unwrap();
    assert!(issues.iter().any(|one| one["diagnostics"] == "ZXX[1]-1[1].1.1"), "{issues:?}");
    let unmapped = total(&answer, "leaves") - total(&answer, "mapped");
    assert_eq!(issues.len() as u64, unmapped);
    let named = json_of(&post(&site, "?map=ref-i12&to=fhir", HL7V2, REFERRAL).await);
    assert_eq!(part(&named, "output"), part(&answer, "output"));
}

#[tokio::test]
async fn an_edited_bundle_is_written_onto_its_original_or_as_a_new_message() {
    let site = site().await;
    let answer = json_of(&post(&site, "", HL7V2, REFERRAL).await);
    let bundle = part(&answer, "output")["resource"].to_string().replace("1990-01-01", "1990-01-02");
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let call = json!({"resourceType": "Parameters", "parameter": [
        {"name": "input", "resource": bundle},
        {"name": "original", "resource": {"resourceType": "Binary", "contentType": HL7V2, "data": STANDARD.encode(REFERRAL)}},
    ]});
    let answer = json_of(&post(&site, "", "application/fhir+json", call.to_string()).await);
    let written = &part(&answer, "output")["resource"];
    assert_eq!(written["contentType"], HL7V2);
    let bytes = STANDARD.decode(written["data"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), REFERRAL.replace("|19900101|", "|19900102|"));

    let new = json_of(&post(&site, "?map=ref-i12", "application/fhir+json", bundle.to_string()).await);
    let bytes = STANDARD.decode(part(&new, "output")["resource"]["data"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("|19900102|"));
    let unnamed = post(&site, "", "application/fhir+json", bundle.to_string()).await;
    assert_eq!(unnamed.status, 400, "{}", unnamed.text);
}

#[tokio::test]
async fn tables_and_json_come_in_their_own_media_types_and_character_sets() {
    let site = site().await;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/fi/samples");
    let table = std::fs::read(samples.join("tilaus.csv")).unwrap();
    let answer = json_of(&post(&site, "", "text/csv; charset=windows-1252", table).await);
    assert!(total(&answer, "mapped") > 0);
    let document = std::fs::read(samples.join("lahete.json")).unwrap();
    let answer = json_of(&post(&site, "", "application/json", document).await);
    assert_eq!(part(&answer, "output")["resource"]["resourceType"], "Bundle");
}

#[tokio::test]
async fn what_is_not_converted_is_told_by_the_status_and_the_place() {
    let site = site().await;
    for (media, body) in [("application/json", "{\"a\":1}"), ("image/png", "x"), ("text/csv", "a;b\r\n1;2\r\n")] {
        let answer = post(&site, "", media, body).await;
        assert_eq!(answer.status, 415, "{media}: {}", answer.text);
    }
    let broken = post(&site, "", "application/json", "{\"a\":").await;
    assert_eq!(broken.status, 400, "{}", broken.text);

    let answer = json_of(&post(&site, "", HL7V2, REFERRAL).await);
    let bundle = part(&answer, "output")["resource"].to_string().replace("\"requested\"", "\"draft\"");
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let call = json!({"resourceType": "Parameters", "parameter": [
        {"name": "input", "resource": bundle},
        {"name": "original", "resource": {"resourceType": "Binary", "contentType": HL7V2, "data": STANDARD.encode(REFERRAL)}},
    ]});
    let refused = post(&site, "", "application/fhir+json", call.to_string()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains(".resource.status"), "{}", refused.text);

    for (query, status) in [("?map=none", 400), ("?provider=none", 400), ("?to=pdf", 400), ("?other=1", 400)] {
        assert_eq!(post(&site, query, HL7V2, REFERRAL).await.status, status, "{query}");
    }
    let reader =
        site.bearing(&reader_secret()).post(site.url("/$silta-convert")).header("content-type", HL7V2).body(REFERRAL);
    assert_eq!(Answer::to(reader).await.status, 403);
}
