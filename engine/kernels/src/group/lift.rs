//! Points from their x: what a compressed key, an x-only key and a signature's r are.

use std::marker::PhantomData;

use super::curve::Curve;
use super::lanes::{LaneMask, Lanes, Task};
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
use crate::avx512::{Plain, Words};
#[cfg(target_arch = "x86_64")]
use crate::cpu::Avx512Ifma;
use crate::cpu::Width;
use crate::field::{Entry, Field, Limbs, sub_borrow};

/// What is known of a point.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// All of it.
    Point(Entry),
    /// x, a number below p or not, and which of the two y is meant.
    X { x: Limbs, y_is_odd: bool },
    /// That it is none.
    Nothing,
}

/// The points, where they exist. Those known by x alone are lifted in lanes: y is a square root, an exponentiation that
/// eight share.
pub(super) fn points<C: Curve>(width: Width, known: &[Known]) -> Vec<Option<Entry>> {
    let mut points: Vec<_> =
        known.iter().map(|known| if let Known::Point(point) = known { Some(*point) } else { None }).collect();
    let lifted: Vec<_> = known
        .iter()
        .enumerate()
        .filter_map(|(position, known)| match known {
            Known::X { x, y_is_odd } => Some((position, C::Field::from_limbs(*x)?.kept(), *y_is_odd)),
            _ => None,
        })
        .collect();
    for eight in lifted.chunks(8) {
        // Idle lanes repeat the last x; nobody reads them.
        let kept = std::array::from_fn(|lane| eight[lane.min(eight.len() - 1)].1);
        let roots = match width {
            Width::One => {
                for &(position, x, y_is_odd) in eight {
                    points[position] = C::lift_x(C::Field::from_kept(x).to_limbs(), y_is_odd);
                }
                continue;
            }
            Width::EightPlain => roots::<C, Plain>(kept),
            #[cfg(target_arch = "x86_64")]
            Width::Eight(witness) => roots_avx512::<C>(witness, kept),
            #[cfg(not(target_arch = "x86_64"))]
            Width::Eight(_) => unreachable!("only x86-64 mints the witness"),
        };
        for (&(position, x, y_is_odd), root) in eight.iter().zip(roots) {
            points[position] = root.map(|y| {
                let y = if (y[0] & 1 == 1) == y_is_odd { y } else { sub_borrow(&C::Field::PRIME, &y).0 };
                let y = C::Field::from_limbs(y).expect("y and p − y are below p: y is not 0 on a curve of odd order");
                Entry { x, y: y.kept() }
            });
        }
    }
    points
}

/// [`roots`] by the instructions, which the witness says are there.
#[cfg(target_arch = "x86_64")]
fn roots_avx512<C: Curve>(_: Avx512Ifma, x: [Limbs; 8]) -> [Option<Limbs>; 8] {
    roots::<C, Ifma>(x)
}

/// A y for each x, where there is one.
fn roots<C: Curve, W: Words>(x: [Limbs; 8]) -> [Option<Limbs>; 8] {
    let points = x.map(|x| Entry { x, y: x });
    let task = Roots { points: &points, curve: PhantomData::<C>, lanes: PhantomData::<C::Eight<W>> };
    let (roots, found) = C::Eight::<W>::enter(task);
    let mut existing = [None; 8];
    for (lane, (existing, root)) in existing.iter_mut().zip(roots.as_ref()).enumerate() {
        *existing = (found >> lane & 1 == 1).then_some(*root);
    }
    existing
}

/// The roots of x³ + ax + b and the lanes where that is a square.
struct Roots<'a, C, L> {
    /// Read for x alone.
    points: &'a [Entry; 8],
    curve: PhantomData<C>,
    lanes: PhantomData<L>,
}

impl<C: Curve, L: Lanes> Task for Roots<'_, C, L> {
    type Output = (L::Numbers, LaneMask);

    #[inline(always)]
    fn run(self) -> (L::Numbers, LaneMask) {
        let constant = |limbs| C::Field::from_limbs(limbs).expect("a coefficient is below p").stored();
        let (a, b) = (constant(C::EQUATION.0), constant(C::EQUATION.1));
        let (x, _) = L::load(|lane| &self.points[lane]);
        let square = x.sqr().add(L::splat(&a)).mul(x).add(L::splat(&b));
        let root = C::root(square);
        (root.numbers(), root.sqr().sub(square).zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::{P256, Secp256k1};
    use super::*;

    /// Every width says of every x what one lane says, beside x without a point, x ≥ p and points known already.
    fn check<C: Curve>() {
        let base = C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve");
        let mut known = vec![Known::Point(base), Known::Nothing];
        let x_of = |x, y_is_odd| Known::X { x, y_is_odd };
        known.extend((0..60).map(|x| x_of([x, 0, 0, 0], x % 3 == 0)));
        known.extend((0..9).map(|less| x_of(sub_borrow(&C::Field::PRIME, &[less, 0, 0, 0]).0, less % 2 == 0)));
        known.extend([x_of([u64::MAX; 4], false), x_of(C::GENERATOR.0, true), x_of(C::GENERATOR.0, false)]);
        let mut widths = vec![Width::EightPlain];
        widths.extend(crate::cpu::detect().avx512_ifma.map(Width::Eight));
        for count in (1..20).chain([known.len()]) {
            let known = &known[known.len() - count..];
            let one = points::<C>(Width::One, known);
            for (known, point) in known.iter().zip(&one) {
                match known {
                    Known::Point(known) => assert_eq!(*point, Some(*known)),
                    Known::X { x, y_is_odd } => assert_eq!(*point, C::lift_x(*x, *y_is_odd)),
                    Known::Nothing => assert_eq!(*point, None),
                }
            }
            for &width in &widths {
                assert_eq!(points::<C>(width, known), one);
            }
        }
        let exist = points::<C>(Width::One, &known).iter().flatten().count();
        assert!(exist > 20 && exist < known.len() - 20, "both kinds: {exist} of {}", known.len());
    }

    #[test]
    fn eight_lanes_lift_like_one() {
        check::<Secp256k1>();
        check::<P256>();
    }
}
