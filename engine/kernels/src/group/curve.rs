//! The two curves, y² = x³ + ax + b, and the tables kept for each.

use std::sync::OnceLock;

use super::cache::Cache;
use super::endomorphism;
use super::lanes::Lanes;
use super::recode::{Digits, windows_count};
use super::table::Table;
use super::window::WINDOW_BITS;
use crate::avx512::{P256Lanes, P256OrderLanes, Secp256k1Lanes, Secp256k1OrderLanes, Words};
use crate::cpu::Width;
use crate::field::{Entry, Field, Limbs, Modulus, Montgomery, P256Field, P256Order, Secp256k1Field, Secp256k1Order};
use crate::limits::{KEY_TABLES_BYTES_MAX, WIDE_TABLES_BYTES_MAX};

/// A curve of prime order over a prime field.
pub(crate) trait Curve: Sized + Send + Sync + 'static {
    type Field: Field;
    type Order: Modulus;
    /// Eight residues of the field.
    type Eight<W: Words>: Lanes;
    /// Eight residues of the order.
    type EightScalars<W: Words>: Lanes;
    /// a and b of the equation.
    const EQUATION: (Limbs, Limbs);
    /// x and y of the base point.
    const GENERATOR: (Limbs, Limbs);

    /// Whether a is p − 3; it is 0 otherwise.
    const A_IS_MINUS_THREE: bool;
    /// β of the [endomorphism](super::endomorphism), where there is one.
    const BETA: Option<Limbs>;
    /// Windows of each part of a scalar that multiplies a key without a table.
    const WINDOWS_COUNT: usize;

    /// The tables of this process.
    fn tables() -> &'static Tables<Self>;

    /// square^((p + 1) / 4): a root of a square, as p ≡ 3 mod 4, and of nothing otherwise.
    fn root<L: Lanes>(square: L) -> L;

    /// The parts of a scalar, [`Curve::WINDOWS_COUNT`] digits of [`WINDOW_BITS`] each; without β, the second is not
    /// used. `None` where the scalar has no such digits, for one that is 0 at most.
    fn parts(scalar: &Limbs) -> Option<[Digits; 2]>;

    /// The point with these coordinates, if both are below p and satisfy the equation.
    fn point(x: Limbs, y: Limbs) -> Option<Entry> {
        let (x, y) = (Self::Field::from_limbs(x)?, Self::Field::from_limbs(y)?);
        (y.sqr() == Self::right_side(x)).then(|| Entry { x: x.kept(), y: y.kept() })
    }

    /// The point with this x whose y is odd or even, if there is one.
    fn lift_x(x: Limbs, y_is_odd: bool) -> Option<Entry> {
        let x = Self::Field::from_limbs(x)?;
        let y = Self::right_side(x).sqrt_vartime()?;
        let y = if (y.to_limbs()[0] & 1 == 1) == y_is_odd { y } else { y.negate() };
        Some(Entry { x: x.kept(), y: y.kept() })
    }

    /// x³ + ax + b.
    fn right_side(x: Self::Field) -> Self::Field {
        let constant = |limbs| Self::Field::from_limbs(limbs).expect("a coefficient is below p");
        let (a, b) = (constant(Self::EQUATION.0), constant(Self::EQUATION.1));
        x.sqr().add(a).mul(x).add(b)
    }
}

/// Tables of one curve: the base point's, built at first use, and those of keys seen often.
pub(crate) struct Tables<C> {
    generator: OnceLock<Table<C>>,
    pub(crate) keys: Cache<C>,
}

impl<C: Curve> Tables<C> {
    fn new() -> Self {
        Self { generator: OnceLock::new(), keys: Cache::new(KEY_TABLES_BYTES_MAX, WIDE_TABLES_BYTES_MAX) }
    }

    pub(crate) fn generator(&self, width: Width) -> &Table<C> {
        self.generator.get_or_init(|| {
            let (x, y) = C::GENERATOR;
            let point = C::point(x, y).expect("the base point is on its curve");
            Table::new(width, &point, super::table::GENERATOR_WINDOW_BITS).expect("no small multiple of it vanishes")
        })
    }
}

/// a^(2^times).
#[inline(always)]
fn squared<L: Lanes>(mut a: L, times: usize) -> L {
    for _ in 0..times {
        a = a.sqr();
    }
    a
}

/// SEC 2 v2, §2.4.1.
pub(crate) struct Secp256k1;

impl Curve for Secp256k1 {
    type Field = Secp256k1Field;
    type Order = Secp256k1Order;
    type Eight<W: Words> = Secp256k1Lanes<W>;
    type EightScalars<W: Words> = Secp256k1OrderLanes<W>;
    const EQUATION: (Limbs, Limbs) = ([0; 4], [7, 0, 0, 0]);
    const GENERATOR: (Limbs, Limbs) = (
        [0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac],
        [0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465],
    );

