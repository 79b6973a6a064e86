//! What bad input gets, over real sockets, from a gateway as `silta serve` starts it: refused in the sender's own terms,
//! kept, told to the operators, with the connection kept and what is good going through.

use serde_json::{Value, json};

use crate::support::mllp::{Line, Peer, framed};
use crate::support::station::Station;
use crate::support::time::{soon, until};
use crate::support::web::{self, Server};

/// A hospital that sends and takes messages, and the county that its referrals go to.
pub(crate) fn hospital(port: u16) -> String {
    format!(
        r#"
[providers.hospital]
mode = "test"
organisations = ["urn:test|hospital"]
[providers.hospital.mllp]
address = "127.0.0.1:{port}"
types = {{ MessageHeader = {{ create = true }}, ServiceRequest = {{ create = true, update = true }} }}
[providers.hospital.map]
task = "ref-i12"
answers = true
time_zone = "Europe/Helsinki"
identifier_types = {{ NNFIN = "urn:oid:1.2.246.21" }}
facilities = {{ ASIAKASOHJAUS = "urn:test|county", MUUALLA = "urn:test|nobody" }}
[[mllp]]
provider = "hospital"
listen = "127.0.0.1:0"
frame_limit = 32768
[providers.county]
mode = "test"
organisations = ["urn:test|county"]
"#
    )
}

/// A message of a version, in original mode, with its segments.
fn message(version: &str, kind: &str, control: &str, segments: &[&str]) -> String {
    let head = format!("MSH|^~\\&|EPR|SAIRAALA|SILTA|ASIAKASOHJAUS|20260302091400+0200||{kind}|{control}|T|{version}");
    format!("{head}\r{}\r", segments.join("\r"))
}

const PID: &str = "PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN~4711^^^EPR&1.2.246.10.99999001.20.1&ISO^PI||\
                   Koivisto^Aino||19470314|F";

pub(crate) fn admission(control: &str) -> String {
    message("2.5.1", "ADT^A01^ADT_A01", control, &["EVN||20260302090000+0200", PID, "PV1|1|I|OS1"])
}

pub(crate) fn referral(control: &str, to: &str) -> String {
    let segments = [
        "RF1|P|A|Hom|||REF-1^EPR^1.2.246.10.99999001.30.1^ISO|20260302||20260302091400+0200",
        "PRD|RP|Lääkäri^Liisa||^^^Sairaala",
        PID,
        "OBR|1|||18842-5^Discharge summary^LN|||20260302",
    ];
    message("2.5.1", "REF^I12^REF_I12", control, &segments).replace("|ASIAKASOHJAUS|", &format!("|{to}|"))
}

/// The same message in enhanced mode, with both acknowledgements wanted.
fn enhanced(message: &str) -> String {
    let (head, rest) = message.split_once('\r').unwrap();
    format!("{head}|||AL|AL\r{rest}")
}

/// Sends a message and gives the fields of MSH, MSA and ERR of what is answered.
pub(crate) async fn ask(line: &mut Line, message: &str) -> [Vec<String>; 3] {
    line.send(message).await;
    parts(&line.receive().await.expect("an answer"))
}

fn parts(answer: &str) -> [Vec<String>; 3] {
    ["MSH", "MSA", "ERR"].map(|name| {
        let segment = answer.split('\r').find(|segment| segment.starts_with(name)).unwrap_or_default();
        segment.split('|').map(str::to_owned).collect()
    })
}

/// MSA-1, and the error code where ERR has it in this version.
fn verdict([header, answer, error]: &[Vec<String>; 3]) -> (String, String) {
    let version = header.get(11).map(String::as_str).unwrap_or_default();
    let field = if ["2.1", "2.2", "2.3", "2.3.1", "2.4"].contains(&version) { 1 } else { 3 };
    let text = error.get(field).cloned().unwrap_or_default();
    let code = if field == 1 { text.split('^').nth(3).unwrap_or_default() } else { text.split('^').next().unwrap() };
    (answer[1].clone(), code.split('&').next().unwrap().to_owned())
}

fn is(parts: &[Vec<String>; 3], code: &str, error: &str) {
    assert_eq!(verdict(parts), (code.to_owned(), error.to_owned()), "{parts:?}");
}

