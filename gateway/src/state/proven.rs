//! Secrets that were checked before, for one core: a resource server sends the same `Authorization` header with every
//! request, and taking it apart costs more than all else the hot path decides.
//!
//! Keyed on SHA-256 of the header, which is as much as the store keeps of a secret. An entry is good only for the very
//! record it was checked against: a rotation, a disabling or any other change of the client puts another record into
//! the directory, and the entry is dead before the change is acknowledged. Failures are never remembered.

use std::sync::Arc;

use super::client::Client;
use crate::limits::PROVEN_SECRETS_COUNT;

/// A table of one entry per place: a header that falls on a taken place replaces it.
pub struct ProvenSecrets {
    places: Vec<Option<Proven>>,
}

struct Proven {
    digest: [u8; 32],
    client: Arc<Client>,
    /// When the first of the client's secrets expires: which one it was is not asked.
    until: u64,
}

impl Default for ProvenSecrets {
    fn default() -> ProvenSecrets {
        ProvenSecrets { places: std::iter::repeat_with(|| None).take(PROVEN_SECRETS_COUNT).collect() }
    }
}

impl ProvenSecrets {
    /// The client that the header with this digest proved, if the record `current` gives for it now is still the one it
    /// was checked against.
    pub fn get(
        &self,
        digest: &[u8; 32],
        now: u64,
        current: impl FnOnce(&str) -> Option<Arc<Client>>,
    ) -> Option<Arc<Client>> {
        let proven =
            self.places[place(digest)].as_ref().filter(|proven| proven.digest == *digest && now < proven.until)?;
        current(&proven.client.facts.client_id).filter(|client| Arc::ptr_eq(client, &proven.client))
    }

    /// Remembers that the header with this digest was checked against `client` at `now`, and proved it.
    pub fn insert(&mut self, digest: [u8; 32], client: &Arc<Client>, now: u64) {
        let expiries = client.facts.secrets.iter().filter_map(|secret| secret.expires_at);
        let until = expiries.filter(|expires_at| *expires_at > now).min().unwrap_or(u64::MAX);
        self.places[place(&digest)] = Some(Proven { digest, client: Arc::clone(client), until });
    }
}

fn place(digest: &[u8; 32]) -> usize {
    usize::from(u16::from_be_bytes([digest[0], digest[1]])) % PROVEN_SECRETS_COUNT
}

#[cfg(test)]
mod tests {
    use assay_oauth::facts::SecretFacts;

    use super::*;

    fn client(expires_at: &[Option<u64>]) -> Arc<Client> {
        let mut client = Client::direct();
        client.facts.secrets =
            expires_at.iter().map(|&expires_at| SecretFacts { sha256: [0; 32], expires_at }).collect();
        Arc::new(client)
    }

    #[test]
    fn only_the_same_header_and_the_same_record_are_proven() {
        let mut proven = ProvenSecrets::default();
        let known = client(&[None]);
        proven.insert([1; 32], &known, 100);
        assert!(proven.get(&[1; 32], 100, |_| Some(Arc::clone(&known))).is_some());
        let mut other = [1; 32];
        other[31] = 2;
        assert!(proven.get(&other, 100, |_| Some(Arc::clone(&known))).is_none(), "another header in the same place");
        let changed = Arc::new(Client::clone(&known));
        assert!(proven.get(&[1; 32], 100, |_| Some(changed)).is_none(), "an equal record is another record");
        assert!(proven.get(&[1; 32], 100, |_| None).is_none(), "gone");
        proven.insert(other, &known, 100);
        assert!(proven.get(&[1; 32], 100, |_| Some(Arc::clone(&known))).is_none(), "replaced");
    }

    #[test]
    fn nothing_outlives_a_secret() {
        let mut proven = ProvenSecrets::default();
        let known = client(&[None, Some(50), Some(200), Some(150)]);
        proven.insert([1; 32], &known, 100);
        let at = |now| proven.get(&[1; 32], now, |_| Some(Arc::clone(&known))).is_some();
        assert!(at(149) && !at(150), "the first that expires after it was checked");
    }
}
