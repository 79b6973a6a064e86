//! The life of a referral: Tasks and their states, who takes part, care teams.

pub mod state;
pub(crate) mod task;
pub(crate) mod team;
