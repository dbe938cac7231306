//! `assay bench` from outside: its JSON is what the document says, its page needs nothing, its progress is for terminals,
//! Ctrl-C keeps what was measured, and wrong input gets one line.

mod terminal;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use terminal::OnTerminal;

/// The cheapest operation, so that a debug build measures it in a moment.
const TINY: &[&str] = &["bench", "--filter", "hs256-verify", "--seconds", "0.05", "--batch", "1,8", "--threads", "1"];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay-tools"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

fn tiny(more: &[&str]) -> String {
    let output = run(&[TINY, more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nobody looks at a pipe");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

/// The first column of the tables below a heading of the document.
fn documented(heading: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench-json.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    let (_, section) = text.split_once(&format!("## {heading}\n")).expect("it has the section");
    let section = section.split("\n## ").next().expect("split gives one");
    let first = |line: &str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned());
    section.lines().filter_map(first).collect()
}

#[test]
fn json_is_what_the_document_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let before = directory.path().join("before.json");
    std::fs::write(&before, tiny(&["--json"])).expect("it is ours");
    let text = tiny(&["--json", "--compare", before.to_str().expect("UTF-8")]);
    let report: Value = serde_json::from_str(&text).expect("JSON and nothing else");

    assert_eq!(members(&report), documented("The report"));
    assert_eq!(members(&report["host"]), documented("`host`"));
    assert_eq!(report["complete"], true);
    let rows = report["results"].as_array().expect("rows");
    assert_eq!(rows.len(), 3 * 2, "three backends, two batches");
    for row in rows {
        assert_eq!(members(row), documented("`results`"));
        assert_eq!(members(&row["compared"]), documented("`compared`"));
        assert_eq!((row["operation"].as_str(), row["key"].as_str()), (Some("hs256-verify"), Some("-")));
        let number = |name: &str| row[name].as_f64().expect("a number");
        let (median, ops) = (number("ns_per_op_median"), number("ops_per_second"));
        assert!(number("ns_per_op_min") <= median && (median * ops / 1e9 - 1.0).abs() < 0.01);
        assert!(number("ratio_to_best_library") > 0.0);
    }
}

#[test]
fn the_table_names_the_machine_and_fits() {
    let text = tiny(&[]);
    for part in [
        "cpu ",
        "features ",
        "backend ",
        "rustc",
        "commit ",
        "matched   hs256-verify (assay, aws-lc-rs, ring)",
        "* assay ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let blocks = text.split_once("matched").expect("it is there").1;
    assert!(blocks.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('\x1b'), "colours are for terminals");
}

#[test]
fn the_page_needs_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("bench.html");
    tiny(&["--html", page.to_str().expect("UTF-8")]);
    let html = std::fs::read_to_string(page).expect("it was written");
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    assert!(html.contains("Throughput by batch size") && html.contains("hs256-verify"));
    for outside in ["http:", "https:", "<script", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn progress_is_drawn_on_a_terminal() {
    let ended = OnTerminal::start(command(TINY)).end();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.terminal.contains("hs256-verify") && ended.terminal.contains('%'), "{ended:?}");
    assert!(ended.stdout.contains("* assay "), "{ended:?}");
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    let arguments =
        ["bench", "--filter", "hs256-verify", "--seconds", "600", "--batch", "1", "--threads", "1", "--json"];
    let mut running = OnTerminal::start(command(&arguments));
    running.wait_for("hs256-verify");
    let id = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill is everywhere").success());
    let ended = running.end();
    assert!(ended.status.success() && ended.terminal.contains("interrupted"), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON all the same");
    assert_eq!(report["complete"], false);
}

#[test]
fn wrong_input_gets_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, "{\"results\": 7}").expect("it is ours");
    let garbage = garbage.to_str().expect("UTF-8");
    for (arguments, said) in [
        (&["--filter", "nonsense"][..], "matches nothing; operations: ecdsa-secp256k1-verify"),
        (&["--seconds", "0"], "--seconds"),
        (&["--seconds", "x"], "--seconds"),
        (&["--seconds", "NaN"], "--seconds"),
        (&["--batch", "0"], "--batch"),
        (&["--batch", "1,,2"], "--batch"),
        (&["--batch", "99999999999999999999"], "--batch"),
        (&["--threads", "100000"], "--threads"),
        (&["--seed", "-"], "--seed"),
        (&["--compare", "/nonexistent"], "cannot read /nonexistent"),
        (&["--compare", garbage], "not the output of an earlier"),
        (&["--html", "/nonexistent/page.html"], "there is no directory"),
        (&["--bogus"], "--bogus"),
    ] {
        let output = run(&[&["bench"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("assay: ") && stderr.contains(said), "{arguments:?}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
