//! The versions of HL7 v2 that the tables know, and how MSH-12 names them.

use std::fmt;

/// A version of HL7 v2 (table 0104), oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the version it names")]
pub enum Version {
    V2_1,
    V2_2,
    V2_3,
    V2_3_1,
    V2_4,
    V2_5,
    V2_5_1,
    V2_6,
    V2_7,
    V2_8,
    V2_8_1,
    V2_8_2,
}

/// What MSH-12 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// A version that the tables know.
    Exact(Version),
    /// A version that they do not know, and the nearest one that they do.
    Nearest(Version),
    /// Empty, or not a version of HL7 v2.
    Unknown,
}

impl Declared {
    /// The version whose tables are read, if the text names any version of HL7 v2.
    #[must_use]
    pub const fn version(self) -> Option<Version> {
        match self {
            Self::Exact(version) | Self::Nearest(version) => Some(version),
            Self::Unknown => None,
        }
    }
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V2_1,
        Self::V2_2,
        Self::V2_3,
        Self::V2_3_1,
        Self::V2_4,
        Self::V2_5,
        Self::V2_5_1,
        Self::V2_6,
        Self::V2_7,
        Self::V2_8,
        Self::V2_8_1,
        Self::V2_8_2,
    ];

    /// As in MSH-12: `2.5.1`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
            Self::V2_3_1 => "2.3.1",
            Self::V2_4 => "2.4",
            Self::V2_5 => "2.5",
            Self::V2_5_1 => "2.5.1",
            Self::V2_6 => "2.6",
            Self::V2_7 => "2.7",
            Self::V2_8 => "2.8",
            Self::V2_8_1 => "2.8.1",
            Self::V2_8_2 => "2.8.2",
        }
    }

    /// The version with exactly this text.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.text() == text)
    }

    /// Reads MSH-12: `2.5.1`, `2.5.1^FIN^…`, `2.3.1 `, `2.0D`. Only the leading number counts, so the message's own
    /// component separator need not be known.
    ///
    /// A version that is not in the tables is read with the newest one that is not newer than it (2.7.1 with 2.7, 2.9
    /// with 2.8.2), since a version only adds to what came before; one older than all with 2.1.
    #[must_use]
    pub fn declared(msh12: &str) -> Declared {
        let text = msh12.trim_start();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let number = text.get(..end).unwrap_or_default();
        if let Some(version) = Self::named(number) {
            return Declared::Exact(version);
        }
        let Some(wanted) = Self::ordinal(number) else {
            return Declared::Unknown;
        };
        let nearest = Self::ALL
            .into_iter()
            .rev()
            .find(|version| Self::ordinal(version.text()).is_some_and(|known| known <= wanted));
        Declared::Nearest(nearest.unwrap_or(Self::V2_1))
    }

    /// Whether this version lies in a range as maps write it, `2.3..2.8`: an end without a patch level takes in all
    /// its patch levels (2.8.2 lies in it).
    #[must_use]
    pub fn within(self, since: Self, until: Self) -> bool {
        since <= self && (self <= until || self.text().starts_with(until.text()))
    }

    /// Whether ERR has the fields 2 to 8 (from 2.5) rather than only ERR-1.
    #[must_use]
    pub fn has_structured_errors(self) -> bool {
        self >= Self::V2_5
    }

    /// `2.5.1` as three numbers; none unless it is a 2.x.
    fn ordinal(number: &str) -> Option<(u16, u16)> {
        let mut parts = number.split('.');
        if parts.next() != Some("2") {
            return None;
        }
        let minor = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        let patch = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        parts.next().is_none().then_some((minor, patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
