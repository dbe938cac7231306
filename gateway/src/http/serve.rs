//! Accepting connections on one core and running hyper over each of them.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
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

/// One core's listener, and whether it is still listening.
pub struct Accepting<D: Driver> {
    driver: D,
    listener: D::Listener,
    stopped: Cell<bool>,
}

impl<D: Driver> Accepting<D> {
    /// Accepts from `listener`.
    pub fn new(driver: D, listener: D::Listener) -> Accepting<D> {
        Accepting { driver, listener, stopped: Cell::new(false) }
    }

    /// Stops accepting now: the kernel refuses new connections, or gives them to other listeners of the port.
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Err(error) = self.driver.stop_listening(&self.listener) {
            tracing::warn!(%error, "the listener did not close before the drain");
        }
    }
}

/// Accepts until [`Accepting::stop`], giving each connection to `answer`, one call per request.
pub async fn accept_loop<D, A, F>(accepting: Rc<Accepting<D>>, table: Rc<ConnTable>, head_bytes_max: usize, answer: A)
where
    D: Driver,
    A: Fn(Rc<ConnState>, IpAddr, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Answer> + 'static,
{
    let driver = accepting.driver;
    loop {
        let accepted = driver.accept(&accepting.listener).await;
        if accepting.stopped.get() {
            return; // a connection that slipped in is closed unanswered
        }
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
