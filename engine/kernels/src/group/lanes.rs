//! One residue per lane: what the tree computes with, whatever the width of the machine.

use super::curve::Curve;
use super::jacobian::Jacobian;
use crate::field::{Entry, Field, Limbs};

/// One bit per lane.
pub(crate) type LaneMask = u8;

/// A piece of work on lanes. Everything it calls is inlined into it, because only the function that [`Lanes::enter`]
/// makes of it enables their instructions; so pieces are cut small enough for the compiler, whose time grows faster than
/// the length of a function.
pub(crate) trait Task {
    type Output;

    /// To be implemented with `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Appends where room was reserved. A `push` that may have to grow is a call in the loop around it.
#[inline(always)]
pub(crate) fn push_reserved<T>(list: &mut Vec<T>, item: T) {
    assert!(list.len() < list.capacity(), "room was reserved");
    list.push(item);
}

/// A vector of residues of one field.
pub(crate) trait Lanes: Copy {
    /// Lanes in one vector, at most 8.
    const COUNT: usize;
    /// A number per lane.
    type Numbers: AsRef<[Limbs]>;
    /// What [`Lanes::product`] takes.
    type Factor: Copy;
    /// What [`Lanes::product`] gives.
    type Wide: Copy;
    /// A point per lane, in a form only these lanes read.
    type Kept: AsRef<[Entry]>;

    /// Runs a piece of work as a function of its own, which enables the instructions of these lanes.
    fn enter<T: Task>(task: T) -> T::Output;
    fn one() -> Self;
    /// The same stored residue in every lane.
    fn splat(stored: &Limbs) -> Self;
    fn add(self, other: Self) -> Self;
    /// K·self for 2 ≤ K ≤ 8.
    fn times<const K: u32>(self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn sqr(self) -> Self;
    fn sub(self, other: Self) -> Self;
    /// What a product takes: numbers that need not be reduced: up to 8p beside a reduced one, up to 4p beside such another.
    fn factor(self) -> Self::Factor;
    /// self − other.
    fn minus(self, other: Self) -> Self::Factor;
    /// self + other.
    fn plus(self, other: Self) -> Self::Factor;
    /// K·self for 2 ≤ K ≤ 4.
    fn multiple<const K: u32>(self) -> Self::Factor;
    /// a·b, not yet reduced.
    fn product(a: Self::Factor, b: Self::Factor) -> Self::Wide;
    /// a², not yet reduced.
    fn square(a: Self::Factor) -> Self::Wide;
    fn reduce(wide: Self::Wide) -> Self;
    /// `wide` − Σ kᵢ·termᵢ with kᵢ of 1 or 2, together at most 4, in one reduction.
    fn reduce_minus<const N: usize>(wide: Self::Wide, terms: [(u32, Self); N]) -> Self;
    /// a − K·b for K of 1 or 8, b the product of reduced numbers, in one reduction.
    fn reduce_difference<const K: u32>(a: Self::Wide, b: Self::Wide) -> Self;
    /// The lanes that are 0 mod p.
    fn zeros(self) -> LaneMask;
    /// The lanes of a − b, as [`Lanes::minus`] gave it, that may be 0 mod p: all that are, and others once in 2^50.
    fn likely_zeros(difference: Self::Factor) -> LaneMask;
    /// 1 in the lanes of the mask, the others as they are.
    fn one_where(factor: Self::Factor, mask: LaneMask) -> Self::Factor;
    /// The inverse in every lane. None may be 0.
    fn inverse_vartime(self) -> Self;
    /// Lane i holds the point `entry(i)` gives.
    fn load<'a>(entry: impl Fn(usize) -> &'a Entry) -> (Self, Self);
    /// Lane i holds the point `entry(i)` gives, negated in the lanes of the mask.
    fn gather<'a>(entry: impl Fn(usize) -> &'a Entry, negate: LaneMask) -> (Self, Self);
    /// The point in each lane, for [`Lanes::gather`]. Its coordinates need not be below p.
    fn keep(point: (Self, Self)) -> Self::Kept;
    /// point, 2·point, 4·point, …, as many in a vector as it has lanes; at least `count`.
    fn doublings<C: Curve>(point: &Entry, count: usize) -> Vec<Jacobian<Self>>;
    /// The numbers below p.
    fn numbers(self) -> Self::Numbers;
    /// What an [`Entry`] keeps, below p.
    fn kept(self) -> Self::Numbers;
}

