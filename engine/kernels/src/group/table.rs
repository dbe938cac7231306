//! Comb tables: for every window of a scalar, the odd multiples of one point.

use std::marker::PhantomData;

use super::curve::Curve;
use super::jacobian::affine;
use super::lanes::{Lanes, Single};
use super::recode::windows_count;
use super::tree::{Denominators, Steps, add, subtract};
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
use crate::avx512::Plain;
#[cfg(target_arch = "x86_64")]
use crate::cpu::Avx512Ifma;
use crate::cpu::Width;
use crate::field::Entry;

/// Bits per window of a key's table: 32 windows of 128 entries, 256 KiB.
pub(crate) const KEY_WINDOW_BITS: usize = 8;
/// Bits per window of a busy key's second table: 22 windows of 2048 entries, 2.75 MiB.
pub(crate) const WIDE_WINDOW_BITS: usize = 12;
/// Bits per window of the base point's table: as many.
pub(crate) const GENERATOR_WINDOW_BITS: usize = 12;

/// Entry i of window j is (2i + 1)·2^(w·j) times the point.
pub(crate) struct Table<C> {
    window_bits: usize,
    entries: Box<[Entry]>,
    curve: PhantomData<C>,
}

/// Bytes of a table with windows of so many bits.
pub(crate) const fn table_bytes(window_bits: usize) -> usize {
    (windows_count(window_bits) * size_of::<Entry>()) << (window_bits - 1)
}

impl<C> PartialEq for Table<C> {
    fn eq(&self, other: &Self) -> bool {
        self.window_bits == other.window_bits && self.entries == other.entries
    }
}

impl<C: Curve> Table<C> {
    /// Builds the table of a point on the curve; `None` if a sum met equal or opposite points, which multiples of a
    /// point of prime order this small never do, or seemed to in eight lanes ([`Lanes::likely_zeros`]): once in 2^40 tables.
    pub(crate) fn new(width: Width, point: &Entry, window_bits: usize) -> Option<Self> {
        let mut entries = vec![*point; windows_count(window_bits) << (window_bits - 1)].into_boxed_slice();
        let complete = match width {
            #[cfg(target_arch = "x86_64")]
            Width::Eight(witness) => build_avx512::<C>(witness, &mut entries, point, window_bits),
            Width::EightPlain => build::<C, C::Eight<Plain>>(&mut entries, point, window_bits),
            _ => build::<C, Single<C::Field>>(&mut entries, point, window_bits),
        };
        complete.then_some(Self { window_bits, entries, curve: PhantomData })
    }

    pub(crate) fn window_bits(&self) -> usize {
        self.window_bits
    }

    /// What it takes in memory; see [`table_bytes`].
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// The odd multiple 2·index + 1 in window j.
    #[inline(always)]
    pub(crate) fn entry(&self, j: usize, index: usize) -> &Entry {
        &self.entries[(j << (self.window_bits - 1)) + index]
    }
}

/// [`build`] in eight lanes, a function of its own like `sums_avx512`.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn build_avx512<C: Curve>(_: Avx512Ifma, entries: &mut [Entry], point: &Entry, window_bits: usize) -> bool {
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
    fn enabled<C: Curve>(entries: &mut [Entry], point: &Entry, window_bits: usize) -> bool {
        build::<C, C::Eight<Ifma>>(entries, point, window_bits)
    }
    // SAFETY: the witness comes only from `cpu::detect`, so this CPU has every feature enabled above.
    unsafe { enabled::<C>(entries, point, window_bits) }
}

/// Fills the table of a point. False if equal or opposite points met.
#[inline(always)]
fn build<C: Curve, L: Lanes>(entries: &mut [Entry], point: &Entry, window_bits: usize) -> bool {
    // The last window's largest entry is 2^window_bits times its first, less one.
    let powers = doublings::<C, L>(point, window_bits * windows_count(window_bits) + 1);
    fill::<L>(entries, &powers, window_bits)
}

/// point, 2·point, 4·point, … `count` of them. The division that makes them affine is shared.
#[inline(always)]
fn doublings<C: Curve, L: Lanes>(point: &Entry, count: usize) -> Vec<Entry> {
    let doublings = L::doublings::<C>(point, count);
    let mut denominators = Denominators::new(doublings.len());
    // No z is 0: the order is an odd prime, so no power of 2 takes the point to ∞.
    let forest = affine(doublings, &mut denominators);
    let mut powers = vec![*point; count];
    for (vector, powers) in powers.chunks_mut(L::COUNT).enumerate() {
        let (x, y) = forest.sum(vector);
        let (x, y) = (x.kept(), y.kept());
        for (power, (x, y)) in powers.iter_mut().zip(x.as_ref().iter().zip(y.as_ref())) {
            *power = Entry { x: *x, y: *y };
        }
    }
    powers
}

