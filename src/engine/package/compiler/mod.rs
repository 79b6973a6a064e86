//! From a FHIR package to compiled definitions.
//!
//! Definitions are read as plain JSON, since a document needs the model that is made here. The result holds facts
//! only, sorted, so that equal packages give equal bytes.

mod terminology;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::definitions::format::{Section, assemble, count};
use crate::definitions::tables::{
    ChoiceRecord, ConstraintRecord, ElementRecord, NO_TYPE, NONE, StructureRecord, TypeRecord, UNBOUNDED, flag,
};

use super::archive::File;
use terminology::Terminology;

const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";

/// Why a package could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A file that should be a definition is not JSON.
    #[error("{file}: {source}")]
    Json {
        /// The file.
        file: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The package defines no types.
    #[error("the package has no type definitions (StructureDefinition with derivation specialization)")]
    NoTypes,
    /// More types or names than the format can number.
    #[error("more than 65,534 types or names")]
    TooMany,
}

/// Strings met while compiling; numbers are given when all are known.
#[derive(Default)]
struct Strings(BTreeSet<String>);

impl Strings {
    fn add(&mut self, text: &str) {
        if !self.0.contains(text) {
            self.0.insert(text.to_owned());
        }
    }
}

struct Numbered(BTreeMap<String, u32>);

impl Numbered {
    fn of(&self, text: &str) -> u32 {
        self.0.get(text).copied().unwrap_or(NONE)
    }

    fn optional(&self, text: &str) -> u32 {
        if text.is_empty() { NONE } else { self.of(text) }
    }
}

struct TypeDraft {
    name: String,
    url: String,
    base: String,
    kind: u16,
    elements: Vec<ElementDraft>,
    constraints: Vec<(String, String, u32)>,
}

struct ElementDraft {
    path: String,
    name: String,
    min: u16,
    max: u16,
    flags: u16,
    types: Vec<ChoiceDraft>,
    binding: String,
    maximum: String,
    strength: u16,
    constraints: Vec<(String, String, u32)>,
}

