//! The kernels' exceptional cases, made on purpose: chosen scalars, keys related to the base point, chosen x.
//!
//! Signatures are not signed here but solved for: for any u1, u2 and key Q, R = u1·G + u2·Q gives r = x(R) mod n,
//! s = r/u2 and z = u1·s. Or R comes first and Q = (R − u1·G)/u2. The arithmetic is RustCrypto's. What is expected is
//! known by construction, and every backend must say it, whatever the neighbours and the place in the batch.
#![allow(missing_docs, reason = "a test")]

mod support;

use std::sync::{Mutex, PoisonError};

use assay_engine::Backend;
use assay_kernels::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job};
use assay_kernels::key::{P256PublicKey, Secp256k1PublicKey, XOnlyPublicKey};
use support::{Rng, batch_sizes};

/// One signature and what must be said about it.
struct Case<J> {
    job: J,
    valid: bool,
    what: String,
}

/// A batch of `size` cases, from `start` in steps of `step`.
fn judge<J: Clone>(
    backend: Backend,
    cases: &[Case<J>],
    (start, size, step): (usize, usize, usize),
    verify: &impl Fn(Backend, &[J], &mut [bool]),
) {
    let picked: Vec<_> = (0..size).map(|i| &cases[(start + i * step) % cases.len()]).collect();
    let jobs: Vec<_> = picked.iter().map(|case| case.job.clone()).collect();
    // The opposite of the right answer stands there before, so that a verdict not written is seen.
    let mut verdicts: Vec<_> = picked.iter().map(|case| !case.valid).collect();
    verify(backend, &jobs, &mut verdicts);
    for (position, (case, verdict)) in picked.iter().zip(&verdicts).enumerate() {
        let name = backend.name();
        assert_eq!(*verdict, case.valid, "{name}, batch of {size}, position {position}: {}", case.what);
    }
}

/// All cases in one batch, by keys without tables: a call gives a table to one key at most.
fn check_unseen<J: Clone>(cases: &[Case<J>], verify: &impl Fn(Backend, &[J], &mut [bool])) {
    for (start, &backend) in Backend::available().iter().enumerate() {
        judge(backend, cases, (3 * start, cases.len(), 1), verify);
    }
}

/// First by keys without tables; then, with tables, every case in every lane position and batch size, between cases of
/// other kinds, and all in one batch, rotated so that duplicates and new neighbours meet.
fn check<J: Clone>(
    cases: &[Case<J>],
    prepare: impl Fn(Backend, &J) -> bool,
    verify: impl Fn(Backend, &[J], &mut [bool]),
) {
    check_unseen(cases, &verify);
    for &backend in Backend::available() {
        for case in cases {
            prepare(backend, &case.job);
        }
        let run = |start: usize, size: usize, step: usize| judge(backend, cases, (start, size, step), &verify);
        for start in 0..cases.len() {
            run(start, 1, 1);
        }
        for (round, size) in batch_sizes().enumerate() {
            run(round * 31, size, 1);
        }
        for start in 0..8 {
            run(start, 64, 7);
            run(start, 16, 0);
        }
        run(0, 2 * cases.len() + 1, cases.len() - 1);
    }
}

