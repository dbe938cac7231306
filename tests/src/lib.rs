//! What the end-to-end tests are made of: the real server started and stopped ([`server`]), a server with a clock of
//! its own ([`in_process`]), a small HTTP client that can also send what no client should ([`wire`]), what both servers
//! are asked ([`target`]), people and applications ([`actors`]), and tokens nobody should make ([`forge`]).
//! Holds no test itself.
#![forbid(unsafe_code)]

pub mod actors;
pub mod forge;
pub mod in_process;
pub mod server;
pub mod target;
pub mod wire;

use std::path::{Path, PathBuf};

/// The root of the source tree.
///
/// # Panics
/// If this crate has no parent directory; the workspace manifest lists it as `tests`, so it has one.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a directory of the workspace")
}

/// A binary of the same profile as the running test: test binaries stand in `deps/`, one level below it.
/// `ASSAY_BIN_DIR` points elsewhere, for a suite run against an installed server.
///
/// # Panics
/// If the running test does not know its own path or stands outside a cargo target directory.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("ASSAY_BIN_DIR") {
        return PathBuf::from(directory).join(name);
    }
    let test = std::env::current_exe().expect("Linux tells a process its own path");
    let profile = test.parent().and_then(Path::parent).expect("test binaries stand in <target>/<profile>/deps");
    profile.join(name)
}
