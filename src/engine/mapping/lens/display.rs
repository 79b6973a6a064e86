//! What a code is called. Where a code system is at hand, FHIR's display is one that the system has; what a sender calls a
//! code otherwise stays the sender's own word.

use super::{Got, Out, Put, Texts, Uncarried, hl7v3};
use crate::mapping::context::Context;
use crate::terminology::{Known, Terminology, is_display};

/// The display, code and system of a coding; the system by its OID.
pub(super) fn get<'t>(from: &'t Texts<'_>, other: bool, cx: &'t Context) -> Result<Option<Got<'t>>, Uncarried> {
    let text = |at: usize| from.get(at).and_then(Option::as_deref);
    let Some(display) = text(0) else { return Ok(None) };
    let foreign = text(1).zip(text(2)).is_some_and(|(code, oid)| is_foreign(display, code.trim(), oid, cx));
    match (foreign, other) {
        (false, true) => Ok(None),
        (true, false) => Err(Uncarried::new("a display of the code system")),
        _ => Ok(Some(Got::exact(display).only(&[0]))),
    }
}

fn is_foreign(display: &str, code: &str, oid: &str, cx: &Context) -> bool {
    let Ok(system) = hl7v3::code_system(oid, cx) else { return false };
    let terminology = Terminology::built_in();
    match terminology.code(&system.text, code) {
        Known::Code { display: own } => {
            !own.is_empty() && !is_display(display, &own) && !terminology.has_designation(&system.text, code, display)
        }
        Known::NoSystem | Known::NoCode => false,
    }
}

pub(super) fn put(value: &str) -> Put {
    Put { outs: vec![Out::Set(value.to_owned()), Out::Keep, Out::Keep], ..Put::exact(value) }
}
