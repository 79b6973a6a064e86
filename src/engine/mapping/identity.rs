//! Names for what a document speaks of: the same provider, map, entry and key always have the same URN.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The namespace of the URNs: version 5 of `urn:oid:2.25` names below it.
const NAMESPACE: [u8; 16] =
    [0x6b, 0x1f, 0x3c, 0x52, 0x0d, 0x9a, 0x5e, 0x77, 0x9c, 0x41, 0x2f, 0xd8, 0x3a, 0x64, 0xb0, 0x15];

/// `urn:uuid:` and the version 5 UUID (RFC 9562) of provider, map, entry and key.
pub(crate) fn url(provider: &str, map: &str, entry: &str, key: &str) -> String {
    let mut hash = Sha1::new_with_prefix(NAMESPACE);
    for part in [provider, map, entry, key] {
        hash.update(part);
        hash.update([0x1f]);
    }
    let hash = hash.finalize();
    let mut uuid = [0_u8; 16];
    for (to, from) in uuid.iter_mut().zip(hash) {
        *to = from;
    }
    if let Some(byte) = uuid.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x50;
    }
    if let Some(byte) = uuid.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let mut text = String::with_capacity(45);
    text.push_str("urn:uuid:");
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push_hex(&mut text, *byte);
    }
    text
}

/// A personal identifier under the key of the deployment: 160 bits in hexadecimal.
pub(crate) fn keyed(secret: &[u8], text: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return digest(text.as_bytes()) };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes(), 20)
}

/// The first 160 bits of a SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes), 20)
}

fn hex(bytes: &[u8], count: usize) -> String {
    let mut text = String::with_capacity(count * 2);
    for byte in bytes.iter().take(count) {
        push_hex(&mut text, *byte);
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
}
