//! Numbers as five digits of 52 bits, and what is done to them digit by digit; ranges are in the module's essay.

use super::words::Words;
use crate::field::{Field, Montgomery, P256Field, Secp256k1Field};

pub(super) const MASK: u64 = (1 << 52) - 1;

/// A prime whose residues are kept in five digits of 52 bits.
pub(crate) trait DigitPrime: Copy {
    type Field: Field;
    /// Digits of p.
    const P: [u64; 5];
    /// A residue x is kept as `Field::stored(x)`·2^`SHIFT`.
    const SHIFT: u32;

    /// Ten columns, each below 2^60 in size and the upper five together a number in 0..2^260, to a value below 2p (secp256k1)
    /// or to their number / 2^260 + p at most (P-256), carried.
    fn reduce<W: Words>(columns: [W; 10]) -> [W; 5];
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

/// Carried digits of a value in 0..16·2^256 to a value below 2p, carried.
#[inline(always)]
pub(super) fn fold_top<W: Words, P: DigitPrime>(mut digits: [W; 5]) -> [W; 5] {
    let high = digits[4].shift_right::<48>();
    digits[4] = digits[4].and(W::splat((1 << 48) - 1));
    carry(P::fold(digits, high))
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
        // The upper columns alone are a number in 0..2^260, whatever the lower ones will carry: those keep it.
        let [c0, c1, c2, c3, c4, upper @ ..] = columns;
        let upper = carry_unmasked(upper);
        // 2^260 mod p.
        let fold = W::splat(0x10_0000_3d10);
        let mut digits = [c0, c1, c2, c3, c4, W::splat(0)];
        for i in 0..5 {
            digits[i] = digits[i].add_low(fold, upper[i]);
            digits[i + 1] = digits[i + 1].add_high(fold, upper[i]);
        }
        let [d0, d1, d2, d3, d4, d5] = carry(digits);
        // What is above 2^256: 16·d5 + d4 / 2^48 < 2^43.
        let d5 = d5.add(d5);
        let d5 = d5.add(d5);
        let d5 = d5.add(d5);
        let high = d5.add(d5).add(d4.shift_right::<48>());
        let fold = W::splat(0x1_0000_03d1);
        let d4 = d4.and(W::splat((1 << 48) - 1));
        carry([d0.add_low(fold, high), d1.add_high(fold, high), d2, d3, d4])
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
