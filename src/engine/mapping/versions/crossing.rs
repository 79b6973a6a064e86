//! Resources of another version of FHIR one by one, each as it is in the other version.

use std::cell::RefCell;
use std::sync::Arc;

use crate::fhir::document::Document;
use crate::fhir::draft::Draft;
use crate::native::{Edit, Format, NodeId, Place, Step, Tree, json};

use super::super::counterpart::{Counterpart, Form};
use super::super::library::Maps;
use super::super::map::Map;
use super::super::syntax::NativeType;
use super::convert::Convert;
use super::part::{self, Part};
use super::{Facts, FhirVersion, merge};

/// What crosses between R4 and another version: whole resources, by what the blocks of that version say. A type that
/// no block speaks of crosses too, what both versions have alike as it is and the rest in extensions.
#[derive(Debug, Clone)]
pub struct Crossing {
    map: Arc<Map>,
    version: FhirVersion,
    prefers: Vec<String>,
}

impl Maps {
    /// The crossing to a version. `prefers` are the types of that version that a type of R4 with several is taken for.
    #[must_use]
    pub fn crossing(&self, version: FhirVersion, prefers: Vec<String>) -> Option<Crossing> {
        let is_of = |map: &&Arc<Map>| matches!(map.native(), NativeType::Fhir { version: of, .. } if *of == version);
        let map = self.iter().find(is_of)?;
        Some(Crossing { map: Arc::clone(map), version, prefers })
    }
}

impl Crossing {
    fn convert(&self, inward: bool) -> Convert<'_> {
        let (there, here) = (self.version.facts(), Facts::r4());
        let (from, to) = if inward { (there, here) } else { (here, there) };
        let blocks = &self.map.plan().versions;
        Convert { from, to, blocks, inward, prefers: &self.prefers, stale: RefCell::default() }
    }

    fn crossed(convert: &Convert<'_>, kind: &str, parts: Vec<Part>) -> Option<(String, Vec<Part>)> {
        let part = Part { resource: Some((kind.to_owned(), None)), parts, ..Part::default() };
        let as_type = convert.resource_as(kind, &part)?;
        let mut parts = convert.object(kind, &as_type, &part.parts);
        convert.mark(kind, &as_type, &mut parts);
        Some((as_type, parts))
    }

    /// A resource of the version, as JSON or XML, in R4; nothing where it is none that R4 has.
    #[must_use]
    pub fn to_r4(&self, tree: &Tree) -> Option<Arc<Document>> {
        if tree.format() == Format::Xml {
            let read = Counterpart::read(Form::Fhir(self.version.facts()), tree)?;
            return self.of_json(read.json());
        }
        self.of_json(tree)
    }

    fn of_json(&self, tree: &Tree) -> Option<Arc<Document>> {
        let (kind, _) = part::resource_type(tree, tree.root())?;
        let from = self.version.facts();
        let of = from.of(&kind).filter(|of| of.is_resource)?;
        let convert = self.convert(true);
        let (as_type, parts) = Self::crossed(&convert, &kind, part::read(tree, tree.root(), from, &of))?;
        let mut draft = Draft::new(&self.map.model, &as_type);
        let root = draft.root();
        part::draw(&mut draft, root, &parts, &mut |_, _, _| {});
        draft.finish().ok()
    }

    /// A resource of R4 as JSON of the version; nothing where that does not have its type.
    #[must_use]
    pub fn of_r4(&self, resource: &Document) -> Option<Vec<u8>> {
        let root = resource.root();
        let convert = self.convert(false);
        let (as_type, parts) = Self::crossed(&convert, root.type_name(), part::of_node(root))?;
        let to = self.version.facts();
        let content = merge::json(to, &*to.of(&as_type)?, &parts);
        let tree = json::create();
        let mut edit = Edit::new(&tree);
        edit.set(NodeId::ROOT, &[Step::Member("resourceType".into())], as_type.as_str()).ok()?;
        merge::write(&mut edit, Place::Node(NodeId::ROOT), &[], &content).ok()?;
        Some(edit.finish().bytes)
    }
}
