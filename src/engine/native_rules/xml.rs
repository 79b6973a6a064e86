//! The rules of XML documents: what a schema says of elements, their order and number, attributes and texts; and of C-CDA
//! documents, which sections their templates require (C-CDA R2.1).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::fault::Fault;
use crate::native::xml::schema::{Content, Member, MemberKind, Simple, TypeIndex};
use crate::native::xml::{QName, XSI, XmlSchema};
use crate::native::{Kind, Name, NodeId, Position, Tree};

/// What rule of a document is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum XmlRule {
    /// Another document element.
    Root,
    /// An element or attribute that the schema has not here.
    Unknown,
    /// Something that must be there is not.
    Missing,
    /// More of an element than there may be.
    TooMany,
    /// An element after one that comes later.
    Order,
    /// A text that is not of its kind.
    Value,
    /// A code that is not among those listed.
    Code,
    /// A type that is none of the choice.
    Type,
    /// A section that the document's template requires.
    Section,
}

impl XmlRule {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "cda-root",
            Self::Unknown => "cda-unknown",
            Self::Missing => "cda-missing",
            Self::TooMany => "cda-too-many",
            Self::Order => "cda-order",
            Self::Value => "cda-value",
            Self::Code => "cda-code",
            Self::Type => "cda-type",
            Self::Section => "cda-section",
        }
    }

    /// The answer that it leads to.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::Root => Fault::UnknownType,
            Self::Missing | Self::Section => Fault::RequiredMissing,
            Self::Code => Fault::CodeNotInValueSet,
            Self::Unknown | Self::TooMany | Self::Order | Self::Value | Self::Type => Fault::BadValue,
        }
    }
}

/// One thing that is wrong: where, and what was expected; nothing of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlFinding {
    /// Which rule.
    pub rule: XmlRule,
    /// The path of the element or attribute.
    pub path: String,
    /// Line and column.
    pub position: Position,
    /// What was expected.
    pub expected: String,
}

/// CDA R2 as C-CDA uses it.
static CDA: LazyLock<Option<XmlSchema>> =
    LazyLock::new(|| XmlSchema::parse(include_str!("../../../profiles/hl7/cda/cda.xmlschema")).ok());

/// Templates of which one is required, and what they are called.
type Required = (&'static [&'static str], &'static str);

/// The sections that a document template requires: any of the templates of each, and what the section is called.
const SECTIONS: [(&str, &[Required]); 2] = [
    (
        "2.16.840.1.113883.10.20.22.1.15",
        &[
            (&["2.16.840.1.113883.10.20.22.2.58"], "a Health Concerns Section"),
            (&["2.16.840.1.113883.10.20.22.2.60"], "a Goals Section"),
        ],
    ),
    (
        "2.16.840.1.113883.10.20.22.1.14",
        &[
            (&["1.3.6.1.4.1.19376.1.5.3.1.3.1"], "a Reason for Referral Section"),
            (&["2.16.840.1.113883.10.20.22.2.5.1"], "a Problem Section with entries"),
            (&["2.16.840.1.113883.10.20.22.2.6.1"], "an Allergies and Intolerances Section with entries"),
            (&["2.16.840.1.113883.10.20.22.2.1.1"], "a Medications Section with entries"),
        ],
    ),
];

/// Judges a clinical document by CDA R2 and by the templates of the documents that are known.
#[must_use]
pub fn clinical_document(tree: &Tree) -> Vec<XmlFinding> {
    let Some(schema) = CDA.as_ref() else { return Vec::new() };
    let mut found = check(tree, schema);
    found.extend(narratives(tree, schema));
    found.sort_by_key(|finding| finding.position.offset);
    found.extend(templates(tree));
    found
}

/// What a narrative is made of (CDA R2, 4.3.5).
const NARRATIVE: [&str; 21] = [
    "content",
    "link",
    "linkHtml",
    "sub",
    "sup",
    "br",
    "footnote",
    "footnoteRef",
    "renderMultiMedia",
    "paragraph",
    "list",
    "item",
    "caption",
    "table",
    "colgroup",
    "col",
    "thead",
    "tfoot",
    "tbody",
    "tr",
    "td",
];

