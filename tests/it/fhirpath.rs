//! FHIRPath: the official R4 suite, and the traps of the language.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use quick_xml::events::Event;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhirpath::{Context, Plan, Temporal, Value};

use crate::support::data;

/// One test of the suite.
#[derive(Debug, Default, Clone)]
struct Case {
    name: String,
    input: Option<String>,
    expression: String,
    invalid: Option<String>,
    strict: bool,
    predicate: bool,
    unordered: bool,
    /// Type and text.
    outputs: Vec<(Option<String>, String)>,
}

fn archive() -> Option<BTreeMap<String, Vec<u8>>> {
    let path = data::outside("SILTA_TEST_DATA")?.join("fhir-test-cases/r4-fhirpath-patch-examples.tgz");
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(name.trim_start_matches("./").to_owned(), content);
    }
    Some(files)
}

fn cases(suite: &str) -> Vec<Case> {
    let mut reader = quick_xml::Reader::from_str(suite);
    let mut cases = Vec::new();
    let mut open: Option<Case> = None;
    let mut text: Option<String> = None;
    let attribute = |element: &quick_xml::events::BytesStart<'_>, name: &str| {
        element.try_get_attribute(name).unwrap().map(|found| {
            let raw = found.value.to_string();
            quick_xml::escape::unescape(&raw).unwrap().into_owned()
        })
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return cases,
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "test" => {
                open = Some(Case {
                    name: attribute(&element, "name").unwrap_or_default(),
                    input: attribute(&element, "inputfile"),
                    predicate: attribute(&element, "predicate").as_deref() == Some("true"),
                    strict: attribute(&element, "checkOrderedFunctions").as_deref() == Some("true"),
                    unordered: attribute(&element, "ordered").as_deref() == Some("false"),
                    ..Case::default()
                });
            }
            Event::Start(element) if element.name().as_ref() == "expression" => {
                if let Some(case) = &mut open {
                    case.invalid = attribute(&element, "invalid");
                }
                text = Some(String::new());
            }
            Event::Start(element) if element.name().as_ref() == "output" => {
                if let Some(case) = &mut open {
                    case.outputs.push((attribute(&element, "type"), String::new()));
                }
                text = Some(String::new());
            }
            Event::Empty(element) if element.name().as_ref() == "output" => {
                if let Some(case) = &mut open {
                    case.outputs.push((attribute(&element, "type"), String::new()));
                }
            }
            Event::Text(piece) => {
                if let Some(text) = &mut text {
                    text.push_str(&piece);
                }
            }
            Event::GeneralRef(entity) => {
                if let Some(text) = &mut text {
                    text.push_str(&format!("&{};", &*entity));
                }
            }
            Event::End(element) => {
                let piece = text.take().map(|text| quick_xml::escape::unescape(&text).unwrap().into_owned());
                match element.name().as_ref() {
                    "expression" => open.as_mut().unwrap().expression = piece.unwrap(),
                    "output" => {
                        if let (Some(case), Some(piece)) = (&mut open, piece) {
                            case.outputs.last_mut().unwrap().1 = piece;
                        }
                    }
                    "test" => cases.extend(open.take()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn shown(value: &Value<'_>) -> (String, String) {
    let info = value.type_info();
    let name = if info.namespace == "System" && info.name != "Quantity" {
        let mut letters = info.name.chars();
        letters.next().unwrap().to_lowercase().to_string() + letters.as_str()
    } else {
        info.name
    };
    let text = value.to_text().map(|text| text.into_owned()).unwrap_or_default();
    let is_point = matches!(name.as_str(), "date" | "dateTime" | "time");
    let mark = if name == "time" { "@T" } else { "@" };
    (name, if is_point { format!("{mark}{text}") } else { text })
}

/// What is wrong with the result of a test; nothing when it is right.
fn run(case: &Case, document: Option<&Document>) -> Option<String> {
    let model = Model::r4();
    let on = document.and_then(|document| document.root().type_id());
    let plan = match Plan::compile(model, &case.expression, on) {
        Ok(plan) => plan,
        Err(error) if case.invalid.is_some() => {
            return error.to_string().is_empty().then(|| "no message".to_owned());
        }
        Err(error) => return Some(format!("does not compile: {error}")),
    };
    if case.strict && plan.check_strictly(on.unwrap()).is_err() {
        return case.invalid.is_none().then(|| "refused by the strict mode".to_owned());
    }
    let now = Temporal::date_time("2026-03-01T12:00:00.000+02:00");
    let empty = Document::from_json(model, br#"{"resourceType":"Basic"}"#.to_vec(), &Limits::default()).unwrap();
    let root = document.map_or_else(|| empty.root(), Document::root);
    let mut context = Context::of(root);
    context.now = now;
    if document.is_none() {
        context.focus = None;
    }
    let found = match plan.evaluate(&context) {
        Ok(found) => found,
        Err(error) => return case.invalid.is_none().then(|| format!("error: {error}")),
    };
    if case.invalid.is_some() {
        return Some(format!("gives {found:?}, expected an error"));
    }
    if case.predicate {
        let holds = plan.holds(&context).unwrap() == Some(true);
        let expected = case.outputs[0].1 == "true";
        return (holds != expected).then(|| format!("gives {holds}"));
    }
    let mut got: Vec<(String, String)> = found.iter().map(shown).collect();
    let mut expected: Vec<(Option<String>, String)> = case.outputs.clone();
    if case.unordered {
        got.sort();
        expected.sort();
    }
    let same = got.len() == expected.len()
        && got.iter().zip(&expected).all(|((name, text), (wanted, expected))| {
            wanted.as_ref().is_none_or(|wanted| wanted == name) && {
                // A decimal has no negative zero.
                text == expected || format!("@{text}") == *expected || format!("-{text}") == *expected && text == "0.0"
            }
        });
    (!same).then(|| format!("gives {got:?}, expected {expected:?}"))
}

#[test]
fn the_official_suite_passes() {
    let Some(files) = archive() else { return };
    let suite = files.iter().find(|(name, _)| name.ends_with("tests-fhir-r4.xml")).unwrap().1;
    let cases = cases(std::str::from_utf8(suite).unwrap());
    assert_eq!(cases.len(), 935, "the suite is all there");
    let mut documents: BTreeMap<String, Arc<Document>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let document = case.input.as_ref().map(|input| {
            Arc::clone(documents.entry(input.clone()).or_insert_with(|| {
                let content = files
                    .iter()
                    .find(|(name, _)| name.ends_with(&format!("/{input}")))
                    .unwrap_or_else(|| panic!("{input} is missing"))
                    .1
                    .clone();
                let read = if input.ends_with(".xml") { Document::from_xml } else { Document::from_json };
                read(Model::r4(), content, &Limits::default()).unwrap()
            }))
        });
        if let Some(fault) = run(case, document.as_deref()) {
            wrong.push(format!("{}: {} => {fault}", case.name, case.expression));
        }
    }
    assert!(wrong.is_empty(), "{} of {} tests fail:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What an expression gives on a Patient, as text; why it cannot be evaluated.
fn told(expression: &str) -> Result<Vec<String>, String> {
    let text = br#"{"resourceType":"Patient","active":true,"name":[{"given":["Aino","Eino"]},{"given":["Ilta"]}]}"#;
    let document = Document::from_json(Model::r4(), text.to_vec(), &Limits::default()).unwrap();
    let plan = Plan::compile(Model::r4(), expression, document.root().type_id()).map_err(|error| error.to_string())?;
    let found = plan.evaluate(&Context::of(document.root())).map_err(|error| error.to_string())?;
    Ok(found.iter().map(|value| value.to_text().unwrap().into_owned()).collect())
}

fn gives(expression: &str) -> String {
    told(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).join(" ")
}

#[test]
fn an_integer_that_does_not_fit_is_nothing() {
    for expression in [
        "2147483647 + 1",
        "-2147483648 - 1",
        "65536 * 65536",
        "(-2147483648).abs()",
        "(-2147483648) div -1",
        "3000000000.0.floor()",
        "2.power(31)",
        "'2147483648'.toInteger()",
        "10000000000.0 div 1",
    ] {
        assert_eq!(gives(expression), "", "{expression}");
    }
    assert_eq!(gives("2147483646 + 1"), "2147483647");
    assert_eq!(gives("-2147483648"), "-2147483648");
    assert_eq!(gives("2.power(30)"), "1073741824");
    assert_eq!(gives("'2147483648'.convertsToInteger()"), "false");
    assert!(told("99999999999").is_err());
}

#[test]
fn iif_takes_the_one_branch_only_and_one_item_at_most() {
    assert_eq!(gives("iif(active, 'a', 'b')"), "a");
    assert_eq!(gives("iif(active.not(), 'a')"), "");
    assert_eq!(gives("iif({}, 'a', 'b')"), "b");
    assert_eq!(gives("iif(true, 'a', name.given.single())"), "a", "the other branch would be an error");
    assert_eq!(gives("name.select(iif(given.count() > 1, given.first(), given))"), "Aino Ilta");
    assert_eq!(gives("{}.iif(true, 'a', 'b')"), "a");
    assert!(told("name.given.iif(true, 'a')").is_err());
    assert!(told("iif('x', 'a')").is_err());
}

#[test]
fn equivalence_does_not_look_at_order_case_precision_or_trailing_zeros() {
    for expression in [
        "(1 | 2 | 'a') ~ ('A' | 2.0 | 1)",
        "1.10 ~ 1.1",
        "0.67 ~ (2.0 / 3)",
        "{} ~ {}",
        "'  a  B ' ~ 'A b'",
        "name.given ~ ('ilta' | 'AINO' | 'eino')",
        "@2012-01-01T10:00:00.0 ~ @2012-01-01T10:00:00",
        "1 'g' ~ 1000 'mg'",
    ] {
        assert_eq!(gives(expression), "true", "{expression}");
    }
    for expression in [
        "(1 | 2) ~ (1 | 2 | 2.5)",
        "@2012 ~ @2012-01",
        "1 ~ 'a'",
        "{} ~ 1",
        "(1 | 1.5) ~ (1.5 | 'x')",
        "1.2 ~ 1.31",
        "@2012-01-01 ~ @T10:00",
        "1 'g' ~ 1 'm'",
    ] {
        assert_eq!(gives(expression), "false", "{expression}");
    }
}

#[test]
fn patterns_may_look_around_and_refer_back_but_not_for_ever() {
    for (expression, expected) in [
        ("'12345'.matches('^(?!0+$)[0-9]+$')", "true"),
        ("'00000'.matches('^(?!0+$)[0-9]+$')", "false"),
        ("'abab'.matches('^(ab)\\\\1$')", "true"),
        ("'Aa1'.matchesFull('(?=.*[0-9])(?=.*[A-Z]).+')", "true"),
        ("'price 10 eur'.replaceMatches('[0-9]+(?= eur)', 'x')", "price x eur"),
        ("'a/b'.matches('a\\\\/b')", "true"),
    ] {
        assert_eq!(gives(expression), expected, "{expression}");
    }
    let bomb = format!("'{}b'.matches('^(?=(a+)+$)(?!x).*')", "a".repeat(40));
    assert!(told(&bomb).is_err() || gives(&bomb) == "false");
    assert!(told("'a'.matches('(')").is_err());
}
