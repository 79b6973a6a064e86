//! Bytes to a tree, in one pass over the characters.

use rustc_hash::FxHashMap;

use super::super::charset::Charset;
use super::super::error::{Problem, SyntaxError};
use super::super::path::SegmentName;
use super::super::tree::{Builder, Dialect, Full, Kind, NONE, PLAIN, Tree};
use super::super::{Limits, Syntax};
use super::{Found, Header, Options, Separators};

/// The field is written as several repetitions.
pub(crate) const REPETITIONS: u8 = 16;
/// The repetition (or lone field) is written as several components.
pub(crate) const COMPONENTS: u8 = 32;
/// The component (or what stands for it) is written as several subcomponents.
pub(crate) const SUBCOMPONENTS: u8 = 64;
/// An escape character stands in it.
pub(crate) const ESCAPED: u8 = 128;
/// What ends a field beside its separator.
const LINE_END: u8 = 1;
const FIELD: u8 = 2;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Where the first segment begins: after a byte order mark and blank lines.
pub(crate) fn start(bytes: &[u8]) -> usize {
    let from = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let blank = bytes.get(from..).unwrap_or_default().iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    from + blank
}

/// Reads one message.
///
/// # Errors
/// [`SyntaxError`] with the segment's number and the byte; [`SyntaxError::header_usable`] tells whether it can be
/// answered by its MSH.
pub fn parse(bytes: Vec<u8>, options: &Options, limits: &Limits) -> Result<Tree, SyntaxError> {
    limits.check(&bytes)?;
    let start = start(&bytes);
    let fail = |problem, at| SyntaxError::new(problem, &bytes, at);
    let header = Header::read(&bytes)?;
    if header.name() != "MSH" {
        return Err(fail(Problem::NoHeader, start));
    }
    let separators = header.separators();
    let charset = charset(&header, &bytes, options).ok_or_else(|| {
        let mut error = fail(Problem::UnknownCharset, header.offset(18));
        error.segment = Some(1);
        error
    })?;
    if let Err(at) = charset.check(&bytes) {
        let mut error = fail(Problem::NotInCharset(charset), at);
        error.segment = Some(segment_number(&bytes, at));
        return Err(error);
    }
    let builder = Builder::new(limits, bytes.len() / 6 + 16);
    let mut reader =
        Reader { bytes: &bytes, classes: classes(&separators), separators, builder, occurrences: FxHashMap::default() };
    match reader.message(start) {
        Ok(()) => {
            let builder = reader.builder;
            Ok(builder.finish(bytes, Syntax::Hl7V2(options.clone()), Dialect::Hl7V2(Found { charset, separators })))
        }
        Err((problem, at)) => {
            let mut error = fail(problem, at);
            error.segment = Some(segment_number(&bytes, at));
            Err(error)
        }
    }
}

fn charset(header: &Header<'_>, bytes: &[u8], options: &Options) -> Option<Charset> {
    let declared = header.field(18);
    let first = match header.separators().repetition {
        Some(repetition) => declared.split(|b| *b == repetition).next().unwrap_or_default(),
        None => declared,
    };
    match first {
        [] | b"\"\"" if bytes.starts_with(BOM) => Some(Charset::Utf8),
        [] | b"\"\"" => Some(options.charset),
        code => Charset::of_hl7(std::str::from_utf8(code).ok()?),
    }
}

/// The number of the segment that the offset stands in.
fn segment_number(bytes: &[u8], offset: usize) -> u32 {
    let before = bytes.get(start(bytes)..offset).unwrap_or_default();
    let mut lines = before.split(|b| matches!(b, b'\r' | b'\n'));
    // The last piece is the line of the offset itself, which may have no bytes before it.
    let last = lines.next_back();
    let ended = lines.filter(|line| !line.is_empty()).count();
    u32::try_from(ended + usize::from(last.is_some())).unwrap_or(u32::MAX)
}

fn classes(separators: &Separators) -> [u8; 256] {
    let mut classes = [0; 256];
    let mut class = |byte: Option<u8>, class: u8| {
        if let Some(slot) = byte.and_then(|b| classes.get_mut(usize::from(b))) {
            *slot = class;
        }
    };
    class(Some(b'\r'), LINE_END);
    class(Some(b'\n'), LINE_END);
    class(Some(separators.field), FIELD);
    class(Some(separators.component), COMPONENTS);
    class(separators.repetition, REPETITIONS);
    class(separators.subcomponent, SUBCOMPONENTS);
    class(separators.escape, ESCAPED);
    classes
}

type Fault = (Problem, usize);

struct Reader<'b> {
    bytes: &'b [u8],
    classes: [u8; 256],
    separators: Separators,
    builder: Builder,
    occurrences: FxHashMap<[u8; 3], u32>,
}

