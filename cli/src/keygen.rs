//! `assay keygen`: a fresh Bitcoin key and the names it goes by. The only command that prints a private key.

use assay_tools::bitcoin_sign::PrivateKey;
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use assay_tools::failure::{Failure, print_json};

pub(crate) fn command() -> Command {
    Command::new("keygen").about("Print a fresh Bitcoin key as JSON: WIF, public key, address, BAP id")
}

pub(crate) fn run(_: &ArgMatches) -> Result<(), Failure> {
    let key = PrivateKey::generate()
        .map_err(|error| Failure::Failed(format!("the operating system gave no random numbers: {error}")))?;
    print_json(&describe(&key))
}

fn describe(key: &PrivateKey) -> Value {
    json!({
        "wif": key.wif(),
        "public_key": hex::encode(key.public_key()),
        "address": key.address(),
        "bap_id": key.bap_id(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_has_its_known_names() {
        // bap-ids.json, "bap0".
        let key = PrivateKey::parse("L2ZMJTNtXNvMPCm7pt8NdRrRjyyYawqY9bdRpWfRsBmxNWGsdNvT").unwrap();
        assert_eq!(
            describe(&key),
            json!({
                "wif": "L2ZMJTNtXNvMPCm7pt8NdRrRjyyYawqY9bdRpWfRsBmxNWGsdNvT",
                "public_key": "033e2c619db997691b2ab406f81538cc1e15d58ca6a554970b32424b8af77dbc80",
                "address": "17JhKa7D8phXD7fpMZfAhbhrGY3eHvKTS9",
                "bap_id": "2sxzL4acYnCZW9MxGRDJgr4DaH9j",
            })
        );
    }
}
