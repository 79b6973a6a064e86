//! FHIR JSON as FHIR XML, without knowing any version's elements: as the JSON is written, an element a line.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON with the order of its members, and its numbers as they are written.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Scalar(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Scalar(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Scalar(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Numbers between quotes, so that they stay as they are written.
fn quoted(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut inside, mut escaped, mut number) = (false, false, false);
    for c in json.chars() {
        let is_number = !inside && (c.is_ascii_digit() || (number && matches!(c, '.' | 'e' | 'E' | '+')) || c == '-');
        if is_number != number {
            out.push('"');
            number = is_number;
        }
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && !escaped && c == '\\';
        out.push(c);
    }
    out
}

/// A resource as XML, with a comment of the sender's in it.
pub(super) fn of(json: &[u8]) -> String {
    let text = std::str::from_utf8(json).unwrap().trim_start_matches('\u{feff}');
    let Json::Object(members) = serde_json::from_str(&quoted(text)).unwrap() else { panic!("an object") };
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- as sent -->\n".to_owned();
    resource(&members, " xmlns=\"http://hl7.org/fhir\"", 0, &mut out);
    out.push('\n');
    out
}

fn kind(members: &[(String, Json)]) -> Option<&str> {
    members.iter().find_map(|(name, value)| match value {
        Json::Scalar(text) if name == "resourceType" => Some(text.as_str()),
        _ => None,
    })
}

fn resource(members: &[(String, Json)], more: &str, depth: usize, out: &mut String) {
    let name = kind(members).unwrap();
    element(name, more, members, &|name| name == "resourceType", depth, out);
}

fn element(
    name: &str,
    more: &str,
    members: &[(String, Json)],
    is_attribute: &dyn Fn(&str) -> bool,
    depth: usize,
    out: &mut String,
) {
    out.push_str(&format!("<{name}{more}"));
    for (name, value) in members.iter().filter(|(name, _)| is_attribute(name) && name != "resourceType") {
        let Json::Scalar(text) = value else { panic!("{name} is a text") };
        out.push_str(&format!(" {name}=\"{}\"", escaped(text)));
    }
    let mut inner = String::new();
    let mut done: Vec<&str> = Vec::new();
    for (name, _) in members.iter().filter(|(name, _)| !is_attribute(name)) {
        let base = name.trim_start_matches('_');
        if done.contains(&base) {
            continue;
        }
        done.push(base);
        let list = |wanted: &str| match members.iter().find(|(name, _)| name == wanted) {
            Some((_, Json::Array(items))) => items.clone(),
            Some((_, one)) => vec![one.clone()],
            None => Vec::new(),
        };
        let (values, twins) = (list(base), list(&format!("_{base}")));
        for at in 0..values.len().max(twins.len()) {
            let value = values.get(at).cloned().unwrap_or(Json::Null);
            let twin = twins.get(at).cloned().unwrap_or(Json::Null);
            one(base, &value, &twin, depth + 1, &mut inner);
        }
    }
    if inner.is_empty() {
        out.push_str("/>");
    } else {
        out.push_str(&format!(">{inner}\n{}</{name}>", "  ".repeat(depth)));
    }
}

fn one(name: &str, value: &Json, twin: &Json, depth: usize, out: &mut String) {
    let line = format!("\n{}", "  ".repeat(depth));
    let of_element = |of: &str| of == "id";
    match (value, twin) {
        (Json::Null, Json::Null) => {}
        (Json::Scalar(text), _) if name == "div" => out.push_str(&format!("{line}{text}")),
        (Json::Object(members), _) if kind(members).is_some() => {
            out.push_str(&format!("{line}<{name}>{line}  "));
            resource(members, "", depth + 1, out);
            out.push_str(&format!("{line}</{name}>"));
        }
        (Json::Object(members), _) => {
            out.push_str(&line);
            let is_extension = matches!(name, "extension" | "modifierExtension");
            let is_attribute = |of: &str| of == "id" || (is_extension && of == "url");
            element(name, "", members, &is_attribute, depth, out);
        }
        (value, twin) => {
            let text =
                if let Json::Scalar(text) = value { format!(" value=\"{}\"", escaped(text)) } else { String::new() };
            let members = if let Json::Object(members) = twin { members.as_slice() } else { &[] };
            out.push_str(&line);
            element(name, &text, members, &of_element, depth, out);
        }
    }
}

fn escaped(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    plain.replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;")
}
