//! Telephone numbers, whole or in parts (XTN).

use super::{Fidelity, Got, Out, Put, Texts};

/// Inputs: two whole forms, the first of which is written; then country code, area code, local number, extension,
/// any text. The first whole form with a value counts, else the parts together.
pub(super) fn phone<'t>(from: &'t Texts<'_>) -> Option<Got<'t>> {
    let part = |n: usize| from.get(n).and_then(Option::as_deref).filter(|t| !t.trim().is_empty());
    let whole = [0, 1].into_iter().find_map(|at| Some((at, part(at)?)));
    if let Some((at, whole)) = whole {
        // The parts say the same number in their way, or another; both forms of it are kept where they stand.
        return Some(Got::exact(whole).only(&[at]));
    }
    let mut text = String::new();
    if let Some(country) = part(2) {
        text.push('+');
        text.push_str(country.trim_start_matches('+'));
    }
    for part in [part(3), part(4)].into_iter().flatten() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(part);
    }
    if let Some(extension) = part(5) {
        text.push_str(" ext. ");
        text.push_str(extension);
    }
    (!text.is_empty()).then(|| Got::exact(text).only(&[2, 3, 4, 5]))
}

/// A changed number goes where the number was; the parts no longer hold.
pub(super) fn put_phone(value: &str, old: &Texts<'_>) -> Put {
    let had = |n: usize| old.get(n).is_some_and(|t| t.as_deref().is_some_and(|t| !t.trim().is_empty()));
    let at = usize::from(!had(0) && had(1));
    let mut outs: Vec<Out> = old.iter().map(|t| if t.is_some() { Out::Clear } else { Out::Keep }).collect();
    if let Some(out) = outs.get_mut(at) {
        *out = Out::Set(value.to_owned());
    }
    // The free text of the last input says something beside the number.
    if let Some(out) = outs.get_mut(6) {
        *out = Out::Keep;
    }
    Put { outs, fidelity: Fidelity::Exact }
}
