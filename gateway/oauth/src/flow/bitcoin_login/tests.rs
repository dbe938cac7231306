//! Cases of `bitcoin_login`, most of them refusals.

use super::*;
use crate::bitcoin_token::Scheme;
use crate::encoding::hex_lower_array;
use crate::flow::issue::Mint;
use crate::flow::tests::{CHALLENGE, VERIFIER, client, tenant, user};

fn key() -> KeyProven {
    let pubkey = hex_lower_array(user().pubkey.as_bytes()).unwrap();
    KeyProven { pubkey, scheme: Scheme::Bsm, timestamp_ms: 0, body_bound: true }
}

fn own_id() -> String {
    bitcoin_identity::bap_id(key().pubkey())
}

#[test]
fn bodies() {
    fn check(body: &str, expected: Option<SignInBody>) {
        assert_eq!(SignInBody::parse(body.as_bytes()).ok(), expected, "{body}");
    }
    let empty = SignInBody { is_empty: true, ..SignInBody::default() };
    let with_id = |id: &str| SignInBody { bap_id: Some(id.into()), ..SignInBody::default() };
    check("", Some(empty.clone()));
    check("{}", Some(empty.clone()));
    check(" { } ", Some(empty));
    check(r#"{"bapId":"x"}"#, Some(with_id("x")));
    check(r#"{"bap_id":"x"}"#, Some(with_id("x")));
    check(r#"{"bapId":"x","bap_id":"x"}"#, Some(with_id("x")));
    check(r#"{"bapId":null,"other":[1]}"#, Some(SignInBody::default()));
    check(r#"{"bapId":""}"#, Some(SignInBody::default()));
    check(r#"{"bapId":"x","bap_id":"y"}"#, None);
    check(r#"{"bapId":1}"#, None);
    check(r#"{"bapId":"x","bapId":"x"}"#, None);
    check(r#"[]"#, None);
    check(r#""x""#, None);
    check("null", None);
    check("{", None);
    check("bapId=x", None);
    check(&format!(r#"{{"nonce":"{}"}}"#, "n".repeat(600)), None);
    assert_eq!(SignInBody::parse(&vec![b' '; 100_000]).unwrap_err().status(), 413);
}

/// Only a body that says nothing may have been signed as no body where the body matters.
#[test]
fn fallbacks() {
    fn check(body: &str, authorize: bool, sign_in: bool) {
        let body = SignInBody::parse(body.as_bytes()).unwrap();
        assert_eq!((body.authorize_fallback().is_some(), body.sign_in_fallback().is_some()), (authorize, sign_in));
    }
    check("", true, true);
    check("{}", true, true);
    check(r#"{"bapId":"x"}"#, false, true);
    check(r#"{"unknown":1}"#, false, true);
    check(r#"{"nonce":"n"}"#, false, true);
    check(r#"{"nonce":"as_ch_x"}"#, false, false);
    assert_eq!(SignInBody::parse(br#"{"nonce":"as_ch_x"}"#).unwrap().challenge(), Some("as_ch_x"));
    assert_eq!(SignInBody::parse(br#"{"nonce":"x"}"#).unwrap().challenge(), None);
}

#[test]
fn people() {
    fn check(
        bap_id: Option<&str>,
        user: Option<&UserFacts>,
        bound_to: Option<&str>,
        sign_up: bool,
        expected: Result<Option<&str>, SignInError>,
    ) {
        let binding = bound_to.map(|pubkey| BindingFacts { pubkey: pubkey.into() });
        let tenant = TenantFacts { implicit_sign_up: sign_up, ..tenant() };
        let got = resolve(&key(), bap_id, user, binding.as_ref(), &tenant).map(|who| match who {
            Who::Known { bind_bap_id } => bind_bap_id,
            Who::New(new) => new.bap_id,
        });
        assert_eq!(got, expected.map(|id| id.map(str::to_owned)));
    }
    let (known, own) = (user(), own_id());
    let mine = known.pubkey.as_str();
    let suspended = UserFacts { suspended: true, ..user() };
    check(None, Some(&known), None, true, Ok(None));
    check(None, Some(&known), None, false, Ok(None));
    check(None, None, None, true, Ok(Some(&own)));
    check(None, None, Some("02ff"), true, Ok(None));
    check(None, None, None, false, Err(SignInError::UserNotFound));
    check(None, Some(&suspended), None, true, Err(SignInError::Suspended));
    check(Some("x"), Some(&known), None, true, Err(SignInError::RestoreProfileNotFound));
    check(Some("x"), None, None, true, Err(SignInError::RestoreProfileNotFound));
    check(Some("x"), Some(&known), Some("02ff"), true, Err(SignInError::BapOwnershipFailed));
    check(Some(&own), None, Some("02ff"), true, Err(SignInError::BapOwnershipFailed));
    check(Some("x"), Some(&known), Some(mine), true, Ok(None));
    check(Some(&own), Some(&known), None, true, Ok(Some(&own)));
    check(Some(&own), None, None, true, Ok(Some(&own)));
    let Ok(Who::New(new)) = resolve(&key(), None, None, None, &tenant()) else { panic!("a new person") };
    assert_eq!(new.name, "17JhKa7D8phXD7fpMZfAhbhrGY3eHvKTS9");
}

fn now() -> SignedInNow {
    SignedInNow { user: user(), sid: Some("s1".into()), now: 1_000 }
}

#[test]
fn answers() {
    fn check(body: &str, client: Option<&ClientFacts>, expected: &str) {
        let body = SignInBody::parse(body.as_bytes()).unwrap();
        let got = match authorize(&key(), &body, client, &tenant(), now(), 10) {
            Ok(Answer::Code(_)) => "code",
            Ok(Answer::Tokens(_)) => "tokens",
            Err(error) => error.code.as_str(),
        };
        assert_eq!(got, expected, "{body:?}");
        assert_eq!(precheck(&body, client).is_ok(), matches!(got, "code" | "tokens"), "{body:?}");
    }
    let (app, direct) = (client(), ClientFacts::direct());
    let code = |uri: &str, challenge: &str, more: &str| {
        format!(r#"{{"client_id":"app","redirect_uri":"{uri}","code_challenge":"{challenge}"{more}}}"#)
    };
    let uri = "https://app.example/cb";
    check("", Some(&direct), "tokens");
    check("{}", Some(&direct), "tokens");
    check(r#"{"client_id":"app","scope":"openid"}"#, Some(&app), "tokens");
    check(&code(uri, CHALLENGE, ""), Some(&app), "code");
    check(&code(uri, CHALLENGE, r#","code_challenge_method":"S256","state":"x""#), Some(&app), "code");
    check(&code(uri, CHALLENGE, r#","code_challenge_method":"plain""#), Some(&app), "invalid_request");
    check(&code(uri, &CHALLENGE[..42], ""), Some(&app), "invalid_request");
    check(&code("https://evil.example/cb", CHALLENGE, ""), Some(&app), "invalid_request");
    check(r#"{"client_id":"app","redirect_uri":"https://app.example/cb"}"#, Some(&app), "invalid_request");
    check(&format!(r#"{{"client_id":"app","code_challenge":"{CHALLENGE}"}}"#), Some(&app), "invalid_request");
    check(&code(uri, CHALLENGE, ""), Some(&ClientFacts { grants: Vec::new(), ..client() }), "unauthorized_client");
    check(r#"{"client_id":"app","scope":"admin"}"#, Some(&app), "invalid_scope");
    check(r#"{"client_id":"other"}"#, None, "invalid_client");
    check(r#"{"client_id":"other"}"#, Some(&app), "invalid_client");
    check(r#"{"client_id":"app"}"#, Some(&ClientFacts { enabled: false, ..client() }), "invalid_client");
}

#[test]
fn token_answers_carry_the_person() {
    let body = SignInBody::parse(br#"{"nonce":"n1"}"#).unwrap();
    let Ok(Answer::Tokens(issue)) = authorize(&key(), &body, Some(&ClientFacts::direct()), &tenant(), now(), 10) else {
        panic!("tokens")
    };
    let claims = issue.access_claims(&tenant(), Mint { jti: "j", generation: 10, now: 1_000 });
    assert_eq!((claims.client_id.as_str(), claims.aud.as_slice()), ("direct", &["https://id.example".to_owned()][..]));
    assert_eq!(issue.id_claims(&tenant(), 1_000).unwrap().nonce.as_deref(), Some("n1"));
    let value: serde_json::Value = serde_json::from_str(&token_response(&issue, "a.t", Some("i.t"), 1_000)).unwrap();
    assert_eq!(
        (value["access_token"].as_str(), value["id_token"].as_str(), value["token_type"].as_str()),
        (Some("a.t"), Some("i.t"), Some("Bearer"))
    );
    assert_eq!((value["expires_in"].as_u64(), value["expires_at"].as_u64()), (Some(900), Some(1_900)));
    assert_eq!(value["user"]["pubkey"], user().pubkey.as_str());
    assert_eq!(value["user"]["bapId"], user().bap_id.unwrap());
}

#[test]
fn code_answers_redirect() {
    let body = format!(
        r#"{{"client_id":"app","redirect_uri":"https://app.example/q?a=1","code_challenge":"{CHALLENGE}","state":"s t"}}"#
    );
    let body = SignInBody::parse(body.as_bytes()).unwrap();
    let Ok(Answer::Code(code)) = authorize(&key(), &body, Some(&client()), &tenant(), now(), 10) else {
        panic!("a code")
    };
    let value: serde_json::Value = serde_json::from_str(&code.response("as_ac_1")).unwrap();
    assert_eq!(value["redirect"], "https://app.example/q?a=1&code=as_ac_1&state=s%20t&iss=https%3A%2F%2Fid.example");
    assert_eq!((code.facts.generation, code.facts.expires_at, code.facts.redirect_uri_given), (10, 1_060, true));
    assert_eq!(s256(VERIFIER), CHALLENGE);
}

#[test]
fn errors_in_both_shapes() {
    use SignInError::*;
    let expected = [
        (NoAuthToken, 401, "NO_AUTH_TOKEN_PROVIDED", 401),
        (InvalidFormat, 400, "INVALID_AUTH_TOKEN_FORMAT", 401),
        (InvalidSignature, 401, "INVALID_AUTH_TOKEN_SIGNATURE", 401),
        (UserNotFound, 403, "USER_NOT_FOUND", 403),
        (RestoreProfileNotFound, 403, "RESTORE_PROFILE_NOT_FOUND", 403),
        (BapOwnershipFailed, 403, "BAP_OWNERSHIP_FAILED", 403),
        (Suspended, 403, "ACCOUNT_SUSPENDED", 403),
        (InvalidBody, 400, "VALIDATION_ERROR", 400),
    ];
    for (error, status, code, oauth_status) in expected {
        let value: serde_json::Value = serde_json::from_str(&error.to_json()).unwrap();
        assert_eq!((error.status(), value["code"].as_str()), (status, Some(code)));
        assert_eq!(error.to_oauth().status(), oauth_status, "{error:?}");
    }
    assert_eq!(SignInError::from(Reject::Malformed), InvalidFormat);
    for reject in [Reject::Stale, Reject::PubkeyMismatch, Reject::BadDer, Reject::PathMismatch, Reject::BadPubkey] {
        assert_eq!(SignInError::from(reject), InvalidSignature);
    }
    // One body for every fault of the token.
    assert_eq!(InvalidFormat.to_oauth(), InvalidSignature.to_oauth());
}

#[test]
fn headers() {
    assert_eq!(token_in_headers(Some("t"), None), Ok(Some("t")));
    assert_eq!(token_in_headers(None, Some("Bitcoin-Auth t")), Ok(Some("t")));
    assert_eq!(token_in_headers(None, Some("bitcoin-auth t")), Ok(Some("t")));
    assert_eq!(token_in_headers(Some("t"), Some("Bearer x")), Ok(Some("t")));
    assert_eq!(token_in_headers(None, Some("Bearer x")), Ok(None));
    assert_eq!(token_in_headers(None, None), Ok(None));
    assert!(token_in_headers(Some("t"), Some("Bitcoin-Auth t")).is_err());
}

#[test]
fn sign_in_body_shape() {
    let value: serde_json::Value = serde_json::from_str(&sign_in_response(&user(), "as_st_1")).unwrap();
    assert_eq!((value["token"].as_str(), value["user"]["id"].as_str()), (Some("as_st_1"), Some("usr_1")));
}
