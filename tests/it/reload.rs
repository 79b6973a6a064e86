//! What of a running program is exchanged by another configuration, by other maps and by other files: providers, maps,
//! listeners, folders. What is good is taken over whole, what is bad is refused whole.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use crate::support::mllp::{Line, Peer};
use crate::support::program::{Program, SECRET, configuration};
use crate::support::time::{soon, until};
use crate::support::web::{Answer, Seen, Server, respond};

const TAKEN: &str = "configuration and certificates read again";
const REFUSED: &str = "the new configuration is refused, the old one stays in use";
const PATIENT: &str = "urn:oid:1.2.246.21|140347-9120";

/// A FHIR server that has one plan of the patient, with this title.
async fn association(title: &'static str) -> Server {
    Server::plain(move |seen| plans(seen, title)).await
}

fn plans(seen: &Seen, title: &str) -> Answer {
    let plan = json!({
        "resourceType": "CarePlan", "id": "p1", "status": "active", "intent": "plan", "title": title,
        "subject": {"identifier": {"system": "urn:oid:1.2.246.21", "value": "140347-9120"}}
    });
    if seen.target.ends_with("/_search") {
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": plan}]});
        return respond(200, "application/fhir+json", bundle.to_string());
    }
    respond(200, "application/fhir+json", plan.to_string())
}

fn fhir(name: &str, base: &str) -> String {
    format!(
        "[providers.{name}]\nmode = 'test'\norganisations = ['urn:o|{name}']\n[providers.{name}.fhir]\nbase = '{base}'\n\
         types = {{ CarePlan = {{ search = true, read = true }} }}\n"
    )
}

/// A configuration whose caller is one for made-up persons.
fn with(more: &str) -> String {
    configuration(&format!("mode = 'test'\n{more}"))
}

struct Caller {
    client: reqwest::Client,
    url: String,
}

