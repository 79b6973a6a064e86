//! C-CDA by the maps for Care Plan and Referral Note: the published fragments in a document around them, versions of changed
//! documents, and the rules of the documents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits as FhirLimits};
use silta_engine::mapping::{Context, Disposition, Maps};
use silta_engine::native::{Limits, NodeId, Syntax, SyntaxError, Tree};
use silta_engine::native_rules::xml;
use silta_engine::validation::{Severity, Validator};

use crate::support::data;

fn context() -> Context {
    let mut context = Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret");
    context.zone = Some(jiff::tz::TimeZone::get("Europe/Helsinki").unwrap());
    context
}

fn parse(text: &str) -> Result<Tree, SyntaxError> {
    Syntax::Xml.parse(text.as_bytes().to_vec(), &Limits::default())
}

const HEADER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:v3="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">
<templateId root="TEMPLATE"/><id root="1.2.246.10.1" extension="1"/><code code="52521-2" codeSystem="2.16.840.1.113883.6.1"/>
<title>Shell</title><effectiveTime value="20250101"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>"#;
const PATIENT: &str =
    r#"<recordTarget><patientRole><id root="1.2.246.10.2" extension="2"/></patientRole></recordTarget>"#;
const AUTHOR: &str = r#"<author><time value="20250101"/><assignedAuthor><id root="1.2.246.10.3" extension="3"/></assignedAuthor></author>"#;
const CUSTODIAN: &str = r#"<custodian><assignedCustodian><representedCustodianOrganization><id root="1.2.246.10.4"/><name>Shell</name></representedCustodianOrganization></assignedCustodian></custodian>"#;

/// What a fragment is put into, by its first element: what comes before and after it, in the header or in the body. A
/// participation of an entry stands in an entry, one of the header in the header: by what it holds.
fn place(name: &str, text: &str) -> (bool, &'static str, &'static str) {
    const SECTION: (&str, &str) = (
        "<component><section><code code=\"1\" codeSystem=\"1.2.3\"/><title>t</title><text>t</text>",
        "</section></component>",
    );
    const ENTRY: (&str, &str) = (
        "<component><section><code code=\"1\" codeSystem=\"1.2.3\"/><title>t</title><text>t</text><entry>",
        "</entry></section></component>",
    );
    const ACT: (&str, &str) = (
        "<component><section><code code=\"1\" codeSystem=\"1.2.3\"/><title>t</title><text>t</text><entry><act classCode=\"ACT\" moodCode=\"INT\"><code code=\"1\" codeSystem=\"1.2.3\"/>",
        "</act></entry></section></component>",
    );
    let body = |of: (&'static str, &'static str)| (false, of.0, of.1);
    let in_act = |before: &'static str, after: &'static str| (false, before, after);
    match name {
        "section" => (false, "<component>", "</component>"),
        "entry" => body(SECTION),
        "component" if text.contains("<section") => (false, "", ""),
        "component" => in_act(
            "<component><section><title>t</title><text>t</text><entry><organizer classCode=\"CLUSTER\" moodCode=\"EVN\"><statusCode code=\"completed\"/>",
            "</organizer></entry></section></component>",
        ),
        "act"
        | "observation"
        | "procedure"
        | "organizer"
        | "encounter"
        | "substanceAdministration"
        | "supply"
        | "observationMedia"
        | "regionOfInterest" => body(ENTRY),
        "entryRelationship" => body(ACT),
        "participant" if text.contains("participantRole") => body(ACT),
        "performer" if !text.contains("functionCode") && text.contains("20.22.4") => body(ACT),
        "author" if text.contains("20.22.4.119") || text.contains("20.22.5.6") => body(ACT),
        "participantRole" => in_act(
            "<component><section><title>t</title><text>t</text><entry><act classCode=\"ACT\" moodCode=\"INT\"><code code=\"1\" codeSystem=\"1.2.3\"/><participant typeCode=\"LOC\">",
            "</participant></act></entry></section></component>",
        ),
        "manufacturedProduct" => in_act(
            "<component><section><title>t</title><text>t</text><entry><substanceAdministration classCode=\"SBADM\" moodCode=\"EVN\"><statusCode code=\"completed\"/><consumable>",
            "</consumable></substanceAdministration></entry></section></component>",
        ),
        "externalDocument" => in_act(
            "<component><section><title>t</title><text>t</text><entry><act classCode=\"ACT\" moodCode=\"INT\"><code code=\"1\" codeSystem=\"1.2.3\"/><reference typeCode=\"REFR\">",
            "</reference></act></entry></section></component>",
        ),
        "criterion" => in_act(
            "<component><section><title>t</title><text>t</text><entry><act classCode=\"ACT\" moodCode=\"INT\"><code code=\"1\" codeSystem=\"1.2.3\"/><precondition>",
            "</precondition></act></entry></section></component>",
        ),
        "relatedSubject" => {
            (false, "<component><section><title>t</title><text>t</text><subject>", "</subject></section></component>")
        }
        "addr" => (
            true,
            "<recordTarget><patientRole><id root=\"1.2.246.10.2\" extension=\"2\"/>",
            "</patientRole></recordTarget>",
        ),
        "assignedAuthor" => (true, "<author><time value=\"20250101\"/>", "</author>"),
        "performer" => {
            (true, "<documentationOf><serviceEvent classCode=\"PCPR\">", "</serviceEvent></documentationOf>")
        }
        "serviceEvent" => (true, "<documentationOf>", "</documentationOf>"),
        "encounterParticipant" => {
            (true, "<componentOf><encompassingEncounter>", "</encompassingEncounter></componentOf>")
        }
        "signatureText" => {
            (true, "<authenticator><time value=\"20250101\"/><signatureCode code=\"S\"/>", "</authenticator>")
        }
        _ => (true, "", ""),
    }
}

