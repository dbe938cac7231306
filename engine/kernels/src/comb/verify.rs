//! Verdicts from tables.
//!
#![doc = include_str!("../../docs/exceptional.md")]

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};

use super::curve::{Curve, P256, Secp256k1};
use super::lanes::{Lanes, Single};
use super::recode::{Digits, windows_count};
use super::table::{GENERATOR_WINDOW_BITS, KEY_WINDOW_BITS, Table};
use super::tree::{Denominators, Forest, join, sum_rows};
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
use crate::cpu::{Avx512Ifma, prefetch};
use crate::field::{Entry, Field, Limbs, Modulus, Montgomery, from_be_bytes, is_below, sub_borrow};
use crate::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job};
use crate::key::{P256PublicKey, Secp256k1PublicKey};
use crate::portable;

/// Signatures summed together: their trees, about 5 KiB each, stay in the second-level cache.
const CHUNK_TERMS_COUNT: usize = 64;
/// In eight lanes an inversion is a larger part, so more share it (KERNELS.md §1.3 of the design study: 128 to 256).
const CHUNK_TERMS_COUNT_WIDE: usize = 256;

/// See [`crate::verify_ecdsa_secp256k1_vartime`].
pub(crate) fn verify_ecdsa_secp256k1(wide: Option<Avx512Ifma>, jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    judge(wide, jobs, verdicts);
}

/// See [`crate::verify_ecdsa_p256_vartime`].
pub(crate) fn verify_ecdsa_p256(wide: Option<Avx512Ifma>, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    judge(wide, jobs, verdicts);
}

/// See [`crate::verify_bip340_vartime`].
pub(crate) fn verify_bip340(wide: Option<Avx512Ifma>, jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    judge(wide, jobs, verdicts);
}

/// See [`crate::prepare_base_points`].
pub(crate) fn prepare_base_points(wide: Option<Avx512Ifma>) {
    Secp256k1::tables().generator(wide);
    P256::tables().generator(wide);
}

/// See [`crate::prepare_secp256k1_key`].
pub(crate) fn prepare_secp256k1(wide: Option<Avx512Ifma>, key: &Secp256k1PublicKey) -> bool {
    prepare::<Secp256k1>(wide, &key.to_compressed(), secp256k1_point(key))
}

/// See [`crate::prepare_p256_key`].
pub(crate) fn prepare_p256(wide: Option<Avx512Ifma>, key: &P256PublicKey) -> bool {
    prepare::<P256>(wide, key.as_sec1(), p256_point(key))
}

fn prepare<C: Curve>(wide: Option<Avx512Ifma>, key: &[u8], point: Option<Entry>) -> bool {
    C::tables().generator(wide);
    let table = point.and_then(|point| Table::new(wide, &point, KEY_WINDOW_BITS));
    table.is_some_and(|table| C::tables().keys.insert(key, table, true))
}

fn secp256k1_point(key: &Secp256k1PublicKey) -> Option<Entry> {
    let [_, coordinates @ ..] = key.0.serialize_uncompressed();
    point::<Secp256k1>(&coordinates)
}

fn p256_point(key: &P256PublicKey) -> Option<Entry> {
    match key.as_sec1() {
        [0x04, coordinates @ ..] => point::<P256>(coordinates.try_into().ok()?),
        [sign, x @ ..] => P256::lift_x(from_be_bytes(x.try_into().ok()?), *sign == 0x03),
        [] => None,
    }
}

fn point<C: Curve>(coordinates: &[u8; 64]) -> Option<Entry> {
    let (x, y) = coordinates.split_first_chunk()?;
    C::point(from_be_bytes(x), from_be_bytes(y.try_into().ok()?))
}

/// A verification that ends in R = a·G + b·Q.
trait CombJob {
    type Curve: Curve;
    type Key: AsRef<[u8]> + PartialEq;

