//! Residues mod p and mod n of both curves over [`Words`]; ranges are in the module's essay.

use std::marker::PhantomData;

use super::digits::{
    DigitPrime, MASK, P256Digits, P256OrderDigits, Secp256k1Digits, Secp256k1OrderDigits, carry, carry_unmasked,
    fold_top, product, square,
};
use super::doublings::doublings;
use super::words::Words;
use crate::field::{Entry, Field, Limbs, is_below, sub_borrow};
use crate::group::{Curve, Jacobian, LaneMask, Lanes, Task};

/// Eight residues, reduced.
#[derive(Clone, Copy)]
pub(crate) struct Residues<W, P>(pub(super) [W; 5], PhantomData<P>);

/// Eight numbers below 2^260 that only a product reads, which takes the low 52 bits of each digit: what is above them is
/// carried to the next digit and left standing.
#[derive(Clone, Copy)]
pub(crate) struct Factor<W, P>([W; 5], PhantomData<P>);

pub(crate) type Secp256k1Lanes<W> = Residues<W, Secp256k1Digits>;
pub(crate) type P256Lanes<W> = Residues<W, P256Digits>;
pub(crate) type Secp256k1OrderLanes<W> = Residues<W, Secp256k1OrderDigits>;
pub(crate) type P256OrderLanes<W> = Residues<W, P256OrderDigits>;

/// Limbs 0 to 3 of x and of y of eight entries.
#[inline(always)]
fn transposed<'a, W: Words>(entry: impl Fn(usize) -> &'a Entry) -> [W; 8] {
    let mut rows = [W::splat(0); 8];
    for (lane, row) in rows.iter_mut().enumerate() {
        *row = W::from_array(*entry(lane).words());
    }
    W::transpose(rows)
}

/// Out of line, or debug builds of everything above it grow beyond measure.
#[cfg(debug_assertions)]
#[inline(never)]
fn assert_reduced<W: Words>(digits: [W; 5]) {
    let digits = digits.map(W::to_array);
    for lane in 0..8 {
        let [d0, d1, d2, d3, d4] = digits.map(|digit| digit[lane]);
        assert!(d0.max(d1).max(d2).max(d3) <= MASK && d4 <= 1 << 49, "reduced: {d0:x} {d1:x} {d2:x} {d3:x} {d4:x}");
    }
}

/// A function of residues, inlined where [`Words::INLINED`], called otherwise.
macro_rules! function {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($argument: $type),*) -> $result {
            #[inline(always)]
            fn here<W: Words, P: DigitPrime>($($argument: $type),*) -> $result $body
            #[inline(never)]
            fn apart<W: Words, P: DigitPrime>($($argument: $type),*) -> $result {
                here::<W, P>($($argument),*)
            }
            if W::INLINED { here::<W, P>($($argument),*) } else { apart::<W, P>($($argument),*) }
        }
    };
}
pub(super) use function;

impl<W: Words, P: DigitPrime> Residues<W, P> {
    function! {
        /// a·b.
        multiplied(a: Residues<W, P>, b: Residues<W, P>) -> Residues<W, P> {
            Residues::reduced(P::reduce(product(&a.0, &b.0)))
        }
    }

    function! {
        /// a².
        squared(a: Residues<W, P>) -> Residues<W, P> {
            Residues::reduced(P::reduce(square(&a.0)))
        }
    }

    function! {
        /// a·b.
        columns_of_product(a: [W; 5], b: [W; 5]) -> [W; 10] {
            product(&a, &b)
        }
    }

    function! {
        /// a².
        columns_of_square(a: [W; 5]) -> [W; 10] {
            square(&a)
        }
    }

    function! {
        /// The residue of a product.
        of_columns(columns: [W; 10]) -> Residues<W, P> {
            Residues::reduced(P::reduce(columns))
        }
    }

    function! {
        /// The residue of columns with terms added, none negative, and the whole up to 2^520.
        of_large_columns(columns: [W; 10]) -> Residues<W, P> {
            Residues::of_large_quotient(P::reduce(columns))
        }
    }

    function! {
        /// The same where some columns may be negative, the whole not.
        of_signed_columns(columns: [W; 10]) -> Residues<W, P> {
            Residues::of_large_quotient(P::reduce_signed(columns))
        }
    }

    /// One modulus folds whatever comes; the others divide, and their quotient may be a few times p.
    #[inline(always)]
    fn of_large_quotient(digits: [W; 5]) -> Self {
        if P::SHIFT == 0 { Self::reduced(digits) } else { Self::reduced(fold_top::<W, P>(digits)) }
    }

