//! The maps of HL7 v2 on messages from outside: they are translated, written back as they were, and what becomes of
//! their content is told.

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Disposition, Maps};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{Limits, Syntax, Tree};
use silta_engine::validation::{Severity, Validator};

use crate::support::data;

fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

fn parse(bytes: &[u8]) -> Tree {
    Syntax::Hl7V2(Options::default()).parse(bytes.to_vec(), &Limits::default()).unwrap()
}

/// The header, software and payment, which the maps leave to the original.
const ASIDE: [&str; 8] = ["MSH", "SFT", "AUT", "IN1", "IN2", "IN3", "GT1", "ACC"];

/// How much of a message must be conveyed.
const CARE: [(&str, f64); 6] = [("ref", 0.9), ("orm", 0.9), ("omg", 0.9), ("oml", 0.9), ("ppr", 0.9), ("oru", 0.85)];

/// Profiles that R4 holds observations with the code of a vital sign to.
const VITAL: [&str; 2] = ["StructureDefinition/vitalsigns", "StructureDefinition/heartrate"];

#[test]
fn messages_from_outside_become_valid_resources_and_are_written_back_byte_for_byte() {
    let Some(samples) = data::hl7v2_samples() else { return };
    let maps = Maps::embedded(Model::r4());
    let validator = Validator::built_in();
    let mut unread = Vec::new();
    for (name, bytes) in samples {
        let tree = parse(&bytes);
        let Ok(map) = maps.find(&tree) else {
            unread.push(name);
            continue;
        };
        let got = map.get(&tree, &context()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = map.put_through(got.document(), &tree, &context()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(written.bytes == tree.bytes(), "{name} is written otherwise");
        let report = got.report(&tree);
        let sum = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
        assert_eq!(sum, report.leaves, "{name}");
        let inside = || report.items.iter().filter(|item| !ASIDE.iter().any(|s| item.path.starts_with(s)));
        let carried =
            inside().filter(|i| matches!(i.disposition, Disposition::Mapped | Disposition::Approximated)).count();
        let share = f64::from(u32::try_from(carried).unwrap()) / f64::from(u32::try_from(inside().count()).unwrap());
        println!(
            "{name}: {} leaves, conveyed {:.3}, {share:.3} outside of header and payment, kept {:.3}",
            report.leaves, report.conveyed, report.kept
        );
        assert!(report.kept >= 0.99, "{name} keeps {}", report.kept);
        if let Some((_, least)) = CARE.iter().find(|(code, _)| map.name().starts_with(code)) {
            assert!(share >= *least, "{name} conveys {share}");
        }
        let findings = validator.validate(got.document(), &[]);
        let errors: Vec<String> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            // A vital sign told in other units than the profile's, or a code with words of the sender's own, is the
            // sender's; it is passed on as it was said.
            .filter(|finding| !VITAL.iter().any(|name| finding.rule_code(got.document()).contains(name)))
            .filter(|finding| !finding.text(got.document()).starts_with("the display of "))
            .map(|finding| format!("{}: {}", finding.path(got.document()), finding.text(got.document())))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
    println!("not read: {}", unread.join(", "));
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn a_message_of_a_type_that_no_map_reads_is_told_the_types_that_are_read() {
    let maps = Maps::embedded(Model::r4());
    let tree = parse(b"MSH|^~\\&|A|B|C|D|20260302091500||DFT^P03|1|T|2.5.1\rPID|1||1\r");
    let told = maps.find(&tree).unwrap_err().to_string();
    for known in ["REF^I12", "PPR^PC1", "ORM^O01", "ORU^R01", "SIU^S12"] {
        assert!(told.contains(known), "{told}");
    }
}

#[test]
fn what_no_structure_expects_is_kept_where_it_stands() {
    let maps = Maps::embedded(Model::r4());
    let text = "MSH|^~\\&|HIS|A|B|C|20260302091500||PPR^PC2|7|T|2.3.1\r\
        ZPI|own|content\rPID|||10290^^^WEST^MR||KARLS^TOM||20040530|M\r\
        PRB|UP|20040629|596.5^BLADDER DYSFUNCTION^I9|26744|||20040629||||||LOCAL|||20040629\rZZZ|x\r";
    let tree = parse(text.as_bytes());
    let map = maps.find(&tree).unwrap();
    let got = map.get(&tree, &context()).unwrap();
    let report = got.report(&tree);
    let kept: Vec<&str> = report
        .items
        .iter()
        .filter(|i| i.disposition == Disposition::Residue)
        .map(|i| i.path.as_str())
        .filter(|p| p.starts_with('Z'))
        .collect();
    assert_eq!(kept, ["ZPI[1]-1[1].1.1", "ZPI[1]-2[1].1.1", "ZZZ[1]-1[1].1.1"]);
    // A status of the sender's own is no status of FHIR's, and stays readable; it may say that the problem is none.
    let problem = got.resource(got.entry_named("problem").unwrap()).unwrap();
    assert!(problem.first("clinicalStatus").is_none());
    assert!(problem.named("modifierExtension").any(|e| e.text_at("value.code") == Some("LOCAL")));
    assert_eq!(map.put_through(got.document(), &tree, &context()).unwrap().bytes, text.as_bytes());
}
