//! Attacks on the batch route, the engine's verdict routing and the token cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use assay_storage::TenantId;
use assay_storage::record::KeyState;
use assay_tests::actors::{App, Person, random_text};
use assay_tests::forge::{self, Signer};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::access_token;
use assay_tests::wire::{Connection, Request};
use serde_json::{Value, json};

/// Tokens per batch at most (oauth.md §3.1).
const ITEMS_MAX: usize = 1_000;

/// A server, and good tokens for it by the thousand without asking it for them.
struct Mint {
    server: Server,
    signer: Signer,
    reader: App,
    claims: Value,
}

impl Mint {
    fn new(options: Options) -> Mint {
        let signer = Signer::new(KeyState::Active);
        let server = options.key(TenantId::DEFAULT, signer.row.clone()).start();
        let (reader, app) = (server.resource_server(), server.service());
        let claims = forge::payload(&server.service_token(&app));
        Mint { server, signer, reader, claims }
    }

    /// A token with an id of its own.
    fn token(&self, jti: &str) -> String {
        let mut claims = self.claims.clone();
        claims["jti"] = json!(jti);
        self.signer.access_token(&claims)
    }

    fn tokens(&self, count: usize) -> Vec<String> {
        (0..count).map(|index| self.token(&format!("{index}-{}", random_text()))).collect()
    }

    /// One whose signature is another token's.
    fn bad(&self) -> String {
        let other = self.token(&random_text());
        forge::with_signature(&self.token(&random_text()), &forge::signature(&other))
    }
}

fn off() -> Value {
    json!({"active": false})
}

fn attack_31_one_bad_among_999(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).cores(2));
    for at in [0, 1, 7, 8, 500, 998, 999] {
        let mut tokens = mint.tokens(ITEMS_MAX);
        tokens[at] = mint.bad();
        let results = mint.server.batch(&mint.reader, &tokens);
        assert_eq!(results.len(), ITEMS_MAX);
        for (index, (token, result)) in tokens.iter().zip(&results).enumerate() {
            if index == at {
                assert_eq!(*result, off());
            } else {
                assert_eq!(result["jti"], forge::payload(token)["jti"], "{index}, the bad one at {at}: {result}");
            }
        }
    }
}

fn attack_32_the_same_token_a_thousand_times(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).cores(2));
    for token in [mint.token("same"), mint.bad()] {
        let results = mint.server.batch(&mint.reader, &vec![token.clone(); ITEMS_MAX]);
        assert_eq!(results, vec![mint.server.introspect(&mint.reader, &token); ITEMS_MAX]);
    }
}

/// One tenant exists; a second one's key stands in the same database, under its own prefix.
fn attack_33_tokens_of_two_tenants_mixed(runtime: Runtime) {
    let foreign = Signer::new(KeyState::Active);
    let mint = Mint::new(Options::new(runtime).key(TenantId(2), foreign.row.clone()));
    let tokens: Vec<String> = (0..200)
        .map(|index| if index % 3 == 0 { foreign.access_token(&mint.claims) } else { mint.token(&random_text()) })
        .collect();
    for (index, result) in mint.server.batch(&mint.reader, &tokens).iter().enumerate() {
        assert_eq!(*result == off(), index % 3 == 0, "{index}: {result}");
    }
}

fn attack_34_revoked_between_two_batches(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).cores(2));
    let app = mint.server.service();
    let own = mint.server.service_token(&app);
    let mut tokens = mint.tokens(100);
    tokens[42] = own.clone();
    assert!(mint.server.batch(&mint.reader, &tokens).iter().all(|result| result["active"] == true));
    mint.server.revoke(&app, &own);
    for (index, result) in mint.server.batch(&mint.reader, &tokens).iter().enumerate() {
        assert_eq!(*result == off(), index == 42, "{index}");
    }
}

