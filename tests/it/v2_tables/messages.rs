//! The rows of messages: which resources a segment becomes.

use std::collections::{BTreeMap, BTreeSet};

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;

use super::{Differences, Tables, bare, settle, table, tables, untouched};

/// A table, and the map that reads the message.
const TABLES: [(&str, &str); 11] = [
    ("ADT_A01", "adt-a01"),
    ("ADT_A02", "adt-a02"),
    ("ADT_A05", "adt-a05"),
    ("ADT_A06", "adt-a06"),
    ("ADT_A09", "adt-a09"),
    ("ADT_A11", "adt-a09"),
    ("MDM_T02", "mdm-t02"),
    ("OML_O21", "oml-o21"),
    ("ORM_O01", "orm-o01"),
    ("ORU_R01", "oru-r01"),
    ("SIU_S12", "siu-s12"),
];

/// The resource of a row: of what stands last in it, `Provenance[1].entity.what(Device)`, else of the segment's table.
fn resource(row: &[String]) -> Option<String> {
    let by_table = row.get(10).and_then(|map| map.trim().split_once('['));
    let kind = by_table.map(|(_, kind)| kind.trim_end_matches(']').split('-').next().unwrap_or_default().to_owned());
    let by_target = row.get(9).map(|target| bare(target)).filter(|target| !target.is_empty());
    kind.or_else(|| by_target.map(|target| target.chars().take_while(char::is_ascii_alphanumeric).collect()))
}

fn differences(files: &Tables) -> (usize, Differences) {
    let maps = Maps::embedded(Model::r4());
    let (mut seen, mut found) = (0, BTreeMap::new());
    for (name, map) in TABLES {
        let mut ours: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in maps.named(map).unwrap().lines().iter().filter(|line| line.fixed.is_none()) {
            let kind = line.element.split(['.', '[']).next().unwrap_or_default();
            for native in line.native.split(" + ") {
                let segment = bare(native).split(['-', '.']).next().unwrap_or_default().to_owned();
                ours.entry(segment).or_default().insert(kind.to_owned());
            }
        }
        for row in table(files, "messages", name) {
            let Some(place) = row.get(1).map(|place| place.trim()).filter(|place| place.contains('.')) else {
                continue;
            };
            let Some(kind) = resource(&row) else { continue };
            seen += 1;
            let segment = place.rsplit('.').next().unwrap_or_default();
            let does = ours.get(segment);
            if !does.is_some_and(|kinds| kinds.contains(&kind)) {
                let does = does.map(|kinds| kinds.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
                let says = row.get(10).map(|map| map.trim()).filter(|map| !map.is_empty()).unwrap_or(&kind);
                found.insert(
                    (place.to_owned(), says.to_owned()),
                    does.unwrap_or_else(|| "stays in the original".into()),
                );
            }
        }
    }
    found.extend(untouched(files, "messages", TABLES.iter().map(|table| table.0)));
    (seen, found)
}

#[test]
fn every_row_of_the_public_tables_of_messages_is_followed_or_the_difference_has_a_reason() {
    let Some(files) = tables() else { return };
    let (seen, found) = differences(&files);
    println!("{seen} rows, {} differences", found.len());
    assert!(seen > 200, "{seen} rows were read");
    settle("v2-messages.md", &found);
}
