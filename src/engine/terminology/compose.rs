//! Value sets and code systems as they are published, from the compiled core or from a package.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::definitions::{CodeSystem, Model};
use crate::package::library::{Canonical, Library};

/// The codes of a set.
pub(super) type Codes = FxHashSet<Box<str>>;

/// One include or exclude.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) exclude: bool,
    pub(super) system: String,
    /// The version of the system that it takes codes from; empty: not said.
    pub(super) version: String,
    /// Whether codes that are no longer in use are left out.
    pub(super) active_only: bool,
    pub(super) codes: Vec<String>,
    /// What the value set calls its codes: code and name.
    pub(super) names: Vec<(String, String)>,
    /// Property, operation, value.
    pub(super) filters: Vec<(String, String, String)>,
    pub(super) value_sets: Vec<String>,
}

/// A value set as published.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) url: String,
    pub(super) parts: Vec<Part>,
    /// An expansion that is given and whole: system and code.
    pub(super) expansion: Option<Vec<(String, String)>>,
    /// What an expansion calls its codes: code and name in small letters.
    pub(super) names: Vec<(String, String)>,
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl Composed {
    pub(super) fn find(model: &Model, library: &Library, canonical: &str) -> Option<Self> {
        if let Some(found) = library.find("ValueSet", canonical) {
            return Some(Self::of_package(found));
        }
        let url = canonical.split('|').next().unwrap_or(canonical);
        let set = model.value_set(url)?;
        let parts = set
            .includes()
            .map(|include| Part {
                exclude: include.is_exclude(),
                system: include.system().to_owned(),
                version: String::new(),
                active_only: false,
                codes: include.concepts().map(|(code, _)| code.to_owned()).collect(),
                names: Vec::new(),
                filters: include
                    .filters()
                    .map(|(property, operation, value)| (property.to_owned(), operation.to_owned(), value.to_owned()))
                    .collect(),
                value_sets: include.value_sets().map(str::to_owned).collect(),
            })
            .collect();
        Some(Self { url: url.to_owned(), parts, expansion: None, names: Vec::new() })
    }

    pub(super) fn of_package(found: &Canonical) -> Self {
        let compose = found.content.get("compose").unwrap_or(&Value::Null);
        let active_only = compose.get("inactive").and_then(Value::as_bool) == Some(false);
        let part = |include: &Value, exclude| Part {
            exclude,
            system: text(include, "system"),
            version: text(include, "version"),
            active_only: active_only && !exclude,
            codes: list(include, "concept").iter().map(|concept| text(concept, "code")).collect(),
            names: list(include, "concept").iter().flat_map(names_of).collect(),
            filters: list(include, "filter")
                .iter()
                .map(|filter| (text(filter, "property"), text(filter, "op"), text(filter, "value")))
                .collect(),
            value_sets: list(include, "valueSet").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        let parts: Vec<Part> = list(compose, "include")
            .iter()
            .map(|include| part(include, false))
            .chain(list(compose, "exclude").iter().map(|exclude| part(exclude, true)))
            .collect();
        let expansion = found.content.get("expansion").filter(|expansion| is_whole(expansion)).map(|expansion| {
            let mut codes = Vec::new();
            contained(list(expansion, "contains"), &mut codes);
            codes
        });
        let mut names = Vec::new();
        named(list(found.content.get("expansion").unwrap_or(&Value::Null), "contains"), &mut names);
        Self { url: found.url.clone(), parts, expansion, names }
    }
}

/// The display and the designations of a concept, each with its code.
fn names_of(concept: &Value) -> impl Iterator<Item = (String, String)> {
    let code = text(concept, "code");
    let designations = list(concept, "designation").iter().map(|held| text(held, "value"));
    std::iter::once(text(concept, "display"))
        .chain(designations)
        .filter(|name| !name.is_empty())
        .map(move |name| (code.clone(), name.to_lowercase()))
}

fn named(from: &[Value], names: &mut Vec<(String, String)>) {
    for one in from {
        names.extend(names_of(one));
        named(list(one, "contains"), names);
    }
}

/// Whether an expansion has all of its codes: no paging, no limit.
fn is_whole(expansion: &Value) -> bool {
    let total = expansion.get("total").and_then(Value::as_u64);
    let mut codes = Vec::new();
    contained(list(expansion, "contains"), &mut codes);
    expansion.get("offset").is_none_or(|offset| offset == 0)
        && total.is_none_or(|total| total <= codes.len() as u64)
        && !list(expansion, "parameter").iter().any(|parameter| text(parameter, "name") == "limitedExpansion")
}

fn contained(from: &[Value], codes: &mut Vec<(String, String)>) {
    for one in from {
        let is_abstract = one.get("abstract").and_then(Value::as_bool) == Some(true);
        if !is_abstract && one.get("code").is_some() {
            codes.push((text(one, "system"), text(one, "code")));
        }
        contained(list(one, "contains"), codes);
    }
}

/// A code system at hand.
#[derive(Debug)]
pub(super) enum System<'a> {
    Core(CodeSystem<'a>),
    Package(&'a Arc<Canonical>),
}

impl<'a> System<'a> {
    pub(super) fn find(model: &'a Model, library: &'a Library, url: &str) -> Option<Self> {
        if let Some(found) = library.find("CodeSystem", url)
            && text(&found.content, "content") != "supplement"
        {
            return Some(Self::Package(found));
        }
        model.code_system(url.split('|').next().unwrap_or(url)).map(Self::Core)
    }

    /// Whether a code that is not here is wrong. A core system that lists nothing is one that is kept elsewhere.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Core(system) => system.is_complete() && system.concepts().next().is_some(),
            Self::Package(found) => {
                text(&found.content, "content") == "complete" && !list(&found.content, "concept").is_empty()
            }
        }
    }

    pub(super) fn is_case_sensitive(&self) -> bool {
        match self {
            Self::Core(system) => system.is_case_sensitive(),
            Self::Package(found) => found.content.get("caseSensitive").and_then(Value::as_bool).unwrap_or(true),
        }
    }

    /// All concepts, each with the places of its parents: what it stands in, and what its properties name.
    pub(super) fn concepts(&self) -> Vec<Concept<'_>> {
        match self {
            Self::Core(system) => system
                .concepts()
                .map(|concept| Concept {
                    code: concept.code,
                    display: concept.display,
                    parents: concept.parent.map(|parent| parent as usize).into_iter().collect(),
                    written: None,
                })
                .collect(),
            Self::Package(found) => {
                let mut all = Vec::new();
                nested(list(&found.content, "concept"), None, &mut all);
                let (parent, child) = (self.property_of(PARENT, "parent"), self.property_of(CHILD, "child"));
                let places: FxHashMap<&str, usize> = all
                    .iter()
                    .enumerate()
                    .map(|(place, concept): (usize, &Concept<'_>)| (concept.code, place))
                    .collect();
                let mut edges = Vec::new();
                for (place, concept) in all.iter().enumerate() {
                    let named = |property: &str| concept.properties(property);
                    edges.extend(named(&parent).iter().filter_map(|code| Some((place, *places.get(code.as_str())?))));
                    edges.extend(named(&child).iter().filter_map(|code| Some((*places.get(code.as_str())?, place))));
                }
                for (place, parent) in edges {
                    if let Some(concept) = all.get_mut(place)
                        && !concept.parents.contains(&parent)
                    {
                        concept.parents.push(parent);
                    }
                }
                all
            }
        }
    }

    /// How the system calls a property that FHIR defines.
    fn property_of(&self, uri: &str, otherwise: &str) -> String {
        let Self::Package(found) = self else { return otherwise.to_owned() };
        let own = list(&found.content, "property").iter().find(|one| text(one, "uri") == uri);
        own.map_or_else(|| otherwise.to_owned(), |own| text(own, "code"))
    }

    /// Whether its concepts may have a property: it says so, or one of them has it.
    pub(super) fn has_property(&self, property: &str, concepts: &[Concept<'_>]) -> bool {
        let Self::Package(found) = self else { return false };
        list(&found.content, "property").iter().any(|one| text(one, "code") == property)
            || concepts.iter().any(|concept| !concept.properties(property).is_empty())
    }

    pub(super) fn codes(&self) -> Codes {
        self.concepts().into_iter().map(|concept| Box::from(concept.code)).collect()
    }

    /// The codes that it says are no longer in use (<http://hl7.org/fhir/R4/codesystem.html#status>).
    pub(super) fn inactive(&self) -> Codes {
        let (inactive, status) = (self.property_of(INACTIVE, "inactive"), self.property_of(STATUS, "status"));
        let is = |concept: &Concept<'_>, property: &str, wanted: &[&str]| {
            concept.properties(property).iter().any(|held| wanted.contains(&held.as_str()))
        };
        self.concepts()
            .into_iter()
            .filter(|concept| is(concept, &inactive, &["true"]) || is(concept, &status, &["retired", "inactive"]))
            .map(|concept| Box::from(concept.code))
            .collect()
    }

    /// Its codes with their names, those that supplements give them too.
    pub(super) fn listing(&self, supplements: &[&Arc<Canonical>]) -> Listing {
        let is_case_sensitive = self.is_case_sensitive();
        let fold = |code: &str| -> Box<str> {
            if is_case_sensitive { Box::from(code) } else { code.to_ascii_lowercase().into_boxed_str() }
        };
        let displays =
            self.concepts().into_iter().map(|concept| (fold(concept.code), Box::from(concept.display))).collect();
        let mut designations = FxHashSet::default();
        let mut add = |concept: &Value, name: &str| {
            if !name.is_empty() {
                designations.insert((fold(&text(concept, "code")), name.to_lowercase().into_boxed_str()));
            }
        };
        let own = match self {
            Self::Package(found) => Some(*found),
            Self::Core(_) => None,
        };
        for of in own.iter().chain(supplements) {
            let mut open: Vec<&Value> = list(&of.content, "concept").iter().collect();
            while let Some(concept) = open.pop() {
                open.extend(list(concept, "concept"));
                add(concept, &text(concept, "display"));
                for held in list(concept, "designation") {
                    add(concept, &text(held, "value"));
                }
            }
        }
        Listing { displays, designations, is_case_sensitive, is_complete: self.is_complete() }
    }
}

/// The properties by which a concept names what it is below, and what is below it
/// (<http://hl7.org/fhir/R4/codesystem.html#defined-props>).
const PARENT: &str = "http://hl7.org/fhir/concept-properties#parent";
const CHILD: &str = "http://hl7.org/fhir/concept-properties#child";

/// The properties by which a concept says that it is no longer in use.
const INACTIVE: &str = "http://hl7.org/fhir/concept-properties#inactive";
const STATUS: &str = "http://hl7.org/fhir/concept-properties#status";

/// The supplements of a system in a library.
pub(super) fn supplements<'a>(library: &'a Library, system: &str) -> Vec<&'a Arc<Canonical>> {
    let plain = |url: &str| url.split('|').next().unwrap_or(url).to_owned();
    let wanted = plain(system);
    let of = |found: &&Arc<Canonical>| {
        text(&found.content, "content") == "supplement" && plain(&text(&found.content, "supplements")) == wanted
    };
    library.all("CodeSystem").into_values().filter(of).collect()
}

