//! Who may ask about a token, what they hear, and that a revocation is final the moment it is acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_storage::TenantId;
use assay_storage::record::KeyState;
use assay_tests::actors::{App, Person, Pkce, random_text};
use assay_tests::forge::{self, Signer};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{AUDIENCE, ISSUER, access_token};
use assay_tests::wire::{Connection, Request};
use base64_turbo::STANDARD;
use serde_json::{Value, json};

fn off() -> Value {
    json!({"active": false})
}

fn attack_77_no_authentication(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, web) = (server.service(), server.web_app());
    let token = server.service_token(&app);
    let single = || Request::post("/introspect");
    let batch = Request::post("/introspect/batch").json(&json!({"tokens": [{"token": token}]}));
    for request in [
        single().form(&[("token", &token)]),
        single().form(&[]),
        single().form(&[("token", &token), ("client_id", &app.id)]),
        single().form(&[("token", &token), ("client_id", &web.id)]),
        single().form(&[("token", &token)]).bearer("x"),
        single().form(&[("token", &token)]).bearer(&token),
        batch.clone(),
        batch.clone().bearer(&token),
        batch.clone().basic(&app.id, "x"),
    ] {
        let response = server.send(&request);
        assert_eq!(response.status, 401, "{request:?}: {}", response.shown());
        assert!(!response.text().contains("active"), "{}", response.shown());
    }
    // A bearer token with scope introspect is the other way in (oauth.md §3).
    let monitor = server.register(&json!({"introspect": true, "scope": "introspect"}));
    let with_scope = server.service_token(&monitor);
    let response = server.send(&single().form(&[("token", &token)]).bearer(&with_scope)).expect_status(200);
    assert_eq!(response.json()["active"], true, "{}", response.shown());
}

fn attack_78_foreign_resource_server(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let app = server.service();
    let token = server.service_token(&app);
    let other_audience = server.register(&json!({"introspect": true, "audiences": ["https://other.test"]}));
    let not_registered = server.service();
    let no_audience = server.register(&json!({"introspect": true, "audiences": []}));
    for stranger in [&other_audience, &not_registered, &no_audience] {
        assert_eq!(server.introspect(stranger, &token), off());
        assert_eq!(server.batch(stranger, &[&token]), [off()]);
    }
    assert!(server.is_active(&app, &token), "the issuing client");
    assert!(server.is_active(&server.resource_server(), &token), "the resource server of its audience");
}

/// Refresh tokens do not exist yet; what looks like one, and every other secret of ours, is OFF.
fn attack_79_other_secrets_as_token(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, reader, web) = (server.service(), server.resource_server(), server.web_app());
    let (cookie, pkce) = (server.session(&Person::new()), Pkce::new());
    let code = server.code(&cookie, &web, &pkce, &[]);
    let session = cookie.split_once('=').expect("a cookie").1.split('.').next().expect("a token").to_owned();
    let refresh = format!("as_rt_{}", random_text());
    for secret in [refresh.as_str(), &code, &session, &app.secret, &server.admin_token] {
        for hint in ["access_token", "refresh_token", "bitcoin-auth"] {
            let pairs = [("token", secret), ("token_type_hint", hint), ("request_path", "/x")];
            let answer = server.send(&reader.authenticate(Request::post("/introspect"), &pairs)).expect_status(200);
            assert_eq!(answer.json(), off(), "{hint}");
        }
        assert_eq!(server.userinfo(secret).status, 401);
    }
    assert_eq!(server.redeem(&web, &code, &pkce).status, 200, "asking about a code does not use it up");
}