fn attack_35_sizes_of_a_batch(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime));
    let check = |body: &str, status: u16| {
        let request = Request::post("/introspect/batch").basic(&mint.reader.id, &mint.reader.secret);
        let request = request.header("content-type", "application/json").body(body);
        let response = mint.server.connect().send_refusable(&request).expect("an answer");
        assert_eq!(response.status, status, "{:.80}: {}", body, response.shown());
        if status != 200 {
            assert_eq!(response.error(), "invalid_request", "{body:.80}");
        }
    };
    let items = |count: usize| json!({"tokens": vec![json!({"token": "x"}); count]}).to_string();
    check(&items(0), 400);
    check(&items(1), 200);
    check(&items(1_000), 200);
    check(&items(1_001), 413);
    check(&items(50_000), 413);
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"tokens\":null}",
        "{\"tokens\":{}}",
        "{\"tokens\":\"x\"}",
        "{\"tokens\":[",
        "{\"tokens\":[{}]} x",
        "{\"token\":[{\"token\":\"x\"}]}",
    ] {
        check(body, 400);
    }
    check("{\"tokens\":[{\"token\":\"x\"}],\"unknown\":[1,{\"a\":null}]}", 200);
}

fn attack_36_items_of_another_type(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime));
    let good = mint.token("good");
    let odd = [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!({}),
        json!({"token": null}),
        json!({"token": 1}),
        json!({"token": [good]}),
        json!({"token": {"token": good}}),
        json!({"token": ""}),
        json!({"token": true}),
        json!({"Token": good}),
        json!({"token": "x", "id": 5}),
    ];
    let mut items = odd.to_vec();
    items.push(json!({"token": good, "id": "mine", "token_type_hint": "nonsense", "more": {"x": [1]}}));
    let results = mint.server.batch_items(&mint.reader, &items);
    assert_eq!(results.len(), items.len());
    let (last, rest) = results.split_last().expect("not empty");
    for (item, result) in odd.iter().zip(rest) {
        assert_eq!(result["active"], false, "{item}: {result}");
        assert!(
            result.as_object().is_some_and(|members| members.keys().all(|key| key == "active" || key == "id")),
            "{result}"
        );
    }
    assert_eq!((&last["active"], &last["id"]), (&json!(true), &json!("mine")), "{last}");
}

/// A full server says 503 with `Retry-After`, at once, and every verdict it does give is right.
fn attack_37_a_full_queue_is_503_never_a_wrong_verdict(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).set("in_flight_max", 1));
    let (good, bad) = (mint.token("good"), mint.bad());
    let ask = |token: &str| mint.reader.authenticate(Request::post("/introspect"), &[("token", token)]);
    // A request whose body is not complete holds the one place.
    let mut holder = mint.server.connect();
    let rest = holder.begin(&ask(&good)).expect("the body is awaited");
    let refused = mint.server.connect().send(&ask(&bad)).expect("an answer").expect_status(503);
    assert!(refused.header("retry-after").is_some(), "{}", refused.shown());
    assert_eq!(refused.error(), "temporarily_unavailable");
    holder.write(&rest).expect("written");
    assert_eq!(
        holder.read(false).expect("an answer").expect_status(200).json()["active"],
        true,
        "the holder is answered"
    );
    // Batches of junk from all sides: right verdicts or 503, nothing else.
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = mint.server.connect();
                for round in 0..20 {
                    let mut tokens: Vec<String> = (0..60).map(|_| mint.bad()).collect();
                    tokens[round] = mint.token(&random_text());
                    let items: Vec<Value> = tokens.iter().map(|token| json!({"token": token})).collect();
                    let request = Request::post("/introspect/batch").basic(&mint.reader.id, &mint.reader.secret);
                    let response = connection.send(&request.json(&json!({"tokens": items}))).expect("an answer");
                    if response.closes() {
                        connection = mint.server.connect();
                    }
                    if response.status == 503 {
                        continue;
                    }
                    let results = response.expect_status(200).json()["results"].clone();
                    for (index, result) in results.as_array().expect("results").iter().enumerate() {
                        let unavailable = result["error"] == "temporarily_unavailable" && result["active"] == false;
                        assert!(unavailable || (result["active"] == true) == (index == round), "{index}: {result}");
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(answered.load(Ordering::Relaxed) > 0, "some were answered");
}

fn attack_38_disconnect_in_the_middle_of_a_batch(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).cores(2));
    let junk: Vec<Value> = (0..ITEMS_MAX).map(|index| json!({"token": mint.token(&format!("gone-{index}"))})).collect();
    let request =
        Request::post("/introspect/batch").basic(&mint.reader.id, &mint.reader.secret).json(&json!({"tokens": junk}));
    let bytes = request.bytes();
    let good = mint.tokens(50);
    for round in 0..40 {
        let mut leaver = mint.server.connect();
        // Sometimes in the middle of the body, sometimes while it is being judged.
        let length = if round % 2 == 0 { bytes.len() } else { bytes.len() / 2 };
        leaver.write(&bytes[..length]).expect("written");
        drop(leaver);
        let results = mint.server.batch(&mint.reader, &good);
        assert!(results.iter().all(|result| result["active"] == true), "others are not affected");
    }
    // Nothing is held for those who left: the gauge returns to what this test itself keeps open.
    let settled = (0..100_000).any(|_| mint.server.metric("assay_connections ", "") <= 1.0);
    assert!(settled, "{}", mint.server.metrics());
}