#[tokio::test]
async fn what_a_hospital_gets_wrong_is_refused_in_original_mode_and_its_connection_goes_on() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    let good = async |line: &mut Line, control: &str| {
        let answer = ask(line, &admission(control)).await;
        is(&answer, "AA", "");
        assert_eq!(answer[1][2], control);
    };
    let nonsense = "Hyvää päivää, tässä lähete.";
    is(&ask(&mut line, nonsense).await, "AR", "100");
    good(&mut line, "G1").await;
    // A header that breaks off, and delimiters that are letters.
    is(&ask(&mut line, "MSH\r").await, "AR", "100");
    is(&ask(&mut line, "MSHa^~\\&abc\r").await, "AR", "100");
    good(&mut line, "G2").await;
    let no_control = ask(&mut line, &admission("")).await;
    is(&no_control, "AE", "101");
    assert!(no_control[2][2].starts_with("MSH^1^10"), "{no_control:?}");
    // 104 (value too long) is a code from 2.7 on.
    is(&ask(&mut line, &admission(&"K".repeat(10_000))).await, "AE", "102");
    is(&ask(&mut line, &admission(&"K".repeat(10_000)).replace("2.5.1", "2.7")).await, "AE", "104");
    is(&ask(&mut line, &admission("P1").replace("|T|2.5.1", "|P|2.5.1")).await, "AR", "202");
    is(&ask(&mut line, &admission("P2").replace("|T|2.5.1", "|X|2.5.1")).await, "AR", "202");
    is(&ask(&mut line, &admission("V1").replace("2.5.1", "3.1")).await, "AR", "203");
    is(&ask(&mut line, &admission("T1").replace("ADT^A01^ADT_A01", "XYZ^A01^XYZ_A01")).await, "AR", "200");
    is(&ask(&mut line, &admission("T2").replace("ADT^A01^ADT_A01", "ADT^A99^ADT_A99")).await, "AR", "201");
    good(&mut line, "G3").await;
    // A segment without a name, and one that breaks off.
    is(&ask(&mut line, &admission("S1").replace("PV1|1", "|1")).await, "AE", "100");
    // What is answered at once is the same message's own acknowledgement, whatever stood in it before.
    good(&mut line, "G4").await;
    let nobody = ask(&mut line, &referral("N1", "MUUALLA")).await;
    is(&nobody, "AE", "204");
    let kept = station.stop().await;
    assert!(kept.journalled(nonsense.as_bytes()).await);
    assert!(kept.journalled(admission("V1").replace("2.5.1", "3.1").as_bytes()).await);
    assert!(kept.kinds().await.contains(&"no-recipient".to_owned()));
}

