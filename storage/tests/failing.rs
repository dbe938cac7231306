//! Engines that are slow, full or broken, and callers that are too many: what the store answers, and that it recovers.

mod fixture;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_storage::kv::Memory;
use assay_storage::record::Replay;
use assay_storage::schema::{Replays, ServerSecrets, Users};
use assay_storage::{CommitError, Family, Kv, Seq, Store, StoreObserver, StoreOptions, Unavailable};
use fixture::{Control, Controlled, NOW, TENANT, commit, deriving, digest, keys, open_with, secret, stated, user};
use futures_lite::future::{block_on, poll_once};

const STORAGE: CommitError = CommitError::Unavailable(Unavailable::Storage);

fn controlled() -> (Arc<Memory>, Arc<Control>, Controlled<Arc<Memory>>) {
    let (memory, control) = (Arc::new(Memory::new()), Arc::new(Control::default()));
    let kv = Controlled { kv: Arc::clone(&memory), control: Arc::clone(&control) };
    (memory, control, kv)
}

fn put_secret(store: &Store, n: u8) -> impl Future<Output = Result<Seq, CommitError>> + use<> {
    store.commit(stated(NOW, |c| c.put::<ServerSecrets>(&n.to_string(), &secret(n))))
}

#[derive(Default)]
struct Seen(Mutex<Vec<(usize, Duration)>>);

impl StoreObserver for Seen {
    fn monotonic_nanos(&self) -> u64 {
        self.0.lock().unwrap().len() as u64 * 1000
    }
    fn commit_group(&self, commits: usize, write: Duration) {
        self.0.lock().unwrap().push((commits, write));
    }
}

#[test]
fn commits_that_wait_together_share_one_durable_write() {
    let (_, control, kv) = controlled();
    let seen = Arc::new(Seen::default());
    let options = StoreOptions { observer: Some(Arc::clone(&seen) as _), ..StoreOptions::default() };
    let store = open_with(kv, options);
    let before = control.durable_writes.load(Ordering::SeqCst);
    let (began, let_go) = control.hold_writes();
    let first = put_secret(&store, 0);
    began.recv().unwrap();
    let others: Vec<_> = (1..=200).map(|n| put_secret(&store, n)).collect();
    drop(let_go);
    let first = block_on(first).unwrap();
    let seqs: Vec<_> = others.into_iter().map(|answer| block_on(answer).unwrap()).collect();
    assert_eq!(seqs, (1..=200).map(|n| Seq(first.0 + n)).collect::<Vec<_>>());
    assert_eq!(control.durable_writes.load(Ordering::SeqCst) - before, 2, "one alone, two hundred together");
    assert_eq!(*seen.0.lock().unwrap(), [(1, Duration::ZERO), (200, Duration::ZERO)]);
}

#[test]
fn preconditions_are_judged_against_earlier_winners_of_the_group() {
    let (_, control, kv) = controlled();
    let store = open_with(kv, StoreOptions::default());
    let (began, let_go) = control.hold_writes();
    let first = put_secret(&store, 0);
    began.recv().unwrap();
    let (key, alice) = (digest(1), "alice".to_owned());
    let use_it = || {
        store.commit(stated(NOW, |c| {
            c.expect_absent::<Replays>(&key).put_expiring::<Replays>(&key, &Replay {}, NOW + 9)
        }))
    };
    let create = |name: &str| {
        store.commit(stated(NOW, |c| c.expect_absent::<Users>(&alice).put::<Users>(&alice, &user("alice", name))))
    };
    let (a, b) = (use_it(), use_it());
    let (created, taken) = (create("1"), create("2"));
    let deleted = store.commit(stated(NOW, |c| c.delete::<Users>(&alice)));
    let again = create("3");
    let expired = store.commit(stated(NOW + 9, |c| c.expect_absent::<Replays>(&key)));
    drop(let_go);
    block_on(first).unwrap();
    let used = block_on(a).unwrap();
    assert_eq!(block_on(b), Err(CommitError::Conflict { index: 0 }));
    block_on(created).unwrap();
    assert_eq!(block_on(taken), Err(CommitError::Conflict { index: 0 }));
    block_on(deleted).unwrap();
    block_on(again).unwrap();
    assert!(block_on(expired).unwrap() > used);
}

