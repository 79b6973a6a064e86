//! The lexical forms of FHIR's primitive types (<http://hl7.org/fhir/R4/datatypes.html#primitive>).
//!
//! Written out rather than as regular expressions: they run on every value of every document.

/// A primitive type whose values have a form of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// `true` or `false`.
    Boolean,
    /// A whole number of 32 bits.
    Integer,
    /// 0 or more.
    Unsigned,
    /// 1 or more.
    Positive,
    /// A decimal number.
    Decimal,
    /// A point in time with its zone.
    Instant,
    /// A year, month, day, or a point in time with its zone.
    DateTime,
    /// A year, month or day.
    Date,
    /// A time of day.
    Time,
    /// Without white space at its ends, with single spaces.
    Code,
    /// Of letters, digits, `-` and `.`.
    Id,
    /// `urn:oid:…`
    Oid,
    /// `urn:uuid:…`
    Uuid,
    /// `uri`, `url`, `canonical`: without white space; an OID or UUID that is one.
    Uri,
    /// Base64.
    Base64,
    /// `string`, `markdown`.
    Text,
    /// Any text.
    Any,
}

impl Primitive {
    /// The form of the type of this name; any, for those that are not primitive.
    #[must_use]
    pub fn of(type_name: &str) -> Self {
        match type_name {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "unsignedInt" => Self::Unsigned,
            "positiveInt" => Self::Positive,
            "decimal" => Self::Decimal,
            "instant" => Self::Instant,
            "dateTime" => Self::DateTime,
            "date" => Self::Date,
            "time" => Self::Time,
            "code" => Self::Code,
            "id" => Self::Id,
            "oid" => Self::Oid,
            "uuid" => Self::Uuid,
            "uri" | "url" | "canonical" => Self::Uri,
            "base64Binary" => Self::Base64,
            "string" | "markdown" => Self::Text,
            _ => Self::Any,
        }
    }

    /// Whether a text is a value of it.
    #[must_use]
    pub fn has(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Integer => is_integer(text),
            Self::Unsigned => is_integer(text) && !text.starts_with('-'),
            Self::Positive => is_integer(text) && !text.starts_with('-') && text != "0",
            Self::Decimal => is_decimal(bytes),
            Self::Instant => date_time(bytes) == Some(Precision::Time),
            Self::DateTime => date_time(bytes).is_some(),
            Self::Date => matches!(date(bytes), Some((rest, _)) if rest.is_empty()),
            Self::Time => time(bytes).is_some_and(<[u8]>::is_empty),
            Self::Code => is_code(text),
            Self::Id => is_id(text),
            Self::Oid => text.strip_prefix("urn:oid:").is_some_and(is_oid),
            Self::Uuid => text.strip_prefix("urn:uuid:").is_some_and(is_uuid),
            Self::Uri => is_uri(text),
            Self::Base64 => is_base64(bytes),
            Self::Text => !text.is_empty() && is_text(bytes),
            Self::Any => true,
        }
    }
}

/// Whether a text is a value of a primitive type. Types that are not primitive take any text.
#[must_use]
pub fn is_lexical(type_name: &str, text: &str) -> bool {
    Primitive::of(type_name).has(text)
}

/// How many bytes are looked at together: the compiler makes vector instructions of it.
const LANES: usize = 32;

/// Whether all bytes have something; they are looked at in blocks, without leaving one early.
fn all_bytes(bytes: &[u8], has: impl Fn(u8) -> bool) -> bool {
    let (blocks, rest) = bytes.as_chunks::<LANES>();
    blocks.iter().all(|block| block.iter().fold(true, |all, byte| all & has(*byte)))
        && rest.iter().all(|byte| has(*byte))
}

/// No control characters but tab and line ends.
fn is_text(bytes: &[u8]) -> bool {
    all_bytes(bytes, |byte| (byte >= b' ') | (byte == b'\t') | (byte == b'\n') | (byte == b'\r'))
}

fn is_uri(text: &str) -> bool {
    let plain = all_bytes(text.as_bytes(), |byte| (byte > b' ') & (byte < 0x7f));
    if !plain && (text.is_empty() || text.contains(char::is_whitespace)) {
        return false;
    }
    // A name may have a fragment, a canonical a version.
    let name = text.split(['#', '|']).next().unwrap_or(text);
    match name.strip_prefix("urn:") {
        None => !text.is_empty(),
        Some(urn) => match (urn.strip_prefix("oid:"), urn.strip_prefix("uuid:")) {
            (Some(oid), _) => is_oid(oid),
            (_, Some(uuid)) => is_uuid(uuid),
            _ => true,
        },
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || (digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.starts_with('0'));
    plain && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i32>().is_ok()
}

fn is_decimal(bytes: &[u8]) -> bool {
    super::scan::number(bytes, 0) == Some(bytes.len())
}

/// No white space around it, and none within but single spaces.
fn is_code(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.contains("  ")
        && !text.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'))
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

const fn is_base64_letter(byte: u8) -> bool {
    (byte.wrapping_sub(b'A') < 26)
        | (byte.wrapping_sub(b'a') < 26)
        | (byte.wrapping_sub(b'0') < 10)
        | (byte == b'+')
        | (byte == b'/')
}

fn is_base64(bytes: &[u8]) -> bool {
    base64_length(bytes).is_some()
}

/// How many bytes a text of base64 stands for; nothing when it is none. White space may stand anywhere.
#[must_use]
pub fn base64_length(bytes: &[u8]) -> Option<usize> {
    let is_space = |byte: u8| (byte == b' ') | (byte == b'\n') | (byte == b'\r') | (byte == b'\t');
    let (blocks, _) = bytes.as_chunks::<LANES>();
    let (mut letters, mut blank) = (0_usize, 0);
    for block in blocks {
        // Counted without leaving early: the compiler makes vector instructions of it.
        let (own, spaces) = block.iter().fold((0_u8, 0_u8), |(own, spaces), byte| {
            (own + u8::from(is_base64_letter(*byte)), spaces + u8::from(is_space(*byte)))
        });
        if usize::from(own) + usize::from(spaces) != LANES {
            break;
        }
        letters += usize::from(own);
        blank += usize::from(spaces);
    }
    let counted = letters + blank;
    let mut padding = 0;
    for byte in bytes.get(counted..).unwrap_or_default() {
        match byte {
            _ if is_base64_letter(*byte) && padding == 0 => letters += 1,
            b'=' if padding < 2 => padding += 1,
            _ if is_space(*byte) => {}
            _ => return None,
        }
    }
    ((letters + padding).is_multiple_of(4) && letters > 0).then_some(letters * 3 / 4)
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