struct ChoiceDraft {
    type_name: String,
    written: String,
    targets: Vec<String>,
    profiles: Vec<String>,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings_of(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn bound(text: &str) -> u16 {
    if text == "*" { UNBOUNDED } else { text.parse().unwrap_or(UNBOUNDED) }
}

fn constraints_of(element: &Value) -> Vec<(String, String, u32)> {
    list(element, "constraint")
        .iter()
        .filter(|constraint| !text(constraint, "expression").is_empty())
        .map(|constraint| {
            (
                text(constraint, "key").to_owned(),
                text(constraint, "expression").to_owned(),
                u32::from(text(constraint, "severity") != "error"),
            )
        })
        .collect()
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// The type an element's type code stands for: system types name their FHIR type in an extension.
fn type_code(kind: &Value, path: &str) -> String {
    let code = text(kind, "code");
    let Some(system) = code.strip_prefix("http://hl7.org/fhirpath/System.") else { return code.to_owned() };
    // R4 calls Resource.id a string in this extension; it is an id.
    if path.split('.').count() == 2 && path.ends_with(".id") && path.starts_with(char::is_uppercase) {
        let owner = path.split('.').next().unwrap_or("");
        if owner == "Resource" {
            return "id".to_owned();
        }
    }
    list(kind, "extension")
        .iter()
        .find(|extension| text(extension, "url") == FHIR_TYPE)
        .map(|extension| text(extension, "valueUrl"))
        .filter(|named| !named.is_empty())
        .map_or_else(|| system.to_ascii_lowercase(), str::to_owned)
}

fn types_of_definition(definition: &Value, drafts: &mut BTreeMap<String, TypeDraft>) {
    let elements = definition.get("snapshot").map_or(&[][..], |snapshot| list(snapshot, "element"));
    let name = text(definition, "type");
    let is_resource = text(definition, "kind") == "resource";
    let kind = match text(definition, "kind") {
        "primitive-type" => 0,
        "resource" => 2,
        _ => 1,
    };
    let is_abstract = definition.get("abstract").and_then(Value::as_bool).unwrap_or(false);
    let base = text(definition, "baseDefinition").rsplit('/').next().unwrap_or("");
    let owners: BTreeSet<&str> =
        elements.iter().filter_map(|element| text(element, "path").rsplit_once('.')).map(|(owner, _)| owner).collect();
    for element in elements {
        let path = text(element, "path");
        if path == name {
            drafts.insert(
                name.to_owned(),
                TypeDraft {
                    name: name.to_owned(),
                    url: text(definition, "url").to_owned(),
                    base: base.to_owned(),
                    kind: kind | if is_abstract { 4 } else { 0 },
                    elements: Vec::new(),
                    constraints: constraints_of(element),
                },
            );
            continue;
        }
        if owners.contains(path) {
            drafts.insert(
                path.to_owned(),
                TypeDraft {
                    name: path.to_owned(),
                    url: String::new(),
                    base: list(element, "type").first().map_or("BackboneElement", |kind| text(kind, "code")).to_owned(),
                    kind: 3,
                    elements: Vec::new(),
                    constraints: Vec::new(),
                },
            );
        }
        let Some((owner, last)) = path.rsplit_once('.') else { continue };
        if kind == 0 && last == "value" {
            // A primitive's value is its text, not a child.
            continue;
        }
        let draft = element_of(element, path, last, owners.contains(path), is_resource);
        if let Some(holder) = drafts.get_mut(owner) {
            holder.elements.push(draft);
        }
    }
}

fn element_of(element: &Value, path: &str, last: &str, is_nested: bool, in_resource: bool) -> ElementDraft {
    let name = last.strip_suffix("[x]").unwrap_or(last);
    let is_choice = last.ends_with("[x]");
    let mut types = Vec::new();
    if is_nested {
        types.push(ChoiceDraft {
            type_name: path.to_owned(),
            written: name.to_owned(),
            targets: Vec::new(),
            profiles: Vec::new(),
        });
    } else if let Some(target) = element.get("contentReference").and_then(Value::as_str) {
        let target = target.rsplit('#').next().unwrap_or(target);
        types.push(ChoiceDraft {
            type_name: target.to_owned(),
            written: name.to_owned(),
            targets: Vec::new(),
            profiles: Vec::new(),
        });
    } else {
        for kind in list(element, "type") {
            let mut type_name = type_code(kind, path);
            if in_resource && name == "id" && path.matches('.').count() == 1 {
                "id".clone_into(&mut type_name);
            }
            let written = if is_choice { name.to_owned() + &capitalised(&type_name) } else { name.to_owned() };
            types.push(ChoiceDraft {
                type_name,
                written,
                targets: strings_of(kind, "targetProfile"),
                profiles: strings_of(kind, "profile"),
            });
        }
    }
    let base_max = element.get("base").map_or("1", |base| text(base, "max"));
    let mut flags = 0;
    if is_choice {
        flags |= flag::CHOICE;
    }
    if base_max != "1" && base_max != "0" {
        flags |= flag::ARRAY;
    }
    if element.get("isModifier").and_then(Value::as_bool) == Some(true) {
        flags |= flag::MODIFIER;
    }
    if element.get("isSummary").and_then(Value::as_bool) == Some(true) {
        flags |= flag::SUMMARY;
    }
    if list(element, "representation").iter().any(|way| way == "xmlAttr") {
        flags |= flag::ATTRIBUTE;
    }
    let binding = element.get("binding");
    let value_set = binding.map_or("", |binding| text(binding, "valueSet"));
    let strength = match binding.map_or("", |binding| text(binding, "strength")) {
        "required" => 1,
        "extensible" => 2,
        "preferred" => 3,
        "example" => 4,
        _ => 0,
    };
    ElementDraft {
        path: path.to_owned(),
        name: name.to_owned(),
        min: element.get("min").and_then(Value::as_u64).and_then(|min| u16::try_from(min).ok()).unwrap_or(0),
        max: bound(text(element, "max")),
        flags,
        types,
        binding: value_set.split('|').next().unwrap_or("").to_owned(),
        maximum: binding.map_or("", maximum).split('|').next().unwrap_or("").to_owned(),
        strength: if value_set.is_empty() { 0 } else { strength },
        constraints: constraints_of(element),
    }
}

/// The value set that an extension of a binding names as its maximum.
fn maximum(binding: &Value) -> &str {
    let found = list(binding, "extension").iter().find(|one| text(one, "url") == MAX_VALUE_SET);
    found.map_or("", |one| match text(one, "valueCanonical") {
        "" => text(one, "valueUri"),
        canonical => canonical,
    })
}

/// Compiles the definitions of a package.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(files: &[File]) -> Result<Vec<u8>, CompileError> {
    let mut resources = Vec::new();
    let mut digests = BTreeMap::new();
    for file in files {
        digests.insert(file.name.as_str(), Sha256::digest(&file.content));
        let is_json = std::path::Path::new(&file.name).extension().is_some_and(|extension| extension == "json");
        if !is_json || file.name.contains('/') || file.name.starts_with('.') || file.name == "package.json" {
            continue;
        }
        let value: Value = serde_json::from_slice(&file.content)
            .map_err(|source| CompileError::Json { file: file.name.clone(), source })?;
        resources.push(value);
    }
    let mut digest = Sha256::new();
    for (name, hash) in &digests {
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(hash);
    }
    let mut digested = [0_u8; 32];
    digested.copy_from_slice(&digest.finalize());

    let mut drafts = BTreeMap::new();
    let mut fhir_version = String::new();
    for definition in of_type(&resources, "StructureDefinition") {
        let specialises = text(definition, "derivation") != "constraint";
        if specialises && text(definition, "kind") != "logical" {
            text(definition, "fhirVersion").clone_into(&mut fhir_version);
            types_of_definition(definition, &mut drafts);
        }
    }
    if drafts.is_empty() {
        return Err(CompileError::NoTypes);
    }
    let terminology = Terminology::of(&resources);
    let structures = structures(&resources);
    let strings = number(&drafts, &terminology, &structures, &fhir_version);
    let mut sections = type_sections(&drafts, &strings)?;
    sections.extend(terminology.sections(&strings));
    sections.extend(structure_sections(&structures, &strings));
    sections.push((Section::Facts, strings.of(&fhir_version).to_le_bytes().to_vec()));
    sections.push((Section::Strings, string_section(&strings)));
    Ok(assemble(sections, digested))
}

fn of_type<'v>(resources: &'v [Value], name: &str) -> Vec<&'v Value> {
    let mut found: Vec<&Value> = resources.iter().filter(|resource| text(resource, "resourceType") == name).collect();
    found.sort_by_key(|resource| (text(resource, "url"), text(resource, "id")));
    found
}

