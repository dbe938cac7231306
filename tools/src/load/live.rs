//! What is seen of a run while it lasts: workers leave their counts here, the terminal shows them once a second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use super::tally::Tally;

/// Counts since the run began, of one worker.
#[derive(Clone, Default)]
struct Seen {
    completed: u64,
    errors: u64,
    elapsed: Duration,
    /// Of the last whole point of the series, for percentiles.
    latest: Option<Histogram<u32>>,
}

/// One worker's window to the outside.
#[derive(Default)]
pub(crate) struct Live(Mutex<Seen>);

impl Live {
    /// Leaves the present counts.
    pub(crate) fn publish(&self, tally: &Tally, now: Duration) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A histogram is copied once a second, not with every look.
        let is_new_second = now.as_secs() != seen.elapsed.as_secs();
        seen.completed = tally.completed;
        seen.errors = tally.errors_total();
        seen.elapsed = now;
        if is_new_second {
            seen.latest = tally.series.iter().nth_back(1).or(tally.series.last()).map(|point| point.latency_us.clone());
        }
    }

    fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The line on the terminal; nothing at all when standard error is none.
pub(crate) struct View {
    bar: ProgressBar,
    total: Duration,
    /// Seconds and completions of the last moments, for the present rate.
    recent: VecDeque<(f64, u64)>,
}

impl View {
    pub(crate) fn new(total: Duration) -> View {
        // indicatif draws only on a terminal.
        let bar = ProgressBar::new(u64::try_from(total.as_millis()).unwrap_or(u64::MAX));
        bar.set_style(
            ProgressStyle::with_template("{bar:24} {msg}").expect("the template is a constant").progress_chars("█▉ "),
        );
        View { bar, total, recent: VecDeque::new() }
    }

    /// Shows the workers' sum.
    pub(crate) fn show(&mut self, workers: &[std::sync::Arc<Live>]) {
        if self.bar.is_hidden() {
            return;
        }
        let mut sum = Seen::default();
        for worker in workers {
            let seen = worker.seen();
            sum.completed += seen.completed;
            sum.errors += seen.errors;
            sum.elapsed = sum.elapsed.max(seen.elapsed);
            match (&mut sum.latest, seen.latest) {
                (Some(sum), Some(seen)) => {
                    let _never = sum.add(&seen);
                }
                (sum, seen) => *sum = sum.take().or(seen),
            }
        }
        let seconds = sum.elapsed.as_secs_f64();
        self.recent.push_back((seconds, sum.completed));
        while self.recent.len() > 6 {
            self.recent.pop_front();
        }
        let (since, before) = self.recent.front().copied().unwrap_or_default();
        let rate = (sum.completed - before) as f64 / (seconds - since).max(0.001);
        let latency = sum.latest.filter(|latest| !latest.is_empty()).map_or(String::new(), |latest| {
            let at = |quantile| latest.value_at_quantile(quantile) as f64 / 1000.0;
            format!("   p50 {:.2} ms   p99 {:.2} ms", at(0.5), at(0.99))
        });
        let errors = if sum.errors == 0 { "no errors".to_owned() } else { format!("{} ERRORS", sum.errors) };
        self.bar.set_position(u64::try_from(sum.elapsed.as_millis()).unwrap_or(u64::MAX));
        self.bar.set_message(format!(
            "{:>3.0}/{:.0} s   {rate:>8.0} /s{latency}   {errors}",
            seconds,
            self.total.as_secs_f64()
        ));
    }

    /// Clears the line.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}
