//! A schema from its text.

use rustc_hash::FxHashMap;

use super::{Content, Member, MemberKind, QName, Simple, Type, TypeIndex, XmlSchema, xsi_type};
use crate::native::path::Name;
use crate::native::xml::XSI;

/// What is wrong in a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}; right would be {right}")]
pub struct SchemaProblem {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// A line below a type.
struct Written<'t> {
    line: u32,
    namespace: &'t str,
    text: &'t str,
}

/// A type as it is written.
struct Block<'t> {
    line: u32,
    name: &'t str,
    extends: Option<&'t str>,
    variants: Vec<&'t str>,
    /// Whether `xsi:type` must be there.
    named: bool,
    lines: Vec<Written<'t>>,
}

const LINES: &str = "`prefix p = \"uri\"`, `namespace \"uri\"`, `root name: Type`, `type Name`, `type Name extends Other`, `choice Name = A | B`, and the members of a type further in";
const TYPES: &str = "a type of the schema, or text, code, oid, uid, uri, boolean, integer, decimal, date, dateTime, timestamp, base64, markup, any";
const MEMBER: &str = "`name? Type`, `@name code`, `. text`: a name, how often (`?`, `*`, `+`), and a type";

fn stop<T>(line: u32, what: impl Into<String>, right: impl Into<String>) -> Result<T, SchemaProblem> {
    Err(SchemaProblem { line, what: what.into(), right: right.into() })
}

fn quoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('"')?.strip_suffix('"')
}

pub(super) fn schema(text: &str) -> Result<XmlSchema, SchemaProblem> {
    let mut prefixes: Vec<(Box<str>, Box<str>)> = Vec::new();
    let mut namespace = "";
    let mut root: Option<(u32, &str, &str, &str)> = None;
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (line, raw) in (1_u32..).zip(text.lines()) {
        let kept = without_comment(raw);
        let body = kept.trim();
        if body.is_empty() {
            continue;
        }
        if kept.starts_with(char::is_whitespace) {
            match blocks.last_mut().filter(|b| b.variants.is_empty()) {
                Some(block) => block.lines.push(Written { line, namespace, text: body }),
                None => return stop(line, "a member that stands in no type", "a `type` line above it"),
            }
            continue;
        }
        let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        let rest = rest.trim();
        match word {
            "prefix" => match rest.split_once('=').and_then(|(name, uri)| Some((name.trim(), quoted(uri)?))) {
                Some((name, uri)) => prefixes.push((name.into(), uri.into())),
                None => return stop(line, "a prefix without its URI", "`prefix sdtc = \"urn:hl7-org:sdtc\"`"),
            },
            "namespace" => match quoted(rest) {
                Some(uri) => namespace = uri,
                None => return stop(line, "a namespace without its URI", "`namespace \"urn:…\"`"),
            },
            "root" => match rest.split_once(':').filter(|(name, _)| !name.trim().is_empty()) {
                Some((name, of)) => root = Some((line, namespace, name.trim(), of.trim())),
                None => return stop(line, "a root without its type", "`root ClinicalDocument: Document`"),
            },
            "type" => {
                let (name, extends) = match rest.split_once(" extends ") {
                    Some((name, base)) => (name.trim(), Some(base.trim())),
                    None => (rest, None),
                };
                blocks.push(Block { line, name, extends, variants: Vec::new(), named: false, lines: Vec::new() });
            }
            "choice" => match rest.split_once('=') {
                Some((name, all)) => {
                    let variants = all.split('|').map(str::trim).collect();
                    // With `?` an element may leave its type out; it is the first then.
                    let (name, named) = name.trim().strip_suffix('?').map_or((name.trim(), true), |name| (name, false));
                    blocks.push(Block { line, name, extends: None, variants, named, lines: Vec::new() });
                }
                None => return stop(line, "a choice without types", "`choice Name = A | B`"),
            },
            other => return stop(line, format!("found `{other}`"), LINES),
        }
    }
    let Some((root_line, root_namespace, root_name, root_of)) = root else {
        return stop(1, "the schema names no root", "`root ClinicalDocument: Document`");
    };
    let mut reader = Reader { prefixes: &prefixes, index: FxHashMap::default(), types: Vec::new(), root_namespace };
    for (at, block) in (0..).zip(&blocks) {
        if reader.index.insert(block.name, at).is_some() {
            return stop(block.line, format!("the type {} is there twice", block.name), "one `type` line a name");
        }
    }
    reader.types = blocks.iter().map(|b| Type { name: b.name.into(), ..Type::default() }).collect();
    reader.fill(&blocks)?;
    let Some(root_type) = reader.index.get(root_of).copied() else {
        return stop(root_line, format!("there is no type {root_of}"), "a type of the schema");
    };
    let types = reader.types;
    Ok(XmlSchema { prefixes, root: name(root_namespace, root_name), root_type, types })
}

