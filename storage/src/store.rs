//! The handle: opens a store, takes commits and reads without ever blocking the caller, closes in bounded time.
//!
//! The answers arrive through wakers that may be woken from a storage thread; any executor will do.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use futures_channel::oneshot;

use crate::commit::{Applied, Commit};
use crate::kv::Kv;
use crate::limits::{
    CLOSE_SECONDS_MAX, COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_MAX, READ_QUEUE_MAX, READERS_DEFAULT, READERS_MAX,
};
use crate::migrate::bring_up_to_date;
use crate::queue::{Consumer, Queue, Refused, queue};
use crate::reader::Reader;
use crate::replay::replay;
use crate::table::{Seq, UnixSeconds};
use crate::writer::{Message, Shared, Ticket, Writer};
use crate::{CommitError, KvError, OpenError, Unavailable};

/// Sees every commit in order after it is durable and before it is acknowledged, on the writer thread; at start-up
/// sees every row of the resident tables. Must be quick, must not wait for the store, must not panic: see `writer.rs`.
pub type ApplyHook = Box<dyn FnMut(&Applied<'_>) + Send>;

/// What is measured. The observer brings the clock, because storage reads none.
pub trait StoreObserver: Send + Sync + 'static {
    /// Nanoseconds from any fixed start.
    fn monotonic_nanos(&self) -> u64;
    /// A group of `commits` commits was written, or failed to be, in `write`. Zero commits is a probe.
    fn commit_group(&self, commits: usize, write: Duration);
}

/// How a store is sized. `default()` is right for a server; tests shrink it.
#[derive(Clone)]
pub struct StoreOptions {
    /// Reader threads, clamped to 1..=[`READERS_MAX`].
    pub readers: usize,
    /// Commits that may wait, clamped to 1..=[`COMMIT_QUEUE_MAX`].
    pub commit_queue: usize,
    /// Reads that may wait, clamped to 1..=[`READ_QUEUE_MAX`].
    pub read_queue: usize,
    /// Who wants to know group sizes and write times.
    pub observer: Option<Arc<dyn StoreObserver>>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            readers: READERS_DEFAULT,
            commit_queue: COMMIT_QUEUE_MAX,
            read_queue: READ_QUEUE_MAX,
            observer: None,
        }
    }
}

/// An open store. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

// Holds no handle to the engine: it is closed when the last thread has ended, not when the last clone is dropped.
struct Inner {
    shared: Arc<Shared>,
    commits: Queue<Message>,
    reads: Queue<ReadMessage>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Disconnected when every thread has ended.
    ended: Receiver<()>,
}

enum ReadMessage {
    Read(UnixSeconds, Box<dyn FnOnce(&Reader) + Send>),
    Stop,
}

impl Store {
    /// Checks the format, replays the resident tables through `apply`, starts the threads.
    ///
    /// # Errors
    /// The format is newer or not ours, the engine fails, or a resident row cannot be read.
    pub fn open(
        kv: impl Kv,
        options: StoreOptions,
        now: UnixSeconds,
        mut apply: ApplyHook,
    ) -> Result<Store, OpenError> {
        let kv: Arc<dyn Kv> = Arc::new(kv);
        bring_up_to_date(&*kv)?;
        kv.advance_clock(now);
        let last_seq = replay(&*kv, now, &mut apply)?;

        let shared = Arc::new(Shared {
            applied_seq: AtomicU64::new(last_seq.0),
            writable: AtomicBool::new(true),
            closing: AtomicBool::new(false),
            queued_bytes: AtomicUsize::new(0),
        });
        let (commits, commit_consumer) = queue(options.commit_queue.clamp(1, COMMIT_QUEUE_MAX));
        let (reads, read_consumer) = queue(options.read_queue.clamp(1, READ_QUEUE_MAX));
        let read_consumer = Arc::new(read_consumer);
        let (alive, ended) = bounded(0);
        let mut threads = Vec::new();
        for _ in 0..options.readers.clamp(1, READERS_MAX) {
            let (kv, queue, alive) = (Arc::clone(&kv), Arc::clone(&read_consumer), alive.clone());
            threads.push(spawn("assay-read", alive, move || answer_reads(kv, &queue))?);
        }
        drop(read_consumer);
        let writer = Writer {
            kv,
            queue: commit_consumer,
            shared: Arc::clone(&shared),
            observer: options.observer,
            apply,
            last_seq,
            unsettled: None,
        };
        threads.push(spawn("assay-write", alive, move || writer.run())?);
        let inner = Inner { shared, commits, reads, threads: Mutex::new(threads), ended };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Hands a commit to the writer at once, before the future is first polled; dropping the future does not take
    /// it back. Never blocks.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when a precondition does not hold; [`CommitError::Unavailable`] when the queue is
    /// full, the store is closing, or the commit could not be made durable.
    pub fn commit(&self, commit: Commit) -> impl Future<Output = Result<Seq, CommitError>> + Send + 'static + use<> {
        let sent = self.send_commit(commit);
        let shared = Arc::clone(&self.inner.shared);
        async move {
            match sent?.await {
                Ok(answer) => answer,
                Err(oneshot::Canceled) => Err(unanswered(&shared).into()),
            }
        }
    }

