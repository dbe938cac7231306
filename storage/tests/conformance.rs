//! One suite over every engine of the build: what `Kv` promises, and what a store on top of it promises.

mod fixture;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_storage::kv::{self, Batch, Opener};
use assay_storage::limits::{EXPIRED_ROW_GRACE_SECONDS, VALUE_BYTES_MAX};
use assay_storage::record::{Consent, Replay};
use assay_storage::schema::{Consents, Failures, Replays, ServerSecrets, Users};
use assay_storage::{
    Commit, CommitError, Family, Kv, OpenError, Reader, Seq, Store, StoreOptions, TenantId, Unavailable,
    key::ConsentKey,
};
use fixture::{NOW, TENANT, commit, commit_at, deriving, digest, failure, keys, open, secret, stated, user};
use futures_lite::future::block_on;

/// Runs a check over every engine; the check gets what opens the same data again and again.
fn over_all(check: impl Fn(&Opener)) {
    for info in kv::ALL {
        let directory = tempfile::tempdir().expect("a temporary directory");
        eprintln!("engine: {}", info.name);
        check(&(info.opener)(directory.path()));
    }
}

fn read<R: Send + 'static>(store: &Store, now: u64, f: impl FnOnce(&Reader) -> R + Send + 'static) -> R {
    block_on(store.read(now, |reader| Ok(f(reader)))).expect("the read is answered")
}

fn user_name(store: &Store, id: &str) -> Option<(String, Seq)> {
    let id = id.to_owned();
    read(store, NOW, move |reader| reader.get::<Users>(TENANT, &id).unwrap().map(|row| (row.record.name, row.seq)))
}

fn batch(rows: &[(&[u8], Option<&[u8]>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in rows {
        match value {
            Some(value) => batch.put(Family::Durable, key.to_vec(), value.to_vec()),
            None => batch.delete(Family::Durable, key.to_vec()),
        }
    }
    batch
}

#[test]
fn kv_later_changes_win_and_families_are_apart() {
    over_all(|opener| {
        let kv = opener().unwrap();
        kv.write(&batch(&[(b"a", Some(b"1")), (b"a", None), (b"b", None), (b"b", Some(b"2"))]), true).unwrap();
        assert_eq!(kv.get(Family::Durable, b"a").unwrap(), None);
        assert_eq!(kv.get(Family::Durable, b"b").unwrap().as_deref(), Some(b"2".as_slice()));
        assert_eq!(kv.get(Family::Expiring, b"b").unwrap(), None);
        assert_eq!(kv.get(Family::Meta, b"b").unwrap(), None);
    });
}

#[test]
fn kv_scan_is_ordered_bounded_and_resumable() {
    over_all(|opener| {
        let kv = opener().unwrap();
        let all: [&[u8]; 7] = [b"a", b"b", b"b\0", b"b\xff", b"b\xff\xff", b"c", b"\xff\xff"];
        let rows: Vec<_> = all.iter().rev().map(|key| (*key, Some(*key))).collect();
        kv.write(&batch(&rows), false).unwrap();
        let check = |prefix: &[u8], after: Option<&[u8]>, limit: usize, expected: &[&[u8]]| {
            let mut found = Vec::new();
            kv.scan(Family::Durable, prefix, after, &mut |key, value| {
                assert_eq!(key, value);
                found.push(key.to_vec());
                if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
            assert_eq!(found, expected, "prefix {prefix:?} after {after:?} limit {limit}");
        };
        check(b"", None, 99, &all);
        check(b"b", None, 99, &all[1..5]);
        check(b"b", None, 2, &all[1..3]);
        check(b"b", Some(b"b\0"), 99, &all[3..5]);
        check(b"b", Some(b"b\x01"), 99, &all[3..5]);
        check(b"b", Some(b"a"), 99, &all[1..5]);
        check(b"b", Some(b"c"), 99, &[]);
        check(b"\xff", None, 99, &all[6..]);
        check(b"d", None, 99, &[]);
        check(b"", Some(b"c"), 99, &all[6..]);
    });
}

#[test]
fn a_commit_is_read_back_with_its_number() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let seq = commit(&store, |c| c.put::<Users>(&"alice".to_owned(), &user("alice", "Alice"))).unwrap();
        assert_eq!(store.applied_seq(), seq);
        assert_eq!(user_name(&store, "alice"), Some(("Alice".to_owned(), seq)));
        commit(&store, |c| c.delete::<Users>(&"alice".to_owned())).unwrap();
        assert_eq!(user_name(&store, "alice"), None);
        store.close().unwrap();
    });
}

#[test]
fn a_broken_precondition_names_itself_and_leaves_nothing() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let (alice, bob) = ("alice".to_owned(), "bob".to_owned());
        let first =
            commit(&store, |c| c.expect_absent::<Users>(&alice).put::<Users>(&alice, &user("alice", "1"))).unwrap();
        let check = |index: usize, state: &dyn Fn(&mut Commit) -> &mut Commit| {
            let before = store.applied_seq();
            let result = commit(&store, |c| {
                state(c);
                c.put::<Users>(&alice, &user("alice", "2")).put::<Users>(&bob, &user("bob", "2"))
            });
            assert_eq!(result, Err(CommitError::Conflict { index }));
            assert_eq!(user_name(&store, "alice"), Some(("1".to_owned(), first)));
            assert_eq!(user_name(&store, "bob"), None);
            assert_eq!(store.applied_seq(), before, "a conflict uses no number");
        };
        check(0, &|c| c.expect_absent::<Users>(&alice));
        check(1, &|c| c.expect_absent::<Users>(&bob).expect_absent::<Users>(&alice));
        check(0, &|c| c.expect_unchanged::<Users>(&alice, Seq(first.0 + 1)));
        check(0, &|c| c.expect_unchanged::<Users>(&bob, first));
        check(2, &|c| {
            c.expect_unchanged::<Users>(&alice, first).expect_absent::<Users>(&bob).expect_absent::<Users>(&alice)
        });
        commit(&store, |c| c.expect_unchanged::<Users>(&alice, first).put::<Users>(&alice, &user("alice", "2")))
            .unwrap();
        check_changed(&store, &alice, first);
    });
}

