//! Lines against verdicts: the published vectors, every shape good and broken, and whatever bytes there are.

use assay_oauth::rfc3339;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::blocks::Blocks;
use super::super::rules::Filter;
use super::*;
use crate::bitcoin_sign::{PrivateKey, sign_bsm};
use crate::interrupt::Interrupt;

/// The verdicts of a text, through the same reader as the tool's.
fn verdicts(rules: Rules, text: &[u8]) -> Vec<Value> {
    let mut blocks = Blocks::new(text, false, Interrupt::default());
    let mut judge = Judge::new(Arc::new(rules));
    let (mut out, mut counts) = (String::new(), Counts::default());
    while let Some(block) = blocks.next(bytes::BytesMut::new()) {
        judge.judge(&block, &mut out, &mut counts);
    }
    let verdicts: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("verdicts are JSON")).collect();
    assert_eq!(counts.valid() + counts.invalid(), verdicts.len() as u64);
    for (number, verdict) in (1..).zip(&verdicts) {
        assert_eq!(verdict["line"].as_u64(), Some(number));
        assert_eq!(verdict["valid"] == false, verdict["reason"].is_string(), "{verdict}");
    }
    verdicts
}

/// The verdict of one line: `valid`, or the reason.
fn verdict(rules: Rules, line: &str) -> String {
    let verdicts = verdicts(rules, line.as_bytes());
    assert_eq!(verdicts.len(), 1, "{line}");
    verdicts[0]["reason"].as_str().unwrap_or("valid").to_owned()
}

fn vectors(file: &str) -> Value {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).expect("vector files are JSON")
}

fn list(file: &Value) -> &[Value] {
    file["vectors"].as_array().expect("vector files hold an array")
}

fn at(timestamp: &Value) -> Option<u64> {
    Some(u64::try_from(rfc3339::parse(timestamp.as_str().expect("a time"))?).expect("after 1970"))
}

/// A token beside the body that its signer meant; odd hex gets a zero in front and any base64 will do, as in npm.
fn token_line(token: &Value, body: &Value, encoding: &Value) -> String {
    let body = body.as_str().unwrap_or_default();
    let body = match encoding.as_str() {
        Some("hex") if body.len() % 2 == 1 => format!("0{body}"),
        Some("base64") => body.replace('-', "+").replace('_', "/").trim_end_matches('=').to_owned(),
        _ => body.to_owned(),
    };
    json!({ "token": token, "body": body, "bodyEncoding": encoding }).to_string()
}

#[test]
fn bitcoin_auth_vectors() {
    let mut tried = [0, 0];
    for vector in list(&vectors("bitcoin-auth-valid.json")) {
        let rules = || Rules {
            now_ms: at(&vector["verifyAt"]),
            path: Some(vector["requestPath"].as_str().expect("a path").to_owned()),
            ..Rules::default()
        };
        assert_eq!(vector["expected"], "accept");
        let line = token_line(&vector["token"], &vector["body"], &vector["bodyEncoding"]);
        assert_eq!(verdict(rules(), &line), "valid", "{}", vector["id"]);
        let token = vector["token"].as_str().expect("a token");
        let has_no_body = vector["body"].as_str().is_none_or(str::is_empty);
        let alone = verdict(rules(), token);
        assert_eq!(alone, if has_no_body { "valid" } else { "bad_signature" }, "{}", vector["id"]);
        let other_path = Rules { path: Some("/other".to_owned()), ..rules() };
        assert_eq!(verdict(other_path, &line), "path_mismatch", "{}", vector["id"]);
        let late = || Rules { now_ms: rules().now_ms.map(|now| now + 3_600_000), ..rules() };
        assert_eq!(verdict(late(), &line), "stale", "{}", vector["id"]);
        assert_eq!(verdict(Rules { ignore_freshness: true, ..late() }, &line), "valid", "{}", vector["id"]);
        assert_eq!(verdict(Rules { path: None, ..rules() }, &line), "valid", "its own path");
        tried[0] += 1;
    }
    for vector in list(&vectors("bitcoin-auth-invalid.json")) {
        let target = &vector["target"];
        let Some(now_ms) = at(&target["timestamp"]) else { continue };
        let path = Some(target["requestPath"].as_str().expect("a path").to_owned());
        let rules = Rules { now_ms: Some(now_ms), path, filter: Filter::BitcoinAuth, ..Rules::default() };
        let line = token_line(&vector["token"], &target["body"], &vector["bodyEncoding"]);
        let got = verdict(rules, &line);
        let id = &vector["id"];
        match vector["recommended"].as_str().expect("a recommendation") {
            "accept" => assert_eq!(got, "valid", "{id}"),
            "reject" if vector["token"].as_str().is_some_and(|token| token.contains('|')) => {
                assert_eq!(got, vector["strictCode"].as_str().expect("a code"), "{id}");
            }
            "reject" => assert_ne!(got, "valid", "{id}"),
            _ => continue,
        }
        tried[1] += 1;
    }
    assert!(tried[0] == 34 && tried[1] >= 70, "{tried:?}");
}

