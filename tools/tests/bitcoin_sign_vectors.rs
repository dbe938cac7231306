//! The signer against tokens and identities made by the npm packages: every one comes out byte for byte.

use assay_tools::bitcoin_sign::{PrivateKey, Scheme, address, bap_id, token_with_key_id};
use serde_json::Value;

fn vectors(file: &str) -> Vec<Value> {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file: Value = serde_json::from_str(&text).expect("vector files are JSON");
    file["vectors"].as_array().expect("vector files hold an array").clone()
}

/// The body as the npm signer saw it (sigma.md §1.3), `None` for spellings this test does not decode.
fn body(vector: &Value) -> Option<Vec<u8>> {
    let Some(text) = vector["body"].as_str() else { return Some(Vec::new()) };
    match vector["bodyEncoding"].as_str()? {
        "utf8" => Some(text.as_bytes().to_vec()),
        "hex" => hex::decode(if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() }).ok(),
        "base64" => base64_turbo::STANDARD.decode(text).ok(),
        _ => None,
    }
}

#[test]
fn tokens_are_those_of_the_npm_signer() {
    let (mut bsm, mut brc77) = (0, 0);
    for vector in vectors("bitcoin-auth-valid.json") {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let Some(body) = body(&vector) else { continue };
        let key = PrivateKey::parse(text("privateKeyHex")).expect("vector keys are in range");
        assert_eq!(key.wif(), text("wif"), "{}", text("id"));
        assert_eq!(key.address(), text("address"), "{}", text("id"));
        let signature = text("token").rsplit('|').next().expect("split yields at least one part");
        let signature = base64_turbo::STANDARD.decode(signature).expect("npm signers pad their base64");
        let (scheme, key_id, count) = match text("scheme") {
            "bsm" => (Scheme::Bsm, [0; 32], &mut bsm),
            _ => (Scheme::Brc77, signature[38..70].try_into().expect("32 bytes"), &mut brc77),
        };
        let made = token_with_key_id(&key, scheme, text("requestPath"), text("timestamp"), &body, &key_id);
        // The npm signer writes high S where a vector was altered on purpose; those say so.
        assert_eq!(made, text("token"), "{} {}", text("id"), text("description"));
        *count += 1;
    }
    assert!(bsm >= 15 && brc77 >= 15, "{bsm} bsm and {brc77} brc77 vectors were tried");
}

#[test]
fn identities_follow_from_the_member_key() {
    let mut tried = 0;
    for vector in vectors("bap-ids.json") {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let Ok(public_key) = hex::decode(text("memberPub")) else { continue };
        let Ok(public_key) = <[u8; 33]>::try_from(public_key) else { continue };
        if address(&public_key) != text("rootAddress") {
            // The newer rule: the root address belongs to a key derived from the member key.
            continue;
        }
        assert_eq!(bap_id(text("rootAddress")), text("bapId"), "{}", text("id"));
        tried += 1;
    }
    assert!(tried >= 5, "{tried} identities were tried");
}
