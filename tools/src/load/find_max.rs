//! The highest rate whose p99 stays below a bound: doubled until it does not, then bisected. Pure; the trials are others'.

use serde::Serialize;

/// Where the search begins unless told otherwise.
pub(crate) const FIRST_RATE: f64 = 500.0;
/// The knee is known when the bounds are this close.
const CLOSE: f64 = 1.05;
/// Trials before the search is content with what it knows.
const TRIALS: usize = 72;
/// Trials that must fail before a rate is too high: on a shared machine one stall of somebody else's fails a trial, and one
/// believed stall would end the search far below the knee.
const FAILURES: usize = 3;

/// What a trial at one rate showed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    pub rate: f64,
    pub achieved: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub errors: u64,
    pub passed: bool,
    /// Why not: `p99`, `errors`, `rate` (not achieved) or `generator`.
    pub because: Option<&'static str>,
}

/// The state of a search.
pub(crate) struct Search {
    next: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    pub trials: Vec<Trial>,
}

impl Search {
    pub(crate) fn new(first: f64) -> Search {
        Search { next: first, passed: None, failed: None, trials: Vec::new() }
    }

    /// The rate to try next; `None` when the knee is known.
    pub(crate) fn next(&self) -> Option<f64> {
        let is_close = matches!((self.passed, self.failed), (Some(low), Some(high)) if high / low <= CLOSE);
        (!is_close && self.trials.len() < TRIALS && self.next >= 1.0).then_some(self.next)
    }

    /// Learns from a trial at the rate it asked for.
    pub(crate) fn learn(&mut self, trial: Trial) {
        let rate = trial.rate;
        if trial.passed {
            self.passed = Some(self.passed.map_or(rate, |known| known.max(rate)));
        } else {
            let before = self.trials.iter().filter(|known| known.rate == rate).count();
            if before + 1 < FAILURES {
                self.trials.push(trial);
                return;
            }
            self.failed = Some(self.failed.map_or(rate, |known| known.min(rate)));
        }
        self.trials.push(trial);
        self.next = match (self.passed, self.failed) {
            (Some(low), None) => 2.0 * low,
            (None, Some(high)) => high / 2.0,
            (Some(low), Some(high)) => (low * high).sqrt(),
            (None, None) => self.next,
        };
        // Whole rates are easier to repeat.
        self.next = self.next.round();
    }

    /// The highest rate that passed.
    pub(crate) fn knee(&self) -> Option<&Trial> {
        self.trials.iter().filter(|trial| trial.passed).max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(first: f64, capacity: f64) -> Search {
        let mut search = Search::new(first);
        while let Some(rate) = search.next() {
            let passed = rate <= capacity;
            search.learn(Trial { rate, achieved: rate, p50_ms: 0.0, p99_ms: 0.0, errors: 0, passed, because: None });
        }
        search
    }

    #[test]
    fn the_knee_is_found_from_either_side() {
        for (first, capacity) in [(500.0, 47_000.0), (500.0, 500.0), (100_000.0, 3.5), (1.0, 1.0), (500.0, 123.0)] {
            let search = search(first, capacity);
            let knee = search.knee().unwrap().rate;
            assert!(knee <= capacity && knee * 1.3 >= capacity.floor(), "{first} {capacity}: {knee}");
            assert!(search.trials.len() <= TRIALS);
        }
    }

    #[test]
    fn one_stall_does_not_end_the_search() {
        let mut search = Search::new(500.0);
        let mut trials = 0;
        while let Some(rate) = search.next() {
            trials += 1;
            // Every third trial is spoilt, whatever the rate.
            let passed = rate <= 47_000.0 && trials % 3 != 0;
            search.learn(Trial { rate, achieved: rate, p50_ms: 0.0, p99_ms: 0.0, errors: 0, passed, because: None });
        }
        assert!(search.knee().unwrap().rate > 44_000.0, "{:?}", search.knee());
    }

    #[test]
    fn a_server_that_never_passes_or_never_fails_ends_the_search() {
        assert!(search(500.0, 0.0).knee().is_none());
        assert_eq!(search(500.0, f64::INFINITY).trials.len(), TRIALS);
    }
}
