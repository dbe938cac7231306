//! JWTs: from the token to a job for the engine, and from a good signature to what the claims are worth. The readers are
//! those of the server (`assay_oauth::jose`), and so is their strictness.

use std::collections::HashMap;
use std::sync::Arc;

use assay_engine::{Job, JwsAlgorithm, VerifyKey};
use assay_oauth::encoding::base64url_decode_into;
use assay_oauth::jose::Reject;
use assay_oauth::jose::compact::Parts;
use assay_oauth::jose::json::{self, Value};
use assay_oauth::limits::AUDIENCES_MAX;
use bytes::Bytes;

use super::reason::{Reason, Scheme};
use super::rules::Rules;
use crate::limits::HEADERS_MAX;

/// What a JOSE header leads to.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) kid: Option<Arc<str>>,
    pub(super) scheme: Option<Scheme>,
    key: Result<(JwsAlgorithm, VerifyKey), Reason>,
}

/// Headers seen before. An issuer writes the same few again and again; only those that lead to a key are kept, and when
/// there are too many of them all are forgotten.
#[derive(Default)]
pub(super) struct Heads(HashMap<Box<[u8]>, Head>);

impl Heads {
    fn find(&mut self, parts: &Parts<'_>, rules: &Rules) -> Result<Head, Reason> {
        if let Some(head) = self.0.get(parts.header) {
            return Ok(head.clone());
        }
        let header = parts.read_named_header().map_err(|reject| match reject {
            Reject::Length => Reason::BadHeader,
            other => other.into(),
        })?;
        let alg = JwsAlgorithm::from_name(&header.alg);
        let head = Head {
            scheme: alg.map(Scheme::from),
            key: match alg {
                None => Err(Reason::UnsupportedAlg),
                Some(alg) => rules.keys.choose(header.kid.as_deref(), alg).map(|key| (alg, key)),
            },
            kid: header.kid.map(Arc::from),
        };
        if head.key.is_ok() {
            if self.0.len() >= HEADERS_MAX {
                self.0.clear();
            }
            self.0.insert(parts.header.into(), head.clone());
        }
        Ok(head)
    }
}

/// A JWT that can be handed to the engine.
pub(super) struct Pending {
    pub(super) job: Job,
    /// The payload, still in base64url.
    pub(super) payload: Bytes,
}

/// Reads a token. What its header said comes back even if nothing else can be done with it.
pub(super) fn read(token: &Bytes, heads: &mut Heads, rules: &Rules) -> (Option<Head>, Result<Pending, Reason>) {
    let parts = match Parts::split(token) {
        Ok(parts) => parts,
        Err(reject) => return (None, Err(reject.into())),
    };
    match heads.find(&parts, rules) {
        Ok(head) => {
            let pending = pending(token, &parts, &head, rules);
            (Some(head), pending)
        }
        Err(reason) => (None, Err(reason)),
    }
}

fn pending(token: &Bytes, parts: &Parts<'_>, head: &Head, rules: &Rules) -> Result<Pending, Reason> {
    if head.scheme.is_some_and(|scheme| !rules.filter.allows(scheme)) {
        return Err(Reason::SchemeMismatch);
    }
    let (alg, key) = head.key.clone()?;
    let signature = parts.read_signature()?;
    let signing_input = token.slice_ref(parts.signing_input);
    Ok(Pending { job: Job::Jws { alg, key, signing_input, signature }, payload: token.slice_ref(parts.payload) })
}

