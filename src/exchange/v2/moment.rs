//! Times of HL7 v2 headers: `YYYYMMDD[HH[MM[SS[.S…]]]][+ZZZZ]` (HL7 v2.5.1 §2.A.22), for ordering events.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// The instant of a time; one without an offset is in `zone`.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let split = text.find(['+', '-']).unwrap_or(text.len());
    let (moment, offset) = text.split_at_checked(split)?;
    let (digits, fraction) = moment.split_once('.').unwrap_or((moment, ""));
    let part = |from: usize, to: usize, least: i16| -> Option<i16> {
        digits.get(from..to).map_or(Some(least), |text| text.parse().ok())
    };
    if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let small = |value: i16| i8::try_from(value).ok();
    let civil = DateTime::new(
        part(0, 4, 0)?,
        small(part(4, 6, 1)?)?,
        small(part(6, 8, 1)?)?,
        small(part(8, 10, 0)?)?,
        small(part(10, 12, 0)?)?,
        small(part(12, 14, 0)?)?,
        nanos,
    )
    .ok()?;
    let zone = if offset.is_empty() { zone.clone() } else { TimeZone::fixed(offset_of(offset)?) };
    zone.to_ambiguous_zoned(civil).compatible().ok().map(|zoned| zoned.timestamp())
}

fn offset_of(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4).map_or(Some(0), |text| text.parse().ok())?;
    let seconds = hours * 3600 + minutes * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

/// An instant as MSH-7: seconds, with the offset of `zone`.
pub(crate) fn write(now: Timestamp, zone: &TimeZone) -> String {
    now.to_zoned(zone.clone()).strftime("%Y%m%d%H%M%S%z").to_string()
}
