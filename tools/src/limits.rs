//! Every bound of the command line, with its unit in the name.

/// Longest wait for an answer of the admin listener, seconds; a commit takes milliseconds.
pub(crate) const TIMEOUT_S: u64 = 30;
/// Longest answer of the admin listener that is read, bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Longest admin token that makes sense, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

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