    function! {
        /// a − b, to be multiplied.
        less(a: Residues<W, P>, b: Residues<W, P>) -> Factor<W, P> {
            let mut difference = a.0;
            for ((digit, other), p) in difference.iter_mut().zip(b.0).zip(P::P) {
                *digit = digit.sub(other).add(W::splat(2 * p));
            }
            Factor(carry_unmasked(difference), PhantomData)
        }
    }

    function! {
        /// a + b.
        sum(a: Residues<W, P>, b: Residues<W, P>) -> Residues<W, P> {
            let mut sum = a.0;
            for (digit, other) in sum.iter_mut().zip(b.0) {
                *digit = digit.add(other);
            }
            Residues::folded(sum)
        }
    }

    function! {
        /// a − b.
        difference(a: Residues<W, P>, b: Residues<W, P>) -> Residues<W, P> {
            // Loops, not closures: a closure is a function of its own, without the features of the one it stands in.
            let mut difference = a.0;
            for ((digit, other), p) in difference.iter_mut().zip(b.0).zip(P::P) {
                *digit = digit.sub(other).add(W::splat(2 * p));
            }
            Residues::folded(difference)
        }
    }

    function! {
        /// The residue of uncarried digits, a number in 0..64·2^256.
        folded(digits: [W; 5]) -> Residues<W, P> {
            Residues::reduced(fold_top::<W, P>(carry(digits)))
        }
    }

    function! {
        /// Digits of numbers below 2^256, limb by limb.
        unpacked(limbs: [W; 4]) -> Residues<W, P> {
            let ([l0, l1, l2, l3], mask) = (limbs, W::splat(MASK));
            Residues::reduced([
                l0.and(mask),
                l0.shift_right_logical::<52>().or(l1.shift_left::<12>()).and(mask),
                l1.shift_right_logical::<40>().or(l2.shift_left::<24>()).and(mask),
                l2.shift_right_logical::<28>().or(l3.shift_left::<36>()).and(mask),
                l3.shift_right_logical::<16>(),
            ])
        }
    }

    function! {
        /// What [`Residues::unpacked`] reads: the same residues, in limbs.
        packed(a: Residues<W, P>) -> [W; 4] {
            // A value in 2^256..2p becomes one below p, any other stays.
            let [d0, d1, d2, d3, d4] = fold_top::<W, P>(a.0);
            [
                d0.or(d1.shift_left::<52>()),
                d1.shift_right_logical::<12>().or(d2.shift_left::<40>()),
                d2.shift_right_logical::<24>().or(d3.shift_left::<28>()),
                d3.shift_right_logical::<36>().or(d4.shift_left::<16>()),
            ]
        }
    }

    function! {
        /// Stored residues, limb by limb.
        from_limbs(limbs: [W; 4]) -> Residues<W, P> {
            if P::SHIFT == 0 {
                return Residues::unpacked(limbs);
            }
            const { assert!(P::SHIFT == 0 || P::SHIFT == 4, "the digits below are cut for these") };
            let ([l0, l1, l2, l3], mask) = (limbs, W::splat(MASK));
            Residues::reduced(fold_top::<W, P>([
                l0.shift_left::<4>().and(mask),
                l0.shift_right_logical::<48>().or(l1.shift_left::<16>()).and(mask),
                l1.shift_right_logical::<36>().or(l2.shift_left::<28>()).and(mask),
                l2.shift_right_logical::<24>().or(l3.shift_left::<40>()).and(mask),
                l3.shift_right_logical::<12>(),
            ]))
        }
    }

    /// Eight stored residues.
    #[inline(always)]
    fn from_stored(stored: &[Limbs; 8]) -> Self {
        let mut rows = [W::splat(0); 8];
        for (row, [l0, l1, l2, l3]) in rows.iter_mut().zip(stored) {
            *row = W::from_array([*l0, *l1, *l2, *l3, 0, 0, 0, 0]);
        }
        let [l0, l1, l2, l3, ..] = W::transpose(rows);
        Self::from_limbs([l0, l1, l2, l3])
    }

    /// Lane i holds what lane `from[i]` held.
    #[inline(always)]
    pub(super) fn permuted(mut self, from: [u64; 8]) -> Self {
        for digit in &mut self.0 {
            *digit = digit.permute(from);
        }
        self
    }

