//! Where in its definition an element stands: the steps of its path, each with the slice it is in.

use serde_json::Value;

/// One step of an element's place: its name and the slice it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name as the definition has it: `value[x]`, `identifier`.
    pub name: String,
    /// The slice, `a/b` for the slice b of the slice a; empty: none.
    pub slice: String,
}

/// Finds the places of elements, read in their order. An id tells the place; without a usable one the path and the slice's
/// name do, as a continuation of the element before.
#[derive(Debug, Default)]
pub struct Places {
    current: Vec<Step>,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

impl Places {
    /// The place of the next element.
    pub fn next_place(&mut self, element: &Value) -> Vec<Step> {
        let path: Vec<&str> = text(element, "path").split('.').collect();
        let of_id: Vec<Step> = text(element, "id")
            .split('.')
            .map(|part| {
                let (name, slice) = part.split_once(':').unwrap_or((part, ""));
                Step { name: name.to_owned(), slice: slice.to_owned() }
            })
            .collect();
        let slice = text(element, "sliceName");
        let fits = of_id.len() == path.len()
            && of_id.iter().zip(&path).all(|(step, name)| step.name == *name)
            && (slice.is_empty() || of_id.last().is_some_and(|last| last.slice == slice));
        let steps = if fits { of_id } else { self.continued(&path, slice) };
        self.current.clone_from(&steps);
        steps
    }

    fn continued(&self, path: &[&str], slice: &str) -> Vec<Step> {
        path.iter()
            .enumerate()
            .map(|(at, name)| {
                let held = self.current.get(at).filter(|step| step.name == *name);
                let same_before = self
                    .current
                    .get(..at)
                    .is_some_and(|before| before.iter().zip(path).all(|(step, name)| step.name == *name));
                let slice = if at + 1 == path.len() {
                    slice.to_owned()
                } else {
                    held.filter(|_| same_before).map_or_else(String::new, |step| step.slice.clone())
                };
                Step { name: (*name).to_owned(), slice }
            })
            .collect()
    }
}
