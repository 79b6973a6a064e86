//! What a definition says of an element's values by extensions of its own, and reading definitions.

use std::sync::Arc;

use serde_json::Value;

use crate::definitions::Strength;
use crate::fhirpath::{Pattern, whole_pattern};

use super::plan::Binding;

/// What extensions of an element's definition say of its values.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) min_length: Option<u64>,
    /// The pattern that the text must match as a whole; nothing within where it cannot be used.
    pub(super) regex: Option<Option<Pattern>>,
    pub(super) max_decimals: Option<u64>,
    /// Bytes.
    pub(super) max_size: Option<u64>,
    /// Bindings beside the one of the element.
    pub(super) bindings: Vec<Additional>,
    /// Languages that a narrative must have sections in: `_no`, `_yes`, `_resource` or a language.
    pub(super) languages: Vec<Arc<str>>,
}

/// A binding beside the one of the element.
#[derive(Debug)]
pub(super) struct Additional {
    pub(super) binding: Binding,
    /// One coding within is enough; else each must be.
    pub(super) any: bool,
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn strings(value: &Value, key: &str) -> Vec<Arc<str>> {
    list(value, key).iter().filter_map(Value::as_str).map(Arc::from).collect()
}

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";
pub(super) const IMPOSE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile";
const PROFILE_ELEMENT: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element";
const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";
const ADDITIONAL: [&str; 2] = [
    "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
];

pub(super) fn extensions<'v>(of: &'v Value, url: &'v str) -> impl Iterator<Item = &'v Value> {
    list(of, "extension").iter().filter(move |one| text(one, "url") == url)
}

pub(super) fn text_of<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The profiles of a type; one that stands for an element of a profile is `url#element`.
pub(super) fn type_profiles(one: &Value) -> Vec<Arc<str>> {
    let twins = list(one, "_profile");
    let element = |at: usize| {
        let found = extensions(twins.get(at)?, PROFILE_ELEMENT).next()?;
        text_of(found, "valueString")
    };
    strings(one, "profile")
        .into_iter()
        .enumerate()
        .map(|(at, url)| element(at).map_or_else(|| Arc::clone(&url), |id| Arc::from(format!("{url}#{id}"))))
        .collect()
}

impl More {
    pub(super) fn of(element: &Value) -> Option<Self> {
        let core = |name: &str| {
            list(element, "extension").iter().find(|one| text(one, "url").strip_prefix(CORE) == Some(name))
        };
        let number = |name: &str| {
            let found = core(name)?;
            found
                .get("valueInteger")
                .and_then(Value::as_u64)
                .or_else(|| found.get("valueDecimal").and_then(Value::as_u64))
        };
        let binding = element.get("binding").unwrap_or(&Value::Null);
        let part = |one: &Value, name: &str| {
            let found = list(one, "extension").iter().find(|part| text(part, "url") == name)?.as_object()?;
            found.iter().find(|(key, _)| key.starts_with("value")).map(|(_, value)| value.clone())
        };
        let mut bindings: Vec<Additional> = Vec::new();
        let mut add = |purpose: &str, url: &str, any: bool| {
            let strength = match purpose {
                "required" | "maximum" => Strength::Required,
                "extensible" => Strength::Extensible,
                _ => return,
            };
            if !url.is_empty() {
                bindings.push(Additional { binding: Binding::new(strength, url), any });
            }
        };
        for one in ADDITIONAL.iter().flat_map(|url| extensions(binding, url)) {
            // One that holds in some context of use only is not decided here.
            if part(one, "usage").is_none() {
                let read = |name: &str| {
                    part(one, name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
                };
                add(&read("purpose"), &read("valueSet"), part(one, "any").is_some_and(|any| any == true));
            }
        }
        for one in list(binding, "additional").iter().filter(|one| list(one, "usage").is_empty()) {
            add(text(one, "purpose"), text(one, "valueSet"), one.get("any").is_some_and(|any| any == true));
        }
        for one in extensions(binding, MAX_VALUE_SET) {
            add("maximum", text_of(one, "valueCanonical").unwrap_or_else(|| text(one, "valueUri")), true);
        }
        let more = Self {
            min_length: number("minLength"),
            regex: core("regex")
                .or_else(|| {
                    list(element, "type")
                        .iter()
                        .flat_map(|one| list(one, "extension"))
                        .find(|one| text(one, "url").strip_prefix(CORE) == Some("regex"))
                })
                .and_then(|found| text_of(found, "valueString"))
                .map(whole_pattern),
            max_decimals: number("maxDecimalPlaces"),
            max_size: number("maxSize"),
            bindings,
            languages: extensions(element, "http://hl7.org/fhir/StructureDefinition/narrative-language-control")
                .filter_map(|found| text_of(found, "valueCode"))
                .map(Arc::from)
                .collect(),
        };
        let is_none = more.min_length.is_none()
            && more.regex.is_none()
            && more.max_decimals.is_none()
            && more.max_size.is_none()
            && more.bindings.is_empty()
            && more.languages.is_empty();
        (!is_none).then_some(more)
    }
}
