//! The forms of primitive values (HL7 v2.5.1 chapter 2A), read as generously as all versions together allow.

use crate::native::hl7v2::schema::Primitive;

/// What a primitive that has a form must look like; none for text and codes.
pub(super) fn expected(primitive: Primitive) -> Option<&'static str> {
    Some(match primitive {
        Primitive::Number => "a number: an optional sign, digits, an optional decimal point",
        Primitive::Sequence => "a whole number from 0",
        Primitive::Date => "a date: YYYY[MM[DD]]",
        Primitive::Time => "a time: HH[MM[SS[.SSSS]]][+/-ZZZZ]",
        Primitive::DateTime => "a time stamp: YYYY[MM[DD[HH[MM[SS[.SSSS]]]]]][+/-ZZZZ]",
        Primitive::Text | Primitive::FormattedText | Primitive::TableCode | Primitive::SiteCode => return None,
    })
}

/// Whether a text has the form of its data type.
pub(super) fn fits(primitive: Primitive, text: &str) -> bool {
    match primitive {
        Primitive::Number => is_number(text),
        Primitive::Sequence => !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()),
        Primitive::Date => is_date(text),
        Primitive::Time => {
            let (time, zone) = split_zone(text);
            zone.is_none_or(is_zone) && is_time(time)
        }
        Primitive::DateTime => is_stamp(text),
        Primitive::Text | Primitive::FormattedText | Primitive::TableCode | Primitive::SiteCode => true,
    }
}

/// An ISO object identifier in dotted form: `1.2.246.21`.
pub(super) fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    let numeric = |arc: &str| {
        !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc.len() == 1 || !arc.starts_with('0'))
    };
    matches!(arcs.next(), Some("0" | "1" | "2")) && text.contains('.') && arcs.all(numeric)
}

/// A UUID in its usual form.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    (!whole.is_empty() || !fraction.is_empty()) && all_digits(whole) && all_digits(fraction)
}

/// `YYYY`, `YYYYMM` or `YYYYMMDD`, of a day that exists.
fn is_date(text: &str) -> bool {
    let Some(year) = number(text, 0, 4) else { return false };
    match text.len() {
        4 => true,
        6 => number(text, 4, 6).is_some_and(|month| (1..=12).contains(&month)),
        8 => {
            let (Some(month), Some(day)) = (number(text, 4, 6), number(text, 6, 8)) else { return false };
            (1..=days(year, month)).contains(&day)
        }
        _ => false,
    }
}

fn is_stamp(text: &str) -> bool {
    let (local, zone) = split_zone(text);
    if !zone.is_none_or(is_zone) {
        return false;
    }
    match local.split_at_checked(8) {
        Some((date, "")) => is_date(date),
        Some((date, time)) => is_date(date) && is_time(time),
        None => is_date(local),
    }
}

/// `HH`, `HHMM`, `HHMMSS` or `HHMMSS.S` with up to four decimals.
fn is_time(text: &str) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let within = |from, to, limit| number(whole, from, to).is_some_and(|part| part < limit);
    let sound = match whole.len() {
        2 => within(0, 2, 24),
        4 => within(0, 2, 24) && within(2, 4, 60),
        6 => within(0, 2, 24) && within(2, 4, 60) && within(4, 6, 60),
        _ => false,
    };
    let decimals = |fraction: &str| {
        whole.len() == 6 && (1..=4).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit())
    };
    sound && fraction.is_none_or(decimals)
}

fn split_zone(text: &str) -> (&str, Option<&str>) {
    match text.find(['+', '-']).and_then(|at| text.split_at_checked(at)) {
        Some((local, zone)) => (local, Some(zone)),
        None => (text, None),
    }
}

/// `+0200`.
fn is_zone(zone: &str) -> bool {
    zone.len() == 5
        && number(zone, 1, 3).is_some_and(|hours| hours <= 14)
        && number(zone, 3, 5).is_some_and(|minutes| minutes < 60)
}

fn number(text: &str, from: usize, to: usize) -> Option<u32> {
    let digits = text.get(from..to)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

const fn days(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}
