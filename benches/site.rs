//! What the measurements of the interface stand on: the real program as a process of its own, and FHIR servers that it asks,
//! each of which answers after a set time.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;

/// The system of the personal identity codes here.
pub const HETU: &str = "urn:oid:1.2.246.21";

/// A FHIR server with a Patient and a CarePlan for every identifier that it is asked about.
pub struct Provider {
    pub name: String,
    pub address: SocketAddr,
}

impl Provider {
    /// Serves HTTP/1.1 on a free port of this machine; every answer comes after `delay`.
    pub async fn start(name: &str, delay: Duration) -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = service_fn(move |request| answer(request, delay));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { name: name.to_owned(), address }
    }
}

async fn answer(request: Request<Incoming>, delay: Duration) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    #[expect(clippy::disallowed_methods, reason = "the question of a gateway that the measurement itself configured")]
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if !delay.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "a slow server is slow in real time")]
        tokio::time::sleep(delay).await;
    }
    let form = String::from_utf8_lossy(&body).into_owned();
    let value = |rest: &str| rest.split('&').next().unwrap_or_default().to_owned();
    let asked = form.split_once("%7C").map(|(_, rest)| value(rest));
    let content = match (path.as_str(), asked) {
        ("/r4/CarePlan/_search", Some(code)) => Some(bundle(&care_plan(&code))),
        ("/r4/Patient/_search", Some(code)) => Some(bundle(&patient(&code))),
        _ => path.strip_prefix("/r4/CarePlan/plan-").map(|key| care_plan(&code_of(key)).to_string()),
    };
    let mut response = Response::new(Full::new(Bytes::from(content.clone().unwrap_or_default())));
    if content.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert(CONTENT_TYPE, "application/fhir+json".parse().unwrap());
    Ok(response)
}

fn bundle(resource: &serde_json::Value) -> String {
    json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [{"resource": resource}]}).to_string()
}

fn patient(code: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "id": format!("p-{}", key_of(code)), "identifier": [{"system": HETU, "value": code}],
           "name": [{"family": "Koivisto-Näyte", "given": ["Aino"]}], "birthDate": "1947-03-14"})
}

fn care_plan(code: &str) -> serde_json::Value {
    let step = |text: &str| json!({"detail": {"status": "scheduled", "description": text}});
    json!({"resourceType": "CarePlan", "id": format!("plan-{}", key_of(code)), "status": "active", "intent": "plan",
           "title": "Kotikuntoutus lonkkamurtuman jälkeen", "created": "2026-03-02",
           "subject": {"reference": format!("Patient/p-{}", key_of(code))},
           "period": {"start": "2026-03-02", "end": "2026-06-02"},
           "activity": [step("Fysioterapeutin kotikäynti kaksi kertaa viikossa"),
                        step("Apuvälinearvio ja kodin turvallisuus"), step("Tasapainoryhmä alueella")]})
}

/// A server's own number of a person: an identity code may stand in no id.
pub fn key_of(code: &str) -> String {
    code.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn code_of(key: &str) -> String {
    let bytes = (0..key.len() / 2).map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}

/// The gateway at work.
pub struct Gateway {
    child: Child,
    folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub mllp: SocketAddr,
    pub secret: String,
}

impl Gateway {
    /// Starts the program with these providers and a hospital that sends messages. Needs its development certificate and a
    /// caller, and makes both.
    pub fn start(providers: &[Provider]) -> Self {
        let program = env!("CARGO_BIN_EXE_silta");
        let printed = Command::new(program).arg("secret").output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let word = |name: &str| {
            let line = printed.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let (secret, hash) = (word("secret"), word("hash"));
        let folder = tempfile::tempdir().unwrap();
        let mllp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nenabled = false\n\
             [log]\nlevel = \"error,silta::command=info\"\n\
             [access.caller.reader]\nsecret_hash = [\"{hash}\"]\ninteractions = [\"*.read\", \"*.search\"]\n\
             [[mllp]]\nprovider = \"hospital\"\nlisten = \"{mllp}\"\n\
             [providers.hospital]\nmode = \"test\"\norganisations = [\"urn:ietf:rfc:3986|urn:oid:1.2.246.10.1\"]\n\
             [providers.hospital.map]\nmaps = [\"adt-a01\"]\ntime_zone = \"Europe/Helsinki\"\n\
             identifier_types = {{ NNFIN = \"{HETU}\" }}\n"
        );
        for (place, provider) in providers.iter().enumerate() {
            let Provider { name, address } = provider;
            text.push_str(&format!(
                "[providers.{name}]\nmode = \"test\"\norganisations = [\"urn:ietf:rfc:3986|urn:oid:1.2.246.10.{}\"]\n\
                 [providers.{name}.fhir]\nbase = \"http://{address}/r4/\"\npatient_identifiers = [\"{HETU}\"]\n\
                 types = {{ CarePlan = {{ read = true, search = true }}, Patient = {{ search = true }} }}\n",
                place + 10
            ));
        }
        let file = folder.path().join("silta.toml");
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(program)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the gateway did not start:\n{said}")).unwrap();
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
            said.push_str(&line);
            said.push('\n');
        };
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, address, mllp, secret }
    }

    /// A file of its state: `ca.pem`, `server.pem`, `server.key`.
    pub fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.address.port())
    }

    /// A caller that trusts the gateway's certificate and shows its secret.
    pub fn caller(&self) -> reqwest::Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", self.secret).parse().unwrap());
        let authority = std::fs::read(self.state("ca.pem")).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .no_proxy()
            .default_headers(headers)
            .build()
            .unwrap()
    }

    /// The hospital admits a person with this identity code, so that the gateway knows it.
    pub fn admit(&self, code: &str) {
        let message = format!(
            "\u{b}MSH|^~\\&|EPR|HOSPITAL|SILTA|SILTA|20260302091400+0200||ADT^A01^ADT_A01|A-{code}|T|2.5.1|||AL|NE||UNICODE UTF-8\r\
             EVN||20260302091400+0200\r\
             PID|1||{code}^^^VRK&1.2.246.21&ISO^NNFIN~P-{code}^^^EPR&1.2.246.10.1.20.1&ISO^PI||Koivisto-Näyte^Aino||19470314|F\r\
             PV1|1|I\r\u{1c}\r"
        );
        let mut stream = TcpStream::connect(self.mllp).unwrap();
        stream.write_all(message.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"\x1c\r") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the gateway hung up");
            answer.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("MSA|CA|"), "{text}");
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds of the gateway so far, user and system.
    pub fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds of a process so far, user and system.
pub fn cpu_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Clock ticks of 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The n-th personal identity code of a made-up person born on 14 March 1947: numbers 900 to 999.
pub fn code(number: usize) -> String {
    const MARKS: &[u8] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (day, month, year) = (1 + number / 100 % 28, 1 + number / 2_800 % 12, 40 + number / 33_600 % 50);
    let (serial, date) = (900 + number % 100, format!("{day:02}{month:02}{year:02}"));
    let mark = format!("{date}{serial}").parse::<usize>().unwrap() % 31;
    format!("{date}-{serial}{}", char::from(MARKS[mark]))
}

/// The value below which so many of a hundred are.
pub fn percentile(sorted: &[Duration], of: usize) -> Duration {
    sorted[(sorted.len() * of / 100).min(sorted.len() - 1)]
}