#[test]
fn a_full_queue_answers_at_once() {
    let (_, control, kv) = controlled();
    let store = open_with(kv, StoreOptions { commit_queue: 4, read_queue: 2, readers: 1, observer: None });
    let (began, let_go) = control.hold_writes();
    let first = put_secret(&store, 0);
    began.recv().unwrap();
    let fit: Vec<_> = (1..=4).map(|n| put_secret(&store, n)).collect();
    assert_eq!(store.commits_queued(), 4);
    // Polled once: an answer that had to wait for anything would be `None`.
    for n in 5..50 {
        assert_eq!(block_on(poll_once(put_secret(&store, n))), Some(Err(Unavailable::QueueFull.into())));
    }
    assert_eq!(block_on(poll_once(store.probe_write())), Some(Err(Unavailable::QueueFull)));

    let (entered, sees_entered) = crossbeam_channel::bounded(1);
    let (go_on, waits) = crossbeam_channel::bounded::<()>(0);
    let held = store.read(NOW, move |_| {
        entered.send(()).unwrap();
        Ok(waits.recv().is_err())
    });
    sees_entered.recv().unwrap();
    let waiting: Vec<_> = (0..2).map(|_| store.read(NOW, |_| Ok(()))).collect();
    assert_eq!(block_on(poll_once(store.read(NOW, |_| Ok(())))), Some(Err(Unavailable::QueueFull)));
    drop(go_on);
    assert_eq!(block_on(held), Ok(true));
    waiting.into_iter().for_each(|read| block_on(read).unwrap());

    drop(let_go);
    block_on(first).unwrap();
    for answer in fit {
        block_on(answer).unwrap();
    }
    block_on(put_secret(&store, 5)).unwrap();
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let (_, control, kv) = controlled();
    let store = open_with(kv, StoreOptions::default());
    let (began, let_go) = control.hold_writes();
    let large =
        |n: usize| store.commit(stated(NOW, |c| c.put::<Users>(&n.to_string(), &user("x", &"x".repeat(200_000)))));
    let first = large(0);
    began.recv().unwrap();
    let mut taken = vec![Box::pin(first)];
    for n in 1..1000 {
        let mut answer = Box::pin(large(n));
        match block_on(poll_once(&mut answer)) {
            None => taken.push(answer),
            Some(result) => {
                assert_eq!(result, Err(Unavailable::QueueFull.into()));
                break;
            }
        }
    }
    let bytes = (taken.len() - 1) * 200_000;
    assert!((20_000_000..=assay_storage::limits::COMMIT_QUEUE_BYTES_MAX).contains(&bytes), "{bytes}");
    drop(let_go);
    for answer in taken {
        block_on(answer).unwrap();
    }
    block_on(large(0)).expect("the bytes are given back");
}

#[test]
fn a_failed_write_applies_nothing_and_heals() {
    let (memory, control, kv) = controlled();
    let (derived, hook) = deriving();
    let store = Store::open(kv, StoreOptions::default(), NOW, hook).unwrap();
    let good = block_on(put_secret(&store, 1)).unwrap();
    let before = (keys(&*memory, Family::Durable), derived.lock().unwrap().clone());

    control.fail_writes.store(true, Ordering::SeqCst);
    for n in 2..10 {
        assert_eq!(block_on(put_secret(&store, n)), Err(STORAGE));
    }
    assert!(!store.writable());
    assert_eq!(block_on(store.probe_write()), Err(Unavailable::Storage));
    assert_eq!(store.applied_seq(), good);
    assert_eq!((keys(&*memory, Family::Durable), derived.lock().unwrap().clone()), before);
    let read = block_on(store.read(NOW, |reader| reader.get::<ServerSecrets>(TENANT, &"1".to_owned()))).unwrap();
    assert_eq!(read.unwrap().seq, good, "reads go on");

    control.fail_writes.store(false, Ordering::SeqCst);
    block_on(store.probe_write()).unwrap();
    assert!(store.writable());
    let next = block_on(put_secret(&store, 2)).unwrap();
    assert!(next > good);
    assert_eq!(store.applied_seq(), next);
}

#[test]
fn losing_against_a_commit_that_was_not_written_is_no_conflict() {
    let (_, control, kv) = controlled();
    let store = open_with(kv, StoreOptions::default());
    let (began, let_go) = control.hold_writes();
    let first = put_secret(&store, 0);
    began.recv().unwrap();
    control.fail_writes.store(true, Ordering::SeqCst);
    let key = digest(1);
    let use_it = || {
        store.commit(stated(NOW, |c| {
            c.expect_absent::<Replays>(&key).put_expiring::<Replays>(&key, &Replay {}, NOW + 9)
        }))
    };
    let both = [use_it(), use_it()];
    drop(let_go);
    assert_eq!(block_on(first), Err(STORAGE));
    both.into_iter().for_each(|answer| assert_eq!(block_on(answer), Err(STORAGE)));
    control.fail_writes.store(false, Ordering::SeqCst);
    block_on(use_it()).expect("nothing of the failed group remains");
}

