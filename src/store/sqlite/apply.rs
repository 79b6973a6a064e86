//! One commit, inside its savepoint: what it expects is checked, what it writes is written.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::audit::Covered;
use super::codes;
use crate::store::commit::{Expect, Outcome, Receipt, Write};
use crate::store::error::StoreError;
use crate::store::facet_bytes;
use crate::store::id::{DocumentId, JournalSeq, NoticeId, Occurred, PersonId, Ref, ResourceKey};
use crate::store::new::{
    Deletion, Direction, Disposition, Event, NativeId, NewDocument, NewJournal, NewMember, NewNotice, NewOriginal,
    NoticeEnd,
};
use crate::store::prepared::{self, IndexRows, MemberRows, Prepared, Work};
use crate::store::secret::{Secret, system_hash};
use crate::store::stored::Repeat;

/// What applying a commit needs to know, and what it gathers.
pub(in crate::store) struct Applying<'a> {
    pub(in crate::store) connection: &'a Connection,
    pub(in crate::store) secret: &'a Secret,
    pub(in crate::store) now: Timestamp,
    /// Messages received before this are not known again, in microseconds.
    pub(in crate::store) window_start: i64,
    pub(in crate::store) receipt: Receipt,
    /// Whether a message was put into the outbox or moved in it.
    pub(in crate::store) outbox_moved: bool,
    /// Whether anything was written yet: until then a refusal leaves nothing to be undone.
    pub(in crate::store) wrote: bool,
    /// The audit rows that were written, as the chain covers them.
    pub(in crate::store) covered: Covered,
    /// Who persons are now, as far as it was asked since two of them last became one.
    pub(in crate::store) persons_now: HashMap<i64, i64>,
}

/// The current version of a resource, by what the writer needs of it.
struct Current {
    version: u64,
    /// As known when it was written.
    person: i64,
    deleted: bool,
}

impl<'a> Applying<'a> {
    pub(in crate::store) fn new(
        connection: &'a Connection,
        secret: &'a Secret,
        now: Timestamp,
        window_start: i64,
    ) -> Self {
        Self {
            connection,
            secret,
            now,
            window_start,
            receipt: Receipt::default(),
            outbox_moved: false,
            wrote: false,
            covered: Covered::default(),
            persons_now: HashMap::new(),
        }
    }

    /// Applies all of it, or ends at the first thing that does not hold; what was written until then is the caller's to undo.
    pub(in crate::store) fn apply(&mut self, work: &Work) -> Result<Outcome, StoreError> {
        for expect in &work.expect {
            self.check(expect)?;
        }
        for (write, prepared) in &work.write {
            if let Some(repeat) = self.write(write, prepared)? {
                return Ok(Outcome::Repeated(repeat));
            }
        }
        Ok(Outcome::Committed(std::mem::take(&mut self.receipt)))
    }

    fn check(&mut self, expect: &Expect) -> Result<(), StoreError> {
        match expect {
            Expect::Version { key, version } => {
                let current = self.current(key)?.map(|current| current.version);
                if current == *version {
                    return Ok(());
                }
                Err(StoreError::Stale { resource_type: key.resource_type.clone(), current })
            }
            Expect::NoneExist { resource_type, identifier } => {
                let ids = identified(self.connection, self.secret, resource_type, identifier)?;
                if ids.is_empty() {
                    return Ok(());
                }
                Err(StoreError::Exists { resource_type: resource_type.clone(), ids })
            }
            Expect::Person { evidence, person } => {
                let found = prepared::person_of(self.connection, self.secret, evidence)?;
                let expected = person.map(|person| self.person_now(person)).transpose()?;
                if found == expected { Ok(()) } else { Err(StoreError::PersonsDiffer) }
            }
            Expect::Members { person, types, versions } => self.check_members(*person, types, versions),
            Expect::Original { provider, key, version } => {
                let hash = prepared::original_hash(self.secret, provider, key);
                let found: Option<i64> = self
                    .connection
                    .prepare_cached("SELECT version FROM original WHERE hash = ?1")?
                    .query_row([hash], |row| row.get(0))
                    .optional()?;
                let found = found.map(codes::count).transpose()?;
                if found == *version { Ok(()) } else { Err(StoreError::OriginalChanged) }
            }
        }
    }

