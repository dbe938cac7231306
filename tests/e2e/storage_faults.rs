//! Data directories that fail: full, taking no writes, read-only, of a later format, somebody else's, in use. Reads go
//! on, writes are refused with 503 and a time to retry, and a start that cannot work ends with one line.
//!
//! A full disk is a small tmpfs in a mount namespace of the test's own, made by `unshare` as root or, without root, in
//! a user namespace. A disk that takes no writes is a limit on file sizes set from outside while the server runs: the
//! kernel refuses to remount read-only what a process is writing to, and RocksDB meets an error on write either way.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assay_storage::kv::{Batch, Family, Kv as _};
use assay_tests::actors::{App, Person};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::access_token;
use assay_tests::wire::{Request, Response};
use serde_json::{Value, json};

/// Where the isolated half of a test may mount and write; set by the half that isolates it.
const PLACE: &str = "ASSAY_TEST_PLACE";
/// Recovery opens the database anew and wants room for its logs once more, up to some 80 MB (`kv/rocks.rs`).
const DISK: &str = "256m";
/// Registrations after which a full disk must have been noticed. RocksDB reserves room for its log in advance.
const WRITES_MAX: usize = 4000;
/// Times that room may turn up on a full disk.
const PRESSES_MAX: usize = 100;
/// The route of sign-ins here.
const SIGN_IN: &str = "/sigma/authorize";

/// Runs one test of this module again in a process of its own, where it may mount, and where a file that may not grow
/// is an error instead of a signal. In that process, returns the place to use.
fn isolated(name: &str, runtime: Runtime, mounts: bool) -> Option<PathBuf> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(place.into());
    }
    let place = tempfile::tempdir().expect("the temporary directory is writable");
    let namespace = if mounts { namespace() } else { "" };
    let script = format!("trap '' XFSZ; exec {namespace} \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().expect("Linux tells a process its own path"))
        .args(["--exact", &format!("storage_faults::{}::{name}", runtime.word()), "--nocapture"])
        .env(PLACE, place.path())
        .output()
        .expect("a shell exists");
    let said = said(&output);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} in its own process: {}\n{said}",
        output.status
    );
    None
}

/// The command that gives a process mounts of its own.
fn namespace() -> &'static str {
    let works = |words: &str| {
        let script = format!("{words} sh -c 'mount -t tmpfs -o size=1m tmpfs /mnt'");
        Command::new("sh").args(["-c", &script]).output().is_ok_and(|output| output.status.success())
    };
    ["unshare -m", "unshare -rm"].into_iter().find(|words| works(words)).expect(
        "this test needs a small file system of its own: neither `unshare -m` (as root) nor `unshare -rm` (in a user \
         namespace) may mount a tmpfs here; run it as root, or allow unprivileged user namespaces",
    )
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", said(&output));
}

fn mount_small(place: &Path) {
    run("mount", &["-t", "tmpfs", "-o", &format!("size={DISK},mode=700"), "tmpfs", &place.display().to_string()]);
}

/// What exists before the fault, and what is asked during and after it.
struct Scene {
    server: Server,
    service: App,
    reader: App,
    person: Person,
    known: String,
    doomed: String,
    dead: String,
}

impl Scene {
    fn new(server: Server) -> Scene {
        let (service, reader, person) = (server.service(), server.resource_server(), Person::new());
        let known = access_token(&server.sign_in(&person));
        let (doomed, dead) = (server.service_token(&service), server.service_token(&service));
        server.revoke(&service, &dead);
        Scene { server, service, reader, person, known, doomed, dead }
    }

    fn sign_in(&self, person: &Person) -> Response {
        self.send_signed(&person.token(SIGN_IN, self.server.now_ms(), b""))
    }

    fn send_signed(&self, token: &str) -> Response {
        self.server.send(&Request::post(SIGN_IN).auth_token(token))
    }

    fn revoke(&self, token: &str) -> Response {
        self.server.send(&self.service.authenticate(Request::post("/revoke"), &[("token", token)]))
    }

    fn status(&self, path: &str) -> u16 {
        self.server.send(&Request::get(path)).status
    }

    /// Writes large rows until one is refused; how many were not.
    fn write_until_refused(&self) -> usize {
        let uris: Vec<String> = (0..32).map(|index| format!("https://app.test/{index}/{}", "x".repeat(2000))).collect();
        let body = json!({
            "name": "large", "redirect_uris": uris, "grants": ["authorization_code"], "scope": "openid", "auth_method": "none",
            "audiences": [], "introspect": false, "native": false, "first_party": false,
        });
        for count in 0..WRITES_MAX {
            let answer = self.server.admin("POST", "/applications", Some(&body));
            if answer.status != 201 {
                assert_refused(&answer);
                return count;
            }
        }
        panic!("the server wrote {WRITES_MAX} large rows to a disk that takes none");
    }

