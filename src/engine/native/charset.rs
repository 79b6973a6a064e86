//! Character sets of native documents: strict both ways, never guessed.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

/// A character set in which ASCII bytes are ASCII characters (so that separators can be found without decoding).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Charset {
    /// US-ASCII: seven bits.
    #[serde(rename = "us-ascii", alias = "ascii")]
    Ascii,
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1 proper: the bytes are the code points (0x80–0x9F are controls, not Windows' punctuation).
    #[serde(rename = "iso-8859-1")]
    Iso8859_1,
    /// ISO 8859-2, Central European.
    #[serde(rename = "iso-8859-2")]
    Iso8859_2,
    /// ISO 8859-3, South European.
    #[serde(rename = "iso-8859-3")]
    Iso8859_3,
    /// ISO 8859-4, North European.
    #[serde(rename = "iso-8859-4")]
    Iso8859_4,
    /// ISO 8859-5, Cyrillic.
    #[serde(rename = "iso-8859-5")]
    Iso8859_5,
    /// ISO 8859-6, Arabic.
    #[serde(rename = "iso-8859-6")]
    Iso8859_6,
    /// ISO 8859-7, Greek.
    #[serde(rename = "iso-8859-7")]
    Iso8859_7,
    /// ISO 8859-8, Hebrew.
    #[serde(rename = "iso-8859-8")]
    Iso8859_8,
    /// ISO 8859-9, Turkish.
    #[serde(rename = "iso-8859-9")]
    Iso8859_9,
    /// ISO 8859-10, Nordic (has the Sámi letters).
    #[serde(rename = "iso-8859-10")]
    Iso8859_10,
    /// ISO 8859-15: 8859-1 with the euro sign.
    #[serde(rename = "iso-8859-15")]
    Iso8859_15,
    /// Windows-1252; its five undefined bytes are refused.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

const WINDOWS_1252_UNDEFINED: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];
/// The six places where ISO 8859-9 differs from 8859-1.
const TURKISH: [(u8, char); 6] = [(0xD0, 'Ğ'), (0xDD, 'İ'), (0xDE, 'Ş'), (0xF0, 'ğ'), (0xFD, 'ı'), (0xFE, 'ş')];

