//! Facets as they stand in a row.

use jiff::Timestamp;

use super::facet::{Facet, FacetValue};

/// Facets as bytes: for each, a kind, then its texts, each after its length (32 bits, big end first).
pub(super) fn encode(facets: &[Facet]) -> Vec<u8> {
    let mut out = Vec::with_capacity(facets.len().saturating_mul(32));
    for facet in facets {
        match &facet.value {
            FacetValue::Token { system: None, code } => {
                out.push(0);
                text(&mut out, &facet.name);
                text(&mut out, code);
            }
            FacetValue::Token { system: Some(system), code } => {
                out.push(1);
                text(&mut out, &facet.name);
                text(&mut out, system);
                text(&mut out, code);
            }
            FacetValue::Reference(target) => {
                out.push(2);
                text(&mut out, &facet.name);
                text(&mut out, target);
            }
            FacetValue::Interval { from, to } => {
                out.push(3);
                text(&mut out, &facet.name);
                out.extend_from_slice(&from.as_microsecond().to_be_bytes());
                out.extend_from_slice(&to.as_microsecond().to_be_bytes());
            }
            FacetValue::Text(value) => {
                out.push(4);
                text(&mut out, &facet.name);
                text(&mut out, value);
            }
        }
    }
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`encode`] wrote; `None` when it is not that.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Facet>> {
    let from = &mut bytes;
    let mut facets = Vec::new();
    while let Some((kind, rest)) = from.split_first() {
        *from = rest;
        let name = taken_text(from)?;
        let value = match kind {
            0 => FacetValue::Token { system: None, code: taken_text(from)? },
            1 => FacetValue::Token { system: Some(taken_text(from)?), code: taken_text(from)? },
            2 => FacetValue::Reference(taken_text(from)?),
            3 => FacetValue::Interval { from: taken_time(from)?, to: taken_time(from)? },
            4 => FacetValue::Text(taken_text(from)?),
            _ => return None,
        };
        facets.push(Facet { name, value });
    }
    Some(facets)
}

fn taken_text(from: &mut &[u8]) -> Option<String> {
    let (length, rest) = from.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *from = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

fn taken_time(from: &mut &[u8]) -> Option<Timestamp> {
    let (time, rest) = from.split_first_chunk()?;
    *from = rest;
    let time = i64::from_be_bytes(*time);
    // The ends of time have digits below the second that microseconds cannot bring back.
    let end = if time < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Some(Timestamp::from_microsecond(time).unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_without_an_end_is_read_as_it_was_written() {
        let facets = [
            Facet::interval("date", Timestamp::UNIX_EPOCH, Timestamp::MAX),
            Facet::interval("period", Timestamp::MIN, Timestamp::UNIX_EPOCH),
            Facet::token("status", None, "active"),
        ];
        assert_eq!(decode(&encode(&facets)).as_deref(), Some(&facets[..]));
    }
}
