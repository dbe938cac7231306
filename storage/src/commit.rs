//! A commit as its author states it, and as the apply hook sees it.

use std::fmt;

use crate::kv::{Change, Family};
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::schema;
use crate::table::{
    Lifetime, Row, Seq, Table, TableId, TenantId, UnixSeconds, decode_key, decode_value, encode_value, row_key,
    split_key,
};

/// An atomic batch with preconditions, of one tenant. All of it happens, or nothing.
///
/// Single use is a precondition, never a read followed by a write: `expect_absent` the replay row and put it, or
/// `expect_unchanged` the code's row and put it redeemed.
#[derive(Debug)]
pub struct Commit {
    pub(crate) tenant: TenantId,
    pub(crate) now: UnixSeconds,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) changes: Vec<Change>,
}

pub(crate) struct Precondition {
    pub(crate) table: TableId,
    pub(crate) family: Family,
    pub(crate) key: Vec<u8>,
    pub(crate) expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    Unchanged(Seq),
}

impl Commit {
    /// An empty commit. `now` decides which rows have expired for its preconditions.
    pub fn new(tenant: TenantId, now: UnixSeconds) -> Commit {
        Commit { tenant, now, preconditions: Vec::new(), changes: Vec::new() }
    }

    /// Demands that the row does not exist, or has expired.
    pub fn expect_absent<T: Table>(&mut self, key: &T::Key) -> &mut Commit {
        self.expect::<T>(key, Expect::Absent)
    }

    /// Demands that the row exists and was last written by the commit `seq`.
    pub fn expect_unchanged<T: Table>(&mut self, key: &T::Key, seq: Seq) -> &mut Commit {
        self.expect::<T>(key, Expect::Unchanged(seq))
    }

    fn expect<T: Table>(&mut self, key: &T::Key, expect: Expect) -> &mut Commit {
        let key = row_key::<T>(self.tenant, key);
        self.preconditions.push(Precondition { table: T::ID, family: T::FAMILY, key, expect });
        self
    }

    /// Writes a row of a table whose rows live until deleted; a table of expiring rows does not compile here.
    pub fn put<T: Table>(&mut self, key: &T::Key, record: &T::Record) -> &mut Commit {
        const { assert!(matches!(T::LIFETIME, Lifetime::Forever), "rows of this table expire: use put_expiring") };
        self.change::<T>(key, Some(encode_value::<T>(record, None)))
    }

    /// Writes a row that is invisible from `expires_at` on; a table of lasting rows does not compile here.
    pub fn put_expiring<T: Table>(&mut self, key: &T::Key, record: &T::Record, expires_at: UnixSeconds) -> &mut Commit {
        const { assert!(matches!(T::LIFETIME, Lifetime::Expiring), "rows of this table do not expire: use put") };
        self.change::<T>(key, Some(encode_value::<T>(record, Some(expires_at))))
    }

    /// Deletes a row, whether or not it exists.
    pub fn delete<T: Table>(&mut self, key: &T::Key) -> &mut Commit {
        self.change::<T>(key, None)
    }

    fn change<T: Table>(&mut self, key: &T::Key, value: Option<Vec<u8>>) -> &mut Commit {
        let key = row_key::<T>(self.tenant, key);
        self.changes.push(Change { family: T::FAMILY, key, value });
        self
    }

    /// Bytes the commit holds while it waits; `None` when a bound is exceeded.
    pub(crate) fn bounded_bytes(&self) -> Option<usize> {
        if self.preconditions.len() + self.changes.len() > COMMIT_OPERATIONS_MAX {
            return None;
        }
        let keys = self.preconditions.iter().map(|p| &p.key).chain(self.changes.iter().map(|c| &c.key));
        let values = self.changes.iter().filter_map(|c| c.value.as_ref());
        let mut bytes = size_of::<Commit>();
        for (part, bytes_max) in
            keys.map(|key| (key, KEY_BYTES_MAX)).chain(values.map(|value| (value, VALUE_BYTES_MAX)))
        {
            if part.len() > bytes_max {
                return None;
            }
            bytes += part.len();
        }
        (bytes <= COMMIT_BYTES_MAX).then_some(bytes)
    }
}

/// A commit that is durable, on its way into the memory of whoever derives state from commits.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// Its number. During the replay at start-up: the number of the commit that wrote the row, in no order.
    pub seq: Seq,
    /// Whose rows.
    pub tenant: TenantId,
    /// What it changed, in order.
    pub changes: &'a [Change],
}

impl Change {
    /// Key and new row, when the change is of table `T`; the row is `None` when it was deleted.
    ///
    /// `None` also for a row that does not decode. The store hands out none: a commit's rows come from typed
    /// records, and the replay reads every row completely before the hook sees the first.
    #[expect(clippy::type_complexity, reason = "the parts are what a caller destructures")]
    pub fn decode<T: Table>(&self) -> Option<(T::Key, Option<Row<T::Record>>)> {
        let (_, table, own_key) = split_key(&self.key)?;
        if table != T::ID || self.family != T::FAMILY {
            return None;
        }
        let key = decode_key::<T>(own_key).ok()?;
        match &self.value {
            Some(value) => Some((key, Some(decode_value::<T>(value).ok()?))),
            None => Some((key, None)),
        }
    }

    /// The table changed; `None` for the store's own rows.
    pub fn table(&self) -> Option<TableId> {
        match self.family {
            Family::Meta => None,
            Family::Durable | Family::Expiring => split_key(&self.key).map(|(_, table, _)| table),
        }
    }
}

// Keys hold hashes of tokens and values hold keys: neither is shown.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("table", &self.table().map_or("meta", schema::name))
            .field("deletes", &self.value.is_none())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Precondition")
            .field("table", &schema::name(self.table))
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}
