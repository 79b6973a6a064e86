//! The lexical forms of FHIR's primitive types (<http://hl7.org/fhir/R4/datatypes.html#primitive>).
//!
//! Written out rather than as regular expressions: they run on every value of every document.

/// Whether a text is a value of a primitive type. Types that are not primitive take any text.
#[must_use]
pub fn is_lexical(type_name: &str, text: &str) -> bool {
    let bytes = text.as_bytes();
    match type_name {
        "boolean" => matches!(text, "true" | "false"),
        "integer" => is_integer(text),
        "unsignedInt" => is_integer(text) && !text.starts_with('-'),
        "positiveInt" => is_integer(text) && !text.starts_with('-') && text != "0",
        "decimal" => is_decimal(bytes),
        "instant" => date_time(bytes) == Some(Precision::Time),
        "dateTime" => date_time(bytes).is_some(),
        "date" => matches!(date(bytes), Some((rest, _)) if rest.is_empty()),
        "time" => time(bytes).is_some_and(<[u8]>::is_empty),
        "code" => is_code(text),
        "id" => is_id(text),
        "oid" => text.strip_prefix("urn:oid:").is_some_and(is_oid),
        "uuid" => text.strip_prefix("urn:uuid:").is_some_and(is_uuid),
        "uri" | "url" | "canonical" => !text.is_empty() && !text.contains(char::is_whitespace),
        "base64Binary" => is_base64(bytes),
        "string" | "markdown" => !text.is_empty() && text.chars().all(is_string_character),
        _ => true,
    }
}

fn is_string_character(letter: char) -> bool {
    letter >= ' ' || matches!(letter, '\t' | '\r' | '\n')
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || (digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.starts_with('0'));
    plain && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i32>().is_ok()
}

fn is_decimal(bytes: &[u8]) -> bool {
    super::scan::number(bytes, 0) == Some(bytes.len())
}

/// `[^\s]+(\s[^\s]+)*`
fn is_code(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.as_bytes().windows(2).any(|two| two.iter().all(u8::is_ascii_whitespace))
}

/// `[A-Za-z0-9\-.]{1,64}`
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Digits and dots, the first arc 0 to 2, no arc with a leading zero.
#[must_use]
pub fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    arcs.next().is_some_and(|first| matches!(first, "0" | "1" | "2"))
        && text.contains('.')
        && arcs.all(|arc| {
            !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
        })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn is_base64(bytes: &[u8]) -> bool {
    let mut letters = 0_usize;
    let mut padding = 0;
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => letters += 1,
            b'=' if padding < 2 => padding += 1,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => return false,
        }
    }
    (letters + padding).is_multiple_of(4) && letters > 0
}

/// How much of a point in time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// A year.
    Year,
    /// A month.
    Month,
    /// A day.
    Day,
    /// A time with its zone.
    Time,
}

fn two(bytes: &[u8], range: std::ops::RangeInclusive<u8>) -> Option<(u8, &[u8])> {
    let ([tens, ones], rest) = bytes.split_first_chunk::<2>()?;
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let value = (tens - b'0') * 10 + (ones - b'0');
    range.contains(&value).then_some((value, rest))
}

fn after(bytes: &[u8], mark: u8) -> Option<&[u8]> {
    bytes.split_first().filter(|(first, _)| **first == mark).map(|(_, rest)| rest)
}

/// Year, month and day as far as given: the rest of the text and the precision. Days exist in their month.
fn date(bytes: &[u8]) -> Option<(&[u8], Precision)> {
    let (century, rest) = two(bytes, 0..=99)?;
    let (years, rest) = two(rest, 0..=99)?;
    let year = u16::from(century) * 100 + u16::from(years);
    if year == 0 {
        return None;
    }
    let Some(rest) = after(rest, b'-') else { return Some((rest, Precision::Year)) };
    let (month, rest) = two(rest, 1..=12)?;
    let Some(rest) = after(rest, b'-') else { return Some((rest, Precision::Month)) };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let (_, rest) = two(rest, 1..=days)?;
    Some((rest, Precision::Day))
}

/// `hh:mm:ss` with an optional fraction: the rest of the text.
fn time(bytes: &[u8]) -> Option<&[u8]> {
    let (_, rest) = two(bytes, 0..=23)?;
    let (_, rest) = two(after(rest, b':')?, 0..=59)?;
    let (_, rest) = two(after(rest, b':')?, 0..=60)?;
    let Some(fraction) = after(rest, b'.') else { return Some(rest) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { None } else { fraction.get(digits..) }
}

/// The precision of a dateTime; nothing when the text is none.
#[must_use]
pub fn date_time(bytes: &[u8]) -> Option<Precision> {
    let (rest, precision) = date(bytes)?;
    if rest.is_empty() {
        return Some(precision);
    }
    if precision != Precision::Day {
        return None;
    }
    let rest = time(after(rest, b'T')?)?;
    if rest == b"Z" {
        return Some(Precision::Time);
    }
    let (sign, rest) = rest.split_first()?;
    if !matches!(sign, b'+' | b'-') {
        return None;
    }
    let (hours, rest) = two(rest, 0..=14)?;
    let (minutes, rest) = two(after(rest, b':')?, 0..=59)?;
    (rest.is_empty() && (hours < 14 || minutes == 0)).then_some(Precision::Time)
}
