//! Where resources are found that their provider cannot be asked for by themselves.

use rusqlite::{Connection, OptionalExtension};

use super::apply::Applying;
use crate::store::error::StoreError;
use crate::store::id::{PersonId, ResourceKey};
use crate::store::new::Place;

/// Between the identifiers, and between the system and the value of one: neither stands in a FHIR string.
const BETWEEN: char = '\u{1e}';
const WITHIN: char = '\u{1f}';

impl Applying<'_> {
    pub(super) fn place(&mut self, place: &Place) -> Result<(), StoreError> {
        let person = place.person.map_or(Ok(0), |person| self.person_now(person))?;
        let identifiers: Vec<String> =
            place.identifiers.iter().map(|(system, value)| format!("{system}{WITHIN}{value}")).collect();
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO place (type, id, provider, types, person, identifiers)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                &place.key.resource_type,
                &place.key.id,
                &place.provider,
                place.types.join(" "),
                person,
                if person == 0 { identifiers.join(&BETWEEN.to_string()) } else { String::new() },
            ))?;
        Ok(())
    }
}

/// The place of a resource.
pub(in crate::store) fn find(connection: &Connection, key: &ResourceKey) -> Result<Option<Place>, StoreError> {
    let found = connection
        .prepare_cached("SELECT provider, types, person, identifiers FROM place WHERE type = ?1 AND id = ?2")?
        .query_row([&key.resource_type, &key.id], |row| {
            let (types, identifiers): (String, String) = (row.get(1)?, row.get(3)?);
            let person: i64 = row.get(2)?;
            Ok(Place {
                key: key.clone(),
                provider: row.get(0)?,
                types: types.split_ascii_whitespace().map(str::to_owned).collect(),
                person: (person != 0).then_some(PersonId(person)),
                identifiers: identifiers
                    .split(BETWEEN)
                    .filter_map(|one| one.split_once(WITHIN))
                    .map(|(system, value)| (system.to_owned(), value.to_owned()))
                    .collect(),
            })
        })
        .optional()?;
    Ok(found)
}
