//! Clients, generations, revoked tokens and signing keys, as every core sees them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use assay_engine::VerifyKey;
use assay_oauth::client_auth::AuthMethod;
use assay_oauth::facts::DIRECT_CLIENT_ID;
use assay_oauth::jose::jwk::{Jwk, Material};
use assay_oauth::revocation::{Level, RevocationView};
use assay_storage::record::{self, SigningKey};
use assay_storage::schema::{Clients, Failures, Revocations, ServerSecrets, SigningKeys};
use assay_storage::{Applied, TenantId};

use super::client::{Client, verify_key};
use super::keys::KeySet;
use crate::admission::delays::FailureRow;
use crate::limits::{FAILURES_REPLAYED_MAX, REVOKED_TOKENS_COUNT_MAX};

type Map<K, V> = papaya::HashMap<K, V, foldhash::fast::RandomState>;

/// The derived state. One per process, shared by all cores.
pub struct Directory {
    direct: Arc<Client>,
    clients: Map<Id, Arc<Client>>,
    clients_version: AtomicU64,
    not_before: Map<(Level, Id), u64>,
    revoked_tokens: Map<Id, u64>,
    revoked_tokens_count: AtomicUsize,
    keys: ArcSwap<KeySet>,
    /// Rows behind `keys`; written by the apply hook only.
    key_rows: Mutex<Vec<SigningKey>>,
    /// Revoked tokens by expiry, so that forgetting them never scans; written by the apply hook only.
    expiries: Mutex<BTreeMap<u64, Vec<Id>>>,
    server_secrets: ArcSwap<Vec<(String, [u8; 32])>>,
    /// Failure rows seen during the replay; `None` once they were handed to the delays.
    failures: Mutex<Option<Vec<FailureRow>>>,
    /// Held for writing while one commit's revocations go in, for reading by a batch that needs one snapshot.
    snapshot: RwLock<()>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("clients", &self.clients.len())
            .field("revoked_tokens", &self.revoked_tokens_count)
            .finish_non_exhaustive()
    }
}

/// A name within a tenant. Every map of the directory is keyed by it: one tenant's object is never another's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    tenant: TenantId,
    name: Box<str>,
}

/// The borrowed form of [`Id`], for lookups without an allocation.
struct IdRef<'a> {
    tenant: TenantId,
    name: &'a str,
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        IdRef { tenant: self.tenant, name: &self.name }.hash(state);
    }
}

impl Hash for IdRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.tenant.0);
        state.write(self.name.as_bytes());
    }
}

impl hashbrown::Equivalent<Id> for IdRef<'_> {
    fn equivalent(&self, key: &Id) -> bool {
        self.tenant == key.tenant && *self.name == *key.name
    }
}

struct LevelRef<'a>(Level, IdRef<'a>);

impl Hash for LevelRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl hashbrown::Equivalent<(Level, Id)> for LevelRef<'_> {
    fn equivalent(&self, key: &(Level, Id)) -> bool {
        self.0 == key.0 && self.1.equivalent(&key.1)
    }
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            direct: Arc::new(Client::direct()),
            clients: Map::default(),
            clients_version: AtomicU64::new(0),
            not_before: Map::default(),
            revoked_tokens: Map::default(),
            revoked_tokens_count: AtomicUsize::new(0),
            keys: ArcSwap::default(),
            key_rows: Mutex::default(),
            expiries: Mutex::default(),
            server_secrets: ArcSwap::default(),
            failures: Mutex::new(Some(Vec::new())),
            snapshot: RwLock::default(),
        }
    }
}

