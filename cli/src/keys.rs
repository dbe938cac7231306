//! `assay keys`: the signing keys of a running server.

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use crate::options;
use assay_tools::admin_client::{Method, segment};
use assay_tools::failure::{Failure, print_json};

pub(crate) fn command() -> Command {
    let sub = |name, about| options::of_client(Command::new(name).about(about));
    Command::new("keys")
        .about("Signing keys of a running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(sub("list", "Print every signing key and its state as JSON"))
        .subcommand(sub("rotate", "Begin to sign with a new key; tokens of the old one stay valid until they expire"))
        .subcommand(
            sub("revoke", "Revoke a key: every token it signed is dead at once")
                .arg(Arg::new("kid").value_name("KID").required(true).help("Key id, as `keys list` prints it")),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap insists on a subcommand");
    let admin = options::admin(matches)?;
    let answer = match name {
        "list" => admin.list("/keys"),
        "rotate" => admin.call(Method::Post, "/keys/rotate", None),
        _ => {
            let kid = matches.get_one::<String>("kid").map_or("", String::as_str);
            admin.call(
                Method::Post,
                &format!("/keys/{}/revoke", segment("KID", kid)?),
                Some(&Value::Object(serde_json::Map::new())),
            )
        }
    }?;
    print_json(&answer)
}
