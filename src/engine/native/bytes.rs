//! The bytes of a document, as text where they are UTF-8: what is checked once need not be checked for each value.

use std::ops::{Deref, Range};

use super::charset::Charset;

#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    /// In UTF-8, or in a character set that is ASCII as far as it goes.
    Text(String),
    /// In another character set.
    Other(Vec<u8>),
}

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>, charset: Charset) -> Self {
        if charset != Charset::Utf8 && !bytes.is_ascii() {
            return Self::Other(bytes);
        }
        String::from_utf8(bytes).map_or_else(|error| Self::Other(error.into_bytes()), Self::Text)
    }

    /// What stands in a range, where the bytes are text.
    pub(crate) fn text(&self, range: Range<usize>) -> Option<&str> {
        match self {
            Self::Text(text) => text.get(range),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}
