//! Every row of the route table, every alias: called as it should be, and called by nobody. A new row fails here until
//! it has its arm in both.

use assay_gateway::http::routes::{BodyRule, ROUTES, Route, Who};
use assay_tests::actors::{App, Person, Pkce};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{access_token, authorize_query, web_app};
use assay_tests::wire::{Request, query_value};
use serde_json::{Value, json};

struct Stage {
    server: Server,
    app: App,
    reader: App,
    web: App,
    third: App,
}

fn every_route_answers_on_every_path(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let mut third = web_app();
    third["first_party"] = json!(false);
    let stage = Stage {
        app: server.service(),
        reader: server.resource_server(),
        web: server.web_app(),
        third: server.register(&third),
        server,
    };
    for route in ROUTES.iter() {
        for path in route.paths {
            succeed(&stage, route, path);
        }
    }
}

/// One success of a route at a path; panics for a route it does not know.
fn succeed(stage: &Stage, route: &Route, path: &str) {
    let Stage { server, app, reader, web, third } = stage;
    let pkce = Pkce::new();
    let what = format!("{} {path}", route.name);
    let ok = |request: Request| {
        let response = server.send(&request);
        assert_eq!(response.status, 200, "{what}: {}", response.shown());
        response
    };
    let code_in = |request: &Request| {
        let response = server.send(request);
        let location = response.header("location").unwrap_or_default();
        assert!(query_value(location, "code").is_some(), "{what}: {}", response.shown());
    };
    match route.name {
        "introspect" => {
            let token = server.service_token(app);
            let answer = ok(reader.authenticate(Request::post(path), &[("token", &token)])).json();
            assert_eq!(answer["active"], true, "{what}");
        }
        "introspect_batch" => {
            let body = json!({"tokens": [{"token": server.service_token(app), "id": "1"}]});
            let answer = ok(Request::post(path).basic(&reader.id, &reader.secret).json(&body)).json();
            assert_eq!(
                (&answer["results"][0]["active"], &answer["results"][0]["id"]),
                (&json!(true), &json!("1")),
                "{what}"
            );
        }
        "revoke" => {
            let token = server.service_token(app);
            ok(app.authenticate(Request::post(path), &[("token", &token)]));
            assert!(!server.is_active(reader, &token), "{what}");
        }
        "token" => {
            let answer = ok(app.authenticate(Request::post(path), &[("grant_type", "client_credentials")])).json();
            assert!(server.is_active(reader, &access_token(&answer)), "{what}");
        }
        "authorize" => {
            let cookie = server.session(&Person::new());
            code_in(&Request::get(&format!("{path}?{}", authorize_query(web, &pkce, &[]))).cookie(&cookie));
        }
        "authorize_form" => {
            let cookie = server.session(&Person::new());
            let request =
                Request::post(path).header("content-type", "application/x-www-form-urlencoded").cookie(&cookie);
            code_in(&request.body(authorize_query(web, &pkce, &[])));
        }
        "consent" => {
            let cookie = server.session(&Person::new());
            let query = authorize_query(third, &pkce, &[]);
            let answer =
                ok(Request::post(path).cookie(&cookie).json(&json!({"accept": true, "oauth_query": query}))).json();
            for name in ["uri", "url"] {
                assert!(query_value(answer[name].as_str().unwrap_or_default(), "code").is_some(), "{what}: {answer}");
            }
            let answer =
                ok(Request::post(path).cookie(&cookie).json(&json!({"accept": false, "oauth_query": query}))).json();
            assert_eq!(
                query_value(answer["url"].as_str().unwrap_or_default(), "error").as_deref(),
                Some("access_denied"),
                "{what}"
            );
        }
        "sign_in_page" => {
            let page = ok(Request::get(&format!("{path}?state=%3Cscript%3E%22%27"))).text();
            assert!(page.contains("<form") && !page.contains("<script>"), "{page}");
        }
        "sign_in_form" => {
            let query = authorize_query(web, &pkce, &[]);
            let token = Person::new().token(path, server.now_ms(), b"");
            let response = server.send(&Request::post(path).form(&[("token", &token), ("resume", &query)]));
            assert!(matches!(response.status, 302 | 303), "{what}: {}", response.shown());
            let cookie = assay_tests::target::cookie(&response);
            code_in(&Request::get(response.header("location").unwrap_or_default()).cookie(&cookie));
        }
        "sigma_challenge" => assert!(ok(Request::post(path)).json()["nonce"].is_string(), "{what}"),
        "sigma_authorize" => {
            let token = Person::new().token(path, server.now_ms(), b"");
            let answer = ok(Request::post(path).auth_token(&token)).json();
            assert_eq!(server.userinfo(&access_token(&answer)).status, 200, "{what}");
        }
        "sign_in" => {
            let person = Person::new();
            let response = ok(Request::post(path).auth_token(&person.token(path, server.now_ms(), b"")));
            assert_eq!(response.json()["user"]["pubkey"], json!(person.pubkey()), "{what}");
            assert!(server.get_session(&assay_tests::target::cookie(&response)).is_object(), "{what}");
        }
        "get_session" => {
            let person = Person::new();
            let answer = ok(Request::get(path).cookie(&server.session(&person))).json();
            assert_eq!(answer["user"]["pubkey"], json!(person.pubkey()), "{what}");
        }
        "sign_out" => {
            let cookie = server.session(&Person::new());
            let response = ok(Request::post(path).cookie(&cookie));
            assert_eq!(response.json(), json!({"success": true}), "{what}");
            assert_eq!(response.headers("set-cookie").filter(|line| line.contains("Max-Age=0")).count(), 3, "{what}");
            assert_eq!(server.get_session(&cookie), Value::Null, "{what}");
        }
        "userinfo" | "userinfo_form" => {
            let person = Person::new();
            let token = access_token(&server.sign_in(&person));
            let request = Request::new(route.method.as_str(), path);
            let answer = ok(request.clone().bearer(&token)).json();
            assert_eq!(answer["pubkey"], json!(person.pubkey()), "{what}");
            if route.name == "userinfo_form" {
                ok(request.form(&[("access_token", &token)]));
            }
        }
        "openid_discovery" | "oauth_discovery" => {
            let response = ok(Request::get(path));
            assert_eq!(response.header("cache-control"), Some("public, max-age=300"), "{what}");
            assert_eq!(response.json()["issuer"], assay_tests::target::ISSUER, "{what}");
        }
        "jwks" => {
            let response = ok(Request::get(path));
            let etag = response.header("etag").expect("a tag").to_owned();
            for key in response.json()["keys"].as_array().expect("keys") {
                assert!(key.get("d").is_none() && key["kty"] == "EC" && key["alg"] == "ES256", "{key}");
            }
            let unchanged = server.send(&Request::get(path).header("if-none-match", &etag));
            assert_eq!(unchanged.status, 304, "{what}");
        }
        "health" => assert_eq!(ok(Request::get(path)).json(), json!({"status": "ok"})),
        "ready" => assert_eq!(ok(Request::get(path)).json(), json!({"status": "ready"})),
        name => panic!("{name} has no end-to-end test: write an arm here"),
    }
}

