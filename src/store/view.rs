//! Reading: one moment of the store, and the questions that can be asked of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use super::assign;
use super::commit::IdentifierQuery;
use super::error::StoreError;
use super::facet_bytes;
use super::id::{AssignedId, AuditSeq, DedupKey, DocumentId, JournalSeq, NativeKey, Occurred, PersonId, ResourceKey};
use super::new::{Evidence, Place};
use super::prepared;
use super::secret::Secret;
use super::sqlite::{apply, audit, codes, places};
use super::stored::{Audit, Journal, Member, Original, Resource, Role, Seen, WorklistEntry};

/// One moment of the store: everything read through it is of the same moment. [`super::Store::read`] lends it, on a thread
/// of the reader pool, where waiting for the disk is allowed.
pub struct View<'c> {
    pub(super) connection: &'c Connection,
    pub(super) secret: &'c Secret,
    pub(super) window_start: i64,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("View")
    }
}

const VERSION: &str =
    "SELECT v.version, v.updated, v.deleted, coalesce(p.now, 0), v.provider, v.document, v.start, v.length
                       FROM version v LEFT JOIN person p ON p.id = v.person WHERE v.type = ?1 AND v.id = ?2";

impl View<'_> {
    /// A version of a resource, the current one where none is named; `None` where there is none. A deleted resource has
    /// its deletion as current version.
    ///
    /// # Errors
    /// Only when the database cannot be read; so it is for every method here.
    pub fn resource(&self, key: &ResourceKey, version: Option<u64>) -> Result<Option<Resource>, StoreError> {
        let limit = version.map(codes::number).transpose()?;
        let mut statement = self
            .connection
            .prepare_cached(&format!("{VERSION} AND (?3 IS NULL OR v.version = ?3) ORDER BY v.version DESC LIMIT 1"))?;
        let found = statement
            .query_row((&key.resource_type, &key.id, limit), |row| Ok(self.version_row(key, row, &mut Bodies::new())))
            .optional()?;
        found.transpose()
    }

    /// Versions of a resource, the latest first: those before version `before` where it is given, at most `limit`.
    pub fn history(&self, key: &ResourceKey, before: Option<u64>, limit: usize) -> Result<Vec<Resource>, StoreError> {
        let before = before.map(codes::number).transpose()?;
        let mut statement = self.connection.prepare_cached(&format!(
            "{VERSION} AND (?3 IS NULL OR v.version < ?3) ORDER BY v.version DESC LIMIT ?4"
        ))?;
        let mut rows = statement.query((&key.resource_type, &key.id, before, limit_of(limit)))?;
        let (mut found, mut bodies) = (Vec::new(), Bodies::new());
        while let Some(row) = rows.next()? {
            found.push(self.version_row(key, row, &mut bodies)?);
        }
        Ok(found)
    }

    /// Whether a resource is there now: neither never made nor deleted.
    pub fn exists(&self, key: &ResourceKey) -> Result<bool, StoreError> {
        let deleted: Option<bool> = self
            .connection
            .prepare_cached("SELECT deleted FROM version WHERE type = ?1 AND id = ?2 ORDER BY version DESC LIMIT 1")?
            .query_row([&key.resource_type, &key.id], |row| row.get(0))
            .optional()?;
        Ok(deleted == Some(false))
    }

    /// The current version of a resource with its facets; `None` where there is none or it is deleted.
    pub fn member(&self, key: &ResourceKey) -> Result<Option<Member>, StoreError> {
        let Some(resource) = self.resource(key, None)?.filter(|resource| !resource.deleted) else { return Ok(None) };
        let person = resource.person.map_or(0, PersonId::number);
        let facets: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT facets FROM member WHERE person = ?1 AND type = ?2 AND id = ?3")?
            .query_row((person, &key.resource_type, &key.id), |row| row.get(0))
            .optional()?;
        let facets = facets.ok_or(StoreError::Damaged("member"))?;
        let facets = facet_bytes::decode(&facets).ok_or(StoreError::Damaged("facets"))?;
        Ok(Some(Member { resource, facets }))
    }

    /// The current resources of a person (`None`: those about nobody) of these types, by type and id; no types: all.
    pub fn members(&self, person: Option<PersonId>, types: &[&str]) -> Result<Vec<Member>, StoreError> {
        const COLUMNS: &str =
            "SELECT type, id, version, updated, 0, person, provider, document, start, length, facets FROM member";
        let person = person.map_or(Ok(0), |person| self.person_now(person))?;
        let (mut found, mut bodies) = (Vec::new(), Bodies::new());
        let mut gather = |mut rows: rusqlite::Rows<'_>| -> Result<(), StoreError> {
            while let Some(row) = rows.next()? {
                let key = ResourceKey::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
                let facets: Vec<u8> = row.get(10)?;
                found.push(Member {
                    resource: self.resource_row(&key, row, 2, &mut bodies)?,
                    facets: facet_bytes::decode(&facets).ok_or(StoreError::Damaged("facets"))?,
                });
            }
            Ok(())
        };
        if types.is_empty() {
            let mut statement =
                self.connection.prepare_cached(&format!("{COLUMNS} WHERE person = ?1 ORDER BY type, id"))?;
            gather(statement.query([person])?)?;
        } else {
            let mut types = types.to_vec();
            types.sort_unstable();
            types.dedup();
            let mut statement =
                self.connection.prepare_cached(&format!("{COLUMNS} WHERE person = ?1 AND type = ?2 ORDER BY id"))?;
            for resource_type in types {
                gather(statement.query((person, resource_type))?)?;
            }
        }
        Ok(found)
    }

    /// The ids of the current resources of a type that bear an identifier, whoever they are about.
    pub fn identified(&self, resource_type: &str, identifier: &IdentifierQuery) -> Result<Vec<String>, StoreError> {
        apply::identified(self.connection, self.secret, resource_type, identifier)
    }

    /// The Tasks of a party (a reference as the facet has it) in one of these statuses, by status and id; no statuses: all.
    pub fn worklist(&self, role: Role, party: &str, statuses: &[&str]) -> Result<Vec<WorklistEntry>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, status FROM worklist WHERE role = ?1 AND party = ?2 ORDER BY status, id")?;
        let mut rows = statement.query((codes::role_code(role), party))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let status: String = row.get(1)?;
            if statuses.is_empty() || statuses.contains(&status.as_str()) {
                found.push(WorklistEntry { key: ResourceKey::new("Task", row.get::<_, String>(0)?), status });
            }
        }
        Ok(found)
    }

    /// The Tasks of which a provider's system stands on a side, in one of these statuses; no statuses: all.
    pub fn worklist_of(&self, role: Role, provider: &str, statuses: &[&str]) -> Result<Vec<WorklistEntry>, StoreError> {
        self.worklist(role, &prepared::provider_party(provider), statuses)
    }

    /// The person that evidence stands for.
    pub fn person(&self, evidence: &Evidence) -> Result<Option<PersonId>, StoreError> {
        Ok(prepared::person_of(self.connection, self.secret, evidence)?.map(PersonId))
    }

    /// The patients of providers that are this person, as provider and native id: who is asked about them, and by what.
    pub fn patients(&self, person: PersonId) -> Result<Vec<(String, String)>, StoreError> {
        let person = self.person_now(person)?;
        Ok(self
            .connection
            .prepare_cached("SELECT provider, native FROM patient WHERE person = ?1 ORDER BY provider, native")?
            .query_map([person], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?)
    }

    /// The number under which a person stands now, after merges.
    pub fn survivor(&self, person: PersonId) -> Result<PersonId, StoreError> {
        self.person_now(person).map(PersonId)
    }

    /// Whether a message came before, so that it need not be read again. What counts is decided when it is committed.
    pub fn seen(&self, key: &DedupKey, body: &[u8]) -> Result<Seen, StoreError> {
        let hash: [u8; 32] = Sha256::digest(body).into();
        Ok(match apply::accepted_before(self.connection, &key.0, self.window_start)? {
            None => Seen::New,
            Some((repeat, before)) if before == hash => Seen::Repeated(repeat),
            Some((repeat, _)) => Seen::Duplicate { first: repeat.first },
        })
    }

    /// A journal entry.
    pub fn journal(&self, seq: JournalSeq) -> Result<Option<Journal>, StoreError> {
        Ok(self.journal_after(JournalSeq(seq.0.saturating_sub(1)), 1)?.into_iter().find(|entry| entry.seq == seq))
    }

    /// The journal entries after a place, in order, at most `limit`.
    pub fn journal_after(&self, after: JournalSeq, limit: usize) -> Result<Vec<Journal>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, received, provider, direction, media, control, body, disposition, acknowledgement
             FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query((after.0, limit_of(limit)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Journal {
                seq: JournalSeq(row.get(0)?),
                received: codes::time(row.get(1)?)?,
                provider: row.get(2)?,
                direction: codes::direction(row.get(3)?)?,
                media: row.get(4)?,
                control: row.get(5)?,
                body: row.get::<_, Vec<u8>>(6)?.into(),
                disposition: codes::disposition(row.get(7)?)?,
                acknowledgement: row.get::<_, Option<Vec<u8>>>(8)?.map(Bytes::from),
            });
        }
        Ok(found)
    }

    /// The document rows that came of a journal entry, in order, with their texts.
    pub fn documents_of(&self, journal: JournalSeq) -> Result<Vec<(DocumentId, Bytes)>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, body FROM document WHERE journal = ?1 ORDER BY id")?;
        let rows = statement
            .query_map([journal.0], |row| Ok((DocumentId(row.get(0)?), Bytes::from(row.get::<_, Vec<u8>>(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The journal entries that versions of a resource came of, in order.
    pub fn journals_of(&self, key: &ResourceKey) -> Result<Vec<JournalSeq>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT DISTINCT d.journal FROM version v JOIN document d ON d.id = v.document
             WHERE v.type = ?1 AND v.id = ?2 AND d.journal IS NOT NULL ORDER BY d.journal",
        )?;
        let rows = statement.query_map([&key.resource_type, &key.id], |row| Ok(JournalSeq(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The document row that holds a version of a resource, and whose the resource is.
    pub fn holder(
        &self,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Option<(DocumentId, Option<PersonId>)>, StoreError> {
        let found: Option<(Option<i64>, i64)> = self
            .connection
            .prepare_cached(
                "SELECT v.document, coalesce(p.now, 0) FROM version v LEFT JOIN person p ON p.id = v.person
                 WHERE v.type = ?1 AND v.id = ?2 AND v.version = ?3",
            )?
            .query_row((&key.resource_type, &key.id, codes::number(version)?), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((Some(document), person)) = found else { return Ok(None) };
        Ok(Some((DocumentId(document), codes::person(person))))
    }

    /// The newest event of this key that was applied.
    pub fn newest_event(&self, provider: &str, key: &str) -> Result<Option<Occurred>, StoreError> {
        apply::newest_event(self.connection, &prepared::event_hash(self.secret, provider, key))
    }

    /// The id that a provider's native id has in the gateway ([`super::Store::assign`]).
    #[must_use]
    pub fn assign(&self, provider: &str, native: &str, kind: NativeKey) -> AssignedId {
        assign::assign(provider, native, kind, |text| self.secret.named(text))
    }

    /// The provider and its native id behind an id that is a hash. (An id that is not says both itself.)
    pub fn native(&self, key: &ResourceKey) -> Result<Option<(String, String)>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT provider, native FROM native_id WHERE type = ?1 AND id = ?2")?
            .query_row([&key.resource_type, &key.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// By which question to a provider a resource was found that it cannot be asked for by itself.
    pub fn place(&self, key: &ResourceKey) -> Result<Option<Place>, StoreError> {
        places::find(self.connection, key)
    }

    /// The kept native original of a provider's document.
    pub fn original(&self, provider: &str, key: &str) -> Result<Option<Original>, StoreError> {
        let hash = prepared::original_hash(self.secret, provider, key);
        let found: Option<(i64, String, Option<i64>, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT version, media, journal, body FROM original WHERE hash = ?1")?
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((version, media, journal, body)) = found else { return Ok(None) };
        Ok(Some(Original {
            version: codes::count(version)?,
            media,
            body: body.into(),
            journal: journal.map(JournalSeq),
        }))
    }

    /// Audit rows after a place, in order, at most `limit`.
    pub fn audit_after(&self, after: AuditSeq, limit: usize) -> Result<Vec<Audit>, StoreError> {
        audit::rows(self.connection, after.0, i64::MAX, limit)
    }

    pub(super) fn person_now(&self, person: PersonId) -> Result<i64, StoreError> {
        let now: Option<i64> = self
            .connection
            .prepare_cached("SELECT now FROM person WHERE id = ?1")?
            .query_row([person.0], |row| row.get(0))
            .optional()?;
        Ok(now.unwrap_or(person.0))
    }

    fn version_row(&self, key: &ResourceKey, row: &Row<'_>, bodies: &mut Bodies) -> Result<Resource, StoreError> {
        self.resource_row(key, row, 0, bodies)
    }

    /// Columns from `at`: version, updated, deleted, person, provider, document, start, length.
    fn resource_row(
        &self,
        key: &ResourceKey,
        row: &Row<'_>,
        at: usize,
        bodies: &mut Bodies,
    ) -> Result<Resource, StoreError> {
        let document: Option<i64> = row.get(at + 5)?;
        let (mut content, mut journal) = (Bytes::new(), None);
        if let Some(document) = document {
            let (start, length) = (codes::size(row.get(at + 6)?)?, codes::size(row.get(at + 7)?)?);
            let (body, from) = bodies.body(self.connection, document)?;
            let end = start.checked_add(length).filter(|end| *end <= body.len());
            content = body.slice(start..end.ok_or(StoreError::Damaged("document"))?);
            journal = from.map(JournalSeq);
        }
        Ok(Resource {
            key: key.clone(),
            version: codes::count(row.get(at)?)?,
            updated: codes::time(row.get(at + 1)?)?,
            deleted: row.get(at + 2)?,
            person: codes::person(row.get(at + 3)?),
            provider: row.get(at + 4)?,
            content,
            document: document.map(DocumentId),
            journal,
        })
    }
}

/// Documents that were read, so that each is read once.
struct Bodies(BTreeMap<i64, (Bytes, Option<i64>)>);

impl Bodies {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn body(&mut self, connection: &Connection, document: i64) -> Result<(Bytes, Option<i64>), StoreError> {
        if let Some(found) = self.0.get(&document) {
            return Ok(found.clone());
        }
        let found: Option<(Vec<u8>, Option<i64>)> = connection
            .prepare_cached("SELECT body, journal FROM document WHERE id = ?1")?
            .query_row([document], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (body, journal) = found.ok_or(StoreError::Damaged("document"))?;
        let found = (Bytes::from(body), journal);
        self.0.insert(document, found.clone());
        Ok(found)
    }
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The moment before which messages are not known again.
pub(super) fn window_start(now: Timestamp, days: u32) -> i64 {
    const DAY: i64 = 86_400_000_000;
    now.as_microsecond().saturating_sub(i64::from(days).saturating_mul(DAY))
}
