//! The adapter: one message under way on each connection, answered by its own acknowledgement or not at all.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Kept, ReceiveError, Tls};
use super::framing::encode;
use super::header::{self, Code, Condition};
use super::{ApplicationAnswer, Config, MEDIA_TYPE};
use crate::clock::{Clock, Instant};
use crate::provider::address::Address;
use crate::provider::{
    Action, Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Effect, Interactions, Liveness,
    NativeDocument, Read, Receipt, Refusal, Search, SetupError,
};

/// A provider's HL7 v2 listener.
pub struct Mllp {
    config: Config,
    capabilities: Capabilities,
    tls: Option<Tls>,
    clock: Clock,
    /// As many permits as connections.
    turns: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// Which answer ends a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Nothing is answered.
    Nothing,
    /// The commit acknowledgement, or an application acknowledgement instead of it.
    Commit,
    /// The application's acknowledgement; one of commitment may come before.
    Application,
    /// A refusal, or nothing within the window.
    ErrorOnly,
    /// The commit acknowledgement, and after it a refusal or nothing within the window.
    CommitThenErrorOnly,
}

impl Mllp {
    /// The adapter of one provider. Nothing is connected before the first message.
    ///
    /// # Errors
    /// When the address, a file or a limit is not usable.
    pub fn new(config: Config, base: &Path, clock: Clock) -> Result<Self, SetupError> {
        let address = Address::parse(&config.address).ok_or_else(|| {
            SetupError::new("address", "expected host and port, such as \"hl7.hospital.example:6661\"")
        })?;
        if config.connections == 0 {
            return Err(SetupError::new("connections", "at least one connection is needed"));
        }
        for (name, interactions) in &config.types {
            if interactions.read || interactions.search {
                return Err(SetupError::new(format!("types.{name}"), "MLLP offers create and update only"));
            }
        }
        let tls = match &config.tls {
            None if config.plaintext || address.is_loopback() => None,
            None => {
                return Err(SetupError::new(
                    "tls",
                    "the host is not this machine: give a [tls] table or plaintext = true",
                ));
            }
            Some(tls) => {
                let client = tls.client(base).map_err(|error| error.under("tls"))?;
                let name = tls.server_name.clone().unwrap_or_else(|| address.host().to_owned());
                let name = ServerName::try_from(name)
                    .map_err(|_| SetupError::new("tls.server_name", "not a host name or address"))?;
                Some((TlsConnector::from(Arc::new(client)), name))
            }
        };
        let capabilities = Capabilities { liveness: Liveness::PushOnly, types: config.types.clone() };
        let turns = Semaphore::new(config.connections);
        Ok(Self { config, capabilities, tls, clock, turns, idle: Mutex::default() })
    }

