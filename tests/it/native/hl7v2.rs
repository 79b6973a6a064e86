//! HL7 v2.

use silta_engine::fault::Fault;
use silta_engine::native::hl7v2::{Header, Options, Part, Parts};
use silta_engine::native::{Charset, Limits, NodeId, Problem, Step, Syntax, SyntaxError, Tree, Value};

use super::{leaves, paths};

fn syntax() -> Syntax {
    Syntax::Hl7V2(Options::default())
}

fn read(text: impl AsRef<[u8]>) -> Tree {
    super::read(&syntax(), text)
}

fn refused(text: impl AsRef<[u8]>) -> SyntaxError {
    syntax().parse(text.as_ref().to_vec(), &Limits::default()).unwrap_err()
}

const REFERRAL: &str = "MSH|^~\\&|HIS|H^1.2&x|GW||20260105||REF^I12^REF_I12|7|P|2.5.1\r\
    PRD|RP^referring|Aho^Eeva\r\
    PRD|RT~X|\"\"|a&b^^c&&d|||||x~~y\r\
    ZSI|local\r";

#[test]
fn every_leaf_has_its_full_path() {
    assert_eq!(
        paths(&read(REFERRAL))[..6],
        [
            "MSH[1]-1[1].1.1",
            "MSH[1]-2[1].1.1",
            "MSH[1]-3[1].1.1",
            "MSH[1]-4[1].1.1",
            "MSH[1]-4[1].2.1",
            "MSH[1]-4[1].2.2"
        ]
    );
    let tail: Vec<_> =
        leaves(&read(REFERRAL)).into_iter().skip_while(|(path, _)| !path.starts_with("PRD[2]")).collect();
    let expected = [
        ("PRD[2]-1[1].1.1", "RT"),
        ("PRD[2]-1[2].1.1", "X"),
        ("PRD[2]-2[1].1.1", "-"),
        ("PRD[2]-3[1].1.1", "a"),
        ("PRD[2]-3[1].1.2", "b"),
        ("PRD[2]-3[1].3.1", "c"),
        ("PRD[2]-3[1].3.3", "d"),
        ("PRD[2]-8[1].1.1", "x"),
        ("PRD[2]-8[3].1.1", "y"),
        ("ZSI[1]-1[1].1.1", "local"),
    ];
    assert_eq!(tail, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn a_field_without_separators_is_its_own_first_component() {
    let tree = read(REFERRAL);
    let zsi = tree.segments_named("ZSI".parse().unwrap()).next().unwrap();
    let field = tree.field(zsi, 1).unwrap();
    for steps in [
        vec![Step::Field(1)],
        vec![Step::Field(1), Step::Repetition(1)],
        vec![Step::Field(1), Step::Component(1)],
        vec![Step::Field(1), Step::Repetition(1), Step::Component(1), Step::Subcomponent(1)],
    ] {
        assert_eq!(tree.find(zsi, &steps), Some(field));
    }
    assert_eq!(tree.value(tree.component(field, 2)), Value::Absent);
    assert_eq!(tree.value(tree.field(zsi, 2)), Value::Absent);
    let prd = tree.segments_named("PRD".parse().unwrap()).nth(1).unwrap();
    assert_eq!(tree.value(tree.field(prd, 2)), Value::Null);
    assert_eq!(tree.value(tree.find(prd, &[Step::Field(8), Step::Repetition(2)])), Value::Empty);
    assert_eq!(tree.repetitions(tree.field(prd, 8).unwrap()).count(), 3);
    assert_eq!(tree.text(tree.find(prd, &[Step::Field(3), Step::Subcomponent(2)])).as_deref(), Some("b"));
    assert_eq!(tree.value(tree.find(prd, &[Step::Field(3), Step::Component(2)])), Value::Absent);
}

#[test]
fn separators_alone_are_no_value() {
    let tree = read("MSH|^~\\&|^^|&|~\r");
    let msh = tree.segments().next().unwrap();
    for field in [3, 4, 5] {
        let node = tree.field(msh, field).unwrap();
        assert_eq!(tree.value(node), Value::Empty);
        assert_eq!(tree.leaves(node).len(), 0);
    }
    assert_eq!(tree.leaf_count(), 2);
}

#[test]
fn escapes_decode_to_text_and_formatting_stays_visible() {
    let tree = read(
        "MSH|^~\\&|a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f|l\\.br\\m|\\H\\bold\\N\\|\\XE4\\|\\X41C3A4\\|\\Zab\\|C:\\x|\\.sp2\\\r",
    );
    let texts: Vec<_> = leaves(&tree).into_iter().skip(2).map(|(_, text)| text).collect();
    assert_eq!(texts, ["a|b^c&d~e\\f", "l\nm", "␛H␛bold␛N␛", "␛XE4␛", "Aä", "␛Zab␛", "C:\\x", "␛.sp2␛"]);
}

#[test]
fn any_legal_separators_are_taken() {
    let tree = read("MSH$%*!@#$x%y*z@w!P!$\rPID$a^b|c\r");
    let texts: Vec<_> = leaves(&tree).into_iter().skip(2).map(|(_, text)| text).collect();
    assert_eq!(texts, ["x", "y", "z", "w#", "a^b|c"]);
    assert_eq!(tree.separators().unwrap().truncation, Some(b'#'));
    let tree = read("MSH|^~\\|AT&T\r");
    assert_eq!(leaves(&tree)[2].1, "AT&T", "what MSH-2 does not give is text");
}

#[test]
fn bad_separators_leave_no_usable_header() {
    for text in [
        "MSH",
        "MSH||a\r",
        "MSHA^~\\&A\r",
        "MSH|^^\\&|\r",
        "MSH|^~\\&#!|\r",
        "MSH|^~ &|\r",
        "PID|1\r",
        "",
        "\u{b}MSH|^~\\&|\r",
    ] {
        let error = refused(text);
        assert!(!error.header_usable(), "{text:?}");
        assert_eq!(error.fault(), Fault::CannotParse);
    }
}

#[test]
fn a_bad_segment_is_named_by_number_and_byte() {
    let error = refused("MSH|^~\\&|a\rPID|1\r\rpid|2\r");
    assert_eq!((error.problem, error.segment, error.position.offset), (Problem::SegmentName, Some(3), 18));
    assert!(error.header_usable());
    assert_eq!(error.location(), "segment 3, byte 18");
    assert_eq!(refused("MSH|^~\\&|a\rMSH|^~\\&|b\r").problem, Problem::BatchSegment);
}

#[test]
fn line_ends_blank_lines_and_byte_order_marks_are_kept() {
    for text in ["\u{feff}\r\nMSH|^~\\&|a\r\nPID|1\n\n\rPV1|2", "MSH|^~\\&|a\rPID|1\rPV1|2\r\r"] {
        let tree = read(text);
        assert_eq!(tree.bytes(), text.as_bytes());
        assert_eq!(tree.segments().count(), 3);
        assert_eq!(tree.text(tree.locate("PV1-1")).as_deref(), Some("2"));
    }
}

#[test]
fn the_character_set_is_declared_never_guessed() {
    let with = |code: &str, bytes: &[u8]| {
        [format!("MSH|^~\\&|||||||||||||||| {code}|\rPID|").replace(' ', "").replace("UTF", " UTF").as_bytes(), bytes]
            .concat()
    };
    let text = |message: Vec<u8>| {
        let tree = read(message);
        tree.text(tree.locate("PID-1")).unwrap().into_owned()
    };
    assert_eq!(text(with("8859/1", b"\xE4")), "ä");
    assert_eq!(text(with("8859/15", b"\xA4")), "€");
    assert_eq!(text(with("UNICODE UTF-8", "ä".as_bytes())), "ä");
    assert_eq!(text(with("", "ä".as_bytes())), "ä");
    let latin = Syntax::Hl7V2(Options { charset: Charset::Iso8859_1 });
    let tree = super::read(&latin, with("", b"\xE4"));
    assert_eq!(tree.text(tree.locate("PID-1")).as_deref(), Some("ä"));
    let error = refused(with("", b"abc\xE4"));
    assert_eq!((error.problem, error.segment), (Problem::NotInCharset(Charset::Utf8), Some(2)));
    assert_eq!(refused(with("ASCII", "ä".as_bytes())).problem, Problem::NotInCharset(Charset::Ascii));
    assert_eq!(refused(with("BIG-5", b"x")).problem, Problem::UnknownCharset);
}

#[test]
fn a_header_is_read_even_where_the_message_is_not() {
    let header = Header::read(b"MSH|^~\\&|HIS^1|H|GW||2026||REF^I12|MSG7|P|2.4\rbroken").unwrap();
    assert_eq!(header.field(1), b"|");
    assert_eq!(header.field(2), b"^~\\&");
    assert_eq!(header.component(9, 2), b"I12");
    assert_eq!((header.field(10), header.field(12), header.field(40)), (&b"MSG7"[..], &b"2.4"[..], &b""[..]));
    assert_eq!(Header::read(b"hello").unwrap_err().problem, Problem::NoHeader);
}

#[test]
fn a_batch_is_cut_into_its_messages() {
    let text = b"FHS|^~\\&|a\rBHS|^~\\&|b\rMSH|^~\\&|1\rPID|1\rMSH|^~\\&|2\rBTS|2\rFTS|1\r";
    let parts: Vec<_> = Parts::new(text).map(Result::unwrap).collect();
    let messages: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Message(span) => Some(std::str::from_utf8(&text[span.clone()]).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(messages, ["MSH|^~\\&|1\rPID|1\r", "MSH|^~\\&|2\r"]);
    assert!(matches!(parts[4], Part::BatchTrailer(_, Some(2))));
    assert!(matches!(parts[5], Part::FileTrailer(_, Some(1))));
    assert!(Parts::new(b"x").next().unwrap().is_err());
}

#[test]
fn limits_hold() {
    let limits = Limits { nodes: 10, ..Limits::default() };
    let error = syntax().parse(REFERRAL.into(), &limits).unwrap_err();
    assert_eq!((error.problem, error.fault()), (Problem::TooManyNodes { limit: 10 }, Fault::TooLarge));
    let limits = Limits { bytes: 10, ..Limits::default() };
    assert_eq!(syntax().parse(REFERRAL.into(), &limits).unwrap_err().problem, Problem::TooLarge { limit: 10 });
    let many = format!("{REFERRAL}{}", "NTE|1||text\r".repeat(100_000));
    let tree = read(&many);
    assert_eq!(tree.segments().count(), 100_004);
    assert_eq!(tree.path(NodeId::ROOT).to_string(), "message");
}
