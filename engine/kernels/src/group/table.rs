//! Comb tables: for every window of a scalar, the odd multiples of one point.

use std::marker::PhantomData;

use super::curve::Curve;
use super::lanes::{Lanes, Single};
use super::recode::windows_count;
use super::tree::{Steps, add};
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
#[cfg(target_arch = "x86_64")]
use crate::cpu::Avx512Ifma;
use crate::cpu::Width;
use crate::field::{Entry, Field};

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
    /// point of prime order this small never do.
    pub(crate) fn new(width: Width, point: &Entry, window_bits: usize) -> Option<Self> {
        let powers = doublings::<C>(point, window_bits * windows_count(window_bits));
        let half = 1 << (window_bits - 1);
        let mut entries = vec![*point; windows_count(window_bits) * half].into_boxed_slice();
        for (window, entries) in entries.chunks_exact_mut(half).enumerate() {
            entries[0] = powers[window * window_bits];
        }
        let complete = match width {
            #[cfg(target_arch = "x86_64")]
            Width::Eight(witness) => fill_avx512::<C>(witness, &mut entries, &powers, window_bits),
            _ => fill::<Single<C::Field>>(&mut entries, &powers, window_bits),
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

/// point, 2·point, 4·point, … `count` of them, in Jacobian coordinates with one inversion at the end.
fn doublings<C: Curve>(point: &Entry, count: usize) -> Vec<Entry> {
    let field = C::Field::from_stored;
    let a = C::Field::from_limbs(C::EQUATION.0).expect("a coefficient is below p");
    let (mut x, mut y, mut z) = (field(point.x), field(point.y), C::Field::ONE);
    let mut jacobian = Vec::with_capacity(count);
    for _ in 0..count {
        jacobian.push((x, y, z));
        // The textbook tangent, m = 3x² + a·z⁴; y is never 0 on a curve of odd order.
        let y_squared = y.sqr();
        let s = x.mul(y_squared);
        let s = s.add(s);
        let s = s.add(s);
        let x_squared = x.sqr();
        let m = x_squared.add(x_squared).add(x_squared);
        let m = if a.is_zero() { m } else { m.add(z.sqr().sqr().mul(a)) };
        let y_fourth = y_squared.sqr();
        let y_fourth = y_fourth.add(y_fourth);
        let y_fourth = y_fourth.add(y_fourth);
        z = y.mul(z);
        z = z.add(z);
        x = m.sqr().sub(s).sub(s);
        y = m.mul(s.sub(x)).sub(y_fourth.add(y_fourth));
    }
    let mut products = Vec::with_capacity(count);
    let mut product = C::Field::ONE;
    for (_, _, z) in &jacobian {
        products.push(product);
        product = product.mul(*z);
    }
    let mut inverse = product.inverse_vartime();
    let mut affine = vec![*point; count];
    for ((affine, (x, y, z)), before) in affine.iter_mut().zip(jacobian).zip(products).rev() {
        let z_inverse = inverse.mul(before);
        inverse = inverse.mul(z);
        let squared = z_inverse.sqr();
        *affine = Entry { x: x.mul(squared).stored(), y: y.mul(squared).mul(z_inverse).stored() };
    }
    affine
}

/// [`fill`] in eight lanes, a function of its own like `sums_avx512`.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn fill_avx512<C: Curve>(_: Avx512Ifma, entries: &mut [Entry], powers: &[Entry], window_bits: usize) -> bool {
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
    fn enabled<C: Curve>(entries: &mut [Entry], powers: &[Entry], window_bits: usize) -> bool {
        fill::<C::Eight<Ifma>>(entries, powers, window_bits)
    }
    // SAFETY: the witness comes only from `cpu::detect`, so this CPU has every feature enabled above.
    unsafe { enabled::<C>(entries, powers, window_bits) }
}

/// Fills every window from its first entry: entries 0..m plus 2m times the window's base, one of the `powers`, are
/// entries m..2m. All windows share the inversion of each of these doublings. False if two x were equal.
#[inline(always)]
fn fill<L: Lanes>(entries: &mut [Entry], powers: &[Entry], window_bits: usize) -> bool {
    let half = 1 << (window_bits - 1);
    let windows_count = entries.len() / half;
    let mut steps = Steps::<L>::new(windows_count.div_ceil(L::COUNT) * half / 2);
    // Lane i belongs to window first + i; idle lanes repeat the last window, and what they find is not kept.
    let window = |first: usize, lane: usize| (first + lane).min(windows_count - 1);
    let mut exceptional = 0;
    for doubling in 0..window_bits - 1 {
        let known = 1 << doubling;
        // Only references are computed in closures: a vector operation there would lack the features of its caller.
        let power = |first, lane| &powers[window(first, lane) * window_bits + doubling + 1];
        steps.restart();
        for first in (0..windows_count).step_by(L::COUNT) {
            let (step_x, _) = L::load(|lane| power(first, lane));
            for index in 0..known {
                let (x, _) = L::load(|lane| &entries[window(first, lane) * half + index]);
                exceptional |= steps.push(step_x.sub(x));
            }
        }
        steps.invert();
        for first in (0..windows_count).step_by(L::COUNT).rev() {
            let step = L::load(|lane| power(first, lane));
            for index in (0..known).rev() {
                let point = L::load(|lane| &entries[window(first, lane) * half + index]);
                let (x, y) = add(point, step, steps.pop());
                let (x, y) = (x.stored(), y.stored());
                let lanes = x.as_ref().iter().zip(y.as_ref()).take(windows_count - first).enumerate();
                for (lane, (x, y)) in lanes {
                    entries[(first + lane) * half + known + index] = Entry { x: *x, y: *y };
                }
            }
        }
    }
    exceptional == 0
}

#[cfg(test)]
mod tests {
    use super::super::curve::{P256, Secp256k1};
    use super::*;
    use crate::avx512::Plain;

    /// Entries are what they say, by additions of one point after the other, and the same in eight lanes.
    fn check<C: Curve>() {
        let base = C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve");
        for window_bits in [2, 5, 8] {
            let table = Table::<C>::new(Width::One, &base, window_bits).expect("no exception");
            let half = 1 << (window_bits - 1);
            let powers = doublings::<C>(&base, window_bits * windows_count(window_bits));
            for (window, entries) in table.entries.chunks_exact(half).enumerate() {
                let single = |entry| Single::<C::Field>::load(|_| entry);
                let (first, double) = (powers[window * window_bits], powers[window * window_bits + 1]);
                assert_eq!(entries[0], first);
                for pair in entries.windows(2) {
                    let (left, right) = (single(&pair[0]), single(&double));
                    let (x, y) = add(left, right, right.0.sub(left.0).inverse_vartime());
                    assert_eq!(pair[1], Entry { x: x.stored()[0], y: y.stored()[0] }, "window {window}");
                }
            }
            let mut entries = vec![base; table.entries.len()];
            for (entries, known) in entries.chunks_exact_mut(half).zip(table.entries.chunks_exact(half)) {
                entries[0] = known[0];
            }
            assert!(fill::<C::Eight<Plain>>(&mut entries, &powers, window_bits));
            assert!(*entries == *table.entries, "eight lanes, {window_bits} bits");
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
            let (mut powers, window_bits) = (doublings::<C>(&base, 4), 2);
            powers[1] = powers[0];
            let mut entries = [powers[0], base, powers[2], base];
            assert!(!fill::<Single<C::Field>>(&mut entries, &powers, window_bits));
            assert!(!fill::<C::Eight<Plain>>(&mut entries, &powers, window_bits));
        }
        refused::<Secp256k1>();
        refused::<P256>();
    }
}
