//! What one organisation says in its format is said to another in its own: through FHIR, by the maps of both.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Context, Loss, Maps, Translation};
use silta_engine::native::delimited::Dialect;
use silta_engine::native::{self, Charset, Syntax, Tree};

const REFERRAL: &str = include_str!("../golden/ref-i12/kotikuntoutus/native.hl7");
const ADMISSION: &str = include_str!("../golden/adt-a01/sisaankirjaus/native.hl7");
const CHANGE: &str = include_str!("../golden/adt-a01/muutos/native.hl7");
const LAHETE: &str = include_str!("../../profiles/fi/samples/lahete.json");
const PALVELUTILAUS: &str = include_str!("../../profiles/fi/samples/palvelutilaus.json");

/// A provider that is told what its format can carry.
fn context(provider: &str) -> Context {
    let mut context = Context::new(provider, "2026-03-05T12:00:00Z".parse().unwrap(), b"secret");
    context.zone = Some(TimeZone::get("Europe/Helsinki").unwrap());
    context.loss = Loss::Warn;
    context
}

fn home_care() -> Context {
    Context { charset: Charset::named("windows-1252").unwrap(), ..context("home-care") }
}

fn parse(syntax: &Syntax, bytes: &[u8]) -> Tree {
    syntax.parse(bytes.to_vec(), &native::Limits::default()).unwrap()
}

fn v2(text: &str) -> Tree {
    parse(&Syntax::Hl7V2(native::hl7v2::Options::default()), text.replace('\n', "\r").as_bytes())
}

fn table(charset: &str) -> Syntax {
    let charset = Charset::named(charset).unwrap();
    Syntax::Delimited(Dialect { separator: ';', charset, ..Dialect::default() })
}

fn translated(maps: &Maps, tree: &Tree, context: &Context) -> Translation {
    maps.find(tree).unwrap().get(tree, context).unwrap()
}