fn check_changed(store: &Store, id: &String, old: Seq) {
    let again = commit(store, |c| c.expect_unchanged::<Users>(id, old));
    assert_eq!(again, Err(CommitError::Conflict { index: 0 }));
}

#[test]
fn an_expired_row_does_not_exist() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let key = digest(1);
        let used = |now: u64| {
            commit_at(&store, now, |c| {
                c.expect_absent::<Replays>(&key).put_expiring::<Replays>(&key, &Replay {}, NOW + 10)
            })
        };
        let seq = used(NOW).unwrap();
        assert_eq!(used(NOW + 9), Err(CommitError::Conflict { index: 0 }));
        let visible = |now: u64| {
            read(&store, now, move |reader| {
                let got = reader.get::<Replays>(TENANT, &key).unwrap().is_some();
                let scanned = reader.scan::<Replays>(TENANT, None, 9).unwrap().len() == 1;
                assert_eq!(got, scanned);
                got
            })
        };
        assert!(visible(NOW + 9));
        assert!(!visible(NOW + 10), "expires_at itself is too late");
        let unchanged = commit_at(&store, NOW + 10, |c| c.expect_unchanged::<Replays>(&key, seq));
        assert_eq!(unchanged, Err(CommitError::Conflict { index: 0 }));
        // A request that read the clock before the row expired still meets it, however late it is judged.
        assert_eq!(used(NOW + 9), Err(CommitError::Conflict { index: 0 }));
        assert!(used(NOW + 10).is_ok());
    });
}

