//! Redirect URIs: what may be registered, and what matches what was registered.
//!
//! Matching is byte equality, with the one exception of RFC 8252 §7.3 (a native app's loopback port). No normalisation,
//! no pattern: every parser difference between us and a browser is a hole (attacks 51, 52).

use crate::limits::REDIRECT_URI_BYTES_MAX;

/// Why a URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A control, space, quote, backslash or non-ASCII character.
    #[error("contains a forbidden character")]
    Character,
    /// `#`.
    #[error("has a fragment")]
    Fragment,
    /// Empty, malformed, trailing dot, percent escapes, upper case.
    #[error("has a malformed host")]
    Host,
    /// `http` to a host other than 127.0.0.1, `[::1]` or localhost.
    #[error("must use https unless the host is loopback")]
    Insecure,
    /// Longer than [`REDIRECT_URI_BYTES_MAX`].
    #[error("is too long")]
    Length,
    /// `.` or `..`, written plainly or escaped.
    #[error("has dot segments in its path")]
    Path,
    /// Not 1–65535, or with leading zeros.
    #[error("has a malformed port")]
    Port,
    /// Neither https, http, nor a native app's reverse-domain scheme.
    #[error("has a scheme that is not allowed")]
    Scheme,
    /// `@` in the authority.
    #[error("has user information")]
    Userinfo,
}

/// Judges a URI at registration.
///
/// # Errors
/// The first reason found.
pub fn validate(uri: &str, native: bool) -> Result<(), Refused> {
    if uri.len() > REDIRECT_URI_BYTES_MAX {
        return Err(Refused::Length);
    }
    if uri.bytes().any(|b| {
        !(0x21..=0x7E).contains(&b) || matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    }) {
        return Err(Refused::Character);
    }
    if uri.contains('#') {
        return Err(Refused::Fragment);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(Refused::Scheme)?;
    match scheme {
        "https" | "http" => {
            let rest = rest.strip_prefix("//").ok_or(Refused::Host)?;
            let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, tail) = rest.split_at(authority_end);
            let host = validate_authority(authority)?;
            if scheme == "http" && !matches!(host, "127.0.0.1" | "[::1]" | "localhost") {
                return Err(Refused::Insecure);
            }
            validate_path(tail)
        }
        // RFC 8252 §7.1: a private-use scheme is a domain name reversed, so it has a dot; `javascript` has none.
        _ if native && is_private_use_scheme(scheme) => {
            if rest.len() > 1 && rest.starts_with('/') {
                validate_path(rest)
            } else {
                Err(Refused::Path)
            }
        }
        _ => Err(Refused::Scheme),
    }
}

/// True if `presented` is one of the `registered`, byte for byte, or differs from a loopback one in its port only.
pub fn matches(registered: &[String], presented: &str, native: bool) -> bool {
    registered.iter().any(|uri| uri == presented)
        || native
            && split_loopback(presented).is_some_and(|presented| {
                registered.iter().filter_map(|uri| split_loopback(uri)).any(|uri| uri == presented)
            })
}

