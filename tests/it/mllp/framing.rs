//! The framing, byte by byte.

use bytes::Bytes;
use proptest::prelude::*;
use silta::provider::mllp::framing::{Decoder, FramingError, encode};

fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Result<Bytes, FramingError>> {
    decoder.buffer().extend_from_slice(bytes);
    drain(decoder)
}

fn drain(decoder: &mut Decoder) -> Vec<Result<Bytes, FramingError>> {
    let mut seen = Vec::new();
    loop {
        match decoder.message() {
            Ok(None) => return seen,
            Ok(Some(message)) => seen.push(Ok(message)),
            Err(error) => seen.push(Err(error)),
        }
    }
}

#[test]
fn two_messages_in_one_packet_are_two_messages() {
    let mut decoder = Decoder::default();
    let seen = feed(&mut decoder, b"\x0bMSH|one\x1c\r\x0bMSH|two\x1c\r");
    assert_eq!(seen, [Ok(Bytes::from("MSH|one")), Ok(Bytes::from("MSH|two"))]);
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_message_dripped_byte_by_byte_comes_out_whole_with_its_last_byte() {
    let mut decoder = Decoder::default();
    let wire = b"\x0bMSH|dripped\rPID|1\x1c\r";
    let (last, before) = wire.split_last().unwrap();
    for byte in before {
        assert_eq!(feed(&mut decoder, &[*byte]), []);
    }
    assert_eq!(feed(&mut decoder, &[*last]), [Ok(Bytes::from("MSH|dripped\rPID|1"))]);
}

#[test]
fn line_ends_between_frames_are_passed_over() {
    let mut decoder = Decoder::default();
    assert_eq!(feed(&mut decoder, b"\r\n\x0bA\x1c\r\r\n\n\x0bB\x1c\r\n"), [Ok(Bytes::from("A")), Ok(Bytes::from("B"))]);
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_frame_without_an_end_is_an_error_and_the_next_frame_is_read() {
    let mut decoder = Decoder::default();
    let seen = feed(&mut decoder, b"\x0bMSH|lost\x0bMSH|found\x1c\r");
    assert_eq!(seen[0], Err(FramingError::StartInside { partial: Bytes::from("MSH|lost").into() }));
    assert!(seen[0].as_ref().unwrap_err().stream_goes_on());
    assert_eq!(seen[1], Ok(Bytes::from("MSH|found")));
}

#[test]
fn an_end_without_its_last_byte_never_ends_a_message() {
    let mut decoder = Decoder::default();
    assert_eq!(feed(&mut decoder, b"\x0bMSH|half\x1c"), []);
    let seen = feed(&mut decoder, b"|other half\x1c\r\x0bMSH|next\x1c\r");
    assert_eq!(seen[0], Err(FramingError::BrokenEnd { partial: Bytes::from("MSH|half").into() }));
    assert!(matches!(seen[1], Err(FramingError::Stray { resumed: true, .. })));
    assert_eq!(seen[2], Ok(Bytes::from("MSH|next")));
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_message_at_the_limit_passes_and_one_byte_more_ends_the_stream() {
    let mut decoder = Decoder::new(8);
    assert_eq!(feed(&mut decoder, b"\x0b12345678\x1c\r"), [Ok(Bytes::from("12345678"))]);
    let seen = feed(&mut decoder, b"\x0b123456789");
    assert_eq!(seen, [Err(FramingError::TooLarge { limit: 8, head: Bytes::from("12345678").into() })]);
    assert!(!seen[0].as_ref().unwrap_err().stream_goes_on());
    assert_eq!(feed(&mut decoder, b"\x1c\r\x0bA\x1c\r"), [], "nothing is read from a stream that was given up");
}

#[test]
fn bytes_outside_frames_are_counted_and_too_many_end_the_stream() {
    let mut decoder = Decoder::default();
    let seen = feed(&mut decoder, b"hello\x0bA\x1c\r");
    assert_eq!(seen, [Err(FramingError::Stray { count: 5, resumed: true }), Ok(Bytes::from("A"))]);
    let seen = feed(&mut decoder, "GET / HTTP/1.1".repeat(400).as_bytes());
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].as_ref().unwrap_err().stream_goes_on());
    assert!(decoder.buffer().is_empty(), "what was passed over is not kept");
}

#[test]
fn a_stream_that_ends_inside_a_frame_says_so() {
    let mut decoder = Decoder::default();
    assert_eq!(feed(&mut decoder, b"\x0bMSH|cut"), []);
    assert!(decoder.inside());
    assert_eq!(decoder.finish(), Err(FramingError::Truncated { partial: Bytes::from("MSH|cut").into() }));
}

#[test]
fn an_error_shows_the_size_of_the_message_and_not_the_message() {
    let error = FramingError::Truncated { partial: Bytes::from("PID|1||010190-900Z").into() };
    assert!(!format!("{error} {error:?}").contains("010190"));
}

#[test]
fn a_message_that_holds_a_framing_byte_is_not_sent() {
    assert_eq!(encode(b"MSH|\x1c").unwrap_err().offset, 4);
    assert_eq!(encode(b"M\x0bSH").unwrap_err().byte, 0x0B);
    assert_eq!(encode(b"MSH").unwrap(), &b"\x0bMSH\x1c\r"[..]);
}

proptest! {
    #[test]
    fn whatever_is_framed_comes_out_again_however_it_is_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("not a framing byte", |b| !matches!(b, 0x0b | 0x1c)), 0..200), 0..6),
        cuts in prop::collection::vec(1_usize..40, 1..60),
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        let mut decoder = Decoder::default();
        let (mut rest, mut seen) = (wire.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            seen.extend(feed(&mut decoder, now));
            rest = later;
        }
        let seen: Vec<Vec<u8>> = seen.into_iter().map(|m| m.unwrap().to_vec()).collect();
        prop_assert_eq!(seen, messages);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn any_bytes_in_any_cut_give_the_same_frames_and_the_same_errors(
        wire in prop::collection::vec(prop::sample::select(vec![0x0b_u8, 0x1c, 0x0d, 0x0a, b'A', b'B']), 0..120),
        cut in 0_usize..120,
    ) {
        let mut whole = Decoder::new(16);
        let expected = feed(&mut whole, &wire);
        let mut halves = Decoder::new(16);
        let (first, second) = wire.split_at(cut.min(wire.len()));
        let mut seen = feed(&mut halves, first);
        seen.extend(feed(&mut halves, second));
        let kinds = |all: &[Result<Bytes, FramingError>]| -> Vec<Result<Bytes, &'static str>> {
            all.iter().map(|one| one.clone().map_err(|error| error.label())).collect()
        };
        prop_assert_eq!(kinds(&seen), kinds(&expected));
    }
}
