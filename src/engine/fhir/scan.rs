//! The lexical forms of JSON (RFC 8259): strings, escapes, numbers.

/// What ended a run of plain string bytes.
pub(super) enum Stop {
    Quote,
    Backslash,
    Control,
    End,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first byte from `at` that is a quote, a backslash or a control character.
pub(super) fn plain_run(bytes: &[u8], mut at: usize) -> (usize, Stop) {
    // Eight bytes at a time: a byte equal to c makes its high bit in (x ^ c) - 1 & !(x ^ c); one below 0x20 in x - 0x20.
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok()) {
        let x = u64::from_le_bytes(chunk);
        let quote = x ^ (ONES * 0x22);
        let slash = x ^ (ONES * 0x5c);
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (x.wrapping_sub(ONES * 0x20) & !x))
            & HIGHS;
        if found != 0 {
            at += (found.trailing_zeros() / 8) as usize;
            break;
        }
        at += 8;
    }
    loop {
        match bytes.get(at) {
            None => return (at, Stop::End),
            Some(b'"') => return (at, Stop::Quote),
            Some(b'\\') => return (at, Stop::Backslash),
            Some(byte) if *byte < 0x20 => return (at, Stop::Control),
            Some(_) => at += 1,
        }
    }
}

/// Why an escape is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapeFault {
    Unknown,
    Surrogate,
}

/// Decodes the escape whose backslash is at `at`; gives the place after it.
pub(super) fn escape(bytes: &[u8], at: usize, out: &mut String) -> Result<usize, EscapeFault> {
    let plain = match bytes.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let high = hex4(bytes, at + 2).ok_or(EscapeFault::Unknown)?;
            if (0xDC00..0xE000).contains(&high) {
                return Err(EscapeFault::Surrogate);
            }
            if !(0xD800..0xDC00).contains(&high) {
                out.push(char::from_u32(high).ok_or(EscapeFault::Unknown)?);
                return Ok(at + 6);
            }
            if bytes.get(at + 6..at + 8) != Some(b"\\u") {
                return Err(EscapeFault::Surrogate);
            }
            let low = hex4(bytes, at + 8).ok_or(EscapeFault::Unknown)?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(EscapeFault::Surrogate);
            }
            let joined = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            out.push(char::from_u32(joined).ok_or(EscapeFault::Surrogate)?);
            return Ok(at + 12);
        }
        _ => return Err(EscapeFault::Unknown),
    };
    out.push(plain);
    Ok(at + 2)
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    let mut value = 0;
    for byte in four {
        value = value * 16 + char::from(*byte).to_digit(16)?;
    }
    Some(value)
}

/// The end of the number that starts at `at`, or nothing when it is none.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    if bytes.get(end) == Some(&b'-') {
        end += 1;
    }
    match bytes.get(end)? {
        b'0' => end += 1,
        b'1'..=b'9' => end = digits(bytes, end),
        _ => return None,
    }
    if bytes.get(end) == Some(&b'.') {
        let after = digits(bytes, end + 1);
        if after == end + 1 {
            return None;
        }
        end = after;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let mut from = end + 1;
        if matches!(bytes.get(from), Some(b'+' | b'-')) {
            from += 1;
        }
        let after = digits(bytes, from);
        if after == from {
            return None;
        }
        end = after;
    }
    Some(end)
}

fn digits(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b'0'..=b'9')) {
        at += 1;
    }
    at
}

/// Whether a text is a JSON number as it stands.
pub(super) fn is_number(text: &str) -> bool {
    number(text.as_bytes(), 0) == Some(text.len())
}

/// Writes a JSON string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let (at, stop) = plain_run(bytes, from);
        out.push_str(text.get(from..at).unwrap_or(""));
        let Some(byte) = bytes.get(at).copied().filter(|_| !matches!(stop, Stop::End)) else { break };
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x8 => "\\b",
            0xc => "\\f",
            _ => {
                out.push_str("\\u00");
                out.push(char::from(b'0' + (byte >> 4)));
                char::from_digit(u32::from(byte & 15), 16).into_iter().for_each(|digit| out.push(digit));
                ""
            }
        };
        out.push_str(escaped);
        from = at + 1;
    }
    out.push('"');
}