/// A loopback http URI without its port: (host part, rest). `None` for everything else.
fn split_loopback(uri: &str) -> Option<(&'static str, &str)> {
    let (host, rest) = ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find_map(|host| uri.strip_prefix(host).map(|rest| (host, rest)))?;
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(after) => {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            is_port(&after[..digits]).then_some(&after[digits..])?
        }
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn validate_authority(authority: &str) -> Result<&str, Refused> {
    if authority.contains('@') {
        return Err(Refused::Userinfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let end = inner.find(']').ok_or(Refused::Host)?;
            inner[..end].parse::<std::net::Ipv6Addr>().map_err(|_| Refused::Host)?;
            let (host, port) = authority.split_at(end + 2);
            match port {
                "" => (host, None),
                _ => (host, Some(port.strip_prefix(':').ok_or(Refused::Host)?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err(Refused::Port);
    }
    if host.starts_with('[') { Ok(host) } else { validate_name(host).map(|()| host) }
}

/// A lower-case DNS name or a four-part IPv4 address. A last label that looks numeric is read by browsers as an
/// IPv4 address in one of its odd spellings (`127.1`, `0x7f.1`), so only the plain spelling passes.
fn validate_name(host: &str) -> Result<(), Refused> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if host.len() > 253 || !host.split('.').all(label_ok) {
        return Err(Refused::Host);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if numeric && host.parse::<std::net::Ipv4Addr>().map(|ip| ip.to_string()) != Ok(host.to_owned()) {
        return Err(Refused::Host);
    }
    Ok(())
}

fn validate_path(tail: &str) -> Result<(), Refused> {
    let path = tail.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    if lower.split('/').any(|segment| matches!(segment, "." | "..")) || lower.contains("%2f") || lower.contains("%5c") {
        return Err(Refused::Path);
    }
    let bytes = tail.as_bytes();
    let escapes_ok = bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)));
    if escapes_ok { Ok(()) } else { Err(Refused::Character) }
}

fn is_private_use_scheme(scheme: &str) -> bool {
    scheme.contains('.')
        && scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attack_51_redirect_uri_variants() {
        fn check(presented: &str, expected: bool) {
            let registered = ["https://app.example/cb".to_owned(), "https://app.example/q?a=1".to_owned()];
            for native in [false, true] {
                assert_eq!(matches(&registered, presented, native), expected, "{presented}");
            }
        }
        check("https://app.example/cb", true);
        check("https://app.example/q?a=1", true);
        check("https://app.example/cb/", false);
        check("https://app.example/cb/evil", false);
        check("https://app.example/cb?x=1", false);
        check("https://app.example/q?a=1&b=2", false);
        check("https://app.example/cb#f", false);
        check("https://app.example@evil.example/cb", false);
        check("https://evil@app.example/cb", false);
        check("https://app.example/x/%2e%2e/cb", false);
        check("https://app.example/x/../cb", false);
        check("https://APP.example/cb", false);
        check("https://app.example/CB", false);
        check("https://app.example./cb", false);
        check("https://xn--pp-example-0ye/cb", false);
        check("https://аpp.example/cb", false); // Cyrillic а
        check("https://app.example\\cb", false);
        check("https:\\\\app.example\\cb", false);
        check("javascript:alert(1)", false);
        check("https://app.example:443/cb", false);
        check("https://app.example:8443/cb", false);
        check("http://app.example/cb", false);
        check(" https://app.example/cb", false);
        check("https://app.example/cb ", false);
        check("https://app.example/cb\0", false);
        check("https://app.example/cb%00", false);
        check("//app.example/cb", false);
        check("", false);
    }

    #[test]
    fn attack_52_loopback_ports_for_native_clients() {
        fn check(presented: &str, expected_native: bool) {
            let registered =
                ["http://127.0.0.1/cb".to_owned(), "http://[::1]:7000/cb".to_owned(), "http://localhost/cb".to_owned()];
            assert_eq!(matches(&registered, presented, true), expected_native, "{presented}");
            assert_eq!(
                matches(&registered, presented, false),
                registered.iter().any(|uri| uri == presented),
                "{presented}"
            );
        }
        check("http://127.0.0.1/cb", true);
        check("http://127.0.0.1:1/cb", true);
        check("http://127.0.0.1:65535/cb", true);
        check("http://[::1]/cb", true);
        check("http://[::1]:9/cb", true);
        check("http://localhost/cb", true);
        check("http://localhost:9/cb", false);
        check("http://127.1:9/cb", false);
        check("http://0x7f.1/cb", false);
        check("http://[::ffff:127.0.0.1]/cb", false);
        check("http://2130706433/cb", false);
        check("http://127.0.0.2/cb", false);
        check("http://127.0.0.1:0/cb", false);
        check("http://127.0.0.1:65536/cb", false);
        check("http://127.0.0.1:080/cb", false);
        check("http://127.0.0.1:/cb", false);
        check("http://127.0.0.1:+80/cb", false);
        check("http://127.0.0.1:80@evil.example/cb", false);
        check("http://127.0.0.1.evil.example/cb", false);
        check("http://127.0.0.1@evil.example/cb", false);
        check("http://127.0.0.1:80/cb/..", false);
        check("http://127.0.0.1:80/cb?x", false);
        check("http://127.0.0.1:80/", false);
        check("https://127.0.0.1:80/cb", false);
        check("http://[::1]:99999/cb", false);
        check("http://[0:0:0:0:0:0:0:1]/cb", false);
    }

    #[test]
    fn registration() {
        fn check(uri: &str, native: bool, expected: Result<(), Refused>) {
            assert_eq!(validate(uri, native), expected, "{uri}");
        }
        check("https://app.example/cb", false, Ok(()));
        check("https://app.example", false, Ok(()));
        check("https://app.example:8443/cb?x=%20", false, Ok(()));
        check("https://192.0.2.7/cb", false, Ok(()));
        check("https://[2001:db8::1]:8443/cb", false, Ok(()));
        check("http://127.0.0.1/cb", false, Ok(()));
        check("http://127.0.0.1:3000/cb", false, Ok(()));
        check("http://[::1]/cb", true, Ok(()));
        check("http://localhost:3000/cb", false, Ok(()));
        check("com.example.app:/cb", true, Ok(()));
        check("com.example.app:/cb", false, Err(Refused::Scheme));
        check("com.example.app:cb", true, Err(Refused::Path));
        check("javascript:alert(1)", true, Err(Refused::Scheme));
        check("data:text/html,x", true, Err(Refused::Scheme));
        check("ftp://app.example/cb", false, Err(Refused::Scheme));
        check("HTTPS://app.example/cb", false, Err(Refused::Scheme));
        check("//app.example/cb", false, Err(Refused::Scheme));
        check("/cb", false, Err(Refused::Scheme));
        check("", false, Err(Refused::Scheme));
        check("http://app.example/cb", false, Err(Refused::Insecure));
        check("http://127.1/cb", false, Err(Refused::Host));
        check("http://[::ffff:127.0.0.1]/cb", false, Err(Refused::Insecure));
        check("https://0x7f.1/cb", false, Err(Refused::Host));
        check("https://app.0x7f/cb", false, Err(Refused::Host));
        check("https://app.example./cb", false, Err(Refused::Host));
        check("https://App.example/cb", false, Err(Refused::Host));
        check("https:///cb", false, Err(Refused::Host));
        check("https:/app.example/cb", false, Err(Refused::Host));
        check("https://app..example/cb", false, Err(Refused::Host));
        check("https://%61pp.example/cb", false, Err(Refused::Host));
        check("https://*.example/cb", false, Err(Refused::Host));
        check("https://[::1/cb", false, Err(Refused::Host));
        check("https://[::1]x/cb", false, Err(Refused::Host));
        check("https://app.example:/cb", false, Err(Refused::Port));
        check("https://app.example:0/cb", false, Err(Refused::Port));
        check("https://app.example:65536/cb", false, Err(Refused::Port));
        check("https://app.example:80:80/cb", false, Err(Refused::Port));
        check("https://a@app.example/cb", false, Err(Refused::Userinfo));
        check("https://app.example/cb#", false, Err(Refused::Fragment));
        check("https://app.example/a/../cb", false, Err(Refused::Path));
        check("https://app.example/a/%2E%2e/cb", false, Err(Refused::Path));
        check("https://app.example/a%2fcb", false, Err(Refused::Path));
        check("https://app.example/%zz", false, Err(Refused::Character));
        check("https://app.example/%", false, Err(Refused::Character));
        check("https://app.example\\cb", false, Err(Refused::Character));
        check("https://app.example/ cb", false, Err(Refused::Character));
        check("https://äpp.example/cb", false, Err(Refused::Character));
        check(&format!("https://app.example/{}", "a".repeat(3_000)), false, Err(Refused::Length));
    }

    proptest! {
        #[test]
        fn only_ports_may_differ(text in ".{0,80}", native: bool) {
            let registered = ["http://127.0.0.1:8000/cb".to_owned()];
            if matches(&registered, &text, native) {
                prop_assert!(text.starts_with("http://127.0.0.1"));
                prop_assert!(text.ends_with("/cb"));
            }
            let _ = validate(&text, native);
        }

        #[test]
        fn flipped_bytes_never_match(at in any::<prop::sample::Index>(), to in 0x20u8..0x7f) {
            let uri = "https://app.example/cb?x=1";
            let at = at.index(uri.len());
            let mut bytes = uri.as_bytes().to_vec();
            bytes[at] = to;
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(matches(&[uri.to_owned()], &text, true), text == uri);
        }
    }
}
