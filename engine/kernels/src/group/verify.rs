//! Verdicts from tables.
//!
#![doc = include_str!("../../docs/exceptional.md")]

use std::sync::{Arc, LazyLock};

use super::cache::{Found, Full, KeyTables};
use super::curve::{Curve, P256, Secp256k1};
use super::lift::{Known, points};
use super::recode::Digits;
use super::scalars::{ecdsa_scalars, reduced};
use super::sums::{ByKey, Comb, Term, for_each_sum};
use super::table::{GENERATOR_WINDOW_BITS, KEY_WINDOW_BITS, Table, WIDE_WINDOW_BITS, table_bytes};
use super::window::Product;
use crate::cpu::Width;
use crate::field::{Field, Limbs, Modulus, Montgomery, add_carry, from_be_bytes, is_below, sub_borrow};
use crate::job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1CompressedJob, EcdsaSecp256k1Job, RecoverSecp256k1Job};
use crate::key::{P256PublicKey, Secp256k1PublicKey};
use crate::portable;
use crate::sha256::{Message, Midstate, for_each_digest};

/// The fewest signatures with unseen keys that eight lanes verify sooner than the libraries do. One lane never does: on
/// Zen 3 it takes 0.94 of libsecp256k1's time and 1.2 of AWS-LC's.
const fn unseen_jobs_count_min(width: Width) -> usize {
    match width {
        Width::One => usize::MAX,
        // Two take three quarters of libsecp256k1's time on Zen 4, and 0.87 of AWS-LC's.
        Width::EightPlain | Width::Eight(_) => 2,
    }
}

/// The fewest signatures by keys with tables that eight lanes verify sooner than one lane: on Zen 4, one takes them 1.25 of
/// its time, two 0.7.
const HOT_JOBS_COUNT_MIN: usize = 2;

/// Jobs with wide tables that are worth sums of their own beside other jobs: what such a table saves has to pay for the
/// divisions of one sum more. In one lane, twelve of sixteen jobs summed apart take 1.08 of the time of all sixteen by narrow
/// tables; in eight, 48 of 64 take 1.1.
const WIDE_JOBS_COUNT_MIN: usize = 64;

/// See [`crate::verify_ecdsa_secp256k1_vartime`].
pub(crate) fn verify_ecdsa_secp256k1(width: Width, jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    judge(width, jobs, verdicts);
}

/// See [`crate::verify_ecdsa_secp256k1_compressed_vartime`].
pub(crate) fn verify_ecdsa_secp256k1_compressed(
    width: Width,
    jobs: &[EcdsaSecp256k1CompressedJob],
    verdicts: &mut [bool],
) {
    judge(width, jobs, verdicts);
}

/// See [`crate::recover_secp256k1_vartime`]. Q = (s/r)·R − (z/r)·G.
pub(crate) fn recover_secp256k1(width: Width, jobs: &[RecoverSecp256k1Job], keys: &mut [Option<Secp256k1PublicKey>]) {
    if jobs.len() < unseen_jobs_count_min(width) {
        return portable::secp256k1::recover_vartime(jobs, keys);
    }
    let order = <Secp256k1 as Curve>::Order::LIMBS;
    let known: Vec<_> = jobs.iter().map(commitment).collect();
    let scalars = ecdsa_scalars::<Secp256k1>(width, jobs.iter().map(|job| [&job.msg_hash, &job.s, &job.r]));
    let mut terms = Vec::with_capacity(jobs.len());
    for (position, (point, scalars)) in points::<Secp256k1>(width, &known).into_iter().zip(scalars).enumerate() {
        keys[position] = None;
        let (Some(point), Some((a, b))) = (point, scalars) else {
            continue;
        };
        let (a, _) = sub_borrow(&order, &a);
        match (Digits::new(&a, &order, GENERATOR_WINDOW_BITS), Secp256k1::parts(&b)) {
            // −0 is n, which is no scalar.
            (Some(by_generator), Some(parts)) if is_below(&a, &order) => {
                terms.push((position, Term { by_generator, by_key: Product { point, parts } }));
            }
            _ => portable::secp256k1::recover_vartime(&jobs[position..=position], &mut keys[position..=position]),
        }
    }
    for_each_sum::<Secp256k1, _>(width, &terms, |position, sum| match sum {
        Some((x, y)) => {
            let mut sec1 = [0x04; 65];
            for (bytes, limb) in sec1[1..].chunks_exact_mut(8).zip(x.iter().rev().chain(y.iter().rev())) {
                bytes.copy_from_slice(&limb.to_be_bytes());
            }
            keys[position] = Secp256k1PublicKey::from_uncompressed(&sec1).ok();
        }
        None => portable::secp256k1::recover_vartime(&jobs[position..=position], &mut keys[position..=position]),
    });
}

