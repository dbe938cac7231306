//! Attacks on client authentication.

use assay_gateway::clock::timed;
use assay_storage::record::KeyState;
use assay_tests::actors::{App, Person, random_text};
use assay_tests::forge::Signer;
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{CALLBACK, ISSUER, web_app};
use assay_tests::wire::{Request, Response, form};
use base64_turbo::STANDARD;
use serde_json::{Value, json};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn is_invalid_client(response: &Response, what: &str) {
    assert_eq!((response.status, response.error().as_str()), (401, "invalid_client"), "{what}: {}", response.shown());
}

fn post(server: &Server, pairs: &[(&str, &str)]) -> Response {
    server.send(&Request::post("/token").form(pairs))
}

fn attack_62_wrong_secret(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (basic, post_app) = (server.service(), server.register(&json!({"auth_method": "client_secret_post"})));
    let longer = format!("{}x", basic.secret);
    let flipped = format!("{}{}", if basic.secret.starts_with('b') { 'c' } else { 'b' }, &basic.secret[1..]);
    let huge = "s".repeat(5_000);
    for secret in [
        "",
        "x",
        &longer,
        &flipped,
        &basic.secret[..basic.secret.len() - 1],
        &post_app.secret,
        &basic.secret.to_uppercase(),
        &huge,
    ] {
        let response = server.send(&Request::post("/token").form(&[GRANT]).basic(&basic.id, secret));
        is_invalid_client(&response, secret);
        assert!(
            response.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")),
            "{}",
            response.shown()
        );
        let response = post(
            &server,
            &[
                GRANT,
                ("client_id", &post_app.id),
                ("client_secret", if secret == post_app.secret { "x" } else { secret }),
            ],
        );
        is_invalid_client(&response, secret);
        for path in ["/introspect", "/revoke"] {
            let response = server.send(&Request::post(path).form(&[("token", "x")]).basic(&basic.id, secret));
            is_invalid_client(&response, path);
        }
        let response = server.send(
            &Request::post("/introspect/batch").json(&json!({"tokens": [{"token": "x"}]})).basic(&basic.id, secret),
        );
        is_invalid_client(&response, "batch");
    }
    is_invalid_client(
        &server.send(&Request::post("/token").form(&[GRANT]).basic("nobody", &basic.secret)),
        "an unknown client",
    );
    // Time: a wrong first letter, a wrong last letter and an unknown client look alike, within a wide bound.
    let last =
        format!("{}{}", &basic.secret[..basic.secret.len() - 1], if basic.secret.ends_with('b') { 'c' } else { 'b' });
    let cases = [(basic.id.as_str(), flipped.as_str()), (&basic.id, &last), ("nobody", &flipped)];
    let mut times = cases.map(|_| Vec::new());
    // By turns, so that whatever else the machine does falls on all three.
    for _ in 0..200 {
        for ((id, secret), times) in cases.iter().zip(&mut times) {
            let request = Request::post("/token").form(&[GRANT]).basic(id, secret);
            times.push(timed(|| server.send(&request)).1);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[100]
    });
    let (least, most) = (medians.iter().min().expect("three"), medians.iter().max().expect("three"));
    assert!(*most < 4 * *least, "{medians:?}");
}

fn attack_63_two_methods(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, signer) = (server.service(), Signer::new(KeyState::Active));
    let assertion = signer.sign(&json!({"alg": "ES256"}), &json!({"iss": app.id, "sub": app.id}));
    let token = Person::new().token("/token", server.now_ms(), b"");
    let with_basic = |pairs: &[(&str, &str)]| Request::post("/token").form(pairs).basic(&app.id, &app.secret);
    let secret = ("client_secret", app.secret.as_str());
    let id = ("client_id", app.id.as_str());
    let kind = ("client_assertion_type", ASSERTION_TYPE);
    for request in [
        with_basic(&[GRANT, id, secret]),
        with_basic(&[GRANT, kind, ("client_assertion", &assertion)]),
        with_basic(&[GRANT, id]).auth_token(&token),
        Request::post("/token").form(&[GRANT, id, secret, kind, ("client_assertion", &assertion)]),
        Request::post("/token").form(&[GRANT, id, secret]).auth_token(&token),
        Request::post("/token")
            .form(&[GRANT, id])
            .header("authorization", &format!("Bitcoin-Auth {token}"))
            .auth_token(&token),
        with_basic(&[GRANT]).basic(&app.id, &app.secret),
        with_basic(&[GRANT, ("client_id", "another")]),
    ] {
        let response = server.send(&request);
        assert_eq!((response.status, response.error().as_str()), (400, "invalid_request"), "{}", response.shown());
    }
    assert_eq!(server.send(&with_basic(&[GRANT, id])).status, 200, "naming itself again is not a second method");
}

