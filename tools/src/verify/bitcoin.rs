//! Bitcoin's ways of signing: bitcoin-auth tokens, messages beside a public key, and messages beside an address. Rules of
//! tokens are the server's (`assay_oauth::bitcoin_token`); a message beside a key goes to the engine as it is.

use std::collections::HashMap;

use assay_engine::recover::Secp256k1PublicKey;
use assay_engine::scheme::bitcoin_message::message_digest;
use assay_engine::{EcdsaSignature, HighS, Job, JwsAlgorithm, KeyKind, Recoverable, VerifyKey};
use assay_oauth::bitcoin_token::{self, BodyHash, Expect, Freshness, SignatureBytes};
use assay_oauth::encoding::hex_lower_array;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::line::Signed;
use super::reason::{Reason, Scheme};
use super::rules::{Filter, Rules};
use crate::limits::PARSED_KEYS_MAX;

/// What `pubkey|scheme|…` says of itself before anything is checked: for the verdict of a token that is refused.
pub(super) fn introduce(token: &[u8]) -> (Option<Scheme>, Option<String>) {
    let mut parts = token.splitn(3, |byte| *byte == b'|');
    let pubkey = parts.next().and_then(hex_lower_array::<33>).map(hex::encode);
    let scheme = match parts.next() {
        Some(b"brc77") => Some(Scheme::Brc77),
        Some(b"bsm") => Some(Scheme::Bsm),
        _ => None,
    };
    (scheme, pubkey)
}

/// Reads a bitcoin-auth token as far as the curve.
pub(super) fn token(token: &[u8], path: Option<&str>, body: &[u8], rules: &Rules, now_ms: u64) -> Result<Job, Reason> {
    let own_path = || token.split(|byte| *byte == b'|').nth(3).and_then(|path| std::str::from_utf8(path).ok());
    let path = rules.path.as_deref().or(path).or_else(own_path).unwrap_or_default();
    let expect = Expect {
        paths: &[path],
        body: BodyHash::of(body),
        fallback_body: None,
        freshness: if rules.ignore_freshness { Freshness::ServerNonce } else { Freshness::Window },
        now_ms: i64::try_from(now_ms).unwrap_or(i64::MAX / 2),
    };
    let checked = bitcoin_token::check(token, &expect).map_err(|reject| first_broken(token, reject))?;
    let (key, message) = (*checked.pubkey(), checked.message().to_vec());
    Ok(match checked.signature() {
        SignatureBytes::Brc77(envelope) => Job::Brc77 { claimed_key: key, message, envelope: envelope.clone() },
        SignatureBytes::Bsm(signature) => Job::BitcoinMessage { public_key: key, message, signature: **signature },
    })
}

/// The published order of the rules judges the key before everything that comes after it in the token, but the server
/// leaves the curve to the engine. Only a token that is refused anyway is looked at twice.
fn first_broken(token: &[u8], reject: bitcoin_token::Reject) -> Reason {
    use bitcoin_token::Reject::{BadPubkey, BadScheme, Malformed};
    let key = token.split(|byte| *byte == b'|').next().and_then(hex_lower_array::<33>);
    match key {
        Some(key) if !matches!(reject, Malformed | BadScheme | BadPubkey) => {
            VerifyKey::secp256k1_sec1(&key).map_or(Reason::BadPubkey, |_| reject.into())
        }
        _ => reject.into(),
    }
}

/// Public keys of messages, parsed before. Parsing one costs a square root, and one who signs much signs with one key.
#[derive(Default)]
pub(super) struct ParsedKeys(HashMap<(KeyKind, Vec<u8>), VerifyKey>);

impl ParsedKeys {
    fn find(&mut self, kind: KeyKind, bytes: &[u8]) -> Result<VerifyKey, Reason> {
        let name = (kind, bytes.to_vec());
        if let Some(key) = self.0.get(&name) {
            return Ok(key.clone());
        }
        let key = match kind {
            KeyKind::Ed25519 => VerifyKey::ed25519(bytes),
            KeyKind::P256 => VerifyKey::p256_sec1(bytes),
            KeyKind::SchnorrXOnly => VerifyKey::schnorr_x_only(bytes),
            _ => VerifyKey::secp256k1_sec1(bytes),
        };
        let key = key.map_err(|_| Reason::BadPubkey)?;
        if self.0.len() >= PARSED_KEYS_MAX {
            self.0.clear();
        }
        self.0.insert(name, key.clone());
        Ok(key)
    }

