//! Conformance resources at hand, by canonical: several versions side by side.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::definitions::Model;
use crate::fhir::document::{Document, Limits};

use super::archive::File;

/// A resource with a canonical: a profile, value set, code system, questionnaire.
#[derive(Debug)]
pub struct Canonical {
    /// Its canonical without version.
    pub url: String,
    /// Its version; empty when it has none.
    pub version: String,
    /// Its content.
    pub content: Value,
}

impl Canonical {
    /// Its type: `StructureDefinition`.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        self.content.get("resourceType").and_then(Value::as_str).unwrap_or("")
    }
}

/// What could not be taken from a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The file within its package.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The resources of all packages that were loaded.
#[derive(Debug, Default, Clone)]
pub struct Library {
    by_url: FxHashMap<String, Vec<Arc<Canonical>>>,
}

macro_rules! builtin {
    ($($file:literal),* $(,)?) => {
        [$(($file, include_str!(concat!("../../../profiles/", $file)))),*]
    };
}

/// The profiles that are part of the program, by realm.
const BUILT_IN: [(&str, &str); 12] = builtin![
    "fi/CodeSystem-care-team-role.json",
    "fi/StructureDefinition-care-goal.json",
    "fi/StructureDefinition-client-plan.json",
    "fi/StructureDefinition-coordination-task.json",
    "fi/StructureDefinition-fi-municipality.json",
    "fi/StructureDefinition-fi-patient.json",
    "fi/StructureDefinition-integrated-care-team.json",
    "fi/StructureDefinition-service-referral.json",
    "hl7/StructureDefinition-cda-negationInd.json",
    "hl7/StructureDefinition-cda-valueNegationInd.json",
    "hl7/StructureDefinition-v2-confirmation.json",
    "hl7/StructureDefinition-v2-deleted.json",
];

/// The realms whose profiles are part of the program: the folders that they stand in.
pub fn realms() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    // What maps write in all realms is of none.
    let of_realms = BUILT_IN.iter().filter(|(file, _)| !file.starts_with("hl7/"));
    of_realms.filter_map(|(file, _)| file.split_once('/')).filter_map(move |(realm, _)| {
        let is_new = realm != last;
        last = realm;
        is_new.then_some(realm)
    })
}

/// The profiles of resources in a realm: resource type → canonicals. Nothing where there is no such realm.
#[must_use]
pub fn realm_profiles(realm: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in BUILT_IN {
        if file.split_once('/').is_none_or(|(folder, _)| folder != realm) {
            continue;
        }
        let Ok(content) = serde_json::from_str::<Value>(text) else { continue };
        let text = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or("");
        if text("resourceType") == "StructureDefinition" && text("kind") == "resource" {
            found.entry(text("type").to_owned()).or_default().push(text("url").to_owned());
        }
    }
    found
}

impl Library {
    /// Nothing but the core, which is in the [`Model`].
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The profiles that are part of the program.
    #[must_use]
    pub fn built_in() -> Self {
        let mut library = Self::default();
        for (_, text) in BUILT_IN {
            // A test reads every one of them.
            if let Ok(value) = serde_json::from_str(text) {
                library.add(value);
            }
        }
        library
    }

    /// Adds the definitions of a package. What is no definition is passed over; what cannot be read is told.
    pub fn add_package(&mut self, files: &[File]) -> Vec<Unusable> {
        let mut unusable = Vec::new();
        for file in files {
            let name = file.name.rsplit('/').next().unwrap_or(&file.name);
            let extension = Path::new(name).extension().and_then(std::ffi::OsStr::to_str);
            // Folders hold examples and other things that are no definitions.
            if file.name.contains('/')
                || name.starts_with('.')
                || name == "package.json"
                || !matches!(extension, Some("json" | "xml"))
            {
                continue;
            }
            if let Err(reason) = self.add_file(&file.content) {
                unusable.push(Unusable { file: file.name.clone(), reason });
            }
        }
        unusable
    }

    /// Adds a definition from its text, JSON or XML. A Bundle adds what its entries hold.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn add_file(&mut self, content: &[u8]) -> Result<(), String> {
        self.add(Self::read(content)?);
        Ok(())
    }

    /// A definition from its text, JSON or XML.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(content: &[u8]) -> Result<Value, String> {
        let is_xml = content.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf));
        if is_xml == Some(&b'<') {
            let document = Document::from_xml(Model::r4(), content.to_vec(), &Limits::default())
                .map_err(|error| error.to_string())?;
            serde_json::from_str(document.json()).map_err(|error| error.to_string())
        } else {
            let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
            serde_json::from_slice::<Value>(content).map_err(|error| error.to_string())
        }
    }

    /// Adds a resource, and those of its entries if it is a Bundle. Without a url it is not added.
    pub fn add(&mut self, content: Value) {
        if content.get("resourceType").and_then(Value::as_str) == Some("Bundle") {
            for entry in content.get("entry").and_then(Value::as_array).into_iter().flatten() {
                if let Some(resource) = entry.get("resource") {
                    self.add(resource.clone());
                }
            }
            return;
        }
        let text = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (url, version) = (text("url"), text("version"));
        if url.is_empty() {
            return;
        }
        let held = self.by_url.entry(url.clone()).or_default();
        held.retain(|other| {
            other.version != version || other.content.get("resourceType") != content.get("resourceType")
        });
        held.push(Arc::new(Canonical { url, version, content }));
    }

    /// The resource of a type by `url` or `url|version`. Without a version the highest; where the version asked is not
    /// there, nothing.
    #[must_use]
    pub fn find(&self, resource_type: &str, canonical: &str) -> Option<&Arc<Canonical>> {
        let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
        let url = url.split('#').next().unwrap_or(url);
        let held = self.by_url.get(url)?.iter().filter(|one| one.resource_type() == resource_type);
        match version {
            Some(version) => {
                let mut held = held;
                held.find(|one| one.version == version || one.version.starts_with(&format!("{version}.")))
            }
            None => held.max_by_key(|one| version_key(&one.version)),
        }
    }

    /// The versions at hand of a resource of a type, the highest first.
    #[must_use]
    pub fn versions(&self, resource_type: &str, url: &str) -> Vec<&str> {
        let held = self.by_url.get(url).into_iter().flatten().filter(|one| one.resource_type() == resource_type);
        let mut versions: Vec<&str> = held.map(|one| one.version.as_str()).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version_key(version)));
        versions
    }

    /// All resources of a type, by canonical.
    #[must_use]
    pub fn all(&self, resource_type: &str) -> BTreeMap<&str, &Arc<Canonical>> {
        self.by_url
            .iter()
            .flat_map(|(url, held)| held.iter().map(move |one| (url.as_str(), one)))
            .filter(|(_, one)| one.resource_type() == resource_type)
            .collect()
    }
}

/// Versions compare by their numbers, and a release comes after its candidates.
fn version_key(version: &str) -> (Vec<u64>, bool) {
    let (numbers, label) = version.split_once('-').map_or((version, ""), |(numbers, label)| (numbers, label));
    (numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect(), label.is_empty())
}