/// Elements of narratives that there are none of, and IDs that are there twice.
fn narratives(tree: &Tree, schema: &XmlSchema) -> Vec<XmlFinding> {
    let mut found = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut note = |rule: XmlRule, at: NodeId, expected: &str| {
        let (path, position) = (tree.path(at).to_string(), tree.position(at));
        found.push(XmlFinding { rule, path, position, expected: expected.to_owned() });
    };
    let Some(top) = tree.document_element() else { return found };
    let is = |node: NodeId, name: &str| tree.name(node).is_some_and(|own| own == name);
    // Elements, and whether they stand in a narrative.
    let mut open = vec![(top, false)];
    while let Some((at, within)) = open.pop() {
        if let Some(id) = tree.attribute(at, &Name::local("ID"))
            && !known.insert(tree.text(id).unwrap_or_default().trim().to_owned())
        {
            note(XmlRule::Value, id, "an ID that the document has once");
        }
        let own = tree.namespace(at) == schema.root.namespace.as_deref();
        let itself = is(at, "text") && tree.parent(at).is_some_and(|holder| is(holder, "section"));
        if within && own && !itself && !is(at, "th") && !NARRATIVE.iter().any(|name| is(at, name)) {
            note(XmlRule::Unknown, at, "no such element in a narrative");
            continue;
        }
        let section = is(at, "section");
        let children: Vec<NodeId> = tree.children(at).filter(|c| tree.kind(*c) == Kind::Element).collect();
        open.extend(children.into_iter().rev().map(|child| (child, within || section && is(child, "text"))));
    }
    found
}

/// Judges a document by a schema.
#[must_use]
pub fn check(tree: &Tree, schema: &XmlSchema) -> Vec<XmlFinding> {
    judged(tree, schema, false)
}

/// Judges a document by a schema as one that was written: what is expected of those must be there.
#[must_use]
pub fn check_written(tree: &Tree, schema: &XmlSchema) -> Vec<XmlFinding> {
    judged(tree, schema, true)
}

fn judged(tree: &Tree, schema: &XmlSchema, written: bool) -> Vec<XmlFinding> {
    let mut checker = Checker { tree, schema, written, found: Vec::new() };
    let Some(top) = tree.document_element() else { return Vec::new() };
    if name_of(tree, top).as_ref() == Some(&schema.root) {
        checker.element(top, schema.root_type());
    } else {
        let namespace = schema.root.namespace.as_deref().unwrap_or_default();
        checker.note(XmlRule::Root, top, format!("<{}> of {namespace}", schema.root.local));
    }
    checker.found
}

fn name_of(tree: &Tree, node: NodeId) -> Option<Name> {
    let local = tree.name(node)?;
    Some(tree.namespace(node).map_or_else(|| Name::local(&local), |uri| Name::new(uri, &local)))
}

fn templates(tree: &Tree) -> Vec<XmlFinding> {
    let mut held: Vec<String> = Vec::new();
    let mut document: Vec<String> = Vec::new();
    let Some(top) = tree.document_element() else { return Vec::new() };
    let mut open = vec![top];
    while let Some(at) = open.pop() {
        for child in tree.children(at).filter(|c| tree.kind(*c) == Kind::Element) {
            if tree.name(child).is_some_and(|name| name == "templateId") {
                let root = tree.attribute(child, &Name::local("root")).and_then(|a| tree.text(a));
                let root = root.map(std::borrow::Cow::into_owned).unwrap_or_default();
                if at == top { document.push(root) } else { held.push(root) }
            } else if ["component", "structuredBody", "section"]
                .iter()
                .any(|name| tree.name(child).is_some_and(|own| own == *name))
            {
                open.push(child);
            }
        }
    }
    let required = SECTIONS.iter().filter(|(of, _)| document.iter().any(|d| d == of)).flat_map(|(_, all)| *all);
    required
        .filter(|(any, _)| !any.iter().any(|template| held.iter().any(|h| h == template)))
        .map(|(any, name)| XmlFinding {
            rule: XmlRule::Section,
            path: tree.path(top).to_string(),
            position: tree.position(top),
            expected: format!("{name} ({})", any.join(", ")),
        })
        .collect()
}

struct Checker<'t> {
    tree: &'t Tree,
    schema: &'t XmlSchema,
    written: bool,
    found: Vec<XmlFinding>,
}

