//! Element names by their bytes: looked up for every member of a document.

/// Open addressing from name bytes to symbol, which is a name's place from 1.
#[derive(Default)]
pub(super) struct NameTable {
    slots: Vec<Named>,
    mask: usize,
}

/// A name by its first and last eight bytes and its length, which is all there is to know of one of up to sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ends {
    first: u64,
    last: u64,
    length: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Named {
    ends: Ends,
    symbol: u16,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
                }
                _ => (name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0),
            },
        };
        Self { first, last, length: name.len() }
    }

    #[inline]
    fn hash(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29)).wrapping_add(self.length as u64);
        let wide = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(wide >> 32).unwrap_or(0)
    }
}

impl NameTable {
    /// The table of these names; none where they are too many for a symbol.
    pub(super) fn of(names: &[Box<str>]) -> Option<Self> {
        let size = (names.len() * 2).next_power_of_two().max(16);
        let mask = size - 1;
        let mut slots = vec![Named::default(); size];
        for (index, name) in names.iter().enumerate() {
            let symbol = u16::try_from(index + 1).ok()?;
            let ends = Ends::of(name.as_bytes());
            let mut at = ends.hash() & mask;
            while slots.get(at).is_some_and(|held| held.symbol != 0) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = Named { ends, symbol };
            }
        }
        Some(Self { slots, mask })
    }

    /// The symbol of a name of those that the table was made of; 0 for any other.
    #[inline]
    pub(super) fn find(&self, name: &[u8], names: &[Box<str>]) -> u16 {
        let ends = Ends::of(name);
        let mut at = ends.hash() & self.mask;
        while let Some(held) = self.slots.get(at).filter(|held| held.symbol != 0) {
            let is_whole = || names.get(usize::from(held.symbol) - 1).is_some_and(|known| known.as_bytes() == name);
            if held.ends == ends && (name.len() <= 16 || is_whole()) {
                return held.symbol;
            }
            at = (at + 1) & self.mask;
        }
        0
    }
}
