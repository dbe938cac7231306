//! Residues mod the four primes of the two curves, and the interface through which the comb trees use them.
//!
//! One representation: four 64-bit limbs, little endian, **always canonical**, so every operation maps `0..m` to
//! `0..m` and equality is equality of limbs. `secp256k1`'s field is kept plain, because 2^256 ≡ 0x1000003d1 folds in
//! one multiplication per limb; the other three moduli are in Montgomery form with R = 2^256.
//!
//! Everything is variable time: signatures, keys and hashes that are verified are public.

mod inverse;
mod limbs;
mod montgomery;
mod secp256k1;

pub(crate) use limbs::{Limbs, add_carry, from_be_bytes, half_sum, is_below, is_zero, mul_wide, sub_borrow};
pub(crate) use montgomery::{Modulus, Montgomery, P256Field, P256Order, Secp256k1Order};
pub(crate) use secp256k1::Secp256k1Field;

/// A point other than the identity, both coordinates as [`Field::kept`] gives them. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) x: Limbs,
    pub(crate) y: Limbs,
}

impl Entry {
    /// x, then y.
    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64; 8] {
        // SAFETY: `repr(C)` puts y right behind x, and together they are eight words with the alignment of one.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }
}

/// A prime field whose elements are canonical: every operation gives the one representative below the prime.
pub(crate) trait Field: Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// The prime.
    const PRIME: Limbs;
    /// The number 1.
    const ONE: Self;

    /// The residue of a number below the prime; `None` for any other.
    fn from_limbs(number: Limbs) -> Option<Self>;
    /// The number below the prime.
    fn to_limbs(self) -> Limbs;
    /// The limbs it consists of: the inverse of [`Field::from_stored`].
    fn stored(self) -> Limbs;
    /// Reads what [`Field::stored`] gave.
    fn from_stored(limbs: Limbs) -> Self;
    /// What eight lanes compute with, below the prime: so they need not convert the many points they load.
    fn kept(self) -> Limbs;
    /// Reads what [`Field::kept`] gave.
    fn from_kept(limbs: Limbs) -> Self;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn sqr(self) -> Self;
    /// 1 / self; of 0 it is 0.
    fn inverse_vartime(self) -> Self;

    fn is_zero(self) -> bool {
        is_zero(&self.stored())
    }

    fn negate(self) -> Self {
        Self::from_stored([0; 4]).sub(self)
    }

    /// A square root, if there is one. Both primes are 3 mod 4, so the candidate is self^((p + 1) / 4).
    fn sqrt_vartime(self) -> Option<Self> {
        let exponent = limbs::quarter_of_successor(&Self::PRIME);
        let mut root = Self::ONE;
        for bit in (0..256).rev() {
            root = root.sqr();
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                root = root.mul(self);
            }
        }
        (root.sqr() == self).then_some(root)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;

    /// Digits where carries start or stop, in every position.
    fn numbers(prime: &BigUint) -> Vec<BigUint> {
        let digits = [0, 1, 2, (1 << 52) - 1, 0x1_0000_03d1, 0xffff_ffff, u64::MAX - 1, u64::MAX];
        let mut numbers = Vec::new();
        for position in 0..4 {
            for digit in digits {
                for rest in [0, u64::MAX] {
                    let mut limbs = [rest; 4];
                    limbs[position] = digit;
                    numbers.push(big(&limbs) % prime);
                }
            }
        }
        for distance in 0..4_u32 {
            numbers.push(prime - 1_u32 - distance);
        }
        let mut state = BigUint::from(3_u32);
        for _ in 0..40 {
            state = (&state * &state * 5_u32 + 0x9e37_79b9_7f4a_7c15_u64) % prime;
            numbers.push(state.clone());
        }
        // Miri takes a thousand times as long, and what it looks for does not depend on the numbers: a few will do, some
        // squares and some not.
        if cfg!(miri) { numbers.into_iter().step_by(40).collect() } else { numbers }
    }

    fn big(limbs: &Limbs) -> BigUint {
        BigUint::from_bytes_le(&limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<_>>())
    }

    fn limbs(number: &BigUint) -> Limbs {
        let mut limbs = [0; 4];
        for (limb, digit) in limbs.iter_mut().zip(number.iter_u64_digits()) {
            *limb = digit;
        }
        limbs
    }

    fn check<F: Field>() {
        let prime = big(&F::PRIME);
        let element = |number: &BigUint| F::from_limbs(limbs(number)).expect("reduced");
        // Reads the stored limbs too: a value that is only congruent to the right one fails here.
        let number = |element: F| {
            assert!(is_below(&element.stored(), &F::PRIME), "canonical");
            big(&element.to_limbs())
        };
        assert_eq!(number(F::ONE), BigUint::from(1_u32));
        assert!(F::from_limbs(F::PRIME).is_none() && F::from_limbs([u64::MAX; 4]).is_none());
        let numbers = numbers(&prime);
        for a in &numbers {
            let x = element(a);
            assert_eq!(number(x), *a);
            assert_eq!(F::from_stored(x.stored()), x);
            assert!(is_below(&x.kept(), &F::PRIME), "canonical");
            assert_eq!(F::from_kept(x.kept()), x);
            assert_eq!(number(x.sqr()), a * a % &prime, "{a}²");
            assert_eq!(number(x.negate()), (&prime - a) % &prime, "-{a}");
            assert_eq!(number(x.inverse_vartime()), a.modpow(&(&prime - 2_u32), &prime), "1/{a}");
            assert_eq!(x.is_zero(), *a == BigUint::ZERO);
            for b in &numbers {
                let y = element(b);
                assert_eq!(number(x.add(y)), (a + b) % &prime, "{a} + {b}");
                assert_eq!(number(x.sub(y)), (a + &prime - b) % &prime, "{a} - {b}");
                assert_eq!(number(x.mul(y)), a * b % &prime, "{a} · {b}");
            }
        }
    }

    fn check_sqrt<F: Field>() {
        let prime = big(&F::PRIME);
        let mut squares = 0;
        let numbers = numbers(&prime);
        for a in &numbers {
            let x = F::from_limbs(limbs(a)).expect("reduced");
            let is_square = a.modpow(&((&prime - 1_u32) / 2_u32), &prime) <= BigUint::from(1_u32);
            let root = x.sqrt_vartime();
            assert_eq!(root.is_some(), is_square, "√{a}");
            assert!(root.is_none_or(|root| root.sqr() == x));
            squares += usize::from(is_square);
        }
        assert!((1..numbers.len()).contains(&squares));
    }

    #[test]
    fn secp256k1_field_agrees_with_big_integers() {
        check::<Secp256k1Field>();
        check_sqrt::<Secp256k1Field>();
    }

    #[test]
    fn p256_field_agrees_with_big_integers() {
        check::<Montgomery<P256Field>>();
        check_sqrt::<Montgomery<P256Field>>();
    }

    #[test]
    fn both_orders_agree_with_big_integers() {
        check::<Montgomery<Secp256k1Order>>();
        check::<Montgomery<P256Order>>();
    }
}
