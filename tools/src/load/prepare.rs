//! Before the measurement: where the endpoints are, which client asks, whose keys sign, and the tokens in every state that
//! a scenario needs. Keys and choices come from the seed; tokens come from the server itself.

use std::sync::Arc;

use indicatif::ProgressBar;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::client::Wire;
use super::journey::{Request, basic};
use super::options::{CLASSES, Options};
use super::scenario::code::CodePlan;
use super::scenario::login::LoginPlan;
use super::scenario::once::Kept;
use super::scenario::pools::{Check, Pool, Pools};
use super::scenario::{Plan, Source};
use super::script::Script;
use super::worker::fetch;
use crate::admin_client::{AdminClient, Method};
use crate::bitcoin_sign::{self, PrivateKey};
use crate::clock;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::limits::PRESIGNED_MAX;

/// Where Bitcoin sign-in answers with tokens, with a challenge, with a session.
const SIGN_IN: &str = "/sigma/authorize";
const CHALLENGE: &str = "/sigma/challenge";
const SESSION: &str = "/api/auth/sign-in/sigma";
/// What an expired Bitcoin token was signed for.
const SIGNED_PATH: &str = "/load/expired";
/// An hour is outside every window for timestamps.
const EXPIRED_MS: u64 = 3_600_000;
/// Sign-ins prepared for a closed loop, per second: more than a core verifies.
const CLOSED_LOOP_SIGN_INS: f64 = 5_000.0;
/// Batches that are rotated.
const BATCHES: usize = 16;

/// Paths of the server's endpoints: assay's, or what its discovery document says.
struct Paths {
    token: String,
    introspect: String,
    batch: String,
    revoke: String,
    userinfo: String,
    jwks: String,
    authorize: String,
}

struct Client {
    id: String,
    secret: String,
}

/// Everything preparing needs.
pub(crate) struct Preparer<'a> {
    options: &'a Options,
    wire: &'a Wire,
    interrupt: &'a Interrupt,
    origin: String,
    paths: Paths,
    spinner: ProgressBar,
}

