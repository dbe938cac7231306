//! The writer thread: the one place where commits are ordered, judged and made durable.
//!
//! It takes whatever waits (bounded), judges each commit's preconditions against the store and against the winners
//! before it in the same group, writes all winners as one batch with one fsync, shows them to the apply hook in
//! order, and only then answers. While it waits for the disk the next group gathers by itself: no timer.
//!
//! After a failed write nobody knows whether the batch is on disk. The next group first lets the engine recover and
//! then looks: if the batch did appear, the hook sees it after all, so that memory and disk never part.
//!
//! A panic in the apply hook is a fatal bug: the commits are on disk and not in memory, and going on would answer
//! from a state that misses them. The thread ends, the store is not writable again, every later commit is answered
//! `Unavailable(Storage)`, and only a restart, which replays, helps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_channel::oneshot;

use crate::commit::{Applied, Commit, Expect};
use crate::kv::{Batch, Family, Kv};
use crate::limits::{COMMIT_GROUP_BYTES_MAX, COMMIT_GROUP_MAX};
use crate::queue::Consumer;
use crate::store::{ApplyHook, StoreObserver};
use crate::table::{Header, Seq, TenantId, UnixSeconds, parse_header, stamp_seq};
use crate::{CommitError, KvError, Unavailable};

const SEQ_KEY: &[u8] = b"seq";
const PROBE_KEY: &[u8] = b"probe";

/// The last number a durable commit used.
pub(crate) fn read_seq(kv: &dyn Kv) -> Result<Seq, KvError> {
    match kv.get(Family::Meta, SEQ_KEY)? {
        None => Ok(Seq(0)),
        Some(value) => match value.as_slice().try_into() {
            Ok(bytes) => Ok(Seq(u64::from_be_bytes(bytes))),
            Err(_) => Err(KvError::Corrupt { table: "meta", reason: "the sequence number is not eight bytes" }),
        },
    }
}

/// What the writer and the handles of a store both see.
pub(crate) struct Shared {
    pub(crate) applied_seq: AtomicU64,
    pub(crate) writable: AtomicBool,
    pub(crate) closing: AtomicBool,
    pub(crate) queued_bytes: AtomicUsize,
}

pub(crate) enum Message {
    Commit(Ticket),
    Probe(ProbeAnswer),
    Stop,
}

pub(crate) struct Ticket {
    pub(crate) commit: Commit,
    pub(crate) bytes: usize,
    pub(crate) answer: CommitAnswer,
}

pub(crate) struct Writer {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) queue: Consumer<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) observer: Option<Arc<dyn StoreObserver>>,
    pub(crate) apply: ApplyHook,
    /// The last number given out, durable or not. A failed write may reappear after a restart, so its numbers are
    /// never used again.
    pub(crate) last_seq: Seq,
    /// A batch whose write failed, until the engine has recovered and we know what became of it.
    pub(crate) unsettled: Option<Unsettled>,
}

pub(crate) struct Unsettled {
    batch: Batch,
    parts: Vec<Part>,
}

/// Makes a dying writer visible; disarmed by nothing, because a writer that has ended cannot write either.
struct NotWritableOnExit(Arc<Shared>);

impl Drop for NotWritableOnExit {
    fn drop(&mut self) {
        self.0.writable.store(false, Ordering::Release);
    }
}

/// One commit's part of a batch.
struct Part {
    seq: Seq,
    tenant: TenantId,
    changes: std::ops::Range<usize>,
}

type CommitAnswer = oneshot::Sender<Result<Seq, CommitError>>;
type ProbeAnswer = oneshot::Sender<Result<(), Unavailable>>;

impl Writer {
    /// Runs until told to stop or until every handle is gone, then answers what still waits and flushes.
    pub(crate) fn run(mut self) {
        let _guard = NotWritableOnExit(Arc::clone(&self.shared));
        let mut group = Vec::new();
        let mut probes = Vec::new();
        let mut stopping = false;
        loop {
            let first = if stopping { self.queue.waiting.try_recv().ok() } else { self.queue.waiting.recv().ok() };
            let Some(first) = first else { break };
            let mut next = Some(first);
            let mut bytes = 0;
            while let Some(message) = next {
                match message {
                    Message::Commit(ticket) => {
                        bytes += ticket.bytes;
                        self.shared.queued_bytes.fetch_sub(ticket.bytes, Ordering::Relaxed);
                        group.push(ticket);
                    }
                    Message::Probe(answer) => probes.push(answer),
                    Message::Stop => stopping = true,
                }
                let full = group.len() + probes.len() >= COMMIT_GROUP_MAX || bytes >= COMMIT_GROUP_BYTES_MAX;
                next = if full { None } else { self.queue.waiting.try_recv().ok() };
            }
            self.commit_group(&mut group, &mut probes);
        }
        if let Err(error) = self.kv.flush() {
            tracing::warn!(%error, "storage could not flush on closing; nothing acknowledged is lost");
        }
    }