#[test]
fn expired_rows_leave_the_engine_after_the_grace() {
    over_all(|opener| {
        let kv: Arc<dyn Kv> = Arc::from(opener().unwrap());
        let store = open(Arc::clone(&kv));
        for byte in 0..100 {
            commit(&store, |c| {
                let expires_at = if byte < 90 { NOW + 10 } else { NOW + 100_000 };
                c.put_expiring::<Replays>(&digest(byte), &Replay {}, expires_at)
            })
            .unwrap();
        }
        let held = |now: u64| {
            kv.advance_clock(now);
            kv.compact().unwrap();
            keys(&*kv, Family::Expiring).len()
        };
        assert_eq!(held(NOW), 100);
        assert_eq!(held(NOW + 10 + EXPIRED_ROW_GRACE_SECONDS - 1), 100, "within the grace all are kept");
        assert_eq!(held(NOW + 10 + EXPIRED_ROW_GRACE_SECONDS), 10);
        // The clock never goes back, and what has no end never ends.
        commit(&store, |c| c.put::<Users>(&"alice".to_owned(), &user("alice", "Alice"))).unwrap();
        assert_eq!(held(0), 10);
        assert_eq!(held(u64::MAX), 0);
        assert_eq!(keys(&*kv, Family::Durable).len(), 1);
    });
}

#[test]
fn rows_and_numbers_survive_reopening() {
    over_all(|opener| {
        let mut last = Seq(0);
        let mut expected = Vec::new();
        for round in 0..4u8 {
            let (derived, hook) = deriving();
            let store = Store::open(opener().unwrap(), StoreOptions::default(), NOW, hook).unwrap();
            assert_eq!(store.applied_seq(), last);
            let names: Vec<_> = derived.lock().unwrap().secrets.keys().map(|(_, name)| name.clone()).collect();
            assert_eq!(names, expected, "resident rows are replayed, and only those");
            for step in 0..3 {
                let name = format!("{round}-{step}");
                let seq = commit(&store, |c| {
                    c.put::<ServerSecrets>(&name, &secret(step)).put::<Users>(&name, &user(&name, &name))
                })
                .unwrap();
                assert!(seq > last, "numbers only grow");
                last = seq;
                expected.push(name);
            }
            assert_eq!(derived.lock().unwrap().secrets.len(), expected.len());
            store.close().unwrap();
        }
        let store = open(opener().unwrap());
        for name in expected {
            assert_eq!(user_name(&store, &name).unwrap().0, name);
        }
    });
}

#[test]
fn replay_leaves_out_expired_rows_and_visits_every_tenant() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        for tenant in [1, 2, 0x0100_0000, u32::MAX] {
            let mut c = Commit::new(TenantId(tenant), NOW);
            c.put_expiring::<Failures>(&digest(1), &failure(1), NOW + 10);
            c.put_expiring::<Failures>(&digest(2), &failure(2), NOW + 99);
            c.put::<ServerSecrets>(&"s".to_owned(), &secret(7));
            block_on(store.commit(c)).unwrap();
        }
        store.close().unwrap();
        let (derived, hook) = deriving();
        let store = Store::open(opener().unwrap(), StoreOptions::default(), NOW + 50, hook).unwrap();
        let derived = derived.lock().unwrap().clone();
        let failures: Vec<_> = derived.failures.iter().map(|((tenant, key), row)| (tenant.0, key[0], row.0)).collect();
        assert_eq!(failures, [(1, 2, 2), (2, 2, 2), (0x0100_0000, 2, 2), (u32::MAX, 2, 2)]);
        assert_eq!(derived.secrets.len(), 4);
        store.close().unwrap();
    });
}

#[test]
fn the_hook_sees_commits_in_order_before_they_are_acknowledged() {
    over_all(|opener| {
        let (derived, hook) = deriving();
        let store = Store::open(opener().unwrap(), StoreOptions::default(), NOW, hook).unwrap();
        let waiting: Vec<_> = (0..200u8)
            .map(|n| store.commit(stated(NOW, |c| c.put::<ServerSecrets>(&"s".to_owned(), &secret(n)))))
            .collect();
        for (n, answer) in waiting.into_iter().enumerate() {
            let seq = block_on(answer).unwrap();
            let derived = derived.lock().unwrap();
            assert_eq!(derived.seqs.get(n), Some(&seq), "one caller's commits keep their order");
            assert!(store.applied_seq() >= seq);
        }
        let last = store.applied_seq();
        assert_eq!(derived.lock().unwrap().secrets[&(TENANT, "s".to_owned())], (199, last));
    });
}