/// The cases of one curve, as a macro because the two crates share no type.
macro_rules! curve_cases {
    ($module:ident, $curve:ident, $order:expr) => {
        mod $module {
            use $curve::elliptic_curve::ops::Reduce;
            use $curve::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
            use $curve::elliptic_curve::sec1::ToSec1Point;
            use $curve::elliptic_curve::{Group, PrimeField};
            use $curve::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};

            use super::*;

            /// Key (SEC 1, compressed), hash, r, s.
            pub type Numbers = (Vec<u8>, [u8; 32], [u8; 32], [u8; 32]);
            pub type Solved = Vec<(Numbers, bool, String)>;

            pub fn scalar(bytes: &[u8; 32]) -> Scalar {
                <Scalar as Reduce<FieldBytes>>::reduce(&(*bytes).into())
            }

            fn bytes(scalar: Scalar) -> [u8; 32] {
                scalar.to_repr().into()
            }

            fn power(exponent: u64) -> Scalar {
                (0..exponent).fold(Scalar::ONE, |power, _| power + power)
            }

            fn random(rng: &mut Rng) -> Scalar {
                scalar(&rng.bytes())
            }

            fn x_mod_n(point: &ProjectivePoint) -> Scalar {
                let x: [u8; 32] = point.to_affine().x().into();
                scalar(&x)
            }

            fn key(point: &ProjectivePoint) -> Vec<u8> {
                point.to_affine().to_sec1_point(true).as_bytes().to_vec()
            }

            /// The signature with these u1 and u2 under d·G; R = ∞ has none, and gets an r that must not verify.
            fn solve(rng: &mut Rng, d: Scalar, u1: Scalar, u2: Scalar) -> (Numbers, bool) {
                let public = ProjectivePoint::GENERATOR * d;
                let commitment = ProjectivePoint::GENERATOR * u1 + public * u2;
                let valid = !bool::from(commitment.is_identity());
                let r = if valid { x_mod_n(&commitment) } else { random(rng) };
                let s = r * u2.invert().unwrap();
                ((key(&public), bytes(u1 * s), bytes(r), bytes(s)), valid)
            }

            /// Keys that are small or structured multiples of G, u1 and u2 that vanish, meet or wrap.
            pub fn solved(rng: &mut Rng) -> Solved {
                let (one, two) = (Scalar::ONE, Scalar::from(2_u64));
                let half = two.invert().unwrap();
                let cube_root_of_one = {
                    // Of order 3 in the scalars: λ for secp256k1, and as good as any number for P-256.
                    let exponent = (num_order() - 1_u32) / 3_u32;
                    (0..exponent.bits()).rev().fold(Scalar::ONE, |root, bit| {
                        let squared = root.square();
                        if exponent.bit(bit) { squared * Scalar::from(7_u64) } else { squared }
                    })
                };
                let mut keys: Vec<(String, Scalar)> = vec![
                    ("1".into(), one),
                    ("2".into(), two),
                    ("3".into(), Scalar::from(3_u64)),
                    ("n-1".into(), -one),
                    ("n-2".into(), -two),
                    ("(n+1)/2".into(), half),
                    ("(n-1)/2".into(), half - one),
                    ("λ".into(), cube_root_of_one),
                    ("1/λ".into(), cube_root_of_one.square()),
                    ("-λ".into(), -cube_root_of_one),
                    ("random".into(), random(rng)),
                ];
                keys.extend([1, 4, 8, 12, 16, 96, 128, 255].map(|k| (format!("2^{k}"), power(k))));
                let mut solved = Vec::new();
                for (name, d) in keys {
                    let u2s = [
                        ("1", one),
                        ("2", two),
                        ("n-1", -one),
                        ("(n+1)/2", half),
                        ("(n-1)/2", half - one),
                        ("2^128", power(128)),
                        ("random", random(rng)),
                    ];
                    for (u2_name, u2) in u2s {
                        let u1s = [
                            ("0", Scalar::ZERO),
                            ("1", one),
                            ("n-1", -one),
                            ("2^252", power(252)),
                            ("d·u2", d * u2),
                            ("-d·u2", -(d * u2)),
                            ("1 - d·u2", one - d * u2),
                            ("(2^256 - 2^128) - ...", power(256) - power(128)),
                            ("random", random(rng)),
                        ];
                        for (u1_name, u1) in u1s {
                            let (numbers, valid) = solve(rng, d, u1, u2);
                            let what = format!("d = {name}, u2 = {u2_name}, u1 = {u1_name}");
                            solved.push((numbers, valid, what));
                        }
                    }
                }
                solved
            }

            /// u2 = 2·(d1 + d2·λ), d1 and d2 odd digits: its recoding is long, and for some of them the last step of Horner's
            /// rule adds the point that it has.
            pub fn last_steps(rng: &mut Rng) -> Solved {
                let lambda = "5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72";
                let lambda = scalar(&hex::decode(lambda).expect("hex").try_into().expect("32 bytes"));
                let digits = (1_u64..32).step_by(2).flat_map(|d| [Scalar::from(d), -Scalar::from(d)]);
                let mut solved = Vec::new();
                for (i, d1) in digits.clone().enumerate() {
                    for (j, d2) in std::iter::once(Scalar::ZERO).chain(digits.clone()).enumerate() {
                        let u2 = (d1 + d2 * lambda) * Scalar::from(2_u64);
                        let (key, u1) = (random(rng), random(rng));
                        let (numbers, valid) = solve(rng, key, u1, u2);
                        solved.push((numbers, valid, format!("u2 = 2·(d1 + d2·λ), digits {i} and {j}")));
                    }
                }
                solved
            }

            fn num_order() -> num_bigint::BigUint {
                num_bigint::BigUint::from_bytes_be(&$order)
            }

            /// Commitments with x ≥ n, so that r = x − n, and what lies around them.
            pub fn wrapped(rng: &mut Rng) -> Solved {
                let mut solved = Vec::new();
                let order = num_order();
                let mut found = 0;
                for offset in 0_u32..64 {
                    let x = (&order + offset).to_bytes_be();
                    let x: [u8; 32] = x.try_into().expect("n + 64 < p < 2^256");
                    let lifted: Option<AffinePoint> = AffinePoint::decompress(&x.into(), 0.into()).into();
                    let Some(point) = lifted else { continue };
                    let commitment = ProjectivePoint::from(point);
                    let (s, z) = (random(rng), random(rng));
                    let r = Scalar::from(u64::from(offset));
                    if offset == 0 {
                        continue;
                    }
                    let public = (commitment * s - ProjectivePoint::GENERATOR * z) * r.invert().unwrap();
                    let what = format!("x = n + {offset}");
                    solved.push(((key(&public), bytes(z), bytes(r), bytes(s)), true, what.clone()));
                    // x itself is no legal r, and r + 1 stands for another point.
                    solved.push(((key(&public), bytes(z), x, bytes(s)), false, format!("r = {what}")));
                    solved.push(((key(&public), bytes(z), bytes(r + Scalar::ONE), bytes(s)), false, what));
                    found += 1;
                }
                assert!(found > 8, "half of all x are on the curve");
                solved
            }

            /// Good signatures by a few keys, and numbers outside their range in otherwise good ones.
            pub fn ranges(rng: &mut Rng) -> Solved {
                let mut solved = Vec::new();
                for index in 0..8 {
                    let (d, u1, u2) = (random(rng), random(rng), random(rng));
                    let (good, valid) = solve(rng, d, u1, u2);
                    assert!(valid);
                    let (key, z, r, s) = good.clone();
                    solved.push((good, true, format!("good {index}")));
                    let numbers = [[0; 32], $order, [0xff; 32]];
                    for (i, number) in numbers.into_iter().enumerate() {
                        solved.push(((key.clone(), z, number, s), false, format!("r outside, {i}")));
                        solved.push(((key.clone(), z, r, number), false, format!("s outside, {i}")));
                    }
                    // s = 5 fits 32 bytes a second time, as n + 5, which must not verify.
                    let small = Scalar::from(5_u64);
                    let commitment = ProjectivePoint::GENERATOR * u2;
                    let r_small = x_mod_n(&commitment);
                    let public = commitment * small - ProjectivePoint::GENERATOR * scalar(&z);
                    let public = super::$module::key(&(public * r_small.invert().unwrap()));
                    let mut overlong = $order;
                    overlong[31] += 5;
                    solved.push(((public.clone(), z, bytes(r_small), bytes(small)), true, "s = 5".into()));
                    solved.push(((public, z, bytes(r_small), overlong), false, "s = n + 5".into()));
                    let negated = bytes(-scalar(&s));
                    solved.push(((key.clone(), z, r, negated), true, "n - s".into()));
                    solved.push(((key.clone(), z, s, r), false, "r and s exchanged".into()));
                    solved.push(((key.clone(), r, z, s), false, "r and z exchanged".into()));
                    // z is reduced, not refused: the same number plus n, where it fits 32 bytes.
                    let (d, u2) = (random(rng), random(rng));
                    let public = ProjectivePoint::GENERATOR * d;
                    for z in [[0; 32], $order, [0xff; 32]] {
                        // u1 = z·u2/r, and r depends on u1: take k first, as a signer does.
                        let k = u2;
                        let r = x_mod_n(&(ProjectivePoint::GENERATOR * k));
                        let s = (scalar(&z) + r * d) * k.invert().unwrap();
                        let what = format!("z = {:02x}…", z[0]);
                        solved.push(((super::$module::key(&public), z, bytes(r), bytes(s)), true, what));
                    }
                }
                solved
            }
        }
    };
}