/// What of a profile's element is a fact.
const FACTS: [&str; 10] =
    ["id", "path", "sliceName", "slicing", "min", "max", "type", "maxLength", "isModifier", "contentReference"];

/// Profiles and extensions by url, as compact JSON without prose.
fn structures(resources: &[Value]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for definition in of_type(resources, "StructureDefinition") {
        if text(definition, "derivation") != "constraint" {
            continue;
        }
        let mut facts = serde_json::Map::new();
        facts.insert("resourceType".to_owned(), "StructureDefinition".into());
        for key in ["url", "type", "baseDefinition", "derivation", "context", "contextInvariant"] {
            if let Some(value) = definition.get(key) {
                facts.insert(key.to_owned(), value.clone());
            }
        }
        let elements = definition.get("differential").map_or(&[][..], |differential| list(differential, "element"));
        let elements: Vec<Value> = elements.iter().map(element_facts).collect();
        facts.insert("differential".to_owned(), serde_json::json!({"element": elements}));
        out.insert(text(definition, "url").to_owned(), Value::Object(facts).to_string());
    }
    out
}

fn element_facts(element: &Value) -> Value {
    let mut facts = serde_json::Map::new();
    for (key, value) in element.as_object().into_iter().flatten() {
        let is_value = ["fixed", "pattern", "minValue", "maxValue"].iter().any(|start| key.starts_with(start));
        if FACTS.contains(&key.as_str()) || is_value {
            let mut value = value.clone();
            if key == "slicing"
                && let Some(slicing) = value.as_object_mut()
            {
                slicing.remove("description");
            }
            facts.insert(key.clone(), value);
        }
    }
    if let Some(binding) = element.get("binding") {
        facts.insert(
            "binding".to_owned(),
            match maximum(binding) {
                "" => serde_json::json!({"strength": text(binding, "strength"), "valueSet": text(binding, "valueSet")}),
                maximum => serde_json::json!({
                    "extension": [{"url": MAX_VALUE_SET, "valueCanonical": maximum}],
                    "strength": text(binding, "strength"),
                    "valueSet": text(binding, "valueSet"),
                }),
            },
        );
    }
    let constraints: Vec<Value> = list(element, "constraint")
        .iter()
        .map(|one| {
            serde_json::json!({
                "key": text(one, "key"),
                "severity": text(one, "severity"),
                "expression": text(one, "expression"),
            })
        })
        .collect();
    if !constraints.is_empty() {
        facts.insert("constraint".to_owned(), constraints.into());
    }
    Value::Object(facts)
}

