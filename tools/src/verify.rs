//! `assay verify`: a file of signatures in, one verdict per line out

use clap::{ArgMatches, Command};

use crate::failure::Failure;

/// How it is called.
#[must_use]
pub fn command() -> Command {
    Command::new("verify").about("Verify a file of tokens and signatures, one verdict per line")
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(_: &ArgMatches) -> Result<(), Failure> {
    Err(Failure::Usage("verify is not built yet".to_owned()))
}
