//! Attacks on sign-in with a Bitcoin key, at every route that takes such a sign-in.

use assay_tests::actors::{Person, Pkce};
use assay_tests::forge::{self, SECP256K1_ORDER};
use assay_tests::in_process::InProcess;
use assay_tests::server::{Options, Runtime};
use assay_tests::target::{CALLBACK, Target, access_token};
use assay_tests::wire::{Request, Response};
use assay_tools::bitcoin_sign::{self, PrivateKey, Scheme};
use base64_turbo::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::json;

const SIGMA: &str = "/sigma/authorize";
const PATHS: [&str; 3] = [SIGMA, "/api/auth/sign-in/sigma", "/api/auth/signin/sigma"];
const SCHEMES: [Scheme; 2] = [Scheme::Brc77, Scheme::Bsm];

fn send(server: &Target, path: &str, token: &str) -> Response {
    server.send(&Request::post(path).auth_token(token))
}

/// Refused at every sign-in route: 401 where it is a sign-in, 400 only for what cannot be split (sigma.md 2.4).
fn refused(server: &Target, what: &str, make: impl Fn(&str) -> String) {
    for path in PATHS {
        let response = send(server, path, &make(path));
        let right = if path == SIGMA { response.status == 401 } else { matches!(response.status, 400 | 401) };
        assert!(right, "{what} at {path}: {}", response.shown());
        assert!(response.header("set-cookie").is_none(), "{what}");
        assert!(!response.text().contains("access_token\""), "{what}");
    }
}

fn accepted(server: &Target, what: &str, make: impl Fn(&str) -> String) {
    for path in PATHS {
        let response = send(server, path, &make(path));
        assert_eq!(response.status, 200, "{what} at {path}: {}", response.shown());
    }
}

/// A token with one field replaced.
fn with_field(token: &str, index: usize, value: &str) -> String {
    let mut fields: Vec<&str> = token.split('|').collect();
    fields[index] = value;
    fields.join("|")
}

fn signature(token: &str) -> Vec<u8> {
    STANDARD.decode(token.rsplit('|').next().expect("five fields")).expect("base64")
}

fn with_signature(token: &str, bytes: &[u8]) -> String {
    with_field(token, 4, &STANDARD.encode(bytes))
}

fn attack_124_claimed_key_is_not_the_signers(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for scheme in SCHEMES {
        let (victim, attacker) = (Person::new(), Person::new().with_scheme(scheme));
        server.sign_in(&victim);
        refused(&server, "the victim's key in the field", |path| {
            with_field(&attacker.token(path, server.now_ms(), b""), 0, &victim.pubkey())
        });
        // BRC-77 names the signer twice: the envelope changed instead, and both.
        if scheme == Scheme::Brc77 {
            let key = victim.key.public_key();
            let envelope = |token: &str| {
                let mut bytes = signature(token);
                bytes[4..37].copy_from_slice(&key);
                with_signature(token, &bytes)
            };
            refused(&server, "the victim's key in the envelope", |path| {
                envelope(&attacker.token(path, server.now_ms(), b""))
            });
            refused(&server, "the victim's key in both", |path| {
                envelope(&with_field(&attacker.token(path, server.now_ms(), b""), 0, &victim.pubkey()))
            });
            let to_one = |token: &str| {
                let bytes = signature(token);
                let addressed = [&bytes[..37], &key[..], &bytes[38..]].concat();
                with_signature(token, &addressed)
            };
            refused(&server, "addressed to one verifier", |path| to_one(&attacker.token(path, server.now_ms(), b"")));
        }
    }
}

