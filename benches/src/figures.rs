//! What one run measured.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies are recorded in nanoseconds up to a minute, to three significant digits.
const LATENCY_NS_HIGHEST: u64 = 60_000_000_000;

/// Counts while a run lasts; warm-up is not among them.
pub struct Tally {
    /// Complete responses.
    pub responses: u64,
    /// Responses by status.
    pub statuses: [u64; 1000],
    /// Responses without the text each one must hold.
    pub unexpected: u64,
    /// Connections that broke or answered what is no HTTP.
    pub broken: u64,
    /// Bytes of all bodies.
    pub body_bytes: u64,
    /// From the write of a request to its complete response.
    pub latency_ns: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            responses: 0,
            statuses: [0; 1000],
            unexpected: 0,
            broken: 0,
            body_bytes: 0,
            latency_ns: Histogram::new_with_bounds(1, LATENCY_NS_HIGHEST, 3)
                .expect("the bounds are constants in order"),
        }
    }
}

/// One run, for people and for the record.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Answered requests.
    pub requests: u64,
    /// How long they took together.
    pub seconds: f64,
    /// The throughput.
    pub requests_per_second: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99 of 100 answers came within this.
    pub p99_us: f64,
    /// 999 of 1,000 answers came within this.
    pub p999_us: f64,
    /// The slowest answer.
    pub max_us: f64,
    /// Mean size of a body.
    pub body_bytes_mean: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bodies without the expected text.
    pub unexpected: u64,
    /// Connections that broke.
    pub broken: u64,
}

impl Figures {
    /// Sums up a run of this length.
    #[must_use]
    pub fn new(tally: &Tally, seconds: f64) -> Figures {
        let at = |quantile: f64| micros(tally.latency_ns.value_at_quantile(quantile));
        let requests = tally.responses;
        Figures {
            requests,
            seconds,
            requests_per_second: requests as f64 / seconds,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(tally.latency_ns.max()),
            body_bytes_mean: tally.body_bytes as f64 / requests.max(1) as f64,
            statuses: (0..).zip(tally.statuses).filter(|(_, count)| *count > 0).collect(),
            unexpected: tally.unexpected,
            broken: tally.broken,
        }
    }

    /// Every response had this status and the expected text, and no connection broke.
    #[must_use]
    pub fn all_were(&self, status: u16) -> bool {
        self.unexpected == 0 && self.broken == 0 && self.statuses.keys().all(|seen| *seen == status)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} requests/s, p99 {:.0} us (p50 {:.0}, p99.9 {:.0}, max {:.0}); {} requests in {:.2} s, statuses {:?}",
            self.requests_per_second,
            self.p99_us,
            self.p50_us,
            self.p999_us,
            self.max_us,
            self.requests,
            self.seconds,
            self.statuses
        )?;
        if self.unexpected > 0 || self.broken > 0 {
            write!(f, "; {} unexpected bodies, {} broken connections", self.unexpected, self.broken)?;
        }
        Ok(())
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1_000.0
}
