//! Attacks on limits: quotas exact over all cores, addresses that cannot be spoofed, delays that cannot be aimed.

use std::net::IpAddr;
use std::sync::Barrier;

use assay_tests::actors::Person;
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime};
use assay_tests::target::{Target, access_token};
use assay_tests::wire::{Connection, Request, Response};
use serde_json::json;

fn from(server: &Target, source: &str, request: &Request) -> Response {
    let source: IpAddr = source.parse().expect("an address");
    Connection::open_from(source, server.public).expect("a loopback address").send(request).expect("an answer")
}

fn number(response: &Response, name: &str) -> u64 {
    let value = response.header(name).unwrap_or_else(|| panic!("no {name}: {}", response.shown()));
    value.parse().unwrap_or_else(|error| panic!("{error}: {name}: {value}"))
}

fn is_over_quota(response: &Response) {
    assert_eq!(response.status, 429, "{}", response.shown());
    // A unit comes back up to a third of a window late: counted by slots, so that no window ever sees more.
    assert!((1..=80).contains(&number(response, "retry-after")), "{}", response.shown());
    assert_eq!(response.header("retry-after"), response.header("x-retry-after"));
    let body = response.json();
    assert_eq!(body["error"], "rate_limit_exceeded", "{body}");
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert!(body["violated-policies"].is_array() && body["error_description"].is_string(), "{body}");
}

fn attack_116_the_eleventh_request(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).cores(2).limits());
    let request = Request::get("/authorize?client_id=x");
    for used in 1..=10_u64 {
        let response = server.send(&request);
        assert_eq!(response.status, 400, "{}", response.shown());
        assert_eq!(response.header("ratelimit-policy"), Some("\"oauth\";q=10;w=60"), "{}", response.shown());
        let state = response.header("ratelimit").unwrap_or_default();
        assert!(state.starts_with(&format!("\"oauth\";r={};t=", 10 - used)), "{state}");
        assert_eq!(
            (number(&response, "x-ratelimit-limit"), number(&response, "x-ratelimit-remaining")),
            (10, 10 - used)
        );
        let reset = number(&response, "x-ratelimit-reset");
        assert!((server.now()..=server.now() + 71).contains(&reset), "{reset}");
    }
    is_over_quota(&server.send(&request));
    assert!(server.send(&request).header("ratelimit").is_some_and(|state| state.starts_with("\"oauth\";r=0;t=")));
    // The class is shared by its routes; other classes and other addresses are not touched.
    is_over_quota(&server.send(&Request::post("/token").form(&[("grant_type", "x")])));
    is_over_quota(&server.send(&Request::get("/sign-in")));
    for path in ["/health", "/.well-known/jwks.json", "/.well-known/openid-configuration", "/api/auth/get-session"] {
        let response = server.send(&Request::get(path));
        assert_eq!(response.status, 200, "{path}");
        assert!(response.header("ratelimit").is_none(), "{path}: {}", response.shown());
    }
    assert_eq!(from(&server, "127.0.0.9", &request).status, 400, "another address");
    server.advance_s(71);
    assert_eq!(server.send(&request).status, 400, "a window later");
}

fn attack_116_exactly_ten_over_all_cores(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).cores(2).limits());
    for round in 1..=5 {
        let source: IpAddr = format!("127.0.1.{round}").parse().expect("an address");
        let barrier = Barrier::new(8);
        let admitted: usize = std::thread::scope(|scope| {
            let ask = || {
                let mut connection = Connection::open_from(source, server.public).expect("a loopback address");
                barrier.wait();
                let request = Request::get("/authorize?client_id=x");
                (0..20).filter(|_| connection.send(&request).expect("an answer").status != 429).count()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(admitted, 10, "of 160 on 8 connections over 2 cores");
    }
}

/// The limits of one class on the shipped binary, and the other classes' numbers.
fn attack_116_the_real_binary(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).limits().start();
    let mut connections: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    let request = Request::get("/authorize?client_id=x");
    let admitted = (0..40).filter(|at| connections[at % 8].send(&request).expect("an answer").status != 429).count();
    assert_eq!(admitted, 10);
    let sign_in = Request::post("/api/auth/sign-in/sigma");
    let tried = (0..20).filter(|at| connections[at % 8].send(&sign_in).expect("an answer").status != 429).count();
    assert_eq!(tried, 5, "sign-ins per address");
}

/// Per user after authentication: 100 for userinfo, whatever the address.
fn attack_116_per_user(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).cores(2).limits());
    let (one, two) = (access_token(&server.sign_in(&Person::new())), access_token(&server.sign_in(&Person::new())));
    let ask = |token: &str, at: usize| {
        from(&server, &format!("127.0.2.{}", 1 + at % 8), &Request::get("/userinfo").bearer(token))
    };
    let admitted = (0..120).filter(|at| ask(&one, *at).status == 200).count();
    assert_eq!(admitted, 100);
    is_over_quota(&ask(&one, 0));
    let other = ask(&two, 0).expect_status(200);
    assert_eq!(other.header("ratelimit-policy"), Some("\"api\";q=100;w=60"), "{}", other.shown());
    assert_eq!(ask("junk", 0).status, 401, "a bad token is not counted against anybody");
}

