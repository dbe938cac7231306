//! A whole server for tests of the admin interface: the in-memory store, a clock that stands still, and requests as
//! bytes over the real listener.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assay_oauth::revocation::{Level, RevocationView};
use assay_oauth::secret::{Secret, SecretKind};
use assay_storage::kv::{Batch, Memory};
use assay_storage::{Commit, Family, Kv, KvError};
use futures_lite::future::block_on;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::core::Shared;
use crate::server::{Running, start};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const BASE: &str = "/v1/tenants/default";

/// The in-memory store, with a switch for a disk that is full.
#[derive(Default)]
struct Disk {
    rows: Memory,
    is_full: Arc<AtomicBool>,
}

impl Kv for Disk {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.rows.get(family, key)
    }
    fn scan(
        &self,
        family: Family,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), KvError> {
        self.rows.scan(family, prefix, after, visit)
    }
    fn write(&self, batch: &Batch, durable: bool) -> Result<(), KvError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(KvError::Engine("disk full".to_owned()));
        }
        self.rows.write(batch, durable)
    }
    fn recover(&self) -> Result<(), KvError> {
        Ok(())
    }
    fn advance_clock(&self, now: u64) {
        self.rows.advance_clock(now);
    }
    fn compact(&self) -> Result<(), KvError> {
        self.rows.compact()
    }
    fn flush(&self) -> Result<(), KvError> {
        self.rows.flush()
    }
}

pub(super) struct Server {
    pub(super) running: Running,
    pub(super) token: String,
    pub(super) disk_is_full: Arc<AtomicBool>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {} {}", self.head, self.text))
    }

    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// A problem of this status and code, complete in form.
    pub(super) fn expect_problem(self, status: u16, code: &str) -> Value {
        assert!(self.head.to_lowercase().contains("content-type: application/problem+json\r\n"), "{}", self.head);
        assert!(self.head.to_lowercase().contains("cache-control: no-store\r\n"), "{}", self.head);
        let body = self.expect(status);
        assert_eq!(body["status"], status);
        assert_eq!(body["code"], code, "{body}");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
        }
        body
    }
}

impl Server {
    pub(super) fn start() -> Server {
        let mut flags = Overrides::default();
        for (flag, value) in
            [("listen", "127.0.0.1:0"), ("admin-listen", "127.0.0.1:0"), ("cores", "1"), ("runtime", "epoll")]
        {
            flags.set(flag, value);
        }
        let config = Config::load(flags, std::iter::empty(), None).unwrap().config;
        let disk = Disk::default();
        let disk_is_full = Arc::clone(&disk.is_full);
        let token = Secret::from_random(SecretKind::AdminToken, &[7; 32]);
        let text = token.expose().to_owned();
        let running = start(config, Clock::manual(NOW * 1000).0, disk, token).unwrap();
        Server { running, token: text, disk_is_full }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    /// Sends exactly these headers and this body.
    pub(super) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        raw(self.running.admin_addr, method, path, headers, body)
    }

    pub(super) fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let path = format!("{BASE}{path}");
        match body {
            None => self.send(method, &path, &[("authorization", &authorization)], ""),
            Some(body) => {
                let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
                self.send(method, &path, &headers, &body.to_string())
            }
        }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    pub(super) fn not_before(&self, level: Level, id: &str) -> u64 {
        let shared = self.shared();
        shared.directory.view(shared.tenant, NOW).not_before(level, id)
    }

    pub(super) fn commit(&self, change: impl FnOnce(&mut Commit)) {
        let shared = self.shared();
        let mut commit = Commit::new(shared.tenant, NOW);
        change(&mut commit);
        block_on(shared.store.commit(commit)).unwrap();
    }
}

fn raw(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    // The server may answer and close before it has read a body that is too large.
    let _refused = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: format!("{head}\r\n"), text: text.to_owned() }
}