    fn check_members(
        &mut self,
        person: PersonId,
        types: &[String],
        versions: &[(ResourceKey, u64)],
    ) -> Result<(), StoreError> {
        let person = self.person_now(person)?;
        let mut found = 0;
        let mut statement =
            self.connection.prepare_cached("SELECT id, version FROM member WHERE person = ?1 AND type = ?2")?;
        for resource_type in types {
            let mut rows = statement.query((person, resource_type))?;
            while let Some(row) = rows.next()? {
                let (id, version) = (row.get_ref(0)?.as_str().unwrap_or_default(), codes::count(row.get(1)?)?);
                let is_expected = |(key, expected): &(ResourceKey, u64)| {
                    key.id == id && *expected == version && key.resource_type == *resource_type
                };
                if !versions.iter().any(is_expected) {
                    return Err(StoreError::MembersChanged);
                }
                found += 1;
            }
        }
        if found == versions.len() { Ok(()) } else { Err(StoreError::MembersChanged) }
    }

    /// Writes one thing; a message that was accepted before ends the commit.
    fn write(&mut self, write: &Write, prepared: &Prepared) -> Result<Option<Repeat>, StoreError> {
        // These look before they write, and say so themselves.
        let looks_first = matches!(
            write,
            Write::Journal(_)
                | Write::Document(_)
                | Write::Event(_)
                | Write::Message(_)
                | Write::Mark(_)
                | Write::CloseNotice(_)
        );
        self.wrote |= !looks_first;
        match (write, prepared) {
            (Write::Journal(journal), Prepared::BodyHash(hash)) => return self.journal(journal, hash),
            (Write::Document(document), Prepared::Members(rows)) => self.document(document, rows)?,
            (Write::Event(event), Prepared::Hash(hash)) => self.event(event, hash)?,
            (Write::Original(original), Prepared::Hash(hash)) => self.original(original, hash)?,
            (Write::Person(evidence), _) => {
                let person = self.person(evidence)?;
                self.receipt.persons.push(PersonId(person));
            }
            (Write::Merge { one, other }, _) => {
                let (one, other) = (self.resolve_person(*one)?, self.resolve_person(*other)?);
                self.merge(one, other)?;
            }
            (Write::Delete(deletion), _) => self.delete(deletion)?,
            (Write::NativeId(link), _) => self.native_id(link)?,
            (Write::Place(place), _) => self.place(place)?,
            (Write::Message(message), _) => self.message(message)?,
            (Write::Mark(mark), _) => self.mark(mark)?,
            (Write::Hasten { provider, due }, _) => self.hasten(provider, *due)?,
            (Write::Notice(notice), _) => self.notice(notice)?,
            (Write::CloseNotice(end), _) => self.close_notice(end)?,
            (Write::Audit(audit), _) => self.audit(audit)?,
            (Write::Journal(_) | Write::Document(_) | Write::Event(_) | Write::Original(_), _) => {
                return Err(StoreError::Incoherent("a write that was not prepared"));
            }
        }
        Ok(None)
    }

