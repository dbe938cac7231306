//! Whole ways through the server as people and applications go them, and what is left after a restart.

use assay_storage::record::KeyState;
use assay_tests::actors::{Person, Pkce, random_text};
use assay_tests::forge::{self, Signer};
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime};
use assay_tests::target::{AUDIENCE, CALLBACK, ISSUER, access_token, web_app};
use assay_tests::wire::{Request, query_value};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64_turbo::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Checks a JWT as a relying party does: with the published key that its header names.
fn verify_with_jwks(jwks: &Value, jwt: &str) {
    let kid = forge::header(jwt)["kid"].clone();
    let key =
        jwks["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == kid).expect("the key is published");
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("text")).expect("base64url");
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (input, _) = jwt.rsplit_once('.').expect("a JWT");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(input.as_bytes(), &forge::signature(jwt))
        .expect("a good signature");
}

fn a_web_application_signs_a_person_in(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let (app, reader, person) = (server.web_app(), server.resource_server(), Person::new());
    let (cookie, pkce) = (server.session(&person), Pkce::new());
    let session = server.get_session(&cookie);
    assert_eq!(session["user"]["pubkey"], json!(person.pubkey()));
    for name in ["id", "userId", "token", "expiresAt", "createdAt", "updatedAt"] {
        assert!(session["session"][name].is_string(), "{name}: {session}");
    }
    let response = server.authorize(Some(&cookie), &app, &pkce, &[("nonce", "n-0S6"), ("state", "xyz")]);
    let location = response.header("location").expect("a redirect").to_owned();
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!(query_value(&location, "state").as_deref(), Some("xyz"));
    let code = query_value(&location, "code").expect("a code");
    let answer = server.redeem(&app, &code, &pkce).expect_status(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let answer = answer.json();
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"], &answer["scope"]),
        (&json!("Bearer"), &json!(900), &json!("openid profile"))
    );
    assert!(answer.get("refresh_token").is_none(), "no refresh tokens yet");
    let jwks = server.send(&Request::get("/.well-known/jwks.json")).json();
    let (access, id) = (access_token(&answer), answer["id_token"].as_str().expect("an id_token").to_owned());
    verify_with_jwks(&jwks, &access);
    verify_with_jwks(&jwks, &id);
    let claims = forge::payload(&id);
    assert_eq!((&claims["iss"], &claims["aud"], &claims["nonce"]), (&json!(ISSUER), &json!(app.id), &json!("n-0S6")));
    assert_eq!((&claims["pubkey"], &claims["bap_id"]), (&json!(person.pubkey()), &json!(person.key.bap_id())));
    assert!(
        claims["exp"].as_u64() > claims["iat"].as_u64() && claims["auth_time"].is_u64() && claims["sid"].is_string(),
        "{claims}"
    );
    let token_claims = forge::payload(&access);
    assert_eq!((&token_claims["sub"], &token_claims["sid"]), (&claims["sub"], &claims["sid"]));
    assert_eq!(server.userinfo(&access).expect_status(200).json()["sub"], claims["sub"]);
    // Signing out ends what carries the session.
    assert!(server.is_active(&reader, &access));
    server.send(&Request::post("/api/auth/sign-out").cookie(&cookie)).expect_status(200);
    assert!(!server.is_active(&reader, &access), "signed out");
    assert_eq!(server.get_session(&cookie), Value::Null);
}

