//! A time of day: HL7 v2 TM (HH[MM[SS[.S]]]) and FHIR time, which has seconds and no zone.

use super::{Got, Put, Texts, Uncarried};

const TM: &str = "a time of day as HH[MM[SS[.S]]], without a zone";

fn part(text: &str, from: usize, below: u8) -> Option<&str> {
    let part = text.get(from..from + 2)?;
    part.parse::<u8>().ok().filter(|n| *n < below && part.bytes().all(|b| b.is_ascii_digit())).map(|_| part)
}

pub(super) fn get(text: &str) -> Result<Got<'static>, Uncarried> {
    let wrong = || Uncarried::new(TM);
    let (digits, fraction) = match text.trim().split_once('.') {
        Some((digits, fraction)) => (digits, Some(fraction)),
        None => (text.trim(), None),
    };
    let fits = match fraction {
        Some(fraction) => digits.len() == 6 && !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit()),
        None => matches!(digits.len(), 2 | 4 | 6),
    };
    if !fits || !digits.is_ascii() {
        return Err(wrong());
    }
    let hour = part(digits, 0, 24).ok_or_else(wrong)?;
    let minute = if digits.len() > 2 { part(digits, 2, 60).ok_or_else(wrong)? } else { "00" };
    let second = if digits.len() > 4 { part(digits, 4, 60).ok_or_else(wrong)? } else { "00" };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    Ok(Got::exact(format!("{hour}:{minute}:{second}{fraction}")))
}

/// As precise as what stood there, where that says the same.
pub(super) fn put(value: &str, old: &Texts<'_>) -> Result<Put, Uncarried> {
    let wrong = || Uncarried::new("a time of day");
    let digits: String = value.chars().filter(|c| *c != ':').collect();
    get(&digits).map_err(|_| wrong())?;
    let was = old.first().and_then(|text| text.as_deref()).map_or(6, |text| text.trim().len());
    let short = match was {
        2 => digits.strip_suffix("0000"),
        4 => digits.strip_suffix("00"),
        _ => None,
    };
    Ok(Put::exact(short.filter(|_| digits.len() == 6).unwrap_or(&digits)))
}