impl Caller {
    async fn of(program: &mut Program) -> Self {
        Self { url: program.url().await, client: program.caller() }
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(SECRET);
        let text = soon(soon(request.send()).await.unwrap().text()).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn plans(&self) -> String {
        let request = self.client.post(format!("{}/CarePlan/_search", self.url)).bearer_auth(SECRET);
        let form = format!("patient.identifier={}", PATIENT.replace('|', "%7C"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        soon(soon(request.send()).await.unwrap().text()).await.unwrap()
    }

    async fn convert(&self, document: &str) -> String {
        let request = self.client.post(format!("{}/$silta-convert", self.url)).bearer_auth(SECRET);
        let request = request.header("content-type", "application/json").body(document.to_owned());
        soon(soon(request.send()).await.unwrap().text()).await.unwrap()
    }
}

#[tokio::test]
async fn a_provider_that_moves_is_asked_at_its_new_address_and_nothing_of_before_is_given() {
    let (one, two) = (association("before").await, association("after").await);
    let mut program = Program::configured(&with(&fhir("ry", &one.base())));
    let caller = Caller::of(&mut program).await;
    for _ in 0..2 {
        assert!(caller.plans().await.contains("\"before\""));
        assert_eq!(caller.get("/CarePlan/ry.p1").await["title"], "before");
    }
    program.configure(&with(&fhir("ry", &two.base())));
    program.has_said(TAKEN, 1).await;
    assert_eq!(caller.get("/CarePlan/ry.p1").await["title"], "after");
    let found = caller.plans().await;
    assert!(found.contains("\"after\"") && !found.contains("\"before\""), "{found}");

    program.configure(&with(&format!("{}{}", fhir("ry", &two.base()), fhir("other", &one.base()))));
    program.has_said(TAKEN, 2).await;
    let found = caller.plans().await;
    assert!(found.contains("ry.p1") && found.contains("other.p1"), "{found}");
    program.configure(&with(&fhir("other", &one.base())));
    program.has_said(TAKEN, 3).await;
    let found = caller.plans().await;
    assert!(!found.contains("ry.p1") && found.contains("other.p1"), "{found}");
    assert_eq!(caller.get("/CarePlan/ry.p1").await["resourceType"], "OperationOutcome");
}

#[tokio::test]
async fn certificates_alone_leave_answers_and_connections_as_they_are() {
    let server = association("kept").await;
    let mut program = Program::configured(&with(&fhir("ry", &server.base())));
    let caller = Caller::of(&mut program).await;
    caller.plans().await;
    let asked = server.seen().len();
    program.signal("HUP");
    program.has_said(TAKEN, 1).await;
    assert!(caller.plans().await.contains("\"kept\""));
    assert_eq!(server.seen().len(), asked, "what was answered is given again");
}

#[tokio::test]
async fn a_mistake_in_a_provider_a_map_or_a_listener_leaves_everything_as_it_was() {
    let server = association("kept").await;
    let usual = fhir("ry", &server.base());
    let mut program = Program::configured(&with(&usual));
    let caller = Caller::of(&mut program).await;
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = [
        (fhir("ry", "not an address"), "silta.toml:15:1: providers.ry.fhir.base: "),
        (format!("{usual}[providers.ry.map]\ntask = 'none'\n"), "providers.ry.map: there is no map named none"),
        (format!("{usual}[exchange]\nprofiles = 'nowhere'\n"), "exchange.profiles: "),
        (format!("{usual}[[mllp]]\nprovider = 'absent'\nlisten = '127.0.0.1:0'\n"), "mllp.0.provider: there is no"),
        (
            format!("{usual}[[mllp]]\nprovider = 'ry'\nlisten = '{}'\n", busy.local_addr().unwrap()),
            "mllp.0.listen: cannot listen: ",
        ),
        (format!("{usual}[[collect]]\nprovider = 'ry'\nfolder = 'absent'\nname = '{{any}}'\n"), "collect.0.folder: "),
    ];
    for (number, (text, expected)) in bad.iter().enumerate() {
        program.configure(&with(text));
        program.has_said(REFUSED, number + 1).await;
        assert!(program.log().contains(expected), "{expected} is told: {}", program.log());
        assert!(caller.plans().await.contains("\"kept\""));
    }
    let metrics = program.admin("/metrics").await;
    assert!(metrics.contains(&format!("silta_reloads_total{{result=\"refused\"}} {}", bad.len())), "{metrics}");
    // What a refused configuration names is awaited: the folder comes, and the configuration is good.
    let folder = program.folder.path().join("absent");
    std::fs::create_dir(&folder).unwrap();
    program.signal("HUP");
    program.has_said(TAKEN, 1).await;
    until("the folder is collected from", || folder.join("done").exists()).await;
}

const MAP: &str = "map acme json schema \"acme.schema.json\" when $.kind = \"order\" <=> fhir R4 Bundle
  entry order: ServiceRequest key $.number
  entry patient: Patient key $.person
  const order.status = \"active\"  order.intent = \"order\"
  link order.subject = patient
  $.number <=> order.identifier[0].value
  $.person <=> patient.identifier[0].value
  $.text <=> order.FIELD
";
const SCHEMA: &str = r#"{"type": "object", "required": ["kind", "number", "person"], "properties": {
  "kind": {"const": "order"}, "number": {"type": "string"}, "person": {"type": "string"}, "text": {"type": "string"}}}"#;
const ORDER: &str = r#"{"kind": "order", "number": "1", "person": "2", "text": "walk"}"#;

#[tokio::test]
async fn a_map_is_taken_when_its_file_changes_and_a_half_written_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("maps")).unwrap();
    std::fs::write(folder.path().join("maps/acme.schema.json"), SCHEMA).unwrap();
    std::fs::write(folder.path().join("maps/acme.map"), MAP.replace("FIELD", "patientInstruction")).unwrap();
    // As an orchestrator mounts files: the same ones in a hidden folder beside them, and a link that leads back.
    std::fs::create_dir(folder.path().join("maps/..2026")).unwrap();
    std::fs::copy(folder.path().join("maps/acme.map"), folder.path().join("maps/..2026/acme.map")).unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("maps/loop")).unwrap();
    let mut program = Program::configured_in(folder, &with("[exchange]\nprofiles = 'maps'\n"));
    let caller = Caller::of(&mut program).await;
    let converted = caller.convert(ORDER).await;
    assert!(converted.contains("\"patientInstruction\":\"walk\""), "{converted}");

    let good = MAP.replace("FIELD", "note[0].text");
    let (half, _) = good.split_at(good.len() / 2);
    std::fs::write(program.folder.path().join("maps/acme.map"), half).unwrap();
    program.has_said(REFUSED, 1).await;
    assert!(program.log().contains("acme.map:"), "{}", program.log());
    assert!(caller.convert(ORDER).await.contains("\"patientInstruction\":\"walk\""), "the old one stays in use");
    let taken = program.log().matches(TAKEN).count();
    std::fs::write(program.folder.path().join("maps/acme.map"), &good).unwrap();
    program.has_said(TAKEN, taken + 1).await;
    let converted = caller.convert(ORDER).await;
    assert!(converted.contains("\"note\":[{\"text\":\"walk\"}]"), "{converted}");

    program.put("maps/beta.map", &good.replace("map acme", "map beta").replace("\"order\" <=>", "\"beta\" <=>"));
    program.put("maps/acme.schema.json", &SCHEMA.replace("{\"const\": \"order\"}", "{\"type\": \"string\"}"));
    program.has_said(TAKEN, taken + 2).await;
    until("both are read", || program.log().matches(TAKEN).count() > taken + 1).await;
    let converted = caller.convert(&ORDER.replace("\"order\"", "\"beta\"")).await;
    assert!(converted.contains("walk"), "a map in a new file is known: {converted}");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn hospital(listeners: &str, map: &str) -> String {
    format!(
        "[providers.hospital]\nmode = 'test'\norganisations = ['urn:o|hospital']\n[providers.hospital.map]\n\
         identifier_types = {{ NNFIN = 'urn:oid:1.2.246.21' }}\n{map}\n{listeners}"
    )
}

