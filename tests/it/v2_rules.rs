//! Judging HL7 v2 messages by the tables of their versions.

use proptest::prelude::*;
use silta_engine::fault::Fault;
use silta_engine::native::hl7v2::acknowledgement::{Acknowledgement, Code, Complaint, ErrorCode, Request, Severity};
use silta_engine::native::hl7v2::schema::Version;
use silta_engine::native::hl7v2::{Header, Options};
use silta_engine::native::{Limits, Syntax, Tree};
use silta_engine::native_rules::{Config, Level, Report, Rule, hl7v2};

use crate::support::data;

fn read(message: &[u8]) -> Tree {
    Syntax::Hl7V2(Options::default()).parse(message.to_vec(), &Limits::default()).unwrap()
}

fn judged(message: &str, config: &Config) -> Report {
    hl7v2::check(&read(message.replace('\n', "\r").as_bytes()), config)
}

/// What is found of some kind or worse, as `SegmentMissing PID[1]`.
fn found(report: &Report, at_least: Severity) -> Vec<String> {
    let relevant = report.findings.iter().filter(|finding| finding.severity >= at_least);
    relevant.map(|finding| format!("{:?} {}", finding.rule, finding.path)).collect()
}

/// A referral without fault.
const REFERRAL: &str = "MSH|^~\\&|HIS|HOSP|GW|COUNTY|20260105120000+0200||REF^I12^REF_I12|42|P|2.5.1|||AL|AL
RF1|P|A|Hom|||R1^HIS^1.2.246.10^ISO|20260105|20260401
PRD|RP^^HL70286|Virta^Aino
PRD|RT^^HL70286|||||||||
PID|1||900-1^^^HOSP^PI||Aho^Eeva||19440229|F
DG1|1||S72.0^^ICD-10||20260103|A
OBR|1||B1|11488-4^Consult note^LN
OBX|1|NM|3141-9^Weight^LN|1|61.5|kg|||||F
PV1|1|I
";

#[test]
fn a_message_that_keeps_to_its_tables_has_no_findings() {
    let report = judged(REFERRAL, &Config { site_tables: Level::Warning, ..Config::default() });
    assert_eq!(found(&report, Severity::Information), Vec::<String>::new());
    assert!(!report.refused && report.fault().is_none() && report.more == 0);
}

#[test]
fn each_rule_says_where_and_by_which_code() {
    let broken = REFERRAL
        .replace("^REF_I12|42", "^REF_I13|42")
        .replace("R1^HIS^1.2.246.10^ISO", "")
        .replace("|20260401", "|2026-04-01")
        .replace("19440229", "19450229")
        .replace("|F\nDG1", "|F|||||+358^X^PH~2~3|4\nDG1")
        .replace("PI||Aho", "PI|A^B|Aho")
        .replace("|61.5|kg", "|heavy|kg")
        .replace("|kg|||||F", "|kg|||||Q")
        .replace("PRD|RP^^HL70286|Virta^Aino\nPRD|RT^^HL70286|||||||||\n", "")
        .replace("OBR|1", "AL1|1||X\nSCH|1\nOBR|1")
        .replace("PV1|1|I", "PV1|1|I\nZZ1|anything");
    let report = judged(&broken, &Config::default());
    assert_eq!(
        found(&report, Severity::Warning),
        [
            "StructureMismatch MSH[1]-9[1].3",
            "SegmentMissing PRD[1]",
            "SegmentUnexpected SCH[1]",
            "FieldMissing RF1[1]-6",
            "DataType RF1[1]-8[1].1.1",
            "DataType PID[1]-7[1].1.1",
            "TableCode PID[1]-13[1].2.1",
            "FieldMissing SCH[1]-6",
            "FieldMissing SCH[1]-16",
            "FieldMissing SCH[1]-20",
            "DataType OBX[1]-5[1].1.1",
            "TableCode OBX[1]-11[1].1.1",
        ]
    );
    assert!(!report.refused, "warnings do not refuse");
    let codes: Vec<ErrorCode> = report.findings.iter().map(|finding| finding.complaint().code).collect();
    assert!(codes.contains(&ErrorCode::SegmentSequence) && codes.contains(&ErrorCode::RequiredFieldMissing));
    assert!(codes.contains(&ErrorCode::DataType) && codes.contains(&ErrorCode::TableValueNotFound));
    let expected = |rule| &report.findings.iter().find(|finding| finding.rule == rule).unwrap().expected;
    assert_eq!(expected(Rule::StructureMismatch), "REF_I12");
    assert_eq!(expected(Rule::SegmentMissing), "PROVIDER_CONTACT in REF_I12");
    for finding in &report.findings {
        assert!(!finding.expected.contains("heavy") && !finding.expected.contains("1945"), "{finding:?}");
    }
}

