//! Attacks on the authorization endpoint, codes, PKCE, redirects and consent.

use std::sync::Barrier;

use assay_gateway::clock::timed;
use assay_tests::actors::{App, Person, Pkce, random_text};
use assay_tests::forge;
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{CALLBACK, ISSUER, Target, access_token, authorize_query, web_app};
use assay_tests::wire::{Request, Response, query_value};
use serde_json::json;

fn start(runtime: Runtime) -> Server {
    Options::new(runtime).start()
}

/// PAGE of attacks.md: 400, HTML, and no redirect anywhere in it.
fn is_page(response: &Response, what: &str) {
    assert_eq!(response.status, 400, "{what}: {}", response.shown());
    assert!(
        response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")),
        "{what}: {}",
        response.shown()
    );
    assert!(
        response.header("location").is_none() && response.header("refresh").is_none(),
        "{what}: {}",
        response.shown()
    );
    assert!(!response.text().to_lowercase().contains("http-equiv"), "{what}");
}

fn is_invalid_grant(response: &Response, what: &str) {
    assert_eq!((response.status, response.error().as_str()), (400, "invalid_grant"), "{what}: {}", response.shown());
}

/// Where a redirecting error says what is wrong.
fn redirected_error(response: &Response) -> String {
    assert!(matches!(response.status, 302 | 303), "{}", response.shown());
    let location = response.header("location").unwrap_or_default();
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!(query_value(location, "iss").as_deref(), Some(ISSUER), "{location}");
    query_value(location, "error").unwrap_or_default()
}

/// A person with a session at a first-party application.
struct Scene<T: std::ops::Deref<Target = Target>> {
    server: T,
    app: App,
    cookie: String,
    pkce: Pkce,
}

impl<T: std::ops::Deref<Target = Target>> Scene<T> {
    fn new(server: T) -> Scene<T> {
        let app = server.web_app();
        let cookie = server.session(&Person::new());
        Scene { server, app, cookie, pkce: Pkce::new() }
    }

    fn code(&self) -> String {
        self.server.code(&self.cookie, &self.app, &self.pkce, &[])
    }

    fn redeem_with(&self, code: &str, change: &[(&str, &str)]) -> Response {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &self.pkce.verifier),
        ];
        for (name, value) in change {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        self.server.token(&self.app, &pairs)
    }

    fn authorize(&self, more: &[(&str, &str)]) -> Response {
        self.server.authorize(Some(&self.cookie), &self.app, &self.pkce, more)
    }
}

fn attack_44_code_twice(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let reader = scene.server.resource_server();
    let code = scene.code();
    let first = scene.server.redeem(&scene.app, &code, &scene.pkce).expect_status(200).json();
    let token = access_token(&first);
    assert!(scene.server.is_active(&reader, &token));
    is_invalid_grant(&scene.server.redeem(&scene.app, &code, &scene.pkce), "the second time");
    assert!(!scene.server.is_active(&reader, &token), "what the first use minted is dead");
    assert_eq!(scene.server.userinfo(&token).status, 401);
    is_invalid_grant(&scene.server.redeem(&scene.app, &code, &scene.pkce), "the third time");
    // Another code of the same person and application is not touched.
    let other = access_token(&scene.server.redeem(&scene.app, &scene.code(), &scene.pkce).expect_status(200).json());
    assert!(scene.server.is_active(&reader, &other));
}

fn attack_44_a_late_replay_still_revokes(runtime: Runtime) {
    let scene = Scene::new(InProcess::start(&Options::new(runtime)));
    let reader = scene.server.resource_server();
    let code = scene.code();
    let token = access_token(&scene.server.redeem(&scene.app, &code, &scene.pkce).expect_status(200).json());
    scene.server.advance_s(60 + 500);
    is_invalid_grant(&scene.server.redeem(&scene.app, &code, &scene.pkce), "eight minutes after it expired");
    assert!(!scene.server.is_active(&reader, &token));
}