/// A browser without a session is sent to the page, signs in there and comes back to the request it came from.
fn sign_in_by_page_and_consent(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let mut third = web_app();
    third["first_party"] = json!(false);
    third["name"] = json!("Third & <Party>");
    let app = server.register(&third);
    let (person, pkce) = (Person::new(), Pkce::new());
    let away = server.authorize(None, &app, &pkce, &[("state", "a b&c")]);
    let location = away.header("location").expect("a redirect").to_owned();
    let (path, resume) = location.split_once('?').expect("the request goes along");
    assert_eq!(path, "/sign-in");
    let page = server.send(&Request::get(&location)).expect_status(200).text();
    assert!(page.contains("name=\"token\"") && page.contains("name=\"resume\""), "{page}");
    let token = person.token(path, server.now_ms(), b"");
    let form = Request::post(path).header("origin", ISSUER).form(&[("token", &token), ("resume", resume)]);
    let back = server.send(&form);
    let cookie = assay_tests::target::cookie(&back);
    assert!(
        back.headers("set-cookie").any(|line| line.contains("HttpOnly") && line.contains("SameSite=Lax")),
        "{}",
        back.shown()
    );
    let consent = server
        .send(&Request::get(back.header("location").expect("a redirect")).cookie(&cookie))
        .expect_status(200)
        .text();
    assert!(consent.contains("Third &amp; &lt;Party&gt;") && consent.contains("app.test"), "{consent}");
    let field = |name: &str| {
        let value = consent
            .split(&format!("name=\"{name}\" value=\""))
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a field");
        value.replace("&amp;", "&").replace("&quot;", "\"").replace("&#39;", "'")
    };
    let (query, csrf) = (field("oauth_query"), field("csrf"));
    let deny = Request::post("/consent").cookie(&cookie).form(&[
        ("accept", "false"),
        ("oauth_query", &query),
        ("csrf", &csrf),
    ]);
    let denied = server.send(&deny);
    let location = denied.header("location").unwrap_or_default();
    assert_eq!(query_value(location, "error").as_deref(), Some("access_denied"), "{}", denied.shown());
    assert_eq!(query_value(location, "state").as_deref(), Some("a b&c"));
    let allow =
        Request::post("/consent").cookie(&cookie).form(&[("accept", "true"), ("oauth_query", &query), ("csrf", &csrf)]);
    let allowed = server.send(&allow);
    let code = query_value(allowed.header("location").unwrap_or_default(), "code").expect("a code");
    assert_eq!(server.redeem(&app, &code, &pkce).status, 200);
    let again = server.authorize(Some(&cookie), &app, &pkce, &[]);
    assert!(again.header("location").unwrap_or_default().contains("code="), "remembered: {}", again.shown());
    let wider = server.register(&{
        let mut wider = third.clone();
        wider["scope"] = json!("openid profile email");
        wider
    });
    assert_eq!(server.authorize(Some(&cookie), &wider, &pkce, &[]).status, 200, "another application asks for itself");
}

/// Scripts cannot read a redirect: they get the address as JSON (sigma.md 2.2).
fn a_script_asks_for_authorization(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let (app, cookie) = (server.web_app(), server.session(&Person::new()));
    let query = assay_tests::target::authorize_query(&app, &Pkce::new(), &[]);
    let request =
        Request::get(&format!("/api/auth/oauth2/authorize?{query}")).cookie(&cookie).header("sec-fetch-mode", "cors");
    let answer = server.send(&request).expect_status(200).json();
    assert_eq!(answer["redirect"], true);
    assert!(query_value(answer["url"].as_str().unwrap_or_default(), "code").is_some(), "{answer}");
}

fn a_service_by_each_method(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let reader = server.resource_server();
    let grant = ("grant_type", "client_credentials");
    let basic = server.register(&json!({"scope": "read write"}));
    let answer = server.token(&basic, &[grant]).expect_status(200).json();
    assert_eq!(answer["scope"], "read write", "everything registered");
    assert!(answer.get("id_token").is_none() && answer.get("refresh_token").is_none(), "{answer}");
    let narrower = server.token(&basic, &[grant, ("scope", "read"), ("resource", AUDIENCE)]).expect_status(200).json();
    let claims = forge::payload(&access_token(&narrower));
    assert_eq!(
        (&claims["scope"], &claims["aud"], &claims["sub"]),
        (&json!("read"), &json!([AUDIENCE]), &json!(basic.id))
    );
    assert_eq!(
        (&claims["client_id"], &claims["sty"], &claims["tid"]),
        (&json!(basic.id), &json!("service"), &json!("default"))
    );
    assert_eq!(server.userinfo(&access_token(&narrower)).status, 403, "a service is nobody");
    let post = server.register(&json!({"auth_method": "client_secret_post"}));
    let answer = server
        .send(&Request::post("/token").form(&[grant, ("client_id", &post.id), ("client_secret", &post.secret)]))
        .expect_status(200);
    assert!(server.is_active(&reader, &access_token(&answer.json())));
    let long = server.register(&json!({"access_token_lifetime": 2_592_000}));
    let answer = server.token(&long, &[grant]).expect_status(200).json();
    assert_eq!(answer["expires_in"], 2_592_000, "Sigma's thirty days");

    let signer = Signer::new(KeyState::Active);
    let app = server.register(&json!({"auth_method": "private_key_jwt", "jwks": {"keys": [signer.jwk()]}}));
    let assertion = |path: &str| {
        let now = server.now();
        let claims = json!({"iss": app.id, "sub": app.id, "aud": format!("{ISSUER}{path}"), "exp": now + 60, "iat": now, "jti": random_text()});
        signer.sign(&json!({"alg": "ES256", "kid": signer.kid(), "typ": "JWT"}), &claims)
    };
    let with = |path: &str, pairs: &[(&str, &str)]| {
        let assertion = assertion(path);
        let mut pairs = pairs.to_vec();
        pairs.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        pairs.push(("client_assertion", &assertion));
        server.send(&Request::post(path).form(&pairs)).expect_status(200)
    };
    let token = access_token(&with("/token", &[grant]).json());
    assert_eq!(with("/introspect", &[("token", &token)]).json()["active"], true);
    with("/revoke", &[("token", &token)]);
    assert_eq!(with("/introspect", &[("token", &token)]).json()["active"], false);
}

