//! The arrows between crates, one way each, read from the manifests; and what must not be reachable from a crate at all.

use std::collections::BTreeSet;
use std::process::Command;

/// A crate of ours, the crates of ours it may name, and outside crates that must not stand anywhere below it.
pub struct Arrow {
    pub from: &'static str,
    pub to: &'static [&'static str],
    pub never: &'static [&'static str],
}

const RUNTIMES: &[&str] = &["async-io", "axum", "glommio", "hyper", "mio", "reqwest", "smol", "tokio", "ureq"];
const NO_IO: &[&str] = &["async-io", "axum", "glommio", "hyper", "mio", "reqwest", "rocksdb", "smol", "tokio", "ureq"];

pub const ALL: &[Arrow] = &[
    Arrow { from: "assay-kernels", to: &[], never: NO_IO },
    Arrow { from: "assay-engine", to: &["assay-kernels"], never: NO_IO },
    Arrow { from: "assay-oauth", to: &[], never: NO_IO },
    Arrow { from: "assay-storage", to: &[], never: RUNTIMES },
    Arrow { from: "assay-gateway", to: &["assay-engine", "assay-oauth", "assay-storage"], never: &["openssl-sys"] },
    Arrow { from: "assay-tools", to: &["assay-engine", "assay-oauth"], never: &["openssl-sys", "rocksdb"] },
    Arrow { from: "assay", to: &["assay-gateway", "assay-tools"], never: &["openssl-sys"] },
];

/// What a manifest's normal dependencies on crates of ours break.
pub fn check_manifest(arrow: &Arrow, dependencies: &BTreeSet<String>) -> Vec<String> {
    dependencies
        .iter()
        .filter(|name| is_ours(name) && !arrow.to.contains(&name.as_str()))
        .map(|name| format!("{} → {name} is no arrow of ours", arrow.from))
        .collect()
}

/// What everything reachable from a crate breaks.
pub fn check_reachable(arrow: &Arrow, reachable: &BTreeSet<String>) -> Vec<String> {
    let never = arrow.never.iter().copied().filter(|name| reachable.contains(*name));
    let ours = reachable
        .iter()
        .map(String::as_str)
        .filter(|name| is_ours(name) && *name != arrow.from && !arrow.to.contains(name) && arrow.to.is_empty());
    never.chain(ours).map(|name| format!("{name} is reachable from {}", arrow.from)).collect()
}

fn is_ours(name: &str) -> bool {
    name == "assay" || name.starts_with("assay-")
}

/// Normal and build dependencies of each member, by name.
pub fn manifests() -> Vec<(String, BTreeSet<String>)> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("cargo lists dependencies");
            let shipped = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
            (text_of(&package["name"]), shipped.map(|dependency| text_of(&dependency["name"])).collect())
        })
        .collect()
}

/// Everything below a crate in its shipped form, itself included.
pub fn reachable(from: &str) -> BTreeSet<String> {
    let tree = cargo(&["tree", "-p", from, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn text_of(value: &serde_json::Value) -> String {
    value.as_str().expect("names are strings").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(assay_tests::workspace_root())
        .output()
        .expect("cargo built this test, so it can be run");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