/// One lane of ordinary integers: what every machine can do, and the oracle of the wider ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Single<F>(pub(crate) F);

impl<F: Field> Lanes for Single<F> {
    const COUNT: usize = 1;
    type Numbers = [Limbs; 1];
    type Factor = Self;
    type Wide = Self;
    type Kept = [Entry; 1];

    #[inline(never)]
    fn enter<T: Task>(task: T) -> T::Output {
        task.run()
    }

    fn one() -> Self {
        Self(F::ONE)
    }

    #[inline(always)]
    fn splat(stored: &Limbs) -> Self {
        Self(F::from_stored(*stored))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0))
    }

    #[inline(always)]
    fn times<const K: u32>(self) -> Self {
        let double = self.0.add(self.0);
        Self(match K {
            2 => double,
            3 => double.add(self.0),
            4 => double.add(double),
            8 => double.add(double).add(double.add(double)),
            _ => (1..K).fold(self.0, |sum, _| sum.add(self.0)),
        })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0.mul(other.0))
    }

    #[inline(always)]
    fn sqr(self) -> Self {
        Self(self.0.sqr())
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0.sub(other.0))
    }

    #[inline(always)]
    fn factor(self) -> Self {
        self
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.sub(other)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.add(other)
    }

    #[inline(always)]
    fn multiple<const K: u32>(self) -> Self {
        self.times::<K>()
    }

    #[inline(always)]
    fn product(a: Self, b: Self) -> Self {
        a.mul(b)
    }

    #[inline(always)]
    fn square(a: Self) -> Self {
        a.sqr()
    }

    #[inline(always)]
    fn reduce(wide: Self) -> Self {
        wide
    }

    #[inline(always)]
    fn reduce_minus<const N: usize>(wide: Self, terms: [(u32, Self); N]) -> Self {
        terms.into_iter().fold(wide, |rest, (k, term)| rest.sub(if k == 2 { term.times::<2>() } else { term }))
    }

    #[inline(always)]
    fn reduce_difference<const K: u32>(a: Self, b: Self) -> Self {
        a.sub(if K == 8 { b.times::<8>() } else { b })
    }

    #[inline(always)]
    fn zeros(self) -> LaneMask {
        LaneMask::from(self.0.is_zero())
    }

    #[inline(always)]
    fn likely_zeros(difference: Self) -> LaneMask {
        difference.zeros()
    }

    #[inline(always)]
    fn one_where(factor: Self, mask: LaneMask) -> Self {
        if mask == 0 { factor } else { Self::one() }
    }

    fn inverse_vartime(self) -> Self {
        Self(self.0.inverse_vartime())
    }

    #[inline(always)]
    fn load<'a>(entry: impl Fn(usize) -> &'a Entry) -> (Self, Self) {
        let entry = entry(0);
        (Self(F::from_kept(entry.x)), Self(F::from_kept(entry.y)))
    }

    #[inline(always)]
    fn gather<'a>(entry: impl Fn(usize) -> &'a Entry, negate: LaneMask) -> (Self, Self) {
        let entry = entry(0);
        // Signs are as good as random: computing both and selecting costs less than a branch guessed wrongly half of
        // the time, and lets the loads of later entries start.
        let y = F::from_kept(entry.y);
        let (y, negated) = (y.stored(), y.negate().stored());
        let mask = 0_u64.wrapping_sub(u64::from(negate & 1));
        let selected = std::array::from_fn(|i| y[i] ^ ((y[i] ^ negated[i]) & mask));
        (Self(F::from_kept(entry.x)), Self(F::from_stored(selected)))
    }

    #[inline(always)]
    fn keep((x, y): (Self, Self)) -> [Entry; 1] {
        [Entry { x: x.0.kept(), y: y.0.kept() }]
    }

    fn doublings<C: Curve>(point: &Entry, count: usize) -> Vec<Jacobian<Self>> {
        let first = Jacobian::new(Self::load(|_| point));
        std::iter::successors(Some(first), |point| Some(point.double::<C>())).take(count).collect()
    }

    #[inline(always)]
    fn numbers(self) -> [Limbs; 1] {
        [self.0.to_limbs()]
    }

    #[inline(always)]
    fn kept(self) -> [Limbs; 1] {
        [self.0.kept()]
    }
}
