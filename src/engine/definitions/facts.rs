//! Terminology and search parameters of a model, read in place.

use super::format::{Section, u32_at};
use super::model::{Element, Model, Strength};
use super::tables::{
    CodeSystemRecord, ConceptRecord, FilterRecord, IncludeRecord, ListedRecord, NONE, SearchRecord, StructureRecord,
    ValueSetRecord,
};

/// A code system with the concepts that are known here.
#[derive(Debug, Clone, Copy)]
pub struct CodeSystem<'m> {
    model: &'m Model,
    record: CodeSystemRecord,
}

/// One concept of a code system.
#[derive(Debug, Clone, Copy)]
pub struct Concept<'m> {
    /// The code.
    pub code: &'m str,
    /// Its preferred display; empty when the system gives none.
    pub display: &'m str,
    /// The place of the parent within the system.
    pub parent: Option<u32>,
}

/// A value set.
#[derive(Debug, Clone, Copy)]
pub struct ValueSet<'m> {
    model: &'m Model,
    record: ValueSetRecord,
}

/// One `compose.include` or `compose.exclude`.
#[derive(Debug, Clone, Copy)]
pub struct Include<'m> {
    model: &'m Model,
    record: IncludeRecord,
}

/// What sort of value a search parameter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchType {
    /// number
    Number,
    /// date
    Date,
    /// string
    String,
    /// token
    Token,
    /// reference
    Reference,
    /// composite
    Composite,
    /// quantity
    Quantity,
    /// uri
    Uri,
    /// special
    Special,
}

/// A search parameter on one type.
#[derive(Debug, Clone, Copy)]
pub struct SearchParameter<'m> {
    model: &'m Model,
    record: SearchRecord,
}

impl Model {
    /// The code system of this canonical (without version).
    #[must_use]
    pub fn code_system(&self, url: &str) -> Option<CodeSystem<'_>> {
        let section = self.section(Section::CodeSystems);
        let index = self.find(section.len() / CodeSystemRecord::SIZE, url, |index| {
            CodeSystemRecord::read(section, index).map(|record| record.url)
        })?;
        CodeSystemRecord::read(section, index).map(|record| CodeSystem { model: self, record })
    }

    /// The value set of this canonical (without version).
    #[must_use]
    pub fn value_set(&self, url: &str) -> Option<ValueSet<'_>> {
        let section = self.section(Section::ValueSets);
        let index = self.find(section.len() / ValueSetRecord::SIZE, url, |index| {
            ValueSetRecord::read(section, index).map(|record| record.url)
        })?;
        ValueSetRecord::read(section, index).map(|record| ValueSet { model: self, record })
    }

    /// The search parameters defined on exactly this type (`Resource` and `DomainResource` have their own).
    pub fn search_parameters(&self, base: &str) -> impl Iterator<Item = SearchParameter<'_>> {
        let section = self.section(Section::SearchParameters);
        (0..section.len() / SearchRecord::SIZE)
            .filter_map(move |index| SearchRecord::read(section, index))
            .filter(move |record| self.string(record.base) == base)
            .map(|record| SearchParameter { model: self, record })
    }

    /// The search parameters of all types, each once for every type that it is on.
    pub fn all_search_parameters(&self) -> impl Iterator<Item = SearchParameter<'_>> {
        let section = self.section(Section::SearchParameters);
        (0..section.len() / SearchRecord::SIZE)
            .filter_map(move |index| SearchRecord::read(section, index))
            .map(|record| SearchParameter { model: self, record })
    }

    /// What the profile or extension of this canonical (without version) says, as a StructureDefinition in JSON that
    /// holds facts only.
    #[must_use]
    pub fn structure(&self, url: &str) -> Option<&str> {
        let section = self.section(Section::StructureIndex);
        let index = self.find(section.len() / StructureRecord::SIZE, url, |index| {
            StructureRecord::read(section, index).map(|record| record.url)
        })?;
        let record = StructureRecord::read(section, index)?;
        let start = record.offset as usize;
        let bytes = self.section(Section::Structures).get(start..start.checked_add(record.length as usize)?)?;
        std::str::from_utf8(bytes).ok()
    }

    /// Binary search in records that are sorted by a string.
    fn find(&self, count: usize, wanted: &str, key: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            match self.string(key(middle)?).cmp(wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

impl<'m> CodeSystem<'m> {
    /// Its canonical.
    #[must_use]
    pub fn url(&self) -> &'m str {
        self.model.string(self.record.url)
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &'m str {
        self.model.string(self.record.version)
    }

    /// Whether every code of the system is held, so that another code is wrong.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.record.content & 0xff == 0
    }

    /// Whether codes that differ in case differ.
    #[must_use]
    pub fn is_case_sensitive(&self) -> bool {
        self.record.content & 0x100 != 0
    }

    /// Its concepts, parents before children.
    pub fn concepts(&self) -> impl Iterator<Item = Concept<'m>> + use<'m> {
        let model = self.model;
        let section = model.section(Section::Concepts);
        (self.record.first..self.record.first + self.record.concepts).filter_map(move |index| {
            let record = ConceptRecord::read(section, index as usize)?;
            Some(Concept {
                code: model.string(record.code),
                display: model.string(record.display),
                parent: (record.parent != NONE).then_some(record.parent),
            })
        })
    }

    /// The concept of this code.
    #[must_use]
    pub fn concept(&self, code: &str) -> Option<Concept<'m>> {
        self.concepts().find(|concept| concept.code == code)
    }
}

