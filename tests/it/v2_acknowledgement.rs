//! Acknowledgements, as a sender reads them.

use proptest::prelude::*;
use silta_engine::native::hl7v2::acknowledgement::{
    Acknowledgement, Code, Complaint, ErrorCode, ErrorLocation, Request, Severity,
};
use silta_engine::native::hl7v2::schema::{Schema, Version, group};
use silta_engine::native::hl7v2::{Header, Options};
use silta_engine::native::{Charset, Limits, Syntax, Tree};

const AT: &str = "20260105120000+0200";

fn answered(message: &str, acknowledgement: &Acknowledgement<'_>) -> String {
    let header = Header::read(message.as_bytes()).unwrap();
    String::from_utf8(acknowledgement.write(&Request::of(&header))).unwrap()
}

fn read(message: &[u8]) -> Tree {
    Syntax::Hl7V2(Options::default()).parse(message.to_vec(), &Limits::default()).unwrap()
}

fn two_complaints() -> [Complaint; 2] {
    [
        Complaint::new(ErrorCode::TableValueNotFound).at("PRD[2]-7[1].1.1").saying("a code of table 0338 expected"),
        Complaint::new(ErrorCode::ValueTooLong).at("RF1-6"),
    ]
}

#[test]
fn errors_are_written_as_the_senders_version_has_them() {
    let message =
        |version: &str| format!("MSH|^~\\&|A|B|C|D|20260105||REF^I13^REF_I12|77|T|{version}\rPID|1||SECRET\r");
    let refused = Acknowledgement::new(Code::ApplicationError, AT, "G1").with(two_complaints());
    assert_eq!(
        answered(&message("2.3"), &refused),
        "MSH|^~\\&|C|D|A|B|20260105120000+0200||ACK^I13|G1|T|2.3\r\
         MSA|AE|77|a code of table 0338 expected\r\
         ERR|PRD^2^7^103&Table value not found&HL70357~RF1^1^6^102&Data type error&HL70357\r"
    );
    assert_eq!(
        answered(&message("2.5.1^FIN^2.5.1-FIN"), &refused),
        "MSH|^~\\&|C|D|A|B|20260105120000+0200||ACK^I13^ACK|G1|T|2.5.1^FIN^2.5.1-FIN\r\
         MSA|AE|77\r\
         ERR||PRD^2^7^1^1^1|103^Table value not found^HL70357|E|||a code of table 0338 expected\r\
         ERR||RF1^1^6|102^Data type error^HL70357|E\r"
    );
    assert!(answered(&message("2.7"), &refused).contains("|104^Value too long^HL70357|E\r"));
    assert!(answered(&message("2.1"), &refused).contains("||ACK|G1|"), "2.1 has no event in MSH-9");
    for version in Version::ALL {
        let text = answered(&message(version.text()), &refused);
        assert!(!text.contains("SECRET"));
        let tree = read(text.as_bytes());
        let names: Vec<String> =
            tree.segments().filter_map(|segment| tree.segment_name(segment)).map(|name| name.to_string()).collect();
        let structure = Schema::structure_for(version, "ACK", "I13").unwrap();
        let grouped = group(structure, &names);
        assert_eq!(grouped.unexpected().count(), 0, "{version}");
        assert!(grouped.missing().is_empty(), "{version}");
    }
}

#[test]
fn the_senders_separators_and_character_set_are_kept() {
    let message = "MSH$%*@+$A%1.2.3%ISO$B$C$D$20260105$$ADT%A08%ADT_A01$a@F@b$P$2.4$$$AL$AL$FIN$8859/1\rPID$1\r";
    let complaint = Complaint::new(ErrorCode::DataType).at("PID-7").saying("päivä 10$ or 20%, not č");
    let refused = Acknowledgement::new(Code::ApplicationError, AT, "G$1").with([complaint]);
    let header = Header::read(message.as_bytes()).unwrap();
    let bytes = refused.write(&Request::of(&header));
    let tree = read(&bytes);
    assert_eq!(tree.charset(), Charset::of_hl7("8859/1").unwrap());
    let text = |path: &str| tree.text(tree.locate(path)).map(|text| text.into_owned());
    assert_eq!(text("MSH-2").as_deref(), Some("%*@+"));
    assert_eq!(text("MSH-5.3").as_deref(), Some("ISO"));
    assert_eq!(text("MSH-10").as_deref(), Some("G$1"));
    assert_eq!(text("MSA-2").as_deref(), Some("a$b"), "the id is the same, escapes and all");
    assert_eq!(text("MSA-3").as_deref(), Some("päivä 10$ or 20%, not ."));
    assert_eq!(text("ERR-1.4.1").as_deref(), Some("102"));
    assert!(memchr_bytes(&bytes, b"MSA$AE$a@F@b$"), "as written");
}

