//! References, CDATA sections and line ends.

use std::borrow::Cow;

use super::super::charset::Charset;

const CDATA: &str = "<![CDATA[";

/// The character of a reference (`amp`, `#xE4`) without its `&` and `;`.
pub(crate) fn reference(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok()?,
                None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok()?,
                _ => return None,
            };
            char::from_u32(code).filter(|c| is_character(*c))?
        }
    })
}

/// Whether XML 1.0 has the character.
pub(crate) const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn references(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((plain, from)) = rest.split_once('&') {
        out.push_str(plain);
        let Some((name, behind)) = from.split_once(';') else { break };
        if let Some(c) = reference(name) {
            out.push(c);
        }
        rest = behind;
    }
    out.push_str(rest);
}

/// The text of a run that the parser has accepted.
pub(crate) fn decode(raw: &[u8], charset: Charset) -> Cow<'_, str> {
    let text = charset.decode(raw).unwrap_or_default();
    if memchr::memchr3(b'&', b'<', b'\r', raw).is_none() {
        return text;
    }
    let text = if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text };
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, from)) = rest.split_once(CDATA) {
        references(before, &mut out);
        let (inner, behind) = from.split_once("]]>").unwrap_or((from, ""));
        out.push_str(inner);
        rest = behind;
    }
    references(rest, &mut out);
    Cow::Owned(out)
}

/// The value of an attribute, white space normalised (XML 1.0, section 3.3.3, as CDATA).
pub(crate) fn decode_attribute(raw: &[u8], charset: Charset) -> Cow<'_, str> {
    let text = charset.decode(raw).unwrap_or_default();
    if !raw.iter().any(|b| matches!(b, b'&' | b'\r' | b'\n' | b'\t')) {
        return text;
    }
    let spaced = text.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
    let mut out = String::with_capacity(spaced.len());
    references(&spaced, &mut out);
    Cow::Owned(out)
}

/// What in a text XML cannot carry at all.
pub(crate) fn unwritable(text: &str) -> Option<char> {
    text.chars().find(|c| !is_character(*c))
}

/// Writes a text; characters that the set lacks become character references, which lose nothing.
pub(crate) fn encode(text: &str, attribute: Option<u8>, charset: Charset, out: &mut Vec<u8>) {
    for c in text.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' if attribute == Some(b'"') => out.extend_from_slice(b"&quot;"),
            '\'' if attribute == Some(b'\'') => out.extend_from_slice(b"&apos;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            '\n' if attribute.is_some() => out.extend_from_slice(b"&#10;"),
            '\t' if attribute.is_some() => out.extend_from_slice(b"&#9;"),
            _ => {
                if !charset.push(c, out) {
                    out.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
                }
            }
        }
    }
}