impl<'a> Preparer<'a> {
    /// Asks the server where its endpoints are.
    pub(crate) fn new(options: &'a Options, wire: &'a Wire, interrupt: &'a Interrupt) -> Result<Preparer<'a>, Failure> {
        let origin = options.target.origin();
        let spinner = ProgressBar::new_spinner();
        spinner.set_message("asking for the endpoints");
        let mut paths = Paths {
            token: "/token".to_owned(),
            introspect: "/introspect".to_owned(),
            batch: "/introspect/batch".to_owned(),
            revoke: "/revoke".to_owned(),
            userinfo: "/userinfo".to_owned(),
            jwks: "/.well-known/jwks.json".to_owned(),
            authorize: "/authorize".to_owned(),
        };
        if !matches!(options.scenario.as_str(), "script" | "get" | "login") {
            let discovery = Request::new(0, "GET", "/.well-known/openid-configuration").to(&wire.authority);
            let answer = fetch(wire, vec![discovery], interrupt, &origin)?.remove(0);
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            for (name, path) in [
                ("token_endpoint", &mut paths.token),
                ("introspection_endpoint", &mut paths.introspect),
                ("revocation_endpoint", &mut paths.revoke),
                ("userinfo_endpoint", &mut paths.userinfo),
                ("jwks_uri", &mut paths.jwks),
                ("authorization_endpoint", &mut paths.authorize),
            ] {
                // The document names the server as the world sees it; the load goes to --target.
                let told = document.get(name).and_then(Value::as_str).and_then(path_of);
                if let Some(told) = told {
                    *path = told;
                }
            }
            if document.get("introspection_endpoint").is_some() {
                paths.batch = format!("{}/batch", paths.introspect);
            }
        }
        Ok(Preparer { options, wire, interrupt, origin, paths, spinner })
    }

    /// Makes the scenario ready.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        let options = self.options;
        let name = options.scenario.clone();
        let single = |step: &str, source| Plan { name: name.clone(), steps: vec![step.to_owned()], source };
        let plan = match name.as_str() {
            "mixed" => single("introspect", Source::Pools(self.mixed(options.mix)?)),
            "introspect" => single("introspect", Source::Pools(self.mixed([1.0, 0.0, 0.0, 0.0])?)),
            "introspect-batch" => single("introspect-batch", Source::Pools(self.batches()?)),
            "client-credentials" => {
                let client = self.client(&resource_server())?;
                let check = Check::Contains(r#""access_token""#);
                single("token", Source::Pools(Pools::one(check, vec![self.token_request(&client)])))
            }
            "userinfo" => {
                let request = |token: &String| {
                    let request = Request::new(0, "GET", &self.paths.userinfo);
                    request.header("authorization", &format!("Bearer {token}")).to(&self.wire.authority)
                };
                let requests = self.user_tokens()?.iter().map(request).collect();
                single("userinfo", Source::Pools(Pools::one(Check::Contains(r#""sub""#), requests)))
            }
            "jwks" => {
                let request = Request::new(0, "GET", &self.paths.jwks).to(&self.wire.authority);
                single("jwks", Source::Pools(Pools::one(Check::Contains(r#""keys""#), vec![request])))
            }
            "get" => {
                let request = Request::new(0, "GET", &options.path).to(&self.wire.authority);
                single("get", Source::Pools(Pools::one(Check::Success, vec![request])))
            }
            "login" => self.login()?,
            "code" => Plan {
                name,
                steps: vec!["authorize".to_owned(), "token".to_owned()],
                source: Source::Code(Arc::new(self.code()?)),
            },
            _ => {
                let file = options.file.as_deref().unwrap_or(std::path::Path::new(""));
                let script = Script::read(file, &options.target, options.seed)?;
                Plan { name: script.name.clone(), steps: script.step_names(), source: Source::Script(Arc::new(script)) }
            }
        };
        self.spinner.finish_and_clear();
        Ok(plan)
    }

    fn say(&self, what: String) {
        self.spinner.set_message(what);
        self.spinner.tick();
    }

    fn fetch(&self, what: &str, requests: Vec<Arc<Request>>) -> Result<Vec<Kept>, Failure> {
        self.say(format!("{what}: {} requests", requests.len()));
        fetch(self.wire, requests, self.interrupt, &self.origin)
    }

    /// The client that asks: the one given, or one registered by the admin listener.
    fn client(&self, wanted: &Value) -> Result<Client, Failure> {
        if let Some((id, secret)) = &self.options.client {
            return Ok(Client { id: id.clone(), secret: secret.clone() });
        }
        self.say("registering a client".to_owned());
        let hint = |failure: Failure| {
            let more = "; for a server that is not assay give --client-id and --client-secret";
            match failure {
                Failure::Usage(text) => Failure::Usage(text + more),
                Failure::Unreachable(text) => Failure::Unreachable(text + more),
                Failure::Failed(text) => Failure::Failed(text + more),
            }
        };
        let admin = AdminClient::connect(&self.options.admin, &self.options.data).map_err(hint)?;
        let answer = admin.call(Method::Post, "/applications", Some(wanted)).map_err(hint)?;
        let member = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let client = Client { id: member("client_id"), secret: member("client_secret") };
        if client.id.is_empty() {
            return Err(Failure::Failed(format!("{} registered a client without an id", self.options.admin)));
        }
        Ok(client)
    }

    fn token_request(&self, client: &Client) -> Arc<Request> {
        let request = Request::new(0, "POST", &self.paths.token);
        let request = request.header("authorization", &basic(&client.id, &client.secret));
        request.form(&[("grant_type", "client_credentials")]).to(&self.wire.authority)
    }

    fn tokens(&self, client: &Client, count: usize) -> Result<Vec<String>, Failure> {
        let answers = self.fetch("minting tokens", vec![self.token_request(client); count])?;
        answers.iter().map(|answer| access_token(answer, &self.paths.token)).collect()
    }

    fn introspection(&self, client: &Client, pairs: &[(&str, &str)]) -> Arc<Request> {
        let request = Request::new(0, "POST", &self.paths.introspect);
        request.header("authorization", &basic(&client.id, &client.secret)).form(pairs).to(&self.wire.authority)
    }

    /// Tokens of every class that has a weight.
    fn mixed(&self, mix: [f64; 4]) -> Result<Pools, Failure> {
        let client = self.client(&resource_server())?;
        // The rare classes need fewer tokens, but more than one.
        let count = self.options.tokens;
        let few = (count / 10).clamp(1, 100);
        let mut pools = Vec::new();
        for ((class, weight), is_active) in CLASSES.into_iter().zip(mix).zip([true, false, false, false]) {
            if weight == 0.0 {
                continue;
            }
            let ask = |token: &String| self.introspection(&client, &[("token", token)]);
            let requests: Vec<_> = match class {
                "valid" => self.tokens(&client, count)?.iter().map(ask).collect(),
                "expired" => self.expired(&client, few)?,
                "bad-signature" => self.tokens(&client, few)?.iter().map(|token| ask(&damaged(token))).collect(),
                _ => self.revoked(&client, few)?.iter().map(ask).collect(),
            };
            let requests = Arc::new(requests);
            pools.push(Pool { weight, check: Check::Verdict { active: is_active, class }, requests });
        }
        Ok(Pools(pools))
    }

    /// Bitcoin-signed tokens whose timestamps are an hour old.
    fn expired(&self, client: &Client, count: usize) -> Result<Vec<Arc<Request>>, Failure> {
        let users = self.keys(count)?;
        let at = clock::unix_ms().saturating_sub(EXPIRED_MS);
        let ask = |(user, at_ms): (&PrivateKey, u64)| {
            let timestamp = bitcoin_sign::timestamp(at_ms);
            let key_id = [7; 32];
            let token =
                bitcoin_sign::token_with_key_id(user, self.options.scheme, SIGNED_PATH, &timestamp, b"", &key_id);
            self.introspection(
                client,
                &[("token", &token), ("token_type_hint", "bitcoin-auth"), ("request_path", SIGNED_PATH)],
            )
        };
        Ok(users.iter().zip(at..).map(ask).collect())
    }

    fn revoked(&self, client: &Client, count: usize) -> Result<Vec<String>, Failure> {
        let tokens = self.tokens(client, count)?;
        let revoke = |token: &String| {
            let request = Request::new(0, "POST", &self.paths.revoke);
            let request = request.header("authorization", &basic(&client.id, &client.secret));
            request.form(&[("token", token)]).to(&self.wire.authority)
        };
        let answers = self.fetch("revoking tokens", tokens.iter().map(revoke).collect())?;
        match answers.iter().find(|answer| answer.status != 200) {
            None => Ok(tokens),
            Some(answer) => Err(refused(answer, &self.paths.revoke)),
        }
    }

    fn batches(&self) -> Result<Pools, Failure> {
        let client = self.client(&resource_server())?;
        let tokens = self.tokens(&client, self.options.tokens)?;
        let batch = self.options.batch;
        let requests = (0..BATCHES).map(|number| {
            let items: Vec<Value> =
                (0..batch).map(|item| json!({ "token": tokens[(number * batch + item) % tokens.len()] })).collect();
            let request = Request::new(0, "POST", &self.paths.batch);
            let request = request.header("authorization", &basic(&client.id, &client.secret));
            request.body("application/json", json!({ "tokens": items }).to_string()).to(&self.wire.authority)
        });
        Ok(Pools::one(Check::Batch { active: batch }, requests.collect()))
    }

    /// Users' keys, from the seed.
    fn keys(&self, count: usize) -> Result<Vec<PrivateKey>, Failure> {
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        let draw = |_| loop {
            let mut bytes = [0; 32];
            random.fill_bytes(&mut bytes);
            // One draw in 2^128 is out of range.
            if let Ok(key) = PrivateKey::from_bytes(&bytes) {
                return key;
            }
        };
        Ok((0..count).map(draw).collect())
    }

    fn login_plan(&self, path: &str, challenge: Option<&str>) -> Result<LoginPlan, Failure> {
        let users = self.keys(self.options.users)?;
        let (host, scheme, seed) = (&self.wire.authority, self.options.scheme, self.options.seed);
        Ok(LoginPlan::new(host, path, challenge, users, scheme, seed))
    }

    /// Tokens of users who signed in.
    fn user_tokens(&self) -> Result<Vec<String>, Failure> {
        let plan = self.login_plan(SIGN_IN, None)?;
        let answers = self.fetch("signing users in", plan.of_every_user(clock::unix_ms()))?;
        answers.iter().map(|answer| access_token(answer, SIGN_IN)).collect()
    }

    fn login(&self) -> Result<Plan, Failure> {
        let challenge = self.options.challenge.then_some(CHALLENGE);
        let mut plan = self.login_plan(SIGN_IN, challenge)?;
        // The first sign-in creates the user; measured are users who come back.
        let answers = self.fetch("signing users in", plan.of_every_user(clock::unix_ms()))?;
        if let Some(answer) = answers.iter().find(|answer| answer.status != 200) {
            return Err(refused(answer, SIGN_IN));
        }
        let steps = match challenge {
            Some(_) => vec!["challenge".to_owned(), "sign-in".to_owned()],
            None => vec!["sign-in".to_owned()],
        };
        if challenge.is_none() {
            let seconds = self.options.duration.as_secs_f64();
            let warm_up = self.options.warm_up.as_secs_f64();
            let rate = self.options.rate;
            let needed = rate.map_or(CLOSED_LOOP_SIGN_INS * (seconds + warm_up), |rate| {
                1.05 * (rate.arrivals(seconds) + rate.from * warm_up) + 10.0
            });
            let needed = (needed as usize).min(PRESIGNED_MAX);
            plan.sign_ahead(needed, clock::unix_ms, |made| self.say(format!("signing ahead: {made} of {needed}")));
        }
        Ok(Plan { name: "login".to_owned(), steps, source: Source::Login(Arc::new(plan)) })
    }

    fn code(&self) -> Result<CodePlan, Failure> {
        let scope = "openid profile";
        let redirect_uri = self.options.redirect_uri.clone();
        let client = self.client(&json!({
            "name": "assay load", "redirect_uris": [redirect_uri], "grants": ["authorization_code"], "scope": scope,
            "auth_method": "none", "audiences": [], "introspect": false, "native": false, "first_party": true,
        }))?;
        let plan = self.login_plan(SESSION, None)?;
        let answers = self.fetch("opening sessions", plan.of_every_user(clock::unix_ms()))?;
        let cookie = |answer: &Kept| match answer.cookies.as_slice() {
            cookies if answer.status == 200 && !cookies.is_empty() => Ok(cookies.join("; ")),
            _ => Err(refused(answer, SESSION)),
        };
        Ok(CodePlan {
            host: self.wire.authority.clone(),
            authorize: self.paths.authorize.clone(),
            token: self.paths.token.clone(),
            authorization: (!client.secret.is_empty()).then(|| basic(&client.id, &client.secret)),
            client_id: client.id,
            redirect_uri,
            scope: scope.to_owned(),
            cookies: answers.iter().map(cookie).collect::<Result<_, _>>()?,
        })
    }
}

/// A confidential client that mints tokens for itself and introspects them.
fn resource_server() -> Value {
    json!({
        "name": "assay load", "redirect_uris": [], "grants": ["client_credentials"], "scope": "read",
        "auth_method": "client_secret_basic", "audiences": [], "introspect": true, "native": false, "first_party": false,
    })
}

fn access_token(answer: &Kept, path: &str) -> Result<String, Failure> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let token = body.get("access_token").and_then(Value::as_str).filter(|_| answer.status == 200);
    token.map(str::to_owned).ok_or_else(|| refused(answer, path))
}

/// What the server said instead of helping; its error code, never a secret.
fn refused(answer: &Kept, path: &str) -> Failure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = ["error", "code"].iter().find_map(|name| body.get(name)?.as_str());
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let remedy = match answer.status {
        429 => "start the server with --limits off",
        404 => "is it the server you mean? correct --target",
        401 => "correct --client-id and --client-secret",
        _ => "the server's log says more",
    };
    Failure::Failed(format!("{path} answered {}{code} while the load was prepared; {remedy}", answer.status))
}

/// The same token with another signature of the same length.
fn damaged(token: &str) -> String {
    let mut bytes = token.as_bytes().to_vec();
    // In the middle of a signature every bit counts; its last character may hold padding.
    let signature = token.rfind('.').map_or(0, |dot| dot + 1);
    let at = signature + (bytes.len() - signature) / 2;
    if let Some(byte) = bytes.get_mut(at) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The path of a URL.
fn path_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let at = rest.find('/')?;
    Some(rest[at..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_token_differs_in_its_signature_only() {
        for token in ["aa.bb.cccccc", "aa.bb.AAAAAA", "opaque"] {
            let other = damaged(token);
            assert!(other != token && other.len() == token.len(), "{other}");
            if let Some(dot) = token.rfind('.') {
                assert_eq!(other[..dot], token[..dot]);
            }
        }
        assert_eq!(damaged(""), "");
    }

    #[test]
    fn paths_of_urls() {
        assert_eq!(path_of("https://h:1/a/b").as_deref(), Some("/a/b"));
        assert_eq!(path_of("https://h"), None);
        assert_eq!(path_of("nonsense"), None);
    }

    #[test]
    fn refusals_say_what_to_do_and_nothing_secret() {
        let kept =
            Kept { status: 429, body: br#"{"error":"slow_down","access_token":"s3cret"}"#.to_vec(), cookies: vec![] };
        let text = refused(&kept, "/token").to_string();
        assert!(text.contains("--limits off") && text.contains("slow_down") && !text.contains("s3cret"), "{text}");
    }
}
