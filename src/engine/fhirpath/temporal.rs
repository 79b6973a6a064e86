//! Dates, dateTimes and times of any precision.

use std::cmp::Ordering;
use std::fmt;

use super::decimal::Decimal;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `@2014-01`
    Date,
    /// `@2014-01-25T14:30`
    DateTime,
    /// `@T14:30`
    Time,
}

/// How much is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Year.
    Year,
    /// Month.
    Month,
    /// Day.
    Day,
    /// Hour.
    Hour,
    /// Minute.
    Minute,
    /// Second.
    Second,
    /// With a fraction.
    Fraction,
}

/// A point in time as far as it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temporal {
    /// Which kind.
    pub kind: Kind,
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nano: u32,
    places: u8,
    /// How much of it is given.
    pub precision: Precision,
    /// Minutes east of UTC.
    zone: Option<i16>,
}

struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut value = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u32::from(digit - b'0');
        }
        self.0 = rest;
        Some(value)
    }

    fn two(&mut self, most: u8) -> Option<u8> {
        u8::try_from(self.digits(2)?).ok().filter(|value| *value <= most)
    }

    fn take(&mut self, mark: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == mark => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
}

pub(super) fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days(year: i32, month: u8, day: u8) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: i64) -> (i32, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(0), u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

impl Temporal {
    const fn empty(kind: Kind) -> Self {
        Self {
            kind,
            year: 0,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            nano: 0,
            places: 0,
            precision: Precision::Year,
            zone: None,
        }
    }

    /// `2014`, `2014-01`, `2014-01-25`.
    #[must_use]
    pub fn date(text: &str) -> Option<Self> {
        let mut reader = Reader(text.as_bytes());
        let mut value = Self::empty(Kind::Date);
        value.read_date(&mut reader)?;
        reader.0.is_empty().then_some(value)
    }

    /// A date with or without a time; a date alone is a dateTime of its precision.
    #[must_use]
    pub fn date_time(text: &str) -> Option<Self> {
        let mut reader = Reader(text.as_bytes());
        let mut value = Self::empty(Kind::DateTime);
        value.read_date(&mut reader)?;
        if reader.take(b'T') && !reader.0.is_empty() {
            if value.precision != Precision::Day {
                return None;
            }
            value.read_time(&mut reader)?;
            value.read_zone(&mut reader)?;
        }
        reader.0.is_empty().then_some(value)
    }

    /// `14`, `14:30`, `14:30:14.559`.
    #[must_use]
    pub fn time(text: &str) -> Option<Self> {
        let mut reader = Reader(text.strip_prefix('T').unwrap_or(text).as_bytes());
        let mut value = Self::empty(Kind::Time);
        value.read_time(&mut reader)?;
        reader.0.is_empty().then_some(value)
    }

    fn read_date(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.year = i32::try_from(reader.digits(4)?).ok()?;
        self.precision = Precision::Year;
        if reader.take(b'-') {
            self.month = reader.two(12).filter(|month| *month > 0)?;
            self.precision = Precision::Month;
            if reader.take(b'-') {
                self.day = reader.two(days_in(self.year, self.month)).filter(|day| *day > 0)?;
                self.precision = Precision::Day;
            }
        }
        Some(())
    }

    fn read_time(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.hour = reader.two(24)?;
        self.precision = Precision::Hour;
        if !reader.take(b':') {
            return Some(());
        }
        self.minute = reader.two(59)?;
        self.precision = Precision::Minute;
        if !reader.take(b':') {
            return Some(());
        }
        self.second = reader.two(60)?;
        self.precision = Precision::Second;
        if reader.take(b'.') {
            let count = reader.0.iter().take_while(|digit| digit.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            let mut nano = 0_u32;
            for place in 0..9 {
                let digit = reader.0.get(place).filter(|_| place < count).map_or(0, |digit| digit - b'0');
                nano = nano * 10 + u32::from(digit);
            }
            reader.0 = reader.0.get(count..)?;
            self.nano = nano;
            self.places = u8::try_from(count.min(9)).unwrap_or(9);
            self.precision = Precision::Fraction;
        }
        Some(())
    }

    fn read_zone(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        if reader.take(b'Z') {
            self.zone = Some(0);
            return Some(());
        }
        let sign = if reader.take(b'+') {
            1
        } else if reader.take(b'-') {
            -1
        } else {
            return Some(());
        };
        let hours = i16::from(reader.two(14)?);
        if !reader.take(b':') {
            return None;
        }
        let minutes = i16::from(reader.two(59)?);
        self.zone = Some(sign * (hours * 60 + minutes));
        Some(())
    }

    /// Only its date.
    #[must_use]
    pub fn to_date(self) -> Option<Self> {
        (self.kind != Kind::Time).then(|| Self {
            kind: Kind::Date,
            precision: self.precision.min(Precision::Day),
            ..Self { hour: 0, minute: 0, second: 0, nano: 0, places: 0, zone: None, ..self }
        })
    }

    /// As a dateTime.
    #[must_use]
    pub fn to_date_time(self) -> Option<Self> {
        (self.kind != Kind::Time).then_some(Self { kind: Kind::DateTime, ..self })
    }

    /// Moved to UTC where it has a zone.
    fn in_utc(self) -> Self {
        let Some(zone) = self.zone.filter(|_| self.precision >= Precision::Hour) else { return self };
        let minutes = days(self.year, self.month, self.day) * 1440 + i64::from(self.hour) * 60 + i64::from(self.minute)
            - i64::from(zone);
        let (year, month, day) = civil(minutes.div_euclid(1440));
        let of_day = minutes.rem_euclid(1440);
        Self {
            year,
            month,
            day,
            hour: u8::try_from(of_day / 60).unwrap_or(0),
            minute: u8::try_from(of_day % 60).unwrap_or(0),
            zone: Some(0),
            ..self
        }
    }

    /// Compared as FHIRPath does: nothing when the precision does not suffice to tell.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        if (self.kind == Kind::Time) != (other.kind == Kind::Time) {
            return None;
        }
        let has_time = |one: &Self| one.precision >= Precision::Hour && one.kind == Kind::DateTime;
        if has_time(&self) && has_time(&other) && self.zone.is_some() != other.zone.is_some() {
            return None;
        }
        let (left, right) = (self.in_utc(), other.in_utc());
        let common = left.precision.min(right.precision);
        let parts = |one: &Self| {
            [
                i64::from(one.year),
                i64::from(one.month),
                i64::from(one.day),
                i64::from(one.hour),
                i64::from(one.minute),
                i64::from(one.second) * 1_000_000_000 + i64::from(one.nano),
            ]
        };
        let count = match common {
            Precision::Year => 1,
            Precision::Month => 2,
            Precision::Day => 3,
            Precision::Hour => 4,
            Precision::Minute => 5,
            Precision::Second | Precision::Fraction => 6,
        };
        let order = parts(&left)
            .iter()
            .zip(parts(&right).iter())
            .take(count)
            .map(|(left, right)| left.cmp(right))
            .find(|order| order.is_ne());
        let level = |one: Precision| one.min(Precision::Second);
        match order {
            Some(order) => Some(order),
            None if level(left.precision) == level(right.precision) => Some(Ordering::Equal),
            None => None,
        }
    }

    /// Adds an amount of a calendar unit; nothing when the unit is not one or the value leaves the calendar.
    #[must_use]
    pub fn plus(self, amount: Decimal, unit: Calendar) -> Option<Self> {
        let whole = i64::try_from(amount.truncated()).ok()?;
        match unit {
            Calendar::Year if self.kind != Kind::Time => self.plus_months(whole.checked_mul(12)?),
            Calendar::Month if self.kind != Kind::Time => self.plus_months(whole),
            Calendar::Week if self.kind != Kind::Time => self.plus_days(whole.checked_mul(7)?),
            Calendar::Day if self.kind != Kind::Time => self.plus_days(whole),
            Calendar::Year | Calendar::Month | Calendar::Week | Calendar::Day => None,
            Calendar::Hour => self.plus_nanos(i128::from(whole) * 3_600_000_000_000),
            Calendar::Minute => self.plus_nanos(i128::from(whole) * 60_000_000_000),
            Calendar::Second => self.plus_nanos(i128::from(whole) * 1_000_000_000),
            Calendar::Millisecond => self.plus_nanos(i128::from(whole) * 1_000_000),
        }
    }

    fn plus_months(self, months: i64) -> Option<Self> {
        if self.precision == Precision::Year {
            let year = i32::try_from(i64::from(self.year) + months / 12).ok()?;
            return (1..=9999).contains(&year).then_some(Self { year, ..self });
        }
        let total = i64::from(self.year) * 12 + i64::from(self.month) - 1 + months;
        let year = i32::try_from(total.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        let month = u8::try_from(total.rem_euclid(12) + 1).ok()?;
        Some(Self { year, month, day: self.day.min(days_in(year, month)), ..self })
    }

    fn plus_days(self, count: i64) -> Option<Self> {
        match self.precision {
            Precision::Year => self.plus_months(count / 365 * 12),
            Precision::Month => self.plus_months(count / 30),
            _ => {
                let (year, month, day) = civil(days(self.year, self.month, self.day).checked_add(count)?);
                (1..=9999).contains(&year).then_some(Self { year, month, day, ..self })
            }
        }
    }

    fn plus_nanos(self, count: i128) -> Option<Self> {
        const DAY: i128 = 86_400_000_000_000;
        if self.precision < Precision::Hour {
            return self.plus_days(i64::try_from(count / DAY).ok()?);
        }
        let now = (i128::from(self.hour) * 3600 + i128::from(self.minute) * 60 + i128::from(self.second))
            * 1_000_000_000
            + i128::from(self.nano);
        let total = now.checked_add(count)?;
        let of_day = total.rem_euclid(DAY);
        let shifted =
            if self.kind == Kind::Time { self } else { self.plus_days(i64::try_from(total.div_euclid(DAY)).ok()?)? };
        let seconds = of_day / 1_000_000_000;
        Some(Self {
            hour: u8::try_from(seconds / 3600).ok()?,
            minute: u8::try_from(seconds / 60 % 60).ok()?,
            second: u8::try_from(seconds % 60).ok()?,
            nano: u32::try_from(of_day % 1_000_000_000).ok()?,
            ..shifted
        })
    }

    /// The number of digits that are given: 4 for a year, 17 for a dateTime with milliseconds.
    #[must_use]
    pub fn digits(self) -> u32 {
        let of_date = match self.precision {
            Precision::Year => 4,
            Precision::Month => 6,
            Precision::Day => 8,
            Precision::Hour => 10,
            Precision::Minute => 12,
            Precision::Second => 14,
            Precision::Fraction => 17,
        };
        if self.kind == Kind::Time { of_date - 8 } else { of_date }
    }

    /// The earliest or latest point that it may stand for, in as many digits as asked.
    #[must_use]
    pub fn boundary(self, digits: Option<u32>, high: bool) -> Option<Self> {
        let most = match self.kind {
            Kind::Date => 8,
            Kind::DateTime => 17,
            Kind::Time => 9,
        };
        let digits = digits.unwrap_or(most);
        let of_date = if self.kind == Kind::Time { digits + 8 } else { digits };
        let precision = match of_date {
            4 => Precision::Year,
            6 => Precision::Month,
            8 => Precision::Day,
            10 => Precision::Hour,
            12 => Precision::Minute,
            14 => Precision::Second,
            17 => Precision::Fraction,
            _ => return None,
        };
        let mut value = self;
        let pick = |low, top| if high { top } else { low };
        if self.precision < Precision::Month {
            value.month = pick(1, 12);
        }
        if self.precision < Precision::Day {
            value.day = pick(1, days_in(value.year, value.month));
        }
        if self.precision < Precision::Hour {
            value.hour = pick(0, 23);
        }
        if self.precision < Precision::Minute {
            // The published suite takes the minute of an hour alone to be given as zero.
            value.minute = if self.precision == Precision::Hour { 0 } else { pick(0, 59) };
        }
        if self.precision < Precision::Second {
            value.second = pick(0, 59);
        }
        if self.precision < Precision::Fraction {
            value.nano = if high { 999_000_000 } else { 0 };
            value.places = 3;
        }
        value.precision = precision;
        if precision >= Precision::Hour && value.kind == Kind::Date {
            value.kind = Kind::DateTime;
        }
        if precision < Precision::Hour {
            value.zone = None;
        } else if value.kind == Kind::DateTime && value.zone.is_none() {
            value.zone = Some(if high { -12 * 60 } else { 14 * 60 });
        }
        Some(value)
    }
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// year
    Year,
    /// month
    Month,
    /// week
    Week,
    /// day
    Day,
    /// hour
    Hour,
    /// minute
    Minute,
    /// second
    Second,
    /// millisecond
    Millisecond,
}

impl Calendar {
    /// `year`, `years` and so on.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word.strip_suffix('s').unwrap_or(word) {
            "year" => Self::Year,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "millisecond" => Self::Millisecond,
            _ => return None,
        })
    }

    /// The calendar unit that is the same as a unit of UCUM: not for years and months, which UCUM defines otherwise.
    #[must_use]
    pub fn of_ucum(code: &str) -> Option<Self> {
        Some(match code {
            "wk" => Self::Week,
            "d" => Self::Day,
            "h" => Self::Hour,
            "min" => Self::Minute,
            "s" => Self::Second,
            "ms" => Self::Millisecond,
            _ => return None,
        })
    }
}

impl fmt::Display for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != Kind::Time {
            write!(f, "{:04}", self.year)?;
            if self.precision >= Precision::Month {
                write!(f, "-{:02}", self.month)?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{:02}", self.day)?;
            }
            if self.precision < Precision::Hour {
                return Ok(());
            }
            f.write_str("T")?;
        }
        write!(f, "{:02}", self.hour)?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.second)?;
        }
        if self.precision == Precision::Fraction {
            let digits = format!("{:09}", self.nano);
            write!(f, ".{}", digits.get(..usize::from(self.places)).unwrap_or(&digits))?;
        }
        match self.zone {
            Some(0) => f.write_str("Z"),
            Some(zone) => {
                let sign = if zone < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", zone.abs() / 60, zone.abs() % 60)
            }
            None => Ok(()),
        }
    }
}
