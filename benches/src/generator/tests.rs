//! The generator against small servers that answer right, late, wrong, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use super::{Extent, Load, fetch, run};
use crate::request::{get, post};

/// Serves every connection on a thread of its own with `answer(request body)`, which is written in pieces of
/// `piece_bytes`; an empty answer closes the connection. The threads end with their connections.
fn serve(piece_bytes: usize, answer: impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.expect("loopback"), answer.clone());
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut length = 0;
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.strip_prefix("content-length:") {
                            length = value.trim().parse().expect("the generator writes a number");
                        }
                    }
                    let mut body = vec![0; length];
                    let answer = if reader.read_exact(&mut body).is_ok() { answer(&body) } else { Vec::new() };
                    if answer.is_empty() {
                        return;
                    }
                    for piece in answer.chunks(piece_bytes) {
                        if reader.get_mut().write_all(piece).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn numbered(address: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| post(address, "/echo", &[], &format!("body {index}"))).collect()
}

fn rotating(address: SocketAddr, connections: usize) -> Load {
    let extent = Extent::Rotate { warm_up: Duration::from_millis(50), duration: Duration::from_millis(200) };
    Load { address, connections, extent, expect: None }
}

#[test]
fn each_answer_belongs_to_its_request() {
    for (piece_bytes, connections) in [(usize::MAX, 1), (usize::MAX, 16), (7, 3)] {
        let address = serve(piece_bytes, ok);
        let answers = fetch(address, connections, &numbered(address, 100)).expect("the server answers");
        for (index, (status, body)) in answers.iter().enumerate() {
            assert_eq!((*status, body.as_slice()), (200, format!("body {index}").as_bytes()));
        }
    }
}

#[test]
fn a_body_larger_than_any_buffer_comes_through() {
    let address = serve(usize::MAX, ok);
    let large = "x".repeat(3_000_000);
    let answers = fetch(address, 2, &vec![post(address, "/", &[], &large); 4]).expect("the server answers");
    assert!(answers.iter().all(|(status, body)| *status == 200 && body == large.as_bytes()));
}

#[test]
fn a_run_counts_what_it_saw() {
    let address = serve(usize::MAX, ok);
    let mut load = rotating(address, 8);
    load.expect = Some("body 1".to_owned());
    let figures = run(&load, &numbered(address, 2)).expect("the server answers");
    assert!(figures.requests > 10, "{figures}");
    assert_eq!(figures.statuses.get(&200), Some(&figures.requests));
    assert!(figures.unexpected.abs_diff(figures.requests / 2) <= 8, "half the bodies are `body 0`: {figures}");
    assert!(figures.p50_us > 0.0 && figures.p50_us <= figures.p99_us && figures.p99_us <= figures.max_us);
    assert!((0.15..0.40).contains(&figures.seconds) || figures.seconds > 0.2, "{figures}");
    assert!(!figures.all_were(200), "unexpected bodies do not pass");
}

#[test]
fn other_statuses_are_told_apart() {
    let address = serve(usize::MAX, |body| {
        let status = if body == b"body 0" { "404 Not Found" } else { "503 Busy" };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let answers = fetch(address, 1, &numbered(address, 2)).expect("the server answers");
    assert_eq!(answers, [(404, Vec::new()), (503, Vec::new())]);
}

#[test]
fn a_server_that_hangs_up_ends_the_run_with_an_error() {
    let address = serve(usize::MAX, |_| Vec::new());
    assert!(run(&rotating(address, 4), &[get(address, "/", &[])]).is_err());
    assert!(fetch(address, 1, &[get(address, "/", &[])]).is_err(), "a request without an answer");
    let address = serve(usize::MAX, |_| b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec());
    assert!(run(&rotating(address, 4), &[get(address, "/", &[])]).is_err());
}

#[test]
fn a_connection_closed_after_its_answer_is_opened_again() {
    let address = serve(usize::MAX, |_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec());
    let answers = fetch(address, 2, &numbered(address, 6)).expect("each request is answered");
    assert!(answers.iter().all(|(status, _)| *status == 200));
}

#[test]
fn nobody_there_is_an_error() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    assert!(run(&rotating(address, 1), &[get(address, "/", &[])]).is_err());
    assert!(run(&rotating(address, 1), &[]).is_err(), "no requests");
}
