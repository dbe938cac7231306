//! The measuring itself: rounds in which every contestant of an operation takes its turn, on threads that stay on their
//! core, over signatures that nobody has just seen.
//!
//! All draws of a group come from one cursor that walks through the pool, so two contestants, two threads or two rounds
//! never share a window until the pool has been walked through; by then thousands of other signatures have trained the
//! branch predictor. Every round visits every batch size and thread count. Whoever comes after a contestant that runs the
//! same code finds it in the caches, so the order turns around with every round.

use std::ops::Range;
use std::sync::Barrier;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::group::{Contestant, Group, Key};
use super::statistics::Summary;
use crate::clock;
use crate::failure::Failure;
use crate::host::pin_to_core;
use crate::interrupt::Interrupt;

/// A sample takes at least this long, so that reading the clock costs nothing beside it.
const SAMPLE: Duration = Duration::from_micros(250);
/// And this long where threads have to meet first.
const SAMPLE_OF_THREADS: Duration = Duration::from_millis(1);
/// A key is shown to the engine fewer times than the 32 after which it earns a table: cold stays cold.
const COLD_LAPS_COUNT: usize = 24;
/// A median of fewer rounds is none, whatever the time.
const ROUNDS_MIN_COUNT: usize = 3;
/// Rounds beyond this tell nothing new, and samples must not pile up without bound.
const ROUNDS_COUNT: usize = 2_000;

/// Attempts at a sample that nothing else disturbs.
const ATTEMPTS_COUNT: usize = 3;

/// Nothing this long stays undisturbed on a busy machine, and nothing is gained by trying.
const LONG_SAMPLE: Duration = Duration::from_millis(4);

/// What is measured of every contestant.
pub(crate) struct Sizes {
    /// Signatures per call.
    pub(crate) batches: Vec<usize>,
    /// Threads at once.
    pub(crate) threads: Vec<usize>,
    /// Which core a thread stays on, by its number.
    pub(crate) cores: Vec<usize>,
}

impl Sizes {
    /// Signatures that all contestants together need so that no window is used twice in a round.
    pub(crate) fn pool_count(&self, contestants: usize) -> usize {
        let batch = self.batches.iter().max().copied().unwrap_or(1);
        let threads = self.threads.iter().max().copied().unwrap_or(1);
        2 * batch * threads * contestants.max(1)
    }
}

/// One contestant in one batch size with so many threads.
pub(crate) struct Cell {
    /// Place in the group.
    pub(crate) contestant: usize,
    /// Signatures per call.
    pub(crate) batch: usize,
    /// Threads at once.
    pub(crate) threads: usize,
    /// What it took; `None` if it was interrupted before its first round.
    pub(crate) summary: Option<Summary>,
}

/// Work for one thread: consecutive windows, one call each.
struct Task<'g> {
    contestant: &'g Contestant,
    windows: Range<usize>,
    batch: usize,
    /// Signatures at the start of the windows that are judged before the clock runs.
    warm_up: usize,
    start: std::sync::Arc<Barrier>,
}

/// The time it took and how much of that the thread waited for its core, or the first signature that was judged wrongly.
type Answer = Result<(Duration, Duration), usize>;

struct Worker<'g> {
    tasks: SyncSender<Task<'g>>,
    answers: Receiver<Answer>,
}

/// Measures a group until its time is over or somebody interrupts.
pub(crate) fn measure(
    group: &Group,
    key: Key,
    sizes: &Sizes,
    budget: Duration,
    interrupt: &Interrupt,
    tick: &dyn Fn(f64),
) -> Result<Vec<Cell>, Failure> {
    std::thread::scope(|scope| {
        let threads = sizes.threads.iter().max().copied().unwrap_or(1);
        let mut workers = Vec::with_capacity(threads);
        for core in sizes.cores.iter().cycle().take(threads).copied() {
            let (tasks, inbox) = sync_channel::<Task<'_>>(1);
            let (outbox, answers) = sync_channel(1);
            scope.spawn(move || {
                // A system that forbids pinning is measured unpinned rather than not at all.
                let _ = pin_to_core(core);
                let mut verdicts = Vec::new();
                while let Ok(task) = inbox.recv() {
                    if outbox.send(perform(&task, &group.expected, &mut verdicts)).is_err() {
                        return;
                    }
                }
            });
            workers.push(Worker { tasks, answers });
        }
        let mut race = Race { group, key, workers, cursor: 0, laps: 0 };
        race.run(sizes, budget, interrupt, tick)
    })
}