/// `#` begins a comment where a word could begin.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    let mut within = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => within = !within,
            '#' if !within && before.is_whitespace() => return line.get(..at).unwrap_or(line),
            _ => {}
        }
        before = c;
    }
    line
}

fn name(namespace: &str, local: &str) -> Name {
    if namespace.is_empty() { Name::local(local) } else { Name::new(namespace, local) }
}

struct Reader<'t> {
    prefixes: &'t [(Box<str>, Box<str>)],
    index: FxHashMap<&'t str, TypeIndex>,
    types: Vec<Type>,
    root_namespace: &'t str,
}

impl Reader<'_> {
    fn fill(&mut self, blocks: &[Block<'_>]) -> Result<(), SchemaProblem> {
        let mut done = vec![false; blocks.len()];
        for at in 0..blocks.len() {
            self.block(at, blocks, &mut done, 0)?;
        }
        Ok(())
    }

    /// The members of one type, after those of the types that it is made of.
    fn block(&mut self, at: usize, blocks: &[Block<'_>], done: &mut [bool], depth: usize) -> Result<(), SchemaProblem> {
        let (Some(block), Some(false)) = (blocks.get(at), done.get(at).copied()) else { return Ok(()) };
        if depth > 32 {
            return stop(block.line, format!("{} is made of itself", block.name), "types that end");
        }
        let mut of = Type { name: block.name.into(), ..Type::default() };
        for base in block.extends.iter().chain(&block.variants) {
            let Some(index) = self.index.get(base).copied() else {
                return stop(block.line, format!("there is no type {base}"), "a type of the schema");
            };
            self.block(index as usize, blocks, done, depth + 1)?;
            let members = self.types.get(index as usize).map(|t| t.members.clone()).unwrap_or_default();
            let chosen = !block.variants.is_empty();
            if chosen {
                of.variants.push(index);
            } else {
                of.extends = Some(index);
            }
            for member in members {
                let attribute = member.kind == MemberKind::Attribute;
                // What several variants have is what the first says.
                let known = match member.kind {
                    MemberKind::Text => of.text().is_some(),
                    _ => of.position(attribute, &member.name.name).is_some(),
                };
                if !(chosen && known) {
                    let (required, expected) = (member.required && !chosen, member.expected && !chosen);
                    of.push(Member { required, expected, ..member });
                }
            }
        }
        if !block.variants.is_empty() {
            let shown = QName { name: xsi_type(), shown: "xsi:type".into() };
            of.push(Member {
                kind: MemberKind::Attribute,
                name: shown,
                required: block.named,
                expected: block.named,
                many: false,
                of: Content::Simple(Simple::Code),
                codes: block.variants.iter().map(|v| Box::from(*v)).collect(),
                instead: false,
            });
        }
        for line in &block.lines {
            of.push(self.member(line)?);
        }
        if let (Some(slot), Some(done)) = (self.types.get_mut(at), done.get_mut(at)) {
            *slot = of;
            *done = true;
        }
        Ok(())
    }

    fn member(&self, written: &Written<'_>) -> Result<Member, SchemaProblem> {
        let Written { line, namespace, text } = *written;
        let (text, instead) = text.strip_prefix('|').map_or((text, false), |text| (text.trim_start(), true));
        let (text, codes) = match text.split_once('{') {
            Some((text, rest)) => match rest.trim_end().strip_suffix('}') {
                Some(codes) => (text.trim(), codes.split_whitespace().map(Box::from).collect()),
                None => return stop(line, "the codes do not end", "`{ A B }`"),
            },
            None => (text, Vec::new()),
        };
        let Some((head, of)) = text.split_once(char::is_whitespace) else {
            return stop(line, "a member without a type", MEMBER);
        };
        let (head, expected) = head.strip_suffix('~').map_or((head, false), |head| (head, true));
        let (head, required, many) = match head.chars().last() {
            Some('?') => (head.trim_end_matches('?'), false, false),
            Some('*') => (head.trim_end_matches('*'), false, true),
            Some('+') => (head.trim_end_matches('+'), true, true),
            _ => (head, true, false),
        };
        let (kind, shown) = match head.strip_prefix('@') {
            Some(shown) => (MemberKind::Attribute, shown),
            None if head == "." => (MemberKind::Text, ""),
            None => (MemberKind::Element, head),
        };
        if many && kind != MemberKind::Element {
            return stop(line, "only elements repeat", "`?` or nothing");
        }
        let Some(of) = self.content(of.trim()) else {
            return stop(line, format!("there is no type {}", of.trim()), TYPES);
        };
        if kind != MemberKind::Element && !matches!(of, Content::Simple(_)) {
            return stop(line, "an attribute or text has no parts", "a kind of text");
        }
        if instead && kind != MemberKind::Element {
            return stop(line, "only an element stands instead of another", "`| name? Type` after the other's line");
        }
        let name = self.qname(line, namespace, kind, shown)?;
        Ok(Member { kind, name, required, expected: expected || required, many, of, codes, instead })
    }

    fn qname(&self, line: u32, namespace: &str, kind: MemberKind, shown: &str) -> Result<QName, SchemaProblem> {
        if kind == MemberKind::Text {
            return Ok(QName { name: Name::local(""), shown: "".into() });
        }
        if let Some((prefix, local)) = shown.split_once(':') {
            let known = self.prefixes.iter().find(|(p, _)| **p == *prefix).map(|(_, uri)| uri.as_ref());
            let Some(uri) = known.or((prefix == "xsi").then_some(XSI)) else {
                return stop(line, format!("the prefix {prefix} is not declared"), "a `prefix` line");
            };
            return Ok(QName { name: Name::new(uri, local), shown: shown.into() });
        }
        if kind == MemberKind::Attribute {
            return Ok(QName { name: Name::local(shown), shown: shown.into() });
        }
        // Elements of a second namespace are shown with its prefix, where it has one.
        let prefix = self.prefixes.iter().find(|(_, uri)| **uri == *namespace && namespace != self.root_namespace);
        let written = prefix.map_or_else(|| shown.into(), |(p, _)| format!("{p}:{shown}").into_boxed_str());
        Ok(QName { name: name(namespace, shown), shown: written })
    }

    fn content(&self, text: &str) -> Option<Content> {
        if let Some(index) = self.index.get(text) {
            return Some(Content::Complex(*index));
        }
        Some(Content::Simple(match text {
            "text" => Simple::Text,
            "code" => Simple::Code,
            "codes" => Simple::Codes,
            "oid" => Simple::Oid,
            "uid" => Simple::Uid,
            "uri" => Simple::Uri,
            "boolean" => Simple::Boolean,
            "integer" => Simple::Integer,
            "decimal" => Simple::Decimal,
            "date" => Simple::Date,
            "dateTime" => Simple::DateTime,
            "timestamp" => Simple::Timestamp,
            "base64" => Simple::Base64,
            "markup" => Simple::Markup,
            "any" => Simple::Any,
            _ => return None,
        }))
    }
}
