//! What every table has in common: who owns a row, which commit wrote it, how long it lives, and the bytes of its value.
//!
//! ```text
//! key    tenant u32 BE | table u8 | the table's own key
//! value  version u8 | seq u64 BE | expires_at u64 BE (0 = never) | body (JSON)
//! ```

use serde::{Serialize, de::DeserializeOwned};

use crate::key::Key;
use crate::kv::Family;
use crate::{KvError, schema};

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixSeconds = u64;

/// Who owns a row; the first bytes of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

impl TenantId {
    /// The one tenant of a new installation.
    pub const DEFAULT: TenantId = TenantId(1);
}

/// The number of a commit: later commits have larger numbers, also across restarts. Not every number is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// The number of a table in keys; listed in [`schema::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

/// How long the rows of a table live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until deleted: written with `put`.
    Forever,
    /// Until its `expires_at`: written with `put_expiring`, invisible from then on, dropped by compaction.
    Expiring,
}

/// A table of [`schema`]. Implemented only there.
pub trait Table: 'static {
    /// The table's number in keys.
    const ID: TableId;
    /// The table's name in messages.
    const NAME: &'static str;
    /// Version of the record's body.
    const VERSION: u8;
    /// Whether rows expire.
    const LIFETIME: Lifetime;
    /// Whether the table is replayed through the apply hook when a store opens.
    const RESIDENT: bool;
    /// The table's own part of the key.
    type Key: Key;
    /// The stored record.
    type Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// The key-value family: expiring rows live apart, so that compaction visits them often and the others seldom.
    const FAMILY: Family = match Self::LIFETIME {
        Lifetime::Forever => Family::Durable,
        Lifetime::Expiring => Family::Expiring,
    };
}

/// A stored record with what the store knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<R> {
    /// The record.
    pub record: R,
    /// The commit that wrote it.
    pub seq: Seq,
    /// When it stops being visible.
    pub expires_at: Option<UnixSeconds>,
}

/// A row with its key.
pub type KeyedRow<T> = (<T as Table>::Key, Row<<T as Table>::Record>);

pub(crate) const HEADER_BYTES: usize = 1 + 8 + 8;
const SEQ_AT: std::ops::Range<usize> = 1..9;
const EXPIRES_AT: std::ops::Range<usize> = 9..17;

/// The part of a value that says when it was written and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) seq: Seq,
    pub(crate) expires_at: Option<UnixSeconds>,
}

impl Header {
    /// `None` when the value is too short to be one of ours.
    pub(crate) fn parse(value: &[u8]) -> Option<Header> {
        let version = *value.first()?;
        let seq = Seq(u64_be(value.get(SEQ_AT)?)?);
        let expires_at = match u64_be(value.get(EXPIRES_AT)?)? {
            0 => None,
            at => Some(at),
        };
        Some(Header { version, seq, expires_at })
    }

