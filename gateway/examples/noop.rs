//! The measuring stick: the gateway's runtimes and HTTP stack with a handler that does nothing.
//!
//! Answers every request, after reading its body, with 200 and a constant body as long as an introspection answer.
//! What the real handler costs is the difference to this, measured in the same run.
//!
//! `noop --runtime epoll|io_uring --listen ADDR [--cores N]`

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;

use assay_gateway::http::conn::{ConnState, ConnTable, Deadlines, Phase};
use assay_gateway::http::request::Body;
use assay_gateway::http::response::{self, Answer};
use assay_gateway::http::serve::{Accepting, accept_loop};
use assay_gateway::runtime::{self, CoreMain, Driver, Kind};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;

const BODY: &[u8] = &[b' '; 289];

#[derive(Clone)]
struct Noop {
    address: SocketAddr,
}

impl CoreMain for Noop {
    fn run<D: Driver>(self, driver: D, _index: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let listener = match driver.bind(self.address) {
                Ok(listener) => listener,
                Err(error) => return eprintln!("noop: cannot listen on {}: {error}", self.address),
            };
            let deadlines = Deadlines::from_ms(10_000, 10_000, 60_000);
            let table = ConnTable::new(100_000, deadlines, Box::new(|_| ()));
            println!("noop is ready: {}", self.address);
            accept_loop(Rc::new(Accepting::new(driver, listener)), table, 16 * 1024, answer).await;
        })
    }
}

async fn answer(conn: Rc<ConnState>, _peer: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, incoming) = request.into_parts();
    let body = Body::new(incoming, &head.headers, Rc::clone(&conn)).read(64 * 1024).await;
    conn.enter(Phase::Idle);
    match body {
        Ok(_) => response::json(StatusCode::OK, Bytes::from_static(BODY)),
        Err(failure) => failure.into_answer(),
    }
}

fn main() {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 8090));
    let mut kind = Kind::Epoll;
    let mut cores = 1;
    let mut args = std::env::args().skip(1);
    while let (Some(flag), Some(value)) = (args.next(), args.next()) {
        match (flag.as_str(), value.as_str()) {
            ("--listen", value) => address = value.parse().expect("--listen takes IP:PORT"),
            ("--runtime", "epoll") => kind = Kind::Epoll,
            ("--runtime", "io_uring") => kind = Kind::IoUring,
            ("--cores", value) => cores = value.parse().expect("--cores takes a number"),
            _ => return eprintln!("usage: noop --runtime epoll|io_uring --listen ADDR [--cores N]"),
        }
    }
    let cpus = runtime::allowed_cpus();
    let threads = runtime::start(kind, cores, &cpus, &Noop { address }).expect("threads start");
    for thread in threads {
        if let Ok(Err(error)) = thread.join() {
            eprintln!("noop: {error}");
        }
    }
}
