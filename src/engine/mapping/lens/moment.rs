//! Dates and times: HL7 v2 DTM, ISO 8601, and dates in a site's own pattern.
//!
//! A native time without a zone is in the provider's; a FHIR time always has one. What is written keeps the native
//! precision and habit: a value that had no zone gets none, one that had no seconds gets none where they are zero.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use super::{Fidelity, Got, Out, Put, Texts, Uncarried};
use crate::mapping::context::Context;

/// What the FHIR element can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `date`: to the day at most.
    Day,
    /// `dateTime`: a year, a month, a day, or a time with seconds and zone.
    Any,
    /// `instant`: a time with seconds and zone.
    Instant,
}

/// A point in time to some precision.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Time {
    hour: i8,
    minute: Option<i8>,
    second: Option<i8>,
    /// Digits after the point, as written.
    fraction: String,
    zone: Option<Offset>,
    /// `Z` or `-00:00` rather than `+00:00`.
    zulu: bool,
}

const DTM: &str = "a date or time as YYYY[MM[DD[HH[MM[SS[.S]]]]]][+ZZZZ]";
const ISO: &str = "a date or time as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS+ZZ:ZZ";

impl Moment {
    /// A real date and time of day?
    fn checked(self, expected: &'static str) -> Result<Self, Uncarried> {
        let real = civil::Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).is_ok()
            && self
                .time
                .as_ref()
                .is_none_or(|t| civil::Time::new(t.hour, t.minute.unwrap_or(0), t.second.unwrap_or(0), 0).is_ok());
        if real && self.year > 0 { Ok(self) } else { Err(Uncarried::new(expected)) }
    }

    fn from_dtm(text: &str) -> Result<Self, Uncarried> {
        let wrong = || Uncarried::new(DTM);
        let text = text.trim();
        let (body, zone) = match text.find(['+', '-']) {
            Some(at) => text.split_at_checked(at).ok_or_else(wrong)?,
            None => (text, ""),
        };
        let (digits, fraction) = body.split_once('.').unwrap_or((body, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !plain(digits) || !plain(fraction) || (body.contains('.') && (fraction.is_empty() || digits.len() != 14)) {
            return Err(wrong());
        }
        if !matches!(digits.len(), 4 | 6 | 8 | 10 | 12 | 14) {
            return Err(wrong());
        }
        let two = |from: usize| digits.get(from..from + 2).and_then(|d| d.parse::<i8>().ok());
        let year = digits.get(..4).and_then(|d| d.parse().ok()).ok_or_else(wrong)?;
        let zone = match zone {
            "" => None,
            zone => Some(offset(zone.get(..1), zone.get(1..3), zone.get(3..5), zone.len() == 5).ok_or_else(wrong)?),
        };
        let time = two(8).map(|hour| Time {
            hour,
            minute: two(10),
            second: two(12),
            fraction: fraction.to_owned(),
            zone,
            zulu: false,
        });
        Self { year, month: two(4), day: two(6), time }.checked(DTM)
    }

    fn from_iso(text: &str) -> Result<Self, Uncarried> {
        let wrong = || Uncarried::new(ISO);
        let (date, time) = match text.split_once(['T', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let field = |part: &str, length: usize| {
            (part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<i16>().ok())
                .flatten()
        };
        let year = parts.next().and_then(|p| field(p, 4)).ok_or_else(wrong)?;
        let mut next = || -> Result<Option<i8>, Uncarried> {
            match parts.next() {
                None => Ok(None),
                Some(p) => field(p, 2).and_then(|n| i8::try_from(n).ok()).map(Some).ok_or_else(wrong),
            }
        };
        let month = next()?;
        let day = next()?;
        if next()?.is_some() || (time.is_some() && day.is_none()) {
            return Err(wrong());
        }
        let time = time.map(Self::iso_time).transpose()?;
        Self { year, month, day, time }.checked(ISO)
    }

    fn iso_time(text: &str) -> Result<Time, Uncarried> {
        let wrong = || Uncarried::new(ISO);
        let (clock, zone, zulu) = if let Some(clock) = text.strip_suffix(['Z', 'z']) {
            (clock, Some(Offset::UTC), true)
        } else if let Some(at) = text.find(['+', '-']) {
            let (clock, zone) = text.split_at_checked(at).ok_or_else(wrong)?;
            let known = zone.len() == 6 && zone.get(3..4) == Some(":");
            (clock, Some(offset(zone.get(..1), zone.get(1..3), zone.get(4..6), known).ok_or_else(wrong)?), false)
        } else {
            (text, None, false)
        };
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut parts = clock
            .split(':')
            .map(|p| (p.len() == 2 && p.bytes().all(|b| b.is_ascii_digit())).then(|| p.parse::<i8>().ok()).flatten());
        let hour = parts.next().flatten().ok_or_else(wrong)?;
        let minute = parts.next().map(|p| p.ok_or_else(wrong)).transpose()?;
        let second = parts.next().map(|p| p.ok_or_else(wrong)).transpose()?;
        if parts.next().is_some() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        Ok(Time { hour, minute, second, fraction: fraction.to_owned(), zone, zulu })
    }

    fn date(&self) -> Option<civil::Date> {
        civil::Date::new(self.year, self.month?, self.day?).ok()
    }

    fn civil(&self) -> Option<civil::DateTime> {
        let time = self.time.as_ref()?;
        let time = civil::Time::new(time.hour, time.minute.unwrap_or(0), time.second.unwrap_or(0), 0).ok()?;
        Some(self.date()?.to_datetime(time))
    }

    /// The zone it is in: its own, or the provider's at that moment.
    fn zone(&self, cx: &Context) -> Option<Offset> {
        let time = self.time.as_ref()?;
        match time.zone {
            Some(zone) => Some(zone),
            None => Some(cx.zone().to_ambiguous_zoned(self.civil()?).compatible().ok()?.offset()),
        }
    }

    /// The same moment in the provider's own time.
    fn local(&self, cx: &Context) -> Option<Self> {
        let time = self.time.as_ref()?;
        let instant = TimeZone::fixed(time.zone?).to_timestamp(self.civil()?).ok()?;
        let there = instant.to_zoned(cx.zone());
        Some(Self {
            year: there.year(),
            month: Some(there.month()),
            day: Some(there.day()),
            time: Some(Time {
                hour: there.hour(),
                minute: Some(there.minute()),
                second: Some(there.second()),
                ..time.clone()
            }),
        })
    }

    fn iso_date(&self) -> String {
        let mut text = String::with_capacity(25);
        let year = self.year.clamp(0, 9999);
        for part in [year / 100, year % 100] {
            two_digits(&mut text, i8::try_from(part).unwrap_or(0));
        }
        for part in [self.month, self.day].into_iter().map_while(|part| part) {
            text.push('-');
            two_digits(&mut text, part);
        }
        text
    }

    /// As FHIR writes it.
    fn fhir(&self, precision: Precision, cx: &Context) -> Result<Got<'static>, Uncarried> {
        let Some(time) = &self.time else {
            return match precision {
                Precision::Instant => Err(Uncarried::new("a time to the second, since the FHIR element is an instant")),
                _ => Ok(Got::exact(self.iso_date())),
            };
        };
        if precision == Precision::Day {
            return Ok(Got::approximated(self.iso_date()));
        }
        let zone = self.zone(cx).ok_or_else(|| Uncarried::new("a time that exists in the provider's zone"))?;
        let mut text = self.iso_date();
        for (before, part) in [('T', time.hour), (':', time.minute.unwrap_or(0)), (':', time.second.unwrap_or(0))] {
            text.push(before);
            two_digits(&mut text, part);
        }
        if !time.fraction.is_empty() {
            text.push('.');
            text.push_str(&time.fraction);
        }
        if time.zulu {
            text.push('Z');
        } else {
            text.push_str(&written(zone, ":"));
        }
        // Nobody said which zone it is in.
        let known = time.zone.is_some() || cx.zone.is_some();
        Ok(if known { Got::exact(text) } else { Got::approximated(text) })
    }
}

fn offset(sign: Option<&str>, hours: Option<&str>, minutes: Option<&str>, whole: bool) -> Option<Offset> {
    let hours: i32 = hours?.parse().ok()?;
    let minutes: i32 = minutes?.parse().ok()?;
    if !whole || hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Offset::from_seconds(if sign? == "-" { -seconds } else { seconds }).ok()
}

fn written(zone: Offset, colon: &str) -> String {
    let seconds = zone.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    let mut text = String::with_capacity(6);
    text.push(sign);
    two_digits(&mut text, i8::try_from(minutes / 60).unwrap_or(0));
    text.push_str(colon);
    two_digits(&mut text, i8::try_from(minutes % 60).unwrap_or(0));
    text
}

/// A number below 100 with two digits.
fn two_digits(text: &mut String, number: i8) {
    let number = number.unsigned_abs();
    text.push(char::from(b'0' + number / 10 % 10));
    text.push(char::from(b'0' + number % 10));
}

/// The zone that an HL7 v2 time names.
pub(crate) fn zone_of(text: &str) -> Option<TimeZone> {
    Moment::from_dtm(text).ok()?.time?.zone.map(TimeZone::fixed)
}

pub(super) fn dtm_get(text: &str, precision: Precision, cx: &Context) -> Result<Got<'static>, Uncarried> {
    Moment::from_dtm(text)?.fhir(precision, cx)
}

pub(super) fn dtm_put(value: &str, precision: Precision, old: &Texts<'_>, cx: &Context) -> Result<Put, Uncarried> {
    let new = Moment::from_iso(value)?;
    let old = old.first().and_then(Option::as_deref).and_then(|t| Moment::from_dtm(t).ok());
    let zoneless = old.as_ref().is_some_and(|o| o.time.as_ref().is_some_and(|t| t.zone.is_none()));
    let coarse = |part: fn(&Time) -> Option<i8>| {
        old.as_ref().is_some_and(|o| o.time.as_ref().is_some_and(|t| part(t).is_none()))
    };
    let new = if zoneless { new.local(cx).unwrap_or(new) } else { new };
    let mut text = format!("{:04}", new.year);
    for part in [new.month, new.day].into_iter().flatten() {
        text.push_str(&format!("{part:02}"));
    }
    if let Some(time) = new.time.as_ref().filter(|_| precision != Precision::Day) {
        text.push_str(&format!("{:02}", time.hour));
        let second = time.second.unwrap_or(0);
        let no_seconds = coarse(|t| t.second) && second == 0 && time.fraction.is_empty();
        let no_minutes = coarse(|t| t.minute) && no_seconds && time.minute.unwrap_or(0) == 0;
        if !no_minutes {
            text.push_str(&format!("{:02}", time.minute.unwrap_or(0)));
            if !no_seconds {
                text.push_str(&format!("{second:02}"));
                if !time.fraction.is_empty() {
                    text.push('.');
                    text.push_str(&time.fraction);
                }
            }
        }
        if !zoneless && let Some(zone) = time.zone {
            text.push_str(&written(zone, ""));
        }
    }
    Ok(Put::exact(text))
}

pub(super) fn iso_get(text: &str, precision: Precision, cx: &Context) -> Result<Got<'static>, Uncarried> {
    Moment::from_iso(text)?.fhir(precision, cx)
}