#[test]
fn bsm_vectors() {
    let file = vectors("bsm.json");
    for vector in list(&file) {
        let with = |who: &str, value: &Value, message: Value, encoding: &str| {
            let line = json!({who: value, "message": message, "signature": vector["signature"], "encoding": encoding});
            verdict(Rules::default(), &line.to_string())
        };
        let id = &vector["id"];
        for (who, value) in
            [("pubkey", &vector["pubkey"]), ("address", &vector["address"]), ("address", &vector["addressTestnet"])]
        {
            assert_eq!(with(who, value, vector["messageHex"].clone(), "hex"), "valid", "{id} {who}");
            assert_eq!(with(who, value, vector["message"].clone(), "utf8"), "valid", "{id} {who}");
            assert_eq!(with(who, value, json!("other"), "utf8"), "bad_signature", "{id} {who}");
        }
    }
    let mut variants = 0;
    for variant in file["headerVariants"].as_array().expect("variants") {
        let Some(of) = list(&file).iter().find(|vector| vector["id"] == variant["of"]) else { continue };
        variants += 1;
        let judge = |who: &str| {
            let line = json!({who: of[who], "message": variant["message"], "signature": variant["signature"]});
            verdict(Rules::default(), &line.to_string()) == "valid"
        };
        assert_eq!(judge("address"), variant["matchesAddress"] == true, "{variant}");
        assert_eq!(judge("pubkey"), variant["npmVerifyByPubkey"] == true, "{variant}");
    }
    assert!(variants >= 5, "{variants} variants were tried");
}