/// A fragment without what stands before its first element, and that element's local name.
fn bare(text: &str) -> (&str, String) {
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    while let Some(after) = rest.strip_prefix("<?").and_then(|r| r.split_once("?>")).map(|(_, after)| after) {
        rest = after.trim_start();
    }
    let mut at = rest;
    while let Some(after) = at.strip_prefix("<!--").and_then(|r| r.split_once("-->")).map(|(_, after)| after) {
        at = after.trim_start();
    }
    let name = at.trim_start_matches('<');
    let name = &name[..name.find(|c: char| !(c.is_alphanumeric() || c == ':')).unwrap_or(name.len())];
    (rest, name.rsplit(':').next().unwrap().to_owned())
}

fn sections_apart(fragment: &str) -> String {
    let mut text = String::new();
    let mut rest = fragment;
    while let Some((before, after)) = rest.split_once("</section>") {
        text.push_str(before);
        text.push_str("</section>");
        if after.trim_start().starts_with("<section") {
            text.push_str("</component><component>");
        }
        rest = after;
    }
    text + rest
}

/// The document, and where the fragment is in it.
fn shell(fragment: &str, template: &str) -> (String, std::ops::Range<usize>) {
    let (fragment, name) = bare(fragment);
    let mut text = HEADER.replace("TEMPLATE", template);
    let mut range = 0..0;
    if name == "ClinicalDocument" {
        let open = fragment.find("<ClinicalDocument").unwrap() + "<ClinicalDocument".len();
        let end = open + fragment[open..].find('>').unwrap();
        let mut declared = String::new();
        for (prefix, uri) in [
            ("xmlns=", "urn:hl7-org:v3"),
            ("xmlns:xsi=", "http://www.w3.org/2001/XMLSchema-instance"),
            ("xmlns:sdtc=", "urn:hl7-org:sdtc"),
        ] {
            if !fragment[open..end].contains(prefix) {
                declared.push_str(&format!(" {prefix}\"{uri}\""));
            }
        }
        let text = format!("{}{declared}{}", &fragment[..open], &fragment[open..]);
        let range = 0..text.len();
        return (text, range);
    }
    let (header, before, after) = place(&name, fragment);
    // Several sections stand in a component each.
    let apart;
    let fragment = if name == "section" {
        apart = sections_apart(fragment);
        apart.as_str()
    } else {
        fragment
    };
    let mut put = |text: &mut String| {
        text.push_str(before);
        let from = text.len();
        text.push_str(fragment);
        range = from..text.len();
        text.push_str(after);
    };
    let replaced = |part: &str| header && format!("{before}{fragment}").contains(&format!("<{part}>"));
    for (part, own) in [("recordTarget", PATIENT), ("author", AUTHOR), ("custodian", CUSTODIAN)] {
        if !replaced(part) {
            text.push_str(own);
        }
    }
    if header {
        put(&mut text);
    }
    text.push_str("<component><structuredBody>");
    if !header {
        put(&mut text);
    }
    text.push_str("</structuredBody></component></ClinicalDocument>\n");
    (text, range)
}

