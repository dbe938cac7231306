//! What the published packages made, judged by a server over HTTP: every vector of `tests/vectors/` that can be put
//! into a request, alone and in a batch, at the moment its file names.

use std::collections::BTreeMap;

use assay_oauth::rfc3339;
use assay_tests::actors::{App, Person, sha256};
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime};
use assay_tests::wire::Request;
use assay_tools::bitcoin_sign::{self, PrivateKey, Scheme};
use base64_turbo::STANDARD_NO_PAD;
use serde_json::{Value, json};

/// 2026-01-15T11:00:00Z: before every vector.
const BEFORE_MS: u64 = 1_768_474_800_000;

/// A vector as a question with its right answer.
struct Case<'v> {
    id: &'v str,
    token: &'v str,
    request_path: &'v str,
    body_sha256: Option<String>,
    now_ms: u64,
    /// `None` where the vector has no opinion (`n/a`).
    accept: Option<bool>,
    /// Known of valid vectors only.
    address: Option<&'v str>,
}

fn read(name: &str) -> Value {
    let path = assay_tests::workspace_root().join("tests/vectors").join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn ms(timestamp: &str) -> u64 {
    let ms = rfc3339::parse(timestamp).and_then(|ms| u64::try_from(ms).ok());
    ms.unwrap_or_else(|| panic!("no time: {timestamp:?}"))
}

/// The bytes a signer hashes for a body in its encoding, as `bitcoin-auth` reads it: an odd number of hex digits gets a
/// zero in front, base64 may be of either alphabet and without padding.
fn body_bytes(body: &str, encoding: &str) -> Vec<u8> {
    match encoding {
        "utf8" => body.as_bytes().to_vec(),
        "hex" => {
            let zero = if body.len() % 2 == 1 { "0" } else { "" };
            hex::decode(format!("{zero}{body}")).expect("a vector's body")
        }
        "base64" => {
            let standard = body.replace('-', "+").replace('_', "/");
            STANDARD_NO_PAD.decode(standard.trim_end_matches('=')).expect("a vector's body")
        }
        other => panic!("unknown body encoding {other}"),
    }
}

fn cases<'v>(valid: &'v Value, invalid: &'v Value) -> Vec<Case<'v>> {
    let of = |vector: &'v Value, target: &'v Value, now: &'v str, verdict: &str, address: Option<&'v str>| {
        // JavaScript's falsy: no body and an empty one are the same.
        let body = target["body"].as_str().filter(|body| !body.is_empty());
        let body_sha256 = body.map(|body| hex::encode(sha256(&body_bytes(body, text(vector, "bodyEncoding")))));
        if let Some(known) = vector["detail"]["bodyHash"].as_str() {
            assert_eq!(body_sha256.as_deref().unwrap_or_default(), known, "{}", vector["id"]);
        }
        let accept = match verdict {
            "accept" => Some(true),
            "reject" => Some(false),
            "n/a" => None,
            other => panic!("unknown verdict {other}"),
        };
        let (id, token, request_path) = (text(vector, "id"), text(vector, "token"), text(target, "requestPath"));
        Case { id, token, request_path, body_sha256, now_ms: ms(now), accept, address }
    };
    let list = |file: &'v Value| file["vectors"].as_array().expect("a list of vectors");
    let mut cases: Vec<Case<'v>> = list(valid)
        .iter()
        .map(|vector| {
            of(vector, vector, text(vector, "verifyAt"), text(vector, "expected"), vector["address"].as_str())
        })
        .collect();
    cases.extend(list(invalid).iter().map(|vector| {
        let target = &vector["target"];
        of(vector, target, text(target, "timestamp"), text(vector, "recommended"), None)
    }));
    cases
}

impl Case<'_> {
    fn form(&self) -> Vec<(&str, &str)> {
        let mut pairs =
            vec![("token", self.token), ("token_type_hint", "bitcoin-auth"), ("request_path", self.request_path)];
        pairs.extend(self.body_sha256.as_deref().map(|hash| ("body_sha256", hash)));
        pairs
    }

    fn item(&self) -> Value {
        let mut item: Value = self
            .form()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        item["id"] = self.id.into();
        item
    }

    /// The whole answer, member by member.
    fn answer(&self, accept: bool) -> Value {
        if !accept {
            return json!({"active": false});
        }
        let fields: Vec<&str> = self.token.split('|').collect();
        let key = hex::decode(fields[0]).expect("an accepted key").try_into().expect("33 bytes");
        let address = bitcoin_sign::address(&key);
        if let Some(known) = self.address {
            assert_eq!(address, known, "{}", self.id);
        }
        json!({
            "active": true, "token_type": "bitcoin-auth", "pubkey": fields[0], "scheme": fields[1], "address": address,
            "iat": ms(fields[2]) / 1000,
        })
    }
}

