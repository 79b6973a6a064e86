//! FHIR R5 and STU3 as R4 and back: the official examples of each version, as JSON and as XML.

mod bundles;
mod xml;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Context, Disposition, FhirVersion, Map, Maps};
use silta_engine::native::{self, Syntax, Tree};
use silta_engine::validation::{Severity, Validator};

use crate::support::data;

fn context() -> Context {
    Context::new("versions", Timestamp::from_second(1_763_000_000).unwrap(), b"versions")
}

fn tree(bytes: &[u8]) -> Tree {
    let syntax = if bytes.starts_with(b"<") { Syntax::Xml } else { Syntax::Json };
    syntax.parse(bytes.to_vec(), &native::Limits::default()).unwrap()
}

/// The map of each resource type of a version.
fn maps_of(version: FhirVersion) -> BTreeMap<&'static str, &'static str> {
    let all: &[(&str, &str)] = match version {
        FhirVersion::R5 => &[
            ("Patient", "r5-patient"),
            ("ServiceRequest", "r5-service-request"),
            ("CarePlan", "r5-care-plan"),
            ("Task", "r5-task"),
            ("CareTeam", "r5-care-team"),
            ("Goal", "r5-goal"),
            ("Bundle", "r5-bundle"),
        ],
        FhirVersion::Stu3 => &[
            ("Patient", "stu3-patient"),
            ("ReferralRequest", "stu3-referral-request"),
            ("ProcedureRequest", "stu3-procedure-request"),
            ("CarePlan", "stu3-care-plan"),
            ("Task", "stu3-task"),
            ("CareTeam", "stu3-care-team"),
            ("Goal", "stu3-goal"),
            ("Bundle", "stu3-bundle"),
        ],
    };
    all.iter().copied().collect()
}

/// What the examples came to.
#[derive(Default)]
struct Sum {
    examples: usize,
    leaves: u32,
    conveyed: u32,
    wrong: Vec<String>,
    findings: Vec<String>,
    /// Edits of documents in XML that were written, and those that were refused.
    edits: usize,
    refused: Vec<String>,
}