fn attack_80_wrong_hint(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, reader) = (server.service(), server.resource_server());
    let good = server.service_token(&app);
    for token in [good.as_str(), "junk"] {
        let plain = server.introspect(&reader, token);
        for hint in ["access_token", "refresh_token", "id_token", "nonsense", ""] {
            let pairs = [("token", token), ("token_type_hint", hint)];
            let answer =
                server.send(&reader.authenticate(Request::post("/introspect"), &pairs)).expect_status(200).json();
            assert_eq!(answer, plain, "{hint}");
            let item = json!({"token": token, "token_type_hint": hint});
            assert_eq!(server.batch_items(&reader, &[item])[0], plain, "{hint}");
        }
    }
    for hint in ["refresh_token", "nonsense"] {
        let token = server.service_token(&app);
        let pairs = [("token", token.as_str()), ("token_type_hint", hint)];
        assert_eq!(server.send(&app.authenticate(Request::post("/revoke"), &pairs)).status, 200);
        assert!(!server.is_active(&reader, &token), "revoked in spite of the hint {hint}");
    }
}

fn attack_81_get(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let reader = server.resource_server();
    for path in ["/introspect", "/introspect?token=x", "/introspect/batch", "/revoke", "/token", "/oauth2/introspect"] {
        for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD"] {
            let response = server
                .connect()
                .send(&Request::new(method, path).basic(&reader.id, &reader.secret))
                .expect("an answer");
            assert_eq!(response.status, 405, "{method} {path}: {}", response.shown());
            assert!(response.header("allow").is_some_and(|allow| allow.contains("POST")), "{}", response.shown());
        }
    }
}

fn attack_82_revoking_a_foreign_token(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (owner, thief, reader) = (server.service(), server.service(), server.resource_server());
    let token = server.service_token(&owner);
    for stranger in [&thief, &reader] {
        server.revoke(stranger, &token);
        assert!(server.is_active(&owner, &token), "still active for its owner");
    }
    let own = server.send(&thief.authenticate(Request::post("/revoke"), &[("token", "junk")])).expect_status(200);
    let foreign = server.send(&thief.authenticate(Request::post("/revoke"), &[("token", &token)])).expect_status(200);
    assert_eq!(own.body, foreign.body, "no oracle");
    assert!(own.body.is_empty());
    server.revoke(&owner, &token);
    assert!(!server.is_active(&owner, &token));
    server.revoke(&owner, &token);
    let missing = server.send(&owner.authenticate(Request::post("/revoke"), &[]));
    assert_eq!((missing.status, missing.error().as_str()), (400, "invalid_request"));
    // A public client revokes its own.
    let web = server.web_app();
    let answer = server.web_sign_in(&Person::new(), &web);
    let token = access_token(&answer);
    assert!(server.is_active(&reader, &token));
    server.revoke(&web, &token);
    assert!(!server.is_active(&reader, &token));
}

/// Revoke on one connection, ask on others that other cores serve: OFF, each time. Every token is in every core's cache
/// first. 2,000 rounds in the suite; `ASSAY_LONG=1` makes it 10^5.
fn attack_83_revoked_means_off_everywhere(runtime: Runtime) {
    let rounds = if std::env::var_os("ASSAY_LONG").is_some() { 100_000 } else { 2_000 };
    let signer = Signer::new(KeyState::Active);
    let server = Options::new(runtime).cores(2).key(TenantId::DEFAULT, signer.row.clone()).start();
    let (app, reader) = (server.service(), server.resource_server());
    let claims = forge::payload(&server.service_token(&app));
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut revoker = server.connect();
                let mut askers: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
                while done.fetch_add(1, Ordering::Relaxed) < rounds {
                    let mut claims = claims.clone();
                    claims["jti"] = json!(random_text());
                    let token = signer.access_token(&claims);
                    let ask = reader.authenticate(Request::post("/introspect"), &[("token", &token)]);
                    for asker in &mut askers {
                        assert_eq!(asker.send(&ask).expect("an answer").expect_status(200).json()["active"], true);
                    }
                    let revoke = app.authenticate(Request::post("/revoke"), &[("token", &token)]);
                    assert_eq!(revoker.send(&revoke).expect("an answer").status, 200);
                    for asker in &mut askers {
                        assert_eq!(asker.send(&ask).expect("an answer").expect_status(200).json(), off());
                    }
                }
            });
        }
    });
    assert!(done.load(Ordering::Relaxed) >= rounds);
}

