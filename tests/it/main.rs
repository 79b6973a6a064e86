//! All integration tests, one module an area. They come from outside: the public interface of the engine, and the
//! gateway through real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says so by panicking"
)]

mod access;
mod architecture;
mod ccda;
mod ccda_edits;
mod ccda_meaning;
mod ccda_new;
mod commands_maps;
mod conditional_create;
mod config;
mod convert;
mod crossings;
mod demo;
mod dependencies;
mod deploy;
mod documents;
mod exchange;
mod federation;
mod fhirpath;
mod fuzz;
mod gateway;
mod golden;
mod hostile;
mod interactions;
mod map_mistakes;
mod mapping;
mod mapping_laws;
mod mapping_xml;
mod maps_page;
mod mllp;
mod mutants;
mod native;
mod operations;
mod packages;
mod partly;
mod plain;
mod provider;
mod ready;
mod reload;
mod search;
mod store;
mod support;
mod v2_acknowledgement;
mod v2_conveyed;
mod v2_foreign;
mod v2_grouping;
mod v2_maps;
mod v2_meaning;
mod v2_new;
mod v2_order;
mod v2_patients;
mod v2_rules;
mod v2_schema;
mod v2_tables;
mod v2_values;
mod validate_command;
mod validation;
mod validation_agreement;
mod validation_codes;
mod validation_definitions;
mod validation_derived;
mod validation_documents;
mod validation_guides;
mod validation_rules;
mod validation_slices;
mod versions;