    /// Asks until the answer is 503. A failing RocksDB gives back room that it had reserved, and in that room the
    /// server rightly writes again: then the room is taken away and something else is asked.
    fn refused(&self, fault: &dyn Fault, mut ask: impl FnMut() -> Response) {
        for _ in 0..PRESSES_MAX {
            fault.begin(&self.server);
            let answer = ask();
            if answer.status != 200 {
                return assert_refused(&answer);
            }
        }
        panic!("{PRESSES_MAX} writes went to a disk that takes none");
    }

    /// Known tokens are judged as before, on every core; tokens never seen too; nothing needs the disk.
    fn judges_tokens(&self) {
        let fresh = self.server.service_token(&self.service);
        for _ in 0..20 {
            for (token, active) in [(&self.known, true), (&self.doomed, true), (&fresh, true), (&self.dead, false)] {
                // A connection of its own each time: the kernel spreads them over the cores.
                let request = self.reader.authenticate(Request::post("/introspect"), &[("token", token)]);
                let answer = self.server.connect().send(&request).expect("an answer").expect_status(200).json();
                assert_eq!(answer["active"], active, "{answer}");
            }
        }
        let answers = self.server.batch(&self.reader, &[&self.known, &self.dead, &fresh]);
        let active: Vec<&Value> = answers.iter().map(|answer| &answer["active"]).collect();
        assert_eq!(active, [true, false, true]);
        let signed = self.person.token("/data", self.server.now_ms(), b"");
        let pairs = [("token", signed.as_str()), ("token_type_hint", "bitcoin-auth"), ("request_path", "/data")];
        let request = self.reader.authenticate(Request::post("/introspect"), &pairs);
        let answer = self.server.send(&request).expect_status(200).json();
        assert_eq!((&answer["active"], answer["sub"].is_string()), (&json!(true), true), "reads go on: {answer}");
    }

    /// The whole story around a fault that begins and ends while the server runs.
    fn plays(mut self, fault: &dyn Fault) {
        self.judges_tokens();
        fault.begin(&self.server);
        let taken = self.write_until_refused();
        let mut in_doubt = String::new();
        for _ in 0..5 {
            self.refused(fault, || self.sign_in(&Person::new()));
            self.refused(fault, || {
                in_doubt = self.person.token(SIGN_IN, self.server.now_ms(), b"");
                self.send_signed(&in_doubt)
            });
            let mut kept = String::new();
            self.refused(fault, || {
                kept = self.server.service_token(&self.service);
                self.revoke(&kept)
            });
            assert!(self.server.is_active(&self.reader, &kept), "a refused revocation revoked nothing");
            self.refused(fault, || self.sign_in(&Person::new()));
            assert_eq!(self.status("/health"), 200, "it lives");
            // Readiness is a write too, and may find room that was given back.
            let wants_none = (0..PRESSES_MAX).any(|_| {
                fault.begin(&self.server);
                self.status("/ready") == 503
            });
            assert!(wants_none, "it wants no requests");
            self.judges_tokens();
        }

        fault.end(&self.server);
        assert_eq!(self.status("/ready"), 200, "it recovers by itself:\n{}", self.server.log());
        self.judges_tokens();
        // The refused token was not used up, or it was: it never works twice.
        let statuses = [self.send_signed(&in_doubt).status, self.send_signed(&in_doubt).status];
        assert!(matches!(statuses, [200 | 401, 401]), "{statuses:?}");
        assert_eq!(self.sign_in(&self.person).status, 200);
        assert_eq!(self.revoke(&self.doomed).status, 200);
        let log = self.server.log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.contains("storage cannot write") && log.contains("storage writes again"), "{log}");
        for how in ["killed", "stopped"] {
            if how == "killed" {
                self.server.kill();
            }
            self.server.restart();
            for (token, active) in [(&self.known, true), (&self.doomed, false), (&self.dead, false)] {
                assert_eq!(self.server.is_active(&self.reader, token), active, "{how}");
            }
            assert_eq!(self.send_signed(&in_doubt).status, 401, "{how}");
            assert_eq!(self.sign_in(&self.person).status, 200, "{how}");
        }
        eprintln!("storage fault survived; {taken} large writes went into room reserved before it");
    }
}

/// 503 with a time to come back.
fn assert_refused(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.shown());
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{}", answer.shown());
}

/// What is wrong with the disk, and how it gets well again.
trait Fault {
    /// From now on the disk takes no writes. Called again when it took one.
    fn begin(&self, server: &Server);
    fn end(&self, server: &Server);
}

