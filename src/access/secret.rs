//! Bearer secrets: how one looks, how it is kept.
//!
//! A secret has 256 random bits and is made by this program, never chosen by a person: guessing it is out of reach
//! whatever the hash costs. So one SHA-256 is what is kept, a salt would add nothing, and verifying costs less than a
//! look-up in a cache of results would. Texts that are not of the form are refused unhashed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every secret begins with, so that scanners for leaked secrets can know it.
const PREFIX: &str = "silta_";

/// What every kept hash begins with.
const HASH: &str = "sha256:";

/// The secret of these random bytes, as the caller sends it after `Bearer `.
#[must_use]
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The hash of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

/// A text is not the hash of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the hash of a secret: `sha256:` and 64 hexadecimal digits, as `silta secret` prints it")]
pub struct NotAHash;

impl SecretHash {
    /// The hash of a secret; none when the text has not the form of one.
    #[must_use]
    pub fn of(secret: &str) -> Option<Self> {
        let random = URL_SAFE_NO_PAD.decode(secret.strip_prefix(PREFIX)?).ok()?;
        (random.len() == 32).then(|| Self(Sha256::digest(secret.as_bytes()).into()))
    }

    /// Reads a kept hash.
    ///
    /// # Errors
    /// When the text is not of the form.
    pub fn parse(text: &str) -> Result<Self, NotAHash> {
        hex(text.strip_prefix(HASH).ok_or(NotAHash)?).map(Self).ok_or(NotAHash)
    }

    /// The text to be kept.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = HASH.to_owned();
        for byte in self.0 {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Whether both are of the same secret, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// 32 bytes from 64 hexadecimal digits.
pub(super) fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}