/// Templates that no Care Plan and no Referral Note can contain: of notes of other kinds, and of images.
const ELSEWHERE: [&str; 34] = [
    "Hospital",
    "Discharge",
    "Admission",
    "Operative",
    "Preoperative",
    "Postoperative",
    "Postprocedure",
    "Anesthesia",
    "Complications",
    "Surgical",
    "Surgery",
    "Procedure Description",
    "Procedure Disposition",
    "Procedure Estimated",
    "Procedure Findings",
    "Procedure Implants",
    "Procedure Indications",
    "Procedure Specimens",
    "Planned Procedure Section",
    "Diagnostic Imaging",
    "DICOM",
    "Findings Section (DIR)",
    "Fetus",
    "Physician",
    "Boundary",
    "Purpose of Reference",
    "Quantity Measurement",
    "Referenced Frames",
    "SOP Instance",
    "Series Act",
    "Study Act",
    "Unstructured",
    "Encounters",
    "US Realm Header for Patient Generated",
];

/// What is wrong in the fragments themselves: an end before its beginning, a section with nothing in it, a vital sign that
/// is not said to be one.
const SENDERS: [&str; 3] = ["start <= end", "text.exists() or entry.exists()", "category"];

#[derive(Default)]
struct Figures {
    leaves: usize,
    conveyed: usize,
    kept: usize,
}

