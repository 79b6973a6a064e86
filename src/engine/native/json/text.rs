//! The escapes of JSON strings.

use std::borrow::Cow;

/// The text between the quotes of a string that the parser has accepted.
pub(crate) fn decode(raw: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(raw).unwrap_or_default();
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{C}'),
            Some('u') => {
                let unit = |from: &str| from.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
                let first = unit(chars.as_str());
                let behind = chars.as_str().get(4..).unwrap_or_default();
                let second = behind.strip_prefix("\\u").and_then(unit);
                let pair = first.into_iter().chain(second);
                if let Some(Ok(c)) = char::decode_utf16(pair).next() {
                    out.push(c);
                    rest = if c.len_utf16() == 2 { behind.get(6..).unwrap_or_default() } else { behind };
                    continue;
                }
            }
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Writes a string with its quotes.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => {
                let digit = |n: u8| char::from_digit(u32::from(n), 16).map_or(b'0', |c| c as u8);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Whether a text is a JSON number.
pub(crate) fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    number_end(bytes, 0) == Ok(bytes.len())
}

/// The end of the number that begins at `at`, or where it goes wrong.
pub(crate) fn number_end(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let digits = |mut at: usize| {
        let from = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at == from { Err(at) } else { Ok(at) }
    };
    let at = if bytes.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Ok(end)
}
