//! The few fields of a message that the transport lives by.

use proptest::prelude::*;
use silta::provider::mllp::header::{Code, Condition, HeaderError, acknowledgement, outgoing};

#[test]
fn the_header_of_a_message_says_its_id_and_which_answers_it_wants() {
    let original = outgoing(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|  M 1 |P|2.5\rPID|").unwrap();
    assert_eq!((original.control_id, original.enhanced), (&b"M 1"[..], None));
    let enhanced = outgoing(b"MSH$^~\\&$A$B$C$D$2026$$ADT^A01$M1$P$2.5$$$AL$SU").unwrap();
    assert_eq!(enhanced.enhanced, Some((Condition::Always, Condition::SuccessOnly)));
    let half = outgoing(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|M1|P|2.5||||ER").unwrap();
    assert_eq!(half.enhanced, Some((Condition::Never, Condition::ErrorOnly)));
    for (message, error) in [
        (&b"PID|1"[..], HeaderError::NoHeader),
        (b"MSHA", HeaderError::NoHeader),
        (b"MSH", HeaderError::NoHeader),
        (b"", HeaderError::NoHeader),
        (b"MSH|^~\\&|A|B|C|D|2026||ADT^A01||P", HeaderError::NoControlId),
        (b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|M1|P|2.5|||XX", HeaderError::UnknownCondition),
    ] {
        assert_eq!(outgoing(message), Err(error), "{}", message.escape_ascii());
    }
}

#[test]
fn the_code_of_an_error_is_found_where_each_version_puts_it() {
    let of = |rest: &str| {
        let text = format!("MSH|^~\\&|A|B|C|D|2026||ACK|X|P|2.5\r{rest}");
        acknowledgement(text.as_bytes()).map(|ack| (ack.code, ack.error.map(str::to_owned)))
    };
    let error = |code: &str| Some((Code::ApplicationError, Some(code.to_owned())));
    assert_eq!(of("MSA|AE|M1\rERR||PID^1|207^text^HL70357|E"), error("207"));
    assert_eq!(of("MSA|AE|M1\rERR|PID^1^3^103&text&HL70357"), error("103"));
    assert_eq!(of("MSA|AE|M1||||100^text"), error("100"));
    assert_eq!(of("MSA|AE|M1\nERR|||0\nERR|||204"), error("204"));
    assert_eq!(of("MSA|AE|M1\rERR|||a text, not a code"), Some((Code::ApplicationError, None)));
    assert_eq!(of("MSA|CA|M1"), Some((Code::CommitAccept, None)));
    for nothing in ["", "MSA|", "MSA|ZZ|M1", "MSAX|AA|M1", "PID|1"] {
        assert_eq!(of(nothing), None, "{nothing}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (outgoing(&bytes), acknowledgement(&bytes));
        let headed = [b"MSH|^~\\&|".as_slice(), &bytes].concat();
        let _ = (outgoing(&headed), acknowledgement(&headed));
    }

    #[test]
    fn an_acknowledgement_says_its_code_and_id_whatever_the_delimiters(
        separator in prop::sample::select(vec!['|', '$', '#', '!']),
        id in "[A-Za-z0-9._-]{1,40}",
        code in prop::sample::select(vec!["AA", "AE", "AR", "CA", "CE", "CR"]),
        end in prop::sample::select(vec!["\r", "\n", "\r\n"]),
    ) {
        let text = format!("MSH|^~\\&|A|B|C|D|2026||ACK|X|P|2.5{end}MSA|{code}|{id}{end}").replace('|', &separator.to_string());
        let ack = acknowledgement(text.as_bytes()).unwrap();
        prop_assert_eq!((ack.code.text(), ack.control_id), (code, id.as_bytes()));
    }
}
