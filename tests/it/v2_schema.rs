//! The HL7 v2 tables: what they say, checked against facts of the published chapters.

use silta_engine::native::hl7v2::schema::{Declared, NodeKind, Primitive, Schema, Shape, Structure, Version};

fn structure(version: Version, message: &str, event: &str) -> &'static Structure {
    Schema::structure_for(version, message, event)
        .unwrap_or_else(|| panic!("{message}^{event} has no structure in {version}"))
}

#[test]
fn every_line_of_the_tables_can_be_read() {
    assert_eq!(Schema::unreadable_lines(), Vec::<&str>::new());
}

#[test]
fn every_segment_in_a_structure_and_every_data_type_is_defined() {
    for version in Version::ALL {
        let schema = Schema::version(version);
        for structure in schema.all_structures() {
            for node in structure.nodes().iter().filter(|node| node.kind == NodeKind::Segment) {
                assert!(
                    schema.segment_or_nearest(node.name).is_some(),
                    "{} of {version} uses {}",
                    structure.name(),
                    node.name
                );
            }
        }
        let known =
            ["", "CM", "DT", "DTM", "FT", "GTS", "ID", "IS", "NM", "SI", "SNM", "ST", "TM", "TN", "TX", "varies"];
        for segment in schema.all_segments() {
            assert_eq!(segment.version, version);
            for field in segment.fields() {
                assert!(
                    schema.datatype(field.datatype).is_some() || known.contains(&field.datatype),
                    "{}-{} of {version} has data type {}",
                    segment.name,
                    field.number,
                    field.datatype
                );
            }
        }
    }
}

#[test]
fn a_version_is_read_from_msh_12_and_an_unknown_one_by_the_nearest() {
    for version in Version::ALL {
        assert_eq!(Version::declared(version.text()), Declared::Exact(version));
    }
    for (text, expected) in [
        ("2.5.1^FIN^FIN-2.5.1", Declared::Exact(Version::V2_5_1)),
        ("2.3.1 ", Declared::Exact(Version::V2_3_1)),
        ("2.4$DEU", Declared::Exact(Version::V2_4)),
        ("2.7.1", Declared::Nearest(Version::V2_7)),
        ("2.3.9", Declared::Nearest(Version::V2_3_1)),
        ("2.9", Declared::Nearest(Version::V2_8_2)),
        ("2.0D", Declared::Nearest(Version::V2_1)),
        ("2", Declared::Nearest(Version::V2_1)),
        ("", Declared::Unknown),
        ("3.0", Declared::Unknown),
        ("2.x", Declared::Unknown),
        ("FHIR", Declared::Unknown),
        ("2.5.1.1", Declared::Unknown),
        ("2.99999999999", Declared::Unknown),
    ] {
        assert_eq!(Version::declared(text), expected, "{text:?}");
    }
    assert!(Version::V2_8_2.within(Version::V2_3, Version::V2_8));
    assert!(Version::V2_3_1.within(Version::V2_3, Version::V2_3));
    assert!(!Version::V2_5.within(Version::V2_5_1, Version::V2_8));
    assert!(!Version::V2_6.within(Version::V2_3, Version::V2_5));
}

#[test]
fn events_share_structures_as_table_0354_says() {
    use Version::*;
    for (version, message, event, expected) in [
        (V2_5_1, "REF", "I12", "REF_I12"),
        (V2_5_1, "REF", "I14", "REF_I12"),
        (V2_3, "RRI", "I13", "RRI_I12"),
        (V2_5_1, "ADT", "A08", "ADT_A01"),
        (V2_3_1, "ADT", "A31", "ADT_A01"),
        (V2_4, "ADT", "A31", "ADT_A05"),
        (V2_2, "ADT", "A08", "ADT_A08"),
        (V2_5_1, "ADT", "A11", "ADT_A09"),
        (V2_5_1, "ADT", "A40", "ADT_A39"),
        (V2_5_1, "ADT", "A37", "ADT_A37"),
        (V2_3_1, "ADT", "A37", "ADT_A24"),
        (V2_5, "ADT", "A55", "ADT_A52"),
        (V2_6, "ADT", "A55", "ADT_A54"),
        (V2_4, "SIU", "S15", "SIU_S12"),
        (V2_8, "SIU", "S26", "SIU_S12"),
        (V2_5_1, "MDM", "T04", "MDM_T02"),
        (V2_5_1, "PPR", "PC2", "PPR_PC1"),
        (V2_5_1, "PGL", "PC8", "PGL_PC6"),
        (V2_5_1, "PPP", "PCD", "PPP_PCB"),
        (V2_5_1, "PPG", "PCJ", "PPG_PCG"),
        (V2_5_1, "OMG", "O19", "OMG_O19"),
        (V2_5_1, "OSU", "O51", "OSU_O51"),
        (V2_8, "OSU", "O51", "OSU_O51"),
        (V2_5_1, "ACK", "I12", "ACK"),
        (V2_1, "ACK", "", "ACK"),
        (V2_1, "ORU", "R01", "ORU_R01"),
        (V2_1, "ORM", "", "ORM_O01"),
    ] {
        assert_eq!(structure(version, message, event).name(), expected, "{message}^{event} in {version}");
    }
    for version in Version::ALL.into_iter().filter(|version| *version >= V2_3) {
        assert_eq!(structure(version, "ADT", "A47").name(), "ADT_A30", "{version}");
        assert_eq!(structure(version, "ADT", "A47").version(), version);
    }
    assert!(Schema::structure_for(V2_5_1, "XYZ", "Q99").is_none());
    assert!(Schema::structure_for(V2_5_1, "ADT", "").is_none(), "ADT has many structures");
    assert!(Schema::structure_for(V2_5_1, "", "").is_none());
}

