//! Made-up persons. A Finnish personal identity code numbered 900 to 999 is never issued to anybody.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::provider::Random;

/// A made-up person, with the numbers by which this run's messages are known.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) hetu: String,
    pub(super) family: &'static str,
    pub(super) given: &'static str,
    pub(super) second: &'static str,
    pub(super) born: Date,
    pub(super) street: String,
    pub(super) postal: &'static str,
    pub(super) city: &'static str,
    /// The telephone number that the hospital first knew, and the one that came after.
    pub(super) old_phone: String,
    pub(super) phone: String,
}

const GIVEN: [(&str, &str); 6] = [
    ("Aino", "Maria"),
    ("Helmi", "Johanna"),
    ("Elli", "Annikki"),
    ("Väinö", "Olavi"),
    ("Toivo", "Johannes"),
    ("Onni", "Kalevi"),
];
const FAMILIES: [&str; 6] = ["Näyte", "Koivumäki", "Järvelä", "Mäntykangas", "Särkisalo", "Östman"];
const STREETS: [&str; 4] = ["Mäntytie", "Pihlajakuja", "Säästäjänkatu", "Kallioranta"];
const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

fn any<T: Copy>(random: &Random, of: &[T]) -> Option<T> {
    let place = random.below(u64::try_from(of.len()).unwrap_or(1));
    of.get(usize::try_from(place).unwrap_or(0)).copied()
}

impl Person {
    /// Somebody born between 1935 and 1949.
    pub(super) fn made_up(random: &Random, now: Timestamp) -> Self {
        let small = |bound: u64| i16::try_from(random.below(bound)).unwrap_or(0);
        let (year, month, day) = (1935 + small(15), 1 + small(12), 1 + small(28));
        let born = Date::new(year, i8::try_from(month).unwrap_or(1), i8::try_from(day).unwrap_or(1))
            .unwrap_or_else(|_| now.to_zoned(jiff::tz::TimeZone::UTC).date());
        let (given, second) = any(random, &GIVEN).unwrap_or(("Aino", "Maria"));
        let is_woman = GIVEN.iter().take(3).any(|(name, _)| *name == given);
        // Odd numbers are men's, even ones women's.
        let number = 900 + 2 * random.below(50) + u64::from(!is_woman);
        let phone = || format!("+358 40 555 {:04}", random.below(10_000));
        Self {
            hetu: identity_code(born, number),
            family: any(random, &FAMILIES).unwrap_or("Näyte"),
            given,
            second,
            born,
            street: format!("{} {} B {}", any(random, &STREETS).unwrap_or("Mäntytie"), 1 + small(40), 1 + small(20)),
            postal: "33100",
            city: "Tampere",
            old_phone: phone(),
            phone: phone(),
        }
    }

    /// `F` or `M`, as the number says.
    pub(super) fn sex(&self) -> &'static str {
        let odd = self.hetu.get(9..10).is_some_and(|digit| matches!(digit, "1" | "3" | "5" | "7" | "9"));
        if odd { "M" } else { "F" }
    }

    /// Both given names.
    pub(super) fn names(&self) -> String {
        format!("{} {}", self.given, self.second)
    }
}

/// `DDMMYYCZZZQ` of somebody born in the twentieth century.
fn identity_code(born: Date, number: u64) -> String {
    let day = format!("{:02}{:02}{:02}", born.day(), born.month(), born.year() % 100);
    let digits: u64 = format!("{day}{number:03}").parse().unwrap_or(0);
    let check = usize::try_from(digits % 31).ok().and_then(|place| CHECK.get(place)).copied().unwrap_or(b'0');
    format!("{day}-{number:03}{}", char::from(check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_code_has_the_check_character_of_the_published_rule() {
        // The published example 131052-308T.
        assert_eq!(identity_code(Date::constant(1952, 10, 13), 308), "131052-308T");
    }

    #[test]
    fn persons_are_of_the_series_that_is_never_issued() {
        let random = Random::seeded(7);
        for _ in 0..500 {
            let person = Person::made_up(&random, Timestamp::UNIX_EPOCH);
            let number: u64 = person.hetu.get(7..10).and_then(|digits| digits.parse().ok()).unwrap_or(0);
            assert!((900..=999).contains(&number), "{}", person.hetu);
            assert_eq!(person.sex() == "F", number.is_multiple_of(2));
        }
    }
}
