//! Residues in Montgomery form, a·2^256 mod m: both group orders, and the field of P-256.
//!
//! Source of the moduli: SEC 2 v2, §2.4.1 and §2.4.2. All derived constants are computed by the compiler.

use std::marker::PhantomData;

use super::Field;
use super::inverse::{InverseModulus, inverse_vartime};
use super::limbs::{Limbs, add_carry, add_mod, is_below, mul_add, mul_wide, sqr_wide, sub_borrow, sub_mod};

/// An odd modulus m with 2^255 < m < 2^256.
pub(crate) trait Modulus: Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// m.
    const LIMBS: Limbs;

    /// Adds the multiple of m that clears `wide[0]`, over five limbs; the carry belongs to `wide[5]`.
    #[inline(always)]
    fn clear_lowest(wide: &mut [u64; 5]) -> bool {
        let multiple = wide[0].wrapping_mul(const { negated_inverse(Self::LIMBS[0]) });
        let mut carry = 0;
        for (limb, of_modulus) in wide.iter_mut().zip(Self::LIMBS) {
            (*limb, carry) = mul_add(*limb, multiple, of_modulus, carry);
        }
        let overflow;
        (wide[4], overflow) = wide[4].overflowing_add(carry);
        overflow
    }
}

/// −1/m mod 2^64 by Newton's iteration, which doubles 3 correct bits five times.
const fn negated_inverse(m: u64) -> u64 {
    let mut inverse = m;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(m.wrapping_mul(inverse)));
        round += 1;
    }
    inverse.wrapping_neg()
}

/// p of P-256: 2^256 − 2^224 + 2^192 + 2^96 − 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct P256Field;

impl Modulus for P256Field {
    const LIMBS: Limbs = [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];

    /// p ≡ −1 mod 2^96, so the multiple is the limb itself: −1·limb clears it, 2^96·limb is a shift, and one
    /// multiplication by the top limb of p is left.
    #[inline(always)]
    fn clear_lowest(wide: &mut [u64; 5]) -> bool {
        let multiple = wide[0];
        let (low, high) = mul_add(0, multiple, Self::LIMBS[3], 0);
        let mut carry;
        wide[0] = 0;
        (wide[1], carry) = wide[1].overflowing_add(multiple << 32);
        (wide[2], carry) = wide[2].carrying_add(multiple >> 32, carry);
        (wide[3], carry) = wide[3].carrying_add(low, carry);
        (wide[4], carry) = wide[4].carrying_add(high, carry);
        carry
    }
}

/// n of P-256.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct P256Order;

impl Modulus for P256Order {
    const LIMBS: Limbs = [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000];
}

/// n of secp256k1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Secp256k1Order;

impl Modulus for Secp256k1Order {
    const LIMBS: Limbs = [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff];
}

/// a·2^256 mod m, canonical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Montgomery<M>(Limbs, PhantomData<M>);

/// 2^exponent mod m for 2^255 < m, by the compiler.
const fn power_of_two(exponent: usize, m: &Limbs) -> Limbs {
    let mut power = [1, 0, 0, 0];
    let mut done = 0;
    while done < exponent {
        let overflow = power[3] >> 63 == 1;
        power = [
            power[0] << 1,
            power[1] << 1 | power[0] >> 63,
            power[2] << 1 | power[1] >> 63,
            power[3] << 1 | power[2] >> 63,
        ];
        let mut less = [0; 4];
        let mut borrow = 0;
        let mut i = 0;
        while i < 4 {
            let difference = power[i] as i128 - m[i] as i128 - borrow;
            less[i] = difference as u64;
            borrow = (difference < 0) as i128;
            i += 1;
        }
        if overflow || borrow == 0 {
            power = less;
        }
        done += 1;
    }
    power
}

/// i/16 mod m for each i below 16, by the compiler: halved four times, an odd number after m is added.
const fn sixteenths(m: &Limbs) -> [Limbs; 16] {
    let mut sixteenths = [[0; 4]; 16];
    let mut i = 0;
    while i < 16 {
        let mut number = [i as u64, 0, 0, 0];
        let mut halvings = 0;
        while halvings < 4 {
            let mut sum = [0; 4];
            let mut carry = 0;
            let mut limb = 0;
            while limb < 4 {
                let addend = if number[0] & 1 == 1 { m[limb] } else { 0 };
                let wide = number[limb] as u128 + addend as u128 + carry;
                (sum[limb], carry) = (wide as u64, wide >> 64);
                limb += 1;
            }
            let top = carry as u64;
            number = [
                sum[0] >> 1 | sum[1] << 63,
                sum[1] >> 1 | sum[2] << 63,
                sum[2] >> 1 | sum[3] << 63,
                sum[3] >> 1 | top << 63,
            ];
            halvings += 1;
        }
        sixteenths[i] = number;
        i += 1;
    }
    sixteenths
}

