//! Browser sessions in better-auth's shapes (sigma.md 2.4): the signed cookie, get-session, sign-out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::authorize::is_live;
use crate::UnixSeconds;
use crate::encoding::{base64, base64_decode_padding_optional};
use crate::facts::{SessionFacts, SignedIn, UserFacts};
use crate::form;
use crate::jose::writer::ObjectWriter;
use crate::revocation::RevocationView;
use crate::rfc3339;
use crate::secret::{Secret, SecretKind};

const COOKIE: &str = "better-auth.session_token";
const SECURE_PREFIX: &str = "__Secure-";

/// Body of a successful sign-out.
pub const SIGNED_OUT: &[u8] = br#"{"success":true}"#;

/// Body of get-session without a session.
pub const NO_SESSION: &[u8] = b"null";

/// `Set-Cookie` for a new session of `lifetime_s` seconds. `secure` over HTTPS.
pub fn set_cookie(cookie_secret: &[u8; 32], token: &Secret, lifetime_s: u64, secure: bool) -> String {
    let mut value = format!("{}.", token.expose());
    form::percent_encode(&mut value, &base64(mac(cookie_secret, token.expose()).finalize().into_bytes()));
    cookie("session_token", &value, lifetime_s, secure)
}

/// The three `Set-Cookie` of a sign-out.
pub fn clear_cookies(secure: bool) -> [String; 3] {
    ["session_token", "session_data", "dont_remember"].map(|name| cookie(name, "", 0, secure))
}

fn cookie(name: &str, value: &str, max_age: u64, secure: bool) -> String {
    let (prefix, attribute) = if secure { (SECURE_PREFIX, "; Secure") } else { ("", "") };
    format!("{prefix}better-auth.{name}={value}; Max-Age={max_age}; Path=/; HttpOnly{attribute}; SameSite=Lax")
}

/// The session token inside a `Cookie` header, if its MAC is ours. Malformed cookies are no session, never an error
/// (CVE-2026-25748 was a malformed cookie that skipped authentication: here nothing but `Some` lets anyone in).
pub fn token_in_cookie<'a>(cookie_secret: &[u8; 32], header: &'a str, secure: bool) -> Option<&'a str> {
    let name = if secure { format!("{SECURE_PREFIX}{COOKIE}") } else { COOKIE.to_owned() };
    let value = header.split(';').find_map(|pair| pair.trim().strip_prefix(&*name)?.strip_prefix('='))?;
    let (token, tag) = value.split_once('.')?;
    if !SecretKind::SessionToken.is_well_formed(token) {
        return None;
    }
    // A browser sends back what it got, but clients exist that decode it first; a bare `+` must stay a plus.
    let tag = form::decode(tag.replace('+', "%2B").as_bytes()).ok()?.into_owned();
    let tag = base64_decode_padding_optional(tag.as_bytes())?;
    mac(cookie_secret, token).verify_slice(&tag).ok()?;
    Some(token)
}

/// True if the session still stands for its owner.
pub fn is_valid(signed_in: &SignedIn<'_>, tid: &str, view: &impl RevocationView, now: UnixSeconds) -> bool {
    !signed_in.user.suspended && is_live(signed_in, tid, view, now)
}

/// True if a cookie-authenticated POST may go ahead: browsers that send `Origin` must send a trusted one; command-line
/// clients send none (sigma.md 2.7).
pub fn origin_allowed(origin: Option<&str>, trusted: &[String]) -> bool {
    origin.is_none_or(|origin| trusted.iter().any(|trusted| trusted == origin))
}

/// Body of get-session. The token is shown only to its holder, as better-auth does.
pub fn render(session: &SessionFacts, user: &UserFacts, token: &str) -> String {
    let time =
        |seconds: UnixSeconds| rfc3339::format(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX / 2));
    let session_json = ObjectWriter::new()
        .string("id", &session.sid)
        .string("userId", &session.user_id)
        .string("token", token)
        .string("expiresAt", &time(session.expires_at))
        .string("createdAt", &time(session.created_at))
        .string("updatedAt", &time(session.created_at))
        .string("ipAddress", &session.ip)
        .string("userAgent", &session.user_agent)
        .finish();
    let user_json = ObjectWriter::new()
        .string("id", &user.user_id)
        .string("name", &user.name)
        .bool("emailVerified", false)
        .string("pubkey", &user.pubkey)
        .string_opt("bapId", user.bap_id.as_deref())
        .finish();
    ObjectWriter::new().raw("session", &session_json).raw("user", &user_json).finish()
}

