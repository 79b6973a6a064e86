//! Narrative XHTML (<http://hl7.org/fhir/R4/narrative.html#xhtml>): well-formed, and only the elements and attributes that
//! carry no behaviour. One pass over the text, without a tree.

use memchr::{memchr, memchr2, memmem};

use super::markup::{is_attribute, is_element, may_have_text, may_hold, may_stand};

/// What is wrong with a narrative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not well-formed.
    Malformed,
    /// The root is not `div`, or not in the namespace of XHTML.
    Root,
    /// An element that is not allowed.
    Element(String),
    /// An attribute that is not allowed.
    Attribute(String),
    /// Nothing to read.
    Empty,
    /// An entity that XML does not define.
    Entity,
    /// A block within a paragraph.
    Block(String),
    /// A part of a table or list outside of one: its name, and what it stands in.
    Place(String, String),
    /// Text in an element that has none: its name.
    Text(String),
    /// A processing instruction.
    Instruction,
    /// A link, counted from 1, that leads nowhere or does something. The same link with the same text is told once.
    Link(usize, Scheme),
}

/// What is wrong with the address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// There is none.
    Empty,
    /// It runs when it is followed.
    Active,
    /// It is a name, not an address.
    Name,
}

/// What is looked up in the rest of the resource, and what can be found there.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// `#x` of links and images.
    pub(super) wanted: Vec<String>,
    /// Values of `id`, and of `name` of `a`.
    pub(super) there: Vec<String>,
    /// Languages of the sections: the parts of the narrative that say theirs.
    pub(super) languages: Vec<String>,
}

/// What is wrong, in the order of the text.
pub(super) fn faults(text: &str) -> Vec<Fault> {
    read(text, &mut Anchors::default())
}

/// What is wrong, in the order of the text; `anchors` takes what the text names.
pub(super) fn read(text: &str, anchors: &mut Anchors) -> Vec<Fault> {
    let mut pass = Pass {
        rest: text.as_bytes(),
        prefix: &[],
        open: Vec::with_capacity(16),
        links: 0,
        wrong_link: None,
        wrong_links: Vec::new(),
        has_content: false,
        is_first: true,
        faults: Vec::new(),
        anchors,
    };
    if pass.whole().is_none() {
        pass.faults.push(Fault::Malformed);
    }
    pass.faults
}

/// An element that is open.
struct Open<'t> {
    name: &'t [u8],
    /// Whether it is a paragraph or within one.
    in_paragraph: bool,
    may_have_text: bool,
}