/// Nobody's call is refused where somebody is needed, and harmless where not. Never a 5xx, never a secret, never a cookie.
fn every_route_without_credentials(runtime: Runtime) {
    let server = Options::new(runtime).start();
    let web = server.web_app();
    for route in ROUTES.iter() {
        for path in route.paths {
            for request in callers_without_credentials(route, path, &web) {
                let response = server.connect().send(&request).expect("an answer");
                let what = format!("{} {path}: {}", route.name, response.shown());
                assert!(response.status < 500, "{what}");
                assert!(response.headers("set-cookie").all(|line| line.contains("Max-Age=0")), "{what}");
                assert!(!response.text().contains("as_ac_") && !response.text().contains("access_token\":"), "{what}");
                match route.who {
                    Who::Anyone => assert!(!matches!(response.status, 401 | 403), "{what}"),
                    Who::Bearer => {
                        assert_eq!(response.status, 401, "{what}");
                        assert!(
                            response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
                            "{what}"
                        );
                    }
                    Who::Client if route.name == "token" => {
                        assert!(matches!(response.status, 400 | 401), "{what}");
                        assert!(
                            matches!(
                                response.error().as_str(),
                                "invalid_request" | "invalid_client" | "unsupported_grant_type"
                            ),
                            "{what}"
                        );
                    }
                    Who::Client => {
                        assert_eq!((response.status, response.error().as_str()), (401, "invalid_client"), "{what}")
                    }
                    Who::KeyHolder => assert!(matches!(response.status, 400 | 401), "{what}"),
                    Who::Session => without_session(route, &response, &what),
                }
            }
        }
    }
}