/// Every subset of the levels, in both orders: a token is OFF exactly when at least one level was revoked after it was
/// minted. A narrower level must not hide a wider one (CVE-2026-8922), an older revocation must not touch a newer token.
fn attack_84_every_combination_of_levels(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let reader = server.resource_server();
    let levels = ["tenant", "client", "subject", "session"];
    for subset in 0_u32..16 {
        for reversed in [false, true] {
            let (app, person) = (server.web_app(), Person::new());
            let token = access_token(&server.web_sign_in(&person, &app));
            assert!(server.is_active(&reader, &token));
            let claims = forge::payload(&token);
            let ids = [
                "default",
                &app.id,
                claims["sub"].as_str().expect("a user"),
                claims["sid"].as_str().expect("a session"),
            ];
            let mut chosen: Vec<usize> = (0..4).filter(|index| subset & 1 << index != 0).collect();
            if reversed {
                chosen.reverse();
            }
            for index in chosen {
                server.revoke_level(levels[index], ids[index]);
                assert!(!server.is_active(&reader, &token), "{subset:04b}: dead from {} on", levels[index]);
            }
            assert_eq!(server.is_active(&reader, &token), subset == 0, "{subset:04b}");
            // Minted after all of them: alive, unless its own session is gone.
            let newer = access_token(&server.web_sign_in(&person, &app));
            assert!(server.is_active(&reader, &newer), "{subset:04b}: a newer token");
            if subset != 0 {
                // The narrow level again, now with a higher number than the wide one: the old token stays dead.
                server.revoke_level("session", "sid_of_nobody");
                assert!(!server.is_active(&reader, &token), "{subset:04b}: it stays dead");
            }
        }
    }
    // Level jti and level key.
    let app = server.service();
    let token = server.service_token(&app);
    server.revoke_level("jti", forge::payload(&token)["jti"].as_str().expect("an id"));
    assert!(!server.is_active(&reader, &token));
    let token = server.service_token(&app);
    let kid = forge::header(&token)["kid"].as_str().expect("a kid").to_owned();
    server.admin_ok("POST", &format!("/keys/{kid}/revoke"), Some(&json!({})));
    assert!(!server.is_active(&reader, &token), "its key was revoked");
    let next = server.service_token(&app);
    assert_ne!(forge::header(&next)["kid"], json!(kid));
    assert!(server.is_active(&reader, &next), "the next key signs");
    let jwks = server.send(&Request::get("/.well-known/jwks.json")).text();
    assert!(!jwks.contains(&kid), "a revoked key is not published");
}

/// oauth.md §3.1: for any multiset of tokens, the batch says what the single answers say.
fn batch_equals_single(runtime: Runtime) {
    let signer = Signer::new(KeyState::Active);
    let server = Options::new(runtime).cores(2).key(TenantId::DEFAULT, signer.row.clone()).start();
    let (app, reader) = (server.service(), server.resource_server());
    let web = server.web_app();
    let good = server.service_token(&app);
    let revoked = server.service_token(&app);
    server.revoke(&app, &revoked);
    let user = server.web_sign_in(&Person::new(), &web);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = forge::payload(&good);
        change(&mut claims);
        signer.access_token(&claims)
    };
    let pool = [
        good.clone(),
        revoked,
        access_token(&user),
        user["id_token"].as_str().expect("an id_token").to_owned(),
        with(&|claims| claims["exp"] = json!(1)),
        with(&|claims| claims["aud"] = json!(["https://other.test"])),
        with(&|claims| claims["extra"] = json!({"ünï": "\"\\"})),
        with(&|claims| claims["scope"] = json!("a \"b\" <c>")),
        forge::with_signature(&good, &[0; 64]),
        "junk".to_owned(),
        "a.b.c".to_owned(),
        String::from("☃"),
    ];
    let single: HashMap<&str, Value> =
        pool.iter().map(|token| (token.as_str(), server.introspect(&reader, token))).collect();
    assert_eq!(single.values().filter(|answer| answer["active"] == true).count(), 4);
    // A small linear congruential walk over the pool: repeats, runs and every order of neighbours.
    let mut state = 12_345_u64;
    for length in [1, 2, 3, 7, 8, 9, 16, 64, 65, 333, 1_000] {
        let tokens: Vec<&str> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pool[usize::try_from(state >> 33).expect("31 bits") % pool.len()].as_str()
            })
            .collect();
        for (token, result) in tokens.iter().zip(server.batch(&reader, &tokens)) {
            assert_eq!(result, single[token], "{length}: {token}");
        }
    }
}