fn bitcoin_auth_tokens(runtime: Runtime) {
    let (valid, invalid) = (read("bitcoin-auth-valid.json"), read("bitcoin-auth-invalid.json"));
    let cases = cases(&valid, &invalid);
    let server = InProcess::start_at(&Options::new(runtime).cores(2), BEFORE_MS);
    let reader = server.resource_server();
    let (mut judged, mut accepted, mut by_moment) = (0, 0, BTreeMap::<u64, Vec<&Case<'_>>>::new());
    for case in &cases {
        let Some(accept) = case.accept else { continue };
        server.set_ms(case.now_ms);
        let answer = server.send(&reader.authenticate(Request::post("/introspect"), &case.form()));
        if case.token.is_empty() {
            // An empty parameter is an absent one (RFC 6749 §3.1), and without a token there is no question.
            assert_eq!(
                (accept, answer.status, answer.error().as_str()),
                (false, 400, "invalid_request"),
                "{}",
                case.id
            );
        } else {
            assert_eq!(answer.expect_status(200).json(), case.answer(accept), "{}", case.id);
        }
        judged += 1;
        accepted += usize::from(accept);
        by_moment.entry(case.now_ms).or_default().push(case);
    }
    let opinions = cases.iter().filter(|case| case.accept.is_some()).count();
    assert_eq!(judged, opinions, "every vector with a verdict was judged");
    assert!(
        cases.len() >= 118 && accepted >= 45,
        "the vectors are there: {} of which accepted {accepted}",
        cases.len()
    );

    let mut in_batches = 0;
    for (now_ms, group) in &by_moment {
        server.set_ms(*now_ms);
        // Good and bad ones beside each other, forwards and backwards: a neighbour changes nothing.
        for backwards in [false, true] {
            let mut group = group.clone();
            if backwards {
                group.reverse();
            }
            let items: Vec<Value> = group.iter().map(|case| case.item()).collect();
            let answers = server.batch_items(&reader, &items);
            assert_eq!(answers.len(), group.len());
            for (case, answer) in group.iter().zip(answers) {
                let mut expected = case.answer(case.accept.expect("only judged ones are here"));
                expected["id"] = case.id.into();
                assert_eq!(answer, expected, "{} in a batch of {}", case.id, group.len());
            }
            in_batches += group.len();
        }
    }
    assert_eq!(in_batches, 2 * opinions);
    eprintln!(
        "vectors ({}): {judged} judged alone and in {} batches, {accepted} accepted",
        runtime.word(),
        2 * by_moment.len()
    );
}

/// What the introspection says of a token, for a path without a body.
fn introspected(server: &InProcess, reader: &App, token: &str, path: &str) -> Value {
    let pairs = [("token", token), ("token_type_hint", "bitcoin-auth"), ("request_path", path)];
    server.send(&reader.authenticate(Request::post("/introspect"), &pairs)).expect_status(200).json()
}

/// The keys of the other files sign in and are known by the addresses that those files name; signatures that those
/// files hold are not tokens, and nothing makes them one.
fn keys_and_signatures_of_the_other_files(runtime: Runtime) {
    let (bsm, brc, bap) = (read("bsm.json"), read("brc42-brc77.json"), read("bap-ids.json"));
    let server = InProcess::start_at(&Options::new(runtime), BEFORE_MS);
    let reader = server.resource_server();
    let timestamp = bitcoin_sign::timestamp(BEFORE_MS);
    let mut keys: Vec<(&str, &str, Option<&str>)> = Vec::new();
    for vector in bsm["vectors"].as_array().expect("a list") {
        keys.push((text(vector, "privateKeyHex"), text(vector, "pubkey"), vector["address"].as_str()));
        let token = format!("{}|bsm|{timestamp}|{}|{}", text(vector, "pubkey"), "/", text(vector, "signature"));
        assert_eq!(introspected(&server, &reader, &token, "/"), json!({"active": false}), "{}", vector["id"]);
    }
    for vector in brc["vectors"].as_array().expect("a list").iter().filter(|vector| vector["kind"] == "brc77") {
        keys.push((text(vector, "signerPriv"), text(vector, "signerPub"), None));
        let envelope = hex::decode(text(vector, "signatureHex")).expect("hex");
        let token =
            format!("{}|brc77|{timestamp}|/|{}", text(vector, "signerPub"), base64_turbo::STANDARD.encode(envelope));
        assert_eq!(introspected(&server, &reader, &token, "/"), json!({"active": false}), "for one verifier only");
    }
    for vector in bap["vectors"].as_array().expect("a list") {
        if let (Some(private), Some(public)) = (vector["memberPriv"].as_str(), vector["memberPub"].as_str()) {
            // By the newer rule the identity's address is not the signing key's.
            keys.push((private, public, vector["memberAddress"].as_str().or(vector["rootAddress"].as_str())));
        }
    }
    assert!(keys.len() >= 18, "the vectors are there: {}", keys.len());
    for (private, public, address) in keys {
        let private: [u8; 32] = hex::decode(private).expect("hex").try_into().expect("32 bytes");
        let key = PrivateKey::from_bytes(&private).expect("a vector's key");
        for scheme in [Scheme::Bsm, Scheme::Brc77] {
            let person = Person { key: key.clone(), scheme };
            assert_eq!(person.pubkey(), public);
            // A moment for each, so that the same key's sign-ins differ in Bitcoin Signed Message too.
            server.advance_ms(1);
            let signed_in = server.sign_in(&person);
            let answer = introspected(&server, &reader, &person.token("/x", server.now_ms(), b""), "/x");
            assert_eq!((&answer["active"], &answer["pubkey"]), (&json!(true), &json!(public)));
            assert_eq!(answer["address"], address.map_or_else(|| json!(key.address()), |address| json!(address)));
            let introspected = server.introspect(&reader, signed_in["access_token"].as_str().expect("a token"));
            assert_eq!(answer["sub"], introspected["sub"], "the user who signed in");
        }
    }
}

both_runtimes!(bitcoin_auth_tokens, keys_and_signatures_of_the_other_files);
