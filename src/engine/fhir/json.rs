//! JSON text to slots, in one pass that does not recurse.
//!
//! The result is flat and in document order. Every slot knows its value's span, the slot after its subtree, and the
//! symbol of the member (or of the array's member) that it is the value of. Meaning is added by [`super::bind`].

use std::collections::HashSet;

use crate::definitions::{Model, Symbol};

use super::document::{Limits, SyntaxError, SyntaxFault};
use super::scan::{self, EscapeFault, Stop};

/// What stands at a slot, physically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

/// One value. `start..end` is its text, without the quotes of a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) next: u32,
    pub(super) symbol: Symbol,
    pub(super) shape: Shape,
    pub(super) flags: u8,
}

pub(super) mod flag {
    /// Written with a leading `_`.
    pub(in crate::fhir) const TWIN: u8 = 1;
    /// An object some of whose members are twins.
    pub(in crate::fhir) const HAS_TWINS: u8 = 2;
    /// The text has escapes: its decoded form is kept beside.
    pub(in crate::fhir) const ESCAPED: u8 = 4;
    /// A primary whose twin is there too, or such a twin.
    pub(in crate::fhir) const PAIRED: u8 = 8;
    /// The member `resourceType` of a resource.
    pub(in crate::fhir) const RESOURCE_TYPE: u8 = 16;
    /// A direct item of an array.
    pub(in crate::fhir) const ITEM: u8 = 32;
}

/// A span of text that belongs to a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aside {
    pub(super) slot: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) slots: Vec<Slot>,
    /// Decoded texts, and which slots they belong to, ascending.
    pub(super) decoded: String,
    pub(super) escapes: Vec<Aside>,
    /// Names that no type has (spans of `names`), ascending.
    pub(super) names: String,
    pub(super) unknown: Vec<Aside>,
}

struct Frame {
    slot: usize,
    is_object: bool,
    keys: usize,
    symbol: Symbol,
    flags: u8,
}

struct Parser<'t> {
    model: &'t Model,
    text: &'t str,
    bytes: &'t [u8],
    limits: &'t Limits,
    at: usize,
    out: Slots,
    frames: Vec<Frame>,
    keys: Vec<u32>,
    unknown_keys: HashSet<(usize, bool, String)>,
    pending_name: Option<(u32, u32)>,
}

/// Reads one JSON object and nothing after it.
pub(super) fn parse(model: &Model, text: &str, limits: &Limits) -> Result<Slots, SyntaxError> {
    let mut parser = Parser {
        model,
        text,
        bytes: text.as_bytes(),
        limits,
        at: 0,
        out: Slots { slots: Vec::with_capacity(text.len() / 24 + 16), ..Slots::default() },
        frames: Vec::with_capacity(16),
        keys: Vec::with_capacity(64),
        unknown_keys: HashSet::new(),
        pending_name: None,
    };
    parser.document()?;
    Ok(parser.out)
}

