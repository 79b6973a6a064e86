//! The character sets that the organisations write in.

/// ISO 8859-1, as the hospital writes it. What it lacks is a mistake of the demo's own texts.
pub(super) fn to_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

pub(super) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The letters of windows-1252 that ISO 8859-1 has controls for, as far as the home-care provider uses them.
const WINDOWS: [(char, u8); 4] = [('€', 0x80), ('–', 0x96), ('”', 0x94), ('…', 0x85)];

pub(super) fn to_windows1252(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| match WINDOWS.iter().find(|(known, _)| *known == letter) {
            Some((_, byte)) => *byte,
            None => u8::try_from(u32::from(letter)).unwrap_or(b'?'),
        })
        .collect()
}

pub(super) fn from_windows1252(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match WINDOWS.iter().find(|(_, known)| known == byte) {
            Some((letter, _)) => *letter,
            None => char::from(*byte),
        })
        .collect()
}

/// A text cut to a width, with an ellipsis where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}