fn attack_64_another_method_than_registered(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (basic, post_app) = (server.service(), server.register(&json!({"auth_method": "client_secret_post"})));
    is_invalid_client(
        &post(&server, &[GRANT, ("client_id", &basic.id), ("client_secret", &basic.secret)]),
        "post instead of basic",
    );
    is_invalid_client(
        &server.send(&Request::post("/token").form(&[GRANT]).basic(&post_app.id, &post_app.secret)),
        "basic instead of post",
    );
    is_invalid_client(&post(&server, &[GRANT, ("client_id", &basic.id)]), "nothing instead of basic");
    let person = Person::new();
    let bitcoin = server.register(&json!({"auth_method": "bitcoin_signature", "pubkey": person.pubkey()}));
    is_invalid_client(&post(&server, &[GRANT, ("client_id", &bitcoin.id)]), "nothing instead of a signature");
    let body = form(&[GRANT, ("client_id", &basic.id)]);
    let signed = Request::post("/token").header("content-type", "application/x-www-form-urlencoded").body(body.clone());
    is_invalid_client(
        &server.send(&signed.auth_token(&person.token("/token", server.now_ms(), body.as_bytes()))),
        "a signature instead of basic",
    );
}

fn attack_65_public_client_with_secret(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let app = server.web_app();
    assert!(app.secret.is_empty(), "a public client gets no secret");
    is_invalid_client(&server.send(&Request::post("/token").form(&[GRANT]).basic(&app.id, "anything")), "basic");
    is_invalid_client(&server.send(&Request::post("/token").form(&[GRANT]).basic(&app.id, "")), "basic, empty");
    is_invalid_client(&post(&server, &[GRANT, ("client_id", &app.id), ("client_secret", "anything")]), "post");
    let response = post(&server, &[GRANT, ("client_id", &app.id)]);
    assert_eq!(response.error(), "unauthorized_client", "and it is not a service: {}", response.shown());
}

/// An application with a key of its own.
struct Assertions {
    server: Server,
    signer: Signer,
    app: App,
}

impl Assertions {
    fn new(runtime: Runtime) -> Assertions {
        let server = Options::new(runtime).start();
        let signer = Signer::new(KeyState::Active);
        let app = server.register(&json!({"auth_method": "private_key_jwt", "jwks": {"keys": [signer.jwk()]}}));
        Assertions { server, signer, app }
    }

    fn claims(&self) -> Value {
        let now = self.server.now();
        json!({"iss": self.app.id, "sub": self.app.id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": random_text()})
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.signer.kid()})
    }

    fn send(&self, assertion: &str) -> Response {
        post(&self.server, &[GRANT, ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)])
    }

    fn send_claims(&self, claims: &Value) -> Response {
        self.send(&self.signer.sign(&self.header(), claims))
    }

    fn refuses(&self, what: &str, change: impl FnOnce(&mut Value)) {
        let mut claims = self.claims();
        change(&mut claims);
        is_invalid_client(&self.send_claims(&claims), what);
    }
}