/// R of a signature to recover from.
fn commitment(job: &RecoverSecp256k1Job) -> Known {
    let r = from_be_bytes(&job.r);
    let (x, overflow) =
        if job.recovery_id & 2 == 0 { (r, false) } else { add_carry(&r, &<Secp256k1 as Curve>::Order::LIMBS) };
    match job.recovery_id {
        0..=3 if !overflow => Known::X { x, y_is_odd: job.recovery_id & 1 == 1 },
        _ => Known::Nothing,
    }
}

/// See [`crate::verify_ecdsa_p256_vartime`].
pub(crate) fn verify_ecdsa_p256(width: Width, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    judge(width, jobs, verdicts);
}

/// See [`crate::verify_bip340_vartime`].
pub(crate) fn verify_bip340(width: Width, jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    judge(width, jobs, verdicts);
}

/// See [`crate::prepare_base_points`].
pub(crate) fn prepare_base_points(width: Width) {
    Secp256k1::tables().generator(width);
    P256::tables().generator(width);
}

/// See [`crate::prepare_secp256k1_key`].
pub(crate) fn prepare_secp256k1(width: Width, key: &Secp256k1PublicKey) -> bool {
    prepare::<Secp256k1>(width, &key.to_compressed(), secp256k1_known(key))
}

/// See [`crate::prepare_p256_key`].
pub(crate) fn prepare_p256(width: Width, key: &P256PublicKey) -> bool {
    prepare::<P256>(width, key.as_sec1(), p256_known(key))
}

/// See [`crate::release_secp256k1_key`].
pub(crate) fn release_secp256k1(key: &Secp256k1PublicKey) {
    Secp256k1::tables().keys.unpin(&key.to_compressed());
}

/// See [`crate::release_p256_key`].
pub(crate) fn release_p256(key: &P256PublicKey) {
    P256::tables().keys.unpin(key.as_sec1());
}

/// See [`crate::widen_busiest_keys`].
pub(crate) fn widen_busiest(width: Width) -> usize {
    usize::from(widen::<Secp256k1>(width)) + usize::from(widen::<P256>(width))
}

fn widen<C: Curve>(width: Width) -> bool {
    let keys = &C::tables().keys;
    let Some((key, point)) = keys.busiest(table_bytes(WIDE_WINDOW_BITS)) else {
        return false;
    };
    Table::new(width, &point, WIDE_WINDOW_BITS).is_some_and(|table| keys.insert_wide(&key, table))
}

fn prepare<C: Curve>(width: Width, key: &[u8], known: Known) -> bool {
    C::tables().generator(width);
    let keys = &C::tables().keys;
    match keys.pin(key, table_bytes(KEY_WINDOW_BITS)) {
        Ok(true) => true,
        Ok(false) => table::<C>(width, known).is_some_and(|table| keys.insert(key, table, true)),
        Err(Full) => false,
    }
}

fn table<C: Curve>(width: Width, known: Known) -> Option<Table<C>> {
    let point = points::<C>(Width::One, &[known])[0]?;
    Table::new(width, &point, KEY_WINDOW_BITS)
}