fn introspection_is_counted_by_token(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).limits().set("quota.introspect_per_min", 1_000));
    let (reader, other) = (server.resource_server(), server.resource_server());
    assert_eq!(server.batch(&reader, &vec!["x"; 990]).len(), 990);
    let batch = |count: usize| {
        let request = Request::post("/introspect/batch").basic(&reader.id, &reader.secret);
        server.send(&request.json(&json!({"tokens": vec![json!({"token": "x"}); count]})))
    };
    is_over_quota(&batch(11));
    assert_eq!(batch(10).status, 200, "what still fits");
    is_over_quota(&server.send(&reader.authenticate(Request::post("/introspect"), &[("token", "x")])));
    assert!(!server.is_active(&other, "x"), "another client has its own");
}

fn attack_112_forwarded_for_is_ignored(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).limits());
    let mut admitted = 0;
    for at in 0..30 {
        let request = Request::get("/authorize?client_id=x")
            .header("x-forwarded-for", &format!("10.0.0.{at}"))
            .header("x-real-ip", &format!("10.0.0.{at}"))
            .header("forwarded", &format!("for=10.0.0.{at}"))
            .header("cf-connecting-ip", &format!("10.0.0.{at}"))
            .header("true-client-ip", &format!("10.0.0.{at}"));
        admitted += usize::from(server.send(&request).status != 429);
    }
    assert_eq!(admitted, 10, "one peer is one address, whatever it says");

    // Behind a trusted proxy the last address that the proxy wrote counts; what the client wrote before it does not.
    let proxied = InProcess::start(&Options::new(runtime).limits().set("trusted_proxies", "127.0.0.1/32"));
    let via = |source: &str, chain: &str| {
        from(&proxied, source, &Request::get("/authorize?client_id=x").header("x-forwarded-for", chain)).status
    };
    let admitted = (0..30).filter(|at| via("127.0.0.1", &format!("1.2.3.{at}, 203.0.113.7")) != 429).count();
    assert_eq!(admitted, 10);
    assert_ne!(via("127.0.0.1", "203.0.113.8"), 429, "another client of the proxy");
    let admitted = (0..30).filter(|at| via("127.0.0.2", &format!("203.0.114.{at}")) != 429).count();
    assert_eq!(admitted, 10, "a peer that is no proxy cannot speak for others");
    // IPv6 clients count by /64.
    let admitted = (1..30).filter(|at| via("127.0.0.1", &format!("2001:db8:1:2::{at:x}")) != 429).count();
    assert_eq!(admitted, 10);
}

/// A sign-in with a token whose signature is another's: what a guesser sends.
fn guess_request(server: &Target, person: &Person) -> Request {
    let path = "/sigma/authorize";
    let imposter = Person::new().token(path, server.now_ms(), b"");
    let claimed = format!("{}|{}", person.pubkey(), imposter.split_once('|').expect("five fields").1);
    Request::post(path).auth_token(&claimed)
}

fn guess(server: &Target, person: &Person, source: &str) -> Response {
    from(server, source, &guess_request(server, person))
}

fn right(server: &Target, person: &Person, source: &str) -> Response {
    let path = "/sigma/authorize";
    from(server, source, &Request::post(path).auth_token(&person.token(path, server.now_ms(), b"")))
}

