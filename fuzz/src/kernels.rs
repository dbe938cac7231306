//! The kernels against each other: every backend says of every batch what the libraries say of it.
//!
//! Nothing is parsed here. The input chooses a batch, and for each job a key, the two factors of the sum u1·G + u2·Q
//! and a change; the signature is solved for, as in `engine/tests/kernels.rs`. So nearly every job reaches the lanes,
//! most are valid before they are changed, and the factors are those where sums meet, vanish or wrap.
//!
//! Input: size, keys to prepare, then records of eight bytes. A batch longer than its records repeats them with other
//! random numbers, so that short inputs make full batches.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use assay_kernels::Backend;
use assay_kernels::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job};
use assay_kernels::key::{P256PublicKey, Secp256k1PublicKey, XOnlyPublicKey};
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::{CurveArithmetic, Field, FieldBytes, Group};
use sha2::{Digest, Sha256};

/// z, r, s.
type Numbers = [[u8; 32]; 3];

const SECP256K1_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// λ, a cube root of 1 mod secp256k1's n: the factor of its endomorphism. For P-256 as good as any number.
const LAMBDA: [u8; 32] = [
    0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12, 0x2e, 0x22,
    0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
];

const RECORD_BYTES: usize = 8;
/// Keys that can be prepared. The rest of the numbers stands for keys that are seldom seen twice.
const NAMED_KEYS_COUNT: u8 = 24;
/// From this choice of u1 on, the commitment comes first and its x is at least n.
const WRAPPED_FROM: u8 = 240;
/// Solved signatures remembered, because solving costs more than all backends together.
const SOLVED_COUNT: usize = 1 << 16;

/// What the input says about one job.
#[derive(Clone, Copy)]
struct Record {
    key: u8,
    form: u8,
    u1: u8,
    u2: u8,
    seed: u8,
    change: u8,
    position: u8,
    mask: u8,
}

/// The batch an input stands for: which named keys to prepare, and its records.
fn batch(data: &[u8]) -> (u8, Vec<Record>) {
    let (&[size, prepared], rest) = data.split_first_chunk().unwrap_or((&[0, 0], &[]));
    let mut given: Vec<[u8; RECORD_BYTES]> = Vec::new();
    for bytes in rest.chunks(RECORD_BYTES) {
        // The last one may be cut off, and an input without any stands for one of zeros.
        let mut record = [0; RECORD_BYTES];
        record[..bytes.len()].copy_from_slice(bytes);
        given.push(record);
    }
    if given.is_empty() {
        given.push([0; RECORD_BYTES]);
    }
    // Every size up to a few vectors and their tails; now and then more than one chunk of the kernels.
    let size = if size >= 0xf8 { 125 + usize::from(size & 7) } else { 1 + usize::from(size) % 72 };
    let record = |index: usize| {
        let [key, form, u1, u2, seed, change, position, mask] = given[index % given.len()];
        let turn = u8::try_from(index / given.len()).expect("at most 132 jobs");
        Record { key, form, u1, u2, seed: seed.wrapping_add(turn), change, position: position ^ turn, mask }
    };
    (prepared, (0..size).map(record).collect())
}

fn scalar<C: CurveArithmetic>(bytes: &[u8; 32]) -> C::Scalar {
    let bytes = FieldBytes::<C>::try_from(bytes.as_slice()).expect("32 bytes on both curves");
    <C::Scalar as Reduce<FieldBytes<C>>>::reduce(&bytes)
}

fn bytes<C: CurveArithmetic>(scalar: C::Scalar) -> [u8; 32] {
    let bytes: FieldBytes<C> = scalar.into();
    bytes.as_slice().try_into().expect("32 bytes on both curves")
}

fn coordinates<C: CurveArithmetic>(point: C::ProjectivePoint) -> [[u8; 32]; 2] {
    let point: C::AffinePoint = point.into();
    [point.x(), point.y()].map(|bytes| bytes.as_slice().try_into().expect("32 bytes on both curves"))
}

/// A number nobody chose, the same for the same bytes.
fn random<C: CurveArithmetic>(purpose: &str, seed: &[u8]) -> C::Scalar {
    let number = scalar::<C>(&Sha256::new().chain_update(purpose).chain_update(seed).finalize().into());
    assert!(!bool::from(number.is_zero()));
    number
}

fn power<C: CurveArithmetic>(exponent: u8) -> C::Scalar {
    (0..exponent).fold(C::Scalar::ONE, |power, _| power + power)
}

