//! The maps beside the public v2-to-FHIR tables: every row of a segment that a map reads is either mapped as the table says,
//! or stands in `tests/golden/mapping/v2-tables.md` with what is done instead, and why. A difference that is not there, has
//! no reason, or is no more fails. `SILTA_BLESS=1` writes the differences that are found, with the reasons that are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use silta_engine::definitions::Model;
use silta_engine::mapping::{Map, Maps};

use crate::support::data;

/// A table, and the map that makes its resource of its segment.
const TABLES: [(&str, &str); 26] = [
    ("PID[Patient]", "adt-a01"),
    ("PD1[Patient]", "adt-a01"),
    ("NK1[RelatedPerson]", "adt-a01"),
    ("PV1[Encounter]", "adt-a01"),
    ("PV2[Encounter]", "adt-a01"),
    ("DG1[Condition]", "adt-a01"),
    ("AL1[AllergyIntolerance]", "adt-a01"),
    ("PR1[Procedure]", "adt-a01"),
    ("ROL[Patient-GeneralPractitioner]", "adt-a01"),
    ("OBR[DiagnosticReport]", "oru-r01"),
    ("OBX[Observation]", "oru-r01"),
    ("OBX[DocumentReference]", "oru-r01"),
    ("NTE[Observation]", "oru-r01"),
    ("SPM[Specimen]", "oru-r01"),
    ("ORC[DiagnosticReport]", "oru-r01"),
    ("ORC[ServiceRequest]", "omg-o19"),
    ("OBR[ServiceRequest]", "omg-o19"),
    ("TQ1[ServiceRequest]", "omg-o19"),
    ("NTE[ServiceRequest]", "omg-o19"),
    ("PRT[PractitionerRole]", "omg-o19"),
    ("SCH[Appointment]", "siu-s12"),
    ("AIS[Appointment]", "siu-s12"),
    ("AIG[Appointment]", "siu-s12"),
    ("AIL[Appointment]", "siu-s12"),
    ("AIP[Appointment]", "siu-s12"),
    ("TXA[DocumentReference]", "mdm-t02"),
];

/// The cells of a table, row by row; a quoted cell may hold separators, quotes and line ends.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            ('\r', false) => {}
            (c, _) => cell.push(c),
        }
    }
    row.push(cell);
    rows.push(row);
    rows
}

/// A path without what stands between brackets.
fn bare(path: &str) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            c if depth == 0 && !c.is_whitespace() => text.push(c),
            _ => {}
        }
    }
    text
}

/// Where a row of a table puts a field: the element, and the type of what that refers to.
fn target(attribute: &str) -> (String, Option<String>) {
    let path = bare(attribute);
    let Some((element, inside)) = path.split_once('(') else { return (path, None) };
    let kind: String = inside.chars().take_while(char::is_ascii_alphanumeric).collect();
    (element.trim_end_matches('.').to_owned(), Some(kind))
}

/// Whether one path is, or begins with, the other.
fn meets(a: &str, b: &str) -> bool {
    let begins = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    begins(a, b) || begins(b, a)
}

/// What a map does with each field, as the elements that it fills.
fn ours(map: &Map) -> BTreeMap<String, BTreeSet<String>> {
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in map.lines().iter().filter(|line| line.fixed.is_none()) {
        for native in line.native.split(" + ") {
            let field = bare(native).split('.').next().unwrap_or_default().to_owned();
            fields.entry(field).or_default().insert(bare(&line.element));
        }
    }
    fields
}

/// The elements without what is below a composite: `Patient.extension`, `Appointment.participant`.
fn short(does: &BTreeSet<String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in does {
        let text = one.split('.').take(2).collect::<Vec<_>>().join(".");
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(", ")
}

/// The differences between the tables and the maps: field and element of the table, and what is done instead.
fn differences(files: &[(String, Vec<u8>)]) -> (usize, BTreeMap<(String, String), String>) {
    let maps = Maps::embedded(Model::r4());
    let (mut seen, mut found) = (0, BTreeMap::new());
    let names: BTreeSet<&str> = TABLES.iter().map(|(_, name)| *name).collect();
    let all: BTreeMap<&str, _> = names.into_iter().map(|name| (name, ours(maps.named(name).unwrap()))).collect();
    let nothing = BTreeSet::new();
    for (table, name) in TABLES {
        let wanted = format!("R4_ {table} - ");
        let (_, content) = files.iter().find(|(file, _)| file.contains(&wanted)).unwrap_or_else(|| panic!("{table}"));
        let fields = all.get(name).unwrap();
        let (segment, resource) = table.trim_end_matches(']').split_once('[').unwrap();
        let resource = resource.split('-').next().unwrap();
        for row in cells(&String::from_utf8_lossy(content)) {
            let (Some(field), Some(attribute)) = (row.get(1), row.get(9)) else { continue };
            let (field, attribute) = (field.trim(), attribute.trim());
            // A row with an assignment says what stands beside the field, as the place of ours does by its guard.
            let assigned = row.get(16).is_some_and(|text| !text.trim().is_empty()) || attribute.contains('=');
            if !field.starts_with(&format!("{segment}-")) || attribute.is_empty() || assigned {
                continue;
            }
            seen += 1;
            let (element, refers) = target(attribute);
            let whole = format!("{resource}.{element}");
            let does = fields.get(field).unwrap_or(&nothing);
            // Of a field that makes a resource of its own the table names its type; ours are that resource's elements.
            let alike = does.iter().any(|one| meets(one, &whole))
                || refers.is_some_and(|kind| does.iter().any(|one| one.split('.').next() == Some(&kind)));
            if !alike {
                let does = if does.is_empty() { "stays in the original".to_owned() } else { short(does) };
                found.insert((field.to_owned(), whole), does);
            }
        }
    }
    (seen, found)
}

#[test]
fn every_row_of_the_public_tables_is_followed_or_the_difference_has_a_reason() {
    let Some(files) = data::archived("v2-to-fhir-mappings.tgz", ".csv") else { return };
    let (seen, found) = differences(&files);
    println!("{seen} rows, {} differences", found.len());
    assert!(seen > 300, "{seen} rows were read");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mapping/v2-tables.md");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut head = String::new();
    let mut known: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells.as_slice() {
            [field, element, does, reason] if field.contains('-') && !field.starts_with('-') => {
                let key = ((*field).to_owned(), (*element).to_owned());
                known.insert(key, ((*does).to_owned(), (*reason).to_owned()));
            }
            _ => head = head + line + "\n",
        }
    }
    if std::env::var_os("SILTA_BLESS").is_some() {
        let mut text = head;
        for ((field, element), does) in &found {
            let reason = known.get(&(field.clone(), element.clone())).map_or("?", |(_, reason)| reason.as_str());
            text = format!("{text}| {field} | {element} | {does} | {reason} |\n");
        }
        fs::write(&file, text).unwrap();
        return;
    }
    let mut wrong = Vec::new();
    for ((field, element), does) in &found {
        match known.get(&(field.clone(), element.clone())) {
            None => wrong.push(format!("{field} is {element} in the table, and {does} here: no reason is given")),
            Some((_, reason)) if reason.len() < 10 => {
                wrong.push(format!("{field}, {element}: {reason:?} is no reason"))
            }
            Some((was, _)) if was != does => wrong.push(format!("{field}, {element}: {does} now, {was} is told")),
            Some(_) => {}
        }
    }
    wrong
        .extend(known.keys().filter(|key| !found.contains_key(*key)).map(|(f, e)| format!("{f}, {e} differs no more")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