/// One concept of a system.
#[derive(Debug)]
pub(super) struct Concept<'a> {
    pub(super) code: &'a str,
    pub(super) display: &'a str,
    /// The places of its parents.
    pub(super) parents: Vec<usize>,
    /// As its system has it, where that is from a package.
    written: Option<&'a Value>,
}

impl Concept<'_> {
    /// What it has as a property.
    pub(super) fn properties(&self, property: &str) -> Vec<String> {
        self.written.map(|written| super::filter::property_values(written, property)).unwrap_or_default()
    }
}

/// The codes of a system with their names.
#[derive(Debug)]
pub(super) struct Listing {
    displays: FxHashMap<Box<str>, Box<str>>,
    /// Other names of codes, in small letters; those of the core are not held.
    designations: FxHashSet<(Box<str>, Box<str>)>,
    is_case_sensitive: bool,
    pub(super) is_complete: bool,
}

impl Listing {
    fn fold<'c>(&self, code: &'c str) -> Cow<'c, str> {
        if self.is_case_sensitive { Cow::Borrowed(code) } else { Cow::Owned(code.to_ascii_lowercase()) }
    }

    /// The display of a code; empty when it has none, nothing when the system does not list the code.
    pub(super) fn display(&self, code: &str) -> Option<&str> {
        self.displays.get(&*self.fold(code)).map(|display| &**display)
    }

    /// Whether a text is one of the other names of a code.
    pub(super) fn has_designation(&self, code: &str, wanted: &str) -> bool {
        self.designations.contains(&(Box::from(&*self.fold(code)), wanted.to_lowercase().into_boxed_str()))
    }
}

fn nested<'a>(from: &'a [Value], parent: Option<usize>, out: &mut Vec<Concept<'a>>) {
    let held = |concept: &'a Value, key: &str| concept.get(key).and_then(Value::as_str).unwrap_or("");
    for concept in from {
        let place = out.len();
        out.push(Concept {
            code: held(concept, "code"),
            display: held(concept, "display"),
            parents: parent.into_iter().collect(),
            written: Some(concept),
        });
        nested(list(concept, "concept"), Some(place), out);
    }
}
