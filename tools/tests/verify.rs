//! `assay verify` as a program: what goes in, what comes out, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const TOOL: &str = env!("CARGO_BIN_EXE_assay-tools");

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(TOOL);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    tool(arguments).output().expect("the tool starts")
}

/// Runs and expects success; what it printed.
fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "nothing but verdicts: {arguments:?}");
    String::from_utf8(output.stdout).expect("verdicts are UTF-8")
}

/// Runs and expects one line of error and this code; the line.
fn fail(arguments: &[&str], code: i32) -> String {
    told(run(arguments), code)
}

fn told(output: Output, code: i32) -> String {
    let errors = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("assay: "), "{errors}");
    errors
}

/// A directory with tokens and their keys.
struct Files {
    directory: TempDir,
}

impl Files {
    /// `tokens` and `keys`, a fifth of the tokens broken.
    fn emitted(scheme: &str, count: usize) -> Self {
        let files = Self { directory: tempfile::tempdir().expect("a directory") };
        let count = count.to_string();
        let (tokens, keys) = (files.path("tokens"), files.path("keys"));
        let mut arguments =
            vec!["load", "--emit", &count, "--scheme", scheme, "--invalid", "20", "--seed", "7", "--output", &tokens];
        if !matches!(scheme, "brc77" | "bsm") {
            arguments.extend(["--jwks-out", &keys]);
        }
        if !matches!(scheme, "hs256" | "rs256") {
            arguments.extend(["--keys", "3"]);
        }
        let output = run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        files
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("a plain name").to_owned()
    }

    fn write(&self, name: &str, content: &[u8]) -> String {
        fs::write(self.path(name), content).expect("writable");
        self.path(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("readable")
    }

    /// `many`: the tokens over and over, and lines that are none in between.
    fn repeated(&self, times: usize) -> String {
        let text = [&self.read("tokens")[..], b"\nnothing\n{}\n"].concat().repeat(times);
        self.write("many", &text)
    }
}

fn verdicts(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("verdicts are JSON")).collect()
}

#[test]
fn every_scheme_that_is_emitted_is_verified() {
    for scheme in ["es256", "rs256", "eddsa", "hs256", "es256k", "brc77", "bsm"] {
        let files = Files::emitted(scheme, 60);
        let (tokens, keys) = (files.path("tokens"), files.path("keys"));
        let mut arguments = vec!["verify", "--now", "2026-01-15T12:00:00Z", "--scheme", scheme, &tokens];
        match scheme {
            "brc77" | "bsm" => {}
            "hs256" => arguments.extend(["--secret-file", &keys]),
            _ => arguments.extend(["--jwks", &keys]),
        }
        let verdicts = verdicts(&succeed(&arguments));
        assert_eq!(verdicts.len(), 60);
        let invalid = verdicts.iter().filter(|verdict| verdict["valid"] == false).count();
        assert!((4..30).contains(&invalid), "{scheme}: {invalid} of 60, a fifth was asked for");
        for (verdict, line) in verdicts.iter().zip(1..) {
            assert_eq!(verdict["line"], line);
            assert_eq!(verdict["scheme"], scheme);
            let reason = verdict["reason"].as_str().unwrap_or("expired");
            assert!(["bad_signature", "expired", "unknown_kid"].contains(&reason), "{scheme}: {verdict}");
        }
        arguments.push("--fail-on-invalid");
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, format!("assay: {invalid} of 60 lines are invalid\n"));
    }
}

#[test]
fn plain_gzip_zstd_and_standard_input_give_the_same() {
    let files = Files::emitted("eddsa", 200);
    let (many, keys) = (files.repeated(20), files.path("keys"));
    let text = files.read("many");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text).expect("a vector takes everything");
    let gzip = files.write("gzip", &gzip.finish().expect("a vector takes everything"));
    let zstd = files.write("zstd", &zstd::encode_all(&text[..], 1).expect("a vector takes everything"));
    let plain = succeed(&["verify", "--jwks", &keys, &many]);
    assert_eq!(plain.lines().count(), 20 * 203);
    for (line, verdict) in (1..).zip(verdicts(&plain)) {
        assert_eq!(verdict["line"], line);
    }
    for threads in ["1", "2", "9"] {
        assert_eq!(succeed(&["verify", "--jwks", &keys, "--threads", threads, &many]), plain, "{threads} threads");
    }
    for file in [&gzip, &zstd] {
        assert_eq!(succeed(&["verify", "--jwks", &keys, file]), plain, "{file}");
    }
    for file in [&many, &gzip, &zstd] {
        let mut command = tool(&["verify", "--jwks", &keys, "-"]);
        let output = command.stdin(fs::File::open(file).expect("it is there")).output().expect("the tool starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), plain, "{file} on standard input");
    }
    let output = files.path("output");
    assert_eq!(succeed(&["verify", "--jwks", &keys, "--output", &output, &many]), "");
    assert_eq!(files.read("output"), plain.as_bytes());
}

