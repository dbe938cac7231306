//! What this CPU can do, and the backend chosen from it.
//!
//! A vector routine takes a zero-sized witness by value. Only [`detect`] mints one, so "does this core have the
//! instruction" is a type error instead of a comment. Detection covers the operating system too: `std` reads
//! XCR0, so a kernel that does not save the wide registers counts as a CPU without them.

use std::panic::{UnwindSafe, catch_unwind};
use std::sync::LazyLock;

use crate::group::{Trial, trial};
use crate::limits::EIGHT_LANES_TIME_RATIO_MAX;

/// Proof that AVX-512 F, DQ, BW, VL, IFMA and VBMI2 exist on this machine and are enabled by the system.
///
/// The field is private and there is no constructor besides [`detect`]:
///
/// ```compile_fail
/// let forged = assay_kernels::cpu::Avx512Ifma(());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Ifma(());

/// Proof that x86-64's SHA extensions and SSE 4.1 exist on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaInstructions(());

/// The witnesses this machine can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Present when the eight-lane multiply-add kernels can run.
    pub avx512_ifma: Option<Avx512Ifma>,
    /// Present when two messages can be hashed in step.
    pub sha: Option<ShaInstructions>,
}

/// Asks the CPU once; `std` caches the answer, so later calls are a load and a mask.
#[must_use]
pub fn detect() -> Cpu {
    Cpu {
        avx512_ifma: avx512_ifma_present().then_some(Avx512Ifma(())),
        sha: sha_present().then_some(ShaInstructions(())),
    }
}

#[cfg(target_arch = "x86_64")]
fn avx512_ifma_present() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512ifma")
        && std::arch::is_x86_feature_detected!("avx512vbmi2")
}

#[cfg(not(target_arch = "x86_64"))]
fn avx512_ifma_present() -> bool {
    false
}

fn sha_present() -> bool {
    cfg!(target_arch = "x86_64") && has_sha256_instructions()
}

/// Whether SHA-256 has instructions of its own here, those that the `sha2` crate uses.
pub(crate) fn has_sha256_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

impl Backend {
    /// The width of everything that is not left to the libraries; `None` if all is.
    pub(crate) fn width(self) -> Option<Width> {
        match self {
            Self::Portable => None,
            Self::Tables => Some(Width::One),
            Self::PlainLanes => Some(Width::EightPlain),
            Self::Avx512(witness) => Some(Width::Eight(witness)),
        }
    }
}

/// Asks for the cache line of `value` ahead of its use. Changes nothing but time; nothing at all on other CPUs.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching needs nothing beyond SSE, which x86-64 has, and cannot fault whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Which arithmetic answers, chosen once per process by [`Backend::detect`] and passed to every batch function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// libsecp256k1 and AWS-LC, one signature after the other.
    Portable,
    /// Comb tables for keys seen often, in ordinary integers on any CPU; everything else as [`Backend::Portable`].
    Tables,
    /// What [`Backend::Avx512`] computes, step by step, but in ordinary integers: its twin for tests on any CPU. Slow.
    PlainLanes,
    /// Eight lanes of AVX-512 IFMA, with tables for keys seen often and without.
    Avx512(Avx512Ifma),
}

/// A backend and, in one phrase, the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What answers.
    pub backend: Backend,
    /// Why, for logs and reports.
    pub reason: String,
}

/// How many residues stand side by side, and on what.
#[derive(Clone, Copy)]
pub(crate) enum Width {
    One,
    EightPlain,
    Eight(Avx512Ifma),
}

impl Backend {
    /// The fastest backend of this machine: [`Backend::choice`] without the reason.
    #[must_use]
    pub fn detect() -> Self {
        Self::choice().backend
    }

