//! The rows of data types: which part of a FHIR type a component fills.

use std::collections::{BTreeMap, BTreeSet};

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;

use super::{Differences, Tables, meets, settle, table, tables, target, untouched};

/// A table, a map, a field of it that is of the data type, and the element that the field fills.
const TABLES: [(&str, &str, &str, &str); 37] = [
    ("CE[CodeableConcept]", "adt-a01", "PID-16", "Patient.maritalStatus"),
    ("CF[CodeableConcept]", "adt-a01", "PID-16", "Patient.maritalStatus"),
    ("CNE[CodeableConcept]", "adt-a01", "PID-16", "Patient.maritalStatus"),
    ("CWE[CodeableConcept]", "adt-a01", "PID-16", "Patient.maritalStatus"),
    ("CWE[Coding]", "adt-a01", "PV2-38", "Encounter.extension.valueCoding"),
    ("CNN[Practitioner]", "oru-r01", "OBR-32.1", "Practitioner"),
    ("CQ[Quantity]", "oru-r01", "SPM-12", "Specimen.collection.quantity"),
    ("CX[Identifier]", "adt-a01", "PID-3", "Patient.identifier"),
    ("DLD[Location-Discharge]", "adt-a01", "PV1-37", "Location"),
    ("DLN[Identifier]", "adt-a01", "PID-20", "Patient.extension.valueIdentifier"),
    ("DR[Period]", "oru-r01", "SPM-17", "Specimen.collection.collectedPeriod"),
    ("ED[Attachment]", "oru-r01", "OBX-5", "DocumentReference.content.attachment"),
    ("ED[DocumentReference]", "oru-r01", "OBX-5", "DocumentReference"),
    ("EI[Condition]", "adt-a01", "DG1-20", "Condition"),
    ("EI[Identifier-DefaultAssigner]", "adt-a01", "DG1-20", "Condition.identifier"),
    ("EI[Identifier-Extension]", "oru-r01", "OBR-3", "DiagnosticReport.identifier"),
    ("EI[Identifier-Organization]", "oru-r01", "OBR-3", "DiagnosticReport.identifier"),
    ("EI[Identifier-System]", "oru-r01", "OBR-3", "DiagnosticReport.identifier"),
    ("EI[Procedure]", "adt-a01", "PR1-19", "Procedure"),
    ("EIP[Identifier-FillerAssignedIdentifier]", "oru-r01", "SPM-2", "Specimen.identifier"),
    ("EIP[Identifier-PlacerAssignedIdentifier]", "oru-r01", "SPM-2", "Specimen.identifier"),
    ("FN[HumanName]", "adt-a01", "PID-5.1", "Patient.name"),
    ("HD[Identifier]", "adt-a01", "PID-34", "Patient.extension.valueIdentifier"),
    ("HD[Organization]", "adt-a01", "PD1-3.6", "Organization.identifier.assigner"),
    ("NDL[PractitionerRole]", "oru-r01", "OBR-32", "PractitionerRole"),
    ("PL[Location]", "adt-a01", "PV1-3", "Location"),
    ("PLN[Identifier]", "ref-i12", "PRD-7", "Practitioner.identifier"),
    ("RP[Attachment]", "oru-r01", "OBX-5", "DocumentReference.content.attachment"),
    ("RP[DocumentReference]", "oru-r01", "OBX-5", "DocumentReference"),
    ("RPT[Timing]", "omg-o19", "TQ1-3", "ServiceRequest.occurrenceTiming"),
    ("SAD[Address]", "adt-a01", "PID-11.1", "Patient.address"),
    ("TQ[ServiceRequest]", "orm-o01", "ORC-7", "ServiceRequest"),
    ("XAD[Address]", "adt-a01", "PID-11", "Patient.address"),
    ("XCN[Practitioner]", "adt-a01", "PV1-7", "Practitioner"),
    ("XON[Organization]", "adt-a01", "PD1-3", "Organization"),
    ("XPN[HumanName]", "adt-a01", "PID-5", "Patient.name"),
    ("XTN[ContactPoint]", "adt-a01", "PID-40", "Patient.extension.valueContactPoint"),
];

/// What a map fills of each component of a field: the native path within the field, and the elements.
fn components(maps: &Maps, map: &str, field: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in maps.named(map).unwrap().lines() {
        for native in line.native.split(" + ") {
            let path = super::bare(native);
            let Some(rest) = path.strip_prefix(field) else { continue };
            if rest.is_empty() || rest.starts_with('.') {
                all.entry(rest.to_owned()).or_default().insert(super::bare(&line.element));
            }
        }
    }
    all
}

/// The differences between the tables and the maps, how many rows were compared, and the tables that were not looked at.
fn differences(files: &Tables) -> (usize, Differences) {
    let maps = Maps::embedded(Model::r4());
    let (mut seen, mut found) = (0, BTreeMap::new());
    for (name, map, field, base) in TABLES {
        let ours = components(&maps, map, field);
        assert!(!ours.is_empty(), "{map} says nothing of {field}");
        let resource = base.split('.').next().unwrap();
        for row in table(files, "datatypes", name) {
            let (Some(component), Some(attribute)) = (row.get(1), row.get(9)) else { continue };
            let Some((_, number)) = component.trim().split_once(['.', '-']) else { continue };
            if attribute.trim().is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
                continue;
            }
            // Which extension or system it is, the place of ours says by its guard.
            let assigned = row.get(16).is_some_and(|text| text.trim().starts_with('"'));
            if assigned
                && attribute.trim().rsplit('.').next().is_some_and(|last| ["url", "system", "sytem"].contains(&last))
            {
                continue;
            }
            seen += 1;
            let (element, refers) = target(attribute.trim());
            let element = element.trim_start_matches('.');
            let whole = if element.is_empty() { base.to_owned() } else { format!("{base}.{element}") };
            let below = format!(".{number}");
            let does: BTreeSet<String> = ours
                .iter()
                .filter(|(path, _)| path.strip_prefix(&below).is_some_and(|r| r.is_empty() || r.starts_with('.')))
                .chain(ours.iter().filter(|(path, _)| path.is_empty() && number == "1"))
                .flat_map(|(_, elements)| elements.clone())
                .collect();
            let alike = does.iter().any(|one| meets(one, &whole))
                || refers
                    .is_some_and(|kind| kind != resource && does.iter().any(|o| o.split('.').next() == Some(&kind)));
            if !alike {
                let does = if does.is_empty() { "stays in the original".to_owned() } else { within(&does, base) };
                let says = if element.is_empty() { attribute.trim() } else { element };
                found.insert((format!("{name} {number}"), says.to_owned()), does);
            }
        }
    }
    found.extend(untouched(files, "datatypes", TABLES.iter().map(|table| table.0)));
    (seen, found)
}

/// The elements without what the field itself fills.
fn within(does: &BTreeSet<String>, base: &str) -> String {
    let inner = does.iter().map(|one| one.strip_prefix(base).map_or(one.as_str(), |rest| rest.trim_start_matches('.')));
    inner.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

#[test]
fn every_row_of_the_public_tables_of_data_types_is_followed_or_the_difference_has_a_reason() {
    let Some(files) = tables() else { return };
    let (seen, found) = differences(&files);
    println!("{seen} rows, {} differences", found.len());
    settle("v2-datatypes.md", &found);
}
