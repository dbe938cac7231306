//! a·G + b·Q for many (a, b, Q) at a time.

use super::curve::Curve;
use super::jacobian::{Jacobian, accumulated, affine, joined};
use super::lanes::{Lanes, Single, push_reserved};
use super::recode::{Digits, LaneDigits, windows_count};
use super::table::{GENERATOR_WINDOW_BITS, Table};
use super::tree::{Denominators, Forest, join, sum_rows};
use super::window::{Product, products};
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
use crate::avx512::Plain;
#[cfg(target_arch = "x86_64")]
use crate::cpu::Avx512Ifma;
use crate::cpu::{Width, prefetch};
use crate::field::{Entry, Limbs};

/// Signatures summed together. In one lane 64: their trees, about 5 KiB each, stay in the second-level cache. In eight
/// lanes an inversion is a larger part, so more share it; 256 would gain nothing more and take the caches of others.
const fn chunk_terms_count(width: Width) -> usize {
    match width {
        Width::One => 64,
        Width::EightPlain | Width::Eight(_) => 128,
    }
}

/// Table entries asked for ahead of their use: tables live in the third-level cache at best.
const ENTRIES_AHEAD_COUNT: usize = 64;

/// Sums the terms, each with the position it stands for; see [`sums`].
pub(super) fn for_each_sum<C: Curve, K: ByKey<C>>(
    width: Width,
    terms: &[(usize, Term<K>)],
    mut take: impl FnMut(usize, Option<(Limbs, Limbs)>),
) {
    let generator = C::tables().generator(width);
    for chunk in terms.chunks(chunk_terms_count(width)) {
        let sums = match width {
            #[cfg(target_arch = "x86_64")]
            Width::Eight(witness) => sums_avx512(witness, chunk, generator),
            Width::EightPlain => sums::<C, C::Eight<Plain>, K>(chunk, generator),
            _ => sums::<C, Single<C::Field>, K>(chunk, generator),
        };
        for ((position, _), sum) in chunk.iter().zip(sums) {
            take(*position, sum);
        }
    }
}

/// a·G + b·Q, recoded.
pub(super) struct Term<K> {
    pub(super) by_generator: Digits,
    pub(super) by_key: K,
}

/// b·Q, in one of the two ways to get it.
pub(super) trait ByKey<C: Curve>: Sized {
    /// Vectors that are summed point by point: as many as the divisions of a tree, one per level, cost more than its
    /// additions save.
    const FEW_VECTORS_COUNT: usize;

    /// b·Q of every term, as rows whose sum it is.
    fn rows<L: Lanes>(terms: &[(usize, Term<Self>)], denominators: &mut Denominators<L>) -> Forest<L>;
    /// b·Q of every term, where they are few.
    fn points<L: Lanes>(terms: &[(usize, Term<Self>)], denominators: &mut Denominators<L>) -> Vec<Jacobian<L>>;
}

/// b·Q of a key that has a table. Terms that are summed together have tables with equal windows.
pub(super) struct Comb<'t, C> {
    pub(super) digits: Digits,
    pub(super) table: &'t Table<C>,
}

impl<C: Curve> ByKey<C> for Comb<'_, C> {
    /// In eight lanes two vectors in a tree take 0.88 of the time, one 1.3.
    const FEW_VECTORS_COUNT: usize = 1;

    #[inline(always)]
    fn rows<L: Lanes>(terms: &[(usize, Term<Self>)], _: &mut Denominators<L>) -> Forest<L> {
        let window_bits = terms[0].1.by_key.table.window_bits();
        debug_assert!(terms.iter().all(|(_, term)| term.by_key.table.window_bits() == window_bits));
        gathered(
            terms.len(),
            windows_count(window_bits),
            #[inline(always)]
            |term| &terms[term].1.by_key.digits,
            #[inline(always)]
            |term, row, index| terms[term].1.by_key.table.entry(row, index),
        )
    }

    #[inline(always)]
    fn points<L: Lanes>(terms: &[(usize, Term<Self>)], denominators: &mut Denominators<L>) -> Vec<Jacobian<L>> {
        accumulated(&<Self as ByKey<C>>::rows(terms, denominators))
    }
}