fn attack_66_assertions(runtime: Runtime) {
    let lab = Assertions::new(runtime);
    for audience in [ISSUER.to_owned(), format!("{ISSUER}/token"), format!("{ISSUER}/oauth/token")] {
        let mut claims = lab.claims();
        claims["aud"] = json!(audience);
        assert_eq!(lab.send_claims(&claims).status, 200, "{audience}");
    }
    let assertion = lab.signer.sign(&lab.header(), &lab.claims());
    assert_eq!(lab.send(&assertion).status, 200);
    is_invalid_client(&lab.send(&assertion), "the same assertion again");
    let mut claims = lab.claims();
    claims["jti"] = json!("once");
    assert_eq!(lab.send_claims(&claims).status, 200);
    claims["exp"] = json!(lab.server.now() + 90);
    is_invalid_client(&lab.send_claims(&claims), "the same jti in another assertion");

    let now = lab.server.now();
    for aud in [
        json!("https://other.test"),
        json!([ISSUER]),
        json!([ISSUER, "https://other.test"]),
        json!(format!("{ISSUER}/")),
        json!(""),
        Value::Null,
        json!(format!("{ISSUER}/userinfo")),
    ] {
        lab.refuses(&format!("aud {aud}"), |claims| claims["aud"] = aud.clone());
    }
    for exp in [json!(now - 1), json!(now), json!(now + 3600), json!((now + 60).to_string()), json!(1e99), Value::Null]
    {
        lab.refuses(&format!("exp {exp}"), |claims| claims["exp"] = exp.clone());
    }
    lab.refuses("iat too old", |claims| claims["iat"] = json!(now - 400));
    lab.refuses("iat ahead", |claims| claims["iat"] = json!(now + 400));
    lab.refuses("nbf ahead", |claims| claims["nbf"] = json!(now + 400));
    lab.refuses("sub of another", |claims| claims["sub"] = json!("another"));
    lab.refuses("iss of another", |claims| claims["iss"] = json!("another"));
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        lab.refuses(name, |claims| drop(claims.as_object_mut().expect("an object").remove(name)));
    }
    for alg in ["none", "HS256", "ES384", "RS256", "EdDSA"] {
        is_invalid_client(
            &lab.send(&lab.signer.sign(&json!({"alg": alg, "kid": lab.signer.kid()}), &lab.claims())),
            alg,
        );
    }
    let header = json!({"alg": "none"});
    let unsigned = lab.signer.sign(&header, &lab.claims());
    is_invalid_client(&lab.send(&unsigned[..=unsigned.rfind('.').expect("a JWT")]), "no signature");
    is_invalid_client(
        &lab.send(&lab.signer.sign(&json!({"alg": "ES256", "kid": "unknown"}), &lab.claims())),
        "an unknown kid",
    );
    let foreign = Signer::new(KeyState::Active);
    is_invalid_client(&lab.send(&foreign.sign(&lab.header(), &lab.claims())), "a foreign key under our kid");
    let own_jwk = json!({"alg": "ES256", "kid": foreign.kid(), "jwk": foreign.jwk()});
    is_invalid_client(&lab.send(&foreign.sign(&own_jwk, &lab.claims())), "a key it brought itself");
    let other = lab.server.register(&json!({"auth_method": "private_key_jwt", "jwks": {"keys": [foreign.jwk()]}}));
    is_invalid_client(
        &lab.send(&foreign.sign(&json!({"alg": "ES256", "kid": foreign.kid()}), &lab.claims())),
        "another client's key",
    );
    let named = post(
        &lab.server,
        &[
            GRANT,
            ("client_id", &other.id),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &lab.signer.sign(&lab.header(), &lab.claims())),
        ],
    );
    is_invalid_client(&named, "client_id of another");
    for wrong in ["", "x", "a.b.c", "..", "\0"] {
        let response = lab.send(wrong);
        assert!(matches!(response.status, 400 | 401), "{wrong:?}: {}", response.shown());
    }
}

/// One jti, many at once: one wins.
fn attack_66_parallel_replay_of_an_assertion(runtime: Runtime) {
    let lab = Assertions::new(runtime);
    let assertion = lab.signer.sign(&lab.header(), &lab.claims());
    let request = Request::post("/token").form(&[
        GRANT,
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &assertion),
    ]);
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(lab.server.connect().send(&request).expect("an answer").status == 200)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(won, 1);
}

fn attack_67_disabled_and_rotated_out(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime));
    let (app, reader) = (server.service(), server.resource_server());
    let token = server.service_token(&app);
    let grant = |secret: &str| server.send(&Request::post("/token").form(&[GRANT]).basic(&app.id, secret));
    let second = server.admin_ok("POST", &format!("/applications/{}/secrets", app.id), None);
    let second = second["client_secret"].as_str().expect("a fresh secret").to_owned();
    assert_ne!(second, app.secret);
    assert_eq!((grant(&app.secret).status, grant(&second).status), (200, 200), "two live secrets");
    let third = server.admin_ok("POST", &format!("/applications/{}/secrets", app.id), None);
    let third = third["client_secret"].as_str().expect("a fresh secret").to_owned();
    is_invalid_client(&grant(&app.secret), "the one before the one before");
    assert_eq!((grant(&second).status, grant(&third).status), (200, 200));
    assert!(server.is_active(&reader, &token), "tokens outlive a secret");
    server.admin_ok("POST", &format!("/applications/{}/disable", app.id), None);
    is_invalid_client(&grant(&third), "disabled");
    assert!(!server.is_active(&reader, &token), "its tokens with it");
    // Two medians of silence: an unknown and a disabled client get the same words, but for the id they sent themselves.
    let unknown = server.send(&Request::post("/token").form(&[GRANT]).basic("nobody", &third));
    assert_eq!(grant(&third).text().replace(&app.id, "nobody"), unknown.text());
    server.admin_ok("POST", &format!("/applications/{}/enable", app.id), None);
    assert_eq!(grant(&third).status, 200, "and back");
    // The same for introspection, which remembers headers that proved a secret before.
    let ask = |secret: &str| {
        server.send(&Request::post("/introspect").form(&[("token", &token)]).basic(&reader.id, secret)).status
    };
    let rotate = || server.admin_ok("POST", &format!("/applications/{}/secrets", reader.id), None);
    assert_eq!([ask(&reader.secret), ask(&reader.secret), ask(&third), ask("")], [200, 200, 401, 401]);
    let (next, last) = (rotate(), rotate());
    let secret = |answer: &serde_json::Value| answer["client_secret"].as_str().expect("a fresh secret").to_owned();
    assert_eq!(
        [ask(&reader.secret), ask(&secret(&next)), ask(&secret(&last)), ask(&secret(&last))],
        [401, 200, 200, 200]
    );
    server.admin_ok("POST", &format!("/applications/{}/disable", reader.id), None);
    assert_eq!([ask(&secret(&next)), ask(&secret(&last))], [401, 401], "disabled");
    server.admin_ok("POST", &format!("/applications/{}/enable", reader.id), None);
    assert_eq!(ask(&secret(&last)), 200);
    let twice = Request::post("/introspect").form(&[("token", &token), ("client_secret", &secret(&last))]);
    assert_eq!(server.send(&twice.basic(&reader.id, &secret(&last))).status, 400, "one method at a time");
    let other = Request::post("/introspect").form(&[("token", &token), ("client_id", &app.id)]);
    assert_eq!(server.send(&other.basic(&reader.id, &secret(&last))).status, 400, "one client at a time");
}

