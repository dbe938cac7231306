//! Keys recovered from signatures, and keys that are parsed with the batch: every backend says what libsecp256k1 says.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::Backend;
use assay_kernels::job::{EcdsaSecp256k1CompressedJob, RecoverSecp256k1Job};
use assay_kernels::key::Secp256k1PublicKey;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use k256::elliptic_curve::sec1::ToSec1Point;
use k256::elliptic_curve::{Group, PrimeField};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use support::{Rng, batch_sizes};

fn scalar(bytes: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<FieldBytes>>::reduce(&(*bytes).into())
}

fn bytes(scalar: Scalar) -> [u8; 32] {
    scalar.to_repr().into()
}

fn compressed(point: &ProjectivePoint) -> [u8; 33] {
    point.to_affine().to_sec1_point(true).as_bytes().try_into().expect("a key is not ∞")
}

/// A job and the key it must give, where that is known by construction.
type Case = (RecoverSecp256k1Job, Option<Option<[u8; 33]>>);

/// The job whose R is `commitment`, and the key it must give: (s·R − z·G)/r.
fn solved(commitment: &ProjectivePoint, s: Scalar, z: Scalar) -> Case {
    let affine = commitment.to_affine();
    let x: [u8; 32] = affine.x().into();
    let r = scalar(&x);
    let overflow = u8::from(bytes(r) != x);
    let recovery_id = overflow << 1 | u8::from(bool::from(affine.y_is_odd()));
    let key = (*commitment * s - ProjectivePoint::GENERATOR * z) * r.invert().unwrap();
    let key = (!bool::from(key.is_identity())).then(|| compressed(&key));
    (RecoverSecp256k1Job { msg_hash: bytes(z), r: bytes(r), s: bytes(s), recovery_id }, Some(key))
}

fn cases(rng: &mut Rng) -> Vec<Case> {
    let g = ProjectivePoint::GENERATOR;
    let mut cases = Vec::new();
    for _ in 0..40 {
        let (k, s, z) = (scalar(&rng.bytes()), scalar(&rng.bytes()), scalar(&rng.bytes()));
        let honest = solved(&(g * k), s, z);
        cases.push(honest);
        // z = 0 has no digits; s·R = ±z·G meet in the last addition: the key is ∞ once, 2·s·R/r otherwise.
        cases.push(solved(&(g * k), s, Scalar::ZERO));
        cases.push(solved(&(g * k), s, s * k));
        cases.push(solved(&(g * k), s, -(s * k)));
        // Whatever these give, libsecp256k1 gives it too: another parity, x = r + n, ids above 3, numbers out of range.
        let (job, _) = honest;
        cases.extend((0..6).map(|id| (RecoverSecp256k1Job { recovery_id: id, ..job }, None)));
        cases.push((RecoverSecp256k1Job { recovery_id: 255, ..job }, Some(None)));
        for number in [[0; 32], support::SECP256K1_ORDER, [0xff; 32]] {
            cases.push((RecoverSecp256k1Job { r: number, ..job }, Some(None)));
            cases.push((RecoverSecp256k1Job { s: number, ..job }, Some(None)));
            cases.push((RecoverSecp256k1Job { msg_hash: number, ..job }, None));
        }
        cases.push((RecoverSecp256k1Job { r: rng.bytes(), ..job }, None));
        cases.push((RecoverSecp256k1Job { s: rng.bytes(), ..job }, None));
    }
    // R with x ≥ n, which bit 1 of the id says.
    let mut wrapped = 0;
    for offset in 1_u8..64 {
        let mut x = support::SECP256K1_ORDER;
        let (low, carry) = x[31].overflowing_add(offset);
        (x[31], x[30]) = (low, x[30] + u8::from(carry));
        let lifted: Option<AffinePoint> = AffinePoint::decompress(&x.into(), (offset & 1).into()).into();
        let Some(point) = lifted else { continue };
        let case = solved(&point.into(), scalar(&rng.bytes()), scalar(&rng.bytes()));
        assert_eq!(case.0.recovery_id >> 1, 1);
        cases.push(case);
        wrapped += 1;
    }
    assert!(wrapped > 15, "half of all x are on the curve");
    cases
}

