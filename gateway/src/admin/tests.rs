//! The admin interface over its real listener.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use assay_oauth::revocation::{Level, RevocationView};
use assay_oauth::secret::SecretKind;
use assay_storage::record::{self, KeyState, UserStatus};
use assay_storage::schema::{Sessions, SessionsBySid, Users, UsersByPubkey};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use super::keys;
use super::test_server::{Answer, BASE, NOW, Server};
use crate::state::prepared::PreparedKeys;

#[test]
fn nothing_without_the_token() {
    let server = Server::start();
    let wrong = format!("Bearer {}x", &server.token[..server.token.len() - 1]);
    let twice = [("authorization", server.token.as_str()), ("authorization", server.token.as_str())];
    let path = format!("{BASE}/applications");
    for headers in [&[][..], &[("authorization", wrong.as_str())], &[("authorization", server.token.as_str())], &twice]
    {
        for path in [path.as_str(), "/v1/tenants/other/users", "/nothing", "/"] {
            let answer = server.send("GET", path, headers, "");
            assert!(answer.head.to_lowercase().contains("www-authenticate: bearer"), "{}", answer.head);
            let problem = answer.expect_problem(401, "unauthorized");
            assert!(!problem.to_string().contains(&server.token));
        }
    }
    for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(server.send("GET", path, &[], "").status, 200, "{path}");
    }
    assert!(
        server
            .send("GET", "/metrics", &[], "")
            .head
            .contains("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    server.running.stop();
}

#[test]
fn a_foreign_tenant_is_an_absent_one() {
    let server = Server::start();
    let authorization = format!("Bearer {}", server.token);
    let ask = |method: &str, path: &str| {
        let headers = [("authorization", authorization.as_str()), ("x-request-id", "same")];
        server.send(method, path, &headers, "").expect_problem(404, "not_found")
    };
    let absent = ask("GET", &format!("{BASE}/users/nobody"));
    for path in [
        "/v1/tenants/other/users/nobody",
        "/v1/tenants/other/users",
        "/v1/tenants/defaul%74/users",
        "/v1/tenants//users",
        "/v1",
        "/x",
    ] {
        assert_eq!(ask("GET", path), absent, "{path}");
    }
    assert_eq!(ask("DELETE", "/v1/tenants/other/users"), absent);
    server.call("DELETE", "/users", None).expect_problem(405, "method_not_allowed");
    assert!(server.call("DELETE", "/users", None).head.to_lowercase().contains("allow: get"));
    server.running.stop();
}

#[test]
fn request_ids_are_echoed_on_every_answer() {
    let server = Server::start();
    let echoed = |answer: &Answer| {
        let line = answer.head.lines().find(|line| line.to_lowercase().starts_with("x-request-id: ")).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let answer = server.send("GET", "/health", &[("x-request-id", "abc.DEF_1:2-3")], "");
    assert_eq!(echoed(&answer), "abc.DEF_1:2-3");
    let answer = server.send("GET", "/nothing", &[("x-request-id", "id-7")], "");
    assert_eq!(echoed(&answer), "id-7");
    assert_eq!(answer.json()["request_id"], "id-7");
    for bad in ["a b", "", "é", &"x".repeat(129)] {
        let answer = server.send("GET", "/health", &[("x-request-id", bad)], "");
        assert!(crate::http::dispatch::is_request_id(echoed(&answer).as_bytes()));
        assert_ne!(echoed(&answer), bad);
    }
    server.running.stop();
}

#[test]
fn the_life_of_an_application() {
    let server = Server::start();
    let made = server
        .post("/applications", json!({"name": "N", "grants": ["client_credentials"], "scope": "a b a"}))
        .expect(201);
    let id = made["client_id"].as_str().unwrap().to_owned();
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    assert!(SecretKind::ClientSecret.is_well_formed(&secret));
    assert_eq!(made["scope"], "a b");
    assert_eq!(made["auth_method"], "client_secret_basic");
    let one = format!("/applications/{id}");
    let shown = server.get(&one).expect(200);
    assert!(shown.get("client_secret").is_none());
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/applications").expect(200)["items"], json!([shown]));

    let changed = server.call("PATCH", &one, Some(json!({"name": "M", "access_token_lifetime": 60}))).expect(200);
    assert_eq!(
        (&changed["name"], &changed["access_token_lifetime"], &changed["scope"]),
        (&json!("M"), &json!(60), &json!("a b"))
    );
    let changed = server.call("PATCH", &one, Some(json!({"access_token_lifetime": null}))).expect(200);
    assert_eq!(changed["access_token_lifetime"], Value::Null);

    // The command line sends no body at all.
    let rotated = server.call("POST", &format!("{one}/secrets"), None).expect(201);
    assert_ne!(rotated["client_secret"], json!(secret));
    assert_eq!(rotated["secrets"][0]["expires_at"], NOW + 86_400);
    let rotated = server.post(&format!("{one}/secrets"), json!({"expires_in": 60})).expect(201);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["secrets"][0]["expires_at"], NOW + 60);

    assert_eq!(server.not_before(Level::Client, &id), 0);
    assert_eq!(server.post(&format!("{one}/disable"), json!({})).expect(200)["enabled"], json!(false));
    let not_before = server.not_before(Level::Client, &id);
    assert!(not_before > 0);
    assert!(!server.shared().directory.view(server.shared().tenant, NOW).client_enabled(&id));
    assert_eq!(server.post(&format!("{one}/enable"), json!({})).expect(200)["enabled"], json!(true));
    assert_eq!(server.not_before(Level::Client, &id), not_before, "what was issued before stays dead");
    assert_eq!(server.call("DELETE", &one, None).expect(204), Value::Null);
    assert!(server.not_before(Level::Client, &id) > not_before);
    server.get(&one).expect_problem(404, "not_found");
    server.call("DELETE", &one, None).expect_problem(404, "not_found");
    server.running.stop();
}

#[test]
fn lists_have_pages() {
    let server = Server::start();
    for name in ["a", "b", "c"] {
        server.post("/applications", json!({"name": name, "grants": []})).expect(201);
    }
    let first = server.get("/applications?limit=2").expect(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.get(&format!("/applications?limit=2&after={cursor}")).expect(200);
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], Value::Null);
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "limit=",
        "limit=+1",
        "nothing=1",
        &format!("after={}", "x".repeat(257)),
    ] {
        server.get(&format!("/applications?{query}")).expect_problem(400, "invalid_parameter");
    }
    server.running.stop();
}