fn secp256k1_known(key: &Secp256k1PublicKey) -> Known {
    known::<Secp256k1>(&key.0.serialize_uncompressed())
}

fn p256_known(key: &P256PublicKey) -> Known {
    known::<P256>(key.as_sec1())
}

/// A key in one of the forms of SEC 1, §2.3.3, other than the identity and the hybrid ones.
fn known<C: Curve>(sec1: &[u8]) -> Known {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(from_be_bytes);
    let known = match sec1 {
        [sign @ (0x02 | 0x03), x @ ..] => number(x).map(|x| Known::X { x, y_is_odd: *sign == 0x03 }),
        [0x04, coordinates @ ..] => coordinates.split_at_checked(32).and_then(|(x, y)| {
            let point = C::point(number(x)?, number(y)?)?;
            Some(Known::Point(point))
        }),
        _ => None,
    };
    known.unwrap_or(Known::Nothing)
}

/// A verification that ends in R = a·G + b·Q.
trait CombJob {
    type Curve: Curve;
    type Key: AsRef<[u8]> + PartialEq;

    /// Names the key in the cache.
    fn key(&self) -> Self::Key;
    /// What is known of the key as a point.
    fn known(&self) -> Known;
    /// a and b for each job, in order; `None` says that the signature is malformed and the verdict false.
    fn scalars<'a>(width: Width, jobs: impl ExactSizeIterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
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

    fn known(&self) -> Known {
        secp256k1_known(&self.public_key)
    }

    fn scalars<'a>(width: Width, jobs: impl ExactSizeIterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>> {
        ecdsa_scalars::<Secp256k1>(width, jobs.map(|job| [&job.msg_hash, &job.r, &job.s]))
    }

    fn accepts(&self, x: &Limbs, _: &Limbs) -> bool {
        is_x_mod_n::<Secp256k1>(&self.r, x)
    }

    fn verify_alone(&self) -> bool {
        alone(self, portable::secp256k1::verify_ecdsa_vartime)
    }
}

impl CombJob for EcdsaSecp256k1CompressedJob {
    type Curve = Secp256k1;
    type Key = [u8; 33];

    fn key(&self) -> [u8; 33] {
        self.public_key
    }

    fn known(&self) -> Known {
        known::<Secp256k1>(&self.public_key)
    }

    fn scalars<'a>(width: Width, jobs: impl ExactSizeIterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>> {
        ecdsa_scalars::<Secp256k1>(width, jobs.map(|job| [&job.msg_hash, &job.r, &job.s]))
    }

    fn accepts(&self, x: &Limbs, _: &Limbs) -> bool {
        is_x_mod_n::<Secp256k1>(&self.r, x)
    }

    fn verify_alone(&self) -> bool {
        alone(self, portable::secp256k1::verify_ecdsa_compressed_vartime)
    }
}

impl<'k> CombJob for EcdsaP256Job<'k> {
    type Curve = P256;
    type Key = &'k [u8];

