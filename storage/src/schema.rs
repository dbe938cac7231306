//! The whole keyspace on one screen. A row says which family, what the key is, the record and its version, how long
//! rows live, and whether the table is resident (replayed through the apply hook at start-up).
//!
//! Every key starts with tenant u32 BE | table u8; every value with version u8 | seq u64 BE | expires_at u64 BE.
//! A test compares this text with [`ALL`].
//!
//! | id | table          | family   | key                                    | v | lifetime                               | resident |
//! |----|----------------|----------|----------------------------------------|---|----------------------------------------|----------|
//! | 1  | Clients        | durable  | client_id                              | 1 | until deleted                          | yes      |
//! | 2  | Users          | durable  | user_id                                | 1 | until deleted                          | no       |
//! | 3  | UsersByPubkey  | durable  | public key, 33 bytes                   | 1 | with its user                          | no       |
//! | 4  | BapBindings    | durable  | bap_id                                 | 1 | until deleted                          | no       |
//! | 5  | Sessions       | expiring | SHA-256 of the session token, 32 bytes | 1 | session lifetime                       | no       |
//! | 6  | SessionsBySid  | expiring | sid                                    | 1 | with its session                       | no       |
//! | 7  | Codes          | expiring | SHA-256 of the code, 32 bytes          | 1 | code lifetime and ten minutes          | no       |
//! | 8  | Replays        | expiring | purpose-separated SHA-256, 32 bytes    | 1 | as long as what was used stays valid   | no       |
//! | 9  | Consents       | durable  | user_id length u16, user_id, client_id | 1 | until withdrawn                        | no       |
//! | 10 | SigningKeys    | durable  | kid                                    | 1 | until deleted                          | yes      |
//! | 11 | Revocations    | expiring | level u8, id                           | 1 | the longest token it can meet          | yes      |
//! | 12 | Failures       | expiring | purpose-separated SHA-256, 32 bytes    | 1 | twelve hours                           | yes      |
//! | 13 | ServerSecrets  | durable  | name                                   | 1 | until deleted                          | yes      |
//!
//! The family `meta` belongs to no tenant and to the store itself: `format`, `seq`, `probe`.
//!
//! To add a table: a row above, a row below, its record in `record/`. To change a record: see `migrate.rs`.

use crate::key::{ConsentKey, RevocationKey};
use crate::kv::Family;
use crate::table::{Lifetime, Table, TableId, decode_key, decode_value};
use crate::{KvError, record};

/// A table as data, for tests, tools and the replay.
pub struct TableInfo {
    /// The table's number in keys.
    pub id: TableId,
    /// The table's name.
    pub name: &'static str,
    /// Where its rows are.
    pub family: Family,
    /// Version of the record's body.
    pub version: u8,
    /// Whether rows expire.
    pub lifetime: Lifetime,
    /// Whether it is replayed at start-up.
    pub resident: bool,
    /// Reads a row completely, to prove it readable before anything is derived from it.
    pub(crate) check: fn(own_key: &[u8], value: &[u8]) -> Result<(), KvError>,
}

macro_rules! tables {
    ($($id:literal $name:ident $key:ty => $record:ty, v $version:literal, $lifetime:ident, resident $resident:literal;)*) => {
        $(
            #[doc = concat!("Table ", stringify!($id), "; its row above says the rest.")]
            pub enum $name {}
            impl Table for $name {
                const ID: TableId = TableId($id);
                const NAME: &'static str = stringify!($name);
                const VERSION: u8 = $version;
                const LIFETIME: Lifetime = Lifetime::$lifetime;
                const RESIDENT: bool = $resident;
                type Key = $key;
                type Record = $record;
            }
        )*
        /// Every table, by number.
        pub const ALL: &[TableInfo] = &[$(TableInfo {
            id: $name::ID,
            name: $name::NAME,
            family: $name::FAMILY,
            version: $name::VERSION,
            lifetime: $name::LIFETIME,
            resident: $name::RESIDENT,
            check: |own_key, value| {
                decode_key::<$name>(own_key)?;
                decode_value::<$name>(value).map(drop)
            },
        },)*];
    };
}

tables! {
    1  Clients       String        => record::Client,       v 1, Forever,  resident true;
    2  Users         String        => record::User,         v 1, Forever,  resident false;
    3  UsersByPubkey [u8; 33]      => record::UserByPubkey, v 1, Forever,  resident false;
    4  BapBindings   String        => record::BapBinding,   v 1, Forever,  resident false;
    5  Sessions      [u8; 32]      => record::Session,      v 1, Expiring, resident false;
    6  SessionsBySid String        => record::SessionBySid, v 1, Expiring, resident false;
    7  Codes         [u8; 32]      => record::Code,         v 1, Expiring, resident false;
    8  Replays       [u8; 32]      => record::Replay,       v 1, Expiring, resident false;
    9  Consents      ConsentKey    => record::Consent,      v 1, Forever,  resident false;
    10 SigningKeys   String        => record::SigningKey,   v 1, Forever,  resident true;
    11 Revocations   RevocationKey => record::Revocation,   v 1, Expiring, resident true;
    12 Failures      [u8; 32]      => record::Failure,      v 1, Expiring, resident true;
    13 ServerSecrets String        => record::ServerSecret, v 1, Forever,  resident true;
}

