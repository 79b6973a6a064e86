//! `$silta-convert` of each content type: read, written back onto its original, refused where it is wrong.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{HL7V2, REFERRAL, json_of, part, post, site, total};
use crate::support::gateway::Site;

fn file(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The document, the Bundle that it becomes, and the map that read it.
async fn bundle(site: &Site, query: &str, media: &str, document: &[u8]) -> (Value, String) {
    let answer = json_of(&post(site, query, media, document.to_vec()).await);
    assert!(total(&answer, "mapped") > 0, "{media}");
    let outcome = &part(&answer, "report")["resource"];
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let totals = part(&answer, "totals")["part"].as_array().unwrap();
    let map = totals.iter().find(|one| one["name"] == "map").unwrap()["valueString"].as_str().unwrap().to_owned();
    (part(&answer, "output")["resource"].clone(), map)
}

fn call(bundle: &Value, more: &[(&str, &str)], original: Option<(&str, &[u8])>) -> String {
    let mut parameters = vec![json!({"name": "input", "resource": bundle})];
    if let Some((media, bytes)) = original {
        let data = STANDARD.encode(bytes);
        parameters.push(json!({"name": "original",
            "resource": {"resourceType": "Binary", "contentType": media, "data": data}}));
    }
    parameters.extend(more.iter().map(|(name, value)| json!({"name": name, "valueString": value})));
    json!({"resourceType": "Parameters", "parameter": parameters}).to_string()
}

async fn written(site: &Site, call: String) -> (String, Vec<u8>) {
    let answer = json_of(&post(site, "", "application/fhir+json", call).await);
    let binary = part(&answer, "output")["resource"].clone();
    assert_eq!(binary["resourceType"], "Binary");
    let bytes = STANDARD.decode(binary["data"].as_str().unwrap()).unwrap();
    (binary["contentType"].as_str().unwrap().to_owned(), bytes)
}

#[tokio::test]
async fn a_document_of_each_content_type_is_known_by_itself_and_written_back_as_it_was() {
    let site = site().await;
    let cases: [(&str, Vec<u8>, &str); 9] = [
        (HL7V2, REFERRAL.into(), "ref-i12"),
        ("application/cda+xml", file("tests/golden/ccda-care-plan/oxygen/native.xml"), "ccda-care-plan"),
        ("application/json", file("profiles/fi/samples/lahete.json"), "fi-palvelupyynto"),
        ("text/csv; charset=windows-1252", file("profiles/fi/samples/tilaus.csv"), "fi-kotihoito-tilaus"),
        ("application/xml", file("profiles/se/samples/remiss.xml"), "se-remiss"),
        ("application/xml", file("profiles/dk/samples/henvisning.xml"), "dk-henvisning"),
        ("application/fhir+xml", file("tests/golden/r5-care-plan/xml/native.xml"), "r5-care-plan"),
        ("application/fhir+json", file("tests/golden/r5-care-plan/activities/native.json"), "r5-care-plan"),
        ("application/fhir+xml", file("tests/golden/stu3-referral-request/xml/native.xml"), "stu3-referral-request"),
    ];
    for (media, document, map) in &cases {
        let (resource, found) = bundle(&site, "", media, document).await;
        assert_eq!(&found, map, "{media}");
        let (back, bytes) = written(&site, call(&resource, &[], Some((media, document)))).await;
        assert_eq!(bytes, *document, "{map}");
        let essence = |media: &str| media.split(';').next().unwrap().to_owned();
        assert_eq!(essence(&back), essence(media), "{map}");
    }
}

#[tokio::test]
async fn fhir_of_another_version_is_known_by_its_media_type_or_by_the_map_that_is_named() {
    let site = site().await;
    let patient = br#"{"resourceType":"Patient","id":"1","gender":"male","animal":null}"#;
    let patient = String::from_utf8(patient.to_vec()).unwrap().replace(",\"animal\":null", "");
    let unsaid = post(&site, "", "application/fhir+json", patient.clone()).await;
    assert_eq!(unsaid.status, 415, "{}", unsaid.text);
    assert!(unsaid.text.contains("r5-patient") && unsaid.text.contains("stu3-patient"), "{}", unsaid.text);
    for (query, media, map) in [
        ("", "application/fhir+json; fhirVersion=5.0", "r5-patient"),
        ("", "application/fhir+json;fhirVersion=3.0", "stu3-patient"),
        ("?map=r5-patient", "application/fhir+json", "r5-patient"),
        ("?map=stu3-patient&to=fhir", "application/json", "stu3-patient"),
    ] {
        assert_eq!(bundle(&site, query, media, patient.as_bytes()).await.1, map);
    }
    let other = post(&site, "", "application/fhir+json; fhirVersion=6.0", patient).await;
    assert_eq!(other.status, 415, "{}", other.text);
}

#[tokio::test]
async fn an_edit_of_an_r5_care_plan_in_xml_touches_its_own_place_only() {
    let site = site().await;
    let document = file("tests/golden/r5-care-plan/xml/native.xml");
    let (mut resource, _) = bundle(&site, "", "application/fhir+xml", &document).await;
    resource["entry"][0]["resource"]["status"] = json!("revoked");
    let original = Some(("application/fhir+xml; fhirVersion=5.0", document.as_slice()));
    let (media, bytes) = written(&site, call(&resource, &[], original)).await;
    assert_eq!(media, "application/fhir+xml; fhirVersion=5.0");
    let expected = String::from_utf8(document).unwrap().replace("value='active'", "value='revoked'");
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[tokio::test]
async fn a_new_document_is_json_or_xml_as_is_asked() {
    let site = site().await;
    let (resource, _) = bundle(&site, "", "application/json", &file("profiles/dk/samples/henvisning.json")).await;
    let (media, bytes) = written(&site, call(&resource, &[("map", "dk-henvisning"), ("to", "native")], None)).await;
    assert_eq!((media.as_str(), bytes[0]), ("application/json", b'{'));
    let to_xml = [("map", "dk-henvisning"), ("to", "application/xml")];
    let (media, bytes) = written(&site, call(&resource, &to_xml, None)).await;
    assert_eq!(media, "application/xml");
    assert_eq!(bytes, file("profiles/dk/samples/henvisning.xml"));
    let plan = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": "Patient/1"}}}]});
    let to_r5 = [("map", "r5-care-plan"), ("to", "application/fhir+xml")];
    let (media, bytes) = written(&site, call(&plan, &to_r5, None)).await;
    assert_eq!(media, "application/fhir+xml; fhirVersion=5.0");
    assert!(String::from_utf8(bytes).unwrap().contains("<CarePlan xmlns=\"http://hl7.org/fhir\">"));
}

#[tokio::test]
async fn parameters_may_be_xml_and_their_names_stand_in_the_url_too() {
    let site = site().await;
    let data = STANDARD.encode(REFERRAL);
    let text = format!(
        "<Parameters xmlns=\"http://hl7.org/fhir\"><parameter><name value=\"input\"/><resource><Binary>\
         <contentType value=\"{HL7V2}\"/><data value=\"{data}\"/></Binary></resource></parameter>\
         <parameter><name value=\"map\"/><valueString value=\"ref-i12\"/></parameter></Parameters>"
    );
    for (query, media) in [("", "application/fhir+xml"), ("?to=fhir", "application/xml")] {
        let answer = json_of(&post(&site, query, media, text.clone()).await);
        assert_eq!(part(&answer, "output")["resource"]["resourceType"], "Bundle");
    }
}

#[tokio::test]
async fn bytes_that_are_no_document_are_refused_with_what_would_be_right() {
    let site = site().await;
    let wide = |text: &str| -> Vec<u8> {
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    };
    for (media, body) in [
        ("application/fhir+xml", wide("<CarePlan xmlns=\"http://hl7.org/fhir\"/>")),
        ("application/cda+xml", wide("<ClinicalDocument/>")),
        ("application/json", wide("{}")),
        (HL7V2, wide(REFERRAL)),
        ("text/csv", wide("a;b\r\n")),
    ] {
        let answer = post(&site, "", media, body).await;
        assert_eq!(answer.status, 400, "{media}: {}", answer.text);
        assert!(answer.text.contains("UTF-16"), "{media}: {}", answer.text);
    }
    for (media, body, place) in [
        ("application/cda+xml", "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id></ClinicalDocument>", "line 1"),
        ("application/fhir+xml; fhirVersion=5.0", "<CarePlan xmlns=\"http://hl7.org/fhir\">", "line 1"),
        (HL7V2, "PID|1", "segment 1"),
    ] {
        let answer = post(&site, "", media, body).await;
        assert_eq!(answer.status, 400, "{media}: {}", answer.text);
        assert!(answer.text.contains(place), "{media}: {}", answer.text);
    }
    for media in ["text/csv; charset=klingon", "application/pdf", "text/html"] {
        assert_eq!(post(&site, "", media, "a;b").await.status, 415, "{media}");
    }
    let nothing = post(&site, "", HL7V2, "").await;
    assert_eq!(nothing.status, 400, "{}", nothing.text);
    let event = REFERRAL.replace("REF^I12^REF_I12", "BAR^P01^BAR_P01");
    let unknown = post(&site, "", HL7V2, event).await;
    assert_eq!(unknown.status, 415, "{}", unknown.text);
    assert!(unknown.text.contains("REF^I12"), "the types that are known: {}", unknown.text);
}

#[tokio::test]
async fn who_is_unknown_or_sends_too_much_is_told_so() {
    let site = site().await;
    let stranger = site
        .bearing("nobody-knows-this-secret")
        .post(site.url("/$silta-convert"))
        .header("content-type", HL7V2)
        .body(REFERRAL);
    assert_eq!(crate::support::gateway::Answer::to(stranger).await.status, 401);
    let large = vec![b' '; 9 << 20];
    let answer = post(&site, "", "application/json", large).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
}