    /// Names the key in the cache.
    fn key(&self) -> Self::Key;
    /// The key as a point.
    fn point(&self) -> Option<Entry>;
    /// a and b for each job, in order; `None` says that the signature is malformed and the verdict false.
    fn scalars<'a>(jobs: impl Iterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
    where
        Self: 'a;
    /// Judges R, given as x and y below p.
    fn accepts(&self, x: &Limbs, y: &Limbs) -> bool;
    /// The complete path: every input, no table.
    fn verify_alone(&self) -> bool;
}

impl CombJob for EcdsaSecp256k1Job {
    type Curve = Secp256k1;
    type Key = [u8; 33];

    fn key(&self) -> [u8; 33] {
        self.public_key.to_compressed()
    }

    fn point(&self) -> Option<Entry> {
        secp256k1_point(&self.public_key)
    }

    fn scalars<'a>(jobs: impl Iterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>> {
        ecdsa_scalars::<Secp256k1>(jobs.map(|job| [&job.msg_hash, &job.r, &job.s]))
    }

    fn accepts(&self, x: &Limbs, _: &Limbs) -> bool {
        is_x_mod_n::<Secp256k1>(&self.r, x)
    }

    fn verify_alone(&self) -> bool {
        alone(self, portable::secp256k1::verify_ecdsa_vartime)
    }
}

impl<'k> CombJob for EcdsaP256Job<'k> {
    type Curve = P256;
    type Key = &'k [u8];

    fn key(&self) -> &'k [u8] {
        self.public_key.as_sec1()
    }

    fn point(&self) -> Option<Entry> {
        p256_point(self.public_key)
    }

    fn scalars<'a>(jobs: impl Iterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
    where
        Self: 'a,
    {
        ecdsa_scalars::<P256>(jobs.map(|job| [&job.msg_hash, &job.r, &job.s]))
    }

    fn accepts(&self, x: &Limbs, _: &Limbs) -> bool {
        is_x_mod_n::<P256>(&self.r, x)
    }

    fn verify_alone(&self) -> bool {
        alone(self, portable::p256::verify_ecdsa_vartime)
    }
}

impl CombJob for Bip340Job<'_> {
    type Curve = Secp256k1;
    type Key = [u8; 33];

    /// The compressed form of the point with even y: ECDSA with the same point uses the same table.
    fn key(&self) -> [u8; 33] {
        let mut key = [0x02; 33];
        key[1..].copy_from_slice(&self.public_key.to_bytes());
        key
    }

    fn point(&self) -> Option<Entry> {
        Secp256k1::lift_x(from_be_bytes(&self.public_key.to_bytes()), false)
    }

    /// R = s·G − e·P.
    fn scalars<'a>(jobs: impl Iterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
    where
        Self: 'a,
    {
        let order = <Secp256k1 as Curve>::Order::LIMBS;
        jobs.map(|job| {
            let (r, s) = job.signature.split_first_chunk().expect("64 ≥ 32");
            let s = from_be_bytes(s.try_into().expect("64 − 32 = 32"));
            if !is_below(&s, &order) {
                return None;
            }
            let e = from_be_bytes(&bip340_challenge(r, &job.public_key.to_bytes(), job.message));
            let e = Montgomery::<<Secp256k1 as Curve>::Order>::reduced(e).negate();
            Some((s, e.to_limbs()))
        })
        .collect()
    }

    /// r ≥ p equals no x. R = ∞ never comes here: it has equal x in the last sum.
    fn accepts(&self, x: &Limbs, y: &Limbs) -> bool {
        let (r, _) = self.signature.split_first_chunk().expect("64 ≥ 32");
        from_be_bytes(r) == *x && y[0] & 1 == 0
    }

    fn verify_alone(&self) -> bool {
        alone(self, portable::secp256k1::verify_bip340_vartime)
    }
}

fn alone<J>(job: &J, verify: impl Fn(&[J], &mut [bool])) -> bool {
    let mut verdict = [false];
    verify(std::slice::from_ref(job), &mut verdict);
    verdict[0]
}

