//! Comb tables for keys seen often.
//!
#![doc = include_str!("../../docs/comb.md")]
//!
//! Owns: tables, their cache, recoding, the tree and the verdicts drawn from it. Refuses: keys without a table and
//! every exceptional case, which the caller gives to [`crate::portable`].

mod cache;
mod curve;
mod lanes;
mod recode;
mod table;
mod tree;
mod verify;

pub(crate) use lanes::{LaneMask, Lanes};
pub(crate) use verify::{
    prepare_base_points, prepare_p256, prepare_secp256k1, verify_bip340, verify_ecdsa_p256, verify_ecdsa_secp256k1,
};
