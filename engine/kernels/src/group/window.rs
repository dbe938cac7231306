//! b·Q for keys without a table.
//!
#![doc = include_str!("../../docs/window.md")]

use std::marker::PhantomData;

use super::curve::Curve;
use super::jacobian::Jacobian;
use super::lanes::{Lanes, Task, push_reserved};
use super::recode::{Digits, LaneDigits};
use super::tree::{Denominators, Forest, add, sum_pairs};
use crate::field::{Entry, Field};

/// Bits per window: 16 odd multiples per key. One bit more would cost 16 more additions per key and save 4 windows.
pub(super) const WINDOW_BITS: usize = 5;
const MULTIPLES_COUNT: usize = 1 << (WINDOW_BITS - 1);

/// A coefficient of the curve's equation, in every lane.
#[inline(always)]
fn coefficient_a<C: Curve, L: Lanes>() -> L {
    L::splat(&C::Field::from_limbs(C::EQUATION.0).expect("a coefficient is below p").stored())
}

/// 1/(2y)·(3x² + a) is the slope of the tangent; given 1/(2y), the point doubled.
#[inline(always)]
fn tangent<L: Lanes>((x, y): (L, L), a: L, inverse: L) -> (L, L) {
    let slope = x.sqr().times::<3>().add(a).mul(inverse);
    let x3 = slope.sqr().sub(x.times::<2>());
    (x3, slope.mul(x.sub(x3)).sub(y))
}

/// Q, 3·Q, … 31·Q of every lane of every vector, as kept. Doubling k turns m known odd multiples into 2m by adding 2m·Q
/// to each, and all vectors share the inversion of each of these rounds.
struct OddMultiples<'a, C, L: Lanes> {
    points: Vec<(L, L)>,
    denominators: &'a mut Denominators<L>,
    curve: PhantomData<C>,
}

impl<C: Curve, L: Lanes> Task for OddMultiples<'_, C, L> {
    /// [`MULTIPLES_COUNT`] per vector.
    type Output = Vec<L::Kept>;

    #[inline(always)]
    fn run(self) -> Vec<L::Kept> {
        let Self { points: mut powers, denominators: Denominators { steps, exceptional }, .. } = self;
        let a = coefficient_a::<C, L>();
        let mut multiples = Vec::with_capacity(powers.len() * MULTIPLES_COUNT);
        for point in &powers {
            for _ in 0..MULTIPLES_COUNT {
                push_reserved(&mut multiples, *point);
            }
        }
        // The most of a round: the last, which adds to half of the multiples.
        steps.reserve(powers.len() * MULTIPLES_COUNT / 2);
        for round in 0..WINDOW_BITS {
            // Round 0 only doubles Q, the last one only adds.
            let (known, last) = (if round == 0 { 0 } else { 1 << (round - 1) }, round + 1 == WINDOW_BITS);
            steps.restart();
            for (vector, (power, multiples)) in powers.iter().zip(multiples.chunks_exact(MULTIPLES_COUNT)).enumerate() {
                for (x, _) in &multiples[..known] {
                    exceptional[vector] |= steps.push_difference(power.0, *x);
                }
                if !last {
                    exceptional[vector] |= steps.push(power.1.multiple::<2>(), power.1.zeros());
                }
            }
            steps.invert();
            for (power, multiples) in powers.iter_mut().zip(multiples.chunks_exact_mut(MULTIPLES_COUNT)).rev() {
                let next = if last { *power } else { tangent(*power, a, steps.pop()) };
                for index in (0..known).rev() {
                    multiples[known + index] = add(multiples[index], *power, steps.pop());
                }
                *power = next;
            }
        }
        let mut kept = Vec::with_capacity(multiples.len());
        for multiple in &multiples {
            push_reserved(&mut kept, L::keep(*multiple));
        }
        kept
    }
}

/// b·Q with b in parts: Q times the first, and λ·Q times the second where the curve has a λ.
pub(super) struct Product {
    pub(super) point: Entry,
    pub(super) parts: [Digits; 2],
}

