//! Cases of `introspect`, most of them refusals.

use super::*;
use crate::bitcoin_token::Scheme;
use crate::flow::tests::{client, tenant, user};
use crate::jose::access::tests::{KID, sample};
use crate::revocation::Level;
use crate::revocation::tests::Table;

const NOW: u64 = 1_500;

fn verdict(change: impl FnOnce(&mut AccessClaims, &mut Table)) -> Result<(), Inactive> {
    let (mut claims, mut view) = (sample(), Table::default());
    change(&mut claims, &mut view);
    judge(&claims, KID, &tenant(), &view, NOW)
}

fn check(change: impl FnOnce(&mut AccessClaims, &mut Table), expected: Result<(), Inactive>) {
    assert_eq!(verdict(change), expected);
}

#[test]
fn every_condition_alone() {
    check(|_, _| {}, Ok(()));
    check(|claims, _| claims.exp = NOW + 1, Ok(()));
    check(|claims, _| claims.exp = NOW, Err(Inactive::Expired));
    check(|claims, _| claims.exp = 0, Err(Inactive::Expired));
    check(|claims, _| claims.nbf = Some(NOW), Ok(()));
    check(|claims, _| claims.nbf = Some(NOW + 1), Err(Inactive::NotYet)); // attack 18
    check(|claims, _| claims.iat = NOW, Ok(()));
    check(|claims, _| claims.iat = NOW + 1, Err(Inactive::NotYet)); // attack 19
    check(|claims, _| claims.iss = "https://id.example/".into(), Err(Inactive::Issuer)); // attack 24
    check(|claims, _| claims.iss = "https://ID.example".into(), Err(Inactive::Issuer));
    check(|claims, _| claims.iss = "http://id.example".into(), Err(Inactive::Issuer));
    check(|claims, _| claims.tid = "other".into(), Err(Inactive::Tenant)); // attack 30
    check(
        |_, view| {
            view.bad_keys.insert(KID.into());
        },
        Err(Inactive::Key),
    ); // attack 8
    check(
        |_, view| {
            view.jtis.insert("j1".into());
        },
        Err(Inactive::Revoked),
    );
    check(
        |_, view| {
            view.jtis.insert("j2".into());
        },
        Ok(()),
    );
    check(
        |_, view| {
            view.disabled.insert("app".into());
        },
        Err(Inactive::Client),
    );
}

/// Attack 84 (CVE-2026-8922): all subsets of levels, each level revoked before, at and after the token's generation.
#[test]
fn attack_84_two_to_the_four_levels() {
    let ids = ["default", "app", "usr_1", "s1"];
    for subset in 0u32..16 {
        for generation in [9, 10, 11] {
            let result = verdict(|claims, view| {
                claims.generation = 10;
                for (index, level) in Level::ALL.into_iter().enumerate() {
                    let not_before = if subset & 1 << index != 0 { generation } else { 1 };
                    view.revoke(level, ids[index], not_before);
                }
            });
            let expected = if subset != 0 && generation == 11 { Err(Inactive::Generation) } else { Ok(()) };
            assert_eq!(result, expected, "{subset:04b} {generation}");
        }
    }
}

#[test]
fn service_tokens_have_no_user_level() {
    let service = |claims: &mut AccessClaims| {
        claims.sty = SubjectType::Service;
        claims.sub = "app".into();
        claims.sid = None;
    };
    check(
        |claims, view| {
            service(claims);
            view.revoke(Level::User, "app", 99);
        },
        Ok(()),
    );
    check(
        |claims, view| {
            service(claims);
            view.revoke(Level::Client, "app", 99);
        },
        Err(Inactive::Generation),
    );
    check(
        |claims, view| {
            service(claims);
            view.revoke(Level::Tenant, "default", 99);
        },
        Err(Inactive::Generation),
    );
}

#[test]
fn attack_78_who_may_see() {
    fn sees(change: impl FnOnce(&mut ClientFacts), expected: bool) {
        let mut caller = ClientFacts { client_id: "rs".into(), introspect: true, ..client() };
        change(&mut caller);
        assert_eq!(may_see(&caller, &sample()), expected, "{caller:?}");
    }
    sees(|_| {}, true);
    sees(|caller| caller.audiences = vec!["x".into(), "https://api.example".into()], true);
    sees(|caller| caller.audiences.clear(), false);
    sees(|caller| caller.audiences = vec!["https://api.example/".into()], false);
    sees(|caller| caller.introspect = false, false);
    sees(
        |caller| {
            caller.client_id = "app".into();
            caller.introspect = false;
            caller.audiences.clear();
        },
        true,
    );
}

