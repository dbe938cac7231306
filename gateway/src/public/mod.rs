//! The public endpoints: one file per resource, each reading top to bottom — parse, load, verify, decide, commit,
//! answer. No rule of a protocol lives here; rules are in `oauth/`.
//!
//! Shared by several handlers: [`access_token`] (bytes to verified claims), [`bitcoin`] (signed requests),
//! [`client`] (client authentication), [`person`] (users and their sessions), [`mint`] (signing tokens).

pub mod access_token;
pub mod authorize;
pub mod bitcoin;
pub mod client;
pub mod discovery;
pub mod health;
pub mod introspect;
pub mod introspect_batch;
pub mod mint;
pub mod page;
pub mod person;
pub mod revoke;
pub mod session;
pub mod sigma;
pub mod sign_in;
pub mod token;
pub mod userinfo;

/// Names of the secrets a server makes at its first start.
pub const SERVER_SECRETS: [&str; 2] = [person::COOKIE_SECRET_NAME, sign_in::CHALLENGE_SECRET_NAME];