fn attack_125_times(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime));
    for scheme in SCHEMES {
        let person = || Person::new().with_scheme(scheme);
        let minute = 60_000;
        for (what, at_ms) in [
            ("-6 min", server.now_ms() - 6 * minute),
            ("+6 min", server.now_ms() + 6 * minute),
            ("-5 min 1 ms", server.now_ms() - 5 * minute - 1),
            ("+5 min 1 ms", server.now_ms() + 5 * minute + 1),
        ] {
            refused(&server, what, |path| person().token(path, at_ms, b""));
        }
        for at_ms in [server.now_ms() - 5 * minute, server.now_ms() + 5 * minute] {
            accepted(&server, "exactly five minutes", |path| person().token(path, at_ms, b""));
        }
        let now = bitcoin_sign::timestamp(server.now_ms());
        let day = &now[..10];
        let clock = &now[11..23];
        for text in [
            "2020-01-01T00:00:00.000Z",
            "",
            "now",
            "0",
            &server.now().to_string(),
            &server.now_ms().to_string(),
            &now[..now.len() - 1],
            &format!("{day} {clock}Z"),
            &format!("{day}T{clock}"),
            &format!("{day}T{clock}+25:00"),
            &format!("{day}T24:00:00Z"),
            "9999-99-99T99:99:99.999Z",
            "+275760-09-13T00:00:00.000Z",
            "Sun, 22 Nov 2026 18:00:00 GMT",
            &format!("{now} "),
            &format!(" {now}"),
            &format!("{day}T{}.0000000000Z", &clock[..8]),
        ] {
            refused(&server, text, |path| person().token_at(path, text, b""));
        }
        accepted(&server, "no fraction", |path| person().token_at(path, &format!("{day}T{}Z", &clock[..8]), b""));
        accepted(&server, "an offset", |path| person().token_at(path, &format!("{day}T{clock}+00:00"), b""));
    }
}

