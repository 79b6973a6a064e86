//! Who is who: links from identifiers and providers' patients to persons, and persons who turn out to be one.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::OptionalExtension;

use super::apply::Applying;
use crate::store::error::StoreError;
use crate::store::id::{PersonId, Ref};
use crate::store::new::Evidence;
use crate::store::prepared::{identity_hash, person_of};

impl Applying<'_> {
    /// The person for whom all of the evidence stands, after linking all of it.
    pub(super) fn person(&mut self, evidence: &[Evidence]) -> Result<i64, StoreError> {
        let mut persons = BTreeSet::new();
        let mut unlinked = Vec::new();
        for item in evidence {
            match person_of(self.connection, self.secret, item)? {
                Some(person) => {
                    persons.insert(person);
                }
                None => unlinked.push(item),
            }
        }
        if persons.len() == 1
            && unlinked.is_empty()
            && let Some(person) = persons.first()
        {
            return Ok(*person);
        }
        self.check_agreement(&persons, evidence)?;
        let survivor = match persons.first() {
            Some(person) => *person,
            None => self.new_person()?,
        };
        for other in persons.iter().filter(|person| **person != survivor) {
            self.merge(survivor, *other)?;
        }
        for item in unlinked {
            self.link(survivor, item)?;
        }
        Ok(survivor)
    }

    /// A person has one identifier of a system: two are a contradiction, wherever they come from.
    fn check_agreement(&self, persons: &BTreeSet<i64>, evidence: &[Evidence]) -> Result<(), StoreError> {
        let mut known: BTreeMap<String, [u8; 20]> = BTreeMap::new();
        let mut agree = |system: String, hash: [u8; 20]| match known.insert(system, hash) {
            Some(before) if before != hash => Err(StoreError::PersonsDiffer),
            _ => Ok(()),
        };
        for item in evidence {
            if let Evidence::Identifier { system, value } = item {
                agree(system.clone(), identity_hash(self.secret, system, value))?;
            }
        }
        for person in persons {
            let mut statement =
                self.connection.prepare_cached("SELECT system, hash FROM identity WHERE person = ?1")?;
            let mut rows = statement.query([person])?;
            // Persons merged by a human's decision may have several of one system: they are in agreement with any of them.
            let mut own: BTreeMap<String, Vec<[u8; 20]>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                own.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            for (system, hashes) in own {
                match hashes.as_slice() {
                    [hash] => agree(system, *hash)?,
                    several => {
                        let said = evidence.iter().find_map(|item| match item {
                            Evidence::Identifier { system: of, value } if *of == system => {
                                Some(identity_hash(self.secret, of, value))
                            }
                            _ => None,
                        });
                        if said.is_some_and(|said| !several.contains(&said)) {
                            return Err(StoreError::PersonsDiffer);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn new_person(&self) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "INSERT INTO person (id, now) SELECT last + 1, last + 1 FROM (SELECT coalesce(max(id), 0) AS last FROM person)
                 RETURNING id",
            )?
            .query_row([], |row| row.get(0))?)
    }

    fn link(&self, person: i64, evidence: &Evidence) -> Result<(), StoreError> {
        match evidence {
            Evidence::Identifier { system, value } => self
                .connection
                .prepare_cached("INSERT OR IGNORE INTO identity (hash, system, person) VALUES (?1, ?2, ?3)")?
                .execute((identity_hash(self.secret, system, value), system, person))?,
            Evidence::Patient { provider, native } => self
                .connection
                .prepare_cached("INSERT OR IGNORE INTO patient (provider, native, person) VALUES (?1, ?2, ?3)")?
                .execute((provider, native, person))?,
        };
        Ok(())
    }

    /// Makes two persons one: everything of the later goes over to the earlier.
    pub(super) fn merge(&mut self, one: i64, other: i64) -> Result<(), StoreError> {
        let (into, from) = (one.min(other), one.max(other));
        if into == from {
            return Ok(());
        }
        for sql in [
            "UPDATE person SET now = ?1 WHERE now = ?2 AND now <> id",
            "UPDATE person SET now = ?1 WHERE id = ?2",
            "UPDATE identity SET person = ?1 WHERE person = ?2",
            "UPDATE patient SET person = ?1 WHERE person = ?2",
            "UPDATE member SET person = ?1 WHERE person = ?2",
        ] {
            self.connection.prepare_cached(sql)?.execute([into, from])?;
        }
        self.persons_now.clear();
        self.merge_lanes(into, from)?;
        self.receipt.merged.push((PersonId(from), PersonId(into)));
        Ok(())
    }

    /// The number under which a person stands now.
    pub(super) fn person_now(&mut self, person: PersonId) -> Result<i64, StoreError> {
        if person.0 == 0 {
            return Ok(0);
        }
        if let Some(now) = self.persons_now.get(&person.0) {
            return Ok(*now);
        }
        let now = self
            .connection
            .prepare_cached("SELECT now FROM person WHERE id = ?1")?
            .query_row([person.0], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::Missing("person"))?;
        self.persons_now.insert(person.0, now);
        Ok(now)
    }

    pub(super) fn resolve_person(&mut self, person: Ref<PersonId>) -> Result<i64, StoreError> {
        match person {
            Ref::Known(PersonId(0)) => Err(StoreError::Missing("person")),
            Ref::Known(person) => self.person_now(person),
            Ref::Here(place) => {
                let person = self.receipt.persons.get(place).copied();
                // A later write of the same commit may have merged it.
                self.person_now(person.ok_or(StoreError::Incoherent("a person that no earlier write makes"))?)
            }
        }
    }
}
