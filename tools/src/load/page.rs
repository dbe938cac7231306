//! The page of a run: latency and throughput over time, and the distribution; one file that needs no network.

use std::fmt::Write as _;

use super::find_max::Trial;
use super::report::{Report, ms, thousands};

/// Size of a plot, in pixels of its own.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
/// Room for numbers left of a plot and below it.
const LEFT: f64 = 80.0;
const BELOW: f64 = 40.0;
/// Colours of lines, in order.
const COLOURS: [&str; 3] = ["#1f77b4", "#d62728", "#7f7f7f"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse}td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #ddd}\
    td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif}\
    .big{font-size:1.6rem}.warn{background:#fff3cd;padding:.4rem .8rem}pre{overflow-x:auto}";

/// A line of a plot.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// The page as text.
pub(crate) fn render(report: &Report, trials: &[Trial]) -> String {
    let mut out = String::new();
    let _never = write(&mut out, report, trials);
    out
}

fn write(out: &mut String, report: &Report, trials: &[Trial]) -> std::fmt::Result {
    let title = format!("assay load: {} at {}", report.scenario, report.target);
    let title = escape(&title);
    writeln!(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>")?;
    // An icon that is nothing, so that no browser asks for one.
    writeln!(out, "<link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body><h1>{title}</h1>")?;
    writeln!(
        out,
        "<p class=\"big\"><b>{}</b> per second, p99 <b>{}</b></p>",
        thousands(report.throughput_per_second),
        ms(report.latency_ms.p99)
    )?;
    for warning in &report.warnings {
        writeln!(out, "<p class=\"warn\">{}</p>", escape(warning))?;
    }
    if report.series.len() > 1 {
        let over = |value: fn(&super::report::SeriesPoint) -> f64| {
            report.series.iter().map(|point| (point.second as f64, value(point))).collect()
        };
        let throughput = Line { name: "completed per second", points: over(|point| point.per_second) };
        plot(out, "Throughput over time", "s", &[throughput])?;
        let lines = [
            Line { name: "p50 ms", points: over(|point| point.p50_ms) },
            Line { name: "p99 ms", points: over(|point| point.p99_ms) },
            Line { name: "max ms", points: over(|point| point.max_ms) },
        ];
        plot(out, "Latency over time", "s", &lines)?;
    }
    // The tail is what matters, so the axis counts nines.
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let points = report.distribution.iter().filter(|point| point.quantile < 1.0);
    let points = points.map(|point| (nines(point.quantile), point.ms)).collect();
    plot(out, "Distribution of latency", "nines (1 = p90, 2 = p99, 3 = p99.9)", &[Line { name: "ms", points }])?;
    if !trials.is_empty() {
        let points = trials.iter().map(|trial| (trial.rate, trial.p99_ms)).collect();
        plot(out, "p99 by rate", "per second", &[Line { name: "p99 ms", points }])?;
    }
    writeln!(out, "<h2>Figures</h2><pre>{}</pre></body></html>", escape(&report.text()))
}

fn plot(out: &mut String, title: &str, unit: &str, lines: &[Line<'_>]) -> std::fmt::Result {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let x_max = all().map(|(x, _)| x).fold(f64::MIN_POSITIVE, f64::max);
    let y_max = nice(all().map(|(_, y)| y).fold(f64::MIN_POSITIVE, f64::max));
    let x_of = |x: f64| LEFT + x / x_max * (WIDTH - LEFT - 10.0);
    let y_of = |y: f64| 10.0 + (1.0 - y / y_max) * (HEIGHT - BELOW - 10.0);
    writeln!(out, "<h2>{}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">", escape(title))?;
    for step in 0..=4 {
        let (y, x) = (y_max * f64::from(step) / 4.0, x_max * f64::from(step) / 4.0);
        let at = y_of(y);
        writeln!(out, "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e5e5e5\"/>")?;
        writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, at + 4.0, label(y))?;
        let anchor = if step == 4 { "end" } else { "middle" };
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            x_of(x),
            HEIGHT - BELOW + 16.0,
            label(x)
        )?;
    }
    writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", HEIGHT - 4.0, escape(unit))?;
    for ((index, line), colour) in (0..).zip(lines).zip(COLOURS) {
        let points: Vec<_> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        let points = points.join(" ");
        writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        let x = WIDTH - 480.0 + 160.0 * f64::from(index);
        writeln!(out, "<text x=\"{x}\" y=\"{}\" fill=\"{colour}\">■ {}</text>", HEIGHT - 4.0, escape(line.name))?;
    }
    writeln!(out, "</svg>")
}

/// The next number that is 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|nice| *nice >= value).unwrap_or(value)
}

fn label(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Text that is no markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, expected) in [(0.7, 1.0), (1.0, 1.0), (1.1, 2.0), (43.0, 50.0), (612.0, 1000.0)] {
            assert!((nice(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(escape("<script>\"&"), "&lt;script&gt;&quot;&amp;");
        let mut out = String::new();
        plot(&mut out, "t", "u", &[Line { name: "<b>", points: vec![(0.0, 0.0), (1.0, 2.0)] }]).unwrap();
        assert!(out.contains("&lt;b&gt;") && !out.contains("NaN"), "{out}");
        // An empty plot is a plot too.
        plot(&mut out, "t", "u", &[]).unwrap();
        assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
    }
}
