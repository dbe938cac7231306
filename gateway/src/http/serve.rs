//! Accepting connections on one core and running hyper over each of them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::conn::{ConnState, ConnTable, Driven};
use super::io::GuardedIo;
use super::response::Answer;
use crate::limits::SWEEP_MS;
use crate::runtime::Driver;

/// Whether this core still accepts.
#[derive(Debug, Default)]
pub struct Accepting {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Accepting {
    /// Stops accepting now: the listener closes, and the kernel sends new connections elsewhere.
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The next connection, or `None` once stopped.
    async fn next<T>(&self, accept: impl Future<Output = T>) -> Option<T> {
        let mut accept = pin!(accept);
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            accept.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// Accepts until [`Accepting::stop`], giving each connection to `answer`, one call per request.
pub async fn accept_loop<D, A, F>(
    driver: D,
    listener: D::Listener,
    table: Rc<ConnTable>,
    accepting: Rc<Accepting>,
    head_bytes_max: usize,
    answer: A,
) where
    D: Driver,
    A: Fn(Rc<ConnState>, IpAddr, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Answer> + 'static,
{
    while let Some(accepted) = accepting.next(driver.accept(&listener)).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer went away between SYN and accept. Either passes; spinning would not help.
                tracing::debug!(%error, "accept failed");
                driver.sleep(Duration::from_millis(SWEEP_MS)).await;
                continue;
            }
        };
        let Some(place) = table.admit() else { continue };
        let state = Rc::clone(&place.state);
        let io = GuardedIo::new(stream, Rc::clone(&state), head_bytes_max);
        let answer = answer.clone();
        let peer_ip = peer.ip();
        let service = service_fn(move |request| {
            let answered = answer(Rc::clone(&state), peer_ip, request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        // No hyper timer: `conn` holds the deadlines. Flattened writes: answers are small and one buffer is one syscall.
        let connection = http1::Builder::new()
            .half_close(false)
            .header_read_timeout(None)
            .max_buf_size(head_bytes_max.max(8192) + 8192)
            .writev(false)
            .serve_connection(io, service);
        driver.spawn(Driven::new(connection, place));
    }
}
