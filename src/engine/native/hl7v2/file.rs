//! Files of messages: in MLLP frames, in batches, one after another, or one alone.

use std::ops::Range;

use super::super::error::{Problem, SyntaxError};
use super::parse::start;
use super::{Part, Parts, is_batch};

/// Begins a frame of MLLP.
const FRAME: u8 = 0x0b;
/// Ends it, before a carriage return.
const FRAME_END: u8 = 0x1c;

/// Where the messages of a file stand, without what is around them: frames of MLLP, FHS, BHS, BTS and FTS. A file that is
/// one message is that, all of it. Nothing when the bytes do not begin as such a file does.
///
/// # Errors
/// [`SyntaxError`] where something else stands between the messages.
#[must_use]
pub fn messages(bytes: &[u8]) -> Option<Result<Vec<Range<usize>>, SyntaxError>> {
    let first = start(bytes);
    let rest = bytes.get(first..)?;
    if rest.first() == Some(&FRAME) {
        return Some(frames(bytes, first));
    }
    if rest.starts_with(b"MSH") || is_batch(bytes) { Some(pieces(bytes, 0..bytes.len())) } else { None }
}

fn frames(bytes: &[u8], first: usize) -> Result<Vec<Range<usize>>, SyntaxError> {
    let mut all = Vec::new();
    let mut at = first;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\r' | b'\n' => at += 1,
            FRAME => {
                let rest = bytes.get(at + 1..).unwrap_or_default();
                let end = at + 1 + memchr::memchr(FRAME_END, rest).unwrap_or(rest.len());
                all.extend(pieces(bytes, at + 1..end)?);
                at = end + 1;
            }
            _ => return Err(SyntaxError::new(Problem::Expected("a frame, which begins with the byte 0B"), bytes, at)),
        }
    }
    Ok(all)
}

fn pieces(bytes: &[u8], range: Range<usize>) -> Result<Vec<Range<usize>>, SyntaxError> {
    let within = bytes.get(range.clone()).unwrap_or_default();
    let parts = Parts::new(within).collect::<Result<Vec<Part>, SyntaxError>>();
    // A lone message tells itself what is wrong with it.
    let Ok(parts) = parts else {
        return if is_batch(within) { parts.map(|_| Vec::new()) } else { Ok(vec![range]) };
    };
    let alone = parts.len() < 2;
    let messages = parts.into_iter().filter_map(|part| match part {
        Part::Message(at) => Some(range.start + at.start..range.start + at.end),
        _ => None,
    });
    Ok(if alone && !is_batch(within) { vec![range] } else { messages.collect() })
}
