//! Changes to a message: a touched segment is taken apart at its separators as far as needed and joined again, which
//! gives the same bytes wherever nothing was set.

use std::borrow::Cow;

use super::super::Syntax;
use super::super::charset::Charset;
use super::super::edit::{Anchor, Ink, NewId, Place, address};
use super::super::error::EditError;
use super::super::lines::Lines;
use super::super::path::{SegmentName, Step};
use super::super::tree::{Kind, NodeId, Tree};
use super::escape::{self, Unwritable};
use super::segment::{Field, Id, Item, Repetition, Segment, Written};
use super::{Found, Separators};

/// The highest number of a field, component or subcomponent, and the longest list, that an edit fills up to.
const LIMIT: u32 = 4096;
const DELETE: &[u8] = b"\"\"";

#[derive(Debug, Clone, Copy)]
enum Made {
    Segment(u32, SegmentName),
    Repetition { line: u32, field: u16 },
}

/// How a repetition is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Is(Id),
    Position(u32),
    /// The first of a field that was addressed by its node: the original first, else what is first now.
    First,
}

/// An address in full, with the levels that were named.
#[derive(Debug, Clone, Copy)]
struct Target {
    line: u32,
    level: Level,
    field: u16,
    repetition: Which,
    component: u16,
    subcomponent: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Segment,
    Field,
    Repetition,
    Component,
    Subcomponent,
}

/// A message under change.
#[derive(Debug)]
pub(crate) struct Sheet<'t> {
    tree: &'t Tree,
    separators: Separators,
    charset: Charset,
    lines: Lines<'t, Segment<'t>>,
    made: Vec<Made>,
}

impl<'t> Sheet<'t> {
    pub(crate) fn new(tree: &'t Tree, found: &Found) -> Self {
        let end = match memchr::memchr2(b'\r', b'\n', &tree.bytes) {
            Some(at) if tree.bytes.get(at..at + 2) == Some(b"\r\n") => tree.bytes.get(at..at + 2),
            Some(at) => tree.bytes.get(at..=at),
            None => None,
        };
        let lines = Lines::new(tree, tree.segments(), end.unwrap_or(b"\r"));
        Self { tree, separators: found.separators, charset: found.charset, lines, made: Vec::new() }
    }

    fn path(&self, at: Place, steps: &[Step]) -> String {
        match at {
            Place::Node(node) => address(self.tree, "", Some(node), steps),
            Place::New(id) => {
                let label = match self.made.get(id.0 as usize) {
                    Some(Made::Segment(_, name)) => format!("{name}[new]"),
                    Some(Made::Repetition { field, .. }) => format!("-{field}[new]"),
                    None => String::new(),
                };
                address(self.tree, &label, None, steps)
            }
        }
    }

    fn resolve(&self, at: Place, steps: &[Step]) -> Result<Target, EditError> {
        let wrong = |expected| EditError::NoSuchStep { path: self.path(at, steps), expected };
        let mut steps_left = steps;
        let mut target = match at {
            Place::Node(NodeId::ROOT) => {
                let Some((Step::Segment(name, nth), rest)) = steps.split_first() else {
                    return Err(wrong("a segment expected"));
                };
                steps_left = rest;
                let node = nth.checked_sub(1).and_then(|n| self.tree.segments_named(*name).nth(n as usize));
                let Some(node) = node else { return Err(wrong("no such segment: insert it first")) };
                self.target(node)?
            }
            Place::Node(node) => self.target(node)?,
            Place::New(id) => match self.made.get(id.0 as usize) {
                Some(Made::Segment(line, _)) if self.lines.is_there(*line) => Target::segment(*line),
                Some(Made::Repetition { line, field }) if self.lines.is_there(*line) => Target {
                    level: Level::Repetition,
                    field: *field,
                    repetition: Which::Is(Id::New(id)),
                    ..Target::segment(*line)
                },
                _ => return Err(EditError::Gone),
            },
        };
        for step in steps_left {
            let (level, number) = match step {
                Step::Field(n) => (Level::Field, *n),
                Step::Repetition(n) => (Level::Repetition, *n),
                Step::Component(n) => (Level::Component, *n),
                Step::Subcomponent(n) => (Level::Subcomponent, *n),
                _ => return Err(wrong("a field, repetition, component or subcomponent expected")),
            };
            if level <= target.level || (target.level == Level::Segment && level != Level::Field) {
                return Err(wrong("steps from the segment downwards expected"));
            }
            if number == 0 {
                return Err(wrong("numbers count from one"));
            }
            if u32::from(number) > LIMIT {
                return Err(EditError::Limit { path: self.path(at, steps), limit: LIMIT });
            }
            target.level = level;
            match level {
                Level::Segment => {}
                Level::Field => target.field = number,
                Level::Repetition => target.repetition = Which::Position(u32::from(number)),
                Level::Component => target.component = number,
                Level::Subcomponent => target.subcomponent = number,
            }
        }
        Ok(target)
    }