    /// SEC 1 compressed, from either form.
    fn compressed(&mut self, bytes: &[u8]) -> Result<[u8; 33], Reason> {
        match bytes {
            [2 | 3, ..] => bytes.try_into().map_err(|_| Reason::BadPubkey),
            [4, x_and_y @ ..] if x_and_y.len() == 64 => {
                self.find(KeyKind::Secp256k1, bytes)?;
                let mut compressed = [2 | (x_and_y[63] & 1); 33];
                compressed[1..].copy_from_slice(&x_and_y[..32]);
                Ok(compressed)
            }
            _ => Err(Reason::BadPubkey),
        }
    }
}

/// By which scheme a message beside a public key is judged: what `--scheme` says, what the line says, what the lengths
/// say. 65 bytes are a Bitcoin Signed Message, an envelope is BRC-77, 64 bytes or DER are ECDSA, and 64 bytes beside a
/// key of 32 are BIP-340.
fn scheme_of(signed: &Signed, pubkey: &[u8], filter: Filter) -> Result<Scheme, Reason> {
    let named = match signed.scheme.as_deref() {
        None => None,
        Some(name) => Some(Scheme::from_name(name).ok_or(Reason::BadScheme)?),
    };
    match (filter, named) {
        (_, Some(Scheme::Es256k | Scheme::Hs256 | Scheme::Rs256)) => return Err(Reason::BadScheme),
        (Filter::Only(only), Some(named)) if only != named => return Err(Reason::SchemeMismatch),
        (Filter::Only(only), _) => return Ok(only),
        (_, Some(named)) => return Ok(named),
        (_, None) => {}
    }
    match (pubkey.len(), signed.signature.as_slice()) {
        (32, [_, ..]) => Ok(Scheme::Bip340),
        (_, [0x42, 0x42, 0x33, ..]) if signed.signature.len() > 65 => Ok(Scheme::Brc77),
        (_, [0x30, ..]) if !matches!(signed.signature.len(), 64 | 65) => Ok(Scheme::Ecdsa),
        (_, signature) if signature.len() == 65 => Ok(Scheme::Bsm),
        (_, signature) if signature.len() == 64 => Ok(Scheme::Ecdsa),
        _ => Err(Reason::BadSignature),
    }
}

/// Turns a message beside a public key into a job. The scheme comes back even if there is none.
pub(super) fn signed(
    signed: Signed,
    pubkey: &[u8],
    filter: Filter,
    keys: &mut ParsedKeys,
) -> (Option<Scheme>, Result<Job, Reason>) {
    match scheme_of(&signed, pubkey, filter) {
        Ok(scheme) => (Some(scheme), job(scheme, signed, pubkey, keys)),
        Err(reason) => (None, Err(reason)),
    }
}

fn job(scheme: Scheme, signed: Signed, pubkey: &[u8], keys: &mut ParsedKeys) -> Result<Job, Reason> {
    let Signed { address, message, signature, .. } = signed;
    if let Some(address) = address {
        let claimed = address_hash(&address)?;
        if !hashes(pubkey).contains(&claimed) {
            return Err(Reason::PubkeyMismatch);
        }
    }
    let jws =
        |alg, key, message| Job::Jws { alg, key, signing_input: Bytes::from(message), signature: signature.clone() };
    Ok(match scheme {
        Scheme::Bip340 => Job::SchnorrBip340 {
            key: keys.find(KeyKind::SchnorrXOnly, pubkey)?,
            message,
            signature: signature.as_slice().try_into().map_err(|_| Reason::BadSignature)?,
        },
        Scheme::Brc77 => Job::Brc77 { claimed_key: keys.compressed(pubkey)?, message, envelope: signature },
        Scheme::Bsm => Job::BitcoinMessage {
            public_key: keys.compressed(pubkey)?,
            message,
            signature: signature.as_slice().try_into().map_err(|_| Reason::BadSignature)?,
        },
        Scheme::Ecdsa => Job::EcdsaSecp256k1 {
            key: keys.find(KeyKind::Secp256k1, pubkey)?,
            msg_hash: Sha256::digest(&message).into(),
            signature: match <[u8; 64]>::try_from(signature.as_slice()) {
                Ok(compact) => EcdsaSignature::Compact(compact),
                Err(_) => EcdsaSignature::Der(signature),
            },
            high_s: HighS::Accept,
        },
        Scheme::EdDsa => jws(JwsAlgorithm::EdDsa, keys.find(KeyKind::Ed25519, pubkey)?, message),
        Scheme::Es256 => jws(JwsAlgorithm::Es256, keys.find(KeyKind::P256, pubkey)?, message),
        Scheme::Es256k | Scheme::Hs256 | Scheme::Rs256 => return Err(Reason::BadScheme),
    })
}

/// A Bitcoin Signed Message beside an address: the signature's header says which key to recover, and the hash of that key
/// must be the address.
pub(super) struct Addressed {
    claimed: [u8; 20],
    is_compressed: bool,
}

