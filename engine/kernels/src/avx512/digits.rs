//! Numbers as five digits of 52 bits, and what is done to them digit by digit; ranges are in the module's essay.

use super::words::Words;
use crate::field::{Field, Limbs, Modulus, Montgomery, P256Field, P256Order, Secp256k1Field, Secp256k1Order};

pub(super) const MASK: u64 = (1 << 52) - 1;

/// A prime whose residues are kept in five digits of 52 bits.
pub(crate) trait DigitPrime: Copy {
    type Field: Field;
    /// Digits of p.
    const P: [u64; 5];
    /// A residue x is kept as `Field::stored(x)`·2^`SHIFT`.
    const SHIFT: u32;

    /// Ten columns, each in 0..2^60 and the upper five together a number below 2^260, to a reduced number (secp256k1) or to
    /// their number / 2^260 + p at most (elsewhere), carried.
    fn reduce<W: Words>(columns: [W; 10]) -> [W; 5];
    /// The same for columns of which some are negative; the upper five together are a number in 0..2^260.
    #[inline(always)]
    fn reduce_signed<W: Words>(columns: [W; 10]) -> [W; 5] {
        Self::reduce(columns)
    }
    /// Adds `high`·(2^256 mod p) for 0 ≤ `high` < 2^6. Digits may turn negative, the value does not.
    fn fold<W: Words>(digits: [W; 5], high: W) -> [W; 5];
}

/// Moves what is above 52 bits, or below 0, to the next digit; the last keeps all of it.
#[inline(always)]
pub(super) fn carry<W: Words, const N: usize>(mut digits: [W; N]) -> [W; N] {
    for i in 1..N {
        digits[i] = digits[i].add(digits[i - 1].shift_right::<52>());
        digits[i - 1] = digits[i - 1].and(W::splat(MASK));
    }
    digits
}

/// [`carry`] for digits of which only the low 52 bits are read.
#[inline(always)]
pub(super) fn carry_unmasked<W: Words>(mut digits: [W; 5]) -> [W; 5] {
    for i in 1..5 {
        digits[i] = digits[i].add(digits[i - 1].shift_right::<52>());
    }
    digits
}

/// Adds a·b, column by column.
#[inline(always)]
pub(super) fn product<W: Words>(a: &[W; 5], b: &[W; 5]) -> [W; 10] {
    let mut columns = [W::splat(0); 10];
    for i in 0..5 {
        for j in 0..5 {
            columns[i + j] = columns[i + j].add_low(a[i], b[j]);
            columns[i + j + 1] = columns[i + j + 1].add_high(a[i], b[j]);
        }
    }
    columns
}

/// a²: the ten mixed products once, doubled, and the five squares.
#[inline(always)]
pub(super) fn square<W: Words>(a: &[W; 5]) -> [W; 10] {
    let mut columns = [W::splat(0); 10];
    for i in 0..5 {
        for j in i + 1..5 {
            columns[i + j] = columns[i + j].add_low(a[i], a[j]);
            columns[i + j + 1] = columns[i + j + 1].add_high(a[i], a[j]);
        }
    }
    for (i, digit) in a.iter().enumerate() {
        columns[2 * i] = columns[2 * i].add(columns[2 * i]).add_low(*digit, *digit);
        columns[2 * i + 1] = columns[2 * i + 1].add(columns[2 * i + 1]).add_high(*digit, *digit);
    }
    columns
}

/// Carried digits of a value in 0..64·2^256 to a value below 2p, carried.
#[inline(always)]
pub(super) fn fold_top<W: Words, P: DigitPrime>(mut digits: [W; 5]) -> [W; 5] {
    let high = digits[4].shift_right::<48>();
    digits[4] = digits[4].and(W::splat((1 << 48) - 1));
    carry(P::fold(digits, high))
}

/// The lower five columns with the upper five, times 2^260 mod p of secp256k1, added to them.
#[inline(always)]
fn upper_folded<W: Words>(columns: [W; 10]) -> [W; 6] {
    // The upper columns alone are a number in 0..2^260, whatever the lower ones will carry: those keep it.
    let [c0, c1, c2, c3, c4, upper @ ..] = columns;
    let (upper, fold) = (carry_unmasked(upper), W::splat(0x10_0000_3d10));
    let mut digits = [c0, c1, c2, c3, c4, W::splat(0)];
    for i in 0..5 {
        digits[i] = digits[i].add_low(fold, upper[i]);
        digits[i + 1] = digits[i + 1].add_high(fold, upper[i]);
    }
    digits
}

/// What these digits, none negative, hold above 2^256 as they stand, less than 2^42, times 2^256 mod p of secp256k1, added to
/// the rest; the carries will bring digit 4 less than 2^9 more.
#[inline(always)]
fn top_folded<W: Words>([d0, d1, d2, d3, d4, d5]: [W; 6]) -> [W; 5] {
    let high = d5.shift_left::<4>().add(d4.shift_right_logical::<48>());
    let fold = W::splat(0x1_0000_03d1);
    let d4 = d4.and(W::splat((1 << 48) - 1));
    carry([d0.add_low(fold, high), d1.add_high(fold, high), d2, d3, d4])
}

/// p = 2^256 − 0x1000003d1.
#[derive(Clone, Copy)]
pub(crate) struct Secp256k1Digits;

