//! What every successful grant ends in: the claims to sign and the token response to send.

use crate::UnixSeconds;
use crate::facts::{ClientFacts, TenantFacts, UserFacts};
use crate::jose::access::{AccessClaims, SubjectType};
use crate::jose::claims::{ACR_BRONZE, IdClaims};
use crate::jose::writer::ObjectWriter;
use crate::limits::ACCESS_TOKEN_SECONDS_MAX;
use crate::scope;

/// The person part of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: UserFacts,
    /// Their session, if the grant came from one.
    pub sid: Option<String>,
    /// When they proved who they are.
    pub auth_time: UnixSeconds,
    /// How.
    pub amr: Vec<String>,
    /// OpenID Connect nonce.
    pub nonce: Option<String>,
}

/// A decided grant: everything tokens are made of, except numbers the caller draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueTokens {
    /// Client they are issued to.
    pub client_id: String,
    /// `None` when the client acts for itself.
    pub person: Option<Person>,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// Audiences of the access token.
    pub audience: Vec<String>,
    /// Life of the access token in seconds.
    pub lifetime: u64,
}

/// Numbers the caller draws at minting.
///
/// `generation` must be the applied sequence number read *before* the facts of the decision were loaded: a revocation
/// that lands in between then makes the token dead, not missed.
#[derive(Clone, Copy, Debug)]
pub struct Mint<'a> {
    /// Unique token id.
    pub jti: &'a str,
    /// See above.
    pub generation: u64,
    /// Our clock.
    pub now: UnixSeconds,
}

impl IssueTokens {
    pub(crate) fn new(
        client: &ClientFacts,
        tenant: &TenantFacts,
        person: Option<Person>,
        scope: Vec<String>,
        resources: Vec<String>,
    ) -> Self {
        Self {
            client_id: client.client_id.clone(),
            person,
            scope,
            audience: audience(resources, client, tenant),
            lifetime: lifetime(client, tenant),
        }
    }

    /// True if an id_token belongs in the response.
    pub fn wants_id_token(&self) -> bool {
        self.person.is_some() && self.scope.iter().any(|scope| scope == "openid")
    }

    /// Claims of the access token.
    pub fn access_claims(&self, tenant: &TenantFacts, mint: Mint<'_>) -> AccessClaims {
        let person = self.person.as_ref();
        AccessClaims {
            iss: tenant.issuer.clone(),
            sub: person.map_or_else(|| self.client_id.clone(), |person| person.user.user_id.clone()),
            aud: self.audience.clone(),
            client_id: self.client_id.clone(),
            scope: scope::join(&self.scope),
            exp: mint.now + self.lifetime,
            iat: mint.now,
            nbf: None,
            jti: mint.jti.to_owned(),
            tid: tenant.tid.clone(),
            sty: if person.is_some() { SubjectType::User } else { SubjectType::Service },
            generation: mint.generation,
            sid: person.and_then(|person| person.sid.clone()),
            auth_time: person.map(|person| person.auth_time),
            amr: person.map(|person| person.amr.clone()),
            acr: None,
            username: None,
            pubkey: person.map(|person| person.user.pubkey.clone()),
            bap_id: person.and_then(|person| person.user.bap_id.clone()),
            cnf: None,
        }
    }

    /// Claims of the id_token, when one is wanted.
    pub fn id_claims(&self, tenant: &TenantFacts, now: UnixSeconds) -> Option<IdClaims> {
        let person = self.person.as_ref().filter(|_| self.wants_id_token())?;
        Some(IdClaims {
            iss: tenant.issuer.clone(),
            sub: person.user.user_id.clone(),
            aud: self.client_id.clone(),
            exp: now + tenant.id_token_lifetime,
            iat: now,
            auth_time: person.auth_time,
            amr: person.amr.clone(),
            acr: ACR_BRONZE.to_owned(),
            nonce: person.nonce.clone(),
            sid: person.sid.clone(),
            name: person.user.name.clone(),
            pubkey: person.user.pubkey.clone(),
            bap_id: person.user.bap_id.clone(),
        })
    }

    /// The token response; sent with `Cache-Control: no-store` and `Pragma: no-cache`.
    pub fn response(&self, access_token: &str, id_token: Option<&str>, now: UnixSeconds) -> String {
        self.write_response(access_token, id_token, now).finish()
    }

    pub(crate) fn write_response(&self, access_token: &str, id_token: Option<&str>, now: UnixSeconds) -> ObjectWriter {
        let mut out = ObjectWriter::with_capacity(access_token.len() + id_token.map_or(0, str::len) + 256);
        out.string("access_token", access_token)
            .string("token_type", "Bearer")
            .integer("expires_in", self.lifetime)
            .integer("expires_at", now + self.lifetime)
            .string("scope", &scope::join(&self.scope))
            .string_opt("id_token", id_token);
        out
    }
}

/// Requested resources; else everything the client was registered for; else the issuer itself (RFC 9068 §3 wants one).
fn audience(resources: Vec<String>, client: &ClientFacts, tenant: &TenantFacts) -> Vec<String> {
    if !resources.is_empty() {
        resources
    } else if !client.audiences.is_empty() {
        client.audiences.clone()
    } else {
        vec![tenant.issuer.clone()]
    }
}

/// The client's own life of an access token, else the tenant's, never beyond thirty days.
pub fn lifetime(client: &ClientFacts, tenant: &TenantFacts) -> u64 {
    client.access_token_lifetime.unwrap_or(tenant.access_token_lifetime).clamp(1, ACCESS_TOKEN_SECONDS_MAX)
}