pub(super) fn iso_put(value: &str, precision: Precision, old: &Texts<'_>, cx: &Context) -> Result<Put, Uncarried> {
    let new = Moment::from_iso(value)?;
    if precision == Precision::Day && new.time.is_some() {
        return Err(Uncarried::new("a date"));
    }
    let old = old.first().and_then(Option::as_deref).and_then(|t| Moment::from_iso(t).ok());
    let zoneless = old.as_ref().is_some_and(|o| o.time.as_ref().is_some_and(|t| t.zone.is_none()));
    if !zoneless {
        return Ok(Put::exact(value));
    }
    let Some(local) = new.local(cx) else { return Ok(Put::exact(value)) };
    let Some(time) = &local.time else { return Ok(Put::exact(value)) };
    let short = old.is_some_and(|o| o.time.is_some_and(|t| t.second.is_none()));
    let mut text = format!("{}T{:02}:{:02}", local.iso_date(), time.hour, time.minute.unwrap_or(0));
    if !short || time.second.unwrap_or(0) != 0 || !time.fraction.is_empty() {
        text.push_str(&format!(":{:02}", time.second.unwrap_or(0)));
        if !time.fraction.is_empty() {
            text.push('.');
            text.push_str(&time.fraction);
        }
    }
    Ok(Put::exact(text))
}

