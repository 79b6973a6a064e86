//! From syntax to plan: names are resolved against the FHIR model and the native schema, blocks are put in place.
//!
//! Everything that is wrong is noted with its line; compiling goes on, so that one run shows all of it.

mod disjoint;
mod fhir;
mod lens;
mod native;
mod rule;
mod settle;
mod share;
mod statement;
mod version;
mod whole;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use crate::definitions::{Model, TypeId};
use crate::fhir::datatypes::Primitive;
use crate::native::xml::XmlSchema;

use super::plan::{Condition, Line, LineId, Plan, Scope, ScopeId, Slot, SlotAt, SlotRef, Slots};
use super::schema::{NativeSchema, Place};
use super::syntax::{
    BlockItem, Direction, File, FormatName, Item, Level, MapItem, NativeType, Problem, SegmentItem, Span, Table,
};
use super::versions::Place as Whose;

/// All items of a tree of maps, by name.
#[derive(Debug, Default)]
pub(crate) struct Library {
    pub(crate) maps: Vec<(Arc<str>, MapItem)>,
    pub(crate) blocks: FxHashMap<String, BlockItem>,
    pub(crate) tables: FxHashMap<String, Table>,
    pub(crate) aliases: FxHashMap<String, String>,
    /// Segments that structures do not have.
    pub(crate) segments: Vec<SegmentItem>,
    pub(crate) schemas: FxHashMap<String, Json>,
    pub(crate) xml: FxHashMap<String, Arc<XmlSchema>>,
    pub(crate) problems: Vec<Problem>,
    /// The files in which a line cannot be read.
    pub(crate) broken: BTreeSet<Arc<str>>,
}

impl Library {
    /// Takes in a parsed file. An item of a name that is there already replaces it: later trees override.
    pub(crate) fn add(&mut self, file: File) {
        self.problems.extend(file.problems);
        for item in file.items {
            match item {
                Item::Map(map) => {
                    self.maps.retain(|(_, other)| other.name != map.name);
                    self.maps.push((Arc::clone(&file.name), map));
                }
                Item::Block(block) => {
                    self.blocks.insert(block.name.clone(), block);
                }
                Item::Table(table) => {
                    self.tables.insert(table.name, table.table);
                }
                Item::Segment(segment) => {
                    self.segments.retain(|known| segment.fields.is_empty() || known.name != segment.name);
                    self.segments.push(segment);
                }
                Item::Alias(alias) => {
                    self.aliases.insert(alias.name, alias.uri);
                }
            }
        }
    }

    /// The schema that a map may have meant, where it names one that is not there.
    fn schema_of(&self, native: &NativeType) -> Option<String> {
        let (wanted, mut known): (&str, Vec<&str>) = match native {
            NativeType::Json { schema, .. } => (schema, self.schemas.keys().map(String::as_str).collect()),
            NativeType::Xml { schema, .. } => (schema, self.xml.keys().map(String::as_str).collect()),
            _ => return None,
        };
        known.sort_unstable();
        Some(format!("{}, as paths below the folder of the maps", fhir::nearest(wanted, &known)))
    }

    /// The URI of a system by its alias, its known short name, or itself.
    pub(crate) fn system(&self, name: &str) -> String {
        if let Some(uri) = self.aliases.get(name) {
            return uri.clone();
        }
        // An alias that goes on: `v2/PID-10` below the alias `v2`.
        if let Some((head, rest)) = name.split_once('/')
            && let Some(uri) = self.aliases.get(head)
        {
            return format!("{uri}{rest}");
        }
        if let Some(table) = name.strip_prefix("v2-").filter(|t| t.len() == 4) {
            return format!("http://terminology.hl7.org/CodeSystem/v2-{table}");
        }
        if let Some(table) = name.strip_prefix("v3-") {
            return format!("http://terminology.hl7.org/CodeSystem/v3-{table}");
        }
        name.to_owned()
    }
}

/// Where in the native document a scope stands, while it is compiled.
#[derive(Debug, Clone)]
struct Standing {
    place: Place,
    /// The names that lead there from the document.
    path: Vec<super::plan::NativeName>,
}

