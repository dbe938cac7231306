//! Half-size scalars on secp256k1.
//!
#![doc = include_str!("../../docs/endomorphism.md")]

use super::recode::Digits;
use crate::field::{Limbs, mul_wide};

/// β, a cube root of 1 mod p: (βx, y) is λ·(x, y).
pub(super) const BETA: Limbs =
    [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];

/// a of the first short vector (a, −b): a − b·λ ≡ 0 mod n. Also the second coordinate of the second.
const A1: Limbs = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0, 0];
/// b of the first short vector (a, −b).
const B1: Limbs = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0, 0];
/// First coordinate of the second short vector (a2, a1).
const A2: Limbs = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1, 0];
/// 2^384·a1/n and 2^384·b1/n, rounded.
const G1: Limbs = [0xe893_209a_45db_b031, 0x3daa_8a14_71e8_ca7f, 0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
const G2: Limbs = [0x1571_b4ae_8ac4_7f71, 0x2212_08ac_9df5_06c6, 0x6f54_7fa9_0abf_e4c4, 0xe443_7ed6_010e_8828];

/// 192 bits in two's complement: every number here stays below 2^130.
type Signed = [u64; 3];

/// k·g / 2^384, rounded.
fn quotient(k: &Limbs, g: &Limbs) -> Signed {
    let [.., w5, w6, w7] = mul_wide(k, g);
    let (low, carry) = w6.overflowing_add(w5 >> 63);
    [low, w7.wrapping_add(u64::from(carry)), 0]
}

fn add(a: Signed, b: Signed) -> Signed {
    let (r0, c) = a[0].overflowing_add(b[0]);
    let (r1, c) = a[1].carrying_add(b[1], c);
    [r0, r1, a[2].wrapping_add(b[2]).wrapping_add(u64::from(c))]
}

fn negated(a: Signed) -> Signed {
    add(a.map(|limb| !limb), [1, 0, 0])
}

/// a·b mod 2^192.
fn times(a: Signed, b: &Limbs) -> Signed {
    let wide = mul_wide(&[a[0], a[1], a[2], 0], b);
    [wide[0], wide[1], wide[2]]
}

fn low(a: &Limbs) -> Signed {
    [a[0], a[1], a[2]]
}

/// k1 and k2, both odd and below 2^129 in size, with k1 + k2·λ ≡ k mod n, for any k below 2^256.
fn split(k: &Limbs) -> (Signed, Signed) {
    let (c1, c2) = (quotient(k, &G1), quotient(k, &G2));
    // Only the low 192 bits of the large terms matter: the differences are small.
    let mut k1 = add(low(k), negated(add(times(c1, &A1), times(c2, &A2))));
    let mut k2 = add(times(c1, &B1), negated(times(c2, &A1)));
    // The first vector is (odd, odd), the second (even, odd), so some sum of them makes both numbers odd.
    let (first, second) = match (k1[0] & 1, k2[0] & 1) {
        (1, 1) => (false, false),
        (0, 0) => (true, false),
        (1, _) => (false, true),
        _ => (true, true),
    };
    if first {
        k1 = add(k1, low(&A1));
        k2 = add(k2, negated(low(&B1)));
    }
    if second {
        // After the first vector the second is subtracted, which keeps both numbers short.
        let (a, b) = if first { (negated(low(&A2)), negated(low(&A1))) } else { (low(&A2), low(&A1)) };
        k1 = add(k1, a);
        k2 = add(k2, b);
    }
    (k1, k2)
}

/// The digits of k1 and k2, `windows_count` windows of `window_bits` each, which are at least 129 bits.
pub(super) fn halves(k: &Limbs, window_bits: usize, windows_count: usize) -> [Digits; 2] {
    debug_assert!(window_bits * windows_count >= 129);
    let (k1, k2) = split(k);
    [k1, k2].map(|half| {
        let negative = half[2] >> 63 == 1;
        let [l0, l1, l2] = if negative { negated(half) } else { half };
        Digits::odd(&[l0, l1, l2, 0], negative, window_bits, windows_count)
    })
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint, Sign};

    use super::*;
    use crate::field::{Field, Modulus, Secp256k1Field, Secp256k1Order};
    use crate::group::curve::{Curve, Secp256k1};

    fn big(limbs: &[u64]) -> BigUint {
        BigUint::from_bytes_le(&limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<_>>())
    }

    fn signed(number: Signed) -> BigInt {
        if number[2] >> 63 == 1 { -BigInt::from(big(&negated(number))) } else { BigInt::from(big(&number)) }
    }

    fn lambda() -> BigUint {
        BigUint::parse_bytes(b"5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72", 16).expect("hex")
    }

    #[test]
    fn halves_are_short_odd_and_sum_to_the_scalar() {
        let n = big(&Secp256k1Order::LIMBS);
        let mut scalars: Vec<BigUint> = (0..40_u32).flat_map(|k| [BigUint::from(k), &n - 1_u32 - k]).collect();
        scalars.extend((0..256).map(|bit| (BigUint::from(1_u32) << bit) % &n));
        scalars.extend([(&n - 1_u32) / 2_u32, (&n + 1_u32) / 2_u32, lambda(), &n - lambda()]);
        // Multiples of both basis vectors' coordinates, where the rounding is decided.
        for vector in [&A1, &B1, &A2] {
            scalars.extend((1..20_u32).map(|k| big(vector) * k % &n));
            scalars.extend((1..20_u32).map(|k| (&n * k / 20_u32 + big(vector) / 2_u32) % &n));
        }
        let mut state = BigUint::from(7_u32);
        for _ in 0..5000 {
            state = (&state * &state + 0x9e37_79b9_7f4a_7c15_u64) % &n;
            scalars.push(state.clone());
        }
        let n = BigInt::from(n);
        for scalar in scalars {
            let mut limbs = [0; 4];
            for (limb, digit) in limbs.iter_mut().zip(scalar.iter_u64_digits()) {
                *limb = digit;
            }
            let (k1, k2) = split(&limbs);
            assert!(k1[0] & k2[0] & 1 == 1, "odd: {scalar}");
            let (k1, k2) = (signed(k1), signed(k2));
            assert!(k1.bits() <= 129 && k2.bits() <= 129, "short: {scalar}");
            let difference: BigInt = &k1 + &k2 * BigInt::from_biguint(Sign::Plus, lambda()) - BigInt::from(scalar);
            assert_eq!(difference % &n, BigInt::ZERO);
            for (half, digits) in [k1, k2].iter().zip(halves(&limbs, 5, 26)) {
                let mut sum = BigInt::ZERO;
                for j in 0..26 {
                    let (index, negative) = digits.digit(j);
                    assert!(index < 16);
                    let digit = BigInt::from(2 * index + 1) << (5 * j);
                    sum += if negative { -digit } else { digit };
                }
                assert_eq!(sum, *half);
            }
        }
    }

    #[test]
    fn beta_takes_points_to_points() {
        let beta = Secp256k1Field::from_limbs(BETA).expect("below p");
        assert!(beta != Secp256k1Field::ONE && beta.sqr().mul(beta) == Secp256k1Field::ONE);
        let (x, y) = Secp256k1::GENERATOR;
        let moved = beta.mul(Secp256k1Field::from_limbs(x).expect("below p")).to_limbs();
        assert!(Secp256k1::point(moved, y).is_some());
    }
}
