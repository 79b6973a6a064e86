//! The hospital: its patient record sends and takes HL7 v2.5.1 over MLLP with TLS, and knows nothing else.
//!
//! It asks for both acknowledgements (MSH-15 = MSH-16 = AL), keeps what becomes of its referrals, answers what it is sent
//! with CA, and sends an acknowledgement of its own where the sender wants one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::events::{Broken, Log, Patience, lock};
use super::hl7::{Envelope, Message};
use super::text;
use crate::clock::Clock;
use crate::exchange::mllp::{self, BrokenFrame, Handler, Peer, Reply};
use crate::provider::mllp::framing::{Decoder, encode};
use crate::provider::{BoxFuture, SetupError, tls};

/// The hospital's OID, and the OID under which it numbers its patients and its referrals.
pub(super) const OID: &str = "1.2.246.10.99999001.10.0";
pub(super) const PATIENTS: &str = "1.2.246.10.99999001.22.1";
pub(super) const REFERRALS: &str = "1.2.246.10.99999001.30.1";
pub(super) const NAME: &str = "Esimerkin keskussairaala";

/// The hospital's system.
pub(super) struct Hospital {
    clock: Clock,
    zone: TimeZone,
    /// What the message ids of this run begin with.
    run: String,
    state: Mutex<State>,
    /// What it was sent.
    pub(super) received: Log<Message>,
    gateway: OnceLock<SocketAddr>,
    connector: TlsConnector,
    line: tokio::sync::Mutex<Option<Line>>,
}

struct State {
    sent: u32,
    last: Timestamp,
    referrals: Vec<Referral>,
}

/// A referral as the hospital follows it.
#[derive(Debug, Clone)]
pub(super) struct Referral {
    /// MSH-10 of the REF.
    pub(super) message: String,
    /// RF1-6.
    pub(super) number: String,
    /// What the other side said of it, in order: RF1-1.
    pub(super) statuses: Vec<String>,
    /// RF1-11 of its answers.
    pub(super) other_number: String,
}

/// A message that it sent, and what was said at once.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) control: String,
    pub(super) bytes: Bytes,
    pub(super) answer: Bytes,
}

impl Sent {
    pub(super) fn message(&self) -> Message {
        Message::read(&self.bytes)
    }

    /// What was said at once.
    pub(super) fn answer(&self) -> Message {
        Message::read(&self.answer)
    }
}

/// A connection to the gateway.
struct Line {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
}

impl Hospital {
    pub(super) fn new(folder: &Path, clock: Clock, run: String) -> Result<Self, SetupError> {
        let tls = tls::Config {
            ca: Some("ca.pem".into()),
            certificate: Some("hospital-client.pem".into()),
            key: Some("hospital-client.key".into()),
            server_name: None,
        };
        Ok(Self {
            zone: TimeZone::get("Europe/Helsinki").unwrap_or(TimeZone::UTC),
            state: Mutex::new(State { sent: 0, last: clock.now(), referrals: Vec::new() }),
            clock,
            run,
            received: Log::default(),
            gateway: OnceLock::new(),
            connector: TlsConnector::from(Arc::new(tls.client(folder)?)),
            line: tokio::sync::Mutex::new(None),
        })
    }

    /// Opens its listener on a free port.
    pub(super) async fn listen(self: &Arc<Self>, folder: &Path) -> Result<mllp::Running, SetupError> {
        let text = "provider = \"gateway\"\nlisten = \"127.0.0.1:0\"\n\
                    tls = { certificate = \"hospital.pem\", key = \"hospital.key\" }\n";
        let config = toml::from_str(text).map_err(|error| SetupError::new("hospital", error.to_string()))?;
        let metrics = mllp::Metrics::register(&prometheus::Registry::new())
            .map_err(|error| SetupError::new("hospital", error.to_string()))?;
        let listener = mllp::Listener::bind(config, folder, self.clock.clone(), &metrics).await?;
        Ok(listener.start(Arc::new(Inbox(Arc::clone(self)))))
    }

    /// Where the gateway's listener is.
    pub(super) fn connect_to(&self, gateway: SocketAddr) {
        let _ = self.gateway.set(gateway);
    }

    /// The next message id and the time of the message: later than that of every other.
    fn next(&self) -> (String, String) {
        let mut state = lock(&self.state);
        state.sent += 1;
        let now = self.clock.now();
        let after = state.last.checked_add(1.millisecond()).unwrap_or(now);
        state.last = now.max(after);
        (format!("{}{:05}", self.run, state.sent), self.time(state.last))
    }

    /// A time as HL7 v2 writes it.
    pub(super) fn time(&self, when: Timestamp) -> String {
        when.to_zoned(self.zone.clone()).strftime("%Y%m%d%H%M%S.%3f%z").to_string()
    }

    pub(super) fn today(&self) -> jiff::civil::Date {
        self.clock.now().to_zoned(self.zone.clone()).date()
    }

