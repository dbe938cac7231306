//! Typed reads, on a reader thread. Rows that have expired at the reader's `now` do not exist.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::KvError;
use crate::key::Key;
use crate::kv::Kv;
use crate::limits::SCAN_ROWS_MAX;
use crate::table::{
    KeyedRow, PREFIX_BYTES, Row, Table, TenantId, UnixSeconds, decode_key, decode_value, parse_header, row_key,
    table_prefix,
};

/// What a closure given to [`crate::Store::read`] reads with.
pub struct Reader {
    kv: Arc<dyn Kv>,
    now: UnixSeconds,
}

impl Reader {
    pub(crate) fn new(kv: Arc<dyn Kv>, now: UnixSeconds) -> Reader {
        Reader { kv, now }
    }

    /// The row of a key.
    pub fn get<T: Table>(&self, tenant: TenantId, key: &T::Key) -> Result<Option<Row<T::Record>>, KvError> {
        let Some(value) = self.kv.get(T::FAMILY, &row_key::<T>(tenant, key))? else {
            return Ok(None);
        };
        if !parse_header(T::ID, &value)?.visible(self.now) {
            return Ok(None);
        }
        decode_value::<T>(&value).map(Some)
    }

    /// Rows of a table in key order, after `after`. Fewer than `limit` rows (itself at most [`SCAN_ROWS_MAX`]) means
    /// there are no more; otherwise the last key is the next `after`.
    pub fn scan<T: Table>(
        &self,
        tenant: TenantId,
        after: Option<&T::Key>,
        limit: usize,
    ) -> Result<Vec<KeyedRow<T>>, KvError> {
        self.scan_prefix::<T>(tenant, &[], after, limit)
    }

    /// Like [`Reader::scan`], over the rows whose own key starts with `prefix`.
    pub fn scan_prefix<T: Table>(
        &self,
        tenant: TenantId,
        prefix: &[u8],
        after: Option<&T::Key>,
        limit: usize,
    ) -> Result<Vec<KeyedRow<T>>, KvError> {
        let limit = limit.min(SCAN_ROWS_MAX);
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        let mut whole_prefix = table_prefix(tenant, T::ID).to_vec();
        whole_prefix.extend_from_slice(prefix);
        let after = after.map(|key| {
            let mut bytes = table_prefix(tenant, T::ID).to_vec();
            key.encode(&mut bytes);
            bytes
        });
        let mut failure = None;
        self.kv.scan(T::FAMILY, &whole_prefix, after.as_deref(), &mut |key, value| {
            match self.decode_visible::<T>(key, value) {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => {}
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            if rows.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match failure {
            Some(error) => Err(error),
            None => Ok(rows),
        }
    }

    fn decode_visible<T: Table>(&self, key: &[u8], value: &[u8]) -> Result<Option<KeyedRow<T>>, KvError> {
        if !parse_header(T::ID, value)?.visible(self.now) {
            return Ok(None);
        }
        Ok(Some((decode_key::<T>(&key[PREFIX_BYTES..])?, decode_value::<T>(value)?)))
    }
}