#[test]
fn published_fragments_become_valid_resources_and_are_written_back_byte_for_byte() {
    let Some(fragments) = data::ccda_fragments() else { return };
    let maps = Maps::embedded(Model::r4());
    let validator = Validator::built_in();
    let (mut malformed, mut refused, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut by_template: BTreeMap<String, Figures> = BTreeMap::new();
    let mut read = 0;
    for (name, bytes) in &fragments {
        let text = String::from_utf8_lossy(bytes);
        let care = name.contains("Care Plan (V2)");
        let (map, template) = if care {
            ("ccda-care-plan", "2.16.840.1.113883.10.20.22.1.15")
        } else {
            ("ccda-referral-note", "2.16.840.1.113883.10.20.22.1.14")
        };
        let (document, range) = shell(&text, template);
        let tree = match parse(&document) {
            Ok(tree) => tree,
            Err(error) => {
                assert!(error.location().contains("line "), "{name}: {error}");
                malformed.push(name.clone());
                continue;
            }
        };
        let map = maps.named(map).unwrap();
        let got = match map.get(&tree, &context()) {
            Ok(got) => got,
            Err(refusals) => {
                assert!(refusals.items.iter().all(|r| !r.path.is_empty() && r.rule.is_some()), "{name}: {refusals}");
                refused.push(format!("{name}: {refusals}"));
                continue;
            }
        };
        read += 1;
        let report = got.report(&tree);
        let sum = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
        assert_eq!((sum, report.leaves), (report.leaves, tree.leaf_count()), "{name}");
        let written = map.put_through(got.document(), &tree, &context()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(written.bytes == tree.bytes(), "{name} is not written back as it was");
        // Of a document whose header is left out no whole Composition can come; its header is not judged.
        let partial = xml::clinical_document(&tree)
            .iter()
            .any(|f| f.rule == xml::XmlRule::Missing && f.path == "/ClinicalDocument[1]");
        let findings = if partial { Vec::new() } else { validator.validate(got.document(), &[]) };
        for finding in findings.iter().filter(|f| f.severity == Severity::Error) {
            let told = format!("{}: {}", finding.path(got.document()), finding.text(got.document()));
            if !SENDERS.iter().any(|senders| told.contains(senders)) {
                wrong.push(format!("{name}: {told}"));
            }
        }
        let folder = name.rsplit('/').nth(1).unwrap_or(name).to_owned();
        let figures = by_template.entry(folder).or_default();
        for (leaf, item) in (0_u32..).zip(&report.items) {
            let node: NodeId = tree.leaf_node(leaf).unwrap();
            if !range.contains(&tree.span(node).start) {
                continue;
            }
            // What an example leaves out is nothing that it says.
            if tree.text(node).is_some_and(|text| text.trim().trim_matches('.').is_empty()) {
                continue;
            }
            figures.leaves += 1;
            let conveyed = matches!(item.disposition, Disposition::Mapped | Disposition::Approximated);
            figures.conveyed += usize::from(conveyed);
            figures.kept += usize::from(conveyed || item.disposition == Disposition::Residue);
            if std::env::var_os("SILTA_CCDA_KEPT").is_some() && !conveyed {
                println!("KEPT {name} {} {:?}", item.path, item.reason);
            }
        }
    }
    let (mut all, mut measured) = (Figures::default(), Figures::default());
    for (template, figures) in &by_template {
        let share = |part: usize| 100.0 * part as f64 / figures.leaves.max(1) as f64;
        let elsewhere = ELSEWHERE.iter().any(|other| template.starts_with(other));
        println!(
            "{:5} leaves {:5.1} % conveyed {:5.1} % kept  {template}{}",
            figures.leaves,
            share(figures.conveyed),
            share(figures.kept),
            if elsewhere { " (of other documents)" } else { "" }
        );
        let mut sums = vec![&mut all];
        if !elsewhere {
            sums.push(&mut measured);
        }
        for sum in sums {
            sum.leaves += figures.leaves;
            sum.conveyed += figures.conveyed;
            sum.kept += figures.kept;
        }
    }
    let share = |part: usize, of: &Figures| part as f64 / of.leaves as f64;
    println!("{} fragments, {read} read, {} leaves", fragments.len(), all.leaves);
    println!("all: {:.1} % conveyed, {:.2} % kept", 100.0 * share(all.conveyed, &all), 100.0 * share(all.kept, &all));
    println!(
        "of Care Plan and Referral Note: {:.1} % conveyed of {} leaves",
        100.0 * share(measured.conveyed, &measured),
        measured.leaves
    );
    for one in &refused {
        println!("refused: {one}");
    }
    for one in &wrong {
        println!("wrong: {one}");
    }
    assert_eq!(malformed.len(), 1, "{malformed:?}");
    assert!(malformed[0].contains("Basic Occupation Observation"), "{malformed:?}");
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(share(all.kept, &all) >= 0.99);
    assert!(share(measured.conveyed, &measured) >= 0.90);
}

fn golden(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// A document with a text of its Bundle replaced, written back.
fn edited(original: &str, from: &str, to: &str) -> (String, silta_engine::mapping::Report) {
    let maps = Maps::embedded(Model::r4());
    let tree = parse(original).unwrap();
    let map = maps.find(&tree).unwrap();
    let got = map.get(&tree, &context()).unwrap();
    let json = got.document().json();
    assert!(json.contains(from), "{json}");
    let wanted = json.replacen(from, to, 1).into_bytes();
    let wanted = Document::from_json(Model::r4(), wanted, &FhirLimits::default()).unwrap();
    let written = map.put(&wanted, &tree, &context()).unwrap();
    (String::from_utf8(written.bytes).unwrap(), written.report)
}

#[test]
fn a_changed_document_is_the_next_version_and_no_one_has_signed_it() {
    let original = golden("ccda-care-plan/oxygen/native.xml");
    let (written, report) = edited(&original, "\"value\":92", "\"value\":94");
    assert!(written.contains("<low value=\"94\" unit=\"%\"/>"), "{written}");
    assert!(written.contains("<versionNumber value=\"2\"/>"));
    assert!(written.contains("<setId root=\"004bb033-b948-4f4c-b5bf-a8dbd7d8dd40\"/>"));
    assert!(!written.contains("  <id root=\"db734647-fc99-424c-a864-7e3cda82e703\"/>\n  <code"));
    assert!(written.contains(
        "<relatedDocument typeCode=\"RPLC\"><parentDocument><id root=\"db734647-fc99-424c-a864-7e3cda82e703\"/>"
    ));
    assert!(!written.contains("legalAuthenticator"));
    // The section no longer shows what its goal was; the others are as they were.
    assert!(!written.contains("92 % or more"));
    assert!(written.contains("Elevate head of bed"));
    assert!(report.lost.iter().any(|lost| lost.path.ends_with("/section[1]/text[1]")), "{:?}", report.lost);
    // The same change again is the same document; a change of that one is the third.
    assert_eq!(edited(&original, "\"value\":92", "\"value\":94").0, written);
    let (third, _) = edited(&written, "\"value\":94", "\"value\":95");
    assert!(third.contains("<versionNumber value=\"3\"/>"));
    assert_eq!(third.matches("<relatedDocument").count(), 1, "{third}");
    assert_eq!(xml::clinical_document(&parse(&third).unwrap()), Vec::new());
}

#[test]
fn a_narrative_that_was_changed_with_its_entries_is_the_one_that_is_written() {
    let original = golden("ccda-care-plan/oxygen/native.xml");
    let (written, _) = edited(&original, "92 % or more", "<b>94 %</b> or more");
    assert!(written.contains("<td><content styleCode=\"Bold\">94 %</content> or more</td>"), "{written}");
}

#[test]
fn documents_written_to_the_templates_are_sound_and_what_is_missing_is_named() {
    for document in ["ccda-care-plan/oxygen/native.xml", "ccda-referral-note/keuhkot/native.xml"] {
        assert_eq!(xml::clinical_document(&parse(&golden(document)).unwrap()), Vec::new(), "{document}");
    }
    let original = golden("ccda-care-plan/oxygen/native.xml");
    let named = |text: &str| -> Vec<String> {
        let found = xml::clinical_document(&parse(text).unwrap());
        found.iter().map(|f| format!("{} {}", f.rule.name(), f.expected)).collect()
    };
    let without = original.replace("2.16.840.1.113883.10.20.22.2.60", "2.16.840.1.113883.10.20.22.2.99");
    assert_eq!(named(&without), ["cda-section a Goals Section (2.16.840.1.113883.10.20.22.2.60)"]);
    let without = original
        .replace("  <languageCode code=\"en-US\"/>\n", "")
        .replace("  <confidentialityCode code=\"N\" codeSystem=\"2.16.840.1.113883.5.25\"/>\n", "");
    assert_eq!(named(&without), ["cda-missing confidentialityCode in it"]);
    let wrong = original.replace("<birthTime value=\"19450501\"/>", "<birthTime value=\"1945-05-01\"/>");
    assert_eq!(named(&wrong).len(), 1, "{:?}", named(&wrong));
    let wrong = original.replace("xsi:type=\"IVL_PQ\"", "xsi:type=\"IVL_XX\"");
    assert!(named(&wrong)[0].starts_with("cda-type one of CD, CE"), "{:?}", named(&wrong));
    let turned = original.replace(
        "<time value=\"20250920170000+0300\"/>\n    <signatureCode code=\"S\"/>",
        "<signatureCode code=\"S\"/>\n    <time value=\"20250920170000+0300\"/>",
    );
    assert_eq!(named(&turned), ["cda-order it before signatureCode"]);
}

/// A document of a vendor, in the ways in which others would write the same one.
fn written_otherwise(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let one_line: String = text.lines().map(str::trim_start).collect::<Vec<_>>().join(" ");
    let latin = text.replace("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"").replace("Patricia", "P\u{e4}ivi");
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    vec![
        ("as it is", text.as_bytes().to_vec()),
        ("with a BOM", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("with lines of Windows", text.replace('\n', "\r\n").into_bytes()),
        ("in one line", one_line.into_bytes()),
        ("with single quotes", text.replace(" code=\"active\"", " code='active'").into_bytes()),
        ("with a comment in every entry", text.replace("<entry>", "<entry><!-- vendor -->").into_bytes()),
        ("with text as CDATA", text.replace("<title>Care Plan<", "<title><![CDATA[Care Plan]]><").into_bytes()),
        ("in ISO 8859-1", latin),
    ]
}

#[test]
fn a_vendors_document_is_read_in_whichever_way_it_is_written() {
    let maps = Maps::embedded(Model::r4());
    let validator = Validator::built_in();
    let original = golden("ccda-care-plan/vendor/native.xml");
    let mut first = None;
    for (way, bytes) in written_otherwise(&original) {
        let tree = Syntax::Xml.parse(bytes, &Limits::default()).unwrap_or_else(|e| panic!("{way}: {e}"));
        let map = maps.find(&tree).unwrap();
        let got = map.get(&tree, &context()).unwrap_or_else(|e| panic!("{way}: {e}"));
        let report = got.report(&tree);
        assert!(report.conveyed >= 0.9 && report.kept >= 0.99, "{way}: {} {}", report.conveyed, report.kept);
        let written = map.put_through(got.document(), &tree, &context()).unwrap_or_else(|e| panic!("{way}: {e}"));
        assert!(written.bytes == tree.bytes(), "{way}: it is not written back as it was");
        let findings = validator.validate(got.document(), &[]);
        let wrong: Vec<String> = findings
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .map(|f| format!("{}: {}", f.path(got.document()), f.text(got.document())))
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "{way}");
        let resources = |name: &str| {
            got.document()
                .root()
                .named("entry")
                .filter_map(|e| e.first("resource"))
                .filter(|r| r.type_name() == name)
                .count()
        };
        let kinds =
            ["CarePlan", "Goal", "ServiceRequest", "MedicationRequest", "DeviceRequest", "Procedure", "Encounter"];
        let counts = kinds.map(resources);
        assert!(counts.iter().all(|count| *count > 0), "{way}: {counts:?}");
        assert_eq!(counts, *first.get_or_insert(counts), "{way}");
    }
}

#[test]
fn what_was_not_done_and_what_is_not_so_is_no_fact_of_the_patient() {
    let maps = Maps::embedded(Model::r4());
    let tree = parse(&golden("ccda-care-plan/vendor/native.xml")).unwrap();
    let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
    let of = |name: &str| -> Vec<String> {
        let all = got.document().root().named("entry").filter_map(|e| e.first("resource"));
        all.filter(|r| r.type_name() == name).map(|r| r.raw().to_owned()).collect()
    };
    let done = of("Procedure");
    assert!(done.iter().all(|one| one.contains("\"status\":\"not-done\"")), "{done:?}");
    let negated: Vec<String> = of("Observation").into_iter().filter(|one| one.contains("29308-4")).collect();
    assert!(negated.len() == 1 && negated[0].contains("\"modifierExtension\""), "{negated:?}");
    // What a relative had is the relative's.
    let tree = parse(&golden("ccda-referral-note/family/native.xml")).unwrap();
    let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
    let all: Vec<_> = got.document().root().named("entry").filter_map(|e| e.first("resource")).collect();
    let says = |name: &str| {
        let of: Vec<_> = all.iter().filter(|r| r.raw().contains("22298006")).map(|r| r.type_name()).collect();
        assert_eq!(of, [name]);
    };
    says("FamilyMemberHistory");
    let referral = all.iter().find(|r| r.type_name() == "ServiceRequest").unwrap();
    assert_eq!((referral.text_at("status"), referral.text_at("priority")), (Some("on-hold"), Some("urgent")));
}

#[test]
fn a_clinical_document_of_another_type_is_refused_with_the_types_that_are_read() {
    let maps = Maps::embedded(Model::r4());
    for other in ["2.16.840.1.113883.10.20.22.1.2", "2.16.840.1.113883.10.20.22.1.8"] {
        let text = golden("ccda-care-plan/vendor/native.xml").replace("2.16.840.1.113883.10.20.22.1.15", other);
        let error = maps.find(&parse(&text).unwrap()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("2.16.840.1.113883.10.20.22.1.14") && told.contains("20.22.1.15"), "{told}");
        assert!(!told.contains("ADT^A01"), "{told}");
    }
}

/// The resources of a type that a document becomes.
fn resources(native: &str, kind: &str) -> Vec<serde_json::Value> {
    let maps = Maps::embedded(Model::r4());
    let tree = parse(native).unwrap();
    let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
    let bundle: serde_json::Value = serde_json::from_str(got.document().json()).unwrap();
    let all = bundle["entry"].as_array().unwrap().iter().map(|e| e["resource"].clone());
    all.filter(|r| r["resourceType"] == kind).collect()
}

/// A referral note whose first act of referral, problems and so on are in a section of the shell.
fn note(entries: &str) -> String {
    let section = format!("<section><title>t</title><text>t</text>{entries}</section>");
    shell(&section, "2.16.840.1.113883.10.20.22.1.14").0
}

#[test]
fn what_is_said_not_to_be_known_identifies_no_one() {
    let known = r#"<id root="1.2.246.10.2" extension="2"/>"#;
    let document =
        note("").replace(known, r#"<id nullFlavor="UNK" root="2.16.840.1.113883.4.1"/><id nullFlavor="NI"/>"#);
    let patient = &resources(&document, "Patient")[0];
    assert_eq!(patient["identifier"], serde_json::Value::Null, "{patient}");
    let kinds = patient["extension"].as_array().unwrap().iter().map(|e| e["valueIdentifier"]["system"].as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), [Some("http://hl7.org/fhir/sid/us-ssn"), None]);
    // Another person of whom as little is known is another.
    let name = |document: &str| {
        let maps = Maps::embedded(Model::r4());
        let tree = parse(document).unwrap();
        let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
        got.entries()[got.entry_named("patient").unwrap()].full_url.clone()
    };
    assert_ne!(name(&document), name(&document.replace("extension=\"1\"", "extension=\"other\"")));
}

#[test]
fn one_act_of_referral_is_one_request_with_its_reason() {
    let act = r#"<entry><act classCode="PCPR" moodCode="RQO"><templateId root="2.16.840.1.113883.10.20.22.4.140"/>
        <id root="1.2.246.10.9" extension="R1"/><code code="103696004" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>
        <entryRelationship typeCode="RSON"><observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.19"/>
        <id root="1.2.246.10.9" extension="I1"/><code code="404684003" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
        <value xsi:type="CD" code="29857009" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship></act></entry>"#;
    let requests = resources(&note(act), "ServiceRequest");
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0]["identifier"][0]["value"], "R1");
    assert_eq!(requests[0]["reasonReference"].as_array().unwrap().len(), 1);
    assert_eq!(resources(&note(act), "Condition")[0]["code"]["coding"][0]["code"], "29857009");
    // Without one the note is the request.
    let requests = resources(&note(""), "ServiceRequest");
    assert_eq!((requests.len(), &requests[0]["code"]["text"]), (1, &"Shell".into()));
}

#[test]
fn a_problem_is_active_where_its_list_is_concerned_with_it_and_it_has_not_ended() {
    let listed = |concern: &str, end: &str| {
        let problem = format!(
            r#"<entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3"/>
            <id root="1.2.246.10.9" extension="C1"/><code code="CONC" codeSystem="2.16.840.1.113883.5.6"/><statusCode code="{concern}"/>
            <effectiveTime><low value="2020"/></effectiveTime><entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
            <templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="1.2.246.10.9" extension="P1"/>
            <code code="55607006" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
            <effectiveTime><low value="2020"/>{end}</effectiveTime>
            <value xsi:type="CD" code="13645005" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship></act></entry>"#
        );
        resources(&note(&problem), "Condition")[0]["clinicalStatus"]["coding"][0]["code"].clone()
    };
    assert_eq!(listed("active", ""), "active");
    assert_eq!(listed("active", r#"<high value="2021"/>"#), "resolved");
    // A list that is concerned with it no more does not say how it ended.
    assert_eq!(listed("completed", ""), "inactive");
    assert_eq!(listed("suspended", ""), "inactive");
    assert_eq!(listed("aborted", r#"<high value="2021"/>"#), "resolved");
}
