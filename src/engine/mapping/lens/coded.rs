//! Code tables, total both ways where the FHIR side is bound to a fixed set.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Fidelity, Got, Out, Put, Uncarried};
use crate::mapping::context::Context;
use crate::mapping::syntax::Table;

/// What a native code becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The code on the other side.
    pub code: String,
    /// How well it stands for it.
    pub fidelity: Fidelity,
}

/// A compiled table, with what a provider's settings may add to it by its name.
#[derive(Debug, Clone)]
pub struct CodeTable {
    name: Option<Arc<str>>,
    forward: Arc<FxHashMap<String, Target>>,
    backward: Arc<FxHashMap<String, Target>>,
    refused: Arc<Vec<String>>,
    allowed: Arc<str>,
}

impl CodeTable {
    /// Compiles the rows of a table.
    #[must_use]
    pub fn new(name: Option<&str>, table: &Table) -> Self {
        let mut forward = FxHashMap::default();
        let mut backward: FxHashMap<String, Target> = FxHashMap::default();
        for row in &table.rows {
            for (i, (code, standin)) in row.fhir.iter().enumerate() {
                let fidelity = if *standin { Fidelity::Approximated } else { Fidelity::Exact };
                if i == 0 {
                    forward.entry(row.native.clone()).or_insert_with(|| Target { code: code.clone(), fidelity });
                }
                let target = Target { code: row.native.clone(), fidelity };
                match backward.get_mut(code) {
                    Some(known) if known.fidelity > fidelity => *known = target,
                    Some(_) => {}
                    None => {
                        backward.insert(code.clone(), target);
                    }
                }
            }
        }
        let mut allowed: Vec<&str> = table.rows.iter().map(|row| row.native.as_str()).collect();
        allowed.dedup();
        Self {
            name: name.map(Arc::from),
            forward: Arc::new(forward),
            backward: Arc::new(backward),
            refused: Arc::new(table.refused.clone()),
            allowed: Arc::from(allowed.join(", ")),
        }
    }

    /// Whether a FHIR code has a row or is refused on purpose.
    #[must_use]
    pub fn decides(&self, fhir: &str) -> bool {
        self.backward.contains_key(fhir) || self.refused.iter().any(|r| r == fhir)
    }

    /// Whether a native code has a row.
    #[must_use]
    pub fn reads(&self, native: &str) -> bool {
        self.forward.contains_key(native)
    }

    /// The FHIR codes that can be written.
    pub fn writable(&self) -> impl Iterator<Item = &str> {
        self.backward.keys().map(String::as_str)
    }

    /// The native codes that can be read.
    pub fn readable(&self) -> impl Iterator<Item = &str> {
        self.forward.keys().map(String::as_str)
    }

    /// The native codes that can be read, as a message lists them.
    #[must_use]
    pub fn allowed(&self) -> &str {
        &self.allowed
    }

    fn extension<'c>(&self, cx: &'c Context) -> &'c [(String, String)] {
        self.name.as_deref().and_then(|name| cx.tables.get(name)).map_or(&[], Vec::as_slice)
    }

    fn in_other_case(&self, text: &str) -> Option<&Target> {
        let mut alike = self.forward.iter().filter(|(native, _)| native.eq_ignore_ascii_case(text));
        let (_, found) = alike.next()?;
        alike.all(|(_, other)| other.code == found.code).then_some(found)
    }

    pub(super) fn get<'t>(&'t self, text: &str, cx: &'t Context) -> Result<Got<'t>, Uncarried> {
        let text = text.trim();
        if let Some((_, code)) = self.extension(cx).iter().find(|(native, _)| native == text) {
            return Ok(Got::exact(code.as_str()));
        }
        match self.forward.get(text) {
            Some(target) if target.fidelity == Fidelity::Exact => Ok(Got::exact(target.code.as_str())),
            Some(target) => Ok(Got::approximated(target.code.as_str())),
            // A code in other letter case, where only one row could be meant, stands for that row.
            None if let Some(target) = self.in_other_case(text) => Ok(Got::approximated(target.code.as_str())),
            None => Err(Uncarried { expected: format!("one of {}", self.allowed).into(), code: true }),
        }
    }

    pub(super) fn put(&self, value: &str, cx: &Context) -> Result<Put, Uncarried> {
        if let Some((native, _)) = self.extension(cx).iter().find(|(_, code)| code == value) {
            return Ok(Put::exact(native.as_str()));
        }
        match self.backward.get(value) {
            Some(target) => Ok(Put { outs: vec![Out::Set(target.code.clone())], fidelity: target.fidelity }),
            None => {
                let mut known: Vec<&str> = self.writable().collect();
                known.sort_unstable();
                Err(Uncarried { expected: format!("one of {}", known.join(", ")).into(), code: true })
            }
        }
    }
}