#[test]
fn a_torn_file_fails_after_the_verdicts_of_what_was_readable() {
    let files = Files::emitted("eddsa", 300);
    let (many, keys) = (files.repeated(4), files.path("keys"));
    let text = files.read("many");
    let plain = succeed(&["verify", "--jwks", &keys, &many]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text).expect("a vector takes everything");
    let gzip = gzip.finish().expect("a vector takes everything");
    let zstd = zstd::encode_all(&text[..], 1).expect("a vector takes everything");
    for (whole, name) in [(gzip, "gzip"), (zstd, "zstd")] {
        let torn = files.write(name, &whole[..whole.len() * 2 / 3]);
        let output = run(&["verify", "--jwks", &keys, &torn]);
        let read = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(plain.starts_with(&read) && read.ends_with('\n') || read.is_empty(), "{name}");
        let said = told(output, 1);
        assert!(said.contains(&format!("beyond line {}", read.lines().count())), "{said}");
    }
}

#[test]
fn a_run_that_was_cut_short_is_continued() {
    let files = Files::emitted("eddsa", 50);
    let (many, keys) = (files.repeated(8), files.path("keys"));
    let (cut, absent) = (files.path("cut"), files.path("absent"));
    let arguments = |output| vec!["verify", "--jwks", &keys, "--now", "1800000000", "--output", output, &many];
    let whole = files.path("whole");
    succeed(&arguments(&whole));
    let whole = files.read("whole");
    for length in [0, 1, 40, whole.len() / 2, whole.len() - 1, whole.len()] {
        files.write("cut", &whole[..length]);
        let mut resumed = arguments(&cut);
        resumed.push("--resume");
        succeed(&resumed);
        assert_eq!(files.read("cut"), whole, "cut at {length}");
    }
    let mut resumed = arguments(&absent);
    resumed.extend(["--resume", "--summary", "--json"]);
    let summary: Value = serde_json::from_str(&succeed(&resumed)).expect("JSON");
    assert_eq!((summary["lines"].as_u64(), summary["skipped"].as_u64()), (Some(8 * 53), Some(0)));
    assert_eq!(files.read("absent"), whole);
    let summary: Value = serde_json::from_str(&succeed(&resumed)).expect("JSON");
    assert_eq!((summary["lines"].as_u64(), summary["skipped"].as_u64()), (Some(0), Some(8 * 53)));
    let short = files.write("short", b"a\nb");
    let said = fail(&["verify", "--output", &absent, "--resume", &short], 2);
    assert!(said.contains("has 2 lines") && said.contains(&(8 * 53).to_string()), "{said}");
    assert_eq!(files.read("absent"), whole, "an output of something else is left alone");
}