/// Judges the claims of a token whose signature is good. `scratch` is a buffer to reuse.
///
/// # Errors
/// The first rule broken, in the order issuer, audience, `exp`, `nbf`.
pub(super) fn check_claims(payload: &[u8], rules: &Rules, now_s: u64, scratch: &mut Vec<u8>) -> Result<(), Reason> {
    if !base64url_decode_into(payload, scratch) {
        return Err(Reason::BadBase64);
    }
    let (mut is_from_issuer, mut is_for_audience) = (rules.issuer.is_none(), rules.audiences.is_empty());
    let (mut exp, mut nbf) = (None, None);
    let expected = |audience: &str| rules.audiences.iter().any(|expected| expected == audience);
    json::object(scratch, |name, value| {
        match name {
            "iss" => {
                let iss = value.string()?;
                is_from_issuer |= rules.issuer.as_deref() == Some(&*iss);
            }
            "aud" => match value {
                Value::String(audience) => is_for_audience |= expected(&audience),
                list => {
                    let audiences = list.strings(AUDIENCES_MAX)?;
                    is_for_audience |= audiences.iter().any(|audience| expected(audience));
                }
            },
            "exp" => exp = Some(value.integer()?),
            "nbf" => nbf = Some(value.integer()?),
            "iat" => _ = value.integer()?,
            "sub" | "jti" => _ = value.string()?,
            _ => {}
        }
        Ok(())
    })?;
    if !is_from_issuer {
        return Err(Reason::IssuerMismatch);
    }
    if !is_for_audience {
        return Err(Reason::AudienceMismatch);
    }
    // Integers of claims end at 2^53, and the sums saturate for whatever --leeway says.
    if exp.is_some_and(|exp: u64| now_s >= exp.saturating_add(rules.leeway_s)) {
        return Err(Reason::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now_s.saturating_add(rules.leeway_s)) {
        return Err(Reason::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use assay_oauth::encoding::base64url;

    use super::*;

    const NOW: u64 = 1_000;

    #[test]
    fn claims() {
        let strict = Rules {
            issuer: Some("me".to_owned()),
            audiences: vec!["a".to_owned(), "b".to_owned()],
            ..Rules::default()
        };
        let lax = Rules::default();
        let late = Rules { leeway_s: 60, ..Rules::default() };
        let check = |rules: &Rules, claims: &str, expected: Result<(), Reason>| {
            let got = check_claims(base64url(claims).as_bytes(), rules, NOW, &mut Vec::new());
            assert_eq!(got, expected, "{claims}");
        };
        check(&lax, "{}", Ok(()));
        check(&lax, r#"{"exp":1001,"nbf":1000,"iat":5000,"aud":[],"iss":"x"}"#, Ok(()));
        check(&lax, r#"{"exp":1000}"#, Err(Reason::Expired));
        check(&lax, r#"{"exp":0}"#, Err(Reason::Expired));
        check(&lax, r#"{"nbf":1001}"#, Err(Reason::NotYetValid));
        check(&lax, r#"{"exp":1e9}"#, Err(Reason::BadClaims));
        check(&lax, r#"{"exp":"2000"}"#, Err(Reason::BadClaims));
        check(&lax, r#"{"iat":-1}"#, Err(Reason::BadClaims));
        check(&lax, r#"{"aud":7}"#, Err(Reason::BadClaims));
        check(&lax, r#"{"sub":null}"#, Err(Reason::BadClaims));
        check(&lax, r#"{"exp":2000,"exp":3000}"#, Err(Reason::BadJson));
        check(&lax, "[]", Err(Reason::BadJson));
        check(&late, r#"{"exp":941,"nbf":1060}"#, Ok(()));
        check(&late, r#"{"exp":940}"#, Err(Reason::Expired));
        check(&late, r#"{"nbf":1061}"#, Err(Reason::NotYetValid));
        check(&strict, r#"{"iss":"me","aud":"b"}"#, Ok(()));
        check(&strict, r#"{"iss":"me","aud":["x","a"]}"#, Ok(()));
        check(&strict, r#"{"iss":"you","aud":"a","exp":1}"#, Err(Reason::IssuerMismatch));
        check(&strict, r#"{"aud":"a"}"#, Err(Reason::IssuerMismatch));
        check(&strict, r#"{"iss":"me"}"#, Err(Reason::AudienceMismatch));
        check(&strict, r#"{"iss":"me","aud":["A"]}"#, Err(Reason::AudienceMismatch));
        check(&Rules { leeway_s: u64::MAX, ..Rules::default() }, r#"{"exp":1,"nbf":9007199254740992}"#, Ok(()));
        assert_eq!(check_claims(b"e30=", &lax, NOW, &mut Vec::new()), Err(Reason::BadBase64));
    }
}
