//! Every bound of the engine, with unit, and how the bounds relate. The relations are checked when compiling.

use assay_kernels::Backend;

/// Jobs in the largest kernel call any backend makes; longer sub-batches are cut here.
pub const BATCH_JOBS_MAX: usize = 256;
const _: () =
    assert!(Backend::Portable.batch_jobs_count() <= BATCH_JOBS_MAX, "a full kernel call fits the largest one");
const _: () = assert!(Backend::Tables.batch_jobs_count() <= BATCH_JOBS_MAX, "likewise");
const _: () = assert!(Backend::PlainLanes.batch_jobs_count() <= BATCH_JOBS_MAX, "likewise, for all of eight lanes");

/// Jobs one core may hold unanswered; the caller beyond it gets `QueueFull` at once, never a longer queue.
pub const LANE_JOBS_MAX: usize = 16 * BATCH_JOBS_MAX;
const _: () = assert!(LANE_JOBS_MAX >= 2 * BATCH_JOBS_MAX, "one batch fills while one is verified");

/// Tokens in one request to the batch route, the largest group that enters a lane at once.
pub const REQUEST_JOBS_MAX: usize = 1_000;
const _: () = assert!(LANE_JOBS_MAX >= 2 * REQUEST_JOBS_MAX, "two of the largest requests fit one lane");

/// Age of the oldest waiting job, in nanoseconds, from which the next decision flushes even on a busy core.
///
/// No timer stands behind it: a core that is never idle asks `decide` on every turn of its loop, and without this
/// bound three jobs could wait for ever behind requests that need no signature.
pub const BATCH_AGE_NS_MAX: u64 = 1_000_000;

/// Jobs accepted by the pool and not yet answered, over all callers.
pub const POOL_JOBS_MAX: usize = 4 * LANE_JOBS_MAX;
const _: () = assert!(POOL_JOBS_MAX >= LANE_JOBS_MAX, "one full lane fits the pool");

/// Threads of the pool.
pub const POOL_THREADS_MAX: usize = 1_024;

/// Bytes of the longest token a cache takes. Longer ones are verified each time.
pub const CACHED_TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Entries one cache may hold, whatever their size. Slots are numbered with 32 bits, one value means "none".
pub const CACHE_ENTRIES_MAX: usize = 1 << 24;
const _: () = assert!(CACHE_ENTRIES_MAX < u32::MAX as usize, "slot numbers fit");