fn attack_45_parallel_redemptions(runtime: Runtime) {
    let scene = Scene::new(Options::new(runtime).cores(2).start());
    let reader = scene.server.resource_server();
    for _ in 0..20 {
        let code = scene.code();
        let barrier = Barrier::new(8);
        let request = scene.app.authenticate(
            Request::post("/token"),
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", &scene.pkce.verifier),
            ],
        );
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let redeem = || {
                let mut connection = scene.server.connect();
                barrier.wait();
                connection.send(&request).expect("an answer")
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(redeem)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let good: Vec<&Response> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(
            good.len(),
            1,
            "exactly one wins: {:?}",
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
        );
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            is_invalid_grant(answer, "a loser");
        }
        // The losers presented a used code, so the winner's token is dead too.
        assert!(!scene.server.is_active(&reader, &access_token(&good[0].json())));
    }
}

fn attack_46_code_by_another_client(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let other = scene.server.web_app();
    is_invalid_grant(&scene.server.redeem(&other, &scene.code(), &scene.pkce), "another public client");
    let confidential = scene.server.register(&json!({"redirect_uris": [CALLBACK], "grants": ["authorization_code"]}));
    is_invalid_grant(&scene.server.redeem(&confidential, &scene.code(), &scene.pkce), "another confidential client");
}

fn attack_47_other_redirect_uri(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    for uri in [
        "https://app.test/other",
        "https://app.test/callback/",
        "https://app.test/callback?x=1",
        "https://APP.test/callback",
        "",
    ] {
        let response = scene.redeem_with(&scene.code(), &[("redirect_uri", uri)]);
        is_invalid_grant(&response, uri);
    }
}

fn attack_48_expired_code(runtime: Runtime) {
    let scene = Scene::new(InProcess::start(&Options::new(runtime)));
    let (late, in_time) = (scene.code(), scene.code());
    scene.server.advance_s(59);
    assert_eq!(scene.server.redeem(&scene.app, &in_time, &scene.pkce).status, 200, "its last second");
    scene.server.advance_s(1);
    is_invalid_grant(&scene.server.redeem(&scene.app, &late, &scene.pkce), "sixty seconds");
    scene.server.advance_s(100_000);
    is_invalid_grant(&scene.server.redeem(&scene.app, &late, &scene.pkce), "long after");
    is_invalid_grant(&scene.server.redeem(&scene.app, &in_time, &scene.pkce), "the used one, long after");

    let short = Scene::new(InProcess::start(&Options::new(runtime).set("code_lifetime_s", 10)));
    let code = short.code();
    short.server.advance_s(10);
    is_invalid_grant(&short.server.redeem(&short.app, &code, &short.pkce), "the configured lifetime");
}

fn attack_49_verifier(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let long = "a".repeat(129);
    for (what, verifier) in [
        ("missing", ""),
        ("wrong", &random_text()),
        ("42 characters", &scene.pkce.verifier[..42]),
        ("129 characters", &long),
        ("the challenge", &scene.pkce.challenge),
    ] {
        is_invalid_grant(&scene.redeem_with(&scene.code(), &[("code_verifier", verifier)]), what);
    }
    let padded = format!("{}=", scene.pkce.verifier);
    is_invalid_grant(&scene.redeem_with(&scene.code(), &[("code_verifier", &padded)]), "a character that is none");
    // Without a challenge there is no code, so a verifier cannot be presented for one that was issued without.
    assert_eq!(redirected_error(&scene.authorize(&[("code_challenge", "")])), "invalid_request");
    let (short, long) = ("a".repeat(42), "a".repeat(129));
    for challenge in [
        short.as_str(),
        &long,
        &format!("{}=", &scene.pkce.challenge[..43]),
        "ümlaut-ümlaut-ümlaut-ümlaut-ümlaut-ümlaut-ümlaut",
    ] {
        assert_eq!(
            redirected_error(&scene.authorize(&[("code_challenge", challenge)])),
            "invalid_request",
            "{challenge}"
        );
    }
}

fn attack_50_plain_challenge(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    for method in ["plain", "PLAIN", "s256", "S512", "none"] {
        assert_eq!(
            redirected_error(&scene.authorize(&[("code_challenge_method", method)])),
            "invalid_request",
            "{method}"
        );
    }
    // RFC 7636: no method means plain.
    assert_eq!(redirected_error(&scene.authorize(&[("code_challenge_method", "")])), "invalid_request");
}

