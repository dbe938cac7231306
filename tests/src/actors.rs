//! Who takes part: applications with their secrets, people with their keys, and what they prove things with.

use assay_tools::bitcoin_sign::{self, PrivateKey, Scheme};
use aws_lc_rs::digest::{SHA256, digest};
use base64_turbo::URL_SAFE_NO_PAD;

use crate::wire::Request;

/// A registered application.
#[derive(Clone, Debug)]
pub struct App {
    /// Its client id.
    pub id: String,
    /// Its secret; empty for one without.
    pub secret: String,
}

impl App {
    /// A form request of this application: Basic with a secret, `client_id` in the form without.
    #[must_use]
    pub fn authenticate(&self, request: Request, pairs: &[(&str, &str)]) -> Request {
        if self.secret.is_empty() {
            let mut pairs = pairs.to_vec();
            pairs.push(("client_id", &self.id));
            request.form(&pairs)
        } else {
            request.form(pairs).basic(&self.id, &self.secret)
        }
    }
}

/// Somebody with a Bitcoin key.
#[derive(Clone, Debug)]
pub struct Person {
    /// The key.
    pub key: PrivateKey,
    /// The scheme they sign with.
    pub scheme: Scheme,
}

impl Person {
    /// Somebody new, who signs as Sigma's clients do by default.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn new() -> Person {
        Person { key: PrivateKey::generate().expect("the system has randomness"), scheme: Scheme::Brc77 }
    }

    /// The same with another scheme.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Person {
        self.scheme = scheme;
        self
    }

    /// Public key in lower-case hex.
    #[must_use]
    pub fn pubkey(&self) -> String {
        hex::encode(self.key.public_key())
    }

    /// A signed token for a path and body, at a time.
    #[must_use]
    pub fn token(&self, path: &str, at_ms: u64, body: &[u8]) -> String {
        self.token_at(path, &bitcoin_sign::timestamp(at_ms), body)
    }

    /// The same with a timestamp as it is.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn token_at(&self, path: &str, timestamp: &str, body: &[u8]) -> String {
        bitcoin_sign::token(&self.key, self.scheme, path, timestamp, body).expect("the system has randomness")
    }
}

impl Default for Person {
    fn default() -> Person {
        Person::new()
    }
}

/// A PKCE pair.
#[derive(Clone, Debug)]
pub struct Pkce {
    /// What the application keeps.
    pub verifier: String,
    /// What the authorization request carries.
    pub challenge: String,
}

impl Pkce {
    /// A fresh pair.
    #[must_use]
    pub fn new() -> Pkce {
        let verifier = random_text();
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        Pkce { verifier, challenge }
    }
}

impl Default for Pkce {
    fn default() -> Pkce {
        Pkce::new()
    }
}

/// 43 random base64url characters.
///
/// # Panics
/// If the system has no randomness.
#[must_use]
pub fn random_text() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}
