//! Points with a common denominator: sums that wait for no division, at nearly twice the multiplications.

use super::curve::Curve;
use super::lanes::{Lanes, Task, push_reserved};
use super::tree::{Denominators, Forest};

/// A point with z: (x/z², y/z³), or ∞ if z = 0.
#[derive(Clone, Copy)]
pub(crate) struct Jacobian<L> {
    x: L,
    y: L,
    z: L,
}

impl<L: Lanes> Jacobian<L> {
    #[inline(always)]
    pub(super) fn new((x, y): (L, L)) -> Self {
        Self::with_z((x, y), L::one())
    }

    /// (x/z², y/z³).
    #[inline(always)]
    pub(crate) fn with_z((x, y): (L, L), z: L) -> Self {
        Self { x, y, z }
    }

    /// 2·self. ∞ stays ∞; y is never 0 on a curve of odd order.
    #[inline(always)]
    pub(super) fn double<C: Curve>(self) -> Self {
        let Self { x, y, z } = self;
        // m = 3x² + a·z⁴.
        let m = if C::A_IS_MINUS_THREE {
            let z_squared = z.sqr();
            // Reduced: m is squared, and three times as large it would be too large for that.
            L::reduce(L::product(x.minus(z_squared), x.plus(z_squared))).times::<3>().factor()
        } else {
            x.sqr().multiple::<3>()
        };
        let y_squared = y.sqr();
        let s = L::reduce(L::product(x.factor(), y_squared.multiple::<4>()));
        let x3 = L::reduce_minus(L::square(m), [(2, s)]);
        let y3 = L::reduce_difference::<8>(L::product(m, s.minus(x3)), L::square(y_squared.factor()));
        Self { x: x3, y: y3, z: L::reduce(L::product(y.multiple::<2>(), z.factor())) }
    }

    /// self + other. Where the two have equal x, or self is ∞, the result has z = 0: both rightly and wrongly, so
    /// the caller takes z = 0 for "unknown".
    #[inline(always)]
    pub(super) fn add_affine(self, (x2, y2): (L, L)) -> Self {
        let Self { x, y, z } = self;
        let z_squared = z.sqr();
        let h = L::reduce_minus(L::product(x2.factor(), z_squared.factor()), [(1, x)]);
        let r = L::reduce_minus(L::product(y2.factor(), z.mul(z_squared).factor()), [(1, y)]);
        let h_squared = h.sqr();
        let h_cubed = h.mul(h_squared);
        let v = x.mul(h_squared);
        let x3 = L::reduce_minus(L::square(r.factor()), [(1, h_cubed), (2, v)]);
        let y3 =
            L::reduce_difference::<1>(L::product(r.factor(), v.minus(x3)), L::product(y.factor(), h_cubed.factor()));
        Self { x: x3, y: y3, z: z.mul(h) }
    }

    /// self + other, with the exceptions of [`Jacobian::add_affine`], and where `other` is ∞.
    #[inline(always)]
    pub(super) fn add(self, other: Self) -> Self {
        // Other's x and y are affine ones once self's are brought to its denominator.
        let squared = other.z.sqr();
        let scaled = Self { x: self.x.mul(squared), y: self.y.mul(squared.mul(other.z)), z: self.z };
        let sum = scaled.add_affine((other.x, other.y));
        Self { z: sum.z.mul(other.z), ..sum }
    }
}

/// The same points without denominator, as a forest of one row. Where z is 0 the lane turns exceptional.
pub(super) fn affine<L: Lanes>(points: Vec<Jacobian<L>>, denominators: &mut Denominators<L>) -> Forest<L> {
    L::enter(Affine { points, denominators })
}

/// See [`affine`].
struct Affine<'a, L: Lanes> {
    points: Vec<Jacobian<L>>,
    denominators: &'a mut Denominators<L>,
}

impl<L: Lanes> Task for Affine<'_, L> {
    type Output = Forest<L>;

    #[inline(always)]
    fn run(self) -> Forest<L> {
        let Self { points, denominators: Denominators { steps, exceptional } } = self;
        steps.reserve(points.len());
        steps.restart();
        for (point, exceptional) in points.iter().zip(exceptional) {
            *exceptional |= steps.push(point.z.factor(), point.z.zeros());
        }
        steps.invert();
        let mut affine = Forest::filled(1, points.len(), (L::one(), L::one()));
        for (vector, Jacobian { x, y, .. }) in points.into_iter().enumerate().rev() {
            let inverse = steps.pop();
            let squared = inverse.sqr();
            affine.set(0, vector, (x.mul(squared), y.mul(squared.mul(inverse))));
        }
        affine
    }
}

/// The sums of the rows of a forest, one point after the other: one division in all, later, where
/// [`super::tree::sum_rows`] takes one per level, so this is the way for a few vectors.
pub(super) fn accumulated<L: Lanes>(forest: &Forest<L>) -> Vec<Jacobian<L>> {
    L::enter(Accumulated { forest })
}

struct Accumulated<'a, L> {
    forest: &'a Forest<L>,
}

impl<L: Lanes> Task for Accumulated<'_, L> {
    type Output = Vec<Jacobian<L>>;

    #[inline(always)]
    fn run(self) -> Vec<Jacobian<L>> {
        let (rows_count, vectors_count) = self.forest.shape();
        let mut sums = Vec::with_capacity(vectors_count);
        for vector in 0..vectors_count {
            let mut sum = Jacobian::new(self.forest.point(0, vector));
            for row in 1..rows_count {
                sum = sum.add_affine(self.forest.point(row, vector));
            }
            push_reserved(&mut sums, sum);
        }
        sums
    }
}

/// Left plus right, point by point, as [`affine`] gives them.
pub(super) fn joined<L: Lanes>(
    left: &[Jacobian<L>],
    right: &[Jacobian<L>],
    denominators: &mut Denominators<L>,
) -> Forest<L> {
    affine(L::enter(Joined { left, right }), denominators)
}

struct Joined<'a, L> {
    left: &'a [Jacobian<L>],
    right: &'a [Jacobian<L>],
}

impl<L: Lanes> Task for Joined<'_, L> {
    type Output = Vec<Jacobian<L>>;

    #[inline(always)]
    fn run(self) -> Vec<Jacobian<L>> {
        let mut sums = Vec::with_capacity(self.left.len());
        for (left, right) in self.left.iter().zip(self.right) {
            push_reserved(&mut sums, left.add(*right));
        }
        sums
    }
}