impl Directory {
    /// Applies one durable commit. Called by the store's writer thread alone, in commit order; during start-up once
    /// per resident row, in any order, which ends in the same state because every row says all it means.
    pub fn apply(&self, applied: &Applied<'_>) {
        let _writing = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let tenant = applied.tenant;
        // One tenant is served today. Another one's keys and secrets are not ours: they sign and open nothing here.
        let served = tenant == TenantId::DEFAULT;
        for change in applied.changes {
            if let Some((client_id, row)) = change.decode::<Clients>() {
                let id = Id { tenant, name: client_id.into() };
                match row {
                    Some(row) => drop(self.clients.pin().insert(id, Arc::new(Client::from_record(row.record)))),
                    None => drop(self.clients.pin().remove(&id)),
                }
                self.clients_version.fetch_add(1, Ordering::Release);
            } else if let Some((key, row)) = change.decode::<Revocations>() {
                if let Some(row) = row {
                    self.apply_revocation(tenant, key.level, key.id, row.seq.0, row.expires_at.unwrap_or(u64::MAX));
                }
            } else if let Some((kid, row)) = change.decode::<SigningKeys>().filter(|_| served) {
                self.apply_key(&kid, row.map(|row| row.record));
            } else if let Some((name, Some(row))) = change.decode::<ServerSecrets>().filter(|_| served) {
                let mut secrets = self.server_secrets.load().as_ref().clone();
                secrets.retain(|(known, _)| *known != name);
                secrets.push((name, row.record.bytes));
                self.server_secrets.store(Arc::new(secrets));
            } else if let Some((key_digest, Some(row))) = change.decode::<Failures>() {
                // Only the replay's rows matter: at run time the delays wrote these rows from their own memory.
                let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(failures) = failures.as_mut().filter(|rows| rows.len() < FAILURES_REPLAYED_MAX) {
                    let record = row.record;
                    failures.push(FailureRow {
                        key_digest,
                        count: record.count,
                        last_at: record.last_at,
                        blocked_until: record.blocked_until,
                    });
                }
            }
        }
    }

    fn apply_revocation(&self, tenant: TenantId, level: record::Level, id: String, seq: u64, expires_at: u64) {
        let id = Id { tenant, name: id.into() };
        let level = match level {
            record::Level::Client => Level::Client,
            record::Level::Session => Level::Session,
            record::Level::Tenant => Level::Tenant,
            record::Level::User => Level::User,
            // A revoked key is judged by its state in the key set, which the same commit changed.
            record::Level::Key => return,
            record::Level::Jti => {
                if self.revoked_tokens.pin().insert(id.clone(), expires_at).is_none() {
                    self.revoked_tokens_count.fetch_add(1, Ordering::Relaxed);
                }
                let mut expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
                expiries.entry(expires_at).or_default().push(id);
                return;
            }
        };
        let not_before = self.not_before.pin();
        not_before.update_or_insert((level, id), |known| (*known).max(seq), seq);
    }