impl Checker<'_> {
    fn note(&mut self, rule: XmlRule, at: NodeId, expected: impl Into<String>) {
        let (path, position) = (self.tree.path(at).to_string(), self.tree.position(at));
        self.found.push(XmlFinding { rule, path, position, expected: expected.into() });
    }

    fn element(&mut self, top: NodeId, of: TypeIndex) {
        let mut open = vec![(top, of)];
        while let Some((element, of)) = open.pop() {
            self.one(element, of, &mut open);
        }
        self.found.sort_by_key(|finding| finding.position.offset);
    }

    /// The type of an element whose type is a choice, by what it says of itself.
    fn chosen(&mut self, element: NodeId, of: TypeIndex) -> Option<TypeIndex> {
        let schema = self.schema;
        let choice = schema.of(of).filter(|t| !t.variants.is_empty());
        let Some(choice) = choice else { return Some(of) };
        let named = self.tree.attribute(element, &Name::new(XSI, "type"));
        let Some(named) = named else {
            let must = choice.written(true, "xsi:type").is_some_and(|member| member.required);
            if !must {
                return choice.variants.first().copied();
            }
            // What is not known needs no type.
            if self.tree.attribute(element, &Name::local("nullFlavor")).is_none() {
                self.note(XmlRule::Missing, element, "an xsi:type");
            }
            return None;
        };
        let text = self.tree.text(named).unwrap_or_default().into_owned();
        let found = schema.variant(of, text.trim());
        if found.is_none() {
            let all: Vec<&str> = choice.variants.iter().filter_map(|v| schema.of(*v)).map(|t| &*t.name).collect();
            self.note(XmlRule::Type, named, format!("one of {}", all.join(", ")));
        }
        found
    }

    fn one(&mut self, element: NodeId, of: TypeIndex, open: &mut Vec<(NodeId, TypeIndex)>) {
        let Some(of) = self.chosen(element, of) else { return };
        let schema = self.schema;
        let Some(of) = schema.of(of) else { return };
        let mut counts: HashMap<usize, usize> = HashMap::new();
        let mut last = 0;
        let mut blank = true;
        let mut empty = true;
        // Anything at all, or text with any elements in it.
        let anything = of.text().is_some_and(|text| matches!(text.of, Content::Simple(Simple::Any | Simple::Markup)));
        for child in self.tree.children(element) {
            match self.tree.kind(child) {
                Kind::Attribute => self.attribute(child, of),
                Kind::Element => {
                    empty = false;
                    let Some(name) = name_of(self.tree, child) else { continue };
                    let Some(at) = of.position(false, &name) else {
                        let own = name.namespace == schema.root.namespace;
                        if own && !anything {
                            self.note(XmlRule::Unknown, child, format!("no such element in {}", of.name));
                        }
                        continue;
                    };
                    let Some(member) = of.members.get(at) else { continue };
                    if at < last && !anything {
                        self.note(XmlRule::Order, child, format!("it before {}", self.later(of.members.get(last))));
                    }
                    last = last.max(at);
                    let count = counts.entry(at).or_default();
                    *count += 1;
                    if *count == 2 && !member.many {
                        self.note(XmlRule::TooMany, child, "one at most");
                    }
                    if *count == 1 {
                        let group = instead(&of.members, at);
                        if group.clone().any(|other| other != at && counts.contains_key(&other)) {
                            let names: Vec<&str> =
                                of.members.get(group).into_iter().flatten().map(|m| &*m.name.shown).collect();
                            self.note(XmlRule::TooMany, child, format!("only one of {}", names.join(", ")));
                        }
                    }
                    match member.of {
                        Content::Complex(inner) => open.push((child, inner)),
                        Content::Simple(simple) => self.value(child, simple, &member.codes),
                    }
                }
                Kind::Text => blank &= self.tree.leaf(child).is_none(),
                _ => {}
            }
        }
        let unknown = self.tree.attribute(element, &Name::local("nullFlavor")).is_some();
        match of.text() {
            None if !blank => self.note(XmlRule::Unknown, element, "no text of its own"),
            Some(text) if blank && empty && text.required && !unknown => {
                self.note(XmlRule::Missing, element, "a text");
            }
            Some(Member { of: Content::Simple(simple), codes, .. }) if !blank => self.value(element, *simple, codes),
            _ => {}
        }
        // What is not known has nothing in it.
        if unknown {
            return;
        }
        let written = self.written;
        let must = |member: &Member| member.required || written && member.expected;
        for (at, member) in of.members.iter().enumerate().filter(|(_, m)| must(m)) {
            let there = match member.kind {
                MemberKind::Attribute => self.tree.attribute(element, &member.name.name).is_some(),
                MemberKind::Element => counts.contains_key(&at),
                MemberKind::Text => true,
            };
            if !there {
                let sign = if member.kind == MemberKind::Attribute { "@" } else { "" };
                self.note(XmlRule::Missing, element, format!("{sign}{} in it", member.name));
            }
        }
    }

    fn later(&self, member: Option<&Member>) -> String {
        member.map(|m| QName::to_string(&m.name)).unwrap_or_default()
    }

    fn attribute(&mut self, node: NodeId, of: &crate::native::xml::schema::Type) {
        if crate::native::xml::is_declaration(self.tree, node) || self.tree.namespace(node) == Some(XSI) {
            return;
        }
        let Some(name) = name_of(self.tree, node) else { return };
        match of.member(true, &name) {
            Some(Member { of: Content::Simple(simple), codes, .. }) => self.value(node, *simple, codes),
            _ if name.namespace.is_none() => {
                self.note(XmlRule::Unknown, node, format!("no such attribute in {}", of.name));
            }
            _ => {}
        }
    }

    fn value(&mut self, node: NodeId, simple: Simple, codes: &[Box<str>]) {
        let Some(text) = self.tree.text(node) else { return };
        let text = text.trim();
        let is_listed = |text: &str| codes.iter().any(|code| **code == *text);
        let all = match simple {
            Simple::Codes => text.split_whitespace().all(is_listed),
            _ => is_listed(text),
        };
        if !codes.is_empty() && !all {
            return self.note(XmlRule::Code, node, format!("one of {}", codes.join(", ")));
        }
        let expected = match simple {
            Simple::Oid if !is_oid(text) => "an OID",
            Simple::Boolean if !matches!(text, "true" | "false" | "1" | "0") => "true or false",
            Simple::Integer if text.parse::<i64>().is_err() => "a whole number",
            Simple::Decimal if !is_decimal(text) => "a number",
            Simple::Timestamp if !is_timestamp(text) => "a point in time as YYYYMMDDhhmmss+zzzz, to any precision",
            Simple::Code
                if text.is_empty() || text.contains(char::is_whitespace) && codes.is_empty() && text.len() > 64 =>
            {
                "a code"
            }
            Simple::Uid if !is_uid(text) => "an OID, a UUID or a name that HL7 gave (letters, digits and hyphens)",
            _ => return,
        };
        self.note(XmlRule::Value, node, expected);
    }
}

