//! What every line is held against: the keys, the claims expected, the scheme allowed, the time. Read-only, shared by all
//! workers.

use assay_oauth::rfc3339;

use super::keys::KeyRing;
use super::reason::Scheme;
use crate::clock;

/// Which lines may be judged at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Whatever a line is.
    #[default]
    Auto,
    /// Bitcoin-auth tokens of either scheme.
    BitcoinAuth,
    /// JWTs of any algorithm.
    Jwt,
    /// One scheme, in whatever shape it comes.
    Only(Scheme),
}

/// The words of `--scheme` besides the schemes' own.
pub(super) const FILTER_FAMILIES: [&str; 3] = ["auto", "bitcoin-auth", "jwt"];

impl Filter {
    /// Reads the value of `--scheme`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "bitcoin-auth" => Some(Self::BitcoinAuth),
            "jwt" => Some(Self::Jwt),
            name => Scheme::from_name(name).map(Self::Only),
        }
    }

    pub(super) fn allows_jwt(self) -> bool {
        match self {
            Self::Auto | Self::Jwt => true,
            Self::BitcoinAuth => false,
            Self::Only(scheme) => self.wants_jwt_only() || matches!(scheme, Scheme::EdDsa | Scheme::Es256),
        }
    }

    /// True if nothing but a JWT could pass, so that there must be keys.
    pub(super) fn wants_jwt_only(self) -> bool {
        matches!(self, Self::Jwt | Self::Only(Scheme::Es256k | Scheme::Hs256 | Scheme::Rs256))
    }

    pub(super) fn allows_bitcoin_auth(self) -> bool {
        matches!(self, Self::Auto | Self::BitcoinAuth | Self::Only(Scheme::Brc77 | Scheme::Bsm))
    }

    pub(super) fn allows_signed_message(self) -> bool {
        match self {
            Self::Auto => true,
            Self::BitcoinAuth | Self::Jwt => false,
            Self::Only(_) => !self.wants_jwt_only(),
        }
    }

    pub(super) fn allows(self, scheme: Scheme) -> bool {
        match self {
            Self::Only(only) => only == scheme,
            Self::Auto | Self::BitcoinAuth | Self::Jwt => true,
        }
    }
}

/// What every line is held against.
#[derive(Default)]
pub struct Rules {
    /// Which lines may be judged.
    pub filter: Filter,
    /// The keys of JWTs.
    pub keys: KeyRing,
    /// The one `iss` that will do.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; empty asks for nothing.
    pub audiences: Vec<String>,
    /// Seconds by which `exp` and `nbf` may be missed.
    pub leeway_s: u64,
    /// The moment of judgement, milliseconds since the epoch; the clock's when `None`.
    pub now_ms: Option<u64>,
    /// The path of bitcoin-auth tokens; their own when `None`.
    pub path: Option<String>,
    /// Whether the age of bitcoin-auth tokens does not matter.
    pub ignore_freshness: bool,
}

impl Rules {
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.unwrap_or_else(clock::unix_ms)
    }
}

/// Reads `--now`: RFC 3339, or seconds since the epoch.
pub(super) fn parse_now(text: &str) -> Option<u64> {
    // Twelve digits reach past the year 9999; more are somebody's milliseconds.
    if !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1_000);
    }
    u64::try_from(rfc3339::parse(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_now(text), expected, "{text:?}");
        }
        check("0", Some(0));
        check("1768478400", Some(1_768_478_400_000));
        check("2026-01-15T12:00:00Z", Some(1_768_478_400_000));
        check("2026-01-15T13:00:00.5+01:00", Some(1_768_478_400_500));
        for bad in ["", "-1", "1.5", "now", "1768478400000", "2026-01-15", "1969-01-01T00:00:00Z"] {
            check(bad, None);
        }
    }

    #[test]
    fn every_word_of_scheme_is_a_filter() {
        for name in FILTER_FAMILIES.into_iter().chain(Scheme::ALL.iter().map(|scheme| scheme.as_str())) {
            assert!(Filter::from_name(name).is_some(), "{name}");
        }
        assert_eq!(Filter::from_name("ES256"), None);
    }
}
