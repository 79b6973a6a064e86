//! XML documents made from a schema: elements in their order, attributes, texts, types by `xsi:type`; with and without a
//! prefix for the namespace of the document element.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use silta_engine::mapping::Holds;
use silta_engine::native::xml::schema::{Content, Member, MemberKind, Simple, TypeIndex};
use silta_engine::native::xml::{QName, XmlSchema};

use super::documents::{Choices, text};

/// Elements beyond which only what must be there is made.
const MANY: usize = 250;

/// Places of a map beyond which a document shows a few of them.
pub(crate) const LARGE: usize = 2_000;

struct Maker<'s> {
    schema: &'s XmlSchema,
    vocabulary: &'s BTreeMap<String, Holds>,
    /// The prefix of the document element's namespace.
    prefix: Option<&'static str>,
    out: String,
    made: usize,
    way: Vec<TypeIndex>,
    /// Places that are there in any case: of a large map a document shows a small part, each another.
    about: Vec<&'s str>,
    /// How many elements of twelve that need not be there are.
    share: usize,
    most: usize,
}

/// A document of a schema.
pub(crate) fn document(schema: &XmlSchema, vocabulary: &BTreeMap<String, Holds>, choices: &mut Choices<'_>) -> String {
    let prefix = choices.chance(1, 4).then_some("d");
    let (mut about, mut share, mut most) = (Vec::new(), 8, MANY);
    if vocabulary.len() > LARGE {
        let places: Vec<&str> = vocabulary.keys().map(String::as_str).collect();
        // Each decision is one of 256.
        let mut any = || places[(choices.below(256) * 256 + choices.below(256)) % places.len()];
        about = vec![any(), any(), any()];
        (share, most) = (choices.below(5), MANY / 6);
    }
    let mut maker =
        Maker { schema, vocabulary, prefix, out: String::new(), made: 0, way: Vec::new(), about, share, most };
    maker.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let root = schema.root.namespace.as_deref().unwrap_or_default();
    let mut declared = match prefix {
        Some(prefix) => format!(" xmlns:{prefix}=\"{root}\""),
        None => format!(" xmlns=\"{root}\""),
    };
    for (prefix, uri) in &schema.prefixes {
        write!(declared, " xmlns:{prefix}=\"{uri}\"").unwrap();
    }
    if !schema.prefixes.iter().any(|(prefix, _)| &**prefix == "xsi") {
        declared.push_str(" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"");
    }
    let name = QName { name: schema.root.clone(), shown: schema.root.local.clone() };
    maker.element(&name, "", Content::Complex(schema.root_type()), &[], &declared, choices, 0);
    maker.out.push('\n');
    maker.out
}

impl Maker<'_> {
    fn spoken(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.vocabulary.contains_key(path)
            || self.vocabulary.range(below.clone()..).next().is_some_and(|(key, _)| key.starts_with(&below))
    }

    /// Whether an element leads to a place that this document is about.
    fn leads(&self, path: &str) -> bool {
        self.about
            .iter()
            .any(|about| about.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    fn written(&self, name: &QName) -> (String, String) {
        let uri = name.name.namespace.as_deref().unwrap_or_default();
        if uri == self.schema.root.namespace.as_deref().unwrap_or_default() {
            let local = &name.name.local;
            return (self.prefix.map_or_else(|| local.to_string(), |p| format!("{p}:{local}")), String::new());
        }
        if let Some((prefix, _)) = self.schema.prefixes.iter().find(|(_, known)| **known == *uri) {
            return (format!("{prefix}:{}", name.name.local), String::new());
        }
        (name.name.local.to_string(), format!(" xmlns=\"{uri}\""))
    }

    #[expect(clippy::too_many_arguments, reason = "what an element is made of")]
    fn element(
        &mut self,
        name: &QName,
        path: &str,
        of: Content,
        codes: &[Box<str>],
        declared: &str,
        choices: &mut Choices<'_>,
        depth: usize,
    ) {
        let (tag, own) = self.written(name);
        self.made += 1;
        write!(self.out, "<{tag}{declared}{own}").unwrap();
        let mut index = match of {
            Content::Simple(simple) => {
                let text = self.leaf(path, simple, codes, choices);
                write!(self.out, ">{}</{tag}>", escape(&text)).unwrap();
                return;
            }
            Content::Complex(index) => index,
        };
        let variants = self.schema.of(index).unwrap().variants.clone();
        if !variants.is_empty() {
            let known = match self.vocabulary.get(&format!("{path}/@xsi:type")) {
                Some(Holds::OneOf(known)) if !choices.chance(1, 8) => known.clone(),
                _ => variants.iter().map(|v| self.schema.of(*v).unwrap().name.to_string()).collect(),
            };
            let named = choices.pick(&known).unwrap();
            index = self.schema.variant(index, named).unwrap();
            let typed = self.prefix.map_or_else(|| named.clone(), |p| format!("{p}:{named}"));
            write!(self.out, " xsi:type=\"{typed}\"").unwrap();
        }
        self.way.push(index);
        let members: Vec<Member> = self.schema.of(index).unwrap().members.clone();
        let mut content = false;
        for member in members.iter().filter(|m| m.kind == MemberKind::Attribute && &*m.name.shown != "xsi:type") {
            let path = format!("{path}/@{}", member.name.shown);
            let spoken = self.spoken(&path);
            if member.required || self.leads(&path) || choices.chance(if spoken { 8 } else { 1 }, 12) {
                let Content::Simple(simple) = member.of else { continue };
                let text = self.leaf(&path, simple, &member.codes, choices);
                let (written, _) = match member.name.name.namespace {
                    Some(_) => self.written(&member.name),
                    None => (member.name.shown.to_string(), String::new()),
                };
                write!(self.out, " {written}=\"{}\"", escape(&text)).unwrap();
            }
        }
        let passed = self.passed_over(path, &members, choices);
        for (at, member) in members.iter().enumerate().filter(|(_, m)| m.kind != MemberKind::Attribute) {
            if passed.contains(&at) {
                continue;
            }
            if member.kind == MemberKind::Text {
                if member.required || choices.chance(2, 3) {
                    self.open(&mut content);
                    let Content::Simple(simple) = member.of else { continue };
                    let text = self.leaf(path, simple, &member.codes, choices);
                    self.out.push_str(&escape(&text));
                }
                continue;
            }
            let path = format!("{path}/{}", member.name.shown);
            let spoken = self.spoken(&path);
            let again = matches!(member.of, Content::Complex(of) if self.way.iter().filter(|t| **t == of).count() > 1);
            let wanted = if self.leads(&path) {
                true
            } else if self.made > self.most || again {
                member.required && depth < 24
            } else {
                member.required || choices.chance(if spoken { self.share } else { usize::from(self.share > 3) }, 12)
            };
            if !wanted {
                continue;
            }
            let single = self.vocabulary.get(&path) == Some(&Holds::Single);
            let count = if member.many && spoken && !single { 1 + choices.below(3) } else { 1 };
            for _ in 0..count {
                self.open(&mut content);
                write!(self.out, "\n{}", "  ".repeat(depth + 1)).unwrap();
                self.element(&member.name, &path, member.of, &member.codes, "", choices, depth + 1);
            }
        }
        self.way.pop();
        if !content {
            self.out.push_str("/>");
            return;
        }
        if self.out.ends_with('>') {
            write!(self.out, "\n{}", "  ".repeat(depth)).unwrap();
        }
        write!(self.out, "</{tag}>").unwrap();
    }

    /// Of members that stand instead of each other, all but one.
    fn passed_over(&self, path: &str, members: &[Member], choices: &mut Choices<'_>) -> Vec<usize> {
        let mut passed = Vec::new();
        let mut from = 0;
        for end in 1..=members.len() {
            if members.get(end).is_some_and(|m| m.instead) {
                continue;
            }
            let group: Vec<usize> = (from..end).collect();
            from = end;
            if group.len() == 1 {
                continue;
            }
            let below = |at: usize| format!("{path}/{}", members[at].name.shown);
            let about: Vec<usize> = group.iter().copied().filter(|at| self.leads(&below(*at))).collect();
            let spoken: Vec<usize> = group.iter().copied().filter(|at| self.spoken(&below(*at))).collect();
            let taken = choices.pick(if about.is_empty() { &spoken } else { &about }).copied();
            passed.extend(group.into_iter().filter(|at| Some(*at) != taken));
        }
        passed
    }

    fn open(&mut self, content: &mut bool) {
        if !*content {
            self.out.push('>');
            *content = true;
        }
    }

    fn leaf(&self, path: &str, simple: Simple, codes: &[Box<str>], choices: &mut Choices<'_>) -> String {
        let known = self.vocabulary.get(path);
        if known.is_none()
            && let Some(code) = choices.pick(codes)
        {
            return code.to_string();
        }
        let guessed = match simple {
            Simple::Oid | Simple::Uid => Some(Holds::Oid),
            Simple::Boolean => Some(Holds::OneOf(vec!["true".to_owned(), "false".to_owned()])),
            Simple::Integer => Some(Holds::Number { whole: true }),
            Simple::Decimal => Some(Holds::Number { whole: false }),
            Simple::Date => Some(Holds::Moment { day: true, instant: false }),
            Simple::DateTime | Simple::Timestamp => Some(Holds::Moment { day: false, instant: false }),
            Simple::Base64 => Some(Holds::Data),
            Simple::Code | Simple::Codes => Some(Holds::Code),
            _ => None,
        };
        text(choices, known.or(guessed.as_ref()), simple == Simple::Timestamp)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
