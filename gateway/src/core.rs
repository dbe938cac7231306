//! What a request finds around it: the parts all cores share, and the parts one core owns.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assay_engine::{Pool, TokenCache};
use assay_oauth::facts::TenantFacts;
use assay_storage::{Store, TenantId};
use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::admission::Admission;
use crate::admission::in_flight::InFlight;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::routes::ROUTES;
use crate::lane::Lane;
use crate::public::access_token::CachedToken;
use crate::state::Directory;
use crate::state::proven::ProvenSecrets;
use crate::telemetry::{Metrics, Route, RouteStatus};

/// Shared by every core and by the side runtime. Everything in it is lock-free or answers through a channel.
pub struct Shared {
    /// The configuration, with every default filled in.
    pub config: Config,
    /// The one reader of clocks.
    pub clock: Clock,
    /// The store.
    pub store: Store,
    /// What the hot path reads, derived from the store.
    pub directory: Arc<Directory>,
    /// Limits and delays.
    pub admission: Admission,
    /// Workers for batches larger than one kernel call.
    pub pool: Pool,
    /// Metrics.
    pub metrics: Metrics,
    /// The tenant every request of this listener belongs to.
    pub tenant: TenantId,
    /// The same tenant as decisions see it.
    pub tenant_facts: TenantFacts,
    /// Set once, when the server begins to stop.
    pub draining: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether the server is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The client's address behind trusted proxies.
    #[must_use]
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let Some(header) = self.admission.forwarded_header() else { return peer.to_canonical() };
        self.admission.client_ip(peer, headers.get_all(header.name()).iter().map(HeaderValue::as_bytes))
    }

    /// Whether a browser page of `origin` may use the session cookie.
    #[must_use]
    pub fn is_trusted_origin(&self, origin: &str) -> bool {
        self.config.origin_is_trusted(origin)
    }

    /// 32 bytes of the system's randomness.
    ///
    /// # Errors
    /// The system has none to give; the caller answers "unavailable".
    pub fn random<const N: usize>(&self) -> Result<[u8; N], crate::http::error::Failure> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|_| crate::http::error::Failure::Unavailable { what: "randomness" })?;
        Ok(bytes)
    }
}

type SpawnFn = Box<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

/// One core's own parts; never leaves its thread.
pub struct Core {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// The cap on requests in handlers.
    pub in_flight: Rc<InFlight>,
    /// Jobs waiting for a verdict.
    pub lane: Lane,
    /// `Authorization` headers that proved a client's secret before.
    pub proven: RefCell<ProvenSecrets>,
    /// Tokens whose bytes were verified before.
    pub cache: RefCell<TokenCache<CachedToken>>,
    spawn: SpawnFn,
    routes: Vec<RouteMetrics>,
    request_id_prefix: String,
    request_id_next: Cell<u64>,
    /// Address of the key set the cache was last checked against.
    keys_seen: Cell<usize>,
    /// What this core last added to the shared gauge of requests in handlers.
    in_flight_reported: Cell<i64>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// Handles resolved once, so that counting a request takes no lookup.
struct RouteMetrics {
    ok: Counter,
    latency: Histogram,
}

impl Core {
    /// A core that starts tasks through `spawn`. `request_id_prefix` makes ids differ between cores and starts.
    pub fn new(shared: Arc<Shared>, request_id_prefix: String, spawn: SpawnFn) -> Rc<Core> {
        let routes = ROUTES
            .iter()
            .map(|route| RouteMetrics {
                ok: shared.metrics.requests.get_or_create(&RouteStatus { route: route.name, status: 200 }).clone(),
                latency: shared.metrics.latency.get_or_create(&Route { route: route.name }).clone(),
            })
            .collect();
        Rc::new(Core {
            in_flight: InFlight::new(shared.config.in_flight_max),
            lane: Lane::default(),
            proven: RefCell::default(),
            cache: RefCell::new(TokenCache::new(shared.config.token_cache_bytes)),
            spawn,
            routes,
            request_id_prefix,
            request_id_next: Cell::new(0),
            keys_seen: Cell::new(0),
            in_flight_reported: Cell::new(0),
            shared,
        })
    }

    /// Starts a task on this core.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        (self.spawn)(Box::pin(task));
    }

    /// A fresh request id, unique among cores and starts of this server.
    pub fn next_request_id(&self) -> HeaderValue {
        let number = self.request_id_next.get();
        self.request_id_next.set(number + 1);
        let mut text = BytesMut::with_capacity(self.request_id_prefix.len() + 20);
        text.extend_from_slice(self.request_id_prefix.as_bytes());
        text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        HeaderValue::from_maybe_shared(text.freeze()).expect("hex and digits make a header value")
    }

    /// Once per sweep: reports how many requests are in handlers, and drops cached tokens of keys that no longer verify, as soon as the key set has changed.
    pub fn tick(&self) {
        let in_flight = i64::try_from(self.in_flight.requests_count()).unwrap_or(i64::MAX);
        let reported = self.in_flight_reported.replace(in_flight);
        if in_flight != reported {
            self.shared.metrics.in_flight.inc_by(in_flight - reported);
        }
        let keys = self.shared.directory.keys();
        let generation = std::sync::Arc::as_ptr(&keys) as usize;
        if self.keys_seen.replace(generation) == generation {
            return;
        }
        let now = self.shared.clock.unix_seconds();
        for key in keys.keys().iter().filter(|key| !key.verifies(now)) {
            self.cache.borrow_mut().drop_key(key.cache_tag);
        }
    }

    /// Counts one answered request.
    pub fn count_request(&self, route_index: usize, status: StatusCode, started_ns: u64) {
        let Some(route) = self.routes.get(route_index) else { return };
        if status == StatusCode::OK {
            route.ok.inc();
        } else {
            let labels = RouteStatus { route: ROUTES[route_index].name, status: status.as_u16() };
            self.shared.metrics.requests.get_or_create(&labels).inc();
        }
        let spent_ns = self.shared.clock.monotonic_ns().saturating_sub(started_ns);
        route.latency.observe(spent_ns as f64 / 1e9);
    }
}
