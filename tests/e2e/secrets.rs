//! Attack 135: everything replayable that crosses the wire in a whole run is planted, then looked for where it must
//! never be: logs (at their most talkative), standard output, metrics, error bodies, admin listings, the database.

use std::path::Path;

use assay_storage::TenantId;
use assay_storage::record::KeyState;
use assay_tests::actors::{Person, Pkce, random_text};
use assay_tests::forge::{self, Signer};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{CALLBACK, ISSUER, access_token, authorize_query, web_app};
use assay_tests::wire::{Request, Response};
use serde_json::json;

/// Secrets that went over the wire, and every refusal that came back.
struct Plants {
    server: Server,
    secrets: Vec<(&'static str, String)>,
    refusals: Vec<Response>,
}

impl Plants {
    fn plant(&mut self, what: &'static str, secret: &str) -> String {
        assert!(secret.len() >= 16, "{what} would be found by chance");
        self.secrets.push((what, secret.to_owned()));
        secret.to_owned()
    }

    fn refuse(&mut self, request: &Request) {
        let response = self.server.send(request);
        assert!(response.status >= 300, "{}", response.shown());
        self.refusals.push(response);
    }

    fn find(&self, place: &str, text: &str) {
        for (what, secret) in &self.secrets {
            assert!(!text.contains(secret.as_str()), "{what} is in {place}: {:.200}", around(text, secret));
        }
    }
}

fn around<'t>(text: &'t str, secret: &str) -> &'t str {
    let at = text.find(secret).unwrap_or(0);
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    &text[start..]
}

fn attack_135_canaries(runtime: Runtime) {
    let signer = Signer::new(KeyState::Active);
    let private = hex::encode(&signer.row.pkcs8[36..68]);
    let server =
        Options::new(runtime).cores(2).limits().set("log_level", "trace").key(TenantId::DEFAULT, signer.row.clone());
    let server =
        server.set("quota.oauth_per_min", 0).set("quota.sign_in_per_min", 0).set("quota.api_per_min", 0).start();
    let mut plants = Plants { server, secrets: vec![("a private key", private)], refusals: Vec::new() };
    let admin_token = plants.server.admin_token.clone();
    plants.plant("the admin token", &admin_token);

    // A service: secrets, tokens, introspection by every method.
    let (app, reader) = (plants.server.service(), plants.server.resource_server());
    for (what, secret) in [("a client secret", &app.secret), ("a client secret", &reader.secret)] {
        plants.plant(what, secret);
    }
    let token = plants.server.service_token(&app);
    plants.plant("an access token", &token);
    plants.plant("a signature", token.rsplit('.').next().expect("a JWT"));
    assert!(plants.server.is_active(&reader, &token));
    assert_eq!(plants.server.batch(&reader, &[&token]).len(), 1);
    let second = plants.server.admin_ok("POST", &format!("/applications/{}/secrets", app.id), None);
    plants.plant("a rotated secret", second["client_secret"].as_str().expect("a secret"));
    let key = Signer::new(KeyState::Active);
    let jwt_app = plants.server.register(&json!({"auth_method": "private_key_jwt", "jwks": {"keys": [key.jwk()]}}));
    let now = plants.server.now();
    let assertion = key.sign(
        &json!({"alg": "ES256"}),
        &json!({"iss": jwt_app.id, "sub": jwt_app.id, "aud": ISSUER, "exp": now + 60, "jti": random_text()}),
    );
    let assertion = plants.plant("an assertion", &assertion);
    let by_assertion = Request::post("/token").form(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ]);
    assert_eq!(plants.server.send(&by_assertion).status, 200);
    plants.refuse(&by_assertion);

    // A person: signed tokens, challenge, cookie, code, verifier, tokens.
    let person = Person::new();
    plants.secrets.push(("a person's key", person.key.wif()));
    let path = "/api/auth/sign-in/sigma";
    let signed = plants.plant("a signed token", &person.token(path, plants.server.now_ms(), b""));
    plants.plant("a Bitcoin signature", signed.rsplit('|').next().expect("five fields"));
    let response = plants.server.send(&Request::post(path).auth_token(&signed)).expect_status(200);
    let cookie = assay_tests::target::cookie(&response);
    let value = cookie.split_once('=').expect("a cookie").1.to_owned();
    plants.plant("a cookie", &value);
    let session = value.split('.').next().expect("a token").to_owned();
    plants.plant("a session token", &session);
    let challenge =
        plants.server.send(&Request::post("/sigma/challenge")).json()["nonce"].as_str().expect("a nonce").to_owned();
    plants.plant("a challenge", &challenge);
    plants.refuse(&Request::post(path).auth_token(&signed));
    let (pkce, web) = (Pkce::new(), plants.server.web_app());
    plants.plant("a verifier", &pkce.verifier);
    let code = plants.server.code(&cookie, &web, &pkce, &[]);
    plants.plant("a code", &code);
    let answer = plants.server.redeem(&web, &code, &pkce).expect_status(200).json();
    plants.plant("a person's access token", &access_token(&answer));
    plants.plant("an id_token", answer["id_token"].as_str().expect("openid"));
    assert_eq!(plants.server.userinfo(&access_token(&answer)).status, 200);
    let mut third = web_app();
    third["first_party"] = json!(false);
    let third = plants.server.register(&third);
    let page = plants.server.authorize(Some(&cookie), &third, &pkce, &[]).expect_status(200).text();
    let csrf = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a hidden field")
        .to_owned();
    plants.plant("a consent form's value", &csrf);
    let query = authorize_query(&third, &pkce, &[]);
    plants.refuse(&Request::post("/consent").cookie(&cookie).form(&[
        ("accept", "true"),
        ("oauth_query", &query),
        ("csrf", &csrf),
    ]));

    refusals(&mut plants, &app.id, &web.id, &cookie, &code, &signed, &token);
    plants.server.revoke(&app, &token);
    plants.server.suspend(forge::payload(&access_token(&answer))["sub"].as_str().expect("a user"));
    plants.refuse(&Request::get("/userinfo").bearer(&access_token(&answer)));
    assert!(
        plants
            .server
            .admin_raw(&Request::get("/v1/tenants/default/users").bearer("as_at_canary_of_a_wrong_admin_token"))
            .status
            == 401
    );
    plants.plant("a wrong admin token", "as_at_canary_of_a_wrong_admin_token");

    search(plants, &code);
}