/// No room: a file takes it all.
struct Full {
    filler: PathBuf,
}

impl Fault for Full {
    fn begin(&self, _: &Server) {
        let open = std::fs::OpenOptions::new().create(true).append(true).open(&self.filler);
        let mut file = open.expect("the name still fits");
        let error = std::io::copy(&mut std::io::repeat(1), &mut file).expect_err("the disk has an end");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
    }

    fn end(&self, _: &Server) {
        std::fs::remove_file(&self.filler).expect("the filler is there");
    }
}

/// No file may be written, from outside and at once.
struct NoWrites;

impl NoWrites {
    fn limit(server: &Server, soft: &str) {
        run("prlimit", &["--pid", &server.pid().to_string(), &format!("--fsize={soft}:unlimited")]);
    }
}

impl Fault for NoWrites {
    fn begin(&self, server: &Server) {
        NoWrites::limit(server, "0");
    }

    fn end(&self, server: &Server) {
        NoWrites::limit(server, "unlimited");
    }
}

fn a_full_disk(runtime: Runtime) {
    let Some(place) = isolated("a_full_disk", runtime, true) else { return };
    mount_small(&place);
    let fault = Full { filler: place.join("filler") };
    Scene::new(Server::start_in(Options::new(runtime).cores(2), &place)).plays(&fault);
}

fn a_disk_that_takes_no_writes(runtime: Runtime) {
    let Some(place) = isolated("a_disk_that_takes_no_writes", runtime, false) else { return };
    Scene::new(Server::start_in(Options::new(runtime).cores(2), &place)).plays(&NoWrites);
}

/// A start that must fail: exit code and what it said. It may not print a ready line and may not hang.
fn refused_start(data: &Path, runtime: Runtime) -> String {
    let mut command = Command::new(assay_tests::binary("assay"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ASSAY_")) {
        command.env_remove(name);
    }
    let output = command
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log", "json"])
        .args(["--runtime", runtime.word(), "--cores", "1", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .expect("`make test` builds the binary first");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(said.starts_with("assay: ") && !said.contains("panicked"), "{said}");
    said
}

fn a_read_only_directory_at_start(runtime: Runtime) {
    let Some(place) = isolated("a_read_only_directory_at_start", runtime, true) else { return };
    mount_small(&place);
    let mut scene = Scene::new(Server::start_in(Options::new(runtime), &place));
    assert_eq!(scene.server.stop().code(), Some(0));
    run("mount", &["-o", "remount,bind,ro", &place.display().to_string()]);
    for data in [scene.server.data(), place.join("never made")] {
        let said = refused_start(&data, runtime);
        assert!(said.contains("Read-only file system") && said.contains("writable"), "{said}");
    }
    run("mount", &["-o", "remount,bind,rw", &place.display().to_string()]);
    scene.server.restart();
    scene.judges_tokens();
}

fn a_directory_in_use(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let said = refused_start(&server.data(), runtime);
    assert!(said.contains("in use by another assay"), "{said}");
    assert_eq!(server.send(&Request::get("/ready")).status, 200, "the first one does not care");
}

fn a_directory_of_a_later_format(runtime: Runtime) {
    let mut server = Options::new(runtime).start();
    assert_eq!(server.stop().code(), Some(0));
    {
        let kv = assay_storage::kv::rocks(server.data().join("db")).expect("nobody holds it");
        let mut batch = Batch::default();
        batch.put(Family::Meta, b"format".to_vec(), [b"assay".as_slice(), &9_u32.to_be_bytes()].concat());
        kv.write(&batch, true).expect("a write");
    }
    let said = refused_start(&server.data(), runtime);
    assert!(said.contains("format 9") && said.contains("newer assay"), "{said}");
}

fn a_directory_of_somebody_else(runtime: Runtime) {
    let place = tempfile::tempdir().expect("the temporary directory is writable");
    let data = place.path().join("data");
    std::fs::create_dir_all(data.join("db")).expect("writable");
    std::fs::write(data.join("db/holiday.jpg"), "not ours").expect("writable");
    let said = refused_start(&data, runtime);
    assert!(said.contains("db") && !data.join("db/rocks").exists(), "nothing was put beside it: {said}");
    // A file where the directory should be.
    let file = place.path().join("file");
    std::fs::write(&file, "not a directory").expect("writable");
    refused_start(&file, runtime);
}

both_runtimes!(
    a_full_disk,
    a_disk_that_takes_no_writes,
    a_read_only_directory_at_start,
    a_directory_in_use,
    a_directory_of_a_later_format,
    a_directory_of_somebody_else,
);
