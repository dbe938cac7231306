//! This core's jobs waiting for a verdict.
//!
//! The policy (when to flush, how much) is the engine's [`Batch`]; this file only drives it from an executor. A job
//! that finds nobody flushing starts a flush task, and the task gives way once: when no other job has come by the time
//! it runs again, everything that was ready on this core has run, so there is nothing to wait for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use assay_engine::batch::{Batch, Flush};
use assay_engine::limits::LANE_JOBS_MAX;
use assay_engine::{Backend, Job, Unavailable, Verdict, verify_now};
use futures_channel::oneshot;

use crate::core::Core;
use crate::runtime::yield_once;
use crate::telemetry::SchemeLabel;

/// The waiting jobs of one core.
pub struct Lane {
    batch: RefCell<Batch<Waiting>>,
    flushing: Cell<bool>,
}

struct Waiting {
    job: Job,
    answer: oneshot::Sender<Verdict>,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            batch: RefCell::new(Batch::new(Backend::detect().batch_jobs_count(), LANE_JOBS_MAX)),
            flushing: Cell::new(false),
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("jobs", &self.batch.borrow().len()).finish_non_exhaustive()
    }
}

/// Verifies one signature.
///
/// # Errors
/// The lane or the pool is full, or the pool is shutting down.
pub async fn verify(core: &Rc<Core>, job: Job) -> Result<Verdict, Unavailable> {
    let (answer, verdict) = oneshot::channel();
    let now = core.shared.clock.monotonic_ns();
    core.lane.batch.borrow_mut().push(Waiting { job, answer }, now).map_err(|_| Unavailable::QueueFull)?;
    core.shared.metrics.lane_jobs.inc();
    flush_or_wait(core);
    verdict.await.map_err(|_| Unavailable::QueueFull)
}

/// Verifies many signatures that arrived together; one verdict per job, in order.
///
/// # Errors
/// As [`verify`], for all of them or none.
pub async fn verify_all(core: &Rc<Core>, jobs: Vec<Job>) -> Result<Vec<Verdict>, Unavailable> {
    let (waiting, answers): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .map(|job| {
            let (answer, verdict) = oneshot::channel();
            (Waiting { job, answer }, verdict)
        })
        .unzip();
    let now = core.shared.clock.monotonic_ns();
    core.lane.batch.borrow_mut().push_all(waiting, now).map_err(|_| Unavailable::QueueFull)?;
    core.shared.metrics.lane_jobs.inc_by(i64::try_from(answers.len()).unwrap_or(i64::MAX));
    flush_or_wait(core);
    let mut verdicts = Vec::with_capacity(answers.len());
    for answer in answers {
        verdicts.push(answer.await.map_err(|_| Unavailable::QueueFull)?);
    }
    Ok(verdicts)
}

fn flush_or_wait(core: &Rc<Core>) {
    let lane = &core.lane;
    if flush(core, false) || lane.flushing.replace(true) {
        return;
    }
    let core_of_task = Rc::clone(core);
    core.spawn(async move {
        let core = core_of_task;
        loop {
            let before = core.lane.batch.borrow().len();
            yield_once().await;
            let waiting = core.lane.batch.borrow().len();
            if waiting == 0 {
                break;
            }
            flush(&core, waiting <= before);
        }
        core.lane.flushing.set(false);
    });
}

/// Does what the policy says. Returns whether anything was flushed.
fn flush(core: &Rc<Core>, idle: bool) -> bool {
    let now = core.shared.clock.monotonic_ns();
    let decision = core.lane.batch.borrow().decide(idle, now);
    let (Flush::Here(count) | Flush::Split(count)) = decision else { return false };
    let taken = core.lane.batch.borrow_mut().take(count);
    let metrics = &core.shared.metrics;
    metrics.batch_jobs.observe(taken.len() as f64);
    metrics.lane_jobs.dec_by(i64::try_from(taken.len()).unwrap_or(i64::MAX));
    let (jobs, answers): (Vec<_>, Vec<_>) = taken.into_iter().map(|waiting| (waiting.job, waiting.answer)).unzip();
    let scheme = SchemeLabel { scheme: jobs.first().map_or("none", |job| job.scheme().name()) };
    match decision {
        Flush::Here(_) => {
            let mut verdicts = Vec::with_capacity(jobs.len());
            verify_now(&jobs, &mut verdicts);
            let spent_ns = core.shared.clock.monotonic_ns().saturating_sub(now);
            let each_s = spent_ns as f64 / 1e9 / jobs.len() as f64;
            metrics.verify_seconds.get_or_create(&scheme).observe(each_s);
            for (answer, verdict) in answers.into_iter().zip(verdicts) {
                let _nobody_waits_any_more = answer.send(verdict);
            }
        }
        Flush::Split(_) => {
            let (clock, metrics, count) = (core.shared.clock.clone(), metrics.clone(), jobs.len());
            // A full pool drops the answers, and every waiting caller hears "unavailable".
            let _full = core.shared.pool.verify(jobs, move |verdicts| {
                let each_s = clock.monotonic_ns().saturating_sub(now) as f64 / 1e9 / count as f64;
                metrics.verify_seconds.get_or_create(&scheme).observe(each_s);
                for (answer, verdict) in answers.into_iter().zip(verdicts) {
                    let _nobody_waits_any_more = answer.send(verdict);
                }
            });
        }
        Flush::Wait => {}
    }
    true
}