/// Every example of a version of the types that there are maps for: translated, written back, written anew.
fn examples(version: FhirVersion, variable: &str, known: &str) {
    let Some(files) = data::examples(variable) else { return };
    let maps = Maps::embedded(Model::r4());
    let by_type = maps_of(version);
    let validator = Validator::built_in();
    let mut sum = Sum::default();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((kind, _)) = name.split_once('-') else { continue };
        let Some(map) = by_type.get(kind) else { continue };
        let bytes = std::fs::read(&file).unwrap();
        if bytes.len() > native::Limits::default().bytes {
            continue;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
        // What stands under a name of a type may be something else.
        if value.get("resourceType").and_then(Value::as_str) != Some(kind) {
            continue;
        }
        let map = maps.named(map).unwrap();
        example(map, &name, &bytes, kind == "Bundle", &validator, &mut sum);
        in_xml(map, &name, &bytes, &mut sum);
    }
    let share = f64::from(sum.conveyed) / f64::from(sum.leaves);
    println!("{version:?}: {} examples, {} leaves, {:.2} % conveyed", sum.examples, sum.leaves, share * 100.0);
    println!("{} edits in XML, {} refused", sum.edits, sum.refused.len());
    println!("{}", sum.refused.join("\n"));
    assert!(sum.examples > 30, "the examples are all there");
    assert!(sum.edits > 100 && sum.refused.len() * 50 < sum.edits, "{} edits", sum.edits);
    assert!(share >= 0.9, "{share} of the leaves are conveyed");
    let known: Vec<&str> = known.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    let new: Vec<&String> = sum.findings.iter().filter(|f| !known.contains(&f.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|k| !sum.findings.iter().any(|f| f == **k)).collect();
    assert!(sum.wrong.is_empty(), "{} wrong:\n{}", sum.wrong.len(), sum.wrong.join("\n"));
    assert!(new.is_empty(), "errors that are not known:\n{new:#?}");
    assert!(gone.is_empty(), "known errors that are no more:\n{gone:#?}");
}

fn example(map: &Arc<Map>, name: &str, bytes: &[u8], many: bool, validator: &Validator, sum: &mut Sum) {
    let (cx, native) = (context(), tree(bytes));
    sum.examples += 1;
    let got = match map.get(&native, &cx) {
        Ok(got) => got,
        Err(refusals) => return sum.wrong.push(format!("{name}: {refusals}")),
    };
    let report = got.report(&native);
    let all = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
    if all != report.leaves || report.kept < 0.99 {
        sum.wrong.push(format!("{name}: {all} of {} leaves accounted for, {} kept", report.leaves, report.kept));
    }
    if !many {
        sum.leaves += report.leaves;
        sum.conveyed += report.mapped + report.approximated;
        if report.conveyed < 0.9 {
            let left = report.items.iter().filter(|i| i.disposition == Disposition::Residue).map(|i| &i.path);
            sum.wrong.push(format!("{name}: {} conveyed; not {:?}", report.conveyed, left.take(8).collect::<Vec<_>>()));
        }
    }
    match map.put_through(got.document(), &native, &cx) {
        Ok(written) if written.bytes == bytes => {}
        Ok(_) => sum.wrong.push(format!("{name}: GetPut wrote something else")),
        Err(refusals) => sum.wrong.push(format!("{name}: GetPut: {refusals}")),
    }
    match map.create(got.document(), &cx) {
        Ok(written) => {
            let again = tree(&written.bytes);
            let again = map.get(&again, &cx).unwrap();
            let (was, is) = (says(&parsed(got.document())), says(&parsed(again.document())));
            if was != is {
                sum.wrong.push(format!("{name}: created: {:?}", difference(&was, &is)));
            }
        }
        Err(refusals) => sum.wrong.push(format!("{name}: create: {refusals}")),
    }
    for finding in validator.validate(got.document(), &[]) {
        if finding.severity == Severity::Error {
            let document = got.document();
            let (path, rule) = (finding.path(document).to_string(), finding.rule_code(document).to_string());
            sum.findings.push(format!("{name} {path} {} {rule}", finding.issue.code()));
        }
    }
}

/// The same example as XML says the same, is written back byte for byte, and can be written anew.
fn in_xml(map: &Arc<Map>, name: &str, bytes: &[u8], sum: &mut Sum) {
    let mut cx = context();
    let text = xml::of(bytes);
    let got = map.get(&tree(bytes), &cx).unwrap();
    let written = tree(text.as_bytes());
    let again = match map.get(&written, &cx) {
        Ok(again) => again,
        Err(refusals) => return sum.wrong.push(format!("{name}: XML: {refusals}")),
    };
    let (was, is) = (says(&parsed(got.document())), says(&parsed(again.document())));
    if was != is {
        sum.wrong.push(format!("{name}: XML: {:?}", difference(&was, &is)));
    }
    let report = again.report(&written);
    let all = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
    if all != report.leaves || report.leaves != written.leaf_count() {
        sum.wrong.push(format!("{name}: XML: {all} of {} leaves accounted for", written.leaf_count()));
    }
    match map.put_through(again.document(), &written, &cx) {
        Ok(back) if back.bytes == text.as_bytes() => {}
        Ok(_) => sum.wrong.push(format!("{name}: XML: GetPut wrote something else")),
        Err(refusals) => sum.wrong.push(format!("{name}: XML: GetPut: {refusals}")),
    }
    cx.xml = true;
    match map.create(again.document(), &cx) {
        Ok(new) => {
            let is = says(&parsed(map.get(&tree(&new.bytes), &cx).unwrap().document()));
            if was != is {
                sum.wrong.push(format!("{name}: XML: created: {:?}", difference(&was, &is)));
            }
        }
        Err(refusals) => sum.wrong.push(format!("{name}: XML: create: {refusals}")),
    }
    // A number of more digits than these edits keep is an edit of its own.
    let whole = parsed(again.document()).to_string().into_bytes();
    let whole = Document::from_json(Model::r4(), whole, &Limits::default()).unwrap();
    let is_whole = map.put_through(&whole, &written, &cx).is_ok_and(|put| put.bytes == text.as_bytes());
    // Each text in turn: the edit is there, and nothing else is another.
    for (edited, most) in edits(&parsed(again.document())) {
        let document = Document::from_json(Model::r4(), edited.to_string().into_bytes(), &Limits::default()).unwrap();
        match map.put(&document, &written, &cx) {
            Ok(put) => {
                let is = says(&parsed(map.get(&tree(&put.bytes), &cx).unwrap().document()));
                let wanted = says(&edited);
                if is != wanted {
                    sum.wrong.push(format!("{name}: XML: PutGet: {:?}", difference(&wanted, &is)));
                }
                let touched = lines(text.as_bytes()).symmetric_difference(&lines(&put.bytes)).count();
                if is_whole && touched > most {
                    sum.wrong.push(format!("{name}: XML: an edit touched {touched} lines"));
                }
                sum.edits += 1;
            }
            Err(refusals) => sum.refused.push(format!("{name}: {refusals}")),
        }
    }
}

fn lines(bytes: &[u8]) -> std::collections::BTreeSet<String> {
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// The Bundle with a text changed, with a repetition taken out, and with two exchanged; and how many lines that may touch.
fn edits(bundle: &Value) -> Vec<(Value, usize)> {
    fn walk(value: &Value, path: String, texts: &mut Vec<String>, lists: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, inner) in members.iter().filter(|(n, _)| !matches!(n.as_str(), "contained" | "extension")) {
                    if matches!(name.as_str(), "display" | "text" | "description" | "title") && inner.is_string() {
                        texts.push(format!("{path}/{name}"));
                    }
                    walk(inner, format!("{path}/{name}"), texts, lists);
                }
            }
            Value::Array(items) => {
                if items.len() > 1 && items.iter().all(Value::is_object) && path.matches('/').count() > 3 {
                    lists.push(path.clone());
                }
                for (at, item) in items.iter().enumerate() {
                    walk(item, format!("{path}/{at}"), texts, lists);
                }
            }
            _ => {}
        }
    }
    let (mut texts, mut lists) = (Vec::new(), Vec::new());
    walk(bundle, String::new(), &mut texts, &mut lists);
    let mut all = Vec::new();
    for path in texts.iter().take(4) {
        let mut edited = bundle.clone();
        *edited.pointer_mut(path).unwrap() = json!("B & <ä> \"ü\"");
        all.push((edited, 2));
    }
    for path in lists.iter().take(4) {
        let mut edited = bundle.clone();
        edited.pointer_mut(path).unwrap().as_array_mut().unwrap().remove(0);
        all.push((edited, usize::MAX));
        let mut edited = bundle.clone();
        let list = edited.pointer_mut(path).unwrap().as_array_mut().unwrap();
        list.swap(0, 1);
        all.push((edited, usize::MAX));
    }
    all
}