    /// The backend chosen for this process, and why. Where the CPU has AVX-512 IFMA the first call takes tens of
    /// milliseconds: eight lanes have to compute there and then what one lane computes, and faster.
    pub fn choice() -> &'static Choice {
        static CHOICE: LazyLock<Choice> = LazyLock::new(|| {
            choose(detect().avx512_ifma.map(|witness| (witness, guarded(|| trial(Width::Eight(witness), cycles)))))
        });
        &CHOICE
    }

    /// Every backend this machine can run, slowest first; the conformance suite iterates it.
    #[must_use]
    pub fn available() -> &'static [Self] {
        static AVAILABLE: LazyLock<Vec<Backend>> = LazyLock::new(|| {
            let wide = detect().avx512_ifma.map(Backend::Avx512);
            [Backend::Portable, Backend::PlainLanes, Backend::Tables].into_iter().chain(wide).collect()
        });
        &AVAILABLE
    }

    /// The name used in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Tables => "tables",
            Self::PlainLanes => "plain-lanes",
            Self::Avx512(_) => "avx512",
        }
    }

    /// Jobs that make one full kernel call.
    ///
    /// The portable libraries gain nothing from company, so their batch is only a slice of time: sixteen ES256
    /// signatures at 55 µs keep a core away from its sockets for about 0.9 ms. Tables gain little beyond sixteen, and
    /// a batch of keys never seen before costs them as much. A vector backend answers with the size at which its
    /// shared inversions are paid for (128 to 256).
    #[must_use]
    pub const fn batch_jobs_count(self) -> usize {
        match self {
            Self::Portable | Self::Tables => 16,
            Self::PlainLanes | Self::Avx512(_) => 128,
        }
    }
}

/// Lanes that compute wrongly may break what our own assertions say. That fails the trial, not the process.
fn guarded(trial: impl FnOnce() -> Trial + UnwindSafe) -> Trial {
    catch_unwind(trial).unwrap_or(Trial { is_right: false, time_ratio: f64::INFINITY })
}

/// What follows from the trial of eight lanes, where there could be one.
fn choose(tried: Option<(Avx512Ifma, Trial)>) -> Choice {
    let (backend, reason) = match tried {
        None => (Backend::Tables, "no AVX-512 IFMA here".to_owned()),
        Some((_, Trial { is_right: false, .. })) => {
            (Backend::Tables, "eight lanes computed something else than one lane: please report this CPU".to_owned())
        }
        Some((witness, Trial { time_ratio, .. })) => {
            let is_faster = time_ratio <= EIGHT_LANES_TIME_RATIO_MAX;
            let reason = format!("a sum in eight lanes takes {time_ratio:.2} of one lane's time");
            (if is_faster { Backend::Avx512(witness) } else { Backend::Tables }, reason)
        }
    };
    Choice { backend, reason }
}

/// A count that grows evenly with time. Only its ratios are looked at, so its unit does not matter, and it is no clock that
/// a verdict could depend on.
#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction; where a system forbids it, it forbids timers to all its programs.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    unreachable!("only x86-64 mints the witness")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_are_zero_sized_and_minted_only_where_the_instructions_exist() {
        assert_eq!((size_of::<Avx512Ifma>(), size_of::<ShaInstructions>()), (0, 0));
        assert_eq!(detect().avx512_ifma.is_some(), avx512_ifma_present());
        assert_eq!(detect().sha.is_some(), sha_present());
        assert_eq!(detect(), detect());
    }

    /// `scripts/avx512-emulated.sh` sets the variable: there, a suite without the vector backend proves nothing.
    #[test]
    fn the_vector_backend_is_available_where_it_is_required() {
        let available = Backend::available().iter().any(|backend| matches!(backend, Backend::Avx512(_)));
        assert!(available || std::env::var_os("ASSAY_TEST_AVX512").is_none(), "no AVX-512 IFMA here");
    }

    #[test]
    fn the_detected_backend_is_available() {
        assert!(Backend::available().contains(&Backend::detect()));
    }

    #[test]
    fn eight_lanes_answer_only_where_they_are_right_and_faster() {
        // Tests may mint what only `detect` mints elsewhere: nothing is computed with it.
        let witness = Avx512Ifma(());
        let check = |is_right, time_ratio, expected| {
            assert_eq!(choose(Some((witness, Trial { is_right, time_ratio }))).backend, expected);
        };
        check(true, 0.2, Backend::Avx512(witness));
        check(true, EIGHT_LANES_TIME_RATIO_MAX, Backend::Avx512(witness));
        check(true, EIGHT_LANES_TIME_RATIO_MAX * 1.01, Backend::Tables);
        check(true, f64::NAN, Backend::Tables);
        check(false, 0.2, Backend::Tables);
        assert_eq!(choose(None).backend, Backend::Tables);
        assert_eq!(choose(Some((witness, guarded(|| panic!("a digit too large"))))).backend, Backend::Tables);
        assert_eq!(Backend::detect(), Backend::choice().backend);
        assert_eq!(detect().avx512_ifma.is_none(), Backend::choice().reason == choose(None).reason);
    }
}
