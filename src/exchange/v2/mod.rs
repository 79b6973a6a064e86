//! HL7 v2 messages as they come from a listener: checked, applied, acknowledged.
//!
//! In original mode the answer says what the application made of the message. In enhanced mode (MSH-15 or MSH-16 valued)
//! what fails before it is in safe keeping is answered CE or CR at once; everything from mapping on is kept first (CA) and
//! answered by a message of its own, where the sender wants one.

mod answer;
mod moment;

use std::sync::Arc;

use bytes::Bytes;
use silta_engine::fault::Fault;
use silta_engine::native::hl7v2::acknowledgement::{Acknowledgement, Code, Complaint, Request};
use silta_engine::native::hl7v2::schema::{Declared, Schema, Version};
use silta_engine::native::hl7v2::{self, Header};
use silta_engine::native::{Limits, Syntax, SyntaxError, Tree};
use tracing::{info, warn};

use crate::provider::BoxFuture;
use crate::store::{DedupKey, Occurred};

use super::error::{ExchangeError, Problem};
use super::mllp::{BrokenFrame, Handler, Peer, Reply};
use super::partner::Partner;
use super::receive::{Arrival, Received};
use super::translated::Translated;
use super::{Current, Exchange};
use answer::Wishes;

const MEDIA: &str = "x-application/hl7-v2+er7";
/// A control id up to 2.6 has 20 characters, from 2.7 on 199.
const CONTROL_ID: usize = 199;

/// Takes the messages of MLLP listeners.
#[derive(Debug, Clone)]
pub struct MessageHandler(Current);

impl MessageHandler {
    /// Messages are taken by the exchange of the moment at which they come.
    pub fn new(exchange: impl Into<Current>) -> Self {
        Self(exchange.into())
    }
}

impl Handler for MessageHandler {
    fn handle<'a>(&'a self, message: Bytes, peer: &'a Peer) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let exchange = self.0.now();
            let Some(partner) = exchange.partner(&peer.provider) else {
                return Reply { messages: Vec::new(), close: true };
            };
            exchange.message(&partner, message, &format!("mllp-{}", peer.connection)).await
        })
    }

    fn broken<'a>(&'a self, error: &'a BrokenFrame, peer: &'a Peer) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let exchange = self.0.now();
            let Some(partner) = exchange.partner(&peer.provider) else { return Reply::nothing() };
            exchange.broken_frame(&partner, error, &format!("mllp-{}", peer.connection)).await
        })
    }
}

impl Exchange {
    /// One message: what is to be replied on the same connection.
    pub(crate) async fn message(&self, partner: &Arc<Partner>, bytes: Bytes, request: &str) -> Reply {
        let header = match Header::read(&bytes) {
            Ok(header) if header.name() == "MSH" => header,
            Ok(_) => {
                let error = ExchangeError::refused(Fault::UnknownType, "a batch is not taken here: send its messages");
                return self.unreadable(partner, &bytes, request, error).await;
            }
            Err(error) => return self.unreadable(partner, &bytes, request, syntax_refusal(&error)).await,
        };
        let wishes = Wishes::of(&header);
        let mut arrival = self.arrival_of(partner, &header, &bytes, request);
        if let Err(error) = check_header(partner, &header) {
            return self.refuse_at_once(&arrival, &header, wishes, error).await;
        }
        let good = if wishes.is_enhanced() { Code::CommitAccept } else { Code::ApplicationAccept };
        let accepted = self.write_acknowledgement(partner, &Request::of(&header), good, Vec::new(), None);
        let wanted = if wishes.is_enhanced() { wishes.wants_accept(true) } else { wishes.wants_application(true) };
        arrival.acknowledgement = wanted.then_some(accepted);
        match self.seen(&arrival).await {
            Ok(None) => {}
            Ok(Some(received)) => return reply_of(received, arrival.acknowledgement),
            Err(error) => return self.refuse_at_once(&arrival, &header, wishes, error).await,
        }
        if header.component(9, 1) == b"ACK" {
            return self.keep_acknowledgement(&arrival).await;
        }
        let outcome = self.process(&mut arrival, &header, wishes).await;
        match outcome {
            Ok(received) => {
                info!(provider = partner.name(), event = %ascii(header.field(9)), request, "message taken");
                reply_of(received, arrival.acknowledgement)
            }
            Err(error) if wishes.is_enhanced() && is_of_content(&error) => {
                self.keep_then_refuse(arrival, &header, wishes, error).await
            }
            Err(error) => self.refuse_at_once(&arrival, &header, wishes, error).await,
        }
    }

