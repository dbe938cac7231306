//! Attacks on the form of access tokens (JWT / JWS): algorithms, keys, signatures, encodings, at introspection, its
//! batch and userinfo. What is wrong inside the payload is in `claims.rs`.

use std::io::ErrorKind;
use std::net::TcpListener;

use assay_storage::TenantId;
use assay_storage::record::KeyState;
use assay_tests::actors::random_text;
use assay_tests::forge::{self, P256_ORDER, Signer};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::ISSUER;
use assay_tests::wire::Request;
use aws_lc_rs::hmac;
use base64_turbo::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::lab::Lab;

fn attack_01_alg_none(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for alg in ["none", "None", "NONE", "nOnE", "", "null"] {
        let token = lab.under(|header| header["alg"] = json!(alg));
        let (input, _) = token.rsplit_once('.').expect("a JWT");
        lab.all_refused([(alg, format!("{input}.")), (alg, token.clone()), (alg, input.to_owned())]);
    }
    for alg in [Value::Null, json!(["ES256"]), json!({"ES256": 1}), json!(256)] {
        lab.refused("an alg of another type", &lab.under(|header| header["alg"] = alg));
    }
}

fn attack_02_public_key_as_hmac_secret(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let point = lab.signer.public_point();
    // SubjectPublicKeyInfo of P-256: the fixed prefix, then the uncompressed point.
    let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").expect("hex");
    let spki = [prefix, point.clone()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let jwk = lab.signer.jwk().to_string();
    for secret in
        [point.as_slice(), &point[1..], &spki, pem.as_bytes(), jwk.as_bytes(), b"", lab.signer.kid().as_bytes()]
    {
        for (alg, with) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("ES256", hmac::HMAC_SHA256)] {
            let token = lab.under(|header| header["alg"] = json!(alg));
            let (input, _) = token.rsplit_once('.').expect("a JWT");
            let tag = hmac::sign(&hmac::Key::new(with, secret), input.as_bytes());
            lab.refused(alg, &forge::with_signature(&token, tag.as_ref()));
        }
    }
}

fn attack_03_relabelled_algorithm(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for alg in ["ES384", "ES512", "EdDSA", "ES256K", "RS256", "PS256", "es256", "ES256 ", "ES-256"] {
        lab.refused(alg, &lab.under(|header| header["alg"] = json!(alg)));
    }
}

fn attack_04_key_in_the_header(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let attacker = Signer::new(KeyState::Active);
    let claims = lab.changed(|_| {});
    for kid in [lab.signer.kid(), attacker.kid()] {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid, "jwk": attacker.jwk()});
        lab.refused("the attacker's key in the header", &attacker.sign(&header, &claims));
    }
    lab.refused(
        "the attacker's key, unnamed",
        &attacker.sign(&json!({"alg": "ES256", "typ": "at+jwt", "jwk": attacker.jwk()}), &claims),
    );
    // A key that came with a token must not have been kept.
    lab.refused("the attacker's key, later", &attacker.access_token(&claims));
    assert!(lab.server.is_active(&lab.reader, &lab.forge(|_| {})));
}

fn attack_05_key_by_url_makes_no_request(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("it is bound"));
    let attacker = Signer::new(KeyState::Active);
    for member in ["jku", "x5u"] {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": attacker.kid(), member: url});
        lab.refused(member, &attacker.sign(&header, &lab.changed(|_| {})));
        lab.refused(member, &lab.under(|header| header[member] = json!(url)));
    }
    lab.refused("x5c", &lab.under(|header| header["x5c"] = json!(["MIIB"])));
    let app = lab.server.register(&json!({"auth_method": "private_key_jwt", "jwks": {"keys": [attacker.jwk()]}}));
    let now = lab.server.now();
    let claims =
        json!({"iss": app.id, "sub": app.id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": random_text()});
    let assertion = attacker.sign(&json!({"alg": "ES256", "kid": attacker.kid(), "jku": url}), &claims);
    let response = lab.server.send(&Request::post("/token").form(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ]));
    assert_eq!((response.status, response.error().as_str()), (401, "invalid_client"), "{}", response.shown());
    listener.set_nonblocking(true).expect("a socket option");
    let visit = listener.accept().expect_err("nobody may call the URL in a token");
    assert_eq!(visit.kind(), ErrorKind::WouldBlock);
}

