//! The rows of code systems: what a code of a v2 table is in FHIR. Each code is put into its field of a message, which is
//! translated.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::Node;
use silta_engine::mapping::{Context, Maps};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{Limits, Syntax};

use super::{Differences, Tables, settle, table, tables, untouched};

/// A message with little in it: the code and event of its header, and its other segments.
struct Message {
    kind: &'static str,
    segments: &'static [&'static str],
}

const ADT: Message = Message {
    kind: "ADT^A01^ADT_A01",
    segments: &[
        "EVN||20250101",
        "PID|1||P1^^^X||N",
        "PD1|",
        "ROL|1|AD|X^X|1^N",
        "NK1|1|N",
        "PV1|1|I",
        "PV2|",
        "AL1|1||X^X",
        "DG1|1||X^X||20250101|F",
        "PR1|1||X^X||20250101",
    ],
};
const ORU: Message = Message {
    kind: "ORU^R01^ORU_R01",
    segments: &[
        "PID|1||P1^^^X||N",
        "ORC|RE|1|2",
        "OBR|1|1|2|X^X|||20250101",
        "OBX|1|ST|X^X||text||||||F",
        "SPM|1|1||X^X",
    ],
};
const OMG: Message = Message {
    kind: "OMG^O19^OMG_O19",
    segments: &["PID|1||P1^^^X||N", "ORC|NW|1", "TQ1|1", "OBR|1|1||X^X", "NTE|1||text", "PRT||AD||X^X|1^N"],
};
const SIU: Message = Message {
    kind: "SIU^S12^SIU_S12",
    segments: &["SCH|1|2|||||||||^^^20250101", "PID|1||P1^^^X||N", "RGS|1", "AIS|1||X^X"],
};
const MDM: Message = Message {
    kind: "MDM^T02^MDM_T02",
    segments: &[
        "EVN||20250101",
        "PID|1||P1^^^X||N",
        "PV1|1|I",
        "TXA|1|X|TX||||||||||1||||LA",
        "OBX|1|TX|X^X||text||||||F",
    ],
};
const REF: Message = Message { kind: "REF^I12^REF_I12", segments: &["RF1|P|R||||1", "PRD|RP|N", "PID|1||P1^^^X||N"] };

