//! Step 2: the county gets the referral as JSON, accepts it, plans, and orders home care.

use serde_json::{Value, json};

use super::super::case_manager::text;
use super::super::county::{Event, NAME, OID, SERVICES, put};
use super::super::events::{Broken, ensure, same};
use super::super::home_care;
use super::{Case, each, reference, shown};

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    receive(case).await?;
    accept(case).await?;
    plan(case).await?;
    order(case).await
}

async fn receive(case: &mut Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let number = case.known.referral.clone();
    let is_it =
        |document: &Value| document.pointer("/tunnisteet/0/arvo").and_then(Value::as_str) == Some(number.as_str());
    let handed = world.county.events.find(0, |event| match event {
        Event::Handed(document) if is_it(document) => Some(document.clone()),
        _ => None,
    });
    let handed = world.patience.wait("the referral at the county", handed).await?;
    let received = world.county.hooked(0, |document| is_it(document) && text(document, "/tila") == "vastaanotettu");
    let received = world.patience.wait("the county's webhook that the referral is received", received).await??;
    let person = &world.person;
    same("asiakas.hetu", text(&handed, "/asiakas/hetu"), &person.hetu)?;
    same("asiakas.puhelin", text(&handed, "/asiakas/puhelin"), &person.phone)?;
    same("tila", text(&handed, "/tila"), "uusi")?;
    same("luokka.koodi", text(&handed, "/luokka/koodi"), "Hom")?;
    same("diagnoosit[0].koodi", text(&handed, "/diagnoosit/0/koodi"), "S72.0")?;
    ensure(!text(&handed, "/liitteet/0/sisalto").is_empty(), "the discharge letter did not reach the county")?;
    let order = case.read(&case.known.order).await?;
    case.console.moved("Silta", "County", "POST /v1/palvelupyynnot", "the referral, in the county's own words");
    case.console.beside(&[
        (native(&handed, "/asiakas/hetu"), shown(&order, "/subject/reference")),
        (native(&handed, "/kiireellisyys"), shown(&order, "/priority")),
        (native(&handed, "/luokka/koodi"), shown(&order, "/category/0/coding/0/code")),
        (native(&handed, "/tunnisteet/0/arvo"), shown(&order, "/identifier/0/value")),
        (native(&handed, "/liitteet/0/tyyppi"), shown(&order, "/supportingInfo/0/reference")),
    ]);
    case.known.referral_there = text(&received, "/tunnus").to_owned();
    let task = case.task_in(&case.known.task, "received").await?;
    case.console.moved("County", "Silta", "POST /hooks/county", "received, under the county's own number");
    case.console.beside(&[
        (native(&received, "/tunnus"), String::new()),
        (native(&received, "/tila"), shown(&task, "/status")),
    ]);
    Ok(())
}

async fn accept(case: &Case<'_>) -> Result<(), Broken> {
    let (world, known) = (case.world, &case.known);
    let from = world.county.events.len();
    world.county.change(&known.referral_there, |document| {
        put(document, "tila", json!("hyvaksytty"));
        put(document, "kasittelija", json!("Saarinen Helmi"));
    });
    hooked(case, from, &known.referral_there, "the county's webhook that the referral is accepted").await?;
    let task = case.task_in(&known.task, "accepted").await?;
    let answer = world.hospital.answered("RRI", &known.message);
    let answer = world.patience.wait("the RRI^I12 at the hospital", answer).await?;
    same("MSH-9 of the answer", answer.field("MSH", 9), "RRI^I12^RRI_I12")?;
    answer.answers("the RRI", "AA")?;
    same("MSA-2 of the RRI", answer.field("MSA", 2), &known.message)?;
    same("RF1-1 of the RRI", answer.component("RF1", 1, 1), "A")?;
    same("RF1-6 of the RRI", answer.component("RF1", 6, 1), &known.referral)?;
    same("RF1-11 of the RRI", answer.component("RF1", 11, 1), &known.referral_there)?;
    ensure(answer.lines("PRD").next().is_some(), "the RRI has no PRD")?;
    ensure(answer.says("PID", &world.person.hetu), "the RRI does not say who the patient is")?;
    let referral = world.hospital.referral(&known.message);
    let there = referral.ok_or_else(|| Broken::new("the hospital does not follow its referral"))?;
    same("the hospital's number of its referral", &there.number, &known.referral)?;
    same("the hospital's own note of the county's number", &there.other_number, &known.referral_there)?;
    case.console.moved("County → Silta", "Hospital", "RRI^I12", "accepted: the deferred answer to the hospital's REF");
    case.console.beside(&[
        (format!("MSA     {}|{}", answer.field("MSA", 1), answer.field("MSA", 2)), shown(&task, "/status")),
        (format!("RF1-1   {}", answer.field("RF1", 1)), String::new()),
        (format!("RF1-6   {}", answer.field("RF1", 6)), "the hospital's number of the referral".to_owned()),
        (format!("RF1-11  {}", answer.field("RF1", 11)), "the county's".to_owned()),
    ]);
    case.console.held("the answer names the message that it answers, both numbers, provider and patient");
    Ok(())
}

