//! One map: forward, backward, and what it says of itself.

use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use crate::definitions::Model;
use crate::fault::Fault;
use crate::fhir::document::{Document, Limits, Node, Part};
use crate::fhir::draft::DraftError;
use crate::native::xml::XmlSchema;
use crate::native::{Format, Kind, Tree};

use super::compile::{Library, compile, recognised_by};
use super::context::Context;
use super::counterpart::{Counterpart, Form};
use super::library::msh;
use super::plan::{Condition, Plan};
use super::run::get::{Get, Run};
use super::run::source::Source;
use super::run::{EntryInfo, Refusals, State, fold};
use super::schema::NativeSchema;
use super::syntax::{self, FormatName, MapItem, NativeType, Problem};
use super::trace::{Report, Trace};
use super::versions;

/// What is found out of a map before it is used.
#[derive(Debug)]
struct Compiled {
    plan: Plan,
    native_schema: NativeSchema,
    problems: Vec<Problem>,
}

/// A map, compiled when it is first used.
#[derive(Debug)]
pub struct Map {
    pub(crate) model: Arc<Model>,
    pub(crate) file: Arc<str>,
    pub(crate) item: MapItem,
    library: Arc<Library>,
    compiled: OnceLock<Compiled>,
    /// What tells a JSON or XML document of this type from others.
    when: Vec<Condition>,
    /// The map of its answers, once all are read.
    answer: OnceLock<Arc<Map>>,
}

/// The result of a forward run: a Bundle, what its entries are, and a trace.
#[derive(Debug)]
pub struct Translation {
    map: Arc<Map>,
    document: Arc<Document>,
    pub(crate) run: Run,
}

/// A translated document as text, with a trace.
#[derive(Debug)]
pub struct BundleText {
    map: Arc<Map>,
    json: String,
    trace: Trace,
}

impl Map {
    /// The map at a place of a library.
    pub(crate) fn new(model: &Arc<Model>, library: &Arc<Library>, at: usize) -> Option<Self> {
        let (file, item) = library.maps.get(at)?;
        let when = recognised_by(library, model, file, item);
        Some(Self {
            model: Arc::clone(model),
            file: Arc::clone(file),
            item: item.clone(),
            library: Arc::clone(library),
            compiled: OnceLock::new(),
            when,
            answer: OnceLock::new(),
        })
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let (plan, native_schema, problems) = compile(&self.library, &self.model, &self.file, &self.item);
            Compiled { plan, native_schema, problems }
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.compiled().plan
    }

    pub(crate) fn native_schema(&self) -> &NativeSchema {
        &self.compiled().native_schema
    }

