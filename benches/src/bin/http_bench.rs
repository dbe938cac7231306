//! `http_bench`: load on one URL from one core: throughput and p99 first.
#![forbid(unsafe_code)]

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use assay_benches::generator::{Extent, Load, run};
use assay_benches::request::{get, post};
use assay_tools::host::pin_to_core;
use clap::Parser;

/// Closed-loop HTTP/1.1 load from one thread.
#[derive(Parser)]
struct Options {
    /// Such as http://127.0.0.1:8080/introspect
    url: String,
    /// A header line, "Name: value"
    #[arg(long = "header", short = 'H')]
    headers: Vec<String>,
    /// Body of every request; without this and --bodies the requests are GETs
    #[arg(long)]
    body: Option<String>,
    /// A file with one body per line, sent in rotation
    #[arg(long, conflicts_with = "body")]
    bodies: Option<PathBuf>,
    /// Keep-alive connections, one request in flight on each
    #[arg(long, short, default_value_t = 64)]
    connections: usize,
    /// Measured seconds
    #[arg(long, short = 'd', default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before measuring starts
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Send each body once instead of rotating until the time is up
    #[arg(long)]
    once: bool,
    /// Keep the generator on this core
    #[arg(long)]
    core: Option<usize>,
    /// Text that every response body must contain
    #[arg(long)]
    expect: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("http_bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), String> {
    let (address, path) = parse_url(&options.url)?;
    let headers = options
        .headers
        .iter()
        .map(|line| line.split_once(':').map(|(name, value)| (name.trim(), value.trim())))
        .collect::<Option<Vec<_>>>()
        .ok_or("a header is written as \"Name: value\"")?;
    let requests = match (&options.bodies, &options.body) {
        (Some(file), _) => {
            let bodies = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            bodies.lines().map(|body| post(address, &path, &headers, body)).collect()
        }
        (None, Some(body)) => vec![post(address, &path, &headers, body)],
        (None, None) => vec![get(address, &path, &headers)],
    };
    let extent = if options.once {
        Extent::Once
    } else {
        Extent::Rotate { warm_up: duration(options.warm_up)?, duration: duration(options.seconds)? }
    };
    let load = Load { address, connections: options.connections, extent, expect: options.expect.clone() };
    if let Some(core) = options.core {
        pin_to_core(core).map_err(|error| format!("core {core}: {error}"))?;
    }
    let figures = run(&load, &requests).map_err(|error| format!("{address}: {error}"))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?);
    } else {
        println!("{figures}");
    }
    Ok(())
}

fn duration(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds} seconds: {error}"))
}

fn parse_url(url: &str) -> Result<(SocketAddr, String), String> {
    let rest = url.strip_prefix("http://").ok_or("the URL starts with http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let address = authority
        .to_socket_addrs()
        .map_err(|error| format!("{authority}: {error}"))?
        .next()
        .ok_or_else(|| format!("{authority}: no address"))?;
    Ok((address, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}
