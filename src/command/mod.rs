//! The command line: one module a command, each giving an exit code.