curve_cases!(on_secp256k1, k256, support::SECP256K1_ORDER);
curve_cases!(on_p256, p256, support::P256_ORDER);

fn secp256k1_cases(solved: on_secp256k1::Solved) -> Vec<Case<EcdsaSecp256k1Job>> {
    let case = |((key, msg_hash, r, s), valid, what): (on_secp256k1::Numbers, bool, String)| {
        let key: [u8; 33] = key.try_into().expect("compressed");
        let public_key = Secp256k1PublicKey::from_compressed(&key).expect("a derived key is a key");
        Case { job: EcdsaSecp256k1Job { public_key, msg_hash, r, s }, valid, what }
    };
    solved.into_iter().map(case).collect()
}

/// The keys, each once, so that jobs can borrow them.
fn p256_keys(solved: &on_p256::Solved) -> Vec<P256PublicKey> {
    let parse = |key: &Vec<u8>| P256PublicKey::from_sec1(key).expect("a derived key is a key");
    solved.iter().map(|((key, ..), ..)| parse(key)).collect()
}

fn p256_cases(solved: on_p256::Solved, keys: &[P256PublicKey]) -> Vec<Case<EcdsaP256Job<'_>>> {
    let case = |(((_, msg_hash, r, s), valid, what), public_key): ((on_p256::Numbers, bool, String), _)| Case {
        job: EcdsaP256Job { public_key, msg_hash, r, s },
        valid,
        what,
    };
    solved.into_iter().zip(keys).map(case).collect()
}

