//! Which attack is tested where. A line is covered by a test named after its number, here or in the crate that can
//! reach what the attack needs; or it waits for a feature that does not exist. The test below holds the table to it.

use std::fs;
use std::path::Path;

/// Where an attack is tested.
enum Place {
    /// In this suite, over sockets, on both runtimes.
    EndToEnd,
    /// In the unit tests of this file: over sockets the fault cannot be caused.
    Unit(&'static str),
    /// Not yet: the feature it attacks does not exist.
    Waits(&'static str),
}

use Place::{EndToEnd, Unit, Waits};

/// Attack numbers from, to, and where. Numbers follow the list of attacks, parts B.
const TABLE: &[(u32, u32, Place)] = &[
    (1, 30, EndToEnd),
    (31, 41, EndToEnd),
    (42, 42, Unit("engine/src/pool.rs")),
    (43, 43, EndToEnd),
    (44, 61, EndToEnd),
    (62, 68, EndToEnd),
    (69, 76, Waits("refresh tokens")),
    (77, 84, EndToEnd),
    (85, 98, Waits("token exchange")),
    (99, 101, Waits("agents and their anchors")),
    (102, 102, Waits("the vault")),
    (103, 104, Waits("DPoP")),
    (105, 105, Waits("the device flow")),
    (106, 106, Waits("dynamic registration")),
    (107, 109, EndToEnd),
    (110, 110, Waits("HTTP/2")),
    (111, 118, EndToEnd),
    (119, 119, Waits("idempotency keys")),
    (120, 122, Waits("webhooks")),
    (123, 123, Waits("the decision point")),
    (124, 132, EndToEnd),
    (133, 134, Waits("patterns, slugs and e-mail addresses from outside")),
    (135, 135, EndToEnd),
];

/// Attacks whose end-to-end test covers the part that exists; the rest waits.
const PARTLY: &[(u32, &str)] = &[
    (7, "other tenants do not exist: a second tenant's key is put into the database by hand"),
    (30, "as 7"),
    (33, "as 7"),
    (39, "2·10^5 checks, not 10^6"),
    (79, "refresh tokens do not exist: every other secret is tried"),
    (83, "2,000 rounds; ASSAY_LONG=1 makes it 10^5"),
    (131, "as 7: another server's challenge, and paths with a tenant"),
];

#[test]
fn every_attack_has_its_place() {
    let mut next = 1;
    for (from, to, place) in TABLE {
        assert_eq!(*from, next, "the table has a gap or an overlap before {from}");
        assert!(from <= to);
        next = to + 1;
        if let Waits(feature) = place {
            assert!(!feature.is_empty(), "{from}: say what it waits for");
        }
    }
    assert_eq!(next, 136, "135 attacks");
    for (number, why) in PARTLY {
        assert!(matches!(place(*number), EndToEnd) && !why.is_empty(), "{number}");
    }
}

#[test]
fn the_table_and_the_test_names_agree() {
    let root = assay_tests::workspace_root();
    let here = attacks_in(&root.join("tests/e2e"));
    for number in 1..=135 {
        match place(number) {
            EndToEnd => assert!(here.contains(&number), "attack {number} has no test named attack_{number:02}_… here"),
            Unit(file) => {
                assert!(attacks_in(&root.join(file)).contains(&number), "attack {number} has no test in {file}")
            }
            Waits(feature) => {
                assert!(!here.contains(&number), "attack {number} is tested: it no longer waits for {feature}")
            }
        }
    }
}

/// Every test in the table's sense is run: named in its module's `both_runtimes!`.
#[test]
fn every_written_test_is_run() {
    for (path, text) in sources(&assay_tests::workspace_root().join("tests/e2e")) {
        let Some((code, list)) = text.split_once("\nboth_runtimes!(") else { continue };
        for name in code
            .lines()
            .filter_map(|line| line.strip_prefix("fn "))
            .filter_map(|line| line.split_once("(runtime: Runtime)"))
        {
            let listed = list.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name.0);
            // Some take a runtime to build what several tests share.
            assert!(listed || name.1.contains("->"), "{path}: {} is written and not run", name.0);
        }
    }
}

fn place(number: u32) -> &'static Place {
    let row = TABLE.iter().find(|(from, to, _)| (*from..=*to).contains(&number));
    &row.unwrap_or_else(|| panic!("{number} is not in the table")).2
}

fn attacks_in(path: &Path) -> Vec<u32> {
    let mut numbers = Vec::new();
    for (_, text) in sources(path) {
        for rest in text.split("fn attack_").skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            numbers.extend(digits.parse::<u32>());
        }
    }
    numbers
}

fn sources(path: &Path) -> Vec<(String, String)> {
    let files = if path.is_dir() {
        fs::read_dir(path).expect("our own tree").map(|entry| entry.expect("our own tree").path()).collect()
    } else {
        vec![path.to_owned()]
    };
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).expect("our own tree"))).collect()
}
