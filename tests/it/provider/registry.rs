//! The providers by name, from configuration.

use std::collections::BTreeMap;
use std::path::Path;

use silta::provider::metrics::Metrics;
use silta::provider::registry::{Config, Validation};
use silta::provider::{Adapter, Identifier, Liveness, Mode, Random, Recipient, Registry, Setup, SetupError};

use crate::support::time::manual;

const PROVIDERS: &str = r#"
    [hospital]
    mode = "test"
    organisations = ["urn:oid:1.2.246.537.6.202|0000001-1"]
    validation = "warn"
    map = { timezone = "Europe/Helsinki" }
    mllp = { address = "localhost:6661", types.ServiceRequest = { create = true } }

    [county]
    mode = "test"
    organisations = ["urn:oid:1.2.246.537.6.202|0000002-2", "urn:other|C"]
    routing = { municipalities = ["091"], services = ["urn:services|H1"] }
    stale_if_error = "10m"
    health.deadline = "3s"
    [county.http]
    base = "http://localhost:9000/"
    documents.lahete = { types = ["Task"], list = { method = "GET", path = "l", query.h = "{identifier}" } }

    [home-care]
    mode = "test"
    routing = { municipalities = ["091", "049"], services = ["H2"] }

    [association]
    mode = "production"
    [association.fhir]
    base = "http://localhost:9001/r4"
    types.CarePlan = { read = true, search = true }
"#;

fn build(text: &str) -> Result<Registry, Vec<SetupError>> {
    let config: BTreeMap<String, Config> = toml::from_str(text).unwrap();
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let setup = Setup {
        folder: Path::new("."),
        clock: manual(),
        random: Random::seeded(1),
        metrics: &metrics,
        schema: &|_| None,
    };
    Registry::build(&config, &setup)
}

fn identifier(system: &str, value: &str) -> Identifier {
    Identifier { system: system.to_owned(), value: value.to_owned() }
}

fn name(recipient: &Recipient<'_>) -> String {
    match recipient {
        Recipient::None => "nobody".to_owned(),
        Recipient::One(one) => one.name.to_string(),
        Recipient::Several(several) => several.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join("+"),
    }
}

#[test]
fn providers_are_what_their_configuration_says() {
    let registry = build(PROVIDERS).unwrap();
    let names: Vec<&str> = registry.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["association", "county", "home-care", "hospital"]);
    let hospital = registry.find("hospital").unwrap();
    assert_eq!((hospital.mode, hospital.validation), (Mode::Test, Validation::Warn));
    assert_eq!(hospital.map["timezone"].as_str(), Some("Europe/Helsinki"));
    assert_eq!(hospital.adapter.capabilities().liveness, Liveness::PushOnly);
    assert_eq!(registry.find("county").unwrap().stale_if_error, Some(std::time::Duration::from_secs(600)));
    let searchable: Vec<&str> = registry.searchable("CarePlan").map(|one| &*one.name).collect();
    assert_eq!(searchable, ["association"]);
    assert!(registry.find("nobody").is_none());
    assert!(registry.find("home-care").unwrap().adapter.capabilities().types.is_empty());
}

#[test]
fn an_order_goes_to_the_provider_of_the_organisation_it_names() {
    let registry = build(PROVIDERS).unwrap();
    let of = |ids: &[Identifier]| name(&registry.of_organisation(ids));
    let (hospital, county) = (identifier("urn:oid:1.2.246.537.6.202", "0000001-1"), identifier("urn:other", "C"));
    assert_eq!(of(std::slice::from_ref(&hospital)), "hospital");
    assert_eq!(of(&[identifier("urn:other", "X"), county.clone()]), "county");
    assert_eq!(of(&[identifier("urn:other", "X")]), "nobody");
    assert_eq!(of(&[hospital, county]), "county+hospital");
    assert_eq!(of(&[]), "nobody");
}

#[test]
fn rules_send_an_order_by_municipality_and_service_and_choose_nobody_when_unsure() {
    let registry = build(PROVIDERS).unwrap();
    let of = |municipality, services: &[&str]| name(&registry.of_rules(municipality, services));
    assert_eq!(of(Some("091"), &["urn:services|H1"]), "county");
    assert_eq!(of(Some("091"), &["urn:others|H1"]), "nobody");
    assert_eq!(of(Some("049"), &["urn:any|H2"]), "home-care");
    assert_eq!(of(Some("091"), &["H2", "urn:services|H1"]), "county+home-care");
    assert_eq!(of(None, &["H2"]), "nobody");
    assert_eq!(of(Some("091"), &[]), "nobody");
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_key() {
    let wrong = build(
        r#"
        ["a.b"]
        mode = "test"
        [both]
        mode = "test"
        mllp = { address = "localhost:1" }
        files = { folder = ".", name = "{sequence}" }
        [one]
        mode = "test"
        organisations = ["urn:x|1"]
        [two]
        mode = "test"
        organisations = ["urn:x|1"]
        [three]
        mode = "test"
        organisations = ["1"]
        [far]
        mode = "test"
        mllp = { address = "far.example:1" }
        [slow]
        mode = "test"
        health.attempts = 0
        "#,
    )
    .map(|_| ())
    .unwrap_err();
    let mut keys: Vec<&str> = wrong.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "providers.a.b",
        "providers.both",
        "providers.far.mllp.tls",
        "providers.slow.health.attempts",
        "providers.three.organisations",
        "providers.two.organisations",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn unknown_keys_and_modes_are_refused() {
    for wrong in [
        "mode = 'test'\nunknown = 1",
        "mode = 'live'",
        "",
        "mode = 'test'\nmllp = { address = 'localhost:1', tsl = {} }",
        "mode = 'test'\nhttp = { base = 'http://localhost', documents.a = { types = ['Task'], get = { path = '{id}', pth = '' } } }",
    ] {
        assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_unwise_is_warned_of_with_its_key() {
    let config: BTreeMap<String, Config> = toml::from_str(PROVIDERS).unwrap();
    let warnings = config["county"].warnings();
    assert_eq!(warnings[0].key, "http.documents.lahete.list.query.h");
    assert!(config["association"].warnings().is_empty());
}
