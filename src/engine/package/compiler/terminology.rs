//! Code systems, value sets and search parameters in the form that is read in place.

use serde_json::Value;

use crate::definitions::format::{Section, count};
use crate::definitions::tables::{
    CodeSystemRecord, ConceptRecord, FilterRecord, IncludeRecord, ListedRecord, NONE, SearchRecord, ValueSetRecord,
};

use super::{Numbered, Strings, list, of_type, text};

/// Code systems, value sets and search parameters of a package.
pub(super) struct Terminology<'v> {
    code_systems: Vec<&'v Value>,
    value_sets: Vec<&'v Value>,
    parameters: Vec<(&'v str, &'v Value)>,
}

fn walk_concepts<'v>(list_of: &'v [Value], parent: u32, out: &mut Vec<(&'v str, &'v str, u32)>) {
    // Depth is that of a published hierarchy read by serde_json, which bounds nesting to 128.
    for concept in list_of {
        let place = count(out.len());
        out.push((text(concept, "code"), text(concept, "display"), parent));
        walk_concepts(list(concept, "concept"), place, out);
    }
}

const SEARCH_TYPES: [&str; 9] =
    ["number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"];

impl<'v> Terminology<'v> {
    pub(super) fn of(resources: &'v [Value]) -> Self {
        let mut parameters = Vec::new();
        for parameter in of_type(resources, "SearchParameter") {
            for base in list(parameter, "base").iter().filter_map(Value::as_str) {
                parameters.push((base, parameter));
            }
        }
        parameters.sort_by_key(|(base, parameter)| (*base, text(parameter, "code"), text(parameter, "url")));
        Self { code_systems: of_type(resources, "CodeSystem"), value_sets: of_type(resources, "ValueSet"), parameters }
    }

    fn includes(value_set: &'v Value) -> Vec<(&'v Value, u32)> {
        let compose = value_set.get("compose");
        let of = |key| compose.map_or(&[][..], |compose| list(compose, key));
        of("include").iter().map(|one| (one, 0)).chain(of("exclude").iter().map(|one| (one, 1))).collect()
    }

    pub(super) fn strings(&self, strings: &mut Strings) {
        strings.add("resourceType");
        for system in &self.code_systems {
            for key in ["url", "version"] {
                strings.add(text(system, key));
            }
            strings.add(text(system, "valueSet").split('|').next().unwrap_or(""));
            let mut concepts = Vec::new();
            walk_concepts(list(system, "concept"), NONE, &mut concepts);
            for (code, display, _) in concepts {
                strings.add(code);
                strings.add(display);
            }
        }
        for value_set in &self.value_sets {
            strings.add(text(value_set, "url"));
            strings.add(text(value_set, "version"));
            for (include, _) in Self::includes(value_set) {
                strings.add(text(include, "system"));
                strings.add(text(include, "version"));
                for concept in list(include, "concept") {
                    strings.add(text(concept, "code"));
                    strings.add(text(concept, "display"));
                }
                for filter in list(include, "filter") {
                    for key in ["property", "op", "value"] {
                        strings.add(text(filter, key));
                    }
                }
                for inner in list(include, "valueSet").iter().filter_map(Value::as_str) {
                    strings.add(inner.split('|').next().unwrap_or(inner));
                }
            }
        }
        for (base, parameter) in &self.parameters {
            strings.add(base);
            for key in ["code", "url", "expression"] {
                strings.add(text(parameter, key));
            }
            for target in list(parameter, "target").iter().filter_map(Value::as_str) {
                strings.add(target);
            }
        }
    }