#[test]
fn keys_are_recovered_in_every_lane_as_by_the_library() {
    let cases = cases(&mut Rng(41));
    let jobs: Vec<_> = cases.iter().map(|(job, _)| *job).collect();
    let mut expected = vec![None; jobs.len()];
    assay_kernels::recover_secp256k1_vartime(Backend::Portable, &jobs, &mut expected);
    for ((_, known), key) in cases.iter().zip(&expected) {
        if let Some(known) = known {
            assert_eq!(key.as_ref().map(Secp256k1PublicKey::to_compressed), *known);
        }
    }
    assert!(expected.iter().flatten().count() > 200 && expected.iter().filter(|key| key.is_none()).count() > 200);
    for &backend in Backend::available() {
        for (round, size) in batch_sizes().chain([jobs.len()]).enumerate() {
            let at = |i: usize| (round * 37 + i) % jobs.len();
            let batch: Vec<_> = (0..size).map(|i| jobs[at(i)]).collect();
            // The wrong answer stands there before, so that one not written is seen.
            let mut keys: Vec<_> =
                (0..size).map(|i| if expected[at(i)].is_some() { None } else { expected[0] }).collect();
            assay_kernels::recover_secp256k1_vartime(backend, &batch, &mut keys);
            for (i, key) in keys.iter().enumerate() {
                assert_eq!(*key, expected[at(i)], "{}, batch of {size}, position {i}", backend.name());
            }
        }
    }
}

/// Signatures under keys that are points, and under 33 bytes that are none, beside each other.
#[test]
fn keys_parsed_with_the_batch_are_the_keys_parsed_before_it() {
    let mut rng = Rng(43);
    let g = ProjectivePoint::GENERATOR;
    let mut cases = Vec::new();
    for index in 0..300 {
        let (k, u2) = (scalar(&rng.bytes()), scalar(&rng.bytes()));
        let (d, z) = (scalar(&rng.bytes()), scalar(&rng.bytes()));
        let x: [u8; 32] = (g * k).to_affine().x().into();
        let r = scalar(&x);
        let s = (z + r * d) * k.invert().unwrap();
        let mut public_key = compressed(&(g * d));
        let mut valid = true;
        match index % 6 {
            1 => public_key[0] ^= 1,
            2 => public_key[0] = 4,
            // Half of these are points.
            3 => public_key[1..].copy_from_slice(&rng.bytes::<32>()),
            // x ≥ p.
            4 => public_key[1..].fill(0xff),
            _ => {}
        }
        let mut job = EcdsaSecp256k1CompressedJob { public_key, msg_hash: bytes(z), r: bytes(r), s: bytes(s) };
        if matches!(index % 6, 1..=4) {
            valid = false;
        }
        if index % 12 == 5 {
            (job.s, valid) = (bytes(u2), false);
        }
        cases.push((job, valid));
    }
    for &backend in Backend::available() {
        for (round, size) in batch_sizes().chain([cases.len()]).enumerate() {
            let picked: Vec<_> = (0..size).map(|i| cases[(round * 37 + i) % cases.len()]).collect();
            let jobs: Vec<_> = picked.iter().map(|(job, _)| *job).collect();
            let mut verdicts: Vec<_> = picked.iter().map(|(_, valid)| !valid).collect();
            assay_kernels::verify_ecdsa_secp256k1_compressed_vartime(backend, &jobs, &mut verdicts);
            for (position, ((_, valid), verdict)) in picked.iter().zip(&verdicts).enumerate() {
                assert_eq!(verdict, valid, "{}, batch of {size}, position {position}", backend.name());
            }
        }
    }
}