fn is_oid(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()))
}

/// What the types of HL7 v3 take for a `uid`: an OID, a UUID, or a RUID.
fn is_uid(text: &str) -> bool {
    let named = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let groups: Vec<&str> = text.split('-').collect();
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()));
    // An arc alone is an OID too.
    named || is_uuid || is_oid(text) || matches!(text, "0" | "1" | "2")
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.bytes().any(|b| b.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

/// `YYYY[MM[DD[hh[mm[ss[.f…]]]]]][±zz[zz]]`
fn is_timestamp(text: &str) -> bool {
    let (moment, zone) = match text.find(['+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (whole, part) = moment.split_once('.').unwrap_or((moment, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let zone = zone.trim_start_matches(['+', '-']);
    let number = |from: usize| whole.get(from..from + 2).and_then(|t| t.parse::<u8>().ok());
    digits(whole)
        && digits(part)
        && digits(zone)
        && !part.is_empty()
        && matches!(zone.len(), 0 | 2 | 4)
        && matches!(whole.len(), 4 | 6 | 8 | 10 | 12 | 14)
        && number(4).is_none_or(|month| (1..=12).contains(&month))
        && number(6).is_none_or(|day| (1..=31).contains(&day))
        && number(8).is_none_or(|hour| hour < 24)
        && number(10).is_none_or(|minute| minute < 60)
        && number(12).is_none_or(|second| second < 61)
}

/// The members that stand instead of each other, a member among them.
fn instead(members: &[Member], at: usize) -> std::ops::Range<usize> {
    let is_instead = |at: usize| members.get(at).is_some_and(|member| member.instead);
    let mut from = at;
    while from > 0 && is_instead(from) {
        from -= 1;
    }
    let mut to = at + 1;
    while is_instead(to) {
        to += 1;
    }
    from..to
}