impl<C: Curve> ByKey<C> for Product {
    /// Here only u1·G would be a tree's: two vectors in one take 1.07 of the time.
    const FEW_VECTORS_COUNT: usize = 2;

    #[inline(always)]
    fn rows<L: Lanes>(terms: &[(usize, Term<Self>)], denominators: &mut Denominators<L>) -> Forest<L> {
        affine(<Self as ByKey<C>>::points(terms, denominators), denominators)
    }

    #[inline(always)]
    fn points<L: Lanes>(terms: &[(usize, Term<Self>)], denominators: &mut Denominators<L>) -> Vec<Jacobian<L>> {
        products::<C, L>(terms.len(), |term| &terms[term].1.by_key, denominators)
    }
}

/// The table entries of every term, one row per window. What gives them is inlined by order: left to itself, the compiler
/// calls it, as it calls any function that returns a pair to one with other instructions enabled.
#[inline(always)]
fn gathered<'t, L: Lanes>(
    terms_count: usize,
    rows_count: usize,
    digits: impl Fn(usize) -> &'t Digits,
    entry: impl Fn(usize, usize, usize) -> &'t Entry,
) -> Forest<L> {
    let vectors_count = terms_count.div_ceil(L::COUNT);
    let mut forest = Forest::new(rows_count, vectors_count);
    // The last vector's idle lanes repeat the last term; nobody reads them.
    let term = |vector: usize, lane: usize| (vector * L::COUNT + lane).min(terms_count - 1);
    let mut scalars = Vec::with_capacity(vectors_count);
    for vector in 0..vectors_count {
        push_reserved(
            &mut scalars,
            LaneDigits::new(
                L::COUNT,
                #[inline(always)]
                |lane| digits(term(vector, lane)),
            ),
        );
    }
    // What was asked for and is not read yet, in a ring of vectors.
    let ahead = ENTRIES_AHEAD_COUNT / L::COUNT;
    let mut entries = [entry(0, 0, 0); ENTRIES_AHEAD_COUNT];
    let mut negate = [0; ENTRIES_AHEAD_COUNT];
    let (mut row, mut vector) = (0, 0);
    let vectors_in_all = rows_count * vectors_count;
    for position in 0..vectors_in_all + ahead {
        let place = position % ahead;
        let entries = &mut entries[place * L::COUNT..][..L::COUNT];
        if position >= ahead {
            forest.push(L::gather(
                #[inline(always)]
                |lane| entries[lane],
                negate[place],
            ));
        }
        if position < vectors_in_all {
            let (indices, negative) = scalars[vector].window(L::COUNT, row);
            negate[place] = negative;
            for (lane, asked) in entries.iter_mut().enumerate() {
                *asked = entry(term(vector, lane), row, indices[lane]);
                prefetch(*asked);
            }
            vector += 1;
            if vector == vectors_count {
                (row, vector) = (row + 1, 0);
            }
        }
    }
    forest
}

/// [`sums`] in eight lanes. A function of its own even where every caller has the instructions, so that `make disassembly`
/// finds it.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn sums_avx512<C: Curve, K: ByKey<C>>(
    _: Avx512Ifma,
    terms: &[(usize, Term<K>)],
    generator: &Table<C>,
) -> Vec<Option<(Limbs, Limbs)>> {
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
    fn enabled<C: Curve, K: ByKey<C>>(terms: &[(usize, Term<K>)], generator: &Table<C>) -> Vec<Option<(Limbs, Limbs)>> {
        sums::<C, C::Eight<Ifma>, K>(terms, generator)
    }
    // SAFETY: the witness comes only from `cpu::detect`, so this CPU has every feature enabled above.
    unsafe { enabled(terms, generator) }
}