impl<'m> ValueSet<'m> {
    /// Its canonical.
    #[must_use]
    pub fn url(&self) -> &'m str {
        self.model.string(self.record.url)
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &'m str {
        self.model.string(self.record.version)
    }

    /// Its includes and excludes, in their order.
    pub fn includes(&self) -> impl Iterator<Item = Include<'m>> + use<'m> {
        let model = self.model;
        let section = model.section(Section::Includes);
        (self.record.first..self.record.first + self.record.includes)
            .filter_map(move |index| IncludeRecord::read(section, index as usize))
            .map(move |record| Include { model, record })
    }
}

impl<'m> Include<'m> {
    /// Whether what it names is taken away.
    #[must_use]
    pub fn is_exclude(&self) -> bool {
        self.record.exclude == 1
    }

    /// The code system; empty when it only takes in value sets.
    #[must_use]
    pub fn system(&self) -> &'m str {
        self.model.string(self.record.system)
    }

    /// The codes it lists with their displays. None listed and no filter: the whole system.
    pub fn concepts(&self) -> impl Iterator<Item = (&'m str, &'m str)> + use<'m> {
        let model = self.model;
        let section = model.section(Section::IncludeConcepts);
        (self.record.first_concept..self.record.first_concept + self.record.concepts).filter_map(move |index| {
            let record = ListedRecord::read(section, index as usize)?;
            Some((model.string(record.code), model.string(record.display)))
        })
    }

    /// How many codes it lists.
    #[must_use]
    pub fn listed(&self) -> u32 {
        self.record.concepts
    }

    /// Its filters: property, operation, value.
    pub fn filters(&self) -> impl Iterator<Item = (&'m str, &'m str, &'m str)> + use<'m> {
        let model = self.model;
        let section = model.section(Section::Filters);
        (self.record.first_filter..self.record.first_filter + self.record.filters).filter_map(move |index| {
            let record = FilterRecord::read(section, index as usize)?;
            Some((model.string(record.property), model.string(record.operation), model.string(record.value)))
        })
    }

    /// The value sets whose codes it takes in.
    pub fn value_sets(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.model.listed_in(Section::IncludedSets, self.record.first_value_set, self.record.value_sets)
    }
}

impl<'m> SearchParameter<'m> {
    /// The type it is on.
    #[must_use]
    pub fn base(&self) -> &'m str {
        self.model.string(self.record.base)
    }

    /// Its name in a URL.
    #[must_use]
    pub fn code(&self) -> &'m str {
        self.model.string(self.record.code)
    }

    /// The canonical of its definition.
    #[must_use]
    pub fn url(&self) -> &'m str {
        self.model.string(self.record.url)
    }

    /// The FHIRPath that finds its values.
    #[must_use]
    pub fn expression(&self) -> &'m str {
        self.model.string(self.record.expression)
    }

    /// What sort of value it compares.
    #[must_use]
    pub fn kind(&self) -> SearchType {
        match self.record.kind {
            0 => SearchType::Number,
            1 => SearchType::Date,
            2 => SearchType::String,
            3 => SearchType::Token,
            4 => SearchType::Reference,
            5 => SearchType::Composite,
            6 => SearchType::Quantity,
            7 => SearchType::Uri,
            _ => SearchType::Special,
        }
    }

    /// For references: the types that may be referred to.
    pub fn targets(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.model.listed_in(Section::SearchTargets, self.record.first_target, self.record.targets)
    }
}

impl Model {
    /// How many records each terminology table holds: code systems, value sets, search parameters.
    #[must_use]
    pub fn table_sizes(&self) -> (usize, usize, usize) {
        (
            self.section(Section::CodeSystems).len() / CodeSystemRecord::SIZE,
            self.section(Section::ValueSets).len() / ValueSetRecord::SIZE,
            self.section(Section::SearchParameters).len() / SearchRecord::SIZE,
        )
    }

    /// Every string of the table, for dumps.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let count = u32_at(self.section(Section::Strings), 0).unwrap_or(0);
        (0..count).map(|id| self.string(id))
    }
}

impl Element<'_> {
    /// The codes of its required binding, where they can be listed and are few enough for a table to name each.
    pub(crate) fn required_codes(&self) -> Option<Vec<String>> {
        let (strength, url) = self.binding()?;
        if strength != Strength::Required {
            return None;
        }
        let model = self.model();
        let set = model.value_set(url.split('|').next().unwrap_or(url))?;
        let mut codes = Vec::new();
        for include in set.includes() {
            if include.is_exclude() || include.filters().next().is_some() || include.value_sets().next().is_some() {
                return None;
            }
            if include.listed() > 0 {
                codes.extend(include.concepts().map(|(code, _)| code.to_owned()));
            } else {
                let system = model.code_system(include.system())?;
                codes.extend(system.concepts().map(|concept| concept.code.to_owned()));
            }
        }
        (codes.len() <= 64).then_some(codes)
    }
}