/// Reads a message beside an address as far as the question which key signed it.
///
/// # Errors
/// Why the owner of the address cannot have signed this.
pub(super) fn addressed(address: &str, message: &[u8], signature: &[u8]) -> Result<(Addressed, Recoverable), Reason> {
    let claimed = address_hash(address)?;
    let [header @ 27..=34, compact @ ..] = signature else { return Err(Reason::BadSignature) };
    let compact = compact.try_into().map_err(|_| Reason::BadSignature)?;
    let recovery_id = (header - 27) & 3;
    let recoverable = Recoverable { msg_hash: message_digest(message), compact, recovery_id };
    Ok((Addressed { claimed, is_compressed: *header >= 31 }, recoverable))
}

impl Addressed {
    /// Whether the owner of the address holds the key that signed.
    ///
    /// # Errors
    /// [`Reason::BadSignature`] if there is no such key, or another one.
    pub(super) fn judge(&self, signer: Option<&Secp256k1PublicKey>) -> Result<(), Reason> {
        let signer = signer.ok_or(Reason::BadSignature)?;
        let matches = hash160(&signer.to_compressed()) == self.claimed
            // Headers below 31 belong to uncompressed keys; some signers write them for compressed ones too.
            || !self.is_compressed && hash160(&signer.to_uncompressed()) == self.claimed;
        if matches { Ok(()) } else { Err(Reason::BadSignature) }
    }
}

/// The hash in a P2PKH address, of main net or test net.
fn address_hash(address: &str) -> Result<[u8; 20], Reason> {
    // 25 bytes are at most 35 characters; the bound keeps decoding cheap.
    if address.len() > 35 {
        return Err(Reason::BadAddress);
    }
    let bytes = bs58::decode(address).with_check(None).into_vec().map_err(|_| Reason::BadAddress)?;
    match bytes.as_slice() {
        [0x00 | 0x6f, hash @ ..] => hash.try_into().map_err(|_| Reason::BadAddress),
        _ => Err(Reason::BadAddress),
    }
}

/// The hashes that addresses of this key hold: as it is written, and compressed.
fn hashes(pubkey: &[u8]) -> Vec<[u8; 20]> {
    let mut hashes = vec![hash160(pubkey)];
    if let [4, x_and_y @ ..] = pubkey
        && let Some(x) = x_and_y.first_chunk::<32>()
        && let Some(last) = x_and_y.last()
    {
        hashes.push(hash160(&[&[2 | (last & 1)], &x[..]].concat()));
    }
    hashes
}

fn hash160(bytes: &[u8]) -> [u8; 20] {
    // ripemd is a release of `digest` older than sha2, so its trait is named in full.
    <ripemd::Ripemd160 as ripemd::Digest>::digest(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use assay_engine::recover_now;
    use assay_oauth::bitcoin_identity;

    use super::*;
    use crate::bitcoin_sign::{PrivateKey, sign_bsm};

    #[test]
    fn addresses() {
        let key = PrivateKey::from_bytes(&[7; 32]).unwrap();
        let address = bitcoin_identity::address(&key.public_key());
        let signature = sign_bsm(&key, b"hello");
        let check = |address: &str, message: &[u8], signature: &[u8], expected: Result<(), Reason>| {
            let judged = addressed(address, message, signature)
                .and_then(|(addressed, recoverable)| addressed.judge(recover_now(&[recoverable])[0].as_ref()));
            assert_eq!(judged, expected, "{address} {message:?}");
        };
        check(&address, b"hello", &signature, Ok(()));
        check(&address, b"hallo", &signature, Err(Reason::BadSignature));
        check(&address, b"hello", &signature[..64], Err(Reason::BadSignature));
        check("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", b"hello", &signature, Err(Reason::BadSignature));
        check("1BoatSLRHtKNngkdXEeobR76b53LETtpyU", b"hello", &signature, Err(Reason::BadAddress));
        check("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", b"hello", &signature, Err(Reason::BadAddress));
        check(&"1".repeat(1 << 20), b"hello", &signature, Err(Reason::BadAddress));
        for header in [0, 26, 35, 255] {
            let mut other = signature;
            other[0] = header;
            check(&address, b"hello", &other, Err(Reason::BadSignature));
        }
        let mut other = signature;
        other[0] ^= 1;
        check(&address, b"hello", &other, Err(Reason::BadSignature));
    }

    #[test]
    fn tokens_introduce_themselves() {
        let key = format!("02{}", "11".repeat(32));
        assert_eq!(introduce(format!("{key}|bsm|x").as_bytes()), (Some(Scheme::Bsm), Some(key.clone())));
        assert_eq!(introduce(format!("{}|brc77|x", key.to_uppercase().replace('1', "A")).as_bytes()).1, None);
        assert_eq!(introduce(b"|x"), (None, None));
    }
}
