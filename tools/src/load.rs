//! `assay load`: how many logins, how many introspections, does a server manage?

mod emit;

use clap::{ArgMatches, Command};

use crate::failure::Failure;

/// How it is called.
#[must_use]
pub fn command() -> Command {
    emit::args(
        Command::new("load").about("Load a server with logins or introspections and measure throughput and latency"),
    )
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    if emit::requested(matches) {
        return emit::run(matches);
    }
    Err(Failure::Usage("load is not built yet".to_owned()))
}