/// The compiler of one map.
struct Compiler<'l> {
    library: &'l Library,
    model: &'l Arc<Model>,
    schema: NativeSchema,
    format: FormatName,
    plan: Plan,
    /// Where the lines of the plan are.
    lines: FxHashMap<Line, LineId>,
    problems: Vec<Problem>,
    /// The blocks that are compiled, for those that use them next.
    shared: FxHashMap<share::Key, share::Shared>,
    /// Those that are being compiled: in which scope, and how far in that stands.
    building: Vec<(share::Key, ScopeId, usize)>,
    /// The scopes from the document inwards.
    open: Vec<ScopeId>,
    standing: Vec<Standing>,
    /// The file that the statement being compiled stands in, and the line that used its block.
    file: Arc<str>,
    from: Option<LineId>,
    depth: u8,
    /// Whether the statement being compiled is a line that is not written back.
    one_way: bool,
}

/// Compiles one map. The plan is only good when no problem is an error.
pub(crate) fn compile(
    library: &Library,
    model: &Arc<Model>,
    file: &Arc<str>,
    map: &MapItem,
) -> (Plan, NativeSchema, Vec<Problem>) {
    let mut problems = Vec::new();
    let schema = match schema(library, map) {
        Ok(schema) => schema,
        Err((what, right)) => {
            let right = library.schema_of(&map.native).unwrap_or(right);
            problems.push(Problem { file: Arc::clone(file), span: map.span, level: Level::Error, what, right });
            return (Plan::default(), NativeSchema::Open, problems);
        }
    };
    let mut compiler = Compiler::new(library, model, file, map, schema);
    compiler.problems = problems;
    let line = compiler.line(map.span);
    let root = compiler.scope(line, Direction::Both);
    compiler.push_slot(root, SlotAt::Nowhere, None);
    compiler.open.push(root);
    let when = compiler.recognised_by(map);
    if let Some(scope) = compiler.scope_mut(root) {
        scope.when = when;
    }
    if let NativeType::Fhir { version, resource } = &map.native {
        compiler.versions(*version, map.span);
        if resource == "Bundle" {
            compiler.plan.envelope = Some((*version, line));
            let at = compiler.stands();
            compiler.claim_own(Whose::Bundle, &at);
        }
    }
    compiler.body(&map.body);
    compiler.overlapping();
    // What a line that cannot be read would have filled is not known; what is carried whole has what it has.
    let carried_whole = matches!(map.native, NativeType::Fhir { .. });
    if !carried_whole && !library.broken.contains(file) {
        compiler.required();
    }
    compiler.twice();
    settle::settle(&mut compiler.plan);
    share::link(&mut compiler.plan);
    settle::close(&mut compiler.plan);
    (compiler.plan, compiler.schema, compiler.problems)
}

/// The schema of the documents that a map reads; else what is wrong and what would be right.
fn schema(library: &Library, map: &MapItem) -> Result<NativeSchema, (String, String)> {
    let schemas = |name: &str| library.schemas.get(name).cloned();
    NativeSchema::of(&map.native, schemas, |name| library.xml.get(name).cloned(), &library.segments)
}

/// What tells a JSON or XML document of the map from others, without the rest of the map being compiled.
pub(crate) fn recognised_by(library: &Library, model: &Arc<Model>, file: &Arc<str>, map: &MapItem) -> Vec<Condition> {
    if !matches!(&map.native, NativeType::Json { .. } | NativeType::Xml { .. }) {
        return Vec::new();
    }
    let Ok(schema) = schema(library, map) else { return Vec::new() };
    Compiler::new(library, model, file, map, schema).recognised_by(map)
}

impl<'l> Compiler<'l> {
    fn new(library: &'l Library, model: &'l Arc<Model>, file: &Arc<str>, map: &MapItem, schema: NativeSchema) -> Self {
        let standing = Standing { place: schema.document(), path: Vec::new() };
        Self {
            library,
            model,
            schema,
            format: map.native.format(),
            plan: Plan::default(),
            lines: FxHashMap::default(),
            problems: Vec::new(),
            shared: FxHashMap::default(),
            building: Vec::new(),
            open: Vec::new(),
            standing: vec![standing],
            file: Arc::clone(file),
            from: None,
            depth: 0,
            one_way: false,
        }
    }
}

