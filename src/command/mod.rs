//! The command line: one module a command, each giving an exit code.
//!
//! 0: done. 1: what was asked for did not hold or could not be done. 2: the command line, or a file that it names, is
//! wrong.

pub mod demo;
mod fhirpath;
mod map;
mod maps;
mod package;
mod secret;
pub mod serve;
mod translate;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use silta_engine::fhirpath::Temporal;

use crate::clock::Clock;

/// Done.
pub const DONE: u8 = 0;
/// What was asked for did not hold or could not be done.
pub const FAILED: u8 = 1;
/// The command line, or a file that it names, is wrong.
pub const USAGE: u8 = 2;

/// A FHIR R4 / HL7 gateway: care plans and referrals between organisations, in each one's own format.
#[derive(Debug, Parser)]
#[command(name = "silta", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Secret(secret::Arguments),
    Validate(validate::Arguments),
    Translate(translate::Arguments),
    Map(map::Arguments),
    Fhirpath(fhirpath::Arguments),
    Package(package::Arguments),
}

/// What a clock says as a FHIRPath expression takes it, to the millisecond.
fn moment(clock: &Clock) -> Option<Temporal> {
    Temporal::date_time(&format!("{:.3}", clock.now()))
}

/// Runs the command that the arguments name (the first is the program's own name) and gives its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command }) => match command {
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Serve(arguments) => serve::run(&arguments),
            Command::Secret(arguments) => secret::run(&arguments),
            Command::Validate(arguments) => validate::run(&arguments),
            Command::Translate(arguments) => translate::run(&arguments),
            Command::Map(arguments) => map::run(&arguments),
            Command::Fhirpath(arguments) => fhirpath::run(&arguments),
            Command::Package(arguments) => package::run(&arguments),
        },
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; when neither can be written, the code still tells.
            let _ = error.print();
            if error.use_stderr() { USAGE } else { DONE }
        }
    };
    ExitCode::from(code)
}