#[test]
fn what_makes_a_message_unusable_is_an_error() {
    let all_off = Config {
        structure: Level::Off,
        required: Level::Off,
        components: Level::Off,
        data_type: Level::Off,
        tables: Level::Off,
        site_tables: Level::Off,
        surplus: Level::Off,
        limit: 100,
    };
    for (from, to, path, fault) in [
        ("|42|P", "||P", "FieldMissing MSH[1]-10", Fault::RequiredMissing),
        ("|2.5.1|", "||", "FieldMissing MSH[1]-12", Fault::RequiredMissing),
        ("REF^I12^REF_I12", "", "FieldMissing MSH[1]-9", Fault::RequiredMissing),
        ("|2.5.1|", "|3.0|", "Version MSH[1]-12", Fault::VersionNotSupported),
        ("900-1^^^HOSP^PI", "", "FieldMissing PID[1]-3", Fault::RequiredMissing),
        ("PID|1||900-1^^^HOSP^PI||Aho^Eeva||19440229|F\n", "", "SegmentMissing PID[1]", Fault::RequiredMissing),
    ] {
        let report = judged(&REFERRAL.replace(from, to), &all_off);
        assert_eq!(found(&report, Severity::Error), [path]);
        assert_eq!(found(&report, Severity::Information).len(), 1);
        assert!(report.refused);
        assert_eq!(report.fault(), Some(fault));
    }
    assert_eq!(found(&judged(REFERRAL, &all_off), Severity::Information), Vec::<String>::new());
}

#[test]
fn a_provider_may_be_held_to_more() {
    let strict = Config { data_type: Level::Error, tables: Level::Error, ..Config::default() };
    let report = judged(&REFERRAL.replace("19440229|F", "1944|X"), &strict);
    assert!(!report.refused, "1944 is a date, and PID-8 is of a table that the site extends");
    let report = judged(&REFERRAL.replace("19440229", "29.2.1944"), &strict);
    assert_eq!(report.fault(), Some(Fault::BadValue));
    let suggested = Config { site_tables: Level::Warning, ..Config::default() };
    assert_eq!(
        found(
            &judged(&REFERRAL.replace("19440229|F", "1944|X").replace("|Hom|", "|Sauna|"), &suggested),
            Severity::Warning
        ),
        ["SiteCode RF1[1]-3[1].1.1", "SiteCode PID[1]-8[1].1.1"]
    );
    let own_system = REFERRAL.replace("|Hom|", "|Sauna^^99LOCAL|");
    assert!(found(&judged(&own_system, &suggested), Severity::Warning).is_empty());
}

#[test]
fn findings_are_limited_but_the_reason_of_a_refusal_is_told() {
    let mut message = REFERRAL.to_owned();
    for _ in 0..500 {
        message.push_str("SCH|\n");
    }
    message.push_str("PID|2\n");
    let report = judged(&message, &Config { limit: 10, ..Config::default() });
    assert_eq!(report.findings.len(), 11);
    assert_eq!(report.findings.last().map(|finding| finding.path.as_str()), Some("PID[2]-3"));
    assert!(report.refused && report.more > 1000);
}

#[test]
fn dates_numbers_and_identifiers_are_told_by_their_form() {
    let value = |kind: &str, text: &str| {
        let message =
            REFERRAL.replace("|NM|3141-9", &format!("|{kind}|3141-9")).replace("|61.5|", &format!("|{text}|"));
        found(&judged(&message, &Config::default()), Severity::Warning)
            .iter()
            .any(|found| found.starts_with("DataType OBX[1]-5"))
    };
    for (kind, good, bad) in [
        ("NM", ["0", "-1.5", "+7", ".5", "5.", "0001"], ["", "1,5", "1e3", "--1", ".", "12 "]),
        ("SI", ["0", "1", "12", "001", "9999", "7"], ["-1", "1.0", "a", "+1", "9999999999", "1 2"]),
        (
            "DT",
            ["2026", "202601", "20260105", "20240229", "19000101", "2000"],
            ["26", "20261301", "20260230", "2026-01-05", "20260105120000", "abcd"],
        ),
        (
            "TM",
            ["12", "1200", "120059", "120059.1234", "1200+0200", "000000"],
            ["24", "1260", "120060", "12:00", "120059.", "1200+2500"],
        ),
        (
            "DTM",
            ["2026", "20260105", "2026010512", "202601051200", "20260105120000.1+0200", "20260105-0500"],
            ["2026010", "2026010525", "20260105120000,1", "20260105T1200", "20260105120000+02", "0"],
        ),
        (
            "TS",
            ["2026", "20260105", "2026010512", "202601051200", "20260105120000.1+0200", "20260105-0500"],
            ["2026010", "2026010525", "20260105120000,1", "20260105T1200", "20260105120000+02", "0"],
        ),
        (
            "EI",
            [
                "A^B^1.2.246^ISO",
                "A",
                "A^B^^",
                "A^^550E8400-e29b-41d4-a716-446655440000^UUID",
                "A^B^2.16.840^ISO",
                "A^B^x^L",
            ],
            ["A^^B^ISO", "A^^1.02^ISO", "A^^3.1^ISO", "A^^1^ISO", "A^^550e8400^UUID", "A^^1..2^ISO"],
        ),
    ] {
        for text in good {
            assert!(!value(kind, text), "{kind} {text}");
        }
        for text in bad.into_iter().filter(|text| !text.is_empty()) {
            assert!(value(kind, text), "{kind} {text}");
        }
    }
    assert!(!value("ST", "anything at all"));
    assert!(!value("NM", "\"\""), "a deletion is no number and none is asked for");
    assert!(!value("ZZ", "x^y&z"), "a data type that is not known is not judged");
}

