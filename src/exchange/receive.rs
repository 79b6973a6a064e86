//! One native document or message on its way in: journalled with what came of it, in one transaction, or refused and
//! journalled as refused. Nothing positive is answered before the commit.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use silta_engine::fault::Fault;

use crate::store::{
    AuditTarget, Commit, DedupKey, Deletion, Direction, Disposition, Event, NewAudit, NewDocument, NewJournal,
    NewMember, NewMessage, NewNotice, NewOriginal, Occurred, Outcome, PersonId, Ref, ResourceKey, Seen, StoreError,
    Write,
};

use super::Exchange;
use super::compose::{Composed, Composer, Made};
use super::error::{ExchangeError, Problem};
use super::known::{self, Known};
use super::outbox::{self, TaskNews};
use super::partner::Partner;
use super::translate;
use super::translated::Translated;
use super::workflow::state::Status;

/// How often a document is composed anew when another change came between.
pub(crate) const ATTEMPTS: usize = 8;

/// Something that a provider sent.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) partner: Arc<Partner>,
    pub(crate) received: Timestamp,
    pub(crate) media: &'static str,
    pub(crate) body: Bytes,
    /// The sender's id of it.
    pub(crate) control: String,
    pub(crate) dedup: Option<DedupKey>,
    /// What is ordered in time, and when it happened.
    pub(crate) event: Option<(String, Occurred)>,
    /// The positive acknowledgement, kept with the journal entry so that it can be given again.
    pub(crate) acknowledgement: Option<Bytes>,
    /// A message of its own to be sent when this one is applied (a deferred acknowledgement).
    pub(crate) afterwards: Option<Bytes>,
    /// The provider that the envelope names as the recipient.
    pub(crate) envelope_recipient: Option<String>,
    /// What its references may begin with, where it is FHIR: the address of the provider's server.
    pub(crate) base: Option<String>,
    /// For the logs and the audit.
    pub(crate) request: String,
}

/// What came of an arrival.
#[derive(Debug, Clone)]
pub(crate) enum Received {
    /// It was applied.
    Applied {
        /// What has a new version.
        changed: Vec<(ResourceKey, u64)>,
    },
    /// It was applied before; this acknowledgement was given.
    Repeated(Option<Bytes>),
    /// It was kept and not applied, since a newer event had been.
    Older,
}

impl Exchange {
    /// Whether the same message was taken before: its acknowledgement is given again without more work.
    pub(crate) async fn seen(&self, arrival: &Arrival) -> Result<Option<Received>, ExchangeError> {
        let Some(dedup) = arrival.dedup else { return Ok(None) };
        let body = arrival.body.clone();
        match self.store().read(move |view| view.seen(&dedup, &body)).await? {
            Seen::New => Ok(None),
            Seen::Repeated(repeat) => Ok(Some(Received::Repeated(repeat.acknowledgement))),
            Seen::Duplicate { first } => Err(StoreError::Duplicate { first }.into()),
        }
    }

