//! What a document says of organisations, places and professionals to whom it gives no number of the sender's own: the
//! same statement is the same resource, in whichever message it comes again.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use silta_engine::fhir::document::Node;
use silta_engine::mapping::EntryInfo;

use super::known::IMPERSONAL;
use super::localise;

/// The name of each entry that is known by what is said of it; `None` for those that have another name.
///
/// A professional without any identifier is no such entry: two of the same name are two.
pub(crate) fn names(entries: &[EntryInfo], resources: &[Node<'_>]) -> Vec<Option<String>> {
    let mut naming = Naming {
        places: entries.iter().enumerate().map(|(place, info)| (info.full_url.as_str(), place)).collect(),
        entries,
        resources,
        texts: vec![None; entries.len()],
    };
    let texts: Vec<Option<String>> = (0..entries.len()).map(|place| naming.text(place, 0)).collect();
    let mut times: HashMap<&str, usize> = HashMap::new();
    texts
        .iter()
        .zip(entries)
        .map(|(text, info)| {
            let text = text.as_deref().filter(|_| is_nameless(info))?;
            // What one document says twice is written in two places of it, and stays two.
            let time = times.entry(text).or_default();
            *time += 1;
            Some(digest(&format!("{}\n{time}\n{text}", info.resource)))
        })
        .collect()
}

/// References within what is named by its content, at most.
const DEPTH: usize = 3;

struct Naming<'n> {
    places: HashMap<&'n str, usize>,
    entries: &'n [EntryInfo],
    resources: &'n [Node<'n>],
    texts: Vec<Option<Option<String>>>,
}

impl Naming<'_> {
    /// What an entry says, with what it refers to by what that says; `None` where this does not tell which one it is.
    fn text(&mut self, place: usize, depth: usize) -> Option<String> {
        if let Some(Some(done)) = self.texts.get(place) {
            return done.clone();
        }
        let text = self.written(place, depth);
        // Below another it may have been cut short by the depth: then it is asked anew by itself.
        if let Some(slot) = self.texts.get_mut(place).filter(|_| depth == 0 || text.is_some()) {
            *slot = Some(text.clone());
        }
        text
    }

    fn written(&mut self, place: usize, depth: usize) -> Option<String> {
        let (info, node) = (self.entries.get(place)?, *self.resources.get(place)?);
        if !is_nameless(info) {
            return Some(format!("{}/{}", info.resource, info.native_id));
        }
        let is_told = IMPERSONAL.contains(&&*info.resource)
            && (&*info.resource != "Practitioner" || node.first("identifier").is_some());
        if !is_told || depth >= DEPTH {
            return None;
        }
        let mut text = node.raw().to_owned();
        let mut targets = Vec::new();
        localise::each_reference(node, &mut |reference| targets.extend(reference.text().map(str::to_owned)));
        for target in targets {
            if let Some(place) = self.places.get(target.as_str()).copied() {
                let named = self.text(place, depth + 1)?;
                text = text.replace(&target, &digest(&named));
            }
        }
        Some(text)
    }
}

/// Whether the map gives an entry no key of its own.
fn is_nameless(info: &EntryInfo) -> bool {
    info.native_id.is_empty() || !info.has_key
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(20).fold(String::with_capacity(40), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
        hex
    })
}