fn mac(secret: &[u8; 32], token: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(token.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::{session, user};
    use crate::revocation::Level;
    use crate::revocation::tests::Table;

    const SECRET: [u8; 32] = [8; 32];

    fn token() -> Secret {
        Secret::from_random(SecretKind::SessionToken, &[1; 32])
    }

    #[test]
    fn cookies_come_back() {
        for secure in [false, true] {
            let set = set_cookie(&SECRET, &token(), 604_800, secure);
            assert!(set.ends_with("SameSite=Lax") && set.contains("HttpOnly") && set.contains("Max-Age=604800"));
            assert_eq!(set.contains("; Secure"), secure);
            assert_eq!(set.starts_with("__Secure-"), secure);
            let pair = set.split(';').next().unwrap();
            let expose = token();
            let check = |header: &str, expected: bool| {
                assert_eq!(token_in_cookie(&SECRET, header, secure) == Some(expose.expose()), expected, "{header}");
            };
            check(pair, true);
            check(&format!("a=b; {pair}; c=d"), true);
            check(&pair.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/"), true);
            check("", false);
            check(&pair[..pair.len() - 4], false);
            check(&pair.replace("as_st_", "as_st_0"), false);
            check(&format!("x{pair}"), false);
            check(&pair.replace('=', ""), false);
            check(&format!("{pair}%zz"), false);
            check(&format!("better-auth.session_token={}", expose.expose()), false);
            check(&format!("better-auth.session_token={}.", expose.expose()), false);
            assert_eq!(token_in_cookie(&[9; 32], pair, secure), None);
            assert_eq!(token_in_cookie(&SECRET, pair, !secure), None);
        }
    }

    #[test]
    fn malformed_cookies_are_no_session() {
        for header in [
            "=",
            ";;;",
            "better-auth.session_token",
            "better-auth.session_token=",
            "better-auth.session_token=.",
            "\u{fffd}",
            "better-auth.session_token=%",
        ] {
            assert_eq!(token_in_cookie(&SECRET, header, false), None, "{header}");
        }
    }

    #[test]
    fn validity() {
        let (session, user) = (session(), user());
        let valid =
            |user: &UserFacts, view: &Table, now| is_valid(&SignedIn { session: &session, user }, "default", view, now);
        assert!(valid(&user, &Table::default(), 1_000));
        assert!(!valid(&user, &Table::default(), session.expires_at));
        assert!(!valid(&UserFacts { suspended: true, ..user.clone() }, &Table::default(), 1_000));
        assert!(!valid(&UserFacts { user_id: "usr_2".into(), ..user.clone() }, &Table::default(), 1_000));
        assert!(!valid(&user, &Table::with(Level::Session, "s1", 11), 1_000));
        assert!(!valid(&user, &Table::with(Level::User, "usr_1", 11), 1_000));
        assert!(!valid(&user, &Table::with(Level::Tenant, "default", 11), 1_000));
        assert!(valid(&user, &Table::with(Level::Session, "s1", 10), 1_000));
    }

    #[test]
    fn attack_61_origins() {
        let trusted = ["https://id.example".to_owned()];
        assert!(origin_allowed(None, &trusted));
        assert!(origin_allowed(Some("https://id.example"), &trusted));
        for origin in [
            "null",
            "https://evil.example",
            "http://id.example",
            "https://id.example:444",
            "https://id.example.evil",
            "",
        ] {
            assert!(!origin_allowed(Some(origin), &trusted), "{origin}");
        }
    }

    #[test]
    fn get_session_shape() {
        let value: serde_json::Value = serde_json::from_str(&render(&session(), &user(), "t")).unwrap();
        assert_eq!(value["session"]["token"], "t");
        assert_eq!(value["session"]["createdAt"], "1970-01-01T00:15:00.000Z");
        assert_eq!(value["user"]["pubkey"], user().pubkey.as_str());
    }
}
