//! The two curves, y² = x³ + ax + b, and the tables kept for each.

use std::sync::OnceLock;

use super::cache::Cache;
use super::lanes::Lanes;
use super::table::Table;
use crate::avx512::{P256Lanes, Secp256k1Lanes, Words};
use crate::cpu::Avx512Ifma;
use crate::field::{Entry, Field, Limbs, Modulus, Montgomery, P256Field, P256Order, Secp256k1Field, Secp256k1Order};
use crate::limits::KEY_TABLES_BYTES_MAX;

/// A curve of prime order over a prime field.
pub(crate) trait Curve: Sized + Send + Sync + 'static {
    type Field: Field;
    type Order: Modulus;
    /// Eight residues of the field.
    type Eight<W: Words>: Lanes;
    /// a and b of the equation.
    const EQUATION: (Limbs, Limbs);
    /// x and y of the base point.
    const GENERATOR: (Limbs, Limbs);

    /// The tables of this process.
    fn tables() -> &'static Tables<Self>;

    /// The point with these coordinates, if both are below p and satisfy the equation.
    fn point(x: Limbs, y: Limbs) -> Option<Entry> {
        let (x, y) = (Self::Field::from_limbs(x)?, Self::Field::from_limbs(y)?);
        (y.sqr() == Self::right_side(x)).then(|| Entry { x: x.stored(), y: y.stored() })
    }

    /// The point with this x whose y is odd or even, if there is one.
    fn lift_x(x: Limbs, y_is_odd: bool) -> Option<Entry> {
        let x = Self::Field::from_limbs(x)?;
        let y = Self::right_side(x).sqrt_vartime()?;
        let y = if (y.to_limbs()[0] & 1 == 1) == y_is_odd { y } else { y.negate() };
        Some(Entry { x: x.stored(), y: y.stored() })
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
        Self { generator: OnceLock::new(), keys: Cache::new(KEY_TABLES_BYTES_MAX) }
    }

    pub(crate) fn generator(&self, wide: Option<Avx512Ifma>) -> &Table<C> {
        self.generator.get_or_init(|| {
            let (x, y) = C::GENERATOR;
            let point = C::point(x, y).expect("the base point is on its curve");
            Table::new(wide, &point, super::table::GENERATOR_WINDOW_BITS).expect("no small multiple of it vanishes")
        })
    }
}

/// SEC 2 v2, §2.4.1.
pub(crate) struct Secp256k1;

impl Curve for Secp256k1 {
    type Field = Secp256k1Field;
    type Order = Secp256k1Order;
    type Eight<W: Words> = Secp256k1Lanes<W>;
    const EQUATION: (Limbs, Limbs) = ([0; 4], [7, 0, 0, 0]);
    const GENERATOR: (Limbs, Limbs) = (
        [0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac],
        [0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465],
    );

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
    const EQUATION: (Limbs, Limbs) = (
        // p − 3.
        [0xffff_ffff_ffff_fffc, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001],
        [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7],
    );
    const GENERATOR: (Limbs, Limbs) = (
        [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247],
        [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b],
    );

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