/// The members of an active answer, for a person and for a service (oauth.md §3).
fn what_an_active_answer_says(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, reader, web) = (server.service(), server.resource_server(), server.web_app());
    let token = server.service_token(&app);
    assert_eq!(forge::header(&token)["typ"], "at+jwt");
    assert_eq!(forge::header(&token)["alg"], "ES256");
    let answer = server.introspect(&reader, &token);
    let claims = forge::payload(&token);
    for name in ["iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti", "tid", "sty"] {
        assert_eq!(answer[name], claims[name], "{name}");
    }
    assert_eq!(
        (&answer["token_type"], &answer["iss"], &answer["sty"]),
        (&json!("Bearer"), &json!(ISSUER), &json!("service"))
    );
    assert_eq!(answer["aud"], json!([AUDIENCE]));
    let person = Person::new();
    let answer = server.introspect(&reader, &access_token(&server.web_sign_in(&person, &web)));
    assert_eq!(
        (&answer["sty"], &answer["pubkey"], &answer["client_id"]),
        (&json!("user"), &json!(person.pubkey()), &json!(web.id))
    );
    for name in ["sid", "auth_time", "amr", "bap_id"] {
        assert!(!answer[name].is_null(), "{name}: {answer}");
    }
    let plain = server.send(&reader.authenticate(Request::post("/introspect"), &[("token", &token)]));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
    let cached = server.register(&json!({"introspect": true, "introspection_max_age": 20}));
    let response = server.send(&cached.authenticate(Request::post("/introspect"), &[("token", &token)]));
    assert_eq!(response.header("cache-control"), Some("private, max-age=20"), "opted in: {}", response.shown());
    let inactive = server.send(&cached.authenticate(Request::post("/introspect"), &[("token", "x")]));
    assert_eq!(inactive.header("cache-control"), Some("no-store"), "an inactive answer is never kept");
}

/// RFC 9701.
fn a_signed_introspection_answer(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, reader) = (server.service(), server.resource_server());
    let always = server.register(&json!({"introspect": true, "introspection_signed_response_alg": "ES256"}));
    let token = server.service_token(&app);
    let media = "application/token-introspection+jwt";
    for (caller, accept) in [(&reader, Some(media)), (&always, None), (&always, Some("application/json"))] {
        for token in [token.as_str(), "junk"] {
            let request = caller.authenticate(Request::post("/introspect"), &[("token", token)]);
            let response = server.send(&match accept {
                Some(accept) => request.header("accept", accept),
                None => request,
            });
            assert_eq!(response.header("content-type"), Some(media), "{}", response.shown());
            let jwt = response.text();
            assert_eq!(forge::header(&jwt)["typ"], "token-introspection+jwt");
            let payload = forge::payload(&jwt);
            assert_eq!((&payload["iss"], &payload["aud"]), (&json!(ISSUER), &json!(caller.id)));
            assert!(
                payload["iat"].is_u64() && payload.get("exp").is_none() && payload.get("sub").is_none(),
                "{payload}"
            );
            assert_eq!(payload["token_introspection"]["active"], token != "junk", "{payload}");
            assert!(!server.is_active(&reader, &jwt), "and it is no access token");
        }
    }
}

