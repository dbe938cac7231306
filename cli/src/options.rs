//! Command-line options that are configuration keys: made from the gateway's table, so that a key's flag, variable,
//! default and bound are written once.

use std::path::PathBuf;

use assay_gateway::config::{Config, KEYS, Key, Loaded, Overrides};
use assay_tools::admin_client::AdminClient;
use clap::{Arg, ArgMatches, Command, value_parser};

use assay_tools::failure::Failure;

/// Flags of the keys that only clients of the admin listener read.
const CLIENT_ONLY: &[&str] = &["admin"];
/// Flags of the keys that clients of the admin listener read at all.
const CLIENT: &[&str] = &["admin", "data"];

/// Adds the options of a command that runs, or describes, the server.
pub(crate) fn of_server(command: Command) -> Command {
    add(command, |flag| !CLIENT_ONLY.contains(&flag))
}

/// Adds the options of a command that talks to a running server.
pub(crate) fn of_client(command: Command) -> Command {
    add(command, |flag| CLIENT.contains(&flag))
}

fn add(command: Command, wanted: impl Fn(&str) -> bool) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file (TOML) [env: ASSAY_CONFIG]");
    let flags = KEYS.iter().filter_map(|key| key.flag.filter(|flag| wanted(flag)).map(|flag| arg(key, flag)));
    command.arg(config).args(flags)
}

fn arg(key: &'static Key, flag: &'static str) -> Arg {
    let value_name = if key.unit.is_empty() { "word" } else { key.unit };
    let words = if key.unit.is_empty() { format!(" ({})", key.bound) } else { String::new() };
    // No value parser: the configuration refuses bad values, with the same words wherever they stand.
    Arg::new(flag)
        .long(flag)
        .value_name(value_name)
        .help(format!("{}{words} [default: {}] [env: {}]", key.help, key.default, key.env))
}

/// The admin listener that these options of a client name.
pub(crate) fn admin(matches: &ArgMatches) -> Result<AdminClient, Failure> {
    let config = load(matches)?.config;
    AdminClient::connect(&config.admin, &config.data)
}

/// The configuration under these options.
pub(crate) fn load(matches: &ArgMatches) -> Result<Loaded, Failure> {
    let mut overrides = Overrides::default();
    for flag in KEYS.iter().filter_map(|key| key.flag) {
        // A command has only some of the flags.
        if let Ok(Some(value)) = matches.try_get_one::<String>(flag) {
            overrides.set(flag, value.as_str());
        }
    }
    let file = matches
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| std::env::var_os("ASSAY_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
    let mut env = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with("ASSAY_") {
            continue;
        }
        let value =
            value.into_string().map_err(|_| Failure::Usage(format!("{name} is not UTF-8; set it to plain text")))?;
        env.push((name, value));
    }
    Config::load(overrides, env.into_iter(), file.as_deref()).map_err(|error| Failure::Usage(error.to_string()))
}