fn admission(control: &str) -> String {
    format!(
        "MSH|^~\\&|EPR|SAIRAALA|SILTA|X|20260302091400+0200||ADT^A01^ADT_A01|{control}|T|2.5.1\r\
         EVN|A01|20260302091400+0200\r\
         PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN||Koivisto-Näyte^Aino||19470314|F\r\
         PV1|1|I|||||||||||||||||V{control}^^^EPR&1.2.246.10.99999001.20.2&ISO^VN|||||||||||||||||||||||||20260302\r"
    )
}

#[tokio::test]
async fn listeners_are_opened_changed_and_closed_while_others_go_on() {
    let (one, two) = (free_port(), free_port());
    let listener =
        |port: u16, more: &str| format!("[[mllp]]\nprovider = 'hospital'\nlisten = '127.0.0.1:{port}'\n{more}\n");
    let mut program = Program::configured(&with(&hospital(&listener(one, ""), "")));
    program.url().await;
    let mut steady = Line::to(([127, 0, 0, 1], one).into()).await;
    let take = async |line: &mut Line, control: &str| {
        line.send(&admission(control)).await;
        let reply = line.receive().await.expect("an answer");
        assert!(reply.contains(&format!("MSA|AA|{control}")), "{reply}");
    };
    take(&mut steady, "M1").await;

    let both = listener(one, "") + &listener(two, "");
    program.configure(&with(&hospital(&both, "time_zone = 'Europe/Helsinki'")));
    program.has_said(TAKEN, 1).await;
    let mut second = Line::to(([127, 0, 0, 1], two).into()).await;
    take(&mut second, "M2").await;
    take(&mut steady, "M3").await;

    // The one that changes closes its connections, and takes others on the same port; the other keeps its own.
    let changed = listener(one, "connections = 7") + &listener(two, "");
    program.configure(&with(&hospital(&changed, "")));
    program.has_said(TAKEN, 2).await;
    assert_eq!(steady.receive().await, None, "the connection was closed");
    let mut steady = Line::to(([127, 0, 0, 1], one).into()).await;
    take(&mut steady, "M4").await;
    take(&mut second, "M5").await;

    program.configure(&with(&hospital(&listener(two, ""), "")));
    program.has_said(TAKEN, 3).await;
    assert_eq!(steady.receive().await, None, "the connection was closed");
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", one)).await.is_err(), "nobody listens there");
    take(&mut second, "M6").await;
    program.signal("TERM");
    assert_eq!(second.receive().await, None);
    program.says("\"stopped\"").await;
}

