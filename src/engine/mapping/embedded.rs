// The files of profiles/ that are compiled in. A test compares this list with the tree.
const EMBEDDED: &[(&str, &str)] = &[
    ("hl7/v2/maps/datatypes.map", include_str!("../../../profiles/hl7/v2/maps/datatypes.map")),
    ("hl7/v2/maps/segments.map", include_str!("../../../profiles/hl7/v2/maps/segments.map")),
    ("hl7/v2/maps/ref-i12.map", include_str!("../../../profiles/hl7/v2/maps/ref-i12.map")),
    ("hl7/v2/maps/rri-i12.map", include_str!("../../../profiles/hl7/v2/maps/rri-i12.map")),
];
