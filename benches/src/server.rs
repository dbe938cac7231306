//! The servers under load: child processes on a core of their own, with a fresh database, gone when dropped.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::generator::fetch;
use crate::request::get;

/// A server that has not answered by then has failed to start.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Where the binaries are, and where the servers run.
#[derive(Clone, Debug)]
pub struct Place {
    /// Holds `assay` and `examples/noop`; databases go below it too, so that they lie on a real disk.
    pub binaries: PathBuf,
    /// The core the servers share; only one of them has work at a time.
    pub core: usize,
}

/// A running server.
pub struct Server {
    /// The public listener.
    pub address: SocketAddr,
    admin: SocketAddr,
    binary: PathBuf,
    child: Child,
    directory: TempDir,
}

/// What `assay client add` prints.
#[derive(Clone, Deserialize)]
pub struct Credentials {
    /// The new client's name at the token endpoint.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl Server {
    /// `assay serve` on one core, without rate limits.
    ///
    /// # Errors
    /// If it does not start.
    pub fn assay(place: &Place, runtime: &str) -> io::Result<Server> {
        let (address, admin) = (free_address()?, free_address()?);
        let directory = tempfile::Builder::new().prefix("bench-data-").tempdir_in(&place.binaries)?;
        let binary = place.binaries.join("assay");
        let data = directory.path().join("data");
        let child = start(place, &binary, directory.path(), |command| {
            command
                .args(["serve", "--cores", "1", "--limits", "off", "--runtime", runtime])
                .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()])
                .arg("--data")
                .arg(&data);
        })?;
        Server { address, admin, binary, child, directory }.once_ready()
    }

    /// The no-op handler over the same runtime and HTTP stack.
    ///
    /// # Errors
    /// If it does not start.
    pub fn noop(place: &Place, runtime: &str) -> io::Result<Server> {
        let address = free_address()?;
        let directory = tempfile::Builder::new().prefix("bench-noop-").tempdir_in(&place.binaries)?;
        let binary = place.binaries.join("examples").join("noop");
        let child = start(place, &binary, directory.path(), |command| {
            command.args(["--runtime", runtime, "--listen", &address.to_string()]);
        })?;
        Server { address, admin: address, binary, child, directory }.once_ready()
    }

    /// Registers a client with `assay client add`.
    ///
    /// # Errors
    /// If the command fails; its own words are in the error.
    pub fn add_client(&self, arguments: &[&str]) -> io::Result<Credentials> {
        let output = Command::new(&self.binary)
            .args(["client", "add", "--admin", &format!("http://{}", self.admin)])
            .arg("--data")
            .arg(self.directory.path().join("data"))
            .args(arguments)
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("assay client add: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn once_ready(mut self) -> io::Result<Server> {
        let started = Instant::now();
        let ready = [get(self.address, "/ready", &[])];
        loop {
            if fetch(self.address, 1, &ready).is_ok_and(|answers| answers.iter().all(|(status, _)| *status == 200)) {
                return Ok(self);
            }
            if self.child.try_wait()?.is_some() || started.elapsed() > START_WITHIN {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it printed nothing");
                return Err(io::Error::other(format!("{} did not start: {last}", self.binary.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is gone already is what we want; nothing else can be done about either error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(place: &Place, binary: &Path, directory: &Path, arguments: impl FnOnce(&mut Command)) -> io::Result<Child> {
    if !binary.is_file() {
        return Err(io::Error::other(format!("{} is missing: `make record` builds it first", binary.display())));
    }
    let log = File::create(directory.join("log"))?;
    // taskset, because a process cannot pin its child without unsafe code, and must not pin itself there.
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &place.core.to_string()]).arg(binary);
    arguments(&mut command);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// An address nobody listens on now. Someone else could take it before the server does; then the run fails and says so.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
