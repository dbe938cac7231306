//! Revocation by generations: a token carries the commit sequence number it was minted at, each level may carry a
//! not-before number, and a token lives only if it is not older than *every* one of them.
//!
//! All levels are always asked, never the most specific only (CVE-2026-8922, attack 84).

/// Where a not-before generation can stand, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Everything of the tenant (id = `tid`).
    Tenant,
    /// Everything issued to a client.
    Client,
    /// Everything issued for a user.
    User,
    /// Everything of one session.
    Session,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Client, Self::User, Self::Session];

    /// Wire and storage name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Client => "client",
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

/// The gateway's in-memory revocation state, as one consistent snapshot.
pub trait RevocationView {
    /// The not-before generation of `id` at `level`; 0 when nothing was ever revoked there.
    fn not_before(&self, level: Level, id: &str) -> u64;

    /// True if this very token was revoked.
    fn jti_revoked(&self, jti: &str) -> bool;

    /// True if the signing key exists and is active, in grace, or pre-published: not retired, not revoked, not unknown.
    fn key_usable(&self, kid: &str) -> bool;

    /// True if the client exists and is enabled. [`crate::facts::DIRECT_CLIENT_ID`] always is.
    fn client_enabled(&self, client_id: &str) -> bool;
}

/// Whom a token, code or session belongs to, level by level.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Tenant.
    pub tid: &'a str,
    /// Client, if there is one (a browser session has none).
    pub client_id: Option<&'a str>,
    /// User, if there is one (a service token has none).
    pub user_id: Option<&'a str>,
    /// Session, if there is one.
    pub sid: Option<&'a str>,
}

impl Holder<'_> {
    /// True if something minted at `generation` for this holder is older than any level allows.
    pub fn is_revoked(&self, generation: u64, view: &impl RevocationView) -> bool {
        let levels = [
            (Level::Tenant, Some(self.tid)),
            (Level::Client, self.client_id),
            (Level::User, self.user_id),
            (Level::Session, self.sid),
        ];
        levels.into_iter().any(|(level, id)| id.is_some_and(|id| generation < view.not_before(level, id)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// A view for tests: usable and enabled unless said otherwise.
    #[derive(Default)]
    pub(crate) struct Table {
        pub not_before: HashMap<(&'static str, String), u64>,
        pub jtis: HashSet<String>,
        pub bad_keys: HashSet<String>,
        pub disabled: HashSet<String>,
    }

    impl Table {
        pub(crate) fn with(level: Level, id: &str, generation: u64) -> Self {
            let mut table = Self::default();
            table.revoke(level, id, generation);
            table
        }

        pub(crate) fn revoke(&mut self, level: Level, id: &str, generation: u64) {
            self.not_before.insert((level.as_str(), id.to_owned()), generation);
        }
    }

    impl RevocationView for Table {
        fn not_before(&self, level: Level, id: &str) -> u64 {
            self.not_before.get(&(level.as_str(), id.to_owned())).copied().unwrap_or(0)
        }

        fn jti_revoked(&self, jti: &str) -> bool {
            self.jtis.contains(jti)
        }

        fn key_usable(&self, kid: &str) -> bool {
            !self.bad_keys.contains(kid)
        }

        fn client_enabled(&self, client_id: &str) -> bool {
            !self.disabled.contains(client_id)
        }
    }

    /// Every subset of levels revoked, with the generation below, at and above the token's own.
    #[test]
    fn attack_84_every_combination_of_levels() {
        let holder = Holder { tid: "default", client_id: Some("c"), user_id: Some("u"), sid: Some("s") };
        let ids = ["default", "c", "u", "s"];
        for subset in 0u32..16 {
            for not_before in [9, 10, 11] {
                let mut view = Table::default();
                for (index, level) in Level::ALL.into_iter().enumerate() {
                    // The other levels carry an older, harmless generation: a more specific one must not hide a wider one.
                    let generation = if subset & 1 << index != 0 { not_before } else { 3 };
                    view.revoke(level, ids[index], generation);
                }
                let expected = subset != 0 && not_before > 10;
                assert_eq!(holder.is_revoked(10, &view), expected, "subset {subset:04b}, not before {not_before}");
            }
        }
    }

    #[test]
    fn ids_of_other_levels_do_not_count() {
        let holder = Holder { tid: "default", client_id: Some("x"), user_id: None, sid: None };
        assert!(!holder.is_revoked(1, &Table::with(Level::User, "x", 9)));
        assert!(!holder.is_revoked(1, &Table::with(Level::Session, "x", 9)));
        assert!(holder.is_revoked(1, &Table::with(Level::Client, "x", 9)));
    }
}
