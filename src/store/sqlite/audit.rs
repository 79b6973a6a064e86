//! The audit: rows as compact facts, and the chain of keyed hashes over them, one link a transaction.

use rusqlite::{Connection, OptionalExtension, Row};

use super::apply::Applying;
use super::codes;
use crate::store::error::StoreError;
use crate::store::id::{AuditSeq, ResourceKey};
use crate::store::new::{AuditTarget, NewAudit};
use crate::store::secret::Secret;
use crate::store::stored::{Anchor, Audit};

impl Applying<'_> {
    pub(super) fn audit(&mut self, audit: &NewAudit) -> Result<(), StoreError> {
        let person = audit.person.map_or(Ok(0), |person| self.resolve_person(person))?;
        let (target, resource_type, id, query) = match &audit.target {
            AuditTarget::None => (0, "", "", None),
            AuditTarget::Resource(key) => (1, key.resource_type.as_str(), key.id.as_str(), None),
            AuditTarget::Query { resource_type, hash } => (2, resource_type.as_str(), "", Some(hash)),
        };
        let (time, providers) = (audit.time.as_microsecond(), audit.providers.join("\n"));
        self.connection
            .prepare_cached(
                "INSERT INTO audit (time, who, interaction, target, type, id, query, person, providers, outcome, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute((
                time,
                &audit.who,
                &audit.interaction,
                target,
                resource_type,
                id,
                query,
                person,
                &providers,
                &audit.outcome,
                &audit.request,
            ))?;
        let seq = self.connection.last_insert_rowid();
        let covered = &mut self.covered;
        covered.integer(seq).integer(time).text(&audit.who).text(&audit.interaction).integer(target);
        covered.text(resource_type).text(id);
        match query {
            Some(hash) => covered.blob(hash),
            None => covered.null(),
        };
        covered.integer(person).text(&providers).text(&audit.outcome).text(&audit.request);
        covered.last = Some(seq);
        self.receipt.audit.push(AuditSeq(seq));
        Ok(())
    }
}

/// What a link's hash is over: every column of every row, each with its kind and its length; and the last row's number.
#[derive(Debug, Default)]
pub(in crate::store) struct Covered {
    pub(in crate::store) bytes: Vec<u8>,
    pub(in crate::store) last: Option<i64>,
}

impl Covered {
    /// Adds the rows that come after these.
    pub(in crate::store) fn append(&mut self, later: &Self) {
        self.bytes.extend_from_slice(&later.bytes);
        self.last = later.last.or(self.last);
    }

    fn integer(&mut self, number: i64) -> &mut Self {
        self.bytes.push(1);
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn null(&mut self) -> &mut Self {
        self.counted(0, &[])
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.counted(2, text.as_bytes())
    }

    fn blob(&mut self, blob: &[u8]) -> &mut Self {
        self.counted(3, blob)
    }

    fn counted(&mut self, kind: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self
    }
}

const COLUMNS: &str = "seq, time, who, interaction, target, type, id, query, person, providers, outcome, request";

/// Rows after `after` up to `last`, in order.
pub(in crate::store) fn rows(
    connection: &Connection,
    after: i64,
    last: i64,
    limit: usize,
) -> Result<Vec<Audit>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"))?;
    let mut rows = statement.query((after, last, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Audit, StoreError> {
    let (resource_type, id): (String, String) = (row.get(5)?, row.get(6)?);
    let target = match (row.get::<_, i64>(4)?, row.get::<_, Option<[u8; 32]>>(7)?) {
        (0, None) => AuditTarget::None,
        (1, None) => AuditTarget::Resource(ResourceKey { resource_type, id }),
        (2, Some(hash)) => AuditTarget::Query { resource_type, hash },
        _ => return Err(StoreError::Damaged("audit row")),
    };
    let providers: String = row.get(9)?;
    Ok(Audit {
        seq: AuditSeq(row.get(0)?),
        time: codes::time(row.get(1)?)?,
        who: row.get(2)?,
        interaction: row.get(3)?,
        target,
        person: codes::person(row.get(8)?),
        providers: providers.split_terminator('\n').map(str::to_owned).collect(),
        outcome: row.get(10)?,
        request: row.get(11)?,
    })
}

/// The last link of the chain; before the first, number 0 and a hash of zeros.
pub(in crate::store) fn last_link(connection: &Connection) -> Result<Anchor, StoreError> {
    let found = connection
        .prepare_cached("SELECT last, hash FROM chain ORDER BY last DESC LIMIT 1")?
        .query_row([], |row| Ok(Anchor { seq: AuditSeq(row.get(0)?), hash: row.get(1)? }))
        .optional()?;
    Ok(found.unwrap_or(Anchor { seq: AuditSeq(0), hash: [0; 32] }))
}

/// Adds the link over what this transaction added; `None` when it added nothing.
pub(in crate::store) fn add_link(
    connection: &Connection,
    secret: &Secret,
    before: &Anchor,
    added: &Covered,
) -> Result<Option<Anchor>, StoreError> {
    let Some(last) = added.last else { return Ok(None) };
    let hash = secret.chained(&before.hash, &added.bytes);
    connection.prepare_cached("INSERT INTO chain (last, hash) VALUES (?1, ?2)")?.execute((last, hash))?;
    Ok(Some(Anchor { seq: AuditSeq(last), hash }))
}

/// Links after a place, in order.
pub(in crate::store) fn links(connection: &Connection, after: i64, limit: usize) -> Result<Vec<Anchor>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT last, hash FROM chain WHERE last > ?1 ORDER BY last LIMIT ?2")?
        .query_map((after, i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
            Ok(Anchor { seq: AuditSeq(row.get(0)?), hash: row.get(1)? })
        })?
        .collect::<Result<_, _>>()?)
}

/// The rows after `after` up to `last`, as a link covers them.
pub(in crate::store) fn covered(connection: &Connection, after: i64, last: i64) -> Result<Covered, StoreError> {
    use rusqlite::types::ValueRef;
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([after, last])?;
    let mut covered = Covered::default();
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => covered.null(),
                ValueRef::Integer(number) => covered.integer(number),
                ValueRef::Real(_) => return Err(StoreError::Damaged("audit row")),
                ValueRef::Text(text) => covered.counted(2, text),
                ValueRef::Blob(blob) => covered.blob(blob),
            };
        }
        covered.last = Some(row.get(0)?);
    }
    Ok(covered)
}