    /// Applies a translated document and journals it, in one transaction.
    pub(crate) async fn apply(&self, arrival: &Arrival, translated: Translated) -> Result<Received, ExchangeError> {
        let translated = Arc::new(translated);
        let mut turn = None;
        let mut contradicted: Option<Vec<PersonId>> = None;
        for _ in 0..ATTEMPTS {
            let mut known = self.gather(arrival, &translated).await?;
            if let (true, None, Some(person)) = (coordinates(&translated), &turn, known.person) {
                let taken = self.turns().take(person).await;
                if taken.waited {
                    known = self.gather(arrival, &translated).await?;
                }
                turn = Some(taken);
            }
            let folded = translate::folded(&translated, &known, arrival.partner.name())?;
            let composed = self.composer(arrival).compose(&folded, &known)?;
            let (commit, tasks) = self.commit_of(arrival, &translated, &known, composed);
            let changed: Vec<(ResourceKey, u64)> = commit
                .write
                .iter()
                .filter_map(|write| match write {
                    Write::Document(document) => Some(document),
                    _ => None,
                })
                .flat_map(|document| document.members.iter().map(|member| (member.key.clone(), member.version)))
                .collect();
            match self.store().commit(commit).await {
                Ok(Outcome::Committed(receipt)) => {
                    let person = receipt.persons.first().copied().or(known.person);
                    if let Some(person) = person {
                        self.bump(&arrival.partner, &tasks, person);
                    }
                    return Ok(Received::Applied { changed });
                }
                Ok(Outcome::Repeated(repeat)) => return Ok(Received::Repeated(repeat.acknowledgement)),
                Err(StoreError::Older { .. }) => return self.keep_older(arrival).await,
                // Somebody else may have said in between who this is: then what is known is another person now.
                Err(StoreError::PersonsDiffer) if contradicted.as_ref() != Some(&known.persons) => {
                    contradicted = Some(known.persons);
                }
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(overtaken())
    }

    async fn gather(&self, arrival: &Arrival, translated: &Arc<Translated>) -> Result<Known, ExchangeError> {
        self.gather_with(&arrival.partner, translated, &self.bases(arrival.base.clone())).await
    }

    fn composer<'c>(&'c self, arrival: &'c Arrival) -> Composer<'c> {
        Composer {
            partner: &arrival.partner,
            registry: self.registry(),
            validator: self.validator(),
            now: arrival.received,
            bases: self.bases(arrival.base.clone()),
            envelope_recipient: arrival.envelope_recipient.as_deref(),
        }
    }

    /// Everything that one document changes, and who is told of it.
    fn commit_of(
        &self,
        arrival: &Arrival,
        translated: &Translated,
        known: &Known,
        composed: Composed,
    ) -> (Commit, Vec<String>) {
        let provider = arrival.partner.name();
        let mut commit = Commit::new();
        let journal = commit.journal(journal_of(arrival, Disposition::Accepted));
        if let Some((key, occurred)) = &arrival.event {
            commit.write(Write::Event(Event { provider: provider.to_owned(), key: key.clone(), occurred: *occurred }));
        }
        let person = if known.evidence.is_empty() {
            known.person.map(Ref::Known)
        } else {
            Some(commit.person(known.evidence.clone()))
        };
        // What was decided from the person's Tasks and teams holds only while these are as they were read.
        if coordinates(translated) {
            commit.expect.extend(known::expectations(known));
        }
        for link in composed.links {
            commit.write(Write::NativeId(link));
        }
        write_members(&mut commit, composed.made, person, Some(journal), arrival.received);
        for (key, version) in composed.deleted {
            commit.write(Write::Delete(Deletion { key, version, updated: arrival.received }));
        }
        // What came as FHIR is written onto resource by resource.
        let originals = match arrival.partner.connection.speaks_fhir() {
            true => Vec::new(),
            false => outbox::original_keys(translated, known),
        };
        for key in originals {
            commit.write(Write::Original(NewOriginal {
                provider: provider.to_owned(),
                key,
                media: arrival.media.to_owned(),
                body: arrival.body.clone(),
                journal: Some(journal),
            }));
        }
        let mut told = Vec::new();
        for change in &composed.tasks {
            for (partner, news) in self.whom_to_tell(change, Some(provider)) {
                told.push(partner.name().to_owned());
                commit.write(Write::Message(news.message(partner.name(), person, Some(journal), arrival.received)));
            }
        }
        if let Some(bytes) = &arrival.afterwards {
            commit.write(Write::Message(afterwards(arrival, bytes, person, journal)));
        }
        for (kind, text) in composed.notices {
            commit.write(Write::Notice(notice(arrival, kind, text, Some(journal))));
        }
        commit.write(Write::Audit(audit(arrival, person, told.clone(), "success")));
        (commit, told)
    }

    /// Who is told of a change of a Task: both sides, but not the one who made it.
    pub(crate) fn whom_to_tell(
        &self,
        change: &super::compose::TaskChange,
        actor: Option<&str>,
    ) -> Vec<(Arc<Partner>, TaskNews)> {
        let mut told: Vec<(Arc<Partner>, TaskNews)> = Vec::new();
        for (side, as_owner) in [(&change.owner, true), (&change.requester, false)] {
            let Some(name) = side.as_deref().filter(|name| Some(*name) != actor) else { continue };
            if told.iter().any(|(partner, _)| partner.name() == name) {
                continue;
            }
            let Some(partner) = self.partner(name) else { continue };
            if !partner.is_told() || (!as_owner && !tells(&partner, change.status)) {
                continue;
            }
            let news = TaskNews { task: change.key.id.clone(), version: change.version, as_owner };
            told.push((partner, news));
        }
        told
    }

    fn bump(&self, partner: &Partner, told: &[String], person: PersonId) {
        self.generations().bump(partner.name(), person);
        for provider in told {
            self.generations().bump(provider, person);
        }
    }

    /// Keeps a refused message, with the reasons for the operators, and gives the error back.
    pub(crate) async fn keep_refused(&self, arrival: &Arrival, error: &ExchangeError) -> Result<(), StoreError> {
        let mut commit = Commit::new();
        let journal = commit.journal(journal_of(arrival, Disposition::Refused));
        let kind = match error.fault() {
            Fault::NoRecipient => "no-recipient",
            Fault::Duplicate => "duplicate",
            Fault::MultipleMatches => "identity",
            _ => "refused",
        };
        let text = error.problems().iter().take(5).map(describe).collect::<Vec<_>>().join("; ");
        if let Some(bytes) = &arrival.afterwards {
            commit.write(Write::Message(afterwards(arrival, bytes, None, journal)));
        }
        commit.write(Write::Notice(notice(arrival, kind, text, Some(journal))));
        commit.write(Write::Audit(audit(arrival, None, Vec::new(), error.fault().issue_code())));
        self.store().commit(commit).await.map(drop)
    }

    /// Keeps a message that changes nothing.
    pub(crate) async fn keep(&self, arrival: &Arrival) -> Result<(), StoreError> {
        let mut commit = Commit::new();
        commit.journal(journal_of(arrival, Disposition::Accepted));
        commit.write(Write::Audit(audit(arrival, None, Vec::new(), "success")));
        self.store().commit(commit).await.map(drop)
    }

    async fn keep_older(&self, arrival: &Arrival) -> Result<Received, ExchangeError> {
        let mut commit = Commit::new();
        let journal = commit.journal(journal_of(arrival, Disposition::Older));
        let text = "an event older than one already applied was kept and not applied".to_owned();
        commit.write(Write::Notice(notice(arrival, "older", text, Some(journal))));
        commit.write(Write::Audit(audit(arrival, None, Vec::new(), "conflict")));
        self.store().commit(commit).await?;
        Ok(Received::Older)
    }
}

/// Whether what a document says is decided together with the person's Tasks and care teams.
fn coordinates(translated: &Translated) -> bool {
    ["Task", "CarePlan", "ServiceRequest", "Encounter"].iter().any(|kind| translated.of_type(kind).next().is_some())
}

/// Whether a commit was composed on what no longer holds: composing it anew mends that.
pub(crate) fn is_overtaken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::VersionConflict { .. }
            | StoreError::Stale { .. }
            | StoreError::MembersChanged
            | StoreError::OriginalChanged
    )
}

