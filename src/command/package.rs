//! `silta package`: FHIR packages, and the definitions compiled from them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use silta_engine::definitions::Model;
use silta_engine::package::archive::{File, Limits, read_tgz};
use silta_engine::package::compiler::compile;
use silta_engine::package::library::Library;
use silta_engine::package::manifest::{Found, Manifest};
use silta_engine::package::snapshot::Generator;

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
    /// Writes a profile in full: its StructureDefinition with a snapshot made from its differential, as JSON. What of the
    /// differential does not fit its base is told on standard error.
    Snapshot {
        /// A package to look in: a .tgz, a folder, or one definition as JSON or XML.
        #[arg(long, value_name = "P")]
        package: Vec<PathBuf>,
        /// The profile: a canonical, with or without |version.
        canonical: String,
    },
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.action {
        Action::Compile { output, package } => files(package).and_then(|files| {
            let compiled = compile(&files).map_err(|error| io::Error::other(error.to_string()))?;
            std::fs::write(output, compiled)
        }),
        Action::List { package } => list(package),
        Action::Snapshot { package, canonical } => snapshot(package, canonical),
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
    let mut packages = Packages::over(Library::empty());
    packages.load(package)?;
    let library = packages.done(&mut io::stderr())?;
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
    let is_packed = path.extension().is_some_and(|extension| extension == "tgz" || extension == "gz");
    if is_packed || content.starts_with(&[0x1f, 0x8b]) {
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

/// Packages loaded for one command, with what they build on.
pub(super) struct Packages {
    library: Library,
    manifests: Vec<Manifest>,
    /// Where the packages named lie: what they build on may lie beside them.
    folders: Vec<PathBuf>,
    /// What lies beside them and was loaded for them.
    found: Vec<PathBuf>,
    notices: Vec<String>,
}

impl Packages {
    /// More than these definitions.
    pub(super) fn over(library: Library) -> Self {
        Self { library, manifests: Vec::new(), folders: Vec::new(), found: Vec::new(), notices: Vec::new() }
    }

    /// Adds a package: a `.tgz`, a folder, or one definition as JSON or XML.
    pub(super) fn load(&mut self, path: &Path) -> io::Result<()> {
        let files = files(path)?;
        if let Some(folder) = path.parent() {
            let folder = folder.to_owned();
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        if let Some(manifest) = Manifest::of(&files) {
            let fhir_version = Model::r4().fhir_version();
            if !manifest.is_for(fhir_version) {
                self.notices.push(format!(
                    "{} {} is for FHIR {}, not {fhir_version}: what differs is not found",
                    manifest.name,
                    manifest.version,
                    manifest.fhir_versions.join(", ")
                ));
            }
            self.manifests.push(manifest);
        }
        for unusable in self.library.add_package(&files) {
            self.notices.push(format!("{}: {}: {}", path.display(), unusable.file, unusable.reason));
        }
        Ok(())
    }

    /// Loads what the packages build on where it lies beside them, tells what stands for it where it does not, and gives the
    /// definitions.
    pub(super) fn done(mut self, notices: &mut impl Write) -> io::Result<Library> {
        while let Some(path) = self.beside() {
            self.load(&path)?;
            self.found.push(path);
        }
        let mut told: Vec<String> = Vec::new();
        for manifest in &self.manifests {
            for (name, version, found) in manifest.resolve(&self.manifests) {
                let says = match found {
                    Found::Loaded | Found::BuiltIn => continue,
                    Found::Other(other) => format!("{name} {version} is not at hand: {other} stands for it"),
                    Found::Absent => {
                        format!("{name} {version} is not at hand: what refers to it is told and not checked")
                    }
                };
                if !told.contains(&says) {
                    told.push(says);
                }
            }
        }
        for line in self.notices.iter().chain(&told) {
            writeln!(notices, "{line}")?;
        }
        Ok(self.library)
    }

    /// A package that is built on, is not loaded, and lies beside one that is: of its version as a `.tgz` or a folder.
    fn beside(&self) -> Option<PathBuf> {
        let absent = self.manifests.iter().flat_map(|manifest| {
            manifest.resolve(&self.manifests).filter(|(.., found)| !matches!(found, Found::Loaded | Found::BuiltIn))
        });
        for (name, version, _) in absent {
            // The name is part of a path, and comes from a package.
            let plain = |text: &str| {
                !text.starts_with('.')
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            };
            if !plain(name) || !plain(version) {
                continue;
            }
            for folder in &self.folders {
                for between in ["-", "#"] {
                    let packed = folder.join(format!("{name}{between}{version}.tgz"));
                    let unpacked = folder.join(format!("{name}{between}{version}"));
                    if packed.is_file() && !self.found.contains(&packed) {
                        return Some(packed);
                    }
                    if unpacked.join("package").is_dir() && !self.found.contains(&unpacked) {
                        return Some(unpacked);
                    }
                }
            }
        }
        None
    }
}

fn snapshot(packages: &[PathBuf], canonical: &str) -> io::Result<()> {
    let mut loaded = Packages::over(Library::built_in());
    for path in packages {
        loaded.load(path)?;
    }
    let library = loaded.done(&mut io::stderr())?;
    let made = Generator::new(Model::r4(), &library)
        .snapshot(canonical)
        .map_err(|error| named(Path::new(canonical), error))?;
    for note in &made.notes {
        writeln!(io::stderr(), "{}: {}", note.element, note.says)?;
    }
    let mut definition = match library.find("StructureDefinition", canonical) {
        Some(found) => found.content.clone(),
        None => json!({"resourceType": "StructureDefinition", "url": canonical}),
    };
    if let Some(definition) = definition.as_object_mut() {
        definition.insert("snapshot".to_owned(), json!({"element": made.elements}));
    }
    writeln!(io::stdout().lock(), "{definition:#}")
}
