//! Keys whose tables stand before their first signature comes: our own, which sign most of what is verified here, and those
//! that clients registered for their assertions. Every other key earns its tables by being seen often.

use std::collections::BTreeMap;

use assay_engine::VerifyKey;
use assay_storage::TenantId;

use super::directory::Directory;
use crate::limits::PREPARED_CLIENT_KEYS_COUNT_MAX;

/// Follows the directory; for one caller, at regular times, away from the cores.
#[derive(Debug, Default)]
pub struct PreparedKeys {
    /// By `kid` or thumbprint (RFC 7638), which is the `kid` of the keys made here.
    held: BTreeMap<String, VerifyKey>,
    registered: BTreeMap<String, VerifyKey>,
    clients_version: Option<u64>,
}

impl PreparedKeys {
    /// Prepares the keys that have come, about a millisecond for each, and releases those that have gone.
    pub fn follow(&mut self, directory: &Directory, tenant: TenantId, now: u64) {
        let clients_version = directory.clients_version();
        if self.clients_version != Some(clients_version) {
            self.registered = directory.registered_keys(tenant, PREPARED_CLIENT_KEYS_COUNT_MAX);
            self.clients_version = Some(clients_version);
        }
        let own = directory.keys();
        let own = own.keys().iter().filter(|key| key.verifies(now)).map(|key| (key.kid.clone(), key.verify.clone()));
        let wanted: BTreeMap<_, _> = self.registered.clone().into_iter().chain(own).collect();
        for (_, gone) in self.held.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            gone.release();
        }
        for (_, new) in wanted.iter().filter(|(name, _)| !self.held.contains_key(*name)) {
            new.prepare();
        }
        self.held = wanted;
    }

    /// What is prepared now, in the order of names.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        self.held.keys().map(String::as_str).collect()
    }
}
