//! What the operator decides: one value per key, and where each value came from.
//!
//! A value comes from the flag, else the environment, else the file, else the default; every place is checked, so a
//! bad line in the file is reported even when a flag overrides it. The table of keys is `keys.rs`; this file owns the
//! typed [`Config`], the order of the places and the errors. It refuses to guess: an unknown key or an unknown
//! `ASSAY_` variable is an error that names its nearest neighbour. It holds no secret: those live in the data
//! directory, so every value here may be printed.

mod keys;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use keys::{Bound, KEYS, Key};
use value::Raw;

/// Declares a closed choice: the words an operator may write are the words `as_str` prints.
macro_rules! choice {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// The words an operator may write.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word an operator writes for this choice.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(in crate::config) fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

choice! {
    /// Whether session cookies carry `Secure`.
    CookieSecure {
        /// `Secure` on every cookie.
        Always = "always",
        /// `Secure` exactly when the issuer is https.
        Auto = "auto",
        /// Never `Secure`: for tests over plain http under another name.
        Never = "never",
    }
}
choice! {
    /// Whether rate limits and failure delays are applied.
    Limits {
        /// The quotas of this configuration are applied.
        Default = "default",
        /// No request is refused for its rate; memory, time and connection bounds stay.
        Off = "off",
    }
}
choice! {
    /// How log lines are written.
    LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For a person at a terminal.
        Pretty = "pretty",
    }
}
choice! {
    /// The least important log line that is still written.
    LogLevel {
        /// Failures only.
        Error = "error",
        /// And what an operator should look at.
        Warn = "warn",
        /// And what happens once per process or administrative act.
        Info = "info",
        /// And what happens per request.
        Debug = "debug",
        /// And what happens inside a request.
        Trace = "trace",
    }
}
choice! {
    /// Which driver moves bytes.
    RuntimeChoice {
        /// The faster of those that work here.
        Auto = "auto",
        /// tokio, one current-thread executor per core.
        Epoll = "epoll",
        /// glommio, one executor per core.
        IoUring = "io_uring",
    }
}

/// Every value an operator may set. Ranges are enforced by [`Config::load`]; 0 means what the key's help says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address of the public listener. Port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Address of the admin listener. Port 0 lets the kernel choose.
    pub admin_listen: SocketAddr,
    /// Where `client` and `keys` find the admin listener: an http origin. The server does not read it.
    pub admin: String,
    /// Directory of the database and of `admin.token`.
    pub data: PathBuf,
    /// The `iss` of every token: absolute http(s) URL, no query, fragment or trailing slash.
    /// With `listen` on port 0 and no issuer given, the server replaces it by [`Config::issuer_at`] once it is bound.
    pub issuer: String,
    /// Which driver moves bytes.
    pub runtime: RuntimeChoice,
    /// Executors, one pinned to each core; 1..=1024.
    pub cores: usize,
    /// Whether rate limits and failure delays are applied.
    pub limits: Limits,
    /// How log lines are written.
    pub log: LogFormat,
    /// The least important log line that is still written.
    pub log_level: LogLevel,
    /// Networks whose `X-Forwarded-For` is believed. Empty: the peer address is the client address.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose cookie-carrying POSTs are accepted, besides the issuer's: see [`Config::origin_is_trusted`].
    pub trusted_origins: Vec<String>,
    /// Page to which `/authorize` sends a browser without a session: a path here or an absolute http(s) URL.
    pub signin_page: String,
    /// Whether a first valid sign-in creates the user.
    pub implicit_signup: bool,
    /// Whether session cookies carry `Secure`: see [`Config::cookies_are_secure`].
    pub cookie_secure: CookieSecure,
    /// Seconds an access token lives, unless its client says otherwise; 60..=2_592_000.
    pub access_token_lifetime_s: u64,
    /// Seconds an id_token lives; 60..=86_400.
    pub id_token_lifetime_s: u64,
    /// Seconds an authorization code may be redeemed; 10..=600.
    pub code_lifetime_s: u64,
    /// Seconds a browser session lives; 60..=31_536_000.
    pub session_lifetime_s: u64,
    /// Days after which the signing key is replaced; 0 = only by command, else ..=3650.
    pub key_rotation_days: u64,
    /// Seconds others may cache the key set; 0..=86_400. A new key signs only after this long.
    pub jwks_max_age_s: u64,
    /// Requests per minute and address to the `oauth` class; 0 = unlimited.
    pub quota_oauth_per_min: u64,
    /// Sign-ins per minute and address; 0 = unlimited.
    pub quota_sign_in_per_min: u64,
    /// Requests per minute and user or client to the `api` class; 0 = unlimited.
    pub quota_api_per_min: u64,
    /// Introspected tokens per minute and client; 0 = unlimited.
    pub quota_introspect_per_min: u64,
    /// Bytes of request line and headers; 8192..=1_048_576.
    pub header_bytes_max: usize,
    /// Milliseconds from a request's first byte to the end of its headers; 100..=600_000.
    pub header_timeout_ms: u64,
    /// Milliseconds to receive a whole body; 100..=600_000.
    pub body_timeout_ms: u64,
    /// Milliseconds a connection may stay silent between requests; 100..=3_600_000.
    pub idle_timeout_ms: u64,
    /// Milliseconds from SIGTERM until what is still in flight is dropped; 0..=600_000.
    pub drain_timeout_ms: u64,
    /// Open connections per core; 16..=1_000_000.
    pub connections_max: usize,
    /// Requests per core between their headers and their response; 1..=1_000_000.
    pub in_flight_max: usize,
    /// Bytes per core of the cache of verified tokens; 0 = no cache, else ..=17_179_869_184.
    pub token_cache_bytes: usize,
    /// Threads that share batches larger than one core's turn; 1..=1024.
    pub engine_threads: usize,
    /// Commits that may wait for the writer; one more is answered "unavailable"; 16..=1_048_576.
    pub commit_queue_max: usize,
}

