//! The slices of an element: found by name and, where there are many, by a text that what belongs to them must have.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::definitions::{Model, Symbol};
use crate::fhir::document::Node;

use super::profile::{Discriminator, Rules, Slice, Slicing};
use super::slicing::{Step, steps};

/// Slices up to which they are looked through one by one.
const FEW: usize = 8;

/// The slices of an element in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Slices {
    all: Vec<Slice>,
    /// Their places by name, where there are more than a few.
    places: FxHashMap<Arc<str>, usize>,
    index: OnceLock<Arc<Index>>,
}

impl Deref for Slices {
    type Target = [Slice];

    fn deref(&self) -> &[Slice] {
        &self.all
    }
}

impl Slices {
    /// The place of a slice.
    fn place(&self, name: &str) -> Option<usize> {
        if self.all.len() > FEW {
            return self.places.get(name).copied();
        }
        self.all.iter().position(|slice| &*slice.name == name)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Slice> {
        self.all.get(self.place(name)?)
    }

    /// The rules of a slice, which is made by `new` where there is none.
    pub(super) fn rules_mut(&mut self, name: &str, new: impl FnOnce() -> Rules) -> &mut Rules {
        let place = self.place(name).unwrap_or_else(|| {
            self.all.push(Slice { name: Arc::from(name), rules: new() });
            if self.all.len() == FEW + 1 {
                self.places =
                    self.all.iter().enumerate().map(|(place, slice)| (Arc::clone(&slice.name), place)).collect();
            } else if let Some(last) = self.all.last().filter(|_| self.all.len() > FEW) {
                self.places.insert(Arc::clone(&last.name), self.all.len() - 1);
            }
            self.all.len() - 1
        });
        self.index = OnceLock::new();
        #[expect(clippy::indexing_slicing, reason = "the place was just found or made")]
        &mut self.all[place].rules
    }

    /// The places of the slices that a node may belong to, in their order; none: any of them.
    pub(super) fn candidates(
        &self,
        node: Node<'_>,
        slicing: &Slicing,
        model: &Model,
        url_of: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Vec<usize>> {
        if self.all.len() <= FEW {
            return None;
        }
        let index = self.index.get_or_init(|| Arc::new(Index::of(&self.all, slicing, model, url_of)));
        Some(index.candidates(node))
    }
}

/// Slices by a text that stands somewhere in what belongs to them.
#[derive(Debug, Default)]
struct Index {
    by_path: FxHashMap<Vec<Symbol>, FxHashMap<Box<str>, Vec<usize>>>,
    /// Those that ask for no text.
    rest: Vec<usize>,
}

impl Index {
    fn of(slices: &[Slice], slicing: &Slicing, model: &Model, url_of: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut index = Self::default();
        for (place, slice) in slices.iter().enumerate() {
            let values = slicing
                .discriminators
                .iter()
                .filter(|(kind, _)| matches!(kind, Discriminator::Value | Discriminator::Pattern));
            match values.filter_map(|(_, path)| asked(&slice.rules, path, model, url_of)).next() {
                Some((path, text)) => {
                    index.by_path.entry(path).or_default().entry(text.into_boxed_str()).or_default().push(place);
                }
                None => index.rest.push(place),
            }
        }
        index
    }

    fn candidates(&self, node: Node<'_>) -> Vec<usize> {
        let mut found = self.rest.clone();
        for (path, places) in &self.by_path {
            let ends = path
                .iter()
                .fold(vec![node], |nodes, symbol| nodes.iter().flat_map(|node| node.child(*symbol)).collect());
            found.extend(ends.iter().filter_map(|node| places.get(node.text()?)).flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The text that a slice asks for by a discriminator, and where.
fn asked(
    rules: &Rules,
    path: &str,
    model: &Model,
    url_of: &dyn Fn(&str) -> Option<String>,
) -> Option<(Vec<Symbol>, String)> {
    let (mut rules, mut at) = (rules, Vec::new());
    for step in steps(path) {
        if let Some(value) = rules.fixed.as_ref().or(rules.pattern.as_ref()) {
            return text_in(value, at, model);
        }
        match step {
            Step::This => {}
            Step::Name(name) => {
                at.push(model.symbol(name));
                match rules.child(name) {
                    Some(child) if child.slices.is_empty() => rules = child,
                    None if name == "url" && path == "url" => {
                        let mut profiles = rules.profiles();
                        let (profile, None) = (profiles.next()?, profiles.next()) else { return None };
                        return Some((at, url_of(profile)?));
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    text_in(rules.fixed.as_ref().or(rules.pattern.as_ref())?, at, model)
}

/// A text of a value, where it stands: the one that is likeliest to tell values apart.
fn text_in(value: &Value, mut at: Vec<Symbol>, model: &Model) -> Option<(Vec<Symbol>, String)> {
    const TELLING: [&str; 8] = ["coding", "code", "value", "reference", "system", "use", "url", "text"];
    match value {
        Value::String(text) => Some((at, text.clone())),
        Value::Array(items) => text_in(items.first()?, at, model),
        Value::Object(members) => {
            let (name, member) = TELLING.iter().find_map(|name| Some((*name, members.get(*name)?)))?;
            at.push(model.symbol(name));
            text_in(member, at, model)
        }
        _ => None,
    }
}