fn check_secp256k1(solved: on_secp256k1::Solved) {
    check(
        &secp256k1_cases(solved),
        |backend, job| assay_kernels::prepare_secp256k1_key(backend, &job.public_key),
        assay_kernels::verify_ecdsa_secp256k1_vartime,
    );
}

fn check_p256(solved: on_p256::Solved) {
    let keys = p256_keys(&solved);
    check(
        &p256_cases(solved, &keys),
        |backend, job| assay_kernels::prepare_p256_key(backend, job.public_key),
        |backend, jobs, verdicts| assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts),
    );
}

#[test]
fn secp256k1_scalars_that_vanish_meet_or_wrap() {
    check_secp256k1(on_secp256k1::solved(&mut Rng::from_env("secp256k1_scalars")));
}

#[test]
fn p256_scalars_that_vanish_meet_or_wrap() {
    check_p256(on_p256::solved(&mut Rng::from_env("p256_scalars")));
}

/// In one batch: no key is seen a second time, so none has a table.
#[test]
fn secp256k1_last_steps_that_meet() {
    let cases = secp256k1_cases(on_secp256k1::last_steps(&mut Rng::from_env("secp256k1_last_steps")));
    check_unseen(&cases, &assay_kernels::verify_ecdsa_secp256k1_vartime);
}

#[test]
fn p256_last_steps_that_meet() {
    let solved = on_p256::last_steps(&mut Rng::from_env("p256_last_steps"));
    let keys = p256_keys(&solved);
    check_unseen(&p256_cases(solved, &keys), &|backend, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]| {
        assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts);
    });
}