#[tokio::test]
async fn what_an_operator_must_decide_is_shown_and_closed_by_who_decided() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    is(&ask(&mut line, &referral("N1", "MUUALLA")).await, "AE", "204");
    is(&ask(&mut line, &referral("N2", "MUUALLA")).await, "AE", "204");
    let queue = async |query: &str| {
        let answer = station.admin(|client, base| client.get(format!("{base}/queue{query}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.text.contains("140347"), "nothing of the patient");
        answer.json()["open"].as_array().unwrap().clone()
    };
    let open = queue("").await;
    assert_eq!(open.len(), 2, "{open:?}");
    assert_eq!((&open[0]["kind"], &open[0]["provider"]), (&json!("no-recipient"), &json!("hospital")));
    assert!(open[0]["journal"].is_u64() && open[0]["text"].is_string());
    let (first, second) = (open[0]["id"].as_u64().unwrap(), open[1]["id"].as_u64().unwrap());
    assert_eq!(queue(&format!("?after={first}")).await.len(), 1);
    let close = async |id: u64, operator: Option<&str>, decision: &str| {
        let decision = decision.to_owned();
        let answer = station.admin(|client, base| {
            let request = client.post(format!("{base}/queue/{id}")).body(decision);
            match operator {
                Some(name) => request.header("x-operator", name),
                None => request,
            }
        });
        answer.await.status
    };
    assert_eq!(close(first, None, "sent again").await, 400, "nobody said who decided");
    assert_eq!(close(first, Some("Helmi"), "").await, 400, "nor what");
    assert_eq!(close(first, Some("Helmi"), &"x".repeat(3000)).await, 413);
    assert_eq!(close(first, Some("Helmi"), "the recipient is connected now").await, 200);
    assert_eq!(close(first, Some("Helmi"), "again").await, 404, "it is closed");
    let open = queue("").await;
    assert_eq!((open.len(), open[0]["id"].as_u64()), (1, Some(second)));
    let kept = station.stop().await;
    let audit = kept.store.read(|view| view.audit_after(silta::store::AuditSeq::from_number(0), 1000)).await.unwrap();
    assert!(audit.iter().any(|row| row.who == "Helmi" && row.interaction == "decide"));
}

#[tokio::test]
async fn an_error_is_told_in_the_version_of_the_sender() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    for version in ["2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"] {
        let wrong = admission(&format!("W{version}")).replace("|T|2.5.1", &format!("|P|{version}"));
        let answer = ask(&mut line, &wrong).await;
        assert_eq!(answer[0][11], version, "{answer:?}");
        is(&answer, "AR", "202");
    }
}

#[tokio::test]
async fn in_enhanced_mode_what_can_be_kept_is_kept_and_refused_by_a_message_of_its_own() {
    let peer = Peer::plain().await;
    let station = Station::start(&hospital(peer.port())).await;
    let mut line = station.line().await;
    // Before it is kept: at once, as a commit acknowledgement.
    is(&ask(&mut line, &enhanced(&admission("P1").replace("|T|2.5.1", "|P|2.5.1"))).await, "CR", "202");
    is(&ask(&mut line, &enhanced(&admission("V1").replace("2.5.1", "3.1"))).await, "CR", "203");
    is(&ask(&mut line, &enhanced(&admission(""))).await, "CE", "101");
    // After: taken, then refused.
    let nobody = enhanced(&referral("N1", "MUUALLA"));
    is(&ask(&mut line, &nobody).await, "CA", "");
    let mut back = peer.accept().await;
    let deferred = back.receive().await.unwrap();
    let told = parts(&deferred);
    is(&told, "AE", "204");
    assert_eq!((told[1][2].as_str(), told[0][8].as_str()), ("N1", "ACK^I12^ACK"), "{deferred}");
    back.send(&format!("MSH|^~\\&|||||||ACK^I12^ACK|X1|T|2.5.1\rMSA|CA|{}\r", told[0][9])).await;
    // A good one: taken, then accepted.
    is(&ask(&mut line, &enhanced(&admission("G1"))).await, "CA", "");
    let deferred = parts(&back.receive().await.unwrap());
    is(&deferred, "AA", "");
    assert_eq!(deferred[1][2], "G1");
    back.send(&format!("MSH|^~\\&|||||||ACK^A01^ACK|X2|T|2.5.1\rMSA|CA|{}\r", deferred[0][9])).await;
    let kept = station.stop().await;
    assert!(kept.journalled(nobody.as_bytes()).await);
    assert!(kept.kinds().await.contains(&"no-recipient".to_owned()));
}

#[tokio::test]
async fn frames_are_read_however_they_are_cut_and_segments_however_they_end() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    // Two in one packet.
    line.write(&[framed(&admission("A1")), framed(&admission("A2"))].concat()).await;
    for control in ["A1", "A2"] {
        let answer = parts(&line.receive().await.unwrap());
        assert_eq!((answer[1][1].as_str(), answer[1][2].as_str()), ("AA", control));
    }
    // One in many.
    for byte in framed(&admission("A3")) {
        line.write(&[byte]).await;
    }
    assert_eq!(parts(&line.receive().await.unwrap())[1][2], "A3");
    // Segments that end with CR LF, or LF, and one without an end.
    is(&ask(&mut line, &admission("A4").replace('\r', "\r\n")).await, "AA", "");
    is(&ask(&mut line, &admission("A5").replace('\r', "\n")).await, "AA", "");
    is(&ask(&mut line, admission("A6").trim_end()).await, "AA", "");
    let read = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    assert_eq!(read["entry"][0]["resource"]["name"][0]["family"], "Koivisto", "{read}");
    // A frame that begins inside another, and one whose end is half: refused, kept, and the stream goes on.
    let half = admission("B1");
    line.write(&[b"\x0b", &half.as_bytes()[..200], &framed(&admission("A7"))].concat()).await;
    let refused = parts(&line.receive().await.unwrap());
    is(&refused, "AE", "100");
    assert_eq!(refused[1][2], "B1");
    assert_eq!(parts(&line.receive().await.unwrap())[1][2], "A7");
    line.write(&[b"\x0b", admission("B2").as_bytes(), b"\x1cX", &framed(&admission("A8"))].concat()).await;
    let refused = parts(&line.receive().await.unwrap());
    is(&refused, "AE", "100");
    assert_eq!(refused[1][2], "B2");
    loop {
        let answer = parts(&line.receive().await.unwrap());
        if answer[1].get(2).map(String::as_str) == Some("A8") {
            is(&answer, "AA", "");
            break;
        }
    }
    let kept = station.stop().await;
    assert!(kept.journalled(&half.as_bytes()[..200]).await);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_by_its_number_and_nothing_else_suffers() {
    let station = Station::start(&hospital(1)).await;
    let (mut line, mut other) = (station.line().await, station.line().await);
    let large = admission("L1") + &format!("NTE|1||{}\r", "x".repeat(100_000));
    line.write(&framed(&large)).await;
    let answer = parts(&line.receive().await.unwrap());
    is(&answer, "AR", "207");
    assert_eq!(answer[1][2], "L1");
    is(&ask(&mut other, &admission("G1")).await, "AA", "");
    let mut again = station.line().await;
    is(&ask(&mut again, &admission("G2")).await, "AA", "");
    assert!(station.stop().await.kinds().await.contains(&"refused".to_owned()));
}

#[tokio::test]
async fn a_character_set_that_is_not_the_declared_one_is_refused_and_a_declared_one_is_read() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    let named = |control: &str, charset: &str| {
        let head = admission(control).replace("Koivisto^Aino", "Hämäläinen^Aino");
        head.replacen("|2.5.1\r", &format!("|2.5.1||||||{charset}\r"), 1)
    };
    let latin1 = |text: &str| text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect::<Vec<u8>>();
    let send = async |line: &mut Line, bytes: &[u8]| {
        line.write(&[b"\x0b", bytes, b"\x1c\r"].concat()).await;
        parts(&line.receive().await.unwrap())
    };
    let refused = send(&mut line, &latin1(&named("C1", "UNICODE UTF-8"))).await;
    is(&refused, "AE", "100");
    assert!(refused[2].last().unwrap().contains("segment 3"), "{refused:?}");
    assert!(!refused[2].last().unwrap().contains("Koivisto"), "{refused:?}");
    let unknown = send(&mut line, &latin1(&named("C2", "KLINGON"))).await;
    assert_eq!(unknown[1][1], "AE", "{unknown:?}");
    is(&send(&mut line, &latin1(&named("C3", "8859/1"))).await, "AA", "");
    let read = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    assert_eq!(read["entry"][0]["resource"]["name"][0]["family"], "Hämäläinen", "{read}");
    is(&send(&mut line, named("C4", "UNICODE UTF-8").as_bytes()).await, "AA", "");
}