fn without_session(route: &Route, response: &assay_tests::wire::Response, what: &str) {
    match route.name {
        "get_session" => assert_eq!((response.status, response.json()), (200, Value::Null), "{what}"),
        "sign_out" => assert_eq!(response.status, 200, "{what}"),
        "consent" => assert!(matches!(response.status, 401 | 403), "{what}"),
        "authorize" | "authorize_form" => {
            // Without a client a page, with one the way to the sign-in page.
            let to_sign_in = response.header("location").is_some_and(|location| location.starts_with("/sign-in?"));
            assert!(response.status == 400 || response.status == 302 && to_sign_in, "{what}");
        }
        name => panic!("{name} has no no-credentials test: write an arm here"),
    }
}

/// Nothing at all; a good request but for the credentials; and credentials that are none.
fn callers_without_credentials(route: &Route, path: &str, web: &App) -> Vec<Request> {
    let query = authorize_query(web, &Pkce::new(), &[]);
    let method = route.method.as_str();
    let plain = match (route.body, method) {
        (BodyRule::Form(_), _) => {
            Request::new(method, path).form(&[("token", "x"), ("grant_type", "client_credentials")])
        }
        (BodyRule::Json(_), _) => Request::new(method, path).json(&json!({"tokens": [{"token": "x"}]})),
        (BodyRule::Raw(_) | BodyRule::None, _) => Request::new(method, path),
    };
    let full = match route.name {
        "authorize" => Request::get(&format!("{path}?{query}")),
        "authorize_form" => Request::post(path).header("content-type", "application/x-www-form-urlencoded").body(query),
        "consent" => Request::post(path).json(&json!({"accept": true, "oauth_query": query})),
        _ => plain.clone(),
    };
    let mut requests = vec![plain, full.clone()];
    if route.who != Who::Anyone {
        // A malformed cookie is no cookie, never "skip the check" (CVE-2026-25748).
        for cookie in [
            "better-auth.session_token=",
            "better-auth.session_token=x",
            "better-auth.session_token=%FF.%00",
            "better-auth.session_token=as_st_x.AAAA; better-auth.session_token=y.z",
        ] {
            requests.push(full.clone().cookie(cookie));
        }
    }
    match route.who {
        Who::Client => requests.push(full.basic("nobody", "nothing")),
        Who::Bearer => requests.extend([full.clone().bearer("x"), full.header("authorization", "Bearer")]),
        Who::KeyHolder => requests.push(full.auth_token("x|y|z|a|b")),
        Who::Anyone | Who::Session => {}
    }
    requests
}

/// `HEAD` is answered where `GET` is, `OPTIONS` everywhere, and near misses nowhere.
fn methods_and_near_misses(runtime: Runtime) {
    let server = Options::new(runtime).start();
    for route in ROUTES.iter() {
        for path in route.paths {
            if route.method == "GET" {
                let response = server.connect().send(&Request::new("HEAD", path)).expect("an answer");
                let get = server.connect().send(&Request::get(path)).expect("an answer");
                assert_eq!(response.status, get.status, "{path}");
                assert!(response.body.is_empty(), "{path}");
            }
            let options = server.send(&Request::new("OPTIONS", path));
            assert_eq!(options.status, 204, "{path}");
            assert!(options.header("allow").is_some_and(|allow| allow.contains(route.method.as_str())), "{path}");
            for near in [
                format!("{path}/"),
                format!("/{path}"),
                path.to_uppercase(),
                format!("{path}%20"),
                format!("{path};x"),
                path.replacen('/', "/./", 1),
                path.replacen('/', "/%2e/", 1),
            ] {
                let response = server.connect().send(&Request::new(route.method.as_str(), &near)).expect("an answer");
                assert!(matches!(response.status, 400 | 404), "{near}: {}", response.shown());
            }
        }
    }
}

both_runtimes!(every_route_answers_on_every_path, every_route_without_credentials, methods_and_near_misses);
