//! RocksDB: one column family per [`Family`], a write-ahead log synced on every durable write.
//!
//! ```text
//! DIR/assay-data   says whose directory this is; written before anything else
//! DIR/lock         held while open, so that a second process is told so in words
//! DIR/rocks/       RocksDB's own files
//! ```
//!
//! Expired rows leave by a compaction filter against the latest time anyone has seen. Nothing walks the table to
//! find them: RocksDB rewrites files anyway, and at the latest when they are `COMPACTION_AGE_SECONDS_MAX` old.
use std::ffi::CStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rocksdb::compaction_filter::{CompactionFilter, Decision};
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Direction, IteratorMode,
    Options, PrefixRange, ReadOptions, WriteBatch, WriteOptions,
};

use super::{Batch, Family, Kv, Visit};
use crate::limits::{
    BACKGROUND_JOBS_MAX, BLOCK_CACHE_BYTES_MAX, COMPACTION_AGE_SECONDS_MAX, INFO_LOG_BYTES_MAX, INFO_LOG_FILES_MAX,
    OPEN_FILES_MAX, RECOVERY_SPARE_BYTES, WAL_BYTES_MAX, WRITE_BUFFER_BYTES_MAX, WRITE_BUFFERS_BYTES_MAX,
};
use crate::table::droppable;
use crate::{KvError, OpenError, UnixSeconds};

/// The marker's name and its text. The format version is in the data, where migrations change it atomically.
const MARKER: (&str, &str) = ("assay-data", "This directory belongs to assay. Only assay may write here.\n");
const LOCK: &str = "lock";
const ROCKS: &str = "rocks";
/// In RocksDB's own directory, which ignores names it does not know.
const TRY_OUT: &str = "assay-try-out";

/// What may stand in a directory that is not ours yet: the lock of an earlier refused start, what the gateway
/// creates before it opens the store, and what file systems put into a fresh volume.
const HARMLESS: [&str; 3] = [LOCK, "admin.token", "lost+found"];

/// RocksDB in a data directory. Dropping it closes it.
pub struct Rocks {
    // Before the lock: the database closes before another process may open it. `None` only after a recovery that
    // closed it and could not open it again.
    db: RwLock<Option<DB>>,
    directory: PathBuf,
    clock: Arc<AtomicU64>,
    _lock: File,
}

impl Rocks {
    pub(super) fn open(path: &Path) -> Result<Rocks, OpenError> {
        let lock = claim(path)?;
        let clock = Arc::new(AtomicU64::new(0));
        let directory = path.join(ROCKS);
        // A family we do not know was made by a later assay: RocksDB would refuse too, in words that help nobody.
        if directory.join("CURRENT").exists() {
            let found = DB::list_cf(&Options::default(), &directory).map_err(engine)?;
            let known = |name: &String| name == "default" || Family::ALL.iter().any(|family| family.name() == name);
            if !found.iter().all(known) {
                let supported = crate::migrate::FORMAT;
                return Err(OpenError::Newer { found: supported + 1, supported });
            }
        }
        let db = open_database(&directory, &clock)?;
        Ok(Rocks { db: RwLock::new(Some(db)), directory, clock, _lock: lock })
    }

    fn with<R>(&self, use_it: impl FnOnce(&DB) -> Result<R, KvError>) -> Result<R, KvError> {
        // Poisoned only by a visitor that panicked, which changes nothing in the database.
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        use_it(db.as_ref().ok_or_else(|| KvError::Engine("closed: the last recovery failed".to_owned()))?)
    }
}

fn open_database(directory: &Path, clock: &Arc<AtomicU64>) -> Result<DB, KvError> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES_MAX);
    let families = Family::ALL
        .into_iter()
        .map(|family| ColumnFamilyDescriptor::new(family.name(), family_options(family, &cache, clock)));
    DB::open_cf_descriptors(&database_options(), directory, families).map_err(engine)
}

fn handle(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("every family is opened with the database and none is ever dropped")
}

/// Makes the directory ours, or says why not. Ends holding its lock.
fn claim(path: &Path) -> Result<File, OpenError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| OpenError::Io { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused(path))?;
    let marker = path.join(MARKER.0);
    if !marker.exists() {
        for entry in fs::read_dir(path).map_err(refused(path))? {
            let name = entry.map_err(refused(path))?.file_name();
            if !HARMLESS.iter().any(|harmless| name == *harmless) {
                return Err(OpenError::Foreign { place: path.display().to_string() });
            }
        }
    }
    let lock_path = path.join(LOCK);
    let lock =
        OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path).map_err(refused(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: lock_path, source }),
    }
    if !marker.exists() {
        write_marker(path, &marker).map_err(refused(&marker))?;
    }
    Ok(lock)
}