/// The multiple of the key for each window of each part, window by window.
struct Picked<'a, C, L: Lanes, F> {
    kept: &'a [L::Kept],
    /// Vector and lane to product.
    product: &'a F,
    curve: PhantomData<C>,
}

/// Parts of a scalar.
const fn parts_count<C: Curve>() -> usize {
    if C::BETA.is_some() { 2 } else { 1 }
}

impl<'p, C: Curve, L: Lanes, F: Fn(usize, usize) -> &'p Product> Task for Picked<'_, C, L, F> {
    type Output = Forest<L>;

    #[inline(always)]
    fn run(self) -> Forest<L> {
        let Self { kept, product, .. } = self;
        let vectors_count = kept.len() / MULTIPLES_COUNT;
        let rows_count = parts_count::<C>() * C::WINDOWS_COUNT;
        let mut rows = Forest::new(rows_count, vectors_count);
        let mut scalars = Vec::with_capacity(parts_count::<C>() * vectors_count);
        for part in 0..parts_count::<C>() {
            for vector in 0..vectors_count {
                push_reserved(
                    &mut scalars,
                    LaneDigits::new(
                        L::COUNT,
                        #[inline(always)]
                        |lane| &product(vector, lane).parts[part],
                    ),
                );
            }
        }
        for (part, scalars) in scalars.chunks_exact(vectors_count).enumerate() {
            for window in 0..C::WINDOWS_COUNT {
                for (scalars, kept) in scalars.iter().zip(kept.chunks_exact(MULTIPLES_COUNT)) {
                    let (indices, negate) = scalars.window(L::COUNT, window);
                    let (x, y) = L::gather(
                        #[inline(always)]
                        |lane| &kept[indices[lane]].as_ref()[lane],
                        negate,
                    );
                    match C::BETA {
                        Some(beta) if part == 1 => rows.push((x.mul(L::splat(&beta)), y)),
                        _ => rows.push((x, y)),
                    }
                }
            }
        }
        rows
    }
}

/// Horner's rule over one row per window.
struct Horner<'a, C, L> {
    rows: &'a Forest<L>,
    vectors_count: usize,
    curve: PhantomData<C>,
}

impl<C: Curve, L: Lanes> Task for Horner<'_, C, L> {
    type Output = Vec<Jacobian<L>>;

    #[inline(always)]
    fn run(self) -> Vec<Jacobian<L>> {
        let mut sums = Vec::with_capacity(self.vectors_count);
        for vector in 0..self.vectors_count {
            let mut sum = Jacobian::new(self.rows.point(C::WINDOWS_COUNT - 1, vector));
            for window in (0..C::WINDOWS_COUNT - 1).rev() {
                for _ in 0..WINDOW_BITS {
                    sum = sum.double::<C>();
                }
                sum = sum.add_affine(self.rows.point(window, vector));
            }
            push_reserved(&mut sums, sum);
        }
        sums
    }
}

/// b·Q of every lane: vector i holds the products `product(8·i)` and following. Lanes that turn exceptional have no
/// meaningful one.
#[inline(always)]
pub(super) fn products<'p, C: Curve, L: Lanes>(
    count: usize,
    product: impl Fn(usize) -> &'p Product,
    denominators: &mut Denominators<L>,
) -> Vec<Jacobian<L>> {
    // The last vector's idle lanes repeat the last product; nobody reads them.
    let in_lane = |vector: usize, lane: usize| product((vector * L::COUNT + lane).min(count - 1));
    let vectors_count = count.div_ceil(L::COUNT);
    let mut points = Vec::with_capacity(vectors_count);
    for vector in 0..vectors_count {
        push_reserved(&mut points, L::load(|lane| &in_lane(vector, lane).point));
    }
    let curve = PhantomData::<C>;
    let kept = L::enter(OddMultiples { points, denominators, curve });
    let mut rows = L::enter(Picked { kept: &kept, product: &in_lane, curve });
    if parts_count::<C>() == 2 {
        sum_pairs(&mut rows, denominators);
    }
    L::enter(Horner { rows: &rows, vectors_count, curve })
}
