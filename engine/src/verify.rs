//! Judges a mixed slice of jobs on this thread: grouped by scheme, each group one homogeneous batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use assay_kernels::Backend;

use crate::error::Verdict;
use crate::job::Job;
use crate::limits::BATCH_JOBS_MAX;
use crate::scheme;

/// Judges `jobs` on this thread with the detected backend; afterwards `out` holds one verdict per job, in order.
pub fn verify_now(jobs: &[Job], out: &mut Vec<Verdict>) {
    verify_now_with(Backend::detect(), jobs, out);
}

/// [`verify_now`] with the backend as an argument, for the conformance suite and for benches.
pub fn verify_now_with(backend: Backend, jobs: &[Job], out: &mut Vec<Verdict>) {
    out.clear();
    out.resize(jobs.len(), Verdict::Internal);
    guarded(jobs, out, Verdict::Internal, |jobs, verdicts| judge(backend, jobs, verdicts));
}

/// Runs `answer`, and if it panics runs it again for each job alone, so that only the culprit's answer is `of_a_panic`.
pub(crate) fn guarded<J, A: Copy>(jobs: &[J], answers: &mut [A], of_a_panic: A, answer: impl Fn(&[J], &mut [A])) {
    // Unwind safety: after a panic every answer the closure may have touched is written again.
    let run = |jobs: &[J], answers: &mut [A]| catch_unwind(AssertUnwindSafe(|| answer(jobs, answers))).is_ok();
    if run(jobs, answers) {
        return;
    }
    for (job, own) in jobs.iter().zip(answers) {
        if !run(std::slice::from_ref(job), std::slice::from_mut(own)) {
            *own = of_a_panic;
        }
    }
}

/// Groups by scheme, calls each scheme with at most [`BATCH_JOBS_MAX`] jobs, puts the verdicts back in job order.
pub(crate) fn judge(backend: Backend, jobs: &[Job], verdicts: &mut [Verdict]) {
    // A lone job needs no grouping, which would cost it a tenth of what an HMAC costs.
    if let [job] = jobs {
        return (job.scheme().row().verify_batch)(backend, &[job], verdicts);
    }
    let mut group = Vec::with_capacity(jobs.len().min(BATCH_JOBS_MAX));
    let mut positions = Vec::with_capacity(group.capacity());
    let mut group_verdicts = Vec::with_capacity(group.capacity());
    for row in &scheme::ALL {
        let mut of_scheme = jobs.iter().enumerate().filter(|(_, job)| job.scheme() == row.id).peekable();
        while of_scheme.peek().is_some() {
            group.clear();
            positions.clear();
            for (position, job) in of_scheme.by_ref().take(BATCH_JOBS_MAX) {
                positions.push(position);
                group.push(job);
            }
            group_verdicts.clear();
            group_verdicts.resize(group.len(), Verdict::Internal);
            (row.verify_batch)(backend, &group, &mut group_verdicts);
            for (&position, &verdict) in positions.iter().zip(&group_verdicts) {
                verdicts[position] = verdict;
            }
        }
    }
}
