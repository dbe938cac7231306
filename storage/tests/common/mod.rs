//! What the storage tests share: rows to write, an apply hook that derives state, an engine that can be held or broken.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use assay_storage::kv::{Batch, Visit};
use assay_storage::record::{Failure, ServerSecret, User, UserStatus};
use assay_storage::schema::{Failures, ServerSecrets};
use assay_storage::{ApplyHook, Commit, CommitError, Family, Kv, KvError, Seq, Store, StoreOptions, TenantId};
use crossbeam_channel::{Receiver, Sender, bounded};
use futures_lite::future::block_on;

pub const NOW: u64 = 1_700_000_000;
pub const TENANT: TenantId = TenantId::DEFAULT;

pub fn user(id: &str, name: &str) -> User {
    User {
        user_id: id.to_owned(),
        pubkey: "02".repeat(33),
        name: name.to_owned(),
        status: UserStatus::Active,
        bap_id: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

pub fn failure(count: u32) -> Failure {
    Failure { count, last_at: NOW, blocked_until: NOW }
}

pub fn secret(byte: u8) -> ServerSecret {
    ServerSecret { bytes: [byte; 32] }
}

pub fn digest(byte: u8) -> [u8; 32] {
    [byte; 32]
}

/// Count, number and end of a `Failures` row.
pub type DerivedFailure = (u32, Seq, Option<u64>);

/// State derived from commits, as the gateway derives its own: the resident tables `ServerSecrets` and `Failures`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    pub secrets: BTreeMap<(TenantId, String), (u8, Seq)>,
    pub failures: BTreeMap<(TenantId, [u8; 32]), DerivedFailure>,
    pub seqs: Vec<Seq>,
}

pub fn deriving() -> (Arc<Mutex<Derived>>, ApplyHook) {
    let derived = Arc::new(Mutex::new(Derived::default()));
    let state = Arc::clone(&derived);
    let hook: ApplyHook = Box::new(move |applied| {
        let mut state = state.lock().unwrap();
        state.seqs.push(applied.seq);
        for change in applied.changes {
            if let Some((key, row)) = change.decode::<ServerSecrets>() {
                match row {
                    Some(row) => state.secrets.insert((applied.tenant, key), (row.record.bytes[0], row.seq)),
                    None => state.secrets.remove(&(applied.tenant, key)),
                };
            } else if let Some((key, row)) = change.decode::<Failures>() {
                match row {
                    Some(row) => {
                        let value = (row.record.count, row.seq, row.expires_at);
                        state.failures.insert((applied.tenant, key), value)
                    }
                    None => state.failures.remove(&(applied.tenant, key)),
                };
            }
        }
    });
    (derived, hook)
}

pub fn open(kv: impl Kv) -> Store {
    open_with(kv, StoreOptions::default())
}

pub fn open_with(kv: impl Kv, options: StoreOptions) -> Store {
    Store::open(kv, options, NOW, Box::new(|_| {})).expect("the store opens")
}

pub fn commit(store: &Store, state: impl FnOnce(&mut Commit) -> &mut Commit) -> Result<Seq, CommitError> {
    commit_at(store, NOW, state)
}

pub fn commit_at(store: &Store, now: u64, state: impl FnOnce(&mut Commit) -> &mut Commit) -> Result<Seq, CommitError> {
    block_on(store.commit(stated(now, state)))
}

pub fn stated(now: u64, state: impl FnOnce(&mut Commit) -> &mut Commit) -> Commit {
    let mut commit = Commit::new(TENANT, now);
    state(&mut commit);
    commit
}

/// An engine under control: its durable writes are counted, can be made to fail, and can be held until let go.
pub struct Controlled<K> {
    pub kv: K,
    pub control: Arc<Control>,
}

#[derive(Default)]
pub struct Control {
    pub durable_writes: AtomicUsize,
    pub recoveries: AtomicUsize,
    pub fail_writes: AtomicBool,
    /// The write happens and then reports failure: the worst a disk can do.
    pub fail_after_writing: AtomicBool,
    pub fail_reads: AtomicBool,
    /// When set, every write says it has begun and waits to be let go.
    pub hold: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Control {
    /// From now on writes are held. Returns where they announce themselves and what lets them go (drop: all).
    pub fn hold_writes(&self) -> (Receiver<()>, Sender<()>) {
        let (began, sees_begin) = bounded(1024);
        let (let_go, waits) = bounded(1024);
        *self.hold.lock().unwrap() = Some((began, waits));
        (sees_begin, let_go)
    }
}

fn broken() -> KvError {
    KvError::Engine("broken on purpose".to_owned())
}

impl<K: Kv> Kv for Controlled<K> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        if self.control.fail_reads.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.kv.get(family, key)
    }
    fn scan(&self, family: Family, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), KvError> {
        if self.control.fail_reads.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.kv.scan(family, prefix, after, visit)
    }
    fn write(&self, batch: &Batch, durable: bool) -> Result<(), KvError> {
        let hold = self.control.hold.lock().unwrap().clone();
        if let Some((began, waits)) = hold {
            began.send(()).unwrap();
            let _ = waits.recv(); // an error means: all are let go
        }
        if self.control.fail_writes.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.kv.write(batch, durable)?;
        self.control.durable_writes.fetch_add(usize::from(durable), Ordering::SeqCst);
        if self.control.fail_after_writing.load(Ordering::SeqCst) { Err(broken()) } else { Ok(()) }
    }
    fn recover(&self) -> Result<(), KvError> {
        self.control.recoveries.fetch_add(1, Ordering::SeqCst);
        if self.control.fail_writes.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.kv.recover()
    }
    fn advance_clock(&self, now: u64) {
        self.kv.advance_clock(now);
    }
    fn compact(&self) -> Result<(), KvError> {
        self.kv.compact()
    }
    fn flush(&self) -> Result<(), KvError> {
        self.kv.flush()
    }
}

/// Every key an engine physically holds in a family.
pub fn keys(kv: &dyn Kv, family: Family) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    kv.scan(family, &[], None, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    keys
}
