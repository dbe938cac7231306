//! `assay client`: the applications registered at a running server.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use crate::options;
use assay_tools::admin_client::{Method, segment};
use assay_tools::failure::{Failure, print_json};

/// How a client may prove itself at the token endpoint.
const AUTH_METHODS: [&str; 5] =
    ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "bitcoin_signature"];

pub(crate) fn command() -> Command {
    let sub = |name, about| options::of_client(Command::new(name).about(about));
    let client_id = || Arg::new("client_id").value_name("CLIENT_ID").required(true).help("As `client list` prints it");
    Command::new("client")
        .about("Applications registered at a running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(add())
        .subcommand(sub("list", "Print every application as JSON"))
        .subcommand(sub("show", "Print one application as JSON").arg(client_id()))
        .subcommand(sub("rotate-secret", "Make a new secret; the one before it stays valid beside it").arg(client_id()))
        .subcommand(sub("disable", "Refuse the application and its tokens from now on").arg(client_id()))
}

fn add() -> Command {
    let one = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let many = |name, value, help| one(name, value, help).action(ArgAction::Append);
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    options::of_client(Command::new("add").about("Register an application; prints JSON {client_id, client_secret?}")).args([
        one("name", "NAME", "Name shown to people").required(true),
        many("redirect-uri", "URI", "Where authorization codes may be sent; repeat for more"),
        many("grant", "GRANT", "Grant type; repeat for more [default: authorization_code with a --redirect-uri, else client_credentials]"),
        one("scope", "SCOPE", "Scopes it may ask for, separated by spaces"),
        one("auth", "METHOD", "none, client_secret_basic, client_secret_post, private_key_jwt or bitcoin_signature [default: private_key_jwt with --jwks, bitcoin_signature with --pubkey, else client_secret_basic]")
            .value_parser(AUTH_METHODS)
            .hide_possible_values(true),
        one("pubkey", "HEX", "Compressed public key of a bitcoin_signature client: 66 hex digits"),
        one("jwks", "FILE", "Public key set (JSON) of a private_key_jwt client"),
        many("audience", "URI", "Resource its tokens may be for; repeat for more"),
        flag("introspect", "It may introspect tokens"),
        flag("native", "It runs on people's own devices: loopback redirect ports are free"),
        flag("first-party", "It is yours: people are not asked for consent"),
    ])
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap insists on a subcommand");
    // What is wrong with the command line is said before the server is asked anything.
    let body = if name == "add" { Some(application(matches)?) } else { None };
    let client_id = match matches.try_get_one::<String>("client_id") {
        Ok(Some(client_id)) => segment("CLIENT_ID", client_id)?,
        _ => String::new(),
    };
    let admin = options::admin(matches)?;
    let answer = match name {
        "add" => only(&admin.call(Method::Post, "/applications", body.as_ref())?, &["client_id", "client_secret"]),
        "list" => admin.list("/applications")?,
        "show" => admin.call(Method::Get, &format!("/applications/{client_id}"), None)?,
        "rotate-secret" => admin.call(Method::Post, &format!("/applications/{client_id}/secrets"), None)?,
        _ => admin.call(Method::Post, &format!("/applications/{client_id}/disable"), None)?,
    };
    print_json(&answer)
}

/// The request that registers what these options describe.
fn application(matches: &ArgMatches) -> Result<Value, Failure> {
    let one = |name| matches.get_one::<String>(name).map(String::as_str);
    let many = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let redirect_uris = many("redirect-uri");
    let mut grants = many("grant");
    if grants.is_empty() {
        let grant = if redirect_uris.is_empty() { "client_credentials" } else { "authorization_code" };
        grants.push(grant.to_owned());
    }
    let auth_method = one("auth").unwrap_or(match (one("jwks"), one("pubkey")) {
        (Some(_), _) => "private_key_jwt",
        (None, Some(_)) => "bitcoin_signature",
        (None, None) => "client_secret_basic",
    });
    if auth_method == "bitcoin_signature" && one("pubkey").is_none() {
        return Err(Failure::Usage(
            "--auth bitcoin_signature needs --pubkey HEX; `assay keygen` prints one".to_owned(),
        ));
    }
    if auth_method == "private_key_jwt" && one("jwks").is_none() {
        return Err(Failure::Usage(
            "--auth private_key_jwt needs --jwks FILE with the client's public keys".to_owned(),
        ));
    }
    let mut body = json!({
        "name": one("name"),
        "redirect_uris": redirect_uris,
        "grants": grants,
        "scope": one("scope").unwrap_or_default(),
        "auth_method": auth_method,
        "audiences": many("audience"),
        "introspect": matches.get_flag("introspect"),
        "native": matches.get_flag("native"),
        "first_party": matches.get_flag("first-party"),
    });
    if let Some(pubkey) = one("pubkey") {
        body["pubkey"] = json!(pubkey);
    }
    if let Some(file) = one("jwks") {
        body["jwks"] = jwks(file)?;
    }
    Ok(body)
}

fn jwks(file: &str) -> Result<Value, Failure> {
    let wrong = |what: String| {
        Failure::Usage(format!("--jwks {file}: {what}; give a JSON file {{\"keys\": […]}} of public keys"))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let jwks: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("not JSON ({error})")))?;
    let keys = jwks.get("keys").and_then(Value::as_array).ok_or_else(|| wrong("no array \"keys\"".to_owned()))?;
    // "d" is the private part of RSA, EC and OKP keys, "k" a symmetric key: neither belongs on a server that verifies.
    if keys.iter().any(|key| key.get("d").is_some() || key.get("k").is_some()) {
        return Err(wrong("it holds a private or symmetric key".to_owned()));
    }
    Ok(jwks)
}