    fn key(&self) -> &'k [u8] {
        self.public_key.as_sec1()
    }

    fn known(&self) -> Known {
        p256_known(self.public_key)
    }

    fn scalars<'a>(width: Width, jobs: impl ExactSizeIterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
    where
        Self: 'a,
    {
        ecdsa_scalars::<P256>(width, jobs.map(|job| [&job.msg_hash, &job.r, &job.s]))
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

    fn known(&self) -> Known {
        Known::X { x: from_be_bytes(&self.public_key.to_bytes()), y_is_odd: false }
    }

    /// R = s·G − e·P.
    fn scalars<'a>(_: Width, jobs: impl ExactSizeIterator<Item = &'a Self>) -> Vec<Option<(Limbs, Limbs)>>
    where
        Self: 'a,
    {
        let order = <Secp256k1 as Curve>::Order::LIMBS;
        let mut scalars = vec![None; jobs.len()];
        let challenges = jobs.zip(&mut scalars).map(|(job, scalars)| ((job, scalars), job.challenge()));
        for_each_digest(challenges, |(job, scalars), e| {
            let (_, s) = job.signature.split_first_chunk::<32>().expect("64 ≥ 32");
            let s = from_be_bytes(s.try_into().expect("64 − 32 = 32"));
            let e = Montgomery::<<Secp256k1 as Curve>::Order>::from_stored(reduced::<Secp256k1>(from_be_bytes(&e)));
            *scalars = is_below(&s, &order).then(|| (s, e.negate().stored()));
        });
        scalars
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

impl<'a> Bip340Job<'a> {
    /// What has e as its digest: `hash_BIP0340/challenge(r ‖ P ‖ m)`. The tag's block is hashed once per process.
    fn challenge(&self) -> Message<'a> {
        static TAGGED: LazyLock<Midstate> = LazyLock::new(|| {
            let tag = Message::new(b"BIP0340/challenge").digest();
            Midstate::after([tag, tag].as_flattened().try_into().expect("2 · 32 = 64"))
        });
        let mut head = [0; 64];
        head[..32].copy_from_slice(&self.signature[..32]);
        head[32..].copy_from_slice(&self.public_key.to_bytes());
        Message::after(&TAGGED, self.message).with_head(&head)
    }
}

/// x mod n = r, for x < p < 2n and r in 1..n: x is r, or r + n where that is below p.
fn is_x_mod_n<C: Curve>(r: &[u8; 32], x: &Limbs) -> bool {
    let (less, below) = sub_borrow(x, &<C::Order as Modulus>::LIMBS);
    from_be_bytes(r) == if below { *x } else { less }
}

/// One verdict per job, in order.
fn judge<J: CombJob>(width: Width, jobs: &[J], verdicts: &mut [bool]) {
    let tables = J::Curve::tables();
    let found = match jobs {
        // A lone job without a table, which is most of what a quiet server sees, does without the lists.
        [job] => match tables.keys.look_up_one(job.key().as_ref()) {
            Ok(table) => Found { tables: vec![Some(table)], candidate: None },
            Err(has_earned_one) => {
                verdicts[0] = job.verify_alone();
                if has_earned_one {
                    build_table(width, job);
                }
                return;
            }
        },
        _ => tables.keys.look_up(jobs.iter().map(J::key)),
    };
    let (hot, unseen): (Vec<_>, Vec<_>) = (0..jobs.len()).partition(|&position| found.tables[position].is_some());
    judge_hot(width, jobs, &found.tables, hot, verdicts);
    if unseen.len() >= unseen_jobs_count_min(width) {
        let known: Vec<_> = unseen.iter().map(|&position| jobs[position].known()).collect();
        let mut keys = vec![None; jobs.len()];
        for (&position, point) in unseen.iter().zip(points::<J::Curve>(width, &known)) {
            keys[position] = point;
        }
        let by_key = |position: usize, b: &Limbs| {
            Some(Product { point: keys[position]?, parts: <J::Curve as Curve>::parts(b)? })
        };
        judge_terms(width, jobs, &unseen, by_key, verdicts);
    } else {
        for position in unseen {
            verdicts[position] = jobs[position].verify_alone();
        }
    }
    if let Some(position) = found.candidate {
        build_table(width, &jobs[position]);
    }
}

/// The positions `hot` to be summed by wide tables, and those to be summed by narrow ones, which all keys here have. Few with
/// wide ones beside others are summed with those.
fn by_width(hot: Vec<usize>, is_wide: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<usize>) {
    let (mut wide, mut narrow): (Vec<_>, Vec<_>) = hot.into_iter().partition(|&position| is_wide(position));
    if !narrow.is_empty() && wide.len() < WIDE_JOBS_COUNT_MIN {
        narrow.append(&mut wide);
    }
    (wide, narrow)
}