#[tokio::test]
async fn what_waits_for_a_provider_goes_out_at_once_when_its_address_is_mended() {
    let clinic = Peer::plain().await;
    let listen = free_port();
    let text = |port: u16| {
        with(&format!(
            "{}[providers.clinic]\nmode = 'test'\norganisations = ['urn:o|clinic']\n[providers.clinic.map]\n\
             task = 'ref-i12'\nlossy = true\n[providers.clinic.mllp]\naddress = '127.0.0.1:{port}'\n\
             types = {{ ServiceRequest = {{ create = true, update = true }} }}\n[providers.clinic.health]\nattempts = 1\n\
             [exchange.outbox]\nfirst_wait_seconds = 900\n",
            hospital(
                &format!("[[mllp]]\nprovider = 'hospital'\nlisten = '127.0.0.1:{listen}'\n"),
                "facilities = { KLINIKKA = 'urn:o|clinic' }"
            )
        ))
    };
    let mut program = Program::configured(&text(free_port()));
    program.url().await;
    let mut line = Line::to(([127, 0, 0, 1], listen).into()).await;
    line.send(
        "MSH|^~\\&|EPR|SAIRAALA|SILTA|KLINIKKA|20260302091400+0200||REF^I12^REF_I12|R1|T|2.5.1\r\
         RF1|P^Pending^HL70283|A^ASAP^HL70280|Hom^Home Care^HL70281|||REF-1^EPR^1.2.246.10.99999001.30.1^ISO|20260302||20260302091400+0200\r\
         PRD|RP||^^^^^||||||^\r\
         PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN||Koivisto-Näyte^Aino||19470314|F\r",
    )
    .await;
    let reply = line.receive().await.unwrap();
    assert!(reply.contains("MSA|AA|R1"), "{reply}");
    program.says("delivery failed, to be tried again").await;
    program.configure(&text(clinic.port()));
    program.has_said(TAKEN, 1).await;
    let mut delivered = clinic.accept().await;
    let sent = delivered.receive().await.unwrap();
    assert!(sent.contains("REF^I12") && sent.contains("REF-1"), "{sent}");
}

#[tokio::test]
async fn folders_are_collected_from_as_they_are_configured_now() {
    let mut program = Program::configured(&with(""));
    program.url().await;
    for name in ["in", "other"] {
        std::fs::create_dir(program.folder.path().join(name)).unwrap();
    }
    let text = |folder: &str| {
        with(&format!(
            "[providers.care]\nmode = 'test'\n[providers.care.map]\nmaps = ['fi-kotihoito-tilaus']\n\
             [[collect]]\nprovider = 'care'\nfolder = '{folder}'\nname = '{{any}}.csv'\n"
        ))
    };
    let dropped = |program: &Program, folder: &str| {
        program.put(&format!("{folder}/a.csv"), "nothing;of;it\r\n1;2;3\r\n");
        program.folder.path().join(folder).join("set-aside/a.csv")
    };
    program.configure(&text("in"));
    program.has_said(TAKEN, 1).await;
    let aside = dropped(&program, "in");
    until("it is set aside", || aside.exists()).await;
    program.configure(&text("other"));
    program.has_said(TAKEN, 2).await;
    let left = dropped(&program, "in");
    let aside = dropped(&program, "other");
    until("it is set aside", || aside.exists()).await;
    assert!(left.parent().unwrap().parent().unwrap().join("a.csv").exists(), "nobody collects there any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_that_has_begun_ends_with_the_configuration_it_began_with() {
    let (go, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let one = Server::plain(move |seen| {
        wait.lock().unwrap().recv().unwrap();
        plans(seen, "before")
    })
    .await;
    let two = association("after").await;
    let mut program = Program::configured(&with(&fhir("ry", &one.base())));
    let caller = std::sync::Arc::new(Caller::of(&mut program).await);
    let asking = tokio::spawn({
        let caller = std::sync::Arc::clone(&caller);
        async move { caller.plans().await }
    });
    until("it is asked", || !one.seen().is_empty()).await;
    program.configure(&with(&fhir("ry", &two.base())));
    program.has_said(TAKEN, 1).await;
    assert!(caller.plans().await.contains("\"after\""));
    go.send(()).unwrap();
    let found = asking.await.unwrap();
    assert!(found.contains("\"before\""), "{found}");
    assert!(caller.plans().await.contains("\"after\""), "what came late is not given to others");
}
