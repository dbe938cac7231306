//! The field of secp256k1, p = 2^256 − 0x1000003d1 (SEC 2 v2, §2.4.1), plain residues.

use super::Field;
use super::inverse::{InverseModulus, inverse_vartime};
use super::limbs::{Limbs, add_carry, add_mod, is_below, mul_add, mul_wide, sqr_wide, sub_borrow, sub_mod};

/// 2^256 mod p.
const FOLD: u64 = 0x1_0000_03d1;
const P: Limbs = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];
const INVERSE_MODULUS: InverseModulus = InverseModulus::new(&P);

/// A residue mod p, canonical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Secp256k1Field(Limbs);

/// Any 512-bit number mod p.
#[inline(always)]
fn reduce(wide: [u64; 8]) -> Secp256k1Field {
    // low + high·FOLD < 2^256 + 2^256·2^33, so what is above 2^256 fits one limb, below 2^34.
    let mut low = [0; 4];
    let mut carry = 0;
    for i in 0..4 {
        (low[i], carry) = mul_add(wide[i], wide[i + 4], FOLD, carry);
    }
    // The second fold adds less than 2^67. If that passes 2^256, what remains is below 2^67 and the third cannot pass.
    let fold = u128::from(carry) * u128::from(FOLD);
    let (sum, overflow) = add_carry(&low, &[fold as u64, (fold >> 64) as u64, 0, 0]);
    let (sum, _) = add_carry(&sum, &[if overflow { FOLD } else { 0 }, 0, 0, 0]);
    let (less, below) = sub_borrow(&sum, &P);
    Secp256k1Field(if below { sum } else { less })
}

impl Field for Secp256k1Field {
    const PRIME: Limbs = P;
    const ONE: Self = Self([1, 0, 0, 0]);

    fn from_limbs(number: Limbs) -> Option<Self> {
        is_below(&number, &P).then_some(Self(number))
    }

    fn to_limbs(self) -> Limbs {
        self.0
    }

    #[inline(always)]
    fn stored(self) -> Limbs {
        self.0
    }

    #[inline(always)]
    fn from_stored(limbs: Limbs) -> Self {
        debug_assert!(is_below(&limbs, &P), "canonical");
        Self(limbs)
    }

    #[inline(always)]
    fn kept(self) -> Limbs {
        self.stored()
    }

    #[inline(always)]
    fn from_kept(limbs: Limbs) -> Self {
        Self::from_stored(limbs)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(add_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(sub_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        reduce(mul_wide(&self.0, &other.0))
    }

    #[inline(always)]
    fn sqr(self) -> Self {
        reduce(sqr_wide(&self.0))
    }

    fn inverse_vartime(self) -> Self {
        Self(inverse_vartime(&self.0, &INVERSE_MODULUS))
    }
}
