//! Documents in XML whose maps speak of JSON. FHIR writes either, and says the same in both: such a document is read as its
//! counterpart in JSON, which the map reads and changes; what is changed in that is changed in the XML, and nothing else.

mod item;
mod merge;
mod shape;
mod text;

use std::ops::Range;

use crate::fault::Fault;
use crate::native::{Edit, Kind, Limits, NodeId, Syntax, Tree};

use super::run::{Refusal, Refusals};
use item::Item;
pub(crate) use shape::{Form, keep_order};

/// What a counterpart may be: its XML was within the limits of who read it.
const WIDE: Limits = Limits { bytes: u32::MAX as usize - 1, depth: 512, nodes: u32::MAX as usize - 1 };

/// A document in XML and what it says as JSON.
pub(crate) struct Counterpart<'t> {
    form: Form<'t>,
    xml: &'t Tree,
    item: Item,
    json: Tree,
    /// What each leaf of the JSON is in the XML.
    origins: Vec<Option<NodeId>>,
    /// Whether something in the document is not of its form.
    has_strays: bool,
}

impl<'t> Counterpart<'t> {
    /// Reads a document in XML; nothing where its document element is another.
    pub(crate) fn read(form: Form<'t>, xml: &'t Tree) -> Option<Self> {
        let top = xml.document_element()?;
        let namespace = xml.namespace(top);
        if namespace.unwrap_or_default() != form.namespace() {
            return None;
        }
        let name = xml.name(top)?;
        let of = form.document(&name)?;
        let mut has_strays = false;
        let item = item::read(&form, xml, top, &of, &mut has_strays)?;
        let (text, origins) = text::json(&form, &item, &of);
        let json = Syntax::Json.parse(text.into_bytes(), &WIDE).ok()?;
        Some(Self { form, xml, item, json, origins, has_strays })
    }

    /// What it says as JSON.
    pub(crate) const fn json(&self) -> &Tree {
        &self.json
    }

    pub(crate) const fn has_strays(&self) -> bool {
        self.has_strays
    }

    /// The leaves of the XML that each leaf of the JSON is.
    pub(crate) fn leaves(&self) -> Vec<Range<u32>> {
        self.origins.iter().map(|origin| origin.map_or(0..0, |node| self.xml.leaves(node))).collect()
    }

    /// Writes what JSON says that was changed from this one's.
    pub(crate) fn write(&self, changed: &Tree) -> Result<Vec<u8>, Refusals> {
        if changed.bytes() == self.json.bytes() {
            return Ok(self.xml.bytes().to_vec());
        }
        let wanted = of_json(&self.form, changed)?;
        if wanted.name != self.item.name {
            return Err(Refusals::one("$", format!("a {}", self.item.name), Fault::BusinessRule));
        }
        let mut edit = Edit::new(self.xml);
        merge::merge(&mut edit, &self.form, &self.item, &wanted)
            .map_err(|error| Refusals::one(error.location().unwrap_or_default(), error.to_string(), error.fault()))?;
        Ok(edit.finish().bytes)
    }

    /// Where it says something else than JSON that was to be written.
    pub(crate) fn differs(&self, wanted: &Tree) -> Option<String> {
        let same = of_json(&self.form, wanted).is_ok_and(|wanted| {
            // Its elements are where the form has them; those of a document may be out of order.
            let own = of_json(&self.form, &self.json);
            own.is_ok_and(|own| own == wanted)
        });
        (!same).then(|| "/".to_owned())
    }

    /// Refusals with the places of the XML.
    pub(crate) fn located(&self, refusals: Refusals) -> Refusals {
        let items = refusals.items.into_iter().map(|item| Refusal { path: self.place(&item.path), ..item }).collect();
        Refusals { items }
    }

    /// The path in the XML of what has a path in the JSON; other paths as they are.
    pub(crate) fn place(&self, path: &str) -> String {
        let node = path.strip_prefix('$').and_then(|_| self.json.locate(path));
        let origin = node.and_then(|node| {
            let leaves = self.json.leaves(node);
            self.origins.get(leaves.start as usize..leaves.end as usize)?.iter().flatten().next().copied()
        });
        let is_leaf = node.is_some_and(|node| !matches!(self.json.kind(node), Kind::Object | Kind::Array));
        match origin {
            Some(origin) if is_leaf => self.xml.path(origin).to_string(),
            Some(origin) => self.xml.path(self.xml.parent(origin).unwrap_or(origin)).to_string(),
            None => path.to_owned(),
        }
    }
}

/// JSON as a new document in XML.
pub(crate) fn document(form: &Form<'_>, json: &Tree) -> Result<Vec<u8>, Refusals> {
    let item = of_json(form, json)?;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    merge::render(&item, "", Some(form.namespace()), Some(0), &mut out)
        .map_err(|error| Refusals::one(error.location().unwrap_or_default(), error.to_string(), error.fault()))?;
    out.push('\n');
    Ok(out.into_bytes())
}

fn of_json(form: &Form<'_>, json: &Tree) -> Result<Item, Refusals> {
    let wrong = |path: String| Refusals::one(path, "what the format has in XML", Fault::BusinessRule);
    let name = form.name_of(json).ok_or_else(|| wrong("$".to_owned()))?;
    let of = form.document(&name).ok_or_else(|| wrong("$".to_owned()))?;
    item::of_json(form, json, json.root(), &of, &name).map_err(|node| wrong(json.path(node).to_string()))
}