#[tokio::test]
async fn an_older_event_after_a_newer_one_is_kept_and_reported_and_changes_nothing() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    let change = |control: &str, hour: &str, phone: &str| {
        let pid = format!("{PID}|||||{phone}");
        let event = format!("EVN||20260302{hour}0000+0200");
        message("2.5.1", "ADT^A08^ADT_A01", control, &[&event, &pid, "PV1|1|I|OS1"])
    };
    is(&ask(&mut line, &change("E1", "12", "+358401111111")).await, "AA", "");
    let older = change("E2", "10", "+358402222222");
    is(&ask(&mut line, &older).await, "AA", "");
    let read = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    assert_eq!(read["entry"][0]["resource"]["telecom"][0]["value"], "+358401111111", "{read}");
    let kept = station.stop().await;
    assert!(kept.journalled(older.as_bytes()).await);
    assert!(kept.kinds().await.contains(&"older".to_owned()));
}

#[tokio::test]
async fn an_unknown_patient_is_not_found_or_an_empty_bundle_and_an_oversized_body_is_413() {
    let station = Station::start(&hospital(1)).await;
    assert_eq!(station.get("/Patient/hospital.9999").await.issue().0, 404);
    assert_eq!(station.get("/Task/unheard-of").await.issue().0, 404);
    let found = station.search("CarePlan", &[("patient.identifier", "urn:oid:1.2.246.21|010150-900A")]).await;
    assert_eq!((&found["type"], &found["total"]), (&json!("searchset"), &json!(0)), "{found}");
    let large = format!("{{\"resourceType\":\"ServiceRequest\",\"x\":\"{}\"}}", "y".repeat(100_000));
    let answer = station.post("/ServiceRequest", "application/fhir+json", large.clone()).await;
    assert_eq!(answer.issue(), (413, "error".to_owned(), "too-long".to_owned()));
    let answer = station.post("/hooks/county", "application/json", large).await;
    assert_eq!(answer.issue(), (413, "error".to_owned(), "too-long".to_owned()));
}

