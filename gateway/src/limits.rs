//! Every bound of the gateway, with its unit in the name. Bounds a user may move stand in `config.rs`.

/// 1,024 bytes.
pub const KIB: usize = 1024;

/// Longest request target the gateway reads; longer is 414.
pub const URI_BYTES_MAX: usize = 8 * KIB;
/// Header lines in one request head; more is 431. hyper parses this many on its stack.
pub const HEADERS_COUNT_MAX: usize = 100;
/// Form bodies (token, introspect, revoke, authorize): oauth.md §0 allows up to 64 KiB.
pub const FORM_BYTES_MAX: usize = 64 * KIB;
/// JSON bodies of sign-in routes.
pub const SIGN_IN_BYTES_MAX: usize = 16 * KIB;
/// `POST /introspect/batch`: bytes of the whole body.
pub const BATCH_BYTES_MAX: usize = 4 * KIB * KIB;
/// `POST /introspect/batch`: items in one request.
pub const BATCH_ITEMS_MAX: usize = 1_000;
/// Admin request bodies.
pub const ADMIN_BYTES_MAX: usize = 64 * KIB;
/// Connections of the admin listener; one more is closed at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Identifiers and cursors in admin paths, queries and bodies, in bytes. The OpenAPI attributes repeat this number.
pub const ADMIN_ID_BYTES_MAX: usize = 256;
/// Rows on one page of an admin list. The OpenAPI attributes repeat this number.
pub const ADMIN_PAGE_ROWS_MAX: usize = 200;
/// Rows on one page when the caller does not say.
pub const ADMIN_PAGE_ROWS_DEFAULT: usize = 50;
/// Wrong members that one 422 names.
pub const ADMIN_FIELD_ERRORS_MAX: usize = 32;
/// The reason given with a revocation, in characters.
pub const ADMIN_REASON_CHARS_MAX: usize = 256;
/// Session rows read at a time while looking for those of one user.
pub const SESSION_SCAN_ROWS: usize = 500;
/// Session rows one admin request looks at before it hands back a cursor.
pub const SESSION_SCAN_ROWS_MAX: usize = 10_000;

/// Registered applications; all of them are in memory on every core's path.
pub const APPLICATIONS_COUNT_MAX: usize = 100_000;
/// An application's name, in characters.
pub const APPLICATION_NAME_CHARS_MAX: usize = 128;
/// An application's scopes with their spaces, in bytes.
pub const APPLICATION_SCOPE_BYTES_MAX: usize = 2 * KIB;
/// Audiences of one application; a token carries no more.
pub const APPLICATION_AUDIENCES_MAX: usize = assay_oauth::limits::AUDIENCES_MAX;
/// One audience, in bytes.
pub const APPLICATION_AUDIENCE_BYTES_MAX: usize = 512;
/// Shortest access token lifetime an application can have of its own, in seconds.
pub const ACCESS_TOKEN_LIFETIME_S_MIN: u64 = 60;
/// Longest an application may keep an introspection answer, in seconds (oauth.md §3).
pub const INTROSPECTION_MAX_AGE_S_MAX: u64 = assay_oauth::limits::INTROSPECTION_MAX_AGE_SECONDS_MAX;
/// How long the secret before stays valid after a rotation, in seconds, when the caller does not say.
pub const SECRET_OVERLAP_S_DEFAULT: u64 = 86_400;
/// The longest a caller can say, in seconds.
pub const SECRET_OVERLAP_S_MAX: u64 = 2_592_000;
/// Signing keys that no longer sign and still verify; a rotation beyond it is refused.
pub const KEYS_IN_GRACE_COUNT_MAX: usize = 48;
/// Retired and revoked signing keys that are remembered; older ones are forgotten.
pub const KEYS_ENDED_COUNT_MAX: usize = 32;
/// Keys that clients registered whose tables stand beforehand, 256 KiB each: beside our own, and no more than a curve keeps.
pub const PREPARED_CLIENT_KEYS_COUNT_MAX: usize = 64;
/// Rows of signing keys read to plan a change.
pub const KEYS_READ_MAX: usize = 256;
/// The largest point in time a caller can name: every JSON reader keeps it exactly.
pub const UNIX_SECONDS_MAX: u64 = assay_oauth::limits::JSON_INTEGER_MAX;