/// Small and structured multiples of G, then random ones; from 128 on one for every (number, seed).
fn secret<C: CurveArithmetic>(key: u8, seed: u8) -> C::Scalar {
    let one = C::Scalar::ONE;
    let half = (one + one).invert().expect("2 is not 0");
    if key >= 128 {
        return random::<C>("key", &[key, seed]);
    }
    match key % NAMED_KEYS_COUNT {
        small @ 0..4 => C::Scalar::from(u64::from(small) + 1),
        small @ 4..8 => -C::Scalar::from(u64::from(small) - 3),
        8 => half,
        9 => half - one,
        10 => scalar::<C>(&LAMBDA),
        11 => -scalar::<C>(&LAMBDA),
        index @ 12..20 => power::<C>([4, 8, 12, 16, 64, 96, 128, 255][usize::from(index - 12)]),
        index => random::<C>("named key", &[index]),
    }
}

/// Named keys, and the first of each kind of those made for their commitment. A backend keeps 128 such tables.
fn is_prepared(prepared: u8, record: Record) -> bool {
    let named = if record.u1 >= WRAPPED_FROM { record.seed == 0 } else { record.key < 128 };
    named && prepared >> (record.key % NAMED_KEYS_COUNT % 8) & 1 == 1
}

fn u2<C: CurveArithmetic>(which: u8, seed: u8) -> C::Scalar {
    let one = C::Scalar::ONE;
    let half = (one + one).invert().expect("2 is not 0");
    match which & 7 {
        0 => random::<C>("u2", &[seed]),
        1 => one,
        2 => -one,
        3 => half,
        4 => half - one,
        5 => power::<C>(128),
        6 => power::<C>(seed),
        _ => C::Scalar::from(u64::from(seed) + 1),
    }
}

fn u1<C: CurveArithmetic>(which: u8, seed: u8, d: C::Scalar, u2: C::Scalar) -> C::Scalar {
    let one = C::Scalar::ONE;
    match which % 12 {
        0 => random::<C>("u1", &[seed]),
        1 => C::Scalar::ZERO,
        2 => one,
        3 => -one,
        4 => power::<C>(252),
        5 => d * u2,
        6 => -(d * u2),
        7 => one - d * u2,
        8 => power::<C>(255) + power::<C>(255) - power::<C>(128),
        9 => power::<C>(seed),
        10 => C::Scalar::from(u64::from(seed) + 2),
        _ => -C::Scalar::from(u64::from(seed) + 2),
    }
}

/// A signature before it is changed.
#[derive(Clone)]
struct Solved<K> {
    key: K,
    /// The key in SEC 1 uncompressed form.
    sec1: [u8; 65],
    numbers: Numbers,
    valid: bool,
}

/// What is kept from input to input. Tables are too, so a finding may need the inputs before it; the corpus has them.
struct Known<S> {
    solved: HashMap<[u8; 5], S>,
    prepared: HashSet<[u8; 65]>,
}

type Shared<S> = LazyLock<Mutex<Known<S>>>;

const fn shared<S>() -> Shared<S> {
    LazyLock::new(|| Mutex::new(Known { solved: HashMap::new(), prepared: HashSet::new() }))
}

fn remembered<I: Eq + Hash, S: Clone>(known: &mut HashMap<I, S>, input: I, solve: impl FnOnce() -> S) -> S {
    if known.len() >= SOLVED_COUNT {
        known.clear();
    }
    known.entry(input).or_insert_with(solve).clone()
}

fn sec1<C: CurveArithmetic>(point: C::ProjectivePoint) -> [u8; 65] {
    let [x, y] = coordinates::<C>(point);
    let mut sec1 = [0x04; 65];
    sec1[1..33].copy_from_slice(&x);
    sec1[33..].copy_from_slice(&y);
    sec1
}