fn parsed(document: &Document) -> Value {
    serde_json::from_str(document.json()).unwrap()
}

/// All that the resources of a Bundle say, whatever the order.
fn says(bundle: &Value) -> BTreeMap<(String, String), usize> {
    fn collect(value: &Value, path: &str, all: &mut BTreeMap<(String, String), usize>) {
        match value {
            Value::Object(members) => {
                for (name, inner) in members {
                    collect(inner, &format!("{path}.{name}"), all);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, path, all)),
            // A place in a list without a value says nothing of its own.
            Value::Null => {}
            other => *all.entry((path.to_owned(), other.to_string())).or_insert(0) += 1,
        }
    }
    let mut all = BTreeMap::new();
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        collect(&entry["resource"], "", &mut all);
    }
    all
}

type Says = BTreeMap<(String, String), usize>;

fn difference(a: &Says, b: &Says) -> Vec<String> {
    let mut all = Vec::new();
    for (key, count) in a {
        if b.get(key) != Some(count) {
            all.push(format!("- {} {}", key.0, key.1));
        }
    }
    for (key, count) in b {
        if a.get(key) != Some(count) {
            all.push(format!("+ {} {}", key.0, key.1));
        }
    }
    all.truncate(8);
    all
}

#[test]
fn the_official_r5_examples_go_over_and_back() {
    examples(FhirVersion::R5, "SILTA_R5_EXAMPLES", include_str!("../golden/validation/r5-examples.txt"));
}

