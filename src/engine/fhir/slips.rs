//! Slips of the hand in JSON that leave no doubt of what is meant: comments, a comma too many or too few, a member that is
//! there twice. The text without them, in the same places, can be judged in full; the slips are told with what else is wrong.

use rustc_hash::FxHashSet;

/// One slip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slip {
    /// Where, in bytes from the start.
    pub at: usize,
    /// Where the first item is of the array in which it stands.
    pub first_item: Option<usize>,
    /// What it is.
    pub says: &'static str,
}

/// Slips after which a text is not looked at further.
const MOST: usize = 100;

/// Arrays and objects within one another that are looked at.
const DEEPEST: usize = 256;

/// The text without its slips, as long as it was, and the slips; nothing where there is none or something else is wrong.
#[must_use]
pub fn without_slips(text: &[u8]) -> Option<(Vec<u8>, Vec<Slip>)> {
    let mut pass = Pass { text, out: text.to_vec(), at: 0, open: Vec::new(), slips: Vec::new() };
    pass.whole()?;
    (!pass.slips.is_empty()).then_some((pass.out, pass.slips))
}

/// An object or array that is open.
#[derive(Default)]
struct Open<'t> {
    is_object: bool,
    names: FxHashSet<&'t [u8]>,
    first_item: Option<usize>,
    /// The last comma, and where the last value ended.
    comma: Option<usize>,
    ended: usize,
    /// Whether the member under way is there already.
    again: bool,
}

struct Pass<'t> {
    text: &'t [u8],
    out: Vec<u8>,
    at: usize,
    open: Vec<Open<'t>>,
    slips: Vec<Slip>,
}

impl<'t> Pass<'t> {
    fn whole(&mut self) -> Option<()> {
        if self.text.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.value()?;
        while let Some(open) = self.open.last() {
            let (is_object, has_value) = (open.is_object, open.ended > 0);
            let next = self.next()?;
            match (next, is_object) {
                (b'}', true) | (b']', false) => self.end()?,
                (b',', _) if has_value => {
                    let at = self.at;
                    self.at += 1;
                    if let Some(open) = self.open.last_mut() {
                        open.comma = Some(at);
                    }
                    match self.next()? {
                        b'}' | b']' => self.blank(at, at + 1, "a comma too many"),
                        _ => self.member()?,
                    }
                }
                (_, _) if has_value => {
                    // Where the comma should be there is room for it.
                    let at = self.open.last()?.ended;
                    if !self.text.get(at)?.is_ascii_whitespace() {
                        return None;
                    }
                    self.slip(self.at, "a comma is missing");
                    *self.out.get_mut(at)? = b',';
                    if let Some(open) = self.open.last_mut() {
                        open.comma = Some(at);
                    }
                    self.member()?;
                }
                _ => self.member()?,
            }
            if self.slips.len() > MOST {
                return None;
            }
        }
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    /// The next byte that is neither space nor of a comment.
    fn next(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.at += blank;
            let rest = rest.get(blank..).unwrap_or_default();
            let length = if rest.starts_with(b"//") {
                memchr::memchr(b'\n', rest).unwrap_or(rest.len())
            } else if rest.starts_with(b"/*") {
                match memchr::memmem::find(rest, b"*/") {
                    Some(end) => end + 2,
                    None => return,
                }
            } else {
                return;
            };
            self.blank(self.at, self.at + length, "JSON has no comments");
            self.at += length;
        }
    }

    fn slip(&mut self, at: usize, says: &'static str) {
        let first_item = self.open.last().filter(|open| !open.is_object).and_then(|open| open.first_item);
        self.slips.push(Slip { at, first_item, says });
    }

    /// Takes out what is a slip; lines stay where they are.
    fn blank(&mut self, from: usize, to: usize, says: &'static str) {
        self.slip(from, says);
        for byte in self.out.get_mut(from..to).unwrap_or_default().iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    }

    /// A member of the open object, or an item of the open array.
    fn member(&mut self) -> Option<()> {
        self.space();
        if self.open.last()?.is_object {
            let start = self.at;
            if self.text.get(start) != Some(&b'"') {
                return None;
            }
            self.string()?;
            let name = self.text.get(start..self.at)?;
            let open = self.open.last_mut()?;
            open.again = !open.names.insert(name);
            if self.next()? != b':' {
                return None;
            }
            self.at += 1;
        }
        self.value()
    }

    fn value(&mut self) -> Option<()> {
        let first = self.next()?;
        let start = self.at;
        if let Some(open) = self.open.last_mut() {
            open.first_item.get_or_insert(start);
        }
        match first {
            b'{' | b'[' => {
                if self.open.len() >= DEEPEST {
                    return None;
                }
                self.at += 1;
                self.open.push(Open { is_object: first == b'{', ..Open::default() });
                Some(())
            }
            b'"' => {
                self.string()?;
                self.ended();
                Some(())
            }
            _ => {
                let rest = self.text.get(start..)?;
                let length = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
                    .count();
                self.at += length;
                self.ended();
                (length > 0).then_some(())
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            let to = memchr::memchr2(b'"', b'\\', rest)?;
            self.at += to + 1;
            if rest.get(to) == Some(&b'"') {
                return Some(());
            }
            self.at += 1;
        }
    }

    fn end(&mut self) -> Option<()> {
        self.open.pop()?;
        self.at += 1;
        self.ended();
        Some(())
    }

    /// A value has ended. That of a member that was there before is taken out, with the comma before it.
    fn ended(&mut self) {
        let at = self.at;
        let Some(open) = self.open.last_mut() else { return };
        open.ended = at;
        if std::mem::take(&mut open.again)
            && let Some(comma) = open.comma
        {
            self.blank(comma, at, "a member that was there before");
        }
    }
}
