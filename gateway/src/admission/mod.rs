//! Admission: who is let in, decided before the body is read and before any signature is looked at.
//!
//! A request meets three gates, cheapest first, and each one answers at once or never:
//!
//! 1. **IP limit** ([`limiter`]): the client's address group ([`client_ip`]) is charged to the route's [`Class`].
//!    One table per class, shared by all cores, so a quota is exact however connections are spread.
//!    After authentication the `api` and `introspect` classes charge the user or client instead.
//! 2. **In-flight cap** ([`in_flight`]): requests inside handlers of this core. Beyond it the answer is 503, not a queue.
//! 3. **Failure delays** ([`delays`]): an account or key that failed lately is refused without being verified.
//!
//! A refusal costs no allocation, writes nothing and extends nothing. Memory is allocated at start and never grows,
//! whatever an attacker sends. The module reads no clock (`now` is an argument), does no I/O, and knows neither HTTP
//! types nor storage: [`headers`] emits names and values, [`delays`] returns the rows its caller persists.

pub mod client_ip;
pub mod delays;
pub mod headers;
pub mod in_flight;
pub mod limiter;
#[cfg(test)]
mod simulation;

use std::net::IpAddr;

use client_ip::{AddressGroup, ForwardedHeader, TrustedProxies};
use delays::Delays;
use ipnet::IpNet;
use limiter::{Limiter, Quota, QuotaError};

/// Milliseconds since the Unix epoch. Slots of a quota are aligned to it.
pub type UnixMillis = u64;

/// Whole seconds since the Unix epoch, as stored rows and `X-RateLimit-Reset` carry it.
pub type UnixSeconds = u64;

/// Requests one core may hold inside handlers, by default.
pub const IN_FLIGHT_PER_CORE: usize = 4096;

/// What a route is charged to. The quota of each stands in [`LimitsConfig`], everything else in [`CLASSES`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// What an authenticated user does: userinfo and whatever the account API will add.
    Api,
    /// Introspection, one unit per token, so a batch of N costs N.
    Introspect,
    /// The unauthenticated OAuth routes: authorize, token, sigma challenge.
    OAuth,
    /// Attempts to sign in: `/sigma/authorize`, `/api/auth/sign-in/sigma`.
    SignIn,
}

/// Whose counter a class charges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyedBy {
    /// The client's address group; before authentication.
    Address,
    /// The user, or the client where there is no user; after authentication.
    Subject,
}

/// One row of [`CLASSES`].
#[derive(Debug)]
pub struct ClassRow {
    /// The class this row describes; equals the row's position.
    pub class: Class,
    /// The policy name in `RateLimit-Policy`.
    pub name: &'static str,
    /// Whose counter is charged.
    pub keyed_by: KeyedBy,
    /// Default quota; `None` is unlimited.
    pub quota: Option<Quota>,
    /// Keys tracked apart from each other; more than that share (see [`limiter`]). Rounded up to a power of two of buckets.
    pub keys_count: usize,
}

/// How many classes there are.
const CLASSES_COUNT: usize = 4;

/// Every class on one screen, in the order of [`Class`].
///
/// `register-open` gets its row with open registration. Revocation, keys and discovery are in no class:
/// a limit on revoking would protect the thief.
pub const CLASSES: [ClassRow; CLASSES_COUNT] = [
    row(Class::Api, "api", KeyedBy::Subject, Some(per_minute(100)), 100_000),
    row(Class::Introspect, "introspect", KeyedBy::Subject, None, 10_000),
    row(Class::OAuth, "oauth", KeyedBy::Address, Some(per_minute(10)), 900_000),
    row(Class::SignIn, "sign-in", KeyedBy::Address, Some(per_minute(5)), 900_000),
];

const fn row(class: Class, name: &'static str, keyed_by: KeyedBy, quota: Option<Quota>, keys_count: usize) -> ClassRow {
    ClassRow { class, name, keyed_by, quota, keys_count }
}

const fn per_minute(units: u32) -> Quota {
    Quota { units, window_s: 60 }
}

impl Class {
    /// This class's row of [`CLASSES`].
    pub fn row(self) -> &'static ClassRow {
        &CLASSES[self as usize]
    }
}

/// What an operator may choose. `Default` is `--limits default`.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// False is `--limits off`: everything is admitted, no header is sent, no failure is counted.
    pub enabled: bool,
    /// Per user or client; `None` is unlimited.
    pub api: Option<Quota>,
    /// Per client, in tokens; `None` is unlimited.
    pub introspect: Option<Quota>,
    /// Per address group; `None` is unlimited.
    pub oauth: Option<Quota>,
    /// Per address group; `None` is unlimited.
    pub sign_in: Option<Quota>,
    /// Peers whose forwarding header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The one header those peers write.
    pub forwarded_header: ForwardedHeader,
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            enabled: true,
            api: Class::Api.row().quota,
            introspect: Class::Introspect.row().quota,
            oauth: Class::OAuth.row().quota,
            sign_in: Class::SignIn.row().quota,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
        }
    }
}

