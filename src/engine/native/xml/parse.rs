//! Bytes to a tree, without recursion.

use rustc_hash::FxHashMap;

use super::super::charset::Charset;
use super::super::error::{Problem, SyntaxError};
use super::super::tree::{Builder, DECLARATION, Dialect, Full, Kind, NONE, Tree};
use super::super::{Limits, Syntax};
use super::{Found, XML, text};

/// Namespaces in one document, and declarations in scope at one place.
const NAMESPACES: usize = 1024;

/// Reads an XML document.
///
/// # Errors
/// [`SyntaxError`] with the position.
pub fn parse(bytes: Vec<u8>, limits: &Limits) -> Result<Tree, SyntaxError> {
    limits.check(&bytes)?;
    let fail = |problem, at| SyntaxError::new(problem, &bytes, at);
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let charset =
        charset(bytes.get(start..).unwrap_or_default()).ok_or_else(|| fail(Problem::UnknownCharset, start))?;
    if start > 0 && charset != Charset::Utf8 {
        return Err(fail(Problem::NotInCharset(charset), 0));
    }
    if let Err(at) = charset.check(&bytes) {
        return Err(fail(Problem::NotInCharset(charset), at));
    }
    let mut reader = Reader {
        bytes: &bytes,
        at: start,
        charset,
        builder: Builder::new(limits, bytes.len() / 16 + 8),
        open: Vec::new(),
        attributes: Vec::new(),
        bindings: vec![(b"xml", 1)],
        namespaces: vec!["".into(), XML.into()],
        numbers: FxHashMap::default(),
        names: FxHashMap::default(),
        uris: FxHashMap::default(),
        depth: limits.depth,
    };
    match reader.document() {
        Ok(()) => {
            let Reader { builder, namespaces, .. } = reader;
            Ok(builder.finish(bytes, Syntax::Xml, Dialect::Xml(Found { charset, namespaces })))
        }
        Err(problem) => {
            let at = reader.at;
            Err(SyntaxError::new(problem, &bytes, at))
        }
    }
}

/// The character set of the XML declaration; UTF-8 without one.
fn charset(bytes: &[u8]) -> Option<Charset> {
    if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\0") {
        return None;
    }
    let Some(rest) = bytes.strip_prefix(b"<?xml").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
    else {
        return Some(Charset::Utf8);
    };
    let end = memchr::memchr(b'>', rest)?;
    let declaration = std::str::from_utf8(rest.get(..end)?).ok()?;
    let Some((_, after)) = declaration.split_once("encoding") else { return Some(Charset::Utf8) };
    let value = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|q| matches!(q, '"' | '\''))?;
    Charset::named(value.get(1..)?.split_once(quote)?.0)
}

struct Frame<'b> {
    node: u32,
    name: &'b [u8],
    bindings: usize,
    texts: u32,
}

#[derive(Clone, Copy)]
struct Attribute<'b> {
    name: &'b [u8],
    value: &'b [u8],
    start: usize,
    end: usize,
    namespace: u16,
    declares: bool,
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    charset: Charset,
    builder: Builder,
    open: Vec<Frame<'b>>,
    /// The attributes of the element at hand.
    attributes: Vec<Attribute<'b>>,
    /// Prefixes in scope, innermost last; the default namespace has the empty prefix.
    bindings: Vec<(&'b [u8], u16)>,
    namespaces: Vec<Box<str>>,
    /// How many children of a name an element has so far.
    numbers: FxHashMap<(u32, u32), u32>,
    names: FxHashMap<&'b [u8], u32>,
    uris: FxHashMap<Box<str>, u16>,
    depth: usize,
}

impl<'b> Reader<'b> {
    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn white_space(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at > from
    }

