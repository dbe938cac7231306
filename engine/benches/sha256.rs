//! How much faster are many SHA-256 digests together than one after the other?
//!
//! `cargo bench -p assay-engine --bench sha256 [-- --rounds N]`. One process, one pinned core; each round times every way
//! of hashing in turn, on messages that are in cache, and the median of a way's rounds is printed.
#![allow(missing_docs, reason = "a program")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use assay_kernels::sha256::{Message, for_each_digest};
use aws_lc_rs::digest;
use sha2::{Digest, Sha256};

/// Like the signing input of a token with a handful of claims.
const MESSAGE_BYTES: usize = 520;
/// With its padding.
const MESSAGE_BLOCKS: usize = 9;
/// Messages hashed between two readings of the clock, at least.
const MESSAGES_PER_SAMPLE: usize = 256;

type Way = fn(&[Vec<u8>], &mut [[u8; 32]]);

const WAYS: [(&str, Way); 4] = [
    ("together", |messages, digests| {
        let messages = messages.iter().map(|message| Message::new(message));
        for_each_digest(digests.iter_mut().zip(messages), |place, digest| *place = digest);
    }),
    ("each alone", |messages, digests| {
        for (place, message) in digests.iter_mut().zip(messages) {
            *place = Message::new(message).digest();
        }
    }),
    ("sha2", |messages, digests| {
        for (place, message) in digests.iter_mut().zip(messages) {
            *place = Sha256::digest(message).into();
        }
    }),
    ("AWS-LC", |messages, digests| {
        for (place, message) in digests.iter_mut().zip(messages) {
            place.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
        }
    }),
];

fn rows(messages: &[Vec<u8>], rounds: usize) {
    let repeats = MESSAGES_PER_SAMPLE.div_ceil(messages.len());
    let mut digests = vec![[0; 32]; messages.len()];
    let mut samples = [const { Vec::new() }; WAYS.len()];
    for round in 0..rounds {
        for turn in 0..WAYS.len() {
            let way = (round + turn) % WAYS.len();
            let started = Instant::now();
            for _ in 0..repeats {
                (WAYS[way].1)(black_box(messages), black_box(&mut digests));
            }
            samples[way].push(started.elapsed().as_secs_f64() * 1e9 / (repeats * messages.len()) as f64);
            assert!(digests.iter().zip(messages).all(|(digest, message)| *digest == *Sha256::digest(message)));
        }
    }
    for ((name, _), mut samples) in WAYS.into_iter().zip(samples) {
        samples.sort_by(f64::total_cmp);
        let median = samples[rounds / 2];
        println!("| {} | {name} | {median:.0} | {:.1} |", messages.len(), median / MESSAGE_BLOCKS as f64);
    }
}

fn main() {
    let mut rounds = 401;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            // Cargo says that this is a bench.
            "--bench" => {}
            other => panic!("unknown argument {other}; there is --rounds N"),
        }
    }
    let core = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()).expect("a core");
    assert!(core_affinity::set_for_current(core), "pinned");
    println!("{rounds} rounds, medians, messages of {MESSAGE_BYTES} bytes");
    println!("| messages | way | ns per message | ns per block |");
    println!("|---:|---|---:|---:|");
    for count in [1, 2, 16, 256] {
        let messages: Vec<_> = (0..count).map(|i| vec![i as u8; MESSAGE_BYTES]).collect();
        rows(&messages, rounds);
    }
}
