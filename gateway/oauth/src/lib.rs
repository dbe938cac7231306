//! Protocol decisions of assay: OAuth 2.0, OpenID Connect and Bitcoin sign-in as pure functions over loaded facts.
//!
//! Owns every rule of the protocols and the wire shapes that carry them. Refuses to read a clock (`now` is an argument),
//! to do I/O, to generate randomness (random bytes are arguments) and to verify signatures (verdicts are arguments).
//! A handler parses with this crate, loads facts, asks for a verdict, calls `decide`, commits, and answers.
//!
//! The modules are declared in the order a request meets them.
#![forbid(unsafe_code)]

pub mod limits;

pub mod encoding;
pub mod error;
pub mod form;
pub mod secret;

pub mod facts;
pub mod proof;
pub mod revocation;

pub mod pkce;
pub mod redirect_uri;
pub mod scope;

pub mod jose;

pub mod bitcoin_identity;
pub mod bitcoin_token;
pub mod rfc3339;

pub mod client_assertion;
pub mod client_auth;

pub mod flow;

/// Seconds since the Unix epoch.
pub type UnixSeconds = u64;

/// Milliseconds since the Unix epoch; signed because a client may send a time before 1970.
pub type UnixMillis = i64;

pub use error::{ErrorCode, OAuthError};
