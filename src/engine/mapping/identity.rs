//! Names for what a document speaks of: the same provider, map, entry and key always have the same URN.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The namespace of the URNs: version 5 of `urn:oid:2.25` names below it.
const NAMESPACE: [u8; 16] =
    [0x6b, 0x1f, 0x3c, 0x52, 0x0d, 0x9a, 0x5e, 0x77, 0x9c, 0x41, 0x2f, 0xd8, 0x3a, 0x64, 0xb0, 0x15];

/// `urn:uuid:` and the version 5 UUID (RFC 9562) of provider, map, entry and key.
pub(crate) fn url(provider: &str, map: &str, entry: &str, key: &str) -> String {
    let mut name = NAMESPACE.to_vec();
    for part in [provider, map, entry, key] {
        name.extend_from_slice(part.as_bytes());
        name.push(0x1f);
    }
    let hash = sha1(&name);
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
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

/// SHA-1 (FIPS 180-4), which version 5 UUIDs are made with; nothing is protected by it.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = (message.len() as u64).wrapping_mul(8);
    padded.extend_from_slice(&bits.to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> =
            block.chunks_exact(4).map(|w| w.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))).collect();
        for i in 16..80 {
            let at = |n: usize| words.get(i - n).copied().unwrap_or(0);
            words.push((at(3) ^ at(8) ^ at(14) ^ at(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (value, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *value = value.wrapping_add(add);
        }
    }
    let mut out = [0_u8; 20];
    for (to, from) in out.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{hex, sha1};

    #[test]
    fn sha1_gives_the_published_digests() {
        assert_eq!(hex(&sha1(b"abc"), 20), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            hex(&sha1(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), 20),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
    }
}