    fn apply_key(&self, kid: &str, row: Option<SigningKey>) {
        let mut rows = self.key_rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|known| known.kid != kid);
        rows.extend(row);
        self.keys.store(Arc::new(KeySet::new(&rows)));
    }

    /// Forgets revoked tokens that have expired by themselves. Cheap: it looks only at what is over.
    pub fn forget_expired(&self, now: u64) {
        let mut expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = expiries.split_off(&(now + 1));
        let over = std::mem::replace(&mut *expiries, kept);
        drop(expiries);
        let revoked_tokens = self.revoked_tokens.pin();
        for id in over.into_values().flatten() {
            if revoked_tokens.remove(&id).is_some() {
                self.revoked_tokens_count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether one more revoked token can be remembered.
    #[must_use]
    pub fn can_revoke_token(&self) -> bool {
        self.revoked_tokens_count.load(Ordering::Relaxed) < REVOKED_TOKENS_COUNT_MAX
    }

    /// How many revocations are held.
    #[must_use]
    pub fn revocations_count(&self) -> usize {
        self.revoked_tokens_count.load(Ordering::Relaxed) + self.not_before.len()
    }

    /// A client by its id; disabled ones too. Every tenant has the built-in client of direct sign-ins.
    #[must_use]
    pub fn client(&self, tenant: TenantId, client_id: &str) -> Option<Arc<Client>> {
        if client_id == DIRECT_CLIENT_ID {
            return Some(Arc::clone(&self.direct));
        }
        self.clients.pin().get(&IdRef { tenant, name: client_id }).cloned()
    }

    /// All clients of a tenant, by id.
    #[must_use]
    pub fn clients(&self, tenant: TenantId) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self
            .clients
            .pin()
            .iter()
            .filter(|(id, _)| id.tenant == tenant)
            .map(|(_, client)| Arc::clone(client))
            .collect();
        clients.sort_by(|a, b| a.record.client_id.cmp(&b.record.client_id));
        clients
    }

    /// Another number whenever a client has changed.
    #[must_use]
    pub fn clients_version(&self) -> u64 {
        self.clients_version.load(Ordering::Acquire)
    }

    /// The keys on curves that a tenant's clients sign their assertions with, by thumbprint; those of the clients registered
    /// first where there are more than `count_max`.
    #[must_use]
    pub fn registered_keys(&self, tenant: TenantId, count_max: usize) -> BTreeMap<String, VerifyKey> {
        let is_on_a_curve = |jwk: &&Jwk| matches!(jwk.material, Material::EcP256 { .. } | Material::EcSecp256k1 { .. });
        let mut clients = self.clients(tenant);
        clients.retain(|client| client.facts.enabled && client.facts.auth_method == AuthMethod::PrivateKeyJwt);
        clients.sort_by_key(|client| client.record.created_at);
        let keys = clients.iter().flat_map(|client| client.facts.jwks.keys.iter().filter(is_on_a_curve));
        keys.filter_map(|jwk| Some((jwk.material.thumbprint(), verify_key(jwk).ok()?))).take(count_max).collect()
    }

    /// The signing keys now.
    #[must_use]
    pub fn keys(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.keys.load()
    }

    /// The rows behind the signing keys, to plan a rotation from.
    #[must_use]
    pub fn key_rows(&self) -> Vec<SigningKey> {
        self.key_rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A secret of the server by name.
    #[must_use]
    pub fn server_secret(&self, name: &str) -> Option<[u8; 32]> {
        self.server_secrets.load().iter().find(|(known, _)| known == name).map(|(_, bytes)| *bytes)
    }

    /// Failure rows found at start-up; once.
    #[must_use]
    pub fn take_replayed_failures(&self) -> Vec<FailureRow> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// The revocation state for one decision. Each question is answered by what is applied at that moment.
    #[must_use]
    pub fn view(&self, tenant: TenantId, now: u64) -> View<'_> {
        View { directory: self, tenant, now }
    }

    /// The revocation state frozen for as long as the guard lives: no commit goes in meanwhile. For judging a batch
    /// against one snapshot; never hold it across an await.
    #[must_use]
    pub fn snapshot(&self, tenant: TenantId, now: u64) -> Snapshot<'_> {
        let guard = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot { view: self.view(tenant, now), _guard: guard }
    }
}

/// See [`Directory::view`].
#[derive(Clone, Copy)]
pub struct View<'a> {
    directory: &'a Directory,
    tenant: TenantId,
    now: u64,
}

/// See [`Directory::snapshot`].
pub struct Snapshot<'a> {
    view: View<'a>,
    _guard: RwLockReadGuard<'a, ()>,
}

impl<'a> std::ops::Deref for Snapshot<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl RevocationView for View<'_> {
    fn not_before(&self, level: Level, id: &str) -> u64 {
        let id = LevelRef(level, IdRef { tenant: self.tenant, name: id });
        self.directory.not_before.pin().get(&id).copied().unwrap_or(0)
    }

    fn jti_revoked(&self, jti: &str) -> bool {
        self.directory.revoked_tokens.pin().contains_key(&IdRef { tenant: self.tenant, name: jti })
    }

    fn key_usable(&self, kid: &str) -> bool {
        self.directory.keys().get(kid).is_some_and(|key| key.verifies(self.now))
    }

    fn client_enabled(&self, client_id: &str) -> bool {
        client_id == DIRECT_CLIENT_ID
            || self
                .directory
                .clients
                .pin()
                .get(&IdRef { tenant: self.tenant, name: client_id })
                .is_some_and(|client| client.record.enabled)
    }
}
