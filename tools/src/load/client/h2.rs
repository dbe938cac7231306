//! HTTP/2 by the `h2` crate on one thread: some connections, some streams on each. Prior knowledge, or agreed by ALPN.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::h2::client::{Builder, SendRequest};
use http::Version;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::{GONE_AFTER, Overseer, RETRY_AFTER, SWEEP, Wire, kind_of};
use crate::clock;
use crate::limits::LOAD_ANSWER_BYTES_MAX;
use crate::load::journey::{Answer, Head, Request};
use crate::load::shift::{Active, Shift, UNANSWERED};

/// The runtime's timers are up to this late.
const TICK: Duration = Duration::from_millis(2);

/// `h2` takes any buffer; ours is the body as it is.
type Sender = SendRequest<io::Cursor<Vec<u8>>>;

/// Works a shift; connects first, and calls `ready` when that is done to learn the run's zero.
///
/// # Errors
/// If the first connections cannot be made, or the system gives no timers.
pub(crate) fn work(
    wire: &Wire,
    shift: Shift,
    ready: impl FnOnce() -> Instant,
    by: &Overseer<'_>,
) -> io::Result<(Shift, Instant)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut lines = Vec::with_capacity(wire.connections);
        for _ in 0..wire.connections {
            lines.push(Rc::new(Line { sender: Mutex::new(Some(connect(wire).await?)) }));
        }
        let began = ready();
        let desk = Rc::new(Desk {
            shift: RefCell::new(shift),
            began,
            timeout: wire.timeout,
            arrival: Notify::new(),
            failing_since: Cell::new(None),
        });
        let mut slots = JoinSet::new();
        for line in &lines {
            for _ in 0..wire.streams {
                slots.spawn_local(slot(Rc::clone(&desk), Rc::clone(line), wire.clone()));
            }
        }
        let mut swept = Duration::ZERO;
        loop {
            let now = desk.now();
            let (waiting, is_over) = {
                let mut shift = desk.shift.borrow_mut();
                let before = shift.waiting();
                shift.arrive(now);
                (shift.waiting() - before.min(shift.waiting()), shift.is_finished(now))
            };
            for _ in 0..waiting {
                desk.arrival.notify_one();
            }
            if is_over || now >= desk.shift.borrow().tally.window.end() + wire.timeout {
                break;
            }
            if now >= swept + SWEEP {
                swept = now;
                by.live.publish(&desk.shift.borrow().tally, now);
                if by.interrupt.is_set() {
                    desk.shift.borrow_mut().stop(now, Some("interrupted".to_owned()));
                    break;
                }
            }
            let next = desk.shift.borrow().next_arrival().map(|at| at.saturating_sub(now));
            let wait = next.map_or(SWEEP, |left| left.min(SWEEP));
            // Timers of the runtime count milliseconds and ring late; the last of them is spent looking.
            if wait > TICK { sleep(wait - TICK).await } else { tokio::task::yield_now().await }
        }
        slots.shutdown().await;
        let now = desk.now();
        let mut desk = Rc::try_unwrap(desk).map_err(|_| io::Error::other("a stream outlived the run"))?;
        let shift = desk.shift.get_mut();
        let is_interrupted = shift.tally.stopped.is_some();
        shift.abandon_all(if is_interrupted { None } else { Some(UNANSWERED) }, now);
        by.live.publish(&shift.tally, now);
        Ok((desk.shift.into_inner(), began))
    })
}

/// What all streams of a worker share.
struct Desk {
    shift: RefCell<Shift>,
    began: Instant,
    timeout: Duration,
    arrival: Notify,
    failing_since: Cell<Option<Duration>>,
}

impl Desk {
    fn now(&self) -> Duration {
        clock::now().duration_since(self.began)
    }
}

/// One connection; whoever finds it broken makes it anew.
struct Line {
    sender: Mutex<Option<Sender>>,
}

/// One request in flight after another.
async fn slot(desk: Rc<Desk>, line: Rc<Line>, wire: Wire) {
    loop {
        let begun = desk.shift.borrow_mut().begin(desk.now());
        let Some(mut active) = begun else {
            if desk.shift.borrow().is_finished(desk.now()) || !desk.shift.borrow().is_open_loop() {
                return;
            }
            desk.arrival.notified().await;
            continue;
        };
        loop {
            let sender = match sender(&desk, &line, &wire).await {
                Ok(sender) => sender,
                Err(kind) => {
                    desk.shift.borrow_mut().broke(&active, Cow::Borrowed(kind), desk.now());
                    sleep(RETRY_AFTER).await;
                    break;
                }
            };
            match timeout(desk.timeout, exchange(sender, &active.request, &wire)).await {
                Ok(Ok((status, headers, body))) => {
                    let answer = Answer { status, head: Head::Map(&headers), body: &body };
                    match desk.shift.borrow_mut().answered(active, &answer, desk.now()) {
                        Some(next) => active = next,
                        None => break,
                    }
                }
                Ok(Err(kind)) => {
                    // A broken connection is dropped; a refused stream leaves it as it is.
                    line.sender.lock().await.take_if(is_broken);
                    fail(&desk, &active, kind);
                    break;
                }
                Err(_) => {
                    fail(&desk, &active, Cow::Borrowed("timeout"));
                    break;
                }
            }
        }
    }
}

