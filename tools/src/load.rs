//! `assay load`: how many logins, how many introspections, does a server manage?
//!
//! In the order of a run: `options` are read, `prepare` makes tokens and signatures, `worker`s drive `client`s, which
//! carry the `journey`s of a `scenario` (or a `script`) as a `shift` lets them, at a `pace`; a `tally` counts,
//! a `report` tells.

mod client;
mod emit;
mod find_max;
mod journey;
mod live;
mod options;
mod pace;
mod page;
mod prepare;
mod report;
mod scenario;
mod script;
mod shift;
mod tally;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::failure::{Failure, chain, print, print_json};
use crate::interrupt::Interrupt;
use client::Wire;
use client::tls::{Tls, Trust};
use client::transport::Transport;
use find_max::{FIRST_RATE, Search, Trial};
use options::Options;
use pace::{Arrivals, Rate};
use prepare::Preparer;
use report::{RateRange, Report, Setting, ms, shown, thousands};
use scenario::{Plan, Source};
use tally::{Tally, Window};
use worker::{Run, run as run_workers, unreachable};

/// Connections unless told otherwise.
const CONNECTIONS: usize = 64;
/// The same for HTTP/2, where each carries several streams.
const CONNECTIONS_HTTP2: usize = 8;
/// Longest wait for the first connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// A share of failed journeys beyond which `--find-max` calls a rate too high.
const ERRORS_SHARE: f64 = 0.001;

/// How it is called.
#[must_use]
pub fn command() -> Command {
    emit::args(options::command())
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    if emit::requested(matches) {
        return emit::run(matches);
    }
    let options = Options::read(matches)?;
    let interrupt = Interrupt::listen()?;
    let wire = wire(&options)?;
    let plan = Preparer::new(&options, &wire, &interrupt)?.plan()?;
    let job = Job { options: &options, wire: &wire, plan: &plan, interrupt: &interrupt };
    match &plan.source {
        // A longer run needs more signatures than were made; a thread of its own makes them.
        Source::Login(login) if !options.challenge => std::thread::scope(|scope| {
            scope.spawn(|| login.keep_stock());
            let result = job.run();
            login.end();
            result
        }),
        _ => job.run(),
    }
}

/// How the server is spoken to; a first connection settles which HTTP, and that there is a server.
fn wire(options: &Options) -> Result<Wire, Failure> {
    let target = &options.target;
    let trust = match &options.ca {
        _ if options.insecure => Trust::Anybody,
        Some(file) => Trust::File(file),
        None => Trust::Platform,
    };
    let offered: &[&[u8]] = match (options.http1, options.http2) {
        (true, _) => &[b"http/1.1"],
        (_, true) => &[b"h2"],
        _ => &[b"h2", b"http/1.1"],
    };
    let mut tls = if target.is_tls { Some(Tls::new(&target.host, trust, offered)?) } else { None };
    let first = Transport::connect(target.address, tls.as_ref(), CONNECT_WAIT);
    let first = first.map_err(|error| unreachable(&target.origin(), &plain(error)))?;
    let agreed = first.agreed();
    let is_http2 = match (target.is_tls, agreed.as_deref()) {
        (false, _) => options.http2,
        (true, Some(b"h2")) => true,
        (true, _) if options.http2 => {
            return Err(Failure::Failed(format!("{} does not offer HTTP/2; leave out --http2", target.origin())));
        }
        (true, _) => false,
    };
    if target.is_tls {
        // What was agreed is what all connections will ask for.
        tls = Some(Tls::new(&target.host, trust, if is_http2 { &[b"h2"] } else { &[b"http/1.1"] })?);
    }
    let connections = options.connections.unwrap_or(if is_http2 { CONNECTIONS_HTTP2 } else { CONNECTIONS });
    Ok(Wire {
        address: target.address,
        authority: target.authority.clone(),
        tls,
        is_http2,
        connections: connections.max(options.threads),
        streams: if is_http2 { options.streams } else { 1 },
        timeout: options.timeout,
        spins: options.spins,
    })
}

/// A TLS error of the handshake, told as what it is.
fn plain(error: io::Error) -> io::Error {
    let text = chain(&error);
    io::Error::new(error.kind(), text)
}

/// A prepared run, or several.
struct Job<'a> {
    options: &'a Options,
    wire: &'a Wire,
    plan: &'a Plan,
    interrupt: &'a Interrupt,
}

