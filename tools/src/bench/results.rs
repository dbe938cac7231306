//! What was measured, as it stands in `--json` and is read back by `--compare`. `docs/bench-json.md` describes every
//! member, and a test holds the two together.

use serde::{Deserialize, Serialize};

use super::catalogue::Entry;
use super::group::OURS;
use super::measure::Cell;
use crate::host::Host;

/// A whole report.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The machine.
    pub(crate) host: BenchHost,
    /// One row per operation, key, backend, batch and number of threads.
    pub(crate) results: Vec<Row>,
    /// Everything that was asked for was measured.
    pub(crate) complete: bool,
    /// What the signatures were made from.
    pub(crate) seed: u64,
    /// The time that was given.
    pub(crate) seconds: f64,
}

/// The machine, and the clock that turns time into cycles.
#[derive(Serialize)]
pub(crate) struct BenchHost {
    #[serde(flatten)]
    pub(crate) host: Host,
    /// As `/proc/cpuinfo` says, which on most virtual machines is the rate of the time stamp counter.
    pub(crate) cpu_mhz: Option<f64>,
}

/// One line of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) backend: &'static str,
    pub(crate) key: &'static str,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) ns_per_op_median: f64,
    pub(crate) ns_per_op_min: f64,
    pub(crate) ops_per_second: f64,
    /// Below 1: faster than the best of the libraries, this row's own one left in.
    pub(crate) ratio_to_best_library: Option<f64>,
    pub(crate) ns_per_op_p10: f64,
    pub(crate) ns_per_op_p90: f64,
    pub(crate) ns_per_op_mad: f64,
    pub(crate) rounds: usize,
    pub(crate) cycles_per_op: Option<f64>,
    /// Throughput per thread beside that of one thread.
    pub(crate) scaling_efficiency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compared: Option<Compared>,
}

/// Beside an earlier report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) ns_per_op_median_before: f64,
    /// After ÷ before − 1: negative is faster.
    pub(crate) change: f64,
    /// Changes up to here say nothing.
    pub(crate) noise: f64,
    pub(crate) moved: bool,
}