fn perform(task: &Task<'_>, expected: &[bool], verdicts: &mut Vec<bool>) -> Answer {
    verdicts.clear();
    verdicts.reserve(task.windows.len());
    let mut at = task.windows.start;
    if task.warm_up > 0 {
        task.contestant.judge(at..at + task.warm_up, verdicts);
        at += task.warm_up;
    }
    task.start.wait();
    let waited = waited_for_core();
    let started = clock::now();
    while at < task.windows.end {
        task.contestant.judge(at..at + task.batch, verdicts);
        at += task.batch;
    }
    let took = clock::now().duration_since(started);
    let waited = waited_for_core().saturating_sub(waited);
    let right = &expected[task.windows.clone()];
    match verdicts.iter().zip(right).position(|(verdict, right)| verdict != right) {
        Some(wrong) => Err(task.windows.start + wrong),
        None if verdicts.len() == right.len() => Ok((took, waited)),
        None => Err(task.windows.start + verdicts.len()),
    }
}

/// How long this thread has ever been ready to run while something else had its core. Nothing where the kernel keeps no
/// account of it.
fn waited_for_core() -> Duration {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = account.split_whitespace().nth(1).and_then(|ns| ns.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

struct Race<'g> {
    group: &'g Group,
    key: Key,
    workers: Vec<Worker<'g>>,
    cursor: usize,
    laps: usize,
}

struct Samples {
    cell: Cell,
    /// Calls per sample.
    calls: usize,
    ns_per_op: Vec<f64>,
}

impl<'g> Race<'g> {
    fn run(
        &mut self,
        sizes: &Sizes,
        budget: Duration,
        interrupt: &Interrupt,
        tick: &dyn Fn(f64),
    ) -> Result<Vec<Cell>, Failure> {
        let contestants = self.group.contestants.len();
        let mut cells = Vec::new();
        for &threads in &sizes.threads {
            for &batch in &sizes.batches {
                cells.extend((0..contestants).map(|contestant| Samples {
                    cell: Cell { contestant, batch, threads, summary: None },
                    calls: 1,
                    ns_per_op: Vec::new(),
                }));
            }
        }
        let started = clock::now();
        // The first look warms caches and finds out how many calls make a sample.
        for samples in &mut cells {
            if interrupt.is_set() {
                break;
            }
            let ns = self.sample(&samples.cell, 1)?;
            samples.calls = self.calls(&samples.cell, ns, contestants);
        }
        for round in 0..ROUNDS_COUNT {
            // Contestants of one cell stand side by side.
            for row in cells.chunks_mut(contestants) {
                for turn in 0..contestants {
                    if interrupt.is_set() {
                        return Ok(summed(cells));
                    }
                    let samples = &mut row[place(round, turn, contestants)];
                    let ns = self.sample(&samples.cell, samples.calls)?;
                    samples.ns_per_op.push(ns);
                }
            }
            let spent = clock::now().duration_since(started);
            tick((spent.as_secs_f64() / budget.as_secs_f64().max(1e-9)).min(1.0));
            let is_worn = self.key == Key::Cold && self.laps >= COLD_LAPS_COUNT;
            if round + 1 >= ROUNDS_MIN_COUNT && (spent >= budget || is_worn) {
                break;
            }
        }
        Ok(summed(cells))
    }

    /// Calls that fill a sample, few enough that no two contestants of a row meet on the same signatures.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
    fn calls(&self, cell: &Cell, ns_per_op: f64, contestants: usize) -> usize {
        let sample = if cell.threads == 1 { SAMPLE } else { SAMPLE_OF_THREADS };
        let wanted = sample.as_nanos() as f64 / (ns_per_op * cell.batch as f64).max(1.0);
        let room = self.group.expected.len() / (2 * cell.batch * cell.threads * contestants);
        (wanted.ceil() as usize).clamp(1, room.max(1))
    }

    /// Nanoseconds of one core per operation.
    ///
    /// On a machine that others use too, a sample during which something else had the core is taken again with other
    /// signatures; after some attempts, and from samples that are longer than a scheduler's slice, the wait is subtracted.
    #[expect(clippy::cast_precision_loss, reason = "a float holds the thousands of a sample exactly")]
    fn sample(&mut self, cell: &Cell, calls: usize) -> Result<f64, Failure> {
        let size = calls * cell.batch;
        let mut attempt = 1;
        loop {
            let (took, waited) = self.attempt(cell, size)?;
            if waited.is_zero() || attempt == ATTEMPTS_COUNT || took > LONG_SAMPLE {
                return Ok(took.saturating_sub(waited).as_nanos() as f64 / (size * cell.threads) as f64);
            }
            attempt += 1;
        }
    }

    /// The time of all threads together, and how much of it they waited.
    fn attempt(&mut self, cell: &Cell, size: usize) -> Result<(Duration, Duration), Failure> {
        let contestant = &self.group.contestants[cell.contestant];
        let start = std::sync::Arc::new(Barrier::new(cell.threads));
        // A thread that slept finds its caches full of others' code and data, and to load one's own may take as long as a
        // lone signature. So a sample of several calls has one more before it; a single call is long enough to bear it.
        let warm_up = if size > cell.batch { cell.batch } else { 0 };
        for thread in 0..cell.threads {
            let windows = self.draw(warm_up + size);
            let task = Task { contestant, windows, batch: cell.batch, warm_up, start: start.clone() };
            self.workers[thread].tasks.send(task).map_err(|_| gone())?;
        }
        let mut total = (Duration::ZERO, Duration::ZERO);
        for worker in &self.workers[..cell.threads] {
            let (took, waited) = worker.answers.recv().map_err(|_| gone())?.map_err(|signature| {
                Failure::Failed(format!(
                    "{} judged signature {signature} wrongly (it is {}); figures of a wrong answer are worth nothing",
                    contestant.backend,
                    if self.group.expected[signature] { "valid" } else { "invalid" }
                ))
            })?;
            total = (total.0 + took, total.1 + waited);
        }
        Ok(total)
    }

    fn draw(&mut self, size: usize) -> Range<usize> {
        if self.cursor + size > self.group.expected.len() {
            self.cursor = 0;
            self.laps += 1;
        }
        let window = self.cursor..self.cursor + size;
        self.cursor = window.end;
        window
    }
}

/// Who has this turn: all of them in a circle, in one direction and then in the other, each pair of rounds from the next
/// place. So each begins equally often, and has either neighbour before it equally often.
fn place(round: usize, turn: usize, contestants: usize) -> usize {
    let forward = round.is_multiple_of(2);
    (round / 2 + if forward { turn } else { contestants - turn }) % contestants
}

fn gone() -> Failure {
    Failure::Failed("a measuring thread ended early; that is a defect, please report it".to_owned())
}

fn summed(cells: Vec<Samples>) -> Vec<Cell> {
    cells.into_iter().map(|samples| Cell { summary: Summary::of(&samples.ns_per_op), ..samples.cell }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes { batches: vec![1, 4], threads: vec![1, 2], cores: vec![0] }
    }

    fn group(verdict: impl Fn(&usize) -> bool + Send + Sync + Clone + 'static) -> Group {
        let count = sizes().pool_count(2);
        let contestant = |name| Contestant::one_by_one(name, (0..count).collect(), verdict.clone());
        Group {
            expected: (0..count).map(|n| n % 3 != 0).collect(),
            contestants: vec![contestant("a"), contestant("b")],
        }
    }

    #[test]
    fn every_cell_is_measured() {
        let cells = measure(&group(|n| n % 3 != 0), Key::Any, &sizes(), Duration::ZERO, &Interrupt::default(), &|_| {})
            .expect("everybody is right");
        assert_eq!(cells.len(), 8);
        for cell in cells {
            let summary = cell.summary.expect("three rounds at least");
            assert!(summary.rounds >= ROUNDS_MIN_COUNT && summary.min > 0.0 && summary.min <= summary.median);
        }
    }

    #[test]
    fn nobody_always_comes_after_the_same() {
        for contestants in 1..6 {
            let mut firsts = vec![0; contestants];
            let mut after = vec![vec![0; contestants]; contestants];
            for round in 0..2 * contestants {
                let turns: Vec<usize> = (0..contestants).map(|turn| place(round, turn, contestants)).collect();
                firsts[turns[0]] += 1;
                turns.windows(2).for_each(|pair| after[pair[0]][pair[1]] += 1);
                let mut sorted = turns;
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq(0..contestants), "each has one turn");
            }
            assert!(firsts.iter().all(|count| *count == 2));
            for (one, row) in after.iter().enumerate() {
                assert!(row.iter().zip(&after).all(|(count, other)| *count == other[one]), "{contestants}");
            }
        }
    }

    #[test]
    fn a_wrong_verdict_ends_it() {
        let result = measure(&group(|n| *n != 7), Key::Any, &sizes(), Duration::ZERO, &Interrupt::default(), &|_| {});
        assert!(result.is_err_and(|failure| failure.to_string().contains("wrongly")));
    }

    #[test]
    fn an_interrupt_ends_it_at_once() {
        let interrupt = Interrupt::default();
        interrupt.set();
        let cells = measure(&group(|n| n % 3 != 0), Key::Any, &sizes(), Duration::MAX, &interrupt, &|_| {});
        assert!(cells.is_ok_and(|cells| cells.iter().all(|cell| cell.summary.is_none())));
    }

    #[test]
    fn windows_do_not_meet_before_the_pool_ends() {
        let group = group(|_| true);
        let count = group.expected.len();
        let mut race = Race { group: &group, key: Key::Any, workers: Vec::new(), cursor: 0, laps: 0 };
        let mut seen = vec![false; count];
        while race.laps == 0 {
            for index in race.draw(5) {
                if race.laps == 0 {
                    assert!(!std::mem::replace(&mut seen[index], true));
                }
            }
        }
    }
}
