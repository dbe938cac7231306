//! Tells the crate which compiler and which commit it was built from, so that a report names the code it measured.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = std::env::var("RUSTC").ok().and_then(|rustc| said(&rustc, &["--version"]));
    println!("cargo:rustc-env=ASSAY_BUILD_COMPILER={}", compiler.as_deref().unwrap_or("unknown"));

    let commit = is_own_repository().then(|| said("git", &["rev-parse", "HEAD"])).flatten();
    println!("cargo:rustc-env=ASSAY_BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    if commit.is_some() {
        // The first changes when another branch is checked out, the second with every commit. A file that is not there
        // would make cargo build every time, and a repository without a reflog has its refs in one of the other two.
        for file in ["HEAD", "logs/HEAD", "packed-refs"] {
            let path = said("git", &["rev-parse", "--git-path", file]);
            for path in path.iter().filter(|path| Path::new(path).exists()) {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
}

/// A source archive unpacked inside somebody else's repository must not carry that one's commit.
fn is_own_repository() -> bool {
    let root = said("git", &["rev-parse", "--show-toplevel"]).and_then(|root| Path::new(&root).canonicalize().ok());
    root.is_some() && root == Path::new("..").canonicalize().ok()
}

/// What a command printed, if it succeeded and printed anything.
fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty() && !text.contains('\n')).then_some(text)
}
