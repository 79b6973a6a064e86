//! `silta package`: FHIR packages, and the definitions compiled from them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use silta_engine::package::archive::{File, Limits, read_tgz};
use silta_engine::package::compiler::compile;
use silta_engine::package::library::{Library, Unusable};

use super::{DONE, USAGE};

/// Looks into FHIR packages, and compiles definitions.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  silta package list hl7.fhir.fi.base-2.0.0-rc2.tgz\n  silta package compile --output profiles/r4/core.bin hl7.fhir.r4.core.tgz"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Compiles the core package of a FHIR version into the form that the program carries.
    Compile {
        /// Where to write.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// The package: a .tgz or a folder.
        package: PathBuf,
    },
    /// Lists the definitions of a package: type, canonical, version.
    List {
        /// The package: a .tgz, a folder or one definition.
        package: PathBuf,
    },
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.action {
        Action::Compile { output, package } => files(package).and_then(|files| {
            let compiled = compile(&files).map_err(|error| io::Error::other(error.to_string()))?;
            std::fs::write(output, compiled)
        }),
        Action::List { package } => list(package),
    };
    match done {
        Ok(()) => DONE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            USAGE
        }
    }
}

fn list(package: &Path) -> io::Result<()> {
    let mut library = Library::empty();
    for unusable in load(&mut library, package)? {
        writeln!(io::stderr(), "{}: {}", unusable.file, unusable.reason)?;
    }
    let mut out = io::stdout().lock();
    for resource_type in
        ["StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "Questionnaire", "SearchParameter"]
    {
        for (url, one) in library.all(resource_type) {
            writeln!(out, "{resource_type} {url} {}", one.version)?;
        }
    }
    Ok(())
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// The files of a package: a `.tgz`, a folder (or its `package` folder), or one file.
fn files(path: &Path) -> io::Result<Vec<File>> {
    let metadata = std::fs::metadata(path).map_err(|error| named(path, error))?;
    if metadata.is_dir() {
        let inner = path.join("package");
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let mut found = Vec::new();
        folder_files(&folder, "", &mut found)?;
        found.sort_by(|one, two| one.name.cmp(&two.name));
        return Ok(found);
    }
    let content = std::fs::read(path).map_err(|error| named(path, error))?;
    if content.starts_with(&[0x1f, 0x8b]) {
        return read_tgz(&content, Limits::default()).map_err(|error| named(path, error));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(vec![File { name, content }])
}

fn folder_files(folder: &Path, prefix: &str, found: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|error| named(folder, error))? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Links are not followed.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folder_files(&entry.path(), &format!("{name}/"), found)?;
        } else if kind.is_file() {
            let content = std::fs::read(entry.path()).map_err(|error| named(&entry.path(), error))?;
            found.push(File { name, content });
        }
    }
    Ok(())
}

/// Adds a package to a library; gives what in it cannot be used.
pub(super) fn load(library: &mut Library, path: &Path) -> io::Result<Vec<Unusable>> {
    Ok(library.add_package(&files(path)?))
}
