//! Attacks on the HTTP layer: framing, deadlines, sizes, floods, origins; and how a server ends.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use assay_gateway::clock::timed;
use assay_tests::actors::Person;
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::ISSUER;
use assay_tests::wire::{Connection, Request, Response, is_closed, query_value};
use serde_json::json;
use socket2::SockRef;

/// Sends bytes and returns everything that comes back until the server closes.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut connection = server.connect();
    // The server may close while we still write.
    match connection.write(bytes) {
        Ok(()) => {}
        Err(error) if is_closed(&error) => {}
        Err(error) => panic!("{error}"),
    }
    let answer = connection.read_to_end().expect("the server closes by itself");
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)).collect()
}

/// Each message has a second one behind or inside it. At most one answer comes back, it is an error, and the connection
/// ends: nothing of ambiguous framing is ever read as a second request.
fn attack_107_ambiguous_framing(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let smuggled = "GET /health HTTP/1.1\r\nhost: a\r\nx-request-id: smuggled\r\n\r\n";
    let form = "POST /introspect HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let heads = [
        format!("{form}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: identity\r\n\r\n"),
        format!("{form}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{form}transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n"),
        format!("{form}content-length: 0\r\ncontent-length: 0\r\n\r\n"),
        format!("{form}content-length: 0\r\ncontent-length: 5\r\n\r\n"),
        format!("{form}content-length: 0, 0\r\n\r\n"),
        format!("{form}content-length: +0\r\n\r\n"),
        format!("{form}content-length: -1\r\n\r\n"),
        format!("{form}content-length: 0x0\r\n\r\n"),
        format!("{form}content-length: 99999999999999999999\r\n\r\n"),
        format!("{form}content-length: 1 1\r\n\r\n"),
        format!("{form}content-length:\r\n\r\n"),
        "GET /health HTTP/1.1\nhost: a\n\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\nx: 1\r\n\tfolded\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\nnocolon\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a\r\n: empty\r\n\r\n".to_owned(),
        "GET /health\r\n\r\n".to_owned(),
        "GET /hea lth HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        "GET /health HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let answer = exchange(&server, format!("{head}{smuggled}").as_bytes());
        let statuses = statuses(&answer);
        assert!(statuses.len() <= 1, "{head:?} was read as two requests: {answer}");
        assert!(
            statuses.first().is_none_or(|status| status.starts_with('4') || *status == "505"),
            "{head:?}: {answer}"
        );
        assert!(!answer.contains("smuggled"), "{head:?}: {answer}");
    }
    // Broken chunked coding, after a head that is in order.
    let chunked = format!("{form}transfer-encoding: chunked\r\n\r\n");
    let flood = format!("5;{}\r\ntoken\r\n0\r\n\r\n", "x".repeat(100_000));
    let many = format!("{}0\r\n\r\n", "1;a=b\r\nx\r\n".repeat(100_000));
    for body in [
        "fffffffffffffffff\r\ntoken\r\n0\r\n\r\n",
        "-1\r\n",
        "0x5\r\ntoken\r\n0\r\n\r\n",
        "5\r\ntokenXX\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "5 \r\ntoken",
        "zz\r\n",
        &flood,
        &many,
    ] {
        let answer = exchange(&server, format!("{chunked}{body}{smuggled}").as_bytes());
        let statuses = statuses(&answer);
        assert!(statuses.len() <= 1, "{:.60?} was read as two requests: {answer}", body);
        assert!(statuses.first().is_none_or(|status| status.starts_with('4')), "{:.60?}: {answer}", body);
        assert!(!answer.contains("smuggled"), "{answer}");
    }
    // A good chunked request is answered, and its connection carries no other.
    let good = format!("{chunked}5\r\ntoken\r\n2\r\n=x\r\n0\r\n\r\n{smuggled}");
    let answer = exchange(&server, good.as_bytes());
    assert_eq!(statuses(&answer), ["401"], "{answer}");
    // Pipelining of well-framed requests stays possible.
    let mut connection = server.connect();
    connection.write(smuggled.repeat(3).as_bytes()).expect("written");
    for _ in 0..3 {
        assert_eq!(connection.read(false).expect("an answer").status, 200);
    }
    assert_eq!(server.send(&Request::get("/health")).status, 200, "the server is well");
}

