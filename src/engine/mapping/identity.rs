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
    let (blocks, rest) = message.as_chunks::<64>();
    for block in blocks {
        take_block(&mut state, block);
    }
    // The rest, a bit, and the length at the end of the last block.
    let mut last = [[0_u8; 64]; 2];
    let bits = (message.len() as u64).wrapping_mul(8).to_be_bytes();
    let used = if rest.len() < 56 { 1 } else { 2 };
    let tail = last.as_flattened_mut();
    for (to, from) in tail.iter_mut().zip(rest.iter().chain(&[0x80])) {
        *to = *from;
    }
    for (to, from) in tail.iter_mut().skip(used * 64 - 8).zip(bits) {
        *to = from;
    }
    for block in last.iter().take(used) {
        take_block(&mut state, block);
    }
    let mut out = [0_u8; 20];
    for (to, from) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = from.to_be_bytes();
    }
    out
}

#[expect(clippy::indexing_slicing, reason = "80 words, and rounds from 0 to 79")]
fn take_block(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0_u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for i in 16..80 {
        words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    let mut round = |f: fn(u32, u32, u32) -> u32, k: u32, words: &[u32]| {
        for word in words {
            let next = a.rotate_left(5).wrapping_add(f(b, c, d)).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
    };
    round(|b, c, d| (b & c) | (!b & d), 0x5a82_7999, &words[..20]);
    round(|b, c, d| b ^ c ^ d, 0x6ed9_eba1, &words[20..40]);
    round(|b, c, d| (b & c) | (b & d) | (c & d), 0x8f1b_bcdc, &words[40..60]);
    round(|b, c, d| b ^ c ^ d, 0xca62_c1d6, &words[60..]);
    for (value, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *value = value.wrapping_add(add);
    }
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
        // Of one block and of two, with and without room for the length.
        let a = |count: usize| hex(&sha1(&vec![b'a'; count]), 20);
        assert_eq!(a(0), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(a(55), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        assert_eq!(a(56), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
        assert_eq!(a(64), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
        assert_eq!(a(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }
}
