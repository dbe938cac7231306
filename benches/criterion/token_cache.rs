//! What does a lookup in the token cache cost, hit and miss, when the working set is in cache and when it is not?
//!
//! `cargo bench -p assay-engine --bench token_cache`
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use assay_engine::token_cache::{KeyTag, TokenCache};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Tokens of 500 bytes that share a prefix of 400, like those of one issuer.
fn tokens(count: u64) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut token = vec![b'e'; 400];
            let mut state = number;
            while token.len() < 500 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                token.extend_from_slice(&state.to_be_bytes());
            }
            token.truncate(500);
            token
        })
        .collect()
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token_cache");
    for count in [1_000, 100_000] {
        let known = tokens(count);
        let mut cache = TokenCache::new(256 << 20);
        for token in &known {
            cache.insert(token, 0_u64, u64::MAX, KeyTag(0), 0, 0);
        }
        let mut next = 0;
        group.bench_function(BenchmarkId::new("hit_500_bytes", count), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % known.len();
                black_box(cache.get(&known[next], 1)).is_some()
            });
        });
        let unknown: Vec<_> = known
            .iter()
            .take(1_000)
            .map(|token| {
                let mut token = token.clone();
                token[499] ^= 1;
                token
            })
            .collect();
        group.bench_function(BenchmarkId::new("miss_500_bytes", count), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % unknown.len();
                black_box(cache.get(&unknown[next], 1)).is_some()
            });
        });
    }
    let flood = tokens(50_000);
    let mut cache = TokenCache::new(8 << 20);
    let mut next = 0;
    group.bench_function("insert_evicting", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % flood.len();
            cache.insert(&flood[next], 0_u64, u64::MAX, KeyTag(0), 0, 0)
        });
    });
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