    /// The address of a node of the tree.
    fn target(&self, node: NodeId) -> Result<Target, EditError> {
        let mut at = node;
        let mut target = Target::segment(0);
        loop {
            let record = self.tree.record(at);
            let number = u16::try_from(record.number).unwrap_or(u16::MAX);
            let level = match record.kind {
                Kind::Segment => Level::Segment,
                Kind::Field => {
                    target.field = number;
                    if target.level < Level::Repetition || target.repetition == Which::Position(1) {
                        target.repetition = Which::First;
                    }
                    Level::Field
                }
                Kind::Repetition => {
                    target.repetition = Which::Is(Id::Original(record.number));
                    Level::Repetition
                }
                Kind::Component => {
                    target.component = number;
                    Level::Component
                }
                Kind::Subcomponent => {
                    target.subcomponent = number;
                    Level::Subcomponent
                }
                _ => return Err(EditError::Gone),
            };
            target.level = target.level.max(level);
            if level == Level::Segment {
                target.line = self.lines.of(at).ok_or(EditError::Gone)?;
                return Ok(target);
            }
            at = self.tree.parent(at).ok_or(EditError::Gone)?;
        }
    }

    fn encode(&self, path: &impl Fn() -> String, text: &str, ink: &mut Ink) -> Result<Vec<u8>, EditError> {
        let mut out = Vec::with_capacity(text.len());
        let replace = |c| ink.replace(c, path);
        match escape::encode(text, &self.separators, self.charset, replace, &mut out) {
            Ok(()) => Ok(out),
            Err(Unwritable::Character(c)) => Err(ink.lacks(c, path())),
            Err(Unwritable::NoEscape) => Err(EditError::NoSeparator { path: path(), what: "escape character" }),
        }
    }

    /// Refuses what the message's own separators cannot say, and MSH-1 and MSH-2.
    fn check(&self, target: &Target, path: &impl Fn() -> String) -> Result<(), EditError> {
        let lacking = |what| Err(EditError::NoSeparator { path: path(), what });
        if target.level >= Level::Field && target.field < 3 && self.is_header(target.line) {
            return Err(EditError::Fixed { path: path(), reason: "the separators of the message" });
        }
        if self.separators.subcomponent.is_none() && target.subcomponent > 1 {
            return lacking("subcomponent separator");
        }
        if self.separators.repetition.is_none() && matches!(target.repetition, Which::Position(2..)) {
            return lacking("repetition separator");
        }
        Ok(())
    }

