//! Values of a query, read by the kind of their parameter.

use jiff::{SignedDuration, Timestamp};

use crate::definitions::SearchType;
use crate::fhir::datatypes::is_id;

use super::interval::Interval;
use super::parameter::Parameters;

/// One of the alternatives that a parameter is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `code`, `system|code`, `|code` or `system|` (<http://hl7.org/fhir/R4/search.html#token>).
    Token {
        /// `Some(Some(system))`: in this system; `Some(None)`: without one; `None`: in any.
        system: Option<Option<String>>,
        /// The code; none: any of the system.
        code: Option<String>,
    },
    /// `Type/id`, `id` or a URL (<http://hl7.org/fhir/R4/search.html#reference>).
    Reference(ReferenceValue),
    /// A date with how it is compared (<http://hl7.org/fhir/R4/search.html#date>).
    Date {
        /// How.
        prefix: Prefix,
        /// What the date covers; widened for `ap`.
        interval: Interval,
    },
    /// A string or uri.
    Text(String),
}

/// What a reference is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceValue {
    /// A resource here: its type where that is said, and its id.
    Here {
        /// The type.
        resource_type: Option<&'static str>,
        /// The logical id.
        id: String,
    },
    /// An absolute URL that is not under this interface's base, or a canonical.
    Url(String),
}

/// How a date is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// Equal: within.
    Eq,
    /// Not within.
    Ne,
    /// Greater: ends after.
    Gt,
    /// Less: begins before.
    Lt,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// About: a tenth of the time between now and it either way.
    Ap,
}

const PREFIXES: [(&str, Prefix); 9] = [
    ("eq", Prefix::Eq),
    ("ne", Prefix::Ne),
    ("gt", Prefix::Gt),
    ("lt", Prefix::Lt),
    ("ge", Prefix::Ge),
    ("le", Prefix::Le),
    ("sa", Prefix::Sa),
    ("eb", Prefix::Eb),
    ("ap", Prefix::Ap),
];

/// Reads one alternative, escapes still in it. What is expected, when it is not that.
pub(super) fn value(kind: SearchType, text: &str, base: &str, now: Timestamp) -> Result<Value, &'static str> {
    if text.is_empty() {
        return Err("a value");
    }
    match kind {
        SearchType::Token => token(text),
        SearchType::Reference => reference(&unescaped(text), base).map(Value::Reference),
        SearchType::Date => date(text, now),
        SearchType::String | SearchType::Uri => Ok(Value::Text(unescaped(text))),
        SearchType::Number | SearchType::Composite | SearchType::Quantity | SearchType::Special => {
            Err("a parameter of another kind")
        }
    }
}

/// Reads a token.
pub(super) fn token(text: &str) -> Result<Value, &'static str> {
    let mut parts = split_escaped(text, '|').into_iter();
    let (first, second, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if more.is_some() {
        return Err("a token: code, system|code, |code or system|");
    }
    let some = |text: &str| if text.is_empty() { None } else { Some(unescaped(text)) };
    match second {
        None => Ok(Value::Token { system: None, code: some(first) }),
        Some("") if first.is_empty() => Err("a token: code, system|code, |code or system|"),
        Some(code) => Ok(Value::Token { system: Some(some(first)), code: some(code) }),
    }
}

fn reference(text: &str, base: &str) -> Result<ReferenceValue, &'static str> {
    const EXPECTED: &str = "a reference: Type/id, id or a URL";
    let local = text.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
    if local.contains(':') {
        return Ok(ReferenceValue::Url(text.to_owned()));
    }
    let (resource_type, id) = match local.split_once('/') {
        None => (None, local),
        Some((name, id)) => (Some(Parameters::r4().type_named(name).ok_or(EXPECTED)?), id),
    };
    if !is_id(id) {
        return Err(EXPECTED);
    }
    Ok(ReferenceValue::Here { resource_type, id: id.to_owned() })
}

fn date(text: &str, now: Timestamp) -> Result<Value, &'static str> {
    let found = PREFIXES.iter().find_map(|(name, prefix)| Some((*prefix, text.strip_prefix(name)?)));
    let (prefix, rest) = found.unwrap_or((Prefix::Eq, text));
    // In a query that was not escaped, the `+` of a zone has become a space.
    let mut interval = Interval::parse(&rest.replace(' ', "+"))
        .ok_or("a date: [eq|ne|gt|lt|ge|le|sa|eb|ap]yyyy[-mm[-dd[Thh:mm[:ss][zone]]]]")?;
    if prefix == Prefix::Ap {
        let away = now.duration_since(interval.from).abs();
        let tenth = SignedDuration::from_secs(away.as_secs() / 10);
        interval.from = interval.from.checked_sub(tenth).unwrap_or(Timestamp::MIN);
        interval.to = interval.to.checked_add(tenth).unwrap_or(Timestamp::MAX);
    }
    Ok(Value::Date { prefix, interval })
}

/// Splits at a character that is not behind a backslash (<http://hl7.org/fhir/R4/search.html#escaping>).
pub(super) fn split_escaped(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut escaped, mut from) = (Vec::new(), false, 0);
    for (place, letter) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == at {
            parts.extend(text.get(from..place));
            from = place + at.len_utf8();
        }
    }
    parts.extend(text.get(from..));
    parts
}

pub(super) fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}
