//! The real binary as a child process: started on free ports, waited for by its ready line, stopped or killed by pid.

use std::io::{BufRead, BufReader, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use assay_gateway::runtime::{self, Kind};
use assay_storage::record::SigningKey;
use assay_storage::schema::SigningKeys;
use assay_storage::{Commit, Store, StoreOptions, TenantId};
use futures_lite::future::block_on;

use crate::target::{ISSUER, Target};

/// How long a server may need to be ready, or to stop. RocksDB syncs directories, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which driver the server under test uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// tokio over epoll.
    Epoll,
    /// glommio over `io_uring`.
    IoUring,
}

impl Runtime {
    /// The word of `--runtime`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Runtime::Epoll => "epoll",
            Runtime::IoUring => "io_uring",
        }
    }

    /// Why this machine cannot run it, if it cannot.
    #[must_use]
    pub fn refusal(self) -> Option<String> {
        let kind = match self {
            Runtime::Epoll => Kind::Epoll,
            Runtime::IoUring => Kind::IoUring,
        };
        runtime::choose(Some(kind)).err()
    }
}

/// What a test may choose about its server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The driver.
    pub runtime: Runtime,
    /// Executors.
    pub cores: usize,
    /// Whether rate limits and delays are on.
    pub limits: bool,
    /// Further configuration, as environment variables.
    pub settings: Vec<(String, String)>,
    /// Signing keys that are in the database before the first start.
    pub keys: Vec<(TenantId, SigningKey)>,
}

impl Options {
    /// One core, limits off, nothing else.
    #[must_use]
    pub fn new(runtime: Runtime) -> Options {
        Options { runtime, cores: 1, limits: false, settings: Vec::new(), keys: Vec::new() }
    }

    /// With this many executors.
    #[must_use]
    pub fn cores(mut self, cores: usize) -> Options {
        self.cores = cores;
        self
    }

    /// With limits on.
    #[must_use]
    pub fn limits(mut self) -> Options {
        self.limits = true;
        self
    }

    /// With one configuration key, named as in the file.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Options {
        let name = format!("ASSAY_{}", key.to_ascii_uppercase().replace('.', "_"));
        self.settings.push((name, value.to_string()));
        self
    }

    /// With a signing key that the test knows too.
    #[must_use]
    pub fn key(mut self, tenant: TenantId, key: SigningKey) -> Options {
        self.keys.push((tenant, key));
        self
    }

    /// Starts it in a fresh data directory.
    #[must_use]
    pub fn start(self) -> Server {
        Server::start(self)
    }
}

/// A running server. Dropping it kills it.
pub struct Server {
    target: Target,
    options: Options,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    ended: Mutex<Receiver<()>>,
    data: tempfile::TempDir,
}

impl Deref for Server {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts a server and waits for its ready line.
    ///
    /// # Panics
    /// If it does not come up; the message carries what it wrote.
    #[must_use]
    pub fn start(options: Options) -> Server {
        Server::start_in(options, &std::env::temp_dir())
    }

    /// The same with its data below a directory of the test's choice.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_in(options: Options, parent: &Path) -> Server {
        let data = tempfile::tempdir_in(parent).expect("the directory is writable");
        seed(&data.path().join("data"), &options.keys);
        let log = Arc::new(Mutex::new(String::new()));
        let (child, target, ended, readers) = spawn(&options, &data.path().join("data"), &log);
        Server { target, options, child: Some(child), log, readers, ended: Mutex::new(ended), data }
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Everything written to standard output and standard error so far, over all restarts.
    ///
    /// # Panics
    /// Never: a reader thread that panicked leaves the text as it is.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The process id.
    ///
    /// # Panics
    /// If it was stopped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the test did not stop it yet").id()
    }

    /// Sends SIGTERM and returns without waiting.
    ///
    /// # Panics
    /// If there is no shell.
    pub fn terminate(&self) {
        // The shell's own `kill`: sending a signal needs no unsafe code and no further crate this way.
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.pid())]).status();
        assert!(sent.expect("a shell exists").success());
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = self.ended.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).recv_timeout(PATIENCE);
        assert!(ended.is_ok(), "the server did not stop:\n{}", self.log());
        let mut child = self.child.take().expect("the test did not stop it yet");
        let status = child.wait().expect("our own child can be waited for");
        self.join_readers();
        status
    }

    /// SIGTERM, and the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// SIGKILL: what a power cut looks like to the process.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when the process is gone already.
            let _gone = child.kill();
            let _gone = child.wait();
            self.join_readers();
        }
    }

    /// Stops it if it runs, and starts it again on the same data.
    pub fn restart(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
        let (child, target, ended, readers) = spawn(&self.options, &self.data(), &self.log);
        (self.child, self.target, self.ended, self.readers) = (Some(child), target, Mutex::new(ended), readers);
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _panicked = reader.join();
        }
    }
}

