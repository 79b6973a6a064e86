//! The files of profiles/ that are compiled in.

/// Name below profiles/ and text of each. A test compares this list with the tree.
pub(super) const EMBEDDED: &[(&str, &str)] = &[
    ("hl7/v2/maps/datatypes.map", include_str!("../../../profiles/hl7/v2/maps/datatypes.map")),
    ("hl7/v2/maps/segments.map", include_str!("../../../profiles/hl7/v2/maps/segments.map")),
    ("hl7/v2/maps/documents.map", include_str!("../../../profiles/hl7/v2/maps/documents.map")),
    ("hl7/v2/maps/orders.map", include_str!("../../../profiles/hl7/v2/maps/orders.map")),
    ("hl7/v2/maps/results.map", include_str!("../../../profiles/hl7/v2/maps/results.map")),
    ("hl7/v2/maps/scheduling.map", include_str!("../../../profiles/hl7/v2/maps/scheduling.map")),
    ("hl7/v2/maps/care-plan.map", include_str!("../../../profiles/hl7/v2/maps/care-plan.map")),
    ("hl7/v2/maps/ref-i12.map", include_str!("../../../profiles/hl7/v2/maps/ref-i12.map")),
    ("hl7/v2/maps/adt.map", include_str!("../../../profiles/hl7/v2/maps/adt.map")),
    ("hl7/v2/maps/rri-i12.map", include_str!("../../../profiles/hl7/v2/maps/rri-i12.map")),
    ("fi/schemas/palvelupyynto.schema.json", include_str!("../../../profiles/fi/schemas/palvelupyynto.schema.json")),
    (
        "fi/schemas/asiakassuunnitelma.schema.json",
        include_str!("../../../profiles/fi/schemas/asiakassuunnitelma.schema.json"),
    ),
    ("fi/maps/osat.map", include_str!("../../../profiles/fi/maps/osat.map")),
    ("fi/maps/palvelupyynto.map", include_str!("../../../profiles/fi/maps/palvelupyynto.map")),
    ("fi/maps/asiakassuunnitelma.map", include_str!("../../../profiles/fi/maps/asiakassuunnitelma.map")),
    ("fi/maps/kotihoito-tilaus.map", include_str!("../../../profiles/fi/maps/kotihoito-tilaus.map")),
    ("fi/maps/kotihoito-suunnitelma.map", include_str!("../../../profiles/fi/maps/kotihoito-suunnitelma.map")),
    ("fi/maps/kotihoito-toteuma.map", include_str!("../../../profiles/fi/maps/kotihoito-toteuma.map")),
    ("dk/schemas/henvisning.schema.json", include_str!("../../../profiles/dk/schemas/henvisning.schema.json")),
    ("dk/maps/dele.map", include_str!("../../../profiles/dk/maps/dele.map")),
    ("dk/maps/henvisning.map", include_str!("../../../profiles/dk/maps/henvisning.map")),
    (
        "dk/schemas/visitationsafgoerelse.schema.json",
        include_str!("../../../profiles/dk/schemas/visitationsafgoerelse.schema.json"),
    ),
    ("dk/maps/visitationsafgoerelse.map", include_str!("../../../profiles/dk/maps/visitationsafgoerelse.map")),
    ("hl7/fhir/maps/r5-types.map", include_str!("../../../profiles/hl7/fhir/maps/r5-types.map")),
    ("hl7/fhir/maps/r5.map", include_str!("../../../profiles/hl7/fhir/maps/r5.map")),
    ("hl7/fhir/maps/stu3-types.map", include_str!("../../../profiles/hl7/fhir/maps/stu3-types.map")),
    ("hl7/fhir/maps/stu3.map", include_str!("../../../profiles/hl7/fhir/maps/stu3.map")),
];
