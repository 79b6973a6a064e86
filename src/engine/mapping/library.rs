//! The maps that there are: those compiled into the program, and those that override them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value as Json;

use crate::definitions::Model;
use crate::fault::Fault;
use crate::native::hl7v2::schema::Version as V2;
use crate::native::xml::XmlSchema;
use crate::native::{Format, NodeId, Tree};

use super::compile::Library;
use super::counterpart;
use super::embedded::EMBEDDED;
use super::map::Map;
use super::schema::version;
use super::syntax::{self, AliasItem, Item, Level, NativeType, Problem, Span};

/// All maps, found by a document's own type.
#[derive(Debug, Clone)]
pub struct Maps {
    maps: Vec<Arc<Map>>,
    problems: Vec<Problem>,
    /// The texts of the map files, by name.
    texts: FxHashMap<String, Arc<str>>,
}

/// There is no map for a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMap {
    /// Nothing reads this type.
    #[error("no map reads this document{near}; known are {known}")]
    Unknown {
        /// What the maps read.
        known: String,
        /// What a table lacks to be one that is read; empty where it is far from all.
        near: String,
    },
    /// The type is known, the version is not.
    #[error("version {found} is not read; {map} reads {known}")]
    Version {
        /// The map of the type.
        map: String,
        /// The version of the document.
        found: String,
        /// The versions that the map reads.
        known: String,
    },
    /// No map has this name.
    #[error("there is no map {0}")]
    Name(String),
}

impl NoMap {
    /// The answer that it leads to.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unknown { .. } | Self::Name(_) => Fault::UnknownType,
            Self::Version { .. } => Fault::VersionNotSupported,
        }
    }
}

impl Maps {
    /// The maps compiled into the program. They are sound, which a test sees to, and each is compiled when it is first used.
    #[must_use]
    pub fn embedded(model: &Arc<Model>) -> Self {
        Self::read(model, &[])
    }

    /// The maps compiled into the program, and files of a tree over them: (path, text), the path ending in `.map`,
    /// `.schema.json` or `.xmlschema`. Items of a known name replace those. All are compiled and checked.
    #[must_use]
    pub fn with(model: &Arc<Model>, files: &[(String, String)]) -> Self {
        let mut read = Self::read(model, files);
        let mut maps = Vec::with_capacity(read.maps.len());
        let mut told: FxHashSet<Problem> = read.problems.iter().cloned().collect();
        for map in read.maps {
            // A line that cannot be read may be any: no map that has lines of its file is what it should be.
            let sound = map.is_whole() && !map.problems().iter().any(|p| p.level == Level::Error);
            // What is wrong in a block is wrong in every map that uses it, and told once.
            let new = map.problems().iter().filter(|problem| !told.contains(*problem)).cloned();
            let new: Vec<Problem> = new.collect();
            told.extend(new.iter().cloned());
            read.problems.extend(new);
            if sound {
                maps.push(map);
            }
        }
        Self { maps, ..read }
    }

    fn read(model: &Arc<Model>, files: &[(String, String)]) -> Self {
        let mut library = Library::default();
        let mut texts = FxHashMap::default();
        let embedded = EMBEDDED.iter().map(|(name, text)| (*name, *text, false));
        let mut named = Names::default();
        for (name, text, own) in embedded.chain(files.iter().map(|(name, text)| (name.as_str(), text.as_str(), true))) {
            if name.ends_with(".map") {
                texts.insert(name.to_owned(), Arc::from(text));
                let file = syntax::parse(name, text);
                if file.problems.iter().any(|problem| problem.level == Level::Error) {
                    library.broken.insert(Arc::clone(&file.name));
                }
                library.problems.extend(named.taken(&file, own));
                library.add(file);
                continue;
            }
            if name.ends_with(".xmlschema") {
                match XmlSchema::parse(text) {
                    Ok(schema) => {
                        library.xml.insert(name.to_owned(), Arc::new(schema));
                    }
                    Err(problem) => library.problems.push(Problem {
                        file: Arc::from(name),
                        span: Span { line: problem.line, column: 1 },
                        level: Level::Error,
                        what: problem.what,
                        right: problem.right,
                    }),
                }
                continue;
            }
            match serde_json::from_str::<Json>(text) {
                Ok(mut schema) => {
                    library.problems.extend(leading_nowhere(name, text, &schema));
                    counterpart::keep_order(&mut schema, text);
                    library.schemas.insert(name.to_owned(), schema);
                }
                Err(error) => library.problems.push(unreadable(name, &error)),
            }
        }
        let mut problems = std::mem::take(&mut library.problems);
        let library = Arc::new(library);
        let maps: Vec<Arc<Map>> =
            (0..library.maps.len()).filter_map(|at| Map::new(model, &library, at)).map(Arc::new).collect();
        for map in &maps {
            let Some((span, name)) = &map.item.answer else { continue };
            match maps.iter().find(|other| other.name() == name) {
                Some(other) => map.set_answer(other),
                None => problems.push(Problem {
                    file: Arc::clone(&map.file),
                    span: *span,
                    level: Level::Error,
                    what: format!("there is no map {name}"),
                    right: "the name of a map of the tree".to_owned(),
                }),
            }
        }
        Self { maps, problems, texts }
    }