/// x and y of every term's sum; `None` where two points with equal x met on the way.
#[inline(always)]
fn sums<C: Curve, L: Lanes, K: ByKey<C>>(
    terms: &[(usize, Term<K>)],
    generator: &Table<C>,
) -> Vec<Option<(Limbs, Limbs)>> {
    let vectors_count = terms.len().div_ceil(L::COUNT);
    let rows_count = windows_count(GENERATOR_WINDOW_BITS);
    let mut by_generator = gathered::<L>(
        terms.len(),
        rows_count,
        #[inline(always)]
        |term| &terms[term].1.by_generator,
        #[inline(always)]
        |_, row, index| generator.entry(row, index),
    );
    let mut denominators = Denominators::new(vectors_count);
    let joined = if vectors_count <= K::FEW_VECTORS_COUNT {
        let by_key = K::points(terms, &mut denominators);
        joined(&accumulated(&by_generator), &by_key, &mut denominators)
    } else {
        let mut by_key = K::rows(terms, &mut denominators);
        sum_rows(&mut [&mut by_generator, &mut by_key], &mut denominators);
        join(&mut by_generator, &by_key, &mut denominators);
        by_generator
    };
    let mut sums = Vec::with_capacity(vectors_count * L::COUNT);
    for (vector, exceptional) in denominators.exceptional.iter().enumerate() {
        let (x, y) = joined.sum(vector);
        let (x, y) = (x.numbers(), y.numbers());
        for (lane, numbers) in x.as_ref().iter().zip(y.as_ref()).enumerate() {
            push_reserved(&mut sums, (exceptional >> lane & 1 == 0).then_some((*numbers.0, *numbers.1)));
        }
    }
    sums.truncate(terms.len());
    sums
}

#[cfg(test)]
mod tests {
    use super::super::curve::{P256, Secp256k1};
    use super::super::table::{KEY_WINDOW_BITS, WIDE_WINDOW_BITS};
    use super::*;
    use crate::field::{Field, Modulus, Montgomery};

    /// Sums in eight lanes are those in one, exceptional terms included and in every lane.
    fn check<C: Curve>() {
        let order = C::Order::LIMBS;
        let generator = C::tables().generator(Width::One);
        // The key is G, so a = ±b meets in the last sum.
        let base = C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve");
        let [narrow, wide] = [KEY_WINDOW_BITS, WIDE_WINDOW_BITS]
            .map(|window_bits| Table::new(Width::One, &base, window_bits).expect("no exception"));
        let mut state = Montgomery::<C::Order>::reduced([7; 4]);
        let mut random = || {
            state = state.sqr().add(Montgomery::<C::Order>::ONE);
            state
        };
        let scalars: Vec<_> = (0..150)
            .map(|index| {
                let b = random();
                let a = match index % 10 {
                    3 => b,
                    7 => b.negate(),
                    _ => random(),
                };
                (a.to_limbs(), b.to_limbs())
            })
            .collect();
        for count in (1..=20).chain([63, 64]) {
            let scalars = &scalars[count..2 * count];
            let [hot, busy] = [&narrow, &wide].map(|table| {
                agreed(scalars, generator, |b| Comb {
                    digits: Digits::new(b, &order, table.window_bits()).expect("not 0"),
                    table,
                })
            });
            let unseen = agreed(scalars, generator, |b| Product { point: base, parts: C::parts(b).expect("not 0") });
            assert_eq!(hot, unseen, "{count} terms");
            assert_eq!(hot, busy, "{count} terms, wide windows");
            for (index, sum) in (count..).zip(&hot) {
                assert_eq!(sum.is_none(), matches!(index % 10, 3 | 7), "term {index}");
            }
        }
    }

    /// The sums of one lane, which are those of eight.
    fn agreed<C: Curve, K: ByKey<C>>(
        scalars: &[(Limbs, Limbs)],
        generator: &Table<C>,
        by_key: impl Fn(&Limbs) -> K,
    ) -> Vec<Option<(Limbs, Limbs)>> {
        let term = |(a, b): &(Limbs, Limbs)| Term {
            by_generator: Digits::new(a, &C::Order::LIMBS, GENERATOR_WINDOW_BITS).expect("not 0"),
            by_key: by_key(b),
        };
        let terms: Vec<_> = scalars.iter().map(term).enumerate().collect();
        let one = sums::<C, Single<C::Field>, K>(&terms, generator);
        assert_eq!(sums::<C, C::Eight<Plain>, K>(&terms, generator), one, "{} terms", terms.len());
        #[cfg(target_arch = "x86_64")]
        if let Some(witness) = crate::cpu::detect().avx512_ifma {
            assert_eq!(sums_avx512(witness, &terms, generator), one, "{} terms", terms.len());
        }
        one
    }

    #[test]
    fn eight_lanes_sum_like_one() {
        check::<Secp256k1>();
        check::<P256>();
    }
}