    /// What is wrong in it.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.compiled().problems
    }

    /// Whether every line of the files that it is made of could be read.
    pub(crate) fn is_whole(&self) -> bool {
        let broken = &self.library.broken;
        !broken.contains(&self.file) && !self.plan().lines.iter().any(|line| broken.contains(&line.file))
    }

    /// The map's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.item.name
    }

    /// The file it stands in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What it reads and writes.
    #[must_use]
    pub fn native(&self) -> &NativeType {
        &self.item.native
    }

    /// The JSON Schema of the documents it reads, if they are JSON.
    #[must_use]
    pub fn json_schema(&self) -> Option<&Json> {
        match &self.item.native {
            NativeType::Json { schema, .. } => self.library.schemas.get(schema),
            _ => None,
        }
    }

    /// Whether a document that it changes becomes a new one that replaces it.
    #[must_use]
    pub fn makes_editions(&self) -> bool {
        self.plan().edition.is_some()
    }

    /// The schema of the documents it reads, if they are XML.
    #[must_use]
    pub fn xml_schema(&self) -> Option<&Arc<XmlSchema>> {
        match &self.item.native {
            NativeType::Xml { schema, .. } => self.library.xml.get(schema),
            _ => None,
        }
    }

    /// The XML that says the same as the JSON that it reads, where there is one.
    pub(crate) fn form(&self) -> Option<Form<'_>> {
        match &self.item.native {
            NativeType::Fhir { version, .. } => Some(Form::Fhir(version.facts())),
            NativeType::Json { schema, .. } => Form::of_schema(self.library.schemas.get(schema)?),
            _ => None,
        }
    }

    /// What a document in XML says as the JSON that the map reads.
    pub(crate) fn counterpart<'t>(&'t self, tree: &'t Tree) -> Option<Counterpart<'t>> {
        if tree.format() != Format::Xml {
            return None;
        }
        Counterpart::read(self.form()?, tree)
    }

    /// Whether it reads documents of a format.
    #[must_use]
    pub fn takes(&self, of: Format) -> bool {
        format(self.item.native.format()) == of || (of == Format::Xml && self.form().is_some())
    }

    fn xml_reads(&self, when: &[syntax::Condition]) -> String {
        let root = self.xml_schema().map_or("", |schema| &schema.root.local);
        when.iter().fold(format!("<{root}>"), |text, condition| format!("{text} with {condition}"))
    }

    /// The name of the map that writes the answers to its messages.
    #[must_use]
    pub fn answers_with(&self) -> Option<&str> {
        self.item.answer.as_ref().map(|(_, name)| name.as_str())
    }

    /// The names and resource types of its entries, those in scopes too, as they are declared.
    pub fn entry_types(&self) -> impl Iterator<Item = (&str, &str)> {
        self.plan().scopes.iter().flat_map(|s| &s.entries).map(|e| (e.name.as_ref(), e.resource.as_ref()))
    }

    /// Says which map writes its answers; the first word counts.
    pub(crate) fn set_answer(&self, map: &Arc<Self>) {
        let _ = self.answer.set(Arc::clone(map));
    }

    pub(crate) fn answer_map(&self) -> Option<&Arc<Self>> {
        self.answer.get()
    }

    pub(crate) fn structure(&self) -> Option<&str> {
        match &self.item.native {
            NativeType::Hl7v2 { structure, .. } => Some(structure),
            _ => None,
        }
    }

    /// How much a document must say to be read by it: the more particular map is taken.
    pub(crate) fn precision(&self) -> usize {
        match &self.item.native {
            NativeType::Json { when, .. } | NativeType::Xml { when, .. } => when.len(),
            NativeType::Delimited { required, .. } => required.len(),
            _ => 0,
        }
    }

    /// What it reads, in words: `REF^I12, REF^I13`.
    #[must_use]
    pub fn reads_what(&self) -> String {
        match &self.item.native {
            NativeType::Hl7v2 { message, events, .. } => {
                events.iter().map(|event| format!("{message}^{event}")).collect::<Vec<_>>().join(", ")
            }
            NativeType::Json { schema, .. } => schema.clone(),
            NativeType::Fhir { version, resource } => format!("{resource} of FHIR {}", version.text()),
            NativeType::Delimited { required, .. } => format!("a table with the columns {}", required.join(" ")),
            NativeType::Xml { when, .. } => self.xml_reads(when),
        }
    }

    /// Whether a document is of the type that the map reads.
    #[must_use]
    pub fn reads(&self, tree: &Tree) -> bool {
        match (&self.item.native, tree.format()) {
            (NativeType::Hl7v2 { message, events, .. }, Format::Hl7V2) => {
                let event = msh(tree, 9, 2);
                // The first versions name no event where a message has only one.
                let known = events.contains(&event) || event.is_empty() && events.len() == 1;
                msh(tree, 9, 1) == *message && known
            }
            (NativeType::Json { .. }, Format::Json) => {
                let source = Source::new(tree, None);
                !self.when.is_empty() && source.hold(source.root(), &self.when)
            }
            (NativeType::Json { .. }, Format::Xml) => {
                let Some(counterpart) = self.counterpart(tree) else { return false };
                let source = Source::new(counterpart.json(), None);
                !self.when.is_empty() && source.hold(source.root(), &self.when)
            }
            (NativeType::Fhir { version, resource }, Format::Json) => versions::is_of(tree, *version, resource),
            (NativeType::Fhir { version, resource }, Format::Xml) => versions::is_of_xml(tree, *version, resource),
            (NativeType::Delimited { required, .. }, Format::Delimited) => {
                !required.is_empty() && required.iter().all(|name| tree.column(name).is_some())
            }
            (NativeType::Xml { .. }, Format::Xml) => {
                let (Some(schema), Some(top)) = (self.xml_schema(), tree.document_element()) else { return false };
                let named = tree.xml_name(&schema.root).is_some_and(|n| tree.is_named(top, Kind::Element, n));
                let source = Source::new(tree, None);
                named && source.hold(source.root(), &self.when)
            }
            _ => false,
        }
    }

    /// Whether a document of a sender that is known to send what the map reads is of its type. What is of a type in every
    /// version of FHIR is then of the map's.
    #[must_use]
    pub fn accepts(&self, tree: &Tree) -> bool {
        match (&self.item.native, tree.format()) {
            (NativeType::Fhir { resource, .. }, Format::Json) => versions::is_said(tree, resource),
            (NativeType::Fhir { resource, .. }, Format::Xml) => versions::is_said_in_xml(tree, resource),
            _ => self.reads(tree),
        }
    }

    /// Where a document of the map says which resource of a type it speaks of, as a path: `PID[1]-3`, `$.asiakas.hetu`.
    #[must_use]
    pub fn key_place(&self, resource: &str) -> Option<String> {
        let entry = self
            .plan()
            .scopes
            .iter()
            .flat_map(|scope| &scope.entries)
            .find(|entry| &*entry.resource == resource && entry.key.is_some())?;
        entry.key.as_ref()?.alternatives.last()?.1.first().map(super::plan::NativePath::place)
    }

    /// A resource read along the model by whose numbers the map knows its elements, which it nearly always is.
    pub(crate) fn along(&self, document: &Arc<Document>) -> Result<Arc<Document>, Refusals> {
        if Arc::ptr_eq(document.model(), &self.model) {
            return Ok(Arc::clone(document));
        }
        let limits = Limits { bytes: u32::MAX, depth: u16::MAX, nodes: u32::MAX, string: u32::MAX };
        Document::from_json(&self.model, document.json().as_bytes().to_vec(), &limits)
            .map_err(|error| Refusals::one("", error.to_string(), error.fault()))
    }

    /// Translates a document into a Bundle of type collection. Its entries have `urn:uuid:` fullUrls and no ids.
    ///
    /// # Errors
    /// [`Refusals`] where a line says that a value it cannot carry refuses the document.
    pub fn get(self: &Arc<Self>, tree: &Tree, cx: &Context) -> Result<Translation, Refusals> {
        if tree.format() != Format::Xml || self.form().is_none() {
            return self.translated(tree, cx);
        }
        let Some(counterpart) = self.counterpart(tree) else { return Err(self.not_its_own()) };
        let mut translation = self.translated(counterpart.json(), cx).map_err(|r| counterpart.located(r))?;
        translation.run.trace.retell(&counterpart.leaves());
        Ok(translation)
    }

    /// Translates a document into the text of a Bundle: what [`Map::get`] gives, for those who only hand it on. It takes less
    /// time and room.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn text(self: &Arc<Self>, tree: &Tree, cx: &Context) -> Result<BundleText, Refusals> {
        if tree.format() != Format::Xml || self.form().is_none() {
            return self.translated_text(tree, cx);
        }
        let Some(counterpart) = self.counterpart(tree) else { return Err(self.not_its_own()) };
        let mut text = self.translated_text(counterpart.json(), cx).map_err(|r| counterpart.located(r))?;
        text.trace.retell(&counterpart.leaves());
        Ok(text)
    }

    /// What is said of a document that is none of its own.
    pub(crate) fn not_its_own(&self) -> Refusals {
        Refusals::one("/", self.reads_what(), Fault::UnknownType)
    }

    fn translated(self: &Arc<Self>, tree: &Tree, cx: &Context) -> Result<Translation, Refusals> {
        let cx = &*cx.of(tree);
        let source = Source::new(tree, self.structure());
        let mut run = Get::new(self.plan(), self.name(), &self.model, &source, cx).of_news().run()?;
        run.trim();
        let document = run.trace.draft.finish().map_err(|error| Refusals::of_draft(&error))?;
        Ok(Translation { map: Arc::clone(self), document, run })
    }

    fn translated_text(self: &Arc<Self>, tree: &Tree, cx: &Context) -> Result<BundleText, Refusals> {
        let cx = &*cx.of(tree);
        let trace = {
            let source = Source::new(tree, self.structure());
            Get::new(self.plan(), self.name(), &self.model, &source, cx).run()?.trace
        };
        let json = trace.draft.write().map_err(|error| Refusals::of_draft(&error))?;
        Ok(BundleText { map: Arc::clone(self), json, trace })
    }
}