/// Bitcoin-auth tokens of a resource server's own users (issue 2 §5).
struct Signed {
    server: Server,
    reader: App,
}

impl Signed {
    fn ask(&self, token: &str, more: &[(&str, &str)]) -> Value {
        let mut pairs = vec![("token", token), ("token_type_hint", "bitcoin-auth")];
        pairs.extend_from_slice(more);
        self.server.send(&self.reader.authenticate(Request::post("/introspect"), &pairs)).expect_status(200).json()
    }

    fn ask_batch(&self, token: &str, more: &[(&str, &str)]) -> Value {
        let mut item = json!({"token": token, "token_type_hint": "bitcoin-auth"});
        for (name, value) in more {
            item[name] = if *name == "single_use" { json!(*value == "true") } else { json!(value) };
        }
        self.server.batch_items(&self.reader, &[item]).remove(0)
    }
}

fn bitcoin_auth_introspection(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let signed = Signed { reader: server.resource_server(), server };
    let now = signed.server.now_ms();
    let body = b"{\"amount\":1}";
    let hash = hex::encode(assay_tests::actors::sha256(body));
    for scheme in [assay_tools::bitcoin_sign::Scheme::Brc77, assay_tools::bitcoin_sign::Scheme::Bsm] {
        let person = Person::new().with_scheme(scheme);
        let token = person.token("/api/pay?x=1", now, body);
        let right = [("request_path", "/api/pay?x=1"), ("body_sha256", hash.as_str())];
        for answer in [signed.ask(&token, &right), signed.ask_batch(&token, &right), signed.ask(&token, &right)] {
            assert_eq!(
                (&answer["active"], &answer["token_type"], &answer["scheme"]),
                (&json!(true), &json!("bitcoin-auth"), &json!(scheme.as_str())),
                "{answer}"
            );
            assert_eq!(
                (&answer["pubkey"], &answer["address"]),
                (&json!(person.pubkey()), &json!(person.key.address()))
            );
            assert_eq!(answer["iat"], json!(now / 1000));
            assert!(answer.get("sub").is_none(), "nobody here: {answer}");
        }
        let user = signed.server.sign_in(&person);
        let answer = signed.ask(&token, &right);
        assert_eq!(answer["sub"], forge::payload(&access_token(&user))["sub"], "a user of ours is named");
        for wrong in [
            &[("request_path", "/api/pay"), ("body_sha256", hash.as_str())][..],
            &[("request_path", "/api/pay?x=2"), ("body_sha256", &hash)],
            &[("request_path", "/api/pay?x=1")],
            &[("request_path", "/api/pay?x=1"), ("body_sha256", &"0".repeat(64))],
        ] {
            assert_eq!(signed.ask(&token, wrong), off(), "{wrong:?}");
            assert_eq!(signed.ask_batch(&token, wrong), off(), "{wrong:?}");
        }
        let empty = person.token("/api/pay", now, b"");
        assert_eq!(signed.ask(&empty, &[("request_path", "/api/pay")])["active"], true);
        for (what, at_ms) in [("stale", now - 310_000), ("ahead", now + 310_000)] {
            let token = person.token("/api/pay", at_ms, b"");
            assert_eq!(signed.ask(&token, &[("request_path", "/api/pay")]), off(), "{what}");
        }
        let once = person.token("/once", now, b"");
        let single = [("request_path", "/once"), ("single_use", "true")];
        assert_eq!(signed.ask(&once, &[("request_path", "/once")])["active"], true, "asking does not use it");
        assert_eq!(signed.ask(&once, &single)["active"], true, "the one use");
        assert_eq!(signed.ask(&once, &single), off(), "the second");
        assert_eq!(signed.ask_batch(&once, &single), off(), "and in a batch");
        let twice = person.token("/twice", now, b"");
        let item =
            json!({"token": twice, "token_type_hint": "bitcoin-auth", "request_path": "/twice", "single_use": true});
        let results = signed.server.batch_items(&signed.reader, &[item.clone(), item.clone(), item]);
        assert_eq!(results.iter().filter(|result| result["active"] == true).count(), 1, "{results:?}");
        // A suspended user's key is inactive.
        signed.server.suspend(forge::payload(&access_token(&user))["sub"].as_str().expect("a user"));
        assert_eq!(signed.ask(&empty, &[("request_path", "/api/pay")]), off(), "suspended");
    }
    let person = Person::new();
    let token = person.token("/x", now, b"");
    assert_eq!(signed.server.introspect(&signed.reader, &token), off(), "without the hint it is no token");
    let stranger = signed.server.service();
    let pairs = [("token", token.as_str()), ("token_type_hint", "bitcoin-auth"), ("request_path", "/x")];
    let answer =
        signed.server.send(&stranger.authenticate(Request::post("/introspect"), &pairs)).expect_status(200).json();
    assert_eq!(answer, off(), "only for resource servers");
    for wrong in
        [&[][..], &[("request_path", "/x"), ("body_sha256", "zz")], &[("request_path", "/x"), ("single_use", "maybe")]]
    {
        let mut pairs = vec![("token", token.as_str()), ("token_type_hint", "bitcoin-auth")];
        pairs.extend_from_slice(wrong);
        let response = signed.server.send(&signed.reader.authenticate(Request::post("/introspect"), &pairs));
        assert_eq!((response.status, response.error().as_str()), (400, "invalid_request"), "{wrong:?}");
    }
}