    /// MSH-18 may be written where it says what is so.
    fn check_charset(&self, target: &Target, text: &str, path: &impl Fn() -> String) -> Result<(), EditError> {
        let later = matches!(target.repetition, Which::Position(2..) | Which::Is(Id::Original(2..)));
        if target.field != 18 || !self.is_header(target.line) || (later && target.level > Level::Field) {
            return Ok(());
        }
        let said = match self.tree.syntax() {
            Syntax::Hl7V2(options) if text.is_empty() => Some(options.charset),
            _ => Charset::of_hl7(text),
        };
        if said == Some(self.charset) {
            return Ok(());
        }
        Err(EditError::Fixed { path: path(), reason: "the character set that the message is in" })
    }

    fn is_header(&self, line: u32) -> bool {
        self.tree.segments().next().and_then(|header| self.lines.of(header)) == Some(line)
    }

    pub(crate) fn set(&mut self, at: Place, steps: &[Step], text: &str, ink: &mut Ink) -> Result<(), EditError> {
        let target = self.resolve(at, steps)?;
        let path = || self.path(at, steps);
        if target.level == Level::Segment {
            return Err(EditError::NoSuchStep { path: path(), expected: "a field expected" });
        }
        self.check(&target, &path)?;
        self.check_charset(&target, text, &path)?;
        let bytes = self.encode(&path, text, ink)?;
        self.write_at(&target, Level::Subcomponent, bytes)
    }

    pub(crate) fn clear(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let target = self.resolve(at, steps)?;
        self.blank(at, steps, &target)
    }

    fn blank(&mut self, at: Place, steps: &[Step], target: &Target) -> Result<(), EditError> {
        let path = || self.path(at, steps);
        if target.level == Level::Segment {
            return Err(EditError::NoSuchStep { path: path(), expected: "a segment is removed, not cleared" });
        }
        self.check(target, &path)?;
        self.check_charset(target, "", &path)?;
        if self.is_absent(target)? {
            return Ok(());
        }
        self.write_at(target, target.level, Vec::new())
    }

    pub(crate) fn null(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let target = self.resolve(at, steps)?;
        let path = || self.path(at, steps);
        if target.level == Level::Segment {
            return Err(EditError::NoSuchStep { path: path(), expected: "a field expected" });
        }
        self.check(&target, &path)?;
        self.check_charset(&target, "", &path)?;
        self.write_at(&target, target.level, DELETE.to_vec())
    }

    pub(crate) fn remove(&mut self, at: Place) -> Result<(), EditError> {
        let target = self.resolve(at, &[])?;
        match target.level {
            Level::Segment if self.is_header(target.line) => {
                Err(EditError::Fixed { path: self.path(at, &[]), reason: "a message begins with its MSH" })
            }
            Level::Segment => {
                self.lines.remove(target.line);
                Ok(())
            }
            Level::Repetition => {
                let path = || self.path(at, &[]);
                self.check(&target, &path)?;
                self.check_charset(&target, "", &path)?;
                let separators = self.separators;
                let field = self.field(&target)?.ok_or(EditError::Gone)?;
                let repetitions = field.repetitions(&separators);
                let index = position(repetitions, target.repetition).ok_or(EditError::Gone)?;
                repetitions.remove(index);
                Ok(())
            }
            _ => self.blank(at, &[], &target),
        }
    }

    pub(crate) fn insert_segment(&mut self, anchor: Anchor<'_>, name: SegmentName) -> Result<NewId, EditError> {
        let wrong = |path| Err(EditError::NoSuchStep { path, expected: "a segment to insert beside" });
        if name.as_str() == "MSH" {
            let path = name.to_string();
            return Err(EditError::Fixed { path, reason: "a message has one MSH, and it comes first" });
        }
        let beside = match anchor {
            Anchor::Last(Place::Node(NodeId::ROOT), []) => None,
            Anchor::Last(place, steps) => return wrong(self.path(place, steps)),
            Anchor::Before(place) | Anchor::After(place) => {
                let target = self.resolve(place, &[])?;
                if target.level != Level::Segment {
                    return wrong(self.path(place, &[]));
                }
                Some(target.line)
            }
        };
        let before = matches!(anchor, Anchor::Before(_));
        if before && beside.is_some_and(|line| self.is_header(line)) {
            let path = name.to_string();
            return Err(EditError::Fixed { path, reason: "a message begins with its MSH" });
        }
        let segment = Segment::new(name);
        let line = match beside {
            Some(beside) => self.lines.insert(beside, before, segment),
            None => self.lines.append(segment),
        };
        Ok(self.make(Made::Segment(line, name)))
    }

