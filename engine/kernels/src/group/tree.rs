//! Sums of many affine points.
//!
#![doc = include_str!("../../docs/batch_affine.md")]

use super::lanes::{LaneMask, Lanes, Task, push_reserved};

/// Independent running products, so that one multiplication need not wait for the one before it.
const CHAINS_COUNT: usize = 2;

/// Rows of affine points; row i holds summand i of every signature, `vectors_count` vectors long.
pub(crate) struct Forest<L> {
    x: Vec<L>,
    y: Vec<L>,
    rows_count: usize,
    vectors_count: usize,
}

/// The denominators of one level, and which lanes met a zero among them.
pub(crate) struct Denominators<L: Lanes> {
    pub(super) steps: Steps<L>,
    /// Per vector, the lanes whose sum is meaningless: in them two equal or opposite points met, or seemed to.
    pub(crate) exceptional: Vec<LaneMask>,
}

/// Numbers that share one inversion: pushed in order, their inverses popped in the opposite one.
pub(super) struct Steps<L: Lanes> {
    chains: [L; CHAINS_COUNT],
    /// Each number and the product of those before it in its chain.
    steps: Vec<(L::Factor, L)>,
}

/// The sum of two points with different x, given 1/(x2 − x1).
#[inline(always)]
pub(super) fn add<L: Lanes>((x1, y1): (L, L), (x2, y2): (L, L), inverse: L) -> (L, L) {
    let slope = L::reduce(L::product(y2.minus(y1), inverse.factor()));
    let x3 = L::reduce_minus(L::square(slope.factor()), [(1, x1), (1, x2)]);
    (x3, L::reduce_minus(L::product(slope.factor(), x1.minus(x3)), [(1, y1)]))
}

/// The first point minus the second, given 1/(x2 − x1) as for their sum: −y2 in its formulas, with the sign of the slope
/// moved to where it costs nothing.
#[inline(always)]
pub(super) fn subtract<L: Lanes>((x1, y1): (L, L), (x2, y2): (L, L), inverse: L) -> (L, L) {
    let slope = L::reduce(L::product(y2.plus(y1), inverse.factor()));
    let x3 = L::reduce_minus(L::square(slope.factor()), [(1, x1), (1, x2)]);
    (x3, L::reduce_minus(L::product(slope.factor(), x3.minus(x1)), [(1, y1)]))
}

impl<L: Lanes> Forest<L> {
    pub(crate) fn new(rows_count: usize, vectors_count: usize) -> Self {
        debug_assert!(rows_count > 0 && vectors_count > 0);
        let length = rows_count * vectors_count;
        Self { x: Vec::with_capacity(length), y: Vec::with_capacity(length), rows_count, vectors_count }
    }

    /// The same point everywhere.
    pub(super) fn filled(rows_count: usize, vectors_count: usize, (x, y): (L, L)) -> Self {
        let length = rows_count * vectors_count;
        Self { x: vec![x; length], y: vec![y; length], rows_count, vectors_count }
    }

    /// Appends the next point, row by row.
    #[inline(always)]
    pub(crate) fn push(&mut self, (x, y): (L, L)) {
        push_reserved(&mut self.x, x);
        push_reserved(&mut self.y, y);
    }

    /// Rows and vectors in each.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows_count, self.vectors_count)
    }

    #[inline(always)]
    pub(super) fn point(&self, row: usize, vector: usize) -> (L, L) {
        let position = row * self.vectors_count + vector;
        (self.x[position], self.y[position])
    }

    #[inline(always)]
    pub(super) fn set(&mut self, row: usize, vector: usize, (x, y): (L, L)) {
        let position = row * self.vectors_count + vector;
        (self.x[position], self.y[position]) = (x, y);
    }

    /// Point of the only row that is left.
    pub(crate) fn sum(&self, vector: usize) -> (L, L) {
        debug_assert_eq!(self.rows_count, 1, "summed");
        self.point(0, vector)
    }

    /// Row i and row i + ceil(rows / 2) are a pair; a middle row without partner waits for the next level.
    #[inline(always)]
    fn split(&self) -> usize {
        self.rows_count.div_ceil(2) * self.vectors_count
    }

    /// First pass of a level: x2 − x1 of every pair into the running products.
    #[inline(always)]
    fn denominators(&self, denominators: &mut Denominators<L>) {
        let split = self.split();
        let (left, right) = self.x.split_at(split);
        for (left, right) in left.chunks_exact(self.vectors_count).zip(right.chunks_exact(self.vectors_count)) {
            for ((left, right), exceptional) in left.iter().zip(right).zip(&mut denominators.exceptional) {
                *exceptional |= denominators.steps.push_difference(*right, *left);
            }
        }
    }

    /// Second pass, last pair first, with the inverted products: the sums replace the left points.
    #[inline(always)]
    fn add_pairs(&mut self, denominators: &mut Denominators<L>) {
        let split = self.split();
        let (left_x, right_x) = self.x.split_at_mut(split);
        let (left_y, right_y) = self.y.split_at_mut(split);
        for i in (0..right_x.len()).rev() {
            let inverse = denominators.steps.pop();
            (left_x[i], left_y[i]) = add((left_x[i], left_y[i]), (right_x[i], right_y[i]), inverse);
        }
        self.x.truncate(split);
        self.y.truncate(split);
        self.rows_count = self.rows_count.div_ceil(2);
    }
}