    async fn process(
        &self,
        arrival: &mut Arrival,
        header: &Header<'_>,
        wishes: Wishes<'_>,
    ) -> Result<Received, ExchangeError> {
        let partner = Arc::clone(&arrival.partner);
        let tree = self.parse_message(&partner, &arrival.body)?;
        let translated = self.translate_tree(&partner, &tree)?;
        arrival.event = event_of(&partner, &tree, &translated);
        // A referral is answered by its own message once the recipient has decided; all else by an acknowledgement.
        let is_answered = partner.settings.answers && translated.of_type("Task").next().is_some();
        if wishes.is_enhanced() && wishes.wants_application(true) && !is_answered {
            let code = Code::ApplicationAccept;
            let request = Request::of(header);
            arrival.afterwards =
                Some(self.write_acknowledgement(&partner, &request, code, Vec::new(), Some(("AL", "NE"))));
        }
        self.apply(arrival, translated).await
    }

    fn arrival_of(&self, partner: &Arc<Partner>, header: &Header<'_>, bytes: &Bytes, request: &str) -> Arrival {
        let control = ascii(header.field(10));
        let [application, facility] = [header.field(3), header.field(4)].map(ascii);
        let known = !control.is_empty() && control.len() <= CONTROL_ID;
        let dedup = known.then(|| DedupKey::of([partner.name(), &application, &facility, &control]));
        let recipient = [ascii(header.component(6, 1)), ascii(header.component(6, 2))]
            .iter()
            .filter(|name| !name.is_empty())
            .find_map(|name| partner.settings.facilities.get(name))
            .and_then(|organisation| organisation.split_once('|'))
            .map(|(system, value)| crate::provider::Identifier::organisation(system, value))
            .and_then(|wanted| super::routing::by_organisation(self.registry(), &[wanted]).ok().map(str::to_owned));
        Arrival {
            partner: Arc::clone(partner),
            received: self.clock().now(),
            media: MEDIA,
            body: bytes.clone(),
            control: if known { control } else { String::new() },
            dedup,
            event: None,
            acknowledgement: None,
            afterwards: None,
            envelope_recipient: recipient,
            base: None,
            request: request.to_owned(),
        }
    }

    pub(crate) fn parse_message(&self, partner: &Partner, bytes: &[u8]) -> Result<Tree, ExchangeError> {
        let options = hl7v2::Options { charset: partner.context(self.clock().now()).charset };
        Syntax::Hl7V2(options).parse(bytes.to_vec(), &Limits::default()).map_err(|error| syntax_refusal(&error))
    }

    /// A frame that is none: what came of it is kept, and refused in the mode of its message where its header came whole.
    async fn broken_frame(&self, partner: &Arc<Partner>, error: &BrokenFrame, request: &str) -> Reply {
        let (fault, bytes) = match error {
            BrokenFrame::TooLarge { head, .. } => (Fault::TooLarge, &head.0),
            BrokenFrame::StartInside { partial }
            | BrokenFrame::BrokenEnd { partial }
            | BrokenFrame::Truncated { partial } => (Fault::CannotParse, &partial.0),
            // Nobody can say whose these bytes are; they are counted, and were not kept.
            BrokenFrame::Stray { .. } => {
                let refusal = ExchangeError::refused(Fault::CannotParse, error.to_string());
                let code = Code::ApplicationReject;
                return Reply::message(self.acknowledge(partner, &Request::unreadable(), code, &refusal));
            }
        };
        let refusal = ExchangeError::refused(fault, error.to_string());
        match Header::read(bytes) {
            Ok(header) if header.name() == "MSH" && bytes.contains(&b'\r') => {
                let arrival = Arrival { dedup: None, ..self.arrival_of(partner, &header, bytes, request) };
                self.refuse_at_once(&arrival, &header, Wishes::of(&header), refusal).await
            }
            _ => self.unreadable(partner, bytes, request, refusal).await,
        }
    }

