//! Writing revocations: one shape for every route that revokes.

use assay_storage::Commit;
use assay_storage::key::RevocationKey;
use assay_storage::record::{Level, Revocation};
use assay_storage::schema::Revocations;

use crate::limits::REVOCATION_KEEP_S;

/// Until when a revocation above token level must be remembered: no token it can meet lives longer.
#[must_use]
pub fn keep_until(now: u64) -> u64 {
    now + REVOCATION_KEEP_S
}

/// Puts a revocation into a commit. Its generation is the commit's number; at level `Jti` presence is all.
/// `expires_at` must not come before the last token it can meet has expired.
pub fn put_revocation(commit: &mut Commit, level: Level, id: &str, reason: Option<String>, now: u64, expires_at: u64) {
    let key = RevocationKey { level, id: id.to_owned() };
    commit.put_expiring::<Revocations>(&key, &Revocation { level, id: id.to_owned(), reason, at: now }, expires_at);
}
