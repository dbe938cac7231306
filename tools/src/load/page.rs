//! The page of a run: latency and throughput over time, and the distribution; one file that needs no network.

use super::find_max::Trial;
use super::report::{Latency, Report, SeriesPoint, ms, thousands};
use crate::page::{LineChart, Page, Scale, Series};

/// The page as text.
pub(crate) fn render(report: &Report, trials: &[Trial]) -> String {
    let mut page = Page::new(&format!("assay load: {} at {}", report.scenario, report.target));
    page.lead(&format!("{} per second, p99 {}", thousands(report.throughput_per_second), ms(report.latency_ms.p99)));
    for warning in &report.warnings {
        page.lead(&format!("Warning: {warning}"));
    }
    if report.series.len() > 1 {
        let over = |name: &str, value: fn(&SeriesPoint) -> f64| Series {
            name: name.to_owned(),
            points: report.series.iter().map(|point| (point.second as f64, value(point))).collect(),
        };
        let throughput = over("completed", |point| point.per_second);
        page.lines(&chart("Throughput over time", ("seconds", Scale::Linear), "per second", vec![throughput]));
        let latency = vec![
            over("p50", |point| point.p50_ms),
            over("p99", |point| point.p99_ms),
            over("max", |point| point.max_ms),
        ];
        page.lines(&chart("Latency over time", ("seconds", Scale::Linear), "milliseconds", latency));
    }
    // The tail is what matters, so the axis shows one in how many was slower.
    let points = report.distribution.iter().filter(|point| point.quantile < 1.0);
    let points = points.map(|point| (1.0 / (1.0 - point.quantile), point.ms)).collect();
    let axis = ("one in so many took longer (100 is p99)", Scale::Log);
    let series = vec![Series { name: "latency".to_owned(), points }];
    page.lines(&chart("Distribution of latency", axis, "milliseconds", series));
    if !trials.is_empty() {
        // A rate was tried again when it failed: its best trial is what the server can do.
        let mut points: Vec<(f64, f64)> = trials.iter().map(|trial| (trial.rate, trial.p99_ms)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points.dedup_by_key(|point| point.0);
        let series = vec![Series { name: "p99".to_owned(), points }];
        page.lines(&chart("p99 by rate", ("per second", Scale::Linear), "milliseconds", series));
    }
    page.table("Latency", &["", "count", "p50", "p90", "p99", "p99.9", "max"], &rows(report)).table(
        "Answers by status",
        &["status", "count"],
        &counts(report.statuses.iter()),
    );
    if !report.errors.is_empty() {
        page.table("Errors by kind", &["kind", "count"], &counts(report.errors.iter()));
    }
    page.html()
}

fn chart(title: &str, x: (&str, Scale), y_label: &str, series: Vec<Series>) -> LineChart {
    LineChart {
        title: title.to_owned(),
        x_label: x.0.to_owned(),
        y_label: y_label.to_owned(),
        x_scale: x.1,
        y_scale: Scale::Linear,
        series,
    }
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let row = |name: &str, latency: &Latency| {
        let quantiles = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
        [name.to_owned(), latency.count.to_string()].into_iter().chain(quantiles.map(ms)).collect()
    };
    let all = std::iter::once(row("journey", &report.latency_ms));
    all.chain(report.steps.iter().map(|step| row(&step.name, &step.latency_ms))).collect()
}

fn counts<'a, K: ToString + 'a>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> Vec<Vec<String>> {
    counts.map(|(name, count)| vec![name.to_string(), count.to_string()]).collect()
}
