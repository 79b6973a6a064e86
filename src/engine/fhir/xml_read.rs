//! XML to JSON text, along the model (<http://hl7.org/fhir/R4/xml.html>).
//!
//! Repetitions become arrays by the definition of their element, primitives their lexical form, `contained` and
//! `resource` the resource inside. What the model does not know is kept, so that validation can speak of it.

use std::sync::Arc;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::definitions::{Kind, Model, Symbol, TypeId};

use super::bind::NO_TYPE;
use super::document::{Limits, SyntaxError, SyntaxFault, XmlSource};
use super::draft::{At, Draft};
use super::emit;
use super::json::offset;

const FHIR: &str = "http://hl7.org/fhir";
/// Names for what is no content of FHIR, which no element can have.
const TEXT: &str = "#text";
const INSTRUCTION: &str = "#instruction";
pub(crate) const NOTHING: &str = "#nothing";

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

struct Frame {
    at: At,
    /// The order of the last element met in it.
    order: u32,
    /// The wrapper of a resource (`contained`, `resource`) whose resource has not come yet.
    awaits_resource: bool,
    /// The resource inside a wrapper: closing it closes nothing else.
    element: u32,
}

struct XmlReader<'t> {
    model: Arc<Model>,
    text: &'t str,
    limits: &'t Limits,
    draft: Draft,
    frames: Vec<Frame>,
    nodes: u32,
}

pub(super) fn to_json(model: &Arc<Model>, text: String, limits: &Limits) -> Result<(String, XmlSource), SyntaxError> {
    let emitted = {
        let mut reader = XmlReader {
            model: Arc::clone(model),
            text: &text,
            limits,
            draft: Draft::bare(model, None),
            frames: Vec::new(),
            nodes: 0,
        };
        reader.read()?;
        emit::write_in_place(&reader.draft)
    };
    Ok((emitted.text, XmlSource { text, places: emitted.places, misplaced: emitted.misplaced }))
}

