//! One executor per core, and the small trait that hides which kind it is.
//!
//! [`Driver`] is all the gateway asks of an executor: bind, accept, spawn, sleep. Two exist: `io_uring` (glommio)
//! and `epoll` (tokio current-thread). Nothing above this module names either. Choosing one is [`choose`]; running
//! one on every core is [`start`].

pub mod epoll;
pub mod io_uring;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// What the gateway needs of an executor that runs one core. Every method is called on that core's thread.
pub trait Driver: Copy + 'static {
    /// An accepted connection.
    type Stream: Stream;
    /// A listening socket of this core, sharing its port with the other cores (SO_REUSEPORT).
    type Listener: 'static;

    /// Opens this core's listener.
    fn bind(self, addr: SocketAddr) -> io::Result<Self::Listener>;
    /// The address the listener really has: the port is chosen by the kernel when `bind` was asked for port 0.
    fn local_addr(self, listener: &Self::Listener) -> io::Result<SocketAddr>;
    /// Refuses connections from now on: the kernel resets those that wait, and a pending `accept` ends with an error.
    /// Dropping a pending `accept` instead would lose the connection it may already hold.
    fn stop_listening(self, listener: &Self::Listener) -> io::Result<()>;
    /// Waits for the next connection. Must be awaited to its end; see [`Driver::stop_listening`].
    fn accept(self, listener: &Self::Listener) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;
    /// Starts a task on this core.
    fn spawn(self, task: impl Future<Output = ()> + 'static);
    /// Completes after `duration`.
    fn sleep(self, duration: Duration) -> impl Future<Output = ()>;
}

/// Connections waiting to be accepted on one core's listener.
const LISTEN_BACKLOG: i32 = 4096;

/// A listening socket that shares its port with those of the other cores.
fn listening_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket)
}

/// A byte stream, polled. The same five calls on both runtimes.
pub trait Stream: Unpin + 'static {
    /// Reads into `buf`; `Ok(0)` is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some of `buf`.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;
    /// Waits until written bytes have left this process.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Sends the end of the stream.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Which driver a server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// tokio, current-thread, one per core.
    Epoll,
    /// glommio, one per core.
    IoUring,
}

impl Kind {
    /// The name used in configuration and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Epoll => "epoll",
            Kind::IoUring => "io_uring",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A chosen driver and, in one phrase, the reason: printed when the server is ready.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The driver.
    pub kind: Kind,
    /// Why this one.
    pub reason: String,
}

/// Chooses the driver. `asked` is `None` for `auto`.
///
/// `auto` takes the driver whose recorded figures on the gateway's own handlers are better among those that work
/// here; in `benches/record/` that is epoll today, so io_uring is probed only to say whether it would have worked.
///
/// # Errors
/// When io_uring was asked for by name and the kernel or the container refuses it.
pub fn choose(asked: Option<Kind>) -> Result<Choice, String> {
    match asked {
        Some(Kind::Epoll) => Ok(Choice { kind: Kind::Epoll, reason: "asked for".into() }),
        Some(Kind::IoUring) => match io_uring::probe() {
            Ok(()) => Ok(Choice { kind: Kind::IoUring, reason: "asked for, and io_uring works here".into() }),
            Err(why) => Err(format!("io_uring does not work here ({why}); use --runtime epoll or auto")),
        },
        None => Ok(Choice {
            kind: Kind::Epoll,
            reason: match io_uring::probe() {
                Ok(()) => "auto: epoll has the better recorded figures; io_uring works here too".into(),
                Err(why) => format!("auto: io_uring does not work here ({why})"),
            },
        }),
    }
}

/// What a core runs: built on the core's own thread, so it needs not be `Send`.
pub trait CoreMain: Clone + Send + 'static {
    /// Runs the core with its driver until it is told to stop.
    fn run<D: Driver>(self, driver: D, core_index: usize) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// Starts `cores` threads, each with one executor pinned to one CPU of `cpus` (round robin; empty: unpinned).
///
/// # Errors
/// When a thread cannot be started.
pub fn start<M: CoreMain>(
    kind: Kind,
    cores: usize,
    cpus: &[usize],
    main: &M,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    (0..cores)
        .map(|core_index| {
            let main = main.clone();
            let cpu = cpus.get(core_index % cpus.len().max(1)).copied();
            std::thread::Builder::new().name(format!("core-{core_index}")).spawn(move || match kind {
                Kind::Epoll => epoll::run(core_index, cpu, main),
                Kind::IoUring => io_uring::run(core_index, cpu, main),
            })
        })
        .collect()
}

/// The CPUs this process may run on, in order. Containers and `taskset` narrow it.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| parse_cpu_list(list.trim()))
        .unwrap_or_default()
}

fn parse_cpu_list(list: &str) -> Vec<usize> {
    list.split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((low, high)) => Some(low.parse().ok()?..=high.parse().ok()?),
            None => part.parse().ok().map(|cpu: usize| cpu..=cpu),
        })
        .flatten()
        .collect()
}

/// Gives way once: every task of this core that is ready now runs before the caller goes on.
pub async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        let check = |list, expected: &[usize]| assert_eq!(parse_cpu_list(list), expected, "{list}");
        check("0-1", &[0, 1]);
        check("0", &[0]);
        check("0-2,5,7-8", &[0, 1, 2, 5, 7, 8]);
        check("", &[]);
        check("x-y", &[]);
    }

    #[test]
    fn epoll_by_name_is_always_granted() {
        assert_eq!(choose(Some(Kind::Epoll)).unwrap().kind, Kind::Epoll);
    }
}
