//! `record`: how many requests per second does one core answer, beside a handler that does nothing on the same runtime
//! in the same run? Writes the record and prints it as a table.
//!
//! Rounds are interleaved: each asks every question of every runtime once, so that a machine that slows down slows all
//! of them. Figures are medians over rounds, with the slowest and the fastest round beside them.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a record is named for the moment it was made")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use assay_benches::server::{Place, Server};
use assay_benches::workload::{Bench, Extents, Measured, Question};
use assay_tools::host::{Host, pin_to_core};
use clap::Parser;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

/// HTTP throughput and latency of the release binary, recorded.
#[derive(Parser)]
struct Options {
    /// Rounds; each asks every question once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured seconds of a question that rotates its requests
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Times per round that the no-op and the seen tokens are asked about, turn and turn about: on a machine whose
    /// speed drifts within seconds their ratio needs many short looks at both
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// Never-seen tokens per round
    #[arg(long, default_value_t = 30_000)]
    unseen: usize,
    /// Runtimes to ask
    #[arg(long, value_delimiter = ',', default_value = "epoll,io_uring")]
    runtimes: Vec<String>,
    /// The core the servers run on
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core the generator runs on
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// Where the binaries are [default: where this one is]
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Where records go, by host
    #[arg(long, default_value = "benches/record")]
    output: PathBuf,
}

/// One question on one runtime, over all rounds.
#[derive(Serialize)]
struct Row {
    runtime: String,
    question: &'static str,
    items_per_request: usize,
    requests_per_second: Spread,
    /// Of what was asked in turn with the no-op, the median over turns of their ratio; of the rest, the ratio of medians.
    ratio_to_noop: f64,
    p50_us: f64,
    p99_us: f64,
    /// Shares of a core: see `Measured`.
    server_busy: f64,
    generator_busy: f64,
    rounds: Vec<Measured>,
}

#[derive(Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Record {
    host: Host,
    command: Vec<String>,
    at: String,
    server_core: usize,
    generator_core: usize,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    match record(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record: {error}");
            ExitCode::FAILURE
        }
    }
}

fn record(options: &Options) -> io::Result<()> {
    if options.rounds == 0
        || options.turns == 0
        || !(0.05..=600.0).contains(&options.seconds)
        || options.runtimes.is_empty()
        || options.unseen == 0
    {
        return Err(io::Error::other(
            "nothing to measure: give at least one round, one turn, 0.05 to 600 seconds, one runtime, one never-seen token",
        ));
    }
    // The host is asked first: from then on this process is one core wide.
    let host = Host::read();
    pin_to_core(options.generator_core)?;
    let binaries = match &options.binaries {
        Some(binaries) => binaries.clone(),
        None => std::env::current_exe()?.parent().expect("a binary stands in a directory").to_owned(),
    };
    let place = Place { binaries, core: options.server_core };
    let benches = options
        .runtimes
        .iter()
        .map(|runtime| Bench::prepare(runtime, Server::assay(&place, runtime)?, Server::noop(&place, runtime)?))
        .collect::<io::Result<Vec<_>>>()?;

    let extents = Extents {
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs_f64(options.seconds),
        unseen: options.unseen,
    };
    let mut figures: BTreeMap<(usize, Question), Vec<Measured>> = BTreeMap::new();
    for round in 1..=options.rounds {
        for (index, bench) in benches.iter().enumerate() {
            let in_turn = [Question::Noop, Question::Seen];
            let others = Question::ALL.into_iter().filter(|question| !in_turn.contains(question));
            for question in in_turn.repeat(options.turns).into_iter().chain(others) {
                let measured = bench.ask(question, extents)?;
                eprintln!(
                    "round {round}/{} {} {}: {}",
                    options.rounds,
                    bench.runtime,
                    question.name(),
                    measured.figures
                );
                figures.entry((index, question)).or_default().push(measured);
            }
        }
    }

    let noop = |index| figures[&(index, Question::Noop)].clone();
    let rows: Vec<Row> = figures
        .iter()
        .map(|(&(index, question), rounds)| row(&benches[index].runtime, question, rounds, &noop(index)))
        .collect();
    print_table(&rows);

    let format = format_description!("[year]-[month]-[day]T[hour][minute]Z");
    let at = OffsetDateTime::now_utc().format(&format).map_err(io::Error::other)?;
    let directory = options.output.join(host.label());
    fs::create_dir_all(&directory)?;
    let file = directory.join(format!("{at}.json"));
    let (server_core, generator_core) = (options.server_core, options.generator_core);
    // The binary's place is this machine's business; its name and options are what one repeats.
    let command = std::iter::once("record".to_owned()).chain(std::env::args().skip(1)).collect();
    let record = Record { host, command, at, server_core, generator_core, rows };
    fs::write(&file, serde_json::to_string_pretty(&record)? + "\n")?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn row(runtime: &str, question: Question, rounds: &[Measured], noop: &[Measured]) -> Row {
    let of = |figure: fn(&Measured) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let per_second = of(|round| round.figures.requests_per_second);
    let noop: Vec<f64> = noop.iter().map(|round| round.figures.requests_per_second).collect();
    let ratio_to_noop = if rounds.len() == noop.len() {
        median(per_second.iter().zip(noop).map(|(this, noop)| this / noop).collect())
    } else {
        median(per_second.clone()) / median(noop)
    };
    Row {
        runtime: runtime.to_owned(),
        question: question.name(),
        items_per_request: question.items(),
        requests_per_second: Spread {
            median: median(per_second.clone()),
            min: per_second.iter().copied().fold(f64::INFINITY, f64::min),
            max: per_second.iter().copied().fold(0.0, f64::max),
        },
        ratio_to_noop,
        p50_us: median(of(|round| round.figures.p50_us)),
        p99_us: median(of(|round| round.figures.p99_us)),
        server_busy: median(of(|round| round.server_busy)),
        generator_busy: median(of(|round| round.generator_busy)),
        rounds: rounds.to_vec(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn print_table(rows: &[Row]) {
    println!(
        "\n| runtime | question | per second, median | min | max | of the no-op | p50 µs | p99 µs | server busy | generator busy |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for row in rows {
        let items = row.items_per_request as f64;
        let Spread { median, min, max } = row.requests_per_second;
        // Batches count in tokens: a ratio of requests would mean nothing.
        let ratio = if items > 1.0 { "–".to_owned() } else { format!("{:.2}", row.ratio_to_noop) };
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {ratio} | {:.0} | {:.0} | {:.2} | {:.2} |",
            row.runtime,
            row.question,
            median * items,
            min * items,
            max * items,
            row.p50_us,
            row.p99_us,
            row.server_busy,
            row.generator_busy
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
