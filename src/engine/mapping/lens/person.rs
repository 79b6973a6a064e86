//! Personal identity codes.

use super::{Got, Uncarried};

const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

/// A Finnish personal identity code `DDMMYYCZZZQ`. A wrong form is refused; a wrong check character is noted, since
/// published examples have them.
pub(super) fn hetu(text: &str) -> Result<Got<'_>, Uncarried> {
    let wrong = || Uncarried::new("a personal identity code as DDMMYYCZZZQ");
    let bytes: [u8; 11] = text.as_bytes().try_into().map_err(|_| wrong())?;
    let [d1, d2, m1, m2, y1, y2, century, z1, z2, z3, check] = bytes;
    let digits = [d1, d2, m1, m2, y1, y2, z1, z2, z3];
    let start = match century {
        b'+' => 1800,
        b'-' | b'U'..=b'Y' => 1900,
        b'A'..=b'F' => 2000,
        _ => return Err(wrong()),
    };
    if !digits.iter().all(u8::is_ascii_digit) || !CHECK.contains(&check) {
        return Err(wrong());
    }
    let two = |tens: u8, ones: u8| i8::try_from((tens - b'0') * 10 + (ones - b'0')).unwrap_or(0);
    let year = start + i16::from(two(y1, y2));
    if jiff::civil::Date::new(year, two(m1, m2), two(d1, d2)).is_err() {
        return Err(wrong());
    }
    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    let right = CHECK.get((number % 31) as usize) == Some(&check);
    let note = (!right).then_some("the check character of the personal identity code is wrong");
    Ok(Got { note, ..Got::exact(text) })
}