    /// `other` in the lanes of the mask.
    #[inline(always)]
    pub(super) fn replaced(mut self, mask: LaneMask, other: Self) -> Self {
        for (digit, other) in self.0.iter_mut().zip(other.0) {
            *digit = digit.replace(mask, other);
        }
        self
    }

    /// −self in the lanes of the mask. No lane may be 0.
    #[inline(always)]
    fn negated_where(self, mask: LaneMask) -> Self {
        let mut digits = self.0;
        for (digit, p) in digits.iter_mut().zip(P::P) {
            *digit = digit.replace(mask, W::splat(2 * p).sub(*digit));
        }
        Self::reduced(carry(digits))
    }

    #[inline(always)]
    pub(super) fn reduced(digits: [W; 5]) -> Self {
        #[cfg(debug_assertions)]
        assert_reduced(digits);
        Self(digits, PhantomData)
    }
}

/// The inverses of eight stored residues x·2^`shift`, likewise stored, with one inversion. None may be 0.
fn inverses<F: Field>(kept: &[Limbs; 8], shift: u32) -> [Limbs; 8] {
    let mut before = [F::ONE; 8];
    let mut product = F::ONE;
    for (before, kept) in before.iter_mut().zip(kept) {
        *before = product;
        product = product.mul(F::from_stored(*kept));
    }
    // A lane counts as x·2^shift and its inverse as x^−1·2^−shift; `from_stored` takes x^−1.
    let scale = (0..shift).fold(F::ONE, |power, _| power.add(power));
    let mut inverse = product.inverse_vartime().mul(scale);
    let mut inverted = [[0; 4]; 8];
    for lane in (0..8).rev() {
        inverted[lane] = inverse.mul(before[lane]).stored();
        inverse = inverse.mul(F::from_stored(kept[lane]));
    }
    inverted
}

impl<W: Words, P: DigitPrime> Lanes for Residues<W, P> {
    const COUNT: usize = 8;
    type Numbers = [Limbs; 8];
    type Factor = Factor<W, P>;
    type Wide = [W; 10];
    type Kept = [Entry; 8];

    #[inline(always)]
    fn enter<T: Task>(task: T) -> T::Output {
        W::enter(task)
    }

    #[inline(always)]
    fn one() -> Self {
        Self::splat(&P::Field::ONE.stored())
    }

    #[inline(always)]
    fn splat(stored: &Limbs) -> Self {
        let [l0, l1, l2, l3] = *stored;
        Self::from_limbs([W::splat(l0), W::splat(l1), W::splat(l2), W::splat(l3)])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::sum(self, other)
    }

    #[inline(always)]
    fn times<const K: u32>(self) -> Self {
        const { assert!(2 <= K && K <= 8, "the fold takes 16·2^256") };
        let mut product = self.0;
        for digit in &mut product {
            let one = *digit;
            *digit = match K {
                2 => one.shift_left::<1>(),
                4 => one.shift_left::<2>(),
                8 => one.shift_left::<3>(),
                _ => {
                    let mut sum = one;
                    for _ in 1..K {
                        sum = sum.add(one);
                    }
                    sum
                }
            };
        }
        Self::folded(product)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::multiplied(self, other)
    }

    #[inline(always)]
    fn sqr(self) -> Self {
        Self::squared(self)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::difference(self, other)
    }

