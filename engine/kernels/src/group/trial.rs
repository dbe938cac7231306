//! Whether eight lanes may answer on this machine: asked once, before the first verdict.
//!
//! A CPU that names the instructions may still be slow at them, and whoever stands between it and us (emulator, binary
//! translator, microcode) may do them wrongly. So nothing is taken from the name. Eight lanes compute what one lane
//! computes, on this machine and in this build, for numbers that walk through every path, and are chosen if all of it is
//! equal and took less time. One lane is no weaker witness than a library: the suite holds it to both.

use super::curve::{Curve, P256, Secp256k1};
use super::lift::{Known, points};
use super::recode::Digits;
use super::sums::{ByKey, Comb, Term, for_each_sum};
use super::table::{GENERATOR_WINDOW_BITS, KEY_WINDOW_BITS, Table};
use super::window::Product;
use crate::cpu::Width;
use crate::field::{Field, Limbs, Modulus, Montgomery};

/// Sums at a time. Few take another way than many; neither fills its last vector.
const TERMS_COUNTS: [usize; 2] = [5, 29];
/// The x whose points are lifted; about half of them have one.
const LIFTED_COUNT: u64 = 75;
/// The first round fetches the code and the tables, so the least of several is the time.
const ROUNDS_COUNT: usize = 4;

/// What eight lanes did beside one lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trial {
    /// All points, tables and sums were equal.
    pub(crate) is_right: bool,
    /// Time of a sum, in parts of one lane's: the worst of both curves, with tables and without.
    pub(crate) time_ratio: f64,
}

/// Tries lanes of this width. `now` counts anything that grows evenly with time.
pub(crate) fn trial(width: Width, now: impl Fn() -> u64) -> Trial {
    let time_ratios = try_curve::<Secp256k1>(width, &now).zip(try_curve::<P256>(width, &now));
    Trial {
        is_right: time_ratios.is_some(),
        time_ratio: time_ratios.map_or(f64::INFINITY, |(secp256k1, p256)| secp256k1.max(p256)),
    }
}

/// [`Trial::time_ratio`] on one curve; `None` if anything was not equal.
fn try_curve<C: Curve>(width: Width, now: &impl Fn() -> u64) -> Option<f64> {
    let known = known();
    let lifted = points::<C>(Width::One, &known);
    if points::<C>(width, &known) != lifted {
        return None;
    }
    let keys: Vec<_> = lifted.into_iter().flatten().collect();
    let base = C::point(C::GENERATOR.0, C::GENERATOR.1)?;
    let table = Table::<C>::new(Width::One, &base, KEY_WINDOW_BITS)?;
    // The base point's table, which verdicts will be read from, comes from one lane too.
    let generator = C::tables().generator(Width::One);
    if Table::new(width, &base, KEY_WINDOW_BITS)? != table
        || Table::new(width, &base, GENERATOR_WINDOW_BITS)? != *generator
    {
        return None;
    }
    let mut worst = 0_f64;
    for count in TERMS_COUNTS {
        let scalars = scalars::<C>(count);
        let hot = |_: usize, b: &Limbs| {
            Some(Comb { digits: Digits::new(b, &C::Order::LIMBS, KEY_WINDOW_BITS)?, table: &table })
        };
        let unseen = |index: usize, b: &Limbs| {
            // Some keys are the base point itself, as all that have a table are, so that a = −b and a = b meet their equals.
            let point = if is_exceptional(index) { base } else { keys[index % keys.len()] };
            Some(Product { point, parts: C::parts(b)? })
        };
        worst = worst.max(try_sums::<C, _>(width, &terms::<C, _>(&scalars, hot)?, now)?);
        worst = worst.max(try_sums::<C, _>(width, &terms::<C, _>(&scalars, unseen)?, now)?);
    }
    Some(worst)
}

/// Points to lift.
fn known() -> Vec<Known> {
    (1..=LIFTED_COUNT).map(|x| Known::X { x: [x, 0, 0, 0], y_is_odd: x % 3 == 0 }).collect()
}

/// Time of these sums in parts of one lane's; `None` if they are others.
fn try_sums<C: Curve, K: ByKey<C>>(width: Width, terms: &[(usize, Term<K>)], now: &impl Fn() -> u64) -> Option<f64> {
    let timed = |width, least: &mut u64| {
        let mut sums = Vec::with_capacity(terms.len());
        let started = now();
        for_each_sum::<C, _>(width, terms, |_, sum| sums.push(sum));
        *least = now().wrapping_sub(started).min(*least);
        sums
    };
    let (mut one, mut wide) = (u64::MAX, u64::MAX);
    for _ in 0..ROUNDS_COUNT {
        if timed(Width::One, &mut one) != timed(width, &mut wide) {
            return None;
        }
    }
    Some(wide as f64 / one.max(1) as f64)
}

