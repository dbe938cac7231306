//! Keys: how each table's own part becomes bytes and back. Big-endian, so byte order is the order of meaning.
//!
//! A text that is not the last component carries its length in front (u16 BE): then no key is the beginning of
//! another component's bytes, and a prefix of whole components selects exactly the rows meant.

use crate::record::Level;

/// The table's own part of a key.
pub trait Key: Sized + Clone + Send + Sync + 'static {
    /// Appends the bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// The inverse of `encode`; `None` for anything `encode` does not produce.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

/// Key of a consent: whose, and to which client. Layout: user_id length u16 BE | user_id | client_id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsentKey {
    /// The user who consented.
    pub user_id: String,
    /// The client consented to.
    pub client_id: String,
}

impl ConsentKey {
    /// What the keys of all consents of one user start with, for [`crate::Reader::scan_prefix`].
    pub fn prefix_of_user(user_id: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, user_id);
        out
    }
}

impl Key for ConsentKey {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.user_id);
        out.extend_from_slice(self.client_id.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (user_id, rest) = take_text(bytes)?;
        Some(ConsentKey { user_id, client_id: String::decode(rest)? })
    }
}

/// Key of a revocation: the level, and the id at that level. Layout: level u8 | id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationKey {
    /// The level.
    pub level: Level,
    /// The tenant, client, user, session, key or token identifier.
    pub id: String,
}

impl Key for RevocationKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.level.code());
        out.extend_from_slice(self.id.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (code, id) = bytes.split_first()?;
        Some(RevocationKey { level: Level::from_code(*code)?, id: String::decode(id)? })
    }
}

/// A text longer than u16 can count is cut in its length only; such a key exceeds `KEY_BYTES_MAX` sixty times over
/// and is refused before it reaches a store.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    let length = u16::from_be_bytes(length.try_into().ok()?);
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((String::decode(text)?, rest))
}
