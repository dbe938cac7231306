//! One row per rule that can be read off a single file. Each row brings snippets it must refuse and snippets it must
//! let pass, so that no rule can quietly stop looking.

use crate::source::{SourceFile, line_of, lines_with_word};

/// Line (from 1) and what is wrong there.
pub type Finding = (usize, String);

pub struct Rule {
    pub name: &'static str,
    pub check: fn(&SourceFile) -> Vec<Finding>,
    /// (path, text) the rule refuses.
    pub bad: &'static [(&'static str, &'static str)],
    /// (path, text) close to a bad one, that it must not refuse.
    pub good: &'static [(&'static str, &'static str)],
}

/// Lines in one file, tables and vectors excepted.
const FILE_LINES_MAX: usize = 700;

const CLOCKS: [&str; 2] = ["gateway/src/clock.rs", "tools/src/clock.rs"];

pub const ALL: &[Rule] = &[
    Rule {
        name: "every file opens with a `//!` header",
        check: header,
        bad: &[("a/src/x.rs", "use std::fs;\n"), ("a/src/x.rs", ""), ("a/src/x.rs", "//! placeholder\n")],
        good: &[("a/src/x.rs", "//! What this owns.\nuse std::fs;\n"), ("README.md", "# assay")],
    },
    Rule {
        name: "one room, one thing: no file over 700 lines but tables and vectors",
        check: length,
        bad: &[("a/src/x.rs", MANY_LINES)],
        good: &[("engine/kernels/src/tables/g.rs", MANY_LINES), ("a/src/x.rs", "//! Short.\n")],
    },
    Rule {
        name: "no drawers: a file is named for what is in it",
        check: drawer,
        bad: &[("a/src/utils.rs", ""), ("helpers.rs", ""), ("tests/e2e/common.rs", ""), ("a/src/util/mod.rs", "")],
        good: &[("a/src/commons_license.rs", ""), ("a/src/uncommon.rs", "")],
    },
    Rule {
        name: "only clock.rs reads clocks",
        check: clock,
        bad: &[
            ("gateway/src/lane.rs", "fn f() { let now = std::time::Instant::now(); }"),
            ("storage/src/x.rs", "let t = SystemTime::now();"),
            ("storage/src/x.rs", "let t = started.elapsed();"),
            ("cli/src/x.rs", "let t = OffsetDateTime::now_utc();"),
        ],
        good: &[
            ("gateway/src/clock.rs", "let t = SystemTime::now();"),
            ("tests/e2e/main.rs", "let t = Instant::now();"),
            ("gateway/src/lane.rs", "// not Instant::now()\nfn f() {}\n#[cfg(test)]\nmod tests { Instant::now(); }"),
        ],
    },
    Rule {
        name: "unsafe only in engine/kernels and gateway/src/runtime/io_uring.rs",
        check: unsafe_code,
        bad: &[
            ("engine/src/x.rs", "unsafe { f() }"),
            ("tests/e2e/x.rs", "unsafe fn f() {}"),
            ("a/src/x.rs", "#![allow(unsafe_code)]"),
        ],
        good: &[
            ("engine/kernels/src/x.rs", "unsafe { f() }"),
            ("gateway/src/runtime/io_uring.rs", "unsafe { f() }"),
            ("engine/src/x.rs", "#![forbid(unsafe_code)]\n// unsafe\nlet s = \"unsafe\";"),
        ],
    },
    Rule {
        name: "every crate root forbids unsafe code",
        check: forbids_unsafe,
        bad: &[("a/src/lib.rs", "//! A.\n"), ("a/src/main.rs", "//! A.\n// #![forbid(unsafe_code)]")],
        good: &[
            ("a/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]\n"),
            ("gateway/src/lib.rs", "//! A.\n#![deny(unsafe_code)]\n"),
            ("engine/kernels/src/lib.rs", "//! A.\n"),
        ],
    },
    Rule {
        name: "a suppressed lint carries a reason",
        check: suppression,
        bad: &[
            ("a/src/x.rs", "#[allow(dead_code)]\nfn f() {}"),
            ("a/src/x.rs", "#![expect(clippy::pedantic)]"),
            ("a/src/x.rs", "#[cfg_attr(test, allow(dead_code))]"),
            ("a/src/x.rs", "#[allow(dead_code, /* reason = */ unused)]"),
        ],
        good: &[
            ("a/src/x.rs", "#[expect(dead_code, reason = \"built by the macro (twice)\")]"),
            ("a/src/x.rs", "let x = y.expect(\"cannot fail\"); // #[allow(dead_code)]"),
        ],
    },
    Rule {
        name: "bounds live in limits.rs",
        check: limits,
        bad: &[
            ("engine/src/x.rs", "pub const QUEUE_MAX: usize = 8;"),
            ("engine/src/x.rs", "const BODY_BYTES_MAX: u64 = 8;"),
        ],
        good: &[
            ("engine/src/limits.rs", "pub const QUEUE_MAX: usize = 8;"),
            ("engine/src/x.rs", "const MAXIMUM: usize = 8; const KEY_BYTES: usize = 33; const SLOT_MAX: u16 = 7;"),
            ("tests/e2e/x.rs", "const ROUNDS_MAX: usize = 8;"),
        ],
    },
    Rule {
        name: "nothing unfinished or silenced",
        check: unfinished,
        bad: &[
            ("a/src/x.rs", "fn f() { todo!() }"),
            ("a/src/x.rs", "unimplemented!()"),
            ("tests/e2e/x.rs", "#[test]\n#[ignore]\nfn f() {}"),
            ("tests/e2e/x.rs", "#[ignore = \"slow\"]"),
            ("a/src/x.rs", "dbg!(x);"),
        ],
        good: &[("a/src/x.rs", "// todo!() would be wrong\nlet ignore = 1;")],
    },
    Rule {
        name: "tests wait for events, not for time to pass",
        check: sleeping_test,
        bad: &[
            ("tests/e2e/x.rs", "std::thread::sleep(SECOND);"),
            ("storage/tests/x.rs", "tokio::time::sleep(SECOND).await"),
            ("a/src/x.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { thread::sleep(SECOND) } }"),
        ],
        good: &[("gateway/src/x.rs", "tokio::time::sleep(pause).await"), ("tests/e2e/x.rs", "rx.recv_timeout(SECOND)")],
    },
    Rule {
        name: "no path of one machine",
        check: machine_path,
        bad: &[
            ("README.md", concat!("cd /wo", "rk/main\n")),
            ("a/src/x.rs", concat!("open(\"/ro", "ot/x\")")),
            ("Makefile", concat!("X = /ho", "me/me/x")),
        ],
        good: &[("README.md", concat!("https://example.org/wo", "rk/ and the /root of a path")), ("x", "frame/work/x")],
    },
    Rule {
        name: "every crate takes the workspace's lints",
        check: workspace_lints,
        bad: &[("a/Cargo.toml", "[package]\nname = \"a\"\n")],
        good: &[
            ("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n"),
            ("Cargo.toml", "[workspace]\n"),
        ],
    },
];