#[test]
fn rendered_answers() {
    let text = String::from_utf8(render_active(&sample())).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"active":true,"iss":"https://id.example","sub":"usr_1","aud":["https://api.example"],"client_id":"app","#,
            r#""scope":"openid profile","token_type":"Bearer","exp":2000,"iat":1000,"jti":"j1","tid":"default","sty":"user","#,
            r#""sid":"s1","auth_time":990,"amr":["pop"],"pubkey":"02ab","bap_id":"bap"}"#
        )
    );
    assert_eq!(INACTIVE, br#"{"active":false}"#);
    fn item(answer: &[u8], id: Option<&str>, expected: &str) {
        let mut out = b"[".to_vec();
        push_batch_item(&mut out, answer, id);
        assert_eq!(String::from_utf8(out).unwrap(), format!("[{expected}"));
    }
    item(INACTIVE, None, r#"{"active":false}"#);
    item(INACTIVE, Some("a\"}"), r#"{"active":false,"id":"a\"}"}"#);
    item(INACTIVE_UNAVAILABLE, Some("1"), r#"{"active":false,"error":"temporarily_unavailable","id":"1"}"#);
}

#[test]
fn caching_is_opt_in_and_bounded() {
    let with = |opted| ClientFacts { introspection_max_age: opted, ..client() };
    assert_eq!(cache_control(&with(None), 2_000, 1_000), None);
    assert_eq!(cache_control(&with(Some(0)), 2_000, 1_000), None);
    assert_eq!(cache_control(&with(Some(10)), 2_000, 1_000), Some(10));
    assert_eq!(cache_control(&with(Some(3_600)), 2_000, 1_000), Some(30));
    assert_eq!(cache_control(&with(Some(10)), 1_003, 1_000), Some(3));
    assert_eq!(cache_control(&with(Some(10)), 900, 1_000), Some(0));
}

#[test]
fn attack_80_requests_and_hints() {
    fn kind(form: &str, expected: &str) {
        let form = Form::parse(form.as_bytes()).unwrap();
        let got = match Request::parse(&form) {
            Ok(Request::Token(_)) => "token",
            Ok(Request::Bitcoin(request)) if request.single_use => "bitcoin once",
            Ok(Request::Bitcoin(_)) => "bitcoin",
            Err(error) => error.code.as_str(),
        };
        assert_eq!(got, expected, "{form:?}");
    }
    kind("token=x", "token");
    for hint in ["access_token", "refresh_token", "what", "", "Bitcoin-Auth"] {
        kind(&format!("token=x&token_type_hint={hint}"), "token");
    }
    kind("", "invalid_request");
    kind("token=", "invalid_request");
    let hash = "ab".repeat(32);
    kind(&format!("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&body_sha256={hash}"), "bitcoin");
    kind("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&single_use=true", "bitcoin once");
    kind("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&single_use=false", "bitcoin");
    kind("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&single_use=1", "invalid_request");
    kind("token=x&token_type_hint=bitcoin-auth", "invalid_request");
    kind(
        &format!("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&body_sha256={}", hash.to_uppercase()),
        "invalid_request",
    );
    kind(
        &format!("token=x&token_type_hint=bitcoin-auth&request_path=%2Fp&body_sha256={}", &hash[2..]),
        "invalid_request",
    );
}

#[test]
fn bitcoin_answers() {
    let pubkey = hex_lower_array(user().pubkey.as_bytes()).unwrap();
    let key = KeyProven { pubkey, scheme: Scheme::Brc77, timestamp_ms: 1_768_478_400_123, body_bound: true };
    let value: serde_json::Value = serde_json::from_slice(&render_bitcoin(&key, Some(&user()))).unwrap();
    assert_eq!(value["address"], "17JhKa7D8phXD7fpMZfAhbhrGY3eHvKTS9");
    assert_eq!(
        (value["sub"].as_str(), value["iat"].as_u64(), value["scheme"].as_str()),
        (Some("usr_1"), Some(1_768_478_400), Some("brc77"))
    );
    let value: serde_json::Value = serde_json::from_slice(&render_bitcoin(&key, None)).unwrap();
    assert!(value.get("sub").is_none());
    assert_eq!(render_bitcoin(&key, Some(&UserFacts { suspended: true, ..user() })), INACTIVE);
    assert!(may_judge_bitcoin(&ClientFacts { introspect: true, ..client() }));
    assert!(!may_judge_bitcoin(&client()));
}
