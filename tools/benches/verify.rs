//! What does `assay verify` lose between the file and the engine?
//!
//! `cargo bench -p assay-tools --bench verify [-- --tokens N --threads N --rounds N --keys K]`. Emits N ES256 tokens, then
//! takes turns: the tool on the file, the server's own decoding (header, signature, claims) of the same tokens in memory,
//! and the engine alone on jobs that are ready. Same cores, same batch size, interleaved; medians and ratios are printed.
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
    let (mut of_tool, mut of_decode, mut of_engine) = (Vec::new(), Vec::new(), Vec::new());
    let (mut to_decode, mut to_engine) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let before = (decode(), engine());
        let measured = tool(&tokens, &jwks, options.threads);
        let after = (decode(), engine());
        // The machine drifts: each run of the tool is compared with what came right before and after it.
        let (decode, engine) = ((before.0 + after.0) / 2.0, (before.1 + after.1) / 2.0);
        of_tool.push(measured);
        of_decode.push(decode);
        of_engine.push(engine);
        to_decode.push(measured / decode);
        to_engine.push(measured / engine);
    }
    println!(
        "{} ES256 tokens, {} keys, {} threads, {} rounds",
        options.tokens, options.keys, options.threads, options.rounds
    );
    println!("assay verify, file:        {:>8.0} tokens/s", median(&mut of_tool));
    println!("server's decode, memory:   {:>8.0} tokens/s", median(&mut of_decode));
    println!("engine alone, jobs ready:  {:>8.0} tokens/s", median(&mut of_engine));
    println!("tool / decode: {:.3}   tool / engine alone: {:.3}", median(&mut to_decode), median(&mut to_engine));
}