impl Charset {
    /// The name by IANA.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ascii => "US-ASCII",
            Self::Utf8 => "UTF-8",
            Self::Iso8859_1 => "ISO-8859-1",
            Self::Iso8859_2 => "ISO-8859-2",
            Self::Iso8859_3 => "ISO-8859-3",
            Self::Iso8859_4 => "ISO-8859-4",
            Self::Iso8859_5 => "ISO-8859-5",
            Self::Iso8859_6 => "ISO-8859-6",
            Self::Iso8859_7 => "ISO-8859-7",
            Self::Iso8859_8 => "ISO-8859-8",
            Self::Iso8859_9 => "ISO-8859-9",
            Self::Iso8859_10 => "ISO-8859-10",
            Self::Iso8859_15 => "ISO-8859-15",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// The set of a name as in an XML declaration or a configuration; letter case does not matter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        const ALL: [Charset; 14] = [
            Charset::Ascii,
            Charset::Utf8,
            Charset::Iso8859_1,
            Charset::Iso8859_2,
            Charset::Iso8859_3,
            Charset::Iso8859_4,
            Charset::Iso8859_5,
            Charset::Iso8859_6,
            Charset::Iso8859_7,
            Charset::Iso8859_8,
            Charset::Iso8859_9,
            Charset::Iso8859_10,
            Charset::Iso8859_15,
            Charset::Windows1252,
        ];
        ALL.into_iter().find(|set| set.name().eq_ignore_ascii_case(name))
    }

    /// The set of an MSH-18 code (HL7 table 0211). `UTF-8` and the IANA names are tolerated beside the table's codes.
    #[must_use]
    pub fn of_hl7(code: &str) -> Option<Self> {
        Some(match code.trim() {
            "ASCII" | "ISO IR6" | "ISO IR 6" => Self::Ascii,
            "8859/1" | "ISO IR100" | "ISO IR 100" => Self::Iso8859_1,
            "8859/2" | "ISO IR101" | "ISO IR 101" => Self::Iso8859_2,
            "8859/3" | "ISO IR109" | "ISO IR 109" => Self::Iso8859_3,
            "8859/4" | "ISO IR110" | "ISO IR 110" => Self::Iso8859_4,
            "8859/5" | "ISO IR144" | "ISO IR 144" => Self::Iso8859_5,
            "8859/6" | "ISO IR127" | "ISO IR 127" => Self::Iso8859_6,
            "8859/7" | "ISO IR126" | "ISO IR 126" => Self::Iso8859_7,
            "8859/8" | "ISO IR138" | "ISO IR 138" => Self::Iso8859_8,
            "8859/9" | "ISO IR148" | "ISO IR 148" => Self::Iso8859_9,
            "8859/15" => Self::Iso8859_15,
            "UNICODE UTF-8" | "UTF-8" | "UTF8" | "ISO IR192" | "ISO IR 192" => Self::Utf8,
            other => return Self::named(other),
        })
    }

    /// The MSH-18 code of the set (HL7 table 0211), where the table has one.
    #[must_use]
    pub const fn hl7_code(self) -> Option<&'static str> {
        Some(match self {
            Self::Ascii => "ASCII",
            Self::Utf8 => "UNICODE UTF-8",
            Self::Iso8859_1 => "8859/1",
            Self::Iso8859_2 => "8859/2",
            Self::Iso8859_3 => "8859/3",
            Self::Iso8859_4 => "8859/4",
            Self::Iso8859_5 => "8859/5",
            Self::Iso8859_6 => "8859/6",
            Self::Iso8859_7 => "8859/7",
            Self::Iso8859_8 => "8859/8",
            Self::Iso8859_9 => "8859/9",
            Self::Iso8859_15 => "8859/15",
            Self::Iso8859_10 | Self::Windows1252 => return None,
        })
    }

    fn table(self) -> Option<&'static Encoding> {
        Some(match self {
            Self::Ascii | Self::Utf8 | Self::Iso8859_1 | Self::Iso8859_9 => return None,
            Self::Iso8859_2 => encoding_rs::ISO_8859_2,
            Self::Iso8859_3 => encoding_rs::ISO_8859_3,
            Self::Iso8859_4 => encoding_rs::ISO_8859_4,
            Self::Iso8859_5 => encoding_rs::ISO_8859_5,
            Self::Iso8859_6 => encoding_rs::ISO_8859_6,
            Self::Iso8859_7 => encoding_rs::ISO_8859_7,
            Self::Iso8859_8 => encoding_rs::ISO_8859_8,
            Self::Iso8859_10 => encoding_rs::ISO_8859_10,
            Self::Iso8859_15 => encoding_rs::ISO_8859_15,
            Self::Windows1252 => encoding_rs::WINDOWS_1252,
        })
    }

    /// Whether the bytes are valid; else the offset of the first that is not.
    ///
    /// # Errors
    /// The offset of the first byte that the set does not have.
    pub fn check(self, bytes: &[u8]) -> Result<(), usize> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).map(|_| ()).map_err(|e| e.valid_up_to()),
            Self::Iso8859_1 | Self::Iso8859_9 => Ok(()),
            Self::Ascii => bytes.iter().position(|b| !b.is_ascii()).map_or(Ok(()), Err),
            Self::Windows1252 => {
                bytes.iter().position(|b| !b.is_ascii() && WINDOWS_1252_UNDEFINED.contains(b)).map_or(Ok(()), Err)
            }
            _ => bytes
                .iter()
                .position(|b| !b.is_ascii() && self.character(std::slice::from_ref(b)).is_none())
                .map_or(Ok(()), Err),
        }
    }

    fn character(self, byte: &[u8]) -> Option<char> {
        let text = self.table()?.decode_without_bom_handling_and_without_replacement(byte)?;
        text.chars().next()
    }

    /// The text of bytes that [`check`](Self::check) has passed; `None` where it would not.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        if self == Self::Utf8 || bytes.is_ascii() {
            return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        }
        match self {
            Self::Utf8 | Self::Ascii => None,
            Self::Iso8859_1 => Some(bytes.iter().map(|b| char::from(*b)).collect()),
            Self::Iso8859_9 => Some(
                bytes
                    .iter()
                    .map(|b| TURKISH.iter().find(|(t, _)| t == b).map_or_else(|| char::from(*b), |(_, c)| *c))
                    .collect(),
            ),
            _ => {
                self.check(bytes).ok()?;
                self.table()?.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    /// The bytes of a character, appended; false where the set does not have it.
    pub(crate) fn push(self, c: char, out: &mut Vec<u8>) -> bool {
        if c.is_ascii() || self == Self::Utf8 {
            let mut buffer = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            return true;
        }
        match self {
            Self::Ascii | Self::Utf8 => false,
            Self::Iso8859_1 => u8::try_from(u32::from(c)).map(|b| out.push(b)).is_ok(),
            Self::Iso8859_9 => {
                if let Some((byte, _)) = TURKISH.iter().find(|(_, t)| *t == c) {
                    out.push(*byte);
                    return true;
                }
                match u8::try_from(u32::from(c)) {
                    Ok(byte) if !TURKISH.iter().any(|(t, _)| *t == byte) => {
                        out.push(byte);
                        true
                    }
                    _ => false,
                }
            }
            _ => {
                let mut buffer = [0; 4];
                let Some(table) = self.table() else { return false };
                let (bytes, _, unmappable) = table.encode(c.encode_utf8(&mut buffer));
                if unmappable || self.check(&bytes).is_err() {
                    return false;
                }
                out.extend_from_slice(&bytes);
                true
            }
        }
    }

    /// Whether the set has the character.
    #[must_use]
    pub fn has(self, c: char) -> bool {
        self.push(c, &mut Vec::new())
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of a character, coarse enough to be told without telling the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharacterClass(&'static str);

impl CharacterClass {
    /// The class of a character: the script or block that it stands in.
    #[must_use]
    pub const fn of(c: char) -> Self {
        Self(match c as u32 {
            0x00..=0x7F => "Basic Latin",
            0x80..=0x9F => "C1 controls",
            0xA0..=0xFF => "Latin-1",
            0x100..=0x17F => "Latin Extended-A",
            0x180..=0x24F => "Latin Extended-B",
            0x1E00..=0x1EFF => "Latin Extended Additional",
            0x250..=0x2AF => "IPA",
            0x300..=0x36F => "combining marks",
            0x370..=0x3FF => "Greek",
            0x400..=0x52F => "Cyrillic",
            0x530..=0x58F => "Armenian",
            0x590..=0x5FF => "Hebrew",
            0x600..=0x6FF => "Arabic",
            0x2000..=0x206F => "general punctuation",
            0x20A0..=0x20CF => "currency signs",
            0x2100..=0x2BFF => "symbols",
            0x3040..=0x30FF => "Kana",
            0x3400..=0x9FFF => "CJK ideographs",
            0xE000..=0xF8FF => "private use",
            0x1F000..=0x1FAFF => "pictographs",
            _ => "another script",
        })
    }
}

impl fmt::Display for CharacterClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