fn spawn(
    options: &Options,
    data: &Path,
    log: &Arc<Mutex<String>>,
) -> (Child, Target, Receiver<()>, Vec<JoinHandle<()>>) {
    let mut command = Command::new(crate::binary("assay"));
    // Whatever the person who runs the tests has set must not reach the server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ASSAY_")) {
        command.env_remove(name);
    }
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--issuer",
            ISSUER,
            "--log",
            "json",
        ])
        .args(["--runtime", options.runtime.word(), "--cores", &options.cores.to_string()])
        .args(["--limits", if options.limits { "default" } else { "off" }])
        .arg("--data")
        .arg(data)
        .envs(options.settings.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; `make test` builds it first"));
    let (says_ready, ready) = channel();
    let (says_ended, ended) = channel();
    let out = child.stdout.take().expect("stdout was asked for");
    let err = child.stderr.take().expect("stderr was asked for");
    let out_log = Arc::clone(log);
    let out = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            append(&out_log, &line);
            if line.starts_with("assay is ready") {
                // Nobody listens when the start was given up.
                let _nobody = says_ready.send(line);
            }
        }
        let _nobody = says_ended.send(());
    });
    let err_log = Arc::clone(log);
    let err = std::thread::spawn(move || read_lossy(err, &err_log));
    match ready.recv_timeout(PATIENCE) {
        Ok(line) => (child, target(&line, data), ended, vec![out, err]),
        Err(_) => {
            let _gone = child.kill();
            let status = child.wait();
            let _panicked = (out.join(), err.join());
            panic!("the server did not start ({status:?}):\n{}", log.lock().expect("no reader panicked"));
        }
    }
}

fn read_lossy(mut from: impl Read, log: &Mutex<String>) {
    let mut chunk = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
        log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_str(&text);
    }
}

fn append(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    log.push_str(line);
    log.push('\n');
}

/// Reads both addresses out of the ready line, and the admin token out of its file.
fn target(line: &str, data: &Path) -> Target {
    let address = |label: &str| {
        let (_, rest) =
            line.split_once(&format!("{label} http://")).unwrap_or_else(|| panic!("no {label} in {line:?}"));
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        rest[..end].parse().unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    let token = std::fs::read_to_string(data.join("admin.token")).expect("a ready server has written its admin token");
    Target::new(address("public"), address("admin"), token.trim())
}

/// Puts signing keys into a database that no server holds yet.
fn seed(data: &Path, keys: &[(TenantId, SigningKey)]) {
    std::fs::create_dir_all(data).expect("the temporary directory is writable");
    if keys.is_empty() {
        return;
    }
    let kv = assay_storage::kv::rocks(data.join("db")).expect("a fresh directory");
    let store = Store::open(kv, StoreOptions::default(), 1, Box::new(|_| {})).expect("a fresh database");
    for (tenant, key) in keys {
        let mut commit = Commit::new(*tenant, 1);
        commit.put::<SigningKeys>(&key.kid.clone(), key);
        block_on(store.commit(commit)).expect("nobody else writes here");
    }
    store.close().expect("nothing is in flight");
}