    pub(crate) fn insert_repetition(&mut self, anchor: Anchor<'_>) -> Result<NewId, EditError> {
        let (place, steps) = match anchor {
            Anchor::Before(place) | Anchor::After(place) => (place, &[][..]),
            Anchor::Last(place, steps) => (place, steps),
        };
        let target = self.resolve(place, steps)?;
        let path = || self.path(place, steps);
        let expected = match anchor {
            Anchor::Last(..) if target.level != Level::Field => "a field expected",
            Anchor::Before(_) | Anchor::After(_) if !matches!(target.level, Level::Field | Level::Repetition) => {
                "a repetition expected"
            }
            _ => "",
        };
        if !expected.is_empty() {
            return Err(EditError::NoSuchStep { path: path(), expected });
        }
        self.check(&target, &path)?;
        let new = Id::New(NewId(u32::try_from(self.made.len()).unwrap_or(u32::MAX)));
        let separators = self.separators;
        let path = path();
        let field = self.field_or_new(&target)?;
        if field.written(&separators) == DELETE {
            *field = Item::borrowed(b"");
        }
        let repetitions = field.repetitions(&separators);
        let index = match anchor {
            Anchor::Last(..) => Some(repetitions.len()),
            Anchor::Before(_) if target.level == Level::Field => Some(0),
            Anchor::After(_) if target.level == Level::Field => Some(repetitions.len()),
            Anchor::Before(_) => position(repetitions, target.repetition),
            Anchor::After(_) => position(repetitions, target.repetition).map(|n| n + 1),
        };
        let index = index.ok_or(EditError::Gone)?;
        if !repetitions.is_empty() && separators.repetition.is_none() {
            return Err(EditError::NoSeparator { path, what: "repetition separator" });
        }
        repetitions.insert(index, (new, Item::borrowed(b"")));
        Ok(self.make(Made::Repetition { line: target.line, field: target.field }))
    }

    fn make(&mut self, made: Made) -> NewId {
        let id = NewId(u32::try_from(self.made.len()).unwrap_or(u32::MAX));
        self.made.push(made);
        id
    }