#[test]
fn brc77_vectors() {
    let mut tried = 0;
    for vector in list(&vectors("brc42-brc77.json")).iter().filter(|vector| vector["kind"] != "brc42") {
        let line = |message: &Value| {
            json!({"pubkey": vector["signerPub"], "message": message, "signature": vector["signatureHex"]}).to_string()
        };
        let for_anyone = vector["verifyAsAnyone"] == true;
        let got = verdict(Rules::default(), &line(&vector["message"]));
        assert_eq!(got, if for_anyone { "valid" } else { "not_for_anyone" }, "{vector}");
        let other = if for_anyone { "bad_signature" } else { "not_for_anyone" };
        assert_eq!(verdict(Rules::default(), &line(&json!("other"))), other);
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn bip340_vectors() {
    let path = format!("{}/../tests/vectors/bip340.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the file is there");
    let mut tried = 0;
    for row in text.lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let [_, _, key, _, message, signature, result, ..] = columns.as_slice() else { panic!("{row}") };
        let line = json!({"pubkey": key, "message": message, "signature": signature, "encoding": "hex"}).to_string();
        assert_eq!(verdict(Rules::default(), &line) == "valid", *result == "TRUE", "{row}");
        tried += 1;
    }
    assert_eq!(tried, 19);
}

#[test]
fn schemes_of_messages_beside_a_key() {
    use k256::ecdsa::signature::Signer as _;
    let secret = [7; 32];
    let (k256_key, p256_key) = (
        k256::ecdsa::SigningKey::from_slice(&secret).expect("in range"),
        p256::ecdsa::SigningKey::from_slice(&secret).expect("in range"),
    );
    let key = PrivateKey::from_bytes(&secret).expect("in range");
    let compressed = hex::encode(key.public_key());
    let uncompressed = hex::encode(k256_key.verifying_key().to_sec1_point(false).as_bytes());
    let p256_public = hex::encode(p256_key.verifying_key().to_sec1_point(true).as_bytes());
    let ecdsa: k256::ecdsa::Signature = k256_key.sign(b"m");
    let es256: p256::ecdsa::Signature = p256_key.sign(b"m");
    let (compact, der) = (hex::encode(ecdsa.to_bytes()), hex::encode(ecdsa.to_der().as_bytes()));
    let es256 = hex::encode(es256.to_bytes());
    let bsm = hex::encode(sign_bsm(&key, b"m"));
    let check = |filter: &str, pubkey: &str, signature: &str, scheme: Option<&str>, expected: &str| {
        let line = json!({"pubkey": pubkey, "message": "m", "signature": signature, "scheme": scheme}).to_string();
        let rules = Rules { filter: Filter::from_name(filter).expect("a word"), ..Rules::default() };
        assert_eq!(verdict(rules, &line), expected, "{filter} {pubkey} {signature} {scheme:?}");
    };
    for pubkey in [&compressed, &uncompressed] {
        check("auto", pubkey, &compact, None, "valid");
        check("auto", pubkey, &der, None, "valid");
        check("auto", pubkey, &bsm, None, "valid");
        check("ecdsa", pubkey, &der, None, "valid");
        check("bsm", pubkey, &bsm, Some("bsm"), "valid");
        check("bsm", pubkey, &compact, None, "bad_signature");
        check("ecdsa", pubkey, &bsm, Some("bsm"), "scheme_mismatch");
    }
    check("auto", &p256_public, &es256, Some("es256"), "valid");
    check("es256", &p256_public, &es256, None, "valid");
    check("auto", &compressed, &compact, Some("rs256"), "bad_scheme");
    check("auto", &compressed, &compact, Some("x"), "bad_scheme");
    check("auto", &compressed, "", None, "bad_signature");
    check("auto", &compressed[2..], &compact, None, "bad_signature");
    check("auto", &compressed[4..], &compact, None, "bad_pubkey");
    check("auto", "", &compact, None, "bad_pubkey");
    check("auto", "zz", &compact, None, "bad_pubkey");
    check("auto", &compressed, &der[2..], None, "bad_signature");
    check("jwt", &compressed, &compact, None, "scheme_mismatch");
    check("rs256", &compressed, &compact, None, "scheme_mismatch");
    let with_address = |address: &str| {
        let line = json!({"pubkey": compressed, "address": address, "message": "m", "signature": bsm}).to_string();
        verdict(Rules::default(), &line)
    };
    assert_eq!(with_address(&key.address()), "valid");
    assert_eq!(with_address("1BoatSLRHtKNngkdXEeobR76b53LETtpyT"), "pubkey_mismatch");
}

#[test]
fn jwts_that_are_none() {
    use assay_oauth::encoding::base64url;
    let with_header = |header: &str| format!("{}.e30.AAAA", base64url(header));
    let check = |line: &str, expected: &str| {
        let rules = Rules { filter: Filter::Jwt, ..Rules::default() };
        assert_eq!(verdict(rules, line), expected, "{line}");
    };
    check("a", "bad_structure");
    check("a.b", "bad_structure");
    check("a..c", "bad_structure");
    check("a.b.c.d", "bad_structure");
    check("!!!!.e30.AAAA", "bad_base64");
    check("e31.e30.AAAA", "bad_base64");
    check(&with_header("{"), "bad_json");
    check(&with_header("[]"), "bad_json");
    check(&with_header(r#"{"alg":"ES256","alg":"none"}"#), "bad_json");
    check(&with_header("{}"), "bad_header");
    check(&with_header(r#"{"alg":"ES256","crit":["x"]}"#), "bad_header");
    check(&with_header(r#"{"alg":"ES256","jwk":{}}"#), "bad_header");
    check(&with_header(r#"{"alg":"none"}"#), "unsupported_alg");
    check(&with_header(r#"{"alg":"ES384"}"#), "unsupported_alg");
    check(&with_header(r#"{"alg":"ES256"}"#), "no_key");
    check(&with_header(r#"{"alg":"HS256"}"#), "no_key");
    check(&format!("e30.e30.{}", "A".repeat(17_000)), "token_too_long");
    check(&format!("{}.e30.AAAA", "A".repeat(3_000)), "bad_header");
    check("a|b|c|d|e", "scheme_mismatch");
    check(r#"{"token":"a.b"}"#, "bad_structure");
    check("\u{feff}a.b.c", "bad_base64");
}

#[test]
fn a_verdict_names_the_signer_and_escapes_what_it_quotes() {
    let header = assay_oauth::encoding::base64url(r#"{"alg":"ES256","kid":"a\"\u0000\n"}"#);
    let line = format!("{header}.e30.AA\n");
    let verdicts = verdicts(Rules::default(), line.as_bytes());
    assert_eq!(verdicts[0]["kid"], "a\"\u{0}\n");
    assert_eq!(verdicts[0]["scheme"], "es256");
    assert_eq!(verdicts[0]["reason"], "no_key");
}

/// Pieces that get past the first checks.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "[a-zA-Z0-9_.|{}\":,-]{0,60}".prop_map(String::into_bytes),
        Just(b"\n".to_vec()),
        Just(br#"{"pubkey":"02","message":"m","signature":""#.to_vec()),
        Just(br#"{"address":"1BoatSLRHtKNngkdXEeobR76b53LETtpyT","message":"","signature":"00"}"#.to_vec()),
        Just(b"eyJhbGciOiJFUzI1NiJ9.e30.".to_vec()),
        Just(br#"{"token":"02|bsm|2026-01-15T12:00:00Z|/|"#.to_vec()),
    ]
}

proptest! {
    /// Whatever the bytes: no panic, and exactly one verdict per line.
    #[test]
    fn one_verdict_per_line(pieces in proptest::collection::vec(piece(), 0..12), filter in 0usize..12) {
        let text = pieces.concat();
        let ends = memchr::memchr_iter(b'\n', &text).count();
        let lines = ends + usize::from(text.last().is_some_and(|last| *last != b'\n'));
        let filter = Scheme::ALL.get(filter).map_or(Filter::Auto, |scheme| Filter::Only(*scheme));
        prop_assert_eq!(verdicts(Rules { filter, ..Rules::default() }, &text).len(), lines);
    }
}
