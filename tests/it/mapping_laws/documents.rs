//! Native documents made from the schema of a map: message structures and fields, JSON Schema, columns; elements are next
//! to this. What a leaf holds is taken from the map's vocabulary mostly, and is anything else at times.

use std::collections::BTreeMap;

use serde_json::{Map as Object, Value as Json};
use silta_engine::mapping::syntax::{NativeType, Test};
use silta_engine::mapping::{Holds, Map};
use silta_engine::native::Syntax;
use silta_engine::native::delimited::Dialect;
use silta_engine::native::hl7v2::schema::{
    FieldDef, NodeIndex, NodeKind, Primitive, Schema, Shape, Structure, Version,
};

/// A run of decisions that proptest makes and shortens. At its end every choice is the first, or what a seed says.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
    at: usize,
    seed: Option<u64>,
}

impl<'b> Choices<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, seed: None }
    }

    /// Decisions without end.
    pub(crate) const fn endless(seed: u64) -> Self {
        Self { bytes: &[], at: 0, seed: Some(seed) }
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().map_or_else(|| self.further(), u64::from);
        self.at += 1;
        usize::try_from(byte % count.max(1) as u64).unwrap()
    }

    /// Splitmix64.
    fn further(&mut self) -> u64 {
        let Some(seed) = &mut self.seed else { return 0 };
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// So many times in so many.
    pub(crate) fn chance(&mut self, of: usize, in_all: usize) -> bool {
        self.below(in_all) > in_all - 1 - of
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

const WORDS: [&str; 12] = [
    "Koivu",
    "Aino Maria",
    "Mäntytie 4",
    "x",
    "L|1",
    "a^b&c~d",
    "back\\slash",
    "Väyläkatu 7 B",
    "GHH",
    "0040",
    "näyte \"q\"",
    "two  spaces",
];

/// A text of the same kind as another, and not it: each digit and letter moved on.
pub(crate) fn unlike(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '9' => '8',
            '0'..='8' => char::from(u8::try_from(c).unwrap() + 1),
            'z' | 'Z' => 'x',
            'a'..='y' | 'A'..='Y' => char::from(u8::try_from(c).unwrap() + 1),
            c => c,
        })
        .collect()
}

pub(crate) fn text(choices: &mut Choices<'_>, holds: Option<&Holds>, v2: bool) -> String {
    let word = |choices: &mut Choices<'_>| (*choices.pick(&WORDS).unwrap()).to_owned();
    let day = choices.below(27) + 1;
    let month = choices.below(12) + 1;
    let year = 1930 + choices.below(95);
    match holds {
        None | Some(Holds::Text | Holds::Single) => word(choices),
        Some(Holds::Code) => (*choices.pick(&["A1", "77386006", "B-2", "C"]).unwrap()).to_owned(),
        Some(Holds::OneOf(codes)) => {
            let mut codes = codes.clone();
            codes.sort();
            codes.dedup();
            choices.pick(&codes).cloned().unwrap_or_default()
        }
        Some(Holds::Moment { day: true, .. }) if v2 => format!("{year:04}{month:02}{day:02}"),
        Some(Holds::Moment { day: true, .. }) => format!("{year:04}-{month:02}-{day:02}"),
        Some(Holds::Moment { instant, .. }) => {
            let (hour, minute) = (choices.below(24), choices.below(60));
            let zone = choices.below(3);
            if v2 {
                let zone = ["", "+0200", "-0530"][zone];
                match choices.below(if *instant { 2 } else { 4 }) {
                    0 => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}07{zone}"),
                    1 => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{zone}"),
                    2 => format!("{year:04}{month:02}{day:02}"),
                    _ => format!("{year:04}{month:02}"),
                }
            } else {
                let zone = ["", "+02:00", "Z"][zone];
                match choices.below(if *instant { 1 } else { 2 }) {
                    0 => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:07{zone}"),
                    _ => format!("{year:04}-{month:02}-{day:02}"),
                }
            }
        }
        Some(Holds::Pattern(pattern)) => pattern
            .replace("yyyy", &format!("{year:04}"))
            .replace("dd", &format!("{day:02}"))
            .replace("MM", &format!("{month:02}"))
            .replace("HH", &format!("{:02}", choices.below(24)))
            .replace("mm", &format!("{:02}", choices.below(60)))
            .replace("ss", &format!("{:02}", choices.below(60)))
            .replace('d', &day.to_string())
            .replace('M', &month.to_string())
            .replace('H', &choices.below(24).to_string()),
        Some(Holds::Number { whole: true }) => choices.below(200).to_string(),
        Some(Holds::Number { whole: false }) => format!("{}.{:02}", choices.below(200), choices.below(100)),
        Some(Holds::Oid) => format!("1.2.246.10.{}", choices.below(90) + 10),
        Some(Holds::After(_)) => format!("N-{}", choices.below(100)),
        Some(Holds::Data) => (*choices.pick(&["JVBERi0xLjQK", "QQ==", "TGV0dGVy"]).unwrap()).to_owned(),
        Some(Holds::Digits(count)) => {
            let mut digit = || char::from(b'0' + u8::try_from(choices.below(10)).unwrap());
            (0..*count).map(|_| digit()).collect()
        }
        Some(Holds::Hetu) => {
            let number = 900 + choices.below(100);
            let digits = format!("{day:02}{month:02}{:02}{number:03}", year % 100);
            let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY"[digits.parse::<usize>().unwrap() % 31];
            format!("{}{}{number:03}{}", &digits[..6], if year < 2000 { '-' } else { 'A' }, char::from(check))
        }
    }
}

