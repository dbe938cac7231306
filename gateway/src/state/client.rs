//! A client as cores see it: its stored record, and the same parsed for decisions.

use assay_engine::{KeyError, VerifyKey};
use assay_oauth::client_auth::AuthMethod;
use assay_oauth::facts::{ClientFacts, SecretFacts};
use assay_oauth::jose::jwk::{Jwk, JwkSet, Material};
use assay_storage::record;

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// The row.
    pub record: record::Client,
    /// What decisions read.
    pub facts: ClientFacts,
}

impl Client {
    /// The built-in public client of sign-ins that name none. It has no row, so nothing can change or disable it.
    #[must_use]
    pub fn direct() -> Client {
        let facts = ClientFacts::direct();
        let record = record::Client {
            client_id: facts.client_id.clone(),
            name: facts.name.clone(),
            secrets: Vec::new(),
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            scope: Vec::new(),
            auth_method: facts.auth_method.as_str().to_owned(),
            pubkey: None,
            jwks: None,
            audiences: Vec::new(),
            introspect: false,
            first_party: true,
            native: false,
            enabled: true,
            access_token_lifetime: None,
            introspection_max_age: None,
            introspection_signed_response_alg: None,
            created_at: 0,
            updated_at: 0,
        };
        Client { record, facts }
    }

    /// Parses a row. Rows are validated when they are written; what no longer parses is read as the narrowest thing
    /// it could mean: no keys, and a client that cannot authenticate.
    #[must_use]
    pub fn from_record(record: record::Client) -> Client {
        let auth_method = AuthMethod::parse(&record.auth_method);
        let facts = ClientFacts {
            client_id: record.client_id.clone(),
            name: record.name.clone(),
            secrets: record
                .secrets
                .iter()
                .map(|secret| SecretFacts { sha256: secret.sha256, expires_at: secret.expires_at })
                .collect(),
            redirect_uris: record.redirect_uris.clone(),
            grants: record.grants.clone(),
            scope: record.scope.clone(),
            auth_method: auth_method.unwrap_or(AuthMethod::PrivateKeyJwt),
            pubkey: record.pubkey.as_deref().and_then(parse_pubkey),
            jwks: record.jwks.as_ref().and_then(|jwks| JwkSet::parse(jwks).ok()).unwrap_or_default(),
            audiences: record.audiences.clone(),
            introspect: record.introspect,
            first_party: record.first_party,
            native: record.native,
            enabled: record.enabled && auth_method.is_some(),
            access_token_lifetime: record.access_token_lifetime,
            introspection_max_age: record.introspection_max_age,
            introspection_signed_response_alg: record.introspection_signed_response_alg.clone(),
        };
        Client { record, facts }
    }
}

/// A compressed public key from hex, as records carry it.
#[must_use]
pub fn parse_pubkey(text: &str) -> Option<[u8; 33]> {
    let mut bytes = [0; 33];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The engine's form of a client's key.
///
/// # Errors
/// The key is not on its curve, or out of bounds.
pub fn verify_key(jwk: &Jwk) -> Result<VerifyKey, KeyError> {
    match &jwk.material {
        Material::EcP256 { x, y } => VerifyKey::p256_xy(x, y),
        Material::EcSecp256k1 { x, y } => VerifyKey::secp256k1_xy(x, y),
        Material::Ed25519 { x } => VerifyKey::ed25519(x),
        Material::Rsa { n, e } => VerifyKey::rsa(n, e),
    }
}