fn fail(desk: &Desk, active: &Active, kind: Cow<'static, str>) {
    desk.shift.borrow_mut().broke(active, kind, desk.now());
}

fn is_broken(sender: &mut Sender) -> bool {
    let waker = std::task::Waker::noop();
    matches!(sender.poll_ready(&mut std::task::Context::from_waker(waker)), std::task::Poll::Ready(Err(_)))
}

async fn sender(desk: &Desk, line: &Line, wire: &Wire) -> Result<Sender, &'static str> {
    let mut held = line.sender.lock().await;
    if let Some(sender) = &*held {
        return Ok(sender.clone());
    }
    match connect(wire).await {
        Ok(sender) => {
            desk.failing_since.set(None);
            desk.shift.borrow_mut().tally.reconnects += 1;
            Ok(held.insert(sender).clone())
        }
        Err(error) => {
            let (now, kind) = (desk.now(), kind_of(&error));
            let since = desk.failing_since.get().unwrap_or(now);
            desk.failing_since.set(Some(since));
            let silent_since = desk.shift.borrow().last_answer().map_or(since, |at| at.max(since));
            if now >= silent_since + GONE_AFTER {
                desk.shift.borrow_mut().stop(now, Some(format!("the server stopped answering ({kind})")));
            }
            Err(kind)
        }
    }
}

async fn connect(wire: &Wire) -> io::Result<Sender> {
    let stream = timeout(Duration::from_secs(5), TcpStream::connect(wire.address)).await??;
    stream.set_nodelay(true)?;
    match &wire.tls {
        None => shake(stream).await,
        Some(tls) => {
            let (connector, name) = tls.connector();
            let stream = timeout(Duration::from_secs(5), connector.connect(name, stream)).await??;
            shake(stream).await
        }
    }
}

async fn shake<S>(stream: S) -> io::Result<Sender>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let (sender, connection): (Sender, _) = Builder::new().handshake(stream).await.map_err(io::Error::other)?;
    // Its error reaches every stream that needs it.
    spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

type Exchanged = (u16, http::HeaderMap, Vec<u8>);

async fn exchange(sender: Sender, request: &Request, wire: &Wire) -> Result<Exchanged, Cow<'static, str>> {
    let scheme = if wire.tls.is_some() { "https" } else { "http" };
    let mut head = http::Request::builder()
        .version(Version::HTTP_2)
        .method(request.method.as_str())
        .uri(format!("{scheme}://{}{}", wire.authority, request.target));
    for (name, value) in &request.headers {
        head = head.header(name.to_ascii_lowercase(), value);
    }
    let head = head.body(()).map_err(|_| Cow::Borrowed("bad request"))?;
    let mut sender = sender.ready().await.map_err(|error| kind_of_h2(&error))?;
    let has_body = !request.body.is_empty();
    let (response, mut stream) = sender.send_request(head, !has_body).map_err(|error| kind_of_h2(&error))?;
    if has_body {
        // h2 buffers what flow control does not let through yet.
        let body = io::Cursor::new(request.body.clone());
        stream.send_data(body, true).map_err(|error| kind_of_h2(&error))?;
    }
    let (head, mut stream) = response.await.map_err(|error| kind_of_h2(&error))?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| kind_of_h2(&error))?;
        let _gone = stream.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
        if body.len() > LOAD_ANSWER_BYTES_MAX {
            return Err(Cow::Borrowed("answer too long"));
        }
    }
    Ok((head.status.as_u16(), head.headers, body))
}

fn kind_of_h2(error: &::h2::Error) -> Cow<'static, str> {
    match (error.get_io(), error.reason()) {
        (Some(error), _) => Cow::Borrowed(kind_of(error)),
        (None, Some(reason)) => Cow::Owned(format!("HTTP/2 {}", reason.description())),
        (None, None) => Cow::Borrowed("HTTP/2 connection closed"),
    }
}
