//! The part of the command line that other programs of this workspace use: making Bitcoin-signed tokens.
//!
//! The commands themselves are in the binary.

#![forbid(unsafe_code)]

pub mod bitcoin_sign;