fn attack_51_redirect_uri_variants(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    for uri in [
        "https://app.test/callback/",
        "https://app.test/callback/x",
        "https://app.test/callback?",
        "https://app.test/callback?x=1",
        "https://app.test/callback#",
        "https://app.test/callback#x",
        "https://app.test@evil.test/callback",
        "https://app.test:443/callback",
        "https://app.test:8443/callback",
        "https://app.test/%2e%2e/callback",
        "https://app.test/x/../callback",
        "https://app.test/./callback",
        "https://app.test/call%62ack",
        "https://app.test/Callback",
        "https://APP.test/callback",
        "HTTPS://app.test/callback",
        "https://app.test./callback",
        "https://xn--pp-fka.test/callback",
        "https://äpp.test/callback",
        "https://app.test\\callback",
        "https:\\\\app.test/callback",
        "https:/app.test/callback",
        "//app.test/callback",
        "/callback",
        "http://app.test/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.test.evil.test/callback",
        "https://evil.test/https://app.test/callback",
        " https://app.test/callback",
        "https://app.test/callback ",
        "https://app.test/callback\r\nlocation: https://evil.test",
        "https://app.test/callback\0",
        "https://app.test/callback,https://evil.test/",
        "null",
        "*",
    ] {
        is_page(&scene.authorize(&[("redirect_uri", uri)]), uri);
    }
    assert_eq!(scene.authorize(&[]).status, 302, "the registered one");
}

fn attack_52_loopback_redirects(runtime: Runtime) {
    let server = start(runtime);
    let mut native = web_app();
    native["native"] = json!(true);
    native["redirect_uris"] = json!(["http://127.0.0.1/cb", "http://[::1]/cb"]);
    let app = server.register(&native);
    let scene = Scene { cookie: server.session(&Person::new()), app, server, pkce: Pkce::new() };
    for uri in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://[::1]:4000/cb"] {
        let response = scene.authorize(&[("redirect_uri", uri)]);
        assert!(
            response.header("location").is_some_and(|location| location.starts_with(uri)),
            "{uri}: {}",
            response.shown()
        );
    }
    for uri in [
        "http://127.1/cb",
        "http://127.1:80/cb",
        "http://0x7f.1/cb",
        "http://0x7f000001/cb",
        "http://2130706433/cb",
        "http://017700000001/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb",
        "http://localhost/cb",
        "http://127.0.0.2/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:080/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:80x/cb",
        "https://127.0.0.1/cb",
        "http://127.0.0.1:80/other",
        "http://user@127.0.0.1/cb",
        "http://127.0.0.1:80@evil.test/cb",
    ] {
        is_page(&scene.authorize(&[("redirect_uri", uri)]), uri);
    }
    let mut web = web_app();
    web["redirect_uris"] = json!(["http://127.0.0.1:8000/cb"]);
    let web = scene.server.register(&web);
    let other_port =
        scene.server.authorize(Some(&scene.cookie), &web, &scene.pkce, &[("redirect_uri", "http://127.0.0.1:8001/cb")]);
    is_page(&other_port, "another port for an application that is not native");
}

fn attack_53_missing_redirect_uri(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    is_page(&scene.authorize(&[("redirect_uri", "")]), "left out");
    let query = authorize_query(&scene.app, &scene.pkce, &[("redirect_uri", "")]);
    let empty = scene.server.send(&Request::get(&format!("/authorize?{query}&redirect_uri=")).cookie(&scene.cookie));
    is_page(&empty, "present but empty");
    assert_eq!(scene.server.send(&Request::get("/authorize").cookie(&scene.cookie)).status, 400);
}

/// "Identical timing" over a loopback socket means: no difference that a median over many requests would show as more
/// than noise. The bound is wide because the machine is shared; what would break it is a lookup on disk.
fn attack_54_unknown_client(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let unknown = |id: &str| scene.authorize(&[("client_id", id)]);
    let known_but_wrong = || scene.authorize(&[("redirect_uri", "https://evil.test/")]);
    let long = "x".repeat(2_000);
    for id in ["nobody", "", "../x", "a b", "\0", "' OR 1=1", &long, &format!("{}x", scene.app.id)] {
        is_page(&unknown(id), id);
    }
    let disabled = scene.server.web_app();
    scene.server.admin_ok("POST", &format!("/applications/{}/disable", disabled.id), None);
    let (page, gone) = (unknown("nobody"), unknown(&disabled.id));
    is_page(&gone, "a disabled client");
    assert_eq!(page.body, gone.body, "a disabled client is an unknown client");
    // One of each by turns, so that whatever else the machine does falls on both.
    let (mut unknowns, mut knowns) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        unknowns.push(timed(|| unknown("nobody")).1);
        knowns.push(timed(known_but_wrong).1);
    }
    unknowns.sort_unstable();
    knowns.sort_unstable();
    assert!(
        unknowns[100] < 4 * knowns[100] && knowns[100] < 4 * unknowns[100],
        "{:?}, {:?}",
        unknowns[100],
        knowns[100]
    );
}