    /// A message whose sender cannot be answered by name: kept, and refused.
    async fn unreadable(&self, partner: &Arc<Partner>, bytes: &Bytes, request: &str, error: ExchangeError) -> Reply {
        let arrival = Arrival {
            partner: Arc::clone(partner),
            received: self.clock().now(),
            media: MEDIA,
            body: bytes.clone(),
            control: String::new(),
            dedup: None,
            event: None,
            acknowledgement: None,
            afterwards: None,
            envelope_recipient: None,
            base: None,
            request: request.to_owned(),
        };
        if let Err(store) = self.keep_refused(&arrival, &error).await {
            warn!(provider = partner.name(), fault = ?store.fault(), "a refused message could not be kept");
        }
        Reply::message(self.acknowledge(partner, &Request::unreadable(), Code::ApplicationReject, &error))
    }

    /// Refuses in the mode of the message: kept as refused where the store takes it.
    async fn refuse_at_once(
        &self,
        arrival: &Arrival,
        header: &Header<'_>,
        wishes: Wishes<'_>,
        error: ExchangeError,
    ) -> Reply {
        let partner = &arrival.partner;
        info!(provider = partner.name(), fault = ?error.fault(), request = arrival.request, "message refused");
        if let Err(store) = self.keep_refused(arrival, &error).await {
            warn!(provider = partner.name(), fault = ?store.fault(), "a refused message could not be kept");
        }
        let wanted = if wishes.is_enhanced() { wishes.wants_accept(false) } else { wishes.wants_application(false) };
        if !wanted {
            return Reply::nothing();
        }
        let (code, _) = answer::code_of(error.fault(), wishes.is_enhanced());
        Reply::message(self.acknowledge(partner, &Request::of(header), code, &error))
    }

    /// Enhanced mode: the message is in safe keeping (CA), and what is wrong with it is said by a message of its own.
    async fn keep_then_refuse(
        &self,
        mut arrival: Arrival,
        header: &Header<'_>,
        wishes: Wishes<'_>,
        error: ExchangeError,
    ) -> Reply {
        let partner = Arc::clone(&arrival.partner);
        info!(provider = partner.name(), fault = ?error.fault(), request = arrival.request, "message kept and refused");
        if wishes.wants_application(false) {
            let (code, _) = answer::code_of(error.fault(), false);
            let complaints = answer::complaints(&error);
            let request = Request::of(header);
            arrival.afterwards =
                Some(self.write_acknowledgement(&partner, &request, code, complaints, Some(("AL", "NE"))));
        }
        match self.keep_refused(&arrival, &error).await {
            Ok(()) => arrival.acknowledgement.map_or_else(Reply::nothing, Reply::message),
            Err(store) => {
                arrival.afterwards = None;
                self.refuse_at_once(&arrival, header, wishes, store.into()).await
            }
        }
    }

    /// An acknowledgement that came as a message: kept, and not answered but by an accept acknowledgement if it wants one.
    async fn keep_acknowledgement(&self, arrival: &Arrival) -> Reply {
        let is_wanted = Header::read(&arrival.body).is_ok_and(|header| Wishes::of(&header).wants_accept(true));
        match self.keep(arrival).await {
            Ok(()) if is_wanted => arrival.acknowledgement.clone().map_or_else(Reply::nothing, Reply::message),
            _ => Reply::nothing(),
        }
    }

    fn acknowledge(&self, partner: &Partner, to: &Request<'_>, code: Code, error: &ExchangeError) -> Bytes {
        self.write_acknowledgement(partner, to, code, answer::complaints(error), None)
    }

    fn write_acknowledgement(
        &self,
        partner: &Partner,
        to: &Request<'_>,
        code: Code,
        complaints: Vec<Complaint>,
        wants: Option<(&str, &str)>,
    ) -> Bytes {
        let context = partner.context(self.clock().now());
        let timestamp = moment::write(context.now, &context.zone());
        let control_id = self.control_id();
        let mut acknowledgement = Acknowledgement::new(code, &timestamp, &control_id).with(complaints);
        acknowledgement.processing_id = &context.envelope.processing;
        acknowledgement.charset = context.charset;
        acknowledgement.version = Version::named(&context.envelope.version).unwrap_or(Version::V2_5_1);
        acknowledgement.wants = wants;
        Bytes::from(acknowledgement.write(to))
    }

    /// A new MSH-10: 20 letters and digits.
    pub(crate) fn control_id(&self) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let wide = u128::from(self.random().number()) << 64 | u128::from(self.random().number());
        (0..20)
            .filter_map(|place| usize::try_from(wide >> (place * 5) & 31).ok())
            .filter_map(|letter| LETTERS.get(letter))
            .map(|byte| char::from(*byte))
            .collect()
    }
}

