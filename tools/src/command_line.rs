//! What every subcommand shares: how a table of them becomes a program, and how whatever goes wrong becomes one line on
//! standard error and an exit code.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::failure::{EXIT_CODES, Failure};

/// A subcommand: how it is described and what it does.
pub type Subcommand = (fn() -> Command, fn(&ArgMatches) -> Result<(), Failure>);

/// A program of these subcommands, in the order of `--help`.
#[must_use]
pub fn program(name: &'static str, about: &'static str, subcommands: &[Subcommand]) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(subcommands.iter().map(|(command, _)| {
            let command = command();
            // A subcommand with examples shows them there; the others say where the rest is written.
            let has_own = command.get_after_help().is_some();
            if has_own { command } else { command.after_help("Exit codes and order of places: assay --help") }
        }))
}

/// Runs the subcommand that the process was called with.
#[must_use]
pub fn run(program: Command, subcommands: &[Subcommand]) -> ExitCode {
    let matches = match program.try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let (name, matches) = matches.subcommand().expect("clap insists on a subcommand");
    let (_, run) = subcommands
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
#[must_use]
pub fn one_line(text: &str) -> String {
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