fn attack_55_repeated_parameters(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let query = authorize_query(&scene.app, &scene.pkce, &[]);
    for name in [
        "client_id",
        "redirect_uri",
        "state",
        "scope",
        "response_type",
        "code_challenge",
        "nonce&nonce",
        "unknown=1&unknown",
    ] {
        let request = Request::get(&format!("/authorize?{query}&{name}=x")).cookie(&scene.cookie);
        is_page(&scene.server.send(&request), name);
    }
    let same = Request::get(&format!("/authorize?{query}&state=s-1")).cookie(&scene.cookie);
    is_page(&scene.server.send(&same), "the same value twice");
    let twin = format!("grant_type=client_credentials&client_id={}", scene.app.id);
    for body in [
        format!("{twin}&client_id={}", scene.app.id),
        format!("{twin}&grant_type=authorization_code"),
        format!("{twin}&%67rant_type=x"),
    ] {
        let request =
            Request::post("/token").header("content-type", "application/x-www-form-urlencoded").body(body.clone());
        let response = scene.server.send(&request);
        assert_eq!(
            (response.status, response.error().as_str()),
            (400, "invalid_request"),
            "{body}: {}",
            response.shown()
        );
    }
    let service = scene.server.service();
    for path in ["/introspect", "/revoke"] {
        let request = Request::post(path).basic(&service.id, &service.secret);
        let response = scene
            .server
            .send(&request.header("content-type", "application/x-www-form-urlencoded").body("token=a&token=b"));
        assert_eq!((response.status, response.error().as_str()), (400, "invalid_request"), "{path}");
    }
}

fn attack_56_state(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let four_kb = "s".repeat(4096);
    for state in ["x", "a b+c%d&e=f#g", "ünï ☃ 😀", "\"<script>", "..", &four_kb] {
        let response = scene.authorize(&[("state", state)]);
        let location = response.header("location").unwrap_or_default();
        assert_eq!(query_value(location, "state").as_deref(), Some(state), "{}", response.shown());
        assert!(query_value(location, "code").is_some());
        let refused = scene.authorize(&[("state", state), ("response_type", "token")]);
        assert_eq!(query_value(refused.header("location").unwrap_or_default(), "state").as_deref(), Some(state));
    }
    let query = authorize_query(&scene.app, &scene.pkce, &[("state", "")]);
    let send = |query: &str| scene.server.send(&Request::get(&format!("/authorize?{query}")).cookie(&scene.cookie));
    let absent = send(&query);
    assert!(!absent.header("location").unwrap_or_default().contains("state="), "{}", absent.shown());
    let empty = send(&format!("{query}&state="));
    let location = empty.header("location").unwrap_or_default();
    assert!(
        location.contains("&state=&") || location.ends_with("&state="),
        "present and empty comes back as such: {location}"
    );
    let huge = Request::get(&format!("/authorize?{query}&state={}", "s".repeat(64 * 1024)));
    assert!(matches!(scene.server.connect().send(&huge).expect("an answer").status, 400 | 414), "64 kB in the URL");
    let form = format!("{query}&state={}", "s".repeat(60_000));
    let posted = Request::post("/authorize")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .cookie(&scene.cookie);
    assert_eq!(scene.server.send(&posted).status, 400, "60 kB in a form");
}

fn attack_57_issuer_in_the_response(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let iss = |response: &Response| query_value(response.header("location").unwrap_or_default(), "iss");
    assert_eq!(iss(&scene.authorize(&[])).as_deref(), Some(ISSUER), "success");
    for more in
        [("scope", "admin"), ("response_type", "token"), ("prompt", "none login"), ("resource", "https://unknown.test")]
    {
        assert_eq!(iss(&scene.authorize(&[more])).as_deref(), Some(ISSUER), "{more:?}");
    }
    let metadata = scene.server.send(&Request::get("/.well-known/openid-configuration")).json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["issuer"], ISSUER);
}

