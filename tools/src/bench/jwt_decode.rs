//! From a compact token to its claims: split, strict header, base64url, signature, claims.
//!
//! Ours is the server's own path (`assay_oauth::jose` around the engine). The server takes no HS256 tokens, so for these
//! the same parts are put together here, with the same strictness. The library is jsonwebtoken; it judges no times and no
//! audience here, because our path leaves both to the decision that follows it.

use assay_engine::{Job, JwsAlgorithm, VerifyKey};
use assay_oauth::encoding::base64url;
use assay_oauth::jose::access::{self, AccessClaims, AccessToken};
use assay_oauth::jose::compact::{Header, Parts, assemble};
use assay_oauth::jose::{Alg, Reject, json};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair as _;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::group::{Contestant, Draw, Group, OURS, Pool, engine_verdicts};
use super::jws_schemes::{ed25519_key, p256_key, p256_public, p256_sign, rsa_key, rsa_public, rsa_sign};

/// Bytes of the claims, padded by scopes.
const CLAIMS_BYTES: usize = 350;
/// A key identifier as the server makes them: 43 characters.
const KID: &str = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg";

/// What jsonwebtoken shall read: the members that our own claims have.
#[derive(Deserialize)]
#[expect(dead_code, reason = "they are read to be read: a decoder that skips claims would be faster")]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    client_id: String,
    scope: String,
    exp: u64,
    iat: u64,
    jti: String,
    tid: String,
    sty: String,
    #[serde(rename = "gen")]
    generation: u64,
}

fn claims(content: &[u8; 32]) -> AccessClaims {
    let mut claims = AccessClaims {
        iss: "https://id.example.com".to_owned(),
        sub: hex::encode(&content[..10]),
        aud: vec!["https://api.example.com".to_owned()],
        client_id: "c_4Qq9wz1Yx2".to_owned(),
        scope: String::new(),
        exp: 1_900_000_900,
        iat: 1_900_000_000,
        nbf: None,
        jti: hex::encode(&content[10..26]),
        tid: "default".to_owned(),
        sty: access::SubjectType::User,
        generation: 1_234_567,
        sid: None,
        auth_time: None,
        amr: None,
        acr: None,
        username: None,
        pubkey: None,
        bap_id: None,
        cnf: None,
    };
    let missing = CLAIMS_BYTES.saturating_sub(claims.to_json().len());
    claims.scope = "read:things write:things ".chars().cycle().take(missing).collect::<String>().trim_end().to_owned();
    claims
}

/// A token; a broken one has the claims of another under its signature.
fn token(draw: &Draw, header: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = |content| format!("{header}.{}", base64url(claims(&content).to_json()));
    assemble(&input(draw.shown()), &sign(input(draw.content).as_bytes()))
}

fn header(alg: Alg) -> String {
    base64url(Header { alg, ..access::header(KID) }.to_json())
}

fn group(pool: &Pool, tokens: Vec<String>, ours: Contestant, alg: Algorithm, key: DecodingKey) -> Group {
    let mut validation = Validation::new(alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let library = Contestant::one_by_one("jsonwebtoken", tokens, move |token: &String| {
        jsonwebtoken::decode::<Claims>(token, &key, &validation).is_ok()
    });
    Group { expected: pool.expected(), contestants: vec![ours, library] }
}

/// The path of an access token, as introspection takes it.
pub(super) fn es256(pool: &Pool) -> Group {
    let secret = p256_key(&pool.shared_key());
    let public = p256_public(&secret);
    let head = access::header_base64url(KID);
    let tokens = pool.sign(|draw| token(&draw, &head, |input| p256_sign(&secret, input)));
    let key = VerifyKey::p256_sec1(&public).expect("a derived key is a key");
    key.prepare();
    let ours = Contestant::batches(OURS, tokens.clone(), move |batch: &[String], verdicts| {
        let parsed: Vec<_> = batch.iter().map(|token| AccessToken::parse(token.as_bytes())).collect();
        let jobs = parsed.iter().flatten().map(|token| Job::Jws {
            alg: JwsAlgorithm::Es256,
            key: key.clone(),
            signing_input: token.signing_input().to_vec().into(),
            signature: token.signature().to_vec(),
        });
        let jobs: Vec<Job> = jobs.collect();
        let mut matches = Vec::with_capacity(jobs.len());
        engine_verdicts(&jobs, &mut matches);
        let mut matches = matches.into_iter();
        let mut scratch = Vec::new();
        verdicts.extend(parsed.into_iter().map(|token| {
            token.is_ok_and(|token| token.conclude(matches.next().unwrap_or(false), &mut scratch).is_ok())
        }));
    });
    group(pool, tokens, ours, Algorithm::ES256, DecodingKey::from_ec_der(&public))
}

pub(super) fn eddsa(pool: &Pool) -> Group {
    let secret = ed25519_key(&pool.shared_key());
    let public = secret.public_key().as_ref().to_vec();
    let head = header(Alg::EdDsa);
    let tokens = pool.sign(|draw| token(&draw, &head, |input| secret.sign(input).as_ref().to_vec()));
    let key = VerifyKey::ed25519(&public).expect("a derived key is a key");
    let ours = any(tokens.clone(), key, |parts| parts.read_header().is_ok_and(|header| header.alg == Alg::EdDsa));
    group(pool, tokens, ours, Algorithm::EdDSA, DecodingKey::from_ed_der(&public))
}

pub(super) fn rs256(pool: &Pool) -> Group {
    let secret = rsa_key();
    let (n, e) = rsa_public(secret);
    let head = header(Alg::Rs256);
    let tokens = pool.sign(|draw| token(&draw, &head, |input| rsa_sign(secret, input)));
    let key = VerifyKey::rsa(&n, &e).expect("a derived key is a key");
    let ours = any(tokens.clone(), key, |parts| parts.read_header().is_ok_and(|header| header.alg == Alg::Rs256));
    group(pool, tokens, ours, Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e))
}