impl Compiler<'_> {
    fn recognised_by(&mut self, map: &MapItem) -> Vec<Condition> {
        match &map.native {
            NativeType::Json { when, .. } | NativeType::Xml { when, .. } => self.conditions(when),
            _ => Vec::new(),
        }
    }

    /// Lines that fill one list and cannot be told apart.
    fn overlapping(&mut self) {
        for overlap in disjoint::overlaps(&self.plan) {
            let Some(line) = self.plan.lines.get(overlap.second as usize).cloned() else { continue };
            self.file = Arc::clone(&line.file);
            let first = self.plan.line(overlap.first);
            self.problem(
                line.span,
                format!("this line and {first} fill the same list {}, and nothing tells theirs apart", overlap.list),
                "a discriminator on each: `list[type = a][]` and `list[type != a][]`, or different resource types",
            );
        }
    }

    fn problem(&mut self, span: Span, what: impl Into<String>, right: impl Into<String>) {
        self.note(Level::Error, span, what, right);
    }

    fn note(&mut self, level: Level, span: Span, what: impl Into<String>, right: impl Into<String>) {
        let problem = Problem { file: Arc::clone(&self.file), span, level, what: what.into(), right: right.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn line(&mut self, span: Span) -> LineId {
        let line = Line { file: Arc::clone(&self.file), span, from: self.from };
        let next = LineId::try_from(self.plan.lines.len()).unwrap_or(LineId::MAX);
        *self.lines.entry(line).or_insert_with_key(|line| {
            self.plan.lines.push(line.clone());
            next
        })
    }

    fn scope(&mut self, line: LineId, direction: Direction) -> ScopeId {
        self.plan.scopes.push(Scope {
            line,
            parent: self.open.last().copied(),
            native: Vec::new(),
            when: Vec::new(),
            only: Vec::new(),
            slots: Slots::default(),
            inside: Arc::default(),
            key: None,
            more: None,
            direction,
            repeats: false,
            each: false,
            closed: false,
        });
        ScopeId::try_from(self.plan.scopes.len() - 1).unwrap_or(ScopeId::MAX)
    }

    fn scope_mut(&mut self, id: ScopeId) -> Option<&mut Scope> {
        self.plan.scopes.get_mut(id as usize)
    }

    /// The innermost open scope.
    fn here(&self) -> ScopeId {
        self.open.last().copied().unwrap_or(0)
    }

    /// The open scope so many above the innermost.
    fn above(&self, up: u8) -> ScopeId {
        self.open.iter().rev().nth(usize::from(up)).copied().unwrap_or(0)
    }

    fn push_slot(&mut self, scope: ScopeId, at: SlotAt, type_id: Option<TypeId>) -> u16 {
        let type_id = type_id.or_else(|| self.model.type_named("Element"));
        let form = type_id.map_or(Primitive::Any, |id| Primitive::of(self.model.type_name(id)));
        let (Some(type_id), Some(scope)) = (type_id, self.scope_mut(scope)) else { return 0 };
        scope.slots.push(Slot { at, type_id, form });
        u16::try_from(scope.slots.len() - 1).unwrap_or(u16::MAX)
    }

    fn slot(&self, at: SlotRef) -> Option<&Slot> {
        self.plan.scope(self.above(at.up))?.slots.get(usize::from(at.slot))
    }

    fn type_of(&self, at: SlotRef) -> Option<TypeId> {
        self.slot(at).map(|slot| slot.type_id)
    }

    /// The entry of this name in the innermost scope that has it.
    fn entry(&self, name: &str) -> Option<SlotRef> {
        self.entries(name).first().copied()
    }

    /// The innermost entry of this name, and those further out that stand for it where it is not there.
    fn entries(&self, name: &str) -> Vec<SlotRef> {
        let mut found = Vec::new();
        for (up, id) in (0_u8..).zip(self.open.iter().rev()) {
            let entries = self.plan.scope(*id).map(|scope| scope.entries.as_slice()).unwrap_or_default();
            let Some(entry) = entries.iter().find(|entry| entry.name.as_ref() == name) else { continue };
            found.push(SlotRef { up, slot: entry.slot });
            if !entry.outer {
                break;
            }
        }
        found
    }

    fn entry_names(&self) -> String {
        let mut names: Vec<&str> = self
            .open
            .iter()
            .filter_map(|id| self.plan.scope(*id))
            .flat_map(|scope| scope.entries.iter().map(|entry| entry.name.as_ref()))
            .collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn stands(&self) -> Standing {
        self.standing.last().cloned().unwrap_or(Standing { place: Place::Open, path: Vec::new() })
    }
}