    fn journal(&mut self, journal: &NewJournal, body_hash: &[u8; 32]) -> Result<Option<Repeat>, StoreError> {
        let kept = journal.direction == Direction::Inbound && journal.disposition != Disposition::Refused;
        if let (true, Some(key)) = (kept, &journal.dedup) {
            match accepted_before(self.connection, &key.0, self.window_start)? {
                Some((repeat, hash)) if hash == *body_hash => return Ok(Some(repeat)),
                Some((repeat, _)) => return Err(StoreError::Duplicate { first: repeat.first }),
                None => {}
            }
        }
        self.wrote = true;
        let received = journal.received.as_microsecond();
        self.connection
            .prepare_cached(
                "INSERT INTO journal (received, provider, direction, disposition, media, control, dedup, body_hash, acknowledgement, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute((
                received,
                &journal.provider,
                codes::direction_code(journal.direction),
                codes::disposition_code(journal.disposition),
                &journal.media,
                &journal.control,
                journal.dedup.as_ref().map(|key| &key.0[..]),
                body_hash,
                journal.acknowledgement.as_deref(),
                &journal.body[..],
            ))?;
        let seq = self.connection.last_insert_rowid();
        if let (true, Some(key)) = (kept, &journal.dedup) {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO dedup (key, journal, received) VALUES (?1, ?2, ?3)")?
                .execute((key.0, seq, received))?;
        }
        self.receipt.journal.push(JournalSeq(seq));
        Ok(None)
    }

    fn document(&mut self, document: &NewDocument, rows: &[MemberRows]) -> Result<(), StoreError> {
        let journal = self.resolve_journal(document.journal)?;
        let mut before = Vec::with_capacity(document.members.len());
        for member in &document.members {
            // That nothing was there before a first version is seen when it is written.
            before.push(match member.version {
                1 => None,
                version => self.next_version(&member.key, version)?,
            });
        }
        self.wrote = true;
        self.connection
            .prepare_cached("INSERT INTO document (journal, body) VALUES (?1, ?2)")?
            .execute((journal, &document.body[..]))?;
        let id = self.connection.last_insert_rowid();
        for ((member, rows), before) in document.members.iter().zip(rows).zip(before) {
            self.member(id, member, rows, before)?;
        }
        self.receipt.documents.push(DocumentId(id));
        Ok(())
    }

    fn member(
        &mut self,
        document: i64,
        member: &NewMember,
        rows: &MemberRows,
        current: Option<Current>,
    ) -> Result<(), StoreError> {
        let (key, person) = (&member.key, member.person.map_or(Ok(0), |person| self.resolve_person(person))?);
        let updated = member.updated.as_microsecond();
        let (version, start, length) = (
            codes::number(member.version)?,
            i64::try_from(member.span.0).unwrap_or(i64::MAX),
            i64::try_from(member.span.1).unwrap_or(i64::MAX),
        );
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO version (type, id, version, person, updated, deleted, provider, document, start, length)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                &key.resource_type,
                &key.id,
                version,
                person,
                updated,
                &member.provider,
                document,
                start,
                length,
            ))?;
        if inserted == 0 {
            let current = self.current(key)?.map(|current| current.version);
            return Err(StoreError::VersionConflict { resource_type: key.resource_type.clone(), current });
        }
        match current.filter(|current| !current.deleted) {
            Some(current) => {
                let before = self.person_now(PersonId(current.person))?;
                let facets = self.facets(before, key)?;
                if facets != rows.facets {
                    self.reindex(key, &self.index_of(key, &facets)?, &rows.index)?;
                }
                if before != person {
                    self.drop_member(before, key)?;
                }
            }
            None => self.reindex(key, &IndexRows::default(), &rows.index)?,
        }
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO member (person, type, id, version, updated, provider, document, start, length, facets)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute((
                person, &key.resource_type, &key.id, version, updated, &member.provider, document, start, length,
                &rows.facets,
            ))?;
        Ok(())
    }

    fn delete(&mut self, deletion: &Deletion) -> Result<(), StoreError> {
        let key = &deletion.key;
        let Some(current) = self.next_version(key, deletion.version)?.filter(|current| !current.deleted) else {
            return Err(StoreError::Missing("resource to delete"));
        };
        let person = self.person_now(PersonId(current.person))?;
        let facets = self.facets(person, key)?;
        self.reindex(key, &self.index_of(key, &facets)?, &IndexRows::default())?;
        self.drop_member(person, key)?;
        self.connection
            .prepare_cached(
                "INSERT INTO version (type, id, version, person, updated, deleted, provider, document, start, length)
                 SELECT type, id, ?3, ?4, ?5, 1, provider, NULL, 0, 0 FROM version
                 WHERE type = ?1 AND id = ?2 AND version = ?3 - 1",
            )?
            .execute((
                &key.resource_type,
                &key.id,
                codes::number(deletion.version)?,
                person,
                deletion.updated.as_microsecond(),
            ))?;
        Ok(())
    }

    /// The current version, when `version` is the one after it.
    fn next_version(&self, key: &ResourceKey, version: u64) -> Result<Option<Current>, StoreError> {
        let current = self.current(key)?;
        let number = current.as_ref().map(|current| current.version);
        if version == number.unwrap_or(0).saturating_add(1) {
            return Ok(current);
        }
        Err(StoreError::VersionConflict { resource_type: key.resource_type.clone(), current: number })
    }

    fn current(&self, key: &ResourceKey) -> Result<Option<Current>, StoreError> {
        let found: Option<(i64, i64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT version, person, deleted FROM version WHERE type = ?1 AND id = ?2 ORDER BY version DESC LIMIT 1",
            )?
            .query_row([&key.resource_type, &key.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((version, person, deleted)) = found else { return Ok(None) };
        Ok(Some(Current { version: codes::count(version)?, person, deleted }))
    }

    fn facets(&self, person: i64, key: &ResourceKey) -> Result<Vec<u8>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT facets FROM member WHERE person = ?1 AND type = ?2 AND id = ?3")?
            .query_row((person, &key.resource_type, &key.id), |row| row.get(0))?)
    }

    fn index_of(&self, key: &ResourceKey, facets: &[u8]) -> Result<IndexRows, StoreError> {
        let facets = facet_bytes::decode(facets).ok_or(StoreError::Damaged("facets"))?;
        Ok(prepared::index_rows(&key.resource_type, &facets, self.secret))
    }

    fn drop_member(&self, person: i64, key: &ResourceKey) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM member WHERE person = ?1 AND type = ?2 AND id = ?3")?.execute((
            person,
            &key.resource_type,
            &key.id,
        ))?;
        Ok(())
    }

    /// Brings the rows of the indexes across persons from what they are to what they are to be.
    fn reindex(&self, key: &ResourceKey, before: &IndexRows, after: &IndexRows) -> Result<(), StoreError> {
        for (value, system) in before.identifiers.iter().filter(|row| !after.identifiers.contains(row)) {
            self.connection
                .prepare_cached("DELETE FROM identifier WHERE type = ?1 AND value = ?2 AND system = ?3 AND id = ?4")?
                .execute((&key.resource_type, value, system, &key.id))?;
        }
        for (value, system) in after.identifiers.iter().filter(|row| !before.identifiers.contains(row)) {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO identifier (type, value, system, id) VALUES (?1, ?2, ?3, ?4)")?
                .execute((&key.resource_type, value, system, &key.id))?;
        }
        for (role, party, status) in before.worklist.iter().filter(|row| !after.worklist.contains(row)) {
            self.connection
                .prepare_cached("DELETE FROM worklist WHERE role = ?1 AND party = ?2 AND status = ?3 AND id = ?4")?
                .execute((role, party, status, &key.id))?;
        }
        for (role, party, status) in after.worklist.iter().filter(|row| !before.worklist.contains(row)) {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO worklist (role, party, status, id) VALUES (?1, ?2, ?3, ?4)")?
                .execute((role, party, status, &key.id))?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, hash: &[u8; 20]) -> Result<(), StoreError> {
        if let Some(newest) = newest_event(self.connection, hash)?
            && event.occurred < newest
        {
            return Err(StoreError::Older { newest });
        }
        self.wrote = true;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO event (hash, time, sequence) VALUES (?1, ?2, ?3)")?
            .execute((hash, event.occurred.time.as_microsecond(), codes::number(event.occurred.sequence)?))?;
        Ok(())
    }

    fn original(&self, original: &NewOriginal, hash: &[u8; 20]) -> Result<(), StoreError> {
        let journal = self.resolve_journal(original.journal)?;
        self.connection
            .prepare_cached(
                "INSERT INTO original (hash, version, media, journal, body) VALUES (?1, 1, ?2, ?3, ?4)
                 ON CONFLICT (hash) DO UPDATE SET version = version + 1, media = ?2, journal = ?3, body = ?4",
            )?
            .execute((hash, &original.media, journal, &original.body[..]))?;
        Ok(())
    }

    fn native_id(&self, link: &NativeId) -> Result<(), StoreError> {
        let key = &link.key;
        let before: Option<(String, String)> = self
            .connection
            .prepare_cached("SELECT provider, native FROM native_id WHERE type = ?1 AND id = ?2")?
            .query_row([&key.resource_type, &key.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match before {
            Some((provider, native)) if provider == link.provider && native == link.native => Ok(()),
            Some(_) => Err(StoreError::Incoherent("an id stands for another native id")),
            None => {
                self.connection
                    .prepare_cached("INSERT INTO native_id (type, id, provider, native) VALUES (?1, ?2, ?3, ?4)")?
                    .execute((&key.resource_type, &key.id, &link.provider, &link.native))?;
                Ok(())
            }
        }
    }

    fn notice(&mut self, notice: &NewNotice) -> Result<(), StoreError> {
        let journal = self.resolve_journal(notice.journal)?;
        let id = self
            .connection
            .prepare_cached(
                "INSERT INTO notice (opened, kind, provider, journal, text, decision) VALUES (?1, ?2, ?3, ?4, ?5, '')
                 RETURNING id",
            )?
            .query_row(
                (notice.opened.as_microsecond(), &notice.kind, &notice.provider, journal, &notice.text),
                |row| row.get(0),
            )?;
        self.receipt.notices.push(NoticeId(id));
        Ok(())
    }

    fn close_notice(&mut self, end: &NoticeEnd) -> Result<(), StoreError> {
        let closed = self
            .connection
            .prepare_cached("UPDATE notice SET closed = ?2, decision = ?3 WHERE id = ?1 AND closed IS NULL")?
            .execute((end.notice.0, end.closed.as_microsecond(), &end.text))?;
        self.wrote |= closed == 1;
        if closed == 1 { Ok(()) } else { Err(StoreError::Missing("open notice")) }
    }

    pub(super) fn resolve_journal(&self, journal: Option<Ref<JournalSeq>>) -> Result<Option<i64>, StoreError> {
        match journal {
            None => Ok(None),
            Some(Ref::Known(seq)) => Ok(Some(seq.0)),
            Some(Ref::Here(place)) => self
                .receipt
                .journal
                .get(place)
                .map(|seq| Some(seq.0))
                .ok_or(StoreError::Incoherent("a journal entry that no earlier write makes")),
        }
    }
}

/// The entry that was accepted under this key at or after the start of the window, and the hash of its body.
pub(in crate::store) fn accepted_before(
    connection: &Connection,
    key: &[u8; 20],
    window_start: i64,
) -> Result<Option<(Repeat, [u8; 32])>, StoreError> {
    let found: Option<(i64, [u8; 32], Option<Vec<u8>>)> = connection
        .prepare_cached(
            "SELECT journal.seq, journal.body_hash, journal.acknowledgement
             FROM dedup JOIN journal ON journal.seq = dedup.journal WHERE dedup.key = ?1 AND dedup.received >= ?2",
        )?
        .query_row((key, window_start), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(found.map(|(seq, hash, acknowledgement)| {
        (Repeat { first: JournalSeq(seq), acknowledgement: acknowledgement.map(Into::into) }, hash)
    }))
}

/// The newest event applied under this hash.
pub(in crate::store) fn newest_event(connection: &Connection, hash: &[u8; 20]) -> Result<Option<Occurred>, StoreError> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT time, sequence FROM event WHERE hash = ?1")?
        .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((time, sequence)) = found else { return Ok(None) };
    Ok(Some(Occurred { time: codes::time(time)?, sequence: codes::count(sequence)? }))
}

/// The ids of the current resources of a type that bear an identifier.
pub(in crate::store) fn identified(
    connection: &Connection,
    secret: &Secret,
    resource_type: &str,
    identifier: &crate::store::commit::IdentifierQuery,
) -> Result<Vec<String>, StoreError> {
    let value = prepared::value_hash(secret, &identifier.value);
    let system = identifier.system.as_ref().map(|system| system_hash(system.as_deref()));
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT id FROM identifier WHERE type = ?1 AND value = ?2 AND (?3 IS NULL OR system = ?3) ORDER BY id",
    )?;
    let ids = statement.query_map((resource_type, value, system), |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}
