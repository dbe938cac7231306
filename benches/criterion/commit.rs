//! How many durable commits per second does the store give, and does sharing the fsync show?
//!
//! `durable_commits`: 1, 16 and 256 callers at once, each waiting for its answer before it asks again; one row of
//! about the size of a session. `single_use`: 256 callers redeeming things that work once, as a replay row
//! (`expect_absent` and put) and as a code (`expect_unchanged` and put redeemed). On RocksDB, in a directory under
//! cargo's target directory, so that the fsync is one of a real disk and not of a tmpfs.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use assay_storage::record::{Code, CodeState, Replay, Session};
use assay_storage::schema::{Codes, Replays, Sessions};
use assay_storage::{Commit, Store, StoreOptions, TenantId, kv};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;

const NOW: u64 = 1_700_000_000;
const LATER: u64 = NOW + 100_000;

fn open() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let engine = kv::rocks(directory.path()).expect("RocksDB opens");
    let store = Store::open(engine, StoreOptions::default(), NOW, Box::new(|_| {})).expect("the store opens");
    (directory, store)
}

/// Keys that never repeat within a run.
fn fresh() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Spread as hashes are, so that the memtable and the filters see what they see in a server.
    let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

fn session() -> Session {
    Session {
        sid: "s".repeat(22),
        user_id: "u".repeat(22),
        created_at: NOW,
        auth_time: NOW,
        ip: "192.0.2.1".to_owned(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned(),
        amr: vec!["swk".to_owned()],
        r#gen: 1,
    }
}

fn code(state: CodeState) -> Code {
    Code {
        client_id: "c".repeat(22),
        user_id: "u".repeat(22),
        redirect_uri: "https://app.example/callback".to_owned(),
        redirect_uri_given: true,
        code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned()),
        scope: vec!["openid".to_owned()],
        nonce: None,
        sid: None,
        auth_time: NOW,
        amr: vec!["swk".to_owned()],
        resources: vec![],
        r#gen: 1,
        code_expires_at: LATER,
        state,
    }
}

/// Runs `operations` calls of `call` from `callers` threads and returns the time they took together. Each thread gets
/// its number of calls; setting up is not measured.
fn timed(callers: u64, operations: u64, call: impl Fn() + Sync) -> Duration {
    let left = AtomicU64::new(operations);
    let start = std::sync::Barrier::new(callers as usize + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                        call();
                    }
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        threads.into_iter().for_each(|thread| thread.join().expect("a caller does not panic"));
        started.elapsed()
    })
}

fn commit(store: &Store, state: impl FnOnce(&mut Commit) -> &mut Commit) -> assay_storage::Seq {
    let mut commit = Commit::new(TenantId::DEFAULT, NOW);
    state(&mut commit);
    block_on(store.commit(commit)).expect("the disk works and nobody else uses these keys")
}

fn durable_commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable_commits");
    for callers in [1, 16, 256] {
        let (_directory, store) = open();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.iter_custom(|operations| {
                timed(callers, operations, || {
                    commit(&store, |c| c.put_expiring::<Sessions>(&fresh(), &session(), LATER));
                })
            });
        });
        store.close().expect("the store closes");
    }
}

fn single_use(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("single_use");
    group.throughput(Throughput::Elements(1));
    let (_directory, store) = open();
    group.bench_function("replay_row", |bencher| {
        bencher.iter_custom(|operations| {
            timed(256, operations, || {
                let key = fresh();
                commit(&store, |c| c.expect_absent::<Replays>(&key).put_expiring::<Replays>(&key, &Replay {}, LATER));
            })
        });
    });
    group.bench_function("code", |bencher| {
        bencher.iter_custom(|operations| {
            let issued = std::sync::Mutex::new(Vec::new());
            timed(256, operations, || {
                let key = fresh();
                let seq = commit(&store, |c| {
                    c.expect_absent::<Codes>(&key).put_expiring::<Codes>(&key, &code(CodeState::Issued), LATER)
                });
                issued.lock().expect("no panic under it").push((key, seq));
            });
            timed(256, operations, || {
                let (key, seq) = issued.lock().expect("no panic under it").pop().expect("one per operation");
                let redeemed = CodeState::Redeemed { jti: "j".repeat(22), access_expires_at: LATER };
                commit(&store, |c| {
                    c.expect_unchanged::<Codes>(&key, seq);
                    c.put_expiring::<Codes>(&key, &code(redeemed), LATER)
                });
            })
        });
    });
    store.close().expect("the store closes");
}

criterion_group!(benches, durable_commits, single_use);
criterion_main!(benches);
