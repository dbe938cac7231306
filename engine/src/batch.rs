//! When a core's waiting jobs are verified: pure policy, no clock, no I/O, `now` is an argument.
//!
//! A lane flushes when a kernel batch is full **or** as soon as its core has nothing else ready to run. A lone
//! request therefore never waits for company, and a busy core runs full batches. No timer adds latency; the one
//! bound on age only keeps a core that is never idle from forgetting three jobs behind work that needs no signature.

use std::collections::VecDeque;

use crate::limits::BATCH_AGE_NS_MAX;

/// Nanoseconds on any monotonic clock the caller likes.
pub type Nanos = u64;

/// What to do with the waiting jobs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Take this many and verify them on this core: they fit one kernel call.
    Here(usize),
    /// Take this many and give them to the pool, which splits them.
    Split(usize),
    /// Nothing to do yet.
    Wait,
}

/// Jobs waiting for a verdict, in order of arrival, bounded.
pub struct Batch<T> {
    waiting: VecDeque<(Nanos, T)>,
    kernel_jobs_count: usize,
    jobs_max: usize,
}

impl<T> Batch<T> {
    /// A batch that is full at `kernel_jobs_count` (see `Backend::batch_jobs_count`) and holds at most `jobs_max`.
    ///
    /// # Panics
    /// If `kernel_jobs_count` is 0 or more than `jobs_max`: both come from `limits.rs`.
    #[must_use]
    pub fn new(kernel_jobs_count: usize, jobs_max: usize) -> Self {
        assert!((1..=jobs_max).contains(&kernel_jobs_count), "a full batch fits the queue");
        Self { waiting: VecDeque::new(), kernel_jobs_count, jobs_max }
    }

    /// Adds a job that arrived at `now`.
    ///
    /// # Errors
    /// The job itself, if the bound is reached: answer `QueueFull` at once.
    pub fn push(&mut self, job: T, now: Nanos) -> Result<(), T> {
        if self.waiting.len() >= self.jobs_max {
            return Err(job);
        }
        self.waiting.push_back((now, job));
        Ok(())
    }

    /// Adds a group that arrived together, all of it or nothing.
    ///
    /// # Errors
    /// The group, untouched, if it does not fit.
    pub fn push_all(&mut self, jobs: Vec<T>, now: Nanos) -> Result<(), Vec<T>> {
        if jobs.len() > self.jobs_max - self.waiting.len() {
            return Err(jobs);
        }
        self.waiting.extend(jobs.into_iter().map(|job| (now, job)));
        Ok(())
    }

    /// Decides. `idle` means that this core has no other work ready to run.
    #[must_use]
    pub fn decide(&self, idle: bool, now: Nanos) -> Flush {
        let count = self.waiting.len();
        if count > self.kernel_jobs_count {
            return Flush::Split(count);
        }
        let due = count == self.kernel_jobs_count || idle || self.oldest_age_ns(now) >= BATCH_AGE_NS_MAX;
        if count > 0 && due { Flush::Here(count) } else { Flush::Wait }
    }

    /// Removes the `count` oldest jobs, in order of arrival; fewer if there are fewer.
    pub fn take(&mut self, count: usize) -> Vec<T> {
        let count = count.min(self.waiting.len());
        self.waiting.drain(..count).map(|(_, job)| job).collect()
    }

    /// Age of the oldest waiting job, 0 when none waits; for the metrics. A clock that went back counts as 0.
    #[must_use]
    pub fn oldest_age_ns(&self, now: Nanos) -> Nanos {
        self.waiting.front().map_or(0, |&(arrived, _)| now.saturating_sub(arrived))
    }

    /// Jobs waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_job_on_an_idle_core_flushes_at_once() {
        let mut batch = Batch::new(8, 16);
        assert_eq!(batch.decide(true, 0), Flush::Wait, "nothing to flush");
        batch.push('a', 5).expect("room");
        assert_eq!(batch.decide(false, 5), Flush::Wait);
        assert_eq!(batch.decide(true, 5), Flush::Here(1));
        assert_eq!(batch.take(1), ['a']);
    }

    #[test]
    fn a_full_batch_stays_here_and_a_larger_one_is_split() {
        let mut batch = Batch::new(3, 16);
        batch.push_all(vec![1, 2, 3], 0).expect("room");
        assert_eq!(batch.decide(false, 0), Flush::Here(3));
        batch.push(4, 0).expect("room");
        assert_eq!(batch.decide(false, 0), Flush::Split(4));
        assert_eq!(batch.take(9), [1, 2, 3, 4]);
    }

    #[test]
    fn the_clock_starts_at_the_oldest_job() {
        let mut batch = Batch::new(8, 16);
        batch.push('a', 100).expect("room");
        batch.push('b', 100 + BATCH_AGE_NS_MAX - 1).expect("room");
        assert_eq!(batch.decide(false, 100 + BATCH_AGE_NS_MAX - 1), Flush::Wait);
        assert_eq!(batch.decide(false, 100 + BATCH_AGE_NS_MAX), Flush::Here(2));
        batch.take(1);
        assert_eq!(batch.oldest_age_ns(100 + BATCH_AGE_NS_MAX), 1);
        assert_eq!(batch.oldest_age_ns(0), 0, "a clock that went back");
    }

    #[test]
    fn the_bound_gives_the_job_back() {
        let mut batch = Batch::new(2, 2);
        batch.push(1, 0).expect("room");
        assert_eq!(batch.push_all(vec![2, 3], 0), Err(vec![2, 3]));
        batch.push(2, 0).expect("room");
        assert_eq!(batch.push(3, 0), Err(3));
        assert_eq!(batch.len(), 2);
    }
}
