//! Bytes to a tree, without recursion.

use std::borrow::Cow;

use super::super::charset::Charset;
use super::super::error::{Problem, SyntaxError};
use super::super::tree::{Builder, Dialect, Full, ITEM, Kind, MEMBER, NONE, PLAIN, Tree};
use super::super::{Limits, Syntax};
use super::text;

/// Reads a JSON document. A byte order mark is skipped.
///
/// # Errors
/// [`SyntaxError`] with the position.
pub fn parse(bytes: Vec<u8>, limits: &Limits) -> Result<Tree, SyntaxError> {
    limits.check(&bytes)?;
    if let Err(at) = Charset::Utf8.check(&bytes) {
        return Err(SyntaxError::new(Problem::NotInCharset(Charset::Utf8), &bytes, at));
    }
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut reader = Reader {
        bytes: &bytes,
        at: start,
        builder: Builder::new(limits, bytes.len() / 12 + 8),
        open: Vec::new(),
        names: Vec::new(),
        depth: limits.depth,
    };
    match reader.document() {
        Ok(()) => {
            let builder = reader.builder;
            Ok(builder.finish(bytes, Syntax::Json, Dialect::Json))
        }
        Err(problem) => {
            let at = reader.at;
            Err(SyntaxError::new(problem, &bytes, at))
        }
    }
}

/// An object or array that is not closed yet.
struct Frame {
    node: u32,
    object: bool,
    /// Items so far.
    count: u32,
    /// Where its names begin among all open names.
    names: usize,
}

#[derive(Clone, Copy)]
struct NameSpan {
    start: usize,
    end: usize,
    plain: bool,
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    builder: Builder,
    open: Vec<Frame>,
    names: Vec<NameSpan>,
    depth: usize,
}

/// Objects with more members than this are checked for duplicates by sorting.
const FEW: usize = 12;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn document(&mut self) -> Result<(), Problem> {
        self.white_space();
        self.value(None)?;
        while let Some(frame) = self.open.last() {
            let (object, empty) = (frame.object, frame.count == 0);
            self.white_space();
            match self.peek() {
                Some(b'}') if object => self.close()?,
                Some(b']') if !object => self.close()?,
                Some(b',') if !empty => {
                    self.at += 1;
                    self.white_space();
                    self.entry(object)?;
                }
                _ if empty => self.entry(object)?,
                _ => return Err(Problem::Expected(if object { "`,` or `}`" } else { "`,` or `]`" })),
            }
        }
        self.white_space();
        if self.at < self.bytes.len() { Err(Problem::TrailingContent) } else { Ok(()) }
    }

    fn entry(&mut self, object: bool) -> Result<(), Problem> {
        if !object {
            return self.value(None);
        }
        if self.peek() != Some(b'"') {
            return Err(Problem::Expected("a member name in quotes"));
        }
        let start = self.at;
        let plain = self.string()?;
        let name = NameSpan { start, end: self.at, plain };
        self.names.push(name);
        self.white_space();
        if self.peek() != Some(b':') {
            return Err(Problem::Expected("`:`"));
        }
        self.at += 1;
        self.white_space();
        self.value(Some(name))
    }

    fn value(&mut self, name: Option<NameSpan>) -> Result<(), Problem> {
        let start = self.at;
        let (parent, number, flags) = match (self.open.last_mut(), name) {
            (None, _) => (NONE, 0, 0),
            (Some(frame), Some(name)) => {
                frame.count += 1;
                let flags = if name.plain { MEMBER | PLAIN } else { MEMBER };
                (frame.node, u32::try_from(name.start).unwrap_or(NONE), flags)
            }
            (Some(frame), None) => {
                frame.count += 1;
                (frame.node, frame.count - 1, ITEM)
            }
        };
        let kind = match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                if self.open.len() >= self.depth {
                    return Err(Problem::TooDeep { limit: self.depth });
                }
                let object = open == b'{';
                let kind = if object { Kind::Object } else { Kind::Array };
                let node = self.builder.open(kind, flags, number, start, parent).map_err(|Full| self.builder.full())?;
                self.open.push(Frame { node, object, count: 0, names: self.names.len() });
                self.at += 1;
                return Ok(());
            }
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                match text::number_end(self.bytes, self.at) {
                    Ok(end) => self.at = end,
                    Err(at) => {
                        self.at = at;
                        return Err(Problem::Expected("a digit"));
                    }
                }
                Kind::Number
            }
            Some(b't') => self.word(b"true", Kind::Boolean)?,
            Some(b'f') => self.word(b"false", Kind::Boolean)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            _ => return Err(Problem::Expected("a value")),
        };
        let leaf = self.builder.leaf(kind, flags, number, start, self.at, parent);
        leaf.map(|_| ()).map_err(|Full| self.builder.full())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Problem> {
        if !self.bytes.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(Problem::Expected("a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    /// Passes over a string; tells whether it has no escapes.
    fn string(&mut self) -> Result<bool, Problem> {
        let mut plain = true;
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let ordinary = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F)).unwrap_or(rest.len());
            self.at += ordinary;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(plain);
                }
                Some(b'\\') => {
                    plain = false;
                    self.escape()?;
                }
                Some(_) => return Err(Problem::Expected("an escape in place of a control character")),
                None => return Err(Problem::Expected("a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = self.unit(self.at).ok_or(Problem::Expected("four hexadecimal digits"))?;
                match unit {
                    0xD800..=0xDBFF => match self.unit(self.at + 6) {
                        Some(0xDC00..=0xDFFF) => self.at += 12,
                        _ => return Err(Problem::LoneSurrogate),
                    },
                    0xDC00..=0xDFFF => return Err(Problem::LoneSurrogate),
                    _ => self.at += 6,
                }
                Ok(())
            }
            _ => Err(Problem::Expected("an escape")),
        }
    }

    fn unit(&self, at: usize) -> Option<u16> {
        let [b'\\', b'u', digits @ ..] = self.bytes.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0_u16, |unit, digit| {
            let digit = char::from(*digit).to_digit(16).and_then(|d| u16::try_from(d).ok())?;
            Some(unit << 4 | digit)
        })
    }

    fn close(&mut self) -> Result<(), Problem> {
        self.at += 1;
        let Some(frame) = self.open.pop() else { return Ok(()) };
        self.builder.close(frame.node, self.at);
        let names = self.names.get(frame.names..).unwrap_or_default();
        if let Some(second) = duplicate(self.bytes, names) {
            self.at = second;
            return Err(Problem::DuplicateName);
        }
        self.names.truncate(frame.names);
        Ok(())
    }
}

/// Where a name stands for the second time.
fn duplicate(bytes: &[u8], names: &[NameSpan]) -> Option<usize> {
    let raw = |name: &NameSpan| bytes.get(name.start + 1..name.end - 1).unwrap_or_default();
    if names.len() <= FEW && names.iter().all(|name| name.plain) {
        let mut before: &[NameSpan] = &[];
        for (n, name) in names.iter().enumerate() {
            if before.iter().any(|other| raw(other) == raw(name)) {
                return Some(name.start);
            }
            before = names.get(..=n).unwrap_or_default();
        }
        return None;
    }
    let mut sorted: Vec<(Cow<'_, str>, usize)> =
        names.iter().map(|name| (text::decode(raw(name)), name.start)).collect();
    sorted.sort_unstable();
    sorted.array_windows().filter(|[a, b]| a.0 == b.0).map(|[_, b]| b.1).min()
}
