//! hyper's I/O traits over a runtime's stream, with the head guard in between.
//!
//! Reads go through one scratch buffer per core and are copied into hyper's buffer: a copy of about a kilobyte costs
//! less than zeroing hyper's larger buffer would, and keeps this file free of `unsafe`.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;

use super::conn::{ConnState, Phase};
use super::head_guard::HeadGuard;
use crate::limits::{BODY_DISCARD_BYTES_MAX, DISCARD_BYTES_MAX, READ_BYTES_MAX};
use crate::runtime::Stream;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into_boxed_slice());
}

/// One connection's stream as hyper sees it.
pub struct GuardedIo<S> {
    stream: S,
    guard: HeadGuard,
    conn: Rc<ConnState>,
    /// Set once a head was refused: what remains to be written of the refusal, and then bytes discarded.
    refused: Option<Refused>,
    /// Bytes dropped after our side was ended; `None` before.
    lingered_bytes: Option<usize>,
}

struct Refused {
    unsent: &'static [u8],
    shut_down: bool,
    discarded_bytes: usize,
}

impl<S: Stream> GuardedIo<S> {
    /// Wraps an accepted stream.
    pub fn new(stream: S, conn: Rc<ConnState>, head_bytes_max: usize) -> GuardedIo<S> {
        GuardedIo { stream, guard: HeadGuard::new(head_bytes_max), conn, refused: None, lingered_bytes: None }
    }

    /// Writes the refusal, ends our side, and reads until the peer has ended its own: closing a socket with unread
    /// bytes resets it, and the peer would lose the answer.
    fn poll_refuse(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<()>> {
        let Some(refused) = &mut self.refused else { return Poll::Ready(Ok(())) };
        while !refused.unsent.is_empty() {
            let sent = ready!(self.stream.poll_write(cx, refused.unsent))?;
            refused.unsent = &refused.unsent[sent.min(refused.unsent.len())..];
        }
        if !refused.shut_down {
            ready!(self.stream.poll_flush(cx))?;
            ready!(self.stream.poll_shutdown(cx))?;
            refused.shut_down = true;
        }
        loop {
            let count = ready!(self.stream.poll_read(cx, scratch))?;
            refused.discarded_bytes += count;
            if count == 0 || refused.discarded_bytes > DISCARD_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: Stream> hyper::rt::Read for GuardedIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        SCRATCH.with_borrow_mut(|scratch| {
            if this.refused.is_some() {
                return this.poll_refuse(cx, scratch);
            }
            let room = buf.remaining().min(scratch.len());
            let count = ready!(this.stream.poll_read(cx, &mut scratch[..room]))?;
            let bytes = &scratch[..count];
            if let Err(refusal) = this.guard.feed(bytes) {
                this.conn.count_refusal(refusal);
                if matches!(this.conn.phase(), Phase::Body | Phase::Handling) {
                    // An answer is under way on this stream; a second one in its middle would be worse than none.
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::InvalidData)));
                }
                this.refused = Some(Refused { unsent: refusal.response(), shut_down: false, discarded_bytes: 0 });
                return this.poll_refuse(cx, scratch);
            }
            if this.guard.mid_head() {
                this.conn.head_begun();
            }
            if this.guard.must_close() {
                this.conn.close_after_response();
            }
            buf.put_slice(bytes);
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: Stream> hyper::rt::Write for GuardedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    /// Ends our side; when a body was refused unread, reads on for a while without keeping anything. Closing a socket
    /// with unread bytes resets it, and a client that is still sending would lose the refusal. Bounded in bytes here
    /// and in time by [`Phase::Linger`].
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        if this.lingered_bytes.is_none() {
            ready!(this.stream.poll_shutdown(cx))?;
            if !this.conn.closes_unread() {
                return Poll::Ready(Ok(()));
            }
            this.conn.enter(Phase::Linger);
            this.lingered_bytes = Some(0);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let count = ready!(this.stream.poll_read(cx, scratch)).unwrap_or(0);
                let lingered_bytes = this.lingered_bytes.unwrap_or(0) + count;
                this.lingered_bytes = Some(lingered_bytes);
                if count == 0 || lingered_bytes > BODY_DISCARD_BYTES_MAX {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }
}
