//! What tests ask of a server, wherever it runs: admin calls, tokens, introspection, revocation, browser sessions.
//! Every call here expects success and panics otherwise; tests of refusals write their own requests.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use assay_gateway::clock::Clock;
use serde_json::{Value, json};

use crate::actors::{App, Person, Pkce};
use crate::wire::{Connection, Request, Response, is_closed, query_value};

/// The issuer of every server under test. Nothing listens there: a request to it would be a bug.
pub const ISSUER: &str = "http://issuer.test";

/// The audience of service tokens in these tests.
pub const AUDIENCE: &str = "https://api.test";

/// Where the tests' applications get their codes.
pub const CALLBACK: &str = "https://app.test/callback";

/// Everything the admin listener has is below this tenant.
const TENANT: &str = "/v1/tenants/default";

/// A server that answers.
pub struct Target {
    /// The public listener.
    pub public: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The bearer token of the admin listener.
    pub admin_token: String,
    clock: Clock,
    kept: Mutex<Vec<Connection>>,
    kept_admin: Mutex<Option<Connection>>,
}

impl Target {
    /// A server on the machine's clock.
    #[must_use]
    pub fn new(public: SocketAddr, admin: SocketAddr, admin_token: &str) -> Target {
        Target {
            public,
            admin,
            admin_token: admin_token.to_owned(),
            clock: Clock::system(),
            kept: Mutex::new(Vec::new()),
            kept_admin: Mutex::new(None),
        }
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Target {
        self.clock = clock;
        self
    }

    /// The server's present, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// The server's present, Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.unix_seconds()
    }

