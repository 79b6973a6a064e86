//! The rows of segments: which element a field fills.

use std::collections::{BTreeMap, BTreeSet};

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;

use super::{Differences, Tables, meets, ours, settle, short, tables, target};

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

/// The differences between the tables and the maps: field and element of the table, and what is done instead.
fn differences(files: &Tables) -> (usize, Differences) {
    let maps = Maps::embedded(Model::r4());
    let (mut seen, mut found) = (0, BTreeMap::new());
    let names: BTreeSet<&str> = TABLES.iter().map(|(_, name)| *name).collect();
    let all: BTreeMap<&str, _> = names.into_iter().map(|name| (name, ours(maps.named(name).unwrap()))).collect();
    let nothing = BTreeSet::new();
    for (table, name) in TABLES {
        let fields = all.get(name).unwrap();
        let (segment, resource) = table.trim_end_matches(']').split_once('[').unwrap();
        let resource = resource.split('-').next().unwrap();
        for row in super::table(files, "segments", table) {
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
fn every_row_of_the_public_tables_of_segments_is_followed_or_the_difference_has_a_reason() {
    let Some(files) = tables() else { return };
    let (seen, found) = differences(&files);
    println!("{seen} rows, {} differences", found.len());
    assert!(seen > 300, "{seen} rows were read");
    settle("v2-tables.md", &found);
}
