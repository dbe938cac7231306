//! `assay load` as people run it, against small servers on loopback that misbehave on purpose.

mod server;
#[path = "../terminal/mod.rs"]
mod terminal;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use server::{Reply, Server};
use terminal::OnTerminal;

fn command(target: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay-tools"));
    command.args(["load", "--target", target]).args(arguments.split_whitespace()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ASSAY_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(target: &str, arguments: &str) -> Output {
    command(target, arguments).output().expect("the binary runs")
}

/// Runs with `--json`, which must succeed.
fn report(target: &str, arguments: &str) -> Value {
    let output = run(target, &format!("{arguments} --json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "silent when piped: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn script(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room");
    file
}

const SHORT: &str = "--duration 400ms --warm-up 0s";

#[test]
fn a_closed_loop_counts_what_the_server_answered() {
    let server = Server::start(|_| Reply::ok("{}"));
    let report = report(&server.origin, &format!("get --connections 4 {SHORT}"));
    assert_eq!((report["loop"].as_str(), report["errors_total"].as_u64()), (Some("closed"), Some(0)), "{report}");
    assert!(report["completed"].as_u64() > Some(10), "{report}");
    assert!(server.answered() >= report["completed"].as_u64().unwrap());
    assert_eq!(report["statuses"]["200"], report["requests"]);
}

#[test]
fn an_open_loop_keeps_its_rate_and_poisson_too() {
    let server = Server::start(|_| Reply::ok("{}"));
    for arrivals in ["even", "poisson"] {
        let report =
            report(&server.origin, &format!("get --rate 100 --duration 1s --warm-up 0s --arrivals {arrivals}"));
        let intended = report["intended"].as_u64().unwrap();
        assert!(if arrivals == "even" { intended == 100 } else { (60..140).contains(&intended) }, "{report}");
        assert_eq!(report["errors_total"], 0, "{report}");
    }
}

#[test]
fn latency_counts_from_the_intended_start_when_the_server_stalls() {
    // One connection, and one answer that takes 400 ms: what came due meanwhile waited, and says so.
    let server = Server::start(|number| if number == 5 { Reply::after_ms(400) } else { Reply::ok("{}") });
    let report = report(&server.origin, "get --rate 200 --connections 1 --duration 1s --warm-up 0s");
    let at = |name: &str| report["latency_ms"][name].as_f64().unwrap();
    // A closed loop would see one slow answer among two hundred: its p90 would be below a millisecond.
    assert!(at("p90") > 150.0 && at("max") >= 400.0, "{report}");
    assert!(report["steps"][0]["latency_ms"]["p50"].as_f64() < Some(at("p90")), "{report}");
}

#[test]
fn errors_are_told_apart() {
    let server = Server::start(|number| match number % 4 {
        0 => Reply::status(500),
        1 => Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"),
        2 => Reply::Raw(""),
        _ => Reply::ok("{}"),
    });
    let report = report(&server.origin, &format!("get --connections 2 {SHORT}"));
    for kind in ["status 500", "bad HTTP: a bad content-length", "connection closed before the answer"] {
        assert!(report["errors"][kind].as_u64() > Some(0), "{kind}: {report}");
    }
    assert!(report["completed"].as_u64() > Some(0) && report["reconnects"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_server_that_never_answers_times_out_and_is_exit_3() {
    let server = Server::start(|_| Reply::Never);
    let output = run(&server.origin, &format!("get --connections 1 --timeout 200ms {SHORT}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.lines().count() == 1 && text.contains("timeout"), "{text}");
}

#[test]
fn rate_limits_are_recognised() {
    let server = Server::start(|number| if number == 1 { Reply::ok("{}") } else { Reply::status(429) });
    let output = run(&server.origin, &format!("get --connections 1 {SHORT}"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("throughput  ") && text.contains("--limits off"), "{text}");
}

#[test]
fn wrong_verdicts_are_errors() {
    // Discovery finds nothing; every token introspects as active, revoked ones too.
    let server = Server::start_by_path(|path| match path {
        "/token" => Reply::ok(r#"{"access_token":"a.b.cccc"}"#),
        "/introspect" => Reply::ok(r#"{"active":true}"#),
        _ => Reply::ok("{}"),
    });
    let client = "--client-id a --client-secret b --tokens 10";
    let report = report(&server.origin, &format!("mixed --mix valid=1,revoked=1 {client} {SHORT}"));
    assert!(report["errors"]["WRONG VERDICT: revoked token accepted"].as_u64() > Some(0), "{report}");
    assert!(report["completed"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_script_is_walked_and_its_steps_reported() {
    let server = Server::start_by_path(|path| match path {
        "/a" => Reply::Raw("HTTP/1.1 302 x\r\nlocation: /b?code=1\r\nset-cookie: s=1\r\ncontent-length: 0\r\n\r\n"),
        "/b" => Reply::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"v\"\r\n3\r\n:1}\r\n0\r\n\r\n"),
        _ => Reply::status(404),
    });
    let file = script(
        "name='walk'\n[[step]]\nname='first'\nurl='/a'\nextract={to={header='location'}}\n\
         [[step]]\nname='second'\nurl='${to}'\nexpect={json={'/v'=1}}\n",
    );
    let report = report(&server.origin, &format!("script {} --connections 2 {SHORT}", file.path().display()));
    assert_eq!((report["scenario"].as_str(), report["errors_total"].as_u64()), (Some("walk"), Some(0)), "{report}");
    assert_eq!(report["steps"][1]["name"], "second");
    assert!(report["requests"].as_u64() >= report["completed"].as_u64().map(|count| 2 * count - 2), "{report}");
}

#[test]
fn http2_and_tls_carry_the_same_load() {
    let plain = server::h2::start(None);
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/server.pem");
    let tls = server::h2::start(Some(&["h2", "http/1.1"]));
    for (origin, options) in [
        (&plain, "--http2".to_owned()),
        (&tls, format!("--ca {certificate}")),
        (&tls, "--insecure --rate 200".to_owned()),
    ] {
        let report = report(origin, &format!("get --connections 2 --streams 3 {options} {SHORT}"));
        assert_eq!(
            (report["protocol"].as_str(), report["errors_total"].as_u64()),
            (Some("HTTP/2"), Some(0)),
            "{report}"
        );
        assert!(report["completed"].as_u64() > Some(5), "{report}");
    }
    let report = report(&server::h2::start(Some(&["http/1.1"])), &format!("get --insecure --connections 2 {SHORT}"));
    assert_eq!((report["protocol"].as_str(), report["tls"].as_bool()), (Some("HTTP/1.1"), Some(true)), "{report}");
    assert!(report["completed"].as_u64() > Some(5) && report["errors_total"] == 0, "{report}");
    let output = run(&tls, &format!("get {SHORT}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && text.contains("--ca FILE"), "{text}");
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    let server = Server::start(|_| Reply::ok("{}"));
    let mut command = command(&server.origin, "get --connections 2 --duration 60s --warm-up 0s --json");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // Answers mean that it measures.
    server.wait_for(200);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["stopped"], "interrupted");
    assert!(report["completed"].as_u64() > Some(50) && report["measured_s"].as_f64() < Some(59.0), "{report}");
    assert_eq!(report["errors_total"], 0, "{report}");
}

#[test]
fn find_max_reports_trials_and_the_page_is_written() {
    let server = Server::start(|_| Reply::ok("{}"));
    let page = tempfile::NamedTempFile::new().expect("a temporary file");
    let shown = page.path().display();
    let output = report(
        &server.origin,
        &format!("get --find-max --slo 1us --rate 2 --duration 200ms --warm-up 0s --html {shown}"),
    );
    assert!(output["find_max"]["rate"].is_null() && output["find_max"]["trials"][0]["because"] == "p99", "{output}");
    let _report = report(&server.origin, &format!("get --connections 1 --html {shown} {SHORT}"));
    let text = std::fs::read_to_string(page.path()).expect("the page");
    assert!(text.contains("<svg") && text.contains("p99") && !text.contains("src=\"http"), "{text}");
}

#[test]
fn wrong_input_is_one_clear_line() {
    let nobody = server::nobody();
    let file = script("[[step]]\nname='a'\nurl='/${x}'\n");
    let file = file.path().display();
    let server = Server::start(|_| Reply::ok("{}"));
    for (target, arguments, code, words) in [
        (nobody.as_str(), "get".to_owned(), 3, "no server answers at"),
        (&server.origin, "logins".to_owned(), 2, "there is no scenario"),
        (&server.origin, "--rate x".to_owned(), 2, "is no rate"),
        (&server.origin, format!("script {file}"), 2, "step 1 (a)"),
        (&server.origin, "script /nonexistent".to_owned(), 2, "cannot read the script"),
        (&server.origin, "mixed --data /nonexistent".to_owned(), 2, "--client-id"),
        (&server.origin, "introspect --client-id a --client-secret b".to_owned(), 1, "/token answered 200"),
        ("ftp://x", "get".to_owned(), 2, "no http or https URL"),
        (&server.origin, "get --nonsense".to_owned(), 2, "--nonsense"),
    ] {
        let output = run(target, &arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {text}");
        assert!(text.lines().count() == 1 && text.contains(words), "{arguments}: {text}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

/// docs/load-json.md names every member that is printed, and no other.
#[test]
fn the_schema_is_documented() {
    let server = Server::start(|_| Reply::ok("{}"));
    let report = report(&server.origin, &format!("get --rate 50 {SHORT}"));
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/load-json.md")).expect("docs");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: std::collections::BTreeSet<&str> = rows.map(|(name, _)| name).collect();
    let mut printed = std::collections::BTreeSet::new();
    for (name, value) in report.as_object().expect("an object") {
        printed.insert(name.clone());
        let inner = if let Some(first) = value.get(0) { first } else { value };
        let is_free = matches!(name.as_str(), "statuses" | "errors" | "warnings");
        for inner in inner.as_object().into_iter().flatten().map(|(inner, _)| inner).filter(|_| !is_free) {
            printed.insert(format!("{name}.{inner}"));
        }
    }
    let printed: std::collections::BTreeSet<&str> = printed.iter().map(String::as_str).collect();
    assert_eq!(printed, documented);
}

/// A line for a person, once a second; the other tests see that there is none in a pipe. Ctrl-C ends a run that would
/// last a minute and prints what was measured.
#[test]
fn a_terminal_sees_the_run() {
    let server = Server::start(|_| Reply::ok("{}"));
    let mut running = OnTerminal::start(command(&server.origin, "get --connections 2 --duration 60s --warm-up 0s"));
    running.wait_for("no errors");
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    let ended = running.end();
    assert!(ended.status.success() && ended.terminal.contains("60 s"), "{ended:?}");
    assert!(ended.stdout.starts_with("throughput  "), "{ended:?}");
}