fn attack_06_hostile_kid(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let long = "k".repeat(10_000);
    let own = lab.signer.kid().to_owned();
    let texts = [
        "../../x",
        "../../../../etc/passwd",
        "' OR 1=1 --",
        "\0",
        "",
        "*",
        " ",
        "kid",
        &long,
        &own[..42],
        &format!("{own}x"),
        &own.to_lowercase().replace(|c: char| c.is_ascii_digit(), "0"),
        &format!("{own}\0"),
    ];
    for kid in texts {
        lab.refused("a kid", &lab.under(|header| header["kid"] = json!(kid)));
    }
    for kid in [Value::Null, json!(1), json!([own]), json!({"kid": own}), json!(true)] {
        lab.refused("a kid of another type", &lab.under(|header| header["kid"] = kid));
    }
    let missing = |header: &mut Value| drop(header.as_object_mut().expect("an object").remove("kid"));
    lab.refused("no kid", &lab.under(missing));
}

fn attack_07_key_of_another_tenant(runtime: Runtime) {
    let foreign = Signer::new(KeyState::Active);
    let lab = Lab::with(Options::new(runtime).key(TenantId(2), foreign.row.clone()));
    lab.refused("a key of tenant 2", &foreign.access_token(&lab.changed(|_| {})));
    lab.refused("a key and tid of tenant 2", &foreign.access_token(&lab.changed(|claims| claims["tid"] = json!("2"))));
}

fn attack_08_retired_and_grace_keys(runtime: Runtime) {
    let far = 4_000_000_000;
    let [retired, grace, over, revoked, next] =
        [KeyState::Retired, KeyState::Grace, KeyState::Grace, KeyState::Revoked, KeyState::Prepublished]
            .map(Signer::new);
    let (mut grace_row, mut over_row) = (grace.row.clone(), over.row.clone());
    (grace_row.grace_until, over_row.grace_until) = (Some(far), Some(2));
    let mut options = Options::new(runtime);
    for row in [retired.row.clone(), grace_row, over_row, revoked.row.clone(), next.row.clone()] {
        options = options.key(TenantId::DEFAULT, row);
    }
    let lab = Lab::with(options);
    let claims = lab.changed(|_| {});
    for (what, signer) in [("retired", &retired), ("grace that is over", &over), ("revoked", &revoked)] {
        lab.refused(what, &signer.access_token(&claims));
    }
    assert!(lab.server.is_active(&lab.reader, &grace.access_token(&claims)), "a key in grace verifies");
    let jwks = lab.server.send(&Request::get("/.well-known/jwks.json")).text();
    assert!(jwks.contains(grace.kid()) && jwks.contains(next.kid()), "{jwks}");
    assert!(!jwks.contains(retired.kid()) && !jwks.contains(revoked.kid()), "{jwks}");
}

fn attack_09_signature_values_out_of_range(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    let signature = forge::signature(&good);
    let (r, s) = signature.split_at(32);
    let mut order_plus_1 = P256_ORDER;
    order_plus_1[31] += 1;
    let (zero, one, max) = (
        [0; 32],
        {
            let mut one = [0; 32];
            one[31] = 1;
            one
        },
        [0xff; 32],
    );
    for wrong in [zero, one, P256_ORDER, order_plus_1, max] {
        for pair in [[&wrong, r], [&wrong[..], s], [r, &wrong], [&wrong, &wrong]] {
            lab.refused("r or s out of range", &forge::with_signature(&good, &pair.concat()));
        }
    }
    lab.refused("r and s exchanged", &forge::with_signature(&good, &[s, r].concat()));
}

fn attack_10_signature_of_another_shape(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    let signature = forge::signature(&good);
    let longer = [signature.as_slice(), &[0]].concat();
    let padded = [&[0], signature.as_slice()].concat();
    for (what, wrong) in [
        ("DER", forge::der(&signature)),
        ("63 bytes", signature[..63].to_vec()),
        ("63 bytes, front", signature[1..].to_vec()),
        ("65 bytes", longer),
        ("65 bytes, front", padded),
        ("96 bytes", signature.iter().copied().cycle().take(96).collect()),
        ("128 bytes", signature.repeat(2)),
        ("1 byte", vec![0]),
    ] {
        lab.refused(what, &forge::with_signature(&good, &wrong));
    }
}

