//! Proof Key for Code Exchange (RFC 7636), S256 only.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::encoding::base64url;
use crate::error::OAuthError;
use crate::proof::PkceMatched;

/// Checks the form of `code_challenge` and its method at the authorization endpoint.
///
/// # Errors
/// `invalid_request`: absent, not S256, or not 43–128 unreserved characters.
pub fn check_challenge(challenge: Option<&str>, method: Option<&str>) -> Result<(), OAuthError> {
    let Some(challenge) = challenge else {
        return Err(OAuthError::invalid_request("pkce is required"));
    };
    // Absent means plain by RFC 7636 §4.3, and plain is refused (attack 50).
    if method != Some("S256") {
        return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
    }
    if !is_well_formed(challenge) {
        return Err(OAuthError::invalid_request("code_challenge is malformed"));
    }
    Ok(())
}

/// Compares the verifier of a token request with the challenge its code was issued with.
///
/// # Errors
/// `invalid_grant` in every case but a match or absence on both sides: a challenge without a verifier
/// (CVE-2023-48228) and a verifier without a challenge (downgrade, RFC 9700 §2.1.1) both fail.
pub fn check(challenge: Option<&str>, verifier: Option<&str>) -> Result<PkceMatched, OAuthError> {
    let refused = || OAuthError::invalid_grant("code verification failed");
    match (challenge, verifier) {
        (None, None) => Ok(PkceMatched(())),
        (Some(challenge), Some(verifier)) if is_well_formed(verifier) => {
            let computed = base64url(Sha256::digest(verifier.as_bytes()));
            let equal: bool = computed.as_bytes().ct_eq(challenge.as_bytes()).into();
            if equal { Ok(PkceMatched(())) } else { Err(refused()) }
        }
        _ => Err(refused()),
    }
}

fn is_well_formed(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn attack_49_verifier_and_challenge() {
        fn check_case(challenge: Option<&str>, verifier: Option<&str>, expected: bool) {
            let result = check(challenge, verifier);
            assert_eq!(result.is_ok(), expected, "{challenge:?} {verifier:?}");
            if let Err(error) = result {
                assert_eq!(error.code, ErrorCode::InvalidGrant);
            }
        }
        check_case(Some(CHALLENGE), Some(VERIFIER), true);
        check_case(None, None, true);
        check_case(Some(CHALLENGE), None, false);
        check_case(None, Some(VERIFIER), false);
        check_case(Some(CHALLENGE), Some(""), false);
        check_case(Some(CHALLENGE), Some(CHALLENGE), false);
        check_case(Some(VERIFIER), Some(VERIFIER), false); // as if plain
        check_case(Some(CHALLENGE), Some(&VERIFIER[..42]), false);
        check_case(Some(CHALLENGE), Some(&"a".repeat(129)), false);
        check_case(Some(""), Some(VERIFIER), false);
        let short = "a".repeat(42);
        let short_challenge = base64url(Sha256::digest(short.as_bytes()));
        check_case(Some(&short_challenge), Some(&short), false);
        let long = "a".repeat(129);
        let long_challenge = base64url(Sha256::digest(long.as_bytes()));
        check_case(Some(&long_challenge), Some(&long), false);
        let foreign = format!("{}+", "a".repeat(50));
        let foreign_challenge = base64url(Sha256::digest(foreign.as_bytes()));
        check_case(Some(&foreign_challenge), Some(&foreign), false);
        let longest = "~".repeat(128);
        let longest_challenge = base64url(Sha256::digest(longest.as_bytes()));
        check_case(Some(&longest_challenge), Some(&longest), true);
    }

    #[test]
    fn attack_50_only_s256() {
        fn check_case(challenge: Option<&str>, method: Option<&str>, expected: bool) {
            assert_eq!(check_challenge(challenge, method).is_ok(), expected, "{challenge:?} {method:?}");
        }
        check_case(Some(CHALLENGE), Some("S256"), true);
        check_case(Some(CHALLENGE), Some("plain"), false);
        check_case(Some(CHALLENGE), Some("s256"), false);
        check_case(Some(CHALLENGE), None, false);
        check_case(None, Some("S256"), false);
        check_case(None, None, false);
        check_case(Some(&CHALLENGE[..42]), Some("S256"), false);
        check_case(Some(&"a".repeat(129)), Some("S256"), false);
        check_case(Some(&"é".repeat(30)), Some("S256"), false);
        check_case(Some(&format!("{} ", &CHALLENGE[..42])), Some("S256"), false);
    }
}
