//! What a provider posts to us by itself: one document, applied before it is answered.

use std::sync::Arc;

use bytes::Bytes;
use silta_engine::fault::Fault;

use crate::store::DedupKey;

use super::Exchange;
use super::error::ExchangeError;
use super::receive::{Arrival, Received};
use super::translate::parse;

/// What came of a posted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hooked {
    /// It was applied: `Type/id` of what changed.
    Applied(Vec<String>),
    /// It was applied before.
    Repeated,
    /// It was kept and not applied, since a newer event had been.
    Older,
}

impl Exchange {
    /// Takes a document that a provider posted. `names`: the resource that it is, as the address says (`Type/id`); `control`
    /// is the provider's own id of the message, where it gave one.
    ///
    /// # Errors
    /// What is wrong with it; it is kept as refused then.
    pub async fn hook(
        &self,
        provider: &str,
        names: Option<&str>,
        media: &str,
        body: Bytes,
        control: Option<&str>,
        request: &str,
    ) -> Result<Hooked, ExchangeError> {
        let Some(partner) = self.partner(provider) else {
            return Err(ExchangeError::refused(Fault::NotFound, "no provider of this name is connected"));
        };
        if body.is_empty() && partner.connection.speaks_fhir() {
            // A notice that something has changed (subscription.html#2.46.7.1, a rest-hook without a payload).
            self.look_at(&partner).await;
            return Ok(Hooked::Applied(Vec::new()));
        }
        let kind = if media.contains("json") && media.contains("fhir") {
            "application/fhir+json"
        } else if media.contains("xml") && media.contains("fhir") {
            "application/fhir+xml"
        } else if media.contains("json") {
            "application/json"
        } else if media.contains("xml") {
            "application/xml"
        } else {
            return Err(ExchangeError::refused(Fault::MediaTypeNotSupported, "expected JSON or XML"));
        };
        let mut arrival = Arrival {
            partner: Arc::clone(&partner),
            received: self.clock().now(),
            media: kind,
            body,
            control: control.unwrap_or_default().to_owned(),
            dedup: control.map(|control| DedupKey::of([partner.name(), control])),
            event: None,
            acknowledgement: None,
            afterwards: None,
            envelope_recipient: None,
            base: None,
            request: request.to_owned(),
        };
        let done = self.hooked(&mut arrival, names).await;
        match done {
            Ok(Received::Applied { changed, .. }) => {
                Ok(Hooked::Applied(changed.into_iter().map(|(key, _)| key.to_string()).collect()))
            }
            Ok(Received::Repeated(_)) => Ok(Hooked::Repeated),
            Ok(Received::Older) => Ok(Hooked::Older),
            Err(error) => {
                if error.fault() != Fault::StoreUnavailable {
                    self.keep_refused(&arrival, &error).await?;
                }
                Err(error)
            }
        }
    }

    async fn hooked(&self, arrival: &mut Arrival, names: Option<&str>) -> Result<Received, ExchangeError> {
        if let Some(received) = self.seen(arrival).await? {
            return Ok(received);
        }
        if arrival.partner.connection.speaks_fhir() || arrival.media.contains("fhir") {
            let is_xml = arrival.media.contains("xml");
            let Some(posted) = arrival.partner.connection.in_r4(&arrival.body, is_xml) else {
                let what = "expected a resource of the version of FHIR that the provider speaks";
                return Err(ExchangeError::refused(Fault::CannotParse, what));
            };
            return self.take_fhir(arrival, names, posted).await;
        }
        if names.is_some() {
            return Err(ExchangeError::refused(
                Fault::NotFound,
                "only a FHIR server puts a resource under its type and id",
            ));
        }
        let tree = parse(&self.syntax_of(&arrival.partner, arrival.media), &arrival.body)?;
        let translated = self.translate_tree(&arrival.partner, &tree)?;
        self.apply(arrival, translated).await
    }
}