#[test]
fn secp256k1_commitments_beyond_the_order() {
    check_secp256k1(on_secp256k1::wrapped(&mut Rng::from_env("secp256k1_wrapped")));
}

#[test]
fn p256_commitments_beyond_the_order() {
    check_p256(on_p256::wrapped(&mut Rng::from_env("p256_wrapped")));
}

#[test]
fn secp256k1_numbers_outside_their_range() {
    check_secp256k1(on_secp256k1::ranges(&mut Rng::from_env("secp256k1_ranges")));
}

#[test]
fn p256_numbers_outside_their_range() {
    check_p256(on_p256::ranges(&mut Rng::from_env("p256_ranges")));
}

/// BIP-340 with s = 0, s ≥ n, r ≥ p and bits flipped, beside good signatures by keys with tables. libsecp256k1 is the
/// oracle; its own strictness is held by the BIP's vectors.
#[test]
fn bip340_beside_every_kind_of_neighbour() {
    let mut rng = Rng::from_env("bip340_neighbours");
    let mut owned = Vec::new();
    for index in 0..240_usize {
        let pair = support::Secp256k1::new(
            secp256k1::SecretKey::from_secret_bytes([u8::try_from(index % 5 + 1).expect("small"); 32])
                .expect("below n"),
        );
        let keypair = pair.secret.keypair();
        let message = rng.vec(index % 70);
        let mut signature = keypair.sign_schnorr_no_aux_rand(&message).to_byte_array();
        match index % 10 {
            1 => signature[32..].fill(0),
            2 => signature[32..].copy_from_slice(&support::SECP256K1_ORDER),
            3 => signature[..32].fill(0xff),
            4 => signature[rng.below(64)] ^= 1 << rng.below(8),
            5 => support::flip_s(&mut signature, &support::SECP256K1_ORDER),
            6 => signature[..32].copy_from_slice(&keypair.x_only_public_key().0.to_byte_array()),
            _ => {}
        }
        let x = keypair.x_only_public_key().0.to_byte_array();
        owned.push((XOnlyPublicKey::from_bytes(&x).expect("a derived key is a key"), message, signature, index % 10));
    }
    let cases: Vec<_> = owned
        .iter()
        .map(|(public_key, message, signature, kind)| {
            let job = Bip340Job { public_key: *public_key, message, signature };
            let mut verdict = [false];
            assay_kernels::verify_bip340_vartime(Backend::Portable, &[job], &mut verdict);
            assert_eq!(verdict[0], !(1..=6).contains(kind), "kind {kind}");
            Case { job, valid: verdict[0], what: format!("kind {kind}") }
        })
        .collect();
    let prepare = |backend, job: &Bip340Job<'_>| {
        let mut even = [0x02; 33];
        even[1..].copy_from_slice(&job.public_key.to_bytes());
        let point = Secp256k1PublicKey::from_compressed(&even).expect("a derived key is a key");
        assay_kernels::prepare_secp256k1_key(backend, &point)
    };
    check(&cases, prepare, |backend, jobs, verdicts| assay_kernels::verify_bip340_vartime(backend, jobs, verdicts));
}

/// A key without a table gets one by being used, and the verdicts before, at and after that moment are the same.
#[test]
fn verdicts_do_not_change_when_a_key_becomes_hot() {
    let mut rng = Rng::from_env("becomes_hot");
    let pair = support::Secp256k1::random(&mut rng);
    let public_key = Secp256k1PublicKey::from_compressed(&pair.public).expect("a derived key is a key");
    for round in 0..60 {
        for &backend in Backend::available() {
            let jobs: Vec<_> = (0..5_usize)
                .map(|index| {
                    let mut msg_hash = rng.bytes();
                    let compact = pair.sign(msg_hash).serialize_compact();
                    msg_hash[31] ^= u8::from(index % 2 == 1);
                    let (r, s) = compact.split_at(32);
                    let half = |bytes: &[u8]| bytes.try_into().expect("32 bytes");
                    EcdsaSecp256k1Job { public_key, msg_hash, r: half(r), s: half(s) }
                })
                .collect();
            let mut verdicts = [false; 5];
            assay_kernels::verify_ecdsa_secp256k1_vartime(backend, &jobs, &mut verdicts);
            assert_eq!(verdicts, [true, false, true, false, true], "{}, round {round}", backend.name());
        }
    }
}

