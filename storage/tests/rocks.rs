//! What only an engine on disk can get wrong: whose directory it is, who has it open, and what a full disk does.
#![cfg(feature = "rocks")]

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_storage::kv;
use assay_storage::schema::{ServerSecrets, Users};
use assay_storage::{CommitError, OpenError, Store, StoreOptions, Unavailable};
use fixture::{NOW, TENANT, commit, deriving, open, secret, user};
use futures_lite::future::block_on;

fn refusal(path: &Path) -> String {
    let message = kv::rocks(path).err().expect("refused").to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

#[test]
fn a_new_directory_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    drop(kv::rocks(&path).unwrap());
    for made in ["a", "a/b"] {
        assert_eq!(fs::metadata(parent.path().join(made)).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_foreign_directory_is_refused_and_left_alone() {
    let check = |create: &dyn Fn(&Path), accepted: bool| {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path());
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        if accepted {
            open(kv::rocks(directory.path()).unwrap()).close().unwrap();
        } else {
            assert!(refusal(directory.path()).contains("holds no assay data; choose another data directory"));
            assert_eq!(names(), before);
        }
    };
    check(&|_| {}, true);
    check(&|path| fs::write(path.join("admin.token"), "x").unwrap(), true);
    check(&|path| fs::create_dir(path.join("lost+found")).unwrap(), true);
    check(&|path| fs::write(path.join("thesis.tex"), "x").unwrap(), false);
    check(&|path| fs::create_dir(path.join("rocks")).unwrap(), false);
    // Somebody else's RocksDB.
    check(&|path| drop(rocksdb::DB::open_default(path).unwrap()), false);
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "x").unwrap();
    assert!(refusal(&file).contains("cannot open data directory"));
}

#[test]
fn a_family_of_a_later_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(kv::rocks(directory.path()).unwrap());
    let names = ["default", "durable", "expiring", "meta"];
    let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), directory.path().join("rocks"), names).unwrap();
    db.create_cf("profiles", &rocksdb::Options::default()).unwrap();
    drop(db);
    assert!(refusal(directory.path()).contains("start the newer assay"));
}

const DIRECTORY_OF_PARENT: &str = "ASSAY_STORAGE_TEST_DIRECTORY";

/// Two processes, one test: it starts itself again with the parent's directory in the environment.
#[test]
fn a_second_process_is_told_who_has_the_lock() {
    if let Some(directory) = std::env::var_os(DIRECTORY_OF_PARENT) {
        println!("refusal: {}", refusal(Path::new(&directory)));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = open(kv::rocks(directory.path()).unwrap());
    commit(&store, |c| c.put::<ServerSecrets>(&"s".to_owned(), &secret(1))).unwrap();
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_second_process_is_told_who_has_the_lock", "--nocapture"])
        .env(DIRECTORY_OF_PARENT, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stdout);
    let expected = format!(
        "refusal: {} is in use by another assay; stop that process or choose another data directory",
        directory.path().display()
    );
    assert!(said.contains(&expected), "{said}");
    // The first goes on undisturbed, and once it is closed the directory is free.
    commit(&store, |c| c.put::<ServerSecrets>(&"s".to_owned(), &secret(2))).unwrap();
    assert!(matches!(kv::rocks(directory.path()).err(), Some(OpenError::Locked { .. })));
    store.close().unwrap();
    kv::rocks(directory.path()).unwrap();
}

#[test]
fn an_interrupted_first_start_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    drop(kv::rocks(directory.path()).unwrap());
    // Killed after the marker and before RocksDB had made its families.
    fs::remove_dir_all(directory.path().join("rocks")).unwrap();
    open(kv::rocks(directory.path()).unwrap()).close().unwrap();
}

/// A small disk: a tmpfs of its own, unmounted with the test.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(mebibytes: usize) -> Result<SmallDisk, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()))?;
        Ok(SmallDisk { directory })
    }
    fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }
    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(self.directory.path())) {
            eprintln!("the small disk stays mounted: {error}");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// The disk, or the reason why this machine cannot show it; `tests/failing.rs` shows the same with a broken engine.
fn small_disk(mebibytes: usize) -> Option<SmallDisk> {
    match SmallDisk::mount(mebibytes) {
        Ok(disk) => Some(disk),
        Err(error) => {
            eprintln!("NOT SHOWN on a real file system, only by the broken engine of tests/failing.rs: {error}");
            None
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_keeps_reads_and_heals() {
    let Some(disk) = small_disk(64) else { return };
    fs::write(disk.ballast(), vec![1; 40 << 20]).unwrap();
    let (derived, hook) = deriving();
    let store = Store::open(kv::rocks(disk.path()).unwrap(), StoreOptions::default(), NOW, hook).unwrap();
    let noise: String =
        (0..100_000u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    let write = |n: usize| {
        commit(&store, |c| {
            c.put::<ServerSecrets>(&format!("{n:05}"), &secret(1));
            c.put::<Users>(&format!("{n:05}"), &user("x", &noise))
        })
    };
    let mut acknowledged = 0;
    let error = loop {
        match write(acknowledged) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "a disk of 24 MiB took 100 MB");
    };
    assert!(acknowledged > 10, "{acknowledged}");
    assert_eq!(error, CommitError::Unavailable(Unavailable::Storage));
    let seq = store.applied_seq();
    let check = |expected: usize| {
        let found = block_on(store.read(NOW, |reader| {
            let secrets = reader.scan::<ServerSecrets>(TENANT, None, 1000)?.len();
            let users = reader.scan::<Users>(TENANT, None, 1000)?.len();
            Ok((secrets, users))
        }));
        assert_eq!(found, Ok((expected, expected)), "reads go on");
        assert_eq!(derived.lock().unwrap().secrets.len(), expected);
    };
    for _ in 0..5 {
        assert_eq!(write(acknowledged), Err(CommitError::Unavailable(Unavailable::Storage)));
        assert_eq!(block_on(store.probe_write()), Err(Unavailable::Storage));
        assert!(!store.writable());
        assert_eq!(store.applied_seq(), seq);
        check(acknowledged);
    }

    fs::remove_file(disk.ballast()).unwrap();
    block_on(store.probe_write()).expect("with space again it writes again, without a restart");
    assert!(store.writable());
    // The first refused commit was in RocksDB's hands and may have come back whole; memory knows it if it did.
    let healed = derived.lock().unwrap().secrets.len();
    assert!((acknowledged..=acknowledged + 1).contains(&healed), "{healed} of {acknowledged}");
    eprintln!("acknowledged {acknowledged}, after healing {healed}");
    check(healed);
    assert!(write(healed).unwrap() > seq);
    store.close().unwrap();

    let (derived, hook) = deriving();
    let store = Store::open(kv::rocks(disk.path()).unwrap(), StoreOptions::default(), NOW, hook).unwrap();
    assert_eq!(derived.lock().unwrap().secrets.len(), healed + 1, "and nothing acknowledged is missing");
    store.close().unwrap();
}

#[test]
fn a_read_only_disk_is_refused_with_the_reason() {
    let Some(disk) = small_disk(16) else { return };
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(disk.directory.path())).expect("a mounted disk remounts");
    let message = refusal(&disk.path());
    assert!(message.contains("cannot open data directory"), "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
}
