//! `assay serve`: the server. All of it is the gateway's; this file hands over the configuration.

use clap::{ArgMatches, Command};

use crate::options;
use assay_tools::failure::{Failure, chain};

pub(crate) fn command() -> Command {
    options::of_server(Command::new("serve").about("Run the server until SIGTERM"))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let loaded = options::load(matches)?;
    assay_gateway::server::run(loaded).map_err(|error| Failure::Failed(chain(&error)))
}
