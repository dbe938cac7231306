//! What a run amounted to, for people and for machines (docs/load-json.md).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

use super::journey::RATE_LIMITED;
use super::tally::Tally;

/// Below this share of the intended rate a run is not what was asked for.
const ACHIEVED_LEAST: f64 = 0.95;
/// A generator later than this was itself what limited the run.
const GENERATOR_LATE_MS: f64 = 2.0;

/// Everything about a run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub tool: &'static str,
    pub version: &'static str,
    pub target: String,
    pub scenario: String,
    pub protocol: &'static str,
    pub tls: bool,
    #[serde(rename = "loop")]
    pub loop_kind: &'static str,
    pub arrivals: Option<&'static str>,
    pub rate: Option<RateRange>,
    pub connections: usize,
    pub streams: usize,
    pub threads: usize,
    pub seed: u64,
    pub warm_up_s: f64,
    pub duration_s: f64,
    pub measured_s: f64,
    pub throughput_per_second: f64,
    pub requests_per_second: f64,
    pub intended: u64,
    pub intended_per_second: f64,
    pub completed: u64,
    pub requests: u64,
    pub errors_total: u64,
    pub latency_ms: Latency,
    pub send_delay_ms: Latency,
    pub generator_delay_ms: Latency,
    pub generator_busy: f64,
    pub steps: Vec<StepReport>,
    pub statuses: BTreeMap<u16, u64>,
    pub errors: BTreeMap<String, u64>,
    pub reconnects: u64,
    pub body_bytes: u64,
    pub series: Vec<SeriesPoint>,
    pub distribution: Vec<Quantile>,
    pub stopped: Option<String>,
    pub warnings: Vec<String>,
}

/// The rate that was asked for.
#[derive(Serialize)]
pub(crate) struct RateRange {
    pub from: f64,
    pub to: f64,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99_9")]
    pub p999: f64,
    pub max: f64,
}

/// One step of a journey.
#[derive(Serialize)]
pub(crate) struct StepReport {
    pub name: String,
    pub answers: u64,
    pub latency_ms: Latency,
}

/// A second, or more in long runs.
#[derive(Serialize)]
pub(crate) struct SeriesPoint {
    pub second: u64,
    pub per_second: f64,
    pub errors: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// One point of the distribution.
#[derive(Serialize)]
pub(crate) struct Quantile {
    pub quantile: f64,
    pub ms: f64,
}

/// What the tally does not know.
pub(crate) struct Setting {
    pub target: String,
    pub scenario: String,
    pub steps: Vec<String>,
    pub is_http2: bool,
    pub tls: bool,
    pub arrivals: Option<&'static str>,
    pub rate: Option<RateRange>,
    pub connections: usize,
    pub streams: usize,
    pub threads: usize,
    pub seed: u64,
    pub spins: bool,
    /// Sign-ins that were signed within the window.
    pub signed_late: u64,
}

impl Latency {
    pub(crate) fn of<C: Counter>(histogram: &Histogram<C>, per_ms: f64) -> Latency {
        if histogram.is_empty() {
            return Latency::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / per_ms;
        Latency {
            count: histogram.len(),
            mean: histogram.mean() / per_ms,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / per_ms,
        }
    }
}

const NS_PER_MS: f64 = 1e6;
const US_PER_MS: f64 = 1e3;

impl Report {
    pub(crate) fn new(setting: Setting, tally: &Tally) -> Report {
        let seconds = tally.measured.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let steps = setting.steps.iter().zip(&tally.steps).map(|(name, step)| StepReport {
            name: name.clone(),
            answers: step.answers,
            latency_ms: Latency::of(&step.latency, NS_PER_MS),
        });
        let width = tally.point_seconds();
        let whole_points = tally.series.len() as u64;
        let series = (0..).zip(&tally.series).map(|(index, point)| {
            // The last point may be shorter than the others.
            let left = seconds - (index * width) as f64;
            let length = if index + 1 == whole_points && left > 0.0 { left.min(width as f64) } else { width as f64 };
            let latency = Latency::of(&point.latency_us, US_PER_MS);
            SeriesPoint {
                second: index * width,
                per_second: point.completed as f64 / length,
                errors: point.errors,
                p50_ms: latency.p50,
                p99_ms: latency.p99,
                max_ms: latency.max,
            }
        });
        let quantiles = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];
        let distribution = quantiles
            .iter()
            .filter(|_| !tally.latency.is_empty())
            .map(|&quantile| Quantile { quantile, ms: tally.latency.value_at_quantile(quantile) as f64 / NS_PER_MS });
        let mut report = Report {
            tool: "assay load",
            version: env!("CARGO_PKG_VERSION"),
            target: setting.target,
            scenario: setting.scenario,
            protocol: if setting.is_http2 { "HTTP/2" } else { "HTTP/1.1" },
            tls: setting.tls,
            loop_kind: if setting.rate.is_some() { "open" } else { "closed" },
            arrivals: setting.arrivals,
            rate: setting.rate,
            connections: setting.connections,
            streams: setting.streams,
            threads: setting.threads,
            seed: setting.seed,
            warm_up_s: tally.window.warm_up.as_secs_f64(),
            duration_s: tally.window.duration.as_secs_f64(),
            measured_s: seconds,
            throughput_per_second: per_second(tally.completed),
            requests_per_second: per_second(tally.requests),
            intended: tally.intended,
            intended_per_second: per_second(tally.intended),
            completed: tally.completed,
            requests: tally.requests,
            errors_total: tally.errors_total(),
            latency_ms: Latency::of(&tally.latency, NS_PER_MS),
            send_delay_ms: Latency::of(&tally.lateness, NS_PER_MS),
            generator_delay_ms: Latency::of(&tally.pickup, NS_PER_MS),
            generator_busy: tally.busy,
            steps: steps.collect(),
            statuses: tally.statuses.clone(),
            errors: tally.errors.iter().map(|(kind, count)| (kind.clone().into_owned(), *count)).collect(),
            reconnects: tally.reconnects,
            body_bytes: tally.body_bytes,
            series: series.collect(),
            distribution: distribution.collect(),
            stopped: tally.stopped.clone(),
            warnings: Vec::new(),
        };
        report.warn(setting.spins, setting.signed_late);
        report
    }

