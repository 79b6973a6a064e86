//! Dates as the half-open intervals that they cover.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// From the first instant to the first instant after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

impl Interval {
    /// The whole of time that dates can name: from the year 1 to the last second that a [`Timestamp`] holds in whole
    /// seconds, so that stores that count in larger units keep it.
    pub const ALWAYS: Self =
        Self { from: Timestamp::constant(-62_135_596_800, 0), to: Timestamp::constant(253_402_207_199, 0) };

    /// What a date, dateTime, instant, or a date of a search covers: a year, month, day, minute, second or less. What has
    /// no zone is taken as UTC. Nothing when the text is none of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
        let mut numbers = date.split('-');
        let year = digits(numbers.next()?, 4)?;
        let month = numbers.next().map(|month| digits(month, 2)).map_or(Some(None), |month| month.map(Some))?;
        let day = numbers.next().map(|day| digits(day, 2)).map_or(Some(None), |day| day.map(Some))?;
        if numbers.next().is_some() {
            return None;
        }
        let one = |number: Option<i16>| i8::try_from(number.unwrap_or(1)).ok();
        let first = Date::new(year, one(month)?, one(day)?).ok()?;
        let Some(time) = time else {
            let length: Span = if day.is_some() {
                1.day()
            } else if month.is_some() {
                1.month()
            } else {
                1.year()
            };
            let from = first.to_datetime(Time::midnight());
            return Some(Self {
                from: utc(from)?,
                to: from.checked_add(length).ok().and_then(utc).unwrap_or(Self::ALWAYS.to),
            });
        };
        day?;
        let (clock, offset) = zone(time)?;
        let mut numbers = clock.splitn(3, ':');
        let hour = i8::try_from(digits(numbers.next()?, 2)?).ok()?;
        let minute = i8::try_from(digits(numbers.next()?, 2)?).ok()?;
        let (second, nanos, length): (i8, i32, Span) = match numbers.next() {
            None => (0, 0, 1.minute()),
            Some(seconds) => {
                let (whole, fraction) =
                    seconds.split_once('.').map_or((seconds, None), |(whole, part)| (whole, Some(part)));
                let whole = i8::try_from(digits(whole, 2)?).ok()?;
                let (nanos, length) = match fraction {
                    None => (0, 1.second()),
                    Some(part) => fraction_of(part)?,
                };
                // A leap second is written as 60; clocks have none.
                (whole.min(59), nanos, length)
            }
        };
        let local = DateTime::from_parts(first, Time::new(hour, minute, second, nanos).ok()?);
        let from = utc(local)?.checked_sub(offset).ok()?;
        let to = utc(local.checked_add(length).ok()?)?.checked_sub(offset).unwrap_or(Self::ALWAYS.to);
        Some(Self { from, to })
    }

    /// The smallest interval that covers both.
    #[must_use]
    pub fn until(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// Whether the other lies in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// Whether they have an instant in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

fn utc(local: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(local).ok()
}

fn digits(text: &str, length: usize) -> Option<i16> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Nanoseconds of a fraction of a second, and how long the last digit is.
fn fraction_of(part: &str) -> Option<(i32, Span)> {
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = part.get(..part.len().min(9))?;
    let unit = 10_i32.pow(9 - u32::try_from(kept.len()).ok()?);
    Some((kept.parse::<i32>().ok()?.checked_mul(unit)?, i64::from(unit).nanoseconds()))
}

/// The time without its zone, and the zone's offset.
fn zone(time: &str) -> Option<(&str, Span)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, 0.hours()));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0.hours())) };
    let (clock, offset) = time.split_at_checked(at)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let minutes = i64::from(digits(hours, 2)?) * 60 + i64::from(digits(minutes, 2)?);
    if minutes > 14 * 60 {
        return None;
    }
    Some((clock, if sign == "-" { (-minutes).minutes() } else { minutes.minutes() }))
}
