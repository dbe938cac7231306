//! Scalars as digits that are never zero.
//!
#![doc = include_str!("../../docs/recoding.md")]

use super::lanes::LaneMask;
use crate::field::{Limbs, half_sum, is_zero, sub_borrow};

/// A scalar as odd digits of `window_bits`, each the index of a table entry and a sign; [`LaneDigits`] reads them.
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
}

/// The digits of one scalar per lane, all of as many bits.
pub(super) struct LaneDigits {
    /// Word by word; zeros above.
    signs: [[u64; 8]; 6],
    negate: LaneMask,
    window_bits: usize,
}

impl LaneDigits {
    /// The scalars of up to eight lanes.
    #[inline(always)]
    pub(super) fn new<'d>(lanes_count: usize, digits: impl Fn(usize) -> &'d Digits) -> Self {
        let mut all = Self { signs: [[0; 8]; 6], negate: 0, window_bits: digits(0).window_bits };
        for lane in 0..lanes_count {
            let Digits { signs, negate, window_bits } = digits(lane);
            debug_assert_eq!(*window_bits, all.window_bits);
            for (word, sign) in all.signs.iter_mut().zip(signs) {
                word[lane] = *sign;
            }
            all.negate |= LaneMask::from(*negate) << lane;
        }
        all
    }

    /// Window `j` of every lane: its digit is ±(2·index + 1), negative in the lanes of the mask. The loop has no branch and
    /// one shift for all lanes, so that it becomes vector instructions.
    #[inline(always)]
    pub(super) fn window(&self, lanes_count: usize, j: usize) -> ([usize; 8], LaneMask) {
        let (word, shift) = (j * self.window_bits / 64, j * self.window_bits % 64);
        let (low, high) = (&self.signs[word], &self.signs[word + 1]);
        let half = 1_i64 << (self.window_bits - 1);
        let (mut indices, mut negative) = ([0; 8], 0);
        for lane in 0..lanes_count {
            let bits = (low[lane] >> shift | high[lane] << 1 << (63 - shift)).cast_signed() & (2 * half - 1);
            // The digit is 2·(bits − half) + 1; below 0 it mirrors that of !(bits − half).
            let above = bits - half;
            let sign = above >> 63;
            indices[lane] = (above ^ sign) as usize;
            negative |= (sign as LaneMask & 1) << lane;
        }
        (indices, negative ^ self.negate)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint};

    use super::*;
    use crate::field::{Modulus, P256Order, Secp256k1Order};

    impl Digits {
        /// [`LaneDigits::window`] of a scalar alone.
        pub(crate) fn digit(&self, j: usize) -> (usize, bool) {
            let (indices, negative) = LaneDigits::new(1, |_| self).window(1, j);
            (indices[0], negative == 1)
        }
    }

    #[test]
    fn lanes_keep_to_themselves() {
        let order = &Secp256k1Order::LIMBS;
        let scalar = |lane: u64| [lane.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1, lane << 60, !lane, lane * lane];
        for window_bits in [5, 8, 12] {
            let digits: Vec<_> =
                (0..8).map(|lane| Digits::new(&scalar(lane), order, window_bits).expect("not 0")).collect();
            for count in 1..=8 {
                let lanes = LaneDigits::new(count, |lane| &digits[lane]);
                for j in 0..windows_count(window_bits) {
                    let (indices, negative) = lanes.window(count, j);
                    let alone = digits[..count].iter().map(|digits| digits.digit(j));
                    for (lane, alone) in alone.enumerate() {
                        assert_eq!((indices[lane], negative >> lane & 1 == 1), alone, "lane {lane} of {count}");
                    }
                }
            }
        }
    }

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