#[test]
fn fields_that_the_version_lacks_are_only_mentioned() {
    let message = REFERRAL.replace("|20260105|20260401", "|20260105|20260401||||OK|||text");
    let report = judged(&message, &Config::default());
    assert_eq!(found(&report, Severity::Warning), Vec::<String>::new());
    assert_eq!(found(&report, Severity::Information), ["Surplus RF1[1]-12[1].1.1", "Surplus RF1[1]-15[1].1.1"]);
    let newer = message.replace("|2.5.1|", "|2.8|").replace("PRD|RT^^HL70286|||||||||\n", "");
    let report = judged(&newer, &Config::default());
    assert!(found(&report, Severity::Information).iter().all(|found| !found.starts_with("Surplus RF1")));
}

#[test]
fn a_newer_or_unknown_version_is_read_by_the_nearest() {
    let report = judged(&REFERRAL.replace("|2.5.1|", "|2.9|"), &Config::default());
    assert!(found(&report, Severity::Information).contains(&"Version MSH[1]-12".to_owned()));
    assert!(!report.refused);
    let report = judged(&REFERRAL.replace("REF^I12^REF_I12", "QQQ^Q99"), &Config::default());
    assert_eq!(found(&report, Severity::Information), ["UnknownStructure MSH[1]-9"]);
}

#[test]
fn other_formats_are_not_judged_here() {
    let tree = Syntax::Json.parse(b"{\"a\":1}".to_vec(), &Limits::default()).unwrap();
    assert_eq!(hl7v2::check(&tree, &Config::default()), Report::default());
}

#[test]
fn our_own_acknowledgements_keep_to_the_tables_of_every_version() {
    for version in Version::ALL {
        let message = format!("MSH|^~\\&|A|B|C|D|20260105||REF^I12^REF_I12|77|P|{version}|||AL|AL\r");
        let header = Header::read(message.as_bytes()).unwrap();
        let complaint = Complaint::new(ErrorCode::DataType).at("PID[1]-7[1].1.1").saying("a date expected");
        let answer = Acknowledgement::new(Code::ApplicationError, "20260105120000+0200", "G1").with([complaint]);
        let tree = read(&answer.write(&Request::of(&header)));
        let report = hl7v2::check(&tree, &Config { site_tables: Level::Warning, ..Config::default() });
        assert_eq!(found(&report, Severity::Warning), Vec::<String>::new(), "{version}");
    }
}

#[test]
fn real_messages_are_not_refused() {
    let Some(samples) = data::hl7v2_samples() else { return };
    for (name, message) in samples {
        let report = hl7v2::check(&read(&message), &Config::default());
        assert!(!report.refused, "{name}: {:?}", found(&report, Severity::Error));
        let misplaced = found(&report, Severity::Warning).iter().filter(|found| found.starts_with("Segment")).count();
        // One of them sends a structure of 2.8 as 2.5.1; another has its notes before its participations.
        let known = if name.contains("ORU-R01") { 11 } else { usize::from(name.contains("OMG-O19")) };
        assert_eq!(misplaced, known, "{name}");
    }
}

proptest! {
    #[test]
    fn any_message_that_can_be_read_can_be_judged(
        lines in proptest::collection::vec("(PID|OBX|RF1|ZZ1|MSH|PRD|DG1|XYZ)\\|[A-Z0-9^~&|\"]{0,60}", 0..12),
        version in proptest::sample::select(Version::ALL.to_vec()),
    ) {
        let message = format!("MSH|^~\\&|A|B|C|D|20260105||REF^I12|77|P|{version}\r{}", lines.join("\r"));
        if let Ok(tree) = Syntax::Hl7V2(Options::default()).parse(message.into_bytes(), &Limits::default()) {
            let report = hl7v2::check(&tree, &Config::default());
            for finding in &report.findings {
                let complaint = finding.complaint();
                prop_assert!(complaint.location.is_some(), "{}", finding.path);
            }
        }
    }
}
