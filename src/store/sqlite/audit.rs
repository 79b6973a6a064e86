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
        let seq = self
            .connection
            .prepare_cached(
                "INSERT INTO audit (time, who, interaction, target, type, id, query, person, providers, outcome, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING seq",
            )?
            .query_row(
                (
                    audit.time.as_microsecond(),
                    &audit.who,
                    &audit.interaction,
                    target,
                    resource_type,
                    id,
                    query,
                    person,
                    audit.providers.join("\n"),
                    &audit.outcome,
                    &audit.request,
                ),
                |row| row.get(0),
            )?;
        self.receipt.audit.push(AuditSeq(seq));
        Ok(())
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
) -> Result<Option<Anchor>, StoreError> {
    let Some((rows, last)) = covered(connection, before.seq.0, i64::MAX)? else { return Ok(None) };
    let hash = secret.chained(&before.hash, &rows);
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

/// What a link's hash is over: every column of every row, each after its length; and the last row's number.
pub(in crate::store) fn covered(
    connection: &Connection,
    after: i64,
    last: i64,
) -> Result<Option<(Vec<u8>, i64)>, StoreError> {
    use rusqlite::types::ValueRef;
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([after, last])?;
    let (mut bytes, mut end) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            let (kind, value): (u8, &[u8]) = match row.get_ref(column)? {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(number) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&number.to_be_bytes());
                    continue;
                }
                ValueRef::Real(_) => return Err(StoreError::Damaged("audit row")),
                ValueRef::Text(text) => (2, text),
                ValueRef::Blob(blob) => (3, blob),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        end = Some(row.get(0)?);
    }
    Ok(end.map(|end| (bytes, end)))
}