impl Job<'_> {
    fn run(&self) -> Result<(), Failure> {
        if self.options.find_max {
            return self.find_max();
        }
        let report = self.measure(self.options.rate)?;
        self.write_page(&report, &[])?;
        if self.options.json {
            return print_json(&serde_json::to_value(&report).map_err(|error| Failure::Failed(error.to_string()))?);
        }
        print(&report.text())
    }

    /// One measurement.
    fn measure(&self, rate: Option<Rate>) -> Result<Report, Failure> {
        let options = self.options;
        let window = Window { warm_up: options.warm_up, duration: options.duration };
        let run = Run {
            wire: self.wire,
            plan: self.plan,
            rate,
            arrivals: options.arrivals,
            window,
            threads: options.threads,
            cores: &options.cores,
            seed: options.seed,
            interrupt: self.interrupt,
        };
        let origin = options.target.origin();
        let tally = run_workers(&run, &origin)?;
        self.must_have_answered(&tally, &origin)?;
        let signed_late = match &self.plan.source {
            Source::Login(login) => login.signed_late.swap(0, Ordering::Relaxed),
            _ => 0,
        };
        let setting = Setting {
            target: origin,
            scenario: self.plan.name.clone(),
            steps: self.plan.steps.clone(),
            is_http2: self.wire.is_http2,
            tls: self.wire.tls.is_some(),
            arrivals: rate.map(|_| match options.arrivals {
                Arrivals::Even => "even",
                Arrivals::Poisson => "poisson",
            }),
            rate: rate.map(|rate| RateRange { from: rate.from, to: rate.to }),
            connections: self.wire.connections,
            streams: self.wire.streams,
            threads: options.threads,
            seed: options.seed,
            spins: options.spins,
            signed_late,
        };
        Ok(Report::new(setting, &tally))
    }

    fn must_have_answered(&self, tally: &Tally, origin: &str) -> Result<(), Failure> {
        if tally.requests > 0 || tally.errors.is_empty() || self.interrupt.is_set() {
            return Ok(());
        }
        let kinds: Vec<_> = tally.errors.iter().map(|(kind, count)| format!("{kind} × {count}")).collect();
        Err(Failure::Unreachable(format!(
            "{origin} answered nothing: {}; is it the server you mean?",
            kinds.join(", ")
        )))
    }

    fn find_max(&self) -> Result<(), Failure> {
        let slo_ms = self.options.slo.as_secs_f64() * 1e3;
        let mut search = Search::new(self.options.rate.map_or(FIRST_RATE, |rate| rate.from));
        let mut best: Option<Report> = None;
        let shows = io::stderr().is_terminal();
        while let Some(rate) = search.next() {
            let report = self.measure(Some(Rate::constant(rate)))?;
            if self.interrupt.is_set() {
                break;
            }
            let trial = judge(&report, rate, slo_ms);
            if shows {
                let _gone = writeln!(io::stderr(), "{}", trial_line(&trial));
            }
            if trial.passed
                && best.as_ref().is_none_or(|best| report.throughput_per_second > best.throughput_per_second)
            {
                best = Some(report);
            }
            search.learn(trial);
        }
        if let Some(best) = &best {
            self.write_page(best, &search.trials)?;
        }
        if self.options.json {
            let found = json!({
                "slo_ms": slo_ms, "rate": search.knee().map(|knee| knee.rate), "trials": search.trials,
            });
            return print_json(&json!({ "tool": "assay load", "find_max": found, "report": best }));
        }
        let mut out = match search.knee() {
            Some(knee) => format!(
                "max rate    {}/s with p99 below {}\np99         {}\n\n",
                thousands(knee.rate),
                shown(self.options.slo),
                ms(knee.p99_ms)
            ),
            None => format!("max rate    none: no rate kept p99 below {}\n\n", shown(self.options.slo)),
        };
        out.push_str(&format!("{:>12} {:>12} {:>10} {:>10} {:>8}\n", "rate /s", "achieved", "p50", "p99", "errors"));
        search.trials.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        for trial in &search.trials {
            out.push_str(&trial_line(trial));
            out.push('\n');
        }
        print(&out)
    }

    fn write_page(&self, report: &Report, trials: &[Trial]) -> Result<(), Failure> {
        let Some(file) = &self.options.html else { return Ok(()) };
        std::fs::write(file, page::render(report, trials))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}; correct --html", file.display())))
    }
}

/// Whether a rate was sustained, and if not, why.
fn judge(report: &Report, rate: f64, slo_ms: f64) -> Trial {
    let latency = &report.latency_ms;
    let because = if report.errors_total as f64 > ERRORS_SHARE * report.intended as f64 {
        Some("errors")
    } else if latency.p99 > slo_ms {
        // A generator that is late itself says nothing about the server.
        Some(if report.generator_delay_ms.p99 > latency.p99 / 2.0 { "generator" } else { "p99" })
    } else if (report.completed as f64) < 0.95 * report.intended as f64 {
        Some("rate")
    } else {
        None
    };
    Trial {
        rate,
        achieved: report.throughput_per_second,
        p50_ms: latency.p50,
        p99_ms: latency.p99,
        errors: report.errors_total,
        passed: because.is_none(),
        because,
    }
}

fn trial_line(trial: &Trial) -> String {
    let verdict = match trial.because {
        None => "ok".to_owned(),
        Some("generator") => "too high: the GENERATOR was late".to_owned(),
        Some(why) => format!("too high: {why}"),
    };
    format!(
        "{:>12} {:>12} {:>10} {:>10} {:>8}   {verdict}",
        thousands(trial.rate),
        thousands(trial.achieved),
        ms(trial.p50_ms),
        ms(trial.p99_ms),
        trial.errors
    )
}
