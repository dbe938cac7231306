//! `assay sign`: a bitcoin-auth token for curl, tests and scripts.

use std::io::Read;

use assay_tools::bitcoin_sign::{self, PrivateKey, Scheme};
use clap::{Arg, ArgMatches, Command};

use assay_tools::clock;
use assay_tools::failure::{Failure, print};

pub(crate) fn command() -> Command {
    Command::new("sign")
        .about("Print a bitcoin-auth token for a request")
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("WIF|HEX|@FILE")
                .help("Private key; @FILE and the variable ASSAY_KEY keep it out of the process list [env: ASSAY_KEY]"),
        )
        .arg(
            Arg::new("scheme")
                .long("scheme")
                .value_name("brc77|bsm")
                .value_parser(["brc77", "bsm"])
                .hide_possible_values(true)
                .default_value("brc77")
                .help("How to sign"),
        )
        .arg(
            Arg::new("path")
                .long("path")
                .value_name("PATH")
                .required(true)
                .help("Request path, exactly as the server routes it"),
        )
        .arg(
            Arg::new("body")
                .long("body")
                .value_name("FILE")
                .help("Request body that the token covers; - reads standard input"),
        )
        .arg(Arg::new("timestamp").long("timestamp").value_name("TIME").help("RFC 3339 time to sign instead of now"))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let path = field("--path", text("path").unwrap_or_default())?;
    let timestamp = match text("timestamp") {
        Some(timestamp) => field("--timestamp", timestamp)?.to_owned(),
        None => bitcoin_sign::timestamp(clock::unix_ms()),
    };
    let scheme = if text("scheme") == Some("bsm") { Scheme::Bsm } else { Scheme::Brc77 };
    let key = key(text("key"))?;
    let body = text("body").map_or(Ok(Vec::new()), body)?;
    let token = bitcoin_sign::token(&key, scheme, path, &timestamp, &body)
        .map_err(|error| Failure::Failed(format!("the operating system gave no random numbers: {error}")))?;
    print(&format!("{token}\n"))
}

/// A part of the token: the token's own separator and line ends would make it unreadable to every server.
fn field<'a>(name: &str, value: &'a str) -> Result<&'a str, Failure> {
    if value.is_empty() || value.contains('|') || value.chars().any(char::is_control) {
        return Err(Failure::Usage(format!(
            "{name} is empty or contains '|' or a control character; a token cannot carry that"
        )));
    }
    Ok(value)
}

fn key(option: Option<&str>) -> Result<PrivateKey, Failure> {
    let text = match option {
        Some(option) => option.to_owned(),
        None => std::env::var("ASSAY_KEY").map_err(|_| {
            Failure::Usage("no key; give --key WIF|HEX, --key @FILE or the variable ASSAY_KEY".to_owned())
        })?,
    };
    let text = match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("cannot read the key file {file}: {error}; correct --key")))?,
        None => text,
    };
    PrivateKey::parse(&text).map_err(|error| Failure::Usage(format!("{error}; `assay keygen` makes a key that works")))
}

fn body(file: &str) -> Result<Vec<u8>, Failure> {
    let read = if file == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| Failure::Usage(format!("cannot read the body {file}: {error}; correct --body")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_would_break_the_token_are_refused() {
        for bad in ["", "/a|b", "/a\nb", "/a\0"] {
            assert!(field("--path", bad).is_err(), "{bad:?}");
        }
        for good in ["/", "/a?b=c", "/ünï", "no slash"] {
            assert_eq!(field("--path", good).unwrap(), good);
        }
    }

    #[test]
    fn a_refused_key_is_not_repeated() {
        let secret = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ";
        let message = key(Some(secret)).unwrap_err().to_string();
        assert!(message.contains("uncompressed") && !message.contains(secret), "{message}");
    }
}