impl<M: Modulus> Montgomery<M> {
    const R_SQUARED: Self = Self::new(power_of_two(512, &M::LIMBS));
    const R_CUBED: Self = Self::new(power_of_two(768, &M::LIMBS));
    const INVERSE_MODULUS: InverseModulus = InverseModulus::new(&M::LIMBS);
    /// i/16 mod m.
    const SIXTEENTHS: [Limbs; 16] = sixteenths(&M::LIMBS);

    const fn new(limbs: Limbs) -> Self {
        Self(limbs, PhantomData)
    }

    /// The residue of any number below 2^256: m > 2^255, so one subtraction reduces it.
    pub(crate) fn reduced(number: Limbs) -> Self {
        let (less, below) = sub_borrow(&number, &M::LIMBS);
        Self::new(if below { number } else { less }).mul(Self::R_SQUARED)
    }

    /// `wide` / 2^256 mod m for `wide` < m·2^256.
    #[inline(always)]
    fn reduce(mut wide: [u64; 8]) -> Self {
        // A carry out of limb i + 4 belongs to limb i + 5, which the next round meets as its fifth. Two of them never
        // meet: the round adds less than 2^64 there, so the limb with carry stays below 2^65.
        let mut pending = false;
        for i in 0..4 {
            let window: &mut [u64; 5] = wide[i..].first_chunk_mut().expect("3 + 5 ≤ 8");
            let first = M::clear_lowest(window);
            let second;
            (window[4], second) = window[4].overflowing_add(u64::from(pending));
            pending = first | second;
        }
        // wide < m·2^256 and the multiples add less than m·2^256, so this is below 2m.
        let high = [wide[4], wide[5], wide[6], wide[7]];
        let (less, below) = sub_borrow(&high, &M::LIMBS);
        Self::new(if pending || !below { less } else { high })
    }
}

impl<M: Modulus> Field for Montgomery<M> {
    const PRIME: Limbs = M::LIMBS;
    const ONE: Self = Self::new(power_of_two(256, &M::LIMBS));

    fn from_limbs(number: Limbs) -> Option<Self> {
        is_below(&number, &M::LIMBS).then(|| Self::new(number).mul(Self::R_SQUARED))
    }

    fn to_limbs(self) -> Limbs {
        let [a, b, c, d] = self.0;
        Self::reduce([a, b, c, d, 0, 0, 0, 0]).0
    }

    #[inline(always)]
    fn stored(self) -> Limbs {
        self.0
    }

    #[inline(always)]
    fn from_stored(limbs: Limbs) -> Self {
        debug_assert!(is_below(&limbs, &M::LIMBS), "canonical");
        Self::new(limbs)
    }

    /// Lanes divide their products by 2^260.
    #[inline(always)]
    fn kept(self) -> Limbs {
        (0..4).fold(self, |kept, _| kept.add(kept)).0
    }

    #[inline(always)]
    fn from_kept(limbs: Limbs) -> Self {
        let [l0, l1, l2, l3] = limbs;
        let shifted = [l0 >> 4 | l1 << 60, l1 >> 4 | l2 << 60, l2 >> 4 | l3 << 60, l3 >> 4];
        // (m + 15·m) / 16 at most, less one.
        Self::from_stored(add_carry(&shifted, &Self::SIXTEENTHS[(l0 % 16) as usize]).0)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(add_mod(&self.0, &other.0, &M::LIMBS))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::new(sub_mod(&self.0, &other.0, &M::LIMBS))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::reduce(mul_wide(&self.0, &other.0))
    }

    #[inline(always)]
    fn sqr(self) -> Self {
        Self::reduce(sqr_wide(&self.0))
    }

    fn inverse_vartime(self) -> Self {
        // (a·R)^−1 = a^−1·R^−1, and a Montgomery product with R³ makes a^−1·R of it.
        Self::new(inverse_vartime(&self.0, &Self::INVERSE_MODULUS)).mul(Self::R_CUBED)
    }
}