/// A date or time pattern: `d.M.yyyy`, `dd.MM.yyyy`, `yyyyMMdd`, `HH:mm`, `H.mm.ss`; what is no pattern letter stands
/// for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A field and the digits it is filled up to.
    Field(char, usize),
    Literal(char),
}

impl Pattern {
    /// Compiles a pattern; `None` when it has a letter run that is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut tokens: Vec<Token> = Vec::new();
        for c in text.chars() {
            match tokens.last_mut() {
                Some(Token::Field(letter, width)) if *letter == c => *width += 1,
                _ if matches!(c, 'd' | 'M' | 'y' | 'H' | 'm' | 's') => tokens.push(Token::Field(c, 1)),
                _ if c.is_alphanumeric() => return None,
                _ => tokens.push(Token::Literal(c)),
            }
        }
        let sound = tokens.iter().all(|t| match t {
            Token::Field('y', width) => *width == 4,
            Token::Field(_, width) => *width <= 2,
            Token::Literal(_) => true,
        });
        (sound && !tokens.is_empty()).then(|| Self { text: text.to_owned(), tokens })
    }

    /// As the map writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn read(&self, text: &str) -> Option<Vec<(char, i16)>> {
        let mut rest = text.trim();
        let mut fields = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Literal(c) => rest = rest.strip_prefix(*c)?,
                Token::Field(letter, width) => {
                    let most = if *letter == 'y' { 4 } else { 2 };
                    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                    if digits < *width {
                        return None;
                    }
                    let (number, after) = rest.split_at_checked(digits)?;
                    fields.push((*letter, number.parse().ok()?));
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(fields)
    }

    fn write(&self, value: impl Fn(char) -> i16) -> String {
        let mut text = String::new();
        for token in &self.tokens {
            match token {
                Token::Literal(c) => text.push(*c),
                Token::Field(letter, width) => text.push_str(&format!("{:0width$}", value(*letter), width = *width)),
            }
        }
        text
    }

    fn wrong(&self) -> Uncarried {
        Uncarried::new(format!("a value as {}", self.text))
    }
}