fn header(file: &SourceFile) -> Vec<Finding> {
    let first = file.text.lines().next().unwrap_or("");
    let says_something = first.strip_prefix("//! ").is_some_and(|rest| !rest.starts_with("placeholder"));
    found(file.is_rust() && !says_something, 1, "the first line is no `//!` header")
}

/// The shortest text over the bound.
const MANY_LINES: &str = {
    const BYTES: [u8; FILE_LINES_MAX + 1] = [b'\n'; FILE_LINES_MAX + 1];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

fn length(file: &SourceFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let exempt = file.path.contains("/tables") || file.path.contains("vectors");
    found(file.is_rust() && !exempt && lines > FILE_LINES_MAX, lines, "too long: split it where the story turns")
}

fn drawer(file: &SourceFile) -> Vec<Finding> {
    let drawers = ["util", "utils", "helper", "helpers", "common", "misc"];
    let is_drawer = file.path.trim_end_matches(".rs").split('/').any(|part| drawers.contains(&part));
    found(file.is_rust() && is_drawer, 1, "a drawer: name the file for what is in it")
}

fn clock(file: &SourceFile) -> Vec<Finding> {
    if CLOCKS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let reads =
        ["SystemTime::now", "Instant::now", ".elapsed()", "::now_utc()", "Utc::now", "Local::now", "clock_gettime"];
    words(file.shipped_code(), &reads, "reads a clock: take `now` as an argument")
}

fn unsafe_code(file: &SourceFile) -> Vec<Finding> {
    let named = file.path.starts_with("engine/kernels/") || file.path == "gateway/src/runtime/io_uring.rs";
    if named { Vec::new() } else { words(&file.code, &["unsafe", "allow(unsafe_code"], "unsafe code") }
}

fn forbids_unsafe(file: &SourceFile) -> Vec<Finding> {
    let is_root = ["/src/lib.rs", "/src/main.rs"].iter().any(|root| file.path.ends_with(root));
    if !is_root || file.path.starts_with("engine/kernels/") {
        return Vec::new();
    }
    // The gateway's one named file needs an exception, which `forbid` would not allow.
    let holds = file.code.contains("#![forbid(unsafe_code)]")
        || (file.path.starts_with("gateway/src/") && file.code.contains("#![deny(unsafe_code)]"));
    found(!holds, 1, "lacks #![forbid(unsafe_code)]")
}

fn suppression(file: &SourceFile) -> Vec<Finding> {
    let code = &file.code;
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("#[").chain(code.match_indices("#![")) {
        let open = at + code[at..].find('[').expect("the pattern ends in it");
        let attribute = &code[open..open + closing(&code[open..])];
        let suppresses = ["allow(", "expect("].iter().any(|lint| !lines_with_word(attribute, lint).is_empty());
        if suppresses && !attribute.contains("reason =") {
            findings.push((line_of(code, at), "suppresses a lint and gives no reason".to_owned()));
        }
    }
    findings
}

/// Bytes up to and with the bracket that closes the one at the start.
fn closing(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 1 => return at + 1,
            b']' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Sizes and counts; ranges of narrow fields (`u16`, `u32`) are part of a layout and stand beside it.
fn limits(file: &SourceFile) -> Vec<Finding> {
    if file.path.ends_with("/limits.rs") {
        return Vec::new();
    }
    let code = file.shipped_code();
    code.match_indices("const ")
        .filter(|(at, keyword)| {
            let (name, rest) = code[at + keyword.len()..].split_once(':').unwrap_or(("", ""));
            name.ends_with("_MAX") && ["usize", "u64"].iter().any(|kind| rest.trim().starts_with(kind))
        })
        .map(|(at, _)| (line_of(code, at), "a bound outside limits.rs".to_owned()))
        .collect()
}

fn unfinished(file: &SourceFile) -> Vec<Finding> {
    let mut findings = words(&file.code, &["todo!", "unimplemented!", "dbg!"], "unfinished");
    findings.extend(words(&file.code, &["#[ignore"], "a silenced test"));
    findings
}

fn sleeping_test(file: &SourceFile) -> Vec<Finding> {
    let sleeps = ["thread::sleep", "time::sleep", "Timer::after", "Timer::new"];
    let aside =
        file.path.starts_with("benches/") || file.path.contains("/benches/") || file.path.contains("/examples/");
    if aside {
        return Vec::new();
    }
    // The shipped part of a file is where it starts, so the rest of it is test code.
    let shipped = file.shipped_code();
    let lines_shipped = shipped.matches('\n').count();
    words(&file.code[shipped.len()..], &sleeps, "sleeps in a test: wait for the event")
        .into_iter()
        .map(|(line, what)| (line + lines_shipped, what))
        .collect()
}

fn machine_path(file: &SourceFile) -> Vec<Finding> {
    // In two halves, because this file is scanned too.
    let roots = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/fa", "rm/"),
        concat!("/Us", "ers/"),
    ];
    if file.path.ends_with(".lock") {
        return Vec::new();
    }
    let starts_path =
        |at: usize| !file.text[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~}/*)".contains(before));
    roots
        .iter()
        .flat_map(|root| file.text.match_indices(root))
        .filter(|(at, _)| starts_path(*at))
        .map(|(at, root)| (line_of(&file.text, at), format!("a path under {root}")))
        .collect()
}

fn workspace_lints(file: &SourceFile) -> Vec<Finding> {
    let is_member = file.path.ends_with("/Cargo.toml");
    let inherits = file.text.contains("[lints]\nworkspace = true");
    found(is_member && !inherits, 1, "lacks [lints] workspace = true")
}

fn found(wrong: bool, line: usize, what: &str) -> Vec<Finding> {
    if wrong { vec![(line, what.to_owned())] } else { Vec::new() }
}

fn words(code: &str, words: &[&str], what: &str) -> Vec<Finding> {
    words
        .iter()
        .flat_map(|word| lines_with_word(code, word).into_iter().map(move |line| (line, format!("{word}: {what}"))))
        .collect()
}