/// Every secret in the wrong place: what comes back must not repeat it.
fn refusals(plants: &mut Plants, app_id: &str, web_id: &str, cookie: &str, code: &str, signed: &str, token: &str) {
    let wrong_secret = plants.plant("a wrong secret", "as_cs_canary_of_a_wrong_client_secret");
    let junk_token = plants.plant("a junk token", "canary.of.a.token.that.is.none.at.all");
    let forged_cookie = plants.plant("a forged cookie", "as_st_canaryofaforgedsessiontoken.AAAA");
    plants.refuse(&Request::post("/token").form(&[("grant_type", "client_credentials")]).basic(app_id, &wrong_secret));
    plants.refuse(&Request::post("/token").form(&[
        ("grant_type", "client_credentials"),
        ("client_id", app_id),
        ("client_secret", &wrong_secret),
    ]));
    plants.refuse(&Request::post("/token").form(&[
        ("grant_type", "authorization_code"),
        ("client_id", web_id),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "x"),
    ]));
    plants.refuse(&Request::post("/token").form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", &junk_token),
        ("client_id", web_id),
    ]));
    plants.refuse(&Request::post("/token").form(&[
        ("grant_type", &junk_token[..30]),
        ("client_id", web_id),
        ("code", code),
        ("code", code),
    ]));
    plants.refuse(&Request::get("/userinfo").bearer(&junk_token));
    plants.refuse(&Request::get("/userinfo").header("authorization", &format!("Basic {junk_token}")));
    plants.refuse(&Request::post("/userinfo").form(&[("access_token", &junk_token)]));
    plants.refuse(&Request::post("/introspect").form(&[("token", token)]).basic(app_id, &wrong_secret));
    plants.refuse(&Request::post("/introspect").form(&[("token", token)]).bearer(&junk_token));
    plants
        .refuse(&Request::post("/introspect").form(&[("token", token), ("token", token)]).basic(app_id, &wrong_secret));
    plants.refuse(&Request::post("/introspect").json(&json!({"token": token})));
    plants.refuse(&Request::post("/introspect/batch").json(&json!({"tokens": token})).basic(app_id, &wrong_secret));
    plants.refuse(&Request::post("/revoke").form(&[("token", token)]).basic(app_id, &wrong_secret));
    plants.refuse(&Request::post("/sigma/authorize").auth_token(signed));
    plants.refuse(&Request::post("/sigma/authorize").auth_token(&junk_token));
    plants.refuse(
        &Request::post("/sigma/authorize")
            .auth_token(signed)
            .header("authorization", &format!("Bitcoin-Auth {junk_token}")),
    );
    plants.refuse(&Request::post("/sign-in").form(&[("token", signed)]));
    plants.refuse(
        &Request::post("/api/auth/oauth2/consent")
            .cookie(&format!("better-auth.session_token={forged_cookie}"))
            .json(&json!({"accept": true, "oauth_query": "x"})),
    );
    plants.refuse(&Request::get(&format!("/authorize?code={code}&access_token={token}")).cookie(cookie));
    plants.refuse(&Request::get(&format!("/nowhere?token={token}")).cookie(cookie).bearer(token).auth_token(signed));
    plants.refuse(&Request::get(&format!("/{}", "a".repeat(9_000))).bearer(token));
    plants.refuse(&Request::new("DELETE", &format!("/token?code={code}")).bearer(token));
}