pub(crate) fn name(table: TableId) -> &'static str {
    ALL.iter().find(|info| info.id == table).map_or("unknown", |info| info.name)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::key::Key;
    use crate::record::Level;
    use crate::table::{PREFIX_BYTES, TenantId, row_key, split_key};

    #[test]
    fn the_table_in_the_text_is_the_table_in_the_code() {
        let rows: Vec<Vec<&str>> = include_str!("schema.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "))
            .map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows[0], ["id", "table", "family", "key", "v", "lifetime", "resident"]);
        let text = &rows[1..];
        assert_eq!(text.len(), ALL.len());
        for (row, info) in text.iter().zip(ALL) {
            let resident = if info.resident { "yes" } else { "no" };
            let code = [&info.id.0.to_string(), info.name, info.family.name(), &info.version.to_string(), resident];
            assert_eq!([row[0], row[1], row[2], row[4], row[6]], code);
            assert!(!row[3].is_empty() && !row[5].is_empty(), "{}: key and lifetime are said", info.name);
            assert_eq!(info.family == Family::Expiring, info.lifetime == Lifetime::Expiring);
        }
    }

    #[test]
    fn numbers_and_names_are_unique() {
        assert_eq!(ALL.iter().map(|info| info.id).collect::<BTreeSet<_>>().len(), ALL.len());
        assert_eq!(ALL.iter().map(|info| info.name).collect::<BTreeSet<_>>().len(), ALL.len());
    }

    /// The encoded key, and what it was made of in words.
    type Encoded = (Vec<u8>, String);

    fn encode<T: Table>(tenant: u32, key: T::Key) -> Encoded
    where
        T::Key: std::fmt::Debug + PartialEq,
    {
        let bytes = row_key::<T>(TenantId(tenant), &key);
        let (found_tenant, found_table, own) = split_key(&bytes).expect("a whole key");
        assert_eq!((found_tenant, found_table), (TenantId(tenant), T::ID), "tenant and table lead every key");
        assert_eq!(T::Key::decode(own).as_ref(), Some(&key), "decoding gives back what was encoded");
        let said = format!("{tenant} {} {key:?}", T::NAME);
        (bytes, said)
    }

    /// Texts made of few letters and the bytes that layouts use, so that collisions would be found.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just('\0'), Just('\u{1}'), Just('\u{2}'), Just('a')], 0..4)
            .prop_map(|letters| letters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_two_rows_share_a_key_and_no_table_another_ones_prefix(
            seeds in proptest::collection::vec((1..3u32, text(), text(), any::<u8>(), 0..6usize), 1..20),
        ) {
            let mut all: BTreeMap<Vec<u8>, String> = BTreeMap::new();
            for (tenant, a, b, byte, level) in seeds {
                let mut wide = [0; 33];
                wide[0] = byte;
                let narrow = [byte; 32];
                let rows = [
                    encode::<Clients>(tenant, a.clone()),
                    encode::<Users>(tenant, a.clone()),
                    encode::<UsersByPubkey>(tenant, wide),
                    encode::<BapBindings>(tenant, a.clone()),
                    encode::<Sessions>(tenant, narrow),
                    encode::<SessionsBySid>(tenant, a.clone()),
                    encode::<Codes>(tenant, narrow),
                    encode::<Replays>(tenant, narrow),
                    encode::<Consents>(tenant, ConsentKey { user_id: a.clone(), client_id: b.clone() }),
                    encode::<SigningKeys>(tenant, a.clone()),
                    encode::<Revocations>(tenant, RevocationKey { level: Level::ALL[level], id: b.clone() }),
                    encode::<Failures>(tenant, narrow),
                    encode::<ServerSecrets>(tenant, a.clone()),
                ];
                prop_assert_eq!(rows.len(), ALL.len());
                let prefixes: BTreeSet<_> = rows.iter().map(|(key, _)| key[..PREFIX_BYTES].to_vec()).collect();
                prop_assert_eq!(prefixes.len(), ALL.len(), "every table has its own prefix");
                let of_user = ConsentKey::prefix_of_user(&a);
                for (key, said) in rows {
                    if let Some(other) = all.insert(key.clone(), said.clone()) {
                        prop_assert_eq!(&other, &said, "the same key for different rows");
                    }
                    if let Some(found) = ConsentKey::decode(&key[PREFIX_BYTES..]) {
                        prop_assert_eq!(key[PREFIX_BYTES..].starts_with(&of_user), found.user_id == a);
                    }
                }
            }
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            fn check<K: Key>(bytes: &[u8]) {
                if let Some(key) = K::decode(bytes) {
                    let mut again = Vec::new();
                    key.encode(&mut again);
                    assert_eq!(again, bytes);
                }
            }
            check::<String>(&bytes);
            check::<[u8; 32]>(&bytes);
            check::<[u8; 33]>(&bytes);
            check::<ConsentKey>(&bytes);
            check::<RevocationKey>(&bytes);
        }
    }
}
