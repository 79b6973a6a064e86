//! What only one version has: the extension that FHIR names after it, and the element again.

use crate::fhir::datatypes::is_lexical;

use super::convert::Convert;
use super::facts::{ElementFacts, Facts, TypeFacts};
use super::part::{Part, is_primitive};

impl Convert<'_> {
    /// The element that an extension stands for, where it is one of this type.
    pub(super) fn restored(&self, part: &Part, of: &TypeFacts) -> Option<Part> {
        let url = part.text_at("url")?;
        let path = url.strip_prefix(&extension_url(self.to, ""))?;
        let element = of.elements.iter().find(|e| e.path == path)?;
        self.unextended(part, element)
    }

    /// What only one version has, as an extension.
    pub(super) fn apart(&self, part: &Part, element: &ElementFacts, type_name: &str) -> Option<Part> {
        let name =
            if element.is_modifier && element.path.matches('.').count() > 0 && element.name != "modifierExtension" {
                "modifierExtension"
            } else {
                "extension"
            };
        self.extension(&extension_url(self.from, &element.path), name, part, element, type_name)
    }

    pub(super) fn extension(
        &self,
        url: &str,
        name: &str,
        part: &Part,
        element: &ElementFacts,
        type_name: &str,
    ) -> Option<Part> {
        let of = self.to.of("Extension")?;
        let value = of.named("value")?;
        let mut parts = vec![Part::value("url", url)];
        let plain = value.types.iter().any(|t| t == type_name) && type_name != "Extension";
        if plain && let Some(found) = self.value(part, type_name, type_name, value, value, None) {
            parts.push(Part { name: value.written(type_name), ..found });
            return Some(Part::of(name, parts));
        }
        if part.resource.is_some() {
            return None;
        }
        if element.is_choice || element.types.len() > 1 {
            let said = vec![Part::value("url", "_datatype"), Part::value("valueString", type_name)];
            parts.push(Part::of("extension", said));
        }
        let before = parts.len();
        if is_primitive(type_name) {
            let text = part.text.clone().filter(|t| is_lexical("string", t))?;
            let value = Part { leaf: part.leaf, ..Part::value("valueString", text) };
            parts.push(Part::of("extension", vec![Part::value("url", "value"), value]));
        }
        let inner = self.from.of(if is_primitive(type_name) { "Element" } else { type_name })?;
        for child in &part.parts {
            let Some((element, type_name)) = inner.element(&child.name) else { continue };
            parts.extend(self.extension(&element.name, "extension", child, element, type_name));
        }
        (parts.len() > before).then(|| Part::of(name, parts))
    }

    /// What an extension says of an element of this version.
    pub(super) fn unextended(&self, part: &Part, to: &ElementFacts) -> Option<Part> {
        let of = self.from.of("Extension")?;
        let value = part.parts.iter().find(|p| of.element(&p.name).is_some_and(|(e, _)| e.name == "value"));
        if let Some(value) = value {
            let (element, type_name) = of.element(&value.name)?;
            let as_type = to.types.iter().find(|t| *t == type_name)?;
            let found = self.value(value, type_name, as_type, to, element, None)?;
            return Some(Part { name: to.written(as_type), ..found });
        }
        let nested = || part.parts.iter().filter(|p| p.name == "extension");
        let said = nested().find(|p| p.text_at("url") == Some("_datatype")).and_then(|p| p.text_at("valueString"));
        let as_type = match said {
            Some(said) => to.types.iter().find(|t| *t == said)?,
            None => to.types.first()?,
        };
        let mut made = Part::of(to.written(as_type), Vec::new());
        let inner = self.to.of(if is_primitive(as_type) { "Element" } else { as_type })?;
        for child in nested() {
            match child.text_at("url")? {
                "_datatype" => {}
                "value" if is_primitive(as_type) => {
                    let value = child.parts.iter().find(|p| p.name == "valueString")?;
                    let lexical = if as_type == "integer64" { "decimal" } else { as_type };
                    made.text = value.text.clone().filter(|t| is_lexical(lexical, t));
                    made.leaf = value.leaf;
                    made.text.as_ref()?;
                }
                name => made.parts.extend(self.unextended(child, inner.named(name)?)),
            }
        }
        (made.text.is_some() || !made.parts.is_empty()).then_some(made)
    }
}

/// The URL of the extension that stands for an element of a version in others.
pub(crate) fn extension_url(of: &Facts, path: &str) -> String {
    format!("http://hl7.org/fhir/{}/StructureDefinition/extension-{path}", of.version)
}
