//! Batches larger than one kernel call, on all cores: bounded, ordered, and alive after a panic.
//!
//! The caller is never blocked: [`Pool::verify`] either takes the jobs or says at once that it cannot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use assay_kernels::Backend;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::error::{Unavailable, Verdict};
use crate::job::Job;
use crate::limits::{POOL_JOBS_MAX, POOL_THREADS_MAX};
use crate::verify::{guarded, judge};

type Judge = fn(Backend, &[Job], &mut [Verdict]);

/// Worker threads shared by every core. Cloning shares them.
#[derive(Clone)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
    shared: Arc<Shared>,
    backend: Backend,
    jobs_max: usize,
    judge: Judge,
}

struct Shared {
    jobs_in_flight_count: AtomicUsize,
    shutting_down: AtomicBool,
}

/// The pool's threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("verification threads cannot start")]
pub struct StartError(#[from] rayon::ThreadPoolBuildError);

impl Pool {
    /// Starts `threads_count` workers (at least one, at most [`POOL_THREADS_MAX`]).
    ///
    /// # Errors
    /// [`StartError`] if the system gives no threads.
    pub fn new(threads_count: usize) -> Result<Self, StartError> {
        Self::with(Backend::detect(), threads_count, POOL_JOBS_MAX, judge)
    }

    fn with(backend: Backend, threads_count: usize, jobs_max: usize, judge: Judge) -> Result<Self, StartError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads_count.clamp(1, POOL_THREADS_MAX))
            .thread_name(|index| format!("assay-verify-{index}"))
            // Rayon aborts the process on a panic that leaves a spawned task unless someone takes it. Everything
            // that can panic is caught closer to its cause; this is the last net.
            .panic_handler(drop)
            .build()?;
        Ok(Self {
            threads: Arc::new(threads),
            shared: Arc::new(Shared {
                jobs_in_flight_count: AtomicUsize::new(0),
                shutting_down: AtomicBool::new(false),
            }),
            backend,
            jobs_max,
            judge,
        })
    }

    /// Judges `jobs` on the workers and calls `done` there with one verdict per job, in job order.
    ///
    /// Returns at once. `done` should only hand the verdicts on (a channel, a waker): it runs on a worker. A panic
    /// in verification is [`Verdict::Internal`] for its job; a panic in `done` is swallowed.
    ///
    /// # Errors
    /// [`Unavailable::QueueFull`] if the bound on unanswered jobs would be passed, [`Unavailable::ShuttingDown`]
    /// after [`Pool::shut_down`]. `done` is dropped uncalled then.
    pub fn verify(&self, jobs: Vec<Job>, done: impl FnOnce(Vec<Verdict>) + Send + 'static) -> Result<(), Unavailable> {
        if self.shared.shutting_down.load(Ordering::Acquire) {
            return Err(Unavailable::ShuttingDown);
        }
        let reservation = Reservation::new(&self.shared, jobs.len(), self.jobs_max)?;
        let (backend, judge) = (self.backend, self.judge);
        self.threads.spawn(move || {
            let verdicts = judge_split(backend, judge, &jobs);
            drop(jobs);
            drop(reservation);
            // Unwind safety: `done` and everything it captured end here, whatever happens.
            let _swallowed = catch_unwind(AssertUnwindSafe(|| done(verdicts)));
        });
        Ok(())
    }

    /// Takes no further jobs; those already taken are answered.
    pub fn shut_down(&self) {
        self.shared.shutting_down.store(true, Ordering::Release);
    }

    /// Jobs taken and not yet answered, for the metrics.
    #[must_use]
    pub fn jobs_in_flight_count(&self) -> usize {
        self.shared.jobs_in_flight_count.load(Ordering::Relaxed)
    }
}

/// One kernel call per piece, pieces on all workers. Slices keep the order, so nothing needs sorting afterwards.
fn judge_split(backend: Backend, judge: Judge, jobs: &[Job]) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Internal; jobs.len()];
    let piece = backend.batch_jobs_count();
    jobs.par_chunks(piece).zip(verdicts.par_chunks_mut(piece)).for_each(|(jobs, verdicts)| {
        guarded(jobs, verdicts, Verdict::Internal, |jobs, verdicts| {
            judge(backend, jobs, verdicts);
        });
    });
    verdicts
}

/// Room in the pool, given back when dropped.
struct Reservation {
    shared: Arc<Shared>,
    jobs_count: usize,
}