fn reply_of(received: Received, acknowledgement: Option<Bytes>) -> Reply {
    let message = match received {
        Received::Repeated(stored) => stored,
        Received::Applied { .. } | Received::Older => acknowledgement,
    };
    message.map_or_else(Reply::nothing, Reply::message)
}

/// Whether an error is about what the message says, rather than about taking it.
fn is_of_content(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::Store(error) => error.fault() == Fault::MultipleMatches,
        ExchangeError::Refused(_) | ExchangeError::Move(_) | ExchangeError::Route(_) => true,
        ExchangeError::Provider(_) | ExchangeError::Configuration(_) | ExchangeError::Internal(_) => false,
    }
}

/// What the header alone decides: control id, processing mode, version, type.
fn check_header(partner: &Partner, header: &Header<'_>) -> Result<(), ExchangeError> {
    let refuse = |fault, text: &str, at: &str| Err(ExchangeError::Refused(vec![Problem::new(fault, text).at(at)]));
    match header.field(10).len() {
        0 => return refuse(Fault::RequiredMissing, "MSH-10 is needed: a message is known again by it", "MSH[1]-10"),
        1..=CONTROL_ID => {}
        _ => return refuse(Fault::ValueTooLong, "MSH-10 has at most 199 characters", "MSH[1]-10"),
    }
    if matches!(Version::declared(&ascii(header.field(12))), Declared::Unknown) {
        return refuse(Fault::VersionNotSupported, "MSH-12 must name a version from 2.1 to 2.8", "MSH[1]-12");
    }
    let is_test = match header.component(11, 1) {
        b"P" => false,
        b"T" | b"D" => true,
        b"" => return refuse(Fault::RequiredMissing, "MSH-11 is needed: P, T or D", "MSH[1]-11"),
        _ => return refuse(Fault::WrongProcessingMode, "MSH-11 is P, T or D", "MSH[1]-11"),
    };
    if is_test != partner.is_test() {
        let text = if partner.is_test() { "this connection takes T and D" } else { "this connection takes P" };
        return refuse(Fault::WrongProcessingMode, text, "MSH[1]-11");
    }
    if header.component(9, 1).is_empty() {
        return refuse(Fault::RequiredMissing, "MSH-9 is needed: type and event", "MSH[1]-9");
    }
    Ok(())
}

/// When the event happened (EVN-6, else EVN-2, else MSH-7), and in which row of events it stands.
fn event_of(partner: &Partner, tree: &Tree, translated: &Translated) -> Option<(String, Occurred)> {
    let field = |path: &str| tree.locate(path).and_then(|node| tree.text(Some(node))).map(|text| text.into_owned());
    let zone = partner.context(jiff::Timestamp::UNIX_EPOCH).of(tree).zone();
    let time = ["EVN[1]-6[1].1.1", "EVN[1]-2[1].1.1", "MSH[1]-7[1].1.1"]
        .iter()
        .find_map(|path| moment::read(&field(path)?, &zone))?;
    let order = translated.of_type("ServiceRequest").next().map(|entry| format!("order {}", entry.native));
    let patient = || translated.of_type("Patient").next().map(|entry| format!("patient {}", entry.native));
    Some((order.or_else(patient)?, Occurred { time, sequence: 0 }))
}

/// Text of a header field for comparing and logging: what is not ASCII is replaced.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' }).collect()
}

fn syntax_refusal(error: &SyntaxError) -> ExchangeError {
    let place = format!("line {}, column {}", error.position.line, error.position.column);
    ExchangeError::Refused(vec![Problem::new(error.fault(), format!("{error} ({place})"))])
}

/// The refusal of a message that no map takes: an unknown type, or an unknown event of a known type.
pub(crate) fn no_map(tree: &Tree) -> ExchangeError {
    let field = |path: &str| tree.locate(path).and_then(|node| tree.text(Some(node))).map(|text| text.into_owned());
    let kind = field("MSH[1]-9[1].1.1").unwrap_or_default();
    let known = Schema::version(Version::V2_8).all_structures().any(|one| one.name().split('_').next() == Some(&kind));
    let (fault, text) = if known {
        (Fault::MethodNotSupported, "this event is not taken here")
    } else {
        (Fault::UnknownType, "this message type is not taken here")
    };
    ExchangeError::Refused(vec![Problem::new(fault, text).at("MSH[1]-9")])
}