/// `kill -9` in the middle, then `--resume`: byte for byte what one run writes.
#[test]
fn a_run_that_was_killed_is_continued() {
    let files = Files::emitted("rs256", 100);
    let (many, keys) = (files.repeated(200), files.path("keys"));
    let killed = files.path("killed");
    let arguments = |output| vec!["verify", "--jwks", &keys, "--now", "1800000000", "--output", output, &many];
    let whole = files.path("whole");
    succeed(&arguments(&whole));
    let mut child = tool(&arguments(&killed)).spawn().expect("the tool starts");
    while fs::metadata(&killed).map_or(0, |metadata| metadata.len()) == 0 {
        std::thread::yield_now();
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let lines = files.read("killed").iter().filter(|byte| **byte == b'\n').count();
    assert!((1..103 * 200).contains(&lines), "killed in the middle: {lines}");
    let mut resumed = arguments(&killed);
    resumed.push("--resume");
    succeed(&resumed);
    assert!(files.read("killed") == files.read("whole"));
}

fn live(arguments: &[&str]) -> Child {
    tool(arguments).stdin(Stdio::piped()).spawn().expect("the tool starts")
}

/// Somebody writes a line and waits for its verdict before he writes the next; then Ctrl-C.
#[test]
fn verdicts_come_at_once_and_ctrl_c_says_how_far_it_got() {
    let mut child = live(&["verify", "-"]);
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    for line in 1..=3 {
        stdin.write_all(b"no token\n").expect("it reads");
        let mut verdict = String::new();
        stdout.read_line(&mut verdict).expect("it answers");
        assert_eq!(verdict, format!("{{\"line\":{line},\"valid\":false,\"reason\":\"unknown_shape\"}}\n"));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill exists");
    assert!(interrupted.success());
    let said = told(child.wait_with_output().expect("it ends"), 1);
    assert!(said.contains("interrupted after line 3"), "{said}");
    drop(stdin);
}

/// A line without an end: one verdict, and memory stays where it was.
#[test]
fn an_endless_line_is_one_verdict_in_little_memory() {
    let mut child = live(&["verify", "-"]);
    let mut stdin = child.stdin.take().expect("piped");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        stdin.write_all(&piece).expect("it reads");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    stdin.write_all(b"\nshort\n").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text,
        "{\"line\":1,\"valid\":false,\"reason\":\"line_too_long\"}\n\
         {\"line\":2,\"valid\":false,\"reason\":\"unknown_shape\"}\n"
    );
    assert!(peak_kib < 100 << 10, "{peak_kib} KiB");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let files = Files { directory: tempfile::tempdir().expect("a directory") };
    let many = files.write("many", &b"x\n".repeat(200_000));
    let mut child = tool(&["verify", &many]).spawn().expect("the tool starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_summary_has_its_documented_members() {
    let files = Files::emitted("eddsa", 100);
    let (many, keys) = (files.repeated(1), files.path("keys"));
    let summary: Value =
        serde_json::from_str(&succeed(&["verify", "--jwks", &keys, "--summary", "--json", &many])).expect("JSON");
    let documented = include_str!("../../docs/verify-json.md");
    let section = documented.split("\n## ").find(|section| section.starts_with("Summary")).expect("it is there");
    let names: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('|').next())
        .flat_map(|names| names.split('`').filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')))
        .filter(|name| !name.is_empty())
        .collect();
    let mut members: Vec<_> = summary.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut sorted = names.clone();
    members.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(members, sorted);
    assert_eq!(summary["lines"], 103);
    assert_eq!(summary["reasons"]["unknown_shape"], 2);
    assert_eq!(summary["reasons"]["empty_line"], 1);
    assert_eq!(summary["schemes"]["eddsa"]["valid"], summary["valid"]);
    assert_eq!(summary["complete"], true);
    let table = succeed(&["verify", "--jwks", &keys, "--summary", &many]);
    assert!(table.starts_with("103 lines in ") && table.contains("unknown_shape"), "{table}");
}

#[test]
fn claims_are_held_against_the_command_line() {
    let files = Files::emitted("eddsa", 20);
    let (tokens, keys) = (files.path("tokens"), files.path("keys"));
    let count = |options: &[&str], reason: &str| {
        let text = succeed(&[&["verify", "--jwks", &keys, &tokens], options].concat());
        verdicts(&text).iter().filter(|verdict| verdict["reason"].as_str().unwrap_or("valid") == reason).count()
    };
    let valid = count(&[], "valid");
    assert!(valid > 5);
    assert_eq!(
        count(&["--issuer", "https://id.example", "--audience", "x", "--audience", "https://api.example"], "valid"),
        valid
    );
    assert!(count(&["--issuer", "https://id.example/"], "issuer_mismatch") >= valid);
    assert!(count(&["--audience", "x"], "audience_mismatch") >= valid);
    assert!(count(&["--now", "2100-01-01T00:00:00Z"], "expired") >= valid);
    assert_eq!(count(&["--now", "2100-01-01T00:00:00Z", "--leeway", "60"], "valid"), valid);
}

/// Answers one request and says where.
fn once(response: &'static str) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/jwks", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).expect("a request");
        stream.write_all(response.as_bytes()).expect("it reads");
    });
    (url, served)
}