impl Reservation {
    fn new(shared: &Arc<Shared>, jobs_count: usize, jobs_max: usize) -> Result<Self, Unavailable> {
        shared
            .jobs_in_flight_count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_flight| {
                in_flight.checked_add(jobs_count).filter(|&total| total <= jobs_max)
            })
            .map_err(|_| Unavailable::QueueFull)?;
        Ok(Self { shared: Arc::clone(shared), jobs_count })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.jobs_in_flight_count.fetch_sub(self.jobs_count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::Reject;

    /// A job whose message carries its number; `numbered_judge` answers from it.
    fn job(number: u16) -> Job {
        Job::BitcoinMessage { public_key: [0; 33], message: number.to_be_bytes().to_vec(), signature: [0; 65] }
    }

    fn number(job: &Job) -> u16 {
        match job {
            Job::BitcoinMessage { message, .. } => u16::from_be_bytes([message[0], message[1]]),
            _ => unreachable!("tests make only numbered jobs"),
        }
    }

    const POISON: u16 = 613;

    fn expected(number: u16) -> Verdict {
        match number {
            POISON => Verdict::Internal,
            _ if number.is_multiple_of(3) => Verdict::Valid,
            _ => Verdict::Invalid(Reject::Mismatch),
        }
    }

    fn numbered_judge(_: Backend, jobs: &[Job], verdicts: &mut [Verdict]) {
        for (job, verdict) in jobs.iter().zip(verdicts) {
            assert_ne!(number(job), POISON, "planted panic");
            *verdict = expected(number(job));
        }
    }

    fn pool(jobs_max: usize) -> Pool {
        Pool::with(Backend::Portable, 2, jobs_max, numbered_judge).expect("threads")
    }

    fn verify(pool: &Pool, numbers: impl Iterator<Item = u16>) -> Vec<Verdict> {
        let (sender, receiver) = mpsc::channel();
        pool.verify(numbers.map(job).collect(), move |verdicts| {
            sender.send(verdicts).expect("the test waits");
        })
        .expect("room");
        receiver.recv().expect("an answer")
    }

    /// Attack 42: a panic in a worker job costs that job its verdict and nothing else.
    #[test]
    fn attack_42_a_panic_is_internal_for_its_job_alone_and_the_pool_lives() {
        let pool = pool(10_000);
        for _ in 0..3 {
            let verdicts = verify(&pool, 0..1_000);
            for (verdict, number) in verdicts.into_iter().zip(0..1_000) {
                assert_eq!(verdict, expected(number), "{number}");
            }
        }
        assert_eq!(pool.jobs_in_flight_count(), 0);
    }

    #[test]
    fn a_panic_in_the_callback_is_swallowed() {
        let pool = pool(100);
        pool.verify(vec![job(1)], |_| panic!("planted panic")).expect("room");
        assert_eq!(verify(&pool, 0..3).len(), 3);
    }

    /// Attack 37: beyond the bound the caller hears so at once, and room comes back with the answer.
    #[test]
    fn attack_37_the_bound_is_exact_and_released() {
        let pool = pool(100);
        let jobs = |count| (0..count).map(job).collect::<Vec<_>>();
        assert_eq!(pool.verify(jobs(101), |_| ()), Err(Unavailable::QueueFull));
        let (release, wait) = mpsc::channel::<()>();
        let (answered, answer) = mpsc::channel();
        // Both workers are held by callbacks, so the next jobs stay in flight.
        let wait = Arc::new(std::sync::Mutex::new(wait));
        for _ in 0..2 {
            let wait = Arc::clone(&wait);
            let answered = answered.clone();
            pool.verify(jobs(1), move |_| {
                let _released = wait.lock().expect("no panic here").recv();
                answered.send(()).expect("the test waits");
            })
            .expect("room");
        }
        while pool.jobs_in_flight_count() > 0 {
            std::thread::yield_now();
        }
        let held = answered.clone();
        pool.verify(jobs(100), move |_| held.send(()).expect("the test waits")).expect("exactly full");
        assert_eq!(pool.verify(jobs(1), |_| ()), Err(Unavailable::QueueFull));
        drop(release);
        for _ in 0..3 {
            answer.recv().expect("an answer");
        }
        assert_eq!(verify(&pool, 0..100).len(), 100);
    }

    #[test]
    fn shutting_down_refuses_new_jobs() {
        let pool = pool(100);
        pool.shut_down();
        assert_eq!(pool.verify(vec![job(1)], |_| ()), Err(Unavailable::ShuttingDown));
    }

    #[test]
    fn an_empty_batch_is_answered() {
        assert_eq!(verify(&pool(1), 0..0), []);
    }
}