fn attack_68_basic_encoding(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let app = server.service();
    let with = |text: String| {
        server.send(
            &Request::post("/token")
                .form(&[GRANT])
                .header("authorization", &format!("Basic {}", STANDARD.encode(text))),
        )
    };
    assert_eq!(with(format!("{}:{}", app.id, app.secret)).status, 200, "nothing to encode");
    // RFC 6749 §2.3.1: both halves are form-encoded before base64; an encoded letter is the letter.
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    assert_eq!(with(format!("{}:{}", encoded(&app.id), encoded(&app.secret))).status, 200, "everything encoded");
    assert_eq!(with(format!("{}:{}", app.id, encoded(&app.secret).to_lowercase())).status, 200, "lower-case hex");
    for text in [
        format!("{}:{}%", app.id, app.secret),
        format!("{}:{}%4", app.id, app.secret),
        format!("{}:%zz{}", app.id, app.secret),
        format!("{}%3A{}", app.id, app.secret),
        format!("{}:{}:x", app.id, app.secret),
        format!("{}::{}", app.id, app.secret),
        format!("{}: {}", app.id, app.secret),
        format!(":{}", app.secret),
        format!("{}:", app.id),
        app.id.clone(),
        String::new(),
        "%FF%FE:x".to_owned(),
    ] {
        is_invalid_client(&with(text.clone()), &text);
    }
    for value in ["Basic", "Basic ", "Basic !!!", "Basic ====", "basic", "Digest x", "Negotiate", "Bearer", ""] {
        let response = server.send(&Request::post("/token").form(&[GRANT]).header("authorization", value));
        assert!(matches!(response.status, 400 | 401), "{value:?}: {}", response.shown());
    }
    let lower = server.send(
        &Request::post("/token")
            .form(&[GRANT])
            .header("authorization", &format!("bAsIc {}", STANDARD.encode(format!("{}:{}", app.id, app.secret)))),
    );
    assert_eq!(lower.status, 200, "scheme names have no case");
}

