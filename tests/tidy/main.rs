//! What the machine checks about the tree itself: HOUSE_STYLE's arrows, clocks, limits, headers and the rest of
//! CONTRIBUTING.md's list. A finding names file, line and rule.
#![forbid(unsafe_code)]

mod arrows;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use source::SourceFile;

#[test]
fn the_tree_is_tidy() {
    let files = tree();
    assert!(files.iter().any(|file| file.path == "tests/tidy/main.rs"), "the scan does not even see itself");
    let mut findings = Vec::new();
    for rule in rules::ALL {
        for file in &files {
            for (line, what) in (rule.check)(file) {
                findings.push(format!("{}:{line}: {what}  [{}]", file.path, rule.name));
            }
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_rule_refuses_what_it_should_and_nothing_else() {
    for rule in rules::ALL {
        assert!(!rule.bad.is_empty() && !rule.good.is_empty(), "{}: needs snippets of both kinds", rule.name);
        for (path, text) in rule.bad {
            let findings = (rule.check)(&SourceFile::new(path, text));
            assert!(!findings.is_empty(), "{}: lets pass {path}:\n{text}", rule.name);
        }
        for (path, text) in rule.good {
            let findings = (rule.check)(&SourceFile::new(path, text));
            assert!(findings.is_empty(), "{}: refuses {path}: {findings:?}\n{text}", rule.name);
        }
    }
}

#[test]
fn crates_depend_one_way() {
    let manifests = arrows::manifests();
    let mut findings = Vec::new();
    for arrow in arrows::ALL {
        let (_, dependencies) = manifests
            .iter()
            .find(|(name, _)| name == arrow.from)
            .unwrap_or_else(|| panic!("{} is not in the workspace", arrow.from));
        findings.extend(arrows::check_manifest(arrow, dependencies));
        findings.extend(arrows::check_reachable(arrow, &arrows::reachable(arrow.from)));
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_crate_has_its_arrows() {
    // What only tries or measures the others may name all of them.
    let outside = ["assay-benches", "assay-criterion", "assay-fuzz", "assay-tests"];
    let known: BTreeSet<&str> = arrows::ALL.iter().map(|arrow| arrow.from).chain(outside).collect();
    for (name, _) in arrows::manifests() {
        assert!(known.contains(name.as_str()), "{name}: say in tests/tidy/arrows.rs what it may depend on");
    }
}

#[test]
fn a_wrong_arrow_is_found() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let oauth = arrows::ALL.iter().find(|arrow| arrow.from == "assay-oauth").expect("a row");
    assert_eq!(arrows::check_manifest(oauth, &names(&["assay-storage", "serde"])).len(), 1);
    assert_eq!(arrows::check_manifest(oauth, &names(&["serde"])).len(), 0);
    assert_eq!(arrows::check_reachable(oauth, &names(&["assay-oauth", "serde", "hyper", "tokio"])).len(), 2);
    assert_eq!(arrows::check_reachable(oauth, &names(&["assay-oauth", "assay-engine"])).len(), 1);
    // The real tree of a crate that does hold hyper shows that the reading works.
    assert!(arrows::reachable("assay-gateway").contains("hyper"));
}

#[test]
fn every_vector_file_says_where_it_came_from() {
    let files = tree();
    let readme = files.iter().find(|file| file.path == "tests/vectors/README.md").map_or("", |file| &file.text);
    let vectors = files.iter().filter(|file| file.path.starts_with("tests/vectors/") && !file.path.ends_with(".md"));
    let undocumented: Vec<&str> =
        vectors.filter(|file| !is_documented(readme, &file.path)).map(|file| file.path.as_str()).collect();
    assert!(undocumented.is_empty(), "tests/vectors/README.md has no line for {undocumented:?}");

    assert!(is_documented("* `a.json`: from BIP-340.", "tests/vectors/a.json"));
    assert!(!is_documented("* `aa.json`: from BIP-340.", "tests/vectors/a.json"));
    assert!(!is_documented("", "tests/vectors/a.json"));
}

/// A README names a file in backquotes, by its name or by its path below `tests/vectors/`.
fn is_documented(readme: &str, path: &str) -> bool {
    let below = path.trim_start_matches("tests/vectors/");
    let name = below.rsplit('/').next().unwrap_or(below);
    [below, name].iter().any(|name| readme.contains(&format!("`{name}`")))
}

/// Every text file that is committed or about to be.
fn tree() -> Vec<SourceFile> {
    let root = assay_tests::workspace_root();
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git is one of the packages scripts/setup.sh installs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("our file names are ASCII");
    names
        .split_terminator('\0')
        // Not text, or deleted and not yet committed: nothing to read.
        .filter_map(|path| fs::read_to_string(root.join(path)).ok().map(|text| SourceFile::new(path, &text)))
        .collect()
}
