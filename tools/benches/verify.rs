//! What does `assay verify` lose between the file and the engine?
//!
//! `cargo bench -p assay-tools --bench verify [-- --tokens N --threads N --rounds N --keys K]`. Emits N ES256 tokens, then
//! takes turns: the tool on the file, the server's own decoding (header, signature, claims) of the same tokens in memory,
//! and the engine alone on jobs that are ready. Same cores, same batch size, interleaved; medians and ratios are printed,
//! of tokens per second and, for machines that others use too, of processor time per token.
#![allow(missing_docs, reason = "a program")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use assay_engine::{Job, JwsAlgorithm, VerifyKey, verify_now};
use assay_oauth::jose::access::AccessToken;
use assay_oauth::jose::jwk::{JwkSet, Material};
use bytes::Bytes;
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_assay-tools");
/// As many as one kernel call takes.
const BATCH: usize = 256;

struct Options {
    tokens: usize,
    threads: usize,
    rounds: usize,
    keys: usize,
}

fn options() -> Options {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { tokens: 100_000, threads, rounds: 5, keys: 4 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let place = match argument.as_str() {
            "--tokens" => &mut options.tokens,
            "--threads" => &mut options.threads,
            "--rounds" => &mut options.rounds,
            "--keys" => &mut options.keys,
            // Cargo says that this is a bench.
            "--bench" => continue,
            other => panic!("unknown argument {other}"),
        };
        *place = arguments.next().and_then(|number| number.parse().ok()).expect("a number follows");
    }
    options
}

/// Runs `work` over all windows on as many threads; tokens per second.
fn on_threads(threads: usize, count: usize, work: impl Fn(std::ops::Range<usize>) + Sync) -> f64 {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let start = next.fetch_add(BATCH, Ordering::Relaxed);
                    if start >= count {
                        return;
                    }
                    work(start..count.min(start + BATCH));
                }
            });
        }
    });
    count as f64 / started.elapsed().as_secs_f64()
}

fn job(token: &Bytes, keys: &HashMap<String, VerifyKey>) -> Job {
    let parsed = AccessToken::parse(token).expect("emitted tokens are access tokens");
    Job::Jws {
        alg: JwsAlgorithm::Es256,
        key: keys[parsed.kid()].clone(),
        signing_input: token.slice_ref(parsed.signing_input()),
        signature: parsed.signature().to_vec(),
    }
}

fn keys(path: &Path) -> HashMap<String, VerifyKey> {
    let document: Value = serde_json::from_slice(&std::fs::read(path).expect("emitted")).expect("JSON");
    let set = JwkSet::parse(&document).expect("at most sixteen keys");
    let key = |material: &Material| match material {
        Material::EcP256 { x, y } => VerifyKey::p256_xy(x, y).expect("a key"),
        _ => panic!("es256 was emitted"),
    };
    set.keys.iter().map(|jwk| (jwk.kid.clone().expect("named"), key(&jwk.material))).collect()
}

/// What one contestant did: tokens per second, and processor seconds.
#[derive(Clone, Copy)]
struct Sample {
    rate: f64,
    cpu_s: f64,
}

/// Processor seconds of this process and of its children that have ended (proc(5): fields 14 to 17 of `stat`).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().expect("the name is in parentheses").split_whitespace();
    let ticks: f64 = fields.skip(11).take(4).map(|field| field.parse::<f64>().expect("a number")).sum();
    // USER_HZ is 100 on every Linux there is.
    ticks / 100.0
}

fn sample(work: impl FnOnce() -> f64) -> Sample {
    let before = cpu_s();
    let rate = work();
    Sample { rate, cpu_s: cpu_s() - before }
}