#[expect(clippy::indexing_slicing, reason = "every offset is below the length of the bytes or is checked against it")]
impl Reader<'_> {
    fn class(&self, at: usize) -> u8 {
        self.classes[usize::from(self.bytes[at])]
    }

    fn message(&mut self, start: usize) -> Result<(), Fault> {
        let end = self.bytes.len();
        let root = self.builder.open(Kind::Document, 0, 0, 0, NONE).map_err(|Full| (self.builder.full(), start))?;
        let mut at = start;
        let mut first = true;
        while at < end {
            if self.class(at) == LINE_END {
                at += 1;
                continue;
            }
            at = self.segment(root, at, first)?;
            first = false;
        }
        self.builder.close(root, end);
        Ok(())
    }

    /// One segment; gives the offset of its line end.
    fn segment(&mut self, root: u32, at: usize, first: bool) -> Result<usize, Fault> {
        let name = self.bytes[at..].first_chunk::<3>().and_then(|name| SegmentName::new(*name));
        let Some(name) = name else { return Err((Problem::SegmentName, at)) };
        let body = at + 3;
        let ends = body >= self.bytes.len() || self.class(body) == LINE_END;
        if !ends && self.bytes[body] != self.separators.field {
            return Err((Problem::SegmentName, at));
        }
        if matches!(name.bytes(), b"FHS" | b"BHS" | b"BTS" | b"FTS") || (!first && name.bytes() == b"MSH") {
            return Err((Problem::BatchSegment, at));
        }
        let occurrence = self.occurrences.entry(*name.bytes()).or_insert(0);
        *occurrence += 1;
        let occurrence = *occurrence;
        let segment =
            self.builder.open(Kind::Segment, 0, occurrence, at, root).map_err(|Full| (self.builder.full(), at))?;
        let end = if ends {
            body
        } else if first {
            self.header(segment, body)?
        } else {
            self.fields(segment, body + 1, 1)?
        };
        self.builder.close(segment, end);
        Ok(end)
    }

    /// MSH-1 and MSH-2 as they stand, then the rest.
    fn header(&mut self, segment: u32, at: usize) -> Result<usize, Fault> {
        let mut end = at + 1;
        while end < self.bytes.len() && !matches!(self.class(end), FIELD | LINE_END) {
            end += 1;
        }
        for (number, from, to) in [(1, at, at + 1), (2, at + 1, end)] {
            let field = self.builder.leaf(Kind::Field, PLAIN, number, from, to, segment);
            field.map_err(|Full| (self.builder.full(), from))?;
        }
        if end < self.bytes.len() && self.class(end) == FIELD { self.fields(segment, end + 1, 3) } else { Ok(end) }
    }

    fn fields(&mut self, segment: u32, from: usize, first: u32) -> Result<usize, Fault> {
        let bytes = self.bytes;
        let mut start = from;
        let mut number = first;
        loop {
            let mut seen = 0;
            let mut end = start;
            let mut class = LINE_END;
            while end < bytes.len() {
                class = self.classes[usize::from(bytes[end])];
                if class != 0 {
                    if class <= FIELD {
                        break;
                    }
                    seen |= class;
                }
                end += 1;
            }
            if end > start {
                self.field(segment, number, start, end, seen).map_err(|Full| (self.builder.full(), start))?;
            }
            if end >= bytes.len() || class == LINE_END {
                return Ok(end);
            }
            start = end + 1;
            number += 1;
        }
    }

    fn field(&mut self, segment: u32, number: u32, start: usize, end: usize, seen: u8) -> Result<(), Full> {
        if seen & REPETITIONS == 0 {
            return self.composite(Kind::Field, number, start, end, segment, seen);
        }
        let field = self.builder.open(Kind::Field, REPETITIONS, number, start, segment)?;
        let mut from = start;
        let mut repetition = 1;
        loop {
            let mut seen = 0;
            let mut to = from;
            while to < end {
                let class = self.class(to);
                if class == REPETITIONS {
                    break;
                }
                seen |= class;
                to += 1;
            }
            self.composite(Kind::Repetition, repetition, from, to, field, seen)?;
            if to >= end {
                break;
            }
            from = to + 1;
            repetition += 1;
        }
        self.builder.close(field, end);
        Ok(())
    }

    /// A repetition, or the field that is its own only one.
    fn composite(
        &mut self,
        kind: Kind,
        number: u32,
        start: usize,
        end: usize,
        parent: u32,
        seen: u8,
    ) -> Result<(), Full> {
        if seen & COMPONENTS == 0 {
            return self.component(kind, number, start, end, parent, seen);
        }
        let node = self.builder.open(kind, COMPONENTS, number, start, parent)?;
        let mut from = start;
        let mut component = 1;
        loop {
            let mut seen = 0;
            let mut to = from;
            while to < end {
                let class = self.class(to);
                if class == COMPONENTS {
                    break;
                }
                seen |= class;
                to += 1;
            }
            if to > from {
                self.component(Kind::Component, component, from, to, node, seen)?;
            }
            if to >= end {
                break;
            }
            from = to + 1;
            component += 1;
        }
        self.builder.close(node, end);
        Ok(())
    }

    /// A component, or the repetition or field that is its own only one.
    fn component(
        &mut self,
        kind: Kind,
        number: u32,
        start: usize,
        end: usize,
        parent: u32,
        seen: u8,
    ) -> Result<(), Full> {
        if seen & SUBCOMPONENTS == 0 {
            return if end > start {
                self.builder.leaf(kind, seen & ESCAPED, number, start, end, parent).map(|_| ())
            } else {
                self.builder.push(kind, number, start, end, parent).map(|_| ())
            };
        }
        let node = self.builder.open(kind, SUBCOMPONENTS, number, start, parent)?;
        let mut from = start;
        let mut subcomponent = 1;
        loop {
            let mut seen = 0;
            let mut to = from;
            while to < end {
                let class = self.class(to);
                if class == SUBCOMPONENTS {
                    break;
                }
                seen |= class;
                to += 1;
            }
            if to > from {
                self.builder.leaf(Kind::Subcomponent, seen & ESCAPED, subcomponent, from, to, node)?;
            }
            if to >= end {
                break;
            }
            from = to + 1;
            subcomponent += 1;
        }
        self.builder.close(node, end);
        Ok(())
    }
}
