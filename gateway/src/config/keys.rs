//! THE table of configuration keys: a row is everything an operator may know about one key.
//!
//! To add a key: a field in [`Config`] (and in its blank), a row here. `check-config`, the command-line flags, the
//! environment and the file all read this table; nothing else lists keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Config, CookieSecure, Limits, LogFormat, LogLevel, RuntimeChoice};

/// One configuration key.
pub struct Key {
    /// Name in the file; a dot descends into a table.
    pub name: &'static str,
    /// Environment variable: the name in capitals, `ASSAY_` before it, dots as underscores.
    pub env: &'static str,
    /// Command-line flag without its dashes, for keys that have one.
    pub flag: Option<&'static str>,
    /// Unit of the value, empty for a value without one.
    pub unit: &'static str,
    /// The default as an operator would write it, or what it is derived from.
    pub default: &'static str,
    /// Whether `default` is a description of something computed rather than a value.
    pub default_is_derived: bool,
    /// What values are accepted.
    pub bound: Bound,
    /// One line for `--help`.
    pub help: &'static str,
    pub(super) slot: Slot,
}

impl Key {
    /// The bound with its unit, as it follows "must be".
    #[must_use]
    pub fn bound_text(&self) -> String {
        match self.bound {
            Bound::OneOf(words) => format!("one of {}", words.join(", ")),
            Bound::Range(..) if self.unit.is_empty() => format!("{}", self.bound),
            Bound::Range(..) => format!("{} ({})", self.bound, self.unit),
            Bound::Shape(shape) => shape.to_owned(),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// What values a key accepts.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number from the first to the second, both included.
    Range(u64, u64),
    /// A value of this shape, in words.
    Shape(&'static str),
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneOf(words) => f.write_str(&words.join("|")),
            Self::Range(min, max) => write!(f, "{min}..={max}"),
            Self::Shape(shape) => f.write_str(shape),
        }
    }
}

/// Where a key's value lives, and so what kind it is.
pub(super) enum Slot {
    Address(fn(&mut Config) -> &mut SocketAddr),
    Boolean(fn(&mut Config) -> &mut bool),
    Choice { set: fn(&mut Config, &str) -> Option<()>, show: fn(&Config) -> &'static str },
    Count(fn(&mut Config) -> &mut usize),
    Directory(fn(&mut Config) -> &mut PathBuf),
    Integer(fn(&mut Config) -> &mut u64),
    Networks(fn(&mut Config) -> &mut Vec<IpNet>),
    Origins(fn(&mut Config) -> &mut Vec<String>),
    Text { check: fn(&str) -> bool, at: fn(&mut Config) -> &mut String },
}

macro_rules! choice_slot {
    ($kind:ident, $field:ident) => {
        Slot::Choice {
            set: |config, word| {
                config.$field = $kind::parse(word)?;
                Some(())
            },
            show: |config| config.$field.as_str(),
        }
    };
}

const BOOLEAN: Bound = Bound::OneOf(&["true", "false"]);
const ADDRESS: Bound = Bound::Shape("an IP address and port, such as 127.0.0.1:8080 or [::1]:8080");
const PER_MIN: Bound = Bound::Range(0, 1_000_000_000);
const DEADLINE_MS: Bound = Bound::Range(100, 600_000);

/// A row with a fixed default; the other fields follow by struct update.
const ROW: Key = Key {
    name: "",
    env: "",
    flag: None,
    unit: "",
    default: "",
    default_is_derived: false,
    bound: BOOLEAN,
    help: "",
    slot: Slot::Boolean(|config| &mut config.implicit_signup),
};

/// Every key, in the order in which `check-config` prints them.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "listen", env: "ASSAY_LISTEN", flag: Some("listen"), unit: "address:port", default: "127.0.0.1:8080", bound: ADDRESS,
        help: "Public listener; port 0 lets the kernel choose", slot: Slot::Address(|c| &mut c.listen), ..ROW },
    Key { name: "admin_listen", env: "ASSAY_ADMIN_LISTEN", flag: Some("admin-listen"), unit: "address:port", default: "127.0.0.1:8081", bound: ADDRESS,
        help: "Admin listener; keep it on an address only operators reach", slot: Slot::Address(|c| &mut c.admin_listen), ..ROW },
    Key { name: "admin", env: "ASSAY_ADMIN", flag: Some("admin"), unit: "URL", default: "http://<admin_listen>", default_is_derived: true,
        bound: Bound::Shape("an http URL without path, such as http://127.0.0.1:8081"),
        help: "Where `client` and `keys` find the admin listener", slot: Slot::Text { check: super::value::is_admin_url, at: |c| &mut c.admin } },
    Key { name: "data", env: "ASSAY_DATA", flag: Some("data"), unit: "directory", default: "./data", bound: Bound::Shape("a directory path"),
        help: "Directory of the database and of admin.token", slot: Slot::Directory(|c| &mut c.data), ..ROW },
    Key { name: "issuer", env: "ASSAY_ISSUER", flag: Some("issuer"), unit: "URL", default: "http://<listen>", default_is_derived: true,
        bound: Bound::Shape("an absolute http or https URL, host in lower case, without user, query, fragment or trailing slash"),
        help: "The `iss` of every token: the URL under which clients reach this server", slot: Slot::Text { check: super::value::is_issuer, at: |c| &mut c.issuer } },
    Key { name: "runtime", env: "ASSAY_RUNTIME", flag: Some("runtime"), default: "auto", bound: Bound::OneOf(RuntimeChoice::WORDS),
        help: "Which driver moves bytes; auto takes the faster of those that work here", slot: choice_slot!(RuntimeChoice, runtime), ..ROW },
    Key { name: "cores", env: "ASSAY_CORES", flag: Some("cores"), unit: "cores", default: "all available", default_is_derived: true, bound: Bound::Range(1, 1024),
        help: "Executors, one pinned to each core", slot: Slot::Count(|c| &mut c.cores) },
    Key { name: "limits", env: "ASSAY_LIMITS", flag: Some("limits"), default: "default", bound: Bound::OneOf(Limits::WORDS),
        help: "Rate limits and failure delays; off is for load tests", slot: choice_slot!(Limits, limits), ..ROW },
    Key { name: "log", env: "ASSAY_LOG", flag: Some("log"), default: "pretty on a terminal, else json", default_is_derived: true, bound: Bound::OneOf(LogFormat::WORDS),
        help: "How log lines are written", slot: choice_slot!(LogFormat, log), ..ROW },
    Key { name: "log_level", env: "ASSAY_LOG_LEVEL", default: "info", bound: Bound::OneOf(LogLevel::WORDS),
        help: "The least important log line that is still written", slot: choice_slot!(LogLevel, log_level), ..ROW },
    Key { name: "trusted_proxies", env: "ASSAY_TRUSTED_PROXIES", unit: "CIDR list", default: "", bound: Bound::Shape("a list of IP networks, such as 10.0.0.0/8 (comma-separated outside the file)"),
        help: "Networks whose X-Forwarded-For is believed", slot: Slot::Networks(|c| &mut c.trusted_proxies), ..ROW },
    Key { name: "trusted_origins", env: "ASSAY_TRUSTED_ORIGINS", unit: "origin list", default: "", bound: Bound::Shape("a list of origins, such as https://app.example (comma-separated outside the file)"),
        help: "Origins whose cookie-carrying POSTs are accepted, besides the issuer's", slot: Slot::Origins(|c| &mut c.trusted_origins), ..ROW },
    Key { name: "signin_page", env: "ASSAY_SIGNIN_PAGE", unit: "path or URL", default: "/sign-in", bound: Bound::Shape("a path beginning with one slash, or an absolute http or https URL, without query or fragment"),
        help: "Page to which /authorize sends a browser without a session", slot: Slot::Text { check: super::value::is_page, at: |c| &mut c.signin_page }, ..ROW },
    Key { name: "implicit_signup", env: "ASSAY_IMPLICIT_SIGNUP", default: "true", bound: BOOLEAN,
        help: "Whether a first valid sign-in creates the user", slot: Slot::Boolean(|c| &mut c.implicit_signup), ..ROW },
    Key { name: "cookie_secure", env: "ASSAY_COOKIE_SECURE", default: "auto", bound: Bound::OneOf(CookieSecure::WORDS),
        help: "Whether cookies carry Secure; auto: exactly when the issuer is https", slot: choice_slot!(CookieSecure, cookie_secure), ..ROW },
    Key { name: "access_token_lifetime_s", env: "ASSAY_ACCESS_TOKEN_LIFETIME_S", unit: "seconds", default: "900", bound: Bound::Range(60, 2_592_000),
        help: "Life of an access token, unless its client says otherwise", slot: Slot::Integer(|c| &mut c.access_token_lifetime_s), ..ROW },
    Key { name: "id_token_lifetime_s", env: "ASSAY_ID_TOKEN_LIFETIME_S", unit: "seconds", default: "36000", bound: Bound::Range(60, 86_400),
        help: "Life of an id_token", slot: Slot::Integer(|c| &mut c.id_token_lifetime_s), ..ROW },
    Key { name: "code_lifetime_s", env: "ASSAY_CODE_LIFETIME_S", unit: "seconds", default: "60", bound: Bound::Range(10, 600),
        help: "How long an authorization code may be redeemed", slot: Slot::Integer(|c| &mut c.code_lifetime_s), ..ROW },
    Key { name: "session_lifetime_s", env: "ASSAY_SESSION_LIFETIME_S", unit: "seconds", default: "604800", bound: Bound::Range(60, 31_536_000),
        help: "Life of a browser session", slot: Slot::Integer(|c| &mut c.session_lifetime_s), ..ROW },
    Key { name: "key_rotation_days", env: "ASSAY_KEY_ROTATION_DAYS", unit: "days", default: "30", bound: Bound::Range(0, 3650),
        help: "Age at which the signing key is replaced; 0 = only by `assay keys rotate`", slot: Slot::Integer(|c| &mut c.key_rotation_days), ..ROW },
    Key { name: "jwks_max_age_s", env: "ASSAY_JWKS_MAX_AGE_S", unit: "seconds", default: "300", bound: Bound::Range(0, 86_400),
        help: "How long others may cache the key set; a new key signs only after this long", slot: Slot::Integer(|c| &mut c.jwks_max_age_s), ..ROW },
    Key { name: "quota.oauth_per_min", env: "ASSAY_QUOTA_OAUTH_PER_MIN", unit: "requests/min/address", default: "10", bound: PER_MIN,
        help: "Quota of the oauth class; 0 = unlimited", slot: Slot::Integer(|c| &mut c.quota_oauth_per_min), ..ROW },
    Key { name: "quota.sign_in_per_min", env: "ASSAY_QUOTA_SIGN_IN_PER_MIN", unit: "requests/min/address", default: "5", bound: PER_MIN,
        help: "Quota of sign-ins; 0 = unlimited", slot: Slot::Integer(|c| &mut c.quota_sign_in_per_min), ..ROW },
    Key { name: "quota.api_per_min", env: "ASSAY_QUOTA_API_PER_MIN", unit: "requests/min/caller", default: "100", bound: PER_MIN,
        help: "Quota of the api class per user or client; 0 = unlimited", slot: Slot::Integer(|c| &mut c.quota_api_per_min), ..ROW },
    Key { name: "quota.introspect_per_min", env: "ASSAY_QUOTA_INTROSPECT_PER_MIN", unit: "tokens/min/client", default: "60000000", bound: PER_MIN,
        help: "Quota of introspected tokens per client; 0 = unlimited", slot: Slot::Integer(|c| &mut c.quota_introspect_per_min), ..ROW },
    Key { name: "header_bytes_max", env: "ASSAY_HEADER_BYTES_MAX", unit: "bytes", default: "16384", bound: Bound::Range(8192, 1_048_576),
        help: "Request line and headers", slot: Slot::Count(|c| &mut c.header_bytes_max), ..ROW },
    Key { name: "header_timeout_ms", env: "ASSAY_HEADER_TIMEOUT_MS", unit: "milliseconds", default: "10000", bound: DEADLINE_MS,
        help: "From a request's first byte to the end of its headers", slot: Slot::Integer(|c| &mut c.header_timeout_ms), ..ROW },
    Key { name: "body_timeout_ms", env: "ASSAY_BODY_TIMEOUT_MS", unit: "milliseconds", default: "10000", bound: DEADLINE_MS,
        help: "To receive a whole body", slot: Slot::Integer(|c| &mut c.body_timeout_ms), ..ROW },
    Key { name: "idle_timeout_ms", env: "ASSAY_IDLE_TIMEOUT_MS", unit: "milliseconds", default: "60000", bound: Bound::Range(100, 3_600_000),
        help: "Silence of a connection between requests", slot: Slot::Integer(|c| &mut c.idle_timeout_ms), ..ROW },
    Key { name: "drain_timeout_ms", env: "ASSAY_DRAIN_TIMEOUT_MS", unit: "milliseconds", default: "10000", bound: Bound::Range(0, 600_000),
        help: "From SIGTERM until what is still in flight is dropped", slot: Slot::Integer(|c| &mut c.drain_timeout_ms), ..ROW },
    Key { name: "connections_max", env: "ASSAY_CONNECTIONS_MAX", unit: "connections/core", default: "16384", bound: Bound::Range(16, 1_000_000),
        help: "Open connections", slot: Slot::Count(|c| &mut c.connections_max), ..ROW },
    Key { name: "in_flight_max", env: "ASSAY_IN_FLIGHT_MAX", unit: "requests/core", default: "4096", bound: Bound::Range(1, 1_000_000),
        help: "Requests between their headers and their response", slot: Slot::Count(|c| &mut c.in_flight_max), ..ROW },
    Key { name: "token_cache_bytes", env: "ASSAY_TOKEN_CACHE_BYTES", unit: "bytes/core", default: "67108864", bound: Bound::Range(0, 17_179_869_184),
        help: "Cache of verified tokens; 0 = no cache", slot: Slot::Count(|c| &mut c.token_cache_bytes), ..ROW },
    Key { name: "engine_threads", env: "ASSAY_ENGINE_THREADS", unit: "threads", default: "as cores", default_is_derived: true, bound: Bound::Range(1, 1024),
        help: "Threads that share batches larger than one core's turn", slot: Slot::Count(|c| &mut c.engine_threads), ..ROW },
    Key { name: "commit_queue_max", env: "ASSAY_COMMIT_QUEUE_MAX", unit: "commits", default: "8192", bound: Bound::Range(16, 1_048_576),
        help: "Commits that may wait for the writer; one more is answered unavailable", slot: Slot::Count(|c| &mut c.commit_queue_max), ..ROW },
];