#[test]
fn a_write_that_happened_and_reported_failure_is_found_out() {
    let (memory, control, kv) = controlled();
    let (derived, hook) = deriving();
    let store = Store::open(kv, StoreOptions::default(), NOW, hook).unwrap();
    let good = block_on(put_secret(&store, 1)).unwrap();
    control.fail_after_writing.store(true, Ordering::SeqCst);
    assert_eq!(block_on(put_secret(&store, 2)), Err(STORAGE));
    assert_eq!(store.applied_seq(), good);
    assert_eq!(derived.lock().unwrap().secrets.len(), 1, "not known yet, not shown yet");
    control.fail_after_writing.store(false, Ordering::SeqCst);
    let next = block_on(put_secret(&store, 3)).unwrap();
    assert_eq!(control.recoveries.load(Ordering::SeqCst), 1);
    let in_memory = derived.lock().unwrap().secrets.clone();
    assert_eq!(derived.lock().unwrap().seqs, [good, Seq(good.0 + 1), next], "in order, each once");
    store.close().unwrap();

    let (derived, hook) = deriving();
    let store = Store::open(memory, StoreOptions::default(), NOW, hook).unwrap();
    assert_eq!(derived.lock().unwrap().secrets, in_memory, "memory and disk never parted");
    assert_eq!(store.applied_seq(), next);
    assert!(block_on(put_secret(&store, 4)).unwrap() > next);
}

#[test]
fn a_failed_read_is_unavailable_and_not_absent() {
    let (_, control, kv) = controlled();
    let store = open_with(kv, StoreOptions::default());
    control.fail_reads.store(true, Ordering::SeqCst);
    let used = commit(&store, |c| c.expect_absent::<Replays>(&digest(1)));
    assert_eq!(used, Err(STORAGE));
    let read = block_on(store.read(NOW, |reader| reader.get::<Users>(TENANT, &"a".to_owned())));
    assert_eq!(read, Err(Unavailable::Storage));
    let scan = block_on(store.read(NOW, |reader| reader.scan::<Users>(TENANT, None, 9)));
    assert_eq!(scan, Err(Unavailable::Storage));
    control.fail_reads.store(false, Ordering::SeqCst);
    commit(&store, |c| c.expect_absent::<Replays>(&digest(1))).unwrap();
}

#[test]
fn a_read_that_panics_costs_only_its_own_answer() {
    let store = open_with(Memory::new(), StoreOptions { readers: 1, ..StoreOptions::default() });
    let panics = store.read::<(), _>(NOW, |_| panic!("on purpose"));
    assert_eq!(block_on(panics), Err(Unavailable::Storage));
    assert_eq!(block_on(store.read(NOW, |_| Ok(7))), Ok(7));
    store.close().unwrap();
}

#[test]
fn a_panicking_hook_ends_writing_for_good() {
    let memory = Arc::new(Memory::new());
    let hook = Box::new(|_: &assay_storage::Applied<'_>| panic!("on purpose"));
    let store = Store::open(Arc::clone(&memory), StoreOptions::default(), NOW, hook).unwrap();
    assert_eq!(block_on(put_secret(&store, 1)), Err(STORAGE));
    assert_eq!(block_on(put_secret(&store, 2)), Err(STORAGE));
    assert!(!store.writable());
    assert_eq!(block_on(store.probe_write()), Err(Unavailable::Storage));
    assert_eq!(store.close(), Err(Unavailable::Storage));
    // The restart finds the durable commit and goes on from it.
    let (derived, hook) = deriving();
    let store = Store::open(memory, StoreOptions::default(), NOW, hook).unwrap();
    assert_eq!(derived.lock().unwrap().secrets.len(), 1);
    block_on(put_secret(&store, 3)).unwrap();
}

#[test]
fn dropping_the_answer_does_not_take_the_commit_back() {
    let (memory, control, kv) = controlled();
    let store = open_with(kv, StoreOptions::default());
    let (began, let_go) = control.hold_writes();
    drop(put_secret(&store, 1));
    began.recv().unwrap();
    drop(let_go);
    block_on(put_secret(&store, 2)).unwrap();
    assert_eq!(keys(&*memory, Family::Durable).len(), 2);
    let kv: &dyn Kv = &*memory;
    assert!(kv.get(Family::Meta, b"seq").unwrap().is_some());
}
