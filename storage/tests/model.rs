//! Random commits against a model: a plain map with the rules written as simply as they can be said. Over every
//! engine, with time passing, reopening and compaction in between.

mod fixture;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use assay_storage::kv::{self, Opener};
use assay_storage::schema::{Failures, ServerSecrets};
use assay_storage::{Commit, CommitError, Seq, Store, StoreOptions, TenantId};
use fixture::{Derived, NOW, deriving, digest, failure, secret};
use futures_lite::future::block_on;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[derive(Clone, Copy, Debug)]
enum Step {
    Commit { tenant: u32, expects: [Option<(Place, Expected)>; 2], changes: [(Place, Option<u8>); 2] },
    Compact,
    Later(u64),
    Reopen,
}

/// A row: of the lasting table or of the expiring one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Lasting(u8),
    Expiring(u8),
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    Absent,
    /// The row's number as the model knows it: true unless something changed in between.
    Current,
    /// A number from long ago.
    Stale,
}

#[derive(Default)]
struct Model {
    rows: BTreeMap<(u32, Place), (u8, Seq, Option<u64>)>,
    now: u64,
}

impl Model {
    fn visible(&self, tenant: u32, place: Place) -> Option<(u8, Seq)> {
        let (value, seq, expires_at) = self.rows.get(&(tenant, place))?;
        expires_at.is_none_or(|at| self.now < at).then_some((*value, *seq))
    }
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![(0..3u8).prop_map(Place::Lasting), (0..3u8).prop_map(Place::Expiring)]
}

fn step() -> impl Strategy<Value = Step> {
    let expect = || {
        let expected =
            prop_oneof![1 => Just(Expected::Absent), 3 => Just(Expected::Current), 1 => Just(Expected::Stale)];
        proptest::option::of((place(), expected))
    };
    let change = || (place(), proptest::option::weighted(0.7, any::<u8>()));
    let commit = (1..3u32, [expect(), expect()], [change(), change()])
        .prop_map(|(tenant, expects, changes)| Step::Commit { tenant, expects, changes });
    prop_oneof![20 => commit, 1 => Just(Step::Compact), 3 => (0..200u64).prop_map(Step::Later), 1 => Just(Step::Reopen)]
}

struct Run<'a> {
    opener: &'a Opener,
    store: Store,
    derived: Arc<Mutex<Derived>>,
    model: Model,
}

fn opened(opener: &Opener, now: u64) -> (Store, Arc<Mutex<Derived>>) {
    let (derived, hook) = deriving();
    (Store::open(opener().unwrap(), StoreOptions::default(), now, hook).unwrap(), derived)
}

