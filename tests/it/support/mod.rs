//! What several areas need: outside data, generators, scripted peers.

pub(crate) mod data;
pub(crate) mod gateway;
pub(crate) mod mllp;
pub(crate) mod program;
pub(crate) mod scripted;
pub(crate) mod station;
pub(crate) mod time;
pub(crate) mod tls;
pub(crate) mod v2;
pub(crate) mod web;
pub(crate) mod world;