/// sigma.md 2.3: the form as received first, re-serialised as `URLSearchParams` writes it second; single use both ways.
fn bitcoin_signature_over_the_form(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let person = Person::new();
    let app = server.register(&json!({
        "auth_method": "bitcoin_signature", "pubkey": person.pubkey(), "grants": ["authorization_code", "client_credentials"],
        "redirect_uris": [CALLBACK], "first_party": true, "scope": "read write", "audiences": [],
    }));
    let send = |path: &str, body: &str, token: &str| {
        server.send(
            &Request::post(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .auth_token(token),
        )
    };
    let body = form(&[GRANT, ("client_id", &app.id), ("scope", "read write")]);
    assert!(body.contains("scope=read+write"));
    for path in ["/token", "/oauth/token", "/api/oauth/token", "/api/auth/oauth2/token"] {
        let token = person.token(path, server.now_ms(), body.as_bytes());
        assert_eq!(send(path, &body, &token).status, 200, "{path}");
        is_invalid_client(&send(path, &body, &token), "the same signature again");
    }
    let raw = body.replace('+', "%20");
    assert_eq!(
        send("/token", &raw, &person.token("/token", server.now_ms(), raw.as_bytes())).status,
        200,
        "the raw body was signed"
    );
    assert_eq!(
        send("/token", &raw, &person.token("/token", server.now_ms(), body.as_bytes())).status,
        200,
        "a proxy wrote %20 for +"
    );
    let header = format!("Bitcoin-Auth {}", person.token("/token", server.now_ms(), body.as_bytes()));
    let request =
        Request::post("/token").header("content-type", "application/x-www-form-urlencoded").body(body.clone());
    assert_eq!(server.send(&request.header("authorization", &header)).status, 200, "the other header");

    let wrong_body = person.token("/token", server.now_ms(), b"grant_type=client_credentials");
    is_invalid_client(&send("/token", &body, &wrong_body), "another body");
    is_invalid_client(&send("/token", &body, &person.token("/token", server.now_ms(), b"")), "no body");
    is_invalid_client(
        &send("/token", &body, &person.token("/userinfo", server.now_ms(), body.as_bytes())),
        "another path",
    );
    is_invalid_client(
        &send("/token", &body, &person.token("/token", server.now_ms() - 301_000, body.as_bytes())),
        "stale",
    );
    is_invalid_client(
        &send("/token", &body, &Person::new().token("/token", server.now_ms(), body.as_bytes())),
        "another key",
    );
    is_invalid_client(&send("/token", &body, "x|y|z"), "no token at all");
    let imposter = Person::new().token("/token", server.now_ms(), body.as_bytes());
    let spoofed = format!("{}|{}", person.pubkey(), imposter.split_once('|').expect("fields").1);
    is_invalid_client(&send("/token", &body, &spoofed), "our key in the field, another in the envelope");
    // At introspection and revocation too (sigma.md 2.12).
    let granted = send("/token", &body, &person.token("/token", server.now_ms(), body.as_bytes())).json();
    let granted = granted["access_token"].as_str().expect("a token").to_owned();
    for path in ["/introspect", "/revoke"] {
        let body = form(&[("token", &granted), ("client_id", &app.id)]);
        assert_eq!(send(path, &body, &person.token(path, server.now_ms(), body.as_bytes())).status, 200, "{path}");
    }
    // A code, as the plugin redeems it.
    let (cookie, pkce) = (server.session(&Person::new()), assay_tests::actors::Pkce::new());
    let code = server.code(&cookie, &app, &pkce, &[("scope", "read")]);
    let body = form(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("client_id", &app.id),
        ("code_verifier", &pkce.verifier),
    ]);
    let path = "/api/auth/oauth2/token";
    is_invalid_client(
        &send(path, &body, &Person::new().token(path, server.now_ms(), body.as_bytes())),
        "a failed signature does not burn the code",
    );
    assert_eq!(send(path, &body, &person.token(path, server.now_ms(), body.as_bytes())).status, 200);
}

/// What the token endpoint refuses before it looks at anything (oauth.md §0, §2).
fn token_endpoint_refusals(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let app = server.service();
    let check = |pairs: &[(&str, &str)], status: u16, error: &str| {
        let response = server.token(&app, pairs);
        assert_eq!((response.status, response.error().as_str()), (status, error), "{pairs:?}: {}", response.shown());
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("pragma"), Some("no-cache"));
    };
    check(&[], 400, "unsupported_grant_type");
    check(&[("grant_type", "")], 400, "unsupported_grant_type");
    check(&[("grant_type", "password")], 400, "unsupported_grant_type");
    check(&[("grant_type", "refresh_token"), ("refresh_token", "x")], 400, "unsupported_grant_type");
    check(&[("grant_type", "authorization_code"), ("code", "x")], 400, "unauthorized_client");
    check(&[GRANT, ("scope", "admin")], 400, "invalid_scope");
    check(&[GRANT, ("resource", "https://unknown.test")], 400, "invalid_target");
    let web = server.register(&web_app());
    let response = server.token(
        &web,
        &[
            ("grant_type", "authorization_code"),
            ("code", "as_ac_unknown"),
            ("code_verifier", "x"),
            ("redirect_uri", CALLBACK),
        ],
    );
    assert_eq!((response.status, response.error().as_str()), (400, "invalid_grant"), "{}", response.shown());
}

both_runtimes!(
    attack_62_wrong_secret,
    attack_63_two_methods,
    attack_64_another_method_than_registered,
    attack_65_public_client_with_secret,
    attack_66_assertions,
    attack_66_parallel_replay_of_an_assertion,
    attack_67_disabled_and_rotated_out,
    attack_68_basic_encoding,
    bitcoin_signature_over_the_form,
    token_endpoint_refusals,
);