async fn plan(case: &mut Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let from = world.county.events.len();
    let today = world.hospital.today();
    let later = today.saturating_add(jiff::Span::new().days(60));
    let goal = format!("TAV-{}", world.run);
    let number = world.county.write(
        "AS",
        json!({
            "asiakirja": "asiakassuunnitelma",
            "tila": "voimassa",
            "nimi": "Kotiin lonkkamurtuman jälkeen",
            "kuvaus": "Asiakas asuu kotona ja liikkuu ulkona apuvälineen kanssa.",
            "laadittu": today.to_string(),
            "voimassa": {"alkaa": today.to_string(), "paattyy": later.to_string()},
            "asiakas": client(case),
            "laatija": {"tunnus": OID, "nimi": NAME},
            "tavoitteet": [{"tunnus": goal, "kuvaus": "Kävelee ulkona rollaattorin kanssa", "tila": "voimassa",
                "alkaa": today.to_string(), "tavoitepaiva": later.to_string()}],
            "palvelut": [{"palvelupyynto": case.known.referral_there}],
            "omatyontekija": "Saarinen Helmi",
            "vastuuyksikko": "Asiakasohjaus, itäinen",
        }),
    );
    hooked(case, from, &number, "the county's webhook with the client plan").await?;
    let found = world.patience.until("the client plan", || async {
        case.the("CarePlan", "the county's", |one| text(one, "/meta/source").ends_with(":county")).await
    });
    let plan = found.await?;
    ensure(
        each(&plan, "activity", "/reference/reference").contains(&case.known.order.as_str()),
        "the plan's activities do not refer to the hospital's order",
    )?;
    let team = case.read(text(&plan, "/careTeam/0/reference")).await?;
    let owner = text(&case.read(&case.known.task).await?, "/owner/reference").to_owned();
    ensure(
        each(&team, "participant", "/member/reference").contains(&owner.as_str()),
        "the owner of the accepted Task is not in the care team",
    )?;
    let document = world.county.document(&number);
    case.console.moved(
        "County",
        "Silta",
        "POST /hooks/county",
        "the client plan; read live from the county when asked for",
    );
    case.console.beside(&[
        (native(&document, "/nimi"), shown(&plan, "/title")),
        (native(&document, "/tavoitteet/0/kuvaus"), shown(&plan, "/goal/0/reference")),
        (native(&document, "/palvelut/0/palvelupyynto"), shown(&plan, "/activity/0/reference/reference")),
        (native(&document, "/omatyontekija"), "kept with the original".to_owned()),
        (String::new(), shown(&team, "/participant/0/member/reference")),
    ]);
    case.console
        .held("the county's number of the referral leads to the hospital's order; accepting it joined the care team");
    case.known.plan = reference(&plan);
    case.known.plan_there = number;
    Ok(())
}