fn attack_108_slow_heads_and_bodies(runtime: Runtime) {
    let server = Options::new(runtime)
        .set("header_timeout_ms", 500)
        .set("body_timeout_ms", 500)
        .set("idle_timeout_ms", 500)
        .start();
    let allowed = Duration::from_millis(500)..Duration::from_secs(10);
    let post = "POST /introspect HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\n";
    let half_a_body = format!("{post}token=");
    for (what, start) in [
        ("no byte", ""),
        ("a letter", "G"),
        ("half a head", "GET /health HTTP/1.1\r\nhost: a\r\n"),
        ("a head, no body", post),
        ("half a body", &half_a_body),
    ] {
        let mut connection = server.connect();
        connection.write(start.as_bytes()).expect("written");
        let (answer, took) = timed(|| connection.read_to_end().expect("the server closes by itself"));
        assert!(allowed.contains(&took), "{what}: closed after {took:?}");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(statuses(&answer).first().is_none_or(|status| matches!(*status, "408" | "400")), "{what}: {answer}");
    }
    // Trickling does not move the deadline: a byte whenever the socket has been silent for a moment.
    for start in ["GET /health HTTP/1.1\r\nx: ", post] {
        let mut connection = server.connect();
        connection.set_wait(Duration::from_millis(50)).expect("a socket option");
        connection.write(start.as_bytes()).expect("written");
        let ((), took) = timed(|| {
            loop {
                match connection.read_to_end() {
                    Ok(_) => break,
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                        if connection.write(b"x").is_err() {
                            break;
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert!(allowed.contains(&took), "{start:.20}: closed after {took:?}");
    }
    // Many at once do not keep others out.
    let slow: Vec<Connection> = (0..200)
        .map(|_| {
            let mut connection = server.connect();
            connection.write(b"GET /hea").expect("written");
            connection
        })
        .collect();
    assert_eq!(server.connect().send(&Request::get("/health")).expect("an answer").status, 200);
    for mut connection in slow {
        connection.read_to_end().expect("the server closes by itself");
    }
}

fn attack_109_ten_thousand_idle_connections(runtime: Runtime) {
    let wanted = 10_000;
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let count = wanted.min(usize::try_from(limit).unwrap_or(wanted).saturating_sub(500));
    assert!(count >= 1_000, "this machine lets a process open {limit} files; the attack needs a thousand at least");
    let server = Options::new(runtime).cores(2).start();
    let idle: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(server.public).expect("accepted")).collect();
    for _ in 0..100 {
        let (response, took) = timed(|| server.connect().send(&Request::get("/health")).expect("an answer"));
        assert_eq!(response.status, 200);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let open = server.metric("assay_connections ", "");
    assert!(open >= count as f64, "{open} of {count} are open");
    for connection in &idle {
        // Ended by a reset: ten thousand ports in TIME_WAIT would be missed by other tests.
        SockRef::from(connection).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }
}

/// Beyond the bound a connection is closed, not queued; room that is made is used.
fn attack_109_the_connection_bound(runtime: Runtime) {
    let server = Options::new(runtime).set("connections_max", 16).start();
    let mut held: Vec<Connection> = (0..16).map(|_| server.connect()).collect();
    for connection in &mut held {
        assert_eq!(connection.send(&Request::get("/health")).expect("an answer").status, 200);
    }
    let mut refused = server.connect();
    // Closed before or after our request arrived.
    let answer = refused.write(&Request::get("/health").bytes()).and_then(|()| refused.read_to_end());
    assert!(answer.as_ref().map_or_else(is_closed, |bytes| !bytes.starts_with(b"HTTP/1.1 200")), "{answer:?}");
    drop(held.pop());
    let served = (0..10_000).any(|_| {
        let mut connection = server.connect();
        connection.send(&Request::get("/health")).is_ok_and(|response| response.status == 200)
    });
    assert!(served, "a place that became free is taken");
}

fn attack_111_host_header(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let app = server.web_app();
    let (cookie, pkce) = (server.session(&Person::new()), assay_tests::actors::Pkce::new());
    let query = assay_tests::target::authorize_query(&app, &pkce, &[]);
    let plain = server.send(&Request::get("/.well-known/openid-configuration")).text();
    for host in ["evil.test", "evil.test:80", "issuer.test.evil.test", "127.0.0.1"] {
        let spoofed = |request: Request| {
            server.send(
                &request
                    .header("host", host)
                    .header("x-forwarded-host", host)
                    .header("x-forwarded-proto", "https")
                    .header("forwarded", &format!("host={host};proto=https"))
                    .header("x-original-url", "/other")
                    .header("x-rewrite-url", "/other"),
            )
        };
        for path in [
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
            "/api/auth/.well-known/openid-configuration",
        ] {
            let answer = spoofed(Request::get(path)).expect_status(200).text();
            assert!(!answer.contains(host) && answer.contains(ISSUER), "{answer}");
        }
        assert_eq!(spoofed(Request::get("/.well-known/openid-configuration")).text(), plain);
        let redirect = spoofed(Request::get(&format!("/authorize?{query}")).cookie(&cookie));
        let location = redirect.header("location").unwrap_or_default();
        assert_eq!(query_value(location, "iss").as_deref(), Some(ISSUER), "{}", redirect.shown());
        let to_sign_in = spoofed(Request::get(&format!("/authorize?{query}")));
        assert!(!to_sign_in.shown().contains(host), "{}", to_sign_in.shown());
    }
    let none = exchange(&server, b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!(statuses(&none).first().is_some_and(|status| matches!(*status, "200" | "400")), "{none}");
}

fn attack_113_sizes(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let reader = server.resource_server();
    let send = |request: &Request| server.connect().send(request).expect("an answer");
    let long_path = Request::get(&format!("/{}", "a".repeat(9_000)));
    let long_query = Request::get(&format!("/authorize?state={}", "a".repeat(70_000)));
    assert_eq!((send(&long_path).status, send(&long_query).status), (414, 414));
    assert_eq!(send(&Request::get("/health").header("x", &"a".repeat(20_000))).status, 431);
    assert_eq!(send(&Request::get("/health").header("x", &"a".repeat(200_000))).status, 431);
    let many = (0..101).fold(Request::get("/health"), |request, index| request.header(&format!("x-{index}"), "1"));
    assert_eq!(send(&many).status, 431);
    let mut connection = server.connect();
    let fine = Request::get("/health").header("x", &"a".repeat(10_000));
    assert_eq!(connection.send(&fine).expect("an answer").status, 200, "what is within the bound");
    let big = |path: &str, kind: &str, bytes: usize| {
        Request::post(path).basic(&reader.id, &reader.secret).header("content-type", kind).body(vec![b'a'; bytes])
    };
    let form = "application/x-www-form-urlencoded";
    for (path, kind, bound) in [
        ("/introspect", form, 64 * 1024),
        ("/token", form, 64 * 1024),
        ("/revoke", form, 64 * 1024),
        ("/introspect/batch", "application/json", 4 * 1024 * 1024),
        ("/sigma/authorize", "application/json", 16 * 1024),
        ("/api/auth/sign-in/sigma", "application/json", 16 * 1024),
        ("/sign-in", form, 64 * 1024),
    ] {
        // Refused by its announced length, before the body is sent.
        let bytes = big(path, kind, bound + 1).bytes();
        let mut connection = server.connect();
        connection.write(&bytes[..bytes.len() - bound]).expect("written");
        let response = connection.read(false).expect("an answer");
        assert_eq!(response.status, 413, "{path}: {}", response.shown());
        assert!(response.closes(), "what was not read must not be read as a request");
        let at_the_bound = send(&big(path, kind, bound));
        assert!(at_the_bound.status < 500 && at_the_bound.status != 413, "{path}: {}", at_the_bound.shown());
    }
    // The same without a length: counted as it comes.
    let mut chunked = b"POST /introspect HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'a'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = exchange(&server, &chunked);
    assert_eq!(statuses(&answer), ["413"], "{answer}");
    // A length that is announced and never sent costs the server nothing and is refused at once.
    let (answer, took) = timed(|| {
        exchange(&server, b"POST /introspect HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 999999999\r\n\r\n")
    });
    assert_eq!(statuses(&answer), ["413"], "{answer}");
    assert!(took < Duration::from_secs(5));
    assert_eq!(server.send(&Request::get("/health")).status, 200);
}

fn attack_114_method_overrides(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let reader = server.resource_server();
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let response =
            server.send(&Request::get("/introspect").basic(&reader.id, &reader.secret).header(header, "POST"));
        assert_eq!(response.status, 405, "{header}");
        let response = server.send(&Request::post("/health").header(header, "GET"));
        assert_eq!(response.status, 405, "{header}");
    }
    let in_form = Request::post("/health").form(&[("_method", "GET")]);
    assert_eq!(server.send(&in_form).status, 405);
    for method in ["TRACE", "CONNECT", "PROPFIND", "get", "Post", "X"] {
        let response = server.connect().send(&Request::new(method, "/health")).expect("an answer");
        assert!(matches!(response.status, 400 | 405 | 501), "{method}: {}", response.shown());
        assert!(!response.text().contains("assay.test"), "nothing of the request comes back");
    }
}

fn attack_115_cors(runtime: Runtime) {
    let server = Options::new(runtime).set("trusted_origins", "https://app.test").start();
    let from = |request: Request, origin: &str| server.send(&request.header("origin", origin));
    let preflight = |path: &str, method: &str, origin: &str| {
        from(Request::new("OPTIONS", path).header("access-control-request-method", method), origin)
    };
    let allow = |response: &Response| response.header("access-control-allow-origin").map(str::to_owned);
    let credentials = |response: &Response| response.header("access-control-allow-credentials").map(str::to_owned);
    // Open documents: any origin, never with credentials.
    for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json", "/userinfo"] {
        for response in [from(Request::get(path), "https://anyone.test"), preflight(path, "GET", "https://anyone.test")]
        {
            assert_eq!(
                (allow(&response).as_deref(), credentials(&response)),
                (Some("*"), None),
                "{path}: {}",
                response.shown()
            );
        }
    }
    // Cookie routes: configured origins by name, with credentials; nobody else at all.
    for (path, method) in [
        ("/api/auth/get-session", "GET"),
        ("/api/auth/sign-in/sigma", "POST"),
        ("/api/auth/sign-out", "POST"),
        ("/token", "POST"),
        ("/introspect", "POST"),
    ] {
        for origin in [
            "https://evil.test",
            "https://app.test.evil.test",
            "http://app.test",
            "https://app.test:444",
            "null",
            "https://APP.test",
            "*",
            "https://app.test ",
        ] {
            if origin.trim() == "https://app.test" {
                continue; // header values lose outer blanks
            }
            for response in [from(Request::new(method, path), origin), preflight(path, method, origin)] {
                assert_eq!(
                    (allow(&response), credentials(&response)),
                    (None, None),
                    "{origin} {path}: {}",
                    response.shown()
                );
            }
        }
        for response in
            [from(Request::new(method, path), "https://app.test"), preflight(path, method, "https://app.test")]
        {
            assert_eq!(allow(&response).as_deref(), Some("https://app.test"), "{path}: {}", response.shown());
            assert!(response.headers("vary").any(|value| value.contains("Origin")), "{}", response.shown());
        }
    }
    let signed = preflight("/api/auth/sign-in/sigma", "POST", "https://app.test");
    assert!(
        signed
            .header("access-control-allow-headers")
            .is_some_and(|value| value.to_lowercase().contains("x-auth-token"))
    );
}

/// oauth.md §0: another media type is 415 or 400, on every route that has one; charset parameters are fine.
fn wrong_media_types(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let reader = server.resource_server();
    for (path, kind) in [
        ("/introspect", "application/json"),
        ("/introspect", ""),
        ("/introspect", "text/plain"),
        ("/introspect", "multipart/form-data; boundary=x"),
        ("/token", "application/json"),
        ("/revoke", "text/html"),
        ("/introspect/batch", "application/x-www-form-urlencoded"),
        ("/introspect/batch", ""),
        ("/introspect/batch", "application/jsonp"),
    ] {
        let request =
            Request::post(path).basic(&reader.id, &reader.secret).header("content-type", kind).body("token=x");
        let response = server.send(&request);
        assert!(matches!(response.status, 400 | 415), "{path} {kind}: {}", response.shown());
        assert_eq!(response.error(), "invalid_request");
    }
    let request = Request::post("/introspect").basic(&reader.id, &reader.secret);
    let response = server
        .send(&request.header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8").body("token=x"));
    assert_eq!(response.status, 200, "{}", response.shown());
}

/// Truncated, repeated and concurrent requests: each is answered or closed, and the server stays.
fn truncated_repeated_concurrent(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let reader = server.resource_server();
    let request = reader.authenticate(Request::post("/introspect"), &[("token", "x")]);
    let bytes = request.bytes();
    for length in (0..bytes.len()).step_by(7) {
        let mut connection = server.connect();
        connection.write(&bytes[..length]).expect("written");
        connection.finish_writing().expect("half closed");
        let answer = connection.read_to_end().expect("the server closes by itself");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{length} of {} bytes", bytes.len());
    }
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = server.connect();
                for _ in 0..50 {
                    assert_eq!(
                        connection.send(&request).expect("an answer").expect_status(200).json(),
                        json!({"active": false})
                    );
                }
            });
        }
    });
}