    pub(super) fn sections(&self, strings: &Numbered) -> Vec<(Section, Vec<u8>)> {
        let mut out = self.code_system_sections(strings);
        let (mut sets, mut includes, mut listed, mut filters) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut inner = Vec::new();
        for value_set in &self.value_sets {
            let all = Self::includes(value_set);
            ValueSetRecord {
                url: strings.of(text(value_set, "url")),
                version: strings.optional(text(value_set, "version")),
                first: count(includes.len() / IncludeRecord::SIZE),
                includes: count(all.len()),
            }
            .write(&mut sets);
            for (include, exclude) in all {
                let (concepts, filter_list) = (list(include, "concept"), list(include, "filter"));
                let value_sets = list(include, "valueSet");
                IncludeRecord {
                    system: strings.optional(text(include, "system")),
                    version: strings.optional(text(include, "version")),
                    exclude,
                    first_concept: count(listed.len() / ListedRecord::SIZE),
                    concepts: count(concepts.len()),
                    first_filter: count(filters.len() / FilterRecord::SIZE),
                    filters: count(filter_list.len()),
                    first_value_set: count(inner.len() / 4),
                    value_sets: count(value_sets.len()),
                }
                .write(&mut includes);
                for concept in concepts {
                    ListedRecord {
                        code: strings.of(text(concept, "code")),
                        display: strings.optional(text(concept, "display")),
                    }
                    .write(&mut listed);
                }
                for filter in filter_list {
                    FilterRecord {
                        property: strings.of(text(filter, "property")),
                        operation: strings.of(text(filter, "op")),
                        value: strings.of(text(filter, "value")),
                    }
                    .write(&mut filters);
                }
                for canonical in value_sets.iter().filter_map(Value::as_str) {
                    let canonical = canonical.split('|').next().unwrap_or(canonical);
                    inner.extend_from_slice(&strings.of(canonical).to_le_bytes());
                }
            }
        }
        let (mut parameters, mut targets) = (Vec::new(), Vec::new());
        for (base, parameter) in &self.parameters {
            let target_list = list(parameter, "target");
            let kind = SEARCH_TYPES.iter().position(|name| *name == text(parameter, "type")).unwrap_or(8);
            SearchRecord {
                base: strings.of(base),
                code: strings.of(text(parameter, "code")),
                url: strings.of(text(parameter, "url")),
                expression: strings.optional(text(parameter, "expression")),
                kind: count(kind),
                first_target: count(targets.len() / 4),
                targets: count(target_list.len()),
            }
            .write(&mut parameters);
            for target in target_list.iter().filter_map(Value::as_str) {
                targets.extend_from_slice(&strings.of(target).to_le_bytes());
            }
        }
        out.extend([
            (Section::ValueSets, sets),
            (Section::Includes, includes),
            (Section::IncludeConcepts, listed),
            (Section::Filters, filters),
            (Section::IncludedSets, inner),
            (Section::SearchParameters, parameters),
            (Section::SearchTargets, targets),
        ]);
        out
    }

    fn code_system_sections(&self, strings: &Numbered) -> Vec<(Section, Vec<u8>)> {
        let (mut systems, mut concepts) = (Vec::new(), Vec::new());
        for system in &self.code_systems {
            let mut all = Vec::new();
            walk_concepts(list(system, "concept"), NONE, &mut all);
            let content = match text(system, "content") {
                "complete" => 0,
                "fragment" => 1,
                "example" => 2,
                "supplement" => 4,
                _ => 3,
            };
            let sensitive = system.get("caseSensitive").and_then(Value::as_bool).unwrap_or(false);
            CodeSystemRecord {
                url: strings.of(text(system, "url")),
                version: strings.optional(text(system, "version")),
                content: content | if sensitive { 0x100 } else { 0 },
                value_set: strings.optional(text(system, "valueSet").split('|').next().unwrap_or("")),
                first: count(concepts.len() / ConceptRecord::SIZE),
                concepts: count(all.len()),
            }
            .write(&mut systems);
            for (code, display, parent) in all {
                ConceptRecord { code: strings.of(code), display: strings.optional(display), parent }
                    .write(&mut concepts);
            }
        }
        vec![(Section::CodeSystems, systems), (Section::Concepts, concepts)]
    }
}