/// Composing anew did not help either.
pub(crate) fn overtaken() -> ExchangeError {
    ExchangeError::refused(Fault::VersionConflict, "other changes kept coming in between")
}

/// Whether a provider wants to hear of a state as the requester.
fn tells(partner: &Partner, status: Option<Status>) -> bool {
    let wanted = &partner.settings.tell;
    wanted.is_empty() || status.is_some_and(|status| wanted.iter().any(|one| one == status.code()))
}

fn describe(problem: &Problem) -> String {
    let place = problem.location.as_deref().or(problem.expression.as_deref());
    place.map_or_else(|| problem.text.clone(), |place| format!("{place}: {}", problem.text))
}

fn journal_of(arrival: &Arrival, disposition: Disposition) -> NewJournal {
    NewJournal {
        received: arrival.received,
        provider: arrival.partner.name().to_owned(),
        direction: Direction::Inbound,
        media: arrival.media.to_owned(),
        control: arrival.control.clone(),
        dedup: arrival.dedup,
        body: arrival.body.clone(),
        disposition,
        acknowledgement: arrival.acknowledgement.clone().filter(|_| disposition != Disposition::Refused),
    }
}

/// A message of its own that says what became of an arrival.
fn afterwards(
    arrival: &Arrival,
    bytes: &Bytes,
    person: Option<Ref<PersonId>>,
    journal: Ref<crate::store::JournalSeq>,
) -> NewMessage {
    let control = silta_engine::native::hl7v2::Header::read(bytes)
        .map(|header| String::from_utf8_lossy(header.field(10)).into_owned())
        .unwrap_or_default();
    NewMessage {
        provider: arrival.partner.name().to_owned(),
        person,
        message: control,
        due: arrival.received,
        kind: outbox::RENDERED.to_owned(),
        payload: bytes.clone(),
        journal: Some(journal),
    }
}

fn notice(arrival: &Arrival, kind: &str, text: String, journal: Option<Ref<crate::store::JournalSeq>>) -> NewNotice {
    NewNotice {
        opened: arrival.received,
        kind: kind.to_owned(),
        provider: arrival.partner.name().to_owned(),
        journal,
        text,
    }
}

fn audit(arrival: &Arrival, person: Option<Ref<PersonId>>, providers: Vec<String>, outcome: &str) -> NewAudit {
    NewAudit {
        time: arrival.received,
        who: arrival.partner.name().to_owned(),
        interaction: "message".to_owned(),
        target: AuditTarget::None,
        person,
        providers,
        outcome: outcome.to_owned(),
        request: arrival.request.clone(),
    }
}

/// Writes resources: those of one document share its text as one row.
pub(crate) fn write_members(
    commit: &mut Commit,
    made: Vec<Made>,
    person: Option<Ref<PersonId>>,
    journal: Option<Ref<crate::store::JournalSeq>>,
    updated: Timestamp,
) {
    let mut groups: Vec<(*const u8, NewDocument)> = Vec::new();
    for one in made {
        let text = one.document.json();
        let span = span_of(text, one.node().raw());
        let member = NewMember {
            key: one.key,
            person: person.filter(|_| one.personal),
            span,
            version: one.version,
            updated,
            provider: one.provider,
            facets: one.facets,
        };
        match groups.iter_mut().find(|(held, _)| *held == text.as_ptr()) {
            Some((_, document)) => document.members.push(member),
            None => groups.push((
                text.as_ptr(),
                NewDocument { body: Bytes::copy_from_slice(text.as_bytes()), journal, members: vec![member] },
            )),
        }
    }
    for (_, document) in groups {
        commit.write(Write::Document(document));
    }
}

/// Where a part of a text stands in it.
fn span_of(whole: &str, part: &str) -> (usize, usize) {
    (part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()), part.len())
}