impl XmlReader<'_> {
    fn fail<T>(&self, fault: SyntaxFault, at: u64) -> Result<T, SyntaxError> {
        Err(SyntaxError::at(fault, self.text, usize::try_from(at).unwrap_or(usize::MAX)))
    }

    fn read(&mut self) -> Result<(), SyntaxError> {
        let text = self.text;
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_end_names = true;
        let mut done = false;
        loop {
            let at = reader.buffer_position();
            let event = match reader.read_resolved_event() {
                Ok((namespace, event)) => (is_fhir(&namespace), event),
                Err(_) => return self.fail(SyntaxFault::NotWellFormed, reader.error_position()),
            };
            match event {
                (_, Event::Eof) => break,
                (_, Event::Start(_) | Event::Empty(_)) if done => return self.fail(SyntaxFault::Trailing, at),
                (in_fhir, Event::Start(start)) => {
                    if self.is_narrative(&start) {
                        self.narrative(&mut reader, at)?;
                    } else {
                        self.open(&reader, &start, in_fhir, at)?;
                    }
                }
                (in_fhir, Event::Empty(start)) => {
                    if self.is_narrative(&start) {
                        let end = reader.buffer_position();
                        self.keep_narrative(at, end);
                    } else {
                        self.open(&reader, &start, in_fhir, at)?;
                        self.close();
                        done = self.frames.is_empty();
                    }
                }
                (_, Event::End(_)) => {
                    self.close();
                    done = self.frames.is_empty();
                }
                (_, Event::Text(text)) if is_blank(&text) => {}
                (_, Event::CData(text)) if is_blank(&text) => {}
                (_, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) => self.stray(TEXT, at)?,
                (_, Event::DocType(_)) => return self.fail(SyntaxFault::DocumentType, at),
                (_, Event::Decl(_)) if at > 0 && !text.starts_with('\u{feff}') => {
                    return self.fail(SyntaxFault::NotWellFormed, at);
                }
                (_, Event::Decl(declaration)) => {
                    if let Some(Ok(encoding)) = declaration.encoding()
                        && !encoding.eq_ignore_ascii_case("utf-8")
                        && !encoding.eq_ignore_ascii_case("us-ascii")
                    {
                        return self.fail(SyntaxFault::Encoding, at);
                    }
                }
                (_, Event::PI(_)) if !self.frames.is_empty() => self.stray(INSTRUCTION, at)?,
                (_, Event::Comment(_) | Event::PI(_)) => {}
            }
        }
        if !self.frames.is_empty() {
            return self.fail(SyntaxFault::Ends, self.text.len() as u64);
        }
        if !done {
            return self.fail(SyntaxFault::Expected("an element that is a FHIR resource"), 0);
        }
        Ok(())
    }

    /// Keeps, under a name that no element can have, what is no content of FHIR: validation refuses it.
    fn stray(&mut self, name: &str, at: u64) -> Result<(), SyntaxError> {
        let Some(holder) = self.frames.last().map(|frame| frame.at) else {
            return self.fail(SyntaxFault::MixedText, at);
        };
        if self.in_unknown() {
            return Ok(());
        }
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return self.fail(SyntaxFault::TooManyNodes(self.limits.nodes), at);
        }
        let here = self.draft.push_unknown(holder, name);
        self.draft.set(here, "");
        if let Some(origin) = self.draft.origin_mut(here) {
            origin.place = offset(usize::try_from(at).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    /// Ends the open element. A primitive or resource that has nothing is kept with a mark of that, which validation
    /// refuses: it would be nothing in JSON.
    fn close(&mut self) {
        let Some((at, place)) = self.frames.pop().map(|frame| (frame.at, frame.element)) else { return };
        let is_void = self.draft.part(at).is_some_and(|part| {
            part.type_id != NO_TYPE
                && (self.model.kind(TypeId(part.type_id)) == Kind::Primitive || self.frames.is_empty())
                && !part.is_valued()
                && part.is_bare()
        });
        if is_void {
            let here = self.draft.push_unknown(at, NOTHING);
            self.draft.set(here, "");
            if let Some(origin) = self.draft.origin_mut(here) {
                origin.place = place;
            }
        }
    }

    /// Whether the open element is none of FHIR: validation refuses it, whatever stands in it.
    fn in_unknown(&self) -> bool {
        self.frames.last().and_then(|frame| self.draft.part(frame.at)).is_some_and(|part| part.type_id == NO_TYPE)
    }

    /// Whether the element that starts here is the div of a narrative.
    fn is_narrative(&self, start: &BytesStart<'_>) -> bool {
        let Some(frame) = self.frames.last() else { return false };
        start.local_name().as_ref() == "div" && self.draft.type_name(frame.at) == "Narrative"
    }

    fn narrative(&mut self, reader: &mut NsReader<&[u8]>, at: u64) -> Result<(), SyntaxError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match reader.read_event() {
                Ok(Event::Start(_)) => depth += 1,
                Ok(Event::End(_)) => depth -= 1,
                Ok(Event::Eof) => return self.fail(SyntaxFault::Ends, reader.buffer_position()),
                Ok(Event::DocType(_)) => return self.fail(SyntaxFault::DocumentType, reader.buffer_position()),
                // Without a document type there are no other entities, those of XHTML included.
                Ok(Event::GeneralRef(name))
                    if !name.starts_with('#') && !matches!(&*name, "lt" | "gt" | "amp" | "quot" | "apos") =>
                {
                    return self.fail(SyntaxFault::Entity, reader.buffer_position());
                }
                Ok(_) => {}
                Err(_) => return self.fail(SyntaxFault::NotWellFormed, reader.error_position()),
            }
            if depth + self.frames.len() > usize::from(self.limits.depth) * 2 {
                return self.fail(SyntaxFault::TooDeep(self.limits.depth), reader.buffer_position());
            }
        }
        let end = reader.buffer_position();
        self.keep_narrative(at, end);
        Ok(())
    }

    fn keep_narrative(&mut self, at: u64, end: u64) {
        let (Ok(start), Ok(end)) = (usize::try_from(at), usize::try_from(end)) else { return };
        let Some(raw) = self.text.get(start..end).map(str::to_owned) else { return };
        let Some(holder) = self.frames.last().map(|frame| frame.at) else { return };
        let div = self.draft.push(holder, "div");
        self.draft.set(div, &raw);
        if let Some(origin) = self.draft.origin_mut(div) {
            origin.place = offset(start);
        }
    }

    fn open(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
        in_fhir: bool,
        at: u64,
    ) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return self.fail(SyntaxFault::TooManyNodes(self.limits.nodes), at);
        }
        if self.frames.len() >= usize::from(self.limits.depth) {
            return self.fail(SyntaxFault::TooDeep(self.limits.depth), at);
        }
        let local = start.local_name();
        let name: &str = local.as_ref();
        let place = offset(usize::try_from(at).unwrap_or(usize::MAX));
        let here = match self.frames.last() {
            None => {
                if !in_fhir {
                    return self.fail(SyntaxFault::Namespace, at);
                }
                let root = self.draft.root();
                self.become_resource(root, name);
                root
            }
            Some(frame) if frame.awaits_resource && in_fhir && self.is_resource(name) => {
                let wrapper = frame.at;
                if let Some(frame) = self.frames.last_mut() {
                    frame.awaits_resource = false;
                }
                self.become_resource(wrapper, name);
                wrapper
            }
            Some(_) => {
                let (namespace, _) = reader.resolver().resolve_element(start.name());
                self.element(name, in_fhir, matches!(namespace, ResolveResult::Bound(_)))
            }
        };
        if let Some(origin) = self.draft.origin_mut(here)
            && origin.place == 0
        {
            origin.place = place;
        }
        let awaits_resource = self.draft.part(here).is_some_and(|part| {
            part.type_id != NO_TYPE
                && self.model.kind(TypeId(part.type_id)) == Kind::Resource
                && self.model.is_abstract(TypeId(part.type_id))
        });
        self.frames.push(Frame { at: here, order: 0, awaits_resource, element: place });
        self.attributes(reader, start, here, at)
    }

    fn is_resource(&self, name: &str) -> bool {
        self.model.type_named(name).is_some_and(|id| self.model.kind(id) == Kind::Resource)
    }

    fn become_resource(&mut self, at: At, name: &str) {
        if self.is_resource(name) {
            self.draft.becomes(at, name);
        } else {
            // Kept as the name it gives itself, which validation refuses.
            let type_name = self.draft.push_unknown(at, "resourceType");
            self.draft.set(type_name, name);
        }
    }

    /// A child element of the open one.
    fn element(&mut self, name: &str, in_fhir: bool, in_namespace: bool) -> At {
        let Some((holder, last)) = self.frames.last().map(|frame| (frame.at, frame.order)) else {
            return self.draft.root();
        };
        let symbol = self.model.symbol(name);
        let of = self.draft.part(holder).map_or(NO_TYPE, |part| part.type_id);
        let found = (of != NO_TYPE && in_fhir && symbol != Symbol::UNKNOWN)
            .then(|| self.model.child(TypeId(of), symbol))
            .flatten()
            // An attribute in XML is not an element (Extension.url).
            .filter(|found| !self.model.element(found.element).is_attribute());
        let Some(found) = found else {
            let would_be = of != NO_TYPE && self.model.child(TypeId(of), symbol).is_some();
            return if would_be && in_fhir {
                // What is an attribute in XML has the name of an element in JSON.
                self.draft.push_unknown(holder, &format!("<{name}>"))
            } else if would_be {
                let mark = if in_namespace { "?:" } else { "?" };
                self.draft.push_unknown(holder, &format!("{mark}{name}"))
            } else {
                self.draft.push_unknown(holder, name)
            };
        };
        let order = self.model.element(found.element).order();
        let here = self.draft.push_symbol(holder, symbol, name);
        if order < last {
            if let Some(origin) = self.draft.origin_mut(here) {
                origin.misplaced = true;
            }
        } else if let Some(frame) = self.frames.last_mut() {
            frame.order = order;
        }
        here
    }

    fn attributes(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
        here: At,
        at: u64,
    ) -> Result<(), SyntaxError> {
        for attribute in start.attributes() {
            let Ok(attribute) = attribute else {
                return self.fail(SyntaxFault::DuplicateAttribute, at);
            };
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
            let name: &str = local.as_ref();
            // Where a schema is, is not content; a type of XML Schema would be.
            if matches!(namespace, ResolveResult::Bound(bound) if bound.as_ref() == XSI) && name != "type" {
                continue;
            }
            let Ok(value) = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0) else {
                return self.fail(SyntaxFault::Entity, at);
            };
            let is_broken = |letter: char| letter < ' ' && !matches!(letter, '\t' | '\n' | '\r');
            if attribute.value.contains('<') || value.contains(is_broken) {
                return self.fail(SyntaxFault::NotWellFormed, at);
            }
            if value.len() > self.limits.string as usize {
                return self.fail(SyntaxFault::StringTooLong(self.limits.string), at);
            }
            let of = self.draft.part(here).map_or(NO_TYPE, |part| part.type_id);
            let is_primitive = of == NO_TYPE || self.model.kind(TypeId(of)) == Kind::Primitive;
            if name == "value" && is_primitive {
                self.draft.set(here, &value);
                continue;
            }
            let symbol = self.model.symbol(name);
            // FHIR's attributes are in no namespace.
            let known = of != NO_TYPE
                && !matches!(namespace, ResolveResult::Bound(_))
                && self
                    .model
                    .child(TypeId(of), symbol)
                    .is_some_and(|found| self.model.element(found.element).is_attribute());
            let child = if known {
                self.draft.push_symbol(here, symbol, name)
            } else if of != NO_TYPE && self.model.child(TypeId(of), symbol).is_some() {
                // An attribute that is none, though an element has its name.
                self.draft.push_unknown(here, &format!("@{name}"))
            } else {
                self.draft.push_unknown(here, name)
            };
            self.draft.set(child, &value);
            let place = self.frames.last().map_or(0, |frame| frame.element);
            if let Some(origin) = self.draft.origin_mut(child) {
                origin.place = place;
            }
        }
        Ok(())
    }
}

fn is_fhir(namespace: &ResolveResult<'_>) -> bool {
    matches!(namespace, ResolveResult::Bound(bound) if bound.as_ref() == FHIR)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| matches!(letter, ' ' | '\t' | '\r' | '\n'))
}
