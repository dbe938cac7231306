//! The report as a page: per operation throughput by batch size, scaling by threads, and bars against the libraries.

use super::catalogue::ALL;
use super::group::OURS;
use super::results::{BenchHost, Report, Row};
use super::table::time;
use crate::page::{Bar, BarChart, LineChart, Page, Scale, Series, number};

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut page = Page::new("assay bench: what signature verification costs");
    let BenchHost { host, cpu_mhz } = &report.host;
    page.lead(&format!("{} on {} {}", host.cpu, host.cores, if host.cores == 1 { "core" } else { "cores" }));
    let clock = cpu_mhz.map_or_else(|| "unknown".to_owned(), |mhz| format!("{:.2} GHz (/proc/cpuinfo)", mhz / 1e3));
    let state = if report.complete { "complete" } else { "interrupted: partial" };
    page.facts(&[
        ("CPU", &host.cpu),
        ("Features", &host.cpu_features.join(" ")),
        ("Clock", &clock),
        ("Backend of the engine", host.backend),
        ("Compiler", &host.compiler),
        ("Commit", &host.commit),
        ("Kernel", &host.kernel),
        ("Measured", &format!("{state}, seed {}, {} s", report.seed, number(report.seconds))),
    ]);
    page.text(
        "One process, interleaved rounds, threads pinned; medians of the time that a thread had its core. One signature in eight is broken and every verdict is \
         checked. Whiskers run from the 10th to the 90th percentile. Ratio: time per operation beside the best library's; \
         below 1 is faster.",
    );
    overview(&mut page, &report.results);
    for group in report.results.chunk_by(|a, b| (a.operation, a.key) == (b.operation, b.key)) {
        section(&mut page, group);
    }
    page.section("Every figure");
    let rows: Vec<Vec<String>> = report.results.iter().map(cells).collect();
    page.table(
        "Times per operation are those of one core.",
        &[
            "backend",
            "operation",
            "key",
            "batch",
            "threads",
            "median",
            "min",
            "p10",
            "p90",
            "ops/s",
            "ratio",
            "scaling",
        ],
        &rows,
    );
    page.html()
}

/// Ours beside the best library, at the largest batch on one thread.
fn overview(page: &mut Page, rows: &[Row]) {
    let groups = rows.chunk_by(|a, b| (a.operation, a.key) == (b.operation, b.key));
    let lines: Vec<Vec<String>> = groups
        .filter_map(|group| {
            let shown = largest_alone(group);
            let ours = shown.iter().find(|row| row.backend == OURS)?;
            let libraries = shown.iter().filter(|row| row.backend != OURS);
            let best = libraries.min_by(|a, b| a.ns_per_op_median.total_cmp(&b.ns_per_op_median))?;
            Some(vec![
                name(ours),
                time(ours.ns_per_op_median),
                time(best.ns_per_op_median),
                best.backend.to_owned(),
                format!("{:.3}", ours.ratio_to_best_library?),
            ])
        })
        .collect();
    if !lines.is_empty() {
        page.table("One thread, largest batch", &["operation", "assay", "best library", "which", "ratio"], &lines);
    }
}

fn name(row: &Row) -> String {
    if row.key == "-" { row.operation.to_owned() } else { format!("{}, {} key", row.operation, row.key) }
}

/// Rows of the largest batch on the fewest threads.
fn largest_alone(group: &[Row]) -> Vec<&Row> {
    let batch = group.iter().map(|row| row.batch).max();
    let threads = group.iter().map(|row| row.threads).min();
    group.iter().filter(|row| Some(row.batch) == batch && Some(row.threads) == threads).collect()
}

fn section(page: &mut Page, group: &[Row]) {
    page.section(&name(&group[0]));
    let note = ALL.iter().find(|entry| entry.operation == group[0].operation).map_or("", |entry| entry.note);
    if !note.is_empty() {
        page.text(note);
    }
    let shown = largest_alone(group);
    let Some(first) = shown.first() else { return };
    let bars = shown.iter().map(|row| Bar {
        label: row.backend.to_owned(),
        value: row.ns_per_op_median / 1e3,
        low: row.ns_per_op_p10 / 1e3,
        high: row.ns_per_op_p90 / 1e3,
        is_ours: row.backend == OURS,
    });
    page.bars(&BarChart {
        title: format!("Time per operation, batch {}, {}", first.batch, threads(first.threads)),
        unit: "µs (shorter is better)".to_owned(),
        bars: bars.collect(),
    });
    let by_batch = series(group, |row| row.threads == first.threads, |row| row.batch);
    if by_batch.iter().any(|series| series.points.len() > 1) {
        page.lines(&LineChart {
            title: format!("Throughput by batch size, {}", threads(first.threads)),
            x_label: "signatures per call".to_owned(),
            y_label: "operations per second".to_owned(),
            x_scale: Scale::Log,
            y_scale: Scale::Linear,
            series: by_batch,
        });
    }
    let by_threads = series(group, |row| row.batch == first.batch, |row| row.threads);
    if by_threads.iter().any(|series| series.points.len() > 1) {
        page.lines(&LineChart {
            title: format!("Scaling by threads, batch {}", first.batch),
            x_label: "threads".to_owned(),
            y_label: "operations per second".to_owned(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series: by_threads,
        });
    }
}

fn threads(count: usize) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}

#[expect(clippy::cast_precision_loss, reason = "batch sizes and thread counts are small")]
fn series(group: &[Row], wanted: impl Fn(&Row) -> bool, place: impl Fn(&Row) -> usize) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for row in group.iter().filter(|row| wanted(row)) {
        let point = (place(row) as f64, row.ops_per_second);
        match series.iter_mut().find(|series| series.name == row.backend) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name: row.backend.to_owned(), points: vec![point] }),
        }
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    series
}

fn cells(row: &Row) -> Vec<String> {
    let mark = if row.backend == OURS { "*" } else { "" };
    let or_dash =
        |value: Option<f64>, digits| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"));
    vec![
        format!("{mark}{}", row.backend),
        row.operation.to_owned(),
        row.key.to_owned(),
        row.batch.to_string(),
        row.threads.to_string(),
        time(row.ns_per_op_median),
        time(row.ns_per_op_min),
        time(row.ns_per_op_p10),
        time(row.ns_per_op_p90),
        number(row.ops_per_second),
        or_dash(row.ratio_to_best_library, 3),
        or_dash(row.scaling_efficiency, 2),
    ]
}