fn attack_58_prompt(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let mut third = web_app();
    third["first_party"] = json!(false);
    let third = scene.server.register(&third);
    let error = |cookie: Option<&str>, app: &App, prompt: &str| {
        redirected_error(&scene.server.authorize(cookie, app, &scene.pkce, &[("prompt", prompt)]))
    };
    let cookie = Some(scene.cookie.as_str());
    assert_eq!(error(None, &scene.app, "none"), "login_required");
    assert_eq!(error(Some("better-auth.session_token=forged.AAAA"), &scene.app, "none"), "login_required");
    assert_eq!(error(cookie, &third, "none"), "consent_required");
    assert_eq!(error(cookie, &scene.app, "none"), "", "a session and no consent to ask: a code");
    for prompt in ["none login", "login none", "none consent", "none none", "nonsense"] {
        assert_eq!(error(cookie, &scene.app, prompt), "invalid_request", "{prompt}");
    }
    let login = scene.authorize(&[("prompt", "login")]);
    assert!(login.header("location").is_some_and(|location| location.starts_with("/sign-in")), "{}", login.shown());
    let old = scene.authorize(&[("max_age", "x")]);
    assert_eq!(redirected_error(&old), "invalid_request");
}

fn attack_59_response_type(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    for kind in
        ["token", "id_token", "code token", "code id_token", "id_token token", "none", "CODE", "code ", "password"]
    {
        let response = scene.authorize(&[("response_type", kind)]);
        assert_eq!(redirected_error(&response), "unsupported_response_type", "{kind}");
        assert!(!response.header("location").unwrap_or_default().contains('#'), "nothing in a fragment");
    }
    // RFC 6749 §4.1.2.1 wants invalid_request when it is absent; oauth.md §1 names one code for everything but `code`.
    assert!(matches!(
        redirected_error(&scene.authorize(&[("response_type", "")])).as_str(),
        "unsupported_response_type" | "invalid_request"
    ));
}

fn attack_60_no_framing(runtime: Runtime) {
    let scene = Scene::new(start(runtime));
    let mut third = web_app();
    third["first_party"] = json!(false);
    let third = scene.server.register(&third);
    let consent = scene.server.authorize(Some(&scene.cookie), &third, &scene.pkce, &[]);
    assert_eq!(consent.status, 200, "the consent page: {}", consent.shown());
    let answers = [
        consent,
        scene.server.send(&Request::get("/sign-in?client_id=x")),
        scene.server.send(&Request::post("/sign-in").form(&[("token", "x")])),
        scene.authorize(&[("redirect_uri", "https://evil.test/")]),
        scene.authorize(&[]),
        scene.server.authorize(None, &scene.app, &scene.pkce, &[]),
    ];
    for answer in answers {
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{}", answer.shown());
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")), "{}", answer.shown());
        assert!(answer.header("referrer-policy").is_some(), "{}", answer.shown());
    }
    assert_eq!(scene.authorize(&[]).header("referrer-policy"), Some("no-referrer"), "the redirect with a code");
}