/// One pass over a text.
struct Pass<'t, 'a> {
    rest: &'t [u8],
    /// The prefix of XHTML, where the root has one.
    prefix: &'t [u8],
    /// The elements that are open.
    open: Vec<Open<'t>>,
    /// Links and images so far.
    links: usize,
    /// The open link that leads nowhere: how deep it is, which fault, its address, and the text from its content on.
    wrong_link: Option<(usize, usize, String, &'t [u8])>,
    /// Address and content of those before.
    wrong_links: Vec<(String, &'t [u8])>,
    has_content: bool,
    is_first: bool,
    faults: Vec<Fault>,
    anchors: &'a mut Anchors,
}

/// Bytes that are looked at one by one before a search that is made for long texts.
const NEAR: usize = 12;

/// Faults after which the rest is not looked at.
const MOST: usize = 100;

impl<'t> Pass<'t, '_> {
    /// Nothing: it is not well-formed from here on.
    fn whole(&mut self) -> Option<()> {
        while !self.rest.is_empty() && self.faults.len() <= MOST {
            let at = self.markup();
            let (text, rest) = self.rest.split_at_checked(at)?;
            self.rest = rest;
            self.text(text);
            match self.rest.get(..2) {
                None if self.rest.is_empty() => break,
                Some([b'&', _]) => self.entity()?,
                Some([b'<', b'/']) => self.end()?,
                Some([b'<', b'!']) => self.declared()?,
                Some([b'<', b'?']) => {
                    self.skip(b"?>")?;
                    self.faults.push(Fault::Instruction);
                }
                Some([b'<', _]) => self.start()?,
                _ => return None,
            }
        }
        if self.faults.len() > MOST {
            return Some(());
        }
        if !self.open.is_empty() || self.is_first {
            return None;
        }
        if !self.has_content {
            self.faults.push(Fault::Empty);
        }
        Some(())
    }

    /// How far it is to the next tag or entity: mostly a few bytes.
    fn markup(&self) -> usize {
        let is_markup = |byte: &u8| matches!(byte, b'<' | b'&');
        let near = self.rest.get(..NEAR).unwrap_or(self.rest);
        near.iter().position(is_markup).unwrap_or_else(|| {
            let far = self.rest.get(near.len()..).unwrap_or_default();
            near.len() + memchr2(b'<', b'&', far).unwrap_or(far.len())
        })
    }

    fn text(&mut self, text: &[u8]) {
        // Once there is content only text that stands where none may is wrong.
        let may_be = self.open.last().is_some_and(|open| open.may_have_text);
        if text.is_empty() || (self.has_content && may_be) {
            return;
        }
        let is_blank = text.iter().all(u8::is_ascii_whitespace)
            || std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_whitespace));
        self.has_content |= !is_blank;
        match self.open.last() {
            None if !is_blank => self.faults.push(Fault::Malformed),
            Some(open) if !may_be && !is_blank => self.faults.push(Fault::Text(lossy(open.name))),
            _ => {}
        }
    }

    /// Goes behind a mark; gives what stands before it.
    fn skip(&mut self, mark: &[u8]) -> Option<&'t [u8]> {
        let at = memmem::find(self.rest, mark)?;
        let (before, rest) = self.rest.split_at_checked(at)?;
        self.rest = rest.get(mark.len()..)?;
        Some(before)
    }

    /// `&name;`, `&#9;`.
    fn entity(&mut self) -> Option<()> {
        let end = memchr(b';', self.rest)?;
        let name = self.rest.get(1..end)?;
        if name.is_empty() || memchr2(b'<', b'&', name).is_some() {
            return None;
        }
        self.rest = self.rest.get(end + 1..)?;
        self.has_content = true;
        if !is_entity(name) {
            self.faults.push(Fault::Entity);
        }
        Some(())
    }

    /// A comment, a CDATA section; a document type is not allowed.
    fn declared(&mut self) -> Option<()> {
        if self.rest.starts_with(b"<!--") {
            self.rest = self.rest.get(4..)?;
            self.skip(b"-->")?;
        } else if self.rest.starts_with(b"<![CDATA[") {
            self.skip(b"]]>")?;
            self.has_content = true;
        } else {
            self.faults.push(Fault::Malformed);
            self.skip(b">")?;
        }
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let end = self.rest.iter().position(|byte| *byte == b'>')?;
        let name = self.rest.get(2..end)?.trim_ascii_end();
        if let Some((_, fault, target, from)) = self.wrong_link.take_if(|(depth, ..)| *depth == self.open.len()) {
            let content = from.get(..from.len().saturating_sub(self.rest.len()))?;
            let link = (target, content);
            if self.wrong_links.contains(&link) {
                self.faults.remove(fault);
            } else {
                self.wrong_links.push(link);
            }
        }
        self.rest = self.rest.get(end + 1..)?;
        let name = self.local(name);
        self.open.pop().filter(|open| open.name == name).map(|_| ())
    }

    /// A name without the prefix of XHTML. What has none where the root has one is of no language, and stays as it is.
    fn local(&self, name: &'t [u8]) -> &'t [u8] {
        if self.prefix.is_empty() {
            return name;
        }
        name.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix(b":")).unwrap_or(b"?")
    }

    /// A start tag or an empty element.
    fn start(&mut self) -> Option<()> {
        let mut rest = self.rest.get(1..)?;
        let length = rest.iter().position(|byte| is_end_of_name(*byte))?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        if self.is_first {
            self.prefix = prefix(name, rest);
        }
        let name = self.local(name);
        if name.is_empty() {
            return None;
        }
        let mut is_narrative = !self.prefix.is_empty();
        let mut is_closed = false;
        let mut named = Named::default();
        if !is_element(name) {
            self.faults.push(Fault::Element(String::from_utf8_lossy(name).into_owned()));
        }
        let mut seen: [&[u8]; 8] = [&[]; 8];
        let mut count = 0_usize;
        loop {
            let before = rest.len();
            rest = rest.trim_ascii_start();
            match rest.first()? {
                b'>' => {
                    rest = rest.get(1..)?;
                    break;
                }
                b'/' => {
                    rest = rest.get(1..)?.strip_prefix(b">")?;
                    is_closed = true;
                    break;
                }
                _ if before == rest.len() => return None,
                _ => {}
            }
            let (key, value, after) = attribute(rest)?;
            rest = after;
            // No element of XHTML has more than a few.
            if seen.iter().take(count).any(|held| *held == key) {
                return None;
            }
            if let Some(free) = seen.get_mut(count) {
                *free = key;
                count += 1;
            }
            if key == b"xmlns" {
                is_narrative = value == b"http://www.w3.org/1999/xhtml";
                if !self.is_first && !is_narrative {
                    // What follows is of another language than XHTML.
                    self.faults.push(Fault::Attribute(lossy(key)));
                }
            }
            match key {
                b"id" => named.id = Some(value),
                b"name" if name == b"a" => named.name = Some(value),
                b"href" if name == b"a" => named.target = Some(value),
                b"src" if name == b"img" => named.target = Some(value),
                b"xml:lang" => named.language = Some(value),
                _ => {}
            }
            if !is_attribute(name, key) {
                self.faults.push(Fault::Attribute(String::from_utf8_lossy(key).into_owned()));
            }
        }
        self.rest = rest;
        if self.is_first && (name != b"div" || !is_narrative) {
            self.faults.push(Fault::Root);
        } else if !self.is_first && self.open.is_empty() {
            // A document has one root.
            self.faults.push(Fault::Malformed);
        }
        self.is_first = false;
        self.has_content |= name == b"img";
        let before = self.faults.len();
        self.link(name, &named);
        let wrong = (self.faults.len() > before).then_some(before);
        let in_paragraph = self.open.last().is_some_and(|open| open.in_paragraph);
        if in_paragraph && matches!(name, b"div" | b"blockquote" | b"table" | b"ol" | b"ul" | b"p") {
            self.faults.push(Fault::Block(String::from_utf8_lossy(name).into_owned()));
        }
        if let Some(outer) = self.open.last().map(|open| open.name) {
            let rules = [may_stand(name, outer), may_hold(outer, name)];
            let broken = rules.into_iter().filter(|holds| !holds);
            self.faults.extend(broken.map(|_| Fault::Place(lossy(name), lossy(outer))));
        }
        if self.open.len() == 1 && name == b"div" {
            self.anchors.languages.extend(named.language.map(lossy));
        }
        if !is_closed {
            self.open.push(Open {
                name,
                in_paragraph: in_paragraph || name == b"p",
                may_have_text: may_have_text(name),
            });
            if let (Some(fault), Some(target)) = (wrong, named.target) {
                self.wrong_link = Some((self.open.len(), fault, lossy(target), self.rest));
            }
        }
        Some(())
    }

    /// The links and images, and what they may lead to.
    fn link(&mut self, name: &[u8], named: &Named<'_>) {
        self.anchors.there.extend(named.id.map(lossy));
        self.anchors.there.extend(named.name.map(lossy));
        let Some(target) = named.target.map(lossy) else { return };
        self.links += 1;
        let scheme = scheme(&target);
        if let Some(fragment) = target.strip_prefix('#').filter(|fragment| !fragment.is_empty()) {
            self.anchors.wanted.push(fragment.to_owned());
        } else if target.trim().is_empty() {
            self.faults.push(Fault::Link(self.links, Scheme::Empty));
        } else if matches!(scheme.as_deref(), Some("javascript" | "vbscript")) {
            self.faults.push(Fault::Link(self.links, Scheme::Active));
        } else if name == b"a" && matches!(scheme.as_deref(), Some("urn" | "cid")) {
            self.faults.push(Fault::Link(self.links, Scheme::Name));
        }
    }
}