    pub(crate) fn visible(&self, now: UnixSeconds) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

fn u64_be(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// True when a stored value has been expired for longer than the grace, so that compaction may drop it.
/// A value too short to have a header is kept: losing what we do not understand helps nobody.
pub(crate) fn droppable(value: &[u8], clock: UnixSeconds) -> bool {
    Header::parse(value)
        .and_then(|header| header.expires_at)
        .is_some_and(|at| at.saturating_add(crate::limits::EXPIRED_ROW_GRACE_SECONDS) <= clock)
}

/// The whole key of a row.
pub(crate) fn row_key<T: Table>(tenant: TenantId, key: &T::Key) -> Vec<u8> {
    let mut bytes = table_prefix(tenant, T::ID).to_vec();
    key.encode(&mut bytes);
    bytes
}

pub(crate) const PREFIX_BYTES: usize = 5;

/// What every key of a tenant's table starts with.
pub(crate) fn table_prefix(tenant: TenantId, table: TableId) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = tenant.0.to_be_bytes();
    [a, b, c, d, table.0]
}

/// Tenant, table and own part of a row's key.
pub(crate) fn split_key(key: &[u8]) -> Option<(TenantId, TableId, &[u8])> {
    let (prefix, own) = key.split_at_checked(PREFIX_BYTES)?;
    let tenant = u32::from_be_bytes(prefix[..4].try_into().ok()?);
    Some((TenantId(tenant), TableId(prefix[4]), own))
}

/// The value of a row, its sequence number still zero: the writer knows it only when the commit is in order.
pub(crate) fn encode_value<T: Table>(record: &T::Record, expires_at: Option<UnixSeconds>) -> Vec<u8> {
    let mut value = vec![0; HEADER_BYTES];
    value[0] = T::VERSION;
    // 0 means never, so a row that expired in 1970 says 1: it is just as expired.
    let expires_at = expires_at.map_or(0, |at| at.max(1));
    value[EXPIRES_AT].copy_from_slice(&expires_at.to_be_bytes());
    serde_json::to_writer(&mut value, record)
        .expect("records are structs with string keys, and writing to memory does not fail");
    value
}

pub(crate) fn stamp_seq(value: &mut [u8], seq: Seq) {
    value[SEQ_AT].copy_from_slice(&seq.0.to_be_bytes());
}

pub(crate) fn decode_value<T: Table>(value: &[u8]) -> Result<Row<T::Record>, KvError> {
    let header = parse_header(T::ID, value)?;
    if header.version != T::VERSION {
        return Err(KvError::Corrupt { table: T::NAME, reason: "unknown record version" });
    }
    let record = serde_json::from_slice(&value[HEADER_BYTES..])
        .map_err(|_| KvError::Corrupt { table: T::NAME, reason: "the body is not this table's record" })?;
    Ok(Row { record, seq: header.seq, expires_at: header.expires_at })
}

pub(crate) fn parse_header(table: TableId, value: &[u8]) -> Result<Header, KvError> {
    Header::parse(value).ok_or(KvError::Corrupt { table: schema::name(table), reason: "the value is too short" })
}

pub(crate) fn decode_key<T: Table>(own: &[u8]) -> Result<T::Key, KvError> {
    T::Key::decode(own).ok_or(KvError::Corrupt { table: T::NAME, reason: "the key has another layout" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::EXPIRED_ROW_GRACE_SECONDS;
    use crate::record::Replay;
    use crate::schema::Replays;

    #[test]
    fn the_header_is_laid_out_as_written_above() {
        let mut value = encode_value::<Replays>(&Replay {}, Some(0x0102));
        stamp_seq(&mut value, Seq(0x0304));
        assert_eq!(value, b"\x01\0\0\0\0\0\0\x03\x04\0\0\0\0\0\0\x01\x02{}");
        let never = encode_value::<Replays>(&Replay {}, None);
        assert_eq!(never, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0{}");
    }

    #[test]
    fn expiry_at_its_edges() {
        let check = |expires_at: Option<u64>, now: u64, visible: bool, dropped: bool| {
            let value = encode_value::<Replays>(&Replay {}, expires_at);
            let header = Header::parse(&value).expect("a whole header");
            assert_eq!(header.visible(now), visible, "{expires_at:?} at {now}");
            assert_eq!(droppable(&value, now), dropped, "{expires_at:?} at {now}");
        };
        let grace = EXPIRED_ROW_GRACE_SECONDS;
        check(None, 0, true, false);
        check(None, u64::MAX, true, false);
        check(Some(1000), 999, true, false);
        check(Some(1000), 1000, false, false);
        check(Some(1000), 999 + grace, false, false);
        check(Some(1000), 1000 + grace, false, true);
        // Zero is not "never": it is long over.
        check(Some(0), 1, false, false);
        check(Some(0), 1 + grace, false, true);
        check(Some(u64::MAX), u64::MAX - 1, true, false);
        check(Some(u64::MAX), u64::MAX, false, true);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), now: u64) {
            let _ = decode_value::<Replays>(&bytes);
            let _ = split_key(&bytes);
            if bytes.len() < HEADER_BYTES {
                prop_assert!(!droppable(&bytes, now));
                prop_assert_eq!(Header::parse(&bytes), None);
            }
        }
    }
}
