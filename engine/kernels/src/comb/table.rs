//! Comb tables: for every window of a scalar, the odd multiples of one point.

use std::marker::PhantomData;

use super::curve::Curve;
use super::lanes::{Lanes, Single};
use super::recode::windows_count;
use crate::field::{Entry, Field};

/// Bits per window of a key's table: 32 windows of 128 entries, 256 KiB.
pub(crate) const KEY_WINDOW_BITS: usize = 8;
/// Bits per window of the base point's table: 22 windows of 2048 entries, 2.75 MiB.
pub(crate) const GENERATOR_WINDOW_BITS: usize = 12;

/// Entry i of window j is (2i + 1)·2^(w·j) times the point.
pub(crate) struct Table<C> {
    window_bits: usize,
    entries: Box<[Entry]>,
    curve: PhantomData<C>,
}

impl<C: Curve> Table<C> {
    /// Builds the table of a point on the curve; `None` if a sum met equal or opposite points, which multiples of a
    /// point of prime order this small never do.
    pub(crate) fn new(point: &Entry, window_bits: usize) -> Option<Self> {
        let powers = doublings::<C>(point, window_bits * windows_count(window_bits));
        let half = 1 << (window_bits - 1);
        let mut entries = vec![*point; windows_count(window_bits) * half].into_boxed_slice();
        for (window, entries) in entries.chunks_exact_mut(half).enumerate() {
            entries[0] = powers[window * window_bits];
        }
        // Entries 0..m of a window, plus 2m times its base, are entries m..2m; all windows share the inversion.
        for doubling in 0..window_bits - 1 {
            let known = 1 << doubling;
            let summands = |entries: &[Entry]| {
                entries
                    .chunks_exact(half)
                    .zip(powers[doubling + 1..].iter().step_by(window_bits))
                    .flat_map(|(entries, step)| entries[..known].iter().map(move |entry| (*entry, *step)))
                    .collect::<Vec<_>>()
            };
            let sums = add_pairs::<C::Field>(&summands(&entries))?;
            for (entries, sums) in entries.chunks_exact_mut(half).zip(sums.chunks_exact(known)) {
                entries[known..2 * known].copy_from_slice(sums);
            }
        }
        Some(Self { window_bits, entries, curve: PhantomData })
    }

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

/// The sum of each pair, one inversion for all; `None` if two x are equal.
fn add_pairs<F: Field>(pairs: &[(Entry, Entry)]) -> Option<Vec<Entry>> {
    let mut rows = super::tree::Forest::new(2, pairs.len());
    for entry in pairs.iter().map(|pair| &pair.0).chain(pairs.iter().map(|pair| &pair.1)) {
        rows.push(Single::<F>::gather(|_| (entry, false)));
    }
    let mut denominators = super::tree::Denominators::new(pairs.len(), pairs.len());
    super::tree::sum_rows(&mut [&mut rows], &mut denominators);
    if denominators.exceptional.iter().any(|&lanes| lanes != 0) {
        return None;
    }
    let sum = |vector| {
        let (x, y) = rows.sum(vector);
        Entry { x: x.0.stored(), y: y.0.stored() }
    };
    Some((0..pairs.len()).map(sum).collect())
}
