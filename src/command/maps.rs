//! What the commands about maps share: the maps, with folders and files over those of the program.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silta_engine::definitions::Model;
use silta_engine::mapping::syntax::{Level, Problem};
use silta_engine::mapping::{Map, Maps};

/// Maps, and where the files among them stand that are not the program's.
pub(super) struct Loaded {
    pub(super) maps: Maps,
    /// The names of the files as the maps know them, and their paths.
    pub(super) files: Vec<(String, PathBuf)>,
}

impl Loaded {
    /// Folders of maps and schemas, and single files with the schemas that stand in their folder.
    pub(super) fn read(paths: &[PathBuf]) -> io::Result<Self> {
        let mut texts = Vec::new();
        let mut files = Vec::new();
        for path in paths {
            let of = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let (folder, found) = if path.is_dir() {
                (path.clone(), Maps::read_tree(path).map_err(of)?)
            } else {
                let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
                (folder.clone(), one_file(path, &folder).map_err(of)?)
            };
            for (name, text) in found {
                files.push((name.clone(), folder.join(&name)));
                texts.push((name, text));
            }
        }
        let maps = if texts.is_empty() { Maps::embedded(Model::r4()) } else { Maps::with(Model::r4(), &texts) };
        Ok(Self { maps, files })
    }

    /// The same, all of them compiled and checked.
    pub(super) fn checked(paths: &[PathBuf]) -> io::Result<Self> {
        let loaded = Self::read(paths)?;
        if paths.is_empty() { Ok(Self { maps: Maps::with(Model::r4(), &[]), ..loaded }) } else { Ok(loaded) }
    }

    /// The map of this name; else which there are, or what is wrong with those that were handed in.
    pub(super) fn named(&self, name: &str) -> Result<&Arc<Map>, String> {
        self.maps.named(name).map_err(|error| {
            let broken = self.broken();
            if broken.is_empty() {
                format!("{error}; there are {}", self.names())
            } else {
                format!("{error}\n{}", broken.join("\n"))
            }
        })
    }

    /// What is wrong in the maps that were handed in.
    pub(super) fn broken(&self) -> Vec<String> {
        let errors = self.maps.problems().iter().filter(|problem| problem.level == Level::Error);
        errors.map(|problem| self.told(problem)).collect()
    }

    /// The names of all maps.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> = self.maps.iter().map(|map| map.name()).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// A file's path, where it is not the program's.
    pub(super) fn path(&self, file: &str) -> Option<&Path> {
        self.files.iter().rev().find(|(name, _)| name == file).map(|(_, path)| path.as_path())
    }

    /// A problem with the line that it is in.
    pub(super) fn told(&self, problem: &Problem) -> String {
        let file = self.path(&problem.file).map_or_else(|| problem.file.to_string(), |p| p.display().to_string());
        let (line, column) = (problem.span.line, problem.span.column);
        let level = if problem.level == Level::Error { "error" } else { "warning" };
        let mut text = format!("{file}:{line}:{column}: {level}: {}", problem.what);
        if let Some(rule) = self.maps.source_line(&problem.file, line) {
            text.push_str(&format!("\n  {line:>5} | {rule}"));
        }
        if !problem.right.is_empty() {
            text.push_str(&format!("\n  right: {}", problem.right));
        }
        text
    }
}

fn one_file(path: &Path, folder: &Path) -> io::Result<Vec<(String, String)>> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let mut found = vec![(name.clone(), std::fs::read_to_string(path)?)];
    let beside = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(beside)? {
        let other = entry?.path();
        let Some(other_name) = other.file_name().and_then(OsStr::to_str) else { continue };
        let schema = [".schema.json", ".xmlschema"].iter().any(|kind| other_name.ends_with(kind));
        if schema && other_name != name {
            found.push((other_name.to_owned(), std::fs::read_to_string(&other)?));
        }
    }
    Ok(found)
}