fn memchr_bytes(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_header_that_is_cut_short_is_answered_with_what_there_is() {
    let refused =
        Acknowledgement::new(Code::ApplicationReject, AT, "G1").with([Complaint::new(ErrorCode::SegmentSequence)]);
    assert_eq!(
        answered("MSH|^~\\&|A", &refused),
        "MSH|^~\\&|||A||20260105120000+0200||ACK|G1|P|2.5.1\rMSA|AR\rERR|||100^Segment sequence error^HL70357|E\r"
    );
    assert_eq!(
        String::from_utf8(refused.write(&Request::unreadable())).unwrap(),
        "MSH|^~\\&|||||20260105120000+0200||ACK|G1|P|2.5.1\rMSA|AR\rERR|||100^Segment sequence error^HL70357|E\r"
    );
    // Without subcomponents and escapes there is only room for codes.
    let bare = answered("MSH|^~|A|B|C|D|||ADT^A01|5|P|2.3\r", &refused);
    assert!(bare.ends_with("MSA|AR|5\rERR|^^^100\r"), "{bare}");
    // What is too long is no control id.
    let long = answered(&format!("MSH|^~\\&|A|B|C|D|||ADT^A01|{}|P|2.5\r", "x".repeat(200)), &refused);
    assert!(long.contains("\rMSA|AR\r"));
    // A version that is none is answered in the one that the caller names.
    let versionless = Acknowledgement { version: Version::V2_4, ..refused };
    assert!(answered("MSH|^~\\&|A|B|C|D|||ADT^A01|5|P|XYZ\r", &versionless).contains("|P|2.4\r"));
}

#[test]
fn acceptances_are_short_and_deferred_ones_say_what_they_want() {
    let message = "MSH|^~\\&|A|B|C|D|||REF^I12^REF_I12|77|P|2.5.1|||AL|AL||UNICODE UTF-8\r";
    let committed = Acknowledgement::new(Code::CommitAccept, AT, "G1");
    assert_eq!(
        answered(message, &committed),
        "MSH|^~\\&|C|D|A|B|20260105120000+0200||ACK^I12^ACK|G1|P|2.5.1||||||UNICODE UTF-8\rMSA|CA|77\r"
    );
    let deferred =
        Acknowledgement { wants: Some(("AL", "NE")), ..Acknowledgement::new(Code::ApplicationAccept, AT, "G2") };
    assert_eq!(
        answered(message, &deferred),
        "MSH|^~\\&|C|D|A|B|20260105120000+0200||ACK^I12^ACK|G2|P|2.5.1|||AL|NE||UNICODE UTF-8\rMSA|AA|77\r"
    );
    assert!(Code::CommitAccept.accepts() && !Code::CommitError.accepts());
}

#[test]
fn a_location_is_read_from_a_native_path() {
    let location = ErrorLocation::of_path("PRD[2]-7[3].1").unwrap();
    assert_eq!((location.segment.as_str(), location.sequence, location.field), ("PRD", 2, Some(7)));
    assert_eq!((location.repetition, location.component, location.subcomponent), (Some(3), Some(1), None));
    assert_eq!(ErrorLocation::of_path("PID").unwrap().sequence, 1);
    assert_eq!(ErrorLocation::of_path("$.a[0]"), None);
    assert_eq!(ErrorLocation::of_path(""), None);
    let warning = Complaint { severity: Severity::Warning, ..Complaint::new(ErrorCode::DataType) };
    assert_eq!(warning.clone().at("nonsense"), warning);
}

proptest! {
    #[test]
    fn whatever_the_header_the_answer_can_be_read(
        tail in "[A-Za-z0-9^~&|\\\\.äö]{0,80}",
        says in "\\PC{0,40}",
        version in proptest::sample::select(Version::ALL.to_vec()),
    ) {
        let message = format!("MSH|^~\\&|A|B|C|D|20260105||ADT^A08|77|P|{version}|{tail}\r");
        let header = Header::read(message.as_bytes()).unwrap();
        let request = Request::of(&header);
        let mut answer = Acknowledgement::new(Code::ApplicationError, AT, "G1");
        answer.complaints.push(Complaint::new(ErrorCode::DataType).at("PID[1]-7").saying(says.clone()));
        let bytes = answer.write(&request);
        let header = Header::read(&bytes).unwrap();
        prop_assert_eq!(header.field(3), b"C");
        let lines = bytes.split(|byte| *byte == b'\r').filter(|line| !line.is_empty()).count();
        prop_assert_eq!(lines, 3, "no text of ours breaks a segment");
    }
}
