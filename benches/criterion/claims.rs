//! How long does reading the claims of one access token take: our strict scanner, simd-json's tape, serde_json?
//!
//! The rivals do less: neither refuses repeated members, and only ours judges types, ranges and required claims.
//! Run: `cargo bench -p assay-oauth --bench claims`.

use std::hint::black_box;

use assay_oauth::encoding::{base64url, base64url_decode_into};
use assay_oauth::jose::access::AccessClaims;
use assay_oauth::jose::json;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use simd_json::prelude::ValueAsScalar as _;

const CLAIMS: &str = concat!(
    r#"{"iss":"https://id.example","sub":"usr_7qd6Rk2vQmY0aXb3Lw9ZsT","aud":["https://api.example"],"exp":1768482000,"#,
    r#""iat":1768478400,"jti":"5vJk1QZxY0aXb3Lw9ZsT2d","client_id":"app_0aXb3Lw9ZsT7qd6Rk2vQmY","scope":"openid profile","#,
    r#""tid":"default","sty":"user","gen":123456,"sid":"ses_Lw9ZsT7qd6Rk2vQmY0aXb3","auth_time":1768478390,"amr":["pop"],"#,
    r#""pubkey":"033e2c619db997691b2ab406f81538cc1e15d58ca6a554970b32424b8af77dbc80","bap_id":"2sxzL4acYnCZW9MxGRDJgr4DaH9j"}"#
);

/// What a strict reader over the tape must do at least: find the top-level members, refuse repeated names, read `exp`.
fn walk(tape: &simd_json::Tape<'_>) -> Option<u64> {
    let object = tape.as_value();
    let object = object.as_object()?;
    let mut names: Vec<&str> = Vec::with_capacity(24);
    let mut exp = None;
    for (name, value) in object.iter() {
        if names.contains(&name) {
            return None;
        }
        names.push(name);
        if name == "exp" {
            exp = value.as_u64();
        }
    }
    exp
}

fn claims(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("claims");
    group.throughput(Throughput::Bytes(CLAIMS.len() as u64));
    group.bench_function("scan only (strict)", |bencher| {
        bencher.iter(|| {
            let mut exp = 0;
            json::object(black_box(CLAIMS.as_bytes()), |name, value| {
                if name == "exp" {
                    exp = value.integer()?;
                }
                Ok(())
            })
            .map(|()| exp)
        });
    });
    group.bench_function("simd-json tape", |bencher| {
        let mut buffers = simd_json::Buffers::default();
        bencher.iter_batched(
            || CLAIMS.as_bytes().to_vec(),
            |mut bytes| {
                black_box(simd_json::to_tape_with_buffers(&mut bytes, &mut buffers).map(|tape| tape.0.len()).unwrap());
                bytes
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("simd-json tape, walked, repeated members refused", |bencher| {
        let mut buffers = simd_json::Buffers::default();
        bencher.iter_batched(
            || CLAIMS.as_bytes().to_vec(),
            |mut bytes| {
                let exp = walk(&simd_json::to_tape_with_buffers(&mut bytes, &mut buffers).unwrap());
                assert_eq!(black_box(exp), Some(1_768_482_000));
                bytes
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("simd-json borrowed value", |bencher| {
        let mut buffers = simd_json::Buffers::default();
        bencher.iter_batched(
            || CLAIMS.as_bytes().to_vec(),
            |mut bytes| {
                black_box(simd_json::to_borrowed_value_with_buffers(&mut bytes, &mut buffers).is_ok());
                bytes
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("serde_json value", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(CLAIMS.as_bytes())));
    });
    group.bench_function("AccessClaims::parse (owned result)", |bencher| {
        bencher.iter(|| AccessClaims::parse(black_box(CLAIMS.as_bytes())));
    });
    group.bench_function("base64url + AccessClaims::parse", |bencher| {
        let text = base64url(CLAIMS);
        let mut scratch = Vec::new();
        bencher.iter(|| {
            assert!(base64url_decode_into(black_box(text.as_bytes()), &mut scratch));
            AccessClaims::parse(&scratch)
        });
    });
    group.finish();
}

criterion_group!(benches, claims);
criterion_main!(benches);
