//! `silta secret`: a new bearer secret for a caller.

use std::io::{self, Write};

use clap::Args;

use super::{DONE, FAILED};
use crate::access::secret::{SecretHash, secret};

/// Makes a bearer secret for a caller, and the hash of it for the configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  silta secret\n\nThe secret goes to the caller, who sends it as `Authorization: Bearer SECRET`; it \
                        is shown only now.\nThe hash goes into [access.caller.NAME] secret_hash."
)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> u8 {
    match print() {
        Ok(()) => DONE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "no secret could be made: {error}");
            FAILED
        }
    }
}

fn print() -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let secret = secret(random);
    let hash = SecretHash::of(&secret).ok_or_else(|| io::Error::other("the secret is not of its own form"))?;
    let mut out = io::stdout();
    writeln!(out, "secret {secret}")?;
    writeln!(out, "hash   {}", hash.text())
}
