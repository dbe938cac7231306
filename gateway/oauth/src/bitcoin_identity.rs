//! What a Bitcoin public key is called: its mainnet address and, by the older rule, its BAP identity (sigma.md §3).

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// Mainnet P2PKH: base58check(0x00 ‖ RIPEMD160(SHA256(compressed key))).
pub fn address(pubkey: &[u8; 33]) -> String {
    bs58::encode(hash160(pubkey)).with_check_version(0x00).into_string()
}

/// BAP identity by rule 1: base58(RIPEMD160(SHA256(address text))), no version, no checksum.
///
/// A newer rule exists that cannot be computed from the public key, so inequality proves nothing; equality does.
pub fn bap_id(pubkey: &[u8; 33]) -> String {
    bap_id_of_address(&address(pubkey))
}

/// BAP identity of a root address.
pub fn bap_id_of_address(address: &str) -> String {
    bs58::encode(hash160(address.as_bytes())).into_string()
}

/// True if `text` could be a BAP identity: base58 of exactly 20 bytes.
pub fn is_bap_id(text: &str) -> bool {
    // 20 bytes are at most 28 base58 characters; the bound keeps decoding cheap.
    (20..=28).contains(&text.len()) && bs58::decode(text).into_vec().is_ok_and(|bytes| bytes.len() == 20)
}

fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::hex_lower_array;

    #[test]
    fn vectors() {
        let file: serde_json::Value = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/bap-ids.json"
        )))
        .unwrap();
        let mut checked = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let text = |name: &str| vector[name].as_str();
            let pubkey = text("memberPub").or(text("pubkey")).unwrap();
            let pubkey = hex_lower_array::<33>(pubkey.as_bytes()).unwrap();
            // Under the newer rule only the older rule's id follows from the key.
            let expected_id = text("bapIdOlderRule")
                .or(text("bapIdFromPubkey"))
                .or(text("computedFromPubkeyOlderRule"))
                .or(text("bapId"))
                .unwrap();
            assert_eq!(bap_id(&pubkey), expected_id, "{}", vector["id"]);
            assert!(is_bap_id(expected_id));
            if vector["mode"] == "type42-newer" {
                let root = text("rootAddress").unwrap();
                assert_eq!(bap_id_of_address(root), text("bapId").unwrap(), "{}", vector["id"]);
            } else {
                assert_eq!(address(&pubkey), text("rootAddress").or(text("address")).unwrap(), "{}", vector["id"]);
            }
            checked += 1;
        }
        assert_eq!(checked, 10);
    }

    #[test]
    fn not_bap_ids() {
        for text in [
            "",
            "1",
            "0sxzL4acYnCZW9MxGRDJgr4DaH9j",
            "2sxzL4acYnCZW9MxGRDJgr4DaH9jj",
            "2sxzL4acYnCZW9MxGRDJgr4Da",
            "é",
            &"2".repeat(10_000),
        ] {
            assert!(!is_bap_id(text), "{text}");
        }
    }
}