fn document(text: &str) -> Arc<Document> {
    Document::from_json(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

#[test]
fn a_hospitals_referral_reaches_the_county_as_its_lahete() {
    let maps = Maps::embedded(Model::r4());
    let referral = translated(&maps, &v2(REFERRAL), &context("hospital"));
    let county = maps.named("fi-palvelupyynto").unwrap();
    let written = county.create(referral.document(), &context("county")).unwrap();
    let lahete: Value = serde_json::from_slice(&written.bytes).unwrap();
    assert!(jsonschema::is_valid(county.json_schema().unwrap(), &lahete), "{lahete}");
    let expected = json!({
        "asiakirja": "lahete",
        "tunnisteet": [{"laji": "tilaaja", "avaruus": "1.2.246.10.99999001.30.1", "arvo": "REF-88231"}],
        "tila": "uusi",
        "kiireellisyys": "kiireellinen",
        "kirjattu": "2026-03-02T09:14:00+02:00",
        "asiakas": {
            "hetu": "140347-9120", "sukunimi": "Koivisto-Näyte", "etunimet": "Aino Maria", "puhelin": "+358405550142",
            "osoite": {"katu": "Mäntytie 4 B 12", "postinumero": "33100", "postitoimipaikka": "Tampere"}
        },
        "tilaaja": {"tunnus": "1.2.246.10.99999001.10.0", "nimi": "Esimerkin keskussairaala"},
        "vastaanottaja": {"tunnus": "1.2.246.10.99999002.10.0", "nimi": "Esimerkin hyvinvointialue, asiakasohjaus"},
        "luokka": {
            "koodi": "Hom", "koodisto": "http://terminology.hl7.org/CodeSystem/v2-0281", "nimi": "Home Care"
        },
        "diagnoosit": [{
            "koodi": "S72.0", "koodisto": "http://hl7.org/fhir/sid/icd-10", "nimi": "Reisiluun kaulan murtuma"
        }],
        "perustelu": "Kotikuntoutus lonkkamurtuman jälkeen. Asuu yksin, hissitalo.",
        "voimassa": {"alkaa": "2026-03-02", "paattyy": "2026-04-30"},
        "liitteet": [{"otsikko": "Epikriisi", "tyyppi": "text/plain", "sisalto": "JVBERi0xLjQK"}]
    });
    assert_eq!(lahete, expected);
    // What the county's format has no place for is told, not silently gone.
    let lost: Vec<&str> = written.report.lost.iter().map(|lost| lost.path.as_str()).collect();
    assert!(lost.iter().any(|path| path.ends_with("gender")) && lost.iter().any(|path| path.ends_with("birthDate")));
}

#[test]
fn a_provider_that_refuses_loss_is_told_each_place_that_its_format_lacks() {
    let maps = Maps::embedded(Model::r4());
    let referral = translated(&maps, &v2(REFERRAL), &context("hospital"));
    let strict = Context { loss: Loss::Refuse, ..context("county") };
    let refused = maps.named("fi-palvelupyynto").unwrap().create(referral.document(), &strict).unwrap_err();
    assert!(refused.items.iter().any(|item| item.path.ends_with("birthDate")), "{refused}");
}

#[test]
fn an_organisation_stands_for_the_role_that_a_referral_comes_from() {
    let maps = Maps::embedded(Model::r4());
    let by_person = REFERRAL.replace("Provider^HL70286|||^^^SAIRAALA", "Provider^HL70286|Lääkäri^Liisa||^^^SAIRAALA");
    let referral = translated(&maps, &v2(&by_person), &context("hospital"));
    let requester = referral.resource(referral.entry_named("requester").unwrap()).unwrap();
    assert_eq!(requester.type_name(), "PractitionerRole");
    let county = maps.named("fi-palvelupyynto").unwrap();
    let written = county.create(referral.document(), &context("county")).unwrap();
    let lahete: Value = serde_json::from_slice(&written.bytes).unwrap();
    assert_eq!(lahete["tilaaja"]["tunnus"], "1.2.246.10.99999001.10.0");
    assert!(written.report.lost.iter().any(|lost| lost.reason.contains("organization of the role")));
}

#[test]
fn a_service_that_the_county_orders_is_a_row_for_home_care() {
    let maps = Maps::embedded(Model::r4());
    let order = translated(&maps, &parse(&Syntax::Json, PALVELUTILAUS.as_bytes()), &context("county"));
    let written = maps.named("fi-kotihoito-tilaus").unwrap().create(order.document(), &home_care()).unwrap();
    let text = Charset::named("windows-1252").unwrap().decode(&written.bytes).unwrap().into_owned();
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        rows,
        [
            "tilausnro;tilausnro_avaruus;hetu;sukunimi;etunimet;puhelin;katuosoite;postinumero;postitoimipaikka;\
             palvelu;palvelun_koodisto;palvelun_nimi;kiireellisyys;tilattu;alkaa;paattyy;ohje;tilaaja;tilaajan_nimi;\
             tuottaja;tuottajan_nimi;tila;selite",
            "PT-2026-000877;1.2.246.10.99999002.30.1;140347-9120;Koivisto-Näyte;Aino Maria;+358 40 555 0142;\
             Mäntytie 4 B 12;33100;Tampere;kotikuntoutus;urn:oid:1.2.246.10.99999002.40.1;Kotikuntoutus;3;3.3.2026;\
             4.3.2026;15.4.2026;Kävelyharjoitus kolmesti viikossa.;1.2.246.10.99999002.10.0;\
             Esimerkin hyvinvointialue, asiakasohjaus;1.2.246.10.99999003.10.0;Kotihoito Näyte Oy;TILATTU;",
            ""
        ]
    );
    // What home care reads of it is the county's order, by the county's number.
    let again = translated(&maps, &parse(&table("windows-1252"), &written.bytes), &home_care());
    let referral = again.resource(again.entry_named("referral").unwrap()).unwrap();
    assert_eq!(referral.text_at("identifier.system"), Some("urn:oid:1.2.246.10.99999002.30.1"));
    assert_eq!(referral.text_at("identifier.value"), Some("PT-2026-000877"));
}

#[test]
fn a_visit_names_its_order_by_the_number_that_both_sides_know() {
    let maps = Maps::embedded(Model::r4());
    let rows = include_bytes!("../../profiles/fi/samples/toteuma.csv");
    let visit = translated(&maps, &parse(&table("windows-1252"), rows), &home_care());
    let encounter = visit.resource(visit.entry_named("visit").unwrap()).unwrap();
    assert_eq!(
        encounter.text_at("basedOn.reference"),
        Some("ServiceRequest?identifier=urn:oid:1.2.246.10.99999002.30.1|PT-2026-000877")
    );
    assert_eq!(encounter.text_at("period.start"), Some("2026-03-05T10:32:00+02:00"));
    assert_eq!(visit.entries()[0].native_id, "K-5512");
}

#[test]
fn the_countys_acceptance_is_the_answer_to_the_hospitals_message() {
    let maps = Maps::embedded(Model::r4());
    let message = v2(REFERRAL);
    let referral = translated(&maps, &message, &context("hospital"));
    let mut wanted: Value = serde_json::from_str(referral.document().json()).unwrap();
    let place = |name: &str| referral.entry_named(name).unwrap();
    wanted["entry"][place("task")]["resource"]["status"] = json!("completed");
    wanted["entry"][place("task")]["resource"]["note"] = json!([{"text": "Kuntoutus toteutui."}]);
    let identifiers = wanted["entry"][place("referral")]["resource"]["identifier"].as_array_mut().unwrap();
    identifiers.push(json!({
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL"}]},
        "system": "urn:oid:1.2.246.10.99999002.30.1", "value": "LAH-2026-000123"
    }));
    let answer = maps.find(&message).unwrap();
    wanted["entry"][place("task")]["resource"].as_object_mut().unwrap().remove("businessStatus");
    let strict = Context { loss: Loss::Refuse, ..context("hospital") };
    let written =
        answer.answer(&document(&wanted.to_string()), &message, &strict).unwrap_or_else(|why| panic!("{why}"));
    let text = String::from_utf8(written.bytes).unwrap();
    let segment = |name: &str| -> Vec<&str> { text.split('\r').filter(|line| line.starts_with(name)).collect() };
    assert!(segment("MSH")[0].contains("|RRI^I12^RRI_I12|"), "{text}");
    assert_eq!(segment("MSA"), ["MSA|AA|M0001"]);
    let fields: Vec<&str> = segment("RF1")[0].split('|').collect();
    assert_eq!(fields[1], "A");
    assert!(fields[6].starts_with("REF-88231^"), "{}", fields[6]);
    assert!(fields[11].starts_with("LAH-2026-000123^"), "{}", fields[11]);
    assert_eq!(segment("PRD").len(), 2);
    assert!(segment("PID")[0].contains("140347-9120"));
    assert!(segment("NTE").contains(&"NTE|1||Kuntoutus toteutui.|RE"), "{:?}", segment("NTE"));
}

#[test]
fn why_a_referral_is_rejected_is_told_to_the_hospital_and_read_back_without_loss() {
    let maps = Maps::embedded(Model::r4());
    let message = v2(REFERRAL);
    let strict = Context { loss: Loss::Refuse, ..context("hospital") };
    let referral = translated(&maps, &message, &strict);
    let mut wanted: Value = serde_json::from_str(referral.document().json()).unwrap();
    let task = referral.entry_named("task").unwrap();
    wanted["entry"][task]["resource"]["status"] = json!("rejected");
    wanted["entry"][task]["resource"].as_object_mut().unwrap().remove("businessStatus");
    wanted["entry"][task]["resource"]["statusReason"] = json!({"text": "Ei kuulu palveluun."});
    let answer = maps.find(&message).unwrap();
    let written =
        answer.answer(&document(&wanted.to_string()), &message, &strict).unwrap_or_else(|why| panic!("{why}"));
    let text = String::from_utf8(written.bytes).unwrap();
    assert!(text.split('\r').any(|line| line == "NTE|||Ei kuulu palveluun.|1R"), "{text}");
    assert!(text.split('\r').any(|line| line.starts_with("RF1|R|")), "{text}");
    let again = translated(&maps, &v2(&text), &strict);
    let read = again.resource(again.entry_named("task").unwrap()).unwrap();
    assert_eq!(read.text_at("statusReason.text"), Some("Ei kuulu palveluun."));
    assert_eq!(read.text_at("status"), Some("rejected"));
}

#[test]
fn a_pointer_to_a_letter_is_written_as_a_pointer() {
    let maps = Maps::embedded(Model::r4());
    let message = v2(REFERRAL);
    let strict = Context { loss: Loss::Refuse, ..context("hospital") };
    let referral = translated(&maps, &message, &strict);
    let mut wanted: Value = serde_json::from_str(referral.document().json()).unwrap();
    let letter = referral.entry_named("letter").unwrap();
    let attachment = &mut wanted["entry"][letter]["resource"]["content"][0]["attachment"];
    *attachment = json!({"contentType": "application/pdf", "url": "https://arkisto.example/epikriisi/77", "title": attachment["title"]});
    let map = maps.find(&message).unwrap();
    let written = map.create(&document(&wanted.to_string()), &context("hospital")).unwrap();
    let text = String::from_utf8(written.bytes).unwrap();
    let segment = text.split('\r').find(|line| line.starts_with("OBX|")).unwrap();
    let fields: Vec<&str> = segment.split('|').collect();
    assert_eq!(fields[2], "RP", "{segment}");
    assert!(fields[5].starts_with("https://arkisto.example/epikriisi/77^"), "{segment}");
}

#[test]
fn what_becomes_of_the_work_is_told_to_the_county_in_its_own_document() {
    let maps = Maps::embedded(Model::r4());
    let original = parse(&Syntax::Json, LAHETE.as_bytes());
    let map = maps.find(&original).unwrap();
    let before = map.get(&original, &context("county")).unwrap();
    let wanted = before.document().json().replace("\"status\":\"accepted\"", "\"status\":\"in-progress\"");
    let strict = Context { loss: Loss::Refuse, ..context("county") };
    let written = map.put(&document(&wanted), &original, &strict).unwrap();
    let expected = LAHETE.replace("\"tila\": \"hyvaksytty\"", "\"tila\": \"kesken\"");
    assert_eq!(String::from_utf8(written.bytes).unwrap(), expected);
}

#[test]
fn an_update_event_keeps_what_it_leaves_empty_deletes_what_it_nulls_and_leaves_the_stay_as_it_stands() {
    let maps = Maps::embedded(Model::r4());
    let admission = translated(&maps, &v2(ADMISSION), &context("hospital"));
    let known = |name: &str| admission.part(admission.entry_named(name).unwrap()).unwrap().detach().unwrap();
    let (patient, encounter) = (known("patient"), known("encounter"));
    assert_eq!(encounter.root().text_at("status"), Some("in-progress"));
    let phone_after = |field: &str| {
        let change = CHANGE.replace("+358405559999^PRN^CP", field);
        let change = translated(&maps, &v2(&change), &context("hospital"));
        let after = change.fold(change.entry_named("patient").unwrap(), &patient).unwrap();
        after.root().text_at("telecom.value").map(str::to_owned)
    };
    assert_eq!(phone_after("+358405559999^PRN^CP").as_deref(), Some("+358405559999"));
    assert_eq!(phone_after("").as_deref(), Some("+358405550142"));
    assert_eq!(phone_after("\"\""), None);
    let change = translated(&maps, &v2(CHANGE), &context("hospital"));
    let after = change.fold(change.entry_named("encounter").unwrap(), &encounter).unwrap();
    assert_eq!(after.root().text_at("status"), Some("in-progress"));
}