fn of(fields: &[(char, i16)], letter: char) -> Option<i16> {
    fields.iter().find(|(l, _)| *l == letter).map(|(_, n)| *n)
}

fn small(fields: &[(char, i16)], letter: char) -> Option<i8> {
    of(fields, letter).and_then(|n| i8::try_from(n).ok())
}

fn read_date(text: &str, pattern: &Pattern) -> Result<Moment, Uncarried> {
    let fields = pattern.read(text).ok_or_else(|| pattern.wrong())?;
    let year = of(&fields, 'y').ok_or_else(|| pattern.wrong())?;
    let time = small(&fields, 'H').map(|hour| Time {
        hour,
        minute: small(&fields, 'm'),
        second: small(&fields, 's'),
        fraction: String::new(),
        zone: None,
        zulu: false,
    });
    let moment = Moment { year, month: small(&fields, 'M'), day: small(&fields, 'd'), time };
    moment.checked("a date that exists")
}

fn write_date(moment: &Moment, pattern: &Pattern) -> String {
    let time = moment.time.as_ref();
    pattern.write(|letter| match letter {
        'y' => moment.year,
        'M' => moment.month.map_or(1, i16::from),
        'd' => moment.day.map_or(1, i16::from),
        'H' => time.map_or(0, |t| i16::from(t.hour)),
        'm' => time.and_then(|t| t.minute).map_or(0, i16::from),
        _ => time.and_then(|t| t.second).map_or(0, i16::from),
    })
}