/// A document that the map reads, in its bytes, and how to read it.
pub(crate) fn document(
    map: &Map,
    vocabulary: &BTreeMap<String, Holds>,
    choices: &mut Choices<'_>,
) -> (Vec<u8>, Syntax) {
    match map.native() {
        NativeType::Hl7v2 { structure, message, events, versions } => {
            let versions: Vec<Version> = Version::ALL
                .into_iter()
                .filter(|v| {
                    let mut parts = v.text().split('.').map(|p| p.parse::<u8>().unwrap());
                    let of = (parts.next().unwrap(), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                    of >= versions.0 && of <= versions.1 && Schema::version(*v).structure(structure).is_some()
                })
                .rev()
                .collect();
            let version = *choices.pick(&versions).unwrap();
            let event = choices.pick(events).unwrap().clone();
            let found = Schema::version(version).structure(structure).unwrap();
            let text = format!(
                "MSH|^~\\&|HIS|HOSP^1.2.246.10.1^ISO|SILTA||20251113100000+0200||{message}^{event}|M1|T|{}||||||UNICODE UTF-8\r",
                version.text()
            );
            let mut made = Message { version, vocabulary, text };
            made.group(found, 0, choices, 0);
            (made.text.into_bytes(), Syntax::Hl7V2(silta_engine::native::hl7v2::Options::default()))
        }
        NativeType::Json { when, .. } => {
            let schema = map.json_schema().unwrap();
            let mut value = json(schema, schema, "$", vocabulary, choices);
            for condition in when {
                let name = condition.path.to_string();
                if let Test::In(values) = &condition.test {
                    value[name.trim_start_matches("$.")] = Json::from(choices.pick(values).unwrap().as_str());
                }
            }
            (serde_json::to_vec_pretty(&value).unwrap(), Syntax::Json)
        }
        NativeType::Fhir { version, resource } => {
            let value = super::resources::resource(*version, resource, choices);
            (serde_json::to_vec_pretty(&value).unwrap(), Syntax::Json)
        }
        NativeType::Delimited { separator, columns, .. } => {
            let names: Vec<&str> = columns.iter().map(String::as_str).chain(["reitti"]).collect();
            let separator_text = separator.to_string();
            let mut table = names.join(&separator_text);
            for _ in 0..1 + choices.below(3).max(usize::from(choices.chance(1, 2))) {
                table.push_str("\r\n");
                let cells: Vec<String> = names
                    .iter()
                    .map(|name| {
                        if *name != "reitti" && choices.chance(1, 8) {
                            return String::new();
                        }
                        let cell = text(choices, vocabulary.get(&format!("row/{name}")), false);
                        let quoted = cell.contains([*separator, '"']);
                        if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
                    })
                    .collect();
                table.push_str(&cells.join(&separator_text));
            }
            table.push_str("\r\n");
            let dialect = Dialect { separator: *separator, ..Dialect::default() };
            (table.into_bytes(), Syntax::Delimited(dialect))
        }
        NativeType::Xml { .. } => {
            let schema = map.xml_schema().unwrap();
            (super::elements::document(schema, vocabulary, choices).into_bytes(), Syntax::Xml)
        }
    }
}

struct Message<'v> {
    version: Version,
    vocabulary: &'v BTreeMap<String, Holds>,
    text: String,
}

