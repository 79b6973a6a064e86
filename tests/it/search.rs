//! Search parameters, queries and what they find, by the engine alone.

use std::sync::Arc;

use proptest::prelude::*;
use silta_engine::definitions::{Kind, Model, SearchType};
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::search::{
    Bounds, Criterion, Facet, FacetValue, Interval, Others, Parameters, Query, SearchError, Sort, SortKey, facets,
    subset,
};

use crate::support::data::{in_parallel, r4_examples};

const BASE: &str = "https://silta.example/r4";

fn document(json: &str) -> Arc<Document> {
    Document::from_json(Model::r4(), json.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn parse(kind: &'static str, parameters: &[(&str, &str)]) -> Result<Query, SearchError> {
    let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Query::parse(kind, &owned, BASE, "2026-02-03T08:00:00Z".parse().unwrap(), false, &Bounds::default())
}

fn query(kind: &'static str, parameters: &[(&str, &str)]) -> Query {
    parse(kind, parameters).unwrap()
}

fn criterion(kind: &'static str, name: &str, value: &str) -> Criterion {
    let query = query(kind, &[(name, value)]);
    assert_eq!(query.ignored, []);
    query.criteria.into_iter().next().unwrap()
}

fn finds(kind: &'static str, name: &str, value: &str, document: &Document) -> bool {
    criterion(kind, name, value).matches(&facets(document), &())
}

fn plan() -> Arc<Document> {
    document(
        r#"{"resourceType":"CarePlan","id":"county.9","meta":{"lastUpdated":"2026-02-01T10:00:00Z","tag":[{"code":"x"}]},
        "identifier":[{"system":"urn:oid:1.2.3","value":"A-1"},{"value":"bare"}],
        "basedOn":[{"reference":"CarePlan/county.8"}],"status":"active","intent":"plan",
        "category":[{"coding":[{"system":"urn:c","code":"home"},{"system":"urn:d","code":"home2"}],"text":"at home"}],
        "subject":{"reference":"Patient/county.1","identifier":{"system":"urn:oid:1.2.246.21","value":"person"}},
        "period":{"start":"2026-01-10","end":"2026-03"},
        "activity":[{"reference":{"reference":"ServiceRequest/hospital.S1/_history/2"}},{"reference":{"reference":"Task/t"}}]}"#,
    )
}

#[test]
fn the_parameters_that_are_needed_have_plans() {
    let needed = [
        (
            "CarePlan",
            "_id identifier patient subject status _lastUpdated based-on part-of activity-reference care-team category goal date",
        ),
        (
            "ServiceRequest",
            "_id identifier patient subject status _lastUpdated based-on requester performer category code authored",
        ),
        ("Task", "_id identifier patient subject status _lastUpdated based-on part-of focus owner requester code"),
        ("Patient", "_id identifier _lastUpdated name family given birthdate"),
        ("CareTeam", "_id identifier patient subject status _lastUpdated participant category"),
        ("Goal", "_id identifier patient subject lifecycle-status _lastUpdated category start-date"),
    ];
    for (kind, codes) in needed {
        for code in codes.split(' ') {
            assert!(Parameters::r4().find(kind, code).is_some(), "{kind} {code}");
        }
    }
}

#[test]
fn every_expression_of_the_definitions_compiles_but_these() {
    let (mut compiled, mut not) = (0, Vec::new());
    for id in Model::r4().types().filter(|id| Model::r4().kind(*id) == Kind::Resource && !Model::r4().is_abstract(*id))
    {
        let kind = Model::r4().type_name(id);
        for definition in Model::r4().search_parameters("Resource").chain(Model::r4().search_parameters(kind)) {
            if definition.url().contains("/SearchParameter/example") {
                continue;
            }
            let comparable = matches!(
                definition.kind(),
                SearchType::Date | SearchType::String | SearchType::Token | SearchType::Reference | SearchType::Uri
            );
            match Parameters::r4().find(kind, definition.code()) {
                Some(parameter) => {
                    assert_eq!((parameter.url(), parameter.kind()), (definition.url(), definition.kind()));
                    compiled += 1;
                }
                None if comparable && !definition.expression().is_empty() => {
                    not.push(format!("{kind}.{}", definition.code()));
                }
                None => {}
            }
        }
    }
    // Existence tests, extensions, indexes into Bundles and paths without their type: more of FHIRPath than is compiled.
    let known = "Bundle.composition Bundle.message Device.din DiagnosticReport.assessed-condition InsurancePlan.name \
                 Observation.amino-acid-change Observation.dna-variant Observation.gene-amino-acid-change \
                 Observation.gene-dnavariant Observation.gene-identifier Observation.value-string Patient.deceased \
                 Patient.mothersMaidenName QuestionnaireResponse.item-subject";
    assert_eq!(not.join(" "), known);
    assert!(compiled > 2_000, "{compiled} plans");
}

#[test]
fn tokens_are_found_by_code_and_system() {
    let plan = plan();
    for (name, value, found) in [
        ("identifier", "A-1", true),
        ("identifier", "urn:oid:1.2.3|A-1", true),
        ("identifier", "urn:oid:1.2.3|", true),
        ("identifier", "urn:oid:9|", false),
        ("identifier", "|A-1", false),
        ("identifier", "|bare", true),
        ("identifier", "a-1", false),
        ("identifier", "no,A-1", true),
        ("category", "urn:d|home2", true),
        ("category", "urn:c|home2", false),
        ("status", "active", true),
        ("status", "http://hl7.org/fhir/request-status|active", true),
        ("status", "http://hl7.org/fhir/other|active", false),
        ("status", "draft,revoked", false),
        ("status:not", "active", false),
        ("status:not", "draft", true),
        ("_id", "county.9", true),
        ("_tag", "x", true),
        ("care-team:missing", "true", true),
        ("subject:missing", "true", false),
        ("subject:missing", "false", true),
    ] {
        assert_eq!(finds("CarePlan", name, value, &plan), found, "{name}={value}");
    }
}

#[test]
fn references_are_found_in_every_form() {
    let plan = plan();
    for (name, value, found) in [
        ("subject", "Patient/county.1", true),
        ("subject", "county.1", true),
        ("subject", "https://silta.example/r4/Patient/county.1", true),
        ("subject", "https://elsewhere.example/Patient/county.1", false),
        ("subject", "Group/county.1", false),
        ("subject:Patient", "county.1", true),
        ("subject:Group", "county.1", false),
        ("subject:identifier", "urn:oid:1.2.246.21|person", true),
        ("subject:identifier", "urn:oid:1.2.246.21|other", false),
        ("patient", "county.1", true),
        ("activity-reference", "ServiceRequest/hospital.S1", true),
        ("activity-reference", "Task/t,Task/u", true),
        ("based-on", "county.8", true),
    ] {
        assert_eq!(finds("CarePlan", name, value, &plan), found, "{name}={value}");
    }
}

#[test]
fn dates_are_compared_as_intervals() {
    let plan = plan();
    // The period is from 10 January to the end of March.
    for (value, found) in [
        ("2026", true),
        ("eq2026-02", false),
        ("ne2026-02", true),
        ("gt2026-03-31", false),
        ("gt2026-03-30", true),
        ("lt2026-01-10", false),
        ("lt2026-01-11", true),
        ("ge2026-02", true),
        ("le2026-02", true),
        ("sa2026-01-09", true),
        ("sa2026-01-10", false),
        ("eb2026-04", true),
        ("eb2026-03", false),
        ("ap2026-02", true),
        ("2027", false),
    ] {
        assert_eq!(finds("CarePlan", "date", value, &plan), found, "{value}");
    }
    for (value, found) in [
        ("2026-02-01T10:00:00Z", true),
        ("2026-02-01T12:00+02:00", true),
        ("2026-02-01T12:00:00+02:00", true),
        ("2026-02-01", true),
        ("gt2026-02-01T10:00:00Z", false),
        ("lt2026-02-01T10:00:00.001Z", true),
    ] {
        assert_eq!(finds("CarePlan", "_lastUpdated", value, &plan), found, "{value}");
    }
}

#[test]
fn strings_are_found_by_their_beginning_whatever_case_and_accents() {
    let patient = document(
        r#"{"resourceType":"Patient","id":"p","name":[{"family":"Väänänen","given":["Aino","Maria"]}],
        "birthDate":"1950-02-03","telecom":[{"system":"phone","value":"+358 40"},{"system":"email","value":"a@b.fi"}],
        "address":[{"city":"Kuopio"}]}"#,
    );
    for (name, value, found) in [
        ("family", "vää", true),
        ("family", "VAAN", true),
        ("family", "va\u{308}a\u{308}", true),
        ("family", "voo", false),
        ("family:exact", "vää", false),
        ("family:exact", "Vaananen", false),
        ("family:contains", "anän", true),
        ("family:exact", "Väänänen", true),
        ("family:contains", "ÄNÄ", true),
        ("name", "maria", true),
        ("given", "Maria,X", true),
        ("birthdate", "1950-02", true),
        ("phone", "+358 40", true),
        ("phone", "a@b.fi", false),
        ("email", "a@b.fi", true),
        ("address-city", "kuo", true),
        ("address", "kuo", true),
    ] {
        assert_eq!(finds("Patient", name, value, &patient), found, "{name}={value}");
    }
}

