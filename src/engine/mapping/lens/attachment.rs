//! Encapsulated data (ED, RP): media type and content.

use super::{Fidelity, Got, Out, Put, Texts, Uncarried};

/// The main types of table 0191 that are not the words of RFC 2046.
const MAIN: [(&str, &str); 6] = [
    ("AP", "application"),
    ("AU", "audio"),
    ("FT", "text"),
    ("TEXT", "text"),
    ("IM", "image"),
    ("multipart", "multipart"),
];

/// Inputs: main type and subtype.
pub(super) fn mime(from: &Texts<'_>) -> Option<Got<'static>> {
    let main = from.first().and_then(Option::as_deref)?;
    let sub = from.get(1).and_then(Option::as_deref);
    let main = MAIN.iter().find(|(v2, _)| *v2 == main).map_or(main, |(_, word)| word);
    Some(match sub {
        // A whole media type in the first says what the second should have; that says something else.
        _ if main.contains('/') => Got { idle: 0b10, ..Got::exact(main.to_ascii_lowercase()) },
        Some(sub) => Got::exact(format!("{main}/{sub}").to_ascii_lowercase()),
        None => Got::approximated(format!("{main}/octet-stream").to_ascii_lowercase()),
    })
}

pub(super) fn put_mime(value: &str) -> Result<Put, Uncarried> {
    match value.split_once('/') {
        Some((main, sub)) if !main.is_empty() && !sub.is_empty() => {
            Ok(Put { outs: vec![Out::Set(main.to_owned()), Out::Set(sub.to_owned())], fidelity: Fidelity::Exact })
        }
        _ => Err(Uncarried::new("a media type as type/subtype")),
    }
}

/// Inputs: the data, and its encoding (table 0299: `A`, `Hex`, `Base64`).
pub(super) fn data(from: &Texts<'_>) -> Result<Option<Got<'static>>, Uncarried> {
    let Some(data) = from.first().and_then(Option::as_deref) else { return Ok(None) };
    let encoding = from.get(1).and_then(Option::as_deref).unwrap_or("A");
    let text = match encoding {
        e if e.eq_ignore_ascii_case("base64") => {
            let plain: String = data.chars().filter(|c| !c.is_whitespace()).collect();
            let body = plain.trim_end_matches('=');
            let known = body.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
            if !known || !plain.len().is_multiple_of(4) || plain.len() - body.len() > 2 {
                return Err(Uncarried::new("base64 data"));
            }
            plain
        }
        e if e.eq_ignore_ascii_case("hex") => {
            let digits: Option<Vec<u32>> =
                data.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
            let digits = digits.filter(|d| d.len() % 2 == 0).ok_or_else(|| Uncarried::new("hexadecimal data"))?;
            let bytes: Vec<u8> = digits
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | u8::try_from(*digit).unwrap_or(0)))
                .collect();
            base64(&bytes)
        }
        "A" | "a" => base64(data.as_bytes()),
        _ => return Err(Uncarried { expected: "A, Hex or Base64 as the encoding".into(), code: true }),
    };
    Ok(Some(Got::exact(text)))
}

/// A text as data in UTF-8.
pub(super) fn text(text: &str) -> Result<Got<'static>, Uncarried> {
    let read = super::plain::text(text)?;
    Ok(Got { text: base64(read.text.as_bytes()).into(), more: Vec::new(), ..read })
}

pub(super) fn put_data(value: &str, old: &Texts<'_>) -> Put {
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let was = old.get(1).and_then(Option::as_deref);
    let encoding =
        if was.is_some_and(|w| w.eq_ignore_ascii_case("base64")) { Out::Keep } else { Out::Set("Base64".to_owned()) };
    Put { outs: vec![Out::Set(plain), encoding], fidelity: Fidelity::Exact }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| (bits << 8) | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            let letter = ALPHABET.get(sextet as usize).copied().unwrap_or(b'=');
            text.push(if i > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