impl LimitsConfig {
    /// The configured quota of `class`; `None` is unlimited.
    pub fn quota(&self, class: Class) -> Option<Quota> {
        match class {
            Class::Api => self.api,
            Class::Introspect => self.introspect,
            Class::OAuth => self.oauth,
            Class::SignIn => self.sign_in,
        }
    }
}

/// A quota the limiter cannot count exactly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitsConfigError {
    /// The class whose quota it is.
    pub class: Class,
    /// What is wrong with it.
    pub error: QuotaError,
}

impl std::fmt::Display for LimitsConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the quota of rate class \"{}\" cannot be counted", self.class.row().name)
    }
}

impl std::error::Error for LimitsConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// One answer of the limiter, with what the response headers say about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Decision {
    /// The class that was charged.
    pub class: Class,
    /// False: answer 429, charge nothing else, read no further.
    pub admitted: bool,
    /// The state of the quota; `None` when the class is unlimited or limits are off, and then no header is sent.
    pub quota: Option<QuotaState>,
}

/// What is left of a key's quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaState {
    /// The quota itself.
    pub quota: Quota,
    /// Units left now.
    pub remaining: u32,
    /// Seconds until more is available: after a refusal, until the refused charge fits. At least 1 when any was used.
    pub reset_after_s: u64,
    /// The same moment as a date.
    pub reset_at: UnixSeconds,
}

/// All gates of the process. Shared by all cores; [`in_flight::InFlight`] is the one part each core has for itself.
#[derive(Debug)]
pub struct Admission {
    lanes: [Lane; CLASSES_COUNT],
    delays: Option<Delays>,
    proxies: TrustedProxies,
}

/// A class at work: its table, unless unlimited, and its formatted policy.
#[derive(Debug, Default)]
struct Lane {
    limiter: Option<Limiter>,
    policy: Box<str>,
}

impl Admission {
    /// Allocates every table at its full size.
    pub fn new(config: LimitsConfig) -> Result<Admission, LimitsConfigError> {
        let mut lanes: [Lane; CLASSES_COUNT] = Default::default();
        for row in CLASSES.iter().filter(|_| config.enabled) {
            let Some(quota) = config.quota(row.class) else { continue };
            let limiter =
                Limiter::new(quota, row.keys_count).map_err(|error| LimitsConfigError { class: row.class, error })?;
            lanes[row.class as usize] = Lane { limiter: Some(limiter), policy: headers::policy(row.name, quota) };
        }
        Ok(Admission {
            lanes,
            delays: config.enabled.then(|| Delays::new(delays::ROWS_PER_LANE)),
            proxies: TrustedProxies::new(config.trusted_proxies, config.forwarded_header),
        })
    }

    /// Which header [`Admission::client_ip`] wants to be given; `None` when no proxy is trusted.
    pub fn forwarded_header(&self) -> Option<ForwardedHeader> {
        (!self.proxies.is_empty()).then(|| self.proxies.header())
    }

