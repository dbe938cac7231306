//! Scope strings (RFC 6749 §3.3).

use crate::error::OAuthError;
use crate::limits::SCOPES_MAX;

/// Splits a scope parameter; duplicates collapse, order is kept.
///
/// # Errors
/// `invalid_scope` for characters outside %x21 / %x23-5B / %x5D-7E, or too many.
pub fn parse(text: &str) -> Result<Vec<String>, OAuthError> {
    let mut scopes: Vec<String> = Vec::new();
    for token in text.split(' ').filter(|token| !token.is_empty()) {
        if !token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)) {
            return Err(OAuthError::invalid_scope("scope is malformed"));
        }
        if scopes.len() == SCOPES_MAX {
            return Err(OAuthError::invalid_scope("too many scopes"));
        }
        if !scopes.iter().any(|seen| seen == token) {
            scopes.push(token.to_owned());
        }
    }
    Ok(scopes)
}

/// Joins scopes for the wire.
pub fn join(scopes: &[String]) -> String {
    scopes.join(" ")
}

/// True if the space-separated `scope` holds `wanted`.
pub fn contains(scope: &str, wanted: &str) -> bool {
    scope.split(' ').any(|token| token == wanted)
}

/// The requested scopes if all are allowed; without a request, everything allowed (RFC 6749 §3.3: a pre-defined default).
///
/// # Errors
/// `invalid_scope` naming the ones that are not.
pub fn grant<'a>(requested: Option<&str>, allowed: impl Iterator<Item = &'a str>) -> Result<Vec<String>, OAuthError> {
    let allowed: Vec<&str> = allowed.collect();
    let requested = parse(requested.unwrap_or_default())?;
    if requested.is_empty() {
        return Ok(allowed.into_iter().map(str::to_owned).collect());
    }
    let refused: Vec<&str> = requested.iter().map(String::as_str).filter(|scope| !allowed.contains(scope)).collect();
    if refused.is_empty() {
        Ok(requested)
    } else {
        Err(OAuthError::invalid_scope(format!("The following scopes are invalid: {}", refused.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_subsets() {
        fn check(requested: Option<&str>, expected: Option<&str>) {
            let granted = grant(requested, ["openid", "profile"].into_iter()).ok();
            assert_eq!(granted.map(|scopes| join(&scopes)).as_deref(), expected, "{requested:?}");
        }
        check(None, Some("openid profile"));
        check(Some(""), Some("openid profile"));
        check(Some("openid"), Some("openid"));
        check(Some("profile openid"), Some("profile openid"));
        check(Some("openid openid"), Some("openid"));
        check(Some("  openid "), Some("openid"));
        check(Some("openid admin"), None);
        check(Some("OPENID"), None);
        check(Some("open"), None);
        check(Some("openid\tprofile"), None);
        check(Some("openid\nprofile"), None);
        check(Some("op\"enid"), None);
        check(Some("op\\enid"), None);
        check(Some("ópenid"), None);
        check(Some("x x x"), None);
    }

    #[test]
    fn too_many() {
        let many = (0..65).map(|i| format!("s{i}")).collect::<Vec<_>>().join(" ");
        assert!(parse(&many).is_err());
    }

    #[test]
    fn contains_whole_words_only() {
        assert!(contains("a introspect b", "introspect"));
        assert!(!contains("introspection", "introspect"));
        assert!(!contains("", "introspect"));
    }
}
