//! Personal identity codes in URLs.
//!
//! A URL is kept by proxies, browsers and logs, so a personal identity code must not stand in one. Searches have a form
//! by POST (<http://hl7.org/fhir/R4/http.html#search>).

use std::collections::BTreeSet;

use silta_engine::fault::Fault;

use crate::gateway::outcome::Refusal;
use crate::gateway::request::Interaction;

/// Finds personal identity codes: values of the systems configured, and texts of the form of a Finnish one.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct IdentityCodes {
    systems: BTreeSet<String>,
    allowed: bool,
}

impl IdentityCodes {
    /// Looks for these identifier systems; for nothing at all where codes are allowed.
    pub(in crate::gateway) fn new(systems: &[String], allowed: bool) -> Self {
        Self { systems: systems.iter().cloned().collect(), allowed }
    }

    /// Refuses a URL that has one in its path or query, and names the form that does not.
    pub(super) fn refuse_in_url(&self, query: &[(String, String)], interaction: &Interaction) -> Result<(), Refusal> {
        let found = interaction.id().is_some_and(|id| holds_finnish_code(id.as_str()))
            || query.iter().any(|(name, value)| {
                holds_finnish_code(name) || holds_finnish_code(value) || self.names_a_person(value)
            });
        if self.allowed || !found {
            return Ok(());
        }
        let form = interaction
            .resource_type()
            .map_or_else(|| "POST [base]/_search".to_owned(), |kind| format!("POST [base]/{kind}/_search"));
        Err(Refusal::new(
            Fault::BadValue,
            format!(
                "a personal identity code must not stand in a URL: send the search as {form} with Content-Type \
                 application/x-www-form-urlencoded and the parameters in the body"
            ),
        ))
    }

    /// Whether one of the alternatives of a token is `system|…` of a system that identifies persons.
    fn names_a_person(&self, value: &str) -> bool {
        value
            .split(',')
            .filter_map(|token| token.split_once('|'))
            .any(|(system, code)| !code.is_empty() && self.systems.contains(system.trim()))
    }
}

/// Whether the text holds `DDMMYYCZZZQ` standing alone. The check character is not verified: published codes with a wrong
/// one exist, and a mistyped one is still about a person.
pub(in crate::gateway) fn holds_finnish_code(text: &str) -> bool {
    const LENGTH: usize = 11;
    let bytes = text.as_bytes();
    bytes.windows(LENGTH).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let after = bytes.get(at + LENGTH);
        is_finnish_code(window) && ![before, after].into_iter().flatten().any(u8::is_ascii_alphanumeric)
    })
}

fn is_finnish_code(window: &[u8]) -> bool {
    let [d1, d2, m1, m2, y1, y2, century, n1, n2, n3, check] = window else { return false };
    let number = |tens: &u8, ones: &u8| (tens.wrapping_sub(b'0')) * 10 + ones.wrapping_sub(b'0');
    [d1, d2, m1, m2, y1, y2, n1, n2, n3].iter().all(|digit| digit.is_ascii_digit())
        && (1..=31).contains(&number(d1, d2))
        && (1..=12).contains(&number(m1, m2))
        && b"+-ABCDEFUVWXY".contains(&century.to_ascii_uppercase())
        && b"0123456789ABCDEFHJKLMNPRSTUVWXY".contains(&check.to_ascii_uppercase())
}