fn discovery_lists_only_what_is_on(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for (path, token_path) in [
        ("/.well-known/openid-configuration", "/token"),
        ("/.well-known/oauth-authorization-server", "/token"),
        ("/api/auth/.well-known/openid-configuration", "/api/auth/oauth2/token"),
    ] {
        let document = server.send(&Request::get(path)).expect_status(200).json();
        assert_eq!(document["issuer"], ISSUER);
        assert_eq!(document["token_endpoint"], json!(format!("{ISSUER}{token_path}")));
        assert_eq!(document["response_types_supported"], json!(["code"]));
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        let grants: Vec<&str> =
            document["grant_types_supported"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(grants, ["authorization_code", "client_credentials"]);
        for absent in [
            "registration_endpoint",
            "device_authorization_endpoint",
            "pushed_authorization_request_endpoint",
            "end_session_endpoint",
            "backchannel_authentication_endpoint",
            "dpop_signing_alg_values_supported",
        ] {
            assert!(document.get(absent).is_none(), "{absent} does not exist yet");
        }
        // Whatever is listed is served.
        for (name, url) in document.as_object().expect("an object") {
            let is_url = name.ends_with("_endpoint") || name == "jwks_uri";
            let Some(path) = url.as_str().filter(|_| is_url).and_then(|url| url.strip_prefix(ISSUER)) else { continue };
            assert_eq!(server.send(&Request::new("OPTIONS", path)).status, 204, "{name}: {path}");
        }
    }
}

fn signing_keys_rotate_and_die(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).cores(2));
    let (app, reader) = (server.service(), server.resource_server());
    let kid_of = |token: &str| forge::header(token)["kid"].as_str().expect("a kid").to_owned();
    let published = || server.send(&Request::get("/.well-known/jwks.json")).text();
    let first = server.service_token(&app);
    let next_key: Vec<String> = {
        let keys = server.admin_ok("GET", "/keys", None).to_string();
        assert!(keys.contains(&kid_of(&first)) && !keys.contains("pkcs8") && !keys.contains("\"d\""), "{keys}");
        let jwks = server.send(&Request::get("/.well-known/jwks.json")).json();
        jwks["keys"].as_array().expect("keys").iter().filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(next_key.len(), 2, "the active key and the next one are published");
    // Others may cache the key set that long; a key signs only when everybody can know it.
    server.advance_s(2 * 300 + 1);
    server.admin_ok("POST", "/keys/rotate", None);
    let second = server.service_token(&app);
    assert_ne!(kid_of(&second), kid_of(&first));
    assert!(next_key.contains(&kid_of(&second)), "the one that was published before");
    assert!(server.is_active(&reader, &first) && server.is_active(&reader, &second), "tokens of the old key stay good");
    assert!(published().contains(&kid_of(&first)), "in grace");
    server.admin_ok("POST", &format!("/keys/{}/revoke", kid_of(&first)), Some(&json!({})));
    assert!(!server.is_active(&reader, &first), "revoked");
    assert!(server.is_active(&reader, &second));
    assert!(!published().contains(&kid_of(&first)));
    server.admin_ok("POST", &format!("/keys/{}/revoke", kid_of(&second)), Some(&json!({})));
    let third = server.service_token(&app);
    assert!(!server.is_active(&reader, &second) && server.is_active(&reader, &third), "never without a key");
    assert_eq!(server.admin("POST", "/keys/unknown/revoke", Some(&json!({}))).status, 404);
}

fn suspension_and_reactivation(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let (reader, person) = (server.resource_server(), Person::new());
    let token = access_token(&server.sign_in(&person));
    let user_id = forge::payload(&token)["sub"].as_str().expect("a user").to_owned();
    let shown = server.admin_ok("GET", &format!("/users/{user_id}"), None);
    assert_eq!((&shown["pubkey"], &shown["status"]), (&json!(person.pubkey()), &json!("active")));
    let other = access_token(&server.sign_in(&Person::new()));
    server.suspend(&user_id);
    assert!(!server.is_active(&reader, &token));
    assert_eq!(server.userinfo(&token).error(), "invalid_token");
    assert!(server.is_active(&reader, &other), "nobody else");
    for path in ["/sigma/authorize", "/api/auth/sign-in/sigma"] {
        let response = server.send(&Request::post(path).auth_token(&person.token(path, server.now_ms(), b"")));
        assert_eq!(response.status, 403, "{}", response.shown());
    }
    server.reactivate(&user_id);
    assert!(!server.is_active(&reader, &token), "old tokens stay dead");
    let fresh = access_token(&server.sign_in(&person));
    assert!(server.is_active(&reader, &fresh));
    assert_eq!(forge::payload(&fresh)["sub"], json!(user_id));
    assert_eq!(server.admin("POST", "/users/usr_unknown/suspend", None).status, 404);
}

