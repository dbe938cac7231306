//! What people install assay for besides the server: `assay bench`, `assay load`, `assay verify`, and the making of
//! Bitcoin-signed tokens that they and the tests share.
//!
//! Stands beside the gateway, not on it: no RocksDB, no server. `cli` puts these subcommands into the one binary;
//! `assay-tools` is the same three without the server, which builds in two minutes.
//!
//! * [`mod@bench`]: what does verification cost on this machine?
//! * [`load`]: how many logins, how many introspections, does a server manage?
//! * [`verify`]: a file of signatures in, verdicts out.
//! * [`command_line`], [`failure`], [`interrupt`]: how a tool is called and how it ends.
//! * [`page`], [`host`]: a report with plots, and the machine it was measured on.
//! * [`bitcoin_sign`], [`admin_client`], [`clock`]: what the tools and the server's own commands share.
#![forbid(unsafe_code)]

pub mod bench;
pub mod load;
pub mod verify;

pub mod admin_client;
pub mod bitcoin_sign;
pub mod clock;
pub mod command_line;
pub mod failure;
pub mod host;
pub mod interrupt;
mod limits;
pub mod page;

/// The subcommands of this crate, in the order of `--help`.
pub const SUBCOMMANDS: &[command_line::Subcommand] =
    &[(bench::command, bench::run), (load::command, load::run), (verify::command, verify::run)];
