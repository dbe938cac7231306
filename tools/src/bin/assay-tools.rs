//! `assay-tools`: bench, load and verify without the server, for a machine that only measures.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use assay_tools::{SUBCOMMANDS, command_line};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = command_line::program(
        "assay-tools",
        "Measures signature verification and login flows, and verifies files of signatures",
        SUBCOMMANDS,
    );
    command_line::run(program, SUBCOMMANDS)
}