impl Config {
    /// Reads every place in order of precedence and checks every value.
    ///
    /// `env` may be the whole environment: only names beginning with `ASSAY_` are read.
    ///
    /// # Errors
    /// One line that names the key, the value, its bound and what to do.
    pub fn load(
        flags: Overrides,
        env: impl Iterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Loaded, ConfigError> {
        Self::load_on(&Machine::detect(), flags, env, file)
    }

    /// As [`Config::load`], with the facts about the machine as an argument.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_on(
        machine: &Machine,
        flags: Overrides,
        env: impl Iterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Loaded, ConfigError> {
        let mut loaded = Loaded { config: Self::blank(), origins: BTreeMap::new() };
        for key in KEYS {
            // A derived default waits for the keys it is derived from.
            if !key.default_is_derived {
                loaded.set(key, &Raw::Text(key.default), Origin::Default)?;
            }
        }
        if let Some(path) = file {
            loaded.apply_file(path)?;
        }
        loaded.apply_env(env)?;
        for (name, value) in flags.0 {
            let key = KEYS.iter().find(|key| key.flag == Some(name)).ok_or_else(|| ConfigError::UnknownKey {
                place: "command line".to_owned(),
                nearest: None,
                name: name.to_owned(),
            })?;
            loaded.set(key, &Raw::Text(&value), Origin::Flag(name))?;
        }
        loaded.derive(machine);
        loaded.check_relations()?;
        Ok(loaded)
    }

    /// The issuer the server has when none is given and its public listener is bound to `listen`.
    #[must_use]
    pub fn issuer_at(listen: SocketAddr) -> String {
        format!("http://{}", reachable(listen))
    }

    /// Whether a request whose `Origin` header is `origin` may carry the session cookie.
    #[must_use]
    pub fn origin_is_trusted(&self, origin: &str) -> bool {
        value::origin_of(&self.issuer) == origin || self.trusted_origins.iter().any(|trusted| trusted == origin)
    }

    /// Whether cookies carry `Secure`, with `auto` resolved by the issuer's scheme.
    #[must_use]
    pub fn cookies_are_secure(&self) -> bool {
        match self.cookie_secure {
            CookieSecure::Always => true,
            CookieSecure::Auto => self.issuer.starts_with("https://"),
            CookieSecure::Never => false,
        }
    }

    /// A configuration with no decision in it; every field is overwritten by a default before anyone sees it.
    fn blank() -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            listen: nowhere,
            admin_listen: nowhere,
            admin: String::new(),
            data: PathBuf::new(),
            issuer: String::new(),
            runtime: RuntimeChoice::Auto,
            cores: 0,
            limits: Limits::Default,
            log: LogFormat::Json,
            log_level: LogLevel::Info,
            trusted_proxies: Vec::new(),
            trusted_origins: Vec::new(),
            signin_page: String::new(),
            implicit_signup: false,
            cookie_secure: CookieSecure::Auto,
            access_token_lifetime_s: 0,
            id_token_lifetime_s: 0,
            code_lifetime_s: 0,
            session_lifetime_s: 0,
            key_rotation_days: 0,
            jwks_max_age_s: 0,
            quota_oauth_per_min: 0,
            quota_sign_in_per_min: 0,
            quota_api_per_min: 0,
            quota_introspect_per_min: 0,
            header_bytes_max: 0,
            header_timeout_ms: 0,
            body_timeout_ms: 0,
            idle_timeout_ms: 0,
            drain_timeout_ms: 0,
            connections_max: 0,
            in_flight_max: 0,
            token_cache_bytes: 0,
            engine_threads: 0,
            commit_queue_max: 0,
        }
    }
}