/// Fills every window from its base B, one of the `powers`, in rounds: the m known entries, B to (2m − 1)·B, are added to
/// and subtracted from 4m·B, which share a denominator, and subtracted from 8m·B: that makes 4m of them. Where that would
/// be too many, the first round subtracts from 4m·B only. All windows share the inversion of each round.
#[inline(always)]
fn fill<L: Lanes>(entries: &mut [Entry], powers: &[Entry], window_bits: usize) -> bool {
    let half = 1 << (window_bits - 1);
    let windows_count = entries.len() / half;
    for (entries, powers) in entries.chunks_exact_mut(half).zip(powers.chunks(window_bits)) {
        entries[0] = powers[0];
    }
    let mut steps = Steps::<L>::new(windows_count.div_ceil(L::COUNT) * half / 2);
    // Lane i belongs to window first + i; idle lanes repeat the last window, and what they find is not kept.
    let window = |first: usize, lane: usize| (first + lane).min(windows_count - 1);
    let mut exceptional = 0;
    let mut known = 1;
    while known < half {
        let doubles = (half / known).trailing_zeros() % 2 == 1;
        // 2·centre·B lies between the entries centre − 1 and centre.
        let centres = if doubles { &[2 * known][..] } else { &[2 * known, 4 * known] };
        // Only references are computed in closures: a vector operation there would lack the features of its caller.
        let power = |centre: usize, first, lane| {
            &powers[window(first, lane) * window_bits + centre.trailing_zeros() as usize + 1]
        };
        steps.restart();
        for &centre in centres {
            for first in (0..windows_count).step_by(L::COUNT) {
                let (middle_x, _) = L::load(|lane| power(centre, first, lane));
                for index in 0..known {
                    let (x, _) = L::load(|lane| &entries[window(first, lane) * half + index]);
                    exceptional |= steps.push_difference(x, middle_x);
                }
            }
        }
        steps.invert();
        for &centre in centres.iter().rev() {
            for first in (0..windows_count).step_by(L::COUNT).rev() {
                let middle = L::load(|lane| power(centre, first, lane));
                for index in (0..known).rev() {
                    let point = L::load(|lane| &entries[window(first, lane) * half + index]);
                    let inverse = steps.pop();
                    let rows = &mut entries[first * half..];
                    store(rows, half, centre - 1 - index, subtract(middle, point, inverse));
                    if !doubles && centre == 2 * known {
                        store(rows, half, centre + index, add(middle, point, inverse));
                    }
                }
            }
        }
        known *= if doubles { 2 } else { 4 };
    }
    exceptional == 0
}

/// Writes one entry of as many windows as there are lanes, or windows.
#[inline(always)]
fn store<L: Lanes>(windows: &mut [Entry], half: usize, index: usize, (x, y): (L, L)) {
    let (x, y) = (x.kept(), y.kept());
    for (window, (x, y)) in windows.chunks_exact_mut(half).zip(x.as_ref().iter().zip(y.as_ref())) {
        window[index] = Entry { x: *x, y: *y };
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::{P256, Secp256k1};
    use super::*;

    /// Entries are what they say, by additions of one point after the other, and the same in eight lanes.
    fn check<C: Curve>() {
        let base = C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve");
        for window_bits in [2, 5, KEY_WINDOW_BITS, WIDE_WINDOW_BITS] {
            let table = Table::<C>::new(Width::One, &base, window_bits).expect("no exception");
            let half = 1 << (window_bits - 1);
            let powers = doublings::<C, Single<C::Field>>(&base, window_bits * windows_count(window_bits));
            for (window, entries) in table.entries.chunks_exact(half).enumerate() {
                let single = |entry| Single::<C::Field>::load(|_| entry);
                let (first, double) = (powers[window * window_bits], powers[window * window_bits + 1]);
                assert_eq!(entries[0], first);
                for pair in entries.windows(2) {
                    let (left, right) = (single(&pair[0]), single(&double));
                    let (x, y) = add(left, right, right.0.sub(left.0).inverse_vartime());
                    assert_eq!(pair[1], Entry { x: x.kept()[0], y: y.kept()[0] }, "window {window}");
                }
            }
            let wide = Table::<C>::new(Width::EightPlain, &base, window_bits).expect("no exception");
            assert!(wide.entries == table.entries, "eight lanes, {window_bits} bits");
            if let Some(witness) = crate::cpu::detect().avx512_ifma {
                let wide = Table::<C>::new(Width::Eight(witness), &base, window_bits).expect("no exception");
                assert!(wide.entries == table.entries, "the instructions, {window_bits} bits");
            }
        }
    }

    #[test]
    fn tables_hold_the_odd_multiples_whatever_the_lanes() {
        check::<Secp256k1>();
        check::<P256>();
    }

    /// Doublings that are none bring equal points together: no table, rather than a wrong one.
    #[test]
    fn equal_points_give_no_table() {
        fn refused<C: Curve>() {
            let base = C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve");
            let (mut powers, window_bits) = (doublings::<C, Single<C::Field>>(&base, 5), 2);
            powers[4] = powers[2];
            let mut entries = [base; 4];
            assert!(!fill::<Single<C::Field>>(&mut entries, &powers, window_bits));
            assert!(!fill::<C::Eight<Plain>>(&mut entries, &powers, window_bits));
        }
        refused::<Secp256k1>();
        refused::<P256>();
    }
}