fn tool(tokens: &Path, keys: &Path, threads: usize) -> f64 {
    let output = Command::new(TOOL)
        .args(["verify", "--summary", "--json", "--threads", &threads.to_string(), "--jwks"])
        .arg(keys)
        .arg(tokens)
        .output()
        .expect("the tool starts");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!(summary["invalid"], 0, "{summary}");
    summary["lines_per_second"].as_f64().expect("a number")
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() {
    let options = options();
    let directory = tempfile::tempdir().expect("a directory");
    let (tokens, jwks) = (directory.path().join("tokens"), directory.path().join("jwks"));
    let emitted = Command::new(TOOL)
        .args(["load", "--emit", &options.tokens.to_string(), "--keys", &options.keys.to_string(), "--output"])
        .args([tokens.as_os_str(), "--jwks-out".as_ref(), jwks.as_os_str()])
        .output()
        .expect("the tool starts");
    assert!(emitted.status.success());
    let keys = keys(&jwks);
    let text = Bytes::from(std::fs::read(&tokens).expect("emitted"));
    let lines: Vec<Bytes> = text.split(|byte| *byte == b'\n').map(|line| text.slice_ref(line)).collect();
    let lines = &lines[..options.tokens];
    let jobs: Vec<Job> = lines.iter().map(|line| job(line, &keys)).collect();
    let engine = || {
        on_threads(options.threads, jobs.len(), |window| {
            let mut verdicts = Vec::new();
            verify_now(&jobs[window], &mut verdicts);
            assert!(verdicts.iter().all(|verdict| verdict.is_valid()));
        })
    };
    let decode = || {
        on_threads(options.threads, lines.len(), |window| {
            let (mut jobs, mut verdicts, mut scratch) = (Vec::with_capacity(BATCH), Vec::new(), Vec::new());
            jobs.extend(lines[window.clone()].iter().map(|line| job(line, &keys)));
            verify_now(&jobs, &mut verdicts);
            for (line, verdict) in lines[window].iter().zip(&verdicts) {
                let parsed = AccessToken::parse(line).expect("it parsed before");
                let claims = parsed.conclude(verdict.is_valid(), &mut scratch).expect("emitted claims are good");
                assert!(claims.exp > claims.iat);
            }
        })
    };
    // Keys earn their tables here.
    engine();
    // The tool starts cold and does some things once, whatever the length of the file: tables of the base point and of
    // each key, and the slow verifications by which a key earns its own. What the head of the file costs is taken off.
    let few = directory.path().join("few");
    let few_count = lines.len() / 4;
    std::fs::write(&few, lines[..few_count].join(&b'\n')).expect("writable");
    let rest = (lines.len() - few_count) as f64 / lines.len() as f64;
    let (mut of_tool, mut of_decode, mut of_engine) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rate_ratios, mut cpu_ratios) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..options.rounds {
        let before = [sample(decode), sample(engine)];
        let start = sample(|| tool(&few, &jwks, options.threads));
        let measured = sample(|| tool(&tokens, &jwks, options.threads));
        let after = [sample(decode), sample(engine)];
        of_tool.push(measured.rate);
        of_decode.push(before[0].rate);
        of_engine.push(before[1].rate);
        // The machine drifts: each run of the tool is compared with what came right before and after it.
        for index in 0..2 {
            rate_ratios[index].push(measured.rate * 2.0 / (before[index].rate + after[index].rate));
            let own = (before[index].cpu_s + after[index].cpu_s) / 2.0;
            cpu_ratios[index].push(own * rest / (measured.cpu_s - start.cpu_s));
        }
    }
    let Options { tokens, threads, rounds, keys } = options;
    println!("{tokens} ES256 tokens, {keys} keys, {threads} threads, {rounds} rounds");
    println!("assay verify, file:        {:>8.0} tokens/s", median(&mut of_tool));
    println!("server's decode, memory:   {:>8.0} tokens/s", median(&mut of_decode));
    println!("engine alone, jobs ready:  {:>8.0} tokens/s", median(&mut of_engine));
    for (name, index) in [("server's decode", 0), ("engine alone", 1)] {
        let (rate, cpu) = (median(&mut rate_ratios[index]), median(&mut cpu_ratios[index]));
        println!("tool / {name}: {rate:.3} by the clock, {cpu:.3} by processor time per token");
    }
}
