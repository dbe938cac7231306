//! Every bound of the command line, with its unit in the name.

/// Longest wait for an answer of the admin listener, seconds; a commit takes milliseconds.
pub(crate) const TIMEOUT_S: u64 = 30;
/// Longest answer of the admin listener that is read, bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Longest admin token that makes sense, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// Largest batch that `bench` measures, signatures; the engine's own calls take at most 256 at a time.
pub(crate) const BENCH_BATCH_MAX: usize = 4096;
/// Most batch sizes and most thread counts of one run of `bench`.
pub(crate) const BENCH_LIST_MAX: usize = 16;
/// Largest earlier report that `bench --compare` reads, bytes.
pub(crate) const BENCH_FILE_BYTES_MAX: u64 = 64 << 20;