/// Bytes moved by one read from a socket; one such scratch buffer exists per core.
pub const READ_BYTES_MAX: usize = 64 * KIB;
/// How often a core looks at its connections' deadlines, in milliseconds. Deadlines are this coarse.
pub const SWEEP_MS: u64 = 100;

/// A redeemed code leaves a tombstone until its expiry plus this, in seconds (oauth.md §1).
pub const CODE_TOMBSTONE_S: u64 = 600;
/// Longest access token lifetime a client or the configuration can ask for, in seconds (Sigma's 30 days).
pub const ACCESS_TOKEN_LIFETIME_S_MAX: u64 = 2_592_000;
/// A revocation above token level can be forgotten when every token it could hit has expired.
pub const REVOCATION_KEEP_S: u64 = ACCESS_TOKEN_LIFETIME_S_MAX + 86_400;
/// `Authorization` headers one core remembers as proven; a resource server uses one for all its requests.
pub const PROVEN_SECRETS_COUNT: usize = 256;
/// Individually revoked tokens held in memory; beyond it `/revoke` answers 503 rather than forget one.
pub const REVOKED_TOKENS_COUNT_MAX: usize = 10_000_000;

/// Failed sign-ins kept from the replay at start-up; the delays hold no more either.
pub const FAILURES_REPLAYED_MAX: usize = 2 * crate::admission::delays::ROWS_PER_LANE;

/// Hops of a forwarding header walked at most. Real chains have fewer than five; beyond this the walk ends at the last
/// hop seen.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// The longest rate header value: a quoted class name, two numbers and their parameter names.
pub const RATE_HEADER_BYTES_MAX: usize = 64;
/// Bytes a refused client may still send before the connection is cut without ceremony.
pub const DISCARD_BYTES_MAX: usize = 256 * KIB;
/// Bytes of a refused body that are read and dropped, so that its sender lives to read the refusal.
pub const BODY_DISCARD_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// How long such a body is read and dropped, in milliseconds.
pub const LINGER_MS: u64 = 2_000;
/// How often a commit that lost to a concurrent one is planned anew. The second look sees what won; more are for bad luck.
pub const COMMIT_ATTEMPTS_MAX: usize = 4;
/// Characters of a browser's self-description that a session keeps.
pub const USER_AGENT_BYTES_MAX: usize = 256;

const _: () = assert!(REVOCATION_KEEP_S > ACCESS_TOKEN_LIFETIME_S_MAX);
const _: () = assert!(BATCH_BYTES_MAX / BATCH_ITEMS_MAX > 2 * KIB, "a full batch of ordinary tokens fits");
const _: () = assert!(SECRET_OVERLAP_S_DEFAULT <= SECRET_OVERLAP_S_MAX);
const _: () = assert!(SESSION_SCAN_ROWS_MAX.is_multiple_of(SESSION_SCAN_ROWS));
const _: () = assert!(
    ADMIN_PAGE_ROWS_DEFAULT <= ADMIN_PAGE_ROWS_MAX && ADMIN_PAGE_ROWS_MAX < assay_storage::limits::SCAN_ROWS_MAX
);
const _: () = assert!(
    // The keys that are over already, those in grace that may end now, those that sign and those that are next.
    KEYS_ENDED_COUNT_MAX + 2 * KEYS_IN_GRACE_COUNT_MAX + 4 <= KEYS_READ_MAX,
    "every key is read"
);
const _: () = assert!(
    // Each changed row is a precondition and a change; a forgotten one is a change; one revocation comes on top.
    2 * (KEYS_IN_GRACE_COUNT_MAX + 4) + KEYS_IN_GRACE_COUNT_MAX < assay_storage::limits::COMMIT_OPERATIONS_MAX,
    "every change of keys fits a commit"
);