#[test]
fn a_structure_that_a_version_lacks_is_taken_from_the_nearest_that_has_it() {
    let withdrawn = structure(Version::V2_8, "ORM", "O01");
    assert_eq!((withdrawn.name(), withdrawn.version()), ("ORM_O01", Version::V2_6));
    let ahead_of_time = structure(Version::V2_3_1, "OMG", "O19");
    assert_eq!((ahead_of_time.name(), ahead_of_time.version()), ("OMG_O19", Version::V2_4));
    assert_eq!(
        Schema::version(Version::V2_5_1).segment_or_nearest("PRT").map(|segment| segment.version),
        Some(Version::V2_7)
    );
}

#[test]
fn msh_9_3_is_compared_with_the_event() {
    let check = |msh9_3| Schema::structure_mismatch(Version::V2_5_1, "REF", "I13", msh9_3).map(|found| found.expected);
    assert_eq!(check("REF_I12"), None);
    assert_eq!(check(""), None);
    assert_eq!(check("REF_I13"), Some("REF_I12"));
    assert_eq!(Schema::structure_mismatch(Version::V2_5_1, "ZZZ", "Z01", "ZZZ_Z01"), None);
}

#[test]
fn the_referral_structure_has_its_groups() {
    let referral = structure(Version::V2_5_1, "REF", "I12");
    let names = |group| -> Vec<&str> {
        referral.children(group).filter_map(|child| referral.node(child)).map(|node| node.name).collect()
    };
    assert_eq!(
        names(0),
        [
            "MSH",
            "SFT",
            "RF1",
            "AUTHORIZATION_CONTACT",
            "PROVIDER_CONTACT",
            "PID",
            "NK1",
            "GT1",
            "INSURANCE",
            "ACC",
            "DG1",
            "DRG",
            "AL1",
            "PROCEDURE",
            "OBSERVATION",
            "PATIENT_VISIT",
            "NTE"
        ]
    );
    let provider = referral.group("PROVIDER_CONTACT").unwrap();
    assert_eq!(names(provider), ["PRD", "CTD"]);
    let node = referral.node(provider).unwrap();
    assert!(node.required() && node.max.is_none() && !node.nullable);
    let notes = referral.group("RESULTS_NOTES").unwrap();
    assert_eq!(referral.groups_above(notes), ["OBSERVATION"]);
    for version in Version::ALL.into_iter().filter(|version| *version >= Version::V2_3) {
        for group in ["PROVIDER_CONTACT", "AUTHORIZATION_CONTACT", "OBSERVATION", "RESULTS_NOTES", "PATIENT_VISIT"] {
            assert!(structure(version, "REF", "I12").group(group).is_some(), "{group} in {version}");
            assert!(structure(version, "RRI", "I12").group(group).is_some(), "{group} in {version}");
        }
    }
}

