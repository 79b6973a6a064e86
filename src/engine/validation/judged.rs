//! What was judged of nodes by profiles in one validation, so that resources that refer to one another are not judged along
//! every way between them.

use rustc_hash::FxHashMap;

use crate::fhir::document::NodeId;

/// A node and a profile, by its place in memory: compiled profiles are kept for as long as the validator.
pub(super) type Key = (NodeId, usize);

/// Judgements of profiles on nodes after which a document is not looked at further.
const MOST: u32 = 500_000;

/// Items of FHIRPath that the constraints on a document may look at, beyond those for each of its bytes.
const ITEMS: u64 = 50_000_000;
const ITEMS_OF_BYTE: u64 = 100;

/// Results so far. What conforms only if something conforms that is still being judged is kept apart until that is known.
#[derive(Debug)]
pub(super) struct Judged {
    results: FxHashMap<Key, bool>,
    /// The outermost judgement under way that each rests on, by its place.
    resting: FxHashMap<Key, usize>,
    order: Vec<Key>,
    /// The outermost judgement under way that the present one has met so far.
    met: usize,
    count: u32,
    /// Items that constraints may still look at.
    items: u64,
    /// Whether it was told that there are too many.
    pub(super) is_told: bool,
}

impl Default for Judged {
    fn default() -> Self {
        Self {
            results: FxHashMap::default(),
            resting: FxHashMap::default(),
            order: Vec::new(),
            met: usize::MAX,
            count: 0,
            items: ITEMS,
            is_told: false,
        }
    }
}

/// What [`Judged::begin`] gives for [`Judged::end`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    met: usize,
    order: usize,
}

impl Judged {
    /// Allows the constraints what a document of so many bytes may ask for.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.items = ITEMS.saturating_add(ITEMS_OF_BYTE.saturating_mul(bytes as u64));
    }

    /// What constraints may still look at.
    pub(super) const fn items(&self) -> u64 {
        self.items
    }

    /// That a constraint has looked at so many items.
    pub(super) fn spend(&mut self, items: u64) {
        self.items = self.items.saturating_sub(items);
    }

    /// One judgement more; false when there have been too many.
    pub(super) fn count(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        self.count <= MOST
    }

    /// The judgement at this place, which is still under way, was met again: it is taken to hold.
    pub(super) fn met_again(&mut self, place: usize) {
        self.met = self.met.min(place);
    }

    /// The result, where it is known or rests on what is under way.
    pub(super) fn known(&mut self, key: &Key) -> Option<bool> {
        if let Some(result) = self.results.get(key) {
            return Some(*result);
        }
        let rests_on = *self.resting.get(key)?;
        self.met = self.met.min(rests_on);
        Some(true)
    }

    pub(super) fn begin(&mut self) -> Begun {
        Begun { met: std::mem::replace(&mut self.met, usize::MAX), order: self.order.len() }
    }

    /// Keeps a result; `place` is that of the judgement among those under way.
    pub(super) fn end(&mut self, key: Key, begun: Begun, place: usize, result: bool) {
        let met = std::mem::replace(&mut self.met, begun.met);
        let within = self.order.split_off(begun.order.min(self.order.len()));
        if !result {
            // It was judged as if all it met held: it does not. What rested on it is not known.
            for held in &within {
                self.resting.remove(held);
            }
            self.results.insert(key, false);
        } else if met >= place {
            for held in within {
                self.resting.remove(&held);
                self.results.insert(held, true);
            }
            self.results.insert(key, true);
        } else {
            self.order.extend(within);
            self.order.push(key);
            self.resting.insert(key, met);
            self.met = self.met.min(met);
        }
    }
}
