//! Threads that generate load: each has its own connections, its share of the arrivals and its own counts.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::client::{Overseer, Wire, h1, h2};
use super::journey::Scenario;
use super::live::{Live, View};
use super::pace::{Arrivals, Pace, Rate, Share};
use super::scenario::Plan;
use super::scenario::once::{Kept, Once};
use super::shift::Shift;
use super::tally::{Tally, Window};
use crate::clock;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How often the terminal is refreshed.
const REFRESH: Duration = Duration::from_millis(500);
/// Connections while preparing.
const PREPARING_CONNECTIONS: usize = 32;

/// One run.
pub(crate) struct Run<'a> {
    pub wire: &'a Wire,
    pub plan: &'a Plan,
    pub rate: Option<Rate>,
    pub arrivals: Arrivals,
    pub window: Window,
    pub threads: usize,
    pub cores: &'a [usize],
    pub seed: u64,
    pub interrupt: &'a Interrupt,
}

/// Loads the server and returns what all threads counted.
///
/// # Errors
/// If nothing answers, or the system refuses threads or sockets.
pub(crate) fn run(run: &Run<'_>, origin: &str) -> Result<Tally, Failure> {
    let barrier = Barrier::new(run.threads);
    let began = OnceLock::new();
    let lives: Vec<Arc<Live>> = (0..run.threads).map(|_| Arc::default()).collect();
    let mut view = View::new(run.window.end());
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for (worker, live) in lives.iter().enumerate() {
            let (sender, barrier, began) = (sender.clone(), &barrier, &began);
            scope.spawn(move || {
                let zero = || {
                    barrier.wait();
                    *began.get_or_init(clock::now)
                };
                // The receiver outlives the threads.
                let _never = sender.send(work(run, worker, live, zero));
            });
        }
        drop(sender);
        let mut sum: Option<Tally> = None;
        let mut failure = None;
        loop {
            match results.recv_timeout(REFRESH) {
                Ok(Ok(tally)) => match &mut sum {
                    Some(sum) => sum.merge(tally),
                    None => sum = Some(tally),
                },
                Ok(Err(error)) => failure = Some(error),
                Err(RecvTimeoutError::Timeout) => view.show(&lives),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        view.end();
        match (sum, failure) {
            (Some(tally), None) => Ok(tally),
            (_, Some(error)) => Err(unreachable(origin, &error)),
            (None, None) => Err(Failure::Failed("every thread of the generator ended without a word".to_owned())),
        }
    })
}

/// Why the first connection could not be made.
pub(crate) fn unreachable(origin: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidData {
        return Failure::Unreachable(format!(
            "TLS with {origin} failed: {error}; name its CA with --ca FILE, or check nothing with --insecure"
        ));
    }
    Failure::Unreachable(format!(
        "no server answers at {origin} ({error}); start it (`assay serve --limits off`), or name another with --target"
    ))
}

fn work(run: &Run<'_>, worker: usize, live: &Live, zero: impl FnOnce() -> Instant) -> io::Result<Tally> {
    let share = Share { worker, workers: run.threads, seed: run.seed };
    let pinned = match run.cores.get(worker % run.cores.len().max(1)) {
        Some(core) => pin(*core),
        None => Ok(()),
    };
    let pace = run.rate.map(|rate| Pace::new(rate, run.arrivals, run.window.warm_up, run.window.duration, share));
    let scenario = run.plan.scenario(share);
    let shift = Shift::new(scenario, pace, run.window, run.plan.steps.len(), clock::unix_ms());
    let mut wire = run.wire.clone();
    let connections = wire.connections;
    wire.connections = connections / run.threads + usize::from(worker < connections % run.threads);
    let by = Overseer { interrupt: run.interrupt, live };
    shift_over(&wire, shift, zero, &by, pinned)
}

/// Connects, waits for the others, works, counts. Whatever fails before the start must still let the others start.
fn shift_over(
    wire: &Wire,
    mut shift: Shift,
    zero: impl FnOnce() -> Instant,
    by: &Overseer<'_>,
    prepared: io::Result<()>,
) -> io::Result<Tally> {
    let mut zero = Some(zero);
    let mut start = || zero.take().map(|zero| zero());
    let busy_before = busy();
    let worked = if wire.is_http2 {
        let worked = prepared.and_then(|()| h2::work(wire, shift, || start().expect("a run starts once"), by));
        // No-one waits twice.
        start();
        worked
    } else {
        let crowd = prepared.and_then(|()| h1::Crowd::connect(wire));
        let began = start().expect("a run starts once");
        crowd.and_then(|crowd| h1::work(&mut shift, crowd, began, by)).map(|()| (shift, began))
    };
    let (shift, began) = worked?;
    let now = clock::now().duration_since(began);
    let mut tally = shift.close(now);
    if let (Some(before), Some(after)) = (busy_before, busy()) {
        tally.busy = after.saturating_sub(before).as_secs_f64() / now.as_secs_f64().max(1e-9);
    }
    Ok(tally)
}

/// Processor time of this thread, where Linux tells it.
fn busy() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| io::Error::other(format!("cannot run on core {core}: {error}")))
}

/// Sends each request once and hands back the answers in request order.
///
/// # Errors
/// If nobody answers, or any request is left without an answer.
pub(crate) fn fetch(
    wire: &Wire,
    requests: Vec<Arc<super::journey::Request>>,
    interrupt: &Interrupt,
    origin: &str,
) -> Result<Vec<Kept>, Failure> {
    let mut wire = wire.clone();
    wire.connections = PREPARING_CONNECTIONS.min(requests.len()).min(wire.connections).max(1);
    let (once, shelf) = Once::new(requests);
    let once: Box<dyn Scenario> = Box::new(once);
    // As long as it takes: every request has its own timeout.
    let window = Window { warm_up: Duration::ZERO, duration: Duration::from_secs(3600) };
    let shift = Shift::new(once, None, window, 0, clock::unix_ms());
    let by = Overseer { interrupt, live: &Live::default() };
    let tally = shift_over(&wire, shift, clock::now, &by, Ok(())).map_err(|error| unreachable(origin, &error))?;
    if interrupt.is_set() {
        return Err(Failure::Failed("interrupted while preparing; nothing was measured".to_owned()));
    }
    if let Some(kind) = tally.errors.keys().next() {
        return Err(Failure::Unreachable(format!("{origin} broke off while the load was prepared: {kind}; try again")));
    }
    let answers = shelf.take().into_iter().collect::<Option<Vec<_>>>();
    answers.ok_or_else(|| Failure::Failed(format!("{origin} left a request unanswered while the load was prepared")))
}
