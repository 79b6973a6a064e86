//! Which person a search is about, and by what providers know that person.

use std::collections::BTreeSet;

use crate::provider::Identifier;
use crate::store::{Evidence, FacetValue, IdentifierQuery, Member, PersonId, ResourceKey, StoreError, View};

/// A patient as far as asking goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Patient {
    /// The person, where the store knows it.
    pub(crate) person: Option<PersonId>,
    /// Every identifier known; in order.
    pub(crate) identifiers: Vec<Identifier>,
    /// The providers that sent something about the person.
    pub(crate) holders: BTreeSet<String>,
}

/// Identifier systems that only this program writes, for its own use.
const OWN_SYSTEMS: &str = "urn:silta:";

impl Patient {
    /// A person whom the store knows, with every identifier of its Patient resources.
    pub(crate) fn of(view: &View<'_>, person: PersonId) -> Result<Self, StoreError> {
        let person = view.survivor(person)?;
        let members = view.members(Some(person), &["Patient"])?;
        let holders = view.patients(person)?.into_iter().map(|(provider, _)| provider).collect();
        let identifiers: BTreeSet<Identifier> = members.iter().flat_map(identifiers).collect();
        Ok(Self { person: Some(person), identifiers: identifiers.into_iter().collect(), holders })
    }

    /// Those who bear an identifier: persons of the store, or somebody only known by it.
    pub(crate) fn bearing(view: &View<'_>, query: &IdentifierQuery) -> Result<Vec<Self>, StoreError> {
        let system = query.system.clone().flatten();
        let mut persons = BTreeSet::new();
        if let Some(system) = &system {
            let evidence = Evidence::Identifier { system: system.clone(), value: query.value.clone() };
            persons.extend(view.person(&evidence)?);
        }
        for id in view.identified("Patient", query)? {
            persons.extend(view.member(&ResourceKey::new("Patient", id))?.and_then(|member| member.resource.person));
        }
        let asked = system.map(|system| Identifier { system, value: query.value.clone() });
        let mut found: Vec<Self> = Vec::new();
        for person in persons {
            let mut patient = Self::of(view, person)?;
            patient.identifiers.extend(asked.clone());
            patient.identifiers.sort();
            patient.identifiers.dedup();
            if !found.iter().any(|known| known.is(&patient)) {
                found.push(patient);
            }
        }
        match asked {
            Some(asked) if found.is_empty() => {
                Ok(vec![Self { person: None, identifiers: vec![asked], holders: BTreeSet::new() }])
            }
            _ => Ok(found),
        }
    }

    /// Whether both are the same person.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self.person, other.person) {
            (Some(one), Some(two)) => one == two,
            (None, None) => self.identifiers.iter().any(|one| other.identifiers.contains(one)),
            _ => false,
        }
    }
}

/// The identifiers of a Patient that others may know, too.
pub(super) fn identifiers(member: &Member) -> impl Iterator<Item = Identifier> {
    member.facets.iter().filter(|facet| facet.name == "identifier").filter_map(|facet| match &facet.value {
        FacetValue::Token { system: Some(system), code } if !system.starts_with(OWN_SYSTEMS) => {
            Some(Identifier { system: system.clone(), value: code.clone() })
        }
        _ => None,
    })
}
