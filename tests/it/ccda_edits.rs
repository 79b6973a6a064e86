//! Edits of C-CDA documents: what is written holds to the standard, and what a section shows is what its entries say.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use silta_engine::mapping::Written;
use silta_engine::native::{Limits, Syntax, Tree};
use silta_engine::native_rules::xml;

use crate::ccda_meaning::{AUTHOR, CARE_PLAN, INTERVENTIONS, bundle, context, document, read, wanted};

const GOALS: &str = "2.16.840.1.113883.10.20.22.2.60";
const NEW: &str = "urn:uuid:11111111-1111-4111-8111-111111111111";

fn parse(text: &str) -> Tree {
    Syntax::Xml.parse(text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn findings(text: &str) -> BTreeSet<String> {
    xml::clinical_document(&parse(text)).into_iter().map(|one| format!("{} {}", one.path, one.expected)).collect()
}

/// The document that an edit of a document's Bundle leads to.
fn edited(native: &str, edit: impl FnOnce(&mut Value)) -> (String, Written) {
    let (tree, map, got) = read(native);
    let mut bundle = bundle(&got);
    edit(&mut bundle);
    let written = map.put(&wanted(&bundle), &tree, &context()).unwrap();
    (String::from_utf8(written.bytes.clone()).unwrap(), written)
}

fn of<'b>(bundle: &'b mut Value, kind: &str, nth: usize) -> &'b mut Value {
    let entries = bundle["entry"].as_array_mut().unwrap();
    let mut all = entries.iter_mut().map(|entry| &mut entry["resource"]);
    all.by_ref().filter(|resource| resource["resourceType"] == kind).nth(nth).unwrap()
}

fn patient(bundle: &Value) -> Value {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().find(|e| e["resource"]["resourceType"] == "Patient").unwrap()["fullUrl"].clone()
}

fn goal(number: u8, inner: &str) -> String {
    format!(
        r##"<entry><observation classCode="OBS" moodCode="GOL"><id root="1.2.246.10.9" extension="G{number}"/>
        <code code="3141-{number}" codeSystem="2.16.840.1.113883.6.1" displayName="Weight {number}"/>
        <text><reference value="#g{number}"/></text><statusCode code="active"/>{inner}</observation></entry>"##
    )
}

/// Every reference into a narrative leads somewhere.
fn leads_somewhere(text: &str) {
    for reference in text.split("<reference value=\"#").skip(1) {
        let (id, _) = reference.split_once('"').unwrap();
        assert!(text.contains(&format!("ID=\"{id}\"")), "nothing is shown of {id}: {text}");
    }
}