#[test]
fn one_of_many_racing_threads_wins() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        for round in 0..20 {
            let wins = AtomicUsize::new(0);
            let barrier = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        barrier.wait();
                        let result = commit(&store, |c| {
                            let key = digest(round);
                            c.expect_absent::<Replays>(&key).put_expiring::<Replays>(&key, &Replay {}, NOW + 99)
                        });
                        match result {
                            Ok(_) => {
                                wins.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(error) => assert_eq!(error, CommitError::Conflict { index: 0 }),
                        }
                    });
                }
            });
            assert_eq!(wins.into_inner(), 1);
        }
    });
}

#[test]
fn no_update_is_lost_under_contention() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let key = digest(0);
        commit(&store, |c| c.put_expiring::<Failures>(&key, &failure(0), NOW + 99)).unwrap();
        let current = || read(&store, NOW, move |reader| reader.get::<Failures>(TENANT, &key).unwrap().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut done = 0;
                    while done < 10 {
                        let row = current();
                        let result = commit(&store, |c| {
                            let next = failure(row.record.count + 1);
                            c.expect_unchanged::<Failures>(&key, row.seq);
                            c.put_expiring::<Failures>(&key, &next, NOW + 99)
                        });
                        match result {
                            Ok(_) => done += 1,
                            Err(error) => assert_eq!(error, CommitError::Conflict { index: 0 }),
                        }
                    }
                });
            }
        });
        assert_eq!(current().record.count, 40);
    });
}

#[test]
fn tenants_do_not_see_each_other() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let id = "alice".to_owned();
        for tenant in [TenantId(1), TenantId(2)] {
            let mut c = Commit::new(tenant, NOW);
            c.expect_absent::<Users>(&id).put::<Users>(&id, &user("alice", &tenant.0.to_string()));
            block_on(store.commit(c)).unwrap();
        }
        let name = |tenant: TenantId| {
            read(&store, NOW, move |reader| {
                let got = reader.get::<Users>(tenant, &"alice".to_owned()).unwrap();
                let scanned = reader.scan::<Users>(tenant, None, 9).unwrap();
                assert_eq!(got.iter().collect::<Vec<_>>(), scanned.iter().map(|(_, row)| row).collect::<Vec<_>>());
                got.map(|row| row.record.name)
            })
        };
        assert_eq!(name(TenantId(1)).as_deref(), Some("1"));
        assert_eq!(name(TenantId(2)).as_deref(), Some("2"));
        assert_eq!(name(TenantId(3)), None);
    });
}

#[test]
fn scans_resume_and_select_by_prefix() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let consent = Consent { scopes: vec![], granted_at: NOW };
        let key = |user: &str, client: String| ConsentKey { user_id: user.to_owned(), client_id: client };
        for n in 0..25 {
            commit(&store, |c| {
                for user in ["a", "ab", "b"] {
                    c.put::<Consents>(&key(user, format!("{n:02}")), &consent);
                }
                c
            })
            .unwrap();
        }
        let found = read(&store, NOW, move |reader| {
            let prefix = ConsentKey::prefix_of_user("a");
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = reader.scan_prefix::<Consents>(TENANT, &prefix, after.as_ref(), 10).unwrap();
                let last = page.len() < 10;
                after = page.last().map(|(key, _)| key.clone());
                all.extend(page.into_iter().map(|(key, _)| key));
                if last {
                    return all;
                }
            }
        });
        assert_eq!(found, (0..25).map(|n| key("a", format!("{n:02}"))).collect::<Vec<_>>());
    });
}