struct One(&'static str, Vec<Facet>);

impl Others for One {
    fn facets_of(&self, reference: &str) -> Option<&[Facet]> {
        (reference == self.0).then_some(self.1.as_slice())
    }
}

#[test]
fn a_chain_of_one_reference_is_followed() {
    let patient =
        document(r#"{"resourceType":"Patient","id":"county.1","identifier":[{"system":"urn:s","value":"v"}]}"#);
    let others = One("Patient/county.1", facets(&patient));
    let plan = facets(&plan());
    for name in ["patient.identifier", "subject.identifier", "subject:Patient.identifier"] {
        assert!(criterion("CarePlan", name, "urn:s|v").matches(&plan, &others), "{name}");
        assert!(!criterion("CarePlan", name, "urn:s|w").matches(&plan, &others), "{name}");
        assert!(!criterion("CarePlan", name, "urn:s|v").matches(&plan, &()), "nothing is known of the patient");
    }
}

#[test]
fn escaped_separators_are_part_of_the_value() {
    let task = document(r#"{"resourceType":"Task","id":"t","identifier":[{"system":"urn:s","value":"a,b|c"}]}"#);
    assert!(finds("Task", "identifier", r"a\,b\|c", &task));
    assert!(finds("Task", "identifier", r"urn:s|a\,b\|c", &task));
    assert!(!finds("Task", "identifier", "a,b", &task));
}

#[test]
fn what_is_not_supported_is_left_out_and_said_or_refused() {
    let parameters = [("patient", "p"), ("colour", "red"), ("_text", "x")];
    let query = query("CarePlan", &parameters);
    assert_eq!(query.criteria.len(), 1);
    assert_eq!(query.ignored.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["colour", "_text"]);
    let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let strict = Query::parse("CarePlan", &owned, BASE, jiff::Timestamp::UNIX_EPOCH, true, &Bounds::default());
    assert!(matches!(strict, Err(SearchError::Unsupported { parameter, .. }) if parameter == "colour"));
}

#[test]
fn excess_is_refused() {
    let many = |count: usize| vec!["a"; count].join(",");
    let refused = |kind, name: &str, value: &str| parse(kind, &[(name, value)]).unwrap_err();
    assert!(matches!(refused("Task", "identifier", &many(10_000)), SearchError::TooMany { .. }));
    assert!(parse("Task", &[("identifier", &many(500))]).is_ok());
    assert!(matches!(refused("Task", "_count", "2147483648"), SearchError::Value { .. }));
    assert!(matches!(refused("Task", "_count", "-1"), SearchError::Value { .. }));
    assert_eq!(query("Task", &[("_count", "2147483647")]).count, Some(2_147_483_647));
    let chain = format!("patient.{}identifier", "general-practitioner.".repeat(20));
    assert!(matches!(refused("Task", &chain, "x"), SearchError::Chain { .. }));
    assert!(matches!(refused("Task", "_include:iterate", "*"), SearchError::Value { .. }));
    assert!(matches!(refused("Task", "_include", "Task:status"), SearchError::Value { .. }));
    let includes = vec![("_include", "Task:focus"); 21];
    assert!(matches!(parse("Task", &includes), Err(SearchError::TooMany { .. })));
    assert!(matches!(parse("Task", &[("identifier", many(500).as_str()); 5]), Err(SearchError::TooMany { .. })));
}

#[test]
fn values_that_cannot_be_read_are_refused_without_being_told() {
    for (name, value) in [
        ("_lastUpdated", "2026-13"),
        ("_lastUpdated", "gt"),
        ("_lastUpdated", "2026-02-30"),
        ("_lastUpdated", "010190-900X"),
        ("patient", "Patient/010190 900X"),
        ("patient", "Nothing/1"),
        ("identifier", "a|b|010190-900X"),
        ("identifier", "|"),
        ("identifier", ""),
        ("status:missing", "010190-900X"),
        ("_count", "010190-900X"),
        ("_summary", "010190-900X"),
        ("status:text", "x"),
        ("_include", "010190-900X"),
    ] {
        let error = parse("CarePlan", &[(name, value)]).unwrap_err();
        assert!(!error.to_string().contains("010190"), "{error}");
        assert_eq!(error.fault().issue_code(), "value");
    }
}

#[test]
fn includes_name_type_parameter_and_target() {
    let query = query(
        "CarePlan",
        &[
            ("_include", "CarePlan:activity-reference"),
            ("_include", "CarePlan:activity-reference:Task"),
            ("_revinclude:iterate", "Task:focus"),
        ],
    );
    let read: Vec<_> = query
        .includes
        .iter()
        .map(|one| (one.source, one.parameter.code(), one.target, one.iterate, one.reverse))
        .collect();
    assert_eq!(
        read,
        [
            ("CarePlan", "activity-reference", None, false, false),
            ("CarePlan", "activity-reference", Some("Task"), false, false),
            ("Task", "focus", None, true, true),
        ]
    );
}

#[test]
fn sorting_puts_what_has_no_value_last_both_ways() {
    let with = facets(&plan());
    for descending in [false, true] {
        let sort = Sort { parameter: Parameters::r4().find("CarePlan", "date").unwrap(), descending };
        assert!(matches!(sort.key(&with), SortKey::Time(..)));
        assert!(sort.order(&sort.key(&with), &sort.key(&[])).is_lt());
        let early = "2020-01-01T00:00:00Z".parse().unwrap();
        let early = SortKey::Time(early, early);
        assert_eq!(sort.order(&early, &sort.key(&with)).is_lt(), !descending);
    }
}

#[test]
fn a_summary_keeps_what_must_be_there_and_says_that_it_is_one() {
    let plan = plan();
    let part = document(&subset(&plan, &query("CarePlan", &[("_elements", "category,period")])));
    let root = part.root();
    for kept in ["id", "status", "intent", "subject", "category", "period", "meta"] {
        assert!(root.first(kept).is_some(), "{kept}");
    }
    assert!(root.first("activity").is_none() && root.first("identifier").is_none());
    let tags: Vec<_> = root.at("meta").unwrap().named("tag").filter_map(|tag| tag.text_at("code")).collect();
    assert_eq!(tags, ["x", "SUBSETTED"]);
    let summary = document(&subset(&plan, &query("CarePlan", &[("_summary", "true")])));
    assert!(summary.root().first("identifier").is_some() && summary.root().first("activity").is_none());
}

#[test]
fn the_official_examples_are_found_by_their_own_facets() {
    let Some(files) = r4_examples() else { return };
    let served = ["CarePlan", "ServiceRequest", "Task", "Patient", "CareTeam", "Goal"];
    let counts = in_parallel(&files, |path| {
        let json = std::fs::read(path).unwrap();
        let Ok(document) = Document::from_json(Model::r4(), json, &Limits::default()) else { return 0 };
        let Some(kind) = served.into_iter().find(|kind| *kind == document.root().type_name()) else { return 0 };
        let facets = facets(&document);
        for facet in &facets {
            let escaped =
                |text: &str| text.replace('\\', r"\\").replace(',', r"\,").replace('|', r"\|").replace('$', r"\$");
            let value = match &facet.value {
                FacetValue::Token { system: Some(system), code } => format!("{}|{}", escaped(system), escaped(code)),
                FacetValue::Token { system: None, code } => escaped(code),
                FacetValue::Text(text) => escaped(text),
                FacetValue::Reference(text) if text.starts_with('#') => continue,
                FacetValue::Reference(text) => escaped(text.split("/_history/").next().unwrap()),
                FacetValue::Interval(_) => continue,
            };
            let reference = Parameters::r4().find(kind, &facet.name).unwrap().kind() == SearchType::Reference;
            let identifier = reference && matches!(facet.value, FacetValue::Token { .. });
            let name = if identifier { format!("{}:identifier", facet.name) } else { facet.name.to_string() };
            assert!(criterion(kind, &name, &value).matches(&facets, &()), "{}: {name}={value}", path.display());
        }
        assert!(facets.iter().any(|facet| facet.name == "_id"), "{}", path.display());
        facets.len()
    });
    assert!(counts.iter().sum::<usize>() > 500);
}

#[test]
fn an_open_period_lasts_and_can_be_stored() {
    let open = document(r#"{"resourceType":"CarePlan","id":"c","period":{"start":"2026-01-10"}}"#);
    for value in ["ge2026", "gt2999", "sa2026-01-09"] {
        assert!(finds("CarePlan", "date", value, &open), "{value}");
    }
    assert!(!finds("CarePlan", "date", "eb2999", &open));
    for end in [Interval::ALWAYS.from, Interval::ALWAYS.to, Interval::parse("9999").unwrap().to] {
        assert_eq!(jiff::Timestamp::from_microsecond(end.as_microsecond()).unwrap(), end);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_query_breaks_the_reader(parameters in prop::collection::vec(("[_a-z:.-]{0,24}", ".{0,40}"), 0..6)) {
        let owned: Vec<(String, String)> = parameters;
        let _ = Query::parse("Task", &owned, BASE, jiff::Timestamp::UNIX_EPOCH, false, &Bounds::default());
    }

    #[test]
    fn a_more_precise_date_lies_within_a_less_precise_one(
        year in 1_i16..9999, month in 1_u8..13, day in 1_u8..29, hour in 0_u8..24, minute in 0_u8..60, second in 0_u8..60,
    ) {
        let texts = [
            format!("{year:04}"),
            format!("{year:04}-{month:02}"),
            format!("{year:04}-{month:02}-{day:02}"),
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}Z"),
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.25Z"),
        ];
        let intervals: Vec<Interval> = texts.iter().map(|text| Interval::parse(text).unwrap()).collect();
        for pair in intervals.windows(2) {
            prop_assert!(pair[0].contains(pair[1]) && !pair[1].contains(pair[0]));
        }
    }
}
