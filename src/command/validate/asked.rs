//! The profiles that a caller asks for: a canonical, a file that defines one, or something that stands within such a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use silta_engine::definitions::{Kind, Model};
use silta_engine::package::library::Library;

use crate::command::package::Packages;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// What was asked for, with the files among it loaded and in their place the canonicals that they define.
pub(super) fn canonicals(asked: &[String], packages: &mut Packages) -> io::Result<Vec<String>> {
    asked
        .iter()
        .map(|one| {
            let path = Path::new(one);
            if !path.is_file() {
                return Ok(one.clone());
            }
            let told = |says: &str| io::Error::other(format!("{}: {says}", path.display()));
            let definition = Library::read(&std::fs::read(path)?).map_err(|error| told(&error))?;
            let url = text(&definition, "url");
            if text(&definition, "resourceType") != "StructureDefinition" || url.is_empty() {
                return Err(told("a profile is a StructureDefinition with a url"));
            }
            packages.load(path)?;
            let version = text(&definition, "version");
            Ok(if version.is_empty() { url.to_owned() } else { format!("{url}|{version}") })
        })
        .collect()
}

/// The profiles that are meant. A canonical that is no profile of a resource, and stands within one definition that was
/// handed in by itself (of an extension it has, of a value set it contains), means that definition; this is told.
pub(super) fn meant(
    canonicals: Vec<String>,
    library: &Library,
    packages: &[PathBuf],
    notices: &mut impl Write,
) -> io::Result<Vec<String>> {
    let mut out = Vec::with_capacity(canonicals.len());
    for asked in canonicals {
        if is_of_resource(library, &asked) {
            out.push(asked);
            continue;
        }
        let plain = asked.split('|').next().unwrap_or(&asked);
        let within = packages.iter().filter(|path| path.is_file()).find_map(|path| {
            let definition = Library::read(&std::fs::read(path).ok()?).ok()?;
            let url = text(&definition, "url").to_owned();
            let is_meant = url != plain && is_of_resource(library, &url) && stands_in(&definition, plain);
            is_meant.then_some((path, url))
        });
        match within {
            Some((path, url)) => {
                writeln!(
                    notices,
                    "{asked} is no profile of a resource: it stands in {}, which defines {url}, and that is meant",
                    path.display()
                )?;
                out.push(url);
            }
            None => out.push(asked),
        }
    }
    Ok(out)
}

/// Whether a canonical is at hand as a profile, or type, of resources.
fn is_of_resource(library: &Library, canonical: &str) -> bool {
    let model = Model::r4();
    let of_core = || {
        let plain = canonical.split('|').next().unwrap_or(canonical);
        let structure: Value = serde_json::from_str(model.structure(plain)?).ok()?;
        Some(text(&structure, "type").to_owned())
    };
    let type_name = match library.find("StructureDefinition", canonical) {
        Some(found) => text(&found.content, "type").to_owned(),
        None => of_core().unwrap_or_else(|| {
            let name = canonical.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or("");
            name.to_owned()
        }),
    };
    model.type_named(&type_name).is_some_and(|id| model.kind(id) == Kind::Resource)
}

/// Whether something within a definition has a url.
fn stands_in(definition: &Value, url: &str) -> bool {
    let mut open: Vec<&Value> = vec![definition];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) if text(value, "url") != url => open.extend(members.values()),
            Value::Object(_) => return true,
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}
