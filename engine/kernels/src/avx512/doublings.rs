//! Doublings of one point. Each waits for the one before, so what one doubling can compute side by side stands in lanes.

use super::digits::DigitPrime;
use super::residue::{Residues, function};
use super::words::Words;
use crate::group::{Jacobian, Lanes, push_reserved};

// Lanes of x, y and z of the point (x/z², y/z³), and of w = a·z⁴ for the a of the curve.
const Y: u64 = 0;
const X: u64 = 1;
const Z: u64 = 2;
const A: u64 = 3;

/// point, 2·point, 4·point, …, `count` of them or up to seven more, eight in a vector.
#[inline(always)]
pub(super) fn doublings<W: Words, P: DigitPrime>(
    (x, y): (Residues<W, P>, Residues<W, P>),
    a_is_minus_three: bool,
    count: usize,
) -> Vec<Jacobian<Residues<W, P>>> {
    let (zero, one) = (Residues::reduced([W::splat(0); 5]), Residues::one());
    let a = if a_is_minus_three { zero.sub(one.times::<3>()) } else { zero };
    let mut point = x.replaced(1 << Y, y).replaced(1 << Z, one).replaced(1 << A, a);
    let mut vectors = Vec::with_capacity(count.div_ceil(8));
    // Eight points, by digit.
    let mut points = [[W::splat(0); 8]; 5];
    for _ in 0..count.div_ceil(8) {
        for i in 0..8 {
            for (points, digit) in points.iter_mut().zip(point.0) {
                points[i] = digit;
            }
            point = Residues::doubled(point);
        }
        let mut coordinates = [[W::splat(0); 5]; 3];
        for (i, points) in points.into_iter().enumerate() {
            let [y, x, z, ..] = W::transpose(points);
            (coordinates[0][i], coordinates[1][i], coordinates[2][i]) = (x, y, z);
        }
        let [x, y, z] = coordinates;
        push_reserved(
            &mut vectors,
            Jacobian::with_z((Residues::reduced(x), Residues::reduced(y)), Residues::reduced(z)),
        );
    }
    vectors
}

impl<W: Words, P: DigitPrime> Residues<W, P> {
    function! {
        /// The double of the point whose coordinates stand in lanes, by the formulas of [`Jacobian::double`] in three products,
        /// with m·(4xy² − x₃) = m·(12xy² − m²) so that the third does not wait for x₃, and w₃ = w·16y⁴ as z₃ = 2yz.
        doubled(point: Residues<W, P>) -> Residues<W, P> {
            // y², x², yz.
            let first = point.permuted([Y, X, Y, Y, Y, Y, Y, Y]).mul(point.permuted([Y, X, Z, Y, Y, Y, Y, Y]));
            // y², m = 3x² + w, y².
            let mut m = first.permuted([0, 1, 0, 0, 0, 0, 0, 0]).0;
            for (digit, w) in m.iter_mut().zip(point.permuted([A; 8]).0) {
                *digit = digit.replace(0b10, digit.add(*digit).add(*digit).add(w));
            }
            let m = Residues::folded(m);
            // y⁴, m², xy².
            let second = m.replaced(0b100, point.permuted([X; 8])).mul(m);
            // 12xy² − m² in lane 0, 16y⁴ in lane 3.
            let mut d = second.permuted([2, 2, 2, 0, 2, 2, 2, 2]).0;
            for ((digit, m_squared), p) in d.iter_mut().zip(second.permuted([1; 8]).0).zip(P::P) {
                let (four, eight) = (digit.shift_left::<2>(), digit.shift_left::<3>());
                *digit = four.add(eight).sub(m_squared).add(W::splat(2 * p)).replace(0b1000, eight.add(eight));
            }
            let third = m.permuted([1; 8]).replaced(0b1000, point).mul(Residues::folded(d));
            // m·(12xy² − m²) − 8y⁴, m² − 8xy², 2yz, w·16y⁴.
            let mut doubled = third.replaced(0b10, second).replaced(0b100, first).0;
            for ((digit, product), p) in doubled.iter_mut().zip(second.permuted([0, 2, 2, 2, 2, 2, 2, 2]).0).zip(P::P) {
                let less = digit.sub(product.shift_left::<3>()).add(W::splat(16 * p));
                *digit = digit.replace(0b11, less).replace(0b100, digit.add(*digit));
            }
            Residues::folded(doubled)
        }
    }
}