fn attack_126_the_same_token_twice(runtime: Runtime) {
    let mut server = Options::new(runtime).cores(2).start();
    let mut used = Vec::new();
    for scheme in SCHEMES {
        for path in PATHS {
            let token = Person::new().with_scheme(scheme).token(path, server.now_ms(), b"");
            assert_eq!(send(&server, path, &token).status, 200);
            assert_eq!(send(&server, path, &token).status, 401, "again");
            let other_header = Request::post(path).header("authorization", &format!("Bitcoin-Auth {token}"));
            assert_eq!(server.send(&other_header).status, 401, "again in the other header");
            used.push((path, token));
        }
    }
    // Eight at once over two cores: one.
    for _ in 0..10 {
        let request = Request::post(SIGMA).auth_token(&Person::new().token(SIGMA, server.now_ms(), b""));
        let won: usize = std::thread::scope(|scope| {
            let ask = || usize::from(server.connect().send(&request).expect("an answer").status == 200);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(won, 1);
    }
    // And after the power was cut.
    server.kill();
    server.restart();
    for (path, token) in used {
        assert_eq!(send(&server, path, &token).status, 401, "after a restart");
    }
}

fn attack_127_signed_for_something_else(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for scheme in SCHEMES {
        let person = Person::new().with_scheme(scheme);
        let now = server.now_ms();
        for other in [
            "/",
            "/sigma/authorize/",
            "/sigma/authorize?",
            "/sigma/authorize?x=1",
            "sigma/authorize",
            "/SIGMA/authorize",
            "/sigma/%61uthorize",
            "/token",
            "",
            "http://issuer.test/sigma/authorize",
        ] {
            assert_eq!(send(&server, SIGMA, &person.token(other, now, b"")).status, 401, "{other}");
        }
        // Each alias is a path of its own.
        for (served, signed) in [(PATHS[1], PATHS[2]), (PATHS[2], PATHS[1]), (PATHS[0], PATHS[1]), (PATHS[1], PATHS[0])]
        {
            let response = send(&server, served, &person.token(signed, now, b""));
            assert_eq!(response.status, 401, "{signed} at {served}");
        }
        let query = "/sigma/authorize?a=1&b=2";
        assert_eq!(
            send(&server, query, &person.token("/sigma/authorize?b=2&a=1", now, b"")).status,
            401,
            "query order"
        );
        assert_eq!(send(&server, query, &person.token(SIGMA, now, b"")).status, 401, "the query left out");
        assert_eq!(send(&server, query, &person.token(query, now, b"")).status, 200, "the path with its query");
        let body = json!({"scope": "openid"}).to_string();
        let posted = |token: &str, body: &str| {
            server.send(&Request::post(SIGMA).header("content-type", "application/json").body(body).auth_token(token))
        };
        let signed = |body: &[u8]| person.token(SIGMA, now, body);
        assert_eq!(posted(&signed(b""), &body).status, 401, "the body was not signed");
        assert_eq!(posted(&signed(b"{\"scope\":\"profile\"}"), &body).status, 401, "another body");
        assert_eq!(posted(&signed(format!("{body} ").as_bytes()), &body).status, 401, "a blank more");
        assert_eq!(posted(&signed(body.as_bytes()), "").status, 401, "a signed body that did not come");
        assert_eq!(posted(&signed(body.as_bytes()), &body).status, 200, "the body as it came");
        let other = Person::new().with_scheme(scheme);
        assert_eq!(posted(&other.token(SIGMA, now, b""), "{}").status, 200, "an empty object may be signed as nothing");
    }
}

fn attack_128_fields(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for scheme in SCHEMES {
        let person = Person::new().with_scheme(scheme);
        let token = |path: &str| person.token(path, server.now_ms(), b"");
        let drop_field = |token: &str, index: usize| {
            let mut fields: Vec<&str> = token.split('|').collect();
            fields.remove(index);
            fields.join("|")
        };
        for index in 0..5 {
            refused(&server, "four fields", |path| drop_field(&token(path), index));
            refused(&server, "an empty field", |path| with_field(&token(path), index, ""));
        }
        refused(&server, "six fields", |path| format!("{}|x", token(path)));
        refused(&server, "six fields, empty", |path| format!("{}|", token(path)));
        refused(&server, "a pipe in the path", |path| token(&format!("{path}|x")));
        for scheme in ["BSM", "Brc77", "bsm ", "", "bip340", "none", "ecdsa"] {
            refused(&server, scheme, |path| with_field(&token(path), 1, scheme));
        }
        let other = if scheme == Scheme::Bsm { "brc77" } else { "bsm" };
        refused(&server, "the other scheme", |path| with_field(&token(path), 1, other));
        for junk in ["|||||", "||||", "x", "a|b|c|d|e", &"x".repeat(6_000), &"|".repeat(2_000)] {
            refused(&server, "junk", |_| junk.to_owned());
        }
    }
    for path in PATHS {
        let none = server.send(&Request::post(path));
        assert_eq!(none.status, 401, "{path}: {}", none.shown());
        let empty = server.send(&Request::post(path).auth_token(""));
        assert!(matches!(empty.status, 400 | 401), "{path}: {}", empty.shown());
        let two = Request::post(path).auth_token("a").auth_token("b");
        assert!(matches!(server.send(&two).status, 400 | 401), "{path}");
        let token = Person::new().token(path, server.now_ms(), b"");
        let differing = Request::post(path).auth_token(&token).header("authorization", "Bitcoin-Auth x|y|z|a|b");
        assert!(matches!(server.send(&differing).status, 400 | 401), "{path}: two different tokens");
        let non_ascii = Request::post(path).auth_token("ü|ü|ü|ü|ü");
        assert!(matches!(server.send(&non_ascii).status, 400 | 401), "{path}");
    }
}

fn attack_129_public_keys(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for scheme in SCHEMES {
        let person = Person::new().with_scheme(scheme);
        let key = person.pubkey();
        let x = &key[2..];
        let hybrid = [format!("06{x}{x}"), format!("07{x}{x}"), format!("04{x}{x}")];
        let off_curve = format!("02{:064x}", 5); // x^3 + 7 = 132 is no square
        let over_p = "02fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30".to_owned();
        for wrong in [
            hybrid[0].as_str(),
            &hybrid[1],
            &hybrid[2],
            &off_curve,
            &over_p,
            "00",
            &"0".repeat(66),
            &format!("02{}", "f".repeat(64)),
            &format!("01{x}"),
            &format!("05{x}"),
            &key.to_uppercase(),
            &key[..64],
            &key[1..],
            &format!("{key}00"),
            &format!("0x{x}"),
            x,
            &"g".repeat(66),
        ] {
            if wrong == key {
                continue; // a key without letters has one case
            }
            refused(&server, wrong, |path| with_field(&person.token(path, server.now_ms(), b""), 0, wrong));
        }
    }
}

fn attack_130_signature_spellings(runtime: Runtime) {
    let server = Options::new(runtime).start();
    // BSM: only 65 bytes, header 27 to 34.
    let bsm = Person::new().with_scheme(Scheme::Bsm);
    for header in [0, 1, 26, 35, 43, 255] {
        refused(&server, "a header byte", |path| {
            let token = bsm.token(path, server.now_ms(), b"");
            let mut bytes = signature(&token);
            bytes[0] = header;
            with_signature(&token, &bytes)
        });
    }
    for header in 27..=34 {
        let token = Person::new().with_scheme(Scheme::Bsm).token(SIGMA, server.now_ms(), b"");
        let mut bytes = signature(&token);
        bytes[0] = header;
        assert_eq!(send(&server, SIGMA, &with_signature(&token, &bytes)).status, 200, "header {header} says nothing");
        bytes[0] = 27 + (header - 26) % 8;
        assert_eq!(
            send(&server, SIGMA, &with_signature(&token, &bytes)).status,
            401,
            "another header of the same signature is a replay"
        );
    }
    for (what, change) in [
        ("64 bytes", (|bytes: Vec<u8>| bytes[1..].to_vec()) as fn(Vec<u8>) -> Vec<u8>),
        ("66 bytes", |mut bytes| {
            bytes.push(0);
            bytes
        }),
        ("r = 0", |mut bytes| {
            bytes[1..33].fill(0);
            bytes
        }),
        ("s = 0", |mut bytes| {
            bytes[33..].fill(0);
            bytes
        }),
        ("r = s = 0", |mut bytes| {
            bytes[1..].fill(0);
            bytes
        }),
        ("r = n", |mut bytes| {
            bytes[1..33].copy_from_slice(&SECP256K1_ORDER);
            bytes
        }),
        ("s = n", |mut bytes| {
            bytes[33..].copy_from_slice(&SECP256K1_ORDER);
            bytes
        }),
        ("all ones", |mut bytes| {
            bytes[1..].fill(0xff);
            bytes
        }),
        ("DER", |bytes| forge::der(&bytes[1..])),
        ("one bit", |mut bytes| {
            bytes[40] ^= 1;
            bytes
        }),
    ] {
        refused(&server, what, |path| {
            let token = bsm.token(path, server.now_ms(), b"");
            let changed = change(signature(&token));
            with_signature(&token, &changed)
        });
    }
    // BRC-77: version, one DER signature that ends with the envelope.
    let brc = Person::new();
    for (what, change) in [
        ("compact instead of DER", (|bytes: Vec<u8>| [&bytes[..70], &[7; 64]].concat()) as fn(Vec<u8>) -> Vec<u8>),
        ("a byte behind it", |mut bytes| {
            bytes.push(0);
            bytes
        }),
        ("a byte less", |mut bytes| {
            bytes.pop();
            bytes
        }),
        ("another version", |mut bytes| {
            bytes[3] = 2;
            bytes
        }),
        ("another magic", |mut bytes| {
            bytes[0] = 0;
            bytes
        }),
        ("another keyID", |mut bytes| {
            bytes[40] ^= 1;
            bytes
        }),
        ("another verifier byte", |mut bytes| {
            bytes[37] = 1;
            bytes
        }),
        ("nothing but the head", |bytes| bytes[..70].to_vec()),
        ("half the head", |bytes| bytes[..35].to_vec()),
        ("nothing", |_| Vec::new()),
        ("DER of zeros", |bytes| [&bytes[..70], &[0x30, 6, 2, 1, 0, 2, 1, 0]].concat()),
        ("DER, long form", |bytes| {
            let der = bytes[70..].to_vec();
            [&bytes[..70], &[0x30, 0x81], &der[1..]].concat()
        }),
    ] {
        refused(&server, what, |path| {
            let token = brc.token(path, server.now_ms(), b"");
            let changed = change(signature(&token));
            with_signature(&token, &changed)
        });
    }
    // Base64: standard alphabet, padding optional, nothing else.
    refused(&server, "a line break", |path| bsm.token(path, server.now_ms(), b"") + "%0A");
    refused(&server, "four paddings", |path| bsm.token(path, server.now_ms(), b"") + "==");
    refused(&server, "the URL alphabet", |path| {
        loop {
            let token = Person::new().with_scheme(Scheme::Bsm).token(path, server.now_ms(), b"");
            let other = URL_SAFE.encode(signature(&token));
            if !token.ends_with(&other) {
                return with_field(&token, 4, &other);
            }
        }
    });
    let token = Person::new().with_scheme(Scheme::Bsm).token(SIGMA, server.now_ms(), b"");
    assert_eq!(
        send(&server, SIGMA, &with_field(&token, 4, &STANDARD_NO_PAD.encode(signature(&token)))).status,
        200,
        "without padding"
    );
    assert_eq!(send(&server, SIGMA, &token).status, 401, "with padding: the same use");

    // High S is accepted, once; its low-S twin is then the same use.
    let person = Person::new().with_scheme(Scheme::Bsm);
    let token = person.token(SIGMA, server.now_ms(), b"");
    let mut bytes = signature(&token);
    let high = forge::negate(&bytes[33..], &SECP256K1_ORDER);
    bytes[33..].copy_from_slice(&high);
    assert_eq!(send(&server, SIGMA, &with_signature(&token, &bytes)).status, 200, "high S");
    assert_eq!(send(&server, SIGMA, &token).status, 401, "its low-S twin");
    assert_eq!(send(&server, SIGMA, &with_signature(&token, &bytes)).status, 401, "and itself");
    let token = Person::new().token(SIGMA, server.now_ms(), b"");
    let envelope = signature(&token);
    let (r, s) = der_integers(&envelope[70..]);
    let high = forge::der(&[r.as_slice(), &forge::negate(&s, &SECP256K1_ORDER)].concat());
    assert_eq!(
        send(&server, SIGMA, &with_signature(&token, &[&envelope[..70], &high[..]].concat())).status,
        200,
        "high S in BRC-77"
    );
    assert_eq!(send(&server, SIGMA, &token).status, 401, "its low-S twin");
}

/// r and s of a short-form DER signature, 32 bytes each.
fn der_integers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let integer = |at: usize| {
        let length = usize::from(der[at + 1]);
        let bytes: Vec<u8> = der[at + 2..at + 2 + length].iter().copied().skip_while(|byte| *byte == 0).collect();
        ([vec![0; 32 - bytes.len()], bytes].concat(), at + 2 + length)
    };
    let (r, next) = integer(2);
    (r, integer(next).0)
}

/// Other tenants do not exist yet. What stands for one: another server's challenge, and a path with a tenant in it.
fn attack_131_another_tenants_challenge(runtime: Runtime) {
    let (ours, theirs) = (Options::new(runtime).start(), Options::new(runtime).start());
    let nonce = |server: &Target| {
        server.send(&Request::post("/sigma/challenge")).expect_status(200).json()["nonce"]
            .as_str()
            .expect("a nonce")
            .to_owned()
    };
    let body = json!({"nonce": nonce(&theirs)}).to_string();
    let post = |body: &str| {
        let token = Person::new().token(SIGMA, ours.now_ms(), body.as_bytes());
        ours.send(&Request::post(SIGMA).header("content-type", "application/json").body(body).auth_token(&token)).status
    };
    assert_eq!(post(&body), 401, "their challenge here");
    assert_eq!(post(&json!({"nonce": "as_ch_AAAA"}).to_string()), 401, "a made-up one");
    assert_eq!(post(&json!({"nonce": nonce(&ours)}).to_string()), 200, "our own");
    for path in ["/t/other/sigma/authorize", "/t/default/sigma/authorize"] {
        let token = Person::new().token(path, ours.now_ms(), b"");
        assert_eq!(send(&ours, path, &token).status, 404, "{path}");
    }
}

fn attack_132_a_client_signature_at_sign_in(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let person = Person::new();
    let app = server.register(&json!({"auth_method": "bitcoin_signature", "pubkey": person.pubkey()}));
    let form = assay_tests::wire::form(&[("grant_type", "client_credentials"), ("client_id", &app.id)]);
    for path in ["/token", "/api/auth/oauth2/token", "/introspect", "/revoke"] {
        let at_client = person.token(path, server.now_ms(), form.as_bytes());
        let empty = person.token(path, server.now_ms(), b"");
        for served in PATHS {
            for token in [&at_client, &empty] {
                let request = Request::post(served)
                    .header("content-type", "application/json")
                    .body(form.clone())
                    .auth_token(token);
                assert!(matches!(server.send(&request).status, 400 | 401), "{path} at {served}");
                assert_eq!(send(&server, served, token).status, 401, "{path} at {served}");
            }
        }
    }
    // And the other way round.
    for signed in PATHS {
        let token = person.token(signed, server.now_ms(), form.as_bytes());
        let request =
            Request::post("/token").header("content-type", "application/x-www-form-urlencoded").body(form.clone());
        assert_eq!(server.send(&request.auth_token(&token)).status, 401, "{signed} at /token");
    }
}

/// The nonce of `/sigma/challenge`: one use, sixty seconds, and no clock window while it holds.
fn server_challenges(runtime: Runtime) {
    let server = InProcess::start(&Options::new(runtime).cores(2));
    let challenge = || {
        let answer = server.send(&Request::post("/sigma/challenge")).expect_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(body["expires_in"], 60);
        body["nonce"].as_str().expect("a nonce").to_owned()
    };
    let post = |person: &Person, at_ms: u64, nonce: &str| {
        let body = json!({"nonce": nonce}).to_string();
        let token = person.token(SIGMA, at_ms, body.as_bytes());
        server
            .send(&Request::post(SIGMA).header("content-type", "application/json").body(body).auth_token(&token))
            .status
    };
    let (person, nonce) = (Person::new(), challenge());
    assert_eq!(post(&person, server.now_ms() - 3_600_000, &nonce), 200, "a clock an hour behind");
    assert_eq!(post(&person, server.now_ms(), &nonce), 401, "once");
    assert_eq!(post(&Person::new(), server.now_ms(), &nonce), 401, "for anybody");
    let ahead = challenge();
    assert_eq!(post(&person, server.now_ms() + 86_400_000, &ahead), 200, "a clock a day ahead");
    let late = challenge();
    server.advance_s(60);
    assert_eq!(post(&person, server.now_ms(), &late), 401, "after a minute");
    let unsigned = json!({"nonce": challenge()}).to_string();
    let token = person.token(SIGMA, server.now_ms(), b"");
    let request = Request::post(SIGMA).header("content-type", "application/json").body(unsigned).auth_token(&token);
    assert_eq!(server.send(&request).status, 401, "a challenge that was not signed");
}

/// Both schemes, both headers, with and without body, tokens and codes (sigma.md 2.4, 2.5).
fn sign_in_in_every_way(runtime: Runtime) {
    let server = Options::new(runtime).cores(2).start();
    let reader = server.resource_server();
    let web = server.web_app();
    for scheme in SCHEMES {
        let person = Person::new().with_scheme(scheme);
        let answer = server.sign_in(&person);
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)), "{answer}");
        assert_eq!(answer["user"]["pubkey"], json!(person.pubkey()));
        let token = access_token(&answer);
        assert!(server.is_active(&reader, &token));
        let user = server.userinfo(&token).expect_status(200).json();
        assert_eq!(
            (&user["pubkey"], &user["address"], &user["bap_id"]),
            (&json!(person.pubkey()), &json!(person.key.address()), &json!(person.key.bap_id()))
        );
        assert_eq!(user["bapIdKey"], user["bap_id"]);
        assert_eq!(user["sub"], forge::payload(&token)["sub"]);
        assert_eq!(user["name"], json!(person.key.address()));

        let header = format!("Bitcoin-Auth {}", person.token(SIGMA, server.now_ms() + 1, b""));
        let again = server.send(&Request::post(SIGMA).header("authorization", &header)).expect_status(200).json();
        assert_eq!(forge::payload(&access_token(&again))["sub"], user["sub"], "one key, one person");

        let body = json!({"client_id": web.id, "scope": "openid", "nonce": "n-1"}).to_string();
        let token = person.token(SIGMA, server.now_ms() + 2, body.as_bytes());
        let named = server
            .send(&Request::post(SIGMA).header("content-type", "application/json").body(body).auth_token(&token))
            .expect_status(200)
            .json();
        let id_token = forge::payload(named["id_token"].as_str().expect("openid was asked for"));
        assert_eq!((&id_token["aud"], &id_token["nonce"]), (&json!(web.id), &json!("n-1")));

        let pkce = Pkce::new();
        let body = json!({"client_id": web.id, "redirect_uri": CALLBACK, "code_challenge": pkce.challenge, "scope": "openid profile", "state": "st"}).to_string();
        let token = person.token(SIGMA, server.now_ms() + 3, body.as_bytes());
        let answer = server
            .send(&Request::post(SIGMA).header("content-type", "application/json").body(body).auth_token(&token))
            .expect_status(200)
            .json();
        let text = answer.to_string();
        assert!(text.contains("as_ac_") && answer.get("access_token").is_none(), "{answer}");
        let code = &text[text.find("as_ac_").expect("a code")..];
        let code = &code[..code.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(code.len())];
        assert_eq!(server.redeem(&web, code, &pkce).status, 200, "{answer}");

        for (path, body) in [(PATHS[1], ""), (PATHS[1], "{}"), (PATHS[2], "{}")] {
            let token = person.token(path, server.now_ms() + 4 + body.len() as u64, b"");
            let request = Request::post(path).header("content-type", "application/json").body(body).auth_token(&token);
            let answer = server.send(&request).expect_status(200);
            assert_eq!(answer.json()["user"]["pubkey"], json!(person.pubkey()), "{path} {body:?}");
        }
    }
}

