//! The epoll driver: one tokio current-thread runtime per core.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{CoreMain, Driver, Stream, listening_socket};

/// Tokio on this thread.
#[derive(Clone, Copy, Debug)]
pub struct Epoll;

impl Driver for Epoll {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn bind(self, addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_std(listening_socket(addr)?.into())
    }

    fn local_addr(self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    fn stop_listening(self, listener: &TcpListener) -> io::Result<()> {
        SockRef::from(listener).shutdown(Shutdown::Both)
    }

    async fn accept(self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }

    fn spawn(self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }

    fn sleep(self, duration: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(duration)
    }
}

impl Stream for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(AsyncRead::poll_read(Pin::new(self), cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(self), cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self), cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }
}

/// Runs one core on this thread until its main future ends.
pub fn run<M: CoreMain>(core_index: usize, cpu: Option<usize>, main: M) -> io::Result<()> {
    if let Some(cpu) = cpu {
        // A refused pinning costs speed, not correctness; the ready line names the cores that were asked for.
        let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
        if !pinned {
            tracing::warn!(core_index, cpu, "could not pin this core's thread");
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(main.run(Epoll, core_index));
    Ok(())
}
