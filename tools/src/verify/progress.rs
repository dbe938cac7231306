//! How far a run is, for a person who watches: a bar with bytes, lines per second and the time left.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

/// A bar on standard error; nothing if that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    consumed: Arc<AtomicU64>,
    started: Instant,
    lines: u64,
}

impl Progress {
    /// `is_wanted` is false where a bar would stand among the verdicts.
    pub(super) fn new(size: Option<u64>, consumed: Arc<AtomicU64>, is_wanted: bool) -> Self {
        let target = if is_wanted && stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let (bar, template) = match size {
            Some(size) => (
                ProgressBar::with_draw_target(Some(size), target),
                "{bar:30} {bytes}/{total_bytes} ({bytes_per_sec}), {msg}, {eta} left",
            ),
            None => (ProgressBar::with_draw_target(None, target), "{spinner} {bytes} ({bytes_per_sec}), {msg}"),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is one of the two above"));
        Self { bar, consumed, started: clock::now(), lines: 0 }
    }

    pub(super) fn add(&mut self, lines: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.lines += lines;
        let seconds = clock::now().duration_since(self.started).as_secs_f64().max(1e-3);
        let (lines, rate) = (HumanCount(self.lines), HumanCount((self.lines as f64 / seconds) as u64));
        self.bar.set_message(format!("{lines} lines, {rate}/s"));
        self.bar.set_position(self.consumed.load(Ordering::Relaxed));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
