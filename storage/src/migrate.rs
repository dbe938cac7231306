//! The format of the data as a whole: which one this build writes, how older ones become it, which are refused.
//!
//! A change of a record or of the keyspace raises [`FORMAT`] and adds the step that rewrites the old rows, in the
//! same commit. Steps run in order; each ends by writing its format number, so a crash repeats only the step it hit
//! and every step must bear being repeated.

use std::ops::ControlFlow;

use crate::kv::{Batch, Family, Kv};
use crate::{KvError, OpenError};

/// The format this build writes.
pub(crate) const FORMAT: u32 = 1;

type Step = fn(&dyn Kv) -> Result<(), KvError>;

/// `STEPS[n]` turns format `n + 1` into format `n + 2`.
const STEPS: [Step; FORMAT as usize - 1] = [];

const FORMAT_KEY: &[u8] = b"format";
const MAGIC: &[u8; 5] = b"assay";

/// Checks the format and brings it up to date; an empty store becomes ours.
pub(crate) fn bring_up_to_date(kv: &dyn Kv) -> Result<(), OpenError> {
    let foreign = || OpenError::Foreign { place: "the key-value store".to_owned() };
    let found = match kv.get(Family::Meta, FORMAT_KEY)? {
        Some(value) => parse(&value).ok_or_else(foreign)?,
        None if is_empty(kv)? => return Ok(write(kv, FORMAT)?),
        None => return Err(foreign()),
    };
    if found > FORMAT {
        return Err(OpenError::Newer { found, supported: FORMAT });
    }
    for format in found..FORMAT {
        STEPS[format as usize - 1](kv)?;
        write(kv, format + 1)?;
    }
    Ok(())
}

fn parse(value: &[u8]) -> Option<u32> {
    let number = value.strip_prefix(MAGIC)?;
    let format = u32::from_be_bytes(number.try_into().ok()?);
    (format >= 1).then_some(format)
}

fn write(kv: &dyn Kv, format: u32) -> Result<(), KvError> {
    let mut batch = Batch::default();
    let value = [MAGIC.as_slice(), &format.to_be_bytes()].concat();
    batch.put(Family::Meta, FORMAT_KEY.to_vec(), value);
    kv.write(&batch, true)
}

fn is_empty(kv: &dyn Kv) -> Result<bool, KvError> {
    let mut empty = true;
    for family in Family::ALL {
        kv.scan(family, &[], None, &mut |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
    }
    Ok(empty)
}