/// The scheme of an address as a browser reads it: character references resolved, no white space and no controls.
fn scheme(address: &str) -> Option<String> {
    let mut read = String::new();
    let mut rest = address;
    while let Some(letter) = rest.chars().next() {
        let reference = rest.strip_prefix("&").and_then(|after| after.split_once(';'));
        let (letter, after) = match reference.and_then(|(name, after)| Some((referred(name)?, after))) {
            Some(resolved) => resolved,
            None => (letter, rest.get(letter.len_utf8()..).unwrap_or_default()),
        };
        rest = after;
        match letter {
            ':' => return Some(read),
            _ if letter.is_whitespace() || letter.is_control() => {}
            _ => read.push(letter.to_ascii_lowercase()),
        }
    }
    None
}

/// The character of a reference, by its number or by the names that a scheme may hide behind.
fn referred(name: &str) -> Option<char> {
    let number = name.strip_prefix('#');
    let code = match number.map(|number| number.strip_prefix(['x', 'X']).ok_or(number)) {
        Some(Ok(digits)) => u32::from_str_radix(digits, 16).ok(),
        Some(Err(digits)) => digits.parse().ok(),
        None if name.eq_ignore_ascii_case("colon") => Some(':'.into()),
        None if matches!(name, "Tab" | "NewLine") => Some(' '.into()),
        None => None,
    };
    char::from_u32(code?)
}

