//! Checks that the compiled core definitions are of the format this program reads, and says how to make them if not.

use std::path::Path;

#[expect(unreachable_pub, reason = "it is a module of the library, too, which shows it")]
#[path = "definitions/format_version.rs"]
mod format_version;

use format_version::FORMAT_VERSION;

fn main() {
    let core = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/r4/core.bin"));
    println!("cargo::rerun-if-changed={}", core.display());
    println!("cargo::rerun-if-changed=definitions/format_version.rs");
    println!("cargo::rerun-if-env-changed=SILTA_WITHOUT_CORE");
    let Some(out) = std::env::var_os("OUT_DIR") else { return };
    let target = Path::new(&out).join("core.bin");
    let found = std::fs::read(core).unwrap_or_default();
    let version = found.get(8..12).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
    let usable = found.starts_with(b"SILTADEF") && version == Some(FORMAT_VERSION);
    if !usable && std::env::var_os("SILTA_WITHOUT_CORE").is_none() {
        println!(
            "cargo::error=profiles/r4/core.bin is missing or of another format; make it with: SILTA_WITHOUT_CORE=1 cargo run --release \
             -- package compile --output profiles/r4/core.bin PACKAGE (PACKAGE is hl7.fhir.r4.core as .tgz or folder)"
        );
        return;
    }
    if let Err(error) = std::fs::write(&target, if usable { found.as_slice() } else { &[] }) {
        println!("cargo::error=cannot write {}: {error}", target.display());
    }
}