/// Rows of one group, from its cells.
pub(crate) fn rows(entry: &Entry, backends: &[&'static str], cells: &[Cell], cpu_mhz: Option<f64>) -> Vec<Row> {
    let measured = |wanted: &dyn Fn(&Cell) -> bool| {
        cells.iter().filter(|cell| wanted(cell)).filter_map(|cell| cell.summary).map(|s| s.median).reduce(f64::min)
    };
    let row = |cell: &Cell| {
        let summary = cell.summary?;
        let best = measured(&|other| {
            (other.batch, other.threads) == (cell.batch, cell.threads) && backends[other.contestant] != OURS
        });
        let alone =
            measured(&|other| (other.contestant, other.batch, other.threads) == (cell.contestant, cell.batch, 1));
        Some(Row {
            operation: entry.operation,
            backend: backends[cell.contestant],
            key: entry.key.name(),
            batch: cell.batch,
            threads: cell.threads,
            ns_per_op_median: rounded(summary.median),
            ns_per_op_min: rounded(summary.min),
            ops_per_second: rounded(1e9 / summary.median * f64::from(u32::try_from(cell.threads).unwrap_or(u32::MAX))),
            ratio_to_best_library: best.map(|best| rounded(summary.median / best)),
            ns_per_op_p10: rounded(summary.p10),
            ns_per_op_p90: rounded(summary.p90),
            ns_per_op_mad: rounded(summary.mad),
            rounds: summary.rounds,
            cycles_per_op: cpu_mhz.map(|mhz| rounded(summary.median * mhz / 1e3)),
            scaling_efficiency: alone.filter(|_| cell.threads > 1).map(|alone| rounded(alone / summary.median)),
            compared: None,
        })
    };
    cells.iter().filter_map(row).collect()
}

/// Four digits behind the point: a nanosecond's ten-thousandth is nobody's finding.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// An earlier report, as far as a comparison needs it.
#[derive(Deserialize)]
pub(crate) struct Earlier {
    results: Vec<EarlierRow>,
}

#[derive(Deserialize)]
struct EarlierRow {
    operation: String,
    backend: String,
    key: String,
    batch: usize,
    threads: usize,
    ns_per_op_median: f64,
    #[serde(default)]
    ns_per_op_mad: Option<f64>,
}

/// Differences below this are the machine's mood whatever the samples say: clock rates drift between runs.
const NOISE_FLOOR: f64 = 0.03;
/// Median absolute deviations, of both runs together, that a difference must exceed.
const NOISE_DEVIATIONS: f64 = 2.0;

impl Earlier {
    /// Sets every row beside its earlier self. Returns how many had one.
    pub(crate) fn compare(&self, rows: &mut [Row]) -> usize {
        let mut matched = 0;
        for row in rows {
            let is_same = |earlier: &&EarlierRow| {
                (earlier.operation.as_str(), earlier.backend.as_str(), earlier.key.as_str())
                    == (row.operation, row.backend, row.key)
                    && (earlier.batch, earlier.threads) == (row.batch, row.threads)
                    && earlier.ns_per_op_median > 0.0
            };
            let Some(earlier) = self.results.iter().find(is_same) else { continue };
            let own = row.ns_per_op_mad / row.ns_per_op_median;
            let before = earlier.ns_per_op_mad.map_or(own, |mad| mad / earlier.ns_per_op_median);
            let noise = NOISE_FLOOR.max(NOISE_DEVIATIONS * (own + before));
            let change = row.ns_per_op_median / earlier.ns_per_op_median - 1.0;
            row.compared = Some(Compared {
                ns_per_op_median_before: earlier.ns_per_op_median,
                change: rounded(change),
                noise: rounded(noise),
                moved: change.abs() > noise,
            });
            matched += 1;
        }
        matched
    }
}

/// How noise is estimated, for whoever reads a comparison.
pub(crate) const HOW_NOISE_IS_ESTIMATED: &str =
    "noise: the larger of 3 % and twice the sum of both runs' median absolute deviations";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::catalogue::ALL;
    use crate::bench::statistics::Summary;

    fn cell(contestant: usize, threads: usize, median: f64) -> Cell {
        let summary = Summary { median, min: median, p10: median, p90: median, mad: median / 100.0, rounds: 9 };
        Cell { contestant, batch: 8, threads, summary: Some(summary) }
    }

    #[test]
    fn ratios_and_scaling() {
        let cells = [cell(0, 1, 10.0), cell(1, 1, 40.0), cell(2, 1, 80.0), cell(0, 2, 12.5)];
        let rows = rows(&ALL[0], &["assay", "libsecp256k1", "k256"], &cells, Some(2000.0));
        let ratios: Vec<_> = rows.iter().map(|row| row.ratio_to_best_library).collect();
        assert_eq!(ratios, [Some(0.25), Some(1.0), Some(2.0), None]);
        assert_eq!(rows[3].scaling_efficiency, Some(0.8));
        assert!((rows[3].ops_per_second - 160e6).abs() < 1.0 && rows[0].cycles_per_op == Some(20.0));
    }

    #[test]
    fn only_more_than_noise_moved() {
        let check = |before: f64, moved| {
            let cells = [cell(0, 1, 100.0)];
            let mut rows = rows(&ALL[0], &["assay"], &cells, None);
            let text = serde_json::json!({"results": [{
                "operation": rows[0].operation, "backend": "assay", "key": rows[0].key, "batch": 8, "threads": 1,
                "ns_per_op_median": before, "ns_per_op_mad": before / 100.0, "unknown": 1,
            }]});
            let earlier: Earlier = serde_json::from_value(text).expect("a report");
            assert_eq!(earlier.compare(&mut rows), 1);
            assert_eq!(rows[0].compared.as_ref().map(|compared| compared.moved), Some(moved), "{before}");
        };
        check(100.0, false);
        check(97.0, false);
        check(90.0, true);
        check(120.0, true);
    }
}
