//! The io_uring driver: one glommio executor per core.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use socket2::Socket;

use super::{CoreMain, Driver, Stream, listening_socket};

/// Glommio on this thread.
#[derive(Clone, Copy, Debug)]
pub struct IoUring;

/// Registered memory for storage I/O, which the gateway does not do through this ring: glommio's least.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// Submissions one ring holds before it must enter the kernel.
const RING_DEPTH: usize = 1024;

/// Glommio's listener, and the socket below it: glommio shows it to nobody.
#[derive(Debug)]
pub struct Listener {
    glommio: TcpListener,
    socket: Socket,
}

impl Driver for IoUring {
    type Stream = TcpStream;
    type Listener = Listener;

    #[expect(unsafe_code, reason = "glommio takes a socket in no other way")]
    fn bind(self, addr: SocketAddr) -> io::Result<Listener> {
        let socket = listening_socket(addr)?;
        let owned = socket.try_clone()?.into_raw_fd();
        // SAFETY: a descriptor of a listening socket that was ours alone a line ago and is glommio's from here on.
        let glommio = unsafe { TcpListener::from_raw_fd(owned) };
        Ok(Listener { glommio, socket })
    }

    fn local_addr(self, listener: &Listener) -> io::Result<SocketAddr> {
        listener.glommio.local_addr().map_err(io::Error::from)
    }

    fn stop_listening(self, listener: &Listener) -> io::Result<()> {
        listener.socket.shutdown(Shutdown::Both)
    }

    async fn accept(self, listener: &Listener) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = listener.glommio.accept().await.map_err(io::Error::from)?;
        let peer = stream.peer_addr().map_err(io::Error::from)?;
        stream.set_nodelay(true).map_err(io::Error::from)?;
        Ok((stream, peer))
    }

    fn spawn(self, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(task).detach();
    }

    async fn sleep(self, duration: Duration) {
        glommio::timer::sleep(duration).await;
    }
}

impl Stream for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(self), cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(self), cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self), cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(self), cx)
    }
}

/// Runs one core on this thread until its main future ends.
pub fn run<M: CoreMain>(core_index: usize, cpu: Option<usize>, main: M) -> io::Result<()> {
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .name(&format!("core-{core_index}"))
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(io::Error::from)?;
    executor.run(main.run(IoUring, core_index));
    Ok(())
}

/// Whether a ring can be made and a socket bound here, tried on a thread of its own: containers often forbid
/// io_uring, and glommio panics rather than errs on some refusals.
pub fn probe() -> Result<(), String> {
    let attempt = std::thread::Builder::new().name("io_uring-probe".into()).spawn(|| {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .make()
            .map_err(|error| error.to_string())?;
        executor.run(async { glommio::timer::sleep(Duration::from_millis(1)).await });
        Ok(())
    });
    match attempt.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err("the kernel refused it".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_probe_answers_without_panicking() {
        // Both answers are right, depending on the host; what matters is that the caller gets one.
        let answer = super::probe();
        assert!(answer.is_ok() || answer.is_err_and(|why| !why.is_empty()));
    }
}
