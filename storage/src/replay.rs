//! Start-up: the resident tables go through the apply hook, so that memory ends where it was.

use std::ops::ControlFlow;

use crate::commit::Applied;
use crate::kv::{Change, Family, Kv};
use crate::schema::{self, TableInfo};
use crate::store::ApplyHook;
use crate::table::{PREFIX_BYTES, Seq, TenantId, UnixSeconds, parse_header, split_key, table_prefix};
use crate::writer::read_seq;
use crate::{KvError, OpenError};

/// Replays every resident row that is visible at `now`, one [`Applied`] each, in no order of `seq`. Returns the last
/// number in use. Every row is read completely before the hook sees it: state derived from half the revocations
/// would be worse than no start.
pub(crate) fn replay(kv: &dyn Kv, now: UnixSeconds, apply: &mut ApplyHook) -> Result<Seq, OpenError> {
    // A row can be newer than the stored number only if a failed write reappeared; never reuse its number.
    let mut last = read_seq(kv)?;
    for family in [Family::Durable, Family::Expiring] {
        let mut tenant = first_tenant_after(kv, family, None)?;
        while let Some(id) = tenant {
            for info in schema::ALL.iter().filter(|info| info.resident && info.family == family) {
                let seq = replay_table(kv, id, info, now, apply)?;
                last = last.max(seq);
            }
            tenant = first_tenant_after(kv, family, Some(id))?;
        }
    }
    Ok(last)
}

/// Jumps from tenant to tenant without walking their rows.
fn first_tenant_after(kv: &dyn Kv, family: Family, tenant: Option<TenantId>) -> Result<Option<TenantId>, KvError> {
    let after = match tenant {
        None => None,
        // No row has a key this short, so everything of the next tenant is after it.
        Some(TenantId(id)) => match id.checked_add(1) {
            None => return Ok(None),
            Some(next) => Some(next.to_be_bytes()),
        },
    };
    let mut found = None;
    kv.scan(family, &[], after.as_ref().map(<[u8; 4]>::as_slice), &mut |key, _| {
        found = Some(split_key(key).map(|(tenant, _, _)| tenant));
        ControlFlow::Break(())
    })?;
    match found {
        None => Ok(None),
        Some(Some(tenant)) => Ok(Some(tenant)),
        Some(None) => Err(KvError::Corrupt { table: family.name(), reason: "the key has no tenant" }),
    }
}

fn replay_table(
    kv: &dyn Kv,
    tenant: TenantId,
    info: &TableInfo,
    now: UnixSeconds,
    apply: &mut ApplyHook,
) -> Result<Seq, KvError> {
    let mut last = Seq(0);
    let mut failure = None;
    kv.scan(info.family, &table_prefix(tenant, info.id), None, &mut |key, value| match parse_header(info.id, value) {
        Ok(header) => {
            last = last.max(header.seq);
            if !header.visible(now) {
                return ControlFlow::Continue(());
            }
            if let Err(error) = (info.check)(&key[PREFIX_BYTES..], value) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            let change = Change { family: info.family, key: key.to_vec(), value: Some(value.to_vec()) };
            apply(&Applied { seq: header.seq, tenant, changes: std::slice::from_ref(&change) });
            ControlFlow::Continue(())
        }
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok(last),
    }
}
