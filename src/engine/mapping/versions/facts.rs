//! Which elements the types of a FHIR version have: of R4 from its model, of others from tables in profiles/hl7/fhir.

use std::sync::{Arc, LazyLock, RwLock};

use rustc_hash::FxHashMap;

use crate::definitions::Model;

/// A FHIR version that maps relate to R4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FhirVersion {
    /// STU3, 3.0.
    Stu3,
    /// R5, 5.0.
    R5,
}

impl FhirVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Stu3, Self::R5];

    /// `5.0`, as it stands in the URLs of its definitions.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stu3 => "3.0",
            Self::R5 => "5.0",
        }
    }

    /// Its types.
    #[must_use]
    pub fn facts(self) -> &'static Facts {
        static STU3: LazyLock<Facts> =
            LazyLock::new(|| Facts::tabled("3.0", include_str!("../../../../profiles/hl7/fhir/stu3.tsv")));
        static R5: LazyLock<Facts> =
            LazyLock::new(|| Facts::tabled("5.0", include_str!("../../../../profiles/hl7/fhir/r5.tsv")));
        match self {
            Self::Stu3 => &STU3,
            Self::R5 => &R5,
        }
    }
}

/// The types of a FHIR version; each is read when it is first asked for.
#[derive(Debug)]
pub struct Facts {
    /// `5.0`.
    pub version: &'static str,
    source: Source,
    known: RwLock<FxHashMap<String, Option<Arc<TypeFacts>>>>,
}

#[derive(Debug)]
enum Source {
    /// Of each type its kind and its lines.
    Table(FxHashMap<&'static str, (&'static str, &'static str)>),
    Model(&'static Arc<Model>),
}

/// A type: a data type, a resource, or a part of one by its path.
#[derive(Debug)]
pub struct TypeFacts {
    /// `CarePlan.activity`.
    pub name: String,
    /// Its elements in order.
    pub elements: Vec<ElementFacts>,
    /// Whether it is a resource.
    pub is_resource: bool,
}

/// An element of a type.
#[derive(Debug, Clone)]
pub struct ElementFacts {
    /// Its logical name, without `[x]`.
    pub name: String,
    /// `CarePlan.activity.reference`, without `[x]`.
    pub path: String,
    /// Whether it is a choice of types.
    pub is_choice: bool,
    /// Whether it must be there.
    pub is_required: bool,
    /// Whether it repeats, and is an array in JSON.
    pub is_list: bool,
    /// Whether it changes the meaning of what holds it.
    pub is_modifier: bool,
    /// Its types.
    pub types: Vec<String>,
    /// The codes of its required binding, where those are few.
    pub codes: Vec<String>,
    /// For references, the types that it may lead to; none where they are not known.
    pub targets: Vec<String>,
}

const ELEMENT: &str = "\tid\t?\tstring\n\textension\t*\tExtension\n";
const MODIFIED: &str = "\tmodifierExtension\t*!\tExtension\n";
const RESOURCE: &str = "\tid\t?\tid\n\tmeta\t?\tMeta\n\timplicitRules\t?!\turi\n\tlanguage\t?\tcode\n";
const DOMAIN: &str =
    "\ttext\t?\tNarrative\n\tcontained\t*\tResource\n\textension\t*\tExtension\n\tmodifierExtension\t*!\tExtension\n";

impl Facts {
    /// The types of R4.
    #[must_use]
    pub fn r4() -> &'static Self {
        static R4: LazyLock<Facts> =
            LazyLock::new(|| Facts { version: "4.0", source: Source::Model(Model::r4()), known: RwLock::default() });
        &R4
    }

    fn tabled(version: &'static str, text: &'static str) -> Self {
        let mut types = FxHashMap::default();
        let mut rest = text;
        while let Some((header, after)) = rest.split_once('\n') {
            // The elements go up to the next line that begins at the margin.
            let mut end = 0;
            while after.as_bytes().get(end) == Some(&b'\t') {
                end += after.get(end..).and_then(|t| t.find('\n')).map_or(after.len() - end, |at| at + 1);
            }
            let (lines, next) = after.split_at_checked(end).unwrap_or((after, ""));
            if let Some((name, kind)) = header.split_once('\t') {
                types.insert(name, (kind, lines));
            }
            rest = next;
        }
        Self { version, source: Source::Table(types), known: RwLock::default() }
    }

    /// A type by its name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Arc<TypeFacts>> {
        if let Ok(known) = self.known.read()
            && let Some(found) = known.get(name)
        {
            return found.clone();
        }
        let found = self.read(name).map(Arc::new);
        if let Ok(mut known) = self.known.write() {
            // Names come from documents too.
            if found.is_some() || known.len() < 4096 {
                known.insert(name.to_owned(), found.clone());
            }
        }
        found
    }