#[tokio::test]
async fn an_order_for_nobody_or_for_several_is_refused_and_an_operator_is_told() {
    let providers = hospital(1)
        + r#"
[providers.one]
mode = "test"
organisations = ["urn:test|one"]
routing = { municipalities = ["837"], services = [] }
[providers.two]
mode = "test"
organisations = ["urn:test|two"]
routing = { municipalities = ["837"], services = [] }
"#;
    let station = Station::start(&providers).await;
    let mut line = station.line().await;
    is(&ask(&mut line, &admission("A1")).await, "AA", "");
    let patient = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    let id = patient["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let order = |performer: Value| {
        json!({
            "resourceType": "ServiceRequest", "status": "active", "intent": "order",
            "subject": {"reference": format!("Patient/{id}")}, "performer": [performer]
        })
        .to_string()
    };
    let nobody = order(json!({"identifier": {"system": "urn:test", "value": "nobody"}}));
    let answer = station.post("/ServiceRequest", "application/fhir+json", nobody).await;
    assert_eq!(answer.issue().0, 422, "{}", answer.text);
    let good = order(json!({"identifier": {"system": "urn:test", "value": "county"}}));
    assert_eq!(station.post("/ServiceRequest", "application/fhir+json", good).await.status, 201);
    let kept = station.stop().await;
    let notices = kept.notices().await;
    assert_eq!(notices.iter().filter(|notice| notice.kind == "no-recipient").count(), 1);
    let text = &notices.iter().find(|notice| notice.kind == "no-recipient").unwrap().text;
    assert!(!text.contains("140347-9120"), "{text}");
}