fn search(mut plants: Plants, code: &str) {
    let metrics = plants.server.metrics();
    plants.find("the metrics", &metrics);
    // A redirect may carry its own code; nothing else that is refused may carry anything.
    for response in &plants.refusals {
        plants.find("a refusal", &response.shown());
    }
    for path in ["/applications", "/users", "/sessions", "/keys"] {
        let listing = plants.server.admin_ok("GET", path, None).to_string();
        plants.find(path, &listing);
    }
    let document = plants.server.admin_raw(&Request::get("/openapi.json").bearer(&plants.server.admin_token)).text();
    plants.find("the OpenAPI document", &document);
    assert_eq!(plants.server.stop().code(), Some(0));
    let log = plants.server.log();
    assert!(log.contains("assay is ready"), "the log was captured");
    plants.find("the log", &log);
    // On disk only hashes: neither secrets, nor codes, nor session tokens, nor anything that was presented. The signing
    // key has to be there, and the admin token has its own file.
    let keep: Vec<&str> = plants
        .secrets
        .iter()
        .filter(|(what, _)| !matches!(*what, "a private key" | "the admin token"))
        .map(|(_, secret)| secret.as_str())
        .collect();
    assert!(keep.contains(&code));
    let mut files = 0;
    search_files(&plants.server.data().join("db"), &keep, &mut files);
    assert!(files > 0, "the database has files");
}

fn search_files(directory: &Path, secrets: &[&str], files: &mut usize) {
    for entry in std::fs::read_dir(directory).expect("our own directory") {
        let path = entry.expect("our own directory").path();
        if path.is_dir() {
            search_files(&path, secrets, files);
            continue;
        }
        *files += 1;
        let bytes = std::fs::read(&path).expect("our own file");
        let text = String::from_utf8_lossy(&bytes);
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {}", path.display());
        }
    }
}

/// The admin token: 0600, made once, kept over restarts.
fn the_admin_token_file(runtime: Runtime) {
    use std::os::unix::fs::PermissionsExt;
    let mut server = Options::new(runtime).start();
    let path = server.data().join("admin.token");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = server.admin_token.clone();
    server.restart();
    assert_eq!(server.admin_token, token);
    for wrong in ["", "x", &token[..token.len() - 1], &format!("{token}x")] {
        let response = server.admin_raw(&Request::get("/v1/tenants/default/users").bearer(wrong));
        assert_eq!(response.status, 401, "{}", response.shown());
        assert!(
            response.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json")),
            "{}",
            response.shown()
        );
    }
    for path in ["/applications", "/users", "/sessions", "/keys"] {
        assert_eq!(server.admin_raw(&Request::get(&format!("/v1/tenants/default{path}"))).status, 401, "{path}");
        let public = server.send(&Request::get(&format!("/v1/tenants/default{path}")).bearer(&token));
        assert_eq!(public.status, 404, "the public listener has no admin routes");
        let other = server.admin_raw(&Request::get(&format!("/v1/tenants/other{path}")).bearer(&token));
        assert_eq!(other.status, 404, "another tenant");
    }
}

both_runtimes!(attack_135_canaries, the_admin_token_file);