    /// Whether a resource type of this name is there.
    #[must_use]
    pub fn has_resource(&self, name: &str) -> bool {
        self.of(name).is_some_and(|t| t.is_resource)
    }

    fn read(&self, name: &str) -> Option<TypeFacts> {
        match &self.source {
            Source::Table(types) => {
                let (kind, own) = match types.get(name) {
                    Some(found) => *found,
                    None if matches!(name, "Element" | "Resource") => {
                        (if name == "Element" { name } else { "Resource" }, "")
                    }
                    None => return None,
                };
                let inherited = match kind {
                    "Resource" => vec![RESOURCE],
                    "DomainResource" => vec![RESOURCE, DOMAIN],
                    "BackboneElement" => vec![ELEMENT, MODIFIED],
                    _ => vec![ELEMENT],
                };
                let lines = inherited.into_iter().chain([own]).flat_map(str::lines);
                let elements = lines.filter_map(|line| ElementFacts::read(name, line)).collect();
                Some(TypeFacts {
                    name: name.to_owned(),
                    elements,
                    is_resource: kind.ends_with("Resource") && name != "Resource",
                })
            }
            Source::Model(model) => {
                let id = model.type_named(name)?;
                let elements = model.elements(id).map(|e| ElementFacts::of(model, name, e)).collect();
                let is_resource = model.kind(id) == crate::definitions::Kind::Resource && !model.is_abstract(id);
                Some(TypeFacts { name: name.to_owned(), elements, is_resource })
            }
        }
    }
}

impl TypeFacts {
    /// What a name as written means: the element, and the type.
    #[must_use]
    pub fn element(&self, written: &str) -> Option<(&ElementFacts, &str)> {
        let plain = self.elements.iter().find(|e| !e.is_choice && e.name == written);
        if let Some(element) = plain {
            return Some((element, element.types.first()?));
        }
        self.elements.iter().filter(|e| e.is_choice).find_map(|element| {
            let suffix = written.strip_prefix(element.name.as_str())?;
            let of = element.types.iter().find(|t| is_suffix(suffix, t))?;
            Some((element, of.as_str()))
        })
    }

    /// The element of a logical name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ElementFacts> {
        self.elements.iter().find(|e| e.name == name)
    }
}

fn is_suffix(suffix: &str, type_name: &str) -> bool {
    let (mut a, mut b) = (suffix.chars(), type_name.chars());
    match (a.next(), b.next()) {
        (Some(x), Some(y)) => x == y.to_ascii_uppercase() && a.as_str() == b.as_str(),
        _ => false,
    }
}

impl ElementFacts {
    /// The name by which an element of a type is written.
    #[must_use]
    pub fn written(&self, type_name: &str) -> String {
        if !self.is_choice {
            return self.name.clone();
        }
        let mut rest = type_name.chars();
        let first = rest.next().map(|c| c.to_ascii_uppercase()).unwrap_or_default();
        format!("{}{first}{}", self.name, rest.as_str())
    }

    fn read(holder: &str, line: &str) -> Option<Self> {
        let mut cells = line.strip_prefix('\t')?.split('\t');
        let (name, card, types) = (cells.next()?, cells.next()?, cells.next()?);
        let words = |text: &str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let is_choice = name.ends_with("[x]");
        let name = name.trim_end_matches("[x]");
        Some(Self {
            name: name.to_owned(),
            path: format!("{holder}.{name}"),
            is_choice,
            is_required: card.starts_with(['1', '+']),
            is_list: card.starts_with(['*', '+']),
            is_modifier: card.ends_with('!'),
            types: words(types),
            codes: cells.next().map(words).unwrap_or_default(),
            targets: Vec::new(),
        })
    }

    fn of(model: &Model, holder: &str, element: crate::definitions::Element<'_>) -> Self {
        let mut types: Vec<String> = Vec::new();
        let mut targets: Vec<String> = Vec::new();
        for choice in element.types() {
            let name = model.type_name(choice.type_id()).to_owned();
            targets.extend(choice.targets().filter_map(|t| t.rsplit('/').next()).map(str::to_owned));
            if !types.contains(&name) {
                types.push(name);
            }
        }
        if targets.iter().any(|t| t == "Resource") {
            targets.clear();
        }
        Self {
            name: element.name().to_owned(),
            path: format!("{holder}.{}", element.name()),
            is_choice: element.is_choice(),
            is_required: element.min() > 0,
            is_list: element.is_array(),
            is_modifier: element.is_modifier(),
            codes: element
                .types()
                .next()
                .filter(|t| model.type_name(t.type_id()) == "code")
                .and_then(|_| element.required_codes())
                .unwrap_or_default(),
            types,
            targets,
        }
    }
}
