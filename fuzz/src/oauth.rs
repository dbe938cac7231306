//! Attacks on the readers of the protocol layer: whatever the bytes, no panic, and what is accepted has one meaning.

use assay_oauth::bitcoin_token::{self, BodyHash, Expect, Freshness};
use assay_oauth::encoding::base64url;
use assay_oauth::form::Form;
use assay_oauth::jose::access::{AccessClaims, AccessToken};
use assay_oauth::jose::compact::{Header, Parts, assemble, signing_input};
use assay_oauth::redirect_uri;

const CLAIMS: &str = concat!(
    r#"{"iss":"https://id.example","sub":"usr_1","aud":["https://api.example"],"exp":2000,"iat":1000,"jti":"j","#,
    r#""client_id":"app","scope":"openid","tid":"default","sty":"user","gen":10,"sid":"s","auth_time":990,"#,
    r#""amr":["pop"],"pubkey":"02ab","bap_id":"b","cnf":{"jkt":[1,{"x":null}]}}"#
);
const KID: &str = "0123456789-_abcdefghijklmnopqrstuvwxyzABCDE";

/// An accepted token is the only spelling of its parts.
pub fn jose_compact(data: &[u8]) {
    let Ok(parts) = Parts::split(data) else {
        assert!(AccessToken::parse(data).is_err());
        return;
    };
    let header = parts.read_header();
    if let (Ok(payload), Ok(signature)) = (parts.read_payload(), parts.read_signature()) {
        assert_eq!(base64url(payload).as_bytes(), parts.payload);
        assert_eq!(base64url(signature).as_bytes(), parts.signature);
    }
    if let Ok(token) = AccessToken::parse(data) {
        let header = header.expect("an access token has a readable header");
        assert_eq!(header.kid.as_deref(), Some(token.kid()));
        assert_eq!(Header::parse(header.to_json().as_bytes()), Ok(header));
        assert!(token.conclude(false, &mut Vec::new()).is_err());
        let _ = token.conclude(true, &mut Vec::new());
    }
}

/// Seeds of `jose_compact`.
pub fn jose_compact_seeds() -> Vec<Vec<u8>> {
    let header = assay_oauth::jose::access::header(KID);
    let token = assemble(&signing_input(&header, CLAIMS.as_bytes()), &[7; 64]);
    vec![token.into_bytes()]
}

/// Accepted claims survive being written again, and a lenient reader sees the same ones.
pub fn access_claims(data: &[u8]) {
    let Ok(claims) = AccessClaims::parse(data) else { return };
    assert_eq!(AccessClaims::parse(claims.to_json().as_bytes()).as_ref(), Ok(&claims));
    let lenient: serde_json::Value = serde_json::from_slice(data).expect("what we accept is JSON");
    assert_eq!(lenient["sub"].as_str(), Some(claims.sub.as_str()));
    assert_eq!(lenient["exp"].as_u64(), Some(claims.exp));
    assert_eq!(lenient["jti"].as_str(), Some(claims.jti.as_str()));
}

/// Seeds of `access_claims`.
pub fn access_claims_seeds() -> Vec<Vec<u8>> {
    vec![CLAIMS.into(), CLAIMS.replace("\"sub\"", r#""\u0073ub""#).into_bytes()]
}

/// An accepted form means the same after it was written the way JavaScript writes it.
pub fn form(data: &[u8]) {
    let Ok(form) = Form::parse(data) else { return };
    let text = form.to_url_search_params();
    // Escapes make text longer: only the bound may refuse it.
    if let Ok(again) = Form::parse(text.as_bytes()) {
        assert!(again.pairs().eq(form.pairs()));
        assert_eq!(again.to_url_search_params(), text);
    } else {
        assert!(text.len() > assay_oauth::limits::FORM_BYTES_MAX);
    }
}

/// Seeds of `form`.
pub fn form_seeds() -> Vec<Vec<u8>> {
    vec![
        b"grant_type=authorization_code&code=a%20b&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&resource=x&resource=y"
            .to_vec(),
        b"a=+&b=%C3%A9&c&=d&&e=".to_vec(),
    ]
}

const NOW_MS: i64 = 1_768_478_400_000;

/// An accepted token is for our path, inside our window, and proves nothing without a verdict.
pub fn bitcoin_token(data: &[u8]) {
    let expect = Expect {
        paths: &["/p"],
        body: BodyHash::of(b"{}"),
        fallback_body: Some(BodyHash::Empty),
        freshness: Freshness::Window,
        now_ms: NOW_MS,
    };
    let Ok(checked) = bitcoin_token::check(data, &expect) else { return };
    assert_eq!(data.iter().filter(|byte| **byte == b'|').count(), 4);
    assert!(checked.message().starts_with(b"/p|"));
    assert!((checked.timestamp_ms() - NOW_MS).abs() <= 300_000);
    assert!(checked.conclude(false).is_err() && checked.conclude_fallback(false).is_err());
    let (key, replay) = checked.conclude(true).expect("a good verdict");
    assert!(data.starts_with(key.pubkey_hex().as_bytes()));
    assert!(i64::try_from(replay.expires_at).expect("small") * 1000 > NOW_MS + 300_000);
}

/// Seeds of `bitcoin_token`.
pub fn bitcoin_token_seeds() -> Vec<Vec<u8>> {
    let key = [&[2u8][..], &[0x11; 32]].concat();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = |scheme: &str, signature: &[u8]| {
        format!("{hex}|{scheme}|2026-01-15T12:00:00.000Z|/p|{}", assay_oauth::encoding::base64(signature)).into_bytes()
    };
    let envelope = [&[0x42, 0x42, 0x33, 1][..], &key, &[0], &[9; 32], &[0x30, 6, 2, 1, 1, 2, 1, 1]].concat();
    vec![token("bsm", &[31; 65]), token("brc77", &envelope)]
}

/// What may be registered matches itself and names one host; what matches differs from a registration in a port only.
pub fn redirect_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for native in [false, true] {
        if redirect_uri::validate(text, native).is_ok() {
            assert!(redirect_uri::matches(&[text.to_owned()], text, native));
            assert!(!text.contains(['#', '\\', ' ']) && text.is_ascii());
            assert!(!text.starts_with("javascript:") && !text.starts_with("data:"));
        }
        let registered = ["https://app.example/cb".to_owned(), "http://127.0.0.1/cb".to_owned()];
        if redirect_uri::matches(&registered, text, native) && !registered.iter().any(|uri| uri == text) {
            let port = text.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/cb"));
            assert!(native && port.expect("only a port is added").parse::<u16>().is_ok_and(|port| port > 0));
        }
    }
}

/// Seeds of `redirect_uri`.
pub fn redirect_uri_seeds() -> Vec<Vec<u8>> {
    ["https://app.example/cb", "http://127.0.0.1:8000/cb", "http://[::1]:7/cb?x=%20", "com.example.app:/cb"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}
