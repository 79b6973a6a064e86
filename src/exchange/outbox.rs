//! Delivering what the store's outbox holds: in order within a lane, at least once, rendered when it is sent.
//!
//! A lane is one provider and one person. A message that fails is tried again later, its lane waits; one that the provider
//! refuses for good, or that was tried too often, is given up, an operator is told, and the lane goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::provider::{Action, Adapter, AdapterError, Delivery as Sending, Mode, Payload, Receipt};
use crate::store::{
    self, AuditTarget, Commit, Direction, Disposition, Mark, Message, NewAudit, NewJournal, NewMessage, NewNotice,
    NewOriginal, PersonId, Ref, ResourceKey, StoreError, Write,
};

use super::compose::{self, Made};
use super::error::ExchangeError;
use super::facets::facets_of;
use super::known::Known;
use super::localise::Bases;
use super::partner::Partner;
use super::plain::Undelivered;
use super::receive::{ATTEMPTS, is_overtaken, write_members};
use super::render::Rendered;
use super::translated::Translated;
use super::workflow::state::Status;
use super::{Current, Exchange};

/// The kind of a message whose payload is what is sent.
pub(crate) const RENDERED: &str = "rendered";
/// The kind of a message whose payload is a [`TaskNews`].
pub(crate) const TASK: &str = "task";

/// That a Task has a new version, for one of its sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskNews {
    /// The Task's id.
    pub(crate) task: String,
    /// The version.
    pub(crate) version: u64,
    /// Whether it goes to the owner, else to the requester.
    pub(crate) as_owner: bool,
}

impl TaskNews {
    /// The message of the outbox. Its id stays over all attempts.
    pub(crate) fn message(
        &self,
        provider: &str,
        person: Option<Ref<PersonId>>,
        journal: Option<Ref<store::JournalSeq>>,
        now: Timestamp,
    ) -> NewMessage {
        NewMessage {
            provider: provider.to_owned(),
            person,
            message: message_id(&self.task, self.version),
            due: now,
            kind: TASK.to_owned(),
            payload: Bytes::from(serde_json::to_vec(self).unwrap_or_default()),
            journal,
        }
    }
}

/// An id of at most 20 characters, as MSH-10 takes up to 2.6: letters and digits of a hash.
fn message_id(task: &str, version: u64) -> String {
    use sha2::{Digest, Sha256};
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(format!("{task}\n{version}"));
    digest
        .iter()
        .take(20)
        .filter_map(|byte| LETTERS.get(usize::from(byte & 31)))
        .map(|byte| char::from(*byte))
        .collect()
}

/// The keys under which a document is kept for being written back onto: the orders whose Tasks it speaks of.
pub(crate) fn original_keys(translated: &Translated, known: &Known) -> Vec<String> {
    let mut keys = Vec::new();
    for entry in translated.of_type("Task") {
        let focus = translated
            .node(entry)
            .text_at("focus.reference")
            .and_then(|text| super::localise::named(text, &Bases::default()))
            .and_then(|named| known.resolved.get(&named));
        if let Some(focus) = focus {
            keys.push(focus.to_string());
        }
    }
    keys.dedup();
    keys
}

/// How the outbox tries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages being delivered at once, over all providers. Default 32.
    pub at_once: usize,
    /// Attempts before a message is given up. Default 20.
    pub attempts: u32,
    /// Seconds before the second attempt; doubled each time, with jitter. Default 2.
    pub first_wait_seconds: u64,
    /// Seconds between attempts at most. Default 900.
    pub longest_wait_seconds: u64,
    /// Seconds for one delivery. Default 30.
    pub deadline_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { at_once: 32, attempts: 20, first_wait_seconds: 2, longest_wait_seconds: 900, deadline_seconds: 30 }
    }
}

/// What came of one attempt.
enum Attempt {
    Delivered(Box<(Rendered, Receipt)>),
    /// It was brought resource by resource, and what came of each is kept.
    Brought,
    /// There was nothing to send: the provider's format says the same as before.
    Nothing,
    Failed {
        reason: String,
        again: bool,
    },
}