/// r = x(R), s = r/u2, z = u1·s for R = u1·G + u2·Q; or, for one in sixteen of the choices, Q from an R whose x is n or
/// a little above.
fn solve<C: CurveArithmetic>(order: &[u8; 32], record: Record) -> ([u8; 65], Numbers, bool) {
    let Record { key, u1: first, u2: second, seed, .. } = record;
    let generator = C::ProjectivePoint::generator();
    if first >= WRAPPED_FROM
        && let Some((commitment, r)) = wrapped::<C>(order, second)
    {
        let (s, z) = (random::<C>("s", &[seed]), random::<C>("z", &[seed]));
        let public = (commitment * s - generator * z) * r.invert().expect("not 0");
        return (sec1::<C>(public), [bytes::<C>(z), bytes::<C>(r), bytes::<C>(s)], true);
    }
    let d = secret::<C>(key, seed);
    let u2 = u2::<C>(second, seed);
    let u1 = u1::<C>(first, seed, d, u2);
    let public = generator * d;
    let commitment = generator * u1 + public * u2;
    // ∞ has no x, and whatever r says must be refused.
    let valid = !bool::from(commitment.is_identity());
    let r = if valid { scalar::<C>(&coordinates::<C>(commitment)[0]) } else { random::<C>("r", &[seed]) };
    let s = r * u2.invert().expect("not 0");
    (sec1::<C>(public), [bytes::<C>(u1 * s), bytes::<C>(r), bytes::<C>(s)], valid)
}

/// A point whose x is n + r for a small r > 0, if there is one: found by trying to parse it as a key.
fn wrapped<C: CurveArithmetic>(order: &[u8; 32], offset: u8) -> Option<(C::ProjectivePoint, C::Scalar)> {
    let offset = 1 + offset % 32;
    let mut x = *order;
    let (last, carried) = x[31].overflowing_add(offset);
    x[31] = last;
    x[30] += u8::from(carried);
    let x = FieldBytes::<C>::try_from(x.as_slice()).expect("32 bytes on both curves");
    let y = lift_x(order, &x)?;
    let y = FieldBytes::<C>::try_from(y.as_slice()).expect("32 bytes on both curves");
    let point: Option<C::AffinePoint> = C::AffinePoint::from_coordinates(&x, &y).into();
    Some((point?.into(), C::Scalar::from(u64::from(offset))))
}

/// The even y to this x, by the library of the curve with this order.
fn lift_x(order: &[u8; 32], x: &[u8]) -> Option<[u8; 32]> {
    let mut compressed = [0x02; 33];
    compressed[1..].copy_from_slice(x);
    let y = if *order == SECP256K1_ORDER {
        k256::PublicKey::from_sec1_bytes(&compressed).ok()?.as_affine().y()
    } else {
        p256::PublicKey::from_sec1_bytes(&compressed).ok()?.as_affine().y()
    };
    Some(y.into())
}

/// Changes z, r or s. Returns whether a valid signature is still one, where that is known.
fn change(numbers: &mut Numbers, record: Record, order: &[u8; 32], before: &Numbers) -> Option<bool> {
    let Record { change, position, mask, .. } = record;
    let which = usize::from(position) % 3;
    match change % 16 {
        // z may be any number, and a changed one is another signature's hash.
        1 => numbers[1 + which % 2] = [0; 32],
        2 => numbers[1 + which % 2] = *order,
        3 => numbers[1 + which % 2] = [0xff; 32],
        4 => {
            numbers[2] = negated(&numbers[2], order);
            return Some(true);
        }
        5 => numbers.swap(which, (which + 1) % 3),
        6 => numbers[which] = before[which],
        7 => numbers[which][usize::from(position >> 3)] ^= mask,
        // The same number a second time, where it fits; sums mod n would not see a difference.
        8 => {
            let Some(sum) = plus(&numbers[which], order) else { return Some(true) };
            numbers[which] = sum;
            return Some(which == 0);
        }
        9 => numbers[which] = [[0; 32], *order, [0xff; 32]][usize::from(mask) % 3],
        10 => numbers[which][31] = numbers[which][31].wrapping_add(1),
        _ => return Some(true),
    }
    None
}

fn negated(number: &[u8; 32], order: &[u8; 32]) -> [u8; 32] {
    let mut result = [0; 32];
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(order[index]) - i16::from(number[index]) - borrow;
        borrow = i16::from(difference < 0);
        result[index] = difference.rem_euclid(256) as u8;
    }
    result
}

fn plus(number: &[u8; 32], order: &[u8; 32]) -> Option<[u8; 32]> {
    let mut result = [0; 32];
    let mut carry = 0;
    for index in (0..32).rev() {
        let sum = u16::from(order[index]) + u16::from(number[index]) + carry;
        carry = sum >> 8;
        result[index] = sum as u8;
    }
    (carry == 0).then_some(result)
}