/// SIGTERM: what is in flight is answered, new connections are refused, the process ends with 0.
fn a_graceful_end(runtime: Runtime) {
    let mut server = Options::new(runtime).cores(2).start();
    let (reader, app) = (server.resource_server(), server.service());
    let token = server.service_token(&app);
    let request = reader.authenticate(Request::post("/introspect"), &[("token", &token)]);
    let in_flight: Vec<(Connection, Vec<u8>)> = (0..8)
        .map(|_| {
            let mut connection = server.connect();
            let rest = connection.begin(&request).expect("the body is awaited");
            (connection, rest)
        })
        .collect();
    let mut idle = server.connect();
    assert_eq!(idle.send(&Request::get("/ready")).expect("an answer").status, 200);
    let mut operator = Connection::open(server.admin).expect("the admin listener listens");
    assert_eq!(operator.send(&Request::get("/ready")).expect("an answer").status, 200);
    server.terminate();
    let closed = idle.read_to_end().expect("an idle connection is closed");
    assert!(closed.is_empty());
    // Not ready, for whoever can still ask.
    assert!(operator.send(&Request::get("/ready")).map_or(true, |response| response.status == 503));
    // Whoever connects now is refused; at worst accepted by a core that has not heard yet, and closed unanswered.
    let refused = (0..1_000).any(|_| match Connection::open(server.public) {
        Err(_) => true,
        Ok(mut late) => {
            assert!(late.read_to_end().expect("closed").is_empty());
            false
        }
    });
    assert!(refused, "nobody listens any more");
    for (mut connection, rest) in in_flight {
        connection.write(&rest).expect("written");
        let response = connection.read(false).expect("what was in flight is answered");
        assert_eq!(response.json()["active"], true);
        assert!(response.closes(), "and told that it was the last: {}", response.shown());
    }
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

/// What never completes does not hold the process beyond its bound.
fn the_end_is_bounded(runtime: Runtime) {
    let mut server = Options::new(runtime).set("drain_timeout_ms", 300).set("body_timeout_ms", 600_000).start();
    let mut stuck = server.connect();
    stuck.begin(&Request::post("/introspect").form(&[("token", "x")])).expect("the body is awaited");
    let (status, took) = timed(|| server.stop());
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(!stuck.read_to_end().expect("closed").starts_with(b"HTTP/1.1 200"));
}

/// Request ids are echoed where they are harmless and replaced where they are not, errors included.
fn request_ids(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for path in ["/health", "/nowhere", "/introspect"] {
        let given = server.send(&Request::get(path).header("x-request-id", "abc-1.2:3_4"));
        assert_eq!(given.header("x-request-id"), Some("abc-1.2:3_4"), "{path}");
        for bad in ["", "a b", "<script>", &"a".repeat(129), "ünï"] {
            let answer = server.send(&Request::get(path).header("x-request-id", bad));
            let made = answer.header("x-request-id").unwrap_or_default();
            assert!(!made.is_empty() && made != bad, "{path} {bad:?}: {made}");
        }
        let (one, two) = (server.send(&Request::get(path)), server.send(&Request::get(path)));
        assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    }
    let oversize = server.connect().send(&Request::get("/health").header("x", &"a".repeat(20_000))).expect("an answer");
    assert_eq!(oversize.status, 431);
}

both_runtimes!(
    attack_107_ambiguous_framing,
    attack_108_slow_heads_and_bodies,
    attack_109_ten_thousand_idle_connections,
    attack_109_the_connection_bound,
    attack_111_host_header,
    attack_113_sizes,
    attack_114_method_overrides,
    attack_115_cors,
    wrong_media_types,
    truncated_repeated_concurrent,
    a_graceful_end,
    the_end_is_bounded,
    request_ids,
);
