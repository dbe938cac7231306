//! Every bound of this crate, with unit and bound in the name; relations between them are asserted at compile time.

/// One kibibyte, in bytes.
pub(crate) const KIB: usize = 1024;
/// One mebibyte, in bytes.
pub(crate) const MIB: usize = 1024 * KIB;

/// Commits that may wait for the writer; the caller beyond it gets `QueueFull` at once.
pub const COMMIT_QUEUE_MAX: usize = 4096;
/// Bytes (keys and values) that may wait for the writer, whatever the number of commits.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 32 * MIB;
/// Commits that share one fsync. Larger groups only add latency: the next group fills while this one is written.
pub const COMMIT_GROUP_MAX: usize = 512;
/// Bytes of one group, so that a run of large commits does not make one enormous write.
pub const COMMIT_GROUP_BYTES_MAX: usize = 4 * MIB;
/// Bytes of one commit, keys and values together.
pub const COMMIT_BYTES_MAX: usize = 512 * KIB;
/// Preconditions plus changes of one commit.
pub const COMMIT_OPERATIONS_MAX: usize = 256;
/// Bytes of one encoded key, tenant and table included.
pub const KEY_BYTES_MAX: usize = KIB;
/// Bytes of one encoded value, header included.
pub const VALUE_BYTES_MAX: usize = 256 * KIB;

/// Reads that may wait for a reader thread.
pub const READ_QUEUE_MAX: usize = 4096;
/// Reader threads unless the options say otherwise: enough to overlap disk reads, too few to crowd the cores.
pub const READERS_DEFAULT: usize = 4;
/// Most reader threads the options may ask for.
pub const READERS_MAX: usize = 64;
/// Rows one scan returns at most; ask again with `after` for the rest.
pub const SCAN_ROWS_MAX: usize = 1000;

/// Seconds `Store::close` waits for the queue to drain and the threads to end.
pub const CLOSE_SECONDS_MAX: u64 = 10;

/// Seconds an expired row stays on disk, invisible, before compaction may drop it. A request that read the clock
/// just before the row expired and then waited must still find it, or a single-use token would work twice.
pub const EXPIRED_ROW_GRACE_SECONDS: u64 = 300;
/// RocksDB rewrites a file of the expiring family at this age, so expired rows do leave the disk.
pub const COMPACTION_AGE_SECONDS_MAX: u64 = 24 * 3600;

/// RocksDB: decompressed blocks kept in memory, shared by the families.
pub const BLOCK_CACHE_BYTES_MAX: usize = 64 * MIB;
/// RocksDB: one memtable.
pub const WRITE_BUFFER_BYTES_MAX: usize = 16 * MIB;
/// RocksDB: all memtables together.
pub const WRITE_BUFFERS_BYTES_MAX: usize = 64 * MIB;
/// RocksDB: write-ahead logs together; beyond it the oldest memtable is flushed. Bounds the replay at start-up.
pub const WAL_BYTES_MAX: usize = 64 * MIB;
/// RocksDB: free bytes a recovery asks for beyond the logs it has to flush: a manifest, a new log, table file indexes.
pub const RECOVERY_SPARE_BYTES: u64 = 4 * MIB as u64;
/// RocksDB: open table files.
pub const OPEN_FILES_MAX: i32 = 512;
/// RocksDB: one information log file.
pub const INFO_LOG_BYTES_MAX: usize = 4 * MIB;
/// RocksDB: information log files kept.
pub const INFO_LOG_FILES_MAX: usize = 4;
/// RocksDB: flush and compaction threads.
pub const BACKGROUND_JOBS_MAX: i32 = 2;

const _: () = assert!(COMMIT_QUEUE_MAX >= 2 * COMMIT_GROUP_MAX, "one group fills while one is written");
const _: () = assert!(COMMIT_GROUP_BYTES_MAX >= COMMIT_BYTES_MAX, "every legal commit fits a group");
const _: () = assert!(COMMIT_QUEUE_BYTES_MAX >= 2 * COMMIT_GROUP_BYTES_MAX, "one group fills while one is written");
const _: () = assert!(COMMIT_BYTES_MAX >= VALUE_BYTES_MAX + KEY_BYTES_MAX, "every legal row fits a commit");
const _: () = assert!(WRITE_BUFFERS_BYTES_MAX >= 3 * WRITE_BUFFER_BYTES_MAX, "every family may fill one memtable");
const _: () = assert!(READERS_DEFAULT <= READERS_MAX);