impl Current {
    /// Delivers until `stop` ends; what is being sent then is finished. Each message is sent by the exchange of the moment.
    pub async fn deliver(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut changes = self.now().store().outbox_changes();
        let mut running: JoinSet<store::OutboxId> = JoinSet::new();
        let mut busy: Vec<store::OutboxId> = Vec::new();
        loop {
            let exchange = self.now();
            let room = exchange.settings().outbox.at_once.saturating_sub(running.len());
            if room > 0 {
                let now = exchange.clock().now();
                let due = exchange.store().read(move |view| view.due(now, room + 64)).await.unwrap_or_default();
                for message in due.into_iter().take(room) {
                    if busy.contains(&message.id) {
                        continue;
                    }
                    busy.push(message.id);
                    let exchange = exchange.clone();
                    running.spawn(async move {
                        let id = message.id;
                        exchange.deliver_one(message).await;
                        id
                    });
                }
            }
            let next = exchange.store().read(|view| view.next_due()).await.ok().flatten();
            let wait = next.map(|due| wait_until(exchange.clock().now(), due));
            let sleep = async {
                match wait {
                    // A message just taken is due until it is marked: a short wait rather than none.
                    Some(wait) => exchange.clock().sleep(wait.max(Duration::from_millis(5))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut stop => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    busy.retain(|id| ended.as_ref().is_ok_and(|ended| ended != id));
                }
                () = sleep => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

impl Exchange {
    /// Delivers what is due, until nothing is: for tests and for a single run.
    ///
    /// # Errors
    /// What the store says.
    pub async fn deliver_due(&self) -> Result<usize, StoreError> {
        let mut delivered = 0;
        loop {
            let now = self.clock().now();
            let due = self.store().read(move |view| view.due(now, 64)).await?;
            if due.is_empty() {
                return Ok(delivered);
            }
            for message in due {
                self.deliver_one(message).await;
                delivered += 1;
            }
        }
    }

    async fn deliver_one(&self, message: Message) {
        let started = Commit { expect: Vec::new(), write: vec![mark(message.id, store::Delivery::InFlight)] };
        if self.store().commit(started).await.is_err() {
            return;
        }
        let attempt = match self.partner(&message.provider) {
            None => Attempt::Failed { reason: "the provider is not configured".to_owned(), again: false },
            Some(partner) => self.attempt(&partner, &message).await,
        };
        let now = self.clock().now();
        let tries = message.attempts + 1;
        match &attempt {
            Attempt::Delivered(done) if !done.0.left_out.is_empty() => {
                let (left_out, places) = (done.0.left_out.len(), done.0.left_out.join(", "));
                info!(provider = %message.provider, kind = %message.kind, tries, left_out, places, "delivered");
            }
            Attempt::Delivered(_) | Attempt::Brought => {
                info!(provider = %message.provider, kind = %message.kind, tries, "delivered")
            }
            Attempt::Nothing => {}
            Attempt::Failed { reason, again: true } if tries < self.settings().outbox.attempts => {
                warn!(provider = %message.provider, kind = %message.kind, tries, reason, "delivery failed, to be tried again");
            }
            Attempt::Failed { reason, .. } => {
                warn!(provider = %message.provider, kind = %message.kind, tries, reason, "delivery given up");
            }
        }
        let mut written = self.settle(&message, &attempt, tries, now).await;
        // What came of it is composed anew when other changes came between: it is not sent again for that.
        for _ in 1..ATTEMPTS {
            match &written {
                Err(ExchangeError::Store(error)) if is_overtaken(error) => {
                    written = self.settle(&message, &attempt, tries, now).await;
                }
                _ => break,
            }
        }
        if let Err(error) = written {
            // The message stays in flight and is due again at the next start: at least once.
            warn!(provider = %message.provider, fault = ?error.fault(), "what came of a delivery could not be stored");
            let due = now.checked_add(self.wait_before(tries)).unwrap_or(Timestamp::MAX);
            let again = store::Delivery::Again { due, reason: "what came of it could not be stored".to_owned() };
            let _ = self.store().commit(Commit { expect: Vec::new(), write: vec![mark(message.id, again)] }).await;
        }
    }

    /// Stores what came of an attempt.
    async fn settle(
        &self,
        message: &Message,
        attempt: &Attempt,
        tries: u32,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let only = |to| Commit { expect: Vec::new(), write: vec![mark(message.id, to)] };
        let commit = match attempt {
            Attempt::Delivered(done) => {
                let (rendered, receipt) = &**done;
                self.delivered(message, rendered, receipt, now).await?
            }
            Attempt::Nothing => only(store::Delivery::Done),
            Attempt::Brought => {
                let mut commit = only(store::Delivery::Done);
                commit.write(Write::Audit(self.delivery_audit(message, AuditTarget::None, now)));
                commit
            }
            Attempt::Failed { reason, again: true } if tries < self.settings().outbox.attempts => {
                let due = now.checked_add(self.wait_before(tries)).unwrap_or(Timestamp::MAX);
                only(store::Delivery::Again { due, reason: reason.clone() })
            }
            Attempt::Failed { reason, .. } => self.given_up(message, reason.clone(), now).await?,
        };
        self.store().commit(commit).await?;
        if matches!(attempt, Attempt::Delivered(_) | Attempt::Brought) {
            self.changed_at(&message.provider, message.person);
        }
        Ok(())
    }

    async fn attempt(&self, partner: &Arc<Partner>, message: &Message) -> Attempt {
        if message.kind == TASK && super::plain::is_brought(partner) {
            let Ok(news) = serde_json::from_slice::<TaskNews>(&message.payload) else {
                return Attempt::Failed { reason: "a message of the outbox cannot be read".to_owned(), again: false };
            };
            return match self.bring(partner, message, &news.task).await {
                Ok(()) => Attempt::Brought,
                Err(Undelivered { reason, again }) => Attempt::Failed { reason, again },
            };
        }
        let rendered = match self.rendered(partner, message).await {
            Ok(Some(rendered)) => rendered,
            Ok(None) => return Attempt::Nothing,
            Err(error) => {
                let again = matches!(&error, ExchangeError::Store(_));
                let problems = error.problems();
                let places: Vec<String> = problems
                    .iter()
                    .take(10)
                    .filter_map(|one| one.expression.clone().or(one.location.clone()))
                    .collect();
                let reason =
                    if places.is_empty() { error.to_string() } else { format!("{}: {error}", places.join(", ")) };
                return Attempt::Failed { reason, again };
            }
        };
        let sending = Sending {
            message_id: message.message.clone(),
            resource_type: rendered.resource_type.clone(),
            kind: rendered.kind.clone(),
            action: rendered.action.clone(),
            bytes: Payload(rendered.bytes.clone()),
            media_type: rendered.media.to_owned(),
            mode: if rendered.is_test { Mode::Test } else { Mode::Production },
            identifier: rendered.identifier.clone(),
        };
        let deadline = self.clock().instant().after(Duration::from_secs(self.settings().outbox.deadline_seconds));
        match partner.connection.adapter.submit(&sending, deadline).await {
            Ok(receipt) => Attempt::Delivered(Box::new((rendered, receipt))),
            Err(error) => Attempt::Failed { reason: reason_of(&error), again: error.retryable() },
        }
    }

    async fn rendered(&self, partner: &Arc<Partner>, message: &Message) -> Result<Option<Rendered>, ExchangeError> {
        if message.kind == RENDERED {
            return Ok(Some(Rendered {
                bytes: message.payload.clone(),
                media: "x-application/hl7-v2+er7",
                resource_type: "MessageHeader".to_owned(),
                action: Action::Create,
                is_test: partner.is_test(),
                kind: None,
                identifier: None,
                order: None,
                is_original: false,
                left_out: Vec::new(),
            }));
        }
        let news: TaskNews = serde_json::from_slice(&message.payload)
            .map_err(|_| ExchangeError::Internal("a message of the outbox cannot be read"))?;
        self.render_task(partner, &news, &message.message).await
    }

    /// What a delivery leaves behind: the message done, the bytes journalled, the document as the provider now has it
    /// kept, and what the provider calls the order.
    async fn delivered(
        &self,
        message: &Message,
        rendered: &Rendered,
        receipt: &Receipt,
        now: Timestamp,
    ) -> Result<Commit, ExchangeError> {
        let mut commit = Commit::new();
        commit.write(mark(message.id, store::Delivery::Done));
        let journal = commit.journal(NewJournal {
            received: now,
            provider: message.provider.clone(),
            direction: Direction::Outbound,
            media: rendered.media.to_owned(),
            control: message.message.clone(),
            dedup: None,
            body: rendered.bytes.clone(),
            disposition: Disposition::Accepted,
            acknowledgement: receipt.answer.as_ref().map(|answer| answer.bytes.0.clone()),
        });
        if let Some(order) = &rendered.order {
            let body = receipt.returned.as_ref().map_or_else(|| rendered.bytes.clone(), |held| held.bytes.0.clone());
            if rendered.is_original {
                commit.write(Write::Original(NewOriginal {
                    provider: message.provider.clone(),
                    key: order.to_string(),
                    media: rendered.media.to_owned(),
                    body,
                    journal: Some(journal),
                }));
            }
            if let Some(native) = &receipt.native_id {
                self.call(&mut commit, order, &message.provider, native, now).await?;
            }
        }
        let target = rendered.order.clone().map_or(AuditTarget::None, AuditTarget::Resource);
        commit.write(Write::Audit(self.delivery_audit(message, target, now)));
        Ok(commit)
    }

    fn delivery_audit(&self, message: &Message, target: AuditTarget, now: Timestamp) -> NewAudit {
        NewAudit {
            time: now,
            who: message.provider.clone(),
            interaction: "deliver".to_owned(),
            target,
            person: message.person.map(Ref::Known),
            providers: vec![message.provider.clone()],
            outcome: "success".to_owned(),
            request: message.message.clone(),
        }
    }

    /// Remembers what a provider calls a resource that is not its own.
    pub(super) async fn call(
        &self,
        commit: &mut Commit,
        key: &ResourceKey,
        provider: &str,
        native: &str,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let wanted = key.clone();
        let Some(member) = self.store().read(move |view| view.member(&wanted)).await? else { return Ok(()) };
        let alias = compose::alias_facet(provider, native);
        let is_own = member.resource.provider.as_deref() == Some(provider);
        if is_own || member.facets.contains(&alias) || member.resource.deleted {
            return Ok(());
        }
        let document = self.stored(&member.resource.content)?;
        let version = compose::next_version(Some(&member));
        let edit = silta_engine::fhir::edit::Edit::new(&document);
        let document = compose::stamp(edit, &document, version, now)?;
        let mut facets = compose::keep_private(Some(&member), facets_of(document.root()));
        facets.push(alias);
        let made = Made::another(&member, version, document, facets);
        write_members(commit, vec![made], member.resource.person.map(Ref::Known), None, now);
        Ok(())
    }

    /// A message given up: an operator decides, and a Task whose owner did not get it says so.
    async fn given_up(&self, message: &Message, reason: String, now: Timestamp) -> Result<Commit, ExchangeError> {
        let mut commit = Commit::new();
        commit.write(mark(message.id, store::Delivery::Dead { reason: reason.clone() }));
        commit.write(Write::Notice(NewNotice {
            opened: now,
            kind: "undelivered".to_owned(),
            provider: message.provider.clone(),
            journal: message.journal.map(Ref::Known),
            text: format!("a message of kind {} was given up: {reason}", message.kind),
        }));
        if message.kind == TASK
            && let Ok(news) = serde_json::from_slice::<TaskNews>(&message.payload)
            && news.as_owner
        {
            self.task_undelivered(&mut commit, &news, now).await?;
        }
        Ok(commit)
    }

    /// A participant's refusal becomes a new version of the Task, never a rollback.
    async fn task_undelivered(
        &self,
        commit: &mut Commit,
        news: &TaskNews,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let key = ResourceKey::new("Task", news.task.clone());
        let wanted = key.clone();
        let Some(member) = self.store().read(move |view| view.member(&wanted)).await? else { return Ok(()) };
        let document = self.stored(&member.resource.content)?;
        let root = document.root();
        let Some(status) = root.text_at("status").and_then(Status::of).filter(|status| !status.is_final()) else {
            return Ok(());
        };
        let mut edit = silta_engine::fhir::edit::Edit::new(&document);
        if status == Status::InProgress {
            edit.put(root, "status", "\"on-hold\"");
        }
        edit.put(root, "statusReason", "{\"text\":\"could not be delivered to the owner's system\"}");
        edit.put(root, "lastModified", &compose::quoted(&now.to_string()));
        let version = compose::next_version(Some(&member));
        let document = compose::stamp(edit, &document, version, now)?;
        let facets = compose::keep_private(Some(&member), facets_of(document.root()));
        let (_, requester) = compose::sides(&member);
        let made = Made {
            key: key.clone(),
            version,
            facets,
            node: document.root().id(),
            document,
            provider: None,
            personal: true,
        };
        let person = member.resource.person.map(Ref::Known);
        write_members(commit, vec![made], person, None, now);
        if let Some(partner) = requester.and_then(|name| self.partner(&name))
            && partner.is_told()
        {
            let news = TaskNews { task: key.id, version, as_owner: false };
            commit.write(Write::Message(news.message(partner.name(), person, None, now)));
        }
        Ok(())
    }

    /// Doubled each time up to the longest, a quarter of it drawn by chance.
    fn wait_before(&self, tries: u32) -> Duration {
        let config = &self.settings().outbox;
        let doubled = config.first_wait_seconds.saturating_mul(1_u64 << tries.saturating_sub(1).min(20));
        let longest = doubled.min(config.longest_wait_seconds).max(1);
        let jitter = self.random().below(longest.saturating_mul(250)).saturating_add(longest.saturating_mul(750));
        Duration::from_millis(jitter)
    }
}

fn mark(message: store::OutboxId, to: store::Delivery) -> Write {
    Write::Mark(Mark { message, to })
}

fn wait_until(now: Timestamp, due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Why a provider did not take a delivery: the error's own words say nothing of the patient.
fn reason_of(error: &AdapterError) -> String {
    error.to_string()
}
