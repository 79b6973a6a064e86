//! HL7 v2 as the hospital's system writes and reads it: its own few lines, not the gateway's.

use super::events::{Broken, ensure};
use super::text;

/// A message as the hospital reads it.
#[derive(Debug, Clone)]
pub(super) struct Message {
    lines: Vec<String>,
}

impl Message {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let latin = text::from_latin1(bytes);
        let decoded = match std::str::from_utf8(bytes) {
            Ok(utf8) if !latin.contains("|8859/1") => utf8.to_owned(),
            _ => latin,
        };
        Self { lines: decoded.split('\r').filter(|line| !line.is_empty()).map(str::to_owned).collect() }
    }

    /// The lines of the segments of a name.
    pub(super) fn lines<'m>(&'m self, segment: &'m str) -> impl Iterator<Item = &'m str> {
        self.lines.iter().map(String::as_str).filter(move |line| line.starts_with(segment))
    }

    /// A field of the first segment of a name, as it stands there; empty where it is not there.
    pub(super) fn field(&self, segment: &str, number: usize) -> &str {
        let Some(line) = self.lines.iter().find(|line| line.starts_with(segment)) else { return "" };
        // MSH-1 is the separator itself.
        let place = if segment == "MSH" { number.saturating_sub(1) } else { number };
        line.split('|').nth(place).unwrap_or("")
    }

    /// A component of the first repetition of a field.
    pub(super) fn component(&self, segment: &str, field: usize, component: usize) -> &str {
        let first = self.field(segment, field).split('~').next().unwrap_or("");
        first.split('^').nth(component.saturating_sub(1)).unwrap_or("")
    }

    /// The whole of it, in one line.
    pub(super) fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// MSH-9 as `RRI^I12`.
    pub(super) fn event(&self) -> String {
        format!("{}^{}", self.component("MSH", 9, 1), self.component("MSH", 9, 2))
    }

    /// MSA-1, or what stands in its ERR segments where it is not the code expected.
    pub(super) fn answers(&self, what: &str, code: &str) -> Result<(), Broken> {
        let found = self.field("MSA", 1);
        let errors: Vec<&str> = self.lines("ERR").collect();
        ensure(found == code, format!("MSA-1 of {what} is {found}, expected {code} {}", errors.join(" ")))
    }

    /// Whether a text stands in any segment of a name.
    pub(super) fn says(&self, segment: &str, text: &str) -> bool {
        self.lines(segment).any(|line| line.contains(text))
    }
}

/// A text with the characters escaped that separate (HL7 v2.5.1 §2.7).
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            '\\' => out.push_str("\\E\\"),
            other => out.push(other),
        }
    }
    out
}

/// The first line of a message.
pub(super) struct Envelope<'e> {
    pub(super) kind: &'e str,
    pub(super) control: &'e str,
    pub(super) time: &'e str,
    /// MSH-15 and MSH-16.
    pub(super) wants: (&'e str, &'e str),
    /// MSH-5 and MSH-6.
    pub(super) to: (&'e str, &'e str),
}

impl Envelope<'_> {
    pub(super) fn line(&self) -> String {
        let Self { kind, control, time, wants: (accept, application), to: (application_to, facility_to) } = self;
        format!(
            "MSH|^~\\&|EPJ|SAIRAALA|{application_to}|{facility_to}|{time}||{kind}|{control}|T|2.5.1|||{accept}|{application}|FIN|8859/1"
        )
    }
}