impl<L: Lanes> Denominators<L> {
    #[inline(always)]
    pub(crate) fn new(vectors_count: usize) -> Self {
        Self { steps: Steps::new(0), exceptional: vec![0; vectors_count] }
    }
}

impl<L: Lanes> Steps<L> {
    /// Room for `count` numbers.
    #[inline(always)]
    pub(super) fn new(count: usize) -> Self {
        Self { chains: [L::one(); CHAINS_COUNT], steps: Vec::with_capacity(count) }
    }

    /// Room for `count` numbers from now on.
    #[inline(always)]
    pub(super) fn reserve(&mut self, count: usize) {
        debug_assert!(self.steps.is_empty(), "popped");
        self.steps.reserve(count);
    }

    /// Ready for the first number again, once all are popped.
    #[inline(always)]
    pub(super) fn restart(&mut self) {
        debug_assert!(self.steps.is_empty(), "popped");
        self.chains.fill(L::one());
    }

    /// Appends a number; its lanes that are 0 stand in the mask. A zero would make the product 0, and with it every other
    /// inverse, so 1 takes its place. There must be room.
    #[inline(always)]
    pub(super) fn push(&mut self, number: L::Factor, zeros: LaneMask) -> LaneMask {
        let number = L::one_where(number, zeros);
        let chain = &mut self.chains[self.steps.len() % CHAINS_COUNT];
        push_reserved(&mut self.steps, (number, *chain));
        *chain = L::reduce(L::product(chain.factor(), number));
        zeros
    }

    /// Appends a − b, and says which lanes are 0, or likely so.
    #[inline(always)]
    pub(super) fn push_difference(&mut self, a: L, b: L) -> LaneMask {
        let difference = a.minus(b);
        self.push(difference, L::likely_zeros(difference))
    }

    /// The inverse of the last number; all are inverted before the first is popped.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> L {
        let (number, before) = self.steps.pop().expect("one step per number");
        let chain = &mut self.chains[self.steps.len() % CHAINS_COUNT];
        let inverse = chain.mul(before);
        *chain = L::reduce(L::product(chain.factor(), number));
        inverse
    }

    /// Replaces every running product by its inverse, at the price of one inversion.
    #[inline(always)]
    pub(super) fn invert(&mut self) {
        let mut before = [L::one(); CHAINS_COUNT];
        let mut product = L::one();
        for (before, chain) in before.iter_mut().zip(&self.chains) {
            *before = product;
            product = product.mul(*chain);
        }
        let mut inverse = product.inverse_vartime();
        for (before, chain) in before.iter().zip(&mut self.chains).rev() {
            let inverted = inverse.mul(*before);
            inverse = inverse.mul(*chain);
            *chain = inverted;
        }
    }
}

/// One level: row i and row i + half of the rows, which are even in number, become row i.
pub(super) fn sum_pairs<L: Lanes>(forest: &mut Forest<L>, denominators: &mut Denominators<L>) {
    debug_assert!(forest.rows_count.is_multiple_of(2));
    L::enter(Level { forests: &mut [forest], denominators });
}

/// Sums each forest to one row. All levels of equal depth share an inversion.
pub(crate) fn sum_rows<L: Lanes>(forests: &mut [&mut Forest<L>], denominators: &mut Denominators<L>) {
    while forests.iter().any(|forest| forest.rows_count > 1) {
        L::enter(Level { forests, denominators });
    }
}

/// One level of each forest.
struct Level<'a, 'f, L: Lanes> {
    forests: &'a mut [&'f mut Forest<L>],
    denominators: &'a mut Denominators<L>,
}

impl<L: Lanes> Task for Level<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { forests, denominators } = self;
        let pairs_count = forests.iter().map(|forest| forest.x.len() - forest.split()).sum();
        denominators.steps.reserve(pairs_count);
        denominators.steps.restart();
        for forest in forests.iter() {
            forest.denominators(denominators);
        }
        denominators.steps.invert();
        for forest in forests.iter_mut().rev() {
            forest.add_pairs(denominators);
        }
    }
}

/// Adds the only row of `right` to the only row of `left`.
pub(crate) fn join<L: Lanes>(left: &mut Forest<L>, right: &Forest<L>, denominators: &mut Denominators<L>) {
    debug_assert!(left.rows_count == 1 && right.rows_count == 1);
    left.x.extend_from_slice(&right.x);
    left.y.extend_from_slice(&right.y);
    left.rows_count = 2;
    sum_rows(&mut [left], denominators);
}
