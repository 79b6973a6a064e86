//! Resources of other versions of FHIR, made from the facts about their types.

use serde_json::{Map as Object, Value as Json, json};
use silta_engine::mapping::{ElementFacts, Facts, FhirVersion};

use super::documents::Choices;

/// A resource of a type.
pub(crate) fn resource(version: FhirVersion, name: &str, choices: &mut Choices<'_>) -> Json {
    // What is made here takes more decisions than a case has.
    let seed = (0..8).fold(0_u64, |seed, _| seed << 8 | choices.below(256) as u64);
    let mut choices = Choices::endless(seed);
    let mut make = Make { facts: version.facts(), choices: &mut choices, count: 0 };
    if name != "Bundle" {
        return make.resource(name, 0);
    }
    let types: &[&str] = match version {
        FhirVersion::R5 => &["Patient", "ServiceRequest", "CarePlan", "Task", "CareTeam", "Goal"],
        FhirVersion::Stu3 => {
            &["Patient", "ReferralRequest", "ProcedureRequest", "CarePlan", "Task", "CareTeam", "Goal"]
        }
    };
    let entries: Vec<Json> = (0..1 + make.choices.below(3))
        .map(|n| {
            let of = *make.choices.pick(types).unwrap();
            json!({"fullUrl": format!("urn:uuid:00000000-0000-4000-8000-00000000000{n}"), "resource": make.resource(of, 1)})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries})
}

struct Make<'m, 'b> {
    facts: &'static Facts,
    choices: &'m mut Choices<'b>,
    count: usize,
}

impl Make<'_, '_> {
    fn resource(&mut self, name: &str, depth: usize) -> Json {
        let mut object = self.object(name, depth);
        object.insert("resourceType".to_owned(), Json::from(name));
        self.count += 1;
        object.insert("id".to_owned(), Json::from(format!("r{}", self.count)));
        Json::Object(object)
    }

    fn object(&mut self, name: &str, depth: usize) -> Object<String, Json> {
        let mut object = Object::new();
        let of = self.facts.of(name).unwrap();
        for element in &of.elements {
            let wanted = match element.name.as_str() {
                "extension" => depth < 4 && self.choices.chance(1, 10),
                "modifierExtension" | "id" => self.choices.chance(1, 20),
                "contained" => depth == 0 && self.choices.chance(1, 3),
                _ => element.is_required || self.choices.chance(if depth < 2 { 2 } else { 1 }, 5),
            };
            let type_name = self.choices.pick(&element.types).unwrap().clone();
            let plain = type_name.starts_with(|c: char| c.is_ascii_lowercase());
            if !wanted || (depth > 4 && !plain) {
                continue;
            }
            let count = if element.is_list { 1 + self.choices.below(3) } else { 1 };
            let written = element.written(&type_name);
            let values: Vec<Json> = (0..count).map(|_| self.value(element, &type_name, depth)).collect();
            let values: Vec<Json> =
                values.into_iter().filter(|v| v.as_object().is_none_or(|o| !o.is_empty())).collect();
            if values.is_empty() {
                continue;
            }
            if plain && type_name != "xhtml" && depth < 3 && self.choices.chance(1, 12) {
                let beside = values.iter().map(|_| match self.choices.chance(1, 2) || !element.is_list {
                    true => json!({"extension": [self.extension(depth + 1)]}),
                    false => Json::Null,
                });
                let beside: Vec<Json> = beside.collect();
                if beside.iter().any(|b| !b.is_null()) {
                    object.insert(format!("_{written}"), listed(element, beside));
                }
            }
            object.insert(written, listed(element, values));
        }
        object
    }

    fn extension(&mut self, depth: usize) -> Json {
        self.count += 1;
        let mut object = Object::new();
        object.insert("url".to_owned(), Json::from(format!("http://example.org/extension-{}", self.count)));
        let of = self.facts.of("Extension").unwrap();
        let value = of.named("value").unwrap();
        let type_name = self.choices.pick(&value.types).unwrap().clone();
        let made = self.value(value, &type_name, depth + 2);
        if made.as_object().is_some_and(Object::is_empty) {
            object.insert("valueString".to_owned(), Json::from("x"));
        } else {
            object.insert(value.written(&type_name), made);
        }
        Json::Object(object)
    }

    fn value(&mut self, element: &ElementFacts, type_name: &str, depth: usize) -> Json {
        let number = self.choices.below(90) + 1;
        match type_name {
            "boolean" => Json::Bool(self.choices.chance(1, 2)),
            "integer" | "positiveInt" | "unsignedInt" => Json::from(number),
            "integer64" => Json::from(number.to_string()),
            "decimal" => Json::from(f64::from(u32::try_from(number).unwrap()) + 0.5),
            "instant" => Json::from(format!("2024-05-{:02}T08:00:00+02:00", number % 28 + 1)),
            "dateTime" => Json::from(format!("2024-05-{:02}T08:00:00+02:00", number % 28 + 1)),
            "date" => Json::from(format!("1977-05-{:02}", number % 28 + 1)),
            "time" => Json::from(format!("08:{:02}:00", number % 60)),
            "code" if !element.codes.is_empty() => Json::from(self.choices.pick(&element.codes).unwrap().as_str()),
            "code" | "id" => Json::from(format!("c{number}")),
            "uri" | "url" | "canonical" => Json::from(format!("http://example.org/u{number}")),
            "oid" => Json::from(format!("urn:oid:1.2.246.10.{number}")),
            "uuid" => Json::from(format!("urn:uuid:00000000-0000-4000-8000-0000000000{:02}", number % 100)),
            "base64Binary" => Json::from("TXV1dG9z"),
            "xhtml" => Json::from("<div xmlns=\"http://www.w3.org/1999/xhtml\">Kuntoutus</div>"),
            "string" if element.path == "Reference.reference" => {
                let kinds =
                    ["Patient", "ReferralRequest", "ProcedureRequest", "ServiceRequest", "Encounter", "Practitioner"];
                Json::from(format!("{}/n{number}", self.choices.pick(&kinds).unwrap()))
            }
            "string" | "markdown" => Json::from(format!("teksti {number}")),
            "Extension" => self.extension(depth),
            "Resource" => {
                let of = *self.choices.pick(&["Patient", "Goal", "Practitioner", "CareTeam"]).unwrap();
                self.resource(of, depth + 2)
            }
            other => Json::Object(self.object(other, depth + 1)),
        }
    }
}

fn listed(element: &ElementFacts, mut values: Vec<Json>) -> Json {
    if element.is_list { Json::Array(values) } else { values.swap_remove(0) }
}