    fn segment(&mut self, line: u32) -> Result<&mut Segment<'t>, EditError> {
        let header = self.is_header(line);
        let separator = self.separators.field;
        self.lines.content(line, |raw| Segment::open(raw, separator, header)).ok_or(EditError::Gone)
    }

    /// The field, if the segment goes so far.
    fn field(&mut self, target: &Target) -> Result<Option<&mut Field<'t>>, EditError> {
        let segment = self.segment(target.line)?;
        let index = target.field.checked_sub(segment.first).ok_or(EditError::Gone)?;
        Ok(segment.fields.get_mut(usize::from(index)))
    }

    fn field_or_new(&mut self, target: &Target) -> Result<&mut Field<'t>, EditError> {
        let segment = self.segment(target.line)?;
        let index = usize::from(target.field.checked_sub(segment.first).ok_or(EditError::Gone)?);
        if segment.fields.len() <= index {
            segment.fields.resize_with(index + 1, || Item::borrowed(b""));
        }
        segment.fields.get_mut(index).ok_or(EditError::Gone)
    }

    /// Whether there is nothing at the address, so that clearing it needs nothing made.
    fn is_absent(&mut self, target: &Target) -> Result<bool, EditError> {
        let separators = self.separators;
        let Some(field) = self.field(target)? else { return Ok(true) };
        if target.level == Level::Field {
            return Ok(field.written(&separators).is_empty());
        }
        let repetitions = field.repetitions(&separators);
        let Some(index) = position(repetitions, target.repetition) else {
            return if let Which::Is(_) = target.repetition { Err(EditError::Gone) } else { Ok(true) };
        };
        let Some((_, repetition)) = repetitions.get_mut(index) else { return Ok(true) };
        if target.level == Level::Repetition {
            return Ok(false);
        }
        let components = repetition.components(&separators);
        let Some(component) = components.get_mut(usize::from(target.component) - 1) else { return Ok(true) };
        if target.level == Level::Component {
            return Ok(false);
        }
        Ok(component.subcomponents(&separators).len() < usize::from(target.subcomponent))
    }

    /// Puts bytes in place of all that is at the address, down to a level.
    fn write_at(&mut self, target: &Target, level: Level, bytes: Vec<u8>) -> Result<(), EditError> {
        let separators = self.separators;
        if let Which::Is(_) = target.repetition
            && level > Level::Field
        {
            let field = self.field(target)?.ok_or(EditError::Gone)?;
            position(field.repetitions(&separators), target.repetition).ok_or(EditError::Gone)?;
        }
        let field = self.field_or_new(target)?;
        if level == Level::Field {
            *field = Item { whole: Cow::Borrowed(b""), parts: Some(vec![(Id::Original(1), Item::of(bytes))]) };
            return Ok(());
        }
        let repetitions = field.repetitions(&separators);
        let index = match target.repetition {
            Which::Position(n) => (n as usize).saturating_sub(1),
            which => position(repetitions, which).unwrap_or(0),
        };
        if repetitions.is_empty() && target.repetition == Which::First {
            repetitions.push((Id::Original(1), Item::of(Vec::new())));
        }
        while repetitions.len() <= index {
            repetitions.push((Id::Filled, Item::of(Vec::new())));
        }
        let Some((_, repetition)) = repetitions.get_mut(index) else { return Err(EditError::Gone) };
        let deeper = target.component > 1 || target.subcomponent > 1;
        if level == Level::Repetition || (deeper && repetition.written(&separators) == DELETE) {
            *repetition = Item::of(Vec::new());
        }
        if level == Level::Repetition {
            repetition.whole = Cow::Owned(bytes);
            return Ok(());
        }
        let components = repetition.components(&separators);
        let index = usize::from(target.component) - 1;
        if components.len() <= index {
            components.resize_with(index + 1, || Item::of(Vec::new()));
        }
        let Some(component) = components.get_mut(index) else { return Err(EditError::Gone) };
        if level == Level::Component || (target.subcomponent > 1 && component.written(&separators) == DELETE) {
            *component = Item::of(Vec::new());
        }
        if level == Level::Component {
            component.whole = Cow::Owned(bytes);
            return Ok(());
        }
        let subcomponents = component.subcomponents(&separators);
        let index = usize::from(target.subcomponent) - 1;
        if subcomponents.len() <= index {
            subcomponents.resize_with(index + 1, || Cow::Borrowed(b""));
        }
        if let Some(subcomponent) = subcomponents.get_mut(index) {
            *subcomponent = Cow::Owned(bytes);
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.lines.write(out, |segment, out| segment.write(&self.separators, out));
    }
}

impl Target {
    const fn segment(line: u32) -> Self {
        let repetition = Which::Position(1);
        Self { line, level: Level::Segment, field: 0, repetition, component: 1, subcomponent: 1 }
    }
}

fn position(repetitions: &[(Id, Repetition<'_>)], which: Which) -> Option<usize> {
    match which {
        Which::Is(id) => repetitions.iter().position(|(own, _)| *own == id),
        Which::Position(n) => (n as usize).checked_sub(1).filter(|n| *n < repetitions.len()),
        Which::First => {
            let original = repetitions.iter().position(|(own, _)| *own == Id::Original(1));
            original.or_else(|| (!repetitions.is_empty()).then_some(0))
        }
    }
}
