//! Attacks on what an access token says, all of them under a good signature of the server's own key.

use std::time::Duration;

use assay_gateway::clock::timed;
use assay_tests::actors::{Person, Pkce};
use assay_tests::forge;
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime};
use assay_tests::target::{AUDIENCE, ISSUER};
use assay_tests::wire::Request;
use serde_json::{Value, json};

use crate::lab::Lab;

/// Enough time for any single answer in this file; a forged token must not buy more.
const BOUNDED: Duration = Duration::from_secs(5);

fn attack_15_duplicate_members(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let header = lab.signer.header().to_string();
    for name in ["sub", "exp", "client_id", "aud", "jti", "gen", "tid", "\\u0073ub", "unknown"] {
        let claims = lab.changed(|claims| claims["unknown"] = json!(1)).to_string();
        let plain = if name.starts_with('\\') { "sub" } else { name };
        let value = serde_json::from_str::<Value>(&claims).expect("JSON")[plain].to_string();
        let doubled = format!("{{\"{name}\":{value},{}", &claims[1..]);
        lab.refused(name, &lab.signer.sign_bytes(header.as_bytes(), doubled.as_bytes()));
    }
    let claims = lab.changed(|_| {}).to_string();
    for doubled in [r#"{"alg":"none","#, r#"{"alg":"ES256","#, r#"{"typ":"at+jwt","#, r#"{"kid":"x","#] {
        let doubled = format!("{doubled}{}", &header[1..]);
        lab.refused("a doubled header member", &lab.signer.sign_bytes(doubled.as_bytes(), claims.as_bytes()));
    }
}

fn attack_17_expiry_of_another_type(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let now = lab.server.now();
    let raw =
        ["1e99", "-1", "null", "[]", "{}", "true", "\"\"", "99999999999999999999999", "0", "1", "NaN", "0x7fffffff"]
            .map(str::to_owned);
    let dated = [
        format!("\"{}\"", now + 300),
        format!("{}.5", now + 300),
        format!("{}.0", now + 300),
        format!("{}e0", now + 300),
        format!("+{}", now + 300),
        format!("0{}", now + 300),
        format!("{}", now - 1),
        format!("{now}"),
    ];
    let header = lab.signer.header().to_string();
    for exp in raw.into_iter().chain(dated) {
        let claims = lab.changed(|claims| claims["exp"] = json!("HERE")).to_string().replace("\"HERE\"", &exp);
        lab.refused(&format!("exp {exp}"), &lab.signer.sign_bytes(header.as_bytes(), claims.as_bytes()));
    }
    lab.refused("no exp", &lab.forge(|claims| remove(claims, "exp")));
}

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().expect("an object").remove(name);
}

fn attack_18_not_before(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let now = lab.server.now();
    for nbf in [
        json!("never"),
        json!(now.to_string()),
        json!(now + 60),
        json!(1.5),
        json!(-1),
        Value::Null,
        json!([]),
        json!(true),
    ] {
        lab.refused(&format!("nbf {nbf}"), &lab.forge(|claims| claims["nbf"] = nbf.clone()));
    }
    assert!(lab.server.is_active(&lab.reader, &lab.forge(|claims| claims["nbf"] = json!(now - 1))), "a past nbf");
}

/// Our own tokens get no leeway: one second ahead is ahead. A clock of our own makes the second exact.
fn attack_19_issued_in_the_future(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for ahead in [30, 60, 3600] {
        lab.refused("iat ahead", &lab.forge(|claims| claims["iat"] = json!(lab.server.now() + ahead)));
    }
    for iat in [json!("1"), json!(1.5), Value::Null, json!(-5), json!(true)] {
        lab.refused("iat of another type", &lab.forge(|claims| claims["iat"] = iat));
    }
}

