//! `assay bench`: what does verification cost on this machine?

use clap::{ArgMatches, Command};

use crate::failure::Failure;

/// How it is called.
#[must_use]
pub fn command() -> Command {
    Command::new("bench").about("Measure what signature verification costs on this machine")
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(_: &ArgMatches) -> Result<(), Failure> {
    Err(Failure::Usage("bench is not built yet".to_owned()))
}