    #[inline(always)]
    fn factor(self) -> Factor<W, P> {
        Factor(self.0, PhantomData)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Factor<W, P> {
        Self::less(self, other)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Factor<W, P> {
        let mut sum = self.0;
        for (digit, other) in sum.iter_mut().zip(other.0) {
            *digit = digit.add(other);
        }
        Factor(carry_unmasked(sum), PhantomData)
    }

    #[inline(always)]
    fn multiple<const K: u32>(self) -> Factor<W, P> {
        const { assert!(2 <= K && K <= 4, "up to 8p, and 3 if the other factor is as large") };
        let mut multiple = self.0;
        for digit in &mut multiple {
            let one = *digit;
            *digit = match K {
                2 => one.add(one),
                3 => one.add(one).add(one),
                _ => one.shift_left::<2>(),
            };
        }
        Factor(carry_unmasked(multiple), PhantomData)
    }

    #[inline(always)]
    fn product(a: Factor<W, P>, b: Factor<W, P>) -> [W; 10] {
        Self::columns_of_product(a.0, b.0)
    }

    #[inline(always)]
    fn square(a: Factor<W, P>) -> [W; 10] {
        Self::columns_of_square(a.0)
    }

    #[inline(always)]
    fn reduce(wide: [W; 10]) -> Self {
        Self::of_columns(wide)
    }

    #[inline(always)]
    fn reduce_minus<const N: usize>(mut wide: [W; 10], terms: [(u32, Self); N]) -> Self {
        // Where products divide by 2^260, what is added to the quotient is added five columns up.
        let start = if P::SHIFT == 0 { 0 } else { 5 };
        for (k, term) in terms {
            for i in 0..5 {
                let digit = if k == 2 { term.0[i].add(term.0[i]) } else { term.0[i] };
                // No digit of a reduced number exceeds that of 4p.
                wide[start + i] = wide[start + i].sub(digit).add(W::splat(4 * u64::from(k) * P::P[i]));
            }
        }
        Self::of_large_columns(wide)
    }

    #[inline(always)]
    fn reduce_difference<const K: u32>(mut a: [W; 10], b: [W; 10]) -> Self {
        const { assert!(K == 1 || K == 8, "8·(2p)² is what the multiple of p below exceeds") };
        for i in 0..10 {
            a[i] = a[i].sub(if K == 8 { b[i].shift_left::<3>() } else { b[i] });
        }
        // 2^262·p > 8·(2p)².
        for i in 0..5 {
            a[5 + i] = a[5 + i].add(W::splat(4 * P::P[i]));
        }
        Self::of_signed_columns(a)
    }

    #[inline(always)]
    fn zeros(self) -> LaneMask {
        let [d0, d1, d2, d3, d4] = self.0;
        let mut from_p = self.0;
        for (digit, p) in from_p.iter_mut().zip(P::P) {
            *digit = digit.xor(W::splat(p));
        }
        let [e0, e1, e2, e3, e4] = from_p;
        d0.or(d1).or(d2).or(d3).or(d4).zeros() | e0.or(e1).or(e2).or(e3).or(e4).zeros()
    }

    #[inline(always)]
    fn likely_zeros(Factor([d0, ..], _): Factor<W, P>) -> LaneMask {
        // a − b + 2p is above 0 and below 4p, so it is 0 mod p where it is p, 2p or 3p; digit 0 tells, but for 2^-50.
        let (digit, low) = (d0.and(W::splat(MASK)), |k: u64| (k * P::P[0]) & MASK);
        digit.equal(low(1)) | digit.equal(low(2)) | digit.equal(low(3))
    }

    #[inline(always)]
    fn one_where(factor: Factor<W, P>, mask: LaneMask) -> Factor<W, P> {
        if mask == 0 {
            return factor;
        }
        let mut digits = factor.0;
        for (digit, one) in digits.iter_mut().zip(Self::one().0) {
            *digit = digit.replace(mask, one);
        }
        Factor(digits, PhantomData)
    }

    #[inline(always)]
    fn inverse_vartime(self) -> Self {
        Self::from_stored(&inverses::<P::Field>(&self.kept(), P::SHIFT))
    }

    #[inline(always)]
    fn load<'a>(entry: impl Fn(usize) -> &'a Entry) -> (Self, Self) {
        let [x0, x1, x2, x3, y0, y1, y2, y3] = transposed(entry);
        (Self::unpacked([x0, x1, x2, x3]), Self::unpacked([y0, y1, y2, y3]))
    }

    #[inline(always)]
    fn gather<'a>(entry: impl Fn(usize) -> &'a Entry, negate: LaneMask) -> (Self, Self) {
        let (x, y) = Self::load(entry);
        (x, y.negated_where(negate))
    }

    #[inline(always)]
    fn keep((x, y): (Self, Self)) -> [Entry; 8] {
        let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = (Self::packed(x), Self::packed(y));
        let rows = W::transpose([x0, x1, x2, x3, y0, y1, y2, y3]);
        let mut kept = [Entry { x: [0; 4], y: [0; 4] }; 8];
        for (kept, row) in kept.iter_mut().zip(rows) {
            let [x0, x1, x2, x3, y0, y1, y2, y3] = row.to_array();
            *kept = Entry { x: [x0, x1, x2, x3], y: [y0, y1, y2, y3] };
        }
        kept
    }

    #[inline(always)]
    fn doublings<C: Curve>(point: &Entry, count: usize) -> Vec<Jacobian<Self>> {
        doublings(Self::load(|_| point), C::A_IS_MINUS_THREE, count)
    }