fn attack_20_missing_claims(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for name in ["iss", "aud", "sub", "jti", "exp", "iat", "client_id", "tid", "gen", "sty"] {
        lab.refused(name, &lab.forge(|claims| remove(claims, name)));
        lab.refused(name, &lab.forge(|claims| claims[name] = Value::Null));
        lab.refused(name, &lab.forge(|claims| claims[name] = json!({"x": 1})));
    }
    for name in ["iss", "sub", "jti", "client_id", "tid"] {
        lab.refused(name, &lab.forge(|claims| claims[name] = json!("")));
        lab.refused(name, &lab.forge(|claims| claims[name] = json!(7)));
    }
    for payload in ["", "null", "[]", "1", "\"x\"", "{}", "{", "{}{}", "{} x"] {
        let header = lab.signer.header().to_string();
        lab.refused("no object", &lab.signer.sign_bytes(header.as_bytes(), payload.as_bytes()));
    }
}

fn attack_21_audience_lists(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let check = |audience: Value, expected: bool| {
        let token = lab.forge(|claims| claims["aud"] = audience.clone());
        assert_eq!(lab.server.is_active(&lab.reader, &token), expected, "{audience}");
    };
    check(json!([AUDIENCE]), true);
    check(json!([AUDIENCE, "https://other.test"]), true);
    check(json!(["https://other.test", AUDIENCE]), true);
    check(json!(["https://other.test"]), false);
    check(json!("https://other.test"), false);
    check(json!([]), false);
    check(json!([[AUDIENCE]]), false);
    check(json!([AUDIENCE, [AUDIENCE]]), false);
    check(json!([AUDIENCE, 7]), false);
    check(json!({"0": AUDIENCE}), false);
    check(json!([format!("{AUDIENCE}/")]), false);
    check(json!([AUDIENCE.to_uppercase()]), false);
    check(json!(""), false);
}

fn attack_22_other_kinds_of_token(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let types = [
        "JWT",
        "jwt",
        "at+JWT ",
        "logout+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
        "",
        "id_token",
    ];
    for typ in types {
        lab.refused(typ, &lab.under(|header| header["typ"] = json!(typ)));
    }
    lab.refused("no typ", &lab.under(|header| remove(header, "typ")));
    lab.refused("typ of another type", &lab.under(|header| header["typ"] = json!(["at+jwt"])));
    let app = lab.server.web_app();
    let answer = lab.server.web_sign_in(&Person::new(), &app);
    lab.refused("an id_token", answer["id_token"].as_str().expect("openid was granted"));
}

fn attack_23_access_token_as_hint(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let app = lab.server.web_app();
    let hint = lab.forge(|_| {});
    let response = lab.server.authorize(None, &app, &Pkce::new(), &[("id_token_hint", &hint)]);
    // Ignored or an error, but never a session.
    assert!(matches!(response.status, 302 | 303 | 400), "{}", response.shown());
    let location = response.header("location").unwrap_or_default();
    assert!(!location.contains("code="), "{location}");
    let none = lab.server.authorize(None, &app, &Pkce::new(), &[("id_token_hint", &hint), ("prompt", "none")]);
    assert!(none.header("location").unwrap_or_default().contains("error="), "{}", none.shown());
}

fn attack_24_similar_issuers(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for issuer in [
        "http://issuer.test/",
        "HTTP://issuer.test",
        "http://Issuer.test",
        "https://issuer.test",
        "http://issuer.test:80",
        "http://issuer.test/api/auth",
        "issuer.test",
        "http://issuer.test ",
    ] {
        lab.refused(issuer, &lab.forge(|claims| claims["iss"] = json!(issuer)));
    }
    lab.refused("a list", &lab.forge(|claims| claims["iss"] = json!([ISSUER])));
}