impl Parser<'_> {
    fn fail<T>(&self, fault: SyntaxFault) -> Result<T, SyntaxError> {
        self.fail_at(fault, self.at)
    }

    fn fail_at<T>(&self, fault: SyntaxFault, at: usize) -> Result<T, SyntaxError> {
        Err(SyntaxError::at(fault, self.text, at))
    }

    fn space(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn document(&mut self) -> Result<(), SyntaxError> {
        if self.space() != Some(b'{') {
            return self.fail(SyntaxFault::NotAnObject);
        }
        self.value(Symbol::UNKNOWN, 0)?;
        while let Some(frame) = self.frames.last() {
            if frame.is_object { self.member()? } else { self.item()? }
        }
        if self.space().is_some() {
            return self.fail(SyntaxFault::Trailing);
        }
        Ok(())
    }

    /// After `{` or after a member's value.
    fn member(&mut self) -> Result<(), SyntaxError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let (slot, keys) = (frame.slot, frame.keys);
        let is_first = self.out.slots.len() == slot + 1;
        match self.space() {
            Some(b'}') => {
                self.close();
                return Ok(());
            }
            Some(b',') if !is_first => {
                self.at += 1;
                self.space();
            }
            Some(b'"') if is_first => {}
            Some(_) => return self.fail(SyntaxFault::Expected("\",\" or \"}\"")),
            None => return self.fail(SyntaxFault::Ends),
        }
        let key_at = self.at;
        if self.bytes.get(self.at) != Some(&b'"') {
            return self.fail(SyntaxFault::Expected("a member name in quotes"));
        }
        let (start, end, decoded) = self.string()?;
        let text = self.text;
        let decoded = decoded.map(|from| self.out.decoded.split_off(from));
        let name = decoded.as_deref().unwrap_or_else(|| text.get(start..end).unwrap_or(""));
        let (bare, twin) = name.strip_prefix('_').map_or((name, 0), |bare| (bare, flag::TWIN));
        let symbol = self.model.symbol_of(bare.as_bytes());
        if symbol == Symbol::UNKNOWN {
            if !self.unknown_keys.insert((slot, twin != 0, bare.to_owned())) {
                return self.fail_at(SyntaxFault::DuplicateKey, key_at);
            }
            let from = self.out.names.len();
            self.out.names.push_str(bare);
            self.pending_name = Some((offset(from), offset(self.out.names.len())));
        } else {
            let key = u32::from(symbol.0) << 1 | u32::from(twin);
            if self.keys.get(keys..).is_some_and(|held| held.contains(&key)) {
                return self.fail_at(SyntaxFault::DuplicateKey, key_at);
            }
            self.keys.push(key);
        }
        if twin != 0
            && let Some(object) = self.out.slots.get_mut(slot)
        {
            object.flags |= flag::HAS_TWINS;
        }
        if self.space() != Some(b':') {
            return self.fail(SyntaxFault::Expected("\":\""));
        }
        self.at += 1;
        self.space();
        self.value(symbol, twin)
    }

    /// After `[` or after an item.
    fn item(&mut self) -> Result<(), SyntaxError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let (slot, symbol, flags) = (frame.slot, frame.symbol, frame.flags);
        let is_first = self.out.slots.len() == slot + 1;
        match self.space() {
            Some(b']') => {
                self.close();
                return Ok(());
            }
            Some(b',') if !is_first => {
                self.at += 1;
                self.space();
            }
            Some(_) if is_first => {}
            Some(_) => return self.fail(SyntaxFault::Expected("\",\" or \"]\"")),
            None => return self.fail(SyntaxFault::Ends),
        }
        self.value(symbol, flags | flag::ITEM)
    }

    fn close(&mut self) {
        self.at += 1;
        let Some(frame) = self.frames.pop() else { return };
        self.keys.truncate(frame.keys);
        let next = offset(self.out.slots.len());
        let end = offset(self.at);
        if let Some(slot) = self.out.slots.get_mut(frame.slot) {
            slot.next = next;
            slot.end = end;
        }
    }

    fn value(&mut self, symbol: Symbol, flags: u8) -> Result<(), SyntaxError> {
        let index = self.out.slots.len();
        if index >= self.limits.nodes as usize {
            return self.fail(SyntaxFault::TooManyNodes(self.limits.nodes));
        }
        if let Some((start, end)) = self.pending_name.take() {
            self.out.unknown.push(Aside { slot: offset(index), start, end });
        }
        let start = self.at;
        let (shape, start, end) = match self.bytes.get(self.at) {
            Some(open @ (b'{' | b'[')) => {
                if self.frames.len() >= usize::from(self.limits.depth) {
                    return self.fail(SyntaxFault::TooDeep(self.limits.depth));
                }
                let is_object = *open == b'{';
                self.at += 1;
                self.frames.push(Frame {
                    slot: index,
                    is_object,
                    keys: self.keys.len(),
                    symbol,
                    flags: flags & flag::TWIN,
                });
                (if is_object { Shape::Object } else { Shape::Array }, start, start)
            }
            Some(b'"') => {
                let (from, to, decoded) = self.string()?;
                if to - from > self.limits.string as usize {
                    return self.fail_at(SyntaxFault::StringTooLong(self.limits.string), start);
                }
                if let Some(from) = decoded {
                    let from = offset(from);
                    let end = offset(self.out.decoded.len());
                    self.out.escapes.push(Aside { slot: offset(index), start: from, end });
                    self.push(Shape::String, from_to(start + 1, self.at - 1), symbol, flags | flag::ESCAPED, index);
                    return Ok(());
                }
                (Shape::String, from, to)
            }
            Some(b't') => (Shape::Boolean, start, self.word("true")?),
            Some(b'f') => (Shape::Boolean, start, self.word("false")?),
            Some(b'n') => (Shape::Null, start, self.word("null")?),
            Some(b'-' | b'0'..=b'9') => {
                let Some(end) = scan::number(self.bytes, start) else { return self.fail(SyntaxFault::Number) };
                self.at = end;
                if matches!(self.bytes.get(end), Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-')) {
                    return self.fail_at(SyntaxFault::Number, start);
                }
                (Shape::Number, start, end)
            }
            Some(_) => return self.fail(SyntaxFault::Expected("a value")),
            None => return self.fail(SyntaxFault::Ends),
        };
        self.push(shape, from_to(start, end), symbol, flags, index);
        Ok(())
    }

    fn push(&mut self, shape: Shape, (start, end): (u32, u32), symbol: Symbol, flags: u8, index: usize) {
        self.out.slots.push(Slot { start, end, next: offset(index + 1), symbol, shape, flags });
    }

    fn word(&mut self, word: &str) -> Result<usize, SyntaxError> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word.as_bytes()) {
            return self.fail(SyntaxFault::Expected("a value"));
        }
        self.at += word.len();
        Ok(self.at)
    }

    /// A string whose opening quote is at the current place: its span, and where in the decoded texts its own was put, if it
    /// has escapes.
    fn string(&mut self) -> Result<(usize, usize, Option<usize>), SyntaxError> {
        let start = self.at + 1;
        let mut from = start;
        let mut decoded: Option<usize> = None;
        loop {
            let (at, stop) = scan::plain_run(self.bytes, from);
            match stop {
                Stop::Quote => {
                    if decoded.is_some() {
                        self.out.decoded.push_str(self.text.get(from..at).unwrap_or(""));
                    }
                    self.at = at + 1;
                    return Ok((start, at, decoded));
                }
                Stop::Backslash => {
                    let out = &mut self.out.decoded;
                    if decoded.is_none() {
                        decoded = Some(out.len());
                        // A text with escapes is mostly a narrative: room for one at once.
                        out.reserve((self.bytes.len() - start).min(512));
                    }
                    out.push_str(self.text.get(from..at).unwrap_or(""));
                    from = match scan::escape(self.bytes, at, out) {
                        Ok(after) => after,
                        Err(EscapeFault::Unknown) => return self.fail_at(SyntaxFault::Escape, at),
                        Err(EscapeFault::Surrogate) => return self.fail_at(SyntaxFault::Surrogate, at),
                    };
                }
                Stop::Control => return self.fail_at(SyntaxFault::Control, at),
                Stop::End => return self.fail_at(SyntaxFault::Ends, at),
            }
        }
    }
}

fn from_to(start: usize, end: usize) -> (u32, u32) {
    (offset(start), offset(end))
}

/// Offsets fit: the text is refused above [`Limits::bytes`], which is 32 bits.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