#[test]
fn an_oversized_commit_is_refused() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let check = |fits: bool, state: &dyn Fn(&mut Commit) -> &mut Commit| {
            let result = commit(&store, state);
            assert_eq!(result.is_ok(), fits);
            assert!(fits || result == Err(CommitError::TooLarge));
        };
        let long = "x".repeat(VALUE_BYTES_MAX);
        check(false, &|c| c.put::<Users>(&"a".to_owned(), &user("a", &long)));
        check(true, &|c| c.put::<Users>(&"a".to_owned(), &user("a", &long[..VALUE_BYTES_MAX / 2])));
        check(false, &|c| c.delete::<Users>(&long));
        check(false, &|c| c.expect_absent::<Users>(&long));
        let huge = ConsentKey { user_id: long.clone(), client_id: String::new() };
        check(false, &|c| c.delete::<Consents>(&huge));
        check(false, &|c| (0..=255u8).chain(0..=0).fold(c, |c, n| c.delete::<Replays>(&digest(n))));
        check(true, &|c| (0..=255u8).fold(c, |c, n| c.delete::<Replays>(&digest(n))));
        check(false, &|c| {
            for id in ["a", "b", "c", "d"] {
                c.put::<Users>(&id.to_owned(), &user(id, &long[..VALUE_BYTES_MAX / 2]));
            }
            c
        });
    });
}

#[test]
fn a_closed_store_says_so_and_lets_go() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        let waiting: Vec<_> = (0..50u8)
            .map(|n| store.commit(stated(NOW, |c| c.put::<ServerSecrets>(&n.to_string(), &secret(n)))))
            .collect();
        store.close().unwrap();
        for answer in waiting {
            block_on(answer).expect("what was taken before closing is written");
        }
        assert_eq!(commit(&store, |c| c), Err(Unavailable::ShuttingDown.into()));
        assert_eq!(block_on(store.read(NOW, |_| Ok(()))), Err(Unavailable::ShuttingDown));
        assert_eq!(block_on(store.probe_write()), Err(Unavailable::ShuttingDown));
        assert!(!store.writable());
        store.close().unwrap();
        let (derived, hook) = deriving();
        let _again = Store::open(opener().unwrap(), StoreOptions::default(), NOW, hook).unwrap();
        assert_eq!(derived.lock().unwrap().secrets.len(), 50);
    });
}

#[test]
fn newer_and_foreign_formats_are_refused_in_one_line() {
    let check = |key: &[u8], value: &[u8], expected: &str| {
        over_all(|opener| {
            let kv = opener().unwrap();
            let mut batch = Batch::default();
            batch.put(Family::Meta, key.to_vec(), value.to_vec());
            kv.write(&batch, true).unwrap();
            let before = keys(&*kv, Family::Meta);
            let kv = Arc::new(kv);
            let refusal = Store::open(Arc::clone(&kv), StoreOptions::default(), NOW, Box::new(|_| {}));
            let message = refusal.err().expect("refused").to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
            assert_eq!(keys(&**kv, Family::Meta), before, "nothing was written");
        });
    };
    check(b"format", b"assay\0\0\0\x02", "format 2, this assay reads up to format 1");
    check(b"format", b"assay\xff\xff\xff\xff", "start the newer assay");
    check(b"format", b"assay\0\0\0\0", "holds no assay data");
    check(b"format", b"assay", "holds no assay data");
    check(b"format", b"other\0\0\0\x01", "holds no assay data");
    check(b"something", b"else", "holds no assay data");
}

#[test]
fn a_resident_row_that_cannot_be_read_stops_the_start() {
    over_all(|opener| {
        let store = open(opener().unwrap());
        commit(&store, |c| c.put::<ServerSecrets>(&"cookie".to_owned(), &secret(1))).unwrap();
        store.close().unwrap();
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let kv = Arc::new(opener().unwrap());
            let key = keys(&*kv, Family::Durable).remove(0);
            let good = kv.get(Family::Durable, &key).unwrap().unwrap();
            let mut bad = good.clone();
            change(&mut bad);
            kv.write(&batch(&[(&key, Some(&bad))]), true).unwrap();
            let result = Store::open(Arc::clone(&kv), StoreOptions::default(), NOW, Box::new(|_| {}));
            match result.err().expect("refused") {
                OpenError::Kv(error) => assert!(error.to_string().contains(expected), "{error}"),
                other => panic!("{other}"),
            }
            kv.write(&batch(&[(&key, Some(&good))]), true).unwrap();
        };
        check(&|value| value.truncate(16), "too short");
        check(&|value| value[0] = 2, "unknown record version");
        check(&|value| value.truncate(value.len() - 1), "not this table's record");
    });
}