/// `hash_BIP0340/challenge(r ‖ P ‖ m)`; the tag's block is hashed once per process.
fn bip340_challenge(r: &[u8; 32], public_key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    static TAGGED: OnceLock<Context> = OnceLock::new();
    let mut context = TAGGED
        .get_or_init(|| {
            let tag = aws_lc_rs::digest::digest(&SHA256, b"BIP0340/challenge");
            let mut context = Context::new(&SHA256);
            context.update(tag.as_ref());
            context.update(tag.as_ref());
            context
        })
        .clone();
    context.update(r);
    context.update(public_key);
    context.update(message);
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// u1 = z/s and u2 = r/s for each (z, r, s), with one inversion; `None` where r or s is outside 1..n.
fn ecdsa_scalars<'a, C: Curve>(numbers: impl Iterator<Item = [&'a [u8; 32]; 3]>) -> Vec<Option<(Limbs, Limbs)>> {
    type Scalar<C> = Montgomery<<C as Curve>::Order>;
    let nonzero = |bytes| Scalar::<C>::from_limbs(from_be_bytes(bytes)).filter(|scalar| !scalar.is_zero());
    let mut product = Scalar::<C>::ONE;
    let parsed: Vec<_> = numbers
        .map(|[z, r, s]| {
            let (r, s) = (nonzero(r)?, nonzero(s)?);
            let before = product;
            product = product.mul(s);
            Some((Scalar::<C>::reduced(from_be_bytes(z)), r, s, before))
        })
        .collect();
    let mut inverse = product.inverse_vartime();
    let mut scalars = vec![None; parsed.len()];
    for (scalars, parsed) in scalars.iter_mut().zip(parsed).rev() {
        let Some((z, r, s, before)) = parsed else {
            continue;
        };
        let s_inverse = inverse.mul(before);
        inverse = inverse.mul(s);
        *scalars = Some((z.mul(s_inverse).to_limbs(), r.mul(s_inverse).to_limbs()));
    }
    scalars
}

/// x mod n = r, for x < p < 2n and r in 1..n: x is r, or r + n where that is below p.
fn is_x_mod_n<C: Curve>(r: &[u8; 32], x: &Limbs) -> bool {
    let (less, below) = sub_borrow(x, &<C::Order as Modulus>::LIMBS);
    from_be_bytes(r) == if below { *x } else { less }
}

/// One verdict per job, in order.
fn judge<J: CombJob>(wide: Option<Avx512Ifma>, jobs: &[J], verdicts: &mut [bool]) {
    let tables = J::Curve::tables();
    let found = tables.keys.look_up(jobs.iter().map(J::key));
    let mut positions = Vec::with_capacity(jobs.len());
    for (position, (job, table)) in jobs.iter().zip(&found.tables).enumerate() {
        match table {
            Some(_) => positions.push(position),
            None => verdicts[position] = job.verify_alone(),
        }
    }
    if !positions.is_empty() {
        judge_hot(wide, jobs, &found.tables, &positions, verdicts);
    }
    if let Some(job) = found.candidate.map(|position| &jobs[position])
        && let Some(table) = job.point().and_then(|point| Table::new(wide, &point, KEY_WINDOW_BITS))
    {
        tables.keys.insert(job.key().as_ref(), table, false);
    }
}

/// The jobs at `positions`, whose keys have tables.
fn judge_hot<J: CombJob>(
    wide: Option<Avx512Ifma>,
    jobs: &[J],
    tables: &[Option<Arc<Table<J::Curve>>>],
    positions: &[usize],
    verdicts: &mut [bool],
) {
    let order = <<J::Curve as Curve>::Order as Modulus>::LIMBS;
    let scalars = J::scalars(positions.iter().map(|&position| &jobs[position]));
    let mut terms = Vec::with_capacity(positions.len());
    for (&position, scalars) in positions.iter().zip(scalars) {
        let Some((a, b)) = scalars else {
            verdicts[position] = false;
            continue;
        };
        let digits = (Digits::new(&a, &order, GENERATOR_WINDOW_BITS), Digits::new(&b, &order, KEY_WINDOW_BITS));
        match (digits, &tables[position]) {
            ((Some(by_generator), Some(by_key)), Some(table)) => {
                terms.push((position, Term { by_generator, by_key, table }));
            }
            _ => verdicts[position] = jobs[position].verify_alone(),
        }
    }
    let generator = J::Curve::tables().generator(wide);
    for chunk in terms.chunks(if wide.is_some() { CHUNK_TERMS_COUNT_WIDE } else { CHUNK_TERMS_COUNT }) {
        let sums = match wide {
            #[cfg(target_arch = "x86_64")]
            Some(witness) => sums_avx512(witness, chunk, generator),
            _ => sums::<J::Curve, Single<<J::Curve as Curve>::Field>>(chunk, generator),
        };
        for ((position, _), sum) in chunk.iter().zip(sums) {
            let job = &jobs[*position];
            verdicts[*position] = match sum {
                Some((x, y)) => job.accepts(&x, &y),
                None => job.verify_alone(),
            };
        }
    }
}

