//! Patterns of file names: written for files that are dropped, read for files that are collected.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A pattern such as `orders-{sequence:6}.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Sequence {
        width: usize,
    },
    Date,
    Time,
    Type,
    Kind,
    /// Any text, for collecting: `{any}`.
    Any,
}

/// What a name is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The number of the file.
    pub sequence: u64,
    /// When it is written.
    pub now: Timestamp,
    /// The FHIR resource type.
    pub resource_type: &'a str,
    /// The kind of native document.
    pub kind: &'a str,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("`{{{after}` is not closed"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match name.split_once(':').unwrap_or((name, "")) {
                ("sequence", "") => Piece::Sequence { width: 0 },
                ("sequence", width) => {
                    let width = width.parse().ok().filter(|w| (1..=19).contains(w));
                    Piece::Sequence { width: width.ok_or("the width of {sequence} is a number from 1 to 19")? }
                }
                ("date", "") => Piece::Date,
                ("time", "") => Piece::Time,
                ("type", "") => Piece::Type,
                ("kind", "") => Piece::Kind,
                ("any", "") => Piece::Any,
                _ => return Err(format!("`{{{name}}}` is not known: use sequence, date, time, type, kind or any")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let texts = pieces.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
        if texts.clone().any(|text| text.contains(['/', '\\', '\0', '}'])) {
            return Err("a file name has no slashes or braces".to_owned());
        }
        match pieces.first() {
            None => Err("a file name is not empty".to_owned()),
            Some(Piece::Text(text)) if text.starts_with('.') => {
                Err("a name that begins with a dot is hidden".to_owned())
            }
            Some(_) => Ok(Self(pieces)),
        }
    }

    /// Whether names differ by their number.
    #[must_use]
    pub fn has_sequence(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Sequence { .. }))
    }

    /// Whether it can write names; `{any}` only reads them.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.0.contains(&Piece::Any)
    }

    /// The name of one file.
    #[must_use]
    pub fn name(&self, parts: &Parts<'_>) -> String {
        let now = parts.now.to_zoned(TimeZone::UTC);
        // What comes from elsewhere cannot leave the folder or hide the file.
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
        };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Sequence { width } => format!("{:0width$}", parts.sequence, width = *width),
            Piece::Date => now.strftime("%Y%m%d").to_string(),
            Piece::Time => now.strftime("%H%M%S").to_string(),
            Piece::Type => plain(parts.resource_type),
            Piece::Kind => plain(parts.kind),
            Piece::Any => String::new(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Whether a name is of this pattern, and its number where the pattern has one.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Option<u64>> {
        fn read(pieces: &[Piece], name: &str) -> Option<Option<u64>> {
            let Some((first, rest)) = pieces.split_first() else { return name.is_empty().then_some(None) };
            let digits = |count: usize| {
                let (number, after) = name.split_at_checked(count)?;
                number.bytes().all(|b| b.is_ascii_digit()).then_some((number, after))
            };
            match first {
                Piece::Text(text) => read(rest, name.strip_prefix(text.as_str())?),
                Piece::Date => read(rest, digits(8)?.1),
                Piece::Time => read(rest, digits(6)?.1),
                Piece::Sequence { width } => {
                    let most = name.bytes().take_while(u8::is_ascii_digit).count().min(19);
                    (1.max(*width)..=most).rev().find_map(|count| {
                        let (number, after) = digits(count)?;
                        read(rest, after).map(|_| number.parse().ok())
                    })
                }
                Piece::Type | Piece::Kind | Piece::Any => {
                    name.char_indices().map(|(at, _)| at).chain([name.len()]).find_map(|at| read(rest, name.get(at..)?))
                }
            }
        }
        read(&self.0, name)
    }
}
