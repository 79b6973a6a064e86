//! Queries and forms: `application/x-www-form-urlencoded`, strictly.

use silta_engine::fault::Fault;

use super::unreadable;
use crate::gateway::outcome::Refusal;

/// The pairs of a query or form, decoded, in order. At most `limit` of them.
///
/// # Errors
/// A broken percent escape, bytes that are not UTF-8, a NUL, or too many pairs.
pub(in crate::gateway) fn pairs(text: &str, limit: usize) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == limit {
            return Err(Refusal::new(Fault::BadValue, format!("more than {limit} parameters")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok(pairs)
}

/// Percent-decodes; in queries and forms a `+` is a space.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (rest.next().and_then(digit), rest.next().and_then(digit));
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(unreadable("a `%` in the URL or form is not followed by two hexadecimal digits"));
                };
                high << 4 | low
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| unreadable("the URL or form is not UTF-8"))?;
    if decoded.contains('\0') {
        return Err(unreadable("the URL or form holds a NUL character"));
    }
    Ok(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