/// Single use under concurrency: many at once over two cores, one is active.
fn bitcoin_auth_single_use_is_single(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let reader = server.resource_server();
    for _ in 0..10 {
        let token = Person::new().token("/once", server.now_ms(), b"");
        let pairs = [
            ("token", token.as_str()),
            ("token_type_hint", "bitcoin-auth"),
            ("request_path", "/once"),
            ("single_use", "true"),
        ];
        let request = reader.authenticate(Request::post("/introspect"), &pairs);
        let active: usize = std::thread::scope(|scope| {
            let ask = || {
                usize::from(
                    server.connect().send(&request).expect("an answer").expect_status(200).json()["active"] == true,
                )
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(active, 1);
    }
    // High S of the same signature is the same use (sigma.md 1.7, rule 11).
    let person = Person::new().with_scheme(assay_tools::bitcoin_sign::Scheme::Bsm);
    let token = person.token("/once", server.now_ms(), b"");
    let (head, signature) = token.rsplit_once('|').expect("five fields");
    let mut bytes = STANDARD.decode(signature).expect("base64");
    let high = forge::negate(&bytes[33..], &forge::SECP256K1_ORDER);
    bytes[33..].copy_from_slice(&high);
    let twin = format!("{head}|{}", STANDARD.encode(bytes));
    let signed = Signed { server, reader };
    let once = [("request_path", "/once"), ("single_use", "true")];
    assert_eq!(signed.ask(&twin, &once)["active"], true, "high S is accepted");
    assert_eq!(signed.ask(&token, &once), off(), "its low-S twin is the same use");
}

both_runtimes!(
    attack_77_no_authentication,
    attack_78_foreign_resource_server,
    attack_79_other_secrets_as_token,
    attack_80_wrong_hint,
    attack_81_get,
    attack_82_revoking_a_foreign_token,
    attack_83_revoked_means_off_everywhere,
    attack_84_every_combination_of_levels,
    batch_equals_single,
    what_an_active_answer_says,
    a_signed_introspection_answer,
    bitcoin_auth_introspection,
    bitcoin_auth_single_use_is_single,
);