#[test]
fn keys_come_over_http() {
    const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{KEY}", KEY.len());
    let (url, served) = once(String::leak(response));
    // RFC 8037, A.4.
    let files = Files { directory: tempfile::tempdir().expect("a directory") };
    let token = files.write(
        "token",
        b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let verdict = succeed(&["verify", "--jwks", &url, &token]);
    served.join().expect("it was asked");
    // The signature is good; the payload of the RFC's example is a sentence and no claims.
    assert_eq!(verdict, "{\"line\":1,\"valid\":false,\"reason\":\"bad_json\",\"scheme\":\"eddsa\"}\n");
}

#[test]
fn wrong_input_of_each_kind_gives_its_one_line() {
    let files = Files { directory: tempfile::tempdir().expect("a directory") };
    let lines = files.write("lines", b"x\n");
    let bad_keys = files.write("bad-keys", b"{\"keys\":[]}");
    let private = files.write("private", br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#);
    let short_secret = files.write("short-secret", b"too short\n");
    let (absent, directory) = (files.path("absent"), files.path(""));
    let check = |arguments: &[&str], code: i32, words: &str| {
        let said = fail(&[&["verify"], arguments].concat(), code);
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    check(&[], 2, "FILE");
    check(&[&absent], 2, "cannot read");
    check(&[&directory], 2, "is a directory");
    check(&["--jwks", &absent, &lines], 2, "cannot read");
    check(&["--jwks", &lines, &lines], 2, "is not JSON");
    check(&["--jwks", &bad_keys, &lines], 2, "no key that can verify");
    check(&["--jwks", &private, &lines], 2, "private key material");
    check(&["--jwks", "http://127.0.0.1:1/jwks", &lines], 3, "cannot get");
    check(&["--jwks", "https://127.0.0.1:1/jwks", &lines], 3, "cannot get");
    check(&["--secret-file", &short_secret, &lines], 2, "at least 32");
    check(&["--scheme", "jwt", &lines], 2, "--jwks");
    check(&["--scheme", "md5", &lines], 2, "md5");
    check(&["--now", "yesterday", &lines], 2, "--now");
    check(&["--threads", "0", &lines], 2, "0");
    check(&["--json", &lines], 2, "--summary");
    check(&["--resume", &lines], 2, "--output");
    check(&["--output", &absent, "--resume", "-"], 2, "standard input");
    check(&["--output", &lines, &lines], 2, "--resume");
    check(&["--output", &lines, "--resume", &lines], 2, "no output of verify");
    check(&["--output", &format!("{directory}/no/where"), &lines], 2, "cannot make");
    let (url, served) = once("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    check(&["--jwks", &url, &lines], 1, "404");
    served.join().expect("it was asked");
    assert_eq!(files.read("lines"), b"x\n", "the input is never written");
    for (arguments, words) in [
        (&["--output", "x", "--invalid", "101"][..], "percentage"),
        (&["--output", "x", "--scheme", "hs256", "--keys", "2"], "one secret"),
        (&["--output", "x", "--scheme", "bsm", "--jwks-out", "y"], "carry their keys"),
        (&[], "--output"),
    ] {
        let said = fail(&[&["load", "--emit", "1"], arguments].concat(), 2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// A bar for a person, silence for a pipe. The other tests expect silence; here standard error is a terminal.
#[test]
fn a_terminal_sees_how_far_it_is() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let path = PathBuf::from(name.to_str().expect("a plain name"));
    let slave = fs::OpenOptions::new().read(true).write(true).open(Path::new(&path)).expect("it opens");
    let mut child = Command::new(TOOL)
        .args(["verify", "-"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(slave)
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut screen = fs::File::from(master);
    let (sender, drawn) = std::sync::mpsc::channel();
    // Reading ends with an error when the last writer has closed the terminal.
    let watcher = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            let _ = sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
    });
    let mut seen = String::new();
    // The bar is drawn when a block is done, some time apart; each line makes a block.
    while !seen.contains(" lines, ") {
        stdin.write_all(b"x\n").expect("it reads");
        stdout.read_line(&mut String::new()).expect("it answers");
        seen.extend(drawn.try_iter());
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    watcher.join().expect("it only reads");
}