    /// The text of a line of a map file, from 1, without what stands around it.
    #[must_use]
    pub fn source_line(&self, file: &str, line: u32) -> Option<&str> {
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        self.texts.get(file)?.lines().nth(at).map(str::trim)
    }

    /// What begins in a line of a map file, to the end of the braces that it opens, as one line.
    #[must_use]
    pub fn source_rule(&self, file: &str, line: u32) -> Option<String> {
        const LONGEST: usize = 200;
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        let mut open = 0_usize;
        let mut parts = Vec::new();
        for text in self.texts.get(file)?.lines().skip(at).take(LONGEST) {
            open = (open + text.matches('{').count()).saturating_sub(text.matches('}').count());
            parts.push(text.trim());
            if open == 0 {
                break;
            }
        }
        Some(parts.join(" "))
    }

    /// The `.map`, `.schema.json` and `.xmlschema` files below a directory, their paths relative to it.
    ///
    /// # Errors
    /// When a file or directory cannot be read.
    pub fn read_tree(directory: &Path) -> io::Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        let mut open = vec![directory.to_path_buf()];
        let mut seen = BTreeSet::new();
        while let Some(here) = open.pop() {
            // A link may lead back to a folder that was read.
            if !seen.insert(std::fs::canonicalize(&here)?) {
                continue;
            }
            for entry in std::fs::read_dir(&here)? {
                let entry = entry?;
                // Where a folder is exchanged as a whole, hidden ones beside the links hold the same files.
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                let path = entry.path();
                let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                if path.is_dir() {
                    open.push(path);
                } else if [".map", ".schema.json", ".xmlschema"].iter().any(|kind| name.ends_with(kind)) {
                    files.push((name, std::fs::read_to_string(&path)?));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// What is wrong in the files. A map with an error is not among the maps.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All maps.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Map>> {
        self.maps.iter()
    }

    /// The map of this name.
    ///
    /// # Errors
    /// [`NoMap::Name`].
    pub fn named(&self, name: &str) -> Result<&Arc<Map>, NoMap> {
        self.maps.iter().find(|map| map.name() == name).ok_or_else(|| NoMap::Name(name.to_owned()))
    }

    /// The map that reads a document, by the document's own type.
    ///
    /// # Errors
    /// [`NoMap`], with the types that are known.
    pub fn find(&self, tree: &Tree) -> Result<&Arc<Map>, NoMap> {
        let reading = self.maps.iter().filter(|map| map.reads(tree)).max_by_key(|map| map.precision());
        let Some(map) = reading else {
            // What is of another format is no near miss.
            let alike = self.maps.iter().filter(|map| map.takes(tree.format()));
            let mut known: Vec<String> = alike.map(|map| map.reads_what()).collect();
            known.sort_unstable();
            return Err(NoMap::Unknown { known: known.join(", "), near: self.near(tree) });
        };
        if let (Format::Hl7V2, NativeType::Hl7v2 { versions: (first, last), .. }) = (tree.format(), map.native()) {
            let found = msh(tree, 12, 1);
            let declared = V2::declared(&found).version().map(version);
            // A version after the last is read as the last: a version only adds.
            if declared.is_none_or(|v| v < *first) {
                let text = |v: &syntax::Version| format!("{}.{}", v.0, v.1);
                let known = format!("{} to {}", text(first), text(last));
                return Err(NoMap::Version { map: map.name().to_owned(), found, known });
            }
        }
        Ok(map)
    }
}

impl Maps {
    /// What columns a table lacks to be one that a map reads: of the map of which it has most, if it has half.
    fn near(&self, tree: &Tree) -> String {
        let is_fhir = |map: &&Arc<Map>| matches!(map.native(), NativeType::Fhir { .. }) && map.accepts(tree);
        let versions: Vec<&str> = self.maps.iter().filter(is_fhir).map(|map| map.name()).collect();
        if !versions.is_empty() {
            let named = versions.join(", ");
            return format!(" by itself: of which version of FHIR it is, it does not say; name the map: {named}");
        }
        let lacking = self.maps.iter().filter_map(|map| {
            let NativeType::Delimited { required, .. } = map.native() else { return None };
            let lacking: Vec<&str> =
                required.iter().filter(|name| tree.column(name).is_none()).map(String::as_str).collect();
            let had = required.len() - lacking.len();
            (tree.format() == Format::Delimited && had * 2 >= required.len() && had > 0)
                .then_some((lacking, map.name()))
        });
        let nearest = lacking.min_by_key(|(lacking, _)| lacking.len());
        nearest.map_or_else(String::new, |(lacking, map)| {
            format!(": for {map} it lacks the columns {}", lacking.join(" "))
        })
    }
}

/// The names of the items of one tree of files.
#[derive(Default)]
struct Names {
    known: FxHashMap<(&'static str, String), (Arc<str>, u32)>,
    aliases: FxHashMap<String, (String, Arc<str>, u32)>,
    own: bool,
}

impl Names {
    /// An alias that says something else elsewhere. What several files call the same system by is no matter; of another
    /// one lines would be taken that do not mean it, those of the program's maps too.
    fn renamed(&mut self, file: &syntax::File, alias: &AliasItem) -> Option<Problem> {
        let known = self.aliases.entry(alias.name.clone());
        let (uri, first, line) =
            known.or_insert_with(|| (alias.uri.clone(), Arc::clone(&file.name), alias.span.line)).clone();
        (uri != alias.uri).then(|| Problem {
            file: Arc::clone(&file.name),
            span: alias.span,
            level: Level::Error,
            what: format!("{} is {uri} already, at {first}:{line}", alias.name),
            right: "another name, or the URI in quotes where it is used".to_owned(),
        })
    }

    /// Items of a file whose names are taken in its tree; those of another tree are replaced by them.
    fn taken(&mut self, file: &syntax::File, own: bool) -> Vec<Problem> {
        if own != self.own {
            self.known.clear();
            self.own = own;
        }
        let mut problems = Vec::new();
        for item in &file.items {
            let (kind, name, span) = match item {
                Item::Map(item) => ("map", &item.name, item.span),
                Item::Block(item) => ("block", &item.name, item.span),
                Item::Table(item) => ("table", &item.name, item.span),
                // Of HL7's own segments several items may say where they are.
                Item::Segment(item) if item.fields.is_empty() => continue,
                Item::Segment(item) => ("segment", &item.name, item.span),
                Item::Alias(alias) => {
                    problems.extend(self.renamed(file, alias));
                    continue;
                }
            };
            let place = (Arc::clone(&file.name), span.line);
            if let Some((first, line)) = self.known.insert((kind, name.clone()), place) {
                problems.push(Problem {
                    file: Arc::clone(&file.name),
                    span,
                    level: Level::Error,
                    what: format!("there is a {kind} {name} already, at {first}:{line}"),
                    right: "a name of its own".to_owned(),
                });
            }
        }
        problems
    }
}

/// References of a JSON Schema to places that it does not have.
fn leading_nowhere(file: &str, text: &str, schema: &Json) -> Vec<Problem> {
    let mut open = vec![schema];
    let mut problems: Vec<Problem> = Vec::new();
    while let Some(here) = open.pop() {
        match here {
            Json::Object(members) => open.extend(members.values()),
            Json::Array(items) => open.extend(items),
            _ => {}
        }
        let Some(reference) = here.get("$ref").and_then(Json::as_str) else { continue };
        if reference.strip_prefix('#').is_some_and(|pointer| schema.pointer(pointer).is_some()) {
            continue;
        }
        let line = text.lines().position(|line| line.contains(reference)).map_or(1, |at| at + 1);
        problems.push(Problem {
            file: Arc::from(file),
            span: Span { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 },
            level: Level::Error,
            what: format!("the reference {reference} leads nowhere in the schema"),
            right: "`#/$defs/name` of this schema".to_owned(),
        });
    }
    problems
}

/// A schema that is no JSON.
fn unreadable(file: &str, error: &serde_json::Error) -> Problem {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Problem {
        file: Arc::from(file),
        span: Span { line: number(error.line()), column: number(error.column()) },
        level: Level::Error,
        what: error.to_string(),
        right: "a JSON Schema".to_owned(),
    }
}

/// A component of the header of a message.
pub(crate) fn msh(tree: &Tree, field: u16, component: u16) -> String {
    let header = tree.children(NodeId::ROOT).next();
    let field = header.and_then(|h| tree.field(h, field));
    let component = field.and_then(|f| tree.component(f, component));
    tree.text(component).map(std::borrow::Cow::into_owned).unwrap_or_default()
}