impl Run<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Commit { tenant, expects, changes } => self.commit(tenant, expects, changes),
            Step::Compact => {
                self.store.close().unwrap();
                let kv = (self.opener)().unwrap();
                kv.advance_clock(self.model.now);
                kv.compact().unwrap();
                drop(kv);
                self.reopen();
            }
            Step::Later(seconds) => self.model.now += seconds,
            Step::Reopen => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.store.close().unwrap();
        let before = self.store.applied_seq();
        (self.store, self.derived) = opened(self.opener, self.model.now);
        assert_eq!(self.store.applied_seq(), before);
    }

    fn commit(&mut self, tenant: u32, expects: [Option<(Place, Expected)>; 2], changes: [(Place, Option<u8>); 2]) {
        let model = &mut self.model;
        let expires_at = model.now + 100;
        let mut c = Commit::new(TenantId(tenant), model.now);
        let mut broken = None;
        for (index, (place, expected)) in expects.into_iter().flatten().enumerate() {
            let current = model.visible(tenant, place);
            let seq = match expected {
                Expected::Absent => None,
                Expected::Current => Some(current.map_or(Seq(1), |(_, seq)| seq)),
                Expected::Stale => Some(Seq(0)),
            };
            if seq != current.map(|(_, seq)| seq) {
                broken = broken.or(Some(index));
            }
            match (place, seq) {
                (Place::Lasting(n), None) => c.expect_absent::<ServerSecrets>(&n.to_string()),
                (Place::Lasting(n), Some(seq)) => c.expect_unchanged::<ServerSecrets>(&n.to_string(), seq),
                (Place::Expiring(n), None) => c.expect_absent::<Failures>(&digest(n)),
                (Place::Expiring(n), Some(seq)) => c.expect_unchanged::<Failures>(&digest(n), seq),
            };
        }
        for (place, value) in changes {
            match (place, value) {
                (Place::Lasting(n), Some(value)) => c.put::<ServerSecrets>(&n.to_string(), &secret(value)),
                (Place::Lasting(n), None) => c.delete::<ServerSecrets>(&n.to_string()),
                (Place::Expiring(n), Some(value)) => {
                    c.put_expiring::<Failures>(&digest(n), &failure(u32::from(value)), expires_at)
                }
                (Place::Expiring(n), None) => c.delete::<Failures>(&digest(n)),
            };
        }
        match (block_on(self.store.commit(c)), broken) {
            (Ok(seq), None) => {
                for (place, value) in changes {
                    let until = matches!(place, Place::Expiring(_)).then_some(expires_at);
                    match value {
                        Some(value) => model.rows.insert((tenant, place), (value, seq, until)),
                        None => model.rows.remove(&(tenant, place)),
                    };
                }
            }
            (result, broken) => assert_eq!(result.err(), broken.map(|index| CommitError::Conflict { index })),
        }
    }

    /// What is read, and what the hook derived, is what the model says.
    fn compare(&self) {
        let now = self.model.now;
        let mut expected = BTreeMap::new();
        for (tenant, place) in self.model.rows.keys() {
            if let Some(row) = self.model.visible(*tenant, *place) {
                expected.insert((*tenant, *place), row);
            }
        }
        let read = block_on(self.store.read(now, |reader| {
            let mut found = BTreeMap::new();
            for tenant in 1..3 {
                for (key, row) in reader.scan::<ServerSecrets>(TenantId(tenant), None, 99)? {
                    found.insert((tenant, Place::Lasting(key.parse().unwrap())), (row.record.bytes[0], row.seq));
                }
                for (key, row) in reader.scan::<Failures>(TenantId(tenant), None, 99)? {
                    found.insert((tenant, Place::Expiring(key[0])), (row.record.count as u8, row.seq));
                }
            }
            Ok(found)
        }));
        assert_eq!(read.unwrap(), expected);

        let derived = self.derived.lock().unwrap();
        let mut found = BTreeMap::new();
        for ((tenant, key), (value, seq)) in &derived.secrets {
            found.insert((tenant.0, Place::Lasting(key.parse().unwrap())), (*value, *seq));
        }
        for ((tenant, key), (count, seq, expires_at)) in &derived.failures {
            if expires_at.is_none_or(|at| now < at) {
                found.insert((tenant.0, Place::Expiring(key[0])), (*count as u8, *seq));
            }
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn random_commits_do_what_the_model_says() {
    for info in kv::ALL {
        // Reopening a database on disk takes its time; the map behind the memory twin gets the many cases.
        let cases = if info.name == "memory" { 512 } else { 16 };
        let mut runner = TestRunner::new(Config { cases, ..Config::default() });
        runner
            .run(&proptest::collection::vec(step(), 1..60), |steps| {
                let directory = tempfile::tempdir().unwrap();
                let opener = (info.opener)(directory.path());
                let (store, derived) = opened(&opener, NOW);
                let mut run = Run { opener: &opener, store, derived, model: Model { now: NOW, ..Model::default() } };
                for step in steps {
                    run.step(step);
                    run.compare();
                }
                run.store.close().unwrap();
                Ok(())
            })
            .unwrap();
    }
}
