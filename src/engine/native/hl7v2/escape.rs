//! Escapes (HL7 v2.9 chapter 2, section 2.7).
//!
//! Decoded to text: the separators (`\F\ \S\ \T\ \R\ \E\ \P\`), `\.br\` (a line feed), and hexadecimal data (`\X…\`)
//! whose bytes are text in the message's character set. Formatting and what cannot be text (`\H\`, `\N\`, `\.sp2\`,
//! `\Z…\`, `\C…\`, `\M…\`, other hexadecimal data) stays visible with U+241B SYMBOL FOR ESCAPE in place of the escape
//! character (`␛H␛`), and is written back as the escape. An escape character that begins no escape is itself.

use std::borrow::Cow;

use super::super::charset::Charset;
use super::Separators;

/// Stands for the escape character around what has no text.
const VISIBLE: char = '\u{241B}';

enum Meaning<'r> {
    Text(Cow<'r, str>),
    Visible,
    Unknown,
}

/// The text of a subcomponent as written.
pub(crate) fn decode<'r>(raw: &'r [u8], separators: &Separators, charset: Charset) -> Cow<'r, str> {
    let plain = |bytes: &'r [u8]| charset.decode(bytes).unwrap_or(Cow::Borrowed(""));
    let Some(escape) = separators.escape else { return plain(raw) };
    let Some(first) = memchr::memchr(escape, raw) else { return plain(raw) };
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut found = Some(first);
    while let Some(at) = found {
        let Some((before, from)) = rest.split_at_checked(at) else { break };
        text.push_str(&plain(before));
        let after = from.get(1..).unwrap_or_default();
        let body = memchr::memchr(escape, after).and_then(|end| after.get(..end));
        let meaning = body.map_or(Meaning::Unknown, |body| meaning(body, separators, charset));
        rest = match (meaning, body) {
            (Meaning::Text(part), Some(body)) => {
                text.push_str(&part);
                after.get(body.len() + 1..).unwrap_or_default()
            }
            (Meaning::Visible, Some(body)) => {
                text.push(VISIBLE);
                text.push_str(&plain(body));
                text.push(VISIBLE);
                after.get(body.len() + 1..).unwrap_or_default()
            }
            _ => {
                text.push(char::from(escape));
                after
            }
        };
        found = memchr::memchr(escape, rest);
    }
    text.push_str(&plain(rest));
    Cow::Owned(text)
}

fn meaning<'r>(body: &'r [u8], separators: &Separators, charset: Charset) -> Meaning<'r> {
    let one = |separator: Option<u8>, otherwise: char| {
        Meaning::Text(Cow::Owned(separator.map_or(otherwise, char::from).to_string()))
    };
    match body {
        b"F" => one(Some(separators.field), '|'),
        b"S" => one(Some(separators.component), '^'),
        b"T" => one(separators.subcomponent, '&'),
        b"R" => one(separators.repetition, '~'),
        b"E" => one(separators.escape, '\\'),
        b"P" => one(separators.truncation, '#'),
        _ if body.eq_ignore_ascii_case(b".br") => Meaning::Text(Cow::Borrowed("\n")),
        [b'X' | b'x', digits @ ..] => match hexadecimal(digits) {
            Some(bytes) => match charset.check(&bytes).ok().and_then(|()| charset.decode(&bytes)) {
                Some(text) => Meaning::Text(Cow::Owned(text.into_owned())),
                None => Meaning::Visible,
            },
            None => Meaning::Unknown,
        },
        _ if is_formatting(body) => Meaning::Visible,
        _ => Meaning::Unknown,
    }
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()
            }
            _ => None,
        })
        .collect()
}

/// Highlighting, the formatting commands, local escapes, and switches to other character sets.
fn is_formatting(body: &[u8]) -> bool {
    let signed = |rest: &[u8]| {
        let digits = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).unwrap_or(rest);
        digits.iter().all(u8::is_ascii_digit)
    };
    match body {
        b"H" | b"N" | b".fi" | b".nf" | b".ce" => true,
        [b'.', b's', b'p', rest @ ..]
        | [b'.', b's', b'k', rest @ ..]
        | [b'.', b'i', b'n', rest @ ..]
        | [b'.', b't', b'i', rest @ ..] => signed(rest),
        [b'Z', rest @ ..] => rest.iter().all(u8::is_ascii_alphanumeric),
        [b'C' | b'M', rest @ ..] => rest.len() >= 4 && rest.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// Why a text cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// The character set lacks it.
    Character(char),
    /// It needs escaping and the message has no escape character.
    NoEscape,
}

/// Writes a text as the bytes of a subcomponent. `replace` may give a stand-in for a character that the set lacks.
pub(crate) fn encode(
    text: &str,
    separators: &Separators,
    charset: Charset,
    mut replace: impl FnMut(char) -> Option<&'static str>,
    out: &mut Vec<u8>,
) -> Result<(), Unwritable> {
    let start = out.len();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == VISIBLE
            && let Some((body, behind)) = after.split_once(VISIBLE)
            && let Some(escape) = separators.escape
            && matches!(meaning(body.as_bytes(), separators, charset), Meaning::Visible)
        {
            out.push(escape);
            out.extend_from_slice(body.as_bytes());
            out.push(escape);
            rest = behind;
            continue;
        }
        rest = after;
        character(c, separators, charset, &mut replace, out)?;
    }
    if out.get(start..) == Some(b"\"\"") {
        // Two quotes alone would say "delete".
        let Some(escape) = separators.escape else { return Err(Unwritable::NoEscape) };
        out.truncate(start);
        out.extend_from_slice(&[escape, b'X', b'2', b'2', b'2', b'2', escape]);
    }
    Ok(())
}

fn character(
    c: char,
    separators: &Separators,
    charset: Charset,
    replace: &mut dyn FnMut(char) -> Option<&'static str>,
    out: &mut Vec<u8>,
) -> Result<(), Unwritable> {
    let Ok(byte) = u8::try_from(u32::from(c)).map_err(|_| ()).and_then(|b| if b.is_ascii() { Ok(b) } else { Err(()) })
    else {
        if charset.push(c, out) {
            return Ok(());
        }
        let Some(text) = replace(c) else { return Err(Unwritable::Character(c)) };
        return text.chars().try_for_each(|c| character(c, separators, charset, &mut |_| None, out));
    };
    let body: &[u8] = match byte {
        _ if byte == separators.field => b"F",
        _ if byte == separators.component => b"S",
        _ if Some(byte) == separators.subcomponent => b"T",
        _ if Some(byte) == separators.repetition => b"R",
        _ if Some(byte) == separators.escape => b"E",
        _ if Some(byte) == separators.truncation => b"P",
        b'\n' => b".br",
        b'\r' => b"X0D",
        // The block characters of the minimal lower layer protocol.
        0x0B => b"X0B",
        0x1C => b"X1C",
        _ => {
            out.push(byte);
            return Ok(());
        }
    };
    let Some(escape) = separators.escape else { return Err(Unwritable::NoEscape) };
    out.push(escape);
    out.extend_from_slice(body);
    out.push(escape);
    Ok(())
}
