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
use crate::cpu::prefetch;
use crate::field::{Entry, Field, Limbs, Modulus, Montgomery, from_be_bytes, is_below, sub_borrow};
use crate::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job};
use crate::key::{P256PublicKey, Secp256k1PublicKey};
use crate::portable;

/// Signatures summed together: their trees, about 5 KiB each, stay in the second-level cache.
const CHUNK_TERMS_COUNT: usize = 64;

/// See [`crate::verify_ecdsa_secp256k1_vartime`].
pub(crate) fn verify_ecdsa_secp256k1(jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    judge(jobs, verdicts);
}

/// See [`crate::verify_ecdsa_p256_vartime`].
pub(crate) fn verify_ecdsa_p256(jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    judge(jobs, verdicts);
}

/// See [`crate::verify_bip340_vartime`].
pub(crate) fn verify_bip340(jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    judge(jobs, verdicts);
}

/// See [`crate::prepare_base_points`].
pub(crate) fn prepare_base_points() {
    Secp256k1::tables().generator();
    P256::tables().generator();
}

/// See [`crate::prepare_secp256k1_key`].
pub(crate) fn prepare_secp256k1(key: &Secp256k1PublicKey) -> bool {
    prepare::<Secp256k1>(&key.to_compressed(), secp256k1_point(key))
}

/// See [`crate::prepare_p256_key`].
pub(crate) fn prepare_p256(key: &P256PublicKey) -> bool {
    prepare::<P256>(key.as_sec1(), p256_point(key))
}

fn prepare<C: Curve>(key: &[u8], point: Option<Entry>) -> bool {
    C::tables().generator();
    let table = point.and_then(|point| Table::new(&point, KEY_WINDOW_BITS));
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
fn judge<J: CombJob>(jobs: &[J], verdicts: &mut [bool]) {
    let tables = J::Curve::tables();
    if let [job] = jobs {
        match tables.keys.look_up_one(job.key().as_ref()) {
            Ok(table) => {
                judge_hot::<J, Single<<J::Curve as Curve>::Field>>(jobs, &[Some(table)], &[0], verdicts);
            }
            Err(has_earned_one) => {
                verdicts[0] = job.verify_alone();
                if has_earned_one {
                    build_table(job);
                }
            }
        }
        return;
    }
    let found = tables.keys.look_up(jobs.iter().map(J::key));
    let mut positions = Vec::with_capacity(jobs.len());
    for (position, (job, table)) in jobs.iter().zip(&found.tables).enumerate() {
        match table {
            Some(_) => positions.push(position),
            None => verdicts[position] = job.verify_alone(),
        }
    }
    if !positions.is_empty() {
        judge_hot::<J, Single<<J::Curve as Curve>::Field>>(jobs, &found.tables, &positions, verdicts);
    }
    if let Some(position) = found.candidate {
        build_table(&jobs[position]);
    }
}

fn build_table<J: CombJob>(job: &J) {
    if let Some(table) = job.point().and_then(|point| Table::new(&point, KEY_WINDOW_BITS)) {
        J::Curve::tables().keys.insert(job.key().as_ref(), table, false);
    }
}

/// The jobs at `positions`, whose keys have tables.
fn judge_hot<J: CombJob, L: Lanes>(
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
    let generator = J::Curve::tables().generator();
    for chunk in terms.chunks(CHUNK_TERMS_COUNT) {
        let sums = sums::<J::Curve, L>(chunk, generator);
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

/// x and y of every term's sum; `None` where two points with equal x met on the way.
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
    (0..terms.len())
        .map(|index| {
            let (vector, lane) = (index / L::COUNT, index % L::COUNT);
            let (x, y) = by_generator.sum(vector);
            (denominators.exceptional[vector] >> lane & 1 == 0).then(|| (x.number(lane), y.number(lane)))
        })
        .collect()
}