/// a·G + b·Q, recoded.
struct Term<'a, C> {
    by_generator: Digits,
    by_key: Digits,
    table: &'a Table<C>,
}

/// The table entries of every term, one row per window.
#[inline(always)]
fn gathered<'t, C: Curve, L: Lanes>(
    terms: &'t [(usize, Term<'t, C>)],
    rows_count: usize,
    entry: impl Fn(&'t Term<'t, C>, usize) -> (&'t Entry, bool),
) -> Forest<L> {
    let vectors_count = terms.len().div_ceil(L::COUNT);
    let mut forest = Forest::new(rows_count, vectors_count);
    for row in 0..rows_count {
        // Tables live in the third-level cache at best, so the next row is asked for while this one is read.
        if row + 1 < rows_count {
            for (_, term) in terms {
                prefetch(entry(term, row + 1).0);
            }
        }
        for vector in 0..vectors_count {
            // The last vector's idle lanes repeat the last term; nobody reads them.
            forest.push(L::gather(|lane| entry(&terms[(vector * L::COUNT + lane).min(terms.len() - 1)].1, row)));
        }
    }
    forest
}

/// [`sums`] in eight lanes.
#[cfg(target_arch = "x86_64")]
fn sums_avx512<C: Curve>(
    _: Avx512Ifma,
    terms: &[(usize, Term<'_, C>)],
    generator: &Table<C>,
) -> Vec<Option<(Limbs, Limbs)>> {
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
    fn enabled<C: Curve>(terms: &[(usize, Term<'_, C>)], generator: &Table<C>) -> Vec<Option<(Limbs, Limbs)>> {
        sums::<C, C::Eight<Ifma>>(terms, generator)
    }
    // SAFETY: the witness comes only from `cpu::detect`, so this CPU has every feature enabled above.
    unsafe { enabled(terms, generator) }
}

/// x and y of every term's sum; `None` where two points with equal x met on the way.
#[inline(always)]
fn sums<'t, C: Curve, L: Lanes>(
    terms: &'t [(usize, Term<'t, C>)],
    generator: &'t Table<C>,
) -> Vec<Option<(Limbs, Limbs)>> {
    let (generator_rows, key_rows) = (windows_count(GENERATOR_WINDOW_BITS), windows_count(KEY_WINDOW_BITS));
    let mut by_generator = gathered::<C, L>(terms, generator_rows, |term, row| {
        let (index, negate) = term.by_generator.digit(row);
        (generator.entry(row, index), negate)
    });
    let by_key = &mut gathered::<C, L>(terms, key_rows, |term, row| {
        let (index, negate) = term.by_key.digit(row);
        (term.table.entry(row, index), negate)
    });
    let vectors_count = terms.len().div_ceil(L::COUNT);
    let steps_count = (generator_rows / 2 + key_rows / 2) * vectors_count;
    let mut denominators = Denominators::new(steps_count, vectors_count);
    sum_rows(&mut [&mut by_generator, by_key], &mut denominators);
    join(&mut by_generator, by_key, &mut denominators);
    let mut sums = Vec::with_capacity(vectors_count * L::COUNT);
    for (vector, exceptional) in denominators.exceptional.iter().enumerate() {
        let (x, y) = by_generator.sum(vector);
        let (x, y) = (x.numbers(), y.numbers());
        for (lane, numbers) in x.as_ref().iter().zip(y.as_ref()).enumerate() {
            sums.push((exceptional >> lane & 1 == 0).then_some((*numbers.0, *numbers.1)));
        }
    }
    sums.truncate(terms.len());
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avx512::Plain;

    /// Sums in eight lanes are those in one, exceptional terms included and in every lane.
    fn check<C: Curve>() {
        let order = C::Order::LIMBS;
        let generator = C::tables().generator(None);
        // The key is G, so a = ±b meets in the last sum.
        let key = Table::new(None, &C::point(C::GENERATOR.0, C::GENERATOR.1).expect("on the curve"), KEY_WINDOW_BITS);
        let key = key.expect("no exception");
        let mut state = Montgomery::<C::Order>::reduced([7; 4]);
        let mut random = || {
            state = state.sqr().add(Montgomery::<C::Order>::ONE);
            state
        };
        let terms: Vec<_> = (0..150)
            .map(|index| {
                let b = random();
                let a = match index % 10 {
                    3 => b,
                    7 => b.negate(),
                    _ => random(),
                };
                let digits =
                    |scalar: Montgomery<C::Order>, bits| Digits::new(&scalar.to_limbs(), &order, bits).expect("not 0");
                let (by_generator, by_key) = (digits(a, GENERATOR_WINDOW_BITS), digits(b, KEY_WINDOW_BITS));
                (index, Term { by_generator, by_key, table: &key })
            })
            .collect();
        for count in (1..=20).chain([63, 64]) {
            let terms = &terms[count..2 * count];
            let one = sums::<C, Single<C::Field>>(terms, generator);
            assert_eq!(sums::<C, C::Eight<Plain>>(terms, generator), one, "{count} terms");
            for ((index, _), sum) in terms.iter().zip(&one) {
                assert_eq!(sum.is_none(), matches!(index % 10, 3 | 7), "term {index}");
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(witness) = crate::cpu::detect().avx512_ifma {
                assert_eq!(sums_avx512(witness, terms, generator), one, "{count} terms");
            }
        }
    }

    /// A zero or an overlong number stays out of the shared inversion: its neighbours' scalars are what they are alone.
    #[test]
    fn malformed_numbers_leave_the_other_scalars_alone() {
        let order = [&[0xff; 16][..15], &[0xfe], &ORDER_LOW].concat();
        let order: [u8; 32] = order.try_into().expect("32 bytes");
        let (z, a, b) = ([0xff; 32], [0x5a; 32], [0x33; 32]);
        let scalars = |triples: &[[&[u8; 32]; 3]]| ecdsa_scalars::<Secp256k1>(triples.iter().copied());
        let good = scalars(&[[&z, &a, &b]])[0];
        assert!(good.is_some());
        for bad in [[0; 32], order, [0xff; 32]] {
            let batch = scalars(&[[&z, &a, &b], [&z, &a, &bad], [&z, &bad, &b], [&z, &bad, &bad], [&z, &a, &b]]);
            assert_eq!(batch, [good, None, None, None, good]);
        }
    }

    #[test]
    fn bip340_refuses_s_from_the_order_upwards() {
        let base = hex::decode("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").expect("hex");
        let public_key = crate::key::XOnlyPublicKey::from_bytes(&base.try_into().expect("32 bytes")).expect("G");
        let mut order = [0xff; 16].to_vec();
        order[15] = 0xfe;
        order.extend(ORDER_LOW);
        for (last, refused) in [(0x40, false), (0x41, true), (0x46, true)] {
            let mut signature = [0x11; 64];
            signature[32..].copy_from_slice(&order);
            signature[63] = last;
            let job = Bip340Job { public_key, message: b"", signature: &signature };
            assert_eq!(Bip340Job::scalars(std::iter::once(&job))[0].is_none(), refused, "{last:x}");
        }
    }

    /// The lower half of secp256k1's n.
    const ORDER_LOW: [u8; 16] = 0xbaae_dce6_af48_a03b_bfd2_5e8c_d036_4141_u128.to_be_bytes();

    #[test]
    fn eight_lanes_sum_like_one() {
        check::<Secp256k1>();
        check::<P256>();
    }
}
