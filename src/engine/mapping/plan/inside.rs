//! What is in a scope. The scopes that use one block have the same inside, which is compiled once.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use super::{Bound, Const, Entry, LineId, Link, NativeName, NativePath, Scope, ScopeId, Slot, Stmt, WrittenLine};

/// What a scope holds and does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inside {
    pub(crate) entries: Vec<Entry>,
    pub(crate) body: Vec<Stmt>,
    pub(crate) consts: Vec<Const>,
    pub(crate) links: Vec<Link>,
    pub(crate) bound: Vec<Bound>,
    pub(crate) written: Vec<WrittenLine>,
    /// The leaf that counts the repetitions.
    pub(crate) ordinal: Option<(LineId, NativePath)>,
    /// The action code of the scope's resources.
    pub(crate) verb: Option<(LineId, NativePath)>,
}

/// The slots of a scope: its own place, and those in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    own: Option<Slot>,
    rest: Arc<Vec<Slot>>,
}

/// A scope that has the inside of another: of the block that both use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) user: ScopeId,
    pub(crate) owner: ScopeId,
    /// The first scope after those in the owner.
    pub(crate) end: ScopeId,
}

/// Claims that hold below another native place too.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    pub(crate) claims: Range<usize>,
    /// Those of what is in it, in turn.
    pub(crate) copies: Range<usize>,
    /// How many names lead to the first place.
    pub(crate) from: usize,
    pub(crate) to: Vec<NativeName>,
}

impl Deref for Scope {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.inside
    }
}

impl DerefMut for Scope {
    fn deref_mut(&mut self) -> &mut Inside {
        Arc::make_mut(&mut self.inside)
    }
}

impl Slots {
    pub(crate) fn push(&mut self, slot: Slot) {
        match &self.own {
            None => self.own = Some(slot),
            Some(_) => Arc::make_mut(&mut self.rest).push(slot),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.own.is_some()) + self.rest.len()
    }

    /// The scope's own place.
    pub(crate) const fn first(&self) -> Option<&Slot> {
        self.own.as_ref()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Slot> {
        match at.checked_sub(1) {
            None => self.own.as_ref(),
            Some(at) => self.rest.get(at),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.own.iter().chain(self.rest.iter())
    }
}

impl Scope {
    /// Takes the inside of another scope, and its slots but the own place.
    pub(crate) fn take_inside(&mut self, other: &Self) {
        self.inside = Arc::clone(&other.inside);
        self.slots.rest = Arc::clone(&other.slots.rest);
    }
}