#[test]
fn an_activity_without_anyone_who_asks_for_it_is_written_as_the_standard_has_it() {
    let native = document(CARE_PLAN, INTERVENTIONS, "");
    let (written, _) = edited(&native, |bundle| {
        let patient = patient(bundle);
        of(bundle, "CarePlan", 0)["activity"] = json!([{"reference": {"reference": NEW}}]);
        bundle["entry"].as_array_mut().unwrap().push(json!({"fullUrl": NEW, "resource": {
            "resourceType": "ServiceRequest", "status": "active", "intent": "order", "authoredOn": "2025-02-03",
            "subject": {"reference": patient}
        }}));
    });
    let author = r#"<author><time value="20250203"/><assignedAuthor nullFlavor="NI"><id nullFlavor="NI"/></assignedAuthor></author>"#;
    assert!(written.contains(author), "{written}");
    assert!(written.contains(r#"<code nullFlavor="NI"/>"#), "{written}");
    assert!(findings(&written).is_subset(&findings(&native)), "{:?}", findings(&written));
    // Who is known later is no longer said not to be.
    let (again, _) = edited(&written, |bundle| {
        of(bundle, "ServiceRequest", 0)["requester"] = json!({"reference": NEW});
        bundle["entry"].as_array_mut().unwrap().extend([
            json!({"fullUrl": NEW, "resource": {"resourceType": "PractitionerRole", "practitioner": {
                "reference": "urn:uuid:22222222-2222-4222-8222-222222222222"}}}),
            json!({"fullUrl": "urn:uuid:22222222-2222-4222-8222-222222222222", "resource": {"resourceType": "Practitioner",
                "identifier": [{"system": "urn:oid:1.2.246.10.3", "value": "8"}]}}),
        ]);
    });
    let author = r#"<assignedAuthor><id extension="8" root="1.2.246.10.3"/></assignedAuthor>"#;
    assert!(again.contains(author), "{again}");
}

#[test]
fn what_would_not_hold_to_the_standard_is_refused() {
    let native = document(CARE_PLAN, GOALS, &goal(1, ""));
    let (tree, map, got) = read(&native);
    let mut bundle = bundle(&got);
    let role = &mut of(&mut bundle, "Goal", 0)["extension"];
    role.as_array_mut().unwrap().push(json!({
        "url": "https://silta.example/fhir/cda/StructureDefinition/participant",
        "extension": [{"url": "https://silta.example/fhir/cda/StructureDefinition/typeCode", "valueCode": "NOBODY"}]
    }));
    let refused = map.put(&wanted(&bundle), &tree, &context()).unwrap_err();
    assert!(refused.items.iter().any(|item| item.path.ends_with("participant[1]/@typeCode")), "{refused}");
}

#[test]
fn only_what_a_narrative_shows_of_the_changed_entry_is_told_anew() {
    let rows = "<text>Weights<table><tbody><tr><td ID=\"g1\">first</td><td>active</td></tr>\
        <tr ID=\"r2\"><td><content ID=\"g2\">second</content></td><td>active</td></tr></tbody></table></text>";
    let native = document(CARE_PLAN, GOALS, &[goal(1, AUTHOR), goal(2, "")].concat()).replace("<text>t</text>", rows);
    let (written, _) = edited(&native, |bundle| of(bundle, "Goal", 1)["lifecycleStatus"] = json!("completed"));
    assert!(
        written.contains("<text>Weights<table><tbody><tr><td ID=\"g1\">first</td><td>active</td></tr>"),
        "{written}"
    );
    let told =
        "<tr ID=\"r2\"><td colspan=\"2\"><content ID=\"g2\">Goal: Weight 2: status completed</content></td></tr>";
    assert!(written.contains(told), "{written}");
    leads_somewhere(&written);
    assert!(findings(&written).is_subset(&findings(&native)), "{:?}", findings(&written));
    // A goal that goes takes its row along, and one that comes is told behind.
    let (written, _) = edited(&native, |bundle| {
        let goals = of(bundle, "CarePlan", 0)["goal"].as_array_mut().unwrap();
        let gone = goals.remove(1)["reference"].clone();
        bundle["entry"].as_array_mut().unwrap().retain(|entry| entry["fullUrl"] != gone);
    });
    assert!(!written.contains("second") && written.contains("first"), "{written}");
    leads_somewhere(&written);
    let (written, _) = edited(&native, |bundle| {
        let patient = patient(bundle);
        let goals = of(bundle, "CarePlan", 0)["goal"].as_array_mut().unwrap();
        goals.push(json!({"reference": NEW}));
        bundle["entry"].as_array_mut().unwrap().push(json!({"fullUrl": NEW, "resource": {
            "resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "garden again"},
            "target": [{"dueDate": "2025-09-01"}], "subject": {"reference": patient}
        }}));
    });
    assert!(
        written.contains("</table><paragraph>Goal: garden again: up to 2025-09-01; status active</paragraph>"),
        "{written}"
    );
    leads_somewhere(&written);
}

#[test]
fn a_narrative_that_does_not_tell_what_shows_what_is_told_anew_from_all_entries() {
    let native = document(CARE_PLAN, GOALS, &[goal(1, AUTHOR), goal(2, "")].concat()).replace(
        "<text>t</text>",
        "<text><paragraph ID=\"g1\">both <content ID=\"g2\">weights</content></paragraph></text>",
    );
    let (written, _) = edited(&native, |bundle| of(bundle, "Goal", 1)["lifecycleStatus"] = json!("completed"));
    let told = "<text><list><item><content ID=\"g1\">Goal: Weight 1: status active</content></item>\
        <item><content ID=\"g2\">Goal: Weight 2: status completed</content></item></list></text>";
    assert!(written.contains(told), "{written}");
    leads_somewhere(&written);
}

#[test]
fn who_only_what_is_gone_referred_to_goes_along() {
    let native = document(CARE_PLAN, GOALS, &[goal(1, ""), goal(2, AUTHOR)].concat());
    let (written, _) = edited(&native, |bundle| {
        let goals = of(bundle, "CarePlan", 0)["goal"].as_array_mut().unwrap();
        let gone = goals.remove(1)["reference"].clone();
        bundle["entry"].as_array_mut().unwrap().retain(|entry| entry["fullUrl"] != gone);
    });
    assert!(!written.contains("Laine"), "{written}");
}

#[test]
fn structures_states_and_narratives_are_judged() {
    let native = document(CARE_PLAN, GOALS, &goal(1, ""));
    let known = findings(&native);
    let told = |from: &str, to: &str| -> Vec<String> {
        assert!(native.contains(from), "{from}");
        findings(&native.replace(from, to)).difference(&known).cloned().collect()
    };
    for (from, to) in [
        ("classCode=\"OBS\"", "classCode=\"OBZ\""),
        ("moodCode=\"GOL\"", "moodCode=\"GOAL\""),
        ("statusCode code=\"active\"", "statusCode code=\"aktiv\""),
        ("<text>t</text>", "<text><div>t</div></text>"),
        ("<text>t</text>", "<text><content ID=\"a\">t</content><content ID=\"a\"/></text>"),
        ("root=\"1.2.246.10.9\"", "root=\"2.16.abc\""),
        (
            "<patientRole><id root=\"1.2.246.10.2\" extension=\"2\"/>",
            "<patientRole><id root=\"1.2.246.10.2\" extension=\"2\"/><addr use=\"WORK\"/>",
        ),
    ] {
        assert_eq!(told(from, to).len(), 1, "{from} → {to}: {:?}", told(from, to));
    }
    for (from, to) in [
        ("root=\"1.2.246.10.9\"", "root=\"db734647-fc99-424c-a864-7e3cda82e703\""),
        (
            "<patientRole><id root=\"1.2.246.10.2\" extension=\"2\"/>",
            "<patientRole><id root=\"1.2.246.10.2\" extension=\"2\"/><addr use=\"HP PST\"/>",
        ),
        ("<text>t</text>", "<text><table><thead><tr><th ID=\"a\">t</th></tr></thead></table></text>"),
    ] {
        assert_eq!(told(from, to), Vec::<String>::new(), "{from} → {to}");
    }
    assert!(known.iter().any(|one| one.ends_with("typeId in it")), "{known:?}");
}
