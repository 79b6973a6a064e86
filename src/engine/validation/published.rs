//! Extensions that were published for R4 after it, in FHIR's own namespace: what there is of each (profiles/r4/extensions.tsv).

use serde_json::{Value, json};

use crate::package::library::Canonical;

const TABLE: &str = include_str!("../../../profiles/r4/extensions.tsv");
const NAMESPACE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The definition of an extension, as far as the table has it.
pub(super) fn extension(canonical: &str) -> Option<Canonical> {
    let name = canonical.split(['|', '#']).next()?.strip_prefix(NAMESPACE)?;
    let line = TABLE.lines().find(|line| line.split('\t').next() == Some(name))?;
    let mut columns = line.split('\t').skip(1);
    let (modifier, types, contexts) = (columns.next()?, columns.next()?, columns.next()?);
    let url = format!("{NAMESPACE}{name}");
    let contexts: Vec<Value> = contexts
        .split(';')
        .filter_map(|context| context.split_once(':'))
        .map(|(kind, expression)| {
            let kind = match kind {
                "e" => "element",
                "x" => "extension",
                _ => "fhirpath",
            };
            json!({"type": kind, "expression": expression})
        })
        .collect();
    let value = match types {
        "*" => json!({"id": "Extension.value[x]", "path": "Extension.value[x]"}),
        "" => json!({"id": "Extension.value[x]", "path": "Extension.value[x]", "max": "0"}),
        types => {
            let types: Vec<Value> = types.split(',').map(|code| json!({"code": code})).collect();
            json!({"id": "Extension.value[x]", "path": "Extension.value[x]", "type": types})
        }
    };
    let content = json!({
        "resourceType": "StructureDefinition",
        "url": url,
        "type": "Extension",
        "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "context": contexts,
        "differential": {"element": [
            {"id": "Extension", "path": "Extension", "isModifier": modifier == "modifier"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": url},
            value,
        ]},
    });
    Some(Canonical { url, version: String::new(), content })
}