async fn order(case: &mut Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let from = world.county.events.len();
    let today = world.hospital.today();
    let later = today.saturating_add(jiff::Span::new().days(42));
    let number = world.county.write(
        "PT",
        json!({
            "asiakirja": "palvelutilaus",
            "tila": "uusi",
            "kiireellisyys": "rutiini",
            "kirjattu": world.now().to_string(),
            "asiakas": client(case),
            "tilaaja": {"tunnus": OID, "nimi": NAME},
            "vastaanottaja": {"tunnus": home_care::OID, "nimi": home_care::NAME},
            "luokka": {"koodi": "Hom", "koodisto": "http://terminology.hl7.org/CodeSystem/v2-0281", "nimi": "Home Care"},
            "palvelu": {"koodi": "kotikuntoutus", "koodisto": SERVICES, "nimi": "Kotikuntoutus"},
            "perustelu": "Kävelyharjoitus kolmesti viikossa.",
            "voimassa": {"alkaa": today.to_string(), "paattyy": later.to_string()},
            "asiakassuunnitelma": case.known.plan_there,
            "peruste": case.known.referral_there,
            "kasittelija": "Saarinen Helmi",
        }),
    );
    hooked(case, from, &number, "the county's webhook with the order").await?;
    let is_it = |one: &Value| each(one, "identifier", "/value").contains(&number.as_str());
    let order = case.the("ServiceRequest", "the county's order for home care", is_it).await?;
    let focus = reference(&order);
    let task = case.the("Task", "of that order", |one| text(one, "/focus/reference") == focus).await?;
    let based_on = each(&order, "basedOn", "/reference");
    ensure(based_on.contains(&case.known.plan.as_str()), "the order is not basedOn the plan")?;
    ensure(based_on.contains(&case.known.order.as_str()), "the order is not basedOn the hospital's")?;
    ensure(
        each(&task, "partOf", "/reference").contains(&case.known.task.as_str()),
        "the new Task is not partOf that of the referral",
    )?;
    // The order becomes part of the plan, and the referral is being worked on.
    let from = world.county.events.len();
    world.county.change(&case.known.plan_there, |document| {
        if let Some(services) = document.get_mut("palvelut").and_then(Value::as_array_mut) {
            services.push(json!({"palvelupyynto": number}));
        }
    });
    world.county.change(&case.known.referral_there, |document| put(document, "tila", json!("kesken")));
    hooked(case, from, &case.known.plan_there, "the county's webhook with the plan").await?;
    hooked(case, from, &case.known.referral_there, "the county's webhook that the referral is worked on").await?;
    let first = case.task_in(&case.known.task, "in-progress").await?;
    let document = world.county.document(&number);
    case.console.moved("County", "Silta", "POST /hooks/county", "home rehabilitation is ordered from a provider");
    case.console.beside(&[
        (native(&document, "/palvelu/nimi"), shown(&order, "/code/coding/0/display")),
        (native(&document, "/asiakassuunnitelma"), shown(&order, "/basedOn/0/reference")),
        (native(&document, "/peruste"), shown(&task, "/partOf/0/reference")),
        (native(&document, "/vastaanottaja/nimi"), shown(&task, "/owner/reference")),
        (String::new(), format!("the referral's own {}", shown(&first, "/status"))),
    ]);
    case.console.held("the order is based on plan and referral, its Task is part of the referral's");
    case.known.home_care_there = number;
    case.known.home_care_order = focus;
    case.known.home_care_task = reference(&task);
    Ok(())
}

/// The client as the county writes it.
fn client(case: &Case<'_>) -> Value {
    let person = &case.world.person;
    json!({
        "hetu": person.hetu, "sukunimi": person.family, "etunimet": person.names(), "puhelin": person.phone,
        "osoite": {"katu": person.street, "postinumero": person.postal, "postitoimipaikka": person.city},
    })
}

/// Waits for the next webhook about a document.
async fn hooked(case: &Case<'_>, from: usize, number: &str, what: &str) -> Result<Value, Broken> {
    let hooked = case.world.county.hooked(from, |document| text(document, "/tunnus") == number);
    case.world.patience.wait(what, hooked).await?
}

/// A member of a JSON document for the left column: `"tila": "uusi"`.
pub(super) fn native(document: &Value, pointer: &str) -> String {
    let name = pointer.split('/').rfind(|step| step.parse::<usize>().is_err()).unwrap_or("");
    let value = document.pointer(pointer).cloned().unwrap_or(Value::Null);
    format!("\"{name}\": {value}")
}
