//! Scalars as digits that are never zero.
//!
#![doc = include_str!("../../docs/recoding.md")]

use crate::field::{Limbs, half_sum, is_zero, sub_borrow};

/// A scalar as odd digits of `window_bits`, each the index of a table entry and a sign.
#[derive(Clone, Copy)]
pub(crate) struct Digits {
    /// (|k'| + 2^bits − 1) / 2 where k' is k or k − n.
    signs: [u64; 5],
    negate: bool,
    window_bits: usize,
}

/// Windows that cover 256 bits.
pub(crate) const fn windows_count(window_bits: usize) -> usize {
    256_usize.div_ceil(window_bits)
}

impl Digits {
    /// Recodes k in 1..n; `None` for 0, which has no odd representative (n − 0 = n is 0 again).
    pub(crate) fn new(k: &Limbs, order: &Limbs, window_bits: usize) -> Option<Self> {
        if is_zero(k) {
            return None;
        }
        // n is odd, so of k and n − k exactly one is odd.
        let negate = k[0] & 1 == 0;
        let odd = if negate { sub_borrow(order, k).0 } else { *k };
        Some(Self::odd(&odd, negate, window_bits, windows_count(window_bits)))
    }

    /// Recodes an odd number below 2^(`window_bits`·`windows_count`), or its negation.
    pub(super) fn odd(k: &Limbs, negate: bool, window_bits: usize, windows_count: usize) -> Self {
        Self { signs: half_sum(k, window_bits * windows_count), negate, window_bits }
    }

    /// Digit of window `j`: it is ±(2·index + 1), negative if the second value says so.
    #[inline(always)]
    pub(crate) fn digit(&self, j: usize) -> (usize, bool) {
        let (limb, shift) = (j * self.window_bits / 64, j * self.window_bits % 64);
        let low = self.signs[limb] >> shift;
        let high = if shift == 0 { 0 } else { self.signs.get(limb + 1).copied().unwrap_or(0) << (64 - shift) };
        let half = 1 << (self.window_bits - 1);
        let bits = (low | high) as usize & (2 * half - 1);
        // The digit is 2·bits − (2^w − 1): positive from `half` upwards, and mirrored below.
        let negative = bits < half;
        let index = if negative { half - 1 - bits } else { bits - half };
        (index, negative != self.negate)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint};

    use super::*;
    use crate::field::{Modulus, P256Order, Secp256k1Order};

    fn big(limbs: &Limbs) -> BigUint {
        BigUint::from_bytes_le(&limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<_>>())
    }

    fn check(order: &Limbs, k: &BigUint, window_bits: usize) {
        let n = BigInt::from(big(order));
        let mut limbs = [0; 4];
        for (limb, digit) in limbs.iter_mut().zip(k.iter_u64_digits()) {
            *limb = digit;
        }
        let digits = Digits::new(&limbs, order, window_bits).expect("not 0");
        let mut sum = BigInt::ZERO;
        for j in 0..windows_count(window_bits) {
            let (index, negative) = digits.digit(j);
            assert!(index < 1 << (window_bits - 1));
            let digit = BigInt::from(2 * index + 1) << (j * window_bits);
            sum += if negative { -digit } else { digit };
        }
        let difference = sum.clone() - BigInt::from(k.clone());
        assert_eq!(difference % &n, BigInt::ZERO, "k = {k}, w = {window_bits}");
        assert!(sum < n && -sum < n, "the representative is the nearest odd one");
    }

    #[test]
    fn digits_sum_to_the_scalar() {
        for order in [Secp256k1Order::LIMBS, P256Order::LIMBS] {
            let n = big(&order);
            let mut scalars: Vec<_> = (1..40_u32).flat_map(|k| [BigUint::from(k), &n - k]).collect();
            scalars.extend((0..256).map(|bit| (BigUint::from(1_u32) << bit) % &n));
            scalars.extend([(&n - 1_u32) / 2_u32, (&n + 1_u32) / 2_u32]);
            let mut state = BigUint::from(7_u32);
            for _ in 0..200 {
                state = (&state * &state + 0x9e37_79b9_7f4a_7c15_u64) % &n;
                scalars.push(state.clone());
            }
            for scalar in &scalars {
                for window_bits in 4..=16 {
                    check(&order, scalar, window_bits);
                }
            }
            assert!(Digits::new(&[0; 4], &order, 8).is_none());
        }
    }
}
