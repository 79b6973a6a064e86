//! The command line: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    silta::command::run(std::env::args_os())
}