fn structure_sections(structures: &BTreeMap<String, String>, strings: &Numbered) -> Vec<(Section, Vec<u8>)> {
    let (mut index, mut content) = (Vec::new(), Vec::new());
    for (url, json) in structures {
        StructureRecord { url: strings.of(url), offset: count(content.len()), length: count(json.len()) }
            .write(&mut index);
        content.extend_from_slice(json.as_bytes());
    }
    vec![(Section::StructureIndex, index), (Section::Structures, content)]
}

fn number(
    drafts: &BTreeMap<String, TypeDraft>,
    terminology: &Terminology<'_>,
    structures: &BTreeMap<String, String>,
    fhir_version: &str,
) -> Numbered {
    let mut strings = Strings::default();
    strings.add(fhir_version);
    for url in structures.keys() {
        strings.add(url);
    }
    for draft in drafts.values() {
        strings.add(&draft.name);
        strings.add(&draft.url);
        for (key, expression, _) in &draft.constraints {
            strings.add(key);
            strings.add(expression);
        }
        for element in &draft.elements {
            strings.add(&element.path);
            strings.add(&element.name);
            strings.add(&element.binding);
            strings.add(&element.maximum);
            for (key, expression, _) in &element.constraints {
                strings.add(key);
                strings.add(expression);
            }
            for choice in &element.types {
                strings.add(&choice.written);
                for canonical in choice.targets.iter().chain(&choice.profiles) {
                    strings.add(canonical);
                }
            }
        }
    }
    terminology.strings(&mut strings);
    Numbered(strings.0.into_iter().zip(0_u32..).collect())
}

