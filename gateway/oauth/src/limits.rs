//! Every bound of the protocol layer, with its unit in the name, and the relations between them.

/// Bytes of an `application/x-www-form-urlencoded` body (oauth.md §0); the gateway answers 413 before reading more.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Parameters in one form or query; the longest real request (authorize with everything) has about twenty-five.
pub const FORM_PARAMS_MAX: usize = 64;

/// Bytes of a `state` parameter. Four kilobytes must work, sixty-four must not (attack 56).
pub const STATE_BYTES_MAX: usize = 8 * 1024;

/// Scopes in one request.
pub const SCOPES_MAX: usize = 64;

/// Bytes of a `nonce`; it is copied into the id_token.
pub const NONCE_BYTES_MAX: usize = 512;

/// Bytes of a compact JWS.
pub const JWS_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a decoded JOSE header; ours has about 100.
pub const JOSE_HEADER_BYTES_MAX: usize = 2 * 1024;

/// Nesting of a JSON value inside a token: our own claims need two.
pub const JSON_DEPTH_MAX: usize = 16;

/// Members of a JSON object inside a token: duplicate detection is quadratic in it.
pub const JSON_MEMBERS_MAX: usize = 64;

/// Audiences in one token.
pub const AUDIENCES_MAX: usize = 32;

/// Largest integer that every JSON reader keeps exactly (2^53).
pub const JSON_INTEGER_MAX: u64 = 1 << 53;

/// Bytes of a bitcoin-auth token in text form; an honest one has about 300 plus its path.
pub const BITCOIN_TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far the time in a bitcoin-auth token may be from ours, both sides, inclusive.
pub const BITCOIN_CLOCK_WINDOW_MS: i64 = 5 * 60 * 1000;

/// How long after its timestamp a used bitcoin-auth token is remembered.
pub const BITCOIN_REPLAY_SECONDS: u64 = 10 * 60;

const _: () = assert!(
    BITCOIN_REPLAY_SECONDS as i64 * 1000 > BITCOIN_CLOCK_WINDOW_MS,
    "a token is forgotten only after it became stale"
);

/// Life of a server nonce from `/sigma/challenge`.
pub const CHALLENGE_SECONDS: u64 = 60;

/// Default life of an access token.
pub const ACCESS_TOKEN_SECONDS_DEFAULT: u64 = 15 * 60;

/// Longest life of an access token (Sigma's thirty days).
pub const ACCESS_TOKEN_SECONDS_MAX: u64 = 30 * 24 * 3600;

/// How far in the future a client assertion may expire.
pub const ASSERTION_LIFETIME_SECONDS_MAX: u64 = 5 * 60;

/// How old a client assertion's `iat` may be.
pub const ASSERTION_AGE_SECONDS_MAX: u64 = 5 * 60;

/// Clock difference forgiven to third parties whose clock runs ahead; our own tokens get none.
pub const ASSERTION_LEEWAY_SECONDS: u64 = 60;

/// Bytes of a `jti` in a client assertion.
pub const ASSERTION_JTI_BYTES_MAX: usize = 256;

/// Seconds a resource server may keep an introspection answer, when it asked to.
pub const INTROSPECTION_MAX_AGE_SECONDS_MAX: u64 = 30;

/// Items of one introspection batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// Bytes of one introspection batch body.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keys in one client's JWK set.
pub const JWKS_KEYS_MAX: usize = 16;

/// Bits of an RSA modulus we accept from a client.
pub const RSA_BITS_MIN: usize = 2048;

/// Upper end of [`RSA_BITS_MIN`]: verification time grows with the square.
pub const RSA_BITS_MAX: usize = 8192;

/// Redirect URIs of one client.
pub const REDIRECT_URIS_MAX: usize = 32;

/// Bytes of one redirect URI.
pub const REDIRECT_URI_BYTES_MAX: usize = 2048;

/// Live secrets of one client: the current one and the one being rotated out.
pub const CLIENT_SECRETS_MAX: usize = 2;

/// Bytes of a client secret a caller may present.
pub const CLIENT_SECRET_BYTES_MAX: usize = 1024;

/// Bytes of a client identifier a caller may present.
pub const CLIENT_ID_BYTES_MAX: usize = 256;

/// Bytes of the JSON body of a Bitcoin sign-in.
pub const SIGN_IN_BODY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of an error description: it travels in a redirect's query.
pub const ERROR_DESCRIPTION_BYTES_MAX: usize = 400;
