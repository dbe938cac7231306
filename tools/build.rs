//! Tells the crate which compiler and which commit it is built from, so that a figure can name the program it measured.

use std::path::Path;
use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    println!("cargo:rustc-env=ASSAY_BUILD_COMPILER={}", said(&rustc, &["--version"]));
    println!("cargo:rustc-env=ASSAY_BUILD_COMMIT={}", said("git", &["rev-parse", "HEAD"]));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    // HEAD names a branch or a commit, and `logs/HEAD` grows with every commit made: together they say when the commit
    // changed. A path that does not exist would make every build run this again.
    for name in ["HEAD", "logs/HEAD"] {
        let path = said("git", &["rev-parse", "--git-path", name]);
        if Path::new(&path).is_file() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

/// What a command printed, or `unknown` if it failed or printed nothing.
fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).map(|text| text.trim().to_owned());
    text.filter(|text| !text.is_empty() && !text.contains('\n')).unwrap_or_else(|| "unknown".to_owned())
}