/// Attack 39 asks for 10^6 checks; the suite does 2·10^5 over eight connections, batches and singles mixed.
fn attack_39_every_verdict_reaches_its_asker(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).cores(2));
    let threads = 8;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mint = &mint;
            scope.spawn(move || {
                let good: Vec<(String, String)> =
                    (0..250).map(|index| format!("{thread}-{index}")).map(|jti| (mint.token(&jti), jti)).collect();
                let bad: Vec<String> = (0..50).map(|_| mint.bad()).collect();
                let mut connection = mint.server.connect();
                let mut checks = 0;
                for round in 0..50_usize {
                    let picks: Vec<usize> = (0..500).map(|at| (at * 7 + round * 13) % 300).collect();
                    let items: Vec<Value> = picks
                        .iter()
                        .enumerate()
                        .map(|(at, pick)| {
                            let token = good.get(*pick).map_or_else(|| &bad[pick - 250], |(token, _)| token);
                            json!({"token": token, "id": format!("{thread}/{round}/{at}")})
                        })
                        .collect();
                    let request = Request::post("/introspect/batch").basic(&mint.reader.id, &mint.reader.secret);
                    let answer = connection
                        .send(&request.json(&json!({"tokens": items})))
                        .expect("an answer")
                        .expect_status(200)
                        .json();
                    for (at, (pick, result)) in
                        picks.iter().zip(answer["results"].as_array().expect("results")).enumerate()
                    {
                        assert_eq!(result["id"], json!(format!("{thread}/{round}/{at}")));
                        match good.get(*pick) {
                            Some((_, jti)) => assert_eq!(result["jti"], json!(jti)),
                            None => assert_eq!(result["active"], false),
                        }
                        checks += 1;
                    }
                    for (token, jti) in good.iter().skip(round).step_by(50) {
                        let request = mint.reader.authenticate(Request::post("/introspect"), &[("token", token)]);
                        let answer = connection.send(&request).expect("an answer").expect_status(200).json();
                        assert_eq!(answer["jti"], json!(jti));
                        checks += 1;
                    }
                }
                assert!(checks >= 200_000 / threads, "{checks}");
            });
        }
    });
}