    fn send_commit(&self, commit: Commit) -> Result<oneshot::Receiver<Result<Seq, CommitError>>, CommitError> {
        let shared = &self.inner.shared;
        let bytes = commit.bounded_bytes().ok_or(CommitError::TooLarge)?;
        if shared.closing.load(Ordering::Acquire) {
            return Err(Unavailable::ShuttingDown.into());
        }
        if shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > COMMIT_QUEUE_BYTES_MAX {
            shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Unavailable::QueueFull.into());
        }
        let (answer, waits) = oneshot::channel();
        let message = Message::Commit(Ticket { commit, bytes, answer });
        self.inner.commits.try_send(message).map_err(|error| {
            shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            refused(shared, error)
        })?;
        Ok(waits)
    }

    /// Runs `f` on a reader thread. Never blocks the caller; dropping the future does not stop the read.
    ///
    /// # Errors
    /// The queue is full, the store is closing, or the engine failed (the log has its reason).
    pub fn read<R, F>(
        &self,
        now: UnixSeconds,
        f: F,
    ) -> impl Future<Output = Result<R, Unavailable>> + Send + 'static + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&Reader) -> Result<R, KvError> + Send + 'static,
    {
        let sent = self.send_read(now, f);
        let shared = Arc::clone(&self.inner.shared);
        async move {
            match sent?.await {
                Ok(answer) => answer,
                Err(oneshot::Canceled) => Err(unanswered(&shared)),
            }
        }
    }

    fn send_read<R, F>(&self, now: UnixSeconds, f: F) -> Result<oneshot::Receiver<Result<R, Unavailable>>, Unavailable>
    where
        R: Send + 'static,
        F: FnOnce(&Reader) -> Result<R, KvError> + Send + 'static,
    {
        let shared = &self.inner.shared;
        if shared.closing.load(Ordering::Acquire) {
            return Err(Unavailable::ShuttingDown);
        }
        let (answer, waits) = oneshot::channel();
        let job = Box::new(move |reader: &Reader| {
            let result = f(reader).map_err(|error| {
                tracing::error!(%error, "storage could not read");
                Unavailable::Storage
            });
            let _ = answer.send(result); // nobody waits any more
        });
        self.inner.reads.try_send(ReadMessage::Read(now, job)).map_err(|error| refused(shared, error))?;
        Ok(waits)
    }

    /// The last commit that is durable and applied. Lock-free.
    pub fn applied_seq(&self) -> Seq {
        Seq(self.inner.shared.applied_seq.load(Ordering::Acquire))
    }

    /// False after a failed write until one succeeds, and for good when the writer has ended.
    pub fn writable(&self) -> bool {
        self.inner.shared.writable.load(Ordering::Acquire)
    }

    /// Commits that wait for the writer now.
    pub fn commits_queued(&self) -> usize {
        self.inner.commits.len()
    }

    /// Writes a tiny row durably, to learn whether writing works (again).
    ///
    /// # Errors
    /// It does not, the queue is full, or the store is closing.
    pub fn probe_write(&self) -> impl Future<Output = Result<(), Unavailable>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.inner.shared);
        let (answer, waits) = oneshot::channel();
        let sent = if shared.closing.load(Ordering::Acquire) {
            Err(Unavailable::ShuttingDown)
        } else {
            self.inner.commits.try_send(Message::Probe(answer)).map_err(|error| refused(&shared, error))
        };
        async move {
            sent?;
            match waits.await {
                Ok(answer) => answer,
                Err(oneshot::Canceled) => Err(unanswered(&shared)),
            }
        }
    }

    /// Refuses new work, answers what waits, flushes, ends the threads and closes the engine. Blocks, at most
    /// [`CLOSE_SECONDS_MAX`] seconds for each of its waits. Closing again is harmless.
    ///
    /// # Errors
    /// `Storage` when a thread did not end in time or had panicked. Nothing acknowledged is lost by that either.
    pub fn close(&self) -> Result<(), Unavailable> {
        self.inner.close()
    }
}

impl Inner {
    fn close(&self) -> Result<(), Unavailable> {
        let patience = Duration::from_secs(CLOSE_SECONDS_MAX);
        self.shared.closing.store(true, Ordering::Release);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let readers = threads.len().saturating_sub(1);
        let mut stopped = self.commits.send_timeout(Message::Stop, patience);
        for _ in 0..readers {
            if stopped != Err(Refused::Full) {
                stopped = self.reads.send_timeout(ReadMessage::Stop, patience);
            }
        }
        if stopped == Err(Refused::Full) || self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            return Err(Unavailable::Storage);
        }
        let mut result = Ok(());
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                result = Err(Unavailable::Storage);
            }
        }
        result
    }
}

/// A process that ends while RocksDB's threads still run may be aborted by them, so the last handle waits for the end.
impl Drop for Inner {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A read that held the last handle drops it on a thread that cannot wait for itself: it ends right after.
        if threads.iter().all(|thread| thread.thread().id() != std::thread::current().id()) && self.close().is_err() {
            tracing::warn!("storage did not close in time; nothing acknowledged is lost");
        }
    }
}

/// `alive` is dropped last, so that "ended" means the engine handle is gone too.
fn spawn(name: &str, alive: Sender<()>, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let body = move || {
        let _alive = alive;
        work();
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| KvError::Engine(format!("no thread for storage: {error}")).into())
}

fn answer_reads(kv: Arc<dyn Kv>, queue: &Consumer<ReadMessage>) {
    while let Ok(ReadMessage::Read(now, job)) = queue.waiting.recv() {
        kv.advance_clock(now);
        let reader = Reader::new(Arc::clone(&kv), now);
        // A read changes nothing, so whoever asked wrongly loses only this answer.
        if catch_unwind(AssertUnwindSafe(|| job(&reader))).is_err() {
            tracing::error!("a read panicked");
        }
    }
}

fn refused(shared: &Shared, refused: Refused) -> Unavailable {
    match refused {
        Refused::Full => Unavailable::QueueFull,
        Refused::Ended => unanswered(shared),
    }
}

/// The other side went away: because we are closing, or because it died.
fn unanswered(shared: &Shared) -> Unavailable {
    if shared.closing.load(Ordering::Acquire) { Unavailable::ShuttingDown } else { Unavailable::Storage }
}
