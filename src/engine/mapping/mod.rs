//! The correspondence language: one description per format, both directions.

mod begin;
mod check;
mod compile;
mod context;
mod counterpart;
mod describe;
mod edition;
mod embedded;
mod follows;
mod identity;
mod leaves;
pub mod lens;
mod library;
mod map;
mod plan;
mod recognise;
mod required;
mod run;
mod schema;
pub mod syntax;
mod touched;
mod trace;
mod versions;
mod vocabulary;
mod write;

pub use check::{Coverage, Explanation, Fixed};
pub use context::{Context, Envelope, Loss, Named};
pub use library::{Maps, NoMap};
pub use map::{BundleText, Map, Translation, format};
pub use recognise::Unrecognised;
pub use run::{EntryInfo, Refusal, Refusals, Verb};
pub use trace::{Disposition, Lost, Report, ReportItem};
pub use versions::{Crossing, ElementFacts, Facts, FhirVersion, TypeFacts};
pub use vocabulary::Holds;
pub use write::Written;
