//! Cases of `client_auth`, most of them refusals.

use serde_json::json;

use super::*;
use crate::client_assertion::tests::assertion;
use crate::encoding::base64;
use crate::flow::tests::client;
use crate::jose::jwk::JwkSet;

const NOW_MS: i64 = 1_768_478_400_000;
const KEY: &str = "035b9317203cf5ea7be559b1b907f37bfce151bebaa80c97931c85eaa5ad571a56";

fn facts(method: AuthMethod) -> ClientFacts {
    let secret = |text: &str, expires_at| SecretFacts { sha256: Sha256::digest(text).into(), expires_at };
    let now = NOW_MS.unsigned_abs() / 1000;
    ClientFacts {
        auth_method: method,
        secrets: vec![secret("current", None), secret("old", Some(now + 1)), secret("expired", Some(now))],
        pubkey: Some(hex::decode(KEY).unwrap().try_into().unwrap()),
        jwks: JwkSet::parse(&json!({"keys":[{"kty":"EC","crv":"P-256","kid":"k",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}))
        .unwrap(),
        ..client()
    }
}

/// "ok", "pending", or the error's code and status.
fn run(method: AuthMethod, authorization: Option<&str>, x_auth_token: Option<&str>, body: &str) -> String {
    let facts = facts(method);
    run_with(Some(&facts), authorization, x_auth_token, body)
}

fn run_with(
    client: Option<&ClientFacts>,
    authorization: Option<&str>,
    x_auth_token: Option<&str>,
    body: &str,
) -> String {
    match step(client, authorization, x_auth_token, body) {
        Ok(outcome) => outcome,
        Err(error) => format!("{} {}", error.code.as_str(), error.status()),
    }
}

fn step(
    client: Option<&ClientFacts>,
    authorization: Option<&str>,
    x_auth_token: Option<&str>,
    body: &str,
) -> Result<String, OAuthError> {
    let form = Form::parse(body.as_bytes())?;
    let endpoint = Endpoint {
        issuer: "https://id.example",
        base_url: "https://id.example",
        path: "/token",
        aliases: &["/token"],
        raw_body: body.as_bytes(),
    };
    let credentials = Credentials::read(authorization, x_auth_token, &form)?;
    Ok(match credentials.check(client, &endpoint, NOW_MS)? {
        Step::Authenticated(proof) => {
            assert_eq!(proof.client_id(), "app");
            "ok".to_owned()
        }
        Step::VerifyAssertion(pending) => {
            assert!(!pending.signing_input().is_empty() && !pending.signature().is_empty());
            let _ = pending.conclude(true)?;
            "pending".to_owned()
        }
        Step::VerifyBitcoin(pending) => {
            let _ = pending.conclude(true)?;
            "pending".to_owned()
        }
    })
}

fn basic(text: &str) -> String {
    format!("Basic {}", base64(text))
}

const IC: &str = "invalid_client 401";
const IR: &str = "invalid_request 400";

#[test]
fn attack_62_67_secrets() {
    fn check(secret: &str, expected: &str) {
        let header = basic(&format!("app:{secret}"));
        assert_eq!(run(AuthMethod::ClientSecretBasic, Some(&header), None, ""), expected, "basic {secret}");
        let body = format!("client_id=app&client_secret={secret}");
        assert_eq!(run(AuthMethod::ClientSecretPost, None, None, &body), expected, "post {secret}");
    }
    check("current", "ok");
    check("old", "ok");
    check("expired", IC);
    check("wrong", IC);
    check("Current", IC);
    check("current%20", IC);
    check(&"x".repeat(2_000), IC);
    // An empty parameter is an omitted one, an empty Basic half is a wrong secret.
    assert_eq!(run(AuthMethod::ClientSecretBasic, Some(&basic("app:")), None, ""), IC);
    assert_eq!(run(AuthMethod::ClientSecretPost, None, None, "client_id=app&client_secret="), IC);
    let disabled = ClientFacts { enabled: false, ..facts(AuthMethod::ClientSecretBasic) };
    assert_eq!(run_with(Some(&disabled), Some(&basic("app:current")), None, ""), IC);
    assert_eq!(run_with(None, Some(&basic("app:current")), None, ""), IC);
    let other = ClientFacts { client_id: "other".into(), ..facts(AuthMethod::ClientSecretBasic) };
    assert_eq!(run_with(Some(&other), Some(&basic("app:current")), None, ""), IC);
    let without = ClientFacts { secrets: Vec::new(), ..facts(AuthMethod::ClientSecretBasic) };
    assert_eq!(run_with(Some(&without), Some(&basic("app:current")), None, ""), IC);
}

#[test]
fn attack_63_two_methods() {
    fn check(authorization: Option<&str>, x_auth_token: Option<&str>, body: &str) {
        for method in AuthMethod::ALL {
            assert_eq!(run(method, authorization, x_auth_token, body), IR, "{body}");
        }
    }
    let header = basic("app:current");
    check(Some(&header), None, "client_id=app&client_secret=current");
    check(Some(&header), None, "client_assertion=x&client_assertion_type=y");
    check(Some(&header), Some("t"), "client_id=app");
    check(None, Some("t"), "client_id=app&client_secret=current");
    check(None, Some("t"), "client_id=app&client_assertion=x");
    check(Some("Bitcoin-Auth t"), Some("t"), "client_id=app");
    check(None, None, "client_id=app&client_secret=current&client_assertion=x");
    check(Some(&header), None, "client_id=other");
    check(None, None, "client_secret=current");
    check(None, None, "");
    check(None, None, "client_id=app&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    check(None, None, "client_id=app&client_assertion=x&client_assertion_type=other");
    check(None, None, "client_id=app&client_id=app");
}

#[test]
fn attack_64_65_only_the_registered_method() {
    let header = basic("app:current");
    let post = "client_id=app&client_secret=current";
    for method in AuthMethod::ALL {
        let expected = |wanted: AuthMethod| if method == wanted { "ok" } else { IC };
        assert_eq!(run(method, Some(&header), None, ""), expected(AuthMethod::ClientSecretBasic), "{method:?}");
        assert_eq!(run(method, None, None, post), expected(AuthMethod::ClientSecretPost), "{method:?}");
        assert_eq!(run(method, None, None, "client_id=app"), expected(AuthMethod::None), "{method:?}");
    }
    assert_eq!(run(AuthMethod::None, Some("Digest x"), None, "client_id=app"), IC);
    assert_eq!(run(AuthMethod::None, Some("Bearer x"), None, "client_id=app"), IC);
    assert_eq!(run(AuthMethod::None, None, None, &format!("client_id={}", "a".repeat(300))), IC);
}

#[test]
fn attack_68_basic_halves_are_form_encoded() {
    fn check(header: &str, expected: Option<(&str, &str)>) {
        let form = Form::parse(b"").unwrap();
        let got = Credentials::read(Some(header), None, &form).ok().map(|credentials| match credentials.presented {
            Presented::Basic(secret) => (credentials.client_id, String::from_utf8(secret).unwrap()),
            _ => panic!("Basic was presented"),
        });
        assert_eq!(got, expected.map(|(id, secret)| (id.to_owned(), secret.to_owned())), "{header}");
    }
    check(&basic("app:s"), Some(("app", "s")));
    check(&basic("a%3Ab:s%25+%2B"), Some(("a:b", "s% +")));
    check(&basic("app:s:t"), Some(("app", "s:t")));
    check(&basic("app:%C3%A9"), Some(("app", "é")));
    check(&format!("bAsIc {}", base64("app:s")), Some(("app", "s")));
    check(&format!("Basic   {}", base64("app:s")), Some(("app", "s")));
    check(&basic("app:100%"), None);
    check(&basic("app:%zz"), None);
    check(&basic("app:%ff"), None);
    check(&basic("app"), None);
    check(&basic(":s"), None);
    check(&basic(""), None);
    check("Basic", None);
    check("Basic !!!", None);
    check("Basic YXBwOnM=x", None);
    check(&format!("Basic {} ", base64("app:s")), None);
    check(&format!("Basic {}", base64([0xff, b':', 0xfe])), None);
}

#[test]
fn attack_66_assertions() {
    let now = NOW_MS / 1000;
    let run_assertion = |header: serde_json::Value, sub: &str, extra: &str| {
        let claims = json!({"iss":sub,"sub":sub,"aud":"https://id.example/token","exp":now+60,"jti":"j"});
        let body = format!(
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={}{extra}",
            assertion(&header, &claims)
        );
        run(AuthMethod::PrivateKeyJwt, None, None, &body)
    };
    let good = json!({"alg":"ES256","kid":"k"});
    assert_eq!(run_assertion(good.clone(), "app", ""), "pending");
    assert_eq!(run_assertion(good.clone(), "app", "&client_id=app"), "pending");
    assert_eq!(run_assertion(json!({"alg":"ES256"}), "app", ""), "pending");
    assert_eq!(run_assertion(good.clone(), "app", "&client_id=other"), IC);
    assert_eq!(run_assertion(good.clone(), "other", ""), IC);
    assert_eq!(run_assertion(json!({"alg":"ES256","kid":"x"}), "app", ""), IC);
    assert_eq!(run_assertion(json!({"alg":"RS256","kid":"k"}), "app", ""), IC);
    assert_eq!(run_assertion(json!({"alg":"none"}), "app", ""), IC);
    assert_eq!(run_assertion(json!({"alg":"HS256","kid":"k"}), "app", ""), IC);
    for method in [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::BitcoinSignature] {
        let claims = json!({"iss":"app","sub":"app","aud":"https://id.example","exp":now+60,"jti":"j"});
        let body = format!("client_assertion_type={JWT_BEARER}&client_assertion={}", assertion(&good, &claims));
        assert_eq!(run(method, None, None, &body), IC, "{method:?}");
    }
}

#[test]
fn a_bad_verdict_never_authenticates() {
    let client = facts(AuthMethod::PrivateKeyJwt);
    let claims = json!({"iss":"app","sub":"app","aud":"https://id.example","exp":NOW_MS/1000+60,"jti":"j"});
    let body =
        format!("client_assertion_type={JWT_BEARER}&client_assertion={}", assertion(&json!({"alg":"ES256"}), &claims));
    let form = Form::parse(body.as_bytes()).unwrap();
    let endpoint = Endpoint {
        issuer: "https://id.example",
        base_url: "https://id.example",
        path: "",
        aliases: &[],
        raw_body: b"",
    };
    let step = Credentials::read(None, None, &form).unwrap().check(Some(&client), &endpoint, NOW_MS).unwrap();
    let Step::VerifyAssertion(pending) = step else { panic!("an assertion was presented") };
    assert!(pending.conclude(false).is_err());
}

fn bitcoin_token(key: &str, path: &str) -> String {
    let mut signature = [1u8; 65];
    signature[0] = 31;
    format!("{key}|bsm|2026-01-15T12:00:00.000Z|{path}|{}", base64(signature))
}

/// The texts are what Sigma's own clients show their developers.
#[test]
fn bitcoin_signature_texts() {
    fn check(client: Option<&ClientFacts>, token: Option<&str>, body: &str, expected: Result<&str, &str>) {
        let got = step(client, None, token, body);
        assert_eq!(got.as_deref().map_err(|error| &*error.description), expected, "{token:?} {body}");
    }
    let client = facts(AuthMethod::BitcoinSignature);
    let good = bitcoin_token(KEY, "/token");
    let body = "grant_type=authorization_code&client_id=app";
    check(Some(&client), Some(&good), body, Ok("pending"));
    check(Some(&client), Some(&good), "grant_type=authorization_code", Err("Missing client_id in request body"));
    check(None, Some(&good), body, Err("OAuth client not registered: app"));
    check(Some(&client), None, body, Err("Missing X-Auth-Token header for client authentication"));
    let format = Err("Invalid Bitcoin auth token format - unable to extract pubkey");
    check(Some(&client), Some(""), body, format);
    check(Some(&client), Some("a|b"), body, format);
    check(Some(&client), Some(&good.replace("bsm", "x")), body, format);
    check(Some(&client), Some(&good.replace("035b", "055b")), body, format);
    let keyless = ClientFacts { pubkey: None, ..facts(AuthMethod::BitcoinSignature) };
    check(Some(&keyless), Some(&good), body, Err("Client app has no account pubkey configured"));
    let other = bitcoin_token(&KEY.replace("035b", "025b"), "/token");
    check(
        Some(&client),
        Some(&other),
        body,
        Err(
            "Signature pubkey does not match registered member key - check SIGMA_MEMBER_PRIVATE_KEY matches the public key registered for this OAuth client",
        ),
    );
    let failed = Err("Bitcoin signature verification failed - signature expired or request body was modified");
    check(Some(&client), Some(&bitcoin_token(KEY, "/api/auth/sign-in/sigma")), body, failed); // attack 132
    check(Some(&client), Some(&good.replace("2026", "2025")), body, failed);
    check(Some(&facts(AuthMethod::None)), Some(&good), body, Err("client authentication failed"));
}

#[test]
fn bitcoin_signature_covers_the_raw_form_then_the_reserialised_one() {
    let client = facts(AuthMethod::BitcoinSignature);
    let pending = |body: &str| {
        let form = Form::parse(body.as_bytes()).unwrap();
        let endpoint = Endpoint { issuer: "i", base_url: "i", path: "/token", aliases: &[], raw_body: body.as_bytes() };
        let token = bitcoin_token(KEY, "/token");
        let step =
            Credentials::read(None, Some(&token), &form).unwrap().check(Some(&client), &endpoint, NOW_MS).unwrap();
        let Step::VerifyBitcoin(pending) = step else { panic!("a Bitcoin token was presented") };
        let checked = pending.checked();
        (checked.message().to_vec(), checked.fallback_message().map(<[u8]>::to_vec), pending.conclude(false).is_err())
    };
    let message =
        |body: &str| format!("/token|2026-01-15T12:00:00.000Z|{}", hex::encode(Sha256::digest(body))).into_bytes();
    assert_eq!(pending("client_id=app&scope=a+b"), (message("client_id=app&scope=a+b"), None, true));
    assert_eq!(
        pending("client_id=app&scope=a%20b"),
        (message("client_id=app&scope=a%20b"), Some(message("client_id=app&scope=a+b")), true)
    );
}

#[test]
fn public_clients_are_not_confidential() {
    for method in AuthMethod::ALL {
        assert_eq!(require_confidential(&ClientAuthenticated::new("app", method)).is_err(), method == AuthMethod::None);
        assert_eq!(AuthMethod::parse(method.as_str()), Some(method));
    }
    assert_eq!(AuthMethod::parse("client_secret_jwt"), None);
    assert_eq!(missing_credentials().status(), 401);
}
