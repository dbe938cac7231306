//! Every bound of the command line, with its unit in the name.

/// Longest wait for an answer of the admin listener, seconds; a commit takes milliseconds.
pub(crate) const TIMEOUT_S: u64 = 30;
/// Longest answer of the admin listener that is read, bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Longest admin token that makes sense, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// Longest line of a file of signatures, bytes without its line end; a longer one is a verdict of its own and is never
/// held.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines of one block: short lines must not make one block's verdicts long.
pub(crate) const BLOCK_LINES_MAX: usize = 2_048;
/// Worker threads of `verify` and `load --emit`.
pub(crate) const THREADS_MAX: usize = 1_024;
/// Longest JWKS document, bytes.
pub(crate) const JWKS_BYTES_MAX: u64 = 8 << 20;
/// Keys of one JWKS document.
pub(crate) const VERIFY_KEYS_MAX: usize = 10_000;
/// Longest secret for HS256, bytes.
pub(crate) const SECRET_BYTES_MAX: u64 = 64 << 10;
/// JOSE headers one worker remembers with the keys they lead to.
pub(crate) const HEADERS_MAX: usize = 4_096;
/// Public keys of signed messages one worker remembers in parsed form.
pub(crate) const PARSED_KEYS_MAX: usize = 4_096;
/// Keys that `load --emit` signs with.
pub(crate) const EMIT_KEYS_MAX: u64 = 10_000;
/// Largest batch that `bench` measures, signatures; the engine's own calls take at most 256 at a time.
pub(crate) const BENCH_BATCH_MAX: usize = 4096;
/// Most batch sizes and most thread counts of one run of `bench`.
pub(crate) const BENCH_LIST_MAX: usize = 16;
/// Largest earlier report that `bench --compare` reads, bytes.
pub(crate) const BENCH_FILE_BYTES_MAX: u64 = 64 << 20;
/// Arrivals of `load` that may wait for a free connection, per thread; beyond it they are counted as lost.
pub(crate) const BACKLOG_MAX: usize = 100_000;
/// Connections of one `load` run; each holds a socket and a buffer.
pub(crate) const CONNECTIONS_MAX: usize = 20_000;
/// Kinds of error `load` tells apart; the rest is counted together.
pub(crate) const ERROR_KINDS_MAX: usize = 64;
/// Longest answer `load` reads, bytes.
pub(crate) const LOAD_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Points of a time series of `load`; a longer run has wider points.
pub(crate) const SERIES_POINTS_MAX: u64 = 600;
/// Sign-ins that `load` signs before it measures; a longer run signs the rest in chunks meanwhile.
pub(crate) const PRESIGNED_MAX: usize = 200_000;
/// Users, tokens or items of a batch that `load` prepares.
pub(crate) const PREPARED_MAX: u64 = 1_000_000;
/// Steps of a script of `load`.
pub(crate) const SCRIPT_STEPS_MAX: usize = 64;
/// Cookies one journey of `load` keeps.
pub(crate) const COOKIES_MAX: usize = 64;