fn attack_61_consent_of_another_site(runtime: Runtime) {
    let scene = Scene::new(Options::new(runtime).set("trusted_origins", "https://trusted.test").start());
    let mut third = web_app();
    third["first_party"] = json!(false);
    let third = scene.server.register(&third);
    let query = authorize_query(&third, &scene.pkce, &[]);
    let json = |origin: Option<&str>| {
        let request = Request::post("/api/auth/oauth2/consent").cookie(&scene.cookie);
        let request = request.json(&json!({"accept": true, "oauth_query": query}));
        scene.server.send(&match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
    };
    for origin in
        ["https://evil.test", "null", "http://issuer.test.evil.test", "https://issuer.test", "https://TRUSTED.test", ""]
    {
        assert_eq!(json(Some(origin)).status, 403, "{origin}");
    }
    // The page's own form carries a value that only this session's page knows.
    let page = scene.server.authorize(Some(&scene.cookie), &third, &scene.pkce, &[]).expect_status(200).text();
    let csrf =
        page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a hidden field");
    let form = |cookie: &str, csrf: &str| {
        let pairs = [("accept", "true"), ("oauth_query", query.as_str()), ("csrf", csrf)];
        scene.server.send(&Request::post("/consent").cookie(cookie).form(&pairs))
    };
    let stranger = scene.server.session(&Person::new());
    let flipped = format!("{}{}", if csrf.starts_with('0') { '1' } else { '0' }, &csrf[1..]);
    for (what, cookie, csrf) in
        [("none", &scene.cookie, ""), ("changed", &scene.cookie, flipped.as_str()), ("another's", &stranger, csrf)]
    {
        assert_eq!(form(cookie, csrf).status, 403, "{what}");
    }
    assert!(matches!(form("", csrf).status, 401 | 403), "nobody signed in");
    let none = scene.server.authorize(Some(&scene.cookie), &third, &scene.pkce, &[("prompt", "none")]);
    assert_eq!(redirected_error(&none), "consent_required", "nothing was agreed to");
    // Other media types that a page may send across sites without asking first.
    for kind in ["text/plain", "multipart/form-data", "application/json; charset=utf-7"] {
        let request =
            Request::post("/api/auth/oauth2/consent").cookie(&scene.cookie).header("origin", "https://evil.test");
        let response = scene.server.send(
            &request.header("content-type", kind).body(json!({"accept": true, "oauth_query": query}).to_string()),
        );
        assert!(matches!(response.status, 403 | 415), "{kind}: {}", response.shown());
    }
    let signed_out = scene
        .server
        .send(&Request::post("/api/auth/sign-out").cookie(&scene.cookie).header("origin", "https://evil.test"));
    assert_eq!(signed_out.status, 403, "sign-out from another site");
    let page_login = Request::post("/sign-in").header("origin", "https://evil.test").form(&[("token", "x")]);
    assert_eq!(scene.server.send(&page_login).status, 403, "login from another site");
    // And the honest ways work.
    assert_eq!(json(Some("https://trusted.test")).status, 200);
    let redirect = form(&scene.cookie, csrf);
    assert!(query_value(redirect.header("location").unwrap_or_default(), "code").is_some(), "{}", redirect.shown());
    let remembered = scene.server.authorize(Some(&scene.cookie), &third, &scene.pkce, &[("prompt", "none")]);
    assert_eq!(redirected_error(&remembered), "", "consent is remembered");
}

/// oauth.md §16: what is in flight dies with the suspension.
fn suspension_reaches_codes_and_sessions(runtime: Runtime) {
    let scene = Scene::new(Options::new(runtime).cores(2).start());
    let (code, later) = (scene.code(), scene.code());
    let token = access_token(&scene.server.redeem(&scene.app, &code, &scene.pkce).expect_status(200).json());
    let user_id = forge::payload(&token)["sub"].as_str().expect("a user").to_owned();
    scene.server.suspend(&user_id);
    is_invalid_grant(&scene.server.redeem(&scene.app, &later, &scene.pkce), "a code of a suspended user");
    assert_eq!(scene.server.get_session(&scene.cookie), serde_json::Value::Null, "the session is over");
    let again = scene.authorize(&[]);
    assert!(!again.header("location").unwrap_or_default().contains("code="), "{}", again.shown());
    scene.server.reactivate(&user_id);
    is_invalid_grant(&scene.server.redeem(&scene.app, &later, &scene.pkce), "after reactivation");
    assert_eq!(scene.server.get_session(&scene.cookie), serde_json::Value::Null, "the old session stays over");
}

both_runtimes!(
    attack_44_code_twice,
    attack_44_a_late_replay_still_revokes,
    attack_45_parallel_redemptions,
    attack_46_code_by_another_client,
    attack_47_other_redirect_uri,
    attack_48_expired_code,
    attack_49_verifier,
    attack_50_plain_challenge,
    attack_51_redirect_uri_variants,
    attack_52_loopback_redirects,
    attack_53_missing_redirect_uri,
    attack_54_unknown_client,
    attack_55_repeated_parameters,
    attack_56_state,
    attack_57_issuer_in_the_response,
    attack_58_prompt,
    attack_59_response_type,
    attack_60_no_framing,
    attack_61_consent_of_another_site,
    suspension_reaches_codes_and_sessions,
);