    #[inline(always)]
    fn numbers(self) -> [Limbs; 8] {
        if P::SHIFT == 0 {
            return self.kept();
        }
        // A product with 1, which divides by 2^260.
        let zero = W::splat(0);
        self.mul(Self::reduced([W::splat(1), zero, zero, zero, zero])).kept()
    }

    #[inline(always)]
    fn kept(self) -> [Limbs; 8] {
        let mut digits = [[0; 8]; 5];
        for (array, digit) in digits.iter_mut().zip(self.0) {
            *array = digit.to_array();
        }
        let mut kept = [[0; 4]; 8];
        for (lane, kept) in kept.iter_mut().enumerate() {
            let [d0, d1, d2, d3, d4] =
                [digits[0][lane], digits[1][lane], digits[2][lane], digits[3][lane], digits[4][lane]];
            let limbs = [d0 | d1 << 52, d1 >> 12 | d2 << 40, d2 >> 24 | d3 << 28, d3 >> 36 | d4 << 16];
            // The value is below 2p and may pass 2^256 by one bit, which the subtraction takes with it.
            let (less, below) = sub_borrow(&limbs, &P::Field::PRIME);
            *kept = if d4 >> 48 == 0 && below { limbs } else { less };
            debug_assert!(is_below(kept, &P::Field::PRIME), "reduced");
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::super::digits::digits;
    use super::super::words::Plain;
    use super::*;

    /// Stored residues where carries start or stop, and p − 1 and its neighbours.
    fn interesting<F: Field>() -> Vec<Limbs> {
        let mut residues = vec![[0; 4], [1, 0, 0, 0], [2, 0, 0, 0]];
        for distance in 1..4 {
            residues.push(sub_borrow(&F::PRIME, &[distance, 0, 0, 0]).0);
        }
        // Digits 0, 1 and 2^52 − 1 in each place between the same.
        for place in 0..5 {
            for digit in [0, 1, MASK] {
                for rest in [0, 1, MASK] {
                    let mut d = [rest; 5];
                    d[place] = digit;
                    let limbs =
                        [d[0] | d[1] << 52, d[1] >> 12 | d[2] << 40, d[2] >> 24 | d[3] << 28, d[3] >> 36 | d[4] << 16];
                    residues.push(if is_below(&limbs, &F::PRIME) { limbs } else { sub_borrow(&limbs, &F::PRIME).0 });
                }
            }
        }
        let mut state = F::from_stored([3, 1, 4, 1]);
        for _ in 0..40 {
            state = state.sqr().add(F::ONE);
            residues.push(state.stored());
        }
        residues
    }

    /// The same residues, p larger in the lanes of the mask: the upper end of what counts as reduced.
    fn raised<W: Words, P: DigitPrime>(residues: Residues<W, P>, mask: LaneMask) -> Residues<W, P> {
        let mut raised = [[0; 8]; 5];
        for (lane, kept) in residues.kept().into_iter().enumerate() {
            let raise = if mask >> lane & 1 == 1 { P::P } else { [0; 5] };
            let mut carry = 0;
            for (place, (digit, p)) in digits(&kept).into_iter().zip(raise).enumerate() {
                let sum = digit + p + carry;
                (raised[place][lane], carry) = if place == 4 { (sum, 0) } else { (sum & MASK, sum >> 52) };
            }
        }
        Residues::reduced(raised.map(W::from_array))
    }

    fn check<W: Words, P: DigitPrime>() {
        let residues = &interesting::<P::Field>();
        let field = P::Field::from_stored;
        let at = |start: usize, step: usize| {
            let stored = move |lane| residues[(start + step * lane) % residues.len()];
            (Residues::<W, P>::from_stored(&std::array::from_fn(stored)), stored)
        };
        let (mut others_count, mut unlikely_count) = (0, 0);
        for start in 0..residues.len() {
            for step in 0..residues.len() {
                let (a, a_at) = at(start, 1);
                let (b, b_at) = at(step, start + 1);
                let (a, b) = (raised(a, 0b1100_1100), raised(b, 0b1010_1010));
                let results = [
                    (a.mul(b), "·"),
                    (a.sub(b), "−"),
                    (a.sqr(), "²"),
                    (Lanes::reduce(Residues::product(a.minus(b), b.minus(a))), "(a − b)(b − a)"),
                    (Lanes::reduce(Residues::product(a.plus(b), a.minus(b))), "(a + b)(a − b)"),
                    (Lanes::reduce(Residues::product(a.multiple::<3>(), b.factor())), "3a·b"),
                    (Lanes::reduce(Residues::product(a.multiple::<4>(), b.factor())), "4a·b"),
                    (Lanes::reduce(Residues::product(a.multiple::<2>(), b.multiple::<2>())), "2a·2b"),
                    (Lanes::reduce_minus(Residues::square(a.minus(b)), [(1, b), (2, a)]), "(a − b)² − b − 2a"),
                    (Lanes::reduce_minus(Residues::square(a.factor()), [(2, b)]), "a² − 2b"),
                    (
                        Residues::reduce_difference::<8>(Residues::square(a.factor()), Residues::square(b.factor())),
                        "a² − 8b²",
                    ),
                    (
                        Residues::reduce_difference::<1>(
                            Residues::product(a.minus(b), a.minus(b)),
                            Residues::product(a.factor(), b.factor()),
                        ),
                        "(a − b)² − ab",
                    ),
                    // Chains, whose intermediate values are not canonical.
                    (a.sub(b).sub(b).mul(b.sub(a)), "(a − 2b)(b − a)"),
                ];
                let numbers = results.map(|(result, what)| (result.numbers(), Lanes::kept(result), what));
                for lane in 0..8 {
                    let (x, y) = (field(a_at(lane)), field(b_at(lane)));
                    let (difference, twice) = (x.sub(y), |z: P::Field| z.add(z));
                    let (product, eight_squares) = (x.mul(y), twice(twice(twice(y.sqr()))));
                    let expected = [
                        product,
                        difference,
                        x.sqr(),
                        difference.mul(y.sub(x)),
                        x.sqr().sub(y.sqr()),
                        product.add(twice(product)),
                        twice(twice(product)),
                        twice(twice(product)),
                        difference.sqr().sub(y).sub(twice(x)),
                        x.sqr().sub(twice(y)),
                        x.sqr().sub(eight_squares),
                        difference.sqr().sub(product),
                        x.sub(y).sub(y).mul(y.sub(x)),
                    ];
                    for ((number, kept, what), expected) in numbers.iter().zip(expected) {
                        assert_eq!(number[lane], expected.to_limbs(), "{what} in lane {lane}");
                        assert_eq!(kept[lane], expected.kept(), "{what} in lane {lane}, kept");
                    }
                    let equal = LaneMask::from(x == y);
                    assert_eq!(a.sub(b).zeros() >> lane & 1, equal, "zero test in lane {lane}");
                    let likely = Residues::<W, P>::likely_zeros(a.minus(b)) >> lane & 1;
                    assert!(likely >= equal, "a zero that is not likely, in lane {lane}");
                    others_count += u32::from(equal == 0);
                    unlikely_count += u32::from(likely == 0);
                    assert_eq!(b.sub(a).sub(b.sub(a)).zeros() >> lane & 1, 1, "0 of another form");
                }
            }
            let (a, a_at) = at(start, 3);
            let safe = Residues::<W, P>::one_where(a.factor(), a.zeros());
            let safe = <Residues<W, P> as Lanes>::reduce(Residues::product(safe, Residues::one().factor()));
            let inverse = safe.inverse_vartime();
            for lane in 0..8 {
                let x = field(a_at(lane));
                let x = if x.is_zero() { P::Field::ONE } else { x };
                assert_eq!(safe.numbers()[lane], x.to_limbs(), "1 in the lanes that were 0");
                assert_eq!(inverse.numbers()[lane], x.inverse_vartime().to_limbs(), "inverse in lane {lane}");
            }
        }
        // Many of these numbers differ in an upper digit only, as random ones do once in 2^50.
        assert!(unlikely_count > others_count / 2, "{unlikely_count} of {others_count}");
    }

    #[test]
    fn eight_lanes_agree_with_one() {
        check::<Plain, Secp256k1Digits>();
        check::<Plain, P256Digits>();
        check::<Plain, Secp256k1OrderDigits>();
        check::<Plain, P256OrderDigits>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instructions_agree_with_one_lane_where_they_exist() {
        if crate::cpu::detect().avx512_ifma.is_some() {
            check::<super::super::words::Ifma, Secp256k1Digits>();
            check::<super::super::words::Ifma, P256Digits>();
            check::<super::super::words::Ifma, Secp256k1OrderDigits>();
            check::<super::super::words::Ifma, P256OrderDigits>();
        }
    }
}
