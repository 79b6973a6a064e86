//! Step 1: the hospital's messages become a patient, an order and its Task.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::case_manager::text;
use super::super::county;
use super::super::events::{Broken, ensure, same};
use super::super::hl7::escaped;
use super::super::hospital::{NAME, OID, PATIENTS, REFERRALS, Sent};
use super::{Case, each, reference, shown};

/// PID-13 of a message.
#[derive(Clone, Copy)]
enum Phone<'p> {
    Number(&'p str),
    /// Nothing is said: what is known stays.
    Empty,
    /// `""`: what is known goes.
    Null,
}

/// The discharge letter.
pub(super) const LETTER: &str = "Epikriisi. Reisiluun kaulan murtuma, hoidettu puoliproteesilla. Kävelee rollaattorilla. \
     Kotikuntoutus kolmesti viikossa kuuden viikon ajan; haavan hakaset pois 12. päivänä.";

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    admit(case).await?;
    change_phone(case).await?;
    refer(case).await?;
    discharge(case).await
}

async fn admit(case: &Case<'_>) -> Result<(), Broken> {
    let person = &case.world.person;
    let sent = adt(case, "A01", Phone::Number(&person.old_phone)).await?;
    let patient = patient(case).await?;
    same("the patient's name", text(&patient, "/name/0/family"), person.family)?;
    same("the telephone number", &phones(&patient), &person.old_phone)?;
    case.console.moved("Hospital", "Silta", "ADT^A01", "admission");
    let message = sent.message();
    case.console.beside(&[
        (
            format!("PID-3   {}", message.field("PID", 3).split('~').next().unwrap_or("")),
            shown(&patient, "/identifier/0/value"),
        ),
        (format!("PID-5   {}", message.field("PID", 5)), shown(&patient, "/name/0/family")),
        (format!("PID-13  {}", message.field("PID", 13)), shown(&patient, "/telecom/0/value")),
    ]);
    case.console.held("committed and acknowledged: MSA-1 CA at once, ACK^A01 with AA as a message of its own");
    Ok(())
}

async fn change_phone(case: &Case<'_>) -> Result<(), Broken> {
    let person = &case.world.person;
    let sent = adt(case, "A08", Phone::Number(&person.phone)).await?;
    let changed = patient(case).await?;
    same("the new telephone number", &phones(&changed), &person.phone)?;
    case.console.moved("Hospital", "Silta", "ADT^A08", "a new telephone number, then one left empty, then one deleted");
    let line = |field: &str| format!("PID-13  {field}");
    let mut lines = vec![(line(sent.message().field("PID", 13)), shown(&changed, "/telecom/0/value"))];

    adt(case, "A08", Phone::Empty).await?;
    let kept = patient(case).await?;
    same("the telephone number after an empty PID-13", &phones(&kept), &person.phone)?;
    lines.push((line(""), shown(&kept, "/telecom/0/value")));

    adt(case, "A08", Phone::Null).await?;
    let without = patient(case).await?;
    same("the telephone number after PID-13 = \"\"", &phones(&without), "")?;
    lines.push((line("\"\""), shown(&without, "/telecom")));
    case.console.beside(&lines);
    case.console.held("an empty field keeps what is known, \"\" deletes it");
    Ok(())
}

async fn refer(case: &mut Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let number = format!("REF-{}", world.run);
    let sent = world
        .hospital
        .send("REF^I12^REF_I12", "ASIAKASOHJAUS", |time| referral(case, &number, time), &world.patience)
        .await?;
    sent.answer().answers("the accept acknowledgement of the REF", "CA")?;
    let order = case.the("ServiceRequest", "active", |one| text(one, "/status") == "active").await?;
    let task = case.the("Task", "of the referral", |one| text(one, "/focus/reference") == reference(&order)).await?;
    ensure(
        each(&order, "identifier", "/value").contains(&number.as_str()),
        "the order does not bear the hospital's number of it",
    )?;
    let owner = case.read(text(&task, "/owner/reference")).await?;
    let requester = case.read(text(&task, "/requester/reference")).await?;
    case.console.moved(
        "Hospital",
        "Silta",
        "REF^I12",
        "home rehabilitation is asked for, the discharge letter with it",
    );
    let message = sent.message();
    case.console.beside(&[
        (format!("RF1-2   {}", message.field("RF1", 2)), shown(&order, "/priority")),
        (format!("RF1-3   {}", message.field("RF1", 3)), shown(&order, "/category/0/coding/0/code")),
        (format!("RF1-6   {}", message.field("RF1", 6)), shown(&order, "/identifier/0/value")),
        (format!("DG1-3   {}", message.field("DG1", 3)), shown(&order, "/reasonReference/0/reference")),
        (message.lines("OBX").next().unwrap_or("").to_owned(), shown(&order, "/supportingInfo/0/reference")),
        (format!("PRD RT  {}", performer(&message)), format!("Task.owner  {}", name_of(&owner))),
        (format!("PRD RP  {}", message.field("PRD", 4)), format!("Task.requester  {}", name_of(&requester))),
        (String::new(), shown(&task, "/status")),
    ]);

    let again = world.hospital.exchange(&sent.bytes, &world.patience).await?;
    ensure(again == sent.answer, "the message sent again got another acknowledgement")?;
    let orders = case.of_person("ServiceRequest").await?.len();
    let tasks = case.of_person("Task").await?.len();
    ensure((orders, tasks) == (1, 1), format!("the message sent again left {orders} orders and {tasks} Tasks"))?;
    case.console.held("sent again, byte for byte: the same acknowledgement, still one order and one Task");

    case.known.message.clone_from(&sent.control);
    case.known.referral = number;
    case.known.order = reference(&order);
    case.known.task = reference(&task);
    Ok(())
}