/// The libraries first, held to what is known by construction; then every backend, held to the libraries.
fn compare<J>(jobs: &[J], known: &[Option<bool>], verify: impl Fn(Backend, &[J], &mut [bool])) {
    let mut expected: Vec<_> = known.iter().map(|known| !known.unwrap_or(false)).collect();
    verify(Backend::Portable, jobs, &mut expected);
    for (position, (expected, known)) in expected.iter().zip(known).enumerate() {
        assert!(known.is_none_or(|known| known == *expected), "portable, position {position}: {expected}");
    }
    for &backend in Backend::available() {
        // The opposite stands there before, so that a verdict not written is seen.
        let mut verdicts: Vec<_> = expected.iter().map(|verdict| !verdict).collect();
        verify(backend, jobs, &mut verdicts);
        for (position, (verdict, expected)) in verdicts.iter().zip(&expected).enumerate() {
            let (name, size) = (backend.name(), jobs.len());
            assert_eq!(verdict, expected, "{name}, batch of {size}, position {position}");
        }
    }
}

/// The jobs' keys and numbers, and what is known about them.
fn ecdsa<C: CurveArithmetic, K: Clone>(
    data: &[u8],
    order: &[u8; 32],
    shared: &Shared<Solved<K>>,
    parse: impl Fn(&[u8; 65], u8) -> K,
    prepare: impl Fn(Backend, &K) -> bool,
) -> (Vec<(K, Numbers)>, Vec<Option<bool>>) {
    let (prepared, records) = batch(data);
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut before = [[0; 32]; 3];
    let job = |record: Record| {
        let form = record.form & 1;
        let input = [record.key, form, record.u1, record.u2, record.seed];
        let Solved { key, sec1, mut numbers, valid } = remembered(&mut shared.solved, input, || {
            let (sec1, numbers, valid) = solve::<C>(order, record);
            Solved { key: parse(&sec1, form), sec1, numbers, valid }
        });
        // Both spellings of a key may be known to a backend as two.
        let mut name = sec1;
        name[0] ^= form;
        if is_prepared(prepared, record) && shared.prepared.insert(name) {
            for &backend in Backend::available() {
                prepare(backend, &key);
            }
        }
        let unchanged = numbers;
        let still = change(&mut numbers, record, order, &before);
        before = unchanged;
        ((key, numbers), still.map(|still| still && valid))
    };
    records.into_iter().map(job).unzip()
}

/// ECDSA over secp256k1: every backend beside libsecp256k1.
pub fn kernel_ecdsa_secp256k1(data: &[u8]) {
    static KNOWN: Shared<Solved<Secp256k1PublicKey>> = shared();
    let parse = |sec1: &[u8; 65], _| Secp256k1PublicKey::from_uncompressed(sec1).expect("a derived key is a key");
    let (jobs, known) =
        ecdsa::<k256::Secp256k1, _>(data, &SECP256K1_ORDER, &KNOWN, parse, assay_kernels::prepare_secp256k1_key);
    let job = |(public_key, [msg_hash, r, s]): (_, [_; 3])| EcdsaSecp256k1Job { public_key, msg_hash, r, s };
    let jobs: Vec<_> = jobs.into_iter().map(job).collect();
    compare(&jobs, &known, assay_kernels::verify_ecdsa_secp256k1_vartime);
}

/// ECDSA over P-256: every backend beside AWS-LC.
pub fn kernel_ecdsa_p256(data: &[u8]) {
    static KNOWN: Shared<Solved<Arc<P256PublicKey>>> = shared();
    let parse = |sec1: &[u8; 65], form| {
        let mut compressed = [0x02 | sec1[64] & 1; 33];
        compressed[1..].copy_from_slice(&sec1[1..33]);
        let sec1: &[u8] = if form == 0 { sec1 } else { &compressed };
        Arc::new(P256PublicKey::from_sec1(sec1).expect("a derived key is a key"))
    };
    let prepare = |backend, key: &Arc<P256PublicKey>| assay_kernels::prepare_p256_key(backend, key);
    let (owned, known) = ecdsa::<p256::NistP256, _>(data, &P256_ORDER, &KNOWN, parse, prepare);
    let jobs: Vec<_> = owned
        .iter()
        .map(|(public_key, [msg_hash, r, s])| EcdsaP256Job { public_key, msg_hash: *msg_hash, r: *r, s: *s })
        .collect();
    compare(&jobs, &known, |backend, jobs, verdicts| {
        assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts);
    });
}

