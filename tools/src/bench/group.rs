//! An operation with its contestants: the same signatures, in each library's own form, one verdict per signature.

use std::ops::Range;

use assay_engine::{Job, verify_now};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The backend that is ours.
pub(crate) const OURS: &str = "assay";
/// One signature in so many is broken.
const INVALID_PERIOD: usize = 8;
/// Which of them; not the first, so that a batch of one begins with a valid one.
const INVALID_PHASE: usize = 5;
/// Keys that share the signatures of a hot pool.
const HOT_KEYS_COUNT: usize = 16;

/// Whether the engine may know the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Every signature has a key of its own, without a table.
    Cold,
    /// Sixteen keys share the signatures, and each has its table.
    Hot,
    /// The scheme has no tables, or the key is not known before the signature.
    Any,
}

impl Key {
    /// As `--json` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Hot => "hot",
            Self::Any => "-",
        }
    }
}

/// What a pool of signatures is made from.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    /// Same seed, same keys and messages.
    pub(crate) seed: u64,
    /// Keeps the keys of one operation out of every other.
    pub(crate) domain: u32,
    /// Signatures in it.
    pub(crate) count: usize,
    /// How they share keys.
    pub(crate) key: Key,
}

impl Pool {
    /// Makes every signature, on all cores.
    pub(crate) fn sign<T: Send>(&self, sign: impl Fn(Draw) -> T + Sync) -> Vec<T> {
        (0..self.count).into_par_iter().map(|index| sign(self.draw(index))).collect()
    }

    fn draw(&self, index: usize) -> Draw {
        let key_index = if self.key == Key::Cold { index } else { index % HOT_KEYS_COUNT };
        Draw {
            key: self.secret(key_index),
            content: bytes(self.seed, self.domain, 1, index),
            is_valid: is_valid(index),
        }
    }

    /// The verdicts that are right.
    pub(crate) fn expected(&self) -> Vec<bool> {
        (0..self.count).map(is_valid).collect()
    }

    /// 32 bytes for a key that the whole pool shares.
    pub(crate) fn shared_key(&self) -> [u8; 32] {
        self.secret(0)
    }

    fn secret(&self, index: usize) -> [u8; 32] {
        let mut secret = bytes(self.seed, self.domain, 0, index);
        // Below the order of either curve, whatever was drawn.
        secret[0] &= 0x7f;
        secret
    }
}

/// What one signature is made from.
pub(crate) struct Draw {
    /// A secret key.
    pub(crate) key: [u8; 32],
    /// Unique to this signature.
    pub(crate) content: [u8; 32],
    /// Whether it shall verify.
    pub(crate) is_valid: bool,
}

impl Draw {
    /// The content as it is shown to the verifier: a broken signature belongs to another message.
    pub(crate) fn shown(&self) -> [u8; 32] {
        let mut shown = self.content;
        if !self.is_valid {
            shown[7] ^= 0x10;
        }
        shown
    }
}

fn is_valid(index: usize) -> bool {
    index % INVALID_PERIOD != INVALID_PHASE
}

fn bytes(seed: u64, domain: u32, purpose: u64, index: usize) -> [u8; 32] {
    use rand::Rng as _;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((u64::from(domain) << 33) | (purpose << 32) | index as u64);
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

type Judge = dyn Fn(Range<usize>, &mut Vec<bool>) + Send + Sync;

/// A backend with the pool in its own form.
pub(crate) struct Contestant {
    /// As `--json` names it.
    pub(crate) backend: &'static str,
    judge: Box<Judge>,
}

impl Contestant {
    /// A library: one signature after the other.
    pub(crate) fn one_by_one<J: Send + Sync + 'static>(
        backend: &'static str,
        jobs: Vec<J>,
        verify: impl Fn(&J) -> bool + Send + Sync + 'static,
    ) -> Self {
        let judge = move |window: Range<usize>, verdicts: &mut Vec<bool>| {
            verdicts.extend(jobs[window].iter().map(&verify));
        };
        Self { backend, judge: Box::new(judge) }
    }

    /// The engine: a batch at a time.
    pub(crate) fn engine(jobs: Vec<Job>) -> Self {
        Self::batches(OURS, jobs, engine_verdicts)
    }

    /// Something that takes a batch of what it was given.
    pub(crate) fn batches<J: Send + Sync + 'static>(
        backend: &'static str,
        jobs: Vec<J>,
        verify: impl Fn(&[J], &mut Vec<bool>) + Send + Sync + 'static,
    ) -> Self {
        Self { backend, judge: Box::new(move |window, verdicts| verify(&jobs[window], verdicts)) }
    }

    /// Judges a batch, appending one verdict per signature.
    pub(crate) fn judge(&self, window: Range<usize>, verdicts: &mut Vec<bool>) {
        (self.judge)(window, verdicts);
    }
}

/// Judges with the engine, appending.
pub(crate) fn engine_verdicts(jobs: &[Job], verdicts: &mut Vec<bool>) {
    let mut judged = Vec::with_capacity(jobs.len());
    verify_now(jobs, &mut judged);
    verdicts.extend(judged.iter().map(|verdict| verdict.is_valid()));
}

/// An operation, ready to be measured.
pub(crate) struct Group {
    /// What is right, by signature.
    pub(crate) expected: Vec<bool>,
    /// All see the same signatures.
    pub(crate) contestants: Vec<Contestant>,
}