async fn discharge(case: &Case<'_>) -> Result<(), Broken> {
    adt(case, "A03", Phone::Number(&case.world.person.phone)).await?;
    same("the telephone number", &phones(&patient(case).await?), &case.world.person.phone)?;
    case.console.moved("Hospital", "Silta", "ADT^A03", "discharge home");
    Ok(())
}

/// Sends an ADT and waits until both acknowledgements have come.
async fn adt(case: &Case<'_>, event: &str, phone: Phone<'_>) -> Result<Sent, Broken> {
    let world = case.world;
    let structure = if event == "A03" { "ADT_A03" } else { "ADT_A01" };
    let segments = |time: &str| {
        let class = "PV1|1|I|ORTO^12^2^SAIRAALA";
        vec![format!("EVN|{event}|{time}"), pid(case, phone), class.to_owned()]
    };
    let sent = world.hospital.send(&format!("ADT^{event}^{structure}"), "SILTA", segments, &world.patience).await?;
    sent.answer().answers(&format!("the accept acknowledgement of ADT^{event}"), "CA")?;
    let what = format!("the application acknowledgement of ADT^{event}");
    let answer = world.patience.wait(&what, world.hospital.answered("ACK", &sent.control)).await?;
    answer.answers(&what, "AA")?;
    Ok(sent)
}

/// The hospital's patient, as the gateway has it.
async fn patient(case: &Case<'_>) -> Result<Value, Broken> {
    case.the("Patient", "the hospital's", |one| text(one, "/meta/source").ends_with(":hospital")).await
}

fn phones(patient: &Value) -> String {
    each(patient, "telecom", "/value").join(", ")
}

/// The name of an organisation, or the organisation of a role.
fn name_of(resource: &Value) -> &str {
    let name = text(resource, "/name");
    if name.is_empty() { text(resource, "/organization/reference") } else { name }
}

/// The place of the provider who is to do it.
fn performer(message: &super::super::hl7::Message) -> String {
    let line = message.lines("PRD").find(|line| line.starts_with("PRD|RT"));
    line.and_then(|line| line.split('|').nth(4)).unwrap_or("").to_owned()
}

fn pid(case: &Case<'_>, phone: Phone<'_>) -> String {
    let person = &case.world.person;
    let number = format!("P{}", case.world.run);
    let phone = match phone {
        Phone::Number(number) => format!("{}^PRN^CP", escaped(number)),
        Phone::Empty => String::new(),
        Phone::Null => "\"\"".to_owned(),
    };
    format!(
        "PID|1||{hetu}^^^&1.2.246.21&ISO^NNFIN~{number}^^^SAIRAALA&{PATIENTS}&ISO^PI||{family}^{given}^{second}^^^^L||{born}|{sex}|||\
         {street}^^{city}^^{postal}^FI^H||{phone}",
        hetu = person.hetu,
        family = escaped(person.family),
        given = escaped(person.given),
        second = escaped(person.second),
        born = person.born.strftime("%Y%m%d"),
        sex = person.sex(),
        street = escaped(&person.street),
        city = person.city,
        postal = person.postal,
    )
}

/// The segments of the referral after its first line.
fn referral(case: &Case<'_>, number: &str, time: &str) -> Vec<String> {
    let today = case.world.hospital.today();
    let day = |days: i64| today.saturating_add(jiff::Span::new().days(days)).strftime("%Y%m%d").to_string();
    let letter = STANDARD.encode(LETTER);
    let county_oid = county::OID;
    vec![
        format!(
            "RF1|P^Pending^HL70283|A^ASAP^HL70280|Hom^Home Care^HL70281|||{number}^SAIRAALA^{REFERRALS}^ISO|{}|{}|{time}",
            day(0),
            day(60)
        ),
        format!("PRD|RP^Referring Provider^HL70286|||^^^SAIRAALA&{OID}&ISO^^^^^{}", escaped(NAME)),
        format!(
            "PRD|RT^Referred to Provider^HL70286|||^^^ASIAKASOHJAUS&{county_oid}&ISO^^^^^{}",
            escaped(county::NAME)
        ),
        pid(case, Phone::Number(&case.world.person.phone)),
        format!("DG1|1||S72.0^Reisiluun kaulan murtuma^I10||{}|F", day(-6)),
        format!("OBR|1||LET-{number}^SAIRAALA|11490-0^Epikriisi^LN|||{time}||||||||||||||||||F"),
        format!("OBX|1|ED|11490-0^Epikriisi^LN||^TEXT^plain^Base64^{letter}||||||F"),
        "NTE|1||Kotikuntoutus lonkkamurtuman jälkeen. Asuu yksin, hissitalo.".to_owned(),
    ]
}