    fn warn(&mut self, spins: bool, signed_late: u64) {
        let mut warnings = Vec::new();
        if let Some(why) = &self.stopped {
            warnings.push(format!("ended after {:.1} s of {:.1} s: {why}", self.measured_s, self.duration_s));
        }
        if self.errors.keys().any(|kind| kind.contains(RATE_LIMITED)) {
            warnings.push(
                "the server limits rates (429): start it with --limits off (assay serve --limits off) or lower the rate"
                    .to_owned(),
            );
        }
        if self.errors_total > 0 {
            let share = self.errors_total as f64 / self.intended.max(1) as f64 * 100.0;
            warnings.push(format!("{} of {} journeys failed ({share:.2} %)", self.errors_total, self.intended));
        }
        let is_open = self.loop_kind == "open";
        let is_generator_late = is_open && self.generator_delay_ms.p99 > GENERATOR_LATE_MS;
        if is_generator_late {
            warnings.push(format!(
                "the GENERATOR was the limit: its arrivals were up to {:.1} ms late (p99) before the server saw them; \
                 give it --threads or a core of its own",
                self.generator_delay_ms.p99
            ));
        }
        // What is still in flight at the end of a short run is no shortfall.
        let achieved = self.completed as f64 / self.intended.max(1) as f64;
        if is_open && self.stopped.is_none() && achieved < ACHIEVED_LEAST && !is_generator_late {
            warnings.push(format!(
                "achieved {:.0} of {:.0} per second: the server, or {} connections, did not keep up",
                self.throughput_per_second, self.intended_per_second, self.connections
            ));
        }
        if !is_open && !spins && self.generator_busy > 0.95 {
            warnings.push(format!(
                "a generator thread was busy {:.0} % of the time: more --threads may show a higher throughput",
                self.generator_busy * 100.0
            ));
        }
        if signed_late > 0 {
            warnings.push(format!("{signed_late} sign-ins were signed while measuring: the stock was used up"));
        }
        self.warnings = warnings;
    }

    /// The table for people: throughput and p99 first.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let _never = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let what = match self.steps.len() {
            0 | 1 => "requests",
            _ => "journeys",
        };
        let latency = &self.latency_ms;
        writeln!(out, "throughput  {} {what}/s", thousands(self.throughput_per_second))?;
        writeln!(out, "p99         {}", ms(latency.p99))?;
        writeln!(out)?;
        let how = match &self.rate {
            Some(rate) if rate.from == rate.to => {
                format!("open loop at {}/s, {}", thousands(rate.from), self.arrivals.unwrap_or_default())
            }
            Some(rate) => format!(
                "open loop, {} to {}/s, {}",
                thousands(rate.from),
                thousands(rate.to),
                self.arrivals.unwrap_or_default()
            ),
            None => "closed loop".to_owned(),
        };
        let streams = if self.protocol == "HTTP/2" { format!(" of {} streams", self.streams) } else { String::new() };
        writeln!(
            out,
            "{} at {} over {}{}: {how}, {} connection{}{streams}, {} thread{}, {:.1} s",
            self.scenario,
            self.target,
            self.protocol,
            if self.tls { " and TLS" } else { "" },
            self.connections,
            plural(self.connections),
            self.threads,
            plural(self.threads),
            self.measured_s
        )?;
        writeln!(out)?;
        writeln!(
            out,
            "{:<16} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "latency", "count", "p50", "p90", "p99", "p99.9", "max"
        )?;
        let name = if self.rate.is_some() { "from due time" } else { "from start" };
        row(out, name, latency)?;
        if self.steps.len() > 1 {
            for step in &self.steps {
                row(out, &format!("  {}", step.name), &step.latency_ms)?;
            }
        }
        if self.rate.is_some() {
            row(out, "until sent", &self.send_delay_ms)?;
        }
        writeln!(out)?;
        let list = |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let statuses = self.statuses.iter().map(|(status, count)| format!("{status} × {count}")).collect();
        writeln!(out, "statuses    {}", list(statuses))?;
        let errors = self.errors.iter().map(|(kind, count)| format!("{kind} × {count}")).collect();
        writeln!(out, "errors      {}", list(errors))?;
        if self.rate.is_some() {
            writeln!(
                out,
                "rate        intended {}/s, achieved {}/s",
                thousands(self.intended_per_second),
                thousands(self.throughput_per_second)
            )?;
        }
        if self.reconnects > 0 {
            writeln!(out, "reconnects  {}", self.reconnects)?;
        }
        for warning in &self.warnings {
            writeln!(out, "WARNING     {warning}")?;
        }
        Ok(())
    }
}

fn row(out: &mut String, name: &str, latency: &Latency) -> std::fmt::Result {
    writeln!(
        out,
        "{name:<16} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        latency.count,
        ms(latency.p50),
        ms(latency.p90),
        ms(latency.p99),
        ms(latency.p999),
        ms(latency.max)
    )
}

/// Milliseconds with three digits or so.
pub(crate) fn ms(value: f64) -> String {
    let digits = match value {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} ms")
}

/// A rate with its thousands set apart; rates below a hundred keep a decimal.
pub(crate) fn thousands(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    let digits = format!("{rate:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A duration as options write it.
pub(crate) fn shown(duration: Duration) -> String {
    ms(duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