/// Written and synced under the lock, before RocksDB creates its first file.
fn write_marker(path: &Path, marker: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(marker)?;
    file.write_all(MARKER.1.as_bytes())?;
    file.sync_all()?;
    File::open(path)?.sync_all()
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_max_total_wal_size(WAL_BYTES_MAX as u64);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES_MAX);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_keep_log_file_num(INFO_LOG_FILES_MAX);
    // The log reaches the kernel with every write, synced or not: a killed process loses nothing, and what is
    // acknowledged has been synced besides.
    options.set_manual_wal_flush(false);
    options
}

fn family_options(family: Family, cache: &Cache, clock: &Arc<AtomicU64>) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Most lookups are for keys that must not exist (single use): the filter answers them without the disk.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    if family == Family::Expiring {
        options.set_compaction_filter_factory(DropExpired { clock: Arc::clone(clock) });
        options.set_periodic_compaction_seconds(COMPACTION_AGE_SECONDS_MAX);
    }
    options
}

const FILTER_NAME: &CStr = c"assay-drop-expired";

/// The compaction filter, and the factory that hands a copy to every compaction thread.
struct DropExpired {
    clock: Arc<AtomicU64>,
}

impl CompactionFilterFactory for DropExpired {
    type Filter = DropExpired;
    fn create(&mut self, _context: CompactionFilterContext) -> DropExpired {
        DropExpired { clock: Arc::clone(&self.clock) }
    }
    fn name(&self) -> &CStr {
        FILTER_NAME
    }
}

impl CompactionFilter for DropExpired {
    fn filter(&mut self, _level: u32, _key: &[u8], value: &[u8]) -> Decision {
        if droppable(value, self.clock.load(Ordering::Relaxed)) { Decision::Remove } else { Decision::Keep }
    }
    fn name(&self) -> &CStr {
        FILTER_NAME
    }
}

impl Kv for Rocks {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.with(|db| db.get_cf(handle(db, family), key).map_err(engine))
    }

    fn scan(&self, family: Family, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), KvError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(PrefixRange(prefix));
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        self.with(|db| {
            let start = IteratorMode::From(from, Direction::Forward);
            for row in db.iterator_cf_opt(handle(db, family), options, start) {
                let (key, value) = row.map_err(engine)?;
                if after.is_some_and(|after| *key <= *after) {
                    continue;
                }
                if let ControlFlow::Break(()) = visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn write(&self, batch: &Batch, durable: bool) -> Result<(), KvError> {
        let mut options = WriteOptions::default();
        options.set_sync(durable);
        self.with(|db| {
            let mut writes = WriteBatch::default();
            for change in &batch.changes {
                let family = handle(db, change.family);
                match &change.value {
                    Some(value) => writes.put_cf(family, &change.key, value),
                    None => writes.delete_cf(family, &change.key),
                }
            }
            db.write_opt(writes, &options).map_err(engine)
        })
    }

    /// Closes the database and opens it again.
    ///
    /// What RocksDB 11.8 does by itself (`db/error_handler.cc`): any failed write to its log stops all writing. For a
    /// full disk it polls every five seconds and resumes when there is room for a memtable; any other I/O error stays
    /// until `Resume()`, which the crate does not offer. Even a resume leaves open whether the failed batch, half in
    /// an old log, comes back after a crash. Opening anew settles it: the log is read to its last whole record,
    /// and what it gave is flushed to synced table files before the first new write.
    ///
    /// Opening needs room for that flush, so it is tried only when a file of that size can be written and synced.
    /// Until then the stuck database stays open, and reads go on.
    fn recover(&self) -> Result<(), KvError> {
        self.try_out().map_err(|error| KvError::Engine(format!("cannot write to the data directory: {error}")))?;
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        *db = None; // closes it, and frees RocksDB's own lock
        *db = Some(open_database(&self.directory, &self.clock)?);
        Ok(())
    }

    fn advance_clock(&self, now: UnixSeconds) {
        self.clock.fetch_max(now, Ordering::Relaxed);
    }

    fn compact(&self) -> Result<(), KvError> {
        self.flush()?;
        self.with(|db| {
            db.compact_range_cf(handle(db, Family::Expiring), None::<&[u8]>, None::<&[u8]>);
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), KvError> {
        self.with(|db| Family::ALL.into_iter().try_for_each(|family| db.flush_cf(handle(db, family)).map_err(engine)))
    }
}

impl Rocks {
    /// Writes, syncs and removes a file as large as the logs that opening would flush, and a little more.
    fn try_out(&self) -> io::Result<()> {
        let mut bytes = RECOVERY_SPARE_BYTES;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == "log") {
                bytes += entry.metadata()?.len();
            }
        }
        let path = self.directory.join(TRY_OUT);
        let tried = write_zeros(&path, bytes);
        let removed = fs::remove_file(&path);
        tried.and(removed)
    }
}

fn write_zeros(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    file.sync_all()
}

/// RocksDB's text names files and offsets, never keys or values.
fn engine(error: rocksdb::Error) -> KvError {
    KvError::Engine(error.into_string())
}