/// The attributes of an element that name something.
#[derive(Default)]
struct Named<'t> {
    id: Option<&'t [u8]>,
    name: Option<&'t [u8]>,
    target: Option<&'t [u8]>,
    language: Option<&'t [u8]>,
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn is_end_of_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'=' | b'<' | b'"' | b'\'')
}

/// The prefix of a root element `x:div` that declares `xmlns:x` to be XHTML.
fn prefix<'t>(name: &'t [u8], after: &[u8]) -> &'t [u8] {
    let Some(colon) = memchr(b':', name) else { return &[] };
    let Some((prefix, _)) = name.split_at_checked(colon) else { return &[] };
    let mut rest = after.trim_ascii_start();
    while let Some((key, value, after)) = attribute(rest) {
        if key.strip_prefix(b"xmlns:") == Some(prefix) && value == b"http://www.w3.org/1999/xhtml" {
            return prefix;
        }
        rest = after.trim_ascii_start();
    }
    &[]
}

/// `name="value"`: name, value, and what follows.
fn attribute(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = text.iter().position(|byte| is_end_of_name(*byte))?;
    let (key, rest) = text.split_at_checked(length)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = *rest.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let rest = rest.get(1..)?;
    let (value, rest) = rest.split_at_checked(memchr(quote, rest)?)?;
    if key.is_empty() || memchr(b'<', value).is_some() {
        return None;
    }
    Some((key, value, rest.get(1..)?))
}

/// A character by its number, or one of the entities of XHTML 1.0.
fn is_entity(name: &[u8]) -> bool {
    match name.strip_prefix(b"#") {
        Some(number) => {
            let code = match number.strip_prefix(b"x") {
                Some(digits) => {
                    std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())
                }
                None => std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok()),
            };
            code.is_some_and(|code| code != 0 && char::from_u32(code).is_some())
        }
        None => super::entities::NAMES.binary_search(&name).is_ok(),
    }
}