#[test]
fn fields_and_components_are_those_of_the_version() {
    let field = |version, segment, number| {
        Schema::version(version).segment(segment).and_then(|segment| segment.field(number).copied())
    };
    let rf1_6 = field(Version::V2_5_1, "RF1", 6).unwrap();
    assert_eq!((rf1_6.name, rf1_6.datatype), ("ORIGINATING_REFERRAL_IDENTIFIER", "EI"));
    assert!(rf1_6.required() && !rf1_6.repeats());
    assert_eq!(field(Version::V2_5_1, "RF1", 12), None);
    assert_eq!(field(Version::V2_6, "RF1", 12).unwrap().table, Some("0865"));
    assert_eq!(field(Version::V2_7, "RF1", 25), None);
    assert_eq!(field(Version::V2_8, "RF1", 25).unwrap().table, Some("0206"));
    assert_eq!(field(Version::V2_5_1, "PRD", 14), None);
    assert_eq!(field(Version::V2_6, "PRD", 10).unwrap().datatype, "XON");
    assert_eq!(field(Version::V2_5_1, "OBX", 5).unwrap().datatype, "varies");
    assert!(field(Version::V2_7, "MSA", 3).unwrap().withdrawn());
    assert_eq!(field(Version::V2_8, "PID", 28), None, "withdrawn and gone");
    assert_eq!(field(Version::V2_8, "PID", 40).unwrap().datatype, "XTN");
    assert_eq!(field(Version::V2_5_1, "PID", 0), None);
    assert_eq!(Schema::version(Version::V2_5_1).segment("PID").unwrap().last(), 39);

    let schema = Schema::version(Version::V2_5_1);
    let name = schema.datatype("XPN").unwrap();
    assert_eq!(name.component(1).unwrap().datatype, "FN");
    assert!(matches!(schema.shape("XPN"), Shape::Composite(_)));
    assert!(matches!(schema.shape("ST"), Shape::Primitive(Primitive::Text)));
    assert!(matches!(schema.shape("NM"), Shape::Primitive(Primitive::Number)));
    assert!(matches!(schema.shape("varies"), Shape::Varies));
    for version in [Version::V2_1, Version::V2_3, Version::V2_4, Version::V2_5_1] {
        let stamp = Schema::version(version).datatype("TS").unwrap().component(1).unwrap();
        assert_eq!(stamp.datatype, "DTM", "TS.1 of {version}");
    }
    assert_eq!(Schema::version(Version::V2_8).datatype("CX").unwrap().component(5).unwrap().table, Some("0203"));
}

#[test]
fn tables_have_the_codes_of_the_version() {
    let table = |version, id| Schema::version(version).table(id);
    assert!(table(Version::V2_5_1, "0281").unwrap().holds("Hom"));
    assert_eq!(table(Version::V2_5_1, "0103").unwrap().codes(), ["D", "P", "T"]);
    assert!(!table(Version::V2_5, "0516").unwrap().holds("F"));
    assert!(table(Version::V2_7, "0516").unwrap().holds("F"));
    assert!(!table(Version::V2_6, "0357").unwrap().holds("104"));
    assert!(table(Version::V2_7, "0357").unwrap().holds("104"));
    assert!(table(Version::V2_5_1, "0203").unwrap().open, "NNxxx stands for many codes");
    assert!(table(Version::V2_1, "0103").is_none(), "no codes are known before 2.3.1");
}

#[test]
fn every_leaf_of_a_segment_is_enumerated_down_to_subcomponents() {
    let schema = Schema::version(Version::V2_5_1);
    let paths = |segment: &str| -> Vec<String> {
        schema.leaves(schema.segment(segment).unwrap()).iter().map(|leaf| leaf.path.to_string()).collect()
    };
    let pid = paths("PID");
    for expected in ["1", "3.1", "3.4.2", "5.1.1", "5.2", "7.1", "13.1", "39.1"] {
        assert!(pid.contains(&expected.to_owned()), "PID-{expected}");
    }
    assert!(!pid.contains(&"5".to_owned()) && !pid.contains(&"5.1".to_owned()), "composites are not leaves");
    let obx = schema.leaves(schema.segment("OBX").unwrap());
    let value = obx.iter().find(|leaf| leaf.path.field == 5).unwrap();
    assert!(value.varies && value.path.to_string() == "5");
    let data: Vec<String> = schema.datatype_leaves("ED").iter().map(|leaf| leaf.path.to_string()).collect();
    assert_eq!(data, ["1.1", "1.2", "1.3", "2", "3", "4", "5"]);
    for version in Version::ALL {
        let schema = Schema::version(version);
        for segment in schema.all_segments() {
            let leaves = schema.leaves(segment);
            assert!(leaves.windows(2).all(|pair| pair[0].path < pair[1].path), "{} of {version}", segment.name);
            assert_eq!(
                segment.fields().count(),
                leaves.iter().map(|leaf| leaf.path.field).collect::<std::collections::BTreeSet<_>>().len()
            );
        }
    }
}
