//! What can be computed of a commit before the writer sees it: hashes and encodings, on the caller's thread.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::commit::{Commit, Expect, Write};
use super::error::StoreError;
use super::facet::{Facet, FacetValue};
use super::facet_bytes;
use super::new::{Evidence, NewMember};
use super::secret::{Secret, system_hash};
use super::sqlite::codes;
use super::stored::Role;

/// A commit on its way to the writer.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) expect: Vec<Expect>,
    pub(super) write: Vec<(Write, Prepared)>,
    pub(super) weight: usize,
    /// Nothing but audit rows: may use the reserve.
    pub(super) audit_only: bool,
}

/// What goes with a [`Write`].
#[derive(Debug)]
pub(super) enum Prepared {
    Nothing,
    BodyHash([u8; 32]),
    Hash([u8; 20]),
    Members(Vec<MemberRows>),
}

/// A member's facets and the rows that index them across persons.
#[derive(Debug)]
pub(super) struct MemberRows {
    pub(super) facets: Vec<u8>,
    pub(super) index: IndexRows,
}

/// Rows of the two indexes across persons.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct IndexRows {
    /// Value's hash, system's hash.
    pub(super) identifiers: Vec<([u8; 16], Vec<u8>)>,
    /// Role, party, status.
    pub(super) worklist: Vec<(i64, String, String)>,
}

impl Work {
    /// Checks that the commit is coherent and prepares it.
    pub(super) fn prepare(commit: Commit, secret: &Secret) -> Result<Self, StoreError> {
        let weight = commit.weight();
        let audit_only = !commit.write.is_empty() && commit.write.iter().all(|write| matches!(write, Write::Audit(_)));
        let mut writes = Vec::with_capacity(commit.write.len());
        for write in commit.write {
            let prepared = prepare(&write, secret)?;
            writes.push((write, prepared));
        }
        Ok(Self { expect: commit.expect, write: writes, weight, audit_only })
    }
}

fn prepare(write: &Write, secret: &Secret) -> Result<Prepared, StoreError> {
    Ok(match write {
        Write::Journal(journal) => Prepared::BodyHash(Sha256::digest(&journal.body).into()),
        Write::Person(evidence) if evidence.is_empty() => {
            return Err(StoreError::Incoherent("a person without evidence"));
        }
        Write::Document(document) => {
            let mut keys = BTreeSet::new();
            if !document.members.iter().all(|member| keys.insert(&member.key)) {
                return Err(StoreError::Incoherent("a document with two versions of a resource"));
            }
            let mut rows = Vec::with_capacity(document.members.len());
            for member in &document.members {
                check_span(member, &document.body)?;
                rows.push(MemberRows {
                    facets: facet_bytes::encode(&member.facets),
                    index: index_rows(&member.key.resource_type, &member.facets, secret),
                });
            }
            Prepared::Members(rows)
        }
        Write::Event(event) => Prepared::Hash(event_hash(secret, &event.provider, &event.key)),
        Write::Original(original) => Prepared::Hash(original_hash(secret, &original.provider, &original.key)),
        Write::Audit(audit) if audit.providers.iter().any(|name| name.contains('\n')) => {
            return Err(StoreError::Incoherent("a provider's name with a line break"));
        }
        _ => Prepared::Nothing,
    })
}

fn check_span(member: &NewMember, body: &[u8]) -> Result<(), StoreError> {
    let (start, length) = member.span;
    let part = start.checked_add(length).and_then(|end| body.get(start..end));
    match part {
        Some(part) if std::str::from_utf8(part).is_ok() && !part.is_empty() => Ok(()),
        _ => Err(StoreError::Incoherent("a member's span is not a text within its document")),
    }
}

/// A provider as the party of a worklist.
pub(super) fn provider_party(provider: &str) -> String {
    format!("urn:silta:provider:{provider}")
}

/// The rows by which these facets are found across persons.
pub(super) fn index_rows(resource_type: &str, facets: &[Facet], secret: &Secret) -> IndexRows {
    let mut rows = IndexRows::default();
    let (mut status, mut parties, mut providers) = ("", Vec::new(), Vec::new());
    for facet in facets {
        match (facet.name.as_str(), &facet.value) {
            ("identifier", FacetValue::Token { system, code }) => {
                rows.identifiers.push((value_hash(secret, code), system_hash(system.as_deref())));
            }
            ("status", FacetValue::Token { code, .. }) => status = code,
            ("owner", FacetValue::Reference(party)) => parties.push((Role::Owner, party)),
            ("requester", FacetValue::Reference(party)) => parties.push((Role::Requester, party)),
            // The providers of both sides, by what no reference is.
            ("silta-owner", FacetValue::Text(provider)) => providers.push((Role::Owner, provider)),
            ("silta-requester", FacetValue::Text(provider)) => providers.push((Role::Requester, provider)),
            _ => {}
        }
    }
    if resource_type == "Task" {
        rows.worklist = parties
            .into_iter()
            .map(|(role, party)| (codes::role_code(role), party.clone(), status.to_owned()))
            .chain(
                providers
                    .into_iter()
                    .map(|(role, provider)| (codes::role_code(role), provider_party(provider), status.to_owned())),
            )
            .collect();
    }
    rows.identifiers.sort();
    rows.identifiers.dedup();
    rows.worklist.sort();
    rows.worklist.dedup();
    rows
}

/// The hash of an identifier's value in the index across persons.
pub(super) fn value_hash(secret: &Secret, value: &str) -> [u8; 16] {
    secret.keyed(&["value", value])
}

/// The hash by which a person's identifier is known.
pub(super) fn identity_hash(secret: &Secret, system: &str, value: &str) -> [u8; 20] {
    secret.keyed(&["person", system, value])
}

/// The hash of what an event is about.
pub(super) fn event_hash(secret: &Secret, provider: &str, key: &str) -> [u8; 20] {
    secret.keyed(&["event", provider, key])
}

/// The hash of a native document's key.
pub(super) fn original_hash(secret: &Secret, provider: &str, key: &str) -> [u8; 20] {
    secret.keyed(&["original", provider, key])
}

/// The person that evidence stands for, by one query each.
pub(super) fn person_of(
    connection: &rusqlite::Connection,
    secret: &Secret,
    evidence: &Evidence,
) -> Result<Option<i64>, StoreError> {
    use rusqlite::OptionalExtension;
    let found = match evidence {
        Evidence::Identifier { system, value } => connection
            .prepare_cached("SELECT person FROM identity WHERE hash = ?1")?
            .query_row([identity_hash(secret, system, value)], |row| row.get(0))
            .optional()?,
        Evidence::Patient { provider, native } => connection
            .prepare_cached("SELECT person FROM patient WHERE provider = ?1 AND native = ?2")?
            .query_row([provider, native], |row| row.get(0))
            .optional()?,
    };
    Ok(found)
}