fn differential_count() -> usize {
    std::env::var("ASSAY_DIFFERENTIAL_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000)
}

/// All backends of this machine, or those that `ASSAY_DIFFERENTIAL_BACKENDS` names: plain lanes take two thirds of the time,
/// and what they compute is what the instructions compute.
fn differential_backends() -> Vec<Backend> {
    let named = std::env::var("ASSAY_DIFFERENTIAL_BACKENDS").ok().filter(|names| !names.is_empty());
    let is_wanted = |backend: &Backend| {
        named.as_ref().is_none_or(|names| names.split_ascii_whitespace().any(|name| name == backend.name()))
    };
    let backends: Vec<_> = Backend::available().iter().copied().filter(is_wanted).collect();
    assert!(!backends.is_empty(), "none of {named:?} is a backend of this machine");
    backends
}

/// One change of (z, r, s), or none: bits, exchanged and extreme numbers, numbers of another signature.
fn perturb(rng: &mut Rng, numbers: &mut [[u8; 32]; 3], other: &[[u8; 32]; 3], order: &[u8; 32]) {
    let which = rng.below(3);
    match rng.below(12) {
        0 => numbers[which][rng.below(32)] ^= 1 << rng.below(8),
        1 => numbers[which] = other[which],
        2 => numbers.swap(1, 2),
        3 => numbers[which] = [0; 32],
        4 => numbers[which] = *order,
        5 => numbers[which] = rng.bytes(),
        6 => {
            let mut compact = [0; 64];
            compact[32..].copy_from_slice(&numbers[2]);
            support::flip_s(&mut compact, order);
            numbers[2].copy_from_slice(&compact[32..]);
        }
        _ => {}
    }
}

/// Uses a key with a table until it is busy, and has its wide one built.
fn make_busy<J: Clone>(job: &J, verify: &impl Fn(Backend, &[J], &mut [bool])) {
    let (jobs, mut verdicts) = (vec![job.clone(); 256], vec![false; 256]);
    for _ in 0..20 {
        verify(Backend::Tables, &jobs, &mut verdicts);
        assert!(verdicts.iter().all(|verdict| *verdict));
    }
    assert_ne!(assay_kernels::widen_busiest_keys(Backend::Tables), 0, "a key was busy");
}

/// Whoever widens keys is alone in the process: two tests that do would build each other's tables.
static WIDENING: Mutex<()> = Mutex::new(());

/// Batches of random size, of good and perturbed signatures by keys with tables, half-way some of them wide: every backend
/// says what the library says. `sign` gives z, r, s by key `index`.
fn agree<J: Clone>(
    rng: &mut Rng,
    order: &[u8; 32],
    sign: impl Fn(&mut Rng, usize) -> [[u8; 32]; 3],
    job: impl Fn(usize, [[u8; 32]; 3]) -> J,
    verify: impl Fn(Backend, &[J], &mut [bool]),
) {
    const KEYS_COUNT: usize = 16;
    let _alone = WIDENING.lock().unwrap_or_else(PoisonError::into_inner);
    let signed: Vec<_> = (0..1024).map(|index| sign(rng, index % KEYS_COUNT)).collect();
    let (mut judged, mut accepted) = (0, 0);
    let mut busy_keys = 0..5;
    let backends = differential_backends();
    while judged < differential_count() {
        if judged >= differential_count() / 2 {
            busy_keys.by_ref().for_each(|index| make_busy(&job(index, signed[index]), &verify));
        }
        let size = [1, 3, 8, 16, 61, 64, 65, 256][rng.below(8)];
        let jobs: Vec<_> = (0..size)
            .map(|_| {
                let index = rng.below(signed.len());
                let mut numbers = signed[index];
                let other = signed[rng.below(signed.len())];
                perturb(rng, &mut numbers, &other, order);
                // Now and then by the wrong key.
                job(if rng.below(20) == 0 { rng.below(KEYS_COUNT) } else { index % KEYS_COUNT }, numbers)
            })
            .collect();
        let mut expected = vec![false; size];
        verify(Backend::Portable, &jobs, &mut expected);
        for &backend in &backends {
            let mut verdicts: Vec<_> = expected.iter().map(|verdict| !verdict).collect();
            verify(backend, &jobs, &mut verdicts);
            assert_eq!(verdicts, expected, "{}, after {judged} signatures", backend.name());
        }
        judged += size;
        accepted += expected.iter().filter(|&&verdict| verdict).count();
    }
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    println!("{}: {judged} signatures, {accepted} of them valid, 0 differences", names.join(", "));
    assert!(accepted >= judged / 4 && accepted <= judged * 3 / 4, "{accepted} of {judged} accepted");
}

fn numbers(msg_hash: [u8; 32], compact: &[u8]) -> [[u8; 32]; 3] {
    let half = |bytes: &[u8]| bytes.try_into().expect("32 bytes");
    [msg_hash, half(&compact[..32]), half(&compact[32..])]
}

#[test]
fn secp256k1_hot_keys_agree_with_the_library() {
    let mut rng = Rng::from_env("secp256k1_hot_keys");
    let pairs: Vec<_> = (0..16).map(|_| support::Secp256k1::random(&mut rng)).collect();
    let parse = |pair: &support::Secp256k1| Secp256k1PublicKey::from_compressed(&pair.public).expect("a derived key");
    let keys: Vec<_> = pairs.iter().map(parse).collect();
    for (&backend, key) in Backend::available().iter().flat_map(|backend| keys.iter().map(move |key| (backend, key))) {
        assert_eq!(assay_kernels::prepare_secp256k1_key(backend, key), backend != Backend::Portable);
    }
    let sign = |rng: &mut Rng, index: usize| {
        let msg_hash = rng.bytes();
        numbers(msg_hash, &pairs[index].sign(msg_hash).serialize_compact())
    };
    let job =
        |index: usize, [msg_hash, r, s]: [[u8; 32]; 3]| EcdsaSecp256k1Job { public_key: keys[index], msg_hash, r, s };
    agree(&mut rng, &support::SECP256K1_ORDER, sign, job, assay_kernels::verify_ecdsa_secp256k1_vartime);
}

#[test]
fn p256_hot_keys_agree_with_the_library() {
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    let mut rng = Rng::from_env("p256_hot_keys");
    let pairs: Vec<_> = (0..16).map(|_| support::p256_pair(&mut rng)).collect();
    // Half of them in the uncompressed form, which takes the other way to a point.
    let parse = |(index, pair): (usize, &p256::ecdsa::SigningKey)| {
        let sec1 = pair.verifying_key().to_sec1_point(index % 2 == 0);
        P256PublicKey::from_sec1(sec1.as_bytes()).expect("a derived key")
    };
    let keys: Vec<_> = pairs.iter().enumerate().map(parse).collect();
    for (&backend, key) in Backend::available().iter().flat_map(|backend| keys.iter().map(move |key| (backend, key))) {
        assert_eq!(assay_kernels::prepare_p256_key(backend, key), backend != Backend::Portable);
    }
    let sign = |rng: &mut Rng, index: usize| {
        let msg_hash: [u8; 32] = rng.bytes();
        let signature: p256::ecdsa::Signature = pairs[index].sign_prehash(&msg_hash).expect("a prehash");
        numbers(msg_hash, &signature.to_bytes())
    };
    let job = |index: usize, [msg_hash, r, s]: [[u8; 32]; 3]| EcdsaP256Job { public_key: &keys[index], msg_hash, r, s };
    agree(&mut rng, &support::P256_ORDER, sign, job, |backend, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]| {
        assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts);
    });
}
