//! `assay`: the command line. Each subcommand is a file, here or in `assay-tools`; this one lists them.
//!
//! Commands print results to standard output and exactly one line to standard error when they fail.

#![forbid(unsafe_code)]

mod check_config;
mod client;
mod keygen;
mod keys;
mod options;
mod serve;
mod sign;

use std::process::ExitCode;

use assay_tools::command_line::{self, Subcommand};
use assay_tools::{bench, load, verify};
use clap::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every subcommand, in the order of `--help`.
const SUBCOMMANDS: &[Subcommand] = &[
    (serve::command, serve::run),
    (check_config::command, check_config::run),
    (client::command, client::run),
    (keys::command, keys::run),
    (sign::command, sign::run),
    (keygen::command, keygen::run),
    (bench::command, bench::run),
    (load::command, load::run),
    (verify::command, verify::run),
];

fn command() -> Command {
    let about = "Sign-in with Bitcoin, ES256 tokens and introspection at the speed of the wire";
    command_line::program("assay", about, SUBCOMMANDS)
}

fn main() -> ExitCode {
    command_line::run(command(), SUBCOMMANDS)
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
            let text = command_line::one_line(&error.to_string());
            assert!(!text.contains('\n') && !text.is_empty() && !text.starts_with("error"), "{line}: {text}");
        }
        let error = command().try_get_matches_from(["assay", "client", "add"]).expect_err("a name is required");
        assert!(command_line::one_line(&error.to_string()).contains("--name"));
    }
}
