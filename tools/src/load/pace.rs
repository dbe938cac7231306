//! When arrivals are due: constant or ramping rates, even or Poisson. Pure; the present is an argument.
//!
//! Both kinds of arrivals walk along the expected count N(t), even ones in steps of one, Poisson ones in steps drawn from
//! the unit exponential distribution; the time of an arrival is N's inverse. A ramp needs no other case, and `n` workers
//! that each take steps of `n` give the rate together.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Arrivals per second, now and at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub from: f64,
    pub to: f64,
}

impl Rate {
    pub(crate) fn constant(rate: f64) -> Rate {
        Rate { from: rate, to: rate }
    }

    /// Expected arrivals within `seconds`, which are all of the run.
    pub(crate) fn arrivals(self, seconds: f64) -> f64 {
        (self.from + self.to) / 2.0 * seconds
    }
}

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    Even,
    Poisson,
}

/// One worker's arrivals.
pub(crate) struct Pace {
    rate: Rate,
    arrivals: Arrivals,
    warm_up_s: f64,
    duration_s: f64,
    workers: f64,
    /// N at the next arrival.
    count: f64,
    random: ChaCha8Rng,
    next: Option<Duration>,
}

/// Which part of the arrivals a worker makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub worker: usize,
    pub workers: usize,
    pub seed: u64,
}

impl Pace {
    /// Warm-up runs at the first rate; the ramp takes the duration after it.
    pub(crate) fn new(rate: Rate, arrivals: Arrivals, warm_up: Duration, duration: Duration, share: Share) -> Pace {
        let mut random = ChaCha8Rng::seed_from_u64(share.seed);
        random.set_stream(share.worker as u64);
        let mut pace = Pace {
            rate,
            arrivals,
            warm_up_s: warm_up.as_secs_f64(),
            duration_s: duration.as_secs_f64(),
            workers: share.workers as f64,
            count: 0.0,
            random,
            next: None,
        };
        pace.count = match arrivals {
            Arrivals::Even => share.worker as f64,
            Arrivals::Poisson => pace.workers * exponential(&mut pace.random),
        };
        pace.next = pace.time_of(pace.count);
        pace
    }

    /// When the next arrival is due.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.next
    }

    /// The next arrival, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Duration> {
        let due = self.next.filter(|at| *at <= now)?;
        self.count += self.workers
            * match self.arrivals {
                Arrivals::Even => 1.0,
                Arrivals::Poisson => exponential(&mut self.random),
            };
        self.next = self.time_of(self.count);
        Some(due)
    }

    /// The inverse of N; `None` for a count that a falling ramp never reaches.
    fn time_of(&self, count: f64) -> Option<Duration> {
        let before = self.rate.from * self.warm_up_s;
        let seconds = if count < before {
            count / self.rate.from
        } else {
            let count = count - before;
            let slope = (self.rate.to - self.rate.from) / self.duration_s;
            // N(t) = from·t + slope·t²/2; this form of the root keeps its digits when the slope is near zero.
            let square = self.rate.from * self.rate.from + 2.0 * slope * count;
            let divisor = self.rate.from + square.max(0.0).sqrt();
            if square < 0.0 {
                return None;
            }
            self.warm_up_s + if count == 0.0 { 0.0 } else { 2.0 * count / divisor }
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// A draw from the exponential distribution with mean 1.
fn exponential(random: &mut impl Rng) -> f64 {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    -(1.0 - random.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: Rate, arrivals: Arrivals, warm_up: u64, seconds: u64, share: (usize, usize)) -> Vec<f64> {
        let share = Share { worker: share.0, workers: share.1, seed: 7 };
        let end = Duration::from_secs(warm_up + seconds);
        let mut pace = Pace::new(rate, arrivals, Duration::from_secs(warm_up), Duration::from_secs(seconds), share);
        let mut out = Vec::new();
        while let Some(at) = pace.take(end) {
            if at >= end {
                break;
            }
            out.push(at.as_secs_f64());
        }
        out
    }

    #[test]
    fn even_arrivals_are_even() {
        let times = times(Rate::constant(100.0), Arrivals::Even, 0, 10, (0, 1));
        assert_eq!(times.len(), 1000);
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.01).abs() < 1e-6));
    }

    #[test]
    fn workers_share_the_rate() {
        let mut all: Vec<f64> =
            (0..3).flat_map(|worker| times(Rate::constant(90.0), Arrivals::Even, 1, 9, (worker, 3))).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(all.len(), 900);
        assert!(all.windows(2).all(|pair| (pair[1] - pair[0] - 1.0 / 90.0).abs() < 1e-6));
        let poisson: usize =
            (0..4).map(|worker| times(Rate::constant(1000.0), Arrivals::Poisson, 0, 10, (worker, 4)).len()).sum();
        assert!((9_500..10_500).contains(&poisson), "{poisson}");
    }

    #[test]
    fn poisson_arrivals_are_irregular_and_repeatable() {
        let first = times(Rate::constant(1000.0), Arrivals::Poisson, 0, 20, (0, 1));
        assert_eq!(first, times(Rate::constant(1000.0), Arrivals::Poisson, 0, 20, (0, 1)));
        let gaps: Vec<f64> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // For exponential gaps the standard deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05 && (mean - 0.001).abs() < 0.00005);
    }

    #[test]
    fn ramps_rise_and_fall() {
        for (from, to) in [(100.0, 500.0), (500.0, 100.0), (300.0, 0.0), (0.0, 300.0)] {
            let times = times(Rate { from, to }, Arrivals::Even, 0, 10, (0, 1));
            let expected = (from + to) / 2.0 * 10.0;
            assert!((times.len() as f64 - expected).abs() <= 2.0, "{from}..{to}: {}", times.len());
            let first = times.iter().filter(|at| **at < 1.0).count() as f64;
            assert!((first - (from + (to - from) / 20.0)).abs() <= 2.0, "{from}..{to}: {first}");
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn nothing_comes_before_it_is_due() {
        let share = Share { worker: 0, workers: 1, seed: 1 };
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Rate::constant(10.0), Arrivals::Even, Duration::ZERO, second, share);
        assert_eq!(pace.take(Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(pace.take(Duration::from_millis(99)), None);
        // A stall does not move what was due within it.
        assert_eq!(pace.take(second), Some(Duration::from_millis(100)));
        assert_eq!(pace.take(second), Some(Duration::from_millis(200)));
    }
}
