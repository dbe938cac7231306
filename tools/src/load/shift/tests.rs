//! A worker's part of a run under a clock that the test holds.

use super::*;
use crate::load::journey::Head;
use crate::load::pace::{Arrivals, Rate, Share};

const WINDOW: Window = Window { warm_up: Duration::from_secs(1), duration: Duration::from_secs(2) };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Journeys of so many steps; an answer other than 200 fails them.
struct Steps(usize);
struct Walk {
    step: usize,
    steps: usize,
}

impl Scenario for Steps {
    fn begin(&mut self, _: Moment) -> Option<Box<dyn Journey>> {
        Some(Box::new(Walk { step: 0, steps: self.0 }))
    }
}

impl Journey for Walk {
    fn start(&mut self, _: Moment) -> Next {
        Next::Send(Request::new(self.step, "GET", "/").to("h"))
    }
    fn answer(&mut self, answer: &Answer<'_>, at: Moment) -> Next {
        self.step += 1;
        match answer.status {
            200 if self.step == self.steps => Next::Done,
            200 => self.start(at),
            _ => Next::Failed(answer.unexpected_status()),
        }
    }
}

fn shift(rate: Option<f64>, steps: usize) -> Shift {
    let share = Share { worker: 0, workers: 1, seed: 1 };
    let pace = rate.map(|rate| Pace::new(Rate::constant(rate), Arrivals::Even, WINDOW.warm_up, WINDOW.duration, share));
    Shift::new(Box::new(Steps(steps)), pace, WINDOW, steps, 1_000)
}

fn answer(status: u16) -> Answer<'static> {
    Answer { status, head: Head::Raw(b""), body: b"xy" }
}

#[test]
fn a_closed_loop_counts_what_ends_in_the_window() {
    let mut shift = shift(None, 1);
    for at in (0..3000).step_by(100) {
        let active = shift.begin(ms(at)).unwrap();
        assert!(shift.answered(active, &answer(200), ms(at + 50)).is_none());
    }
    assert!(shift.begin(ms(3000)).is_none() && shift.is_finished(ms(3000)));
    let tally = shift.close(ms(3000));
    assert_eq!((tally.completed, tally.intended, tally.requests), (20, 20, 20));
    assert_eq!(tally.measured, ms(2000));
    assert!((tally.latency.max() as f64 / 50e6 - 1.0).abs() < 0.001);
}

#[test]
fn a_stall_cannot_hide_in_an_open_loop() {
    let mut shift = shift(Some(100.0), 1);
    // One connection; the server answers at once but for one stall of a second.
    let mut now = ms(0);
    while !shift.is_over(now) {
        shift.arrive(now);
        if let Some(active) = shift.begin(now) {
            let took = if now == ms(1500) { ms(1000) } else { Duration::ZERO };
            now += took;
            shift.arrive(now);
            assert!(shift.answered(active, &answer(200), now).is_none());
        } else {
            now += ms(10);
        }
    }
    let tally = shift.close(now);
    assert_eq!(tally.intended, 200);
    // The hundred arrivals due within the stall have waited 10 … 1000 ms, half a second on average.
    let p75 = Duration::from_nanos(tally.latency.value_at_quantile(0.75));
    assert!((ms(450)..ms(550)).contains(&p75), "{p75:?}");
    assert_eq!(tally.latency.max() / 1_000_000, 1000);
    assert!(tally.waited >= 99, "{}", tally.waited);
}

#[test]
fn arrivals_beyond_the_backlog_are_counted() {
    let mut shift = shift(Some(1_000_000.0), 1);
    shift.arrive(ms(3000));
    let lost = 2_000_000 + 1_000_000 - BACKLOG_MAX as u64;
    let tally = shift.close(ms(3000));
    // The backlog holds arrivals of the warm-up, which are nobody's loss; everything in the window is lost.
    assert!(lost > 2_000_000);
    assert_eq!(tally.errors[BACKLOG_FULL], 2_000_000);
    assert_eq!(tally.intended, 2_000_000);
}

#[test]
fn steps_are_told_apart_and_errors_by_kind() {
    let mut shift = shift(None, 2);
    let active = shift.begin(ms(1000)).unwrap();
    let active = shift.answered(active, &answer(200), ms(1010)).unwrap();
    assert_eq!((active.request.step, active.sent()), (1, ms(1010)));
    assert!(shift.answered(active, &answer(200), ms(1040)).is_none());
    let active = shift.begin(ms(1040)).unwrap();
    assert!(shift.answered(active, &answer(503), ms(1050)).is_none());
    let active = shift.begin(ms(1060)).unwrap();
    shift.broke(&active, "timeout".into(), ms(1560));
    let active = shift.begin(ms(2990)).unwrap();
    shift.broke(&active, UNANSWERED.into(), ms(4000));
    let tally = shift.close(ms(4000));
    assert_eq!(tally.steps.iter().map(|step| step.answers).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        tally.errors.into_iter().map(|(kind, n)| (kind.into_owned(), n)).collect::<Vec<_>>(),
        [("status 503".to_owned(), 1), ("timeout".to_owned(), 1), (UNANSWERED.to_owned(), 1)]
    );
    assert_eq!(tally.completed, 1);
    // What never came took at least this long.
    assert_eq!(tally.latency.max() / 10_000_000, 101);
}

#[test]
fn ctrl_c_ends_the_window_where_it_was() {
    let mut shift = shift(Some(10.0), 1);
    shift.arrive(ms(1500));
    shift.stop(ms(1500), Some("enough".to_owned()));
    assert!(shift.begin(ms(1500)).is_none() && shift.is_finished(ms(1500)));
    let tally = shift.close(ms(1500));
    assert_eq!((tally.measured, tally.stopped.as_deref()), (ms(500), Some("enough")));
    assert_eq!(tally.errors_total(), 0);
}
