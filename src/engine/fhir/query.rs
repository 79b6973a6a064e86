//! Values within the query of a reference (R4 HTTP, 3.1.0.5.2; RFC 3986, 3.4): `ServiceRequest?identifier=urn:x|A%231`.

use std::borrow::Cow;

/// What would end a value, or the reference, where it stands plainly.
const RESERVED: &str = " \"#%&+<>\\^`{|}";

/// A value as it stands in a query. What is neither reserved nor a control character stays as it is.
#[must_use]
pub fn encode(value: &str) -> Cow<'_, str> {
    let escaped = |c: char| c.is_ascii_control() || RESERVED.contains(c);
    if !value.contains(escaped) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if escaped(c) {
            text.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// The value that stands in a query; nothing where an escape is broken.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