impl Message<'_> {
    /// Whether the map speaks of a path or of something below it.
    fn spoken(&self, path: &str) -> bool {
        let below = format!("{path}.");
        self.vocabulary.keys().any(|k| k == path || k.starts_with(&below))
    }

    fn group(&mut self, structure: &Structure, group: NodeIndex, choices: &mut Choices<'_>, depth: usize) {
        for child in structure.children(group).collect::<Vec<_>>() {
            let node = structure.node(child).unwrap();
            if node.name == "MSH" {
                continue;
            }
            let spoken = node.is_group() || self.vocabulary.keys().any(|k| k.starts_with(node.name));
            let most = if node.repeats() { 2 } else { 1 };
            let count = if node.required() && (depth == 0 || spoken) {
                1 + if most > 1 { choices.below(2) } else { 0 }
            } else if spoken {
                choices.below(most + 1)
            } else {
                usize::from(choices.chance(1, 10))
            };
            for number in 1..=count {
                if node.is_group() {
                    self.group(structure, child, choices, depth + 1);
                } else if node.kind == NodeKind::Segment {
                    self.segment(node.name, number, choices);
                }
            }
        }
    }

    fn segment(&mut self, name: &str, number: usize, choices: &mut Choices<'_>) {
        let Some(segment) = Schema::version(self.version).segment(name) else { return };
        let mut line = name.to_owned();
        for field in 1..=segment.last() {
            line.push('|');
            let Some(of) = segment.field(field) else { continue };
            if of.datatype == "SI" {
                line.push_str(&number.to_string());
                continue;
            }
            let path = format!("{name}-{field}");
            let there = of.required() || if self.spoken(&path) { choices.chance(2, 3) } else { choices.chance(1, 12) };
            if !there {
                continue;
            }
            let count = if of.repeats() { 1 + choices.below(2) } else { 1 };
            let repetitions: Vec<String> = (0..count).map(|_| self.field(&path, of, choices)).collect();
            line.push_str(&repetitions.join("~"));
        }
        self.text.push_str(line.trim_end_matches('|'));
        self.text.push('\r');
    }

    fn field(&self, path: &str, of: &FieldDef, choices: &mut Choices<'_>) -> String {
        if choices.chance(1, 40) { "\"\"".to_owned() } else { self.value(path, of.datatype, choices, 0) }
    }

    fn value(&self, path: &str, datatype: &str, choices: &mut Choices<'_>, depth: usize) -> String {
        let schema = Schema::version(self.version);
        let Shape::Composite(composite) = schema.shape(datatype) else {
            return self.leaf(path, schema.shape(datatype), choices);
        };
        if depth > 1 {
            return self.leaf(path, Shape::Primitive(Primitive::Text), choices);
        }
        let mut parts: Vec<String> = Vec::new();
        for component in composite.components() {
            let path = format!("{path}.{}", component.number);
            let spoken = self.spoken(&path);
            let there = component.number == 1 || if spoken { choices.chance(1, 2) } else { choices.chance(1, 12) };
            while parts.len() + 1 < usize::from(component.number) {
                parts.push(String::new());
            }
            parts.push(if there { self.value(&path, component.datatype, choices, depth + 1) } else { String::new() });
        }
        let separator = if depth == 0 { "^" } else { "&" };
        parts.join(separator).trim_end_matches(separator).to_owned()
    }

    fn leaf(&self, path: &str, shape: Shape, choices: &mut Choices<'_>) -> String {
        // The first part of a composite is spoken of by the whole's path, and the other way round.
        let mut known = self.vocabulary.get(path);
        let mut short = path;
        while known.is_none() && short.ends_with(".1") {
            short = short.strip_suffix(".1").unwrap();
            known = self.vocabulary.get(short);
        }
        let known = known
            .or_else(|| self.vocabulary.get(&format!("{path}.1")))
            .or_else(|| self.vocabulary.get(&format!("{path}.1.1")));
        let guessed = match shape {
            Shape::Primitive(Primitive::Number) => Some(Holds::Number { whole: false }),
            Shape::Primitive(Primitive::Date) => Some(Holds::Moment { day: true, instant: false }),
            Shape::Primitive(Primitive::DateTime) => Some(Holds::Moment { day: false, instant: false }),
            _ => None,
        };
        escape(&text(choices, known.or(guessed.as_ref()), true))
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '~' => out.push_str("\\R\\"),
            '&' => out.push_str("\\T\\"),
            '\\' => out.push_str("\\E\\"),
            c => out.push(c),
        }
    }
    out
}

fn json(
    root: &Json,
    schema: &Json,
    path: &str,
    vocabulary: &BTreeMap<String, Holds>,
    choices: &mut Choices<'_>,
) -> Json {
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        return json(root, root.pointer(reference.trim_start_matches('#')).unwrap(), path, vocabulary, choices);
    }
    if let Some(codes) = schema.get("enum").and_then(Json::as_array) {
        return choices.pick(codes).unwrap().clone();
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => {
            let item = schema.get("items").cloned().unwrap_or(Json::Bool(true));
            let count = (choices.below(4) + 1) % 4;
            Json::Array((0..count).map(|_| json(root, &item, path, vocabulary, choices)).collect())
        }
        Some("integer" | "number") => Json::from(choices.below(100)),
        Some("boolean") => Json::Bool(choices.chance(1, 2)),
        Some("object") => {
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Json::as_array)
                .map(|r| r.iter().filter_map(Json::as_str).collect())
                .unwrap_or_default();
            let mut object = Object::new();
            for (name, inner) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
                if required.contains(&name.as_str()) || choices.chance(2, 3) {
                    object.insert(name.clone(), json(root, inner, &format!("{path}.{name}"), vocabulary, choices));
                }
            }
            Json::Object(object)
        }
        _ => Json::from(text(choices, vocabulary.get(path), false)),
    }
}