    /// Answers every ticket and every probe, whatever happens. A dropped answer only means that nobody waits any more.
    fn commit_group(&mut self, group: &mut Vec<Ticket>, probes: &mut Vec<ProbeAnswer>) {
        if let Err(error) = self.settle() {
            tracing::debug!(%error, "storage has not recovered");
            refuse(group.drain(..).map(|ticket| ticket.answer), probes);
            return;
        }
        let mut batch = Batch::default();
        let mut overlay = HashMap::new();
        let mut parts = Vec::with_capacity(group.len());
        let mut winners = Vec::with_capacity(group.len());
        let mut losers: Vec<(CommitAnswer, CommitError)> = Vec::new();
        for Ticket { commit, answer, .. } in group.drain(..) {
            self.kv.advance_clock(commit.now);
            match first_broken(&*self.kv, &overlay, &commit) {
                Ok(None) => {
                    self.last_seq = Seq(self.last_seq.0 + 1);
                    let seq = self.last_seq;
                    let start = batch.changes.len();
                    for mut change in commit.changes {
                        let header = change.value.as_mut().and_then(|value| {
                            stamp_seq(value, seq);
                            Header::parse(value)
                        });
                        overlay.insert(change.key.clone(), header);
                        batch.changes.push(change);
                    }
                    parts.push(Part { seq, tenant: commit.tenant, changes: start..batch.changes.len() });
                    winners.push(answer);
                }
                Ok(Some(index)) => losers.push((answer, CommitError::Conflict { index })),
                Err(error) => {
                    tracing::error!(%error, "storage could not judge a commit");
                    losers.push((answer, CommitError::Unavailable(Unavailable::Storage)));
                }
            }
        }
        if !winners.is_empty() || !probes.is_empty() {
            batch.put(Family::Meta, SEQ_KEY.to_vec(), self.last_seq.0.to_be_bytes().to_vec());
            if !probes.is_empty() {
                batch.put(Family::Meta, PROBE_KEY.to_vec(), Vec::new());
            }
            if self.write(&batch, winners.len()).is_err() {
                // Losers too: what they lost against may not exist.
                self.unsettled = Some(Unsettled { batch, parts });
                refuse(winners.into_iter().chain(losers.into_iter().map(|(answer, _)| answer)), probes);
                return;
            }
        }
        self.apply_parts(&batch, &parts);
        for (answer, part) in winners.into_iter().zip(parts) {
            let _ = answer.send(Ok(part.seq));
        }
        for (answer, error) in losers {
            let _ = answer.send(Err(error));
        }
        for answer in probes.drain(..) {
            let _ = answer.send(Ok(()));
        }
    }

    fn apply_parts(&mut self, batch: &Batch, parts: &[Part]) {
        for Part { seq, tenant, changes } in parts {
            (self.apply)(&Applied { seq: *seq, tenant: *tenant, changes: &batch.changes[changes.clone()] });
            self.shared.applied_seq.store(seq.0, Ordering::Release);
        }
    }

    /// Finds out what became of a failed write. The sequence number on disk tells: each batch writes its last one.
    fn settle(&mut self) -> Result<(), KvError> {
        let Some(Unsettled { batch, parts }) = self.unsettled.take() else {
            return Ok(());
        };
        match self.kv.recover().and_then(|()| read_seq(&*self.kv)) {
            Ok(on_disk) => {
                if parts.last().is_some_and(|part| part.seq <= on_disk) {
                    self.apply_parts(&batch, &parts);
                }
                Ok(())
            }
            Err(error) => {
                self.unsettled = Some(Unsettled { batch, parts });
                Err(error)
            }
        }
    }

    fn write(&self, batch: &Batch, commits: usize) -> Result<(), Unavailable> {
        let started = self.observer.as_ref().map(|observer| observer.monotonic_nanos());
        let result = self.kv.write(batch, true);
        if let (Some(observer), Some(started)) = (&self.observer, started) {
            let write = Duration::from_nanos(observer.monotonic_nanos().saturating_sub(started));
            observer.commit_group(commits, write);
        }
        // Only the change is logged: a full disk would otherwise be filled with this message.
        match result {
            Ok(()) => {
                if !self.shared.writable.swap(true, Ordering::AcqRel) {
                    tracing::info!("storage writes again");
                }
                Ok(())
            }
            Err(error) => {
                if self.shared.writable.swap(false, Ordering::AcqRel) {
                    tracing::error!(%error, "storage cannot write; commits are refused until it can");
                }
                Err(Unavailable::Storage)
            }
        }
    }
}

fn refuse(commits: impl Iterator<Item = CommitAnswer>, probes: &mut Vec<ProbeAnswer>) {
    for answer in commits {
        let _ = answer.send(Err(CommitError::Unavailable(Unavailable::Storage)));
    }
    for answer in probes.drain(..) {
        let _ = answer.send(Err(Unavailable::Storage));
    }
}

/// The first precondition that does not hold. `overlay` holds the rows of earlier winners; `None` in it is a deletion.
fn first_broken(
    kv: &dyn Kv,
    overlay: &HashMap<Vec<u8>, Option<Header>>,
    commit: &Commit,
) -> Result<Option<usize>, KvError> {
    for (index, precondition) in commit.preconditions.iter().enumerate() {
        let header = match overlay.get(&precondition.key) {
            Some(header) => *header,
            None => match kv.get(precondition.family, &precondition.key)? {
                Some(value) => Some(parse_header(precondition.table, &value)?),
                None => None,
            },
        };
        if !holds(precondition.expect, header, commit.now) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn holds(expect: Expect, header: Option<Header>, now: UnixSeconds) -> bool {
    let row = header.filter(|header| header.visible(now));
    match expect {
        Expect::Absent => row.is_none(),
        Expect::Unchanged(seq) => row.is_some_and(|header| header.seq == seq),
    }
}
