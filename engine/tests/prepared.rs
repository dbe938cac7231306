//! Keys prepared beforehand: how many there can be, and that releasing one makes room. Alone in its process, because the
//! room is the process's.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::{Backend, VerifyKey};
use assay_kernels::limits::KEY_TABLES_BYTES_MAX;
use support::Rng;

/// A key's table: 32 windows of 128 entries of 64 bytes.
const TABLE_BYTES: usize = 32 * 128 * 64;

fn check(keys: impl Iterator<Item = VerifyKey>) {
    let room = if Backend::detect() == Backend::Portable { 0 } else { KEY_TABLES_BYTES_MAX / 2 / TABLE_BYTES };
    let keys: Vec<_> = keys.take(room + 2).collect();
    let (prepared, refused) = keys.split_at(room);
    for key in prepared {
        assert!(key.prepare());
    }
    assert!(prepared.iter().all(VerifyKey::prepare), "those that are prepared stay so");
    assert!(!refused[0].prepare() && !refused[1].prepare(), "the other half is for keys that earn it");
    refused[0].release();
    assert!(!refused[1].prepare(), "it held nothing");
    if let Some(first) = prepared.first() {
        first.release();
        assert!(refused[1].prepare(), "there is room again");
        assert!(!first.prepare());
    }
}

#[test]
fn half_of_the_room_is_for_prepared_keys_and_is_given_back() {
    let mut rng = Rng::from_env("prepared");
    check(std::iter::from_fn(|| Some(support::Secp256k1::random(&mut rng).verify_key())));
    let mut rng = Rng::from_env("prepared p256");
    check(std::iter::from_fn(|| {
        let point = support::p256_pair(&mut rng).verifying_key().to_sec1_point(false);
        Some(VerifyKey::p256_sec1(point.as_bytes()).expect("a derived key is a key"))
    }));
    let keys_without_tables =
        [VerifyKey::hmac(&[7; 32]), VerifyKey::schnorr_x_only(&support::Secp256k1::random(&mut rng).public[1..])];
    for key in keys_without_tables {
        let key = key.expect("a key");
        assert!(!key.prepare());
        key.release();
    }
}