/// A checked configuration and the origin of each of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the value of the key called `name` came from; `Default` for a name that is no key.
    #[must_use]
    pub fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// Every key in table order with its value as text and its origin.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Key, String, &Origin)> {
        KEYS.iter().map(|key| (key, value::show(key, &self.config), self.origin(key.name)))
    }

    fn set(&mut self, key: &'static Key, raw: &Raw<'_>, origin: Origin) -> Result<(), ConfigError> {
        value::set(key, &mut self.config, raw).map_err(|()| ConfigError::BadValue {
            key,
            value: raw.printable(),
            origin: origin.clone(),
        })?;
        self.origins.insert(key.name, origin);
        Ok(())
    }

    fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile { path: path.to_owned(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::ParseFile {
            path: path.to_owned(),
            line: error
                .span()
                .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()),
            message: error.message().replace('\n', "; "),
        })?;
        self.apply_table(path, "", &table)
    }

    /// Walks nested tables, so that `[quota] api_per_min` and `quota.api_per_min` are the same key.
    fn apply_table(&mut self, path: &Path, prefix: &str, table: &toml::Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            match (KEYS.iter().find(|key| key.name == name), value) {
                (Some(key), value) => self.set(key, &Raw::Toml(value), Origin::File(path.to_owned()))?,
                (None, toml::Value::Table(inner)) if KEYS.iter().any(|key| is_inside(key.name, &name)) => {
                    self.apply_table(path, &format!("{name}."), inner)?;
                }
                (None, _) => {
                    return Err(ConfigError::UnknownKey {
                        place: path.display().to_string(),
                        nearest: value::nearest(&name, KEYS.iter().map(|key| key.name)),
                        name,
                    });
                }
            }
        }
        Ok(())
    }

    fn apply_env(&mut self, env: impl Iterator<Item = (String, String)>) -> Result<(), ConfigError> {
        for (name, text) in env {
            if !name.starts_with("ASSAY_") || ENV_OF_OTHERS.contains(&name.as_str()) || name.starts_with("ASSAY_TEST_")
            {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.env == name) else {
                return Err(ConfigError::UnknownKey {
                    place: "environment".to_owned(),
                    nearest: value::nearest(&name, KEYS.iter().map(|key| key.env).chain(ENV_OF_OTHERS.iter().copied())),
                    name,
                });
            };
            self.set(key, &Raw::Text(&text), Origin::Env(key.env))?;
        }
        Ok(())
    }

    /// Fills the keys whose default depends on another key or on the machine.
    fn derive(&mut self, machine: &Machine) {
        let given = |name: &str| self.origins.contains_key(name);
        let config = &mut self.config;
        if !given("admin") {
            config.admin = format!("http://{}", reachable(config.admin_listen));
        }
        if !given("issuer") {
            config.issuer = Config::issuer_at(config.listen);
        }
        if !given("cores") {
            config.cores = machine.cores.clamp(1, 1024);
        }
        if !given("engine_threads") {
            config.engine_threads = config.cores;
        }
        if !given("log") {
            config.log = if machine.stderr_is_terminal { LogFormat::Pretty } else { LogFormat::Json };
        }
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        if config.listen == config.admin_listen && config.listen.port() != 0 {
            return Err(ConfigError::SameAddress(config.listen));
        }
        Ok(())
    }
}

/// Variables that begin with `ASSAY_` and are read by the command line itself, not by a key.
/// (`ASSAY_TEST_…` is left to test suites.)
const ENV_OF_OTHERS: &[&str] = &["ASSAY_CONFIG", "ASSAY_KEY"];

fn is_inside(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

/// A bound-to-everything address is no address to connect to: the loopback of its family stands for it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Values from the command line, by flag name without its dashes.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<(&'static str, String)>);

impl Overrides {
    /// Sets the key whose flag is `--flag`; a later value wins.
    pub fn set(&mut self, flag: &'static str, value: impl Into<String>) {
        self.0.push((flag, value.into()));
    }
}

/// What defaults depend on besides other keys.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Whether a person reads the log.
    pub stderr_is_terminal: bool,
}

impl Machine {
    /// Asks the operating system; one core when it will not say.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The environment variable of this name.
    Env(&'static str),
    /// The configuration file at this path.
    File(PathBuf),
    /// The command-line flag of this name, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Why there is no configuration. `Display` is one line: what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is of the wrong kind or outside its bound.
    #[error(
        "{} = {value} ({origin}) is not valid: it must be {}; change it, or remove it to use the default ({})",
        key.name, key.bound_text(), if key.default.is_empty() { "empty" } else { key.default }
    )]
    BadValue {
        /// The key it was given for.
        key: &'static Key,
        /// The value, escaped and cut to a line.
        value: String,
        /// Where it was given.
        origin: Origin,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}; correct the file", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}; correct --config or ASSAY_CONFIG", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Both listeners were given one address.
    #[error("listen and admin_listen are both {0}; give the admin listener an address of its own")]
    SameAddress(SocketAddr),
    /// A name that is no key; its value is not repeated, it might be anything.
    #[error(
        "{name:?} ({place}) is not a key{}; `assay check-config` without it lists every key",
        nearest.map(|nearest| format!(", did you mean {nearest}?")).unwrap_or_default()
    )]
    UnknownKey {
        /// The file, or "environment".
        place: String,
        /// The name as written.
        name: String,
        /// The key that looks most like it, if one does.
        nearest: Option<&'static str>,
    },
}

#[cfg(test)]
mod tests;