/// A table, a message, a field, what stands in it around the code, and the element that shows what became of it.
type Place = (&'static str, &'static Message, &'static str, usize, &'static str, &'static str);

const PLACES: [Place; 64] = [
    ("AdditivePreservative", &ORU, "SPM", 6, "{}^X^HL70371", "Specimen.container.additive"),
    ("AddressType[Type]", &ADT, "PID", 11, "A^^^^^^{}", "Patient.address.type"),
    ("AddressType[Use]", &ADT, "PID", 11, "A^^^^^^{}", "Patient.address.use"),
    ("AdministrativeSex", &ADT, "PID", 8, "{}", "Patient.gender"),
    ("AdmissionLevelOfCareCode", &ADT, "PV2", 40, "{}^X^HL70432", "Encounter.extension.value"),
    ("AdmissionType", &ADT, "PV1", 4, "{}^X^HL70007", "Encounter.type"),
    ("AllergenType[AllergyIntoleranceCategory]", &ADT, "AL1", 2, "{}^X^HL70127", "AllergyIntolerance.category"),
    (
        "AllergenType[AllergyIntoleranceOriginalCategory]",
        &ADT,
        "AL1",
        2,
        "{}^X^HL70127",
        "AllergyIntolerance.extension.value",
    ),
    (
        "AllergySeverity[AllergyIntolerance.criticality-original]",
        &ADT,
        "AL1",
        4,
        "{}^X^HL70128",
        "AllergyIntolerance.extension.value",
    ),
    (
        "AllergySeverity[AllergyIntolerance.criticality]",
        &ADT,
        "AL1",
        4,
        "{}^X^HL70128",
        "AllergyIntolerance.criticality",
    ),
    (
        "AllergySeverity[AllergyIntolerance.reaction.severity]",
        &ADT,
        "AL1",
        4,
        "{}^X^HL70128|Rash",
        "AllergyIntolerance.reaction.severity",
    ),
    ("AllergyType", &ADT, "AL1", 2, "{}^X^HL70127", "AllergyIntolerance.type"),
    ("AppointmentReasonCodes", &SIU, "SCH", 7, "{}^X^HL70276", "Appointment.reasonCode"),
    ("AppointmentTypeCodes", &SIU, "SCH", 8, "{}^X^HL70277", "Appointment.appointmentType"),
    ("BedStatus", &ADT, "PV1", 40, "{}^X^HL70116", "Encounter.extension.value"),
    ("CommentType", &OMG, "NTE", 4, "{}^X^HL70364", "ServiceRequest.note.extension.value"),
    ("ConfidentialityCode", &OMG, "ORC", 28, "{}^X^HL70177", "ServiceRequest.extension.value"),
    ("ContactRole", &ADT, "NK1", 7, "{}^X^HL70131", "RelatedPerson.relationship"),
    ("ContainerType", &ORU, "SPM", 27, "{}^X^HL70785", "Specimen.container.type"),
    ("CountryCode", &ADT, "PID", 11, "A^^^^^{}", "Patient.address.country"),
    ("DegreeLicenseCertificate", &ADT, "PV1", 7, "1^N^^^^^{}", "Practitioner.qualification.code"),
    ("DiagnosisType", &ADT, "DG1", 6, "{}", "Condition.category"),
    ("DiagnosticServiceSectionID", &ORU, "OBR", 24, "{}", "DiagnosticReport.category"),
    ("DischargeDisposition", &ADT, "PV1", 36, "{}^X^HL70112", "Encounter.hospitalization.dischargeDisposition"),
    ("DocumentConfidentialityStatus", &MDM, "TXA", 18, "{}", "DocumentReference.securityLabel"),
    ("EncounterPriority", &ADT, "PV2", 25, "{}^X^HL70217", "Encounter.priority"),
    ("EventRelatedPeriod", &OMG, "TQ1", 3, "^^^^^^^{}", "ServiceRequest.occurrence.repeat.when"),
    ("Event[EncounterStatus]", &ADT, "MSH", 9, "ADT^{}", "Encounter.status"),
    ("ExtendedPriorityCodes", &OMG, "TQ1", 9, "{}^X^HL70485", "ServiceRequest.priority"),
    ("FillerStatusCodes[Appointment]", &SIU, "SCH", 25, "{}^X^HL70278", "Appointment.status"),
    ("HospitalService", &ADT, "PV1", 10, "{}^X^HL70069", "Encounter.serviceType"),
    ("IdentifierType", &ADT, "PID", 3, "1^^^X^{}", "Patient.identifier.type"),
    ("InterpretationCodes", &ORU, "OBX", 8, "{}", "Observation.interpretation"),
    ("LivingWillCode", &ADT, "PD1", 7, "{}^X^HL70315", "Patient.extension.value"),
    ("MaritalStatus", &ADT, "PID", 16, "{}^X^HL70002", "Patient.maritalStatus"),
    ("ModeOfArrivalCode", &ADT, "PV2", 38, "{}^X^HL70430", "Encounter.extension.value"),
    ("NameAssemblyOrder", &ADT, "PID", 5, "N^^^^^^^^^^{}", "Patient.name.extension.value"),
    ("NameType", &ADT, "PID", 5, "N^^^^^^{}", "Patient.name.use"),
    ("NatureOfAbnormalTesting", &ORU, "OBX", 10, "{}", "Observation.extension.value"),
    ("ObservationResultStatusCodesInterpretation", &ORU, "OBX", 11, "{}", "Observation.status"),
    ("OrderControlCode[ServiceRequest.status]", &OMG, "ORC", 1, "{}", "ServiceRequest.status"),
    ("OrderStatus", &OMG, "ORC", 5, "{}", "ServiceRequest.status"),
    ("OrderType", &OMG, "ORC", 29, "{}^X^HL70482", "ServiceRequest.locationCode"),
    ("OrganizationalNameType", &ADT, "PD1", 3, "N^{}", "Organization.extension.value"),
    ("Participation", &OMG, "PRT", 4, "{}^X^HL70912", "PractitionerRole.code"),
    ("PatientClass[EncounterClass]", &ADT, "PV1", 2, "{}", "Encounter.class"),
    ("PatientClass[EncounterStatus]", &ADT, "PV1", 2, "{}", "Encounter.status"),
    ("PractitionerIDNumberType", &REF, "PRD", 7, "1^{}", "Practitioner.identifier.type"),
    ("ProviderRole", &ADT, "ROL", 3, "{}^X^HL70443", "PractitionerRole.code"),
    ("PublicityCode", &ADT, "PV2", 21, "{}^X^HL70215", "Encounter.extension.value"),
    ("ReadmissionIndicator", &ADT, "PV1", 13, "{}^X^HL70092", "Encounter.hospitalization.reAdmission"),
    ("Relationship", &ADT, "NK1", 3, "{}^X^HL70063", "RelatedPerson.relationship"),
    ("Religion", &ADT, "PID", 17, "{}^X^HL70006", "Patient.extension.value"),
    ("RepeatPattern", &OMG, "TQ1", 3, "{}&X&HL70335", "ServiceRequest.occurrence.code"),
    ("ResultStatus[Non-Queries]", &ORU, "OBR", 25, "{}", "DiagnosticReport.status"),
    ("SpecimenCollectionMethod", &ORU, "SPM", 7, "{}^X^HL70488", "Specimen.collection.method"),
    ("SpecimenCondition", &ORU, "SPM", 24, "{}^X^HL70493", "Specimen.condition"),
    ("SpecimenRejectReason", &ORU, "SPM", 21, "{}^X^HL70490", "Specimen.extension.value"),
    ("SpecimenType", &ORU, "SPM", 4, "{}^X^HL70487", "Specimen.type"),
    ("TelecommunicationEquipmentType", &ADT, "PID", 13, "1^^{}^a@b.example", "Patient.telecom.system"),
    ("TelecommunicationUseCode", &ADT, "PID", 40, "1^{}", "Patient.extension.value.use"),
    ("VisitUserCode", &ADT, "PV2", 7, "{}^X^HL70130", "Encounter.extension.value"),
    ("YesNoIndicator", &ADT, "PID", 30, "{}", "Patient.deceased"),
    ("YesNoIndicator[AvailabilityStatus]", &ORU, "SPM", 20, "{}", "Specimen.status"),
];

/// What is said at an element, each repetition: a code as it is, a coding as `system#code`.
fn said(node: Node<'_>, path: &[&str], all: &mut BTreeSet<String>) {
    if let Some((first, rest)) = path.split_first() {
        for child in node.named(first) {
            said(child, rest, all);
        }
        return;
    }
    match node.type_name() {
        "CodeableConcept" => node.named("coding").for_each(|coding| said(coding, &[], all)),
        "Coding" => {
            let text =
                |name| node.first(name).and_then(|n: Node<'_>| n.text().map(|t| t.to_owned())).unwrap_or_default();
            all.insert(format!("{}#{}", text("system"), text("code")));
        }
        _ => all.extend(node.text().map(|text| text.to_owned())),
    }
}

/// A message with a text in a field.
fn message(of: &Message, segment: &str, field: usize, text: &str) -> Vec<u8> {
    let header = format!("MSH|^~\\&|A|B|C|D|20250101||{}|1|P|2.8", of.kind);
    let mut lines: Vec<String> = std::iter::once(header).chain(of.segments.iter().map(|s| (*s).to_owned())).collect();
    if !lines.iter().any(|line| line.starts_with(segment)) {
        lines.push(segment.to_owned());
    }
    // The first separator of a header is its first field.
    let at = if segment == "MSH" { field - 1 } else { field };
    let line = lines.iter_mut().find(|line| line.starts_with(segment)).unwrap();
    let mut fields: Vec<String> = line.split('|').map(str::to_owned).collect();
    fields.resize(fields.len().max(at + 1), String::new());
    *fields.get_mut(at).unwrap() = text.to_owned();
    *line = fields.join("|");
    lines.join("\r").into_bytes()
}

/// A code as it stands in a message.
fn escaped(code: &str) -> String {
    code.chars().fold(String::new(), |text, c| match c {
        '|' => text + "\\F\\",
        '^' => text + "\\S\\",
        '&' => text + "\\T\\",
        '~' => text + "\\R\\",
        '\\' => text + "\\E\\",
        c => format!("{text}{c}"),
    })
}

fn differences(files: &Tables) -> (usize, Differences) {
    let maps = Maps::embedded(Model::r4());
    let context = Context::new("hospital", Timestamp::UNIX_EPOCH, b"secret");
    let (mut seen, mut found) = (0, BTreeMap::new());
    for (name, of, segment, field, around, element) in PLACES {
        let mut rows: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        for row in table(files, "codesystems", name).into_iter().skip(2) {
            let cell = |n: usize| row.get(n).map(|c| c.trim().to_owned()).unwrap_or_default();
            let system = row.iter().skip(7).map(|c| c.trim()).find(|c| c.starts_with("http") || c.starts_with("urn:"));
            if !cell(0).is_empty() && !cell(6).is_empty() {
                rows.entry(cell(0)).or_default().insert((cell(6), system.unwrap_or_default().to_owned()));
            }
        }
        for (code, targets) in rows {
            seen += 1;
            let bytes = message(of, segment, field, &around.replace("{}", &escaped(&code)));
            let tree = Syntax::Hl7V2(Options::default()).parse(bytes, &Limits::default()).unwrap();
            let mut does = BTreeSet::new();
            let read = maps.find(&tree).map_err(|_| ()).and_then(|map| map.get(&tree, &context).map_err(|_| ()));
            let path: Vec<&str> = element.split('.').collect();
            if let Ok(read) = &read {
                let resources = (0..read.entries().len()).filter_map(|at| read.resource(at));
                for resource in resources.filter(|resource| Some(&resource.type_name()) == path.first()) {
                    said(resource, path.get(1..).unwrap(), &mut does);
                }
            }
            let followed =
                targets.iter().any(|(to, system)| does.contains(to) || does.contains(&format!("{system}#{to}")));
            if !followed {
                let says = targets.iter().map(|(to, system)| format!("{system}#{to}")).collect::<Vec<_>>().join(" or ");
                let does = match (&read, does.is_empty()) {
                    (Err(()), _) => "the message is refused".to_owned(),
                    (_, true) => "stays in the original".to_owned(),
                    _ => does.into_iter().collect::<Vec<_>>().join(", "),
                };
                found.insert((format!("{name} {}", code.replace('|', "\\|")), says), does);
            }
        }
    }
    found.extend(untouched(files, "codesystems", PLACES.iter().map(|place| place.0)));
    (seen, found)
}

#[test]
fn every_row_of_the_public_tables_of_codes_is_followed_or_the_difference_has_a_reason() {
    let Some(files) = tables() else { return };
    let (seen, found) = differences(&files);
    println!("{seen} codes, {} differences", found.len());
    settle("v2-codes.md", &found);
}