    /// A new connection to the public listener.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(self.public).expect("the server listens")
    }

    /// Sends a request over a kept connection, or a new one.
    #[must_use]
    pub fn send(&self, request: &Request) -> Response {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = kept {
            match connection.send(request) {
                Ok(response) => return self.keep(connection, response),
                // The server may end an idle connection at any time; nothing was read, so nothing was answered.
                Err(error) if is_closed(&error) => {}
                Err(error) => panic!("{error}: {} {}", request.method, request.target),
            }
        }
        let mut connection = self.connect();
        let response = connection
            .send(request)
            .unwrap_or_else(|error| panic!("{error} instead of an answer to {} {}", request.method, request.target));
        self.keep(connection, response)
    }

    fn keep(&self, connection: Connection, response: Response) -> Response {
        if !response.closes() {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        response
    }

    /// A call of the admin listener, with its token; `path` is below the tenant.
    #[must_use]
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut request = Request::new(method, &format!("{TENANT}{path}")).bearer(&self.admin_token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.admin_raw(&request)
    }

    /// Any request to the admin listener.
    #[must_use]
    pub fn admin_raw(&self, request: &Request) -> Response {
        let mut kept = self.kept_admin.lock().unwrap_or_else(PoisonError::into_inner);
        let again = kept.take().and_then(|mut connection| Some((connection.send(request).ok()?, connection)));
        let (response, connection) = again.unwrap_or_else(|| {
            let mut connection = Connection::open(self.admin).expect("the admin listener listens");
            (connection.send(request).expect("the admin listener answers"), connection)
        });
        *kept = (!response.closes()).then_some(connection);
        response
    }

    /// An admin call that succeeds; its JSON, `null` without a body.
    pub fn admin_ok(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let response = self.admin(method, path, body);
        assert!((200..300).contains(&response.status), "{method} {path}: {}", response.shown());
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// The metrics text.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.admin_raw(&Request::get("/metrics").bearer(&self.admin_token)).expect_status(200).text()
    }

    /// The sum of a metric's samples whose line starts with `name` and holds `label`.
    #[must_use]
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        self.metrics()
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Registers an application described by `wanted` over the defaults of a confidential service.
    #[must_use]
    pub fn register(&self, wanted: &Value) -> App {
        let mut body = json!({
            "name": "test", "redirect_uris": [], "grants": ["client_credentials"], "scope": "",
            "auth_method": "client_secret_basic", "audiences": [AUDIENCE], "introspect": false, "native": false, "first_party": false,
        });
        for (name, value) in wanted.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let answer = self.admin_ok("POST", "/applications", Some(&body));
        let member = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        App { id: member("client_id"), secret: member("client_secret") }
    }

    /// A confidential service that takes tokens for [`AUDIENCE`].
    #[must_use]
    pub fn service(&self) -> App {
        self.register(&json!({}))
    }

    /// A resource server for [`AUDIENCE`] and for the issuer itself.
    #[must_use]
    pub fn resource_server(&self) -> App {
        self.register(&json!({"introspect": true, "audiences": [AUDIENCE, ISSUER]}))
    }

    /// A public, first-party web application.
    #[must_use]
    pub fn web_app(&self) -> App {
        self.register(&web_app())
    }

    /// A form to the token endpoint, authenticated by Basic when the application has a secret.
    #[must_use]
    pub fn token(&self, app: &App, pairs: &[(&str, &str)]) -> Response {
        self.send(&app.authenticate(Request::post("/token"), pairs))
    }

    /// An access token of the application for itself.
    #[must_use]
    pub fn service_token(&self, app: &App) -> String {
        let answer = self.token(app, &[("grant_type", "client_credentials")]).expect_status(200).json();
        access_token(&answer)
    }

    /// Signs a person in directly; the token response.
    pub fn sign_in(&self, person: &Person) -> Value {
        let path = "/sigma/authorize";
        let token = person.token(path, self.now_ms(), b"");
        self.send(&Request::post(path).auth_token(&token)).expect_status(200).json()
    }

    /// Signs a person in with a browser; the cookie to send.
    #[must_use]
    pub fn session(&self, person: &Person) -> String {
        let path = "/api/auth/sign-in/sigma";
        let request = Request::post(path).auth_token(&person.token(path, self.now_ms(), b""));
        cookie(&self.send(&request).expect_status(200))
    }

    /// What get-session says for a cookie.
    #[must_use]
    pub fn get_session(&self, cookie: &str) -> Value {
        self.send(&Request::get("/api/auth/get-session").cookie(cookie)).expect_status(200).json()
    }

    /// An authorization request with PKCE and what `more` adds or replaces; an empty value leaves a parameter out.
    #[must_use]
    pub fn authorize(&self, cookie: Option<&str>, app: &App, pkce: &Pkce, more: &[(&str, &str)]) -> Response {
        let target = format!("/authorize?{}", authorize_query(app, pkce, more));
        let request = Request::get(&target);
        self.send(&match cookie {
            Some(cookie) => request.cookie(cookie),
            None => request,
        })
    }

    /// A code for a signed-in person at a first-party application.
    #[must_use]
    pub fn code(&self, cookie: &str, app: &App, pkce: &Pkce, more: &[(&str, &str)]) -> String {
        let response = self.authorize(Some(cookie), app, pkce, more);
        let location = response.header("location").unwrap_or_default();
        query_value(location, "code").unwrap_or_else(|| panic!("no code: {}", response.shown()))
    }

    /// Redeems a code.
    #[must_use]
    pub fn redeem(&self, app: &App, code: &str, pkce: &Pkce) -> Response {
        self.token(
            app,
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", &pkce.verifier),
            ],
        )
    }

    /// Session, code, tokens: the whole way of a web application. The token response.
    #[must_use]
    pub fn web_sign_in(&self, person: &Person, app: &App) -> Value {
        let (cookie, pkce) = (self.session(person), Pkce::new());
        let code = self.code(&cookie, app, &pkce, &[]);
        self.redeem(app, &code, &pkce).expect_status(200).json()
    }

    /// The introspection answer for a token.
    #[must_use]
    pub fn introspect(&self, caller: &App, token: &str) -> Value {
        self.send(&caller.authenticate(Request::post("/introspect"), &[("token", token)])).expect_status(200).json()
    }

    /// Whether a token is active.
    #[must_use]
    pub fn is_active(&self, caller: &App, token: &str) -> bool {
        let answer = self.introspect(caller, token);
        if answer["active"] == true {
            return true;
        }
        assert_eq!(answer, json!({"active": false}), "an inactive answer says nothing else");
        false
    }

    /// The answers for many tokens, in order.
    #[must_use]
    pub fn batch<S: AsRef<str>>(&self, caller: &App, tokens: &[S]) -> Vec<Value> {
        let items: Vec<Value> = tokens.iter().map(|token| json!({"token": token.as_ref()})).collect();
        self.batch_items(caller, &items)
    }

    /// The answers for many items as they are.
    #[must_use]
    pub fn batch_items(&self, caller: &App, items: &[Value]) -> Vec<Value> {
        let request = Request::post("/introspect/batch").basic(&caller.id, &caller.secret);
        let answer = self.send(&request.json(&json!({"tokens": items}))).expect_status(200).json();
        assert!(answer["evaluated_at"].is_u64(), "{answer}");
        answer["results"].as_array().expect("an array of results").clone()
    }

    /// Revokes a token.
    pub fn revoke(&self, app: &App, token: &str) {
        let response = self.send(&app.authenticate(Request::post("/revoke"), &[("token", token)])).expect_status(200);
        assert!(response.body.is_empty(), "{}", response.shown());
    }

    /// The userinfo answer to a bearer token.
    #[must_use]
    pub fn userinfo(&self, token: &str) -> Response {
        self.send(&Request::get("/userinfo").bearer(token))
    }

    /// Revokes everything of a level: `tenant`, `client`, `subject` or `session`.
    pub fn revoke_level(&self, level: &str, id: &str) {
        self.admin_ok("POST", "/revocations", Some(&json!({level: id})));
    }

    /// Suspends a user.
    pub fn suspend(&self, user_id: &str) {
        self.admin_ok("POST", &format!("/users/{user_id}/suspend"), None);
    }

    /// Reactivates a user.
    pub fn reactivate(&self, user_id: &str) {
        self.admin_ok("POST", &format!("/users/{user_id}/reactivate"), None);
    }
}

/// A public, first-party web application, for [`Target::register`] with changes.
#[must_use]
pub fn web_app() -> Value {
    json!({
        "redirect_uris": [CALLBACK], "grants": ["authorization_code"], "auth_method": "none", "first_party": true,
        "scope": "openid profile", "audiences": [],
    })
}

/// The query of an authorization request; see [`Target::authorize`].
#[must_use]
pub fn authorize_query(app: &App, pkce: &Pkce, more: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("client_id", app.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("state", "s-1"),
        ("scope", "openid profile"),
        ("code_challenge", &pkce.challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name, value)),
        }
    }
    pairs.retain(|(_, value)| !value.is_empty());
    crate::wire::form(&pairs)
}

/// The member `access_token` of a token response.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn access_token(answer: &Value) -> String {
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no access token: {answer}")).to_owned()
}

/// The cookie that a response sets, as a `Cookie` header sends it back.
///
/// # Panics
/// If it sets none of ours.
#[must_use]
pub fn cookie(response: &Response) -> String {
    let line = response.headers("set-cookie").find(|line| line.contains("better-auth.session_token="));
    let line = line.unwrap_or_else(|| panic!("no session cookie: {}", response.shown()));
    line.split(';').next().unwrap_or_default().to_owned()
}