fn attack_40_cache_poisoning(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime));
    let good = mint.token("good");
    for _ in 0..3 {
        assert!(mint.server.is_active(&mint.reader, &good), "primed");
    }
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let encode = |value: &Value| base64_turbo::URL_SAFE_NO_PAD.encode(value.to_string());
    // The last letter carries two bits, so that one of four signatures ends in A anyway.
    let last = if signature.ends_with('A') { 'Q' } else { 'A' };
    let mut twins = vec![
        // Same prefix, same signature, same kid and sub.
        format!("{header}.{payload}.{}", "A".repeat(signature.len())),
        format!("{header}.{payload}.{}{last}", &signature[..signature.len() - 1]),
        format!("{good}A"),
        format!("{good} "),
        format!("{good}\0"),
    ];
    for (name, value) in [
        ("scope", json!("admin")),
        ("exp", json!(4_000_000_000_u64)),
        ("sub", json!("root")),
        ("gen", json!(1_u64 << 52)),
    ] {
        let mut claims = forge::payload(&good);
        claims[name] = value;
        twins.push(format!("{header}.{}.{signature}", encode(&claims)));
    }
    let mut other_header = mint.signer.header();
    other_header["x"] = json!(1);
    twins.push(format!("{}.{payload}.{signature}", encode(&other_header)));
    for twin in &twins {
        assert!(!mint.server.is_active(&mint.reader, twin), "{twin}");
        assert!(mint.server.is_active(&mint.reader, &good), "and the good one stays good");
    }
    assert!(mint.server.batch(&mint.reader, &twins).iter().all(|result| *result == off()));
    // Primed with bad ones first, a good one is still found good.
    let late = mint.token("late");
    assert!(!mint.server.is_active(&mint.reader, &forge::with_signature(&late, &forge::signature(&good))));
    assert!(mint.server.is_active(&mint.reader, &late));
}

/// Entries that were hit survive a flood, of junk and of tokens that are good but used once.
fn attack_41_junk_does_not_evict_good_entries(runtime: Runtime) {
    let mint = Mint::new(Options::new(runtime).set("token_cache_bytes", 1_000_000));
    let good = mint.tokens(100);
    for _ in 0..3 {
        assert!(mint.server.batch(&mint.reader, &good).iter().all(|result| result["active"] == true));
    }
    let hits = || mint.server.metric("assay_token_cache_hits_total", "");
    let before = hits();
    for round in 0..20 {
        let junk: Vec<String> = (0..ITEMS_MAX).map(|index| format!("{}{round}{index}", mint.bad())).collect();
        let _all_off = mint.server.batch(&mint.reader, &junk);
        let once = mint.tokens(ITEMS_MAX);
        assert!(mint.server.batch(&mint.reader, &once).iter().all(|result| result["active"] == true));
    }
    assert!(hits() - before < 100.0, "what was never seen cannot hit");
    let before = hits();
    assert!(mint.server.batch(&mint.reader, &good).iter().all(|result| result["active"] == true));
    let kept = hits() - before;
    assert!(kept >= 90.0, "{kept} of 100 good entries outlived 40,000 others");
}

/// The cached signature says nothing about the person: suspended means OFF at the next call, on every core.
fn attack_43_suspended_with_a_cached_signature(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let reader = server.resource_server();
    // Enough connections that both cores have some.
    let mut connections: Vec<Connection> = (0..16).map(|_| server.connect()).collect();
    for _ in 0..10 {
        let answer = server.sign_in(&Person::new());
        let token = access_token(&answer);
        let user_id = forge::payload(&token)["sub"].as_str().expect("a user").to_owned();
        let request = reader.authenticate(Request::post("/introspect"), &[("token", &token)]);
        for connection in &mut connections {
            assert_eq!(connection.send(&request).expect("an answer").json()["active"], true);
        }
        server.suspend(&user_id);
        for connection in &mut connections {
            assert_eq!(connection.send(&request).expect("an answer").json(), off());
        }
        assert_eq!(server.userinfo(&token).status, 401);
        server.reactivate(&user_id);
        for connection in &mut connections {
            assert_eq!(connection.send(&request).expect("an answer").json(), off(), "old tokens stay dead");
        }
    }
}

both_runtimes!(
    attack_31_one_bad_among_999,
    attack_32_the_same_token_a_thousand_times,
    attack_33_tokens_of_two_tenants_mixed,
    attack_34_revoked_between_two_batches,
    attack_35_sizes_of_a_batch,
    attack_36_items_of_another_type,
    attack_37_a_full_queue_is_503_never_a_wrong_verdict,
    attack_38_disconnect_in_the_middle_of_a_batch,
    attack_39_every_verdict_reaches_its_asker,
    attack_40_cache_poisoning,
    attack_41_junk_does_not_evict_good_entries,
    attack_43_suspended_with_a_cached_signature,
);
