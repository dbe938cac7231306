//! `assay`: the command line. Each subcommand is a file; this one lists them and turns their end into an exit code.
//!
//! Commands print results to standard output and exactly one line to standard error when they fail.

#![forbid(unsafe_code)]

mod admin_client;
mod check_config;
mod client;
mod clock;
mod failure;
mod keygen;
mod keys;
mod limits;
mod options;
mod serve;
mod sign;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A subcommand: how it is described and what it does.
type Subcommand = (fn() -> Command, fn(&ArgMatches) -> Result<(), Failure>);

/// Every subcommand, in the order of `--help`.
const SUBCOMMANDS: &[Subcommand] = &[
    (serve::command, serve::run),
    (check_config::command, check_config::run),
    (client::command, client::run),
    (keys::command, keys::run),
    (sign::command, sign::run),
    (keygen::command, keygen::run),
];

fn command() -> Command {
    Command::new("assay")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Sign-in with Bitcoin, ES256 tokens and introspection at the speed of the wire")
        .after_help(failure::EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(
            SUBCOMMANDS.iter().map(|(command, _)| command().after_help("Exit codes and order of places: assay --help")),
        )
}

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let (name, matches) = matches.subcommand().expect("clap insists on a subcommand");
    let (_, run) = SUBCOMMANDS
        .iter()
        .find(|(command, _)| command().get_name() == name)
        .expect("clap knows only the subcommands of this table");
    match run(matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("assay: {failure}");
            failure.exit_code()
        }
    }
}

/// Help and version are answers; everything else clap says becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nothing to do about a reader that went away.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            eprintln!("assay: {}", one_line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// clap explains itself in paragraphs: what is wrong, a tip, the usage, a pointer to `--help`.
fn one_line(text: &str) -> String {
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    match usage {
        Some(usage) => format!("{said}; usage: {usage}"),
        None => format!("{said}; see --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    /// What scripts may write, from the contract; each must parse.
    #[test]
    fn the_contract_parses() {
        for line in [
            "serve",
            "serve --config f --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:8081 --data ./data --issuer http://x --runtime auto --cores 2 --limits off --log json",
            "check-config",
            "check-config --config f",
            "client add --name N",
            "client add --name N --redirect-uri a --redirect-uri b --grant g --grant h --scope s --auth bitcoin_signature --pubkey 02 --audience a --audience b --introspect",
            "client add --name N --auth none --native --first-party --jwks f --admin http://127.0.0.1:8081 --data ./data",
            "client list --admin http://127.0.0.1:8081 --data ./data",
            "client show ID",
            "client rotate-secret ID --data d",
            "client disable ID",
            "keys list",
            "keys rotate --admin http://127.0.0.1:8081",
            "keys revoke KID --data ./data",
            "sign --key K --path /p",
            "sign --key K --scheme bsm --path /p --body f --timestamp t",
            "keygen",
        ] {
            let words = std::iter::once("assay").chain(line.split(' '));
            if let Err(error) = command().try_get_matches_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn usage_errors_are_one_line() {
        for line in [
            "serve --lisen x",
            "client add",
            "client",
            "nothing",
            "sign --scheme x --key k --path p",
            "keys revoke",
            "serve --cores",
        ] {
            let words = std::iter::once("assay").chain(line.split(' '));
            let error = command().try_get_matches_from(words).expect_err("this command line must be refused");
            let text = one_line(&error.to_string());
            assert!(!text.contains('\n') && !text.is_empty() && !text.starts_with("error"), "{line}: {text}");
        }
        let error = command().try_get_matches_from(["assay", "client", "add"]).expect_err("a name is required");
        assert!(one_line(&error.to_string()).contains("--name"));
    }
}