/// Delays without the address quota in front of them.
fn delayed(runtime: Runtime) -> InProcess {
    InProcess::start(&Options::new(runtime).cores(2).limits().set("quota.sign_in_per_min", 0))
}

fn attack_117_the_right_signature_during_a_delay(runtime: Runtime) {
    let server = delayed(runtime);
    let (person, home) = (Person::new(), "127.0.0.1");
    assert_eq!(right(&server, &person, home).status, 200);
    for (failure, delay_s) in [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 8)] {
        assert_eq!(guess(&server, &person, home).status, 401, "failure {failure}");
        if delay_s == 0 {
            continue;
        }
        let refused = right(&server, &person, home);
        assert_eq!(refused.status, 429, "failure {failure}: {}", refused.shown());
        assert_eq!(number(&refused, "retry-after"), delay_s, "failure {failure}");
        // Attempts during the delay, right or wrong, do not extend it.
        for _ in 0..20 {
            assert_eq!(guess(&server, &person, home).status, 429);
        }
        server.advance_ms(delay_s * 1000 - 1);
        assert_eq!(right(&server, &person, home).status, 429, "the last millisecond");
        server.advance_ms(1);
    }
    assert_eq!(right(&server, &person, home).status, 200, "after it");
    assert_eq!(guess(&server, &person, home).status, 401, "success cleared the count: this is the first again");
    assert_eq!(right(&server, &person, home).status, 200);
    // Unknown keys behave the same.
    let nobody = Person::new();
    for _ in 0..3 {
        assert_eq!(guess(&server, &nobody, home).status, 401);
    }
    assert_eq!(guess(&server, &nobody, home).status, 429);
    // The same on the other sign-in routes: one counter.
    let path = "/api/auth/sign-in/sigma";
    let request = Request::post(path).auth_token(&nobody.token(path, server.now_ms(), b""));
    assert_eq!(from(&server, home, &request).status, 429);
}

fn attack_118_failures_elsewhere(runtime: Runtime) {
    let server = delayed(runtime);
    let (owner, home, away) = (Person::new(), "127.0.0.1", "127.0.0.66");
    assert_eq!(right(&server, &owner, home).status, 200);
    // The attacker waits out every delay of its own, for an hour.
    let mut tried = 0;
    let end = server.now() + 3600;
    while server.now() < end {
        let response = guess(&server, &owner, away);
        if response.status == 429 {
            server.advance_s(number(&response, "retry-after").max(1));
        } else {
            tried += 1;
        }
        assert!(tried < 10_000);
    }
    let response = right(&server, &owner, home);
    match response.status {
        200 => {}
        429 => {
            let wait = number(&response, "retry-after");
            assert!(wait <= 60, "{wait} s");
            server.advance_s(wait);
            assert_eq!(right(&server, &owner, home).status, 200, "within a minute");
        }
        other => panic!("{other}: {}", response.shown()),
    }
    // From many addresses at once: still a minute at most, and the attacker's own pair is far worse off.
    for at in 0..60 {
        let _refused_or_counted = guess(&server, &owner, &format!("127.0.3.{}", at + 1));
    }
    let response = right(&server, &owner, home);
    assert!(response.status == 200 || number(&response, "retry-after") <= 60, "{}", response.shown());
}

/// Delays are in the database: a restart forgives nothing.
fn attack_117_delays_survive_a_restart(runtime: Runtime) {
    let mut server = Options::new(runtime).limits().set("quota.sign_in_per_min", 0).start();
    let (person, home) = (Person::new(), "127.0.0.1");
    let mut failures = 0;
    // Six failures make eight seconds; the real clock runs, so the short delays before are waited out by asking.
    while failures < 6 {
        match server.send(&guess_request(&server, &person)).status {
            401 => failures += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    server.kill();
    server.restart();
    let response = right(&server, &person, home);
    assert_eq!(response.status, 429, "{}", response.shown());
}

both_runtimes!(
    attack_112_forwarded_for_is_ignored,
    attack_116_the_eleventh_request,
    attack_116_exactly_ten_over_all_cores,
    attack_116_the_real_binary,
    attack_116_per_user,
    introspection_is_counted_by_token,
    attack_117_the_right_signature_during_a_delay,
    attack_117_delays_survive_a_restart,
    attack_118_failures_elsewhere,
);