impl DigitPrime for Secp256k1Digits {
    type Field = Secp256k1Field;
    const P: [u64; 5] = [0xf_fffe_ffff_fc2f, MASK, MASK, MASK, MASK >> 4];
    const SHIFT: u32 = 0;

    #[inline(always)]
    fn reduce<W: Words>(columns: [W; 10]) -> [W; 5] {
        top_folded(upper_folded(columns))
    }

    #[inline(always)]
    fn reduce_signed<W: Words>(columns: [W; 10]) -> [W; 5] {
        // What is above 2^256 is negative in no number, but may be in a digit.
        top_folded(carry(upper_folded(columns)))
    }

    #[inline(always)]
    fn fold<W: Words>([d0, d1, d2, d3, d4]: [W; 5], high: W) -> [W; 5] {
        [d0.add_low(W::splat(0x1_0000_03d1), high), d1, d2, d3, d4]
    }
}

/// p = 2^256 − 2^224 + 2^192 + 2^96 − 1, Montgomery with R = 2^260.
#[derive(Clone, Copy)]
pub(crate) struct P256Digits;

impl DigitPrime for P256Digits {
    type Field = Montgomery<P256Field>;
    const P: [u64; 5] = [MASK, (1 << 44) - 1, 0, 1 << 36, (1 << 48) - (1 << 16)];
    const SHIFT: u32 = 4;

    #[inline(always)]
    fn reduce<W: Words>(mut columns: [W; 10]) -> [W; 5] {
        let (p1, p3, p4) = (W::splat(1 << 44), W::splat(1 << 36), W::splat((1 << 48) - (1 << 16)));
        for i in 0..5 {
            // The low digit m clears its column with m·p = m·(p + 1) − m; multiply-add reads just these 52 bits.
            let m = columns[i];
            columns[i + 1] = columns[i + 1].add(m.shift_right::<52>()).add_low(m, p1);
            columns[i + 2] = columns[i + 2].add_high(m, p1);
            columns[i + 3] = columns[i + 3].add_low(m, p3);
            columns[i + 4] = columns[i + 4].add_high(m, p3).add_low(m, p4);
            columns[i + 5] = columns[i + 5].add_high(m, p4);
        }
        let [.., c5, c6, c7, c8, c9] = columns;
        carry([c5, c6, c7, c8, c9])
    }

    #[inline(always)]
    fn fold<W: Words>([d0, d1, d2, d3, d4]: [W; 5], high: W) -> [W; 5] {
        // 2^256 ≡ 2^224 − 2^192 − 2^96 + 1; each product is below 2^52.
        let times = |factor: u64| W::splat(0).add_low(W::splat(factor), high);
        [d0.add(high), d1.sub(times(1 << 44)), d2, d3.sub(times(1 << 36)), d4.add(times(1 << 16))]
    }
}

/// A group order n, which has no form to make use of: Montgomery with R = 2^260, a quotient digit by a product of its own.
macro_rules! order {
    ($name:ident, $order:ty) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl DigitPrime for $name {
            type Field = Montgomery<$order>;
            const P: [u64; 5] = digits(&<$order>::LIMBS);
            const SHIFT: u32 = 4;

            #[inline(always)]
            fn reduce<W: Words>(mut columns: [W; 10]) -> [W; 5] {
                let inverse = W::splat(const { negated_inverse(Self::P[0]) });
                for i in 0..5 {
                    let m = W::splat(0).add_low(columns[i], inverse);
                    for (j, digit) in Self::P.into_iter().enumerate() {
                        let digit = W::splat(digit);
                        columns[i + j] = columns[i + j].add_low(m, digit);
                        columns[i + j + 1] = columns[i + j + 1].add_high(m, digit);
                    }
                    columns[i + 1] = columns[i + 1].add(columns[i].shift_right::<52>());
                }
                let [.., c5, c6, c7, c8, c9] = columns;
                carry([c5, c6, c7, c8, c9])
            }

            #[inline(always)]
            fn fold<W: Words>(mut d: [W; 5], high: W) -> [W; 5] {
                // 2^256 − n.
                let rest = const { digits(&complement(&<$order>::LIMBS)) };
                for (i, digit) in rest.into_iter().enumerate() {
                    d[i] = d[i].add_low(W::splat(digit), high);
                    if i < 4 {
                        d[i + 1] = d[i + 1].add_high(W::splat(digit), high);
                    }
                }
                d
            }
        }
    };
}

order!(Secp256k1OrderDigits, Secp256k1Order);
order!(P256OrderDigits, P256Order);

/// A number below 2^256, cut into digits.
pub(super) const fn digits([l0, l1, l2, l3]: &Limbs) -> [u64; 5] {
    [
        *l0 & MASK,
        (*l0 >> 52 | *l1 << 12) & MASK,
        (*l1 >> 40 | *l2 << 24) & MASK,
        (*l2 >> 28 | *l3 << 36) & MASK,
        *l3 >> 16,
    ]
}

/// 2^256 − a for odd a.
const fn complement([l0, l1, l2, l3]: &Limbs) -> Limbs {
    [!*l0 + 1, !*l1, !*l2, !*l3]
}

/// −1/p mod 2^52, by Newton's iteration: p inverts itself mod 8, and each step doubles the bits.
const fn negated_inverse(p: u64) -> u64 {
    let mut inverse = p;
    let mut bits = 3;
    while bits < 52 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(p.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse.wrapping_neg() & MASK
}