/// We verify either root of s, as JWA allows; so everything that must hold once is keyed on the jti.
fn attack_11_the_other_s_dies_with_the_jti(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let app = lab.server.service();
    for _ in 0..8 {
        let one = lab.forge(|claims| claims["client_id"] = json!(app.id));
        let mut signature = forge::signature(&one);
        let other_s = forge::negate(&signature[32..], &P256_ORDER);
        signature[32..].copy_from_slice(&other_s);
        let other = forge::with_signature(&one, &signature);
        assert!(lab.server.is_active(&lab.reader, &one));
        let _either_is_right = lab.server.is_active(&lab.reader, &other);
        lab.server.revoke(&app, &one);
        lab.refused("the revoked spelling", &one);
        lab.refused("its other spelling", &other);
    }
}

fn attack_12_ed25519_small_order_and_large_s(runtime: Runtime) {
    let lab = Lab::new(runtime);
    // R = identity, S = 0: verifies under a small-order key where a library multiplies by the cofactor.
    let mut identity = [0; 64];
    identity[0] = 1;
    let token = lab.under(|header| header["alg"] = json!("EdDSA"));
    lab.refused("EdDSA", &forge::with_signature(&token, &identity));

    // As a client's key: refused at registration, or useless.
    let small_orders = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for small in small_orders {
        let x = URL_SAFE_NO_PAD.encode(hex::decode(small).expect("hex"));
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x}]});
        let body = json!({"name": "small", "grants": ["client_credentials"], "auth_method": "private_key_jwt", "jwks": jwks,
            "redirect_uris": [], "scope": "", "audiences": [], "introspect": false, "native": false, "first_party": false});
        let answer = lab.server.admin("POST", "/applications", Some(&body));
        if answer.status >= 400 {
            assert!(answer.status < 500, "{}", answer.shown());
            continue;
        }
        let id = answer.json()["client_id"].as_str().expect("an id").to_owned();
        let now = lab.server.now();
        let claims = json!({"iss": id, "sub": id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": random_text()});
        let unsigned = lab.signer.sign(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
        let response = assert_client(&lab.server, &forge::with_signature(&unsigned, &identity));
        assert_eq!(response, (401, "invalid_client".to_owned()));
    }

    // S + L is the same signature under a lax reader.
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed is one");
    let x = URL_SAFE_NO_PAD.encode(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x}]});
    let app = lab.server.register(&json!({"auth_method": "private_key_jwt", "jwks": jwks}));
    let assertion = || {
        let now = lab.server.now();
        let claims =
            json!({"iss": app.id, "sub": app.id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": random_text()});
        let token = lab.signer.sign(&json!({"alg": "EdDSA", "kid": "k"}), &claims);
        let (input, _) = token.rsplit_once('.').expect("a JWT");
        let signature = pair.sign(input.as_bytes()).as_ref().to_vec();
        (token, signature)
    };
    let (token, signature) = assertion();
    assert_eq!(assert_client(&lab.server, &forge::with_signature(&token, &signature)).0, 200, "the honest one");
    let (token, mut signature) = assertion();
    add_ed25519_order(&mut signature[32..]);
    assert_eq!(
        assert_client(&lab.server, &forge::with_signature(&token, &signature)),
        (401, "invalid_client".to_owned())
    );
}

fn assert_client(server: &Server, assertion: &str) -> (u16, String) {
    let response = server.send(&Request::post("/token").form(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ]));
    (response.status, response.error())
}

/// Adds L = 2^252 + 27742317777372353535851937790883648493, little-endian.
fn add_ed25519_order(s: &mut [u8]) {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").expect("hex");
    let mut carry = 0_u16;
    for (byte, add) in s.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).expect("masked");
        carry = sum >> 8;
    }
}

fn attack_13_other_base64(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    let parts: Vec<&str> = good.split('.').collect();
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        parts.join(".")
    };
    for (index, part) in parts.iter().enumerate() {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("ours");
        for spelling in [
            format!("{part}="),
            format!("{part}=="),
            format!(" {part}"),
            format!("{part} "),
            format!("{part}\n"),
            format!("{}\n{}", &part[..8], &part[8..]),
            format!("{part}%3D"),
        ] {
            lab.refused("another spelling", &with(index, &spelling));
        }
        // Only where the standard alphabet really differs is it another spelling.
        let standard = STANDARD_NO_PAD.encode(&bytes);
        if standard != *part {
            lab.refused("the standard alphabet", &with(index, &standard));
        }
        if !bytes.len().is_multiple_of(3) {
            lab.refused("trailing bits", &with(index, &next_letter(part)));
        }
    }
}