impl BundleText {
    /// The Bundle as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What became of each leaf. `tree` is the document that was translated.
    #[must_use]
    pub fn report(&self, tree: &Tree) -> Report {
        self.trace.report(self.map.name(), tree, self.map.plan(), &self.map.model)
    }

    /// The totals of the report, without its items.
    #[must_use]
    pub fn totals(&self, tree: &Tree) -> Report {
        self.trace.totals(self.map.name(), tree)
    }
}

impl Translation {
    /// The map that made it.
    #[must_use]
    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// The Bundle.
    #[must_use]
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// Its entries, in the Bundle's order.
    #[must_use]
    pub fn entries(&self) -> &[EntryInfo] {
        &self.run.entries
    }

    /// The resource of an entry.
    #[must_use]
    pub fn resource(&self, entry: usize) -> Option<Node<'_>> {
        self.document.root().named("entry").nth(entry)?.first("resource")
    }

    /// The resource of an entry as a document part of its own.
    #[must_use]
    pub fn part(&self, entry: usize) -> Option<Part> {
        Some(Part::new(&self.document, self.resource(entry)?.id()))
    }

    /// The first entry of this name.
    #[must_use]
    pub fn entry_named(&self, name: &str) -> Option<usize> {
        self.run.entries.iter().position(|e| &*e.name == name)
    }

    /// Folds an entry, as the news of an event, onto what is known of the resource: what the document values
    /// replaces, what it leaves empty stays, what it deletes (`""`, `null`) goes; line by line of the map.
    ///
    /// # Errors
    /// [`Refusals`] when the entry is not there or of another type.
    pub fn fold(&self, entry: usize, known: &Arc<Document>) -> Result<Arc<Document>, Refusals> {
        let (Some(node), Some(of)) = (self.resource(entry), self.run.entry_places.get(entry)) else {
            return Err(Refusals::one("Bundle.entry", "an entry of the translation", Fault::Internal));
        };
        let known = &self.map.along(known)?;
        if known.root().type_name() != node.type_name() {
            return Err(Refusals::one(node.type_name(), "a known resource of the same type", Fault::Internal));
        }
        let owner = (of.frame, of.slot);
        let (plan, frames) = (self.map.plan(), self.run.frames.as_slice());
        let said = self.run.said(plan);
        let said: Vec<(Vec<super::run::ReachStep<'_>>, State)> = said
            .iter()
            .filter_map(|state| {
                let (of, path) = fold::reach(plan, frames, state)?;
                (of == owner).then_some((path, state.state))
            })
            .collect();
        fold::fold(node, known, &said).map_err(|error: DraftError| Refusals::one("", error.to_string(), error.fault()))
    }

    /// What became of each leaf. `tree` is the document that was translated.
    #[must_use]
    pub fn report(&self, tree: &Tree) -> Report {
        self.run.trace.report(self.map.name(), tree, self.map.plan(), &self.map.model)
    }

    /// The totals of the report, without its items.
    #[must_use]
    pub fn totals(&self, tree: &Tree) -> Report {
        self.run.trace.totals(self.map.name(), tree)
    }

    /// Whether a leaf's content is in the Bundle.
    #[must_use]
    pub fn conveys(&self, leaf: u32) -> bool {
        self.run.trace.conveys(leaf)
    }
}

/// The kind of native document, as the native module names it.
#[must_use]
pub const fn format(name: FormatName) -> Format {
    match name {
        FormatName::Hl7v2 => Format::Hl7V2,
        FormatName::Json => Format::Json,
        FormatName::Delimited => Format::Delimited,
        FormatName::Xml => Format::Xml,
    }
}