/// SIGKILL and SIGTERM alike: what was acknowledged is there, what was used stays used.
fn everything_acknowledged_survives(runtime: Runtime) {
    let mut server = Options::new(runtime).cores(2).start();
    let (app, reader, web, person) = (server.service(), server.resource_server(), server.web_app(), Person::new());
    let (cookie, pkce) = (server.session(&person), Pkce::new());
    let (alive, dead) = (server.service_token(&app), server.service_token(&app));
    let user_token = access_token(&server.sign_in(&Person::new()));
    let user_id = forge::payload(&user_token)["sub"].as_str().expect("a user").to_owned();
    let (used, unused) = (server.code(&cookie, &web, &pkce, &[]), server.code(&cookie, &web, &pkce, &[]));
    let from_code = access_token(&server.redeem(&web, &used, &pkce).expect_status(200).json());
    let signed = person.token("/sigma/authorize", server.now_ms(), b"");
    server.send(&Request::post("/sigma/authorize").auth_token(&signed)).expect_status(200);
    server.revoke(&app, &dead);
    server.suspend(&user_id);
    let (session, rotated) = (server.get_session(&cookie), server.admin_ok("POST", "/keys/rotate", None));
    for how in ["kill", "stop"] {
        if how == "kill" {
            server.kill();
            server.restart();
        } else {
            assert_eq!(server.stop().code(), Some(0));
            server.restart();
        }
        assert!(server.is_active(&reader, &alive), "{how}: a good token");
        assert!(!server.is_active(&reader, &dead), "{how}: a revoked token");
        assert!(!server.is_active(&reader, &user_token), "{how}: a suspended user's");
        assert_eq!(server.get_session(&cookie), session, "{how}: the session");
        assert_eq!(
            server.send(&Request::post("/sigma/authorize").auth_token(&signed)).status,
            401,
            "{how}: a used signature"
        );
        assert_eq!(server.admin_ok("GET", "/keys", None), rotated, "{how}: the keys");
        assert_eq!(
            server.token(&app, &[("grant_type", "client_credentials")]).status,
            200,
            "{how}: the client and its secret"
        );
    }
    assert_eq!(server.redeem(&web, &unused, &pkce).status, 200, "a code from before both");
    assert!(server.is_active(&reader, &from_code));
    assert_eq!(server.redeem(&web, &used, &pkce).error(), "invalid_grant", "a used code");
    assert!(!server.is_active(&reader, &from_code), "and its second use still revokes");
    // A generation is a counter that never runs backwards.
    let newer = server.service_token(&app);
    assert!(forge::payload(&newer)["gen"].as_u64() > forge::payload(&alive)["gen"].as_u64());
    server.revoke_level("client", &app.id);
    assert!(!server.is_active(&reader, &newer) && !server.is_active(&reader, &alive));
}

/// Sessions end by themselves.
fn sessions_expire(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).set("session_lifetime_s", 3_600));
    let (cookie, app) = (server.session(&Person::new()), server.web_app());
    server.advance_s(3_599);
    assert!(server.get_session(&cookie).is_object(), "its last second");
    server.advance_s(1);
    assert_eq!(server.get_session(&cookie), Value::Null);
    let response = server.authorize(Some(&cookie), &app, &Pkce::new(), &[]);
    assert!(
        response.header("location").is_some_and(|location| location.starts_with("/sign-in?")),
        "{}",
        response.shown()
    );
}

/// A browser asks to authenticate anew: `max_age` and `prompt=login`.
fn old_authentications(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime));
    let (cookie, app) = (server.session(&Person::new()), server.web_app());
    server.advance_s(100);
    let location = |more: &[(&str, &str)]| {
        server.authorize(Some(&cookie), &app, &Pkce::new(), more).header("location").unwrap_or_default().to_owned()
    };
    assert!(location(&[("max_age", "100")]).contains("code="));
    assert!(location(&[("max_age", "99")]).starts_with("/sign-in?"));
    assert!(location(&[("max_age", "99"), ("prompt", "none")]).contains("error=login_required"));
    let resume = location(&[("prompt", "login")]);
    assert!(resume.starts_with("/sign-in?") && !resume.contains("prompt="), "asked once, not for ever: {resume}");
}

both_runtimes!(
    a_web_application_signs_a_person_in,
    sign_in_by_page_and_consent,
    a_script_asks_for_authorization,
    a_service_by_each_method,
    discovery_lists_only_what_is_on,
    signing_keys_rotate_and_die,
    suspension_and_reactivation,
    everything_acknowledged_survives,
    sessions_expire,
    old_authentications,
);
