//! The rule by which resource ids are made.

use sha2::{Digest, Sha256};

use super::id::{AssignedId, NativeKey, leading};

/// `{provider}.{native}` where that is a FHIR id, else a hash of both in base32 (160 bits).
pub(super) fn assign(
    provider: &str,
    native: &str,
    kind: NativeKey,
    keyed: impl FnOnce(&[u8]) -> [u8; 32],
) -> AssignedId {
    let plain = format!("{provider}.{native}");
    if kind == NativeKey::Plain && !native.is_empty() && is_id(&plain) {
        return AssignedId { id: plain, hashed: false };
    }
    let mut text = Vec::with_capacity(plain.len() + 8);
    text.extend_from_slice(&u64::try_from(provider.len()).unwrap_or(u64::MAX).to_be_bytes());
    text.extend_from_slice(provider.as_bytes());
    text.extend_from_slice(native.as_bytes());
    let hash: [u8; 32] = match kind {
        NativeKey::Plain => Sha256::digest(&text).into(),
        NativeKey::Personal => keyed(&text),
    };
    AssignedId { id: base32(&leading::<20>(&hash)), hashed: true }
}

fn is_id(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// RFC 4648 base32 in lower case without padding: its alphabet is within what a FHIR id allows.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(8).div_ceil(5));
    let (mut held, mut bits) = (0_u32, 0_u32);
    let digit = |value: u32| match u8::try_from(value & 31).unwrap_or_default() {
        low @ 0..=25 => char::from(b'a' + low),
        high => char::from(b'2' + (high - 26)),
    };
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}
