//! What a package says of itself: name, version, what it builds on
//! (<https://confluence.hl7.org/display/FHIR/NPM+Package+Specification>).

use serde_json::Value;

use super::archive::File;

/// The `package.json` of a FHIR package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `hl7.fhir.fi.base`.
    pub name: String,
    /// `2.0.0-rc2`.
    pub version: String,
    /// The FHIR versions its definitions are for.
    pub fhir_versions: Vec<String>,
    /// What it builds on: name and version, in the order of names.
    pub dependencies: Vec<(String, String)>,
}

/// Where a dependency is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is loaded.
    Loaded,
    /// The definitions of the program stand for it.
    BuiltIn,
    /// Another version of it is loaded and stands for it.
    Other(String),
    /// It is not there: what refers to it is told as not found.
    Absent,
}

impl Manifest {
    /// The manifest among a package's files; nothing when they have none, or none that can be read.
    #[must_use]
    pub fn of(files: &[File]) -> Option<Self> {
        let file = files.iter().find(|file| file.name == "package.json")?;
        let value: Value = serde_json::from_slice(&file.content).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let versions = value.get("fhirVersions").or_else(|| value.get("fhir-version-list"));
        let mut dependencies: Vec<(String, String)> = value
            .get("dependencies")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, version)| (name.clone(), version.as_str().unwrap_or("").to_owned()))
            .collect();
        dependencies.sort();
        Some(Self {
            name: text("name"),
            version: text("version"),
            fhir_versions: versions
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            dependencies,
        })
    }

    /// Whether its definitions are for a version of FHIR; one that says nothing is taken to be.
    #[must_use]
    pub fn is_for(&self, fhir_version: &str) -> bool {
        let minor = |version: &str| version.rsplit_once('.').map_or(version, |(minor, _)| minor).to_owned();
        self.fhir_versions.is_empty() || self.fhir_versions.iter().any(|held| minor(held) == minor(fhir_version))
    }

    /// Where its dependencies are among the packages that are loaded.
    pub fn resolve<'m>(&'m self, loaded: &'m [Self]) -> impl Iterator<Item = (&'m str, &'m str, Found)> {
        self.dependencies
            .iter()
            .map(move |(name, version)| (name.as_str(), version.as_str(), place(name, version, loaded)))
    }
}

fn place(name: &str, version: &str, loaded: &[Manifest]) -> Found {
    if matches!(name, "hl7.fhir.r4.core" | "hl7.fhir.core") && (version.starts_with("4.0") || version == "current") {
        return Found::BuiltIn;
    }
    let mut other = None;
    for held in loaded.iter().filter(|held| held.name == name) {
        let wanted = version.trim_end_matches(".x");
        if held.version == version || held.version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')) {
            return Found::Loaded;
        }
        other = Some(held.version.clone());
    }
    other.map_or(Found::Absent, Found::Other)
}