fn string_section(strings: &Numbered) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&count(strings.0.len()).to_le_bytes());
    let mut offset = 0_usize;
    for text in strings.0.keys() {
        out.extend_from_slice(&count(offset).to_le_bytes());
        offset += text.len();
    }
    out.extend_from_slice(&count(offset).to_le_bytes());
    for text in strings.0.keys() {
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn type_sections(
    drafts: &BTreeMap<String, TypeDraft>,
    strings: &Numbered,
) -> Result<Vec<(Section, Vec<u8>)>, CompileError> {
    let mut names = BTreeSet::new();
    for element in drafts.values().flat_map(|draft| &draft.elements) {
        names.insert(element.name.as_str());
        names.extend(element.types.iter().map(|choice| choice.written.as_str()));
    }
    names.insert("resourceType");
    let symbols: BTreeMap<&str, u16> = names.iter().copied().zip(1_u16..).collect();
    if names.len() >= usize::from(u16::MAX) || drafts.len() >= usize::from(NO_TYPE) {
        return Err(CompileError::TooMany);
    }
    let type_ids: BTreeMap<&str, u16> = drafts.keys().map(String::as_str).zip(0_u16..).collect();
    let type_of = |name: &str| type_ids.get(name).copied().unwrap_or(NO_TYPE);

    let (mut types, mut elements, mut choices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut canonicals, mut uses) = (Vec::new(), Vec::new());
    let mut constraints: BTreeMap<(String, String, u32), u32> = BTreeMap::new();
    let mut table = Vec::new();
    let mut constrain = |list: &[(String, String, u32)], uses: &mut Vec<u8>| {
        let first = count(uses.len() / 4);
        for constraint in list {
            let next = count(constraints.len());
            let index = *constraints.entry(constraint.clone()).or_insert_with(|| {
                ConstraintRecord {
                    key: strings.of(&constraint.0),
                    expression: strings.of(&constraint.1),
                    severity: constraint.2,
                }
                .write(&mut table);
                next
            });
            uses.extend_from_slice(&index.to_le_bytes());
        }
        first
    };
    let mut element_count = 0;
    for draft in drafts.values() {
        let first_constraint = constrain(&draft.constraints, &mut uses);
        TypeRecord {
            name: strings.of(&draft.name),
            url: strings.optional(&draft.url),
            base: type_of(&draft.base),
            kind: draft.kind,
            first_element: element_count,
            elements: count(draft.elements.len()),
            first_constraint,
            constraints: count(draft.constraints.len()),
        }
        .write(&mut types);
        for element in &draft.elements {
            element_count += 1;
            let first_type = count(choices.len() / ChoiceRecord::SIZE);
            for choice in &element.types {
                let first_target = count(canonicals.len() / 4);
                for canonical in choice.targets.iter().chain(&choice.profiles) {
                    canonicals.extend_from_slice(&strings.of(canonical).to_le_bytes());
                }
                ChoiceRecord {
                    type_id: type_of(&choice.type_name),
                    symbol: symbols.get(choice.written.as_str()).copied().unwrap_or(0),
                    first_target,
                    targets: count(choice.targets.len()),
                    profiles: count(choice.profiles.len()),
                }
                .write(&mut choices);
            }
            let first_constraint = constrain(&element.constraints, &mut uses);
            ElementRecord {
                path: strings.of(&element.path),
                symbol: symbols.get(element.name.as_str()).copied().unwrap_or(0),
                owner: type_of(&draft.name),
                min: element.min,
                max: element.max,
                flags: element.flags,
                types: u16::try_from(element.types.len()).unwrap_or(u16::MAX),
                first_type,
                binding: strings.optional(&element.binding),
                maximum: strings.optional(&element.maximum),
                strength: element.strength,
                constraints: u16::try_from(element.constraints.len()).unwrap_or(u16::MAX),
                first_constraint,
            }
            .write(&mut elements);
        }
    }
    let mut symbol_section = Vec::new();
    for name in &names {
        symbol_section.extend_from_slice(&strings.of(name).to_le_bytes());
    }
    Ok(vec![
        (Section::Types, types),
        (Section::Elements, elements),
        (Section::ElementTypes, choices),
        (Section::Constraints, table),
        (Section::ConstraintUses, uses),
        (Section::Symbols, symbol_section),
        (Section::Canonicals, canonicals),
    ])
}
