//! The fields in eight lanes.
//!
#![doc = include_str!("../../docs/lanes.md")]

mod digits;
mod doublings;
mod residue;
mod words;

pub(crate) use residue::{P256Lanes, P256OrderLanes, Secp256k1Lanes, Secp256k1OrderLanes};
#[cfg(target_arch = "x86_64")]
pub(crate) use words::Ifma;
#[cfg(test)]
pub(crate) use words::fault;
pub(crate) use words::{Plain, Words};