    const A_IS_MINUS_THREE: bool = false;
    const BETA: Option<Limbs> = Some(endomorphism::BETA);
    const WINDOWS_COUNT: usize = 129_usize.div_ceil(WINDOW_BITS);

    /// p + 1 has runs of 223, 22 and 2 ones, and so the exponent is a chain of powers with 2^k − 1 for k = 2, 3, 6, 9, 11,
    /// 22, 44, 88, 176, 220, 223 (the one of libsecp256k1).
    #[inline(always)]
    fn root<L: Lanes>(square: L) -> L {
        let x2 = squared(square, 1).mul(square);
        let x3 = squared(x2, 1).mul(square);
        let x6 = squared(x3, 3).mul(x3);
        let x9 = squared(x6, 3).mul(x3);
        let x11 = squared(x9, 2).mul(x2);
        let x22 = squared(x11, 11).mul(x11);
        let x44 = squared(x22, 22).mul(x22);
        let x88 = squared(x44, 44).mul(x44);
        let x176 = squared(x88, 88).mul(x88);
        let x220 = squared(x176, 44).mul(x44);
        let x223 = squared(x220, 3).mul(x3);
        squared(squared(squared(x223, 23).mul(x22), 6).mul(x2), 2)
    }

    fn parts(scalar: &Limbs) -> Option<[Digits; 2]> {
        Some(endomorphism::halves(scalar, WINDOW_BITS, Self::WINDOWS_COUNT))
    }

    fn tables() -> &'static Tables<Self> {
        static TABLES: OnceLock<Tables<Secp256k1>> = OnceLock::new();
        TABLES.get_or_init(Tables::new)
    }
}

/// SEC 2 v2, §2.4.2.
pub(crate) struct P256;

impl Curve for P256 {
    type Field = Montgomery<P256Field>;
    type Order = P256Order;
    type Eight<W: Words> = P256Lanes<W>;
    type EightScalars<W: Words> = P256OrderLanes<W>;
    const EQUATION: (Limbs, Limbs) = (
        // p − 3.
        [0xffff_ffff_ffff_fffc, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001],
        [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7],
    );
    const GENERATOR: (Limbs, Limbs) = (
        [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247],
        [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b],
    );

    const A_IS_MINUS_THREE: bool = true;
    const BETA: Option<Limbs> = None;
    const WINDOWS_COUNT: usize = windows_count(WINDOW_BITS);

    /// The exponent is (((2^32 − 1)·2^32 + 1)·2^96 + 1)·2^94.
    #[inline(always)]
    fn root<L: Lanes>(square: L) -> L {
        let x2 = squared(square, 1).mul(square);
        let x4 = squared(x2, 2).mul(x2);
        let x8 = squared(x4, 4).mul(x4);
        let x16 = squared(x8, 8).mul(x8);
        let x32 = squared(x16, 16).mul(x16);
        squared(squared(squared(x32, 32).mul(square), 96).mul(square), 94)
    }

    fn parts(scalar: &Limbs) -> Option<[Digits; 2]> {
        Digits::new(scalar, &P256Order::LIMBS, WINDOW_BITS).map(|digits| [digits; 2])
    }

    fn tables() -> &'static Tables<Self> {
        static TABLES: OnceLock<Tables<P256>> = OnceLock::new();
        TABLES.get_or_init(Tables::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<C: Curve>() {
        let (x, y) = C::GENERATOR;
        let base = C::point(x, y).expect("on the curve");
        let odd = y[0] & 1 == 1;
        assert_eq!(C::lift_x(x, odd), Some(base));
        let opposite = C::lift_x(x, !odd).expect("the same x");
        assert_eq!(C::Field::from_stored(opposite.y), C::Field::from_stored(base.y).negate());
        // Off the curve, above the prime, and an x without y.
        let changed = |limbs: Limbs| [limbs[0] ^ 1, limbs[1], limbs[2], limbs[3]];
        assert!(C::point(changed(x), y).is_none());
        assert!(C::point(x, changed(y)).is_none());
        assert!(C::point(C::Field::PRIME, y).is_none() && C::point(x, C::Field::PRIME).is_none());
        assert!(C::lift_x(C::Field::PRIME, odd).is_none());
        let lifted = (1..200).filter(|&x| C::lift_x([x, 0, 0, 0], false).is_some()).count();
        assert!((60..140).contains(&lifted), "half of all x have a point: {lifted} of 199");
    }

    #[test]
    fn only_points_on_the_curve_are_points() {
        check::<Secp256k1>();
        check::<P256>();
    }
}