/// The last letter with its lowest, unused bit set.
fn next_letter(part: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (last, rest) = part.as_bytes().split_last().expect("not empty");
    let value = LETTERS.iter().position(|letter| letter == last).expect("base64url");
    format!("{}{}", String::from_utf8_lossy(rest), char::from(LETTERS[value | 1]))
}

fn attack_14_wrong_number_of_parts(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    lab.all_refused(
        [
            header.to_owned(),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!(".{payload}.{signature}"),
            format!("{header}..{signature}"),
            "..".to_owned(),
            ".".to_owned(),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.{signature}"),
            format!("{header}.{payload}..{signature}"),
            format!("{header}.{payload}.{payload}.{payload}.{signature}"),
            format!("{header}..{payload}.{payload}.{signature}"),
        ]
        .map(|token| ("parts", token)),
    );
}

fn attack_16_critical_extensions(runtime: Runtime) {
    let lab = Lab::new(runtime);
    for crit in [json!(["exp"]), json!(["b64"]), json!(["http://example.com/x"]), json!([]), json!("exp"), Value::Null]
    {
        lab.refused("crit", &lab.under(|header| header["crit"] = crit));
    }
    lab.refused("b64", &lab.under(|header| header["b64"] = json!(false)));
    // RFC 7797: the payload unencoded in the signing input.
    let header = json!({"alg": "ES256", "kid": lab.signer.kid(), "typ": "at+jwt", "b64": false, "crit": ["b64"]});
    let claims = lab.changed(|_| {}).to_string();
    let head = URL_SAFE_NO_PAD.encode(header.to_string());
    let signature = lab.signer.signature(format!("{head}.{claims}").as_bytes());
    let encoded = format!("{head}.{}.x", URL_SAFE_NO_PAD.encode(&claims));
    lab.refused("b64:false, signed as such", &forge::with_signature(&encoded, &signature));
}

fn attack_27_compressed(runtime: Runtime) {
    let lab = Lab::new(runtime);
    lab.refused("zip with a plain payload", &lab.under(|header| header["zip"] = json!("DEF")));
    // Raw DEFLATE of one stored block: what a reader that honours `zip` would inflate to good claims.
    let claims = lab.changed(|_| {}).to_string();
    let length = u16::try_from(claims.len()).expect("short claims");
    let deflated = [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), claims.as_bytes()].concat();
    let mut header = lab.signer.header();
    header["zip"] = json!("DEF");
    lab.refused("zip", &lab.signer.sign_bytes(header.to_string().as_bytes(), &deflated));
}

fn attack_28_flipped_at_every_position(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    assert!(lab.server.is_active(&lab.reader, &good), "in the cache");
    // Every letter replaced by another of the alphabet; and every single bit, where the result is still text.
    let letters = (0..good.len()).map(|at| {
        let other = if good.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    });
    let bits = (0..good.len() * 8).filter_map(|bit| {
        let mut bytes = good.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    });
    let variants: Vec<String> = letters.chain(bits).collect();
    assert!(variants.len() > 5_000);
    lab.batch_refused(&variants);
    assert!(lab.server.is_active(&lab.reader, &good));
}

fn attack_29_truncated_at_every_length(runtime: Runtime) {
    let lab = Lab::new(runtime);
    let good = lab.forge(|_| {});
    assert!(lab.server.is_active(&lab.reader, &good), "in the cache");
    let mut variants: Vec<String> = (1..good.len()).map(|length| good[..length].to_owned()).collect();
    variants.extend((1..good.len()).map(|from| good[from..].to_owned()));
    lab.batch_refused(&variants);
    assert_eq!(lab.server.batch_items(&lab.reader, &[json!({"token": ""})]), [json!({"active": false})]);
}

both_runtimes!(
    attack_01_alg_none,
    attack_02_public_key_as_hmac_secret,
    attack_03_relabelled_algorithm,
    attack_04_key_in_the_header,
    attack_05_key_by_url_makes_no_request,
    attack_06_hostile_kid,
    attack_07_key_of_another_tenant,
    attack_08_retired_and_grace_keys,
    attack_09_signature_values_out_of_range,
    attack_10_signature_of_another_shape,
    attack_11_the_other_s_dies_with_the_jti,
    attack_12_ed25519_small_order_and_large_s,
    attack_13_other_base64,
    attack_14_wrong_number_of_parts,
    attack_16_critical_extensions,
    attack_27_compressed,
    attack_28_flipped_at_every_position,
    attack_29_truncated_at_every_length,
);