/// The named members of an object, where present and not null.
fn only(answer: &Value, names: &[&str]) -> Value {
    let member = |name: &&str| {
        answer.get(*name).filter(|value| !value.is_null()).map(|value| ((*name).to_owned(), value.clone()))
    };
    Value::Object(names.iter().filter_map(member).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Value, &str>) {
        let matches = command().try_get_matches_from(std::iter::once("client").chain(line.split(' '))).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        match (application(matches), expected) {
            (Ok(body), Ok(expected)) => {
                for (name, value) in expected.as_object().unwrap() {
                    assert_eq!(&body[name], value, "{line}: {name}");
                }
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{line}: {error}"),
            (got, expected) => panic!("{line}: {got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn options_become_the_request() {
        check(
            "add --name N",
            Ok(
                json!({"name": "N", "redirect_uris": [], "grants": ["client_credentials"], "scope": "", "auth_method": "client_secret_basic",
                "audiences": [], "introspect": false, "native": false, "first_party": false, "pubkey": null, "jwks": null}),
            ),
        );
        check(
            "add --name N --redirect-uri https://a/cb --redirect-uri https://b/cb --auth none --native --first-party --audience https://x --introspect",
            Ok(
                json!({"redirect_uris": ["https://a/cb", "https://b/cb"], "grants": ["authorization_code"], "auth_method": "none",
                "audiences": ["https://x"], "introspect": true, "native": true, "first_party": true}),
            ),
        );
        check("add --name N --pubkey 02ab", Ok(json!({"pubkey": "02ab", "auth_method": "bitcoin_signature"})));
        check("add --name N --grant a --grant b --redirect-uri u", Ok(json!({"grants": ["a", "b"]})));
        check("add --name N --auth bitcoin_signature", Err("--pubkey"));
        check("add --name N --auth private_key_jwt", Err("--jwks"));
        check("add --name N --jwks /nonexistent/jwks.json", Err("/nonexistent/jwks.json"));
    }

    #[test]
    fn only_public_key_sets_are_sent() {
        let path = std::env::temp_dir().join(format!("assay-jwks-{}.json", std::process::id()));
        let file = path.to_str().unwrap();
        for (text, accepted) in [
            (r#"{"keys":[{"kty":"EC","x":"a","y":"b"}]}"#, true),
            (r#"{"keys":[{"kty":"EC","d":"secret"}]}"#, false),
            (r#"{"keys":[{"kty":"oct","k":"secret"}]}"#, false),
            (r#"{"key":[]}"#, false),
            ("{", false),
        ] {
            std::fs::write(&path, text).unwrap();
            let result = jwks(file);
            assert_eq!(result.is_ok(), accepted, "{text}");
            assert!(accepted || !result.unwrap_err().to_string().contains("secret"));
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn add_prints_id_and_secret_only() {
        let answer = json!({"client_id": "c", "client_secret": "s", "name": "N"});
        assert_eq!(only(&answer, &["client_id", "client_secret"]), json!({"client_id": "c", "client_secret": "s"}));
        let public = json!({"client_id": "c", "client_secret": null});
        assert_eq!(only(&public, &["client_id", "client_secret"]), json!({"client_id": "c"}));
    }
}