#[test]
fn the_official_stu3_examples_go_over_and_back() {
    examples(FhirVersion::Stu3, "SILTA_STU3_EXAMPLES", include_str!("../golden/validation/stu3-examples.txt"));
}

#[test]
fn the_official_r4_examples_can_be_written_as_other_versions_and_read_again() {
    let Some(files) = data::r4_examples() else { return };
    let maps = Maps::embedded(Model::r4());
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let kind = value["resourceType"].as_str().unwrap_or_default().to_owned();
        let written_as: Vec<(&str, &str)> = FhirVersion::ALL.into_iter().flat_map(maps_of).collect();
        let as_is = |of: &str| match of {
            "ReferralRequest" | "ProcedureRequest" => "ServiceRequest".to_owned(),
            other => other.to_owned(),
        };
        for (_, map) in written_as.into_iter().filter(|(of, _)| *of != "Bundle" && as_is(of) == kind) {
            let map = maps.named(map).unwrap();
            count += 1;
            let bundle = json!({"resourceType": "Bundle", "type": "collection",
                "entry": [{"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": value}]});
            let document =
                Document::from_json(Model::r4(), bundle.to_string().into_bytes(), &Limits::default()).unwrap();
            let cx = context();
            match map.create(&document, &cx) {
                Ok(written) => {
                    let again = map.get(&tree(&written.bytes), &cx).unwrap();
                    let (was, is) = (says(&parsed(&document)), says(&parsed(again.document())));
                    if was != is {
                        wrong.push(format!("{} {name}: {:?}", map.name(), difference(&was, &is)));
                    }
                }
                Err(refusals) => wrong.push(format!("{} {name}: {refusals}", map.name())),
            }
        }
        // Nothing that is R4 is taken for another version.
        if bytes.len() <= native::Limits::default().bytes
            && let Ok(map) = maps.find(&tree(&bytes))
        {
            wrong.push(format!("{name} is taken for what {} reads", map.name()));
        }
    }
    println!("{count} written as other versions");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_resource_that_can_only_be_of_one_version_is_known_by_itself() {
    let maps = Maps::embedded(Model::r4());
    let found = |value: Value| maps.find(&tree(value.to_string().as_bytes())).map(|m| m.name().to_owned()).ok();
    let subject = json!({"reference": "Patient/1"});
    let plan = json!({"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": subject,
        "activity": [{"plannedActivityReference": {"reference": "Task/1"}}]});
    assert_eq!(found(plan).as_deref(), Some("r5-care-plan"));
    let referral =
        json!({"resourceType": "ReferralRequest", "status": "active", "intent": "order", "subject": subject});
    assert_eq!(found(referral).as_deref(), Some("stu3-referral-request"));
    let goal = json!({"resourceType": "Goal", "status": "on-target", "description": {"text": "x"}});
    assert_eq!(found(goal).as_deref(), Some("stu3-goal"));
    // What all versions have may be of each of them; what none has is of none.
    let patient = json!({"resourceType": "Patient", "gender": "male"});
    assert_eq!(found(patient), None);
    let typo = json!({"resourceType": "CarePlan", "activity": [{"plannedActivity": {"reference": "Task/1"}}]});
    assert_eq!(found(typo), None);
}

#[test]
fn a_map_says_where_the_elements_of_another_version_go() {
    let maps = Maps::embedded(Model::r4());
    let goes = |map: &str, path: &str| -> Vec<String> {
        maps.named(map).unwrap().explain(path).into_iter().map(|line| line.fhir).collect()
    };
    assert_eq!(goes("r5-task", "$.requestedPerformer"), ["task.performerType"]);
    assert_eq!(goes("r5-goal", "$.continuous"), ["goal.extension[…Goal.continuous]"]);
    assert_eq!(goes("r5-patient", "$.contact.gender"), ["patient.contact.gender"]);
    assert_eq!(goes("stu3-care-plan", "$.activity.detail.prohibited"), ["plan.activity.detail.doNotPerform"]);
    assert_eq!(goes("stu3-goal", "Goal.lifecycleStatus"), ["goal.lifecycleStatus"]);
}