    /// The client's address: the peer's, or what trusted proxies vouch for. `forwarded` holds the values of every
    /// line of [`Admission::forwarded_header`] in the order received.
    pub fn client_ip<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        self.proxies.client_ip(peer, forwarded)
    }

    /// Charges one request to an address group: the first thing that happens to a request of a limited route.
    pub fn charge_address(&self, class: Class, group: AddressGroup, now: UnixMillis) -> Decision {
        debug_assert_eq!(class.row().keyed_by, KeyedBy::Address, "{class:?} is charged to subjects");
        self.charge(class, &group, 1, now)
    }

    /// Charges `units` (at least one) to a user or client, after it has proven to be that.
    ///
    /// Subjects of different kinds must not be spelled alike: pass `user:…` or `client:…`.
    pub fn charge_subject(&self, class: Class, subject: &str, units: u32, now: UnixMillis) -> Decision {
        debug_assert_eq!(class.row().keyed_by, KeyedBy::Subject, "{class:?} is charged to addresses");
        self.charge(class, subject, units, now)
    }

    /// Whether charges of this class can refuse anybody: when not, the caller can save itself the charge.
    pub fn is_limited(&self, class: Class) -> bool {
        self.lanes[class as usize].limiter.is_some()
    }

    /// Emits the rate headers of a decision: nothing when its class is unlimited.
    pub fn each_header(&self, decision: &Decision, emit: impl FnMut(&'static str, &str)) {
        headers::each(decision, &self.lanes[decision.class as usize].policy, emit);
    }

    /// The failure delays; `None` when limits are off.
    pub fn delays(&self) -> Option<&Delays> {
        self.delays.as_ref()
    }

    /// Bytes held by all tables; allocated at start, constant afterwards.
    pub fn memory_bytes(&self) -> usize {
        let limiters = self.lanes.iter().filter_map(|lane| lane.limiter.as_ref()).map(Limiter::memory_bytes);
        limiters.sum::<usize>() + self.delays.as_ref().map_or(0, Delays::memory_bytes)
    }

    fn charge<K: std::hash::Hash + ?Sized>(&self, class: Class, key: &K, units: u32, now: UnixMillis) -> Decision {
        let Some(limiter) = &self.lanes[class as usize].limiter else {
            return Decision { class, admitted: true, quota: None };
        };
        let charge = limiter.charge(key, units, now);
        let state = QuotaState {
            quota: limiter.quota(),
            remaining: charge.remaining,
            reset_after_s: charge.available_at.saturating_sub(now).div_ceil(1000),
            reset_at: charge.available_at.div_ceil(1000),
        };
        Decision { class, admitted: charge.admitted, quota: Some(state) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_700_000_000_000;

    fn group(ip: &str) -> AddressGroup {
        AddressGroup::of(ip.parse().unwrap())
    }

    fn emitted(admission: &Admission, decision: &Decision) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        admission.each_header(decision, |name, value| all.push((name, value.to_owned())));
        all
    }

    #[test]
    fn classes_stand_in_enum_order() {
        for (index, row) in CLASSES.iter().enumerate() {
            assert_eq!(row.class as usize, index);
            assert_eq!(row.class.row().name, row.name);
        }
    }

    #[test]
    fn attack_116_eleventh_request_is_refused_with_headers() {
        let admission = Admission::new(LimitsConfig::default()).unwrap();
        let client = group("203.0.113.9");
        for n in 1..=10 {
            let decision = admission.charge_address(Class::OAuth, client, NOW);
            assert!(decision.admitted);
            assert_eq!(decision.quota.unwrap().remaining, 10 - n);
        }
        let refused = admission.charge_address(Class::OAuth, client, NOW + 1500);
        assert!(!refused.admitted);
        let state = refused.quota.unwrap();
        let headers = emitted(&admission, &refused);
        let value = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(value("ratelimit-policy"), Some(r#""oauth";q=10;w=60"#));
        assert_eq!(value("ratelimit"), Some(format!(r#""oauth";r=0;t={}"#, state.reset_after_s).as_str()));
        assert_eq!(value("x-ratelimit-limit"), Some("10"));
        assert_eq!(value("x-ratelimit-remaining"), Some("0"));
        assert_eq!(value("x-ratelimit-reset"), Some(state.reset_at.to_string().as_str()));
        assert_eq!(value("retry-after"), Some(state.reset_after_s.to_string().as_str()));
        assert_eq!(value("x-retry-after"), value("retry-after"));
        // Doing what Retry-After says is enough, and another address never waited.
        assert!(admission.charge_address(Class::OAuth, client, NOW + 1500 + state.reset_after_s * 1000).admitted);
        assert!(admission.charge_address(Class::OAuth, group("203.0.113.10"), NOW).admitted);
    }

    #[test]
    fn classes_count_apart() {
        let admission = Admission::new(LimitsConfig::default()).unwrap();
        let client = group("2001:db8::1");
        let sign_ins = (0..20).filter(|_| admission.charge_address(Class::SignIn, client, NOW).admitted).count();
        let oauth = (0..20).filter(|_| admission.charge_address(Class::OAuth, client, NOW).admitted).count();
        let api = (0..200).filter(|_| admission.charge_subject(Class::Api, "user:a", 1, NOW).admitted).count();
        assert_eq!((sign_ins, oauth, api), (5, 10, 100));
    }

    #[test]
    fn introspection_is_unlimited_by_default_and_counts_tokens_when_not() {
        let admission = Admission::new(LimitsConfig::default()).unwrap();
        let decision = admission.charge_subject(Class::Introspect, "client:a", u32::MAX, NOW);
        assert!(decision.admitted);
        assert!(emitted(&admission, &decision).is_empty());

        let quota = Some(Quota { units: 5000, window_s: 60 });
        let admission = Admission::new(LimitsConfig { introspect: quota, ..LimitsConfig::default() }).unwrap();
        for _ in 0..5 {
            assert!(admission.charge_subject(Class::Introspect, "client:a", 1000, NOW).admitted);
        }
        assert!(!admission.charge_subject(Class::Introspect, "client:a", 1, NOW).admitted);
        assert!(admission.charge_subject(Class::Introspect, "client:b", 1000, NOW).admitted);
    }

    #[test]
    fn limits_off_admits_everything_and_says_nothing() {
        let admission = Admission::new(LimitsConfig { enabled: false, ..LimitsConfig::default() }).unwrap();
        for _ in 0..1000 {
            let decision = admission.charge_address(Class::SignIn, group("203.0.113.9"), NOW);
            assert!(decision.admitted);
            assert!(emitted(&admission, &decision).is_empty());
        }
        assert!(admission.delays().is_none());
        assert_eq!(admission.memory_bytes(), 0);
    }

    #[test]
    fn a_quota_that_cannot_be_counted_is_refused_by_name() {
        let quota = Some(Quota { units: 0, window_s: 60 });
        let error = Admission::new(LimitsConfig { oauth: quota, ..LimitsConfig::default() }).unwrap_err();
        assert_eq!(error.to_string(), r#"the quota of rate class "oauth" cannot be counted"#);
        assert!(std::error::Error::source(&error).is_some());
    }
}
