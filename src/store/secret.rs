//! The store's key, and the hashes made with it: identifiers of persons are stored only as such.

use std::io::{Read, Write};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::id::leading;
use super::sqlite::private_file;

/// Random bytes for keys, handed in so that tests are repeatable: fills the slice.
pub type Random = dyn Fn(&mut [u8]) -> std::io::Result<()> + Send + Sync;

/// A key, and keys derived from it for single purposes.
#[derive(Clone)]
pub(super) struct Secret {
    master: [u8; 32],
    identity: [u8; 32],
    audit: [u8; 32],
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads the key; makes one for a fresh database where there is none. A file that is not whole is an error, never replaced.
    pub(super) fn load(path: &Path, fresh: bool, random: &Random) -> Result<Self, StoreError> {
        let mut file = private_file(path)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(33).read_to_end(&mut bytes).map_err(StoreError::File)?;
        if bytes.is_empty() && fresh {
            let mut made = [0_u8; 32];
            random(&mut made).map_err(StoreError::File)?;
            file.write_all(&made).and_then(|()| file.sync_all()).map_err(StoreError::File)?;
            if let Some(folder) = path.parent() {
                std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::File)?;
            }
            bytes = made.to_vec();
        }
        let master: [u8; 32] = bytes.try_into().map_err(|_| StoreError::WrongKey)?;
        Ok(Self { identity: hmac(&master, &[b"identity"]), audit: hmac(&master, &[b"audit"]), master })
    }

    /// By this a database knows its key again.
    pub(super) fn check(&self) -> [u8; 32] {
        hmac(&self.master, &[b"check"])
    }

    /// A key for a purpose outside the store.
    pub(super) fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac(&self.master, &[b"purpose:", purpose.as_bytes()])
    }

    /// A keyed hash of these texts; how they are divided matters.
    pub(super) fn keyed<const N: usize>(&self, texts: &[&str]) -> [u8; N] {
        let lengths: Vec<[u8; 8]> =
            texts.iter().map(|text| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes()).collect();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(texts.len().saturating_mul(2));
        for (length, text) in lengths.iter().zip(texts) {
            parts.push(length);
            parts.push(text.as_bytes());
        }
        leading(&hmac(&self.identity, &parts))
    }

    /// The keyed hash behind an id.
    pub(super) fn named(&self, text: &[u8]) -> [u8; 32] {
        hmac(&self.identity, &[b"native:", text])
    }

    /// The next hash of the audit chain.
    pub(super) fn chained(&self, before: &[u8; 32], rows: &[u8]) -> [u8; 32] {
        hmac(&self.audit, &[before, rows])
    }
}

/// HMAC-SHA-256 (RFC 2104) with a 32-byte key.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the hash's block is filled with zeros, by the definition of HMAC.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The hash of an identifier's system, which is no secret; empty where there is none.
pub(super) fn system_hash(system: Option<&str>) -> Vec<u8> {
    system.map_or_else(Vec::new, |system| leading::<8>(&Sha256::digest(system)).to_vec())
}
