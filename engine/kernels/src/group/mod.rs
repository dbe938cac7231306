//! Sums a·G + b·Q for whole batches, and the verdicts drawn from them.
//!
//! Keys seen often: [tables](table).
#![doc = include_str!("../../docs/comb.md")]
//!
//! All others: [windows](window), in eight lanes only. In one lane the libraries are as fast, and get them.
//!
//! Owns: the curves, tables and their cache, recoding, the tree of additions, verdicts. Every exceptional case goes to
//! [`crate::portable`].

mod cache;
mod curve;
mod endomorphism;
mod jacobian;
mod lanes;
mod lift;
mod recode;
mod scalars;
mod sums;
mod table;
mod tree;
mod trial;
mod verify;
mod window;

pub(crate) use curve::Curve;
pub(crate) use jacobian::Jacobian;
pub(crate) use lanes::{LaneMask, Lanes, Task, push_reserved};
pub(crate) use trial::{Trial, trial};
pub(crate) use verify::{
    prepare_base_points, prepare_p256, prepare_secp256k1, recover_secp256k1, release_p256, release_secp256k1,
    verify_bip340, verify_ecdsa_p256, verify_ecdsa_secp256k1, verify_ecdsa_secp256k1_compressed, widen_busiest,
};