/// The jobs at the positions `hot`, whose keys have tables.
fn judge_hot<J: CombJob>(
    width: Width,
    jobs: &[J],
    tables: &[Option<Arc<KeyTables<J::Curve>>>],
    hot: Vec<usize>,
    verdicts: &mut [bool],
) {
    let width = if hot.len() < HOT_JOBS_COUNT_MIN { Width::One } else { width };
    let wide_of = |position: usize| tables[position].as_ref().and_then(|tables| tables.wide.as_deref());
    let (wide, narrow) = by_width(hot, |position| wide_of(position).is_some());
    let order = <<J::Curve as Curve>::Order as Modulus>::LIMBS;
    if !wide.is_empty() {
        let by_key = |position: usize, b: &Limbs| {
            Some(Comb { digits: Digits::new(b, &order, WIDE_WINDOW_BITS)?, table: wide_of(position)? })
        };
        judge_terms(width, jobs, &wide, by_key, verdicts);
    }
    if !narrow.is_empty() {
        let by_key = |position: usize, b: &Limbs| {
            Some(Comb { digits: Digits::new(b, &order, KEY_WINDOW_BITS)?, table: &tables[position].as_ref()?.narrow })
        };
        judge_terms(width, jobs, &narrow, by_key, verdicts);
    }
}

fn build_table<J: CombJob>(width: Width, job: &J) {
    if let Some(table) = table::<J::Curve>(width, job.known()) {
        J::Curve::tables().keys.insert(job.key().as_ref(), table, false);
    }
}

/// The jobs at `positions`, whose share of the key `by_key` prepares.
fn judge_terms<J: CombJob, K: ByKey<J::Curve>>(
    width: Width,
    jobs: &[J],
    positions: &[usize],
    by_key: impl Fn(usize, &Limbs) -> Option<K>,
    verdicts: &mut [bool],
) {
    let order = <<J::Curve as Curve>::Order as Modulus>::LIMBS;
    let scalars = J::scalars(width, positions.iter().map(|&position| &jobs[position]));
    let mut terms = Vec::with_capacity(positions.len());
    for (&position, scalars) in positions.iter().zip(scalars) {
        let Some((a, b)) = scalars else {
            verdicts[position] = false;
            continue;
        };
        match (Digits::new(&a, &order, GENERATOR_WINDOW_BITS), by_key(position, &b)) {
            (Some(by_generator), Some(by_key)) => terms.push((position, Term { by_generator, by_key })),
            _ => verdicts[position] = jobs[position].verify_alone(),
        }
    }
    for_each_sum::<J::Curve, _>(width, &terms, |position, sum| {
        verdicts[position] = match sum {
            Some((x, y)) => jobs[position].accepts(&x, &y),
            None => jobs[position].verify_alone(),
        };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_tables_are_used_alone_or_where_they_are_many() {
        let split = |count: usize, wide_count: usize| {
            let (wide, narrow) = by_width((10..10 + count).collect(), |position| position < 10 + wide_count);
            let mut all = [wide.as_slice(), narrow.as_slice()].concat();
            all.sort_unstable();
            assert_eq!(all, (10..10 + count).collect::<Vec<_>>());
            (wide.len(), narrow.len())
        };
        let many = WIDE_JOBS_COUNT_MIN;
        assert_eq!(split(1, 1), (1, 0));
        assert_eq!(split(many, 0), (0, many));
        assert_eq!(split(many, many - 1), (0, many));
        assert_eq!(split(many + 1, many), (many, 1));
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
            assert_eq!(Bip340Job::scalars(Width::One, std::iter::once(&job))[0].is_none(), refused, "{last:x}");
        }
    }

    /// The lower half of secp256k1's n.
    const ORDER_LOW: [u8; 16] = 0xbaae_dce6_af48_a03b_bfd2_5e8c_d036_4141_u128.to_be_bytes();
}