    async fn connection(&self) -> Result<Connection, AdapterError> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut kept) = kept else { break };
            let fresh = self.clock.instant().since(kept.used) < self.config.idle.0;
            match kept.state().await {
                Kept::Quiet if fresh => return Ok(kept),
                Kept::Quiet | Kept::Closed => kept.close().await,
                Kept::Unasked => {
                    tracing::warn!(address = %self.config.address, "a message that nobody waits for came on an idle MLLP connection");
                    kept.close().await;
                }
            }
        }
        Connection::open(&self.config.address, self.tls.as_ref(), self.config.frame_limit, self.clock.instant()).await
    }

    async fn deliver(&self, message: &Bytes, deadline: Instant) -> Result<Receipt, AdapterError> {
        let unsendable = |what: String| AdapterError::Unsendable { what };
        let header = header::outgoing(message).map_err(|error| unsendable(error.to_string()))?;
        let frame = encode(message).map_err(|error| unsendable(error.to_string()))?;
        let wanted = self.wanted(header.enhanced);
        let ready = async {
            let turn = self.turns.acquire().await.map_err(|_| AdapterError::Internal { what: "turns" })?;
            Ok((turn, self.connection().await?))
        };
        let (_turn, mut connection) =
            self.clock.deadline(deadline, ready).await.map_err(|_| AdapterError::TimedOut { sent: false })??;
        // A connection that is not put back below is closed by dropping it, so that a late answer to this message can
        // never be taken for the answer to another.
        let exchange = self.exchange(&mut connection, &frame, header.control_id, wanted);
        let receipt =
            self.clock.deadline(deadline, exchange).await.map_err(|_| AdapterError::TimedOut { sent: true })?;
        let keep = match &receipt {
            Ok(_) => true,
            Err(error) => matches!(error, AdapterError::Refused { .. } | AdapterError::Overloaded { .. }),
        };
        if keep {
            connection.done(header.control_id, self.clock.instant());
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        receipt
    }

    fn wanted(&self, enhanced: Option<(Condition, Condition)>) -> Wanted {
        let Some((accept, application)) = enhanced else { return Wanted::Application };
        let here = self.config.application_answer == ApplicationAnswer::SameConnection;
        match (accept, application) {
            (_, Condition::Always | Condition::SuccessOnly) if here => Wanted::Application,
            (Condition::Always | Condition::SuccessOnly, Condition::ErrorOnly) if here => Wanted::CommitThenErrorOnly,
            (Condition::Always | Condition::SuccessOnly, _) => Wanted::Commit,
            (Condition::ErrorOnly, _) => Wanted::ErrorOnly,
            (Condition::Never, Condition::ErrorOnly) if here => Wanted::ErrorOnly,
            (Condition::Never, _) => Wanted::Nothing,
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        frame: &[u8],
        control_id: &[u8],
        wanted: Wanted,
    ) -> Result<Receipt, AdapterError> {
        connection.send(frame).await.map_err(|error| AdapterError::Interrupted { what: error.to_string() })?;
        match wanted {
            Wanted::Nothing => Ok(Receipt::silent()),
            Wanted::ErrorOnly => Ok(self.error_window(connection, control_id).await?.unwrap_or_else(Receipt::silent)),
            Wanted::CommitThenErrorOnly => {
                let committed = self.answer(connection, control_id, Wanted::Commit).await?;
                Ok(self.error_window(connection, control_id).await?.unwrap_or(committed))
            }
            Wanted::Commit | Wanted::Application => self.answer(connection, control_id, wanted).await,
        }
    }

    /// What comes while errors would still come; none when nothing did.
    async fn error_window(
        &self,
        connection: &mut Connection,
        control_id: &[u8],
    ) -> Result<Option<Receipt>, AdapterError> {
        let window = self.clock.instant().after(self.config.error_window.0);
        match self.clock.deadline(window, self.answer(connection, control_id, Wanted::ErrorOnly)).await {
            Ok(answer) => answer.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Reads until the answer that ends the delivery.
    async fn answer(
        &self,
        connection: &mut Connection,
        control_id: &[u8],
        wanted: Wanted,
    ) -> Result<Receipt, AdapterError> {
        loop {
            let message = match connection.receive().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    return Err(AdapterError::Interrupted { what: "closed before the acknowledgement".to_owned() });
                }
                Err(ReceiveError::Io(error)) => return Err(AdapterError::Interrupted { what: error.to_string() }),
                Err(ReceiveError::Framing(error)) => {
                    return Err(self.unusable(error.to_string(), error.partial().to_vec()));
                }
            };
            let Some(found) = header::acknowledgement(&message) else {
                return Err(
                    self.unusable("expected an acknowledgement with MSA-1 and MSA-2".to_owned(), message.clone())
                );
            };
            if found.control_id != control_id && connection.is_earlier(found.control_id) {
                tracing::warn!(address = %self.config.address, "a late answer to an earlier message is passed over");
                continue;
            }
            if found.control_id != control_id {
                return Err(self.unusable("MSA-2 is not the MSH-10 that was sent".to_owned(), message.clone()));
            }
            let effect = match found.code {
                Code::ApplicationAccept => Effect::Applied,
                Code::CommitAccept if wanted == Wanted::Application && self.application_follows() => continue,
                Code::CommitAccept => Effect::Committed,
                Code::ApplicationError | Code::ApplicationReject | Code::CommitError | Code::CommitReject => {
                    return Err(self.refused(found.code, found.error.map(str::to_owned), message.clone()));
                }
            };
            let answer = Some(self.document(message));
            return Ok(Receipt { effect, created: true, native_id: None, version: None, returned: None, answer });
        }
    }

    fn application_follows(&self) -> bool {
        self.config.application_answer == ApplicationAnswer::SameConnection
    }

    fn refused(&self, code: Code, error: Option<String>, message: Bytes) -> AdapterError {
        let answer = Some(Box::new(self.document(message)));
        match error.as_deref() {
            // Locked record, application internal error: not about this message; it may be taken later.
            Some(number @ ("206" | "207")) => {
                AdapterError::Overloaded { status: format!("{} {number}", code.text()), retry_after: None, answer }
            }
            number => AdapterError::Refused {
                status: code.text().to_owned(),
                refusal: number.map_or(Refusal::Rule, Refusal::of_v2_code),
                code: error,
                answer,
            },
        }
    }

    fn unusable(&self, what: String, bytes: impl Into<Bytes>) -> AdapterError {
        AdapterError::AnswerUnusable { what, acted: true, answer: Some(Box::new(self.document(bytes))) }
    }

    fn document(&self, bytes: impl Into<Bytes>) -> NativeDocument {
        NativeDocument {
            bytes: bytes.into().into(),
            media_type: MEDIA_TYPE.to_owned(),
            kind: None,
            native_id: None,
            url: None,
            version: None,
            last_modified: None,
            fetched_at: self.clock.now(),
        }
    }
}

impl Adapter for Mllp {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, read: &'a Read, _: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        let what = format!("read of {} over MLLP", read.resource_type);
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what })))
    }

    fn search<'a>(&'a self, _: &'a Search, _: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        let what = "search over MLLP".to_owned();
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what })))
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        Box::pin(async move {
            let Interactions { create, update, .. } = self.capabilities.of(&delivery.resource_type);
            let offered = match delivery.action {
                Action::Create => create,
                Action::Update { .. } => update,
            };
            if !offered {
                let what = format!("this action on {}", delivery.resource_type);
                return Err(AdapterError::NotSupported { what });
            }
            self.deliver(&delivery.bytes, deadline).await
        })
    }

    /// Always: the receiver knows a message again by MSH-10.
    fn repeatable(&self, _: &Delivery) -> bool {
        true
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let kept = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
            for connection in kept {
                connection.close().await;
            }
        })
    }
}
