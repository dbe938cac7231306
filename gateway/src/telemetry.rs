//! Metrics and logs.
//!
//! Labels are small closed sets (route names, statuses, schemes, reasons): never a client, a user, a tenant or an
//! address, and never anything that could be replayed. Handles used on the hot path are resolved once per core.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::config::LogFormat;

/// Starts logging to standard error. A second call in one process (tests) keeps the first.
pub fn start_logging(format: LogFormat, level: &str) {
    let filter =
        tracing_subscriber::EnvFilter::try_new(level).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
    };
    drop(started);
}

/// Labels of one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteStatus {
    /// The route's name in the table.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
}

/// The route alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    /// The route's name in the table.
    pub route: &'static str,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// A short word from a closed set.
    pub reason: &'static str,
}

/// A signature scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SchemeLabel {
    /// The scheme's name in the engine's table.
    pub scheme: &'static str,
}

/// All metrics of one server. Cheap to clone: every clone counts into the same cells.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests answered, by route and status.
    pub requests: Family<RouteStatus, Counter>,
    /// Seconds from a head's end to the answer, by route.
    pub latency: Family<Route, Histogram, fn() -> Histogram>,
    /// Requests refused, by reason.
    pub refusals: Family<Reason, Counter>,
    /// Jobs per engine batch.
    pub batch_jobs: Histogram,
    /// Verification time per job, in seconds, by scheme.
    pub verify_seconds: Family<SchemeLabel, Histogram, fn() -> Histogram>,
    /// Jobs waiting in the lanes of all cores.
    pub lane_jobs: Gauge,
    /// Token cache lookups that found the token.
    pub cache_hits: Counter,
    /// Token cache lookups that did not.
    pub cache_misses: Counter,
    /// Commits per durable write.
    pub commit_group: Histogram,
    /// Seconds one durable write took, fsync included.
    pub fsync_seconds: Histogram,
    /// Commits acknowledged.
    pub commits: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections ended or refused by the server, by reason.
    pub connections_ended: Family<Reason, Counter>,
    /// Requests being handled.
    pub in_flight: Gauge,
    /// Revocations and generations held in memory.
    pub revocations: Gauge,
    /// The last commit applied on this node.
    pub applied_seq: Gauge<u64, AtomicU64>,
}

fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_025, 2.0, 18))
}

fn verify_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_001, 2.0, 12))
}

impl Metrics {
    /// Fresh metrics, all zero.
    #[must_use]
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("assay");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let latency = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        registry.register_with_unit("http_request", "Head read to answer ready", Unit::Seconds, latency.clone());
        let refusals = Family::default();
        registry.register("refusals", "Requests refused", refusals.clone());
        let batch_jobs = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("engine_batch_jobs", "Jobs per engine batch", batch_jobs.clone());
        let verify_seconds = Family::new_with_constructor(verify_histogram as fn() -> Histogram);
        registry.register_with_unit(
            "engine_verify",
            "Verification time per job",
            Unit::Seconds,
            verify_seconds.clone(),
        );
        let lane_jobs = Gauge::default();
        registry.register("engine_lane_jobs", "Jobs waiting for a verdict", lane_jobs.clone());
        let cache_hits = Counter::default();
        registry.register("token_cache_hits", "Tokens whose bytes were verified before", cache_hits.clone());
        let cache_misses = Counter::default();
        registry.register("token_cache_misses", "Tokens verified for the first time", cache_misses.clone());
        let commit_group = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("storage_commit_group", "Commits sharing one durable write", commit_group.clone());
        let fsync_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register_with_unit(
            "storage_write",
            "Durable write, fsync included",
            Unit::Seconds,
            fsync_seconds.clone(),
        );
        let commits = Counter::default();
        registry.register("storage_commits", "Commits written", commits.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let connections_ended = Family::default();
        registry.register("connections_ended", "Connections the server ended", connections_ended.clone());
        let in_flight = Gauge::default();
        registry.register("http_in_flight", "Requests being handled", in_flight.clone());
        let revocations = Gauge::default();
        registry.register("revocations", "Revocations held in memory", revocations.clone());
        let applied_seq = Gauge::default();
        registry.register("storage_applied_seq", "Last commit applied", applied_seq.clone());
        Metrics {
            registry: Arc::new(registry),
            requests,
            latency,
            refusals,
            batch_jobs,
            verify_seconds,
            lane_jobs,
            cache_hits,
            cache_misses,
            commit_group,
            fsync_seconds,
            commits,
            connections,
            connections_ended,
            in_flight,
            revocations,
            applied_seq,
        }
    }

    /// Counts one refusal.
    pub fn refuse(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    /// The OpenMetrics text that `/metrics` answers.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        if text::encode(&mut out, &self.registry).is_err() {
            out.clear();
            let _ = writeln!(out, "# metrics could not be rendered");
        }
        out
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.requests.get_or_create(&RouteStatus { route: "introspect", status: 200 }).inc();
        metrics.refuse("oauth");
        metrics.latency.get_or_create(&Route { route: "introspect" }).observe(0.001);
        let text = metrics.render();
        assert!(text.contains("assay_http_requests_total{route=\"introspect\",status=\"200\"} 1"), "{text}");
        assert!(text.contains("assay_refusals_total{reason=\"oauth\"} 1"), "{text}");
        assert!(text.contains("assay_http_request_seconds_bucket"), "{text}");
    }
}