/// a and b of every term: as good as random, and every seventh time a = ±b.
fn scalars<C: Curve>(count: usize) -> Vec<(Limbs, Limbs)> {
    let mut state = Montgomery::<C::Order>::reduced([7; 4]);
    let mut next = || {
        state = state.sqr().add(Montgomery::<C::Order>::ONE);
        state
    };
    let pair = |index| {
        let (a, b) = (next(), next());
        let a = match index % 14 {
            _ if !is_exceptional(index) => a,
            3 => b,
            _ => b.negate(),
        };
        (a.to_limbs(), b.to_limbs())
    };
    (0..count).map(pair).collect()
}

fn is_exceptional(index: usize) -> bool {
    index % 7 == 3
}

fn terms<C: Curve, K: ByKey<C>>(
    scalars: &[(Limbs, Limbs)],
    by_key: impl Fn(usize, &Limbs) -> Option<K>,
) -> Option<Vec<(usize, Term<K>)>> {
    let term = |(index, (a, b)): (usize, &(Limbs, Limbs))| {
        let by_generator = Digits::new(a, &C::Order::LIMBS, GENERATOR_WINDOW_BITS)?;
        Some((index, Term { by_generator, by_key: by_key(index, b)? }))
    };
    scalars.iter().enumerate().map(term).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::avx512::fault;

    /// Grows by one per look: every sum takes the same time.
    fn even_clock() -> impl Fn() -> u64 {
        let ticks = Cell::new(0);
        move || {
            ticks.set(ticks.get() + 1);
            ticks.get()
        }
    }

    #[test]
    fn lanes_that_compute_the_same_are_right() {
        assert_eq!(trial(Width::EightPlain, even_clock()), Trial { is_right: true, time_ratio: 1.0 });
        assert_eq!(trial(Width::One, even_clock()), Trial { is_right: true, time_ratio: 1.0 });
        if let Some(witness) = crate::cpu::detect().avx512_ifma {
            assert!(trial(Width::Eight(witness), even_clock()).is_right);
        }
    }

    /// The first look at the clock is the start of one lane's first sum, and so on.
    #[test]
    fn the_ratio_is_the_worst_of_the_least_times() {
        let looks = Cell::new(0_u64);
        let clock = || {
            let look = looks.replace(looks.get() + 1);
            // One lane takes 100, eight take 30, but in the last sums of the second curve 60 and in every first round 900.
            let (sums, round, part) = (look / 16, look / 4 % 4, look % 4);
            let eight = match (sums, round) {
                (_, 0) => 900,
                (7, _) => 60,
                _ => 30,
            };
            look / 4 * 1000 + [0, 100, 100, 100 + eight][part as usize]
        };
        assert_eq!(trial(Width::EightPlain, clock), Trial { is_right: true, time_ratio: 0.6 });
        assert_eq!(looks.get(), 8 * 16);
    }

    /// Products that `work` takes in eight lanes.
    fn products_count<T>(work: impl FnOnce() -> T) -> u64 {
        fault::at_product(u64::MAX - 1);
        work();
        fault::products_since(u64::MAX - 1)
    }

    fn is_noticed(product: u64) -> bool {
        fault::at_product(product);
        let noticed = !trial(Width::EightPlain, even_clock()).is_right;
        assert!(!fault::is_pending(), "the product was computed");
        noticed
    }

    /// Wherever a product is wrong, in either curve, the lanes do not pass.
    #[test]
    fn one_wrong_product_is_noticed() {
        let products_count = products_count(|| assert!(trial(Width::EightPlain, even_clock()).is_right));
        let parts = (0..PARTS_COUNT).map(|part| products_count / PARTS_COUNT * part + part);
        let noticed = parts.filter(|&product| is_noticed(product)).count() as u64;
        // A root that does not exist is not found by a wrong computation either.
        assert!(noticed >= PARTS_COUNT - 1, "{noticed} of {PARTS_COUNT}");
    }

    /// Points and tables take few of the products, and the sums would read one lane's.
    #[test]
    fn one_wrong_product_in_points_or_tables_is_noticed() {
        let base = Secp256k1::point(Secp256k1::GENERATOR.0, Secp256k1::GENERATOR.1).expect("on the curve");
        let table = |window_bits| products_count(|| Table::<Secp256k1>::new(Width::EightPlain, &base, window_bits));
        let points = products_count(|| points::<Secp256k1>(Width::EightPlain, &known()));
        let mut before = 0;
        // A root that does not exist is none by a wrong computation either, and half of them do not.
        let steps = [
            (points, PARTS_COUNT / 4),
            (table(KEY_WINDOW_BITS), PARTS_COUNT),
            (table(GENERATOR_WINDOW_BITS), PARTS_COUNT),
        ];
        for (products_count, noticed_count_min) in steps {
            assert!(products_count > 10_000);
            let parts = (0..PARTS_COUNT).map(|part| before + products_count / PARTS_COUNT * part + part);
            let noticed = parts.filter(|&product| is_noticed(product)).count() as u64;
            assert!(noticed >= noticed_count_min, "{noticed}, after {before}");
            before += products_count;
        }
    }

    const PARTS_COUNT: u64 = 24;
}