pub(super) fn date_get(
    text: &str,
    pattern: &Pattern,
    precision: Precision,
    cx: &Context,
) -> Result<Got<'static>, Uncarried> {
    read_date(text, pattern)?.fhir(precision, cx)
}

pub(super) fn date_put(value: &str, pattern: &Pattern, _: Precision, cx: &Context) -> Result<Put, Uncarried> {
    let moment = Moment::from_iso(value)?;
    let timed = pattern.tokens.iter().any(|t| matches!(t, Token::Field('H', _)));
    let moment = moment.local(cx).unwrap_or(moment);
    if moment.day.is_none() || (timed && moment.time.is_none()) {
        return Err(Uncarried::new("a date to the day"));
    }
    // A time that the column cannot hold is lost, and said to be.
    let fidelity = if timed || moment.time.is_none() { Fidelity::Exact } else { Fidelity::Approximated };
    Ok(Put { outs: vec![Out::Set(write_date(&moment, pattern))], fidelity })
}

pub(super) fn date_time_get(
    date: &Pattern,
    time: &Pattern,
    precision: Precision,
    from: &Texts<'_>,
    cx: &Context,
) -> Result<Option<Got<'static>>, Uncarried> {
    let Some(day) = from.first().and_then(Option::as_deref) else { return Ok(None) };
    let mut moment = read_date(day, date)?;
    if let Some(clock) = from.get(1).and_then(Option::as_deref) {
        let fields = time.read(clock).ok_or_else(|| time.wrong())?;
        moment.time = Some(Time {
            hour: small(&fields, 'H').ok_or_else(|| time.wrong())?,
            minute: small(&fields, 'm'),
            second: small(&fields, 's'),
            fraction: String::new(),
            zone: None,
            zulu: false,
        });
        moment = moment.checked("a time of day that exists")?;
    }
    moment.fhir(precision, cx).map(Some)
}

pub(super) fn date_time_put(value: &str, date: &Pattern, time: &Pattern, cx: &Context) -> Result<Put, Uncarried> {
    let moment = Moment::from_iso(value)?;
    let moment = moment.local(cx).unwrap_or(moment);
    if moment.day.is_none() {
        return Err(Uncarried::new("a date to the day"));
    }
    let seconds = time.tokens.iter().any(|t| matches!(t, Token::Field('s', _)));
    let (clock, fidelity) = match &moment.time {
        None => (Out::Clear, Fidelity::Exact),
        Some(t) => {
            let lost = !t.fraction.is_empty() || (!seconds && t.second.unwrap_or(0) != 0);
            let fidelity = if lost { Fidelity::Approximated } else { Fidelity::Exact };
            (Out::Set(write_date(&moment, time)), fidelity)
        }
    };
    Ok(Put { outs: vec![Out::Set(write_date(&moment, date)), clock], fidelity })
}

/// Whether two FHIR dates or times say the same: the same text, or the same instant to the same precision.
pub(crate) fn same_moment(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (Ok(a), Ok(b)) = (Moment::from_iso(a), Moment::from_iso(b)) else { return false };
    let key = |m: &Moment| {
        let time = m.time.as_ref()?;
        let fraction = time.fraction.trim_end_matches('0').to_owned();
        Some((TimeZone::fixed(time.zone?).to_timestamp(m.civil()?).ok()?, fraction))
    };
    matches!((key(&a), key(&b)), (Some(a), Some(b)) if a == b)
}