/// Identities (sigma.md 2.4): unknown, somebody else's, one's own.
fn identities_at_sign_in(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let path = PATHS[1];
    let sign_in = |person: &Person, bap_id: &str| {
        let body = json!({"bapId": bap_id}).to_string();
        let token = person.token(path, server.now_ms(), body.as_bytes());
        server.send(&Request::post(path).header("content-type", "application/json").body(body).auth_token(&token))
    };
    let (one, two) = (Person::new(), Person::new());
    let unknown = sign_in(&one, "2UKjgCRXD1AukTsp8RmaH3qcmGSq");
    assert_eq!(
        (unknown.status, &unknown.json()["code"]),
        (403, &json!("RESTORE_PROFILE_NOT_FOUND")),
        "{}",
        unknown.shown()
    );
    let own = sign_in(&one, &one.key.bap_id()).expect_status(200);
    assert_eq!(own.json()["user"]["pubkey"], json!(one.pubkey()));
    let stolen = sign_in(&two, &one.key.bap_id());
    assert_eq!((stolen.status, &stolen.json()["code"]), (403, &json!("BAP_OWNERSHIP_FAILED")), "{}", stolen.shown());
    let wrong = sign_in(&two, &PrivateKey::generate().expect("randomness").bap_id());
    assert_eq!(wrong.status, 403);

    let closed = Options::new(runtime).set("implicit_signup", "false").start();
    let response = send(&closed, path, &Person::new().token(path, closed.now_ms(), b""));
    assert_eq!((response.status, &response.json()["code"]), (403, &json!("USER_NOT_FOUND")), "{}", response.shown());
    let response = send(&closed, SIGMA, &Person::new().token(SIGMA, closed.now_ms(), b""));
    assert_eq!((response.status, response.error().as_str()), (403, "signup_required"), "{}", response.shown());
}

both_runtimes!(
    attack_124_claimed_key_is_not_the_signers,
    attack_125_times,
    attack_126_the_same_token_twice,
    attack_127_signed_for_something_else,
    attack_128_fields,
    attack_129_public_keys,
    attack_130_signature_spellings,
    attack_131_another_tenants_challenge,
    attack_132_a_client_signature_at_sign_in,
    server_challenges,
    sign_in_in_every_way,
    identities_at_sign_in,
);