#[test]
fn what_cannot_be_registered() {
    let server = Server::start();
    let check = |mut body: Value, pointers: &[&str]| {
        for (name, value) in [("name", json!("N")), ("grants", json!([]))] {
            let object = body.as_object_mut().unwrap();
            object.entry(name).or_insert(value);
        }
        let answer = server.post("/applications", body.clone());
        if pointers.is_empty() {
            answer.expect(201);
            return;
        }
        let problem = answer.expect_problem(422, "invalid_value");
        let found: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{body}");
    };
    // The secp256k1 generator; nothing has x = 5 on that curve.
    let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    check(json!({"auth_method": "bitcoin_signature", "pubkey": key}), &[]);
    check(json!({"auth_method": "bitcoin_signature", "pubkey": key.to_uppercase()}), &[]);
    check(json!({"auth_method": "bitcoin_signature"}), &["/pubkey"]);
    check(json!({"auth_method": "bitcoin_signature", "pubkey": null}), &["/pubkey"]);
    check(json!({"pubkey": format!("02{}5", "0".repeat(63))}), &["/pubkey"]);
    check(json!({"pubkey": format!("04{}", &key[2..])}), &["/pubkey"]);
    check(json!({"pubkey": &key[..64]}), &["/pubkey"]);
    check(json!({"auth_method": "private_key_jwt", "jwks": {"keys": [jwk]}}), &[]);
    check(json!({"auth_method": "private_key_jwt"}), &["/jwks"]);
    check(json!({"jwks": {"keys": []}}), &["/jwks"]);
    check(json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}), &["/jwks"]);
    check(json!({"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["x"]}]}}), &["/jwks"]);
    check(
        json!({"auth_method": "none", "grants": ["authorization_code"], "redirect_uris": ["https://a.example/cb"]}),
        &[],
    );
    check(json!({"auth_method": "none", "grants": ["client_credentials"]}), &["/grants"]);
    check(json!({"auth_method": "none", "introspect": true}), &["/introspect"]);
    check(json!({"auth_method": "magic"}), &["/auth_method"]);
    check(json!({"grants": ["password"]}), &["/grants/0"]);
    check(json!({"grants": ["client_credentials", "client_credentials"]}), &["/grants/1"]);
    check(
        json!({"redirect_uris": ["http://a.example/cb", "https://a.example/#f"]}),
        &["/redirect_uris/0", "/redirect_uris/1"],
    );
    check(json!({"redirect_uris": ["com.example.app:/cb"]}), &["/redirect_uris/0"]);
    check(json!({"redirect_uris": ["com.example.app:/cb"], "native": true}), &[]);
    check(json!({"scope": "a  b"}), &["/scope"]);
    check(json!({"scope": "a\u{7f}"}), &["/scope"]);
    check(json!({"name": ""}), &["/name"]);
    check(json!({"name": "a\nb"}), &["/name"]);
    check(json!({"name": "x".repeat(129)}), &["/name"]);
    check(json!({"name": "é".repeat(128)}), &[]);
    check(json!({"audiences": ["https://api.example", "a b"]}), &["/audiences/1"]);
    check(json!({"access_token_lifetime": 59}), &["/access_token_lifetime"]);
    check(json!({"access_token_lifetime": 2_592_001}), &["/access_token_lifetime"]);
    check(json!({"introspection_max_age": 31}), &["/introspection_max_age"]);
    check(json!({"introspection_signed_response_alg": "none"}), &["/introspection_signed_response_alg"]);
    check(json!({"client_id": "mine", "enabled": true}), &["/client_id", "/enabled"]);
    server.running.stop();
}

#[test]
fn a_change_must_not_contradict_the_application() {
    let server = Server::start();
    let made = server.post("/applications", json!({"name": "N", "grants": ["client_credentials"]})).expect(201);
    let one = format!("/applications/{}", made["client_id"].as_str().unwrap());
    let patch = |body: Value| server.call("PATCH", &one, Some(body));
    let problem = patch(json!({"auth_method": "none"})).expect_problem(409, "conflict");
    assert_eq!(problem["errors"][0]["pointer"], "/grants");
    patch(json!({"auth_method": "private_key_jwt"})).expect_problem(409, "conflict");
    patch(json!({"nothing": 1})).expect_problem(422, "invalid_value");
    patch(json!({"auth_method": "none", "grants": ["authorization_code"]})).expect(200);
    server.post(&format!("{one}/secrets"), json!({})).expect_problem(409, "conflict");
    server.running.stop();
}

#[test]
fn bodies_are_read_in_order_of_cost() {
    let server = Server::start();
    let authorization = format!("Bearer {}", server.token);
    let path = format!("{BASE}/revocations");
    let post = |content_type: &str, body: &str| {
        server.send("POST", &path, &[("authorization", &authorization), ("content-type", content_type)], body)
    };
    post("text/plain", "{}").expect_problem(415, "unsupported_media_type");
    post("application/x-www-form-urlencoded", "subject=u").expect_problem(415, "unsupported_media_type");
    server.send("POST", &path, &[("authorization", &authorization)], "").expect_problem(415, "unsupported_media_type");
    post("application/json", "").expect_problem(400, "invalid_body");
    post("application/json", "{\"subject\":").expect_problem(400, "invalid_body");
    post("application/json", &"[".repeat(1000)).expect_problem(400, "invalid_body");
    post("application/json", "{\"subject\":\"u\",\"subject\":\"v\"}").expect_problem(422, "invalid_value");
    post("application/json", &format!("{{\"subject\":\"{}\"}}", "x".repeat(70_000)))
        .expect_problem(413, "body_too_large");
    post("Application/JSON; charset=utf-8", "{\"subject\":\"u\"}").expect(200);
    server.running.stop();
}

#[test]
fn suspension_is_visible_before_the_answer_and_reactivation_revives_nothing() {
    let server = Server::start();
    let (user_id, pubkey) = ("usr_1".to_owned(), [2; 33]);
    let user = record::User {
        user_id: user_id.clone(),
        pubkey: hex::encode(pubkey),
        name: "U".to_owned(),
        status: UserStatus::Active,
        bap_id: None,
        created_at: NOW,
        updated_at: NOW,
    };
    server.commit(|commit| {
        commit.put::<Users>(&user_id, &user);
        commit.put::<UsersByPubkey>(&pubkey, &record::UserByPubkey { user_id: user_id.clone() });
    });
    let found = server.get(&format!("/users?pubkey={}", hex::encode(pubkey))).expect(200);
    assert_eq!(found["items"], server.get("/users").expect(200)["items"]);
    assert_eq!(found["items"][0]["user_id"], "usr_1");
    assert_eq!(server.get(&format!("/users?pubkey=03{}", "0".repeat(64))).expect(200)["items"], json!([]));
    server.get("/users?pubkey=zz").expect_problem(400, "invalid_parameter");

    assert_eq!(server.call("POST", "/users/usr_1/suspend", None).expect(200)["status"], "suspended");
    let not_before = server.not_before(Level::User, "usr_1");
    assert_eq!(not_before, server.shared().store.applied_seq().0);
    assert_eq!(server.call("POST", "/users/usr_1/reactivate", None).expect(200)["status"], "active");
    assert_eq!(server.not_before(Level::User, "usr_1"), not_before);
    assert_eq!(server.get("/users/usr_1").expect(200)["status"], "active");
    server.call("POST", "/users/usr_2/suspend", None).expect_problem(404, "not_found");
    server.get(&format!("/users/{}", "x".repeat(300))).expect_problem(404, "not_found");
    server.get("/users/%ff").expect_problem(404, "not_found");
    server.running.stop();
}

#[test]
fn sessions_are_found_and_ended() {
    let server = Server::start();
    for (index, user_id) in [(1u8, "usr_1"), (2, "usr_2"), (3, "usr_1")] {
        let (sid, token_sha256) = (format!("sid_{index}"), [index; 32]);
        let session = record::Session {
            sid: sid.clone(),
            user_id: user_id.to_owned(),
            created_at: NOW,
            auth_time: NOW,
            ip: "192.0.2.1".to_owned(),
            user_agent: "test".to_owned(),
            amr: vec!["pop".to_owned()],
            r#gen: server.shared().store.applied_seq().0,
        };
        let by_sid = record::SessionBySid { token_sha256, user_id: user_id.to_owned(), expires_at: NOW + 100 };
        server.commit(|commit| {
            commit.put_expiring::<Sessions>(&token_sha256, &session, NOW + 100);
            commit.put_expiring::<SessionsBySid>(&sid, &by_sid, NOW + 100);
        });
    }
    let sids = |path: &str| {
        let page = server.get(path).expect(200);
        let sids: Vec<String> =
            page["items"].as_array().unwrap().iter().map(|s| s["sid"].as_str().unwrap().to_owned()).collect();
        (sids, page["next_cursor"].clone())
    };
    assert_eq!(sids("/sessions").0, ["sid_1", "sid_2", "sid_3"]);
    assert_eq!(sids("/sessions?user_id=usr_1"), (vec!["sid_1".to_owned(), "sid_3".to_owned()], Value::Null));
    assert_eq!(sids("/sessions?user_id=usr_1&limit=1"), (vec!["sid_1".to_owned()], json!("sid_1")));
    assert_eq!(sids("/sessions?user_id=usr_1&limit=1&after=sid_1").0, ["sid_3"]);
    let seq = server.call("POST", "/sessions/sid_1/revoke", None).expect(200)["seq"].as_u64().unwrap();
    assert_eq!(server.not_before(Level::Session, "sid_1"), seq);
    assert_eq!(sids("/sessions?user_id=usr_1").0, ["sid_3"]);
    server.call("POST", "/sessions/sid_1/revoke", None).expect_problem(404, "not_found");
    server.post("/revocations", json!({"subject": "usr_1"})).expect(200);
    assert_eq!(server.get("/sessions?user_id=usr_1").expect(200)["items"][0]["active"], json!(false));
    assert_eq!(server.get("/sessions?user_id=usr_2").expect(200)["items"][0]["active"], json!(true));
    server.running.stop();
}

#[test]
fn revocations_at_every_level() {
    let server = Server::start();
    for (name, level, id) in [
        ("subject", Level::User, "u"),
        ("client", Level::Client, "c"),
        ("session", Level::Session, "s"),
        ("tenant", Level::Tenant, "default"),
    ] {
        let seq = server.post("/revocations", json!({name: id, "reason": "test"})).expect(200)["seq"].as_u64().unwrap();
        assert_eq!(server.not_before(level, id), seq, "{name}");
    }
    server.post("/revocations", json!({"jti": "j", "exp": NOW + 10})).expect(200);
    let shared = server.shared();
    assert!(shared.directory.view(shared.tenant, NOW).jti_revoked("j"));
    assert!(!shared.directory.view(shared.tenant, NOW).jti_revoked("u"));
    server.post("/revocations", json!({})).expect_problem(422, "invalid_value");
    server.post("/revocations", json!({"subject": "u", "jti": "j"})).expect_problem(422, "invalid_value");
    server.running.stop();
}

#[test]
fn keys_rotate_by_hand_and_by_age_and_can_be_revoked() {
    let server = Server::start();
    let states = |keys: &Value| {
        let items = keys["items"].as_array().unwrap().iter();
        items
            .map(|key| (key["kid"].as_str().unwrap().to_owned(), key["state"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let in_state = |keys: &Value, wanted: &str| states(keys).into_iter().find(|(_, state)| state == wanted).unwrap().0;
    let before = server.get("/keys").expect(200);
    assert!(!before.to_string().contains("pkcs8"));
    let next = in_state(&before, "prepublished");
    let rotated = server.call("POST", "/keys/rotate", None).expect(200);
    assert_eq!(in_state(&rotated, "active"), next);
    assert_eq!(in_state(&rotated, "grace"), in_state(&before, "active"));
    let longest = server.shared().config.id_token_lifetime_s.max(server.shared().config.access_token_lifetime_s);
    let grace = rotated["items"].as_array().unwrap().iter().find(|key| key["state"] == "grace").unwrap();
    assert_eq!(grace["grace_until"], NOW + longest);

    let revoked = server.post(&format!("/keys/{next}/revoke"), json!({})).expect(200);
    assert_eq!(in_state(&revoked, "revoked"), next);
    assert_ne!(in_state(&revoked, "active"), next);
    let shared = server.shared();
    assert!(!shared.directory.view(shared.tenant, NOW).key_usable(&next));
    server.post("/keys/unknown/revoke", json!({})).expect_problem(404, "not_found");

    let signing = || shared.directory.keys().active().unwrap().kid.clone();
    let (young, days) = (signing(), shared.config.key_rotation_days);
    block_on(keys::rotate_if_due(shared, NOW + days * 86_400 - 1));
    assert_eq!(signing(), young);
    block_on(keys::rotate_if_due(shared, NOW + days * 86_400));
    assert_ne!(signing(), young);
    server.running.stop();
}

#[test]
fn keys_that_verify_are_prepared_and_others_are_let_go() {
    let server = Server::start();
    let shared = server.shared();
    let mut prepared = PreparedKeys::default();
    let mut names = |now| {
        prepared.follow(&shared.directory, shared.tenant, now);
        prepared.names().iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()
    };
    let known = || shared.directory.key_rows().into_iter().map(|row| row.kid).collect::<BTreeSet<_>>();
    let at_first = names(NOW);
    assert_eq!((&at_first, at_first.len()), (&known(), 2));
    let signing = shared.directory.keys().active().unwrap().kid.clone();
    server.call("POST", "/keys/rotate", None).expect(200);
    let rotated = names(NOW);
    assert_eq!((&rotated, rotated.len()), (&known(), 3));
    // No row changes when a grace ends, and the key is let go all the same.
    let longest = shared.config.id_token_lifetime_s.max(shared.config.access_token_lifetime_s);
    let own = names(NOW + longest);
    assert_eq!(rotated.difference(&own).collect::<Vec<_>>(), [&signing]);

    // What clients sign with comes and goes with them; keys that have no tables are not among it.
    let row = crate::state::keys::generate(KeyState::Active, NOW).unwrap();
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": row.public_x, "y": row.public_y});
    let other = json!({"kty": "OKP", "crv": "Ed25519", "kid": "2", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let made = server
        .post(
            "/applications",
            json!({"name": "N", "grants": [], "auth_method": "private_key_jwt", "jwks": {"keys": [jwk, other]}}),
        )
        .expect(201);
    let application = format!("/applications/{}", made["client_id"].as_str().unwrap());
    let mut with_clients = own.clone();
    with_clients.insert(row.kid.clone());
    assert_eq!(names(NOW + longest), with_clients);
    assert_eq!(shared.directory.registered_keys(shared.tenant, 0).len(), 0);
    server.call("POST", &format!("{application}/disable"), None).expect(200);
    assert_eq!(names(NOW + longest), own);
    server.call("POST", &format!("{application}/enable"), None).expect(200);
    assert_eq!(names(NOW + longest), with_clients);
    server.call("DELETE", &application, None).expect(204);
    assert_eq!(names(NOW + longest), own);
    server.running.stop();
}

#[test]
fn keys_stay_bounded_however_often_they_change() {
    let server = Server::start();
    let mut refused = 0;
    for _ in 0..60 {
        refused += u32::from(server.call("POST", "/keys/rotate", None).status == 409);
    }
    assert_eq!(refused, 60 - u32::try_from(crate::limits::KEYS_IN_GRACE_COUNT_MAX).unwrap());
    for _ in 0..60 {
        let kid = server.shared().directory.keys().active().unwrap().kid.clone();
        server.call("POST", &format!("/keys/{kid}/revoke"), None).expect(200);
    }
    let rows = server.shared().directory.key_rows();
    assert!(rows.len() <= crate::limits::KEYS_READ_MAX, "{}", rows.len());
    assert_eq!(rows.iter().filter(|row| row.state == KeyState::Active).count(), 1);
    server.running.stop();
}

#[test]
fn a_store_that_cannot_write_is_said_and_nothing_changes() {
    let server = Server::start();
    let made = server.post("/applications", json!({"name": "N", "grants": []})).expect(201);
    let one = format!("/applications/{}", made["client_id"].as_str().unwrap());
    server.disk_is_full.store(true, Ordering::SeqCst);
    for (method, path, body) in [
        ("POST", "/applications".to_owned(), json!({"name": "N", "grants": []})),
        ("PATCH", one.clone(), json!({"name": "M"})),
        ("POST", format!("{one}/disable"), json!({})),
        ("POST", format!("{one}/secrets"), json!({})),
        ("DELETE", one.clone(), json!({})),
        ("POST", "/keys/rotate".to_owned(), json!({})),
        ("POST", "/revocations".to_owned(), json!({"subject": "u"})),
    ] {
        let answer = server.call(method, &path, Some(body));
        assert!(answer.head.to_lowercase().contains("retry-after: 1\r\n"), "{}", answer.head);
        answer.expect_problem(503, "unavailable");
    }
    assert_eq!(server.not_before(Level::User, "u"), 0);
    assert_eq!(server.get(&one).expect(200)["name"], "N");
    assert_eq!(server.send("GET", "/ready", &[], "").status, 503);
    server.disk_is_full.store(false, Ordering::SeqCst);
    assert_eq!(server.send("GET", "/ready", &[], "").status, 200);
    server.post("/revocations", json!({"subject": "u"})).expect(200);
    server.running.stop();
}

#[test]
fn the_document_names_every_refusal_and_resolves() {
    let server = Server::start();
    let document = server.send("GET", "/openapi.json", &[], "").expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not defined");
    }
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let responses = operation["responses"].as_object().unwrap();
            if path.starts_with("/v1") {
                assert_eq!(operation["security"], json!([{"admin_token": []}]), "{method} {path}");
                for status in ["401", "404", "503"] {
                    assert!(responses.contains_key(status), "{method} {path} {status}");
                }
            }
            if operation.get("requestBody").is_some() {
                for status in ["400", "413", "415", "422"] {
                    assert!(responses.contains_key(status), "{method} {path} {status}");
                }
            }
            if path.starts_with("/v1") && path.contains("{") && method != "get" {
                assert!(responses.contains_key("409"), "{method} {path}");
            }
        }
    }
    assert_eq!(operations, 22);
    server.running.stop();
}
