//! Reader, workers, writer: blocks of lines go to whichever core is free, verdicts come back in order.
//!
//! ```text
//! reader ─ blocks ─► workers ─ verdicts ─► writer (this thread)
//!    ▲                                       │
//!    └────────────── buffers ────────────────┘
//! ```
//!
//! There is a fixed number of buffers, and a block needs one from the moment it is read until its verdicts are written:
//! so memory is bounded, a slow writer slows the reader, and the writer never has more than that to put in order.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;

use super::blocks::{Blocks, Ending};
use super::judge::{Block, Judge};
use super::rules::Rules;
use super::summary::Counts;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How often the writer looks for Ctrl-C while nothing arrives: the reader may sit in a read that nobody ends.
const TICK: Duration = Duration::from_millis(50);

/// Memory that goes round.
#[derive(Default)]
struct Buffer {
    data: BytesMut,
    text: String,
}

/// What workers and reader tell the writer.
enum Event {
    /// Verdicts of the block of this number, counted from 0.
    Judged(u64, Box<Verdicts>),
    /// The reader has read so many blocks and reads no more.
    ReadEnd(Result<(u64, Ending), Short>),
    /// A thread died.
    Died,
}

/// The input has fewer lines than were to be skipped.
#[derive(Clone, Copy)]
pub(super) struct Short {
    pub(super) lines: u64,
}

/// What came of one block.
pub(super) struct Verdicts {
    /// One line of JSON per line.
    pub(super) text: String,
    /// Counted.
    pub(super) counts: Counts,
    buffer: BytesMut,
}

/// How a run ended.
pub(super) enum Outcome {
    /// As its input did.
    Ended(Ending),
    /// The input has fewer lines than an earlier run had done.
    Short(Short),
    /// Nobody reads the verdicts.
    Unread,
}

/// What a run needs to know.
pub(super) struct Plan {
    pub(super) rules: Arc<Rules>,
    pub(super) threads: usize,
    /// Lines to pass over.
    pub(super) skip: u64,
    pub(super) is_live: bool,
    pub(super) interrupt: Interrupt,
}

/// Judges everything that `reader` gives. `write` gets the verdicts block by block, in order, and says whether it wants
/// more.
///
/// # Errors
/// What `write` says, or that a thread could not be started or died.
pub(super) fn run(
    reader: impl Read + Send + 'static,
    plan: &Plan,
    mut write: impl FnMut(&Verdicts) -> Result<bool, Failure>,
) -> Result<Outcome, Failure> {
    // Each worker has one block in hand and one ready; the reader fills one while the writer empties another.
    let buffers_count = 2 * plan.threads + 2;
    let (free, taken) = sync_channel(buffers_count);
    for _ in 0..buffers_count {
        let _ = free.send(Buffer::default());
    }
    let (block_sender, block_receiver) = sync_channel(buffers_count);
    let (event_sender, events) = sync_channel(buffers_count + plan.threads + 2);
    let sent = Arc::new(AtomicU64::new(0));
    start_reader(reader, plan, taken, block_sender, event_sender.clone(), Arc::clone(&sent))?;
    let blocks = Arc::new(Mutex::new(block_receiver));
    for index in 0..plan.threads {
        start_worker(index, &plan.rules, Arc::clone(&blocks), event_sender.clone())?;
    }
    drop(event_sender);

    let (mut early, mut next, mut read_end) = (BTreeMap::new(), 0, None);
    loop {
        match events.recv_timeout(TICK) {
            Ok(Event::Judged(number, verdicts)) => _ = early.insert(number, verdicts),
            Ok(Event::ReadEnd(end)) => read_end = Some(end),
            Ok(Event::Died) | Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Failed("a worker died, which is a bug; what was written is right".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        while let Some(verdicts) = early.remove(&next) {
            if !write(&verdicts)? {
                return Ok(Outcome::Unread);
            }
            next += 1;
            let Verdicts { mut text, buffer: data, .. } = *verdicts;
            text.clear();
            // Fails when the reader has gone, which needs no buffers.
            let _ = free.send(Buffer { data, text });
        }
        match read_end.take() {
            Some(Err(short)) => return Ok(Outcome::Short(short)),
            Some(Ok((blocks_count, ending))) if blocks_count == next => return Ok(Outcome::Ended(ending)),
            // The reader may never come back from its read.
            None if plan.interrupt.is_set() && sent.load(Ordering::Acquire) == next => {
                return Ok(Outcome::Ended(Ending::Interrupted));
            }
            end => read_end = end,
        }
    }
}

fn start_reader(
    reader: impl Read + Send + 'static,
    plan: &Plan,
    free: Receiver<Buffer>,
    blocks: SyncSender<(u64, Block, String)>,
    events: SyncSender<Event>,
    sent: Arc<AtomicU64>,
) -> Result<(), Failure> {
    let mut lines = Blocks::new(reader, plan.is_live, plan.interrupt.clone());
    let skip = plan.skip;
    spawn("assay-verify-reader", events, move |events| {
        let skipped = lines.skip_lines(skip);
        let mut number = 0;
        // Receiving and sending fail when the writer has gone; then nobody wants to know more.
        while let Ok(Buffer { data, text }) = free.recv() {
            let Some(block) = lines.next(data) else { break };
            sent.store(number + 1, Ordering::Release);
            if blocks.send((number, block, text)).is_err() {
                return;
            }
            number += 1;
        }
        let ending = lines.ending();
        let is_short = skipped < skip && matches!(ending, Ending::Complete);
        let end = if is_short { Err(Short { lines: skipped }) } else { Ok((number, ending)) };
        let _ = events.send(Event::ReadEnd(end));
    })
}

fn start_worker(
    index: usize,
    rules: &Arc<Rules>,
    blocks: Arc<Mutex<Receiver<(u64, Block, String)>>>,
    events: SyncSender<Event>,
) -> Result<(), Failure> {
    let mut judge = Judge::new(Arc::clone(rules));
    spawn(&format!("assay-verify-{index}"), events, move |events| {
        loop {
            // The lock is held while waiting: the others wait for the same thing.
            let received = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, block, mut text)) = received else { return };
            let mut counts = Counts::default();
            judge.judge(&block, &mut text, &mut counts);
            // The judge has let go of the block, so its memory can go round.
            let buffer = block.data.try_into_mut().unwrap_or_default();
            if events.send(Event::Judged(number, Box::new(Verdicts { text, counts, buffer }))).is_err() {
                return;
            }
        }
    })
}

/// Starts a thread whose death the writer hears of.
fn spawn(
    name: &str,
    events: SyncSender<Event>,
    body: impl FnOnce(&SyncSender<Event>) + Send + 'static,
) -> Result<(), Failure> {
    struct Knell(SyncSender<Event>);
    impl Drop for Knell {
        fn drop(&mut self) {
            if thread::panicking() {
                let _ = self.0.send(Event::Died);
            }
        }
    }
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let knell = Knell(events);
        body(&knell.0);
    });
    thread.map(drop).map_err(|error| Failure::Failed(format!("cannot start a thread: {error}; lower --threads")))
}