    /// Sends a new message: its kind (`ADT^A01^ADT_A01`), the facility it is for, and its segments, which are handed the
    /// message's time.
    pub(super) async fn send(
        &self,
        kind: &str,
        facility: &str,
        segments: impl FnOnce(&str) -> Vec<String>,
        patience: &Patience,
    ) -> Result<Sent, Broken> {
        let (control, time) = self.next();
        let to = ("SILTA", facility);
        let mut lines = vec![Envelope { kind, control: &control, time: &time, wants: ("AL", "AL"), to }.line()];
        lines.extend(segments(&time));
        let bytes = Bytes::from(text::to_latin1(&format!("{}\r", lines.join("\r"))));
        let message = Message::read(&bytes);
        if message.event() == "REF^I12" {
            lock(&self.state).referrals.push(Referral {
                message: control.clone(),
                number: message.component("RF1", 6, 1).to_owned(),
                statuses: Vec::new(),
                other_number: String::new(),
            });
        }
        let answer = self.exchange(&bytes, patience).await?;
        Ok(Sent { control, bytes, answer })
    }

    /// Sends bytes and gives what is said to them at once.
    pub(super) async fn exchange(&self, bytes: &[u8], patience: &Patience) -> Result<Bytes, Broken> {
        let mut held = self.line.lock().await;
        let mut line = match held.take() {
            Some(line) => line,
            None => self.open().await.map_err(|error| Broken::new(format!("the gateway's MLLP port: {error}")))?,
        };
        let frame = encode(bytes).map_err(|error| Broken::new(error.to_string()))?;
        let answer = patience.wait("an acknowledgement over MLLP", line.ask(&frame)).await??;
        *held = Some(line);
        Ok(answer)
    }

    async fn open(&self) -> std::io::Result<Line> {
        let address = self.gateway.get().copied().ok_or(std::io::ErrorKind::NotConnected)?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        Ok(Line { stream: self.connector.connect(name, stream).await?, decoder: Decoder::default() })
    }

    /// The referral that a message started.
    pub(super) fn referral(&self, message: &str) -> Option<Referral> {
        lock(&self.state).referrals.iter().find(|referral| referral.message == message).cloned()
    }

    /// The acknowledgement of this code that answers a message of its own, when it has come.
    pub(super) async fn answered(&self, kind: &str, control: &str) -> Message {
        self.received
            .find(0, |message| {
                let fits = message.event().starts_with(kind) && message.field("MSA", 2) == control;
                fits.then(|| message.clone())
            })
            .await
    }

    /// Takes what it is sent, and gives the accept acknowledgement.
    fn take(self: &Arc<Self>, bytes: &[u8]) -> Option<Bytes> {
        let message = Message::read(bytes);
        if message.event() == "RRI^I12" {
            let mut state = lock(&self.state);
            let about = message.field("MSA", 2);
            if let Some(referral) = state.referrals.iter_mut().find(|referral| referral.message == about) {
                referral.statuses.push(message.component("RF1", 1, 1).to_owned());
                message.component("RF1", 11, 1).clone_into(&mut referral.other_number);
            }
        }
        // Who asks for neither acknowledgement gets the application's at once (original mode, HL7 v2.5.1 §2.9.2).
        let accept = match (message.field("MSH", 15), message.field("MSH", 16)) {
            ("", "") => Some(self.acknowledge(&message, "AA", "")),
            ("AL" | "SU", _) => Some(self.acknowledge(&message, "CA", "NE")),
            _ => None,
        };
        if matches!(message.field("MSH", 16), "AL" | "SU") {
            let (hospital, answer) = (Arc::clone(self), self.acknowledge(&message, "AA", "AL"));
            tokio::spawn(async move {
                let patience = Patience(hospital.clock.clone());
                // That nobody wants it is not the hospital's business.
                let _ = hospital.exchange(&answer, &patience).await;
            });
        }
        self.received.add(message);
        accept
    }

    /// An acknowledgement; a message of its own wants to know whether it arrived.
    fn acknowledge(&self, message: &Message, code: &str, accept: &str) -> Bytes {
        let (control, time) = self.next();
        let kind = format!("ACK^{}^ACK", message.component("MSH", 9, 2));
        let to = (message.field("MSH", 3), message.field("MSH", 4));
        let head = Envelope { kind: &kind, control: &control, time: &time, wants: (accept, "NE"), to }.line();
        Bytes::from(text::to_latin1(&format!("{head}\rMSA|{code}|{}\r", message.field("MSH", 10))))
    }
}

impl Line {
    async fn ask(&mut self, frame: &[u8]) -> Result<Bytes, Broken> {
        let broken = |error: std::io::Error| Broken::new(format!("the connection to the gateway broke: {error}"));
        self.stream.write_all(frame).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        loop {
            if let Some(message) = self.decoder.message().map_err(|error| Broken::new(error.to_string()))? {
                return Ok(message);
            }
            if self.stream.read_buf(self.decoder.buffer()).await.map_err(broken)? == 0 {
                return Err(Broken::new("the gateway closed the connection without an acknowledgement"));
            }
        }
    }
}

/// The hospital's listener.
struct Inbox(Arc<Hospital>);

impl Handler for Inbox {
    fn handle<'a>(&'a self, message: Bytes, _: &'a Peer) -> BoxFuture<'a, Reply> {
        let reply = self.0.take(&message).map_or_else(Reply::nothing, Reply::message);
        Box::pin(std::future::ready(reply))
    }

    fn broken<'a>(&'a self, _: &'a BrokenFrame, _: &'a Peer) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(Reply { messages: Vec::new(), close: true }))
    }
}