fn attack_25_huge_and_deep(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let header = lab.signer.header().to_string();
    let big = lab.signer.sign_bytes(header.as_bytes(), &vec![b'x'; 750_000]);
    let claims = lab.changed(|_| {}).to_string();
    let deep = |open: &str, close: &str, depth: usize| {
        let nested = format!("{{\"x\":{}1{},{}", open.repeat(depth), close.repeat(depth), &claims[1..]);
        lab.signer.sign_bytes(header.as_bytes(), nested.as_bytes())
    };
    let long_list = format!("{{\"x\":[{}0],{}", "0,".repeat(300_000), &claims[1..]);
    let tokens = [
        big.clone(),
        deep("[", "]", 100_000),
        deep("{\"a\":", "}", 100_000),
        deep("[", "]", 1_000),
        deep("[", "]", 17),
        lab.signer.sign_bytes(header.as_bytes(), long_list.as_bytes()),
        ".".repeat(1_000_000),
        "a".repeat(1_000_000),
    ];
    for token in tokens {
        let (result, took) = timed(|| lab.server.batch(&lab.reader, &[&token]));
        assert_eq!(result, [json!({"active": false})]);
        assert!(took < BOUNDED, "{took:?} for {} bytes", token.len());
    }
    let form = Request::post("/introspect").form(&[("token", &big)]).basic(&lab.reader.id, &lab.reader.secret);
    assert_eq!(lab.server.connect().send(&form).expect("an answer").status, 413);
    let single = "a".repeat(60_000);
    lab.refused("60 kB in a form", &single);
    assert!(lab.server.is_active(&lab.reader, &lab.forge(|_| {})), "the server is well");
}

fn attack_26_broken_unicode(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let header = lab.signer.header().to_string();
    let mark = json!("MARK").to_string();
    let claims = lab.changed(|claims| claims["note"] = json!("MARK")).to_string();
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf5\x80\x80\x80\"",
        br#""\ud800""#,
        br#""\udc00\ud800""#,
        br#""\ud800x""#,
        b"\"\0\"",
        b"\"\n\"",
    ] {
        let at = claims.find(&mark).expect("planted");
        let payload = [&claims.as_bytes()[..at], bytes, &claims.as_bytes()[at + mark.len()..]].concat();
        lab.refused("broken unicode", &lab.signer.sign_bytes(header.as_bytes(), &payload));
    }
    let with_bom = [b"\xef\xbb\xbf", claims.as_bytes()].concat();
    lab.refused("a byte order mark", &lab.signer.sign_bytes(header.as_bytes(), &with_bom));
    // Bytes that are not UTF-8 at all, in the form and in the JSON around the token.
    let form = [b"token=".as_slice(), b"\xff\xfe"].concat();
    let request = Request::post("/introspect").basic(&lab.reader.id, &lab.reader.secret);
    let response = lab.server.send(&request.header("content-type", "application/x-www-form-urlencoded").body(form));
    assert!(response.status == 400 || response.json() == json!({"active": false}), "{}", response.shown());
    let request = Request::post("/introspect/batch").basic(&lab.reader.id, &lab.reader.secret);
    let body = b"{\"tokens\":[{\"token\":\"\xff\"}]}".to_vec();
    let response = lab.server.send(&request.header("content-type", "application/json").body(body));
    assert!(response.status == 400 || response.json()["results"] == json!([{"active": false}]), "{}", response.shown());
}

fn attack_30_unknown_tenant(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for tid in ["other", "Default", "default ", "1", "", "default/../other"] {
        lab.refused(tid, &lab.forge(|claims| claims["tid"] = json!(tid)));
    }
    lab.refused("a number", &lab.forge(|claims| claims["tid"] = json!(1)));
}

/// Time only moves when the test says so: the last second of a token's life, and the first after it.
fn attack_17_expiry_is_exact(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime));
    let (reader, app) = (server.resource_server(), server.service());
    let token = server.service_token(&app);
    let life = forge::payload(&token)["exp"].as_u64().expect("a time") - server.now();
    assert_eq!(life, 900, "fifteen minutes by default");
    server.advance_s(life - 1);
    assert!(server.is_active(&reader, &token), "its last second");
    server.advance_s(1);
    assert!(!server.is_active(&reader, &token), "now = exp");
    server.advance_s(100_000);
    assert!(!server.is_active(&reader, &token));
}

both_runtimes!(
    attack_15_duplicate_members,
    attack_17_expiry_of_another_type,
    attack_18_not_before,
    attack_19_issued_in_the_future,
    attack_20_missing_claims,
    attack_21_audience_lists,
    attack_22_other_kinds_of_token,
    attack_23_access_token_as_hint,
    attack_24_similar_issuers,
    attack_25_huge_and_deep,
    attack_26_broken_unicode,
    attack_30_unknown_tenant,
    attack_17_expiry_is_exact,
);