#[tokio::test]
async fn a_caller_cannot_say_that_a_resource_comes_from_somebody_else() {
    let station = Station::start(&hospital(1)).await;
    let mut line = station.line().await;
    is(&ask(&mut line, &admission("A1")).await, "AA", "");
    let patient = station.search("Patient", &[("identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    let id = patient["entry"][0]["resource"]["id"].as_str().unwrap();
    let claim = json!({"source": "urn:silta:provider:hospital", "tag": [{"code": "mine"}]});
    let order = json!({
        "resourceType": "ServiceRequest", "meta": claim, "status": "active", "intent": "order",
        "subject": {"reference": format!("Patient/{id}")},
        "performer": [{"identifier": {"system": "urn:test", "value": "county"}}]
    });
    let made = station.post("/ServiceRequest", "application/fhir+json", order.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let meta = &made.json()["meta"];
    assert_eq!(
        (&meta["source"], &meta["tag"][0]["code"], &meta["versionId"]),
        (&Value::Null, &json!("mine"), &json!("1"))
    );
    // The Task of an order of the hospital's is the hospital's, whatever is said when it is changed.
    is(&ask(&mut line, &referral("R1", "ASIAKASOHJAUS")).await, "AA", "");
    let own = made.json()["id"].as_str().unwrap().to_owned();
    let referred = station.search("Task", &[("patient", id)]).await;
    let tasks = referred["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    for task in tasks.filter(|resource| resource["resourceType"] == "Task") {
        let mut changed = task.clone();
        changed["meta"] = json!({"source": "urn:silta:provider:county"});
        changed["description"] = json!("changed");
        let put = station.put(&format!("/Task/{}", task["id"].as_str().unwrap()), "W/\"1\"", changed.to_string()).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let after = put.json();
        assert_eq!(after["meta"]["source"], task["meta"]["source"]);
        assert_eq!(after["meta"]["source"].is_null(), task["id"] == own.as_str());
        assert_eq!(after["meta"]["versionId"], "2");
    }
    assert_eq!(referred["total"], 2);
    drop(station.stop().await);
}

/// A county that answers with what it has in hand.
fn county(port: u16) -> String {
    format!(
        r#"
[providers.county]
mode = "test"
organisations = ["urn:test|county"]
[providers.county.http]
base = "http://127.0.0.1:{port}/"
plaintext = true
patient_identifiers = ["urn:oid:1.2.246.21"]
[providers.county.http.documents.asiakassuunnitelma]
types = ["CarePlan", "Goal"]
schema = {{ name = "fi/schemas/asiakassuunnitelma.schema.json" }}
id = "/tunnus"
list = {{ path = "haku", body = {{ hetu = "{{identifier}}" }}, items = "/tulokset" }}
get = {{ path = "suunnitelmat/{{id}}" }}
[providers.county.map]
maps = ["fi-palvelupyynto", "fi-asiakassuunnitelma"]
"#
    )
}

#[tokio::test]
async fn json_that_is_none_is_an_issue_of_a_search_and_a_502_of_a_read_and_is_journalled() {
    const BROKEN: &str = "{\"tulokset\": [{\"asiakirja\": ";
    let server = Server::plain(|_| web::json(200, BROKEN)).await;
    let station = Station::start(&county(server.port())).await;
    let found = station.search("CarePlan", &[("patient.identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
    assert_eq!(found["type"], "searchset");
    let entries = found["entry"].as_array().unwrap();
    let outcome = entries.iter().find(|entry| entry["search"]["mode"] == "outcome").unwrap();
    assert!(outcome.to_string().contains("county"), "{outcome}");
    let answer = station.get("/CarePlan/county.AS-1").await;
    assert_eq!(answer.issue().0, 502, "{}", answer.text);
    assert!(!answer.text.contains("tulokset"));
    assert!(station.stop().await.journalled(BROKEN.as_bytes()).await);
}

#[tokio::test]
async fn a_posted_document_that_cannot_be_read_or_breaks_its_schema_is_told_where() {
    let station = Station::start(&county(1)).await;
    let post = async |text: &str| station.post("/hooks/county", "application/json", text.to_owned()).await;
    let (status, _, code) = post("{\"asiakirja\": \"lahete\",}").await.issue();
    assert_eq!((status, code.as_str()), (400, "structure"));
    let plan = json!({
        "asiakirja": "asiakassuunnitelma", "tunnus": "AS-1", "versio": 1, "tila": "voimassa", "nimi": "Kotiin",
        "laadittu": "2026-03-03", "voimassa": {"alkaa": "2026-03-03"},
        "asiakas": {"hetu": "140347-9120", "sukunimi": "Koivisto", "etunimet": "Aino"},
        "laatija": {"tunnus": "1.2.246.10.99999002.10.0", "nimi": "Asiakasohjaus"}, "palvelut": []
    });
    let mut wrong = plan.clone();
    wrong["tila"] = json!("ehkä");
    let answer = post(&wrong.to_string()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    assert!(answer.text.contains("$.tila"), "{}", answer.text);
    assert!(!answer.text.contains("140347"));
    let answer = post(&plan.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = station.post("/hooks/county", "text/plain", "hei").await;
    assert_eq!(answer.issue().0, 415);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside_with_row_and_column_and_the_others_go_through() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let station = Station::start_in(
        folder,
        r#"
[providers.home-care]
mode = "test"
organisations = ["urn:ietf:rfc:3986|urn:oid:1.2.246.10.99999003.10.0"]
[providers.home-care.map]
maps = ["fi-kotihoito-tilaus", "fi-kotihoito-suunnitelma", "fi-kotihoito-toteuma"]
time_zone = "Europe/Helsinki"
charset = "windows-1252"
table = { separator = ";" }
[[collect]]
provider = "home-care"
folder = "out"
name = "{any}-{sequence}.csv"
poll = "20ms"
file_limit = 4096
"#,
    )
    .await;
    let sample = include_bytes!("../../../profiles/fi/samples/toteuma.csv");
    let sample: String = sample.iter().map(|byte| char::from(*byte)).filter(char::is_ascii).collect();
    let (head, row) = sample.trim_end().split_once("\r\n").unwrap();
    let row = row.lines().next().unwrap();
    let columns: Vec<&str> = head.split(';').collect();
    let began = columns.iter().position(|column| *column == "alkoi").unwrap();
    let number = columns.iter().position(|column| *column == "kayntinro").unwrap();
    let person = columns.iter().position(|column| *column == "hetu").unwrap();
    let changed = |place: usize, text: &str, id: &str| {
        let mut cells: Vec<String> = row.split(';').map(str::to_owned).collect();
        text.clone_into(&mut cells[place]);
        if place != number {
            id.clone_into(&mut cells[number]);
        }
        cells.join(";")
    };
    let good = [changed(number, "K-1", ""), changed(number, "K-4", "")];
    let wrong = [changed(began, "eilen", "K-2"), format!("{};liikaa;liikaa", changed(number, "K-3", ""))];
    let nobody = changed(person, "", "K-5");
    let text = format!("{head}\r\n{}\r\n{}\r\n{}\r\n{}\r\n{nobody}\r\n", good[0], wrong[0], wrong[1], good[1]);
    let (part, whole) = (station.path("out/toteuma-000001.csv.part"), station.path("out/toteuma-000001.csv"));
    std::fs::write(&part, text).unwrap();
    std::fs::rename(&part, &whole).unwrap();
    let error = station.path("out/set-aside/toteuma-000001.csv.error.txt");
    until("the file is set aside in part", || error.exists() && station.path("out/done/toteuma-000001.csv").exists())
        .await;
    let told = std::fs::read_to_string(&error).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("row 3/alkoi")), "{told}");
    assert!(lines.iter().any(|line| line.starts_with("row 4")), "{told}");
    assert!(lines.iter().any(|line| line.starts_with("row 6/hetu: ")), "{told}");
    assert!(!told.contains("eilen"), "{told}");
    let aside = std::fs::read(station.path("out/set-aside/toteuma-000001.csv")).unwrap();
    assert_eq!(String::from_utf8(aside).unwrap().lines().count(), 4, "the header and the rows that were not taken");
    for id in ["K-1", "K-4"] {
        assert_eq!(station.get(&format!("/Encounter/home-care.{id}")).await.status, 200, "{id}");
    }
    assert_eq!(station.get("/Encounter/home-care.K-2").await.status, 404);
    std::fs::write(&part, "x".repeat(5000)).unwrap();
    std::fs::rename(&part, station.path("out/toteuma-000002.csv")).unwrap();
    let aside = station.path("out/set-aside/toteuma-000002.csv");
    until("the file that is too large is set aside", || aside.exists()).await;
    let kept = station.stop().await;
    let told: Vec<String> = kept.notices().await.into_iter().map(|notice| notice.text).collect();
    assert!(told.iter().any(|text| text.contains("file 2 was set aside unread")), "{told:?}");
    assert_eq!(told.len(), 4, "three rows and a file: {told:?}");
}

#[tokio::test]
async fn truncation_at_every_byte_never_gets_a_positive_answer_and_never_ends_the_gateway() {
    let station = Station::start(&hospital(1)).await;
    let whole = referral("Z1", "ASIAKASOHJAUS");
    let end = whole.find("\rRF1").unwrap();
    let mut line = station.line().await;
    for length in (1..end).step_by(3) {
        let Some(cut) = whole.get(..length) else { continue };
        line.send(cut).await;
        let Some(answer) = line.receive().await else {
            line = station.line().await;
            continue;
        };
        let answer = parts(&answer);
        assert!(["AE", "AR"].contains(&answer[1][1].as_str()), "{length}: {answer:?}");
    }
    soon(async { is(&ask(&mut line, &admission("G1")).await, "AA", "") }).await;
}