/// A BIP-340 signature before it is changed.
#[derive(Clone)]
struct Schnorr {
    x: [u8; 32],
    message: Vec<u8>,
    r: [u8; 32],
    s: [u8; 32],
    /// e·d: with this s, R = s·G − e·P is ∞.
    meeting: [u8; 32],
}

fn sign_bip340(record: Record) -> Schnorr {
    type C = k256::Secp256k1;
    let Record { key, u1: nonce, u2: length, seed, .. } = record;
    let even = |secret: k256::Scalar| {
        let [x, y] = coordinates::<C>(k256::ProjectivePoint::GENERATOR * secret);
        (if y[31] & 1 == 1 { -secret } else { secret }, x)
    };
    let (d, x) = even(secret::<C>(key, seed));
    // The nonces are the structured keys, too: signer and commitment may be the same point.
    let (k, r) = even(secret::<C>(nonce, seed));
    let message = vec![seed; usize::from(length)];
    let tag = Sha256::digest(b"BIP0340/challenge");
    let hash = Sha256::new().chain_update(tag).chain_update(tag).chain_update(r).chain_update(x).chain_update(&message);
    let meeting = scalar::<C>(&hash.finalize().into()) * d;
    Schnorr { x, message, r, s: bytes::<C>(k + meeting), meeting: bytes::<C>(meeting) }
}

/// BIP-340: every backend beside libsecp256k1.
pub fn kernel_bip340(data: &[u8]) {
    static KNOWN: Shared<Schnorr> = shared();
    let (prepared, records) = batch(data);
    let mut shared = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut before = [[0; 32]; 3];
    let mut known = Vec::new();
    let mut owned = Vec::new();
    for record in records {
        let input = [record.key, 0, record.u1, record.u2, record.seed];
        let Schnorr { x, mut message, r, s, meeting } = remembered(&mut shared.solved, input, || sign_bip340(record));
        let mut even = [0x02; 33];
        even[1..].copy_from_slice(&x);
        let mut name = [0; 65];
        name[..33].copy_from_slice(&even);
        if is_prepared(prepared, record) && shared.prepared.insert(name) {
            let point = Secp256k1PublicKey::from_compressed(&even).expect("a derived key is a key");
            for &backend in Backend::available() {
                assay_kernels::prepare_secp256k1_key(backend, &point);
            }
        }
        let mut numbers = [meeting, r, s];
        let unchanged = numbers;
        known.push(match record.change % 16 {
            11 => {
                numbers[2] = meeting;
                Some(false)
            }
            12 => {
                numbers[2] = negated(&meeting, &SECP256K1_ORDER);
                None
            }
            13 => {
                message.push(record.mask);
                None
            }
            // n − s is another signature's s here, and n + x is no x of a point that was meant.
            _ => change(&mut numbers, record, &SECP256K1_ORDER, &before).filter(|_| numbers == unchanged),
        });
        before = unchanged;
        let signature: [u8; 64] = numbers[1..].concat().try_into().expect("two times 32");
        owned.push((XOnlyPublicKey::from_bytes(&x).expect("a derived key is a key"), message, signature));
    }
    let jobs: Vec<_> = owned
        .iter()
        .map(|(public_key, message, signature)| Bip340Job { public_key: *public_key, message, signature })
        .collect();
    compare(&jobs, &known, |backend, jobs, verdicts| assay_kernels::verify_bip340_vartime(backend, jobs, verdicts));
}

/// Batches of one kind of job and of mixed ones, of several sizes, with and without tables.
pub fn kernel_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![]];
    // Every pair of factors by a random key, eight to a batch; then every named key, then every change.
    for prepared in [0, 0xff] {
        for u1 in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 240] {
            let records: Vec<_> = (0..8).flat_map(|u2| [20 + u2 % 4, u2, u1, u2, u1, 0, 0, 0]).collect();
            seeds.push([&[7, prepared][..], &records].concat());
        }
        for size in [0, 8, 15, 62, 64, 0xf8, 0xff] {
            let records: Vec<_> =
                (0..NAMED_KEYS_COUNT).flat_map(|key| [key, key, key, key >> 1, key, 0, 0, 0]).collect();
            seeds.push([&[size, prepared][..], &records].concat());
        }
        for position in 0..3 {
            let records: Vec<_> =
                (0..16).flat_map(|change| [change % 3 * 100, 0, 0, 0, 9, change, position, 1]).collect();
            seeds.push([&[31, prepared][..], &records].concat());
        }
    }
    seeds
}