    fn slice(&self, from: usize, to: usize) -> &'b [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn document(&mut self) -> Result<(), Problem> {
        let root = self.builder.open(Kind::Document, 0, 0, 0, NONE).map_err(|Full| self.builder.full())?;
        if self.rest().strip_prefix(b"<?xml").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace)) {
            self.until(b"?>", "the end of the XML declaration")?;
        }
        let mut seen = false;
        loop {
            self.white_space();
            match self.rest() {
                [] => break,
                [b'<', b'!', b'-', b'-', ..] => self.comment(root)?,
                [b'<', b'?', ..] => self.instruction(root)?,
                [b'<', b'!', ..] => return Err(self.declaration()),
                [b'<', ..] if !seen => {
                    seen = true;
                    self.element(root)?;
                    self.content()?;
                }
                _ if seen => return Err(Problem::TrailingContent),
                _ => return Err(Problem::Expected("an element")),
            }
        }
        if !seen {
            return Err(Problem::Expected("an element"));
        }
        self.builder.close(root, self.bytes.len());
        Ok(())
    }

    fn declaration(&self) -> Problem {
        if self.rest().starts_with(b"<!DOCTYPE") {
            Problem::DocumentType
        } else {
            Problem::Expected("an element, a comment or text")
        }
    }

    /// Everything to the end of the open elements.
    fn content(&mut self) -> Result<(), Problem> {
        while let Some(frame) = self.open.last() {
            let parent = frame.node;
            match self.rest() {
                [b'<', b'/', ..] => self.end_tag()?,
                [b'<', b'!', b'-', b'-', ..] => self.comment(parent)?,
                [b'<', b'?', ..] => self.instruction(parent)?,
                [b'<', b'!', b'[', ..] => self.text(parent)?,
                [b'<', b'!', ..] => return Err(self.declaration()),
                [b'<', ..] => self.element(parent)?,
                [] => return Err(Problem::Expected("an end tag")),
                _ => self.text(parent)?,
            }
        }
        Ok(())
    }

    fn until(&mut self, end: &'static [u8], expected: &'static str) -> Result<&'b [u8], Problem> {
        let rest = self.rest();
        let Some(found) = memchr::memmem::find(rest, end) else { return Err(Problem::Expected(expected)) };
        self.at += found + end.len();
        Ok(rest.get(..found).unwrap_or_default())
    }

    fn comment(&mut self, parent: u32) -> Result<(), Problem> {
        let start = self.at;
        self.at += 4;
        let inner = self.until(b"-->", "the end of a comment")?;
        if memchr::memmem::find(inner, b"--").is_some() || inner.ends_with(b"-") {
            self.at = start;
            return Err(Problem::Expected("a comment without `--`"));
        }
        self.characters(inner)?;
        let comment = self.builder.push(Kind::Comment, 0, start, self.at, parent);
        comment.map(|_| ()).map_err(|Full| self.builder.full())
    }

    fn instruction(&mut self, parent: u32) -> Result<(), Problem> {
        let start = self.at;
        self.at += 2;
        let target = self.name()?;
        if target.eq_ignore_ascii_case(b"xml") {
            self.at = start;
            return Err(Problem::Expected("the XML declaration only at the start"));
        }
        let inner = self.until(b"?>", "the end of a processing instruction")?;
        self.characters(inner)?;
        let comment = self.builder.push(Kind::Comment, 0, start, self.at, parent);
        comment.map(|_| ()).map_err(|Full| self.builder.full())
    }

    /// That the bytes, which end at or before the current place, hold no character that XML lacks.
    fn characters(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let control = bytes.iter().any(|b| matches!(b, 0..=8 | 0x0B | 0x0C | 0x0E..=0x1F));
        let noncharacter = self.charset == Charset::Utf8
            && memchr::memchr_iter(0xEF, bytes)
                .any(|at| matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])));
        if control || noncharacter { Err(Problem::Character) } else { Ok(()) }
    }

    fn text(&mut self, parent: u32) -> Result<(), Problem> {
        let start = self.at;
        let mut plain = true;
        loop {
            if self.rest().starts_with(b"<![CDATA[") {
                plain = false;
                self.at += 9;
                let inner = self.until(b"]]>", "the end of a CDATA section")?;
                self.characters(inner)?;
                continue;
            }
            let rest = self.rest();
            let length = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            if length == 0 {
                if rest.starts_with(b"<![") {
                    return Err(Problem::Expected("a CDATA section"));
                }
                break;
            }
            let run = rest.get(..length).unwrap_or_default();
            if memchr::memchr_iter(b']', run).any(|at| run.get(at..at + 3) == Some(b"]]>")) {
                return Err(Problem::Expected("text without `]]>`"));
            }
            self.characters(run)?;
            plain &= !self.references(run, self.at)?;
            self.at += length;
        }
        let number = self.open.last_mut().map_or(1, |frame| {
            frame.texts += 1;
            frame.texts
        });
        let node = self.builder.push(Kind::Text, number, start, self.at, parent);
        let node = node.map_err(|Full| self.builder.full())?;
        let raw = self.slice(start, self.at);
        let blank = if plain {
            raw.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        } else {
            text::decode(raw, self.charset).bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        };
        if !blank {
            self.builder.count(node);
        }
        Ok(())
    }

    /// Checks the references in a text; tells whether there are any.
    fn references(&mut self, run: &[u8], offset: usize) -> Result<bool, Problem> {
        let mut any = false;
        for at in memchr::memchr_iter(b'&', run) {
            any = true;
            let after = run.get(at + 1..).unwrap_or_default();
            // The longest useful reference is `#x10FFFF` with leading zeros.
            let window = after.get(..after.len().min(16)).unwrap_or_default();
            let name = memchr::memchr(b';', window).and_then(|end| std::str::from_utf8(window.get(..end)?).ok());
            if name.and_then(text::reference).is_none() {
                self.at = offset + at;
                return Err(Problem::Entity);
            }
        }
        Ok(any)
    }

    /// A name with at most one colon, none at its ends.
    fn name(&mut self) -> Result<&'b [u8], Problem> {
        let rest = self.rest();
        let end = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b >= 0x80 || matches!(b, b'_' | b'-' | b'.' | b':')))
            .unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        let starts = |part: &[u8]| part.first().is_some_and(|b| b.is_ascii_alphabetic() || *b >= 0x80 || *b == b'_');
        let mut parts = name.split(|b| *b == b':');
        let well_formed = parts.next().is_some_and(starts) && parts.next().is_none_or(starts) && parts.next().is_none();
        if !well_formed {
            return Err(Problem::Expected("a name"));
        }
        self.at += end;
        Ok(name)
    }

    fn element(&mut self, parent: u32) -> Result<(), Problem> {
        let start = self.at;
        self.at += 1;
        let name = self.name()?;
        let bindings = self.bindings.len();
        let empty = self.tag_attributes()?;
        if self.open.len() >= self.depth {
            self.at = start;
            return Err(Problem::TooDeep { limit: self.depth });
        }
        self.declare()?;
        let namespace = self.resolve(name, true).ok_or(Problem::UnboundPrefix).inspect_err(|_| self.at = start)?;
        let number = self.number(parent, name);
        let node = self.builder.open(Kind::Element, 0, number, start, parent).map_err(|Full| self.builder.full())?;
        if let Some(record) = self.builder.nodes.last_mut() {
            record.namespace = namespace;
        }
        self.push_attributes(node)?;
        if empty {
            self.builder.close(node, self.at);
            self.bindings.truncate(bindings);
        } else {
            self.open.push(Frame { node, name, bindings, texts: 0 });
        }
        Ok(())
    }

    fn number(&mut self, parent: u32, name: &'b [u8]) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(NONE);
        let id = *self.names.entry(name).or_insert(next);
        let number = self.numbers.entry((parent, id)).or_insert(0);
        *number += 1;
        *number
    }

    /// Reads attributes to the end of the tag; tells whether the element is empty.
    fn tag_attributes(&mut self) -> Result<bool, Problem> {
        self.attributes.clear();
        loop {
            let spaced = self.white_space();
            match self.rest() {
                [b'>', ..] => {
                    self.at += 1;
                    return Ok(false);
                }
                [b'/', b'>', ..] => {
                    self.at += 2;
                    return Ok(true);
                }
                _ if !spaced => return Err(Problem::Expected("white space, `>` or `/>`")),
                _ => {}
            }
            let start = self.at;
            let name = self.name()?;
            self.white_space();
            if self.peek() != Some(b'=') {
                return Err(Problem::Expected("`=`"));
            }
            self.at += 1;
            self.white_space();
            let Some(quote @ (b'"' | b'\'')) = self.peek() else { return Err(Problem::Expected("a quoted value")) };
            let from = self.at + 1;
            let rest = self.bytes.get(from..).unwrap_or_default();
            let Some(length) = memchr::memchr(quote, rest) else { return Err(Problem::Expected("a closing quote")) };
            let value = rest.get(..length).unwrap_or_default();
            if let Some(bad) = memchr::memchr(b'<', value) {
                self.at = from + bad;
                return Err(Problem::Expected("an attribute value without `<`"));
            }
            self.characters(value)?;
            self.references(value, from)?;
            self.at = from + length + 1;
            let declares = name == b"xmlns" || name.starts_with(b"xmlns:");
            self.attributes.push(Attribute { name, value, start, end: self.at, namespace: 0, declares });
        }
    }

    /// Brings the element's own namespace declarations into scope.
    fn declare(&mut self) -> Result<(), Problem> {
        for n in 0..self.attributes.len() {
            let Some(attribute) = self.attributes.get(n).copied().filter(|a| a.declares) else { continue };
            let prefix = attribute.name.strip_prefix(b"xmlns:").unwrap_or_default();
            let uri = text::decode_attribute(attribute.value, self.charset);
            let reserved = prefix == b"xmlns" || ((prefix == b"xml") != (uri == XML));
            if reserved || (uri.is_empty() && !prefix.is_empty()) {
                self.at = attribute.start;
                return Err(Problem::UnboundPrefix);
            }
            let namespace = match self.uris.get(&*uri) {
                _ if uri.is_empty() => 0,
                _ if uri == XML => 1,
                Some(known) => *known,
                None => {
                    if self.namespaces.len() >= NAMESPACES {
                        self.at = attribute.start;
                        return Err(Problem::TooManyNodes { limit: NAMESPACES });
                    }
                    let number = u16::try_from(self.namespaces.len()).unwrap_or(0);
                    self.namespaces.push((&*uri).into());
                    self.uris.insert(uri.into(), number);
                    number
                }
            };
            if self.bindings.len() >= NAMESPACES {
                self.at = attribute.start;
                return Err(Problem::TooManyNodes { limit: NAMESPACES });
            }
            self.bindings.push((prefix, namespace));
        }
        Ok(())
    }

    fn resolve(&self, name: &[u8], element: bool) -> Option<u16> {
        let prefix = match memchr::memchr(b':', name) {
            Some(colon) => name.get(..colon)?,
            None if element => &[],
            None => return Some(0),
        };
        // Comparing two empty slices by their bytes is slow where one of them points nowhere.
        let same = |bound: &[u8]| bound.len() == prefix.len() && (prefix.is_empty() || bound == prefix);
        let bound = self.bindings.iter().rev().find(|(bound, _)| same(bound)).map(|(_, namespace)| *namespace);
        if prefix.is_empty() { Some(bound.unwrap_or(0)) } else { bound }
    }

    fn push_attributes(&mut self, element: u32) -> Result<(), Problem> {
        for n in 0..self.attributes.len() {
            let Some(attribute) = self.attributes.get(n).copied() else { break };
            let Attribute { name, start, end, declares, .. } = attribute;
            let node = self.builder.push(Kind::Attribute, 1, start, end, element);
            let node = node.map_err(|Full| self.builder.full())?;
            if declares {
                self.builder.flag(node, DECLARATION);
                continue;
            }
            let Some(namespace) = self.resolve(name, false) else {
                self.at = start;
                return Err(Problem::UnboundPrefix);
            };
            if let Some(record) = self.builder.nodes.last_mut() {
                record.namespace = namespace;
            }
            if let Some(attribute) = self.attributes.get_mut(n) {
                attribute.namespace = namespace;
            }
            self.builder.count(node);
        }
        match self.duplicate() {
            None => Ok(()),
            Some(at) => {
                self.at = at;
                Err(Problem::DuplicateAttribute)
            }
        }
    }

    /// Where an attribute stands for the second time: by expanded name, declarations by their name.
    fn duplicate(&self) -> Option<usize> {
        if self.attributes.len() < 2 {
            return None;
        }
        let mut sorted: Vec<(bool, u16, &[u8], usize)> = self
            .attributes
            .iter()
            .map(|a| {
                let local = memchr::memchr(b':', a.name).and_then(|colon| a.name.get(colon + 1..));
                let local = if a.declares { None } else { local };
                (a.declares, a.namespace, local.unwrap_or(a.name), a.start)
            })
            .collect();
        sorted.sort_unstable();
        sorted.array_windows().filter(|[a, b]| (a.0, a.1, a.2) == (b.0, b.1, b.2)).map(|[_, b]| b.3).min()
    }

    fn end_tag(&mut self) -> Result<(), Problem> {
        let start = self.at;
        self.at += 2;
        let name = self.name()?;
        self.white_space();
        if self.peek() != Some(b'>') {
            return Err(Problem::Expected("`>`"));
        }
        match self.open.pop() {
            Some(frame) if frame.name == name => {
                self.at += 1;
                self.builder.close(frame.node, self.at);
                self.bindings.truncate(frame.bindings);
                Ok(())
            }
            _ => {
                self.at = start;
                Err(Problem::MismatchedTag)
            }
        }
    }
}