pub(super) fn hs256(pool: &Pool) -> Group {
    let secret = pool.shared_key();
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let head = base64url(format!(r#"{{"alg":"HS256","kid":"{KID}","typ":"at+jwt"}}"#));
    let tokens = pool.sign(|draw| token(&draw, &head, |input| hmac::sign(&mac, input).as_ref().to_vec()));
    let key = VerifyKey::hmac(&secret).expect("32 bytes are enough");
    let ours = any(tokens.clone(), key, |parts| {
        assay_oauth::encoding::base64url_decode(parts.header).is_some_and(|header| is_hs256(&header).is_ok())
    });
    group(pool, tokens, ours, Algorithm::HS256, DecodingKey::from_secret(&secret))
}

/// As `Header::parse` judges the members of the other algorithms.
fn is_hs256(header: &[u8]) -> Result<(), Reject> {
    let mut alg = None;
    json::object(header, |name, value| {
        match name {
            "alg" => alg = Some(value.string()?.into_owned()),
            "typ" | "kid" => drop(value.string()?.into_owned()),
            "crit" | "b64" | "jwk" | "jku" | "x5u" | "x5c" | "x5t" | "x5t#S256" | "zip" | "enc" => {
                return Err(Reject::Header);
            }
            _ => {}
        }
        Ok(())
    })?;
    if alg.as_deref() == Some("HS256") { Ok(()) } else { Err(Reject::Algorithm) }
}

/// The path of every token that is not an access token: parts, header, signature, engine, payload, claims.
fn any(
    tokens: Vec<String>,
    key: VerifyKey,
    is_right: impl Fn(&Parts<'_>) -> bool + Send + Sync + 'static,
) -> Contestant {
    let alg = key.jws_algorithm().expect("every key here signs tokens");
    Contestant::batches(OURS, tokens, move |batch: &[String], verdicts| {
        let parse = |token: &'_ String| -> Option<(Vec<u8>, Vec<u8>)> {
            let parts = Parts::split(token.as_bytes()).ok().filter(&is_right)?;
            Some((parts.signing_input.to_vec(), parts.read_signature().ok()?))
        };
        let parsed: Vec<_> = batch.iter().map(parse).collect();
        let are_there: Vec<bool> = parsed.iter().map(Option::is_some).collect();
        let jobs = parsed.into_iter().flatten().map(|(input, signature)| Job::Jws {
            alg,
            key: key.clone(),
            signing_input: input.into(),
            signature,
        });
        let jobs: Vec<Job> = jobs.collect();
        let mut matches = Vec::with_capacity(jobs.len());
        engine_verdicts(&jobs, &mut matches);
        let mut matches = matches.into_iter();
        verdicts.extend(
            batch
                .iter()
                .zip(are_there)
                .map(|(token, is_there)| is_there && matches.next().unwrap_or(false) && has_claims(token)),
        );
    })
}

fn has_claims(token: &str) -> bool {
    let payload = Parts::split(token.as_bytes()).and_then(|parts| parts.read_payload());
    payload.is_ok_and(|payload| AccessClaims::parse(&payload).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_have_their_length() {
        let length = claims(&[7; 32]).to_json().len();
        assert!((CLAIMS_BYTES - 1..=CLAIMS_BYTES).contains(&length), "{length}");
    }

    #[test]
    fn a_header_of_another_algorithm_is_refused() {
        assert!(is_hs256(br#"{"alg":"HS256"}"#).is_ok());
        for bad in
            [&br#"{"alg":"none"}"#[..], br#"{"alg":"HS256","crit":[]}"#, br#"{"alg":"HS256","alg":"HS256"}"#, b"x"]
        {
            assert!(is_hs256(bad).is_err());
        }
    }
}
