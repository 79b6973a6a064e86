//! A segment taken apart at its separators as far as needed, and joined again.

use std::borrow::Cow;

use super::super::edit::NewId;
use super::super::path::SegmentName;
use super::Separators;

pub(super) type Bytes<'t> = Cow<'t, [u8]>;

/// A segment taken apart.
#[derive(Debug)]
pub(crate) struct Segment<'t> {
    /// The name; in MSH with MSH-1 and MSH-2.
    head: Bytes<'t>,
    /// The number of the first of [`fields`](Self::fields).
    pub(super) first: u16,
    pub(super) fields: Vec<Field<'t>>,
}

/// Bytes, and what they are made of once that has been looked at.
#[derive(Debug)]
pub(super) struct Item<'t, P> {
    pub(super) whole: Bytes<'t>,
    pub(super) parts: Option<Vec<P>>,
}

pub(super) type Field<'t> = Item<'t, (Id, Repetition<'t>)>;
pub(super) type Repetition<'t> = Item<'t, Component<'t>>;
pub(super) type Component<'t> = Item<'t, Bytes<'t>>;

/// Which repetition it is, whatever its position has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// The n-th as the message came.
    Original(u32),
    New(NewId),
    /// Made to fill up to a position.
    Filled,
}

/// The pieces between separators; nothing has no pieces.
fn pieces<'b>(bytes: &'b [u8], separator: Option<u8>) -> impl Iterator<Item = &'b [u8]> + 'b {
    let none = bytes.is_empty();
    bytes.split(move |b| Some(*b) == separator).filter(move |_| !none)
}

/// The pieces of bytes that are borrowed from the message or the edit's own.
fn cut<'t>(bytes: Bytes<'t>, separator: Option<u8>) -> Vec<Bytes<'t>> {
    match bytes {
        Cow::Borrowed(bytes) => pieces(bytes, separator).map(Cow::Borrowed).collect(),
        Cow::Owned(bytes) => pieces(&bytes, separator).map(|piece| Cow::Owned(piece.to_vec())).collect(),
    }
}

impl<'t> Segment<'t> {
    /// The segment as it came.
    pub(super) fn open(raw: &'t [u8], separator: u8, header: bool) -> Self {
        let (first, head) = if header {
            let encoding = raw.get(4..).unwrap_or_default();
            (3, 4 + memchr::memchr(separator, encoding).unwrap_or(encoding.len()))
        } else {
            (1, 3)
        };
        let (head, body) = raw.split_at_checked(head).unwrap_or((raw, b""));
        let fields = match body.split_first() {
            Some((_, body)) => body.split(|b| *b == separator).map(Item::borrowed).collect(),
            None => Vec::new(),
        };
        Self { head: Cow::Borrowed(head), first, fields }
    }

    /// A new one, without fields.
    pub(super) fn new(name: SegmentName) -> Self {
        Self { head: Cow::Owned(name.bytes().to_vec()), first: 1, fields: Vec::new() }
    }

    pub(super) fn write(&self, separators: &Separators, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        for field in &self.fields {
            out.push(separators.field);
            field.write(separators, out);
        }
    }
}

fn join<T>(items: &[T], separator: Option<u8>, out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.extend(separator);
        }
        write(item, out);
    }
}

impl<'t, P> Item<'t, P> {
    pub(super) const fn of(bytes: Vec<u8>) -> Self {
        Self { whole: Cow::Owned(bytes), parts: None }
    }

    pub(super) const fn borrowed(bytes: &'t [u8]) -> Self {
        Self { whole: Cow::Borrowed(bytes), parts: None }
    }
}

/// Something that can be written as it now stands.
pub(super) trait Written {
    fn write(&self, separators: &Separators, out: &mut Vec<u8>);

    fn written(&self, separators: &Separators) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(separators, &mut out);
        out
    }
}

impl Written for Bytes<'_> {
    fn write(&self, _: &Separators, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Written for Component<'_> {
    fn write(&self, separators: &Separators, out: &mut Vec<u8>) {
        match &self.parts {
            None => out.extend_from_slice(&self.whole),
            Some(parts) => join(parts, separators.subcomponent, out, |part, out| part.write(separators, out)),
        }
    }
}

impl Written for Repetition<'_> {
    fn write(&self, separators: &Separators, out: &mut Vec<u8>) {
        match &self.parts {
            None => out.extend_from_slice(&self.whole),
            Some(parts) => join(parts, Some(separators.component), out, |part, out| part.write(separators, out)),
        }
    }
}

impl Written for Field<'_> {
    fn write(&self, separators: &Separators, out: &mut Vec<u8>) {
        match &self.parts {
            None => out.extend_from_slice(&self.whole),
            Some(parts) => join(parts, separators.repetition, out, |(_, part), out| part.write(separators, out)),
        }
    }
}

impl<'t> Field<'t> {
    pub(super) fn repetitions(&mut self, separators: &Separators) -> &mut Vec<(Id, Repetition<'t>)> {
        let whole = &mut self.whole;
        self.parts.get_or_insert_with(|| {
            let all = cut(std::mem::take(whole), separators.repetition).into_iter();
            (1..).map(Id::Original).zip(all.map(|whole| Item { whole, parts: None })).collect()
        })
    }
}

impl<'t> Repetition<'t> {
    pub(super) fn components(&mut self, separators: &Separators) -> &mut Vec<Component<'t>> {
        let whole = &mut self.whole;
        self.parts.get_or_insert_with(|| {
            let all = cut(std::mem::take(whole), Some(separators.component)).into_iter();
            all.map(|whole| Item { whole, parts: None }).collect()
        })
    }
}

impl<'t> Component<'t> {
    pub(super) fn subcomponents(&mut self, separators: &Separators) -> &mut Vec<Bytes<'t>> {
        let whole = &mut self.whole;
        self.parts.get_or_insert_with(|| cut(std::mem::take(whole), separators.subcomponent))
    }
}
